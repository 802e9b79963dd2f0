"""The training loop that every network method shares: draw, differentiate, step, stop early.

A method brings `Steps`, which computes a step's gradients. The loop applies the optimiser, measures average precision
on each member's validation part at equal intervals, keeps each member's best parameters, and ends when the budget is
spent or every member has run out of patience. When enough members have stopped, they leave the pack; the others train
on with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.contract import Progress
from bench.data.encode import Part
from bench.machine import keep_freed_memory
from bench.networks import streams
from bench.networks.batches import Draws
from bench.networks.compiled.kernel import kernel
from bench.networks.config import NetworkConfig, dtype_of, setting
from bench.networks.losses import sigmoid
from bench.networks.memory import BLOCK
from bench.networks.mlp import forward, initialise, logits
from bench.networks.optimisers import OPTIMISERS, Optimiser
from bench.networks.scoring import Scorer
from bench.networks.selfcheck import try_kernel
from bench.networks.tensors import Keep, Parameters, Step

PAD = 8  # torch on a CPU gets a multiple of these members: with fewer, matrix products take other paths, other bits
COMPACT = 0.75  # the share of its places in training at which a pack is made smaller
WARM_UP = 3  # steps taken one operation at a time before a GPU's step is captured

Gradient = Callable[[Parameters, Step], Parameters]


@dataclass(frozen=True)
class Steps:
    """How a step's gradients are computed, for a number of members.

    `gradient` maps parameters and step to gradients; `draws` are the batches it takes, which the loop prepares before
    each step; `keep` returns the same for some of the members, by their places.
    """

    gradient: Gradient
    draws: Sequence[Draws]
    keep: Callable[[Sequence[int]], Steps]


@dataclass(frozen=True)
class Trained:
    """One member's outcome: its parameters (leading axis 1), the steps taken, the step kept, and its score there.

    `first` and `last` are the first and the last step after which it would have been scored.
    """

    layers: Parameters
    steps: int
    best_step: int
    score: float
    first: int
    last: int

    def predict(self, part: Part, keep: Callable[[Step, int], Keep] | None = None) -> NDArray[np.float64]:
        """Return P(y=1) of each row, float64 (n,); `keep` is dropout that is left on, drawn on the CPU."""
        like = self.layers[0]
        with torch.inference_mode(), one_thread():
            x = torch.from_numpy(part.X).to(like)
            if keep is None or (factors := keep(0, len(x))) is None:
                z = logits(self.layers, 0, x)
            else:
                z = forward(self.layers, x.unsqueeze(0), [f.to(like) for f in factors]).logits[0]
            scored: NDArray[np.float64] = sigmoid(z.double()).cpu().numpy()
        return scored


def places(members: Sequence[int], like: Tensor, n_layers: int) -> list[int]:
    """Return the members followed by copies of the first, up to what torch must be given: idle company.

    The compiled step computes a member alone and needs no company.
    """
    multiple = BLOCK if like.device.type == "cuda" else 1 if kernel(like, n_layers) else PAD
    return [*members, *[members[0]] * (-len(members) % multiple)]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread of the CPU: with two, MKL computes some small products with other bits.

    Nothing is lost: products as small as these gain nothing by threads, and packs share the cores by process.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def train(
    configs: Sequence[NetworkConfig],
    seeds: Sequence[int],
    valid: Sequence[Part],
    steps_of: Callable[[Sequence[int]], Steps],
    *,
    budgets: Sequence[int] | None = None,
    device: torch.device,
    progress: Progress,
) -> list[Trained]:
    """Train the pack and return each member's best, or last, state.

    `steps_of` makes the steps of the members that it is given by number: idle company may be among them,
    which trains along and is neither scored nor returned. Every member starts at PyTorch's default
    initialisation from its own stream, steps with its own settings, and stops by its own validation
    average precision, or at the end of its budget in steps (`budgets`, default the configuration's).
    """
    keep_freed_memory()
    config = configs[0]
    like = torch.empty(0, device=device, dtype=dtype_of(config))
    try_kernel(like)
    company = places(range(len(configs)), like, len(config.hidden) + 1)
    parameters = initialise(
        streams.keys([seeds[k] for k in company], "init", device),
        (valid[0].X.shape[1], *config.hidden, 1),
        like.dtype,
    )
    optimiser = _optimiser([configs[k] for k in company], like)
    size = BLOCK if device.type == "cuda" else len(company)
    blocks = [steps_of(company[first : first + size]) for first in range(0, len(company), size)]
    pack = _Pack(company, parameters, optimiser, blocks)
    budgets = [config.steps] * len(configs) if budgets is None else budgets
    best = _Best([tensor[: len(configs)] for tensor in parameters], budgets, config.patience)
    scorer = Scorer(valid, like)
    stops = _Stops(budgets, 1 if config.keep == "last" else config.evaluations)
    step = 0
    while running := best.running():
        last, step = step, stops.after(step, running)
        for taken in range(last, step):
            pack.step(taken)
        due = stops.due(step, running)
        at = [pack.company.index(k) for k in due]
        best.update(due, pack.parameters, at, scorer.scores(pack.parameters, at, due), step)
        progress(step, max(budgets))
        if running := best.running():
            pack = pack.compacted(running, like)
    return best.trained(stops)


def _optimiser(configs: Sequence[NetworkConfig], like: Tensor) -> Optimiser:
    settings = {field: setting(configs, field, like) for field in ("lr", "weight_decay", "momentum")}
    return OPTIMISERS[configs[0].optimiser](**settings)


class _Stops:
    """The steps after which each member is scored: at equal intervals of its own budget, and at its end."""

    def __init__(self, budgets: Sequence[int], times: int) -> None:
        self.budgets, self.every = budgets, [-(-budget // times) for budget in budgets]

    def after(self, step: int, members: Sequence[int]) -> int:
        """Return the next step at which one of the members is due."""
        return min(min((step // self.every[k] + 1) * self.every[k], self.budgets[k]) for k in members)

    def due(self, step: int, members: Sequence[int]) -> list[int]:
        """Return the members that are due at this step."""
        return [k for k in members if step % self.every[k] == 0 or step == self.budgets[k]]


class _Pack:
    """The members in training, block by block, and their step: on a GPU it is captured once and replayed."""

    def __init__(
        self, company: list[int], parameters: Parameters, optimiser: Optimiser, blocks: Sequence[Steps]
    ) -> None:
        self.company, self.parameters, self.optimiser, self.blocks = company, parameters, optimiser, blocks
        self.taken = 0
        self.graph: Any = None
        self.counter = torch.zeros((), dtype=torch.int64, device=parameters[0].device)

    def step(self, step: int) -> None:
        """Take step number `step` of all members."""
        for block in self.blocks:
            for draws in block.draws:
                draws.prepare(step)
        if self.counter.device.type != "cuda":
            self.take(step)
        elif self.taken < WARM_UP:
            self.take(self.counter.fill_(step))
        else:
            self._replay(step)
        self.taken += 1

    def take(self, step: Step) -> None:
        """Differentiate and step; nothing here waits for the device, so all of it can be captured."""
        size = len(self.company) // len(self.blocks)
        by_block = [
            block.gradient([p[i * size : (i + 1) * size] for p in self.parameters], step)
            for i, block in enumerate(self.blocks)
        ]
        one_block = len(by_block) == 1
        slopes = by_block[0] if one_block else [torch.cat(parts) for parts in zip(*by_block, strict=True)]
        self.optimiser.step(self.parameters, slopes)

    def _replay(self, step: int) -> None:
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            self.counter.fill_(step)
            with torch.cuda.graph(self.graph):  # records, and runs nothing
                self.take(self.counter)
                self.counter += 1
        self.graph.replay()

    def compacted(self, running: Sequence[int], like: Tensor) -> _Pack:
        """Return a pack of the running members alone if they are few enough, else this one.

        On a GPU the pack stays: the step would have to be captured anew.
        """
        company = places(running, like, len(self.parameters) // 2)
        if like.device.type == "cuda" or len(company) > COMPACT * len(self.company):
            return self
        at = [self.company.index(k) for k in company]
        self.optimiser.keep(at)
        return _Pack(company, [p[at] for p in self.parameters], self.optimiser, [self.blocks[0].keep(at)])


class _Best:
    """Each member's best parameters so far, and when it stopped; a tie keeps the earlier step."""

    def __init__(self, parameters: Parameters, budgets: Sequence[int], patience: int) -> None:
        K = len(parameters[0])
        self.budgets = np.asarray(budgets)
        self.parameters = [tensor.clone() for tensor in parameters]
        self.patience = patience
        self.score = np.full(K, -np.inf)
        self.best_step = np.zeros(K, dtype=int)
        self.steps = np.zeros(K, dtype=int)
        self.without_gain = np.zeros(K, dtype=int)

    def running(self) -> list[int]:
        """Return the members that still have patience and budget."""
        still_training = (self.without_gain < self.patience) & (self.steps < self.budgets)
        return [int(k) for k in np.flatnonzero(still_training)]

    def update(
        self,
        members: Sequence[int],
        parameters: Parameters,
        at: Sequence[int],
        scores: Sequence[float],
        step: int,
    ) -> None:
        """Take note of one scoring of the running members, whose parameters are at these places."""
        running, scored = np.asarray(members), np.asarray(scores)
        gained = scored > self.score[running]
        better, chosen = running[gained], np.asarray(at)[gained]
        self.score[better] = scored[gained]
        self.best_step[better] = step
        self.steps[running] = step
        self.without_gain[running] += 1
        self.without_gain[better] = 0
        for kept, tensor in zip(self.parameters, parameters, strict=True):
            kept[better] = tensor[chosen]

    def trained(self, stops: _Stops) -> list[Trained]:
        """Return the members' outcomes, each with parameters of its own (leading axis 1)."""
        return [
            Trained(
                [tensor[k : k + 1].clone() for tensor in self.parameters],
                int(self.steps[k]),
                int(self.best_step[k]),
                float(self.score[k]),
                min(stops.every[k], stops.budgets[k]),
                stops.budgets[k],
            )
            for k in range(len(self.steps))
        ]

"""The training loop that every network method shares: draw, differentiate, step, stop early.

A method brings a `Gradient`: parameters and step number in, gradients out. The loop applies the
optimiser, measures average precision on each member's validation part at equal intervals, keeps each
member's best parameters, and ends when the budget is spent or every member has run out of patience.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import Tensor

from bench.encode import Part
from bench.metrics import average_precision
from bench.pack import streams
from bench.pack.losses import sigmoid
from bench.pack.network import Parameters, initialise, logits
from bench.pack.optimisers import OPTIMISERS

PAD = 8  # members a pack is padded to: below it, matrix products take other paths with other bits
SGD_WEIGHT_DECAY = 5e-4
CHUNK = 2**18  # row numbers drawn at once

T = TypeVar("T")
Gradient = Callable[[Parameters, int], Parameters]
Progress = Callable[[int, int], None]


class NetworkConfig(BaseModel):
    """What every network method can be set to; one budget for all of them in a protocol.

    How the defaults were set, and on which data: results/LOG.md, 2026-11-23.

    `steps` is the budget in optimiser steps, `evaluations` how often within it the validation part is
    scored, `patience` how many scorings without a better one end a member's training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[PositiveInt, ...] = (32, 16)
    optimiser: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=0.003, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1.0, ge=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    steps: int = Field(default=2000, gt=0)
    evaluations: int = Field(default=40, gt=0)
    patience: int = Field(default=20, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _decay_of_sgd(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Give SGD the paper's decay: AdamW's is decoupled from the gradient, and of another size."""
        return {"weight_decay": SGD_WEIGHT_DECAY, **given} if given.get("optimiser") == "sgd" else given


NETWORK_STATIC = frozenset({"hidden", "optimiser", "steps", "evaluations", "patience"})


@dataclass(frozen=True)
class Pool:
    """The rows that K members draw from: X (rows, d) and y (rows,) hold each distinct part once.

    Member k's rows are `start[k] … start[k] + size[k] − 1`; both int64 (K,).
    """

    X: Tensor
    y: Tensor
    start: Tensor
    size: Tensor

    def positives(self) -> Tensor:
        """Return each member's number of positive rows, float64 (K,)."""
        ends = zip(self.start.tolist(), self.size.tolist(), strict=True)
        return torch.tensor(
            [float(self.y[a : a + n].sum(dtype=torch.float64)) for a, n in ends], dtype=torch.float64
        )


def pool(parts: Sequence[Part], device: torch.device) -> Pool:
    """Return the members' parts on the device, a part shared by several members held once."""
    distinct = {id(part): part for part in parts}
    offsets = np.cumsum([0] + [len(part.X) for part in distinct.values()])
    start = dict(zip(distinct, offsets[:-1].tolist(), strict=True))
    return Pool(
        X=torch.from_numpy(np.concatenate([part.X for part in distinct.values()])).to(device),
        y=torch.from_numpy(np.concatenate([part.labels for part in distinct.values()]).astype(np.float32)).to(
            device
        ),
        start=torch.tensor([start[id(part)] for part in parts], device=device),
        size=torch.tensor([len(part.X) for part in parts], device=device),
    )


class Draws:
    """Batches of `count` rows per step and member, drawn without replacement epoch by epoch, in chunks."""

    def __init__(self, pool: Pool, keys: Tensor, count: int) -> None:
        self.pool, self.keys, self.count = pool, keys, count
        self.chunk_steps = max(1, CHUNK // (len(keys) * count))
        self.first, self.rows = 0, torch.empty(0)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return x (K, count, d) and y (K, count) of step 0, 1, …; steps must come in order."""
        offset = step - self.first
        if step == 0 or offset >= self.chunk_steps:
            self.first, offset = step, 0
            n = self.chunk_steps * self.count
            self.rows = (
                streams.rows(self.keys, self.pool.size, step * self.count, n) + self.pool.start[:, None]
            )
        rows = self.rows[:, offset * self.count : (offset + 1) * self.count]
        x = self.pool.X.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
        return x, self.pool.y[rows]


@dataclass(frozen=True)
class Trained:
    """One member's outcome: its best parameters as (W, b) pairs, and where it stood."""

    layers: Parameters
    steps: int
    best_step: int

    def predict(self, part: Part) -> NDArray[np.float64]:
        """Return P(y=1) of each row, float64 (n,)."""
        device = self.layers[0].device
        with torch.inference_mode(), one_thread():
            z = logits(self.layers, 0, torch.from_numpy(part.X).to(device)).double()
            scored: NDArray[np.float64] = sigmoid(z).cpu().numpy()
        return scored


def padded(members: Sequence[T]) -> list[T]:
    """Return the members followed by copies of the first, up to a multiple of PAD: idle company."""
    return [*members, *[members[0]] * (-len(members) % PAD)]


def setting(configs: Sequence[Any], field: str, device: torch.device) -> Tensor:
    """Return one field of the members' configurations as float32 (K,)."""
    return torch.tensor([float(getattr(config, field)) for config in configs], device=device)


def dropout_factors(
    configs: Sequence[NetworkConfig], keys: Tensor
) -> Callable[[int, int], list[Tensor] | None]:
    """Return a function (step, rows) → one factor tensor (K, rows, h) per hidden layer, or None without dropout."""
    rates = setting(configs, "dropout", keys.device).view(-1, 1, 1)
    if not bool((rates > 0).any()):
        return lambda step, rows: None
    widths = configs[0].hidden

    def draw(step: int, rows: int) -> list[Tensor]:
        start, factors = step * rows * sum(widths), []
        for width in widths:
            counter = torch.arange(start, start + rows * width, device=keys.device)
            drawn = streams.uniform(keys[:, None], counter).view(-1, rows, width)
            factors.append((drawn >= rates).to(torch.float32) / (1.0 - rates))
            start += rows * width
        return factors

    return draw


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
    gradient: Gradient,
    *,
    device: torch.device,
    progress: Progress,
) -> list[Trained]:
    """Train the pack and return each member's best state.

    `configs` and `seeds` are padded, K long; `valid` are the parts of the members proper, the first of the
    K: idle ones are trained in step, but neither scored nor returned.

    Every member starts at PyTorch's default initialisation from its own stream, steps with its own
    optimiser settings, and stops by its own validation average precision.
    """
    config = configs[0]
    n_features = valid[0].X.shape[1]
    parameters = initialise(streams.keys(list(seeds), "init", device), (n_features, *config.hidden, 1))
    optimiser = OPTIMISERS[config.optimiser](
        **{field: setting(configs, field, device) for field in ("lr", "weight_decay", "momentum")}
    )
    best = _Best([tensor[: len(valid)] for tensor in parameters], config.patience)
    scorers = [_scorer(part, device) for part in valid]
    every = -(-config.steps // config.evaluations)
    for step in range(config.steps):
        optimiser.step(parameters, gradient(parameters, step))
        if (step + 1) % every == 0 or step + 1 == config.steps:
            best.update(parameters, [score(parameters, k) for k, score in enumerate(scorers)], step + 1)
            progress(step + 1, config.steps)
            if best.all_stopped:
                break
    return best.trained()


def _scorer(part: Part, device: torch.device) -> Callable[[Parameters, int], float]:
    x, y = torch.from_numpy(part.X).to(device), part.labels

    def score(parameters: Parameters, k: int) -> float:
        z = logits(parameters, k, x).cpu().numpy()
        return average_precision(y, z) if np.isfinite(z).all() else -1.0

    return score


class _Best:
    """Each member's best parameters so far, and when it stopped; a tie keeps the earlier step."""

    def __init__(self, parameters: Parameters, patience: int) -> None:
        K = len(parameters[0])
        self.parameters = [tensor.clone() for tensor in parameters]
        self.patience = patience
        self.score = np.full(K, -np.inf)
        self.best_step = np.zeros(K, dtype=int)
        self.steps = np.zeros(K, dtype=int)
        self.without_gain = np.zeros(K, dtype=int)

    @property
    def all_stopped(self) -> bool:
        return bool((self.without_gain >= self.patience).all())

    def update(self, parameters: Parameters, scores: Sequence[float], step: int) -> None:
        """Take note of one scoring; members that have stopped are left as they were."""
        running = self.without_gain < self.patience
        better = running & (np.asarray(scores) > self.score)
        self.score[better] = np.asarray(scores)[better]
        self.best_step[better] = step
        self.steps[running] = step
        self.without_gain[running] += 1
        self.without_gain[better] = 0
        chosen = torch.from_numpy(np.flatnonzero(better)).to(parameters[0].device)
        for kept, tensor in zip(self.parameters, parameters, strict=True):
            kept[chosen] = tensor[chosen]

    def trained(self) -> list[Trained]:
        """Return the members' outcomes, each with parameters of its own (leading axis 1)."""
        return [
            Trained([tensor[k : k + 1].clone() for tensor in self.parameters], int(self.steps[k]), int(best))
            for k, best in enumerate(self.best_step)
        ]

"""Batches: which rows each member of a pack sees in each step, and which units drop out.

The rows are on the device once, in a pool; a batch is row numbers into it. Row numbers are drawn ahead of time, many
steps at once, so that a step never waits for the host. The step number is an integer, or a tensor on the device that a
captured step counts up itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.classes import BatchRule, Classes
from bench.data.encode import Part
from bench.networks import streams
from bench.networks.config import NetworkConfig
from bench.networks.tensors import Batch, Keep, Step

CHUNK = 2**18  # row numbers drawn at once


@dataclass(frozen=True)
class Pool:
    """The rows that K members draw from: X (rows, d) and y (rows,) hold each distinct part once.

    Member k's rows are `start[k] … start[k] + size[k] − 1`; both int64 (K,). `counts` are each member's
    numbers of negatives and positives. Of a member with a batch rule, size and counts are those of an epoch.
    """

    X: Tensor
    y: Tensor
    start: Tensor
    size: Tensor
    counts: tuple[tuple[float, float], ...]
    turns: Turns | None = None

    def of(self, members: Sequence[int]) -> Pool:
        """Return the same rows for some of the members, in the order given."""
        chosen = torch.tensor(list(members), device=self.start.device)
        counts = tuple(self.counts[k] for k in members)
        turns = self.turns and self.turns.of(chosen)
        return Pool(self.X, self.y, self.start[chosen], self.size[chosen], counts, turns)


@dataclass(frozen=True)
class Turns:
    """How members with a batch rule draw from a pool: in turns of so many rows of either class.

    `rows` are the pool's row numbers, of each part first the negatives. `classes` and `rows_in_turn` (K, 2) are rows of
    either class, those that there are and those of a turn, which are none for a member without a rule.
    """

    rows: Tensor
    classes: Tensor
    rows_in_turn: Tensor

    def of(self, chosen: Tensor) -> Turns:
        """Return the same for some of the members."""
        return Turns(self.rows, self.classes[chosen], self.rows_in_turn[chosen])


@dataclass(frozen=True)
class Company:
    """The members that a method makes steps for: settings, seeds, and one pool for each of the method's `POOLS`."""

    configs: Sequence[Any]
    seeds: list[int]
    pools: Sequence[Pool]

    @property
    def budgets(self) -> list[int]:
        """Each member's budget in steps."""
        sizes = zip(*(pool.size.tolist() for pool in self.pools), strict=True)
        return [config.updates(rows) for config, rows in zip(self.configs, sizes, strict=True)]

    def of(self, members: Sequence[int]) -> Company:
        """Return some of the members, in the order given."""
        return Company(
            [self.configs[k] for k in members],
            [self.seeds[k] for k in members],
            [pool.of(members) for pool in self.pools],
        )


def pool(
    parts: Sequence[Part],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    rules: Sequence[BatchRule | None] = (),
) -> Pool:
    """Return the members' parts on the device, a part shared by several members held once; `rules` are theirs."""
    distinct = {id(part): part for part in parts}
    offsets = np.cumsum([0] + [len(part.X) for part in distinct.values()])
    start = dict(zip(distinct, offsets[:-1].tolist(), strict=True))
    classes = {name: _classes(part) for name, part in distinct.items()}
    X = np.concatenate([part.X for part in distinct.values()])
    y = np.concatenate([part.labels for part in distinct.values()])
    rules, there = rules or [None] * len(parts), [classes[id(part)] for part in parts]
    drawn = [_epoch(rule, each) for rule, each in zip(rules, there, strict=True)]
    return Pool(
        X=torch.from_numpy(X).to(device, dtype),
        y=torch.from_numpy(y).to(device, dtype),
        start=torch.tensor([start[id(part)] for part in parts], device=device),
        size=torch.tensor([round(sum(counts)) for counts in drawn], device=device),
        counts=tuple(drawn),
        turns=_turns(distinct.values(), rules, there, device),
    )


def _classes(part: Part) -> Classes:
    positives = int(part.labels.sum())
    return Classes(len(part.X) - positives, positives)


def _epoch(rule: BatchRule | None, there: Classes) -> tuple[float, float]:
    """Return how many negatives and positives an epoch has."""
    if rule is None or (turn := rule.turn(there)) is None:
        return float(there.negatives), float(there.positives)
    scale = rule.epoch_rows(there) / (turn.negatives + turn.positives)
    return turn.negatives * scale, turn.positives * scale


def _turns(
    distinct: Iterable[Part],
    rules: Sequence[BatchRule | None],
    there: Sequence[Classes],
    device: torch.device,
) -> Turns | None:
    """Return how the members with a rule draw; None where no member's rule changes anything."""
    turns = [rule.turn(each) if rule else None for rule, each in zip(rules, there, strict=True)]
    if not any(turns):
        return None
    rows, first = [], 0
    for part in distinct:
        rows.append(first + np.argsort(part.labels, kind="stable"))
        first += len(part.labels)

    def pairs(counted: Iterable[Classes | None]) -> Tensor:
        return torch.tensor([[c.negatives, c.positives] if c else [0, 0] for c in counted], device=device)

    return Turns(torch.from_numpy(np.concatenate(rows)).to(device), pairs(there), pairs(turns))


class Draws:
    """Batches of `count` rows per step and member, drawn without replacement epoch by epoch, in chunks.

    With a `batch` (in rows), an epoch is a whole number of batches; a step takes one or several of them. A member with
    a batch rule is drawn for by its rule, with `class_keys` (K, 2) for the streams of either class.
    """

    def __init__(
        self, pool: Pool, keys: Tensor, count: int, batch: int = 0, class_keys: Tensor | None = None
    ) -> None:
        self.pool, self.keys, self.count, self.batch_rows = pool, keys, count, batch
        self.turns = None if class_keys is None else pool.turns
        if self.turns is not None and class_keys is not None:
            self.turn_keys = torch.cat([keys[:, None], class_keys], 1)
            has_rule = self.turns.rows_in_turn.any(1)
            self.by_rule, self.plain = has_rule.nonzero()[:, 0], (~has_rule).nonzero()[:, 0]
        self.chunk_steps = max(1, CHUNK // (len(keys) * count))
        self.rows = torch.empty(self.chunk_steps, len(keys), count, dtype=torch.int64, device=keys.device)
        self.first = -self.chunk_steps
        self.first_on_device = torch.zeros((), dtype=torch.int64, device=keys.device)

    def prepare(self, step: int) -> None:
        """Draw the chunk that holds the step, if it is not there; called from the host, before the step."""
        if not self.first <= step < self.first + self.chunk_steps:
            self.first = step
            self.first_on_device.fill_(step)
            drawn = self._drawn(step * self.count, self.chunk_steps * self.count)
            self.rows.copy_(drawn.view(len(drawn), self.chunk_steps, self.count).transpose(0, 1))

    def _drawn(self, start: int, count: int) -> Tensor:
        """Return so many positions of every member's stream, (K, count)."""
        turns = self.turns
        if turns is None:
            return self._without_rule(slice(None), start, count)
        drawn = torch.empty(len(self.keys), count, dtype=torch.int64, device=self.keys.device)
        drawn[self.plain] = self._without_rule(self.plain, start, count)
        at = self.by_rule
        chosen, offsets = turns.of(at), self.pool.start[at]
        rows = streams.class_rows(
            self.turn_keys[at], chosen.classes, chosen.rows_in_turn, start, count, offsets=offsets
        )
        drawn[at] = turns.rows[rows]
        return drawn

    def _without_rule(self, at: Tensor | slice, start: int, count: int) -> Tensor:
        pool = self.pool
        offsets, batch = pool.start[at], self.batch_rows
        return streams.rows(self.keys[at], pool.size[at], start, count, batch=batch, offsets=offsets)

    def batch(self, step: Step) -> Batch:
        """Return the batch of a prepared step."""
        if isinstance(step, Tensor):
            rows = self.rows.index_select(0, (step - self.first_on_device).view(1)).squeeze(0)
        else:
            rows = self.rows[step - self.first]
        return Batch(self.pool.X, self.pool.y, rows, (len(rows), self.count))


def drawn_sides(
    company: Company, names: Sequence[str], batches: Sequence[int], *, each: int = 1
) -> tuple[list[Draws], list[Callable[[Step, int], Keep]]]:
    """Return the draws and the dropout of each pool, `each` batches a step; `names` tell their streams apart."""
    config, device = company.configs[0], company.pools[0].X.device
    draws, keep = [], []
    for side, name, batch in zip(company.pools, names, batches, strict=True):
        keys = streams.keys(company.seeds, f"{name}order", device)
        of_classes = [
            streams.keys(company.seeds, f"{name}{class_name}", device)
            for class_name in ("negatives", "positives")
        ]
        class_keys = torch.stack(of_classes, 1)
        draws.append(Draws(side, keys, each * batch, config.whole(batch), class_keys))
        masks = streams.keys(company.seeds, f"{name}dropout", device)
        keep.append(dropout(company.configs, masks, side.X.dtype))
    return draws, keep


def dropout(
    configs: Sequence[NetworkConfig], keys: Tensor, dtype: torch.dtype
) -> Callable[[Step, int], Keep]:
    """Return a function (step, rows) → one factor tensor (K, rows, h) per hidden layer, or None without dropout."""
    rates = torch.tensor([config.dropout for config in configs], dtype=dtype, device=keys.device)
    drops_out = any(config.dropout for config in configs)
    widths, after = configs[0].hidden, configs[0].dropout_after

    def draw(step: Step, rows: int) -> Keep:
        if not drops_out:
            return None
        start, factors = step * rows * sum(widths), []
        for layer, width in enumerate(widths):
            if after is None or layer + 1 in after:
                factors.append(streams.dropout(keys, rates, start, rows * width).view(-1, rows, width))
            else:
                factors.append(rates.new_ones(len(keys), rows, width))
            start = start + rows * width
        return factors

    return draw

"""Time contenders in turn, round after round, and compare them round by round.

The clock counts this process's CPU time: all work is one thread's, so on a quiet machine it is the time that
passes, and on a busy one neighbours that take the core away cost neither engine nor peer. `wall` counts
what passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import torch

T = TypeVar("T")
Tell = Callable[[str], None]
CLOCKS: Mapping[str, Callable[[], float]] = {"cpu": time.process_time, "wall": time.perf_counter}
PEAK_SIDE, PEAK_REPEATS = 768, 50  # of the square matrices whose product is the peak


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, seconds to a timing, members to a pack; `quick` is for tests only."""

    rounds: int
    seconds: float
    members: tuple[int, ...]
    quick: bool = False
    clock: str = "cpu"

    def time(self, run: Callable[[int], T], n: int) -> tuple[float, T]:
        """Return the seconds that `run(n)` takes, and what it returns."""
        now = CLOCKS[self.clock]
        started = now()
        found = run(n)
        return now() - started, found


@dataclass(frozen=True)
class Contender:
    """Something that can do `run(n)` updates; one update is shared by `members` networks.

    `starts` says that every run sets up anew: an update's time is then the slope between two numbers of
    them. `period` is after how many updates work done ahead (drawing a chunk of rows) comes again; whole
    periods are timed. `order` is of MetaBalance's gradient; `note` is for the reader.
    """

    name: str
    run: Callable[[int], None]
    members: int = 1
    order: int | None = None
    note: str = ""
    period: int = 1
    starts: bool = False


@dataclass(frozen=True)
class Timing:
    """Seconds per update and member in each round; `whole` counts a run's setting-up too."""

    seconds: tuple[float, ...]
    whole: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median round."""
        return median(self.seconds)

    def faster_than(self, peer: Timing) -> float:
        """Return how many times our time the peer's is: the median of the rounds' ratios."""
        return median(theirs / ours for ours, theirs in zip(self.seconds, peer.seconds, strict=True))


def race(contenders: Sequence[Contender], effort: Effort, tell: Tell) -> list[Timing]:
    """Time every contender once per round, in turn, each with its number of updates set beforehand."""
    lengths = [_lengths(c, effort) for c in contenders]
    rounds = []
    for i in range(effort.rounds):
        tell(f"  round {i + 1} of {effort.rounds}: {len(contenders)} contenders")
        rounds.append([_timed(c, effort, *n) for c, n in zip(contenders, lengths, strict=True)])
    return [
        Timing(tuple(per for per, _ in mine), tuple(whole for _, whole in mine))
        for mine in zip(*rounds, strict=True)
    ]


def peak_gflops(effort: Effort) -> float:
    """Return this machine's float32 matrix product, best of several, in GFLOP/s of the threads torch has."""
    a, b, out = (torch.rand(PEAK_SIDE, PEAK_SIDE) for _ in range(3))
    best = min(effort.time(lambda _: torch.mm(a, b, out=out), i)[0] for i in range(PEAK_REPEATS))
    return 2 * PEAK_SIDE**3 / best / 1e9


def _timed(c: Contender, effort: Effort, short: int, long: int) -> tuple[float, float]:
    """Return the seconds per update and member, without and with the setting-up."""
    spent, _ = effort.time(c.run, long)
    whole = spent / long / c.members
    if not c.starts:
        return whole, whole
    slope = (spent - effort.time(c.run, short)[0]) / (long - short) / c.members
    return (slope if slope > 0 else whole), whole  # of runs too short to tell, the larger


def _lengths(c: Contender, effort: Effort) -> tuple[int, int]:
    """Return two numbers of updates, whole periods, whose difference lasts about `effort.seconds`."""
    c.run(c.period)
    base, _ = effort.time(c.run, c.period)
    n, each = c.period, base / c.period
    if c.starts:
        spent = 0.0
        while spent < effort.seconds / 2:
            n *= 3 if n == c.period else 2
            spent = effort.time(c.run, n)[0] - base
        each = spent / (n - c.period)
    periods = max(1, round(effort.seconds / each / c.period))
    short = c.period * max(1, periods // 8)
    return short, short + c.period * periods

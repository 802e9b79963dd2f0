"""Two worker processes beside one, through the machinery of `bench run`.

Both do the same runs of simulated loans. Starting is excluded: a run's time is the slope between a short
and a long plan. What the machine itself has to give is measured as well: cores that share a physical core,
or a neighbour's load, leave less than twice the work.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from bench.contract import PlannedRun, Result
from bench.errors import BenchError
from bench.names import OK
from bench.runs.engines.local import ENGINE
from bench.runs.request import Request
from bench.workflows.run import make_plan
from tests.speed.measure import Effort, Tell, Timing
from tests.speed.rows import Row, timed

LONG_SECONDS = 20.0  # that the one worker's long plan lasts at least
ARMS = ("none", "metabalance")
FOLDS, SEEDS, PACK = 2, 8, 4  # of a unit of work
UNIT = len(ARMS) * FOLDS * SEEDS  # runs
ROUNDS = 3  # at most
PRODUCT_SIDE, PRODUCT_SECONDS = 256, 2.0
ONE, TWO = "one worker", "two workers"


def workers(effort: Effort, tell: Tell) -> list[Row]:
    """Return the seconds per run of one worker and of two, and how much two processes can do here."""
    settings = {"steps": "20"} if effort.quick else {}
    rounds = min(effort.rounds, ROUNDS)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    machine = []
    with TemporaryDirectory(prefix="bench-speed-") as folder:

        def run(units: int, size: int) -> float:
            return _seconds_of(units, size, Path(folder), settings)

        run(1, 2)  # the fork server starts, and stays
        short, long = (1, 2) if effort.quick else _sizes(run)
        for i in range(rounds):
            tell(f"  round {i + 1} of {rounds}: {(long - short) * UNIT} runs by one worker, and by two")
            for size, found in seconds.items():
                found.append(max(run(long, size) - run(short, size), 1e-9) / (long - short) / UNIT)
            machine.append(products_of_two(PRODUCT_SECONDS / (10 if effort.quick else 1)))
    one, two = (Timing(tuple(found), tuple(found)) for found in seconds.values())
    note = f"two processes that only multiply matrices do {median(machine):.2f}× the work of one here"
    rows = [Row("workers", f"arms {' and '.join(ARMS)}", name, engine=True) for name in (ONE, TWO)]
    return [timed(rows[0], one), timed(replace(rows[1], note=note), two, {ONE: one})]


def _sizes(run: Callable[[int, int], float]) -> tuple[int, int]:
    """Return the units of a short and a long plan; the long one lasts what is wanted."""
    first, second = run(1, 1), run(2, 1)
    unit = max(second - first, 0.1)
    long = max(3, math.ceil((LONG_SECONDS - (first - unit)) / unit))
    return max(1, long // 4), long


def _seconds_of(units: int, size: int, folder: Path, settings: Mapping[str, str]) -> float:
    """Return the seconds in which `size` workers do the units, none of which was done before."""
    with TemporaryDirectory(dir=folder) as results:
        request = Request(
            dataset="loan-sim",
            arms=ARMS,
            settings=settings,
            seeds=units * SEEDS,
            folds=FOLDS,
            repeats=1,
            pack=PACK,
            workers=size,
            device="cpu",
            results=Path(results),
        )
        made, silent = make_plan(request), _Silent()
        started = time.perf_counter()
        found = ENGINE.run(made.packs, made.bench, silent, workers=size)
        seconds = time.perf_counter() - started
    if failed := [result for result in found if result.status != OK]:
        raise BenchError(f"{len(failed)} runs of the workers' section failed; the first: {failed[0].error}")
    return seconds


class _Silent:
    """A reporter that says nothing."""

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        """Say nothing."""

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Say nothing."""

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        """Say nothing."""


def products_of_two(seconds: float) -> float:
    """Return how many times the work of one process two do side by side: what this machine has to give."""
    context = multiprocessing.get_context("forkserver")
    with context.Pool(2, _begin, (context.Barrier(2),)) as pool:
        together = sum(pool.starmap(_products, [(seconds, True)] * 2, chunksize=1))
        return together / float(pool.apply(_products, (seconds, False)))


_barrier: Any = None


def _begin(barrier: Any) -> None:
    global _barrier
    _barrier = barrier
    torch.set_num_threads(1)


def _products(seconds: float, together: bool) -> float:
    """Return this process's matrix products per second."""
    a, b, out = (torch.rand(PRODUCT_SIDE, PRODUCT_SIDE) for _ in range(3))
    torch.mm(a, b, out=out)
    if together:
        _barrier.wait()
    n, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        torch.mm(a, b, out=out)
        n += 1
    return n / spent

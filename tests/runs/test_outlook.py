"""How long all runs will take is told by what has run so far, and not before."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bench.contract import PlannedRun, Result
from bench.names import FAILED, OK
from bench.runs.outlook import SETTLE_SECONDS, Outlook

FOREST, NETWORK, RATE = "balanced-random-forest", "network", "prevalence"  # their costs: 20, 2.5, 0


class Told:
    """A reporter that remembers what it is to expect."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.handed_on: list[str] = []

    def expect(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        self.handed_on.append("started")

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        self.handed_on.append("progress")

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        self.handed_on.append("finished")


class Watched:
    """An outlook whose clock stands at `now`."""

    def __init__(self, *packs: tuple[str, int], workers: int = 1) -> None:
        self.now = 0.0
        self.told = Told()
        self.packs: list[Any] = [
            [SimpleNamespace(key=f"{place}-{i}", arm=name, method=name) for i in range(n)]
            for place, (name, n) in enumerate(packs)
        ]
        told: Any = self.told
        self.outlook = Outlook(told, self.packs, workers, clock=lambda: self.now)

    def start(self, place: int, worker: int = 0) -> None:
        self.outlook.pack_started(worker, self.packs[place])

    def progress(self, now: float, step: int, steps: int, worker: int = 0) -> None:
        self.now = now
        self.outlook.pack_progress(worker, step, steps)

    def finish(self, place: int, now: float, seconds: float, status: str = OK, worker: int = 0) -> None:
        self.now = now
        ended = [Result(run.key, run.arm, status, None) for run in self.packs[place]]
        self.outlook.pack_finished(worker, ended, seconds)


def test_the_share_of_the_first_pack_tells_how_long_it_takes() -> None:
    watched = Watched((NETWORK, 4))
    watched.start(0)
    watched.progress(1, 0, 1)  # its runs are prepared
    watched.progress(10, 10, 1000)
    assert watched.told.seconds == []
    watched.progress(20, 110, 1000)
    assert watched.told.seconds == [pytest.approx(89)]  # 890 steps at 10 a second
    assert watched.told.handed_on == ["started", "progress", "progress", "progress"]


def test_before_a_share_says_something_nothing_is_told() -> None:
    watched = Watched((FOREST, 10))
    watched.start(0)
    watched.progress(SETTLE_SECONDS / 2, 1, 10)
    assert watched.told.seconds == []
    watched.progress(60, 2, 10)
    assert watched.told.seconds == [pytest.approx(240)]


def test_arms_that_were_not_met_take_their_share_of_the_costs() -> None:
    watched = Watched((FOREST, 2), (NETWORK, 8), (RATE, 2))
    watched.start(0)
    watched.finish(0, 80, 80.0)  # 40 s a run of cost 20
    assert watched.told.seconds == [pytest.approx(8 * 40 * 2.5 / 20)]
    watched.start(1)
    watched.finish(1, 88, 8.0)
    assert watched.told.seconds[-1] == 0  # the rate's cost is none


def test_runs_without_a_cost_tell_nothing_of_others() -> None:
    watched = Watched((FOREST, 2), (RATE, 2), workers=2)
    watched.start(0)
    watched.start(1, worker=1)
    watched.finish(1, 1, 0.5, worker=1)
    assert watched.told.seconds == []


def test_workers_share_what_is_left_but_for_the_last_pack() -> None:
    watched = Watched((FOREST, 2), (FOREST, 2), (FOREST, 2), workers=2)
    watched.start(0)
    watched.start(1, worker=1)
    watched.progress(10, 1, 2)
    assert watched.told.seconds == [pytest.approx((10 + 10 + 20) / 2)]
    watched.finish(0, 20, 20.0)
    watched.finish(1, 20, 20.0, worker=1)
    watched.start(2)
    watched.progress(30, 1, 2)
    assert watched.told.seconds[-1] == pytest.approx(10)


def test_what_a_lost_worker_left_is_to_do_again() -> None:
    watched = Watched((FOREST, 2), (FOREST, 2))
    watched.start(0)
    watched.finish(0, 10, 10.0)
    watched.start(1)
    watched.now = 15
    watched.outlook.pack_finished(0, [], 5.0)
    assert watched.told.seconds == [pytest.approx(10), pytest.approx(10)]


def test_failed_runs_have_ended_too() -> None:
    watched = Watched((FOREST, 2), (FOREST, 2))
    watched.start(0)
    watched.finish(0, 2, 2.0, FAILED)
    assert watched.told.seconds == [pytest.approx(2)]


def test_a_pack_that_begins_anew_in_halves_is_measured_anew() -> None:
    watched = Watched((NETWORK, 4))
    watched.start(0)
    for now, step in ((0, 0), (10, 10), (20, 110), (30, 0), (40, 10), (50, 60)):
        watched.progress(now, step, 1000)
    assert watched.told.seconds[-1] == pytest.approx(940 / 5)

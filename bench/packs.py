"""Where packs run and who is told of it: engine, reporter, and a run's result (all named by `bench.contract`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.names import PlannedRun

Progress = Callable[[int, int], None]  # steps taken, steps at most


@dataclass(frozen=True)
class Result:
    """What became of one run, which has its record: its seconds by stage; whether it failed by scores not finite."""

    key: str
    arm: str
    status: str
    error: str | None
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)
    not_finite: bool = False


class Reporter(Protocol):
    """Who is told how far the packs are; `worker` numbers the place in which a pack runs."""

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        """Take note that a pack has begun."""

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Take note that a pack stands at `step` of at most `steps`."""

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        """Take note of a pack's runs that have a record; its others are tried again in smaller packs."""


class Bench(Protocol):
    """What an engine needs of a benchmark; it can be sent to another process (`bench.runs.workbench.Workbench`)."""

    def run_pack(self, runs: Sequence[PlannedRun], progress: Progress) -> list[Result]:
        """Run one pack and write every run's record; return the results in the runs' order."""


class Engine(Protocol):
    """Where packs run. A file of `bench/runs/engines/` has one as `ENGINE`; `--engine NAME` takes it."""

    name: str
    description: str

    def run(
        self,
        packs: Sequence[Sequence[PlannedRun]],
        bench: Bench,
        reporter: Reporter,
        *,
        workers: int,
        timeout: float | None = None,
    ) -> list[Result]:
        """Run all packs and return their results; `timeout` is in seconds per run."""

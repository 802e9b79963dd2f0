"""The contract of an engine, as checks: it runs a small benchmark, one arm of which fails, and is looked at after."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bench.arms.arm import ARMS
from bench.contract import Arm, Engine, PlannedRun, Result
from bench.names import DEFAULT_PROTOCOL, FAILED, OK, TIMEOUT
from bench.protocols import protocol_named
from bench.runs.run import Run, packs, plan
from bench.runs.workbench import Workbench
from bench.store.folder import Store
from bench.testing.checks import Check, examine, expect, loans

FAILS = Arm(
    "fails",
    "estimator",
    "more neighbours than there are rows",
    settings={"estimator": "sklearn.neighbors.KNeighborsClassifier", "parameters": {"n_neighbors": 10**6}},
)
LONG, SHORT = (
    600.0,
    1e-3,
)  # time limits, in seconds per run: one that no run reaches, and one that every run may


@dataclass
class Told:
    """A reporter that keeps what it is told."""

    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        """Keep the keys of a pack that begins."""
        self.begun += [run.key for run in runs]

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Check how far a pack is."""
        expect(0 <= step <= steps, f"a pack stands at step {step} of {steps}")

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        """Keep the keys of a pack that has ended."""
        expect(seconds >= 0, f"a pack took {seconds} seconds")
        self.ended += [result.key for result in results]


@dataclass
class Subject:
    """An engine, and what became of a small benchmark by it."""

    engine: Engine
    store: Store
    told: Told = field(default_factory=Told)

    @cached_property
    def bench(self) -> Workbench:
        """The benchmark: two folds of the simulated table."""
        splits = protocol_named(DEFAULT_PROTOCOL).splits(loans(), folds=2)
        return Workbench(loans(), {split.sha256: split for split in splits}, self.store, "cpu")

    @cached_property
    def runs(self) -> list[Run]:
        """Two arms that work and one that fails, two seeds each."""
        arms = [ARMS["prevalence"], FAILS, ARMS["logistic-regression"]]
        return plan(loans(), self.bench.protocol, list(self.bench.splits.values()), arms, 2)

    @cached_property
    def results(self) -> list[Result]:
        """What the engine returns."""
        grouped = packs(self.runs, pack=3, workers=2)
        return self.engine.run(grouped, self.bench, self.told, workers=2, timeout=LONG)


def examine_engine(engine: Engine) -> list[Check]:
    """Return what holds and what does not of an engine."""
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        return examine(TESTS, Subject(engine, Store(Path(folder))))


def every_run_has_a_result(subject: Subject) -> None:
    """Every run is run once, and its result returned."""
    _check_results(subject.runs, subject.results)


def _check_results(runs: Sequence[Run], results: Sequence[Result]) -> None:
    wanted, returned = (Counter(each.key for each in many) for many in (runs, results))
    expect(
        wanted == returned,
        f"{returned.total()} results of {len(returned)} runs; {wanted.total()} were asked for",
    )


def every_run_has_a_record(subject: Subject) -> None:
    """Every run has its record, and the result says what became of it."""
    _check_records(subject.runs, subject.results, subject.store)


def _check_records(runs: Sequence[Run], results: Sequence[Result], store: Store) -> None:
    by_key = {result.key: result for result in results}
    for run in runs:
        record = store.read(run.dataset, run.key)
        expect(record is not None, f"the run {run.key[:12]} of {run.arm} has no record")
        status = record.status if record else None
        expect(
            by_key[run.key].status == status, f"{run.arm}: {by_key[run.key].status}, and its record {status}"
        )


def a_failing_run_fails_alone(subject: Subject) -> None:
    """A run that fails has a failed record with its reason, and the others go on."""
    for result in subject.results:
        expected = FAILED if result.arm == FAILS.name else OK
        expect(
            result.status == expected, f"{result.arm}: {result.status} ({result.error}); expected {expected}"
        )
        expect(result.error or expected == OK, f"{result.arm} failed, and no reason is given")


def who_watches_is_told(subject: Subject) -> None:
    """The reporter is told of every run, when its pack begins and when it has ended."""
    expect(subject.results, "there is no result")
    wanted = {run.key for run in subject.runs}
    for words, keys in (("began", subject.told.begun), ("ended", subject.told.ended)):
        missing = len(wanted - set(keys))
        expect(not missing, f"the reporter was not told that {missing} of {len(wanted)} runs {words}")


def a_time_limit_is_taken(subject: Subject) -> None:
    """A run that takes longer than its time limit has a record that says so, where the engine can end a run."""
    limited = replace(subject.bench, store=Store(subject.store.root / "limited"))
    runs = [run for run in subject.runs if run.arm != FAILS.name][:2]
    results = subject.engine.run([[run] for run in runs], limited, Told(), workers=2, timeout=SHORT)
    _check_results(runs, results)
    _check_records(runs, results, limited.store)
    for result in results:
        expect(
            result.status in (OK, TIMEOUT),
            f"{result.arm}: {result.status} ({result.error}); expected {TIMEOUT}, or {OK} of a run that was not ended",
        )


def nothing_to_do_is_done(subject: Subject) -> None:
    """Without packs it returns no result."""
    results = subject.engine.run([], subject.bench, Told(), workers=2)
    expect(list(results) == [], f"it returns {results!r}")


TESTS = (
    every_run_has_a_result,
    every_run_has_a_record,
    a_failing_run_fails_alone,
    who_watches_is_told,
    a_time_limit_is_taken,
    nothing_to_do_is_done,
)

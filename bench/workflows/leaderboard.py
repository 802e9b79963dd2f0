"""One benchmark from a plan to its leaderboard: what `bench run` and `bench.run` both are."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.arms.spelling import is_tuned
from bench.contract import Result
from bench.errors import BadStore
from bench.names import FAILED, OK
from bench.report import leaderboard as boards
from bench.report.render import markdown
from bench.report.selection import board_path, measured, newest, own_arms, place_of, scope_at
from bench.runs.prepare import FullReporter
from bench.runs.request import Request
from bench.store.schema import Record
from bench.tuning.search import Search
from bench.workflows.pages import Board, tuned_board
from bench.workflows.run import Execution, Plan, budget, planned, run_plan
from bench.workflows.study import Tuning, tune_missing


@dataclass(frozen=True)
class Outcome:
    """What a benchmark ended with; `failed` are all wanted runs whose record is not ok.

    `shares` says where the time went, by stage; they sum to 1.
    """

    leaderboard: pd.DataFrame
    path: Path
    n_runs: int
    n_done_before: int
    failed: list[Result]
    seconds: float
    budget: str
    arms: list[str]
    shares: dict[str, float]


def run(
    request: Request, reporter: FullReporter, *, after_tuning: Callable[[Tuning], None] | None = None
) -> Outcome | None:
    """Do all of a request: tune what is to be run tuned and is not yet, run what has no record, write the leaderboard.

    `after_tuning` is told what was tuned before anything is run. None where the request's shard has no run.
    """
    if request.tuned:
        tuning = tune_missing(request, Search(), reporter)
        if tuning is not None and after_tuning is not None:
            after_tuning(tuning)
    plan = planned(request, reporter)
    return run_and_rank(plan, reporter) if plan.runs else None


def run_and_rank(plan: Plan, reporter: FullReporter) -> Outcome:
    """Do what is left of the plan and write the leaderboard of its scope, Markdown beside parquet."""
    execution = run_plan(plan, reporter)
    executed = time.perf_counter()
    board, records = _leaderboard(plan, reporter)
    failed = _failures(plan, records)
    tabulating = time.perf_counter() - executed
    return Outcome(
        board.frame,
        board.path,
        len(plan.runs),
        len(plan.runs) - len(plan.todo),
        failed,
        execution.seconds + tabulating,
        budget(plan.runs),
        list(dict.fromkeys(run.arm for run in plan.runs)),
        _shares(plan, execution, tabulating),
    )


def _leaderboard(plan: Plan, reporter: FullReporter) -> tuple[Board, list[Record]]:
    """Write the leaderboard of the plan's scope; return it, and the records of that scope."""
    store, dataset, scope = plan.bench.store, plan.table.name, plan.runs[0].scope
    all_records, own_keys = store.records(dataset), store.own_keys(dataset)
    if _published_elsewhere(all_records, own_keys, plan):
        reporter.note(f"The published runs on {dataset} have other rows or splits: none stands beside yours.")
    records = [record for record in all_records if record.scope == scope]
    table = measured(store, newest(records, {place_of(run): run.setup for run in plan.runs}))
    frame = boards.leaderboard(table)
    if frame.empty:
        raise BadStore(
            f"No scores under {store.root} can be read; run the same command again to make them anew."
        )
    path = board_path(store, dataset, plan.bench.protocol.name)
    if scope_at(path) not in (None, scope):
        reporter.note(f"{path} stood on other rows or splits; it is replaced. Its records are kept.")
    board = Board(frame, path, {path.with_suffix(".md"): markdown(frame)}, is_leaderboard=True)
    board.write()
    if any(is_tuned(arm) for arm in own_arms(records, own_keys)):
        tuned_board(table, path, store.root).write()
    return board, records


def _published_elsewhere(records: Sequence[Record], own_keys: Collection[str], plan: Plan) -> bool:
    """Return whether there are published runs under the plan's protocol, and none on its rows and splits."""
    scopes = {
        record.scope
        for record in records
        if record.protocol == plan.bench.protocol.name and record.key not in own_keys
    }
    return bool(scopes) and plan.runs[0].scope not in scopes


def _failures(plan: Plan, records: Sequence[Record]) -> list[Result]:
    """Return the wanted runs that have no good record, each with the reason."""
    wanted = {run.key for run in plan.runs}
    failed = [
        Result(record.key, record.arm, record.status, record.error, not_finite=bool(record.not_finite))
        for record in records
        if record.key in wanted and record.status != OK
    ]
    lost = "its scores were damaged; they are in quarantine, and the same command runs it again"
    stored = set(plan.bench.store.keys(plan.table.name))
    return failed + [Result(run.key, run.arm, FAILED, lost) for run in plan.runs if run.key not in stored]


def _shares(plan: Plan, execution: Execution, tabulating: float) -> dict[str, float]:
    """Return the share of each stage in the command's time; workers' seconds count by their number.

    "waiting" is what workers spent on none of their stages: starting, importing, and being idle at the end.
    """
    workers = max(1, min(plan.workers, len(plan.packs)))
    stages: dict[str, float] = {}
    for result in execution.results:
        for stage, seconds in result.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + seconds / workers
    stages["waiting"] = max(0.0, execution.seconds - sum(stages.values()))
    stages |= {"planning": execution.planning_seconds, "tabulating": tabulating}
    total = sum(stages.values())
    return {stage: seconds / total for stage, seconds in sorted(stages.items(), key=lambda item: -item[1])}

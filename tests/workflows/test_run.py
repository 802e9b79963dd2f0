"""A plan is executed and recorded by one function, and ranked by another that trains nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.cli.progress import Lines
from bench.runs.request import Request
from bench.store.folder import Store
from bench.workflows.leaderboard import run_and_rank
from bench.workflows.run import make_plan, run_plan

QUIET = Lines(Console(quiet=True))


def test_a_plan_is_run_without_a_table_and_ranked_from_its_records(tmp_path: Path) -> None:
    request = Request(
        dataset="loan-sim", rows=600, arms=("prevalence",), folds=2, seeds=1, results=tmp_path, workers=0
    )
    plan = make_plan(request)
    execution = run_plan(plan, QUIET)
    assert [(result.key, result.status) for result in execution.results] == [
        (run.key, "ok") for run in plan.todo
    ]
    assert set(Store(tmp_path).keys("loan-sim")) == {run.key for run in plan.runs}
    assert not list((tmp_path / "leaderboards").iterdir())
    assert execution.seconds > 0
    outcome = run_and_rank(make_plan(request), QUIET)
    assert (outcome.n_runs, outcome.n_done_before, outcome.failed) == (2, 2, [])
    assert sorted(path.suffix for path in (tmp_path / "leaderboards").iterdir()) == [".md", ".parquet"]
    assert sum(outcome.shares.values()) == pytest.approx(1)

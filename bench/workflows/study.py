"""From studies to configurations and ledger: what `bench study`, `bench run --tuned` and `bench.tune` all do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BadStudy
from bench.runs.prepare import FullReporter, Request, prepare
from bench.tuning.configurations import tuned_arms, tuned_for, tuned_path, write_tuned
from bench.tuning.loop import tune
from bench.tuning.plan import Search, StudyPlan, plan_studies
from bench.tuning.trials import Studied
from bench.workflows.tables import study_boards


@dataclass(frozen=True)
class Tuning:
    """The studies of a command with their trials, and the files that were written of them."""

    studied: list[Studied]
    written: list[Path]


def tune_and_write(plan: StudyPlan, reporter: FullReporter) -> Tuning:
    """Do the studies of the plan; write the configurations, all trials, the ledger and its figures.

    The configurations are also written where the studies are interrupted.
    """
    results, dataset = plan.request.results, plan.ready.table.name
    if n_published := _n_published(plan):
        reporter.note(
            f"{n_published} trials of {dataset} are taken over from the published studies, and count as done"
        )
    try:
        studied = tune(plan, reporter)
    finally:
        chosen = write_tuned(plan.store, dataset, plan.keys)
    written = [tuned_path(results, dataset)] if chosen else []
    written += [path for board in study_boards(results, dataset) for path in board.write()]
    return Tuning(studied, written)


def _n_published(plan: StudyPlan) -> int:
    """Return how many trials the studies take over from published ones: those that this folder does not have."""
    own = {trial.id for studied in plan.store.studies(plan.ready.table.name) for trial in studied.trials}
    return sum(trial.id not in own for job in plan.jobs for trial in job.adopted)


def tune_missing(request: Request, search: Search, reporter: FullReporter) -> Tuning | None:
    """Tune the arms of the request that some fold has no configuration of; return None where there are none.

    Raises BadStudy where a study has no complete trial.
    """
    ready = prepare(request, reporter.download)
    known = tuned_for(ready, anyway=request.tuned_anyway)
    _, lacking, _ = tuned_arms(ready, known, anyway=request.tuned_anyway)
    if not lacking:
        return None
    names = [arm.name for arm in lacking]
    reporter.note(f"to tune first: {', '.join(names)}")
    plan = plan_studies(request, search, reporter.download, only=names, ready=ready)
    tuning = tune_and_write(plan, reporter)
    check_complete(tuning.studied)
    return tuning


def check_complete(studied: Sequence[Studied]) -> None:
    """Raise BadStudy where a study has no complete trial, with the first reason."""
    without = [study for study in studied if study.best is None]
    if not without:
        return
    study, trials = without[0].study, without[0].trials
    reasons = [trial.error for trial in trials if trial.error]
    why = f"all {len(trials)} failed, the first: {reasons[0].rstrip('.')}" if reasons else "none was run"
    raise BadStudy(
        f"{len(without)} of {len(studied)} studies have no complete trial, so that there is nothing to choose from. "
        f"Of {study.arm} on fold {study.repeat}.{study.fold} {why}. Mend that; then the same command with more "
        "--trials goes on. The other studies' results are kept."
    )

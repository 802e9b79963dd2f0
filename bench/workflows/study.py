"""From studies to configurations and ledger: what `bench study`, `bench run --tuned` and `bench.tune` all do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.arms.settings import adjust_all, select
from bench.errors import BadStore, BadStudy
from bench.runs.card import the_card
from bench.runs.prepare import FullReporter, prepare
from bench.runs.request import Request
from bench.tuning import loop
from bench.tuning.configurations import tuned_arms, tuned_for, tuned_path, write_tuned
from bench.tuning.plan import StudyPlan, plan_studies
from bench.tuning.search import Search
from bench.tuning.space import tunable
from bench.tuning.trials import FAIL, Studied, Study, TrialStore, Tried
from bench.workflows.tables import current, draw_slices, study_boards


@dataclass(frozen=True)
class Tuning:
    """Studies with their trials, and the files that were written of them.

    `elsewhere` are the arms asked for whose studies are of other splits than these.
    """

    studied: list[Studied]
    written: list[Path]
    elsewhere: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[tuple[Study, Tried]]:
        """The trials that failed, each with its study."""
        return [
            (studied.study, trial)
            for studied in self.studied
            for trial in studied.trials
            if trial.state == FAIL
        ]


def tune(request: Request, search: Search, reporter: FullReporter) -> Tuning:
    """Tune the request's arms on every fold, and write what that gave."""
    plan = plan_studies(request, search, reporter.download)
    for note in plan.ready.notes:
        reporter.note(note)
    if plan.untunable:
        reporter.note(f"nothing to tune: {', '.join(plan.untunable)}")
    unchanged = sum(bool(job.adopted) for job in plan.jobs)
    if search.anew and unchanged:
        reporter.note(
            f"--anew: the space of {unchanged} of {len(plan.jobs)} studies has not changed; they go on with their "
            "trials"
        )
    return tune_and_write(plan, reporter)


def stored(request: Request) -> Tuning:
    """Return the studies that are there of the request's arms, or of all arms, and draw them; nothing is tuned.

    They are of one set of splits, the one that was tuned on last. Raises BadStore where an arm has no study.
    """
    results, dataset = request.results, the_card(request).name
    names = _names(request)
    known = dict.fromkeys(studied.study.arm for studied in TrialStore(results).with_published(dataset))
    missing = [name for name in names or () if name not in known]
    if missing or not known:
        raise BadStore(
            f"{results} holds no study of {' or '.join(missing) or 'any arm'} on {dataset}; there are those of "
            f"{', '.join(known) or 'no arm'}. bench study --dataset {dataset} --arm ARM makes one."
        )
    studied = current(results, dataset, names, published=True)
    shown = {each.study.arm for each in studied}
    written = [path for board in study_boards(results, dataset) for path in board.write()]
    written += draw_slices(results, studied)
    return Tuning(studied, written, [name for name in names or known if name not in shown])


def _names(request: Request) -> list[str] | None:
    """Return the names of the arms asked for, of a matrix those that can be tuned; None where all are meant."""
    by_name = request.arms or request.arms_file
    if not (by_name or request.matrix or request.settings):
        return None
    arms = select(request.matrix, request.arms, request.arms_file, has_probability=True)
    return [arm.name for arm in adjust_all(arms, request.settings) if by_name or tunable(arm)]


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
        studied = loop.tune(plan, reporter)
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
    without = [each for each in studied if each.best is None]
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

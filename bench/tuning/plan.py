"""What there is to tune: for each arm and outer fold a study, with its space and the inner splits that judge a trial.

Where a study was begun in another search space, the user has to say whether its trials are taken over or left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from bench.arms.settings import configure
from bench.contract import Arm
from bench.data.split import Split
from bench.errors import BadSetting, BadSplit
from bench.names import digest
from bench.runs.prepare import Prepared, prepare
from bench.runs.request import Request
from bench.runs.run import Run, identity, plan, scope_of
from bench.tuning.search import Search
from bench.tuning.space import Classes, Space, arm_at, holds, space_of
from bench.tuning.trials import KEY_LENGTH, Studied, Study, TrialStore, Tried


@dataclass(frozen=True)
class Job:
    """One study to be done; `adopted` are its trials so far, or those of an older space that this one can hold."""

    study: Study
    arm: Arm
    space: Space
    inner: Sequence[Split]
    classes: Classes
    adopted: Sequence[Tried] = ()


@dataclass(frozen=True)
class StudyPlan:
    """Every study of a request; `untunable` are the arms with nothing to tune."""

    ready: Prepared
    request: Request
    search: Search
    jobs: list[Job]
    store: TrialStore
    untunable: list[str]

    @property
    def keys(self) -> set[str]:
        """The keys of the studies."""
        return {job.study.key for job in self.jobs}

    def runs(self, job: Job, arm: Arm) -> list[Run]:
        """Return the runs of one trial, inner fold by inner fold."""
        return plan(self.ready.table, self.ready.protocol, job.inner, [arm], self.search.seeds)


def plan_studies(
    request: Request,
    search: Search,
    download: Callable[..., None] | None = None,
    *,
    only: Collection[str] | None = None,
    ready: Prepared | None = None,
) -> StudyPlan:
    """Load, split and list the studies; nothing is trained. Every usage error comes from here.

    `only` names those of the request's arms that are meant; `ready` is what `prepare` made of the request, if it did.
    """
    ready = ready or prepare(request, download)
    store, jobs, untunable = TrialStore(request.results), [], []
    study_plan = StudyPlan(ready, request, search, [], store, [])
    inner = [_inner(ready, outer, search.inner_folds) for outer in ready.splits]
    for arm in (arm for arm in ready.arms if only is None or arm.name in only):
        configure(arm)
        its_jobs = [
            _job(study_plan, arm, outer, parts) for outer, parts in zip(ready.splits, inner, strict=True)
        ]
        if its_jobs[0].space.distributions:
            jobs += its_jobs
        else:
            untunable.append(arm.name)
    if not jobs:
        raise BadSetting(
            f"No setting of {', '.join(untunable)} is open to a study: there is nothing to tune."
        )
    known = store.with_published(ready.table.name)
    jobs = [_with_older(study_plan, job, known) for job in jobs]
    return replace(study_plan, jobs=jobs, untunable=untunable)


def _inner(ready: Prepared, outer: Split, folds: int) -> list[Split]:
    """Return the protocol's inner splits of a fold; raise BadSplit where they are not as many as asked for."""
    parts = ready.protocol.inner(ready.table, outer, folds)
    if len(parts) != folds or not all(isinstance(part, Split) for part in parts):
        raise BadSplit(
            f"The protocol {ready.protocol.name} gives {len(parts)} inner splits of fold {outer.repeat}.{outer.fold}; "
            f"expected {folds} of bench.data.split.Split."
        )
    return parts


def _job(study_plan: StudyPlan, arm: Arm, outer: Split, inner: Sequence[Split]) -> Job:
    ready, search, table = study_plan.ready, study_plan.search, study_plan.ready.table
    positives = int(table.y[outer.training].sum())
    classes = Classes(len(outer.training) - positives, positives)
    space = space_of(arm, classes)
    run = plan(table, ready.protocol, inner[:1], [arm], 1)[0]
    study = Study(
        dataset=table.name,
        protocol=ready.protocol.name,
        metric=ready.protocol.main_metric,
        scope=scope_of(table, ready.protocol, ready.splits),
        data_sha256=table.sha256,
        split_sha256=outer.sha256,
        rows_sha256=outer.training_sha256,
        inner_sha256=digest([part.sha256 for part in inner]),
        identity=identity(run),
        repeat=outer.repeat,
        fold=outer.fold,
        arm=arm.name,
        method=arm.method,
        version=run.version,
        inner_folds=search.inner_folds,
        seeds=search.seeds,
        negatives=classes.negatives,
        positives=classes.positives,
        space=space.texts,
        defaults=dict(space.defaults),
    )
    return Job(study, arm, space, inner, classes)


def _with_older(study_plan: StudyPlan, job: Job, known: Sequence[Studied]) -> Job:
    """Return the job with the trials that are there, or that it takes over from another space.

    Raises BadSetting where the space has changed and neither `extend` nor `anew` was asked for.
    """
    search = study_plan.search
    if same := [studied for studied in known if studied.study.key == job.study.key]:
        return replace(job, adopted=same[0].trials)
    older = [studied for studied in known if studied.study.base == job.study.base]
    if search.anew or not older:
        return job
    last = max(older, key=lambda studied: studied.finished)
    if not search.extend:
        raise BadSetting(
            f"The search space of {job.study.arm} has changed since its {len(last.trials)} trials on fold "
            f"{job.study.repeat}.{job.study.fold}: {'; '.join(changes(last.study.space, job.study.space))}. "
            "bench study --extend goes on with the old trials that have a place in the new space, --anew without them."
        )
    candidates = (_moved(study_plan, job, trial) for trial in last.trials)
    moved = [trial for trial in candidates if trial is not None]
    return replace(job, adopted=[replace(trial, number=i) for i, trial in enumerate(moved)])


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return in words how two spaces differ, given as Optuna's distributions in JSON."""
    return [
        *(f"{name} is gone" for name in old if name not in new),
        *(f"{name} is new" for name in new if name not in old),
        *(
            f"{name} was {_range(old[name])}, is {_range(new[name])}"
            for name in new
            if old.get(name, new[name]) != new[name]
        ),
    ]


def _range(text: str) -> str:
    values = json_to_distribution(text)
    if isinstance(values, CategoricalDistribution):
        return "one of " + ", ".join(map(str, values.choices))
    assert isinstance(values, FloatDistribution | IntDistribution)  # noqa: S101  (for mypy; Optuna has no other kind)
    step = f" in steps of {values.step:g}" if values.step not in (None, 1) else ""
    return f"{values.low:g} to {values.high:g}{' by equal factors' if values.log else ''}{step}"


def _moved(study_plan: StudyPlan, job: Job, trial: Tried) -> Tried | None:
    """Return an older space's trial with the new one's parameters; None where its runs would not be the same."""
    params = {name: trial.params.get(name, default) for name, default in job.space.defaults.items()}
    if not all(holds(values, params[name]) for name, values in job.space.distributions.items()):
        return None
    runs = study_plan.runs(job, arm_at(job.arm, params, job.classes))
    return replace(trial, params=params) if hash_of(runs) == trial.runs else None


def hash_of(runs: Sequence[Run]) -> str:
    """Return the short hash by which a trial names its runs."""
    return digest([run.key for run in runs])[:KEY_LENGTH]

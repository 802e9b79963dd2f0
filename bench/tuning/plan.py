"""What there is to tune: for each arm and outer fold a study, with its space and the inner splits that judge a trial.

A study that was begun in another space is not gone on with in silence: its trials are taken over, or left, as asked.
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
from bench.calls import take_as_declared
from bench.contract import Arm
from bench.data.split import Split
from bench.errors import BadSetting, UnknownName
from bench.names import PRUNERS, SEARCHES, digest
from bench.runs.prepare import Prepared, Request, prepare
from bench.runs.run import Run, identity, plan, scope_of
from bench.tuning.space import Classes, Space, arm_at, holds, space_of
from bench.tuning.trials import Studied, Study, TrialStore, Tried


@dataclass(frozen=True)
class Search:
    """How every study of a command searches.

    `trials` for each arm and fold, asked for in generations of `generation`, each run on `inner_folds` with `seeds`.
    Small generations find more, of networks larger ones end sooner (results/LOG.md, "how a study should search").
    No generation is asked for once `seconds` have passed. Where a space has changed since, `extend` goes on with the
    old trials that have a place in the new one, `anew` without them.
    """

    trials: int = 50
    inner_folds: int = 3
    seeds: int = 1
    generation: int = 4
    search: str = "tpe"
    pruner: str = "median"
    storage: str | None = None
    seconds: float | None = None
    anew: bool = False
    extend: bool = False

    @property
    def words(self) -> str:
        """How a trial is asked for, in words."""
        return f"{self.search} in generations of {self.generation}, pruner {self.pruner}"

    def __post_init__(self) -> None:
        """Refuse what no study can be."""
        take_as_declared(self)
        for name, known in (("search", SEARCHES), ("pruner", PRUNERS)):
            if getattr(self, name) not in known:
                raise UnknownName(name, getattr(self, name), known)
        for name in ("trials", "seeds", "generation"):
            if getattr(self, name) < 1:
                raise BadSetting(f"--{name} {getattr(self, name)}: at least 1 is needed.")
        if self.seconds is not None and not self.seconds > 0:
            raise BadSetting(f"--timeout {self.seconds:g}: give a positive number of seconds.")
        if self.anew and self.extend:
            raise BadSetting(
                "--extend takes over the trials of an older space, --anew leaves them: give one."
            )


@dataclass(frozen=True)
class Job:
    """One study to be done; `adopted` are trials of an older space that have a place in this one."""

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
    made = StudyPlan(ready, request, search, [], store, [])
    inner = [ready.protocol.inner(ready.table, outer, search.inner_folds) for outer in ready.splits]
    for arm in (arm for arm in ready.arms if only is None or arm.name in only):
        configure(arm)
        found = [_job(made, arm, outer, parts) for outer, parts in zip(ready.splits, inner, strict=True)]
        if found[0].space.distributions:
            jobs += found
        else:
            untunable.append(arm.name)
    if not jobs:
        raise BadSetting(
            f"No setting of {', '.join(untunable)} is open to a study: there is nothing to tune."
        )
    known = store.with_published(ready.table.name)
    jobs = [_with_older(made, job, known) for job in jobs]
    return replace(made, jobs=jobs, untunable=untunable)


def _job(made: StudyPlan, arm: Arm, outer: Split, inner: Sequence[Split]) -> Job:
    ready, search, table = made.ready, made.search, made.ready.table
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


def _with_older(made: StudyPlan, job: Job, known: Sequence[Studied]) -> Job:
    """Return the job with the trials that are there, or that it takes over from another space.

    Raises BadSetting where the space changed and nobody said which.
    """
    search = made.search
    if same := [one for one in known if one.study.key == job.study.key]:
        return replace(job, adopted=same[0].trials)
    older = [one for one in known if one.study.base == job.study.base]
    if search.anew or not older:
        return job
    last = max(older, key=lambda one: one.finished)
    if not search.extend:
        raise BadSetting(
            f"The search space of {job.study.arm} has changed since its {len(last.trials)} trials on fold "
            f"{job.study.repeat}.{job.study.fold}: {'; '.join(changes(last.study.space, job.study.space))}. "
            "bench study --extend goes on with the old trials that have a place in the new space, --anew without them."
        )
    moved = [found for trial in last.trials if (found := _moved(made, job, trial)) is not None]
    return replace(job, adopted=[replace(trial, number=i) for i, trial in enumerate(moved)])


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return in words what tells two spaces, of Optuna's distributions as JSON, apart."""
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
    one = json_to_distribution(text)
    if isinstance(one, CategoricalDistribution):
        return "one of " + ", ".join(map(str, one.choices))
    assert isinstance(one, FloatDistribution | IntDistribution)  # noqa: S101  (for mypy; Optuna has no other kind)
    step = f" in steps of {one.step:g}" if one.step not in (None, 1) else ""
    return f"{one.low:g} to {one.high:g}{' by equal factors' if one.log else ''}{step}"


def _moved(made: StudyPlan, job: Job, trial: Tried) -> Tried | None:
    """Return an older space's trial with the new one's parameters; None where its runs would not be the same."""
    params = {name: trial.params.get(name, default) for name, default in job.space.defaults.items()}
    if not all(holds(one, params[name]) for name, one in job.space.distributions.items()):
        return None
    runs = made.runs(job, arm_at(job.arm, params, job.classes))
    return replace(trial, params=params) if hash_of(runs) == trial.runs else None


def hash_of(runs: Sequence[Run]) -> str:
    """Return the short hash by which a trial names its runs."""
    return digest([run.key for run in runs])[:16]

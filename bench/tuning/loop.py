"""Studies: every arm tuned alike, by Optuna, on its fold's training rows alone, many trials at once.

For each arm and outer fold there is a study, and all of them go in step: each asks for a generation of trials, the
runs of all these trials on one inner fold are trained in packs, hopeless trials are pruned, and so on to the last
inner fold. No split that is trained on here holds a test row.

Whatever ends a process, what was finished stays: runs are records of a store of their own, trials files
(`bench.tuning.trials`). A trial whose process is gone is told failed, and what it had tried is asked for again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from math import isnan
from typing import Any
from uuid import uuid4

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.arms.settings import brief
from bench.contract import Arm, Result
from bench.names import OK, digest, seed_from
from bench.runs.engines.local import Crew
from bench.runs.prepare import FullReporter
from bench.runs.run import Run, packs
from bench.runs.workbench import Workbench
from bench.store.folder import Store
from bench.store.schema import Record
from bench.tuning.plan import Job, StudyPlan, hash_of
from bench.tuning.space import ROLES, arm_at, rounded
from bench.tuning.storage import SILENCE_SECONDS, Presence, open_storage, storage_errors
from bench.tuning.trials import COMPLETE, DECIMALS, FAIL, PRUNED, Studied, Tried

_SAMPLERS: Mapping[str, Callable[[int], Any]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
_PRUNERS: Mapping[str, Callable[[], Any]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
}
_STATES = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAIL: TrialState.FAIL}
WAIT_SECONDS = 1.0  # between two looks at the trials of other processes
RECORD, WORKER = "record", "worker"  # attributes of a trial in the storage: what it came to, and whose it is


def tune(made: StudyPlan, told: FullReporter) -> list[Studied]:
    """Do every study of the plan, or what is left of it; return them with their trials.

    Raises BadStore where the storage cannot be used.
    """
    dataset = made.ready.table.name
    journal = made.request.results / "studies" / f"{dataset}.journal"
    storage = open_storage(made.search.storage, journal)
    with storage_errors(made.search.storage or str(journal)), Presence(storage) as me:
        _go_on(made, [_Live(job, made, storage, me) for job in made.jobs], told)
    return [Studied(job.study, made.store.read(job.study)) for job in made.jobs]


def _go_on(made: StudyPlan, live: Sequence[_Live], told: FullReporter) -> None:
    """Ask and train, generation by generation, until every study has its trials or the time is up."""
    began, search, waiting = time.monotonic(), made.search, False
    ahead = _TrialProgress(live, search.trials, told)
    with Crew(_workbench(made), made.ready.workers) as crew:
        while search.seconds is None or time.monotonic() - began < search.seconds:
            for study in live:
                study.agree()
            asked = [trial for study in live for trial in study.ask()]
            if asked:
                ahead.asked = asked
                _train(made, crew, asked, ahead)
                ahead.end()
            elif any(study.waits() for study in live):
                if not waiting:
                    told.note("waiting for trials that other processes asked for")
                waiting = True
                time.sleep(WAIT_SECONDS)
            else:
                break
    for study in live:
        study.agree()


class _TrialProgress:
    """Tells the reporter how many trials of all are done, while a crew tells this of its packs."""

    def __init__(self, live: Sequence[_Live], trials: int, told: FullReporter) -> None:
        self.live, self.trials, self.told = live, trials, told
        self.asked: Sequence[_Asked] = ()
        self.done = self.wanted = 0  # runs on the inner fold that is being trained

    def train(self, wanted: int) -> None:
        """Take note of so many runs on the next inner fold."""
        self.done, self.wanted = 0, wanted
        self._tell(ended=False)

    def end(self) -> None:
        """Take note that the generation is done."""
        self.asked = ()
        self._tell(ended=True)

    def _tell(self, *, ended: bool) -> None:
        share = self.done / self.wanted if self.wanted else 0.0
        going = [trial for trial in self.asked if trial.state is None]
        parts = sum((len(trial.values) + share) / len(trial.runs) for trial in going)
        whole = sum(min(study.n_done, self.trials) for study in self.live)
        self.told.trials(
            min(whole + parts, self.trials * len(self.live)), self.trials * len(self.live), ended=ended
        )

    def pack_started(self, worker: int, runs: Sequence[Run]) -> None:
        """Take no note: a trial is of several packs, and a pack of several trials."""

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Take no note of steps."""

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:  # noqa: ARG002
        """Count the pack's runs; without results its worker was lost, and they are tried again."""
        if not results:
            self.told.note("a worker was lost; its runs are tried again in smaller packs")
        self.done = min(self.done + len(results), self.wanted)
        self._tell(ended=False)


def _workbench(made: StudyPlan) -> Workbench:
    ready = made.ready
    store = Store(made.request.results / "studies")
    inner = {part.sha256: part for job in made.jobs for part in job.inner}
    return Workbench(ready.table, inner, store, ready.device, since=time.time(), protocol=ready.protocol)


@dataclass
class _Asked:
    """A trial under way: its runs by inner fold, and what they came to so far."""

    live: _Live
    trial: optuna.trial.Trial
    arm: Arm
    runs: list[list[Run]]
    started: float = field(default_factory=time.time)
    values: list[float] = field(default_factory=list)
    seconds: float = 0.0
    samples: int = 0
    state: str | None = None
    error: str | None = None

    @property
    def is_default(self) -> bool:
        """Whether this is the arm as it is, to which the others are held: it runs to its end."""
        return self.trial.params == dict(self.live.job.study.defaults)

    def note(self, records: Sequence[Record | None], metric: str) -> None:
        """Take note of one inner fold's runs; a run that failed fails the trial."""
        for record in records:
            if record is None or record.status != OK:
                self.state, self.error = FAIL, record.error if record else "its record was lost"
            if record is not None:
                stages = (record.resample_seconds, record.fit_seconds, record.score_seconds)
                self.seconds += sum(seconds or 0.0 for seconds in stages)
                self.samples += record.samples_seen or 0
        if self.state == FAIL:
            return
        values = [record.valid[metric] for record in records if record]
        value = float(np.mean(np.array(values, dtype=float)))
        if isnan(value):
            self.state, self.error = FAIL, f"{metric} of the validation rows is not a number"
            return
        self.values.append(value)
        self.trial.report(float(np.mean(self.values)), len(self.values))
        if len(self.values) == len(self.runs):
            self.state = COMPLETE
        elif not self.is_default and self.trial.should_prune():
            self.state = PRUNED


def _train(made: StudyPlan, crew: Crew, asked: Sequence[_Asked], ahead: _TrialProgress) -> None:
    """Run the trials, inner fold by inner fold, and tell each as soon as its outcome is known."""
    request, ready, store = made.request, made.ready, crew.bench.store
    for fold in range(made.search.inner_folds):
        going = [trial for trial in asked if trial.state is None]
        wanted = {run.key: run for trial in going for run in trial.runs[fold]}
        todo = [run for run in wanted.values() if not _done(store, run)]
        grouped = packs(todo, pack=request.pack, workers=ready.workers, limit=ready.limit)
        ahead.train(len(todo))
        if grouped:
            crew.run(grouped, ahead, request.timeout)
        for trial in going:
            records = [store.read(run.dataset, run.key) for run in trial.runs[fold]]
            try:
                trial.note(records, ready.protocol.main_metric)
                if trial.state is not None:
                    trial.live.tell(trial)
            except UpdateFinishedTrialError:
                trial.state = FAIL  # another process took this one for dead, and asks for the same again


def _done(store: Store, run: Run) -> bool:
    record = store.read(run.dataset, run.key)
    return record is not None and record.status == OK


class _ByNumber(optuna.samplers.BaseSampler):
    """A sampler whose seed is the study's and the trial's number: no two processes draw the same."""

    def __init__(self, make: Callable[[int], Any], key: str) -> None:
        self.make, self.key = make, key

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """Begin a trial with a seed of its own."""
        self.sampler = self.make(seed_from("trial", self.key, trial.number) % 2**32)
        found: dict[str, Any] = self.sampler.infer_relative_search_space(study, trial)
        return found

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        """Sample what depends on each other."""
        found: dict[str, Any] = self.sampler.sample_relative(study, trial, search_space)
        return found

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """Sample the rest."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)


class _Live:
    """One study as it goes on in a storage that other processes may share."""

    def __init__(self, job: Job, made: StudyPlan, storage: BaseStorage, me: Presence) -> None:
        self.job, self.made, self.me = job, made, me
        self.optuna = optuna.create_study(
            storage=storage,
            study_name=job.study.name,
            load_if_exists=True,
            direction="maximize",
            sampler=_ByNumber(_SAMPLERS[made.search.search], job.study.key),
            pruner=_PRUNERS[made.search.pruner](),
        )
        self.n_done = 0  # trials with a record, of this process and of others

    def agree(self) -> None:
        """Bring storage and files into agreement, and fail the trials whose process is gone."""
        # Files first: a record is in the storage before it is a file (`tell`), so none seems to be missing there.
        files = {tried.id: tried for tried in self.made.store.read(self.job.study)}
        if files:
            self.made.store.describe(self.job.study)
        trials = self.optuna.get_trials(deepcopy=False)
        stored = {tried.id: tried for tried in map(_record, trials) if tried is not None}
        n = len(trials)
        for tried in [*self.job.adopted, *files.values()]:
            if tried.id not in stored:
                for _ in range(n, tried.number):  # numbers of trials that were given up: none is drawn twice
                    self.optuna.add_trial(create_trial(state=TrialState.FAIL))
                self.optuna.add_trial(_frozen(tried, self.job))
                stored[tried.id], n = tried, max(n, tried.number) + 1
        for tried in stored.values():
            if tried.id not in files:
                self.made.store.add(self.job.study, tried)
        self.n_done = len(stored)
        for trial in trials:
            if trial.state == TrialState.RUNNING and self._is_nobodys(trial):
                self._fail(trial)

    def _is_nobodys(self, trial: FrozenTrial) -> bool:
        """Return whether the process that asked for the trial is gone; it says whose it is a moment after."""
        if WORKER in trial.user_attrs:
            return self.me.gone(trial.user_attrs[WORKER])
        began = trial.datetime_start
        return began is None or time.time() - began.timestamp() > SILENCE_SECONDS

    def _fail(self, trial: FrozenTrial) -> None:
        """Finish a trial whose process is gone: as its record says, or as failed; then what it tried is asked again."""
        tried, storage = _record(trial), self.optuna._storage
        try:
            if tried is None:
                storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
            else:
                values = None if tried.value is None else [tried.value]
                storage.set_trial_state_values(trial._trial_id, _STATES[tried.state], values)
        except UpdateFinishedTrialError:  # another process was quicker
            return
        params = _params(trial)
        if tried is None and set(params) == set(self.job.space.distributions):
            self.optuna.enqueue_trial(params)

    def ask(self) -> Iterator[_Asked]:
        """Yield a generation of trials, no more than the study has left; the first is the arm as it is, once."""
        search, trials = self.made.search, self.optuna.get_trials(deepcopy=False)
        left = search.trials - len(_counted(trials))
        if left > 0 and not any(map(self._tries_defaults, trials)):
            self.optuna.enqueue_trial(dict(self.job.space.defaults))
        asked = [self._ask() for _ in range(min(left, search.generation))]
        mine = [trial for trial in asked if trial is not None]
        counted = _counted(self.optuna.get_trials(deepcopy=False)) if mine else []
        kept = {one.number for one in counted[: search.trials]}
        for trial in mine:
            if trial.number in kept:
                yield self._asked(trial)
            else:  # two processes asked at once: for too many, or both for the defaults
                self.optuna.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def _tries_defaults(self, trial: FrozenTrial) -> bool:
        """Return whether the trial is of the arm as it is, and has come to something or still may."""
        going = not trial.state.is_finished() or _record(trial) is not None
        return going and _params(trial) == dict(self.job.space.defaults)

    def _ask(self) -> optuna.trial.Trial | None:
        """Return a new trial; None where another process took this one for dead before it could say whose it is."""
        try:
            trial = self.optuna.ask(dict(self.job.space.distributions))
            trial.set_user_attr(WORKER, self.me.token)
        except UpdateFinishedTrialError:
            return None
        return trial

    def _asked(self, trial: optuna.trial.Trial) -> _Asked:
        arm = arm_at(self.job.arm, trial.params, self.job.classes)
        runs, inner = self.made.runs(self.job, arm), self.job.inner
        return _Asked(
            self, trial, arm, [[r for r in runs if r.split_sha256 == part.sha256] for part in inner]
        )

    def waits(self) -> bool:
        """Return whether trials of other processes are under way."""
        return any(trial.state == TrialState.RUNNING for trial in self.optuna.get_trials(deepcopy=False))

    def tell(self, asked: _Asked) -> None:
        """Write the trial's record into the storage, then its file, then tell the storage that it is over."""
        tried = Tried(
            id=uuid4().hex[:8],
            number=asked.trial.number,
            state=asked.state or FAIL,
            params=rounded(self.job.space, asked.trial.params),
            settings=brief(asked.arm),
            samplers={role: name for role in ROLES if (name := getattr(asked.arm, role)) is not None},
            values=[round(value, DECIMALS) for value in asked.values],
            seconds=round(asked.seconds, 4),
            samples=asked.samples,
            runs=hash_of([*chain(*asked.runs)]),
            search=self.made.search.words,
            error=asked.error,
            started=round(asked.started, 3),
            finished=round(time.time(), 3),
        )
        asked.trial.set_user_attr(RECORD, json.dumps(asdict(tried)))
        self.made.store.add(self.job.study, tried)
        self.n_done += 1
        value = tried.value if tried.state == COMPLETE else None
        # Whoever took this process for dead has finished the trial as its record says.
        self.optuna.tell(asked.trial, value, state=_STATES[tried.state], skip_if_finished=True)


def _counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials of which every arm has the same number: under way, or with a record, each record once.

    Of several trials that are under way with the same parameters, as two processes ask for the defaults, the first.
    """
    found: dict[str, FrozenTrial] = {}
    for trial in trials:
        tried = _record(trial)
        if tried is not None:
            found.setdefault(tried.id, trial)
        elif trial.state == TrialState.RUNNING:
            found.setdefault(digest(trial.params) if trial.params else str(trial.number), trial)
    return [*found.values()]


def _params(trial: FrozenTrial) -> dict[str, Any]:
    """Return what the trial tries, also of one that was queued and has not been given its parameters yet."""
    found: dict[str, Any] = trial.system_attrs.get("fixed_params", trial.params)
    return found


def _record(trial: FrozenTrial) -> Tried | None:
    text = trial.user_attrs.get(RECORD)
    return Tried(**json.loads(text)) if text is not None else None


def _frozen(tried: Tried, job: Job) -> FrozenTrial:
    """Return a trial of our files as Optuna's."""
    steps = {i + 1: float(np.mean(tried.values[: i + 1])) for i in range(len(tried.values))}
    return create_trial(
        state=_STATES[tried.state],
        value=tried.value if tried.state != FAIL else None,
        params=dict(tried.params),
        distributions=dict(job.space.distributions),
        user_attrs={RECORD: json.dumps(asdict(tried))},
        intermediate_values=steps,
    )

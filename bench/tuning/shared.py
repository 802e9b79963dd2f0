"""One study in an Optuna storage, where several processes ask for its trials and tell what they came to.

The storage chooses what is tried next, and carries finished trials from one process to another. It may be lost: the
trials in our files are the truth (`bench.tuning.trials`), and fill a storage that lacks them. Each trial in the storage
that has ended holds its record, so a trial counts once, by the record's id, wherever it is found.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.names import digest, seed_from
from bench.tuning.plan import Job, StudyPlan
from bench.tuning.storage import SILENCE_SECONDS, Presence
from bench.tuning.trials import COMPLETE, FAIL, PRUNED, Tried

SEARCH_SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}
TRIAL_PRUNERS: Mapping[str, Callable[[], BasePruner]] = {
    "none": NopPruner,
    "median": MedianPruner,
    "halving": lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
}
_STATES = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAIL: TrialState.FAIL}
RECORD, WORKER = "record", "worker"  # attributes of a trial in the storage: what it came to, and whose it is


class SharedStudy:
    """One study of a plan, as this process works on it; `n_done` counts the trials with a record, whoever ran them."""

    def __init__(self, job: Job, plan: StudyPlan, storage: BaseStorage, presence: Presence) -> None:
        self.job, self.plan, self.presence = job, plan, presence
        self.optuna = optuna.create_study(
            storage=storage,
            study_name=job.study.name,
            load_if_exists=True,
            direction="maximize",
            sampler=_ByNumber(SEARCH_SAMPLERS[plan.search.search], job.study.key),
            pruner=TRIAL_PRUNERS[plan.search.pruner](),
        )
        self.n_done = 0

    def agree(self) -> None:
        """Give the storage and the files the trials that they lack, and end those whose process is gone."""
        # Files first: `finish` writes a record to the storage before its file, so none seems to be missing there.
        files = {tried.id: tried for tried in self.plan.store.read(self.job.study)}
        trials = self.optuna.get_trials(deepcopy=False)
        stored = {tried.id: tried for tried in map(_record, trials) if tried is not None}
        ours = {tried.id: tried for tried in self.job.adopted} | files
        self._fill([tried for tried in ours.values() if tried.id not in stored], n_stored=len(trials))
        if files:
            self.plan.store.describe(self.job.study)
        every = stored | ours
        for tried in every.values():
            if tried.id not in files:
                self.plan.store.add(self.job.study, tried)
        self.n_done = len(every)
        for trial in trials:
            if trial.state == TrialState.RUNNING and self._is_abandoned(trial):
                self._end(trial)

    def _fill(self, missing: Iterable[Tried], n_stored: int) -> None:
        """Add our trials to the storage; numbers of which there is no record are used up, so none is drawn twice."""
        for tried in missing:
            for _ in range(n_stored, tried.number):
                self.optuna.add_trial(create_trial(state=TrialState.FAIL))
            self.optuna.add_trial(_as_optuna(tried, self.job))
            n_stored = max(n_stored, tried.number) + 1

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        """Return whether the process that asked for the trial is gone; a new trial says whose it is a moment later."""
        if WORKER in trial.user_attrs:
            return self.presence.gone(trial.user_attrs[WORKER])
        began = trial.datetime_start
        return began is None or time.time() - began.timestamp() > SILENCE_SECONDS

    def _end(self, trial: FrozenTrial) -> None:
        """End a trial whose process is gone: as its record says; without one as failed, and try the same again."""
        tried, storage = _record(trial), self.optuna._storage
        state = TrialState.FAIL if tried is None else _STATES[tried.state]
        values = None if tried is None or tried.value is None else [tried.value]
        try:
            storage.set_trial_state_values(trial._trial_id, state, values)
        except UpdateFinishedTrialError:  # another process was quicker
            return
        params = _params(trial)
        if tried is None and set(params) == set(self.job.space.distributions):
            self.optuna.enqueue_trial(params)

    def ask(self) -> Iterator[optuna.trial.Trial]:
        """Yield a generation of trials, no more than the study has left; the first is the arm as it is, once."""
        search, trials = self.plan.search, self.optuna.get_trials(deepcopy=False)
        n_left = search.trials - len(_counted(trials))
        if n_left > 0 and not any(map(self._tries_defaults, trials)):
            self.optuna.enqueue_trial(dict(self.job.space.defaults))
        asked = [self._ask() for _ in range(min(n_left, search.generation))]
        begun = [trial for trial in asked if trial is not None]
        counted = _counted(self.optuna.get_trials(deepcopy=False)) if begun else []
        wanted = {trial.number for trial in counted[: search.trials]}
        for trial in begun:
            if trial.number in wanted:
                yield trial
            else:  # two processes asked at once: for too many, or both for the defaults
                self.optuna.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def _tries_defaults(self, trial: FrozenTrial) -> bool:
        """Return whether the trial is of the arm as it is, and has a result or may still get one."""
        counts = not trial.state.is_finished() or _record(trial) is not None
        return counts and _params(trial) == dict(self.job.space.defaults)

    def _ask(self) -> optuna.trial.Trial | None:
        """Return a new trial; None where another process took this one for dead before it could say whose it is."""
        try:
            trial = self.optuna.ask(dict(self.job.space.distributions))
            trial.set_user_attr(WORKER, self.presence.token)
        except UpdateFinishedTrialError:
            return None
        return trial

    def waits(self) -> bool:
        """Return whether trials of other processes are under way."""
        return any(trial.state == TrialState.RUNNING for trial in self.optuna.get_trials(deepcopy=False))

    def finish(self, trial: optuna.trial.Trial, tried: Tried) -> None:
        """Write what the trial came to into the storage, then its file, then end it in the storage."""
        trial.set_user_attr(RECORD, json.dumps(asdict(tried)))
        self.plan.store.add(self.job.study, tried)
        self.n_done += 1
        value = tried.value if tried.state == COMPLETE else None
        # A process that took this one for dead has ended the trial as its record says.
        self.optuna.tell(trial, value, state=_STATES[tried.state], skip_if_finished=True)


class _ByNumber(BaseSampler):
    """A sampler whose seed is the study's and the trial's number: no two processes draw the same."""

    def __init__(self, make: Callable[[int], BaseSampler], key: str) -> None:
        self.make, self.key = make, key

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Begin a trial with a seed of its own."""
        self.sampler = self.make(seed_from("trial", self.key, trial.number) % 2**32)
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, object]:
        """Sample the parameters that depend on each other."""
        return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> object:
        """Sample any other parameter."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)


def _counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials of which every arm has the same number: under way, or with a record, each record once.

    Of several trials that are under way with the same parameters, as two processes ask for the defaults, the first.
    """
    counted: dict[str, FrozenTrial] = {}
    for trial in trials:
        tried = _record(trial)
        if tried is not None:
            counted.setdefault(tried.id, trial)
        elif trial.state == TrialState.RUNNING:
            counted.setdefault(digest(trial.params) if trial.params else str(trial.number), trial)
    return [*counted.values()]


def _params(trial: FrozenTrial) -> dict[str, object]:
    """Return what the trial tries, also where it was queued and has no parameters of its own yet."""
    return {**trial.system_attrs.get("fixed_params", trial.params)}


def _record(trial: FrozenTrial) -> Tried | None:
    text = trial.user_attrs.get(RECORD)
    return Tried(**json.loads(text)) if text is not None else None


def _as_optuna(tried: Tried, job: Job) -> FrozenTrial:
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

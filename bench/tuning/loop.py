"""Studies: every arm tuned alike, by Optuna, on its fold's training rows alone, many trials at once.

For each arm and outer fold there is a study, and all of them go in step: each asks for a generation of trials, the
runs of all these trials on one inner fold are trained in packs, trials that are far behind are pruned, and so on to
the last inner fold. No split that is trained on here holds a test row.

Whatever ends a process, what was finished stays: each run is a record in a store of its own, each trial a file
(`bench.tuning.trials`). A trial whose process is gone counts as failed, and the same parameters are tried again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isnan
from uuid import uuid4

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError

from bench.arms.settings import brief
from bench.contract import Arm, PlannedRun, Result
from bench.errors import BadPlugin, BadSetting
from bench.methods import ROLES
from bench.names import OK
from bench.runs.engines.local import Crew
from bench.runs.prepare import FullReporter
from bench.runs.run import Run, packs
from bench.runs.workbench import Workbench
from bench.store.folder import Store
from bench.store.schema import Record
from bench.tuning.plan import StudyPlan, hash_of
from bench.tuning.shared import SharedStudy
from bench.tuning.space import arm_at, rounded
from bench.tuning.storage import Presence, open_storage, storage_errors
from bench.tuning.trials import COMPLETE, DECIMALS, FAIL, PRUNED, Studied, Tried

WAIT_SECONDS = 1.0  # between two looks at the trials of other processes


def tune(plan: StudyPlan, reporter: FullReporter) -> list[Studied]:
    """Do every study of the plan, or what is left of it; return them with their trials.

    Raises BadStore where the storage cannot be used.
    """
    dataset = plan.ready.table.name
    journal = plan.request.results / "studies" / f"{dataset}.journal"
    storage = open_storage(plan.search.storage, journal)
    with storage_errors(plan.search.storage or str(journal)), Presence(storage) as presence:
        _go_on(plan, [SharedStudy(job, plan, storage, presence) for job in plan.jobs], reporter)
    return [Studied(job.study, plan.store.read(job.study)) for job in plan.jobs]


def _go_on(plan: StudyPlan, studies: Sequence[SharedStudy], reporter: FullReporter) -> None:
    """Ask and train, generation by generation, until every study has its trials or the time is up."""
    began, search, is_waiting = time.monotonic(), plan.search, False
    progress = _TrialProgress(studies, search.trials, reporter)
    with Crew(_workbench(plan), plan.ready.workers) as crew:
        while search.seconds is None or time.monotonic() - began < search.seconds:
            for study in studies:
                study.agree()
            asked = [_begin(study, trial) for study in studies for trial in study.ask()]
            if asked:
                progress.asked = asked
                _train(plan, crew, asked, progress)
                progress.end()
            elif any(study.waits() for study in studies):
                if not is_waiting:
                    reporter.note("waiting for trials that other processes asked for")
                is_waiting = True
                time.sleep(WAIT_SECONDS)
            else:
                break
    for study in studies:
        study.agree()


class _TrialProgress:
    """Tells the reporter how many trials of all are done; a crew reports its packs to it."""

    def __init__(self, studies: Sequence[SharedStudy], trials: int, reporter: FullReporter) -> None:
        self.studies, self.trials, self.reporter = studies, trials, reporter
        self.asked: Sequence[_Asked] = ()
        self.done = self.wanted = 0  # runs on the inner fold that is being trained

    def train(self, wanted: int) -> None:
        """Take note of so many runs on the next inner fold."""
        self.done, self.wanted = 0, wanted
        self._report(ended=False)

    def end(self) -> None:
        """Take note that the generation is done."""
        self.asked = ()
        self._report(ended=True)

    def _report(self, *, ended: bool) -> None:
        share = self.done / self.wanted if self.wanted else 0.0
        under_way = [trial for trial in self.asked if trial.state is None]
        parts = sum((len(trial.values) + share) / len(trial.runs) for trial in under_way)
        n_done = sum(min(study.n_done, self.trials) for study in self.studies)
        total = self.trials * len(self.studies)
        self.reporter.trials(min(n_done + parts, total), total, ended=ended)

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        """Take no note: a trial is of several packs, and a pack of several trials."""

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Take no note of steps."""

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:  # noqa: ARG002
        """Count the pack's runs; without results its worker was lost, and they are tried again."""
        if not results:
            self.reporter.note("a worker was lost; its runs are tried again in smaller packs")
        self.done = min(self.done + len(results), self.wanted)
        self._report(ended=False)


def _workbench(plan: StudyPlan) -> Workbench:
    ready = plan.ready
    store = Store(plan.request.results / "studies")
    inner = {part.sha256: part for job in plan.jobs for part in job.inner}
    return Workbench(ready.table, inner, store, ready.device, since=time.time(), protocol=ready.protocol)


@dataclass
class _Asked:
    """A trial under way: its runs by inner fold, and what they came to so far."""

    study: SharedStudy
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
        """Whether this is the arm as it is, with which the others are compared: it runs to its end."""
        return self.trial.params == dict(self.study.job.study.defaults)

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

    def finish(self) -> None:
        """Hand the study the record of the trial."""
        tried = Tried(
            id=uuid4().hex[:8],
            number=self.trial.number,
            state=self.state or FAIL,
            params=rounded(self.study.job.space, self.trial.params),
            settings=brief(self.arm),
            samplers={role: name for role in ROLES if (name := getattr(self.arm, role)) is not None},
            values=[round(value, DECIMALS) for value in self.values],
            seconds=round(self.seconds, 4),
            samples=self.samples,
            runs=hash_of([*chain(*self.runs)]),
            search=self.study.plan.search.words,
            error=self.error,
            started=round(self.started, 3),
            finished=round(time.time(), 3),
        )
        self.study.finish(self.trial, tried)


def _begin(study: SharedStudy, trial: optuna.trial.Trial) -> _Asked:
    """Return the trial with the arm and the runs that its parameters come to."""
    job = study.job
    try:
        arm = arm_at(job.arm, trial.params, job.classes)
        runs = study.plan.runs(job, arm)
    except (
        BadSetting,
        BadPlugin,
    ) as error:  # settings that the arm cannot have: this trial fails, the study goes on
        return _Asked(study, trial, job.arm, [], state=FAIL, error=str(error))
    by_fold = [[run for run in runs if run.split_sha256 == part.sha256] for part in job.inner]
    return _Asked(study, trial, arm, by_fold)


def _train(plan: StudyPlan, crew: Crew, asked: Sequence[_Asked], progress: _TrialProgress) -> None:
    """Run the trials, inner fold by inner fold, and finish each as soon as its outcome is known."""
    request, ready, store = plan.request, plan.ready, crew.bench.store
    for trial in asked:
        if trial.state is not None:
            trial.finish()
    for fold in range(plan.search.inner_folds):
        under_way = [trial for trial in asked if trial.state is None]
        wanted = {run.key: run for trial in under_way for run in trial.runs[fold]}
        todo = [run for run in wanted.values() if not _done(store, run)]
        grouped = packs(todo, pack=request.pack, workers=ready.workers, limit=ready.limit)
        progress.train(len(todo))
        if grouped:
            crew.run(grouped, progress, request.timeout)
        for trial in under_way:
            records = [store.read(run.dataset, run.key) for run in trial.runs[fold]]
            try:
                trial.note(records, ready.protocol.main_metric)
                if trial.state is not None:
                    trial.finish()
            except UpdateFinishedTrialError:
                trial.state = FAIL  # another process took this one for dead, and asks for the same again


def _done(store: Store, run: Run) -> bool:
    record = store.read(run.dataset, run.key)
    return record is not None and record.status == OK

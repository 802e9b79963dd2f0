"""One study in the hands of several processes: who asks for what, and who is taken for dead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from bench.tuning import loop, shared
from bench.tuning.plan import plan_studies
from bench.tuning.shared import SharedStudy
from bench.tuning.storage import Presence, open_storage
from bench.tuning.trials import COMPLETE, FAIL, TrialStore
from tests.store.test_folder import record
from tests.tuning.test_loop import SMALL, asked, studied


def begun(study: SharedStudy) -> Iterator[Any]:
    """Yield the trials that the study asks for, with their runs, as `tune` begins them."""
    return (loop._begin(study, trial) for trial in study.ask())


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[SharedStudy, SharedStudy]]:
    """Return the same study in the hands of two processes, of three trials and generations of as many."""
    made = plan_studies(asked(tmp_path), replace(SMALL, trials=3, generation=3))
    storage = open_storage(None, tmp_path / "j")
    with Presence(storage) as me, Presence(storage) as other:
        mine, theirs = (SharedStudy(made.jobs[0], made, storage, presence) for presence in (me, other))
        yield mine, theirs


def test_of_too_many_trials_asked_for_at_once_the_last_are_given_back(
    two: tuple[SharedStudy, SharedStudy],
) -> None:
    mine, theirs = two
    first = begun(mine)
    one = next(first)  # from now on it has asked for three
    assert one.is_default
    asked_again = [theirs._ask() for _ in range(2)]  # as if it had counted before
    assert [trial.number for trial in asked_again] == [3, 4]
    assert len(shared._counted(theirs.optuna.trials)) == 5
    assert list(theirs.ask()) == []
    kept = {trial.number for trial in shared._counted(theirs.optuna.trials)[:3]}
    assert kept == {0, 1, 2}
    theirs.plan = replace(theirs.plan, search=replace(theirs.plan.search, trials=6))
    assert [trial.trial.number for trial in begun(theirs)] == [5]


def test_the_defaults_are_asked_for_again_where_their_process_died_in_the_middle(
    two: tuple[SharedStudy, SharedStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died having been given the trial, and before it had taken a single parameter of it."""
    mine, theirs = two
    mine.optuna.enqueue_trial(dict(mine.job.space.defaults))
    mine.optuna.ask()
    monkeypatch.setattr(shared, "SILENCE_SECONDS", -1.0)
    theirs.agree()
    again = [*begun(theirs)]
    assert len(again) == 3
    assert [one.is_default for one in again].count(True) == 1


def test_a_trial_that_another_process_finished_meanwhile_ends_alike(
    two: tuple[SharedStudy, SharedStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own was taken for dead between its record in the storage and its last word there."""
    mine, theirs = two
    theirs.presence.gone = lambda token: True
    add = TrialStore.add

    def taken(store: TrialStore, study: Any, tried: Any) -> None:
        monkeypatch.setattr(TrialStore, "add", add)
        theirs.agree()
        add(store, study, tried)

    one = next(begun(mine))
    for _ in range(2):
        one.note([RECORD], "average_precision")
    monkeypatch.setattr(TrialStore, "add", taken)
    one.finish()
    assert [tried.state for tried in mine.plan.store.read(mine.job.study)] == [COMPLETE]
    assert mine.optuna.trials[0].value == 0.5


def test_a_trial_that_was_taken_as_it_was_asked_for_is_left(
    two: tuple[SharedStudy, SharedStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = two

    def gone(*_: Any) -> None:
        raise optuna.exceptions.UpdateFinishedTrialError

    monkeypatch.setattr(optuna.trial.Trial, "set_user_attr", gone)
    assert list(mine.ask()) == []


def test_what_failed_is_counted_too(two: tuple[SharedStudy, SharedStudy]) -> None:
    mine, _ = two
    one = next(begun(mine))
    failed = replace(RECORD, status="timeout", error="slow", samples_seen=None, resample_seconds=7.0)
    one.note([failed, RECORD], "average_precision")
    assert (one.state, one.error, one.seconds, one.samples) == (FAIL, "slow", 9.0, 1)


def test_processes_draw_other_configurations(two: tuple[SharedStudy, SharedStudy]) -> None:
    mine, theirs = two
    drawn = [live._ask().params for live in (mine, theirs, mine, theirs)]
    assert len({tuple(params.items()) for params in drawn}) == 4


def test_a_record_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    (one, _) = studied(tmp_path)
    made = plan_studies(asked(tmp_path), SMALL)
    storage = open_storage(None, tmp_path / "studies" / "loan-sim.journal")
    with Presence(storage) as me:
        live = SharedStudy(made.jobs[0], made, storage, me)
        live.optuna.add_trial(shared._as_optuna(one.trials[1], made.jobs[0]))
        assert len(live.optuna.trials) == 5
        assert len(shared._counted(live.optuna.trials)) == 4
        assert list(live.ask()) == []


def test_a_process_that_was_taken_for_dead_leaves_its_trial_to_the_other(
    two: tuple[SharedStudy, SharedStudy],
) -> None:
    mine, theirs = two
    first = next(begun(mine))
    theirs.presence.gone = lambda token: True
    theirs.agree()
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        first.note(
            [RECORD],
            "average_precision",
        )
    again = next(begun(theirs))
    assert again.trial.params == first.trial.params
    assert mine.plan.store.read(mine.job.study) == []


RECORD = replace(
    record(),
    valid={"average_precision": 0.5},
    samples_seen=1,
    resample_seconds=0.0,
    fit_seconds=1.0,
    score_seconds=0.0,
)


def test_the_defaults_are_never_pruned(two: tuple[SharedStudy, SharedStudy]) -> None:
    mine, _ = two
    one = next(begun(mine))
    one.trial.should_prune = lambda: True
    one.note([RECORD], "average_precision")
    assert one.state is None

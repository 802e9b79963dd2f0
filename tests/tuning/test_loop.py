"""Studies: fair, on training rows alone, the same after any interruption, and rebuilt from their own files."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from rich.console import Console

from bench.cli.progress import Lines
from bench.data.split import inner_splits
from bench.data.table import Table
from bench.errors import BadSetting, BadStore, BadStudy, BadTable, UnknownName
from bench.methods import method, methods
from bench.protocols import protocol_named
from bench.runs.prepare import prepare
from bench.runs.request import Request
from bench.store.folder import Store
from bench.tuning import loop
from bench.tuning.configurations import read_tuned, write_tuned
from bench.tuning.loop import tune
from bench.tuning.plan import StudyPlan, changes, plan_studies
from bench.tuning.search import Search
from bench.tuning.storage import open_storage, storage_errors
from bench.tuning.trials import COMPLETE, FAIL, PRUNED, Studied, TrialStore
from bench.workflows.study import check_complete
from tests.conftest import console_script, offline

QUIET = Lines(Console(quiet=True))
SMALL = Search(trials=4, inner_folds=2, generation=2)


def asked(folder: Path, *arms: str, **more: Any) -> Request:
    arms = arms or ("logistic-regression",)
    return Request(
        **{
            "dataset": "loan-sim",
            "rows": 600,
            "arms": arms,
            "folds": 2,
            "results": folder,
            "workers": 0,
            **more,
        }
    )


def studied(folder: Path, *arms: str, search: Search = SMALL, **more: Any) -> list[Studied]:
    return tune(plan_studies(asked(folder, *arms, **more), search), QUIET)


def outcome(found: list[Studied]) -> list[Any]:
    """Return what must be the same whenever and by whomever a study was done."""
    return [
        (
            one.study.key,
            [(t.number, t.state, dict(t.params), t.value, tuple(t.values), t.runs) for t in one.trials],
        )
        for one in found
    ]


def test_every_arm_has_the_same_trials_on_every_fold_and_begins_with_its_defaults(tmp_path: Path) -> None:
    found = studied(tmp_path, "logistic-regression", "easy-ensemble")
    assert [one.study.place[1:] for one in found] == [
        (arm, 0, fold) for arm in ("logistic-regression", "easy-ensemble") for fold in (0, 1)
    ]
    for one in found:
        assert [trial.number for trial in one.trials] == [0, 1, 2, 3]
        assert dict(one.trials[0].params) == dict(one.study.defaults)
        assert one.default is one.trials[0]
        assert one.best is not None
        assert one.best.value == max(t.value for t in one.trials if t.state == COMPLETE)
        assert one.trials[0].seconds > 0
        assert one.trials[0].samples > 0


def test_a_value_is_the_mean_main_metric_of_runs_that_met_no_test_row(tmp_path: Path) -> None:
    made = plan_studies(asked(tmp_path), SMALL)
    found = tune(made, QUIET)
    records = {r.key: r for r in Store(tmp_path / "studies").records("loan-sim")}
    assert all(record.n_test == 0 for record in records.values())
    assert not list((tmp_path / "studies").rglob("scores/*/*"))
    for job, one in zip(made.jobs, found, strict=True):
        for part in job.inner:
            assert len(part.test) == 0
            assert set(part.train) | set(part.valid) == set(job_rows(made, job.study.split_sha256))
        runs = made.runs(job, job.arm)
        values = [records[run.key].valid["average_precision"] for run in runs]
        assert list(one.trials[0].values) == [round(value, 7) for value in values]
        assert one.trials[0].value == pytest.approx(np.mean(values), abs=1e-7)


def job_rows(made: StudyPlan, split_sha256: str) -> Any:
    return next(part.training for part in made.ready.splits if part.sha256 == split_sha256)


def test_test_rows_change_nothing(tmp_path: Path) -> None:
    """With the features and labels of its fold's test rows spoiled, a study comes to the same."""
    request = asked(tmp_path / "a", "logistic-regression", "none(steps=60,evaluations=4)")
    ready = prepare(request)
    ready = replace(ready, splits=ready.splits[:1])  # another fold trains on these rows
    table, test = ready.table, ready.splits[0].test
    X, y = table.X.copy(), table.y.copy()
    X.loc[test, table.numeric] = 1e9
    for column in table.categorical:
        X.loc[test, column] = X[column].mode()[0]
    y[test] = 1 - y[test]
    spoiled = replace(ready, table=replace(table, X=X, y=y))
    other = plan_studies(replace(request, results=tmp_path / "b"), SMALL, ready=spoiled)
    assert outcome(tune(other, QUIET)) == outcome(tune(plan_studies(request, SMALL, ready=ready), QUIET))


def test_a_value_is_the_mean_over_seeds_too(tmp_path: Path) -> None:
    made = plan_studies(asked(tmp_path, "none(steps=60,evaluations=4)"), replace(SMALL, seeds=2, trials=2))
    (one, _) = tune(made, QUIET)
    records = {r.key: r.valid["average_precision"] for r in Store(tmp_path / "studies").records("loan-sim")}
    runs = made.runs(made.jobs[0], made.jobs[0].arm)
    assert [run.seed for run in runs] == [0, 1, 0, 1]
    by_fold = [
        [records[run.key] for run in runs if run.split_sha256 == part.sha256] for part in made.jobs[0].inner
    ]
    assert len({*by_fold[0]}) == 2
    assert list(one.trials[0].values) == [round(float(np.mean(values)), 7) for values in by_fold]
    assert "2 seeds" in one.effort


def test_going_on_is_the_same_as_never_having_stopped(tmp_path: Path) -> None:
    whole = studied(tmp_path / "a")
    half = studied(tmp_path / "b", search=replace(SMALL, trials=2))
    assert [len(one.trials) for one in half] == [2, 2]
    assert outcome(studied(tmp_path / "b")) == outcome(whole)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    first, runs = studied(tmp_path), runs_in(tmp_path)
    assert runs
    assert outcome(studied(tmp_path)) == outcome(first)
    assert outcome(studied(tmp_path, search=replace(SMALL, trials=3))) == outcome(first)
    assert runs_in(tmp_path) == runs


def runs_in(folder: Path) -> dict[Path, int]:
    """Return the records of a study's runs, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("studies/runs/*/*.parquet")}


@pytest.mark.parametrize(
    "arms", [("logistic-regression",), ("none(steps=60,evaluations=4)", "smote(steps=60)")]
)
def test_workers_and_packs_change_no_result(tmp_path: Path, arms: tuple[str, ...]) -> None:
    here = studied(tmp_path / "a", *arms)
    elsewhere = studied(tmp_path / "b", *arms, workers=2, pack=1)
    assert outcome(here) == outcome(elsewhere)


@pytest.mark.parametrize("url", [None, "sqlite:///{}/other.db"])
def test_a_lost_storage_is_filled_again_from_the_trials(tmp_path: Path, url: str | None) -> None:
    first, runs = studied(tmp_path), runs_in(tmp_path)
    journal = tmp_path / "studies" / "loan-sim.journal"
    journal.unlink()
    storage = None if url is None else url.format(tmp_path)
    again = studied(tmp_path, search=replace(SMALL, storage=storage))
    assert outcome(again) == outcome(first)
    assert runs_in(tmp_path) == runs
    for one in first:
        rebuilt = optuna.load_study(study_name=one.study.name, storage=open_storage(storage, journal))
        assert [(t.params, t.value) for t in rebuilt.trials] == [
            (dict(t.params), t.value) for t in one.trials
        ]


def test_a_storage_that_others_filled_gives_its_trials_to_this_folder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    first = studied(tmp_path / "a", search=replace(SMALL, storage=url))
    assert outcome(studied(tmp_path / "b", search=replace(SMALL, storage=url))) == outcome(first)


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_pruner_ends_trials_that_are_behind_and_they_are_never_the_best(
    tmp_path: Path, pruner: str
) -> None:
    search = Search(trials=16, inner_folds=3, generation=4, pruner=pruner)
    (one, _) = studied(tmp_path, search=search)
    pruned = [trial for trial in one.trials if trial.state == PRUNED]
    assert pruned
    assert all(len(trial.values) < 3 for trial in pruned)
    assert one.best not in pruned
    assert one.default is not None
    assert sum(trial.state == COMPLETE for trial in one.trials) + len(pruned) == 16


def test_no_generation_is_asked_for_when_the_time_is_up(tmp_path: Path) -> None:
    found = studied(tmp_path, search=replace(SMALL, seconds=1e-9))
    assert [len(one.trials) for one in found] == [0, 0]
    with pytest.raises(BadStudy, match="none was run"):
        check_complete(found)


def test_a_sampler_that_cannot_work_fails_the_trials_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.sampling.resample._fit_resample", _raise)
    found = studied(tmp_path, "none[borderline-smote](steps=60)", search=replace(SMALL, trials=2))
    failed = {trial.state for one in found for trial in one.trials}
    assert failed == {FAIL}
    told = r"no complete trial.*all 2 failed, the first: RuntimeError: no rows today"
    with pytest.raises(BadStudy, match=told) as caught:
        check_complete(found)
    assert caught.value.exit_code == 4


def _raise(*_: object) -> None:
    raise RuntimeError("no rows today")


def test_a_metric_that_is_no_number_fails_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.runs.recording.measure", lambda scored: {"average_precision": float("nan")})
    found = studied(tmp_path)
    with pytest.raises(BadStudy, match="average_precision of the validation rows is not a number"):
        check_complete(found)


def test_two_processes_share_the_trials_and_none_has_more_than_asked(tmp_path: Path) -> None:
    words = command(tmp_path, trials=12, generation=3)
    crowd = [started(words) for _ in range(2)]
    assert [child.wait(timeout=200) for child in crowd] == [0, 0]
    made = plan_studies(asked(tmp_path), Search(trials=12, inner_folds=2, generation=3))
    for job in made.jobs:
        assert len(made.store.read(job.study)) == 12


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_a_killed_process_loses_no_trial(tmp_path: Path, storage: str | None) -> None:
    """One of two is killed in the middle; the other, or the next, brings every study to its number."""
    url = f"sqlite:///{tmp_path}/shared.db" if storage else None
    words = command(tmp_path, trials=10, generation=2, storage=url)
    crowd = [started(words) for _ in range(2)]
    wait_for(lambda: len(list(tmp_path.rglob("trials/*/*/*.json"))) > 3)
    assert crowd[0].poll() is None, "it had ended before it could be killed"
    os.kill(crowd[0].pid, signal.SIGKILL)
    crowd[0].wait()
    before = {path.name for path in tmp_path.rglob("trials/*/*/*.json")}
    assert crowd[1].wait(timeout=200) == 0
    assert before <= {path.name for path in tmp_path.rglob("trials/*/*/*.json")}
    search = Search(trials=10, inner_folds=2, generation=2, storage=url)
    made = plan_studies(asked(tmp_path), search)
    shared = open_storage(url, tmp_path / "studies" / "loan-sim.journal")
    for job in made.jobs:
        assert len(made.store.read(job.study)) == 10
        trials = optuna.load_study(study_name=job.study.name, storage=shared).trials
        assert not [trial for trial in trials if trial.state == optuna.trial.TrialState.RUNNING]


def started(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, env=offline(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def command(folder: Path, *, trials: int, generation: int, storage: str | None = None) -> list[str]:
    words = [
        console_script(),
        "study",
        "--dataset",
        "loan-sim",
        "--rows",
        "600",
        "--folds",
        "2",
        "--workers",
        "0",
    ]
    words += ["--arm", "logistic-regression", "--inner-folds", "2", "--trials", str(trials)]
    words += ["--generation", str(generation), "--results", str(folder)]
    return [*words, *(["--storage", storage] if storage else [])]


def wait_for(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within a minute")


@pytest.fixture
def wider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give logistic regression another space: C goes further, and a new parameter is asked."""

    def space(trial: Any) -> dict[str, Any]:
        found = {
            "C": trial.suggest_float("C", 1e-4, 1e4, log=True),
            "max_iter": trial.suggest_int("max_iter", 100, 1000),
        }
        return {**found, "class_weight": trial.weight("class_weight")}

    monkeypatch.setitem(methods(), "logistic-regression", replace(ORIGINAL, space=space))


def test_a_changed_space_is_told_and_nothing_is_lost(tmp_path: Path, wider: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods(), "logistic-regression", ORIGINAL)
        first = studied(tmp_path)
    told = (
        r"search space of logistic-regression has changed since its 4 trials on fold 0\.0: max_iter is new; "
        r"C was 0\.0001 to 1000 by equal factors, is 0\.0001 to 10000 by equal factors"
    )
    with pytest.raises(BadSetting, match=told):
        plan_studies(asked(tmp_path), SMALL)
    extended = studied(tmp_path, search=replace(SMALL, trials=6, extend=True))
    for old, new in zip(first, extended, strict=True):
        assert [(t.id, t.value) for t in new.trials[:4]] == [(t.id, t.value) for t in old.trials]
        assert all(t.params["max_iter"] == 1000 for t in new.trials[:4])
        assert len(new.trials) == 6
    assert len(studied(tmp_path, search=replace(SMALL, trials=6))) == 2  # said once
    write_tuned(TrialStore(tmp_path), "loan-sim")
    assert {entry.trials for entry in read_tuned(tmp_path, "loan-sim")} == {6}


def test_a_changed_space_may_be_begun_anew(tmp_path: Path, wider: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods(), "logistic-regression", ORIGINAL)
        first = studied(tmp_path)
    fresh = studied(tmp_path, search=replace(SMALL, anew=True))
    assert not {t.id for one in first for t in one.trials} & {t.id for one in fresh for t in one.trials}
    write_tuned(TrialStore(tmp_path), "loan-sim")


ORIGINAL = method("logistic-regression")


def test_spaces_are_told_apart_in_words() -> None:
    old = {"a": '{"name": "IntDistribution", "attributes": {"low": 1, "high": 9, "log": false, "step": 1}}'}
    old["b"] = '{"name": "CategoricalDistribution", "attributes": {"choices": ["x", 1]}}'
    new = {"b": old["b"].replace('"x"', '"y"'), "c": old["a"]}
    assert changes(old, new) == ["a is gone", "c is new", "b was one of x, 1, is one of y, 1"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"trials": 0}, "--trials 0: at least 1"),
        ({"generation": 0}, "--generation 0: at least 1"),
        ({"seeds": 0}, "--seeds 0: at least 1"),
        ({"search": "grid"}, "Unknown search 'grid'. Known: tpe, random"),
        ({"pruner": "medium"}, "Did you mean 'median'"),
        ({"seconds": 0}, "--timeout 0: give a positive number"),
        ({"anew": True, "extend": True}, "give one"),
    ],
)
def test_a_search_that_cannot_be_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises((BadSetting, UnknownName), match=told):
        Search(**change)


@pytest.mark.parametrize(
    ("change", "search", "told"),
    [
        ({"arms": ("prevalence",)}, SMALL, "No setting of prevalence is open"),
        ({"settings": {"C": "1", "class_weight": "balanced"}}, SMALL, "there is nothing to tune"),
        ({"settings": {"colour": "red"}}, SMALL, "Unknown setting 'colour'"),
        ({"arms": ("nobody",)}, SMALL, "Unknown arm 'nobody'"),
        ({}, replace(SMALL, inner_folds=1), "1 inner folds were asked for"),
        ({}, replace(SMALL, inner_folds=400), "400 inner folds were asked for"),
    ],
)
def test_a_study_that_cannot_be_is_refused_before_anything_is_trained(
    tmp_path: Path, change: dict[str, Any], search: Search, told: str
) -> None:
    with pytest.raises((BadSetting, UnknownName, BadTable), match=told):
        plan_studies(replace(asked(tmp_path), **change), search)


def test_the_papers_protocol_has_no_studies(tmp_path: Path, data_folder: Path) -> None:
    request = Request(
        dataset="loan",
        data_file=data_folder / "loan_data.csv",
        arms=("none",),
        protocol="published",
        results=tmp_path,
    )
    with pytest.raises(BadSetting, match=r"published\+equal-search.*Leave out --protocol"):
        plan_studies(request, SMALL)


def test_inner_folds_divide_the_training_rows_and_keep_duplicates_together(table: Table) -> None:
    doubled = replace(
        table,
        X=table.X.iloc[np.repeat(np.arange(300), 2)].reset_index(drop=True),
        y=np.repeat(table.y[:300], 2),
    )
    outer = protocol_named("strict").splits(doubled, folds=3)[1]
    inner = inner_splits(doubled, outer, 4)
    assert sorted(np.concatenate([part.valid for part in inner])) == sorted(outer.training)
    for part in inner:
        assert not set(part.train // 2) & set(part.valid // 2)
        assert set(part.train) | set(part.valid) == set(outer.training)
        assert abs(doubled.y[part.valid].mean() - doubled.y[outer.training].mean()) < 0.02
    assert len({part.sha256 for part in inner}) == 4
    assert [part.fold for part in inner] == [4, 5, 6, 7]


def test_the_defaults_are_tried_again_where_they_were_lost(tmp_path: Path) -> None:
    """As when a process dies while they are under way, beside trials that had ended, and the storage is gone."""
    for one in studied(tmp_path):
        assert one.default is not None
        (tmp_path / f"studies/trials/loan-sim/{one.study.key[:16]}/{one.default.id}.json").unlink()
    (tmp_path / "studies" / "loan-sim.journal").unlink()
    for one in studied(tmp_path):
        assert [trial.number for trial in one.trials] == [1, 2, 3, 4]
        assert one.default is one.trials[-1]


def test_what_a_study_is_is_written_again_where_it_was_lost(tmp_path: Path) -> None:
    first = studied(tmp_path)
    for path in tmp_path.glob("studies/trials/loan-sim/*/study.json"):
        path.unlink()
    assert TrialStore(tmp_path).studies("loan-sim") == []
    assert outcome(studied(tmp_path)) == outcome(first)
    assert outcome(TrialStore(tmp_path).studies("loan-sim")) == outcome(first)


def test_numbers_stay_those_of_the_records_where_some_are_missing(tmp_path: Path) -> None:
    """Of a storage that is lost, trials that were given up leave no record; a number drawn once is not drawn again."""
    search = replace(SMALL, search="random", pruner="none")
    for one in studied(tmp_path, search=search):
        (tmp_path / f"studies/trials/loan-sim/{one.study.key[:16]}/{one.trials[2].id}.json").unlink()
    (tmp_path / "studies" / "loan-sim.journal").unlink()
    for one in studied(tmp_path, search=replace(search, trials=5)):
        assert [trial.number for trial in one.trials] == [0, 1, 3, 4, 5]
        assert len({tuple(trial.params.items()) for trial in one.trials}) == 5


def test_what_is_no_fault_of_the_storage_is_not_laid_to_it(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), storage_errors("the journal"):
        raise BlockingIOError(11, "no process can be started")


def test_a_journal_whose_disk_fails_is_a_storage_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    storage = open_storage(None, path)
    path.unlink()
    path.mkdir()
    with (
        pytest.raises(BadStore, match=r"a\.journal was lost on the way: .*directory"),
        storage_errors(str(path)),
    ):
        optuna.create_study(storage=storage)


def test_optuna_reads_the_journal_without_bench(tmp_path: Path) -> None:
    first = studied(tmp_path)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "studies" / "loan-sim.journal"))
    for one in first:
        found = optuna.load_study(study_name=one.study.name, storage=optuna.storages.JournalStorage(backend))
        assert [trial.value for trial in found.trials] == [trial.value for trial in one.trials]


def test_a_storage_that_is_lost_on_the_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise optuna.exceptions.StorageInternalError("gone")

    monkeypatch.setattr(loop, "_train", lost)
    with pytest.raises(BadStore, match=r"was lost on the way: gone\. Finished trials are kept"):
        studied(tmp_path)

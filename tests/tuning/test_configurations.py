"""Tuned configurations: written as TOML, used on the rows that they were chosen on, refused and marked elsewhere."""

from __future__ import annotations

import json
import math
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import bench
from bench.arms.arm import ARMS
from bench.arms.settings import configure
from bench.cli.progress import Lines
from bench.errors import BadSetting, BadStore
from bench.names import ANYWAY, TUNED
from bench.report import ledger
from bench.report.ledger import markdown as ledger_page
from bench.report.selection import measure_tables
from bench.report.tuned import tuned as side_by_side
from bench.runs.prepare import prepare
from bench.runs.request import Request
from bench.store.folder import Store
from bench.tuning.configurations import _toml, config_hash, read_tuned, tuned_arms, tuned_path, write_tuned
from bench.tuning.loop import tune
from bench.tuning.plan import plan_studies
from bench.tuning.search import Search
from bench.tuning.trials import COMPLETE, TrialStore, Tried
from bench.workflows.leaderboard import run_and_rank
from bench.workflows.run import make_plan
from bench.workflows.study import tune_missing
from bench.workflows.tables import draw_slices, regenerate, study_boards

QUIET = Lines(Console(quiet=True))
SEARCH = Search(trials=12, inner_folds=2, generation=6, pruner="none")
ARM_NAMES = ("logistic-regression", "xgboost(rounds=20)")


def request(folder: Path, *arms: str, **more: Any) -> Request:
    return Request(
        **{"dataset": "loan-sim", "rows": 600, "arms": arms or ARM_NAMES, "folds": 2, "seeds": 2}
        | {"results": folder, "workers": 0}
        | more
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with two arms studied, and run at their defaults and tuned."""
    folder = tmp_path_factory.mktemp("results")
    made = plan_studies(request(folder), SEARCH)
    tune(made, QUIET)
    write_tuned(made.store, "loan-sim")
    for tuned in (False, True):
        run_and_rank(make_plan(request(folder, tuned=tuned)), QUIET)
    return folder


def test_the_file_says_what_was_chosen_on_which_rows_and_what_it_took(done: Path) -> None:
    entries = tomllib.loads(tuned_path(done, "loan-sim").read_text())["tuned"]
    assert [(e["arm"], e["fold"]) for e in entries] == [(arm, fold) for arm in ARM_NAMES for fold in (0, 1)]
    ready = make_plan(request(done))
    for entry in entries:
        part = next(p for p in ready.bench.splits.values() if p.fold == entry["fold"])
        assert entry["rows_sha256"] == part.training_sha256
        assert entry["split_sha256"] == part.sha256
        assert entry["data_sha256"] == ready.table.sha256
        (one,) = [
            s
            for s in TrialStore(done).studies("loan-sim")
            if s.study.place[1:] == (entry["arm"], 0, entry["fold"])
        ]
        assert one.best is not None
        assert entry["value"] == round(one.best.value or 0, 6)
        assert entry["trials"] == entry["complete"] + entry["pruned"] + entry["failed"] == 12
        assert entry["seconds"] == round(sum(t.seconds for t in one.trials), 1)


def test_the_runs_of_a_fold_have_its_configuration(done: Path) -> None:
    known = {(e.arm, e.fold): e for e in read_tuned(done, "loan-sim")}
    runs = make_plan(request(done, tuned=True)).runs
    assert len(runs) == 8
    for run in runs:
        entry = known[run.arm.removesuffix(TUNED), run.fold]
        assert dict(run.config) == configure(replace(ARMS[entry.method], settings=entry.settings or {}))
        assert config_hash(run.config, run.setup._asdict()) == entry.config_sha256
        assert {name: run.config[name] for name in entry.settings or {}} == dict(entry.settings or {})
    configs = {run.fold: run.config for run in runs if run.method == "logistic-regression"}
    assert configs[0] != configs[1]


def test_writing_again_changes_nothing_and_keeps_what_has_no_trials(done: Path, tmp_path: Path) -> None:
    before = tuned_path(done, "loan-sim").read_text()
    write_tuned(TrialStore(done), "loan-sim")
    assert tuned_path(done, "loan-sim").read_text() == before
    tuned_path(tmp_path, "loan-sim").parent.mkdir()
    more = before.replace('arm = "logistic-regression"', 'arm = "mine"')
    tuned_path(tmp_path, "loan-sim").write_text(more)
    (tmp_path / "studies").symlink_to(done / "studies")
    write_tuned(TrialStore(tmp_path), "loan-sim")
    assert {e.arm for e in read_tuned(tmp_path, "loan-sim")} == {*ARM_NAMES, "mine"}


@pytest.mark.parametrize("kept", ["studies", "tuned/loan-sim-trials.parquet", "tuned/loan-sim.toml"])
def test_configurations_come_from_trials_in_either_form_or_from_the_file_alone(
    done: Path, tmp_path: Path, kept: str
) -> None:
    if (done / kept).is_dir():
        shutil.copytree(done / kept, tmp_path / kept)
    else:
        (tmp_path / kept).parent.mkdir()
        shutil.copy(done / kept, tmp_path / kept)
    assert read_tuned(tmp_path, "loan-sim") == read_tuned(done, "loan-sim")
    runs, same = (make_plan(request(folder, tuned=True)).runs for folder in (tmp_path, done))
    assert [run.key for run in runs] == [run.key for run in same]


def test_own_trials_without_the_file_are_not_taken_for_published_ones(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done / "studies", tmp_path / "studies")
    assert not any("published" in note for note in make_plan(request(tmp_path, tuned=True)).notes)


def hash_of_settings(settings: dict[str, Any]) -> str:
    return config_hash(configure(replace(ARMS["logistic-regression"], settings=settings)), {})


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"C": 0.123}},
        {"settings": {"C": 0.123}, "config_sha256": hash_of_settings({"C": 0.123})},
        {"config_sha256": hash_of_settings({"C": 0.123})},
    ],
)
def test_a_file_that_was_edited_beside_its_trials_is_refused_until_it_is_written_anew(
    done: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    """An edit of the hash alone stands for a method's default that has changed since the study."""
    for name in ("studies", "tuned"):
        shutil.copytree(done / name, tmp_path / name)
    entries = read_tuned(done, "loan-sim")
    edited = [replace(e, **change) if (e.arm, e.fold) == ("logistic-regression", 1) else e for e in entries]
    tuned_path(tmp_path, "loan-sim").write_text(_toml(edited))
    assert make_plan(request(tmp_path, "xgboost(rounds=20)", tuned=True)).runs
    with pytest.raises(BadSetting, match=r"logistic-regression on fold 0\.1 is not what its study ran"):
        make_plan(request(tmp_path, "logistic-regression", tuned=True))
    assert write_tuned(TrialStore(tmp_path), "loan-sim") == entries
    assert make_plan(request(tmp_path, "logistic-regression", tuned=True)).runs
    assert tuned_path(tmp_path, "loan-sim").read_bytes() == tuned_path(done, "loan-sim").read_bytes()


def test_a_file_that_lags_behind_its_trials_is_passed_over(done: Path, tmp_path: Path) -> None:
    """As where a process was killed before it could write the configurations."""
    made = plan_studies(request(tmp_path, "logistic-regression"), replace(SEARCH, trials=2))
    tune(made, QUIET)
    write_tuned(made.store, "loan-sim")
    assert {tuned.trials for tuned in read_tuned(tmp_path, "loan-sim")} == {2}
    tune(plan_studies(request(tmp_path, "logistic-regression"), SEARCH), QUIET)
    now = [tuned for tuned in read_tuned(done, "loan-sim") if tuned.arm == "logistic-regression"]
    lagging = read_tuned(tmp_path, "loan-sim")
    assert [(tuned.trials, tuned.study) for tuned in lagging] == [(12, tuned.study) for tuned in now]
    assert make_plan(request(tmp_path, "logistic-regression", tuned=True)).runs


def test_numbers_in_the_file_are_shown_and_never_read_where_trials_are_there(
    done: Path, tmp_path: Path
) -> None:
    """The file shows them to people; they are the trials'."""
    for name in ("studies", "tuned"):
        shutil.copytree(done / name, tmp_path / name)
    text = tuned_path(tmp_path, "loan-sim").read_text()
    tuned_path(tmp_path, "loan-sim").write_text(
        re.sub("(value|seconds|default) = [0-9.]+", r"\1 = 0.5", text)
    )
    assert read_tuned(tmp_path, "loan-sim") == read_tuned(done, "loan-sim")


def test_a_trial_in_the_compact_file_needs_no_file_of_its_own(done: Path, tmp_path: Path) -> None:
    for name in ("studies", "tuned"):
        shutil.copytree(done / name, tmp_path / name)
    store, before = TrialStore(tmp_path), TrialStore(done).studies("loan-sim")
    for path in tmp_path.glob("studies/trials/loan-sim/*/*.json"):
        path.write_text("damaged") if path.name != "study.json" else None
    assert store.studies("loan-sim") == before
    (study, trial) = before[0].study, before[0].trials[0]
    store.add(study, replace(trial, id="later", number=99))
    assert [t.id for t in store.studies("loan-sim")[0].trials] == [*(t.id for t in before[0].trials), "later"]
    store.write_compact("loan-sim")
    shutil.rmtree(tmp_path / "studies")
    assert store.studies("loan-sim")[0].trials[-1].number == 99


def test_a_leaderboard_shows_default_and_tuned(done: Path) -> None:
    found = measure_tables(Store(done), "loan-sim")["strict"]
    assert set(found.records) == {*ARM_NAMES, *(f"{arm}{TUNED}" for arm in ARM_NAMES)}
    assert all(found.cost(arm)["n_runs"] == 4 for arm in found.records)
    board = side_by_side(found).set_index("arm")
    assert set(board.index) == set(ARM_NAMES)
    for arm in ARM_NAMES:
        row, mean = board.loc[arm], {name: found.replicates[name].points for name in (arm, f"{arm}{TUNED}")}
        for metric in ("average_precision", "roc_auc"):
            default, tuned = (mean[name][metric].mean() for name in (arm, f"{arm}{TUNED}"))
            assert row[f"{metric}_default_mean"] == pytest.approx(default)
            assert row[f"{metric}_tuned_mean"] == pytest.approx(tuned)
            assert row[f"{metric}_change_mean"] == pytest.approx(tuned - default)
            assert row[f"{metric}_change_lo"] <= tuned - default <= row[f"{metric}_change_hi"]
        assert row["n_pairs"] == row["n_runs"] == 4
    assert sorted(board["rank"]) == [1, 2]


def test_an_older_configuration_of_one_fold_does_not_stand_beside_a_newer_one(
    done: Path, tmp_path: Path
) -> None:
    """Each fold has a configuration of its own: the newest of that fold counts, not the newest of the arm."""
    (tmp_path / "tuned").mkdir()
    text = tuned_path(done, "loan-sim").read_text()
    tuned_path(tmp_path, "loan-sim").write_text(text)
    ask = request(tmp_path, "logistic-regression", tuned=True, seeds=1)
    run_and_rank(make_plan(ask), QUIET)
    entries = read_tuned(tmp_path, "loan-sim")
    settings = {"C": 0.123}
    sha256 = config_hash(configure(replace(ARMS["logistic-regression"], settings=settings)), {})
    edited = [replace(e, settings=settings, config_sha256=sha256) if e.fold == 1 else e for e in entries]
    tuned_path(tmp_path, "loan-sim").write_text(_toml(edited))
    board = run_and_rank(make_plan(ask), QUIET).leaderboard
    assert board["n_runs"].tolist() == [2]
    records = measure_tables(Store(tmp_path), "loan-sim")["strict"].records[f"logistic-regression{TUNED}"]
    assert [('"C": 0.123' in r.config, r.fold) for r in records] == [(False, 0), (True, 1)]


def test_tables_show_the_configuration_that_is_kept_and_the_study_asked_for_is(tmp_path: Path) -> None:
    """A smaller study takes the place of another; the same command as before puts it back, with nothing to train."""
    arm = "logistic-regression"
    shown, kept = [], []
    for how in (SEARCH, replace(SEARCH, trials=2, inner_folds=3, search="random"), SEARCH):
        made = plan_studies(request(tmp_path, arm, seeds=1), how)
        tune(made, QUIET)
        write_tuned(made.store, "loan-sim", made.keys)
        kept.append({(one.inner_folds, one.trials) for one in read_tuned(tmp_path, "loan-sim")})
        (ledger,) = study_boards(tmp_path, "loan-sim")
        assert ledger.frame["trials_most"].item() == how.trials
        board = run_and_rank(make_plan(request(tmp_path, arm, tuned=True, seeds=1)), QUIET).leaderboard
        assert [one.stale() for one in regenerate(tmp_path) if one.path.stem == "loan-sim-strict"] == [[]]
        shown.append(board["average_precision_mean"].item())
    assert kept == [{(2, 12)}, {(3, 2)}, {(2, 12)}]
    assert shown[0] == shown[2]
    write_tuned(TrialStore(tmp_path), "loan-sim")  # another arm's study, say: nothing of this one changes
    assert {one.trials for one in read_tuned(tmp_path, "loan-sim")} == {12}


def test_a_dry_run_says_what_is_to_be_tuned_first(done: Path) -> None:
    made = make_plan(request(done, "logistic-regression", "none", tuned=True), dry_run=True)
    assert "to tune first: none" in made.notes
    assert {run.arm for run in made.runs} == {f"logistic-regression{TUNED}", f"none{TUNED}"}
    assert {run.arm for run in made.todo} == {f"none{TUNED}"}


def test_what_was_tuned_on_other_rows_is_refused_and_marked_if_taken(done: Path, tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    tuned_path(tmp_path, "loan-sim").write_bytes(tuned_path(done, "loan-sim").read_bytes())
    other = request(tmp_path, "logistic-regression", folds=3, seeds=1)
    told = r"tuned on other rows \(\w{12}\) than fold 0\.0 trains on .*bench study.*--tuned-anyway"
    with pytest.raises(BadSetting, match=told):
        make_plan(replace(other, tuned=True))
    with pytest.raises(BadSetting, match=told):
        tune_missing(replace(other, tuned=True), SEARCH, QUIET)
    taken = make_plan(replace(other, tuned_anyway=True))
    assert {run.arm for run in taken.runs} == {f"logistic-regression{ANYWAY}"}
    (note,) = (note for note in taken.notes if ANYWAY in note)
    assert "fold 0.2 takes that of fold 0." in note
    assert f"({SEARCH.trials} trials)" in note
    board = run_and_rank(taken, QUIET).leaderboard
    assert board["arm"].tolist() == [f"logistic-regression{ANYWAY}"]
    (row,) = side_by_side(measure_tables(Store(tmp_path), "loan-sim")["strict"]).to_dict("records")
    assert row["marked"]
    same = make_plan(request(tmp_path, "logistic-regression", tuned_anyway=True))
    assert {run.arm for run in same.runs} == {
        f"logistic-regression{TUNED}"
    }  # on its own rows there is nothing to mark


def test_other_data_are_other_rows(done: Path) -> None:
    ready = prepare(request(done, "logistic-regression"))
    other = replace(ready, table=replace(ready.table, sha256="another"))
    with pytest.raises(BadSetting, match="on other rows"):
        tuned_arms(other, read_tuned(done, "loan-sim"))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 99, "identity": "x"},
        {"settings": {"C": 0.5}},
        {"settings": {"colour": "red"}},
        {"sampler": "smote"},
    ],
)
def test_what_is_not_the_arm_that_was_tuned_is_refused(done: Path, change: dict[str, Any]) -> None:
    ready = prepare(request(done, "logistic-regression"))
    known = [replace(one, **change) for one in read_tuned(done, "loan-sim")]
    with pytest.raises(BadSetting, match=r"not the arm that was tuned|not what its study ran|cannot take"):
        tuned_arms(ready, known)


def test_what_was_tuned_before_an_arm_changed_is_passed_over(done: Path) -> None:
    ready = prepare(request(done, "logistic-regression", folds=3))
    now = read_tuned(done, "loan-sim")
    before = [replace(one, identity="x", trials=999) for one in now]
    found, missing, _ = tuned_arms(ready, [*before, *now], anyway=True)
    assert (len(found), missing) == (3, [])
    with pytest.raises(BadSetting, match="on other rows"):
        tuned_arms(ready, [*before, *now])
    with pytest.raises(BadSetting, match="not the arm that was tuned"):
        tuned_arms(ready, before, anyway=True)


def test_a_study_that_nothing_can_run_any_more_stops_no_other(done: Path, tmp_path: Path) -> None:
    """Its configuration stays as it was; that of the others is written."""
    for name in ("studies", "tuned"):
        shutil.copytree(done / name, tmp_path / name)
    before = read_tuned(tmp_path, "loan-sim")
    tuned_path(tmp_path, "loan-sim").unlink()
    for path in tmp_path.glob("studies/trials/loan-sim/*/*.json"):
        if path.name != "study.json" and "logistic-regression" in (path.parent / "study.json").read_text():
            trial = json.loads(path.read_text())
            path.write_text(json.dumps({**trial, "settings": {"colour": "red"}}))
    (tmp_path / "tuned" / "loan-sim-trials.parquet").unlink()
    assert {one.arm for one in write_tuned(TrialStore(tmp_path), "loan-sim")} == {"xgboost(rounds=20)"}
    tuned_path(tmp_path, "loan-sim").write_bytes(tuned_path(done, "loan-sim").read_bytes())
    assert write_tuned(TrialStore(tmp_path), "loan-sim") == before


def test_an_arm_of_ones_own_that_was_edited_since_is_another(tmp_path: Path) -> None:
    file = tmp_path / "arms.toml"
    file.write_text('[mine]\nmethod = "logistic-regression"\nC = 0.01\n')
    ask = request(tmp_path, arms_file=file)
    ask = replace(ask, arms=())
    made = plan_studies(ask, replace(SEARCH, trials=2))
    tune(made, QUIET)
    write_tuned(made.store, "loan-sim")
    assert make_plan(replace(ask, tuned=True)).runs
    file.write_text('[mine]\nmethod = "logistic-regression"\nC = 100.0\n')
    with pytest.raises(BadSetting, match="mine is not the arm that was tuned"):
        make_plan(replace(ask, tuned=True))


def test_arms_tuned_with_unequal_effort_are_told(tmp_path: Path) -> None:
    for arm, trials in (("logistic-regression", 2), ("easy-ensemble", 3)):
        made = plan_studies(request(tmp_path, arm), replace(SEARCH, trials=trials))
        tune(made, QUIET)
        write_tuned(made.store, "loan-sim")
    both = make_plan(request(tmp_path, "logistic-regression", "easy-ensemble", tuned=True))
    assert re.search(
        r"not tuned with the same effort: 2 trials \(.*, 2 inner folds, one seed\); 3 trials", both.notes[-1]
    )
    run_and_rank(both, QUIET)
    (page,) = tmp_path.glob("leaderboards/*-tuned.md")
    assert "**The arms were not tuned with the same effort**: 2 trials" in page.read_text()
    (board,) = study_boards(tmp_path, "loan-sim")
    assert "**The arms were not tuned with the same effort.**" in ledger_page(board.frame)
    assert "effort" not in make_plan(request(tmp_path, "easy-ensemble", tuned=True)).notes[-1]


def test_what_was_tuned_for_other_splits_is_no_unequal_effort(tmp_path: Path) -> None:
    for folds, trials in ((2, 2), (3, 3)):
        made = plan_studies(request(tmp_path, "easy-ensemble", folds=folds), replace(SEARCH, trials=trials))
        tune(made, QUIET)
        write_tuned(made.store, "loan-sim")
        notes = make_plan(request(tmp_path, "easy-ensemble", folds=folds, tuned=True)).notes
        assert not any("effort" in note for note in notes)


def test_a_setting_whose_default_depends_on_another_is_the_one_that_was_tried(tmp_path: Path) -> None:
    arm = "none(optimiser=sgd,steps=40)"
    made = plan_studies(request(tmp_path, arm), replace(SEARCH, trials=2))
    (one, _) = tune(made, QUIET)
    write_tuned(made.store, "loan-sim")
    assert one.best is not None
    runs = make_plan(request(tmp_path, arm, tuned=True)).runs
    assert {run.config["weight_decay"] for run in runs if run.fold == 0} == {one.best.params["weight_decay"]}


def test_the_ledger_shows_one_scope(done: Path, tmp_path: Path) -> None:
    for folds in (3, 2):
        made = plan_studies(request(tmp_path, "logistic-regression", folds=folds), replace(SEARCH, trials=2))
        tune(made, QUIET)
    board = ledger.ledger(TrialStore(tmp_path).studies("loan-sim"))
    assert board["folds"].tolist() == [2]


def test_what_is_not_tuned_is_tuned_first_and_only_that(tmp_path: Path) -> None:
    ask = request(tmp_path, "logistic-regression", "prevalence", tuned=True, seeds=1)
    with pytest.raises(BadSetting, match=r"regression: not tuned for all folds.*bench study --dataset"):
        make_plan(ask)
    tune_missing(ask, replace(SEARCH, trials=2), QUIET)
    made = make_plan(ask)
    assert {run.arm for run in made.runs} == {f"logistic-regression{TUNED}", "prevalence"}
    before = tuned_path(tmp_path, "loan-sim").read_bytes()
    tune_missing(ask, replace(SEARCH, trials=4), QUIET)
    assert tuned_path(tmp_path, "loan-sim").read_bytes() == before


def test_the_trials_travel_in_one_file(done: Path, tmp_path: Path) -> None:
    """The ledger, the figures and the studies themselves are the same from it as from the trials' own files."""
    own = TrialStore(done)
    copy = TrialStore(tmp_path)
    copy.compact_path("loan-sim").parent.mkdir()
    copy.compact_path("loan-sim").write_bytes(own.compact_path("loan-sim").read_bytes())
    pairs = zip(copy.studies("loan-sim"), own.studies("loan-sim"), strict=True)
    assert all((a.study, list(a.trials)) == (b.study, list(b.trials)) for a, b in pairs)
    (mine,), (theirs,) = (study_boards(folder, "loan-sim") for folder in (done, tmp_path))
    assert {p.name: d.of for p, d in theirs.figures.items()} == {
        p.name: d.of for p, d in mine.figures.items()
    }
    pd.testing.assert_frame_equal(mine.frame, theirs.frame, check_exact=True)
    made = plan_studies(request(tmp_path), SEARCH)
    assert [list(s.trials) for s in tune(made, QUIET)] == [list(s.trials) for s in copy.studies("loan-sim")]


def test_everything_of_a_study_is_made_anew_from_its_trials(done: Path) -> None:
    made = regenerate(done)
    paths = [path.name for board in made for path in board.files]
    assert {
        "loan-sim-ledger.md",
        "loan-sim-curves.svg",
        "loan-sim-importances.svg",
        "loan-sim-strict-tuned.md",
    } <= set(paths)
    for board in made:
        board.write()
    assert [path for board in regenerate(done) for path in board.stale()] == []


def test_slices_are_drawn_for_every_arm(done: Path) -> None:
    drawn = draw_slices(done, TrialStore(done).studies("loan-sim"))
    assert [path.suffix for path in drawn] == [".svg"] * 2
    assert all(path.stat().st_size > 1000 for path in drawn)
    assert b"subsample" in next(p for p in drawn if "xgboost" in p.name and p.suffix == ".svg").read_bytes()


def test_the_ledger_adds_up(done: Path) -> None:
    found = TrialStore(done).studies("loan-sim")
    board = ledger.ledger(found).set_index("arm")
    assert set(ledger.by_arm(found)) == set(ARM_NAMES)
    for arm, mine in ledger.by_arm(found).items():
        trials = [t for one in mine for t in one.trials]
        row = board.loc[arm]
        assert (row["trials_least"], row["trials_most"], row["folds"]) == (12, 12, 2)
        assert row["seconds"] == pytest.approx(sum(t.seconds for t in trials))
        assert row["samples"] == sum(t.samples for t in trials)
        assert row["gain"] == pytest.approx(row["tuned"] - row["default"])
        assert row["gain"] >= 0  # the defaults are a trial too


def test_curves_never_fall_and_end_at_the_best(done: Path) -> None:
    found = TrialStore(done).studies("loan-sim")
    board = ledger.ledger(found).set_index("arm")
    assert set(ledger.curves(found)["arm"]) == set(ARM_NAMES)
    for arm, mine in ledger.curves(found).groupby("arm"):
        assert (mine["best"].diff().dropna() >= 0).all()
        assert (mine["seconds"].diff().dropna() >= 0).all()
        assert mine["best"].iloc[-1] == pytest.approx(board.loc[arm, "tuned"])
        assert mine["best"].iloc[0] == pytest.approx(board.loc[arm, "default"])
        assert mine["trials"].tolist() == list(range(1, 13))


def test_the_parameter_that_matters_is_the_important_one(done: Path) -> None:
    """Trials whose value is a function of C alone."""
    (one, *_) = [s for s in TrialStore(done).studies("loan-sim") if s.study.arm == "logistic-regression"]
    values = [(t, 1 - abs(math.log10(t.params["C"]))) for t in one.trials]
    told = replace(one, trials=[replace(t, values=[v], state=COMPLETE) for t, v in values])
    shares = ledger.importances([told]).loc["logistic-regression"]
    assert shares["C"] > 2 * shares["balance"]
    assert shares.sum() == pytest.approx(1)


def test_too_few_trials_tell_nothing_of_importance(done: Path) -> None:
    (one, *_) = TrialStore(done).studies("loan-sim")
    assert ledger.importances([replace(one, trials=one.trials[:9])]).empty


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("tuned/loan-sim.toml", b"[[tuned]]\narm = 1\n", lambda folder: read_tuned(folder, "loan-sim")),
        ("tuned/loan-sim.toml", b"\xff\xfe", lambda folder: read_tuned(folder, "loan-sim")),
        ("tuned/loan-sim-trials.parquet", b"PAR1", lambda folder: TrialStore(folder).studies("loan-sim")),
        (
            "studies/trials/loan-sim/x/study.json",
            b"{}",
            lambda folder: TrialStore(folder).studies("loan-sim"),
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_way_out(
    tmp_path: Path, name: str, content: bytes, read: Callable[[Path], object]
) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadStore, match=f"{Path(name).name} cannot be read.*[Mm]ove it away"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("fold = 0", 'fold = "a"', "fold: Input should be a valid integer"),
        ("settings = {", "sampler = 5\nsettings = {", "sampler: Input should be a valid string"),
        ("value = ", "value = true  # ", "value: Input should be a valid number"),
        ("settings = {", "colour = 1\nsettings = {", "colour"),
    ],
)
def test_a_configuration_that_is_none_is_named(
    done: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    (tmp_path / "tuned").mkdir()
    text = tuned_path(done, "loan-sim").read_text()
    tuned_path(tmp_path, "loan-sim").write_text(text.replace(old, new, 1))
    with pytest.raises(BadStore, match=f"cannot be read.*{told}.*Move it away"):
        read_tuned(tmp_path, "loan-sim")


@pytest.mark.parametrize(
    "change",
    [{"values": ["a"]}, {"values": [math.nan, 0.5]}, {"values": []}, {"state": "weird"}, {"number": "1"}],
)
def test_a_trial_that_is_none_is_named(done: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    one = TrialStore(done).studies("loan-sim")[0]
    trials = TrialStore(tmp_path)
    trials.add(one.study, one.trials[0])
    path = trials.folder(one.study) / f"{one.trials[0].id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadStore, match=rf"{path.name} cannot be read \(.*{next(iter(change))}.*Move it away"):
        trials.studies("loan-sim")


def test_a_folder_that_cannot_be_written_is_told(done: Path, tmp_path: Path) -> None:
    (tmp_path / "studies").symlink_to(done / "studies")
    (tmp_path / "tuned").write_text("in the way")
    with pytest.raises(BadStore, match=r"tuned cannot be written \(File exists\)"):
        write_tuned(TrialStore(tmp_path), "loan-sim")


def test_a_trial_is_one_line_of_plain_json(done: Path) -> None:
    paths = [p for p in done.glob("studies/trials/loan-sim/*/*.json") if p.name != "study.json"]
    assert len(paths) == 48
    fields = set(Tried.__dataclass_fields__)
    assert all(set(json.loads(path.read_text())) == fields for path in paths)


def test_python_tunes_and_runs_what_is_tuned(tmp_path: Path) -> None:
    shared = {
        "dataset": "loan-sim",
        "rows": 600,
        "folds": 2,
        "arms": ["logistic-regression"],
        "results": tmp_path,
    }
    ledger = bench.tune(trials=3, inner_folds=2, **shared)
    assert ledger["trials_most"].tolist() == [3]
    board = bench.run(seeds=1, tuned=True, **shared)
    assert board["arm"].tolist() == [f"logistic-regression{TUNED}"]

"""Published results are read beside one's own, and only a command that names their folder writes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.errors import BadStore, UnknownName
from bench.names import digest
from bench.report.comparison import comparison
from bench.report.leaderboard import read
from bench.report.selection import measure_tables
from bench.store.folder import PUBLISHED, Store, published_beside
from bench.tuning.configurations import read_tuned, tuned_path
from bench.tuning.trials import TrialStore
from bench.workflows.tables import compact_records, current, regenerate
from tests.conftest import Script

SMALL = {"dataset": "loan-sim", "rows": 600, "folds": 2, "seeds": 1, "workers": 0}
WORDS = ["--dataset", "loan-sim", "--rows", 600, "--folds", 2]


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file in a folder, by its path."""
    return {
        str(path.relative_to(folder)): digest(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def tune(results: Path, trials: int) -> None:
    """Give logistic regression so many trials on each fold."""
    asked = {name: value for name, value in SMALL.items() if name != "seeds"}
    bench.tune(**asked, arms=["logistic-regression"], trials=trials, inner_folds=2, results=results)


@pytest.fixture(scope="module")
def publication(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return published results of three arms and a study of one: compact, tables, tuned, as a repository has them."""
    ran = tmp_path_factory.mktemp("ran") / "results"
    bench.run(**SMALL, arms=["logistic-regression", "prevalence", "smote"], results=ran)
    tune(ran, trials=2)
    compact_records(ran)
    for board in regenerate(ran):
        board.write()
    folder = tmp_path_factory.mktemp("publication")
    for name in ("compact", "leaderboards", "tuned", "README.md"):
        (shutil.copytree if (ran / name).is_dir() else shutil.copy)(ran / name, folder / name)
    return folder


@pytest.fixture
def results(publication: Path, tmp_path: Path) -> Path:
    """Return a results folder with nothing but published results in it."""
    shutil.copytree(publication, tmp_path / "results" / PUBLISHED)
    return tmp_path / "results"


def test_published_results_lie_within_the_results_and_of_a_folder_within_in_the_same_one(
    tmp_path: Path,
) -> None:
    for name in ("published/alpha", "alpha"):
        (tmp_path / name).mkdir(parents=True)
    assert published_beside(tmp_path) == tmp_path / "published"
    assert published_beside(tmp_path / "alpha") == tmp_path / "published" / "alpha"
    assert published_beside(tmp_path / "published") is None
    assert published_beside(tmp_path / "published" / "alpha") is None
    for name in ("elsewhere", "published/elsewhere"):
        (tmp_path / name).mkdir()
    assert published_beside(tmp_path / "elsewhere") is None


def test_a_run_shows_published_arms_beside_its_own_and_changes_none_of_their_files(results: Path) -> None:
    before = hashes(results / PUBLISHED)
    board = bench.run(**SMALL, arms=["prevalence", "none"], settings={"steps": "40"}, results=results)
    arms = list(board["arm"])
    assert {"logistic-regression", "smote", "prevalence", "none(steps=40)"} <= set(arms)
    assert len(arms) == len(set(arms))
    assert hashes(results / PUBLISHED) == before
    assert (results / "leaderboards" / "loan-sim-strict.parquet").exists()
    published = read(results / PUBLISHED / "leaderboards" / "loan-sim-strict.parquet").set_index("arm")
    own = read(results / "leaderboards" / "loan-sim-strict.parquet").set_index("arm")
    columns = [name for name in own if name.endswith(("_mean", "_lo", "_hi")) and "difference" not in name]
    pd.testing.assert_series_equal(own.loc["smote", columns], published.loc["smote", columns])


def test_an_own_record_stands_before_the_published_ones_of_its_arm(results: Path) -> None:
    bench.run(**{**SMALL, "seeds": 2}, arms=["prevalence"], results=results)
    tables = measure_tables(Store(results), "loan-sim")
    assert tables["strict"].own == {"prevalence"}
    records = tables["strict"].records
    assert {arm: len(its_records) for arm, its_records in records.items()} == {
        "logistic-regression": 2,
        "prevalence": 4,
        "smote": 2,
    }


def test_own_splits_are_shown_and_not_the_published_ones(results: Path) -> None:
    bench.run(**{**SMALL, "folds": 3}, arms=["prevalence"], results=results)
    (results / "leaderboards" / "loan-sim-strict.parquet").unlink()  # as after an interrupt
    table = measure_tables(Store(results), "loan-sim")["strict"]
    assert set(table.records) == {"prevalence"}
    assert len(table.records["prevalence"]) == 3


def test_a_run_on_other_splits_says_that_no_published_arm_stands_beside_it(
    results: Path, bench: Script
) -> None:
    words = [
        "run",
        "--dataset",
        "loan-sim",
        "--rows",
        600,
        "--seeds",
        1,
        "--arm",
        "prevalence",
        "--workers",
        0,
    ]
    note = "The published runs on loan-sim have other rows or splits"
    assert note in bench(*words, "--folds", 3).stderr
    assert note not in bench(*words, "--folds", 2).stderr


def test_tables_are_made_of_own_records_and_never_of_the_published_alone(results: Path) -> None:
    assert regenerate(results) == []
    bench.run(**SMALL, arms=["prevalence"], results=results)
    boards = regenerate(results)
    assert [board.path for board in boards] == [results / "leaderboards" / "loan-sim-strict.parquet"]
    assert not boards[0].stale()
    with pytest.raises(UnknownName, match="fraud-sim"):
        regenerate(results, dataset="fraud-sim")


def test_compact_records_hold_the_own_ones_alone(results: Path) -> None:
    before = hashes(results / PUBLISHED)
    bench.run(**SMALL, arms=["prevalence"], results=results)
    compact_records(results)
    assert {record.arm for record in Store(results).read_compact("loan-sim")} == {"prevalence"}
    shutil.rmtree(results / "runs")
    shutil.rmtree(results / "scores")
    table = measure_tables(Store(results), "loan-sim")["strict"]
    assert set(table.replicates) == {"logistic-regression", "prevalence", "smote"}
    assert table.own == {"prevalence"}
    assert hashes(results / PUBLISHED) == before


def test_published_arms_can_be_compared_with_own_ones(results: Path) -> None:
    board = comparison(Store(results, read_only=True), "loan-sim", "strict", "smote", "logistic-regression")
    assert board["n_pairs"].iloc[0] == 2
    bench.run(**SMALL, arms=["xgboost"], settings={"rounds": "20"}, results=results)
    mixed = comparison(Store(results, read_only=True), "loan-sim", "strict", "xgboost(rounds=20)", "smote")
    assert mixed["n_pairs"].iloc[0] == 2


def test_published_configurations_are_taken_and_own_ones_first(results: Path) -> None:
    before = hashes(results / PUBLISHED)
    board = bench.run(**SMALL, arms=["logistic-regression"], tuned=True, results=results)
    assert "logistic-regression(tuned)" in list(board["arm"])
    assert not tuned_path(results, "loan-sim").exists(), "nothing was left to tune"
    tune(results, trials=3)
    assert [tuned.trials for tuned in read_tuned(results, "loan-sim")] == [3, 3]
    assert [tuned.trials for tuned in read_tuned(results / PUBLISHED, "loan-sim")] == [2, 2]
    studies = current(results, "loan-sim", published=True)
    assert [len(studied.trials) for studied in studies] == [3, 3]
    assert hashes(results / PUBLISHED) == before


def test_published_trials_are_gone_on_with(results: Path) -> None:
    published = TrialStore(results / PUBLISHED).studies("loan-sim")
    tune(results, trials=3)
    own = TrialStore(results).studies("loan-sim")
    assert len(published) == 2
    for before, after in zip(published, own, strict=True):
        assert {trial.id for trial in before.trials} < {trial.id for trial in after.trials}


def test_a_damaged_published_file_is_told_before_anything_is_trained(results: Path) -> None:
    path = results / PUBLISHED / "compact" / "loan-sim" / "records.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadStore, match="check it out again"):
        bench.run(**SMALL, arms=["prevalence"], results=results)
    assert not (results / "runs").exists()


def test_the_published_tables_are_checked_with_the_own_ones(results: Path, bench: Script) -> None:
    done = bench("tables", "--check")
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout
    written = bench("tables")
    assert written.returncode == 2
    assert "--results results/published" in written.stderr
    page = results / PUBLISHED / "leaderboards" / "loan-sim-strict.md"
    page.write_text("edited")
    done = bench("tables", "--check")
    assert done.returncode == 2
    assert str(Path("results") / PUBLISHED / "leaderboards" / "loan-sim-strict.md") in done.stderr
    assert bench("tables", "--results", "results/published").returncode == 0
    assert bench("tables", "--check").returncode == 0


def test_a_data_set_with_published_records_alone_can_be_checked_by_name(results: Path, bench: Script) -> None:
    assert bench("tables", "--check", "--dataset", "loan-sim").returncode == 0
    done = bench("tables", "--check", "--dataset", "loan")
    assert done.returncode == 2
    assert "results holds no records of your own of loan. This makes them:" in done.stderr
    for command in ("tables", "compact"):
        done = bench(command, "--dataset", "loan-sim")
        assert done.returncode == 2
        assert done.stderr == (
            "Error: results holds no records of your own of loan-sim. This makes them:\n"
            "  bench run --dataset loan-sim\n"
            "The published tables are made again by: bench tables --results results/published --dataset loan-sim\n"
        )


def test_missing_noise_is_told_before_anything_is_trained(results: Path) -> None:
    (results / PUBLISHED / "compact" / "loan-sim" / "noise.parquet").unlink()
    with pytest.raises(BadStore, match="noise"):
        bench.run(**SMALL, arms=["prevalence"], results=results)
    assert not (results / "runs").exists()


def test_published_trials_and_configurations_are_told_of(results: Path, bench: Script) -> None:
    words = [*WORDS, "--arm", "logistic-regression", "--workers", 0]
    done = bench("run", *words, "--seeds", 1, "--tuned")
    assert "the tuned configurations are the published ones" in done.stderr
    done = bench("study", *words, "--trials", 2, "--inner-folds", 2)
    assert "4 trials of loan-sim are taken over from the published studies" in done.stderr
    again = bench("study", *words, "--trials", 2, "--inner-folds", 2)
    assert "published" not in again.stderr
    assert "the tuned configurations are" not in bench("run", *words, "--seeds", 1, "--tuned").stderr


def test_published_configurations_of_other_rows_stand_in_nobodys_way(results: Path) -> None:
    published = read_tuned(results / PUBLISHED, "loan-sim")
    rows = {tuned.rows_sha256 for tuned in published}
    assert read_tuned(results, "loan-sim", rows) == published
    assert read_tuned(results, "loan-sim", {"other"}) == []
    assert read_tuned(results, "loan-sim") == published


def test_a_check_of_the_sweeps_looks_at_their_own_tables(results: Path, bench: Script) -> None:
    words = ["run", *WORDS, "--seeds", 1, "--arm", "prevalence", "--workers", 0]
    assert bench(*words, "--results", "results/alpha").returncode == 0
    for folder in ("results/alpha", "results"):
        done = bench("tables", "--check", "--results", folder)
        assert done.returncode == 0, done.stderr
    (results / "alpha" / "leaderboards" / "loan-sim-strict.md").write_text("another table")
    stale = bench("tables", "--check", "--results", "results/alpha")
    assert stale.returncode == 2
    assert "results/alpha/leaderboards/loan-sim-strict.md" in stale.stderr


def test_what_tables_alone_makes_may_be_missing_from_ones_own_results(results: Path, bench: Script) -> None:
    words = ["run", *WORDS, "--seeds", 1, "--arm", "prevalence", "--workers", 0]
    assert bench(*words).returncode == 0
    assert bench("compact").returncode == 0
    assert bench("tables", "--check").returncode == 0, "the page of findings is not made yet"
    page = results / "leaderboards" / "loan-sim-strict.md"
    page.unlink()
    done = bench("tables", "--check")
    assert done.returncode == 2
    assert "loan-sim-strict.md" in done.stderr
    assert bench("tables").returncode == 0
    assert (results / "README.md").exists()
    (results / PUBLISHED / "leaderboards" / "findings.parquet").unlink()
    assert bench("tables", "--check").returncode == 2, "of what is published nothing may be missing"


def test_a_folder_without_records_is_not_compacted(results: Path) -> None:
    (results / "runs" / "loan-sim").mkdir(parents=True)
    (results / "runs" / ".ipynb_checkpoints").mkdir()
    assert compact_records(results) == []
    assert not (results / "compact").exists()


@pytest.mark.parametrize("name", ["results", "BENCH_RESULTS"])
def test_a_tilde_is_the_home(name: str, tmp_path: Path, bench: Script) -> None:
    words = ["run", *WORDS, "--seeds", 1, "--arm", "prevalence", "--workers", 0]
    folder = {"BENCH_RESULTS": "~/mine"} if name == "BENCH_RESULTS" else {}
    option = [] if folder else ["--results", "~/mine"]
    done = bench(*words, *option, HOME=str(tmp_path / "home"), **folder)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "home" / "mine" / "leaderboards" / "loan-sim-strict.md").exists()
    assert not (tmp_path / "~").exists()


def test_the_results_folder_is_named_by_an_option_or_the_environment(tmp_path: Path, bench: Script) -> None:
    words = ["run", *WORDS, "--arm", "prevalence", "--workers", 0]
    assert bench(*words, BENCH_RESULTS=str(tmp_path / "mine")).returncode == 0
    assert (tmp_path / "mine" / "leaderboards" / "loan-sim-strict.md").exists()
    assert not (tmp_path / "results").exists()
    assert bench(*words, "--results", "here", BENCH_RESULTS=str(tmp_path / "other")).returncode == 0
    assert (tmp_path / "here" / "runs").exists()
    assert not (tmp_path / "other").exists()


def test_the_results_folder_of_python_is_named_by_the_environment_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "mine"))
    bench.run(**SMALL, arms=["prevalence"])
    assert (tmp_path / "mine" / "runs" / "loan-sim").exists()

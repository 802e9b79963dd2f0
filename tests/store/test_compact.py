"""Tables made of compact records are those made of the scores, and a damaged or foreign file is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import bench
from bench.errors import BadStore, UnknownName
from bench.report.comparison import comparison
from bench.report.selection import measure_tables
from bench.stats.inference import difference
from bench.store import compact
from bench.store.folder import Store
from bench.store.parquet import read_whole, write_atomically
from bench.store.schema import record_schema
from bench.workflows.tables import compact_records, orphans, regenerate

ARMS = ("logistic-regression", "none", "smote", "prevalence")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results of four arms, one of which failed everywhere, on two folds with two seeds."""
    results = tmp_path_factory.mktemp("results")
    asked = {"dataset": "loan-sim", "rows": 600, "folds": 2, "workers": 0, "results": results}
    bench.run(arms=list(ARMS), seeds=2, **asked)
    board = bench.run(arms=["none(lr=1e9)"], seeds=1, **asked)
    assert board["n_failed"].max() == 2
    return results


@pytest.fixture
def packed(ran: Path, tmp_path: Path) -> Path:
    """Return a folder of nothing but the compact records of `ran`."""
    compact_records(ran)
    shutil.copytree(ran / "compact", tmp_path / "compact")
    return tmp_path


def frames(results: Path) -> list[pd.DataFrame]:
    return [board.frame for board in regenerate(results, read_only=True)]


def test_tables_of_compact_records_are_those_of_the_scores_to_the_last_digit(ran: Path, packed: Path) -> None:
    whole, small = frames(ran), frames(packed)
    assert len(whole) == len(small) == 2  # the leaderboard and the findings
    pd.testing.assert_frame_equal(whole[0], small[0], check_exact=True)
    forms = ("md", "tex", "csv")
    texts = [
        {path.name: text for board in regenerate(root, formats=forms) for path, text in board.texts.items()}
        for root in (ran, packed)
    ]
    assert texts[0] == texts[1]
    assert set(texts[0]) == {"README.md", *(f"loan-sim-strict.{form}" for form in forms)}


def test_comparisons_of_compact_records_are_those_of_the_scores(ran: Path, packed: Path) -> None:
    found = [comparison(Store(root), "loan-sim", "strict", "smote", "none") for root in (ran, packed)]
    pd.testing.assert_frame_equal(*found, check_exact=True)


def test_compact_records_are_many_times_smaller_and_hold_every_record(ran: Path, packed: Path) -> None:
    records = read_whole(Store(packed).compact_path("loan-sim", "records"), record_schema()).to_pylist()
    raw = {record.key: record.row() for record in Store(ran).records("loan-sim")}
    assert {record["key"] for record in records} == set(raw)
    for record in records:
        for name, value in raw[record["key"]].items():
            assert record[name] == (
                pytest.approx(value, rel=1e-6, nan_ok=True) if isinstance(value, float) else value
            ), name
    size = sum(path.stat().st_size for path in (ran / "runs").rglob("*.parquet"))
    size += sum(path.stat().st_size for path in (ran / "scores").rglob("*.parquet"))
    assert sum(path.stat().st_size for path in (packed / "compact").rglob("*.parquet")) < size / 3


def test_compacting_compact_records_changes_nothing(packed: Path) -> None:
    before = {path: path.read_bytes() for path in packed.rglob("*.parquet")}
    assert sorted(compact_records(packed)) == sorted(before)
    assert {path: path.read_bytes() for path in before} == before


def test_an_arm_of_ones_own_stands_in_place_of_the_compact_one_beside_the_others(
    ran: Path, packed: Path
) -> None:
    """On the same splits: of others there is no common table."""
    bench.run(dataset="loan-sim", rows=600, folds=2, seeds=1, arms=["none"], workers=0, results=packed)
    board = frames(packed)[0].set_index("arm")
    assert set(board.index) == {*ARMS, "none(lr=1e9)"}
    assert (board.loc["none", "n_runs"], board.loc["smote", "n_runs"]) == (2, 4)
    whole = frames(ran)[0].set_index("arm")
    columns = ["roc_auc_mean", "roc_auc_lo", "brier_hi", "n_runs"]
    pd.testing.assert_frame_equal(
        board.loc[["smote"], columns], whole.loc[["smote"], columns], check_exact=True
    )


def test_the_same_runs_again_change_no_claim_and_no_order(packed: Path) -> None:
    before = frames(packed)
    bench.run(dataset="loan-sim", rows=600, folds=2, seeds=2, arms=["smote"], workers=0, results=packed)
    after = frames(packed)
    cost = ["fit_seconds", "resample_seconds"]
    pd.testing.assert_frame_equal(before[0].drop(columns=cost), after[0].drop(columns=cost), check_exact=True)
    assert list(measure_tables(Store(packed), "loan-sim")["strict"].replicates) == sorted(ARMS)


def test_compacting_refuses_to_lose_records(packed: Path) -> None:
    before = {path: path.read_bytes() for path in packed.rglob("compact/**/*.parquet")}
    bench.run(dataset="loan-sim", rows=600, folds=2, seeds=1, arms=["none"], workers=0, results=packed)
    with pytest.raises(
        BadStore, match=r"holds 2 records that are not among the new ones, of 1 arms, none first"
    ):
        compact_records(packed)
    bench.run(dataset="loan-sim", rows=300, folds=2, seeds=1, arms=["none"], workers=0, results=packed)
    with pytest.raises(BadStore, match=r"not among the new ones"):
        compact_records(packed)
    assert {path: path.read_bytes() for path in before} == before


def test_the_compact_records_of_another_set_are_refused(packed: Path) -> None:
    shutil.copytree(packed / "compact" / "loan-sim", packed / "compact" / "loan")
    with pytest.raises(BadStore, match=r"a record of loan-sim, not of loan"):
        regenerate(packed, read_only=True)


def test_a_damaged_compact_file_is_told_before_anything_is_trained(packed: Path) -> None:
    Store(packed).compact_path("loan-sim", "records").write_bytes(b"torn")
    with pytest.raises(BadStore, match="cannot be read"):
        bench.run(dataset="loan-sim", rows=600, folds=2, seeds=1, arms=["none"], workers=0, results=packed)
    assert not Store(packed).keys("loan-sim")


def test_compact_records_of_before_a_column_came_are_read(packed: Path) -> None:
    path = Store(packed).compact_path("loan-sim", "records")
    table = read_whole(path, record_schema()).drop_columns(["selected"])
    write_atomically(path, table)
    assert {record.selected for record in Store(packed).records("loan-sim")} == {None}


def test_the_page_of_findings_replaces_no_page_of_somebody_elses(packed: Path) -> None:
    (packed / "README.md").write_text("# Mine")
    with pytest.raises(BadStore, match=r"README.md is no page of bench"):
        regenerate(packed)
    assert (packed / "README.md").read_text() == "# Mine"


def test_a_table_that_no_record_makes_is_named(packed: Path) -> None:
    for board in regenerate(packed):
        board.write()
    made = regenerate(packed, read_only=True)
    assert orphans(packed, made) == []
    lone = packed / "leaderboards" / "german-credit-strict.md"
    lone.write_text("# german-credit")
    assert orphans(packed, made) == [lone]


def test_a_run_is_not_done_because_a_compact_record_says_so(ran: Path, packed: Path) -> None:
    """Published records are somebody else's: whoever runs trains."""
    bench.run(dataset="loan-sim", rows=600, folds=2, seeds=2, arms=["prevalence"], workers=0, results=packed)
    assert len(Store(packed).keys("loan-sim")) == 4


def test_a_changed_record_makes_the_tables_stale_or_is_refused(packed: Path) -> None:
    for board in regenerate(packed):
        board.write()
    path = Store(packed).compact_path("loan-sim", "records")
    table = read_whole(path, record_schema())
    rows = table.to_pylist()
    rows[0]["test_roc_auc"] = 0.99
    write_atomically(path, pa.Table.from_pylist(rows, schema=record_schema()))
    with pytest.raises(BadStore, match=r"other records.*bench compact"):
        regenerate(packed, read_only=True)


@pytest.mark.parametrize("kind", ["records", "noise"])
def test_a_damaged_file_is_told_with_what_to_do(packed: Path, kind: str) -> None:
    path = Store(packed).compact_path("loan-sim", kind)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadStore, match=r"cannot be read.*bench compact"):
        regenerate(packed, read_only=True)
    assert path.exists()


def test_arms_of_compact_records_are_paired(packed: Path) -> None:
    found = measure_tables(Store(packed), "loan-sim")["strict"].replicates
    assert difference(found["smote"], found["none"], "roc_auc").n_pairs == 4
    assert difference(found["smote"], found["smote"], "gini").p_value == 1


def test_only_the_metrics_asked_for_are_read(packed: Path) -> None:
    store = Store(packed)
    found = compact.read(store, store.records("loan-sim"), ["gini", "brier"])
    assert set(found["none"].values) == {"gini", "roc_auc", "brier"}


def test_of_a_data_set_without_records_nothing_is_written_and_an_unknown_one_is_refused(packed: Path) -> None:
    assert compact_records(packed, "loan") == []
    with pytest.raises(UnknownName, match="loan-sim"):
        compact_records(packed, "lone-sim")
    assert compact_records(packed / "nothing") == []


def test_of_a_sweep_only_the_noise_of_its_tables_metrics_is_kept(ran: Path, tmp_path: Path) -> None:
    shutil.copytree(ran, tmp_path / "alpha")
    compact_records(tmp_path)
    shutil.rmtree(tmp_path / "alpha" / "scores")
    shutil.rmtree(tmp_path / "alpha" / "runs")
    of = {
        root: measure_tables(Store(root), "loan-sim")["strict"].replicates
        for root in (ran, tmp_path / "alpha")
    }
    for arm, whole in of[ran].items():
        small = of[tmp_path / "alpha"][arm]
        assert set(small.values) == {"roc_auc", "average_precision", "gini"}
        np.testing.assert_array_equal(small.values["roc_auc"], whole.values["roc_auc"])

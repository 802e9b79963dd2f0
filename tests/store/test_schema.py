"""The columns of a record follow from its fields and from the metrics that are registered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

import pyarrow as pa
import pytest

import bench
from bench import plugins
from bench.errors import BadStore
from bench.stats.metrics import METRICS
from bench.store.folder import Store
from bench.store.parquet import read_checked, write_atomically
from bench.store.schema import NEEDED, NEEDED_IF_OK, Record, as_record, record_schema
from bench.workflows.tables import compact_records
from tests.records import record

PUBLISHED = Path(__file__).parent.parent.parent / "results" / "published" / "compact"
ALERTS = """
from bench.contract import Metric

METRICS = {"alerts": Metric(lambda scored, weight: weight.sum() // 50, False, "rows that are looked at")}
"""

CAME_LATER = {
    "recipe",
    "not_finite",
    "first_step",
    "last_step",
}  # columns that the published records do not have


def test_the_columns_are_those_of_the_published_records() -> None:
    """Names, types and their order, but for what came later: the published files are of an earlier version."""
    files = sorted(PUBLISHED.glob("*/records.parquet"))
    assert files
    for path in files:
        columns = read_checked(path).schema.remove_metadata()
        assert [(column.name, column.type) for column in columns] == [
            (column.name, column.type) for column in record_schema() if column.name not in CAME_LATER
        ]


def test_a_column_has_the_type_of_its_field() -> None:
    kinds = {"string": str, "int32": int, "int64": int, "double": float, "bool": bool}
    kinds |= {"timestamp[us, tz=UTC]": datetime}
    hints = get_type_hints(Record)
    schema = record_schema()
    for field in fields(Record):
        if field.name not in ("valid", "test"):
            hint = hints[field.name]
            allowed = {kind for kind in get_args(hint) or (hint,) if kind is not NoneType}
            assert {kinds[str(schema.field(field.name).type)]} == allowed, field.name


def test_what_every_record_has_may_not_be_none_and_all_else_may() -> None:
    hints = get_type_hints(Record)
    optional = {name for name, hint in hints.items() if NoneType in get_args(hint)}
    assert not optional & set(NEEDED)
    assert optional | set(NEEDED) | {"schema", "valid", "test"} == set(hints)
    assert set(NEEDED_IF_OK) <= optional


def test_a_record_is_its_row() -> None:
    made = record(
        status="failed",
        valid=dict.fromkeys(METRICS, 0.25),
        test=dict.fromkeys(METRICS) | {"roc_auc": 0.5},
        sampler="smote",
        n_test=7,
    )
    row = made.row()
    assert (row["test_roc_auc"], row["test_ks"], row["valid_ks"], row["n_test"]) == (0.5, None, 0.25, 7)
    assert as_record(row) == made
    assert set(row) == set(record_schema().names)


@pytest.mark.parametrize("name", NEEDED)
def test_a_row_without_what_every_record_has_is_refused(name: str) -> None:
    row = record(status="failed").row()
    with pytest.raises(ValueError, match=f"a record without {name}"):
        as_record({column: value for column, value in row.items() if column != name})


def test_a_good_run_on_test_rows_says_more_than_one_on_none() -> None:
    with pytest.raises(ValueError, match="a record without n_train, n_valid, n_test_positive, steps"):
        as_record(record(n_test=5).row())
    assert as_record(record(n_test=0).row()).n_train is None


def test_a_row_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="a record of schema 2, not 1"):
        as_record(record(n_test=0).row() | {"schema": 2})


def test_setups_differ_in_what_is_run_and_in_nothing_else() -> None:
    made = record(config='{"lr": 1}', sampler="smote", version=3)
    assert made.setup == replace(made, seed=5, fold=1, arm="other", loss="focal").setup
    for changes in ({"config": "{}"}, {"sampler": None}, {"version": 4}, {"outer_sampler": "smote"}):
        assert made.setup != replace(made, **changes).setup


def test_folds_of_all_repeats_have_numbers_of_their_own() -> None:
    numbers = [record(repeat=repeat, fold=fold).fold_id for repeat in range(3) for fold in range(5)]
    assert len(set(numbers)) == 15


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    bench.run("loan-sim", rows=600, folds=2, seeds=1, arms=["prevalence"], results=tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture
def alerts(tmp_path: Path) -> Iterator[Path]:
    """Return a file with a metric; what takes it, forgets it after the test."""
    path = tmp_path / "mine.py"
    path.write_text(ALERTS)
    yield path
    plugins.forget()


def test_a_metric_that_is_registered_later_has_columns_and_is_none_in_older_records(
    ran: Path, tmp_path: Path, alerts: Path
) -> None:
    plugins.use([alerts])
    names = record_schema().names
    assert names.index("test_alerts") + 1 == names.index("steps")
    old = Store(ran).records("loan-sim")
    assert [(one.valid["alerts"], one.test["alerts"]) for one in old] == [(None, None)] * 2
    assert all(one.test["roc_auc"] == 0.5 for one in old)
    bench.run("loan-sim", rows=600, folds=2, seeds=1, arms=["prevalence"], results=tmp_path / "new")
    assert all((one.test["alerts"] or 0) > 0 for one in Store(tmp_path / "new").records("loan-sim"))


def test_records_with_a_metric_that_is_not_registered_here_are_read_without_it(
    tmp_path: Path, alerts: Path
) -> None:
    plugins.use([alerts])
    bench.run("loan-sim", rows=600, folds=2, seeds=1, arms=["prevalence"], results=tmp_path)
    compact_records(tmp_path)
    plugins.forget()
    assert [set(one.test) for one in Store(tmp_path).records("loan-sim")] == [set(METRICS)] * 2
    shutil.rmtree(tmp_path / "runs")
    assert [set(one.test) for one in Store(tmp_path).records("loan-sim")] == [set(METRICS)] * 2


@pytest.mark.parametrize(
    "column",
    [("more", pa.array([1.0, 2.0])), ("test_more", pa.array([1, 2])), ("steps", pa.array([1.0, 2.0]))],
)
def test_compact_records_with_a_column_of_another_kind_are_refused(
    ran: Path, column: tuple[str, pa.Array]
) -> None:
    compact_records(ran)
    path = Store(ran).compact_path("loan-sim", "records")
    table = read_checked(path)
    if column[0] in table.column_names:
        table = table.drop_columns([column[0]])
    write_atomically(path, table.append_column(*column))
    with pytest.raises(BadStore, match=f"{column[0]} is no column, or another kind of column"):
        Store(ran).read_compact("loan-sim")

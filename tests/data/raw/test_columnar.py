"""Columns of parquet and Arrow files mean what they would in a CSV file of the same table."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench.data.cards import Reading, card_for_file
from bench.data.raw.columnar import parquet_files
from bench.data.raw.fetch import local_file
from bench.data.raw.readers import read_arrow, read_frame
from bench.data.table import Table, load
from bench.errors import BadTable
from tests.data.raw.conftest import Write

Y = [0, 1, 0, 1]
DAYS = [dt.date(9999, 12, 31), dt.date(2020, 1, 1), None, dt.date(1, 1, 1)]

# A column that Arrow can hold: its values, and what a frame has of them.
COLUMNS: dict[str, tuple[Any, list[object]]] = {
    "time32": (
        pa.array([1000, 2500, None, 0], pa.time32("ms")),
        ["00:00:01", "00:00:02.500", None, "00:00:00"],
    ),
    "time64": (
        pa.array([1, 10**6, None, 0], pa.time64("us")),
        ["00:00:00.000001", "00:00:01", None, "00:00:00"],
    ),
    "date32": (
        pa.array(DAYS, pa.date32()),
        [None if day is None else pd.Timestamp(str(day)) for day in DAYS],
    ),
    "microseconds": (
        pa.array([dt.datetime(9999, 12, 31), None], pa.timestamp("us")).take(pa.array([0, 1, 0, 0])),
        [pd.Timestamp("9999-12-31"), None, pd.Timestamp("9999-12-31"), pd.Timestamp("9999-12-31")],
    ),
    "duration": (
        pa.array([1, None, 2, 3], pa.duration("s")),
        [pd.Timedelta(1, "s"), None, pd.Timedelta(2, "s"), pd.Timedelta(3, "s")],
    ),
    "text": (pa.array([" u", "NA", "v ", None]), ["u", None, "v", None]),
    "large text": (pa.array([" u", "NA", "v ", None], pa.large_string()), ["u", None, "v", None]),
    "text view": (pa.array([" u", "NA", "v ", None]).cast(pa.string_view()), ["u", None, "v", None]),
    "bytes of text": (pa.array([b" u", b"NA", b"v", None]), ["u", None, "v", None]),
    "category": (pa.array([" u", "NA", "u", None]).dictionary_encode(), ["u", None, "u", None]),
    "category of views": (
        pa.array([" u", "NA", "u", None]).cast(pa.string_view()).dictionary_encode(),
        ["u", None, "u", None],
    ),
    "category of bytes": (pa.array([b"u", b"NA", b"u", None]).dictionary_encode(), ["u", None, "u", None]),
    "category of numbers": (pa.array([2, 1, None, 2]).dictionary_encode(), [2, 1, None, 2]),
    "runs": (pa.RunEndEncodedArray.from_arrays([2, 4], ["x ", "?"]), ["x", "x", None, None]),
    "exact decimals": (
        pa.array([9007199254740993, None, 1, 2]).cast(pa.decimal128(20, 0)),
        [9007199254740993, None, 1, 2],
    ),
    "decimals": (pa.array([150, 250, None, 0]).cast(pa.decimal128(25, 2)), [150.0, 250.0, None, 0.0]),
    "half": (pa.array(np.array([1.5, 2, 3, 4], np.float16)), [1.5, 2.0, 3.0, 4.0]),
    "nothing": (pa.nulls(4), [None] * 4),
    "period": (
        pd.Series(pd.PeriodIndex(["2020-01", "2020-02", None, "2021-12"], freq="M")),
        ["2020-01", "2020-02", None, "2021-12"],
    ),
    "quarter": (
        pd.Series(pd.PeriodIndex(["2020Q1", "2020Q2", None, "2021Q4"], freq="Q")),
        ["2020Q1", "2020Q2", None, "2021Q4"],
    ),
    "interval": (
        pd.Series(pd.IntervalIndex.from_breaks([0, 1, 2, 3, 4])),
        ["(0, 1]", "(1, 2]", "(2, 3]", "(3, 4]"],
    ),
}


def arrow(values: Any) -> pa.Array:
    return pa.array(values, from_pandas=True) if isinstance(values, pd.Series) else values


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pa.parquet.write_table(table, out)
    return out.getvalue()


def values(column: Any) -> list[object]:
    return [None if pd.isna(value) else value for value in column]


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_kind_of_column_becomes_a_plain_one(write: Write, kind: str) -> None:
    column, expected = arrow(COLUMNS[kind][0]), COLUMNS[kind][1]
    assert values(read_arrow(pa.table({"a": column}), "it")["a"]) == expected
    table, out = pa.table({"a": column, "y": Y}), io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    assert values(read_frame(write(out.getvalue()))["a"]) == expected
    if kind not in ("runs", "half", "text view", "category of views"):  # which not every parquet holds
        assert values(read_frame(write(parquet(table)))["a"]) == expected


def test_periods_are_told_where_pandas_has_not_met_them_yet(write: Write) -> None:
    """Until pandas has registered its types, such a column looks like whole numbers."""
    field = pa.field(
        "a",
        pa.int64(),
        metadata={"ARROW:extension:name": "pandas.period", "ARROW:extension:metadata": '{"freq": "M"}'},
    )
    assert read_arrow(pa.table([pa.array([600, 601])], schema=pa.schema([field])), "it")["a"].tolist() == [
        "2020-01",
        "2020-02",
    ]


CELLS = {
    "texts": [" u", "NA", "v ", "u", "", "v"],
    "numbers": ["1", " 2", "?", "4", "5", "6"],
    "y": [0, 1, 0, 0, 1, 0],
}


def of(path: Path, **roles: Any) -> Table:
    return load(card_for_file(path, "y", **roles), data_file=path)


def test_a_category_is_read_as_the_same_texts_in_a_csv_file(tmp_path: Path) -> None:
    frame = pd.DataFrame(CELLS)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.astype({"texts": "category"}).to_parquet(tmp_path / "t.parquet")
    expected, result = of(tmp_path / "t.csv"), of(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(result.X, expected.X)
    assert result.X["texts"].cat.categories.tolist() == ["u", "v"]
    assert result.X["texts"].isna().sum() == 2


def test_dropped_columns_are_not_judged(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"l": [[1], [2], [3], [4]], "b": [b"\xff"] * 4, "x": [1, 2, 3, 4], "y": Y}).to_parquet(path)
    with pytest.raises(BadTable, match=r"the column 'l' holds list<.*--drop l"):
        of(path)
    with pytest.raises(BadTable, match=r"the column 'b' holds bytes that are no text; give --drop b"):
        of(path, drop=("l",))
    assert list(of(path, drop=("l", "b")).X) == ["x"]


def test_a_dropped_column_with_another_role_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3, 4], "a": [5.5, 6, 7, 8], "y": Y})
    frame.to_parquet(tmp_path / "t.parquet")
    for table in (of(tmp_path / "t.parquet", drop=("a",), amount="a"),):
        assert table.amount is not None
        assert table.amount.tolist() == [5.5, 6, 7, 8]
        assert list(table.X) == ["x"]


def test_a_feather_file_is_read(write: Write, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.5, None, 3], "g": ["a", "b", None], "y": [0, 1, 0]})
    frame.to_feather(tmp_path / "t.feather")
    pd.testing.assert_frame_equal(read_frame(tmp_path / "t.feather"), frame)
    with pytest.raises(BadTable, match="broken Arrow file"):
        read_frame(write((tmp_path / "t.feather").read_bytes()[:200]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of four parquet files, parted by year and area."""
    for year in (2020, 2021):
        for area in "ab":
            part = tmp_path / "loans" / f"year={year}" / f"area={area}"
            part.mkdir(parents=True)
            whole = [1, 2] if area == "a" else [1.5, 2.5]
            pd.DataFrame({"x": whole, "y": [0, 1]}).to_parquet(part / "part-0.parquet")
    (tmp_path / "loans" / "_SUCCESS").touch()
    return tmp_path / "loans"


def test_a_folder_of_parquet_files_is_one_table_with_the_columns_of_its_paths(folder: Path) -> None:
    frame = read_frame(folder)
    assert frame.to_dict("list") == {
        "x": [1, 2, 1.5, 2.5, 1, 2, 1.5, 2.5],
        "y": [0, 1] * 4,
        "year": [2020] * 4 + [2021] * 4,
        "area": ["a", "a", "b", "b"] * 2,
    }
    assert frame.attrs["notes"][0].startswith("read as one table: 4 parquet files")
    assert read_frame(folder, unread=["year"])["year"].isna().all()
    assert of(folder).n_rows == 8


def test_the_hash_of_a_folder_is_of_names_and_contents(folder: Path) -> None:
    first = local_file(folder).sha256
    (folder / "_SUCCESS").write_text("done")
    assert local_file(folder).sha256 == first
    part = folder / "year=2021" / "area=b"
    part.rename(folder / "year=2021" / "area=c")
    second = local_file(folder).sha256
    pd.DataFrame({"x": [1, 2], "y": [1, 1]}).to_parquet(folder / "year=2021" / "area=c" / "part-0.parquet")
    assert len({first, second, local_file(folder).sha256}) == 3


def test_a_folder_that_is_no_plain_table_is_refused(folder: Path) -> None:
    other = folder / "year=2021" / "area=b" / "part-1.parquet"
    pd.DataFrame({"z": [1, 2], "y": [0, 1]}).to_parquet(other)
    with pytest.raises(
        BadTable, match=r"part-1\.parquet and part-0\.parquet have different columns: 'x', 'z'"
    ):
        read_frame(folder)
    other.rename(folder / "readme.csv").write_text("a,b\n")
    with pytest.raises(BadTable, match=r"no parquet beside its 4 parquet files: 'readme\.csv'"):
        local_file(folder)
    (folder / "readme.csv").unlink()
    (folder / "_delta_log").mkdir()
    with pytest.raises(BadTable, match="a table of Delta Lake"):
        parquet_files(folder)


def test_options_that_mean_nothing_for_a_folder_are_refused(folder: Path) -> None:
    for reading, option in ((Reading(skip_rows=1), "--skip-rows"), (Reading(member="a"), "--member")):
        with pytest.raises(BadTable, match=rf"is a folder.*{option}"):
            read_frame(folder, reading=reading)


def test_options_that_mean_nothing_for_a_format_are_refused(write: Write) -> None:
    content = parquet(pa.table({"a": [1, 2], "y": [0, 1]}))
    for reading, message in (
        (Reading(skip_rows=1), "is parquet, where --skip-rows means nothing"),
        (Reading(comment="#"), "--comment means nothing"),
        (Reading(table="t"), "--table means nothing"),
        (Reading(member="t"), "no zip of several files; leave out --member"),
        (Reading(format="csv"), r"--format 'csv' is not known"),
    ):
        with pytest.raises(BadTable, match=message):
            read_frame(write(content), reading=reading)

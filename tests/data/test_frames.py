"""A frame is the table that a parquet file of it would be, and its hash is of its content."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.cards import card_for_file, card_for_frame
from bench.data.frames import column_names, content_sha256, plain_frame
from bench.data.table import Table, load
from bench.errors import BadArgument, BadTable

Y = [0, 1, 0, 0, 1, 0]
DAYS = pd.date_range("2020-01-01", periods=6, freq="D")

# Every kind of column that a frame may have; each without a missing value and with one.
KINDS: dict[str, Any] = {
    "whole": [1, 2, 3, 4, 5, 6],
    "nullable": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
    "small": np.array([1, 2, 3, 4, 5, 6], dtype=np.int8),
    "float": [0.5, np.nan, 2, 3, 4, -0.0],
    "single": np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], dtype=np.float32),
    "logical": [True, False, True, False, True, True],
    "logical gaps": [True, None, True, False, True, True],
    "numbers as texts": ["1", " 2.5", "NA", "1e3", "?", "5"],
    "texts": ["u", "v", None, " u", "", "w"],
    "string": pd.array(["u", None, "v", "u", "u", "v"], dtype="string"),
    "category": pd.Categorical(["b", "a", None, "b", "a", "a"], categories=["b", "a", "never"]),
    "decimal": [Decimal("1.5"), Decimal("2.5"), None, Decimal(3), Decimal(4), Decimal(5)],
    "objects": pd.Series([1, 2.5, None, 4, 5, 6], dtype=object),
    "arrow": pd.array([1, None, 3, 4, 5, 6], dtype="int64[pyarrow]"),
}


def every_kind() -> pd.DataFrame:
    return pd.DataFrame(KINDS | {"y": Y})


def of_frame(frame: Any, **roles: Any) -> Table:
    return load(card_for_frame("y", **roles), frame=frame)


def of_file(frame: Any, path: Path, **roles: Any) -> Table:
    (frame.write_parquet if hasattr(frame, "write_parquet") else frame.to_parquet)(path)
    return load(card_for_file(path, "y", **roles), data_file=path)


def assert_same(found: Table, expected: Table) -> None:
    pd.testing.assert_frame_equal(found.X, expected.X)
    np.testing.assert_array_equal(found.y, expected.y)
    for name in ("time", "amount"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_whole_numbers_that_a_float_does_not_keep_are_said_of_frames_as_of_files(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": [2**60 + i for i in range(60)], "a": range(60), "y": [0, 1, 0] * 20})
    frame["k"] += np.arange(60) * 200
    frame.to_parquet(tmp_path / "d.parquet")
    given = load(card_for_frame("y"), frame=frame)
    read = load(card_for_file(tmp_path / "d.parquet", "y"), data_file=tmp_path / "d.parquet")
    assert given.notes == read.notes
    assert any(
        "'k' has whole numbers beyond 2^53: of 60 different ones, float64 keeps" in n for n in given.notes
    )


def test_a_frame_of_pandas_is_the_table_of_its_parquet_file(tmp_path: Path) -> None:
    frame = every_kind().set_index(pd.Index([*"abcdef"], name=None)).assign(when=DAYS, value=1.5 + DAYS.day)
    roles = {"time": "when", "amount": "value"}
    found = of_frame(frame, **roles)
    assert_same(found, of_file(frame, tmp_path / "f.parquet", **roles))
    assert found.categorical == ["texts", "string", "category"]
    assert found.X["texts"].cat.codes.tolist() == [0, 1, -1, 0, -1, 2]
    assert (found.source, found.name, found.n_positives) == ("frame", "frame", 2)


def test_numbers_that_the_frame_declares_a_category_stay_one() -> None:
    """A parquet file would forget it."""
    frame = every_kind().assign(code=pd.Categorical([2, 1, 2, 1, 2, 2]))
    found = of_frame(frame)
    assert found.X["code"].tolist() == ["2", "1", "2", "1", "2", "2"]
    assert found.sha256 != of_frame(frame.assign(code=frame["code"].astype(int))).sha256


def test_a_frame_of_polars_is_the_table_of_its_parquet_file(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "whole": [1, None, 3, 4, 5, 6],
            "float": [0.5, float("nan"), None, 3.0, 4.0, 5.0],
            "logical": [True, None, True, False, True, True],
            "texts": ["u", "v", None, " u", "NA", "w"],
            "category": polars.Series(["b", "a", None, "b", "a", "a"], dtype=polars.Categorical),
            "when": list(DAYS.to_pydatetime()),
            "y": ["no", "yes", "no", "no", "yes", "no"],
        }
    )
    found = of_frame(frame, time="when")
    assert_same(found, of_file(frame, tmp_path / "f.parquet", time="when"))
    assert found.numeric == ["whole", "float", "logical"]
    assert found.X["float"].isna().sum() == 2


def test_equal_content_has_one_hash_in_every_library() -> None:
    polars = pytest.importorskip("polars")
    columns = ["whole", "float", "logical", "logical gaps", "texts", "y"]
    frame = every_kind()[columns].assign(when=DAYS, utc=DAYS.tz_localize("UTC"))
    of_polars = polars.from_pandas(frame)
    assert hash_of(frame) == hash_of(of_polars) == hash_of(of_polars.to_arrow())


def hash_of(frame: Any) -> str:
    return content_sha256(plain_frame(frame))


def test_a_hash_does_not_change_from_run_to_run() -> None:
    """Records are found again by it: another hash for the same content is a change that the log must tell."""
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["u", None, "v"], "c": [0.5, np.nan, 1], "y": [0, 1, 0]})
    assert hash_of(frame) == "80d9e4883425b1abe92cff16fae4f872c55c0cbc6a8372e063a5318087d65e44"


SAME: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "index": lambda f: f.set_index(pd.Index(range(10, 16), name="k")),
    "copy": lambda f: f.copy(),
    "width": lambda f: f.assign(whole=f["whole"].astype("int16")),
    "nullable": lambda f: f.assign(whole=f["whole"].astype("Int64")),
    "object texts": lambda f: f.assign(texts=f["texts"].astype(object)),
    "zero": lambda f: f.assign(float=f["float"] + 0.0),
    "order of categories": lambda f: f.assign(
        category=f["category"].cat.reorder_categories(["never", "a", "b"])
    ),
    "unit of dates": lambda f: f.assign(when=f["when"].dt.as_unit("s")),
}
OTHER: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "value": lambda f: f.assign(whole=[1, 2, 3, 4, 5, 7]),
    "text": lambda f: f.assign(texts=["u", "v", None, "v", None, "w"]),
    "missing": lambda f: f.assign(float=[0.5, 1, 2, 3, 4, 0]),
    "name": lambda f: f.rename(columns={"whole": "hole"}),
    "kind": lambda f: f.assign(whole=f["whole"].astype(float)),
    "texts of numbers": lambda f: f.assign(whole=f["whole"].astype(str)),
    "category of texts": lambda f: f.assign(string=f["string"].astype("category")),
    "rows": lambda f: f.iloc[::-1],
    "columns": lambda f: f[list(f)[::-1]],
    "fewer": lambda f: f.head(5),
    "dates": lambda f: f.assign(when=f["when"] + pd.Timedelta(1, "ns")),
    "zone": lambda f: f.assign(when=f["when"].dt.tz_localize("UTC")),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_is_the_same_content_has_the_same_hash(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    frame = every_kind().assign(when=DAYS)
    assert hash_of(change(frame)) == hash_of(frame)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_other_content_has_another_hash(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    frame = every_kind().assign(when=DAYS)
    assert hash_of(change(frame)) != hash_of(frame)


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False), st.text("ab ?", max_size=3), st.booleans()),
        min_size=1,
        max_size=20,
    ),
    st.randoms(use_true_random=False),
)
def test_two_orders_of_rows_agree_only_where_the_rows_do(rows: list[Any], random: Any) -> None:
    frame = plain_frame(pd.DataFrame(rows, columns=["a", "b", "c"]))
    order = list(range(len(rows)))
    random.shuffle(order)
    other = frame.iloc[order].reset_index(drop=True)
    assert (content_sha256(frame) == content_sha256(other)) == frame.equals(other)


def test_dates_beyond_nanoseconds_have_a_hash() -> None:
    far = pd.Series(np.array(["0900-01-01", "3000-01-01"], dtype="datetime64[us]"))
    near = far + pd.Timedelta(1, "us")
    assert hash_of(pd.DataFrame({"a": far})) != hash_of(pd.DataFrame({"a": near}))


def test_the_user_s_frame_is_not_changed_nor_shared() -> None:
    frame = every_kind().set_index("whole")
    before = frame.copy(deep=True)
    table = of_frame(frame, amount="float")
    table.X.loc[:, "single"] = 0.0
    assert table.amount is not None
    table.amount[:] = 0.0
    pd.testing.assert_frame_equal(frame, before)


def test_a_dropped_column_is_not_read() -> None:
    frame = every_kind()
    first, other = (
        of_frame(frame.assign(notes=notes), drop=("notes",))
        for notes in ([[1]] * 6, [1, "a", 2, "b", 3, "c"])
    )
    assert "notes" not in first.X
    assert first.sha256 == other.sha256


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            [1, "a", 2, "b", None, 3],
            r"'k 1' holds what no table can \(int '1' in row 1, str 'a' in row 2\).*give --drop 'k 1'",
        ),
        ([[1], [2]] * 3, r"The column 'k 1' does not hold single values; give --drop 'k 1'"),
        ([{"a": 1}] * 6, r"does not hold single values"),
        ([10**30, 1, 2, 3, 4, 5], r"holds what no table can \(int '10+' in row 1\)"),
        ([1j, 2, 3, 4, 5, 6], r"holds what no table can \(complex '1j' in row 1"),
        (DAYS, r"'k 1' holds dates, no feature .*; give --time 'k 1' or --drop 'k 1', or --dates numeric"),
    ],
)
def test_a_column_that_no_table_can_hold_is_named(column: Any, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        of_frame(pd.DataFrame({"a": [1, 2, 3, 4, 5, 6], "k 1": column, "y": Y}))


def test_nobody_is_told_to_drop_a_label_of_mixed_values() -> None:
    with pytest.raises(
        BadTable, match=r"'y' holds what no table can \(int '1' in row 1, str '0' in row 2\)"
    ) as told:
        of_frame(pd.DataFrame({"a": range(6), "y": pd.Series([1, "0"] * 3, dtype=object)}))
    assert "--drop" not in str(told.value)


def test_sparse_columns_are_read() -> None:
    frame = pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1, 0, 2, 0]), "y": Y})
    np.testing.assert_array_equal(of_frame(frame).X["a"], [0, 0, 1, 0, 2, 0])


def test_two_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame([[1, 2, 0], [2, 3, 1]], columns=[1, "1", "y"])
    with pytest.raises(BadTable, match=r"More than one column is named '1'"):
        of_frame(frame)


def test_names_that_are_no_texts_become_texts() -> None:
    frame = pd.DataFrame(
        [[1, 2, 0], [2, 3, 1], [3, 3, 1]], columns=pd.MultiIndex.from_product([["a"], [0, 1, 2]])
    )
    assert column_names(frame) == ["('a', 0)", "('a', 1)", "('a', 2)"]
    assert list(load(card_for_frame("2"), frame=frame.droplevel(0, axis=1)).X) == ["0", "1"]


def test_an_arrow_table_is_a_frame_too() -> None:
    frame = every_kind()
    table = pa.Table.from_pandas(frame)
    assert column_names(table)[-1] == "y"
    assert_same(of_frame(table), of_frame(frame))


def test_what_is_collected_later_says_so() -> None:
    polars = pytest.importorskip("polars")
    with pytest.raises(BadArgument, match=r"type LazyFrame.*data=frame\.collect\(\)"):
        of_frame(polars.LazyFrame({"a": [1]}))
    with pytest.raises(BadArgument, match=r"one column only"):
        of_frame(polars.Series([1]))


def test_categories_of_intervals_are_categories_of_their_texts() -> None:
    ages = pd.cut(pd.Series([1.0, 5.0, 9.0, None]), [0, 4, 8, 12])
    plain = plain_frame(pd.DataFrame({"age": ages}))
    assert [value if isinstance(value, str) else None for value in plain["age"]] == [
        "(0, 4]",
        "(4, 8]",
        "(8, 12]",
        None,
    ]


def test_categories_that_are_no_single_values_are_refused_by_name() -> None:
    pairs = pd.Series(pd.Categorical([(1, 2), (3, 4), (1, 2)]))
    with pytest.raises(BadTable, match="'pair' does not hold single values"):
        plain_frame(pd.DataFrame({"pair": pairs}))

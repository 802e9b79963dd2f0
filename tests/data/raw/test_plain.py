"""Every type that Arrow has becomes a plain column, or is refused by its name."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench.data.cards import card_for_frame
from bench.data.raw.readers import read_arrow, read_frame
from bench.data.table import load
from bench.errors import BadTable
from tests.data.raw.conftest import Write

pytest.importorskip("pyarrow", minversion="21")  # which has all of these types

UUIDS = [uuid.UUID(int=i) for i in (1, 2, 1)]
HOUR = dt.datetime(2020, 1, 2, 3, 4, 5)
ZONES = (None, "UTC", "+05:30", "America/New_York")

# Types that are single values: three values of a column (the third may be missing), and what a frame has of them.
SINGLE: dict[str, tuple[pa.Array, list[object]]] = {
    **{
        str(kind): (pa.array([1, 2, None]).cast(kind), [1, 2, None])
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
    },
    "uint64": (pa.array([1, 2**64 - 1, None], pa.uint64()), [1, 2**64 - 1, None]),
    **{str(kind): (pa.array([1.5, 2, None], kind), [1.5, 2, None]) for kind in (pa.float32(), pa.float64())},
    "halffloat": (pa.array(np.array([1.5, 2, np.nan], np.float16), from_pandas=True), [1.5, 2, None]),
    "bool": (pa.array([True, False, None]), [True, False, None]),
    "null": (pa.nulls(3), [None] * 3),
    **{
        str(kind): (pa.array([Decimal("1.50"), Decimal(2), None], kind), [1.5, 2, None])
        for kind in (pa.decimal32(8, 2), pa.decimal64(15, 2), pa.decimal128(25, 2), pa.decimal256(60, 2))
    },
    "huge decimal": (
        pa.array([Decimal(10**50), Decimal(10**50 + 1), None], pa.decimal256(60, 0)),
        [str(10**50), str(10**50 + 1), None],
    ),
    **{
        str(kind): (pa.array(["a", " b", None]).cast(kind), ["a", "b", None])
        for kind in (pa.string(), pa.large_string(), pa.string_view())
    },
    **{
        str(kind): (pa.array([b"a", b"b", None]).cast(kind), ["a", "b", None])
        for kind in (pa.binary(), pa.large_binary(), pa.binary_view())
    },
    "fixed_size_binary": (pa.array([b"ab", b"cd", None], pa.binary(2)), ["ab", "cd", None]),
    **{
        str(kind): (
            pa.array([dt.date(2020, 1, 2), None, None], kind),
            [pd.Timestamp("2020-01-02"), None, None],
        )
        for kind in (pa.date32(), pa.date64())
    },
    **{
        str(kind): (pa.array([dt.time(3, 4, 5), None, None], kind), ["03:04:05", None, None])
        for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
    },
    **{
        str(kind): (pa.array([dt.timedelta(hours=1), None, None], kind), [pd.Timedelta(1, "h"), None, None])
        for kind in map(pa.duration, ("s", "ms", "us", "ns"))
    },
    **{
        f"timestamp[{unit}, {zone}]": (
            pa.array([HOUR, None, None], pa.timestamp(unit, tz=zone)),
            [pd.Timestamp(HOUR, tz="UTC") if zone else pd.Timestamp(HOUR), None, None],
        )
        for unit in ("s", "ms", "us", "ns")
        for zone in ZONES
    },
    "uuid": (pa.array([*UUIDS[:2], None], pa.uuid()), [*map(str, UUIDS[:2]), None]),
    "json": (pa.array(['{"a": 1}', "2", None], pa.json_()), ['{"a": 1}', "2", None]),
    "json, large": (pa.array(['{"a": 1}', "2", None], pa.json_(pa.large_utf8())), ['{"a": 1}', "2", None]),
    "bool8": (
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())),
        [True, False, None],
    ),
}
NUMBERS = pa.array([1, 2, 3])
TENSOR = pa.fixed_shape_tensor(pa.int64(), [2])
# Types that hold no single values.
OTHER: dict[str, pa.Array] = {
    "list": pa.array([[1], [2], None]),
    "large_list": pa.array([[1], [2], None], pa.large_list(pa.int64())),
    "list_view": pa.array([[1], [2], None], pa.list_view(pa.int64())),
    "large_list_view": pa.array([[1], [2], None], pa.large_list_view(pa.int64())),
    "fixed_size_list": pa.array([[1], [2], None], pa.list_(pa.int64(), 1)),
    "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"a": 1}, {"a": 2}, None]),
    "sparse_union": pa.UnionArray.from_sparse(pa.array([0, 0, 0], pa.int8()), [NUMBERS]),
    "dense_union": pa.UnionArray.from_dense(
        pa.array([0, 0, 0], pa.int8()), pa.array([0, 1, 2], pa.int32()), [NUMBERS]
    ),
    "month_day_nano_interval": pa.array(
        [pa.MonthDayNano([1, 2, 3]), None, None], pa.month_day_nano_interval()
    ),
    "bytes": pa.array([b"\xff", b"\xfe", None]),
    "fixed_shape_tensor": pa.ExtensionArray.from_storage(
        TENSOR, pa.array([[1, 2], [3, 4], None], TENSOR.storage_type)
    ),
    "opaque": pa.ExtensionArray.from_storage(pa.opaque(pa.int64(), "geometry", "it"), NUMBERS),
    "unknown zone": pa.array([1, 2, None], pa.timestamp("s", tz="Mars/Phobos")),
}


def values(column: Any) -> list[object]:
    return [None if pd.isna(value) else value for value in column]


def coded(column: pa.Array) -> pa.Array:
    """Return a column as a dictionary, whatever its values are."""
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), column)


def in_runs(column: pa.Array) -> pa.Array:
    """Return a column as runs, whatever its values are."""
    return pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3], pa.int32()), column)


STORED = {"plain": lambda column: column, "dictionary": coded, "runs": in_runs}


def as_ipc(table: pa.Table) -> bytes | None:
    """Return a table as an Arrow file; None where pyarrow cannot read what it has written."""
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    try:
        pa.ipc.open_file(out.getvalue()).read_all()
    except pa.ArrowException:
        return None
    return out.getvalue()


def as_parquet(table: pa.Table) -> bytes | None:
    """Return a table as parquet; None for types that it does not have."""
    out = io.BytesIO()
    try:
        pa.parquet.write_table(table, out)
    except (pa.ArrowException, TypeError):
        return None
    return out.getvalue()


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("kind", SINGLE)
def test_single_values_of_every_type_are_read(write: Write, kind: str, stored: str) -> None:
    column, expected = STORED[stored](SINGLE[kind][0]), SINGLE[kind][1]
    table = pa.table({"a": column, "b": NUMBERS})
    assert values(read_arrow(table, "it")["a"]) == expected
    assert values(read_arrow(table.slice(1), "it")["a"]) == expected[1:]
    for content in (as_ipc(table), as_parquet(table)):
        assert content is None or values(read_frame(write(content))["a"]) == expected


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("kind", OTHER)
def test_other_types_are_refused_by_name_and_can_be_dropped(write: Write, kind: str, stored: str) -> None:
    table = pa.table({"a b": STORED[stored](OTHER[kind]), "b": NUMBERS})
    with pytest.raises(BadTable, match=r"the column 'a b' holds .*--drop 'a b'"):
        read_arrow(table, "it")
    for content in (as_ipc(table), as_parquet(table)):
        if content is not None:
            with pytest.raises(BadTable, match=r"the column 'a b' holds .*--drop 'a b'"):
                read_frame(write(content))
            assert read_frame(write(content), unread=["a b"])["b"].tolist() == [1, 2, 3]


def test_every_type_of_arrow_is_tried() -> None:
    """A type that a later Arrow adds fails here, until it stands above."""
    tried = {type(array.type).__name__ for array, _ in SINGLE.values()} | {
        type(array.type).__name__ for array in OTHER.values()
    }
    tried |= {type(store(NUMBERS).type).__name__ for store in STORED.values()}
    apart = {
        "BaseExtensionType",
        "ExtensionType",
        "UnknownExtensionType",
        "UnionType",
        "DeviceAllocationType",
    }
    types = {name for name in dir(pa) if name.endswith("Type") and isinstance(getattr(pa, name), type)}
    assert types - apart <= tried


def test_uuids_and_truths_keep_their_kind_where_pyarrow_does_not_know_them() -> None:
    """A library that writes them names them in the field alone, and older versions of pyarrow read it so."""
    for kind, expected in (("uuid", [*map(str, UUIDS[:2]), None]), ("bool8", [True, False, None])):
        column = SINGLE[kind][0]
        field = pa.field("a", column.type.storage_type, metadata={"ARROW:extension:name": f"arrow.{kind}"})
        table = pa.table([column.storage], schema=pa.schema([field]))
        assert values(read_arrow(table, "it")["a"]) == expected


def test_uuids_of_a_frame_are_texts() -> None:
    frame = pd.DataFrame({"id": UUIDS * 4, "x": range(12), "y": [0, 1, 0] * 4})
    table = load(card_for_frame("y"), frame=frame)
    assert table.X["id"].tolist() == [*map(str, UUIDS)] * 4
    assert table.categorical == ["id"]

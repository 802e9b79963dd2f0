"""A frame in memory as the table that a parquet file of it would be, and the hash that names its content.

A frame of pandas, of polars, or of anything else that has `to_pandas()`, is read as a parquet file is
(`bench.data.raw.readers`). So a column has the same kind, and the same words mean a missing value, wherever the table
came from. Only a category of numbers stays one, which parquet would forget, if they can be levels. The index is no
column.

The hash is of names, kinds and values, not of how a library stores them: NaN and null are the same missing value, and
a whole number is the same in 32 and in 64 bits.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection
from typing import Protocol, TypeGuard

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.data.raw.archives import listed
from bench.data.raw.readers import read_arrow
from bench.data.values import Series
from bench.errors import BadArgument, BadTable
from bench.names import digest

FRAME_NAME = "The frame"  # what messages call it
_NO_CATEGORIES = (
    pd.IntervalDtype,
    pd.PeriodDtype,
    pd.DatetimeTZDtype,
)  # arrow has none of these types, or loses zones


class Frame(Protocol):
    """A table in memory of another library."""

    def to_pandas(self) -> object:
        """Return the table as a frame of pandas."""


def is_frame(value: object) -> TypeGuard[pd.DataFrame | Frame]:
    """Return whether a value is a table in memory that this module reads."""
    return isinstance(value, pd.DataFrame) or callable(getattr(value, "to_pandas", None))


def to_pandas(frame: object) -> pd.DataFrame:
    """Return a frame of any library as one of pandas.

    Raises BadArgument for what is no frame, BadTable where a column has a kind that pandas does not have.
    """
    if not is_frame(frame):
        kind = type(frame).__name__
        collect = " Collect it first: data=frame.collect()." if hasattr(frame, "collect") else ""
        raise BadArgument(
            f"data is of type {kind}: give a data set's name, or a table in memory: of pandas, polars, or with a "
            f"method to_pandas().{collect}"
        )
    try:
        table = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
    except (pa.ArrowException, NotImplementedError) as error:  # a column of a kind that pandas does not have
        raise BadTable(
            f"The frame cannot be made one of pandas: {error}. Cast or drop that column first."
        ) from error
    if not isinstance(table, pd.DataFrame):
        raise BadArgument(f"data has one column only, of type {type(table).__name__}: give a whole table.")
    return table


def column_names(frame: object) -> list[str]:
    """Return the names of a frame's columns as text; raise BadArgument for what is no frame."""
    if is_frame(frame) and not isinstance(frame, pd.DataFrame):
        names = getattr(frame, "column_names", None) or getattr(frame, "columns", None)
        if isinstance(names, list):  # polars and arrow: no need to copy the table
            return names
    return [str(name) for name in to_pandas(frame).columns]


def plain_frame(
    frame: object, *, unread: Collection[str] = (), verbatim: Collection[str] = ()
) -> pd.DataFrame:
    """Return a frame as `bench.data.raw.readers.read_frame` returns the same table in a parquet file.

    Of the columns `unread` only the names are kept; in the columns `verbatim` every word is a value. The frame that
    was given is not changed; what is returned may share its memory.

    Raises
    ------
    BadArgument
        If it is no frame.
    BadTable
        If two columns have one name, or a column's values are not single ones of one type.
    """
    given = to_pandas(frame)
    names = [str(name) for name in given.columns]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise BadTable(f"More than one column is named {listed(repeated)}; give each its own name.")
    columns = [
        pa.nulls(len(given), pa.float64()) if name in unread else _arrow(given.iloc[:, place], name, verbatim)
        for place, name in enumerate(names)
    ]
    return read_arrow(pa.table(columns, names=names), FRAME_NAME, verbatim=verbatim)


def _arrow(column: Series, name: str, verbatim: Collection[str]) -> pa.Array:
    """Return a column in arrow's memory, missing values as null."""
    if isinstance(column.dtype, pd.SparseDtype):
        column = pd.Series(np.asarray(column), name=column.name)
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype) and isinstance(kind.categories.dtype, _NO_CATEGORIES):
        column = column.cat.rename_categories(list(map(str, kind.categories)))  # as pd.cut makes them
    try:
        values = pa.array(column, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        drop = "" if name in verbatim else f", or give --drop {shlex.quote(name)}"
        raise BadTable(
            f"The column {name!r} holds what no table can ({_kinds(column)}); make its values all numbers or all "
            f"texts, frame[{name!r}].astype(str){drop}."
        ) from error
    value_type = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_nested(value_type):
        raise BadTable(f"The column {name!r} does not hold single values; give --drop {shlex.quote(name)}.")
    return values


def _kinds(column: Series) -> str:
    """Return the kinds of a column's values, each with its first value and row."""
    firsts: dict[str, str] = {}
    for row, value in enumerate(column, start=1):
        if not pd.api.types.is_scalar(value) or not pd.isna(value):
            firsts.setdefault(
                type(value).__name__, f"{type(value).__name__} {str(value)[:30]!r} in row {row:,}"
            )
    return ", ".join([firsts[kind] for kind in sorted(firsts)][:4])


def content_sha256(frame: pd.DataFrame) -> str:
    """Return the hash of a plain frame's names, kinds and values, the same wherever equal content came from."""
    return digest([len(frame), *([str(name), *_content(frame[name])] for name in frame)])


def _content(column: Series) -> tuple[str, str]:
    """Return the kind of a column's values, and their hash."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category", _texts(column)
    kind = column.dtype.kind
    if kind == "b":
        return "logical", _bytes(column, "u1")
    if kind in "iu" and isinstance(column.dtype, pd.api.extensions.ExtensionDtype):  # beside missing values
        return "whole", _texts(column)
    if kind in "iu":
        return "whole", _bytes(column, "<u8" if column.dtype == np.uint64 else "<i8")
    if kind == "f":
        values = column.to_numpy("<f8") + 0.0  # no minus before a zero
        return "number", digest(np.where(np.isnan(values), np.nan, values).tobytes())
    if kind in "mM":
        return f"time {getattr(column.dtype, 'tz', None) is not None}", _times(column)
    return pd.api.types.infer_dtype(column, skipna=True), _texts(column)


def _bytes(column: Series, dtype: str) -> str:
    return digest(column.to_numpy(dtype).tobytes())


def _times(column: Series) -> str:
    """Return the hash of dates or times in nanoseconds; in microseconds where they reach further."""
    try:
        fine = column.dt.as_unit("ns")
    except (pd.errors.OutOfBoundsDatetime, pd.errors.OutOfBoundsTimedelta):
        return digest(f"us {_bytes(column.dt.as_unit('us').astype('int64'), '<i8')}")
    return _bytes(fine.astype("int64"), "<i8")


def _texts(column: Series) -> str:
    """Return the hash of a column's values as texts, missing ones apart."""
    codes, values = pd.factorize(column)
    words = [str(value) for value in values]
    levels = sorted(set(words))
    place = {word: i for i, word in enumerate(levels)}
    lookup = np.array([*(place[word] for word in words), -1], dtype="<i8")
    return digest([levels, digest(lookup[codes].tobytes())])

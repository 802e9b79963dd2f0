"""Tables of other programs: JSON, SQLite, Stata, SAS, libsvm, each by the library that keeps it."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json as pajson

from bench.data.raw.archives import MAX_BYTES, listed
from bench.data.raw.content import (
    USE_THREADS,
    Content,
    Raw,
    choose,
    drops,
    first_line,
    may_be_beyond,
    names_of,
)
from bench.data.raw.encodings import as_utf8
from bench.data.raw.plain import plain_table
from bench.errors import BadTable

# What pandas raises for a torn file of another program.
# fmt: off
_TORN = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, EOFError, OSError,
    NotImplementedError, StopIteration, struct.error,
)
# fmt: on
Values = Sequence[object]


def read_json(content: Content) -> Raw:
    """Read JSON lines, one object a row, or a list of objects; what looks like a date stays the text it is."""
    data, notes = as_utf8(content.data, content.name)
    if data.lstrip().startswith(b"["):
        data = _as_lines(data, content.name)
    try:
        table = _json(data, {})
        dates = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
        table = _json(data, dates) if dates else table
    except pa.ArrowException:  # a broken line, or a column of two kinds of values
        table = None
    if table is None:
        _refuse_one_object(data, content.name)
    if table is None or any(may_be_beyond(column) for column in table.columns):
        return _of_columns(_columns(_objects(data, content.name)), content, notes)
    if table.num_rows == 1 and any(pa.types.is_nested(field.type) for field in table.schema):
        raise BadTable(_one_object(content.name, table.column_names))
    return _of_table(table, content, notes)


def _refuse_one_object(data: bytes, name: str) -> None:
    """Raise BadTable where the whole text is one object that holds others, as JSON of pandas' other orients is."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(whole, dict) and any(isinstance(value, list | dict) for value in whole.values()):
        raise BadTable(_one_object(name, list(whole)))


def _one_object(name: str, keys: Sequence[str]) -> str:
    return (
        f"{name} is JSON with one object, of {listed(keys, 4)}; give one object a row "
        "(JSON lines, or a list of objects), as pandas' to_json(orient='records') writes."
    )


def _as_lines(data: bytes, name: str) -> bytes:
    """Return a JSON list of objects as one line for each."""
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadTable(f"{name} is broken JSON ({first_line(error)}); fetch it again.") from error
    place = next((i for i, row in enumerate(rows) if not isinstance(row, dict)), None)
    if place == 0 and isinstance(rows[0], list):
        raise BadTable(
            f"{name} is JSON of lists, which name no columns ({str(rows[0])[:40]}); give one object a row, as pandas' "
            "to_json(orient='records') writes."
        )
    if place is not None:
        raise BadTable(f"{name} is JSON, but its item {place + 1} is no object: {str(rows[place])[:40]!r}.")
    return "\n".join(map(json.dumps, rows)).encode()


def _json(data: bytes, types: dict[str, pa.DataType]) -> pa.Table:
    """Parse JSON lines in one block, so that all rows tell a column's type."""
    options = pajson.ParseOptions(explicit_schema=pa.schema(types)) if types else None
    block = pajson.ReadOptions(use_threads=USE_THREADS, block_size=min(len(data) + 2**10, 2**31 - 1))
    return pajson.read_json(pa.BufferReader(data), block, options)


def _objects(data: bytes, name: str) -> list[dict[str, object]]:
    """Return the objects of JSON lines; raise BadTable with the line that is none."""
    rows = []
    for line, text in enumerate(data.splitlines(), start=1):
        shown = text[:40].decode(errors="replace")
        try:
            row = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            raise BadTable(
                f"{name} is JSON, but its line {line} is no whole object: {shown!r}; mend it."
            ) from error
        if not isinstance(row, dict):
            raise BadTable(f"{name} is JSON, but its line {line} is no object: {shown!r}; mend it.")
        if text.strip():
            rows.append(row)
    return rows


def _columns(rows: Sequence[dict[str, object]]) -> dict[str, Values]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _of_columns(columns: dict[str, Values], content: Content, notes: tuple[str, ...]) -> Raw:
    """Return columns of Python's values as a table; those of several kinds become texts, as in a CSV file."""
    names = names_of(list(columns), content)
    arrays = [
        pa.nulls(len(values), pa.float64()) if name in content.unread else _array(values, name, content)
        for name, values in zip(names, columns.values(), strict=True)
    ]
    return Raw(plain_table(pa.table(arrays, names=list(names)), content), notes)


def _array(values: Values, name: str, content: Content) -> pa.Array:
    """Return values as a column: whole or other numbers, logical, bytes, or texts."""
    kinds = {type(value) for value in values if value is not None}
    if kinds & {list, dict} or (bytes in kinds and len(kinds) > 1):
        row = next(i for i, value in enumerate(values, start=1) if isinstance(value, list | dict | bytes))
        raise BadTable(
            f"{content.name}: the column {name!r} does not hold single values, as in row {row} of the data; "
            f"give {drops([name])}."
        )
    with contextlib.suppress(pa.ArrowException, OverflowError):
        if len(kinds) <= 1:
            return pa.array(values)
        if kinds == {int, float}:
            return pa.array(values, pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _of_table(table: pa.Table, content: Content, notes: tuple[str, ...] = ()) -> Raw:
    """Return a table under the names given for its columns, those that are not wanted without values."""
    names = names_of(table.column_names, content)
    nulls = pa.nulls(table.num_rows, pa.float64())
    columns = [nulls if name in content.unread else table.column(i) for i, name in enumerate(names)]
    return Raw(plain_table(pa.table(columns, names=list(names)), content), notes)


def read_sqlite(content: Content) -> Raw:
    """Read a table or view of an SQLite database, from a copy in memory."""
    page, n_pages = int.from_bytes(content.data[16:18], "big"), int.from_bytes(content.data[28:32], "big")
    if len(content.data) < (page if page > 1 else 2**16) * n_pages:
        raise BadTable(f"{content.name} is an SQLite database cut short; fetch it again.")
    data = (
        content.data[:18] + b"\1\1" + content.data[20:]
    )  # as if it never had a log: there is none beside it
    try:
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(data)
            table = _chosen(database, content)
            own = [row[1] for row in database.execute(f"PRAGMA table_info({_quoted(table)})")]
            names = names_of(own, content)
            wanted = [old for old, new in zip(own, names, strict=True) if new not in content.unread]
            columns = ", ".join(map(_quoted, wanted)) or "1"
            query = " ".join(["SELECT", columns, "FROM", _quoted(table)])
            rows = database.execute(query).fetchall()
    except sqlite3.Error as error:
        raise BadTable(f"{content.name} is a broken SQLite database ({error}); fetch it again.") from error
    values = dict(zip(wanted, zip(*rows, strict=True), strict=True)) if rows and wanted else {}
    return _of_columns(
        {name: values.get(name, (None,) * len(rows)) for name in own},
        content,
        (f"read the table {table!r}",),
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _chosen(database: sqlite3.Connection, content: Content) -> str:
    """Return the table that is asked for, or the only one."""
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    tables = [name for (name,) in database.execute(query)]
    return choose(tables, content, "table")


def read_stata(content: Content) -> Raw:
    """Read a Stata file; numbers whose values all have labels become categories."""
    coded = _by_pandas(pd.read_stata, content, convert_categoricals=False)
    notes = list[str]()
    try:
        labelled = _by_pandas(pd.read_stata, content)
    except BadTable:  # labels that are not distinct
        labelled = coded
        notes.append("the labels of values are not distinct, so columns have their numbers instead")
    for name in coded:
        column = labelled[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            if all(isinstance(level, str) for level in column.cat.categories):
                coded[name] = column
            else:
                notes.append(f"{name!r} has labels for some of its values only, so it has its numbers")
    return _of_frame(coded, content, tuple(notes))


def read_sas(content: Content) -> Raw:
    """Read a SAS data set (sas7bdat)."""
    frame = _by_pandas(pd.read_sas, content, format="sas7bdat", encoding="infer")
    return _of_frame(frame, content)


def read_xport(content: Content) -> Raw:
    """Read a SAS transport file (xpt)."""
    frame = _by_pandas(pd.read_sas, content, format="xport")
    return _of_frame(frame, content)


def _of_frame(frame: pd.DataFrame, content: Content, notes: tuple[str, ...] = ()) -> Raw:
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except _TORN as error:
        raise BadTable(
            f"{content.name} has a column of mixed values ({first_line(error)}); save it as CSV."
        ) from error
    return _of_table(table, content, notes)


def _by_pandas(read: Callable[..., pd.DataFrame], content: Content, **options: object) -> pd.DataFrame:
    """Read a file by pandas, whose complaints become a BadTable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many columns, of times in other units
            frame = read(io.BytesIO(content.data), **options)
    except _TORN as error:
        raise BadTable(
            f"{content.name} cannot be read by pandas ({first_line(error)}); save it as CSV."
        ) from error
    return frame.set_axis(names_of(list(map(str, frame)), replace(content, columns=None)), axis=1)


def read_libsvm(content: Content) -> Raw:
    """Read a libsvm file: the label becomes the column ``label``, the features f1 to fN, zero where absent."""
    from sklearn.datasets import load_svmlight_file

    try:
        X, y = load_svmlight_file(io.BytesIO(content.data))
    except ValueError as error:
        raise BadTable(f"{content.name} is no libsvm file ({first_line(error)}); mend it.") from error
    if 8 * X.shape[0] * X.shape[1] > MAX_BYTES:
        raise BadTable(f"{content.name} has {X.shape[0]:,} rows × {X.shape[1]:,} features, too many to load.")
    label = y.astype(np.int64) if np.array_equal(y, np.round(y)) else y
    seen = np.flatnonzero(X.getnnz(axis=0))
    columns = {"label": label, **{f"f{i + 1}": X[:, [i]].toarray().ravel() for i in seen}}
    note = f"read as libsvm: the label is the column 'label', the features are f1 to f{X.shape[1]}"
    if n_unseen := X.shape[1] - len(seen):
        note += f" without {n_unseen:,} that no row has"
    return _of_table(pa.table(columns), content, (note,))

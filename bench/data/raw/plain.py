"""Columns of arrow as the plain kinds that a frame has, whatever file or library they came from.

A column means what it would in a CSV file of the same table: texts and categories are stripped, the words of missing
values are missing, clock times and periods are texts.
"""

from __future__ import annotations

import json
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bench.data.raw.content import MISSING_WORDS, USE_THREADS, Content, drops, each_column
from bench.errors import BadTable

EXACT = 2**53  # whole numbers up to it are all doubles


def plain_table(table: pa.Table, content: Content) -> pa.Table:
    """Return a table of the kinds of columns that a frame has; raise BadTable for one without single values."""
    columns = [_named(table[field.name], field, content) for field in table.schema]
    table = pa.table(columns, names=table.column_names)
    return each_column(table, lambda column, name: _plain(column, name, content))


def framed(table: pa.Table) -> pd.DataFrame:
    """Return a plain table as a frame; whole numbers beside missing values stay exact beyond 2^53."""
    frame: pd.DataFrame = table.to_pandas(
        ignore_metadata=True, date_as_object=False, split_blocks=True, use_threads=USE_THREADS
    )
    for name in table.column_names:
        column = table[name]
        if pa.types.is_integer(column.type) and column.null_count and largest(column) > EXACT:
            numpy_name = str(column.type).capitalize().replace("Ui", "UI")  # Int64, UInt64
            frame[name] = pd.array(column.to_pylist(), dtype=numpy_name)
    return frame


def largest(column: pa.ChunkedArray) -> int:
    """Return the largest magnitude in a column of whole numbers; 0 where there is none."""
    limits = pc.min_max(column).as_py().values()
    return max((abs(limit) for limit in limits if limit is not None), default=0)


def _named(column: pa.ChunkedArray, field: pa.Field, content: Content) -> pa.ChunkedArray:
    """Return a column as the extension type means it that its field names and this pyarrow does not know."""
    metadata = field.metadata or {}
    name = metadata.get(b"ARROW:extension:name", b"").decode()
    detail = metadata.get(b"ARROW:extension:metadata", b"{}")
    return _of_extension(column, name, detail, field.name, content)


def _unwrapped(column: pa.ChunkedArray, column_name: str, content: Content) -> pa.ChunkedArray:
    """Return a column of an extension type as what its values are."""
    kind = column.type
    serialize = getattr(kind, "__arrow_ext_serialize__", bytes)  # which the types of Arrow itself do not have
    storage = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
    return _of_extension(storage, kind.extension_name, serialize(), column_name, content)


def _of_extension(
    storage: pa.ChunkedArray, name: str, detail: bytes, column_name: str, content: Content
) -> pa.ChunkedArray:
    """Return stored values as what the extension type `name` means by them; of one without a meaning here as stored."""
    if name == "pandas.period":
        return _texts_of_periods(storage, json.loads(detail)["freq"])
    if name == "pandas.interval":
        return _texts_of_intervals(storage, json.loads(detail)["closed"])
    if name == "arrow.uuid":
        words = [None if value is None else str(uuid.UUID(bytes=value)) for value in storage.to_pylist()]
        return pa.chunked_array([pa.array(words, pa.string())])
    if name == "arrow.bool8":
        return storage.cast(pa.bool_())
    if name == "arrow.opaque":
        raise BadTable(_no_single_values(column_name, "values of another program (arrow.opaque)", content))
    return storage


def _texts_of_periods(column: pa.ChunkedArray, freq: str) -> pa.ChunkedArray:
    encoded = column.dictionary_encode().combine_chunks()
    words = [str(pd.Period(ordinal=ordinal, freq=freq)) for ordinal in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(words, pa.string()).take(encoded.indices)])


def _texts_of_intervals(column: pa.ChunkedArray, closed: str) -> pa.ChunkedArray:
    ends = column.combine_chunks()
    left, right = (ends.field(side).to_pandas() for side in ("left", "right"))
    words = pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)  # type: ignore[arg-type]
    return pa.chunked_array([pa.array([None if pd.isna(word) else str(word) for word in words], pa.string())])


def _plain(column: pa.ChunkedArray, column_name: str, content: Content) -> pa.ChunkedArray:
    """Return an arrow column as one of the types that `bench.data.raw.readers.read_frame` promises."""
    kind = column.type
    if pa.types.is_run_end_encoded(kind):
        return _plain(_decoded(column), column_name, content)
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(_unwrapped(column, column_name, content), column_name, content)
    if pa.types.is_dictionary(kind):
        return _plain_category(column, column_name, content)
    if pa.types.is_nested(kind) or pa.types.is_interval(kind):
        raise BadTable(_no_single_values(column_name, str(kind)[:60], content))
    if pa.types.is_timestamp(kind) and kind.tz:
        _refuse_unknown_zone(kind, column_name, content)
    if pa.types.is_decimal(kind):
        return _plain_decimal(column)
    if pa.types.is_null(kind) or pa.types.is_float16(kind):
        return column.cast(pa.float64())
    if pa.types.is_time(kind):
        return _clock_times(column)
    if _is_text(kind) or _is_binary(kind):
        return _stripped(_as_text(column, column_name, content), _missing_words(column_name, content))
    return column


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of runs as one of a value for each row; pyarrow itself decodes only some types of values."""
    stored = column.type.value_type
    kind = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}.get(stored, stored)
    chunks = []
    for chunk in column.chunks:
        rows = chunk.offset + np.arange(len(chunk))
        runs = pa.array(np.searchsorted(chunk.run_ends.to_numpy(), rows, side="right"))
        chunks.append((chunk.values if kind == stored else chunk.values.cast(kind)).take(runs))
    return pa.chunked_array(chunks, kind)


def _no_single_values(column_name: str, what: str, content: Content) -> str:
    return f"{content.name}: the column {column_name!r} holds {what}, not single values; give {drops([column_name])}."


def _refuse_unknown_zone(kind: pa.TimestampType, column_name: str, content: Content) -> None:
    try:
        pa.array([], kind).to_pandas()
    except (KeyError, ValueError) as error:  # as pytz and zoneinfo call it
        raise BadTable(
            f"{content.name}: the column {column_name!r} holds times of the zone {kind.tz!r}, which is not known; "
            f"convert them, or give {drops([column_name])}."
        ) from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _missing_words(column_name: str, content: Content) -> tuple[str, ...]:
    return ("",) if column_name in content.verbatim else MISSING_WORDS


def _as_text(column: pa.ChunkedArray, column_name: str, content: Content) -> pa.ChunkedArray:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column
    try:
        if pa.types.is_fixed_size_binary(column.type):
            column = column.cast(pa.binary())
        return column.cast(pa.string())
    except pa.ArrowException as error:
        raise BadTable(
            f"{content.name}: the column {column_name!r} holds bytes that are no text; give {drops([column_name])}."
        ) from error


def _stripped(column: pa.ChunkedArray, missing_words: tuple[str, ...]) -> pa.ChunkedArray:
    """Return a string column without surrounding blanks, the words of missing values as nulls."""
    column = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(column, value_set=pa.array(missing_words, column.type))
    return pc.if_else(missing, pa.scalar(None, column.type), column)


def _plain_category(column: pa.ChunkedArray, column_name: str, content: Content) -> pa.ChunkedArray:
    """Return a column of categories, which are different plain values; one of times in a zone becomes times."""
    value_type = column.type.value_type
    if pa.types.is_timestamp(value_type) and value_type.tz:
        return _plain(column.cast(value_type), column_name, content)
    values, changed = [], pa.types.is_large_string(value_type)
    for chunk in column.chunks or [
        pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.nulls(0, value_type))
    ]:
        stored = pa.chunked_array([chunk.dictionary])
        plain = _without_nan(_plain(stored, column_name, content))
        changed = changed or plain.type != value_type or bool(plain.null_count) or not plain.equals(stored)
        changed = changed or len(plain.unique()) < len(plain)
        values.append(plain.combine_chunks().take(chunk.indices))
    return pa.chunked_array(values).dictionary_encode() if changed else column


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with null for NaN, which is no category."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _plain_decimal(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return exact decimals as float64, but whole ones that it does not hold as int64 where they fit."""
    doubles = column.cast(pa.float64())
    if column.type.scale > 0 or column.null_count == len(column) or pc.max(pc.abs(doubles)).as_py() < EXACT:
        return doubles
    try:
        return column.cast(pa.int64())
    except pa.ArrowException:
        return column.cast(pa.string())


def _clock_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times of day as the texts that a CSV file has: 12:30:00, with a fraction where one has it."""
    texts = column.cast(pa.string())
    return pc.replace_substring_regex(texts, r"\.0+$", "")


def inexact(table: pa.Table) -> dict[str, tuple[int, int]]:
    """Return the columns of whole numbers of which float64 makes fewer, with how many there are and remain."""
    counts = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_integer(column.type) and largest(column) > EXACT:
            values = column.drop_null().to_numpy()
            exact, rounded = len(np.unique(values)), len(np.unique(values.astype(np.float64)))
            if rounded < exact:
                counts[name] = exact, rounded
    return counts

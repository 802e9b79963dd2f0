"""A text as an arrow table: its lines prepared, its cells cut as `bench.data.raw.layout` says, its values parsed.

pyarrow parses the text, as it is strict where pandas is lenient: pandas fills short rows with missing values and
renames repeated columns, and both would change a table silently.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from bench.data.raw.content import (
    MISSING_WORDS,
    USE_THREADS,
    Content,
    Raw,
    all_match,
    counted,
    first_line,
    may_be_beyond,
    with_columns,
)
from bench.data.raw.decimals import as_said
from bench.data.raw.encodings import as_utf8, row_of
from bench.data.raw.layout import Layout, Quoting, find_layout, numbered_records
from bench.data.raw.lines import prepared, ragged, refuse_footers, without_idle_rows
from bench.data.raw.plain import plain_table
from bench.errors import BadTable

_LEADING_ZERO = r"^[+-]?0\d"
_CHUNK_BYTES = 2**24


def read_text(content: Content, *, typed: bool = False) -> Raw:
    """Read a text file; `typed` is one made of numbers, such as a sheet's, whose decimal mark is surely a point.

    Raises BadTable for what is no table, with the row and what to do.
    """
    data, notes = as_utf8(content.data, content.name)
    lines = prepared(data, content)
    if not lines.data or lines.data.isspace():
        raise BadTable(f"{content.name} is empty or blank; give a file with a table.")
    layout = find_layout(lines.data, content, lines_above=lines.above, separator=lines.separator)
    refuse_footers(lines.data, layout, content)
    text = _Text(lines.data, layout, content)
    if layout.separator == " " or layout.quoting != Quoting():  # pyarrow separates by one character only
        text = _Text(_tabbed(text), replace(layout, separator="\t"), content)
    table, left_out = _parsed(text), tuple[str, ...]()
    if _may_have_idle_rows(table):
        data, left_out = without_idle_rows(text.data, text.layout)
        text = replace(text, data=data)
        table = _parsed(text) if left_out else table
    texts = _codes_as_texts(table, text)
    table = with_columns(table, {name: column for name, column in texts.items() if name in content.coded})
    padded = {name: _padded(column) for name, column in texts.items() if name not in content.coded}
    table, no_columns = _without_idle_columns(table, text)
    table = plain_table(table, content)
    notes += (*lines.notes, *layout.notes, *left_out, *no_columns)
    if typed:
        return Raw(table, notes, layout.separator, padded=padded)
    said = as_said(
        table, text.texts, separator=layout.separator, decimal=content.reading.decimal, name=text.name
    )
    return Raw(said.table, (*notes, *said.notes), layout.separator, said.decimal, padded)


@dataclass(frozen=True)
class _Text:
    """A text from its table's first row on, and how it is cut."""

    data: bytes
    layout: Layout
    content: Content

    @property
    def name(self) -> str:
        """What messages call the file."""
        return self.content.name

    def texts(self, names: list[str]) -> pa.Table:
        """Return some columns as the texts that they are in the file, stripped."""
        return plain_table(_parse(self, names, dict.fromkeys(names, pa.string())), self.content)


def _tabbed(text: _Text) -> bytes:
    """Return a text separated by runs of blanks, or quoted in another way, as one separated by single tabs."""
    out = io.StringIO()
    write = csv.writer(out, delimiter="\t", lineterminator="\n").writerow
    width = len(text.layout.names)
    try:
        for i, (line, row) in enumerate(_records(text)):
            if i == 0 and text.layout.row_names:
                row = ["", *row]
            if len(row) != width:
                line += text.layout.lines_above
                raise BadTable(
                    ragged(
                        text.data, text.layout, text.name, line=line, n_cells=len(row), words=" ".join(row)
                    )
                )
            write(row)
    except csv.Error as error:
        raise BadTable(
            f"{text.name} cannot be cut at its separator, {text.layout.word} ({error}); is a quote unclosed?"
        ) from error
    return out.getvalue().encode()


def _records(text: _Text) -> Iterator[tuple[int, list[str]]]:
    return numbered_records(text.data.decode("utf-8"), text.layout.separator, text.layout.quoting)


def _parsed(text: _Text) -> pa.Table:
    """Parse a whole text; what pyarrow takes for dates, or for numbers that it cannot hold, once more as texts.

    So are codes such as 0x1F, which it takes for hexadecimal numbers.
    """
    wanted = [name for name in text.layout.names if name not in text.content.unread]
    table = _parse(text, wanted)
    dates = [field.name for field in table.schema if pa.types.is_temporal(field.type)]
    huge = [name for name in table.column_names if may_be_beyond(table[name])]
    whole = [field.name for field in table.schema if pa.types.is_integer(field.type)]
    may_be_codes = b"0x" in text.data or b"0X" in text.data
    again = text.texts(dates + huge + (whole if may_be_codes else []))
    columns = {
        name: again[name]
        for name in again.column_names
        if name in dates
        or (name in huge and all_match(again[name], r"^[+-]?\d+$"))
        or (name in whole and not all_match(again[name], r"^[+-]?\d+$"))
    }
    worded = [name for name in wanted if name in text.content.verbatim and table[name].null_count]
    verbatim = _parse(text, worded, missing=("",))
    columns |= dict(zip(verbatim.column_names, verbatim.columns, strict=True))
    return with_columns(table, columns)


def _codes_as_texts(table: pa.Table, text: _Text) -> dict[str, pa.ChunkedArray]:
    """Return as texts the columns of numbers that have leading zeros, and codes of which numbers would be fewer."""
    numbers = [
        field.name
        for field in table.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]
    if not _may_have_leading_zeros(text.data, text.layout.separator):
        numbers = [name for name in numbers if name in text.content.coded]
    texts = text.texts(numbers)
    return {
        name: texts[name]
        for name in numbers
        if _padded(texts[name])
        or (
            name in text.content.coded
            and pc.count_distinct(texts[name]).as_py() > pc.count_distinct(table[name]).as_py()
        )
    }


def _may_have_leading_zeros(data: bytes, separator: str) -> bool:
    """Tell whether some cell may begin with a zero before another digit."""
    begins = np.zeros(256, dtype=bool)
    begins[list(f'{separator}\n\r"+- '.encode())] = True
    for start in range(0, len(data), _CHUNK_BYTES):
        codes = np.frombuffer(data[max(start - 2, 0) : start + _CHUNK_BYTES], dtype=np.uint8)
        before_digits = (codes[1:-1] == ord("0")) & (codes[2:] - np.uint8(ord("0")) < 10)
        if begins[codes[:-2][before_digits]].any():
            return True
    return False


def _padded(column: pa.ChunkedArray) -> str:
    """Return the first text with a leading zero; nothing where there is none."""
    is_padded = pc.match_substring_regex(column, _LEADING_ZERO)
    return column.filter(is_padded)[0].as_py() if pc.any(is_padded).as_py() else ""


def _may_have_idle_rows(table: pa.Table) -> bool:
    """Tell whether there may be rows without a value, or with names: if no column lacks nulls, or all are texts."""
    columns = table.columns
    has_nulls = all(column.null_count for column in columns)
    return has_nulls or all(pa.types.is_string(column.type) for column in columns)


def _without_idle_columns(table: pa.Table, text: _Text) -> tuple[pa.Table, tuple[str, ...]]:
    """Return a table with all its columns, but those that a separator at the end of each row makes, and row names.

    Columns that are not read stay without values.
    """
    layout, unread, notes = text.layout, text.content.unread, []
    names = list(layout.names)
    if layout.row_names:
        cells = text.texts(list(layout.row_names)).column(0)
        if len(cells.unique()) < len(cells):
            raise BadTable(
                f"{text.name}: the header has one name less than the rows have cells, and the first cells are not "
                "distinct, so they are no row names; give each column its name."
            )
    empty = [name for name in layout.empty if name not in unread]
    if empty and all(table[name].null_count == len(table) for name in empty):
        notes.append(
            f"left out at the end of each row: {counted(len(empty), 'column')} without a name or a value"
        )
    elif empty and layout.n_unnamed:
        value = table[empty[-1]].drop_null()[:1].to_pylist()
        raise BadTable(
            f"{text.name}: the header has {len(names) - layout.n_unnamed} names, but rows have {len(names)} cells, and "
            f"the last are not all empty{f': {value[0]!r}' if value else ''}; give each column its name."
        )
    else:
        empty = []
    nulls = pa.nulls(table.num_rows, pa.float64())
    kept = [name for name in names if name not in {*empty, *layout.row_names}]
    read = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table([read.get(name, nulls) for name in kept], names=kept), tuple(notes)


def _parse(
    text: _Text,
    names: list[str],
    types: Mapping[str, pa.DataType] | None = None,
    *,
    missing: tuple[str, ...] = MISSING_WORDS,
) -> pa.Table:
    """Parse some columns of a text with pyarrow; raise BadTable for a row with another number of cells."""
    torn: list[pacsv.InvalidRow] = []

    def judge(row: pacsv.InvalidRow) -> str:
        if not row.text.strip():
            return "skip"
        torn.append(row)
        return "error"

    layout = text.layout
    if not names:
        return pa.table({})
    try:
        return pacsv.read_csv(
            pa.BufferReader(text.data),
            pacsv.ReadOptions(
                use_threads=USE_THREADS,
                column_names=layout.names,
                skip_rows_after_names=layout.header,
            ),
            pacsv.ParseOptions(
                delimiter=layout.separator, newlines_in_values=b'"' in text.data, invalid_row_handler=judge
            ),
            pacsv.ConvertOptions(
                column_types=types,
                include_columns=names,
                decimal_point=text.content.reading.decimal or ".",
                null_values=missing,
                strings_can_be_null=True,
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
            ),
        )
    except pa.ArrowException as error:
        raise BadTable(_fault(torn, text, error)) from error


def _fault(torn: list[pacsv.InvalidRow], text: _Text, error: Exception) -> str:
    """Say why a text could not be parsed."""
    if not torn:
        return (
            f"{text.name} cannot be cut at its separator, {text.layout.word} ({first_line(error)}); "
            "is a quote unclosed?"
        )
    places = [(_place_of(row.text, text.data), row) for row in torn]
    place, row = min(places, key=lambda pair: pair[0])
    line = 0 if place < 0 else text.layout.lines_above + row_of(text.data, place)
    return ragged(text.data, text.layout, text.name, line=line, n_cells=row.actual_columns, words=row.text)


def _place_of(words: str, data: bytes) -> int:
    """Return where a whole line first stands in a text; -1 where it does not."""
    line = re.search(rb"(?:\A|[\r\n])(%s)(?=[\r\n]|\Z)" % re.escape(words.encode().rstrip(b"\r\n")), data)
    return line.start(1) if line else -1

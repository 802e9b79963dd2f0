"""A file's bytes as a DataFrame: parquet or text, whatever its separator, line ends and encoding.

The content decides, not the name: parquet is known by its first bytes, and anything else must be text, whose
separator, encoding and header are inferred from its first rows. pyarrow parses the text, as it is strict where pandas
is lenient: pandas fills short rows with missing values and renames repeated columns, and both would change a table
silently.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from bench.data.raw.archives import MAX_BYTES, listed, unpacked
from bench.errors import BadTable

MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "?", "None")

# In order of preference among separators that cut every row into the same number of cells: a tab or a
# semicolon in every row is hardly ever an accident, a comma may be a decimal one.
SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma", " ": "blanks"}

_HEAD_BYTES, _HEAD_ROWS = 2**20, 100
_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
_KINDS = {
    rb"\xd0\xcf\x11\xe0": "an Excel workbook",
    rb"ARROW1": "an Arrow (Feather) file",
    rb"BZh\d": "a bzip2 archive",
    rb"\xfd7zXZ": "an xz archive",
    rb"\x28\xb5\x2f\xfd": "a zstd archive",
    rb"7z\xbc\xaf": "a 7z archive",
    rb"\x1f\x8b|PK\x03\x04": "an archive inside an archive",
    rb"\x89HDF": "an HDF5 file",
    rb"\x80[\x02-\x05]": "a Python pickle",
    rb"%PDF": "a PDF document",
    rb"SQLite format 3": "an SQLite database",
    rb"(?i)\s*<(!doctype|html|\?xml)": "a web page or XML",
    rb"\s*[\[{]\s*[\[{\"]": "JSON",
    rb"(?i)(\s*%[^\r\n]*)*\s*@relation": "an ARFF file",
}


@dataclass(frozen=True)
class _Layout:
    """How a text is cut: its separator, the columns' names, and whether the first row is a header."""

    separator: str
    names: tuple[str, ...]
    header: bool


def read_frame(path: Path, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Read a table of any supported format into a DataFrame.

    Text may be separated by commas, tabs, semicolons, pipes or blanks, have any line ends, a byte order
    mark, be UTF-8, UTF-16 or Latin-1. It has a header unless every numeric column starts with a number
    (1…N or 0…N-1 in order are names all the same) or, without numeric columns, every cell of the first row
    comes again below; the columns of a file without a header are named c1…cN. An empty name becomes
    ``Unnamed: <position>``. Texts are stripped, and the words of `MISSING` are missing. Decimal commas are
    read between semicolons where no digit group could be meant. Parquet loses its unnamed pandas index.

    Parameters
    ----------
    path : Path
        The file, plain, gzipped, or a zip with one table inside.
    columns : tuple of str, optional
        The columns' names by position, in place of the file's own where it has any.

    Returns
    -------
    pandas.DataFrame
        One row per row of the file: int64, float64, bool, string, category or datetime columns.

    Raises
    ------
    BadTable
        If the file is no such table: empty, binary, ragged, repeated names, encrypted, too large.
    """
    content, name = unpacked(path)
    is_parquet = content.startswith(b"PAR1")
    table = _parquet(content, columns, name) if is_parquet else _text(content, columns, name)
    if not table.num_rows:
        raise BadTable(f"{name} names {table.num_columns} columns but has no rows; give a file with rows.")
    return _framed(table)


def read_arrow(table: pa.Table, name: str) -> pd.DataFrame:
    """Return an arrow table as the DataFrame that `read_frame` gives of the same table in a parquet file.

    `name` is what messages call it. Raises BadTable for a column that holds no single values.
    """
    return _framed(_each_column(table, lambda column, column_name: _plain(column, column_name, name)))


def _framed(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, date_as_object=False, split_blocks=True)
    return frame


def _parquet(content: bytes, columns: tuple[str, ...] | None, name: str) -> pa.Table:
    """Read a parquet file into an arrow table of plain columns."""
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        rows, width = file.metadata.num_rows, len(file.schema_arrow.names)
        if 8 * rows * width > MAX_BYTES:
            raise BadTable(
                f"{name} has {rows:,} rows × {width:,} columns, too many to load; give a part of it."
            )
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise BadTable(f"{name} is a broken parquet file ({_first_line(error)}); fetch it again.") from error
    table = table.select([i for i, n in enumerate(table.column_names) if not n.startswith("__index_level_")])
    table = table.rename_columns(list(_names(table.column_names, columns, name)))
    return _each_column(table, lambda column, column_name: _plain(column, column_name, name))


def _plain(column: pa.ChunkedArray, column_name: str, name: str) -> pa.ChunkedArray:
    """Return an arrow column as one of the types that `read_frame` promises."""
    kind = column.type
    if pa.types.is_nested(kind):
        raise BadTable(
            f"{name}: the column {column_name!r} holds {kind}, not single values; drop it from the file."
        )
    if pa.types.is_null(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        try:
            return _stripped(column.cast(pa.string()))
        except pa.ArrowException as error:
            raise BadTable(
                f"{name}: the column {column_name!r} holds bytes that are no text; drop it from the file."
            ) from error
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _stripped(column)
    return column


def _stripped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a string column without surrounding blanks, the words of `MISSING` as nulls."""
    column = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(column, value_set=pa.array(MISSING_WORDS, column.type))
    return pc.if_else(missing, pa.scalar(None, column.type), column)


def _text(content: bytes, columns: tuple[str, ...] | None, name: str) -> pa.Table:
    """Read a text file into an arrow table of plain columns."""
    _refuse_other_kinds(content, name)
    content = _utf8(content)
    if not content or content.isspace():
        raise BadTable(f"{name} is empty or blank; give a file with a table.")
    head = _head(content)
    separator = _separator(head, name)
    rows = list(islice(_records(head, separator), _HEAD_ROWS))
    header = _has_header(rows, columns)
    own_names = rows[0] if header else [f"c{i}" for i in range(1, len(rows[0]) + 1)]
    if separator == " ":  # pyarrow separates by one character only
        content, separator = _tabbed(content, name), "\t"
    table = _parsed(content, _Layout(separator, _names(own_names, columns, name), header), name)
    if separator == ";":
        table = _each_column(table, lambda column, _: _with_points(column))
    return table


def _refuse_other_kinds(content: bytes, name: str) -> None:
    """Raise BadTable, naming what the content is, unless it can be a text table."""
    kind = next((kind for magic, kind in _KINDS.items() if re.match(magic, content[:_HEAD_BYTES])), None)
    if kind is None and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = content[: 2**16]
        n_controls = len(start) - len(start.translate(None, bytes({*range(32)} - {*b"\t\n\v\f\r\x1a"})))
        kind = "binary" if b"\0" in start or n_controls > len(start) / 100 else None
    if kind is None and name.lower().endswith((".parquet", ".pq")):
        raise BadTable(f"{name} is named like parquet but is text; rename it to .csv, or fetch it again.")
    if kind is not None:
        raise BadTable(f"{name} is {kind}, not a table this suite reads; save it as CSV or parquet.")


def _utf8(content: bytes) -> bytes:
    """Return a text's bytes as UTF-8 without a byte order mark or blank lines before the first row."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = content.decode("utf-16", "replace").encode()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        content = content.decode("latin-1").encode()
    content = content.removeprefix(b"\xef\xbb\xbf")
    blank = re.match(rb"(?:[ \t]*[\r\n])*", content)
    return content[blank.end() :] if blank else content


def _head(content: bytes) -> str:
    """Return the whole lines in the first part of a text."""
    text = content[:_HEAD_BYTES].decode("utf-8", "ignore")
    end = max(text.rfind("\n"), text.rfind("\r"))
    return text[:end] if len(content) > _HEAD_BYTES and end > 0 else text


def _records(text: str, separator: str) -> Iterator[list[str]]:
    """Yield the rows of a text as lists of cells, blank lines left out."""
    lines: Iterator[str] = iter(io.StringIO(text, newline=None))
    if separator == " ":
        lines = (line.replace("\t", " ").strip() for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator == " ")
    return (row for row in reader if len(row) > 1 or "".join(row).strip())


def _separator(head: str, name: str) -> str:
    """Return the separator that cuts the largest share of the first rows into equally many cells."""
    best, best_share = "", 0.0
    for separator in SEPARATORS:
        if separator == " " and best:
            break  # words inside cells are no columns
        share = _share_of_equal_rows(head, separator)
        if share > best_share:
            best, best_share = separator, share
    if not best:
        words = ", ".join(SEPARATORS.values())
        raise BadTable(
            f"{name} has only one column: no separator ({words}) divides its rows; separate by commas."
        )
    return best


def _share_of_equal_rows(head: str, separator: str) -> float:
    """Return the share of rows with the most frequent number of cells; zero if that is one cell."""
    try:
        widths = Counter(len(row) for row in islice(_records(head, separator), _HEAD_ROWS))
    except csv.Error:  # an unclosed quote
        return 0.0
    width, count = (widths.most_common(1) or [(1, 0)])[0]
    return count / widths.total() if width > 1 else 0.0


def _has_header(rows: list[list[str]], columns: tuple[str, ...] | None) -> bool:
    """Tell whether the first row holds names, by the rule that `read_frame` states."""
    first = [cell.strip() for cell in rows[0]]
    below = [{row[i].strip() for row in rows[1:] if i < len(row)} for i in range(len(first))]
    counted = [[str(i + start) for i in range(len(first))] for start in (0, 1)]
    if tuple(first) == columns or (len(rows) > 1 and not columns and first in counted):
        return True
    if len(rows) == 1:
        return not columns
    over_numbers = [cell for cell, cells in zip(first, below, strict=True) if _are_numbers(cells)]
    if over_numbers:
        return any(not _are_numbers({cell}) for cell in over_numbers if cell not in MISSING_WORDS) or not any(
            _are_numbers({cell}) for cell in over_numbers
        )
    return not columns and not all(cell in cells for cell, cells in zip(first, below, strict=True))


def _are_numbers(cells: set[str]) -> bool:
    """Tell whether all cells that are not missing are numbers, and at least one is there."""
    present = cells.difference(MISSING_WORDS)
    return bool(present) and all(_NUMBER.fullmatch(cell) for cell in present)


def _names(own_names: list[str], columns: tuple[str, ...] | None, name: str) -> tuple[str, ...]:
    """Return the columns' names: `columns` where given, else the file's own; raise BadTable for a repeated one."""
    if columns is not None and len(columns) != len(own_names):
        raise BadTable(
            f"{name} has {len(own_names)} columns, but {len(columns)} names are given for them; correct the card."
        )
    names = columns or tuple(cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(own_names))
    repeated = [cell for cell, count in Counter(names).items() if count > 1]
    if repeated:
        raise BadTable(
            f"{name} names more than one column {listed(repeated)}; give each column its own name."
        )
    return names


def _tabbed(content: bytes, name: str) -> bytes:
    """Return a text separated by runs of blanks as one separated by single tabs."""
    out = io.StringIO()
    rows = _records(content.decode("utf-8"), " ")
    try:
        csv.writer(out, delimiter="\t", lineterminator="\n").writerows(rows)
    except csv.Error as error:
        raise BadTable(f"{name} cannot be cut at its blanks ({error}); is a quote unclosed?") from error
    return out.getvalue().encode()


def _parsed(content: bytes, layout: _Layout, name: str) -> pa.Table:
    """Parse a whole text; where dates were inferred, once more with those columns as the texts they are."""
    table = _parsed_as(content, layout, name, types={})
    types = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
    if types:
        table = _parsed_as(content, layout, name, types=types)
    return _each_column(table, lambda column, column_name: _plain(column, column_name, name))


def _parsed_as(
    content: bytes, layout: _Layout, name: str, *, types: dict[str, pa.DataType], threads: bool = True
) -> pa.Table:
    """Parse a whole text with pyarrow, the types of some columns given; raise BadTable for a ragged row."""
    ragged: list[pacsv.InvalidRow] = []

    def judge(row: pacsv.InvalidRow) -> str:
        if not row.text.strip():
            return "skip"
        ragged.append(row)
        return "error"

    try:
        return pacsv.read_csv(
            pa.BufferReader(content),
            pacsv.ReadOptions(
                column_names=layout.names, skip_rows_after_names=layout.header, use_threads=threads
            ),
            pacsv.ParseOptions(
                delimiter=layout.separator, newlines_in_values=b'"' in content, invalid_row_handler=judge
            ),
            pacsv.ConvertOptions(
                column_types=types,
                null_values=MISSING_WORDS,
                strings_can_be_null=True,
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
            ),
        )
    except pa.ArrowException as error:
        if ragged and threads:  # only a single thread knows the row's number
            return _parsed_as(content, layout, name, types=types, threads=False)
        raise BadTable(_fault(ragged, layout, name, error)) from error


def _fault(ragged: list[pacsv.InvalidRow], layout: _Layout, name: str, error: Exception) -> str:
    """Say why a text could not be parsed."""
    word = SEPARATORS[layout.separator]
    if not ragged:
        return f"{name} cannot be cut at its separator, {word} ({_first_line(error)}); is a quote unclosed?"
    row = ragged[0]
    where = f"row {row.number}" if row.number is not None else "a row"
    return (
        f"{name}: {where} has {row.actual_columns} cells, not {row.expected_columns} as the first row "
        f"(separator: {word}): {row.text[:60]!r}; mend or remove it."
    )


def _with_points(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a string column of numbers with decimal commas as float64; any other as it is.

    Where all values with a comma have three digits after it, the comma may part thousands: left as text.
    """
    if not pa.types.is_string(column.type) or column.null_count == len(column):
        return column
    is_number = pc.match_substring_regex(column, r"^[+-]?\d+(,\d+)?([eE][+-]?\d+)?$")
    is_decimal = pc.match_substring_regex(column, r"^[+-]?\d+,(\d{1,2}|\d{4,})([eE][+-]?\d+)?$")
    if not pc.all(is_number).as_py() or not pc.any(is_decimal).as_py():
        return column
    return pc.replace_substring(pc.utf8_ltrim(column, "+"), ",", ".").cast(pa.float64())


def _each_column(table: pa.Table, change: Callable[[pa.ChunkedArray, str], pa.ChunkedArray]) -> pa.Table:
    """Return a table with every column changed."""
    names = table.column_names
    return pa.table(
        [change(column, name) for column, name in zip(table.columns, names, strict=True)], names=names
    )


def _first_line(error: Exception) -> str:
    """Return the short part of a library's message."""
    return _LINE_END.split(str(error), maxsplit=1)[0][:120].rstrip(".")

"""What every reader is handed, and what it hands back.

A reader turns the content of one file into an arrow table; `bench.data.raw.readers` chooses it. What it did that the
user should know, such as rows left out, goes along as notes of one line each.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from bench.data.cards import Reading
from bench.data.raw.archives import listed
from bench.errors import BadTable

MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "?", "None")

# A number as most programs write it, with a decimal point; or with a point or a comma.
PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NUMBER_OF_ANY_MARK = re.compile(PLAIN_NUMBER.pattern.replace(r"\.", "[.,]"))

# Arrow's threads can outlive the call that they read for. One that lets go of Python's bytes last needs Python's lock,
# and where Python is about to end, that ends the process: "terminate called without an active exception", exit 134.
USE_THREADS = False

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Content:
    """A file's bytes, and how they are to be read.

    `columns` are the columns' names by position, in place of the file's own. Of the columns `unread` only the names
    are kept. In the columns `verbatim` every word is a value, and only an empty cell is missing. Columns that are
    `coded` hold codes, of which 007 and 7 are two.
    """

    data: bytes
    name: str
    columns: tuple[str, ...] | None = None
    reading: Reading = field(default_factory=Reading)
    unread: frozenset[str] = frozenset()
    verbatim: frozenset[str] = frozenset()
    coded: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Raw:
    """A table as it was read: its columns, what was done, and what its text says of numbers.

    `decimal` is a comma where some column's numbers can only be read so, with a point behind it where others have
    points, else None; `separator` is None where the file is no text. `padded` has a text such as 007 by the name of
    each column of numbers with leading zeros.
    """

    table: pa.Table
    notes: tuple[str, ...] = ()
    separator: str | None = None
    decimal: str | None = None
    padded: Mapping[str, str] = field(default_factory=dict)


def names_of(own_names: Sequence[str], content: Content) -> tuple[str, ...]:
    """Return the columns' names: those given, else the file's own; raise BadTable for a repeated one."""
    columns, name = content.columns, content.name
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


def each_column(table: pa.Table, change: Callable[[pa.ChunkedArray, str], pa.ChunkedArray]) -> pa.Table:
    """Return a table with every column changed."""
    names = table.column_names
    return pa.table(
        [change(column, name) for column, name in zip(table.columns, names, strict=True)], names=names
    )


def with_columns(table: pa.Table, columns: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    """Return a table with some of its columns in place of others."""
    names = table.column_names
    return pa.table([columns.get(name, table[name]) for name in names], names=names)


def all_match(column: pa.ChunkedArray, pattern: str) -> bool:
    """Tell whether all texts of a column that are there match."""
    return bool(pc.all(pc.match_substring_regex(column, pattern)).as_py())


def may_be_beyond(column: pa.ChunkedArray) -> bool:
    """Tell whether a column of doubles may be whole numbers that pyarrow made doubles, as they are no int64."""
    return pa.types.is_floating(column.type) and bool(
        pc.any(pc.greater_equal(pc.abs(column), 2.0**63)).as_py()
    )


def choose(names: Sequence[str], content: Content, kind: str) -> str:
    """Return the table or sheet that is asked for, or the only one; raise BadTable that names them."""
    asked = content.reading.table
    if asked is None and len(names) == 1:
        return names[0]
    if not names:
        raise BadTable(f"{content.name} has no {kind} with data; give another file.")
    if asked is None:
        raise BadTable(
            f"{content.name} has {len(names)} {kind}s with data: {listed(names)}; say which: "
            f"--table {shlex.quote(names[0])}."
        )
    if asked not in names:
        raise BadTable(f"{content.name} has no {kind} {asked!r}; --table is one of: {listed(names)}.")
    return asked


def counted(count: int, word: str) -> str:
    """Return a count with its word."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def drops(names: Collection[str]) -> str:
    """Return the options that drop the columns, as a shell takes them."""
    return " ".join(f"--drop {shlex.quote(name)}" for name in names)


def first_line(error: Exception) -> str:
    """Return the short part of a library's message."""
    return _LINE_END.split(str(error), maxsplit=1)[0][:120].rstrip(".")

"""A file as a DataFrame: text, parquet, Arrow (Feather), JSON lines, ARFF, Excel, SQLite, Stata, SAS, libsvm.

Each may be plain, compressed or in a zip, and a folder of parquet files is one table. The content decides, not the
name: most formats are known by their first bytes, and anything else must be text. Only what does not show, such as
libsvm, is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bench.data.cards import Reading
from bench.data.raw.archives import unpacked
from bench.data.raw.arff import read_arff
from bench.data.raw.columnar import read_folder, read_ipc, read_parquet
from bench.data.raw.content import MISSING_WORDS, Content, Raw
from bench.data.raw.formats import read_json, read_libsvm, read_sas, read_sqlite, read_stata, read_xport
from bench.data.raw.kinds import binary_kind, refuse_other_kinds, text_kind
from bench.data.raw.plain import framed, inexact, plain_table
from bench.data.raw.sheets import read_sheet
from bench.data.raw.text import read_text
from bench.errors import BadTable

__all__ = ["MISSING_WORDS", "read_arrow", "read_frame"]

_READERS: dict[str, Callable[[Content], Raw]] = {
    "parquet": read_parquet,
    "arrow": read_ipc,
    "sqlite": read_sqlite,
    "office": read_sheet,
    "stata": read_stata,
    "sas": read_sas,
    "xport": read_xport,
    "arff": read_arff,
    "json": read_json,
    "text": read_text,
}
_DECLARED = {"libsvm": read_libsvm, "svmlight": read_libsvm}
_WITH_TABLES = ("sqlite", "office")
_OF_LINES = ("text", "office")  # formats with rows that may be no rows of the table


def read_frame(
    path: Path,
    columns: tuple[str, ...] | None = None,
    reading: Reading | None = None,
    *,
    unread: Collection[str] = (),
    verbatim: Collection[str] = (),
    coded: Collection[str] = (),
) -> pd.DataFrame:
    """Read a table of any supported format into a DataFrame.

    Text may be separated by commas, tabs, semicolons, pipes or blanks, have any line ends, a byte order
    mark, be UTF-8, UTF-16 or Windows-1252. It has a header unless every numeric column starts with a number
    (1…N or 0…N-1 in order are names all the same) or, without numeric columns, every cell of the first row
    comes again below; the columns of a file without a header are named c1…cN. An empty name becomes
    ``Unnamed: <position>``. Texts are stripped, and the words of `MISSING_WORDS` are missing. Decimal commas are
    read between semicolons where no digit group could be meant. Parquet loses its unnamed pandas index.

    Parameters
    ----------
    path : Path
        The file, or a folder of parquet files.
    columns, reading : tuple of str, Reading, optional
        The columns' names by position, in place of the file's own; what is declared of the file.
    unread, verbatim, coded : collection of str
        Columns of which only the names are wanted: they are not judged, and have no values. Columns whose words are
        all values, and only an empty cell is missing. Columns of codes, of which 007 and 7 are two.

    Returns
    -------
    pandas.DataFrame
        One row per row of the file: whole, float64, bool, string, category, datetime or timedelta columns. Its `attrs`
        hold ``notes``, a tuple of lines that say what was done; ``separator`` of a text, else None; ``decimal``, ","
        where some column's numbers can only be read so, ",." where others contradict, else None;
        ``padded``, by name a text with a leading zero of each column of numbers that has some.

    Raises
    ------
    BadTable, NotInstalled
        If the file is no such table: empty, binary, ragged, repeated names, encrypted, too large; if an option of
        `reading` is missing, or of no use for this file. If its format needs a package that is not there.
    """
    reading = reading or Reading()
    asked = Content(b"", path.name, columns, reading, *map(frozenset, (unread, verbatim, coded)))
    if path.is_dir():
        _refuse_options(asked, "a folder")
        return _frame(read_folder(path, asked), path.name)
    data, name = unpacked(path, reading.member)
    _refuse_log_beside(path)
    return _frame(_read(replace(asked, data=data, name=name)), name)


def read_arrow(table: pa.Table, name: str, *, verbatim: Collection[str] = ()) -> pd.DataFrame:
    """Return an arrow table as the DataFrame that `read_frame` gives of the same table in a parquet file.

    `name` is what messages call it. Raises BadTable for a column that holds no single values.
    """
    plain = plain_table(table, Content(b"", name, verbatim=frozenset(verbatim)))
    frame = framed(plain)
    frame.attrs.update(notes=_inexact_notes(plain))
    return frame


def _read(content: Content) -> Raw:
    """Read a content by the reader of its format."""
    if not content.data or content.data.isspace():
        raise BadTable(f"{content.name} is empty or blank; give a file with a table.")
    declared = content.reading.format
    if declared is not None:
        if declared not in _DECLARED:
            raise BadTable(
                f"--format {declared!r} is not known; {' and '.join(_DECLARED)} are declared, and all other formats "
                "show by their content: leave it out."
            )
        _refuse_options(content, "libsvm")
        return _DECLARED[declared](content)
    kind = binary_kind(content.data)
    if kind is None:
        refuse_other_kinds(content.data, content.name)
        kind = text_kind(content.data) or "text"
    _refuse_options(content, kind)
    return _READERS[kind](content)


def _refuse_options(content: Content, kind: str) -> None:
    """Raise BadTable where an option of reading is given that this format has no use for."""
    reading = content.reading
    useless = {
        "--skip-rows": reading.skip_rows and kind not in _OF_LINES,
        "--comment": bool(reading.comments) and kind not in _OF_LINES,
        "--member": reading.member is not None and kind == "a folder",
        "--table": reading.table is not None and kind not in _WITH_TABLES,
    }
    for option, is_given in useless.items():
        if is_given:
            raise BadTable(f"{content.name} is {kind}, where {option} means nothing; leave it out.")


def _frame(raw: Raw, name: str) -> pd.DataFrame:
    """Return what was read as a frame."""
    table, notes = raw.table, raw.notes
    if not table.num_rows:
        raise BadTable(f"{name} names {table.num_columns} columns but has no rows; give a file with rows.")
    frame = framed(table)
    frame.attrs.update(
        notes=(*notes, *_inexact_notes(table)),
        separator=raw.separator,
        decimal=raw.decimal,
        padded=raw.padded,
    )
    return frame


def _inexact_notes(table: pa.Table) -> tuple[str, ...]:
    """Return a line for each column of whole numbers of which float64 makes fewer."""
    return tuple(
        f"{column!r} has whole numbers beyond 2^53: of {exact:,} different ones, float64 keeps "
        f"{rounded:,} apart; drop it if it is an identifier"
        for column, (exact, rounded) in inexact(table).items()
    )


def _refuse_log_beside(path: Path) -> None:
    """Raise BadTable for an SQLite database whose latest rows are in a file beside it."""
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size:
        raise BadTable(
            f"{path.name} has changes in {log.name} that are not in it yet; close the program that writes it, or run "
            f"sqlite3 {path.name} 'PRAGMA wal_checkpoint(TRUNCATE)'."
        )

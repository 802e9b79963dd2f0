"""A sheet of an Excel workbook, read as the text that it would be saved as, by openpyxl.

So a title above the table, two rows of names, empty rows and sums are told as in any text. A number keeps all its
digits, and a date is a text like 2015-12-31.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import warnings
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from bench.data.raw.archives import OFFICE, TORN_ZIP, listed, unpacked_limit
from bench.data.raw.content import Content, Raw, choose, counted, drops, first_line
from bench.data.raw.text import read_text
from bench.errors import BadTable, NotInstalled

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

_FORMULA = re.compile(rb"<f[ >/]")
_TORN = (ValueError, TypeError, LookupError, AttributeError, OSError, zipfile.BadZipFile, SyntaxError)

Cells = list[list[object]]


def read_sheet(content: Content) -> Raw:
    """Read the sheet `content.reading.table`, or the only visible one with data."""
    _refuse_other_documents(content)
    book = _workbook(content, values=True)
    asked = content.reading.table
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible" or sheet.title == asked]
    title = choose([sheet.title for sheet in sheets if _cells(book, sheet.title)], content, "sheet")
    cells = _cells(book, title)
    _refuse_unknown_values(content, title)
    out = io.StringIO()
    mark = content.reading.decimal or "."  # texts have it; so numbers are written with it here
    rows = [[_word(value, mark) for value in row] for row in cells]
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows(rows)
    raw = read_text(replace(content, data=out.getvalue().encode()), typed=True)
    _refuse_rounded(raw, content)
    notes = (f"read the sheet {title!r}", *_merged(book, title, content), *raw.notes)
    return replace(raw, notes=notes, separator=None)


def _merged(book: Workbook, title: str, content: Content) -> tuple[str, ...]:
    """Return a note of merged cells below the lines left out, of which only the first has a value."""
    merged = book[title].merged_cells.ranges
    ranges = sorted(
        (cells for cells in merged if cells.max_row > content.reading.skip_rows),
        key=lambda cells: cells.bounds,
    )
    if not ranges:
        return ()
    count = sum(cells.size["rows"] * cells.size["columns"] - 1 for cells in ranges)
    note = (
        f"merged cells ({listed([cells.coord for cells in ranges], 3)}) have their value in the first only: "
        f"{counted(count, 'other')} read as missing; if all of them have it, unmerge and fill them"
    )
    return (note,)


def _refuse_rounded(raw: Raw, content: Content) -> None:
    """Raise BadTable for whole numbers that a workbook has made equal: it keeps 15 digits of each."""
    for name, column in zip(raw.table.column_names, raw.table.columns, strict=True):
        values = column.drop_null().unique().to_pylist() if pa.types.is_floating(column.type) else []
        if len(values) == 1 < len(column) and abs(values[0]) >= 2**53:
            raise BadTable(
                f"{content.name}: the column {name!r} has the number {values[0]:.0f} in every row: a workbook "
                "keeps 15 digits of a number, so longer identifiers are lost. Save them as text in the program that "
                f"has them, or give {drops([name])}."
            )


def _refuse_other_documents(content: Content) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content.data)) as archive:
            names = archive.namelist()
            if sum(member.file_size for member in archive.infolist()) > unpacked_limit(len(content.data)):
                raise BadTable(f"{content.name} unpacks to more than a table should; save the sheet as CSV.")
            if (torn := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"{torn} is not what was packed")
    except TORN_ZIP as error:
        raise BadTable(f"{content.name} is a broken archive ({error}); fetch it again.") from error
    if OFFICE not in names:
        raise BadTable(f"{content.name} is an archive inside an archive; unpack it first.")
    if "xl/workbook.xml" not in names:
        raise BadTable(
            f"{content.name} is an Office document but no .xlsx workbook; save the sheet as .xlsx or CSV."
        )


def _workbook(content: Content, *, values: bool) -> Workbook:
    """Open a workbook with its values, or with its formulas."""
    try:
        import openpyxl
    except ImportError as error:
        raise NotInstalled(
            f"{content.name} is an Excel workbook, and openpyxl is not installed: pip install "
            '"imbalance-bench[excel]", or save the sheet as CSV.'
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that it does not know
            return openpyxl.load_workbook(io.BytesIO(content.data), data_only=values)
    except _TORN as error:
        raise BadTable(
            f"{content.name} is a broken workbook ({first_line(error)}); save it again."
        ) from error


def _cells(book: Workbook, title: str) -> Cells:
    """Return a sheet's values from its first cell, without empty rows and columns at its right and lower edges."""
    rows = [list(row) for row in book[title].iter_rows(min_row=1, values_only=True)]
    while rows and not any(map(_is_filled, rows[-1])):
        rows.pop()
    filled = [i for row in rows for i, value in enumerate(row) if _is_filled(value)]
    return [row[min(filled) : max(filled) + 1] for row in rows] if filled else []


def _is_filled(value: object) -> bool:
    return value is not None and str(value).strip() != ""


def _refuse_unknown_values(content: Content, title: str) -> None:
    """Raise BadTable for a formula whose value the workbook does not hold: no program has computed it yet."""
    with zipfile.ZipFile(io.BytesIO(content.data)) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        if not any(_FORMULA.search(archive.read(name)) for name in sheets):
            return
    values, formulas = _workbook(content, values=True)[title], _workbook(content, values=False)[title]
    for row in formulas.iter_rows():
        for cell in row:
            if cell.data_type == "f" and values[cell.coordinate].value is None:
                raise BadTable(
                    f"{content.name}: the cell {cell.coordinate} of the sheet {title!r} holds the formula "
                    f"{str(cell.value)[:40]!r}, which no program has computed; open and save "
                    "the workbook, or save the sheet as CSV."
                )


def _word(value: object, mark: str = ".") -> str:
    """Return a cell as text: numbers with all their digits, dates as ISO 8601 has them."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value).replace(".", mark) if isinstance(value, float) else str(value)

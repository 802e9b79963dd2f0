"""Decimal commas and points: which of the two a text's numbers are written with.

A number such as 1.234 or 1,234 can be read in two ways. A column is parsed here where it can be read in one way only;
else it stays text, and `bench.data.numerals` judges it, knowing what the whole file says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.data.numerals import GROUPED, decimal_mark
from bench.data.raw.archives import listed
from bench.data.raw.content import all_match, with_columns
from bench.errors import BadTable

_SAMPLE = 10_000  # rows of a column that are asked for its decimal mark
# Numbers with a point that may part thousands, and whole numbers.
_THOUSANDS = r"^[+-]?([1-9]\d{0,2}(\.\d{3})+|\d+)$"
_NUMBER = r"^[+-]?\d+(,\d+)?([eE][+-]?\d+)?$"
_POINT = r"^[+-]?\d*\.\d*([eE][+-]?\d+)?$"


@dataclass(frozen=True)
class Said:
    """A table whose columns are numbers where only one decimal mark can be meant.

    `decimal` is the mark that the file says, both where its columns contradict each other; None where none is sure.
    """

    table: pa.Table
    decimal: str | None
    notes: tuple[str, ...] = ()


def as_said(
    table: pa.Table,
    texts: Callable[[list[str]], pa.Table],
    *,
    separator: str,
    decimal: str | None,
    name: str,
) -> Said:
    """Return a table read with a point or `decimal`, with what its texts say of decimal commas.

    `texts` gives columns as they are in the file. Numbers that pyarrow took for 1.234 become texts again where the
    file is cut at semicolons or has decimal commas; `bench.data.numerals` judges them.
    """
    if decimal is not None:
        if decimal == ",":
            _refuse_points(table, name)
        return Said(table, decimal if decimal == "," else None)
    commas = [name for name in table.column_names if _has_commas(table[name])]
    if separator != ";" and not commas:
        return Said(table, None)
    thousands, has_points = _thousands(table, texts)  # before commas become points
    notes = []
    if separator == ";":
        parsed = {name: _with_points(table[name]) for name in commas if all_match(table[name], _NUMBER)}
        table = with_columns(table, parsed)
        if parsed:
            notes.append(f"read with decimal commas: {listed(list(parsed))}")
    if has_points and not commas:
        many = {name for name, column in thousands.items() if pc.count_distinct(column).as_py() >= GROUPED}
        thousands = {name: thousands[name] for name in many}
    decimal = (",." if has_points else ",") if commas else None
    return Said(with_columns(table, thousands), decimal, tuple(notes))


def _thousands(
    table: pa.Table, texts: Callable[[list[str]], pa.Table]
) -> tuple[dict[str, pa.ChunkedArray], bool]:
    """Return the columns of doubles whose points may part thousands, as texts, and whether others have points."""
    doubles = [name for name in table.column_names if pa.types.is_floating(table[name].type)]
    doubles = [name for name in doubles if table[name].null_count < len(table)]
    likely = [name for name in doubles if _has_three_decimals(table[name])]
    written = texts(likely)
    thousands = {name: written[name] for name in likely if all_match(written[name], _THOUSANDS)}
    thousands = {name: column for name, column in thousands.items() if _has_point(column)}
    return thousands, bool({*doubles} - {*likely}) or any(
        _has_point(written[name]) for name in likely if name not in thousands
    )


def _has_three_decimals(column: pa.ChunkedArray) -> bool:
    """Tell whether all numbers can be thousands parted by points: whole, or three decimals from 1 to 999."""
    values = column.to_numpy()
    values = np.abs(values[np.isfinite(values)])
    parted = values[values % 1 != 0]
    return bool(
        ((parted >= 1) & (parted < 1000) & (np.abs(parted * 1000 - np.round(parted * 1000)) < 1e-6)).all()
    )


def _has_point(column: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.match_substring(column, ".")).as_py())


def _refuse_points(table: pa.Table, name: str) -> None:
    """Raise BadTable where a column of numbers has a decimal point, though the comma is declared."""
    for column_name in table.column_names:
        column = table[column_name]
        if not pa.types.is_string(column.type) or column.null_count == len(column):
            continue
        points = pc.match_substring_regex(column, _POINT)
        others = pc.match_substring_regex(column, _THOUSANDS)
        if (
            all_match(column, r"^[+-]?\d*\.?\d*([eE][+-]?\d+)?$")
            and not pc.all(pc.or_(others, pc.invert(points))).as_py()
        ):
            value = pc.filter(column, pc.and_(points, pc.invert(others)))[0].as_py()
            raise BadTable(
                f"{name}: the column {column_name!r} has the number {value!r} with a point, but "
                "--decimal ',' was given; leave it out, or mend the column."
            )


def _has_commas(column: pa.ChunkedArray) -> bool:
    """Tell whether a column's numbers can be read with a decimal comma alone."""
    if not pa.types.is_string(column.type) or column.null_count == len(column):
        return False
    return decimal_mark(column[:_SAMPLE].unique().drop_null().to_pylist()) == ","


def _with_points(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers with decimal commas as float64."""
    return pc.replace_substring(pc.utf8_ltrim(column, "+"), ",", ".").cast(pa.float64())

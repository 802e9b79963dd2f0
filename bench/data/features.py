"""The columns of a table as features of two kinds: numbers and categories.

Numbers may be written as text (`bench.data.numerals`), and dates can be made numbers (`bench.data.dates`). Some columns
are of use to no encoder, sampler or network: dates, empty or constant columns, infinite values, and texts that are
names rather than categories. They are refused, and the error names the options that read or leave them out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.data.cards import Dataset
from bench.data.kinds import ReadColumn, column_of
from bench.data.numerals import Marks
from bench.data.raw.archives import listed
from bench.data.raw.content import drops
from bench.data.raw.plain import EXACT
from bench.data.values import Series, texts_of
from bench.errors import BadTable

MAX_LEVELS = 1000  # of a column declared as a category: with more, most of them seen once, it is none
FEW_LEVELS = 20  # up to so many different texts are categories, however few rows there are
_SHOWN = 3  # examples in a message
_PADDED = re.compile(r"[+-]?0\d+(?:\.\d*)?$")


class Features(NamedTuple):
    """The features of a table, (n, d), in a line each what reading did, and the formats of dates that were read."""

    X: pd.DataFrame
    notes: tuple[str, ...]
    date_formats: frozenset[str] = frozenset()


def features(frame: pd.DataFrame, card: Dataset, marks: Marks) -> Features:
    """Return a frame's columns as features, as a card says that they are to be read.

    `marks` is what the file says of its decimal mark; the frame's index is a row's place in the file.

    Returns
    -------
    Features
        Numbers, logical values and texts that are all numbers as float64, NaN where missing; other texts and
        declared categories as dtype category over their sorted texts. With the card's ``dates = "numeric"`` a
        column of dates becomes columns of numbers, such as ``c (seconds)``.

    Raises
    ------
    BadTable
        With all columns at fault: dates, empty or constant, infinite values, texts that hardly come again; with the
        first one whose numbers or dates do not agree or can be read in two ways, or that holds lists and the like.
    """
    read = {str(name): column_of(frame[name], card, marks) for name in frame}
    _refuse_dates({name: column.dates for name, column in read.items() if column.dates}, card)
    columns = {name: values for name, values in _together(read).items() if name not in card.drop}
    if not columns:
        raise BadTable(f"No feature is left beside the target {card.target!r}; drop fewer columns.")
    X = pd.DataFrame(columns)
    _refuse_merged(X, frame)
    _refuse_uninformative(X)
    _refuse_infinite(X)
    _refuse_free_text(X, card.categorical)
    notes = [
        *_styles(read, frame),
        *_padded(X, frame, card),
        *(note for column in read.values() for note in column.notes),
    ]
    formats = frozenset(column.date_format for column in read.values())
    return Features(X.reset_index(drop=True), tuple(notes), formats)


def _together(read: dict[str, ReadColumn]) -> dict[str, Series]:
    """Return the features of all columns by name; raise BadTable where a date makes one that is there already."""
    columns: dict[str, Series] = {}
    for name, column in read.items():
        if repeated := [
            made for made in column.columns if made != name and (made in columns or made in read)
        ]:
            raise BadTable(
                f"The dates of {name!r} make a column {repeated[0]!r}, which is there already; rename that."
            )
        columns |= column.columns
    return columns


def _styles(read: dict[str, ReadColumn], frame: pd.DataFrame) -> list[str]:
    """Return a line for each way in which numbers were written as text, with its columns."""
    by_style: dict[str, list[str]] = {}
    for name, column in read.items():
        if column.style:
            by_style.setdefault(column.style, []).append(name)
    lines = []
    for style, names in by_style.items():
        values = read[names[0]].columns[names[0]]
        row = int((values.fillna(0) != 0).to_numpy().argmax())
        shown = f"{frame[names[0]].iloc[row]!s} is {values.iloc[row]:.15g}"
        lines.append(f"numbers written as text ({style}) are read as numbers: {listed(names)} ({shown})")
    return lines


def _padded(X: pd.DataFrame, frame: pd.DataFrame, card: Dataset) -> list[str]:
    """Return a line for the columns whose leading zeros are lost, as numbers of which they are read."""
    in_file = frame.attrs.get("padded", {})
    lost = {}
    for name in X.select_dtypes("number"):
        texts = texts_of(frame[name]) if name in frame and name not in in_file else None
        words = [in_file.get(name, "")] if texts is None else texts.words
        lost[str(name)] = next((word for word in words if _PADDED.match(word)), None)
    shown = {name: word for name, word in lost.items() if word is not None and name not in card.numeric}
    if not shown:
        return []
    name, word = next(iter(shown.items()))
    options = " ".join(f"--categorical {shlex.quote(name)}" for name in list(shown)[:_SHOWN])
    said = f"leading zeros are lost in numbers: {listed(list(shown))} ({word} is {float(word):.15g})"
    return [f"{said}; for codes, give {options}"]


def _refuse_dates(dates: dict[str, str], card: Dataset) -> None:
    """Raise BadTable with all columns of dates."""
    if not dates:
        return
    name, example = next(iter(dates.items()))
    said = (
        f"The column {name!r} holds dates, no feature ({example})"
        if len(dates) == 1
        else f"The columns {listed(list(dates))} hold dates, no features ({name!r}: {example})"
    )
    time = "" if card.time else f"--time {shlex.quote(name)} or "
    raise BadTable(f"{said}; give {time}{drops(dates)}, or --dates numeric to make numbers of them.")


def _refuse_merged(X: pd.DataFrame, frame: pd.DataFrame) -> None:
    """Raise BadTable with all columns whose different whole numbers are one and the same float64."""
    constant = [str(name) for name in X.select_dtypes("number") if name in frame and X[name].nunique() == 1]
    merged = [
        name for name in constant if abs(X[name].max()) >= EXACT and frame[name].astype(str).nunique() > 1
    ]
    if merged:
        raise BadTable(
            f"Whole numbers beyond 2^53 that become one number as float64, in {listed(merged)}; give {drops(merged)}, "
            "or --categorical where they are codes."
        )


def _refuse_uninformative(X: pd.DataFrame) -> None:
    """Raise BadTable with all columns that are empty or hold one value in every row."""
    n_values = {str(name): X[name].nunique() for name in X}
    empty = [name for name, count in n_values.items() if count == 0]
    constant = [name for name, count in n_values.items() if count == 1 and X[name].notna().all()]
    if empty or constant:
        faults = [
            f"{fault}: {listed(names)}"
            for fault, names in (("all missing", empty), ("constant", constant))
            if names
        ]
        raise BadTable(f"Columns that say nothing ({'; '.join(faults)}); give {drops(empty + constant)}.")


def _refuse_infinite(X: pd.DataFrame) -> None:
    """Raise BadTable with all columns that hold infinite values, and how many."""
    counts = {str(name): int(np.isinf(X[name]).sum()) for name in X.select_dtypes("number")}
    names = [name for name, count in counts.items() if count]
    if names:
        firsts = {name: int(np.isinf(X[name]).to_numpy().argmax()) for name in names}
        columns = ", ".join(
            f"{name!r} ({counts[name]:,}, the first {X[name].iloc[row]:g} in row {X.index[row] + 1:,} of the data)"
            for name, row in firsts.items()
        )
        raise BadTable(f"Infinite values in {columns}; make them empty or finite, or give {drops(names)}.")


def _refuse_free_text(X: pd.DataFrame, declared: Iterable[str]) -> None:
    """Raise BadTable with all text columns whose values hardly come again: names, texts, identifiers."""
    counts = {str(name): len(X[name].cat.categories) for name in X.select_dtypes("category")}
    limits = {name: MAX_LEVELS if name in declared else FEW_LEVELS for name in counts}
    free = [name for name, count in counts.items() if count > max(limits[name], X[name].notna().sum() / 2)]
    if free:
        columns = ", ".join(f"{name!r} ({counts[name]:,} values)" for name in free)
        raise BadTable(f"Too many different texts for categories in {columns}; give {drops(free)}.")

"""What one column is: numbers, categories, or dates and the numbers that are made of them.

A column that is nearly one of these, or could be read in two ways, is refused, with the row, the value and the options
that decide it. What is read in another way than it stands there is said in a note.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.data.cards import Dataset
from bench.data.dates import parts
from bench.data.numerals import Marks, Parsed, Strays, Undecided, as_numbers, is_missing_word
from bench.data.raw.archives import listed
from bench.data.remarks import (
    CODES,
    STRAY_SHARE,
    as_category,
    date_numbers_note,
    examples_of,
    guess_note,
    nearly_dates,
    quoted,
    refuse_compound,
    refuse_open_dates,
    refuse_stray_texts,
    row_of,
    sentinel_notes,
    undecided,
    unknown_writing_note,
    ways_out,
    words_note,
)
from bench.data.values import (
    Dated,
    NearlyDated,
    Numbers,
    Series,
    Texts,
    category_of,
    dates_of,
    is_category,
    kind_of,
    numbers,
    plain_numbers,
    texts_of,
    written_numbers,
)
from bench.errors import BadTable


class ReadColumn(NamedTuple):
    """What became of one column: features by name; how its numbers or dates were written; notes; refused dates."""

    columns: dict[str, Series]
    style: str = ""
    notes: tuple[str, ...] = ()
    dates: str = ""
    date_format: str = ""


class TimeColumn(NamedTuple):
    """A time column as float64, (n,), if there is one, with notes, and how its dates were written, if they are some."""

    values: Numbers | None
    notes: tuple[str, ...] = ()
    date_format: str = ""


def number_column(column: Series, marks: Marks) -> Numbers | None:
    """Return a column of numbers, as such or written as text, as float64, NaN where missing; else None.

    Raises BadTable where numbers can be read in two ways.
    """
    texts = texts_of(column)
    if texts is None or not texts.words:
        return numbers(column)
    read = written_numbers(texts, marks)
    if isinstance(read, Undecided):
        raise BadTable(undecided(column, read, marks))
    return texts.rows(read.values) if isinstance(read, Parsed) else None


def amount_column(column: Series, marks: Marks) -> Numbers:
    """Return the amount column as float64, NaN where missing; raise BadTable with the first value that is no number."""
    name = str(column.name)
    advice = "mend it, or give another"
    read = _insisted(column, marks, f"The amount column {name!r} does not hold finite numbers: ", advice)
    values = read.columns[name].to_numpy(copy=True)
    if len(infinite := np.flatnonzero(np.isinf(values))):
        row = f"row {column.index[infinite[0]] + 1:,} of the data"
        raise BadTable(
            f"The amount column {name!r} does not hold finite numbers: {row} holds {values[infinite[0]]:g}; {advice}."
        )
    return values


def time_column(column: Series, card: Dataset, marks: Marks) -> TimeColumn:
    """Return the time column as float64: numbers as they are, dates as seconds since 1970 (UTC), whole days as days.

    Raises BadTable for what is neither, or can be read in two ways.
    """
    written = numbers(column) if kind_of(column) not in "mM" else None
    dated = dates_of(column if written is None else _floats(written, column), card.date_format)
    if isinstance(dated, NearlyDated):
        raise BadTable(nearly_dates(column, dated, ""))
    if dated is None:
        times = number_column(column, marks)
        if times is None:
            raise BadTable(
                f"The time column {column.name!r} holds neither numbers nor dates like 2015-12-31, but "
                f"{examples_of(column)}; rewrite it, or give its format with --date-format."
            )
        return TimeColumn(times)
    refuse_open_dates(column, dated)
    times = dated.dates.seconds if dated.dates.days is None else dated.dates.days
    notes = tuple(sentinel_notes(column, dated.dates))
    return TimeColumn(dated.texts.rows(times), notes, dated.dates.format)


def column_of(column: Series, card: Dataset, marks: Marks) -> ReadColumn:
    """Return one column as float64, as a category, or as the numbers of its dates."""
    name = str(column.name)
    if name in card.categorical:
        return ReadColumn({name: category_of(column)})
    if name in card.numeric:
        return _declared_numbers(column, marks)
    texts = texts_of(column)
    if texts is not None and texts.words:
        return _text_feature(column, texts, card, marks)
    if kind_of(column) in "mM":
        dated = dates_of(column)
        assert isinstance(dated, Dated)  # noqa: S101  (for mypy; a type of dates holds no texts)
        return _date_feature(column, card, dated)
    if is_category(column) and kind_of(column) in "iuf":
        return _number_category(column)
    values = None if is_category(column) else numbers(column)
    if values is None:
        return ReadColumn({name: category_of(column)})
    return _plain_feature(column, values, card)


def _plain_feature(column: Series, values: Numbers, card: Dataset) -> ReadColumn:
    """Return a column of numbers, which are dates where they are of the format that the card declares."""
    dated = dates_of(_floats(values, column), card.date_format)
    if isinstance(dated, NearlyDated):
        raise BadTable(nearly_dates(column, dated, ways_out(column)))
    if dated is not None:
        return _date_feature(column, card, dated)
    notes = tuple(date_numbers_note(column, values))
    return ReadColumn({str(column.name): _floats(values, column)}, notes=notes)


def _text_feature(column: Series, texts: Texts, card: Dataset, marks: Marks) -> ReadColumn:
    """Return a column of texts as numbers, dates or categories; raise BadTable where most are one of them."""
    plain = plain_numbers(texts.words, marks)
    if plain is not None:
        if not is_category(column):
            return _plain_feature(column, texts.rows(plain), card)
        return _number_feature(column, texts, Parsed(plain, ""))
    dated = dates_of(column, card.date_format, texts)
    if isinstance(dated, NearlyDated):
        raise BadTable(nearly_dates(column, dated, ways_out(column)))
    if dated is not None:
        return _date_feature(column, card, dated)
    refuse_compound(column, texts)
    read = as_numbers(texts.words, texts.counts, marks, most=STRAY_SHARE)
    if isinstance(read, Undecided):
        raise BadTable(undecided(column, read, marks))
    if isinstance(read, Parsed):
        return _number_feature(column, texts, read)
    notes = [] if read is None else refuse_stray_texts(column, texts, read)
    notes = notes or unknown_writing_note(column, texts)
    return ReadColumn({str(column.name): category_of(column, texts)}, notes=tuple(notes))


def _number_feature(column: Series, texts: Texts, read: Parsed) -> ReadColumn:
    """Return texts that are numbers, of a type of categories as `_number_category` does."""
    if not is_category(column) or read.style:
        return _as_column(column, texts, read)
    is_word = np.isnan(read.values)
    known = read.values[~is_word]
    if _are_levels(known):
        words = [word for word, is_missing in zip(texts.words, is_word, strict=True) if is_missing]
        kept = column.astype(object).mask(column.isin(words), None) if words else column
        feature = ReadColumn({str(column.name): category_of(kept)}, notes=tuple(words_note(column, texts)))
    else:
        feature = _as_column(column, texts, read)
    return feature._replace(notes=(*_type_notes(column, known), *feature.notes))


def _number_category(column: Series) -> ReadColumn:
    """Return a type of categories of numbers: whole or few ones as levels, as the type says, others as numbers."""
    known = column.cat.remove_unused_categories().cat.categories.to_numpy(np.float64)
    values = category_of(column) if _are_levels(known) else _floats(column.to_numpy(np.float64), column)
    return ReadColumn({str(column.name): values}, notes=tuple(_type_notes(column, known)))


def _are_levels(known: Numbers) -> bool:
    """Tell whether different numbers of a type of categories may be levels."""
    return len(known) <= CODES or not (known % 1).any()


def _type_notes(column: Series, known: Numbers) -> list[str]:
    """Return a line that says what numbers of a type of categories become, and how to change it."""
    name = str(column.name)
    if set(known.tolist()) <= {0, 1}:  # the same as numbers
        return []
    if _are_levels(known):
        return [
            f"{name!r}: numbers of a type of categories stay categories; for numbers, give --numeric {quoted(column)}"
        ]
    return [f"{name!r} is a column of categories, which are numbers: {as_category(column)} keeps them"]


def _as_column(column: Series, texts: Texts, read: Parsed) -> ReadColumn:
    values = texts.rows(read.values)
    notes = [
        *words_note(column, texts),
        *guess_note(column, texts, read),
        *date_numbers_note(column, values),
    ]
    return ReadColumn({str(column.name): _floats(values, column)}, read.style, tuple(notes))


def _declared_numbers(column: Series, marks: Marks) -> ReadColumn:
    """Return a column declared as numbers; raise BadTable with the first value that is none."""
    said = f"The column {str(column.name)!r} is declared as numbers, but "
    return _insisted(column, marks, said, f"mend that, or leave out --numeric {quoted(column)}")


def _insisted(column: Series, marks: Marks, said: str, advice: str) -> ReadColumn:
    """Return a column that must be numbers; raise BadTable with what is said of it and the first value that is none."""
    name = str(column.name)
    if is_category(column) and kind_of(column) in "biuf":
        column = column.astype(column.cat.categories.dtype if not column.isna().any() else np.float64)
    texts = texts_of(column)
    if texts is None:
        values = None if kind_of(column) == "M" else numbers(column)
        if values is None:
            raise BadTable(f"{said}it holds {examples_of(column)}; {advice}.")
        return ReadColumn({name: _floats(values, column)})
    read = written_numbers(texts, marks)
    if isinstance(read, Undecided):
        raise BadTable(undecided(column, read, marks))
    if not isinstance(read, Parsed):
        strays = range(len(texts.words)) if read is None else read.places
        place = next(iter([i for i in strays if not is_missing_word(texts.words[i])]), 0)
        difference = f"; its numbers are {read.reason}" if isinstance(read, Strays) and read.reason else ""
        raise BadTable(
            f"{said}{row_of(column, texts, place)} holds {texts.words[place]!r}{difference}; {advice}."
        )
    return _as_column(column, texts, read)


def _date_feature(column: Series, card: Dataset, dated: Dated) -> ReadColumn:
    """Return a column of dates as columns of numbers, or what a refusal says of it."""
    name = str(column.name)
    if dated.dates.days is not None:
        note = f"{name!r} holds durations of whole days, which are read as numbers of days"
        values = _floats(dated.texts.rows(dated.dates.days), column)
        notes = (note, *words_note(column, dated.texts))
        return ReadColumn({name: values}, notes=notes, date_format=dated.dates.format)
    if card.dates == "refuse":
        example = next((word for word in dated.texts.words if not is_missing_word(word)), "")
        rivals = " or ".join(dated.dates.rivals) or dated.dates.format
        return ReadColumn({}, dates=f"such as {example!r}, {rivals}")
    refuse_open_dates(column, dated)
    columns = {
        f"{name} ({part})": pd.Series(dated.texts.rows(values), name=f"{name} ({part})", index=column.index)
        for part, values in parts(dated.dates).items()
    }
    parts_note = f"{name!r} ({dated.dates.format}) is read as {listed(list(columns))}"
    notes = (parts_note, *sentinel_notes(column, dated.dates), *words_note(column, dated.texts))
    return ReadColumn(columns, notes=notes, date_format=dated.dates.format)


def _floats(values: Numbers, column: Series) -> Series:
    return pd.Series(values, name=column.name, index=column.index)

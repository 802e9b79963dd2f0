"""What one column is: numbers, categories, or dates and the numbers that are made of them.

A column that is nearly one of these, or could be read in two ways, is refused, with the row, the value and the options
that decide it. What is read in another way than it stands there is said in a note.
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.data.cards import Dataset
from bench.data.dates import NearlyDates, Times, far_off, format_of_numbers, parts
from bench.data.numerals import Marks, Parsed, Strays, Undecided, as_numbers, is_missing_word, numeral
from bench.data.raw.archives import listed
from bench.data.raw.content import drops
from bench.data.values import (
    Dated,
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

CODES = 20  # up to so many different numbers beside texts are taken for codes of categories
STRAY_SHARE = 0.8  # of numbers in a column of texts, above which the other texts are taken for slips
_SHOWN = 3  # examples in a message


class ReadColumn(NamedTuple):
    """What became of one column: features by name; how its numbers were written; notes; dates that are refused."""

    columns: dict[str, Series]
    style: str = ""
    notes: tuple[str, ...] = ()
    dates: str = ""


def number_column(column: Series, marks: Marks) -> Numbers | None:
    """Return a column of numbers, as such or written as text, as float64, NaN where missing; else None.

    Raises BadTable where numbers can be read in two ways.
    """
    texts = texts_of(column)
    if texts is None or not texts.words:
        return numbers(column)
    read = written_numbers(texts, marks)
    if isinstance(read, Undecided):
        raise BadTable(_undecided(column, read, marks))
    return texts.rows(read.values) if isinstance(read, Parsed) else None


def time_column(column: Series, card: Dataset, marks: Marks) -> tuple[Numbers, tuple[str, ...]]:
    """Return the time column as float64: numbers as they are, dates as seconds since 1970 (UTC), whole days as days.

    Raises BadTable for what is neither, or can be read in two ways.
    """
    written = numbers(column) if kind_of(column) not in "mM" else None
    dated = dates_of(column if written is None else _floats(written, column), card.date_format)
    if isinstance(dated, NearlyDates):
        raise BadTable(
            _nearly_dates(column, dated, f"mend or remove {'it' if len(dated.strays) == 1 else 'them'}")
        )
    if dated is None:
        times = number_column(column, marks)
        if times is None:
            raise BadTable(
                f"The time column {column.name!r} holds neither numbers nor dates like 2015-12-31, but "
                f"{_examples(column)}; rewrite it, or give its format with --date-format."
            )
        return times, ()
    _refuse_open_dates(column, dated)
    times = dated.dates.seconds if dated.dates.days is None else dated.dates.days
    return dated.texts.rows(times), tuple(_sentinels(column, dated.dates))


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
    if isinstance(dated, Dated):
        return _date_feature(column, card, dated)
    notes = tuple(_date_numbers_note(column, values))
    return ReadColumn({str(column.name): _floats(values, column)}, notes=notes)


def _text_feature(column: Series, texts: Texts, card: Dataset, marks: Marks) -> ReadColumn:
    """Return a column of texts as numbers, dates or categories; raise BadTable where most are one of them."""
    plain = plain_numbers(texts.words, marks)
    if plain is not None:
        if not is_category(column):
            return _plain_feature(column, texts.rows(plain), card)
        return _number_feature(column, texts, Parsed(plain, ""))
    dated = dates_of(column, card.date_format, texts)
    if isinstance(dated, NearlyDates):
        _refuse_stray_dates(column, texts, dated)
    elif dated is not None:
        return _date_feature(column, card, dated)
    read = as_numbers(texts.words, texts.counts, marks, most=STRAY_SHARE)
    if isinstance(read, Undecided):
        raise BadTable(_undecided(column, read, marks))
    if isinstance(read, Parsed):
        return _number_feature(column, texts, read)
    notes = [] if read is None else _refuse_stray_texts(column, texts, read)
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
        feature = ReadColumn({str(column.name): category_of(kept)}, notes=tuple(_words_note(column, texts)))
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
            f"{name!r}: numbers of a type of categories stay categories; for numbers, give --numeric {_quoted(column)}"
        ]
    return [f"{name!r} is a column of categories, which are numbers: {_as_category(column)} keeps them"]


def _as_column(column: Series, texts: Texts, read: Parsed) -> ReadColumn:
    values = texts.rows(read.values)
    notes = [
        *_words_note(column, texts),
        *_guess_note(column, texts, read),
        *_date_numbers_note(column, values),
    ]
    return ReadColumn({str(column.name): _floats(values, column)}, read.style, tuple(notes))


def _declared_numbers(column: Series, marks: Marks) -> ReadColumn:
    """Return a column declared as numbers; raise BadTable with the first value that is none."""
    name = str(column.name)
    if is_category(column) and kind_of(column) in "biuf":
        column = column.astype(column.cat.categories.dtype if not column.isna().any() else np.float64)
    texts = texts_of(column)
    if texts is None:
        values = None if kind_of(column) == "M" else numbers(column)
        if values is None:
            raise BadTable(f"The column {name!r} is declared as numbers, but holds {_examples(column)}.")
        return ReadColumn({name: _floats(values, column)})
    read = written_numbers(texts, marks)
    if isinstance(read, Undecided):
        raise BadTable(_undecided(column, read, marks))
    if not isinstance(read, Parsed):
        strays = range(len(texts.words)) if read is None else read.places
        place = next(iter([i for i in strays if not is_missing_word(texts.words[i])]), 0)
        difference = f"; its numbers are {read.reason}" if isinstance(read, Strays) and read.reason else ""
        raise BadTable(
            f"The column {name!r} is declared as numbers, but {_row(column, texts, place)} holds "
            f"{texts.words[place]!r}{difference}; mend that, or leave out --numeric {_quoted(column)}."
        )
    return _as_column(column, texts, read)


def _date_feature(column: Series, card: Dataset, dated: Dated) -> ReadColumn:
    """Return a column of dates as columns of numbers, or what a refusal says of it."""
    name = str(column.name)
    if dated.dates.days is not None:
        note = f"{name!r} holds durations of whole days, which are read as numbers of days"
        values = _floats(dated.texts.rows(dated.dates.days), column)
        return ReadColumn({name: values}, notes=(note, *_words_note(column, dated.texts)))
    if card.dates == "refuse":
        example = next((word for word in dated.texts.words if not is_missing_word(word)), "")
        rivals = " or ".join(dated.dates.rivals) or dated.dates.format
        return ReadColumn({}, dates=f"such as {example!r}, {rivals}")
    _refuse_open_dates(column, dated)
    columns = {
        f"{name} ({part})": pd.Series(dated.texts.rows(values), name=f"{name} ({part})", index=column.index)
        for part, values in parts(dated.dates).items()
    }
    made = f"{name!r} ({dated.dates.format}) is read as {listed(list(columns))}"
    return ReadColumn(
        columns, notes=(made, *_sentinels(column, dated.dates), *_words_note(column, dated.texts))
    )


def _floats(values: Numbers, column: Series) -> Series:
    return pd.Series(values, name=column.name, index=column.index)


def _words_note(column: Series, texts: Texts) -> list[str]:
    """Return a line that counts the words of missing among numbers or dates."""
    words = {
        word: count for word, count in zip(texts.words, texts.counts, strict=True) if is_missing_word(word)
    }
    if not words:
        return []
    shown = ", ".join(
        f"{word!r} ({count:,} row{'s' if count > 1 else ''})" for word, count in list(words.items())[:_SHOWN]
    )
    return [f"{str(column.name)!r}: {shown} stand{'s' if len(words) == 1 else ''} for a missing value"]


def _date_numbers_note(column: Series, values: Numbers) -> list[str]:
    """Return a line where whole numbers look like dates."""
    form = format_of_numbers(values)
    if form is None:
        return []
    return [
        (
            f"{str(column.name)!r} is read as numbers, which look like dates ({form}): they keep the order of dates "
            f"and not their distances; for dates, give --date-format {form} with --time or --dates numeric"
        )
    ]


def _guess_note(column: Series, texts: Texts, read: Parsed) -> list[str]:
    """Return a line where points were taken between thousands because of the separator."""
    if not read.guessed:
        return []
    place = next(i for i, word in enumerate(texts.words) if "." in word)
    return [
        (
            f"{str(column.name)!r}: {texts.words[place]} is read as {read.values[place]:.15g}, since semicolons part "
            "the file's columns; if the point is a decimal one, give --decimal ."
        )
    ]


def _sentinels(column: Series, dates: Times) -> list[str]:
    """Return a line with the dates that stand for a missing one, and one with those that may."""
    name, notes = str(column.name), []
    if dates.sentinels:
        stand = "stand" if len(dates.sentinels) > 1 else "stands"
        notes.append(f"{name!r}: {', '.join(dates.sentinels[:_SHOWN])} {stand} for a missing date")
    if days := far_off(dates):
        lie = "lie" if len(days) > 1 else "lies"
        notes.append(
            f"{name!r}: {' and '.join(days)} {lie} far from all other dates; where no date is meant, make it empty"
        )
    return notes


def _row(column: Series, texts: Texts, place: int) -> str:
    """Return where a text first stands, counted from 1 in the data."""
    return f"row {int(column.index[texts.first_row(place)]) + 1:,}"


def _examples(column: Series) -> str:
    return ", ".join(repr(str(value)) for value in column.dropna().unique()[:_SHOWN])


def _undecided(column: Series, read: Undecided, marks: Marks) -> str:
    """Say that numbers can be read with a decimal point or comma."""
    name = str(column.name)
    if read.declared:
        return (
            f"The column {name!r} holds {read.example!r}, no number with --decimal {marks.decimal}; leave that out, or "
            f"give {_as_category(column)}."
        )
    number = numeral(read.example)
    assert number is not None  # noqa: S101  (for mypy; it was read as one)
    return (
        f"The column {name!r} holds {read.example!r}, which is {number.value('.'):.15g} with a decimal point and "
        f"{number.value(','):.15g} with a decimal comma; give --decimal . or --decimal ,"
    )


def _refuse_open_dates(column: Series, dated: Dated) -> None:
    """Raise BadTable for dates that can be read in several formats, or whose distance from UTC is not known."""
    name, dates = str(column.name), dated.dates
    if dates.rivals:
        options = " or ".join(f"--date-format {form}" for form in dates.rivals)
        raise BadTable(
            f"The column {name!r} holds dates that can be read in more than one way; give {options}."
        )
    if dates.zones:
        texts, zones = dated.texts, ", ".join(dates.zones[:_SHOWN])
        place = next(i for i, word in enumerate(texts.words) if dates.zones[0] in word)
        raise BadTable(
            f"The column {name!r} holds {texts.words[place]!r} ({_row(column, texts, place)}), a time of which the "
            f"distance from UTC is not known ({zones}); write that as +01:00, or give {drops([name])}."
        )


def _refuse_stray_texts(column: Series, texts: Texts, read: Strays) -> list[str]:
    """Raise BadTable where a few texts stand among numbers: as categories, the numbers would be lost. Else notes."""
    n_texts = int(texts.counts.sum())
    is_stray = np.isin(np.arange(len(texts.words)), read.places)
    n_usual = int(texts.counts[~is_stray].sum())
    is_usual_many = n_usual > STRAY_SHARE * n_texts and read.n_numbers > CODES
    is_number_all = bool(read.reason) and len(texts.words) > CODES
    name = str(column.name)
    if not (is_usual_many or is_number_all or read.is_refused):
        return [f"{name!r} is read as categories: its numbers are {read.reason}"] if read.reason else []
    examples = ", ".join(repr(texts.words[place]) for place in read.places[:_SHOWN])
    where = _row(column, texts, read.places[0])
    if read.reason:
        other = next(
            word
            for word, stray in zip(texts.words, is_stray, strict=True)
            if not stray and not is_missing_word(word)
        )
        raise BadTable(
            f"The column {name!r} holds numbers {read.reason}, such as {other!r} and {examples} ({where}); make them "
            f"one, or give {drops([name])} or {_as_category(column)}."
        )
    raise BadTable(
        f"The column {name!r} holds numbers but for {n_texts - n_usual:,} of {n_texts:,} values, such as "
        f"{examples} ({where}); make those empty or numbers, or give {drops([name])} or {_as_category(column)}."
    )


def _refuse_stray_dates(column: Series, texts: Texts, read: NearlyDates) -> None:
    """Raise BadTable where a few texts stand among dates."""
    n_texts = int(texts.counts.sum())
    n_strays = int(texts.counts[read.strays].sum())
    if n_texts - n_strays > STRAY_SHARE * n_texts and len(texts.words) - len(read.strays) > CODES:
        raise BadTable(_nearly_dates(column, read, f"mend those, or give {drops([str(column.name)])}"))


def _nearly_dates(column: Series, read: NearlyDates, advice: str) -> str:
    texts = texts_of(column)
    assert texts is not None  # noqa: S101  (for mypy; they were read as texts)
    examples = ", ".join(repr(texts.words[place]) for place in read.strays[:_SHOWN])
    n_strays, n_texts = int(texts.counts[read.strays].sum()), int(texts.counts.sum())
    return (
        f"The column {str(column.name)!r} holds dates ({read.format}) but for {n_strays:,} of {n_texts:,} values, such "
        f"as {examples} ({_row(column, texts, read.strays[0])}); {advice}."
    )


def _as_category(column: Series) -> str:
    return f"--categorical {_quoted(column)}"


def _quoted(column: Series) -> str:
    """Return a column's name as a shell takes it."""
    return shlex.quote(str(column.name))

"""What is said of a column: how it was read, and why it is refused, with the row, the value and the options."""

from __future__ import annotations

import re
import shlex

import numpy as np

from bench.data.dates import Times, far_off, format_of_numbers
from bench.data.numberformats import COMPOUND, SPANS
from bench.data.numerals import Marks, Parsed, Strays, Undecided, is_missing_word, numeral
from bench.data.raw.content import drops
from bench.data.values import Dated, NearlyDated, Numbers, Series, Texts
from bench.errors import BadTable

CODES = 20  # up to so many different numbers beside texts are taken for codes of categories
STRAY_SHARE = 0.8  # of numbers in a column of texts, above which the other texts are taken for slips
LIKE_SHARE = 0.8  # of categories, above which they look like numbers or dates
_BEGINS = re.compile(r"""[-+('"=$€£¥]*\s*(\d|[QH]\d|(Rs\.?|[A-Za-z]{3})\s+\d)""")
_FEW = 3  # different numbers, from which on texts beside them may be slips
_SHOWN = 3  # examples in a message
_SOME = 200  # texts that tell what all are


def words_note(column: Series, texts: Texts) -> list[str]:
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


def date_numbers_note(column: Series, values: Numbers) -> list[str]:
    """Return a line where whole numbers look like dates."""
    likely = format_of_numbers(values)
    if likely is None:
        return []
    form, others = likely
    beside = f", beside {' and '.join(others[:_SHOWN])}" if others else ""
    return [
        (
            f"{str(column.name)!r} is read as numbers, which look like dates ({form}){beside}: they keep "
            f"{'the order of dates and not their distances' if form[1] in 'Yy' else 'not even the order of dates'}; "
            f"for dates, give --date-format {form} with --time or --dates numeric"
        )
    ]


def guess_note(column: Series, texts: Texts, read: Parsed) -> list[str]:
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


def sentinel_notes(column: Series, dates: Times) -> list[str]:
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


def row_of(column: Series, texts: Texts, place: int) -> str:
    """Return where a text first stands, counted from 1 in the data."""
    return f"row {int(column.index[texts.first_row(place)]) + 1:,} of the data"


def examples_of(column: Series) -> str:
    """Return the first different values of a column, quoted, with the row of the first."""
    known = column.dropna()
    shown = ", ".join(repr(str(value)) for value in known.unique()[:_SHOWN])
    return f"{shown} (row {int(known.index[0]) + 1:,} of the data)" if len(known) else "nothing"


def undecided(column: Series, read: Undecided, marks: Marks) -> str:
    """Say that numbers can be read with a decimal point or comma."""
    name = str(column.name)
    if read.declared:
        return (
            f"The column {name!r} holds {read.example!r}, no number with --decimal {marks.decimal}; leave that out, or "
            f"give {as_category(column)}."
        )
    number = numeral(read.example)
    assert number is not None  # noqa: S101  (for mypy; it was read as one)
    return (
        f"The column {name!r} holds {read.example!r}, which is {number.value('.'):.15g} with a decimal point and "
        f"{number.value(','):.15g} with a decimal comma; give --decimal . or --decimal ,"
    )


def refuse_open_dates(column: Series, dated: Dated) -> None:
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
            f"The column {name!r} holds {texts.words[place]!r} ({row_of(column, texts, place)}), a time of which the "
            f"distance from UTC is not known ({zones}); write that as +01:00, or give {drops([name])}."
        )


def refuse_compound(column: Series, texts: Texts) -> None:
    """Raise BadTable where most texts are durations, some of them of several units, such as 1yrs 11mon."""
    some = texts.words[:: 1 + len(texts.words) // _SOME]
    if not any(map(COMPOUND.fullmatch, some)) or 2 * sum(map(bool, map(SPANS.fullmatch, some))) <= len(some):
        return
    place = next(i for i, word in enumerate(texts.words) if COMPOUND.fullmatch(word))
    name = str(column.name)
    raise BadTable(
        f"The column {name!r} holds durations of several units, such as {texts.words[place]!r} "
        f"({row_of(column, texts, place)}); write them in one unit, or give {drops([name])} or {as_category(column)}."
    )


def refuse_stray_texts(column: Series, texts: Texts, read: Strays) -> list[str]:
    """Raise BadTable where texts stand among many numbers, which would be lost in categories; else return notes.

    Many are more different ones than codes have, and either most rows or more than there are other texts.
    """
    n_texts = int(texts.counts.sum())
    is_stray = np.isin(np.arange(len(texts.words)), read.places)
    n_usual = int(texts.counts[~is_stray].sum())
    are_most_numbers = read.n_numbers > len(read.places)
    is_usual_many = read.n_numbers > CODES and (are_most_numbers or n_usual > STRAY_SHARE * n_texts)
    is_number_all = bool(read.reason) and len(texts.words) > CODES
    name = str(column.name)
    if not (is_usual_many or is_number_all or read.is_refused):
        return _notes_of_codes(column, texts, read, are_most_numbers=are_most_numbers)
    examples = ", ".join(repr(texts.words[place]) for place in read.places[:_SHOWN])
    where = row_of(column, texts, read.places[0])
    if read.reason:
        other = next(
            word
            for word, stray in zip(texts.words, is_stray, strict=True)
            if not stray and not is_missing_word(word)
        )
        raise BadTable(
            f"The column {name!r} holds numbers {read.reason}, such as {other!r} and {examples} ({where}); make them "
            f"one, or give {drops([name])} or {as_category(column)}."
        )
    raise BadTable(
        f"The column {name!r} holds numbers but for {n_texts - n_usual:,} of {n_texts:,} values, such as "
        f"{examples} ({where}); make those empty or numbers, or give {drops([name])} or {as_category(column)}."
    )


def _notes_of_codes(column: Series, texts: Texts, read: Strays, *, are_most_numbers: bool) -> list[str]:
    """Return a line where texts beside few numbers make categories of them, which may be a slip."""
    name = str(column.name)
    if read.reason:
        return [f"{name!r} is read as categories: its numbers are {read.reason}"]
    if not are_most_numbers or read.n_numbers < _FEW:
        return []
    examples = ", ".join(repr(texts.words[place]) for place in read.places[:_SHOWN])
    return [
        (
            f"{name!r} is read as categories: beside {read.n_numbers} different numbers it holds {examples} "
            f"({row_of(column, texts, read.places[0])}); for numbers, make those empty or numbers"
        )
    ]


def unknown_writing_note(column: Series, texts: Texts) -> list[str]:
    """Return a line where the many categories of a column begin as numbers and dates do, and are read as neither."""
    if len(texts.words) <= CODES:
        return []
    like = [place for place, word in enumerate(texts.words) if _BEGINS.match(word)]
    if len(like) <= LIKE_SHARE * len(texts.words):
        return []
    examples = ", ".join(repr(texts.words[place]) for place in like[:_SHOWN])
    return [
        (
            f"{str(column.name)!r} is read as {len(texts.words):,} categories, such as {examples} "
            f"({row_of(column, texts, like[0])}): if these are numbers or dates, write them plainly, or give "
            "--date-format"
        )
    ]


def nearly_dates(column: Series, dated: NearlyDated, others: str) -> str:
    """Say which values are no dates of the format of most, and what to do: mend them, or `others`."""
    name, read, texts = str(column.name), dated.dates, dated.texts
    strays, n_strays = read.strays, int(texts.counts[read.strays].sum())
    where = row_of(column, texts, strays[0])
    of_all = f"{n_strays:,} of {int(texts.counts.sum()):,} values"
    if read.other:
        usual = next(
            word for i, word in enumerate(texts.words) if i not in {*strays} and not is_missing_word(word)
        )
        return (
            f"The column {name!r} holds dates in several formats, such as {usual!r} ({read.format}) and "
            f"{texts.words[strays[0]]!r} ({read.other}; {where}); {of_all} are not {read.format}. Write all in one "
            f"format{others}."
        )
    examples = ", ".join(repr(texts.words[place]) for place in strays[:_SHOWN])
    form = f"--date-format {shlex.quote(read.format)}" if read.declared else read.format
    them = "it" if n_strays == 1 else "those"
    return (
        f"The column {name!r} holds dates ({form}) but for {of_all}, such as {examples} ({where}); make {them} "
        f"{'a date' if n_strays == 1 else 'dates'} or empty{', correct the format' * read.declared}{others}."
    )


def ways_out(column: Series) -> str:
    """Return the options that drop a column, or take it as categories."""
    return f", or give {drops([str(column.name)])} or {as_category(column)}"


def as_category(column: Series) -> str:
    """Return the option that takes a column as categories."""
    return f"--categorical {quoted(column)}"


def quoted(column: Series) -> str:
    """Return a column's name as a shell takes it."""
    return shlex.quote(str(column.name))

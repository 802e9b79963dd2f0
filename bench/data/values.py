"""One column's values: plain numbers, texts with how often each stands there, dates.

Texts are judged once each, whatever type a library gives the column: a column of texts, of categories, of Python's
dates or pandas' periods is the same texts that a CSV file of it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.dates import NearlyDates, Times, dates_of_numbers, dates_of_texts, dates_of_type
from bench.data.numerals import Marks, Parsed, Strays, Undecided, as_numbers, decimal_mark
from bench.data.raw.content import drops
from bench.errors import BadTable

Numbers = NDArray[np.float64]
Series: TypeAlias = "pd.Series[Any]"  # of any dtype: what it holds is known when it is read

_NUMBER_KINDS = ("string", "boolean", "integer", "floating", "mixed-integer-float", "decimal", "empty")
_TEXT_KINDS = ("string", "date", "time", "datetime", "datetime64", "period", "timedelta", "timedelta64")

_FIRST = 100  # texts that are read first
_SAMPLE = 50_000  # rows of a column that are asked for the decimal mark of others
_LOGICAL = dict.fromkeys(("true", "True", "TRUE"), 1.0) | dict.fromkeys(("false", "False", "FALSE"), 0.0)


class Texts(NamedTuple):
    """A column's different texts (k,), the text's place of each row (n,), -1 where missing, and each text's rows."""

    words: list[str]
    places: NDArray[np.intp]
    counts: NDArray[np.intp]

    def rows(self, values: Numbers) -> Numbers:
        """Return numbers of the texts, (k,), as those of the rows, (n,); NaN where missing."""
        return np.append(values, np.nan)[self.places]

    def first_row(self, place: int) -> int:
        """Return the first row that has a text."""
        return int(np.flatnonzero(self.places == place)[0])


class NearlyDated(NamedTuple):
    """A column of which most values are dates: what is known of its different values."""

    dates: NearlyDates
    texts: Texts


class Dated(NamedTuple):
    """A column of dates: those of its different values, and the place of each row's among them."""

    dates: Times
    texts: Texts


def is_category(column: Series) -> bool:
    """Tell whether a column is of pandas' type of categories."""
    return isinstance(column.dtype, pd.CategoricalDtype)


def kind_of(column: Series) -> str:
    """Return numpy's letter for the kind of a column's values, or of its categories."""
    dtype = column.cat.categories.dtype if is_category(column) else column.dtype
    return dtype.kind


def texts_of(column: Series) -> Texts | None:
    """Return the texts of a column that holds nothing else; None for one of numbers, or of mixed kinds."""
    values = column.cat.categories if is_category(column) else column
    if kind_of(column) in "biufmM" or pd.api.types.infer_dtype(values, skipna=True) not in _TEXT_KINDS:
        return None
    places, levels = pd.factorize(column)
    words = list(map(str, levels.to_numpy(dtype=object)))
    counts = np.bincount(places[places >= 0], minlength=len(words))
    return Texts(words, places, counts.astype(np.intp))


def numbers(column: Series) -> Numbers | None:
    """Return a column as float64, (n,), if all are numbers, logical, the texts of these, or whole days; else None."""
    if kind_of(column) == "m":
        dated = dates_of(column)
        assert isinstance(dated, Dated)  # noqa: S101  (for mypy; a type of durations holds no texts)
        return None if dated.dates.days is None else dated.texts.rows(dated.dates.days)
    if column.dtype.kind in "biuf":
        return column.to_numpy(np.float64, na_value=np.nan, copy=True)
    if pd.api.types.infer_dtype(column, skipna=True) not in _NUMBER_KINDS:
        return None
    missing = column.isna()
    parsed = pd.to_numeric(column.astype(object).mask(missing, None), errors="coerce")
    values: Numbers = parsed.to_numpy(np.float64, na_value=np.nan, copy=True)
    return values if np.array_equal(np.isnan(values), missing) else None


def plain_numbers(words: Sequence[str], marks: Marks) -> Numbers | None:
    """Return texts as pandas reads them, where all are numbers and no point may part thousands; else None.

    True and false, as `bench.data.raw.readers` takes them in a text file, are 1 and 0.
    """
    if 0 < len(words) <= len(_LOGICAL) and set(words) <= _LOGICAL.keys():
        return np.array([_LOGICAL[word] for word in words])
    if not words or marks.semicolons or marks.mixed or marks.decimal == ",":
        return None
    for some in (words[:_FIRST], words):  # most texts are told by the first
        values: Numbers = pd.to_numeric(pd.Series(some, dtype=object), errors="coerce").to_numpy(np.float64)
        if np.isnan(values).any():
            return None
    return values


def written_numbers(texts: Texts, marks: Marks) -> Parsed | Strays | Undecided | None:
    """Return texts as numbers, however written; why not where they nearly are; None where they are none."""
    plain = plain_numbers(texts.words, marks)
    return as_numbers(texts.words, texts.counts, marks) if plain is None else Parsed(plain, "")


def dates_of(
    column: Series, declared: str | None = None, texts: Texts | None = None
) -> Dated | NearlyDated | None:
    """Return a column of dates, clock times or durations, of texts or of a type of its own; None for any other."""
    if kind_of(column) in "mM":
        column = column.astype(column.cat.categories.dtype) if is_category(column) else column
        places, _ = pd.factorize(column)
        counts = np.bincount(places[places >= 0])
        first = np.unique(places, return_index=True)[1][1 if (places < 0).any() else 0 :]
        different = column.iloc[first].reset_index(drop=True)
        return Dated(dates_of_type(different), Texts([str(value) for value in different], places, counts))
    if kind_of(column) in "iuf":
        return None if declared is None or is_category(column) else _dates_of_numbers(column, declared)
    texts = texts_of(column) if texts is None else texts
    if texts is None:
        return None
    return _with_texts(dates_of_texts(texts.words, declared, texts.counts), texts)


def _dates_of_numbers(column: Series, declared: str) -> Dated | NearlyDated | None:
    places, different = pd.factorize(column)
    values = np.asarray(different, dtype=np.float64)
    dates = dates_of_numbers(values, declared) if np.isfinite(values).all() else None
    counts = np.bincount(places[places >= 0], minlength=len(values))
    return _with_texts(dates, Texts([f"{value:.15g}" for value in values], places, counts))


def _with_texts(dates: Times | NearlyDates | None, texts: Texts) -> Dated | NearlyDated | None:
    if isinstance(dates, NearlyDates):
        return NearlyDated(dates, texts)
    return None if dates is None else Dated(dates, texts)


def category_of(column: Series, texts: Texts | None = None) -> Series:
    """Return a column as a category over the sorted texts of its values; `texts` are those of a column of texts."""
    try:
        codes, values = (texts.places, texts.words) if texts else pd.factorize(column)
    except TypeError as error:  # lists and the like have no hash
        raise BadTable(
            f"The column {column.name!r} does not hold single values; give {drops([str(column.name)])}."
        ) from error
    words = values if texts else list(map(_word, np.asarray(values, dtype=object)))
    levels = sorted(set(words))
    place = {word: i for i, word in enumerate(levels)}
    lookup = np.array([*(place[word] for word in words), -1], dtype=np.intp)  # the last: code -1, missing
    return pd.Series(
        pd.Categorical.from_codes(lookup[codes], categories=pd.Index(levels, dtype=str)),
        name=column.name,
        index=column.index,
    )


def _word(value: object) -> str:
    """Return a category's name: whole numbers without a point, because a missing value makes ints floats."""
    return str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value)


def marks_of(frame: pd.DataFrame, declared: str | None) -> Marks:
    """Return what a frame says of the decimal mark: as declared, else by its file and its columns of texts."""
    separator = frame.attrs.get("separator")
    semicolons = separator == ";"
    if declared is not None:
        return Marks(declared, declared=True, semicolons=semicolons)
    firsts = (texts_of(frame[name].iloc[:_SAMPLE]) for name in frame)
    said: set[str | None] = {decimal_mark(texts.words) for texts in firsts if texts is not None}
    written = frame.attrs.get("decimal")
    if written is None and separator is not None and _has_fractions(frame):
        written = "."
    said |= set(written or "")
    commas, points = "," in said, "." in said
    decimal = None if commas == points else "," if commas else "."
    return Marks(decimal, semicolons=semicolons, mixed=commas and points)


def _has_fractions(frame: pd.DataFrame) -> bool:
    floats = [frame[name].dropna() for name in frame if frame[name].dtype.kind == "f"]
    return any(bool((values % 1 != 0).any()) for values in floats)

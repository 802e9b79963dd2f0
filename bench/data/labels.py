"""A column of values as a label of zeros and ones, and the rows that have one.

Values are compared by what they mean, not by how a file spells them: 1, 1.0, "1" and true are one value.
Some pairs of values say which is positive: 0 and 1, no and yes. For any others the user must say it; the rarer
value is never assumed to be positive. Of more than two values, one is positive against all others, or against those
that are named as negative.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.raw.content import MISSING_WORDS, PLAIN_NUMBER
from bench.data.values import Series
from bench.errors import BadTable
from bench.names import Unlabelled

_Value = str | float | bool  # of a label, as a user or a card says it

_UNDERSTOOD = (("0", "1"), ("no", "yes"))  # negative, positive
_LOGICAL = {"false": "0", "true": "1"}
_SHOWN = 5  # values, or rows, that a message names


@dataclass(frozen=True)
class Label:
    """A label: `y` (n,) int8, of the rows kept, whose places in the column are `rows` (n,) int64.

    `notes` say in a line each what was left out, and what was taken together. `positive` and `negative` are its values,
    the second in words where there are several.
    """

    y: NDArray[np.int8]
    rows: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    positive: str | None = None
    negative: str | None = None


def label(
    column: Series,
    positive: _Value | None = None,
    negative: Sequence[_Value] = (),
    unlabelled: Unlabelled = "refuse",
) -> Label:
    """Return a column as a label: 1 where it is `positive`, else 0.

    Parameters
    ----------
    column : Series, (N,)
        Numbers, logical values or texts. A word such as NA is a missing label unless it is asked for by name.
    positive : text, number or bool, optional
        The positive value, against all others; not needed where there are two that say it.
    negative : sequence
        Keep only rows with these values, and the positive ones.
    unlabelled : str
        ``refuse`` rows without a label, or ``drop`` them.

    Raises
    ------
    BadTable
        If a label is missing, there are not two values, a value asked for is none of them, or the values do not say
        which is positive. The message names the values with their counts, or the rows.
    """
    codes, values = pd.factorize(column)
    asked = {spelled(value) for value in (*([] if positive is None else [positive]), *negative)}
    spellings = [_unless_missing(value, asked) for value in values]
    words = np.array([*spellings, None], dtype=object)[codes]  # (N,): the last is that of code -1, missing
    missing = words == None  # noqa: E711  (`is None` would ask of the array, not of its elements)
    counts = Counter(words[~missing])
    name = str(column.name)
    positive_word = _positive(counts, positive, name, n_missing=int(missing.sum()))
    if missing.any() and unlabelled == "refuse" and not negative:
        raise BadTable(_unlabelled(words, missing, counts, name, column))
    negative_words = {_asked(counts, spelled(value), name, "--negative") for value in negative}
    if positive_word in negative_words:
        raise BadTable(f"{positive_word!r} of the target {name!r} is asked for as positive and as negative.")
    kept = ~missing & (np.isin(words, [positive_word, *negative_words]) if negative else True)
    rows = np.flatnonzero(kept)
    y = (words[rows] == positive_word).astype(np.int8)
    notes = tuple(_notes(counts, positive_word, negative_words, missing, name))
    others = Counter(words[rows][y == 0])
    return Label(y, rows, notes, positive_word, next(iter(others)) if len(others) == 1 else "all others")


def spelled(value: object) -> str:
    """Return the one spelling of a value: whole numbers without a point, true as 1 and false as 0."""
    text = str(value).strip()
    if text.lower() in _LOGICAL:
        return _LOGICAL[text.lower()]
    if not PLAIN_NUMBER.fullmatch(text):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() else repr(number)


def _unless_missing(value: object, asked: set[str]) -> str | None:
    """Return a value's spelling; None for a word that means a missing value and is not asked for."""
    word = spelled(value)
    return None if word in MISSING_WORDS and word not in asked else word


def _positive(counts: Counter[str], positive: _Value | None, name: str, *, n_missing: int) -> str:
    """Return the spelling of the positive value."""
    beside = f" and {n_missing:,} rows without a label" if n_missing else ""
    if len(counts) < 2:
        hint = (
            " If those are the negatives, write a value such as 0 there; if a word such as NA or None is a value, "
            "name it: --negative NA."
            if counts and n_missing
            else ""
        )
        raise BadTable(f"The target {name!r} must have two values; it has {_shown(counts)}{beside}.{hint}")
    if positive is not None:
        return _asked(counts, spelled(positive), name, "--positive")
    if len(counts) > 2:
        raise BadTable(
            f"The target {name!r} must have two values; it has {_shown(counts)}{beside}. Name the positive one, "
            "against all others: --positive VALUE. To keep some of the others only: --negative VALUE, repeatable."
        )
    folded = {word.lower(): word for word in counts}
    for negative_word, positive_word in _UNDERSTOOD:
        if folded.keys() == {negative_word, positive_word}:
            return folded[positive_word]
    first, second = (f"--positive {shlex.quote(word)}" for word in sorted(counts))
    raise BadTable(
        f"The target {name!r} has {_shown(counts)}{beside}, and neither says that it is the positive one; "
        f"give {first} or {second}."
    )


def _asked(counts: Counter[str], asked: str, name: str, option: str) -> str:
    """Return the value that was asked for, in any letter case if that leaves one."""
    exact = [word for word in counts if word == asked]
    matches = exact or [word for word in counts if word.lower() == asked.lower()]
    if len(matches) != 1:
        nearest = get_close_matches(asked, counts, 1, cutoff=0.5)
        one = f"{option} {shlex.quote(nearest[0])}" if nearest else f"{option} with one of these"
        raise BadTable(
            f"{option} {shlex.quote(asked)}: {asked!r} is not one value of the target {name!r}, which has "
            f"{_shown(counts)}; give {one}."
        )
    return matches[0]


def _unlabelled(
    words: NDArray[np.object_],
    missing: NDArray[np.bool_],
    counts: Counter[str],
    name: str,
    column: Series,
) -> str:
    """Return the refusal of rows without a label: how many, which, and what to type."""
    places = np.flatnonzero(missing)
    shown = ", ".join(f"{place + 1:,}" for place in places[:_SHOWN])
    spellings = Counter(str(value).strip() for value in column.iloc[places].dropna())
    said = (
        f" They say {_shown(spellings)}: where that is a value, name it, --negative VALUE."
        if spellings
        else ""
    )
    return (
        f"The target {name!r} is missing in {len(places):,} of {len(words):,} rows "
        f"(row{'s' if len(places) > 1 else ''} {shown}{', …' if len(places) > _SHOWN else ''} of the data); it has "
        f"{_shown(counts)}.{said} --unlabelled drop leaves rows without a label out."
    )


def _notes(
    counts: Counter[str],
    positive_word: str,
    negative_words: set[str],
    missing: NDArray[np.bool_],
    name: str,
) -> list[str]:
    """Return in a line each what was left out, and which values were taken together as negative."""
    others = Counter({word: count for word, count in counts.items() if word != positive_word})
    notes = []
    if missing.any():
        notes.append(f"{missing.sum():,} rows without a label in {name!r} are left out")
    if negative_words:
        left_out = Counter({word: count for word, count in others.items() if word not in negative_words})
        if left_out:
            notes.append(f"{left_out.total():,} rows are left out, whose {name!r} is {_shown(left_out)}")
    elif len(others) > 1:
        notes.append(
            f"the label is {positive_word!r} against all others, {_shown(others)}; --negative VALUE keeps some of them"
        )
    return notes


def _shown(counts: Counter[str]) -> str:
    """Return up to five values with their counts, most frequent first."""
    shown = ", ".join(f"{word[:40]} ({count:,} rows)" for word, count in counts.most_common(_SHOWN))
    if not counts:
        return "none"
    return shown if len(counts) <= _SHOWN else f"{len(counts):,}, such as {shown}"

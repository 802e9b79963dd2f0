"""A column of two values as a label of zeros and ones.

Values are compared by what they mean, not by how a file spells them: 1, 1.0, "1" and true are one value.
Some pairs of values say which is positive: 0 and 1, no and yes. For any other pair the user must say it; the rarer
value is never assumed to be positive.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.features import Series
from bench.errors import BadTable

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UNDERSTOOD = (("0", "1"), ("no", "yes"))  # negative, positive
_LOGICAL = {"false": "0", "true": "1"}


def label(column: Series, positive: str | float | bool | None = None) -> NDArray[np.int8]:
    """Return a column of two values as int8, shape (n,): 1 where it is `positive`, else 0.

    Raises
    ------
    BadTable
        If a label is missing, there are not two values, `positive` is none of them, or it is not given and
        the values do not say which is positive. The message names the values and their counts.
    """
    codes, values = pd.factorize(column)
    n_missing = int((codes < 0).sum())
    if n_missing:
        raise BadTable(
            f"The target {column.name!r} is missing in {n_missing:,} rows; remove or mend those rows."
        )
    words = [spelled(value) for value in values]
    counts = Counter(dict.fromkeys(words, 0))
    for word, count in zip(words, np.bincount(codes), strict=True):
        counts[word] += int(count)
    if len(counts) != 2:
        raise BadTable(f"The target {column.name!r} must have two values; it has {_shown(counts)}.")
    positive_word = _positive(counts, positive, str(column.name))
    return np.array([word == positive_word for word in words], dtype=np.int8)[codes]


def spelled(value: object) -> str:
    """Return the one spelling of a value: whole numbers without a point, true as 1 and false as 0."""
    text = str(value).strip()
    if text.lower() in _LOGICAL:
        return _LOGICAL[text.lower()]
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() else repr(number)


def _positive(counts: Counter[str], positive: object, name: str) -> str:
    """Return the spelling of the positive value among two."""
    if positive is not None:
        return _asked(counts, spelled(positive), name)
    folded = {word.lower(): word for word in counts}
    for negative_word, positive_word in _UNDERSTOOD:
        if folded.keys() == {negative_word, positive_word}:
            return folded[positive_word]
    first, second = (f"--positive {shlex.quote(word)}" for word in sorted(counts))
    raise BadTable(
        f"The target {name!r} has {_shown(counts)}, and neither says that it is the positive one; "
        f"give {first} or {second}."
    )


def _asked(counts: Counter[str], asked: str, name: str) -> str:
    """Return the value that was asked for as positive, in any letter case if that leaves one."""
    exact = [word for word in counts if word == asked]
    matches = exact or [word for word in counts if word.lower() == asked.lower()]
    if len(matches) != 1:
        raise BadTable(f"{asked!r} is not one value of the target {name!r}, which has {_shown(counts)}.")
    return matches[0]


def _shown(counts: Counter[str]) -> str:
    """Return up to five values with their counts, most frequent first."""
    shown = ", ".join(f"{word[:40]} ({count:,} rows)" for word, count in counts.most_common(5))
    return shown if len(counts) <= 5 else f"{len(counts):,}, such as {shown}"

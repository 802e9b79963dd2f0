"""Columns in which a few values lie far from all others: 999999 for a missing income, 98 among counts, 1e200.

Standardised, such a column is all but constant, or a few rows decide what a linear model makes of it. So it is centered
and scaled by what most of its values are, and what lies far out is drawn in by logarithms: the order of values is kept,
which is all that trees see of them, and no network or linear model meets a huge number. Values lie apart where a gap
parts one or a few of them, each in several rows, from the rest; or where they are huge. A long tail has no such gap. A
column without such values is left as it is.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.values import Numbers

FAR = 1e4  # times as far from the middle as three quarters of the values: beyond it, a value is extreme
APART = (
    2.0  # times as far from the middle as any other value on its side: beyond it, a repeated value lies apart
)
APART_ALONE = 10.0  # the same of values that are not repeated
OUT = (
    4.0,
    30.0,
)  # in the measure of FAR, how far out values that lie apart are at least: repeated ones, others
MOST_CODES = 4  # different values that lie apart on a side
FEWEST_OTHERS, FEWEST_ROWS = 3, 20  # different values that do not lie apart, and rows that have them
BOUND = 5.0  # in the same measure, up to which values are left as they are
LARGEST_FLOAT = float(np.finfo(np.float64).max)
OVERFLOWS = 1e100  # what lies beyond cannot be squared, as a standard deviation has to

# What programs and bureaus write for none: -1 to -9, and nines (the last of them down to 6, as in 96), of either sign.
NINES = np.array([10.0**digits - less for digits in range(2, 11) for less in range(1, 5)])
CODES = np.concatenate([-np.arange(1.0, 10), -NINES, NINES])
FEWEST_AMOUNTS = 3  # different values beside codes
SMALL = 3  # times as far as a code below 0, other values must reach


@dataclass(frozen=True)
class Code:
    """A value that lies apart from all others of its column, in how many rows, and the nearest of those."""

    value: float
    n_rows: int
    nearest: float


@dataclass(frozen=True)
class Tails:
    """The middle of a column's values, and the distance from it within which most of them lie."""

    center: float
    spread: float

    def measured(self, values: Numbers) -> Numbers:
        """Return the values' distances from the center, in spreads; as large as it can be where that overflows."""
        with np.errstate(over="ignore"):
            distance = (values / 2 - self.center / 2) / (self.spread / 2)  # halves: no difference overflows
        return np.nan_to_num(distance, nan=np.nan)

    def draw_in(self, values: Numbers) -> Numbers:
        """Return the values in spreads from the center, beyond BOUND as the logarithm of the logarithm; NaN stays NaN.

        The largest float becomes BOUND + 6.6.
        """
        distance = self.measured(values)
        beyond = np.log1p(np.log1p(np.maximum(np.abs(distance) - BOUND, 0)))
        drawn_in: Numbers = np.clip(distance, -BOUND, BOUND) + np.sign(distance) * beyond
        return drawn_in


def extremes(X: pd.DataFrame, names: Collection[str]) -> dict[str, Tails]:
    """Return the tails of those columns of numbers that hold extreme values."""
    found = {name: _tails(X[name].to_numpy(np.float64)) for name in names}
    return {name: tails for name, tails in found.items() if tails is not None}


def codes_apart(values: Numbers) -> list[Code]:
    """Return the values of a column that lie apart from all others, on either side."""
    values = values[np.isfinite(values)]
    middle = _middle(values)
    return [] if middle is None else [code for side in (1, -1) for code in _apart(values, middle, side)]


def extreme_notes(X: pd.DataFrame, names: Collection[str], *, is_own: bool = True) -> list[str]:
    """Return a line for each column with values that lie apart or far out: which, in how many rows, what to type.

    What to type is for a table of one's own; a registered one has a card.
    """
    notes = []
    for name in names:
        values = X[name].dropna().to_numpy(np.float64)
        tails = _tails(values)
        codes = codes_apart(values) if tails else []  # a value that lies apart makes tails
        if tails:
            apart = np.isin(values, [code.value for code in codes])
            far = values[(np.abs(tails.measured(values)) > FAR) & ~apart]
            if len(far):
                notes.append(
                    f"{len(far):,} values of {name!r}, such as {far[0]:.10g}, lie {FAR:,.0f} times farther out than "
                    f"most: they are drawn in{_what_to_type(name, far[:1], is_own=is_own)}"
                )
        if codes:
            shown = " and ".join(f"{code.value:.15g} ({code.n_rows:,} rows)" for code in codes[:_SHOWN])
            typed = _what_to_type(name, [code.value for code in codes], is_own=is_own)
            lie = "lies" if len(codes) == 1 else "lie"
            notes.append(
                f"{name!r}: {shown} {lie} apart from all other values, the nearest of which is "
                f"{codes[0].nearest:.6g}{'; drawn in' if tails else ''}{typed}"
            )
        elif is_own and (sole := _sole_negative(values)) is not None:
            notes.append(
                f"{name!r}: {sole.value:g} ({sole.n_rows:,} rows) is the only negative value"
                f"{_what_to_type(name, [sole.value], is_own=True)}"
            )
    return notes


_SHOWN = 4


def _what_to_type(name: str, codes: Collection[float], *, is_own: bool) -> str:
    if not is_own:
        return ""
    numbers = ",".join(f"{code:.15g}" for code in codes)
    return f"; if missing is meant, give --missing {shlex.quote(f'{name}={numbers}')}"


def _sole_negative(values: Numbers) -> Code | None:
    """Return the whole number that is a column's only negative value, in several rows beside several others."""
    negative = values[values < 0]
    if len(negative) < 2 or negative.min() < negative.max() or negative[0] % 1:
        return None
    others = values[values >= 0]
    if len(negative) > len(others) or len(np.unique(others)) <= MOST_CODES:
        return None
    return Code(float(negative[0]), len(negative), float(others.min()))


def code_notes(X: pd.DataFrame, names: Collection[str]) -> list[str]:
    """Return a line for each column of numbers with values that look like codes among amounts: which, and how many."""
    notes = []
    for name in names:
        known = X[name].dropna().to_numpy(np.float64)
        if not len(known) or not np.isin([known.min(), known.max()], CODES).any():
            continue
        values, counts = np.unique(known, return_counts=True)
        is_code = _look_like_codes(values)
        if is_code.any():
            shown = ", ".join(
                f"{code:.15g} ({count:,} row{'s' if count > 1 else ''})"
                for code, count in zip(values[is_code], counts[is_code], strict=True)
            )
            low, high = values[~is_code][[0, -1]]
            notes.append(
                f"{name!r}: {shown} may be codes among values of {low:.10g} to {high:.10g}"
                f"{_what_to_type(name, values[is_code].tolist(), is_own=True)}"
            )
    return notes


def _look_like_codes(values: Numbers) -> NDArray[np.bool_]:
    """Return which of a column's different values, in their order, look like codes: alone below 0, or far above."""
    below: NDArray[np.bool_] = np.isin(values, CODES) & (values < 0)
    amounts = values[~below]
    is_small = len(amounts) > 0 and values[0] >= -9 and amounts[-1] < SMALL * -values[0]  # -2 to 2, say
    if below.sum() > MOST_CODES or len(amounts) < FEWEST_AMOUNTS or amounts[0] < 0 or is_small:
        below, amounts = np.zeros(len(values), dtype=bool), values
    for place in range(max(FEWEST_AMOUNTS, len(amounts) - MOST_CODES), len(amounts)):
        largest = amounts[place - 1]
        if np.isin(amounts[place:], CODES).all() and amounts[place] - largest > largest - amounts[0]:
            above: NDArray[np.bool_] = values > largest
            return below | above
    return below


def _tails(values: Numbers) -> Tails | None:
    """Return the tails of a column if any of its values is extreme or lies apart, else None."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    middle = _middle(values)
    if middle is None:
        distance = np.array([abs(values[0]) / 2 or 0.5])
        middle = _Middle(float(values[0]), float(distance[0]))
    farthest = np.abs(values / 2 - middle.center / 2).max()
    codes = [code.value for side in (1, -1) for code in _apart(values, middle, side)]
    if codes:
        middle = _middle(values[~np.isin(values, codes)]) or middle
    elif farthest / FAR <= middle.spread and np.abs(values).max() < OVERFLOWS:
        return None
    return Tails(middle.center, min(2 * middle.spread, LARGEST_FLOAT))


@dataclass(frozen=True)
class _Middle:
    """The middle of a column's values, and half the distance from it within which most of them lie."""

    center: float
    spread: float


def _middle(values: Numbers) -> _Middle | None:
    """Return the middle of finite values; None where they are one value, or none."""
    if not len(values):
        return None
    center = _quantile(values, 0.5)
    others = values[values != center]
    if (
        len(others) > 0 and len(others) < len(values) / 2
    ):  # most are one value, which need not be an ordinary one
        center = _quantile(others, 0.5)
    for near in (others, values):
        distance = np.abs(near / 2 - center / 2)
        distance = distance[distance > 0]
        if len(distance):
            break
    else:
        return None
    half, most = _quantile(distance, 0.5), _quantile(distance, 0.75)
    return _Middle(
        center, half if half < most / FAR else most
    )  # half where a third of the values are extreme


def _apart(values: Numbers, middle: _Middle, side: int) -> list[Code]:
    """Return the values above (1) or below (-1) the middle that a gap parts from all others on that side."""
    distance = side * (values / 2 - middle.center / 2)
    codes: list[tuple[float, int]] = []
    for _ in range(MOST_CODES):
        largest = float(distance.max())
        is_largest = distance == largest
        codes.append((float(values[is_largest][0]), int(is_largest.sum())))
        values, distance = values[~is_largest], distance[~is_largest]
        if largest <= 0 or len(values) < max(FEWEST_ROWS, sum(n_rows for _, n_rows in codes)):
            return []
        is_repeated = all(n_rows > 1 for _, n_rows in codes)
        apart, out = (APART, OUT[0]) if is_repeated else (APART_ALONE, OUT[1])
        if largest < apart * float(distance.max()):
            continue
        usual = _middle(values)
        if usual is None or side * (codes[-1][0] / 2 - usual.center / 2) < out * usual.spread:
            return []
        if len(np.unique(values[:_SAMPLE])) < FEWEST_OTHERS and len(np.unique(values)) < FEWEST_OTHERS:
            return []
        return [Code(value, n_rows, float(values[distance.argmax()])) for value, n_rows in codes]
    return []


_SAMPLE = 1000


def _quantile(values: Numbers, share: float) -> float:
    """Return one of the values, between which none is averaged."""
    place = int(share * (len(values) - 1))
    return float(np.partition(values, place)[place])

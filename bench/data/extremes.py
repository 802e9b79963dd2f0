"""Columns in which a few finite values are huge: 9999999999 for a missing income, 1e200, the largest float.

Standardised, such a column is all but constant for float32. So it is centered and scaled by what most of its values
are, and what lies far out is drawn in by logarithms: the order of values is kept, which is all that trees see of them,
and no network or linear model meets a huge number. A column without such values is left as it is.

Codes among amounts are smaller and as harmful: 96 and 98 for a number of delays, -999 for an age. What looks like one
is named; nothing is done to it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.values import Numbers

FAR = 1e4  # times as far from the middle as three quarters of the values: beyond it, a value is extreme
BOUND = 5.0  # in the same measure, up to which values are left as they are
LARGEST_FLOAT = float(np.finfo(np.float64).max)
OVERFLOWS = 1e100  # what lies beyond cannot be squared, as a standard deviation has to

# What programs and bureaus write for none: -1 to -9, and nines (the last of them down to 6, as in 96), of either sign.
NINES = np.array([10.0**digits - less for digits in range(2, 11) for less in range(1, 5)])
CODES = np.concatenate([-np.arange(1.0, 10), -NINES, NINES])
MOST_CODES, FEWEST_AMOUNTS = 4, 3  # different ones in a column
SMALL = 3  # times as far as a code below 0, other values must reach


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


def extreme_notes(X: pd.DataFrame, names: Collection[str]) -> list[str]:
    """Return a line for each column with extreme values: how many there are, and one of them."""
    notes = []
    for name, tails in extremes(X, names).items():
        values = X[name].dropna().to_numpy(np.float64)
        far = values[np.abs(tails.measured(values)) > FAR]
        if len(far):
            notes.append(
                f"{len(far):,} values of {name!r}, such as {far[0]:.10g}, lie {FAR:,.0f} times farther out than most: "
                "they are drawn in; if they mean missing, make them empty"
            )
    return notes


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
            codes = zip(values[is_code], counts[is_code], strict=True)
            shown = ", ".join(
                f"{code:.15g} ({count:,} row{'s' if count > 1 else ''})" for code, count in codes
            )
            low, high = values[~is_code][[0, -1]]
            notes.append(
                f"{name!r}: {shown} may be codes among values of {low:.10g} to {high:.10g}; if they mean missing, make "
                "them empty"
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
    """Return the tails of a column if any of its values is extreme, else None."""
    values = values[np.isfinite(values)]
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
        distance = np.array([abs(center) / 2 or 0.5])
    half, most = _quantile(distance, 0.5), _quantile(distance, 0.75)
    spread = half if half < most / FAR else most  # where a third of the values are extreme
    farthest = np.abs(values / 2 - center / 2).max()
    if farthest / FAR <= spread and np.abs(values).max() < OVERFLOWS:
        return None
    return Tails(center, min(2 * spread, LARGEST_FLOAT))


def _quantile(values: Numbers, share: float) -> float:
    """Return one of the values, between which none is averaged."""
    place = int(share * (len(values) - 1))
    return float(np.partition(values, place)[place])

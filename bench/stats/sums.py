"""Running sums down many columns at once, put together where they are asked for.

Rows are summed over pages of 16: narrow numbers within a page, wide ones from page to page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

PAGE = 16  # rows: of weights up to 15 their sum fits into a byte


@dataclass(frozen=True, eq=False)
class RunningSums:
    """Running sums down the rows of values (n, R), put together where they are asked for.

    Every 16 rows are a page. `np.cumsum` down all the rows takes 18 times as long.
    """

    within: Array  # (pages * 16, R) over the rows of a page up to each one
    before: Floats  # (pages + 1, R) over all earlier rows

    def at(self, rows: Places) -> Floats:
        """Return the sums over the leading `rows`, (T,) or for each column its own (T, R): (T, R)."""
        begun = rows % PAGE > 0  # the page that the last of them is in
        sums: Floats
        if rows.ndim > 1:
            sums = pick(self.before, rows // PAGE) + pick(self.within, rows - 1) * begun
        else:
            sums = self.before.take(rows // PAGE, axis=0) + self.within[rows - 1] * begun[:, None]
        return sums

    def reach(self, total: Floats) -> Places:
        """Return the first row (T, R) with which the sum is at least `total` (T, R); the last if none is.

        The values must not be negative.
        """
        page = _first(self.before[1:], total, 0, len(self.before) - 1)
        rest = total - pick(self.before, page)
        return page * PAGE + _first(self.within, rest, page * PAGE, PAGE)


def _first(values: Array, total: Floats, start: Places | int, rows: int) -> Places:
    """Return which of some `rows` from `start` (T, R) on is the first to be at least `total` (T, R)."""
    low, high = np.zeros(total.shape, np.intp), np.full(total.shape, rows - 1)
    for _ in range((rows - 1).bit_length()):
        middle = (low + high) // 2
        enough = pick(values, start + middle) >= total
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    return high


def running(values: Array) -> RunningSums:
    """Return the running sums of values (n, R)."""
    n, columns = values.shape
    wide = {"|u1": np.uint16, "<u2": np.uint32}.get(values.dtype.str, np.float64)
    within = np.zeros((-(-n // PAGE), PAGE, columns), wide)
    within.reshape(-1, columns)[:n] = values
    for row in range(1, PAGE):
        np.add(within[:, row], within[:, row - 1], out=within[:, row])
    before = np.zeros((len(within) + 1, columns))
    before[1:] = within[:, -1]
    run_down(before)
    return RunningSums(within.reshape(-1, columns), before)


def run_down(values: Array) -> None:
    """Turn values (m, R) into their running sums, in place."""
    if values.shape[1] < 200:
        np.cumsum(values, axis=0, out=values)
        return
    for row in range(1, len(values)):  # of many columns four times as fast
        values[row] += values[row - 1]


def pick(values: Array, row: Places) -> Array:
    """Return the value of each column of (m, R) at a row of its own (..., R), counted round."""
    picked: Array = values.reshape(-1).take(row * values.shape[1] + np.arange(values.shape[1]), mode="wrap")
    return picked

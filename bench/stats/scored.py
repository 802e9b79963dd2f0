"""What one run scored, as one object, and what a metric is: a number for it.

A metric of your own is a plain function in the manner of scikit-learn, and one entry of a plugin file's `METRICS`:

    import numpy as np
    from bench.contract import Metric, Scored

    def amount_recall(scored: Scored, weight: np.ndarray) -> float:
        lost = weight * scored.y * scored.columns["amount"]
        return lost[scored.score > 0.5].sum() / lost.sum()

    METRICS = {
        "amount_recall": Metric(
            amount_recall, description="share of the fraud amount scored above a half", needs=("amount",)
        ),
    }
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf, isfinite
from numbers import Real

import numpy as np

from bench.plugins.guards import attempt
from bench.stats.ranking import SLACK, Tally
from bench.stats.sums import Array, Floats

# What a metric may need of each row: columns that a table may have beside its features.
COLUMNS = ("amount", "time", "probability")


@dataclass(frozen=True, eq=False)
class Scored:
    """The n validation rows or the n test rows of one run, with their scores; no array can be written to.

    Attributes
    ----------
    y : ndarray, (n,)
        The labels, 0 or 1.
    score : ndarray of float64, (n,)
        What the run says of each row: P(y = 1), in [0, 1].
    rows : ndarray of int64, (n,)
        The rows' ids: their places in the table.
    columns : mapping of str to ndarray of float64, (n,)
        By name of `COLUMNS`, those that some metric needs and the table has; NaN where a value is missing.
    threshold : float or None
        The score from which a row counts as positive, chosen on the validation rows; None where there are none.

    Raises
    ------
    ValueError
        If `rows` or a column has another length than `y`.
    """

    y: Array
    score: Array
    rows: Array
    columns: Mapping[str, Floats] = field(default_factory=dict)
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Check the lengths (labels and scores are checked by what measures them) and make the arrays read-only."""
        for name in ("y", "score", "rows"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        object.__setattr__(self, "columns", {name: _read_only(self.columns[name]) for name in self.columns})
        for name, values in {"rows": self.rows, **self.columns}.items():
            if values.shape != self.y.shape:
                raise ValueError(
                    f"{name} has the shape {values.shape}, the labels {self.y.shape}: expected (n,) of both."
                )


def _read_only(values: Array) -> Array:
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class Metric:
    """A number for scored rows, and what a table must know of it.

    Attributes
    ----------
    measure : callable
        `measure(scored, weight)` returns a finite number; `weight`, int64 (n,), says how often each row counts. All
        are 1 for the value itself, and those of a resample of the rows for its interval, on some 500 resamples. Both
        classes are always there. It is called from several threads at once, and must give the same every time.
    higher_is_better : bool
        Which of two values is the better one.
    description : str
        One line for tables.
    bounds : pair of float
        What the number can be at all.
    needs : tuple of str
        The columns of `COLUMNS` without which it is not defined; where a table lacks one, it is not measured.
    tally : callable, optional
        The package's own metrics have it, and others need none: `measure` of R resamples at once, from a `Tally` to
        (R,) values.

    Raises
    ------
    ValueError
        If one of them is not as it should be.
    """

    measure: Callable[[Scored, Array], float]
    higher_is_better: bool = True
    description: str = ""
    bounds: tuple[float, float] = (-inf, inf)
    needs: tuple[str, ...] = ()
    tally: Callable[[Tally], Floats] | None = None

    def __post_init__(self) -> None:
        """Check what an author gave."""
        if not callable(self.measure):
            raise ValueError(
                f"A metric begins with a function measure(scored, weight); found {self.measure!r}."
            )
        if not isinstance(self.higher_is_better, bool):
            raise ValueError(f"higher_is_better is True or False; found {self.higher_is_better!r}.")
        if not isinstance(self.description, str) or len(self.description.splitlines()) != 1:
            raise ValueError(f"A metric needs a description of one line; found {self.description!r}.")
        if not isinstance(self.needs, tuple) or not set(self.needs) <= set(COLUMNS):
            raise ValueError(
                f"needs is a tuple of column names among {', '.join(COLUMNS)}; found {self.needs!r}."
            )
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"bounds are the lowest and the highest value; found {self.bounds!r}.")

    def lacks(self, columns: Mapping[str, Floats]) -> list[str]:
        """Return the columns that the metric needs and that are not there."""
        return [name for name in self.needs if name not in columns]

    def resampled(self, scored: Scored, weights: Array) -> tuple[Floats, str | None]:
        """Return the metric on R resamples of the rows, (R,), and in words why it gave no number, if it did not.

        `weights` are (R, n). NaN stands where a column is lacking, at the first resample without a number and
        after it: an interval needs them all.
        """
        values = np.full(len(weights), np.nan)
        if self.lacks(scored.columns):
            return values, None
        for place, weight in enumerate(weights):
            with np.errstate(all="ignore"):
                value, fault, _ = attempt(partial(self.measure, scored, weight.astype(np.int64)))
            fault = fault or self._fault(value)
            if fault:
                return values, fault
            values[place] = value
        return values, None

    def _fault(self, value: object) -> str | None:
        """Return what is wrong with a value that `measure` returned."""
        if not isinstance(value, Real) or isinstance(value, bool):
            return f"it returned {type(value).__name__}, not a number"
        number, (low, high) = float(value), self.bounds
        if not isfinite(number):
            return f"it returned {number}"
        if not low - SLACK <= number <= high + SLACK:
            return f"it returned {number:g}, and its bounds are {low:g} and {high:g}"
        return None

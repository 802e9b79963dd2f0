"""The contract of a metric, as checks on scored rows of a small table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import isclose, isfinite

import numpy as np
from numpy.typing import NDArray

from bench.contract import Metric, Scored
from bench.testing.checks import Check, examine, expect, loans

Weights = NDArray[np.int64]


@dataclass
class Subject:
    """A metric, and rows that were scored better than at random."""

    name: str
    metric: Metric

    @cached_property
    def scored(self) -> Scored:
        """The rows of the simulated table, none scored as another."""
        rng = np.random.default_rng(0)
        score = np.clip(rng.random(loans().n_rows) * 0.8 + 0.2 * loans().y, 0, 1)
        return Scored(loans().y, score, np.arange(loans().n_rows), loans().row_columns, 0.5)

    def value(self, scored: Scored, weight: Weights | None = None) -> float:
        """Return the metric of the scored rows; raise Fault where it is no number within its bounds."""
        value = self.metric.measure(scored, np.ones(len(scored.y), np.int64) if weight is None else weight)
        expect(
            isinstance(value, int | float | np.number) and not isinstance(value, bool),
            f"{self.name} is a {type(value).__name__}; expected a number",
        )
        number, (low, high) = float(value), self.metric.bounds
        expect(isfinite(number), f"{self.name} is {number}; expected a finite number")
        expect(
            low - 1e-9 <= number <= high + 1e-9,
            f"{self.name} is {number:g}; its bounds are {low:g} and {high:g}",
        )
        return number


def examine_metric(name: str, metric: Metric) -> list[Check]:
    """Return what holds and what does not of a metric."""
    return [replace(check, what=f"{name}: {check.what}") for check in examine(TESTS, Subject(name, metric))]


def it_is_a_number(subject: Subject) -> None:
    """It is a finite number within its bounds, the same every time."""
    first, again = subject.value(subject.scored), subject.value(subject.scored)
    expect(first == again, f"{first!r}, and then {again!r}, of the same rows")


def order_does_not_matter(subject: Subject) -> None:
    """It does not depend on the order of the rows."""
    value = subject.value(subject.scored)
    turned = subject.value(_rows(subject.scored, np.arange(len(subject.scored.y))[::-1]))
    expect(isclose(value, turned, rel_tol=1e-6, abs_tol=1e-9), f"{value!r}, and {turned!r} in another order")


def weights_count_rows(subject: Subject) -> None:
    """A row of weight 0 counts as if it was not there."""
    weight = np.random.default_rng(1).integers(0, 2, len(subject.scored.y))
    weight[[subject.scored.y.argmin(), subject.scored.y.argmax()]] = 1
    weighted = subject.value(subject.scored, weight)
    without = subject.value(_rows(subject.scored, np.flatnonzero(weight)))
    expect(
        isclose(weighted, without, rel_tol=1e-6, abs_tol=1e-9),
        f"{weighted!r} where rows have no weight, and {without!r} without these rows; use `weight`",
    )


def better_is_better(subject: Subject) -> None:
    """Where it tells a perfect scoring from its reverse, the perfect one is the better, by `higher_is_better`."""
    y = subject.scored.y
    perfect, reversed_ = (
        subject.value(replace(subject.scored, score=np.where(y == label, 0.99, 0.01))) for label in (1, 0)
    )
    higher = subject.metric.higher_is_better
    expect(
        perfect >= reversed_ if higher else perfect <= reversed_,
        f"higher_is_better is {higher}, and a perfect scoring has {perfect:g}, its reverse {reversed_:g}",
    )


def _rows(scored: Scored, chosen: NDArray[np.int64]) -> Scored:
    columns = {name: values[chosen] for name, values in scored.columns.items()}
    return Scored(scored.y[chosen], scored.score[chosen], scored.rows[chosen], columns, scored.threshold)


TESTS = (it_is_a_number, order_does_not_matter, weights_count_rows, better_is_better)

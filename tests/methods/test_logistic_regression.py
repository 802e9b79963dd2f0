"""Logistic regression: as scikit-learn has it, and with splines it fits what a line cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from bench.arms.arm import arm_named
from bench.arms.settings import configure
from bench.contract import Fitted, Member
from bench.data.encode import Part
from bench.methods import method
from bench.stats.metrics import average_precision


def fit(rows: Part, **settings: Any) -> Fitted:
    chosen = method("logistic-regression")
    fitted: Fitted
    member = Member(chosen.config(**settings), 0, (rows,), rows)
    (fitted,) = chosen.fit([member], torch.device("cpu"), lambda step, steps: None)
    return fitted


def u_shaped(n: int, seed: int = 0) -> Part:
    """Positives at both ends of the first column; the second has three values, the third two, the last one."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [rng.normal(size=n), rng.integers(0, 3, n), rng.integers(0, 2, n), np.zeros(n)]
    ).astype(np.float32)
    y = (rng.random(n) < np.where(np.abs(X[:, 0]) > 1.5, 0.6, 0.03)).astype(np.int8)
    return Part(np.arange(n), X, y)


def test_without_splines_it_is_scikit_learns() -> None:
    rows = u_shaped(500)
    expected = LogisticRegression(max_iter=1000).fit(rows.X.astype(np.float64), rows.labels)
    np.testing.assert_array_equal(
        fit(rows).predict(rows), expected.predict_proba(rows.X.astype(np.float64))[:, 1]
    )


def test_splines_see_what_a_line_cannot() -> None:
    train, test = u_shaped(4000), u_shaped(4000, seed=1)
    line, curves = fit(train), fit(train, splines=True)
    assert average_precision(test.labels, line.predict(test)) < 0.2
    assert average_precision(test.labels, curves.predict(test)) > 0.45


def test_splines_are_lines_beyond_the_training_rows() -> None:
    """The log-odds of far rows go on evenly, and are finite."""
    train = u_shaped(1000)
    far = np.zeros((3, 4), dtype=np.float32)
    far[:, 0] = (10, 20, 30)
    p = fit(train, splines=True, C=0.01).predict(Part(np.arange(3), far, None))
    odds = np.log(p / (1 - p))
    assert odds[2] - odds[1] == pytest.approx(odds[1] - odds[0], rel=1e-6)


def test_columns_of_few_values_stay_as_they_are() -> None:
    """Of two values and of one there is no curve: without the others, splines change nothing."""
    rows = u_shaped(500)
    few = Part(rows.rows, np.ascontiguousarray(rows.X[:, 2:]), rows.y)
    np.testing.assert_array_equal(fit(few, splines=True).predict(few), fit(few).predict(few))


def test_the_arm_logistic_splines_has_them() -> None:
    assert configure(arm_named("logistic-splines"))["splines"] is True

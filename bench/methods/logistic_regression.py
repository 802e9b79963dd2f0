"""Logistic regression, scikit-learn's: L2 penalty, L-BFGS; the reference that many networks miss.

With `splines` every number is a smooth curve in place of a line: cubic B-splines between `knots` at quantiles of the
training rows, and lines beyond the outer ones (Eilers and Marx 1996).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.data.encode import Part

VERSION = 2
COST = 0.5
FAMILY = "linear"
ARMS = (
    Arm("logistic-regression", "logistic-regression", "scikit-learn's, L2"),
    Arm(
        "logistic-splines",
        "logistic-regression",
        "the same, each number a cubic spline on quantile knots",
        settings={"splines": True},
    ),
)
MOST_KNOTS = 12  # that a study asks for


class Config(BaseModel):
    """`C` is the inverse strength of the penalty; `class_weight` "balanced" weights by inverse frequency.

    A number is a positive row's weight per negative row's; either way the mean weight is 1. A column with fewer
    than three different knots stays as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    C: float = Field(default=1.0, gt=0)
    class_weight: Literal["balanced"] | Annotated[float, Field(gt=0)] | None = None
    max_iter: int = Field(default=1000, gt=0)
    splines: bool = False
    knots: int = Field(default=6, ge=3)


def space(trial: Trial) -> dict[str, object]:
    """Return the penalty's strength, and the ratio of the classes by weight or by the sampler."""
    settings: dict[str, object] = {"C": trial.suggest_float("C", 1e-4, 1e3, log=True)}
    settings |= trial.sampler()
    if trial.arm.settings.get("splines"):
        settings["knots"] = trial.suggest_int("knots", 3, MOST_KNOTS)
    if "balance" not in trial.defaults:  # the sampler's ratio
        settings["class_weight"] = trial.weight("class_weight")
    return settings


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the same: nothing was chosen on validation rows."""
    return config


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Fit each member on its rows, on the CPU."""
    return [_fit(member) for member in members]


def _fit(member: Member) -> Fitted:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    (rows,) = member.pools
    config: Config = member.config
    settings = config.model_dump(exclude={"splines", "knots"})
    curves = _curves(rows.X, config.knots) if config.splines else _as_they_are
    if isinstance(settings["class_weight"], float):
        settings["class_weight"] = _weights(rows.labels, settings["class_weight"])
    model = LogisticRegression(**settings)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # `steps` in the record says it: max_iter was reached
        model.fit(curves(rows.X), rows.labels)

    def predict(part: Part) -> NDArray[np.float64]:
        scored: NDArray[np.float64] = model.predict_proba(curves(part.X))[:, 1]
        return scored

    steps = int(model.n_iter_[0])
    return Fitted(predict, steps=steps, best_step=steps, samples_seen=steps * len(rows.X))


def _as_they_are(X: NDArray[np.float32]) -> NDArray[np.float64]:
    return X.astype(np.float64)


def _curves(X: NDArray[np.float32], n_knots: int) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Return what turns rows (n, d) into the columns that the regression sees, with knots at quantiles of X."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import SplineTransformer

    quantiles = np.quantile(X.astype(np.float64), np.linspace(0, 1, n_knots), axis=0)
    knots = {column: np.unique(quantiles[:, column])[:, None] for column in range(X.shape[1])}
    splines = [
        (f"{column}", SplineTransformer(knots=at, extrapolation="linear", include_bias=False), [column])
        for column, at in knots.items()
        if len(at) > 2
    ]
    fitted = ColumnTransformer(splines, remainder="passthrough").fit(X.astype(np.float64))

    def columns(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        made: NDArray[np.float64] = fitted.transform(rows.astype(np.float64))
        return made

    return columns


def _weights(labels: NDArray[np.int8], positive: float) -> dict[int, float]:
    unit = len(labels) / float(len(labels) + (positive - 1) * labels.sum())
    return {0: unit, 1: unit * positive}

"""Logistic regression, scikit-learn's: L2 penalty, L-BFGS; the reference that many networks miss."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.data.encode import Part

VERSION = 1
COST = 0.5
ARMS = (Arm("logistic-regression", "logistic-regression", "scikit-learn's, L2"),)


class Config(BaseModel):
    """`C` is the inverse strength of the penalty; `class_weight` "balanced" weights by inverse frequency.

    A number is a positive row's weight per negative row's; either way the mean weight is 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    C: float = Field(default=1.0, gt=0)
    class_weight: Literal["balanced"] | Annotated[float, Field(gt=0)] | None = None
    max_iter: int = Field(default=1000, gt=0)


def space(trial: Trial) -> dict[str, object]:
    """Return the penalty's strength, and the ratio of the classes by weight or by the sampler."""
    settings: dict[str, object] = {"C": trial.suggest_float("C", 1e-4, 1e3, log=True)}
    settings |= trial.sampler()
    if "balance" not in trial.defaults:  # the sampler's ratio
        settings["class_weight"] = trial.weight("class_weight")
    return settings


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Fit each member on its rows, on the CPU."""
    return [_fit(member) for member in members]


def _fit(member: Member) -> Fitted:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    (rows,) = member.pools
    settings = member.config.model_dump()
    if isinstance(settings["class_weight"], float):
        settings["class_weight"] = _weights(rows.labels, settings["class_weight"])
    model = LogisticRegression(**settings)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # `steps` in the record says it: max_iter was reached
        model.fit(rows.X.astype(np.float64), rows.labels)

    def predict(part: Part) -> NDArray[np.float64]:
        scored: NDArray[np.float64] = model.predict_proba(part.X.astype(np.float64))[:, 1]
        return scored

    steps = int(model.n_iter_[0])
    return Fitted(predict, steps=steps, best_step=steps, samples_seen=steps * len(rows.X))


def _weights(labels: NDArray[np.int8], positive: float) -> dict[int, float]:
    unit = len(labels) / float(len(labels) + (positive - 1) * labels.sum())
    return {0: unit, 1: unit * positive}

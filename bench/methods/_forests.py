"""What the random forest and the balanced one share: settings, a study's space, scores."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bench.contract import Fitted, Trial
from bench.data.encode import Part

MOST_DEPTH = 31  # for a study, to which it is as good as any depth


class ForestConfig(BaseModel):
    """scikit-learn's own names; `max_features` is a share of the features, or "sqrt" of their number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_estimators: int = Field(default=300, gt=0)
    max_depth: int | None = Field(default=None, gt=0)
    min_samples_leaf: int = Field(default=1, gt=0)
    max_features: Literal["sqrt"] | Annotated[float, Field(gt=0, le=1)] = "sqrt"


def forest_space(trial: Trial) -> dict[str, object]:
    """Return depth, leaf size and share of features; more trees are never worse, only slower."""
    settings: dict[str, object] = {
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 50, log=True),
        "max_features": trial.suggest_categorical("max_features", ("sqrt", 0.2, 0.4, 0.6, 0.8, 1.0)),
    }
    if not trial.sets("max_depth"):
        depth = trial.suggest_int("max_depth", 2, MOST_DEPTH, default=MOST_DEPTH)
        settings["max_depth"] = None if depth == MOST_DEPTH else depth
    return settings


def fitted(forest: Any, samples_seen: int) -> Fitted:
    """Return a forest of scikit-learn's kind as fitted; it saw so many rows, in all trees together."""
    forest.set_params(n_jobs=1)  # several threads add up the trees' votes in the order in which they end

    def predict(part: Part) -> NDArray[np.float64]:
        scored: NDArray[np.float64] = forest.predict_proba(part.X)[:, 1]
        return scored

    trees = len(forest.estimators_)
    return Fitted(predict, steps=trees, best_step=trees, samples_seen=samples_seen)

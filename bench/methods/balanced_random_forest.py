"""Balanced random forest, imbalanced-learn's (Chen, Liaw and Breiman 2004): a balanced bootstrap for every tree.

Each tree grows on as many rows of either class as the rarer one has, drawn with replacement. The setting that
the paper means is imbalanced-learn's default since 0.13; it is spelled out, so that no release can change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.data.encode import Part

VERSION = 1
COST = 20.0
ARMS = (
    Arm(
        "balanced-random-forest", "balanced-random-forest", "a balanced bootstrap per tree (Chen et al. 2004)"
    ),
)
MOST_DEPTH = 31  # for a study, to which it is as good as any depth


class Config(BaseModel):
    """scikit-learn's own names; `max_features` is a share of the features, or "sqrt" of their number.

    `ratio` is how many rows of the rarer class a bootstrap has per row of the other; None is 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_estimators: int = Field(default=300, gt=0)
    max_depth: int | None = Field(default=None, gt=0)
    min_samples_leaf: int = Field(default=1, gt=0)
    max_features: Literal["sqrt"] | Annotated[float, Field(gt=0, le=1)] = "sqrt"
    ratio: float | None = Field(default=None, gt=0, le=1, exclude_if=lambda ratio: ratio is None)


def space(trial: Trial) -> dict[str, object]:
    """Return depth, leaf size, share of features and the ratio of the classes.

    More trees are never worse, only slower.
    """
    settings: dict[str, object] = {
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 50, log=True),
        "max_features": trial.suggest_categorical("max_features", ("sqrt", 0.2, 0.4, 0.6, 0.8, 1.0)),
        "ratio": trial.ratio("ratio"),
    }
    if not trial.sets("max_depth"):
        depth = trial.suggest_int("max_depth", 2, MOST_DEPTH, default=MOST_DEPTH)
        settings["max_depth"] = None if depth == MOST_DEPTH else depth
    return settings


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Grow each member's forest on its rows, on the CPU with the threads that the runner allows."""
    return [_fit(member) for member in members]


def _fit(member: Member) -> Fitted:
    from imblearn.ensemble import BalancedRandomForestClassifier

    (rows,) = member.pools
    forest = BalancedRandomForestClassifier(
        **member.config.model_dump(exclude={"ratio"}),
        sampling_strategy=_strategy(rows.labels, member.config.ratio),
        replacement=True,
        bootstrap=False,
        n_jobs=torch.get_num_threads(),
        random_state=member.seed % 2**32,
    )
    forest.fit(rows.X, rows.labels)
    forest.set_params(n_jobs=1)  # several threads add up the trees' votes in the order in which they end

    def predict(part: Part) -> NDArray[np.float64]:
        scored: NDArray[np.float64] = forest.predict_proba(part.X)[:, 1]
        return scored

    trees = len(forest.estimators_)
    seen = sum(len(sampler.sample_indices_) for sampler in forest.samplers_)
    return Fitted(predict, steps=trees, best_step=trees, samples_seen=seen)


def _strategy(labels: NDArray[np.int8], ratio: float | None) -> str | dict[int, int]:
    """Return how many rows of either class a bootstrap draws, in imbalanced-learn's words."""
    if ratio is None:
        return "all"
    counts = np.bincount(labels, minlength=2)
    rare = int(counts.argmin())
    return {rare: int(counts[rare]), 1 - rare: min(int(counts[1 - rare]), round(int(counts[rare]) / ratio))}

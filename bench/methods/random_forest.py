"""Random forest, scikit-learn's (Breiman 2001): a bootstrap of all rows for every tree, and no balancing by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.methods._forests import ForestConfig, fitted, forest_space

VERSION = 1
COST = 25.0
FAMILY = "trees"
ARMS = (Arm("random-forest", "random-forest", "a bootstrap of all rows per tree (Breiman 2001)"),)


class Config(ForestConfig):
    """`class_weight` "balanced" weights by inverse frequency; a number is a positive's weight per negative's."""

    class_weight: Literal["balanced"] | Annotated[float, Field(gt=0)] | None = None


def space(trial: Trial) -> dict[str, object]:
    """Return depth, leaf size, share of features, and the ratio of the classes by weight or by the sampler."""
    settings = forest_space(trial) | trial.sampler()
    if "balance" not in trial.defaults:  # the sampler's ratio
        settings["class_weight"] = trial.weight("class_weight")
    return settings


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the same: nothing was chosen on validation rows."""
    return config


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Grow each member's forest on its rows, on the CPU with the threads that the runner allows."""
    return [_fit(member) for member in members]


def _fit(member: Member) -> Fitted:
    from sklearn.ensemble import RandomForestClassifier

    (rows,), config = member.pools, member.config
    weight = config.class_weight
    forest = RandomForestClassifier(
        **config.model_dump(exclude={"class_weight"}),
        class_weight={0: 1.0, 1: weight} if isinstance(weight, float) else weight,
        n_jobs=torch.get_num_threads(),
        random_state=member.seed % 2**32,
    )
    forest.fit(rows.X, rows.labels)
    return fitted(forest, config.n_estimators * len(rows.X))

"""Balanced random forest, imbalanced-learn's (Chen, Liaw and Breiman 2004): a balanced bootstrap for every tree.

Each tree grows on as many rows of either class as the rarer one has, drawn with replacement. The setting that
the paper means is imbalanced-learn's default since 0.13; it is spelled out, so that no release can change it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.methods._forests import ForestConfig, fitted, forest_space

VERSION = 1
COST = 20.0
FAMILY = "trees"
ARMS = (
    Arm(
        "balanced-random-forest", "balanced-random-forest", "a balanced bootstrap per tree (Chen et al. 2004)"
    ),
)


class Config(ForestConfig):
    """`ratio` is how many rows of the rarer class a bootstrap has per row of the other; None is 1."""

    ratio: float | None = Field(default=None, gt=0, le=1, exclude_if=lambda ratio: ratio is None)


def space(trial: Trial) -> dict[str, object]:
    """Return depth, leaf size, share of features and the ratio of the classes."""
    return forest_space(trial) | {"ratio": trial.ratio("ratio")}


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the same: nothing was chosen on validation rows."""
    return config


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
    return fitted(forest, sum(len(sampler.sample_indices_) for sampler in forest.samplers_))


def _strategy(labels: NDArray[np.int8], ratio: float | None) -> str | dict[int, int]:
    """Return how many rows of either class a bootstrap draws, in imbalanced-learn's words."""
    if ratio is None:
        return "all"
    counts = np.bincount(labels, minlength=2)
    rare = int(counts.argmin())
    return {rare: int(counts[rare]), 1 - rare: min(int(counts[1 - rare]), round(int(counts[rare]) / ratio))}

"""EasyEnsemble, imbalanced-learn's (Liu, Wu and Zhou 2009): AdaBoost on several balanced subsets of the rows.

Each of the `n_estimators` members boosts `rounds` small trees on all rows of the rarer class and as many of the
other, drawn without replacement; the score is the mean of their probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.data.encode import Part

VERSION = 1
COST = 10.0
FAMILY = "trees"
ARMS = (Arm("easy-ensemble", "easy-ensemble", "AdaBoost on balanced subsets (Liu et al. 2009)"),)


class Config(BaseModel):
    """imbalanced-learn's defaults: 10 subsets, 50 rounds of AdaBoost on each, stumps.

    `ratio` is how many rows of the rarer class a subset has per row of the other; None is 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_estimators: int = Field(default=10, gt=0)
    rounds: int = Field(default=50, gt=0)
    learning_rate: float = Field(default=1.0, gt=0)
    max_depth: int = Field(default=1, gt=0)
    ratio: float | None = Field(default=None, gt=0, le=1, exclude_if=lambda ratio: ratio is None)


def space(trial: Trial) -> dict[str, object]:
    """Return rounds, rate and depth of AdaBoost, and the ratio of the classes in a subset."""
    return {
        "rounds": trial.suggest_int("rounds", 10, 100, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.05, 2.0, log=True),
        "max_depth": trial.suggest_int("max_depth", 1, 3),
        "ratio": trial.ratio("ratio"),
    }


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the same: nothing was chosen on validation rows."""
    return config


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Boost each member's subsets, on the CPU with the threads that the runner allows."""
    return [_fit(member) for member in members]


def _fit(member: Member) -> Fitted:
    from imblearn.ensemble import EasyEnsembleClassifier
    from joblib import parallel_config
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    (rows,), config = member.pools, member.config
    boosted = AdaBoostClassifier(
        DecisionTreeClassifier(max_depth=config.max_depth),
        n_estimators=config.rounds,
        learning_rate=config.learning_rate,
    )
    ensemble = EasyEnsembleClassifier(
        config.n_estimators,
        boosted,
        sampling_strategy="auto" if config.ratio is None else _strategy(rows.labels, config.ratio),
        replacement=False,
        n_jobs=torch.get_num_threads(),
        random_state=member.seed % 2**32,
    )
    with parallel_config(backend="threading"):  # a worker process may have none of its own, and copies cost
        ensemble.fit(rows.X, rows.labels)
    ensemble.set_params(n_jobs=1)  # the grouping of a sum among several would decide its last bits

    def predict(part: Part) -> NDArray[np.float64]:
        scored: NDArray[np.float64] = ensemble.predict_proba(part.X)[:, 1]
        return scored

    sizes = [
        (len(p["classifier"].estimators_), len(p["sampler"].sample_indices_)) for p in ensemble.estimators_
    ]
    steps = sum(trees for trees, _ in sizes)
    return Fitted(predict, steps=steps, best_step=steps, samples_seen=sum(t * n for t, n in sizes))


def _strategy(labels: NDArray[np.int8], ratio: float) -> dict[int, int]:
    """Return how many rows of the commoner class a subset draws; no more than there are."""
    counts = np.bincount(labels, minlength=2)
    rare = int(counts.argmin())
    return {1 - rare: min(int(counts[1 - rare]), round(int(counts[rare]) / ratio))}

"""LightGBM: histogram trees grown leaf by leaf (Ke et al. 2017), stopped early on validation average precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.data.encode import Part
from bench.methods._boosting import BoostingConfig, at_best, boosted, settings_of, weighted

VERSION = 1
COST = 10.0
FAMILY = "trees"
PACKAGES = ("lightgbm",)
ARMS = (Arm("lightgbm", "lightgbm", "histogram trees grown leaf by leaf (Ke et al. 2017), stopped early"),)


class Config(BoostingConfig):
    """LightGBM's own names, and its defaults for what is not boosting's length; `num_leaves` bounds a tree's size."""

    num_leaves: int = Field(default=31, gt=1)
    min_child_samples: int = Field(default=20, ge=0)
    subsample: float = Field(default=1.0, gt=0, le=1)
    colsample_bytree: float = Field(default=1.0, gt=0, le=1)
    reg_lambda: float = Field(default=0.0, ge=0)


def space(trial: Trial) -> dict[str, object]:
    """Return rate, leaves, regularisation, subsampling, and the ratio of the classes by weight or by the sampler."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 256, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 1, 300, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.0, 100.0),
        **weighted(trial),
    }


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the configuration with the best number of trees, in proportion to the rows."""
    return at_best(config, fitted, more)


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Boost each member on its rows, on the CPU with the threads that the runner allows."""
    return [_fit(member, progress) for member in members]


def _fit(member: Member, progress: Progress) -> Fitted:
    import lightgbm

    (rows,), config = member.pools, member.config
    stops = config.stops_early(len(member.valid.X))
    train = lightgbm.Dataset(rows.X, rows.labels, free_raw_data=False)
    valid = [train.create_valid(member.valid.X, member.valid.labels)] if stops else []
    patience: list[Callable[..., Any]] = (
        [lightgbm.early_stopping(config.early_stopping_rounds, verbose=False)] if stops else []
    )
    booster = lightgbm.train(_settings(member), train, config.rounds, valid_sets=valid, callbacks=patience)
    progress(config.rounds, config.rounds)
    best = (int(booster.best_iteration) if stops else 0) or int(
        booster.num_trees()
    )  # 0: no tree could grow further

    def predict(part: Part) -> NDArray[np.float64]:
        return np.asarray(booster.predict(part.X, num_iteration=best, num_threads=1), dtype=np.float64)

    steps = int(booster.current_iteration())
    return boosted(config, rows, predict, steps=steps, best=best, stopped_early=stops)


def _settings(member: Member) -> dict[str, object]:
    """Return the member's settings as LightGBM takes them; with them threads do not change a bit."""
    settings = settings_of(member.config, member.pools[0].labels)
    settings |= {
        "objective": "binary",
        "metric": "average_precision",
        "subsample_freq": 1,
        "seed": member.seed % 2**31,
    }
    settings |= {"deterministic": True, "force_row_wise": True, "num_threads": torch.get_num_threads()}
    return settings | {"verbosity": -1}

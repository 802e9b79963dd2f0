"""What XGBoost and LightGBM share: how many trees there may be, when boosting stops, and how positives are weighted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.contract import Fitted, Trial
from bench.data.encode import Part

_RATE = 0.05
_MOST, _PATIENCE, _AT_ONCE = 100.0, 10.0, 0.5  # trees times the learning rate


Boosting = TypeVar("Boosting", bound="BoostingConfig")


class BoostingConfig(BaseModel):
    """`rounds` is the most trees there can be, and their number where there is no early stopping.

    Boosting stops where average precision on validation rows has not risen for `early_stopping_rounds` trees; 0 trains
    all rounds. A lower rate needs as many more trees, and as much more patience: the defaults are 100 and 10 divided by
    the rate.

    `scale_pos_weight` None is 1; "balanced" is negatives / positives of the training rows, as XGBoost's notes on
    parameter tuning advise for unbalanced data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=_RATE, gt=0)
    rounds: int = Field(default=round(_MOST / _RATE), gt=0)
    early_stopping_rounds: int = Field(default=round(_PATIENCE / _RATE), ge=0)
    scale_pos_weight: Literal["balanced"] | Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_the_rate(cls, given: dict[str, object]) -> dict[str, object]:
        """Give a rate the trees and the patience that it needs."""
        rate = given.get("learning_rate", _RATE)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
            return given  # the field's own check says what is wrong
        defaults = {"rounds": trees(_MOST, rate), "early_stopping_rounds": trees(_PATIENCE, rate)}
        return {**defaults, **given}

    def stops_early(self, valid_rows: int) -> bool:
        """Return whether validation rows decide how many trees there are."""
        return valid_rows > 0 and self.early_stopping_rounds > 0

    def weight(self, labels: NDArray[np.int8]) -> float | None:
        """Return a positive row's weight on these rows; None is 1."""
        if self.scale_pos_weight != "balanced":
            return self.scale_pos_weight
        positives = int(labels.sum())
        return (len(labels) - positives) / positives


def trees(product: float, rate: float) -> int:
    """Return how many trees at this rate make the product, at least one."""
    return max(1, round(product / rate))


def settings_of(config: BoostingConfig, labels: NDArray[np.int8]) -> dict[str, object]:
    """Return the settings that the library takes by these names, with a positive row's weight on these labels."""
    ours = {"rounds", "early_stopping_rounds", "scale_pos_weight"}
    weight = config.weight(labels)
    return config.model_dump(exclude=ours) | ({} if weight is None else {"scale_pos_weight": weight})


def boosted(
    config: BoostingConfig,
    rows: Part,
    predict: Callable[[Part], NDArray[np.float64]],
    *,
    steps: int,
    best: int,
    stopped_early: bool,
) -> Fitted:
    """Return a member that grew `steps` trees on `rows` and keeps the first `best`, chosen where it `stopped_early`."""
    at_once = min(trees(_AT_ONCE, config.learning_rate), config.rounds)
    return Fitted(
        predict,
        steps=steps,
        best_step=best,
        samples_seen=steps * len(rows.X),
        first_step=at_once if stopped_early else None,
        last_step=config.rounds if stopped_early else None,
    )


def weighted(trial: Trial) -> dict[str, object]:
    """Return the ratio of the classes that a study tries, by the sampler's or by the weight of positives."""
    settings: dict[str, object] = dict(trial.sampler())
    if "balance" not in trial.defaults:  # the sampler's ratio
        settings["scale_pos_weight"] = trial.weight("scale_pos_weight")
    return settings


def at_best(config: Boosting, fitted: Fitted, more: float) -> Boosting:
    """Return the configuration with as many trees as were best, times `more`, and without early stopping."""
    rounds = max(1, round(fitted.best_step * more)) if fitted.last_step else config.rounds
    return config.model_copy(update={"rounds": rounds, "early_stopping_rounds": 0})

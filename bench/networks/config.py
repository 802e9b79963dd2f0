"""What every network method can be set to, and what must agree within a pack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BaseModel, Field, PositiveInt, model_validator
from torch import Tensor

from bench.contract import Budget, SteppedConfig, Trial
from bench.errors import BadSetting
from bench.networks.memory import BLOCK, member_bytes

SGD_WEIGHT_DECAY = 5e-4


class NetworkConfig(SteppedConfig):
    """What every network method can be set to; one budget for all of them in a protocol.

    How the defaults were set, and on which data: results/LOG.md, 2026-11-23.

    `steps` is the budget in optimiser steps, `evaluations` how often within it the validation part is
    scored, `patience` how many scorings without a better one end a member's training. With `epochs`, a member's
    budget is what so many passes over its rows take, and `steps` is not looked at. `keep` says which state counts:
    that of the best scoring, or the last.

    Dropout follows every hidden layer, or those named by `dropout_after`, the first being 1; with `test_dropout` it
    stays on when rows are scored, as in code that forgets to switch it off. With `search_lr` a run is trained at each
    of these rates in place of `lr`, and the one that is best on validation counts.
    """

    block: ClassVar[int] = BLOCK

    hidden: tuple[PositiveInt, ...] = (32, 16)
    optimiser: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=0.003, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1.0, ge=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dropout_after: tuple[PositiveInt, ...] | None = None
    test_dropout: bool = False
    steps: int = Field(default=2000, gt=0)
    epochs: PositiveInt | None = None
    keep: Literal["best", "last"] = "best"
    search_lr: tuple[Annotated[float, Field(gt=0)], ...] = ()
    evaluations: int = Field(default=40, gt=0)
    patience: int = Field(default=20, gt=0)
    dtype: Literal["float32", "float64"] = "float32"

    @property
    def needs_validation(self) -> bool:
        """Whether something is chosen on validation rows."""
        return self.keep == "best" or bool(self.search_lr)

    @property
    def budget(self) -> Budget:
        """Steps, or epochs where they are set, and rows per step."""
        steps = self.steps if self.epochs is None else None
        return Budget(self.rows_per_step, steps, self.epochs)

    def member_bytes(self, n_features: int) -> int:
        """Return an estimate, on the high side, of what one member of a pack takes (`bench.networks.memory`)."""
        return member_bytes(self, n_features)

    @property
    def rows_per_step(self) -> int:
        """Rows that a step sees."""
        raise NotImplementedError  # each method has its own batches, and no run is of this class itself

    def updates(self, sizes: Sequence[int]) -> int:
        """Return the budget in steps of a member whose pools have so many rows."""
        return self.steps if self.epochs is None else max(1, self.updates_in(self.epochs, sizes))

    def updates_in(self, epochs: int, sizes: Sequence[int]) -> int:
        """Return how many whole steps so many epochs make."""
        raise NotImplementedError  # as above

    def whole(self, rows: int) -> int:
        """Return `rows`, a batch's, where epochs are counted and so hold whole batches; else 0."""
        return 0 if self.epochs is None else rows

    @model_validator(mode="before")
    @classmethod
    def _decay_of_sgd(cls, given: dict[str, object]) -> dict[str, object]:
        """Give SGD the paper's decay: AdamW's is decoupled from the gradient, and of another size."""
        return {"weight_decay": SGD_WEIGHT_DECAY, **given} if given.get("optimiser") == "sgd" else given


NETWORK_STATIC = frozenset(
    {
        *("hidden", "optimiser", "steps", "epochs", "evaluations", "patience", "keep", "dtype"),
        *("dropout_after", "test_dropout", "search_lr"),
    }
)


# What decides how a pack is made is asked in few values, so that trials share packs.
WIDTHS, BATCHES = (16, 32, 64), (160, 320, 640, 1280)


def network_space(trial: Trial) -> dict[str, object]:
    """Return what a study asks of every network: rate, decay, dropout, and layers that halve from a first width."""
    settings: dict[str, object] = {
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 10.0, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }
    if not trial.sets("hidden"):
        width = trial.suggest_categorical("width", WIDTHS, default=32)
        settings["hidden"] = [width >> layer for layer in range(trial.suggest_int("depth", 1, 3, default=2))]
    return settings


def check_validation(config: BaseModel, arm: str, protocol: str, instead: str | None = None) -> None:
    """Raise BadSetting where the arm would choose on validation rows, of which the protocol has none.

    `instead` is a protocol that has some.
    """
    if isinstance(config, SteppedConfig) and config.needs_validation:
        raise BadSetting(
            f"{arm} chooses its best step or rate on validation rows, and {protocol} holds none out: "
            f'set keep="last"{f", or run {instead}" if instead else ""}.'
        )


def dtype_of(config: NetworkConfig) -> torch.dtype:
    """Return the dtype that the configuration names."""
    return torch.float64 if config.dtype == "float64" else torch.float32


def setting(configs: Sequence[NetworkConfig], field: str, like: Tensor) -> Tensor:
    """Return one field of the members' configurations, (K,)."""
    return like.new_tensor([float(getattr(config, field)) for config in configs])

"""One multilayer perceptron on one pool of rows: the arms `none`, `class-weight`, every sampler, every loss.

What tells these arms apart is the sampler that made the pool, the class weights and the loss. The
network, its optimiser and its budget are the same for all of them, and for MetaBalance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, field_validator

from bench.methods import Fitted, Member, Progress
from bench.pack.batches import Company, Step, drawn_sides
from bench.pack.config import NETWORK_STATIC, NetworkConfig
from bench.pack.fit import fit_pack
from bench.pack.loop import Steps
from bench.pack.losses import LOSSES, terms
from bench.pack.network import Parameters
from bench.pack.plain import loss_gradient

VERSION = 3
COST = 2.5
STATIC = NETWORK_STATIC | {"batch", "loss"}


class Config(NetworkConfig):
    """`class_weight` "balanced" weights a row by n / (2 n_class) over its pool.

    Of the losses, focal takes `gamma`; class-balanced `beta` (None is (n − 1)/n); logit-adjusted `tau`; ldam-drw
    `max_margin`, `scale` and `beta`, all its weights, class weights too, from the share `deferred` of the steps on.
    """

    batch: int = Field(default=640, gt=0)
    loss: str = "cross-entropy"
    class_weight: Literal["balanced"] | None = None
    gamma: float = Field(default=2.0, ge=0)
    beta: float | None = Field(default=None, ge=0, le=1)
    tau: float = Field(default=1.0, ge=0)
    max_margin: float = Field(default=0.5, ge=0)
    scale: float = Field(default=1.0, gt=0)
    deferred: float = Field(default=0.8, ge=0, le=1)

    @field_validator("loss")
    @classmethod
    def _is_registered(cls, loss: str) -> str:
        if loss not in LOSSES:
            raise ValueError(f"known losses are {', '.join(LOSSES)}")
        return loss

    @property
    def rows_per_step(self) -> int:
        """Rows that a step sees."""
        return self.batch

    def updates_in(self, epochs: int, sizes: Sequence[int]) -> int:
        """Return one step per batch, the last one of an epoch however short."""
        return epochs * -(-sizes[0] // self.batch)


def space(trial: Any) -> dict[str, Any]:
    """Return learning rate, decay, dropout, class weight and the losses' own settings."""
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1.0, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "class_weight": trial.suggest_categorical("class_weight", [None, "balanced"]),
        "gamma": trial.suggest_float("gamma", 0.0, 5.0),
        "beta": trial.suggest_float("beta", 0.9, 0.99999),
        "tau": trial.suggest_float("tau", 0.0, 2.0),
        "max_margin": trial.suggest_float("max_margin", 0.0, 2.0),
    }


def fit(members: Sequence[Member], device: Any, progress: Progress) -> list[Fitted]:
    """Train the members as one pack; their `STATIC` settings and numbers of features agree."""
    return fit_pack(members, _steps, device, progress)


def _steps(company: Company) -> Steps:
    config, (rows,) = company.configs[0], company.pools
    (draws,), (keep,) = drawn_sides(company, ("",), (config.batch,))
    found = terms(company.configs, rows.counts, rows.X)
    until = None
    if LOSSES[config.loss].deferred:
        budgets = company.budgets
        until = torch.tensor(
            [int(c.deferred * n) for c, n in zip(company.configs, budgets, strict=True)], device=rows.X.device
        )

    def gradient(parameters: Parameters, step: Step) -> Parameters:
        return loss_gradient(parameters, draws.batch(step), found.at(step, until), keep(step, config.batch))

    return Steps(gradient, [draws], lambda at: _steps(company.of(at)))

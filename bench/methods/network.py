"""One multilayer perceptron on one pool of rows: the arms `none`, `class-weight`, every sampler, `focal`.

What tells these arms apart is the sampler that made the pool, the class weights and the loss. The
network, its optimiser and its budget are the same for all of them, and for MetaBalance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from bench.methods import Fitted, Member, Progress
from bench.pack import streams
from bench.pack.loop import (
    NETWORK_STATIC,
    Draws,
    NetworkConfig,
    Pool,
    Trained,
    dropout_factors,
    padded,
    pool,
    setting,
    train,
)
from bench.pack.losses import LOSSES
from bench.pack.network import Parameters, forward, gradient

VERSION = 1
COST = 2.5
STATIC = NETWORK_STATIC | {"batch", "loss"}


class Config(NetworkConfig):
    """`class_weight` "balanced" weights a row by n / (2 n_class) over its pool; `gamma` is focal's γ."""

    batch: int = Field(default=640, gt=0)
    loss: str = "cross-entropy"
    class_weight: Literal["balanced"] | None = None
    gamma: float = Field(default=2.0, ge=0)

    @field_validator("loss")
    @classmethod
    def _is_registered(cls, loss: str) -> str:
        if loss not in LOSSES:
            raise ValueError(f"known losses are {', '.join(LOSSES)}")
        return loss


def space(trial: Any) -> dict[str, Any]:
    """Return learning rate, decay, dropout, class weight and focal's γ."""
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1.0, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "class_weight": trial.suggest_categorical("class_weight", [None, "balanced"]),
        "gamma": trial.suggest_float("gamma", 0.0, 5.0),
    }


def fit(members: Sequence[Member], device: Any, progress: Progress) -> list[Fitted]:
    """Train the members as one pack; their `STATIC` settings and numbers of features agree."""
    company = padded(members)
    configs, seeds = [m.config for m in company], [m.seed for m in company]
    rows = pool([m.pools[0] for m in company], device)
    batch = configs[0].batch
    draws = Draws(rows, streams.keys(seeds, "order", device), batch)
    keep = dropout_factors(configs, streams.keys(seeds, "dropout", device))
    weights = _class_weights(configs, rows)
    settings = {"gamma": setting(configs, "gamma", device)[:, None]}
    slope = LOSSES[configs[0].loss].slope

    def step_gradient(parameters: Parameters, step: int) -> Parameters:
        x, y = draws.batch(step)
        trace = forward(parameters, x, keep(step, batch))
        weight = torch.where(y > 0, weights[:, 1:], weights[:, :1])
        return gradient(parameters, trace, slope(trace.logits, y, settings) * weight / batch)

    trained = train(
        configs, seeds, [m.valid for m in members], step_gradient, device=device, progress=progress
    )
    return [_fitted(member, batch) for member in trained]


def _class_weights(configs: Sequence[Config], rows: Pool) -> Tensor:
    """Return each member's weight of a negative and of a positive row, float32 (K, 2)."""
    n, positives = rows.size.double().cpu(), rows.positives()
    balanced = torch.stack([n / (2 * (n - positives)), n / (2 * positives)], 1)
    wanted = torch.tensor([config.class_weight == "balanced" for config in configs])[:, None]
    return torch.where(wanted, balanced, torch.ones_like(balanced)).float().to(rows.X.device)


def _fitted(trained: Trained, rows_per_step: int) -> Fitted:
    return Fitted(trained.predict, trained.steps, trained.best_step, trained.steps * rows_per_step)

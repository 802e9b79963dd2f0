"""MetaBalance (Bansal et al. 2021, arXiv 2106.09643): an inner and an outer loss, each with its own balancing.

Per update, P pairs of batches: an inner step θ' = θ − α ∇L(θ; inner), then the outer loss
L(θ'; outer) + λ L(θ; inner), averaged over the pairs. The inner batches come from the inner sampler's
rows, the outer ones from the outer sampler's. `order` 2 differentiates through the inner step, as the
method is defined; 1 does not, as the authors' code computes. `inner_lr` 0 is the control without a
meta step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from bench.methods import Fitted, Member, Progress
from bench.pack import meta_gradient, streams
from bench.pack.loop import (
    NETWORK_STATIC,
    Draws,
    NetworkConfig,
    dropout_factors,
    padded,
    pool,
    setting,
    train,
)
from bench.pack.network import Parameters

VERSION = 1
COST = 5.0
POOLS = ("inner_sampler", "outer_sampler")
STATIC = NETWORK_STATIC | {"pairs", "inner_batch", "outer_batch", "order"}


class Config(NetworkConfig):
    """α is `inner_lr`, λ `inner_weight`, P `pairs`; batches are rows per pair.

    16 pairs of 24 and 16 rows are the 640 rows per step that the other networks see. Learning rate and
    decay differ from theirs: the one cell that suits all of them costs it most (results/LOG.md, 2026-11-23).
    """

    lr: float = Field(default=0.01, gt=0)
    weight_decay: float = Field(default=0.3, ge=0)

    pairs: int = Field(default=16, gt=0)
    inner_batch: int = Field(default=24, gt=0)
    outer_batch: int = Field(default=16, gt=0)
    inner_lr: float = Field(default=0.01, ge=0)
    inner_weight: float = Field(default=0.01, ge=0)
    order: Literal[1, 2] = 2


def space(trial: Any) -> dict[str, Any]:
    """Return learning rate, decay, dropout, α and λ."""
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1.0, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "inner_lr": trial.suggest_float("inner_lr", 1e-3, 3.0, log=True),
        "inner_weight": trial.suggest_float("inner_weight", 1e-3, 1.0, log=True),
    }


def fit(members: Sequence[Member], device: Any, progress: Progress) -> list[Fitted]:
    """Train the members as one pack; their `STATIC` settings and numbers of features agree."""
    company = padded(members)
    configs, seeds = [m.config for m in company], [m.seed for m in company]
    config = configs[0]
    sides = {}
    for side, batch, i in (("inner", config.inner_batch, 0), ("outer", config.outer_batch, 1)):
        rows = pool([m.pools[i] for m in company], device)
        order = streams.keys(seeds, f"{side} order", device)
        keep = dropout_factors(configs, streams.keys(seeds, f"{side} dropout", device))
        sides[side] = (Draws(rows, order, config.pairs * batch), keep, batch)
    inner_lr, inner_weight = (setting(configs, field, device) for field in ("inner_lr", "inner_weight"))

    def step_gradient(parameters: Parameters, step: int) -> Parameters:
        (inner, inner_keep), (outer, outer_keep) = (
            _batch(*side, config.pairs, step) for side in sides.values()
        )
        return meta_gradient(
            parameters,
            inner,
            outer,
            inner_lr=inner_lr,
            inner_weight=inner_weight,
            order=config.order,
            inner_keep=inner_keep,
            outer_keep=outer_keep,
        )

    trained = train(
        configs, seeds, [m.valid for m in members], step_gradient, device=device, progress=progress
    )
    rows_per_step = config.pairs * (config.inner_batch + config.outer_batch)
    return [Fitted(m.predict, m.steps, m.best_step, m.steps * rows_per_step) for m in trained]


def _batch(
    draws: Draws, keep: Any, batch: int, pairs: int, step: int
) -> tuple[tuple[Tensor, Tensor], list[Tensor] | None]:
    """Return ((x (K, P, B, d), y (K, P, B)), dropout factors (K, P, B, h) or None)."""
    x, y = draws.batch(step)
    K = len(x)
    factors = keep(step, pairs * batch)
    shaped = None if factors is None else [f.view(K, pairs, batch, -1) for f in factors]
    return (x.view(K, pairs, batch, -1), y.view(K, pairs, batch)), shaped

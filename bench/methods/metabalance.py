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

import torch
from pydantic import Field

from bench.methods import Fitted, Member, Progress
from bench.pack import streams
from bench.pack.batches import Draws, Pool, Step, dropout, pool
from bench.pack.loop import NETWORK_STATIC, NetworkConfig, Steps, dtype_of, setting, train
from bench.pack.meta import outer_gradient
from bench.pack.network import Parameters

VERSION = 2
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

    @property
    def rows_per_step(self) -> int:
        """Rows that a step sees."""
        return self.pairs * (self.inner_batch + self.outer_batch)


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
    configs, seeds = [m.config for m in members], [m.seed for m in members]
    sides = [pool([m.pools[i] for m in members], device, dtype_of(configs[0])) for i in (0, 1)]
    trained = train(
        configs,
        seeds,
        [m.valid for m in members],
        lambda company: _steps(
            [configs[k] for k in company],
            [seeds[k] for k in company],
            [side.of(company) for side in sides],
            device,
        ),
        device=device,
        progress=progress,
    )
    return [Fitted(m.predict, m.steps, m.best_step, m.steps * configs[0].rows_per_step) for m in trained]


def _steps(
    configs: Sequence[Config], seeds: Sequence[int], sides: Sequence[Pool], device: torch.device
) -> Steps:
    config, like = configs[0], sides[0].X
    counts = (config.pairs * config.inner_batch, config.pairs * config.outer_batch)
    draws, keep = [], []
    for side, name, count in zip(sides, ("inner", "outer"), counts, strict=True):
        draws.append(Draws(side, streams.keys(list(seeds), f"{name} order", device), count))
        keep.append(dropout(configs, streams.keys(list(seeds), f"{name} dropout", device), like.dtype))
    inner_lr, inner_weight = (setting(configs, field, like) for field in ("inner_lr", "inner_weight"))

    def gradient(parameters: Parameters, step: Step) -> Parameters:
        return outer_gradient(
            parameters,
            *(drawn.batch(step) for drawn in draws),
            pairs=config.pairs,
            inner_lr=inner_lr,
            inner_weight=inner_weight,
            order=config.order,
            inner_keep=keep[0](step, counts[0]),
            outer_keep=keep[1](step, counts[1]),
        )

    def some(at: Sequence[int]) -> Steps:
        return _steps(
            [configs[k] for k in at], [seeds[k] for k in at], [side.of(at) for side in sides], device
        )

    return Steps(gradient, draws, some)

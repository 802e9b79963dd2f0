"""MetaBalance (Bansal et al. 2021, arXiv 2106.09643): an inner and an outer loss, each with its own balancing.

Per update, P pairs of batches: an inner step θ' = θ − α ∇L(θ; inner), then the outer loss
L(θ'; outer) + λ L(θ; inner), averaged over the pairs. The inner batches come from the inner sampler's
rows, the outer ones from the outer sampler's; a batch rule (`bench.sampling.rules`) draws from all rows. The default
is natural inner and balanced outer batches, as the authors' code has it for images; for tables that code draws its
outer rows once for all of the training (`random-under-once`, `svm-smote` …). `order` 2 differentiates through the inner
step, as the method is defined; 1 does not, as the authors' code computes. `inner_lr` 0 is the control without a meta
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.networks.batches import Company, drawn_sides
from bench.networks.config import NETWORK_STATIC, NetworkConfig, network_space, setting
from bench.networks.fit import at_best_step, fit_pack
from bench.networks.gradients import outer_gradient
from bench.networks.loop import Steps
from bench.networks.tensors import Parameters, Step

VERSION = 3
COST = 5.0
FAMILY = "networks"
DRAWS_BATCHES = True
POOLS = ("inner_sampler", "outer_sampler")
STATIC = NETWORK_STATIC | {"pairs", "inner_batch", "outer_batch", "order"}
STUDIED_SAMPLERS = (  # the quick ones, and the one that the paper chose
    *("balanced", "random-over", "random-under", "smote", "borderline-smote", "svm-smote", "adasyn"),
)
_METABALANCE = Arm(
    "metabalance",
    "metabalance",
    "MetaBalance, exact second order; inner natural, outer balanced batches",
    outer_sampler="balanced",
)
ARMS = (
    _METABALANCE,
    replace(
        _METABALANCE,
        name="metabalance-published",
        description="MetaBalance with the samplers that its authors chose in the end (October 2021), which the data "
        "set's card names",
        outer_sampler="random-under-once",
        as_published=True,
    ),
    replace(
        _METABALANCE,
        name="metabalance-june-published",
        description="MetaBalance as first published in June 2021, before its authors searched other samplers; inner "
        "natural, outer random under-sampling drawn once",
        outer_sampler="random-under-once",
        as_published=True,
    ),
    replace(
        _METABALANCE,
        name="metabalance-first-order",
        description="MetaBalance, first order, as its authors' code; samplers as metabalance",
        settings={"order": 1},
    ),
    replace(
        _METABALANCE,
        name="metabalance-no-inner",
        description="control: MetaBalance without its inner step, α = 0; samplers as metabalance",
        settings={"inner_lr": 0.0},
    ),
    replace(
        _METABALANCE,
        name="outer-only",
        description="control: the outer batches alone, α = λ = 0, as many updates; outer balanced",
        settings={"inner_lr": 0.0, "inner_weight": 0.0},
    ),
)


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

    def updates_in(self, epochs: int, sizes: Sequence[int]) -> int:
        """Return one step per `pairs` batches of the outer rows, the last of an epoch however short.

        Pairs that an epoch leaves over are carried to the next.
        """
        return epochs * -(-sizes[1] // self.outer_batch) // self.pairs


def space(trial: Trial) -> dict[str, object]:
    """Return the network's settings, α, λ, order and pairs, and both samplers with their ratios.

    A control's inner step is nothing, and so is its order; where the inner loss does not count either, the inner
    rows are not asked.
    """
    settings: dict[str, object] = network_space(trial)
    settings["inner_lr"] = trial.suggest_float("inner_lr", 1e-3, 3.0, log=True)
    settings["inner_weight"] = trial.suggest_float("inner_weight", 1e-3, 1.0, log=True)
    settings["pairs"] = trial.suggest_categorical("pairs", (4, 8, 16, 32))
    if settings["inner_lr"]:
        settings["order"] = trial.suggest_categorical("order", (1, 2))
    if settings["inner_lr"] or settings["inner_weight"]:
        settings |= trial.sampler("inner_sampler", STUDIED_SAMPLERS)
    return {**settings, **trial.sampler("outer_sampler", STUDIED_SAMPLERS)}


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the configuration of as many steps as were best, in proportion to the rows."""
    return at_best_step(config, fitted, more)


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Train the members as one pack; their `STATIC` settings and numbers of features agree."""
    return fit_pack(members, _steps, device, progress)


def _steps(company: Company) -> Steps:
    config, like = company.configs[0], company.pools[0].X
    batches = (config.inner_batch, config.outer_batch)
    draws, keep = drawn_sides(company, ("inner ", "outer "), batches, each=config.pairs)
    inner_lr, inner_weight = (setting(company.configs, field, like) for field in ("inner_lr", "inner_weight"))

    def gradient(parameters: Parameters, step: Step) -> Parameters:
        return outer_gradient(
            parameters,
            *(drawn.batch(step) for drawn in draws),
            pairs=config.pairs,
            inner_lr=inner_lr,
            inner_weight=inner_weight,
            order=config.order,
            inner_keep=keep[0](step, draws[0].count),
            outer_keep=keep[1](step, draws[1].count),
        )

    return Steps(gradient, draws, lambda at: _steps(company.of(at)))

"""One multilayer perceptron on one pool of rows: the arms `none`, `class-weight`, every sampler, every loss.

What tells these arms apart is the sampler that made the pool, or the batch rule that draws from it
(`bench.sampling.rules`), the class weights and the loss. The
network, its optimiser and its budget are the same for all of them, and for MetaBalance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.data.classes import BALANCED
from bench.networks.batches import Company, drawn_sides
from bench.networks.config import BATCHES, NETWORK_STATIC, NetworkConfig, network_space
from bench.networks.fit import at_best_step, fit_pack
from bench.networks.gradients import loss_gradient
from bench.networks.loop import Steps
from bench.networks.losses import LOSSES, terms
from bench.networks.tensors import Parameters, Step

VERSION = 4
COST = 2.5
FAMILY = "networks"
DRAWS_BATCHES = True
STATIC = NETWORK_STATIC | {"batch", "loss"}
LEAST_REST = 1e-7  # of 1 − β
ARMS = (
    Arm("none", "network", "the network on the rows as they are"),
    Arm(
        "class-weight", "network", "weights by inverse class frequency", settings={"class_weight": "balanced"}
    ),
    Arm("focal", "network", "focal loss, γ = 2 (Lin et al. 2017)", settings={"loss": "focal"}),
    Arm(
        "class-balanced",
        "network",
        "weights by effective number of rows (Cui et al. 2019)",
        settings={"loss": "class-balanced"},
    ),
    Arm(
        "class-balanced-published",
        "network",
        "the same with β = .999, as in the MetaBalance paper: weights that are nearly equal",
        settings={"loss": "class-balanced", "beta": 0.999},
        as_published=True,
    ),
    Arm(
        "logit-adjusted",
        "network",
        "logits shifted by the prior (Menon et al. 2021)",
        settings={"loss": "logit-adjusted"},
    ),
    Arm(
        "ldam-drw",
        "network",
        "margins by class, weights deferred (Cao et al. 2019)",
        settings={"loss": "ldam-drw"},
    ),
    Arm("balanced", "network", "batches of which half is of either class, from all rows", "balanced"),
    Arm("smote", "network", "SMOTE (Chawla et al. 2002)", "smote"),
    Arm("borderline-smote", "network", "Borderline-SMOTE (Han et al. 2005)", "borderline-smote"),
    Arm("svm-smote", "network", "SVM-SMOTE (Nguyen et al. 2009)", "svm-smote"),
    Arm("adasyn", "network", "ADASYN (He et al. 2008)", "adasyn"),
    Arm("random-over", "network", "random over-sampling, anew every epoch", "random-over"),
    Arm("random-under", "network", "random under-sampling, anew every epoch", "random-under"),
    Arm("cluster-centroids", "network", "k-means centroids instead of the negatives", "cluster-centroids"),
    Arm(
        "near-miss",
        "network",
        "NearMiss-1, the negatives nearest to positives (Mani and Zhang 2003)",
        "near-miss",
    ),
    Arm(
        "all-knn",
        "network",
        "AllKNN, without negatives that their neighbours outvote (Tomek 1976)",
        "all-knn",
    ),
    Arm("smoteenn", "network", "SMOTE, then edited nearest neighbours (Batista et al. 2004)", "smoteenn"),
)


class Config(NetworkConfig):
    """`class_weight` "balanced" weights a row by n / (2 n_class) over its pool.

    A number is a positive row's weight per negative row's; either way the mean weight is 1.

    Of the losses, focal takes `gamma`; class-balanced `beta` (None is (n − 1)/n); logit-adjusted `tau`; ldam-drw
    `max_margin`, `scale` and `beta`, all its weights, class weights too, from the share `deferred` of the steps on.
    """

    batch: int = Field(default=640, gt=0)
    loss: str = "cross-entropy"
    class_weight: Literal["balanced"] | Annotated[float, Field(gt=0)] | None = None
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


def space(trial: Trial) -> dict[str, object]:
    """Return the network's settings, the batch, the loss's own, and the ratio of the classes."""
    loss = trial.arm.settings.get("loss", "cross-entropy")
    settings: dict[str, object] = {
        **network_space(trial),
        "batch": trial.suggest_categorical("batch", BATCHES),
        **_of(loss, trial),
    }
    settings |= trial.sampler()
    # A sampler's ratio evens the classes out, or its rule has; and other losses do it by a setting of their own.
    evened_out = "balance" in trial.defaults or trial.arm.sampler == BALANCED
    if not evened_out and loss in ("cross-entropy", "focal"):
        settings["class_weight"] = trial.weight("class_weight")
    return settings


def _of(loss: str, trial: Trial) -> dict[str, object]:
    """Return the settings of the loss, by which some of them even the classes out."""
    if loss == "focal":
        return {"gamma": trial.suggest_float("gamma", 0.0, 5.0)}
    if loss == "logit-adjusted":
        return {"tau": trial.suggest_float("tau", 0.0, 2.0)}
    settings: dict[str, object] = {}
    if loss in ("class-balanced", "ldam-drw") and not trial.sets("beta"):
        own = float(f"{1 / (trial.classes.negatives + trial.classes.positives):.4g}")  # None is (n − 1)/n
        rest = trial.suggest_float("one_minus_beta", LEAST_REST, 1.0, log=True, default=own)
        settings["beta"] = None if rest == own else round(1 - rest, 7)
    if loss == "ldam-drw":
        settings["max_margin"] = trial.suggest_float("max_margin", 0.0, 2.0)
        settings["scale"] = trial.suggest_float("scale", 0.5, 30.0, log=True)
        settings["deferred"] = trial.suggest_float("deferred", 0.0, 1.0)
    return settings


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the configuration of as many steps as were best, in proportion to the rows."""
    return at_best_step(config, fitted, more)


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Train the members as one pack; their `STATIC` settings and numbers of features agree."""
    return fit_pack(members, _steps, device, progress)


def _steps(company: Company) -> Steps:
    config, (rows,) = company.configs[0], company.pools
    (draws,), (keep,) = drawn_sides(company, ("",), (config.batch,))
    loss_terms = terms(company.configs, rows.counts, rows.X)
    until = None
    if LOSSES[config.loss].deferred:
        budgets = company.budgets
        until = torch.tensor(
            [int(c.deferred * n) for c, n in zip(company.configs, budgets, strict=True)], device=rows.X.device
        )

    def gradient(parameters: Parameters, step: Step) -> Parameters:
        return loss_gradient(
            parameters, draws.batch(step), loss_terms.at(step, until), keep(step, config.batch)
        )

    return Steps(gradient, [draws], lambda at: _steps(company.of(at)))

"""Meta-Weight-Net as the MetaBalance paper's code has it: the weights it learns are never used.

That code trains on the plain mean of the losses, whatever the weight net says. What is left of the method is that its
meta rows are missing from the training rows: `meta_share` of the rarer class's rows, of each class. So this is
the plain network on fewer rows. What was meant is `bench.methods.meta_weight_net`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from pydantic import Field

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.data.encode import Part
from bench.methods import network
from bench.names import seed_from
from bench.networks.fit import at_best_step

VERSION = 2
COST = network.COST
FAMILY = "networks"
DRAWS_BATCHES = True
STATIC = network.STATIC
ARMS = (
    Arm(
        "meta-weight-net-published",
        "meta-weight-net-as-coded",
        "as in the MetaBalance paper's code, where its weights are learned and not used",
        as_published=True,
    ),
)


class Config(network.Config):
    """The plain network's, and the share of the rarer class that the meta set takes from each class."""

    meta_share: float = Field(default=0.2, gt=0, lt=1)


def space(trial: Trial) -> dict[str, object]:
    """Return the plain network's space."""
    return network.space(trial)


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the configuration of as many steps as were best, in proportion to the rows."""
    return at_best_step(config, fitted, more)


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Train the members as one pack on what the meta set leaves of their rows."""
    left = [replace(member, pools=(_without_meta_rows(member),)) for member in members]
    return network.fit(left, device, progress)


def _without_meta_rows(member: Member) -> Part:
    (part,) = member.pools
    classes = [np.flatnonzero(part.labels == label) for label in (0, 1)]
    count = int(member.config.meta_share * min(map(len, classes)))
    rng = np.random.default_rng(seed_from("meta rows", member.seed))
    taken = np.concatenate([rng.choice(rows, count, replace=False) for rows in classes])
    rest = np.setdiff1d(np.arange(len(part.labels)), taken)
    return Part(part.rows[rest], np.ascontiguousarray(part.X[rest]), part.labels[rest])

"""The share of positives among the training rows, for every row: the floor of every table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from bench.contract import Arm, Fitted, Member, Progress, Trial

VERSION = 1
ARMS = (Arm("prevalence", "prevalence", "the share of positives, for every row"),)


class Config(BaseModel):
    """Nothing to set."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def space(trial: Trial) -> dict[str, object]:
    """Return no settings: there is nothing to tune."""
    return {}


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the same: nothing was chosen on validation rows."""
    return config


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Return constant scorers."""
    return [_fit(float(member.pools[0].labels.mean())) for member in members]


def _fit(share: float) -> Fitted:
    return Fitted(lambda part: np.full(len(part.X), share))

"""The simulator's own P(y=1 | x): the best that any method can do, on simulated sets only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Arm, Fitted, Member, Progress
from bench.data.encode import Part
from bench.errors import BadSetting
from bench.methods.prevalence import Config, space

__all__ = ["VERSION", "Config", "fit", "space"]

VERSION = 1
ARMS = (Arm("bayes-optimal", "bayes-optimal", "the simulator's own P(y=1 | x)", needs_probability=True),)


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Return the known probability as the score; there is nothing to train."""
    return [Fitted(_known) for _ in members]


def _known(part: Part) -> NDArray[np.float64]:
    if part.probability is None:
        raise BadSetting("bayes-optimal needs a simulated data set: nobody knows P(y=1 | x) of a real one.")
    return part.probability

"""What a method is given and what it gives back: one run's settings and rows, and the trained predictor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.encode import Part

Progress = Callable[[int, int], None]  # steps taken, steps at most


@dataclass(frozen=True)
class Member:
    """One run inside a pack: its settings, its seed, and the rows that it may see.

    `pools` are the training rows, one part per entry of the method's `POOLS`, already resampled;
    `valid` is the validation part. The test part is not here: `Fitted.predict` meets it without labels.
    """

    config: Any
    seed: int
    pools: tuple[Part, ...]
    valid: Part


@dataclass(frozen=True)
class Fitted:
    """A trained member: `predict` maps a part to P(y=1), float64 (n,) in [0, 1]; and what it used.

    `steps` are optimiser steps (boosting rounds, solver iterations), `best_step` the one kept,
    `samples_seen` the rows drawn in all steps, `selected` the settings that were chosen on validation.
    """

    predict: Callable[[Part], NDArray[np.float64]]
    steps: int = 0
    best_step: int = 0
    samples_seen: int = 0
    selected: Mapping[str, Any] = field(default_factory=dict)

"""How much memory a member needs, and how many fit a device."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import torch

from bench.contract import SteppedConfig

BLOCK = 64  # on a GPU, members are computed in blocks of this size: its libraries choose paths by the number
SHARE = 0.6  # of a device's free memory that a pack may fill
WEIGHT_COPIES = 8  # of each set of weights alive at once: fast weights, slopes, directions, optimiser's state
ROW_COPIES = 12  # of each row's activations alive at once: inputs, masks, deltas, R-forms
MOST = 8192  # members in a pack


class Sized(Protocol):
    """The settings of a network that decide how much memory it takes."""

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the hidden layers."""

    @property
    def rows_per_step(self) -> int:
        """Rows that a step sees."""

    @property
    def dtype(self) -> str:
        """The name of its numbers' type."""


def member_bytes(config: Sized, n_features: int) -> int:
    """Return an estimate, on the high side, of what one member of a pack takes in a step of torch operations.

    `config` is a network method's; MetaBalance has weights for each of its pairs, Meta-Weight-Net a weight net.
    The rows that members draw from are not in it.
    """
    widths = (n_features, *config.hidden, 1)
    weights = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths))
    pairs = 1 + getattr(config, "pairs", 0)
    units = sum(widths) + getattr(config, "weight_hidden", 0)
    numbers: int = WEIGHT_COPIES * pairs * weights + ROW_COPIES * config.rows_per_step * units
    return numbers * (8 if config.dtype == "float64" else 4)


def fitting_members(config: SteppedConfig, n_features: int, free_bytes: int) -> int:
    """Return how many members of this configuration fit `free_bytes`: whole blocks, and at least one."""
    fitting = int(SHARE * free_bytes) // max(1, config.member_bytes(n_features))
    return max(1, min(MOST, fitting) // config.block) * config.block


def free_bytes(device: str) -> int:
    """Return the free memory of a CUDA device, in bytes."""
    return int(torch.cuda.mem_get_info(torch.device(device))[0])

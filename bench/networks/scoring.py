"""The validation score of members in training: average precision, many at once.

On the CPU a member's rows are scored by plain matrix products and sorted by numpy; on a GPU all members of
one validation part go through one batched product and one sort, and only the scores come back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.encode import Part
from bench.networks.memory import BLOCK
from bench.networks.mlp import forward, logits
from bench.networks.tensors import Parameters
from bench.stats.metrics import average_precision

NO_NUMBER = -1.0  # the score of logits that are not finite: below every average precision
ROWS_AT_ONCE = 2**15  # of a part, for each member


class Scorer:
    """Scores members, by number, on their validation parts; each distinct part is on the device once."""

    def __init__(self, valid: Sequence[Part], like: Tensor) -> None:
        self.part = [id(part) for part in valid]
        self.rows = {id(part): torch.from_numpy(part.X).to(like) for part in valid}
        self.labels = {id(part): part.labels for part in valid}

    def scores(self, parameters: Parameters, at: Sequence[int], members: Sequence[int]) -> list[float]:
        """Return the average precision of each of `members`, whose parameters are at the places `at`.

        A part without rows, of a protocol that does not validate, gives NO_NUMBER.
        """
        if parameters[0].device.type == "cpu":
            return [self._score(parameters, k, self.part[m]) for k, m in zip(at, members, strict=True)]
        by_member: dict[int, float] = {}
        for part in dict.fromkeys(self.part[m] for m in members):
            on_part = [(k, m) for k, m in zip(at, members, strict=True) if self.part[m] == part]
            for first in range(0, len(on_part), BLOCK):
                block = on_part[first : first + BLOCK]
                company = [k for k, _ in block] + [block[0][0]] * (BLOCK - len(block))
                z = batched_logits(parameters, company, self.rows[part])
                scores = batched_scores(z[: len(block)], self.labels[part])
                by_member.update(zip((m for _, m in block), scores, strict=True))
        return [by_member[m] for m in members]

    def _score(self, parameters: Parameters, k: int, part: int) -> float:
        if not len(self.labels[part]):
            return NO_NUMBER
        z = logits(parameters, k, self.rows[part]).numpy()
        return average_precision(self.labels[part], z) if np.isfinite(z).all() else NO_NUMBER


def batched_logits(parameters: Parameters, at: Sequence[int], x: Tensor) -> Tensor:
    """Return the logits (K, n) of the networks at some places on the same rows x (n, in)."""
    chosen = [p[list(at)] for p in parameters]
    chunks = []
    for first in range(0, len(x), ROWS_AT_ONCE):
        rows = x[first : first + ROWS_AT_ONCE]
        chunks.append(forward(chosen, rows.expand(len(at), *rows.shape)).logits)
    return torch.cat(chunks, 1)


def batched_scores(z: Tensor, y: NDArray[np.int8]) -> list[float]:
    """Return the average precision of each of K scorings z (K, n) of the same rows, as `average_precision`.

    A scoring that is not finite has −1.
    """
    if not len(y):
        return [NO_NUMBER] * len(z)
    positive = torch.from_numpy(np.flatnonzero(y)).to(z.device)
    all_rows, positives = z.sort(dim=1).values, z[:, positive].sort(dim=1).values
    hits = len(positive) - torch.searchsorted(positives, positives)
    above = z.shape[1] - torch.searchsorted(all_rows, positives)
    precision = (hits.double() / above.double()).mean(1)
    return torch.where(z.isfinite().all(1), precision, NO_NUMBER).tolist()

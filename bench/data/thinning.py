"""Splits whose training rows are thinned to a prevalence, so that only the imbalance differs: the test part stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.data.split import RowIds, Split
from bench.data.table import Table
from bench.errors import BadTable
from bench.names import seed_from

LEAST_TRAIN, LEAST_VALID = 5, 2  # rows of the rarer class, below which nothing is to be learned or chosen


def thinned(split: Split, table: Table, prevalence: float) -> Split:
    """Return the split with so few positives, or negatives, to train and validate on that they have this prevalence.

    Rows are left out at random, and of two prevalences the more extreme one leaves out what the other does, and more.
    The test part is as it was. Raises BadTable, with the prevalences that work, where too few rows are left.
    """
    train, valid = (
        _thinned(getattr(split, part), table.y, prevalence, seed_from("thin", part, split.repeat, split.fold))
        for part in ("train", "valid")
    )
    for part, rows, least in (("training", train, LEAST_TRAIN), ("validation", valid, LEAST_VALID)):
        rare = int(np.bincount(table.y[rows], minlength=2).min())
        if rare < least:
            raise BadTable(
                f"At a prevalence of {prevalence:g} the {part} part of fold {split.repeat}.{split.fold} of "
                f"{table.name!r} keeps {rare} rows of the rarer class; {least} are needed. {_range(split, table)}"
            )
    return replace(split, train=train, valid=valid)


def _thinned(rows: RowIds, y: NDArray[np.int8], prevalence: float, seed: int) -> RowIds:
    """Return the rows, sorted, less some of one class, so that the positives' share is nearest to the prevalence."""
    positives, negatives = (
        np.random.default_rng(seed).permutation(rows[y[rows] == label]) for label in (1, 0)
    )
    wanted = len(negatives) * prevalence / (1 - prevalence)
    if wanted <= len(positives):
        positives = positives[: round(wanted)]
    else:
        negatives = negatives[: round(len(positives) * (1 - prevalence) / prevalence)]
    return np.sort(np.concatenate([positives, negatives]))


def _range(split: Split, table: Table) -> str:
    """Return in words which prevalences the split can be thinned to."""
    lowest, highest = 0.0, 1.0
    for rows, least in ((split.train, LEAST_TRAIN), (split.valid, LEAST_VALID)):
        negatives, positives = np.bincount(table.y[rows], minlength=2)
        lowest = max(lowest, least / (least + negatives))
        highest = min(highest, positives / (positives + least))
    if lowest >= highest:
        return "It is too small to be thinned."
    return f"Prevalences from {_up(lowest)} on work."


def _up(share: float) -> str:
    """Return a share with two digits that is not below it."""
    digits = 1 - int(np.floor(np.log10(share)))
    return f"{np.ceil(share * 10.0**digits) / 10.0**digits:g}"

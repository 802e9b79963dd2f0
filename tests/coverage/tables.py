"""Simulated tables: metrics of two arms on folds of scored rows, and on resamples of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.names import REPEAT
from bench.stats.bootstrap import Replicates, row_weights
from bench.stats.metrics import measure_ranked
from bench.stats.ranking import rank
from bench.stats.sums import Floats

NAMES = ("average_precision", "roc_auc")
FOLDS, RESAMPLES = 5, 2000  # resamples in all folds together
NEGATIVES = 9  # for each positive
SIGNAL, OWN, MODEL = 1.5, 0.5, 0.25  # a positive's shift; noise of an arm on a row, and of each of its models


@dataclass(frozen=True)
class Design:
    """So many positives in a table, which is split into five folds so many times."""

    positives: int
    repeats: int

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Fold and seed of each run, as in records."""
        return tuple((r * REPEAT + f, 0) for r in range(self.repeats) for f in range(FOLDS))


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is measured of a table's two arms: on the test rows of J folds, and what R resamples of these add."""

    points: Floats  # (arm, fold, metric)
    noise: Floats  # (arm, fold, metric, R)


def draw(design: Design, number: int, *, resamples: int = RESAMPLES) -> Drawn:
    """Return the table of that number; with few `resamples` the same rows and scores."""
    rng = np.random.default_rng([11, design.positives, design.repeats, number])
    n = design.positives * (1 + NEGATIVES)
    y = np.arange(n) < design.positives
    signal = rng.normal(size=n) + SIGNAL * y + OWN * rng.normal(size=(2, n))
    count = resamples // (design.repeats * FOLDS)
    points, noise = [], []
    for place, rows in enumerate(_folds(design, y, rng)):
        scores = signal[:, rows] + MODEL * rng.normal(size=(2, len(rows)))
        weights = row_weights(
            y[rows], count, int(np.random.SeedSequence([number, place]).generate_state(1)[0])
        )
        weights = np.concatenate((np.ones((1, len(rows)), np.uint8), weights))
        measured = np.array([_measured(y[rows], score, weights) for score in scores])
        points.append(measured[..., 0])
        noise.append(measured[..., 1:] - measured[..., :1])
    return Drawn(np.stack(points, axis=1), np.stack(noise, axis=1))


def _folds(design: Design, y: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    folds = []
    for _ in range(design.repeats):
        fold = np.concatenate([rng.permutation(np.arange(n) % FOLDS) for n in (y.sum(), len(y) - y.sum())])
        folds += [np.flatnonzero(fold == i) for i in range(FOLDS)]
    return folds


def _measured(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> list[Floats]:
    by_name = measure_ranked(rank(y, 1 / (1 + np.exp(-score))), weights, names=NAMES)
    return [by_name[name] for name in NAMES]


def replicates(design: Design, points: Floats, noise: Floats, name: str) -> Replicates:
    """Return one metric's points (J,) and noise (J, R) as what is measured of an arm."""
    runs = design.runs
    values = points[:, None] + noise
    return Replicates(runs, {name: points}, {name: values}, {fold: "" for fold, _ in runs})

"""One published MetaBalance run on the loan set, from end to end: the authors' way beside the engine.

The paper's final choice: inner SVMSMOTE, outer random under-sampling, learning rate 0.02, 100 epochs of the
outer rows. The scaler sees the test rows, as published; there is no validation part, and the engine, which
wants one, scores a few rows once at its end. Sampling is left out of both times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from bench.contract import Member
from bench.data.cards import card
from bench.data.encode import Part
from bench.data.table import load
from bench.methods import method
from tests.speed import engine, peers
from tests.speed.measure import Effort, Tell, Timing
from tests.speed.nets import META, Net
from tests.speed.rows import Row, timed

EPOCHS, QUICK_EPOCHS = 100, 3  # of the outer rows
TEST_SHARE = 0.2
HIDDEN = (25,)
AUTHORS, OURS, OURS_FIRST = "authors' way", "bench", "bench, first order"
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Loans:
    """The published protocol's rows, resampled once; the test rows have no labels in the part."""

    title: str
    inner: Part
    outer: Part
    test: Part
    y_test: NDArray[np.int8]

    @property
    def net(self) -> Net:
        """The paper's network, for as many features as there are."""
        return Net("loan", self.test.X.shape[1], HIDDEN, len(self.inner.X))


def loans(file: Path | None) -> Loans:
    """Return the published split and samples of the real file, or of simulated loans under a title that says so."""
    from imblearn.over_sampling import SVMSMOTE
    from imblearn.under_sampling import RandomUnderSampler
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    table = load(card("loan"), data_file=file) if file else load(card("loan-sim"))
    numeric = table.X[table.numeric]
    X = StandardScaler().fit_transform(numeric.fillna(numeric.median())).astype(np.float32)
    X_train, X_test, y_train, y_test = train_test_split(X, table.y, test_size=TEST_SHARE, random_state=0)

    def resampled(sampler: Any) -> Part:
        made, y = sampler.fit_resample(X_train, y_train)
        return Part(np.full(len(y), -1), np.ascontiguousarray(made, np.float32), y.astype(np.int8))

    return Loans(
        "the loan set" if file else "loan-sim, no real loans",
        resampled(SVMSMOTE(random_state=0)),
        resampled(RandomUnderSampler(random_state=0)),
        Part(np.arange(len(X_test)), X_test, None),
        y_test,
    )


def end_to_end(data: Loans, effort: Effort, tell: Tell) -> list[Row]:
    """Return the seconds of one run, training and scores of the test rows, and the ROC-AUC they come to."""
    epochs = QUICK_EPOCHS if effort.quick else EPOCHS
    updates = updates_of(data, epochs)
    tell(f"  {data.title}: {updates} updates, {len(data.inner.X)} inner and {len(data.outer.X)} outer rows")
    runs: dict[str, Callable[[int], Scores]] = {
        AUTHORS: lambda seed: theirs(data, epochs, seed),
        OURS: lambda seed: ours(data, updates, seed, order=2),
        OURS_FIRST: lambda seed: ours(data, updates, seed, order=1),
    }
    ours(data, 1, 0, order=2)  # what is compiled or imported at first use is there
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    found: dict[str, list[Scores]] = {name: [] for name in runs}
    for seed in range(effort.rounds):
        tell(f"  round {seed + 1} of {effort.rounds}")
        for name, run in runs.items():
            taken, scored = effort.time(run, seed)
            seconds[name].append(taken)
            found[name].append(scored)
    timings = {name: Timing(tuple(s), tuple(s)) for name, s in seconds.items()}
    rows = []
    for name, order in zip(runs, (1, 2, 1), strict=True):
        note = f"test ROC-AUC {mean(roc_auc(data, s) for s in found[name]):.4f}, {effort.rounds} seeds"
        row = Row("end-to-end", data.net.title, f"{name}, on {data.title}", order=order, note=note)
        if name == AUTHORS:
            rows.append(timed(row, timings[name]))
        else:
            rows.append(timed(replace(row, engine=True), timings[name], {AUTHORS: timings[AUTHORS]}))
    return rows


def updates_of(data: Loans, epochs: int) -> int:
    """Return how many updates the outer epochs come to: left-over pairs are carried on, the last dropped."""
    return epochs * math.ceil(len(data.outer.X) / META.outer) // META.pairs


def ours(data: Loans, updates: int, seed: int, *, order: int) -> Scores:
    """Return P(y=1) of the test rows by the engine."""
    chosen = engine.config("metabalance", data.net, updates, engine.meta_settings(order))
    few = np.linspace(0, len(data.outer.X) - 1, engine.VALID_ROWS).astype(int)
    valid = Part(data.outer.rows[few], data.outer.X[few], data.outer.labels[few])
    member = Member(chosen, seed, (data.inner, data.outer), valid)
    (fitted,) = method("metabalance").fit([member], engine.CPU, engine.quiet)
    scored: Scores = fitted.predict(data.test)
    return scored


def theirs(data: Loans, epochs: int, seed: int) -> Scores:
    """Return P(y=1) of the test rows, the authors' way."""
    torch.manual_seed(seed)
    net = peers.network(data.net.sizes)
    inner, outer = (
        TensorDataset(torch.from_numpy(part.X), torch.from_numpy(part.labels).float().unsqueeze(1))
        for part in (data.inner, data.outer)
    )
    peers.authors_training(net, inner, outer, epochs=epochs)
    with torch.inference_mode():
        scored: Scores = net(torch.from_numpy(data.test.X)).squeeze(1).double().sigmoid().numpy()
    return scored


def roc_auc(data: Loans, scored: Scores) -> float:
    """Return the area under the ROC curve of the test rows."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(data.y_test, scored))

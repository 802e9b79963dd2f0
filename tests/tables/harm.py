"""What a wrong reading costs: tables of fixed seeds, trained on by every checkout, five folds each.

Of each table the right figure is known: that of chance, of an honest split, or of the same table with nothing to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.tables.checkouts import answers
from tests.tables.rows import customers, noise, scorecard

ARMS = ("xgboost", "logistic-regression")
SEEDS = 2
ROWS = 6000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """A table as its owner has it, the options of an older and of this checkout, and the same with nothing to read."""

    point: str
    said: str
    metric: str
    table: Callable[[], pd.DataFrame]
    older: Mapping[str, object] = field(default_factory=dict)
    newer: Mapping[str, object] = field(default_factory=dict)
    ready: Callable[[], pd.DataFrame] | None = None
    sep: str = ","


def credit(column: Floats, signal: Floats) -> pd.DataFrame:
    """Return borrowers with a column `c`, whose label hangs mostly on `signal`."""
    rng = np.random.default_rng(8)
    X = pd.DataFrame(rng.normal(size=(ROWS, 3)).round(4), columns=list("xwz"))
    log_odds = -3.2 + 1.5 * (signal - signal.mean()) / signal.std() + 0.3 * X["x"]
    label = (rng.random(ROWS) < 1 / (1 + np.exp(-log_odds))).astype(int)
    return X.assign(c=column, y=label)


def utilisation() -> pd.DataFrame:
    """Return borrowers by the share of their credit lines that they use, with one decimal: about 1,000 values."""
    use = np.round(100 * np.random.default_rng(9).beta(1.3, 2, ROWS), 1)
    return credit(use, use)


def as_percent() -> pd.DataFrame:
    """Return the same, written like 10.6%."""
    table = utilisation()
    return table.assign(c=table["c"].map("{:.1f}%".format))


def incomes() -> pd.DataFrame:
    """Return borrowers by an income of some hundreds to a hundred thousand."""
    income = np.round(np.exp(np.random.default_rng(10).normal(7, 1.4, ROWS))).clip(50, 99_999)
    return credit(income, -np.log(income))


def in_german() -> pd.DataFrame:
    """Return the same, written like 1.234, with commas as decimal marks elsewhere."""
    table = incomes()
    euros = table["c"].map(lambda value: f"{value:,.0f}".replace(",", "."))
    others = {
        name: table[name].map(lambda value: f"{value:.4f}".replace(".", ",")) for name in ("x", "w", "z")
    }
    return table.assign(c=euros, **others)


def merchants() -> pd.DataFrame:
    """Return 20,000 payments at 5,800 merchants, some of which many frauds go through."""
    rng = np.random.default_rng(11)
    n_rows, n_merchants = 20_000, 5_800
    weight = 1 / np.arange(1, n_merchants + 1) ** 0.6
    where = rng.choice(n_merchants, n_rows, p=weight / weight.sum())
    risk = rng.permutation(rng.normal(0, 1.5, n_merchants))
    amount = rng.normal(size=n_rows)
    log_odds = -4.2 + risk[where] + 0.4 * amount
    label = (rng.random(n_rows) < 1 / (1 + np.exp(-log_odds))).astype(int)
    return pd.DataFrame({"merchant": [f"m{i:04}" for i in where], "amount": amount, "y": label})


def with_huge(value: float, n: int) -> Callable[[], pd.DataFrame]:
    """Return what makes the borrowers by use, `n` of them with this value."""

    def make() -> pd.DataFrame:
        table = utilisation()
        rows = np.random.default_rng(12).choice(ROWS, n, replace=False)
        return table.assign(c=table["c"].where(~table.index.isin(rows), value))

    return make


AUC, AP = "roc_auc", "average_precision"
WHO = {"drop": ("customer",)}
TRIALS = (
    Trial("A1", "noise of 81 combinations (chance is .5)", AUC, noise),
    Trial("A1", "a scorecard of 81 combinations (its points: .648)", AUC, scorecard),
    Trial(
        "A2",
        "600 customers of ten rows each, --entity (chance is .063)",
        AP,
        customers,
        WHO,
        {"entity": "customer"},
    ),
    Trial("B4", "utilisation as `10.6%`", AP, as_percent, ready=utilisation),
    Trial("B4", "incomes as `1.234`, with semicolons", AP, in_german, ready=incomes, sep=";"),
    Trial(
        "B6",
        "5,800 merchants, --high-cardinality target",
        AP,
        merchants,
        newer={"high_cardinality": "target"},
    ),
    Trial("B8", "one use of 9999999999", AP, with_huge(9999999999.0, 1), ready=utilisation),
    Trial("B8", "three uses of 1e200", AP, with_huge(1e200, 3), ready=utilisation),
)


def measured(checkouts: Sequence[Path], folder: Path, points: Sequence[str] = ()) -> str:
    """Train on every table with every checkout; return the figures as a table in Markdown."""
    trials = [trial for trial in TRIALS if not points or trial.point in points]
    jobs = [_job(trial, folder, i) for i, trial in enumerate(trials)]
    figures: list[list[dict[str, Any]]] = []
    for checkout in checkouts:
        is_last = checkout == checkouts[-1]
        given = [
            job
            | {
                "options": {**(trial.newer if is_last else trial.older), "arms": ARMS},
                "results": str(folder / checkout.name),
            }
            for trial, job in zip(trials, jobs, strict=True)
        ]
        figures.append(list(answers(checkout, given, folder, train=True)))
    ready = [
        _job(trial, folder, i, ready=True) | {"results": str(folder / "ready")}
        for i, trial in enumerate(trials)
        if trial.ready
    ]
    figures.append(_beside(trials, answers(checkouts[-1], ready, folder, train=True)))
    heads = [*("before", "now")[-len(checkouts) :], "nothing to read"]
    return _text(trials, heads, figures)


def _job(trial: Trial, folder: Path, i: int, *, ready: bool = False) -> dict[str, Any]:
    """Return the job of a trial, its table written."""
    table = trial.ready() if ready and trial.ready else trial.table()
    path = folder / f"t{i}{'-ready' if ready else ''}.csv"
    table.to_csv(path, index=False, sep="," if ready else trial.sep)
    return {
        "file": str(path),
        "given_as": "file",
        "options": {"arms": ARMS},
        "seeds": SEEDS,
        "metric": trial.metric,
    }


def _beside(trials: Sequence[Trial], trained: Any) -> list[dict[str, Any]]:
    """Return the figures of the tables with nothing to read, each beside its trial."""
    return [next(trained) if trial.ready else {"kind": "none", "message": "–"} for trial in trials]


def _text(
    trials: Sequence[Trial], heads: Sequence[str], figures: Sequence[Sequence[Mapping[str, Any]]]
) -> str:
    lines = [
        "| " + " | ".join(["point", "table", "metric", "arm", *heads]) + " |",
        "|---" * (4 + len(heads)) + "|",
    ]
    for i, trial in enumerate(trials):
        for arm in ARMS:
            cells = [_cell(each[i], arm) for each in figures]
            lines.append("| " + " | ".join([trial.point, trial.said, trial.metric, arm, *cells]) + " |")
    return "\n".join([*lines, ""])


def _cell(outcome: Mapping[str, Any], arm: str) -> str:
    """Return a mean and its interval, or why there is none."""
    if outcome["kind"] != "trained":
        return str(outcome["message"])[:90]
    if np.isnan(outcome["figures"][arm][0]):
        return "all runs failed"
    mean, low, high = (f"{value:.3f}".replace("0.", ".", 1) for value in outcome["figures"][arm])
    return f"{mean} [{low}, {high}]"

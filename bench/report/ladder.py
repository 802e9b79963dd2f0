"""The ladder from `published` to `strict`: what each repair does to every arm, and to the ranking.

Every rung is one fault less. From the second rung on all rungs judge the same runs on the same test rows, so that a
change is paired; the first rung has a test part of its own, and its noise adds to the first change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.cards import Dataset
from bench.compare import Difference, difference, difference_of_means, summarise
from bench.published import rungs
from bench.replicates import Replicates
from bench.report.records import Measured
from bench.report.tables import interval, markdown_table, number
from bench.splits import REPAIRS

METRIC = "roc_auc"  # the paper's


def ladder(tables: Mapping[str, Measured], card: Dataset) -> pd.DataFrame:
    """Return one row per rung and arm, of the rungs among a data set's `tables` by protocol, in the ladder's order.

    Columns: rung (the protocol), repair (what it adds), arm, n_runs, n_failed; roc_auc_mean, _lo, _hi; rank among the
    rung's arms; change_mean, _lo, _hi, _p against the last rung before it that has the arm, and whether it is paired;
    steps, samples_seen, means per run.
    """
    rows: list[dict[str, Any]] = []
    before: dict[str, Replicates] = {}
    for rung in filter(tables.get, rungs(card)):
        good = tables[rung].replicates
        found = [
            _row(rung, arm, reps, before.get(arm)) | tables[rung].cost(arm) for arm, reps in good.items()
        ]
        for place, row in enumerate(sorted(found, key=lambda row: -row[f"{METRIC}_mean"]), 1):
            rows.append(row | {"rank": place})
        before |= good
    return pd.DataFrame(rows)


def _row(rung: str, arm: str, now: Replicates, before: Replicates | None) -> dict[str, Any]:
    summary = summarise(now, [METRIC])[METRIC]
    change = None if before is None else _change(now, before)
    return {
        "rung": rung,
        "repair": rung if rung in ("published", "strict") else rung.rpartition("+")[2],
        "arm": arm,
        f"{METRIC}_mean": summary.mean,
        f"{METRIC}_lo": summary.lo,
        f"{METRIC}_hi": summary.hi,
        "change_mean": change and change.mean,
        "change_lo": change and change.lo,
        "change_hi": change and change.hi,
        "change_p": change and change.p_value,
        "paired": None if change is None else change.n_pairs > 0,
    }


def _change(now: Replicates, before: Replicates) -> Difference:
    if now.resamples == before.resamples and set(now.runs) & set(before.runs):
        return difference(now, before, METRIC)
    return difference_of_means(now, before, METRIC)


def markdown(board: pd.DataFrame, dataset: str) -> str:
    """Return the ladder as two tables: where every arm stands on each rung, and what each rung changed."""
    repairs, arms = (list(dict.fromkeys(board[name])) for name in ("repair", "arm"))
    cell = {(row["arm"], row["repair"]): row for _, row in board.iterrows()}
    lines = [f"# {dataset}: from published to strict, one repair at a time", "", caption(board), ""]
    lines += [
        "## ROC-AUC, and rank on the rung",
        "",
        *_table(arms, repairs, lambda a, r: _place(cell.get((a, r)))),
    ]
    lines += [
        "",
        "## Change by the rung",
        "",
        *_table(arms, repairs[1:], lambda a, r: _moved(cell.get((a, r)))),
    ]
    lines += ["", "## The rungs", "", *(f"* {name}: {_words(name)}" for name in repairs)]
    return "\n".join(lines) + "\n"


def caption(board: pd.DataFrame) -> str:
    """Return the line that the ladder must not be read without."""
    counts = sorted(set(board["n_runs"]))
    return (
        "Means over runs with 95 % intervals (two-level bootstrap over runs and test rows); each column adds one "
        "repair to those before it. Changes are paired by fold, seed and test row, but the first: its rungs are judged "
        f"on other test parts. Runs per arm: {', '.join(map(str, counts))}; failed runs: {board['n_failed'].sum()}."
    )


def _words(repair: str) -> str:
    return {
        "published": "the paper's code, faults included",
        "strict": "the suite's own network, optimiser, features and settings, with all repairs",
    }.get(repair) or REPAIRS[repair]


def _table(arms: Sequence[str], repairs: Sequence[str], cell: Any) -> list[str]:
    return markdown_table(
        ["arm", *repairs], [[arm, *(cell(arm, repair) for repair in repairs)] for arm in arms]
    )


def _place(row: Any) -> str:
    if row is None:
        return "–"
    return f"{interval(row[f'{METRIC}_mean'], row[f'{METRIC}_lo'], row[f'{METRIC}_hi'])} ({row['rank']})"


def _moved(row: Any) -> str:
    if row is None or pd.isna(row["change_mean"]):
        return "–"
    sure = row["change_lo"] > 0 or row["change_hi"] < 0
    text = interval(row["change_mean"], row["change_lo"], row["change_hi"], sign=True)
    return f"**{text}**" if sure else text


def terminal_rows(board: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells for a terminal: by arm the ROC-AUC and rank on every rung."""
    repairs, arms = (list(dict.fromkeys(board[name])) for name in ("repair", "arm"))
    cell = {(row["arm"], row["repair"]): row for _, row in board.iterrows()}

    def short(row: Any) -> str:
        return "–" if row is None else f"{number(row[f'{METRIC}_mean'])} ({row['rank']})"

    return ["arm", *repairs], [[arm, *(short(cell.get((arm, r))) for r in repairs)] for arm in arms]

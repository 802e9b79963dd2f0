"""One data set under `published` and under `strict`, arm by arm: what the correction of the protocol changes.

The two protocols judge other runs on other test rows, so the difference is that of two means, with the noise of
both. The arms are those that ran under both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from bench.paper.alpha import PAPER_METRICS
from bench.report import render
from bench.report.render import INTERVALS, count, interval, latex_table, markdown_table, printed
from bench.report.selection import Measured
from bench.stats.inference import difference_of_means, summarise

SIDES = ("published", "strict")


def are_of_paper(protocols: Iterable[str]) -> bool:
    """Return whether one of the protocols is the paper's, repaired or not."""
    return any(protocol.partition("+")[0] == SIDES[0] for protocol in protocols)


def sides(tables: Mapping[str, Measured]) -> pd.DataFrame:
    """Return one row per arm that ran under both protocols, ordered by its rank under `strict`.

    `tables` are a data set's, by protocol. Columns: arm; for each protocol and metric
    `<protocol>_<metric>_mean, _lo, _hi` and `_rank`; `<metric>_change_mean, _lo, _hi`; for each
    protocol `_steps, _samples_seen, _n_runs, _n_failed`. Empty where either protocol has no records.
    """
    if any(protocol not in tables for protocol in SIDES):
        return pd.DataFrame()
    published, strict = (tables[protocol].records for protocol in SIDES)
    shared = [arm for arm in strict if arm in published]
    board = pd.DataFrame([_row(arm, tables) for arm in shared])
    for protocol in SIDES if shared else ():
        for metric in PAPER_METRICS:
            board[f"{protocol}_{metric}_rank"] = board["arm"].map(tables[protocol].ranks(metric, shared))
    return board.sort_values(["strict_roc_auc_rank", "arm"], ignore_index=True) if shared else board


def _row(arm: str, tables: Mapping[str, Measured]) -> dict[str, object]:
    row: dict[str, object] = {"arm": arm}
    reps = {protocol: tables[protocol].replicates.get(arm) for protocol in SIDES}
    for protocol, its_reps in reps.items():
        summary = summarise(its_reps, PAPER_METRICS) if its_reps else {}
        for metric in PAPER_METRICS:
            for field in ("mean", "lo", "hi"):
                row[f"{protocol}_{metric}_{field}"] = getattr(summary.get(metric), field, float("nan"))
        row |= {f"{protocol}_{name}": value for name, value in tables[protocol].cost(arm).items()}
    published, strict = reps.values()
    for metric in PAPER_METRICS:
        change = difference_of_means(strict, published, metric) if strict and published else None
        for field in ("mean", "lo", "hi"):
            row[f"{metric}_change_{field}"] = getattr(change, field, float("nan"))
    return row


def headings() -> list[str]:
    """Return the table's column headings."""
    per_metric = [
        words
        for metric in PAPER_METRICS
        for words in (
            f"{printed(metric)} published",
            "rank",
            f"{printed(metric)} strict",
            "rank",
            f"Δ {printed(metric)}",
        )
    ]
    return ["arm", *per_metric, "updates", "rows seen", "runs", "failed"]


def cells(board: pd.DataFrame) -> list[list[str]]:
    """Return the table's cells as text, row by row; what stands twice is of published, then of strict."""
    rows = []
    for _, row in board.iterrows():
        texts = [str(row["arm"])]
        for metric in PAPER_METRICS:
            for protocol in SIDES:
                name = f"{protocol}_{metric}"
                texts.append(interval(row[f"{name}_mean"], row[f"{name}_lo"], row[f"{name}_hi"]))
                texts.append(str(row[f"{name}_rank"]))
            change = (row[f"{metric}_change_{field}"] for field in ("mean", "lo", "hi"))
            texts.append(interval(*change, sign=True))
        costs = ("steps", "samples_seen", "n_runs", "n_failed")
        texts += [" / ".join(count(row[f"{protocol}_{name}"]) for protocol in SIDES) for name in costs]
        rows.append(texts)
    return rows


def caption(dataset: str) -> str:
    """Return the line that the table must not be read without."""
    return (
        f"{dataset} as published and corrected: means over runs with {INTERVALS}; those of one fold are of its seeds "
        "and test rows, by the bootstrap; ranks are among the arms shown, those with failed runs last; Δ is strict "
        "less published, on other runs and test rows, so that the noise of both is in it, conditional on the "
        "trained models. Updates, rows seen, runs and failures: published / strict."
    )


def markdown(board: pd.DataFrame, dataset: str) -> str:
    """Return the table as a Markdown page."""
    title = f"# {dataset}: as published, and corrected"
    return "\n".join([title, "", caption(dataset), "", *markdown_table(headings(), cells(board))]) + "\n"


def as_csv(board: pd.DataFrame, dataset: str) -> str:
    """Return every column and digit as CSV."""
    return render.as_csv(board.assign(dataset=dataset))


def latex(board: pd.DataFrame, dataset: str) -> str:
    """Return the table as a LaTeX table for the booktabs package."""
    return latex_table(headings(), cells(board), caption(dataset), "l")


WRITERS: Mapping[str, Callable[[pd.DataFrame, str], str]] = {"md": markdown, "tex": latex, "csv": as_csv}

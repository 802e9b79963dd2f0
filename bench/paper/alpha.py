"""What MetaBalance's meta step does: its inner learning rate α from 0 upwards, first and second order, paired.

At α = 0 nothing is looked ahead to and both orders are the same training; what an arm of the matrix `alpha` gains over
that arm of its pair of samplers is the meta step's work, on the same rows, folds and seeds.
"""

from __future__ import annotations

import pandas as pd

from bench.arms.matrices import ALPHA
from bench.report.render import INTERVALS, ONE_FOLD, interval, markdown_table, marked_delta
from bench.report.selection import Measured
from bench.stats.corrected import paired
from bench.stats.inference import comparable, holm, summarise

PAPER_METRICS = ("roc_auc", "average_precision")


def alpha(table: Measured) -> pd.DataFrame:
    """Return one row per arm of the matrix `alpha` whose pair of samplers also ran at α = 0.

    Columns: pair (inner/outer), order, inner_lr, steps, samples_seen, n_runs, n_failed; per metric of PAPER_METRICS
    `<metric>_mean, _lo, _hi`, the paired `<metric>_change_…` (`stats.corrected.paired_columns`) against α = 0 (missing
    at α = 0) and `_p_holm`, adjusted for all rows. Empty where there is no such arm.
    """
    reps = table.replicates
    base = {pair: name for name, (pair, _, rate) in ALPHA.items() if rate == 0 and name in reps}
    rows = []
    for name, (pair, order, rate) in ALPHA.items():
        if name not in reps or pair not in base or not comparable(reps[name], reps[base[pair]]):
            continue
        row: dict[str, object] = {"pair": pair, "order": order, "inner_lr": float(rate), **table.cost(name)}
        summary = summarise(reps[name], PAPER_METRICS)
        for metric in PAPER_METRICS:
            row |= {f"{metric}_{field}": getattr(summary[metric], field) for field in ("mean", "lo", "hi")}
            if rate:
                change = paired(reps[name], reps[base[pair]], metric, table.test_to_train)
                row |= change.columns(f"{metric}_change")
        rows.append(row)
    board = pd.DataFrame(rows)
    for metric in PAPER_METRICS if f"{PAPER_METRICS[0]}_change_p" in board else ():
        board[f"{metric}_change_p_holm"] = holm(board[f"{metric}_change_p"].astype(float).tolist())
    return board if len(board.columns) and board["inner_lr"].any() else board.iloc[:0]


def caption(dataset: str, protocol: str, board: pd.DataFrame) -> str:
    """Return the line that the tables must not be read without."""
    one_fold = "" if board[f"{PAPER_METRICS[0]}_change_p"].notna().any() else f" {ONE_FOLD}"
    return (
        f"{dataset}, protocol {protocol}: MetaBalance's inner rate α by inner/outer sampler and order. At α = 0 the "
        f"mean over runs with {INTERVALS}, beside it the paired change against it on the same runs and rows, by the "
        "corrected t over folds (Nadeau and Bengio); bold: its interval is clear of 0; †: p < .05 after Holm's "
        "adjustment for all cells of the table, and the bootstrap's interval conditional on the trained models is on "
        f"the same side of 0.{one_fold} Runs per cell: {board['n_runs'].min()} to {board['n_runs'].max()}; "
        f"failed runs: {board['n_failed'].sum()}."
    )


def markdown(board: pd.DataFrame, dataset: str, protocol: str) -> str:
    """Return the sweep as one Markdown table per metric: pairs and orders by α."""
    lines = [f"# {dataset}, {protocol}: MetaBalance's inner rate", "", caption(dataset, protocol, board)]
    for metric in PAPER_METRICS:
        lines += ["", f"## {metric.replace('_', ' ')}", "", *_table(board, metric)]
    return "\n".join(lines) + "\n"


def _table(board: pd.DataFrame, metric: str) -> list[str]:
    rates = [rate for rate in sorted(set(board["inner_lr"])) if rate]
    rows = []
    for pair, of_pair in board.groupby("pair", sort=False):
        start = of_pair[of_pair["inner_lr"] == 0].iloc[0]
        start_text = interval(*(start[f"{metric}_{field}"] for field in ("mean", "lo", "hi")))
        for order, of_order in of_pair[of_pair["inner_lr"] > 0].groupby("order"):
            cells = {
                row["inner_lr"]: marked_delta(row, f"{metric}_change", digits=4)
                for _, row in of_order.iterrows()
            }
            rows.append([str(pair), str(order), start_text, *(cells.get(rate, "–") for rate in rates)])
    return markdown_table(["inner/outer", "order", "α = 0", *(f"α = {rate:g}" for rate in rates)], rows)

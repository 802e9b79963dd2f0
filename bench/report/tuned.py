"""Every arm at its defaults beside the same arm tuned, on the same test rows and runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.arms.spelling import parse
from bench.names import ANYWAY
from bench.report.render import (
    INTERVALS,
    ONE_FOLD,
    chance,
    conditional,
    count,
    delta,
    interval,
    markdown_table,
    printed,
)
from bench.report.selection import Measured
from bench.stats.corrected import paired, paired_columns
from bench.stats.inference import comparable, holm, summarise
from bench.tuning.configurations import efforts, read_tuned

TUNED_METRICS = ("average_precision", "roc_auc")
_ENDS = ("mean", "lo", "hi")


def tuned(table: Measured) -> pd.DataFrame:
    """Return one row per tuned arm, the best first; empty where no arm is tuned.

    Columns: arm, marked (tuned on other rows than it trains on), rank among the tuned; for each metric
    `<metric>_default_mean, _lo, _hi`, `<metric>_tuned_…`, the paired `<metric>_change_…`
    (`stats.corrected.paired_columns`), and `_p_holm` over the arms; n_runs, n_failed of the tuned arm, n_pairs of the
    change. What the default has no runs for is NaN.
    """
    spellings = {arm: parse(arm) for arm in table.records}
    names = {arm: spelling.plain for arm, spelling in spellings.items() if spelling.mark}
    board = pd.DataFrame([_row(table, arm, plain) for arm, plain in names.items()])
    if board.empty:
        return board
    ranks = table.ranks(TUNED_METRICS[0], names)
    board["rank"] = [ranks[arm] for arm in names]
    for metric in TUNED_METRICS:
        board[f"{metric}_change_p_holm"] = holm(board[f"{metric}_change_p"].astype(float).tolist())
    return board.sort_values("rank", ignore_index=True)


def beside(board: Path) -> Path:
    """Return where the table belongs whose arms stand in the leaderboard at `board`."""
    return board.with_name(f"{board.stem}-tuned.parquet")


def _row(table: Measured, arm: str, plain: str) -> dict[str, object]:
    row: dict[str, object] = {"arm": plain, "marked": parse(arm).mark == ANYWAY}
    after, before = table.replicates.get(arm), table.replicates.get(plain)
    n_pairs = 0
    for metric in TUNED_METRICS:
        for name, reps in (("default", before), ("tuned", after)):
            summary = summarise(reps, (metric,))[metric] if reps else None
            row |= {f"{metric}_{name}_{end}": getattr(summary, end, float("nan")) for end in _ENDS}
        row |= dict.fromkeys(paired_columns(f"{metric}_change"), float("nan"))
        if after is not None and before is not None and comparable(after, before):
            change = paired(after, before, metric, table.test_to_train)
            row |= change.columns(f"{metric}_change")
            n_pairs = change.conditional.n_pairs
    row["n_pairs"] = n_pairs
    cost = table.cost(arm)
    return row | {name: cost[name] for name in ("n_runs", "n_failed")}


def headings() -> list[str]:
    """Return the table's column headings."""
    words = ("default", "tuned", "change", "given the models", "p Holm")
    per_metric = [f"{printed(metric)} {word}" for metric in TUNED_METRICS for word in words]
    return ["rank", "arm", *per_metric, "runs", "failed"]


def cells(board: pd.DataFrame) -> list[list[str]]:
    """Return the table's cells as text, row by row."""
    rows = []
    for _, row in board.iterrows():
        texts = [str(row["rank"]), f"{row['arm']}{' (tuned on other rows)' if row['marked'] else ''}"]
        for metric in TUNED_METRICS:
            texts += [
                interval(*(row[f"{metric}_{name}_{end}"] for end in _ENDS)) for name in ("default", "tuned")
            ]
            change = f"{metric}_change"
            texts += [delta(row, change), conditional(row, change), chance(row[f"{change}_p_holm"])]
        rows.append([*texts, count(row["n_runs"]), count(row["n_failed"])])
    return rows


def markdown(board: pd.DataFrame, table: Measured, results: Path) -> str:
    """Return the table as a Markdown page, which says what tuning took by the configurations under `results`."""
    records = [record for its_records in table.records.values() for record in its_records]
    dataset, protocol = records[0].dataset, records[0].protocol
    splits = {record.split_sha256 for record in records if record.split_sha256}
    took = efforts(read_tuned(results, dataset), board["arm"].tolist(), splits)
    effort = f" Each had {took[0]}, for every fold." if len(took) == 1 else ""
    if len(took) > 1:
        effort = f" **The arms were not tuned with the same effort**: {'; '.join(took)}, for every fold."
    one_fold = "" if board["average_precision_change_p"].notna().any() else f" {ONE_FOLD}"
    caption = (
        f"{dataset}, protocol {protocol}: each arm at its defaults and tuned, for every fold on that fold's training "
        f"rows; both on the same test rows, by rank of the tuned. Means over runs with {INTERVALS}; change is tuned "
        "less default, paired, by the corrected t over folds (Nadeau and Bengio) and, conditional on the trained "
        f"models, by the bootstrap; p Holm is that of the first, adjusted over the arms.{one_fold}{effort}"
    )
    title = f"# {dataset}: default and tuned"
    return "\n".join([title, "", caption, "", *markdown_table(headings(), cells(board))]) + "\n"

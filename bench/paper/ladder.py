"""The ladder from `published` to `strict`: what each repair does to every arm, and to the ranking.

Every rung is one fault less. From the second rung on all rungs judge the same runs on the same test rows, so that a
change is paired; the first rung has a test part of its own, and its noise adds to the first change.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bench.data.cards import Dataset
from bench.protocols.published import REPAIRS, rungs
from bench.report.columns import Row
from bench.report.render import INTERVALS, clear, count, delta, ends, interval, markdown_table, number
from bench.report.selection import Measured
from bench.stats.bootstrap import Replicates
from bench.stats.corrected import paired, paired_columns
from bench.stats.inference import comparable, difference_of_means, summarise

METRIC = "roc_auc"  # the paper's


def ladder(tables: Mapping[str, Measured], card: Dataset) -> pd.DataFrame:
    """Return one row per rung and arm, of the rungs among a data set's `tables` by protocol, in the ladder's order.

    Columns: rung (the protocol), repair (what it adds), arm, n_runs, n_failed; roc_auc_mean, _lo, _hi; rank among the
    rung's arms; `change_…` (`stats.corrected.paired_columns`) against the last rung before it that has the arm, and
    whether it is paired: where it is not, there is no corrected t; steps, samples_seen, means per run. An arm without a
    good run on a rung has no numbers there; one that ran on no rung between the first and the last is no climber, and
    left out.
    """
    rows: list[dict[str, object]] = []
    before: dict[str, Replicates] = {}
    stood = [rung for rung in rungs(card) if rung in tables]
    climbed = {arm for rung in stood if "+" in rung for arm in tables[rung].records}
    for rung in stood:
        table = tables[rung]
        ranks = table.ranks(METRIC, [arm for arm in table.records if arm in climbed])
        for arm, rank in ranks.items():
            row = _row(rung, arm, table.replicates.get(arm), before.get(arm), table.test_to_train)
            rows.append(row | table.cost(arm) | {"rank": rank})
        before |= table.replicates
    return pd.DataFrame(rows)


def _row(
    rung: str, arm: str, now: Replicates | None, before: Replicates | None, ratio: float
) -> dict[str, object]:
    summary = summarise(now, [METRIC])[METRIC] if now else None
    return {
        "rung": rung,
        "repair": rung if rung in ("published", "strict") else rung.rpartition("+")[2],
        "arm": arm,
        **{f"{METRIC}_{field}": getattr(summary, field, float("nan")) for field in ("mean", "lo", "hi")},
        **dict.fromkeys(paired_columns("change"), float("nan")),
        **(_change(now, before, ratio) if now and before else {"paired": None}),
    }


def _change(now: Replicates, before: Replicates, ratio: float) -> dict[str, object]:
    if comparable(now, before):
        return {**paired(now, before, METRIC, ratio).columns("change"), "paired": True}
    change = difference_of_means(now, before, METRIC)
    ends_of_it = {"change_conditional_lo": change.lo, "change_conditional_hi": change.hi}
    return {"change_mean": change.mean, **ends_of_it, "paired": False}


def markdown(board: pd.DataFrame, dataset: str) -> str:
    """Return the ladder as two tables: where every arm stands on each rung, and what each rung changed."""
    repairs, arms = (list(dict.fromkeys(board[name])) for name in ("repair", "arm"))
    cell = {(row["arm"], row["repair"]): row for _, row in board.iterrows()}
    lines = [f"# {dataset}: from published to strict, one repair at a time", "", caption(board)]
    for title, columns, text in (
        ("ROC-AUC, and rank on the rung", repairs, _place),
        ("Change by the rung", repairs[1:], _moved),
        ("Updates / rows seen", repairs, _cost),
    ):
        rows = [[arm, *(text(cell.get((arm, repair))) for repair in columns)] for arm in arms]
        lines += ["", f"## {title}", "", *markdown_table(["arm", *columns], rows)]
    lines += ["", "## The rungs", "", *(f"* {name}: {_words(name)}" for name in repairs)]
    return "\n".join(lines) + "\n"


def caption(board: pd.DataFrame) -> str:
    """Return the line that the ladder must not be read without."""
    counts = sorted(set(board["n_runs"]))
    apart = board[board["paired"].eq(False)]["repair"].drop_duplicates()
    others = f", but not all to {', '.join(apart)}, of other test parts or runs" if len(apart) else ""
    return (
        f"Means over runs with {INTERVALS}; each column adds one repair to those before it. Changes are paired by "
        f"fold, seed and test row{others}, and have the interval of the corrected t over folds (Nadeau and Bengio). "
        "°: where they are not paired, or of one fold, there is no such test, and the interval is the bootstrap's, "
        "conditional on the trained models. Bold: the interval is clear of 0, not adjusted for their number. Where a "
        "rate is searched, updates are of the rate chosen, rows seen of all. Runs per arm: "
        f"{', '.join(map(str, counts))}; failed runs: {board['n_failed'].sum()}."
    )


def _words(repair: str) -> str:
    return {
        "published": "the paper's code, faults included",
        "strict": "the suite's own network, optimiser, features and settings, with all repairs",
    }.get(repair) or REPAIRS[repair]


def _place(row: Row | None) -> str:
    if row is None:
        return "–"
    return f"{interval(row[f'{METRIC}_mean'], row[f'{METRIC}_lo'], row[f'{METRIC}_hi'])} ({row['rank']})"


def _moved(row: Row | None) -> str:
    if row is None or pd.isna(row["change_mean"]):
        return "–"
    text = delta(row, "change")
    return f"**{text}**" if clear(*ends(row, "change")) else text


def _cost(row: Row | None) -> str:
    return "–" if row is None else f"{count(row['steps'])} / {count(row['samples_seen'])}"


def terminal_rows(board: pd.DataFrame) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """Return headings and cells for a terminal: ROC-AUC and rank on every rung, and what each rung changed."""
    repairs, arms = (list(dict.fromkeys(board[name])) for name in ("repair", "arm"))
    cell = {(row["arm"], row["repair"]): row for _, row in board.iterrows()}

    def short(row: Row | None) -> str:
        return "–" if row is None else f"{number(row[f'{METRIC}_mean'])} ({row['rank']})"

    def moved(row: Row | None) -> str:
        if row is None or pd.isna(row["change_mean"]):
            return "–"
        return number(row["change_mean"], sign=True) + ("*" if clear(*ends(row, "change")) else "")

    stands, moves = (
        [[arm, *(text(cell.get((arm, r))) for r in repairs)] for arm in arms] for text in (short, moved)
    )
    return ["arm", *repairs], stands, moves

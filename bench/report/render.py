"""Leaderboards as Markdown, LaTeX and CSV, from the same frame, by the same rules of rounding."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import nan

import pandas as pd
from rich.table import Table

from bench.data.cards import card, dataset_names
from bench.names import ROPE
from bench.protocols import main_metric_of, protocol_if_known
from bench.report.columns import Column, Row, fitting, needed, table
from bench.stats.corrected import column, is_sure
from bench.stats.metrics import METRICS, metrics

SHOWN = (
    "average_precision",
    "roc_auc",
    "recall_at_1pct_review",
    "precision_at_1pct_review",
    "recall_at_1pct_fpr",
)
# What people read in the place of a metric's name; files, JSON and CSV have the name.
PRINTED = {
    "average_precision": "AP",
    "roc_auc": "ROC-AUC",
    "recall_at_0_1pct_review": "R@0.1%",
    "recall_at_0_5pct_review": "R@0.5%",
    "recall_at_1pct_review": "R@1%",
    "recall_at_5pct_review": "R@5%",
    "precision_at_0_1pct_review": "P@0.1%",
    "precision_at_0_5pct_review": "P@0.5%",
    "precision_at_1pct_review": "P@1%",
    "precision_at_5pct_review": "P@5%",
    "recall_at_1pct_fpr": "R@1%FPR",
    "recall_at_5pct_fpr": "R@5%FPR",
    "ks": "KS",
    "gini": "Gini",
    "brier": "Brier",
    "log_loss": "log-loss",
    "ece": "ECE",
    "f1": "F1",
    "mcc": "MCC",
    "balanced_accuracy": "bal. acc.",
}
SHOWN_PLAIN = ("ks", "brier", "log_loss", "f1", "mcc")


# What is said of intervals wherever they are printed.
INTERVALS = "95 % intervals (t over folds, and at least the noise of the test rows)"
ONE_FOLD = "°: of one fold there is no corrected t; the interval is conditional on the trained models."


def printed(metric: str) -> str:
    """Return what people read in the place of a metric's name."""
    return PRINTED.get(metric, metric.replace("_", " "))


def board_metric(board: pd.DataFrame) -> str:
    """Return the metric that the board's protocol ranks by."""
    return main_metric_of(board["protocol"].iloc[0])


def from_outside(board: pd.DataFrame) -> list[str]:
    """Return the metrics from outside that some arm of the board was measured by."""
    return [name for name in _of_files(board) if board[f"{name}_mean"].notna().any()]


def _of_files(board: pd.DataFrame) -> list[str]:
    return [name for name in metrics() if name not in METRICS and f"{name}_mean" in board]


def missing(names: Iterable[str]) -> str:
    """Return a sentence on metrics from outside without a number in some runs; nothing where there are none."""
    reasons = []
    for name in names:
        if needs := " or ".join(metrics()[name].needs):
            reasons.append(f"{name} (the table has no {needs}, or the runs are older than the metric)")
        else:
            reasons.append(f"{name} (it gave none, or the compact records are older than the metric)")
    return f" Without a number in some runs: {', '.join(reasons)}." if reasons else ""


def headings(board: pd.DataFrame) -> list[str]:
    """Return the table's column headings."""
    return [
        "tier",
        "rank",
        "arm",
        *(["authors' code"] if authors(board) else []),
        *(name.replace("_", " ") for name in SHOWN),
        *(name.replace("_", " ") for name in SHOWN_PLAIN),
        *(name.replace("_", " ") for name in from_outside(board)),
        f"Δ {board_metric(board).replace('_', ' ')}",
        "Δ given the models",
        "p Holm",
        "verdict",
        "detectable",
        "runs",
        "failed",
        "steps",
        "stopped at once",
        "at the end",
        "rows seen",
        "seconds",
    ]


def cells(board: pd.DataFrame) -> list[list[str]]:
    """Return the table's cells as text, row by row; an interval is `.123 [.100, .150]`."""
    measured = authors(board)
    shown = [*SHOWN, *SHOWN_PLAIN, *from_outside(board)]
    return [
        [
            count(row["tier"]),
            str(row["rank"]),
            row["arm"],
            *([spread(*measured.get(row["arm"], (nan, nan)))] if measured else []),
            *(interval(row[f"{m}_mean"], row[f"{m}_lo"], row[f"{m}_hi"]) for m in shown),
            delta(row, "difference"),
            conditional(row, "difference"),
            chance(row["difference_p_holm"]),
            word(row["difference_verdict"]),
            number(row["difference_detectable"]),
            str(row["n_runs"]),
            str(row["n_failed"]),
            count(row["steps"]),
            share(row["stopped_at_once"]),
            share(row["stopped_at_the_end"]),
            count(row["samples_seen"]),
            seconds(row["fit_seconds"] + row["resample_seconds"]),
        ]
        for _, row in board.iterrows()
    ]


def word(verdict: object) -> str:
    """Return a verdict, or a dash where there is none."""
    return verdict if isinstance(verdict, str) and verdict else "–"


def authors(board: pd.DataFrame) -> Mapping[str, tuple[float, float]]:
    """Return by arm what the authors' code gave (ROC-AUC, mean and deviation), where the board repeats it."""
    name, protocol = board[["dataset", "protocol"]].iloc[0]
    known = protocol_if_known(protocol)
    return known.authors_code(card(name)) if known and name in dataset_names() else {}


def spread(mean: float, sd: float) -> str:
    """Return `.657 ± .006`, or a dash for a missing number."""
    return "–" if pd.isna(mean) else f"{number(mean)} ± {number(sd)}"


def interval(mean: float, lo: float, hi: float, *, sign: bool = False, digits: int = 3) -> str:
    """Return `mean [lo, hi]` with so many digits after the point, or a dash for a missing number."""
    if pd.isna(mean):
        return "–"
    text, low, high = (number(value, sign=sign, digits=digits) for value in (mean, lo, hi))
    return f"{text} [{low}, {high}]"


def delta(row: Row, name: str, *, digits: int = 3) -> str:
    """Return the paired difference in the columns of `name` with its interval by the corrected t.

    Where there is none, as of one fold, it is the interval conditional on the trained models, marked with °.
    """
    lo, conditional_lo = (row[column(name, end)] for end in ("lo", "conditional_lo"))
    mark: str = "°" if pd.isna(lo) and pd.notna(conditional_lo) else ""
    return interval(row[column(name, "mean")], *ends(row, name), sign=True, digits=digits) + mark


def marked_delta(row: Row, name: str, *, digits: int = 3) -> str:
    """Return `delta`, bold where its interval is clear of 0, with † where it is sure after Holm's adjustment."""
    text = delta(row, name, digits=digits)
    numbers = (row[column(name, end)] for end in ("p_holm", "mean", "conditional_lo", "conditional_hi"))
    return (f"**{text}**" if clear(*ends(row, name)) else text) + ("†" if is_sure(*numbers) else "")


def conditional(row: Row, name: str) -> str:
    """Return the interval of a paired difference conditional on the trained models, or a dash."""
    lo, hi = (row[column(name, f"conditional_{end}")] for end in ("lo", "hi"))
    return "–" if pd.isna(lo) else f"[{number(lo, sign=True)}, {number(hi, sign=True)}]"


def ends(row: Row, name: str) -> tuple[float, float]:
    """Return the ends of a paired difference's interval: by the corrected t, else conditional on the trained models."""
    kind: str = "" if pd.notna(row[column(name, "lo")]) else "conditional_"
    return float(row[column(name, f"{kind}lo")]), float(row[column(name, f"{kind}hi")])


def number(value: float, *, sign: bool = False, digits: int = 3) -> str:
    """Return so many digits after the point, without the zero before it, or a dash for a missing number.

    With a sign, what rounds to zero keeps its own: an interval from +.000 is above 0, one from -.000 holds it.
    """
    if pd.isna(value):
        return "–"
    value = value + 0.0 if sign else round(value, digits) + 0.0  # no minus before a true zero
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def clear(lo: float, hi: float) -> bool:
    """Return whether an interval is clear of 0."""
    return bool(lo > 0 or hi < 0)


def chance(p: float) -> str:
    """Return a p-value, or a dash; what would print as 0 is below .001."""
    return "< .001" if p < 0.0005 else number(p)


def count(number: float) -> str:
    """Return a count with thousands separators, or a dash."""
    return "–" if pd.isna(number) else f"{number:,.0f}"


def share(number: float) -> str:
    """Return a share as a whole percentage, or a dash; what is not 0 does not print as 0."""
    if pd.isna(number):
        return "–"
    return "< 1 %" if 0 < number < 0.005 else f"{number:.0%}".replace("%", " %")


def seconds(number: float) -> str:
    """Return seconds with two significant digits below ten, or a dash."""
    return "–" if pd.isna(number) else f"{number:.2f}" if number < 10 else f"{number:.0f}"


def caption(board: pd.DataFrame) -> str:
    """Return the line that a table must not be read without."""
    first = board.iloc[0]
    return (
        f"{first['dataset']} ({count(board['n_rows'].max())} rows), protocol {first['protocol']}: means over runs with "
        f"{INTERVALS}. Prevalence in the test parts "
        f"{board['test_prevalence'].max():.4g}, which is also the average precision of chance.{_on_differences(board)} "
        f"Data: {first['data_source']}, sha256 {first['data_sha256'][:12]}…{missing(_incomplete(board))}"
    )


def _on_differences(board: pd.DataFrame) -> str:
    """Return what the tiers and the differences to the reference are, and how small a one would show."""
    reference, short = board["reference"].iloc[0], printed(board_metric(board))
    if not isinstance(reference, str):
        return ""
    text = f" Δ is the paired difference in {short} to {reference}"
    if board["tier"].isna().all():
        return f"{text}. {ONE_FOLD} So there are no tiers, and nothing is decided."
    others = board.loc[board["arm"] != reference, "difference_detectable"].dropna()
    sizes = (
        " to ".join(dict.fromkeys(number(size) for size in (others.min(), others.max())))
        if len(others)
        else ""
    )
    return (
        f" Tier 1: the best arm, and all that the corrected t over folds (Nadeau and Bengio; Holm) does not tell from "
        f"it; the best of the others begins the next; an arm with failed runs has none.{text}, by the corrected t and, "
        "conditional on the trained models, by the bootstrap. Better or worse: the first after Holm's adjustment, and "
        f"the second agrees; equal: both within the ROPE, ±{number(ROPE)} of AP or ROC-AUC."
        + (f" Detectable differences (two-sided .05, power .8): {sizes}." if sizes else "")
    )


def _incomplete(board: pd.DataFrame) -> list[str]:
    """Return the metrics from outside that an arm with good runs has no number of."""
    ran = board[board["n_runs"] > 0]
    return [name for name in _of_files(board) if ran[f"{name}_mean"].isna().any()]


def markdown(board: pd.DataFrame) -> str:
    """Return the leaderboard as a Markdown page."""
    title = f"# {board['dataset'].iloc[0]}, {board['protocol'].iloc[0]}"
    return (
        "\n".join([title, "", _full_caption(board), "", *markdown_table(headings(board), cells(board))])
        + "\n"
    )


def _full_caption(board: pd.DataFrame) -> str:
    """Return the caption and, where the table has that column, what the authors' code is."""
    words = " The authors' code: its own test ROC-AUC, mean ± standard deviation over 2–3 seeds."
    return caption(board) + (words if authors(board) else "")


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; no cell is taken for two, or for a link."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    escape = str.maketrans({"\\": r"\\", "|": r"\|"})
    cells = [[cell.translate(escape).replace("](", r"]\(") for cell in row] for row in rows]
    return lines + [f"| {' | '.join(row)} |" for row in cells]


def latex(board: pd.DataFrame) -> str:
    """Return the leaderboard as a LaTeX table for the booktabs package."""
    return latex_table(headings(board), cells(board), _full_caption(board), "rl")


def latex_table(head: Sequence[str], rows: Sequence[Sequence[str]], text: str, columns: str) -> str:
    """Return a table for the booktabs package; `columns` aligns the first ones, the others go to the right."""
    lines = [r"\begin{table}", r"\caption{" + _tex(text) + "}"]
    lines += [r"\begin{tabular}{" + columns + "r" * (len(head) - len(columns)) + "}", r"\toprule"]
    lines += [_tex_row(head), r"\midrule", *(_tex_row(row) for row in rows)]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


_TEX = {letter: f"\\{letter}" for letter in "%_#&${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "Δ": r"$\Delta$",
    "–": "--",
    "…": r"\ldots{}",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)


def _tex_row(row: Sequence[str]) -> str:
    return " & ".join(_tex(cell) for cell in row) + r" \\"


def as_csv(board: pd.DataFrame) -> str:
    """Return the whole leaderboard, every column and digit, as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(board.columns)
    writer.writerows(board.itertuples(index=False, name=None))
    return out.getvalue()


FORMATS: Mapping[str, Callable[[pd.DataFrame], str]] = {"md": markdown, "tex": latex, "csv": as_csv}


def terminal(board: pd.DataFrame, width: int) -> tuple[Table, list[str]]:
    """Return the leaderboard as a rich table for a terminal, and the headings of the columns that had no room.

    The main metric and the difference to the reference always have their intervals; others where there is room.
    """
    metrics = [*_short_metrics(board), *from_outside(board)]
    for detailed in range(len(metrics), 0, -1):
        columns = short_columns(board, detailed, metrics)
        if needed(columns) <= width:
            break
    kept = fitting(columns, width)
    return table(kept, width), [column.head for column in columns if column not in kept]


def short_columns(
    board: pd.DataFrame, detailed: int = 1, metrics: Sequence[str] | None = None
) -> list[Column]:
    """Return the columns that people read: of these metrics, or three; the first `detailed` with intervals.

    Failed runs have a column of their own where there are any.
    """
    rows = [row for _, row in board.iterrows()]

    def cells(metric: str, *, whole: bool) -> list[str]:
        fields = [[row[f"{metric}_{field}"] for field in ("mean", "lo", "hi")] for row in rows]
        return [interval(*each) if whole else number(each[0]) for each in fields]

    main, *others = metrics = metrics or _short_metrics(board)
    whole = {metric: place < detailed for place, metric in enumerate(metrics)}
    head = {metric: f"{printed(metric)}{' [95 %]' if whole[metric] else ''}" for metric in metrics}
    failed = [Column("failed", [str(row["n_failed"]) for row in rows], importance=2)]
    return [
        Column("tier", [count(row["tier"]) for row in rows]),
        Column("arm", [str(row["arm"]) for row in rows], "name"),
        Column(head[main], cells(main, whole=True)),
        Column(f"Δ {printed(main)} [95 %]", [delta(row, "difference") for row in rows]),
        Column("verdict", [_short(row["difference_verdict"]) for row in rows], "prose", importance=2),
        *(
            Column(head[metric], cells(metric, whole=whole[metric]), importance=3 + place)
            for place, metric in enumerate(others)
        ),
        Column("runs", [str(row["n_runs"]) for row in rows], importance=1),
        *(failed if board["n_failed"].sum() else []),
        Column("sec", [seconds(row["fit_seconds"] + row["resample_seconds"]) for row in rows], importance=9),
    ]


def _short(verdict: object) -> str:
    """Return the first word of a verdict."""
    return word(verdict).split()[0]


def _short_metrics(board: pd.DataFrame) -> list[str]:
    """Return the metrics of a short table: the protocol's main one first, then others of `TERMINAL`."""
    main = board_metric(board)
    return [main, *(metric for metric in TERMINAL if metric != main)][: len(TERMINAL)]


TERMINAL = ("average_precision", "roc_auc", "recall_at_1pct_review")

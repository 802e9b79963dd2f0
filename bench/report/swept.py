"""Effect against prevalence: how far each arm is ahead of its control where training rows have fewer positives.

The tables are those of `strict+prevalence=SHARE` and of `strict` itself, whose test parts are the same, so that means
of different prevalences can be compared. An arm's control is MetaBalance at α = 0 on the same rows for an arm with an
inner step, else the network on the rows as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.arms.matrices import ALPHA
from bench.arms.spelling import parse
from bench.names import DEFAULT_PROTOCOL, OK
from bench.protocols.strict import thinned_to
from bench.report.columns import Row
from bench.report.figures import STRONG, canvas, sequence
from bench.report.render import (
    INTERVALS,
    clear,
    ends,
    interval,
    markdown_table,
    marked_delta,
    number,
    printed,
)
from bench.report.selection import Measured
from bench.stats.corrected import paired, paired_columns
from bench.stats.inference import comparable, holm, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SWEPT_METRICS = ("average_precision", "roc_auc")
PLAIN_ARM, NO_STEP = "none", "metabalance-no-inner"


def prevalence_of(protocol: str, table: Measured) -> float | None:
    """Return the prevalence that a table's arms trained on; None for a protocol that thins nothing."""
    if protocol != DEFAULT_PROTOCOL:
        return thinned_to(protocol)
    good = [r for records in table.records.values() for r in records if r.status == OK and r.n_test]
    return sum(r.n_test_positive or 0 for r in good) / max(1, sum(r.n_test or 0 for r in good))


def control_of(arm: str, arms: Collection[str]) -> str | None:
    """Return which of `arms` the arm is compared with; None for the plain network, and where there is none.

    Of several it is the one with the arm's own settings: `none(steps=60)` for `smote(steps=60)`.
    """
    spelling = parse(arm)
    if spelling.rows == PLAIN_ARM:
        return None
    if arm in ALPHA and ALPHA[arm][2]:
        pair = ALPHA[arm][0]
        start = next(name for name, (other, _, rate) in ALPHA.items() if other == pair and not rate)
        if start in arms:
            return start
    has_step = arm not in ALPHA and spelling.base.startswith("metabalance") and spelling.base != NO_STEP
    for control in (NO_STEP, PLAIN_ARM) if has_step else (PLAIN_ARM,):
        alike = [name for name in arms if parse(name).rows == control]
        if alike:
            return min(alike, key=lambda name: parse(name).settings != spelling.settings)
    return None


def by_prevalence(tables: Mapping[str, Measured]) -> pd.DataFrame:
    """Return one row per prevalence and arm of a data set's `tables` by protocol, the lowest prevalence first.

    Columns: protocol, prevalence, n_train, arm, control, n_runs, n_failed, steps, samples_seen; per metric of
    `SWEPT_METRICS` `<metric>_mean, _lo, _hi` and `<metric>_change_…` (`stats.corrected.paired_columns`) against the
    control, with `_p_holm`, adjusted for all rows. Empty where nothing was thinned.
    """
    shares = {protocol: prevalence_of(protocol, table) for protocol, table in tables.items()}
    known = {protocol: share for protocol, share in shares.items() if share is not None}
    if not any("+" in protocol for protocol in known):
        return pd.DataFrame()
    swept = {arm for protocol in known if "+" in protocol for arm in tables[protocol].replicates}
    rows = []
    for protocol, share in sorted(known.items(), key=lambda item: item[1]):
        table = tables[protocol]
        arms = [arm for arm in table.replicates if arm in swept]
        rows += [{"protocol": protocol, "prevalence": share, **_row(table, arm, arms)} for arm in arms]
    board = pd.DataFrame(rows)
    for metric in SWEPT_METRICS:
        board[f"{metric}_change_p_holm"] = holm(board[f"{metric}_change_p"].astype(float).tolist())
    return board


def _row(table: Measured, arm: str, arms: Collection[str]) -> dict[str, object]:
    reps, control = table.replicates, control_of(arm, arms)
    if control is not None and not comparable(reps[arm], reps[control]):
        control = None
    sizes = [record.n_train for record in table.records[arm] if record.n_train]
    row: dict[str, object] = {
        "n_train": float(np.mean(sizes)),
        "arm": arm,
        "control": control,
        **table.cost(arm),
    }
    for metric, summary in summarise(reps[arm], SWEPT_METRICS).items():
        row |= {f"{metric}_{field}": getattr(summary, field) for field in ("mean", "lo", "hi")}
        change = f"{metric}_change"
        row |= dict.fromkeys(paired_columns(change), float("nan"))
        if control is not None:
            row |= paired(reps[arm], reps[control], metric, table.test_to_train).columns(change)
    return row


def markdown(board: pd.DataFrame, dataset: str) -> str:
    """Return the sweep as two tables per metric, arms by prevalence: what it changes, and where it stands."""
    lines = [f"# {dataset}: effect against prevalence", "", caption(board)]
    for metric in SWEPT_METRICS:
        short = printed(metric)
        changed = board[board["control"].notna()]
        lines += [
            "",
            f"## {short}: change against the control",
            "",
            *_table(changed, metric, _changed, "control"),
        ]
        lines += ["", f"## {short}", "", *_table(board, metric, _stands)]
    return "\n".join(lines) + "\n"


def caption(board: pd.DataFrame) -> str:
    """Return the line that the tables must not be read without."""
    n_runs = board["n_runs"]
    return (
        "Training and validation rows thinned to each prevalence, positives or negatives left out at random; the test "
        f"parts are the same in every column. Means over runs with {INTERVALS}; changes against the control on the "
        "same runs and rows, by the corrected t over folds (Nadeau and Bengio); bold: its interval is clear of 0; †: "
        "p < .05 after Holm's adjustment for all cells of the page, and the bootstrap's interval given the trained "
        f"models is on the same side of 0. Runs per cell: {n_runs.min()} to {n_runs.max()}; failed runs: "
        f"{board['n_failed'].sum()}."
    )


def _table(
    board: pd.DataFrame, metric: str, cell: Callable[[Row, str], str], beside: str | None = None
) -> list[str]:
    shares = list(dict.fromkeys(board["prevalence"]))
    rows = []
    for arm, of_arm in board.groupby("arm", sort=False):
        cells = {row["prevalence"]: cell(row, metric) for _, row in of_arm.iterrows()}
        first = [str(arm), *([str(of_arm[beside].iloc[0])] if beside else [])]
        rows.append([*first, *(cells.get(share, "–") for share in shares)])
    return markdown_table(
        ["arm", *([beside] if beside else []), *(_percent(share) for share in shares)], rows
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _stands(row: Row, metric: str) -> str:
    return interval(*(row[f"{metric}_{field}"] for field in ("mean", "lo", "hi")))


def _changed(row: Row, metric: str) -> str:
    return marked_delta(row, f"{metric}_change")


def terminal_cells(board: pd.DataFrame, metric: str) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells for a terminal: by arm and prevalence the change against the control, else the mean."""
    shares = list(dict.fromkeys(board["prevalence"]))
    rows = []
    for arm, of_arm in board.groupby("arm", sort=False):
        has_control = of_arm["control"].notna().any()
        cells = {
            row["prevalence"]: number(row[f"{metric}_change_mean"], sign=True)
            + _star(row, f"{metric}_change")
            if has_control
            else number(row[f"{metric}_mean"])
            for _, row in of_arm.iterrows()
        }
        control = next(iter(of_arm["control"].dropna()), "")
        rows.append([str(arm), control, *(cells.get(share, "–") for share in shares)])
    return ["arm", "control", *map(_percent, shares)], rows


def _star(row: Row, name: str) -> str:
    return "*" if pd.notna(row[f"{name}_mean"]) and clear(*ends(row, name)) else ""


def draw_prevalence(board: pd.DataFrame, title: str, metric: str) -> Figure:
    """Return a figure of the change against the control by prevalence, with a band for what stands out.

    One panel for each pair of samplers of the matrix `alpha` (colour: α, dashed: first order), and one for other arms,
    of which MetaBalance's stand out. Lines are labelled at their ends.
    """
    changed = board[board["control"].notna()]
    panels = dict(list(changed.groupby(changed["arm"].map(_panel), sort=False)))
    columns, rows = min(2, len(panels)), -(-len(panels) // 2)
    figure, axes = canvas(6.2 * columns, 4.2 * rows, rows, columns)
    flat = list(np.atleast_1d(axes).ravel())
    for place, (name, of_panel) in enumerate(panels.items()):
        _draw_panel(flat[place], of_panel, metric)
        flat[place].set_title(f"inner/outer rows: {name}" if name else "against the control", fontsize=9)
    for blank in flat[len(panels) :]:
        blank.set_visible(False)
    figure.suptitle(f"{title}: change in {printed(metric)}, 95 % bands")
    figure.tight_layout()
    return figure


def _panel(arm: str) -> str:
    return ALPHA[arm][0] if arm in ALPHA else ""


def _draw_panel(axes: Axes, board: pd.DataFrame, metric: str) -> None:
    name, labels = f"{metric}_change", []
    arms = list(dict.fromkeys(board["arm"]))
    for arm in arms:
        of_arm = board[board["arm"] == arm].sort_values("prevalence")
        shares, mean = of_arm["prevalence"].to_numpy(float), of_arm[f"{name}_mean"].to_numpy(float)
        style, stands_out, label = _style(arm, arms)
        axes.plot(shares, mean, **style)
        if stands_out:
            low, high = np.array([ends(row, name) for _, row in of_arm.iterrows()]).T
            axes.fill_between(shares, low, high, color=style["color"], alpha=0.15, lw=0)
        labels.append((mean[-1], label, style["color"]))
    axes.axhline(0, color="k", lw=0.8)
    axes.set_xscale("log")
    ticks = sorted(set(board["prevalence"]))
    axes.set_xticks(ticks, [_percent(tick) for tick in ticks], fontsize=7, rotation=30)
    axes.minorticks_off()
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("prevalence in training", fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    _label_ends(axes, max(ticks), labels)


def _style(arm: str, arms: Collection[str]) -> tuple[dict[str, Any], bool, str]:
    """Return how an arm's line looks, whether it has a band, and its label."""
    if arm in ALPHA:
        _, order, rate = ALPHA[arm]
        rates = sorted({ALPHA[other][2] for other in arms if other in ALPHA})
        shade = sequence(rates.index(rate) / max(1, len(rates) - 1))
        return (
            {"color": shade, "lw": 1.6, "ls": "--" if order == 1 else "-"},
            rate >= 1,
            f"α={rate:g}, {order}.",
        )
    if "metabalance" in arm:
        own = [other for other in arms if "metabalance" in other]
        return {"color": STRONG[own.index(arm) % len(STRONG)], "lw": 2.0, "zorder": 3}, True, arm
    return {"color": "0.6", "lw": 1.0}, False, arm


def _label_ends(axes: Axes, x: float, labels: list[tuple[float, str, Any]]) -> None:
    """Write the labels to the right of the lines' ends, moved apart where they would lie on each other."""
    low, high = axes.get_ylim()
    gap, last = (high - low) / 28, -np.inf
    for y, label, shade in sorted(labels, key=lambda entry: entry[0]):
        last = max(y, last + gap)
        axes.text(x * 1.06, last, label, fontsize=6, color=shade, va="center")

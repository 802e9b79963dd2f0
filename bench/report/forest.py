"""A leaderboard as a forest plot: each arm's main metric, and beside it the difference to the reference."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.columns import folded
from bench.report.render import board_metric, clear, delta, ends, interval, printed

_DPI = 144
_INCHES_PER_ARM, _INCHES_PER_LETTER = 0.27, 0.075
_WRAP = 44  # letters of an arm's name on one line
_PLAIN, _BETTER, _WORSE, _UNCLEAR = "#333333", "#1b7837", "#b2182b", "#777777"


class Picture(Figure):
    """A figure that a notebook shows even where nobody has imported pyplot."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=_DPI)
        width, height = (int(72 * inches) for inches in self.get_size_inches())
        return content.getvalue(), {"width": width, "height": height}


def draw_forest(board: pd.DataFrame) -> Picture:
    """Return the figure of a leaderboard, the best arm on top; an arm without a number has a dash."""
    main = board_metric(board)
    short = printed(main)
    names = [_wrapped(str(name)) for name in board["arm"]]
    lines = sum(name.count("\n") + 1 for name in names)
    letters = max(len(line) for name in names for line in name.split("\n"))
    figure = Picture(
        figsize=(7.6 + _INCHES_PER_LETTER * letters, 1.1 + _INCHES_PER_ARM * lines), layout="constrained"
    )
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, board, main, signed=False)
    _draw(right, board, "difference", signed=True)
    left.set_yticks(np.arange(len(board)), names, parse_math=False)  # a $ in a name is one
    left.set_ylim(len(board) - 0.5, -0.5)
    left.set_xlabel(f"{short} on test rows, 95 % interval")
    reference = board["reference"].iloc[0]
    against = f" to {reference}" if isinstance(reference, str) else ""
    right.set_xlabel(f"Δ {short}{against}, paired\nfilled: the interval is clear of 0", parse_math=False)
    right.axvline(0, color=_UNCLEAR, lw=0.8, zorder=0)
    first = board.iloc[0]
    figure.suptitle(
        f"{first['dataset']}, protocol {first['protocol']}, prevalence {board['test_prevalence'].max():.3g}",
        fontsize=10,
    )
    return figure


def _wrapped(name: str) -> str:
    """Return a name on lines of at most `_WRAP` letters, broken after a sign where there is one."""
    lines = folded(" ".join(name.split()), _WRAP).split("\n")
    return "\n".join(
        line[start : start + _WRAP] for line in lines for start in range(0, len(line) or 1, _WRAP)
    )


def _draw(axes: Axes, board: pd.DataFrame, name: str, *, signed: bool) -> None:
    """Draw the means and intervals of the columns `name_mean`, `_lo`, `_hi`, with their numbers at the right."""
    numbers = axes.secondary_yaxis("right")
    texts = []
    for place, (_, row) in enumerate(board.iterrows()):
        if place % 2:
            axes.axhspan(place - 0.5, place + 0.5, color="#000000", alpha=0.04, lw=0, zorder=0)
        mean = float(row[f"{name}_mean"])
        lo, hi = ends(row, name) if signed else (float(row[f"{name}_{end}"]) for end in ("lo", "hi"))
        is_reference = signed and row["arm"] == row["reference"]
        words = delta(row, name) if signed else interval(mean, lo, hi)
        texts.append("reference" if is_reference else words)
        if np.isfinite(mean):
            style: dict[str, Any] = {"color": _colour(mean, lo, hi) if signed else _PLAIN}
            filled = not signed or clear(lo, hi)
            axes.plot([lo, hi], [place, place], lw=1.4, solid_capstyle="butt", **style)
            axes.plot(mean, place, "o", ms=4.5, mfc=style["color"] if filled else "white", **style)
    numbers.set_yticks(np.arange(len(board)), texts, fontsize=8)
    for side in (axes, numbers):
        side.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    numbers.spines["right"].set_visible(False)


def _colour(mean: float, lo: float, hi: float) -> str:
    return _UNCLEAR if not clear(lo, hi) else _BETTER if mean > 0 else _WORSE

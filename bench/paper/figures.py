"""The paper's figures: MetaBalance's grid of samplers as a heat map, and the ladder of repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.arms.matrices import GRID
from bench.arms.spelling import parse
from bench.paper.ladder import METRIC
from bench.report.figures import PLAIN, STRONG, canvas, colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def grid_of(board: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the mean of `metric` by inner (rows) and outer sampler (columns), NaN for a cell that did not run.

    `board` is a leaderboard; a sampler of which no cell ran has no place, and without any the grid is empty.
    """
    means = board.set_index("arm")[f"{metric}_mean"]
    cells = {name: parse(name).samplers for name in GRID}
    samplers = list(dict.fromkeys(sampler for pair in cells.values() for sampler in pair))
    grid = pd.DataFrame(np.nan, index=samplers, columns=samplers)
    for name, (inner, outer) in cells.items():
        grid.loc[inner, outer] = means.get(name, np.nan)
    return grid.dropna(axis=0, how="all").dropna(axis=1, how="all")


def draw_grid(grid: pd.DataFrame, title: str, metric: str) -> Figure:
    """Return a figure of the grid, every cell with its number; a cell that did not run is blank."""
    figure, axes = canvas(9.0, 7.5)
    image = axes.imshow(grid.to_numpy(float), cmap="viridis")
    axes.set_xticks(range(len(grid.columns)), grid.columns, rotation=40, ha="right")
    axes.set_yticks(range(len(grid.index)), grid.index)
    axes.set_xlabel("outer sampler")
    axes.set_ylabel("inner sampler")
    axes.set_title(title)
    low, high = np.nanmin(grid), np.nanmax(grid)
    for (i, j), value in np.ndenumerate(grid.to_numpy(float)):
        if np.isfinite(value):
            colour = "w" if value < (low + high) / 2 else "k"
            text = f"{value:.3f}".lstrip("0")
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    figure.colorbar(image, ax=axes, label=metric.replace("_", " "), shrink=0.85)
    return figure


def draw_ladder(board: pd.DataFrame, title: str) -> Figure:
    """Return a figure of every arm's ROC-AUC from rung to rung.

    MetaBalance's arms and the plain network stand out, with the intervals of their means.
    """
    figure, axes = canvas(11.0, 6.5)
    repairs = list(dict.fromkeys(board["repair"]))
    last = board[board["repair"] == repairs[-1]].set_index("arm")[f"{METRIC}_mean"]
    arms = sorted(dict.fromkeys(board["arm"]), key=lambda arm: -last.get(arm, 0.0))
    strong = dict(zip([arm for arm in arms if "metabalance" in arm], STRONG, strict=False)) | {"none": PLAIN}
    for i, arm in enumerate(arms):
        of_arm = board[board["arm"] == arm].set_index("repair").reindex(repairs)
        mean = of_arm[f"{METRIC}_mean"].to_numpy(float)
        x = np.arange(len(repairs)) + 0.06 * (list(strong).index(arm) - 1 if arm in strong else 0)
        if arm not in strong:
            style = {"color": colour(i), "lw": 1.0, "ls": "--", "marker": "o", "ms": 3, "alpha": 0.8}
            axes.plot(x, mean, label=arm, **style)
            continue
        spread = [
            mean - of_arm[f"{METRIC}_lo"].to_numpy(float),
            of_arm[f"{METRIC}_hi"].to_numpy(float) - mean,
        ]
        style = {"color": strong[arm], "lw": 2.2, "ms": 5, "capsize": 3, "elinewidth": 1.0, "zorder": 3}
        axes.errorbar(x, mean, yerr=spread, fmt="o-", label=arm, **style)
    words = ["published", *(name if name == "strict" else f"+ {name}" for name in repairs[1:])]
    axes.set_xticks(range(len(repairs)), words, rotation=25, ha="right")
    axes.set_ylabel("test ROC-AUC; 95 % intervals where lines are solid")
    axes.set_title(title)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure

"""The figures of studies: anytime curves, importances of parameters, and slices through an arm's trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.report.figures import PLAIN, STRONG, canvas, colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRONG_ARMS = {
    "metabalance": STRONG[0],
    "xgboost": STRONG[1],
    "logistic-regression": STRONG[2],
    "none": PLAIN,
}
_PLACE = ("fold", "number", "gain")  # of slices: what is no parameter


def draw_curves(curves: pd.DataFrame, title: str, metric: str) -> Figure:
    """Return a figure of the best validation score so far, against trials and against seconds."""
    figure, panels = canvas(13.0, 5.5, columns=2)
    last = curves.groupby("arm")["best"].last()
    for i, arm in enumerate(sorted(last.index, key=lambda name: -last[name])):
        curve = curves[curves["arm"] == arm]
        curve = curve[
            curve["best"].diff().ne(0) | (curve.index == curve.index[-1])
        ]  # where it rises, and its end
        style: dict[str, Any] = {"color": colour(i), "lw": 0.9, "ls": "--", "alpha": 0.8}
        if arm in STRONG_ARMS:
            style = {"color": STRONG_ARMS[arm], "lw": 2.2, "zorder": 3}
        for axes, x in zip(panels, ("trials", "seconds"), strict=True):
            axes.plot(curve[x], curve["best"], label=arm, drawstyle="steps-post", **style)
    for axes, x in zip(panels, ("trials of a fold", "seconds of a fold's trials"), strict=True):
        axes.set_xlabel(x)
        axes.set_ylabel(f"best {metric.replace('_', ' ')} on inner folds")
        axes.grid(alpha=0.3)
    panels[1].set_xscale("log")
    panels[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.suptitle(title)
    return figure


def draw_importances(shares: pd.DataFrame, title: str) -> Figure:
    """Return a heat map of the parameters' importances by arm; what an arm does not ask is blank."""
    figure, axes = canvas(2.5 + 0.5 * shares.shape[1], 1.5 + 0.32 * len(shares))
    axes.imshow(shares.to_numpy(float), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(shares.shape[1]), shares.columns, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(shares)), shares.index, fontsize=8)
    for (i, j), value in np.ndenumerate(shares.to_numpy(float)):
        if np.isfinite(value):
            text = f"{value:.2f}".removeprefix("0")
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color="w" if value > 0.6 else "k")
    axes.set_title(title)
    return figure


def draw_slices(trials: pd.DataFrame, title: str, scales: dict[str, bool]) -> Figure:
    """Return a figure with a panel per parameter: every trial's gain over the default against its value.

    `scales` says by parameter whether it goes by equal factors; later trials are darker.
    """
    names = [name for name in trials.columns if name not in _PLACE]
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, panels = canvas(3.2 * columns, 2.6 * rows, rows=rows, columns=columns)
    flat = np.atleast_1d(panels).ravel()
    for axes, name in zip(flat, names, strict=False):
        values = trials[name]
        if scales.get(name):
            axes.set_xscale("log")
        if not pd.api.types.is_numeric_dtype(values):
            words = sorted(values.astype(str).unique())
            axes.set_xticks(range(len(words)), words, rotation=30, ha="right", fontsize=7)
            values = values.astype(str).map(words.index)
        axes.scatter(values, trials["gain"], c=trials["number"], cmap="viridis_r", s=7, alpha=0.7, lw=0)
        axes.axhline(0, color="k", lw=0.6)
        axes.set_xlabel(name.replace("_", " "), fontsize=8)
        axes.set_ylabel("gain", fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in flat[len(names) :]:
        axes.set_visible(False)
    figure.suptitle(title)
    figure.tight_layout()
    return figure

"""Figures as files, SVG and PNG, each with the hash of the numbers in it; and what they are drawn with."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.disk import read_bytes, write_bytes
from bench.names import digest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 90
STRONG = ("#b2182b", "#000000", "#e08214")  # lines that stand out
PLAIN = "#2166ac"  # the network on the rows as they are


@dataclass(frozen=True)
class Drawing:
    """A figure that is drawn when it is written, and the hash of the numbers in it, which its files carry.

    `forms` are its files: PNG too where a page shows it.
    """

    of: str
    draw: Callable[[], Figure]
    forms: tuple[str, ...] = ("svg", "png")

    def paths(self, path: Path) -> list[Path]:
        """Return where the figure's files lie, beside each other."""
        return [path.with_name(f"{path.name}.{form}") for form in self.forms]

    def stale(self, path: Path) -> list[Path]:
        """Return the files that are missing or were drawn of other numbers."""
        return [file for file in self.paths(path) if self.of.encode() not in read_bytes(file)]

    def write(self, path: Path) -> list[Path]:
        """Draw the figure and write its files, with the hash of its numbers; return their paths.

        The same figure gives the same SVG.
        """
        import matplotlib as mpl

        figure = self.draw()
        for file in self.paths(path):
            content = io.BytesIO()
            with mpl.rc_context(
                {"svg.hashsalt": "bench", "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}
            ):
                metadata = {"Description": self.of} | ({"Date": None} if file.suffix == ".svg" else {})
                figure.savefig(
                    content, format=file.suffix[1:], bbox_inches="tight", dpi=DPI, metadata=metadata
                )
            write_bytes(file, content.getvalue())
        return self.paths(path)


def numbers_sha256(board: pd.DataFrame) -> str:
    """Return the hash of a figure's numbers."""
    return digest(board.to_csv())


def canvas(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """Return an empty figure of that size in inches, and its axes."""
    from matplotlib.figure import Figure  # no pyplot: nothing global, no display

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns)


def colour(i: int) -> tuple[float, float, float, float]:
    """Return the colour of the i-th of many lines."""
    import matplotlib as mpl

    return mpl.colormaps["tab20"](i % 20)


def sequence(place: float) -> tuple[float, float, float, float]:
    """Return the colour at a place, 0 to 1, of a sequence of shades that the colour-blind can tell apart."""
    import matplotlib as mpl

    return mpl.colormaps["viridis"](0.85 * place)

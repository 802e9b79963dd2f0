"""A leaderboard as Python shows it: a short table, a figure, and the whole DataFrame behind them.

    >>> import bench
    >>> board = bench.run("loan-sim", rows=600, arms=["prevalence"], folds=2, seeds=1)
    >>> board.full.shape[0], len(board), board["arm"].tolist()
    (1, 1, ['prevalence'])

What a notebook or a prompt prints are the nine columns that answer "which arm, and is the difference real?".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.report.columns import Column
from bench.report.render import board_metric, count, printed, short_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.contract import Result

MAX_ROWS = 25  # arms that are printed; the others are counted
MAX_LETTERS = 48  # of an arm's name in text

_CELL = "padding:0.2em 0.8em;white-space:nowrap;text-align:"


@dataclass(frozen=True, eq=False, repr=False)
class Leaderboard:
    """The arms of one benchmark, best first, with intervals.

    `board["arm"]`, `len(board)`, `board.columns` and all else that a DataFrame has are those of `full`.

    Attributes
    ----------
    full : DataFrame, one row per arm
        Every column: `rank`, `arm`, `n_runs`, `n_failed`, `tier`; of each metric `<metric>_mean`, `_lo`, `_hi` (95 %)
        and `_sd_seed`; the paired difference to the arm `reference`, `difference_mean`, by the corrected t `_lo`,
        `_hi`, `_p`, `_p_holm` and `_detectable`, conditional on the trained models `_conditional_lo`,
        `_conditional_hi`, and `_verdict`; seconds, steps and rows per run; the data set and its prevalence.
    path : Path
        Where the leaderboard is, as parquet; a Markdown page lies beside it.
    failed : list of Result
        The runs of this call that did not end well: `arm`, `key`, `status` and `error`.
    """

    full: pd.DataFrame
    path: Path
    failed: Sequence[Result] = ()

    def __getitem__(self, key: Any) -> Any:
        return self.full[key]

    def __len__(self) -> int:
        return len(self.full)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    @property
    def columns(self) -> pd.Index[str]:
        """The names of the columns of `full`."""
        return self.full.columns

    if not TYPE_CHECKING:  # a type checker shall see only what is declared

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name in self.__dataclass_fields__ or not hasattr(pd.DataFrame, name):
                raise AttributeError(f"A Leaderboard has no attribute {name!r}.")
            return getattr(self.full, name)

    def __repr__(self) -> str:
        columns = [_padded(column) for column in _columns(self.full.head(MAX_ROWS))]
        lines = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
        return "\n".join([*lines, *self._more(), self._caption()])

    def _repr_html_(self) -> str:
        columns = _columns(self.full.head(MAX_ROWS))
        rows = "".join(
            _html_row(columns, cells, "td") for cells in zip(*(c.cells for c in columns), strict=True)
        )
        head = _html_row(columns, [column.head for column in columns], "th")
        words = "<br>".join(escape(line) for line in [*self._more(), self._caption()])
        return (
            f'<table style="border-collapse:collapse"><thead>{head}</thead><tbody>{rows}</tbody></table>'
            f'<p style="font-size:0.9em">{words}</p>'
        )

    def _more(self) -> list[str]:
        hidden = len(self) - MAX_ROWS
        return [f"… and {hidden:,} more, in .full"] if hidden > 0 else []

    def _caption(self) -> str:
        """Return the line that the table must not be read without."""
        first, short = self.full.iloc[0], printed(board_metric(self.full))
        reference, n_failed = first["reference"], int(self.full["n_failed"].sum())
        words = [
            f"{first['dataset']} ({count(self.full['n_rows'].max())} rows)",
            f"protocol {first['protocol']}",
            f"prevalence {self.full['test_prevalence'].max():.3g}",
        ]
        if isinstance(reference, str):
            words.append(f"Δ is the paired difference in {short} to {reference}")
        if n_failed:
            words.append(f"{n_failed} failed runs, see .failed and n_failed")
        return "; ".join(words) + "."

    def plot(self) -> Figure:
        """Return a forest plot: every arm's main metric, and its difference to the reference, with 95 % intervals.

        A difference whose interval is clear of 0 is filled. The figure belongs to nobody: `figure.savefig("f.png")`
        writes it, a notebook shows it, and pyplot knows nothing of it.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from bench.report.forest import draw_forest

        return draw_forest(self.full)


def _columns(board: pd.DataFrame) -> list[Column]:
    """Return the table's columns: the terminal's, three metrics at most, and failed runs beside the runs."""
    runs = [
        f"{row['n_runs']} ({row['n_failed']} failed)" if row["n_failed"] else str(row["n_runs"])
        for _, row in board.iterrows()
    ]
    return [
        replace(column, cells=runs) if column.head == "runs" else column
        for column in short_columns(board)
        if column.head != "failed"
    ]


def _without_middle(text: str) -> str:
    """Return a cell on one line, its middle left out where it is too long."""
    text = " ".join(text.split())
    half = (MAX_LETTERS - 1) // 2
    return text if len(text) <= MAX_LETTERS else f"{text[:half]}…{text[-half:]}"


def _padded(column: Column) -> list[str]:
    """Return the heading and the cells in one width: names begin alike, numbers end alike."""
    cells = [column.head, *map(_without_middle, column.cells)]
    width = max(map(len, cells))
    return [cell.ljust(width) if column.kind == "name" else cell.rjust(width) for cell in cells]


def _html_row(columns: Sequence[Column], texts: Sequence[str], tag: str) -> str:
    cells = [
        f'<{tag} style="{_CELL}{"left" if column.kind == "name" else "right"}">{escape(text)}</{tag}>'
        for column, text in zip(columns, texts, strict=True)
    ]
    return f"<tr>{''.join(cells)}</tr>"

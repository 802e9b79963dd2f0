"""A leaderboard as Python shows it: a short table, a figure, and the whole DataFrame behind them.

    >>> import bench
    >>> board = bench.run("loan-sim", rows=600, arms=["prevalence"], folds=2, seeds=1)
    >>> board.full.shape[0], len(board), board["arm"].tolist()
    (1, 1, ['prevalence'])

What a notebook or a prompt prints are the eight columns that answer "which arm, and is the difference real?".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.report.render import TERMINAL, count, interval, main_metric, number, printed, seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.contract import Result

MAX_ROWS = 25  # arms that are printed; the others are counted
MAX_LETTERS = 48  # of an arm's name in text

_LEFT = (1,)  # columns of words; the others hold numbers
_CELL = "padding:0.2em 0.8em;white-space:nowrap;text-align:"


@dataclass(frozen=True, eq=False, repr=False)
class Leaderboard:
    """The arms of one benchmark, best first, with intervals.

    `board["arm"]`, `len(board)`, `board.columns` and all else that a DataFrame has are those of `full`.

    Attributes
    ----------
    full : DataFrame, one row per arm
        Every column: `rank`, `arm`, `n_runs`, `n_failed`; of each metric `<metric>_mean`, `_lo`, `_hi` (95 %) and
        `_sd_seed`; the paired difference to the arm `reference`, `difference_mean`, `_lo`, `_hi`, `_p`, `_p_holm`;
        seconds, steps and rows per run; the data set and its prevalence.
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
        head, rows = _headings(self.full), _cells(self.full.head(MAX_ROWS))
        rows = [[_without_middle(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if place in _LEFT else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in [head, *rows]
        ]
        return "\n".join([*lines, *self._more(), self._caption()])

    def _repr_html_(self) -> str:
        head = _html_row(_headings(self.full), "th")
        rows = "".join(_html_row(row, "td") for row in _cells(self.full.head(MAX_ROWS)))
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
        first, short = self.full.iloc[0], printed(main_metric(self.full))
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


def _shown(board: pd.DataFrame) -> list[str]:
    """Return the metrics of the table, the main one first."""
    main = main_metric(board)
    return [main, *(metric for metric in TERMINAL if metric != main)][:3]


def _headings(board: pd.DataFrame) -> list[str]:
    main, *others = map(printed, _shown(board))
    return ["#", "arm", f"{main} [95 %]", f"Δ {main} [95 %]", *others, "runs", "sec"]


def _cells(board: pd.DataFrame) -> list[list[str]]:
    """Return the table's cells as text, row by row."""
    main, *others = _shown(board)
    return [
        [
            str(row["rank"]),
            str(row["arm"]),
            interval(*(row[f"{main}_{field}"] for field in ("mean", "lo", "hi"))),
            interval(*(row[f"difference_{field}"] for field in ("mean", "lo", "hi")), sign=True),
            *(number(row[f"{metric}_mean"]) for metric in others),
            f"{row['n_runs']} ({row['n_failed']} failed)" if row["n_failed"] else str(row["n_runs"]),
            seconds(row["fit_seconds"] + row["resample_seconds"]),
        ]
        for _, row in board.iterrows()
    ]


def _without_middle(text: str) -> str:
    """Return a cell on one line, its middle left out where it is too long."""
    text = " ".join(text.split())
    half = (MAX_LETTERS - 1) // 2
    return text if len(text) <= MAX_LETTERS else f"{text[:half]}…{text[-half:]}"


def _html_row(cells: Sequence[str], tag: str) -> str:
    html = [
        f'<{tag} style="{_CELL}{"left" if place in _LEFT else "right"}">{escape(cell)}</{tag}>'
        for place, cell in enumerate(cells)
    ]
    return f"<tr>{''.join(html)}</tr>"

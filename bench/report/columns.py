"""Tables for people: which columns a terminal has room for, and how wide each is.

A number is never cut or folded. Where not all columns have room, the least important ones are left out; only where
the most important ones have no room either, names are folded, at their hyphens and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

Row: TypeAlias = "pd.Series[Any]"  # one row of a frame, by column
GAP = 2  # blanks between two columns
PROSE = 24  # columns that a text of several words should have
NAME_WIDTH = 8  # columns that a name keeps when it is folded


@dataclass(frozen=True)
class Column:
    """One column as text: its heading, its cells, what they are, and its importance (0: never left out).

    A number stands to the right and is never folded; a name is folded where there is no other way; prose is wrapped
    at its words.
    """

    head: str
    cells: Sequence[str]
    kind: Literal["number", "name", "prose"] = "number"
    importance: int = 0

    @property
    def widest(self) -> int:
        """The width of the longest cell or the heading."""
        return max(map(cell_len, (self.head, *self.cells)))

    @property
    def needed(self) -> int:
        """The width below which a number, a name or a word would be cut; a heading may take several lines."""
        if self.kind == "name":
            return self.widest
        if self.kind == "number":
            return max(map(cell_len, (*_pieces(self.head), *self.cells)))
        words = [word for text in (self.head, *self.cells) for word in text.split()]
        return max(min(PROSE, self.widest), *map(cell_len, words or [""]))


def needed(columns: Sequence[Column]) -> int:
    """Return the width in which every column has what it needs."""
    return sum(column.needed for column in columns) + GAP * (len(columns) - 1)


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that `width` has room for, in their order; the more important ones are asked first."""
    kept = [column for column in columns if column.importance == 0]
    for column in sorted(columns, key=lambda column: column.importance):
        if column.importance > 0 and needed([*kept, column]) <= width:
            kept.append(column)
    return [column for column in columns if column in kept]


def table(columns: Sequence[Column], width: int) -> Table:
    """Return the columns as a rich table no wider than `width`, if their numbers leave room for that."""
    widths = _widths(columns, width)
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for column, wide in zip(columns, widths, strict=True):
        right = column.kind == "number"
        grid.add_column(
            Text(folded(column.head, wide)),
            width=wide,
            overflow="fold",
            justify="right" if right else "left",
            no_wrap=right,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        grid.add_row(
            *(
                Text(folded(cell, wide) if column.kind == "name" else cell)
                for cell, column, wide in zip(row, columns, widths, strict=True)
            )
        )
    return grid


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return each column's width: what it needs, prose and then names less where they must, and what is left to both.

    Prose gives way first: its longest words are broken before a name is folded.
    """
    widths = [column.needed for column in columns]
    over = needed(columns) - width
    for kind, least in (("prose", PROSE), ("name", NAME_WIDTH), ("prose", NAME_WIDTH)):
        for i, column in enumerate(columns):
            if over > 0 and column.kind == kind:
                less = min(over, max(0, widths[i] - least))
                widths[i], over = widths[i] - less, over - less
    left = max(0, -over)
    for i in sorted(range(len(columns)), key=lambda i: columns[i].kind == "prose"):  # headings, then prose
        more = min(left, max(0, columns[i].widest - widths[i]))
        widths[i], left = widths[i] + more, left - more
    return widths


def folded(name: str, width: int) -> str:
    """Return the name in lines of at most `width` characters, broken after hyphens and brackets where that goes."""
    lines = [""]
    for piece in _pieces(name):
        if lines[-1] and cell_len(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def _pieces(name: str) -> list[str]:
    return re.findall(r"[^-/\[(,]*[-/\[(,]|[^-/\[(,]+$", name)

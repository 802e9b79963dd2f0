"""One regenerated table with its texts and figures: where they belong, how they are written, and which are stale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from bench.disk import read_bytes, write_text
from bench.report import figures, swept, tuned
from bench.report import leaderboard as boards
from bench.report.selection import Measured
from bench.store.folder import Store


@dataclass(frozen=True)
class Board:
    """One regenerated table: its frame, where its parquet belongs, texts and figures by path, other scopes' records.

    `is_leaderboard` is true of what `bench run` writes itself.
    """

    frame: pd.DataFrame
    path: Path
    texts: dict[Path, str]
    figures: dict[Path, figures.Drawing] = field(default_factory=dict)
    n_other_records: int = 0
    is_leaderboard: bool = False

    def write(self) -> list[Path]:
        """Write the parquet, every text and every figure; return the paths."""
        boards.write(self.frame, self.path)
        for path, text in self.texts.items():
            write_text(path, text)
        drawn = [file for path, figure in self.figures.items() for file in figure.write(path)]
        return [self.path, *self.texts, *drawn]

    @property
    def files(self) -> list[Path]:
        """Every file that is written."""
        return [
            self.path,
            *self.texts,
            *(file for path, figure in self.figures.items() for file in figure.paths(path)),
        ]

    def faults(self, *, whole: bool) -> list[Path]:
        """Return the files that a check finds fault with: those that are `stale`.

        Of a folder that is not kept `whole`, what `bench tables` alone makes may be missing.
        """
        expected = [self.path, *self.texts] if self.is_leaderboard else []
        return [path for path in self.stale() if whole or path.exists() or path in expected]

    def stale(self) -> list[Path]:
        """Return the files that are missing or are not what the records give; of a figure, by the numbers in it."""
        texts = [path for path, text in self.texts.items() if read_bytes(path) != text.encode()]
        drawn = [file for path, figure in self.figures.items() for file in figure.stale(path)]
        return [*([] if boards.same(self.frame, self.path) else [self.path]), *texts, *drawn]


def tuned_board(table: Measured, leaderboard_path: Path, results: Path) -> Board:
    """Return the table of tuned arms beside their defaults, of a leaderboard that lies there."""
    frame = tuned.tuned(table)
    path = tuned.beside(leaderboard_path)
    return Board(frame, path, {path.with_suffix(".md"): tuned.markdown(frame, table, results)})


def prevalence_board(store: Store, name: str, tables: Mapping[str, Measured]) -> Board | None:
    """Return effect against prevalence with its figure, of a data set's `tables` by protocol; None without a sweep."""
    frame = swept.by_prevalence(tables)
    if frame.empty:
        return None
    path = store.root / "leaderboards" / f"{name}-prevalence.parquet"
    title = f"{name}: effect against prevalence"
    drawn = {}
    if frame["control"].notna().any():
        metric = swept.SWEPT_METRICS[0]
        draw = partial(swept.draw_prevalence, frame, title, metric)
        drawn[path.with_suffix("")] = figures.Drawing(figures.numbers_sha256(frame), draw)
    return Board(frame, path, {path.with_suffix(".md"): swept.markdown(frame, name)}, figures=drawn)

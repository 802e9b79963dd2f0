"""Every table and figure, from the stored records alone: what `bench tables` writes and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from bench import compact
from bench.cards import card, dataset_names
from bench.errors import UnknownName
from bench.report import alpha, figures, findings, ladder, page, sides
from bench.report import leaderboard as boards
from bench.report.records import Measured, board_path, measure_tables
from bench.report.tables import FORMATS
from bench.splits import protocol_named
from bench.store import Store, write_text


@dataclass(frozen=True)
class Board:
    """One regenerated table: its frame, where its parquet belongs, texts and figures by path, other scopes' records."""

    frame: pd.DataFrame
    path: Path
    texts: dict[Path, str]
    figures: dict[Path, Callable[[], Any]] = field(default_factory=dict)
    n_other_records: int = 0

    def write(self) -> list[Path]:
        """Write the parquet, every text and every figure; return the paths."""
        boards.write(self.frame, self.path)
        for path, text in self.texts.items():
            write_text(path, text)
        drawn = [made for path, draw in self.figures.items() for made in figures.save(draw(), path)]
        return [self.path, *self.texts, *drawn]

    def stale(self) -> list[Path]:
        """Return the files that are missing or are not what the records give; of a figure, that it is missing.

        A figure shows a frame that is checked; its bytes are the drawing library's.
        """
        texts = [
            path
            for path, text in self.texts.items()
            if not path.exists() or path.read_bytes() != text.encode()
        ]
        drawn = [
            path.with_suffix(form)
            for path in self.figures
            for form in (".svg", ".png")
            if not path.with_suffix(form).exists()
        ]
        return [*([] if boards.same(self.frame, self.path) else [self.path]), *texts, *drawn]


def regenerate(
    results: Path,
    *,
    read_only: bool = False,
    dataset: str | None = None,
    protocol: str | None = None,
    formats: Sequence[str] = (),
) -> list[Board]:
    """Return every table that the records of `results` give, without writing any.

    A leaderboard for each data set and protocol, with the grid of MetaBalance as a heat map and a table of its inner
    rates where they were run; for a set with records of both, the table of `published` beside `strict`; the ladder of
    repairs where it was climbed. The same of the folder `alpha` within. With compact records, and unless a data set or
    protocol is asked for, the page of findings. Without `formats` leaderboards are Markdown, the table of both
    protocols LaTeX and CSV too, and what is there in another format is made again.

    Where records of several scopes share a data set and protocol, the scope of the leaderboard that is there is
    shown, else the one that finished last.
    Raises UnknownName for a data set, protocol or format that is not there.
    """
    store = Store(results, read_only=read_only)
    protocol = protocol_named(protocol).name if protocol else None
    for kind, asked, known in (
        ("data set with records", dataset, store.datasets()),
        *(("format", name, list(FORMATS)) for name in formats),
    ):
        if asked is not None and asked not in known:
            raise UnknownName(kind, asked, known)
    tables, sweeps = (
        {name: measure_tables(of, name, protocol) for name in of.datasets() if dataset in (None, name)}
        for of in (store, _sweeps(store))
    )
    made: list[Board] = []
    for of, found in ((_sweeps(store), sweeps), (store, tables)):
        for name, by_protocol in found.items():
            made += _boards(of, name, by_protocol, formats)
            if protocol is None and found is tables:
                made += _across_protocols(of, name, by_protocol, formats)
    if dataset is None and protocol is None and store.has_compact():
        claims = findings.findings(tables, sweeps)
        texts = {results / "README.md": page.markdown(claims, tables, sweeps)}
        made.append(Board(claims, results / "leaderboards" / "findings.parquet", texts))
    return made


def _sweeps(store: Store) -> Store:
    """Return the store of the sweeps of MetaBalance's inner rate, within another's folder."""
    return Store(store.root / "alpha", read_only=store.read_only)


def compact_records(results: Path, dataset: str | None = None) -> list[Path]:
    """Write the compact records and noise of every data set in `results` (or of one); return the paths.

    They are those of the tables that `regenerate` gives. Raises UnknownName for a data set without records.
    """
    store = Store(results)
    if dataset is not None and dataset not in store.datasets():
        raise UnknownName("data set with records", dataset, store.datasets())
    made = []
    for of in (store, _sweeps(store)):
        for name in of.datasets():
            if dataset in (None, name):
                found = measure_tables(of, name).values()
                parts = [([*chain(*table.records.values())], table.replicates) for table in found]
                made += compact.write(of, name, parts)
    return made


def _forms(path: Path, asked: Sequence[str], *always: str) -> list[str]:
    """Return the formats asked for, else those that are written always and those that are there."""
    there = [form for form in FORMATS if path.with_suffix(f".{form}").exists()]
    return [form for form in FORMATS if form in (asked or {*always, *there})]


def _boards(
    store: Store, name: str, found: Mapping[str, Measured], formats: Sequence[str]
) -> Iterator[Board]:
    for judged, of in found.items():
        frame = boards.leaderboard(of)
        if frame.empty:  # every run's scores were damaged
            continue
        path = board_path(store, name, judged)
        texts = {path.with_suffix(f".{form}"): FORMATS[form](frame) for form in _forms(path, formats, "md")}
        yield Board(frame, path, texts, _grid(frame, path), of.n_others)
        sweep = alpha.alpha(of)
        if not sweep.empty:
            path = path.with_name(f"{path.stem}-alpha.parquet")
            yield Board(sweep, path, {path.with_suffix(".md"): alpha.markdown(sweep, name, judged)})


def _grid(frame: pd.DataFrame, path: Path) -> dict[Path, Callable[[], Any]]:
    """Return the heat map of the leaderboard's grid, if it has one."""
    name, judged = frame[["dataset", "protocol"]].iloc[0]
    metric = protocol_named(judged).main_metric
    grid = figures.grid_of(frame, metric)
    if grid.empty:
        return {}
    title = f"MetaBalance by samplers: {name}, {judged}"
    return {path.with_name(f"{path.stem}-grid"): lambda: figures.draw_grid(grid, title, metric)}


def _across_protocols(
    store: Store, name: str, found: Mapping[str, Measured], formats: Sequence[str]
) -> Iterator[Board]:
    folder = store.root / "leaderboards"
    both = sides.sides(found)
    if not both.empty:
        path = folder / f"{name}-sides.parquet"
        forms = _forms(path, formats, *FORMATS)
        yield Board(both, path, {path.with_suffix(f".{f}"): sides.FORMATS[f](both, name) for f in forms})
    if name not in dataset_names():
        return
    climbed = ladder.ladder(found, card(name))
    if climbed.empty or climbed["rung"].nunique() < 3:  # published and strict alone are no ladder
        return
    path = folder / f"{name}-ladder.parquet"
    title = f"{name}: from published to strict, one repair at a time"
    drawn = {path.with_suffix(""): lambda: figures.draw_ladder(climbed, title)}
    yield Board(climbed, path, {path.with_suffix(".md"): ladder.markdown(climbed, name)}, figures=drawn)

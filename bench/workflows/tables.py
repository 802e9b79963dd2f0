"""Every table and figure, from the stored records alone: what `bench tables` writes and checks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd

from bench.arms.spelling import is_tuned
from bench.data.cards import card, dataset_names
from bench.disk import read_bytes
from bench.errors import BadStore, UnknownName
from bench.names import slug
from bench.paper import alpha, claims, ladder, page, sides
from bench.paper.figures import draw_grid, draw_ladder, grid_of
from bench.protocols import main_metric_of, protocol_if_known
from bench.protocols.strict import thinned_to
from bench.report import charts, figures, ledger
from bench.report import leaderboard as boards
from bench.report.render import FORMATS
from bench.report.selection import Measured, board_path, measure_tables, protocol_asked
from bench.stats.bootstrap import Replicates
from bench.store import compact
from bench.store.folder import PUBLISHED, SWEEPS, Store, published_beside
from bench.store.schema import Record
from bench.tuning.configurations import read_tuned
from bench.tuning.trials import Studied, TrialStore
from bench.workflows.pages import Board, prevalence_board, tuned_board

SVG = ("svg",)  # the figures of studies, which no page shows


@dataclass(frozen=True)
class Remade:
    """All tables of a command: those with a fault are `stale`, and `unmade` are files among them of no record."""

    boards: list[Board]
    stale: list[Path]
    unmade: list[Path]

    @property
    def without_file(self) -> list[str]:
        """The protocols of leaderboards that are not known here, so that average precision ranks."""
        names = dict.fromkeys(
            board.frame["protocol"].iloc[0] for board in self.boards if board.is_leaderboard
        )
        return [name for name in names if protocol_if_known(name) is None]


def remake(
    results: Path, dataset: str | None, protocol: str | None, formats: Sequence[str], *, check: bool
) -> Remade:
    """Return every table that the records give (`regenerate`), for a check also of what is published beside them."""
    remade = Remade([], [], [])
    for folder in table_folders(results, dataset, check=check):
        if folder != results and protocol and protocol_if_known(protocol) is None:
            continue  # what is published has protocols of bench alone
        boards = regenerate(folder, read_only=check, dataset=dataset, protocol=protocol, formats=formats)
        remade.boards.extend(boards)
        whole = not check or is_kept_whole(folder)
        remade.stale.extend(path for board in boards for path in board.faults(whole=whole))
        if check and not (dataset or protocol or formats):
            remade.unmade.extend(orphans(folder, boards))
    return remade


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

    Only data sets and protocols with records in `results` itself have tables; published records beside it stand in
    them too. Where records of several scopes share a data set and protocol, the scope of the leaderboard that is there
    is shown, else the one that finished last.
    Raises UnknownName for a data set, protocol or format that is not there.
    """
    store = Store(results, read_only=read_only)
    protocol = protocol_asked(store, protocol) if protocol else None
    for kind, asked, known in (
        ("data set with records", dataset, _names(store)),
        *(("format", name, list(FORMATS)) for name in formats),
    ):
        if asked is not None and asked not in known:
            raise UnknownName(kind, asked, known)
    tables, sweeps = (
        {name: measure_tables(home, name, protocol) for name in home.datasets() if dataset in (None, name)}
        for home in (store, _sweeps(store))
    )
    all_boards = _sweeps_and_boards(store, tables, sweeps, formats, across=protocol is None)
    for name in TrialStore(results).datasets() if protocol is None else ():
        all_boards += study_boards(results, name) if dataset in (None, name) else []
    if dataset is None and protocol is None and store.has_compact() and results.name != SWEEPS:
        board = claims.findings(tables, sweeps)
        texts = {_page_at(results / "README.md"): page.markdown(board, tables, sweeps)}
        all_boards.append(Board(board, results / "leaderboards" / "findings.parquet", texts))
    return all_boards


def _sweeps_and_boards(
    store: Store, tables: claims.Tables, sweeps: claims.Tables, formats: Sequence[str], *, across: bool
) -> list[Board]:
    """Return the tables of a folder's sweeps, then its own: by protocol, and those `across` protocols."""
    all_boards: list[Board] = []
    for home, by_dataset in ((_sweeps(store), sweeps), (store, tables)):
        for name, by_protocol in by_dataset.items():
            own = {protocol: table for protocol, table in by_protocol.items() if table.own}
            all_boards += _boards(home, name, own, formats)
            swept = (
                prevalence_board(home, name, by_protocol) if across and any(map(thinned_to, own)) else None
            )
            all_boards += [swept] if swept else []
            # A folder of sweeps has boards alone: the tables across protocols are made where it lies in.
            if across and home is store and sides.are_of_paper(own) and store.root.name != SWEEPS:
                all_boards += _across_protocols(home, name, by_protocol, formats)
    return all_boards


def table_folders(results: Path, dataset: str | None = None, *, check: bool) -> list[Path]:
    """Return the folders whose tables are made: `results`, and for a check also what is published beside it.

    With `dataset` those of them that have records or studies of it. Raises UnknownName for one that is no card either.
    """
    published = None if results.name == SWEEPS else published_beside(results)  # it has its own check
    names = {folder: _names(Store(folder)) for folder in (results, *([published] if published else []))}
    _check_known(dataset, chain(*names.values()))
    wanted = [folder for folder, known in names.items() if dataset is None or dataset in known]
    return [folder for folder in wanted if check or folder == results]


def _check_known(dataset: str | None, recorded: Iterable[str]) -> None:
    """Raise UnknownName for a data set that has no card and is none of those with records."""
    known = sorted({*recorded, *dataset_names()})
    if dataset is not None and dataset not in known:
        raise UnknownName("data set", dataset, known)


def is_kept_whole(results: Path) -> bool:
    """Return whether a table that is missing from the folder is a fault: of what is published, every one is there."""
    return PUBLISHED in (results.name, results.parent.name)


def orphans(results: Path, all_boards: Sequence[Board]) -> list[Path]:
    """Return the files among the leaderboards that no record makes, `all_boards` being all that there is to make."""
    known = {path for board in all_boards for path in board.files}
    folders = (results / "leaderboards", _sweeps(Store(results)).root / "leaderboards")
    return sorted(path for folder in folders for path in folder.glob("*.*") if path not in known)


def _sweeps(store: Store) -> Store:
    """Return the store of the sweeps of MetaBalance's inner rate, within another's folder."""
    return Store(store.root / SWEEPS, read_only=store.read_only)


def _datasets(store: Store) -> list[str]:
    return sorted({*store.datasets(), *_sweeps(store).datasets()})


def _names(store: Store) -> list[str]:
    """Return the data sets that this folder has records or studies of."""
    return sorted({*_datasets(store), *TrialStore(store.root).datasets()})


def compact_records(results: Path, dataset: str | None = None) -> list[Path]:
    """Write the compact records and noise of every data set in `results` (or of one); return the paths.

    They are those of the tables that `regenerate` gives; none for a data set without records. Raises UnknownName for
    one that has no card either.
    """
    store = Store(results)
    _check_known(dataset, [*_names(store), *store.all_datasets()])
    written = []
    for home in (store, _sweeps(store)):
        for name in home.datasets():
            if dataset in (None, name):
                parts = [_own_part(table) for table in measure_tables(home, name).values() if table.own]
                if not parts:  # a folder without a record that can be read
                    continue
                _check_nothing_lost(home, name, {record.key for records, _ in parts for record in records})
                written += compact.write(home, name, parts, None if home is store else alpha.PAPER_METRICS)
    return written


def _own_part(table: Measured) -> tuple[list[Record], dict[str, Replicates]]:
    """Return the records of a table that are in the results folder itself, and their arms' replicates."""
    records = [
        record for arm, its_records in table.records.items() if arm in table.own for record in its_records
    ]
    return records, {arm: reps for arm, reps in table.replicates.items() if arm in table.own}


def _page_at(path: Path) -> Path:
    """Return where the page of findings belongs; raise BadStore where something else lies there."""
    if path.exists() and not read_bytes(path).startswith(page.TITLE.encode()):
        raise BadStore(f"{path} is no page of bench, and the findings belong there. Move it away first.")
    return path


def _check_nothing_lost(store: Store, name: str, keys: set[str]) -> None:
    """Raise BadStore where the compact records that are there hold some that the new ones would not."""
    path = store.compact_path(name, "records")
    lost = [record for record in store.read_compact(name) if record.key not in keys] if path.exists() else []
    if lost:
        arms = list(dict.fromkeys(record.arm for record in lost))
        raise BadStore(
            f"{path} holds {len(lost)} records that are not among the new ones, of {len(arms)} arms, {arms[0]} first: "
            f"the runs there are now are of other splits, or fewer. Run them all, or move {path.parent} away first."
        )


def _forms(path: Path, asked: Sequence[str], *always: str) -> list[str]:
    """Return the formats asked for, else those that are written always and those that are there."""
    existing = [form for form in FORMATS if path.with_suffix(f".{form}").exists()]
    return [form for form in FORMATS if form in (asked or {*always, *existing})]


def _boards(
    store: Store, name: str, tables: Mapping[str, Measured], formats: Sequence[str]
) -> Iterator[Board]:
    """Yield the tables that one protocol's records make, of each protocol among `tables`."""
    for protocol, table in tables.items():
        frame = boards.leaderboard(table)
        if frame.empty:  # every run's scores were damaged
            continue
        leaderboard_path = path = board_path(store, name, protocol)
        sweep = alpha.alpha(table)
        # A sweep has a table of its own, and a leaderboard where bench run wrote one.
        if sweep.empty or path.exists():
            texts = {
                path.with_suffix(f".{form}"): FORMATS[form](frame) for form in _forms(path, formats, "md")
            }
            yield Board(frame, path, texts, _grid(frame, path), table.n_others, is_leaderboard=True)
        if not sweep.empty:
            path = path.with_name(f"{path.stem}-alpha.parquet")
            yield Board(sweep, path, {path.with_suffix(".md"): alpha.markdown(sweep, name, protocol)})
        if any(is_tuned(arm) for arm in table.own):
            yield tuned_board(table, leaderboard_path, store.root)


def current(
    results: Path, dataset: str, arms: Collection[str] | None = None, *, published: bool = False
) -> list[Studied]:
    """Return the studies of a data set that count: of each arm and fold the one whose configuration is kept.

    Of these arms, or of all; with those published beside `results`, or without. They are of one scope: of other splits
    than the study that went on last there are none.
    """
    kept = {entry.study for entry in read_tuned(results, dataset)}
    store = TrialStore(results)
    studies = store.with_published(dataset) if published else store.studies(dataset)
    return ledger.latest((studied for studied in studies if arms is None or studied.study.arm in arms), kept)


def study_boards(results: Path, dataset: str) -> list[Board]:
    """Return what the studies of a data set took and gave: the ledger, its curves and importances; none without any."""
    studied = current(results, dataset)
    board = ledger.ledger(studied)
    if board.empty:
        return []
    path = results / "tuned" / f"{dataset}-ledger.parquet"
    drawn = {}
    curves, shares = ledger.curves(studied), ledger.importances(studied)
    title, metric = f"{dataset}: what tuning gave on validation rows", str(board["metric"].iloc[0])
    drawing = figures.Drawing(
        figures.numbers_sha256(curves), partial(charts.draw_curves, curves, title, metric), SVG
    )
    drawn[path.with_name(f"{dataset}-curves")] = drawing
    if not shares.empty:
        words = f"{dataset}: importance of parameters (PED-ANOVA, mean over folds)"
        drawing = figures.Drawing(
            figures.numbers_sha256(shares), partial(charts.draw_importances, shares, words), SVG
        )
        drawn[path.with_name(f"{dataset}-importances")] = drawing
    return [Board(board, path, {path.with_suffix(".md"): ledger.markdown(board)}, drawn)]


def _grid(frame: pd.DataFrame, path: Path) -> dict[Path, figures.Drawing]:
    """Return the heat map of the leaderboard's grid, if it has one."""
    name, judged = frame[["dataset", "protocol"]].iloc[0]
    metric = main_metric_of(judged)
    grid = grid_of(frame, metric)
    if grid.empty:
        return {}
    title = f"MetaBalance by samplers: {name}, {judged}"
    drawing = figures.Drawing(figures.numbers_sha256(grid), lambda: draw_grid(grid, title, metric))
    return {path.with_name(f"{path.stem}-grid"): drawing}


def _across_protocols(
    store: Store, name: str, tables: Mapping[str, Measured], formats: Sequence[str]
) -> Iterator[Board]:
    folder = store.root / "leaderboards"
    both = sides.sides(tables)
    if not both.empty:
        path = folder / f"{name}-sides.parquet"
        forms = _forms(path, formats, *FORMATS)
        yield Board(both, path, {path.with_suffix(f".{f}"): sides.WRITERS[f](both, name) for f in forms})
    if name not in dataset_names():
        return
    climbed = ladder.ladder(tables, card(name))
    if climbed.empty or climbed["rung"].nunique() < 3:  # published and strict alone are no ladder
        return
    path = folder / f"{name}-ladder.parquet"
    title = f"{name}: from published to strict, one repair at a time"
    drawing = figures.Drawing(figures.numbers_sha256(climbed), lambda: draw_ladder(climbed, title))
    drawn = {path.with_suffix(""): drawing}
    yield Board(climbed, path, {path.with_suffix(".md"): ladder.markdown(climbed, name)}, figures=drawn)


def draw_slices(results: Path, studied: Sequence[Studied]) -> list[Path]:
    """Draw the slices through the trials of every arm; return the paths, in the studies' own folder."""
    paths: list[Path] = []
    for arm, studies in ledger.by_arm(studied).items():
        trials, dataset = ledger.slices(studies), studies[0].study.dataset
        if trials.empty:
            continue
        scales = {
            name: json.loads(text)["attributes"].get("log", False)
            for name, text in studies[0].study.space.items()
        }
        title = f"{dataset}, {arm}: gain over the default on inner folds, all folds"
        path = results / "studies" / "slices" / f"{dataset}-{slug(arm)}"
        draw = partial(charts.draw_slices, trials, title, scales)
        paths += figures.Drawing(figures.numbers_sha256(trials), draw, SVG).write(path)
    return paths

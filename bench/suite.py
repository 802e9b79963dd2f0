"""One benchmark from a request to a leaderboard: what `bench run` and `bench.run` both are.

Resuming is not a mode: a plan is made, the keys whose records can be read are done, the rest is run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import pandas as pd
import torch

from bench.cards import Dataset, card, card_for_file
from bench.encode import MAX_CATEGORIES
from bench.errors import BadSetting, BadStore, UnknownName
from bench.evaluate import Result, Workbench, choose_device, configuration
from bench.execute import Reporter, execute
from bench.fetch import SOURCES, cache_folder
from bench.methods import method
from bench.names import FAILED, OK, cores
from bench.pack.config import NetworkConfig
from bench.pack.memory import BLOCK, fitting_members, free_bytes
from bench.pack.trial import try_kernel
from bench.published import as_published
from bench.report import leaderboard as boards
from bench.report.records import board_path, measured, newest, recipe, scope_at
from bench.report.tables import markdown
from bench.runs import Run, adjust_all, packs, plan, select
from bench.splits import BIG_TABLE_ROWS, protocol_named, split
from bench.splits import Protocol as Judged
from bench.store import Store, write_text
from bench.tables import Table, load

MAX_RUNS = 1_000_000  # in one plan


@dataclass(frozen=True)
class Request:
    """What is asked of a benchmark; None takes the protocol's default. `settings` are `--set` pairs as text."""

    dataset: str | None = None
    data_file: Path | None = None
    target: str | None = None
    positive: str | None = None
    drop: tuple[str, ...] = ()
    time: str | None = None
    amount: str | None = None
    rows: int | None = None
    source: str = "auto"
    protocol: str = "strict"
    matrix: str | None = None
    arms: tuple[str, ...] = ()
    arms_file: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    seeds: int | None = None
    folds: int | None = None
    repeats: int | None = None
    device: str = "auto"
    pack: int | None = None
    workers: int | None = None
    shard: tuple[int, int] | None = None
    timeout: float | None = None
    results: Path = Path("results")
    retry_failed: bool = False

    def __post_init__(self) -> None:
        """Take text for paths, and refuse one name where a list of names belongs."""
        for name in ("data_file", "arms_file", "results"):
            if isinstance(given := getattr(self, name), str):
                object.__setattr__(self, name, Path(given))
        for name in ("arms", "drop"):
            if isinstance(given := getattr(self, name), str):
                raise BadSetting(f"{name}={given!r}: give a list of names, [{given!r}].")


@dataclass(frozen=True)
class Plan:
    """What a request comes to: all runs, those still to do, and the packs they are done in."""

    request: Request
    table: Table
    bench: Workbench
    runs: list[Run]
    todo: list[Run]
    packs: list[list[Run]]
    workers: int
    notes: list[str]
    began: float


@dataclass(frozen=True)
class Outcome:
    """What a benchmark ended with; `failed` are all wanted runs whose record is not ok.

    `shares` says where the time went, by stage; they sum to 1.
    """

    leaderboard: pd.DataFrame
    path: Path
    n_runs: int
    n_done_before: int
    failed: list[Result]
    seconds: float
    budget: str
    arms: list[str]
    shares: dict[str, float]


class FullReporter(Reporter, Protocol):
    """A reporter that is also told what there is to do, and of downloads."""

    def planned(self, n_todo: int, n_done: int, n_packs: int) -> None:
        """Take note of the work ahead."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """Take note of a download's progress in bytes."""

    def note(self, text: str) -> None:
        """Tell the user one line."""


def the_card(request: Request) -> Dataset:
    """Return the card that the request means; raise BadSetting where it means none."""
    if request.dataset is not None:
        given = [name for name in ("target", "positive", "drop", "time", "amount") if getattr(request, name)]
        if given:
            raise BadSetting(
                f"--{given[0]} goes with a file of your own; {request.dataset!r} has a card that says it already. "
                "Leave out --dataset to run the file under its own name."
            )
        return card(request.dataset)
    if request.data_file is None:
        raise BadSetting(
            "Say what to run on: --dataset NAME (bench list datasets), or --data-file F --target COLUMN."
        )
    if request.target is None:
        raise BadSetting(f"Which column of {request.data_file.name} is the label? Say --target COLUMN.")
    return card_for_file(
        request.data_file,
        request.target,
        positive=request.positive,
        drop=request.drop,
        time=request.time,
        amount=request.amount,
    )


def make_plan(
    request: Request, download: Callable[..., None] | None = None, *, dry_run: bool = False
) -> Plan:
    """Load the table, split it and list the runs; nothing is trained. Every usage error comes from here.

    A dry run changes nothing in the results folder.
    """
    began = time.perf_counter()
    protocol = protocol_named(request.protocol)
    if request.source not in SOURCES:
        raise UnknownName("source", request.source, SOURCES)
    chosen = the_card(request)
    early = select(
        request.matrix, request.arms, request.arms_file, has_probability=chosen.simulator is not None
    )
    arms = [as_published(arm, chosen, protocol) for arm in adjust_all(early, request.settings)]
    device = choose_device(request.device)
    if any(method(arm.method).STATIC is not None for arm in arms):
        try_kernel(torch.empty(0, device=device))
    workers = _workers(request, device)
    store = Store(request.results, read_only=dry_run)
    if store.compact_path(chosen.name, "records").exists():
        store.read_compact(chosen.name)  # a damaged file is told before anything is trained
    if not dry_run:
        store.check_writable()
        cache_folder()
    table = load(
        chosen, data_file=request.data_file, source=request.source, rows=request.rows, progress=download
    )
    seeds = _seeds(table, protocol) if request.seeds is None else request.seeds
    _check_size(len(arms), seeds, (request.folds or protocol.folds) * (request.repeats or protocol.repeats))
    splits = split(table, protocol, folds=request.folds, repeats=request.repeats)
    runs = plan(table, protocol, splits, arms, seeds)
    _check_validation(runs, protocol)
    mine = _shard(runs, request.shard)
    todo = [run for run in mine if not _is_done(store, run, retry_failed=request.retry_failed)]
    notes = [f"{table.name}: {table.n_rows:,} rows, {table.n_positives:,} positives ({table.prevalence:.4%})"]
    if request.seeds is None and table.n_rows > BIG_TABLE_ROWS and not protocol.is_published:
        notes.append(
            f"more than {BIG_TABLE_ROWS:,} rows: {seeds} seed per fold by default; --seeds N asks for more"
        )
    by_hash = {part.sha256: part for part in splits}
    bench = Workbench(table, by_hash, store, device, since=time.time(), protocol=protocol.name)
    limit = partial(_members_that_fit, table, workers) if device == "cuda" else None
    grouped = packs(todo, pack=request.pack, workers=workers, limit=limit)
    return Plan(request, table, bench, mine, todo, grouped, workers, notes, began)


def _check_validation(runs: Sequence[Run], protocol: Judged) -> None:
    """Raise BadSetting where a network chooses on validation rows and the protocol holds none out."""
    for run in () if protocol.validates else {run.arm: run for run in runs}.values():
        config = configuration(run)
        if isinstance(config, NetworkConfig) and config.needs_validation:
            raise BadSetting(
                f"{run.arm} chooses its best step or rate on validation rows, and {protocol.name} holds none out: "
                'set keep="last", or run published+early-stopping.'
            )


def _seeds(table: Table, protocol: Judged) -> int:
    if protocol.is_published and not protocol.has("stratified") and table.card.published:
        return table.card.published.seeds
    return protocol.default_seeds(table.n_rows)


def _members_that_fit(table: Table, workers: int, runs: Sequence[Run]) -> int:
    """Return how many of the runs a worker's share of a GPU's free memory holds at once.

    A pack that proves too large is halved.
    """
    config = configuration(runs[0])
    if not isinstance(config, NetworkConfig):
        return len(runs)
    most_features = 2 * len(table.numeric) + (MAX_CATEGORIES + 1) * len(table.categorical)
    return fitting_members(config, most_features, free_bytes("cuda") // max(1, workers), BLOCK)


def _workers(request: Request, device: str) -> int:
    if request.pack is not None and request.pack < 1:
        raise BadSetting(f"--pack {request.pack}: a pack has at least one member.")
    if request.workers is not None and request.workers < 0:
        raise BadSetting(f"--workers {request.workers}: 0 (this process) or more.")
    if request.timeout is not None and (not request.timeout > 0 or request.workers == 0):
        raise BadSetting(
            "--timeout needs a positive number of seconds and at least one worker process to end."
        )
    if request.workers is not None:
        return request.workers
    return 1 if device == "cuda" else cores()


def _check_size(n_arms: int, seeds: int, n_splits: int) -> None:
    if n_arms * seeds * n_splits > MAX_RUNS:
        raise BadSetting(
            f"{n_arms:,} arms × {n_splits:,} splits × {seeds:,} seeds are {n_arms * n_splits * seeds:,} runs; "
            f"more than {MAX_RUNS:,} at once cannot be meant. Ask for fewer --seeds, --folds or --repeats."
        )


def _shard(runs: list[Run], shard: tuple[int, int] | None) -> list[Run]:
    """Return shard i of n (1 ≤ i ≤ n): the runs whose key falls to it, on whatever machine."""
    if shard is None:
        return runs
    i, n = shard
    if not 1 <= i <= n:
        raise BadSetting(f"--shard {i}/{n}: asked for shard {i} of {n}; shards are numbered 1/{n} … {n}/{n}.")
    return [run for run in runs if int(run.key[:12], 16) % n == i - 1]


def _is_done(store: Store, run: Run, *, retry_failed: bool) -> bool:
    record = store.read(run.dataset, run.key)
    if record is None:
        return False
    if record["status"] != OK:
        return not retry_failed
    return store.scores_path(run.dataset, run.key).exists()


def run_plan(made: Plan, reporter: FullReporter) -> Outcome:
    """Do what is left of the plan and write the leaderboard of its scope, Markdown beside parquet."""
    started = time.perf_counter()
    reporter.planned(len(made.todo), len(made.runs) - len(made.todo), len(made.packs))
    results: list[Result] = []
    if made.packs:
        results = execute(
            made.bench, made.packs, reporter, workers=made.workers, timeout=made.request.timeout
        )
    executed = time.perf_counter()
    store = made.bench.store
    records = [r for r in store.records(made.table.name) if r["scope"] == made.runs[0].scope]
    wanted_recipes = {run.arm: recipe(run.columns) for run in made.runs}
    board = boards.leaderboard(measured(store, newest(records, wanted_recipes)))
    if board.empty:
        raise BadStore(
            f"No scores under {store.root} can be read; run the same command again to make them anew."
        )
    path = board_path(store, made.table.name, made.bench.protocol)
    if scope_at(path) not in (None, made.runs[0].scope):
        reporter.note(f"{path} stood on other rows or splits; it is replaced. Its records are kept.")
    boards.write(board, path)
    write_text(path.with_suffix(".md"), markdown(board))
    wanted = {run.key for run in made.runs}
    failed = [
        Result(r["key"], r["arm"], r["status"], r["error"])
        for r in records
        if r["key"] in wanted and r["status"] != OK
    ]
    lost = "its scores were damaged; they are in quarantine, and the same command runs it again"
    there = set(store.keys(made.table.name))
    failed += [Result(run.key, run.arm, FAILED, lost) for run in made.runs if run.key not in there]
    return Outcome(
        board,
        path,
        len(made.runs),
        len(made.runs) - len(made.todo),
        failed,
        time.perf_counter() - started,
        budget(made.runs),
        list(dict.fromkeys(run.arm for run in made.runs)),
        _shares(results, made, started - made.began, executed - started, time.perf_counter() - executed),
    )


def _shares(
    results: Sequence[Result], made: Plan, planning: float, executing: float, tabulating: float
) -> dict[str, float]:
    """Return the share of each stage in the command's time; workers' seconds count by their number.

    "waiting" is what workers spent on none of their stages: starting, importing, and being idle at the end.
    """
    workers = max(1, min(made.workers, len(made.packs)))
    stages: dict[str, float] = {}
    for result in results:
        for stage, seconds in result.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + seconds / workers
    stages["waiting"] = max(0.0, executing - sum(stages.values()))
    stages |= {"planning": planning, "tabulating": tabulating}
    total = sum(stages.values())
    return {stage: seconds / total for stage, seconds in sorted(stages.items(), key=lambda s: -s[1])}


def budget(runs: Sequence[Run]) -> str:
    """Return the network arms' budget in words: optimiser steps, rows per step, rows in all."""
    configs = [configuration(run) for run in {run.arm: run for run in runs}.values()]
    networks = [c for c in configs if isinstance(c, NetworkConfig)]
    if not networks:
        return "no network in this matrix"
    epochs = {(c.epochs, c.rows_per_step) for c in networks if c.epochs is not None}
    steps = {(c.steps, c.rows_per_step) for c in networks if c.epochs is None}
    words = [f"{n:,} epochs in steps of {r:,} rows" for n, r in sorted(epochs)]
    words += [f"{s:,} steps × {r:,} rows = {s * r:,} rows per network" for s, r in sorted(steps)]
    return "; ".join(words)

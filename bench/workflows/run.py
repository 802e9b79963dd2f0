"""One benchmark from a request to a leaderboard: what `bench run` and `bench.run` both are.

Resuming is not a mode: a plan is made, the keys whose records can be read are done, the rest is run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.arms.settings import configure
from bench.arms.spelling import is_tuned, marked
from bench.contract import Arm, Protocol, Result, SteppedConfig
from bench.data.cards import Dataset, Source
from bench.data.raw.fetch import to_fetch
from bench.data.split import BIG_TABLE_ROWS
from bench.data.table import Table
from bench.disk import write_text
from bench.errors import BadSetting, BadStore
from bench.methods import method
from bench.names import FAILED, OK, TUNED
from bench.report import leaderboard as boards
from bench.report import tuned as side_by_side
from bench.report.render import markdown
from bench.report.selection import Record, at_once, board_path, measured, newest, own_arms, recipe, scope_at
from bench.runs.engines.local import execute
from bench.runs.evaluate import Workbench, configuration
from bench.runs.prepare import FullReporter, Prepared, Request, prepare, resolve, seeds_per_split, the_card
from bench.runs.run import Run, packs, plan
from bench.store import compact
from bench.store.folder import Store
from bench.tuning.configurations import efforts, tuned_arms, tuned_for, tuned_path
from bench.tuning.space import tunable


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


@dataclass(frozen=True)
class Forecast:
    """What a dry run knows of a data set that is not here yet: where its file comes from, and runs by arm."""

    card: Dataset
    protocol: str
    sources: list[Source]
    arms: dict[str, int]
    notes: list[str]


def forecast(request: Request) -> Forecast | None:
    """Return what the card alone says of the request; None where the data are here or simulated.

    Nothing is fetched or written. Every usage error that needs no data is raised.
    """
    if request.data_file is not None or the_card(request).simulator is not None:
        return None
    resolved = resolve(request)
    chosen, protocol, arms = resolved.card, resolved.protocol, resolved.arms
    sources = to_fetch(chosen, request.source)
    if not sources:
        return None
    if request.rows is not None:
        raise BadSetting(
            f"{request.rows} rows were asked of {chosen.name!r}, but only simulated data can have any number."
        )
    configs = {arm.name: method(arm.method).config.model_validate(configure(arm)) for arm in arms}
    _check_validation(configs, protocol)
    expected = chosen.expected
    seeds, n_splits = seeds_per_split(request, resolved, expected.rows if expected else 0), resolved.n_splits
    names = [marked(arm, TUNED).name if request.tuned and tunable(arm) else arm.name for arm in arms]
    told = [
        f"{n_splits} {'split' if n_splits == 1 else 'folds'} × {seeds} seed{'s' if seeds > 1 else ''} per arm"
    ]
    if expected:
        told.insert(0, f"{expected.rows:,} rows, {expected.positives:,} positives by its card")
    if request.shard:
        told.append(f"of the runs below, --shard {request.shard[0]}/{request.shard[1]} does its part")
    return Forecast(chosen, protocol.name, sources, dict.fromkeys(names, n_splits * seeds), told)


def make_plan(
    request: Request, download: Callable[..., None] | None = None, *, dry_run: bool = False
) -> Plan:
    """Load the table, split it and list the runs; nothing is trained. Every usage error comes from here.

    A dry run changes nothing in the results folder.
    """
    began = time.perf_counter()
    compact.check(
        Store(request.results, read_only=True), the_card(request).name
    )  # or it is told after the training
    ready = prepare(request, download, read_only=dry_run)
    table, protocol, store = ready.table, ready.protocol, ready.store
    tuned, told = _tuned(ready, request, dry_run=dry_run)
    runs = plan(table, protocol, ready.splits, ready.arms, ready.seeds, tuned=tuned)
    _check_validation({arm: configuration(run) for arm, run in {r.arm: r for r in runs}.items()}, protocol)
    mine = _shard(runs, request.shard)
    todo = [run for run in mine if not _is_done(store, run, retry_failed=request.retry_failed)]
    notes = [ready.note, *told]
    if request.seeds is None and ready.seeds < (protocol.seeds or 0):
        notes.append(
            f"more than {BIG_TABLE_ROWS:,} rows: {ready.seeds} seed per fold by default; --seeds N asks for more"
        )
    by_hash = {part.sha256: part for part in ready.splits}
    bench = Workbench(table, by_hash, store, ready.device, since=time.time(), protocol=protocol)
    grouped = packs(todo, pack=request.pack, workers=ready.workers, limit=ready.limit)
    return Plan(request, table, bench, mine, todo, grouped, ready.workers, notes, began)


def _tuned(
    ready: Prepared, request: Request, *, dry_run: bool
) -> tuple[dict[tuple[str, str], Arm], list[str]]:
    """Return the tuned arms that a request for them runs, and what to say of them.

    Where some are not tuned a dry run says so; else raises BadSetting.
    """
    if not request.tuned:
        return {}, []
    dataset = ready.table.name
    known = tuned_for(ready, anyway=request.tuned_anyway)
    found, lacking, notes = tuned_arms(ready, known, anyway=request.tuned_anyway)
    if lacking and dry_run:
        notes.append(f"to tune first: {', '.join(arm.name for arm in lacking)}")
        for arm in lacking:
            for part in ready.splits:
                found.setdefault((arm.name, part.sha256), marked(arm, TUNED))
    elif lacking:
        raise BadSetting(
            f"{', '.join(arm.name for arm in lacking)}: not tuned for all folds of {dataset}. "
            f"bench study --dataset {dataset} --arm {lacking[0].name} does it."
        )
    if known and not tuned_path(request.results, dataset).exists():
        notes.append("the tuned configurations are the published ones")
    words = efforts(known, [arm.name for arm in ready.arms], [part.sha256 for part in ready.splits])
    if len(words) > 1:
        notes.append(f"the arms were not tuned with the same effort: {'; '.join(words)}")
    return found, notes


def _check_validation(configs: Mapping[str, Any], protocol: Protocol) -> None:
    """Raise BadSetting where an arm's network chooses on validation rows and the protocol holds none out."""
    for arm, config in () if protocol.validates else configs.items():
        if isinstance(config, SteppedConfig) and config.needs_validation:
            raise BadSetting(
                f"{arm} chooses its best step or rate on validation rows, and {protocol.name} holds none out: "
                'set keep="last", or run published+early-stopping.'
            )


def _shard(runs: list[Run], shard: tuple[int, int] | None) -> list[Run]:
    """Return shard i of n (1 ≤ i ≤ n): the runs whose key falls to it, on whatever machine."""
    if shard is None:
        return runs
    i, n = shard
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
    board, path, records = _tabulate(made, reporter)
    return Outcome(
        board,
        path,
        len(made.runs),
        len(made.runs) - len(made.todo),
        _failures(made, records),
        time.perf_counter() - started,
        budget(made.runs),
        list(dict.fromkeys(run.arm for run in made.runs)),
        _shares(results, made, started - made.began, executed - started, time.perf_counter() - executed),
    )


def _tabulate(made: Plan, reporter: FullReporter) -> tuple[pd.DataFrame, Path, list[Record]]:
    """Write the leaderboard of the plan's scope; return it, its path, and the records of that scope."""
    store, dataset, scope = made.bench.store, made.table.name, made.runs[0].scope
    all_records, own_keys = store.records(dataset), store.own_keys(dataset)
    if _published_elsewhere(all_records, own_keys, made):
        reporter.note(f"The published runs on {dataset} have other rows or splits: none stands beside yours.")
    records: list[Record] = [record for record in all_records if record["scope"] == scope]
    wanted_recipes = {at_once(run.columns): recipe(run.columns) for run in made.runs}
    table = measured(store, newest(records, wanted_recipes))
    board = boards.leaderboard(table)
    if board.empty:
        raise BadStore(
            f"No scores under {store.root} can be read; run the same command again to make them anew."
        )
    path = board_path(store, dataset, made.bench.protocol.name)
    if scope_at(path) not in (None, scope):
        reporter.note(f"{path} stood on other rows or splits; it is replaced. Its records are kept.")
    boards.write(board, path)
    write_text(path.with_suffix(".md"), markdown(board))
    if any(is_tuned(arm) for arm in own_arms(records, own_keys)):
        beside = side_by_side.beside(path)
        both = side_by_side.tuned(table)
        boards.write(both, beside)
        write_text(beside.with_suffix(".md"), side_by_side.markdown(both, table, store.root))
    return board, path, records


def _failures(made: Plan, records: Sequence[Record]) -> list[Result]:
    """Return the wanted runs that have no good record, each with the reason."""
    wanted = {run.key for run in made.runs}
    failed = [
        Result(record["key"], record["arm"], record["status"], record["error"])
        for record in records
        if record["key"] in wanted and record["status"] != OK
    ]
    lost = "its scores were damaged; they are in quarantine, and the same command runs it again"
    there = set(made.bench.store.keys(made.table.name))
    return failed + [Result(run.key, run.arm, FAILED, lost) for run in made.runs if run.key not in there]


def _published_elsewhere(records: Sequence[Record], own_keys: Collection[str], made: Plan) -> bool:
    """Return whether there are published runs under the plan's protocol, and none on its rows and splits."""
    scopes = {
        record["scope"]
        for record in records
        if record["protocol"] == made.bench.protocol.name and record["key"] not in own_keys
    }
    return bool(scopes) and made.runs[0].scope not in scopes


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
    budgets = {config.budget for config in configs if isinstance(config, SteppedConfig)}
    if not budgets:
        return "no network in this matrix"
    epochs = {(each.epochs, each.rows_per_step) for each in budgets if each.epochs is not None}
    steps = {(each.steps, each.rows_per_step) for each in budgets if each.steps is not None}
    words = [f"{n:,} epochs in steps of {r:,} rows" for n, r in sorted(epochs)]
    words += [f"{s:,} steps × {r:,} rows = {s * r:,} rows per network" for s, r in sorted(steps)]
    return "; ".join(words)

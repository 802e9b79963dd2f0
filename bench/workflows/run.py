"""From a request to a plan, and from the plan to records.

Resuming is not a mode: a plan is made, the keys whose records can be read are done, the rest is run. What the records
come to is made of them elsewhere (`bench.workflows.leaderboard`).
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from bench.arms.settings import configure
from bench.arms.spelling import marked
from bench.contract import Arm, Protocol, Result, SteppedConfig
from bench.data.cards import Dataset, Source
from bench.data.raw.fetch import to_fetch
from bench.data.split import BIG_TABLE_ROWS
from bench.data.table import Table
from bench.errors import BadPlugin, BadSetting
from bench.methods import method
from bench.names import OK, TUNED
from bench.networks.config import check_validation
from bench.plugins.guards import guard, is_of_bench
from bench.runs.card import the_card
from bench.runs.engines import engine_named
from bench.runs.outlook import Outlook
from bench.runs.prepare import FullReporter, Prepared, prepare, resolve, seeds_per_split
from bench.runs.request import Request
from bench.runs.run import Run, configuration, packs, plan
from bench.runs.workbench import Workbench
from bench.stats.metrics import metrics
from bench.store import compact
from bench.store.folder import Store
from bench.tuning.configurations import efforts, has_own, tuned_arms, tuned_for
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
class Execution:
    """What was run of a plan, and seconds: from the request to the first run, and of all runs together."""

    results: list[Result]
    planning_seconds: float
    seconds: float


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
    engine_named(request.engine)
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
    engine_named(request.engine)  # a fault of it, as of the compact records, is told before the training
    compact.check(Store(request.results, read_only=True), the_card(request).name)
    ready = prepare(request, download, read_only=dry_run)
    table, protocol, store = ready.table, ready.protocol, ready.store
    tuned, told = _tuned(ready, request, dry_run=dry_run)
    runs = plan(table, protocol, ready.splits, ready.arms, ready.seeds, tuned=tuned)
    _check_validation({arm: configuration(run) for arm, run in {r.arm: r for r in runs}.items()}, protocol)
    wanted = _shard(runs, request.shard)
    todo = [run for run in wanted if not _is_done(store, run, retry_failed=request.retry_failed)]
    notes = [*ready.notes, *told, *_not_measured(table, request)]
    if request.seeds is None and ready.seeds < (protocol.seeds or 0):
        notes.append(
            f"more than {BIG_TABLE_ROWS:,} rows: {ready.seeds} seed per fold by default; --seeds N asks for more"
        )
    by_hash = {part.sha256: part for part in ready.splits}
    bench = Workbench(table, by_hash, store, ready.device, since=time.time(), protocol=protocol)
    grouped = packs(todo, pack=request.pack, workers=ready.workers, limit=ready.limit)
    return Plan(request, table, bench, wanted, todo, grouped, ready.workers, notes, began)


def _not_measured(table: Table, request: Request) -> list[str]:
    """Return in words which metrics need a column that the table does not have."""
    own = request.data_file is not None or request.data is not None
    notes = []
    for name, metric in metrics().items():
        lacking = metric.lacks(table.row_columns)
        options = [
            f"--{column} COLUMN names it" for column in lacking if own and column in ("amount", "time")
        ]
        if lacking:
            hint = f" ({', '.join(options)})" if options else ""
            notes.append(f"{name} needs {' and '.join(lacking)} of each row{hint}, and is not measured")
    return notes


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
    tuned, lacking, notes = tuned_arms(ready, known, anyway=request.tuned_anyway)
    if lacking and dry_run:
        notes.append(f"to tune first: {', '.join(arm.name for arm in lacking)}")
        for arm in lacking:
            for part in ready.splits:
                tuned.setdefault((arm.name, part.sha256), marked(arm, TUNED))
    elif lacking:
        raise BadSetting(
            f"{', '.join(arm.name for arm in lacking)}: not tuned for all folds of {dataset}. "
            f"bench study --dataset {dataset} --arm {lacking[0].name} does it."
        )
    if known and not has_own(request.results, dataset):
        notes.append("the tuned configurations are the published ones")
    words = efforts(known, [arm.name for arm in ready.arms], [part.sha256 for part in ready.splits])
    if len(words) > 1:
        notes.append(f"the arms were not tuned with the same effort: {'; '.join(words)}")
    return tuned, notes


def _check_validation(configs: Mapping[str, BaseModel], protocol: Protocol) -> None:
    """Raise BadSetting where an arm chooses on validation rows and the protocol holds none out."""
    for arm, config in () if protocol.validates else configs.items():
        check_validation(config, arm, protocol.name, protocol.with_validation)


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
    if record.status != OK:
        return not retry_failed
    return store.scores_path(run.dataset, run.key).exists()


def planned(request: Request, reporter: FullReporter, *, dry_run: bool = False) -> Plan:
    """Return the plan of a request (`make_plan`), and tell what is to be known of it."""
    plan = make_plan(request, reporter.download, dry_run=dry_run)
    for note in plan.notes:
        reporter.note(note)
    return plan


def run_plan(plan: Plan, reporter: FullReporter) -> Execution:
    """Do what is left of the plan; every run has its record then.

    Raises BadPlugin where the engine leaves runs out.
    """
    started = time.perf_counter()
    reporter.planned(len(plan.todo), len(plan.runs) - len(plan.todo), len(plan.packs))
    results = _execute(plan, reporter) if plan.packs else []
    return Execution(results, started - plan.began, time.perf_counter() - started)


def _execute(plan: Plan, reporter: FullReporter) -> list[Result]:
    """Have the request's engine run the packs."""
    engine, request = engine_named(plan.request.engine), plan.request
    run_packs = guard(engine.run, (list, tuple), "a list of bench.contract.Result")
    told = Outlook(reporter, plan.packs, plan.workers)
    returned = run_packs(plan.packs, plan.bench, told, workers=plan.workers, timeout=request.timeout)
    results = [result for result in returned if isinstance(result, Result)]
    ended = {result.key for result in results}
    if left := [run for run in plan.todo if run.key not in ended]:
        raise BadPlugin(
            f"The engine {engine.name!r} ended without a result for {len(left)} of {len(plan.todo)} runs; the first, "
            f"{left[0].arm} ({left[0].key[:12]}). What it finished is kept: the same command goes on, "
            "with --engine local for one."
        )
    if not is_of_bench(inspect.getfile(type(engine))):
        _check_records(plan, engine.name, results)
    return results


def _check_records(plan: Plan, engine: str, results: Sequence[Result]) -> None:
    """Raise BadPlugin where an engine from outside gives a result that no record bears out."""
    for result in results:
        record = plan.bench.store.read(plan.table.name, result.key)
        if record is None or record.status != result.status:
            said = "no record" if record is None else f"a record that says {record.status!r}"
            raise BadPlugin(
                f"The engine {engine!r} gives {result.arm} ({result.key[:12]}) the result {result.status!r}, and there "
                f"is {said}: an engine gives every pack to bench.run_pack, and returns its results."
            )


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

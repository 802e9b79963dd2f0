"""From what is asked of a benchmark to what every command that trains needs of it: table, splits, arms, device.

A mistake in what is asked is told here, before anything is trained.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from bench.arms.settings import adjust_all, check_settings, select
from bench.contract import Arm, Protocol, Reporter, SteppedConfig
from bench.data.cards import Dataset
from bench.data.describe import describe, first_lines
from bench.data.encode import MAX_CATEGORIES
from bench.data.raw.fetch import SOURCES, cache_folder
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadSetting, UnknownName
from bench.methods import check_installed, method
from bench.names import cores
from bench.networks.memory import fitting_members, free_bytes
from bench.networks.selfcheck import try_kernel
from bench.protocols import as_judged, protocol_named
from bench.runs.card import load_requested, the_card
from bench.runs.request import Request
from bench.runs.run import Run, configuration
from bench.runs.workbench import choose_device
from bench.store.folder import Store

MAX_RUNS = 1_000_000  # in one plan


class FullReporter(Reporter, typing.Protocol):
    """A reporter that is also told what there is to do, and of downloads."""

    def planned(self, n_todo: int, n_done: int, n_packs: int) -> None:
        """Take note of the work ahead."""

    def trials(self, done: float, total: int, *, ended: bool) -> None:
        """Take note of how many trials of all studies are done, those under way in part; `ended`: a generation is."""

    def expect(self, seconds: float) -> None:
        """Take note of how many seconds all runs will still take, by what has run so far: an estimate."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """Take note of a download's progress in bytes."""

    def note(self, text: str) -> None:
        """Tell the user one line."""


@dataclass(frozen=True)
class Prepared:
    """A request with its table loaded and split: what training starts from.

    `limit` says how many runs a device's memory holds; None where that is no question.
    """

    table: Table
    protocol: Protocol
    splits: list[Split]
    arms: list[Arm]
    seeds: int
    store: Store
    device: str
    workers: int
    limit: Callable[[Sequence[Run]], int] | None

    @property
    def notes(self) -> list[str]:
        """What was read, and what its owner should look at, a line each."""
        return first_lines(describe(self.table, len({split.fold for split in self.splits})))


@dataclass(frozen=True)
class Resolved:
    """What a request means, as far as that can be said without its data."""

    card: Dataset
    protocol: Protocol
    arms: list[Arm]
    n_splits: int
    device: str
    workers: int


def resolve(request: Request) -> Resolved:
    """Return what the request means; raise for every mistake in it that shows without its data."""
    protocol = protocol_named(request.protocol)
    if request.source not in SOURCES:
        raise UnknownName("source", request.source, SOURCES)
    chosen = the_card(request)
    arms = select(
        request.matrix, request.arms, request.arms_file, has_probability=chosen.simulator is not None
    )
    arms = [as_judged(arm, chosen, protocol) for arm in adjust_all(arms, request.settings)]
    for arm in arms:
        check_installed(arm)
        check_settings(arm)
    folds, repeats = protocol.number_of_splits(request.folds, request.repeats)
    if request.seeds is not None and request.seeds < 1:
        raise BadSetting(f"Asked for {request.seeds} seeds; at least 1 is needed.")
    if request.shard is not None and not 1 <= request.shard[0] <= request.shard[1]:
        i, n = request.shard
        last = max(n, 1)
        raise BadSetting(
            f"--shard {i}/{n}: asked for shard {i} of {n}; shards are numbered 1/{last} … {last}/{last}."
        )
    device = choose_device(request.device)
    return Resolved(chosen, protocol, arms, folds * repeats, device, _workers(request, device))


def seeds_per_split(request: Request, resolved: Resolved, n_rows: int) -> int:
    """Return how many seeds each arm has on so many rows; raise BadSetting for more runs than can be meant."""
    seeds = resolved.protocol.seeds_for(resolved.card, n_rows) if request.seeds is None else request.seeds
    _check_size(len(resolved.arms), seeds, resolved.n_splits)
    return seeds


def prepare(
    request: Request, download: Callable[..., None] | None = None, *, read_only: bool = False
) -> Prepared:
    """Check the request, load its table and split it; nothing is trained.

    `read_only` leaves the results as they are, and compiles nothing.
    """
    resolved = resolve(request)
    protocol, device, workers = resolved.protocol, resolved.device, resolved.workers
    store = Store(request.results, read_only=read_only)
    table = load_requested(request, resolved.card, download)
    seeds = seeds_per_split(request, resolved, table.n_rows)
    splits = protocol.splits(table, folds=request.folds, repeats=request.repeats)
    if not read_only:
        _make_ready(store, resolved)
    limit = partial(_members_that_fit, table, workers) if device == "cuda" else None
    return Prepared(table, protocol, splits, resolved.arms, seeds, store, device, workers, limit)


def _make_ready(store: Store, resolved: Resolved) -> None:
    """Make the folders and the compiled kernel; raise where one cannot be made, before anything is trained."""
    store.check_writable()
    cache_folder()
    if any(method(arm.method).static is not None for arm in resolved.arms):
        try_kernel(torch.empty(0, device=resolved.device))


def _members_that_fit(table: Table, workers: int, runs: Sequence[Run]) -> int:
    """Return how many of the runs a worker's share of a GPU's free memory holds at once.

    A pack that proves too large is halved.
    """
    config = configuration(runs[0])
    if not isinstance(config, SteppedConfig):
        return len(runs)
    most_features = 2 * len(table.numeric) + (MAX_CATEGORIES + 1) * len(table.categorical)
    return fitting_members(config, most_features, free_bytes("cuda") // max(1, workers))


def _workers(request: Request, device: str) -> int:
    if request.pack is not None and request.pack < 1:
        raise BadSetting(f"--pack {request.pack}: a pack has at least one member.")
    if request.workers is not None and request.workers < 0:
        raise BadSetting(f"--workers {request.workers}: 0 (this process) or more.")
    if request.timeout is not None and (not request.timeout > 0 or request.workers == 0):
        raise BadSetting(
            "--timeout needs a positive number of seconds, and a worker process to end: --workers 1 or more."
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

"""What is asked of a benchmark, and what every command that trains needs of it: table, splits, arms, device.

A mistake in what is asked is told here, before anything is trained.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

from bench.archives import listed
from bench.arms import Arm
from bench.calls import take_as_declared
from bench.cards import Dataset, Label, card, card_for_file, card_for_frame, dataset_names
from bench.encode import MAX_CATEGORIES
from bench.errors import BadArgument, BadSetting, UnknownName
from bench.evaluate import choose_device, configuration
from bench.execute import Reporter
from bench.fetch import SOURCES, cache_folder
from bench.frames import column_names, is_frame
from bench.methods import method
from bench.names import cores
from bench.pack.config import NetworkConfig
from bench.pack.memory import BLOCK, fitting_members, free_bytes
from bench.pack.trial import try_kernel
from bench.published import as_published
from bench.runs import Run, adjust_all, select
from bench.splits import Protocol as Judged
from bench.splits import Split, protocol_named, split
from bench.store import Store
from bench.tables import Table, load

MAX_RUNS = 1_000_000  # in one plan
MAX_NAME = 100  # letters of a table's name, which is part of files' names


@dataclass(frozen=True)
class Request:
    """What is asked of a benchmark; None takes the protocol's default. `settings` are `--set` pairs as text.

    `data` is a frame, or the name of a data set, which becomes `dataset`. `bench.run` has the same options.
    """

    data: Any = field(default=None, compare=False, repr=False)
    dataset: str | None = None
    name: str | None = None
    data_file: Path | None = None
    target: str | None = None
    positive: Label | None = None
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
    tuned: bool = False
    tuned_anyway: bool = False

    def __post_init__(self) -> None:
        """Take every value as the option's type, and a name given as `data` for the data set's; tuned anyway is tuned.

        Raises BadArgument (a BadSetting and a TypeError) for a value of another kind.
        """
        if is_frame(self.dataset):
            raise BadArgument(
                "dataset= takes the name of a data set; give a frame as data=, and its label as target=."
            )
        take_as_declared(self)
        object.__setattr__(self, "tuned", self.tuned or self.tuned_anyway)
        if self.data is not None:
            _check_data(self)
        if isinstance(self.data, str):
            object.__setattr__(self, "dataset", self.data)
            object.__setattr__(self, "data", None)


def _check_data(request: Request) -> None:
    """Raise unless `data` is a name or a frame, and the only thing to run on."""
    data = request.data
    if isinstance(data, Table):
        raise BadArgument(
            f"data is the loaded table {data.name!r}; give what it was loaded from, a name, frame or file, so that "
            "its records are surely those of its content."
        )
    is_path = isinstance(data, str) and data not in dataset_names() and Path(data).suffix
    if isinstance(data, os.PathLike) or is_path:
        raise BadArgument(f"data={str(data)!r}: give a file as data_file={str(data)!r}, with target=.")
    if not isinstance(data, str):
        column_names(data)  # raises for what is no frame
    what = f"the name {data!r}" if isinstance(data, str) else "a frame"
    for other in ("dataset", "data_file"):
        if getattr(request, other) is not None and not (other == "data_file" and isinstance(data, str)):
            hint = " A frame's own name is name=." if other == "dataset" else ""
            raise BadArgument(f"data is {what}, and {other}= is given too: give one of them.{hint}")


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
        if request.name is not None:
            raise BadSetting(
                f"name={request.name!r} goes with a frame or file of your own; {request.dataset!r} keeps its name."
            )
        return card(request.dataset)
    if request.data is None and request.data_file is None:
        raise BadSetting(
            "Say what to run on: --dataset NAME (bench list datasets), or --data-file F --target COLUMN; "
            "in Python also a frame, data=frame with target=COLUMN."
        )
    return _own_card(request)


def _own_card(request: Request) -> Dataset:
    """Return a card for the request's frame or file."""
    if request.name is not None and len(request.name) > MAX_NAME:
        raise BadSetting(f"name= has {len(request.name)} letters; a table's name has at most {MAX_NAME}.")
    roles = {name: getattr(request, name) for name in ("name", "positive", "drop", "time", "amount")}
    if request.data is not None:
        return card_for_frame(_target_of_frame(request), **roles)
    assert request.data_file is not None  # noqa: S101  (for mypy; the caller has looked)
    if request.target is None:
        raise BadSetting(f"Which column of {request.data_file.name} is the label? Say --target COLUMN.")
    return card_for_file(request.data_file, request.target, **roles)


def _target_of_frame(request: Request) -> str:
    """Return the frame's label column; raise BadSetting where it is not said, or is the index."""
    columns = column_names(request.data)
    there = f"Its columns: {listed(columns, 50) or 'none'}."
    if request.target is None:
        raise BadSetting(f"Which column of the frame is the label? Give target=. {there}")
    index = getattr(getattr(request.data, "index", None), "names", ())
    if request.target not in columns and request.target in index:
        raise BadSetting(
            f"{request.target!r} is the frame's index, which is no column. Give data=frame.reset_index()."
        )
    return request.target


@dataclass(frozen=True)
class Prepared:
    """A request with its table loaded and split: what training starts from.

    `limit` says how many runs a device's memory holds; None where that is no question.
    """

    table: Table
    protocol: Judged
    splits: list[Split]
    arms: list[Arm]
    seeds: int
    store: Store
    device: str
    workers: int
    limit: Callable[[Sequence[Run]], int] | None

    @property
    def note(self) -> str:
        """The table in a line."""
        table = self.table
        return (
            f"{table.name}: {table.n_rows:,} rows, {table.n_positives:,} positives ({table.prevalence:.4%})"
        )


def prepare(
    request: Request, download: Callable[..., None] | None = None, *, read_only: bool = False
) -> Prepared:
    """Check the request, load its table and split it; nothing is trained.

    `read_only` leaves the results as they are.
    """
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
    store = Store(request.results, read_only=read_only)
    if store.compact_path(chosen.name, "records").exists():
        store.read_compact(chosen.name)  # a damaged file is told before anything is trained
    if not read_only:
        store.check_writable()
        cache_folder()
    table = load(
        chosen,
        data_file=request.data_file,
        frame=request.data,
        source=request.source,
        rows=request.rows,
        progress=download,
    )
    seeds = _seeds(table, protocol) if request.seeds is None else request.seeds
    _check_size(len(arms), seeds, (request.folds or protocol.folds) * (request.repeats or protocol.repeats))
    splits = split(table, protocol, folds=request.folds, repeats=request.repeats)
    limit = partial(_members_that_fit, table, workers) if device == "cuda" else None
    return Prepared(table, protocol, splits, arms, seeds, store, device, workers, limit)


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


def _seeds(table: Table, protocol: Judged) -> int:
    if protocol.is_published and not protocol.has("stratified") and table.card.published:
        return table.card.published.seeds
    return protocol.default_seeds(table.n_rows)


def _check_size(n_arms: int, seeds: int, n_splits: int) -> None:
    if n_arms * seeds * n_splits > MAX_RUNS:
        raise BadSetting(
            f"{n_arms:,} arms × {n_splits:,} splits × {seeds:,} seeds are {n_arms * n_splits * seeds:,} runs; "
            f"more than {MAX_RUNS:,} at once cannot be meant. Ask for fewer --seeds, --folds or --repeats."
        )

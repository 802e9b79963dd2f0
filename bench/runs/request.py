"""What is asked of a benchmark: a data set, file or frame, the arms, and how they are judged and run.

`Request` holds every option of the command line and of Python; tests keep their lists equal. A value of a wrong kind,
and what does not go together, is told here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import plugins
from bench.calls import take_as_declared
from bench.data.cards import Dataset, Label, card, card_for_file, card_for_frame, dataset_names
from bench.data.frames import column_names, is_frame
from bench.data.raw.archives import listed
from bench.data.table import Table
from bench.errors import BadArgument, BadSetting
from bench.names import results_folder

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
    method_file: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    seeds: int | None = None
    folds: int | None = None
    repeats: int | None = None
    device: str = "auto"
    pack: int | None = None
    workers: int | None = None
    shard: tuple[int, int] | None = None
    timeout: float | None = None
    results: Path = field(default_factory=results_folder)
    retry_failed: bool = False
    tuned: bool = False
    tuned_anyway: bool = False

    def __post_init__(self) -> None:
        """Take every value as the option's type, and a name given as `data` for the data set's; tuned anyway is tuned.

        Its plugin files are taken from now on (`bench.plugins.use`). Raises BadArgument (a BadSetting and a TypeError)
        for a value of another kind, BadPlugin for a file that is none.
        """
        if is_frame(self.dataset):
            raise BadArgument(
                "dataset= takes the name of a data set; give a frame as data=, and its label as target=."
            )
        take_as_declared(self)
        plugins.use(self.method_file)
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

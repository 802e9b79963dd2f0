"""The card that a request means, a registered data set's or one made for a frame or file, and its table."""

from __future__ import annotations

from dataclasses import MISSING, fields

from bench.data.cards import Dataset, Reading, card, card_for_file, card_for_frame
from bench.data.frames import column_names
from bench.data.raw.archives import listed
from bench.data.table import DownloadProgress, Table, load
from bench.errors import BadSetting
from bench.runs.request import Request

# The options of a table of one's own: what its columns and rows mean, and how its file is read.
_ROLES = (
    "positive",
    "negative",
    "unlabelled",
    "drop",
    "categorical",
    "numeric",
    "missing",
    "high_cardinality",
    "dates",
    "date_format",
    "time",
    "amount",
    "entity",
)
_READING = tuple(Reading.model_fields)
_DEFAULTS = {
    entry.name: entry.default if entry.default_factory is MISSING else entry.default_factory()
    for entry in fields(Request)
}

MAX_NAME = 100  # letters of a table's name, which is part of files' names


def the_card(request: Request) -> Dataset:
    """Return the card that the request means; raise BadSetting where it means none."""
    if request.dataset is not None:
        given = [name for name in ("target", *_ROLES, *_READING) if getattr(request, name) != _DEFAULTS[name]]
        if given:
            raise BadSetting(
                f"--{given[0].replace('_', '-')} goes with a file of your own; {request.dataset!r} has a card that "
                "says it already. Leave out --dataset to run the file under its own name."
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


def load_requested(request: Request, card: Dataset, progress: DownloadProgress | None = None) -> Table:
    """Return the table of the request's card; raise as `bench.data.table.load` does."""
    return load(
        card,
        data_file=request.data_file,
        frame=request.data,
        source=request.source,
        rows=request.rows,
        prevalence=request.prevalence,
        progress=progress,
    )


def _own_card(request: Request) -> Dataset:
    """Return a card for the request's frame or file."""
    if request.name is not None and len(request.name) > MAX_NAME:
        raise BadSetting(f"name= has {len(request.name)} letters; a table's name has at most {MAX_NAME}.")
    roles = {name: getattr(request, name) for name in ("name", *_ROLES)}
    roles["reading"] = _reading(request)
    if request.data is not None:
        _refuse_options_of_files(request)
        return card_for_frame(_target_of_frame(request), **roles)
    assert request.data_file is not None  # noqa: S101  (for mypy; the caller has looked)
    if request.target is None:
        raise BadSetting(f"Which column of {request.data_file.name} is the label? Say --target COLUMN.")
    return card_for_file(request.data_file, request.target, **roles)


def _refuse_options_of_files(request: Request) -> None:
    """Raise BadSetting where an option is given that a frame has no use for; a decimal mark its texts may have."""
    for name in ("source", *_READING):
        if name != "decimal" and (value := getattr(request, name)) != _DEFAULTS[name]:
            raise BadSetting(f"{name}={value!r} says how a file is read, and data is a frame; leave it out.")


def _reading(request: Request) -> Reading:
    """Return how the request's file is read; raise BadSetting for what no file can have."""
    if request.decimal not in (None, ".", ","):
        raise BadSetting(f"--decimal {request.decimal!r}: a decimal mark is a point or a comma.")
    if request.skip_rows < 0:
        raise BadSetting(
            f"--skip-rows {request.skip_rows}: give the number of lines above the table, 0 or more."
        )
    if "" in request.comment:
        raise BadSetting(
            "--comment '': say how a line begins that is none of the table, for example --comment '#'."
        )
    given = {name: getattr(request, name) for name in _READING}
    one = next(iter(request.comment), None)  # as records have it
    return Reading.model_validate({**given, "comment": request.comment if len(request.comment) > 1 else one})


def _target_of_frame(request: Request) -> str:
    """Return the frame's label column; raise BadSetting where it is not said, or is the index."""
    columns = column_names(request.data)
    if request.target is None:
        raise BadSetting(
            f"Which column of the frame is the label? Give target=. "
            f"Its columns: {listed(columns, 50) or 'none'}."
        )
    index = getattr(getattr(request.data, "index", None), "names", ())
    if request.target not in columns and request.target in index:
        raise BadSetting(
            f"{request.target!r} is the frame's index, which is no column. Give data=frame.reset_index()."
        )
    return request.target

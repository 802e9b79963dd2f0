"""What is kept of one run: a `Record`, and the columns of the files that hold records and scores.

A record is one row. Its columns are derived from the fields of the dataclass, in their order; the metrics of a part are
a column each, `valid_<metric>` and `test_<metric>`, for every metric that is registered at the time. A file that was
written without a column, because the metric or field came later, is read as None there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

import pyarrow as pa

from bench.names import OK, REPEAT, TEST, VALID
from bench.stats.metrics import metrics

SCHEMA_VERSION = 1
SCORES = pa.schema([("row_id", pa.int64()), ("part", pa.string()), ("y", pa.int8()), ("score", pa.float64())])

Int32 = Annotated[int, "32 bits"]
Metrics = Mapping[str, float | None]  # by name; None where the run was not measured by it


class Setup(NamedTuple):
    """How an arm is run: two runs of one arm on one fold that differ in it are runs of different things.

    `config` is the full configuration as JSON with sorted keys.
    """

    method: str
    version: int | None
    sampler: str | None
    inner_sampler: str | None
    outer_sampler: str | None
    config: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run and what came out of it.

    Fields without a default are in every record; of a good run on test rows the `NEEDED_IF_OK` are known too.
    `recipe` says as JSON how the raw table was read (`bench.data.table.Table.recipe`). Times are in seconds,
    `peak_memory_mb` is in MiB, `started` and `finished` are in UTC. `not_finite` says of a failed run that its scores
    were not.
    """

    key: str
    schema: Int32 = SCHEMA_VERSION
    dataset: str
    data_sha256: str | None = None
    data_source: str | None = None
    recipe_sha256: str | None = None
    recipe: str | None = None
    protocol: str
    scope: str
    split_sha256: str | None = None
    repeat: Int32
    fold: Int32
    arm: str
    method: str
    version: Int32 | None = None
    inner_sampler: str | None = None
    outer_sampler: str | None = None
    sampler: str | None = None
    loss: str | None = None
    config: str
    seed: int
    status: str
    error: str | None = None
    n_train: int | None = None
    n_valid: int | None = None
    n_test: int | None = None
    n_test_positive: int | None = None
    threshold: float | None = None
    valid: Metrics = field(default_factory=dict)
    test: Metrics = field(default_factory=dict)
    steps: int | None = None
    best_step: int | None = None
    first_step: int | None = None
    last_step: int | None = None
    samples_seen: int | None = None
    selected: str | None = None
    fit_seconds: float | None = None
    score_seconds: float | None = None
    resample_seconds: float | None = None
    pack_size: Int32 | None = None
    device: str | None = None
    engine: str | None = None
    threads: Int32 | None = None
    peak_memory_mb: float | None = None
    scores_sha256: str | None = None
    versions: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    started: datetime | None = None
    finished: datetime
    not_finite: bool | None = None

    @property
    def fold_id(self) -> int:
        """A number that tells the fold from the folds of all repeats."""
        return self.repeat * REPEAT + self.fold

    @property
    def setup(self) -> Setup:
        """How the arm was run."""
        samplers = (self.sampler, self.inner_sampler, self.outer_sampler)
        return Setup(self.method, self.version, *samplers, self.config)

    def row(self) -> dict[str, object]:
        """Return the record by column."""
        row: dict[str, object] = {name: getattr(self, name) for name in _PLAIN}
        for part, measured in ((VALID, self.valid), (TEST, self.test)):
            row |= {f"{part}_{metric}": value for metric, value in measured.items()}
        return row


_PARTS = (VALID, TEST)  # the fields that are a column per metric
_PLAIN = tuple(entry.name for entry in fields(Record) if entry.name not in _PARTS)
NEEDED = tuple(
    entry.name for entry in fields(Record) if entry.default is MISSING and entry.default_factory is MISSING
)
NEEDED_IF_OK = (
    "n_train",
    "n_valid",
    "n_test",
    "n_test_positive",
    "steps",
    "samples_seen",
    "fit_seconds",
    "scores_sha256",
)
_TYPES = {
    str: pa.string(),
    Int32: pa.int32(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def record_schema() -> pa.Schema:
    """Return the columns of a file of records, with those of every metric that is registered now."""
    return _schema_with(tuple(metrics()))


@cache
def _schema_with(names: tuple[str, ...]) -> pa.Schema:
    hints = get_type_hints(Record, include_extras=True)
    columns: list[tuple[str, pa.DataType]] = []
    for entry in fields(Record):
        if entry.name in _PARTS:
            columns += [(f"{entry.name}_{metric}", pa.float64()) for metric in names]
        else:
            columns.append((entry.name, _type_of(hints[entry.name])))
    return pa.schema(columns)


def _type_of(hint: object) -> pa.DataType:
    """Return the type of a field's column; every column may be null, whether its field may be None or not."""
    return next(_TYPES[kind] for kind in (hint, *get_args(hint)) if kind in _TYPES)


def is_metric(column: pa.Field) -> bool:
    """Return whether a column is as those of metrics are, whether the metric is registered here or not."""
    return column.name.partition("_")[0] in _PARTS and column.type == pa.float64()


def as_record(row: Mapping[str, object]) -> Record:
    """Return the record that a row holds; a column that it lacks is None, one that is not known is left out.

    Raises ValueError where the row lacks what every record has, or is of another version of the schema.
    """
    # A study's runs meet no test row, and keep no scores.
    on_test_rows = row.get("status") == OK and row.get("n_test") != 0
    lacking = [name for name in NEEDED + (NEEDED_IF_OK if on_test_rows else ()) if row.get(name) is None]
    if lacking:
        raise ValueError(f"a record without {', '.join(lacking)}")
    if row.get("schema") != SCHEMA_VERSION:
        raise ValueError(f"a record of schema {row.get('schema')}, not {SCHEMA_VERSION}")
    values: dict[str, Any] = {name: row.get(name) for name in _PLAIN}
    values |= {part: {metric: row.get(f"{part}_{metric}") for metric in metrics()} for part in _PARTS}
    return Record(**values)

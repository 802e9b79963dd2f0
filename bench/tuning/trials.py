"""Studies and their trials as files: what a study is, what each trial came to, and which settings won.

A study is one arm on the training rows of one fold. Its trials are the one truth about it. A finished trial is a small
JSON file, written whole once and never changed. `tuned/<dataset>-trials.parquet` holds the same trials in one file,
which travels with published results; both are read together, and a trial counts once, by its id.

All else is made from the trials and may be lost: the Optuna storage (`bench.tuning.shared`), the configurations
(`bench.tuning.configurations`), the ledger and the curves.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from bench.disk import write_text
from bench.errors import BadStore
from bench.names import digest
from bench.store.folder import published_beside
from bench.store.parquet import read_checked, write_atomically

COMPLETE, PRUNED, FAIL = "complete", "pruned", "failed"
_TRIALS = "-trials.parquet"
_DESCRIPTION = "study.json"  # beside a study's trials: what the study is
DECIMALS = 7  # of a value: as whole numbers they are half the size
KEY_LENGTH = 16  # characters of a hash in names of folders, in `Tried.runs` and in configurations

_T = TypeVar("_T")
Target = tuple[
    str, str, int, int, str
]  # what a configuration is for: protocol, arm, repeat, fold, hash of the rows


@dataclass(frozen=True)
class Study:
    """One arm on one outer fold's training rows: what is tuned, on which rows, in which space.

    `scope` is the table's and all its splits', `identity` the arm's (`bench.runs.run.identity`), negatives and
    positives the training rows'. `space` are Optuna's distributions as JSON, `defaults` the parameters of the arm as
    it is.
    """

    dataset: str
    protocol: str
    metric: str
    scope: str
    data_sha256: str
    split_sha256: str
    rows_sha256: str
    inner_sha256: str
    identity: str
    repeat: int
    fold: int
    arm: str
    method: str
    version: int
    inner_folds: int
    seeds: int
    negatives: int
    positives: int
    space: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def base(self) -> str:
        """The hash of everything but the space."""
        return digest(
            {name: value for name, value in asdict(self).items() if name not in ("space", "defaults")}
        )

    @cached_property
    def key(self) -> str:
        """The hash of the study."""
        return digest([self.base, self.space])

    @property
    def short_key(self) -> str:
        """The start of the key, by which files name the study."""
        return self.key[:KEY_LENGTH]

    @property
    def name(self) -> str:
        """The study's name in an Optuna storage."""
        return f"{self.dataset}, {self.protocol}, {self.arm}, fold {self.repeat}.{self.fold}, {self.key[:12]}"

    @property
    def place(self) -> tuple[str, str, int, int]:
        """What it is tuned for: protocol, arm, repeat, fold."""
        return self.protocol, self.arm, self.repeat, self.fold

    @property
    def target(self) -> Target:
        """What a configuration is for: the place, and the hash of the training rows."""
        return *self.place, self.rows_sha256


@dataclass(frozen=True)
class Tried:
    """What one trial came to.

    `settings` and `samplers` are what was run at `params`. `values` are the mean main metric of each inner fold that
    was run, to `DECIMALS`; `seconds` is the time that resampling, training and scoring took, `samples` the rows that
    training saw, `runs` the hash of the runs' keys: of what was done. `search` says how it was asked for.
    """

    id: str
    number: int
    state: str
    params: Mapping[str, Any]
    settings: Mapping[str, Any]
    samplers: Mapping[str, str]
    values: Sequence[float]
    seconds: float
    samples: int
    runs: str
    search: str
    error: str | None
    started: float
    finished: float

    def __post_init__(self) -> None:
        """Check the state and the values; raise ValueError."""
        if self.state not in (COMPLETE, PRUNED, FAIL):
            raise ValueError(f"state {self.state!r} is none of {COMPLETE}, {PRUNED}, {FAIL}")
        if not np.isfinite(self.values).all() or (self.state != FAIL and not self.values):
            raise ValueError(f"values {list(self.values)} of a trial that is {self.state}")

    @property
    def value(self) -> float | None:
        """The mean of `values`; None of a trial that failed."""
        return None if self.state == FAIL else float(np.mean(self.values))


@dataclass(frozen=True)
class Studied:
    """A study with its trials, in their order."""

    study: Study
    trials: Sequence[Tried]

    @property
    def best(self) -> Tried | None:
        """The complete trial of the highest value, the earliest among equals; None where none is complete."""
        complete = [trial for trial in self.trials if trial.state == COMPLETE and trial.value is not None]
        return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)

    @property
    def default(self) -> Tried | None:
        """The complete trial of the arm as it is."""
        own = dict(self.study.defaults)
        return next((t for t in self.trials if t.state == COMPLETE and dict(t.params) == own), None)

    @property
    def search(self) -> str:
        """How its trials were asked for, in words."""
        return " and ".join(dict.fromkeys(trial.search for trial in self.trials))

    @property
    def effort(self) -> str:
        """What `effort` says of it."""
        return effort(self.search, self.study.inner_folds, self.study.seeds)

    @property
    def finished(self) -> float:
        """When its last trial ended (Unix seconds)."""
        return max((trial.finished for trial in self.trials), default=0.0)


@dataclass(frozen=True)
class TrialStore:
    """The trials under a results folder: `studies/trials/<dataset>/<study>/`, and `tuned/<dataset>-trials.parquet`."""

    root: Path

    def folder(self, study: Study) -> Path:
        """Return where the study's trials lie."""
        return self._trials_of(study.dataset) / study.short_key

    def _trials_of(self, dataset: str) -> Path:
        return self.root / "studies" / "trials" / dataset

    def compact_path(self, dataset: str) -> Path:
        """Return where all trials of a data set lie in one file."""
        return self.root / "tuned" / f"{dataset}{_TRIALS}"

    def add(self, study: Study, trial: Tried) -> None:
        """Write one trial; before the first, what the study is."""
        self.describe(study)
        write_text(self.folder(study) / f"{trial.id}.json", json.dumps(asdict(trial), sort_keys=True))

    def describe(self, study: Study) -> None:
        """Write what the study is, unless that is there; trials without it belong to no study."""
        path = self.folder(study) / _DESCRIPTION
        if not path.exists():
            write_text(path, json.dumps(asdict(study), indent=1, sort_keys=True))

    def read(self, study: Study, *, besides: Collection[str] = ()) -> list[Tried]:
        """Return the study's trials that have files of their own, in their order; not those with an id in `besides`."""
        paths = [path for path in self.folder(study).glob("*.json") if path.name != _DESCRIPTION]
        return _ordered(_from_json(path, Tried) for path in paths if path.stem not in besides)

    def studies(self, dataset: str) -> list[Studied]:
        """Return every study of the data set that has trials, with all of them.

        A trial never changes, so what the compact file holds is not read from its own file too. Raises BadStore that
        names a file which cannot be read.
        """
        by_key = {studied.study.key: studied for studied in self._compact(dataset)}
        for path in sorted(self._trials_of(dataset).glob(f"*/{_DESCRIPTION}")):
            study = _from_json(path, Study)
            by_key.setdefault(study.key, Studied(study, []))
        every = [self._with_files(studied) for studied in by_key.values()]
        return sorted((studied for studied in every if studied.trials), key=lambda each: each.study.place)

    def _with_files(self, compact: Studied) -> Studied:
        """Return the study with the trials that are not in the compact file yet."""
        later = self.read(compact.study, besides={trial.id for trial in compact.trials})
        return Studied(compact.study, _ordered([*compact.trials, *later]))

    def with_published(self, dataset: str) -> list[Studied]:
        """Return `studies`, and those published beside this folder that it has no trials of."""
        own, folder = self.studies(dataset), published_beside(self.root)
        known = {studied.study.key for studied in own}
        published = TrialStore(folder).studies(dataset) if folder else []
        return own + [studied for studied in published if studied.study.key not in known]

    def datasets(self) -> list[str]:
        """Return the names of the data sets that have studies in this folder."""
        own = {path.name for path in (self.root / "studies" / "trials").glob("*")}
        compact = {path.name.removesuffix(_TRIALS) for path in (self.root / "tuned").glob(f"*{_TRIALS}")}
        return sorted(own | compact)

    def write_compact(self, dataset: str) -> Path:
        """Write all trials of the data set in one file; return its path."""
        rows = [row for studied in self.studies(dataset) for row in _rows(studied)]
        path = self.compact_path(dataset)
        write_atomically(
            path,
            pa.Table.from_pylist(rows, schema=_COMPACT),
            use_dictionary=["study", "state", "samplers", "search", "error"],
            compression_level=19,
        )
        return path

    def _compact(self, dataset: str) -> Sequence[Studied]:
        """Return the studies in the compact file; none where there is no such file."""
        path = self.compact_path(dataset)
        try:
            state = path.stat()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadStore(f"{path} cannot be read ({error}).") from error
        return _read_compact(path, (state.st_ino, state.st_mtime_ns, state.st_size))


_COMPACT = pa.schema(
    [
        ("study", pa.string()),
        ("id", pa.string()),
        ("number", pa.int32()),
        ("state", pa.string()),
        ("params", pa.string()),
        ("settings", pa.string()),
        ("samplers", pa.string()),
        ("values", pa.list_(pa.int64())),
        ("seconds", pa.float64()),
        ("samples", pa.int64()),
        ("runs", pa.string()),
        ("search", pa.string()),
        ("error", pa.string()),
        ("started", pa.float64()),
        ("finished", pa.float64()),
    ]
)


def effort(search: str, inner_folds: int, seeds: int) -> str:
    """Return in words how the trials of a study are asked for and judged: what arms should have alike."""
    return f"{search}, {inner_folds} inner folds, {'one seed' if seeds == 1 else f'{seeds} seeds'}"


@lru_cache(maxsize=8)
def _read_compact(path: Path, version: tuple[int, int, int]) -> Sequence[Studied]:  # noqa: ARG001
    """Return the studies in a compact file, read once for each `version` of it, which changes when it is written."""
    try:
        table = read_checked(path, _COMPACT)
        if empty := [name for name in table.column_names if name != "error" and table[name].null_count]:
            raise ValueError(f"{empty[0]} is missing in some rows")
        studies: dict[str, Study] = {}
        trials: dict[str, list[Tried]] = {}
        for row in table.to_pylist():
            text = row.pop("study")
            study = studies.get(text) or studies.setdefault(text, made_of(Study, json.loads(text)))
            trials.setdefault(text, []).append(_trial(row, study))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise BadStore(
            f"{path} cannot be read ({error}). If it came with the repository, check it out again; else move it "
            "away, and bench study makes it anew from its trials."
        ) from error
    return [Studied(study, trials[text]) for text, study in studies.items()]


def _rows(studied: Studied) -> Iterator[dict[str, object]]:
    """Yield the study's trials as rows of the compact file."""
    description = json.dumps(asdict(studied.study), sort_keys=True)
    names = sorted(studied.study.defaults)
    for trial in studied.trials:
        yield asdict(trial) | {
            "study": description,
            "params": _short([trial.params[name] for name in names]),
            "settings": _short(trial.settings),
            "samplers": _short(trial.samplers),
            "values": [round(value * 10**DECIMALS) for value in trial.values],
        }


def _trial(row: dict[str, Any], study: Study) -> Tried:
    """Return the trial of a row of the compact file; raise ValueError or TypeError where it is none."""
    params, settings, samplers = (json.loads(row[name]) for name in ("params", "settings", "samplers"))
    if not (isinstance(settings, dict) and isinstance(samplers, dict)):
        raise ValueError(f"settings {settings!r} and samplers {samplers!r}")
    row |= {
        "params": dict(zip(sorted(study.defaults), params, strict=True)),
        "settings": settings,
        "samplers": samplers,
        "values": [value / 10**DECIMALS for value in row["values"]],
    }
    return Tried(**row)


def _ordered(trials: Iterable[Tried]) -> list[Tried]:
    return sorted(trials, key=lambda trial: (trial.number, trial.id))


def made_of(kind: type[_T], content: dict[str, object]) -> _T:
    """Return the dataclass of that kind with these fields; raise ValueError or TypeError where they do not fit."""
    try:
        _adapter(kind).validate_json(json.dumps(content), strict=True)  # type: ignore[arg-type]  # classes have hashes
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "content"
        raise ValueError(f"{place}: {first['msg']}") from None
    return kind(**content)


@cache
def _adapter(kind: type[object]) -> TypeAdapter[object]:
    return TypeAdapter(kind)


def _from_json(path: Path, kind: type[_T]) -> _T:
    try:
        return made_of(kind, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        way_out = (
            "the trial is taken from the Optuna storage, or run again"
            if kind is Tried
            else "the bench study that it belongs to writes it again"
        )
        raise BadStore(f"{path} cannot be read ({error}). Move it away: {way_out}.") from error


def _short(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)

"""Studies and their trials as files: what a study is, what each trial came to, and which settings won.

A study is one arm on one fold's training rows. Each finished trial is a small JSON file of its own, written whole;
the storage of Optuna, the ledger, the curves and `tuned/<dataset>.toml` are all made of these files. The trials of a
data set also stand in one parquet file beside the TOML, which travels with published results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

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
DECIMALS = 7  # of a value: as whole numbers they are half the size


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
    def name(self) -> str:
        """The study's name in an Optuna storage."""
        return f"{self.dataset}, {self.protocol}, {self.arm}, fold {self.repeat}.{self.fold}, {self.key[:12]}"

    @property
    def place(self) -> tuple[str, str, int, int]:
        """What it is tuned for: protocol, arm, repeat, fold."""
        return self.protocol, self.arm, self.repeat, self.fold


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
        """Refuse what no trial comes to."""
        if self.state not in (COMPLETE, PRUNED, FAIL):
            raise ValueError(f"state {self.state!r}")
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
        return self.root / "studies" / "trials" / study.dataset / study.key[:16]

    def compact_path(self, dataset: str) -> Path:
        """Return where all trials of a data set lie in one file."""
        return self.root / "tuned" / f"{dataset}{_TRIALS}"

    def add(self, study: Study, trial: Tried) -> None:
        """Write one trial, and before the first what the study is."""
        self.describe(study)
        write_text(self.folder(study) / f"{trial.id}.json", json.dumps(asdict(trial), sort_keys=True))

    def describe(self, study: Study) -> None:
        """Write what the study is, without which its trials are nobody's, unless that is there."""
        path = self.folder(study) / "study.json"
        if not path.exists():
            write_text(path, json.dumps(asdict(study), indent=1, sort_keys=True))

    def read(self, study: Study) -> list[Tried]:
        """Return the study's trials that have files of their own, in their order."""
        paths = [path for path in self.folder(study).glob("*.json") if path.name != "study.json"]
        return _ordered(_from_json(path, Tried) for path in paths)

    def studies(self, dataset: str) -> list[Studied]:
        """Return every study of the data set; those in the compact file only where they have no files of their own.

        Raises BadStore that names a file which cannot be read.
        """
        own = [
            _from_json(path, Study)
            for path in sorted((self.root / "studies" / "trials" / dataset).glob("*/study.json"))
        ]
        found = {study.key: Studied(study, self.read(study)) for study in own}
        for one in self._read_compact(dataset):
            mine = found.get(one.study.key)
            trials = {trial.id: trial for trial in (*one.trials, *(mine.trials if mine else ()))}
            found[one.study.key] = Studied(one.study, _ordered(trials.values()))
        return sorted((one for one in found.values() if one.trials), key=lambda one: one.study.place)

    def with_published(self, dataset: str) -> list[Studied]:
        """Return `studies`, and those published beside this folder that it has no trials of."""
        own, folder = self.studies(dataset), published_beside(self.root)
        known = {studied.study.key for studied in own}
        published = TrialStore(folder).studies(dataset) if folder else []
        return own + [studied for studied in published if studied.study.key not in known]

    def datasets(self) -> list[str]:
        """Return the names of the data sets that have studies in this folder."""
        own = (self.root / "studies" / "trials").glob("*")
        travelling = (self.root / "tuned").glob(f"*{_TRIALS}")
        return sorted({path.name for path in own} | {path.name.removesuffix(_TRIALS) for path in travelling})

    def write_compact(self, dataset: str) -> Path:
        """Write all trials of the data set in one file; return its path."""
        rows = []
        for one in self.studies(dataset):
            told, names = json.dumps(asdict(one.study), sort_keys=True), sorted(one.study.defaults)
            for trial in one.trials:
                params = _short([trial.params[name] for name in names])
                values = [round(value * 10**DECIMALS) for value in trial.values]
                made = {"values": values, "params": params, "study": told}
                made |= {"settings": _short(trial.settings), "samplers": _short(trial.samplers)}
                rows.append({**asdict(trial), **made})
        table = pa.Table.from_pylist(rows, schema=_COMPACT)
        path = self.compact_path(dataset)
        write_atomically(
            path,
            table,
            use_dictionary=["study", "state", "samplers", "search", "error"],
            compression_level=19,
        )
        return path

    def _read_compact(self, dataset: str) -> list[Studied]:
        path = self.compact_path(dataset)
        if not path.exists():
            return []
        try:
            studies: dict[str, Study] = {}
            trials: dict[str, list[Tried]] = {}
            for row in read_checked(path, _COMPACT).to_pylist():
                told = row.pop("study")
                study = studies.get(told) or studies.setdefault(told, made_of(Study, json.loads(told)))
                params = zip(sorted(study.defaults), json.loads(row.pop("params")), strict=True)
                values = [value / 10**DECIMALS for value in row.pop("values")]
                row |= {name: json.loads(row[name]) for name in ("settings", "samplers")}
                trials.setdefault(told, []).append(
                    made_of(Tried, {**row, "params": dict(params), "values": values})
                )
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise BadStore(
                f"{path} cannot be read ({error}). If it came with the repository, check it out again; else move it "
                "away, and bench study makes it anew from its trials."
            ) from error
        return [Studied(study, _ordered(trials[told])) for told, study in studies.items()]


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


def _ordered(trials: Iterable[Tried]) -> list[Tried]:
    return sorted(trials, key=lambda trial: (trial.number, trial.id))


def made_of(kind: Any, content: Any) -> Any:
    """Return the dataclass of that kind with these fields; raise ValueError or TypeError where one is no such."""
    try:
        _adapter(kind).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "content"
        raise ValueError(f"{place}: {first['msg']}") from None
    return kind(**content)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _from_json(path: Path, kind: Any) -> Any:
    try:
        return made_of(kind, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        way = (
            "what it held is tried again"
            if kind is Tried
            else "the bench study that it is of writes it again"
        )
        raise BadStore(f"{path} cannot be read ({error}). Move it away: {way}.") from error


def _short(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)

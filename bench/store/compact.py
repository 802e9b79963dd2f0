"""A data set's records in one small file, and the noise of its test rows in another: all that tables need.

Scores are what a results folder is heavy of, and intervals need of them only what resampling a fold's rows adds to a
metric (`bench.stats.bootstrap.Noise`). So `compact/<dataset>/` holds the records of one table per protocol, their
test metrics measured once more from the scores, their validation metrics in single precision, and that noise, named
after the records it belongs to. Tables made from it are those made from the scores, digit for digit. An arm that has
records of its own under `runs/` is read from there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.errors import BadStore
from bench.names import OK, digest
from bench.stats.bootstrap import Noise, Replicates, with_noise
from bench.stats.metrics import metrics
from bench.store.folder import RECORD, Store, read_whole, write_atomically

NOISE = pa.schema(
    [
        ("protocol", pa.string()),
        ("scope", pa.string()),
        ("arm", pa.string()),
        ("fold", pa.int32()),
        ("resamples", pa.string()),
        ("metric", pa.string()),
        ("scale", pa.float64()),
        ("steps", pa.list_(pa.int16())),
    ]
)
_TEXTS = [
    field.name for field in RECORD if field.type == pa.string() and field.name not in ("key", "scores_sha256")
]
_SMALL = {"compression_level": 19, "use_dictionary": _TEXTS}  # no two numbers of a metric are the same
_SMALL_NOISE = {
    "compression_level": 19,
    "store_schema": True,  # with the hash of the records that it belongs to
    "use_dictionary": [name for name in NOISE.names if name != "steps"],
    "column_encoding": {"steps.list.element": "BYTE_STREAM_SPLIT"},
}

Record = Mapping[str, Any]


def fold_of(record: Record) -> int:
    """Return the number that tells a record's fold from those of all repeats."""
    return int(record["repeat"] * 10_000 + record["fold"])


def write(
    store: Store,
    dataset: str,
    tables: Iterable[tuple[Sequence[Record], Mapping[str, Replicates]]],
    names: Collection[str] | None = None,
) -> list[Path]:
    """Write the records of a data set's tables, each with its arms' replicates; return the two paths.

    `names` are the metrics whose noise is kept, by default all: without it a metric has no interval.
    Raises DiskFull or BadStore as every writing does.
    """
    names = metrics() if names is None else names
    rows, noise = [], []
    for records, measured in tables:
        points = {arm: _points(reps) for arm, reps in measured.items()}
        for record in records:
            found = points[record["arm"]][fold_of(record), record["seed"]] if record["status"] == OK else {}
            rows.append({**record, **_rounded(record), **found})
        for arm, reps in measured.items():
            noise += [row for row in _noise_rows(records[0], arm, reps) if row["metric"] in names]
    paths = [store.compact_path(dataset, kind) for kind in ("records", "noise")]
    write_atomically(paths[0], pa.Table.from_pylist(rows, schema=RECORD), **_SMALL)
    of = {"records": digest(paths[0].read_bytes())}
    write_atomically(
        paths[1], pa.Table.from_pylist(noise, schema=NOISE).replace_schema_metadata(of), **_SMALL_NOISE
    )
    return paths


def _points(reps: Replicates) -> dict[tuple[int, int], dict[str, float]]:
    return {
        run: {f"test_{metric}": float(values[i]) for metric, values in reps.points.items()}
        for i, run in enumerate(reps.runs)
    }


def _rounded(record: Record) -> dict[str, float]:
    """Return the validation metrics in single precision: no table shows them."""
    names = [f"valid_{metric}" for metric in metrics()]
    return {name: float(np.float32(record[name])) for name in names if record[name] is not None}


def _noise_rows(record: Record, arm: str, reps: Replicates) -> list[dict[str, Any]]:
    shared = {"protocol": record["protocol"], "scope": record["scope"], "arm": arm}
    return [
        {
            **shared,
            "fold": fold,
            "resamples": reps.resamples[fold],
            "metric": metric,
            "scale": found.scale,
            "steps": found.steps,
        }
        for metric in metrics()
        if metric in reps.noise
        for fold, found in reps.noise[metric].items()
    ]


def read(
    store: Store, records: Sequence[Record], names: Iterable[str] | None = None
) -> dict[str, Replicates]:
    """Return the replicates of the good runs among compact `records` of one protocol and scope, by arm.

    `names` limits the metrics. Raises BadStore where the noise cannot be read or belongs to other records.
    """
    good = [record for record in records if record["status"] == OK]
    if not good:
        return {}
    noise: _Noises = {}
    for home in reversed(store.compact_stores(good[0]["dataset"])):  # its own noise goes before published
        noise |= _noise_of(home, good[0], set(metrics() if names is None else names))
    found = {}
    for arm in dict.fromkeys(record["arm"] for record in good):
        by_run = {(fold_of(r), r["seed"]): r for r in good if r["arm"] == arm}
        runs = sorted(by_run)
        if arm not in noise:
            raise BadStore(
                f"The noise beside the compact records of {good[0]['dataset']} lacks {arm}: check both out again, or "
                "make both anew with bench compact."
            )
        mine, resamples = noise[arm]
        points = {
            metric: np.array([by_run[run][f"test_{metric}"] for run in runs], dtype=float) for metric in mine
        }
        found[arm] = with_noise(runs, points, mine, resamples)
    return found


def check(store: Store, dataset: str) -> None:
    """Raise BadStore where compact records or noise that a table needs cannot be read, or do not belong together."""
    for home in store.compact_stores(dataset):
        home.read_compact(dataset)
        _read_noise(home, dataset)


_Noises = dict[str, tuple[dict[str, dict[int, Noise]], dict[int, str]]]


def _read_noise(store: Store, dataset: str) -> pa.Table:
    """Return the noise as it was written; raise BadStore where it cannot be read, or is that of other records."""
    path = store.compact_path(dataset, "noise")
    table = read_whole(path, NOISE)
    records = digest(store.compact_path(dataset, "records").read_bytes())
    if (table.schema.metadata or {}).get(b"records") != records.encode():
        raise BadStore(
            f"{path} belongs to other records than those beside it; bench compact makes both anew."
        )
    return table


def _noise_of(store: Store, record: Record, names: set[str]) -> _Noises:
    """Return by arm the noise by metric and fold, and the resamples' names by fold."""
    table = _read_noise(store, record["dataset"])
    wanted = pa.array(sorted(names | ({"roc_auc"} if "gini" in names else set())))
    mine = (pc.field("protocol") == record["protocol"]) & (pc.field("scope") == record["scope"])
    table = table.filter(mine & pc.field("metric").isin(wanted))
    steps = table["steps"].combine_chunks()
    values, starts = steps.values.to_numpy(), steps.offsets.to_numpy()
    found: _Noises = {}
    for i, row in enumerate(table.drop_columns("steps").to_pylist()):
        noise, resamples = found.setdefault(row["arm"], ({}, {}))
        noise.setdefault(row["metric"], {})[row["fold"]] = Noise(
            row["scale"], values[starts[i] : starts[i + 1]]
        )
        resamples[row["fold"]] = row["resamples"]
    return found

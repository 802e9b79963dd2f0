"""A data set's records in one small file, and the noise of its test rows in another: all that tables need.

Scores are what a results folder is heavy of, and intervals need of them only what resampling a fold's rows adds to a
metric (`bench.stats.bootstrap.Noise`). So `compact/<dataset>/` holds the records of one table per protocol, their
test metrics measured once more from the scores, their validation metrics in single precision, and that noise, named
after the records it belongs to. Tables made from it are those made from the scores, digit for digit. An arm that has
records of its own under `runs/` is read from there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.errors import BadStore
from bench.names import OK, digest
from bench.stats.bootstrap import Noise, Replicates, with_noise
from bench.stats.metrics import metrics
from bench.store.folder import Store
from bench.store.parquet import read_whole, write_atomically
from bench.store.schema import Metrics, Record, record_schema

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
_SMALL_NOISE = {
    "compression_level": 19,
    "store_schema": True,  # with the hash of the records that it belongs to
    "use_dictionary": [name for name in NOISE.names if name != "steps"],
    "column_encoding": {"steps.list.element": "BYTE_STREAM_SPLIT"},
}


def write(
    store: Store,
    dataset: str,
    tables: Iterable[tuple[Sequence[Record], Mapping[str, Replicates]]],
    names: Collection[str] | None = None,
) -> list[Path]:
    """Write the records of a data set's tables, each with its arms' replicates; return the two paths.

    `names` are the metrics whose noise is kept, None for all: without it a metric has no interval.
    Raises DiskFull or BadStore as every writing does.
    """
    compacted: list[Record] = []
    noise: list[dict[str, object]] = []
    for records, replicates in tables:
        points = {arm: _points(reps) for arm, reps in replicates.items()}
        for record in records:
            measured = points[record.arm][record.fold_id, record.seed] if record.status == OK else {}
            test = {**record.test, **measured}
            compacted.append(replace(record, valid=_rounded(record.valid), test=test))
        for arm, reps in replicates.items():
            noise += _noise_rows(records[0], arm, reps, metrics() if names is None else names)
    paths = [store.compact_path(dataset, kind) for kind in ("records", "noise")]
    _write_records(paths[0], compacted)
    belongs_to = {"records": digest(paths[0].read_bytes())}
    write_atomically(
        paths[1],
        pa.Table.from_pylist(noise, schema=NOISE).replace_schema_metadata(belongs_to),
        **_SMALL_NOISE,
    )
    return paths


def _write_records(path: Path, records: Sequence[Record]) -> None:
    rows, schema = [record.row() for record in records], record_schema()
    unique = ("key", "scores_sha256")
    texts = [column.name for column in schema if column.type == pa.string() and column.name not in unique]
    # Texts repeat from row to row; no two numbers of a metric are the same.
    small = {"compression_level": 19, "use_dictionary": texts}
    write_atomically(path, pa.Table.from_pylist(rows, schema=schema), **small)


def _points(reps: Replicates) -> dict[tuple[int, int], dict[str, float]]:
    """Return the metrics of each run, by fold and seed."""
    return {
        run: {metric: float(values[i]) for metric, values in reps.points.items()}
        for i, run in enumerate(reps.runs)
    }


def _rounded(measured: Metrics) -> Metrics:
    """Return validation metrics in single precision: no table shows them."""
    return {name: value if value is None else float(np.float32(value)) for name, value in measured.items()}


def _noise_rows(
    record: Record, arm: str, reps: Replicates, names: Collection[str]
) -> list[dict[str, object]]:
    shared = {"protocol": record.protocol, "scope": record.scope, "arm": arm}
    return [
        {
            **shared,
            "fold": fold,
            "resamples": reps.resamples[fold],
            "metric": metric,
            "scale": noise.scale,
            "steps": noise.steps,
        }
        for metric in metrics()
        if metric in reps.noise and metric in names
        for fold, noise in reps.noise[metric].items()
    ]


def read(
    store: Store, records: Sequence[Record], names: Iterable[str] | None = None
) -> dict[str, Replicates]:
    """Return the replicates of the good runs among compact `records` of one protocol and scope, by arm.

    `names` limits the metrics. Raises BadStore where the noise cannot be read or belongs to other records.
    """
    good = [record for record in records if record.status == OK]
    if not good:
        return {}
    dataset = good[0].dataset
    noise: _Noises = {}
    for home in reversed(store.compact_stores(dataset)):  # its own noise goes before published
        noise |= _noise_of(home, good[0], set(metrics() if names is None else names))
    replicates = {}
    for arm in dict.fromkeys(record.arm for record in good):
        if arm not in noise:
            raise BadStore(
                f"The noise beside the compact records of {dataset} lacks {arm}: check both out again, or "
                "make both anew with bench compact."
            )
        by_run = {(record.fold_id, record.seed): record for record in good if record.arm == arm}
        runs = sorted(by_run)
        by_metric, resamples = noise[arm]
        points = {
            metric: np.array([by_run[run].test[metric] for run in runs], dtype=float) for metric in by_metric
        }
        replicates[arm] = with_noise(runs, points, by_metric, resamples)
    return replicates


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
    table = _read_noise(store, record.dataset)
    wanted = pa.array(sorted(names | ({"roc_auc"} if "gini" in names else set())))
    same_table = (pc.field("protocol") == record.protocol) & (pc.field("scope") == record.scope)
    table = table.filter(same_table & pc.field("metric").isin(wanted))
    steps = table["steps"].combine_chunks()
    values, starts = steps.values.to_numpy(), steps.offsets.to_numpy()
    by_arm: _Noises = {}
    for i, row in enumerate(table.drop_columns("steps").to_pylist()):
        noise, resamples = by_arm.setdefault(row["arm"], ({}, {}))
        noise.setdefault(row["metric"], {})[row["fold"]] = Noise(
            row["scale"], values[starts[i] : starts[i + 1]]
        )
        resamples[row["fold"]] = row["resamples"]
    return by_arm

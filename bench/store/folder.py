"""Records and scores as parquet files: one pair per run, written whole or not at all.

A record is a run and what came out, one row; its scores are every validation and test row's. Files
are written to a temporary name in the same folder, synced and renamed, scores before record, so that a
record on disk means a finished run. Pages carry checksums, and reading checks them: an unreadable
record goes to quarantine with its scores and is run again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.disk import write_file
from bench.errors import BadStore
from bench.names import OK, cores, digest
from bench.stats.metrics import metrics
from bench.stats.scored import Scored
from bench.store.scores import as_parts, as_table

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
PUBLISHED = "published"  # the folder, within a results folder, of what a repository brings
SWEEPS = "alpha"  # the folder, within a results folder, of the sweeps of MetaBalance's inner rate

_METRIC_FIELDS = [(f"{part}_{metric}", pa.float64()) for part in ("valid", "test") for metric in metrics()]
RECORD = pa.schema(
    [
        ("key", pa.string()),
        ("schema", pa.int32()),
        ("dataset", pa.string()),
        ("data_sha256", pa.string()),
        ("data_source", pa.string()),
        ("recipe_sha256", pa.string()),
        ("protocol", pa.string()),
        ("scope", pa.string()),
        ("split_sha256", pa.string()),
        ("repeat", pa.int32()),
        ("fold", pa.int32()),
        ("arm", pa.string()),
        ("method", pa.string()),
        ("version", pa.int32()),
        ("inner_sampler", pa.string()),
        ("outer_sampler", pa.string()),
        ("sampler", pa.string()),
        ("loss", pa.string()),
        ("config", pa.string()),
        ("seed", pa.int64()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("n_train", pa.int64()),
        ("n_valid", pa.int64()),
        ("n_test", pa.int64()),
        ("n_test_positive", pa.int64()),
        ("threshold", pa.float64()),
        *_METRIC_FIELDS,
        ("steps", pa.int64()),
        ("best_step", pa.int64()),
        ("samples_seen", pa.int64()),
        ("selected", pa.string()),
        ("fit_seconds", pa.float64()),
        ("score_seconds", pa.float64()),
        ("resample_seconds", pa.float64()),
        ("pack_size", pa.int32()),
        ("device", pa.string()),
        ("engine", pa.string()),
        ("threads", pa.int32()),
        ("peak_memory_mb", pa.float64()),
        ("scores_sha256", pa.string()),
        ("versions", pa.string()),
        ("commit", pa.string()),
        ("dirty", pa.bool_()),
        ("started", pa.timestamp("us", tz="UTC")),
        ("finished", pa.timestamp("us", tz="UTC")),
    ]
)
NEEDED = (
    "key",
    "dataset",
    "protocol",
    "scope",
    "repeat",
    "fold",
    "arm",
    "method",
    "config",
    "seed",
    "status",
    "finished",
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
# Most files hold one row: without dictionaries, statistics and the schema's second copy they are a third the size.
_WRITTEN = {
    "compression": "zstd",
    "write_page_checksum": True,
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}


@dataclass(frozen=True)
class Store:
    """The results folder: `runs/<dataset>/<key>.parquet` and `scores/<dataset>/<key>.parquet`."""

    root: Path
    read_only: bool = False

    @property
    def published(self) -> Store | None:
        """The published results that are read beside these, and never written; None where there are none."""
        folder = published_beside(self.root)
        return None if folder is None else Store(folder, read_only=True)

    def check_writable(self) -> None:
        """Create the folders and write a byte; raise BadStore that says what to do instead."""
        try:
            for name in ("runs", "scores", "leaderboards"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            probe = self.root / "runs" / f".probe.{os.getpid()}.tmp"
            probe.write_bytes(b"0")
            probe.unlink()
        except OSError as error:
            raise BadStore(
                f"The results folder {self.root} cannot be written ({error.strerror}). Choose another with "
                "--results DIR."
            ) from error

    def record_path(self, dataset: str, key: str) -> Path:
        """Return where the run's record lies."""
        return self.root / "runs" / dataset / f"{key}.parquet"

    def scores_path(self, dataset: str, key: str) -> Path:
        """Return where the run's scores lie."""
        return self.root / "scores" / dataset / f"{key}.parquet"

    def compact_path(self, dataset: str, kind: str) -> Path:
        """Return where the data set's compact `records` or `noise` lie; see `bench.store.compact`."""
        return self.root / "compact" / dataset / f"{kind}.parquet"

    def write(self, record: dict[str, Any], scores: Mapping[str, Scored] | None) -> None:
        """Write a run's scores, by part (if it has any), then its record, each atomically.

        Raises DiskFull or BadStore; then neither file is there, and every earlier one is whole.
        """
        dataset, key = record["dataset"], record["key"]
        row = {name: record.get(name) for name in RECORD.names} | {"schema": SCHEMA_VERSION}
        if scores is not None:
            write_atomically(self.scores_path(dataset, key), as_table(scores))
            row["scores_sha256"] = digest(self.scores_path(dataset, key).read_bytes())
        try:
            write_atomically(self.record_path(dataset, key), pa.Table.from_pylist([row], schema=RECORD))
        except BadStore:
            with contextlib.suppress(OSError):
                self.scores_path(dataset, key).unlink(missing_ok=True)
            raise

    def read(self, dataset: str, key: str) -> dict[str, Any] | None:
        """Return the record as a dict, or None if there is none; an unreadable one is quarantined.

        A column that the record was written without (a metric added since) is None.
        """
        path = self.record_path(dataset, key)
        if not path.exists():
            return None
        try:
            (row,) = read_checked(path).to_pylist()
            found: dict[str, Any] = {name: row.get(name) for name in RECORD.names}
            _check_record(found, dataset)
            if found["key"] != key:
                raise ValueError(f"{path} is not the record of that key")
        except (OSError, ValueError, pa.ArrowException) as error:
            _check_readable(path, error)
            self.quarantine(dataset, key)
            return None
        return found

    def read_scores(self, dataset: str, key: str, sha256: str | None = None) -> dict[str, Scored] | None:
        """Return what the run scored by part, without its threshold, which the record has; or None.

        Unreadable ones, and with the record's `sha256` another run's, are quarantined with the record: None.
        """
        try:
            if sha256 is not None and digest(self.scores_path(dataset, key).read_bytes()) != sha256:
                raise ValueError("the scores are not those that the record was written with")
            return as_parts(read_checked(self.scores_path(dataset, key)))
        except (OSError, ValueError, pa.ArrowException) as error:
            _check_readable(self.scores_path(dataset, key), error)
            self.quarantine(dataset, key)
            return None

    def keys(self, dataset: str) -> list[str]:
        """Return the keys of all records of a data set, sorted."""
        return sorted(path.stem for path in (self.root / "runs" / dataset).glob("*.parquet"))

    def records(self, dataset: str) -> list[dict[str, Any]]:
        """Return all readable records of a data set.

        An arm's records in a scope are those under `runs/`; else the compact ones; else the published compact ones.
        Raises BadStore where compact ones cannot be read.
        """
        with ThreadPoolExecutor(cores()) as threads:
            read = threads.map(lambda key: self.read(dataset, key), self.keys(dataset))
            found = [record for record in read if record is not None]
        for store in self.compact_stores(dataset):
            known = {(record["scope"], record["arm"]) for record in found}
            found += [r for r in store.read_compact(dataset) if (r["scope"], r["arm"]) not in known]
        return found

    def compact_stores(self, dataset: str) -> list[Store]:
        """Return the stores that hold compact records of the data set: this one, then the published one."""
        stores = [self, *([self.published] if self.published else [])]
        return [store for store in stores if store.has_compact(dataset)]

    def own_keys(self, dataset: str) -> set[str]:
        """Return the keys of the data set's records that are in this folder, not only in the published one."""
        compact = self.read_compact(dataset) if self.has_compact(dataset) else []
        return {*self.keys(dataset), *(record["key"] for record in compact)}

    def read_compact(self, dataset: str) -> list[dict[str, Any]]:
        """Return the data set's compact records; a column that they were written without is None.

        Raises BadStore where there are none that can be read.
        """
        path = self.compact_path(dataset, "records")
        found = [
            {name: row.get(name) for name in RECORD.names} for row in read_whole(path, RECORD).to_pylist()
        ]
        try:
            for record in found:
                _check_record(record, dataset)
        except ValueError as error:
            raise BadStore(
                f"{path}: {error}. bench compact writes it anew from the runs it was made of."
            ) from error
        return found

    def is_compact(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record that was read has no file of its own, and so no scores."""
        return not self.record_path(record["dataset"], record["key"]).exists()

    def has_compact(self, dataset: str = "*") -> bool:
        """Return whether the data set, or any, has compact records in this folder."""
        return any((self.root / "compact").glob(f"{dataset}/records.parquet"))

    def datasets(self) -> list[str]:
        """Return the names of the data sets that have records in this folder, whatever is published beside it."""
        found = [path for kind in ("runs", "compact") for path in (self.root / kind).glob("*")]
        return sorted({path.name for path in found if path.is_dir()})

    def all_datasets(self) -> list[str]:
        """Return the names of the data sets that have records here or among the published ones."""
        return sorted({*self.datasets(), *(self.published.datasets() if self.published else ())})

    def quarantine(self, dataset: str, key: str) -> None:
        """Move a run's files to `quarantine/`, where nothing reads them; the run counts as not done.

        A store that is read only leaves them where they are.
        """
        if self.read_only:
            log.warning("%s of %s cannot be read; it stays where it is, and in no table", key[:12], dataset)
            return
        log.warning("%s of %s cannot be read; it goes to %s", key[:12], dataset, self.root / "quarantine")
        for path in (self.record_path(dataset, key), self.scores_path(dataset, key)):
            if path.exists():
                target = self.root / "quarantine" / f"{path.parent.parent.name}-{dataset}-{path.name}"
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(target)
                except OSError as error:
                    raise BadStore(
                        f"{path} is damaged and cannot be moved to {target.parent} ({error.strerror})."
                    ) from error

    def sweep(self, pids: Iterable[int]) -> None:
        """Remove the temporary files that ended processes left behind."""
        for pid in pids:
            for path in self.root.glob(f"*/*/*.{pid}.tmp"):
                path.unlink(missing_ok=True)


def published_beside(root: Path) -> Path | None:
    """Return the folder of published results that is read beside those in `root`; None where there is none.

    It is `published` within `root`; for the sweeps, `results/alpha`, it is `results/published/alpha`.
    """
    within = root.parent / PUBLISHED / SWEEPS if root.name == SWEEPS else None
    candidates = [root / PUBLISHED, *([within] if within else [])]
    # os.path is silent where a folder may not be looked into: whoever writes there says so.
    return next((folder for folder in candidates if os.path.isdir(folder)), None)  # noqa: PTH112


def _check_record(record: Mapping[str, Any], dataset: str) -> None:
    """Raise ValueError where a record lacks what every record has, or is another data set's or version's."""
    lacking = [name for name in NEEDED if record[name] is None]
    judged = (
        record["status"] == OK and record["n_test"] != 0
    )  # a study's runs meet no test row, and keep no scores
    needed = NEEDED_IF_OK if judged else ()
    lacking += [name for name in needed if record[name] is None]
    if lacking:
        raise ValueError(f"a record without {', '.join(lacking)}")
    if record["dataset"] != dataset:
        raise ValueError(f"a record of {record['dataset']}, not of {dataset}")
    if record["schema"] != SCHEMA_VERSION:
        raise ValueError(f"a record of schema {record['schema']}, not {SCHEMA_VERSION}")


def _check_readable(path: Path, error: Exception) -> None:
    """Raise BadStore where the file may be whole and only could not be read now: it is not to be put away."""
    if isinstance(error, OSError) and error.errno in (
        errno.EACCES,
        errno.EPERM,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
    ):
        raise BadStore(f"{path} cannot be read ({error.strerror}).") from error


def write_atomically(path: Path, table: pa.Table, **options: Any) -> None:
    """Write a parquet file with page checksums so that `path` is whole or absent; see `bench.disk.write_file`.

    `options` are pyarrow's.
    """
    write_file(path, lambda file: pq.write_table(table, file, **(_WRITTEN | options)))


def read_checked(path: Path, schema: pa.Schema | None = None) -> pa.Table:
    """Return the parquet file's table, its page checksums verified; with `schema`, exactly those columns.

    Raises OSError, ValueError or pyarrow's error where the file is not readable or not of that schema.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table, told = file.read(), file.metadata
    # No checksum covers the footer: a bit flipped in one of its counts would shorten the table in silence.
    in_groups = sum(told.row_group(i).num_rows for i in range(told.num_row_groups))
    if not table.num_rows == told.num_rows == in_groups:
        raise ValueError(f"{path} says in two ways how many rows it has")
    if schema is not None and not table.schema.equals(schema):
        raise ValueError(f"{path} has another schema than version {SCHEMA_VERSION}")
    return table


def read_whole(path: Path, schema: pa.Schema) -> pa.Table:
    """Return `read_checked` of a compact file; raise BadStore, which says what to do, where it cannot be read.

    A column of the schema may be missing (one that came after the file), none may be of another type.
    """
    try:
        table = read_checked(path)
        for name in table.column_names:
            if name not in schema.names or table.schema.field(name).type != schema.field(name).type:
                raise ValueError(f"{name} is no column, or another kind of column, of these files")
        return table
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadStore(
            f"{path} cannot be read ({error}). If it came with the repository, check it out again; where the runs it "
            "was made of are, move it away and bench compact makes it anew."
        ) from error

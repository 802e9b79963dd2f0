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
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from bench.errors import BadStore
from bench.names import cores, digest
from bench.stats.scored import Scored
from bench.store.parquet import read_checked, read_whole, write_atomically
from bench.store.schema import SCHEMA_VERSION, Record, as_record, record_schema
from bench.store.scores import as_parts, as_table

log = logging.getLogger(__name__)

PUBLISHED = "published"  # the folder, within a results folder, of what a repository brings
SWEEPS = "alpha"  # the folder, within a results folder, of the sweeps of MetaBalance's inner rate


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

    def write(self, record: Record, scores: Mapping[str, Scored] | None) -> None:
        """Write a run's scores, by part (if it has any), then its record, each atomically.

        Raises DiskFull or BadStore; then neither file is there, and every earlier one is whole.
        """
        record_path = self.record_path(record.dataset, record.key)
        scores_path = self.scores_path(record.dataset, record.key)
        record = replace(record, schema=SCHEMA_VERSION)
        if scores is not None:
            write_atomically(scores_path, as_table(scores))
            record = replace(record, scores_sha256=digest(scores_path.read_bytes()))
        try:
            write_atomically(record_path, pa.Table.from_pylist([record.row()], schema=record_schema()))
        except BadStore:
            with contextlib.suppress(OSError):
                scores_path.unlink(missing_ok=True)
            raise

    def read(self, dataset: str, key: str) -> Record | None:
        """Return the record, or None if there is none; an unreadable one is quarantined.

        A column that the record was written without (a metric added since) is None.
        """
        path = self.record_path(dataset, key)
        if not path.exists():
            return None
        try:
            (row,) = read_checked(path).to_pylist()
            record = as_record(row)
            _check_dataset(record, dataset)
            if record.key != key:
                raise ValueError(f"{path} is not the record of that key")
        except (OSError, ValueError, pa.ArrowException) as error:
            _check_readable(path, error)
            self.quarantine(dataset, key)
            return None
        return record

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

    def records(self, dataset: str) -> list[Record]:
        """Return all readable records of a data set.

        An arm's records in a scope are those under `runs/`; else the compact ones; else the published compact ones.
        Raises BadStore where compact ones cannot be read.
        """
        with ThreadPoolExecutor(cores()) as threads:
            read = threads.map(lambda key: self.read(dataset, key), self.keys(dataset))
            records = [record for record in read if record is not None]
        for store in self.compact_stores(dataset):
            known = {(record.scope, record.arm) for record in records}
            records += [r for r in store.read_compact(dataset) if (r.scope, r.arm) not in known]
        return records

    def compact_stores(self, dataset: str) -> list[Store]:
        """Return the stores that hold compact records of the data set: this one, then the published one."""
        stores = [self, *([self.published] if self.published else [])]
        return [store for store in stores if store.has_compact(dataset)]

    def own_keys(self, dataset: str) -> set[str]:
        """Return the keys of the data set's records that are in this folder, not only in the published one."""
        compact = self.read_compact(dataset) if self.has_compact(dataset) else []
        return {*self.keys(dataset), *(record.key for record in compact)}

    def read_compact(self, dataset: str) -> list[Record]:
        """Return the data set's compact records; a column that they were written without is None.

        Raises BadStore where there are none that can be read.
        """
        path = self.compact_path(dataset, "records")
        table = read_whole(path, record_schema())
        try:
            records = [as_record(row) for row in table.to_pylist()]
            for record in records:
                _check_dataset(record, dataset)
        except ValueError as error:
            raise BadStore(
                f"{path}: {error}. bench compact writes it anew from the runs it was made of."
            ) from error
        return records

    def is_compact(self, record: Record) -> bool:
        """Return whether a record that was read has no file of its own, and so no scores."""
        return not self.record_path(record.dataset, record.key).exists()

    def has_compact(self, dataset: str = "*") -> bool:
        """Return whether the data set, or any, has compact records in this folder."""
        return any((self.root / "compact").glob(f"{dataset}/records.parquet"))

    def datasets(self) -> list[str]:
        """Return the names of the data sets that have records in this folder, whatever is published beside it."""
        folders = [path for kind in ("runs", "compact") for path in (self.root / kind).glob("*")]
        return sorted({path.name for path in folders if path.is_dir()})

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


def _check_dataset(record: Record, dataset: str) -> None:
    """Raise ValueError where a record that lies among a data set's is another's."""
    if record.dataset != dataset:
        raise ValueError(f"a record of {record.dataset}, not of {dataset}")


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

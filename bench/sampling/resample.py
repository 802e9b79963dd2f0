"""Resampled training rows: made once for rows, sampler and seed, and shared by every run that needs them.

A set's name is a hash of what determines it: rows, labels, sampler, its settings, imbalanced-learn's version. A process
holds one copy of a set; one that took time to make is kept on disk under its name. Of several processes that want a
slow sampler's set, one makes it and the others wait. On a large table a slow sampler works in a process of its own,
which is ended at the time limit. A marker on disk then spares the same benchmark a second wait.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
import zlib
from collections import OrderedDict
from importlib.metadata import version
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.data.encode import Part
from bench.data.raw.fetch import cache_folder
from bench.disk import remove_stale, replacing, temporary_beside
from bench.errors import SamplerFailed, SamplerTimeout
from bench.names import digest
from bench.sampling.samplers import SAMPLERS, SLOW_SECONDS, Sampler, sampler_named

if TYPE_CHECKING:
    from imblearn.base import BaseSampler

__all__ = ["SAMPLERS", "resample"]

SLOW_ROWS = 20_000  # from here on a slow sampler has a process of its own and a time limit
KEEP_SECONDS = 0.2  # a set that took less time to make is not kept on disk
KEEP_BYTES = 4 * 1024**3  # the oldest sets beyond this are removed
REMEMBERED = 2**28  # bytes of sets that a process holds on to between the runs that use them

_ADDS_NONE = "No samples will be generated"  # imbalanced-learn's words

# What reading a file that is not a set raises.
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)

_remembered: OrderedDict[str, Part] = OrderedDict()
_alive: WeakValueDictionary[str, Part] = WeakValueDictionary()  # every set that is in use in this process
_hashed: WeakValueDictionary[int, Part] = WeakValueDictionary()  # by id, the parts whose hash is known
_hashes: dict[int, str] = {}


def resample(part: Part, sampler: str | None, seed: int, *, since: float = inf) -> Part:
    """Return `part` resampled by the named sampler; None returns it as it is.

    Where the sampler draws nothing at random, all seeds share one set. The rows that a sampler makes up, or copies,
    carry the row id -1 unless the sampler says which rows it took. A ratio that the rows have already leaves them as
    they are. `since` (Unix seconds) is when this benchmark began: a sampler that ran out of time on these rows since
    then, with whatever seed, raises SamplerTimeout at once. Raises UnknownName, BadSetting, SamplerTimeout,
    SamplerFailed from a process of its own, and lets the sampler's own error pass otherwise.
    """
    if sampler is None:
        return part
    chosen, ratio = sampler_named(sampler)
    fewer, more = _class_sizes(part)
    if ratio is not None and fewer >= ratio * more:
        return part
    seed = seed if chosen.random else 0
    name = _name(part, sampler, seed)
    resampled = _alive.get(name)
    if resampled is None:
        resampled = _alive[name] = _read_or_make(part, sampler, chosen, seed, name, since)
    _remembered[name] = resampled
    _remembered.move_to_end(name)
    while sum(remembered.X.nbytes for remembered in _remembered.values()) > REMEMBERED:
        _remembered.popitem(last=False)
    return resampled


def _read_or_make(part: Part, sampler: str, chosen: Sampler, seed: int, name: str, since: float) -> Part:
    """Return the set from the disk, or made now; of several processes one makes a slow sampler's."""
    path = cache_folder() / "resampled" / f"{name}.npz"
    with contextlib.suppress(*UNREADABLE):
        return _read(path, part)
    if not chosen.slow:
        return _make(part, sampler, seed, path)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path.with_suffix(".lock")).acquire()
    except (OSError, NotImplementedError):  # a cache that cannot be written: each process makes its own
        return _make(part, sampler, seed, path)
    with lock:
        with contextlib.suppress(*UNREADABLE):
            return _read(path, part)
        if len(part.X) >= SLOW_ROWS:
            with contextlib.suppress(OSError):  # no room in the cache for the rows that the process reads
                return _make_in_own_process(part, sampler, seed, path, since)
        return _make(part, sampler, seed, path)


def _make(part: Part, sampler: str, seed: int, path: Path) -> Part:
    """Make the set in this process, and keep it on disk if it took time; a full disk only costs the copy."""
    started = time.perf_counter()
    resampled = _fit_resample(part, sampler, seed)
    if time.perf_counter() - started >= KEEP_SECONDS:
        with contextlib.suppress(OSError):
            with replacing(path, sync=False) as temporary:  # a torn copy is noticed when it is read
                _write(temporary, resampled)
            _make_room(path)
    return resampled


def _make_in_own_process(part: Part, sampler: str, seed: int, path: Path, since: float) -> Part:
    """Make the set in a process that is ended at the sampler's limit, unless that happened already after `since`."""
    limit = sampler_named(sampler)[0].limit_seconds or 0.0
    marker = path.with_name(f"{_name(part, sampler, 0)}.timeout")  # of every seed: another would take as long
    if marker.exists() and marker.stat().st_mtime >= since:
        raise _too_slow(part, sampler, limit)
    with replacing(path, sync=False) as output, temporary_beside(path) as rows:
        _write(rows, part)
        try:
            _run(sampler, seed, rows, output, limit)
        except subprocess.TimeoutExpired:
            marker.touch()
            raise _too_slow(part, sampler, limit) from None
        resampled = _read(output, part)
    _make_room(path)
    return resampled


def _run(sampler: str, seed: int, rows: Path, output: Path, limit: float) -> None:
    """Run `main` in a process of its own; raise TimeoutExpired, MemoryError or SamplerFailed where it fails."""
    command = [sys.executable, "-P"]  # without the user's working folder on the path
    command += ["-m", "bench.sampling.resample", sampler, str(seed), str(rows), str(output), str(os.getpid())]
    process = subprocess.run(  # noqa: S603  (our own module on files that we wrote)
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=limit, check=False
    )
    if not process.returncode:
        return
    ended = f"{sampler} ended with {process.returncode}"
    if process.returncode == -signal.SIGKILL:
        ended += " (killed: out of memory, or from outside)"
    # The exception's message follows the last indented line of its traceback.
    message = takewhile(lambda line: not line.startswith(" "), reversed(process.stderr.strip().splitlines()))
    last = " ".join(reversed([*message])) or ended
    raise MemoryError(last) if "MemoryError" in last else SamplerFailed(last)


def _too_slow(part: Part, sampler: str, limit: float) -> SamplerTimeout:
    n, d = part.X.shape
    return SamplerTimeout(
        f"The sampler {sampler} took more than its {limit:g} s on {n:,} rows × {d} columns and was stopped. "
        "Run the same command with --retry-failed on a quieter or faster machine, or leave out the arms that use it."
    )


def _build(part: Part, sampler: str, seed: int) -> BaseSampler:
    chosen, ratio = sampler_named(sampler)
    estimator = chosen.make(seed % 2**32, min(_class_sizes(part)), len(part.labels))
    if ratio is not None:
        estimator.set_params(**{str(chosen.ratio): ratio})
    return estimator


def _class_sizes(part: Part) -> tuple[int, int]:
    """Return how many rows the rarer class has, and the other."""
    positive = int(part.labels.sum())
    fewer, more = sorted((positive, len(part.labels) - positive))
    return fewer, more


def _fit_resample(part: Part, sampler: str, seed: int) -> Part:
    """Return the part resampled; as it is where ADASYN is asked for so few rows that every share rounds to 0."""
    estimator = _build(part, sampler, seed)
    if multiprocessing.current_process().daemon:
        # A worker has its share of the cores, and may start no processes.
        jobs = [name for name in estimator.get_params() if name.rpartition("__")[2] == "n_jobs"]
        estimator.set_params(**dict.fromkeys(jobs))
    with threadpool_limits(1) if sampler_named(sampler)[0].one_thread else contextlib.nullcontext():
        try:
            X, labels = estimator.fit_resample(part.X, part.labels)
        except ValueError as error:
            if _ADDS_NONE not in str(error):
                raise
            if ":" in sampler:
                return part
            counts = " and ".join(f"{count:,}" for count in np.bincount(part.labels))
            raise ValueError(
                f"{sampler} makes no rows here: the classes are as good as balanced ({counts} training rows)"
            ) from error
    indices: NDArray[np.int64] | None = getattr(estimator, "sample_indices_", None)
    rows = np.full(len(labels), -1, dtype=np.int64) if indices is None else part.rows[indices]
    return Part(rows, np.ascontiguousarray(X, dtype=np.float32), labels.astype(np.int8))


def _name(part: Part, sampler: str, seed: int) -> str:
    settings = {key: str(value) for key, value in _build(part, sampler, seed).get_params(deep=False).items()}
    settings.pop("n_jobs", None)  # how fast, not what
    return digest([_hash(part), sampler, seed % 2**32, settings, version("imbalanced-learn")])


def _hash(part: Part) -> str:
    """Return the hash of a part's rows and labels, made once per object: nothing changes a part."""
    if _hashed.get(id(part)) is not part:
        _hashed[id(part)] = part
        _hashes[id(part)] = digest([digest(array.tobytes()) for array in (part.rows, part.X, part.labels)])
    return _hashes[id(part)]


def _read(path: Path, part: Part | None = None) -> Part:
    """Return the set; raise one of UNREADABLE where it is none, or cannot be one made of the rows of `part`."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        resampled = Part(arrays["rows"], arrays["X"], arrays["y"])
    if part is not None and not _fits(resampled, part):
        raise ValueError(f"{path} is no resampled set of these rows")
    return resampled


def _fits(resampled: Part, part: Part) -> bool:
    """Return whether a set has the shape and types of one made of the rows of `part`, and finite values."""
    X, labels = resampled.X, resampled.labels
    return bool(
        (X.dtype, labels.dtype) == (part.X.dtype, part.labels.dtype)
        and X.ndim == 2
        and X.shape[1] == part.X.shape[1]
        and len(resampled.rows) == len(X) == len(labels) > 0
        and np.isfinite(X).all()
        and np.isin(labels, (0, 1)).all()
    )


def _write(path: Path, part: Part) -> None:
    with path.open("wb") as file:
        np.savez(file, rows=part.rows, X=part.X, y=part.labels)


def _make_room(newest: Path) -> None:
    """Remove the oldest sets beyond KEEP_BYTES, never the newest, and what killed processes left behind."""
    with contextlib.suppress(OSError):
        remove_stale(newest.parent, 2 * SLOW_SECONDS)
        sets = sorted(newest.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True)
        sizes = np.cumsum([p.stat().st_size for p in sets])
        for path, total in zip(sets, sizes, strict=True):
            if total > KEEP_BYTES and path != newest:
                path.unlink(missing_ok=True)


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies (Linux); elsewhere it ends by its time limit."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main(sampler: str, seed: str, rows: str, output: str, parent: str) -> None:
    """Be the process of a slow sampler: read the file `rows`, resample, write the file `output`."""
    _end_with_parent()
    if os.getppid() != int(parent):  # it died before the kernel was asked
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    part = _read(Path(rows))
    _write(Path(output), _fit_resample(part, sampler, int(seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])

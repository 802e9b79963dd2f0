"""Resampled training rows: made once for rows, sampler and seed, and shared by every run that needs them.

A set is named by the hash of what made it (rows, labels, sampler, its settings, imbalanced-learn's version).
A process has it once while anyone holds it; one that took time is kept on disk under its name, and of several
processes one makes a slow sampler's. A slow sampler on a large table works in a process of its own, which
is ended at its time limit; that it ran out of time is kept too, so that nobody waits for it again in the
same benchmark.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import OrderedDict
from importlib.metadata import version
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.data.encode import Part
from bench.data.raw.fetch import cache_folder
from bench.errors import SamplerFailed, SamplerTimeout
from bench.names import digest
from bench.sampling.samplers import SAMPLERS, SLOW_SECONDS, Sampler, sampler_named

__all__ = ["SAMPLERS", "resample"]

SLOW_ROWS = 20_000  # from here on a slow sampler has a process of its own and a time limit
KEEP_SECONDS = 0.2  # a set that took less is made again rather than kept on disk
KEEP_BYTES = 4 * 1024**3  # the oldest sets beyond this are removed
REMEMBERED = 2**28  # bytes of sets that one process holds though no pack does

_ADDS_NONE = "No samples will be generated"  # imbalanced-learn's words

UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)  # a file that is not a set

_remembered: OrderedDict[str, Part] = OrderedDict()
_alive: WeakValueDictionary[str, Part] = WeakValueDictionary()  # every set that anyone holds
_hashed: WeakValueDictionary[int, Part] = WeakValueDictionary()  # by id, the parts whose hash is known
_hashes: dict[int, str] = {}


def resample(part: Part, sampler: str | None, seed: int, *, since: float = inf) -> Part:
    """Return `part` resampled by the named sampler; None returns it as it is.

    The rows that a sampler makes up, or copies, carry the row id -1 unless the sampler says which
    rows it took. A ratio that the rows have already leaves them as they are. `since` (Unix seconds) is when this
    benchmark began: a sampler that ran out of time on these rows since then raises SamplerTimeout at once. Raises
    UnknownName, BadSetting, SamplerTimeout, SamplerFailed from a process of its own, and lets the sampler's own error
    pass otherwise.
    """
    if sampler is None:
        return part
    chosen, ratio = sampler_named(sampler)
    fewer, more = _class_sizes(part)
    if ratio is not None and fewer >= ratio * more:
        return part
    name = _name(part, sampler, seed)
    found = _alive.get(name)
    if found is None:
        found = _alive[name] = _made(part, sampler, chosen, seed, name, since)
    _remembered[name] = found
    _remembered.move_to_end(name)
    while sum(held.X.nbytes for held in _remembered.values()) > REMEMBERED:
        _remembered.popitem(last=False)
    return found


def _made(part: Part, sampler: str, chosen: Sampler, seed: int, name: str, since: float) -> Part:
    """Return the set, read or made; one process at a time makes a slow one."""
    kept = cache_folder() / "resampled" / f"{name}.npz"
    with contextlib.suppress(*UNREADABLE):
        return _read(kept, part)
    if not chosen.slow:
        return _make(part, sampler, seed, kept)
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(kept.with_suffix(".lock")).acquire()
    except (OSError, NotImplementedError):  # a cache that cannot be written: each process makes its own
        return _make(part, sampler, seed, kept)
    with lock:
        with contextlib.suppress(*UNREADABLE):
            return _read(kept, part)
        if len(part.X) >= SLOW_ROWS:
            with contextlib.suppress(OSError):  # a cache without room for the rows to be handed over
                return _make_within(part, sampler, seed, kept, since)
        return _make(part, sampler, seed, kept)


def _make(part: Part, sampler: str, seed: int, kept: Path) -> Part:
    started = time.perf_counter()
    made = _fit_resample(part, sampler, seed)
    if time.perf_counter() - started >= KEEP_SECONDS:
        _keep(kept, made)
    return made


def _make_within(part: Part, sampler: str, seed: int, kept: Path, since: float) -> Part:
    """Make the set in a process of its own, ended at the sampler's limit; the marker of an earlier end counts."""
    limit = sampler_named(sampler)[0].limit_seconds or 0.0
    marker = kept.with_suffix(".timeout")
    if marker.exists() and marker.stat().st_mtime >= since:
        raise _too_slow(part, sampler, limit)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="making-") as folder:
        rows, out = Path(folder) / "rows.npz", Path(folder) / "made.npz"
        _write(rows, part)
        words = [
            sys.executable,
            "-P",  # the user's folder is no place to import from
            "-m",
            "bench.sampling.resample",
            sampler,
            str(seed),
            *map(str, (rows, out, os.getpid())),
        ]
        with subprocess.Popen(  # noqa: S603  (our own module on files that we wrote; it ends with us)
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as child:
            try:
                _, error = child.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                marker.touch()
                raise _too_slow(part, sampler, limit) from None
            finally:
                child.kill()
        if child.returncode:
            ended = f"{sampler} ended with {child.returncode}"
            if child.returncode == -signal.SIGKILL:
                ended += " (killed: out of memory, or from outside)"
            # The exception's own words follow the last indented line of its traceback.
            own = takewhile(lambda line: not line.startswith(" "), reversed(error.strip().splitlines()))
            last = " ".join(reversed([*own])) or ended
            raise MemoryError(last) if "MemoryError" in last else SamplerFailed(last)
        made = _read(out, part)
        out.replace(kept)
    _make_room(kept)
    return made


def _too_slow(part: Part, sampler: str, limit: float) -> SamplerTimeout:
    n, d = part.X.shape
    return SamplerTimeout(
        f"The sampler {sampler} took more than its {limit:g} s on {n:,} rows × {d} columns and was stopped. "
        "Run the same command with --retry-failed on a quieter or faster machine, or leave out the arms that use it."
    )


def _build(part: Part, sampler: str, seed: int) -> Any:
    chosen, ratio = sampler_named(sampler)
    made = chosen.make(seed % 2**32, min(_class_sizes(part)), len(part.labels))
    if ratio is not None:
        made.set_params(**{str(chosen.ratio): ratio})
    return made


def _class_sizes(part: Part) -> tuple[int, int]:
    """Return how many rows the rarer class has, and the other."""
    positive = int(part.labels.sum())
    fewer, more = sorted((positive, len(part.labels) - positive))
    return fewer, more


def _fit_resample(part: Part, sampler: str, seed: int) -> Part:
    """Return the part resampled; as it is where ADASYN is asked for so few rows that every share rounds to 0."""
    chosen = _build(part, sampler, seed)
    if multiprocessing.current_process().daemon:
        # A worker has one share of the cores, and may start no processes.
        jobs = [name for name in chosen.get_params() if name.rpartition("__")[2] == "n_jobs"]
        chosen.set_params(**dict.fromkeys(jobs))
    with threadpool_limits(1) if sampler_named(sampler)[0].one_thread else contextlib.nullcontext():
        try:
            X, labels = chosen.fit_resample(part.X, part.labels)
        except ValueError as error:
            if ":" in sampler and _ADDS_NONE in str(error):
                return part
            raise
    indices: NDArray[np.int64] | None = getattr(chosen, "sample_indices_", None)
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


def _read(path: Path, of: Part | None = None) -> Part:
    """Return the set; raise one of UNREADABLE where it cannot be one of the rows `of`."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        found = Part(kept["rows"], kept["X"], kept["y"])
    if of is not None:
        fits = found.X.ndim == 2 and found.X.shape[1] == of.X.shape[1] and np.isfinite(found.X).all()
        fits &= len(found.rows) == len(found.X) == len(found.labels) > 0
        fits &= all(a.dtype == b.dtype for a, b in ((found.X, of.X), (found.labels, of.labels)))
        if not fits or not np.isin(found.labels, (0, 1)).all():
            raise ValueError(f"{path} is no resampled set of these rows")
    return found


def _write(path: Path, part: Part) -> None:
    with path.open("wb") as file:
        np.savez(file, rows=part.rows, X=part.X, y=part.labels)


def _keep(path: Path, part: Part) -> None:
    """Write atomically; a full disk only costs the copy. The oldest copies make room."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, part)
        temporary.replace(path)
        _make_room(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _make_room(newest: Path) -> None:
    """Remove the oldest sets beyond KEEP_BYTES, never the newest, and what killed processes left behind."""
    with contextlib.suppress(OSError):
        for folder in newest.parent.glob("making-*"):
            if time.time() - folder.stat().st_mtime > 2 * SLOW_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        others = sorted(newest.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True)
        sizes = np.cumsum([p.stat().st_size for p in others])
        for old, total in zip(others, sizes, strict=True):
            if total > KEEP_BYTES and old != newest:
                old.unlink(missing_ok=True)


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies (Linux); elsewhere it ends by its time limit."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main(sampler: str, seed: str, rows: str, out: str, parent: str) -> None:
    """Be the process of a slow sampler: read rows, resample, write."""
    _end_with_parent()
    if os.getppid() != int(parent):  # it died before the kernel was asked
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    part = _read(Path(rows))
    _write(Path(out), _fit_resample(part, sampler, int(seed)))


if __name__ == "__main__":
    main(*sys.argv[1:])

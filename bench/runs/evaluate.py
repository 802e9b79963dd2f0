"""One pack from rows to records: resample, fit, score, measure, write.

The only place where an arbitrary exception is caught. A run whose rows cannot be resampled becomes a record
with its status and reason, and the rest of its pack goes on; a pack that fails in training is halved until
the run that fails stands alone. Labels of the test part are met here, after the scores are there, and
nowhere before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from bench.contract import Fitted, Member, Progress, Protocol, Result
from bench.data.encode import Encoded, Part
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadKernel, BadSetting, BadStore, SamplerTimeout, UnknownName
from bench.machine import checkout, forget_peak_memory, peak_memory_mb, versions
from bench.methods import method, packages_of, place_of
from bench.names import DEVICES, FAILED, OK, OOM, TEST, TIMEOUT, VALID, canonical
from bench.plugins import Loaded
from bench.protocols import DEFAULT, protocol_named
from bench.runs.run import PIPELINE_VERSIONS, Run
from bench.sampling.resample import resample
from bench.stats.metrics import best_threshold, measure
from bench.store.folder import SCORES, Store

ENCODED_KEPT = 8  # encoded splits that one process holds


@dataclass
class Workbench:
    """What a process needs to run packs: the table, its splits, the store, the device; encodings are kept.

    So are failures of samplers, by split and sampler. `since` is when this benchmark began (Unix seconds): a
    sampler that has run out of time since is not tried again.
    """

    plugins: Loaded = field(default_factory=Loaded, kw_only=True)  # first: a worker takes it first
    table: Table
    splits: dict[str, Split]
    store: Store
    device: str
    since: float = inf
    protocol: Protocol = field(default_factory=lambda: protocol_named(DEFAULT))
    encoded: dict[str, Encoded] = field(default_factory=dict)
    failures: dict[tuple[str, str | None], _Failure] = field(default_factory=dict)

    def encode(self, split_sha256: str) -> Encoded:
        """Return the split's encoded parts, made once per process."""
        if split_sha256 not in self.encoded:
            if len(self.encoded) >= ENCODED_KEPT:
                self.encoded.pop(next(iter(self.encoded)))
            self.encoded[split_sha256] = self.protocol.encode(self.table, self.splits[split_sha256])
        return self.encoded[split_sha256]


def choose_device(asked: str) -> str:
    """Return "cpu" or "cuda" for auto, cpu or cuda.

    Raises UnknownName for another word, BadSetting for cuda where there is no such device.
    """
    if asked not in DEVICES:
        raise UnknownName("device", asked, DEVICES)
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise BadSetting(
            f"--device cuda was asked, but torch {torch.__version__} finds no CUDA device here. Use --device auto "
            "or cpu, or install a CUDA build of torch on a machine with a GPU (bench doctor shows both)."
        )
    return "cuda" if asked != "cpu" and available else "cpu"


def run_pack(bench: Workbench, runs: Sequence[Run], progress: Progress) -> list[Result]:
    """Run the pack and write every run's record; return the results in the runs' order.

    Raises only BadStore and DiskFull (where nothing can be written, nothing can be recorded), and BadSetting and
    BadKernel, which are the command's.
    """
    if method(runs[0].method).static is None and len(runs) > 1:  # one at a time: nothing is gained by company
        alone = []
        for i, run in enumerate(runs):
            alone += run_pack(bench, [run], lambda step, steps: None)
            progress(i + 1, len(runs))
        return alone
    started = datetime.now(UTC)
    forget_peak_memory()
    prepared = {}
    for run in runs:
        progress(
            0, 1
        )  # a worker that nobody listens to any more ends here, rather than after hours of samplers
        prepared[run.key] = _attempt(partial(_prepare, bench, run))
    ready = [run for run in runs if not isinstance(prepared[run.key], _Failure)]
    work = partial(_fit_and_score, bench, ready, [prepared[run.key] for run in ready], progress)
    made = _attempt(work, runs[0].method)
    if isinstance(made, _Failure) and len(ready) > 1:
        if bench.device == "cuda":
            torch.cuda.empty_cache()
        middle = len(ready) // 2
        halves = run_pack(bench, ready[:middle], progress) + run_pack(bench, ready[middle:], progress)
        done = {result.key: result for result in halves}
    elif isinstance(made, _Failure):
        done = {run.key: _record_failure(bench, run, made, started) for run in ready}
    else:
        pairs = zip(ready, made, strict=True)
        done = {run.key: _record(bench, run, outcome, started, len(ready)) for run, outcome in pairs}
    for run in runs:
        if run.key not in done:
            done[run.key] = _record_failure(bench, run, prepared[run.key], started)
    return [done[run.key] for run in runs]


@dataclass(frozen=True)
class _Failure:
    """What became of work that raised: the status and reason of a record."""

    status: str
    reason: str


def _attempt(work: Callable[[], Any], by: str | None = None) -> Any:
    """Return what the work returns, or a _Failure; what is no run's fault passes. `by` is the method at work."""
    try:
        return work()
    except (BadStore, BadSetting, BadKernel):
        raise
    except Exception as error:  # the one place: whatever a method or sampler raises becomes a record
        return _Failure(_status(error), _reason(error, by))


def _record_failure(bench: Workbench, run: Run, failure: _Failure, started: datetime) -> Result:
    return record_failure(bench.store, run, failure.status, failure.reason, started, bench.table)


def _status(error: Exception) -> str:
    if isinstance(error, SamplerTimeout):
        return TIMEOUT
    # On the CPU torch says it in a RuntimeError's text alone.
    full = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    return OOM if full else FAILED


def _reason(error: Exception, by: str | None = None) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500] + (place_of(error, by) if by else "")


def record_failure(
    store: Store, run: Run, status: str, error: str, started: datetime, table: Table | None = None
) -> Result:
    """Write the record of a run that came to nothing, and return its result."""
    record = _identity(run, started) | {"status": status, "error": error}
    if table is not None:
        record["data_source"] = table.source
    store.write(record, None)
    return Result(run.key, run.arm, status, error)


@dataclass(frozen=True)
class _Outcome:
    fitted: Fitted
    encoded: Encoded
    scores: Mapping[str, NDArray[np.float64]]  # by part
    seconds: dict[str, float]  # by stage


def configuration(run: Run) -> Any:
    """Return the run's configuration as its method's `Config`."""
    return method(run.method).config.model_validate(run.config)


@dataclass(frozen=True)
class _Prepared:
    member: Member
    seconds: dict[str, float]  # by stage


def _prepare(bench: Workbench, run: Run) -> _Prepared | _Failure:
    """Return the run as a member of a pack; a sampler that failed on these rows before is not asked again."""
    began = time.perf_counter()
    encoded = bench.encode(run.split_sha256)
    started = time.perf_counter()
    pools = []
    for role in method(run.method).pools:
        sampler = getattr(run, role)
        made = bench.failures.get((run.split_sha256, sampler)) or _attempt(
            partial(resample, encoded.train, sampler, run.sampling_seed, since=bench.since)
        )
        if isinstance(made, _Failure):
            bench.failures[run.split_sha256, sampler] = made
            return made
        pools.append(made)
    member = Member(configuration(run), run.stream_seed, tuple(pools), encoded.valid, encoded.units)
    return _Prepared(member, {"encoding": started - began, "resampling": time.perf_counter() - started})


def _fit_and_score(
    bench: Workbench, runs: Sequence[Run], prepared: Sequence[_Prepared], progress: Progress
) -> list[_Outcome]:
    fitted: list[Any] = [None] * len(runs)
    spent = [0.0] * len(runs)
    widths = [one.member.valid.X.shape[1] for one in prepared]
    # Categories differ from fold to fold, and with them the width of the first layer.
    for width in dict.fromkeys(widths):
        chosen = [i for i, found in enumerate(widths) if found == width]
        started = time.perf_counter()
        trained = method(runs[0].method).fit(
            [prepared[i].member for i in chosen], torch.device(bench.device), progress
        )
        share = (time.perf_counter() - started) / len(chosen)
        if len(trained) != len(chosen):
            raise ValueError(f"`fit` returned {len(trained)} results for {len(chosen)} members.")
        for i, result in zip(chosen, trained, strict=True):
            fitted[i], spent[i] = result, share
    return [
        _score(fitted[i], bench.encode(run.split_sha256), prepared[i].seconds | {"training": spent[i]})
        for i, run in enumerate(runs)
    ]


def _score(fitted: Fitted, encoded: Encoded, seconds: dict[str, float]) -> _Outcome:
    started = time.perf_counter()
    parts = {VALID: encoded.valid, TEST: encoded.test}
    scores = {
        name: np.asarray(fitted.predict(part), np.float64) for name, part in parts.items() if len(part.rows)
    }
    return _Outcome(fitted, encoded, scores, seconds | {"scoring": time.perf_counter() - started})


def _record(bench: Workbench, run: Run, outcome: _Outcome, started: datetime, pack_size: int) -> Result:
    """Measure and write one run; a score that cannot be measured makes it a failed run."""
    valid, test = outcome.encoded.valid, outcome.encoded.test
    y_test, scores, seconds = bench.table.y[test.rows], outcome.scores, outcome.seconds
    began = time.perf_counter()
    try:
        threshold = best_threshold(valid.labels, scores[VALID]) if VALID in scores else None
        labels = {VALID: valid.labels, TEST: y_test}
        metrics = {
            f"{part}_{name}": value
            for part, scored in scores.items()
            for name, value in measure(labels[part], scored, threshold).items()
        }
    except ValueError as error:
        return record_failure(bench.store, run, FAILED, _reason(error, run.method), started, bench.table)
    measured = time.perf_counter()
    record = _identity(run, started) | metrics
    record |= {
        "data_source": bench.table.source,
        "status": OK,
        "n_train": len(outcome.encoded.train.rows),
        "n_valid": len(valid.rows),
        "n_test": len(test.rows),
        "n_test_positive": int(y_test.sum()),
        "threshold": threshold,
        "steps": outcome.fitted.steps,
        "best_step": outcome.fitted.best_step,
        "samples_seen": outcome.fitted.samples_seen,
        "selected": canonical(dict(outcome.fitted.selected)),
        "fit_seconds": seconds["training"],
        "score_seconds": seconds["scoring"],
        "resample_seconds": seconds["resampling"],
        "pack_size": pack_size,
        **_where(outcome.fitted),
        "peak_memory_mb": peak_memory_mb(),
    }
    bench.store.write(record, _scores_table(valid, test, y_test, scores) if len(test.rows) else None)
    more = {"measuring": measured - began, "writing": time.perf_counter() - measured}
    return Result(run.key, run.arm, OK, None, seconds | more)


def _where(fitted: Fitted) -> dict[str, Any]:
    """Return device, engine and threads as the method says; else the CPU with the threads that a worker has."""
    threads = torch.get_num_threads() if fitted.threads is None else fitted.threads
    where = {"device": fitted.device or "cpu", "threads": threads}
    return where if fitted.engine is None else where | {"engine": fitted.engine}


def _scores_table(
    valid: Part, test: Part, y_test: np.ndarray[Any, Any], scores: Mapping[str, Any]
) -> pa.Table:
    return pa.table(
        [
            np.concatenate([valid.rows, test.rows]),
            [VALID] * len(valid.rows) + [TEST] * len(test.rows),
            np.concatenate([valid.labels, y_test]).astype(np.int8),
            np.concatenate(list(scores.values())).astype(np.float64),
        ],
        schema=SCORES,
    )


def _identity(run: Run, started: datetime) -> dict[str, Any]:
    """Return the columns that a record has whatever became of the run."""
    return {
        **run.columns,
        "versions": versions(packages_of(run.method, run.config), **PIPELINE_VERSIONS),
        "started": started,
        "finished": datetime.now(UTC),
        **checkout(),
    }

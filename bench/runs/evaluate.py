"""One pack from rows to records: resample, fit, score, and have every run recorded.

The only place where an arbitrary exception is caught. A run whose rows cannot be resampled becomes a record
with its status and reason, and the rest of its pack goes on; a pack that fails in training is halved until
the run that fails stands alone. Labels of the test part are not met here: see `bench.runs.recording`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import BatchRule, Fitted, Member, Progress, Result
from bench.data.encode import Encoded, Part
from bench.errors import BadKernel, BadSetting, BadStore, SamplerFailed, SamplerTimeout
from bench.machine import forget_peak_memory
from bench.methods import method
from bench.names import FAILED, OOM, TEST, TIMEOUT, VALID
from bench.plugins.guards import in_words, is_of_bench, output_aside, raised_by_bench
from bench.runs.materials import Failure, Materials
from bench.runs.recording import Scoring, far_out, reason_of, record_failure, record_run
from bench.runs.run import Run, configuration
from bench.sampling.resample import resample
from bench.sampling.rules import drawn_once, rule_named
from bench.stats.ranking import NotFinite

POOL_BYTES = 2**30  # of rows that a pack's members train on: a larger pack is fitted in parts
_T = TypeVar("_T")


def run_pack(bench: Materials, runs: Sequence[Run], progress: Progress) -> list[Result]:
    """Run the pack and write every run's record; return the results in the runs' order.

    Raises only what `_is_the_commands` names: BadStore and DiskFull (where nothing can be written, nothing can be
    recorded), BadSetting and BadKernel.
    """
    if method(runs[0].method).static is None and len(runs) > 1:  # one at a time: nothing is gained by company
        alone = []
        for i, run in enumerate(runs):
            alone += run_pack(bench, [run], lambda step, steps: None)
            progress(i + 1, len(runs))
        return alone
    results: list[Result] = []
    while len(results) < len(runs):
        results += _run_some(bench, runs[len(results) :], progress)
    return results


def _run_some(bench: Materials, runs: Sequence[Run], progress: Progress) -> list[Result]:
    """Run as many of the first runs as memory may hold the rows of; return their results."""
    started = datetime.now(UTC)
    forget_peak_memory()
    prepared, failures = _prepare_some(bench, runs, progress)
    runs = runs[: len(prepared) + len(failures)]
    ready = [run for run in runs if run.key in prepared]
    fit = partial(_fit_and_score, bench, ready, [*prepared.values()], progress)
    outcomes = _attempt(fit, runs[0].method)
    if isinstance(outcomes, Failure) and len(ready) > 1:
        if bench.device == "cuda":
            torch.cuda.empty_cache()
        middle = len(ready) // 2
        halves = run_pack(bench, ready[:middle], progress) + run_pack(bench, ready[middle:], progress)
        results = {result.key: result for result in halves}
    elif isinstance(outcomes, Failure):
        results = {run.key: _record_failure(bench, run, outcomes, started) for run in ready}
    else:
        pairs = zip(ready, outcomes, strict=True)
        results = {run.key: record_run(bench, run, outcome, started, len(ready)) for run, outcome in pairs}
    for run in runs:
        if run.key in failures:
            results[run.key] = _record_failure(bench, run, failures[run.key], started)
    return [results[run.key] for run in runs]


def _prepare_some(
    bench: Materials, runs: Sequence[Run], progress: Progress
) -> tuple[dict[str, _Prepared], dict[str, Failure]]:
    """Return the first runs as members, or what became of them, by key: all, unless their rows pass POOL_BYTES."""
    prepared: dict[str, _Prepared] = {}
    failures: dict[str, Failure] = {}
    parts: dict[int, int] = {}  # bytes by id: runs share most of their rows
    for run in runs:
        progress(0, 1)  # a worker that nobody listens to ends here, rather than after hours of samplers
        work = _attempt(partial(_prepare, bench, run))
        if isinstance(work, Failure):
            failures[run.key] = work
            continue
        prepared[run.key] = work
        parts |= {id(part): part.X.nbytes for part in work.member.pools}
        if sum(parts.values()) > POOL_BYTES:
            break
    return prepared, failures


def _attempt(work: Callable[[], _T], by: str | None = None) -> _T | Failure:
    """Return what the work returns, or a Failure; what is no run's fault passes. `by` is the method at work."""
    try:
        with output_aside():
            return work()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the one place: whatever a method or sampler raises becomes a record
        if _is_the_commands(error, by):
            raise
        return Failure(_status(error), reason_of(error, by), isinstance(error, NotFinite))


def _is_the_commands(error: BaseException, by: str | None) -> bool:
    """Return whether an error is no run's fault, but one that bench itself raises of its folders, kernel or options.

    A setting that a method from outside gives bench in its `fit` is that method's fault. bench itself raises SystemExit
    in a worker that nobody listens to any more.
    """
    if isinstance(error, BadSetting) and by is not None and not is_of_bench(method(by).file):
        return False
    return isinstance(error, BadStore | BadSetting | BadKernel | SystemExit) and raised_by_bench(error)


def _record_failure(bench: Materials, run: Run, failure: Failure, started: datetime) -> Result:
    reason = failure.reason + (far_out(bench.encode(run.split_sha256)) if failure.not_finite else "")
    return record_failure(
        bench.store, run, failure.status, reason, started, bench.table, not_finite=failure.not_finite
    )


def _status(error: BaseException) -> str:
    if isinstance(error, SamplerTimeout):
        return TIMEOUT
    # On the CPU torch says it in a RuntimeError's text alone.
    full = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in in_words(
        error
    )
    return OOM if full else FAILED


@dataclass(frozen=True)
class _Prepared:
    member: Member
    seconds: dict[str, float]  # by stage


def _prepare(bench: Materials, run: Run) -> _Prepared | Failure:
    """Return the run as a member of a pack."""
    began = time.perf_counter()
    encoded = bench.encode(run.split_sha256)
    started = time.perf_counter()
    pools = _pools(bench, run, encoded.train)
    if isinstance(pools, Failure):
        return pools
    member = Member(
        configuration(run), run.stream_seed, pools, encoded.valid, encoded.units, tuple(_rules(run))
    )
    return _Prepared(member, {"encoding": started - began, "resampling": time.perf_counter() - started})


def _rules(run: Run) -> list[BatchRule | None]:
    """Return the batch rules of the run's pools, for a method that draws batches."""
    which = method(run.method)
    return [rule_named(getattr(run, role)) if which.draws_batches else None for role in which.pools]


def _pools(bench: Materials, run: Run, part: Part) -> tuple[Part, ...] | Failure:
    """Return the part by each of the run's samplers; one that failed on the split's rows before is not asked again."""
    seed = run.sampling_seed(shared=bench.protocol.shares_draws)
    pools: list[Part] = []
    for role, rule in zip(method(run.method).pools, _rules(run), strict=True):
        sampler = getattr(run, role)
        if rule:
            pools.append(part)
            continue
        place = (run.split_sha256, len(part.rows), sampler, seed)
        if failed_before := bench.failures.get(place):
            return failed_before
        pool = _attempt(partial(resample, part, sampler and drawn_once(sampler), seed, since=bench.since))
        if isinstance(pool, Failure):
            bench.failures[place] = pool
            return pool
        pools.append(pool)
    return tuple(pools)


@dataclass(frozen=True)
class _Trained:
    """What a run trained: what validates, what scores the test rows, and the run's share of the seconds."""

    first: Fitted
    final: Fitted
    seconds: float


def _fit_and_score(
    bench: Materials, runs: Sequence[Run], prepared: Sequence[_Prepared], progress: Progress
) -> list[Scoring]:
    trained: dict[int, _Trained] = {}  # by place in the pack
    widths = [each.member.valid.X.shape[1] for each in prepared]
    # Categories differ from fold to fold, and with them the width of the first layer.
    for width in dict.fromkeys(widths):
        places = [i for i, its_width in enumerate(widths) if its_width == width]
        chosen, members = [runs[i] for i in places], [prepared[i].member for i in places]
        started = time.perf_counter()
        fitted = final = _fitted(bench, runs[0].method, members, progress)
        if again := _again(bench, chosen, members, fitted):
            final = _fitted(bench, runs[0].method, again, progress)
        share = (time.perf_counter() - started) / len(places)
        pairs = zip(places, fitted, final, strict=True)
        trained |= {i: _Trained(first, last, share) for i, first, last in pairs}
    outcomes = []
    for i, run in enumerate(runs):
        seconds = prepared[i].seconds | {"training": trained[i].seconds}
        outcomes.append(_score(trained[i], bench.encode(run.split_sha256), seconds))
    return outcomes


def _fitted(bench: Materials, name: str, members: Sequence[Member], progress: Progress) -> Sequence[Fitted]:
    """Return the members as their method fits them; raise TypeError or ValueError where that is not what is asked."""
    fitted = method(name).fit(members, torch.device(bench.device), progress)
    if not isinstance(fitted, list | tuple):
        raise TypeError(
            f"`fit` returned a {type(fitted).__name__}; expected a list of bench.contract.Fitted."
        )
    if len(fitted) != len(members):
        raise ValueError(f"`fit` returned {len(fitted)} results for {len(members)} members.")
    for model in fitted:
        if not isinstance(model, Fitted):
            raise TypeError(f"`fit` returned a {type(model).__name__}; expected a bench.contract.Fitted.")
    return fitted


def _again(
    bench: Materials, runs: Sequence[Run], members: Sequence[Member], fitted: Sequence[Fitted]
) -> list[Member]:
    """Return the members on all rows that train or validate, for as long as was best; none where nothing is refitted.

    Raises SamplerFailed where a sampler fails on these rows.
    """
    refit = method(runs[0].method).refit
    encoded = [bench.encode(run.split_sha256) for run in runs]
    if not bench.protocol.refits or refit is None or not all(len(each.test.rows) for each in encoded):
        return []
    again = []
    for run, member, first, parts in zip(runs, members, fitted, encoded, strict=True):
        pools = _pools(bench, run, parts.training)
        if isinstance(pools, Failure):
            raise SamplerFailed(pools.reason)
        config = refit(member.config, first, len(parts.training.rows) / len(parts.train.rows))
        again.append(replace(member, config=config, pools=pools, valid=parts.nothing))
    return again


def _score(trained: _Trained, encoded: Encoded, seconds: dict[str, float]) -> Scoring:
    started = time.perf_counter()
    first, final = trained.first, trained.final
    scorers = {VALID: (first, encoded.valid), TEST: (final, encoded.test)}
    scores = {name: _scores(model, part) for name, (model, part) in scorers.items() if len(part.rows)}
    if final is not first:
        selected = {**first.selected, "refit_steps": final.steps}
        first = replace(first, samples_seen=first.samples_seen + final.samples_seen, selected=selected)
    return Scoring(first, encoded, scores, seconds | {"scoring": time.perf_counter() - started})


def _scores(fitted: Fitted, part: Part) -> NDArray[np.float64]:
    scores = np.asarray(fitted.predict(part))
    if scores.dtype.kind not in "fiub":
        raise TypeError(f"`predict` returned an array of {scores.dtype}; expected real numbers.")
    return scores.astype(np.float64, copy=False)

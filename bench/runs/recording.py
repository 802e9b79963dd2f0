"""From a run's scores, or its failure, to its record: measured, and written with the scores.

Labels of the test part are met here, after the scores are there, and nowhere before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Fitted, Result
from bench.data.encode import Encoded
from bench.data.table import Table
from bench.machine import checkout, peak_memory_mb, versions
from bench.methods import packages_of, where_raised
from bench.names import FAILED, OK, TEST, VALID, canonical, printable
from bench.plugins.guards import in_words
from bench.runs.materials import Materials
from bench.runs.run import PIPELINE_VERSIONS, Run
from bench.stats.metrics import best_threshold, measure, needed_columns
from bench.stats.ranking import NotFinite
from bench.stats.scored import Scored
from bench.store.folder import Store
from bench.store.schema import Record

FAR_OUT = 100  # standard deviations, from which a value may be why scores are not finite


@dataclass(frozen=True)
class Scoring:
    """What a run came to before it is measured: its scores by part, and seconds by stage."""

    fitted: Fitted
    encoded: Encoded
    scores: Mapping[str, NDArray[np.float64]]
    seconds: Mapping[str, float]


def record_run(bench: Materials, run: Run, outcome: Scoring, started: datetime, pack_size: int) -> Result:
    """Measure and write one run; a score that cannot be measured makes it a failed run."""
    encoded = outcome.encoded
    began = time.perf_counter()
    try:
        parts = _scored(bench.table, outcome)
        metrics = {part: measure(scored) for part, scored in parts.items()}
    except ValueError as error:
        is_finite = not isinstance(error, NotFinite)
        reason = reason_of(error, run.method) + ("" if is_finite else far_out(encoded))
        return record_failure(
            bench.store, run, FAILED, reason, started, bench.table, not_finite=not is_finite
        )
    measured = time.perf_counter()
    record = replace(
        _blank(run, OK, started),
        data_source=bench.table.source,
        recipe=bench.table.recipe,
        n_train=len(encoded.train.rows),
        n_valid=len(encoded.valid.rows),
        n_test=len(encoded.test.rows),
        n_test_positive=int(bench.table.y[encoded.test.rows].sum()),
        threshold=next(iter(parts.values())).threshold,
        valid=metrics.get(VALID, {}),
        test=metrics.get(TEST, {}),
        steps=outcome.fitted.steps,
        best_step=outcome.fitted.best_step,
        first_step=outcome.fitted.first_step,
        last_step=outcome.fitted.last_step,
        samples_seen=outcome.fitted.samples_seen,
        selected=printable(canonical(dict(outcome.fitted.selected))),
        fit_seconds=outcome.seconds["training"],
        score_seconds=outcome.seconds["scoring"],
        resample_seconds=outcome.seconds["resampling"],
        pack_size=pack_size,
        device=outcome.fitted.device or "cpu",
        threads=torch.get_num_threads() if outcome.fitted.threads is None else outcome.fitted.threads,
        engine=outcome.fitted.engine,
        peak_memory_mb=peak_memory_mb(),
    )
    bench.store.write(record, parts if TEST in parts else None)
    more = {"measuring": measured - began, "writing": time.perf_counter() - measured}
    return Result(run.key, run.arm, OK, None, {**outcome.seconds, **more})


def record_failure(
    store: Store,
    run: Run,
    status: str,
    error: str,
    started: datetime,
    table: Table | None = None,
    *,
    not_finite: bool = False,
) -> Result:
    """Write the record of a run that came to nothing, and return its result."""
    error = printable(error)
    record = replace(_blank(run, status, started), error=error, not_finite=not_finite or None)
    if table is not None:
        record = replace(record, data_source=table.source, recipe=table.recipe)
    store.write(record, None)
    return Result(run.key, run.arm, status, error, not_finite=not_finite)


def reason_of(error: BaseException, by: str | None = None) -> str:
    """Return the error in one line, as a record holds it; with the file where it is of an author's method `by`."""
    return in_words(error) + (where_raised(error, by) if by else "")


def far_out(encoded: Encoded) -> str:
    """Return which column has the largest encoded value where that may be why scores are not finite."""
    largest = np.max(
        [
            np.abs(part.X).max(axis=0)
            for part in (encoded.train, encoded.valid, encoded.test)
            if len(part.rows)
        ],
        axis=0,
    )
    column = int(largest.argmax())
    if largest[column] < FAR_OUT:
        return ""
    name = encoded.feature_names[column]
    return (
        f" A value of {name!r} lies {largest[column]:.3g} standard deviations out: mend or drop that column."
    )


def _scored(table: Table, outcome: Scoring) -> dict[str, Scored]:
    """Return by part what the run scored, at the threshold chosen on validation rows, where there are any."""
    valid, test, scores = outcome.encoded.valid, outcome.encoded.test, outcome.scores
    labels = {VALID: valid.labels, TEST: table.y[test.rows]}
    rows = {VALID: valid.rows, TEST: test.rows}
    threshold = best_threshold(labels[VALID], scores[VALID]) if VALID in scores else None
    columns = {name: values for name, values in table.row_columns.items() if name in needed_columns()}
    parts = {}
    for part, score in scores.items():
        of_rows = {name: values[rows[part]] for name, values in columns.items()}
        parts[part] = Scored(labels[part], score, rows[part], of_rows, threshold)
    return parts


def _blank(run: Run, status: str, started: datetime) -> Record:
    """Return the record with what is known of a run whatever became of it."""
    return Record(
        key=run.key,
        dataset=run.dataset,
        data_sha256=run.data_sha256,
        recipe_sha256=run.recipe_sha256,
        protocol=run.protocol,
        scope=run.scope,
        split_sha256=run.split_sha256,
        repeat=run.repeat,
        fold=run.fold,
        arm=run.arm,
        **run.setup._asdict(),
        loss=loss if isinstance(loss := run.config.get("loss"), str) else None,
        seed=run.seed,
        status=status,
        versions=versions(packages_of(run.method, run.config), **PIPELINE_VERSIONS),
        started=started,
        finished=datetime.now(UTC),
        **checkout(),
    )

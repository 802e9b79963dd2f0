"""A leaderboard: the records of one scope aggregated over folds and seeds, ranked, with intervals.

Everything comes from stored records and scores. Intervals are 95 %, from a two-level bootstrap over
runs and test rows (`bench.stats.inference`); the difference to the reference arm is paired on the same runs and
the same rows. Failed runs are counted, never silently dropped: an arm without a single good run is a row
without numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bench.errors import Unavailable
from bench.names import MAIN_METRIC, OK
from bench.protocols import main_metric_of
from bench.report.selection import Measured, mean_of
from bench.stats.bootstrap import Replicates
from bench.stats.inference import comparable, difference, holm, summarise
from bench.stats.metrics import metrics
from bench.store.parquet import read_checked, write_atomically
from bench.store.schema import Record

REFERENCES = ("xgboost(tuned)", "xgboost", "logistic-regression", "none", "prevalence")
_MEANS = ("fit_seconds", "resample_seconds", "steps", "best_step", "samples_seen", "n_train", "n_test")


def leaderboard(table: Measured) -> pd.DataFrame:
    """Return one row per arm of a table's records, which share one data set, protocol and scope.

    Columns: rank, arm, method, n_runs, n_failed; per metric `<metric>_mean, _lo, _hi, _sd_seed`;
    reference, `difference_mean, _lo, _hi, _p` of the main metric to it, `_p_holm` adjusted for all arms; seconds,
    steps and samples per run; dataset, protocol, scope and the test rows' prevalence.
    """
    by_arm, replicates = table.records, table.replicates
    failed = {arm for arm, records in by_arm.items() if any(record.status != OK for record in records)}
    whole = [arm for arm in replicates if arm not in failed]
    reference = next((arm for arm in REFERENCES if arm in whole), next(iter(whole), None))
    rows = []
    protocols = [records[0].protocol for records in by_arm.values()]
    main_metric = main_metric_of(protocols[0]) if protocols else MAIN_METRIC
    for arm, records in by_arm.items():
        row = _describe(arm, records)
        row |= _metrics(replicates[arm]) if arm in replicates else {}
        row |= _against(replicates, arm, reference, main_metric)
        rows.append(row)
    board = pd.DataFrame(rows, columns=columns())
    read_together = board["difference_p"].where(board["arm"] != reference).astype(float)
    board["difference_p_holm"] = holm(read_together.tolist())
    board["rank"] = board["arm"].map(table.ranks(main_metric, by_arm)).astype(int)
    return board.sort_values("rank", ignore_index=True)


def columns() -> list[str]:
    """Return the leaderboard's columns in order."""
    of_metrics = [f"{metric}_{field}" for metric in metrics() for field in ("mean", "lo", "hi", "sd_seed")]
    return [
        *("rank", "arm", "method", "n_runs", "n_failed"),
        *of_metrics,
        *(
            "reference",
            "difference_mean",
            "difference_lo",
            "difference_hi",
            "difference_p",
            "difference_p_holm",
        ),
        *("fit_seconds", "resample_seconds", "steps", "best_step", "samples_seen", "budget_steps"),
        *("n_rows", "n_train", "n_test", "test_prevalence"),
        *("dataset", "data_source", "data_sha256", "protocol", "scope"),
    ]


def _describe(arm: str, records: Sequence[Record]) -> dict[str, object]:
    good = [record for record in records if record.status == OK]
    first = records[0]
    return {
        "arm": arm,
        "method": first.method,
        "dataset": first.dataset,
        "data_source": first.data_source,
        "data_sha256": first.data_sha256,
        "protocol": first.protocol,
        "scope": first.scope,
        "n_runs": len(good),
        "n_failed": len(records) - len(good),
        **{name: mean_of(good, name) for name in _MEANS},
        "n_rows": sum(n or 0 for n in (good[0].n_train, good[0].n_valid, good[0].n_test)) if good else None,
        "budget_steps": _budget(first),
        "test_prevalence": sum(r.n_test_positive or 0 for r in good)
        / max(1, sum(r.n_test or 0 for r in good)),
    }


def _budget(record: Record) -> float:
    config = json.loads(record.config)
    budget = config.get("steps", config.get("rounds", config.get("max_iter")))
    return float(budget) if isinstance(budget, int | float) else nan


def _metrics(replicates: Replicates) -> dict[str, object]:
    return {
        f"{metric}_{field}": getattr(summary, field)
        for metric, summary in summarise(replicates).items()
        for field in ("mean", "lo", "hi", "sd_seed")
    }


def _against(
    replicates: Mapping[str, Replicates], arm: str, reference: str | None, metric: str
) -> dict[str, object]:
    """Return the arm's paired difference to the reference, as far as there is one."""
    if reference is None or arm not in replicates or not comparable(replicates[arm], replicates[reference]):
        return {"reference": reference}
    ahead = difference(replicates[arm], replicates[reference], metric)
    return {
        "reference": reference,
        "difference_mean": ahead.mean,
        "difference_lo": ahead.lo,
        "difference_hi": ahead.hi,
        "difference_p": ahead.p_value,
    }


def write(board: pd.DataFrame, path: Path) -> None:
    """Write the leaderboard as parquet, whole or not at all."""
    write_atomically(path, pa.Table.from_pandas(board, preserve_index=False))


def same(board: pd.DataFrame, path: Path) -> bool:
    """Return whether the file at `path` holds this very leaderboard."""
    try:
        return bool(read(path).equals(board))
    except Unavailable:
        return False


def read(path: Path) -> pd.DataFrame:
    """Return a written leaderboard; raise Unavailable where there is none that can be read."""
    try:
        frame: pd.DataFrame = read_checked(path).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Unavailable(
            f"The leaderboard {path} cannot be read ({error}). bench tables makes it anew."
        ) from error
    return frame

"""A leaderboard: the records of one scope aggregated over folds and seeds, ranked, with intervals.

Everything comes from stored records and scores. Intervals are 95 %: of an arm's mean over folds
(`bench.stats.inference`), of its difference to the reference arm by the corrected t (`bench.stats.corrected`) and,
conditional on the trained models, by the bootstrap, paired on the same runs and the same rows. Failed runs are counted,
never silently dropped: an arm without a single good run is a row without numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.contract import TREES
from bench.errors import Unavailable
from bench.methods import family_of
from bench.names import MAIN_METRIC, OK
from bench.protocols import main_metric_of
from bench.report.selection import Measured, mean_of
from bench.stats.bootstrap import Replicates
from bench.stats.corrected import corrected_t, paired, paired_columns, tiers, verdict
from bench.stats.inference import comparable, differences_by_fold, holm, summarise
from bench.stats.metrics import metrics
from bench.store.parquet import read_checked, write_atomically
from bench.store.schema import Record

REFERENCES = ("logistic-regression", "none", "prevalence")  # where a table has no tree that validates
_MEANS = ("fit_seconds", "resample_seconds", "steps", "best_step", "samples_seen", "n_train", "n_test")


def leaderboard(table: Measured) -> pd.DataFrame:
    """Return one row per arm of a table's records, which share one data set, protocol and scope.

    Columns: rank, arm, method, n_runs, n_failed, tier (`tiers_of`); per metric `<metric>_mean, _lo, _hi, _sd_seed`;
    reference (`reference_of`), the paired difference of the main metric to it, `difference_…`
    (`stats.corrected.paired_columns`), `_p_holm` adjusted for all arms, `_verdict` in a word; seconds, steps and
    samples per run; the shares of runs that early stopping ended at once, and at the end of their budget; dataset,
    protocol, scope and the test rows' prevalence.
    """
    by_arm, replicates = table.records, table.replicates
    failed = {arm for arm, records in by_arm.items() if any(record.status != OK for record in records)}
    whole = [arm for arm in replicates if arm not in failed]
    protocols = [records[0].protocol for records in by_arm.values()]
    main_metric = main_metric_of(protocols[0]) if protocols else MAIN_METRIC
    reference = reference_of({arm: by_arm[arm] for arm in whole}, main_metric)
    rows = []
    for arm, records in by_arm.items():
        row = _describe(arm, records)
        row |= _metrics(replicates[arm]) if arm in replicates else {}
        row |= _against(table, arm, reference, main_metric)
        rows.append(row)
    board = pd.DataFrame(rows, columns=columns())
    read_together = board["difference_p"].where(board["arm"] != reference).astype(float)
    board["difference_p_holm"] = holm(read_together.tolist())
    board["difference_verdict"] = _verdicts(board, main_metric)
    ranks = table.ranks(main_metric, by_arm)
    board["rank"] = board["arm"].map(ranks).astype(int)
    board["tier"] = board["arm"].map(tiers_of(table, main_metric, ranks)).astype(float)
    return board.sort_values("rank", ignore_index=True)


def reference_of(by_arm: Mapping[str, Sequence[Record]], metric: str) -> str | None:
    """Return the arm that the others are compared with: the best tree, by its mean on validation rows.

    Test rows choose nothing. Where no tree has been validated it is the first tree, else one of `REFERENCES`.
    """
    trees = [arm for arm, records in by_arm.items() if family_of(records[0].method) == TREES]
    validated = {arm: [record.valid.get(metric) for record in by_arm[arm]] for arm in trees}
    means = {
        arm: np.mean(np.array(values, dtype=float)) for arm, values in validated.items() if None not in values
    }
    if means:
        return max(means, key=lambda arm: means[arm])
    return next((arm for arm in (*trees, *REFERENCES, *by_arm) if arm in by_arm), None)


def columns() -> list[str]:
    """Return the leaderboard's columns in order."""
    of_metrics = [f"{metric}_{field}" for metric in metrics() for field in ("mean", "lo", "hi", "sd_seed")]
    return [
        *("rank", "arm", "method", "n_runs", "n_failed", "tier"),
        *of_metrics,
        *("reference", *paired_columns("difference"), "difference_p_holm", "difference_verdict"),
        *("fit_seconds", "resample_seconds", "steps", "best_step", "samples_seen", "budget_steps"),
        *("stopped_at_once", "stopped_at_the_end"),
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
        **stopped(good),
        "test_prevalence": sum(r.n_test_positive or 0 for r in good)
        / max(1, sum(r.n_test or 0 for r in good)),
    }


def stopped(good: Sequence[Record]) -> dict[str, float]:
    """Return the shares of runs whose best step is among the first or the last that validation could choose.

    NaN for an arm that chooses no step on validation.
    """
    chose = [
        (r.best_step, r.first_step, r.last_step)
        for r in good
        if None not in (r.best_step, r.first_step, r.last_step)
    ]
    best, first, last = np.array(chose, dtype=float).reshape(-1, 3).T
    return {
        "stopped_at_once": float(np.mean(best <= first)) if chose else nan,
        "stopped_at_the_end": float(np.mean(best >= last)) if chose else nan,
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


def _against(table: Measured, arm: str, reference: str | None, metric: str) -> dict[str, object]:
    """Return the arm's paired difference to the reference, as far as there is one."""
    reps = table.replicates
    if reference is None or arm not in reps or not comparable(reps[arm], reps[reference]):
        return {"reference": reference}
    ahead = paired(reps[arm], reps[reference], metric, table.test_to_train)
    return {"reference": reference, **ahead.columns("difference")}


def _verdicts(board: pd.DataFrame, metric: str) -> list[str]:
    """Return what each arm's difference to the reference comes to; nothing where there is none."""
    return [
        "reference"
        if row["arm"] == row["reference"]
        else ""
        if pd.isna(row["difference_mean"])
        else verdict(dict(row), "difference", metric)
        for _, row in board.iterrows()
    ]


def tiers_of(table: Measured, metric: str, ranks: Mapping[str, int]) -> dict[str, int]:
    """Return the tiers of a table's arms by the corrected t, the best first (`stats.corrected.tiers`).

    Arms with failed runs have none: they were not judged on the same rows. Nor has an arm that shares fewer than two
    folds with the best one, so that over one fold none has: there is no such test.
    """
    reps, ratio = table.replicates, table.test_to_train
    whole = [
        arm for arm in sorted(ranks, key=ranks.__getitem__) if arm in reps and not table.cost(arm)["n_failed"]
    ]

    def p_value(a: str, b: str) -> float:
        if not comparable(reps[a], reps[b]):
            return nan
        return corrected_t(differences_by_fold(reps[a], reps[b], metric), ratio).p_value

    def shared(arm: str) -> int:
        return len({fold for fold, _ in set(reps[arm].runs) & set(reps[whole[0]].runs)})

    judged = [arm for arm in whole if shared(arm) > 1 and comparable(reps[arm], reps[whole[0]])]
    return tiers(judged, p_value)


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

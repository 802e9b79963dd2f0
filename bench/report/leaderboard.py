"""A leaderboard: the records of one scope aggregated over folds and seeds, ranked, with intervals.

Everything comes from stored records and scores. Intervals are 95 %, from a two-level bootstrap over
runs and test rows (`bench.compare`); the difference to the reference arm is paired on the same runs and
the same rows. Failed runs are counted, never silently dropped: an arm without a single good run is a row
without numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.compare import Difference, difference, holm, summarise
from bench.errors import Unavailable
from bench.metrics import METRICS
from bench.names import MAIN_METRIC, OK, TEST, cores
from bench.replicates import Replicates, RunScores, replicates_by_arm
from bench.splits import protocol_named
from bench.store import Store, read_checked, write_atomically

Record = Mapping[str, Any]
Recipe = tuple[Any, ...]
REFERENCES = ("xgboost", "logistic-regression", "none", "prevalence")


def leaderboard(
    store: Store, records: Sequence[Record], wanted: Mapping[str, Recipe] | None = None
) -> pd.DataFrame:
    """Return one row per arm of `records`, which share one data set, protocol and scope.

    `wanted` says for an arm which of its recipes counts; without, the one that finished last does.

    Columns: rank, arm, method, n_runs, n_failed; per metric `<metric>_mean, _lo, _hi, _sd_seed`;
    reference, `difference_mean, _lo, _hi, _p` of the main metric to it, `_p_holm` adjusted for all arms; seconds,
    steps and samples per run; dataset, protocol, scope and the test rows' prevalence.
    """
    kept, good = measured(store, newest(records, wanted))
    failed = {arm for arm in kept if any(record["status"] != OK for record in kept[arm])}
    fit = [arm for arm in good if arm not in failed]
    reference = next((arm for arm in REFERENCES if arm in fit), next(iter(fit), None))
    rows = []
    main_metric = protocol_named(records[0]["protocol"]).main_metric if records else MAIN_METRIC
    for arm in filter(kept.get, kept):
        row = _describe(arm, kept[arm])
        row |= _metrics(good[arm]) if arm in good else {}
        row |= _against(good, arm, reference, main_metric)
        rows.append(row)
    board = pd.DataFrame(rows, columns=columns())
    read_together = board["difference_p"].where(board["arm"] != reference).astype(float)
    board["difference_p_holm"] = holm(read_together.tolist())
    return _ranked(board, main_metric)


def measured(
    store: Store, latest: Sequence[Record], names: Iterable[str] | None = None
) -> tuple[dict[str, list[Record]], dict[str, Replicates]]:
    """Return by arm the records whose scores are there or never were, and the good runs on their resamples.

    `names` limits the metrics.
    """
    arms = list(dict.fromkeys(record["arm"] for record in latest))
    with ThreadPoolExecutor(cores()) as threads:
        found = list(threads.map(lambda arm: _scores(store, [r for r in latest if r["arm"] == arm]), arms))
    kept = {arm: records for arm, (records, _) in zip(arms, found, strict=True)}
    runs_of = {arm: runs for arm, (_, runs) in zip(arms, found, strict=True) if runs}
    return kept, replicates_by_arm(runs_of, names=names)


def columns() -> list[str]:
    """Return the leaderboard's columns in order."""
    metrics = [f"{metric}_{field}" for metric in METRICS for field in ("mean", "lo", "hi", "sd_seed")]
    return [
        *("rank", "arm", "method", "n_runs", "n_failed"),
        *metrics,
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


def newest(records: Iterable[Record], wanted: Mapping[str, Recipe] | None = None) -> list[Record]:
    """Return the last finished record of each arm, repeat, fold and seed.

    What an arm ran under another version or configuration than the wanted one (or its last record's) is
    left out: no row of a table is a mean over two different things.
    """
    ordered = sorted(records, key=lambda r: (r["finished"], r["key"]))
    current = {record["arm"]: recipe(record) for record in ordered} | dict(wanted or {})
    found: dict[tuple[Any, ...], Record] = {}
    for record in ordered:
        if recipe(record) == current[record["arm"]]:
            found[record["arm"], record["repeat"], record["fold"], record["seed"]] = record
    return sorted(found.values(), key=lambda r: (r["arm"], r["repeat"], r["fold"], r["seed"]))


def latest(records: Sequence[Record]) -> list[Record]:
    """Return the `newest` records of the scope that finished last; `records` share data set and protocol."""
    return newest(next(iter(scopes(records).values())))


def recipe(record: Record) -> Recipe:
    """Return what tells two ways of running an arm apart; `record` may be a run's columns too."""
    names = ("method", "version", "sampler", "inner_sampler", "outer_sampler", "config")
    return tuple(record[name] for name in names)


def _scores(store: Store, records: Sequence[Record]) -> tuple[list[Record], list[RunScores]]:
    """Return an arm's records, less those whose scores are lost, and its good runs' scores."""
    kept, runs = [], []
    for record in records:
        if record["status"] == OK:
            scores = store.read_scores(record["dataset"], record["key"], record["scores_sha256"])
            if scores is None:  # in quarantine now, with its record: it counts as not done
                continue
            test = scores[scores["part"] == TEST]
            fold = record["repeat"] * 10_000 + record["fold"]
            y, score = test["y"].to_numpy(), test["score"].to_numpy()
            runs.append(RunScores(fold, record["seed"], y, score, record["threshold"]))
        kept.append(record)
    return kept, runs


def _describe(arm: str, records: Sequence[Record]) -> dict[str, Any]:
    good = [record for record in records if record["status"] == OK]
    first = records[0]
    return {
        **{
            name: first[name]
            for name in ("method", "dataset", "data_source", "data_sha256", "protocol", "scope")
        },
        "arm": arm,
        "n_runs": len(good),
        "n_failed": len(records) - len(good),
        **{
            name: float(np.mean([record[name] for record in good])) if good else float("nan")
            for name in (
                "fit_seconds",
                "resample_seconds",
                "steps",
                "best_step",
                "samples_seen",
                "n_train",
                "n_test",
            )
        },
        "n_rows": sum(good[0][name] for name in ("n_train", "n_valid", "n_test")) if good else None,
        "budget_steps": _budget(first),
        "test_prevalence": sum(r["n_test_positive"] for r in good) / max(1, sum(r["n_test"] for r in good)),
    }


def _budget(record: Record) -> float:
    config = json.loads(record["config"])
    return float(config.get("steps", config.get("rounds", config.get("max_iter", float("nan")))))


def _metrics(found: Replicates) -> dict[str, float]:
    summaries = summarise(found)
    return {
        f"{metric}_{field}": getattr(summary, field)
        for metric, summary in summaries.items()
        for field in ("mean", "lo", "hi", "sd_seed")
    }


def _against(good: Mapping[str, Replicates], arm: str, reference: str | None, metric: str) -> dict[str, Any]:
    if reference is None or arm not in good or set(good[arm].runs).isdisjoint(good[reference].runs):
        return {"reference": reference}
    found: Difference = difference(good[arm], good[reference], metric)
    return {
        "reference": reference,
        "difference_mean": found.mean,
        "difference_lo": found.lo,
        "difference_hi": found.hi,
        "difference_p": found.p_value,
    }


def _ranked(board: pd.DataFrame, metric: str) -> pd.DataFrame:
    # An arm with failed runs was not judged on the same rows as the others: it stands below those without.
    order = board.assign(incomplete=board["n_failed"] > 0).sort_values(
        ["incomplete", f"{metric}_mean", "arm"], ascending=[True, False, True], na_position="last"
    )
    order = order.drop(columns="incomplete")
    order["rank"] = np.arange(1, len(order) + 1)
    return order.reset_index(drop=True)


def scopes(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records by scope, the scope that finished last first."""
    found: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r["finished"], reverse=True):
        found.setdefault(record["scope"], []).append(record)
    return found


def board_path(store: Store, dataset: str, protocol: str) -> Path:
    """Return where the parquet leaderboard lies."""
    return store.root / "leaderboards" / f"{dataset}-{protocol}.parquet"


def scope_at(path: Path) -> str | None:
    """Return the scope of the leaderboard that is at `path`; None where there is none that can be read."""
    try:
        return str(read(path)["scope"].iloc[0])
    except (Unavailable, KeyError, IndexError):
        return None


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

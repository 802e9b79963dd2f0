"""Which records stand in a table, and their runs measured on resamples of their test rows.

Of a data set and protocol a table shows one scope (data, card, splits), of an arm's fold and seed the newest record,
and of an arm one recipe: no row of a table is a mean over two different things.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.arms.spelling import is_tuned, parse
from bench.names import OK, TEST, TUNED, cores
from bench.stats.bootstrap import Replicates, RunScores, replicates_by_arm
from bench.store import compact
from bench.store.compact import fold_of
from bench.store.folder import Store, read_checked
from bench.tuning.configurations import config_hash, read_tuned

Record = Mapping[str, Any]
Recipe = tuple[Any, ...]
ROW_RESAMPLES = 200  # of test rows, in all folds together, for every metric
RANK_RESAMPLES = 1000  # and for ROC-AUC and average precision


@dataclass(frozen=True)
class Measured:
    """The records of one table by arm, less those whose scores are lost; and by arm what its good runs measured.

    `n_others` records of the data set and protocol stand on other splits, and in no table. `own` are the arms whose
    records are in the results folder itself, not among the published ones beside it.
    """

    records: Mapping[str, Sequence[Record]]
    replicates: Mapping[str, Replicates]
    n_others: int = 0
    own: frozenset[str] = frozenset()

    def cost(self, arm: str) -> dict[str, float]:
        """Return how many good runs the arm has and how many failed, and a good run's mean updates and rows seen."""
        good = [record for record in self.records[arm] if record["status"] == OK]
        return {
            **{
                name: float(np.mean([record[name] for record in good])) if good else float("nan")
                for name in ("steps", "samples_seen")
            },
            "n_runs": len(good),
            "n_failed": len(self.records[arm]) - len(good),
        }

    def ranks(self, metric: str, arms: Iterable[str]) -> dict[str, int]:
        """Return the arms' ranks by their means; an arm with failed runs stands below those without.

        It was not judged on the same rows as they.
        """

        def place(arm: str) -> tuple[bool, float, str]:
            reps = self.replicates.get(arm)
            mean = float(np.mean(reps.points[metric])) if reps else -np.inf
            return self.cost(arm)["n_failed"] > 0, -mean, arm

        return {arm: rank for rank, arm in enumerate(sorted(arms, key=place), 1)}


def measure_tables(store: Store, dataset: str, only: str | None = None) -> dict[str, Measured]:
    """Return what stands in the table of each protocol that the data set has records of; `only` names one."""
    by_protocol: dict[str, list[Record]] = {}
    for record in store.records(dataset):
        if only in (None, record["protocol"]):
            by_protocol.setdefault(record["protocol"], []).append(record)
    own_keys = store.own_keys(dataset)
    tables = {}
    for name, records in sorted(by_protocol.items()):
        latest = shown(store, records, own_keys)
        others = sum(r["scope"] != latest[0]["scope"] and r["key"] in own_keys for r in records)
        tables[name] = replace(measured(store, latest), n_others=others, own=own_arms(latest, own_keys))
    return tables


def own_arms(records: Iterable[Record], own_keys: Collection[str]) -> frozenset[str]:
    """Return the arms whose records are in the results folder itself."""
    return frozenset(record["arm"] for record in records if record["key"] in own_keys)


def measured(
    store: Store, latest: Sequence[Record], names: Iterable[str] | None = None, folds: int | None = None
) -> Measured:
    """Return records of one protocol and scope by arm, with the good runs on resamples of their test rows.

    The records of an arm are all compact, and need no scores, or none is. The folds of a table share `ROW_RESAMPLES`
    and `RANK_RESAMPLES` among them, so that an interval over five folds rests on as many as one over a single fold.
    `names` limits the metrics; `folds` says how many the table has where `latest` are not all of its records.
    """
    by_arm: dict[str, list[Record]] = {}
    for record in latest:
        by_arm.setdefault(record["arm"], []).append(record)
    packed = {arm: records for arm, records in by_arm.items() if store.is_compact(records[0])}
    own = [arm for arm in by_arm if arm not in packed]
    with ThreadPoolExecutor(cores()) as threads:
        found = list(threads.map(lambda arm: _scores(store, by_arm[arm]), own))
    kept = {arm: records for arm, (records, _) in zip(own, found, strict=True) if records}
    runs_of = {arm: runs for arm, (_, runs) in zip(own, found, strict=True) if runs}
    folds = folds or max(1, len({fold_of(record) for record in latest}))
    counts = {"row_replicates": -(-ROW_RESAMPLES // folds), "rank_replicates": -(-RANK_RESAMPLES // folds)}
    measured = replicates_by_arm(runs_of, names=names, **counts)
    measured |= compact.read(store, [*chain(*packed.values())], names)
    kept |= packed
    # In the records' order, whichever of them are compact.
    records = {arm: kept[arm] for arm in by_arm if arm in kept}
    return Measured(records, {arm: measured[arm] for arm in by_arm if arm in measured})


def _scores(store: Store, records: Sequence[Record]) -> tuple[list[Record], list[RunScores]]:
    """Return an arm's records, less those whose scores are lost, and its good runs' scores."""
    kept, runs = [], []
    for record in records:
        if record["status"] == OK:
            scores = store.read_scores(record["dataset"], record["key"], record["scores_sha256"])
            if scores is None:  # in quarantine now, with its record: it counts as not done
                continue
            test = scores[scores["part"] == TEST]
            y, score = test["y"].to_numpy(), test["score"].to_numpy()
            runs.append(RunScores(fold_of(record), record["seed"], y, score, record["threshold"]))
        kept.append(record)
    return kept, runs


def shown(store: Store, records: Sequence[Record], own_keys: Collection[str]) -> list[Record]:
    """Return those of the `records` of a data set and protocol that its table shows.

    They are the `newest` of one scope: that of the leaderboard in this folder, else of the last own record, else of
    the published leaderboard, else of the record that finished last. Of a tuned arm and fold they are the runs of the
    configuration that is in `tuned/`, else of the one that finished last. `own_keys` are the keys of the data set's
    records in this folder (`Store.own_keys`).
    """
    dataset, protocol = records[0]["dataset"], records[0]["protocol"]
    by_scope: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r["finished"], reverse=True):
        by_scope.setdefault(record["scope"], []).append(record)
    own_scopes = (
        scope for scope, its_records in by_scope.items() if any(r["key"] in own_keys for r in its_records)
    )
    candidates = [scope_at(board_path(store, dataset, protocol)), next(own_scopes, None)]
    if store.published:
        candidates.append(scope_at(board_path(store.published, dataset, protocol)))
    scope = next((scope for scope in candidates if scope in by_scope), next(iter(by_scope)))
    assert scope is not None  # noqa: S101  (for mypy: no key of by_scope is None)
    return newest(by_scope[scope], _as_tuned(store, by_scope[scope]))


def _as_tuned(store: Store, records: Iterable[Record]) -> dict[tuple[Any, ...], Recipe]:
    """Return the recipe of each tuned arm and fold (`at_once`) that ran as it is tuned now."""
    own = [record for record in records if parse(record["arm"]).mark == TUNED]
    if not own:
        return {}
    known = {
        (f"{one.arm}{TUNED}", one.protocol, one.split_sha256, one.config_sha256)
        for one in read_tuned(store.root, own[0]["dataset"])
    }
    found = {}
    for record in own:
        run = config_hash(json.loads(record["config"]), record)
        if (record["arm"], record["protocol"], record["split_sha256"], run) in known:
            found[at_once(record)] = recipe(record)
    return found


def newest(records: Iterable[Record], wanted: Mapping[tuple[Any, ...], Recipe] | None = None) -> list[Record]:
    """Return the last finished record of each arm, repeat, fold and seed.

    `wanted` says for an arm (`at_once`) which of its recipes counts, else the one that finished last does; what the
    arm ran under another is left out.
    """
    ordered = sorted(records, key=lambda r: (r["finished"], r["key"]))
    current = {at_once(record): recipe(record) for record in ordered} | dict(wanted or {})
    found: dict[tuple[Any, ...], Record] = {}
    for record in ordered:
        if recipe(record) == current[at_once(record)]:
            found[record["arm"], record["repeat"], record["fold"], record["seed"]] = record
    return sorted(found.values(), key=lambda r: (r["arm"], r["repeat"], r["fold"], r["seed"]))


def at_once(record: Record) -> tuple[Any, ...]:
    """Return where one recipe holds: an arm in all its folds, or in each fold its own where it is tuned there."""
    if is_tuned(record["arm"]):
        return record["arm"], record["repeat"], record["fold"]
    return (record["arm"],)


def recipe(record: Record) -> Recipe:
    """Return what tells two ways of running an arm apart; `record` may be a run's columns too."""
    names = ("method", "version", "sampler", "inner_sampler", "outer_sampler", "config")
    return tuple(record[name] for name in names)


def board_path(store: Store, dataset: str, protocol: str) -> Path:
    """Return where the parquet leaderboard lies."""
    return store.root / "leaderboards" / f"{dataset}-{protocol}.parquet"


def scope_at(path: Path) -> str | None:
    """Return the scope of the leaderboard that is at `path`; None where there is none that can be read."""
    try:
        return str(read_checked(path)["scope"][0])
    except (OSError, ValueError, LookupError, pa.ArrowException):
        return None

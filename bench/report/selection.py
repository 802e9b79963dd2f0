"""Which records stand in a table, and their runs measured on resamples of their test rows.

Of a data set and protocol a table shows one scope (data, card, splits), of an arm's fold and seed the newest record,
and of an arm one setup: no row of a table is a mean over two different things.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.arms.spelling import is_tuned, parse
from bench.names import OK, TEST, TUNED, cores
from bench.protocols import protocol_if_known, protocol_named
from bench.runs.run import Run
from bench.stats.bootstrap import RANKED, Replicates, RunScores, replicates_by_arm
from bench.store import compact
from bench.store.folder import Store
from bench.store.parquet import read_checked
from bench.store.schema import Record, Setup
from bench.tuning.configurations import config_hash, read_tuned

Place = tuple[str | int, ...]  # an arm, or an arm, repeat and fold: where one setup holds (`place_of`)
# Resamples of test rows, in all folds together: for ROC-AUC and average precision, and for every metric. The second are
# those of older compact records: runs beside them are measured on as many, since a difference is paired on resamples.
RESAMPLES = ((2000, 500), (1000, 200))


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

    @cached_property
    def test_to_train(self) -> float:
        """How many test rows there are for each training row, the mean over good runs; NaN where none says so."""
        good = [record for records in self.records.values() for record in records if record.status == OK]
        shares = [record.n_test / record.n_train for record in good if record.n_test and record.n_train]
        return float(np.mean(shares)) if shares else float("nan")

    def cost(self, arm: str) -> dict[str, float]:
        """Return how many good runs the arm has and how many failed, and a good run's mean updates and rows seen."""
        good = [record for record in self.records[arm] if record.status == OK]
        return {
            **{name: mean_of(good, name) for name in ("steps", "samples_seen")},
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


def mean_of(records: Sequence[Record], field: str) -> float:
    """Return the mean of a number that records hold, NaN for no record."""
    numbers = [getattr(record, field) for record in records]
    return float(np.mean(np.array(numbers, dtype=float))) if numbers else float("nan")


def protocol_asked(store: Store, asked: str, dataset: str | None = None) -> str:
    """Return the name of the protocol asked for; one whose file is not given needs records, of the data set or of any.

    Raises UnknownName for any other.
    """
    names = [name for name in store.all_datasets() if dataset in (None, name)]
    if protocol_if_known(asked) is None and any(
        record.protocol == asked for name in names for record in store.records(name)
    ):
        return asked
    return protocol_named(asked).name


def measure_tables(store: Store, dataset: str, only: str | None = None) -> dict[str, Measured]:
    """Return what stands in the table of each protocol that the data set has records of; `only` names one."""
    by_protocol: dict[str, list[Record]] = {}
    for record in store.records(dataset):
        if only in (None, record.protocol):
            by_protocol.setdefault(record.protocol, []).append(record)
    own_keys = store.own_keys(dataset)
    tables = {}
    for name, records in sorted(by_protocol.items()):
        latest = shown(store, records, own_keys)
        others = sum(r.scope != latest[0].scope and r.key in own_keys for r in records)
        tables[name] = replace(measured(store, latest), n_others=others, own=own_arms(latest, own_keys))
    return tables


def own_arms(records: Iterable[Record], own_keys: Collection[str]) -> frozenset[str]:
    """Return the arms whose records are in the results folder itself."""
    return frozenset(record.arm for record in records if record.key in own_keys)


def measured(
    store: Store, latest: Sequence[Record], names: Iterable[str] | None = None, folds: int | None = None
) -> Measured:
    """Return records of one protocol and scope by arm, with the good runs on resamples of their test rows.

    The records of an arm are all compact, and need no scores, or none is. The folds of a table share `RESAMPLES` among
    them, so that an interval over five folds rests on as many as one over a single fold.
    `names` limits the metrics; `folds` says how many the table has where `latest` are not all of its records.
    """
    by_arm: dict[str, list[Record]] = {}
    for record in latest:
        by_arm.setdefault(record.arm, []).append(record)
    packed = {arm: records for arm, records in by_arm.items() if store.is_compact(records[0])}
    scored = [arm for arm in by_arm if arm not in packed]
    with ThreadPoolExecutor(cores()) as threads:
        read = dict(zip(scored, threads.map(lambda arm: _scores(store, by_arm[arm]), scored), strict=True))
    kept = {arm: records for arm, (records, _) in read.items() if records} | packed
    runs_of = {arm: runs for arm, (_, runs) in read.items() if runs}
    folds = folds or max(1, len({record.fold_id for record in latest}))
    replicates = compact.read(store, [*chain(*packed.values())], names)
    ranked, counted = _resamples(replicates.values(), folds)
    replicates |= replicates_by_arm(runs_of, names=names, row_replicates=counted, rank_replicates=ranked)
    # In the records' order, whichever of them are compact.
    records = {arm: kept[arm] for arm in by_arm if arm in kept}
    return Measured(records, {arm: replicates[arm] for arm in by_arm if arm in replicates})


def _resamples(packed: Iterable[Replicates], folds: int) -> tuple[int, int]:
    """Return how many resamples of a fold's rows rank metrics and the others have: as those of the `packed` arms."""
    shared = [(-(-ranked // folds), -(-counted // folds)) for ranked, counted in RESAMPLES]
    there = {reps.values[name].shape[1] for reps in packed for name in RANKED if name in reps.values}
    return next((counts for counts in shared if counts[0] in there), shared[0])


def _scores(store: Store, records: Sequence[Record]) -> tuple[list[Record], list[RunScores]]:
    """Return an arm's records, less those whose scores are lost, and its good runs' scores."""
    kept, runs = [], []
    for record in records:
        if record.status == OK:
            parts = store.read_scores(record.dataset, record.key, record.scores_sha256)
            if parts is None:  # in quarantine now, with its record: it counts as not done
                continue
            scored = replace(parts[TEST], threshold=record.threshold)
            runs.append(RunScores(record.fold_id, record.seed, scored))
        kept.append(record)
    return kept, runs


def shown(store: Store, records: Sequence[Record], own_keys: Collection[str]) -> list[Record]:
    """Return those of the `records` of a data set and protocol that its table shows.

    They are the `newest` of one scope: that of the leaderboard in this folder, else of the last own record, else of
    the published leaderboard, else of the record that finished last. Of a tuned arm and fold they are the runs of the
    configuration that is in `tuned/`, else of the one that finished last. `own_keys` are the keys of the data set's
    records in this folder (`Store.own_keys`).
    """
    dataset, protocol = records[0].dataset, records[0].protocol
    by_scope: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.finished, reverse=True):
        by_scope.setdefault(record.scope, []).append(record)
    own_scopes = (
        scope for scope, its_records in by_scope.items() if any(r.key in own_keys for r in its_records)
    )
    candidates = [scope_at(board_path(store, dataset, protocol)), next(own_scopes, None)]
    if store.published:
        candidates.append(scope_at(board_path(store.published, dataset, protocol)))
    scope = next((scope for scope in candidates if scope in by_scope), next(iter(by_scope)))
    assert scope is not None  # noqa: S101  (for mypy: no key of by_scope is None)
    return newest(by_scope[scope], _as_tuned(store, by_scope[scope]))


def _as_tuned(store: Store, records: Iterable[Record]) -> dict[Place, Setup]:
    """Return the setup of each tuned arm and fold that ran as it is tuned now."""
    tuned = [record for record in records if parse(record.arm).mark == TUNED]
    if not tuned:
        return {}
    known = {
        (f"{entry.arm}{TUNED}", entry.protocol, entry.split_sha256, entry.config_sha256)
        for entry in read_tuned(store.root, tuned[0].dataset)
    }
    setups = {}
    for record in tuned:
        config = config_hash(json.loads(record.config), record.setup._asdict())
        if (record.arm, record.protocol, record.split_sha256, config) in known:
            setups[place_of(record)] = record.setup
    return setups


def newest(records: Iterable[Record], wanted: Mapping[Place, Setup] | None = None) -> list[Record]:
    """Return the last finished record of each arm, repeat, fold and seed.

    `wanted` says for a place (`place_of`) which setup counts, else the one that finished last does; what the arm ran
    there with another is left out.
    """
    ordered = sorted(records, key=lambda r: (r.finished, r.key))
    current = {place_of(record): record.setup for record in ordered} | dict(wanted or {})
    latest: dict[tuple[str, int, int, int], Record] = {}
    for record in ordered:
        if record.setup == current[place_of(record)]:
            latest[record.arm, record.repeat, record.fold, record.seed] = record
    return [latest[run] for run in sorted(latest)]


def place_of(run: Record | Run) -> Place:
    """Return where one setup holds: an arm in all its folds, or in each fold its own where it is tuned there."""
    if is_tuned(run.arm):
        return run.arm, run.repeat, run.fold
    return (run.arm,)


def board_path(store: Store, dataset: str, protocol: str) -> Path:
    """Return where the parquet leaderboard lies."""
    return store.root / "leaderboards" / f"{dataset}-{protocol}.parquet"


def scope_at(path: Path) -> str | None:
    """Return the scope of the leaderboard that is at `path`; None where there is none that can be read."""
    try:
        return str(read_checked(path)["scope"][0])
    except (OSError, ValueError, LookupError, pa.ArrowException):
        return None

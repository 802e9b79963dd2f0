"""Two arms on the same test rows and runs: by how much they differ, how surely, and how often one wins."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from bench.arms.arm import arm_named
from bench.arms.matrices import GRID
from bench.arms.spelling import parse
from bench.data.cards import card, card_for_frame, dataset_names, dataset_option
from bench.errors import BadSetting, BadStore, BenchError, UnknownName
from bench.names import ANYWAY, DEFAULT_PROTOCOL, OK, TUNED, results_option
from bench.protocols import as_judged, protocol_if_known
from bench.report.render import chance, interval, missing, number, printed
from bench.report.selection import measured, shown
from bench.stats.bootstrap import Replicates
from bench.stats.inference import corrected_t, difference, holm, improvement
from bench.stats.metrics import METRICS, metrics
from bench.store.folder import Store
from bench.store.schema import Record


def comparison(store: Store, dataset: str, protocol: str, a: str, b: str) -> pd.DataFrame:
    """Return one row per metric for the arms `a` and `b`, from the records that the protocol's table shows.

    Columns: metric; mean_a, mean_b over the runs that both have; difference_mean, _lo, _hi, _p of the paired bootstrap
    and _p_holm, adjusted for all metrics; p_corrected_t, over folds (Nadeau and Bengio 2003; NaN for one); improvement,
    _lo, _hi, the share of paired runs in which `a` is better; n_pairs. Raises BadStore, with the command that runs it,
    for a data set or an arm without a good run, UnknownName for one that nobody knows, BadSetting where no run pairs,
    or where the data set has no such protocol.
    """
    records = _records(store, dataset, protocol, (a, b))
    good = [record for record in records if record.status == OK]
    for arm in (a, b):
        _check(arm, records, store, dataset, protocol)
    both = [record for record in good if record.arm in (a, b)]
    replicates = measured(store, both, folds=len({record.fold_id for record in records})).replicates
    for arm in (a, b):
        if arm not in replicates:
            raise BadStore(
                f"The scores of {arm} on {dataset}, {protocol}, cannot be read; bench run makes them anew."
            )
    ratio = float(
        np.mean([record.n_test / record.n_train for record in good if record.n_test and record.n_train])
    )
    try:
        rows = [_row(replicates[a], replicates[b], metric, ratio) for metric in metrics()]
    except ValueError as error:
        raise BadSetting(f"{a} and {b} on {dataset}: {error}") from error
    board = pd.DataFrame(rows)
    p_values = board["difference_p"].where(board["metric"] != "gini")  # 2 ROC-AUC - 1 is no test of its own
    board.insert(6, "difference_p_holm", holm(p_values.astype(float).tolist()))
    by_metric = board.set_index("metric")["difference_p_holm"]
    board.loc[board["metric"] == "gini", "difference_p_holm"] = by_metric["roc_auc"]
    return board


def _records(store: Store, dataset: str, protocol: str, arms: Sequence[str]) -> list[Record]:
    """Return the records that the protocol's table shows; raise with the command that makes some where none are."""
    known = store.all_datasets()
    if dataset not in known and dataset not in dataset_names():
        raise UnknownName("data set", dataset, sorted({*known, *dataset_names()}))
    records = [r for r in store.records(dataset) if r.protocol == protocol] if dataset in known else []
    if not records:
        raise BadStore(
            f"{store.root} holds no run on {dataset} under the protocol {protocol}. This makes them:\n"
            f"  {_command(store, dataset, protocol, arms)}"
        )
    return shown(store, records, store.own_keys(dataset))


def _check(arm: str, records: Sequence[Record], store: Store, dataset: str, protocol: str) -> None:
    """Raise where the arm has no good run: with the nearest names if nothing is called so, else with what makes one."""
    ran = [record for record in records if record.arm == arm]
    if any(record.status == OK for record in ran):
        return
    names = {record.arm for record in records if record.status == OK}
    if not ran and not _is_arm(arm):
        near = get_close_matches(arm, names & set(GRID), cutoff=0.8)
        raise UnknownName(
            f"arm in the runs on {dataset}, protocol {protocol},", arm, [*sorted(names - set(GRID)), *near]
        )
    again = " --retry-failed" if ran else ""
    why = f"all its {len(ran)} runs failed, the first: {ran[0].error}" if ran else "it has not run there"
    raise BadStore(
        f"{store.root} holds no good run of {arm} on {dataset} under the protocol {protocol}: {why.rstrip('.')}. "
        f"This runs it:\n  {_command(store, dataset, protocol, (arm,))}{again}"
    )


def _is_arm(name: str) -> bool:
    """Return whether `bench run` knows an arm of that name, settings and the mark of a tuned one aside."""
    try:
        return bool(arm_named(parse(name).rows))
    except BenchError:
        return False


def _command(store: Store, dataset: str, protocol: str, arms: Sequence[str]) -> str:
    """Return the command that runs the arms, tuned ones as such; raise BadSetting where it would be refused.

    A protocol, or an arm, may not take the data set.
    """
    marks = {mark: f"--tuned{'-anyway' if mark == ANYWAY else ''}" for mark in (TUNED, ANYWAY)}
    spellings = [parse(arm) for arm in arms]
    tuned = [option for mark, option in marks.items() if mark in {one.mark for one in spellings}]
    plain = [spelling.plain for spelling in spellings]
    chosen = card(dataset) if dataset in dataset_names() else card_for_frame("label", name=dataset)
    known = protocol_if_known(protocol)
    if known is not None:
        for arm in filter(_is_arm, plain):
            as_judged(arm_named(parse(arm).rows), chosen, known)
    words = ["bench", "run", *dataset_option(dataset)]
    words += ["--protocol", protocol] if protocol != DEFAULT_PROTOCOL else []
    words += [word for arm in dict.fromkeys(plain) for word in ("--arm", arm)]
    return shlex.join([*words, *tuned, *results_option(store.root)])


def _row(a: Replicates, b: Replicates, metric: str, ratio: float) -> dict[str, float | str | int]:
    if metric not in METRICS and not (metric in a.values and metric in b.values):
        return {"metric": metric, "n_pairs": len(set(a.runs) & set(b.runs))}
    ahead, won = difference(a, b, metric), improvement(a, b, metric)
    return {
        "metric": metric,
        "mean_a": _mean_of_pairs(a, b, metric),
        "mean_b": _mean_of_pairs(b, a, metric),
        "difference_mean": ahead.mean,
        "difference_lo": ahead.lo,
        "difference_hi": ahead.hi,
        "difference_p": ahead.p_value,
        "p_corrected_t": corrected_t(_by_fold(a, b, metric), ratio),
        "improvement": won.share,
        "improvement_lo": won.lo,
        "improvement_hi": won.hi,
        "n_pairs": ahead.n_pairs,
    }


def _mean_of_pairs(a: Replicates, b: Replicates, metric: str) -> float:
    """Return the mean of `a` over the runs that `b` has too."""
    return float(
        np.mean([point for run, point in zip(a.runs, a.points[metric], strict=True) if run in set(b.runs)])
    )


def _by_fold(a: Replicates, b: Replicates, metric: str) -> dict[int, float]:
    """Return the mean difference over the seeds that both arms ran, by fold."""
    points = [dict(zip(reps.runs, reps.points[metric], strict=True)) for reps in (a, b)]
    folds: dict[int, list[float]] = {}
    for run in sorted(set(points[0]) & set(points[1])):
        folds.setdefault(run[0], []).append(float(points[0][run] - points[1][run]))
    return {fold: float(np.mean(values)) for fold, values in folds.items()}


HEADINGS = ("metric", "a", "b", "a − b [95 %]", "p", "p Holm", "p t", "a better [95 %]")
FIRST = ("a", "b", "a − b [95 %]", "p Holm", "a better [95 %]")  # where there is not room for all


def cells(board: pd.DataFrame) -> list[list[str]]:
    """Return the comparison's cells as text, row by row, under HEADINGS."""
    return [
        [
            printed(row["metric"]),
            number(row["mean_a"]),
            number(row["mean_b"]),
            interval(row["difference_mean"], row["difference_lo"], row["difference_hi"], sign=True),
            *(chance(row[name]) for name in ("difference_p", "difference_p_holm", "p_corrected_t")),
            interval(row["improvement"], row["improvement_lo"], row["improvement_hi"]),
        ]
        for _, row in board.iterrows()
    ]


def caption(board: pd.DataFrame, dataset: str, protocol: str, arms: Sequence[str]) -> str:
    """Return the line that the comparison must not be read without."""
    outside = board[~board["metric"].isin(METRICS)]
    return (
        f"{dataset}, protocol {protocol}: a = {arms[0]}, b = {arms[1]}, {board['n_pairs'].iloc[0]} runs paired by "
        "fold and seed, on the same test rows. Intervals and p: two-level bootstrap; p Holm: adjusted for all metrics, "
        "Gini and ROC-AUC as one; "
        "p t: over folds, corrected for their shared training rows (Nadeau and Bengio); a better: share of paired runs "
        "in which a is better, ties half."
        f"{missing(outside[outside['difference_mean'].isna()]['metric'])}"
    )

"""Two arms on the same test rows and runs: by how much they differ, how surely, and how often one wins.

The primary interval and p-value are those of the corrected t over folds (`bench.stats.corrected`); the bootstrap's
interval stands beside them, conditional on the trained models. Over one fold there is only the second.
"""

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
from bench.names import ANYWAY, DEFAULT_PROTOCOL, MAIN_METRIC, OK, ROPE, TUNED, results_option
from bench.protocols import as_judged, protocol_if_known
from bench.report.render import ONE_FOLD, chance, conditional, delta, interval, missing, number, printed, word
from bench.report.selection import measured, shown
from bench.stats.bootstrap import Replicates
from bench.stats.corrected import paired, paired_columns, verdict
from bench.stats.inference import holm, improvement
from bench.stats.metrics import METRICS, metrics
from bench.store.folder import Store
from bench.store.schema import Record


def comparison(
    store: Store, dataset: str, protocol: str, a: str, b: str, *, rope: float = ROPE
) -> pd.DataFrame:
    """Return one row per metric for the arms `a` and `b`, from the records that the protocol's table shows.

    Columns: metric; mean_a, mean_b over the folds and seeds that both have; the paired difference, `difference_…`
    (`stats.corrected.paired_columns`), with _p_holm, adjusted for all metrics, and _verdict in a word, by a region of
    practical equivalence of `rope` on either side of 0; improvement, _lo, _hi, the share of paired runs in which `a` is
    better; n_pairs. Raises BadStore, with the command that runs it, for a data set or an arm without a good run,
    UnknownName for one that nobody knows, BadSetting where no run pairs, where the data set has no such protocol, or
    for a `rope` that is no width.
    """
    if not 0 <= rope < 1:
        raise BadSetting(f"The region of practical equivalence is at least 0 and below 1; found {rope:g}.")
    records = _records(store, dataset, protocol, (a, b))
    good = [record for record in records if record.status == OK]
    for arm in (a, b):
        _check(arm, records, store, dataset, protocol)
    both = [record for record in good if record.arm in (a, b)]
    table = measured(store, both, folds=len({record.fold_id for record in records}))
    replicates = table.replicates
    for arm in (a, b):
        if arm not in replicates:
            raise BadStore(
                f"The scores of {arm} on {dataset}, {protocol}, cannot be read; bench run makes them anew."
            )
    try:
        rows = [_row(replicates[a], replicates[b], metric, table.test_to_train) for metric in metrics()]
    except ValueError as error:
        raise BadSetting(f"{a} and {b} on {dataset}: {error}") from error
    return _judged(pd.DataFrame(rows, columns=_COLUMNS), rope)


def _judged(board: pd.DataFrame, rope: float) -> pd.DataFrame:
    """Return the comparison with p adjusted for all metrics, and each one's verdict."""
    is_gini = board["metric"] == "gini"  # 2 ROC-AUC - 1 is no test of its own
    adjusted = holm(board["difference_p"].where(~is_gini).astype(float).tolist())
    by_metric = dict(zip(board["metric"], adjusted, strict=True))
    board["difference_p_holm"] = board["metric"].replace("gini", "roc_auc").map(by_metric).astype(float)
    board["difference_verdict"] = [
        verdict(dict(row), "difference", row["metric"], rope) if pd.notna(row["difference_mean"]) else None
        for _, row in board.iterrows()
    ]
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


_COLUMNS = [
    *("metric", "mean_a", "mean_b", *paired_columns("difference"), "difference_p_holm", "difference_verdict"),
    *("improvement", "improvement_lo", "improvement_hi", "n_pairs"),
]


def _row(a: Replicates, b: Replicates, metric: str, ratio: float) -> dict[str, float | str | int]:
    if metric not in METRICS and not (metric in a.values and metric in b.values):
        return {"metric": metric, "n_pairs": len(set(a.runs) & set(b.runs))}
    ahead, won = paired(a, b, metric, ratio), improvement(a, b, metric)
    return {
        "metric": metric,
        "mean_a": _mean_of_pairs(a, b, metric),
        "mean_b": _mean_of_pairs(b, a, metric),
        **ahead.columns("difference"),
        "improvement": won.share,
        "improvement_lo": won.lo,
        "improvement_hi": won.hi,
        "n_pairs": ahead.conditional.n_pairs,
    }


def _mean_of_pairs(a: Replicates, b: Replicates, metric: str) -> float:
    """Return the mean over folds of the mean over seeds of `a`, of the runs that `b` has too."""
    by_fold: dict[int, list[float]] = {}
    for run, point in zip(a.runs, a.points[metric], strict=True):
        if run in set(b.runs):
            by_fold.setdefault(run[0], []).append(float(point))
    return float(np.mean([np.mean(points) for points in by_fold.values()]))


HEADINGS = (
    *("metric", "a", "b", "a − b [95 %]", "p", "p Holm", "verdict", "detectable"),
    *("given the models [95 %]", "a better [95 %]"),
)
# Where there is not room for all.
FIRST = ("a", "b", "a − b [95 %]", "verdict", "p Holm", "detectable", "given the models [95 %]")


def cells(board: pd.DataFrame) -> list[list[str]]:
    """Return the comparison's cells as text, row by row, under HEADINGS."""
    return [
        [
            printed(row["metric"]),
            number(row["mean_a"]),
            number(row["mean_b"]),
            delta(row, "difference"),
            *(chance(row[name]) for name in ("difference_p", "difference_p_holm")),
            word(row["difference_verdict"]),
            number(row["difference_detectable"]),
            conditional(row, "difference"),
            interval(row["improvement"], row["improvement_lo"], row["improvement_hi"]),
        ]
        for _, row in board.iterrows()
    ]


def caption(board: pd.DataFrame, dataset: str, protocol: str, arms: Sequence[str], rope: float = ROPE) -> str:
    """Return the line that the comparison must not be read without."""
    outside = board[~board["metric"].isin(METRICS)]
    known = protocol_if_known(protocol)
    main = board.set_index("metric").loc[known.main_metric if known else MAIN_METRIC]
    if pd.isna(main["difference_p"]):
        tested = f" {ONE_FOLD}" if pd.isna(main["difference_detectable"]) else ""
    else:
        tested = (
            f" These folds would show a difference of {number(main['difference_detectable'])} in "
            f"{printed(str(main.name))} (detectable: two-sided .05, power .8)."
        )
    return (
        f"{dataset}, protocol {protocol}: a = {arms[0]}, b = {arms[1]}, {board['n_pairs'].iloc[0]} runs paired by "
        "fold and seed, on the same test rows. a − b and p: corrected t over folds (Nadeau and Bengio); p Holm: "
        f"adjusted for all metrics, Gini and ROC-AUC as one.{tested} Verdict: better or worse where p Holm is below "
        ".05 and the interval conditional on the trained models (bootstrap of runs and test rows) is on the same side "
        f"of 0; equal where both intervals lie within the ROPE, ±{number(rope)} of AP or ROC-AUC; else undecided. "
        "a better: share of paired runs in which a is better, ties half."
        f"{missing(outside[outside['difference_mean'].isna()]['metric'])}"
    )

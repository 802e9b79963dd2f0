"""What the records say of MetaBalance: the questions that its published comparison leaves, answered with intervals.

Every row of the frame is a claim, the difference of two arms (or of two differences) on the same runs and test rows, by
the corrected t and conditional on the trained models (`bench.stats.corrected`); p-values are adjusted over each
question's whole column. `bench.paper.page` puts them into words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from bench.arms.matrices import ALPHA
from bench.data.cards import card, dataset_names
from bench.names import TUNED
from bench.paper.alpha import PAPER_METRICS, alpha
from bench.protocols.published import rungs
from bench.report.columns import Row
from bench.report.render import ends
from bench.report.selection import Measured
from bench.stats.bootstrap import Replicates
from bench.stats.corrected import Paired, is_sure, paired, paired_columns
from bench.stats.inference import comparable, holm

Tables = Mapping[str, Mapping[str, Measured]]  # by data set and protocol
META = "metabalance"
MAIN_RIVALS = ("none", "xgboost")
RIVALS = (*MAIN_RIVALS, "xgboost-weighted", "outer-only", "metabalance-no-inner")
TUNED_RIVALS = ("xgboost", "none", "logistic-regression", "outer-only", "metabalance-no-inner")
PAPERS = ("metabalance-published", "metabalance-june-published")
PAPERS_RIVALS = ("none", "random-under", "smote", "class-balanced-published")
BEFORE = "the rung before"
_NAMES = ("question", "dataset", "protocol", "metric", "a", "b")
CLAIM = ""  # a claim's difference has no name: its columns are `mean`, `lo` …
_NUMBERS = tuple(paired_columns(CLAIM))


def findings(tables: Tables, sweeps: Tables) -> pd.DataFrame:
    """Return one row per claim: what a - b is, and how surely.

    `tables` are those of the leaderboards, `sweeps` those of the matrix `alpha`. Columns: question ("meta step",
    "updates", "rivals", "tuned" or "bayes"), dataset, protocol, metric, a, b, the paired
    difference (`stats.corrected.paired_columns`, without a name), `p_holm` over the question, and n_runs.
    """
    rows = [
        *_meta_step(sweeps),
        *_updates(tables),
        *_rivals(tables, sweeps),
        *_tuned(tables),
        *_bayes(tables),
    ]
    board = pd.DataFrame(rows, columns=[*_NAMES, *_NUMBERS, "p_holm", "n_runs"])
    for question in dict.fromkeys(board["question"]):
        asked = board["question"] == question
        p_values = board.loc[asked, "p"].astype(float)
        board.loc[asked, "p_holm"] = holm(p_values.tolist())
    return board.astype({"p_holm": float})


def _claim(names: tuple[str, ...], ahead: Paired) -> dict[str, str | float]:
    return (
        dict(zip(_NAMES, names, strict=True)) | ahead.columns(CLAIM) | {"n_runs": ahead.conditional.n_pairs}
    )


def _meta_step(sweeps: Tables) -> Iterator[dict[str, str | float]]:
    for dataset, by_protocol in sweeps.items():
        for protocol, table in by_protocol.items():
            for _, row in alpha(table).iterrows():
                a = f"{row['pair']}, order {row['order']}, α = {row['inner_lr']:g}"
                for metric in PAPER_METRICS if row["inner_lr"] else ():
                    names = ("meta step", dataset, protocol, metric, a, f"{row['pair']}, α = 0")
                    numbers = [row[name] for name in paired_columns(f"{metric}_change")]
                    told = zip(_NAMES + _NUMBERS, [*names, *numbers], strict=True)
                    yield dict(told) | {"n_runs": row["n_runs"]}


def _updates(tables: Tables) -> Iterator[dict[str, str | float]]:
    """Yield by rung how far the paper's arms are ahead of its others, and what the rung changed about that."""
    for dataset, by_protocol in tables.items():
        for a, b in [(a, b) for a in PAPERS for b in PAPERS_RIVALS]:
            before: Replicates | None = None
            for rung in _climbed(dataset, by_protocol):
                reps, ratio = by_protocol[rung].replicates, by_protocol[rung].test_to_train
                if a not in reps or b not in reps or not comparable(reps[a], reps[b]):
                    continue
                where = ("updates", dataset, rung, "roc_auc")
                yield _claim((*where, a, b), paired(reps[a], reps[b], "roc_auc", ratio))
                gap = _gap(reps[a], reps[b])
                if before is not None and comparable(gap, before):
                    yield _claim((*where, f"{a} - {b}", BEFORE), paired(gap, before, "roc_auc", ratio))
                before = gap


def _climbed(dataset: str, by_protocol: Mapping[str, Measured]) -> list[str]:
    if dataset not in dataset_names() or card(dataset).published is None:
        return []
    climbed = [rung for rung in rungs(card(dataset)) if rung in by_protocol]
    return climbed if len(climbed) > 2 else []  # published and strict alone are no ladder


def _gap(a: Replicates, b: Replicates) -> Replicates:
    """Return the ROC-AUC of `a` less that of `b`, on the runs that both have and on resamples of their rows."""
    runs = tuple(sorted(set(a.runs) & set(b.runs)))
    rows_a, rows_b = ([reps.runs.index(run) for run in runs] for reps in (a, b))
    points = a.points["roc_auc"][rows_a] - b.points["roc_auc"][rows_b]
    values = a.values["roc_auc"][rows_a] - b.values["roc_auc"][rows_b]
    return Replicates(runs, {"roc_auc": points}, {"roc_auc": values}, a.resamples)


def _rivals(tables: Tables, sweeps: Tables) -> Iterator[dict[str, str | float]]:
    """Yield MetaBalance against its rivals, its pairs of samplers at a small and a large α against the main ones."""
    for dataset, by_protocol in tables.items():
        if "strict" not in by_protocol:
            continue
        rivals, ratio = by_protocol["strict"].replicates, by_protocol["strict"].test_to_train
        held = [(META, rivals, rival) for rival in RIVALS]
        if "strict" in sweeps.get(dataset, {}):
            swept = sweeps[dataset]["strict"].replicates
            chosen = [name for name, (_, order, rate) in ALPHA.items() if order == 2 and rate in (0.01, 1)]
            chosen = [
                name
                for name in chosen
                if not _is_meta(name, sweeps[dataset]["strict"], by_protocol["strict"])
            ]
            held += [(name, swept, rival) for name in chosen for rival in MAIN_RIVALS]
        for arm, its_reps, rival in held:
            if arm not in its_reps or rival not in rivals or not comparable(its_reps[arm], rivals[rival]):
                continue
            for metric in PAPER_METRICS:
                ahead = paired(its_reps[arm], rivals[rival], metric, ratio)
                yield _claim(("rivals", dataset, "strict", metric, arm, rival), ahead)


def _tuned(tables: Tables) -> Iterator[dict[str, str | float]]:
    """Yield MetaBalance as tuned on each fold's training rows against its rivals, tuned alike."""
    for dataset, by_protocol in tables.items():
        if "strict" not in by_protocol:
            continue
        reps, ratio = by_protocol["strict"].replicates, by_protocol["strict"].test_to_train
        for rival in TUNED_RIVALS:
            a, b = reps.get(f"{META}{TUNED}"), reps.get(f"{rival}{TUNED}")
            if a is not None and b is not None and comparable(a, b):
                for metric in PAPER_METRICS:
                    ahead = paired(a, b, metric, ratio)
                    yield _claim(("tuned", dataset, "strict", metric, META, rival), ahead)


def _is_meta(name: str, swept: Measured, table: Measured) -> bool:
    """Return whether an arm of the sweep is the arm `metabalance` by another name."""
    if name not in swept.records or META not in table.records:
        return False
    return swept.records[name][0].setup == table.records[META][0].setup


def _bayes(tables: Tables) -> Iterator[dict[str, str | float]]:
    for dataset, by_protocol in tables.items():
        reps = by_protocol["strict"].replicates if "strict" in by_protocol else {}
        if "bayes-optimal" not in reps:
            continue
        best, ratio = reps["bayes-optimal"], by_protocol["strict"].test_to_train
        for arm, its_reps in reps.items():
            for metric in PAPER_METRICS if arm != "bayes-optimal" and comparable(its_reps, best) else ():
                ahead = paired(best, its_reps, metric, ratio)
                yield _claim(("bayes", dataset, "strict", metric, "bayes-optimal", arm), ahead)


def counts(claims: pd.DataFrame) -> tuple[int, int, int, int]:
    """Return how many claims are above 0 and below by their intervals, and how many of them surely.

    A claim's interval is by the corrected t, over one fold conditional on the trained models; sure is what `is_sure`.
    """
    counted = [0, 0, 0, 0]
    for _, row in claims.iterrows():
        lo, hi = ends(row, CLAIM)
        sure = sure_claim(row)
        for place, holds in enumerate((lo > 0, hi < 0, sure and lo > 0, sure and hi < 0)):
            counted[place] += bool(holds)
    above, below, surely_above, surely_below = counted
    return above, below, surely_above, surely_below


def sure_claim(row: Row) -> bool:
    """Return whether a claim holds by the corrected t after Holm's adjustment and conditional on the trained models."""
    numbers = (row[end] for end in ("p_holm", "mean", "conditional_lo", "conditional_hi"))
    return is_sure(*numbers)

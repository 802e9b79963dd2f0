"""What studies took and gave: the ledger, the best score against trials and seconds, which parameters mattered.

Everything is made of the trials (`bench.tuning.trials`). As of records, one scope is shown, the data and all its
splits: that of the study that went on last; of an arm's studies on a fold the one whose configuration is kept, else
again the one that went on last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import reduce
from operator import add

import numpy as np
import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState, create_trial

from bench.report.render import count, markdown_table, number
from bench.tuning.configurations import SHORT
from bench.tuning.space import from_texts
from bench.tuning.trials import COMPLETE, FAIL, PRUNED, Studied

HEADINGS = (
    "arm",
    "folds",
    "trials",
    "complete",
    "pruned",
    "failed",
    "seconds",
    "rows seen",
    "default",
    "tuned",
    "gain",
)


def latest(studied: Iterable[Studied], kept: Collection[str] = ()) -> list[Studied]:
    """Return of each arm and fold the study that is `kept`, else that went on last, of the scope of the last of all.

    `kept` are starts of keys, as `bench.tuning.configurations.Tuned.study` holds them.
    """
    ordered = sorted(studied, key=lambda one: one.finished)
    mine = [one for one in ordered if one.study.scope == ordered[-1].study.scope]
    mine.sort(key=lambda one: one.study.key[:SHORT] in kept)
    found = {one.study.place: one for one in mine}
    return [found[place] for place in sorted(found)]


def by_arm(studied: Iterable[Studied]) -> dict[str, list[Studied]]:
    """Return the studies of each arm, fold by fold."""
    studies: dict[str, list[Studied]] = {}
    for on_fold in latest(studied):
        studies.setdefault(on_fold.study.arm, []).append(on_fold)
    return studies


def ledger(studied: Iterable[Studied]) -> pd.DataFrame:
    """Return one row per arm, the best first: what its studies took, and what they gave on the validation rows.

    Columns: dataset, protocol, metric, arm; search, how it was searched, in words; folds; trials of a fold, the fewest
    and most; complete, pruned, failed of all; seconds and samples of all; default and tuned, means over folds of the
    arm's own and its best trial, and their gain. NaN where no trial is complete.
    """
    rows = []
    for arm, studies in by_arm(studied).items():
        trials = [trial for on_fold in studies for trial in on_fold.trials]
        states = [trial.state for trial in trials]
        bests = [np.nan if on_fold.best is None else on_fold.best.value for on_fold in studies]
        own = [
            np.nan if on_fold.default is None or on_fold.default.value is None else on_fold.default.value
            for on_fold in studies
        ]
        rows.append(
            {
                "dataset": studies[0].study.dataset,
                "protocol": studies[0].study.protocol,
                "metric": studies[0].study.metric,
                "arm": arm,
                "search": "; ".join(dict.fromkeys(on_fold.effort for on_fold in studies)),
                "folds": len(studies),
                "trials_least": min(len(on_fold.trials) for on_fold in studies),
                "trials_most": max(len(on_fold.trials) for on_fold in studies),
                "complete": states.count(COMPLETE),
                "pruned": states.count(PRUNED),
                "failed": states.count(FAIL),
                # One after another: from Python 3.12 on, `sum` rounds floats in another way.
                "seconds": reduce(add, (trial.seconds for trial in trials), 0.0),
                "samples": sum(trial.samples for trial in trials),
                "default": float(np.mean(np.array(own, dtype=float))),
                "tuned": float(np.mean(np.array(bests, dtype=float))),
            }
        )
    board = pd.DataFrame(rows)
    if board.empty:
        return board
    board["gain"] = board["tuned"] - board["default"]
    return board.sort_values(["tuned", "arm"], ascending=[False, True], ignore_index=True)


def cells(board: pd.DataFrame) -> list[list[str]]:
    """Return the ledger's cells as text, row by row, under HEADINGS."""
    return [
        [
            row["arm"],
            str(row["folds"]),
            "–".join(map(str, dict.fromkeys((row["trials_least"], row["trials_most"])))),
            *(count(row[name]) for name in ("complete", "pruned", "failed")),
            f"{row['seconds']:,.1f}",
            count(row["samples"]),
            *(number(row[name], digits=4) for name in ("default", "tuned", "gain")),
        ]
        for _, row in board.iterrows()
    ]


def caption(board: pd.DataFrame) -> str:
    """Return the line that the ledger must not be read without."""
    dataset, protocol, metric = board[["dataset", "protocol", "metric"]].iloc[0]
    searches = "; ".join(dict.fromkeys(board["search"]))
    alike = board["search"].nunique() == 1 and len({*board["trials_least"], *board["trials_most"]}) == 1
    unlike = "" if alike else " **The arms were not tuned with the same effort.**"
    return (
        f"{dataset}, protocol {protocol}: studies of each arm on each fold's training rows ({searches}). Trials are "
        "per fold, all else is over all folds; seconds are those of resampling, training and scoring, rows seen those "
        f"drawn in training. Default and tuned: {metric.replace('_', ' ')} on inner folds of the training rows, the "
        "arm's own and the best of its trials, means over folds. The best of many is above what it will be on test "
        "rows, and networks and XGBoost stop early on the rows that judge them here: arms are held against each other "
        f"on test rows.{unlike}"
    )


def markdown(board: pd.DataFrame) -> str:
    """Return the ledger as a Markdown page."""
    title = f"# {board['dataset'].iloc[0]}: what tuning took"
    return "\n".join([title, "", caption(board), "", *markdown_table(list(HEADINGS), cells(board))]) + "\n"


def curves(studied: Iterable[Studied]) -> pd.DataFrame:
    """Return the anytime curves: by arm and number of trials the best value so far and the seconds that it took.

    Both are means over the arm's folds. Columns: arm, trials, seconds, best (NaN before the first complete trial).
    """
    rows = []
    for arm, studies in by_arm(studied).items():
        n = min(len(on_fold.trials) for on_fold in studies)
        values = [
            [t.value if t.state == COMPLETE else None for t in on_fold.trials[:n]] for on_fold in studies
        ]
        best = np.fmax.accumulate(np.array(values, dtype=float), axis=1)
        seconds = np.cumsum([[trial.seconds for trial in on_fold.trials[:n]] for on_fold in studies], axis=1)
        columns = {"trials": np.arange(1, n + 1), "seconds": seconds.mean(0), "best": best.mean(0)}
        rows.append(pd.DataFrame({"arm": arm, **columns}))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def importances(studied: Iterable[Studied]) -> pd.DataFrame:
    """Return how much of the best trials' choice lies in each parameter: PED-ANOVA (Watanabe et al. 2023).

    One row per arm, one column per parameter, means over folds, to four digits: beyond, processors differ. NaN for
    what an arm does not ask.
    """
    rows = {}
    for arm, studies in by_arm(studied).items():
        by_fold = [shares for on_fold in studies if (shares := _importances(on_fold))]
        if by_fold:
            rows[arm] = pd.DataFrame(by_fold).mean()
    return pd.DataFrame(rows).T.round(4)


def _importances(studied: Studied) -> dict[str, float]:
    distributions = from_texts(studied.study.space)
    complete = [trial for trial in studied.trials if trial.state == COMPLETE]
    if len(complete) < 10 or len({trial.value for trial in complete}) < 2:  # fewer tell nothing
        return {}
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        create_trial(
            state=TrialState.COMPLETE,
            value=trial.value,
            params=dict(trial.params),
            distributions=distributions,
        )
        for trial in complete
    )
    return dict(optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def slices(studies: Sequence[Studied]) -> pd.DataFrame:
    """Return every complete trial of an arm: its parameters, its fold, its number, and its gain over the default."""
    rows = []
    for on_fold in studies:
        own = (
            on_fold.default.value
            if on_fold.default is not None and on_fold.default.value is not None
            else np.nan
        )
        for trial in on_fold.trials:
            if trial.state == COMPLETE and trial.value is not None:
                place = {"fold": on_fold.study.fold, "number": trial.number, "gain": trial.value - own}
                rows.append({**trial.params, **place})
    return pd.DataFrame(rows)

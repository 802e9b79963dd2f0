"""What studies took and gave: the ledger, the best score against trials and seconds, which parameters mattered.

Everything is made from the trials (`bench.tuning.trials`). As with records, one scope is shown, which is the data and
all its splits: the scope of the study whose last trial ended last. Where an arm has several studies on a fold, the one
is shown that its configuration comes from, else again the one whose last trial ended last.
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
from bench.tuning.space import from_texts
from bench.tuning.trials import COMPLETE, FAIL, PRUNED, Studied, Tried

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
    """Return one study of each arm and fold: one that is `kept`, else the last; all of the scope of the last of all.

    The last is the one whose last trial ended last. `kept` are short keys, as in `Tuned.study`.
    """
    ordered = sorted(studied, key=lambda each: each.finished)
    same_scope = [each for each in ordered if each.study.scope == ordered[-1].study.scope]
    same_scope.sort(key=lambda each: each.study.short_key in kept)
    by_place = {each.study.place: each for each in same_scope}
    return [by_place[place] for place in sorted(by_place)]


def by_arm(studied: Iterable[Studied]) -> dict[str, list[Studied]]:
    """Return the studies of each arm, fold by fold."""
    grouped: dict[str, list[Studied]] = {}
    for study in latest(studied):
        grouped.setdefault(study.study.arm, []).append(study)
    return grouped


def ledger(studied: Iterable[Studied]) -> pd.DataFrame:
    """Return one row per arm, the best first: what its studies took, and what they gave on the validation rows.

    Columns: dataset, protocol, metric, arm; search, how it was searched, in words; folds; trials of a fold, the fewest
    and most; complete, pruned, failed of all; seconds and samples of all; default and tuned, means over folds of the
    arm's own and its best trial, and their gain. NaN where no trial is complete.
    """
    rows = []
    for arm, studies in by_arm(studied).items():
        trials = [trial for study in studies for trial in study.trials]
        states = [trial.state for trial in trials]
        rows.append(
            {
                "dataset": studies[0].study.dataset,
                "protocol": studies[0].study.protocol,
                "metric": studies[0].study.metric,
                "arm": arm,
                "search": "; ".join(dict.fromkeys(study.effort for study in studies)),
                "folds": len(studies),
                "trials_least": min(len(study.trials) for study in studies),
                "trials_most": max(len(study.trials) for study in studies),
                "complete": states.count(COMPLETE),
                "pruned": states.count(PRUNED),
                "failed": states.count(FAIL),
                # Added one by one: from Python 3.12 on, `sum` rounds floats in another way.
                "seconds": reduce(add, (trial.seconds for trial in trials), 0.0),
                "samples": sum(trial.samples for trial in trials),
                "default": float(np.mean([_value_of(study.default) for study in studies])),
                "tuned": float(np.mean([_value_of(study.best) for study in studies])),
            }
        )
    board = pd.DataFrame(rows)
    if board.empty:
        return board
    board["gain"] = board["tuned"] - board["default"]
    return board.sort_values(["tuned", "arm"], ascending=[False, True], ignore_index=True)


def _value_of(trial: Tried | None) -> float:
    return np.nan if trial is None or trial.value is None else trial.value


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
        n = min(len(study.trials) for study in studies)
        values = [[t.value if t.state == COMPLETE else None for t in study.trials[:n]] for study in studies]
        best = np.fmax.accumulate(np.array(values, dtype=float), axis=1)
        seconds = np.cumsum([[trial.seconds for trial in study.trials[:n]] for study in studies], axis=1)
        columns = {"trials": np.arange(1, n + 1), "seconds": seconds.mean(0), "best": best.mean(0)}
        rows.append(pd.DataFrame({"arm": arm, **columns}))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def importances(studied: Iterable[Studied]) -> pd.DataFrame:
    """Return how much each parameter mattered for reaching the best trials: PED-ANOVA (Watanabe et al. 2023).

    One row per arm, one column per parameter, means over folds, to four digits: further ones differ between
    processors. NaN where an arm does not have the parameter.
    """
    rows = {}
    for arm, studies in by_arm(studied).items():
        by_fold = [shares for study in studies if (shares := _importances(study))]
        if by_fold:
            rows[arm] = pd.DataFrame(by_fold).mean()
    return pd.DataFrame(rows).T.round(4)


def _importances(studied: Studied) -> dict[str, float]:
    distributions = from_texts(studied.study.space)
    complete = [trial for trial in studied.trials if trial.state == COMPLETE]
    if len(complete) < 10 or len({trial.value for trial in complete}) < 2:  # too few to judge by
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


def slices(studied: Sequence[Studied]) -> pd.DataFrame:
    """Return every complete trial of an arm: its parameters, its fold, its number, and its gain over the default."""
    rows = [
        {
            **trial.params,
            "fold": study.study.fold,
            "number": trial.number,
            "gain": _value_of(trial) - _value_of(study.default),
        }
        for study in studied
        for trial in study.trials
        if trial.state == COMPLETE
    ]
    return pd.DataFrame(rows)

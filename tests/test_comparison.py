"""`bench compare` says of two arms what their stored runs say, and refuses what cannot be compared."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.arms import arm_named
from bench.compare import corrected_t, holm
from bench.errors import BadSetting, UnknownName
from bench.evaluate import Workbench, run_pack
from bench.metrics import METRICS
from bench.report.comparison import HEADINGS, caption, cells, comparison
from bench.runs import Run

Listed = Callable[..., list[Run]]


@pytest.fixture
def recorded(workbench: Workbench, runs_of: Listed) -> Workbench:
    """Return a store in which logistic regression and the prevalence ran three folds of two seeds."""
    for run in runs_of(arm_named("logistic-regression"), arm_named("prevalence"), seeds=2):
        run_pack(workbench, [run], lambda step, steps: None)
    return workbench


def compared(bench: Workbench, a: str = "logistic-regression", b: str = "prevalence") -> Any:
    return comparison(bench.store, "loan-sim", "strict", a, b)


def test_means_differences_and_tests_are_those_of_the_records(recorded: Workbench) -> None:
    board = compared(recorded).set_index("metric")
    records = recorded.store.records("loan-sim")
    for metric in ("roc_auc", "brier"):
        value = {(r["arm"], r["fold"], r["seed"]): r[f"test_{metric}"] for r in records}
        folds = {
            fold: np.mean(
                [value["logistic-regression", fold, s] - value["prevalence", fold, s] for s in (0, 1)]
            )
            for fold in (0, 1, 2)
        }
        row = board.loc[metric]
        assert row["difference_mean"] == pytest.approx(np.mean(list(folds.values())))
        assert row["mean_a"] - row["mean_b"] == pytest.approx(row["difference_mean"])
        ratio = np.mean([r["n_test"] / r["n_train"] for r in records])
        assert row["p_corrected_t"] == pytest.approx(corrected_t(folds, ratio))
        assert row["difference_lo"] <= row["difference_mean"] <= row["difference_hi"]
    assert board.loc["roc_auc", "improvement"] == 1.0
    lower = [
        value["logistic-regression", fold, s] < value["prevalence", fold, s]
        for fold in (0, 1, 2)
        for s in (0, 1)
    ]
    assert board.loc["brier", "improvement"] == pytest.approx(np.mean(lower))  # less is better
    assert (board["n_pairs"] == 6).all()
    others = board.drop(index="gini")  # which is ROC-AUC once more, and no test of its own
    np.testing.assert_allclose(others["difference_p_holm"], holm(others["difference_p"].tolist()))
    assert board.loc["gini", "difference_p_holm"] == board.loc["roc_auc", "difference_p_holm"]
    assert list(board.index) == list(METRICS)


def test_the_other_way_round_everything_turns(recorded: Workbench) -> None:
    there, back = compared(recorded), compared(recorded, "prevalence", "logistic-regression")
    np.testing.assert_allclose(there["difference_mean"], -back["difference_mean"])
    np.testing.assert_allclose(there["improvement"], 1 - back["improvement"])


def test_an_arm_against_itself_is_no_difference(recorded: Workbench) -> None:
    board = compared(recorded, "prevalence", "prevalence")
    assert (board["difference_mean"] == 0).all()
    assert (board["improvement"] == 0.5).all()
    assert (board["difference_p"] == 1).all()


@pytest.mark.parametrize(
    ("dataset", "protocol", "arm", "error", "told"),
    [
        ("loan-sym", "strict", "prevalence", UnknownName, "Did you mean 'loan-sim'"),
        (
            "loan-sim",
            "published",
            "prevalence",
            BadSetting,
            "bench run --dataset loan-sim --protocol published",
        ),
        ("loan-sim", "strict", "prevalense", UnknownName, "Did you mean 'prevalence'"),
    ],
)
def test_what_is_not_there_is_told_with_a_way_out(
    recorded: Workbench, dataset: str, protocol: str, arm: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        comparison(recorded.store, dataset, protocol, "logistic-regression", arm)


def test_arms_without_a_common_run_cannot_be_paired(workbench: Workbench, runs_of: Listed) -> None:
    first, second = (runs_of(arm_named(name), seeds=2) for name in ("logistic-regression", "prevalence"))
    chosen = [run for run in first if run.seed == 0] + [run for run in second if run.seed == 1]
    for run in chosen:
        run_pack(workbench, [run], lambda step, steps: None)
    with pytest.raises(BadSetting, match="no fold and seed in common"):
        compared(workbench)


def test_the_table_has_a_cell_for_each_heading(recorded: Workbench) -> None:
    board = compared(recorded)
    assert {len(row) for row in cells(board)} == {len(HEADINGS)}
    assert "6 runs paired" in caption(board, "loan-sim", "strict", ("logistic-regression", "prevalence"))


def test_the_command_prints_a_table_and_one_object(recorded: Workbench, bench: Any) -> None:
    words = ("compare", "logistic-regression", "prevalence", "--dataset", "loan-sim")
    told = bench(*words, "--results", recorded.store.root)
    assert told.returncode == 0, told.stderr
    assert "roc auc" in told.stdout
    found = json.loads(bench(*words, "--results", recorded.store.root, "--json").stdout)
    assert [row["metric"] for row in found["metrics"]] == list(METRICS)
    assert not any(isinstance(v, float) and math.isnan(v) for row in found["metrics"] for v in row.values())

"""`bench compare` says of two arms what their stored runs say, and refuses what cannot be compared."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.arms.arm import arm_named
from bench.cli import output
from bench.errors import BadSetting, BadStore, UnknownName
from bench.report.comparison import FIRST, HEADINGS, caption, cells, comparison
from bench.runs.evaluate import run_pack
from bench.runs.recording import record_failure
from bench.runs.run import Run
from bench.runs.workbench import Workbench
from bench.stats.corrected import VERDICTS, corrected_t, verdict
from bench.stats.inference import holm
from bench.stats.metrics import METRICS
from bench.store.folder import Store

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
        value = {(r.arm, r.fold, r.seed): r.test[metric] for r in records}
        folds = {
            fold: np.mean(
                [value["logistic-regression", fold, s] - value["prevalence", fold, s] for s in (0, 1)]
            )
            for fold in (0, 1, 2)
        }
        row = board.loc[metric]
        assert row["difference_mean"] == pytest.approx(np.mean(list(folds.values())))
        assert row["mean_a"] - row["mean_b"] == pytest.approx(row["difference_mean"])
        ratio = np.mean([r.n_test / r.n_train for r in records])
        expected = corrected_t(folds, ratio)
        ends = (expected.lo, expected.hi, expected.p_value, expected.detectable)
        assert row[
            [f"difference_{name}" for name in ("lo", "hi", "p", "detectable")]
        ].tolist() == pytest.approx(ends)
        assert row["difference_conditional_lo"] <= row["difference_mean"] <= row["difference_conditional_hi"]
        assert row["difference_verdict"] == verdict(row, "difference", metric)
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
    np.testing.assert_allclose(there["difference_lo"], -back["difference_hi"])
    swapped = {"better": "worse", "worse": "better"}
    assert [swapped.get(word, word) for word in there["difference_verdict"]] == back[
        "difference_verdict"
    ].tolist()
    assert set(there["difference_verdict"]) <= set(VERDICTS)


def test_an_arm_against_itself_is_no_difference(recorded: Workbench) -> None:
    board = compared(recorded, "prevalence", "prevalence")
    assert (board["difference_mean"] == 0).all()
    assert (board["improvement"] == 0.5).all()
    assert (board["difference_p"] == 1).all()
    words = board.set_index("metric")["difference_verdict"]
    assert words[["average_precision", "roc_auc", "gini"]].tolist() == ["equal within the ROPE"] * 3


def test_of_one_fold_there_is_no_corrected_t_and_it_is_said(workbench: Workbench, runs_of: Listed) -> None:
    for run in runs_of(arm_named("logistic-regression"), arm_named("prevalence"), seeds=2):
        if run.fold == 0:
            run_pack(workbench, [run], lambda step, steps: None)
    board = compared(workbench)
    assert (
        board[[f"difference_{name}" for name in ("lo", "hi", "p", "p_holm", "detectable")]]
        .isna()
        .all(axis=None)
    )
    assert board["difference_conditional_lo"].notna().all()
    assert set(board["difference_verdict"]) == {"undecided"}
    row = board[board["metric"] == "average_precision"].iloc[0]
    shown = dict(zip(HEADINGS, cells(board)[0], strict=True))
    assert shown["a − b [95 %]"].endswith("]°")
    assert f"{row['difference_conditional_lo']:+.3f}".replace("0.", ".") in shown["a − b [95 %]"]
    assert (shown["p"], shown["detectable"]) == ("–", "–")
    text = caption(board, "loan-sim", "strict", ("logistic-regression", "prevalence"))
    assert "°: of one fold there is no corrected t" in text


def test_the_caption_says_how_small_a_difference_would_show_and_what_is_equal(recorded: Workbench) -> None:
    board = compared(recorded)
    size = board.set_index("metric").loc["average_precision", "difference_detectable"]
    text = caption(board, "loan-sim", "strict", ("logistic-regression", "prevalence"), 0.02)
    assert f"a difference of {size:.3f} in AP".replace("0.", ".") in text
    assert "±.020 of AP" in text


@pytest.mark.parametrize("width", [-0.1, 1.0, math.nan])
def test_a_region_that_is_no_width_is_refused(recorded: Workbench, width: float) -> None:
    with pytest.raises(BadSetting, match="region of practical equivalence"):
        comparison(recorded.store, "loan-sim", "strict", "prevalence", "prevalence", rope=width)


def test_the_region_of_equivalence_is_an_option(recorded: Workbench) -> None:
    def words(rope: float) -> list[str]:
        board = comparison(
            recorded.store, "loan-sim", "strict", "logistic-regression", "prevalence", rope=rope
        )
        return board.set_index("metric")["difference_verdict"][["average_precision", "brier"]].tolist()

    assert words(0.99)[0] == "equal within the ROPE"
    assert words(0.005)[0] != "equal within the ROPE"
    assert words(0.99)[1] == words(0.005)[1]  # of other metrics there is none


@pytest.mark.parametrize(
    ("dataset", "protocol", "arm", "error", "told"),
    [
        ("loan-sym", "strict", "prevalence", UnknownName, "Did you mean 'loan-sim'"),
        (
            "loan",
            "published",
            "prevalence",
            BadStore,
            "bench run --dataset loan --protocol published --arm none --arm prevalence",
        ),
        (
            "loan-sim",
            "published",
            "prevalence",
            BadSetting,
            "The protocol published is of the paper, which used fraud and loan; 'loan-sim' is another set",
        ),
        (
            "loan",
            "strict",
            "prevalence",
            BadStore,
            "no run on loan .*\n  bench run --dataset loan --arm logistic-regression --arm prevalence",
        ),
        ("loan-sim", "strict", "prevalense", UnknownName, "Did you mean 'prevalence'"),
        (
            "loan-sim",
            "strict",
            "none[smote]",
            BadStore,
            r"no good run of none\[smote\] .*\n  bench run --dataset loan-sim --arm 'none\[smote\]' --results ",
        ),
        (
            "loan-sim",
            "strict",
            "xgboost(tuned)",
            BadStore,
            "bench run --dataset loan-sim --arm xgboost --tuned --results ",
        ),
    ],
)
def test_what_is_not_there_is_told_with_a_way_out(
    recorded: Workbench, dataset: str, protocol: str, arm: str, error: type[Exception], told: str
) -> None:
    other = "none" if protocol == "published" else "logistic-regression"
    with pytest.raises(error, match=told):
        comparison(recorded.store, dataset, protocol, other, arm)


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


def test_an_arm_whose_runs_all_failed_is_said_to_have_failed(recorded: Workbench, runs_of: Listed) -> None:
    for run in runs_of(arm_named("smote")):
        record_failure(recorded.store, run, "failed", "ValueError: it broke", datetime.now(UTC))
    with pytest.raises(BadStore, match=r"all its 3 runs failed, the first: ValueError: it broke.*") as told:
        compared(recorded, "logistic-regression", "smote")
    command = ["bench", "run", "--dataset", "loan-sim", "--arm", "smote"]
    command += ["--results", str(recorded.store.root), "--retry-failed"]
    assert shlex.split(str(told.value).splitlines()[-1]) == command


@pytest.mark.parametrize("folder", ["results", "my results"])
def test_the_command_that_is_proposed_writes_where_the_comparison_reads(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(protocol: str = "strict") -> list[str]:
        with pytest.raises(BadStore) as error:
            comparison(Store(Path(folder)), "loan", protocol, "none", "smote")
        return shlex.split(str(error.value).splitlines()[-1])

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_RESULTS", raising=False)
    makes = ["bench", "run", "--dataset", "loan", "--arm", "none", "--arm", "smote"]
    assert told() == [*makes, *([] if folder == "results" else ["--results", folder])]
    monkeypatch.setenv("BENCH_RESULTS", folder)
    assert told() == makes


def test_gini_is_no_test_of_its_own(recorded: Workbench) -> None:
    """It is 2 ROC-AUC - 1: so Holm's factor for the smallest p is the number of metrics less one."""
    board = compared(recorded)
    smallest = board.loc[board["difference_p"].idxmin()]
    assert smallest["difference_p_holm"] == pytest.approx(
        min(1.0, smallest["difference_p"] * (len(METRICS) - 1))
    )
    p = board.set_index("metric")[["difference_p", "difference_p_holm"]]
    assert p.loc["gini"].tolist() == p.loc["roc_auc"].tolist()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_comparison_fits_the_terminal_with_its_numbers_whole(
    recorded: Workbench, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = compared(recorded)
    monkeypatch.setattr(output, "_terminal", lambda: width)
    output.show_table(HEADINGS, cells(board), FIRST)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    for row in cells(board):
        (line,) = (line for line in lines if line.startswith(f"{row[0]}  "))
        assert all(cell in line for cell in row[:4])
        assert width < 120 or row[6] in line


def test_the_command_prints_a_table_and_one_object(recorded: Workbench, bench: Any) -> None:
    words = ("compare", "logistic-regression", "prevalence", "--dataset", "loan-sim")
    told = bench(*words, "--results", recorded.store.root)
    assert told.returncode == 0, told.stderr
    lines = [line.split() for line in told.stdout.splitlines() if line]
    printed_names = [line[0] for line in lines]
    assert {"AP", "ROC-AUC", "R@1%", "Gini", "Brier"} <= set(printed_names)
    assert "average precision" not in told.stdout
    found = json.loads(bench(*words, "--results", recorded.store.root, "--json").stdout)
    assert [row["metric"] for row in found["metrics"]] == list(METRICS)
    assert found["rope"] == 0.005
    assert (
        json.loads(bench(*words, "--rope", "0.1", "--results", recorded.store.root, "--json").stdout)["rope"]
        == 0.1
    )
    assert not any(isinstance(v, float) and math.isnan(v) for row in found["metrics"] for v in row.values())

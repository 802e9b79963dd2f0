"""Effect against prevalence: every arm beside its control, on test rows that are the same at each prevalence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.arms.matrices import ALPHA
from bench.cli.progress import Lines
from bench.report.selection import Measured, measure_tables
from bench.report.swept import (
    by_prevalence,
    control_of,
    draw_prevalence,
    markdown,
    prevalence_of,
    terminal_cells,
)
from bench.runs.request import Request
from bench.store.folder import Store
from bench.workflows.sweep import sweep
from bench.workflows.tables import regenerate
from tests.conftest import Script

ARMS = ("logistic-regression", "none", "prevalence")
RUN = ("--dataset", "loan-sim", "--rows", "1500", "--folds", "3", "--seeds", "1", "--set", "steps=60")
SWEEP = ("sweep", *RUN, "--prevalence", "0.05,0.4", *(word for arm in ARMS for word in ("--arm", arm)))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    results = tmp_path_factory.mktemp("swept")
    request = Request(
        dataset="loan-sim",
        rows=1500,
        folds=3,
        seeds=1,
        arms=ARMS,
        settings={"steps": "60"},
        results=results,
        workers=0,
    )
    ended = sweep(request, ["0.05", "0.4"], Lines(Console(quiet=True)))
    assert ended.n_failed == 0
    return results, pd.read_parquet(ended.path)


def test_a_sweep_has_each_arm_at_each_prevalence_and_at_the_tables_own(
    swept: tuple[Path, pd.DataFrame],
) -> None:
    _, board = swept
    assert board["protocol"].unique().tolist() == [
        "strict+prevalence=0.05",
        "strict",
        "strict+prevalence=0.4",
    ]
    for _, of_protocol in board.groupby("protocol"):
        assert sorted(of_protocol["arm"]) == ["logistic-regression", "none(steps=60)", "prevalence"]
        assert (of_protocol["n_runs"] == 3).all()


def test_a_change_is_the_difference_of_the_means_on_the_same_runs(swept: tuple[Path, pd.DataFrame]) -> None:
    _, board = swept
    controlled = board[board["control"].notna()]
    assert len(controlled) == 6
    for _, row in controlled.iterrows():
        control = board[(board["protocol"] == row["protocol"]) & (board["arm"] == row["control"])].iloc[0]
        change = row["average_precision_mean"] - control["average_precision_mean"]
        assert row["average_precision_change_mean"] == pytest.approx(change)


def test_the_prevalence_arm_scores_the_share_that_it_trained_on(swept: tuple[Path, pd.DataFrame]) -> None:
    """Its average precision is the test part's prevalence at every step: the test rows are the same."""
    _, board = swept
    floor = board[board["arm"] == "prevalence"]
    assert np.ptp(floor["average_precision_mean"]) == pytest.approx(0, abs=1e-12)
    assert floor["n_train"].idxmax() == floor[floor["protocol"] == "strict"].index[0]


def test_the_tables_are_made_again_from_the_records(swept: tuple[Path, pd.DataFrame]) -> None:
    results, _ = swept
    pages = {page.path.name: page for page in regenerate(results, read_only=True)}
    page = pages["loan-sim-prevalence.parquet"]
    assert page.stale() == []
    assert {path.suffix for path in page.files} == {".parquet", ".md", ".svg", ".png"}
    assert (
        "## AP: change against the control"
        in (results / "leaderboards" / "loan-sim-prevalence.md").read_text()
    )


def test_the_command_runs_nothing_again_and_prints_the_table(
    bench: Script, swept: tuple[Path, pd.DataFrame]
) -> None:
    results, board = swept
    said = bench(*SWEEP, "--results", str(results), "--json")
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("0 of 9 runs to do") == 3
    answer = json.loads(said.stdout)
    assert len(answer["rows"]) == len(board)
    assert Path(answer["sweep"]).exists()
    assert "control" in bench(*SWEEP, "--results", str(results)).stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--prevalence", "2"), "'2' is no prevalence"),
        (("--prevalence", ","), "Which prevalences?"),
        (("--prevalence", "0.0001"), "rows of the rarer class"),
    ],
)
def test_what_cannot_be_swept_is_told_before_anything_runs(
    bench: Script, tmp_path: Path, words: tuple[str, str], told: str
) -> None:
    said = bench("sweep", *RUN, *words, "--arm", "none", "--results", str(tmp_path))
    assert said.returncode in (2, 3)
    assert told in said.stderr
    assert not list(tmp_path.rglob("*.parquet"))


def test_metabalance_is_compared_with_itself_without_its_inner_step() -> None:
    alpha = [name for name, (pair, _, _) in ALPHA.items() if pair == "none/random-under"]
    start = next(name for name in alpha if ALPHA[name][2] == 0)
    for name in alpha:
        assert control_of(name, [*alpha, "none"]) == ("none" if name == start else start)
    assert control_of("metabalance(inner_lr=3)", ["metabalance-no-inner", "none"]) == "metabalance-no-inner"
    assert control_of("metabalance-no-inner", ["metabalance-no-inner", "none"]) == "none"
    assert control_of("metabalance", ["metabalance"]) is None
    assert control_of("smote", ["smote", "none"]) == "none"
    assert control_of("none", ["none"]) is None


def test_only_thinned_tables_and_strict_have_a_prevalence() -> None:
    table = Measured({}, {})
    assert prevalence_of("strict+prevalence=0.01", table) == 0.01
    assert prevalence_of("published+stratified", table) is None
    assert by_prevalence({"strict": table}).empty


def test_the_figure_has_a_panel_for_each_pair_and_labels_at_the_lines_ends(
    swept: tuple[Path, pd.DataFrame],
) -> None:
    results, _ = swept
    board = by_prevalence(measure_tables(Store(results, read_only=True), "loan-sim"))
    figure = draw_prevalence(board, "loan-sim", "average_precision")
    (axes,) = [axes for axes in figure.axes if axes.get_visible()]
    assert {text.get_text() for text in axes.texts} == set(board[board["control"].notna()]["arm"])
    heads, rows = terminal_cells(board, "average_precision")
    assert heads[:2] == ["arm", "control"]
    assert len(rows) == len(ARMS)
    assert markdown(board, "loan-sim").count("## ") == 4

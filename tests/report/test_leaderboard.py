"""A leaderboard is what the stored records and scores say: nothing hidden, nothing mixed, and made anew at will."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import bench
from bench.arms.arm import ARMS
from bench.arms.matrices import MATRICES
from bench.cli.progress import Lines
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import Unavailable, UnknownName
from bench.names import MAIN_METRIC
from bench.report import leaderboard as boards
from bench.report import selection
from bench.report.render import (
    PRINTED,
    as_csv,
    caption,
    cells,
    chance,
    delta,
    headings,
    interval,
    latex,
    markdown,
    markdown_table,
    number,
    share,
    terminal,
)
from bench.report.render import printed as printed_name
from bench.report.selection import measured, newest
from bench.runs.evaluate import run_pack
from bench.runs.recording import record_failure
from bench.runs.request import Request
from bench.runs.run import Run
from bench.runs.workbench import Workbench
from bench.stats.corrected import corrected_t, tiers, verdict
from bench.stats.inference import differences_by_fold
from bench.stats.metrics import METRICS
from bench.store.folder import Store
from bench.store.parquet import read_checked, write_atomically
from bench.store.schema import Record
from bench.workflows.leaderboard import run_and_rank
from bench.workflows.run import make_plan
from bench.workflows.tables import regenerate
from tests.records import record

Listed = Callable[..., list[Run]]
QUICKEST = ("prevalence", "logistic-regression", "bayes-optimal")


@pytest.fixture(scope="module")
def ran(
    table: Table, splits: list[Split], runs_of: Listed, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    """Return a store with three arms on three folds, to be read only."""
    store = Store(tmp_path_factory.mktemp("ran"))
    bench = Workbench(table, {part.sha256: part for part in splits}, store, "cpu")
    for name in QUICKEST:
        run_pack(bench, runs_of(ARMS[name]), lambda step, steps: None)
    return store


@pytest.fixture
def filled(ran: Store, tmp_path: Path) -> Store:
    """Return a copy of that store which a test may change."""
    return Store(Path(shutil.copytree(ran.root, tmp_path / "results")))


@pytest.fixture(scope="module")
def ranked(ran: Store) -> pd.DataFrame:
    """Return the leaderboard of that store, to be read only."""
    return board_of(ran)


@pytest.fixture(scope="module")
def with_failures(ran: Store, runs_of: Listed, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return the leaderboard of a copy where one arm failed throughout and another once."""
    store = Store(Path(shutil.copytree(ran.root, tmp_path_factory.mktemp("failed") / "results")))
    for run in (*runs_of(ARMS["smote"]), runs_of(ARMS["prevalence"])[0]):
        fail(store, run)
    return board_of(store)


def board_of(store: Store) -> pd.DataFrame:
    return boards.leaderboard(measured(store, newest(store.records("loan-sim"))))


def row(board: pd.DataFrame, arm: str) -> Any:
    (found,) = (r for _, r in board.iterrows() if r["arm"] == arm)
    return found


def fail(store: Store, run: Run, reason: str = "ValueError: it broke") -> None:
    record_failure(store, run, "failed", reason, datetime.now(UTC))


def test_the_columns_are_those_of_the_contract(ranked: pd.DataFrame) -> None:
    board = ranked
    assert list(board.columns) == boards.columns()
    assert list(board.columns[:6]) == ["rank", "arm", "method", "n_runs", "n_failed", "tier"]
    for metric in METRICS:
        assert {f"{metric}_{field}" for field in ("mean", "lo", "hi", "sd_seed")} <= set(board.columns)
        assert (board[f"{metric}_lo"] <= board[f"{metric}_mean"]).all()
        assert (board[f"{metric}_mean"] <= board[f"{metric}_hi"]).all()
    assert set(board["dataset"]) == {"loan-sim"}
    assert len(set(board["scope"])) == 1


def test_arms_are_ranked_by_the_main_metric_and_the_best_possible_is_first(ranked: pd.DataFrame) -> None:
    board = ranked
    assert board["rank"].tolist() == [1, 2, 3]
    assert board[f"{MAIN_METRIC}_mean"].is_monotonic_decreasing
    assert board["arm"].tolist()[::2] == ["bayes-optimal", "prevalence"]
    assert board["n_runs"].tolist() == [3, 3, 3]


def test_a_mean_is_the_mean_of_the_records(ran: Store, ranked: pd.DataFrame, table: Table) -> None:
    board = ranked
    for arm in QUICKEST:
        records = [r for r in ran.records("loan-sim") if r.arm == arm]
        for metric in METRICS:
            assert row(board, arm)[f"{metric}_mean"] == pytest.approx(
                np.mean([r.test[metric] for r in records])
            )
    assert row(board, "prevalence")["test_prevalence"] == pytest.approx(table.prevalence)


def test_the_difference_is_to_the_reference_and_zero_for_itself(ranked: pd.DataFrame) -> None:
    board = ranked
    assert set(board["reference"]) == {"logistic-regression"}
    own = row(board, "logistic-regression")
    assert (own["difference_mean"], own["difference_lo"], own["difference_hi"]) == (0, 0, 0)
    assert own["difference_verdict"] == "reference"
    other = row(board, "prevalence")
    assert other["difference_verdict"] == verdict(other, "difference", MAIN_METRIC)
    assert (
        other["difference_conditional_lo"] <= other["difference_mean"] <= other["difference_conditional_hi"]
    )
    assert other["difference_detectable"] > 0
    gain = row(board, "bayes-optimal")[f"{MAIN_METRIC}_mean"] - own[f"{MAIN_METRIC}_mean"]
    assert row(board, "bayes-optimal")["difference_mean"] == pytest.approx(gain)


def tree(arm: str, method: str, *valid: float, **test: float) -> list[Record]:
    return [record(arm=arm, method=method, valid={MAIN_METRIC: value}, test=test) for value in valid]


def test_the_reference_is_the_tree_that_is_best_on_validation_rows_whatever_test_rows_say() -> None:
    by_arm = {
        "none": tree("none", "network", 0.9),
        "xgboost": tree("xgboost", "xgboost", 0.5, 0.6, average_precision=0.9),
        "lightgbm": tree("lightgbm", "lightgbm", 0.6, 0.7, average_precision=0.1),
        "random-forest": tree("random-forest", "random-forest", 0.7, 0.5, average_precision=0.8),
    }
    assert boards.reference_of(by_arm, MAIN_METRIC) == "lightgbm"


def test_without_a_validated_tree_the_reference_is_the_first_tree_else_logistic_regression() -> None:
    plain = {
        name: [record(arm=name, method=method)]
        for name, method in (
            ("prevalence", "prevalence"),
            ("smote", "network"),
            ("logistic-regression", "logistic-regression"),
        )
    }
    forest = {"easy-ensemble": [record(arm="easy-ensemble", method="easy-ensemble")]}
    assert boards.reference_of(plain | forest, MAIN_METRIC) == "easy-ensemble"
    assert boards.reference_of(plain, MAIN_METRIC) == "logistic-regression"
    assert boards.reference_of({"smote": plain["smote"]}, MAIN_METRIC) == "smote"
    assert boards.reference_of({"x": [record(arm="x", method="of-a-file-not-given")]}, MAIN_METRIC) == "x"
    assert boards.reference_of({}, MAIN_METRIC) is None


def test_runs_that_stopped_at_once_and_at_the_end_are_shares_of_those_that_choose_a_step() -> None:
    """Of four runs of steps 50 to 2,000 one is kept at 50, two at 2,000; another chose none."""
    steps = [record(best_step=best, first_step=50, last_step=2000) for best in (50, 100, 2000, 2000)]
    chose = boards.stopped([*steps, record(best_step=30)])
    assert chose == {"stopped_at_once": 0.25, "stopped_at_the_end": 0.5}
    assert all(np.isnan(value) for value in boards.stopped([record(best_step=30)]).values())


def test_a_share_is_a_whole_percentage_and_never_a_false_zero() -> None:
    assert [share(value) for value in (np.nan, 0.0, 0.004, 0.24, 1.0)] == [
        "–",
        "0 %",
        "< 1 %",
        "24 %",
        "100 %",
    ]


def test_tiers_are_those_of_the_corrected_t(ran: Store, ranked: pd.DataFrame) -> None:
    table = measured(ran, newest(ran.records("loan-sim")))
    arms = ranked["arm"].tolist()

    def p_value(a: str, b: str) -> float:
        by_fold = differences_by_fold(table.replicates[a], table.replicates[b], MAIN_METRIC)
        return corrected_t(by_fold, table.test_to_train).p_value

    assert dict(zip(arms, ranked["tier"], strict=True)) == tiers(arms, p_value)
    records = ran.records("loan-sim")
    assert table.test_to_train == pytest.approx(np.mean([r.n_test / r.n_train for r in records]))
    assert ranked["tier"].iloc[0] == 1


def test_an_arm_with_failed_runs_has_no_tier(with_failures: pd.DataFrame) -> None:
    """It was not judged on the same rows as the others."""
    tier = with_failures.set_index("arm")["tier"]
    assert tier[["smote", "prevalence"]].isna().all()
    assert tier["bayes-optimal"] == 1
    assert cells(with_failures)[-1][:3] == ["–", "4", "smote"]
    assert "an arm with failed runs has none" in caption(with_failures)


def test_one_fold_has_no_tiers_and_decides_nothing(workbench: Workbench, runs_of: Listed) -> None:
    for name in ("prevalence", "logistic-regression"):
        run_pack(workbench, runs_of(ARMS[name])[:1], lambda step, steps: None)
    board = board_of(workbench.store)
    assert board["tier"].isna().all()
    other = row(board, "prevalence")
    assert np.isnan(other["difference_lo"])
    assert np.isnan(other["difference_p_holm"])
    assert (
        other["difference_conditional_lo"] <= other["difference_mean"] <= other["difference_conditional_hi"]
    )
    assert other["difference_verdict"] == "undecided"
    assert "°" in cells(board)[1][headings(board).index("Δ average precision")]
    assert "°: of one fold there is no corrected t" in caption(board)
    boards.write(board, workbench.store.root / "b.parquet")
    assert boards.same(board, workbench.store.root / "b.parquet")


def test_runs_beside_older_compact_ones_are_measured_on_as_many_resamples(
    ran: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference is paired on resamples: so an own arm still stands beside a published one."""
    table = measured(ran, newest(ran.records("loan-sim")))
    now = {name: values.shape[1] for name, values in table.replicates["prevalence"].values.items()}
    assert (now["average_precision"], now["roc_auc"], now["gini"], now["brier"]) == (667, 667, 667, 167)
    older = replace(table.replicates["prevalence"], values={"roc_auc": np.zeros((3, 334))})
    monkeypatch.setattr(selection.compact, "read", lambda *_: {"prevalence": older})
    beside = measured(ran, newest(ran.records("loan-sim"))).replicates["bayes-optimal"].values
    assert (beside["roc_auc"].shape[1], beside["brier"].shape[1]) == (334, 67)


def test_failed_runs_are_counted_and_an_arm_of_nothing_but_failures_is_a_row(
    with_failures: pd.DataFrame,
) -> None:
    lost, partly = row(with_failures, "smote"), row(with_failures, "prevalence")
    assert (lost["n_runs"], lost["n_failed"], lost["rank"]) == (0, 3, 4)
    assert np.isnan(lost[f"{MAIN_METRIC}_mean"])
    assert (partly["n_runs"], partly["n_failed"]) == (2, 1)
    assert all("smote" in text(with_failures) for text in (markdown, latex, as_csv))


def test_a_leaderboard_of_failures_only_can_be_made_and_read(workbench: Workbench, runs_of: Listed) -> None:
    fail(workbench.store, runs_of(ARMS["smote"])[0])
    board = board_of(workbench.store)
    boards.write(board, workbench.store.root / "b.parquet")
    assert boards.same(board, workbench.store.root / "b.parquet")
    assert "smote" in markdown(board)
    assert "smote" in printed(board, 100)


def later(run: Run, store: Store, source: Run, **changes: Any) -> None:
    """Write the source's record as the run's, finished an hour later."""
    record = store.read(source.dataset, source.key)
    scores = store.read_scores(source.dataset, source.key)
    assert record is not None
    assert scores is not None
    changed = replace(record, key=run.key, finished=record.finished + timedelta(hours=1))
    store.write(replace(changed, **changes), scores)


def test_a_record_is_superseded_by_a_later_one_of_the_same_run(filled: Store, runs_of: Listed) -> None:
    runs = runs_of(ARMS["prevalence"])
    later(replace(runs[0], seed=99), filled, runs[0])
    assert len(filled.keys("loan-sim")) == 10
    found = row(board_of(filled), "prevalence")
    assert (found["n_runs"], found["n_failed"]) == (3, 0)


def test_no_row_is_a_mean_over_two_configurations_or_versions(filled: Store, runs_of: Listed) -> None:
    """An arm whose settings changed and of which one run is done again is a row of that one run."""
    runs = runs_of(ARMS["logistic-regression"])
    later(replace(runs[0], config={"C": 2.0}), filled, runs[0], config='{"C": 2.0}')
    board = board_of(filled)
    assert row(board, "logistic-regression")["n_runs"] == 1
    assert row(board, "prevalence")["n_runs"] == 3


def test_arms_without_a_run_in_common_are_not_compared(workbench: Workbench, runs_of: Listed) -> None:
    """So it is in the middle of an interrupted benchmark, and in one shard of many."""
    first, second = runs_of(ARMS["prevalence"])[0], runs_of(ARMS["logistic-regression"])[1]
    for run in (first, second):
        run_pack(workbench, [run], lambda step, steps: None)
    board = board_of(workbench.store)
    assert row(board, "logistic-regression")["difference_mean"] == 0
    assert np.isnan(row(board, "prevalence")["difference_mean"])


def test_a_run_with_damaged_scores_counts_as_not_done_and_is_done_again(tmp_path: Path) -> None:
    request = Request(
        dataset="loan-sim", rows=600, arms=QUICKEST, folds=3, seeds=1, results=tmp_path, workers=0
    )
    quiet = Lines(Console(quiet=True))
    whole = run_and_rank(make_plan(request), quiet)
    assert (whole.failed, whole.n_runs) == ([], 9)
    damaged = make_plan(request).runs[4]
    path = Store(tmp_path).scores_path(damaged.dataset, damaged.key)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    noticed = run_and_rank(make_plan(request), quiet)
    assert [(r.key, r.status) for r in noticed.failed] == [(damaged.key, "failed")]
    assert "damaged" in str(noticed.failed[0].error)
    assert row(noticed.leaderboard, damaged.arm)["n_runs"] == 2
    assert len(list((tmp_path / "quarantine").iterdir())) == 2
    mended = make_plan(request)
    assert [run.key for run in mended.todo] == [damaged.key]
    outcome = run_and_rank(mended, quiet)
    assert outcome.failed == []
    timing = ["fit_seconds", "resample_seconds"]
    pd.testing.assert_frame_equal(
        outcome.leaderboard.drop(columns=timing), whole.leaderboard.drop(columns=timing)
    )


def test_everything_is_made_anew_from_the_records_alone_and_the_same(filled: Store) -> None:
    formats = ("md", "tex", "csv")
    (made,) = regenerate(filled.root, formats=formats)
    assert not list(filled.root.rglob("*.md"))
    assert made.stale() == [made.path, *made.texts]
    made.write()
    assert made.stale() == []
    (again,) = regenerate(filled.root, formats=formats)
    assert again.stale() == []
    assert again.texts == made.texts
    assert sorted(p.name for p in made.path.parent.iterdir()) == [
        f"loan-sim-strict.{form}" for form in ("csv", "md", "parquet", "tex")
    ]


@pytest.mark.parametrize("form", ["parquet", "md", "tex", "csv"])
def test_a_changed_or_missing_table_is_found_stale(filled: Store, form: str) -> None:
    (made,) = regenerate(filled.root, formats=("md", "tex", "csv"))
    made.write()
    path = made.path.with_suffix(f".{form}")
    path.write_bytes(path.read_bytes().replace(b"logistic", b"l\xfcgistic"))
    assert made.stale() == [path]
    path.unlink()
    assert made.stale() == [path]


def test_a_new_record_makes_every_table_stale(filled: Store, runs_of: Listed) -> None:
    (made,) = regenerate(filled.root)
    made.write()
    fail(filled, runs_of(ARMS["smote"])[0])
    (again,) = regenerate(filled.root)
    assert set(again.stale()) == {again.path, *again.texts}


def test_what_is_not_there_to_regenerate_is_named(filled: Store) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'loan-sim'"):
        regenerate(filled.root, dataset="loan-simm")
    with pytest.raises(UnknownName, match="Did you mean 'strict'"):
        regenerate(filled.root, protocol="strickt")
    with pytest.raises(UnknownName, match="Known: md, tex, csv"):
        regenerate(filled.root, formats=("html",))


def test_records_on_other_splits_stand_in_no_common_table(filled: Store, ranked: pd.DataFrame) -> None:
    request = Request(
        dataset="loan-sim", rows=600, arms=("prevalence",), folds=2, seeds=1, results=filled.root, workers=0
    )
    run_and_rank(make_plan(request), Lines(Console(quiet=True)))
    (made,) = regenerate(filled.root)
    assert made.n_other_records == 9
    assert made.frame["arm"].tolist() == ["prevalence"]
    assert set(made.frame["scope"]).isdisjoint(ranked["scope"])


def test_a_leaderboard_that_cannot_be_read_says_what_makes_it_anew(tmp_path: Path) -> None:
    (tmp_path / "b.parquet").write_text("no table")
    with pytest.raises(Unavailable, match="bench tables makes it anew"):
        boards.read(tmp_path / "b.parquet")


def test_markdown_latex_and_csv_say_the_same(with_failures: pd.DataFrame) -> None:
    board = with_failures
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown(board).splitlines()
        if line.startswith("|")
    ]
    assert shown[0] == headings(board)
    assert shown[2:] == cells(board)
    tex = [line for line in latex(board).splitlines() if line.endswith(r" \\")]
    plain = [[c.strip().replace("--", "–") for c in line.removesuffix(r"\\").split("&")] for line in tex[1:]]
    assert plain == cells(board)
    rows = list(csv.DictReader(io.StringIO(as_csv(board))))
    assert [r["arm"] for r in rows] == board["arm"].tolist()
    for found, (_, expected) in zip(rows, board.iterrows(), strict=True):
        assert list(found) == list(board.columns)
        for metric in METRICS:
            np.testing.assert_equal(float(found[f"{metric}_mean"]), expected[f"{metric}_mean"])


def test_an_arms_name_cannot_break_a_table(ranked: pd.DataFrame) -> None:
    """Brackets are rich's markup, bars Markdown's columns, and braces LaTeX's groups."""
    name = r"mine[bold](hidden=[8,4]|x){a}_b\c^d~e$"
    board = ranked.copy()
    board.loc[0, "arm"] = name
    line = next(line for line in markdown(board).splitlines() if "mine" in line)
    assert line.replace(r"\|", "").count("|") == len(headings(board)) + 1
    assert r"\{a\}\_b\textbackslash{}c\textasciicircum{}d\textasciitilde{}e\$" in latex(board)
    assert name in printed(board, 200)


def printed(board: pd.DataFrame, width: int) -> str:
    out = io.StringIO()
    console = Console(width=width, file=out)
    console.print(terminal(board, width)[0])
    return out.getvalue()


LONG = ("metabalance-first-order", "balanced-random-forest", "metabalance[svm-smote/random-under]")


def renamed(board: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    board = board.copy()
    for place, name in enumerate(names):
        board.loc[place, "arm"] = name
    return board


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("names", [LONG, ("metabalance(inner_lr=0.05,inner_weight=0.3,steps=6000)",)])
def test_the_terminals_table_fits_and_keeps_every_interval_whole(
    with_failures: pd.DataFrame, width: int, names: Sequence[str]
) -> None:
    board = renamed(with_failures, names)
    lines = printed(board, width).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    for _, found in board.iterrows():
        if not np.isnan(found[f"{MAIN_METRIC}_mean"]):
            mean, lo, hi = (found[f"{MAIN_METRIC}_{field}"] for field in ("mean", "lo", "hi"))
            shown = [line for line in lines if interval(mean, lo, hi) in line]
            assert any(delta(found, "difference") in line for line in shown)


@pytest.mark.parametrize("width", [80, 120])
def test_no_arm_of_the_core_matrix_is_folded(ranked: pd.DataFrame, width: int) -> None:
    board = pd.concat([ranked.iloc[:1]] * len(MATRICES["core"]), ignore_index=True)
    text = printed(renamed(board, MATRICES["core"]), width)
    assert all(f" {name} " in text for name in MATRICES["core"])
    assert len(text.splitlines()) - len(board) <= 3


def test_columns_are_left_out_before_a_name_is_folded_and_said_to_be(with_failures: pd.DataFrame) -> None:
    board = renamed(with_failures, LONG)
    shown = {width: terminal(board, width)[1] for width in (60, 80, 90, 120, 200)}
    assert shown[200] == []
    assert shown[80] == ["verdict", "ROC-AUC", "R@1%", "runs", "failed", "sec"]
    assert shown[60] == shown[80]
    assert [len(left_out) for left_out in shown.values()] == sorted(map(len, shown.values()), reverse=True)
    assert LONG[2] in printed(board, 90)
    assert LONG[2] not in printed(board, 60)
    assert any("metabalance[" in line for line in printed(board, 60).splitlines())


def test_every_metric_has_a_name_that_people_read() -> None:
    assert set(PRINTED) <= set(METRICS)
    shown = [printed_name(metric) for metric in METRICS]
    assert len(set(shown)) == len(shown)
    assert (printed_name("average_precision"), printed_name("recall")) == ("AP", "recall")


def test_the_caption_says_what_a_table_must_not_be_read_without(ranked: pd.DataFrame, table: Table) -> None:
    text = caption(ranked)
    for word in (
        "loan-sim",
        "strict",
        "95 %",
        "logistic-regression",
        f"{table.prevalence:.4g}",
        table.sha256[:12],
    ):
        assert word in text


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.1234, False, ".123"),
        (1.0, False, "1.000"),
        (0.99951, False, "1.000"),
        (-0.05, True, "-.050"),
        (0.0, True, "+.000"),
        (-0.0, True, "+.000"),
        (0.0004, True, "+.000"),
        (-0.0004, True, "-.000"),
        (-0.0004, False, ".000"),
        (-0.9996, True, "-1.000"),
        (2.5, False, "2.500"),
        (float("nan"), True, "–"),
    ],
)
def test_numbers_have_three_digits_after_the_point(value: float, sign: bool, text: str) -> None:
    assert number(value, sign=sign) == text


def test_a_run_shows_the_configuration_that_was_asked_for(tmp_path: Path) -> None:
    """Also where another one of the same name finished last, and nothing had to be run again."""

    def board(C: float) -> pd.DataFrame:
        arms = tmp_path / "arms.toml"
        arms.write_text(f'[mine]\nmethod = "logistic-regression"\nC = {C}\n')
        return bench.run(
            dataset="loan-sim", rows=600, arms_file=arms, folds=2, seeds=1, results=tmp_path / "r"
        )

    first, other = board(1.0), board(0.001)
    again = board(1.0)
    assert first["average_precision_mean"].item() != other["average_precision_mean"].item()
    assert again["average_precision_mean"].item() == first["average_precision_mean"].item()


def test_the_board_on_disk_decides_which_splits_its_table_shows(tmp_path: Path) -> None:
    """So what `bench run` has just written is never stale, whatever ran last."""
    for folds in (3, 2, 3):
        bench.run(dataset="loan-sim", rows=600, arms=["prevalence"], folds=folds, seeds=1, results=tmp_path)
    (made,) = regenerate(tmp_path)
    assert made.stale() == []
    assert made.frame["n_runs"].item() == 3
    assert made.n_other_records == 2


def test_a_metric_that_older_records_lack_costs_no_record(tmp_path: Path) -> None:
    bench.run(dataset="loan-sim", rows=600, arms=["prevalence"], folds=2, seeds=1, results=tmp_path)
    store = Store(tmp_path)
    for key in store.keys("loan-sim"):
        path = store.record_path("loan-sim", key)
        write_atomically(path, read_checked(path).drop_columns(["test_ks", "valid_ks"]))
    records = store.records("loan-sim")
    assert [record.test["ks"] for record in records] == [None, None]
    assert not (tmp_path / "quarantine").exists()
    assert boards.leaderboard(measured(store, newest(records)))["ks_mean"].notna().all()


def test_a_markdown_table_takes_no_cell_for_two_or_for_a_link() -> None:
    names = ["metabalance[none/smote](order=2)", "a|b", "a\\|b"]
    *_, first, second, third = markdown_table(["arm", "n"], [[name, "1"] for name in names])
    assert first == r"| metabalance[none/smote]\(order=2) | 1 |"
    assert second == r"| a\|b | 1 |"
    assert third == r"| a\\\|b | 1 |"


def test_what_is_nearly_zero_keeps_its_sign_where_signs_are_shown() -> None:
    numbers = [number(-0.0001), number(-0.0001, sign=True), number(-0.00001, sign=True, digits=4)]
    assert numbers == [".000", "-.000", "-.0000"]
    assert [chance(0.0001), chance(0.04), chance(float("nan"))] == ["< .001", ".040", "–"]

"""A metric that needs the amount of each row is one file: from the command line to every table."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bench.data.cards import card
from bench.data.table import load
from tests.conftest import console_script, offline

NAME = "amount_recall_at_1pct_review"
FILE = f"""
import numpy as np
from bench.contract import Metric


def amount_recall(scored, weight):
    order = np.argsort(-scored.score, kind="stable")
    lost, weight = scored.y * scored.columns["amount"], weight[order]
    reviewed = np.cumsum(weight) <= np.ceil(0.01 * weight.sum())
    return np.sum((weight * lost[order])[reviewed]) / np.sum(weight * lost[order])


METRICS = {{
    "{NAME}": Metric(
        amount_recall, description="share of the amount in the top 1 % of rows", bounds=(0, 1), needs=("amount",)
    ),
}}
"""
ARMS = ("prevalence", "logistic-regression")
RUN = ("run", "--folds", 2, "--seeds", 1, "--arm", ARMS[0], "--arm", ARMS[1])
FRAUD = (*RUN, "--dataset", "fraud-sim", "--rows", 6000)

Call = Callable[..., subprocess.CompletedProcess[str]]


def bench(folder: Path, *words: Any, plugin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the console script on the results in `folder`, with the plugin file of that text if there is one."""
    variables = {}
    if plugin is not None:
        (folder.parent / "mine.py").write_text(plugin)
        variables["BENCH_PLUGINS"] = str(folder.parent / "mine.py")
    return subprocess.run(
        [console_script(), *map(str, words), "--results", str(folder)],
        env=offline() | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run two arms with the metric's file, named by the option, in a worker process."""
    folder = tmp_path_factory.mktemp("metric") / "results"
    (folder.parent / "mine.py").write_text(FILE)
    done = bench(folder, *FRAUD, "--workers", 1, "--method-file", folder.parent / "mine.py")
    assert done.returncode == 0, done.stderr
    assert "not measured" not in done.stderr
    assert "amount recall at 1pct review" in done.stdout
    return folder


@pytest.fixture
def again(ran: Path, tmp_path: Path) -> Path:
    """Return a copy of the results that a test may change."""
    return Path(shutil.copytree(ran, tmp_path / "results"))


def tabulated(folder: Path, name: str = "fraud-sim") -> pd.DataFrame:
    board = pq.read_table(folder / "leaderboards" / f"{name}-strict.parquet").to_pandas()
    return board.set_index("arm")


def test_its_values_are_those_of_the_scores_and_the_table(ran: Path) -> None:
    """Computed once more here, row by row: in the records, for validation and test rows, and in the leaderboard."""
    amount = load(card("fraud-sim"), rows=6000).amount
    assert amount is not None
    by_arm: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for path in (ran / "runs" / "fraud-sim").glob("*.parquet"):
        (record,) = pq.read_table(path).to_pylist()
        scores = pq.read_table(ran / "scores" / "fraud-sim" / path.name).to_pandas()
        assert list(scores) == ["row_id", "part", "y", "score", "amount"]
        assert np.array_equal(scores["amount"], amount[scores["row_id"]])
        for part, rows in scores.groupby("part"):
            first = rows.sort_values("score", ascending=False, kind="stable").head(-(-len(rows) // 100))
            caught = amount[first["row_id"]][first["y"] == 1].sum()
            value = caught / amount[rows["row_id"]][rows["y"] == 1].sum()
            assert record[f"{part}_{NAME}"] == pytest.approx(value, abs=1e-12)
            if part == "test":
                by_arm[record["arm"]].append(value)
    board = tabulated(ran)
    for arm, values in by_arm.items():
        assert len(values) == 2
        assert board[f"{NAME}_mean"][arm] == pytest.approx(np.mean(values))
    assert board[f"{NAME}_mean"]["logistic-regression"] > board[f"{NAME}_mean"]["prevalence"]
    low, high = (board[f"{NAME}_{end}"]["logistic-regression"] for end in ("lo", "hi"))
    assert 0 <= low < board[f"{NAME}_mean"]["logistic-regression"] < high <= 1


def test_it_is_listed_compared_and_in_the_page(ran: Path) -> None:
    listed = subprocess.run(
        [console_script(), "list", "metrics", "--json"],
        env=offline() | {"BENCH_PLUGINS": str(ran.parent / "mine.py")},
        capture_output=True,
        text=True,
        check=True,
    )
    last = json.loads(listed.stdout)["metrics"][-1]
    assert (last["name"], last["higher_is_better"]) == (NAME, True)
    assert last["description"] == "share of the amount in the top 1 % of rows (needs amount)"
    compared = bench(ran, "compare", *reversed(ARMS), "--dataset", "fraud-sim", "--json", plugin=FILE)
    row = json.loads(compared.stdout)["metrics"][-1]
    board = tabulated(ran)[f"{NAME}_mean"]
    assert row["metric"] == NAME
    assert (row["mean_a"], row["mean_b"]) == pytest.approx((board[ARMS[1]], board[ARMS[0]]))
    assert row["difference_lo"] < row["difference_mean"] < row["difference_hi"]
    page = (ran / "leaderboards" / "fraud-sim-strict.md").read_text()
    assert "| amount recall at 1pct review |" in page


def test_compact_records_give_the_same_tables_and_are_read_without_the_file(again: Path) -> None:
    """So a results folder outlives the file: what the file measured is then no column, and nothing fails."""
    assert bench(again, "compact", plugin=FILE).returncode == 0
    for kind in ("runs", "scores"):
        shutil.rmtree(again / kind)
    assert bench(again, "tables", plugin=FILE).returncode == 0
    checked = bench(again, "tables", "--check", plugin=FILE)
    assert checked.returncode == 0, checked.stderr
    with_file = tabulated(again)
    assert with_file[f"{NAME}_lo"].notna().all()
    without = bench(again, "tables")
    assert without.returncode == 0, without.stderr
    assert tabulated(again).equals(with_file.drop(columns=[c for c in with_file if c.startswith(NAME)]))


def test_without_the_file_nothing_is_kept_and_older_runs_show_as_missing(tmp_path: Path, ran: Path) -> None:
    """Runs made without the file keep no amount: with the file their row says so, and nothing fails."""
    folder = tmp_path / "results"
    assert bench(folder, *FRAUD, "--workers", 0).returncode == 0
    for path in (folder / "scores" / "fraud-sim").glob("*.parquet"):
        kept = pq.read_table(ran / "scores" / "fraud-sim" / path.name)
        assert pq.read_table(path).equals(kept.drop_columns(["amount"]))
    plain = tabulated(folder)
    assert not [column for column in plain if column.startswith(NAME)]
    again = bench(folder, *FRAUD, "--workers", 0, plugin=FILE)
    assert again.returncode == 0, again.stderr
    assert f"Without a number in some runs: {NAME}" in " ".join(again.stdout.split())
    board = tabulated(folder)
    assert board[f"{NAME}_mean"].isna().all()
    assert board[plain.columns].equals(plain)
    compared = bench(folder, "compare", *ARMS, "--dataset", "fraud-sim", "--json", plugin=FILE)
    last = json.loads(compared.stdout)["metrics"][-1]
    assert (last["metric"], last["mean_a"], last["difference_p"]) == (NAME, None, None)


@pytest.fixture
def own_table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "own.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["paid", "x", "label"])
        for label in rng.permutation(np.repeat([0, 1], [240, 60])):
            writer.writerow([round(rng.gamma(2, 40), 2), rng.normal() + label, label])
    return path


def test_a_table_without_an_amount_is_not_measured_and_says_so(tmp_path: Path, own_table: Path) -> None:
    words = (*RUN, "--data-file", own_table, "--target", "label", "--workers", 0)
    done = bench(tmp_path / "results", *words, plugin=FILE)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"{NAME} needs amount of each row (--amount COLUMN names it), and is not measured" in said
    assert tabulated(tmp_path / "results", "own")[f"{NAME}_mean"].isna().all()
    (path, *_) = (tmp_path / "results" / "scores" / "own").glob("*.parquet")
    assert pq.read_schema(path).names == ["row_id", "part", "y", "score"]
    named = bench(tmp_path / "named", *words, "--amount", "paid", plugin=FILE)
    assert named.returncode == 0, named.stderr
    assert "not measured" not in named.stderr
    assert tabulated(tmp_path / "named", "own")[f"{NAME}_mean"].notna().all()


def test_a_metric_that_breaks_loses_no_run_and_says_why_once(tmp_path: Path, own_table: Path) -> None:
    text = FILE.replace("order = ", "print('at work'); raise LookupError('no such thing')\n    order = ")
    words = (
        *RUN,
        "--data-file",
        own_table,
        "--target",
        "label",
        "--amount",
        "paid",
        "--workers",
        0,
        "--json",
    )
    done = bench(tmp_path / "results", *words, plugin=f"{text}\nprint('imported')\n")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"LookupError: no such thing ({tmp_path / 'mine.py'})") == 1
    assert json.loads(done.stdout)
    assert {"imported", "at work"} <= set(done.stderr.split("\n"))
    assert "Traceback" not in done.stderr
    board = tabulated(tmp_path / "results", "own")
    assert board[f"{NAME}_mean"].isna().all()
    assert (board["n_failed"] == 0).all()
    assert board["average_precision_mean"].notna().all()


def test_a_name_that_is_taken_is_a_short_error(tmp_path: Path) -> None:
    done = bench(tmp_path / "results", *FRAUD, plugin=FILE.replace(NAME, "roc_auc"))
    assert done.returncode == 2
    assert "mine.py: the name 'roc_auc' is taken by bench" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "results").glob("runs/*/*"))

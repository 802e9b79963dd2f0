"""The findings are differences of the measured runs, and the page says of them what their intervals say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.arms.matrices import ALPHA
from bench.data.cards import card
from bench.names import TUNED, seed_from
from bench.paper.alpha import PAPER_METRICS, alpha
from bench.paper.alpha import markdown as alpha_page
from bench.paper.claims import BEFORE, META, PAPERS, RIVALS, counts, findings
from bench.paper.page import markdown
from bench.protocols.published import rungs
from bench.report.selection import Measured
from bench.stats.bootstrap import RunScores, replicates_by_arm
from bench.stats.corrected import paired
from bench.store.schema import Record
from tests.conftest import as_scored
from tests.records import record

FOLDS, SEEDS = 5, 2


def table(shifts: Mapping[str, float], *, n: int = 240, failed: int = 0) -> Measured:
    """Return arms that tell the classes apart by their shifts, on the same rows, with little noise of their own."""
    runs: dict[str, list[RunScores]] = {arm: [] for arm in shifts}
    records: dict[str, list[Record]] = {arm: [] for arm in shifts}
    for fold in range(FOLDS):
        rows = np.random.default_rng([7, fold])
        y = rows.permutation(np.arange(n) < n // 4).astype(int)
        noise = rows.normal(size=n)
        for arm, shift in shifts.items():
            for seed in range(SEEDS):
                own = np.random.default_rng([seed_from(arm), fold, seed]).normal(size=n)
                score = 1 / (1 + np.exp(-noise - shift * y - 0.05 * own))
                runs[arm].append(RunScores(fold, seed, as_scored(y, score, 0.5)))
                records[arm].append(record_of(arm, seed, "ok"))
    for arm in list(shifts)[:failed]:
        records[arm].append(record_of(arm, 9, "failed"))
    counted = {"row_replicates": 20, "rank_replicates": 200, "names": PAPER_METRICS}
    return Measured(records, replicates_by_arm(runs, **counted))


def record_of(arm: str, seed: int, status: str) -> Record:
    return record(
        seed=seed,
        status=status,
        steps=100,
        samples_seen=6400,
        n_train=192,
        n_test=48,
        device="cpu",
        engine="c",
        fit_seconds=36.0,
        arm=arm,
        **dict.fromkeys(("method", "sampler", "inner_sampler", "outer_sampler", "config"), arm),
        resample_seconds=0.0,
    )


def swept() -> Measured:
    """Return a sweep in which one cell gains much and one loses much, and the others nothing."""
    names = list(ALPHA)[:26]  # two pairs
    return table({name: 1.5 + 1.0 * (i == 5) - 1.0 * (i == 8) for i, name in enumerate(names)})


# The sweep of α.


def test_a_cell_of_the_sweep_is_the_paired_change_against_no_inner_step() -> None:
    found = swept()
    board = alpha(found)
    assert len(board) == 26
    for name, (_, row) in zip(list(ALPHA)[:26], board.iterrows(), strict=True):
        pair, order, rate = ALPHA[name]
        assert (row["pair"], row["order"], row["inner_lr"], row["n_runs"]) == (pair, order, rate, 10)
        base = found.replicates[f"metabalance[{pair}](order=1,inner_lr=0)"]
        for metric in PAPER_METRICS:
            assert row[f"{metric}_mean"] == pytest.approx(np.mean(found.replicates[name].points[metric]))
            if rate:
                expected = paired(found.replicates[name], base, metric, 0.25).columns("change")
                assert {name: row[f"{metric}_{name}"] for name in expected} == expected
            else:
                assert pd.isna(row[f"{metric}_change_mean"])


def test_the_page_of_the_sweep_marks_what_is_clear_of_nothing() -> None:
    board = alpha(swept())
    lines = [
        line
        for line in alpha_page(board, "loan", "strict").splitlines()
        if line.startswith("| none/random-under |")
    ]
    assert len(lines) == 2 * 2  # one pair in two orders, in two metrics
    assert lines[0].count("**") == 2 * sum(
        (board["pair"] == "none/random-under") & (board["order"] == 1) & (board["roc_auc_change_lo"] > 0)
        | (board["pair"] == "none/random-under") & (board["order"] == 1) & (board["roc_auc_change_hi"] < 0)
    )
    assert "†" in lines[0]


def test_a_pair_without_its_base_is_left_out_and_other_arms_are_no_sweep() -> None:
    first, second, third = list(ALPHA)[:3]
    assert alpha(table({second: 1.0, third: 1.0})).empty
    assert alpha(table({first: 1.0})).empty
    assert alpha(table({"none": 1.0})).empty
    assert list(alpha(table({first: 1.0, third: 1.0, "none": 1.0}))["inner_lr"]) == [0, ALPHA[third][2]]


# Claims.


@pytest.fixture(scope="module")
def everything() -> tuple[dict[str, dict[str, Measured]], dict[str, dict[str, Measured]], pd.DataFrame]:
    """Return a ladder on which equal updates turn the paper's first arm from better to worse; rivals; a simulator."""
    ladder = {}
    for rung in rungs(card("loan")):
        ahead = "equal-updates" not in rung and rung != "strict"
        shifts = {PAPERS[0]: 2.0 if ahead else 1.0, "none": 1.5, "smote": 1.5}
        ladder[rung] = table(shifts)
    ladder["strict"] = table(
        {META: 1.0, **dict.fromkeys(RIVALS, 1.5), PAPERS[0]: 1.0, "smote": 1.5}
        | {f"{META}{TUNED}": 2.0, f"xgboost{TUNED}": 2.5, f"none{TUNED}": 1.5},
        failed=1,
    )
    simulated = {"strict": table({"bayes-optimal": 2.0, "none": 1.5, "xgboost": 1.0})}
    tables, sweeps = {"loan": ladder, "loan-sim": simulated}, {"loan": {"strict": swept()}}
    return tables, sweeps, findings(tables, sweeps)


def test_every_claim_has_the_sign_of_what_it_was_made_of(everything: Any) -> None:
    _, _, claims = everything
    mine = claims[claims["question"] == "rivals"].set_index(["a", "b", "metric"])
    assert (mine.loc[META]["hi"] < 0).all()
    assert set(mine.loc[META].index.get_level_values(0)) == set(RIVALS)
    lack = claims[claims["question"] == "bayes"].set_index(["b", "metric"])
    assert (lack["lo"] > 0).all()
    assert (lack.loc["xgboost"]["mean"] > lack.loc["none"]["mean"]).all()
    step = claims[(claims["question"] == "meta step") & (claims["metric"] == "roc_auc")]
    assert len(step) == 24
    assert set(claims["question"]) == {"meta step", "updates", "rivals", "tuned", "bayes"}
    alike = claims[claims["question"] == "tuned"].set_index(["b", "metric"])
    assert set(alike.index.get_level_values(0)) == {"xgboost", "none"}
    assert (alike.loc["xgboost"]["hi"] < 0).all()
    assert (alike.loc["none"]["lo"] > 0).all()


def test_the_page_answers_for_tuned_arms_alone(everything: Any) -> None:
    tables, sweeps, claims = everything
    section = markdown(claims, tables, sweeps).partition("## Does tuned MetaBalance")[2].partition("\n## ")[0]
    assert "ahead of tuned XGBoost by its interval in 0 of 2 comparisons and behind in 2" in section
    plain = (
        "ahead of tuned plain training (`none`, whose positives may be weighted) by its interval in 2 of 2"
    )
    assert f"{plain} comparisons and behind in 0" in section
    assert section.count("\n| ") == 1 + 4


def test_what_a_rung_changed_is_the_difference_of_two_gaps(everything: Any) -> None:
    _, _, claims = everything
    mine = claims[(claims["question"] == "updates") & (claims["dataset"] == "loan")]
    gap = {(r["b"], r["protocol"]): r["mean"] for _, r in mine[mine["b"] != BEFORE].iterrows()}
    names = rungs(card("loan"))
    changes = mine[mine["b"] == BEFORE]
    assert len(changes)
    for _, row in changes.iterrows():
        rival, here = row["a"].split(" - ")[1], row["protocol"]
        expected = gap[rival, here] - gap[rival, names[names.index(here) - 1]]
        assert row["mean"] == pytest.approx(expected)
    turned = changes[changes["protocol"].str.endswith("+equal-updates")]
    assert (turned["hi"] < 0).all()


def test_p_values_are_adjusted_over_their_question(everything: Any) -> None:
    _, _, claims = everything
    assert claims["question"].nunique() > 1
    for _, mine in claims.groupby("question"):
        order = mine.sort_values("p")
        assert order["p_holm"].is_monotonic_increasing
        assert order["p_holm"].iloc[0] == pytest.approx(min(1, order["p"].iloc[0] * len(mine)))


def test_the_page_counts_what_its_claims_say(everything: Any) -> None:
    tables, sweeps, claims = everything
    page = markdown(claims, tables, sweeps)
    rivals = claims[claims["question"] == "rivals"]
    above, below, surely_above, surely_below = counts(rivals)
    assert above < below
    assert (
        f"Of {len(rivals)} comparisons MetaBalance is ahead by its interval in {above} and behind in {below}"
        in page
    )
    assert f"({surely_above} and {surely_below} surely, †)" in page
    small = claims[(claims["question"] == "meta step") & claims["a"].str.contains(r"α = 0\.0", regex=True)]
    assert f"At the published α = .01 and below, {counts(small)[0]} of {len(small)} cells gain" in page
    for title in (
        "meta step do?",
        "number of updates?",
        "early-stopped training and XGBoost?",
        "best possible?",
        "What was run",
    ):
        assert title in page
    assert f"* {PAPERS[0]} − smote: +" in page
    assert "| loan | strict | " in page
    assert (
        "fraud is not here; for whoever has the file, or can fetch it, it is one command: `bench run" in page
    )
    assert "loan is not here" not in page


def test_a_question_without_records_is_not_on_the_page(everything: Any) -> None:
    tables, _, _ = everything
    some = {"loan-sim": tables["loan-sim"]}
    page = markdown(findings(some, {}), some, {})
    assert "best possible?" in page
    assert "meta step do?" not in page
    nothing = {"loan": {"published": table({"none": 1.0})}}
    assert markdown(findings(nothing, {}), nothing, {}).count("## ") == 1


def test_failed_runs_are_counted_in_what_was_run(everything: Any) -> None:
    tables, sweeps, claims = everything
    (row,) = [
        line for line in markdown(claims, tables, sweeps).splitlines() if line.startswith("| loan | strict |")
    ]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[2:5] == ["11", "111", "1"]
    assert cells[5] == "2 to 3"

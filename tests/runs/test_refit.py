"""With `refit` the final model is trained anew on training and validation rows, for as long as was best."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.arms.arm import arm_named
from bench.contract import Fitted, Member
from bench.data.encode import Encoded, encode
from bench.data.split import Split
from bench.data.table import Table
from bench.methods import method, methods
from bench.names import TEST, VALID
from bench.protocols import protocol_named
from bench.runs.request import Request
from bench.runs.run import Run
from bench.store.folder import Store
from bench.workflows.leaderboard import run_and_rank
from bench.workflows.run import make_plan
from tests.workflows.test_run import QUIET

ARMS = ("logistic-regression", "none", "xgboost", "smote", "metabalance", "random-under")
SETTINGS = {"steps": "200", "rounds": "40", "early_stopping_rounds": "10"}


def ran(results: Path, protocol: str) -> dict[str, Run]:
    """Run every arm once on one fold of three, and return its run by arm."""
    request = Request(
        dataset="loan-sim",
        rows=1500,
        protocol=protocol,
        arms=ARMS,
        settings=SETTINGS,
        folds=3,
        seeds=1,
        results=results,
        workers=0,
    )
    plan = make_plan(request)
    outcome = run_and_rank(plan, QUIET)
    assert outcome.failed == []
    return {run.arm.partition("(")[0]: run for run in plan.runs if run.fold == 0}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Run], dict[str, Run]]:
    results = tmp_path_factory.mktemp("refit")
    return Store(results), ran(results, "strict"), ran(results, "strict+refit")


@pytest.mark.parametrize("arm", ARMS)
def test_validation_is_scored_by_the_first_model_and_test_by_the_one_on_all_rows(
    both: tuple[Store, dict[str, Run], dict[str, Run]], arm: str
) -> None:
    store, plain, refitted = both
    before, after = (store.read("loan-sim", runs[arm].key) for runs in (plain, refitted))
    assert before is not None
    assert after is not None
    first, last = (
        store.read_scores("loan-sim", record.key, record.scores_sha256) for record in (before, after)
    )
    assert first is not None
    assert last is not None
    np.testing.assert_array_equal(first[VALID].score, last[VALID].score)
    np.testing.assert_array_equal(first[TEST].rows, last[TEST].rows)
    assert not np.array_equal(first[TEST].score, last[TEST].score)
    assert (before.best_step, before.threshold) == (after.best_step, after.threshold)
    assert after.samples_seen > before.samples_seen
    assert after.n_train == before.n_train  # what the first model trained on; the final one has n_valid more


@pytest.mark.parametrize("arm", ["none", "xgboost", "metabalance"])
def test_the_final_model_trains_as_long_as_was_best_in_proportion_to_the_rows(
    both: tuple[Store, dict[str, Run], dict[str, Run]], arm: str
) -> None:
    store, _, refitted = both
    record = store.read("loan-sim", refitted[arm].key)
    assert record is not None
    more = (record.n_train + record.n_valid) / record.n_train
    assert json.loads(record.selected)["refit_steps"] == max(1, round(record.best_step * more))


def test_the_final_logistic_regression_is_that_on_training_and_validation_rows(
    both: tuple[Store, dict[str, Run], dict[str, Run]], tmp_path: Path
) -> None:
    """Trained by hand on both parts, as they are encoded for the first model."""
    store, _, refitted = both
    request = Request(dataset="loan-sim", rows=1500, folds=3, results=tmp_path, arms=("logistic-regression",))
    plan = make_plan(request)
    split = plan.bench.splits[plan.runs[0].split_sha256]
    encoded = encode(plan.table, split)
    by_hand = fit("logistic-regression", encoded, encoded.training).predict(encoded.test)
    run = refitted["logistic-regression"]
    record = store.read("loan-sim", run.key)
    assert record is not None
    scored = store.read_scores("loan-sim", run.key, record.scores_sha256)
    assert scored is not None
    np.testing.assert_array_equal(scored[TEST].score, by_hand)


def fit(name: str, encoded: Encoded, rows: object) -> Fitted:
    which = method(name)
    member = Member(which.config(), 0, (rows,), encoded.nothing)  # type: ignore[arg-type]
    (fitted,) = which.fit([member], torch.device("cpu"), lambda step, steps: None)
    return fitted


def test_training_and_validation_rows_together_are_in_the_order_of_their_ids(
    table: Table, splits: list[Split]
) -> None:
    encoded = encode(table, splits[0])
    together = encoded.training
    np.testing.assert_array_equal(together.rows, splits[0].training)
    np.testing.assert_array_equal(together.labels, table.y[splits[0].training])
    for part in (encoded.train, encoded.valid):
        np.testing.assert_array_equal(together.X[np.isin(together.rows, part.rows)], part.X)
    assert len(encoded.nothing.X) == 0
    assert encoded.nothing.X.shape[1] == encoded.train.X.shape[1]


def test_every_method_of_bench_says_how_it_is_refitted_but_for_those_that_cannot() -> None:
    without = {name for name, which in methods().items() if which.refit is None}
    assert without == {"bayes-optimal", "estimator"}


def test_a_network_that_chose_its_rate_is_refitted_at_that_rate() -> None:
    arm = arm_named("none")
    which = method(arm.method)
    assert which.refit is not None
    config = which.config(search_lr=(0.1, 0.2), epochs=3)
    first = Fitted(lambda part: part.X[:, 0], steps=90, best_step=40, selected={"lr": 0.2})
    again = which.refit(config, first, 1.25)
    assert (again.lr, again.search_lr, again.steps, again.epochs, again.keep) == (0.2, (), 50, None, "last")


def test_the_words_of_strict_go_together_in_one_order() -> None:
    names = ("strict+refit+prevalence=0.1", "strict+prevalence=0.1+refit")
    assert {protocol_named(name).name for name in names} == {"strict+refit+prevalence=0.1"}
    assert protocol_named("strict+refit").refits
    assert not protocol_named("strict").refits

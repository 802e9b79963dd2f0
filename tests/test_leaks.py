"""No label and no row reaches a method that should not: shown by changing them and seeing what changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.arms.arm import ARMS
from bench.arms.matrices import MATRICES
from bench.contract import Arm
from bench.data.cards import card
from bench.data.split import Split
from bench.data.table import Table, load
from bench.protocols import protocol_named
from bench.runs.evaluate import run_pack
from bench.runs.run import Run, packs, plan
from bench.runs.workbench import Workbench
from bench.stats.metrics import METRICS
from bench.store.folder import Store
from bench.store.scores import as_table
from tests.conftest import FAST

LEARNERS = (
    "logistic-regression",
    "none",
    "class-weight",
    "smote",
    "adasyn",
    "focal",
    "metabalance",
    "xgboost",
)


def arm(name: str, **settings: object) -> Arm:
    """Return a registered arm; its network trains for a few steps."""
    fast = dict(FAST, **settings) if ARMS[name].method in ("network", "metabalance") else {}
    return replace(ARMS[name], settings={**ARMS[name].settings, **fast})


def run_all(table: Table, splits: list[Split], arms: list[Arm], folder: Path) -> tuple[Store, list[Run]]:
    """Run the arms on the given splits of the table in this process."""
    bench = Workbench(table, {part.sha256: part for part in splits}, Store(folder), "cpu")
    runs = plan(table, protocol_named("strict"), splits, arms, 1)
    results = [r for p in packs(runs, pack=None, workers=1) for r in run_pack(bench, p, lambda i, n: None)]
    assert {result.status for result in results} == {"ok"}
    return bench.store, runs


def scores(store: Store, run: Run) -> pd.DataFrame:
    found = store.read_scores(run.dataset, run.key)
    assert found is not None
    return as_table(found).to_pandas()


@pytest.fixture(scope="module")
def honest(
    table: Table, splits: list[Split], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, list[Run]]:
    """Run every arm of quick on one split of the table as it is."""
    arms = [arm(name) for name in MATRICES["quick"]]
    return run_all(table, splits[:1], arms, tmp_path_factory.mktemp("honest"))


def test_permuting_the_test_labels_changes_nothing_but_the_test_metrics(
    table: Table, splits: list[Split], honest: tuple[Store, list[Run]], tmp_path: Path
) -> None:
    """Every score, the threshold and every validation metric of every arm stay the same to the last bit."""
    part, y = splits[0], table.y.copy()
    y[part.test] = np.random.default_rng(0).permutation(y[part.test])
    assert (y != table.y).any()
    arms = [arm(name) for name in MATRICES["quick"]]
    store, runs = run_all(replace(table, y=y), [part], arms, tmp_path)
    for run, before in zip(runs, honest[1], strict=True):
        one, other = scores(honest[0], before), scores(store, run)
        pd.testing.assert_frame_equal(one[["row_id", "part", "score"]], other[["row_id", "part", "score"]])
        assert not one["y"].equals(other["y"])
        was, now = honest[0].read(before.dataset, before.key), store.read(run.dataset, run.key)
        assert was is not None
        assert now is not None
        assert set(was.valid) == set(METRICS)
        assert (was.threshold, was.valid) == (now.threshold, now.valid)
        if run.arm in LEARNERS:
            assert was.test["roc_auc"] != now.test["roc_auc"]


def test_a_rows_score_does_not_depend_on_the_other_test_rows(
    table: Table, splits: list[Split], honest: tuple[Store, list[Run]], tmp_path: Path
) -> None:
    """Half of the test rows get the features of others; the scores of the other half stay what they were."""
    part, X = splits[0], table.X.copy()
    changed, kept = part.test[::2], part.test[1::2]
    X.iloc[changed] = table.X.iloc[np.random.default_rng(0).permutation(changed)].to_numpy()
    X = X.astype(table.X.dtypes)
    arms = [arm(name) for name in MATRICES["quick"]]
    store, runs = run_all(replace(table, X=X), [part], arms, tmp_path)
    for run, before in zip(runs, honest[1], strict=True):
        one, other = (scores(s, r).set_index("row_id") for s, r in ((honest[0], before), (store, run)))
        assert one.loc[kept, "score"].equals(other.loc[kept, "score"])
        if run.arm in LEARNERS:
            assert not one.loc[changed, "score"].equals(other.loc[changed, "score"])


def test_a_table_without_its_test_rows_gives_the_same_model(
    table: Table, splits: list[Split], honest: tuple[Store, list[Run]], tmp_path: Path
) -> None:
    """Where the test rows hold nonsense, the validation scores are what they were: nothing was fitted on them."""
    part, X = splits[0], table.X.copy()
    for name in table.numeric:
        X.loc[part.test, name] = 1e6
    arms = [arm(name) for name in MATRICES["quick"]]
    store, runs = run_all(replace(table, X=X), [part], arms, tmp_path)
    for run, before in zip(runs, honest[1], strict=True):
        one, other = (scores(s, r) for s, r in ((honest[0], before), (store, run)))
        pd.testing.assert_frame_equal(one[one["part"] == "valid"], other[other["part"] == "valid"])


def test_permuted_training_labels_score_at_chance(tmp_path: Path) -> None:
    """With nothing to learn, whatever still ranks the test rows would be a leak.

    The mean over three folds of 1,333 test rows has a standard error of about 0.012.
    """
    table, rng = load(card("loan-sim"), rows=4000), np.random.default_rng(1)
    found: dict[str, list[float]] = {}
    for part in protocol_named("strict").splits(table, folds=3):
        y = table.y.copy()
        for rows in (part.train, part.valid):
            y[rows] = rng.permutation(y[rows])
        store, runs = run_all(replace(table, y=y), [part], [arm(name) for name in LEARNERS], tmp_path)
        for run in runs:
            record = store.read(run.dataset, run.key)
            assert record is not None
            found.setdefault(run.arm, []).append(record.test["roc_auc"])
    for name, values in found.items():
        assert abs(np.mean(values) - 0.5) < 0.06, (name, values)


def test_with_its_true_labels_the_same_table_is_learnt(tmp_path: Path) -> None:
    """The counterpart: the test above would pass for methods that learn nothing at all."""
    table = load(card("loan-sim"), rows=4000)
    splits = protocol_named("strict").splits(table, folds=3)
    arms = [arm(name, steps=200) for name in ("logistic-regression", "none", "metabalance", "xgboost")]
    store, runs = run_all(table, splits[:1], arms, tmp_path)
    for run in runs:
        record = store.read(run.dataset, run.key)
        assert record is not None
        assert record.test["roc_auc"] > 0.6, run.arm

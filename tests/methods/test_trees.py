"""The forests are imbalanced-learn's to the bit, whatever the threads; XGBoost shares what it may share."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import xgboost
from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from bench.contract import Fitted, Member
from bench.data.encode import Encoded, Part, encode
from bench.data.split import Split
from bench.data.table import Table
from bench.methods import method
from bench.methods.xgboost import _Matrices
from bench.stats.metrics import average_precision

SEED = 2**40 + 11  # run seeds have 63 bits, scikit-learn's 32
SMALL: dict[str, dict[str, Any]] = {
    "balanced-random-forest": {"n_estimators": 20},
    "easy-ensemble": {"n_estimators": 4, "rounds": 10},
    "xgboost": {"rounds": 20},
}
BY_HAND: dict[str, Callable[[], Any]] = {
    "balanced-random-forest": lambda: BalancedRandomForestClassifier(20, random_state=SEED % 2**32),
    "easy-ensemble": lambda: EasyEnsembleClassifier(
        4,
        AdaBoostClassifier(DecisionTreeClassifier(max_depth=1), n_estimators=10),
        random_state=SEED % 2**32,
    ),
}


@pytest.fixture(scope="module")
def encoded(table: Table, splits: list[Split]) -> Encoded:
    return encode(table, splits[0])


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Return a function that sets torch's threads; afterwards they are as before."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def fit(name: str, rows: Part, valid: Part, seed: int = SEED, **settings: Any) -> Fitted:
    chosen = method(name)
    config = chosen.config(**{**SMALL[name], **settings})
    fitted: Fitted
    (fitted,) = chosen.fit(
        [Member(config, seed, (rows,), valid)], torch.device("cpu"), lambda step, steps: None
    )
    return fitted


@pytest.mark.parametrize("name", BY_HAND)
def test_a_forest_gives_what_imbalanced_learn_gives(name: str, encoded: Encoded) -> None:
    """By its defaults, but for the numbers of trees; EasyEnsemble's stumps are named, or they draw other seeds."""
    found = fit(name, encoded.train, encoded.valid).predict(encoded.test)
    model = BY_HAND[name]().fit(encoded.train.X, encoded.train.labels)
    np.testing.assert_array_equal(found, model.predict_proba(encoded.test.X)[:, 1])


@pytest.mark.parametrize("name", SMALL)
def test_threads_do_not_change_a_bit(name: str, encoded: Encoded, threads: Callable[[int], None]) -> None:
    found = []
    for n in (1, 2):
        threads(n)
        found.append(fit(name, encoded.train, encoded.valid).predict(encoded.test).tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("name", SMALL)
def test_trees_learn_and_a_seed_changes_them(name: str) -> None:
    """Classes two deviations apart in one of three features, one positive in ten."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.array([1, 0], dtype=np.int8), [80, 720])
    X = rng.normal(size=(800, 3)).astype(np.float32)
    X[:, 0] += 2 * y
    rows, valid = (Part(np.arange(i, 800, 2), X[i::2], y[i::2]) for i in (0, 1))
    one, other = (fit(name, rows, valid, seed) for seed in (SEED, 1))
    assert average_precision(valid.labels, one.predict(valid)) > 0.4
    assert not np.array_equal(one.predict(valid), other.predict(valid))


def test_the_rows_that_a_forest_saw_are_counted(encoded: Encoded) -> None:
    balanced = 2 * int(encoded.train.labels.sum())
    forest = fit("balanced-random-forest", encoded.train, encoded.valid)
    assert (forest.steps, forest.best_step, forest.samples_seen) == (20, 20, 20 * balanced)
    ensemble = fit("easy-ensemble", encoded.train, encoded.valid)
    assert (ensemble.steps, ensemble.best_step, ensemble.samples_seen) == (40, 40, 40 * balanced)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_forest_takes_rows_of_which_the_positives_are_more(name: str, encoded: Encoded) -> None:
    turned = replace(encoded.train, y=1 - encoded.train.labels)
    scores = fit(name, turned, encoded.valid).predict(encoded.test)
    assert np.isfinite(scores).all()


def test_balanced_weighs_positives_by_negatives_per_positive(encoded: Encoded) -> None:
    y = encoded.train.labels
    ratio = float((y == 0).sum() / (y == 1).sum())
    weighted, explicit, plain = (
        fit("xgboost", encoded.train, encoded.valid, scale_pos_weight=weight).predict(encoded.test)
        for weight in ("balanced", ratio, None)
    )
    np.testing.assert_array_equal(weighted, explicit)
    assert weighted.mean() > 1.5 * plain.mean()


def test_runs_on_the_same_rows_share_their_matrix_and_their_results_do_not_show_it(
    encoded: Encoded,
) -> None:
    """Another run before, on the same rows or on others, changes no bit."""
    rows, same = encoded.train, replace(encoded.train)
    first = fit("xgboost", rows, encoded.valid)
    fit("xgboost", rows, encoded.valid, seed=1, scale_pos_weight="balanced")
    shared, alone = fit("xgboost", rows, encoded.valid), fit("xgboost", same, encoded.valid)
    expected = first.predict(encoded.test).tobytes()
    assert shared.predict(encoded.test).tobytes() == expected
    assert alone.predict(encoded.test).tobytes() == expected


def test_a_matrix_is_kept_for_the_rows_it_was_made_of_alone_and_keeps_them_not() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)).astype(np.float32), np.tile(np.array([0, 1], dtype=np.int8), 20)
    rows, others = Part(np.arange(40), X, y), Part(np.arange(40), X + 1, y)
    matrices = _Matrices()
    made = matrices.of(rows)
    assert isinstance(made, xgboost.QuantileDMatrix)
    assert matrices.of(rows) is made
    assert matrices.of(others) is not made
    assert matrices.of(rows) is not made
    gone = weakref.ref(rows)
    del rows
    gc.collect()
    assert gone() is None

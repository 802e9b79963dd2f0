"""The forests are their libraries' to the bit, whatever the threads; boosting stops where it should."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest
import torch
import xgboost
from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
from pydantic import ValidationError
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from bench.arms.arm import arm_named
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
    "random-forest": {"n_estimators": 20},
    "xgboost": {"rounds": 20},
    "lightgbm": {"rounds": 20, "subsample": 0.8},
}
BY_HAND: dict[str, Callable[[], Any]] = {
    "random-forest": lambda: RandomForestClassifier(20, random_state=SEED % 2**32),
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
def test_a_forest_gives_what_its_library_gives(name: str, encoded: Encoded) -> None:
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


BOOSTED = ("xgboost", "lightgbm")


def wave(n: int, seed: int, share: float = 0.1) -> Part:
    """Rows whose label depends on the product of two columns, so that trees need many rounds."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)).astype(np.float32)
    y = (rng.random(n) < share * 2 / (1 + np.exp(-3 * X[:, 0] * X[:, 1]))).astype(np.int8)
    return Part(np.arange(n), X, y)


@pytest.mark.parametrize("name", BOOSTED)
def test_a_lower_rate_has_more_trees_and_more_patience(name: str) -> None:
    config = method(name).config
    assert (config().rounds, config().early_stopping_rounds) == (2000, 200)
    slow = config(learning_rate=0.01)
    assert (slow.rounds, slow.early_stopping_rounds) == (10_000, 1000)
    assert config(learning_rate=0.01, rounds=7).rounds == 7
    assert config(learning_rate=500.0).early_stopping_rounds == 1
    with pytest.raises(ValidationError, match="learning_rate"):
        config(learning_rate=0)
    with pytest.raises(ValidationError, match="learning_rate"):
        config(learning_rate="fast")


@pytest.mark.parametrize("name", BOOSTED)
def test_boosting_ends_after_its_patience_and_keeps_the_best_tree(name: str) -> None:
    fitted = fit(name, wave(2000, 0), wave(1000, 1), rounds=500, early_stopping_rounds=15)
    assert fitted.steps < 500
    assert fitted.steps - 15 <= fitted.best_step <= fitted.steps
    assert (fitted.first_step, fitted.last_step) == (10, 500)
    best = fit(name, wave(2000, 0), wave(1000, 1), rounds=fitted.best_step, early_stopping_rounds=0)
    np.testing.assert_array_equal(best.predict(wave(100, 2)), fitted.predict(wave(100, 2)))


@pytest.mark.parametrize("name", BOOSTED)
def test_without_early_stopping_all_rounds_are_trained_and_none_is_said_to_be_chosen(name: str) -> None:
    fitted = fit(name, wave(500, 0), wave(500, 1), rounds=30, early_stopping_rounds=0)
    assert (fitted.steps, fitted.best_step) == (30, 30)
    assert fitted.first_step is None
    assert fitted.last_step is None


def test_the_arm_xgboost_default_is_the_librarys_own() -> None:
    """Trained by its scikit-learn class, which nothing is said to but the seed."""
    arm, rows, other = arm_named("xgboost-default"), wave(800, 0), wave(300, 1)
    found = fit("xgboost", rows, other, **arm.settings).predict(other)
    model = xgboost.XGBClassifier(random_state=SEED % 2**31, n_jobs=1).fit(rows.X, rows.labels)
    np.testing.assert_allclose(found, model.predict_proba(other.X)[:, 1], rtol=1e-6)


def test_lightgbm_gives_what_the_library_gives() -> None:
    rows, other = wave(800, 0), wave(300, 1)
    found = fit("lightgbm", rows, other, rounds=30, early_stopping_rounds=0, subsample=1.0).predict(other)
    model = lightgbm.LGBMClassifier(
        n_estimators=30, learning_rate=0.05, n_jobs=1, force_row_wise=True, verbosity=-1
    )
    model.fit(rows.X, rows.labels)
    np.testing.assert_allclose(found, model.predict_proba(other.X)[:, 1], rtol=1e-6)


@pytest.mark.parametrize("name", BOOSTED)
def test_balanced_weighs_positives_by_negatives_per_positive(name: str, encoded: Encoded) -> None:
    y = encoded.train.labels
    ratio = float((y == 0).sum() / (y == 1).sum())
    weighted, explicit, plain = (
        fit(name, encoded.train, encoded.valid, scale_pos_weight=weight, early_stopping_rounds=0).predict(
            encoded.test
        )
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

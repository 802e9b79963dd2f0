"""Encoding is fitted on training rows only, and gives finite float32 whatever the other rows hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bench.data.cards import card_for_file
from bench.data.encode import LARGEST, MAX_CATEGORIES, Encoded, encode
from bench.data.split import Split
from bench.data.table import Table

TRAIN, VALID, TEST = np.arange(0, 6), np.arange(6, 8), np.arange(8, 10)
SPLIT = Split(0, 0, TRAIN, VALID, TEST)
Y = np.array([0, 1] * 5, dtype=np.int8)


def made(**columns: Any) -> Table:
    """Return ten rows: six to train on, two to validate, two to test."""
    X = pd.DataFrame(columns)
    return Table(card_for_file(Path("my.csv"), target="y"), X, Y, "0" * 64, "file")


def encoded(**columns: Any) -> Encoded:
    return encode(made(**columns), SPLIT)


def column(found: Encoded, name: str, part: str = "train") -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = getattr(found, part).X[:, found.feature_names.index(name)]
    return values


NUMBERS = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=10, max_size=10)
WORDS = st.lists(st.sampled_from(["u", "v", "w", "x", None]), min_size=10, max_size=10)


@settings(max_examples=25, deadline=None)
@given(a=NUMBERS, b=WORDS, other_a=NUMBERS, other_b=WORDS)
def test_what_is_in_the_other_rows_changes_nothing_for_the_training_rows(
    a: list[float], b: list[str | None], other_a: list[float], other_b: list[str | None]
) -> None:
    mixed = {"a": a[:6] + other_a[6:], "b": pd.Categorical(b[:6] + other_b[6:], categories=list("uvwx"))}
    one = encoded(a=a, b=pd.Categorical(b, categories=list("uvwx")))
    other = encoded(**mixed)
    assert one.feature_names == other.feature_names
    np.testing.assert_array_equal(one.train.X, other.train.X)


@settings(max_examples=25, deadline=None)
@given(a=NUMBERS, b=WORDS)
def test_every_part_is_finite_float32_of_one_width(a: list[float], b: list[str | None]) -> None:
    found = encoded(a=a, b=pd.Categorical(b, categories=list("uvwx")))
    for part, rows in ((found.train, TRAIN), (found.valid, VALID), (found.test, TEST)):
        assert part.X.dtype == np.float32
        assert part.X.flags["C_CONTIGUOUS"]
        assert part.X.shape == (len(rows), len(found.feature_names))
        assert np.isfinite(part.X).all()
        np.testing.assert_array_equal(part.rows, rows)


def test_a_number_is_standardised_by_the_training_rows() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 9, 100, -100, 7, 1e5])
    found = encoded(a=values)
    mean, spread = values[TRAIN].mean(), values[TRAIN].std()
    for part, rows in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        np.testing.assert_allclose(column(found, "a", part), (values[rows] - mean) / spread, rtol=1e-6)


def test_a_missing_number_becomes_the_training_median_and_a_column_says_that_it_was_missing() -> None:
    values = np.array([1.0, 2, 3, 4, 100, np.nan, np.nan, 50, 60, 70])
    found = encoded(a=values)
    indicator = column(found, "missingindicator_a")
    assert len(set(indicator[:5])) == 1
    assert indicator[5] > indicator[0]
    assert column(found, "missingindicator_a", "valid")[0] == indicator[5]
    assert column(found, "missingindicator_a", "test")[0] == indicator[0]
    filled = np.where(np.isnan(values), 3.0, values)
    mean, spread = filled[TRAIN].mean(), filled[TRAIN].std()
    np.testing.assert_allclose(column(found, "a", "valid"), (filled[VALID] - mean) / spread, rtol=1e-6)


def test_a_number_missing_only_in_the_test_part_gets_no_column_of_its_own() -> None:
    found = encoded(a=[1.0, 2, 3, 4, 5, 6, 7, 8, np.nan, 10])
    assert found.feature_names == ("a",)
    assert column(found, "a", "test")[0] == 0  # the median of the training rows is their mean here


def test_a_column_without_values_or_with_one_value_in_the_training_rows_is_finite_everywhere() -> None:
    found = encoded(constant=[5.0] * 6 + [7.0, 8, 9, 1e6], empty=[np.nan] * 6 + [1.0, 2, 3, np.nan])
    assert (column(found, "constant") == 0).all()
    assert (column(found, "empty") == 0).all()
    assert np.isfinite(found.test.X).all()


def test_a_value_far_beyond_the_training_rows_is_large_but_no_overflow() -> None:
    found = encoded(a=[0.0, 0, 0, 0, 0, 1e-30, 1e30, 0, -1e100, 1])
    assert column(found, "a", "valid")[0] == LARGEST
    assert column(found, "a", "test").tolist() == [-LARGEST, LARGEST]


def test_a_missing_category_is_a_category_and_an_unknown_one_is_all_zeros() -> None:
    words = ["u", "v", None, "u", "v", None, "u", None, "new", "v"]
    found = encoded(b=pd.Categorical(words))
    assert found.feature_names == ("b_(missing)", "b_u", "b_v")
    np.testing.assert_array_equal(found.train.X[:3], [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(found.test.X, [[0, 0, 0], [0, 0, 1]])


def test_beyond_the_limit_the_rarest_categories_share_a_column_with_those_never_seen() -> None:
    frequent = [f"f{i:02}" for i in range(MAX_CATEGORIES - 1)]
    words = frequent * 2 + ["rare1", "rare2"] + ["never seen", "f00"]
    n = len(words)
    X = pd.DataFrame({"b": pd.Categorical(words)})
    y = np.array([0, 1] * (n // 2), dtype=np.int8)
    table = Table(card_for_file(Path("my.csv"), target="y"), X, y, "0" * 64, "file")
    found = encode(table, Split(0, 0, np.arange(n - 2), np.arange(2), np.arange(n - 2, n)))
    assert len(found.feature_names) == MAX_CATEGORIES
    shared = column(found, "b_infrequent_sklearn")
    np.testing.assert_array_equal(np.flatnonzero(shared), [n - 4, n - 3])
    assert column(found, "b_infrequent_sklearn", "test").tolist() == [1, 0]


def test_columns_and_categories_whose_joined_names_are_equal_are_no_obstacle() -> None:
    """`a` with the value `b_c` and `a_b` with `c` are both `a_b_c` once joined; so is a number of that name."""
    found = encoded(
        a=pd.Categorical(["b_c", "x"] * 5),
        a_b=pd.Categorical(["c", "x", "x", "c", "x"] * 2),
        a_b_c=np.arange(10.0),
        missingindicator_z=np.arange(10.0) ** 2,
        z=[np.nan, *range(9)],
    )
    assert len(found.feature_names) == found.train.X.shape[1] == 8
    assert len(np.unique(found.train.X, axis=1).T) >= 6


def test_a_table_of_one_kind_of_column_is_enough() -> None:
    assert encoded(a=np.arange(10.0)).train.X.shape == (6, 1)
    assert encoded(b=pd.Categorical(["u", "v"] * 5)).train.X.shape == (6, 2)


def test_the_test_part_has_no_labels_to_be_read() -> None:
    found = encoded(a=np.arange(10.0))
    assert found.test.y is None
    with pytest.raises(AttributeError, match="only the runner"):
        _ = found.test.labels
    np.testing.assert_array_equal(found.valid.labels, Y[VALID])


def test_a_simulators_probability_goes_with_its_rows(table: Table, splits: list[Split]) -> None:
    assert table.probability is not None
    found = encode(table, splits[0])
    for part in (found.train, found.valid, found.test):
        np.testing.assert_array_equal(part.probability, table.probability[part.rows])


def by_target(merchant: Sequence[str | None], y: np.ndarray[Any, Any], n_train: int) -> tuple[Table, Encoded]:
    card = card_for_file(Path("my.csv"), target="y", high_cardinality="target")
    X = pd.DataFrame(
        {"merchant": pd.Categorical(merchant), "kind": pd.Categorical(["u", "v"] * (len(y) // 2))}
    )
    table = Table(card, X, y.astype(np.int8), "0" * 64, "file")
    rows = np.arange(len(y))
    middle = (n_train + len(y)) // 2
    return table, encode(table, Split(0, 0, rows[:n_train], rows[n_train:middle], rows[middle:]))


def test_a_large_category_is_its_share_of_positives_and_small_ones_are_one_hot() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 200, 6000)
    risk = rng.random(200) * 0.4
    y = (rng.random(6000) < risk[codes]).astype(np.int8)
    _, found = by_target([f"m{code}" for code in codes], y, 4000)
    assert found.feature_names == ("kind_u", "kind_v", "merchant")
    for part in ("train", "valid", "test"):
        rows = getattr(found, part).rows
        assert np.corrcoef(column(found, "merchant", part), risk[codes[rows]])[0, 1] > 0.6
    assert found.units is not None
    restored = found.units.restore(found.test.X)[:, 2]
    assert ((restored >= 0) & (restored <= 1)).all()


def test_a_share_is_drawn_to_that_of_all_rows_and_is_theirs_for_a_category_never_met() -> None:
    y = np.tile([0, 0, 0, 1], 100)
    merchant = [f"m{i // 4}" for i in range(396)] + ["new"] * 4
    _, found = by_target(merchant, y, 360)
    assert found.units is not None
    restored = found.units.restore(found.test.X)[:, 2]
    np.testing.assert_allclose(restored, 0.25, atol=1e-6)


def test_a_missing_category_has_a_share_of_its_own() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 80, 3000)
    gone = rng.random(3000) < 0.2
    y = np.where(gone, rng.random(3000) < 0.8, rng.random(3000) < 0.1).astype(np.int8)
    _, found = by_target([None if g else f"m{c}" for c, g in zip(codes, gone, strict=True)], y, 2000)
    assert found.units is not None
    restored = found.units.restore(found.test.X)[:, 2]
    np.testing.assert_allclose(restored[gone[found.test.rows]], y[:2000][gone[:2000]].mean(), atol=0.05)


@pytest.mark.parametrize("values", [100, 2000, 4000])
def test_a_category_that_knows_nothing_of_the_label_gives_chance(values: int) -> None:
    """A row's share counts no label of its own: else a category of few rows would seem to tell it."""
    areas = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y = (rng.random(8000) < 0.2).astype(np.int8)
        _, found = by_target([f"m{code}" for code in rng.integers(0, values, 8000)], y, 5000)
        train, test = column(found, "merchant"), column(found, "merchant", "test")
        assert abs(roc_auc_score(found.train.labels, train) - 0.5) < 0.05
        areas.append(roc_auc_score(y[found.test.rows], test))
    assert abs(np.mean(areas) - 0.5) < 0.03


def test_without_asking_a_large_category_is_one_hot_as_ever() -> None:
    rng = np.random.default_rng(2)
    merchant, y = [f"m{code}" for code in rng.integers(0, 70, 1000)], rng.integers(0, 2, 1000)
    table, found = by_target(merchant, y, 800)
    plain = replace(table, card=card_for_file(Path("my.csv"), target="y"))
    split = Split(0, 0, found.train.rows, found.valid.rows, found.test.rows)
    assert encode(plain, split).train.X.shape[1] == MAX_CATEGORIES + 2


def test_one_positive_to_learn_from_is_enough() -> None:
    y = np.zeros(400, dtype=np.int8)
    y[[5, 350]] = 1
    _, found = by_target([f"m{i % 90}" for i in range(400)], y, 300)
    assert np.isfinite(found.train.X).all()

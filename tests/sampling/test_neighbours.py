"""AllKNN and SMOTEENN keep the rows that imbalanced-learn's keep, ties and duplicates included."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import SMOTE
from imblearn.under_sampling import AllKNN, EditedNearestNeighbours
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from bench.sampling import neighbours
from bench.sampling.neighbours import DrawingSMOTE, ProvingAllKNN, ProvingENN, ProvingSMOTEENN, sure_to_stay


def table(rows: int, columns: int, positives: int, *, apart: float = 2.0, seed: int = 0) -> tuple[Any, Any]:
    """Return two normal classes in float32, the rare one `apart` in every column."""
    rng = np.random.default_rng(seed)
    y = np.zeros(rows, dtype=np.int8)
    y[rng.choice(rows, positives, replace=False)] = 1
    return (rng.normal(size=(rows, columns)) + apart * y[:, None]).astype(np.float32), y


def with_duplicates(X: Any, y: Any, copies: int, seed: int = 1) -> Any:
    """Return X with so many rows overwritten by others, half of them by rows of the rare class."""
    rng = np.random.default_rng(seed)
    X = X.copy()
    X[rng.choice(len(X), copies)] = X[rng.choice(len(X), copies)]
    X[rng.choice(len(X), copies)] = X[rng.choice(np.flatnonzero(y == 1), copies)]
    return X


def agree(ours: Any, theirs: Any, X: Any, y: Any) -> None:
    """Fail unless both samplers give the same bits, or the same error."""
    try:
        expected = theirs.fit_resample(X, y)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            ours.fit_resample(X, y)
        return
    found = ours.fit_resample(X, y)
    if hasattr(theirs, "sample_indices_"):
        np.testing.assert_array_equal(ours.sample_indices_, theirs.sample_indices_)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


def all_agree(X: Any, y: Any, k: int = 3) -> None:
    agree(ProvingAllKNN(n_neighbors=k), AllKNN(n_neighbors=k), X, y)
    more: dict[str, Any] = {"sampling_strategy": "all", "n_neighbors": k}
    agree(ProvingENN(**more), EditedNearestNeighbours(**more), X, y)
    agree(ProvingSMOTEENN(random_state=3), SMOTEENN(random_state=3), X, y)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(300, 1500),
    columns=st.sampled_from([1, 2, 5, 15, 16, 29]),
    share=st.sampled_from([0.005, 0.02, 0.08]),
    grain=st.sampled_from([0.0, 0.25, 1.0]),
    offset=st.sampled_from([0.0, 1000.0]),
    scale=st.sampled_from([1.0, 1e-22, 1e20]),
    copies=st.sampled_from([0, 20, 300]),
    k=st.sampled_from([1, 2, 3, 5]),
    seed=st.integers(0, 2**31),
)
def test_tables_full_of_ties_lose_the_same_rows(
    rows: int,
    columns: int,
    share: float,
    grain: float,
    offset: float,
    scale: float,
    copies: int,
    k: int,
    seed: int,
) -> None:
    """On grids, far from zero, at both ends of float32, with copies across classes."""
    X, y = table(rows, columns, max(2, int(share * rows)), seed=seed)
    X = with_duplicates(X, y, copies, seed)
    if grain:
        X = np.round(X / grain) * grain
    all_agree(np.ascontiguousarray((X + offset) * scale, dtype=np.float32), y, k)


@pytest.mark.parametrize("columns", [12, 20])
def test_most_rows_of_a_large_table_are_sure_without_a_search(columns: int) -> None:
    """A tree to 15 columns, blocks of products beyond; and both classes of SMOTE's rows."""
    X, y = table(6000, columns, 12, apart=4.0)
    sure = sure_to_stay(X, y, 3, [0])
    assert sure[y == 0].mean() > 0.9
    assert not sure[y == 1].any()
    smote = DrawingSMOTE(random_state=3)
    made, labels = smote.fit_resample(X, y)
    sure = sure_to_stay(made, labels, 3, [0, 1], smote)
    assert sure[labels == 0].mean() > 0.8
    assert sure[labels == 1].mean() > 0.8
    all_agree(X, y)
    all_agree(with_duplicates(X, y, 10), y)


def test_what_is_sure_keeps_to_the_order_of_the_rows() -> None:
    X, y = table(3000, 6, 10, apart=3.0)
    order = np.random.default_rng(5).permutation(len(y))
    turned = sure_to_stay(X[order], y[order], 3, [0])
    kept = np.flatnonzero(turned)
    ours = ProvingAllKNN().fit(X, y)
    ours.fit_resample(X, y)
    assert np.isin(order[kept], ours.sample_indices_).all()


def test_some_rows_are_answered_as_among_all() -> None:
    """Rows on a grid: every distance is a tie, and which neighbour is named depends on how it is asked for."""
    rng = np.random.default_rng(0)
    for columns in (3, 16):
        X = rng.integers(0, 2, size=(9000, columns)).astype(np.float32)
        own = X[::2].copy()
        index = NearestNeighbors(n_neighbors=4).fit(X)
        expected = index.kneighbors(own, return_distance=False)[:, 1:]
        for rows in ([0], [4499], [255, 256, 3000], sorted(rng.choice(4500, 200, replace=False))):
            np.testing.assert_array_equal(neighbours._ask(index, own, np.array(rows)), expected[rows])


def test_a_round_that_leaves_the_majority_few_ends_the_search_as_in_imbalanced_learn() -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(700, 4)).astype(np.float32)
    y = np.repeat(np.array([0, 1], dtype=np.int8), [360, 340])
    agree(ProvingAllKNN(), AllKNN(), X, y)


@pytest.mark.parametrize("positives", [1, 2, 3])
def test_more_neighbours_than_minority_rows(positives: int) -> None:
    X, y = table(500, 5, positives)
    agree(ProvingAllKNN(n_neighbors=7), AllKNN(n_neighbors=7), X, y)
    agree(ProvingSMOTEENN(random_state=3), SMOTEENN(random_state=3), X, y)  # SMOTE's own refusal


def test_what_is_not_proven_here_is_imbalanced_learns_own_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubles, three classes and votes by majority are left to its code."""
    monkeypatch.setattr(neighbours, "sure_to_stay", None)  # calling it would fail
    X, y = table(600, 4, 20)
    agree(ProvingAllKNN(), AllKNN(), X.astype(np.float64), y)
    agree(ProvingAllKNN(kind_sel="mode"), AllKNN(kind_sel="mode"), X, y)
    agree(ProvingAllKNN(), AllKNN(), X, y + np.where(X[:, 0] > 1, 2, 0).astype(np.int8))


def test_wrong_segments_prove_nothing_and_break_nothing() -> None:
    """The ends of a row are looked at, not believed."""
    X, y = table(2000, 5, 20)
    smote = DrawingSMOTE(random_state=3)
    made, labels = smote.fit_resample(X, y)
    assert smote.drawn is not None
    smote.drawn = smote.drawn[0], smote.drawn[1][::-1].copy()
    sure = sure_to_stay(made, labels, 3, [0, 1], smote)
    theirs = EditedNearestNeighbours(sampling_strategy="all")
    theirs.fit_resample(made, labels)
    assert np.isin(np.flatnonzero(sure), theirs.sample_indices_).all()


def test_smote_draws_what_imbalanced_learns_draws() -> None:
    X, y = table(400, 5, 20)
    agree(DrawingSMOTE(random_state=3), SMOTE(random_state=3), X, y)


def german(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_csv(folder / "german.data", sep=r"\s+", header=None)
    return frame.iloc[:, :-1], frame.iloc[:, -1] == 2


def loans(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_csv(folder / "loan_data.csv", nrows=4000)
    return frame.drop(columns="not.fully.paid"), frame["not.fully.paid"] == 1


def cards(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_parquet(folder / "ulb_creditcard_casecontrol.parquet")
    positive = frame["Class"] == 1
    few = frame[positive].sample(60, random_state=0)
    chosen = pd.concat([few, frame[~positive].head(9000)])
    return chosen.drop(columns=["Class", "Time"], errors="ignore"), chosen["Class"] == 1


@pytest.mark.parametrize("read", [german, loans, cards])
def test_real_tables_lose_the_same_rows(read: Any, data_folder: Path) -> None:
    """Their numeric columns, of which many rows have the same."""
    X, y = read(data_folder)
    numbers = StandardScaler().fit_transform(X.select_dtypes("number"))
    all_agree(np.ascontiguousarray(numbers, dtype=np.float32), y.to_numpy().astype(np.int8))

"""Thinned splits: the prevalence asked for, the test part as it was, and the smaller within the larger."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.split import Split
from bench.data.table import Table
from bench.data.thinning import thinned
from bench.errors import BadSetting, BadTable, UnknownName
from bench.protocols import protocol_named
from bench.protocols.strict import at_prevalence, share_of


def share(table: Table, rows: np.ndarray) -> float:
    return float(table.y[rows].mean())


@given(prevalence=st.floats(0.04, 0.8))
@settings(max_examples=30, deadline=None)
def test_training_and_validation_rows_have_the_prevalence_and_one_class_is_whole(
    table: Table, splits: list[Split], prevalence: float
) -> None:
    split = splits[0]
    thin = thinned(split, table, prevalence)
    np.testing.assert_array_equal(thin.test, split.test)
    for part in ("train", "valid"):
        rows, before = getattr(thin, part), getattr(split, part)
        assert set(rows) <= set(before)
        assert (np.diff(rows) > 0).all()
        kept, had = np.bincount(table.y[rows], minlength=2), np.bincount(table.y[before], minlength=2)
        assert (kept == had).any()  # of one class alone are any left out
        # As near as whole rows come: one more or fewer of the thinned class is no nearer.
        step = 1 / len(rows)
        assert abs(share(table, rows) - prevalence) <= step


def test_the_rows_of_a_lower_prevalence_are_among_those_of_a_higher(
    table: Table, splits: list[Split]
) -> None:
    low, high = (thinned(splits[0], table, prevalence) for prevalence in (0.05, 0.1))
    assert set(low.train) < set(high.train)
    assert set(low.valid) < set(high.valid)


def test_folds_leave_out_rows_of_their_own(table: Table, splits: list[Split]) -> None:
    left = [set(split.train) - set(thinned(split, table, 0.05).train) for split in splits[:2]]
    shared = set(splits[0].train) & set(splits[1].train)
    assert left[0] & shared != left[1] & shared


def test_a_prevalence_that_leaves_too_few_rows_is_refused_with_those_that_work(
    table: Table, splits: list[Split]
) -> None:
    with pytest.raises(BadTable, match=r"keeps 0 rows of the rarer class; 5 are needed.*from 0\.\d+ on work"):
        thinned(splits[0], table, 1e-6)
    with pytest.raises(BadTable) as told:
        thinned(splits[0], table, 0.001)
    lowest = float(str(told.value).split("from ")[1].split(" ")[0])
    thinned(splits[0], table, lowest)


def test_the_protocol_is_named_by_its_prevalence_and_keeps_the_test_parts(table: Table) -> None:
    strict, thin = protocol_named("strict"), protocol_named("strict+prevalence=0.050")
    assert thin.name == "strict+prevalence=0.05" == at_prevalence("strict", 0.05)
    for before, after in zip(strict.splits(table), thin.splits(table), strict=True):
        np.testing.assert_array_equal(before.test, after.test)
        assert share(table, after.train) == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("text", ["0", "1", "-0.1", "5%", "nan", "", "inf"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="is no prevalence"):
        share_of(text)
    with pytest.raises(BadSetting, match="is no prevalence"):
        protocol_named(f"strict+prevalence={text}")


def test_other_words_are_unknown() -> None:
    with pytest.raises(UnknownName, match=r"strict\+prevalence=0\.01"):
        protocol_named("strict+prevalance=0.1")
    with pytest.raises(UnknownName):
        protocol_named("strict+prevalence=0.1+prevalence=0.2")

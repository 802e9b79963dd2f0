"""In what shares a batch rule draws the classes: imbalanced-learn's numbers, and pairs of balanced rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

from bench.data.classes import BatchRule, Classes

counts = st.integers(1, 60)
THEIRS = {"random-under": RandomUnderSampler, "random-over": RandomOverSampler}


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("ratio", [None, 0.02, 0.3, 0.5, 0.77, 1.0])
@pytest.mark.parametrize(("negatives", "positives"), [(40, 7), (7, 40), (33, 1), (12, 11), (9, 9)])
def test_an_epoch_holds_as_many_rows_as_imbalanced_learn_leaves(
    name: str, ratio: float | None, negatives: int, positives: int
) -> None:
    there, rule = Classes(negatives, positives), BatchRule(name, ratio)
    if ratio is not None and there.ratio >= ratio:  # where imbalanced-learn refuses
        assert rule.turn(there) is None
        assert rule.epoch_rows(there) == negatives + positives
        return
    y = np.repeat([0, 1], [negatives, positives])
    sampler = THEIRS[name](sampling_strategy="auto" if ratio is None else ratio, random_state=0)
    left = np.bincount(sampler.fit_resample(np.zeros((len(y), 1)), y)[1])
    assert rule.turn(there) == Classes(*left.tolist())
    assert rule.epoch_rows(there) == left.sum()


@given(counts, counts)
def test_balanced_rows_come_in_pairs_and_an_epoch_is_as_many_as_there_are(
    negatives: int, positives: int
) -> None:
    there = Classes(negatives, positives)
    assert BatchRule("balanced").turn(there) == Classes(1, 1)
    assert BatchRule("balanced").epoch_rows(there) == negatives + positives


@pytest.mark.parametrize("name", ["balanced", "random-under", "random-over"])
@pytest.mark.parametrize("there", [Classes(0, 5), Classes(5, 0)])
def test_one_class_alone_is_refused(name: str, there: Classes) -> None:
    with pytest.raises(ValueError, match="needs rows of both classes"):
        BatchRule(name).turn(there)

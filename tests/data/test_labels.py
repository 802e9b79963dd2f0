"""The label: which value is positive, which rows have one, and what is said of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.cards import card_for_frame
from bench.data.labels import label, spelled
from bench.data.table import load
from bench.errors import BadTable

LOANS = ["Fully Paid"] * 6 + ["Charged Off"] * 3 + ["Current"] * 2 + ["Late"]


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        ([0, 1, 1], None, [0, 1, 1]),
        ([0.0, 1.0, 1.0], None, [0, 1, 1]),
        (["0", "1", "1.0"], None, [0, 1, 1]),
        ([True, False, True], None, [1, 0, 1]),
        (["Yes", "No", "No"], None, [1, 0, 0]),
        (["TRUE", "FALSE", "FALSE"], None, [1, 0, 0]),
        ([True, "false", 0], None, [1, 0, 0]),
        ([1, 2, 2], "2", [0, 1, 1]),
        ([1, 2, 2], 1.0, [1, 0, 0]),
        (["1", "2", "2"], 2, [0, 1, 1]),
        ([0, 1, 1], "0", [1, 0, 0]),
        ([0, 1, 1], True, [0, 1, 1]),
        ([True, False, False], "1", [1, 0, 0]),
        ([True, False, False], "false", [0, 1, 1]),
        (["good", "bad", "good"], "bad", [0, 1, 0]),
        (["good", "bad", "good"], " Bad", [0, 1, 0]),
        (pd.Categorical(["a", "b", "a"], categories=["c", "b", "a"]), "a", [1, 0, 1]),
        ([-1, 1, 1], 1, [0, 1, 1]),
    ],
)
def test_labels(values: Any, positive: Any, expected: list[int]) -> None:
    found = label(pd.Series(values, name="y"), positive).y
    assert found.dtype == np.int8
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        ([1, 2, 2], None, r"2 \(2 rows\), 1 \(1 rows\).*give --positive 1 or --positive 2"),
        (["so so", "b", "b"], None, r"--positive b or --positive 'so so'"),
        ([-1, 1, 1], None, r"--positive -1 or --positive 1"),
        ([1, 2, 2], 3, r"'3' is not one value of the target 'y', which has 2 \(2 rows\), 1 \(1 rows\)"),
        (["a", "A", "A"], "b", r"'b' is not"),
        ([1, 1, 1], None, r"must have two values; it has 1 \(3 rows\)"),
        ([0, 1, 2], None, r"must have two values; it has 0 \(1 rows\).*--positive VALUE.*--negative VALUE"),
        (list(range(9)), None, r"it has 9, such as 0 \(1 rows\), 1 .* 4 \(1 rows\)\. Name"),
        ([0, None, None], None, r"it has 0 \(1 rows\) and 2 rows without a label"),
    ],
)
def test_labels_that_do_not_say(values: Any, positive: Any, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        label(pd.Series(values, name="y"), positive)


@given(st.integers(-(2**53), 2**53), st.sampled_from([str, int, float, "{}.0".format, " {}".format]))
def test_whole_numbers_have_one_spelling(number: int, spell: Any) -> None:
    assert spelled(spell(number)) == str(number)


@given(st.lists(st.booleans(), min_size=2).filter(lambda flags: len(set(flags)) == 2), st.booleans())
def test_a_label_and_its_reverse_are_each_other_s_complement(flags: list[bool], positive: bool) -> None:
    column = pd.Series(["p" if flag else "q" for flag in flags])
    np.testing.assert_array_equal(label(column, "p").y, 1 - label(column, "q").y)
    np.testing.assert_array_equal(label(column, "p").y, np.array(flags, dtype=np.int8))


def test_one_value_is_positive_against_all_others_and_a_note_says_so() -> None:
    result = label(pd.Series(LOANS, name="status"), "Charged Off")
    assert result.y.tolist() == [0] * 6 + [1] * 3 + [0] * 3
    assert result.rows.tolist() == list(range(12))
    (note,) = result.notes
    assert "'Charged Off' against all others, Fully Paid (6 rows), Current (2 rows), Late (1 rows)" in note


def test_only_the_negatives_that_are_named_are_kept_and_the_rest_is_counted() -> None:
    result = label(pd.Series(LOANS, name="status"), "charged off", ["Fully Paid"])
    assert result.y.tolist() == [0] * 6 + [1] * 3
    assert result.rows.tolist() == list(range(9))
    assert result.notes == ("3 rows are left out, whose 'status' is Current (2 rows), Late (1 rows)",)


@pytest.mark.parametrize(
    ("negative", "message"),
    [
        (
            ["Paid"],
            "--negative Paid: 'Paid' is not one value of the target 'status'.*--negative 'Fully Paid'",
        ),
        (["Charged Off", "Late"], "'Charged Off' .* as positive and as negative"),
    ],
)
def test_negatives_that_cannot_be_are_refused(negative: list[str], message: str) -> None:
    with pytest.raises(BadTable, match=message):
        label(pd.Series(LOANS, name="status"), "Charged Off", negative)


def test_rows_without_a_label_are_named_and_left_out_when_asked() -> None:
    column = pd.Series([0, 1, None, 0, np.nan, 1], name="bad")
    with pytest.raises(
        BadTable, match=r"missing in 2 of 6 rows \(rows 3, 5 of the data\).*--unlabelled drop"
    ):
        label(column)
    result = label(column, unlabelled="drop")
    assert (result.y.tolist(), result.rows.tolist()) == ([0, 1, 0, 1], [0, 1, 3, 5])
    assert result.notes == ("2 rows without a label in 'bad' are left out",)


def test_no_advice_tells_to_delete_the_negatives() -> None:
    column = pd.Series([1, 1, None, None, None], name="fraud")
    with pytest.raises(
        BadTable, match=r"has 1 \(2 rows\) and 3 rows without a label.*If those are the negatives, write"
    ):
        label(column)


@pytest.mark.parametrize("word", ["None", "NA", "nan", "null", "n/a"])
def test_a_word_of_missing_is_a_value_when_it_is_asked_for(word: str) -> None:
    column = pd.Series([word, "Fraud", word, word], name="kind")
    with pytest.raises(BadTable, match="if a word such as NA or None is a value, name it: --negative"):
        label(column, "Fraud")
    assert label(column, "Fraud", [word]).y.tolist() == [0, 1, 0, 0]
    assert label(column, word, ["Fraud"]).y.tolist() == [1, 0, 1, 1]


def test_a_word_of_missing_among_other_values_is_named() -> None:
    column = pd.Series(["NA", "good", "bad", "good"], name="kind")
    with pytest.raises(BadTable, match="They say NA \\(1 rows\\): where that is a value"):
        label(column, "bad")
    assert label(column, "bad", unlabelled="drop").y.tolist() == [0, 1, 0]


def test_a_table_has_the_rows_that_have_a_label() -> None:
    frame = pd.DataFrame({"a": np.arange(12.0), "amount": np.arange(12.0), "status": LOANS})
    mine = card_for_frame("status", positive="Charged Off", negative=("Fully Paid",), amount="amount")
    table = load(mine, frame=frame)
    assert table.n_rows == len(table.X) == 9
    assert table.X["a"].tolist() == list(range(9))
    assert table.amount is not None
    assert len(table.amount) == 9
    assert "3 rows are left out" in table.notes[0]


def test_an_entity_is_a_number_per_row_and_no_feature() -> None:
    frame = pd.DataFrame(
        {"a": np.arange(6.0), "who": ["x", "y", None, "x", None, "y"], "y": [0, 1, 0, 1, 0, 1]}
    )
    table = load(card_for_frame("y", entity="who"), frame=frame)
    assert list(table.X) == ["a"]
    assert table.entity is not None
    assert table.entity.tolist() == [0, 1, 2, 0, 3, 1]


def test_numbers_that_a_card_calls_missing_are_missing_and_counted() -> None:
    frame = pd.DataFrame({"late": [0, 1, 98, 2, 96, 98], "y": [0, 1, 0, 1, 0, 1]})
    mine = card_for_frame("y").model_copy(update={"missing": {"late": (96.0, 98.0)}})
    table = load(mine, frame=frame)
    assert table.X["late"].isna().tolist() == [False, False, True, False, True, True]
    assert table.notes == ("'late': 96 and 98 stand for a missing value in 3 rows, as declared",)
    assert mine.recipe["missing"] == {"late": [96.0, 98.0]}


def test_rows_without_a_label_are_left_out_where_the_labels_kept_are_named() -> None:
    result = label(pd.Series([*LOANS, None], name="status"), "Charged Off", ["Fully Paid"])
    assert result.rows.tolist() == list(range(9))
    assert result.notes[0] == "1 rows without a label in 'status' are left out"

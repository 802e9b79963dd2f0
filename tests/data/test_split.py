"""Splits keep their promises for any table: whole, disjoint, stratified, deaf to order of calls, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from bench.data.cards import card, card_for_file
from bench.data.groups import Groups, groups
from bench.data.identifiers import equality, numbered
from bench.data.split import BIG_TABLE_ROWS, VALID_SHARE, Split, check_split, largest_folds, notes
from bench.data.table import Table, load
from bench.errors import BadSetting, BadSplit, BadTable
from bench.names import digest
from bench.protocols import protocol_named

STRICT = protocol_named("strict")
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.5, float("nan")])
WORDS = st.sampled_from(["u", "v", None])


def made(a: list[float], b: list[str | None], y: list[int]) -> Table:
    """Return a table of one numeric and one categorical feature."""
    X = pd.DataFrame({"a": np.array(a, dtype=float), "b": pd.Categorical(b, categories=["u", "v"])})
    return Table(card_for_file(Path("my.csv"), target="y"), X, np.array(y, dtype=np.int8), "0" * 64, "file")


def distinct(n_positive: int, n_negative: int) -> Table:
    """Return a table without duplicates, its labels in a fixed disorder."""
    y = np.random.default_rng(n_positive).permutation([1] * n_positive + [0] * n_negative)
    return made(list(range(len(y))), ["u"] * len(y), y.tolist())


@st.composite
def with_duplicates(draw: st.DrawFn) -> Table:
    """Draw a table most of whose rows come again, with equal or differing labels."""
    rows = draw(st.lists(st.tuples(VALUES, WORDS, st.integers(0, 1)), min_size=10, max_size=60))
    # Enough distinct rows of each class for three folds, whatever else was drawn.
    rows += [(100.0 + i, "u", i % 2) for i in range(8)]
    a, b, y = zip(*draw(st.permutations(rows)), strict=True)
    return made(list(a), list(b), list(y))


@settings(max_examples=100, deadline=None)
@given(table=with_duplicates(), folds=st.integers(2, 4), repeats=st.integers(1, 2))
def test_parts_are_disjoint_and_complete_and_test_parts_share_out_the_table(
    table: Table, folds: int, repeats: int
) -> None:
    made_splits = STRICT.splits(table, folds=folds, repeats=repeats)
    assert [(s.repeat, s.fold) for s in made_splits] == [(r, f) for r in range(repeats) for f in range(folds)]
    for one in made_splits:
        parts = (one.train, one.valid, one.test)
        assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
        assert sorted(np.concatenate(parts)) == list(range(table.n_rows))
    for repeat in range(repeats):
        tested = np.concatenate([s.test for s in made_splits if s.repeat == repeat])
        assert sorted(tested) == list(range(table.n_rows))


@settings(max_examples=100, deadline=None)
@given(table=with_duplicates(), folds=st.integers(2, 4))
def test_no_group_is_on_two_sides(table: Table, folds: int) -> None:
    """All that are mixed are divided where a part would lack a class otherwise."""
    rows = np.arange(table.n_rows)
    ways = [groups(table, rows, folds, one_by_one=divided) for divided in (False, True)]

    def n_sides(whole: Groups, one: Split) -> int:
        return sum(len(np.unique(whole.of[part])) for part in (one.train, one.valid, one.test))

    made_splits = STRICT.splits(table, folds=folds)
    assert any(all(n_sides(way, one) == len(way.rows) for one in made_splits) for way in ways)


@settings(max_examples=100, deadline=None)
@given(table=with_duplicates(), folds=st.integers(2, 4))
def test_equal_rows_are_one_group_unless_they_are_many(table: Table, folds: int) -> None:
    """Equal are rows that no method tells apart: missing equals missing, and -0.0 equals 0.0."""
    rows = zip(table.X["a"], table.X["b"].cat.codes, strict=True)
    words = np.array([f"{'missing' if np.isnan(a) else a + 0.0} {b}" for a, b in rows])
    whole = groups(table, np.arange(table.n_rows), folds)
    n_divided = 0
    for word in np.unique(words):
        same = words == word
        if len(np.unique(whole.of[same])) > 1:
            n_divided += same.sum()
            rich = table.y[same].sum() > table.n_positives / folds
            assert same.sum() > table.n_rows / (2 * folds) or rich
    assert whole.divided == n_divided


@settings(max_examples=60, deadline=None)
@given(positives=st.integers(6, 40), negatives=st.integers(6, 200), folds=st.integers(2, 5))
def test_every_test_part_has_its_share_of_each_class_to_within_one_row(
    positives: int, negatives: int, folds: int
) -> None:
    table = distinct(positives, negatives)
    made_splits = STRICT.splits(table, folds=folds)
    for label, total in ((1, positives), (0, negatives)):
        counts = [int((table.y[s.test] == label).sum()) for s in made_splits]
        assert max(counts) - min(counts) <= 1
        for one, tested in zip(made_splits, counts, strict=True):
            validated = int((table.y[one.valid] == label).sum())
            assert abs(validated - VALID_SHARE * (total - tested)) <= 1
    sizes = [len(s.test) for s in made_splits]
    assert max(sizes) - min(sizes) <= 1


def test_the_same_table_gives_the_same_splits_and_hashes_whatever_was_split_before() -> None:
    table = distinct(20, 100)
    first = STRICT.splits(table)
    STRICT.splits(distinct(30, 60))
    again = STRICT.splits(distinct(20, 100))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.test, b.test)
        assert a.sha256 == b.sha256
    assert len({s.sha256 for s in first}) == len(first)


def test_the_folds_of_one_repeat_do_not_depend_on_how_many_repeats_there_are() -> None:
    table = distinct(20, 100)
    once, twice = STRICT.splits(table, repeats=1), STRICT.splits(table, repeats=2)
    assert [s.sha256 for s in once] == [s.sha256 for s in twice[:5]]
    assert {s.sha256 for s in twice[5:]}.isdisjoint(s.sha256 for s in once)


def test_a_split_is_named_by_its_rows_and_by_the_part_they_are_in() -> None:
    rows = [np.array(part, dtype=np.int64) for part in ([0, 1, 2], [3], [4, 5])]
    one = Split(0, 0, *rows)
    assert one.sha256 == Split(0, 0, *(part.copy() for part in rows)).sha256
    assert len(one.sha256) == 64
    others = [replace(one, train=rows[1], valid=rows[0]), replace(one, test=np.array([4, 6]))]
    assert len({one.sha256, *(other.sha256 for other in others)}) == 3


@settings(max_examples=40, deadline=None)
@given(scarce=st.integers(1, 12), label=st.integers(0, 1))
def test_too_few_rows_of_a_class_name_the_largest_number_of_folds_and_it_works(
    scarce: int, label: int
) -> None:
    table = distinct(scarce, 40) if label else distinct(40, scarce)
    largest = largest_folds(scarce)
    with pytest.raises(BadTable) as refused:
        STRICT.splits(table, folds=max(2, largest + 1))
    word = "positives" if label else "negatives"
    assert f"{scarce} distinct {word}" in str(refused.value)
    if not largest:
        assert "No number works" in str(refused.value)
        return
    assert f"--folds {largest}" in str(refused.value)
    for one in STRICT.splits(table, folds=largest):
        assert all((table.y[part] == label).any() for part in (one.train, one.valid, one.test))


def test_positives_that_are_copies_of_one_another_count_once() -> None:
    table = made([7.0] * 10 + list(range(20, 60)), ["u"] * 50, [1] * 10 + [0] * 40)
    with pytest.raises(BadTable, match="1 distinct positives"):
        STRICT.splits(table)


@pytest.mark.parametrize(("folds", "repeats"), [(1, 1), (0, 1), (-3, 1), (5, 0)])
def test_fewer_than_two_folds_or_no_repeat_are_refused(folds: int, repeats: int) -> None:
    with pytest.raises(BadSetting, match="at least 2 folds and 1 repeat"):
        STRICT.splits(distinct(20, 100), folds=folds, repeats=repeats)


def test_group_numbers_have_no_gaps_and_know_no_label() -> None:
    X = pd.DataFrame({"a": [3.0, 1.0, 3.0, np.nan, np.nan, 3.0], "b": [0.0, 1, 0, 2, 2, 0]})
    numbers = numbered(X)
    assert numbers[0] == numbers[2] == numbers[5]
    assert numbers[3] == numbers[4]
    assert sorted(set(numbers)) == [0, 1, 2]


def test_big_tables_default_to_fewer_seeds() -> None:
    assert STRICT.seeds_for(card("loan-sim"), BIG_TABLE_ROWS) == 3
    assert STRICT.seeds_for(card("loan-sim"), BIG_TABLE_ROWS + 1) == 1


def test_splitting_does_not_change_the_table(table: Table) -> None:
    before = table.X.copy()
    STRICT.splits(table)
    pd.testing.assert_frame_equal(table.X, before)


def test_a_number_of_folds_that_starves_a_training_part_is_refused_though_a_larger_one_works() -> None:
    """Of three positives two folds test two at once, and leave one for training and validating."""
    with pytest.raises(BadTable, match=r"The largest number that works is 3: --folds 3"):
        STRICT.splits(distinct(3, 40), folds=2)
    assert len(STRICT.splits(distinct(3, 40), folds=3)) == 3


def noise(n_different: int, seed: int, n: int = 600, share: float = 0.2) -> Table:
    """Return rows of so many different kinds whose labels are drawn without regard to them."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, n_different, n)
    return made(kinds.tolist(), ["u"] * n, (rng.random(n) < share).astype(int).tolist())


def rate_auc(table: Table, split: Split) -> float:
    """Return the ROC-AUC of the share of positives that a row's kind has in training, drawn to the prior."""
    kind = table.X["a"].to_numpy(np.int64)
    rows, positives = (
        np.bincount(kind[split.training], weights=weights, minlength=kind.max() + 1)
        for weights in (None, table.y[split.training].astype(float))
    )
    rate = (positives + 2 * table.y[split.training].mean()) / (rows + 2)
    return float(roc_auc_score(table.y[split.test], rate[kind[split.test]]))


@pytest.mark.parametrize("n_different", [2, 3, 4, 5, 7, 9, 12, 16, 20, 30, 50, 81, 150, 300])
def test_labels_that_know_nothing_of_the_features_give_chance(n_different: int) -> None:
    """Groups by features and label gave .2 at 81 different rows, where chance is .5."""
    tables = [noise(n_different, seed) for seed in range(24)]
    areas = [np.mean([rate_auc(table, split) for split in STRICT.splits(table)]) for table in tables]
    error = np.std(areas) / np.sqrt(len(areas))
    assert abs(np.mean(areas) - 0.5) < 3 * error + 0.012, (np.mean(areas), error)


def test_a_scorecard_of_few_combinations_keeps_what_it_knows() -> None:
    """Groups by features and label gave .36 where the points of 81 combinations are worth .69."""
    rng = np.random.default_rng(5)
    bins = rng.integers(0, 3, (2000, 4))
    points = bins @ [0.5, 0.4, 0.3, 0.2]
    y = (rng.random(2000) < 1 / (1 + np.exp(4 - points))).astype(int)
    X = pd.DataFrame(bins.astype(float), columns=list("pqrs"))
    table = replace(made([0] * 2000, ["u"] * 2000, y.tolist()), X=X)
    truth = roc_auc_score(y, points)
    areas = []
    for split in STRICT.splits(table):
        model = LogisticRegression().fit(bins[split.training], y[split.training])
        areas.append(roc_auc_score(y[split.test], model.predict_proba(bins[split.test])[:, 1]))
        assert not set(map(tuple, bins[split.test])) & set(map(tuple, bins[split.training]))
    assert abs(np.mean(areas) - truth) < 0.05, (np.mean(areas), truth)


def test_a_kind_of_row_that_is_too_large_is_divided_and_the_notes_say_so() -> None:
    table = noise(3, 0)
    assert groups(table, np.arange(table.n_rows), 5).divided == table.n_rows
    (line,) = notes(table, 5)
    assert line.startswith("600 of 600 rows lie in combinations of values too large for one side")
    assert notes(noise(150, 0), 5) == []


def test_rows_of_either_label_stay_together_and_every_part_has_its_positives() -> None:
    table = noise(150, 1)
    kind = table.X["a"].to_numpy()
    for one in STRICT.splits(table):
        parts = (one.train, one.valid, one.test)
        assert sum(len(np.unique(kind[part])) for part in parts) == len(np.unique(kind))
        shares = [table.y[part].sum() / table.n_positives for part in parts]
        assert np.abs(np.array(shares) - (0.64, 0.16, 0.2)).max() < 0.03
        sizes = [len(part) / table.n_rows for part in parts]
        assert np.abs(np.array(sizes) - (0.64, 0.16, 0.2)).max() < 0.06


def test_an_identifier_does_not_switch_the_rule_off() -> None:
    table = noise(150, 2)
    kind = table.X["a"].to_numpy()
    X = table.X.assign(id=np.random.default_rng(0).permutation(table.n_rows) + 1000.0)
    for one in STRICT.splits(replace(table, X=X)):
        assert not set(kind[one.test]) & set(kind[one.training])


def test_whole_numbers_that_all_differ_count_where_too_much_is_equal_without_them() -> None:
    y = [1, 0, 0, 0] * 30
    splits = STRICT.splits(made(list(range(120)), ["v" if label else "u" for label in y], y), folds=3)
    assert [int(np.array(y)[split.test].sum()) for split in splits] == [10, 10, 10]


def test_an_identifier_of_rows_that_differ_without_it_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    table = distinct(40, 160)
    X = table.X.assign(b=rng.normal(size=table.n_rows))
    plain = replace(table, X=X)
    assert equality(X).without is None
    assert len({s.sha256 for s in STRICT.splits(plain)}) == 5


@pytest.mark.parametrize("n_equal", [400, 700])
@pytest.mark.parametrize("n_mixed", [0, 1])
def test_a_large_group_of_one_label_is_divided_and_said_to_be(n_equal: int, n_mixed: int) -> None:
    """Dealt whole, 700 equal negatives of 1,000 rows made one test part 12 times as large as the others."""
    rng = np.random.default_rng(0)
    y = (np.arange(1000) < 100).astype(int)
    a = rng.normal(size=1000)
    a[100 - n_mixed : 100 - n_mixed + n_equal] = 0.0
    order = rng.permutation(1000)
    table = made(a[order].tolist(), ["u"] * 1000, y[order].tolist())
    for one in STRICT.splits(table):
        assert [len(part) for part in (one.train, one.valid, one.test)] == pytest.approx(
            [640, 160, 200], abs=3
        )
        assert table.y[one.test].sum() == pytest.approx(20, abs=1)
    assert [
        note for note in notes(table, 5) if note.startswith(f"{n_equal:,} of 1,000 rows lie in combinations")
    ]


def test_groups_of_uneven_sizes_make_folds_of_even_ones() -> None:
    """Nine groups of 8 % each, of negatives alone: two folds in five had twice the rows of the others."""
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.normal(size=280), np.repeat(np.arange(9) + 10.0, 80)])
    y = (np.arange(1000) < 100).astype(int)
    table = made(a.tolist(), ["u"] * 1000, y.tolist())
    for one in STRICT.splits(table, repeats=2):
        assert [len(part) for part in (one.train, one.valid, one.test)] == pytest.approx(
            [640, 160, 200], abs=60
        )
        assert not set(a[one.test]) & set(a[one.training])
        assert not set(a[one.train]) & set(a[one.valid])
    for inner in STRICT.inner(table, one, 4):
        assert len(inner.valid) == pytest.approx(len(one.training) / 4, abs=60)


def test_a_large_entity_is_never_divided_and_is_said_to_make_parts_uneven() -> None:
    table = with_entities(np.where(np.arange(300) < 250, 0, np.arange(300)), distinct(60, 240))
    assert any("one value of 'customer' holds 250 of 300 rows" in note for note in notes(table, 5))


def with_entities(entity: list[int] | np.ndarray[tuple[int], np.dtype[np.int64]], table: Table) -> Table:
    card = table.card.model_copy(update={"entity": "customer"})
    return replace(table, card=card, entity=np.asarray(entity, dtype=np.int64))


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_an_entity_is_on_one_side_in_splits_and_in_the_splits_of_a_study(folds: int) -> None:
    rng = np.random.default_rng(folds)
    owner = rng.integers(0, 60, 600)
    table = with_entities(owner, distinct(120, 480))
    for one in STRICT.splits(table, folds=folds, repeats=2):
        parts = [set(owner[part]) for part in (one.train, one.valid, one.test)]
        assert sum(map(len, parts)) == len(set(owner))
    for inner in STRICT.inner(table, one, folds):
        assert not set(owner[inner.train]) & set(owner[inner.valid])
        assert set(inner.training) == set(one.training)


def test_what_is_equal_to_an_entitys_row_goes_with_it() -> None:
    """Rows 0 and 5 are equal, of the customers 0 and 2: all of both are on one side."""
    table = distinct(60, 240)
    table.X.loc[[0, 5], "a"] = 1000.0
    owner = np.arange(300) // 3
    owner[5] = 2
    for one in STRICT.splits(with_entities(owner, table)):
        sides = [i for i, part in enumerate((one.train, one.valid, one.test)) if np.isin([0, 5], part).any()]
        assert len(sides) == 1


def test_entities_that_equal_rows_chain_together_are_held_alone() -> None:
    owner = np.random.default_rng(0).integers(0, 100, 600)
    table = with_entities(owner, noise(5, 0))
    for one in STRICT.splits(table):
        assert not set(owner[one.test]) & set(owner[one.training])
    (line,) = notes(table, 5)
    assert "would chain too many values of 'customer'" in line


def test_an_entity_that_leaves_a_part_without_a_class_is_named() -> None:
    table = distinct(30, 270)
    owner = np.arange(300)
    owner[table.y == 1] = 1000
    with pytest.raises(BadTable, match=r"has positives in 1 of the values of 'customer'.*No number works"):
        STRICT.splits(with_entities(owner, table))
    positives = np.flatnonzero(table.y == 1)
    owner[positives[:3]] = 1001, 1002, 1003
    with pytest.raises(
        BadTable, match=r"One value of 'customer'.*holds 27 of 30 positives.*row \d+ is of it"
    ):
        STRICT.splits(with_entities(owner, table), folds=2)


def test_a_protocol_that_divides_an_entity_is_refused() -> None:
    table = with_entities(np.zeros(300, dtype=np.int64), distinct(60, 240))
    split = STRICT.splits(distinct(60, 240))[0]
    with pytest.raises(BadSplit, match="2 values of 'customer' lie in more than one part"):
        check_split(split, table, "own", validates=True)
    check_split(split, table, "own", validates=True, divides_entities=True)


def test_an_entity_on_both_sides_would_tell_the_label_where_nothing_does() -> None:
    """Customers keep their habits and their label: by its nearest row a customer is known again, .9 for .5."""
    rng = np.random.default_rng(0)
    owner = np.arange(900) % 90
    risky, habit = rng.random(90) < 0.3, rng.normal(size=(90, 3))
    X = pd.DataFrame(habit[owner] + rng.normal(0, 0.05, (900, 3)), columns=["a", "b", "c"])
    plain = replace(distinct(20, 100), X=X, y=risky[owner].astype(np.int8))

    def area(table: Table) -> float:
        areas = []
        for one in STRICT.splits(table):
            nearest = KNeighborsClassifier(5).fit(X.iloc[one.training], table.y[one.training])
            areas.append(roc_auc_score(table.y[one.test], nearest.predict_proba(X.iloc[one.test])[:, 1]))
        return float(np.mean(areas))

    assert area(plain) > 0.95
    assert abs(area(with_entities(owner, plain)) - 0.5) < 0.1


HASHES = {  # of the splits as they were before groups of mixed labels were one
    "loan-sim": ("5ee22ff2ddc6b76c", "fc8806e62c164b12"),
    "fraud-sim": ("68160182070a8de1", "d543e947eb72c1d3"),
}


@pytest.mark.parametrize("name", HASHES)
def test_tables_without_groups_of_mixed_labels_are_split_as_ever(name: str) -> None:
    table = load(card(name), rows=20000)
    splits = STRICT.splits(table, repeats=2)
    inner = STRICT.inner(table, splits[0], 3)
    assert tuple(digest([one.sha256 for one in each])[:16] for each in (splits, inner)) == HASHES[name]

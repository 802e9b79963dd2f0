"""Identifiers, and what nearly is one, tell no row from its copy; other columns do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bench
from bench.data.describe import describe
from bench.data.identifiers import equality, identifiers
from bench.data.split import stratified
from bench.data.table import Table
from bench.data.values import Series

N, TIMES = 2400, 4
RNG = np.random.default_rng(10)
PLACE = RNG.permutation(N)
SLIPS = RNG.permutation(N)[: N // 33]
ROUND = pd.DataFrame(RNG.normal(size=(N // TIMES, 3)).round(2), columns=list("abc"))
COPIES = {
    "rounded": ROUND,
    "exact": ROUND + RNG.normal(size=ROUND.shape) / 1000,
    "two columns": ROUND[["a", "b"]],
    "whole numbers and categories": pd.DataFrame(
        {
            "amount": RNG.integers(100, 20_000, N // TIMES),
            "age": RNG.integers(18, 80, N // TIMES),
            "months": RNG.choice([6, 12, 24, 36], N // TIMES),
            "purpose": RNG.choice(list("uvwxyz"), N // TIMES),
            "owns": RNG.choice(["own", "rent", None], N // TIMES),
        }
    ),
}
EACH = {
    "unique": PLACE,
    "half": PLACE + 0.5,
    "missing once": np.where(PLACE == 7, np.nan, PLACE),
    "missing in some": pd.Series(PLACE, dtype=float).mask(np.isin(PLACE, SLIPS)),
    "given twice": np.where(PLACE == 7, 8, PLACE),
    "given twice at times": np.where(np.isin(PLACE, SLIPS), PLACE // 2, PLACE),
    "times": 1.6e9 + PLACE * 60 + RNG.random(N).round(3),
    "noise": RNG.random(N),
    "scattered": RNG.permutation(10_000_000)[:N],
    "codes": np.array([f"K{place:05d}" for place in PLACE]),
}


def read(X: pd.DataFrame, folder: Path, **options: Any) -> Table:
    """Return the table of a CSV file with labels that are drawn without regard to its columns."""
    y = (np.random.default_rng(3).random(len(X)) < 0.2).astype(int)
    X.assign(y=y).to_csv(folder / "d.csv", index=False)
    return bench.load(data_file=folder / "d.csv", target="y", **options)


def copied(kind: str) -> pd.DataFrame:
    return pd.concat([COPIES[kind]] * TIMES, ignore_index=True)


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("each", [name for name in EACH if name != "codes"])
def test_a_column_that_nearly_tells_every_row_does_not_keep_copies_apart(
    kind: str, each: str, tmp_path: Path
) -> None:
    table = read(copied(kind).assign(id=EACH[each]), tmp_path)
    original = np.arange(N) % (N // TIMES)
    for split in stratified(table, 3, 1):
        assert not set(original[split.test]) & set(original[split.training])
    (line,) = [line for line in describe(table).warnings if line.startswith("'id'")]
    assert line.endswith(": --drop id")


@pytest.mark.parametrize("names", [["times", "missing once"], ["noise", "unique", "given twice"]])
def test_several_such_columns_keep_no_copies_apart(names: list[str], tmp_path: Path) -> None:
    columns = {f"id{place}": EACH[name] for place, name in enumerate(names)}
    table = read(copied("rounded").assign(**columns), tmp_path)
    original = np.arange(N) % (N // TIMES)
    for split in stratified(table, 3, 1):
        assert not set(original[split.test]) & set(original[split.training])


def test_a_few_copies_among_rows_of_numbers_that_all_differ_are_found(tmp_path: Path) -> None:
    X = pd.DataFrame(RNG.normal(size=(2000, 4)), columns=list("abcd"))
    X.iloc[1960:] = X.iloc[:40].to_numpy()
    table = read(X.assign(id=np.where(np.arange(2000) == 5, np.nan, RNG.permutation(2000))), tmp_path)
    for split in stratified(table, 3, 1):
        assert not set(split.test % 1960) & set(split.training % 1960)


def test_rows_grouped_today_stay_together(tmp_path: Path) -> None:
    """A unique number is left out as ever; rows equal without a nearly unique one join those groups."""
    X = copied("rounded").assign(id=PLACE, at=EACH["noise"])
    X.iloc[N // 2 :, X.columns.get_loc("at")] = X["at"].iloc[: N // 2].to_numpy()
    same = equality(X.assign(y=0))
    assert same.identifiers == ("id",)
    assert same.without is not None


ORDINARY = {
    "a code beside an amount": {"amount": RNG.lognormal(5, 1, N), "zip": RNG.integers(0, 300, N)},
    "an amount in a few sorts": {
        "amount": RNG.lognormal(5, 1, N),
        "sort": RNG.choice(list("uvw"), N),
        "owns": RNG.integers(0, 2, N),
    },
    "numbers and codes": {
        "x": RNG.normal(size=N),
        "z": RNG.normal(size=N),
        "zip": RNG.integers(0, 300, N),
        "age": RNG.integers(18, 80, N),
        "sort": RNG.choice(list("uvw"), N),
    },
    "dummies": {
        "x": RNG.normal(size=N),
        **{f"d{i}": (np.arange(N) % 12 == i).astype(int) for i in range(12)},
        **{f"e{i}": (RNG.permutation(N) % 20 == i).astype(int) for i in range(3)},
    },
    "places within regions": {
        "x": RNG.normal(size=N),
        "zip": (zips := RNG.integers(0, 300, N)),
        "city": zips // 4,
        "region": zips // 50,
        "sex": RNG.integers(0, 2, N),
    },
    "months of lateness": {
        "x": RNG.normal(size=N),
        **{f"late{i}": late for i, late in enumerate(np.cumsum(RNG.random((6, N)) < 0.1, axis=0))},
    },
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_an_ordinary_column_of_different_values_tells_rows_apart(kind: str, tmp_path: Path) -> None:
    X = pd.DataFrame(ORDINARY[kind])
    table = read(X, tmp_path)
    assert table.equality.coarse is None
    assert not [line for line in describe(table).warnings if "every row" in line]


def test_identifiers_are_texts_or_numbers_whole_steps_apart_that_are_unique() -> None:
    columns: dict[str, Series] = {
        "id": pd.Series(np.arange(N)),
        "half": pd.Series(np.arange(N) + 0.5),
        "key": pd.Series(EACH["codes"], dtype="category"),
        "code": pd.Series(np.arange(N) % 9),
        "x": pd.Series(RNG.normal(size=N)),
    }
    assert identifiers(pd.DataFrame(columns)) == ["id", "half", "key"]


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("name", ["id", "c", "customerId", "loan_nr", "hash"])
def test_a_number_of_its_own_in_every_row_keeps_no_copies_apart_whatever_its_name(
    kind: str, name: str, tmp_path: Path
) -> None:
    table = read(copied(kind).assign(**{name: EACH["scattered"]}), tmp_path)
    original = np.arange(N) % (N // TIMES)
    for split in stratified(table, 3, 1):
        assert not set(original[split.test]) & set(original[split.training])


@pytest.mark.parametrize("kind", ORDINARY)
def test_an_amount_in_cents_that_is_another_in_every_row_tells_rows_apart(kind: str, tmp_path: Path) -> None:
    """Else all rows of a merchant were equal, and none of them could be learned from."""
    X = pd.DataFrame(ORDINARY[kind]).drop(columns=["amount", "x"], errors="ignore")
    table = read(X.assign(cents=RNG.permutation(N * 50)[:N]), tmp_path)
    assert table.equality.identifiers == ()
    assert table.equality.coarse is None
    (line,) = [line for line in describe(table).warnings if line.startswith("'cents'")]
    assert "an identifier or an amount: --drop cents" in line


def test_a_merchant_is_learned_from_beside_amounts_of_their_own(tmp_path: Path) -> None:
    """Every merchant of the test rows has rows to train on."""
    X = pd.DataFrame({"merchant": np.arange(N) % 40, "cents": RNG.permutation(N * 50)[:N]})
    table = read(X, tmp_path)
    for split in stratified(table, 3, 1):
        merchants = table.X["merchant"].to_numpy()
        assert set(merchants[split.test]) <= set(merchants[split.train])


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *(
            (name, True)
            for name in ("id", "ID", "customer_id", "customerID", "loan no", "Loan_Nr", "row.id", "id2")
        ),
        *((name, False) for name in ("paid", "AmountPaid", "income", "casino", "tornado", "bid", "cents")),
    ],
)
def test_a_name_says_that_a_number_of_its_own_is_an_identifier(name: str, is_one: bool) -> None:
    assert (identifiers(pd.DataFrame({name: EACH["scattered"]})) == [name]) == is_one

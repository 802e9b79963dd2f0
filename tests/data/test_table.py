"""A frame and its card become a table, or an error that says which column, what was found and what to do."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data import cards
from bench.data.cards import Dataset, Expected, Simulator, Source, card, card_for_file, card_for_frame
from bench.data.extremes import extremes
from bench.data.table import Table, load, table_from_frame
from bench.errors import BadSetting, BadTable, HashMismatch, UnknownName

ROWS = 6


def frame(**columns: Any) -> pd.DataFrame:
    """Return six rows: a numeric feature, a categorical one, a label, and what is given."""
    fixed = {"a": [1, 2, 3, 4, 5, 6], "b": ["u", "v", "u", "v", "u", "v"], "y": [0, 1, 0, 0, 1, 0]}
    return pd.DataFrame(fixed | columns)


def table(raw: pd.DataFrame, **roles: Any) -> Table:
    roles = {"target": "y"} | roles
    return table_from_frame(raw, card_for_file(Path("my.csv"), **roles), sha256="0" * 64)


def test_the_kinds_of_features() -> None:
    raw = frame(
        logical=[True, False, True, None, False, True],
        texts=["1", "2.5", None, "1e3", "-4", "5"],
        gaps=["p", None, "q", "p", "q", "p"],
        nullable=pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
        declared=pd.Categorical(["2", "1", "2", "1", None, "1"], categories=["2", "1", "9"]),
    )
    found = table(raw)
    assert found.numeric == ["a", "logical", "texts", "nullable"]
    assert found.categorical == ["b", "gaps", "declared"]
    assert all(found.X[name].dtype == np.float64 for name in found.numeric)
    np.testing.assert_array_equal(found.X["texts"], [1, 2.5, np.nan, 1000, -4, 5])
    np.testing.assert_array_equal(found.X["logical"], [1, 0, 1, np.nan, 0, 1])
    assert found.X["gaps"].cat.codes.tolist() == [0, -1, 1, 0, 1, 0]
    assert found.X["declared"].cat.categories.tolist() == ["1", "2"]
    assert (found.name, found.n_rows, found.n_positives, found.prevalence) == ("my", 6, 2, 1 / 3)
    assert found.y.dtype == np.int8
    assert found.source == "file"


def test_columns_named_categorical_keep_whole_numbers_whole() -> None:
    mine = card_for_file(Path("my.csv"), target="y", categorical=("a", "code"))
    found = table_from_frame(frame(code=[1, None, 2, 1, 2, 1.5]), mine, sha256="")
    assert found.X["code"].cat.categories.tolist() == ["1", "1.5", "2"]
    assert found.categorical == ["a", "b", "code"]


def test_the_table_does_not_share_memory_with_the_frame() -> None:
    raw = frame(f=np.arange(6.0))
    found = table(raw, amount="f")
    found.X.loc[0, "f"] = 99.0
    assert found.amount is not None
    assert (raw["f"][0], found.amount[0]) == (0.0, 0.0)


def test_a_table_says_in_a_line_what_it_is() -> None:
    found = table(frame())
    line = "Table('my', 6 rows x 2 features (1 numeric, 1 categorical), 2 positives (33.3 %), source file)"
    assert repr(found) == line
    rare = table(pd.DataFrame({"a": range(2000), "y": [1, *[0] * 1999]}))
    assert "2,000 rows x 1 features (1 numeric, 0 categorical), 1 positives (0.05 %)" in repr(rare)


def test_roles_take_columns_out_of_the_features() -> None:
    raw = frame(when=[6, 5, 4, 3, 2, 1], value=[1.5, 2, 3, 4, 5, None], id=list("abcdef"))
    found = table(raw, time="when", amount="value", drop=("id",))
    assert list(found.X) == ["a", "b", "value"]
    np.testing.assert_array_equal(found.time, [6, 5, 4, 3, 2, 1])
    np.testing.assert_array_equal(found.amount, [1.5, 2, 3, 4, 5, np.nan])
    assert table(raw, amount="value", drop=("value", "id")).amount is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [("1970-01-02", "1970-01-03 00:00:10"), ("Jan-1970", "Feb-1970"), ("02-Jan-1970", "03-Feb-1970")],
)
def test_times_may_be_dates(first: str, second: str) -> None:
    found = table(frame(when=[first, second] * 3), time="when").time
    assert found is not None
    days = {"Jan-1970": 0, "Feb-1970": 31, "02-Jan-1970": 1, "03-Feb-1970": 33, "1970-01-02": 1}
    assert found[0] == 86400 * days[first]
    assert found[1] == (86400 * days[second] if second in days else 2 * 86400 + 10)


def test_time_columns_of_a_date_type() -> None:
    when = pd.date_range("1970-01-01", periods=ROWS, freq="h")
    for dates in (when, when.tz_localize("UTC")):
        np.testing.assert_array_equal(table(frame(when=dates), time="when").time, 3600.0 * np.arange(6))


@pytest.mark.parametrize(
    "roles",
    [{"target": "yy"}, {"time": "yy"}, {"amount": "yy"}, {"drop": ("yy",)}, {"categorical": ("yy",)}],
)
def test_a_column_that_is_not_there_is_named_with_the_nearest(roles: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match=r"Unknown column 'yy'\. Did you mean 'y'\? Known: a, b, y"):
        table(frame(), **roles)


def test_only_a_registered_card_s_own_drops_may_be_absent() -> None:
    loan = card("loan-sim")
    made = load(loan, rows=2000)
    raw = made.X.assign(**{loan.target: made.y})
    missing = loan.model_copy(update={"drop": ("nowhere",), "expected": None})
    with pytest.raises(UnknownName, match="nowhere"):
        table_from_frame(raw, missing, sha256="")


@pytest.mark.parametrize(
    ("columns", "roles", "message"),
    [
        ({}, {"drop": ("a", "b")}, r"No feature is left"),
        ({}, {"drop": ("y",)}, r"target 'y' is also dropped"),
        ({}, {"amount": "y"}, r"target 'y' is also"),
        (
            {"e": [None] * 6, "k 1": [7] * 6, "t": ["x"] * 6},
            {},
            r"all missing: 'e'; constant: 'k 1', 't'\); give --drop e --drop 'k 1' --drop t\.",
        ),
        (
            {"i": [1, np.inf, 2, 3, -np.inf, 4]},
            {},
            r"in 'i' \(2, the first inf in row 2 of the data\); .*--drop i",
        ),
        ({"when": pd.date_range("2020", periods=6)}, {}, r"'when' holds dates.*--time when or --drop when"),
        ({"x": [[1], [2], [3], [4], [5], [6]]}, {}, r"'x' does not hold single values; give --drop x"),
        ({"when": [1, None, 3, 4, 5, 6]}, {"time": "when"}, r"no finite time in 1 rows"),
        ({"when": ["1/2/20", "soon"] * 3}, {"time": "when"}, r"neither numbers nor dates"),
        ({}, {"amount": "b"}, r"amount column 'b' does not hold finite numbers: row 1 of the data holds '"),
    ],
)
def test_tables_that_cannot_be_judged(columns: dict[str, Any], roles: dict[str, Any], message: str) -> None:
    with pytest.raises(BadTable, match=message):
        table(frame(**columns), **roles)


def test_a_value_beside_missing_ones_is_not_constant() -> None:
    assert "k" in table(frame(k=[7, None] * 3)).numeric


def test_repeated_names_and_no_rows_are_refused() -> None:
    raw = frame()
    with pytest.raises(BadTable, match=r"More than one column is named 'a'"):
        table(pd.concat([raw, raw[["a"]]], axis=1))
    with pytest.raises(BadTable, match=r"3 columns but no rows"):
        table(raw.head(0))


def test_free_text_is_refused_and_many_codes_are_not() -> None:
    n = 3000
    raw = pd.DataFrame({"y": [0, 1] * (n // 2), "id": [f"u{i}" for i in range(n)]})
    with pytest.raises(BadTable, match=r"'id' \(3,000 values\); give --drop id"):
        table(raw)
    assert table(raw.assign(id=[f"u{i % 1000}" for i in range(n)])).categorical == ["id"]


def test_expected_counts_are_held_to() -> None:
    mine = card_for_file(Path("my.csv"), target="y", expected=Expected(rows=6, columns=3, positives=2))
    assert table_from_frame(frame(), mine, sha256="").n_rows == 6
    wrong = mine.model_copy(update={"expected": Expected(rows=7, columns=4, positives=3)})
    message = r"6 rows where 7 are expected; 3 columns where 4 .*; 2 positives where 3"
    with pytest.raises(BadTable, match=message):
        table_from_frame(frame(), wrong, sha256="")


@pytest.mark.parametrize("name", ["fraud-sim", "loan-sim"])
def test_a_simulator_s_table_has_its_probability_and_a_hash_of_what_was_asked(name: str) -> None:
    found = load(card(name), rows=5000)
    assert found.n_rows == 5000
    assert found.source == "simulator"
    assert found.probability is not None
    assert found.probability.shape == (5000,)
    assert load(card(name), rows=5000).sha256 == found.sha256 != load(card(name), rows=5001).sha256
    other = card(name).model_copy(update={"simulator": Simulator(rows=5000, seed=99)})
    assert load(other.model_copy(update={"expected": None})).sha256 != found.sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fraud-sim", "loan-sim"])
def test_a_simulator_at_its_own_size_is_as_its_card_expects(name: str) -> None:
    found = load(card(name))
    assert found.n_rows == card(name).simulator.rows  # type: ignore[union-attr]


def test_a_file_of_the_user_s_own_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    frame().to_csv(path, index=False)
    found = load(card_for_file(path, target="y"), data_file=path)
    pd.testing.assert_frame_equal(found.X, table(frame()).X)
    assert (found.source, len(found.sha256)) == ("file", 64)


def source(path: Path, **fields: Any) -> Source:
    fields = {"sha256": sha256_of(path)} | fields
    return Source(kind="mirror", file=path.name, url="https://example.org/my.csv", **fields)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def with_sources(*sources: Source) -> Dataset:
    return card_for_file(Path("my.csv"), target="y", sources=sources)


def test_a_source_s_own_spellings_replace_the_card_s(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    frame(y=["g", "b", "g", "g", "b", "g"]).to_csv(path, index=False)
    spelt = source(path, columns=("a", "b", "Bad"), target="Bad", positive="b")
    found = load(with_sources(spelt), data_file=path)
    assert found.card.target == "Bad"
    assert found.y.tolist() == [0, 1, 0, 0, 1, 0]


def test_a_file_that_is_none_of_the_card_s_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    frame().to_csv(path, index=False)
    with pytest.raises(HashMismatch):
        load(with_sources(source(path, sha256="0" * 64)), data_file=path)


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"10 rows were asked of 'my'"):
        load(with_sources(), data_file=tmp_path / "my.csv", rows=10)
    with pytest.raises(BadSetting, match=r"is simulated and reads no file"):
        load(card("loan-sim"), data_file=tmp_path / "my.csv")


@pytest.mark.parametrize(
    ("name", "roles", "shape", "n_positives", "n_categorical"),
    [
        ("loan_data.csv", {"target": "not.fully.paid"}, (9578, 13), 1533, 1),
        (
            "UCI_Credit_Card.csv",
            {"target": "default.payment.next.month", "drop": ("ID",)},
            (30000, 23),
            6636,
            0,
        ),
        ("german.data", {"target": "c21", "positive": 2}, (1000, 20), 300, 13),
        (
            "ulb_creditcard_casecontrol.parquet",
            {"target": "Class", "time": "Time", "amount": "Amount"},
            (35632, 29),
            492,
            0,
        ),
    ],
)
def test_real_tables(
    name: str,
    roles: dict[str, Any],
    shape: tuple[int, int],
    n_positives: int,
    n_categorical: int,
    data_folder: Path,
) -> None:
    path = data_folder / name
    found = load(card_for_file(path, **roles), data_file=path)
    assert found.X.shape == shape
    assert found.n_positives == n_positives
    assert len(found.categorical) == n_categorical
    assert not found.X.isna().any().any()


@pytest.mark.parametrize(
    ("name", "file"),
    [("loan", "loan_data.csv"), ("credit-default", "UCI_Credit_Card.csv"), ("german-credit", "german.data")],
)
def test_real_tables_are_what_their_cards_expect(name: str, file: str, data_folder: Path) -> None:
    found = load(card(name), data_file=data_folder / file)
    expected = card(name).expected
    assert expected is not None
    assert (found.n_rows, found.n_positives) == (expected.rows, expected.positives)
    assert extremes(found.X, found.numeric) == {}  # their keys do not say how these are drawn in


def test_another_reading_is_another_key_but_for_the_cards_of_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card from outside promises no values, and extreme ones are drawn in by a rule that may change."""
    text = (cards.cards_folder() / "german-credit.toml").read_text()
    (tmp_path / "loans.toml").write_text(text.replace('name = "german-credit"', 'name = "loans"'))
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path))
    read = [card("german-credit"), card("loans"), card_for_file(tmp_path / "t.csv", "y"), card_for_frame("y")]
    before = [each.recipe_sha256 for each in read]
    assert before[0] == "764f0d64300efba7e21a7f159a76c29d5d9159ec799bc9f3af6c32601f68c6a4"
    monkeypatch.setattr(cards, "READING", cards.READING + 1)
    assert [each.recipe_sha256 != old for each, old in zip(read, before, strict=True)] == [
        False,
        True,
        True,
        True,
    ]


def test_a_stray_text_among_numbers_is_named_and_never_makes_a_category_of_them() -> None:
    values = [f"{i / 7:.3f}" for i in range(300)]
    frame = pd.DataFrame({"a": [*values[:-1], "abc"], "y": [i % 3 == 0 for i in range(300)]})
    with pytest.raises(BadTable, match=r"'a' holds numbers but for 1 of 300 values, such as 'abc'"):
        table_from_frame(frame, card_for_file(Path("t.csv"), "y"), sha256="0" * 64)


def test_codes_of_which_one_is_a_letter_stay_categories() -> None:
    frame = pd.DataFrame({"a": [*"123456789" * 30, "U"], "y": [i % 3 == 0 for i in range(271)]})
    table = table_from_frame(frame, card_for_file(Path("t.csv"), "y"), sha256="0" * 64)
    assert table.categorical == ["a"]


def test_a_column_that_is_not_there_is_told_with_how_the_header_was_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("2020,2021\n1,0\n5,1\n7,0\n")
    with pytest.raises(
        UnknownName, match=r"Known: c1, c2\. As read: no header was found: .* '2020', '2021'\."
    ):
        load(card_for_file(tmp_path / "t.csv", "2021"), data_file=tmp_path / "t.csv")


@pytest.mark.parametrize("gap", ["", "9007199254740992"])
def test_identifiers_that_are_one_float64_are_no_constant(tmp_path: Path, gap: str) -> None:
    """They differ, and only float64 makes them equal."""
    path = tmp_path / "t.csv"
    rows = [f"{9007199254740992 + i % 2},{i},{i % 2}" for i in range(8)] + [f"{gap},8,1"]
    path.write_text("\n".join(["id,x,y", *rows]))
    with pytest.raises(
        BadTable, match=r"beyond 2\^53 that become one number.* 'id'; give --drop id, or --categorical"
    ):
        load(card_for_file(path, "y"), data_file=path)
    result = load(card_for_file(path, "y", categorical=("id",)), data_file=path)
    assert result.X["id"].cat.categories.tolist() == ["9007199254740992", "9007199254740993"]
    assert "of 2 different ones, float64 keeps 1 apart" in result.notes[0]

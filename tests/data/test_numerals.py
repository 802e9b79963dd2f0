"""Numbers written as text: what each spelling is worth, what is a code, and when a column agrees."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.cards import card_for_file
from bench.data.numerals import (
    Marks,
    Parsed,
    Strays,
    Undecided,
    as_numbers,
    decimal_mark,
    is_missing_word,
    numeral,
)
from bench.data.table import load
from bench.errors import BadTable


def judged(*texts: str, marks: Marks | None = None) -> Parsed | Strays | Undecided | None:
    return as_numbers(texts, np.ones(len(texts), dtype=np.intp), marks or Marks())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10.6%", 10.6),
        ("10.6 %", 10.6),
        ("%10", 10),
        ("-5%", -5),
        ("$1,234.50", 1234.5),
        ("-$5", -5),
        ("$-5", -5),
        ("$(54.00)", -54),
        ("($54.00)", -54),
        ("(54.00)", -54),
        ("54.00-", -54),
        ("(0.00)", 0),
        ("USD 1,000", 1000),
        ("5EUR", 5),
        ("100 kr", 100),
        ("1e3", 1000),
        ("1.5E+05", 150_000),
        ("1'234.50", 1234.5),
        ("1’234.50", 1234.5),
        ("1 234.5", 1234.5),
        ("1\u00a0234\u00a0567", 1_234_567),
        ("1\u202f234", 1234),
        ("1\u2009234", 1234),
        ("1,234,567.89", 1_234_567.89),
        ("₹1,23,456.78", 123_456.78),
        ("36 months", 36),
        ("5kg", 5),
        ("30d", 30),
        ("10bps", 10),
        ("1.5k", 1500),
        ("1.1k", 1100),
        ("$1.5M", 1_500_000),
        ("2bn", 2e9),
        ("−5.5", -5.5),
        ("–5.5", -5.5),
        ("+3", 3),
        (".5", 0.5),
        ("5.", 5),
        ("１２％", 12),
    ],
)
def test_a_text_with_a_decimal_point(text: str, value: float) -> None:
    number = numeral(text)
    assert number is not None
    assert number.value(".") == value
    assert str(number.value(".")) != "-0.0"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,5", 1.5),
        ("1.234,56 €", 1234.56),
        ("1.234.567", 1_234_567),
        ("1 234,5", 1234.5),
        ("1'234,5", 1234.5),
        ("0,123", 0.123),
        ("(1.234,50)", -1234.5),
        ("1,5 Mio. €", 1_500_000),
        ("1,5E-3", 0.0015),
        ("12,5 %", 12.5),
    ],
)
def test_a_text_with_a_decimal_comma(text: str, value: float) -> None:
    number = numeral(text)
    assert number is not None
    assert number.shape.marks == (",",)
    assert number.value(",") == value


@pytest.mark.parametrize(
    "text",
    [
        *("A12", "941xx", "12-34", "18-25", "< 1 year", "10+ years", "10+", "1.2.3", "1.10.2", "192.168.0.1"),
        *(
            "192.168.100.200",
            "0x1F",
            "1/2",
            "1:30",
            "555-1234",
            "(555) 123-4567",
            "+48 600 123 456",
            "555 123 4567",
        ),
        *(
            "49,-",
            "5 PM",
            "1 May",
            "1st",
            "(-5)",
            "(5",
            "5)",
            "5 A",
            "12 Main St",
            "1,234,5",
            "1,23",
            "$",
            "%",
            "-",
        ),
        *("5 - 10", "~5", "", "abc", "5%%", "$5 €3", "1_000", "12 345 67", "1 2 3", "--5", "5%kg"),
    ],
)
def test_a_text_that_is_no_number_with_a_point(text: str) -> None:
    number = numeral(text)
    assert number is None or "." not in number.shape.marks


@pytest.mark.parametrize(
    "word", ["#N/A", "\\N", "?", "(null)", "None", "-", "--", ".", "n.a.", "Missing", "UNKNOWN", "<NA>"]
)
def test_words_of_missing(word: str) -> None:
    assert is_missing_word(word)
    assert numeral(word) is None


def test_a_column_that_agrees_says_how_it_is_written() -> None:
    read = judged("10.6%", "0", "5%", "-")
    assert isinstance(read, Parsed)
    np.testing.assert_array_equal(read.values, [10.6, 0, 5, np.nan])
    assert read.style == "percent"
    money = judged("$1,234.50", "($2.00)", "3")
    assert isinstance(money, Parsed)
    np.testing.assert_array_equal(money.values, [1234.5, -2, 3])
    assert money.style == (
        "currency $, commas between thousands, negatives in parentheses or with a minus behind"
    )


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (("1 year", "2 years"), (1, 2)),
        (("1 Monat", "2 Monate"), (1, 2)),
        (("5 KG", "6 kg"), (5, 6)),
        (("1.5k", "20", "3M"), (1500, 20, 3_000_000)),
        (("0", "5kg"), (0, 5)),
        (("1,234", "12,345"), (1234, 12345)),
        (("1,234", "1,5"), (1.234, 1.5)),
        (("1.234", "1.234.567"), (1234, 1_234_567)),
        (("1,234", "1,234.5"), (1234, 1234.5)),
        (("1.234", "2.5"), (1.234, 2.5)),
    ],
)
def test_what_a_column_agrees_on(texts: tuple[str, ...], values: tuple[float, ...]) -> None:
    read = judged(*texts)
    assert isinstance(read, Parsed)
    assert tuple(read.values) == values


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (("5%", "0.05"), "with and without %"),
        (("$5", "€3"), "in several currencies ($, EUR)"),
        (("5 kg", "3 lb"), r"in several units ('kg', 'lb')"),
        (("5 min", "3 mi"), r"in several units ('mi', 'min')"),
        (("1.5", "1,5"), "with decimal points and with decimal commas"),
        (("5 kg", "abc"), ""),
    ],
)
def test_what_a_column_differs_in(texts: tuple[str, ...], reason: str) -> None:
    read = judged(*texts)
    assert isinstance(read, Strays)
    assert read.reason == reason


def test_texts_without_a_number_are_none() -> None:
    assert judged("a", "b") is None
    assert judged("-", "unknown") is None


@pytest.mark.parametrize(
    ("texts", "marks", "values"),
    [
        (("1.234", "5.678"), Marks(), (1.234, 5.678)),
        (("1.234", "5.678"), Marks(semicolons=True), (1234, 5678)),
        (("1.234", "5.678"), Marks(","), (1234, 5678)),
        (("1.234", "5.678"), Marks(".", declared=True, semicolons=True), (1.234, 5.678)),
        (("1,234", "5,678"), Marks(), (1234, 5678)),
        (("1,234", "5,678"), Marks(","), (1.234, 5.678)),
        (("1,234", "5,678"), Marks(".", semicolons=True), (1234, 5678)),
        (("1,234", "5,678"), Marks(",", declared=True), (1.234, 5.678)),
        (("1,234", "1.234"), Marks(",", declared=True), (1.234, 1234)),
    ],
)
def test_a_file_s_decimal_mark_decides_what_a_column_does_not(
    texts: tuple[str, ...], marks: Marks, values: tuple[float, ...]
) -> None:
    read = judged(*texts, marks=marks)
    assert isinstance(read, Parsed)
    assert tuple(read.values) == values
    assert read.guessed == (marks == Marks(semicolons=True))


@pytest.mark.parametrize(
    ("texts", "marks", "declared"),
    [
        (("1,234", "1.234"), Marks(), False),
        (("1,234", "5,678"), Marks(semicolons=True), False),
        (("1,234", "5,678"), Marks(mixed=True), False),
        (("1.234", "5.678"), Marks(mixed=True), False),
        (("1.5", "2.5"), Marks(",", declared=True), True),
        (("1,5", "2"), Marks(".", declared=True), True),
    ],
)
def test_what_nothing_decides(texts: tuple[str, ...], marks: Marks, declared: bool) -> None:
    assert judged(*texts, marks=marks) == Undecided(texts[0], declared)


def test_the_decimal_mark_that_texts_say() -> None:
    assert decimal_mark(["1,5", "1,234", "-"]) == ","
    assert decimal_mark(["$1.50", "2"]) == "."
    assert decimal_mark(["1,234"]) is None
    assert decimal_mark(["1,5", "1.5"]) is None
    assert decimal_mark(["1,5", "abc"]) is None


@given(st.floats(-1e15, 1e15, allow_nan=False), st.integers(0, 4), st.sampled_from(["", "$", "€"]))
def test_every_grouped_number_is_read_back(number: float, n_decimals: int, currency: str) -> None:
    text = f"{number:,.{n_decimals}f}"
    point = numeral(currency + text)
    comma = numeral(text.translate(str.maketrans(",.", ".,")) + currency)
    assert point is not None
    assert comma is not None
    assert point.value(".") == comma.value(",") == float(text.replace(",", ""))


@given(st.text(alphabet="0123456789.,' -+()%$€kMEe", max_size=12))
def test_what_python_reads_is_read_the_same(text: str) -> None:
    number = numeral(text)
    try:
        value = float(text)
    except ValueError:
        return
    assert number is not None
    assert number.value(".") == value


def test_a_german_column_is_thousands_though_others_have_decimal_points(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    euros = rng.integers(50, 90_000, 400)
    frame = pd.DataFrame({"euros": [f"{value:,}".replace(",", ".") for value in euros], "y": [0, 1] * 200})
    frame.assign(x=rng.normal(size=400)).to_csv(tmp_path / "d.csv", sep=";", index=False)
    table = load(card_for_file(tmp_path / "d.csv", "y"), data_file=tmp_path / "d.csv")
    assert table.X["euros"].tolist() == euros.tolist()
    assert any("give --decimal ." in note for note in table.notes)


# By name: columns of a file in German, and what the first is worth. The last says how many rows there are.
GERMAN: dict[str, tuple[list[list[str]], list[float], int]] = {
    "cents beside": ([["7.995", "1.250", "500"], ["1,16", "0,46", "12,00"]], [7995, 1250, 500], 20),
    "many rows": ([["7.995", "1.250", "12.345"], ["1,16", "0,46", "12,00"]], [7995, 1250, 12345], 300),
    "tenths beside": ([["1.234", "5.678"], ["1,5", "2"]], [1234, 5678], 20),
    "whole numbers beside": ([["1.234", "5.678"], ["7", "8", "9"], ["0,5", "2,25"]], [1234, 5678], 20),
    "both in one": ([["1.234", "1,5", "20"]], [1234, 1.5, 20], 20),
    "with euros": ([["7.995", "1.250"], ["1,16 €", "0,46 €"]], [7995, 1250], 20),
    "millions beside": ([["7.995", "1.250"], ["1.234.567", "2.345.678"], ["0,46"]], [7995, 1250], 20),
    "three decimals beside": ([["7.995", "1.250"], ["0,125", "2,500"]], [7995, 1250], 20),
}


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("name", GERMAN)
def test_thousands_beside_decimal_commas_are_thousands(name: str, separator: str, tmp_path: Path) -> None:
    columns, values, n_rows = GERMAN[name]
    frame = pd.DataFrame(
        {f"c{i}": [column[row % len(column)] for row in range(n_rows)] for i, column in enumerate(columns)}
    )
    frame.assign(g=["u", "v"] * (n_rows // 2), y=[0, 1] * (n_rows // 2)).to_csv(
        tmp_path / "d.csv", sep=separator, index=False
    )
    table = load(
        card_for_file(
            tmp_path / "d.csv", "y", drop=(f"c{len(columns) - 1}",) if name == "millions beside" else ()
        ),
        data_file=tmp_path / "d.csv",
    )
    assert table.X["c0"].tolist()[: len(values)] == values


def test_thousands_are_refused_where_columns_contradict_each_other(tmp_path: Path) -> None:
    lines = ["betrag;q;r;y", *(f"{i % 9 + 1}.{i:03d};{i},{i % 9}5;0.{i + 1};{i % 2}" for i in range(40))]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    with pytest.raises(BadTable, match=r"'betrag' holds '1.000', which is 1 .* and 1000 .* --decimal"):
        load(card_for_file(tmp_path / "d.csv", "y"), data_file=tmp_path / "d.csv")


def test_three_rounded_decimals_stay_decimals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.uniform(1, 900, 400).round(3), "x": rng.normal(size=400), "y": [0, 1] * 200}
    )
    frame.to_csv(tmp_path / "d.csv", sep=";", index=False)
    assert (
        load(card_for_file(tmp_path / "d.csv", "y"), data_file=tmp_path / "d.csv").X["a"].equals(frame["a"])
    )

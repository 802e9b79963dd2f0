"""Columns as a user's file has them, the same from CSV, parquet and memory: numbers, dates, codes, or refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bench
from bench.data.cards import Reading, card_for_file, card_for_frame
from bench.data.table import Table, load, table_from_frame
from bench.errors import BadTable, BenchError, UnknownName

ROWS = 60
KINDS = ("csv", "parquet", "frame")


def frame(values: Sequence[object]) -> pd.DataFrame:
    repeated = [values[i % len(values)] for i in range(ROWS)]
    return pd.DataFrame(
        {"a": np.arange(ROWS) % 7, "c": repeated, "y": [int(i % 3 == 0) for i in range(ROWS)]}
    )


def loaded(values: Sequence[object], kind: str, folder: Path, **roles: Any) -> Table:
    raw = frame(values)
    if kind in ("frame", "category"):
        given = raw.astype({"c": "category"}) if kind == "category" else raw
        return load(card_for_frame("y", **roles), frame=given)
    path = folder / f"d.{kind}"
    raw.to_csv(path, index=False) if kind == "csv" else raw.to_parquet(path)
    return load(card_for_file(path, "y", **roles), data_file=path)


def each(make: str, n: int = 40) -> list[str]:
    return [make.format(i=i, f=i / 7, g=1000 + 137.5 * i) for i in range(n)]


NUMBERS = {
    "percent": (each("{f:.1f}%"), [0, 0.1, 0.3], "percent"),
    "percent, missing": (["#N/A", "5%", "-", "\\N"], [np.nan, 5, np.nan, np.nan], "percent"),
    "thousands": (each("{g:,.0f}"), [1000, 1138, 1275], "commas between thousands"),
    "dollars": (each("${g:,.2f}"), [1000, 1137.5, 1275], "currency $, commas between thousands"),
    "blanks": (["1\u00a0234", "12\u202f345"], [1234, 12345], "blanks between thousands"),
    "german": (["1.234,56", "7,5"], [1234.56, 7.5], "decimal commas, points between thousands"),
    "accounting": (["(54.00)", "3.00"], [-54, 3], "negatives in parentheses or with a minus behind"),
    "term": ([" 36 months", " 60 months"], [36, 60], "unit months"),
    "glued": (each("{i}KG", 9), [0, 1, 2], "unit KG"),
    "letter cases": (["5KG", "7kg", "6 Kg"], [5, 7, 6], "unit KG"),
    "engines": (["1248 CC", "796CC", "1,498 cc"], [1248, 796, 1498], "unit CC, commas between thousands"),
    "power": (["74bhp", "103.52 bhp"], [74, 103.52], "unit bhp"),
    "words glued": (["3yrs", "11yrs"], [3, 11], "unit yrs"),
    "euros": (["€5", "5 €", "EUR 7", "1,200eur"], [5, 5, 7, 1200], "currency EUR, commas between thousands"),
    "k": (["1.5k", "20", "3M"], [1500, 20, 3e6], "multiplied by k, M or bn"),
}


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_written_as_text(name: str, kind: str, tmp_path: Path) -> None:
    values, expected, style = NUMBERS[name]
    table = loaded(values, kind, tmp_path)
    assert table.numeric == ["a", "c"]
    np.testing.assert_allclose(table.X["c"][: len(expected)], expected, rtol=1e-3)
    assert any(f"numbers written as text ({style}) are read as numbers: 'c'" in note for note in table.notes)


def test_a_percentage_of_many_values_is_a_number(tmp_path: Path) -> None:
    """LendingClub's `revol_util` became 1,089 categories."""
    texts = each("{i}", 1089)
    raw = pd.DataFrame({"c": [f"{int(text) / 10}%" for text in texts] * 3, "y": [0, 1, 0] * 1089})
    raw.to_csv(tmp_path / "d.csv", index=False)
    table = load(card_for_file(tmp_path / "d.csv", "y"), data_file=tmp_path / "d.csv")
    assert table.X["c"].tolist() == [int(text) / 10 for text in texts] * 3


CODES = {
    "letters": each("A{i}", 15),
    "zip": ["941xx", "100xx"],
    "parts": ["12-34", "56-78"],
    "letters behind": ["1A", "2B", "12C"],
    "words behind": ["1abc", "2def", "3ghi", "4jkl", "5mno", "6pqr"],
    "ordinals": ["1st", "2nd", "3rd"],
    "coordinates": ["52.5N", "13.4E"],
    "one letter": ["1A", "2A", "3A"],
    "ages": ["18-25", "26-35"],
    "employment": ["< 1 year", "1 year", "2 years", "10+ years"],
    "versions": ["1.2.3", "1.10.2"],
    "addresses": each("192.168.0.{i}", 15),
    "letter": list("123456789U"),
    "ranges of hours": ["10:00-11:00", "12:00-13:00"],
    "top": [*each("{i}", 10), "10+"],
    "units": ["5 days", "1 week", "1 month"],
    "words": ["married", "unknown", "-"],
    "a date among words": ["2015-01-31", "31/01/2015", "soon", "late"],
}


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize("name", CODES)
def test_codes_stay_categories(name: str, kind: str, tmp_path: Path) -> None:
    table = loaded(CODES[name], kind, tmp_path)
    assert table.categorical == ["c"]
    assert table.X["c"].tolist()[: len(CODES[name])] == CODES[name]
    units = "'c' is read as categories: its numbers are in several units"
    assert any(units in note for note in table.notes) == (name == "units")


REFUSED = {
    "stray": ([*each("{f}"), "abc"], r"'c' holds numbers but for 1 of 60 .*'abc' \(row 41 of the data\).*--drop c"),
    "not stated": (
        [*each("{g}", 45), *["not stated"] * 15],
        r"'c' holds numbers but for 15 of 60 .*'not stated' \(row 46\b.*--drop c or --categorical c",
    ),
    "two words": ([*each("{i}", 30), *["low"] * 15, *["mid"] * 15], r"but for 30 of 60 .*'low', 'mid' \(row 31\b"),
    "most are words": ([*each("{i}", 21), *["n.v."] * 39], r"but for 39 of 60 .*'n.v.' \(row 22\b"),
    "percent": ([*each("{f:.1f}%"), *each("{f}")], r"numbers with and without %, such as '0.0%' .*\(row 42 of"),
    "currencies": (["$5", "€3"], r"in several currencies \(\$, EUR\)"),
    "units": ([*each("{i} kg"), *each("{i} lb")], r"in several units \('kg', 'lb'\)"),
    "marks": (["1,234", "1.234"], r"'1,234', which is 1234 .* and 1.234 .*--decimal \. or --decimal ,"),
    "both marks": (["1,5", "2.5", "3"], r"with decimal points and with decimal commas"),
    "names": (each("u{i}", ROWS), r"Too many different texts for categories in 'c' \(60 values\); give --drop c"),
    "dates": (["2015-01-01", "2015-02-01"], r"'c' holds dates, no feature \(such as '2015-01-01', %Y-%m-%d\)"),
    "slashes": (["01/02/2015", "03/04/2015"], r"'01/02/2015', %d/%m/%Y or %m/%d/%Y\); give --time c or --drop c"),
    "compound": (each("{i}yrs 11mon", 12), r"durations of several units, such as '0yrs 11mon' \(row 1 of.*--drop c"),
    "compound few": (["1 year 2 months", "3 years"], r"'1 year 2 months' \(row 1 of the data\).*--categorical c"),
    "hours and minutes": (["1h 30m", "45m", "2h"], r"durations of several units, such as '1h 30m' \(row 1 of"),
    "months": (["Jan-15", "Feb-15"], r"'c' holds dates.*%b-%y"),
    "clock": (["10:30", "11:00 PM"], r"'c' holds dates.*clock times"),
    "and a word": (["2015-01-31", "31/01/2015", "soon"], r"several formats.*-31' .*and '31/01/2015' .*row 2 of"),
    "formats": (["2015-01-31", "31/01/2015", "-"], r"several formats.*-31' .*and '31/01/2015' .*row 2 of"),
    "a format of few": ([*(f"2015-01-{i:02}" for i in range(1, 31)), "Jan 2015"], r"'Jan 2015' .*row 31 .*--drop c"),
    "day": ([*(f"2015-01-{i:02}" for i in range(1, 31)), "soon"], r"dates \(%Y-%m-%d\) but for 1 .*'soon' \(row 31 of"),
    "two formats": (
        [f"2015-01-{i + 1:02}" if i % 2 == 0 else f"{i + 1:02}.01.2015" for i in range(28)],
        r"such as '2015-01-01' \(%Y-%m-%d\) and '02.01.2015' \(%d.%m.%Y; row 2\b.*--drop c or --categorical c",
    ),
    "mostly one": (
        [f"2015-01-{i + 1:02}" if i % 10 < 7 else f"{i + 1:02}.01.2015" for i in range(28)],
        r"\(%Y-%m-%d\) and '08.01.2015' \(%d.%m.%Y; row 8\b.*--drop c or --categorical c",
    ),
    "quarter words": (
        [*(f"2015-01-{i:02}" for i in range(1, 28)), *["pending"] * 9],
        r"dates \(%Y-%m-%d\) but for 9 of 60 .*'pending' \(row 28\b.*--drop c or --categorical c",
    ),
    "few": (["2015-01-01", "2015-02-01", "pending"], r"dates \(%Y-%m-%d\) but for 20 of 60 .*'pending' \(row 3\b"),
    "few months": (["Jan-2015", "Feb-2015", "Mar-2015", "open"], r"\(%b-%Y\) but for 15 of 60 .*'open' \(row 4\b"),
    "one day": ([*["2015-01-01"] * 9, "a", "b", "c"], r"dates \(%Y-%m-%d\) but for 15 of 60 .*'a', 'b', 'c' \(row 10"),
    "late": (["10:30", "11:00", "late"], r"dates \(clock times\) but for 20 of 60 .*'late' \(row 3\b"),
    "no such day": (["13/01/2015", "14/02/2015", "31/02/2015"], r"but for 20 of 60 .*'31/02/2015' \(row 3\b"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_nearly_numbers_dates_or_names_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    values, message = REFUSED[name]
    with pytest.raises(BadTable, match=message):
        loaded(values, kind, tmp_path)


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([*each("{i}", 12), "l0"], "beside 12 different numbers it holds 'l0' (row 13"),
        ([*("1", "2", "3", "4", "5") * 8, "2o"], "beside 5 different numbers it holds '2o' (row 41"),
        (["1", "2", "3", "x"], "beside 3 different numbers it holds 'x' (row 4"),
        (["A", "B", "3"], None),
    ],
)
def test_texts_that_make_categories_of_few_numbers_are_named(
    values: list[str], said: str | None, kind: str, tmp_path: Path
) -> None:
    table = loaded(values, kind, tmp_path)
    assert table.categorical == ["c"]
    assert any(f"'c' is read as categories: {said}" in note for note in table.notes) == (said is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_missing_among_numbers_are_counted(kind: str, tmp_path: Path) -> None:
    table = loaded([*each("{f}", 57), "-", "unknown", "-"], kind, tmp_path)
    assert table.numeric == ["a", "c"]
    assert table.X["c"].isna().sum() == 3
    assert "'c': '-' (2 rows), 'unknown' (1 row) stand for a missing value" in table.notes


@pytest.mark.parametrize("kind", [*KINDS, "category"])
def test_declared_numbers_are_numbers_or_refused_with_their_row(kind: str, tmp_path: Path) -> None:
    assert loaded(["1", "2", "-"], kind, tmp_path, numeric=("c",)).X["c"].tolist()[:2] == [1, 2]
    assert loaded([1, 2, 3], kind, tmp_path, numeric=("c",)).X["c"].tolist()[:3] == [1, 2, 3]
    with pytest.raises(
        BadTable, match=r"'c' is declared as numbers, but row 3 of the data holds 'abc'; .*--numeric c"
    ):
        loaded(["5%", "6%", "abc"], kind, tmp_path, numeric=("c",))
    with pytest.raises(BadTable, match=r"row 2 of the data holds '5 lb'; its numbers are in several units"):
        loaded(["5 kg", "5 lb", "6 kg"], kind, tmp_path, numeric=("c",))


@pytest.mark.parametrize("kind", [*KINDS, "category"])
def test_declared_categories_are_categories_as_they_are(kind: str, tmp_path: Path) -> None:
    for values in (["5%", "6%"], ["1", "2"], ["2015-01-01", "2016-01-01"], each("u{i}", ROWS)):
        assert loaded(values, kind, tmp_path, categorical=("c",)).X["c"].tolist()[:2] == values[:2]


@pytest.mark.parametrize("kind", [*KINDS, "category"])
def test_dates_as_numbers(kind: str, tmp_path: Path) -> None:
    table = loaded(
        ["2015-01-01 10:00", "2015-02-03 11:00", "9999-12-31", "-"], kind, tmp_path, dates="numeric"
    )
    assert list(table.X) == ["a", "c (seconds)", "c (day of week)", "c (month)", "c (hour)"]
    assert table.numeric == list(table.X)
    np.testing.assert_array_equal(table.X["c (seconds)"][:4], [1420106400, 1422961200, np.nan, np.nan])
    np.testing.assert_array_equal(table.X["c (hour)"][:4], [10, 11, np.nan, np.nan])
    assert "'c': 9999-12-31 stands for a missing date" in table.notes
    assert "'c': '-' (15 rows) stands for a missing value" in table.notes


@pytest.mark.parametrize("kind", [*KINDS, "category"])
def test_dates_that_can_be_read_in_two_ways_need_their_format(kind: str, tmp_path: Path) -> None:
    values = ["01/02/2015", "03/04/2015"]
    message = r"'c' holds dates that can be read in more than one way; give --date-format %d/%m/%Y or --date-format %m/"
    for roles in ({"dates": "numeric"}, {"time": "c"}):
        with pytest.raises(BadTable, match=message):
            loaded(values, kind, tmp_path, **roles)
    table = loaded(values, kind, tmp_path, time="c", date_format="%m/%d/%Y")
    assert table.time is not None
    assert table.time[:2].tolist() == [1420156800, 1425427200]


def test_a_column_that_dates_would_make_may_not_be_there() -> None:
    raw = frame(["2015-01-01", "2015-02-01"]).assign(**{"c (month)": range(ROWS)})
    with pytest.raises(BadTable, match=r"The dates of 'c' make a column 'c \(month\)', which is there"):
        load(card_for_frame("y", dates="numeric"), frame=raw)


def test_a_column_that_dates_make_may_be_dropped(tmp_path: Path) -> None:
    values = ["2015-01-01 10:00", "2015-02-03 11:00"]
    table = loaded(values, "csv", tmp_path, dates="numeric", drop=("c (seconds)", "c (hour)"))
    assert list(table.X) == ["a", "c (day of week)", "c (month)"]
    names = ("a", "c (seconds)", "c (day of week)", "c (month)", "c (hour)")
    with pytest.raises(BadTable, match="No feature is left"):
        loaded(values, "csv", tmp_path, dates="numeric", drop=names)
    with pytest.raises(UnknownName, match=r"c \(seconds\)"):
        loaded(values, "csv", tmp_path, drop=("c", "c (seconds)"))


def test_all_columns_of_dates_are_named_at_once() -> None:
    raw = frame(["2015-01-01", "2015-02-01"]).assign(d="10:30", t=lambda table: table["c"])
    with pytest.raises(
        BadTable, match=r"columns 'c', 'd' hold dates.*; give --drop c --drop d, or --dates numeric"
    ):
        load(card_for_frame("y", time="t"), frame=raw)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_that_look_like_dates_are_named(kind: str, tmp_path: Path) -> None:
    table = loaded(["20150131", "20150228", "20150331"], kind, tmp_path)
    assert table.X["c"].tolist()[0] == 20150131
    assert any("'c' is read as numbers, which look like dates (%Y%m%d)" in note for note in table.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_names_the_row_that_has_none(kind: str, tmp_path: Path) -> None:
    with pytest.raises(
        BadTable, match=r"no finite time in 30 rows, such as '9999-12-31' \(row 2 of the data\)"
    ):
        loaded(["2015-01-01", "9999-12-31"], kind, tmp_path, time="c")
    with pytest.raises(BadTable, match=r"holds dates \(%Y-%m-%d\) but for 15 .*'soon' \(row 3 of the data\)"):
        loaded(["2015-01-01", "2015-01-02", "soon", "2015-01-03"], kind, tmp_path, time="c")


@pytest.mark.parametrize("kind", KINDS)
def test_an_amount_may_be_written_as_text(kind: str, tmp_path: Path) -> None:
    table = loaded(["$1,234.50", "(2.00)", "-"], kind, tmp_path, amount="c")
    assert table.amount is not None
    np.testing.assert_array_equal(table.amount[:3], [1234.5, -2, np.nan])
    with pytest.raises(BadTable, match=r"--decimal \. or --decimal ,"):
        loaded(["1,234", "1.234"], kind, tmp_path, amount="c")


@pytest.mark.parametrize("kind", KINDS)
def test_an_amount_that_is_none_is_named_by_row_and_value(kind: str, tmp_path: Path) -> None:
    for values, message in (
        (["$1,200", "5", "n.v."], r"row 3 of the data holds 'n.v.'; mend it"),
        ([1.5, 2, np.inf], r"row 3 of the data holds inf; mend it"),
        (["€5", "$3"], r"holds '\$3'; its numbers are in several currencies"),
    ):
        with pytest.raises(BadTable, match=r"amount column 'c' does not hold finite numbers: .*" + message):
            loaded(values, kind, tmp_path, amount="c", drop=("c",))


def test_rows_are_those_of_the_file_where_rows_without_a_label_are_left_out() -> None:
    raw = frame([*each("{f}", 50), "abc"]).astype({"y": float})
    raw.loc[:9, "y"] = np.nan
    with pytest.raises(BadTable, match=r"'abc' \(row 51 of the data\)"):
        load(card_for_frame("y", unlabelled="drop"), frame=raw)
    table = load(card_for_frame("y", unlabelled="drop", drop=("c",)), frame=raw)
    assert table.X.index.equals(pd.RangeIndex(50))


def german(**columns: list[str]) -> pd.DataFrame:
    raw = frame(["x", "z"]).drop(columns="c")
    return raw.assign(
        **{name: [values[i % len(values)] for i in range(ROWS)] for name, values in columns.items()}
    )


def read(raw: pd.DataFrame, attrs: dict[str, str | None], decimal: Any = None) -> Table:
    raw.attrs.update(attrs)
    card = card_for_file(Path("d.csv"), "y", reading=Reading(decimal=decimal))
    return table_from_frame(raw, card, sha256="")


SEMICOLONS: dict[str, str | None] = {"separator": ";", "decimal": None}


def test_points_between_thousands_in_a_file_of_semicolons_are_said() -> None:
    table = read(german(c=["1.234", "5.678"]), SEMICOLONS)
    assert table.X["c"].tolist()[:2] == [1234, 5678]
    assert any(
        "'c': 1.234 is read as 1234, since semicolons" in n and "--decimal ." in n for n in table.notes
    )
    assert read(german(c=["1.234", "5.678"]), SEMICOLONS, ".").X["c"].tolist()[:2] == [1.234, 5.678]
    sure = read(german(c=["1.234", "5.678"], d=["1,5", "2"]), SEMICOLONS)
    assert sure.X["c"].tolist()[:2] == [1234, 5678]
    assert not any("since semicolons" in note for note in sure.notes)


def test_what_other_columns_say_of_the_decimal_mark() -> None:
    comma: dict[str, str | None] = {"separator": ",", "decimal": ","}
    assert read(german(c=["1,234", "5,678"]), comma).X["c"].tolist()[:2] == [1.234, 5.678]
    assert read(german(c=["1,234", "5,678"]), {}).X["c"].tolist()[:2] == [1234, 5678]
    assert read(german(c=["1,234", "5,678"], d=["1,5", "2"]), {}).X["c"].tolist()[:2] == [1.234, 5.678]
    assert read(german(c=["1,234", "5,678"], d=["$1.50", "2"], e=["1,234", "9"]), SEMICOLONS).X["e"].tolist()[
        :2
    ] == [1234, 9]
    for columns, attrs in (
        ({"c": ["1,234", "5,678"]}, SEMICOLONS),
        ({"c": ["1,234", "5,678"], "d": ["1,5"], "e": ["$1.50"]}, {}),
    ):
        with pytest.raises(BadTable, match=r"'1,234', which is 1234 .* --decimal \. or --decimal ,"):
            read(german(**columns), attrs)


def test_categories_of_numbers_are_levels_where_they_are_few_or_whole(tmp_path: Path) -> None:
    assert loaded(["1", "2", "3"], "category", tmp_path).categorical == ["c"]
    assert loaded(each("{i}", 25), "category", tmp_path).categorical == ["c"]
    table = loaded(each("{f}", 25), "category", tmp_path)
    assert table.numeric == ["a", "c"]
    assert any("--categorical c keeps them" in note for note in table.notes)


@pytest.mark.parametrize("kind", [*KINDS, "category"])
def test_true_and_false_are_one_and_zero_in_texts_too(kind: str, tmp_path: Path) -> None:
    column = loaded(["true", "false"], kind, tmp_path).X["c"]
    assert column.tolist()[:2] == (["true", "false"] if kind == "category" else [1, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_are_dates_where_their_format_is_declared(kind: str, tmp_path: Path) -> None:
    expected = [1422662400.0, 1425081600, 1427760000]
    for values, form in (
        (["20150131", "20150228", "20150331"], "%Y%m%d"),
        ([31012015, 28022015, 31032015], "%d%m%Y"),
        ([150131, 150228, 150331], "%y%m%d"),
    ):
        table = loaded(values, kind, tmp_path, dates="numeric", date_format=form)
        assert table.X["c (seconds)"][:3].tolist() == expected
        assert list(table.X) == ["a", "c (seconds)", "c (day of week)", "c (month)"]
        times = loaded(values, kind, tmp_path, time="c", date_format=form).time
        assert times is not None
        assert times[:3].tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_day_that_programs_write_for_none_is_named_where_it_lies_alone(kind: str, tmp_path: Path) -> None:
    for values, is_named in (
        (["1900-01-01", "2015-01-01", "2015-03-02"], True),
        (["1970-01-01", "1975-01-01", "1980-01-01"], False),
    ):
        notes = loaded(values, kind, tmp_path, dates="numeric").notes
        assert any(f"'c': {values[0]} lies far from all other dates" in note for note in notes) == is_named


def test_words_of_missing_are_no_category_of_a_type_of_categories(tmp_path: Path) -> None:
    table = loaded(["1", "2", "-", "unknown"], "category", tmp_path)
    assert table.categorical == ["c"]
    assert table.X["c"].cat.categories.tolist() == ["1", "2"]
    assert "'c': '-' (15 rows), 'unknown' (15 rows) stand for a missing value" in table.notes


ZONES: dict[str, tuple[list[str], list[float]]] = {
    "offset": (["2020-01-01T10:00:00+02:00", "2020-01-02T10:00:00Z"], [28800, 122400]),
    "names": (["2020-01-01 10:00:00 UTC", "2020-01-01 10:00:00 EST"], [36000, 54000]),
    "area": (["2020-01-01 10:00:00 Europe/Berlin", "2020-07-01 10:00:00 Europe/Berlin"], [32400, 15753600]),
    "twice": (
        ["2020-10-25 02:30:00 Europe/Berlin", "2020-10-25 03:30:00 Europe/Berlin"],
        [25749000, 25756200],
    ),
    "java": (["2020-01-01T10:00:00+01:00[Europe/Berlin]", "2020-01-02T10:00:00Z[UTC]"], [32400, 122400]),
    "javascript": (["Wed Jan 01 2020 10:00:00 GMT+0100 (Central European Standard Time)"] * 2, [32400]),
    "days": (["2020-01-01+02:00", "2020-01-02Z", "2020-01-03 UTC"], [-7200, 86400, 172800]),
}


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize("name", ZONES)
def test_times_of_a_zone_are_seconds_in_utc(name: str, kind: str, tmp_path: Path) -> None:
    values, seconds = ZONES[name]
    values = (
        [*values, "2019-12-31" if name == "days" else "2019-12-31 12:00 UTC"]
        if name != "javascript"
        else values
    )
    table = loaded(values, kind, tmp_path, time="c")
    assert table.time is not None
    assert (table.time[: len(seconds)] - 1577836800).tolist() == seconds
    with pytest.raises(BadTable, match="'c' holds dates, no feature"):
        loaded(values, kind, tmp_path)


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["2020-01-01 10:00 UTC", "2020-01-01 10:00 IST"],
            r"'2020-01-01 10:00 IST' \(row 2 of the data\).*not known \(IST\)",
        ),
        (
            ["2020-01-01 10:00 Mars/Base", "2020-01-02 10:00 Mars/Base"],
            r"not known \(Mars/Base\); write that as \+01",
        ),
        (["2020-01-01 10:00 America/Argentina"], r"not known \(America/Argentina\)"),
        (["10:00 CET", "11:00 EST"], r"not known \(CET, EST\)"),
        (["10:00 Europe/Berlin", "11:00 Europe/Berlin"], r"not known \(Europe/Berlin\)"),
    ],
    ids=["abbreviation", "area", "folder", "clocks", "clock"],
)
def test_times_of_a_zone_that_is_not_known_are_refused(
    values: list[str], message: str, kind: str, tmp_path: Path
) -> None:
    for roles in ({"time": "c"}, {"dates": "numeric"}):
        with pytest.raises(BadTable, match=message):
            loaded(values, kind, tmp_path, **roles)
    with pytest.raises(BadTable, match="'c' holds dates, no feature"):
        loaded(values, kind, tmp_path)


DAYS = {
    "days": ["1 days", "2 days", "4 days"],
    "long": ["1 days 00:00:00", "2 days 00:00:00", "4 days 00:00:00"],
    "python": ["1 day, 0:00:00", "2 days, 0:00:00", "4 days, 0:00:00"],
    "iso": ["P1D", "P2D", "P4D"],
    "type": pd.to_timedelta([1, 2, 4], unit="D"),
}


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize("name", DAYS)
def test_durations_of_whole_days_are_numbers_of_days(name: str, kind: str, tmp_path: Path) -> None:
    for dates in ("refuse", "numeric"):
        table = loaded(DAYS[name], kind, tmp_path, dates=dates)
        assert table.numeric == ["a", "c"]
        assert table.X["c"].tolist()[:3] == [1, 2, 4]
        assert any("'c'" in note and "days" in note for note in table.notes)
    times = loaded(DAYS[name], kind, tmp_path, time="c").time
    assert times is not None
    assert times.tolist()[:3] == [1, 2, 4]


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize(
    "values",
    [
        ["1 days", "2 days 03:00:00"],
        ["1 day, 0:00:00", "2 days, 3:00:00"],
        ["P1D", "P2DT3H"],
        pd.to_timedelta([24, 51], unit="h"),
    ],
    ids=["days", "python", "iso", "type"],
)
def test_other_durations_are_refused_or_seconds(values: Sequence[object], kind: str, tmp_path: Path) -> None:
    table = loaded(values, kind, tmp_path, dates="numeric")
    assert table.X["c (seconds)"].tolist()[:2] == [86400, 183600]
    with pytest.raises(BadTable, match=r"'c' holds dates, no feature \(.*, durations\)"):
        loaded(values, kind, tmp_path)


@pytest.mark.parametrize("kind", [*KINDS, "category"])
@pytest.mark.parametrize("values", [["0x1F", "0x2A", "0xFF"], ["0x1F", "7", "0xFF"], ["0X1F", "-0x2A"]])
def test_hexadecimal_codes_are_texts(values: list[str], kind: str, tmp_path: Path) -> None:
    assert loaded(values, kind, tmp_path).X["c"].tolist()[: len(values)] == values


@pytest.mark.parametrize(
    "values", [[1, 2, 3], [1.5, 2.0, 3.0], ["1", "2", "3"]], ids=["whole", "floats", "texts"]
)
def test_numbers_of_a_type_of_categories_are_categories_and_said(values: list[Any], tmp_path: Path) -> None:
    """What a text file cannot say."""
    given = frame(values).astype({"c": "category"})
    given.to_csv(tmp_path / "d.csv", index=False)
    given.to_feather(tmp_path / "d.feather")
    card = card_for_file(tmp_path / "d", "y")
    for table in (load(card_for_frame("y"), frame=given), load(card, data_file=tmp_path / "d.feather")):
        assert table.categorical == ["c"]
        assert (
            "'c': numbers of a type of categories stay categories; for numbers, give --numeric c"
            in table.notes
        )
    numeric = load(card_for_frame("y", numeric=("c",)), frame=given)
    assert numeric.X["c"].tolist() == load(card, data_file=tmp_path / "d.csv").X["c"].tolist()
    assert numeric.notes == ()


def test_parquet_says_where_it_lost_categories_of_numbers(tmp_path: Path) -> None:
    given = frame([1, 2, 3]).astype({"c": "category", "y": "category"})
    given.to_parquet(tmp_path / "d.parquet")
    said = "saved as categories of numbers, of which parquet keeps the numbers: 'c'; --categorical c makes"
    table = load(card_for_file(tmp_path / "d.parquet", "y"), data_file=tmp_path / "d.parquet")
    assert table.numeric == ["a", "c"]
    assert any(note.startswith(said) for note in table.notes)
    dropped = load(card_for_file(tmp_path / "d.parquet", "y", drop=("c",)), data_file=tmp_path / "d.parquet")
    assert dropped.notes == ()


def test_many_different_numbers_of_a_type_of_categories_are_numbers() -> None:
    for values in ([i / 7 for i in range(25)], each("{f}", 25)):
        table = load(card_for_frame("y"), frame=frame(values).astype({"c": "category"}))
        assert table.numeric == ["a", "c"]
        assert "'c' is a column of categories, which are numbers: --categorical c keeps them" in table.notes


def test_a_column_of_texts_is_none_of_numbers_whatever_few_of_them_are(tmp_path: Path) -> None:
    """Neither where the texts come late, nor where the few numbers could be read in two ways."""
    values = [*("1,234", "5,678") * 20, *each("word {i}", 20)]
    raw = pd.DataFrame({"a": np.arange(180) % 7, "c": values * 3, "y": [int(i % 3 == 0) for i in range(180)]})
    raw.to_csv(tmp_path / "d.csv", index=False, sep=";")
    table = load(card_for_file(tmp_path / "d.csv", "y"), data_file=tmp_path / "d.csv")
    assert table.X["c"].tolist() == raw["c"].tolist()


DECLARED = {
    "days": (
        ["01/13/2015", "02/14/2015", "03/04/2015"],
        "%d/%m/%Y",
        r"%d/%m/%Y\) but for 40 of 60 .*'01/13/2015'.*\(row 1\b",
    ),
    "numbers": (
        [20150131, 20150228, 99999999],
        "%Y%m%d",
        r"%Y%m%d\) but for 20 of 60 .*'99999999' \(row 3\b",
    ),
    "unused": (["a", "b"], "%d/%m/%Y", r"--date-format %d/%m/%Y: no column is read as dates of this"),
    "other": (
        ["2015-01-01", "2015-02-03"],
        "%d/%m/%Y",
        r"--date-format %d/%m/%Y: no column is read as dates of this",
    ),
    "whole": ([1, 2, 3], "%d/%m/%Y", r"--date-format %d/%m/%Y: no column is read as dates of this"),
    "unknown": ([1, 2, 3], "%Q", r"--date-format '%Q': %Q cannot be read; use %d"),
    "letters": ([1, 2, 3], "dd.mm.yyyy", r"cannot be read; give --date-format %d.%m.%Y, or use %d"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DECLARED)
def test_a_declared_format_that_does_not_fit_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    values, form, message = DECLARED[name]
    with pytest.raises(BenchError, match=message):
        loaded(values, kind, tmp_path, dates="numeric", date_format=form)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_that_stand_for_no_date_are_named(kind: str, tmp_path: Path) -> None:
    days = [20150131, 20150228, 20160301]
    for stray in (0, 99991231, 99999999):
        table = loaded([*days, stray], kind, tmp_path)
        assert any(f"look like dates (%Y%m%d), beside {stray}:" in note for note in table.notes)
    dated = loaded([*days, 0], kind, tmp_path, dates="numeric", date_format="%Y%m%d")
    assert dated.X["c (seconds)"].isna().tolist()[:4] == [False, False, False, True]
    assert "'c': 0 stands for a missing date" in dated.notes
    with pytest.raises(
        BadTable, match=r"'c' has no finite time in 15 rows, such as '0' \(row 4 of the data\)"
    ):
        loaded([*days, 0], kind, tmp_path, time="c", date_format="%Y%m%d")


@pytest.mark.parametrize("kind", KINDS)
def test_leading_zeros_are_kept_in_codes_and_said_in_numbers(kind: str, tmp_path: Path) -> None:
    values = ["007", "07", "7", "0123"]
    codes = loaded(values, kind, tmp_path, categorical=("c",))
    assert codes.X["c"].tolist()[:4] == values
    assert not any("leading zeros" in note for note in codes.notes)
    numbers = loaded(values, kind, tmp_path)
    assert numbers.X["c"].tolist()[:4] == [7, 7, 7, 123]
    assert (
        "leading zeros are lost in numbers: 'c' (007 is 7); for codes, give --categorical c" in numbers.notes
    )
    assert not any("leading zeros" in n for n in loaded(values, kind, tmp_path, numeric=("c",)).notes)
    assert not any("leading zeros" in n for n in loaded(["0", "0.5", "10"], kind, tmp_path).notes)
    entity = loaded(values, kind, tmp_path, entity="c").entity
    assert entity is not None
    assert len(set(entity.tolist())) == 4


def test_codes_with_a_point_are_told_apart_and_others_stay_as_they_were(tmp_path: Path) -> None:
    assert loaded(["1.10", "1.1", "2.0"], "csv", tmp_path, categorical=("c",)).X["c"].nunique() == 3
    assert loaded(["1.0", "2.0"], "csv", tmp_path, categorical=("c",)).X["c"].tolist()[:2] == ["1", "2"]
    assert loaded([1, 2, None], "csv", tmp_path, categorical=("c",)).X["c"].tolist()[:2] == ["1", "2"]


LIKE_NUMBERS = {
    "credit and debit": [f"{v:.1f}{s}" for v in np.arange(1, 40, 1.5) for s in ("CR", "DR")],
    "weeks": [f"2015 W{week:02d}" for week in range(1, 45)],
    "rupees": [f"Rs. {a},{b},{b}0/-" for a in range(1, 9) for b in range(10, 90, 7)],
    "formulas": [f'="{v:.1f}"' for v in np.arange(1, 40, 0.3)],
    "quarters": [f"Q{q}-{year:02d}" for year in range(10, 20) for q in range(1, 5)],
    "months in Dutch": [f"{day} mei 2015" for day in range(1, 32)],
}


@pytest.mark.parametrize("kind", LIKE_NUMBERS)
def test_many_categories_that_begin_as_numbers_are_named(kind: str, tmp_path: Path) -> None:
    words = LIKE_NUMBERS[kind]
    frame = pd.DataFrame(
        {"c": [words[i % len(words)] for i in range(600)], "y": [i % 3 == 0 for i in range(600)]}
    )
    frame.to_csv(tmp_path / "d.csv", index=False)
    table = bench.load(data_file=tmp_path / "d.csv", target="y")
    (note,) = [note for note in table.notes if note.startswith("'c' is read as")]
    assert f"{len(words)} categories" in note
    assert "row 1 of the data" in note


@pytest.mark.parametrize(
    "words", [[f"K{i:04d}" for i in range(60)], [f"town {i}" for i in range(60)], ["1a", "2b"]]
)
def test_codes_and_names_are_not(words: list[str], tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"c": [words[i % len(words)] for i in range(600)], "y": [i % 7 == 0 for i in range(600)]}
    )
    frame.to_csv(tmp_path / "d.csv", index=False)
    table = bench.load(data_file=tmp_path / "d.csv", target="y")
    assert not [note for note in table.notes if "categories" in note]

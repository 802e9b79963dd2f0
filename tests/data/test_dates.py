"""Times in texts and in types of their own: which format, which second, and what stands for a missing one."""

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dateformats import pattern_of
from bench.data.dates import (
    NearlyDates,
    Times,
    dates_of_numbers,
    dates_of_texts,
    format_of_numbers,
    parts,
)
from bench.data.values import dates_of
from bench.errors import BadSetting

DAY = 86400.0
JANUARY = 16436 * DAY  # 2015-01-01


def read(*texts: str, declared: str | None = None) -> Times:
    dates = dates_of_texts(texts, declared)
    assert isinstance(dates, Times)
    return dates


@pytest.mark.parametrize(
    ("text", "form", "days"),
    [
        ("2015-01-31", "%Y-%m-%d", 30),
        ("2015/01/31", "%Y/%m/%d", 30),
        ("31-01-2015", "%d-%m-%Y", 30),
        ("31/01/2015", "%d/%m/%Y", 30),
        ("1/31/2015", "%m/%d/%Y", 30),
        ("31.01.2015", "%d.%m.%Y", 30),
        ("03.02.2015", "%d.%m.%Y", 33),
        ("31.01.15", "%d.%m.%y", 30),
        ("Jan-2015", "%b-%Y", 0),
        ("Jan-15", "%b-%y", 0),
        ("31-Jan-2015", "%d-%b-%Y", 30),
        ("31-JAN-15", "%d-%b-%y", 30),
        ("31 Jan 2015", "%d %b %Y", 30),
        ("31st January 2015", "%d %b %Y", 30),
        ("January 31, 2015", "%b %d, %Y", 30),
        ("Saturday, January 31, 2015", "%b %d, %Y", 30),
        ("31JAN2015", "%d%b%Y", 30),
        ("2015-02", "%Y-%m", 31),
        ("02/2015", "%m/%Y", 31),
        ("2015Q2", "%YQ%q", 90),
        ("Q2 2015", "Q%q %Y", 90),
        ("2015-W05", "%Y-W%W", 25),
        ("2015-01-26/2015-02-01", "%Y-%m-%d", 25),
        ("2015-31-01", "%Y-%d-%m", 30),
        ("31. Januar 2015", "%d. %b %Y", 30),
        ("31 janvier 2015", "%d %b %Y", 30),
        ("31 de enero de 2015", "%d de %b de %Y", 30),
    ],
)
def test_the_formats_of_days(text: str, form: str, days: int) -> None:
    dates = read(text)
    assert (dates.format, dates.rivals) == (form, ())
    assert dates.seconds.tolist() == [JANUARY + days * DAY]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2015-01-01 10:00", 36000),
        ("2015-01-01T10:00:05.5", 36005.5),
        ("2015-01-01T10:00:00Z", 36000),
        ("2015-01-01T10:00:00+02:00", 28800),
        ("2015-01-01 10:00:00 -0500", 54000),
        ("2015-01-01 10:00:00 EST", 54000),
        ("1/13/2015 1:05 PM", 12 * DAY + 47100),
        ("1/13/2015 12:05:00 AM", 12 * DAY + 300),
        ("01JAN2015:10:00:00", 36000),
        ("Thu, 01 Jan 2015 10:00:00 GMT", 36000),
        ("Thu Jan  1 10:00:00 2015", 36000),
        ("Thu Jan 01 10:00:00 +0000 2015", 36000),
        ("20150101T100000Z", 36000),
        ("20150101 10:00:00", 36000),
    ],
)
def test_times_of_day_and_zones(text: str, seconds: float) -> None:
    assert read(text).seconds.tolist() == [JANUARY + seconds]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10:30", 37800),
        ("10:30:05.25", 37805.25),
        ("10:30 PM", 81000),
        ("5 PM", 61200),
        ("17:00 Uhr", 61200),
        ("12 AM", 0),
        ("12:15 p.m.", 44100),
        ("1 days 02:03:04", 93784),
        ("1 day, 2:03:04", 93784),
        ("-1 days +23:59:50", -10),
        ("P1DT2H", 93600),
        ("PT5M", 300),
        ("-PT5M", -300),
        ("PT90M", 5400),
        ("30:15:00", 108900),
    ],
)
def test_clock_times_and_durations(text: str, seconds: float) -> None:
    dates = read(text, "-")
    np.testing.assert_array_equal(dates.seconds, [seconds, np.nan])
    assert dates.local is None


@pytest.mark.parametrize(
    ("texts", "rivals"),
    [
        (("01/02/2015", "03/04/2015"), ("%d/%m/%Y", "%m/%d/%Y")),
        (("01-02-2015",), ("%d-%m-%Y", "%m-%d-%Y")),
        (("01/02/2015", "13/02/2015"), ()),
        (("01/02/2015", "01/13/2015"), ()),
        (("02/02/2015", "03/03/2015"), ()),
        (("01/02/15",), ("%d/%m/%y", "%m/%d/%y", "%y/%m/%d")),
        (("15-Jan",), ("%d-%b", "%y-%b")),
    ],
)
def test_days_and_months_that_could_change_places(texts: tuple[str, ...], rivals: tuple[str, ...]) -> None:
    assert read(*texts).rivals == rivals


def test_a_declared_format_decides() -> None:
    assert read("01/02/2015", declared="%m/%d/%Y").seconds.tolist() == [JANUARY + DAY]
    assert read("01/02/2015", declared="%d/%m/%Y").seconds.tolist() == [JANUARY + 31 * DAY]
    assert read("01/02/2015 10:00", declared="%d/%m/%Y").rivals == ()
    assert read("15;1;2015 at 10", declared="%d;%m;%Y at %H").seconds.tolist() == [JANUARY + 14 * DAY + 36000]
    assert read("2015-01-01", declared="%d/%m/%Y").format == "%Y-%m-%d"


@pytest.mark.parametrize("form", ["%Q", "dd/mm/yyyy", "%d/%d/%Y"])
def test_a_format_that_means_nothing_is_refused(form: str) -> None:
    with pytest.raises(BadSetting, match=r"--date-format .* such as %d/%m/%Y"):
        dates_of_texts(["01/02/2015"], form)


@pytest.mark.parametrize(
    ("form", "meant"),
    [
        ("dd.mm.yyyy", "%d.%m.%Y"),
        ("DD/MM/YY", "%d/%m/%y"),
        ("d-MMM-yyyy", "%d-%b-%Y"),
        ("yyyy-MM-dd HH:mm:ss", "'%Y-%m-%d %H:%M:%S'"),
        ("yyyymmdd", "%Y%m%d"),
    ],
)
def test_a_format_of_letters_is_refused_with_what_to_type(form: str, meant: str) -> None:
    with pytest.raises(BadSetting, match=re.escape(f"give --date-format {meant}, or use %d")):
        pattern_of(form)


@pytest.mark.parametrize(
    "text",
    [
        *("9999-12-31", "0001-01-01", "0000-00-00", "9999-12-31 23:59:59", "2500-01-01", "1600-01-01"),
        *(
            "00/00/0000",
            "00.00.0000",
            "0000-00-00T00:00:00",
            "0000-00-00 00:00:00.000",
            "0000/00/00",
            "00-00-0000",
        ),
        *("0000-00-00T00:00:00Z", "00000000"),
    ],
)
def test_dates_that_stand_for_a_missing_one(text: str) -> None:
    dates = read("2015-01-01", text, "-")
    np.testing.assert_array_equal(dates.seconds, [JANUARY, np.nan, np.nan])
    assert dates.sentinels == (text,)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2015-02-30",
            "2015-13-13",
            "31/31/2015",
            "10:61",
            "13:00 PM",
            "1.2.3",
            "12-34",
            "18-25",
            "A12",
            "2015",
        ),
        *("20150131", "555-1234", "1/2", "May", "5 days", "1 year", "Jan", "Q1", "", "2015-01-01 25:00"),
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert not isinstance(dates_of_texts([text]), Times)


def test_texts_of_which_most_are_dates() -> None:
    days = [f"2015-01-{day:02}" for day in range(1, 29)]
    assert dates_of_texts([*days, "soon", "2015-02-30", "-"]) == NearlyDates("%Y-%m-%d", [28, 29])
    assert dates_of_texts(["soon", *days]) == NearlyDates("%Y-%m-%d", [0])
    assert dates_of_texts(["a", "b", "2015-01-01"]) is None
    assert dates_of_texts(["a", "b", "2015-01-01"], None, np.array([1, 1, 3])) == NearlyDates(
        "%Y-%m-%d", [0, 1]
    )
    german = [f"{day:02}.01.2015" for day in range(1, 29)]
    assert dates_of_texts([*days, *german]) == NearlyDates("%Y-%m-%d", [*range(28, 56)], "%d.%m.%Y")
    assert dates_of_texts(["13/01/2015", "14/01/2015", "01/13/2015"]) == NearlyDates(
        "%d/%m/%Y", [2], "%m/%d/%Y"
    )


def test_texts_that_nearly_fit_a_declared_format() -> None:
    texts = ["01/13/2015", "02/14/2015", "03/04/2015"]
    assert dates_of_texts(texts, "%d/%m/%Y") == NearlyDates("%d/%m/%Y", [0, 1], declared=True)
    assert isinstance(dates_of_texts(texts, "%m/%d/%Y"), Times)
    assert isinstance(dates_of_texts(["2015-01-01"], "%d/%m/%Y"), Times)
    days = np.array([20150131, 20150228, 99999999.0])
    assert dates_of_numbers(days, "%Y%m%d") == NearlyDates("%Y%m%d", [2], declared=True)
    assert dates_of_numbers(np.array([1, 2, 20150131.0]), "%Y%m%d") is None
    dates = dates_of_numbers(np.array([20150131, 0, 20150228, 99991231.0]), "%Y%m%d")
    assert isinstance(dates, Times)
    np.testing.assert_array_equal(dates.seconds, [JANUARY + 30 * DAY, np.nan, JANUARY + 58 * DAY, np.nan])
    assert dates.sentinels == ("99991231", "0")


def test_the_numbers_of_a_date_are_those_that_vary() -> None:
    numbers = parts(read("2015-01-05 10:00", "2015-02-03 23:30", "unknown"))
    assert list(numbers) == ["seconds", "day of week", "month", "hour"]
    np.testing.assert_array_equal(numbers["day of week"], [0, 1, np.nan])
    np.testing.assert_array_equal(numbers["month"], [1, 2, np.nan])
    np.testing.assert_array_equal(numbers["hour"], [10, 23, np.nan])
    assert list(parts(read("2015-01-05", "2015-01-12"))) == ["seconds"]
    assert list(parts(read("Jan-2015", "Feb-2015"))) == ["seconds", "month"]
    assert list(parts(read("10:00", "11:00"))) == ["seconds"]


def test_the_hour_is_that_of_the_clock_there() -> None:
    assert parts(read("2015-01-05 01:00+02:00", "2015-01-05 03:00+02:00"))["hour"].tolist() == [1, 3]


BERLIN = pd.date_range("2015-03-28 22:00", periods=30, freq="h", tz="Europe/Berlin")


@pytest.mark.parametrize(
    "values",
    [
        pd.date_range("2015", periods=30, freq="7h"),
        pd.date_range("2015", periods=30, freq="7h").as_unit("s"),
        BERLIN,
        pd.period_range("2015", periods=30, freq="M"),
        pd.period_range("2015", periods=30, freq="Q"),
        pd.period_range("2015", periods=30, freq="W"),
        pd.to_timedelta(np.arange(30) - 3, unit="h"),
        [dt.date(2015, 1, day) for day in range(1, 31)],
        [dt.time(i % 24, i) for i in range(30)],
        [dt.datetime(9999, 12, 31), *(dt.datetime(2015, 1, day, 5) for day in range(1, 30))],
    ],
    ids=["datetime", "seconds", "zone", "month", "quarter", "week", "duration", "date", "time", "sentinel"],
)
def test_a_type_of_dates_is_what_its_text_is(values: object) -> None:
    column = pd.Series(values, name="c")
    typed, text, category = (
        dates_of(kind) for kind in (column, column.astype(str), column.astype("category"))
    )
    for dated in (typed, text, category):
        assert dated is not None
        assert not isinstance(dated, NearlyDates)
        numbers = {name: dated.texts.rows(values) for name, values in parts(dated.dates).items()}
        if dated is typed:
            expected = numbers
        assert list(numbers) == list(expected)
        for name in numbers:
            np.testing.assert_array_equal(numbers[name], expected[name])


def test_whole_numbers_that_look_like_dates() -> None:
    days = [20150131, 20150228, 20160229]
    assert format_of_numbers(np.array([*days, np.nan])) == ("%Y%m%d", ())
    assert format_of_numbers(np.array([201501, 201502, 201512.0])) == ("%Y%m", ())
    assert format_of_numbers(np.array([0, *days, 99991231.0])) == ("%Y%m%d", ("0", "99991231"))
    assert format_of_numbers(np.array([*days, 99999999, -1.0])) == ("%Y%m%d", ("-1", "99999999"))
    assert format_of_numbers(np.array([*days, 20151301.0])) is None
    assert format_of_numbers(np.array([*days, 2015131.0])) is None
    assert format_of_numbers(np.array([20150131, 20150230, 20160229.0])) is None
    assert format_of_numbers(np.array([20150131.0])) is None
    assert format_of_numbers(np.array([1.5, 2, 3])) is None


@given(st.lists(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), min_size=1, max_size=5))
def test_every_date_is_what_pandas_reads(dates: list[dt.datetime]) -> None:
    expected = [(date - dt.datetime(1970, 1, 1)).total_seconds() for date in dates]
    assert read(*(date.isoformat() for date in dates)).seconds == pytest.approx(expected, abs=1e-5)


@given(st.text(alphabet="0123456789-/.: TZAPMJanQW+,", max_size=24), st.none() | st.just("%d/%m/%Y"))
def test_no_text_is_a_traceback(text: str, declared: str | None) -> None:
    dates = dates_of_texts([text, "2015-01-01"], declared)
    assert dates is None or isinstance(dates, Times | NearlyDates)


@pytest.mark.parametrize("form", ["%Y%m%d", "%d%m%Y", "%m%d%Y", "%m%Y", "%y%m%d", "%Y%m%d%H%M%S"])
def test_whole_numbers_that_are_dates_are_found_in_whatever_order(form: str) -> None:
    days = pd.date_range("2014-01-15", periods=40, freq="20D")
    values = np.array([float(day.strftime(form)) for day in days])
    likely = format_of_numbers(values)
    assert likely is not None
    assert likely[0] == form


def test_other_whole_numbers_are_no_dates() -> None:
    rng = np.random.default_rng(0)
    for low, high in ((10_000, 99_999), (10_000, 999_999), (10_000_000, 99_999_999), (1.4e9, 1.5e9)):
        assert format_of_numbers(rng.integers(low, high, 2000).astype(float)) is None
    assert format_of_numbers(np.arange(10101.0, 10115.0)) is None  # few

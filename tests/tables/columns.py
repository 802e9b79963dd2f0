"""The cases of columns and labels: points B and C of the issue."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.tables.case import Case, KeepsSpread, Reads, Refuses, Value

ROWS = 60
LABEL = (1, 0, 0)
NA = None
Make = Callable[[Path], Path]


def column(
    *values: object,
    sep: str = ",",
    label: Sequence[object] = LABEL,
    beside: Mapping[str, Sequence[object]] | None = None,
) -> Make:
    """Return what writes a text with these values in the column `c`, over and over, beside `a` and the label `y`."""
    columns = {"a": range(7), "c": values, **(beside or {}), "y": label}
    n_rows = max(ROWS, len(values))

    def make(folder: Path) -> Path:
        path = folder / "d.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=sep, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([each[i % len(each)] for each in columns.values()] for i in range(n_rows))
        return path

    return make


def arrow(values: pa.Array, label: Sequence[object] = LABEL) -> Make:
    """Return what writes a parquet file with these values in the column `c`, as they are."""
    n_rows = len(values)
    table = pa.table(
        {
            "a": [i % 7 for i in range(n_rows)],
            "c": values,
            "y": [label[i % len(label)] for i in range(n_rows)],
        }
    )

    def make(folder: Path) -> Path:
        pq.write_table(table, folder / "d.parquet")
        return folder / "d.parquet"

    return make


def again(values: Sequence[object], type_: pa.DataType | None = None) -> pa.Array:
    """Return the values over and over, as an array of Arrow."""
    return pa.array([values[i % len(values)] for i in range(ROWS)], type_)


def parquet(*values: object) -> Make:
    """Return what writes these values as parquet, with the type that Arrow takes them for."""
    return arrow(again(values))


def reads(*values: Value, says: Sequence[str] = ()) -> Reads:
    """Return that the column `c` has these values."""
    return Reads({"c": values}, says)


def each(n: int, write: Callable[[int], str]) -> list[str]:
    return [write(i) for i in range(n)]


# As text, by line: what the table shows, the values as in the file, and the numbers that they are.
NUMBERS: list[tuple[str, list[str], list[float | None]]] = [
    ("10.6%", ["10.6%", "5%", "0%"], [10.6, 5, 0]),
    ("10.6 % with a blank", ["10.6 %", "5.25 %"], [10.6, 5.25]),
    ("revol_util of 1,089 values", each(1089, lambda i: f"{i / 10}%"), [i / 10 for i in range(1089)]),
    ("$1,234.50", ["$1,234.50", "$20.00"], [1234.5, 20]),
    ("€5", ["€5", "€1,200"], [5, 1200]),
    ("USD 1,000", ["USD 1,000", "USD 25"], [1000, 25]),
    ("1,234", ["1,234", "12,345"], [1234, 12345]),
    ("1'234.50", ["1'234.50", "77.10"], [1234.5, 77.1]),
    ("1 234 with thin spaces", ["1\u2009234", "12\u2009345"], [1234, 12345]),
    ("1 234 with no-break spaces", ["1\u00a0234", "1\u202f234\u202f567"], [1234, 1234567]),
    ("(54.00)", ["(54.00)", "3.00"], [-54, 3]),
    ("54.00-", ["54.00-", "3.00"], [-54, 3]),
    ("($1,054.00)", ["($1,054.00)", "$3.00"], [-1054, 3]),
    ("1e3 quoted among texts of %", ["1e3%", "5%"], [1000, 5]),
    ("1e3", ["1e3", "2.5E-1"], [1000, 0.25]),
    ("36 months", [" 36 months", " 60 months"], [36, 60]),
    ("5kg", ["5kg", "12.5kg"], [5, 12.5]),
    ("1.5k, 3M", ["1.5k", "20", "3M"], [1500, 20, 3e6]),
]
WORDS = ("#N/A", "\\N", "?", "(null)", "None", "-", "--", "n.a.", "<NA>", "unknown")


def _numbers() -> list[Case]:
    cases = [Case("B4", f"`{said}`", reads(*right), column(*texts)) for said, texts, right in NUMBERS]
    cases += [Case("B4", f"missing `{word}`", reads(1.5, NA, 7), column("1.5", word, "7")) for word in WORDS]
    german = {"d": ["1,5", "2,25"]}
    return [
        *cases,
        Case("B4", "`10.6%` in parquet", reads(10.6, 5), parquet("10.6%", "5%")),
        Case("B4", "`1.234` with semicolons", reads(1234, 12345), column("1.234", "12.345", sep=";")),
        Case(
            "B4",
            "`1.234` beside `1,5`",
            reads(1234, 12345),
            column("1.234", "12.345", sep=";", beside=german),
        ),
        Case("B4", "`1.234,56`", reads(1234.56, 7.5), column("1.234,56", "7,50", sep=";")),
        Case("B4", "`1.234,56` quoted, with commas", reads(1234.56, 7.5), column("1.234,56", "7,50")),
        Case("B4", "`1.234` with commas is a number", reads(1.234, 12.345), column("1.234", "12.345")),
        Case("B4", "`5%` and `0.05` mixed", Refuses(("'c'", "%", "row 31", "--drop c")), column(*MIXED)),
        Case("B4", "`$5` and `€3` mixed", Refuses(("'c'", "currencies", "--drop c")), column("$5", "€3")),
        Case("B4", "`5 kg` and `5 lb` mixed", Refuses(("'c'", "units", "kg", "lb")), column(*UNITS)),
        Case("B4", "`1,234` and `1.234` mixed", Refuses(("'c'", "--decimal")), column("1,234", "1.234")),
        Case(
            "B4", "one `abc` among numbers", Refuses(("'c'", "'abc'", "row 41", "--drop c")), column(*STRAY)
        ),
        Case("B4", "one `abc` among percents", Refuses(("'c'", "'abc'", "row 41")), column(*STRAY_PERCENT)),
        Case("B4", "codes `941xx` stay codes", reads("941xx", "100xx"), column("941xx", "100xx")),
        Case("B4", "`10+ years` stay categories", reads("< 1 year", "1 year", "10+ years"), column(*YEARS)),
    ]


MIXED = [*each(30, lambda i: f"{i / 7:.2f}%"), *each(30, lambda i: f"{i / 7 + 1:.3f}")]
UNITS = [*each(30, lambda i: f"{i} kg"), *each(30, lambda i: f"{i} lb")]
STRAY = [*each(40, lambda i: f"{i / 7:.3f}"), "abc"]
STRAY_PERCENT = [*each(40, lambda i: f"{i / 7:.3f}%"), "abc"]
YEARS = ("< 1 year", "1 year", "10+ years")
SLASHES = ("01/02/2015", "03/04/2015")
NUMERIC: Mapping[str, object] = {"dates": "numeric"}
DAYS = ("2015-01-31", "2015-02-28", "2015-03-31")
SECONDS = (1422662400.0, 1425081600.0, 1427760000.0)
BOTH = ("2015-01-31", "31/01/2015")
ALMOST = [*each(30, lambda i: f"2015-01-{i + 1:02}"), "soon"]
DATES: list[tuple[str, list[str]]] = [
    ("2015-01-31", list(DAYS)),
    ("2015-01-31 10:30:00", ["2015-01-31 10:30:00", "2015-02-28 11:00:00"]),
    ("31-01-2015", ["31-01-2015", "28-02-2015"]),
    ("1/31/2015", ["1/31/2015", "2/28/2015"]),
    ("01/02/2015, of two readings", ["01/02/2015", "03/04/2015"]),
    ("Jan-2015", ["Jan-2015", "Feb-2015"]),
    ("31.01.2015", ["31.01.2015", "28.02.2015"]),
    ("10:30", ["10:30", "23:15"]),
]


def _dates() -> list[Case]:
    refused = Refuses(("'c'", "dates", "--drop c", "--dates numeric"))
    days = [dt.datetime.fromisoformat(day) for day in DAYS]
    seconds = {"c (seconds)": SECONDS}
    time32 = again([37800, 83700], pa.time32("s"))
    ancient = again([*days, LAST_DAY], pa.timestamp("us"))
    cases = [Case("B5", f"`{said}`", refused, column(*texts)) for said, texts in DATES]
    cases += [
        Case("B5", f"`{said}`, --dates numeric", Reads(right), column(*texts), NUMERIC)
        for said, texts, right in (
            ("2015-01-31", list(DAYS), seconds | {"c (month)": (1, 2, 3)}),
            ("31-01-2015", ["31-01-2015", "28-02-2015", "31-03-2015"], seconds),
            ("1/31/2015", ["1/31/2015", "2/28/2015", "3/31/2015"], seconds),
            ("Jan-2015", ["Jan-2015", "Feb-2015"], {"c (seconds)": (1420070400, 1422748800)}),
            ("10:30", ["10:30", "23:15"], {"c (seconds)": (37800, 83700)}),
            ("9999-12-31", [*DAYS, "9999-12-31"], {"c (seconds)": (*SECONDS, NA)}),
        )
    ]
    us = {"dates": "numeric", "date_format": "%m/%d/%Y"}
    return [
        *cases,
        Case(
            "B5", "`2015-01-31` and `31/01/2015`", Refuses(("'c'", "several formats", "row 2")), column(*BOTH)
        ),
        Case("B5", "dates but for `soon`", Refuses(("'c'", "'soon'", "row 31", "--drop c")), column(*ALMOST)),
        Case(
            "B5",
            "dates as parquet's date32",
            refused,
            arrow(again([day.date() for day in days], pa.date32())),
        ),
        Case("B5", "dates as timestamps", refused, arrow(again(days, pa.timestamp("ns")))),
        Case("B5", "`2015-01-31` as texts of parquet", refused, parquet(*DAYS)),
        Case("B5", "time32", refused, arrow(time32)),
        Case("B5", "time32, --dates numeric", Reads({"c (seconds)": (37800, 83700)}), arrow(time32), NUMERIC),
        Case("B5", "Period", refused, arrow(again(days, pa.timestamp("ns"))), given_as="periods"),
        Case("B5", "9999-12-31 in parquet", refused, arrow(ancient)),
        Case(
            "B5",
            "9999-12-31 in parquet, --dates numeric",
            Reads({"c (seconds)": (*SECONDS, NA)}),
            arrow(ancient),
            NUMERIC,
        ),
        Case(
            "B5",
            "`01/02/2015`, --dates numeric",
            Refuses(("'c'", "--date-format")),
            column(*SLASHES),
            NUMERIC,
        ),
        Case(
            "B5",
            "`01/02/2015`, --date-format %m/%d/%Y",
            Reads({"c (seconds)": (1420156800, 1425427200)}),
            column(*SLASHES),
            us,
        ),
        Case(
            "B5",
            "--time of `9999-12-31`",
            Refuses(("'c'", "9999-12-31", "row 4")),
            column(*DAYS, "9999-12-31"),
            {"time": "c"},
        ),
        Case(
            "B5",
            "20150131 as a number",
            reads(20150131, 20150228, 20150331, says=("'c'", "dates", "%Y%m%d")),
            column("20150131", "20150228", "20150331"),
        ),
    ]


LAST_DAY = dt.datetime(9999, 12, 31)


def _kinds() -> list[Case]:
    words = [" red", "blue ", "NA", "red"]
    stripped = reads("red", "blue", NA, "red")
    dictionary = again(words).dictionary_encode()
    merchants = each(600, lambda i: f"m{i % 200}")
    return [
        Case(
            "B6",
            "--categorical c, of 1, 2, 3",
            reads("1", "2", "3"),
            column(1, 2, 3),
            {"categorical": ("c",)},
        ),
        Case(
            "B6", "--categorical c, of `5%`", reads("5%", "6%"), column("5%", "6%"), {"categorical": ("c",)}
        ),
        Case(
            "B6",
            "--numeric c, with `abc`",
            Refuses(("'c'", "'abc'", "row 3", "--numeric c")),
            column("5", "6", "abc"),
            {"numeric": ("c",)},
        ),
        Case("B6", "--numeric c, of `5` and `-`", reads(5, NA), column("5", "-"), {"numeric": ("c",)}),
        Case("B6", "whole numbers of few values", reads(1, 2, 3, says=("--categorical c",)), column(1, 2, 3)),
        Case(
            "B6",
            "all texts differ, 60 rows",
            Refuses(("'c'", "60 values", "--drop c")),
            column(*each(60, lambda i: f"u{i}")),
        ),
        Case(
            "B6",
            "nearly all texts differ, 200 rows",
            Refuses(("'c'", "--drop c")),
            column(*each(200, lambda i: f"u{i % 190}")),
        ),
        Case(
            "B6",
            "names of people in parquet",
            Refuses(("'c'", "--drop c")),
            arrow(pa.array(each(60, lambda i: f"Ann {i} Lee"))),
        ),
        Case("B6", "` red`, `blue `, `NA` as texts", stripped, column(*words)),
        Case("B6", "the same as texts of parquet", stripped, parquet(*words)),
        Case("B6", "the same as a dictionary of parquet", stripped, arrow(dictionary)),
        Case("B6", "the same as a category of pandas", stripped, arrow(dictionary), given_as="pandas"),
        Case("B6", "the same as a categorical of polars", stripped, arrow(dictionary), given_as="polars"),
        Case(
            "B6",
            "merchants, --high-cardinality target",
            Reads({"c": merchants}),
            column(*merchants),
            {"high_cardinality": "target"},
        ),
    ]


def _extremes() -> list[Case]:
    ordinary = [round(float(value), 6) for value in np.random.default_rng(0).normal(100, 20, 300)]
    cases = []
    for said, huge in (
        ("9999999999", 9999999999.0),
        ("1e200", 1e200),
        ("the largest float", float(np.finfo(np.float64).max)),
        ("−1e200", -1e200),
        ("999999999999 in 5 of 300", 999999999999.0),
    ):
        values = list(ordinary)
        values[7 :: 60 if "5 of" in said else 100] = [huge] * (5 if "5 of" in said else 3)
        right = KeepsSpread(values, 1e6, says=("'c'", "apart"))
        cases.append(
            Case(
                "B8", f"`{said}` among ordinary values", right, column(*map(repr, values)), asks=("encoded",)
            )
        )
    return cases


def _labels() -> list[Case]:
    loans = ["Charged Off", "Fully Paid", "Current", "Fully Paid"]
    words = ["None", "yes", "None", "None"]
    gaps = ["1", "0", "", "0"]
    x = [0.5, 1.5, 2.5, 3.5]

    def of(label: Sequence[object]) -> Make:
        return column(*x, label=label)

    positive = {"positive": "Charged Off"}
    return [
        Case(
            "C9",
            "--positive of three values",
            Reads(y=(1, 0, 0, 0), says=("against all others", "Current")),
            of(loans),
            positive,
        ),
        Case("C9", "--positive of one-letter classes", Reads(y=(0, 0, 1)), of("ABC"), {"positive": "C"}),
        Case(
            "C9", "--positive 3 of ratings 1 to 4", Reads(y=(0, 0, 1, 0)), of([1, 2, 3, 4]), {"positive": "3"}
        ),
        Case(
            "C9",
            "--negative keeps only these",
            Reads({"c": (0.5, 1.5, 3.5)}, y=(1, 0, 0), says=("15 rows are left out", "Current")),
            of(loans),
            {**positive, "negative": ("Fully Paid",)},
        ),
        Case(
            "C9",
            "--negative of two values",
            Reads(y=(1, 0, 0, 0)),
            of(loans),
            {**positive, "negative": ("Fully Paid", "Current")},
        ),
        Case(
            "C9",
            "--negative of a value that is not there",
            Refuses(("'Paid'", "Fully Paid")),
            of(loans),
            {**positive, "negative": ("Paid",)},
        ),
        Case(
            "C9",
            "a missing label",
            Refuses(("'y'", "15 of 60", "row", "3, 7", "--unlabelled drop")),
            of(gaps),
        ),
        Case(
            "C9",
            "a missing label, --unlabelled drop",
            Reads({"c": (0.5, 1.5, 3.5)}, y=(1, 0, 0), says=("15 rows without a label",)),
            of(gaps),
            {"unlabelled": "drop"},
        ),
        Case(
            "C9",
            "negatives are empty",
            Refuses(("'y'", "write a value"), without=("remove", "delete", "drop")),
            of(["1", "", ""]),
        ),
        Case(
            "C9",
            "`None`, --negative None",
            Reads(y=(0, 1, 0, 0)),
            of(words),
            {"positive": "yes", "negative": ("None",)},
        ),
        Case("C9", "`NA`, --positive NA", Reads(y=(1, 0, 0)), of(["NA", "b", "b"]), {"positive": "NA"}),
        Case(
            "C9",
            "`nan`, --positive nan, in parquet",
            Reads(y=(1, 0, 0)),
            arrow(again(x), ["nan", "b", "b"]),
            {"positive": "nan"},
        ),
        Case(
            "C9",
            "`NA` among other values",
            Refuses(("'y'", "NA", "--negative")),
            of(["a", "NA", "b", "b"]),
            {"positive": "a"},
        ),
        Case("C9", "1 and 2", Refuses(("--positive 1", "--positive 2")), of([1, 2, 2])),
    ]


CASES = [*_numbers(), *_dates(), *_kinds(), *_extremes(), *_labels()]

"""Odd tables: each is read with pandas' values, or refused in words; none ends in a traceback.

`BENCH_TEST_FUZZ` says how many tables; 300 without it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.cards import Reading, card_for_file
from bench.data.raw.readers import MISSING_WORDS, read_frame
from bench.data.table import load
from bench.errors import BadTable, BenchError

N_TABLES = int(os.environ.get("BENCH_TEST_FUZZ", "300"))
BATCH = 100

WORDS = [
    "red",
    "blau",
    "grün",
    "two words",
    "O'Neil",
    "a-b",
    "x_1",
    "ß",
    "no",
    "yes",
    "12b",
    "#1",
    "%",
    "100%",
    "N",
    "ñ ç",
]
NAMES = [
    "age",
    "Income (k)",
    "größe",
    "x y",
    "2",
    "a;b",
    "a,b",
    'say "hi"',
    "#id",
    "%",
    "CamelCase",
    "Total",
    "f",
]


@dataclass
class Odd:
    """A text, how it is to be read, and how pandas reads it."""

    text: str
    separator: str
    reading: dict[str, Any] = field(default_factory=dict)
    pandas: dict[str, Any] = field(default_factory=dict)
    encoding: str = "utf-8"
    header: bool = True


def column(rng: np.random.Generator, n_rows: int) -> list[str]:
    """Return the cells of a column of one kind."""
    kind = rng.integers(8)
    if kind == 0:
        return [str(value) for value in rng.integers(-5, 100, n_rows)]
    if kind == 1:
        return [repr(float(value)) for value in rng.normal(0, 10.0 ** rng.integers(-5, 12), n_rows)]
    if kind == 2:
        return [f"{value:.2f}" for value in rng.lognormal(5, 2, n_rows)]
    if kind == 3:
        return [str(value) for value in rng.integers(2**53, 2**62, n_rows)]
    if kind == 4:
        return list(rng.choice(["true", "false", "True", "False"], n_rows))
    if kind == 5:
        return [
            str(day)[:10]
            for day in pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 900, n_rows), "D")
        ]
    return list(rng.choice(WORDS[: rng.integers(2, len(WORDS))], n_rows))


def table(rng: np.random.Generator) -> Odd:
    """Return an odd table, whole."""
    n_rows, n_columns = int(rng.integers(3, 40)), int(rng.integers(1, 7))
    names = [*rng.choice(NAMES, n_columns, replace=False), "y"]
    cells = [*(column(rng, n_rows) for _ in range(n_columns)), [str(i % 2) for i in range(n_rows)]]
    missing = rng.choice(MISSING_WORDS)
    for one in cells[:-1]:
        for i in range(n_rows):
            if rng.random() < rng.choice([0, 0.1]):
                one[i] = missing
    separator = str(rng.choice([",", ",", ";", "\t", "|"]))
    out = io.StringIO()
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(out, delimiter=separator, lineterminator="\n", quoting=int(quoting))
    writer.writerows([names, *zip(*cells, strict=True)])
    odd = Odd(out.getvalue(), separator)
    odd.encoding = str(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]))
    return with_oddities(rng, odd)


def with_oddities(rng: np.random.Generator, odd: Odd) -> Odd:
    """Return the text with lines around its table, and how both are told of them."""
    kind, lines = rng.integers(8), odd.text.split("\n")[:-1]
    if kind == 0:
        lines = ["# exported, by hand", *lines, "# end"]
        odd.reading, odd.pandas = {"comment": "# e"}, {"skiprows": 1, "skipfooter": 1, "engine": "python"}
    elif kind == 1:
        lines = ["Loans of 2015", "", *lines]
        odd.reading, odd.pandas = {"skip_rows": 1}, {"skiprows": 1}
    elif kind == 2:
        lines = [f"sep={odd.separator}", *lines]
        odd.pandas = {"skiprows": 1}
    elif kind == 3:
        lines = ["", *lines, "", "  "]
    text = "\n".join(lines) + "\n" * int(rng.integers(2))
    return replace(odd, text=text.replace("\n", str(rng.choice(["\n", "\r\n", "\r"]))))


def mangled(rng: np.random.Generator, content: bytes) -> bytes:
    """Return a content with a slip or some."""
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(content) + 1))
        kind = rng.integers(5)
        if kind == 0:
            content = content[:place]
        elif kind == 1:
            content = content[:place] + bytes([rng.integers(256)]) + content[place:]
        elif kind == 2:
            content = content[:place] + content[place + int(rng.integers(1, 9)) :]
        elif kind == 3:
            content = content[:place] + content[:place][-int(rng.integers(1, 60)) :] + content[place:]
        else:
            other = rng.choice([b'"', b"\n", b",", b";", b"\t", b"\xe9", b"Total,", b"\r\n\r\n", b"#", b"\0"])
            content = content[:place] + bytes(other) + content[place:]
    return content


def check_same(frame: pd.DataFrame, odd: Odd, content: bytes) -> None:
    """Check a frame against the texts that pandas reads."""
    options = {
        "sep": odd.separator,
        "dtype": str,
        "keep_default_na": False,
        "encoding": odd.encoding,
    } | odd.pandas
    expected = pd.read_csv(io.BytesIO(content), **options)
    assert [str(name).strip() for name in expected] == list(frame)
    assert len(expected) == len(frame)
    for place, name in enumerate(frame):
        texts = [str(text).strip() for text in expected.iloc[:, place]]
        for text, value in zip(texts, frame[name].tolist(), strict=True):
            assert means(text, value), (name, text, value)


def means(text: str, value: object) -> bool:
    """Tell whether a value is what a text means."""
    if text in MISSING_WORDS:
        return bool(pd.isna(value))
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        return float(text) == value if isinstance(value, float) else int(text) == value
    return text == value


@pytest.mark.parametrize("batch", range(-(-N_TABLES // BATCH)))
def test_odd_tables_have_pandas_values(tmp_path: Path, batch: int) -> None:
    refused = {}
    for seed in range(BATCH * batch, min(BATCH * (batch + 1), N_TABLES)):
        odd = table(np.random.default_rng([19, seed]))
        try:
            content = odd.text.encode(odd.encoding)
        except UnicodeEncodeError:
            continue
        path = tmp_path / f"{seed}.csv"
        path.write_bytes(content)
        try:
            frame = read_frame(path, reading=Reading(**odd.reading))
        except BadTable as error:
            refused[seed] = str(error)
        else:
            check_same(frame, odd, content)
    assert len(refused) <= BATCH // 20, refused


@pytest.mark.parametrize("batch", range(-(-N_TABLES // BATCH)))
def test_mangled_tables_are_read_or_refused(tmp_path: Path, batch: int) -> None:
    for seed in range(BATCH * batch, min(BATCH * (batch + 1), N_TABLES)):
        rng = np.random.default_rng([20, seed])
        odd = table(rng)
        path = tmp_path / f"{seed}.csv"
        path.write_bytes(mangled(rng, odd.text.encode(odd.encoding, "replace")))
        reading = Reading(**odd.reading)
        try:
            load(card_for_file(path, "y", reading=reading), data_file=path)
        except BenchError as error:
            assert str(error)  # noqa: PT017 - either outcome is right


def written(kind: str, folder: Path) -> bytes:
    """Return a table in a format of another program."""
    frame = pd.DataFrame({"a": range(20), "x": np.linspace(0, 1, 20), "g": ["u", "v"] * 10, "y": [0, 1] * 10})
    path = folder / f"whole.{kind}"
    if kind == "db":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            frame.to_sql("t", connection, index=False)
    elif kind == "xlsx":
        pytest.importorskip("openpyxl")
        frame.to_excel(path, index=False)
    elif kind == "dta":
        frame.to_stata(path, write_index=False)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif kind in ("parquet", "feather"):
        getattr(frame, f"to_{kind}")(path)
    else:
        frame.to_csv(path, index=False, compression={"method": kind} if kind else None)
    return path.read_bytes()


@pytest.mark.parametrize(
    "kind", ["parquet", "feather", "db", "xlsx", "dta", "jsonl", "zip", "gzip", "bz2", "xz"]
)
def test_mangled_files_of_other_formats_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    content, path = written(kind, tmp_path), tmp_path / "table"
    n_refused = 0
    for seed in range(N_TABLES // 10):
        path.write_bytes(mangled(np.random.default_rng([21, seed]), content))
        try:
            read_frame(path)
        except BenchError as error:
            assert str(error)  # noqa: PT017 - either outcome is right
            n_refused += 1
    assert n_refused

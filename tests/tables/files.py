"""The cases of files: point D of the issue."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.tables.case import Case, Reads, Refuses

ROWS = 40
X = tuple(i * 1.5 for i in range(1, ROWS + 1))
G = ("a", "b")
Y = (0, 1, 0, 0)
Make = Callable[[Path], Path]
RIGHT = Reads({"x": X, "g": G}, y=Y)
HEADER = "x,g,y\n"
BODY = "".join(f"{X[i]},{G[i % 2]},{Y[i % 4]}\n" for i in range(ROWS))
PLAIN = HEADER + BODY


def frame() -> pd.DataFrame:
    """Return the table that most of these files hold."""
    rows = range(ROWS)
    return pd.DataFrame({"x": X, "g": [G[i % 2] for i in rows], "y": [Y[i % 4] for i in rows]})


def text(content: str | bytes, name: str = "d.csv") -> Make:
    """Return what writes a file with this content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def written(write: Callable[[pd.DataFrame, Path], object], name: str) -> Make:
    """Return what writes the table by a function of pandas."""

    def make(folder: Path) -> Path:
        write(frame(), folder / name)
        return folder / name

    return make


def partitioned(folder: Path) -> Path:
    """Write a folder of parquet files, by the column `g`."""
    pq.write_to_dataset(pa.Table.from_pandas(frame()), folder / "d", partition_cols=["g"])
    return folder / "d"


def parts(folder: Path) -> Path:
    """Write a folder of two parquet files, one below the other."""
    (folder / "d").mkdir()
    frame()[:20].to_parquet(folder / "d" / "part-0.parquet")
    frame()[20:].to_parquet(folder / "d" / "part-1.parquet")
    return folder / "d"


def database(*names: str) -> Make:
    """Return what writes an SQLite database with these tables."""

    def make(folder: Path) -> Path:
        connection = sqlite3.connect(folder / "d.db")
        for name in names:
            frame().to_sql(name, connection, index=False)
        connection.close()
        return folder / "d.db"

    return make


def zipped(*names: str) -> bytes:
    """Return a zip with the table under each name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, PLAIN if name.startswith("train") else "p,q\n1,2\n")
    return out.getvalue()


def nested(folder: Path) -> Path:
    """Write parquet with a column of lists and one of bytes."""
    frame().assign(l=pd.Series([[1, 2]] * ROWS), b=pd.Series([b"\xff\0"] * ROWS)).to_parquet(
        folder / "d.parquet"
    )
    return folder / "d.parquet"


ARFF = "@relation t\n@attribute x numeric\n@attribute g {a,b}\n@attribute y {0,1}\n@data\n" + BODY
SPARSE = "".join(f"{Y[i % 4]} 1:{X[i]} 3:{i % 5 + 1}\n" for i in range(ROWS))
LIBSVM = Reads({"f1": X, "f3": (1, 2, 3, 4, 5)}, y=Y)
R_TABLE = '"x" "g" "y"\n' + "".join(f'"{i + 1}" {X[i]} "{G[i % 2]}" {Y[i % 4]}\n' for i in range(ROWS))
BIG = "".join(f"{2**53 + i},{X[i]},{Y[i % 4]}\n" for i in range(ROWS))
EQUAL = "".join(f"{2**53 + i % 2},{X[i]},{Y[i % 4]}\n" for i in range(ROWS))
PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>\n</body></html>\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def _formats() -> list[Case]:
    libsvm = {"format": "libsvm", "target": "label"}
    return [
        Case("D10", "ARFF", RIGHT, text(ARFF, "d.arff")),
        Case(
            "D10",
            "ARFF with `?`",
            Reads({"x": (None, *X[1:])}),
            text(ARFF.replace("\n1.5,", "\n?,"), "d.arff"),
        ),
        Case("D10", "feather", RIGHT, written(lambda table, path: table.to_feather(path), "d.feather")),
        Case("D10", "an Arrow stream", RIGHT, _stream),
        Case("D10", "JSON lines", RIGHT, written(_as_lines, "d.jsonl")),
        Case(
            "D10", "a JSON list", RIGHT, written(lambda t, path: t.to_json(path, orient="records"), "d.json")
        ),
        Case("D10", "Excel", RIGHT, written(lambda t, path: t.to_excel(path, index=False), "d.xlsx")),
        Case("D10", "Excel with two sheets, --table", RIGHT, _two_sheets, {"table": "loans"}),
        Case("D10", "Excel with two sheets", Refuses(("loans", "other", "--table")), _two_sheets),
        Case("D10", "SQLite", RIGHT, database("loans")),
        Case("D10", "SQLite with two tables, --table", RIGHT, database("loans", "more"), {"table": "loans"}),
        Case(
            "D10",
            "SQLite with two tables",
            Refuses(("loans", "more", "--table loans")),
            database("loans", "more"),
        ),
        Case("D10", "a folder of parquet", RIGHT, parts),
        Case("D10", "a folder of parquet by `g`", Reads({"x": (*X[::2], *X[1::2])}), partitioned),
        Case("D10", "a zip of one file", RIGHT, text(zipped("train.csv"), "d.zip")),
        Case(
            "D10",
            "a zip of two, --member",
            RIGHT,
            text(zipped("train.csv", "test.csv"), "d.zip"),
            {"member": "train.csv"},
        ),
        Case(
            "D10",
            "a zip of two",
            Refuses(("train.csv", "--member")),
            text(zipped("train.csv", "test.csv"), "d.zip"),
        ),
        Case("D10", "Stata", RIGHT, written(lambda t, path: t.to_stata(path, write_index=False), "d.dta")),
        Case("D10", "write.table of R", RIGHT, text(R_TABLE, "d.txt")),
        Case("D10", "write.table of R, by tabs", RIGHT, text(R_TABLE.replace(" ", "\t"), "d.tsv")),
        Case("D10", "libsvm, --format libsvm", LIBSVM, text(SPARSE, "d.txt"), libsvm),
        Case(
            "D10",
            "libsvm, not declared",
            Refuses(("libsvm", "--format libsvm")),
            text(SPARSE, "d.txt"),
            {"target": "label"},
        ),
        Case("D10", "a frame of pandas", RIGHT, written(_as_parquet, "d.parquet"), given_as="pandas"),
        Case("D10", "a frame of polars", RIGHT, written(_as_parquet, "d.parquet"), given_as="polars"),
        Case("D10", "lists and bytes, --drop of both", RIGHT, nested, {"drop": ("l", "b")}),
        Case("D10", "lists and bytes", Refuses(("--drop l",)), nested),
        Case(
            "D10", "an address", Refuses(("https://", "download")), lambda folder: Path("https://x.org/d.csv")
        ),
    ]


def _as_lines(table: pd.DataFrame, path: Path) -> None:
    table.to_json(path, orient="records", lines=True)


def _as_parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path)


def _stream(folder: Path) -> Path:
    table = pa.Table.from_pandas(frame())
    with pa.ipc.new_stream(folder / "d.arrows", table.schema) as writer:
        writer.write_table(table)
    return folder / "d.arrows"


def _two_sheets(folder: Path) -> Path:
    with pd.ExcelWriter(folder / "d.xlsx") as book:
        frame().to_excel(book, sheet_name="loans", index=False)
        frame()[:3].to_excel(book, sheet_name="other", index=False)
    return folder / "d.xlsx"


def _around() -> list[Case]:
    """Return the cases of what stands around the rows of a text."""
    title = "Loans of 2015\n" + PLAIN
    comments = "# by hand\n# in May\n" + PLAIN
    footer = "Total amount funded: 4600\n"
    return [
        Case("D11", "a title above", Refuses(("2 is the header", "--skip-rows 1")), text(title)),
        Case("D11", "a title above, --skip-rows 1", RIGHT, text(title), {"skip_rows": 1}),
        Case("D11", "a title with commas above", Refuses(("--skip-rows 1",)), text("Loans,,\n" + PLAIN)),
        Case("D11", "a title and a blank line above", Refuses(("--skip-rows",)), text("Loans\n\n" + PLAIN)),
        Case("D11", "comments above", Refuses(("--comment '#'",)), text(comments)),
        Case("D11", "comments above, --comment #", RIGHT, text(comments), {"comment": "#"}),
        Case("D11", "a comment of as many cells", Refuses(("--skip-rows 1",)), text("# a, b, c\n" + PLAIN)),
        Case("D11", "sep=;", RIGHT, text("sep=;\n" + PLAIN.replace(",", ";"))),
        Case("D11", "a footer", Refuses(("42", "--comment")), text(PLAIN + footer)),
        Case(
            "D11",
            "a footer with commas",
            Refuses(("42", "--comment")),
            text(PLAIN + footer[:-1] + ",,\n"),
        ),
        Case("D11", "a footer, --comment Total", RIGHT, text(PLAIN + footer), {"comment": "Total"}),
        Case("D11", "a sum below", Refuses(("42", "--comment Total")), text(PLAIN + "Total,,10\n")),
        Case(
            "D11",
            "two header rows",
            Refuses((" 2 ", "--skip-rows 1")),
            text("A,B,C\n" + PLAIN),
            {"target": "C"},
        ),
        Case("D11", "two header rows, --skip-rows 1", RIGHT, text("A,B,C\n" + PLAIN), {"skip_rows": 1}),
        Case("D11", "units below the header", Refuses((" 2 ", "kg")), text(HEADER + "kg,-,-\n" + BODY)),
        Case("D11", "trailing commas", RIGHT, text(PLAIN.replace("\n", ",\n"))),
        Case("D11", "trailing commas in rows only", RIGHT, text(HEADER + BODY.replace("\n", ",\n"))),
        Case("D11", "UTF-16 without mark", RIGHT, text(PLAIN.encode("utf-16-le"))),
        Case("D11", "UTF-16 without mark, big endian", RIGHT, text(PLAIN.encode("utf-16-be"))),
        Case("D11", "UTF-16 with mark", RIGHT, text(PLAIN.encode("utf-16"))),
        Case("D11", "one NUL", Refuses((" 6 ", "NUL")), text(PLAIN.replace("\n7.5,", "\n7\0.5,"))),
        Case(
            "D11",
            "one bad byte in UTF-8",
            Refuses(("42", "0xdf")),
            text(PLAIN.replace("a", "ä").encode() + b"9,Stra\xdfe,1\n"),
        ),
        Case(
            "D11",
            "Windows-1252",
            Reads({"g": ("ä", "b")}, says=("Windows-1252",)),
            text(PLAIN.replace("a", "ä").encode("cp1252")),
        ),
        Case("D11", "a Git LFS pointer", Refuses(("Git LFS pointer", "git lfs pull")), text(POINTER)),
        Case(
            "D11", "a Git LFS pointer for parquet", Refuses(("Git LFS pointer",)), text(POINTER, "d.parquet")
        ),
        Case("D11", "an HTML page", Refuses(("web page", "Sign in")), text(PAGE)),
        Case("D11", "an HTML page named xlsx", Refuses(("web page",)), text(PAGE, "d.xlsx")),
        Case(
            "D11",
            "ids beyond 2^53",
            Refuses(("2^53", "'id'", "--drop id"), without=("constant",)),
            text("id,x,y\n" + EQUAL),
        ),
        Case(
            "D11",
            "ids beyond 2^53, all different",
            Reads({"x": X}, says=("'id'", "2^53")),
            text("id,x,y\n" + BIG),
        ),
    ]


def _refusals() -> list[Case]:
    """Return the cases of files whose fault is in one row."""
    return [
        Case("D12", "a row of two cells", Refuses(("42", "2 cells", "3")), text(PLAIN + "5,a\n")),
        Case("D12", "a row of four cells", Refuses(("42", "4 cells", "3")), text(PLAIN + "5,a,1,9\n")),
        Case("D12", "an unclosed quote", Refuses(("quote", "unclosed")), text(PLAIN + '5,"a,1\n6,b,0\n')),
        Case("D12", "infinite values", Refuses(("'x'", "infinite", "--drop x")), text(PLAIN + "inf,a,0\n")),
        Case(
            "D12",
            "a word among many numbers",
            Refuses(("'x'", "'many'", "row 41", "--drop x")),
            text(PLAIN + "many,a,0\n"),
        ),
        Case("D12", "two columns of one name", Refuses(("'x'",)), text("x,x,y\n" + BODY)),
        Case("D12", "a column named almost right", Refuses(("'Y'", "'y'")), text(PLAIN), {"target": "Y"}),
        Case(
            "D12",
            "a broken gzip",
            Refuses(("d.csv.gz", "broken")),
            text(b"\x1f\x8b\x08\0\0\0\0\0\0\x03abc", "d.csv.gz"),
        ),
        Case("D12", "an empty file", Refuses(("empty",)), text("")),
        Case("D12", "a header and no rows", Refuses(("no rows",)), text(HEADER)),
    ]


CASES = [*_formats(), *_around(), *_refusals()]

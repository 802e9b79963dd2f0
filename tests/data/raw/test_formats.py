"""Tables of other programs are read with the values that were written, or refused by what is wrong."""

from __future__ import annotations

import base64
import bz2
import datetime as dt
import gzip
import io
import lzma
import sqlite3
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench.data.cards import Reading, card_for_file
from bench.data.raw.readers import read_frame
from bench.data.table import load
from bench.errors import BadTable, NotInstalled
from tests.data.raw.conftest import Write

TEXT = b"id,x,g\n1,1.5,a\n2,2.5,b\n"
VALUES = {"id": [1, 2], "x": [1.5, 2.5], "g": ["a", "b"]}


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("gz", gzip.compress(TEXT)),
        ("bz2", bz2.compress(TEXT)),
        ("xz", lzma.compress(TEXT)),
        ("zst", pa.Codec("zstd").compress(TEXT, asbytes=True)),
    ],
)
def test_compressed_text_is_read_and_a_torn_one_refused(write: Write, suffix: str, content: bytes) -> None:
    assert read_frame(write(content, f"t.csv.{suffix}")).to_dict("list") == VALUES
    with pytest.raises(BadTable, match=rf"t\.csv\.{suffix} is a broken archive"):
        read_frame(write(content[:-12], f"t.csv.{suffix}"))


def test_the_member_of_a_zip_is_named(write: Write) -> None:
    path = write(zipped({"a/train.csv": TEXT, "a/test.csv": b"p,q\n1,2\n", "readme.txt": b"x"}))
    with pytest.raises(BadTable, match=r"holds 3 files: 'a/train.csv', .*say which: --member a/train\.csv"):
        read_frame(path)
    assert list(read_frame(path, reading=Reading(member="test.csv"))) == ["p", "q"]
    assert list(read_frame(path, reading=Reading(member="a/train.csv"))) == ["id", "x", "g"]
    with pytest.raises(BadTable, match=r"has 0 files 'no.csv'; --member is one of: 'a/train.csv'"):
        read_frame(path, reading=Reading(member="no.csv"))


ARFF = """% by hand
@RELATION 'my table'
@attribute a NUMERIC
@ATTRIBUTE 'b c' {x, 'y z', None}
@attribute d string
@attribute e date "yyyy-MM-dd"
@attribute f real[0.0, 2.0]
@attribute class{0,1}
@data
1, x, 'it\\'s, a', "2020-01-01", ?, 0
% between
2.5,'y z',?,2020-01-02,1,1

?,None,"q",<null>,2,0
"""


def test_arff_with_every_kind_of_attribute(write: Write) -> None:
    frame = read_frame(write(ARFF, "t.arff"))
    expected = {
        "a": [1, 2.5, None],
        "b c": ["x", "y z", "None"],
        "d": ["it's, a", None, "q"],
        "e": ["2020-01-01", "2020-01-02", None],
        "f": [None, 1, 2],
        "class": ["0", "1", "0"],
    }
    assert {name: [None if pd.isna(v) else v for v in frame[name]] for name in frame} == expected
    assert [str(frame[name].dtype) for name in ("a", "b c", "f", "class")] == [
        "float64",
        "category",
        "float64",
        "category",
    ]
    assert read_frame(write(ARFF), unread=["d"])["d"].isna().all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,zz,s,2020-01-01,1,1", r"line 15 has 'zz' for the nominal attribute 'b c'"),
        ("1x,x,s,2020-01-01,1,1", r"line 15 has '1x' for the numeric attribute 'a'"),
        ("1,x", r"line 15 has 2 cells, not 6"),
        ("{0 1}", r"line 15 is of sparse ARFF"),
    ],
)
def test_arff_with_a_wrong_row_is_refused(write: Write, row: str, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        read_frame(write(f"{ARFF}{row}\n"))


def test_arff_without_rows_or_attributes_is_refused(write: Write) -> None:
    for text, message in (
        ("@relation a\n@attribute b numeric\n@data\n", "has no rows"),
        ("@relation a\n@data\n1\n", "without attributes"),
        ("@relation a\n@attribute b relational\n@data\n1\n", "'b' as 'relational'"),
        ("@relation a\n@attribute b\n@data\n1\n", "line 2 declares no attribute"),
    ):
        with pytest.raises(BadTable, match=message):
            read_frame(write(text))


def test_json_lines_and_a_list_of_objects(write: Write) -> None:
    lines = '{"a": 1, "b": " 2020-01-01", "c": true}\n\n{"a": 2.5, "c": false, "b": "NA"}\n'
    lines += '{"b": "x", "a": null, "c": true}\n'
    listed = f"[{','.join(filter(None, lines.splitlines()))}]"
    for text in (lines, listed):
        frame = read_frame(write(text))
        assert [None if pd.isna(value) else value for value in frame["a"]] == [1, 2.5, None]
        assert [None if pd.isna(value) else value for value in frame["b"]] == ["2020-01-01", None, "x"]
        assert frame["c"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2}\n{"a": 2,\n', r"its line 2 is no whole object: '{\"a\": 2,'"),
        ('{"a": 1, "b": [2]}\n{"a": 2, "b": [3]}\n', r"column 'b' holds list.*--drop b"),
        (
            '{"a": 1, "b": [2]}\n{"a": "x", "b": 3}\n',
            r"column 'b' does not hold single values, as in row 1 of the data; give --drop b",
        ),
        ('{"a": {"0": 1}, "b": {"0": 2}}', r"JSON with one object, of 'a', 'b'; give one object a row"),
        ('[{"a": 1}, 3]', r"its item 2 is no object: '3'"),
        ('[{"a": 1}, ', r"broken JSON"),
    ],
)
def test_json_that_is_no_table_is_refused(write: Write, text: str, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        read_frame(write(text))


@pytest.mark.parametrize("orient", ["split", "index", "columns", "table", "values"])
@pytest.mark.parametrize("indent", [None, 2])
def test_other_json_of_pandas_is_named(write: Write, orient: Any, indent: int | None) -> None:
    frame = pd.DataFrame({"x": [1.5, 2.5, 3.5], "g": ["u", "v", "w"], "y": [0, 1, 0]})
    with pytest.raises(BadTable, match=r"JSON (with one object|of lists).*orient='records'"):
        read_frame(write(frame.to_json(orient=orient, indent=indent), "a.json"))


def test_json_keeps_values_of_two_kinds_and_long_numbers(write: Write) -> None:
    frame = read_frame(
        write('{"a": 1, "b": 12345678901234567890, "c": [1]}\n{"a": "x", "b": 3, "c": 2}\n'), unread=["c"]
    )
    assert frame["a"].tolist() == ["1", "x"]
    assert frame["b"].tolist() == ["12345678901234567890", "3"]


def database(path: Path, **tables: list[tuple[Any, ...]]) -> Path:
    connection = sqlite3.connect(path)
    for title, rows in tables.items():
        name = title.replace('"', '""')
        connection.execute(f'create table "{name}" (id integer, x real, g text, raw blob, m)')
        connection.executemany(f'insert into "{name}" values (?, ?, ?, ?, ?)', rows)  # noqa: S608
    connection.commit()
    connection.close()
    return path


ROWS = [(1, 1.5, "a", b"\xff\0", 1), (2, None, "NA", None, "u"), (9007199254740993, 2, " b", None, 2.5)]


def test_the_only_table_of_a_database_is_read_without_a_change(tmp_path: Path) -> None:
    path = database(tmp_path / "t.db", loans=ROWS)
    before = path.read_bytes()
    frame = read_frame(path, unread=["raw"])
    assert frame["id"].tolist() == [1, 2, 9007199254740993]
    assert frame["x"].fillna(-1).tolist() == [1.5, -1, 2]
    assert frame["g"].fillna("-").tolist() == ["a", "-", "b"]
    assert frame["m"].tolist() == ["1", "u", "2.5"]
    assert frame.attrs["notes"] == ("read the table 'loans'",)
    assert path.read_bytes() == before
    with pytest.raises(BadTable, match="column 'raw' holds bytes that are no text; give --drop raw"):
        read_frame(path)


def test_of_several_tables_one_is_named(tmp_path: Path) -> None:
    path = database(tmp_path / "t.db", loans=ROWS, **{'odd "name"': ROWS[:1]})
    with pytest.raises(BadTable, match=r"has 2 tables with data: 'loans', .*--table loans"):
        read_frame(path)
    assert len(read_frame(path, reading=Reading(table='odd "name"'), unread=["raw"])) == 1
    with pytest.raises(BadTable, match=r"no table 'x'; --table is one of: 'loans'"):
        read_frame(path, reading=Reading(table="x"))


def test_a_database_with_rows_in_its_log_or_a_torn_one_is_refused(tmp_path: Path, write: Write) -> None:
    path = database(tmp_path / "t.db", loans=ROWS)
    with pytest.raises(BadTable, match="cut short"):
        read_frame(write(path.read_bytes()[:5000]))
    with pytest.raises(BadTable, match="broken SQLite database"):
        read_frame(write(path.read_bytes()[:4096] + bytes(4096)))
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode=wal")
    connection.execute("insert into loans (id) values (4)")
    connection.commit()
    with pytest.raises(BadTable, match=r"changes in t\.db-wal"):
        read_frame(path)
    connection.close()
    assert len(read_frame(path, unread=["raw"])) == 4


def test_stata_with_labels_of_all_values_and_of_some(write: Write) -> None:
    frame = pd.DataFrame({"x": [1.5, None, 3], "g": ["a", "", "b"], "code": [1, 2, 3], "y": [0, 1, 0]})
    out = io.BytesIO()
    frame.to_stata(out, write_index=False, value_labels={"y": {0: "no", 1: "yes"}, "code": {3: "refused"}})
    read = read_frame(write(out.getvalue(), "t.dta"))
    assert read["x"].fillna(-1).tolist() == [1.5, -1, 3]
    assert read["g"].fillna("-").tolist() == ["a", "-", "b"]
    assert read["y"].tolist() == ["no", "yes", "no"]
    assert read["code"].tolist() == [1, 2, 3]
    assert read.attrs["notes"] == ("'code' has labels for some of its values only, so it has its numbers",)
    with pytest.raises(BadTable, match="cannot be read by pandas"):
        read_frame(write(out.getvalue()[:300]))


def ibm(value: float) -> bytes:
    """Return a number as SAS transports it: a hexadecimal exponent and seven bytes of fraction."""
    exponent = 64
    while abs(value) >= 1:
        value, exponent = value / 16, exponent + 1
    return bytes([exponent]) + int(value * 2**56).to_bytes(7, "big")


def xport(rows: list[tuple[float, str]]) -> bytes:
    """Return a SAS transport file with the columns X and G."""

    def header(kind: str, tail: str = "0" * 30) -> str:
        return f"HEADER RECORD*******{kind:<8}HEADER RECORD!!!!!!!{tail}  "

    stamp = "01JAN20:00:00:00"
    head = header("LIBRARY") + f"{'SAS     SAS     SASLIB  9.4     X64':<64}{stamp}{stamp:<80}"
    head += header("MEMBER", "000000000000000001600000000140") + header("DSCRPTR")
    head += f"{'SAS     T       SASDATA 9.4     X64':<64}{stamp}{stamp:<80}"
    head += header("NAMESTR", "000000000200000000000000000000")
    names = b"".join(
        struct.pack(
            ">hhhh8s40s8shhh2s8shhl52s",
            kind,
            0,
            8,
            i + 1,
            name,
            name.ljust(40),
            b" " * 8,
            0,
            0,
            0,
            b"",
            b" " * 8,
            0,
            0,
            8 * i,
            b"",
        )
        for i, (name, kind) in enumerate(((b"X       ", 1), (b"G       ", 2)))
    )
    cells = b"".join(ibm(number) + word.ljust(8).encode() for number, word in rows)
    pad = [part + b" " * (-len(part) % 80) for part in (names, cells)]
    return head.encode() + pad[0] + header("OBS").encode() + pad[1]


def test_sas_transport_files(write: Write) -> None:
    frame = read_frame(write(xport([(1, "a"), (0.5, "NA"), (123, "b"), (7, "c"), (8, "d")]), "t.xpt"))
    assert frame["X"].tolist() == [1, 0.5, 123, 7, 8]
    assert frame["G"].fillna("-").tolist() == ["a", "-", "b", "c", "d"]


# A sas7bdat file as ReadStat writes it, deflated: x is 1.5, missing, 3; g is a, NA, b; day begins with 2020-01-01.
SAS7BDAT = (
    "eNpjYECAQ68aEzaLCJ7fO4mDgfO4YY+EvICgsRKDsTEjkyEjRIkIAwMzI4q4MaOyMYOICIMCMyPMnGDHYAU3Tx9XF8cQx2DXEAVc"
    "gIEAAOlHUvegsfuOIxKNCgQgmBFN2FLPwMTA0NfUJzOvtAJJ3FjP0EDPQNfQ0MxAz9BQzxDduAoLs3gzExShBz5++a0wjK5+xq47"
    "/9DcOQpGwSgYBaNgFIyCUTAKRsEoGAWjYBQMGjAT0W9FAfrsUAYTHwM3kLrBA+FqMKOqOwAVl0DTn8EFoSOYUMUVoOIeMAFoh/0N"
    "J4Q2QRNfABX3QRPPgIpboIlrQMUd0NzzggO7+AoC4mjGQ8EPe7Df0646JCKPZVz8UQ+m0686+Dkij3FwgI13AIonETn2MQpGwSgY"
    "BaNgFIwCBoZ/v/+DAbHqDRhYKNJPqf0Y+iHa/6tA+TJQmhkIGRmY4TxGBtQG0x+oPgs088DNExZG8LQHgs/EwIEmjwygRv1HND5U"
    "oO0aDSitw4DWvGP4C9WDNBUigj6PA57nCXENAM2vpANxSmIlaO7GFZtHYP6AxQ47jdILDztq+MFCgg2tPceG5k9GNPeh8/+jqWNF"
    "U8eKFt+MaP5E50OTFcF09YtIdT//U5ZOhxr4BgSQnIMKvgMBiP4A5fOiyQsaKKH0W5hxmI8uLoMWz/AMCAX+aOnk/wiLD1r1R0kF"
    "sHzGhMbnQuPzoPH50PgcNPMpB1INJYJkDw+YLUOkzSxAlzJipNIVONMvelcWAHSW5hs="
)


def test_a_sas_data_set(write: Write) -> None:
    frame = read_frame(write(zlib.decompress(base64.b64decode(SAS7BDAT)), "t.sas7bdat"))
    assert frame["x"].fillna(-1).tolist() == [1.5, -1, 3]
    assert frame["g"].fillna("-").tolist() == ["a", "-", "b"]
    assert frame["day"].astype(str).tolist() == ["2020-01-01", "2020-01-02", "2020-01-03"]


def test_torn_sas_files_are_refused(write: Write) -> None:
    sas = bytes(12) + bytes.fromhex("c2ea8160b31411cfbd92080009c7318c181f1011") + bytes(300)
    for content in (sas, xport([(1, "a")])[:300]):
        with pytest.raises(BadTable, match="cannot be read by pandas"):
            read_frame(write(content))


def test_features_that_no_row_of_libsvm_has_are_left_out(write: Write) -> None:
    frame = read_frame(write("1 2:0.5\n0 2:1 9:3\n"), reading=Reading(format="libsvm"))
    assert list(frame) == ["label", "f2", "f9"]
    assert frame.attrs["notes"][0].endswith("f1 to f9 without 7 that no row has")


def test_libsvm_is_read_where_it_is_declared(write: Write) -> None:
    frame = read_frame(write("1 1:0.5 3:2 # a\n-1 2:1\n"), reading=Reading(format="libsvm"))
    assert frame.to_dict("list") == {"label": [1, -1], "f1": [0.5, 0], "f2": [0, 1], "f3": [2, 0]}
    assert frame.attrs["notes"] == (
        "read as libsvm: the label is the column 'label', the features are f1 to f3",
    )
    with pytest.raises(BadTable, match="is no libsvm file"):
        read_frame(write("a,b\n1,2\n"), reading=Reading(format="libsvm"))


Cells = list[list[Any]]
SHEET: Cells = [
    ["id", "x", "g", "day", "ok"],
    [1, 0.1, "a", dt.datetime(2020, 1, 2), True],
    [2, 1.234, " b", dt.datetime(2020, 1, 2, 3, 4), False],
    [9007199254740991, 1e300, None, None, True],
]


def workbook(**sheets: Cells) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_the_only_sheet_with_data_is_read(write: Write) -> None:
    frame = read_frame(write(workbook(Notes=[], Data=SHEET), "t.xlsx"))
    assert frame["id"].tolist() == [1, 2, 9007199254740991]
    assert frame["x"].tolist() == [0.1, 1.234, 1e300]
    assert frame["g"].fillna("-").tolist() == ["a", "b", "-"]
    assert frame["day"].fillna("-").tolist() == ["2020-01-02", "2020-01-02 03:04:00", "-"]
    assert frame["ok"].tolist() == [True, False, True]
    assert frame.attrs == {
        "notes": ("read the sheet 'Data'",),
        "separator": None,
        "decimal": None,
        "padded": {},
    }


def test_of_several_sheets_one_is_named(write: Write) -> None:
    path = write(workbook(Data=SHEET, More=[["a", "b"], [1, 2]], Notes=[]))
    with pytest.raises(BadTable, match=r"has 2 sheets with data: 'Data', 'More'; say which: --table Data"):
        read_frame(path)
    assert read_frame(path, reading=Reading(table="More")).to_dict("list") == {"a": [1], "b": [2]}
    with pytest.raises(BadTable, match=r"no sheet 'Notes'; --table is one of: 'Data', 'More'"):
        read_frame(path, reading=Reading(table="Notes"))


def test_the_decimal_mark_of_texts_changes_no_number_of_a_sheet(write: Write) -> None:
    frame = read_frame(
        write(workbook(Data=[["a", "b"], [0.5, "1,5"], [2, "2,5"]])), reading=Reading(decimal=",")
    )
    assert frame.to_dict("list") == {"a": [0.5, 2], "b": [1.5, 2.5]}


def test_a_declared_decimal_mark_is_of_the_texts_in_a_sheet(tmp_path: Path) -> None:
    rows = [[f"1.{100 + i}" if i % 2 else 1000.5 + i, f"{i},5", i + 0.25, i % 2] for i in range(40)]
    path = tmp_path / "t.xlsx"
    path.write_bytes(workbook(only=[["a", "b", "c", "y"], *rows]))
    table = load(card_for_file(path, "y", reading=Reading(decimal=",")), data_file=path)
    assert table.X["a"].tolist() == [1100 + i if i % 2 else 1000.5 + i for i in range(40)]
    assert table.X["b"].tolist() == [i + 0.5 for i in range(40)]
    assert table.X["c"].tolist() == [i + 0.25 for i in range(40)]


def test_merged_cells_are_told(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["Loans", None, None], ["a", "x", "y"], *([i // 3, i, i % 2] for i in range(9))]:
        book.active.append(row)
    for cells in ("A1:C1", "A3:A5", "A6:A8"):
        book.active.merge_cells(cells)
    book.save(tmp_path / "t.xlsx")
    frame = read_frame(tmp_path / "t.xlsx", reading=Reading(skip_rows=1))
    (note,) = [note for note in frame.attrs["notes"] if "merged" in note]
    assert note.startswith(
        "merged cells ('A3:A5', 'A6:A8') have their value in the first only: 4 others read as missing"
    )
    assert frame["a"].isna().sum() == 4


def test_identifiers_that_a_workbook_has_rounded_are_named(write: Write) -> None:
    content = workbook(only=[["id", "y"], *([12345678901234567890 + i, i % 2] for i in range(9))])
    with pytest.raises(BadTable, match=r"'id' has the number 1234567890123456.* keeps 15 digits .*--drop id"):
        read_frame(write(content))
    assert read_frame(write(content), unread=["id"])["y"].tolist() == [i % 2 for i in range(9)]


def test_a_sheet_has_titles_and_names_as_a_text_has(write: Write) -> None:
    path = write(workbook(Data=[["Loans", None], [], *SHEET]))
    with pytest.raises(BadTable, match=r"line 3 \('id', .*--skip-rows 2"):
        read_frame(path)
    assert len(read_frame(path, reading=Reading(skip_rows=2))) == 3


def test_a_formula_without_a_value_is_refused_by_its_cell(write: Write) -> None:
    with pytest.raises(BadTable, match=r"the cell B2 of the sheet 'Data' holds the formula '=A2\*2'"):
        read_frame(write(workbook(Data=[["a", "b"], [1, "=A2*2"], [2, 3]])))


def test_without_openpyxl_the_error_says_how_to_install_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""})
    monkeypatch.setitem(sys.modules, "openpyxl", None)  # importing it fails, as where it is not installed
    with pytest.raises(NotInstalled, match=r'pip install "imbalance-bench\[excel\]"'):
        read_frame(write(content, "t.xlsx"))


def test_other_documents_are_named(write: Write) -> None:
    for content, message in (
        (
            zipped({"[Content_Types].xml": b"", "word/document.xml": b""}),
            "an Office document but no .xlsx workbook",
        ),
        (zipped({"mimetype": b"", "content.xml": b""}), "an OpenDocument file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel workbook of 97-2003, or one with a password"),
        (
            zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}),
            "is a broken workbook|openpyxl is not installed",
        ),
    ):
        with pytest.raises((BadTable, NotInstalled), match=message):
            read_frame(write(content))


def test_numbers_of_every_format_are_equal(tmp_path: Path) -> None:
    """The same table in five formats is the same frame."""
    frame = pd.DataFrame(
        {"a": np.arange(5), "x": [0.1, 1 / 3, np.nan, 1e-300, -2], "g": ["u", "v", None, "u", "w"]}
    )
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True, double_precision=15)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.feather")
    with sqlite3.connect(tmp_path / "t.db") as connection:
        frame.to_sql("t", connection, index=False)
    connection.close()
    for path in sorted(tmp_path.iterdir()):
        exact = path.suffix != ".jsonl"  # pandas writes 15 digits
        pd.testing.assert_frame_equal(read_frame(path), frame, check_exact=exact)

"""What stands above, below, between and beside the rows of a text: read right, or refused with the option to type."""

from __future__ import annotations

import re
import shlex
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.data.cards import Reading
from bench.data.raw.readers import read_frame
from bench.errors import BadTable
from tests.data.raw.conftest import Write

HEADER = "id,x,g,y\n"
ROWS = "".join(f"{i},{i * 1.5},{'ab'[i % 2]},{i % 2}\n" for i in range(1, 30))
PLAIN = HEADER + ROWS
EXPECTED = pd.DataFrame(
    {
        "id": range(1, 30),
        "x": [i * 1.5 for i in range(1, 30)],
        "g": ["ab"[i % 2] for i in range(1, 30)],
        "y": [i % 2 for i in range(1, 30)],
    }
)


def check(frame: pd.DataFrame, expected: pd.DataFrame = EXPECTED, *notes: str) -> None:
    """Check values, and that there is a note for each pattern and no other."""
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)
    assert len(frame.attrs["notes"]) == len(notes), frame.attrs["notes"]
    for note, pattern in zip(frame.attrs["notes"], notes, strict=True):
        assert re.search(pattern, note), note


def ended(text: str, end: str) -> str:
    return text.replace("\n", f"{end}\n")


# What a text holds beside its table: the options that it takes, and the notes that tell what was done.
READ_RIGHT: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "nothing": (PLAIN, {}, []),
    "a title": ("Loans of 2015 (https://x.org)\n" + PLAIN, {"skip_rows": 1}, ["above the table: 1 line "]),
    "a title with commas": ("Loans,,,\n,,,\n" + PLAIN, {"skip_rows": 2}, ["2 lines"]),
    "a title and a blank line": ("Loans\n\n" + PLAIN, {"skip_rows": 1}, ["1 line "]),
    "two rows of names": ("A,B,C,D\n" + PLAIN, {"skip_rows": 1}, ["1 line "]),
    "comments": ("# by hand\n" + PLAIN + "# end, of it\n", {"comment": "#"}, ["2 lines beginning with '#'"]),
    "comments with blanks before": ("  # by hand\n" + PLAIN, {"comment": "#"}, ["1 line beginning"]),
    "comments and a title": (
        "title\n// b\n" + PLAIN,
        {"comment": "//", "skip_rows": 1},
        ["1 line ", "1 line "],
    ),
    "no comment after all": (PLAIN, {"comment": "#"}, ["0 lines"]),
    "Excel's separator": ("sep=;\n" + PLAIN.replace(",", ";"), {}, ["separator ';'"]),
    "Excel's separator, quoted": ('"sep=,"\r\n' + PLAIN, {}, ["separator ','"]),
    "Excel's separator, rare": ("SEP=^\n" + PLAIN.replace(",", "^"), {}, ["separator '.'"]),
    "footers": (
        PLAIN + "\n\nTotal amount funded in policy code 1: 4602\nTotal amount funded in policy code 2: 0\n",
        {"comment": "Total amount"},
        ["2 lines beginning with 'Total amount'"],
    ),
    "a quoted footer": (PLAIN + '"Total: 5"\n', {"comment": "Total"}, ["1 line beginning"]),
    "a separator at each end": (ended(PLAIN, ","), {}, ["1 column without a name or a value"]),
    "three separators at each end": (ended(PLAIN, ",,,"), {}, ["3 columns without"]),
    "a separator at the end of rows": (HEADER + ended(ROWS, ","), {}, ["1 column without"]),
    "a separator at the header's end": (ended(HEADER, ",") + ROWS, {}, ["1 empty name"]),
    "rows of empty cells": (PLAIN + ",,,\n , ,,\n", {}, ["2 rows of empty cells"]),
    "empty cells above": (",,,\n" + PLAIN, {}, []),
    "a header that comes again": (
        PLAIN + HEADER,
        {},
        ["1 row repeating the header"],
    ),
    "files one after the other": (
        "".join(HEADER + "".join(ROWS.splitlines(keepends=True)[i : i + 6]) for i in range(0, 29, 6)),
        {},
        ["4 rows repeating the header"],
    ),
    "the same, separated by blanks": (
        (HEADER + "\n" + HEADER + ROWS).replace(",", " "),
        {},
        ["1 row repeating the header"],
    ),
    "cells in apostrophes": (re.sub(r"([^,\n]+)", r"'\1'", PLAIN), {}, ["read with ' as the quote"]),
    "quotes after blanks": (re.sub(r",([^,\n]+)", r', "\1"', PLAIN), {}, []),
    "the end of DOS": (PLAIN + "\x1a", {}, []),
    "a ruler": (PLAIN.replace(",", " | ").replace("\n", "\n---+----+---+---\n", 1), {}, []),
    "two marks of UTF-8": ("\xef\xbb\xbf" * 2 + PLAIN, {}, []),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le").decode("latin-1"), {}, ["read as UTF-16-LE"]),
    "UTF-16 the other way": (PLAIN.encode("utf-16-be").decode("latin-1"), {}, ["read as UTF-16-BE"]),
    "UTF-32": (PLAIN.encode("utf-32").decode("latin-1"), {}, []),
}


@pytest.mark.parametrize(("text", "reading", "notes"), READ_RIGHT.values(), ids=READ_RIGHT)
def test_what_is_none_of_the_table_is_left_out_and_told(
    write: Write, text: str, reading: dict[str, Any], notes: list[str]
) -> None:
    check(read_frame(write(text.encode("latin-1")), reading=Reading(**reading)), EXPECTED, *notes)


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
@pytest.mark.parametrize(
    "kind", ["a title", "comments", "footers", "a separator at each end", "rows of empty cells"]
)
def test_the_same_holds_for_other_line_ends(write: Write, kind: str, line_end: str) -> None:
    text, reading, notes = READ_RIGHT[kind]
    check(read_frame(write(text.replace("\n", line_end)), reading=Reading(**reading)), EXPECTED, *notes)


REFUSED: dict[str, tuple[str, str]] = {
    "a title": ("Loans of 2015\n" + PLAIN, r"line 1 has 1 cells .*line 2 is the header.*--skip-rows 1\."),
    "a long title": ("Loans\nby, us\n\n" + PLAIN, r"line 4 is the header \('id'.*, give --skip-rows 3"),
    "a title with commas": ("Loans,,,\n,,,\n" + PLAIN, r"line 3 \('id', 'x', 'g', 'y'\) .*--skip-rows 2"),
    "comments": ("# by hand\n# in May\n" + PLAIN, r"--skip-rows 2 or --comment '#'"),
    "a comment of as many cells": ("# by, hand, in, May\n" + PLAIN, r"line 2 \('id'.*--skip-rows 1"),
    "a comment between rows": (PLAIN + "# so, far\n" + ROWS, r"line 31 has 2 cells, not 4.*--comment '#'"),
    "two rows of names": (
        "A,B,C,D\n" + PLAIN,
        r"line 2 \('id', 'x', 'g', 'y'\).*line 1 \('A'.*--skip-rows 1 .*remove line 2",
    ),
    "names of two levels": ("a,a,b,b\nmean,sum,mean,y\n1,2,3,0\n4,5,6,1\n", r"--skip-rows 1"),
    "units": (HEADER + "-,kg,-,-\n" + ROWS, r"line 2 \('-', 'kg'.*remove line 2 to keep"),
    "another header below one that comes again": (
        HEADER + "1,2,a,0\n" + HEADER + "p,q,g,r\n" + ROWS,
        r"line 4 \('p', 'q'",
    ),
    "a footer": (PLAIN + "Total amount funded: 460\n", r"line 31 has 1 cells.*--comment 'Total amount'"),
    "a footer below blank lines": (
        PLAIN + "\n\nTotal amount: 4\n",
        r"line 33 has 1 cells.*--comment 'Total amount'",
    ),
    "a footer with commas": (
        PLAIN + "Total amount funded in code 1: 460,,,\n",
        r"line 31 .*'Total amount funded in code 1.*--comment 'Total amount'",
    ),
    "the same between rows": (
        PLAIN + "Total amount of code 1,,,\n" + ROWS,
        r"line 31 .*--comment 'Total amount'",
    ),
    "a quoted line between rows": (
        PLAIN
        + '"Loans that do not meet the policy","","",""\n'
        + ROWS
        + '"Total amount funded: 5","","",""\n',
        r"line 31 .*'Loans that do not meet the policy'\. .*--comment 'Loans that' --comment 'Total amount'",
    ),
    "a quoted cell with commas": (PLAIN + '"Source: a bank, and more",,,\n', r"line 31 .*--comment Source"),
    "three columns": (
        "".join(f"{line.rsplit(',', 1)[0]}\n" for line in PLAIN.splitlines()) + "Source: bank statistics,,\n",
        r"line 31 .*'Source: bank statistics'\. Leave it out: --comment Source",
    ),
    "a sum": (PLAIN + "Total,,,14\n", r"line 31 .*'Total'\. Leave it out: --comment Total"),
    "a sum in the second cell": (PLAIN + ",Grand total,,14\n", r"--comment ',Grand total'"),
    "a count of rows": (PLAIN + "(29 rows)\n", r"line 31 has 1 cells.*--comment '\('"),
    "an unclosed quote": (PLAIN + '30,"x,1\n31,2,a,1\n', r"is a quote in it unclosed\?"),
    "zeros at the end": (PLAIN + "\0" * 99, r"line 31 holds a zero byte \(NUL; 99 in the file\)"),
    "a short header": (
        "x,g,y\n7,1,p,0\n3,2,q,1\n",
        r"header in line 1 has 3 names .*4 cells.*mend the header",
    ),
    "numbers that may be a column": ("x,y\n10,5.5,0\n25,6,1\n", r"header in line 1 has 2 names .*3 cells"),
    "a long header": ("x,g,y,z\n7,1,p\n3,2,q\n", r"header in line 1 has 4 names .*3 cells.*mend the header"),
    "more skipped than there is": ("a,b\n1,2\n", r"has 3 lines; --skip-rows 9"),
    "a zero byte": (
        PLAIN.replace("5,7.5", "5,7\0.5"),
        r"line 6 holds a zero byte \(NUL; 1 in the file\): '5,7\\x00.5,b,1'",
    ),
    "a header alone": ("id,x,y", r"names 3 columns but has no rows"),
    "a very long cell": (f'id,y\n"{"x" * 300_000}",1\nk,0\n', r"a cell of more than 131,072 characters"),
    "libsvm": ("1 1:0.5 3:2\n0 2:1\n", r"looks like libsvm .*--format libsvm"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_a_guess_is_refused_by_row_with_what_to_type(
    write: Write, text: str, message: str
) -> None:
    reading = Reading(skip_rows=9) if "--skip-rows 9" in message else None
    with pytest.raises(BadTable, match=message) as caught:
        read_frame(write(text), reading=reading)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "kind", ["a title", "a long title", "a title with commas", "two rows of names", "comments"]
)
def test_the_option_that_is_named_reads_the_table(write: Write, kind: str) -> None:
    path = write(REFUSED[kind][0])
    with pytest.raises(BadTable) as caught:
        read_frame(path)
    match = re.search(r"--skip-rows (\d+)", str(caught.value))
    assert match is not None
    frame = read_frame(path, reading=Reading(skip_rows=int(match.group(1))))
    check(frame, EXPECTED, "left out above the table")


@pytest.mark.parametrize(
    "kind",
    [name for name, (_, message) in REFUSED.items() if "--comment '" in message or "--comment T" in message],
)
def test_the_comment_that_is_named_reads_the_table(write: Write, kind: str) -> None:
    path = write(REFUSED[kind][0])
    with pytest.raises(BadTable) as caught:
        read_frame(path)
    match = re.search(r"--comment '?([^']+)'?", str(caught.value))
    assert match is not None
    marks = shlex.split(str(caught.value).partition("--comment ")[2].replace("--comment ", ""))
    frame = read_frame(path, reading=Reading(comment=tuple(mark.rstrip(".") for mark in marks)))
    assert frame["id"].tolist()[:29] == list(range(1, 30))


def test_rows_of_names_without_values_are_rows(write: Write) -> None:
    text = "name,x,y\nAnn Lee,1,0\nBob Ray,2,1\nEva May,,\nIda Fox,3,0\n"
    assert read_frame(write(text))["name"].tolist()[2] == "Eva May"


def test_several_comments_are_left_out(write: Write) -> None:
    frame = read_frame(write("# by hand\n" + PLAIN + "Total: 5\n"), reading=Reading(comment=("#", "Total")))
    check(frame, EXPECTED, "1 line beginning with '#'", "1 line beginning with 'Total'")


def test_a_comment_inside_quotes_is_a_value(write: Write) -> None:
    frame = read_frame(write('a,b\n"x\n# y",1\n# no\nz,2\n'), reading=Reading(comment="#"))
    assert frame["a"].tolist() == ["x\n# y", "z"]


@pytest.mark.parametrize("name", ["Count Basie", "Total Energies", "Meanwhile", "summer"])
def test_a_last_row_may_begin_like_a_sum(write: Write, name: str) -> None:
    assert read_frame(write(f"n,x,g,y\nAnn,1,a,0\nBob,2,b,1\n{name},3,a,0\n"))["n"].tolist()[2] == name


def test_a_header_may_begin_with_the_sign_of_comments(write: Write) -> None:
    assert list(read_frame(write("#" + PLAIN))) == ["#id", "x", "g", "y"]


def test_words_in_the_first_row_of_a_column_are_not_taken_for_names(write: Write) -> None:
    """The label tells a row from names."""
    frame = read_frame(write("a,b,y\nunknown,x,1\n2,x,0\n3,z,1\n4,x,0\n"))
    assert frame["a"].tolist() == ["unknown", "2", "3", "4"]


@pytest.mark.parametrize(
    "text",
    [
        '"x" "g" "y"\n"1" 1.5 "p" 0\n"2" 2 "q" 1\n"7" 3 "q" 0\n',
        "x g y\n1 1.5 p 0\n2 2 q 1\n3 3 q 0\n",
        '"x","g","y"\n"Ann",1.5,"p",0\n"Bob",2,"q",1\n"Cyd",3,"q",0\n',
        "x\tg\ty\n1\t1.5\tp\t0\n2\t2\tq\t1\n3\t3\tq\t0\n",
    ],
)
def test_row_names_of_r_are_left_out(write: Write, text: str) -> None:
    expected = pd.DataFrame({"x": [1.5, 2, 3], "g": ["p", "q", "q"], "y": [0, 1, 0]})
    check(read_frame(write(text)), expected, "as R writes row names")


def test_first_cells_that_come_again_are_no_row_names(write: Write) -> None:
    rows = "".join(f"n{min(i, 150)},{i},{i % 2}\n" for i in range(200))
    with pytest.raises(BadTable, match="not distinct, so they are no row names"):
        read_frame(write("x,y\n" + rows))


def test_one_bad_byte_in_utf_8_is_refused_by_row(write: Write) -> None:
    text = "name,y\nMünchen,1\nKöln,0\n".encode() + b"Stra\xdfe,1\n"
    with pytest.raises(BadTable, match=r"line 4 holds the byte 0xdf, .*'Straße,1'"):
        read_frame(write(text))


def test_windows_1252_is_told_with_its_first_word(write: Write) -> None:
    frame = read_frame(write("name,y\nBonn,1\nMünchen,0\n5 €,1\n".encode("cp1252")))
    assert frame["name"].tolist() == ["Bonn", "München", "5 €"]
    assert frame.attrs["notes"] == (
        "read as Windows-1252, as it is no UTF-8; the first such word is 'München' in line 3",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n",
            r"a Git LFS pointer.*git lfs pull",
        ),
        (b"/annex/objects/SHA256E-s1--ab.csv\n", r"a git-annex pointer"),
        (
            b"<!DOCTYPE html>\n<html><head><title>Data</title>",
            r"a web page \('Data'\).*download the file itself",
        ),
        (b"\xef\xbb\xbf\n<!-- a --><html>", r"a web page"),
        (b"<html><head><title>Kaggle: Your Home</title>", r"a web page of Kaggle .*sign in there"),
        (b"<html><title>Sign in - Google</title>", r"asks to sign in"),
        (b"<?xml version='1.0'?><Error/>", r"is XML"),
        (b"RDX3\nX\n", r"a file of R"),
        (b"$FL2@(#)", r"an SPSS file"),
        (b"ORC\x08", r"an ORC file"),
        (b"\0\x05\x16\x07" + bytes(30), r"macOS"),
        (bytes(257) + b"ustar\0", r"a tar archive"),
        (b"a,b\n1,2\n".decode().encode("utf-16") + b"x", r"broken UTF-16"),
    ],
)
def test_what_is_no_table_is_named(write: Write, content: bytes, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        read_frame(write(content))


def test_identifiers_beyond_2_53_stay_exact(write: Write) -> None:
    frame = read_frame(write("a,b,c\n9007199254740993,1,12345678901234567890\n9007199254740992,2,7\n,3,5\n"))
    assert frame["a"].tolist()[:2] == [9007199254740993, 9007199254740992]
    assert frame["a"].isna().tolist() == [False, False, True]
    assert frame["c"].tolist() == ["12345678901234567890", "7", "5"]
    assert any(
        "'a' has whole numbers beyond 2^53: of 2 different ones, float64 keeps 1" in n
        for n in frame.attrs["notes"]
    )
    assert read_frame(write("a,b\n1,2\n,3\n"))["a"].dtype == np.float64


def test_in_verbatim_columns_every_word_is_a_value(write: Write) -> None:
    path = write("y,x\nNone,1\n NA ,NA\n,2\nnan,3\n")
    frame = read_frame(path, verbatim=["y"])
    assert frame["y"].tolist()[:2] == ["None", "NA"]
    assert frame["y"].isna().tolist() == [False, False, True, False]
    assert frame["x"].isna().tolist() == [False, True, False, False]
    assert read_frame(path)["y"].isna().all()


def test_unread_columns_keep_their_names_only(write: Write) -> None:
    frame = read_frame(write("a,b,\n1,x,\n2,y,\n"), unread=["b", "Unnamed: 2"])
    assert list(frame) == ["a", "b", "Unnamed: 2"]
    assert frame["b"].isna().all()


# By text: the dtype of the column a, and what the whole file says.
DECIMALS = {
    "a;b\n1.234;x\n12.345;y\n": (str, None),
    "a;b\n1.234;1,5\n12.345;2,5\n": (str, ","),
    "a;b\n1.234;0.5\n12.345;2\n": (float, None),
    "a;b\n0.234;x\n12.345;y\n": (float, None),
    "a;b\n1.234;0.5;1,5\n12.345;2;2,5\n".replace("a;b", "a;b;c"): (str, ",."),
    "a;b\n1.234;0,46\n12.345;2\n": (str, ","),
    "a\tb\n1.234\t1234,567\n12.345\t2\n": (str, ","),
    "a,b\n1.234,x\n12.345,y\n": (float, None),
    'a,b\n1.234,"1,5"\n12.345,"2,25"\n': (str, ","),
    "a\tb\n1.234\t0,125\n12.345\t2,500\n": (str, ","),
    "a;b\n1.234,50 €;x\n12,00 €;y\n": (str, ","),
    "a;b\n1.234.567;x\n1.234;y\n": (str, ","),
    "a;b\n1,000;x\n2,000;y\n": (str, None),
    "a;b\n1,5;x\n2;y\n": (float, ","),
    "a;b\n1;x\n2;y\n": (int, None),
}


@pytest.mark.parametrize(("text", "kind", "decimal"), [(text, *said) for text, said in DECIMALS.items()])
def test_what_a_text_says_of_decimal_marks(write: Write, text: str, kind: type, decimal: str | None) -> None:
    frame = read_frame(write(text))
    assert all(type(value) is kind for value in frame["a"].tolist())
    assert frame.attrs["decimal"] == decimal
    assert frame.attrs["separator"] == re.findall(r"[;,\t]", text)[0]


def test_a_declared_decimal_mark_decides(write: Write) -> None:
    path = write("a;b;c\n1.234;1,5;1,000\n12.345;2,5;2,000\n")
    frame = read_frame(path, reading=Reading(decimal=","))
    assert frame.to_dict("list") == {"a": ["1.234", "12.345"], "b": [1.5, 2.5], "c": [1.0, 2.0]}
    assert read_frame(path, reading=Reading(decimal="."))["a"].tolist() == [1.234, 12.345]
    with pytest.raises(
        BadTable, match=r"the column 'a' has the number '1.25' with a point, but --decimal ','"
    ):
        read_frame(write("a;b\n1.25;1,5\n1.234;2,5\n"), reading=Reading(decimal=","))


def test_apostrophes_in_texts_beside_quotes_are_letters(write: Write) -> None:
    frame = read_frame(write("a,b\n'x',\"p, q\"\n'y',r\n"))
    assert frame.to_dict("list") == {"a": ["'x'", "'y'"], "b": ["p, q", "r"]}


def test_utf_16_of_other_letters_is_told_by_its_separators(write: Write) -> None:
    text = "имя,город,y\n" + "Анна,Москва,1\n" * 9
    assert read_frame(write(text.encode("utf-16-le")))["город"].tolist() == ["Москва"] * 9


@pytest.mark.parametrize("name", ["PAR1", "FEA1", "ORC_x", "ARROW1", "BZ"])
def test_a_header_may_look_like_another_format(write: Write, name: str) -> None:
    assert list(read_frame(write(f"{name},b\n1,2\n"))) == [name, "b"]


def test_a_long_line_of_percent_signs_takes_no_time(write: Write) -> None:
    """Its comments can be cut in 2^90 ways."""
    with pytest.raises(BadTable, match="--comment %"):
        read_frame(write("%" * 90 + " a\n" + PLAIN))


def test_a_quote_that_is_never_closed_is_told(write: Write) -> None:
    with pytest.raises(BadTable, match="is a quote unclosed"):
        read_frame(write('sep=;\na;b\n"' + "x;1\n" * 50_000))


def test_a_value_under_no_name_far_below_is_refused(write: Write) -> None:
    rows = "1,1,\n" * 150 + "1,2,zz\n"
    with pytest.raises(BadTable, match=r"header has 2 names, but rows have 3 cells, .* not all empty: 'zz'"):
        read_frame(write("a,b\n" + rows))
    assert read_frame(write("a,b,\n" + rows))["Unnamed: 2"].tolist()[-1] == "zz"

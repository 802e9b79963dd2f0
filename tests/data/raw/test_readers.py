"""Files of every supported format become the same frame, and no other file becomes one."""

import gzip
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data.raw import archives
from bench.data.raw.archives import unpacked_limit
from bench.data.raw.readers import MISSING_WORDS, read_frame
from bench.errors import BadTable
from tests.data.raw.conftest import Write

words = st.text("abcdeéß", min_size=1, max_size=6).filter(lambda word: word not in MISSING_WORDS)
phrases = st.lists(words, min_size=1, max_size=3).map(" ".join)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
whole = st.integers(-(2**53), 2**53)


def packed(content: bytes, packing: str) -> bytes:
    if packing == "gzip":
        return gzip.compress(content, mtime=0)
    if packing == "zip":
        return zipped({"folder/table.csv": content})
    return content


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@st.composite
def frames(draw: st.DrawFn, gaps: bool = True) -> pd.DataFrame:
    """Draw a frame of named columns of whole numbers, floats and phrases, some values missing."""
    n_rows = draw(st.integers(2, 8))
    columns = {"id": list(range(n_rows))}
    for i, kind in enumerate(
        draw(st.lists(st.sampled_from([whole, numbers, phrases]), min_size=1, max_size=5))
    ):
        values = draw(st.lists(kind, min_size=n_rows, max_size=n_rows))
        first = draw(st.integers(0, n_rows - 1))  # one value stays, for its column's kind
        drop = [gaps and j != first and draw(st.booleans()) for j in range(n_rows)]
        columns[f"x {i}"] = [None if dropped else value for value, dropped in zip(values, drop, strict=True)]
    return pd.DataFrame(columns)


def check_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    for name in expected:
        np.testing.assert_array_equal(found[name].isna(), expected[name].isna())
        assert found[name].dropna().tolist() == expected[name].dropna().tolist()


@given(
    frame=frames(),
    separator=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    packing=st.sampled_from(["", "gzip", "zip"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    missing=st.sampled_from(MISSING_WORDS),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_separator_line_end_encoding_and_packing_reads_back(
    tmp_path: Path,
    frame: pd.DataFrame,
    separator: str,
    line_end: str,
    packing: str,
    encoding: str,
    missing: str,
) -> None:
    text = frame.to_csv(index=False, sep=separator, lineterminator=line_end, na_rep=missing)
    path = tmp_path / "table"
    path.write_bytes(packed(text.encode(encoding), packing))
    check_same(read_frame(path), frame)


@given(frame=frames(gaps=False), gap=st.sampled_from([" ", "   "]), indent=st.sampled_from(["", "  "]))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_runs_of_blanks_separate(tmp_path: Path, frame: pd.DataFrame, gap: str, indent: str) -> None:
    lines = frame.to_csv(index=False, sep="\v", lineterminator="\n").rstrip("\n").split("\n")
    rows = [[f'"{cell}"' if " " in cell else cell for cell in line.split("\v")] for line in lines]
    path = tmp_path / "table.data"
    path.write_text("".join(f"{indent}{gap.join(row)} \n" for row in rows), encoding="utf-8")
    check_same(read_frame(path), frame)


@given(frame=frames())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parquet_reads_back_by_its_magic_whatever_its_name(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = tmp_path / "table.csv"
    frame.to_parquet(path)
    check_same(read_frame(path), frame)


@given(junk=st.binary(max_size=300))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_is_a_table_or_a_bad_table_and_never_a_bug(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "junk"
    path.write_bytes(junk)
    try:
        frame = read_frame(path)
    except BadTable as error:
        assert str(error).startswith("junk")  # noqa: PT017 - either outcome is right
    else:
        assert len(frame)


@given(frame=frames(), cut=st.floats(0, 0.99), packing=st.sampled_from(["gzip", "zip", "parquet"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_archive_or_parquet_file_is_refused(
    tmp_path: Path, frame: pd.DataFrame, cut: float, packing: str
) -> None:
    whole_file = frame.to_parquet() if packing == "parquet" else packed(frame.to_csv().encode(), packing)
    path = tmp_path / "table"
    path.write_bytes(whole_file[: int(cut * len(whole_file))])
    with pytest.raises(BadTable):
        read_frame(path)


@pytest.mark.parametrize(
    "text",
    [
        "A11 6 A34 1 1\nA12 48 A32 1 2\nA11 12 A34 1 1\n",
        "1.5,a,3\n2.5,b,4\n0.5,a,5\n",
        "5,1,0,7\n3,0,1,9\n",
        "?,4\n3,5\n",
        "yes,no\nno,yes\nyes,no\nno,no\n",
    ],
)
def test_a_first_row_of_values_is_no_header(write: Write, text: str) -> None:
    frame = read_frame(write(text))
    assert list(frame.columns) == [f"c{i}" for i in range(1, frame.shape[1] + 1)]
    assert len(frame) == text.count("\n")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b\n1,2\n", ["a", "b"]),
        ("a,b\nx,y\nz,y\n", ["a", "b"]),
        ("a,2\n1,2\n3,4\n", ["a", "2"]),
        ("0,1,2\n5,6,7\n5,6,8\n", ["0", "1", "2"]),
        (",a,\n0,1,2\n1,3,4\n", ["Unnamed: 0", "a", "Unnamed: 2"]),
        (" a ,b \n1,2\n", ["a", "b"]),
        ('"a, b","c ""d"""\n1,2\n', ["a, b", 'c "d"']),
        ("\n  \r\na,b\n1,2\n", ["a", "b"]),
        ("\ta\n0\t1\n1\t1\n", ["Unnamed: 0", "a"]),
    ],
)
def test_a_header_gives_the_names(write: Write, text: str, names: list[str]) -> None:
    assert list(read_frame(write(text)).columns) == names


def test_given_columns_name_by_position_with_and_without_a_header(write: Write, tmp_path: Path) -> None:
    columns = ("p", "q")
    frame = pd.DataFrame({"p": [1, 3], "q": [2, 4]})
    frame.rename(columns={"p": "x1"}).to_parquet(tmp_path / "t.parquet")
    for path in (write("1,2\n3,4\n"), write("a,b\n1,2\n3,4\n", "b"), write("p,q\n1,2\n3,4\n", "c")):
        pd.testing.assert_frame_equal(read_frame(path, columns), frame)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "t.parquet", columns), frame)
    assert len(read_frame(write("x,y\nz,y\n"), columns)) == 2
    assert read_frame(write("1,2\n"), columns).to_numpy().tolist() == [[1, 2]]
    with pytest.raises(BadTable, match=r"2 columns, but 3 names"):
        read_frame(write("1,2\n3,4\n"), ("p", "q", "r"))


def test_kinds_of_values(write: Write) -> None:
    """Dates stay the texts they are, padded markers are missing, true and false are logical."""
    frame = read_frame(
        write("d,t,b,w,e,s\n2020-01-01,12:30,true, NA,,0.1\n2020-01-02,13:00,False, x y ,,1e-320\n")
    )
    assert frame["d"].tolist() == ["2020-01-01", "2020-01-02"]
    assert frame["t"].tolist() == ["12:30", "13:00"]
    assert frame["b"].dtype == bool
    assert frame["w"].isna().tolist() == [True, False]
    assert frame["w"][1] == "x y"
    assert frame["e"].dtype == np.float64
    assert frame["s"].tolist() == [0.1, 1e-320]


def test_latin_1_is_read_where_utf_8_fails(write: Write) -> None:
    assert read_frame(write("a;b\nMünchen;1\n".encode("latin-1")))["a"].tolist() == ["München"]


def test_decimal_commas_between_semicolons(write: Write) -> None:
    frame = read_frame(write("a;b;c\n1,5;1,000;x\n+2;2,500;1,5\n"))
    assert frame["a"].tolist() == [1.5, 2.0]
    assert frame["b"].tolist() == ["1,000", "2,500"]  # may be thousands
    assert frame["c"].tolist() == ["x", "1,5"]


def test_line_ends_inside_quotes_and_blank_lines(write: Write) -> None:
    frame = read_frame(write('a,b\n"x\ny",1\n\n"z",2\n  \n'))
    assert frame["a"].tolist() == ["x\ny", "z"]
    assert frame["b"].tolist() == [1, 2]


def test_parquet_types_become_plain(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    raw = pd.DataFrame(
        {
            "cat": pd.Categorical(["x", None]),
            "text": [" ?", "y "],
            "bytes": [b"p", b"q"],
            "int": pd.array([1, None], dtype="Int64"),
            "none": [None, None],
            "day": [pd.Timestamp(2020, 1, 1).date(), None],
        },
        index=[5, 7],
    )
    raw.to_parquet(path)
    frame = read_frame(path)
    assert list(frame.columns) == list(raw.columns)
    assert isinstance(frame["cat"].dtype, pd.CategoricalDtype)
    assert frame["text"].isna().tolist() == [True, False]
    assert frame["text"][1] == "y"
    assert frame["bytes"].tolist() == ["p", "q"]
    assert frame["int"].dtype == frame["none"].dtype == np.float64
    assert frame["day"].dtype.kind == "M"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty or blank; give"),
        (b" \n\r\n \t\n", r"is empty or blank"),
        (b"\xfe\xff", r"is empty or blank"),
        (b"a,b,c\n", r"names 3 columns but has no rows"),
        (b"a,b\n1,2\n1,2,3\n", r"line 3 has 3 cells, not 2 .*comma.*'1,2,3'"),
        (b"a;b;c\n1;2;3\n1;2\n", r"line 3 has 2 cells, not 3 .*semicolon"),
        (b"a b\n1 2\n3 4 5\n", r"line 3 has 3 cells"),
        (b"a,b,a,b\n1,2,3,4\n", r"more than one column 'a', 'b'"),
        (b"a, a\n1,2\n", r"more than one column 'a'"),
        (b"alone\n1\n2\n", r"only one column"),
        (b'a,b\n"1,2\n3,4\n', r"cells|quote"),
        (bytes(range(256)) * 4, r"is binary"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", r"is an Excel workbook"),
        (b"\n<!DOCTYPE html><html>", r"is a web page"),
        (b'{"a": {"0": 1}, "b": {"0": 2}}', r"is JSON with one object"),
        (b"% comment\n@RELATION x\n@attribute a numeric\n", r"is an ARFF file"),
        (b"\x80\x04\x95", r"is a Python pickle"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0), r"an archive inside an archive"),
        (zipped({}), r"holds no file"),
        (zipped({"a.csv": b"a,b\n1,2\n", "b.csv": b"a,b\n1,2\n"}), r"holds 2 files: 'a.csv', 'b.csv'"),
        (zipped({"[Content_Types].xml": b"", "word/a.xml": b""}), r"is an Office document"),
        (gzip.compress(b"0,1\n" * 20_000_000, 9, mtime=0), r"unpacks to more than 67,108,864 bytes"),
    ],
)
def test_what_is_no_table_is_refused_by_name(write: Write, content: bytes, message: str) -> None:
    with pytest.raises(BadTable, match=message) as caught:
        read_frame(write(content))
    assert str(caught.value).startswith("table.csv")
    assert len(str(caught.value)) < 250


def test_ragged_rows_deep_in_a_large_file_are_found(write: Write) -> None:
    text = "a,b\n" + "1.25,2\n" * 400_000 + "1\n" + "3,4\n" * 10
    with pytest.raises(BadTable, match=r"line 400002 has 1 cells"):
        read_frame(write(text))


def test_the_one_table_of_a_zip_is_taken(write: Write) -> None:
    members = {"readme.md": b"hello", "d/t.tsv": b"a\tb\n1\t2\n", "__MACOSX/t.csv": b"x"}
    assert list(read_frame(write(zipped(members))).columns) == ["a", "b"]


def test_an_encrypted_zip_is_refused(write: Write) -> None:
    content = bytearray(zipped({"a.csv": b"a,b\n1,2\n"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadTable, match=r"a\.csv is encrypted"):
        read_frame(write(bytes(content)))


def test_text_named_parquet_is_refused_with_the_way_out(write: Write) -> None:
    with pytest.raises(BadTable, match=r"named like parquet but is text; rename it to \.csv"):
        read_frame(write("a,b\n1,2\n", "t.parquet"))


def test_a_parquet_file_of_lists_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [[1], [2]], "b": [1, 2]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(BadTable, match=r"'a' holds list"):
        read_frame(tmp_path / "t.parquet")


def test_a_missing_file_and_a_folder_without_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match=r"cannot be read"):
        read_frame(tmp_path / "nowhere.csv")
    with pytest.raises(BadTable, match=r"folder without parquet files; it is empty"):
        read_frame(tmp_path)


def test_the_cap_leaves_room_for_tables_and_none_for_bombs() -> None:
    assert unpacked_limit(1000) == archives.FREE_BYTES
    assert unpacked_limit(10**6) == archives.MAX_RATIO * 10**6
    assert unpacked_limit(10**9) == archives.MAX_BYTES


@pytest.mark.parametrize(
    ("name", "shape", "target", "positive", "n_positives"),
    [
        ("loan_data.csv", (9578, 14), "not.fully.paid", 1, 1533),
        ("UCI_Credit_Card.csv", (30000, 25), "default.payment.next.month", 1, 6636),
        ("german.data", (1000, 21), "c21", 2, 300),
        ("ulb_creditcard_casecontrol.parquet", (35632, 31), "Class", 1, 492),
    ],
)
def test_real_files(
    name: str,
    shape: tuple[int, int],
    target: str,
    positive: int,
    n_positives: int,
    data_folder: Path,
) -> None:
    frame = read_frame(data_folder / name)
    assert frame.shape == shape
    assert (frame[target] == positive).sum() == n_positives
    assert not frame.isna().any().any()


WAITING = """
import os
from pathlib import Path
from bench.data.raw.readers import read_frame

def n_threads(): return len(os.listdir("/proc/self/task"))

before = n_threads()
for path in sorted(Path(".").glob("t.*")):
    read_frame(path)
print(n_threads() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted as Linux shows them")
def test_reading_leaves_no_thread_that_needs_python(tmp_path: Path) -> None:
    """A thread of Arrow's that lets go of Python's bytes while Python ends would end the process by a signal.

    One is left, which waits for signals and has nothing of Python's.
    """
    frame = pd.DataFrame({"x": range(50), "z": [1.5, None] * 25, "t": ["u", "v"] * 25})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.feather", compression="zstd")
    done = subprocess.run(
        [sys.executable, "-c", WAITING],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) <= 1

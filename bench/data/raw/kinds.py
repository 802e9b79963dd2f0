"""What a file is, by its content: a table in one of the formats that are read, or something else that has a name."""

from __future__ import annotations

import re

from bench.errors import BadTable

HEAD_BYTES = 2**20

# Formats that are read, by how their content begins.
_READ = {
    rb"PAR1(?!\w*[,;|\t\r\n])": "parquet",  # no header of text
    rb"ARROW1\0|\xff\xff\xff\xff[^\xff]": "arrow",
    rb"SQLite format 3\0": "sqlite",
    rb"PK\x03\x04": "office",
    rb"<stata_dta>|[\x69\x6c\x6e-\x73][\x01\x02]\x01\0": "stata",
    rb"\0{12}\xc2\xea\x81\x60\xb3\x14\x11\xcf": "sas",
    rb"HEADER RECORD\*{7}(LIBRARY|LIBV8) +HEADER": "xport",
}
# Formats of text that are read.
_READ_TEXT = {
    r"(?i)(?>\s*%[^\r\n]*)*+\s*@relation": "arff",
    r"\s*(\{\s*\"|\[\s*\{\s*\"|\[\s*\[)": "json",
}
# What is no table that this suite reads, and what to do instead.
_SAVE = "save it as CSV or parquet"
_OTHER = {
    rb"version https://git-lfs": (
        "a Git LFS pointer, not the file itself",
        "run git lfs pull in its repository",
    ),
    rb"[./\w-]*/?\.?git/annex/|/annex/objects/": (
        "a git-annex pointer, not the file",
        "run git annex get, or download it",
    ),
    rb"\xd0\xcf\x11\xe0": ("an Excel workbook of 97-2003, or one with a password", "save it as .xlsx or CSV"),
    rb"7z\xbc\xaf|Rar!": ("an archive that is not read", "unpack it and give the file inside"),
    rb"\x1f\x8b|BZh\d|\xfd7zXZ|\x28\xb5\x2f\xfd": ("an archive inside an archive", "unpack it first"),
    rb".{257}ustar": ("a tar archive", "unpack it and give the file inside"),
    rb"\x89HDF": ("an HDF5 file", _SAVE),
    rb"\x80[\x02-\x05]": ("a Python pickle, which may run code", _SAVE),
    rb"\x93NUMPY": ("a NumPy array", _SAVE),
    rb"RD[AX][23]\n|X\n\0\0\0|A\n[23]\n": ("a file of R", "save it with write.csv"),
    rb"\$FL[23]": ("an SPSS file", _SAVE),
    rb"ORC[^\w ,;|\t\r\n]": ("an ORC file", _SAVE),
    rb"Obj\x01": ("an Avro file", _SAVE),
    rb"FEA1\0": ("a Feather file of version 1", "save it again with to_feather"),
    rb"%PDF": ("a PDF document", _SAVE),
    rb"(\x89PNG|\xff\xd8\xff)": ("an image", "give a table"),
    rb"\0\x05\x16\x07": ("a file with which macOS describes another", "give the file without ._ in its name"),
    rb"(?i)\s*<\?xml|\s*<error>": ("XML", _SAVE),
}
_PAGE = re.compile(rb"(?i)(?>\s|<!--.*?-->)*+<(!doctype html|html|head|body|table|meta|title)", re.DOTALL)
_TITLE = re.compile(rb"(?is)<title[^>]*>\s*(.*?)\s*</title>")
_SIGN_IN = re.compile(rb"(?i)sign in|log ?in|authenticat")


def binary_kind(data: bytes) -> str | None:
    """Return the format of bytes that are no text, among those that are read; None for any other content."""
    return next((kind for magic, kind in _READ.items() if re.match(magic, data[:256])), None)


def text_kind(data: bytes) -> str | None:
    """Return the format of a text that is no plain table, among those that are read; None for any other."""
    head = data[:HEAD_BYTES].decode("utf-8", "ignore").removeprefix("\ufeff")
    return next((kind for start, kind in _READ_TEXT.items() if re.match(start, head)), None)


def refuse_other_kinds(data: bytes, name: str) -> None:
    """Raise BadTable, naming what the content is, unless it can be a text."""
    head = data[:HEAD_BYTES]
    if _PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        raise BadTable(f"{name} is {_page(head)}")
    fault = next((fault for magic, fault in _OTHER.items() if re.match(magic, head, re.DOTALL)), None)
    if fault is not None:
        what, remedy = fault
        other = ", not a table this suite reads" if remedy == _SAVE else ""
        raise BadTable(f"{name} is {what}{other}; {remedy}.")
    if name.lower().endswith((".parquet", ".pq")):
        raise BadTable(f"{name} is named like parquet but is text; rename it to .csv, or fetch it again.")


def _page(head: bytes) -> str:
    """Return in words which web page this is."""
    title = _TITLE.search(head)
    words = title.group(1).decode("utf-8", "replace")[:60] if title else ""
    called = f" ({words!r})" if words else ""
    if b"kaggle" in head.lower():
        return (
            f"a web page of Kaggle{called}, not the file: sign in there and download it again, "
            "or use bench run --dataset NAME with your Kaggle credentials."
        )
    if _SIGN_IN.search(title.group(1) if title else head):
        return f"a web page that asks to sign in{called}, not the file: sign in there and download it again."
    return f"a web page{called}, not a table this suite reads; download the file itself, or {_SAVE}."

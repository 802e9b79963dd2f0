"""A text's bytes as UTF-8, whatever encoding they are in; what is torn or mixed is refused by its row."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from bench.errors import BadTable

# Marks of byte order, the longer before those that begin them.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_START = 2**16  # bytes from which the encoding is told
_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r\x1a"})
_BLANK_LINES = re.compile(rb"(?:[ \t]*(?:\r\n|\r|\n))*")
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Text(NamedTuple):
    """A text in UTF-8 without a byte order mark, and what was done to get it."""

    data: bytes
    notes: tuple[str, ...] = ()


def as_utf8(data: bytes, name: str) -> Text:
    """Return a text in UTF-8; raise BadTable for what is no text, or a text in two encodings."""
    mark = next((mark for mark in _MARKS if data.startswith(mark)), None)
    encoding = _MARKS[mark] if mark is not None else _utf16_without_mark(data)
    if encoding is not None:
        return _decoded(data, encoding, name, marked=mark is not None)
    while data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
    data = data.removesuffix(b"\x1a")  # with which DOS ended its texts
    _refuse_binary(data, name)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _of_single_bytes(data, error, name)
    return Text(data)


def row_of(data: bytes, place: int) -> int:
    """Return the number of the line, from 1, in which a byte lies."""
    return 1 + sum(1 for _ in _LINE_END.finditer(data, 0, place))


def _utf16_without_mark(data: bytes) -> str | None:
    """Return the UTF-16 that a text without a mark is in: of most characters one byte is zero."""
    start = data[: _START - len(data) % 2] if len(data) < _START else data[:_START]
    if len(start) < 4:
        return None
    zeros = [start[place::2].count(0) / (len(start) // 2) for place in (0, 1)]
    if zeros[0] < zeros[1] / 10 and zeros[1] > 0.1:
        return "utf-16-le"
    return "utf-16-be" if zeros[1] < zeros[0] / 10 and zeros[0] > 0.1 else None


def _decoded(data: bytes, encoding: str, name: str, *, marked: bool) -> Text:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadTable(
            f"{name} is broken {encoding.upper()}: byte {error.start:,} is no part of it ({error.reason}); "
            "save it again as UTF-8."
        ) from error
    if "\0" in text:
        raise BadTable(f"{name} is binary, not a table this suite reads; save it as CSV or parquet.")
    notes = () if marked else (f"read as {encoding.upper()}, though it has no byte order mark",)
    return Text(text.removeprefix("\ufeff").encode(), notes)


def _refuse_binary(data: bytes, name: str) -> None:
    """Raise BadTable for bytes that are no text, or a text with a zero byte in it."""
    start = data[:_START].rstrip(b"\0")  # a file cut short may end in zeros
    n_controls = len(start) - len(start.translate(None, _CONTROLS))
    if n_controls > len(start) / 100:
        raise BadTable(f"{name} is binary, not a table this suite reads; save it as CSV or parquet.")
    if (place := data.find(0)) >= 0:
        count, line = data.count(0), _line_around(data, place).rstrip("\0")
        raise BadTable(
            f"{name}: line {row_of(data, place)} holds a zero byte (NUL; {count:,} in the file): {line!r}. "
            "Remove it, or fetch the file again where it is cut short."
        )


def _of_single_bytes(data: bytes, error: UnicodeDecodeError, name: str) -> Text:
    """Return a text of one byte a character as UTF-8; raise BadTable where others of its characters are UTF-8."""
    where = f"line {row_of(data, error.start)}"
    text = data.decode("utf-8", "ignore")
    n_characters = sum(1 for _ in re.finditer(r"[^\x00-\x7f]", text))
    if n_characters:
        raise BadTable(
            f"{name}: {where} holds the byte 0x{data[error.start]:02x}, which is no UTF-8, though {n_characters:,} "
            f"other characters of the file are: {_line_around(data, error.start)!r}. Mend that row, or save the "
            "whole file again as UTF-8."
        )
    try:
        text, encoding = data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        text, encoding = data.decode("latin-1"), "Latin-1"
    place = next(iter(re.finditer(r"[^\x00-\x7f]", text)))
    word = re.search(r"\w*$", text[max(place.start() - 20, 0) : place.start()])
    begins = place.start() - len(word.group() if word else "")
    shown = re.split(r"[\r\n,;\t|]", text[begins : begins + 40])[0].strip('"')
    return Text(
        text.encode(),
        (f"read as {encoding}, as it is no UTF-8; the first such word is {shown!r} in {where}",),
    )


def _line_around(data: bytes, place: int) -> str:
    """Return up to 40 characters of the line in which a byte lies."""
    start = max(data.rfind(b"\n", 0, place), data.rfind(b"\r", 0, place)) + 1
    start = max(start, place - 20)
    return _LINE_END.split(data[start : start + 40], maxsplit=1)[0].decode("latin-1")

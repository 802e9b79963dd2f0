"""The lines of a text that are no rows of its table: above it, between its rows and below it.

TextLines are left out by making them blank, so that a row keeps its number. Left out are those that the user declares,
and those that mean nothing: rows of empty cells and a header that comes again. A line that sums up or tells something
is refused with the option that leaves it out.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass

from bench.data.raw.content import Content, counted
from bench.data.raw.encodings import row_of
from bench.data.raw.layout import Layout
from bench.errors import BadTable

_BLANK_LINES = re.compile(rb"(?:[ \t,;|]*(?:\r\n|\r|\n))*")
_SEP_LINE = re.compile(rb"(?i)\"?sep=([^\w\s\"]|\t| )\"?[ \t,;]*(?:\r\n|\r|\n)")
_RULER = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)([ |+:=-]*--[ |+:=-]*)(?=[\r\n])")
_SUM = re.compile(
    r"(?i)((grand|sub)[ -]?)?totals?(\s*[:=].*|\s+(amount|number|of|rows|records|count|sum)\b.*)?"
    r"|(sum|average|mean|count|summe|gesamt\w*)\s*[:=]?"
)
_TAIL = 2**16  # bytes in which the last row surely begins
_END = rb"(?=[\r\n]|\Z)"


@dataclass(frozen=True)
class TextLines:
    """A text from its table's first row on, how many lines stood above it, and the separator if it is declared."""

    data: bytes
    above: int
    separator: str | None
    notes: tuple[str, ...]


def prepared(data: bytes, content: Content) -> TextLines:
    """Return a text without the lines that the user leaves out, Excel's line of the separator, and blank ones."""
    reading, notes, separator = content.reading, list[str](), None
    place = _below(data, reading.skip_rows, content.name)
    if place:
        notes.append(f"left out above the table: {counted(reading.skip_rows, 'line')} (--skip-rows)")
    if reading.comment is not None:
        data, count = _without_comments(data, place, reading.comment.encode())
        notes.append(f"left out: {counted(count, 'line')} beginning with {reading.comment!r} (--comment)")
    place = _after_blanks(data, place)
    if declared := _SEP_LINE.match(data, place):
        separator, place = declared.group(1).decode(), _after_blanks(data, declared.end())
        notes.append(f"the first line declares the separator {separator!r}")
    data = _without_ruler(data, place)
    return TextLines(data[place:], row_of(data, place) - 1, separator, tuple(notes))


def _without_ruler(data: bytes, place: int) -> bytes:
    """Return a text without a line below its first that is drawn of dashes, as database programs print."""
    ruler = _RULER.match(data, place)
    return data if ruler is None else data[: ruler.start(1)] + data[ruler.end(1) :]


def _below(data: bytes, n_lines: int, name: str) -> int:
    """Return where the text below its first lines begins."""
    ends = re.finditer(rb"\r\n|\r|\n", data)
    place = 0
    for _ in range(n_lines):
        end = next(ends, None)
        if end is None:
            raise BadTable(
                f"{name} has {row_of(data, len(data)):,} lines; --skip-rows {n_lines} leaves no table."
            )
        place = end.end()
    return place


def _after_blanks(data: bytes, place: int) -> int:
    blank = _BLANK_LINES.match(data, place)
    return blank.end() if blank else place


def _without_comments(data: bytes, place: int, mark: bytes) -> tuple[bytes, int]:
    """Return a text whose lines of comment are blank, outside quotes, and how many there were."""
    inside, count, lines = False, 0, data[place:].splitlines(keepends=True)
    for i, line in enumerate(lines):
        if not inside and line.lstrip(b' \t"').startswith(mark):
            lines[i], count = line[len(line.rstrip(b"\r\n")) :], count + 1
        elif line.count(b'"') % 2:
            inside = not inside
    return data[:place] + b"".join(lines), count


def without_idle_rows(data: bytes, layout: Layout) -> tuple[bytes, tuple[str, ...]]:
    """Return a text without rows of empty cells and repeated headers, and notes of how many there were."""
    notes, separator = [], re.escape(layout.separator.encode())
    data, count = re.subn(rb"([\r\n]) *(?:%s *)+%s" % (separator, _END), rb"\1", data)
    if count:
        notes.append(f"left out: {counted(count, 'row')} of empty cells")
    header = re.match(rb"[^\r\n]*", data)
    if layout.header and header:
        data, count = re.subn(rb"([\r\n])%s *%s" % (re.escape(header.group()), _END), rb"\1", data)
        if count:
            notes.append(f"left out: {counted(count, 'row')} repeating the header")
    return data, tuple(notes)


def refuse_footers(data: bytes, layout: Layout, content: Content) -> None:
    """Raise BadTable for a row that has words in its first cell only, or that sums up the rows above it."""
    footer = _words_alone(data, layout) or _sum(data, layout)
    if footer is None:
        return
    place, cell = footer
    words = cell.decode().strip()
    mark = words if words.startswith(layout.separator) else _mark(words)
    raise BadTable(
        f"{content.name}: row {layout.lines_above + row_of(data, place)} tells or sums up something and is none of "
        f"the table: {words[:60]!r}. Leave it out: --comment {shlex.quote(mark)}"
    )


def _words_alone(data: bytes, layout: Layout) -> tuple[int, bytes] | None:
    """Return where the first row is whose first cell alone is filled, with words that no other row begins with."""
    separator, width = layout.separator.encode(), len(layout.names)
    empty = separator * (width - 1)
    if width < 4 or empty not in data:
        return None
    start = rb"[\r\n](\"?[^\r\n\"%s]+\"?)%s" % ((re.escape(separator),) * 2)
    firsts = Counter(first.strip(b'"') for first in re.findall(start, data))
    for row in re.finditer(start + re.escape(empty[len(separator) :]) + _END, data):
        words = row.group(1).strip(b'"').decode()
        if " " in words.strip() and any(map(str.isalpha, words)) and firsts[words.encode()] == 1:
            return row.start(1), row.group(1)
    return None


def _sum(data: bytes, layout: Layout) -> tuple[int, bytes] | None:
    """Return where the last row is if its first filled cell says that it sums up, as no other row's does."""
    separator, tail = layout.separator.encode(), data[-_TAIL:].rstrip()
    line = re.split(rb"[\r\n]", tail)[-1]
    last, cells = max(len(data) - _TAIL, 0) + len(tail) - len(line), line.split(separator)
    n_blank = next((i for i, cell in enumerate(cells) if cell.strip(b' "')), 0)
    start = separator.join(cells[: n_blank + 1])
    if (
        not last
        or len(cells) < 2
        or not _SUM.fullmatch(cells[n_blank].decode("utf-8", "replace").strip(' "'))
    ):
        return None
    return (last, start) if len(re.findall(rb"[\r\n]%s" % re.escape(start), data)) == 1 else None


def ragged(data: bytes, layout: Layout, name: str, *, line: int, n_cells: int, words: str) -> str:
    """Say which row has another number of cells than the first, and how to leave it out where it is no row.

    `line` is 0 where it is not known.
    """
    first = "header" if layout.header else "first row"
    where = f"row {line}" if line else "a row"
    fault = (
        f"{name}: {where} has {n_cells} cells, not {len(layout.names)} as the {first} (separator: {layout.word}): "
        f"{words[:60]!r}; "
    )
    mark = _mark(words)
    alike = re.findall(rb"(?:\A|[\r\n])[ \t\"]*(%s[^\r\n]*)" % re.escape(mark.encode()), data)
    is_row = any(line.count(layout.separator.encode()) >= len(layout.names) - 1 for line in alike)
    if re.search(r"[\r\n]", words.strip()):
        return fault + "is a quote in it unclosed?"
    if not mark or is_row or (n_cells > 2 and mark.isalnum()):
        return fault + "mend or remove it."
    return fault + f"mend it, or leave it out: --comment {shlex.quote(mark)}"


def _mark(words: str) -> str:
    """Return how a line that is no row begins: a sign of comment, or its first two words."""
    sign = re.match(r"[#%!*/(]+|[-=]{2,}", words.strip(' \t"'))
    word = re.match(r"[^\W\d_]+([ \t]+[\w-]+)?", words.strip(' \t"'))
    match = sign or word
    return match.group() if match else ""

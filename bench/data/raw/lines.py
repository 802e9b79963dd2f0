"""The lines of a text that are no rows of its table: above it, between its rows and below it.

Lines are left out by making them blank, so that a row keeps its number. Left out are those that the user declares,
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
_FEWEST = 3  # columns of a table whose first may stand alone in a row that is none
_SHOWN = 3  # options in a message
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
    for mark in reading.comments:
        data, count = _without_comments(data, place, mark.encode())
        notes.append(f"left out: {counted(count, 'line')} beginning with {mark!r} (--comment)")
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
    """Raise BadTable for rows that have words in their first cell only, or the last that sums up the rows above it."""
    last = _sum(data, layout)
    footers = _words_alone(data, layout) or ([last] if last else [])
    if not footers:
        return
    marks = [_footer_mark(cell, layout) for _, cell in footers]
    options = " ".join(f"--comment {shlex.quote(mark)}" for mark in list(dict.fromkeys(marks))[:_SHOWN])
    place, cell = footers[0]
    raise BadTable(
        f"{content.name}: line {layout.lines_above + row_of(data, place)} tells or sums up something and is none of "
        f"the table: {cell.decode().strip()[:60]!r}. Leave it out: {options}"
    )


def _footer_mark(cell: bytes, layout: Layout) -> str:
    words = cell.decode().strip()
    return words if words.startswith(layout.separator) else _mark(words)


def _words_alone(data: bytes, layout: Layout) -> list[tuple[int, bytes]]:
    """Return where rows are whose first cell alone is filled, with words that no other row begins with, and those.

    In a table of three columns no other row may begin with several words.
    """
    separator, width = re.escape(layout.separator.encode()), len(layout.names)
    empty = [(layout.separator + cell).encode() * (width - 1) for cell in ("", '""')]
    if width < _FEWEST or not any(cells in data for cells in empty):
        return []
    start = rb'[\r\n]("[^"\r\n]+"|[^"\r\n%s]+)%s' % (separator, separator)
    firsts = Counter(first.strip(b'"') for first in re.findall(start, data))
    rows = re.finditer(rb'%s(?:"")?(?:%s(?:"")?){%d}%s' % (start, separator, width - 2, _END), data)
    alone = [(row.start(1), row.group(1).strip(b'"')) for row in rows]
    footers = [(place, cell) for place, cell in alone if _are_words(cell) and firsts[cell] == 1]
    if width == _FEWEST and any(_are_words(first) for first in firsts.keys() - {cell for _, cell in footers}):
        return []
    return footers


def _are_words(cell: bytes) -> bool:
    """Tell whether a cell holds several words."""
    text = cell.decode("utf-8", "replace").strip()
    return " " in text and any(map(str.isalpha, text))


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
    where = f"line {line}" if line else "a row"
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

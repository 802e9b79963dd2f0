"""How a text is cut into cells: its separator, its header, and what stands above, below or beside the table.

All of it is inferred from the first rows. What can be read in one way only is read so, and noted: cells that a
separator at the end of every row leaves empty, and the row names that R writes under no name. What would be a guess,
such as a title or a second row of names, is refused with the option that says it.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from bench.data.raw.archives import listed
from bench.data.raw.content import MISSING_WORDS, NUMBER_OF_ANY_MARK, Content, counted, names_of
from bench.errors import BadTable

# In order of preference among separators that cut every row into the same number of cells: a tab or a
# semicolon in every row is hardly ever an accident, a comma may be a decimal one.
SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma", " ": "blanks"}

_HEAD_BYTES, _HEAD_ROWS = 2**20, 100
_HEADER_WITHIN = 20  # rows in which the row of names may stand
_NO_NAMES = ("#N/A", "#N/A N/A", "#DIV/0!", "#NULL!", "#REF!", "#VALUE!", "<NA>", "(null)", "\\N", "unknown")
_IN_APOSTROPHES = re.compile(r"\s*'.*'\s*", re.DOTALL)
_AFTER_BLANKS = re.compile(r'\s+".*"\s*', re.DOTALL)
_LIBSVM = re.compile(r"\s*\S+(\s+(qid:)?\d+:[^\s:]+)+\s*(#.*)?")


@dataclass(frozen=True)
class Quoting:
    """How cells are quoted: by which sign, and whether blanks may stand before it."""

    sign: str = '"'
    after_blanks: bool = False


@dataclass(frozen=True)
class Layout:
    """How a text is cut: its separator, a name for each cell of a row, and whether the first row is a header.

    `lines_above` are the lines of the file before the first row. `empty` and `row_names` are the names of cells that
    belong to no column: empty ones at the end of each row, for `n_unnamed` of which the header has no cell either, and
    R's row names.
    """

    separator: str
    quoting: Quoting
    names: tuple[str, ...]
    header: bool
    lines_above: int
    empty: tuple[str, ...] = ()
    n_unnamed: int = 0
    row_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The separator in words."""
        return SEPARATORS.get(self.separator, repr(self.separator))


@dataclass(frozen=True)
class _Rows:
    """The first rows of a text, the line of each, and the most frequent number of cells."""

    cells: list[list[str]]
    lines: list[int]
    width: int


def find_layout(data: bytes, content: Content, *, lines_above: int, separator: str | None) -> Layout:
    """Return how a text in UTF-8 is cut; `separator` where the file declares it.

    Raises BadTable for a text of one column, and for one whose row of names is not its first.
    """
    head = _head(data)
    separator = separator or _separator(head, content.name)
    try:
        rows = _first_rows(head, separator, Quoting(), lines_above)
        if (quoting := _quoting(rows, head)) != Quoting():
            rows = _first_rows(head, separator, quoting, lines_above)
    except csv.Error as error:
        raise BadTable(
            f"{content.name} cannot be cut at {separator!r} ({error}); is a quote unclosed?"
        ) from error
    fit = _fitted(rows, head, content)
    columns = _for_all_cells(content.columns, fit, rows.width)
    rows = _Rows([fit.first, *rows.cells[1:]], rows.lines, rows.width)
    others = [row for row in rows.cells[1:] if row != fit.first]
    again = len(others) < len(rows.cells) - 1 and _is_over_numbers(fit.first, others)
    header = again or _has_header(rows.cells, columns)
    if header and len(rows.cells) == 1:
        raise BadTable(f"{content.name} names {rows.width} columns but has no rows; give a file with rows.")
    _refuse_lower_header(rows, content, again=again)
    own = fit.first if header else [f"c{i}" for i in range(1, rows.width + 1)]
    names = names_of(own, replace(content, columns=columns))
    notes = fit.notes if quoting.sign == '"' else (*fit.notes, f"read with {quoting.sign} as the quote")
    if not header and columns is None:
        notes += (
            f"no header was found: the columns are c1 to c{rows.width}, and the first row has {_shown(fit.first)}",
        )
    return Layout(
        separator,
        quoting,
        names,
        header,
        lines_above,
        empty=names[rows.width - fit.n_empty :] if fit.n_empty else (),
        n_unnamed=fit.n_unnamed,
        row_names=names[: fit.n_row_names],
        notes=notes,
    )


def numbered_records(
    text: str,
    separator: str,
    quoting: Quoting = Quoting(),
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a text as lists of cells with the line where each begins; blank lines are left out."""
    lines: Iterator[str] = iter(io.StringIO(text, newline=None))
    if separator == " ":
        lines = (line.replace("\t", " ").strip() for line in lines)
    blanks = separator == " " or quoting.after_blanks
    reader = csv.reader(lines, delimiter=separator, quotechar=quoting.sign, skipinitialspace=blanks)
    last = 0
    for row in reader:
        if len(row) > 1 or "".join(row).strip():
            yield last + 1, row
        last = reader.line_num


def _head(data: bytes) -> str:
    """Return the whole lines in the first part of a text."""
    text = data[:_HEAD_BYTES].decode("utf-8", "ignore")
    end = max(text.rfind("\n"), text.rfind("\r"))
    return text[:end] if len(data) > _HEAD_BYTES and end > 0 else text


def _first_rows(head: str, separator: str, quoting: Quoting, lines_above: int) -> _Rows:
    numbered = list(islice(numbered_records(head, separator, quoting), _HEAD_ROWS))
    cells = [row for _, row in numbered]
    return _Rows(cells, [lines_above + line for line, _ in numbered], _usual_width(cells)[0])


def _quoting(rows: _Rows, head: str) -> Quoting:
    """Return how cells are quoted: as one column shows, all of whose cells are quoted in another way."""
    full = [row for row in rows.cells if len(row) == rows.width]
    for column in zip(*full, strict=True):
        cells = [cell for cell in column[1:] if cell.strip() not in MISSING_WORDS]
        if len(cells) > 1 and '"' not in head and all(map(_IN_APOSTROPHES.fullmatch, cells)):
            return Quoting("'", after_blanks=True)
        if len(cells) > 1 and all(map(_AFTER_BLANKS.fullmatch, cells)):
            return Quoting(after_blanks=True)
    return Quoting()


def _usual_width(rows: Sequence[list[str]]) -> tuple[int, int]:
    """Return the most frequent number of cells and its count; of equally many, one of several cells."""
    widths = Counter(map(len, rows))
    return max(widths.items(), key=lambda item: (item[1], item[0] > 1), default=(1, 0))


def _separator(head: str, name: str) -> str:
    """Return the separator that cuts the largest share of the first rows into equally many cells."""
    best, best_share = "", 0.0
    for separator in SEPARATORS:
        if separator == " " and best:
            break  # words inside cells are no columns
        share = _share_of_equal_rows(head, separator)
        if share > best_share:
            best, best_share = separator, share
    lines = [line for line in head.splitlines()[:_HEAD_ROWS] if line.strip()]
    if lines and best in ("", " ") and all(map(_LIBSVM.fullmatch, lines)):
        raise BadTable(f"{name} looks like libsvm ({lines[0][:40]!r}); if it is, give --format libsvm.")
    if not best and any(len(line) > csv.field_size_limit() for line in lines):
        raise BadTable(
            f"{name} has a cell of more than {csv.field_size_limit():,} characters in its first rows, more than "
            "is read; take that column out of the file, or close its quote."
        )
    if not best:
        words = ", ".join(SEPARATORS.values())
        raise BadTable(
            f"{name} has only one column: no separator ({words}) divides its rows; separate by commas, or give "
            "--skip-rows N where the table begins below N other lines."
        )
    return best


def _share_of_equal_rows(head: str, separator: str) -> float:
    """Return the share of rows with the most frequent number of cells; zero if that is one cell."""
    try:
        rows = [row for _, row in islice(numbered_records(head, separator), _HEAD_ROWS)]
    except csv.Error:  # an unclosed quote
        return 0.0
    width, count = _usual_width(rows)
    return count / len(rows) if width > 1 else 0.0


@dataclass(frozen=True)
class _Fit:
    """The first row with as many cells as the rows below it have, and which of the cells belong to no column."""

    first: list[str]
    n_empty: int = 0
    n_unnamed: int = 0
    n_row_names: int = 0
    notes: tuple[str, ...] = ()


def _fitted(rows: _Rows, head: str, content: Content) -> _Fit:
    """Return the first row fitted to the others; raise BadTable where it has another number of cells."""
    first, width = rows.cells[0], rows.width
    others = [row for row in rows.cells[1:] if len(row) == width]
    n_short = width - len(first)
    if n_short < 0 and others and not any(map(str.strip, first[width:])):
        note = f"left out at the end of the header: {counted(-n_short, 'empty name')}, for which the rows have no cell"
        return _Fit(first[:width], notes=(note,))
    padded = first + [""] * n_short
    n_empty = 0
    while n_empty < width - 1 and _is_empty(padded[width - 1 - n_empty], others, width - 1 - n_empty):
        n_empty += 1
    if n_empty and n_empty >= n_short >= 0:
        return _Fit(padded, n_empty, n_unnamed=n_short)
    if n_short == 1 and _have_row_names(others, head):
        note = (
            "the header has one name less than the rows have cells, as R writes row names: the first cell of each row "
            f"({_shown([row[0] for row in others[:3]])}) is left out"
        )
        return _Fit(["", *first], n_row_names=1, notes=(note,))
    if n_short:
        _refuse_above(rows, content)
    return _Fit(first)


def _is_empty(name: str, others: Sequence[list[str]], place: int) -> bool:
    """Tell whether a column has no name and nothing in its cells."""
    return bool(others) and not name.strip() and not any(row[place].strip() for row in others)


def _have_row_names(rows: Sequence[list[str]], head: str) -> bool:
    """Tell whether the first cells can be R's row names: distinct, and quoted, or texts, or 1 to N."""
    cells = [row[0].strip() for row in rows]
    if not cells or len(rows[0]) < 3 or len({*cells}) < len(cells):
        return False
    is_quoted = head.splitlines()[-1].lstrip()[:1] in ('"', "'")
    counted = cells == [str(i) for i in range(1, len(cells) + 1)]
    return is_quoted or counted or not any(map(NUMBER_OF_ANY_MARK.fullmatch, cells))


def _for_all_cells(columns: tuple[str, ...] | None, fit: _Fit, width: int) -> tuple[str, ...] | None:
    """Return the names given for the columns, with names for the cells that belong to none."""
    if columns is None or len(columns) != width - fit.n_empty - fit.n_row_names:
        return columns
    names = [f"Unnamed: {i}" for i in range(width)]
    names[fit.n_row_names : width - fit.n_empty] = columns
    return tuple(names)


def _refuse_above(rows: _Rows, content: Content) -> None:
    """Raise BadTable for a first row that has another number of cells than those below it."""
    first, width, name = rows.cells[0], rows.width, content.name
    place = next(i for i, row in enumerate(rows.cells) if len(row) == width)
    line, begins = rows.lines[0], rows.lines[place]
    if not _has_header(rows.cells[place:], content.columns) and content.columns is None:
        raise BadTable(
            f"{name}: the header in line {line} has {len(first)} names ({_shown(first)}), but the rows below have "
            f"{width} cells, as line {begins} ({_shown(rows.cells[place])}); mend the header, or give --skip-rows "
            f"{begins - 1} if it is none."
        )
    ways = [f"--skip-rows {begins - 1}"]
    marks = {row[0].lstrip()[:1] for row in rows.cells[:place]}
    if len(marks) == 1 and not (mark := marks.pop()).isalnum() and mark not in ("", '"'):
        ways.append(f"--comment {shlex.quote(mark)}")
    raise BadTable(
        f"{name}: line {line} has {len(first)} cells ({_shown(first)}), and the rows of the table {width}. If line "
        f"{begins} is the header ({_shown(rows.cells[place])}), give {' or '.join(ways)}."
    )


def _refuse_lower_header(rows: _Rows, content: Content, *, again: bool) -> None:
    """Raise BadTable where a row below the first is the row of names: texts over columns of numbers.

    `again` says that the first is the row of names, which may come again: in a file that was made of several.
    """
    places = [
        place
        for place, row in enumerate(rows.cells)
        if len(row) == rows.width and not (place and again and row == rows.cells[0])
    ]
    columns = _columns([rows.cells[place] for place in places])
    for i in range(min(_HEADER_WITHIN, len(places) - 2), 0, -1):
        if _names_columns(columns, i):
            line, row = rows.lines[places[i]], rows.cells[places[i]]
            raise BadTable(
                f"{content.name}: line {line} ({_shown(row)}) has names or words over columns of numbers, and so has "
                f"line {rows.lines[0]} ({_shown(rows.cells[0])}). Give --skip-rows {line - 1} to take line {line} as "
                f"the header, or remove line {line} to keep the other."
            )


@dataclass(frozen=True)
class _Column:
    """The cells of a column, and the lowest place of a word and of a number in it; -1 where there is none."""

    cells: list[str]
    lowest_word: int
    lowest_number: int

    def is_of_numbers_below(self, place: int) -> bool:
        """Tell whether all cells below a place that are not missing are numbers, and at least one is there."""
        return self.lowest_word <= place < self.lowest_number


def _columns(rows: Sequence[list[str]]) -> list[_Column]:
    """Return the columns of rows of one width. Each cell is judged once, as a table may have very many columns."""
    columns = []
    for column in zip(*rows, strict=True):
        cells = [cell.strip() for cell in column]
        filled = ((place, cell) for place, cell in reversed([*enumerate(cells)]) if cell not in MISSING_WORDS)
        word = number = -1
        for place, cell in filled:
            if not NUMBER_OF_ANY_MARK.fullmatch(cell):
                word = place
                break
            number = max(number, place)
        columns.append(_Column(cells, word, number))
    return columns


def _names_columns(columns: Sequence[_Column], place: int) -> bool:
    """Tell whether a row has a word in every column that holds only numbers below it."""
    over_numbers = [column.cells[place] for column in columns if column.is_of_numbers_below(place)]
    if not any(map(_is_word, over_numbers)) or any(map(_is_number_or_missing, over_numbers)):
        return False
    return len(over_numbers) > 1 or not any(
        column.cells[place] in column.cells[place + 1 :] for column in columns
    )


def _is_word(cell: str) -> bool:
    """Tell whether a cell can be a name: it has a letter."""
    return any(map(str.isalpha, cell))


def _is_number_or_missing(cell: str) -> bool:
    return cell in {*MISSING_WORDS, *_NO_NAMES} or bool(NUMBER_OF_ANY_MARK.fullmatch(cell))


def _has_header(rows: list[list[str]], columns: tuple[str, ...] | None) -> bool:
    """Tell whether the first row holds names, by the rule that `read_frame` states."""
    first = [cell.strip() for cell in rows[0]]
    below = [{row[i].strip() for row in rows[1:] if i < len(row)} for i in range(len(first))]
    counted = [[str(i + start) for i in range(len(first))] for start in (0, 1)]
    if tuple(first) == columns or (len(rows) > 1 and not columns and first in counted):
        return True
    if len(rows) == 1:
        return not columns
    over_numbers = [cell for cell, cells in zip(first, below, strict=True) if _are_numbers(cells)]
    if over_numbers:
        return any(not _are_numbers({cell}) for cell in over_numbers if cell not in MISSING_WORDS) or not any(
            _are_numbers({cell}) for cell in over_numbers
        )
    return not columns and not all(cell in cells for cell, cells in zip(first, below, strict=True))


def _is_over_numbers(row: list[str], others: Sequence[list[str]]) -> bool:
    """Tell whether a row is words over columns of numbers only: a header, also where it comes again."""
    cells = zip(row, *(other for other in others if len(other) == len(row)), strict=True)
    over_numbers = [first for first, *below in cells if _are_numbers({*map(str.strip, below)})]
    return bool(over_numbers) and all(map(_is_word, over_numbers))


def _are_numbers(cells: set[str]) -> bool:
    """Tell whether all cells that are not missing are numbers, and at least one is there."""
    present = cells.difference(MISSING_WORDS)
    return bool(present) and all(NUMBER_OF_ANY_MARK.fullmatch(cell) for cell in present)


def _shown(cells: Sequence[str]) -> str:
    """Return up to four cells, each in short, for a message."""
    return listed([cell.strip()[:20] for cell in cells], 4)

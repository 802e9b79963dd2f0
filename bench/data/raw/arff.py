"""ARFF, the files of Weka, KEEL and OpenML: declared attributes, then rows cut at commas.

Of the kept libraries SciPy reads no attributes of strings, and liac-arff none of dates; both are read here. A value
that its attribute does not allow is refused by row and column.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from bench.data.raw.content import PLAIN_NUMBER, Content, Raw, names_of
from bench.data.raw.encodings import as_utf8
from bench.data.raw.plain import plain_table
from bench.errors import BadTable

_QUOTED = r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\""
_CELL = re.compile(rf"\s*(?:{_QUOTED}|([^,]*?))\s*(,|$)")
_ATTRIBUTE = re.compile(rf"(?i)@attribute\s+(?:{_QUOTED}|(\S+?))\s*(\{{.*\}}|\s[a-z].*)$")
_KINDS = {"numeric": "numeric", "real": "numeric", "integer": "numeric", "string": "string", "date": "date"}
_MISSING = ("?", "<null>")  # the second in KEEL's files


@dataclass(frozen=True)
class _Attribute:
    """A column as it is declared: `kind` is numeric, string, date or nominal, with its `values`."""

    name: str
    kind: str
    values: frozenset[str] = frozenset()


def read_arff(content: Content) -> Raw:
    """Read an ARFF file; numeric attributes as numbers, nominal ones as categories, strings and dates as texts."""
    data, notes = as_utf8(content.data, content.name)
    lines = enumerate(data.decode("utf-8").splitlines(), start=1)
    attributes = _attributes(lines, content.name)
    names = names_of([attribute.name for attribute in attributes], content)
    rows: list[int] = []
    cells: list[list[str | None]] = []
    for line, text in lines:
        if text.strip() and not text.lstrip().startswith("%"):
            rows.append(line)
            cells.append(_row(text, line, len(attributes), content.name))
    columns = {
        name: _column([row[i] for row in cells], rows, attribute, content)
        for i, (name, attribute) in enumerate(zip(names, attributes, strict=True))
        if name not in content.unread
    }
    nulls = pa.nulls(len(rows), pa.float64())
    table = pa.table([columns.get(name, nulls) for name in names], names=list(names))
    return Raw(plain_table(table, replace(content, verbatim=frozenset(names))), notes)


def _attributes(lines: Iterator[tuple[int, str]], name: str) -> list[_Attribute]:
    """Return the declared attributes, the lines up to @data taken."""
    attributes = list[_Attribute]()
    for line, text in lines:
        text = text.strip()
        if text.lower().startswith("@data"):
            if attributes:
                return attributes
            break
        if text.lower().startswith("@attribute"):
            attributes.append(_attribute(text, line, name))
    raise BadTable(f"{name} is an ARFF file without attributes or @data; fetch it again.")


def _attribute(text: str, line: int, name: str) -> _Attribute:
    match = _ATTRIBUTE.match(text)
    if match is None:
        raise BadTable(f"{name}: line {line} declares no attribute of ARFF: {text[:60]!r}; mend it.")
    *quoted, declared = match.groups()
    own_name, declared = _word(*quoted), declared.strip()
    if declared.startswith("{"):
        return _Attribute(own_name, "nominal", frozenset(_cells(declared[1:-1])))
    kind = re.split(r"[^a-z]", declared.lower(), maxsplit=1)[0]
    if kind not in _KINDS:
        raise BadTable(
            f"{name}: line {line} declares the attribute {own_name!r} as {kind!r}; make it a plain one."
        )
    return _Attribute(own_name, _KINDS[kind])


def _word(single: str | None, double: str | None, bare: str | None) -> str:
    """Return the text of one cell, which is quoted or bare."""
    quoted = single if single is not None else double
    return (bare or "") if quoted is None else re.sub(r"\\(.)", r"\1", quoted)


def _cells(text: str) -> list[str]:
    """Cut a row at its commas, or at its tabs where it has no comma."""
    text = text.replace("\t", " " if "," in text else ",")
    cells, place = list[str](), 0
    while match := _CELL.match(text, place):
        single, double, bare, separator = match.groups()
        cells.append(_word(single, double, bare))
        place = match.end()
        if not separator:
            break
    return cells


def _row(text: str, line: int, width: int, name: str) -> list[str | None]:
    """Return the cells of a row, None where missing; raise BadTable for another number of them."""
    if text.lstrip().startswith("{"):
        raise BadTable(f"{name}: line {line} is of sparse ARFF, which is not read; save it as CSV.")
    cells = _cells(text)
    if len(cells) != width:
        raise BadTable(
            f"{name}: line {line} has {len(cells)} cells, not {width} as there are attributes: {text[:60]!r}; "
            "mend or remove it."
        )
    return [None if cell in _MISSING else cell for cell in cells]


def _column(cells: list[str | None], rows: list[int], attribute: _Attribute, content: Content) -> pa.Array:
    """Return an attribute's cells as a column; raise BadTable for a value that the attribute does not allow."""
    if attribute.kind == "numeric":
        for kind in (pa.int64(), pa.float64()):
            with contextlib.suppress(pa.ArrowException):
                return pa.array(cells, pa.string()).cast(kind)
    wrong = (cell for cell in dict.fromkeys(cells) if cell is not None and not _allows(attribute, cell))
    if (cell := next(wrong, None)) is not None:
        raise BadTable(
            f"{content.name}: line {rows[cells.index(cell)]} has {cell!r} for the {attribute.kind} attribute "
            f"{attribute.name!r}; mend it, or declare it."
        )
    texts = pa.array(cells, pa.string())
    return texts.dictionary_encode() if attribute.kind == "nominal" else texts


def _allows(attribute: _Attribute, cell: str) -> bool:
    if attribute.kind == "nominal":
        return cell in attribute.values
    return attribute.kind != "numeric" or bool(PLAIN_NUMBER.fullmatch(cell))

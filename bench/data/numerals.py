"""Numbers written as text: 10.6%, $1,234.50, 1.234,56 €, (54.00), 36 months, 1.5k.

A column is judged by its different texts. It is numbers where all of them agree: on one decimal mark, one currency,
and one unit. A text such as 1,234 can be read in two ways; what the file says elsewhere decides (`Marks`), or the user.
Codes are no numbers: 12-34, 1.2.3, 10+ years, < 1 year, 192.168.0.1, 1/2.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.numberformats import (
    BODIES,
    CURRENCIES,
    LETTERS,
    MISSING_WORDS,
    MOST_WORDS,
    MULTIPLIERS,
    NINES,
    NO_UNITS,
    NUMBER,
    SPELT,
)

# Different numbers with three digits after a point, from which on it may part thousands though others have points.
GROUPED = 50
_SAMPLE = 200  # texts that tell whether there are many numbers among all
_FEW_UNITS = (
    5  # up to so many, numbers of several units are meant as numbers; more are words after house numbers
)


@dataclass(frozen=True)
class Marks:
    """What is known of the decimal mark of a file's numbers.

    `decimal` is the mark that is declared, or that the file's other columns say; `declared` tells which. A file of
    `semicolons` has decimal commas more often than not. In a `mixed` one columns contradict each other.
    """

    decimal: str | None = None
    declared: bool = False
    semicolons: bool = False
    mixed: bool = False


@dataclass(frozen=True)
class Shape:
    """How a number is written: its sign, currency and unit, where its digits are, and the decimal marks it may have.

    A word that `is_glued` to the digits, and no unit that is known, is one only where a whole column has it.
    """

    negative: bool
    body: slice
    currency: str
    unit: str
    marks: tuple[str, ...]
    is_glued: bool = False

    @property
    def factor(self) -> int:
        """The power of ten by which the unit multiplies."""
        return MULTIPLIERS.get(self.unit, 0)


class Numeral(NamedTuple):
    """A text read as a number: what it says, and its shape."""

    text: str
    shape: Shape

    @property
    def body(self) -> str:
        """The digits and marks."""
        return self.text[self.shape.body]

    @property
    def is_bare_zero(self) -> bool:
        """Whether it is zero without a unit, and so of any unit."""
        return not self.shape.unit and not self.body.strip("0.,' ")

    @property
    def is_open(self) -> bool:
        """Whether its value rests on the decimal mark."""
        return len(self.shape.marks) > 1 and ("," in self.body or "." in self.body)

    def value(self, mark: str) -> float:
        """Return the number, read with a decimal mark."""
        spelling = _python(self.body, mark)
        if self.shape.factor and "e" not in spelling.lower():
            spelling = f"{spelling}e{self.shape.factor}"
        number = float(spelling)
        return -number if self.shape.negative and number else number


class Parsed(NamedTuple):
    """Texts as numbers, (n,) float64, NaN for the words of missing; how they are written, and on what that rests.

    `guessed` where the decimal mark rests on the separator alone.
    """

    values: NDArray[np.float64]
    style: str
    guessed: bool = False


class Strays(NamedTuple):
    """Texts that are no such numbers as the others, by their places; and why, where they are numbers all the same.

    `n_numbers` other texts agree. `is_refused` where they are meant as numbers for sure, however few.
    """

    places: list[int]
    reason: str
    n_numbers: int
    is_refused: bool = False


class Undecided(NamedTuple):
    """Texts that can be read with a decimal point or comma, with different values: an example of them."""

    example: str
    declared: bool = False


def is_missing_word(text: str) -> bool:
    """Tell whether a text stands for a missing value among numbers and dates."""
    return text.strip().lower() in MISSING_WORDS


def numeral(text: str) -> Numeral | None:
    """Return a text as a number; None for what is none.

    >>> numeral("(1,234.50)").value(".")
    -1234.5
    """
    text = text.strip()
    if not text.isascii():
        text = text.translate(SPELT)
        text = f"-{text[1:]}" if text[0] in "–—‒" else text
    shape = _shape(text.translate(NINES))
    return None if shape is None or _is_address(text[shape.body]) else Numeral(text, shape)


@lru_cache(2**16)
def _shape(text: str) -> Shape | None:
    """Return the shape of a text whose digits are all 0 or 9; None for what is no number."""
    match = NUMBER.fullmatch(text) if len(LETTERS.findall(text)) <= MOST_WORDS else None
    if match is None:
        return None
    part = {name: value or "" for name, value in match.groupdict().items()}
    signs = [part[name] for name in ("sign", "sign2", "trail") if part[name]]
    n_open, n_close = (bool(part[name]) + bool(part[f"{name}2"]) for name in ("open", "close"))
    if len(signs) + n_open > 1 or n_open != n_close or part["word"].lower() in NO_UNITS:
        return None
    body = part["body"]
    marks = tuple(mark for mark in BODIES if BODIES[mark].fullmatch(body))
    unit = part["unit"] or part["word"]
    is_percent = part["prefix"] == "%"
    is_phone = signs == ["+"] and " " in body  # +48 600 123 456
    if not marks or is_phone or (is_percent and unit):
        return None
    currency = part["suffix"] + part["suffix2"] + ("" if is_percent else part["prefix"])
    if not currency and part["word"] in CURRENCIES:
        currency, unit = part["word"], ""
    is_glued = bool(unit) and unit == part["word"] and not part["glue"]
    if is_glued and not unit.lower().strip("x"):  # 941xx: digits that are not told
        return None
    return Shape(
        bool(n_open) or "-" in signs,
        slice(*match.span("body")),
        CURRENCIES.get(currency, currency),
        "%" if is_percent else unit,
        marks,
        is_glued,
    )


def _is_address(body: str) -> bool:
    """Tell whether a number of four groups is an address of the internet."""
    if body.count(".") != 3:
        return False
    try:
        ipaddress.ip_address(body)
    except ValueError:
        return False
    return True


def _python(body: str, mark: str) -> str:
    for by in ("," if mark == "." else ".", " ", "'"):
        if by in body:
            body = body.replace(by, "")
    return body if mark == "." else body.replace(mark, ".")


def as_numbers(
    texts: Sequence[str], weights: NDArray[np.intp], marks: Marks, *, most: float = 0.0
) -> Parsed | Strays | Undecided | None:
    """Return different texts, (n,), as numbers, or why they are none; None where nothing in them is a number.

    `weights` (n,) is how often each text stands in the column. None is also returned where no more than the share
    `most` of the rows, and no more than half of the texts, are numbers or words of missing: a column of texts is known
    without reading all of them.
    """
    words: list[bool] = []
    read: list[Numeral | None] = []
    allowed = (1 - most) * int(weights.sum())
    allowed_texts = len(texts) / 2 if not most or _are_many_numbers(texts) else 0.0
    for text, weight in zip(texts, weights.tolist(), strict=True):
        words.append(is_missing_word(text))
        read.append(None if words[-1] else numeral(text))
        if not words[-1] and read[-1] is None:
            allowed, allowed_texts = allowed - weight, allowed_texts - 1
            if most and allowed <= 0 and allowed_texts <= 0:
                return None
    if not _share_glued(number for number in read if number is not None):
        read = [None if number is None or number.shape.is_glued else number for number in read]
    numerals = [number for number in read if number is not None]
    if not numerals:
        return None
    unit, currency = _style(read, weights)
    agreeing = [number is not None and _agrees(number, unit, currency) for number in read]
    mark = _mark([number for number, agrees in zip(read, agreeing, strict=True) if number and agrees], marks)
    if isinstance(mark, Undecided):
        return mark
    fits = [
        bool(number and agrees and mark in number.shape.marks)
        for number, agrees in zip(read, agreeing, strict=True)
    ]
    strays = [place for place, fit in enumerate(fits) if not fit and not words[place]]
    if strays:
        all_numbers = all(read[place] is not None for place in strays)
        reason, is_refused = _difference(numerals) if all_numbers else ("", False)
        return Strays(strays, reason, sum(fits), is_refused)
    values = np.array([number.value(mark) if number else np.nan for number in read])
    guessed = marks.decimal != "," and mark == "," and all(len(number.shape.marks) > 1 for number in numerals)
    return Parsed(values, _described(numerals, unit, mark), guessed)


def _share_glued(numerals: Iterable[Numeral]) -> bool:
    """Tell whether all numbers have one unit, if words are glued to some; a bare zero may be without."""
    numerals = list(numerals)
    first = next((number.shape.unit for number in numerals if number.shape.is_glued), None)
    return first is None or all(
        number.is_bare_zero or _are_one_unit(number.shape.unit, first) for number in numerals
    )


def _are_many_numbers(texts: Sequence[str]) -> bool:
    """Tell whether so many of some texts are numbers that they may be half of all."""
    sample = texts[:: 1 + len(texts) // _SAMPLE]
    return 4 * sum(numeral(text) is not None for text in sample) >= len(sample)


def decimal_mark(texts: Sequence[str]) -> str | None:
    """Return the decimal mark with which alone all texts can be read as numbers; None where that is open."""
    possible, glued = set(BODIES), set[str]()
    for text in texts:
        number = numeral(text)
        if number is not None:
            glued |= {number.shape.unit.lower()} if number.shape.is_glued else set()
            if len(glued) > 1:
                return None
            possible &= set(number.shape.marks)
        elif not is_missing_word(text):
            return None
    return possible.pop() if len(possible) == 1 else None


def _style(read: Sequence[Numeral | None], weights: NDArray[np.intp]) -> tuple[str, str]:
    """Return the unit and the currency that most rows have; the unit "k" stands for all that multiply."""
    units: Counter[str] = Counter()
    currencies: Counter[str] = Counter()
    for number, weight in zip(read, weights, strict=True):
        if number is not None:
            units["k" if number.shape.unit in MULTIPLIERS else number.shape.unit] += (
                0 if number.is_bare_zero else int(weight)
            )
            currencies[number.shape.currency] += int(weight)
    if set(units) <= {"", "k"}:  # plain numbers beside 1.5k
        units = Counter({"k": 1}) if units["k"] else units
    named = Counter({name: count for name, count in currencies.items() if name})
    return units.most_common(1)[0][0], named.most_common(1)[0][0] if named else ""


def _agrees(number: Numeral, unit: str, currency: str) -> bool:
    """Tell whether a number has this unit and currency; no currency is any, and a bare zero is of any unit."""
    if number.shape.currency not in ("", currency) and {number.shape.currency, currency} != {"$", "USD"}:
        return False
    if unit == "k":
        return number.shape.unit == "" or number.shape.unit in MULTIPLIERS
    return _are_one_unit(number.shape.unit, unit) or number.is_bare_zero


def _are_one_unit(first: str, second: str) -> bool:
    """Tell whether two units are one word, in any letter case, one and many: year and years, Monat and Monate."""
    if first == second:
        return True
    if min(len(first), len(second)) < 2:
        return False
    short, long = sorted((first.lower(), second.lower()), key=len)
    ending = long.removeprefix(short)
    return long.startswith(short) and (
        ending in ("", "s") or (len(short) > 2 and ending in ("es", "e", "n", "en"))
    )


def _mark(numerals: Sequence[Numeral], marks: Marks) -> str | Undecided:
    """Return the decimal mark of numbers that agree in all else; the one that most can be read with."""
    counts = {mark: sum(mark in number.shape.marks for number in numerals) for mark in BODIES}
    if marks.declared and marks.decimal is not None:
        other = next((number.text for number in numerals if marks.decimal not in number.shape.marks), None)
        return marks.decimal if other is None else Undecided(other, declared=True)
    if counts["."] != counts[","]:
        return max(counts, key=lambda mark: counts[mark])
    bodies = [number.body for number in numerals if number.is_open]
    if not bodies:
        return "."
    if marks.semicolons and _are_grouped(numerals, bodies):
        return ","
    if marks.decimal is not None:
        return marks.decimal
    with_comma = next((body for body in bodies if "," in body), None)
    with_point = next((body for body in bodies if "." in body), None)
    if with_comma and (with_point or marks.semicolons or marks.mixed):
        return Undecided(with_comma)
    if with_point and marks.mixed:
        return Undecided(with_point)
    return "," if with_point and marks.semicolons else "."


def _are_grouped(numerals: Sequence[Numeral], bodies: Sequence[str]) -> bool:
    """Return whether points part thousands: three digits follow many of them, and other numbers are whole."""
    many = len(bodies) >= GROUPED and "," not in "".join(bodies)
    return many and any(number.body.isdigit() for number in numerals)


def _difference(numerals: Sequence[Numeral]) -> tuple[str, bool]:
    """Say in what numbers differ, and whether they are meant as numbers for sure."""
    currencies = sorted({number.shape.currency for number in numerals if number.shape.currency})
    units = sorted({number.shape.unit for number in numerals})
    named = [repr(unit) for unit in units if unit]
    if len(currencies) > 1:
        return f"in several currencies ({', '.join(currencies[:3])})", True
    if "%" in units and "" in units:
        return "with and without %", True
    if len(units) > 1:
        n_kinds = len({unit.lower().rstrip("s") for unit in units})
        without = "with and without a unit" if "" in units else "in several units"
        return (f"{without} ({', '.join(named[:3])})" if n_kinds <= _FEW_UNITS else ""), False
    return "with decimal points and with decimal commas", True


def _described(numerals: Sequence[Numeral], unit: str, mark: str) -> str:
    """Say how numbers are written; empty where pandas reads them too."""
    bodies = [number.body for number in numerals]
    thousands = "," if mark == "." else "."
    currency = next((number.shape.currency for number in numerals if number.shape.currency), "")
    parts = [
        (
            "percent" if unit == "%" else "multiplied by k, M or bn" if unit == "k" else f"unit {unit}",
            bool(unit),
        ),
        (f"currency {currency}", bool(currency)),
        ("decimal commas", mark == "," and any("," in body for body in bodies)),
        (
            "commas between thousands" if mark == "." else "points between thousands",
            any(thousands in b for b in bodies),
        ),
        ("blanks between thousands", any(" " in body for body in bodies)),
        ("apostrophes between thousands", any("'" in body for body in bodies)),
        (
            "negatives in parentheses or with a minus behind",
            any(re.search(r"\)|-$|- ", n.text) for n in numerals),
        ),
    ]
    return ", ".join(words for words, is_so in parts if is_so)

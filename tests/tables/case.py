"""A case: a table as a user has it, and what is right of it; and the verdict on what a checkout made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np

Value = str | float | None  # of a column: a category's text, a number, or a missing value
Kind = Literal["read", "refused", "traceback", "ended"]
GivenAs = Literal["file", "pandas", "polars", "periods"]
SHOWN = 90  # letters of a message
LEAST_SPREAD = 0.1  # of ordinary values, encoded


class Verdict(NamedTuple):
    """Whether a checkout did right, in a word, and what it did."""

    is_right: bool
    word: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.word}: {self.detail}" if self.detail else self.word


@dataclass(frozen=True)
class Outcome:
    """What a checkout made of a table, or how its command ended; see `probe.py`."""

    kind: Kind
    message: str = ""
    columns: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    y: Sequence[int] = ()
    lines: Sequence[str] = ()
    splits: Sequence[Sequence[Sequence[int]]] = ()
    encoded_rows: Sequence[int] = ()
    encoded_columns: Sequence[Sequence[float]] = ()
    code: int = 0


class Right(Protocol):
    """What is right of a case."""

    def judge(self, outcome: Outcome) -> Verdict:
        """Return the verdict on what came of it."""


def failed(outcome: Outcome) -> Verdict:
    """Return the verdict on a table that was not read, though it should be."""
    return Verdict(False, outcome.kind, outcome.message[:SHOWN])


def lacking(words: Sequence[str], text: str) -> list[str]:
    """Return the words that a text does not have, in any letter case."""
    return [word for word in words if word.lower() not in text.lower()]


@dataclass(frozen=True)
class Reads:
    """The table is read: these columns with these values, over and over, and a line with all the words `says`.

    `absent` are no features.
    """

    columns: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    says: Sequence[str] = ()
    y: Sequence[int] | None = None
    absent: Sequence[str] = ()

    def judge(self, outcome: Outcome) -> Verdict:
        """Return whether values, labels and lines are these."""
        if outcome.kind != "read":
            return failed(outcome)
        for name, expected in self.columns.items():
            if fault := _difference(outcome.columns.get(name), expected):
                return Verdict(False, "silently wrong", fault)
        if self.y is not None and list(outcome.y) != list(np.resize(self.y, len(outcome.y))):
            return Verdict(False, "silently wrong", f"{sum(outcome.y)} of {len(outcome.y)} rows are positive")
        if kept := [name for name in self.absent if name in outcome.columns]:
            return Verdict(False, "silently wrong", f"{kept[0]!r} is a feature")
        if self.says and not any(not lacking(self.says, line) for line in outcome.lines):
            return Verdict(False, "no word", "read, and nothing is said")
        return Verdict(True, "right, with a note" if self.says else "right")


def _difference(values: Sequence[Value] | None, expected: Sequence[Value]) -> str:
    """Return how a column differs from what it should hold; empty where it does not."""
    if values is None:
        return "the column is not there"
    pairs = [(value, expected[i % len(expected)]) for i, value in enumerate(values)]
    wrong = [value for value, right in pairs if not _is_equal(value, right)]
    if not wrong:
        return ""
    first = wrong[0]
    is_text = any(isinstance(value, str) for value in values)
    kind = f"a category of {len(set(values)):,} values" if is_text else "numbers"
    return f"{kind}, with {first!r}" if first is not None else f"{kind}, with a missing value"


def _is_equal(value: Value, right: Value) -> bool:
    if isinstance(value, float) and isinstance(right, int | float):
        return abs(value - right) <= 1e-12 * abs(right)
    return type(value) is type(right) and value == right


@dataclass(frozen=True)
class Refuses:
    """The table is refused in a sentence that has all these words and none of `without`."""

    words: Sequence[str]
    without: Sequence[str] = ()

    def judge(self, outcome: Outcome) -> Verdict:
        """Return whether it was refused, by the name of what is wrong."""
        if outcome.kind == "read":
            return Verdict(False, "silently wrong", "read" + _read_as(outcome))
        if outcome.kind != "refused":
            return failed(outcome)
        said = [word for word in self.without if word.lower() in outcome.message.lower()]
        if lacking(self.words, outcome.message) or said:
            return Verdict(False, "refused, not by name", outcome.message[:SHOWN])
        return Verdict(True, "refused by name")


def _read_as(outcome: Outcome) -> str:
    """Return as what the column `c` was read."""
    values = outcome.columns.get("c", ())
    if not values:
        return f" as {len(outcome.y)} rows of {', '.join(map(repr, list(outcome.columns)[:4]))}"
    if any(isinstance(value, str) for value in values):
        return f" as a category of {len(set(values)):,} values"
    return f" as numbers, with {values[0]!r}"


@dataclass(frozen=True)
class KeepsTogether:
    """Rows with the same `keys` (by row, over and over) are on one side of every split."""

    keys: Sequence[object]
    says: Sequence[str] = ()

    def judge(self, outcome: Outcome) -> Verdict:
        """Return whether no key is on two sides."""
        if outcome.kind != "read":
            return failed(outcome)
        n_split = 0
        for parts in outcome.splits:
            sides = [{self.keys[row % len(self.keys)] for row in part} for part in parts]
            n_split = max(n_split, sum(map(len, sides)) - len(set().union(*sides)))
        if n_split:
            return Verdict(
                False, "silently wrong", f"up to {n_split:,} groups of rows on two sides of a split"
            )
        return Reads(says=self.says).judge(outcome)


@dataclass(frozen=True)
class KeepsSpread:
    """Encoded, the values of a column that are below `huge` in size are in their order, and differ by a standard
    deviation of .1 or more of what networks see.
    """  # noqa: D205

    values: Sequence[float]
    huge: float
    says: Sequence[str] = ()

    def judge(self, outcome: Outcome) -> Verdict:
        """Return whether an encoded column has the order and the spread of the ordinary values."""
        if outcome.kind != "read":
            return failed(outcome)
        raw = np.array([self.values[row % len(self.values)] for row in outcome.encoded_rows])
        ordinary = np.abs(raw) < self.huge
        order = np.argsort(raw[ordinary], kind="stable")
        spreads = [
            float(encoded.std())
            for column in outcome.encoded_columns
            if (np.diff((encoded := np.asarray(column)[ordinary])[order]) > 0).all()
        ]
        if max(spreads, default=0) < LEAST_SPREAD:
            return Verdict(False, "silently wrong", "its ordinary values become all but one")
        return Reads(says=self.says).judge(outcome)


@dataclass(frozen=True)
class Ends:
    """A command ends with this code and these words, and with none of `without`."""

    code: int
    words: Sequence[str] = ()
    without: Sequence[str] = ("Traceback",)

    def judge(self, outcome: Outcome) -> Verdict:
        """Return whether it ended so."""
        if "Traceback" in outcome.message and "Traceback" in self.without:
            return Verdict(False, "traceback", outcome.message.strip().splitlines()[-1][:SHOWN])
        missing = lacking(self.words, outcome.message)
        said = [word for word in self.without if word in outcome.message]
        if missing or said:
            return Verdict(
                False, "no word", f"nothing of {missing[0]!r}" if missing else f"{said[0]!r} is said"
            )
        if outcome.code != self.code:
            return Verdict(False, "ends otherwise", f"exit code {outcome.code}, not {self.code}")
        return Verdict(True, "right")


@dataclass(frozen=True)
class Case:
    """A table of one of the issue's points, what it is given with, and what is right of it.

    `make` writes it into a folder and returns the file; `words` are a command's instead, with `variables` set, in
    which `{folder}` is that folder and `{out}` one for results.
    """

    point: str
    said: str
    right: Right
    make: Callable[[Path], Path] | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    given_as: GivenAs = "file"
    asks: Sequence[str] = ()
    words: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    closes_stdout: bool = False

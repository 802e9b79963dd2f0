"""What a check is, how several are made in turn, and the small simulated table that they are made on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.data.cards import card
from bench.data.table import Table, load
from bench.errors import BadPlugin, BenchError
from bench.plugins.guards import attempt, line_of

ROWS = 600  # of the simulated table
_T = TypeVar("_T")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: in words what should hold, and what is wrong with it, None where it holds."""

    what: str
    fault: str | None = None


class BrokenContract(BenchError, AssertionError):
    """Something does not keep its contract; `checks` are all that were made, with and without a fault."""

    def __init__(self, subject: object, checks: Sequence[Check]) -> None:
        self.checks = list(checks)
        faults = [f"- {check.what}: {check.fault}" for check in checks if check.fault]
        super().__init__("\n".join([f"{subject} does not keep its contract:", *faults]))


class Fault(Exception):
    """What a check finds wrong, in words."""


def expect(holds: object, fault: str) -> None:
    """Raise Fault unless it holds."""
    if not holds:
        raise Fault(fault)


def raise_faults(checks: list[Check], subject: object) -> list[Check]:
    """Return the checks; raise BrokenContract where one has a fault."""
    if any(check.fault for check in checks):
        raise BrokenContract(subject, checks)
    return checks


def examine(tests: Sequence[Callable[[_T], None]], subject: _T, file: str = "") -> list[Check]:
    """Return a check for each test, in words its docstring; where the first has a fault, it alone.

    What a test raises is the fault, with the line of `file` at which it arose.
    """
    checks: list[Check] = []
    for test in tests:
        checks.append(Check(what_holds(test), _fault(test, subject, file)))
        if checks[0].fault:
            break
    return checks


def what_holds(test: Callable[[_T], None]) -> str:
    """Return what a test looks at, in words."""
    return " ".join((inspect.getdoc(test) or test.__name__).split()).rstrip(".")


def unregistered(registry: Callable[[], object], what: str) -> list[Check]:
    """Return a check with the fault for which the registry takes no file; none where it takes all."""
    try:
        registry()
    except BadPlugin as error:
        return [Check(what, str(error))]
    return []


def _fault(test: Callable[[_T], None], subject: _T, file: str) -> str | None:
    _, fault, error = attempt(lambda: test(subject))
    if error is None:
        return None
    if isinstance(error, Fault | BenchError):
        return str(error)
    return f"{fault}{line_of(error, Path(file)) if file else ''}"


@cache
def loans() -> Table:
    """Return simulated loans, one an hour: numbers, categories, missing values, times, amounts, a known P(y=1 | x)."""
    table = load(card("loan-sim"), rows=ROWS)
    return replace(table, time=np.arange(table.n_rows, dtype=np.float64) * 3600)

"""Files that keep their contract, and how a test breaks one in a single place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.testing import BrokenContract, Check
from bench.testing.checks import what_holds
from tests.protocols.test_protocols_own import LAST_ROWS, PARTS

OWN_PROTOCOL = LAST_ROWS.replace("{parts}", PARTS)
ENGINE = '''
from bench.contract import Result


class InTurn:
    """One pack after the other, in this process."""

    name = "in-turn"
    description = "one pack after the other"

    def run(self, packs, bench, reporter, *, workers, timeout=None):
        results = []
        for pack in packs:
            reporter.pack_started(0, pack)
            done = bench.run_pack(pack, lambda step, steps: reporter.pack_progress(0, step, steps))
            reporter.pack_finished(0, done, 0.0)
            results += done
        return results


ENGINE = InTurn()
'''
METRIC = """
import numpy as np
from bench.contract import Metric


def amount_recall(scored, weight):
    lost = weight * scored.y * scored.columns["amount"]
    return lost[scored.score > 0.5].sum() / lost.sum()


METRICS = {"amount_recall": Metric(amount_recall, description="the amount above a half", needs=("amount",))}
"""


@dataclass(frozen=True)
class Broken:
    """What is put in place of what in a good file, which checks must fail then, all of them, and what they say."""

    checks: Sequence[Callable[[Any], None]]
    changes: Mapping[str, str]
    words: str

    def __str__(self) -> str:
        """Name the case in a list of tests."""
        return f"{self.checks[0].__name__}: {self.words}"


def each(cases: Sequence[Broken]) -> pytest.MarkDecorator:
    """Parametrise a test by the cases."""
    return pytest.mark.parametrize("case", cases, ids=str)


def written(folder: Path, text: str, name: str = "means.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def changed(text: str, changes: Mapping[str, str]) -> str:
    """Return the text with every new part in place of the old."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def faults_of(check: Callable[[Path], list[Check]], file: Path) -> dict[str, str]:
    """Return the faults that are told of a file, by what should hold; the message has the file and each of them."""
    with pytest.raises(BrokenContract) as broken:
        check(file)
    faults = {each.what: each.fault for each in broken.value.checks if each.fault}
    assert str(file) in str(broken.value)
    assert all(f"- {what}: {fault}" in str(broken.value) for what, fault in faults.items())
    assert isinstance(broken.value, AssertionError)
    assert broken.value.exit_code == 2
    return faults


def expect_faults(case: Broken, check: Callable[[Path], list[Check]], file: Path, prefix: str = "") -> None:
    """Check that the case's checks fail, no other, and the first says its words."""
    faults = faults_of(check, file)
    assert set(faults) == {prefix + what_holds(test) for test in case.checks}
    assert case.words in faults[prefix + what_holds(case.checks[0])]


def fail_alone(cases: Sequence[Broken]) -> set[Callable[[Any], None]]:
    """Return the checks that fail in some case and leave all others as they were."""
    return {case.checks[0] for case in cases if len(case.checks) == 1}

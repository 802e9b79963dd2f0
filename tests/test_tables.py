"""The programme `tests.tables`: its cases are right in this checkout, and its verdicts can be otherwise."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.tables.__main__ import HERE, main
from tests.tables.case import Ends, KeepsSpread, KeepsTogether, Outcome, Reads, Refuses, Right
from tests.tables.verdicts import CASES, as_text, verdicts

READ = Outcome("read", columns={"c": [10.6, None, 5.0]}, y=[1, 0, 0], lines=["'c' is a copy"])
AS_TEXT = Outcome("read", columns={"c": ["10.6%", None, "5%"]}, y=[1, 0, 0])
REFUSED = Outcome("refused", "The column 'c' holds dates; give --drop c.")
CRASHED = Outcome("traceback", "ValueError in f: no")
SPLIT = Outcome("read", splits=[[[0, 1], [2], [3]]])
ENCODED = Outcome("read", encoded_rows=[0, 1, 2], encoded_columns=[[-1.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("right", "outcome", "word"),
    [
        (Reads({"c": (10.6, None, 5)}, y=(1, 0, 0)), READ, "right"),
        (Reads({"c": (10.6, None, 5)}, says=("copy",)), READ, "right, with a note"),
        (Reads({"c": (10.6, None, 5)}, says=("weight",)), READ, "no word"),
        (Reads({"c": (10.6, None, 6)}), READ, "silently wrong"),
        (Reads({"c": (10.6, 0, 5)}), READ, "silently wrong"),
        (Reads({"c": (10.6, None, 5)}), AS_TEXT, "silently wrong"),
        (Reads({"d": (1,)}), READ, "silently wrong"),
        (Reads(y=(0, 0, 1)), READ, "silently wrong"),
        (Reads(absent=("c",)), READ, "silently wrong"),
        (Reads(), REFUSED, "refused"),
        (Reads(), CRASHED, "traceback"),
        (Refuses(("'c'", "--DROP c")), REFUSED, "refused by name"),
        (Refuses(("'d'",)), REFUSED, "refused, not by name"),
        (Refuses(("'c'",), without=("drop",)), REFUSED, "refused, not by name"),
        (Refuses(("'c'",)), AS_TEXT, "silently wrong"),
        (Refuses(("'c'",)), CRASHED, "traceback"),
        (KeepsTogether("aabc"), SPLIT, "right"),
        (KeepsTogether("abca"), SPLIT, "silently wrong"),
        (KeepsSpread((1, 2, 3), 10), ENCODED, "right"),
        (KeepsSpread((3, 2, 1), 10), ENCODED, "silently wrong"),
        (Ends(0, ("rows",)), Outcome("ended", "9 rows"), "right"),
        (Ends(0, ("rows",)), Outcome("ended", "9 rows", code=1), "ends otherwise"),
        (Ends(1, ("rows",)), Outcome("ended", "Traceback\nE: rows", code=1), "traceback"),
    ],
)
def test_a_verdict_is_what_came_of_it(right: Right, outcome: Outcome, word: str) -> None:
    verdict = right.judge(outcome)
    assert verdict.word == word
    assert verdict.is_right == word.startswith(("right", "refused by"))


def test_every_point_has_cases_and_no_case_comes_twice() -> None:
    points = Counter(case.point for case in CASES)
    assert list(points) == [
        "A1",
        "A2",
        "A3",
        *(f"B{i}" for i in range(4, 9)),
        "C9",
        *WITH_FILES,
        "E13",
        "F14",
    ]
    assert all(count >= 3 for count in points.values())
    assert max(Counter((case.point, case.said) for case in CASES).values()) == 1


WITH_FILES = ("D10", "D11", "D12")


@pytest.mark.slow
def test_all_tables_are_read_right(tmp_path: Path) -> None:
    """Of those that a process reads; the commands, a process each, have tests of their own."""
    judged = verdicts([HERE], tmp_path, ("A1", "A2", "A3", "B4", "B5", "B6", "B8", "C9", *WITH_FILES))
    wrong = [
        f"{row.case.point} {row.case.said}: {row.verdicts[0]}"
        for row in judged
        if not row.verdicts[0].is_right
    ]
    assert wrong == []
    n_cases = len(judged)
    assert as_text(judged).splitlines()[-1].split("|")[1:4] == [" all ", f" {n_cases} ", f" {n_cases} "]


def test_a_folder_that_is_no_checkout_is_a_slip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--against", str(tmp_path)])
    assert ended.value.code == 2
    assert "there is no checkout of bench" in capsys.readouterr().err

"""Every case read by every checkout, judged, and printed as a table with a summary by point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tables import columns, files, rows
from tests.tables.case import Case, Outcome, Verdict
from tests.tables.checkouts import answers, command

CASES = sorted(
    [*rows.CASES, *columns.CASES, *files.CASES], key=lambda case: (case.point[0], int(case.point[1:]))
)
WORDS = ("right", "silently wrong", "no word", "refused", "traceback")  # of the summary, in its order


@dataclass(frozen=True)
class Judged:
    """A case with the verdict on each checkout."""

    case: Case
    verdicts: tuple[Verdict, ...]


def verdicts(checkouts: Sequence[Path], folder: Path, points: Sequence[str] = ()) -> list[Judged]:
    """Return the verdicts on all cases, or on those of some points."""
    cases = [case for case in CASES if not points or case.point in points]
    folders = [folder / f"{i}" for i in range(len(cases))]
    paths = [_made(case, each) for case, each in zip(cases, folders, strict=True)]
    outcomes = [_outcomes(checkout, cases, paths, folder) for checkout in checkouts]
    return [
        Judged(case, tuple(case.right.judge(outcome[i]) for outcome in outcomes))
        for i, case in enumerate(cases)
    ]


def _made(case: Case, folder: Path) -> Path:
    """Return the case's file, written into a new folder; that folder where there is none."""
    folder.mkdir()
    return case.make(folder) if case.make else folder


def _outcomes(checkout: Path, cases: Sequence[Case], paths: Sequence[Path], folder: Path) -> list[Outcome]:
    jobs = [
        {"file": str(path), "options": case.options, "given_as": case.given_as, "asks": case.asks}
        for case, path in zip(cases, paths, strict=True)
        if not case.words
    ]
    read = answers(checkout, jobs, folder, train=False)
    outcomes = []
    for i, case in enumerate(cases):
        if case.words:
            here = folder / f"{i}"
            ended = command(checkout, case.words, here, case.variables, closes_stdout=case.closes_stdout)
            outcomes.append(Outcome(**ended))
        else:
            outcomes.append(Outcome(**next(read)))
    assert next(read, None) is None
    return outcomes


def as_text(judged: Sequence[Judged]) -> str:
    """Return the table of cases and, below it, the counts by point, as Markdown."""
    checkouts = ("before", "now")[-len(judged[0].verdicts) :]
    lines = [_row("point", "case", *checkouts), _row(*["---"] * (2 + len(checkouts)))]
    lines += [_row(each.case.point, each.case.said, *map(_cell, each.verdicts)) for each in judged]
    return "\n".join([*lines, "", *summary(judged), ""])


def summary(judged: Sequence[Judged]) -> list[str]:
    """Return the counts of each verdict by point, before and now."""
    n_checkouts = len(judged[0].verdicts)
    heads = [f"{when} {word}" for when in ("before:", "now:")[-n_checkouts:] for word in WORDS]
    lines = [_row("point", "cases", *heads), _row(*["---"] * (2 + len(heads)))]
    points = list(dict.fromkeys(each.case.point for each in judged))
    for point in [*points, "all"]:
        chosen = [each for each in judged if point in (each.case.point, "all")]
        counts = [Counter(_kind(each.verdicts[i]) for each in chosen) for i in range(n_checkouts)]
        lines.append(
            _row(point, str(len(chosen)), *(str(count[word] or "") for count in counts for word in WORDS))
        )
    return lines


def _kind(verdict: Verdict) -> str:
    """Return the word under which the summary counts a verdict."""
    if verdict.is_right:
        return "right"
    return next((word for word in WORDS if verdict.word.startswith(word)), "refused")


def _cell(verdict: Verdict) -> str:
    return str(verdict)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

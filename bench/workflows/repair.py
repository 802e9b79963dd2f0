"""Run the ladder from `published` to `strict` and write what each repair does: what `bench repair` is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bench.errors import BadStore
from bench.protocols.published import rungs
from bench.runs.card import the_card
from bench.runs.prepare import FullReporter
from bench.runs.request import Request
from bench.workflows.leaderboard import run_and_rank
from bench.workflows.run import make_plan
from bench.workflows.tables import regenerate


@dataclass(frozen=True)
class Ladder:
    """What a climb ended with: the table of `bench.paper.ladder`, where it lies, and what failed."""

    board: pd.DataFrame
    path: Path
    n_failed: int
    first_failure: str | None


def climb(request: Request, reporter: FullReporter) -> Ladder:
    """Run the request under every rung's protocol, and write every table of the data set, the ladder among them.

    Raises BadSetting, before anything is run, for a data set that the paper did not use.
    """
    card = the_card(request)
    failed = []
    for rung in rungs(card):
        plan = make_plan(replace(request, protocol=rung), reporter.download)
        reporter.note(f"{rung}: {len(plan.todo)} of {len(plan.runs)} runs to do")
        failed += run_and_rank(plan, reporter).failed
    pages = regenerate(request.results, dataset=card.name)
    for page in pages:
        page.write()
    first = failed[0].error if failed else None
    ladder = next((page for page in pages if page.path.stem == f"{card.name}-ladder"), None)
    if ladder is None:
        raise BadStore(f"There is no ladder: {len(failed)} runs failed, the first with: {first}")
    return Ladder(ladder.frame, ladder.path, len(failed), first)

"""Run arms at one prevalence after another, the test parts fixed, and write the effect: what `bench sweep` is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bench.errors import BadSetting, BadStore
from bench.names import DEFAULT_PROTOCOL
from bench.protocols.strict import at_prevalence, share_of
from bench.report.selection import measure_tables
from bench.runs.prepare import FullReporter
from bench.runs.request import Request
from bench.store.folder import Store
from bench.workflows.leaderboard import run_and_rank
from bench.workflows.pages import prevalence_board
from bench.workflows.run import make_plan


@dataclass(frozen=True)
class Swept:
    """What a sweep ended with: the table of `bench.report.swept`, where it lies, and what failed."""

    board: pd.DataFrame
    path: Path
    n_failed: int
    first_failure: str | None


def sweep(request: Request, prevalences: Sequence[str], reporter: FullReporter) -> Swept:
    """Run the request at each prevalence and at the table's own, and write the table and figure of all that were swept.

    Raises BadSetting for what is no prevalence, BadTable for one that leaves too few rows, before anything is run.
    """
    shares = sorted({share_of(text) for text in prevalences}, reverse=True)
    if not shares:
        raise BadSetting("Which prevalences? Say --prevalence 0.001,0.01, shares of positives.")
    protocols = [DEFAULT_PROTOCOL, *(at_prevalence(DEFAULT_PROTOCOL, share) for share in shares)]
    plans = [make_plan(replace(request, protocol=name), reporter.download) for name in protocols]
    failed = []
    for name, plan in zip(protocols, plans, strict=True):
        reporter.note(f"{name}: {len(plan.todo)} of {len(plan.runs)} runs to do")
        failed += run_and_rank(plan, reporter).failed
    first = failed[0].error if failed else None
    store, dataset = Store(request.results), plans[0].table.name
    page = prevalence_board(store, dataset, measure_tables(store, dataset))
    if page is None:
        raise BadStore(f"There is no table: {len(failed)} runs failed, the first with: {first}")
    page.write()
    return Swept(page.frame, page.path, len(failed), first)

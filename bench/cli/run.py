"""The commands that run benchmarks: `bench run`, `bench repair` and `bench sweep`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from bench.calls import HOW, WHAT
from bench.cli.interrupt import interruptible
from bench.cli.options import Json, command
from bench.cli.output import (
    show_error,
    show_forecast,
    show_ladder,
    show_outcome,
    show_plan,
    show_sweep,
    stderr,
)
from bench.errors import SOME_FAILED
from bench.runs.request import Request


@interruptible()
@command
def run(
    request: Request,
    *,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what would be fetched and run. Nothing is written.",
            rich_help_panel=HOW,
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a matrix of arms on a data set and write its leaderboard.

    A run that has its record is not run again: the same command goes on where it stopped, and ends at once when all
    is done.

    Example: bench run --dataset fraud-sim

    Example: bench run --data-file loans.csv --target defaulted --positive yes

    Example: bench run --dataset loan-sim --rows 3000 --arm none --tuned
    """
    if dry_run:
        return _foresee(request, as_json=as_json)
    from bench.cli.progress import reporter
    from bench.cli.study import show_tuning
    from bench.workflows import leaderboard as workflow

    with reporter(stderr()) as progress:
        after_tuning = None if as_json else show_tuning
        outcome = workflow.run(request, progress, after_tuning=after_tuning)
        if outcome is None:
            return progress.note("This shard has no run; there is nothing to do.")
    show_outcome(outcome, request.results, as_json=as_json)
    if outcome.failed:
        first = outcome.failed[0]
        error = (first.error or "").rstrip(".")
        again = "" if first.not_finite else " When that is mended, --retry-failed runs them again."
        show_error(
            f"{len(outcome.failed)} of {outcome.n_runs} runs failed; the first, {first.arm} ({first.key[:12]}): "
            f"{first.status}: {error}.{again}"
        )
        raise typer.Exit(SOME_FAILED)
    return None


def _foresee(request: Request, *, as_json: bool) -> None:
    """Print what a run would do; of data that are not here, what the card alone says."""
    from bench.cli.progress import reporter
    from bench.workflows.run import forecast, planned

    if ahead := forecast(request):
        return show_forecast(ahead, as_json=as_json)
    with reporter(stderr()) as progress:
        plan = planned(request, progress, dry_run=True)
    return show_plan(plan, as_json=as_json)


@interruptible()
@command
def repair(request: Request, *, as_json: Json = False) -> None:
    """Go from the paper's protocol to strict, one repair at a time, and print what each does to every arm.

    Each step runs all arms under a protocol of its own; what has its records is not run again.

    Example: bench repair --dataset loan
    """
    from bench.cli.progress import reporter
    from bench.workflows.repair import climb

    request = replace(request, matrix=None if request.arms else "published")
    with reporter(stderr()) as progress:
        ladder = climb(request, progress)
    show_ladder(ladder.board, ladder.path, as_json=as_json)
    if ladder.n_failed:
        show_error(f"{ladder.n_failed} runs failed; the first: {ladder.first_failure}")
        raise typer.Exit(SOME_FAILED)


@interruptible()
@command
def sweep(
    request: Request,
    *,
    shares: Annotated[
        str,
        typer.Option(
            "--prevalence",
            help="Shares of positives to thin the training rows to, with commas between: 0.001,0.01.",
            metavar="SHARES",
            rich_help_panel=WHAT,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Train arms at one prevalence after another, and print what each gains or loses against its control.

    Positives (or negatives) are left out of the training and validation rows at random; the test rows stay, so that
    columns can be compared. Every step is a protocol of its own, strict+prevalence=SHARE; what has its records is not
    run again. MetaBalance is compared with itself at α = 0, other arms with the plain network.

    Example: bench sweep --dataset loan-sim --prevalence 0.01,0.05 --matrix core
    """
    from bench.cli.progress import reporter
    from bench.workflows.sweep import sweep as sweep_all

    with reporter(stderr()) as progress:
        swept = sweep_all(request, [share for share in map(str.strip, shares.split(",")) if share], progress)
    show_sweep(swept.board, swept.path, as_json=as_json)
    if swept.n_failed:
        show_error(f"{swept.n_failed} runs failed; the first: {swept.first_failure}")
        raise typer.Exit(SOME_FAILED)

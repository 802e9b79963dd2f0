"""The command `bench study`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.calls import OUTPUT
from bench.cli.interrupt import interruptible
from bench.cli.options import Json, command
from bench.cli.output import plain_rows, show_error, show_json, show_table, show_text, stderr
from bench.errors import SOME_FAILED
from bench.runs.request import Request
from bench.tuning.search import Search

if TYPE_CHECKING:
    from bench.tuning.trials import Studied
    from bench.workflows.study import Tuning


@interruptible()
@command
def study(
    request: Request,
    search: Search,
    *,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Tune nothing: show the studies that are there, and draw them.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Tune arms with Optuna and keep the best settings for bench run --tuned.

    An arm is tuned for each fold apart, on that fold's training rows alone. Every arm has the same number of trials.
    Finished trials are kept: the same command goes on where it stopped, and several at once share the work. Studies run
    in worker processes of this machine; --engine is an option of bench run alone.

    Example: bench study --dataset loan-sim --rows 3000 --arm none --arm xgboost --trials 20

    Example: bench study --dataset loan-sim --show
    """
    if show:
        _show(request, as_json=as_json)
    else:
        _tune(request, search, as_json=as_json)


def _show(request: Request, *, as_json: bool) -> None:
    from bench.workflows.study import stored

    kept = stored(request)
    if kept.elsewhere:
        show_error(
            f"not shown, as their studies are of other splits: {', '.join(kept.elsewhere)}; --arm shows one alone."
        )
    show_studies(kept.studied, kept.written, as_json=as_json)


def _tune(request: Request, search: Search, *, as_json: bool) -> None:
    from bench.cli.progress import reporter
    from bench.workflows.study import check_complete, tune

    with reporter(stderr()) as progress:
        tuning = tune(request, search, progress)
    show_studies(tuning.studied, tuning.written, as_json=as_json)
    check_complete(tuning.studied)
    if any(len(studied.trials) < search.trials for studied in tuning.studied):
        show_error("Some studies have fewer trials than asked for: the same command goes on.")
    if failed := tuning.failed:
        place, first = failed[0]
        n_trials = sum(len(studied.trials) for studied in tuning.studied)
        show_error(
            f"{len(failed)} of {n_trials} trials failed; the first, of {place.arm} on fold "
            f"{place.repeat}.{place.fold}: {(first.error or '').rstrip('.')}."
        )
        raise typer.Exit(SOME_FAILED)


def show_tuning(tuning: Tuning) -> None:
    """Print what was tuned before a run of tuned arms."""
    show_studies(tuning.studied, tuning.written, as_json=False)


def show_studies(studied: Sequence[Studied], written: Sequence[Path], *, as_json: bool) -> None:
    """Print the ledger, of a single arm what each fold found, and the files; or all of it as one JSON object."""
    from bench.report import ledger

    board = ledger.ledger(studied)
    if as_json:
        show_json(
            {
                "arms": plain_rows(board),
                "studies": [_summary(each) for each in studied],
                "written": [str(path) for path in written],
            }
        )
        return
    if not board.empty:
        show_table(ledger.HEADINGS, ledger.cells(board), ("trials", "default", "tuned", "gain"))
        show_text(ledger.caption(board).replace("**", ""))
    best = [
        (f"{each.study.repeat}.{each.study.fold}", each.best) for each in studied if each.best is not None
    ]
    if len(board) == 1 and best:
        show_table(
            ["fold", "trial", "value", "best parameters"],
            [[fold, str(trial.number), f"{trial.value:.4f}", dict(trial.params)] for fold, trial in best],
        )
    if written:
        typer.echo("\n".join(["Written:", *map(str, written)]))


def _summary(studied: Studied) -> dict[str, object]:
    """Return a study as JSON takes it: where it stands, and its best trial."""
    best = studied.best
    return {
        **dict(zip(("protocol", "arm", "repeat", "fold"), studied.study.place, strict=True)),
        "study": studied.study.key,
        "trials": len(studied.trials),
        "best": None if best is None else {"number": best.number, "value": best.value, "params": best.params},
    }

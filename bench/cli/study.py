"""The command `bench study`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import (
    HOW,
    OUTPUT,
    TUNING,
    Amount,
    Arms,
    ArmsFile,
    DataFile,
    DatasetName,
    Device,
    Drop,
    Folds,
    Json,
    Matrix,
    MethodFile,
    Pack,
    Positive,
    Repeats,
    Results,
    Rows,
    Settings,
    Source,
    Target,
    Time,
    Workers,
    pairs,
)
from bench.cli.output import plain_rows, show_error, show_json, show_table, show_text, stderr
from bench.cli.tables import interruptible
from bench.errors import SOME_FAILED, BadStore
from bench.names import PrunerName, SearchName

if TYPE_CHECKING:
    from bench.runs.prepare import Request
    from bench.tuning.plan import Search
    from bench.tuning.trials import Studied


# As long as its options: typer reads them from the signature, and the body only hands them on.
def study(
    dataset: DatasetName = None,
    data_file: DataFile = None,
    target: Target = None,
    positive: Positive = None,
    drop: Drop = None,
    time: Time = None,
    amount: Amount = None,
    rows: Rows = None,
    source: Source = "auto",
    matrix: Matrix = None,
    arm: Arms = None,
    arms_file: ArmsFile = None,
    method_file: MethodFile = None,
    settings: Settings = None,
    folds: Folds = None,
    repeats: Repeats = None,
    trials: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Trials of every arm on every fold; the first is the arm as it is.",
            rich_help_panel=TUNING,
        ),
    ] = 50,
    inner_folds: Annotated[
        int,
        typer.Option(
            metavar="N", help="Folds of the training rows that judge a trial.", rich_help_panel=TUNING
        ),
    ] = 3,
    seeds: Annotated[
        int,
        typer.Option(metavar="N", help="Seeds of a trial on each inner fold.", rich_help_panel=TUNING),
    ] = 1,
    generation: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Trials that a study begins at once. More are faster, and learn less from one another.",
            rich_help_panel=TUNING,
        ),
    ] = 4,
    search: Annotated[
        SearchName,
        typer.Option(
            help="How the next trial is chosen: tpe learns from those before.", rich_help_panel=TUNING
        ),
    ] = "tpe",
    pruner: Annotated[
        PrunerName,
        typer.Option(
            help="What ends a hopeless trial early: being below the median, or halving the field.",
            rich_help_panel=TUNING,
        ),
    ] = "median",
    anew: Annotated[
        bool,
        typer.Option(
            "--anew",
            help="If the settings to search have changed since an arm's last study: begin again with no trials.",
            rich_help_panel=TUNING,
        ),
    ] = False,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend",
            help="If they have changed: go on with those old trials whose settings can still be chosen.",
            rich_help_panel=TUNING,
        ),
    ] = False,
    device: Device = "auto",
    pack: Pack = None,
    workers: Workers = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Begin no more trials after so long.", rich_help_panel=HOW),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An Optuna storage that several machines share. Without it: a file in the results folder.",
            rich_help_panel=HOW,
        ),
    ] = None,
    results: Results = Path("results"),
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
    Finished trials are kept: the same command goes on where it stopped, and several at once share the work.

    Example: bench study --dataset loan-sim --rows 3000 --arm none --arm xgboost --trials 20

    Example: bench study --dataset loan-sim --show
    """
    with interruptible():
        from bench.runs.prepare import Request
        from bench.tuning.plan import Search

        request = Request(
            dataset=dataset,
            data_file=data_file,
            target=target,
            positive=positive,
            drop=tuple(drop or ()),
            time=time,
            amount=amount,
            rows=rows,
            source=source,
            matrix=matrix,
            arms=tuple(arm or ()),
            arms_file=arms_file,
            method_file=tuple(method_file or ()),
            settings=pairs(settings or []),
            folds=folds,
            repeats=repeats,
            device=device,
            pack=pack,
            workers=workers,
            results=results,
        )
        if show:
            return _show(request, as_json=as_json)
        how = Search(
            trials=trials,
            inner_folds=inner_folds,
            seeds=seeds,
            generation=generation,
            search=search,
            pruner=pruner,
            storage=storage,
            seconds=timeout,
            anew=anew,
            extend=extend,
        )
        return _tune(request, how, as_json=as_json)


def _tune(request: Request, how: Search, *, as_json: bool) -> None:
    from bench.cli.progress import reporter
    from bench.tuning.plan import plan_studies
    from bench.tuning.trials import FAIL
    from bench.workflows.study import check_complete, tune_and_write

    with reporter(stderr()) as told:
        made = plan_studies(request, how, told.download)
        told.note(made.ready.note)
        if made.untunable:
            told.note(f"nothing to tune: {', '.join(made.untunable)}")
        same = sum(bool(job.adopted) for job in made.jobs)
        if how.anew and same:
            told.note(
                f"--anew: the space of {same} of {len(made.jobs)} studies has not changed; they go on with their trials"
            )
        done = tune_and_write(made, told)
    show_studies(done.studied, done.written, as_json=as_json)
    check_complete(done.studied)
    if any(len(one.trials) < how.trials for one in done.studied):
        show_error("Some studies have fewer trials than asked for: the same command goes on.")
    trials = [(one.study, trial) for one in done.studied for trial in one.trials]
    failed = [(study, trial) for study, trial in trials if trial.state == FAIL]
    if failed:
        study, first = failed[0]
        show_error(
            f"{len(failed)} of {len(trials)} trials failed; the first, of {study.arm} on fold "
            f"{study.repeat}.{study.fold}: {(first.error or '').rstrip('.')}."
        )
        raise typer.Exit(SOME_FAILED)


def _show(request: Request, *, as_json: bool) -> None:
    from bench.runs.prepare import the_card
    from bench.tuning.trials import TrialStore
    from bench.workflows.tables import current, draw_slices, study_boards

    dataset = the_card(request).name
    there = TrialStore(request.results).with_published(dataset)
    names = _names(request)
    known = dict.fromkeys(one.study.arm for one in there)
    missing = [name for name in names or () if name not in known]
    if missing or not known:
        raise BadStore(
            f"{request.results} holds no study of {' or '.join(missing) or 'any arm'} on {dataset}; there are those of "
            f"{', '.join(known) or 'no arm'}. bench study --dataset {dataset} --arm ARM makes one."
        )
    chosen = current(request.results, dataset, names, published=True)
    shown = {one.study.arm for one in chosen}
    if elsewhere := [name for name in names or known if name not in shown]:
        show_error(
            f"not shown, as their studies are of other splits: {', '.join(elsewhere)}; --arm shows one alone."
        )
    written = [path for board in study_boards(request.results, dataset) for path in board.write()]
    written += draw_slices(request.results, chosen)
    show_studies(chosen, written, as_json=as_json)


def _names(request: Request) -> list[str] | None:
    """Return the names of the arms asked for, of a matrix those that can be tuned; None where all are meant."""
    from bench.arms.settings import adjust_all, select
    from bench.tuning.space import tunable

    named = request.arms or request.arms_file
    if not (named or request.matrix or request.settings):
        return None
    arms = adjust_all(
        select(request.matrix, request.arms, request.arms_file, has_probability=True), request.settings
    )
    return [arm.name for arm in arms if named or tunable(arm)]


def show_studies(studied: Sequence[Studied], written: Sequence[Path], *, as_json: bool) -> None:
    """Print the ledger, of a single arm what each fold found, and the files; or all of it as one JSON object."""
    from bench.report import ledger

    board = ledger.ledger(studied)
    if as_json:
        show_json(
            {
                "arms": plain_rows(board),
                "studies": [_summary(one) for one in studied],
                "written": [str(path) for path in written],
            }
        )
        return
    if not board.empty:
        show_table(ledger.HEADINGS, ledger.cells(board), ("trials", "default", "tuned", "gain"))
        show_text(ledger.caption(board).replace("**", ""))
    if len(board) == 1 and any(one.best is not None for one in studied):
        best = [(f"{one.study.repeat}.{one.study.fold}", one.best) for one in studied if one.best is not None]
        show_table(
            ["fold", "trial", "value", "best parameters"],
            [[fold, str(trial.number), f"{trial.value:.4f}", dict(trial.params)] for fold, trial in best],
        )
    if written:
        typer.echo("\n".join(["Written:", *map(str, written)]))


def _summary(one: Studied) -> dict[str, Any]:
    """Return a study as JSON takes it: where it stands, and its best trial."""
    best = one.best
    return {
        **dict(zip(("protocol", "arm", "repeat", "fold"), one.study.place, strict=True)),
        "study": one.study.key,
        "trials": len(one.trials),
        "best": None if best is None else {"number": best.number, "value": best.value, "params": best.params},
    }

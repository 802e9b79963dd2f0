"""The command line: parse, call one function, print.

Results go to stdout, progress and errors to stderr. A `BenchError` is printed as a short message and
ends the process with its exit code; anything else is a bug and shows its traceback (exit 1). Heavy
imports stay inside the commands.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import completion
from bench.cli.options import (
    DATA,
    HOW,
    WHAT,
    Amount,
    Arms,
    ArmsFile,
    Command,
    DataFile,
    DatasetName,
    Device,
    Drop,
    Folds,
    Group,
    Json,
    Matrix,
    MethodFile,
    Pack,
    Positive,
    ProtocolName,
    Repeats,
    Results,
    Rows,
    Settings,
    Source,
    Target,
    Time,
    Workers,
    pairs,
    shard_of,
)
from bench.cli.output import show_error, show_forecast, show_outcome, show_plan, stderr
from bench.cli.study import show_studies, study
from bench.cli.tables import compact, compare, doctor, fetch, interruptible, list_, tables
from bench.errors import SOME_FAILED, USAGE, BenchError, UnknownName
from bench.platforms import check_platform

if TYPE_CHECKING:
    from bench.runs.prepare import Request

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Benchmark suite for learning on imbalanced fraud and credit tables. "
    "Start with: bench run --dataset fraud-sim",
)
# What typer raises for a command line that it cannot read. Newer versions carry click within, so that it has no
# import that works in all.
_Unreadable: type[Exception] = typer.BadParameter.__mro__[1]


def main(name: str | None = None) -> None:
    """Run the command line; the console script. `name` is what it is called, if not as the process is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal that knows no Δ gets a question mark, no traceback
            stream.reconfigure(errors="replace")
    try:
        check_platform()
        code = app(standalone_mode=False, prog_name=name)
    except BenchError as error:
        _stop(str(error), error.exit_code)
    except _Unreadable as error:
        _stop(_said(error), USAGE)
    except typer.Abort:
        _stop("aborted.", 1)
    sys.exit(code or 0)


def _stop(message: str, code: int) -> None:
    if message:
        show_error(f"Error: {message}")
    sys.exit(code)


def _said(error: Exception) -> str:
    """Return in a line what cannot be read; of a choice the nearest and all; nothing where the help was printed."""
    # Every `_Unreadable` has it, a class whose import differs between versions of typer.
    words = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    message = words.replace("Value error, ", "").rstrip(".")
    option, context = getattr(error, "param", None), getattr(error, "ctx", None)
    choice = re.search(r"'([^']*)' is not one of (.*)$", message)
    if choice and option:
        return str(UnknownName(option.opts[0].lstrip("-"), choice[1], re.findall(r"'(.*?)'", choice[2])))
    command = context.command_path if context else "bench"
    return f"{message}{'' if message[-1] in '?)' else '.'} Help: {command} --help" if message else ""


def _version(asked: bool) -> None:
    if asked:
        from bench import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command("list", cls=Command)(list_)
app.command(cls=Command)(fetch)


# As long as its options: typer reads them from the signature, and the body only hands them on.
@app.command(cls=Command)
def run(
    dataset: DatasetName = None,
    data_file: DataFile = None,
    target: Target = None,
    positive: Positive = None,
    drop: Drop = None,
    time: Time = None,
    amount: Amount = None,
    rows: Rows = None,
    source: Source = "auto",
    protocol: ProtocolName = "strict",
    matrix: Matrix = None,
    arm: Arms = None,
    arms_file: ArmsFile = None,
    method_file: MethodFile = None,
    settings: Settings = None,
    tuned: Annotated[
        bool,
        typer.Option(
            "--tuned",
            help="Run each arm as bench study tuned it. What is not tuned yet is tuned first.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    tuned_anyway: Annotated[
        bool,
        typer.Option(
            "--tuned-anyway",
            help="As --tuned, also where the arm was tuned on other rows, perhaps on some that test; its name says so.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Seeds per fold; by default the protocol's (strict: 3, above 50,000 rows 1).",
            rich_help_panel=WHAT,
        ),
    ] = None,
    folds: Folds = None,
    repeats: Repeats = None,
    device: Device = "auto",
    pack: Pack = None,
    workers: Workers = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Only the I-th of N parts of the runs, to share them among machines.",
            rich_help_panel=HOW,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Stop a run that takes longer; it counts as failed.", rich_help_panel=HOW
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed runs again.", rich_help_panel=HOW)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what would be fetched and run. Nothing is written.",
            rich_help_panel=HOW,
        ),
    ] = False,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Run a matrix of arms on a data set and write its leaderboard.

    A run that has its record is not run again: the same command goes on where it stopped, and ends at once when all
    is done.

    Example: bench run --dataset fraud-sim

    Example: bench run --data-file loans.csv --target defaulted --positive yes

    Example: bench run --dataset loan-sim --rows 3000 --arm none --tuned
    """
    with interruptible():
        from bench.runs.prepare import Request

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
            protocol=protocol,
            matrix=matrix,
            arms=tuple(arm or ()),
            arms_file=arms_file,
            method_file=tuple(method_file or ()),
            settings=pairs(settings or []),
            seeds=seeds,
            folds=folds,
            repeats=repeats,
            device=device,
            pack=pack,
            workers=workers,
            shard=shard_of(shard),
            timeout=timeout,
            results=results,
            retry_failed=retry_failed,
            tuned=tuned,
            tuned_anyway=tuned_anyway,
        )
        _run(request, dry_run=dry_run, as_json=as_json)


def _run(request: Request, *, dry_run: bool, as_json: bool) -> None:
    from bench.cli.progress import reporter
    from bench.workflows.leaderboard import run_and_rank
    from bench.workflows.run import forecast, make_plan

    if dry_run and (ahead := forecast(request)):
        return show_forecast(ahead, as_json=as_json)
    with reporter(stderr()) as told:
        if request.tuned and not dry_run:
            from bench.tuning.plan import Search
            from bench.workflows.study import tune_missing

            done = tune_missing(request, Search(), told)
            if done is not None and not as_json:
                show_studies(done.studied, done.written, as_json=False)
        made = make_plan(request, told.download, dry_run=dry_run)
        for note in made.notes:
            told.note(note)
        if dry_run:
            return show_plan(made, as_json=as_json)
        if not made.runs:
            return told.note("This shard has no run; there is nothing to do.")
        outcome = run_and_rank(made, told)
    show_outcome(outcome, request.results, as_json=as_json)
    if outcome.failed:
        first = outcome.failed[0]
        show_error(
            f"{len(outcome.failed)} of {outcome.n_runs} runs failed; the first, {first.arm} ({first.key[:12]}): "
            f"{first.status}: {(first.error or '').rstrip('.')}. Try them again with --retry-failed."
        )
        raise typer.Exit(SOME_FAILED)
    return None


@app.command(cls=Command)
def repair(  # as long as its options: see `run`
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="A data set that the paper used: fraud or loan.",
            autocompletion=completion.published_datasets,
            rich_help_panel=DATA,
        ),
    ],
    data_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Your copy of its file, instead of fetching it.", rich_help_panel=DATA
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="One arm; repeatable. Without it: the matrix published.",
            autocompletion=completion.arms,
            rich_help_panel=WHAT,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seeds per split; by default the protocol's.", rich_help_panel=WHAT),
    ] = None,
    workers: Workers = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Go from the paper's protocol to strict, one repair at a time, and print what each does to every arm.

    Each step runs all arms under a protocol of its own; what has its records is not run again.

    Example: bench repair --dataset loan
    """
    with interruptible():
        from bench.cli.output import show_ladder
        from bench.cli.progress import reporter
        from bench.runs.prepare import Request
        from bench.workflows.repair import climb

        request = Request(
            dataset=dataset,
            data_file=data_file,
            matrix=None if arm else "published",
            arms=tuple(arm or ()),
            seeds=seeds,
            workers=workers,
            results=results,
        )
        with reporter(stderr()) as told:
            outcome = climb(request, told)
        show_ladder(outcome.board, outcome.path, as_json=as_json)
        if outcome.n_failed:
            show_error(f"{outcome.n_failed} runs failed; the first: {outcome.first_failure}")
            raise typer.Exit(SOME_FAILED)


for _command in (study, compare, compact, tables, doctor):
    app.command(cls=Command)(_command)

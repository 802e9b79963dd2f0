"""The command line: parse, call one function, print.

Results go to stdout, progress and errors to stderr. A `BenchError` is printed as a short message and
ends the process with its exit code; anything else is a bug and shows its traceback (exit 1). Heavy
imports stay inside the commands.
"""

from __future__ import annotations

import io
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.catalogue import KINDS, catalogue, summary
from bench.errors import SOME_FAILED, BadSetting, BadStore, BenchError, UnknownName
from bench.options import (
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
from bench.platforms import check_platform
from bench.reading import compact, compare, interruptible, tables
from bench.show import show_json, show_outcome, show_plan, show_table, stderr
from bench.studying import show_studies, study

if TYPE_CHECKING:
    from bench.request import Request

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Benchmark suite for learning on imbalanced fraud and credit tables. "
    "Start with: bench run --dataset fraud-sim",
)


def main() -> None:
    """Run the command line; the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal that knows no Δ gets a question mark, no traceback
            stream.reconfigure(errors="replace")
    try:
        check_platform()
        app()
    except BenchError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201  (the one place for errors)
        sys.exit(error.exit_code)


def _version(asked: bool) -> None:
    if asked:
        from bench import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help=" | ".join(KINDS))],
    as_json: Json = False,
) -> None:
    """List what there is, by name.

    Example: bench list datasets
    """
    if kind not in KINDS:
        raise UnknownName("kind of thing to list", kind, KINDS)
    entries = catalogue(kind) if as_json else summary(kind)
    if as_json:
        show_json({kind: entries})
    else:
        show_table([KINDS[kind], *list(entries[0])[1:]], [list(e.values()) for e in entries])


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Data sets; see: bench list datasets")
    ],
    source: Annotated[str, typer.Option(help="auto | kaggle | mirror | openml")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Fetch again even if the cache has it.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch data sets into the cache and verify size and sha256.

    Sources are tried in the card's order: Kaggle without credentials, then with them, a mirror, OpenML.

    Example: bench fetch fraud loan
    """
    from bench.cards import card
    from bench.fetch import fetch as fetch_file
    from bench.progress import reporter

    cards = [card(name) for name in names]
    if simulated := [chosen.name for chosen in cards if chosen.simulator is not None]:
        raise BadSetting(
            f"{simulated[0]} is simulated: there is nothing to fetch. Run it: bench run --dataset {simulated[0]}"
        )
    rows = []
    with interruptible(), reporter(stderr()) as told:
        for chosen in cards:
            raw = fetch_file(chosen, source=source, force=force, progress=told.download)
            rows.append(
                {"name": chosen.name, "source": raw.source, "sha256": raw.sha256, "path": str(raw.path)}
            )
    if as_json:
        show_json({"fetched": rows})
    else:
        show_table(list(rows[0]), [list(row.values()) for row in rows])


@app.command()  # as long as its options: typer reads them from the signature, and the body only hands them on
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
    protocol: Annotated[
        str, typer.Option(help="See bench list protocols; published+REPAIR mends a fault of the paper's.")
    ] = "strict",
    matrix: Matrix = None,
    arm: Arms = None,
    arms_file: ArmsFile = None,
    settings: Settings = None,
    tuned: Annotated[
        bool,
        typer.Option("--tuned", help="Each arm as bench study tuned it, or tunes it first by its defaults."),
    ] = False,
    tuned_anyway: Annotated[
        bool, typer.Option("--tuned-anyway", help="Also as tuned on other rows; such arms are marked.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(help="Seeds per fold; default the protocol's; strict: 3, for big tables 1.")
    ] = None,
    folds: Folds = None,
    repeats: Repeats = None,
    device: Device = "auto",
    pack: Pack = None,
    workers: Workers = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only shard I of N, by the runs' keys.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that one run may take.")] = None,
    results: Results = Path("results"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print runs, packs and what is done; run nothing.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed runs again.")] = False,
    as_json: Json = False,
) -> None:
    """Run a matrix of arms on a data set and write its leaderboard.

    Runs that have a record are not run again: the same command resumes, and ends at once when all is done.

    Example: bench run --dataset fraud-sim

    Example: bench run --data-file loans.csv --target defaulted --positive yes

    Example: bench run --dataset loan-sim --rows 3000 --arm none --tuned
    """
    with interruptible():
        from bench.request import Request

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
            settings=pairs(settings or []),
            seeds=seeds,
            folds=folds,
            repeats=repeats,
            device=device,
            pack=pack,
            workers=workers,
            shard=_shard(shard),
            timeout=timeout,
            results=results,
            retry_failed=retry_failed,
            tuned=tuned,
            tuned_anyway=tuned_anyway,
        )
        _run(request, dry_run=dry_run, as_json=as_json)


def _run(request: Request, *, dry_run: bool, as_json: bool) -> None:
    from bench.progress import reporter
    from bench.suite import make_plan, run_plan

    with reporter(stderr()) as told:
        if request.tuned and not dry_run:
            from bench.search import Search
            from bench.tuning import tune_missing

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
        outcome = run_plan(made, told)
    show_outcome(outcome, request.results, as_json=as_json)
    if outcome.failed:
        first = outcome.failed[0]
        typer.echo(
            f"{len(outcome.failed)} of {outcome.n_runs} runs failed; the first, {first.arm} ({first.key[:12]}): "
            f"{first.status}: {(first.error or '').rstrip('.')}. Try them again with --retry-failed.",
            err=True,
        )
        raise typer.Exit(SOME_FAILED)
    return None


@app.command()
def repair(
    dataset: Annotated[str, typer.Option(help="A data set that the paper used: fraud or loan.")],
    data_file: Annotated[Path | None, typer.Option(help="A file you have, instead of fetching.")] = None,
    arm: Annotated[
        list[str] | None, typer.Option(help="One arm; repeatable. Default: the matrix published.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds per split; default the protocol's.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; default one per core.")] = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Climb from the paper's protocol to strict, one repair at a time, and print what each does to every arm.

    Every rung is a run of its own, and is not run again where it has its records.

    Example: bench repair --dataset loan
    """
    with interruptible():
        from bench.ladder import climb
        from bench.progress import reporter
        from bench.request import Request
        from bench.show import show_ladder

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
            typer.echo(f"{outcome.n_failed} runs failed; the first: {outcome.first_failure}", err=True)
            raise typer.Exit(SOME_FAILED)


app.command()(study)
app.command()(compare)
app.command()(compact)
app.command()(tables)


@app.command()
def doctor(results: Results = Path("results"), as_json: Json = False) -> None:
    """Say what this machine has: versions, cores, device, folders, credentials (never their content).

    Example: bench doctor
    """
    from bench.doctor import examine

    checks = examine(results)
    if as_json:
        show_json({"checks": [asdict(check) for check in checks]})
    else:
        show_table(["check", "ok", "found"], [[c.name, "yes" if c.ok else "NO", c.found] for c in checks])
    if bad := [check for check in checks if not check.ok]:
        raise BadStore(f"{bad[0].name}: {bad[0].found}")


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        raise BadSetting(f"--shard {text}: say it as I/N, for example --shard 1/4.") from None
    return i, n

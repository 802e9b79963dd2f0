"""The command line: parse, call one function, print.

Results go to stdout, progress and errors to stderr. A `BenchError` is printed as a short message and
ends the process with its exit code; anything else is a bug and shows its traceback (exit 1). Heavy
imports stay inside the commands.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import INTERRUPTED, SOME_FAILED, BadSetting, BadStore, BenchError, UnknownName

if TYPE_CHECKING:
    from rich.console import Console

    from bench.suite import Outcome, Plan, Request

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Benchmark suite for learning on imbalanced fraud and credit tables. "
    "Start with: bench run --dataset fraud-sim",
)
Results = Annotated[Path, typer.Option("--results", help="Folder of records, scores and leaderboards.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
KINDS = ("datasets", "arms", "methods", "samplers", "losses", "metrics", "protocols", "matrices")


def main() -> None:
    """Run the command line; the console script."""
    try:
        app()
    except BenchError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201  (the one place for errors)
        sys.exit(error.exit_code)


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        command = shlex.join(["bench", *sys.argv[1:]])
        typer.echo(f"Interrupted. Everything finished is kept; go on with:\n  {command}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _version(asked: bool) -> None:
    if asked:
        from bench import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
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
    from bench.catalogue import catalogue

    if kind not in KINDS:
        raise UnknownName("kind of thing to list", kind, KINDS)
    entries = catalogue(kind)
    if as_json:
        _print_json({kind: entries})
    else:
        _print_table(
            [kind.removesuffix("s"), *list(entries[0])[1:]], [list(map(_text, e.values())) for e in entries]
        )


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
    with _interruptible(), reporter(_stderr()) as told:
        for chosen in cards:
            raw = fetch_file(chosen, source=source, force=force, progress=told.download)
            rows.append(
                {"name": chosen.name, "source": raw.source, "sha256": raw.sha256, "path": str(raw.path)}
            )
    if as_json:
        _print_json({"fetched": rows})
    else:
        _print_table(list(rows[0]), [list(row.values()) for row in rows])


@app.command()
def run(
    dataset: Annotated[str | None, typer.Option(help="A data set of bench list datasets.")] = None,
    data_file: Annotated[
        Path | None,
        typer.Option(help="With --dataset: use this file as that set, verified. Alone: your own table."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Your table's label column.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="The label's positive value, if it is not 1 or true.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column that is no feature; repeatable.")] = None,
    time: Annotated[str | None, typer.Option(help="Your table's time column (no feature).")] = None,
    amount: Annotated[str | None, typer.Option(help="Your table's amount column.")] = None,
    rows: Annotated[int | None, typer.Option(help="How many rows to simulate.")] = None,
    source: Annotated[str, typer.Option(help="auto | kaggle | mirror | openml")] = "auto",
    protocol: Annotated[str, typer.Option(help="See bench list protocols.")] = "strict",
    matrix: Annotated[
        str | None, typer.Option(help="A list of arms; see bench list matrices. Default: quick.")
    ] = None,
    arm: Annotated[list[str] | None, typer.Option(help="One arm; repeatable. See bench list arms.")] = None,
    arms_file: Annotated[Path | None, typer.Option(help="A TOML file of arms of your own.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A setting of the arms; repeatable."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds per fold; default 3, for big tables 1.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds; default 5.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of the folds; default 1.")] = None,
    device: Annotated[str, typer.Option(help="auto | cpu | cuda")] = "auto",
    pack: Annotated[
        int | None, typer.Option(help="Networks trained at once; a speed knob, never a result.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; default one per core, 0 for none.")
    ] = None,
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
    """
    from bench.suite import Request

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
        settings=_pairs(settings or []),
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
    )
    with _interruptible():
        _run(request, dry_run=dry_run, as_json=as_json)


def _run(request: Request, *, dry_run: bool, as_json: bool) -> None:
    from bench.progress import reporter
    from bench.suite import make_plan, run_plan

    with reporter(_stderr()) as told:
        made = make_plan(request, told.download)
        for note in made.notes:
            told.note(note)
        if dry_run:
            return _print_plan(made, as_json=as_json)
        outcome = run_plan(made, told)
    _print_outcome(outcome, request, as_json=as_json)
    if outcome.failed:
        first = outcome.failed[0]
        typer.echo(
            f"{len(outcome.failed)} of {outcome.n_runs} runs failed; the first, {first.arm} ({first.key[:12]}): "
            f"{first.status}: {first.error}. Try them again with --retry-failed.",
            err=True,
        )
        raise typer.Exit(SOME_FAILED)
    return None


def _print_plan(made: Plan, *, as_json: bool) -> None:
    todo = {run.key for run in made.todo}
    arms: dict[str, list[int]] = {}
    for run in made.runs:
        counted = arms.setdefault(run.arm, [0, 0])
        counted[0] += 1
        counted[1] += run.key not in todo
    if as_json:
        _print_json(
            {
                "dataset": made.table.name,
                "protocol": made.request.protocol,
                "runs": len(made.runs),
                "done": len(made.runs) - len(made.todo),
                "packs": [
                    {"arms": sorted({r.arm for r in p}), "keys": [r.key for r in p]} for p in made.packs
                ],
                "arms": {name: {"runs": n, "done": done} for name, (n, done) in arms.items()},
            }
        )
        return
    _print_table(["arm", "runs", "done"], [[name, str(n), str(done)] for name, (n, done) in arms.items()])
    sizes = ", ".join(str(len(p)) for p in made.packs)
    typer.echo(
        f"{len(made.runs)} runs, {len(made.runs) - len(made.todo)} done; {len(made.packs)} packs: {sizes or 'none'}"
    )


def _print_outcome(outcome: Outcome, request: Request, *, as_json: bool) -> None:
    board = outcome.leaderboard
    if as_json:
        _print_json(
            {
                "leaderboard": str(outcome.path),
                "runs": outcome.n_runs,
                "done_before": outcome.n_done_before,
                "failed": [asdict(result) for result in outcome.failed],
                "budget": outcome.budget,
                "seconds": round(outcome.seconds, 3),
                "arms": json.loads(board.to_json(orient="records", double_precision=15)),
            }
        )
        return
    from bench.report.tables import terminal

    console = _stdout()
    console.print(terminal(board, wide=console.width >= 130))
    store = request.results
    typer.echo(
        f"{outcome.n_runs} runs ({outcome.n_done_before} done before), {len(outcome.failed)} failed, "
        f"{outcome.seconds:.1f} s. Budget: {outcome.budget}.\n"
        f"Leaderboard: {outcome.path} (and .md); records: {store / 'runs' / board['dataset'].iloc[0]}"
    )


@app.command()
def tables(
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only this protocol.")] = None,
    form: Annotated[list[str] | None, typer.Option("--format", help="md | tex | csv; repeatable.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a table is stale.")] = False,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Regenerate every leaderboard and table from the stored records.

    Example: bench tables --format md --format tex
    """
    from bench.suite import regenerate

    with _interruptible():
        made = regenerate(results, dataset=dataset, protocol=protocol, formats=tuple(form or ("md",)))
        if not made:
            raise BadStore(f"{results} holds no records. Make some first: bench run --dataset fraud-sim")
        stale = [path for board in made for path in board.stale()]
        if not check:
            for board in made:
                board.write()
    for board in made:
        if board.n_other_records:
            typer.echo(
                f"{board.path.stem}: the newest splits only; {board.n_other_records} records stand on others.",
                err=True,
            )
    paths = [path for board in made for path in (board.path, *board.texts)]
    if as_json:
        _print_json({"tables": [str(path) for path in paths], "stale": [str(path) for path in stale]})
    else:
        typer.echo(
            "\n".join(f"{path}{' (was stale)' if path in stale and not check else ''}" for path in paths)
        )
    if check and stale:
        raise BadStore(
            f"{len(stale)} tables are not what the records give: {', '.join(map(str, stale))}. "
            "bench tables makes them anew."
        )


@app.command()
def doctor(results: Results = Path("results"), as_json: Json = False) -> None:
    """Say what this machine has: versions, cores, device, folders, credentials (never their content).

    Example: bench doctor
    """
    from bench.doctor import examine

    checks = examine(results)
    if as_json:
        _print_json({"checks": [asdict(check) for check in checks]})
    else:
        _print_table(["check", "ok", "found"], [[c.name, "yes" if c.ok else "NO", c.found] for c in checks])
    if bad := [check for check in checks if not check.ok]:
        raise BadStore(f"{bad[0].name}: {bad[0].found}")


def _pairs(settings: list[str]) -> dict[str, str]:
    pairs = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadSetting(f"--set {setting}: say it as FIELD=VALUE, for example --set lr=0.01.")
        pairs[name.strip()] = value.strip()
    return pairs


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        raise BadSetting(f"--shard {text}: say it as I/N, for example --shard 1/4.") from None
    return i, n


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _stdout() -> Console:
    """Return the console of the results; a pipe or file has room for every column."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=200)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    _stdout().print(table)

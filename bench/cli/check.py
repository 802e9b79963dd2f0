"""The command `bench check`: the contract tests on an author's own file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bench.calls import HOW
from bench.cli.interrupt import interruptible
from bench.cli.options import Json, command, pairs
from bench.cli.output import show_error, show_item, show_json
from bench.errors import USAGE


@command
def check(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A Python file with a method, protocol, engine or metrics.",
            show_default=False,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="A setting of the method, to train for a shorter time; repeatable.",
            rich_help_panel=HOW,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a file of your own keeps its contract, on small simulated tables.

    A line says what was looked at and what is wrong with it. Nothing is written.

    Example: bench check my_method.py --set steps=100
    """
    with interruptible():
        from bench.arms.settings import value_of
        from bench.testing import check_file

        chosen = {name: value_of(text) for name, text in pairs(settings or []).items()}
        checks = check_file(file, settings=chosen)
    faults = [each for each in checks if each.fault]
    if as_json:
        show_json({"file": str(file), "checks": [asdict(each) for each in checks]})
    else:
        for each in checks:
            show_item(
                f"{'NO' if each.fault else 'ok'}  ", each.what + (f": {each.fault}" if each.fault else "")
            )
    if faults:
        show_error(f"{len(faults)} of {len(checks)} checks of {file} failed.")
        raise typer.Exit(USAGE)

"""The options that several commands share: what they are called, and what their help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BadSetting
from bench.names import RESULTS_VARIABLE

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Results = Annotated[
    Path,
    typer.Option("--results", envvar=RESULTS_VARIABLE, help="Folder of records, scores and leaderboards."),
]
DatasetName = Annotated[str | None, typer.Option("--dataset", help="A data set of bench list datasets.")]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data-file", help="With --dataset: use this file as that set, verified. Alone: your own table."
    ),
]
Target = Annotated[str | None, typer.Option("--target", help="Your table's label column.")]
Positive = Annotated[
    str | None, typer.Option("--positive", help="The label's positive value, if it is not 1 or true.")
]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="A column that is no feature; repeatable.")]
Time = Annotated[str | None, typer.Option("--time", help="Your table's time column (no feature).")]
Amount = Annotated[str | None, typer.Option("--amount", help="Your table's amount column.")]
Rows = Annotated[int | None, typer.Option("--rows", help="How many rows to simulate.")]
Source = Annotated[str, typer.Option("--source", help="auto | kaggle | mirror | openml")]
Matrix = Annotated[
    str | None,
    typer.Option("--matrix", help="A list of arms; see bench list matrices. Default: quick."),
]
Arms = Annotated[
    list[str] | None,
    typer.Option(
        "--arm", help="One arm, also ARM[SAMPLER] or ARM(FIELD=VALUE); repeatable. See bench list arms."
    ),
]
ArmsFile = Annotated[Path | None, typer.Option("--arms-file", help="A TOML file of arms of your own.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="A setting of the arms; repeatable."),
]
Folds = Annotated[int | None, typer.Option("--folds", help="Folds; default the protocol's (strict: 5).")]
Repeats = Annotated[int | None, typer.Option("--repeats", help="Repeats of the folds; default 1.")]
Device = Annotated[str, typer.Option("--device", help="auto | cpu | cuda")]
Pack = Annotated[
    int | None, typer.Option("--pack", help="Networks trained at once; a speed knob, never a result.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Worker processes; default one per core, 0 for none.")
]


def pairs(settings: list[str]) -> dict[str, str]:
    """Return `FIELD=VALUE` words as a dict of text; raise BadSetting for one without a sign of equality."""
    found = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadSetting(f"--set {setting}: say it as FIELD=VALUE, for example --set lr=0.01.")
        found[name.strip()] = value.strip()
    return found

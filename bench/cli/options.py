"""The options that several commands share, and how their help looks.

Typer prints a type beside every option and breaks a docstring's paragraphs where its lines end; `Command` and `Group`
print a word for the value where an option has one, and whole paragraphs.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from bench.cli import completion
from bench.errors import BadSetting
from bench.names import RESULTS_VARIABLE, SOURCES, DeviceName, SourceName, own_path

# The panels of a command's help, in the order in which the commands list their options.
DATA, WHAT, HOW, OUTPUT = "Data", "What to run", "How to run it", "Output"
RECORDS = "Which records"  # of the commands that run nothing
TUNING = "How to tune"


class _Plain:
    """Help in which flags and arguments have no type beside them, and the usage no braces."""

    help_panel: str | None = None

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's parameters, each with the word for its value that help shows."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # the other base class has it
        for parameter in parameters:
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = _no_type
            elif getattr(parameter, "is_flag", False) and parameter.metavar is None:
                parameter.metavar = ""
            if parameter.name == "help" and self.help_panel:
                parameter.rich_help_panel = self.help_panel
        return parameters

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]  # as above
        return [piece.replace("{", "").replace("}", "") for piece in pieces]


def _no_type(ctx: Any) -> str:  # noqa: ARG001  (typer's signature)
    return ""


def _whole_paragraphs(text: str | None) -> str | None:
    if text is None:
        return None
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(text).split("\n\n"))


class Command(_Plain, TyperCommand):
    """A command as this suite prints its help."""

    help_panel = OUTPUT

    # `help` is typer's name for it: it is passed by that name.
    def __init__(self, name: str | None, *, help: str | None = None, **attrs: Any) -> None:  # noqa: A002
        super().__init__(name, help=_whole_paragraphs(help), **attrs)


class Group(_Plain, TyperGroup):
    """The root of the commands as this suite prints its help."""


Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of a table.", rich_help_panel=OUTPUT)
]
Results = Annotated[
    Path,
    typer.Option(
        "--results",
        envvar=RESULTS_VARIABLE,
        parser=own_path,
        metavar="FOLDER",
        help="Folder of the records, scores and leaderboards.",
        rich_help_panel=OUTPUT,
    ),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="A data set; bench list datasets names them.",
        autocompletion=completion.datasets,
        rich_help_panel=DATA,
    ),
]
OneDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="Only this data set.",
        autocompletion=completion.datasets,
        rich_help_panel=RECORDS,
    ),
]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data-file",
        metavar="FILE",
        help="Your own table, with --target. Or, with --dataset, your copy of that set's file, which is checked.",
        rich_help_panel=DATA,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="COLUMN", help="The label's column in your table.", rich_help_panel=DATA
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(
        "--positive",
        metavar="VALUE",
        help="The label's positive value; needed unless its two values are 0 and 1, no and yes, or false and true.",
        rich_help_panel=DATA,
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        "--drop",
        metavar="COLUMN",
        help="A column to leave out, such as a customer number. Repeatable.",
        rich_help_panel=DATA,
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time", metavar="COLUMN", help="The time column; it is not a feature.", rich_help_panel=DATA
    ),
]
Amount = Annotated[
    str | None,
    typer.Option(
        "--amount", metavar="COLUMN", help="The amount column; it stays a feature.", rich_help_panel=DATA
    ),
]
Rows = Annotated[
    int | None,
    typer.Option(
        "--rows", metavar="N", help="Rows to simulate, for a simulated data set.", rich_help_panel=DATA
    ),
]
Source = Annotated[
    SourceName,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help=f"Where to fetch from: {', '.join(SOURCES)}. With auto, the sources are tried in the card's order.",
        rich_help_panel=DATA,
    ),
]
ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="How the arms are judged: strict, published, or published+REPAIR; bench list protocols explains them.",
        autocompletion=completion.protocols,
        rich_help_panel=WHAT,
    ),
]
RecordsProtocol = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="The protocol under which both were judged; bench list protocols explains them.",
        autocompletion=completion.protocols,
        rich_help_panel=RECORDS,
    ),
]
Matrix = Annotated[
    str | None,
    typer.Option(
        "--matrix",
        metavar="NAME",
        help="A list of arms; bench list matrices names them. Without --matrix and --arm: quick.",
        autocompletion=completion.matrices,
        rich_help_panel=WHAT,
    ),
]
Arms = Annotated[
    list[str] | None,
    typer.Option(
        "--arm",
        metavar="NAME",
        help="One arm of bench list arms, also as ARM[SAMPLER] or ARM(FIELD=VALUE). Repeatable.",
        autocompletion=completion.arms,
        rich_help_panel=WHAT,
    ),
]
ArmsFile = Annotated[
    Path | None,
    typer.Option(
        "--arms-file", metavar="FILE", help="A TOML file of arms of your own.", rich_help_panel=WHAT
    ),
]
MethodFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--method-file",
        metavar="FILE",
        help="A Python file of your own with a method, protocol, engine or metrics; it is run. Repeatable.",
        rich_help_panel=WHAT,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a setting of the arms; bench list methods names the fields. Repeatable.",
        rich_help_panel=WHAT,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds", metavar="N", help="Folds; by default the protocol's (strict: 5).", rich_help_panel=WHAT
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(
        "--repeats",
        metavar="N",
        help="How often the folds are drawn anew; by default 1.",
        rich_help_panel=WHAT,
    ),
]
Device = Annotated[
    DeviceName, typer.Option("--device", help="Where the networks train.", rich_help_panel=HOW)
]
Pack = Annotated[
    int | None,
    typer.Option(
        "--pack",
        metavar="N",
        help="Networks that train at once. It changes the speed and no result.",
        rich_help_panel=HOW,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Worker processes; by default one per core. 0 runs all in this process.",
        rich_help_panel=HOW,
    ),
]


def pairs(settings: list[str]) -> dict[str, str]:
    """Return `FIELD=VALUE` words as a dict of text; raise BadSetting for one without a sign of equality."""
    named = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadSetting(f"--set {setting}: say it as FIELD=VALUE, for example --set lr=0.01.")
        named[name.strip()] = value.strip()
    return named


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Return `I/N` as two numbers; raise BadSetting for anything else."""
    if text is None:
        return None
    try:
        number, shards = (int(part) for part in text.split("/"))
    except ValueError:
        raise BadSetting(f"--shard {text}: say it as I/N, for example --shard 1/4.") from None
    return number, shards

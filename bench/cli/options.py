"""The options of the commands, made from the fields of `Request` and `Search`, and how their help looks.

A command is a function. A parameter of the type `Request` or `Search` stands for all options that the command has of
it; a parameter called as a field of `Request` stands for that option alone; others are the command's own. So no
option is written down twice.

Typer prints a type beside every option and breaks a docstring's paragraphs where its lines end; `Command` and `Group`
print a word for the value where an option has one, and whole paragraphs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import Field, fields, is_dataclass, replace
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import OptionInfo

from bench.calls import OPTION, OUTPUT, PANELS, UNSET, Option
from bench.cli import completion
from bench.errors import BadSetting
from bench.names import Dates, DeviceName, HighCardinality, PrunerName, SearchName, SourceName, Unlabelled
from bench.runs.request import Request


class _Plain:
    """Help in which flags and arguments have no type beside them, and the usage no braces."""

    help_panel: str | None = None

    def get_params(self, ctx: object) -> list[Any]:
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

    def collect_usage_pieces(self, ctx: object) -> list[str]:
        """Return the words of the usage line."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]  # as above
        return [piece.replace("{", "").replace("}", "") for piece in pieces]


def _no_type(ctx: object) -> str:  # noqa: ARG001  (typer's signature)
    return ""


def _whole_paragraphs(text: str | None) -> str | None:
    if text is None:
        return None
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(text).split("\n\n"))


class Command(_Plain, TyperCommand):
    """A command as this suite prints its help."""

    help_panel = OUTPUT

    def __init__(
        self,
        name: str | None,
        *,
        help: str | None = None,  # noqa: A002  (typer's name for it, by which it is passed)
        **attrs: Any,
    ) -> None:
        super().__init__(name, help=_whole_paragraphs(help), **attrs)


class Group(_Plain, TyperGroup):
    """The root of the commands as this suite prints its help."""


Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of a table.", rich_help_panel=OUTPUT)
]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function as typer reads a command: with an option for each field that its parameters stand for."""
    name, hints = function.__name__.strip("_"), get_type_hints(function, include_extras=True)
    parameters: list[Parameter] = []
    # By parameter: its dataclass, and the fields of this that are options.
    lists: dict[str, tuple[type, list[Field[object]]]] = {}
    for own in inspect.signature(function).parameters.values():
        hint = hints[own.name]
        if is_dataclass(hint) and isinstance(hint, type):
            entries = [*_in_order(entry for entry in fields(hint) if _option(entry, name))]
            lists[own.name] = hint, entries
            parameters += [_parameter(entry, name) for entry in entries]
        elif own.name in _REQUEST and get_origin(hint) is not Annotated:
            parameters.append(_parameter(_REQUEST[own.name], name))
        else:
            parameters.append(own.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY))
    parameters.sort(key=_panel)

    @wraps(function)
    def call(**values: object) -> None:
        for parameter, (kind, entries) in lists.items():
            values[parameter] = kind(
                **{entry.name: _value(entry, values.pop(entry.name)) for entry in entries}
            )
        function(**values)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # of a function it may be set
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


_REQUEST = {entry.name: entry for entry in fields(Request)}
_TYPES: dict[str, Any] = {  # by the type of a field: what typer reads from the words
    "str": str,
    "Label": str,
    "int": int,
    "float": float,
    "bool": bool,
    "Path": Path,
    "SourceName": SourceName,
    "DeviceName": DeviceName,
    "SearchName": SearchName,
    "PrunerName": PrunerName,
    "Unlabelled": Unlabelled,
    "Dates": Dates,
    "HighCardinality": HighCardinality,
    "tuple[str, ...]": list[str],
    "tuple[Path, ...]": list[Path],
    "tuple[Label, ...]": list[str],
    "Mapping[str, str]": list[str],
    "Mapping[str, tuple[float, ...]]": list[str],
    "tuple[int, int]": str,
}


def _in_order(entries: Iterable[Field[object]]) -> Iterator[Field[object]]:
    """Yield the fields in the order of the help: those with a `before` stand right above the one that it names."""
    entries = list(entries)
    for entry in entries:
        if entry.metadata[OPTION].before is None:
            yield from (other for other in entries if other.metadata[OPTION].before == entry.name)
            yield entry


def _option(entry: Field[object], command: str) -> Option | None:
    """Return the field's option as the command has it; None where it has none."""
    option: Option | None = entry.metadata.get(OPTION)
    if option is None or command not in (*option.commands, *option.differs):
        return None
    return replace(option, **option.differs.get(command, {}))  # type: ignore[arg-type]  # attributes by name


def _parameter(entry: Field[object], command: str) -> Parameter:
    """Return the field as a parameter that typer makes an option of."""
    option = _option(entry, command)
    assert option is not None, f"{command} has no option {entry.name}"  # noqa: S101  (a slip of ours)
    kind = _TYPES[str(entry.type).removesuffix(" | None")]
    default = entry.default if option.default is UNSET else option.default
    if get_origin(kind) is list:
        default = None
    info = typer.Option(
        option.spelling or f"--{entry.name.replace('_', '-')}",
        metavar=option.metavar,
        help=option.help,
        autocompletion=getattr(completion, option.complete) if option.complete else None,
        rich_help_panel=option.panel,
        envvar=option.variable,
        parser=option.parse,
    )
    return Parameter(
        entry.name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if default is ... else default,
        annotation=Annotated[kind | None if default is None else kind, info],
    )


def _panel(parameter: Parameter) -> int:
    """Return the place of the parameter's panel in the help; arguments stand above all."""
    infos = [info for info in get_args(parameter.annotation)[1:] if isinstance(info, OptionInfo)]
    return PANELS.index(str(infos[0].rich_help_panel)) if infos else -1


def _value(entry: Field[object], value: object) -> object:
    """Return what typer read as the field takes it: a list as a tuple, pairs as a dict, `I/N` as two numbers."""
    if entry.type == "Mapping[str, str]":
        return pairs(value if isinstance(value, list) else [])
    if entry.type == "Mapping[str, tuple[float, ...]]":
        return codes(value if isinstance(value, list) else [])
    if str(entry.type).endswith(", ...]"):
        return tuple(value) if isinstance(value, list) else ()
    return shard_of(value) if entry.type == "tuple[int, int] | None" and isinstance(value, str) else value


def pairs(settings: list[str]) -> dict[str, str]:
    """Return `FIELD=VALUE` words as a dict of text; raise BadSetting for one without a sign of equality."""
    named = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadSetting(f"--set {setting}: say it as FIELD=VALUE, for example --set lr=0.01.")
        named[name.strip()] = value.strip()
    return named


def codes(words: list[str]) -> dict[str, tuple[float, ...]]:
    """Return `COLUMN=96,98` words as numbers by column; raise BadSetting for what is none."""
    by_column: dict[str, tuple[float, ...]] = {}
    for word in words:
        name, equals, listed = word.rpartition("=")
        try:
            numbers = tuple(float(number) for number in listed.split(","))
        except ValueError:
            numbers = ()
        if not equals or not name or not numbers:
            raise BadSetting(f"--missing {word}: say it as COLUMN=NUMBERS, for example --missing late=96,98.")
        by_column[name] = by_column.get(name, ()) + numbers
    return by_column


def shard_of(text: str) -> tuple[int, int]:
    """Return `I/N` as two numbers; raise BadSetting for anything else."""
    try:
        number, shards = (int(part) for part in text.split("/"))
    except ValueError:
        raise BadSetting(f"--shard {text}: say it as I/N, for example --shard 1/4.") from None
    return number, shards

"""What calls share: options that are declared once, arguments that are checked, and errors that are told short.

An option is a field of a frozen dataclass, `Request` or `Search`: its name, type and default are the field's, and what
the command line says of it is `option(…)`, the field's metadata.

A mistake in an argument is told where it is made, in the words of the call: an unknown name with the nearest known
one, a value of a wrong kind with the kind that is meant. A `BenchError` from deep inside reaches the caller without the
frames in between, which say nothing about what to mend.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import wraps
from importlib import import_module
from numbers import Real
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, SupportsIndex, TypeVar, get_args

from bench.errors import BadArgument, BenchError, UnknownArgument, UnknownName
from bench.names import (
    DEVICES,
    PRUNERS,
    SEARCHES,
    SOURCES,
    Dates,
    HighCardinality,
    Unlabelled,
    own_path,
)
from bench.plugins import put_back_unless_done

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = ParamSpec("P")
R = TypeVar("R")

# The panels of a command's help, in the order in which it prints them.
DATA, LABEL, FEATURES, FILE, RECORDS, WHAT, TUNING, HOW, OUTPUT = PANELS = (
    "Data",
    "Your table: the label",
    "Your table: its columns",
    "Your table: its file",
    "Which records",  # of the commands that run nothing
    "What to run",
    "How to tune",
    "How to run it",
    "Output",
)


_OF_DATA = (DATA, LABEL, FEATURES, FILE)
UNSET = object()  # of an option's default: the field's


@dataclass(frozen=True)
class Option:
    """What the command line says of an option, beside its field's name, type and default.

    `spelling` is the option's name where that is not the field's. `complete` names the function of
    `bench.cli.completion` that lists its values. `commands` have it as it stands here, and those of `differs` with the
    attributes named there, such as another help. `before` is the option above which the help lists it. `default` is
    for a field whose default is only known when a command runs, or that a command must be given (`...`).
    """

    help: str
    panel: str
    metavar: str | None = None
    spelling: str | None = None
    complete: str | None = None
    commands: Collection[str] = ()
    differs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    before: str | None = None
    default: object = UNSET
    variable: str | None = None  # of the environment, which has a value where none is given
    parse: Callable[[str], object] | None = None

    def __post_init__(self) -> None:
        """Take the commands that have it where none are named: those that train, and for data the one that reads."""
        if not self.commands:
            object.__setattr__(
                self, "commands", ("run", "study", "sweep", *(["describe"] if self.panel in _OF_DATA else []))
            )


def _as_metadata(make: Callable[P, Option]) -> Callable[P, dict[str, Option]]:
    return lambda *args, **kwargs: {OPTION: make(*args, **kwargs)}


OPTION = "option"  # its place in a field's metadata
option = _as_metadata(Option)  # the metadata of a field that is an option


# Options whose argument has another name, or holds more than one value.
_SPELLED = {
    "arm": "arms=[…]",
    "set": "settings={…}",
    "missing": "missing={'COLUMN': […]}",
    **{name: f"{name}=[…]" for name in ("drop", "categorical", "numeric", "negative")},
}


def python_call(call: Callable[P, R]) -> Callable[P, R]:
    """Return the function with its arguments checked by name, and every BenchError told short.

    Plugin files that a call names stay for the calls after it, unless it fails.

    Raises
    ------
    UnknownArgument
        If an argument is none of the function's; with the nearest and all that it has.
    BadArgument
        If more than the first argument is given without its name, or one is given twice.
    """
    names = list(inspect.signature(call).parameters)

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        from bench.platforms import check_platform

        if "IPython" in sys.modules:
            quiet_tqdm()  # before Optuna imports it, and it warns
        try:
            check_platform()
            _check_names(call.__name__, names, args, kwargs)
            with put_back_unless_done():
                return call(*args, **kwargs)
        except BenchError as error:
            _translate(error, kwargs)
            raise error.with_traceback(None) from error.__cause__

    return checked


def quiet_tqdm() -> Any:
    """Return tqdm's bar for this place; in a notebook without ipywidgets it is text, of which tqdm would warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("tqdm.auto").tqdm


def _check_names(call: str, names: list[str], args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
    for name in kwargs:
        if name not in names:
            raise UnknownArgument("argument", name, names)
    if len(args) > 1:
        raise BadArgument(
            f"bench.{call} takes only {names[0]} without a name, and {len(args)} values were given; "
            "name the others, for example target='y'."
        )
    if args and names[0] in kwargs:
        raise BadArgument(f"bench.{call} was given {names[0]} twice, without its name and with it.")


def _translate(error: BenchError, kwargs: Mapping[str, object]) -> None:
    """Add to an error that speaks of options what these are called in Python."""
    options = dict.fromkeys(re.findall(r"--([a-z][a-z-]*)", str(error)))
    if options:
        words = _SPELLED | ({"timeout": "seconds=…"} if "seconds" in kwargs else {})
        said = [f"--{name} is {words.get(name, name.replace('-', '_') + '=…')}" for name in options]
        error.add_note(f"In Python {', '.join(said)}.")


def take_as_declared(options: DataclassInstance) -> None:
    """Bring the fields of a frozen dataclass to the types that they declare, where a value says the same.

    So lists become tuples, texts paths, and NumPy's whole numbers ints. A type that `_KINDS` does not know is left.

    Raises
    ------
    BadArgument
        If a value is of another kind; the message names the field, the value and the kind that is meant.
    """
    for entry in fields(options):
        declared, value = str(entry.type), getattr(options, entry.name)
        if value is None and entry.default_factory is not MISSING:
            value = entry.default_factory()
        kind = declared.removesuffix(" | None")
        if kind not in _KINDS or (value is None and kind != declared):
            continue
        convert, words = _KINDS[kind]
        try:
            object.__setattr__(options, entry.name, convert(value))
        except (TypeError, ValueError):
            raise BadArgument(_refusal(entry.name, value, words)) from None
        if kind in _CHOICES and value not in _CHOICES[kind]:
            raise UnknownName(entry.name.replace("_", "-"), str(value), _CHOICES[kind])


def _refusal(name: str, value: object, words: str) -> str:
    if words.startswith("a list of ") and isinstance(value, str):
        return f"{name}={value!r}: give {words}, [{value!r}]."
    shown = repr(value) if isinstance(value, bool | float | int | str | list | tuple | dict | None) else ""
    given = f"{name}={shown}" if 0 < len(shown) <= 60 else f"{name} is of type {type(value).__name__}"
    return f"{given}: give {words}."


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError
    return index(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    return float(value)


def _path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise TypeError
    return own_path(value)


def _names(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError
    names = [_text(name) for name in value]
    return tuple(sorted(names) if isinstance(value, set | frozenset) else names)


def _paths(value: object) -> tuple[Path, ...]:
    if value is None:
        return ()
    if isinstance(value, str | os.PathLike):
        return (_path(value),)
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError
    return tuple(_path(path) for path in value)


def _pair(value: object) -> tuple[int, int]:
    if not isinstance(value, Iterable):
        raise TypeError
    first, second = value
    return _whole(first), _whole(second)


def _label(value: object) -> str:
    """Return a label's value as the command line takes it: text; 1 and 1.0 are one."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, bool | int | float) else _text(value)


def _labels(value: object) -> tuple[str, ...]:
    """Return values of a label as `_label` does; one that stands alone is a mistake, as a name is."""
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError
    labels = [_label(label) for label in value]
    return tuple(sorted(labels) if isinstance(value, set | frozenset) else labels)


def _codes(value: object) -> dict[str, tuple[float, ...]]:
    """Return by column the numbers that stand for a missing value, of lists of them or of one each."""
    if not isinstance(value, Mapping):
        raise TypeError
    listed = {name: codes if _is_list(codes) else [codes] for name, codes in value.items()}
    return {_text(name): tuple(_number(code) for code in codes) for name, codes in listed.items()}


def _is_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _settings(value: object) -> dict[str, str]:
    """Return settings as the command line takes them: values as text."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError
    return {
        _text(name): setting if isinstance(setting, str) else json.dumps(setting)
        for name, setting in value.items()
    }


_NAMES = "a list of names"
# The values of an option that has a few, as the command line lists them.
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "SourceName": SOURCES,
    "DeviceName": DEVICES,
    "SearchName": SEARCHES,
    "PrunerName": PRUNERS,
    "Unlabelled": get_args(Unlabelled),
    "Dates": get_args(Dates),
    "HighCardinality": get_args(HighCardinality),
}
_WORDS = ("str", *_CHOICES)
_KINDS: Mapping[str, tuple[Callable[[object], object], str]] = {
    **dict.fromkeys(_WORDS, (_text, "a text")),
    "bool": (_flag, "True or False"),
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "Path": (_path, "a path"),
    "tuple[str, ...]": (_names, _NAMES),
    "tuple[Label, ...]": (_labels, "a list of labels"),
    "Mapping[str, tuple[float, ...]]": (_codes, "a dict of lists of numbers, such as {'late': [96, 98]}"),
    "tuple[Path, ...]": (_paths, "a path, or a list of paths"),
    "tuple[int, int]": (_pair, "two whole numbers, (1, 4) for the first of four"),
    "Label": (_label, "one value, a text or a number"),
    "Mapping[str, str]": (_settings, "a dict of settings, such as {'lr': 0.01}"),
}

"""What the calls from Python share: arguments that are checked, and errors that are told short.

A mistake in an argument is told where it is made, in the words of the call: an unknown name with the nearest
known one, a value of a wrong kind with the kind that is meant. A `BenchError` from deep inside reaches the caller
without the frames in between, which say nothing about what to mend.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from functools import wraps
from importlib import import_module
from numbers import Real
from operator import index
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from bench.errors import BadArgument, BenchError, UnknownArgument
from bench.names import own_path

P = ParamSpec("P")
R = TypeVar("R")

# Options whose argument has another name, or holds more than one value.
_SPELLED = {"arm": "arms=[…]", "drop": "drop=[…]", "set": "settings={…}"}


def python_call(call: Callable[P, R]) -> Callable[P, R]:
    """Return the function with its arguments checked by name, and every BenchError told short.

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


def _check_names(call: str, names: list[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
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


def _translate(error: BenchError, kwargs: Mapping[str, Any]) -> None:
    """Add to an error that speaks of options what these are called in Python."""
    options = dict.fromkeys(re.findall(r"--([a-z][a-z-]*)", str(error)))
    if options:
        words = _SPELLED | ({"timeout": "seconds=…"} if "seconds" in kwargs else {})
        said = [f"--{name} is {words.get(name, name.replace('-', '_') + '=…')}" for name in options]
        error.add_note(f"In Python {', '.join(said)}.")


def take_as_declared(options: Any) -> None:
    """Bring the fields of a frozen dataclass to the types that they declare, where a value says the same.

    So lists become tuples, texts paths, and NumPy's whole numbers ints. A type that `_KINDS` does not know is left.

    Raises
    ------
    BadArgument
        If a value is of another kind; the message names the field, the value and the kind that is meant.
    """
    for option in fields(options):
        declared, value = str(option.type), getattr(options, option.name)
        if value is None and option.default_factory is not MISSING:
            value = option.default_factory()
        kind = declared.removesuffix(" | None")
        if kind not in _KINDS or (value is None and kind != declared):
            continue
        convert, words = _KINDS[kind]
        try:
            object.__setattr__(options, option.name, convert(value))
        except (TypeError, ValueError):
            raise BadArgument(_refusal(option.name, value, words)) from None


def _refusal(name: str, value: Any, words: str) -> str:
    if words == _NAMES and isinstance(value, str):
        return f"{name}={value!r}: give {words}, [{value!r}]."
    shown = repr(value) if isinstance(value, bool | float | int | str | list | tuple | dict | None) else ""
    given = f"{name}={shown}" if 0 < len(shown) <= 60 else f"{name} is of type {type(value).__name__}"
    return f"{given}: give {words}."


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return index(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    return float(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise TypeError
    return own_path(value)


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError
    names = [_text(name) for name in value]
    return tuple(sorted(names) if isinstance(value, set | frozenset) else names)


def _paths(value: Any) -> tuple[Path, ...]:
    if value is None:
        return ()
    if isinstance(value, str | os.PathLike):
        return (_path(value),)
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError
    return tuple(_path(path) for path in value)


def _pair(value: Any) -> tuple[int, int]:
    first, second = value
    return _whole(first), _whole(second)


def _label(value: Any) -> str:
    """Return a label's value as the command line takes it: text; 1 and 1.0 are one."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, bool | int | float) else _text(value)


def _settings(value: Any) -> dict[str, str]:
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
_KINDS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "str": (_text, "a text"),
    "bool": (_flag, "True or False"),
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "Path": (_path, "a path"),
    "tuple[str, ...]": (_names, _NAMES),
    "tuple[Path, ...]": (_paths, "a path, or a list of paths"),
    "tuple[int, int]": (_pair, "two whole numbers, (1, 4) for the first of four"),
    "Label": (_label, "one value, a text or a number"),
    "Mapping[str, str]": (_settings, "a dict of settings, such as {'lr': 0.01}"),
}

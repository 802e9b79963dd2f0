"""An author's code at work: whatever it does wrong is told in a short error that names its file, and no traceback.

`guard` is about one function. A class that authors derive from is `Guarded`, and so are the functions of theirs.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import isfunction
from numbers import Integral
from pathlib import Path
from types import UnionType
from typing import Any, ParamSpec, TypeVar, cast, get_origin, get_type_hints

from bench.errors import BadPlugin, BenchError

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Kinds = type | UnionType | tuple[type, ...]

_PACKAGE = Path(__file__).resolve().parent.parent


def attempt(call: Callable[[], object]) -> tuple[object, str | None, BaseException | None]:
    """Return what an author's function returns; where it fails, None, the fault in words, and what it raised."""
    try:
        return call(), None, None
    except (Exception, SystemExit) as error:  # an author's code may raise anything
        return None, f"{type(error).__name__}: {' '.join(str(error).split())}"[:500].rstrip(". :"), error


def guarded(
    work: Callable[[], _T], what: str, file: str | Path | None = None, *passing: type[BaseException]
) -> _T:
    """Return what `work` returns, in which an author's code runs.

    Raises BadPlugin, which begins with `what` and tells the line of the file and the fault, where it fails; the
    exceptions `passing` go on as they are.
    """
    value, fault, error = attempt(work)
    if isinstance(error, passing):
        raise error
    if error is not None:
        raise BadPlugin(f"{what}{line_of(error, file)}: {fault}.") from error
    return cast("_T", value)


def guard(
    function: Callable[_P, _T], returns: _Kinds = object, expected: str = "", file: str | None = None
) -> Callable[_P, _T]:
    """Return an author's function such that every fault of it is a BadPlugin that names it and its file.

    A fault is what it raises, and a value that is not one of `returns` (in words `expected`). A BenchError goes on as
    it is: an author says by it what cannot be. A function of bench is returned as it is.
    """
    module = sys.modules.get(str(getattr(function, "__module__", None)))
    where = file or str(getattr(module, "__file__", None) or getattr(module, "__name__", "an unknown file"))
    if is_of_bench(where):
        return function
    what = f"`{getattr(function, '__qualname__', function)}` in {where}"

    @wraps(function)
    def watched(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        value = guarded(lambda: function(*args, **kwargs), f"{what} fails", where, BenchError)
        if not isinstance(value, returns):
            raise BadPlugin(f"{what} returns a {type(value).__name__}; expected {expected}.")
        return value

    return watched


class Guarded:
    """What authors derive a class from: each function or property of bench that theirs replaces is under `guard`."""

    def __init_subclass__(cls, **options: object) -> None:
        """Guard what the class replaces; its values are of the kind that bench's own function says."""
        super().__init_subclass__(**options)
        bases = [base for base in reversed(cls.__mro__[1:]) if base.__module__.startswith("bench.")]
        for name, own in [*vars(cls).items()]:
            replaced = next((vars(base)[name] for base in bases if name in vars(base)), None)
            if name.startswith("_") or replaced is None:
                continue
            if isinstance(own, property) and own.fget is not None:
                setattr(cls, name, property(_as_promised(own.fget, getattr(replaced, "fget", None))))
            elif isfunction(own):
                setattr(cls, name, _as_promised(own, replaced))


def _as_promised(own: Callable[..., object], replaced: object) -> Callable[..., object]:
    """Return a function under guard, whose values are to be of the kind that the function it replaces returns."""
    kind: Any = get_type_hints(replaced).get("return", object) if isfunction(replaced) else object
    plain: Any = kind if isinstance(kind, UnionType) else get_origin(kind) or kind
    wider: Mapping[type, _Kinds] = {int: Integral, bool: object, list: (list, tuple)}  # as Python takes them
    return guard(own, wider.get(plain, plain), getattr(kind, "__name__", str(kind)))


def is_of_bench(file: str | Path) -> bool:
    """Return whether the file is one of the package's own."""
    return Path(file).resolve().is_relative_to(_PACKAGE)


def raised_by_bench(error: BaseException) -> bool:
    """Return whether an error arose in the package's own code, whoever called it."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return is_of_bench(frame.f_code.co_filename)


def line_of(error: BaseException, file: str | Path | None) -> str:
    """Return the line of the file at which the error arose, in words; nothing where that is unknown."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f", line {error.lineno}"
    frames = traceback.walk_tb(error.__traceback__) if file else ()
    lines = [
        line
        for frame, line in frames
        if Path(frame.f_code.co_filename).resolve() == Path(file or "").resolve()
    ]
    return f", line {lines[-1]}" if lines else ""

"""An author's code at work: whatever it does wrong is told in a short error that names its file, and no traceback.

`guard` is about one function. A class that authors derive from is `Guarded`, and so are the functions of theirs.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from inspect import isfunction
from numbers import Integral
from pathlib import Path
from threading import Lock
from types import UnionType
from typing import Any, ParamSpec, TextIO, TypeVar, cast, get_origin, get_type_hints

from bench.errors import BadPlugin, BenchError
from bench.names import printable

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Kinds = type | UnionType | tuple[type, ...]

_PACKAGE = Path(__file__).resolve().parent.parent
_LOCK = Lock()
_stdouts: list[TextIO] = []  # first the process's own, while it is set aside


def attempt(call: Callable[[], object]) -> tuple[object, str | None, BaseException | None]:
    """Return what an author's function returns; where it fails, None, the fault in words, and what it raised."""
    value, error = _caught(call)
    return value, None if error is None else in_words(error).rstrip(". :"), error


def in_words(error: BaseException) -> str:
    """Return the kind and the text of an error in one line, as a record can hold it, whatever its `__str__` does."""
    text, unsaid = _caught(lambda: str(error))
    if unsaid is not None:
        text = f"(its text is not known: {type(unsaid).__name__} in `__str__`)"
    return printable(f"{type(error).__name__}: {' '.join(str(text).split())}"[:500])


def _caught(call: Callable[[], _T]) -> tuple[_T | None, BaseException | None]:
    try:
        with output_aside():
            return call(), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an author's code may raise anything, and may ask the process to end
        return None, error


@contextmanager
def output_aside() -> Iterator[None]:
    """Send what is printed meanwhile to stderr, from several threads too: stdout is for what a command answers."""
    with _LOCK:
        _stdouts.append(sys.stdout)
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        with _LOCK:
            first = _stdouts[0]
            _stdouts.pop()
            if not _stdouts:  # the last to end: threads need not end in the order in which they began
                sys.stdout = first


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
    where = file or file_of(function)
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


def file_of(function: object) -> str:
    """Return the file of an author's function, in a notebook its module."""
    module = sys.modules.get(str(getattr(function, "__module__", None)))
    return str(getattr(module, "__file__", None) or getattr(module, "__name__", "an unknown file"))


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

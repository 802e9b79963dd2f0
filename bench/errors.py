"""The errors a user can meet.

A `BenchError` is an answer, not a bug: it says what was asked, what was found and what to try, and has the exit code
with which the command line ends. Any other exception is a bug and is shown with its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

USAGE, NO_DATA, SOME_FAILED, INTERRUPTED = 2, 3, 4, 130


class BenchError(Exception):
    """Base of every error that the user can mend; `exit_code` is the command's exit status."""

    exit_code = USAGE


class UnknownName(BenchError):
    """A name that no registry holds; the message gives the nearest names and, unless told not to, all of them."""

    def __init__(
        self, kind: str, asked: str, known: Iterable[str], why: str = "", *, list_all: bool = True
    ) -> None:
        names = list(known)
        by_lower = {name.lower(): name for name in reversed(names)}
        near = [
            by_lower[word] for word in difflib.get_close_matches(asked.lower(), by_lower, n=3, cutoff=0.5)
        ]
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        every = f" Known: {', '.join(names) or 'none'}." if list_all else ""
        super().__init__(f"Unknown {kind} {asked!r}.{hint}{every}{why}")


class BadCard(BenchError):
    """A data set card that does not say what a card must say."""


class BadSplit(BenchError):
    """A protocol gives parts that overlap, lack a class, or are no rows of the table."""

    exit_code = USAGE


class BadTable(BenchError):
    """A table that cannot be judged as asked: its format, columns, target or values."""


class BadSetting(BenchError):
    """An option or a method's setting with a value that it cannot have."""


class BadPlugin(BenchError):
    """A file or package of an author that is not there, does not import, or is not what it should be."""


class NotInstalled(BenchError):
    """A package that an arm's method needs and that is not installed; the message says how to install it."""


class BadPlatform(BenchError):
    """An operating system on which bench does not run."""


class BadWorker(BenchError):
    """A worker process that cannot start, or that would run another installation of bench."""


class BadArgument(BadSetting, TypeError):
    """An argument of a Python call that is of a wrong kind, or given twice."""


class UnknownArgument(UnknownName, TypeError):
    """An argument that a Python call does not have."""


class BadKernel(BenchError):
    """A compiled kernel that does not compute what torch computes."""


class BadStore(BenchError):
    """A results or cache folder that cannot be read or written."""


class DiskFull(BadStore):
    """A disk without room for a record; all records written before are whole."""

    exit_code = SOME_FAILED


class HashMismatch(BenchError):
    """A file whose bytes are not those that its card promises."""

    exit_code = NO_DATA


class Unavailable(BenchError):
    """Data that no source could give; the message names each source with its reason."""

    exit_code = NO_DATA


class BadStudy(BenchError):
    """A study without a complete trial."""

    exit_code = SOME_FAILED


class SamplerFailed(BenchError):
    """A sampler that failed on its rows; the message is the sampler's own."""

    exit_code = SOME_FAILED


class SamplerTimeout(BenchError):
    """A sampler that took longer than its time limit and was stopped."""

    exit_code = SOME_FAILED

"""The words that more than one module must spell alike, and the hash that names things.

Statuses are the words a record may carry. `digest` names cards, splits, runs and resampled sets by their content: the
same content has the same name on every machine, and changed content has another. `cores` counts the cores that this
process may use.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, get_args

OK, FAILED, TIMEOUT, OOM = STATUSES = ("ok", "failed", "timeout", "oom")

VALID, TEST = "valid", "test"  # the parts whose scores are stored
REPEAT = 10_000  # a number for each fold of all repeats is repeat * REPEAT + fold

MAIN_METRIC = "average_precision"
ROPE = 0.005  # region of practical equivalence: differences in AP of up to this, on either side of 0, do not matter
DEFAULT_PROTOCOL = "strict"

# The values of options: the command line offers them before anything heavy is imported.
SourceName = Literal["auto", "wheel", "kaggle", "mirror", "openml"]
DeviceName = Literal["auto", "cpu", "cuda"]
SearchName = Literal["tpe", "random"]
PrunerName = Literal["none", "median", "halving"]
Unlabelled = Literal["refuse", "drop"]
Dates = Literal["refuse", "numeric"]
HighCardinality = Literal["onehot", "target"]
SOURCES: tuple[str, ...] = get_args(SourceName)
DEVICES: tuple[str, ...] = get_args(DeviceName)
SEARCHES: tuple[str, ...] = get_args(SearchName)
PRUNERS: tuple[str, ...] = get_args(PrunerName)

# The end of a tuned arm's name; the second where it was tuned on other rows than it trains on.
TUNED, ANYWAY = "(tuned)", "(tuned-anyway)"


@dataclass(frozen=True)
class Spelling:
    """The parts of an arm's name, `BASE[SAMPLER/…](FIELD=VALUE,…)(tuned)`; `bench.arms.spelling.parse` finds them.

    `settings` are the texts within the parentheses, one for each pair of them.
    """

    base: str
    samplers: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    mark: str = ""

    @property
    def rows(self) -> str:
        """The arm without its settings: `BASE`, or with its samplers `BASE[SAMPLER/…]`."""
        return f"{self.base}[{'/'.join(self.samplers)}]" if self.samplers else self.base

    @property
    def plain(self) -> str:
        """The whole name but for the mark of a tuned arm."""
        return self.rows + "".join(f"({group})" for group in self.settings)

    def __str__(self) -> str:
        return self.plain + self.mark


class PlannedRun(Protocol):
    """A run as engines and reporters know it (`bench.contract`): its key, and what it is called in messages."""

    @property
    def key(self) -> str:
        """The hash of all that decides the run's result, by which its record is found."""

    @property
    def dataset(self) -> str:
        """The data set's name."""

    @property
    def arm(self) -> str:
        """The arm's name."""

    @property
    def method(self) -> str:
        """The name of the arm's method."""


RESULTS_VARIABLE = "BENCH_RESULTS"  # of the environment: the results folder, where nothing else names one


def results_folder() -> Path:
    """Return the results folder where none is asked for: BENCH_RESULTS, else `results`."""
    return own_path(os.environ.get(RESULTS_VARIABLE) or "results")


def own_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user gives, with a leading `~` or `~NAME` as that home folder, if it is known."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  (Path.expanduser raises where there is no such home)


def results_option(folder: Path) -> list[str]:
    """Return the options that make a command use this results folder; none if it is the default."""
    return [] if folder == results_folder() else ["--results", str(folder)]


class FormatName(StrEnum):
    """The forms of a table in text."""

    MD = "md"
    TEX = "tex"
    CSV = "csv"


def canonical(value: object) -> str:
    """Return `value` as JSON that is the same for equal content: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def printable(text: str) -> str:
    """Return `text` as UTF-8 can have it: a question mark in place of half of a pair of surrogates."""
    return text.encode(errors="replace").decode()


def digest(value: object) -> str:
    """Return the sha256 (hex) of a JSON-like value's canonical form, or of bytes as they are."""
    content = value if isinstance(value, bytes) else canonical(value).encode()
    return hashlib.sha256(content).hexdigest()


def seed_from(*words: object) -> int:
    """Return a 63-bit seed hashed from `words`, so that order and worker cannot change a result."""
    return int(digest([str(word) for word in words])[:16], 16) >> 1


def slug(text: str) -> str:
    """Return `text` as a name for files: lower case, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "table"


def is_slug(name: object) -> bool:
    """Return whether a value is a name of lower-case letters, digits and hyphens."""
    return isinstance(name, str) and slug(name) == name


def without_secrets(url: str) -> str:
    """Return a URL with everything after `://` hidden if it has a user or options; any other text as it is."""
    return re.sub(r"(?s)://.*[@?].*", "://***", url)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

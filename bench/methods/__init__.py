"""The methods: one file each, registered by its presence.

A method is a module with four names: `VERSION` (an integer; part of every run's key, raised when
results change), `Config` (pydantic, frozen), `space(trial)` (what a study may change of an arm:
`Method.space`), and `fit(members, device, progress)`, which returns one `Fitted` per member.
It may say more: `NAME` (default: the file's name), `POOLS` (which of a run's samplers feed its
members, default one), `STATIC` (the settings that must agree within a pack; a method without it is
fitted one run at a time), and `COST` (roughly how long a run takes beside others; the costly start first).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from pydantic import BaseModel

from bench.contract import Fitted, Member, Progress
from bench.errors import UnknownName

__all__ = ["Fitted", "Member", "Method", "Progress", "method", "methods"]


class Method(Protocol):
    """What a module of this folder offers, once registered."""

    NAME: str
    VERSION: int
    POOLS: tuple[str, ...]
    STATIC: frozenset[str] | None
    COST: float
    Config: type[BaseModel]

    def space(self, trial: Any) -> dict[str, Any]:
        """Return settings for `Config`, and samplers by their role, as the trial suggests them.

        `trial` (`bench.tuning.space.Suggestions`) suggests as Optuna's does and knows the arm, `trial.arm`: what the
        arm sets comes back as it is, and every other suggestion has a default, the arm's own value of that setting; a
        name that is no setting of `Config` needs `default=`. The same names have to be asked for an arm whatever
        their values, so that the space can be listed. `trial.weight`, `trial.ratio` and `trial.sampler` suggest how
        far the classes are evened out.

        Raises BadSetting where a suggestion has no default, or the arm's own value has no place in its interval.

        Examples
        --------
        >>> def space(trial):
        ...     found = {"C": trial.suggest_float("C", 1e-4, 1e2, log=True)}
        ...     return {**found, "class_weight": trial.weight("class_weight")}
        """

    def fit(self, members: Sequence[Member], device: Any, progress: Progress) -> list[Fitted]:
        """Train the members, whose `STATIC` settings agree, and return them in order."""


@cache
def methods() -> dict[str, Any]:
    """Return every method by name; importing them imports torch and XGBoost's callers."""
    found = {}
    for entry in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        for name, default in (
            ("NAME", entry.name.replace("_", "-")),
            ("POOLS", ("sampler",)),
            ("STATIC", None),
            ("COST", 0.0),
        ):
            if not hasattr(module, name):
                setattr(module, name, default)
        found[module.NAME] = module
    return found


def method(name: str) -> Any:
    """Return the method called `name`; raise UnknownName with the nearest names."""
    if name not in methods():
        raise UnknownName("method", name, methods())
    return methods()[name]

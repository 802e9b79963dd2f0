"""The methods: one file each, registered by its presence, here or wherever an author keeps it.

What a file says of itself, and what each name means, is in `bench.contract.Method`. `bench.plugins` finds the files.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial, wraps
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from bench import plugins
from bench.contract import FAMILIES, OTHER, Arm, Fitted, Member, Method, Progress
from bench.data.encode import Part
from bench.errors import BadPlugin, BenchError, NotInstalled, UnknownName
from bench.names import digest, is_slug
from bench.plugins.guards import guard, guarded, is_of_bench, line_of

if TYPE_CHECKING:
    import torch

Fit = Callable[[Sequence[Member], "torch.device", Progress], list[Fitted]]
ROLES = ("sampler", "inner_sampler", "outer_sampler")


def methods() -> Mapping[str, Method]:
    """Return every method by name; importing them imports torch and XGBoost's callers.

    Raises BadPlugin where a file lacks what a method must say, and for two methods of one name.
    """
    return _methods(plugins.key())


def method(name: str) -> Method:
    """Return the method called `name`; raise UnknownName with the nearest names."""
    known = methods()
    if name not in known:
        raise UnknownName("method", name, known)
    return known[name]


def family_of(name: str) -> str:
    """Return the family of the method of that name, "other" for one whose file is not given."""
    known = methods().get(name)
    return known.family if known else OTHER


def missing_packages(which: Method) -> list[str]:
    """Return which of the packages that the method needs are not installed."""
    return [name for name in which.packages if not _is_installed(name)]


def how_to_install(which: Method) -> str:
    """Return the command that installs what the method needs."""
    return "pip install " + (f'"imbalance-bench[{which.extra}]"' if which.extra else " ".join(which.packages))


def check_installed(arm: Arm) -> None:
    """Raise NotInstalled where a package is missing that the arm's method needs."""
    which = method(arm.method)
    if missing := missing_packages(which):
        raise NotInstalled(
            f"The arm {arm.name!r} needs {' and '.join(missing)}, not installed here: {how_to_install(which)}"
        )


def packages_of(name: str, config: Mapping[str, object]) -> tuple[str, ...]:
    """Return the packages, beside the usual, whose versions belong in the record of a run of this configuration.

    Raises BadPlugin where the method's file gives no names.
    """
    which = method(name)
    if which.packages_of is None:
        return which.packages
    packages = which.packages_of(which.config.model_validate(config))
    if not _texts(packages):
        raise BadPlugin(f"`PACKAGES` in {which.file} returns {packages!r}; expected a tuple of names.")
    return tuple(packages)


def as_json(which: Method, make: Callable[[], BaseModel]) -> dict[str, object]:
    """Return the configuration of the method that `make` makes, as JSON has it.

    Raises ValidationError where the settings cannot be, BadPlugin for any other fault of the method's `Config`.
    """
    return guarded(
        lambda: make().model_dump(mode="json"),
        f"`Config` in {which.file} fails",
        which.file,
        BenchError,
        ValidationError,
    )


def where_raised(error: BaseException, name: str) -> str:
    """Return the file of a method from outside that failed, and the line; nothing for a method of bench."""
    file = method(name).file
    return "" if is_of_bench(file) else f" ({file}{line_of(error, file)})"


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


@cache
def _methods(_: plugins.Key) -> dict[str, Method]:
    return plugins.by_name("methods", _registered)


def _registered(plugin: plugins.Plugin) -> Method:
    """Return what the file says as a Method; raise BadPlugin that names the file and all its faults."""
    said = vars(plugin.module)
    if lacking := [name for name in ("VERSION", "Config", "space", "fit") if name not in said]:
        raise BadPlugin(f"The method file {plugin.file} lacks {_listed(lacking)}. {_MEANING}")
    values = {name: said.get(name, default) for name, default in _OPTIONAL.items()}
    values |= {name: said[name] for name in ("VERSION", "Config", "space", "fit")}
    values["NAME"] = said.get("NAME", plugin.name)
    wrong = [
        f"{name} is {_shown(values[name])}; expected {words}"
        for name, (words, holds) in _RULES.items()
        if not holds(values[name])
    ]
    if wrong:
        raise BadPlugin(f"The method file {plugin.file}: {'; '.join(wrong)}.")
    new = Method(
        name=values["NAME"],
        version=values["VERSION"],
        description=(inspect.getdoc(plugin.module) or "").partition("\n")[0],
        config=values["Config"],
        space=guard(values["space"], dict, "a dict of settings", plugin.file),
        fit=values["fit"] if is_of_bench(plugin.file) else _on_copies(values["fit"]),
        pools=tuple(values["POOLS"]),
        draws_batches=values["DRAWS_BATCHES"],
        static=None if values["STATIC"] is None else frozenset(values["STATIC"]),
        cost=float(values["COST"]),
        arms=tuple(values["ARMS"]),
        packages=() if callable(values["PACKAGES"]) else tuple(values["PACKAGES"]),
        packages_of=guard(values["PACKAGES"], file=plugin.file) if callable(values["PACKAGES"]) else None,
        extra=values["EXTRA"],
        family=values["FAMILY"],
        refit=None if values["refit"] is None else guard(values["refit"], BaseModel, "a Config", plugin.file),
        check=None if values["check"] is None else guard(values["check"], file=plugin.file),
        file=plugin.file,
        sha256=None if is_of_bench(plugin.file) else digest(Path(plugin.file).read_bytes()),
    )
    _check(new)
    return new


def _on_copies(fit: Fit) -> Fit:
    """Return an author's `fit` on rows of its own: what it changes in place changes no other run's.

    What is no list of Fitted is passed on, to be told of where it is met.
    """

    @wraps(fit)
    def on_copies(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
        own = [
            replace(member, pools=tuple(map(_copy, member.pools)), valid=_copy(member.valid))
            for member in members
        ]
        fitted = fit(own, device, progress)
        if not isinstance(fitted, list) or not all(isinstance(each, Fitted) for each in fitted):
            return fitted
        return [replace(each, predict=partial(_predict_a_copy, each.predict)) for each in fitted]

    return on_copies


def _predict_a_copy(predict: Callable[[Part], NDArray[np.float64]], part: Part) -> NDArray[np.float64]:
    return predict(_copy(part))


def _copy(part: Part) -> Part:
    arrays = (part.rows, part.X, part.y, part.probability)
    return Part(*(None if array is None else array.copy() for array in arrays))  # type: ignore[arg-type]


def _check(new: Method) -> None:
    """Raise BadPlugin where what a method says does not go together."""
    if unknown := sorted((new.static or frozenset()) - set(new.config.model_fields)):
        raise BadPlugin(f"The method file {new.file}: STATIC names {_listed(unknown)}, no field of Config.")
    if not new.config.model_config.get("frozen"):
        raise BadPlugin(
            f"The method file {new.file}: Config must be frozen, model_config = ConfigDict(frozen=True)."
        )
    for arm in new.arms:
        if arm.method != new.name:
            raise BadPlugin(
                f"The method file {new.file}: its arm {arm.name!r} is of the method {arm.method!r}, and the file's "
                f"method is {new.name!r}."
            )


def _listed(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _shown(value: object) -> str:
    return getattr(value, "__name__", None) or repr(value)


def _texts(value: object) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(text, str) for text in value)


_MEANING = (
    "A method has VERSION, a whole number; Config, a frozen pydantic model; space(trial); and "
    "fit(members, device, progress)."
)
_OPTIONAL: Mapping[str, Any] = {
    "POOLS": ("sampler",),
    "DRAWS_BATCHES": False,
    "STATIC": None,
    "COST": 0.0,
    "ARMS": (),
    "PACKAGES": (),
    "EXTRA": None,
    "FAMILY": OTHER,
    "check": None,
    "refit": None,
}
# What each name of a method's file must be, in words, and whether a value is.
_RULES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "NAME": (
        "lower-case letters, digits and hyphens",
        is_slug,
    ),
    "VERSION": ("a whole number from 1 on", lambda number: type(number) is int and number >= 1),
    "Config": ("a pydantic model", lambda kind: isinstance(kind, type) and issubclass(kind, BaseModel)),
    "space": ("a function", callable),
    "fit": ("a function", callable),
    "POOLS": (
        f"some of {', '.join(ROLES)}",
        lambda roles: _texts(roles) and bool(roles) and set(roles) <= set(ROLES),
    ),
    "DRAWS_BATCHES": ("True or False", lambda draws: isinstance(draws, bool)),
    "STATIC": ("a set of names, or None", lambda names: names is None or _texts(list(names))),
    "COST": ("a number", lambda cost: isinstance(cost, int | float)),
    "ARMS": ("a tuple of bench.contract.Arm", lambda arms: all(isinstance(arm, Arm) for arm in arms)),
    "PACKAGES": ("a tuple of names", lambda names: _texts(names) or callable(names)),
    "EXTRA": ("a text, or None", lambda extra: extra is None or isinstance(extra, str)),
    "FAMILY": (f"one of {', '.join(FAMILIES)}", lambda family: family in FAMILIES),
    "check": ("a function, or None", lambda check: check is None or callable(check)),
    "refit": ("a function, or None", lambda refit: refit is None or callable(refit)),
}

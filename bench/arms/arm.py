"""The arms: what a table may have as its rows. A method's file lists its own (`ARMS`).

An arm is a method with its samplers and the settings that differ from its defaults. Beside the listed arms a name may
spell one (`bench.arms.spelling`): `ARM[SAMPLER]` is an arm of one sampler on that sampler's rows, and
`metabalance[INNER/OUTER]` a cell of MetaBalance's grid (or of another arm that takes both, as
`metabalance-first-order[…]`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from bench import plugins
from bench.arms.matrices import CELL, CELLS, GRID, METHODS
from bench.arms.spelling import parse, respelled
from bench.contract import Arm
from bench.errors import BadPlugin, BadSetting, UnknownName
from bench.methods import estimator, method, methods
from bench.names import Spelling
from bench.sampling.rules import NAMES, check_rows


class _Arms(Mapping[str, Arm]):
    """The listed arms by name: of the package's methods, of other methods, and the cells of the grids.

    It follows what plugin files there are.
    """

    def __getitem__(self, name: str) -> Arm:
        return _listed(plugins.key())[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_listed(plugins.key()))

    def __len__(self) -> int:
        return len(_listed(plugins.key()))


ARMS: Mapping[str, Arm] = _Arms()


@cache
def _listed(_: plugins.Key) -> dict[str, Arm]:
    """Return every listed arm by name; raise BadPlugin for two of one name."""
    known = methods()
    files: dict[str, str] = {}
    by_name: dict[str, Arm] = {}
    for name in [*METHODS, *(name for name in known if name not in METHODS)]:
        for arm in known[name].arms:
            if (spelling := parse(arm.name)).base != arm.name:
                raise BadPlugin(
                    f"The method file {known[name].file} lists an arm {arm.name!r}, which is how a variant of "
                    f"{spelling.base!r} is spelled: give it a name without brackets and parentheses."
                )
            if (other := files.setdefault(arm.name, known[name].file)) != known[
                name
            ].file or arm.name in by_name:
                raise BadPlugin(f"Two arms are called {arm.name!r}: in {other} and in {known[name].file}.")
            by_name[arm.name] = arm
    cells = (parse(name) for name in (*CELLS, *GRID))
    return by_name | {str(cell): _on_rows(by_name[cell.base], cell) for cell in cells}


def _on_rows(arm: Arm, spelling: Spelling) -> Arm:
    """Return the arm on the rows of the samplers that the name spells: one, or an inner and an outer one."""
    samplers = [None if sampler == "none" else sampler for sampler in spelling.samplers]
    about, words = arm.description.partition(";")[0], [sampler or "natural" for sampler in samplers]
    if len(samplers) == 1:
        roles: dict[str, str | None] = {"sampler": samplers[0]}
        description = f"{about}; rows {words[0]}"
    else:
        roles = {"inner_sampler": samplers[0], "outer_sampler": samplers[1]}
        description = f"{about}; inner {words[0]}, outer {words[1]}"
    fixed = arm.fixed | frozenset(roles)
    arm = replace(arm, description=description, fixed=fixed, as_published=False)
    placed = replace(arm, **roles)  # type: ignore[arg-type]  # roles are fields
    return respelled(placed, replace(spelling, settings=(), mark=""))


def arm_named(name: str) -> Arm:
    """Return the arm of that name, listed or spelled with samplers; raise UnknownName with the nearest names."""
    if name in ARMS:
        return ARMS[name]
    spelling = parse(name)
    if not _takes(spelling):
        plain = [known for known in ARMS if known not in GRID]
        near = get_close_matches(name, GRID, cutoff=0.8)  # of the whole grid only what may be meant
        raise UnknownName("arm", name, [*plain, *near, "ARM[SAMPLER]", CELL])
    if spelling.samplers == ("none",):
        return ARMS[spelling.base]
    for sampler in spelling.samplers:
        if sampler.partition(":")[0] not in ("none", *NAMES):
            raise UnknownName(f"sampler in {name},", sampler, ["none", *NAMES])
        if sampler != "none":
            check_rows(sampler)
    return _on_rows(ARMS[spelling.base], spelling)


def _takes(spelling: Spelling) -> bool:
    """Return whether the name is an arm with samplers, of which it has none of its own and takes so many."""
    if not spelling.samplers or spelling.settings or spelling.mark or spelling.base not in ARMS:
        return False
    arm, number = ARMS[spelling.base], len(spelling.samplers)
    roles = ("sampler",) if number == 1 else ("inner_sampler", "outer_sampler")
    free = arm.sampler is None and not arm.needs_probability
    return free and number <= 2 and method(arm.method).pools == roles


def read_arms(path: Path) -> list[Arm]:
    """Return the arms of a TOML file: one table `[name]` each, with `method`, samplers and settings.

    A table may name an `estimator` or `steps` in place of a `method` (`bench.methods.estimator`). Raises BadSetting
    that names the file and the fault.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"The arms file {path} could not be read: {error}.") from error
    if not tables:
        raise BadSetting(
            f"The arms file {path} names no arm; give it tables [name] with `method = …` or `estimator = …` in each."
        )
    return [_arm(name, entry, path) for name, entry in tables.items()]


def _arm(name: str, entry: object, path: Path) -> Arm:
    roles = ("method", "description", "sampler", "inner_sampler", "outer_sampler")
    if isinstance(entry, dict) and "method" not in entry and estimator.is_named(entry):
        entry = {"method": estimator.NAME, **entry}
    if not isinstance(entry, dict) or "method" not in entry:
        raise BadSetting(
            f"The arms file {path} needs a table [{name}] with at least `method = …` or `estimator = …` in it."
        )
    if not name.strip() or not name.isprintable() or name != name.strip():
        raise BadSetting(
            f"The arms file {path} names an arm {name!r}; a name is printable, and starts with no blank."
        )
    spelling = parse(name)
    if spelling.mark:
        raise BadSetting(f"The arms file {path} names an arm {name!r}; that is how bench marks a tuned arm.")
    if name in ARMS or _takes(spelling):
        raise BadSetting(
            f"The arms file {path} redefines {name!r}, an arm of bench; give yours its own name."
        )
    for role in roles:
        if not isinstance(entry.get(role, ""), str):
            raise BadSetting(f"The arms file {path}, table [{name}]: {role} is a name, not {entry[role]!r}.")
    settings = {key: value for key, value in entry.items() if key not in roles}
    if entry["method"] == estimator.NAME:
        settings = _of_estimator(settings, f"The arms file {path}, table [{name}]")
    given = {key: entry[key] for key in roles if key in entry}
    return Arm(name, settings=settings, fixed=frozenset({*given, *settings}), **given)


def _of_estimator(entry: dict[str, object], where: str) -> dict[str, object]:
    """Return the settings of an arm that names its estimator; raise BadSetting, which begins with `where`."""
    try:
        return estimator.settings_of(entry)
    except BadSetting as error:
        raise BadSetting(f"{where}: {error}") from error

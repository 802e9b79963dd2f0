"""What will be done: runs and their keys, and the packs that runs train in.

A run is an arm on one fold with one seed; its key hashes what decides its result (data, card, split,
configuration, seed, the versions of what computes it) and which table it stands in (arm, scope), but not how
it is run (device, pack, workers): "is it done?" and "is it the same?" are one question.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.arms.arm import MATRICES, Arm, arm_named, read_arms
from bench.contract import Protocol
from bench.data import encode
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadSetting, UnknownName
from bench.methods import method
from bench.names import canonical, digest, seed_from
from bench.sampling.samplers import sampler_named

# Raised when reading, splitting, sampling or scoring change results; encode.VERSION says the same of encoding.
PIPELINE = 2
PIPELINE_VERSIONS = {"pipeline": PIPELINE, "encoding": encode.VERSION}


@dataclass(frozen=True)
class Run:
    """Dataset × protocol × fold × arm × configuration × seed: everything that decides a result.

    `scope` hashes the data, the card's recipe, the protocol and its numbers of folds and repeats: runs of
    one scope may stand in one table.
    """

    dataset: str
    data_sha256: str
    recipe_sha256: str
    protocol: str
    scope: str
    split_sha256: str
    repeat: int
    fold: int
    arm: str
    method: str
    version: int
    sampler: str | None
    inner_sampler: str | None
    outer_sampler: str | None
    config: Mapping[str, Any]
    seed: int

    @cached_property
    def key(self) -> str:
        """The sha256 of the run's canonical JSON and of the versions of what computes it."""
        return digest({**self._content, **PIPELINE_VERSIONS})

    @property
    def columns(self) -> dict[str, Any]:
        """The run as columns of its record."""
        config = json.dumps(self.config, sort_keys=True)
        return {**self._content, "key": self.key, "config": config, "loss": self.config.get("loss")}

    @property
    def _content(self) -> dict[str, Any]:
        """The fields as they are: `asdict` copies every setting, which is most of the time that a key takes."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def stream_seed(self) -> int:
        """The seed of the run's random streams: one per split and seed, shared by all arms.

        So every network of a fold and seed starts from the same weights: differences between arms are paired.
        """
        return seed_from("run", self.split_sha256, self.seed)

    @property
    def sampling_seed(self) -> int:
        """The seed of the run's samplers: one per split, so that all arms and seeds share a resampled set."""
        return seed_from("sampler", self.split_sha256)

    @property
    def static(self) -> str:
        """What must agree within a pack: the method and its static settings; the arm where it has none."""
        static = method(self.method).STATIC
        if static is None:
            return canonical([self.method, self.arm])
        return canonical([self.method, {name: self.config[name] for name in sorted(static)}])


def select(
    matrix: str | None, names: Sequence[str], arms_file: Path | None, *, has_probability: bool
) -> list[Arm]:
    """Return the arms asked for, in the order asked; the default is the matrix `quick`.

    An arm of a matrix that needs a known P(y=1 | x) is left out where there is none; asked for by name it
    raises BadSetting.
    """
    if matrix is not None and matrix not in MATRICES:
        raise UnknownName("matrix", matrix, MATRICES)
    chosen = [_typed(name) for name in names] + (read_arms(arms_file) if arms_file else [])
    if matrix or not chosen:
        from_matrix = [_typed(name) for name in MATRICES[matrix or "quick"]]
        chosen += [arm for arm in from_matrix if has_probability or not arm.needs_probability]
    if not has_probability and (bad := [arm.name for arm in chosen if arm.needs_probability]):
        raise BadSetting(
            f"The arm {bad[0]!r} needs a simulated data set (fraud-sim, loan-sim): it is its P(y=1 | x)."
        )
    return list({arm.name: arm for arm in chosen}.values())


def _typed(name: str) -> Arm:
    """Return the arm that a name means, as a table prints it: `ARM`, or with settings `ARM(field=value,…)`."""
    found = re.fullmatch(r"([^()]+)\(([^()]*)\)", name)
    if found is None:
        return arm_named(name)
    arm, given = arm_named(found[1]), found[2].split(",")
    fields = method(arm.method).Config.model_fields
    settings: dict[str, str] = {}
    for pair in given:
        field, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or field not in fields:
            raise UnknownName(f"setting in {name},", field, fields)
        settings[field] = value
    return adjust(arm, settings)


def adjust(arm: Arm, settings: Mapping[str, str]) -> Arm:
    """Return the arm with `--set field=value` applied where its method has the field, and a name that says so."""
    fields = method(arm.method).Config.model_fields
    mine = {name: _value(text) for name, text in settings.items() if name in fields}
    if not mine:
        return arm
    label = ",".join(f"{name}={settings[name]}" for name in mine)
    return replace(
        arm,
        name=f"{arm.name}({label})",
        settings={**arm.settings, **mine},
        fixed=arm.fixed | frozenset(mine),
    )


def adjust_all(arms: Iterable[Arm], settings: Mapping[str, str]) -> list[Arm]:
    """Return the arms with `settings` applied; raise BadSetting for a field that none of their methods has."""
    arms = list(arms)
    known = sorted({field for arm in arms for field in method(arm.method).Config.model_fields})
    for name in settings:
        if name not in known:
            raise UnknownName("setting", name, known)
    return [adjust(arm, settings) for arm in arms]


def _value(text: str) -> Any:
    """Return a TOML value where the text is one, else the text; raise BadSetting where it goes past a value."""
    if "#" in text or any(letter < " " for letter in text):
        raise BadSetting(f"{text!r} is more than a value; a setting has no comment and no line break.")
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def configure(arm: Arm) -> dict[str, Any]:
    """Return the arm's full configuration, validated; raise BadSetting that names arm, field and fault."""
    for sampler in (arm.sampler, arm.inner_sampler, arm.outer_sampler):
        if sampler is not None:
            sampler_named(sampler)
    pools = method(arm.method).POOLS
    for role in ("sampler", "inner_sampler", "outer_sampler"):
        if getattr(arm, role) is not None and role not in pools:
            raise BadSetting(
                f"The arm {arm.name!r} sets {role}, but {arm.method} takes {' and '.join(pools)}."
            )
    try:
        config = method(arm.method).Config.model_validate(dict(arm.settings))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors()
        )
        raise BadSetting(
            f"The arm {arm.name!r} has a setting that {arm.method} cannot take: {faults}."
        ) from error
    dumped: dict[str, Any] = config.model_dump(mode="json")
    for name, value in dumped.items():
        if isinstance(value, float) and not isfinite(value):
            raise BadSetting(f"The arm {arm.name!r} sets {name} to {value}; it must be a finite number.")
    return dumped


def brief(arm: Arm) -> dict[str, Any]:
    """Return the arm's settings that differ from its method's defaults, from which its configuration can be made again.

    Raises BadSetting where one that is not none by default is set to none, which a TOML file cannot say.
    """
    full = configure(arm)
    plain = configure(replace(arm, settings={}))
    found = {name: value for name, value in full.items() if value != plain.get(name)}
    if configure(replace(arm, settings=found)) != full:  # some defaults depend on other settings
        found = {name: value for name, value in full.items() if value is not None}
    if nothing := [name for name, value in found.items() if value is None]:
        raise BadSetting(
            f"{arm.name}: {nothing[0]} is set to none, which is not its default and cannot be written down."
        )
    return found


def plan(
    table: Table,
    protocol: Protocol,
    splits: Sequence[Split],
    arms: Sequence[Arm],
    seeds: int,
    *,
    tuned: Mapping[tuple[str, str], Arm] | None = None,
) -> list[Run]:
    """Return the runs of every arm on every split with seeds 0 … seeds − 1, arm by arm.

    `tuned` holds what an arm is on a split, by its name and the split's hash, where that is not the arm itself.
    """
    if seeds < 1:
        raise BadSetting(f"Asked for {seeds} seeds; at least 1 is needed.")
    scope, recipe = scope_of(table, protocol, splits), protocol.recipe(table)
    configured = {arm.name: configure(arm) for arm in arms}
    runs = []
    for arm, part in product(arms, splits):
        here = (tuned or {}).get((arm.name, part.sha256), arm)
        config = configured[arm.name] if here is arm else configure(here)
        runs += [
            Run(
                dataset=table.name,
                data_sha256=table.sha256,
                recipe_sha256=recipe,
                protocol=protocol.name,
                scope=scope,
                split_sha256=part.sha256,
                repeat=part.repeat,
                fold=part.fold,
                arm=here.name,
                method=here.method,
                version=method(here.method).VERSION,
                sampler=here.sampler,
                inner_sampler=here.inner_sampler,
                outer_sampler=here.outer_sampler,
                config=config,
                seed=seed,
            )
            for seed in range(seeds)
        ]
    return runs


def identity(run: Run) -> str:
    """Return the hash of what an arm is, on whatever rows: its configuration and all that computes it."""
    names = (
        "recipe_sha256",
        "protocol",
        "method",
        "version",
        "sampler",
        "inner_sampler",
        "outer_sampler",
        "config",
    )
    return digest([*(getattr(run, name) for name in names), PIPELINE_VERSIONS])


def scope_of(table: Table, protocol: Protocol, splits: Sequence[Split]) -> str:
    """Return the hash of what all runs of one table must share: the data and the whole set of splits."""
    made_of = [table.sha256, protocol.recipe(table), protocol.name, [part.sha256 for part in splits]]
    return digest([*made_of, PIPELINE_VERSIONS])


def packs(
    runs: Sequence[Run],
    *,
    pack: int | None,
    workers: int,
    limit: Callable[[Sequence[Run]], int] | None = None,
) -> list[list[Run]]:
    """Return the runs in packs of agreeing static settings, the costliest first.

    `pack` bounds the members. Where it is None, 64 does, or for networks `limit` (what memory holds, say) of the
    runs that may share packs; but there are no fewer packs than workers. Runs of one fold and sampler are put
    together, so that a pack has few pools. K never changes a result, nor does the order.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.static, []).append(run)
    made = []
    for group in groups.values():
        group.sort(key=_place)
        n = -(-len(group) // (pack or _size(group, workers, limit)))
        made += [group[len(group) * i // n : len(group) * (i + 1) // n] for i in range(n)]
    return sorted(made, key=lambda members: -_cost(members))


def _place(run: Run) -> tuple[Any, ...]:
    samplers = (run.sampler or "", run.inner_sampler or "", run.outer_sampler or "")
    return run.repeat, run.fold, samplers, run.arm, run.seed


def _size(group: Sequence[Run], workers: int, limit: Callable[[Sequence[Run]], int] | None) -> int:
    """Return how many members a pack of the group may have."""
    alone = method(group[0].method).STATIC is None  # no gain in company, but packs of even length
    wanted = -(-len(group) // max(1, 2 * workers if alone else workers))
    most = 64 if alone or limit is None else limit(group)
    return max(1, min(most, max(1 if alone else 8, wanted)))


def _cost(members: Sequence[Run]) -> float:
    """Return a rough relative cost, for order only: what trains longest should start first."""
    return float(method(members[0].method).COST * len(members))

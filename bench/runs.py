"""What will be done: arms, matrices, runs and their keys, and the packs that runs train in.

An arm is one row of a table. A run is an arm on one fold with one seed; its key hashes what decides its
result (data, card, split, configuration, seed, the versions of what computes it) and which table it stands
in (arm, scope), but not how it is run (device, pack, workers): "is it done?" and "is it the same?" are one
question.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench import encode
from bench.errors import BadSetting, UnknownName
from bench.methods import method
from bench.names import canonical, digest, seed_from
from bench.resample import SAMPLERS
from bench.splits import Protocol, Split
from bench.tables import Table

# Raised when reading, splitting, sampling or scoring change results; encode.VERSION says the same of encoding.
PIPELINE = 1
PIPELINE_VERSIONS = {"pipeline": PIPELINE, "encoding": encode.VERSION}


@dataclass(frozen=True)
class Arm:
    """One row of a table: a method with its samplers and the settings that differ from its defaults."""

    name: str
    method: str
    description: str = ""
    sampler: str | None = None
    inner_sampler: str | None = None
    outer_sampler: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_probability: bool = False


_FOCAL = {"loss": "focal"}
ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("prevalence", "prevalence", "the share of positives, for every row"),
        Arm("logistic-regression", "logistic-regression", "scikit-learn's, L2"),
        Arm("none", "network", "the network on the rows as they are"),
        Arm(
            "class-weight",
            "network",
            "weights by inverse class frequency",
            settings={"class_weight": "balanced"},
        ),
        Arm("smote", "network", "SMOTE (Chawla et al. 2002)", "smote"),
        Arm("borderline-smote", "network", "Borderline-SMOTE (Han et al. 2005)", "borderline-smote"),
        Arm("adasyn", "network", "ADASYN (He et al. 2008)", "adasyn"),
        Arm("random-over", "network", "random over-sampling", "random-over"),
        Arm("random-under", "network", "random under-sampling", "random-under"),
        Arm("focal", "network", "focal loss, γ = 2 (Lin et al. 2017)", settings=_FOCAL),
        Arm(
            "metabalance",
            "metabalance",
            "MetaBalance, exact second order; inner natural, outer random under-sampling",
            outer_sampler="random-under",
        ),
        Arm("xgboost", "xgboost", "histogram trees, stopped early"),
        Arm("bayes-optimal", "bayes-optimal", "the simulator's own P(y=1 | x)", needs_probability=True),
    )
}

MATRICES: Mapping[str, tuple[str, ...]] = {
    "quick": (
        "prevalence",
        "logistic-regression",
        "none",
        "class-weight",
        "smote",
        "adasyn",
        "focal",
        "metabalance",
        "xgboost",
        "bayes-optimal",
    ),
}


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
        return digest({**asdict(self), **PIPELINE_VERSIONS})

    @property
    def columns(self) -> dict[str, Any]:
        """The run as columns of its record."""
        fields = {name: value for name, value in asdict(self).items() if name != "config"}
        config = json.dumps(self.config, sort_keys=True)
        return {**fields, "key": self.key, "config": config, "loss": self.config.get("loss")}

    @property
    def stream_seed(self) -> int:
        """The seed of the run's random streams: one per split and seed, shared by all arms.

        So every network of a fold and seed starts from the same weights, and a resampled set is made
        once: differences between arms are paired.
        """
        return seed_from("run", self.split_sha256, self.seed)

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
    chosen = [arm_named(name) for name in names] + (read_arms(arms_file) if arms_file else [])
    if matrix or not chosen:
        from_matrix = [ARMS[name] for name in MATRICES[matrix or "quick"]]
        chosen += [arm for arm in from_matrix if has_probability or not arm.needs_probability]
    if not has_probability and (bad := [arm.name for arm in chosen if arm.needs_probability]):
        raise BadSetting(
            f"The arm {bad[0]!r} needs a simulated data set (fraud-sim, loan-sim): it is its P(y=1 | x)."
        )
    return list({arm.name: arm for arm in chosen}.values())


def arm_named(name: str) -> Arm:
    """Return the registered arm called `name`; raise UnknownName with the nearest names."""
    if name not in ARMS:
        raise UnknownName("arm", name, ARMS)
    return ARMS[name]


def read_arms(path: Path) -> list[Arm]:
    """Return the arms of a TOML file: one table `[name]` each, with `method`, samplers and settings.

    Raises BadSetting that names the file and the fault.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"The arms file {path} could not be read: {error}.") from error
    if not tables:
        raise BadSetting(
            f"The arms file {path} names no arm; give it tables [name] with `method = …` in each."
        )
    return [_arm(name, entry, path) for name, entry in tables.items()]


def _arm(name: str, entry: Any, path: Path) -> Arm:
    roles = ("method", "description", "sampler", "inner_sampler", "outer_sampler")
    if not isinstance(entry, dict) or "method" not in entry:
        raise BadSetting(f"The arms file {path} needs a table [{name}] with at least `method = …` in it.")
    if name in ARMS:
        raise BadSetting(
            f"The arms file {path} redefines {name!r}, an arm of bench; give yours its own name."
        )
    for role in roles:
        if not isinstance(entry.get(role, ""), str):
            raise BadSetting(f"The arms file {path}, table [{name}]: {role} is a name, not {entry[role]!r}.")
    settings = {key: value for key, value in entry.items() if key not in roles}
    return Arm(name, settings=settings, **{key: entry[key] for key in roles if key in entry})


def adjust(arm: Arm, settings: Mapping[str, str]) -> Arm:
    """Return the arm with `--set field=value` applied where its method has the field, and a name that says so."""
    fields = method(arm.method).Config.model_fields
    mine = {name: _value(text) for name, text in settings.items() if name in fields}
    if not mine:
        return arm
    label = ",".join(f"{name}={settings[name]}" for name in mine)
    return replace(arm, name=f"{arm.name}({label})", settings={**arm.settings, **mine})


def adjust_all(arms: Iterable[Arm], settings: Mapping[str, str]) -> list[Arm]:
    """Return the arms with `settings` applied; raise BadSetting for a field that none of their methods has."""
    arms = list(arms)
    known = sorted({field for arm in arms for field in method(arm.method).Config.model_fields})
    for name in settings:
        if name not in known:
            raise UnknownName("setting", name, known)
    return [adjust(arm, settings) for arm in arms]


def _value(text: str) -> Any:
    """Return a TOML value where the text is one, else the text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def configure(arm: Arm) -> dict[str, Any]:
    """Return the arm's full configuration, validated; raise BadSetting that names arm, field and fault."""
    for sampler in (arm.sampler, arm.inner_sampler, arm.outer_sampler):
        if sampler is not None and sampler not in SAMPLERS:
            raise UnknownName("sampler", sampler, SAMPLERS)
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


def plan(
    table: Table, protocol: Protocol, splits: Sequence[Split], arms: Sequence[Arm], seeds: int
) -> list[Run]:
    """Return the runs of every arm on every split with seeds 0 … seeds − 1, arm by arm."""
    if seeds < 1:
        raise BadSetting(f"Asked for {seeds} seeds; at least 1 is needed.")
    scope = scope_of(table, protocol, splits)
    runs = []
    for arm in arms:
        config, version = configure(arm), method(arm.method).VERSION
        runs += [
            Run(
                dataset=table.name,
                data_sha256=table.sha256,
                recipe_sha256=table.card.recipe_sha256,
                protocol=protocol.name,
                scope=scope,
                split_sha256=part.sha256,
                repeat=part.repeat,
                fold=part.fold,
                arm=arm.name,
                method=arm.method,
                version=version,
                sampler=arm.sampler,
                inner_sampler=arm.inner_sampler,
                outer_sampler=arm.outer_sampler,
                config=config,
                seed=seed,
            )
            for part in splits
            for seed in range(seeds)
        ]
    return runs


def scope_of(table: Table, protocol: Protocol, splits: Sequence[Split]) -> str:
    """Return the hash of what all runs of one table must share: the data and the whole set of splits."""
    made_of = [table.sha256, table.card.recipe_sha256, protocol.name, [part.sha256 for part in splits]]
    return digest([*made_of, PIPELINE_VERSIONS])


def packs(runs: Sequence[Run], *, pack: int | None, workers: int) -> list[list[Run]]:
    """Return the runs in packs of agreeing static settings, the costliest first.

    `pack` bounds the members; None is up to 64, but no fewer packs than workers. K never changes a result.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.static, []).append(run)
    made = []
    for group in groups.values():
        alone = method(group[0].method).STATIC is None  # no gain in company, but packs of even length
        wanted = -(-len(group) // max(1, 2 * workers if alone else workers))
        limit = pack or min(64, max(1 if alone else 8, wanted))
        n = -(-len(group) // limit)
        made += [group[len(group) * i // n : len(group) * (i + 1) // n] for i in range(n)]
    return sorted(made, key=lambda members: -_cost(members))


def _cost(members: Sequence[Run]) -> float:
    """Return a rough relative cost, for order only: what trains longest should start first."""
    return float(method(members[0].method).COST * len(members))

"""What will be done: runs and their keys, and the packs that runs train in.

A run is an arm on one fold with one seed; its key hashes what decides its result (data, card, split,
configuration, seed, the versions of what computes it) and which table it stands in (arm, scope), but not how
it is run (device, pack, workers): "is it done?" and "is it the same?" are one question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from pydantic import BaseModel

from bench.arms.settings import configure
from bench.contract import Arm, Protocol
from bench.data import encode
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadSetting
from bench.methods import method, methods
from bench.names import canonical, digest, seed_from
from bench.store.schema import Setup

# Raised when reading, splitting, sampling or scoring change results; encode.VERSION says the same of encoding.
PIPELINE = 3
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
        return digest({**self._content, **PIPELINE_VERSIONS, **_own_file(self.method)})

    @property
    def setup(self) -> Setup:
        """How the arm is run, as the run's record says it."""
        samplers = (self.sampler, self.inner_sampler, self.outer_sampler)
        return Setup(self.method, self.version, *samplers, json.dumps(self.config, sort_keys=True))

    @property
    def _content(self) -> dict[str, object]:
        """The fields as they are: `asdict` copies every setting, which is most of the time that a key takes."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def stream_seed(self) -> int:
        """The seed of the run's random streams: one per split and seed, shared by all arms.

        So every network of a fold and seed starts from the same weights: differences between arms are paired.
        """
        return seed_from("run", self.split_sha256, self.seed)

    def sampling_seed(self, *, shared: bool = False) -> int:
        """Return the seed of the run's samplers: one per split and seed, or where it is shared per split.

        All arms share it, and so their resampled sets.
        """
        return seed_from("sampler", self.split_sha256, *([] if shared else [self.seed]))

    @property
    def static(self) -> str:
        """What must agree within a pack: the method and its static settings; the arm where it has none."""
        static = method(self.method).static
        if static is None:
            return canonical([self.method, self.arm])
        return canonical([self.method, {name: self.config[name] for name in sorted(static)}])


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
        chosen = (tuned or {}).get((arm.name, part.sha256), arm)
        config = configured[arm.name] if chosen is arm else configure(chosen)
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
                arm=chosen.name,
                method=chosen.method,
                version=method(chosen.method).version,
                sampler=chosen.sampler,
                inner_sampler=chosen.inner_sampler,
                outer_sampler=chosen.outer_sampler,
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
    return digest([*(getattr(run, name) for name in names), {**PIPELINE_VERSIONS, **_own_file(run.method)}])


def _own_file(name: str) -> dict[str, str]:
    """Return the hash of the file of a method from outside, whose VERSION nobody may have raised; else nothing."""
    known = methods().get(name)
    return {"method_file": known.sha256} if known and known.sha256 else {}


def configuration(run: Run) -> BaseModel:
    """Return the run's configuration as its method's `Config`."""
    return method(run.method).config.model_validate(run.config)


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
    runs that may share packs; but there are no fewer packs than workers. Runs of one fold and seed are put together,
    and of these those of one sampler: they share their rows. K never changes a result, nor does the order.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.static, []).append(run)
    packed = []
    for group in groups.values():
        group.sort(key=_place)
        n = -(-len(group) // (pack or _size(group, workers, limit)))
        packed += [group[len(group) * i // n : len(group) * (i + 1) // n] for i in range(n)]
    return sorted(packed, key=lambda members: -_cost(members))


def _place(run: Run) -> tuple[int, int, int, tuple[str, str, str], str]:
    samplers = (run.sampler or "", run.inner_sampler or "", run.outer_sampler or "")
    return run.repeat, run.fold, run.seed, samplers, run.arm


def _size(group: Sequence[Run], workers: int, limit: Callable[[Sequence[Run]], int] | None) -> int:
    """Return how many members a pack of the group may have."""
    alone = method(group[0].method).static is None  # no gain in company, but packs of even length
    wanted = -(-len(group) // max(1, 2 * workers if alone else workers))
    most = 64 if alone or limit is None else limit(group)
    return max(1, min(most, max(1 if alone else 8, wanted)))


def _cost(members: Sequence[Run]) -> float:
    """Return a rough relative cost, for order only: what trains longest should start first."""
    return method(members[0].method).cost * len(members)

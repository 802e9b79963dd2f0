"""What an author writes against: arm, method, protocol, engine, metric. Read this first.

A **method** is one file: a module with `VERSION`, `Config`, `space(trial)` and `fit(members, device, progress)`, and
with what else it has to say of itself (`Method`). A **protocol** is one file with an object `PROTOCOL` that says how
arms are judged (`Protocol`). An **engine** is one file with an object `ENGINE` that says where packs run (`Engine`).
A **metric** is an entry of a file's `METRICS`: a function of `Scored` rows and their weights (`bench.stats.scored`).

A file is found by its presence: in `bench/methods/`, `bench/protocols/` or `bench/runs/engines/`; by the entry points
`bench.methods`, `bench.protocols`, `bench.engines` of an installed package; or by its name, `--method-file F.py`.
`bench check F.py` and `bench.testing` run the contract tests on it.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bench.data.cards import Dataset
from bench.data.classes import BatchRule as BatchRule
from bench.data.classes import Classes as Classes
from bench.data.encode import Encoded, Part, Units, encode
from bench.data.split import Split, check_splits, inner_splits, seeds_by_size
from bench.data.table import Table
from bench.errors import BadSetting
from bench.names import MAIN_METRIC, Spelling, canonical, printable
from bench.names import PlannedRun as PlannedRun
from bench.packs import Bench as Bench
from bench.packs import Engine as Engine
from bench.packs import Progress as Progress
from bench.packs import Reporter as Reporter
from bench.packs import Result as Result
from bench.plugins.guards import Guarded
from bench.stats.scored import Metric as Metric
from bench.stats.scored import Scored as Scored

if TYPE_CHECKING:
    import torch

Choice = TypeVar("Choice", bound="str | float | None")  # a choice, which a file of trials can hold
SEEDS = 3  # per fold
FAMILIES = (TREES, NETWORKS, LINEAR, OTHER) = "trees", "networks", "linear", "other"


@dataclass(frozen=True)
class Arm:
    """One row of a table: a method with its samplers and the settings that differ from its defaults.

    `as_published` gives it the samplers that the data set's card names for it, under every protocol. `fixed` names what
    the user set, which no study changes. `spelling` are the parts of its name, if several.
    """

    name: str
    method: str
    description: str = ""
    sampler: str | None = None
    inner_sampler: str | None = None
    outer_sampler: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_probability: bool = False
    as_published: bool = False
    fixed: frozenset[str] = frozenset()
    spelling: Spelling = field(default=Spelling(""), compare=False, repr=False)

    def __post_init__(self) -> None:
        """Take the name as one word unless it was put together."""
        if str(self.spelling) != self.name:
            object.__setattr__(self, "spelling", Spelling(self.name))


@dataclass(frozen=True)
class Member:
    """One run inside a pack: its settings, its seed, and the rows that it may see.

    `pools` are the training rows, one part per entry of the method's `POOLS`, already resampled; `valid` is the
    validation part. `Fitted.predict` meets the test part, without labels. `units` gives the encoded columns their own
    units back; None where the protocol's encoding does not say them. `rules` say of each pool how batches are drawn
    from it, for a method that draws batches; None is each row once an epoch. Without any, all are None.
    """

    config: Any
    seed: int
    pools: tuple[Part, ...]
    valid: Part
    units: Units | None = None
    rules: tuple[BatchRule | None, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """A trained member: `predict` maps a part to P(y=1), float64 (n,) in [0, 1]; and what it used.

    `steps` are optimiser steps (boosting rounds, solver iterations), `best_step` the one kept,
    `samples_seen` the rows drawn in all steps, `selected` the settings that were chosen on validation. `device` ("cpu",
    "cuda"), `engine` and `threads` are what was really used; None means the CPU, with the worker's threads.
    Where validation chose the step, `first_step` and `last_step` are the earliest and the last that it could have
    chosen: a best step there says that training stopped at once, or that its budget was short.
    """

    predict: Callable[[Part], NDArray[np.float64]]
    steps: int = 0
    best_step: int = 0
    samples_seen: int = 0
    selected: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    engine: str | None = None
    threads: int | None = None
    first_step: int | None = None
    last_step: int | None = None

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError for what no record can hold: odd counts, words that are no text."""
        counts = ("steps", "best_step", "samples_seen", "first_step", "last_step")
        room = dict.fromkeys(counts, range(2**63)) | {"threads": range(1, 2**31)}
        optional = ("threads", "first_step", "last_step")
        for name, allowed in room.items():
            if name in optional and getattr(self, name) is None:
                continue
            if (number := int(index(getattr(self, name)))) not in allowed:
                raise ValueError(
                    f"Fitted({name}=…) takes {allowed[0]} to {allowed[-1]}, and was given: {number}."
                )
            object.__setattr__(self, name, number)
        for name in ("device", "engine"):
            word = getattr(self, name)
            if not isinstance(word, str | None):
                kind = type(word).__name__
                raise TypeError(f"Fitted({name}=…) takes a text, such as 'cpu', and was given: {kind}.")
            object.__setattr__(self, name, word and printable(word))
        canonical(dict(self.selected))


@dataclass(frozen=True, order=True)
class Budget:
    """What one run may train: so many steps, or so many passes over its rows, and the rows of a step."""

    rows_per_step: int
    steps: int | None = None
    epochs: int | None = None


class SteppedConfig(Guarded, BaseModel, ABC):
    """The `Config` of a method that trains in steps, on batches of rows.

    So its budget stands in a run's outcome, its packs fit the device's memory, and a protocol without validation rows
    refuses what would choose on them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: ClassVar[int] = 1  # members that a GPU computes together: a pack is a whole number of blocks

    @property
    @abstractmethod
    def budget(self) -> Budget:
        """What a run of this configuration may train."""

    @property
    def needs_validation(self) -> bool:
        """Whether something is chosen on validation rows, the best step for example."""
        return False

    @abstractmethod
    def member_bytes(self, n_features: int) -> int:
        """Return how much of the device's memory one run takes beside its rows, in bytes, on the high side."""


class Trial(typing.Protocol):
    """What `space` is given: Optuna's suggestions, each with the arm's own value as its default.

    It knows the arm: what the arm sets comes back as it is. `weight`, `ratio` and `sampler` suggest how far the classes
    are evened out (`bench.tuning.space.Suggestions`). A name that is no setting of `Config` needs `default=`; the same
    names have to be asked for an arm whatever their values, so that the space can be listed. BadSetting is raised where
    a suggestion has no default, or the arm's own value has no place in its interval.

    Examples
    --------
    >>> def space(trial):
    ...     settings = {"C": trial.suggest_float("C", 1e-4, 1e2, log=True)}
    ...     return {**settings, "class_weight": trial.weight("class_weight")}
    """

    arm: Arm
    classes: Classes

    @property
    def defaults(self) -> Mapping[str, object]:
        """The default of every parameter asked for so far."""

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        log: bool = False,
        step: float | None = None,
        default: float | None = None,
    ) -> float:
        """Return a number between `low` and `high`."""

    def suggest_int(
        self, name: str, low: int, high: int, *, log: bool = False, step: int = 1, default: int | None = None
    ) -> int:
        """Return a whole number between `low` and `high`."""

    def suggest_categorical(
        self, name: str, choices: Sequence[Choice], *, default: Choice | None = None
    ) -> Choice:
        """Return one of the choices."""

    def sets(self, name: str) -> bool:
        """Return whether the arm sets this itself, so that it is not to be asked."""

    def weight(self, name: str) -> float | str | None:
        """Return the weight of a positive row for the setting `name`: None is 1, "balanced" makes the classes equal."""

    def ratio(self, name: str) -> float | None:
        """Return rows of the rarer class per row of the other for the setting `name`; None is 1."""

    def sampler(self, role: str = "sampler", among: Sequence[str] = ()) -> dict[str, str | None]:
        """Return the sampler of that role with its ratio, as an entry of the settings."""


@dataclass(frozen=True)
class Method:
    """A method as it is registered: what its file says, and defaults for what it leaves out.

    In the file the names are upper case (`VERSION`, `POOLS` …), but `Config`, `space`, `fit` and `check`; `NAME` is the
    file's name where it is not given, and the description is the docstring's first line.

    `version` is part of every run's key, raised when results change. `config` is a frozen pydantic model, which for a
    method that trains in steps is a `SteppedConfig`. `space` returns settings for it, and samplers by their role, as
    the trial suggests them. `fit` trains the members and returns one `Fitted` each, in order. `check` is given a
    configuration before anything trains, and raises BadSetting where it cannot be fitted. `pools` are the samplers that
    feed a member, one part each; with `draws_batches` one may be a batch rule, which `fit` finds on its members (for
    other methods such rows are drawn once). `static` are the settings that must agree within a pack; None where runs
    are fitted one at a time. `cost` is roughly how long a run takes beside others. `arms` are rows that a table may
    have.
    `packages` are those, beside the usual, whose versions belong in a record, and `extra` is what of bench installs
    them, `pip install "imbalance-bench[EXTRA]"`; they are imported inside `fit`, so that the method is listed where
    they are missing. `PACKAGES` may be a function of the configuration (`packages_of`).
    `family` is what kind of model it is, one of `FAMILIES`: the best of the trees is what tables compare with.
    `refit` makes of a configuration, what it came to, and how many times the rows there are, the configuration that
    trains on those rows for as long, without validation; a method without it is not trained again where a protocol
    `refits`.
    `sha256` is that of the file of a method from outside, and part of every run's key.
    """

    name: str
    version: int
    description: str
    config: type[BaseModel]
    space: Callable[[Trial], dict[str, object]]
    fit: Callable[[Sequence[Member], torch.device, Progress], list[Fitted]]
    pools: tuple[str, ...] = ("sampler",)
    draws_batches: bool = False
    static: frozenset[str] | None = None
    cost: float = 0.0
    arms: tuple[Arm, ...] = ()
    packages: tuple[str, ...] = ()
    packages_of: Callable[[BaseModel], tuple[str, ...]] | None = None
    extra: str | None = None
    check: Callable[[BaseModel], None] | None = None
    family: str = OTHER
    refit: Callable[[Any, Fitted, float], BaseModel] | None = None
    file: str = ""
    sha256: str | None = None


@dataclass(frozen=True)
class Protocol(Guarded, ABC):
    """How a data set is judged: which rows train, validate and test, and what else differs between protocols.

    A protocol of your own is a frozen subclass with a method `split`; everything else has a default, which is what
    `strict` does. `folds`, `repeats` and `seeds` are defaults that a command may change. `validates` is False where no
    rows are held out for validation; `with_validation` names a protocol that holds some out, for messages. `words` are
    those that `variant` takes. `divides_entities` is True where one customer may train and test, as over time. With
    `shares_draws` a sampler's rows are drawn once per split, and not for each of its seeds. With `refits` what scores
    the test rows is trained anew on training and validation rows, for as long as was best on validation.
    """

    name: str
    description: str
    main_metric: str = MAIN_METRIC
    folds: int = 5
    repeats: int = 1
    seeds: int | None = SEEDS
    validates: bool = True
    divides_entities: bool = False
    shares_draws: bool = False
    refits: bool = False
    with_validation: str | None = None
    words: tuple[str, ...] = ()

    @abstractmethod
    def split(self, table: Table, folds: int, repeats: int) -> list[Split]:
        """Return the splits of the table, repeat by repeat and fold by fold; raise BadTable where there are none.

        The same table and numbers give the same splits everywhere. Parts are sorted, disjoint row ids; each holds both
        classes, but for the validation part of a protocol that does not validate, which is empty. No two splits have
        the same repeat and fold.
        """

    def splits(self, table: Table, *, folds: int | None = None, repeats: int | None = None) -> list[Split]:
        """Return `split` with the folds and repeats asked for, else the protocol's.

        Raises BadSetting for numbers that the protocol cannot have, BadTable where the table cannot be split, and
        BadSplit where the protocol gives parts that overlap, or lack a class.
        """
        splits = self.split(table, *self.number_of_splits(folds, repeats))
        rules = {"validates": self.validates, "divides_entities": self.divides_entities}
        check_splits(splits, table, self.name, **rules)
        return splits

    def number_of_splits(self, folds: int | None = None, repeats: int | None = None) -> tuple[int, int]:
        """Return the folds and repeats asked for, else the protocol's; raise BadSetting for those it cannot have."""
        folds = self.folds if folds is None else folds
        repeats = self.repeats if repeats is None else repeats
        if folds < 2 or repeats < 1:
            raise BadSetting(
                f"Asked for {folds} folds and {repeats} repeats; at least 2 folds and 1 repeat are needed."
            )
        return folds, repeats

    def seeds_for(self, card: Dataset, n_rows: int) -> int:
        """Return the default number of seeds per fold for a table of `n_rows` rows."""
        return seeds_by_size(self.seeds or SEEDS, n_rows)

    def inner(self, table: Table, outer: Split, folds: int) -> list[Split]:
        """Return the splits of `outer`'s training rows that judge a study's trials: each validates once, none tests.

        Raises BadSetting where the protocol has nothing to tune on, BadTable where there are too few rows.
        """
        return inner_splits(table, outer, folds)

    def encode(self, table: Table, part: Split) -> Encoded:
        """Return the split's parts as float32 matrices; nothing but training rows is looked at to fit."""
        return encode(table, part)

    def recipe(self, table: Table) -> str:
        """Return the hash of what the card makes of a raw file under the protocol."""
        return table.card.recipe_sha256

    def adjust(self, arm: Arm, card: Dataset) -> Arm:
        """Return the arm as it runs on this data set under this protocol; raise BadSetting where it cannot."""
        return arm

    def authors_code(self, card: Dataset) -> Mapping[str, tuple[float, float]]:
        """Return by arm the test ROC-AUC of the authors' own code, mean and deviation over 2–3 seeds, if known."""
        return {}

    def variant(self, words: Sequence[str]) -> Protocol | None:
        """Return the protocol called NAME+WORD+…; None where it has no variants."""
        return None

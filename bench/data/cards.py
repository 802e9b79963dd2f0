"""Data set cards: what a data set is, where it comes from, and what must be true of it.

A card is one TOML file, `datasets/<name>.toml`, or one that BENCH_PLUGINS names (`bench.plugins`); its presence
registers the data set. It names the licence, the citation, the sources in the order in which they are tried, the
hashes, the columns' roles, and the rows and positives that the loaded table must have. A user's own file gets a card
too, which `card_for_file` makes of the options.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, TypedDict, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from bench import plugins
from bench.errors import BadCard, BadSetting, UnknownName
from bench.names import Dates, HighCardinality, Unlabelled, digest, slug

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Https = Annotated[str, StringConstraints(pattern=r"^https://")]
# One version by name: no address, which would pass by the user's index, and nothing that pip reads as an option.
Requirement = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?==[0-9][\w.!+-]*$")]
PathInWheel = Annotated[str, StringConstraints(pattern=r"^[^/\\]*[^/\\.][^/\\]*(/[^/\\]*[^/\\.][^/\\]*)*$")]
Label = str | int | float | bool
Model = TypeVar("Model", bound=BaseModel)

SUITES = "suites.toml"  # among the cards: the lists of them


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """One place a file can be had from.

    `ref` is Kaggle's `owner/slug` or competition name; `requirement` a package of the user's package index, as
    `NAME==VERSION`, in whose wheel lies the file `member`; `url` the address for the other kinds. `file` is the
    file's name there (inside the zip where one arrives; a wheel's is that of its member). `sha256`, `md5` and
    `size_bytes` check the file; where a source has none, the hash of the first download is
    recorded in the cache and held to. `columns` names the columns by position, and `target` and
    `positive` replace the card's, where this source spells them differently.
    """

    kind: Literal["wheel", "kaggle", "kaggle-competition", "mirror", "openml"]
    file: str
    requirement: Requirement | None = None
    member: PathInWheel | None = None
    ref: str | None = None
    url: Https | None = None
    sha256: Sha256 | None = None
    md5: Md5 | None = None
    size_bytes: int | None = Field(default=None, gt=0)
    columns: tuple[str, ...] | None = None
    target: str | None = None
    positive: Label | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_member(cls, fields: object) -> object:
        """Give the file of a wheel its member's name."""
        if isinstance(fields, dict) and fields.get("kind") == "wheel":
            return {"file": PurePosixPath(str(fields.get("member", ""))).name, **fields}
        return fields

    @model_validator(mode="after")
    def _has_an_address(self) -> Source:
        in_wheel, elsewhere = ("requirement", "member"), ("ref", "url")
        needed = (
            in_wheel if self.kind == "wheel" else elsewhere[:1] if "kaggle" in self.kind else elsewhere[1:]
        )
        if lacking := [field for field in needed if getattr(self, field) is None]:
            raise ValueError(f"a source of kind {self.kind!r} needs {' and '.join(lacking)}")
        foreign = elsewhere if self.kind == "wheel" else in_wheel
        if unread := [field for field in foreign if getattr(self, field) is not None]:
            raise ValueError(f"a source of kind {self.kind!r} has no {' and no '.join(unread)}")
        if self.member is not None and self.file != PurePosixPath(self.member).name:
            raise ValueError("the file of a wheel is called as its member: leave out file")
        return self


_Begins = Annotated[str, Field(min_length=1)]


class Reading(_Frozen):
    """How a file is read, where its content does not say it: what a user or a card declares.

    `skip_rows` lines before the table are left out, and all lines that begin with `comment`, or one of several.
    `decimal` is the decimal
    mark of numbers written as text; None takes what the whole file agrees on. `member` is the file inside a zip of
    several, `table` the table of a database or the sheet of a workbook. `format` is needed where neither name nor
    content say it: ``libsvm``.
    """

    skip_rows: int = Field(default=0, ge=0)
    comment: _Begins | tuple[_Begins, ...] | None = None
    decimal: Literal[".", ","] | None = None
    member: str | None = None
    table: str | None = None
    format: str | None = None

    @property
    def comments(self) -> tuple[str, ...]:
        """How lines begin that are left out."""
        return (self.comment,) if isinstance(self.comment, str) else self.comment or ()


class Expected(_Frozen):
    """What the loaded table must have: rows that are kept, columns of the raw file (target included), positives."""

    rows: int = Field(gt=0)
    columns: int = Field(gt=1)
    positives: int = Field(gt=0)


class Simulator(_Frozen):
    """The embedded generator of a simulated set, with its default rows and seed."""

    rows: int = Field(gt=0)
    seed: int = Field(ge=0)


class PublishedSettings(_Frozen):
    """How the code of the MetaBalance paper used this set: what the protocol `published` takes from the card.

    `drop` are features left out, `standardise` those that are scaled (None: all), the others stay raw. `dropout`
    follows the hidden layers `dropout_after`, the first being 1. `arms` has by arm the settings it was published with,
    and the samplers where they are others than the arm's own. `measured` is the test ROC-AUC of an arm by the authors'
    own code on today's libraries, as mean and standard deviation over 2–3 seeds: what this suite's numbers are held
    against.
    """

    drop: tuple[str, ...] = ()
    standardise: tuple[str, ...] | None = None
    hidden: tuple[int, ...]
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dropout_after: tuple[int, ...] | None = None
    seeds: int = Field(gt=0)
    arms: dict[str, dict[str, float | str]]
    measured: dict[str, tuple[float, float]] = {}


class Dataset(_Frozen):
    """One table with a binary label and its provenance.

    `known_defects` are what is wrong with it, `verdicts` what others have judged, each with its source.

    Column roles: `target` is the label and `positive` its positive value; `drop` are columns that
    are no features (identifiers); `time` and `amount` name columns with that meaning (`time` is kept
    for protocols and is no feature); `entity` names whom a row is of (a customer, a card), is no feature, and is
    never on two sides of a split; `categorical` are columns to be read as categories even where
    they hold numbers, `numeric` those that must be numbers; every other column is numeric if its values are.
    `columns` names the columns of a file without a header.

    Rows: with `negative` only rows with these labels, and with `positive`, are kept; else all others are negative.
    Rows without a label are refused, or left out where `unlabelled` is ``drop``. `missing` has by column the numbers
    that stand for a missing value there, such as 96 and 98.

    `dates` is what becomes of columns of dates: they are refused, or turned into numbers. `date_format` is how they
    are written where that can be read in two ways. `high_cardinality` is how a category of many values is encoded.
    """

    name: str
    title: str
    domain: Literal["fraud", "credit", "other"]
    description: str
    licence: str
    citation: str
    homepage: str | None = None
    known_defects: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    target: str
    positive: Label | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    time: str | None = None
    amount: str | None = None
    entity: str | None = None
    columns: tuple[str, ...] | None = None
    numeric: tuple[str, ...] = ()
    negative: tuple[Label, ...] = ()
    unlabelled: Unlabelled = "refuse"
    missing: dict[str, tuple[float, ...]] = {}
    dates: Dates = "refuse"
    date_format: str | None = None
    high_cardinality: HighCardinality = "onehot"
    reading: Reading = Reading()
    expected: Expected | None = None
    sources: tuple[Source, ...] = ()
    simulator: Simulator | None = None
    published: PublishedSettings | None = None

    @property
    def recipe(self) -> dict[str, object]:
        """The fields that decide what table a raw file becomes; part of every run's key."""
        said = self.model_dump(mode="json", include=_ALWAYS | _WHERE_SAID)
        defaults = type(self).model_fields
        fields: dict[str, object] = {
            name: value
            for name, value in said.items()
            if name in _ALWAYS or getattr(self, name) != defaults[name].default
        }
        return fields if self.name in _own_paths() else fields | {"reading_version": READING}

    @property
    def recipe_sha256(self) -> str:
        """The hash of `recipe`: a changed card makes stale exactly what depends on it."""
        return digest(self.recipe)


# Raised when tables are read, or extreme values drawn in (`bench.data.extremes`), otherwise than before: what was made
# of a user's own table, or of a card from outside, is run anew. The cards of bench are checked against what they
# expect, and keep their recipes; those with published records have no extreme values.
READING = 3
# The fields of a recipe: those of every one, and those that stand in it where a card gives them.
_ALWAYS = {"target", "positive", "drop", "categorical", "time", "amount", "columns"}
_WHERE_SAID = {
    "entity",
    "numeric",
    "negative",
    "unlabelled",
    "missing",
    "dates",
    "date_format",
    "high_cardinality",
    "reading",
}


class Roles(TypedDict, total=False):
    """The fields of a card that a user gives for a table of their own, beside its name and target."""

    positive: Label | None
    negative: tuple[Label, ...]
    unlabelled: Unlabelled
    drop: tuple[str, ...]
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    missing: dict[str, tuple[float, ...]]
    dates: Dates
    date_format: str | None
    high_cardinality: HighCardinality
    time: str | None
    amount: str | None
    entity: str | None
    reading: Reading
    expected: Expected | None
    sources: tuple[Source, ...]


class _Fields(Roles):
    title: str
    description: str
    licence: str


def cards_folder() -> Path:
    """Return the folder of the cards: a folder inside the package in a wheel, `datasets/` in a checkout."""
    return (Path(__file__).parent.parent / "_datasets").resolve()  # in a checkout a link


def dataset_names() -> list[str]:
    """Return the names of all cards, sorted."""
    return sorted(_paths())


def card(name: str) -> Dataset:
    """Return the card called `name`; raise UnknownName with the nearest names."""
    paths = _paths()
    if name not in paths:
        raise UnknownName("data set", name, sorted(paths))
    return _read_once(paths[name])


@cache
def _own_paths() -> dict[str, Path]:
    """Return the file of every card of bench by its name."""
    return {path.stem: path for path in cards_folder().glob("*.toml") if path.name != SUITES}


def _paths() -> dict[str, Path]:
    """Return every card's file by its name; raise BadCard for one of the user's that has the name of one of bench."""
    own, brought = _own_paths(), plugins.cards()
    if taken := sorted(own.keys() & brought.keys()):
        raise BadCard(
            f"The card {brought[taken[0]]} has the name of a data set of bench, {taken[0]!r}: rename it."
        )
    return own | brought


@cache
def _read_once(path: Path) -> Dataset:
    return read_card(path)


def read_card(path: Path) -> Dataset:
    """Read and validate one card; raise BadCard that names the file and each fault."""
    dataset = read_toml(path, Dataset)
    if dataset.name != path.stem:
        raise BadCard(
            f"The card {path} is named {dataset.name!r}; it must be named like its file, {path.stem!r}."
        )
    return dataset


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read and validate a TOML file; raise BadCard that names the file and each fault."""
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadCard(f"The card {path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'card'}: {e['msg']}" for e in error.errors())
        raise BadCard(f"The card {path} is not valid: {faults}.") from error


def published_settings(dataset: Dataset, asked_by: str) -> PublishedSettings:
    """Return what the card says of the paper.

    Raises BadSetting, which begins with `asked_by`, for a data set that the paper did not use.
    """
    if dataset.published is None:
        sets = [name for name in dataset_names() if card(name).published]
        raise BadSetting(
            f"{asked_by} is of the paper, which used {' and '.join(sets)}; {dataset.name!r} is another set. "
            "--protocol strict takes every set and arm."
        )
    return dataset.published


def dataset_option(name: str) -> list[str]:
    """Return the options that make `bench run` use a data set; one without a card needs its file and target."""
    return ["--dataset", name] if name in dataset_names() else ["--data-file", "FILE", "--target", "COLUMN"]


def card_for_file(path: Path, target: str, *, name: str | None = None, **roles: Unpack[Roles]) -> Dataset:
    """Return a card for a user's own file; `roles` are `positive`, `drop`, `time`, `amount`.

    Its name is `name`, else the file's (see `own_name`).
    """
    return _own(
        own_name(name or path.name.split(".")[0], "file"),
        target,
        title=path.name,
        description="A table given with --data-file.",
        licence="unknown: the user's own file",
        **roles,
    )


def card_for_frame(target: str, *, name: str | None = None, **roles: Unpack[Roles]) -> Dataset:
    """Return a card for a user's frame; `roles` as of a file. Its name is `name`, else ``frame``."""
    return _own(
        own_name(name or "frame", "frame"),
        target,
        title=name or "A frame",
        description="A frame given from Python.",
        licence="unknown: the user's own frame",
        **roles,
    )


def own_name(text: str, kind: str) -> str:
    """Return a name for a table of the user's own that is safe as a file's name.

    It never collides with a registered data set: a number under the name `loan` is always a number on the card's
    loan data.
    """
    name = slug(text)
    return f"{name}-{kind}" if name in dataset_names() else name


def _own(name: str, target: str, **fields: Unpack[_Fields]) -> Dataset:
    return Dataset(name=name, domain="other", citation="none", target=target, **fields)

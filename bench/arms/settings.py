"""The settings of arms: which arms a request means, and what `--set` and a study make of them.

A configuration is an arm's settings over its method's defaults, validated by the method's `Config`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from pydantic import ValidationError

from bench.arms.arm import arm_named, read_arms
from bench.arms.matrices import MATRICES
from bench.arms.spelling import parse, respelled
from bench.contract import Arm, Method, SteppedConfig
from bench.data.cards import Dataset, published_settings
from bench.errors import BadSetting, BenchError, UnknownName
from bench.methods import ROLES, as_json, method, packages_of
from bench.sampling.rules import check_rows, drawn_once


def select(
    matrix: str | None, names: Sequence[str], arms_file: Path | None, *, has_probability: bool
) -> list[Arm]:
    """Return the arms asked for, in the order asked; the default is the matrix `quick`.

    An arm of a matrix that needs a known P(y=1 | x) is left out where there is none; asked for by name it
    raises BadSetting.
    """
    if matrix is not None and matrix not in MATRICES:
        raise UnknownName("matrix", matrix, MATRICES)
    chosen = [typed(name) for name in names] + (read_arms(arms_file) if arms_file else [])
    if matrix or not chosen:
        from_matrix = [typed(name) for name in MATRICES[matrix or "quick"]]
        chosen += [arm for arm in from_matrix if has_probability or not arm.needs_probability]
    if not has_probability and (bad := [arm.name for arm in chosen if arm.needs_probability]):
        raise BadSetting(
            f"The arm {bad[0]!r} needs a simulated data set (fraud-sim, loan-sim): it is its P(y=1 | x)."
        )
    return list({arm.name: arm for arm in chosen}.values())


def on_data_set(arm: Arm, card: Dataset) -> Arm:
    """Return an arm that is `as_published` with the samplers that the card names for it, any other as it is.

    Raises BadSetting for a data set that the paper did not use.
    """
    if not arm.as_published:
        return arm
    given = published_settings(card, f"The arm {arm.name!r}").arms.get(arm.spelling.rows, {})
    roles = {role: name for role, name in given.items() if role in ROLES}
    return replace(arm, **roles)  # type: ignore[arg-type]  # roles are fields


def typed(name: str) -> Arm:
    """Return the arm that a name means, as a table prints it: `ARM`, or with settings `ARM(FIELD=VALUE,…)`."""
    spelling = parse(name)
    if not spelling.settings or spelling.mark:
        return arm_named(name)
    arm = arm_named(spelling.rows)
    fields = method(arm.method).config.model_fields
    for group in spelling.settings:
        settings: dict[str, str] = {}
        for pair in group.split(","):
            field, equals, value = (part.strip() for part in pair.partition("="))
            if not equals or field not in fields:
                raise UnknownName(f"setting in {name},", field, fields)
            settings[field] = value
        arm = adjust(arm, settings)
    return arm


def adjust(arm: Arm, settings: Mapping[str, str]) -> Arm:
    """Return the arm with `--set field=value` applied where its method has the field, and a name that says so."""
    fields = method(arm.method).config.model_fields
    taken = {name: value_of(text) for name, text in settings.items() if name in fields}
    if not taken:
        return arm
    label = ",".join(f"{name}={settings[name]}" for name in taken)
    changed = replace(arm, settings={**arm.settings, **taken}, fixed=arm.fixed | frozenset(taken))
    return respelled(changed, replace(arm.spelling, settings=(*arm.spelling.settings, label)))


def adjust_all(arms: Iterable[Arm], settings: Mapping[str, str]) -> list[Arm]:
    """Return the arms with `settings` applied; raise BadSetting for a field that none of their methods has."""
    arms = list(arms)
    known = sorted({field for arm in arms for field in method(arm.method).config.model_fields})
    for name in settings:
        if name not in known:
            raise UnknownName("setting", name, known)
    return [adjust(arm, settings) for arm in arms]


def value_of(text: str) -> object:
    """Return a TOML value where the text is one, else the text; raise BadSetting where it goes past a value."""
    if "#" in text or any(letter < " " for letter in text):
        raise BadSetting(f"{text!r} is more than a value; a setting has no comment and no line break.")
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def configure(arm: Arm) -> dict[str, object]:
    """Return the arm's full configuration, validated; raise BadSetting that names arm, field and fault."""
    which = method(arm.method)
    _check_samplers(arm, which)
    try:
        dumped = as_json(which, lambda: which.config.model_validate(dict(arm.settings)))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors()
        )
        raise BadSetting(
            f"The arm {arm.name!r} has a setting that {arm.method} cannot take: {faults}."
        ) from error
    for name, value in dumped.items():
        if isinstance(value, float) and not isfinite(value):
            raise BadSetting(f"The arm {arm.name!r} sets {name} to {value}; it must be a finite number.")
    return dumped


def _check_samplers(arm: Arm, which: Method) -> None:
    """Raise UnknownName or BadSetting for a sampler or batch rule that is none, or that the method cannot have."""
    for role in ROLES:
        if (sampler := getattr(arm, role)) is None:
            continue
        check_rows(sampler)
        if role not in which.pools:
            raise BadSetting(
                f"The arm {arm.name!r} sets {role}, but {arm.method} takes {' and '.join(which.pools)}."
            )
        if not which.draws_batches:
            try:
                drawn_once(sampler)
            except BadSetting as error:
                raise BadSetting(f"The arm {arm.name!r}: {error}") from error


def check_settings(arm: Arm) -> None:
    """Raise BadSetting where the arm's method says that it cannot fit the arm's configuration (`Method.check`).

    Raises BadPlugin where the method's file does not say what a run needs of the configuration.
    """
    which, settings = method(arm.method), configure(arm)
    config = which.config.model_validate(dict(arm.settings))
    try:
        if which.check is not None:
            which.check(config)
    except BenchError as error:
        raise BadSetting(f"The arm {arm.name!r}: {error}") from error
    packages_of(arm.method, settings)
    if isinstance(config, SteppedConfig):
        _ = config.budget, config.needs_validation


def brief(arm: Arm) -> dict[str, object]:
    """Return the arm's settings that differ from its method's defaults, from which its configuration can be made again.

    Raises BadSetting where one that is not none by default is set to none, which a TOML file cannot say.
    """
    full = configure(arm)
    plain = configure(replace(arm, settings={}))
    differing = {name: value for name, value in full.items() if value != plain.get(name)}
    if configure(replace(arm, settings=differing)) != full:  # some defaults depend on other settings
        differing = {name: value for name, value in full.items() if value is not None}
    if nothing := [name for name, value in differing.items() if value is None]:
        raise BadSetting(
            f"{arm.name}: {nothing[0]} is set to none, which is not its default and cannot be written down."
        )
    return differing

"""What a study may change of an arm: the method's `space(trial)`, asked with the arm in hand.

A method's space calls `trial.suggest_float`, `suggest_int` and `suggest_categorical` as of an Optuna trial, always
for the same names, and returns settings. The trial that it is given here knows the arm: what the arm sets is its
identity and is not asked; every other suggestion has a default, the arm's own, so that the space can be listed
without a study, and trial 0 is the arm as it is.

How far the classes are evened out is one parameter, `balance`: 0 leaves the rows as they are, 1 makes the classes
equal, and between them the ratio of the classes changes by equal factors. It sets the ratio of an arm's sampler (from
`BALANCE_STEP` on: at 0 the sampler would do nothing), or for an arm without one the weight of a positive row. Arms with
two pools have `inner_balance` and `outer_balance`; Meta-Weight-Net, whose network weights its training rows, has only
the outer one. Two losses have a setting of their own instead: class-balanced its β, logit-adjusted its τ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from bench.contract import Arm, Choice
from bench.contract import Classes as Classes
from bench.errors import BadSetting
from bench.methods import ROLES, method
from bench.sampling.rules import takes_ratio

DIGITS = 4  # of a number that a study sets: more would not tell two settings apart, and could not be read
optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it logs every study and trial

BALANCE_STEP = 0.25  # of a sampler's: trials of one ratio share their resampled rows


@dataclass(frozen=True)
class Space:
    """What a study asks for an arm: a distribution and a default by parameter, in the order in which they are asked."""

    distributions: Mapping[str, BaseDistribution]
    defaults: Mapping[str, object]

    @property
    def texts(self) -> dict[str, str]:
        """The distributions as Optuna's JSON."""
        return {name: distribution_to_json(values) for name, values in self.distributions.items()}


def from_texts(texts: Mapping[str, str]) -> dict[str, BaseDistribution]:
    """Return the distributions that `Space.texts` made these of."""
    return {name: json_to_distribution(text) for name, text in texts.items()}


def space_of(arm: Arm, classes: Classes) -> Space:
    """Return the arm's space on training rows of these classes."""
    trial = Suggestions(arm, classes)
    method(arm.method).space(trial)
    return Space(trial.distributions, trial.defaults)


def tunable(arm: Arm) -> bool:
    """Return whether there is anything that a study may change of the arm."""
    return bool(space_of(arm, Classes(1, 1)).distributions)  # the same for any classes: they only set ratios


def arm_at(arm: Arm, params: Mapping[str, object], classes: Classes) -> Arm:
    """Return the arm with the settings and samplers that `params`, values of its space, come to."""
    settings = method(arm.method).space(Suggestions(arm, classes, params))
    roles: dict[str, Any] = {name: settings.pop(name) for name in ROLES if name in settings}
    return replace(arm, settings={**arm.settings, **settings}, **roles)


def changeable(arm: Arm) -> set[str]:
    """Return the names of the settings and samplers that a study may change of the arm."""
    return set(method(arm.method).space(Suggestions(arm, Classes(1, 1))))


def rounded(space: Space, params: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters as they are set: numbers of `DIGITS` digits, within their interval."""
    rounded_params = dict(params)
    for name, values in space.distributions.items():
        number = params[name]
        if isinstance(values, FloatDistribution) and values.step is None and isinstance(number, float | int):
            rounded_params[name] = min(max(_rounded(number), values.low), values.high)
    return rounded_params


def holds(distribution: BaseDistribution, value: object) -> bool:
    """Return whether the distribution can give the value."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):  # another choice, another kind of value
        return False


class Suggestions:
    """What a method's `space` is given: Optuna's suggestions, each with the arm's own default.

    Without `params` every suggestion returns its default; with them, the value of that name.
    """

    def __init__(self, arm: Arm, classes: Classes, params: Mapping[str, object] | None = None) -> None:
        self.arm, self.classes, self.params = arm, classes, params
        self.own = method(arm.method).config.model_validate(dict(arm.settings))
        self.distributions: dict[str, BaseDistribution] = {}
        self.defaults: dict[str, object] = {}

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
        """Return a number of `DIGITS` digits; `default` is the configuration's where it is not given."""
        value = self._suggest(name, FloatDistribution(low, high, log=log, step=step), default)
        return value if name in self.arm.settings else min(max(_rounded(value), low), high)

    def suggest_int(
        self, name: str, low: int, high: int, *, log: bool = False, step: int = 1, default: int | None = None
    ) -> int:
        """Return a whole number."""
        return int(self._suggest(name, IntDistribution(low, high, log=log, step=step), default))

    def suggest_categorical(
        self, name: str, choices: Sequence[Choice], *, default: Choice | None = None
    ) -> Choice:
        """Return one of the choices."""
        choice: Choice = self._suggest(name, CategoricalDistribution(choices), default)
        return choice

    def sets(self, name: str) -> bool:
        """Return whether the arm sets this itself, so that it is not to be asked."""
        return name in self.arm.settings

    def weight(self, name: str) -> float | str | None:
        """Return the weight of a positive row for the setting `name`: None is 1, "balanced" makes the classes equal."""
        own = self.arm.settings.get(name)
        if name in self.arm.fixed or own not in (None, "balanced"):
            return own
        share = self.suggest_float("balance", 0.0, 1.0, default=float(own == "balanced"))
        return {0.0: None, 1.0: "balanced"}.get(share, _rounded(self.classes.odds**share))

    def ratio(self, name: str) -> float | None:
        """Return rows of the rarer class per row of the other for the setting `name`; None is 1."""
        if self.sets(name):
            own: float = self.arm.settings[name]
            return own
        share = self.suggest_float("balance", 0.0, 1.0, default=1.0)
        return None if share == 1 else self._at(share)

    def sampler(self, role: str = "sampler", among: Sequence[str] = ()) -> dict[str, str | None]:
        """Return the sampler of that role with its ratio, as an entry of the settings; None is the rows as they are.

        `among` are the samplers and batch rules that it may be beside none. Without them, where the user named it, and
        where the arm has another, it is the arm's.
        """
        prefix, name = role.removesuffix("sampler"), getattr(self.arm, role) or "none"
        choices = ("none", *among)
        if among and name in choices and role not in self.arm.fixed:
            name = self.suggest_categorical(role, choices, default=name)
        elif name == "none" or ":" in name or not takes_ratio(name):
            return {role: getattr(self.arm, role)}
        # Not from 0: there the sampler would do nothing, which is another arm.
        share = self.suggest_float(f"{prefix}balance", BALANCE_STEP, 1.0, step=BALANCE_STEP, default=1.0)
        if name == "none":
            return {role: None}
        return {role: name if share == 1 or not takes_ratio(name) else f"{name}:{self._at(share)}"}

    def _at(self, share: float) -> float:
        """Return the ratio of the classes at that balance."""
        return _rounded(self.classes.ratio ** (1 - share))

    def _suggest(self, name: str, distribution: BaseDistribution, default: object) -> Any:
        if name in self.arm.settings:
            return self.arm.settings[name]
        if default is None:
            default = getattr(self.own, name, None)
        if not holds(distribution, default):
            raise BadSetting(
                f"{self.arm.method}: the default {name} = {default} lies outside its own search space. A parameter "
                "that is no setting of the method's Config needs default=."
            )
        self.distributions[name], self.defaults[name] = distribution, default
        if self.params is None:
            return default
        if name not in self.params:
            raise BadSetting(
                f"{self.arm.method}: its space asked for {name!r} in one trial and not in another. A space always asks "
                "for the same names, also for one that another value makes needless."
            )
        return self.params[name]


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")

"""The batch rules: rows chosen anew for batches from all training rows, in place of a sampler.

A method that draws batches (`bench.contract.Method`) is given all training rows and the rule, and chooses as it trains
(`bench.networks.batches`). For any other the rows are drawn once, by the sampler that a rule names as `once`. A rule
that makes the classes equal stops earlier where a ratio follows its name: `random-under:0.5`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.data.classes import BALANCED, RANDOM_OVER, RANDOM_UNDER, BatchRule
from bench.errors import BadSetting, UnknownName
from bench.sampling.samplers import SAMPLERS, ratio_of


@dataclass(frozen=True)
class Rule:
    """One batch rule: how often it draws, and the sampler that draws its rows once, None if they need batches."""

    description: str
    drawn: str
    once: str | None = None


RULES: Mapping[str, Rule] = {
    BALANCED: Rule(
        "Half of every batch of either class, from all rows, as MetaBalance's authors draw images.",
        "every batch",
    ),
    RANDOM_OVER: Rule(
        "All majority rows, and minority rows again and again, as many.", "every epoch", "random-over-once"
    ),
    RANDOM_UNDER: Rule(
        "All minority rows, and as many majority rows, other ones each time.",
        "every epoch",
        "random-under-once",
    ),
}
NAMES = (*RULES, *SAMPLERS)


def takes_ratio(name: str) -> bool:
    """Return whether a ratio may follow the name of this rule or sampler."""
    return RULES[name].once is not None if name in RULES else SAMPLERS[name].ratio is not None


def check_rows(text: str) -> None:
    """Raise UnknownName where `NAME` or `NAME:RATIO` is no rule or sampler, BadSetting for a ratio it cannot have."""
    name, colon, _ = text.partition(":")
    if name not in NAMES:
        raise UnknownName("sampler", name, NAMES)
    if colon:
        ratio_of(text, aims=takes_ratio(name))


def rule_named(text: str | None) -> BatchRule | None:
    """Return the batch rule that `NAME` or `NAME:RATIO` means; None where it is a sampler, or the rows as they are."""
    if text is None or (name := text.partition(":")[0]) not in RULES:
        return None
    check_rows(text)
    return BatchRule(name, ratio_of(text, aims=takes_ratio(name)))


def drawn_once(text: str) -> str:
    """Return the sampler that draws the rows of a rule once, any sampler as it is.

    Raises BadSetting for a rule that means nothing without batches.
    """
    name, colon, ratio = text.partition(":")
    if name not in RULES:
        return text
    if (sampler := RULES[name].once) is None:
        others = " or ".join(other for other, rule in RULES.items() if rule.once)
        raise BadSetting(f"{name} chooses the rows of batches, and the method draws none; take {others}.")
    return sampler + colon + ratio

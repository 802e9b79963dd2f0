"""How arms are judged: one file each, found by its presence (`bench.contract.Protocol`)."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from bench.contract import Arm, Protocol
from bench.data.cards import Dataset
from bench.errors import UnknownName
from bench.names import MAIN_METRIC

DEFAULT = "strict"


@cache
def protocols() -> dict[str, Protocol]:
    """Return every protocol by name, the default first."""
    modules = (
        importlib.import_module(f"{__name__}.{entry.name}") for entry in pkgutil.iter_modules(__path__)
    )
    listed: list[Protocol] = [module.PROTOCOL for module in modules]
    return {each.name: each for each in sorted(listed, key=lambda each: (each.name != DEFAULT, each.name))}


def protocol_named(name: str) -> Protocol:
    """Return the protocol of that name, `NAME+WORD+…` included; raise UnknownName with the nearest names."""
    base, *words = name.split("+")
    known = protocols().get(base)
    if known is not None and words:
        known = known.variant(words)
    if known is None:
        variants = [word for each in protocols().values() for word in each.spellings[1:]]
        raise UnknownName("protocol", name, [*protocols(), *variants])
    return known


def main_metric(name: str) -> str:
    """Return the main metric of the protocol of that name; average precision where it is not known here any more."""
    try:
        return protocol_named(name).main_metric
    except UnknownName:
        return MAIN_METRIC


def as_judged(arm: Arm, card: Dataset, protocol: Protocol) -> Arm:
    """Return the arm as it runs on this data set under this protocol; raise BadSetting where it cannot."""
    from bench.protocols.published import arm_of_paper

    return arm_of_paper(protocol.adjust(arm, card), card)

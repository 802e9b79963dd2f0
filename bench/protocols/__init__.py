"""How arms are judged: one file each, found by its presence (`bench.contract.Protocol`)."""

from __future__ import annotations

from functools import cache

from bench import plugins
from bench.arms.settings import on_data_set
from bench.contract import Arm, Protocol
from bench.data.cards import Dataset
from bench.errors import BadPlugin, UnknownName
from bench.names import DEFAULT_PROTOCOL, MAIN_METRIC
from bench.stats.metrics import metrics


def protocols() -> dict[str, Protocol]:
    """Return every protocol by name, the default first, those of plugins last; raise BadPlugin for two of one name."""
    return _registered(plugins.key())


@cache
def _registered(_: plugins.Key) -> dict[str, Protocol]:
    by_name = plugins.by_name("protocols", _checked)
    return {DEFAULT_PROTOCOL: by_name[DEFAULT_PROTOCOL], **by_name}


def _checked(plugin: plugins.Plugin) -> Protocol:
    """Return the module's protocol; raise BadPlugin, which names the file, where it is none."""
    protocol = plugin.module.PROTOCOL
    if not isinstance(protocol, Protocol):
        raise BadPlugin(
            f"PROTOCOL in {plugin.file} is a {type(protocol).__name__}; give an object of a class that derives from "
            "bench.contract.Protocol."
        )
    if protocol.main_metric not in metrics():
        raise BadPlugin(
            f"PROTOCOL in {plugin.file}: {UnknownName('main metric', protocol.main_metric, metrics())}"
        )
    return protocol


def protocol_named(name: str) -> Protocol:
    """Return the protocol of that name, `NAME+WORD+…` included; raise UnknownName with the nearest names."""
    base, *words = name.split("+")
    known = protocols().get(base)
    if known is not None and words:
        known = known.variant(words)
    if known is None:
        variants = [f"{each.name}+{word}" for each in protocols().values() for word in each.words]
        raise UnknownName("protocol", name, [*protocols(), *variants])
    return known


def protocol_if_known(name: str) -> Protocol | None:
    """Return the protocol of that name; None where its file is not given, of records for example that it once made."""
    try:
        return protocol_named(name)
    except UnknownName:
        return None


def main_metric_of(name: str) -> str:
    """Return the main metric of the protocol of that name; average precision where its file is not given."""
    protocol = protocol_if_known(name)
    return MAIN_METRIC if protocol is None else protocol.main_metric


def as_judged(arm: Arm, card: Dataset, protocol: Protocol) -> Arm:
    """Return the arm as it runs on this data set under this protocol; raise BadSetting where it cannot."""
    return on_data_set(protocol.adjust(arm, card), card)

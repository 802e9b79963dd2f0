"""Arms under the protocol `published`: the settings that the MetaBalance paper's code gave them, fault by fault.

What depends on the data set (network, learning rates, MetaBalance's samplers) is in its card; what does not is
here: SGD with Nesterov momentum at a constant rate, batches, 81 pairs, 100 epochs, first order, the last epoch.
Each repair of the protocol changes one of these things and leaves the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.arms.arm import ARMS
from bench.contract import Arm
from bench.data.cards import Dataset, Published, dataset_names
from bench.data.cards import card as registered
from bench.data.split import REPAIRS, Protocol
from bench.errors import BadSetting
from bench.methods import method

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)  # that an arm may choose from where the search is equal
_SGD = {"optimiser": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
_PUBLISHED: dict[str, dict[str, Any]] = {
    "network": {"batch": 24},
    "meta-weight-net-as-coded": {"batch": 24},
    "meta-weight-net": {"batch": 24, "meta_batch": 24},
    "metabalance": {
        "pairs": 81,
        "inner_batch": 24,
        "outer_batch": 16,
        "inner_lr": 0.01,
        "inner_weight": 0.01,
        "order": 1,
    },
}
_LIKE = {"network": "none", "metabalance": "metabalance-published", "meta-weight-net": "meta-weight-net"}


def as_published(arm: Arm, card: Dataset, protocol: Protocol) -> Arm:
    """Return the arm as it runs on this data set under this protocol; other protocols leave most arms as they are.

    Raises BadSetting where the arm or the protocol needs what the paper's code did and the card does not say it:
    the paper used other sets.
    """
    plain = arm.spelling.rows
    named_so = plain in ARMS and plain.endswith("-published")
    if not (protocol.is_published or named_so):
        return arm
    if card.published is None:
        what = f"The protocol {protocol.name}" if protocol.is_published else f"The arm {arm.name!r}"
        sets = [name for name in dataset_names() if registered(name).published]
        raise BadSetting(
            f"{what} is of the paper, which used {' and '.join(sets)}; {card.name!r} is another set. "
            "--protocol strict takes every set and arm."
        )
    if protocol.has("row-weights") and arm.method == "meta-weight-net-as-coded":
        settings = {name: value for name, value in arm.settings.items() if name != "meta_share"}
        arm = replace(arm, method="meta-weight-net", outer_sampler="random-under", settings=settings)
    entry = _entry(arm, card.published)
    roles: dict[str, Any] = {name: value for name, value in entry.items() if name.endswith("_sampler")}
    arm = replace(arm, **roles)
    if protocol.is_published and arm.method in _PUBLISHED:
        numbers = {name: value for name, value in entry.items() if name not in roles}
        if arm.method == "meta-weight-net":  # its virtual step is the step to come
            numbers["inner_lr"] = numbers["lr"]
        settings = _network(arm, card.published, protocol) | numbers | dict(arm.settings)
        fields = method(arm.method).config.model_fields
        arm = replace(arm, settings={name: value for name, value in settings.items() if name in fields})
    return arm


def _entry(arm: Arm, published: Published) -> dict[str, float | str]:
    """Return what the card says of the arm, else of the arm that it is a variant of, else of the method's plainest."""
    plain = arm.spelling.rows
    for name in (plain, arm.spelling.base, arm.sampler or "", _LIKE.get(arm.method, "")):
        if name in published.arms:
            given = published.arms[name]
            own = name == plain
            return {key: value for key, value in given.items() if own or not key.endswith("_sampler")}
    return {}


def _network(arm: Arm, published: Published, protocol: Protocol) -> dict[str, Any]:
    """Return the settings of a network under the protocol, less those that the card gives the arm."""
    settings = {"hidden": published.hidden, **_SGD, **_PUBLISHED[arm.method]}
    if published.dropout:
        settings |= {"dropout": published.dropout, "dropout_after": published.dropout_after}
        settings["test_dropout"] = not protocol.has("evaluation-mode")
    if not protocol.has("equal-updates") and "steps" not in arm.settings:  # what a user sets goes before
        settings["epochs"] = 100
    if not protocol.has("early-stopping"):
        settings["keep"] = "last"
    if protocol.has("equal-search") and "lr" not in arm.settings:
        settings["search_lr"] = RATES
    if protocol.has("second-order") and arm.method == "metabalance":
        settings["order"] = 2
    return settings


def rungs(card: Dataset) -> list[str]:
    """Return the protocols from `published` to `strict`, one repair more at a time.

    A repair of what the card does not have (dropout) is no rung.
    """
    found, repairs = ["published"], []
    for repair in REPAIRS:
        if repair == "evaluation-mode" and card.published and not card.published.dropout:
            continue
        repairs.append(repair)
        found.append("+".join(["published", *repairs]))
    return [*found, "strict"]

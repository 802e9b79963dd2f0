"""The protocol `published`: as the MetaBalance paper's code, fault by fault.

One split drawn without regard to the label, no validation, a scaler fitted on all rows. Its faults can be repaired one
by one: `published+stratified+train-scaler`.

What depends on the data set (network, learning rates, MetaBalance's samplers) is in its card; what does not is
here: SGD with Nesterov momentum at a constant rate, batches, 81 pairs, 100 epochs, first order, the last epoch. A
sampler draws its rows once, for all of the training and for all seeds; the card says so of random over- and
under-sampling, `random-under-once`, which `strict` draws anew every epoch.
Each repair of the protocol changes one of these things and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from bench.contract import Arm, Protocol
from bench.data.cards import Dataset, published_settings
from bench.data.cards import PublishedSettings as PublishedCard
from bench.data.encode import Encoded, encoded
from bench.data.split import VALID_SHARE, Split, stratified
from bench.data.table import Table
from bench.errors import BadSetting, BadTable, UnknownName
from bench.methods import ROLES, method
from bench.names import digest

STRATIFIED_FOLDS = 5
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


REPAIRS: Mapping[str, str] = {
    "stratified": "stratified folds with a validation part, duplicates on one side",
    "train-scaler": "the scaler is fitted on training rows alone",
    "evaluation-mode": "dropout is off when rows are scored",
    "equal-updates": "every network makes the same number of updates",
    "early-stopping": "the best state on validation counts, not the last",
    "equal-search": "every network arm has its learning rate chosen on validation from the same rates",
    "second-order": "MetaBalance differentiates through its inner step",
    "row-weights": "Meta-Weight-Net trains on the weights that it learns",
}
NEED_VALIDATION = ("stratified", "early-stopping", "equal-search")


@dataclass(frozen=True)
class Published(Protocol):
    """The paper's protocol; `repairs` are its faults that are mended."""

    repairs: frozenset[str] = frozenset()

    def has(self, repair: str) -> bool:
        """Return whether the protocol is free of the fault that `repair` mends."""
        return repair in self.repairs

    def variant(self, words: Sequence[str]) -> Published:
        """Return the protocol with these repairs; raise UnknownName for one that it does not have."""
        for word in words:
            if word not in REPAIRS:
                raise UnknownName("repair", word, REPAIRS)
        repairs = [repair for repair in REPAIRS if repair in words]
        return replace(
            self,
            name="+".join([self.name, *repairs]),
            folds=STRATIFIED_FOLDS if "stratified" in repairs else 1,
            validates=any(repair in NEED_VALIDATION for repair in repairs),
            divides_entities="stratified" not in repairs,
            repairs=frozenset(repairs),
        )

    def number_of_splits(self, folds: int | None = None, repeats: int | None = None) -> tuple[int, int]:
        """Return one split, unless the folds are stratified; raise BadSetting where others are asked for."""
        if self.has("stratified"):
            return super().number_of_splits(folds, repeats)
        asked = (1 if folds is None else folds, 1 if repeats is None else repeats)
        if asked != (1, 1):
            raise BadSetting(
                f"The protocol {self.name} has one split; folds and repeats go with published+stratified or strict."
            )
        return asked

    def split(self, table: Table, folds: int, repeats: int) -> list[Split]:
        """Return the paper's one split, or stratified folds where that is repaired."""
        if self.has("stratified"):
            return stratified(table, folds, repeats)
        return [_one_split(table, validates=self.validates)]

    def seeds_for(self, card: Dataset, n_rows: int) -> int:
        """Return the paper's number of seeds for its one split; else as many as any other protocol."""
        if card.published and not self.has("stratified"):
            return card.published.seeds
        return super().seeds_for(card, n_rows)

    def inner(self, table: Table, outer: Split, folds: int) -> list[Split]:
        """Raise BadSetting: the protocol searches by itself, and holds no rows out for a study."""
        raise BadSetting(
            f"{self.name} has its own search, published+equal-search, and no rows to tune on. Leave out "
            "--protocol to tune under strict."
        )

    def encode(self, table: Table, part: Split) -> Encoded:
        """Return the parts as the paper's code made them; of a data set that it did not use, as any protocol does."""
        features = table.card.published
        if features is None:
            return super().encode(table, part)
        return _encode(table, part, features, train_only=self.has("train-scaler"))

    def recipe(self, table: Table) -> str:
        """Return the hash of the card's recipe, and of the features that the paper's code left out or scaled."""
        if table.card.published is None:
            return super().recipe(table)
        features = table.card.published.model_dump(mode="json", include={"drop", "standardise"})
        return digest([table.card.recipe, features])

    def authors_code(self, card: Dataset) -> Mapping[str, tuple[float, float]]:
        """Return what the card knows of the authors' own code, which has all faults."""
        return card.published.measured if card.published and not self.repairs else {}

    def adjust(self, arm: Arm, card: Dataset) -> Arm:
        """Return the arm as the paper's code ran it on this data set, less the faults that are repaired.

        Raises BadSetting for a data set that the paper did not use.
        """
        published = published_settings(card, f"The protocol {self.name}")
        if self.has("row-weights") and arm.method == "meta-weight-net-as-coded":
            settings = {name: value for name, value in arm.settings.items() if name != "meta_share"}
            arm = replace(arm, method="meta-weight-net", outer_sampler="random-under-once", settings=settings)
        entry = _entry(arm, published)
        roles: dict[str, Any] = {name: value for name, value in entry.items() if name in ROLES}
        arm = replace(arm, **roles)
        fields = method(arm.method).config.model_fields
        if arm.method in _PUBLISHED:
            numbers = {name: value for name, value in entry.items() if name not in ROLES}
            if arm.method == "meta-weight-net":  # its virtual step is the step to come
                numbers["inner_lr"] = numbers["lr"]
            settings = _network(arm, published, self) | numbers | dict(arm.settings)
            arm = replace(arm, settings={name: value for name, value in settings.items() if name in fields})
        return arm


PROTOCOL = Published(
    "published",
    "as the MetaBalance paper's code, faults included: one split, scaler on all rows, epochs, last epoch; each "
    "fault can be repaired: published+REPAIR+…, of " + ", ".join(REPAIRS),
    main_metric="roc_auc",
    folds=1,
    seeds=None,  # the card says it
    validates=False,
    divides_entities=True,
    shares_draws=True,
    with_validation="published+early-stopping",
    words=tuple(REPAIRS),
)


def _one_split(table: Table, *, validates: bool) -> Split:
    """Return the paper's split: a fifth of all rows tests, drawn with seed 0 and without regard to the label.

    A repair that needs validation holds out a stratified share of the training rows.
    """
    train, test = train_test_split(np.arange(table.n_rows), test_size=0.2, random_state=0)
    valid = train[:0]
    if validates:
        train, valid = train_test_split(train, test_size=VALID_SHARE, random_state=0, stratify=table.y[train])
    for name, rows in (("training", train), ("test", test)):
        if len(np.unique(table.y[rows])) < 2:
            raise BadTable(
                f"The paper's split of {table.name!r} ({table.n_rows:,} rows, {table.n_positives} positives) has one "
                f"class alone in its {name} part; --protocol strict divides the classes evenly."
            )
    return Split(0, 0, *(np.sort(rows).astype(np.int64) for rows in (train, valid, test)))


def _encode(table: Table, part: Split, features: PublishedCard, *, train_only: bool) -> Encoded:
    """Return the split's parts as the paper's code made them: some features left out, some scaled, the others raw.

    The scaler is fitted on all rows, test rows included, unless `train_only`.
    """
    used = [name for name in table.X if name not in features.drop]
    scaled = used if features.standardise is None else [name for name in used if name in features.standardise]
    raw = [name for name in used if name not in scaled]
    unfit = [name for name in used if name in table.categorical or table.X[name].isna().any()]
    if unfit:
        raise BadTable(
            f"The protocol published takes numbers without gaps; {unfit[0]!r} of {table.name!r} is a category or has "
            "missing values. --protocol strict encodes both."
        )
    transformer = ColumnTransformer([("scaled", StandardScaler(), scaled), ("raw", "passthrough", raw)])
    return encoded(table, part, transformer.fit(table.X.iloc[part.train] if train_only else table.X))


def _entry(arm: Arm, published: PublishedCard) -> dict[str, float | str]:
    """Return what the card says of the arm, else of the arm that it is a variant of, else of the method's plainest."""
    plain = arm.spelling.rows
    for name in (plain, arm.spelling.base, arm.sampler or "", _LIKE.get(arm.method, "")):
        if name in published.arms:
            given = published.arms[name]
            own = name == plain
            return {key: value for key, value in given.items() if own or key not in ROLES}
    return {}


def _network(arm: Arm, published: PublishedCard, protocol: Published) -> dict[str, object]:
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
    names, repairs = ["published"], []
    for repair in REPAIRS:
        if repair == "evaluation-mode" and card.published and not card.published.dropout:
            continue
        repairs.append(repair)
        names.append("+".join(["published", *repairs]))
    return [*names, "strict"]

"""The columns that a card names: whether a frame has them, each in one role or in roles that go together."""

from __future__ import annotations

import shlex
from itertools import product

import pandas as pd

from bench.data.cards import Dataset, dataset_names
from bench.data.cards import card as registered
from bench.data.dateformats import pattern_of
from bench.data.dates import PARTS
from bench.data.raw.archives import listed
from bench.errors import BadTable, UnknownName


def check_columns(frame: pd.DataFrame, card: Dataset) -> None:
    """Raise unless the columns are distinct and those that the card names are there, in one role each."""
    if card.date_format is not None:
        pattern_of(card.date_format)  # raises
    repeated = list(frame.columns[frame.columns.duplicated()].unique())
    if repeated:
        raise BadTable(f"More than one column is named {listed(repeated)}; give each its own name.")
    single = [name for name in (card.time, card.amount, card.entity) if name is not None]
    optional = {
        *made_of_dates(frame, card),
        *(registered(card.name).drop if card.name in dataset_names() else ()),
    }
    dropped = [name for name in card.drop if name not in optional]
    typed = (*card.categorical, *card.numeric)
    for name in (card.target, *single, *typed, *card.missing, *dropped):
        if name not in frame:
            read = [note for note in frame.attrs.get("notes", ()) if "header" in note]
            raise UnknownName("column", name, frame.columns, "".join(f" As read: {note}." for note in read))
    _check_roles(card)
    if frame.empty:
        raise BadTable(
            f"The table {card.name!r} has {len(frame.columns)} columns but no rows; give one with rows."
        )


def made_of_dates(frame: pd.DataFrame, card: Dataset) -> set[str]:
    """Return the names that columns made of dates may have, which a user may drop too."""
    return {f"{name} ({part})" for name in frame for part in PARTS} if card.dates == "numeric" else set()


def _check_roles(card: Dataset) -> None:
    """Raise BadTable for a column in two roles that do not go together."""
    single = [name for name in (card.time, card.amount, card.entity) if name is not None]
    typed = (*card.categorical, *card.numeric)
    if card.target in (*single, *typed, *card.missing, *card.drop):
        raise BadTable(
            f"The target {card.target!r} is also dropped, time, amount, entity, category or number, or has numbers "
            "that stand for missing; give it one role."
        )
    if both := [name for name in card.numeric if name in card.categorical]:
        raise BadTable(f"The column {both[0]!r} is to be numbers and categories; give it one role.")
    if card.sources:
        return
    read_as = {"--categorical": card.categorical, "--numeric": card.numeric, "--missing": tuple(card.missing)}
    no_features = {"--drop": card.drop, "--time": (card.time,), "--entity": (card.entity,)}
    for (reading, read), (role, names) in product(read_as.items(), no_features.items()):
        is_read_all_the_same = reading == "--missing" and role != "--drop"
        if both := [name for name in read if name in names and not is_read_all_the_same]:
            raise BadTable(
                f"{role} {shlex.quote(both[0])} makes {both[0]!r} no feature, and {reading} says how to read it as "
                "one; leave one of them out."
            )

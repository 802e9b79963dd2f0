"""What was read: a table's rows, label and columns, and what its owner should look at before anything trains.

`bench describe` prints it whole, a run its first lines; how the columns were read stands in every record too
(`Table.recipe`).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pandas as pd

from bench.data.dates import PARTS
from bench.data.encode import MAX_CATEGORIES
from bench.data.extremes import code_notes, extreme_notes
from bench.data.leaks import suspicions
from bench.data.split import notes as split_notes
from bench.data.table import Table
from bench.data.values import Series

FOLDS = 5  # of the protocol strict, by default
_SAMPLE = 10_000  # rows that show of most columns that they have too many values to be codes
EXAMPLES = 3  # values of a column that are shown
NAMED = 8  # columns that a line names
CODES = (3, 20)  # different whole numbers that may be codes of categories
FEW_DISTINCT = 0.1  # distinct rows per row, below which the table says so
BALANCED = (0.4, 0.6)  # the share of positives at which there is no imbalance to speak of


@dataclass(frozen=True)
class Feature:
    """One feature: its kind, how many values are missing and how many differ, and some of them."""

    name: str
    kind: str
    n_missing: int
    n_values: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """What was read of a table. `notes` say what reading did, `warnings` what may mislead: a line each."""

    dataset: str
    source: str
    n_rows: int
    n_distinct: int
    target: str
    positive: str | None
    negative: str | None
    n_positives: int
    prevalence: float
    columns: tuple[Feature, ...]
    dropped: tuple[str, ...]
    time: str | None
    amount: str | None
    entity: str | None
    n_entities: int | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(table: Table, folds: int = FOLDS) -> Description:
    """Return what was read; it looks at every column once. `folds` are those that its rows are to be dealt to."""
    card = table.card
    positive, negative = table.label_values
    n_distinct = int(table.equality.known.max(initial=-1)) + 1
    return Description(
        dataset=table.name,
        source=table.source,
        n_rows=table.n_rows,
        n_distinct=n_distinct,
        target=card.target,
        positive=positive,
        negative=negative,
        n_positives=table.n_positives,
        prevalence=table.prevalence,
        columns=tuple(_column(table.X[name]) for name in table.X),
        dropped=card.drop,
        time=card.time,
        amount=card.amount,
        entity=card.entity,
        n_entities=None if table.entity is None else len(set(table.entity.tolist())),
        notes=(
            *table.notes,
            *_notes(table, n_distinct),
            *_far_and_codes(table),
            *split_notes(table, folds),
        ),
        warnings=tuple(suspicions(table)),
    )


def first_lines(about: Description) -> list[str]:
    """Return the lines with which a run begins: what was read, its notes and warnings."""
    by_kind = {
        kind: [column.name for column in about.columns if column.kind == kind]
        for kind in ("number", "category")
    }
    kinds = [f"{len(names)} {_PLURAL[kind]} ({_some(names)})" for kind, names in by_kind.items() if names]
    n_gaps = sum(column.n_missing > 0 for column in about.columns)
    gaps = f"; missing values in {n_gaps} of them" if n_gaps else ""
    roles = [f"{role} {name!r}" for role in ("time", "amount", "entity") if (name := getattr(about, role))]
    left_out = [f"left out: {_some(list(about.dropped))}"] if about.dropped else []
    return [
        f"{about.dataset}: {about.n_rows:,} rows, {about.n_positives:,} positives ({about.prevalence:.4%})",
        *_label_line(about),
        "; ".join([f"read as {' and '.join(kinds)}{gaps}", *roles, *left_out]),
        *about.notes,
        *(f"warning: {line}" for line in about.warnings),
    ]


def _label_line(about: Description) -> list[str]:
    """Return the label in a line: its two values and their rows."""
    if about.positive is None or about.negative is None:
        return []
    n_negatives = about.n_rows - about.n_positives
    positive = f"{about.positive} ({about.n_positives:,} rows)"
    return [f"label {about.target!r}: {positive} against {about.negative} ({n_negatives:,})"]


_PLURAL = {"number": "numbers", "category": "categories"}


def _some(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _column(column: Series) -> Feature:
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    values = column.dropna()
    most = values.value_counts().index[:EXAMPLES] if is_category else values.iloc[:EXAMPLES]
    examples = tuple(str(value) if is_category else f"{value:g}" for value in most)
    return Feature(
        str(column.name),
        "category" if is_category else "number",
        len(column) - len(values),
        int(values.nunique()),
        examples,
    )


def _notes(table: Table, n_distinct: int) -> list[str]:
    """Return in a line each what is unusual of the rows and label, and which numbers may be codes."""
    notes = []
    if n_distinct < FEW_DISTINCT * table.n_rows:
        notes.append(
            f"{table.n_rows:,} rows are {n_distinct:,} different ones: equal rows are on one side of every split, "
            "as far as they fit there"
        )
    if table.prevalence > BALANCED[1]:
        notes.append(
            f"the positive label is the majority ({table.prevalence:.1%} of the rows); --positive with the other value "
            "turns it round"
        )
    elif table.prevalence >= BALANCED[0]:
        notes.append(
            f"the label is balanced ({table.prevalence:.1%} positives): there is little to re-balance"
        )
    if _is_own(table) and (codes := _codes(table.X)):
        typed = " ".join(f"--categorical {shlex.quote(name)}" for name in codes[:NAMED])
        notes.append(
            f"whole numbers of few values are read as numbers; for those that are codes, give {typed}"
        )
    many = [name for name in table.categorical if table.X[name].nunique(dropna=False) > MAX_CATEGORIES]
    if many and table.card.high_cardinality == "onehot":
        way_out = (
            "; --high-cardinality target encodes all of them by the label's mean" if _is_own(table) else ""
        )
        notes.append(
            f"categories of more than {MAX_CATEGORIES} values, of which the rarest share one: {_some(many)}{way_out}"
        )
    return notes


def _is_own(table: Table) -> bool:
    """Return whether a table is its user's own, and no registered one with a card."""
    return not table.card.sources and table.card.simulator is None


def _far_and_codes(table: Table) -> list[str]:
    """Return a line for each column with values far out or apart; in one's own table also for what looks like codes."""
    if not _is_own(table):
        return extreme_notes(table.X, table.numeric, is_own=False)
    by_column = {name: extreme_notes(table.X, [name]) for name in table.numeric}
    return [line for name, lines in by_column.items() for line in lines or code_notes(table.X, [name])]


def _codes(X: pd.DataFrame) -> list[str]:
    """Return the columns of numbers that may be codes of categories: whole numbers of few values."""
    names = []
    made_of_dates = tuple(f" ({part})" for part in PARTS)
    for name in X.select_dtypes("number"):
        if str(name).endswith(made_of_dates):
            continue
        if X[name].iloc[:_SAMPLE].nunique() > CODES[1]:
            continue
        values = X[name].dropna().unique()
        if CODES[0] <= len(values) <= min(CODES[1], len(X) // 10) and (values % 1 == 0).all():
            names.append(str(name))
    return names

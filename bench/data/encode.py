"""From a table's columns to the numbers that methods see, fitted on training rows only.

Numeric columns: missing values become the training median, with a 0/1 column that marks them; then zero mean and unit
variance. Where a few values are huge, they are drawn in before (`bench.data.extremes`). Categorical columns: one-hot,
missing being a category of its own; beyond 50 categories the rarest share one. A category first met in the test part is
encoded as the rare ones are, or as all zeros. If the card says ``target``, a column of more than 50 categories becomes
one number, the share of positives that a row's category has among other training rows, drawn to that of all. A protocol
may encode in another way (`bench.contract.Protocol.encode`).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from bench.data.extremes import Tails, extremes
from bench.data.split import RowIds, Split
from bench.data.table import Table

VERSION = 1
MAX_CATEGORIES = 50
MISSING = "(missing)"
SHARES_FOLDS = 5  # of training rows, each encoded by the labels of the others
SMOOTH = 20.0  # rows as all training rows are, that a category's share is drawn to
LARGEST = 1e6  # standard deviations, where values are cut off: only a column that hardly varies in training has more


@dataclass(frozen=True)
class Part:
    """Encoded rows: `rows` (n,) int64 ids, `X` (n, d) float32; `y` (n,) int8, None for the test part.

    `rows` is -1 for rows that a sampler made up. `probability` (n,) float64 is P(y=1 | x) where a
    simulator knows it, None elsewhere.
    """

    rows: RowIds
    X: NDArray[np.float32]
    y: NDArray[np.int8] | None
    probability: NDArray[np.float64] | None = None

    @property
    def labels(self) -> NDArray[np.int8]:
        """The labels of a part that has them; a test part's are out of every method's reach."""
        if self.y is None:
            raise AttributeError("the test part has no labels here: only the runner scores it")
        return self.y


@dataclass(frozen=True)
class Units:
    """What was done to the columns' units: an encoded column is (its number − `center`) / `spread`; both (d,) float64.

    A column that was left as it is has center 0 and spread 1. What was drawn in stays so in the column's own units.
    """

    center: NDArray[np.float64]
    spread: NDArray[np.float64]

    def restore(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return encoded rows (n, d) in the columns' own units, as exact as float32 holds the encoded ones."""
        return X.astype(np.float64) * self.spread + self.center


@dataclass(frozen=True)
class Encoded:
    """The three parts of one split, encoded alike, with the encoded features' names and what was done to their units.

    `units` is None where a protocol's own encoding does not say it.
    """

    train: Part
    valid: Part
    test: Part
    feature_names: tuple[str, ...]
    units: Units | None = None

    @cached_property
    def training(self) -> Part:
        """Training and validation rows together, by their ids."""
        order = np.argsort(np.concatenate([self.train.rows, self.valid.rows]))

        def both(name: str) -> NDArray[Any]:
            whole: NDArray[Any] = np.concatenate([getattr(self.train, name), getattr(self.valid, name)])[
                order
            ]
            return whole

        probability = None if self.train.probability is None else both("probability")
        return Part(both("rows"), both("X"), both("labels"), probability)

    @property
    def nothing(self) -> Part:
        """No rows: the validation part of what validates no more."""
        return Part(self.valid.rows[:0], self.valid.X[:0], self.valid.labels[:0])


def encode(table: Table, split: Split) -> Encoded:
    """Return the split's parts as float32 matrices; nothing but training rows is looked at to fit."""
    tails = extremes(table.X.iloc[split.train], table.numeric)
    large = _large(table, split.train) if table.card.high_cardinality == "target" else []
    transformer, training = _transformer(table, large), _columns(table, split.train, tails)
    if not large:
        return encoded(table, split, transformer.fit(training), tails=tails)
    train = transformer.fit_transform(training, table.y[split.train])
    return encoded(table, split, transformer, tails=tails, train=train)


def encoded(
    table: Table,
    split: Split,
    transformer: ColumnTransformer,
    *,
    tails: Mapping[str, Tails] | None = None,
    train: NDArray[np.float64] | None = None,
) -> Encoded:
    """Return the split's parts as a fitted transformer makes them, of columns whose `tails` were drawn in.

    `train` are the training rows where these are not encoded as others are.
    """
    names = transformer.get_feature_names_out()
    drawn_in = tails or {}

    def part(rows: RowIds, y: NDArray[np.int8] | None, X: NDArray[np.float64] | None = None) -> Part:
        if X is None:
            with np.errstate(over="ignore"):  # infinite is LARGEST, as anything far out is
                X = transformer.transform(_columns(table, rows, drawn_in)) if len(rows) else None
        X = np.empty((0, len(names))) if X is None else X
        X = np.clip(X, -LARGEST, LARGEST, out=X)
        return Part(
            rows,
            np.ascontiguousarray(X, dtype=np.float32),
            y,
            None if table.probability is None else table.probability[rows],
        )

    # The prefix keeps apart, for scikit-learn, a number `a_b` and the value `b` of a category `a`.
    features = tuple(name.partition("__")[2] for name in names)
    return Encoded(
        train=part(split.train, table.y[split.train], train),
        valid=part(split.valid, table.y[split.valid]),
        test=part(split.test, None),
        feature_names=features,
        units=_units(transformer, features, drawn_in),
    )


def _units(transformer: ColumnTransformer, features: Sequence[str], tails: Mapping[str, Tails]) -> Units:
    """Return center and spread of every column that a fitted transformer's last step standardised."""
    center, spread = np.zeros(len(features)), np.ones(len(features))
    for name, fitted, columns in transformer.transformers_:
        place = transformer.output_indices_[name]
        last = fitted[-1] if isinstance(fitted, Pipeline) else fitted
        if isinstance(last, StandardScaler) and place.stop > place.start:
            center[place], spread[place] = last.mean_, last.scale_
            for i, column in enumerate(columns):  # they come first, then their indicators
                if column in tails:
                    own, at = tails[column], place.start + i
                    with np.errstate(over="ignore"):
                        center[at], spread[at] = own.center + own.spread * center[at], own.spread * spread[at]
    return Units(center, spread)


def _large(table: Table, rows: RowIds) -> list[str]:
    """Return the categories of more than MAX_CATEGORIES values in these rows, missing being one."""
    return [
        name for name in table.categorical if table.X[name].iloc[rows].nunique(dropna=False) > MAX_CATEGORIES
    ]


def _columns(table: Table, rows: RowIds, tails: Mapping[str, Tails]) -> pd.DataFrame:
    frame = table.X.iloc[rows]
    texts = {
        name: frame[name].astype(object).where(frame[name].notna(), MISSING) for name in table.categorical
    }
    drawn_in = {name: own.draw_in(frame[name].to_numpy(np.float64)) for name, own in tails.items()}
    return frame.assign(**texts, **drawn_in)


def _transformer(table: Table, large: Collection[str] = ()) -> ColumnTransformer:
    """Return what encodes a table's columns, the categories of `large` by their share of positives."""
    numeric = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    categorical = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_CATEGORIES,
        sparse_output=False,
        dtype=np.float32,
    )
    small = [name for name in table.categorical if name not in large]
    steps = [("numeric", numeric, table.numeric), ("categorical", categorical, small)]
    if large:
        shares = _Shares(target_type="binary", smooth=SMOOTH)
        steps.append(("target", make_pipeline(shares, StandardScaler()), list(large)))
    return ColumnTransformer(steps)


class _Shares(TargetEncoder):  # type: ignore[misc]  # scikit-learn is untyped
    """A category's share of positives; of a training row, among the rows of other folds, so that none tells its own.

    scikit-learn's own cross-fitting takes its shuffling in another way from release to release.
    """

    def fit_transform(self, X: pd.DataFrame, y: NDArray[np.int8]) -> NDArray[np.float64]:
        """Return the training rows (n, columns) as cross-fitted shares, and fit on all of them for others."""
        encoded = np.empty(X.shape)
        folds = StratifiedKFold(SHARES_FOLDS, shuffle=True, random_state=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            for others, rows in folds.split(X, y):
                encoded[rows] = clone(self).fit(X.iloc[others], y[others]).transform(X.iloc[rows])
        self.fit(X, y)
        return encoded

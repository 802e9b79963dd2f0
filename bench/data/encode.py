"""From a table's columns to the numbers that methods see, fitted on training rows only.

Numeric columns: missing values become the training median, with a 0/1 column that marks them; then zero mean and unit
variance. Categorical columns: one-hot, missing being a category of its own; beyond 50 categories the rarest share one.
A category first met in the test part is encoded as the rare ones are, or as all zeros. A protocol may encode in another
way (`bench.contract.Protocol.encode`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.data.split import RowIds, Split
from bench.data.table import Table

VERSION = 1
MAX_CATEGORIES = 50
MISSING = "(missing)"
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

    A column that was left as it is has center 0 and spread 1.
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


def encode(table: Table, split: Split) -> Encoded:
    """Return the split's parts as float32 matrices; nothing but training rows is looked at to fit."""
    return encoded(table, split, _transformer(table).fit(_columns(table, split.train)))


def encoded(table: Table, split: Split, transformer: ColumnTransformer) -> Encoded:
    """Return the split's parts as a fitted transformer makes them."""
    names = transformer.get_feature_names_out()

    def part(rows: RowIds, y: NDArray[np.int8] | None) -> Part:
        X = transformer.transform(_columns(table, rows)) if len(rows) else np.empty((0, len(names)))
        X = np.clip(X, -LARGEST, LARGEST, out=X)
        return Part(
            rows,
            np.ascontiguousarray(X, dtype=np.float32),
            y,
            None if table.probability is None else table.probability[rows],
        )

    return Encoded(
        train=part(split.train, table.y[split.train]),
        valid=part(split.valid, table.y[split.valid]),
        test=part(split.test, None),
        # The prefix keeps apart, for scikit-learn, a number `a_b` and the value `b` of a category `a`.
        feature_names=tuple(name.partition("__")[2] for name in names),
        units=_units(transformer, len(names)),
    )


def _units(transformer: ColumnTransformer, n_features: int) -> Units:
    """Return center and spread of every column that a fitted transformer's last step standardised."""
    center, spread = np.zeros(n_features), np.ones(n_features)
    for name, fitted, _ in transformer.transformers_:
        place = transformer.output_indices_[name]
        last = fitted[-1] if isinstance(fitted, Pipeline) else fitted
        if isinstance(last, StandardScaler) and place.stop > place.start:
            center[place], spread[place] = last.mean_, last.scale_
    return Units(center, spread)


def _columns(table: Table, rows: RowIds) -> pd.DataFrame:
    frame = table.X.iloc[rows]
    texts = {
        name: frame[name].astype(object).where(frame[name].notna(), MISSING) for name in table.categorical
    }
    return frame.assign(**texts)


def _transformer(table: Table) -> ColumnTransformer:
    numeric = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    categorical = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MAX_CATEGORIES,
        sparse_output=False,
        dtype=np.float32,
    )
    return ColumnTransformer(
        [("numeric", numeric, table.numeric), ("categorical", categorical, table.categorical)]
    )

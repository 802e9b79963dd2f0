"""The columns of a table as features of two kinds: numbers and categories.

Some columns are of use to no encoder, sampler or network: dates, empty or constant columns, infinite values, and
texts that are names rather than categories. They are refused, and the error names the options that leave them out.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.raw.archives import listed
from bench.data.raw.plain import EXACT
from bench.errors import BadTable

CODES = 20  # up to so many different numbers beside texts are taken for codes of categories
STRAY_SHARE = 0.8  # of numbers in a column of texts, above which the other texts are taken for slips
MAX_LEVELS = 1000  # a text column with more values than this, most of them seen once, is no category

Numbers = NDArray[np.float64]
Series: TypeAlias = "pd.Series[Any]"  # of any dtype: what it holds is known when it is read

_NUMBER_KINDS = ("string", "boolean", "integer", "floating", "mixed-integer-float", "decimal", "empty")


def features(frame: pd.DataFrame, categorical: Collection[str] = ()) -> pd.DataFrame:
    """Return a frame's columns as features, the columns `categorical` as categories whatever they hold.

    Returns
    -------
    DataFrame, (n, d)
        Numbers, logical values and texts that are all numbers as float64, NaN where missing; other texts and
        declared categories as dtype category over their sorted texts.

    Raises
    ------
    BadTable
        With all columns at fault: empty or constant, infinite values, texts that hardly come again; with the
        first one that holds dates, or lists and the like.
    """
    X = pd.DataFrame({name: _feature(frame[name], name in categorical) for name in frame})
    _refuse_merged(X, frame)
    _refuse_uninformative(X)
    _refuse_infinite(X)
    _refuse_free_text(X)
    return X


def _feature(column: Series, is_category: bool) -> Series:
    """Return one column as float64 or as a category."""
    if is_category or isinstance(column.dtype, pd.CategoricalDtype):
        return _category(column)
    if column.dtype.kind in "mM":
        raise BadTable(
            f"The column {column.name!r} holds dates, no feature; give --time or --drop {_quoted(column)}."
        )
    values = numbers(column)
    if values is None:
        _refuse_stray_texts(column)
        return _category(column)
    return pd.Series(values, name=column.name)


def _refuse_stray_texts(column: Series) -> None:
    """Raise BadTable where a few texts stand among numbers: as categories, the numbers would be lost."""
    texts = column.dropna().astype(str)
    is_stray = pd.to_numeric(texts, errors="coerce").isna()
    stray, usual = texts[is_stray], texts[~is_stray]
    if len(usual) > STRAY_SHARE * len(texts) and usual.nunique() > CODES:
        examples = ", ".join(repr(text) for text in stray.unique()[:3])
        raise BadTable(
            f"The column {column.name!r} holds numbers but for {len(stray):,} of {len(texts):,} values, such as "
            f"{examples}; make those empty or numbers, or give --drop {_quoted(column)}."
        )


def numbers(column: Series) -> Numbers | None:
    """Return a column as float64, (n,), if all its values are numbers, logical or their texts; else None."""
    if column.dtype.kind in "biuf":
        return column.to_numpy(np.float64, na_value=np.nan, copy=True)
    if pd.api.types.infer_dtype(column, skipna=True) not in _NUMBER_KINDS:
        return None
    missing = column.isna()
    parsed = pd.to_numeric(column.astype(object).mask(missing, None), errors="coerce")
    values: Numbers = parsed.to_numpy(np.float64, na_value=np.nan, copy=True)
    return values if np.array_equal(np.isnan(values), missing) else None


def _category(column: Series) -> Series:
    """Return a column as a category over the sorted texts of its values."""
    try:
        codes, values = pd.factorize(column)
    except TypeError as error:  # lists and the like have no hash
        raise BadTable(
            f"The column {column.name!r} does not hold single values; give --drop {_quoted(column)}."
        ) from error
    words = [_word(value) for value in values]
    levels = sorted(set(words))
    place = {word: i for i, word in enumerate(levels)}
    lookup = np.array([*(place[word] for word in words), -1], dtype=np.intp)  # the last: code -1, missing
    return pd.Series(
        pd.Categorical.from_codes(lookup[codes], categories=pd.Index(levels, dtype=str)), name=column.name
    )


def _word(value: object) -> str:
    """Return a category's name: whole numbers without a point, because a missing value makes ints floats."""
    return str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value)


def _refuse_merged(X: pd.DataFrame, frame: pd.DataFrame) -> None:
    """Raise BadTable with all columns whose different whole numbers are one and the same float64."""
    constant = [str(name) for name in X.select_dtypes("number") if X[name].nunique() == 1]
    merged = [
        name for name in constant if abs(X[name].max()) >= EXACT and frame[name].astype(str).nunique() > 1
    ]
    if merged:
        raise BadTable(
            f"Whole numbers beyond 2^53 that become one number as float64, in {listed(merged)}; give {_drops(merged)}, "
            "or --categorical where they are codes."
        )


def _refuse_uninformative(X: pd.DataFrame) -> None:
    """Raise BadTable with all columns that are empty or hold one value in every row."""
    n_values = {str(name): X[name].nunique() for name in X}
    empty = [name for name, count in n_values.items() if count == 0]
    constant = [name for name, count in n_values.items() if count == 1 and X[name].notna().all()]
    if empty or constant:
        faults = [
            f"{fault}: {listed(names)}"
            for fault, names in (("all missing", empty), ("constant", constant))
            if names
        ]
        raise BadTable(f"Columns that say nothing ({'; '.join(faults)}); give {_drops(empty + constant)}.")


def _refuse_infinite(X: pd.DataFrame) -> None:
    """Raise BadTable with all columns that hold infinite values, and how many."""
    counts = {str(name): int(np.isinf(X[name]).sum()) for name in X.select_dtypes("number")}
    names = [name for name, count in counts.items() if count]
    if names:
        columns = ", ".join(f"{name!r} ({counts[name]:,})" for name in names)
        raise BadTable(f"Infinite values in {columns}; make them empty or finite, or give {_drops(names)}.")


def _refuse_free_text(X: pd.DataFrame) -> None:
    """Raise BadTable with all text columns whose values hardly come again: names, texts, identifiers."""
    counts = {str(name): len(X[name].cat.categories) for name in X.select_dtypes("category")}
    free = [name for name, count in counts.items() if count > max(MAX_LEVELS, X[name].notna().sum() / 2)]
    if free:
        columns = ", ".join(f"{name!r} ({counts[name]:,} values)" for name in free)
        raise BadTable(f"Too many different texts for categories in {columns}; give {_drops(free)}.")


def _drops(names: list[str]) -> str:
    """Return the options that drop the columns."""
    return " ".join(f"--drop {shlex.quote(name)}" for name in names)


def _quoted(column: Series) -> str:
    """Return a column's name as a shell takes it."""
    return shlex.quote(str(column.name))

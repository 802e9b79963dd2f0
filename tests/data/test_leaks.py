"""Suspicions: what may tell the label is named, what may not is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler

from bench.data.cards import card, card_for_file, card_for_frame
from bench.data.leaks import suspicions
from bench.data.table import Table, load

N = 1000
RNG = np.random.default_rng(0)
Y = (RNG.random(N) < 0.1).astype(int)
PLAIN = {"a": RNG.normal(size=N), "b": RNG.normal(size=N) + Y, "c": RNG.normal(size=N).round(1)}


def table(**columns: Any) -> Table:
    """Return a table of three plain columns and these."""
    return load(card_for_frame("y"), frame=pd.DataFrame({**PLAIN, **columns, "y": Y}))


def test_plain_columns_are_not_suspicious() -> None:
    assert suspicions(table()) == []


@pytest.mark.parametrize("name", ["fraud-sim", "loan-sim"])
def test_simulated_sets_are_not_suspicious(name: str) -> None:
    assert suspicions(load(card(name), rows=5000)) == []


@pytest.mark.parametrize(
    ("name", "values", "fault"),
    [
        ("id", RNG.permutation(N), "has another value in every row, an identifier"),
        ("seq", np.arange(N) * 3.7, "goes with the order of the file"),
        ("falling", -np.arange(N) // 5, "goes with the order of the file"),
        ("Unnamed: 0", RNG.integers(0, 50, N), "is named like the index of a saved table"),
        ("level_0", RNG.integers(0, 50, N), "is named like the index"),
        ("copy", Y, "is a copy of the label"),
        ("reverse", 1 - Y, "is a copy of the label"),
        ("words", np.where(Y, "bad", "good"), "is a copy of the label"),
        ("scored", Y + RNG.normal(0, 0.2, N), "alone tells the label (ROC-AUC"),
        ("reason", np.where(Y, RNG.choice(["lost", "stolen"], N), "none"), "alone tells the label"),
        ("closed", np.where(Y, RNG.random(N), np.nan), "is missing where the label is one value"),
        ("sample_weight", RNG.random(N), "is named like a weight of rows"),
        ("sampling_w", RNG.random(N), "is named like a weight of rows"),
        ("pweight", RNG.random(N), "is named like a weight of rows"),
        ("Unnamed: 0.1", RNG.integers(0, 50, N), "is named like the index of a saved table"),
        ("...1", RNG.integers(0, 50, N), "is named like the index"),
        ("status", np.where(Y, RNG.choice([2, 4], N), RNG.choice([1, 3, 5], N)), "alone tells the label"),
        ("middle", np.where(Y, 0.5, RNG.choice([0, 0.7], N)) + 0.1 * RNG.random(N), "alone tells the label"),
        ("known", np.where(RNG.random(N) < 0.1, np.nan, Y), "is a copy of the label in the"),
        (
            "known_word",
            pd.Series(np.where(Y, "b", "g")).mask(RNG.random(N) < 0.1),
            "alone tells the label",
        ),
        ("slips", np.where(RNG.random(N) < 0.01, 0, np.arange(N) * 2.5), "goes with the order of the file"),
        ("gaps", np.where(np.arange(N) == 7, np.nan, RNG.permutation(N)), "numbers nearly all rows"),
        ("twice", np.maximum(RNG.permutation(N), 1), "numbers nearly all rows"),
        ("half", RNG.permutation(N) + 0.5, "has another value in every row, an identifier"),
    ],
)
def test_a_suspicious_column_is_named_with_what_to_type(name: str, values: Any, fault: str) -> None:
    (line,) = suspicions(table(**{name: values}))
    assert line.startswith(f"{name!r} {fault}")
    assert line.endswith(f": --drop '{name}'" if " " in name else f": --drop {name}")


@pytest.mark.parametrize("name", ["customer", "index"])
def test_an_index_that_was_saved_with_the_table_is_named(name: str, tmp_path: Path) -> None:
    index = pd.Index(RNG.permutation(N) + 10_000, name=name)
    pd.DataFrame({**PLAIN, "y": Y}).set_index(index).to_parquet(tmp_path / "d.parquet")
    path = tmp_path / "d.parquet"
    (line,) = suspicions(load(card_for_file(path, "y"), data_file=path))
    assert line.endswith(f"--drop {name}")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("grade", np.sort(RNG.integers(0, 7, N))),
        ("amount", RNG.random(N) * 1e5),
        ("city", RNG.choice([f"c{i}" for i in range(400)], N)),
        ("strong", Y + RNG.normal(0, 0.6, N)),
        ("index_of_prices", RNG.random(N)),
        ("weight_kg", RNG.random(N)),
        ("exposure", RNG.random(N)),
        ("rating", RNG.integers(1, 6, N)),
        ("income", RNG.lognormal(10, 1, N).round()),
        ("walk", np.cumsum(RNG.normal(size=N))),
        ("risen", np.arange(N) / N + RNG.random(N)),
        ("rarely", np.where(RNG.random(N) < 0.95, np.nan, RNG.random(N))),
        ("even", np.where(np.where(Y == 1, np.cumsum(Y), np.cumsum(1 - Y)) % 2, "u", "v")),
    ],
)
def test_an_ordinary_column_is_left_alone(name: str, values: Any) -> None:
    assert suspicions(table(**{name: values})) == []


def test_rows_made_by_a_sampler_are_known_with_an_id_of_their_own_and_when_rounded() -> None:
    X, y = SMOTE(random_state=0).fit_resample(pd.DataFrame(PLAIN), Y)
    shuffled = X.assign(y=y).sample(frac=1, random_state=0)
    for frame in (shuffled.assign(id=RNG.permutation(len(X))), shuffled.round(2)):
        assert any(
            "looks over-sampled, as by SMOTE" in line
            for line in suspicions(load(card_for_frame("y"), frame=frame))
        )
    assert suspicions(load(card_for_frame("y"), frame=pd.DataFrame(PLAIN).round(2).assign(y=Y))) == []


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), RandomOverSampler(random_state=0)])
def test_a_file_that_was_resampled_is_said_to_be(sampler: Any) -> None:
    X, y = sampler.fit_resample(pd.DataFrame(PLAIN), Y)
    lines = suspicions(load(card_for_frame("y"), frame=X.assign(y=y).sample(frac=1, random_state=0)))
    assert len(lines) == 1
    assert "the file looks over-sampled" in lines[0]

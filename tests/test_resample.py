"""Samplers are imbalanced-learn's to the bit, and what is kept on disk is never trusted blindly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

from bench import resample as module
from bench.encode import Part
from bench.errors import UnknownName
from bench.resample import SAMPLERS, resample

SEED = 2**40 + 11  # run seeds have 63 bits, imbalanced-learn's 32
BY_HAND = {
    "smote": SMOTE(random_state=SEED % 2**32),
    "borderline-smote": BorderlineSMOTE(random_state=SEED % 2**32),
    "adasyn": ADASYN(random_state=SEED % 2**32),
    "random-over": RandomOverSampler(random_state=SEED % 2**32),
    "random-under": RandomUnderSampler(random_state=SEED % 2**32),
}


def part(positives: int = 20, negatives: int = 120, seed: int = 0) -> Part:
    """Return overlapping classes in three features, row ids from 1000 on."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.array([1, 0], dtype=np.int8), [positives, negatives])
    X = rng.normal(size=(len(y), 3)).astype(np.float32) + y[:, None]
    return Part(np.arange(1000, 1000 + len(y)), X, y)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every resampled set, however quickly made, in a cache of this test's own; return its folder."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    return tmp_path / "resampled"


def same(a: Part, b: Part) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.rows, b.rows), (a.X, b.X), (a.labels, b.labels)))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_gives_what_imbalanced_learn_gives(name: str) -> None:
    rows = part()
    found = resample(rows, name, SEED)
    X, y = BY_HAND[name].fit_resample(rows.X, rows.labels)
    np.testing.assert_array_equal(found.X, X)
    np.testing.assert_array_equal(found.labels, y)
    assert (found.X.dtype, found.labels.dtype, found.rows.dtype) == (np.float32, np.int8, np.int64)
    assert found.X.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("name", ["random-over", "random-under"])
def test_rows_that_are_copies_say_which_row_they_are(name: str) -> None:
    rows = part()
    found = resample(rows, name, 3)
    np.testing.assert_array_equal(found.X, rows.X[found.rows - 1000])
    np.testing.assert_array_equal(found.labels, rows.labels[found.rows - 1000])


def test_rows_that_are_made_up_belong_to_no_row() -> None:
    assert (resample(part(), "smote", 3).rows == -1).all()


def test_no_sampler_returns_the_rows_themselves() -> None:
    rows = part()
    assert resample(rows, None, 1) is rows


def test_an_unknown_sampler_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'smote'"):
        resample(part(), "smoot", 1)


@pytest.mark.parametrize("name", ["smote", "borderline-smote", "adasyn"])
@pytest.mark.parametrize("positives", [2, 3])
def test_fewer_neighbours_are_asked_for_where_there_are_fewer(name: str, positives: int) -> None:
    rng = np.random.default_rng(0)
    y = np.array([1] * positives + [0] * 40, dtype=np.int8)
    rows = Part(np.arange(len(y)), rng.normal(size=(len(y), 2)).astype(np.float32), y)
    found = resample(rows, name, 1)
    assert found.labels.sum() >= positives


def test_a_sampler_that_cannot_work_says_so_itself() -> None:
    """ADASYN makes rows where classes meet; far apart they never do."""
    rows = part()
    apart = Part(rows.rows, rows.X + 1000 * rows.labels[:, None].astype(np.float32), rows.labels)
    with pytest.raises(RuntimeError, match="neigbours"):
        resample(apart, "adasyn", 1)


def test_the_seed_and_the_rows_decide(kept: Path) -> None:
    first = resample(part(), "smote", 1)
    assert same(first, resample(part(), "smote", 1))
    assert not same(first, resample(part(), "smote", 2))
    assert not same(first, resample(part(seed=1), "smote", 1))
    assert len(list(kept.iterdir())) == 3


def test_a_slow_set_is_made_once_and_then_read(kept: Path) -> None:
    first = resample(part(), "smote", 1)
    (file,) = kept.iterdir()
    marked = Part(first.rows, first.X + 1, first.labels)
    with file.open("wb") as opened:
        np.savez(opened, rows=marked.rows, X=marked.X, y=marked.labels)
    assert same(resample(part(), "smote", 1), marked)


def test_a_quick_set_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "KEEP_SECONDS", 1e9)
    resample(part(), "random-under", 1)
    assert not list(tmp_path.rglob("*.npz"))


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda c: b"", lambda c: c[:100], lambda c: c[:-30], lambda c: b"no numbers at all", flipped],
    ids=["empty", "head only", "tail lost", "another file", "one bit flipped"],
)
def test_a_damaged_file_of_the_cache_is_made_anew(kept: Path, damage: Any) -> None:
    first = resample(part(), "smote", 1)
    (file,) = kept.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert same(resample(part(), "smote", 1), first)
    with np.load(file, allow_pickle=False) as again:
        np.testing.assert_array_equal(again["X"], first.X)


def test_a_cache_that_cannot_keep_costs_only_the_copy(kept: Path) -> None:
    kept.write_text("a file in the folder's place")
    assert same(resample(part(), "smote", 1), resample(part(), "smote", 1))
    assert kept.read_text() == "a file in the folder's place"


def test_the_oldest_sets_make_room(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three sets fit; a fourth removes the oldest, and the newest stays even where nothing fits."""
    resample(part(), "random-over", 0)
    (first,) = kept.iterdir()
    monkeypatch.setattr(module, "KEEP_BYTES", int(3.5 * first.stat().st_size))
    os.utime(first, (1, 1))
    for seed in (1, 2, 3):
        resample(part(), "random-over", seed)
    assert len(list(kept.iterdir())) == 3
    assert not first.exists()
    monkeypatch.setattr(module, "KEEP_BYTES", 0)
    resample(part(), "random-over", 4)
    assert len(list(kept.iterdir())) == 1

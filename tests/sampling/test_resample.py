"""Samplers are imbalanced-learn's to the bit, and what is kept on disk is never trusted blindly."""

from __future__ import annotations

import errno
import inspect
import io
import os
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE, RandomOverSampler
from imblearn.under_sampling import AllKNN, ClusterCentroids, NearMiss, RandomUnderSampler
from sklearn.base import clone

from bench.data.encode import Part
from bench.errors import BadSetting, SamplerFailed, SamplerTimeout, UnknownName
from bench.sampling import resample as module
from bench.sampling import samplers
from bench.sampling.resample import SAMPLERS, resample
from bench.sampling.samplers import Sampler

SEED = 2**40 + 11  # run seeds have 63 bits, imbalanced-learn's 32
BY_HAND = {
    "random-over-once": RandomOverSampler(random_state=SEED % 2**32),
    "random-under-once": RandomUnderSampler(random_state=SEED % 2**32),
    "smote": SMOTE(random_state=SEED % 2**32),
    "borderline-smote": BorderlineSMOTE(random_state=SEED % 2**32),
    "svm-smote": SVMSMOTE(random_state=SEED % 2**32),
    "adasyn": ADASYN(random_state=SEED % 2**32),
    "near-miss": NearMiss(version=1),
    "cluster-centroids": ClusterCentroids(random_state=SEED % 2**32),
    "all-knn": AllKNN(),
    "smoteenn": SMOTEENN(random_state=SEED % 2**32),
}


def part(positives: int = 20, negatives: int = 120, seed: int = 0) -> Part:
    """Return overlapping classes in three features, row ids from 1000 on."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.array([1, 0], dtype=np.int8), [positives, negatives])
    X = rng.normal(size=(len(y), 3)).astype(np.float32) + y[:, None]
    return Part(np.arange(1000, 1000 + len(y)), X, y)


class Forgetful(dict[str, Part]):
    """Holds nothing: every call is like that of another process."""

    def __setitem__(self, name: str, part: Part) -> None:
        pass


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every resampled set, however quickly made, in a cache of this test's own; return its folder."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "REMEMBERED", 0)
    monkeypatch.setattr(module, "_alive", Forgetful())
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    return tmp_path / "resampled"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    module._remembered.clear()


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


@pytest.mark.parametrize("name", [name for name, entry in SAMPLERS.items() if entry.ratio])
def test_a_ratio_is_imbalanced_learns_own(name: str) -> None:
    rows = part(positives=20, negatives=120)
    by_hand = clone(BY_HAND[name])
    if name == "smoteenn":
        by_hand.set_params(smote=SMOTE(sampling_strategy=0.5, random_state=SEED % 2**32))
    else:
        by_hand.set_params(sampling_strategy=0.5)
    found = resample(rows, f"{name}:0.5", SEED)
    X, y = by_hand.fit_resample(rows.X, rows.labels)
    np.testing.assert_array_equal(found.X, X)
    np.testing.assert_array_equal(found.labels, y)
    if name not in ("smoteenn", "adasyn"):
        assert found.labels.sum() == pytest.approx(0.5 * (found.labels == 0).sum(), abs=1)
    assert not same(found, resample(rows, name, SEED))


@pytest.mark.parametrize("name", ["smote", "random-under-once", "smoteenn"])
def test_a_ratio_that_the_rows_have_already_leaves_them_as_they_are(name: str) -> None:
    rows = part(positives=20, negatives=40)
    assert resample(rows, f"{name}:0.5", 3) is rows
    assert resample(rows, f"{name}:0.01", 3) is rows


def test_the_rarer_class_may_be_the_positive_or_the_negative() -> None:
    rows = part(positives=120, negatives=20)
    found = resample(rows, "random-over-once:0.5", 3)
    assert (found.labels == 0).sum() == 60


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("smote:", "'' is no ratio"),
        ("smote:half", "'half' is no ratio.*smote:0.5"),
        ("smote:0", "no ratio"),
        ("smote:-1", "no ratio"),
        ("smote:1.5", "at most 1"),
        ("smote:nan", "no ratio"),
        ("all-knn:0.5", "aims at no ratio"),
    ],
)
def test_what_is_no_ratio_is_refused(text: str, answer: str) -> None:
    with pytest.raises(BadSetting, match=answer):
        resample(part(), text, 3)


@pytest.mark.parametrize("name", ["random-over-once", "random-under-once"])
def test_rows_that_are_copies_say_which_row_they_are(name: str) -> None:
    rows = part()
    found = resample(rows, name, 3)
    np.testing.assert_array_equal(found.X, rows.X[found.rows - 1000])
    np.testing.assert_array_equal(found.labels, rows.labels[found.rows - 1000])


def test_rows_that_are_made_up_belong_to_no_row() -> None:
    assert (resample(part(), "smote", 3).rows == -1).all()


def test_every_sampler_has_its_defaults_by_hand_here() -> None:
    assert list(BY_HAND) == list(SAMPLERS)


def test_runs_share_one_set_in_memory() -> None:
    """The very same object, so that a pool holds it once and XGBoost bins it once."""
    rows = part()
    assert resample(rows, "random-over-once", 3) is resample(rows, "random-over-once", 3)
    assert resample(rows, "random-over-once", 3) is resample(part(), "random-over-once", 3)
    assert resample(rows, "random-over-once", 3) is not resample(rows, "random-over-once", 4)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = part()
    first = resample(rows, "random-over-once", 0)
    monkeypatch.setattr(module, "REMEMBERED", 2 * first.X.nbytes)
    for seed in (1, 2):
        resample(rows, "random-over-once", seed)
    assert len(module._remembered) == 2
    assert resample(rows, "random-over-once", 0) is first  # held here: shared all the same
    gone = weakref.ref(first)
    del first
    for seed in (1, 2):
        resample(rows, "random-over-once", seed)
    assert gone() is None


def test_a_set_larger_than_what_is_remembered_is_shared_while_it_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 1)
    rows = part()
    held = [resample(rows, "random-over-once", seed) for seed in (0, 1, 2)]
    assert all(resample(rows, "random-over-once", seed) is held[seed] for seed in (0, 1, 2))


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
    resample(part(), "random-under-once", 1)
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


def _written(**changed: Any) -> Any:
    def damage(whole: bytes) -> bytes:
        with np.load(io.BytesIO(whole), allow_pickle=False) as kept:
            arrays = {name: changed[name](kept[name]) if name in changed else kept[name] for name in kept}
        out = io.BytesIO()
        np.savez(out, **arrays)
        return out.getvalue()

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        _written(y=lambda y: y[:10]),
        _written(y=lambda y: y + np.int8(1)),
        _written(y=lambda y: y.astype(np.float64)),
        _written(X=lambda X: X[:, :2]),
        _written(X=lambda X: np.full_like(X, np.nan)),
        _written(X=lambda X: X[0]),
        _written(rows=lambda rows: rows[:0], X=lambda X: X[:0], y=lambda y: y[:0]),
    ],
    ids=[
        "labels cut",
        "other labels",
        "labels of another kind",
        "columns cut",
        "no numbers",
        "one row",
        "empty",
    ],
)
def test_a_whole_file_that_is_no_set_of_these_rows_is_made_anew(kept: Path, damage: Any) -> None:
    test_a_damaged_file_of_the_cache_is_made_anew(kept, damage)


def test_too_few_rows_of_a_class_are_told_with_what_to_do() -> None:
    rows = part()
    one = Part(rows.rows, rows.X, (np.arange(len(rows.X)) == 3).astype(np.int8))
    with pytest.raises(SamplerFailed, match=r"needs 2 rows of the rarer class.*there is 1.*--folds"):
        resample(one, "smote", 1)


def test_a_cache_that_cannot_keep_costs_only_the_copy(kept: Path) -> None:
    kept.write_text("a file in the folder's place")
    assert same(resample(part(), "smote", 1), resample(part(), "smote", 1))
    assert kept.read_text() == "a file in the folder's place"


def test_the_oldest_sets_make_room(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three sets fit; a fourth removes the oldest, and the newest stays even where nothing fits."""
    resample(part(), "random-over-once", 0)
    (first,) = kept.iterdir()
    monkeypatch.setattr(module, "KEEP_BYTES", int(3.5 * first.stat().st_size))
    os.utime(first, (1, 1))
    for seed in (1, 2, 3):
        resample(part(), "random-over-once", seed)
    assert len(list(kept.iterdir())) == 3
    assert not first.exists()
    monkeypatch.setattr(module, "KEEP_BYTES", 0)
    resample(part(), "random-over-once", 4)
    assert len(list(kept.iterdir())) == 1


def test_what_killed_processes_left_behind_is_removed_with_the_next_set(kept: Path) -> None:
    """A file this young may still be written to."""
    kept.mkdir(parents=True)
    old, young = kept / "a.0123.11.tmp", kept / "b.0123.12.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    resample(part(), "smote", 1)
    assert sorted(path.suffix for path in kept.iterdir()) == [".npz", ".tmp"]
    assert young.exists()


# Slow samplers


@pytest.fixture
def apart(kept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let slow samplers work in a process of their own on tables of any size."""
    monkeypatch.setattr(module, "SLOW_ROWS", 0)
    return kept


def limited(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    entry = SAMPLERS["svm-smote"]
    changed = {**SAMPLERS, "svm-smote": Sampler(entry.make, entry.description, seconds)}
    monkeypatch.setattr(samplers, "SAMPLERS", changed)


@pytest.mark.parametrize("name", [name for name, entry in SAMPLERS.items() if entry.slow])
def test_a_process_of_its_own_gives_the_same_rows(name: str, apart: Path) -> None:
    rows = part()
    found = resample(rows, name, SEED)
    X, y = BY_HAND[name].fit_resample(rows.X, rows.labels)
    np.testing.assert_array_equal(found.X, X)
    np.testing.assert_array_equal(found.labels, y)
    assert [path.suffix for path in sorted(apart.iterdir())] == [".lock", ".npz"]
    assert same(resample(rows, name, SEED), found)


def test_a_sampler_is_ended_at_its_limit_and_nobody_waits_for_it_again(
    apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process cannot even start in a hundredth of a second; the second call starts none."""
    limited(monkeypatch, 0.01)
    began = time.time() - 1
    with pytest.raises(SamplerTimeout, match=r"svm-smote took more than its 0\.01 s on 140 rows × 3 columns"):
        resample(part(), "svm-smote", 1, since=began)
    assert sorted(path.suffix for path in apart.iterdir()) == [".lock", ".timeout"]
    limited(monkeypatch, 600)
    with pytest.raises(SamplerTimeout):
        resample(part(), "svm-smote", 1, since=began)


def test_a_later_benchmark_tries_again(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 0.01)
    with pytest.raises(SamplerTimeout):
        resample(part(), "svm-smote", 1)
    limited(monkeypatch, 600)
    assert len(resample(part(), "svm-smote", 1, since=time.time() + 1).X) > 140


def test_a_samplers_own_error_comes_back_from_its_process(apart: Path) -> None:
    rows = part()
    with pytest.raises(SamplerFailed, match=r"ValueError.*NaN"):
        resample(Part(rows.rows, np.full_like(rows.X, np.nan), rows.labels), "svm-smote", 1)
    assert [path.suffix for path in apart.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("ends", "error", "told"),
    [
        ("raise MemoryError('Unable to allocate 9 GiB')", MemoryError, "9 GiB"),
        ("os.kill(os.getpid(), 9)", SamplerFailed, "killed: out of memory, or from outside"),
    ],
)
def test_memory_that_a_samplers_process_lacks_is_told(
    apart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, error: type[Exception], told: str
) -> None:
    """The sampler of the process itself ends so: its interpreter reads a module of ours at its start."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, types\n"
        f"class Full(types.ModuleType):\n    def __getattr__(self, name):\n        {ends}\n"
        "if 'bench.sampling.resample' in sys.orig_argv:\n    sys.modules['imblearn'] = Full('imblearn')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(error, match=told):
        resample(part(), "svm-smote", 1)


def test_rows_that_find_no_room_are_resampled_here(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, part: Part) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    wanted = resample(part(), "svm-smote", 1)
    monkeypatch.setattr(module, "_write", full)
    for path in apart.iterdir():
        path.unlink()
    np.testing.assert_array_equal(resample(part(), "svm-smote", 1).X, wanted.X)
    assert [path.suffix for path in apart.iterdir()] == [".lock"]


MAKE = """
import sys, time
import numpy as np
from bench.sampling import resample as module
from tests_part import part
module.SLOW_ROWS = 0
module.KEEP_SECONDS = 0.0
made = module.resample(part(), "all-knn", 1)
print(len(made.X))
"""


def test_of_two_processes_one_makes_a_slow_set(apart: Path, tmp_path: Path) -> None:
    """The other waits for it, and reads it: the file is written once."""
    source = inspect.getsource(part)
    (tmp_path / "tests_part.py").write_text(
        f"import numpy as np\nfrom bench.data.encode import Part\n\n\n{source}"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen([sys.executable, "-c", MAKE], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert said[0] == said[1] != ""
    assert len(list(apart.glob("*.npz"))) == 1
    assert not list(apart.glob("*.tmp"))


def test_a_killed_parent_takes_the_samplers_process_along() -> None:
    endless = "import time; from bench.sampling.resample import _end_with_parent; _end_with_parent(); "
    endless += "print('ready', flush=True); time.sleep(100)"
    code = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {endless!r}]); "
    code += "print(p.pid, flush=True); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
    deadline = time.monotonic() + 10
    while (there := alive(child)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not there


def alive(pid: int) -> bool:
    """Return whether the process runs; one that nobody has reaped does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"

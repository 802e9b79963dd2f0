"""Records survive kills, flipped bits and full disks: whole, or absent and run again."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.disk import write_text
from bench.errors import BadStore, DiskFull
from bench.names import digest
from bench.stats.metrics import METRICS
from bench.stats.scored import Scored
from bench.store.folder import Store
from bench.store.parquet import read_checked, write_atomically
from bench.store.schema import NEEDED, SCHEMA_VERSION, SCORES, Record, as_record, record_schema
from bench.store.scores import as_table

NOW = datetime(2024, 5, 17, 12, 30, 15, 123456, tzinfo=UTC)


def record(key: str = "a" * 64) -> Record:
    """Return a record with a value of its type in every column."""
    values = {
        pa.string(): "text é",
        pa.int32(): 7,
        pa.int64(): 2**40,
        pa.float64(): 0.1,
        pa.bool_(): True,
        pa.timestamp("us", tz="UTC"): NOW,
    }
    row = {field.name: values[field.type] for field in record_schema()}
    return as_record(
        row | {"key": key, "dataset": "d", "schema": SCHEMA_VERSION, "status": "ok", "n_test": 5}
    )


def as_given(store: Store, key: str = "a" * 64) -> Record:
    """Return the stored record as it was given: the store adds the hash of the scores, which must be right."""
    found = store.read("d", key)
    assert found is not None
    assert found.scores_sha256 == digest(store.scores_path("d", key).read_bytes())
    return replace(found, scores_sha256=record().scores_sha256)


def scores(rows: int = 50, seed: int = 0) -> dict[str, Scored]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows).astype(np.int8)
    score, half = rng.random(rows), rows // 2
    return {
        "valid": Scored(y[:half], score[:half], np.arange(half)),
        "test": Scored(y[half:], score[half:], np.arange(half, rows)),
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def files(store: Store) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def test_a_record_and_its_scores_come_back_as_they_were(store: Store) -> None:
    store.write(record(), scores())
    assert as_given(store) == record()
    again = store.read_scores("d", "a" * 64)
    assert again is not None
    assert list(again) == ["valid", "test"]
    assert as_table(again).equals(as_table(scores()))
    for part, scored in scores().items():
        for name in ("y", "score", "rows"):
            assert np.array_equal(getattr(again[part], name), getattr(scored, name))
    assert files(store) == [f"runs/d/{'a' * 64}.parquet", f"scores/d/{'a' * 64}.parquet"]


def test_the_files_have_exactly_the_schema(store: Store) -> None:
    store.write(record(), scores())
    assert pq.read_schema(store.record_path("d", "a" * 64)).equals(record_schema())
    assert pq.read_schema(store.scores_path("d", "a" * 64)).equals(SCORES)
    assert {f"{part}_{name}" for part in ("valid", "test") for name in METRICS} <= set(record_schema().names)


def test_what_a_failed_run_does_not_know_is_missing(store: Store) -> None:
    known = {name: record().row()[name] for name in NEEDED}
    changes: dict[str, Any] = {"key": "b" * 64, "status": "failed", "error": "it broke"}
    store.write(Record(**(known | changes)), None)
    found = store.read("d", "b" * 64)
    assert found is not None
    assert (found.status, found.error, found.test["roc_auc"], found.schema) == (
        "failed",
        "it broke",
        None,
        SCHEMA_VERSION,
    )


def test_keys_records_and_datasets_are_what_is_there(store: Store) -> None:
    assert (store.datasets(), store.keys("d"), store.records("d")) == ([], [], [])
    for key in ("c" * 64, "a" * 64):
        store.write(record(key), scores())
    assert store.datasets() == ["d"]
    assert store.keys("d") == ["a" * 64, "c" * 64]
    assert [found.key for found in store.records("d")] == store.keys("d")
    assert store.read("d", "e" * 64) is None


@pytest.mark.parametrize("which", ["record", "scores"])
def test_no_flipped_bit_passes_as_a_value(store: Store, which: str) -> None:
    """Whatever bit of a file flips, its content is refused or is what it was; never another."""
    store.write(record(), scores())
    path = store.record_path("d", "a" * 64) if which == "record" else store.scores_path("d", "a" * 64)
    schema = record_schema() if which == "record" else SCORES
    whole, before = path.read_bytes(), read_checked(path, schema)
    rng = np.random.default_rng(1)
    places = rng.choice(len(whole), size=min(200, len(whole)), replace=False)
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert read_checked(path, schema).equals(before)
        except (OSError, ValueError, pa.ArrowException):
            refused += 1
    assert refused > len(places) / 4


def test_a_flipped_bit_in_a_record_puts_the_run_into_quarantine(store: Store) -> None:
    for key in ("a" * 64, "b" * 64):
        store.write(record(key), scores())
    damage(store.record_path("d", "a" * 64))
    assert store.read("d", "a" * 64) is None
    assert [found.key for found in store.records("d")] == ["b" * 64]
    assert files(store) == [
        f"quarantine/runs-d-{'a' * 64}.parquet",
        f"quarantine/scores-d-{'a' * 64}.parquet",
        f"runs/d/{'b' * 64}.parquet",
        f"scores/d/{'b' * 64}.parquet",
    ]


def test_a_flipped_bit_in_the_scores_puts_the_run_into_quarantine(store: Store) -> None:
    store.write(record(), scores())
    damage(store.scores_path("d", "a" * 64))
    assert store.read_scores("d", "a" * 64) is None
    assert store.read("d", "a" * 64) is None


def damage(path: Path) -> None:
    """Flip bits until the file is refused: a few of its bytes (sizes told twice) do not matter."""
    whole = path.read_bytes()
    for place in range(len(whole) // 4, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            read_checked(path)
        except (OSError, ValueError, pa.ArrowException):
            return
    raise AssertionError(f"no bit of {path} matters")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table"])
def test_a_file_that_is_no_record_is_put_away(store: Store, content: bytes) -> None:
    store.write(record(), scores())
    store.record_path("d", "a" * 64).write_bytes(content)
    assert store.read("d", "a" * 64) is None
    assert store.keys("d") == []


def test_a_record_of_another_schema_is_put_away(store: Store) -> None:
    other = pa.table({"key": ["a" * 64]})
    write_atomically(store.record_path("d", "a" * 64), other)
    assert store.read("d", "a" * 64) is None
    assert files(store) == [f"quarantine/runs-d-{'a' * 64}.parquet"]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.store.test_folder import record, scores
from bench.store.folder import Store
store = Store(Path(sys.argv[1]))
for i in range(100_000):
    store.write(record(f"{i:064x}"), scores(2000, i))
    print(i, flush=True)
"""


def test_killing_the_writer_at_any_moment_leaves_only_whole_files(tmp_path: Path) -> None:
    """Every record on the disk is whole, has its scores, and every one that was reported is there."""
    rng = np.random.default_rng(0)
    for attempt in range(4):
        store = Store(tmp_path / str(attempt))
        command = [sys.executable, "-c", WRITER, str(store.root), str(Path(__file__).parents[2])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "0\n"
            time.sleep(rng.uniform(0, 0.1))
            writer.send_signal(signal.SIGKILL)
            reported = 1 + len(writer.stdout.readlines())
        keys = store.keys("d")
        assert len(keys) in (reported, reported + 1)
        for key in keys:
            assert as_given(store, key) == record(key)
            again = store.read_scores("d", key)
            assert again is not None
            assert sum(len(scored.rows) for scored in again.values()) == 2000
        assert not (store.root / "quarantine").exists()
        store.sweep([writer.pid])
        assert not list(store.root.rglob("*.tmp"))


@pytest.fixture
def no_room() -> Iterator[Callable[[int], None]]:
    """Return a function that lets no file grow past a size: to the writer what a full disk is."""
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, previous[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, previous)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("size", [0, 100, 8000])
def test_where_no_space_is_left_nothing_half_stays_and_earlier_records_are_whole(
    store: Store, no_room: Callable[[int], None], size: int
) -> None:
    """At 8,000 bytes the scores have room and the record has none: neither stays."""
    store.write(record(), scores())
    assert (
        store.scores_path("d", "a" * 64).stat().st_size
        < 8000
        < store.record_path("d", "a" * 64).stat().st_size
    )
    no_room(size)
    with pytest.raises(
        DiskFull, match=r"No space left to write b.*Every record written before is whole"
    ) as full:
        store.write(record("b" * 64), scores())
    assert full.value.exit_code == 4
    assert files(store) == [f"runs/d/{'a' * 64}.parquet", f"scores/d/{'a' * 64}.parquet"]
    assert as_given(store) == record()
    assert store.read_scores("d", "a" * 64) is not None


def test_a_large_table_for_which_no_space_is_left_leaves_nothing(
    tmp_path: Path, no_room: Callable[[int], None]
) -> None:
    no_room(1 << 20)
    with pytest.raises(DiskFull):
        write_atomically(tmp_path / "big.parquet", as_table(scores(400_000)))
    with pytest.raises(DiskFull):
        write_text(tmp_path / "big.md", "x" * (2 << 20))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_device_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.disk.token_hex", lambda n_bytes: "token")
    (tmp_path / f"full.token.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        write_text(tmp_path / "full.md", "x")
    assert not list(tmp_path.iterdir())


def test_any_other_refusal_of_the_file_system_is_said(store: Store) -> None:
    (store.root).mkdir(parents=True)
    (store.root / "runs").write_text("a file in the folder's place")
    with pytest.raises(BadStore, match="could not be written") as refused:
        store.write(record(), None)
    assert not isinstance(refused.value, DiskFull)
    with pytest.raises(BadStore, match="Choose another with --results"):
        store.check_writable()


def test_a_results_folder_is_made_and_left_without_a_trace_of_the_probe(store: Store) -> None:
    store.check_writable()
    assert files(store) == []
    assert (store.root / "leaderboards").is_dir()


def test_writing_again_replaces_the_whole_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.md", "first and longer")
    write_text(tmp_path / "a.md", "second")
    assert (tmp_path / "a.md").read_text() == "second"


def test_only_the_ended_processes_files_are_swept(store: Store) -> None:
    store.check_writable()
    (store.root / "runs" / "d").mkdir()
    for pid in (11, 12):
        (store.root / "runs" / "d" / f"k.{pid}.tmp").write_text("half")
    store.sweep([11])
    assert files(store) == ["runs/d/k.12.tmp"]


def test_a_flipped_count_of_rows_in_the_footer_is_noticed(store: Store) -> None:
    """The footer has no checksum; a table cut short by it would be read without a word."""
    store.write(record(), scores(2000))
    path = store.scores_path("d", "a" * 64)
    whole, before = path.read_bytes(), read_checked(path, SCORES)
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        try:
            assert read_checked(path, SCORES).equals(before)
        except (OSError, ValueError, pa.ArrowException):
            continue


def test_scores_or_a_record_under_another_runs_name_are_not_believed(store: Store) -> None:
    for letter in "ab":
        store.write(record(letter * 64), scores())
    found = store.read("d", "a" * 64)
    assert found is not None
    assert store.read_scores("d", "a" * 64, found.scores_sha256) is not None
    assert store.read_scores("d", "a" * 64, "0" * 64) is None
    assert store.keys("d") == ["b" * 64]
    store.record_path("d", "c" * 64).write_bytes(store.record_path("d", "b" * 64).read_bytes())
    assert store.read("d", "c" * 64) is None


@pytest.mark.parametrize(
    "changes",
    [{"dataset": "e"}, {"dataset": "../../x"}, {"finished": None}, {"steps": None}, {"scope": None}],
)
def test_a_record_of_another_set_or_without_what_every_record_has_is_put_away(
    store: Store, changes: dict[str, Any]
) -> None:
    store.write(record(), scores())
    row = record().row() | changes
    write_atomically(store.record_path("d", "a" * 64), pa.Table.from_pylist([row], schema=record_schema()))
    assert store.records("d") == []
    assert files(store)[0].startswith("quarantine/")


def test_what_cannot_be_read_now_is_told_and_not_put_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(record(), scores())

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("bench.store.folder.read_checked", refused)
    with pytest.raises(BadStore, match="Permission denied"):
        store.records("d")
    with pytest.raises(BadStore, match="Permission denied"):
        store.read_scores("d", "a" * 64)
    assert not [name for name in files(store) if name.startswith("quarantine")]


def test_a_damaged_record_that_cannot_be_moved_is_told(store: Store) -> None:
    store.write(record(), scores())
    store.record_path("d", "a" * 64).write_bytes(b"torn")
    (store.root / "quarantine").write_bytes(b"a file where a folder belongs")
    with pytest.raises(BadStore, match="damaged and cannot be moved"):
        store.records("d")

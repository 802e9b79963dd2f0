"""The one atomic writer: a file is whole or as it was, whatever happens while it is written."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.disk import (
    read_bytes,
    remove_stale,
    replacing,
    temporary_beside,
    write_bytes,
    write_file,
    write_text,
)
from bench.errors import BadStore

SYNC = pytest.mark.parametrize("sync", [True, False])


@SYNC
def test_what_the_block_writes_becomes_the_file_in_a_folder_made_if_need_be(
    tmp_path: Path, sync: bool
) -> None:
    path = tmp_path / "a" / "b" / "table.csv"
    with replacing(path, sync=sync) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.name.endswith(f".{os.getpid()}.tmp")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@SYNC
@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_the_file_as_it_was(
    tmp_path: Path, sync: bool, error: type[BaseException]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("as it was")

    def write() -> None:
        with replacing(path, sync=sync) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "table.csv", sync=False):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_has_the_mode_that_any_new_file_has(tmp_path: Path) -> None:
    """A temporary file made by `tempfile` would be readable by its owner only."""
    (tmp_path / "plain").write_bytes(b"x")
    write_bytes(tmp_path / "ours", b"x")
    plain, ours = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours"))
    assert plain == ours


def test_writers_of_one_file_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Eight threads of one process: each has a temporary file of its own, and the file is one of theirs, whole."""
    path, together = tmp_path / "table.csv", threading.Barrier(8)
    contents = [bytes([i]) * 100_000 for i in range(8)]

    def write(content: bytes) -> None:
        together.wait(10)
        for _ in range(20):
            write_bytes(path, content)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


WRITER = """
import sys, time
from pathlib import Path
from bench.disk import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("half", flush=True)
    time.sleep(100)
"""


def test_a_killed_writer_leaves_the_file_as_it_was_and_its_temporary_file_goes_once_it_is_old(
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("as it was")
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "as it was"
    (temporary,) = tmp_path.glob(f"*.{writer.pid}.tmp")
    remove_stale(tmp_path, 60)
    assert temporary.exists(), "a file this young may still be written to"
    os.utime(temporary, (1, 1))
    remove_stale(tmp_path, 60)
    assert list(tmp_path.iterdir()) == [path]


def test_stale_files_are_removed_in_folders_below_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    kept, stale = tmp_path / "old.csv", tmp_path / "below" / "old.12.tmp"
    for path in (kept, stale):
        path.write_text("x")
        os.utime(path, (1, 1))
    remove_stale(tmp_path, 60)
    assert kept.exists()
    assert not stale.exists()
    remove_stale(tmp_path / "none", 60)


def test_a_temporary_file_is_gone_after_its_block(tmp_path: Path) -> None:
    with temporary_beside(tmp_path / "rows.npz") as first, temporary_beside(tmp_path / "rows.npz") as second:
        assert first != second
        first.write_text("x")
    assert not list(tmp_path.iterdir())


def fill_and_fail(path: Path) -> None:
    write_file(path, lambda file: [file.write(b"half"), int("none")])


@pytest.mark.parametrize(
    ("write", "error"),
    [(fill_and_fail, ValueError), (lambda path: write_text(path / "below", "x"), BadStore)],
    ids=["an error that is not the disk's", "a file in a folder's place"],
)
def test_results_that_cannot_be_written_leave_the_file_as_it_was(
    tmp_path: Path, write: Callable[[Path], None], error: type[Exception]
) -> None:
    path = tmp_path / "page.md"
    path.write_text("as it was")
    with pytest.raises(error):
        write(path)
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_there_reads_as_nothing(tmp_path: Path) -> None:
    assert read_bytes(tmp_path / "none") == b""
    assert read_bytes(tmp_path) == b""
    write_bytes(tmp_path / "some", b"content")
    assert read_bytes(tmp_path / "some") == b"content"

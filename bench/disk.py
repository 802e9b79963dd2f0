"""Files written whole or not at all: under a temporary name in the same folder, synced, then renamed.

`replacing` is the one place that does so. `write_file`, `write_bytes` and `write_text` are for results, with errors
that say what is safe; the cache of raw files, of resampled rows and of the compiled kernel call `replacing` and say
in their own words what went wrong. A killed process leaves a file `*.<its process id>.tmp` behind, never half a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from bench.errors import BadStore, DiskFull


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Give a temporary path; what the block writes there becomes `path` when the block ends.

    Where the block raises, the temporary file is removed and `path` stays as it was. Without `sync`, a file written
    shortly before a power cut may be torn: only for files that are checked when read and can be made again.
    Raises OSError where the disk refuses.
    """
    with temporary_beside(path) as temporary:
        yield temporary
        if sync:
            _sync(temporary)
        temporary.replace(path)
        if sync:
            _sync(path.parent)  # makes the new name last


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give a name in the folder of `path`, which is made if need be, and remove the file when the block ends.

    The name is no other process's or thread's, and tells the process: `<stem>.<token>.<process id>.tmp`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{token_hex(4)}.{os.getpid()}.tmp")
    try:
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_stale(folder: Path, seconds: float) -> None:
    """Remove the temporary files in and below `folder` that nobody wrote to for so long: their process was killed."""
    for temporary in folder.rglob("*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - temporary.stat().st_mtime > seconds:
                temporary.unlink()


def write_file(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file of results by `replacing`: `fill` is given the open temporary file.

    Raises DiskFull where disk, quota or the limit of a file's size is full, BadStore for any other refusal.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            fill(file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"No space left to write {path.name} in {path.parent}. Every record written before is whole; "
                "free some space and run the same command again: it goes on where it stopped."
            ) from error
        raise BadStore(f"{path} could not be written ({error.strerror or error}).") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that `path` is whole or absent; see `write_file`."""
    write_file(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 so that `path` is whole or absent; see `write_file`."""
    write_bytes(path, text.encode())


def read_bytes(path: Path) -> bytes:
    """Return what the file holds; nothing where there is no such file or it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _sync(path: Path) -> None:
    """Have the system write a file or a folder's list of names down to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

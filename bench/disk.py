"""Files written whole or not at all: to a temporary name in the same folder, synced, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bench.errors import BadStore, DiskFull


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that `path` is whole or absent; see `write_file`."""
    write_file(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 so that `path` is whole or absent; see `write_file`."""
    write_bytes(path, text.encode())


def read_bytes(path: Path) -> bytes:
    """Return what the file holds, nothing where it is none that can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def write_file(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Fill a temporary file beside `path`, sync it and rename it.

    Raises DiskFull where disk, quota or the limit of a file's size is full, BadStore for any other refusal.
    """
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"No space left to write {path.name} in {path.parent}. Every record written before is whole; "
                "free some space and run the same command again: it goes on where it stopped."
            ) from error
        raise BadStore(f"{path} could not be written ({error.strerror or error}).") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

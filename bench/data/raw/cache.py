"""The cache of raw files: which file came from where, and whether it is still what it was.

Each file lies under `raw/<data set>/<kind of source>/`, with a note beside it: its source and the hash of
its first use, to which a source that promises no hash of its own is held from then on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import filelock
import platformdirs
from pydantic import BaseModel, ValidationError

from bench.data.cards import Sha256, Source
from bench.data.raw.download import place
from bench.data.raw.files import Found, keeps_promise, measure, promise, settle, unwritable, write
from bench.names import own_path

LOCK_SECONDS = 300.0
STALE_SECONDS = 120.0  # a temporary file untouched for longer than any timeout belongs to a dead process

log = logging.getLogger(__name__)


class Note(BaseModel):
    """What the cache knows of a file: the JSON beside it."""

    source: str
    address: str
    sha256: Sha256
    size_bytes: int
    fetched: str


def cache_place() -> Path:
    """Return where the cache folder is or would be: BENCH_CACHE, or the platform's own place for it."""
    return own_path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_path("bench"))


def cache_folder() -> Path:
    """Return the cache folder, made if need be; raise BadStore where it cannot be made or written."""
    folder = cache_place()
    make_folder(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unwritable(folder, PermissionError(13, "Permission denied"))
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder of the cache; raise BadStore where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def address(source: Source) -> str:
    """Return where a source is, fit to be shown: Kaggle's name, or the address without its query."""
    return source.ref or place(source.url or "")


def note_path(path: Path) -> Path:
    """Return the place of the note beside a cached file."""
    return path.with_name(f"{path.name}.json")


def read_note(path: Path, source: Source) -> Note | None:
    """Return the note of a cached file, if there is one and it is about this source."""
    try:
        note = Note.model_validate_json(note_path(path).read_bytes())
    except (OSError, ValidationError):
        return None
    return note if note.address == address(source) else None


def write_note(path: Path, source: Source, found: Found) -> None:
    """Note the source of a cached file and the hash to which the source is held."""
    note = Note(
        source=source.kind,
        address=address(source),
        sha256=found.sha256,
        size_bytes=found.size_bytes,
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    part = path.with_name(f".{path.name}.{os.getpid()}.note.part")
    write([note.model_dump_json(indent=2).encode()], part)
    settle(part, note_path(path))


def held(source: Source, note: Note | None) -> Source:
    """Return the source with the hash of its first use, where it promises none of its own."""
    if note is None or source.sha256 or source.md5:
        return source
    return source.model_copy(update={"sha256": note.sha256, "size_bytes": note.size_bytes})


def is_held(path: Path, source: Source) -> bool:
    """Return whether there is a file at `path` of which a hash is known."""
    promised = held(source, read_note(path, source))
    return path.is_file() and bool(promised.sha256 or promised.md5)


def keeps(path: Path, source: Source) -> bool:
    """Return whether `look_up` would give the file at `path`; nothing is moved."""
    try:
        return is_held(path, source) and keeps_promise(measure(path), held(source, read_note(path, source)))
    except OSError:
        return False


def look_up(path: Path, source: Source) -> tuple[Found | None, str | None]:
    """Return what is cached at `path`, if it keeps its promise; else None, and what was wrong with it.

    A damaged file is put aside, so that it is there to be looked at and never read again. A file of
    which no hash is known is passed by.
    """
    promised = held(source, read_note(path, source))
    if not is_held(path, source):
        return None, None
    found = measure(path)
    if keeps_promise(found, promised):
        return found, None
    aside = path.with_name(f"{path.name}.corrupt")
    with contextlib.suppress(OSError):
        path.replace(aside)
    return (
        None,
        f"cache: {path} is damaged, put aside as {aside.name}: expected {promise(promised)}; found {found}",
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process fetch at a time: thrift, not safety, so that a lock not had is done without."""
    make_folder(folder)
    lock = filelock.FileLock(folder / ".lock", timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):  # filelock's Timeout is an OSError
        log.warning("no lock on %s, going on without it", folder)
    try:
        yield
    finally:
        lock.release()


def sweep(folder: Path) -> None:
    """Remove the temporary files of processes that were killed."""
    for part in folder.rglob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()

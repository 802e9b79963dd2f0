"""The cache of raw files: which file came from where, and whether it is still what it was.

Each file lies under `raw/<data set>/<kind of source>/`, with a note beside it: its source and its hash when it was
first fetched. Where a card knows no hash of a source, every later download must have the noted one.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import filelock
import platformdirs
from pydantic import BaseModel, ValidationError

from bench.data.cards import Sha256, Source
from bench.data.raw.download import without_query
from bench.data.raw.files import (
    Fingerprint,
    fingerprint,
    keeps_promise,
    promise,
    replacing_in_cache,
    unwritable,
)
from bench.disk import remove_stale
from bench.errors import BadStore
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
    """Return where the cache folder is or would be: BENCH_CACHE, or the platform's own place for it.

    Raises BadStore where BENCH_CACHE is not set and this user has no home folder.
    """
    try:
        return own_path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_path("bench"))
    except RuntimeError as error:  # HOME is not set, and the system does not know this user
        raise BadStore(
            "There is no place for the cache: HOME is not set, and the system knows no home of this user. Name a "
            "folder in the environment variable BENCH_CACHE."
        ) from error


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
    """Return where a source is, fit to be shown: Kaggle's name, a wheel's, or the address without its query."""
    return source.ref or source.requirement or without_query(source.url or "")


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


def write_note(path: Path, source: Source, content: Fingerprint) -> None:
    """Note the source of a cached file and its hash, which later downloads must have."""
    note = Note(
        source=source.kind,
        address=address(source),
        sha256=content.sha256,
        size_bytes=content.size_bytes,
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with replacing_in_cache(note_path(path)) as temporary:
        temporary.write_bytes(note.model_dump_json(indent=2).encode())


def with_noted_hash(source: Source, note: Note | None) -> Source:
    """Return the source with the hash in the note, where its card knows none."""
    if note is None or source.sha256 or source.md5:
        return source
    return source.model_copy(update={"sha256": note.sha256, "size_bytes": note.size_bytes})


def _checkable(path: Path, source: Source) -> bool:
    """Return whether there is a file at `path` of which a hash is known (`source` by `with_noted_hash`)."""
    return path.is_file() and bool(source.sha256 or source.md5)


def is_cached(path: Path, source: Source) -> bool:
    """Return whether `look_up` would give the file at `path`; nothing is moved."""
    promised = with_noted_hash(source, read_note(path, source))
    try:
        return _checkable(path, promised) and keeps_promise(fingerprint(path), promised)
    except OSError:
        return False


def look_up(path: Path, source: Source) -> tuple[Fingerprint | None, str | None]:
    """Return what is cached at `path`, if it keeps its promise; else None, and what was wrong with it.

    A damaged file is renamed to `<name>.corrupt`, so that it can be looked at and is never read again. A file of
    which no hash is known is passed by.
    """
    promised = with_noted_hash(source, read_note(path, source))
    if not _checkable(path, promised):
        return None, None
    content = fingerprint(path)
    if keeps_promise(content, promised):
        return content, None
    aside = path.with_name(f"{path.name}.corrupt")
    with contextlib.suppress(OSError):
        path.replace(aside)
    return (
        None,
        f"cache: {path} is damaged, put aside as {aside.name}: expected {promise(promised)}; found {content}",
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process fetch at a time. That only spares downloads: where there is no lock to be had, go on without."""
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


def clean(folder: Path) -> None:
    """Remove the temporary files of processes that were killed."""
    remove_stale(folder, STALE_SECONDS)

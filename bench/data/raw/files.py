"""Raw files that are whole or absent: hashed while written, unpacked with care, named last.

A file takes its name only when every byte is on the disk and is what its source promises (`bench.disk.replacing`).
From a zip exactly one member is taken, by name, and neither its size nor its ratio may exceed what a real table has.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.data.cards import Source
from bench.data.raw.archives import called
from bench.disk import replacing
from bench.errors import BadStore, HashMismatch, Unavailable

CHUNK_BYTES = 1 << 20
MAX_BYTES = 4 << 30
MAX_ZIP_RATIO = 200  # creditcard.csv packs 2:1; a bomb 1000:1


class Damaged(Unavailable):
    """A file cut short or damaged on its way, which another attempt may bring whole."""


@dataclass(frozen=True)
class Fingerprint:
    """Size and hashes of a file."""

    size_bytes: int
    sha256: str
    md5: str

    def __str__(self) -> str:
        return f"sha256 {self.sha256}, {self.size_bytes:,} bytes"


def fingerprint(path: Path) -> Fingerprint:
    """Return size and hashes of a file."""
    with path.open("rb") as file:
        return _fingerprint(iter(lambda: file.read(CHUNK_BYTES), b""))


def folder_fingerprint(folder: Path, paths: Iterable[Path]) -> Fingerprint:
    """Return the size of some files in a folder, and hashes of their names and contents."""
    contents = {path.relative_to(folder).as_posix(): fingerprint(path) for path in paths}
    lines = [f"{content.sha256} {name}\n".encode() for name, content in sorted(contents.items())]
    listing = _fingerprint(lines)
    size = sum(content.size_bytes for content in contents.values())
    return Fingerprint(size, listing.sha256, listing.md5)


def promise(source: Source) -> str:
    """Return in words what a source promises of its file: the hash and the size, where known."""
    size = f"{source.size_bytes:,} bytes" if source.size_bytes else None
    hashed = f"sha256 {source.sha256}" if source.sha256 else f"md5 {source.md5}" if source.md5 else None
    return ", ".join(word for word in (hashed, size) if word) or "any content"


def keeps_promise(content: Fingerprint, source: Source) -> bool:
    """Say whether a file is what its source promises; true of any file where nothing is promised."""
    pairs = (
        (source.sha256, content.sha256),
        (source.md5, content.md5),
        (source.size_bytes, content.size_bytes),
    )
    return all(wanted is None or wanted == actual for wanted, actual in pairs)


def verify(content: Fingerprint, source: Source, path: Path) -> None:
    """Raise Damaged for a file cut short, HashMismatch for another file than the promised one."""
    if source.size_bytes is not None and content.size_bytes < source.size_bytes:
        raise Damaged(f"{content.size_bytes:,} bytes came, {source.size_bytes:,} are expected")
    if not keeps_promise(content, source):
        md5 = "" if source.sha256 else f", md5 {content.md5}"
        raise HashMismatch(f"another file came: expected {promise(source)}; found {content}{md5}")
    if source.file.endswith((".pq", ".parquet")) and not _is_parquet(path):
        raise Damaged("what came is no whole parquet file")


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        return head == file.read(4) == b"PAR1"


@contextlib.contextmanager
def replacing_in_cache(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path`, as `bench.disk.replacing`; raise BadStore where the disk refuses.

    The block must raise no OSError but the disk's: any other would be blamed on the cache folder.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise unwritable(path.parent, error) from error


def write(chunks: Iterable[bytes], path: Path, limit: int = MAX_BYTES) -> Fingerprint:
    """Write chunks to `path` and return what was written; raise Unavailable past `limit` bytes."""
    with path.open("wb") as file:
        return _fingerprint(_copied(chunks, file.write, limit))


def _copied(chunks: Iterable[bytes], write_chunk: Callable[[bytes], object], limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise Unavailable(f"the file is larger than the {limit:,} bytes expected at most")
        write_chunk(chunk)
        yield chunk


def _fingerprint(chunks: Iterable[bytes]) -> Fingerprint:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    for chunk in chunks:
        size += len(chunk)
        sha256.update(chunk)
        md5.update(chunk)
    return Fingerprint(size, sha256.hexdigest(), md5.hexdigest())


def unwritable(folder: Path, error: OSError) -> BadStore:
    """Return the error for a cache that cannot be written."""
    return BadStore(
        f"The cache folder {folder} cannot be written: {error.strerror or type(error).__name__}. "
        "Free or unlock it, or name another folder in the environment variable BENCH_CACHE."
    )


def is_zip(path: Path) -> bool:
    """Say whether a file begins as a zip does, whatever its name."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def unpack(path: Path, name: str, limit: int) -> Fingerprint:
    """Put in the place of the zip at `path` its member called `name`, in whatever folder of the zip.

    Raises Unavailable past `limit` bytes and for a zip without the member, encrypted or a bomb; Damaged for one that
    is cut short.
    """
    with replacing(path, sync=False) as member:
        return extract(path, name, member, limit)


def extract(archive: Path, name: str, target: Path, limit: int) -> Fingerprint:
    """Write the member of a zip called `name` to `target`, wherever its name would put it; raise as `unpack` does."""
    return write(_unzipped(archive, name), target, limit)


def _unzipped(archive: Path, name: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(_member(opened, name)) as file:
            yield from iter(lambda: file.read(CHUNK_BYTES), b"")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise Damaged("the zip is damaged or cut short") from error
    except RuntimeError as error:  # NotImplementedError among them: an unknown compression
        raise Unavailable("the zip is packed in a way that cannot be read") from error


def _member(opened: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    infos = [info for info in opened.infolist() if not info.is_dir()]
    named = called(infos, name)
    if len(named) != 1:
        names = ", ".join(repr(info.filename) for info in infos[:5]) + (", …" if len(infos) > 5 else "")
        raise Unavailable(f"the zip has {len(named)} members {name!r}, expected one; it holds {names}")
    (info,) = named
    if info.flag_bits & 1:
        raise Unavailable(f"{name!r} in the zip is encrypted")
    if info.file_size > max(info.compress_size, 1) * MAX_ZIP_RATIO:
        raise Unavailable(f"{name!r} in the zip would unpack to {info.file_size:,} bytes, refused as a bomb")
    return info

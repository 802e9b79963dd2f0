"""The one table inside a file that may be packed: plain, gzip or zip.

The sizes that an archive states are not trusted: it is unpacked in chunks, up to a limit that follows from its size
on disk, so that a decompression bomb ends as an error.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Sequence
from gzip import GzipFile
from pathlib import Path, PurePosixPath
from typing import IO

from bench.errors import BadTable

MAX_BYTES = 8 * 2**30  # of a table, unpacked or as float64 cells
MAX_RATIO = 300  # tables of few distinct values reach about 100; deflate can reach 1,032
FREE_BYTES = 2**26  # what any archive may unpack to, whatever its ratio

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".parquet", ".pq")


def unpacked(path: Path) -> tuple[bytes, str]:
    """Return a file's content, and its name without the packing.

    A gzip file is unpacked, and so is a zip file that holds one file, or one named like a table. Other
    content is returned as it is.

    Raises
    ------
    BadTable
        If the file cannot be read, is a broken, encrypted or too large archive, or holds several tables.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic in _ZIP:
            return _unzipped(path)
        if magic.startswith(b"\x1f\x8b"):
            with GzipFile(path) as stream:
                return _drained(stream, path), path.name.removesuffix(".gz")
        return path.read_bytes(), path.name
    # What gzip and zipfile raise for a torn archive; NotImplementedError is a compression that they do not know.
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise BadTable(f"{path.name} is a broken archive ({error}); fetch or pack it again.") from error
    except OSError as error:
        raise BadTable(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _unzipped(path: Path) -> tuple[bytes, str]:
    """Return the one table in a zip file, and its name."""
    with zipfile.ZipFile(path) as archive:
        if "[Content_Types].xml" in archive.namelist():
            raise BadTable(f"{path.name} is an Office document; save the sheet as CSV.")
        member = _one_member(archive, path)
        if member.flag_bits & 1:
            raise BadTable(
                f"{path.name}: {member.filename} is encrypted; unpack it and give the file inside."
            )
        with archive.open(member) as stream:
            return _drained(stream, path), PurePosixPath(member.filename).name


def _one_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Return the only file of a zip, or the only one named like a table."""
    files = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    tables = [m for m in files if m.filename.lower().endswith(_TABLE_SUFFIXES)]
    for candidates in (files, tables):
        if len(candidates) == 1:
            return candidates[0]
    if not files:
        raise BadTable(f"{path.name} holds no file; give an archive with one table.")
    names = [m.filename for m in tables or files]
    raise BadTable(f"{path.name} holds {len(names)} files: {listed(names)}; unpack it and give one of them.")


def _drained(stream: IO[bytes] | GzipFile, path: Path) -> bytes:
    """Read a compressed stream to its end, but never past what a table could unpack to."""
    limit = unpacked_limit(path.stat().st_size)
    chunks, total = [], 0
    while chunk := stream.read(2**22):
        total += len(chunk)
        if total > limit:
            raise BadTable(
                f"{path.name} unpacks to more than {limit:,} bytes, as no table should; unpack it yourself."
            )
        chunks.append(chunk)
    return b"".join(chunks)


def unpacked_limit(packed_bytes: int) -> int:
    """Return the most bytes that an archive of so many bytes may unpack to."""
    return min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * packed_bytes))


def listed(names: Sequence[str], limit: int = 10) -> str:
    """Return up to `limit` names, quoted, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more

"""The one table inside a file that may be packed: plain, gzip, bzip2, xz, zstd, or a member of a zip.

The sizes that an archive states are not trusted: it is unpacked in chunks, up to a limit that follows from its size
on disk, so that a decompression bomb ends as an error.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shlex
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow as pa

from bench.errors import BadTable

MAX_BYTES = 8 * 2**30  # of a table, unpacked or as float64 cells
MAX_RATIO = 300  # tables of few distinct values reach about 100; deflate can reach 1,032
FREE_BYTES = 2**26  # what any archive may unpack to, whatever its ratio
OFFICE = "[Content_Types].xml"  # in every zip that is a document of Office

# What the standard library raises for a torn archive; RuntimeError also for a compression that it does not know.
TORN_ZIP = (EOFError, RuntimeError, ValueError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile)

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".parquet", ".pq")
# fmt: off
_OTHER_SUFFIXES = (
    ".arff", ".feather", ".arrow", ".jsonl", ".ndjson", ".json", ".xlsx", ".xlsm", ".db", ".sqlite", ".sqlite3", ".dta",
    ".sas7bdat", ".xpt", ".svm", ".libsvm",
)
# fmt: on
_Stream = AbstractContextManager[IO[bytes] | gzip.GzipFile]


def _zstd(path: Path) -> _Stream:
    stream: _Stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return stream


# By its first bytes: how a file of one packing is opened, and how its name ends.
_PACKINGS: dict[bytes, tuple[Callable[[Path], _Stream], str]] = {
    b"\x1f\x8b": (gzip.GzipFile, ".gz"),
    b"BZh": (bz2.BZ2File, ".bz2"),
    b"\xfd7zXZ": (lzma.LZMAFile, ".xz"),
    b"\x28\xb5\x2f\xfd": (_zstd, ".zst"),
}


def unpacked(path: Path, member: str | None = None) -> tuple[bytes, str]:
    """Return a file's content, and its name without the packing.

    A compressed file is unpacked, and so is of a zip the file `member`, or the only one, or the only one named like a
    table. Other content is returned as it is, and so is a document of Office.

    Raises
    ------
    BadTable
        If the file cannot be read, is a broken, encrypted or too large archive, or holds several tables; if
        `member` is not in it.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(6)
        if magic.startswith(_ZIP):
            return _unzipped(path, member)
        if member is not None:
            raise BadTable(f"{path.name} is no zip of several files; leave out --member.")
        for start, (opened, suffix) in _PACKINGS.items():
            if magic.startswith(start):
                with opened(path) as stream:
                    return _drained(stream, path), path.name.removesuffix(suffix)
        return path.read_bytes(), path.name
    except TORN_ZIP as error:
        raise BadTable(f"{path.name} is a broken archive ({error}); fetch or pack it again.") from error
    except OSError as error:
        if error.strerror is None and magic:  # bz2 and zstd say so where what they unpack is torn
            raise BadTable(f"{path.name} is a broken archive ({error}); fetch or pack it again.") from error
        raise BadTable(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _unzipped(path: Path, name: str | None) -> tuple[bytes, str]:
    """Return the one table in a zip file, or the member called `name`, and its name."""
    with zipfile.ZipFile(path) as archive:
        if OFFICE in archive.namelist():
            if name is not None:
                raise BadTable(f"{path.name} is an Office document; leave out --member.")
            return path.read_bytes(), path.name
        if {"mimetype", "content.xml"} <= {*archive.namelist()}:
            raise BadTable(f"{path.name} is an OpenDocument file; save the sheet as .xlsx or CSV.")
        member = _one_member(archive, path, name)
        if member.flag_bits & 1:
            raise BadTable(
                f"{path.name}: {member.filename} is encrypted; unpack it and give the file inside."
            )
        with archive.open(member) as stream:
            return _drained(stream, path), PurePosixPath(member.filename).name


def _one_member(archive: zipfile.ZipFile, path: Path, name: str | None) -> zipfile.ZipInfo:
    """Return the file of a zip that is asked for, or the only one, or the only one named like a table."""
    files = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    names = [m.filename for m in files]
    if name is not None:
        named = called(files, name)
        if len(named) != 1:
            raise BadTable(
                f"{path.name} has {len(named)} files {name!r}; --member is one of: {listed(names)}."
            )
        return named[0]
    tables = [m for m in files if m.filename.lower().endswith(_TABLE_SUFFIXES)]
    others = [m for m in files if m.filename.lower().endswith(_OTHER_SUFFIXES)]
    if not tables or all(m.filename.lower().endswith(".txt") for m in tables):  # which may tell of the others
        tables += others
    for candidates in (files, tables):
        if len(candidates) == 1:
            return candidates[0]
    if not files:
        raise BadTable(f"{path.name} holds no file; give an archive with one table.")
    names = [m.filename for m in tables or files]
    raise BadTable(
        f"{path.name} holds {len(names)} files: {listed(names)}; say which: --member "
        f"{shlex.quote(next((name for name in names if not name.endswith('.txt')), names[0]))}."
    )


def called(members: Sequence[zipfile.ZipInfo], name: str) -> list[zipfile.ZipInfo]:
    """Return the files of a zip with a name, or where there are none, those with it in some folder."""
    exact = [member for member in members if member.filename == name]
    return exact or [member for member in members if PurePosixPath(member.filename).name == name]


def _drained(stream: IO[bytes] | gzip.GzipFile, path: Path) -> bytes:
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

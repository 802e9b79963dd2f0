"""What this machine has and what is wrong with it, as a list of checks; no secret is shown and nothing is made."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cards import dataset_names
from bench.errors import BenchError
from bench.fetch import cache_place
from bench.names import cores
from bench.provenance import checkout, versions

FREE_GB = 2.0  # less free space than this is worth a warning


@dataclass(frozen=True)
class Check:
    """One thing looked at: `ok` False is something that would stop a run."""

    name: str
    ok: bool
    found: str


def examine(results: Path) -> list[Check]:
    """Return all checks: versions, cores, device, cache, results folder, cards, Kaggle credentials."""
    packages = json.loads(versions())
    found = [Check(name, True, number) for name, number in packages.items()]
    revision = checkout()
    if revision["commit"]:
        found.append(
            Check("checkout", True, revision["commit"][:12] + (" with changes" if revision["dirty"] else ""))
        )
    found += [
        Check("cores", True, str(cores())),
        _device(),
        _kernel(),
        _cards(),
        _folder("cache", cache_place().absolute(), "BENCH_CACHE"),
        _folder("results", results.expanduser().absolute(), "--results DIR"),
        _kaggle(),
    ]
    return found


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("device", True, f"cuda: {torch.cuda.get_device_name()}")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    return Check("device", True, f"cpu (a {build} build of torch; no CUDA device found)")


def _kernel() -> Check:
    """Say what trains the networks on the CPU; without the kernel torch does, only slower.

    It is tried in a temporary folder, so that the cache stays as it is.
    """
    import torch

    from bench.pack.compiler import library
    from bench.pack.kernel import why_torch
    from bench.pack.trial import try_kernel

    kept = cache_place() / "kernel"
    try:
        with _cache_elsewhere(kept):
            try_kernel(torch.empty(0))
            if reason := why_torch():
                return Check("kernel", True, f"torch alone, some five times slower: {reason}")
            path = kept / library("float").name
    except BenchError as error:
        return Check("kernel", False, str(error))
    if path.is_file():
        return Check("kernel", True, f"compiled: {path}")
    return Check("kernel", True, f"compiles here, agrees with torch; the first run keeps it in {kept}")


@contextmanager
def _cache_elsewhere(kernel: Path) -> Iterator[None]:
    """Point the cache at a temporary folder that holds a copy of the compiled kernels, if there are any."""
    from bench.pack.compiler import library

    before = os.environ.get("BENCH_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        if kernel.is_dir():
            shutil.copytree(kernel, Path(folder) / "kernel")
        os.environ["BENCH_CACHE"] = folder
        library.cache_clear()
        try:
            yield
        finally:
            library.cache_clear()
            os.environ.pop("BENCH_CACHE")
            if before is not None:
                os.environ["BENCH_CACHE"] = before


def _cards() -> Check:
    names = dataset_names()
    return Check("cards", bool(names), ", ".join(names) or "none: the installation is incomplete")


def _folder(name: str, path: Path, option: str) -> Check:
    """Say where a folder is and whether it could be written, by what is there of it; nothing is made."""
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "no permission" if there.is_dir() else f"{there} is a file"
        return Check(name, False, f"{path} cannot be written ({reason}). Choose another with {option}.")
    free = shutil.disk_usage(there).free / 1e9
    made = "" if path.exists() else "not made yet, "
    little = "; that is little" if free < FREE_GB else ""
    return Check(name, True, f"{path} ({made}{free:,.0f} GB free{little})")


def _kaggle() -> Check:
    """Say whether credentials are there, never what they are; public data sets need none."""
    variables = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME")
    files = [Path.home() / ".kaggle" / name for name in ("kaggle.json", "access_token")]
    where = [name for name in variables if os.environ.get(name)] + [
        path.name for path in files if path.is_file()
    ]
    return Check("kaggle credentials", True, ", ".join(where) or "none (only competitions need them)")

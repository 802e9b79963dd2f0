"""What this machine has and what is wrong with it, as a list of checks; no secret is shown and nothing is made."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.data.cards import dataset_names
from bench.data.raw.fetch import cache_place
from bench.errors import BadStore, BenchError
from bench.machine import checkout, versions
from bench.names import cores, own_path
from bench.runs.run import PIPELINE_VERSIONS

FREE_GB = 2.0  # less free space than this is worth a warning


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `ok` False is something that would stop a run."""

    name: str
    ok: bool
    found: str


def diagnose(results: Path) -> list[Finding]:
    """Return all checks: versions, cores, device, cache, results folder, cards, Kaggle credentials."""
    packages = json.loads(versions(**PIPELINE_VERSIONS))
    checks = [Finding(name, True, number) for name, number in packages.items()]
    revision = checkout()
    if revision["commit"]:
        checks.append(
            Finding(
                "checkout", True, revision["commit"][:12] + (" with changes" if revision["dirty"] else "")
            )
        )
    checks += [
        Finding("cores", True, str(cores())),
        _device(),
        _kernel(),
        _cards(),
        _cache(),
        _folder("results", own_path(results).absolute(), "--results DIR"),
        _kaggle(),
    ]
    return checks


def _cache() -> Finding:
    try:
        return _folder("cache", cache_place().absolute(), "BENCH_CACHE")
    except BadStore as error:
        return Finding("cache", False, str(error))


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("device", True, f"cuda: {torch.cuda.get_device_name()}")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    return Finding("device", True, f"cpu (a {build} build of torch; no CUDA device found)")


def _kernel() -> Finding:
    """Say what trains the networks on the CPU; without the kernel torch does, only slower.

    It is tried in a temporary folder, so that the cache stays as it is.
    """
    import torch

    from bench.networks.compiled.compiler import library
    from bench.networks.compiled.kernel import why_torch
    from bench.networks.selfcheck import try_kernel

    try:
        kept = cache_place() / "kernel"
        with _cache_elsewhere(kept):
            try_kernel(torch.empty(0))
            if reason := why_torch():
                return Finding("kernel", True, f"torch alone, which is slower: {reason}")
            path = kept / library("float").name
    except BenchError as error:
        return Finding("kernel", False, str(error))
    if path.is_file():
        return Finding("kernel", True, f"compiled: {path}")
    return Finding("kernel", True, f"compiles here, agrees with torch; the first run keeps it in {kept}")


@contextmanager
def _cache_elsewhere(kernel: Path) -> Iterator[None]:
    """Point the cache at a temporary folder that holds a copy of the compiled kernels, if there are any."""
    from bench.networks.compiled.compiler import library

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


def _cards() -> Finding:
    names = dataset_names()
    return Finding("cards", bool(names), ", ".join(names) or "none: the installation is incomplete")


def _folder(name: str, path: Path, option: str) -> Finding:
    """Say where a folder is and whether it could be written, by what is there of it; nothing is made."""
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = "no permission" if nearest.is_dir() else f"{nearest} is a file"
        return Finding(name, False, f"{path} cannot be written ({reason}). Choose another with {option}.")
    free = shutil.disk_usage(nearest).free / 1e9
    missing = "" if path.exists() else "not made yet, "
    little = "; that is little" if free < FREE_GB else ""
    return Finding(name, True, f"{path} ({missing}{free:,.0f} GB free{little})")


def _kaggle() -> Finding:
    """Say whether credentials are where Kaggle's client looks, never what they are; public data sets need none."""
    pair = [name for name in ("KAGGLE_USERNAME", "KAGGLE_KEY") if os.environ.get(name)]
    tokens = ["KAGGLE_API_TOKEN"] if os.environ.get("KAGGLE_API_TOKEN") else []
    home = own_path("~") / ".kaggle"
    files = [
        *(home / name for name in ("access_token", "access_token.txt", "credentials.json")),
        _kaggle_folder() / "kaggle.json",
    ]
    places = [*tokens, *pair, *(str(path) for path in files if path.is_file())]
    return Finding("kaggle credentials", True, ", ".join(places) or "none (only competitions need them)")


def _kaggle_folder() -> Path:
    """Return the folder in which Kaggle's client looks for kaggle.json."""
    if folder := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(folder)
    home = own_path("~") / ".kaggle"
    if home.exists() or not sys.platform.startswith("linux"):
        return home
    return Path(os.environ.get("XDG_CONFIG_HOME") or own_path("~") / ".config") / "kaggle"

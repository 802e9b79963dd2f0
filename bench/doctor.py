"""What this machine has and what is wrong with it, as a list of checks; no secret is ever shown."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.cards import dataset_names
from bench.errors import BenchError
from bench.fetch import cache_folder
from bench.names import cores
from bench.provenance import checkout, versions
from bench.store import Store

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
        _cache(),
        _results(results),
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
    """Say what trains the networks on the CPU; without the kernel torch does, only slower."""
    import torch

    from bench.pack.compiler import library
    from bench.pack.kernel import why_torch
    from bench.pack.trial import try_kernel

    try:
        try_kernel(torch.empty(0))
        if reason := why_torch():
            return Check("kernel", True, f"torch alone, some five times slower: {reason}")
        return Check("kernel", True, f"compiled: {library('float')}")
    except BenchError as error:
        return Check("kernel", False, str(error))


def _cards() -> Check:
    names = dataset_names()
    return Check("cards", bool(names), ", ".join(names) or "none: the installation is incomplete")


def _cache() -> Check:
    try:
        return _folder("cache", cache_folder())
    except BenchError as error:
        return Check("cache", False, str(error))


def _results(results: Path) -> Check:
    try:
        Store(results).check_writable()
        return _folder("results", results.resolve())
    except BenchError as error:
        return Check("results", False, str(error))


def _folder(name: str, path: Path) -> Check:
    free = shutil.disk_usage(path).free / 1e9
    return Check(name, True, f"{path}, {free:,.0f} GB free" + ("; that is little" if free < FREE_GB else ""))


def _kaggle() -> Check:
    """Say whether credentials are there, never what they are; public data sets need none."""
    variables = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME")
    files = [Path.home() / ".kaggle" / name for name in ("kaggle.json", "access_token")]
    where = [name for name in variables if os.environ.get(name)] + [
        path.name for path in files if path.is_file()
    ]
    return Check("kaggle credentials", True, ", ".join(where) or "none (only competitions need them)")

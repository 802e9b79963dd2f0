"""The machine: versions, checkout, and memory."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

_PACKAGES = (
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "imbalanced-learn",
    "xgboost-cpu",
    "xgboost",
)
_CODE = (".py", ".c", '.py"', '.c"')  # git puts a name with unusual letters in quotes


@cache
def keep_freed_memory() -> None:
    """Let glibc keep freed blocks: to map memory anew for every temporary costs more than computing it."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD, bytes
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD, bytes


def forget_peak_memory() -> None:
    """Start a new peak for `peak_memory_mb`, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """Return the largest resident set since `forget_peak_memory`, in MiB; elsewhere, since the process began."""
    with contextlib.suppress(OSError, StopIteration):
        status = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) / 2**10
    import resource  # here, as Windows has none, and this module must be readable there

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@cache
def versions(packages: tuple[str, ...] = (), **pipeline: int) -> str:
    """Return the versions of Python, the pipeline, bench and the packages that decide results, as JSON.

    `packages` are those, beside the usual, that a method needs.
    """
    own = {"python": platform.python_version(), **pipeline, "bench": version("imbalance-bench")}
    installed: dict[str, str] = {}
    for name in (*_PACKAGES, *packages):
        with contextlib.suppress(PackageNotFoundError):
            installed[name] = version(name)
    return json.dumps(own | installed)


class Checkout(TypedDict):
    """The commit that the package runs from, and whether its code differs."""

    commit: str | None
    dirty: bool | None


@cache
def checkout() -> Checkout:
    """Return the git commit that the package runs from and whether its code differs; None outside a checkout.

    `dirty` looks at `bench/` alone: a changed file, or a new .py or .c file. Results, tests and pages are not code, and
    every record has the hash of its card.
    """
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}

    def git(*words: str) -> str:
        return subprocess.run(  # noqa: S603  (fixed words, no shell)
            ["git", "-C", str(root), *words],  # noqa: S607  (git from the user's PATH is meant)
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        ).stdout.strip()

    try:
        commit, status = git("rev-parse", "HEAD"), git("status", "--porcelain", "-uall", "--", "bench")
        dirty = any(not new.startswith("??") or new.endswith(_CODE) for new in status.splitlines())
        return {"commit": commit, "dirty": dirty}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}

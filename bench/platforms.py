"""Where bench runs, and how it starts its processes there.

Linux and macOS; Windows by WSL. A process that Python starts has the working folder on its path, so that it would
import a user's `random.py`, or a folder `bench` beside the data, in place of what is meant. Ours start without it:
every start is inside `without_working_folder`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BadPlatform, BadWorker

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

_SAFE = "PYTHONSAFEPATH"  # of Python 3.11: nothing is put in front of the path
_STARTING = threading.RLock()  # path and environment belong to the whole process: one change at a time


def check_platform() -> None:
    """Raise BadPlatform where bench does not run: on Windows."""
    if sys.platform == "win32":
        raise BadPlatform(
            "bench does not run on Windows: run it under WSL 2 (wsl --install), or on Linux or macOS."
        )


def worker_context() -> ForkServerContext | SpawnContext:
    """Return how worker processes are started: by a fork server where the platform has one, else by spawn."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


@contextlib.contextmanager
def without_working_folder() -> Iterator[None]:
    """Let processes that are started inside the block import nothing from the working folder.

    They get the path of this process without its `''` (which `python -c`, an interactive session and a notebook have).
    The folder of a user's script stays on it, as the script may import modules beside it. Other threads that start
    processes wait for the block's end.
    """
    with _STARTING:
        path, safe = sys.path[:], os.environ.get(_SAFE)
        sys.path[:] = [folder for folder in path if folder]
        os.environ[_SAFE] = "1"
        try:
            yield
        finally:
            sys.path[:] = path
            os.environ.pop(_SAFE)
            if safe is not None:
                os.environ[_SAFE] = safe


def package_folder() -> Path:
    """Return the folder of the package `bench` that this process imported."""
    return Path(__file__).resolve().parent


def check_package(expected: Path) -> None:
    """Raise BadWorker in a worker process whose package `bench` is not in the folder `expected`, its parent's."""
    if package_folder() != expected:
        raise BadWorker(
            f"A worker process imports bench from {package_folder()}, and this process from {expected}. "
            "Install the one that you mean (pip install -e CLONE), or run without workers (workers=0)."
        )

"""Compile `kernel.c` for this machine, once, and keep the library in the cache folder.

Its name is a hash of source, compiler, flags and the processor's features, so that a cache folder shared by machines
of several kinds holds one library for each. A compiler that is missing or fails is no error: torch then does the
same work, and `bench doctor` says why.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from bench.data.raw.fetch import cache_folder
from bench.disk import replacing
from bench.names import digest

SOURCE = Path(__file__).with_name("kernel.c")
COMPILE_SECONDS = 120
_FLAGS = ("-O3", "-std=gnu11", "-shared", "-fPIC", "-fno-math-errno")


class NoCompiler(Exception):
    """The library could not be compiled; the text says why."""


@cache
def library(real: str) -> Path:
    """Return the path of the library for `real` "float" or "double"; raise NoCompiler that says why not."""
    if sys.platform == "win32":
        raise NoCompiler("no kernel for Windows")
    try:
        words = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise NoCompiler(f"CC is no command: {error}") from error
    words = words or [shutil.which("cc") or shutil.which("gcc") or ""]
    if not words[0]:
        raise NoCompiler("no C compiler (cc, gcc or $CC)")
    reasons = []
    for native in (["-march=native"], []):
        command = [*words, *_FLAGS, *native, f"-DREAL={real}"]
        path = cache_folder() / "kernel" / f"{_name(command)}.so"
        if not _is_whole(path) and (reason := _compile([*command, str(SOURCE)], path)):
            reasons.append(reason)
            continue
        return path
    raise NoCompiler(reasons[-1])


def _is_whole(path: Path) -> bool:
    """Return whether the library is there and has its hash: loading a torn one would kill the process."""
    try:
        return digest(path.read_bytes()) == _hash_of(path).read_text()
    except (OSError, UnicodeDecodeError):
        return False


def _hash_of(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _name(command: list[str]) -> str:
    version = _output([command[0], "--version"])
    return digest([SOURCE.read_text(), command, version, platform.machine(), _features()])[:32]


def _features() -> str:
    """Return what tells processors apart that `-march=native` treats differently."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compile(command: list[str], path: Path) -> str | None:
    """Compile the library to `path`, and write its hash beside it; return the reason where that fails."""
    try:
        with replacing(_hash_of(path)) as hash_file, replacing(path) as library_file:
            subprocess.run(  # noqa: S603  (the user's own compiler on our own source, no shell)
                [*command, "-o", str(library_file), "-lm"],
                capture_output=True,
                text=True,
                timeout=COMPILE_SECONDS,
                check=True,
            )
            hash_file.write_text(digest(library_file.read_bytes()))
    except subprocess.CalledProcessError as error:
        words = " ".join(error.stderr.split())[:200] or "it does not say why"
        return f"{shlex.join(command[:1])} failed: {words}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(  # noqa: S603  (the user's own compiler, asked for its version)
            command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)

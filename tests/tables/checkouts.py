"""What another process does with a checkout's `bench`: the jobs of `probe.py`, and commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROBE = Path(__file__).with_name("probe.py")


def environment(checkout: Path, folder: Path, **variables: str) -> dict[str, str]:
    """Return the variables for a process that imports the checkout's `bench`, with a cache of its own."""
    plain = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200", "BENCH_CACHE": str(folder / "cache")}
    given = dict(os.environ) | plain | {"PYTHONPATH": str(checkout)} | variables
    return {name: value for name, value in given.items() if value}


def answers(
    checkout: Path, jobs: Sequence[Mapping[str, Any]], folder: Path, *, train: bool
) -> Iterator[dict[str, Any]]:
    """Yield what the checkout's `bench` made of each job, in their order."""
    asked = json.dumps({"checkout": str(checkout), "jobs": jobs, "train": train})
    (folder / "jobs.json").write_text(asked)
    with (
        (folder / "jobs.json").open() as given,
        subprocess.Popen(
            [sys.executable, "-P", str(PROBE)],
            stdin=given,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=environment(checkout, folder),
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"the process for {checkout} ended with {process.returncode}")


def command(
    checkout: Path, words: Sequence[str], folder: Path, variables: Mapping[str, str], *, closes_stdout: bool
) -> dict[str, Any]:
    """Return how `bench WORDS` ends: its code, and all that it prints; with nobody to read it where `closes_stdout`."""
    places = {"{folder}": str(folder), "{out}": str(folder / checkout.name)}
    for place, path in places.items():
        words = [word.replace(place, path) for word in words]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "bench", *words],
        stdout=writing if closes_stdout else subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(checkout, folder, **variables),
        check=False,
        timeout=300,
    )
    os.close(writing)
    said = (ended.stdout or b"").decode() + ended.stderr.decode()
    return {"kind": "ended", "code": ended.returncode, "message": said}

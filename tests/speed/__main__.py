"""Measure the engine beside its peers: `python -m tests.speed [--json]`.

Everything here runs on one thread, peers and engine alike; only the section `workers` has more than one process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
CLOCKS = ("cpu", "wall")
SECTIONS = ("peak", "metabalance", "plain", "meta-weight-net", "end-to-end", "grid", "workers")
REPEATS, SECONDS, MEMBERS = 5, 0.5, (1, 8, 64, 256)
QUICK_REPEATS, QUICK_SECONDS, QUICK_MEMBERS = 1, 0.01, (1, 8)


def main(words: Sequence[str] | None = None) -> int:
    """Parse, measure, print; return the exit code."""
    asked = _parser().parse_args(words)
    os.environ.update(dict.fromkeys(THREADS, "1"))  # before torch and numpy are imported, and for workers
    from bench.errors import INTERRUPTED, SOME_FAILED, BenchError

    try:
        found = _measured(asked)
    except BenchError as error:
        _tell(f"Error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    text = _text(found, as_json=asked.json) + "\n"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _tell(f"{text}Error: standard output takes nothing ({error.strerror}); the figures stand above.")
        sys.stdout = None  # or the interpreter flushes it once more, and fails
        return SOME_FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.speed", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--quick", action="store_true", help="see that all works; its numbers mean nothing")
    parser.add_argument("--repeats", type=_positive, metavar="N", help=f"rounds of each race ({REPEATS})")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="cpu",
        help="CPU seconds of the one thread (default), or wall-clock",
    )
    parser.add_argument("--section", action="append", choices=SECTIONS, help="only this; repeatable")
    parser.add_argument(
        "--loan-file", type=_file, metavar="F", help="loan_data.csv; else in the folder BENCH_TEST_DATA"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


def _measured(asked: argparse.Namespace) -> dict[str, Any]:
    """Return everything measured: about the machine, its peak, rows and bars."""
    import torch
    from threadpoolctl import threadpool_limits

    from bench.machine import keep_freed_memory
    from tests.speed.bars import bars
    from tests.speed.grid import grid
    from tests.speed.measure import Effort, peak_gflops
    from tests.speed.nets import NETS
    from tests.speed.published import end_to_end, loans
    from tests.speed.steps import SECTIONS as STEPS
    from tests.speed.workers import workers

    quick, wanted, rows = asked.quick, asked.section or SECTIONS, []
    effort = Effort(
        rounds=asked.repeats or (QUICK_REPEATS if quick else REPEATS),
        seconds=QUICK_SECONDS if quick else SECONDS,
        members=QUICK_MEMBERS if quick else MEMBERS,
        quick=quick,
        clock=asked.clock,
    )
    torch.set_num_threads(1)
    keep_freed_memory()  # as the workers of `bench run` do; the peers gain by it too
    _tell(f"one thread for engine and peers: torch, {', '.join(THREADS)} = 1; {effort.rounds} rounds")
    with threadpool_limits(1):
        # First, so that a wrong file is told before minutes of work.
        data = loans(asked.loan_file or _loan_file()) if "end-to-end" in wanted else None
        gflops = peak_gflops(effort)
        _tell(f"peak: {gflops:.1f} GFLOP/s")
        for name, section in STEPS.items():
            for net in NETS if name in wanted else ():
                _tell(f"{name}, {net.title}")
                rows += section(net, effort, gflops, _tell)
        if data:
            _tell("end-to-end")
            rows += end_to_end(data, effort, _tell)
        if "grid" in wanted:
            _tell("grid")
            rows += grid(effort, _tell)
        if "workers" in wanted:
            _tell("workers")
            rows += workers(effort, _tell)
    judged = bars([] if quick else rows)  # what is quick measures nothing
    return {**_machine(effort), "peak_gflops": gflops, "rows": rows, "bars": judged}


def _loan_file() -> Path | None:
    """Return the real loan set where BENCH_TEST_DATA has it."""
    folder = os.environ.get("BENCH_TEST_DATA")
    path = Path(folder or ".") / "loan_data.csv"
    return path if folder and path.is_file() else None


def _machine(effort: Any) -> dict[str, Any]:
    import torch

    from bench.machine import versions
    from bench.names import cores
    from bench.networks.compiled.kernel import engine
    from bench.runs.run import PIPELINE_VERSIONS

    return {
        "processor": _processor(),
        "cores": cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "threads": torch.get_num_threads(),
        "engine": engine("cpu"),
        "versions": json.loads(versions(**PIPELINE_VERSIONS)),
        "quick": effort.quick,
        "rounds": effort.rounds,
        "clock": effort.clock,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _text(found: dict[str, Any], *, as_json: bool) -> str:
    from tests.speed.rows import as_json as plain
    from tests.speed.rows import as_text

    rows, bars = found.pop("rows"), found.pop("bars")
    if as_json:
        return json.dumps({**found, **plain(rows, bars)}, indent=2, ensure_ascii=False)
    load = "" if found["load"] is None else f", load {found['load']:.1f}"
    head = (
        f"{found['processor']}, {found['cores']} cores{load}; torch {found['versions']['torch']}, "
        f"engine {found['engine']}, one thread; medians of {found['rounds']} rounds, {found['clock']} seconds"
        f"{'; QUICK: no measurement' if found['quick'] else ''}\n"
        f"peak: {found['peak_gflops']:.1f} GFLOP/s (torch.mm, float32)"
    )
    return f"{head}\n\n{as_text(rows, bars)}"


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

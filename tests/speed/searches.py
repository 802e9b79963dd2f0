"""How a study should search: `python -m tests.speed.searches --data-file loan_data.csv --out DIR`.

TPE asked for one trial at a time and for generations of several sizes, with pruners and without, and random search, on
the same arms, folds, inner folds and number of trials. Compared is the best validation score of a complete trial after
equal trials and after equal seconds on the clock, fold by fold against the last way asked for. The arms are studied one
after another, all folds of an arm at once; `bench study` asks for those of all its arms, so that its packs are filled
even one trial at a time. Every way starts with an empty cache, in a process of its own. What is measured is kept
under DIR, one file for arm and way, and not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.names import PrunerName, SearchName
from bench.tuning.trials import COMPLETE, Studied

WAYS: dict[str, tuple[SearchName, int, PrunerName]] = {  # search, generation, pruner
    "tpe, one at a time": ("tpe", 1, "none"),
    "tpe, 4": ("tpe", 4, "none"),
    "tpe, 16": ("tpe", 16, "none"),
    "tpe, 32": ("tpe", 32, "none"),
    "tpe, 64": ("tpe", 64, "none"),
    "tpe, 16, median": ("tpe", 16, "median"),
    "tpe, 16, halving": ("tpe", 16, "halving"),
    "random": ("random", 64, "none"),
}
ARMS = ("none", "metabalance", "xgboost")


def main(words: Sequence[str] | None = None) -> int:
    """Parse, run every way, print what each found."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed.searches", description=__doc__)
    parser.add_argument("--dataset", default="loan")
    parser.add_argument("--data-file", type=Path)
    parser.add_argument("--rows", type=int, help="rows to simulate")
    parser.add_argument("--arm", action="append", help=f"repeatable; default {', '.join(ARMS)}")
    parser.add_argument("--way", action="append", choices=tuple(WAYS), help="repeatable; default all")
    parser.add_argument("--trials", type=int, default=128)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--inner-folds", type=int, default=2)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(words)
    rows = [_kept(asked, arm, way) for arm in asked.arm or ARMS for way in asked.way or WAYS]
    sys.stdout.write(text(rows) + "\n")
    return 0


def _kept(asked: argparse.Namespace, arm: str, way: str) -> dict[str, Any]:
    """Return what a way found for an arm, from its file or measured now."""
    size = f"{asked.dataset}-{asked.rows or 'all'}-{asked.trials}-{asked.folds}-{asked.inner_folds}"
    path = asked.out / f"{size}-{arm}-{'-'.join(map(str, WAYS[way]))}.json"
    if not path.exists():
        asked.out.mkdir(parents=True, exist_ok=True)
        # In a process of its own: its workers inherit the cache folder, and keep nothing that another way left them.
        alone = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        with TemporaryDirectory(dir=asked.out) as folder, alone:
            made = alone.submit(_measured, asked, arm, way, Path(folder)).result()
        path.write_text(json.dumps(made))
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept


def _measured(asked: argparse.Namespace, arm: str, way: str, folder: Path) -> dict[str, Any]:
    """Do one way's studies of an arm; return for every fold when each trial ended and what it came to."""
    from rich.console import Console

    from bench.cli.progress import Lines
    from bench.runs.request import Request
    from bench.tuning.loop import tune
    from bench.tuning.plan import plan_studies
    from bench.tuning.search import Search

    os.environ["BENCH_CACHE"] = str(folder / "cache")
    search, generation, pruner = WAYS[way]
    request = Request(
        dataset=asked.dataset,
        data_file=asked.data_file,
        rows=asked.rows,
        arms=(arm,),
        folds=asked.folds,
        workers=asked.workers,
        results=folder,
    )
    how = Search(
        trials=asked.trials,
        inner_folds=asked.inner_folds,
        generation=generation,
        search=search,
        pruner=pruner,
    )
    made = plan_studies(request, how)
    began, started = time.time(), time.perf_counter()
    studied = tune(made, Lines(Console(quiet=True)))
    seconds = time.perf_counter() - started
    return {"arm": arm, "way": way, "seconds": seconds, "folds": found(studied, began)}


def found(studied: Sequence[Studied], began: float) -> list[list[tuple[float, float | None]]]:
    """Return for each fold when every trial ended (seconds since `began`), and its value if it is complete."""
    return [
        [(trial.finished - began, trial.value if trial.state == COMPLETE else None) for trial in one.trials]
        for one in studied
    ]


def text(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table: by arm and way the seconds, and against the last way what was found in equal trials and seconds.

    A difference is the mean over folds, ± its standard error.
    """
    lines = [
        f"arm | way | seconds | best | − {rows[-1]['way']} at 1/4 of the trials | 1/2 | all | the quickest's seconds"
    ]
    for row in rows:
        mine = [other for other in rows if other["arm"] == row["arm"]]
        last = mine[-1]
        quickest, n = min(other["seconds"] for other in mine), len(row["folds"][0])
        ends = [{"trials": n // 4}, {"trials": n // 2}, {"trials": n}, {"seconds": quickest}]
        apart = [best(row, **end) - best(last, **end) for end in ends]
        cells = [f"{d.mean():+.4f} ± {d.std(ddof=1) / len(d) ** 0.5:.4f}" for d in apart]
        head = [row["arm"], row["way"], f"{row['seconds']:.0f}", f"{best(row, trials=n).mean():.4f}"]
        lines.append(" | ".join([*head, *cells]))
    return "\n".join(lines)


def best(row: dict[str, Any], *, trials: int | None = None, seconds: float = np.inf) -> Any:
    """Return the best value of each fold, (folds,), among so many trials or within so many seconds; NaN for none."""
    bests = []
    for fold in row["folds"]:
        values = [value for when, value in fold[:trials] if value is not None and when <= seconds]
        bests.append(max(values, default=np.nan))
    return np.array(bests)


if __name__ == "__main__":
    sys.exit(main())

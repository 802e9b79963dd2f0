"""How a study should search: `python -m bench.speed.searches --data-file loan_data.csv --results DIR`.

TPE asked for one trial at a time and for generations of several sizes, and random search, on the same arms, folds and
number of trials, each way with studies of its own: what they find in equal trials, and in equal seconds on the clock.
The ways take turns arm by arm. Studies that are there are not done again, and their seconds are then those of before.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WAYS = {  # search, generation
    "tpe, one at a time": ("tpe", 1),
    "tpe, 16": ("tpe", 16),
    "tpe, 32": ("tpe", 32),
    "tpe, 64": ("tpe", 64),
    "random": ("random", 64),
}
ARMS = ("none", "metabalance", "xgboost")


def main(words: Sequence[str] | None = None) -> int:
    """Parse, run every way, print what each found."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed.searches", description=__doc__)
    parser.add_argument("--dataset", default="loan")
    parser.add_argument("--data-file", type=Path)
    parser.add_argument("--rows", type=int, help="rows to simulate")
    parser.add_argument("--arm", action="append", help=f"repeatable; default {', '.join(ARMS)}")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--pruner", default="median")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--results", type=Path, required=True)
    asked = parser.parse_args(words)
    rows = [_row(asked, arm, way) for arm in asked.arm or ARMS for way in WAYS]
    sys.stdout.write(text(rows) + "\n")
    return 0


def _row(asked: argparse.Namespace, arm: str, way: str) -> dict[str, Any]:
    """Do one way's studies of an arm; return what it had found after each trial and second."""
    from rich.console import Console

    from bench.progress import Lines
    from bench.request import Request
    from bench.search import Search, plan_studies
    from bench.study import tune

    search, generation = WAYS[way]
    request = Request(
        dataset=asked.dataset,
        data_file=asked.data_file,
        rows=asked.rows,
        arms=(arm,),
        folds=asked.folds,
        workers=asked.workers,
        results=asked.results / f"{search}-{generation}-{asked.pruner}",
    )
    how = Search(trials=asked.trials, generation=generation, search=search, pruner=asked.pruner)
    started = time.perf_counter()
    studied = tune(plan_studies(request, how), Lines(Console(quiet=True)))
    spent = request.results / f"{arm}.seconds"
    if not spent.exists():
        spent.write_text(json.dumps(time.perf_counter() - started))
    first = min(trial.started for one in studied for trial in one.trials)
    return {
        "arm": arm,
        "way": way,
        "wall": json.loads(spent.read_text()),
        "folds": [
            [
                (trial.finished - first, trial.value if trial.state == "complete" else None)
                for trial in one.trials
            ]
            for one in studied
        ],
        "runs": sum(len(trial.values) for one in studied for trial in one.trials),
    }


def text(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table: by arm and way the best value after some and all of the trials, and at equal seconds."""
    lines = ["arm | way | seconds | runs | best at 1/4 | at 1/2 | at all trials | at the quickest's seconds"]
    for row in rows:
        quickest = min(other["wall"] for other in rows if other["arm"] == row["arm"])
        n = len(row["folds"][0])
        bests = [_best(row, trials=k) for k in (n // 4, n // 2, n)] + [_best(row, seconds=quickest)]
        lines.append(
            f"{row['arm']} | {row['way']} | {row['wall']:.0f} | {row['runs']} | "
            + " | ".join(f"{best:.4f}" for best in bests)
        )
    return "\n".join(lines)


def _best(row: dict[str, Any], *, trials: int | None = None, seconds: float = np.inf) -> float:
    """Return the mean over folds of the best value among so many trials, or within so many seconds."""
    found = []
    for fold in row["folds"]:
        values = [value for when, value in fold[:trials] if value is not None and when <= seconds]
        found.append(max(values, default=np.nan))
    return float(np.mean(found))


if __name__ == "__main__":
    sys.exit(main())

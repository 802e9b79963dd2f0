"""bench: a benchmark suite for learning on imbalanced fraud and credit tables.

    >>> import bench
    >>> table = bench.load("loan-sim", rows=2000)
    >>> table.X.shape[0], table.name
    (2000, 'loan-sim')

`bench.run(dataset=…, matrix=…)` runs a matrix and returns its leaderboard, a DataFrame. Everything
heavy is imported at first use.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bench.tables import Table

__all__ = ["load", "run"]
__version__ = version("bench")


def load(name: str, *, data_file: Path | None = None, source: str = "auto", rows: int | None = None) -> Table:
    """Return the data set called `name` as a Table: fetched and verified, read from `data_file`, or simulated.

    Raises UnknownName, Unavailable, HashMismatch or BadTable (all BenchError).
    """
    from bench.cards import card
    from bench.tables import load as load_table

    return load_table(card(name), data_file=data_file, source=source, rows=rows)


def run(**request: Any) -> pd.DataFrame:
    """Run a benchmark as `bench run` does and return its leaderboard, one row per arm, best first.

    Takes the fields of `bench.suite.Request` (`dataset`, `matrix`, `arms`, `seeds`, `folds`, `results` …).
    Runs in this process unless `workers` says otherwise; a script that asks for workers keeps the call under
    `if __name__ == "__main__":`, since they import it. Failed runs are counted in `n_failed`.
    """
    from rich.console import Console

    from bench.progress import Lines
    from bench.request import Request
    from bench.suite import make_plan, run_plan

    reporter = Lines(Console(stderr=True, quiet=True))
    return run_plan(make_plan(Request(**{"workers": 0, **request}), reporter.download), reporter).leaderboard

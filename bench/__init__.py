"""bench: a benchmark suite for learning on imbalanced fraud and credit tables.

    >>> import bench
    >>> table = bench.load("loan-sim", rows=2000)
    >>> table.X.shape[0], table.name
    (2000, 'loan-sim')

`bench.run(dataset=…, matrix=…)` runs a matrix and returns its leaderboard, a DataFrame; `bench.tune` tunes arms and
returns what that took. Everything heavy is imported at first use.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bench.tables import Table

__all__ = ["load", "run", "tune"]
__version__ = version("imbalance-bench")

# Read when an OpenMP library is loaded, so set before any is: XGBoost's threads that wait for one another must not
# spin, which on a shared machine takes the core from the thread they wait for (results/LOG.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def load(name: str, *, data_file: Path | None = None, source: str = "auto", rows: int | None = None) -> Table:
    """Return the data set called `name` as a Table: fetched and verified, read from `data_file`, or simulated.

    Raises UnknownName, Unavailable, HashMismatch or BadTable (all BenchError).
    """
    from bench.cards import card
    from bench.tables import load as load_table

    return load_table(card(name), data_file=data_file, source=source, rows=rows)


def run(**request: Any) -> pd.DataFrame:
    """Run a benchmark as `bench run` does and return its leaderboard, one row per arm, best first.

    Takes the fields of `bench.request.Request` (`dataset`, `matrix`, `arms`, `seeds`, `folds`, `results` …).
    Runs in this process unless `workers` says otherwise; a script that asks for workers keeps the call under
    `if __name__ == "__main__":`, since they import it. Failed runs are counted in `n_failed`. With `tuned=True`
    arms are as a study tuned them, and what is not tuned yet is tuned first.
    """
    from bench.request import Request
    from bench.search import Search
    from bench.suite import make_plan, run_plan
    from bench.tuning import tune_missing

    asked, reporter = Request(**{"workers": 0, **request}), _quiet()
    if asked.tuned:
        tune_missing(asked, Search(), reporter)
    return run_plan(make_plan(asked, reporter.download), reporter).leaderboard


def tune(**request: Any) -> pd.DataFrame:
    """Tune arms as `bench study` does and return the ledger, one row per arm, the best first.

    Takes the fields of `bench.search.Search` (`trials`, `inner_folds`, `generation` …) and of `bench.request.Request`;
    writes the best configurations for `run(tuned=True)`, the ledger and its figures. Raises BadStudy where a study has
    no complete trial.
    """
    from bench.report.studies import ledger
    from bench.request import Request
    from bench.search import Search, plan_studies
    from bench.tuning import check_complete, tune_and_write

    how = {name: request.pop(name) for name in [*request] if name in Search.__dataclass_fields__}
    made = plan_studies(Request(**{"workers": 0, **request}), Search(**how), _quiet().download)
    studied = tune_and_write(made, _quiet()).studied
    check_complete(studied)
    return ledger(studied)


def _quiet() -> Any:
    from rich.console import Console

    from bench.progress import Lines

    return Lines(Console(stderr=True, quiet=True))

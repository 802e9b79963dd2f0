"""bench: a benchmark suite for learning on imbalanced fraud and credit tables.

    >>> import bench
    >>> bench.load("loan-sim", rows=2000)
    Table('loan-sim', 2,000 rows x 12 features (8 numeric, 4 categorical), 311 positives (15.6 %), source simulator)
    >>> board = bench.run("loan-sim", rows=600, arms=["prevalence"], folds=2, seeds=1)
    >>> board["arm"].tolist()
    ['prevalence']

`bench.run` runs a matrix of arms on a data set, a file or a frame and returns its `Leaderboard`; `bench.tune` tunes
arms and returns what that took. Everything heavy is imported at first use.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.calls import python_call
from bench.cli.tune import tune
from bench.errors import BadSetting

if TYPE_CHECKING:
    import pandas as pd

    from bench.data.frames import Frame
    from bench.data.table import Table
    from bench.names import Dates, DeviceName, HighCardinality, SourceName, Unlabelled
    from bench.report.board import Leaderboard

    __version__: str

__all__ = ["Leaderboard", "load", "run", "tune"]

# Read when an OpenMP library is loaded, so set before any is: XGBoost's threads that wait for one another must not
# spin, which on a shared machine takes the core from the thread they wait for (results/LOG.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    """Import what is heavy, or only rarely asked for, when it is asked for."""
    if name == "__version__":
        return import_module("importlib.metadata").version("imbalance-bench")
    if name == "Leaderboard":
        return import_module("bench.report.board").Leaderboard
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


@python_call
def load(
    data: str | pd.DataFrame | Frame | None = None,
    *,
    dataset: str | None = None,
    name: str | None = None,
    data_file: str | os.PathLike[str] | None = None,
    target: str | None = None,
    positive: str | float | bool | None = None,
    negative: Sequence[str | float | bool] = (),
    unlabelled: Unlabelled = "refuse",
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    missing: Mapping[str, float | Sequence[float]] | None = None,
    high_cardinality: HighCardinality = "onehot",
    dates: Dates = "refuse",
    date_format: str | None = None,
    time: str | None = None,
    amount: str | None = None,
    entity: str | None = None,
    skip_rows: int = 0,
    comment: str | Sequence[str] = (),
    decimal: str | None = None,
    member: str | None = None,
    table: str | None = None,
    format: str | None = None,  # noqa: A002  (the option's name)
    rows: int | None = None,
    prevalence: float | None = None,
    source: SourceName = "auto",
) -> Table:
    """Return a data set as a Table: fetched and verified, read from a file, made of a frame, or simulated.

    Parameters
    ----------
    data, dataset, name, data_file, target, positive, negative, unlabelled, drop, categorical, numeric, missing
        What to load, as in `run`.
    high_cardinality, dates, date_format, time, amount, entity, skip_rows, comment, decimal, member, table, format
        How it is read, as in `run`.
    rows, prevalence, source
        What is simulated, or where it is fetched from, as in `run`.

    Returns
    -------
    Table
        `X` (n, d) and `y` (n,), with what the data set's card says of them.

    Raises
    ------
    UnknownName, BadSetting, BadTable, Unavailable, HashMismatch
        As `run` does. All of these are BenchError.

    Examples
    --------
    >>> import bench
    >>> table = bench.load("loan-sim", rows=600)
    >>> table.X.shape, table.n_positives
    ((600, 12), 80)
    """
    options = dict(locals())  # the arguments, and nothing else yet
    from bench.runs.card import load_requested, the_card
    from bench.runs.request import Request

    request = Request(**options)
    return load_requested(request, the_card(request))


# `run` is as long as its options, each with a type, a default and a line of its own; a test holds them equal to
# `Request`.
@python_call
def run(
    data: str | pd.DataFrame | Frame | None = None,
    *,
    dataset: str | None = None,
    name: str | None = None,
    data_file: str | os.PathLike[str] | None = None,
    target: str | None = None,
    positive: str | float | bool | None = None,
    negative: Sequence[str | float | bool] = (),
    unlabelled: Unlabelled = "refuse",
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    missing: Mapping[str, float | Sequence[float]] | None = None,
    high_cardinality: HighCardinality = "onehot",
    dates: Dates = "refuse",
    date_format: str | None = None,
    time: str | None = None,
    amount: str | None = None,
    entity: str | None = None,
    skip_rows: int = 0,
    comment: str | Sequence[str] = (),
    decimal: str | None = None,
    member: str | None = None,
    table: str | None = None,
    format: str | None = None,  # noqa: A002  (the option's name)
    rows: int | None = None,
    prevalence: float | None = None,
    source: SourceName = "auto",
    protocol: str = "strict",
    matrix: str | None = None,
    arms: Sequence[str] = (),
    arms_file: str | os.PathLike[str] | None = None,
    method_file: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    settings: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    device: DeviceName = "auto",
    pack: int | None = None,
    engine: str = "local",
    workers: int | None = 0,
    shard: tuple[int, int] | None = None,
    timeout: float | None = None,
    results: str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
    tuned: bool = False,
    tuned_anyway: bool = False,
    progress: bool | None = None,
) -> Leaderboard:
    """Run a benchmark as `bench run` does and return its leaderboard, one row per arm, best first.

    Published runs on the same rows and splits, and earlier ones in `results`, stand in it too; an arm that you run
    stands with your runs alone. Runs that have a record in `results` are not run again. Failed runs are
    counted in the board and listed in `board.failed`.

    Parameters
    ----------
    data : str or DataFrame, optional
        The name of a data set (`bench list datasets`), or your own table, with `target`: a frame of pandas or polars,
        or anything with `to_pandas()`. It is read as a parquet file of it would be; its index is no feature.
    dataset : str, optional
        The name of a data set, in place of `data`.
    name : str, optional
        What to call your own frame (default ``frame``) or file (default: the file's name) in results.
    data_file : str or path, optional
        A file of your own (CSV, parquet …), with `target`; or beside the name of a data set, the file to use as that
        set, verified.
    target : str, optional
        The label's column in your own table.
    positive : str, int, float or bool, optional
        The label's positive value, against all others; needed unless its two values are 0 and 1, no and yes, or false
        and true.
    negative : list of str, int, float or bool
        Keep only rows with these labels, and the positive ones.
    unlabelled : str
        Rows without a label: ``refuse`` the table, or ``drop`` them.
    drop : list of str
        Columns of your own table that are no features, such as identifiers.
    categorical, numeric : list of str
        Columns whose values are categories, though numbers; columns whose values must all be numbers.
    missing : dict, optional
        By column the numbers that stand for a missing value: ``{"late": [96, 98]}``.
    high_cardinality : str
        Categories of more than 50 values: ``onehot``, the most frequent, or ``target``, by the target's mean in the
        training rows.
    dates, date_format : str
        Columns of dates: ``refuse`` them, or make them ``numeric``; how they are written: ``%d/%m/%Y``.
    time, amount, entity : str, optional
        The columns with the time (no feature), the amount, and whom a row is of (no feature), whose rows are never on
        two sides of a split.
    skip_rows, comment, decimal, member, table, format
        How your own file is read: lines above the table, how lines to leave out begin, the decimal mark, the file in
        a zip, the table of a database or sheet of a workbook, a format that does not show (``libsvm``).
    rows, prevalence
        How many rows, and which share of positives, to simulate of a simulated data set.
    source : str
        Where to fetch a data set from: ``auto``, ``wheel``, ``kaggle``, ``mirror`` or ``openml``.
    protocol : str
        How arms are judged (`bench list protocols`).
    matrix : str, optional
        A named list of arms (`bench list matrices`); ``quick`` if no arms are named.
    arms, arms_file : list of str, path
        Single arms (`bench list arms`), also as ``none(lr=0.01)`` or ``focal[smote]``; a TOML file of arms of yours.
    method_file : path or list of paths
        Python files of yours with a method, protocol, engine or metrics (`bench.contract`). They are run.
    settings : dict, optional
        Settings for all arms that have them, for example ``{"lr": 0.01}``.
    seeds, folds, repeats : int, optional
        Seeds per fold, folds, and repeats of the folds; None takes the protocol's.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    pack : int, optional
        Networks trained at once; it changes the speed, never a result.
    engine : str
        Where the runs are done (`bench list engines`); it changes no result.
    workers : int, optional
        Worker processes; 0 runs in this process, None takes one per core. A script that asks for workers keeps the
        call under ``if __name__ == "__main__":``, since they import it.
    shard : (int, int), optional
        ``(1, 4)`` runs only the first of four parts of the runs.
    timeout : float, optional
        Seconds that one run may take; needs workers.
    results : str or path, optional
        The folder of records, scores and leaderboards; by default BENCH_RESULTS of the environment, else ``results``.
    retry_failed : bool
        Run again what failed before.
    tuned, tuned_anyway : bool
        Each arm as `tune` tuned it, tuned first where it is not yet; `tuned_anyway` also as tuned on other rows.
    progress : bool, optional
        Show progress; None does so in notebooks only.

    Returns
    -------
    Leaderboard
        `board.full` has every column, `board.plot()` is a figure.

    Raises
    ------
    UnknownName, BadSetting, BadTable
        If what is asked does not exist, does not go together, or the table cannot be judged.
    BadArgument, UnknownArgument
        If an argument is of a wrong kind, or unknown; both are TypeErrors too.
    Unavailable, HashMismatch
        If no source gives the data set, or gives another file. All of these are BenchError.

    Examples
    --------
    >>> import bench
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": range(200), "y": ["yes", "no", "no", "no"] * 50})
    >>> board = bench.run(frame, target="y", name="mine", arms=["logistic-regression"], folds=2, seeds=1)
    >>> board[["arm", "n_runs", "dataset", "data_source"]].values.tolist()
    [['logistic-regression', 2, 'mine', 'frame']]
    """
    options = dict(locals())
    from bench.cli.notebook import reporter_for
    from bench.report.board import Leaderboard
    from bench.runs.request import Request
    from bench.workflows.leaderboard import run

    with reporter_for(options.pop("progress")) as reporter:
        request = Request(**options)
        outcome = run(request, reporter)
    if outcome is None:
        raise BadSetting(f"The shard {request.shard} has no run, so there is no leaderboard; ask for fewer.")
    return Leaderboard(outcome.leaderboard, outcome.path, outcome.failed)

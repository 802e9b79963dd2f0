"""`bench.tune`: studies from Python; as long as its options, which a test holds equal to `Request` and `Search`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.calls import python_call

if TYPE_CHECKING:
    import pandas as pd

    from bench.data.frames import Frame
    from bench.names import Dates, DeviceName, HighCardinality, PrunerName, SearchName, SourceName, Unlabelled


@python_call
def tune(
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
    folds: int | None = None,
    repeats: int | None = None,
    device: DeviceName = "auto",
    pack: int | None = None,
    workers: int | None = 0,
    timeout: float | None = None,
    results: str | os.PathLike[str] | None = None,
    trials: int = 50,
    inner_folds: int = 3,
    seeds: int = 1,
    generation: int = 4,
    search: SearchName = "tpe",
    pruner: PrunerName = "median",
    storage: str | None = None,
    seconds: float | None = None,
    anew: bool = False,
    extend: bool = False,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Tune arms as `bench study` does, each on every fold's training rows alone, and return the ledger.

    Writes the best configurations for `run(tuned=True)`, all trials, the ledger and its figures into `results`.
    Finished trials are kept: the same call goes on where it stopped.

    Parameters
    ----------
    data, dataset, name, data_file, target, positive, negative, unlabelled, drop, categorical, numeric, missing
        What to tune on, as in `run`.
    high_cardinality, dates, date_format, time, amount, entity, skip_rows, comment, decimal, member, table, format
        How it is read, as in `run`.
    rows, prevalence, source
        What is simulated, or where it is fetched from, as in `run`.
    protocol, matrix, arms, arms_file, method_file, settings, folds, repeats
        As in `run`.
    device, pack, workers, timeout, results, progress
        As in `run`.
    trials : int
        Trials of every arm and fold, the defaults first.
    inner_folds : int
        Folds of the training rows on which a trial is judged.
    seeds : int
        Seeds of a trial on each inner fold.
    generation : int
        Trials that a study asks for at once: the more, the less each knows of the others.
    search : str
        ``tpe`` or ``random``.
    pruner : str
        What ends a trial between inner folds: ``median``, ``halving`` or ``none``.
    storage : str, optional
        The URL of an Optuna storage; None takes a journal file in `results`.
    seconds : float, optional
        After so many seconds no more trials are asked for.
    anew, extend : bool
        Where a search space has changed: begin again, or keep the trials that fit.

    Returns
    -------
    DataFrame
        The ledger, one row per arm, the best first: trials, seconds, rows, and the best values.

    Raises
    ------
    BadStudy
        If a study has no complete trial. All others as in `run`.

    Examples
    --------
    >>> import bench
    >>> ledger = bench.tune("loan-sim", rows=600, arms=["logistic-regression"], folds=2, trials=2, inner_folds=2)
    >>> ledger[["arm", "trials_most"]].values.tolist()
    [['logistic-regression', 2]]
    """
    options = dict(locals())
    from bench.cli.notebook import reporter_for
    from bench.report.ledger import ledger
    from bench.runs.request import Request
    from bench.tuning.search import Search
    from bench.workflows.study import check_complete, tune

    with reporter_for(options.pop("progress")) as reporter:
        search_for = Search(**{name: options.pop(name) for name in Search.__dataclass_fields__})
        tuning = tune(Request(**options), search_for, reporter)
    check_complete(tuning.studied)
    return ledger(tuning.studied)

"""Read tables, or train on them, with whichever `bench` PYTHONPATH names; jobs as JSON on stdin, outcomes on stdout.

This file runs in older checkouts too: it takes of `bench` what they all have, and imports nothing of the tests.
"""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

SHOWN = 1000  # rows beyond which a column's values are not handed back


def main() -> None:
    """Answer every job with what came of it."""
    import bench

    jobs = json.load(sys.stdin)
    if not Path(bench.__file__).is_relative_to(jobs["checkout"]):
        raise SystemExit(f"bench is that of {bench.__file__}, not of {jobs['checkout']}")
    answers, out = sys.stdout, open(os.devnull, "w")  # noqa: SIM115, PTH123  (what libraries print is no answer)
    sys.stdout = out
    for job in jobs["jobs"]:
        answers.write(json.dumps(_answer(job, jobs["train"])) + "\n")
        answers.flush()


def _answer(job: dict[str, Any], train: bool) -> dict[str, Any]:
    from bench.errors import BenchError
    from bench.runs.request import Request

    options = job["options"]
    unknown = sorted(set(options) - {field.name for field in fields(Request)})
    if unknown:
        return {"kind": "refused", "message": f"there is no option --{unknown[0].replace('_', '-')}"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _trained(job) if train else _read(job)
    except BenchError as error:
        return {"kind": "refused", "message": str(error)}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1].name
        return {"kind": "traceback", "message": f"{type(error).__name__} in {where}: {error}"}


def _data(job: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that give the job's table: a file, or a frame in memory."""
    path = Path(job["file"])
    if job["given_as"] == "file":
        return {"data_file": path}
    if job["given_as"] == "polars":
        import polars as pl

        return {"data": pl.read_parquet(path)}
    import pandas as pd

    frame = pd.read_parquet(path)
    if job["given_as"] == "periods":
        frame["c"] = frame["c"].dt.to_period("M")
    return {"data": frame}


def _read(job: dict[str, Any]) -> dict[str, Any]:
    from bench.data.encode import encode
    from bench.data.table import load
    from bench.protocols import protocol_named
    from bench.runs.card import the_card
    from bench.runs.request import Request

    given = _data(job)
    request = Request(**given, **{"target": "y"} | job["options"])
    table = load(the_card(request), data_file=request.data_file, frame=request.data)
    X = table.X.iloc[:SHOWN]
    answer: dict[str, Any] = {
        "kind": "read",
        "columns": {str(name): _plain(X[name]) for name in X},
        "y": table.y[:SHOWN].tolist(),
        "lines": _lines(table),
    }
    if "splits" in job["asks"]:
        splits = protocol_named("strict").split(table, 5, 1)
        parts = ("train", "valid", "test")
        answer["splits"] = [[getattr(split, part).tolist() for part in parts] for split in splits]
    if "encoded" in job["asks"]:
        first = encode(table, protocol_named("strict").split(table, 5, 1)[0]).train
        answer |= {"encoded_rows": first.rows.tolist(), "encoded_columns": first.X.T.tolist()}
    return answer


def _plain(column: Any) -> list[str | float | None]:
    """Return a column's values: texts of a category, else numbers; None where missing."""
    if str(column.dtype) == "category":
        return [value if isinstance(value, str) else None for value in column.tolist()]
    return [None if math.isnan(value) else float(value) for value in column.tolist()]


def _lines(table: Any) -> list[str]:
    """Return the notes and warnings with which a run begins, of a checkout that has them."""
    try:
        from bench.data.describe import describe
    except ImportError:
        return []
    about = describe(table)
    return [*about.notes, *about.warnings]


def _trained(job: dict[str, Any]) -> dict[str, Any]:
    import bench

    given = _data(job)
    if "data_file" in given:
        given["data_file"] = str(given["data_file"])
    board = bench.run(
        **given,
        **{"target": "y"} | job["options"],
        seeds=job["seeds"],
        folds=5,
        results=job["results"],
        progress=False,
    )
    columns = [f"{job['metric']}_{end}" for end in ("mean", "lo", "hi")]
    figures = board.full.set_index("arm")[columns]
    return {"kind": "trained", "figures": {arm: row.tolist() for arm, row in figures.iterrows()}}


if __name__ == "__main__":
    main()

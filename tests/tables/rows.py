"""The cases of splits, leaks, what is shown, data without a login, and the machine: points A, B7, E and F."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.tables.case import Case, Ends, KeepsTogether, Reads

Make = Callable[[Path], Path]
N = 1000


def csv(frame: pd.DataFrame) -> Make:
    """Return what writes a frame as CSV."""

    def make(folder: Path) -> Path:
        frame.to_csv(folder / "d.csv", index=False)
        return folder / "d.csv"

    return make


def noise(values: int = 3, columns: str = "abcd", rows: int = 5000) -> pd.DataFrame:
    """Return the issue's table: columns of few values, and a label that knows nothing of them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, values, (rows, len(columns))), columns=list(columns))
    return frame.assign(y=(rng.random(rows) < 0.1).astype(int))


def scorecard(rows: int = 5000) -> pd.DataFrame:
    """Return a binned scorecard of 81 combinations, whose points decide how probable the label is."""
    rng = np.random.default_rng(1)
    bins = pd.DataFrame(rng.integers(0, 3, (rows, 4)), columns=["age", "income", "job", "debt"])
    log_odds = -3.1 + bins @ np.array([0.25, 0.35, 0.3, 0.4])
    return bins.assign(y=(rng.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(int))


def customers(rows: int = 6000, each: int = 10) -> pd.DataFrame:
    """Return a table in which a customer's features and label hang together, and nothing else does.

    Every customer has ten rows, whose features are nearly the customer's own; the label is the customer's.
    """
    rng = np.random.default_rng(2)
    who = np.repeat(np.arange(rows // each), each)
    own = rng.normal(size=(rows // each, 4))
    bad = rng.random(rows // each) < 0.08
    X = pd.DataFrame(own[who] + rng.normal(0, 0.02, (rows, 4)), columns=list("abcd"))
    frame = X.assign(customer=[f"k{i:05}" for i in who], y=bad[who].astype(int))
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


def plain() -> pd.DataFrame:
    """Return a table with nothing to warn of."""
    rng = np.random.default_rng(3)
    y = (rng.random(N) < 0.1).astype(int)
    return pd.DataFrame(
        {"a": rng.normal(size=N), "b": rng.normal(size=N) + y, "d": rng.normal(size=N), "y": y}
    )


def keys(frame: pd.DataFrame) -> list[object]:
    """Return what tells rows of different features apart."""
    return [*map(tuple, frame.drop(columns="y").to_numpy().tolist())]


def _splits() -> list[Case]:
    few, people = noise(2, "abc"), customers()
    numbered = noise().assign(id=np.random.default_rng(4).permutation(5000))
    unknown = people.assign(customer=people["customer"].where(people.index % 7 > 0))
    own = [who if isinstance(who, str) else f"row {i}" for i, who in enumerate(unknown["customer"])]
    codes = people["customer"].str[1:].astype(int)
    entity, splits = {"entity": "customer"}, ("splits",)
    return [
        Case("A1", "noise of 81 combinations", KeepsTogether(keys(noise())), csv(noise()), asks=splits),
        Case(
            "A1",
            "a scorecard of 81 combinations",
            KeepsTogether(keys(scorecard())),
            csv(scorecard()),
            asks=splits,
        ),
        Case(
            "A1",
            "texts of 81 combinations",
            KeepsTogether(keys(noise())),
            csv(_as_texts(noise())),
            asks=splits,
        ),
        Case(
            "A1", "8 combinations are pointed out", Reads(says=("5,000 rows are 8 different ones",)), csv(few)
        ),
        Case(
            "A2", "--entity customer", KeepsTogether([*people["customer"]]), csv(people), entity, asks=splits
        ),
        Case(
            "A2",
            "--entity of numbers",
            KeepsTogether([*codes]),
            csv(people.assign(customer=codes)),
            entity,
            asks=splits,
        ),
        Case("A2", "--entity with gaps", KeepsTogether(own), csv(unknown), entity, asks=splits),
        Case("A2", "the entity is no feature", Reads(absent=("customer",)), csv(people), entity),
        Case("A3", "a unique id beside equal rows", KeepsTogether(keys(noise())), csv(numbered), asks=splits),
    ]


def _as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="y").map(lambda i: f"bin {i}").assign(y=frame["y"])


def _leaks() -> list[Case]:
    rng = np.random.default_rng(5)
    table = plain()
    y = table["y"].to_numpy()
    columns: Sequence[tuple[str, str, Any]] = (
        ("a unique number", "id", rng.permutation(N)),
        ("the file's order", "row", np.arange(N) * 3.7),
        ("the file's order, falling", "rank", -np.arange(N) // 5),
        ("Unnamed: 0", "Unnamed: 0", rng.integers(0, 50, N)),
        ("level_0", "level_0", rng.integers(0, 50, N)),
        ("a copy of the target", "copy", y),
        ("a copy in words", "words", np.where(y, "bad", "good")),
        ("its reverse", "reverse", 1 - y),
        ("nearly the label", "scored", y + rng.normal(0, 0.2, N)),
        ("filled where positive only", "closed", np.where(y, rng.random(N), np.nan)),
        ("a weight", "sample_weight", rng.random(N)),
    )
    cases = [
        Case(
            "A3",
            said,
            Reads(says=(f"--drop {name}" if " " not in name else f"--drop '{name}'",)),
            csv(table.assign(**{name: values})),
        )
        for said, name, values in columns
    ]
    return [
        *cases,
        Case("A3", "a named index in parquet", Reads(says=("--drop customer",)), _indexed),
        Case("A3", "resampled by SMOTE", Reads(says=("over-sampled",)), csv(_smote(table))),
        Case("A3", "positives copied", Reads(says=("over-sampled",)), csv(_copied(table))),
    ]


def _indexed(folder: Path) -> Path:
    plain().set_index(pd.Index(np.random.default_rng(5).permutation(N), name="customer")).to_parquet(
        folder / "d.parquet"
    )
    return folder / "d.parquet"


def _smote(table: pd.DataFrame) -> pd.DataFrame:
    from imblearn.over_sampling import SMOTE

    X, y = SMOTE(random_state=0).fit_resample(table.drop(columns="y"), table["y"])
    return pd.DataFrame(X).assign(y=y).sample(frac=1, random_state=0)


def _copied(table: pd.DataFrame) -> pd.DataFrame:
    positives = table[table["y"] == 1]
    return pd.concat([table, *[positives] * 8]).sample(frac=1, random_state=0)


OWN = ("--data-file", "{folder}/d.csv", "--target", "y")
SHORT = ("--folds", "2", "--seeds", "1", "--workers", "0", "--results", "{out}")


def _shown() -> list[Case]:
    table = csv(plain().assign(copy=lambda frame: frame["y"]))
    json = ("'copy' is a copy of the label", '"n_rows": 1000', '"kind": "number"')
    return [
        Case(
            "B7",
            "bench describe --data-file",
            Ends(0, ("1,000", "copy of the label")),
            table,
            words=("describe", *OWN),
        ),
        Case("B7", "bench describe --json", Ends(0, json), table, words=("describe", *OWN, "--json")),
        Case(
            "B7",
            "bench describe --dataset",
            Ends(0, ("loan-sim", "categor")),
            words=("describe", "--dataset", "loan-sim", "--rows", "600"),
        ),
        Case(
            "B7",
            "the first lines of run",
            Ends(0, ("1,000 rows", "read as 4 numbers", "copy of the label")),
            table,
            words=("run", *OWN, "--arm", "prevalence", *SHORT),
        ),
    ]


def _without_login() -> list[Case]:
    rng = np.random.default_rng(6)
    late = np.where(rng.random(2000) < 0.01, 98, rng.integers(0, 6, 2000))
    coded = pd.DataFrame({"late": late, "x": rng.normal(size=2000), "y": rng.random(2000) < 0.1}).astype(
        {"y": int}
    )
    suites = ("credit", "fraud", "sim", "give-me-some-credit")
    names = ("give-me-some-credit", "pakdd-2009", "vub-credit")
    cases = [
        Case(
            "E13",
            f"{name} is in a wheel",
            Ends(0, (name, "wheel")),
            words=("run", "--dataset", name, "--dry-run", "--results", "{out}"),
        )
        for name in names
    ]
    return [
        *cases,
        Case("E13", "bench list suites", Ends(0, suites), words=("list", "suites", "--json")),
        Case("E13", "bench list datasets", Ends(0, names), words=("list", "datasets", "--json")),
        Case("E13", "98 among 0 to 5 is pointed out", Reads(says=("'late'", "98", "apart")), csv(coded)),
        Case(
            "E13",
            "−999 among ages is pointed out",
            Reads(says=("'age'", "-999", "apart")),
            csv(
                coded.drop(columns="late").assign(age=np.where(late == 98, -999, rng.integers(18, 80, 2000)))
            ),
        ),
    ]


def _machine() -> list[Case]:
    rng = np.random.default_rng(7)
    even = pd.DataFrame(rng.normal(size=(400, 3)), columns=list("abc")).assign(y=[0, 1] * 195 + [0] * 10)
    most = even.assign(y=[1, 1, 1, 0] * 100)
    homeless = {"HOME": "/proc/nobody", "BENCH_CACHE": "", "XDG_CACHE_HOME": ""}
    simulated = ("run", "--dataset", "loan-sim", "--rows", "600", "--arm", "prevalence", *SHORT)
    adasyn = ("run", *OWN, "--arm", "adasyn", "--arm", "prevalence", "--set", "steps=20", *SHORT)
    return [
        Case(
            "F14",
            "HOME cannot be written",
            Ends(2, ("cache", "BENCH_CACHE")),
            words=simulated,
            variables=homeless,
        ),
        Case(
            "F14",
            "the cache cannot be written",
            Ends(2, ("cannot be written", "BENCH_CACHE")),
            words=simulated,
            variables={"BENCH_CACHE": "/proc/cache"},
        ),
        Case(
            "F14",
            "bench list arms | head",
            Ends(141, without=("Traceback", "Exception ignored")),
            words=("list", "arms"),
            closes_stdout=True,
        ),
        Case(
            "F14",
            "bench list datasets | head",
            Ends(141, without=("Traceback", "Exception ignored")),
            words=("list", "datasets"),
            closes_stdout=True,
        ),
        Case(
            "F14",
            "adasyn on a balanced table",
            Ends(4, ("adasyn makes no rows", "balanced")),
            csv(even),
            words=adasyn,
        ),
        Case("F14", "a balanced label", Reads(says=("label is balanced",)), csv(even)),
        Case("F14", "the positive label is the majority", Reads(says=("majority", "75")), csv(most)),
    ]


CASES = [*_splits(), *_leaks(), *_shown(), *_without_login(), *_machine()]

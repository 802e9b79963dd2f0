"""The benchmark of ways to search: what it computes of trials, and that it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.tuning.trials import COMPLETE, FAIL, PRUNED, Studied, Study, Tried
from tests.speed import searches

FOLDS = [[(1.0, 0.2), (2.0, None), (3.0, 0.5), (4.0, 0.4)], [(1.0, 0.3), (2.0, 0.1), (3.0, 0.3), (4.0, 0.6)]]


def test_the_best_is_that_of_so_many_trials_or_seconds() -> None:
    row = {"folds": FOLDS}
    assert searches.best(row, trials=2).tolist() == [0.2, 0.3]
    assert searches.best(row).tolist() == [0.5, 0.6]
    assert searches.best(row, seconds=3.0).tolist() == [0.5, 0.3]
    assert np.isnan(searches.best(row, seconds=0.5)).all()


def test_a_way_is_held_against_the_last_fold_by_fold() -> None:
    better = [[(when, value and value + 0.1) for when, value in fold] for fold in FOLDS]
    rows = [
        {"arm": "a", "way": "tpe, 16", "seconds": 4.0, "folds": better},
        {"arm": "a", "way": "random", "seconds": 3.0, "folds": FOLDS},
    ]
    head, first, second = searches.text(rows).splitlines()
    assert "− random at 1/4" in head
    assert first == "a | tpe, 16 | 4 | 0.6500 | " + " | ".join(["+0.1000 ± 0.0000"] * 4)
    assert second == "a | random | 3 | 0.5500 | " + " | ".join(["+0.0000 ± 0.0000"] * 4)


def test_a_trial_that_was_pruned_has_found_nothing() -> None:
    same = {
        "params": {},
        "settings": {},
        "samplers": {},
        "seconds": 1.0,
        "samples": 1,
        "runs": "",
        "search": "",
    }
    ended = [(COMPLETE, [0.4, 0.6]), (PRUNED, [0.9]), (FAIL, [])]
    trials = [
        Tried(
            id=str(i),
            number=i,
            state=state,
            values=values,
            error=None,
            started=100.0,
            finished=101.0 + i,
            **same,
        )
        for i, (state, values) in enumerate(ended)
    ]
    nowhere = {name: 0 for name in Study.__dataclass_fields__ if name not in ("space", "defaults")}
    found = searches.found([Studied(Study(**nowhere), trials)], began=100.0)
    assert found == [[(1.0, 0.5), (2.0, None), (3.0, None)]]


def test_it_measures_once_and_keeps_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    words = ["--dataset", "loan-sim", "--rows", "600", "--folds", "2", "--arm", "logistic-regression"]
    words += ["--trials", "4", "--workers", "2", "--out", str(tmp_path)]
    words += ["--way", "tpe, 16, median", "--way", "random"]
    assert searches.main(words) == 0
    first = capsys.readouterr().out
    assert first.count("logistic-regression") == 2
    assert [path.suffix for path in tmp_path.iterdir()] == [".json", ".json"]
    monkeypatch.setattr(searches, "_measured", None)
    assert searches.main(words) == 0
    assert capsys.readouterr().out == first

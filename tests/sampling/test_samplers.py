"""The registry of samplers: imbalanced-learn's defaults, capped by the rows there are."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import imblearn.combine
import imblearn.over_sampling
import imblearn.under_sampling
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.sampling.samplers import SAMPLERS

THEIRS = {
    "random-over-once": imblearn.over_sampling.RandomOverSampler,
    "random-under-once": imblearn.under_sampling.RandomUnderSampler,
    "smote": imblearn.over_sampling.SMOTE,
    "borderline-smote": imblearn.over_sampling.BorderlineSMOTE,
    "svm-smote": imblearn.over_sampling.SVMSMOTE,
    "adasyn": imblearn.over_sampling.ADASYN,
    "near-miss": imblearn.under_sampling.NearMiss,
    "cluster-centroids": imblearn.under_sampling.ClusterCentroids,
    "all-knn": imblearn.under_sampling.AllKNN,
    "smoteenn": imblearn.combine.SMOTEENN,
}


def table(rows: int, columns: int, positives: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = np.zeros(rows, dtype=np.int8)
    y[:positives] = 1
    return (rng.normal(size=(rows, columns)) + 1.5 * y[:, None]).astype(np.float32), y


def test_the_samplers_stand_in_the_order_in_which_tables_print_them() -> None:
    assert list(SAMPLERS) == list(THEIRS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_settings_are_the_defaults_where_there_are_rows_enough(name: str) -> None:
    made = SAMPLERS[name].make(7, 100, 1000)
    assert isinstance(made, THEIRS[name])
    defaults = THEIRS[name]().get_params()
    own = {"random_state": 7, "n_jobs": -1}
    for setting, value in made.get_params(deep=False).items():
        if setting not in ("smote", "enn"):
            assert value in (own.get(setting), defaults[setting]), setting


def test_smoteenn_is_made_of_its_own_defaults() -> None:
    made = SAMPLERS["smoteenn"].make(7, 100, 1000)
    assert (made.smote.k_neighbors, made.smote.random_state) == (5, 7)
    assert (made.enn.n_neighbors, made.enn.sampling_strategy, made.enn.kind_sel) == (3, "all", "all")


@pytest.mark.parametrize(
    ("name", "setting", "expected"),
    [
        ("smote", "k_neighbors", {2: 1, 4: 3, 6: 5, 7: 5}),
        ("svm-smote", "k_neighbors", {2: 1, 4: 3, 6: 5, 7: 5}),
        ("near-miss", "n_neighbors", {1: 1, 2: 2, 3: 3, 4: 3}),
    ],
)
def test_neighbours_are_capped_by_the_minority(name: str, setting: str, expected: dict[int, int]) -> None:
    """A row of the minority has one neighbour fewer than there are rows; seen from the majority there are all."""
    assert {n: SAMPLERS[name].make(0, n, 100).get_params()[setting] for n in expected} == expected


@pytest.mark.parametrize("name", [name for name, entry in SAMPLERS.items() if entry.one_thread])
def test_one_thread_is_asked_for_where_threads_change_the_result(name: str) -> None:
    """So that a set is the same on any machine; with one thread it is imbalanced-learn's."""
    X, y = table(1500, 6, 40)
    with threadpool_limits(1):
        found = SAMPLERS[name].make(3, 40, 1500).fit_resample(X, y)
        expected = THEIRS[name](random_state=3).fit_resample(X, y)
    assert found[0].tobytes() == expected[0].tobytes()


def test_a_sampler_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        SAMPLERS["smote"].limit_seconds = 1.0  # type: ignore[misc]


def test_to_list_the_samplers_loads_no_library() -> None:
    code = "import sys; import bench.sampling.samplers; print({'imblearn', 'sklearn', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"

"""The samplers: imbalanced-learn's, with its defaults.

`SAMPLERS` maps a name to a `Sampler`, which draws its rows before anything trains; what chooses rows while a method
trains is a batch rule (`bench.sampling.rules`). Neighbours asked for are capped by the rows there are. AllKNN and
SMOTEENN search fewer rows than imbalanced-learn's and keep the same (`bench.sampling.neighbours`).

A sampler that makes the classes equal stops earlier where a ratio follows its name: `smote:0.5` leaves one row of the
rarer class for every two of the other.
"""

# ruff: noqa: ARG001  (every factory has the same arguments, and not every sampler needs them all)

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import BadSetting, SamplerFailed, UnknownName

if TYPE_CHECKING:
    from imblearn.base import BaseSampler

SLOW_SECONDS = 900.0
Factory = Callable[[int, int, int], "BaseSampler"]  # (seed, minority rows, rows) -> sampler


@dataclass(frozen=True)
class Sampler:
    """One sampler.

    `make(seed, minority, rows)` returns an object with `fit_resample(X, y)`. A slow sampler has a time limit, which
    applies to large tables (`bench.sampling.resample.SLOW_ROWS`); a quick one has None. With `one_thread` a single
    thread does the work, because the result would depend on the number of threads. `ratio` names the sampler's
    parameter for the rows of the rarer class per row of the other; None where it aims at no ratio. One that is not
    `random` makes the same set whatever the seed.
    """

    make: Factory
    description: str
    limit_seconds: float | None = None
    one_thread: bool = False
    ratio: str | None = "sampling_strategy"
    random: bool = True

    @property
    def slow(self) -> bool:
        """Whether it may take long enough to be stopped."""
        return self.limit_seconds is not None


def _random_over(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.over_sampling import RandomOverSampler

    return RandomOverSampler(random_state=seed)


def _random_under(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.under_sampling import RandomUnderSampler

    return RandomUnderSampler(random_state=seed)


def _smote(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.over_sampling import SMOTE

    return SMOTE(k_neighbors=_neighbours(5, minority), random_state=seed)


def _borderline_smote(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.over_sampling import BorderlineSMOTE

    return BorderlineSMOTE(
        k_neighbors=_neighbours(5, minority), m_neighbors=_neighbours(10, rows), random_state=seed
    )


def _svm_smote(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.over_sampling import SVMSMOTE

    return SVMSMOTE(
        k_neighbors=_neighbours(5, minority), m_neighbors=_neighbours(10, rows), random_state=seed
    )


def _adasyn(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.over_sampling import ADASYN

    return ADASYN(n_neighbors=_neighbours(5, minority), random_state=seed)


def _near_miss(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.under_sampling import NearMiss

    # Its neighbours are minority rows seen from the majority: no row is its own neighbour.
    return NearMiss(version=1, n_neighbors=_neighbours(3, minority + 1), n_jobs=-1)


def _cluster_centroids(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.under_sampling import ClusterCentroids

    return ClusterCentroids(random_state=seed)


def _all_knn(seed: int, minority: int, rows: int) -> BaseSampler:
    from bench.sampling.neighbours import ProvingAllKNN

    return ProvingAllKNN(n_neighbors=_neighbours(3, rows), n_jobs=-1)


def _smoteenn(seed: int, minority: int, rows: int) -> BaseSampler:
    from imblearn.under_sampling import EditedNearestNeighbours

    from bench.sampling.neighbours import ProvingSMOTEENN

    return ProvingSMOTEENN(
        smote=_smote(seed, minority, rows),
        enn=EditedNearestNeighbours(sampling_strategy="all", n_neighbors=_neighbours(3, rows), n_jobs=-1),
    )


def _neighbours(wanted: int, rows: int) -> int:
    if rows < 2:
        raise SamplerFailed(
            f"A sampler that looks for neighbours needs 2 rows of the rarer class in a fold's training part; there is "
            f"{rows}. Take fewer --folds, or arms without it."
        )
    return min(wanted, rows - 1)


SAMPLERS: Mapping[str, Sampler] = {
    "random-over-once": Sampler(_random_over, "Minority rows copied at random, once for the whole training."),
    "random-under-once": Sampler(
        _random_under, "Majority rows left out at random, once for the whole training."
    ),
    "smote": Sampler(_smote, "SMOTE: made-up rows between minority neighbours (Chawla et al. 2002)."),
    "borderline-smote": Sampler(
        _borderline_smote, "Borderline-SMOTE: SMOTE from minority rows near the border (Han et al. 2005)."
    ),
    "svm-smote": Sampler(
        _svm_smote,
        "SVM-SMOTE: SMOTE from the minority's support vectors (Nguyen et al. 2011).",
        SLOW_SECONDS,
    ),
    "adasyn": Sampler(_adasyn, "ADASYN: more made-up rows where the majority is near (He et al. 2008)."),
    "near-miss": Sampler(
        _near_miss,
        "NearMiss-1: the majority rows closest to three minority rows (Mani and Zhang 2003).",
        random=False,
    ),
    "cluster-centroids": Sampler(
        _cluster_centroids,
        "Majority rows replaced by as many k-means centres as there are minority rows.",
        SLOW_SECONDS,
        one_thread=True,
    ),
    "all-knn": Sampler(
        _all_knn,
        "AllKNN: no majority row with a minority row among its neighbours (Tomek 1976).",
        SLOW_SECONDS,
        ratio=None,
        random=False,
    ),
    "smoteenn": Sampler(
        _smoteenn,
        "SMOTE, then no row with one of the other class among its neighbours (Batista et al. 2004).",
        SLOW_SECONDS,
        ratio="smote__sampling_strategy",
    ),
}


def sampler_named(text: str) -> tuple[Sampler, float | None]:
    """Return the sampler that `NAME` or `NAME:RATIO` means, and the ratio, None for the sampler's own.

    Raises UnknownName for the name, BadSetting for a ratio that is no number in (0, 1] or where the sampler has none.
    """
    name = text.partition(":")[0]
    if name not in SAMPLERS:
        raise UnknownName("sampler", name, SAMPLERS)
    return SAMPLERS[name], ratio_of(text, aims=SAMPLERS[name].ratio is not None)


def ratio_of(text: str, *, aims: bool) -> float | None:
    """Return the ratio of `NAME:RATIO`; None where none is given.

    Raises BadSetting where it is no number in (0, 1], or given to what `aims` at none.
    """
    name, colon, ratio = text.partition(":")
    if not colon:
        return None
    try:
        number = float(ratio)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise BadSetting(
            f"{text}: {ratio!r} is no ratio. Say how many rows of the rarer class there shall be for each of the "
            f"other, more than 0 and at most 1, for example {name}:0.5."
        )
    if not aims:
        raise BadSetting(f"{text}: {name} aims at no ratio that could be set.")
    return number

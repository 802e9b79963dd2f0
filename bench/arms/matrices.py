"""The matrices: named lists of arms that run together, and the grids among them. Names alone, so nothing is imported.

A name is that of a listed arm, or spells one (`bench.arms.spelling`).
"""

from __future__ import annotations

from collections.abc import Mapping

# The methods in the order in which tables list their arms; those of other methods follow.
METHODS = (
    "prevalence",
    "logistic-regression",
    "network",
    "meta-weight-net",
    "meta-weight-net-as-coded",
    "metabalance",
    "xgboost",
    "lightgbm",
    "random-forest",
    "balanced-random-forest",
    "easy-ensemble",
    "bayes-optimal",
)

# The samplers of the paper, which are arms by these names. Random over- and under-sampling draw anew every epoch, but
# under the protocol `published` once, as in the paper.
SAMPLED = (
    "smote",
    "borderline-smote",
    "svm-smote",
    "adasyn",
    "random-over",
    "random-under",
    "cluster-centroids",
    "near-miss",
    "all-knn",
    "smoteenn",
)
# Sampler × loss, where it makes sense. A loss that weighs, shifts or spaces by the classes' counts does nothing
# of its own where a sampler has made them equal, so these only meet AllKNN, which cleans and does not balance;
# the focal loss looks at no count and meets both kinds.
CELLS = (
    *(f"focal[{name}]" for name in ("smote", "borderline-smote", "adasyn", "random-over", "random-under")),
    *(
        f"{loss}[all-knn]"
        for loss in ("class-weight", "focal", "class-balanced", "logit-adjusted", "ldam-drw")
    ),
)
# MetaBalance by its rows: as they are, in balanced batches, and by the samplers of the paper.
_ROWS = ("none", "balanced", *SAMPLED)
GRID = tuple(f"metabalance[{inner}/{outer}]" for inner in _ROWS for outer in _ROWS)
CELL = "metabalance[INNER/OUTER]"  # how one of them is spelled

ALPHAS = (
    0.001,
    0.01,
    0.1,
    0.3,
    1,
    3,
)  # MetaBalance's inner learning rates beside 0, where the order is nothing
# MetaBalance by samplers, order and inner rate: by name (inner/outer, order, α); α = 0 comes first of its pair.
ALPHA: Mapping[str, tuple[str, int, float]] = {
    f"metabalance[{pair}](order={order},inner_lr={alpha})": (pair, order, alpha)
    for pair in (
        "none/random-under",
        "random-under/none",
        "none/none",
        "svm-smote/random-under",
        "none/balanced",
    )
    for order, alpha in [(1, 0), *((order, alpha) for order in (1, 2) for alpha in ALPHAS)]
}
ALPHA_CELL = f"{CELL}(order=ORDER,inner_lr=ALPHA)"

_QUICK = (
    "prevalence",
    "logistic-regression",
    "none",
    "class-weight",
    "smote",
    "adasyn",
    "focal",
    "metabalance",
    "xgboost",
    "bayes-optimal",
)
_LOSSES = ("class-weight", "focal", "class-balanced", "logit-adjusted")
_RIVALS = (
    "meta-weight-net",
    "metabalance",
    "metabalance-first-order",
    "metabalance-no-inner",
    "outer-only",
    "xgboost",
    "xgboost-weighted",
    "xgboost-smote",
    "xgboost-default",
    "lightgbm",
    "random-forest",
    "balanced-random-forest",
    "easy-ensemble",
    "bayes-optimal",
)
_CORE = (
    "prevalence",
    "logistic-regression",
    "logistic-splines",
    "none",
    *_LOSSES,
    "balanced",
    "smote",
    "borderline-smote",
    "adasyn",
    "random-over",
    "random-under",
    "smoteenn",
    *_RIVALS,
)
_FULL = (
    "prevalence",
    "logistic-regression",
    "logistic-splines",
    "none",
    *_LOSSES,
    "ldam-drw",
    "balanced",
    *SAMPLED,
    *_RIVALS,
    *CELLS,
    *GRID,
)
_PUBLISHED = (
    "none",
    *SAMPLED,
    "class-balanced-published",
    "class-balanced",
    "meta-weight-net-published",
    "meta-weight-net",
    "metabalance-published",
    "metabalance-june-published",
)
MATRICES: Mapping[str, tuple[str, ...]] = {
    "quick": _QUICK,
    "core": _CORE,
    "full": _FULL,
    "published": _PUBLISHED,
    "grid": GRID,
    "alpha": tuple(ALPHA),
}

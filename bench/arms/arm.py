"""The arms: what a table may have as its rows, and the matrices, which are named lists of them.

An arm is a method with its samplers and the settings that differ from its defaults. Beside the arms listed
here, a name may spell one: `ARM[SAMPLER]` is an arm of one sampler on that sampler's rows, and
`metabalance[INNER/OUTER]` a cell of MetaBalance's grid (or of another arm that takes both, as
`metabalance-first-order[…]`); `none` within brackets is the rows as they are, and `smote:0.5` SMOTE up to that ratio of
the classes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bench.contract import Arm as Arm
from bench.errors import BadSetting, UnknownName
from bench.methods import method
from bench.names import ANYWAY, TUNED
from bench.sampling.samplers import SAMPLERS, sampler_named


def on_rows(arm: Arm, *samplers: str | None) -> Arm:
    """Return the arm as `ARM[…]` on the rows of one sampler, or of an inner and an outer one; None is natural."""
    name = f"{arm.name}[{'/'.join(sampler or 'none' for sampler in samplers)}]"
    what, words = arm.description.partition(";")[0], [sampler or "natural" for sampler in samplers]
    if len(samplers) == 1:
        roles: dict[str, str | None] = {"sampler": samplers[0]}
        description = f"{what}; rows {words[0]}"
    else:
        roles = {"inner_sampler": samplers[0], "outer_sampler": samplers[1]}
        description = f"{what}; inner {words[0]}, outer {words[1]}"
    named = replace(arm, name=name, description=description, fixed=arm.fixed | frozenset(roles))
    return replace(named, **roles)  # type: ignore[arg-type]  # roles are fields; mypy cannot tell which


# The samplers of the paper, which are arms by these names; with `none` they span the grid.
_SAMPLED = {
    "smote": "SMOTE (Chawla et al. 2002)",
    "borderline-smote": "Borderline-SMOTE (Han et al. 2005)",
    "svm-smote": "SVM-SMOTE (Nguyen et al. 2009)",
    "adasyn": "ADASYN (He et al. 2008)",
    "random-over": "random over-sampling",
    "random-under": "random under-sampling",
    "cluster-centroids": "k-means centroids instead of the negatives",
    "near-miss": "NearMiss-1, the negatives nearest to positives (Mani and Zhang 2003)",
    "all-knn": "AllKNN, without negatives that their neighbours outvote (Tomek 1976)",
    "smoteenn": "SMOTE, then edited nearest neighbours (Batista et al. 2004)",
}
_FOCAL = Arm("focal", "network", "focal loss, γ = 2 (Lin et al. 2017)", settings={"loss": "focal"})
_LOSSES = (
    Arm(
        "class-weight", "network", "weights by inverse class frequency", settings={"class_weight": "balanced"}
    ),
    _FOCAL,
    Arm(
        "class-balanced",
        "network",
        "weights by effective number of rows (Cui et al. 2019)",
        settings={"loss": "class-balanced"},
    ),
    Arm(
        "class-balanced-published",
        "network",
        "the same with β = .999, as in the MetaBalance paper: weights that are nearly equal",
        settings={"loss": "class-balanced", "beta": 0.999},
    ),
    Arm(
        "logit-adjusted",
        "network",
        "logits shifted by the prior (Menon et al. 2021)",
        settings={"loss": "logit-adjusted"},
    ),
    Arm(
        "ldam-drw",
        "network",
        "margins by class, weights deferred (Cao et al. 2019)",
        settings={"loss": "ldam-drw"},
    ),
)
_METABALANCE = Arm(
    "metabalance",
    "metabalance",
    "MetaBalance, exact second order; inner natural, outer random under-sampling",
    outer_sampler="random-under",
)
_LISTED = (
    Arm("prevalence", "prevalence", "the share of positives, for every row"),
    Arm("logistic-regression", "logistic-regression", "scikit-learn's, L2"),
    Arm("none", "network", "the network on the rows as they are"),
    *_LOSSES,
    *(Arm(name, "network", description, name) for name, description in _SAMPLED.items()),
    Arm(
        "meta-weight-net",
        "meta-weight-net",
        "row weights learned on balanced rows of the training part (Shu et al. 2019)",
        outer_sampler="random-under",
    ),
    Arm(
        "meta-weight-net-published",
        "meta-weight-net-as-coded",
        "as in the MetaBalance paper's code, where its weights are learned and not used",
    ),
    _METABALANCE,
    replace(
        _METABALANCE,
        name="metabalance-published",
        description="MetaBalance with the samplers that its authors chose in the end, which the data set's card names",
    ),
    replace(
        _METABALANCE,
        name="metabalance-june-published",
        description="MetaBalance as first published; inner natural, outer random under-sampling",
    ),
    replace(
        _METABALANCE,
        name="metabalance-first-order",
        description="MetaBalance, first order, as its authors' code; samplers as metabalance",
        settings={"order": 1},
    ),
    replace(
        _METABALANCE,
        name="metabalance-no-inner",
        description="control: MetaBalance without its inner step, α = 0; samplers as metabalance",
        settings={"inner_lr": 0.0},
    ),
    replace(
        _METABALANCE,
        name="outer-only",
        description="control: the outer batches alone, α = λ = 0, as many updates; outer random under-sampling",
        settings={"inner_lr": 0.0, "inner_weight": 0.0},
    ),
    Arm("xgboost", "xgboost", "histogram trees, stopped early"),
    Arm(
        "xgboost-weighted",
        "xgboost",
        "the same, positives weighted by negatives / positives",
        settings={"scale_pos_weight": "balanced"},
    ),
    Arm("xgboost-smote", "xgboost", "the same, on SMOTE's rows", "smote"),
    Arm(
        "balanced-random-forest", "balanced-random-forest", "a balanced bootstrap per tree (Chen et al. 2004)"
    ),
    Arm("easy-ensemble", "easy-ensemble", "AdaBoost on balanced subsets (Liu et al. 2009)"),
    Arm("bayes-optimal", "bayes-optimal", "the simulator's own P(y=1 | x)", needs_probability=True),
)
# Sampler × loss, where it makes sense. A loss that weighs, shifts or spaces by the classes' counts does nothing
# of its own where a sampler has made them equal, so these only meet AllKNN, which cleans and does not balance;
# the focal loss looks at no count and meets both kinds.
_CELLS = (
    *(
        on_rows(_FOCAL, name)
        for name in ("smote", "borderline-smote", "adasyn", "random-over", "random-under")
    ),
    *(on_rows(arm, "all-knn") for arm in _LOSSES if not arm.name.endswith("-published")),
)
_GRID = tuple(
    on_rows(_METABALANCE, inner, outer) for inner in (None, *_SAMPLED) for outer in (None, *_SAMPLED)
)

ARMS: Mapping[str, Arm] = {arm.name: arm for arm in (*_LISTED, *_CELLS, *_GRID)}
GRID: tuple[str, ...] = tuple(arm.name for arm in _GRID)
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
    for pair in ("none/random-under", "random-under/none", "none/none", "svm-smote/random-under")
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
_CORE = {
    *_QUICK,
    "random-over",
    "random-under",
    "borderline-smote",
    "smoteenn",
    "class-balanced",
    "logit-adjusted",
    "meta-weight-net",
    "metabalance-first-order",
    "metabalance-no-inner",
    "outer-only",
    "xgboost-weighted",
    "xgboost-smote",
    "balanced-random-forest",
    "easy-ensemble",
}
_PUBLISHED = (
    "none",
    *_SAMPLED,
    "class-balanced-published",
    "class-balanced",
    "meta-weight-net-published",
    "meta-weight-net",
    "metabalance-published",
    "metabalance-june-published",
)
_FULL = {*_CORE, *_SAMPLED, "ldam-drw", *(arm.name for arm in _CELLS), *GRID}
MATRICES: Mapping[str, tuple[str, ...]] = {  # of arms as listed, or as typed with settings
    "quick": _QUICK,
    "core": tuple(name for name in ARMS if name in _CORE),
    "full": tuple(name for name in ARMS if name in _FULL),
    "published": _PUBLISHED,
    "grid": GRID,
    "alpha": tuple(ALPHA),
}


def arm_named(name: str) -> Arm:
    """Return the arm of that name, listed or spelled; raise UnknownName with the nearest names."""
    if name in ARMS:
        return ARMS[name]
    if (spelled := _spelled(name)) is None:
        plain = [known for known in ARMS if known not in GRID]
        near = get_close_matches(name, GRID, cutoff=0.8)  # of the whole grid only what may be meant
        raise UnknownName("arm", name, [*plain, *near, "ARM[SAMPLER]", CELL])
    arm, samplers = spelled
    if samplers == ["none"]:
        return arm
    for sampler in samplers:
        if sampler.partition(":")[0] not in ("none", *SAMPLERS):
            raise UnknownName(f"sampler in {name},", sampler, ["none", *SAMPLERS])
        if sampler != "none":
            sampler_named(sampler)
    return on_rows(arm, *(None if sampler == "none" else sampler for sampler in samplers))


def _spelled(name: str) -> tuple[Arm, list[str]] | None:
    """Return the arm before the brackets and the samplers in them; None where they do not go together."""
    found = re.fullmatch(r"([^\[\]]+)\[([^\[\]]+)\]", name)
    if found is None or found[1] not in ARMS:
        return None
    arm, samplers = ARMS[found[1]], found[2].split("/")
    pools = method(arm.method).POOLS
    roles = ("sampler",) if len(samplers) == 1 else ("inner_sampler", "outer_sampler")
    if arm.sampler is not None or arm.needs_probability or len(samplers) > 2 or pools != roles:
        return None
    return arm, samplers


def read_arms(path: Path) -> list[Arm]:
    """Return the arms of a TOML file: one table `[name]` each, with `method`, samplers and settings.

    Raises BadSetting that names the file and the fault.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"The arms file {path} could not be read: {error}.") from error
    if not tables:
        raise BadSetting(
            f"The arms file {path} names no arm; give it tables [name] with `method = …` in each."
        )
    return [_arm(name, entry, path) for name, entry in tables.items()]


def _arm(name: str, entry: Any, path: Path) -> Arm:
    roles = ("method", "description", "sampler", "inner_sampler", "outer_sampler")
    if not isinstance(entry, dict) or "method" not in entry:
        raise BadSetting(f"The arms file {path} needs a table [{name}] with at least `method = …` in it.")
    if not name.strip() or not name.isprintable() or name != name.strip():
        raise BadSetting(
            f"The arms file {path} names an arm {name!r}; a name is printable, and starts with no blank."
        )
    if name.endswith((TUNED, ANYWAY)):
        raise BadSetting(f"The arms file {path} names an arm {name!r}; that is how bench marks a tuned arm.")
    if name in ARMS or _spelled(name) is not None:
        raise BadSetting(
            f"The arms file {path} redefines {name!r}, an arm of bench; give yours its own name."
        )
    for role in roles:
        if not isinstance(entry.get(role, ""), str):
            raise BadSetting(f"The arms file {path}, table [{name}]: {role} is a name, not {entry[role]!r}.")
    settings = {key: value for key, value in entry.items() if key not in roles}
    given = {key: entry[key] for key in roles if key in entry}
    return Arm(name, settings=settings, fixed=frozenset({*given, *settings}), **given)

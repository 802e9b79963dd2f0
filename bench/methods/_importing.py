"""Estimators by the path of their class: imported, made with their parameters, checked, and given seed and threads.

Whatever a class of somebody else raises meanwhile becomes a short error that names it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module, metadata
from typing import Any

from bench.errors import BadSetting, UnknownName
from bench.plugins.guards import guarded

_SEEDS = ("random_state",)
THREADS = ("n_jobs", "thread_count")
_METHODS = ("fit", "get_params", "set_params")

PipelineSteps = Sequence[tuple[str, str, Mapping[str, object]]]  # name, path and parameters of each


def build(path: str, parameters: Mapping[str, object], steps: PipelineSteps | None = None) -> Any:
    """Return the estimator of the class at `path`, or the pipeline at `path` of these steps.

    Raises BadPlugin where the class cannot be imported or made, UnknownName for a name in the path or a parameter that
    is not there, BadSetting for what is no estimator.
    """
    if steps is None:
        return _made(path, parameters)
    parts = [(name, _made(step, own)) for name, step, own in steps]
    return _made(path, {"steps": parts, **parameters})


def check(model: Any, path: str) -> None:
    """Raise BadPlugin for a parameter's value that the estimator refuses, BadSetting where it gives no scores."""
    from sklearn.base import is_classifier

    for part in (model, *parameters_of(model).values()):
        if hasattr(part, "_parameter_constraints"):  # scikit-learn's and imbalanced-learn's own
            guarded(part._validate_params, path)
    if hasattr(model, "_validate_steps"):
        guarded(model._validate_steps, path)
    if not hasattr(model, "predict_proba") and not hasattr(model, "decision_function"):
        raise BadSetting(f"{path} gives no scores: it has neither predict_proba nor decision_function.")
    if hasattr(model, "__sklearn_tags__") and not is_classifier(model):
        raise BadSetting(f"{path} is no classifier; give one, or a pipeline that ends with one.")


def parameters_of(model: Any) -> dict[str, Any]:
    """Return every parameter of the estimator and, as STEP__NAME, of the estimators within it."""
    parameters: dict[str, Any] = model.get_params(deep=True)
    return parameters


def give(model: Any, names: Iterable[str], value: int) -> None:
    """Set the parameters of these names to `value`, wherever the estimator and those within it have them."""
    known = {*parameters_of(model), *filter(None, _arguments(type(model)))}
    model.set_params(**{name: value for name in known if name.rpartition("__")[2] in names})


@cache
def distributions(path: str) -> tuple[str, ...]:
    """Return the installed packages that the class at `path` comes from."""
    return tuple(_distributions().get(path.partition(".")[0], ()))


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _made(path: str, parameters: Mapping[str, object]) -> Any:
    made_by = _class(path)
    known = _arguments(made_by)
    own = {name: _by_class(value) for name, value in parameters.items()}
    within = {name: own.pop(name) for name in [*own] if "__" in name and name not in known}
    for name in parameters:
        if name.rpartition("__")[2] in (*_SEEDS, *THREADS):
            whose = "the seed of the run (--seeds)" if name.endswith(_SEEDS) else "the threads of the worker"
            raise BadSetting(f"{path}: leave out {name}, which bench sets to {whose}.")
        if name in own and name not in known and None not in known:
            raise UnknownName(f"parameter of {path},", name, [*filter(None, known)])
    model: Any = guarded(lambda: made_by(**own), f"{path} cannot be made")
    if lacking := [name for name in _METHODS if not callable(getattr(model, name, None))]:
        raise BadSetting(f"{path} is no estimator: it has no {' and no '.join(lacking)}.")
    guarded(lambda: model.set_params(**within), path)
    return model


def _class(path: str) -> type:
    place, _, name = path.rpartition(".")
    if not place or not all(part.isidentifier() for part in path.split(".")):
        raise BadSetting(f"{path!r} is no path of a class, as sklearn.ensemble.ExtraTreesClassifier is.")
    named = guarded(lambda: getattr(import_module(place), name, None), f"{path} cannot be imported")
    if not isinstance(named, type):
        members = vars(sys.modules[place]).items()
        classes = [known for known, value in members if isinstance(value, type) and not known.startswith("_")]
        raise UnknownName(f"class in {place},", name, classes, list_all=False)
    return named


def _arguments(made_by: type) -> list[str | None]:
    """Return the names that the class can be made with; None among them where it takes any."""
    path = f"{made_by.__module__}.{made_by.__qualname__}"
    signature: Any = guarded(lambda: inspect.signature(made_by).parameters.values(), path)
    return [None if each.kind is each.VAR_KEYWORD else each.name for each in signature]


def _by_class(value: object) -> object:
    """Return a parameter as it is, but a table with the keys "0" and "1" with the classes 0 and 1 in their place."""
    if isinstance(value, dict) and value and set(value) <= {"0", "1"}:
        return {int(label): number for label, number in value.items()}
    return value

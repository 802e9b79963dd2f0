"""Any estimator with scikit-learn's interface, named by the path of its class in an arms file.

The class is imported because the user's own file names it: before anything trains, so that a wrong path or parameter
ends the command, and again in the process that fits it. It scores by its `predict_proba`, or else by its
`decision_function`, which a sigmoid maps to [0, 1]; the sigmoid is fitted on the validation rows (Platt 1999), and the
record says it under `selected`. bench sets `random_state` to the run's seed and `n_jobs` to the worker's threads
wherever the estimator has them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from math import isfinite
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

from bench.contract import Fitted, Member, Progress, Trial
from bench.data.encode import Part
from bench.errors import BadSetting, UnknownName
from bench.methods._importing import _SEEDS, THREADS, build, distributions, give, parameters_of
from bench.methods._importing import check as check_model
from bench.stats.ranking import NotFinite

NAME = "estimator"
VERSION = 1
COST = 10.0  # as an ensemble
_PIPELINE = "imblearn.pipeline.Pipeline"
PLACEHOLDER = "sklearn.dummy.DummyClassifier"  # of no arm: an arms file names an estimator
WARNINGS = 3  # that a record keeps
_STEPS = '[["smote", "imblearn.over_sampling.SMOTE", {k_neighbors = 3}], ["svm", "sklearn.svm.LinearSVC"]]'

Number = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]


def _plain(value: JsonValue) -> JsonValue:
    """Return a value that a record can hold; raise ValueError for one that is not finite."""
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is not finite")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _plain(part)
    return value


_Parameters = dict[str, Annotated[JsonValue, BeforeValidator(_plain)]]
_PipelineStep = tuple[str, str, _Parameters]  # its name in the pipeline, the path of its class
Choices = Annotated[tuple[StrictBool | Number | StrictStr, ...], Field(min_length=2)]


class Interval(BaseModel):
    """The numbers that a study may give a parameter: whole ones where `low` and `high` are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 1))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log goes with a low above 0, and with no step")
        if self.step is not None and (self.step <= 0 or not _on_grid(self.high, self)):
            raise ValueError("high must lie whole steps above low")
        return self

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.low <= value <= self.high and _on_grid(value, self)


def _on_grid(value: float, interval: Interval) -> bool:
    n_steps = (value - interval.low) / (interval.step or 1)
    return interval.step is None or abs(n_steps - round(n_steps)) < 1e-9


def _kind(value: object) -> str:
    return "interval" if isinstance(value, dict | Interval) else "choices"


Range = Annotated[
    Annotated[Interval, Tag("interval")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)
]


class Config(BaseModel):
    """`estimator` is the path of a class; `pipeline` are the steps of one of imbalanced-learn's, or scikit-learn's.

    Each step is a name, the path of a class and its `parameters`. Where `scale` is false, numeric columns are given in
    the units of the table rather than standardised. `space` is what a study may change, by the parameter's name: it is
    no part of a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: str = PLACEHOLDER
    parameters: _Parameters = Field(default_factory=dict)
    pipeline: tuple[_PipelineStep, ...] | None = Field(default=None, min_length=1)
    scale: StrictBool = True
    space: dict[str, Range] = Field(default_factory=dict, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _steps_are_a_pipeline(cls, values: object) -> object:
        if isinstance(values, Mapping) and values.get("pipeline") is not None:
            return {"estimator": _PIPELINE, **values}
        return values


def is_named(entry: Mapping[str, object]) -> bool:
    """Return whether a table of an arms file names an estimator, or the steps of one."""
    return "estimator" in entry or "steps" in entry


def settings_of(entry: Mapping[str, object]) -> dict[str, object]:
    """Return the settings of an arm that names an estimator: what is no setting of it is the estimator's parameter.

    Raises BadSetting where it names none, or gives a parameter twice.
    """
    if not is_named(entry):
        raise BadSetting("give `estimator`, the path of a class, or the `steps` of a pipeline.")
    own = {key: value for key, value in entry.items() if key in ("estimator", "parameters", "scale", "space")}
    if "steps" in entry:
        own["pipeline"] = [_step(step) for step in _listed(entry["steps"])]
    beside = {key: value for key, value in entry.items() if key not in (*own, "steps")}
    table = own.setdefault("parameters", {})
    if not isinstance(table, dict):
        raise BadSetting(f"parameters is a table, as {{n_estimators = 100}}, not {table!r}.")
    if twice := sorted({*table} & {*beside}):
        raise BadSetting(f"the parameter {twice[0]} is given twice, beside `parameters` and in it.")
    own["parameters"] = {**table, **beside}
    return own


def _listed(steps: object) -> list[object]:
    if not isinstance(steps, list) or not steps:
        raise BadSetting(f"steps is a list, as {_STEPS}, not {steps!r}.")
    return steps


def _step(step: object) -> list[object]:
    """Return a step as name, path and parameters; raise BadSetting where it is none."""
    match step:
        case [str() as name, str() as path]:
            return [name, path, {}]
        case [str() as name, str() as path, dict() as parameters]:
            return [name, path, parameters]
    raise BadSetting(
        f"{step!r} is no step; each is a name, a class and maybe its parameters, as in {_STEPS}."
    )


def check(config: Config) -> None:
    """Raise BadSetting or its kin where no such estimator can be made and score, or its space cannot be searched."""
    model = _built(config)
    check_model(model, config.estimator)
    for name in config.space:
        _value(config, name, model)


def PACKAGES(config: Config) -> tuple[str, ...]:  # noqa: N802  (a name of the contract)
    """Return the packages that the estimator's classes come from."""
    paths = [config.estimator, *(path for _, path, _ in config.pipeline or ())]
    return tuple(dict.fromkeys(name for path in paths for name in distributions(path)))


def space(trial: Trial) -> dict[str, object]:
    """Return the parameters with those that the arm's `space` names as suggested; nothing where it names none."""
    config = Config.model_validate(dict(trial.arm.settings))
    parameters = dict(config.parameters)
    for name, allowed in config.space.items():
        value = _value(config, name)
        suggested = _suggest(trial, name, allowed, value)
        if name in parameters or suggested != value:  # else it is the class's own default
            parameters[name] = suggested
    return {"parameters": parameters} if config.space else {}


def _suggest(trial: Trial, name: str, allowed: Interval | tuple[Any, ...], default: Any) -> Any:
    if isinstance(allowed, tuple):
        return trial.suggest_categorical(name, allowed, default=default)
    if allowed.whole:
        low, high, step = int(allowed.low), int(allowed.high), int(allowed.step or 1)
        return trial.suggest_int(name, low, high, log=allowed.log, step=step, default=default)
    return trial.suggest_float(
        name, allowed.low, allowed.high, log=allowed.log, step=allowed.step, default=default
    )


def _value(config: Config, name: str, model: Any = None) -> Any:
    """Return the value of a parameter that a study may change, the class's default where the arm sets none.

    Raises BadSetting where it lies outside of its space.
    """
    if name in config.parameters:
        value: Any = config.parameters[name]
    else:
        known = parameters_of(_built(config) if model is None else model)
        if name not in known:
            raise UnknownName(f"parameter in the space of {config.estimator},", name, known)
        value = known[name]
    if name.rpartition("__")[2] in (*_SEEDS, *THREADS):
        raise BadSetting(f"leave {name} out of the space: bench sets it.")
    if value not in config.space[name]:
        raise BadSetting(
            f"{name} is {value!r}, which lies outside of its space; the first trial of a study is the arm as it is. "
            "Give it a value of the space in `parameters`, or widen the space."
        )
    return value


def _built(config: Config) -> Any:
    return build(config.estimator, config.parameters, config.pipeline)


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Fit each member's estimator on its rows, on the CPU with the threads that the runner allows."""
    return [_fit(member) for member in members]


def _fit(member: Member) -> Fitted:
    (rows,), config, model = member.pools, member.config, _built(member.config)
    if not (scores_itself := hasattr(model, "predict_proba")) and not len(member.valid.X):
        raise ValueError(
            f"{config.estimator} has no predict_proba, and the sigmoid that maps its decision_function to [0, 1] is "
            "fitted on validation rows, of which there are none here."
        )
    give(model, _SEEDS, member.seed % 2**31)
    give(model, THREADS, torch.get_num_threads())
    with _kept_warnings() as kept:
        model.fit(_features(member, rows), rows.labels.copy())  # a class may change its rows in place
    give(model, THREADS, 1)  # several threads add up the votes in the order in which they end
    selected: dict[str, Any] = {"scores": "predict_proba" if scores_itself else "decision_function"}
    column = _positive(model, config.estimator)
    slope, intercept = 1.0, 0.0
    if not scores_itself:
        slope, intercept = _sigmoid(_decision(model, member, member.valid, column), member.valid.labels)
        selected["sigmoid"] = {"slope": slope, "intercept": intercept}

    def predict(part: Part) -> NDArray[np.float64]:
        if not scores_itself:
            return _expit(slope * _decision(model, member, part, column) + intercept)
        with _kept_warnings():
            scored = model.predict_proba(_features(member, part))
        columns = _numbers(scored, [(len(part.X), 2)], f"{config.estimator}.predict_proba")
        return np.ascontiguousarray(columns[:, column])

    steps = _steps(model, config.estimator)
    return Fitted(predict, steps, steps, len(rows.X), selected | ({"warnings": kept} if kept else {}))


def _features(member: Member, part: Part) -> NDArray[np.float64]:
    """Return the part's features (n, d) as encoded, or with numeric columns in the table's units."""
    if member.config.scale:
        return part.X.astype(np.float64)
    if member.units is None:
        raise ValueError(
            "scale is false, but this protocol's encoding does not say the units of its columns."
        )
    return member.units.restore(part.X)


def _positive(model: Any, path: str) -> int:
    """Return the place of the class 1 among the estimator's classes."""
    classes: list[object] = [*np.asarray(getattr(model, "classes_", ())).tolist()]
    if classes not in ([0, 1], [1, 0]):
        raise ValueError(f"{path} has learned the classes {classes}; expected 0 and 1, in its `classes_`.")
    return classes.index(1)


def _decision(model: Any, member: Member, part: Part, column: int) -> NDArray[np.float64]:
    """Return the decision values (n,), higher for the class 1."""
    with _kept_warnings():
        decided = model.decision_function(_features(member, part))
    n_rows = len(part.X)
    values = _numbers(decided, [(n_rows,), (n_rows, 2)], f"{member.config.estimator}.decision_function")
    if values.ndim == 2:
        return np.ascontiguousarray(values[:, column])
    return values if column else -values


def _numbers(values: object, shapes: Sequence[tuple[int, ...]], what: str) -> NDArray[np.float64]:
    """Return what an estimator gave as numbers; raise ValueError for another shape, and where they are not finite."""
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "fiub":
        raise ValueError(f"{what} gives an array of {numbers.dtype}; expected real numbers.")
    if numbers.shape not in shapes:
        raise ValueError(f"{what} gives shape {numbers.shape}; expected {' or '.join(map(str, shapes))}.")
    if n_odd := int((~np.isfinite(numbers)).sum()):
        raise NotFinite(f"{what} gives {n_odd} numbers that are not finite.")
    return numbers.astype(np.float64, copy=False)


def _sigmoid(decision: NDArray[np.float64], labels: NDArray[np.int8]) -> tuple[float, float]:
    """Return slope and intercept of P(y=1) = σ(slope · decision + intercept) by maximum likelihood.

    The targets are Platt's (1999), (positives + 1) / (positives + 2) and 1 / (negatives + 2): each row counts as a
    positive and as a negative of such weights.
    """
    from sklearn.linear_model import LogisticRegression

    positives = int(labels.sum())
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    center, spread = decision.mean(), decision.std() or 1.0
    rows = np.tile(((decision - center) / spread)[:, None], (2, 1))
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(rows, np.repeat([1, 0], len(labels)), sample_weight=np.concatenate([target, 1 - target]))
    slope = float(model.coef_[0, 0] / spread)
    return slope, float(model.intercept_[0] - slope * center)


def _expit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import expit

    scores: NDArray[np.float64] = expit(values)
    return scores


def _steps(model: Any, path: str) -> int:
    """Return how many iterations or estimators the last step of the model says that it has; 0 where it says none."""
    last = model[-1] if hasattr(model, "steps") else model
    iterations = getattr(last, "n_iter_", None)
    if iterations is not None:
        numbers = np.asarray(iterations)
        if numbers.dtype.kind not in "fiu" or not numbers.size or not np.isfinite(numbers).all():
            raise ValueError(f"{path} has an `n_iter_` that is no number: {iterations!r}.")
        return int(numbers.max())
    return len(getattr(last, "estimators_", ()))


@contextmanager
def _kept_warnings() -> Iterator[list[str]]:
    """Collect the first warnings of an estimator in place of printing them; its output goes to stderr.

    Threads do its work where it has some: a worker process may have no processes of its own.
    """
    from joblib import parallel_config

    kept: list[str] = []
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(sys.stderr):
        warnings.simplefilter("always")
        with parallel_config(backend="threading"):
            yield kept
    texts = (f"{each.category.__name__}: {' '.join(str(each.message).split())}"[:200] for each in caught)
    # scikit-learn tells of `n_jobs`, which bench sets, where it has no use for it any more.
    kept += [*dict.fromkeys(text for text in texts if "n_jobs" not in text)][:WARNINGS]

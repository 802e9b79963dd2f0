"""The contract of a method, as checks on small tables: what its file says, what it fits, and on which rows it can."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from pydantic import BaseModel, ValidationError

from bench.arms.arm import ARMS
from bench.arms.settings import configure
from bench.contract import Arm, BatchRule, Fitted, Member, Method, SteppedConfig
from bench.data.encode import Encoded, Part, encode
from bench.errors import BenchError
from bench.methods import how_to_install, missing_packages
from bench.names import DEFAULT_PROTOCOL
from bench.protocols import protocol_named
from bench.sampling.rules import RULES
from bench.testing.checks import Check, examine, expect, loans
from bench.tuning.space import Classes, arm_at, space_of

CPU = torch.device("cpu")
_SEEDS = (0, 1)
REGISTERED = "It says what a method must: VERSION, Config, space, fit"
CLASSES = Classes(300, 60)
TRIALS = 20  # random ones, of a space

Scores = NDArray[np.float64]


@dataclass
class Subject:
    """A method with settings in place of its defaults, and the rows that it is tried on."""

    method: Method
    settings: Mapping[str, object]

    @cached_property
    def encoded(self) -> Encoded:
        """One split of the simulated table."""
        return _encoded()

    @cached_property
    def fitted(self) -> list[Fitted]:
        """One member for each of two seeds, on the rows as they are."""
        return self.fit()

    @property
    def defaults(self) -> dict[str, object]:
        """Those settings that the method has."""
        fields = self.method.config.model_fields
        return {name: value for name, value in self.settings.items() if name in fields}

    def fit(
        self,
        seeds: Sequence[int] = _SEEDS,
        train: Part | None = None,
        valid: Part | None = None,
        config: BaseModel | None = None,
        rule: str | None = None,
    ) -> list[Fitted]:
        """Return what `fit` makes of one member for each seed, all of whose pools have the batch rule, if any."""
        pools = (train or self.encoded.train,) * len(self.method.pools)
        config = config or self.method.config.model_validate(self.defaults)
        valid = valid or self.encoded.valid
        rules = (None if rule is None else BatchRule(rule),) * len(pools)
        members = [Member(config, seed, pools, valid, self.encoded.units, rules) for seed in seeds]
        return self.method.fit(members, CPU, lambda step, steps: None)


def examine_method(method: Method, settings: Mapping[str, object]) -> list[Check]:
    """Return what holds and what does not of a registered method."""
    subject = Subject(method, settings)
    checks = [Check(REGISTERED), *examine(SAYS, subject, method.file)]
    if checks[1].fault:
        return checks
    if missing := missing_packages(method):
        fault = f"{' and '.join(missing)} not installed here: {how_to_install(method)}"
        return [*checks, Check("Its packages are installed", fault)]
    return checks + examine(FITS, subject, method.file)


def settings_have_defaults(subject: Subject) -> None:
    """`Config()` is a configuration: every setting has a default."""
    subject.method.config()


def settings_are_frozen(subject: Subject) -> None:
    """`Config` is frozen and refuses settings that it does not have."""
    kind, config = subject.method.config, subject.method.config()
    expect(
        _is_refused(lambda: kind.model_validate({"no_such_setting": 1})),
        "it takes the setting no_such_setting",
    )
    for name in kind.model_fields:
        expect(_is_refused(lambda: setattr(config, name, getattr(config, name))), f"{name} can be set")  # noqa: B023


def _is_refused(change: Callable[[], object]) -> bool:
    try:
        change()
    except ValidationError:
        return True
    return False


def settings_survive_json(subject: Subject) -> None:
    """A configuration can be written down as JSON and read again."""
    config = subject.method.config()
    again = type(config).model_validate(json.loads(json.dumps(config.model_dump(mode="json"))))
    expect(again == config, f"{config!r} comes back as {again!r}")


def arms_configure(subject: Subject) -> None:
    """Its arms are listed, are described, and have settings that `Config` takes."""
    for arm in subject.method.arms:
        expect(
            ARMS[arm.name].description, f"{arm.name!r} has no description"
        )  # BadPlugin for two of one name
        configure(arm)


def space_starts_from_the_arm(subject: Subject) -> None:
    """`space` gives settings that `Config` takes, always for the same names, and at its defaults the arm as it is."""
    for samplers in ({}, dict.fromkeys(subject.method.pools, "smote")):
        arm = Arm(subject.method.name, subject.method.name, **samplers)  # type: ignore[arg-type]  # roles are fields
        space = space_of(arm, CLASSES)
        expect(
            configure(arm_at(arm, space.defaults, CLASSES)) == configure(arm),
            f"at its defaults, {space.defaults!r}, the arm has other settings than by itself",
        )
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(TRIALS):
            configure(arm_at(arm, study.ask(dict(space.distributions)).params, CLASSES))
        for params in _ends(space.distributions):
            configure(arm_at(arm, params, CLASSES))


def _ends(distributions: Mapping[str, BaseDistribution]) -> list[dict[str, object]]:
    """Return the first, or lowest, value of every parameter, and the last, or highest."""
    return [{name: _end(each, end) for name, each in distributions.items()} for end in (0, -1)]


def _end(distribution: BaseDistribution, end: int) -> object:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[end]
    return (distribution.low, distribution.high)[end]  # type: ignore[attr-defined]  # of numbers


def fit_gives_one_per_member(subject: Subject) -> None:
    """`fit` returns one Fitted for each member."""
    fitted = subject.fitted
    expect(isinstance(fitted, Sequence), f"it returns a {type(fitted).__name__}; expected a list")
    expect(len(fitted) == len(_SEEDS), f"it returns {len(fitted)} for {len(_SEEDS)} members")
    for each in fitted:
        expect(
            isinstance(each, Fitted), f"it returns a {type(each).__name__}; expected a bench.contract.Fitted"
        )


def scores_are_probabilities(subject: Subject) -> None:
    """It scores each row by a finite number in [0, 1]."""
    for fitted in subject.fitted:
        for part in (subject.encoded.valid, subject.encoded.train, _first(subject.encoded.valid, 1)):
            _check_scores(fitted.predict(part), part)


def _check_scores(scores: object, part: Part) -> None:
    expect(isinstance(scores, np.ndarray), f"`predict` returns a {type(scores).__name__}; expected an array")
    values = np.asarray(scores)
    expect(
        values.shape == (len(part.X),),
        f"scores of shape {values.shape} for {len(part.X)} rows; expected (n,)",
    )
    expect(values.dtype.kind == "f", f"scores are {values.dtype}; expected float64")
    expect(
        np.isfinite(values).all(), f"{(~np.isfinite(values)).sum()} of {len(values)} scores are not finite"
    )
    low, high = values.min(), values.max()
    expect(
        low >= 0 and high <= 1, f"scores lie between {low:g} and {high:g}; expected probabilities in [0, 1]"
    )


def steps_are_counted(subject: Subject) -> None:
    """The best step is one of the steps, and rows are counted."""
    for fitted in subject.fitted:
        expect(
            fitted.best_step <= fitted.steps,
            f"step {fitted.best_step} of {fitted.steps} is the best one",
        )
        first, last = fitted.first_step, fitted.last_step
        expect(
            (first is None and last is None) or (first is not None and last is not None and first <= last),
            f"the best step is one of {first} to {last}",
        )


def what_was_used_is_told(subject: Subject) -> None:
    """It says on what it really ran: the device it was given, an engine by name, at least one thread, or None."""
    for fitted in subject.fitted:
        expect(
            fitted.device in (None, CPU.type),
            f"the device is {fitted.device!r}, and it was given {CPU.type!r}",
        )
        expect(fitted.engine is None or fitted.engine.strip(), "the engine has an empty name")


def labels_are_not_asked_for(subject: Subject) -> None:
    """It scores rows without their labels, as test rows are."""
    labelled = subject.encoded.valid
    without = Part(labelled.rows, labelled.X, None, labelled.probability)
    for fitted in subject.fitted:
        expect(
            _same(fitted.predict(without), fitted.predict(labelled)),
            "other scores than with the labels at hand",
        )


def a_seed_decides(subject: Subject) -> None:
    """The same seeds give the same bits again, whatever the order of the members and the global random state."""
    turned = subject.fit(_SEEDS[::-1])[::-1]
    with _other_random_state():
        again = subject.fit()
    for words, others in (("members in another order", turned), ("fitted again", again)):
        for fitted, other in zip(subject.fitted, others, strict=True):
            expect(_equal(fitted, other, subject.encoded.test), f"{words}, and the scores are others")


@contextmanager
def _other_random_state() -> Iterator[None]:
    """Let numpy and torch draw other numbers than before, and give them their state back."""
    numpys, torchs = np.random.get_state(), torch.get_rng_state()
    np.random.seed(2**31 - 1)
    torch.manual_seed(2**31 - 1)
    try:
        yield
    finally:
        np.random.set_state(numpys)
        torch.set_rng_state(torchs)


def company_does_not_matter(subject: Subject) -> None:
    """A member alone is scored as in company."""
    for seed, fitted in zip(_SEEDS, subject.fitted, strict=True):
        (alone,) = subject.fit([seed])
        expect(
            _equal(fitted, alone, subject.encoded.test),
            f"seed {seed} has other scores alone than beside another",
        )


def batch_rules_are_followed(subject: Subject) -> None:
    """With DRAWS_BATCHES it draws by the rule that it finds on its members: other rows, other scores."""
    if not subject.method.draws_batches:
        return
    for rule in RULES:
        (fitted,) = subject.fit(_SEEDS[:1], rule=rule)
        _check_scores(fitted.predict(subject.encoded.test), subject.encoded.test)
        expect(
            not _equal(fitted, subject.fitted[0], subject.encoded.test),
            f"by the rule {rule} it gives the scores that it gives without; draw by `Member.rules`, or leave "
            "DRAWS_BATCHES out",
        )


def rows_are_left_alone(subject: Subject) -> None:
    """It changes none of its rows."""
    # As the file has it: in a benchmark it is given copies.
    own = replace(subject, method=replace(subject.method, fit=inspect.unwrap(subject.method.fit)))
    encoded, untouched = own.encoded, _encoded()
    for fitted in own.fit():
        fitted.predict(encoded.test)
    for name in ("train", "valid", "test"):
        same = _bytes(getattr(encoded, name)) == _bytes(getattr(untouched, name))
        expect(same, f"the {name} rows were changed")


def _encoded() -> Encoded:
    return encode(loans(), protocol_named(DEFAULT_PROTOCOL).splits(loans(), folds=3)[0])


def _bytes(part: Part) -> tuple[bytes, bytes | None]:
    return part.X.tobytes(), None if part.y is None else part.y.tobytes()


def it_does_without_validation(subject: Subject) -> None:
    """Without validation rows it trains, or says that it needs them."""
    config = subject.method.config.model_validate(subject.defaults)
    if isinstance(config, SteppedConfig) and config.needs_validation:
        return
    try:
        (fitted,) = subject.fit(_SEEDS[:1], valid=_first(subject.encoded.valid, 0))
    except (BenchError, ValueError) as error:
        if "validation" in str(error):
            return
        raise
    _check_scores(fitted.predict(subject.encoded.test), subject.encoded.test)


def one_feature_is_enough(subject: Subject) -> None:
    """It trains on a single feature."""
    encoded = subject.encoded
    train, valid, test = (
        Part(part.rows, np.ascontiguousarray(part.X[:, :1]), part.y, part.probability)
        for part in (encoded.train, encoded.valid, encoded.test)
    )
    (fitted,) = subject.fit(_SEEDS[:1], train, valid)
    _check_scores(fitted.predict(test), test)


def few_positives_are_enough(subject: Subject) -> None:
    """It trains on three positives, with two to validate on."""
    encoded = subject.encoded
    (fitted,) = subject.fit(_SEEDS[:1], _with_positives(encoded.train, 3), _with_positives(encoded.valid, 2))
    _check_scores(fitted.predict(encoded.test), encoded.test)


def both_ends_can_be_fitted(subject: Subject) -> None:
    """Both ends of its space can be trained."""
    arm = Arm(subject.method.name, subject.method.name)
    counts = np.bincount(subject.encoded.train.labels)
    classes = Classes(int(counts[0]), int(counts[1]))
    space = space_of(arm, classes)
    kept = {name: value for name, value in subject.defaults.items() if name not in space.distributions}
    for params in _ends(space.distributions):
        settings = configure(arm_at(arm, params, classes)) | kept
        (fitted,) = subject.fit(_SEEDS[:1], config=subject.method.config.model_validate(settings))
        _check_scores(fitted.predict(subject.encoded.test), subject.encoded.test)


def _first(part: Part, n_rows: int) -> Part:
    return _rows(part, np.arange(n_rows))


def _with_positives(part: Part, n_positives: int) -> Part:
    """Return all negatives of the part, and so many positives."""
    positives = np.flatnonzero(part.labels == 1)
    return _rows(part, np.sort([*np.flatnonzero(part.labels == 0), *positives[:n_positives]]))


def _rows(part: Part, chosen: NDArray[np.int64]) -> Part:
    probability = None if part.probability is None else part.probability[chosen]
    return Part(part.rows[chosen], np.ascontiguousarray(part.X[chosen]), part.labels[chosen], probability)


def _equal(fitted: Fitted, other: Fitted, part: Part) -> bool:
    return _same(fitted.predict(part), other.predict(part))


def _same(scores: Scores, others: Scores) -> bool:
    return np.asarray(scores).tobytes() == np.asarray(others).tobytes()


SAYS = (
    settings_have_defaults,
    settings_are_frozen,
    settings_survive_json,
    arms_configure,
    space_starts_from_the_arm,
)
FITS = (
    fit_gives_one_per_member,
    scores_are_probabilities,
    steps_are_counted,
    what_was_used_is_told,
    labels_are_not_asked_for,
    a_seed_decides,
    company_does_not_matter,
    batch_rules_are_followed,
    rows_are_left_alone,
    it_does_without_validation,
    one_feature_is_enough,
    few_positives_are_enough,
    both_ends_can_be_fitted,
)

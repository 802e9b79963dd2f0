"""Search spaces: the arm's own settings are fixed, its defaults are trial 0, the ratio of the classes is open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.arms.arm import ARMS, arm_named
from bench.arms.matrices import GRID, MATRICES
from bench.arms.settings import adjust, configure
from bench.data.cards import card
from bench.errors import BadSetting
from bench.methods import ROLES, method, methods
from bench.methods.metabalance import STUDIED_SAMPLERS
from bench.protocols import as_judged, protocol_named
from bench.sampling.rules import NAMES
from bench.tuning.space import Classes, arm_at, holds, rounded, space_of

FIVE, SIXTEEN = Classes(500, 100), Classes(1600, 100)
TUNABLE = [name for name in ARMS if space_of(ARMS[name], FIVE).distributions and name not in GRID]
BALANCES = {"balance", "outer_balance", "tau", "one_minus_beta"}


@pytest.mark.parametrize("name", TUNABLE)
def test_the_defaults_are_the_arm_as_it_is(name: str) -> None:
    arm = ARMS[name]
    same = arm_at(arm, space_of(arm, FIVE).defaults, FIVE)
    assert configure(same) == configure(arm)
    assert [getattr(same, role) for role in ROLES] == [getattr(arm, role) for role in ROLES]


@pytest.mark.parametrize("dataset", ["loan", "fraud"])
@pytest.mark.parametrize("name", MATRICES["published"])
def test_an_arm_with_the_papers_samplers_keeps_them(name: str, dataset: str) -> None:
    """Slow ones, which a study does not choose among."""
    arm = as_judged(ARMS[name], card(dataset), protocol_named("strict"))
    space = space_of(arm, FIVE)
    same = arm_at(arm, space.defaults, FIVE)
    for role in ROLES:
        assert getattr(same, role) == getattr(arm, role)
        if (getattr(arm, role) or "none") not in ("none", *STUDIED_SAMPLERS):
            assert role not in space.distributions


@pytest.mark.parametrize("name", MATRICES["core"])
def test_the_ratio_of_the_classes_is_open_in_every_core_arm(name: str) -> None:
    """But in balanced batches, of which half is of either class."""
    asked = set(space_of(ARMS[name], FIVE).distributions)
    assert not asked or bool(asked & BALANCES) == (name != "balanced")
    assert bool(asked) == (name not in ("prevalence", "bayes-optimal"))


@pytest.mark.parametrize("name", TUNABLE)
def test_what_makes_an_arm_what_it_is_stays(name: str) -> None:
    """At another value of every parameter the arm's own settings are as they were, but for those that even out."""
    arm, space = ARMS[name], space_of(ARMS[name], FIVE)
    other = {
        n: next(v for v in getattr(d, "choices", None) or (d.low, d.high) if v != space.defaults[n])  # type: ignore[attr-defined]
        for n, d in space.distributions.items()
    }
    moved = arm_at(arm, other, FIVE)
    kept = {n: v for n, v in arm.settings.items() if v != "balanced"}
    if arm.sampler:
        assert str(moved.sampler).partition(":")[0] == arm.sampler
    assert {n: moved.settings[n] for n in kept} == kept
    assert configure(moved) != configure(arm)


@pytest.mark.parametrize(("share", "sampler"), [(0.25, "smote:0.125"), (0.5, "smote:0.25"), (1.0, "smote")])
def test_balance_sets_the_ratio_of_a_sampler(share: float, sampler: str | None) -> None:
    arm = ARMS["smote"]
    params = {**space_of(arm, SIXTEEN).defaults, "balance": share}
    assert arm_at(arm, params, SIXTEEN).sampler == sampler


@pytest.mark.parametrize(("share", "weight"), [(0.0, None), (0.5, 4.0), (1.0, "balanced")])
@pytest.mark.parametrize(
    ("name", "setting"),
    [("none", "class_weight"), ("xgboost", "scale_pos_weight"), ("logistic-regression", "class_weight")],
)
def test_balance_sets_the_weight_of_a_positive_row(
    name: str, setting: str, share: float, weight: object
) -> None:
    arm = ARMS[name]
    params = {**space_of(arm, SIXTEEN).defaults, "balance": share}
    assert arm_at(arm, params, SIXTEEN).settings[setting] == weight


def test_metabalance_opens_both_samplers_unless_its_name_says_them() -> None:
    free, named = (
        set(space_of(arm_named(name), FIVE).distributions)
        for name in ("metabalance", "metabalance[smote/none]")
    )
    assert {"inner_sampler", "inner_balance", "outer_sampler", "outer_balance"} <= free
    assert named & {"inner_sampler", "inner_balance", "outer_sampler", "outer_balance"} == {"inner_balance"}
    arm = arm_named("metabalance")
    params = {
        **space_of(arm, SIXTEEN).defaults,
        "inner_sampler": "smote",
        "inner_balance": 0.5,
        "outer_sampler": "none",
    }
    moved = arm_at(arm, params, SIXTEEN)
    assert (moved.inner_sampler, moved.outer_sampler) == ("smote:0.25", None)


def test_samplers_that_a_study_may_choose_are_samplers() -> None:
    assert set(STUDIED_SAMPLERS) <= set(NAMES)


def test_a_setting_that_the_user_gave_is_not_asked() -> None:
    arm = adjust(ARMS["none"], {"lr": "0.5", "hidden": "[4]", "class_weight": "balanced"})
    space = space_of(arm, FIVE)
    assert not {"lr", "width", "depth", "balance"} & set(space.distributions)
    moved = arm_at(arm, {**space.defaults, "dropout": 0.25}, FIVE)
    assert (moved.settings["lr"], moved.settings["hidden"], moved.settings["class_weight"]) == (
        0.5,
        [4],
        "balanced",
    )


def test_low_rates_of_xgboost_have_more_rounds() -> None:
    arm = ARMS["xgboost"]
    rounds = [
        configure(arm_at(arm, {**space_of(arm, FIVE).defaults, "learning_rate": rate}, FIVE))["rounds"]
        for rate in (0.05, 0.01)
    ]
    assert rounds == [2000, 10_000]


def test_numbers_are_rounded_and_stay_in_their_interval() -> None:
    space = space_of(ARMS["none"], FIVE)
    found = rounded(space, {**space.defaults, "lr": 0.0123456, "weight_decay": 1e-5 + 1e-19})
    assert found["lr"] == 0.01235
    assert found["weight_decay"] == 1e-5
    assert arm_at(ARMS["none"], {**space.defaults, "lr": 0.0123456}, FIVE).settings["lr"] == 0.01235


def test_a_space_that_asks_now_and_then_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def space(trial: object) -> dict[str, object]:
        found = {"C": trial.suggest_float("C", 0.1, 10.0)}  # type: ignore[attr-defined]
        return found if found["C"] == 1 else {**found, "max_iter": trial.suggest_int("max_iter", 1, 9000)}  # type: ignore[attr-defined]

    changed = replace(method("logistic-regression"), space=space)
    monkeypatch.setitem(methods(), "logistic-regression", changed)
    with pytest.raises(BadSetting, match="asked for 'max_iter' in one trial and not in another"):
        arm_at(ARMS["logistic-regression"], {"C": 2.0}, FIVE)


def test_a_default_outside_of_its_space_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(
        method("logistic-regression"), space=lambda trial: {"C": trial.suggest_float("C", 2, 9)}
    )
    monkeypatch.setitem(methods(), "logistic-regression", changed)
    with pytest.raises(BadSetting, match=r"the default C = 1\.0 lies outside"):
        space_of(ARMS["logistic-regression"], FIVE)


def test_a_distribution_holds_its_values_alone() -> None:
    spaces = space_of(ARMS["metabalance"], FIVE).distributions
    assert holds(spaces["pairs"], 8)
    assert not holds(spaces["pairs"], 9)
    assert not holds(spaces["lr"], 1e9)
    assert not holds(spaces["lr"], "fast")


def test_where_positives_are_the_commoner_class_their_weight_falls() -> None:
    arm, classes = ARMS["none"], Classes(100, 1600)
    weights = [
        arm_at(arm, {**space_of(arm, classes).defaults, "balance": share}, classes).settings["class_weight"]
        for share in (0.0, 0.5, 0.999, 1.0)
    ]
    assert weights == [None, 0.25, 0.06267, "balanced"]
    smote = arm_at(ARMS["smote"], {**space_of(ARMS["smote"], classes).defaults, "balance": 0.5}, classes)
    assert smote.sampler == "smote:0.25"


def test_defaults_are_those_of_the_arms_own_configuration() -> None:
    """A default may depend on another setting: SGD has a decay of its own."""
    arm = adjust(ARMS["none"], {"optimiser": "sgd"})
    space = space_of(arm, FIVE)
    assert space.defaults["weight_decay"] == 5e-4
    assert configure(arm_at(arm, space.defaults, FIVE)) == configure(arm)


def test_the_effective_numbers_own_beta_is_its_default() -> None:
    assert space_of(ARMS["class-balanced"], FIVE).defaults["one_minus_beta"] == pytest.approx(
        1 / 600, rel=1e-3
    )

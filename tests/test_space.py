"""Search spaces: the arm's own settings are fixed, its defaults are trial 0, the ratio of the classes is open."""

from __future__ import annotations

import pytest

from bench.arms import ARMS, GRID, MATRICES, arm_named
from bench.errors import BadSetting
from bench.methods import method
from bench.runs import adjust, configure
from bench.samplers import SAMPLERS
from bench.space import ROLES, arm_at, holds, rounded, space_of

TUNABLE = [name for name in ARMS if space_of(ARMS[name], 5.0).distributions and name not in GRID]
BALANCES = {"balance", "outer_balance", "tau", "one_minus_beta"}


@pytest.mark.parametrize("name", TUNABLE)
def test_the_defaults_are_the_arm_as_it_is(name: str) -> None:
    arm = ARMS[name]
    same = arm_at(arm, space_of(arm, 5.0).defaults, 5.0)
    assert configure(same) == configure(arm)
    assert [getattr(same, role) for role in ROLES] == [getattr(arm, role) for role in ROLES]


@pytest.mark.parametrize("name", MATRICES["core"])
def test_the_ratio_of_the_classes_is_open_in_every_core_arm(name: str) -> None:
    asked = set(space_of(ARMS[name], 5.0).distributions)
    assert not asked or asked & BALANCES
    assert bool(asked) == (name not in ("prevalence", "bayes-optimal"))


@pytest.mark.parametrize("name", TUNABLE)
def test_what_makes_an_arm_what_it_is_stays(name: str) -> None:
    """At another value of every parameter the arm's own settings are as they were, but for those that even out."""
    arm, space = ARMS[name], space_of(ARMS[name], 5.0)
    other = {
        n: next(v for v in getattr(d, "choices", None) or (d.low, d.high) if v != space.defaults[n])  # type: ignore[attr-defined]
        for n, d in space.distributions.items()
    }
    moved = arm_at(arm, other, 5.0)
    kept = {n: v for n, v in arm.settings.items() if v != "balanced"}
    assert {n: moved.settings[n] for n in kept} == kept
    assert configure(moved) != configure(arm)


@pytest.mark.parametrize(("share", "sampler"), [(0.0, None), (0.5, "smote:0.25"), (1.0, "smote")])
def test_balance_sets_the_ratio_of_a_sampler(share: float, sampler: str | None) -> None:
    arm = ARMS["smote"]
    params = {**space_of(arm, 16.0).defaults, "balance": share}
    assert arm_at(arm, params, 16.0).sampler == sampler


@pytest.mark.parametrize(("share", "weight"), [(0.0, None), (0.5, 4.0), (1.0, "balanced")])
@pytest.mark.parametrize(
    ("name", "setting"),
    [("none", "class_weight"), ("xgboost", "scale_pos_weight"), ("logistic-regression", "class_weight")],
)
def test_balance_sets_the_weight_of_a_positive_row(
    name: str, setting: str, share: float, weight: object
) -> None:
    arm = ARMS[name]
    params = {**space_of(arm, 16.0).defaults, "balance": share}
    assert arm_at(arm, params, 16.0).settings[setting] == weight


def test_metabalance_opens_both_samplers_unless_its_name_says_them() -> None:
    free, named = (
        set(space_of(arm_named(name), 5.0).distributions)
        for name in ("metabalance", "metabalance[smote/none]")
    )
    assert {"inner_sampler", "inner_balance", "outer_sampler", "outer_balance"} <= free
    assert named & {"inner_sampler", "inner_balance", "outer_sampler", "outer_balance"} == {"inner_balance"}
    arm = arm_named("metabalance")
    params = {
        **space_of(arm, 16.0).defaults,
        "inner_sampler": "smote",
        "inner_balance": 0.5,
        "outer_sampler": "none",
    }
    moved = arm_at(arm, params, 16.0)
    assert (moved.inner_sampler, moved.outer_sampler) == ("smote:0.25", None)


def test_samplers_that_a_study_may_choose_are_samplers() -> None:
    assert set(method("metabalance").SAMPLERS) <= set(SAMPLERS)


def test_a_setting_that_the_user_gave_is_not_asked() -> None:
    arm = adjust(ARMS["none"], {"lr": "0.5", "hidden": "[4]", "class_weight": "balanced"})
    space = space_of(arm, 5.0)
    assert not {"lr", "width", "depth", "balance"} & set(space.distributions)
    moved = arm_at(arm, {**space.defaults, "dropout": 0.25}, 5.0)
    assert (moved.settings["lr"], moved.settings["hidden"], moved.settings["class_weight"]) == (
        0.5,
        [4],
        "balanced",
    )


def test_low_rates_of_xgboost_have_more_rounds() -> None:
    arm = ARMS["xgboost"]
    rounds = [
        configure(arm_at(arm, {**space_of(arm, 5.0).defaults, "learning_rate": rate}, 5.0))["rounds"]
        for rate in (0.05, 0.0499)
    ]
    assert rounds == [500, 2500]


def test_numbers_are_rounded_and_stay_in_their_interval() -> None:
    space = space_of(ARMS["none"], 5.0)
    found = rounded(space, {**space.defaults, "lr": 0.0123456, "weight_decay": 1e-5 + 1e-19})
    assert found["lr"] == 0.01235
    assert found["weight_decay"] == 1e-5
    assert arm_at(ARMS["none"], {**space.defaults, "lr": 0.0123456}, 5.0).settings["lr"] == 0.01235


def test_a_space_that_asks_now_and_then_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def space(trial: object) -> dict[str, object]:
        found = {"C": trial.suggest_float("C", 0.1, 10.0)}  # type: ignore[attr-defined]
        return found if found["C"] == 1 else {**found, "max_iter": trial.suggest_int("max_iter", 1, 9000)}  # type: ignore[attr-defined]

    monkeypatch.setattr(method("logistic-regression"), "space", space)
    with pytest.raises(BadSetting, match="asked for 'max_iter' in one trial and not in another"):
        arm_at(ARMS["logistic-regression"], {"C": 2.0}, 5.0)


def test_a_default_outside_of_its_space_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        method("logistic-regression"), "space", lambda trial: {"C": trial.suggest_float("C", 2, 9)}
    )
    with pytest.raises(BadSetting, match=r"the default C = 1\.0 lies outside"):
        space_of(ARMS["logistic-regression"], 5.0)


def test_a_distribution_holds_its_values_alone() -> None:
    spaces = space_of(ARMS["metabalance"], 5.0).distributions
    assert holds(spaces["pairs"], 8)
    assert not holds(spaces["pairs"], 9)
    assert not holds(spaces["lr"], 1e9)
    assert not holds(spaces["lr"], "fast")

"""Which arms a request means, and what settings make of them; names are read and put together by one parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.arms.arm import ARMS, arm_named
from bench.arms.matrices import MATRICES
from bench.arms.settings import adjust, adjust_all, configure, select, typed
from bench.arms.spelling import is_tuned, marked, parse
from bench.contract import Arm
from bench.errors import BadSetting, UnknownName
from bench.names import ANYWAY, TUNED, Spelling


def test_the_default_is_quick_and_bayes_optimal_only_where_it_is_known() -> None:
    assert [arm.name for arm in select(None, [], None, has_probability=True)] == list(MATRICES["quick"])
    real = [arm.name for arm in select("quick", [], None, has_probability=False)]
    assert real == [name for name in MATRICES["quick"] if name != "bayes-optimal"]
    with pytest.raises(BadSetting, match="simulated"):
        select(None, ["bayes-optimal"], None, has_probability=False)


def test_arms_come_in_the_order_asked_each_once(tmp_path: Path) -> None:
    file = tmp_path / "arms.toml"
    file.write_text('[mine]\nmethod = "network"\nlr = 0.01\n')
    chosen = select(None, ["xgboost", "none", "xgboost"], file, has_probability=False)
    assert [arm.name for arm in chosen] == ["xgboost", "none", "mine"]
    assert [a.name for a in select("quick", ["xgboost"], None, has_probability=False)][:2] == [
        "xgboost",
        "prevalence",
    ]


def test_unknown_matrix_and_arm_name_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'quick'"):
        select("quik", [], None, has_probability=True)
    with pytest.raises(UnknownName, match="Did you mean 'metabalance'"):
        select(None, ["metabalence"], None, has_probability=True)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("lr", "0.01", 0.01),
        ("steps", "60", 60),
        ("hidden", "[8, 4]", [8, 4]),
        ("class_weight", "balanced", "balanced"),
        ("loss", '"focal"', "focal"),
    ],
)
def test_a_setting_of_the_command_line_is_read_as_what_it_says(field: str, text: str, value: Any) -> None:
    arm = adjust(ARMS["none"], {field: text})
    assert configure(arm)[field] == value
    assert arm.name == f"none({field}={text})"


def test_a_setting_goes_to_the_arms_that_have_it_and_their_name_says_so() -> None:
    arms = adjust_all([ARMS["none"], ARMS["xgboost"]], {"steps": "60"})
    assert [arm.name for arm in arms] == ["none(steps=60)", "xgboost"]
    assert arms[1] is ARMS["xgboost"]


def test_a_setting_that_no_arm_has_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'steps'"):
        adjust_all([ARMS["none"]], {"stepps": "60"})


@pytest.mark.parametrize("text", ["5 # a|b", "1\nfoo=2", "1\x07"])
def test_a_setting_is_a_value_and_nothing_more(text: str) -> None:
    with pytest.raises(BadSetting, match="more than a value"):
        adjust(ARMS["none"], {"lr": text})


def test_an_arm_is_typed_as_tables_print_it() -> None:
    (arm,) = select(None, ["metabalance[none/smote](order=1,inner_lr=0.5)"], None, has_probability=False)
    assert arm.name == "metabalance[none/smote](order=1,inner_lr=0.5)"
    assert arm.outer_sampler == "smote"
    assert arm.settings == {"order": 1, "inner_lr": 0.5}


@pytest.mark.parametrize(("name", "told"), [("none(lrr=1)", "'lr'"), ("none(lr)", None), ("none()", None)])
def test_a_typed_setting_that_is_none_is_refused(name: str, told: str | None) -> None:
    if name == "none(lr)":
        told = "setting in none"
    with pytest.raises(UnknownName, match=told or "setting in none"):
        select(None, [name], None, has_probability=False)


@given(
    st.text(alphabet="ab[]()/=,:.", max_size=20) | st.text(max_size=10), st.sampled_from(["", TUNED, ANYWAY])
)
def test_the_parts_of_a_name_are_the_name(name: str, mark: str) -> None:
    assert str(parse(name + mark)) == name + mark


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("none", Spelling("none")),
        ("none[smote:0.5]", Spelling("none", ("smote:0.5",))),
        (
            "metabalance[none/smote](order=1,lr=2)",
            Spelling("metabalance", ("none", "smote"), ("order=1,lr=2",)),
        ),
        ("none(lr=1)(steps=2)(tuned)", Spelling("none", (), ("lr=1", "steps=2"), TUNED)),
        ("none[smote](tuned-anyway)", Spelling("none", ("smote",), (), ANYWAY)),
        ("my (old) arm", Spelling("my (old) arm")),
        ("focal[smote", Spelling("focal[smote")),
        ("(tuned)", Spelling("(tuned)")),
    ],
)
def test_a_name_has_a_base_samplers_settings_and_a_mark(name: str, parts: Spelling) -> None:
    assert parse(name) == parts
    assert is_tuned(name) == bool(parts.mark)


def test_an_arm_keeps_what_its_name_was_put_together_of() -> None:
    arm = marked(adjust(adjust(arm_named("focal[smote]"), {"lr": "1"}), {"steps": "2"}), TUNED)
    assert arm.spelling == parse(arm.name) == Spelling("focal", ("smote",), ("lr=1", "steps=2"), TUNED)
    assert arm.spelling.rows == "focal[smote]"
    assert arm.spelling.plain == "focal[smote](lr=1)(steps=2)"
    assert Arm("mine (old)", "network").spelling == Spelling("mine (old)")


def test_settings_given_one_after_the_other_are_typed_as_tables_print_them() -> None:
    arm = adjust(adjust(ARMS["none"], {"lr": "0.5"}), {"steps": "60"})
    assert typed(arm.name) == arm

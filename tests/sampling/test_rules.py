"""The batch rules: what each is called, what ratio it may have, and what becomes of it where no batches are drawn."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.data.classes import BatchRule
from bench.errors import BadSetting, UnknownName
from bench.sampling.rules import NAMES, RULES, check_rows, drawn_once, rule_named, takes_ratio
from bench.sampling.samplers import SAMPLERS


def test_a_name_is_of_a_rule_or_of_a_sampler() -> None:
    assert not set(RULES) & set(SAMPLERS)
    assert list(NAMES) == [*RULES, *SAMPLERS]
    assert all(rule.description and rule.drawn for rule in RULES.values())


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_is_no_rule_and_is_drawn_once_by_itself(name: str) -> None:
    assert rule_named(name) is None
    assert drawn_once(name) == name
    assert takes_ratio(name) == (SAMPLERS[name].ratio is not None)


def test_rows_as_they_are_have_no_rule() -> None:
    assert rule_named(None) is None


@pytest.mark.parametrize(
    ("text", "rule", "once"),
    [
        ("random-under", BatchRule("random-under"), "random-under-once"),
        ("random-under:0.5", BatchRule("random-under", 0.5), "random-under-once:0.5"),
        ("random-over", BatchRule("random-over"), "random-over-once"),
        ("random-over:1", BatchRule("random-over", 1.0), "random-over-once:1"),
        ("smote:0.5", None, "smote:0.5"),
    ],
)
def test_a_rule_is_drawn_once_by_the_sampler_of_its_name(
    text: str, rule: BatchRule | None, once: str
) -> None:
    check_rows(text)
    assert rule_named(text) == rule
    assert drawn_once(text) == once
    check_rows(once)


def test_balanced_batches_are_refused_where_none_are_drawn() -> None:
    assert rule_named("balanced") == BatchRule("balanced")
    with pytest.raises(BadSetting, match="the method draws none; take random-over or random-under"):
        drawn_once("balanced")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("balanced:0.5", "balanced aims at no ratio"),
        ("random-under:2", "'2' is no ratio"),
        ("random-over:", "'' is no ratio"),
        ("all-knn:0.5", "aims at no ratio"),
    ],
)
def test_what_is_no_ratio_is_refused(text: str, answer: str) -> None:
    for look in (check_rows, rule_named) if text.partition(":")[0] in RULES else (check_rows,):
        with pytest.raises(BadSetting, match=answer):
            look(text)


@pytest.mark.parametrize("text", ["balancd", "random-undr", "random-under-onc:0.5", ""])
def test_what_is_neither_is_refused_with_the_nearest(text: str) -> None:
    with pytest.raises(UnknownName, match="sampler"):
        check_rows(text)


def test_to_list_the_rules_loads_no_library() -> None:
    code = (
        "import sys; import bench.sampling.rules; print({'imblearn', 'sklearn', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"

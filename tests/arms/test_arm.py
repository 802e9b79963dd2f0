"""Arms are listed or spelled, each a method with samplers and settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.arms.arm import ARMS, arm_named, read_arms
from bench.arms.settings import configure, select
from bench.errors import BadSetting, UnknownName
from bench.networks.losses import LOSSES
from bench.sampling.rules import NAMES


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("metabalance-first-order", {"order": (2, 1)}),
        ("metabalance-no-inner", {"inner_lr": (0.01, 0.0)}),
        ("outer-only", {"inner_lr": (0.01, 0.0), "inner_weight": (0.01, 0.0)}),
    ],
)
def test_a_control_differs_from_metabalance_in_what_it_controls_alone(
    name: str, differs: dict[str, tuple[float, float]]
) -> None:
    """Its batches, updates and rows are the same."""
    arm, control = ARMS["metabalance"], ARMS[name]
    assert (control.method, control.inner_sampler, control.outer_sampler) == (
        "metabalance",
        None,
        "balanced",
    )
    one, other = configure(arm), configure(control)
    assert {key: (one[key], other[key]) for key in one if one[key] != other[key]} == differs


@pytest.mark.parametrize("name", ARMS)
def test_an_arms_samplers_and_loss_are_registered(name: str) -> None:
    arm = ARMS[name]
    used = {arm.sampler, arm.inner_sampler, arm.outer_sampler} - {None}
    assert used <= set(NAMES)
    assert arm.settings.get("loss", "cross-entropy") in LOSSES


@pytest.mark.parametrize("inner", ["none", *NAMES])
@pytest.mark.parametrize("outer", ["none", *NAMES])
def test_any_pair_of_registered_samplers_spells_a_cell(inner: str, outer: str) -> None:
    arm = arm_named(f"metabalance[{inner}/{outer}]")
    assert (arm.inner_sampler or "none", arm.outer_sampler or "none") == (inner, outer)
    configure(arm)


def test_an_arm_of_one_sampler_is_spelled_on_the_rows_of_another() -> None:
    arm = arm_named("xgboost-weighted[adasyn]")
    assert (arm.name, arm.method, arm.sampler) == ("xgboost-weighted[adasyn]", "xgboost", "adasyn")
    assert configure(arm)["scale_pos_weight"] == "balanced"
    assert arm_named("focal[random-over]") is ARMS["focal[random-over]"]
    spelled = arm_named("metabalance-first-order[smote/none]")
    assert (spelled.inner_sampler, spelled.outer_sampler) == ("smote", None)
    assert configure(spelled)["order"] == 1
    assert select(None, [arm.name], None, has_probability=False) == [arm]


def test_a_samplers_ratio_is_spelled_behind_it() -> None:
    arm = arm_named("metabalance[none/random-under:0.5]")
    assert (arm.inner_sampler, arm.outer_sampler) == (None, "random-under:0.5")
    configure(arm)
    assert arm_named("none[smote:0.3]").sampler == "smote:0.3"
    with pytest.raises(BadSetting, match="no ratio"):
        arm_named("none[smote:2]")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("metabalance[random-udner:0.5/none]", "Unknown sampler in .* Did you mean 'random-under'"),
        ("metabalance[random-udner/none]", "Unknown sampler in .* Did you mean 'random-under'"),
        ("focal[smoet]", "Unknown sampler in focal.* Did you mean 'smote'"),
        ("metabalence[smote/none]", r"Did you mean 'metabalance\[smote/none\]'"),
        ("fcal[smote]", r"Did you mean 'focal\[smote\]'"),
        ("metabalance[smote]", r"Did you mean 'metabalance\[smote/none\]'"),
        ("metabalance[smote/none/none]", "Unknown arm"),
        ("metabalance[]", r"metabalance\[INNER/OUTER\]"),
        ("smote[adasyn]", "Unknown arm"),
        ("focal[smote/none]", "Unknown arm"),
        ("focal[smote", r"Did you mean 'focal\[smote\]'"),
    ],
)
def test_a_name_that_spells_no_arm_is_refused_with_the_nearest(name: str, answer: str) -> None:
    with pytest.raises(UnknownName, match=answer) as refused:
        arm_named(name)
    assert len(str(refused.value)) < 1500  # not all 121 cells


def test_an_arms_file_gives_arms_with_samplers_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "arms.toml"
    file.write_text(
        '[mine]\nmethod = "network"\nsampler = "smote"\nloss = "focal"\nhidden = [8]\n'
        '[meta]\nmethod = "metabalance"\nouter_sampler = "random-over"\n'
    )
    mine, meta = read_arms(file)
    assert (mine.sampler, configure(mine)["hidden"], configure(mine)["loss"]) == ("smote", [8], "focal")
    assert (meta.outer_sampler, meta.settings) == ("random-over", {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "names no arm"),
        ("[mine\n", "could not be read"),
        ('method = "network"', r"needs a table \[method\]"),
        ("[mine]\nlr = 0.1", "at least `method"),
        ('[mine]\nmethod = "netwrok"', "Did you mean 'network'"),
        ("[mine]\nmethod = 5", "method is a name, not 5"),
        ('[mine]\nmethod = "network"\nsampler = ["smote"]', "sampler is a name, not"),
        ('[mine]\nmethod = "network"\nsampler = "smoet"', "Did you mean 'smote'"),
        (
            '[mine]\nmethod = "network"\nouter_sampler = "smote"',
            "sets outer_sampler, but network takes sampler",
        ),
        ('[mine]\nmethod = "metabalance"\nsampler = "smote"', "takes inner_sampler and outer_sampler"),
        ('[mine]\nmethod = "network"\nlr = -1', "lr: .* greater than 0, got -1"),
        ('[mine]\nmethod = "network"\nlr = inf', "lr to inf; it must be a finite number"),
        ('[mine]\nmethod = "network"\nlr = nan', "lr"),
        ('[mine]\nmethod = "network"\nlearning = 1', "learning: .* not permitted"),
        ('["none(tuned)"]\nmethod = "prevalence"', "how bench marks a tuned arm"),
        ('[smote]\nmethod = "prevalence"', "redefines 'smote', an arm of bench"),
        ('[""]\nmethod = "network"', "names an arm ''; a name is printable"),
        ('[" mine"]\nmethod = "network"', "names an arm ' mine'"),
        ('["a\\nb"]\nmethod = "network"', "names an arm 'a.nb'"),
        ('["xgboost[adasyn]"]\nmethod = "prevalence"', "redefines 'xgboost.adasyn.', an arm of bench"),
    ],
)
def test_a_fault_in_an_arms_file_is_named(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "arms.toml"
    file.write_text(text)
    with pytest.raises((BadSetting, UnknownName), match=fault):
        [configure(arm) for arm in select(None, [], file, has_probability=False)]


@pytest.mark.parametrize("content", [None, b"\xff\xfe[mine]"])
def test_an_arms_file_that_is_missing_or_no_text_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "arms.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSetting, match=r"arms\.toml could not be read"):
        read_arms(file)

"""Matrices list arms: each holds the one before, the grid every pair of the paper's samplers and balanced rows."""

from __future__ import annotations

from dataclasses import replace

from bench.arms.arm import ARMS
from bench.arms.matrices import ALPHA, CELL, GRID, MATRICES
from bench.arms.settings import configure, select
from bench.cli.catalogue import catalogue, summary

# The names of section 2 of the paper's code.
PAPER = (
    "none",
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
BALANCING = set(PAPER) - {"none", "all-knn"}


def test_the_grid_is_every_pair_of_the_papers_samplers_none_and_balanced() -> None:
    rows = ("none", "balanced", *PAPER[1:])
    assert list(GRID) == [f"metabalance[{inner}/{outer}]" for inner in rows for outer in rows]
    assert len(GRID) == 144
    for name in GRID:
        arm, (inner, outer) = ARMS[name], name.removesuffix("]").partition("[")[2].split("/")
        assert (arm.method, arm.sampler, arm.settings) == ("metabalance", None, {})
        assert (arm.inner_sampler or "none", arm.outer_sampler or "none") == (inner, outer)


def test_metabalance_is_a_cell_of_its_grid() -> None:
    arm, cell = ARMS["metabalance"], ARMS["metabalance[none/balanced]"]
    assert cell.fixed == {"inner_sampler", "outer_sampler"}  # its name says them
    assert replace(cell, name=arm.name, description=arm.description, fixed=arm.fixed) == arm
    assert configure(cell) == configure(arm)


def test_losses_that_follow_the_class_counts_meet_no_sampler_that_evens_them() -> None:
    cells = [arm for name, arm in ARMS.items() if "[" in name and name not in GRID]
    assert {arm.settings.get("loss") for arm in cells if arm.sampler in BALANCING} == {"focal"}
    assert {arm.sampler for arm in cells} - BALANCING == {"all-knn"}
    assert all(arm.name == f"{arm.name.partition('[')[0]}[{arm.sampler}]" for arm in cells)


def test_each_matrix_holds_the_one_before() -> None:
    assert set(MATRICES["quick"]) < set(MATRICES["core"]) < set(MATRICES["full"])
    assert set(GRID) | set(PAPER) < set(MATRICES["full"])
    for name in ("core", "full"):
        assert MATRICES[name] == tuple(arm for arm in ARMS if arm in MATRICES[name])


def test_people_see_the_grid_as_one_row_and_programs_every_cell() -> None:
    names = [row["name"] for row in catalogue("arms")]
    assert names == list(ARMS)
    assert [row["name"] for row in summary("arms")] == [name for name in names if name not in GRID] + [CELL]
    assert {tuple(row) for row in summary("arms")} == {tuple(catalogue("arms")[0])}
    shown = {row["name"]: row["arms"] for row in summary("matrices")}
    assert shown["quick"] == list(MATRICES["quick"])
    assert shown["full"][-1] == f"{CELL} (144 arms)"
    assert len(shown["full"]) == len(MATRICES["full"]) - 143
    assert summary("methods") == catalogue("methods")


def test_the_matrix_alpha_is_every_pair_at_every_inner_rate_in_both_orders() -> None:
    chosen = {arm.name: arm for arm in select("alpha", [], None, has_probability=False)}
    assert list(chosen) == list(ALPHA)
    for name, (pair, order, alpha) in ALPHA.items():
        arm = chosen[name]
        assert (arm.settings["order"], arm.settings["inner_lr"]) == (order, alpha)
        assert pair == "/".join(sampler or "none" for sampler in (arm.inner_sampler, arm.outer_sampler))
    pairs = list(ALPHA.values())
    assert len(pairs) == len({pair for pair, *_ in pairs}) * (1 + 2 * 6)
    assert all(alpha == 0 for pair, _, alpha in pairs[:: 1 + 2 * 6])

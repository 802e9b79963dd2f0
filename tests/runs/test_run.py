"""Runs are named by everything that decides their result; arms and settings are refused before anything runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.arms.arm import ARMS
from bench.arms.matrices import MATRICES
from bench.contract import Arm
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadSetting
from bench.names import digest, seed_from
from bench.protocols import protocol_named
from bench.runs import run as module
from bench.runs.request import Request
from bench.runs.run import Run, packs, plan
from bench.workflows.run import make_plan

Listed = Callable[..., list[Run]]


def a_run(**changes: Any) -> Run:
    made = Run(
        dataset="d",
        data_sha256="0" * 64,
        recipe_sha256="1" * 64,
        protocol="strict",
        scope="2" * 64,
        split_sha256="3" * 64,
        repeat=0,
        fold=1,
        arm="none",
        method="network",
        version=1,
        sampler=None,
        inner_sampler=None,
        outer_sampler=None,
        config={"lr": 0.003, "hidden": [32, 16], "class_weight": None},
        seed=2,
    )
    return replace(made, **changes)


def test_equal_runs_have_one_key_whatever_the_order_of_their_settings_and_the_process() -> None:
    config = a_run().config
    reordered = a_run(config=dict(reversed(config.items())))
    assert a_run().key == reordered.key
    program = f"from bench.runs.run import Run; print(Run(**{a_run().__dict__ | {'config': config}!r}).key)"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == a_run().key


@pytest.mark.parametrize("name", [field.name for field in fields(Run)])
def test_a_change_of_any_field_changes_the_key(name: str) -> None:
    value = getattr(a_run(), name)
    others = {str: "other", int: 9, type(None): "smote", dict: {"lr": 0.004}}
    assert a_run(**{name: others[type(value)]}).key != a_run().key


def test_a_change_of_what_computes_it_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = a_run().key
    monkeypatch.setitem(module.PIPELINE_VERSIONS, "pipeline", 10**6)  # type: ignore[index]
    assert a_run().key != before


def test_the_key_is_the_hash_of_the_canonical_json_of_all_fields() -> None:
    """However it is computed: it names records that are there."""
    assert a_run().key == digest({**asdict(a_run()), **module.PIPELINE_VERSIONS})


def test_all_arms_of_a_split_and_seed_share_their_random_streams() -> None:
    assert a_run().stream_seed == a_run(arm="focal", config={}).stream_seed
    assert len({a_run(seed=s, split_sha256=h).stream_seed for s in (0, 1) for h in ("a", "b")}) == 4


def test_all_arms_of_a_split_and_seed_share_their_resampled_sets() -> None:
    others = [a_run(arm="focal", config={}), a_run(sampler="smote"), a_run(fold=3, repeat=1)]
    assert {run.sampling_seed() for run in others} == {a_run().sampling_seed()}
    drawn = {a_run(seed=s, split_sha256=h).sampling_seed() for s in (0, 1) for h in ("a", "b")}
    assert len(drawn | {a_run().stream_seed, a_run().sampling_seed(shared=True)}) == 6


def test_a_protocol_may_have_all_seeds_of_a_split_share_their_resampled_sets() -> None:
    assert a_run(seed=7).sampling_seed(shared=True) == a_run().sampling_seed(shared=True)
    assert a_run().sampling_seed(shared=True) == seed_from("sampler", "3" * 64), (
        "as published records have it"
    )
    assert a_run(split_sha256="a").sampling_seed(shared=True) != a_run().sampling_seed(shared=True)


@pytest.mark.parametrize("seeds", [0, -1])
def test_a_plan_needs_a_seed(table: Table, splits: list[Split], seeds: int) -> None:
    with pytest.raises(BadSetting, match="at least 1"):
        plan(table, protocol_named("strict"), splits, [ARMS["none"]], seeds)


def test_a_plan_is_every_arm_on_every_split_with_every_seed(runs_of: Listed) -> None:
    runs = runs_of(ARMS["none"], ARMS["xgboost"], seeds=2)
    assert [(r.arm, r.fold, r.seed) for r in runs] == [
        (arm, fold, seed) for arm in ("none", "xgboost") for fold in range(3) for seed in range(2)
    ]
    assert len({r.key for r in runs}) == len(runs)
    assert len({r.scope for r in runs}) == 1


def test_other_numbers_of_folds_are_another_scope(table: Table, splits: list[Split]) -> None:
    (one,) = {r.scope for r in plan(table, protocol_named("strict"), splits, [ARMS["none"]], 1)}
    (other,) = {r.scope for r in plan(table, protocol_named("strict"), splits[:2], [ARMS["none"]], 1)}
    assert one != other


@settings(max_examples=50, deadline=None)
@given(pack=st.none() | st.integers(1, 100), workers=st.integers(0, 9), seeds=st.integers(1, 20))
def test_packs_hold_every_run_once_and_agree_within(
    pack: int | None, workers: int, seeds: int, runs_of: Listed
) -> None:
    runs = runs_of(*(ARMS[name] for name in MATRICES["quick"]), seeds=seeds)
    made = packs(runs, pack=pack, workers=workers)
    assert sorted(r.key for members in made for r in members) == sorted(r.key for r in runs)
    assert all(len({r.static for r in members}) == 1 for members in made)
    assert all(0 < len(members) <= (pack or 64) for members in made)


def test_a_pack_holds_runs_of_few_folds_and_seeds(runs_of: Listed) -> None:
    """So that its rows are few; within a fold and seed those of one sampler come together."""
    arms = [ARMS[name] for name in ("smote", "none", "adasyn", "class-weight")]
    made = packs(runs_of(*arms, seeds=4), pack=8, workers=1)
    assert [{(r.fold, r.seed) for r in members} for members in made] == [
        {(fold, seed), (fold, seed + 1)} for fold in range(3) for seed in (0, 2)
    ]
    assert [(r.seed, r.arm) for r in made[0]] == [
        (seed, arm) for seed in (0, 1) for arm in ("class-weight", "none", "adasyn", "smote")
    ]


def test_packs_do_not_depend_on_the_order_of_their_runs(runs_of: Listed) -> None:
    runs = runs_of(*(ARMS[name] for name in ("none", "smote", "class-weight")), seeds=3)
    one, other = (packs(asked, pack=5, workers=1) for asked in (runs, runs[::-1]))
    assert [[r.key for r in members] for members in one] == [[r.key for r in members] for members in other]


def test_a_limit_bounds_packs_where_no_size_is_asked_for(runs_of: Listed) -> None:
    runs = runs_of(*(ARMS[n] for n in ("none", "class-weight", "metabalance", "xgboost")), seeds=9)
    asked: list[str] = []

    def limit(group: Any) -> int:
        asked.append(group[0].method)
        return 7 if group[0].method == "network" else 0

    sizes = {
        r.key: len(members) for members in packs(runs, pack=None, workers=1, limit=limit) for r in members
    }
    assert asked == ["network", "metabalance"]  # what trains alone has no company to bound
    assert {sizes[r.key] for r in runs if r.method == "network"} == {6, 7}
    assert {sizes[r.key] for r in runs if r.method == "metabalance"} == {1}  # one member there must be
    assert {len(members) for members in packs(runs, pack=27, workers=1, limit=limit)} == {27}


def test_twenty_thousand_runs_are_planned_and_packed(table: Table, splits: list[Split]) -> None:
    runs = plan(table, protocol_named("strict"), splits, [ARMS["none"], ARMS["focal"]], 3334)
    assert len({run.key for run in runs}) == len(runs) == 20_004
    assert sum(map(len, packs(runs, pack=None, workers=8))) == len(runs)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_shards_share_out_the_runs(tmp_path: Path, n: int) -> None:
    def keys(shard: tuple[int, int] | None) -> list[str]:
        request = Request(dataset="loan-sim", rows=600, folds=3, results=tmp_path, shard=shard, workers=0)
        return [run.key for run in make_plan(request).runs]

    shards = [keys((i + 1, n)) for i in range(n)]
    assert sorted(key for shard in shards for key in shard) == sorted(keys(None))


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0), (-1, -1)])
def test_a_shard_that_is_none_is_refused(tmp_path: Path, shard: tuple[int, int]) -> None:
    request = Request(dataset="loan-sim", rows=600, results=tmp_path, shard=shard)
    with pytest.raises(BadSetting, match="shards are numbered"):
        make_plan(request)


def test_an_arm_can_be_made_in_python(runs_of: Listed) -> None:
    (run, *_) = runs_of(Arm("mine", "network", sampler="smote", settings={"steps": 10}))
    assert (run.arm, run.sampler, run.config["steps"]) == ("mine", "smote", 10)

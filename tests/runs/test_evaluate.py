"""From runs to members: which rows each is given, shared by whom, and how many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.arms.arm import ARMS
from bench.contract import Arm, BatchRule, Member
from bench.data.encode import Part
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadSetting
from bench.protocols import protocol_named
from bench.runs import evaluate
from bench.runs.evaluate import run_pack
from bench.runs.run import Run
from bench.runs.workbench import Workbench
from bench.store.folder import Store
from tests.conftest import FAST

Listed = Callable[..., list[Run]]


def quick(sampler: str | None, name: str = "mine") -> Arm:
    """Return a plain network on these rows that trains for a few steps."""
    return Arm(name, "network", sampler=sampler, settings=dict(FAST))


def members(bench: Workbench, runs: Sequence[Run]) -> list[Member]:
    """Return the members that the runs train as."""
    made = [evaluate._prepare(bench, run) for run in runs]
    assert all(isinstance(each, evaluate._Prepared) for each in made)
    return [each.member for each in made if isinstance(each, evaluate._Prepared)]


def scores(bench: Workbench, runs: Sequence[Run]) -> tuple[list[str], list[int]]:
    """Return the hashes of the runs' scores, run as one pack, and how many each was trained among."""
    results = run_pack(bench, runs, lambda step, steps: None)
    assert {result.status for result in results} == {"ok"}
    records = [bench.store.read(run.dataset, run.key) for run in runs]
    kept = [record for record in records if record is not None]
    return [record.scores_sha256 or "" for record in kept], [record.pack_size or 0 for record in kept]


@pytest.mark.parametrize(
    ("sampler", "rule"),
    [
        (None, None),
        ("balanced", BatchRule("balanced")),
        ("random-under:0.5", BatchRule("random-under", 0.5)),
        ("random-over", BatchRule("random-over")),
    ],
)
def test_a_method_that_draws_batches_is_given_all_rows_and_the_rule(
    workbench: Workbench, runs_of: Listed, sampler: str | None, rule: BatchRule | None
) -> None:
    (run, *_) = runs_of(quick(sampler))
    (member,) = members(workbench, [run])
    assert member.pools == (workbench.encode(run.split_sha256).train,)
    assert member.rules == (rule,)


def test_each_side_of_metabalance_has_its_own_rule(workbench: Workbench, runs_of: Listed) -> None:
    (run, *_) = runs_of(replace(ARMS["metabalance"], inner_sampler="random-under-once"))
    (member,) = members(workbench, [run])
    assert member.rules == (None, BatchRule("balanced"))
    assert member.pools[1] is workbench.encode(run.split_sha256).train
    assert len(member.pools[0].X) == 2 * member.pools[1].labels.sum()


@pytest.mark.parametrize("name", ["random-under", "random-over", "random-under:0.5"])
@pytest.mark.parametrize("method", ["logistic-regression", "balanced-random-forest"])
def test_any_other_method_is_given_the_one_draw_of_the_rule(
    workbench: Workbench, runs_of: Listed, name: str, method: str
) -> None:
    base, colon, ratio = name.partition(":")
    runs = [
        runs_of(Arm("mine", method, sampler=sampler), seeds=2)[1]
        for sampler in (name, f"{base}-once{colon}{ratio}")
    ]
    anew, once = members(workbench, runs)
    assert anew.pools[0] is once.pools[0]
    assert anew.rules == once.rules == (None,)


@pytest.mark.parametrize("arm", ["xgboost", "logistic-regression", "easy-ensemble", "prevalence"])
def test_balanced_batches_are_refused_where_a_method_draws_none(arm: str, runs_of: Listed) -> None:
    """Before anything trains."""
    with pytest.raises(
        BadSetting, match=f"The arm '{arm}': balanced .* draws none; take random-over or random-under"
    ):
        runs_of(replace(ARMS[arm], sampler="balanced"))


@pytest.mark.parametrize("sampler", ["smote", "adasyn", "random-under-once", "smoteenn"])
def test_a_set_is_drawn_for_each_split_and_seed_and_shared_by_arms(
    workbench: Workbench, runs_of: Listed, sampler: str
) -> None:
    runs = runs_of(quick(sampler), Arm("other", "xgboost", sampler=sampler), seeds=2)
    sets = {(r.arm, r.fold, r.seed): m.pools[0] for r, m in zip(runs, members(workbench, runs), strict=True)}
    assert all(sets["mine", fold, seed] is sets["other", fold, seed] for _, fold, seed in sets)
    assert len({id(made) for made in sets.values()}) == len({made.X.tobytes() for made in sets.values()}) == 6


@pytest.mark.parametrize("sampler", ["near-miss", "all-knn", None])
def test_a_set_without_randomness_is_shared_by_seeds(
    workbench: Workbench, runs_of: Listed, sampler: str | None
) -> None:
    made = [member.pools[0] for member in members(workbench, runs_of(quick(sampler), seeds=3))]
    assert len({id(each) for each in made}) == 3, "one for each fold"


def test_under_published_all_seeds_share_a_set(workbench: Workbench, runs_of: Listed) -> None:
    """As in the paper's code, which draws before it trains any."""
    workbench.protocol = protocol_named("published+stratified")
    made = [member.pools[0] for member in members(workbench, runs_of(quick("smote"), seeds=3))]
    assert len({id(each) for each in made}) == 3, "one for each fold"


def test_a_pack_whose_rows_are_too_many_is_fitted_in_parts_with_the_same_bits(
    table: Table, splits: list[Split], runs_of: Listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one part, in one for each run, and in parts that end where three folds' rows do not fit."""
    samplers = (None, "smote", "near-miss", "balanced", "random-over")
    runs = runs_of(*(quick(sampler, f"arm {i}") for i, sampler in enumerate(samplers)), seeds=2)
    found: dict[int, tuple[list[str], list[int]]] = {}
    for most in (2**30, 0, 40_000):
        bench = Workbench(table, {p.sha256: p for p in splits}, Store(tmp_path / str(most)), "cpu")
        monkeypatch.setattr(evaluate, "POOL_BYTES", most)
        found[most] = scores(bench, runs)
    assert found[0][0] == found[40_000][0] == found[2**30][0]
    assert set(found[2**30][1]) == {len(runs)}
    assert set(found[0][1]) == {1}
    assert 1 < max(found[40_000][1]) < len(runs)


def test_a_run_that_fails_counts_among_those_of_its_part(
    workbench: Workbench, runs_of: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every run has its result, in order, where some of a part cannot be resampled."""

    def resample_or_not(part: Part, sampler: str | None, *rest: object, **more: object) -> Part:
        if sampler == "smote":
            raise ValueError("no neighbours")
        return part

    monkeypatch.setattr(evaluate, "POOL_BYTES", 0)
    monkeypatch.setattr(evaluate, "resample", resample_or_not)
    runs = runs_of(quick("smote", "a"), quick(None, "b"), quick("smote", "c"), quick(None, "d"))
    results = run_pack(workbench, runs, lambda step, steps: None)
    assert [result.key for result in results] == [run.key for run in runs]
    assert [result.status for result in results] == (["failed"] * 3 + ["ok"] * 3) * 2

"""What every card, method, sampler, loss, metric, arm and matrix must keep, over the whole registries.

A new entry is tested here by its presence. What an entry computes is held against references elsewhere.
"""

from __future__ import annotations

import json
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bench.arms.arm import ARMS
from bench.arms.matrices import MATRICES
from bench.arms.settings import configure, select
from bench.contract import Member
from bench.data import table as tables
from bench.data.cards import Dataset, card, cards_folder, dataset_names, read_card
from bench.data.encode import Part, encode
from bench.errors import BadSetting, UnknownName
from bench.methods import method, methods
from bench.names import MAIN_METRIC, slug
from bench.networks.config import NetworkConfig
from bench.networks.losses import LOSSES, slope, terms, value
from bench.networks.optimisers import OPTIMISERS
from bench.protocols import protocol_named, protocols
from bench.runs.engines import engine_named, engines
from bench.sampling.resample import SAMPLERS, resample
from bench.stats.metrics import METRICS, measure
from bench.testing import check_engine, check_method, check_metrics, check_protocol
from tests.conftest import as_scored

SIMULATED = [name for name in dataset_names() if card(name).simulator is not None]
REAL = [name for name in dataset_names() if card(name).simulator is None]
ROLES = ("sampler", "inner_sampler", "outer_sampler")
BUDGET = {  # of these, a method takes the settings that it has
    "hidden": (5,),
    "steps": 20,
    "evaluations": 4,
    "batch": 32,
    "pairs": 2,
    "rounds": 10,
    "n_estimators": 10,
    "early_stopping_rounds": 3,
    "max_iter": 100,
}


@cache
def encoded():
    table = tables.load(card("loan-sim"), rows=1500)
    return encode(table, protocol_named("strict").splits(table)[0])


@pytest.mark.parametrize("name", dataset_names())
def test_a_card_is_valid_and_says_what_the_data_are(name):
    found = read_card(cards_folder() / f"{name}.toml")
    assert found == card(name)
    assert found.name == name == slug(name)
    for words in (found.title, found.description, found.licence, found.citation):
        assert words.strip()
    assert "\n\n\n" not in found.description
    assert found.known_defects


@pytest.mark.parametrize("name", dataset_names())
def test_a_card_gives_each_column_one_role_and_what_to_expect(name):
    found = card(name)
    assert found.target not in (*found.drop, *found.categorical, found.time, found.amount)
    assert not set(found.drop) & set(found.categorical)
    assert found.expected is not None
    assert 0 < found.expected.positives < found.expected.rows / 2
    if found.columns:
        assert len(found.columns) == len(set(found.columns)) == found.expected.columns
        assert {found.target, *found.drop, *found.categorical} <= set(found.columns)


@pytest.mark.parametrize("name", dataset_names())
def test_a_card_names_a_source_or_a_simulator(name):
    found = card(name)
    assert bool(found.sources) != (found.simulator is not None)


@pytest.mark.parametrize("name", REAL)
def test_one_source_at_least_is_held_to_a_hash_and_sources_do_not_repeat(name):
    sources = card(name).sources
    assert any(source.sha256 or source.md5 for source in sources)
    addresses = [
        (source.kind, source.ref, source.url, source.requirement, source.member) for source in sources
    ]
    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize("name", SIMULATED)
def test_a_simulated_card_loads_offline_with_its_probability(name):
    found = card(name)
    assert found.expected.rows == found.simulator.rows
    table = tables.load(found, rows=6000)
    assert table.n_rows == 6000
    assert table.probability.min() >= 0
    assert table.probability.max() <= 1
    assert table.prevalence == pytest.approx(found.expected.positives / found.expected.rows, abs=0.03)


def test_a_card_refuses_an_unknown_field():
    with pytest.raises(ValidationError, match="colour"):
        Dataset.model_validate({**card("loan-sim").model_dump(), "colour": "red"})


def small(name, **more):
    """Return the method's configuration within a budget for tests."""
    Config = method(name).config
    taken = {field: value for field, value in BUDGET.items() if field in Config.model_fields}
    return Config(**{**taken, **more})


def members(name, seeds=(0, 1)):
    pools = (encoded().train,) * len(method(name).pools)
    return [Member(small(name), seed, pools, encoded().valid) for seed in seeds]


def fit(name, seeds=(0, 1)):
    return method(name).fit(members(name, seeds), torch.device("cpu"), lambda step, steps: None)


@pytest.mark.parametrize("name", methods())
def test_a_method_keeps_its_contract(name):
    assert len(check_method(method(name).file, settings=BUDGET)) > 15
    assert method(name).name == name
    assert method(name).description


@pytest.mark.parametrize("name", methods())
def test_scores_are_in_double_precision_and_the_global_random_states_are_left_alone(name):
    state, torch_state = np.random.get_state()[1].tobytes(), torch.get_rng_state()
    for one in fit(name):
        assert one.predict(encoded().test).dtype == np.float64
    assert np.random.get_state()[1].tobytes() == state
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.parametrize("name", [*protocols(), "published+stratified", "published+early-stopping"])
def test_a_protocol_keeps_its_contract(name):
    assert len(check_protocol(protocol_named(name))) == 7


@pytest.mark.parametrize("name", engines())
def test_an_engine_keeps_its_contract(name):
    assert len(check_engine(engine_named(name))) == 6


def test_bayes_optimal_is_the_known_probability_and_needs_one():
    (fitted,) = fit("bayes-optimal", seeds=(0,))
    test = encoded().test
    assert np.array_equal(fitted.predict(test), test.probability)
    with pytest.raises(BadSetting, match="simulated"):
        fitted.predict(Part(test.rows, test.X, None))


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="metabalance"):
        method("metabalanced")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Keep resampled sets of earlier runs out of the test."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))


def few(n_positives, n=120):
    """Return a part with few positives that overlap with the negatives."""
    rng = np.random.default_rng(0)
    y = np.zeros(n, dtype=np.int8)
    y[:n_positives] = 1
    X = rng.normal(size=(n, 4)).astype(np.float32) + 0.5 * y[:, None]
    return Part(np.arange(n) * 10, X.astype(np.float32), y)


WITHOUT_SEED = ("near-miss", "all-knn")  # nothing in them is drawn
BALANCING = [name for name in SAMPLERS if name not in ("all-knn", "smoteenn")]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_gives_a_part_and_balances_unless_it_only_cleans(name, own_cache):
    made = resample(encoded().train, name, 5)
    assert (made.X.dtype, made.labels.dtype, made.rows.dtype) == (np.float32, np.int8, np.int64)
    assert len(made.X) == len(made.labels) == len(made.rows)
    assert (abs(made.labels.mean() - 0.5) < 0.05) or name not in BALANCING
    assert SAMPLERS[name].description


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_gives_the_same_rows_for_a_seed_and_others_for_another(name, own_cache):
    part = encoded().train
    first, again, other = (resample(part, name, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.X, again.X)
    assert np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.X, other.X) == (name in WITHOUT_SEED)
    resample(part, name, 2**63 - 1)  # seeds of runs have 63 bits


@pytest.mark.parametrize("n_positives", [2, 3, 6])
@pytest.mark.parametrize("name", SAMPLERS)
def test_neighbours_are_capped_where_positives_are_few(name, n_positives, own_cache):
    made = resample(few(n_positives), name, 0)
    assert set(np.unique(made.labels)) == {0, 1}
    assert np.isfinite(made.X).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_resampled_row_carries_its_id_or_minus_one(name, own_cache):
    part = few(10)
    made = resample(part, name, 0)
    for row, x, label in zip(made.rows, made.X, made.labels, strict=True):
        if row != -1:
            assert np.array_equal(part.X[row // 10], x)
            assert part.labels[row // 10] == label


def test_no_sampler_returns_the_part_itself_and_an_unknown_one_is_refused():
    part = few(3)
    assert resample(part, None, 0) is part
    with pytest.raises(UnknownName, match="smote"):
        resample(part, "smoet", 0)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_maps_settings_and_counts_to_its_numbers_and_these_give_one_per_row(name):
    config, counts = method("network").config(loss=name), (90.0, 10.0)
    z, y = torch.linspace(-3, 3, 14).view(2, 7), (torch.arange(14) % 2).view(2, 7).float()
    made = terms([config, config], [counts, counts], z)
    assert made.weight.shape == made.margin.shape == (2, 2)
    assert made.scale.shape == made.gamma.shape == (2,)
    assert (made.weight > 0).all()
    assert (made.scale > 0).all()
    for function in (value, slope):
        found = function(z, y, made)
        assert found.shape == z.shape
        assert found.dtype == z.dtype
    assert LOSSES[name].description


def test_configurations_take_every_loss_and_optimiser_that_there_is():
    assert [method("network").config(loss=name).loss for name in LOSSES] == list(LOSSES)
    with pytest.raises(ValidationError, match="known losses are"):
        method("network").config(loss="hinge")
    assert set(get_args(NetworkConfig.model_fields["optimiser"].annotation)) == set(OPTIMISERS)


RANGES = {"mcc": (-1, 1), "gini": (-1, 1), "log_loss": (0, np.inf)}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_lies_in_its_range(name):
    low, high = RANGES.get(name, (0, 1))
    rng = np.random.default_rng(0)
    for n in (2, 3, 10, 200):
        for _ in range(10):
            y = rng.integers(0, 2, n)
            y[:2] = 0, 1
            score = np.round(rng.random(n), int(rng.integers(1, 4)))
            found = measure(as_scored(y, score, float(rng.random())))[name]
            assert type(found) is float
            assert low - 1e-12 <= found <= high + 1e-12


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_which_way_is_better(name):
    """A perfect scoring is better than one that tells no row from another."""
    y = np.repeat([0, 1], [80, 20])
    perfect, blind = (
        measure(as_scored(y, score, 0.5))[name] for score in (np.where(y, 0.99, 0.01), np.full(100, 0.4))
    )
    assert perfect > blind if METRICS[name].higher_is_better else perfect < blind
    assert METRICS[name].description


def test_metrics_keep_their_contract():
    assert len(check_metrics(METRICS)) == 4 * len(METRICS)


def test_the_main_metric_is_a_metric():
    assert MAIN_METRIC in METRICS
    assert all(protocol.main_metric in METRICS for protocol in protocols().values())


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_configures(name):
    arm = ARMS[name]
    config = configure(arm)
    assert arm.name == name
    assert arm.description
    Config = method(arm.method).config
    hidden = {name for name, field in Config.model_fields.items() if field.exclude_if}  # at their defaults
    assert set(config) == set(Config.model_fields) - hidden
    assert Config.model_validate(json.loads(json.dumps(config))).model_dump(mode="json") == config
    assert all(config[field] == value for field, value in arm.settings.items())


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_names_arms_that_exist_each_once(name):
    assert {arm.partition("(")[0] for arm in MATRICES[name]} <= set(ARMS)  # what follows are settings
    assert len(set(MATRICES[name])) == len(MATRICES[name])


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_leaves_out_what_needs_a_known_probability_where_there_is_none(name):
    chosen = {
        known: [arm.name for arm in select(name, [], None, has_probability=known)] for known in (True, False)
    }
    assert chosen[True] == list(MATRICES[name])
    assert chosen[False] == [arm for arm in MATRICES[name] if arm != "bayes-optimal"]


def test_only_bayes_optimal_needs_a_known_probability_and_asked_for_without_one_it_is_refused():
    assert [name for name, arm in ARMS.items() if arm.needs_probability] == ["bayes-optimal"]
    with pytest.raises(BadSetting, match="simulated"):
        select(None, ["bayes-optimal"], None, has_probability=False)

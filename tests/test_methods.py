"""The network methods as wholes: the same bits in any company, and what they compute against plain PyTorch."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
import torch

from bench import tables
from bench.cards import card
from bench.encode import Part, encode
from bench.methods import Member, method
from bench.metrics import average_precision
from bench.pack import streams
from bench.pack.loop import Draws, pool
from bench.pack.network import initialise
from bench.resample import SAMPLERS
from bench.splits import PROTOCOLS, split

CPU = torch.device("cpu")
SMALL = {"hidden": (7, 5), "weight_decay": 0.01, "steps": 40, "evaluations": 20, "patience": 2}
META = {**SMALL, "pairs": 3, "inner_batch": 7, "outer_batch": 5}


@cache
def folds():
    table = tables.load(card("loan-sim"), rows=1500)
    return [encode(table, part) for part in split(table, PROTOCOLS["strict"])[:2]]


@cache
def train_pool(fold, sampler=None):
    """Return a fold's training rows, resampled with seed 0."""
    part = folds()[fold].train
    if sampler is None:
        return part
    chosen = SAMPLERS[sampler](0, int(part.labels.sum()), len(part.labels))
    X, y = chosen.fit_resample(part.X, part.labels)
    return Part(np.full(len(y), -1), np.ascontiguousarray(X, dtype=np.float32), y.astype(np.int8))


def quiet(step, steps):
    """Report progress to nobody."""


def fit(name, members, threads=1):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return method(name).fit(members, CPU, quiet)
    finally:
        torch.set_num_threads(before)


def outcome(fitted, fold):
    """Return what must not differ by a bit: the scores' bytes, and the steps."""
    scores = fitted.predict(folds()[fold].test)
    assert np.isfinite(scores).all()
    return scores.tobytes(), fitted.steps, fitted.best_step, fitted.samples_seen


def network_members(**static):
    """Return eleven members that differ in everything that may differ within a pack, and their folds."""
    Config = method("network").Config
    varied = [
        {"lr": 0.01},
        {"lr": 0.03, "dropout": 0.3},
        {"lr": 0.003, "class_weight": "balanced", "gamma": 0.5},
        {"lr": 0.1, "dropout": 0.3, "class_weight": "balanced", "momentum": 0.5},
        {"lr": 1e-4, "weight_decay": 1.0},
        {"lr": 0.02, "momentum": 0.0, "gamma": 5.0},
        {"lr": 0.05, "dropout": 0.6},
        {"lr": 0.3},
        {"lr": 0.01, "gamma": 0.0},
        {"lr": 0.001, "class_weight": "balanced"},
        {"lr": 0.07, "weight_decay": 0.0},
    ]
    samplers = [None, "smote", "random-under", "random-over"]
    return [
        (
            Member(
                Config(**{**SMALL, **static, **each}),
                100 + k,
                (train_pool(k % 2, samplers[k % 4]),),
                folds()[k % 2].valid,
            ),
            k % 2,
        )
        for k, each in enumerate(varied)
    ]


def meta_members(**static):
    """Return nine members of MetaBalance, α and λ among them zero, and their folds."""
    Config = method("metabalance").Config
    varied = [
        {"lr": 0.01},
        {"lr": 0.03, "dropout": 0.3, "inner_lr": 1.0},
        {"lr": 0.003, "inner_lr": 0.0, "inner_weight": 0.0},
        {"lr": 0.1, "dropout": 0.3, "inner_weight": 1.0},
        {"lr": 0.05, "momentum": 0.5, "inner_lr": 0.3},
        {"lr": 0.02, "weight_decay": 1.0},
        {"lr": 1e-4},
        {"lr": 0.3, "inner_lr": 3.0},
        {"lr": 0.01, "dropout": 0.6},
    ]
    samplers = [None, "smote", "random-under"]
    return [
        (
            Member(
                Config(**{**META, **static, **each}),
                200 + k,
                (train_pool(k % 2, samplers[k % 3]), train_pool(k % 2, samplers[(k + 2) % 3])),
                folds()[k % 2].valid,
            ),
            k % 2,
        )
        for k, each in enumerate(varied)
    ]


PACKS = {
    "network-cross-entropy": ("network", network_members, {"batch": 25}),
    "network-focal": ("network", network_members, {"batch": 25, "loss": "focal"}),
    "network-sgd": ("network", network_members, {"batch": 7, "optimiser": "sgd"}),
    "network-usual-shape": ("network", network_members, {"batch": 640, "hidden": (32, 16), "steps": 20}),
    "network-one-layer": ("network", network_members, {"batch": 9, "hidden": (3,)}),
    "network-wide": ("network", network_members, {"batch": 5, "hidden": (36, 32), "steps": 12}),
    "metabalance-wide": ("metabalance", meta_members, {"hidden": (37, 33), "steps": 12}),
    "metabalance-second-order": ("metabalance", meta_members, {"order": 2}),
    "metabalance-first-order": ("metabalance", meta_members, {"order": 1}),
    "metabalance-sgd": ("metabalance", meta_members, {"order": 2, "optimiser": "sgd"}),
    "metabalance-usual-shape": (
        "metabalance",
        meta_members,
        {"hidden": (32, 16), "pairs": 16, "inner_batch": 24, "outer_batch": 16, "steps": 12},
    ),
}


@cache
def whole_pack(pack):
    """Return the pack's members, their folds and their outcomes when all are trained together."""
    name, members, static = PACKS[pack]
    pairs = members(**static)
    fitted = fit(name, [member for member, _ in pairs])
    return pairs, [outcome(one, fold) for one, (_, fold) in zip(fitted, pairs, strict=True)]


@pytest.mark.parametrize("pack", PACKS)
def test_a_members_result_is_bitwise_the_same_in_any_company(pack):
    """Alone, in packs of other sizes and orders, and beside copies of itself."""
    name = PACKS[pack][0]
    pairs, together = whole_pack(pack)
    last = len(pairs) - 1
    companies = [
        [0],
        [3],
        [last],
        [5, 1],
        list(range(last, -1, -1)),
        [2] * 9 + [4] * 9 + list(range(last + 1)),
    ]
    for company in companies:
        fitted = fit(name, [pairs[k][0] for k in company])
        assert [outcome(one, pairs[k][1]) for one, k in zip(fitted, company, strict=True)] == [
            together[k] for k in company
        ]


@pytest.mark.parametrize("pack", ["network-wide", "metabalance-wide", "network-usual-shape"])
def test_two_threads_give_the_same_bits_as_one(pack):
    """MKL with two threads takes another path for the wide, short products; training is kept off them."""
    name = PACKS[pack][0]
    pairs, together = whole_pack(pack)
    fitted = fit(name, [member for member, _ in pairs], threads=2)
    assert [outcome(one, fold) for one, (_, fold) in zip(fitted, pairs, strict=True)] == together


@pytest.mark.parametrize("name", ["network", "metabalance"])
def test_training_leaves_the_number_of_threads_as_it_was(name):
    config = method(name).Config(hidden=(2,), steps=1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pools = (train_pool(0),) * len(method(name).POOLS)
        (fitted,) = method(name).fit([Member(config, 0, pools, folds()[0].valid)], CPU, quiet)
        fitted.predict(folds()[0].test)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("pack", PACKS)
def test_members_of_one_pack_stop_at_different_steps_and_differ(pack):
    """Without this the tests above would show nothing."""
    _, together = whole_pack(pack)
    assert len({scores for scores, *_ in together}) == len(together)
    assert len({steps for _, steps, *_ in together}) > 1


def sequential(seed, n_features, hidden):
    """Return a float64 torch.nn.Sequential with the weights that a member with this seed starts from."""
    sizes = (n_features, *hidden, 1)
    drawn = initialise(streams.keys([seed], "init"), sizes)
    layers = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        linear = torch.nn.Linear(fan_in, fan_out, dtype=torch.float64)
        linear.weight.data, linear.bias.data = drawn[2 * i][0].T.double(), drawn[2 * i + 1][0].double()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def batches(seed, purpose, part, count, steps):
    """Return the batches that a member with this seed draws, in float64."""
    draws = Draws(pool([part], CPU), streams.keys([seed], purpose), count)
    return [(x[0].double(), y[0].double()) for x, y in (draws.batch(step) for step in range(steps))]


def optimiser(model, config):
    return torch.optim.SGD(
        model.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay, nesterov=True
    )


def scores_of(model, part):
    with torch.no_grad():
        return torch.sigmoid(model(torch.from_numpy(part.X).double()).squeeze(-1)).numpy()


def cross_entropy(model, x, y, weight=None):
    return torch.nn.functional.binary_cross_entropy_with_logits(model(x).squeeze(-1), y, weight)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_an_sgd_run_equals_a_plain_pytorch_loop(class_weight):
    """The loop is in float64: forty steps of float32 stay within rounding of it."""
    Config = method("network").Config
    config = Config(
        hidden=(9, 5),
        optimiser="sgd",
        lr=0.05,
        weight_decay=0.01,
        steps=40,
        evaluations=1,
        batch=50,
        class_weight=class_weight,
    )
    encoded, seed = folds()[0], 7
    (fitted,) = fit("network", [Member(config, seed, (encoded.train,), encoded.valid)])
    model = sequential(seed, encoded.train.X.shape[1], config.hidden)
    steps = optimiser(model, config)
    n, positives = len(encoded.train.labels), int(encoded.train.labels.sum())
    for x, y in batches(seed, "order", encoded.train, config.batch, config.steps):
        weight = torch.where(y > 0, n / (2 * positives), n / (2 * (n - positives)))
        steps.zero_grad()
        cross_entropy(model, x, y, None if class_weight is None else weight).backward()
        steps.step()
    np.testing.assert_allclose(
        fitted.predict(encoded.test), scores_of(model, encoded.test), rtol=2e-4, atol=1e-5
    )


@pytest.mark.parametrize("order", [1, 2])
def test_a_metabalance_run_equals_the_papers_loop_in_plain_pytorch(order):
    Config = method("metabalance").Config
    config = Config(
        hidden=(6, 4), optimiser="sgd", lr=0.1, weight_decay=0.01, steps=15, evaluations=1, order=order,
        pairs=3, inner_batch=7, outer_batch=5, inner_lr=0.5, inner_weight=0.3,
    )  # fmt: skip
    encoded, seed = folds()[0], 11
    pools = (train_pool(0), train_pool(0, "random-under"))
    (fitted,) = fit("metabalance", [Member(config, seed, pools, encoded.valid)])
    model = sequential(seed, encoded.train.X.shape[1], config.hidden)
    steps = optimiser(model, config)
    inner = batches(seed, "inner order", pools[0], 3 * 7, config.steps)
    outer = batches(seed, "outer order", pools[1], 3 * 5, config.steps)
    for (x_in, y_in), (x_out, y_out) in zip(inner, outer, strict=True):
        names, leaves = zip(*model.named_parameters(), strict=True)
        total = 0.0
        for p in range(3):
            rows_in, rows_out = slice(7 * p, 7 * p + 7), slice(5 * p, 5 * p + 5)
            inner_loss = cross_entropy(model, x_in[rows_in], y_in[rows_in])
            slopes = torch.autograd.grad(inner_loss, leaves, create_graph=True)
            slopes = slopes if order == 2 else [slope.detach() for slope in slopes]
            fast = {n: leaf - config.inner_lr * s for n, leaf, s in zip(names, leaves, slopes, strict=True)}
            z = torch.func.functional_call(model, fast, x_out[rows_out]).squeeze(-1)
            outer_loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y_out[rows_out])
            total = total + (outer_loss + config.inner_weight * inner_loss) / 3
        steps.zero_grad()
        total.backward()
        steps.step()
    np.testing.assert_allclose(
        fitted.predict(encoded.test), scores_of(model, encoded.test), rtol=2e-4, atol=1e-5
    )


@pytest.mark.parametrize("order", [1, 2])
def test_metabalance_without_inner_step_is_plain_training_on_the_outer_batches(order):
    """With α = λ = 0; the inner pool is drawn from and changes nothing."""
    Config = method("metabalance").Config
    config = Config(
        **{**META, "steps": 30, "evaluations": 1},
        optimiser="sgd",
        lr=0.05,
        inner_lr=0.0,
        inner_weight=0.0,
        order=order,
    )
    encoded, seed = folds()[0], 3
    outer = train_pool(0, "random-under")
    members = [
        Member(config, seed, (inner, outer), encoded.valid)
        for inner in (train_pool(0), train_pool(1, "smote"))
    ]
    one, other = fit("metabalance", members)
    model = sequential(seed, encoded.train.X.shape[1], config.hidden)
    steps = optimiser(model, config)
    for x, y in batches(seed, "outer order", outer, config.pairs * config.outer_batch, config.steps):
        steps.zero_grad()
        cross_entropy(model, x, y).backward()
        steps.step()
    np.testing.assert_allclose(
        one.predict(encoded.test), scores_of(model, encoded.test), rtol=2e-4, atol=1e-5
    )
    assert one.predict(encoded.test).tobytes() == other.predict(encoded.test).tobytes()


@pytest.mark.parametrize(("name", "settings"), [("network", {"batch": 64}), ("metabalance", {"pairs": 4})])
def test_the_method_learns(name, settings):
    """Validation average precision lies well above the share of positives."""
    encoded = folds()[0]
    config = method(name).Config(
        hidden=(16,), lr=0.01, weight_decay=0.01, steps=150, evaluations=15, **settings
    )
    pools = (encoded.train,) * len(method(name).POOLS)
    (fitted,) = fit(name, [Member(config, 0, pools, encoded.valid)])
    y = encoded.valid.labels
    assert average_precision(y, fitted.predict(encoded.valid)) > 1.8 * y.mean()


def test_balanced_weights_raise_the_scores_and_a_seed_changes_them():
    encoded, Config = folds()[0], method("network").Config
    common = {**SMALL, "batch": 64, "lr": 0.02, "evaluations": 1}
    made = [(Config(**common), 0), (Config(**common, class_weight="balanced"), 0), (Config(**common), 1)]
    members = [Member(config, seed, (encoded.train,), encoded.valid) for config, seed in made]
    plain, weighted, other = (one.predict(encoded.test) for one in fit("network", members))
    assert weighted.mean() > 1.5 * plain.mean()
    assert not np.allclose(plain, other)

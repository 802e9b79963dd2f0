"""The network methods as wholes: the same bits in any company, and what they compute against plain PyTorch."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch

from bench.contract import BatchRule, Member
from bench.data import table as tables
from bench.data.cards import card
from bench.data.encode import encode
from bench.methods import method
from bench.networks import streams
from bench.networks.batches import Draws, dropout, pool
from bench.networks.losses import LOSSES
from bench.networks.mlp import initialise
from bench.networks.optimisers import OPTIMISERS
from bench.protocols import protocol_named
from bench.sampling.resample import resample
from bench.stats.metrics import average_precision
from tests.conftest import steps_by
from tests.networks.test_losses import PAPER

CPU = torch.device("cpu")
NETWORKS = ("network", "metabalance", "meta-weight-net")
BUDGET = {"hidden": (7, 5), "steps": 40, "evaluations": 20, "patience": 2}
SMALL = {  # per method, and what its members may differ in
    "network": BUDGET | {"batch": 25, "weight_decay": 0.01},
    "metabalance": BUDGET | {"pairs": 3, "inner_batch": 7, "outer_batch": 5, "weight_decay": 0.01},
    "meta-weight-net": BUDGET | {"batch": 25, "meta_batch": 15, "weight_hidden": 9, "weight_decay": 0.01},
}
VARIED = {
    "network": [
        {"lr": 0.01, "beta": 0.9, "deferred": 0.0, "scale": 30.0},
        {"lr": 0.03, "dropout": 0.3, "tau": 0.5, "deferred": 0.2},
        {"lr": 0.003, "class_weight": "balanced", "gamma": 0.5, "scale": 10.0},
        {"lr": 0.1, "dropout": 0.3, "class_weight": "balanced", "momentum": 0.5, "max_margin": 0.0},
        {"lr": 1e-4, "weight_decay": 1.0, "deferred": 0.1},
        {"lr": 0.02, "momentum": 0.0, "gamma": 5.0, "beta": 1.0},
        {"lr": 0.05, "dropout": 0.6, "tau": 0.0, "beta": 0.0},
        {"lr": 0.3, "max_margin": 2.0, "deferred": 1.0},
        {"lr": 0.01, "gamma": 0.0, "tau": 2.0},
        {"lr": 0.001, "class_weight": "balanced", "deferred": 0.5},
        {"lr": 0.07, "weight_decay": 0.0},
    ],
    "metabalance": [
        {"lr": 0.01},
        {"lr": 0.03, "dropout": 0.3, "inner_lr": 1.0},
        {"lr": 0.003, "inner_lr": 0.0, "inner_weight": 0.0},
        {"lr": 0.1, "dropout": 0.3, "inner_weight": 1.0},
        {"lr": 0.05, "momentum": 0.5, "inner_lr": 0.3},
        {"lr": 0.02, "weight_decay": 1.0},
        {"lr": 1e-4},
        {"lr": 0.3, "inner_lr": 3.0},
        {"lr": 0.01, "dropout": 0.6},
    ],
    "meta-weight-net": [
        {"lr": 0.01},
        {"lr": 0.03, "dropout": 0.3, "inner_lr": 1.0},
        {"lr": 0.003, "weight_lr": 0.1},
        {"lr": 0.1, "dropout": 0.3, "weight_weight_decay": 0.0},
        {"lr": 0.05, "momentum": 0.5, "inner_lr": 3.0, "weight_lr": 0.03},
        {"lr": 0.02, "weight_decay": 1.0},
        {"lr": 1e-4, "weight_weight_decay": 1.0},
        {"lr": 0.3, "inner_lr": 0.001},
        {"lr": 0.01, "dropout": 0.6},
    ],
}
POOLS = [None, "smote", "random-under-once", "random-over-once"]
RULES = [None, BatchRule("balanced"), BatchRule("random-under", 0.7), BatchRule("random-over")]
META_USUAL = {"hidden": (32, 16), "pairs": 16, "inner_batch": 24, "outer_batch": 16, "steps": 12}
PACKS = {
    **{f"network-{loss}": ("network", {"loss": loss}) for loss in LOSSES},
    "network-sgd": ("network", {"batch": 7, "optimiser": "sgd"}),
    "network-usual-shape": ("network", {"batch": 640, "hidden": (32, 16), "steps": 20}),
    "network-one-layer": ("network", {"batch": 9, "hidden": (3,)}),
    "network-wide": ("network", {"batch": 5, "hidden": (36, 32), "steps": 12}),
    "network-float64": ("network", {"batch": 33, "loss": "focal", "dtype": "float64"}),
    "metabalance-second-order": ("metabalance", {"order": 2}),
    "metabalance-first-order": ("metabalance", {"order": 1}),
    "metabalance-sgd": ("metabalance", {"optimiser": "sgd"}),
    "metabalance-usual-shape": ("metabalance", META_USUAL),
    "metabalance-wide": ("metabalance", {"hidden": (37, 33), "steps": 12}),
    "metabalance-float64": ("metabalance", {"dtype": "float64"}),
    "meta-weight-net": ("meta-weight-net", {}),
    "meta-weight-net-sgd": ("meta-weight-net", {"optimiser": "sgd"}),
    "meta-weight-net-wide": (
        "meta-weight-net",
        {"hidden": (37, 33), "weight_hidden": 100, "batch": 33, "steps": 12},
    ),
    "meta-weight-net-float64": ("meta-weight-net", {"dtype": "float64"}),
}


@cache
def folds():
    table = tables.load(card("loan-sim"), rows=1500)
    return [encode(table, part) for part in protocol_named("strict").splits(table)[:2]]


@cache
def train_pool(fold, sampler=None):
    """Return a fold's training rows, resampled with seed 0."""
    return resample(folds()[fold].train, sampler, 0)


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


def members_of(pack):
    """Return members that differ in everything that may differ within a pack, and their folds."""
    name, static = PACKS[pack]
    module = method(name)
    return [
        (
            Member(
                module.config(**{**SMALL[name], **static, **each}),
                100 + k,
                tuple(train_pool(k % 2, POOLS[(k + 2 * i) % 4]) for i in range(len(module.pools))),
                folds()[k % 2].valid,
                rules=tuple(RULES[(k // 2 + i) % 4] for i in range(len(module.pools))),
            ),
            k % 2,
        )
        for k, each in enumerate(VARIED[name])
    ]


@contextmanager
def compactions():
    """Yield a list that takes the number of places that stay whenever a pack is made anew."""
    places = []
    with pytest.MonkeyPatch.context() as patch:
        for kind in OPTIMISERS.values():

            def keep(self, members, kept=kind.keep):
                places.append(len(members))
                kept(self, members)

            patch.setattr(kind, "keep", keep)
        yield places


@cache
def whole_pack(pack, engine):
    """Return the pack's members, folds and outcomes when all are trained together, and what stayed of it."""
    pairs = members_of(pack)
    with compactions() as places:
        fitted = fit(PACKS[pack][0], [member for member, _ in pairs])
    return pairs, [outcome(one, fold) for one, (_, fold) in zip(fitted, pairs, strict=True)], places


@pytest.mark.parametrize("pack", PACKS)
def test_a_members_result_is_bitwise_the_same_in_any_company(pack, engine):
    """Alone, in packs of other sizes and orders, and beside copies of itself."""
    pairs, together, _ = whole_pack(pack, engine)
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
        fitted = fit(PACKS[pack][0], [pairs[k][0] for k in company])
        assert [outcome(one, pairs[k][1]) for one, k in zip(fitted, company, strict=True)] == [
            together[k] for k in company
        ]


@pytest.mark.parametrize("pack", PACKS)
def test_members_of_one_pack_stop_at_different_steps_and_leave_it(pack, engine):
    """Some find their best after others have left. Without this the tests beside it would show nothing."""
    _, together, places = whole_pack(pack, engine)
    assert len({scores for scores, *_ in together}) == len(together)
    assert max(best for _, _, best, _ in together) > sorted(steps for _, steps, *_ in together)[3]
    assert places
    assert places == sorted(places, reverse=True)


@pytest.mark.parametrize(
    "pack",
    [
        "network-wide",
        "network-usual-shape",
        "metabalance-wide",
        "meta-weight-net-wide",
        "meta-weight-net-float64",
    ],
)
def test_two_threads_give_the_same_bits_as_one(pack, engine):
    """MKL with two threads takes another path for the wide, short products; training is kept off them."""
    pairs, together, _ = whole_pack(pack, engine)
    fitted = fit(PACKS[pack][0], [member for member, _ in pairs], threads=2)
    assert [outcome(one, fold) for one, (_, fold) in zip(fitted, pairs, strict=True)] == together


@pytest.mark.parametrize("name", NETWORKS)
def test_the_engines_agree_until_rounding_grows(name):
    """Few steps in float64; that they are not equal to the bit shows that there are two of them."""
    pack = f"{name}-float64"
    scores = []
    for engine in ("c", "torch"):
        with steps_by(engine):
            fitted = fit(name, [member for member, _ in members_of(pack)])
            scores.append(np.stack([one.predict(folds()[0].test) for one in fitted]))
    np.testing.assert_allclose(*scores, rtol=1e-9)
    assert not np.array_equal(*scores)


@pytest.mark.parametrize("name", NETWORKS)
def test_training_leaves_the_number_of_threads_as_it_was(name):
    config = method(name).config(hidden=(2,), steps=1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pools = (train_pool(0),) * len(method(name).pools)
        (fitted,) = method(name).fit([Member(config, 0, pools, folds()[0].valid)], CPU, quiet)
        fitted.predict(folds()[0].test)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Reference(torch.nn.Sequential):
    """A plain float64 network with the weights that a member starts from; `keep` are dropout's factors."""

    def __init__(self, key, sizes):
        super().__init__()
        drawn = initialise(key, sizes, torch.float64)
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            linear = torch.nn.Linear(fan_in, fan_out, dtype=torch.float64)
            linear.weight.data, linear.bias.data = drawn[2 * i][0].T.clone(), drawn[2 * i + 1][0].clone()
            self.extend([linear, torch.nn.ReLU()])
        del self[-1]

    def forward(self, x, keep=None):
        for i, layer in enumerate(self):
            x = layer(x)
            if keep is not None and isinstance(layer, torch.nn.ReLU):
                x = x * keep[i // 2][0]
        return x.squeeze(-1)


def network_of(member):
    return Reference(streams.keys([member.seed], "init"), (member.valid.X.shape[1], *member.config.hidden, 1))


def batches(member, part, purpose, count):
    """Return what the member draws in each step: x, y and dropout's factors, in float64."""
    draws = Draws(
        pool([part], CPU, torch.float64), streams.keys([member.seed], f"{purpose}order".strip()), count
    )
    keep = dropout([member.config], streams.keys([member.seed], f"{purpose}dropout"), torch.float64)
    found = []
    for step in range(member.config.steps):
        draws.prepare(step)
        batch = draws.batch(step)
        found.append((batch.features()[0], batch.labels()[0], keep(step, count)))
    return found


def optimiser_of(model, config):
    if config.optimiser == "adamw":
        return torch.optim.AdamW(model.parameters(), config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        model.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay, nesterov=True
    )


def cross_entropy(z, y, reduction="mean"):
    return torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction=reduction)


def run_network(member):
    """Train by autograd through the paper's formula of the loss."""
    config, part = member.config, member.pools[0]
    model, positives = network_of(member), float(part.labels.sum())
    counts = (len(part.labels) - positives, positives)
    steps = optimiser_of(model, config)
    for step, (x, y, keep) in enumerate(batches(member, part, "", config.batch)):
        early = LOSSES[config.loss].deferred and step < config.deferred * config.steps
        now = config.model_copy(update={"beta": 0.0}) if early else config  # at β = 0 all weights are 1
        steps.zero_grad()
        PAPER[config.loss](model(x, keep), y, now, counts).mean().backward()
        steps.step()
    return model


def run_metabalance(member):
    """Train by double backward through the inner step; order 1 cuts its graph."""
    config, model = member.config, network_of(member)
    P, B_in, B_out = config.pairs, config.inner_batch, config.outer_batch
    inner = batches(member, member.pools[0], "inner ", P * B_in)
    outer = batches(member, member.pools[1], "outer ", P * B_out)
    steps = optimiser_of(model, config)

    def pair(batch, p, B):
        rows = slice(B * p, B * p + B)
        x, y, keep = batch
        return x[rows], y[rows], None if keep is None else [factor[:, rows] for factor in keep]

    for inner_batch, outer_batch in zip(inner, outer, strict=True):
        names, leaves = zip(*model.named_parameters(), strict=True)
        total = 0.0
        for p in range(P):
            x_in, y_in, keep_in = pair(inner_batch, p, B_in)
            x_out, y_out, keep_out = pair(outer_batch, p, B_out)
            inner_loss = cross_entropy(model(x_in, keep_in), y_in)
            slopes = torch.autograd.grad(inner_loss, leaves, create_graph=True)
            slopes = slopes if config.order == 2 else [slope.detach() for slope in slopes]
            fast = {n: leaf - config.inner_lr * s for n, leaf, s in zip(names, leaves, slopes, strict=True)}
            z = torch.func.functional_call(model, fast, (x_out, keep_out))
            total = total + (cross_entropy(z, y_out) + config.inner_weight * inner_loss) / P
        steps.zero_grad()
        total.backward()
        steps.step()
    return model


def run_meta_weight_net(member):
    """Train as the paper's eq. 3 to 5 say, the weight net's gradient through the virtual step."""
    config, model = member.config, network_of(member)
    weigh = torch.nn.Sequential(
        torch.nn.Unflatten(0, (-1, 1)),
        Reference(streams.keys([member.seed], "weight net"), (1, config.weight_hidden, 1)),
        torch.nn.Sigmoid(),
    )
    adam = torch.optim.AdamW(weigh.parameters(), config.weight_lr, weight_decay=config.weight_weight_decay)
    steps = optimiser_of(model, config)
    train = batches(member, member.pools[0], "", config.batch)
    meta = batches(member, member.pools[1], "meta ", config.meta_batch)
    for (x, y, keep), (x_meta, y_meta, keep_meta) in zip(train, meta, strict=True):
        names, leaves = zip(*model.named_parameters(), strict=True)
        losses = cross_entropy(model(x, keep), y, "none")
        virtual = (weigh(losses.detach()) * losses).mean()
        slopes = torch.autograd.grad(virtual, leaves, create_graph=True)
        ahead = {n: leaf - config.inner_lr * s for n, leaf, s in zip(names, leaves, slopes, strict=True)}
        adam.zero_grad()
        cross_entropy(torch.func.functional_call(model, ahead, (x_meta, keep_meta)), y_meta).backward()
        adam.step()
        losses = cross_entropy(model(x, keep), y, "none")
        with torch.no_grad():
            V = weigh(losses)
        steps.zero_grad()
        (V / V.sum() * losses).sum().backward()
        steps.step()
    return model


RUNS = {"network": run_network, "metabalance": run_metabalance, "meta-weight-net": run_meta_weight_net}
LONG = {"hidden": (6, 4), "steps": 1000, "evaluations": 1, "dtype": "float64"}
SGD = {"optimiser": "sgd", "lr": 0.05, "weight_decay": 0.001}
META = {"pairs": 2, "inner_batch": 7, "outer_batch": 5, "inner_lr": 0.5, "inner_weight": 0.3, "dropout": 0.1}
WEIGHT = {"batch": 12, "meta_batch": 9, "weight_hidden": 6, "inner_lr": 0.5, "weight_lr": 0.02}
AGAINST_PLAIN = {
    **{f"network-{loss}": ("network", {"loss": loss, "batch": 20, **SGD}) for loss in LOSSES},
    "network-adamw": (
        "network",
        {"loss": "focal", "class_weight": "balanced", "batch": 33, "dropout": 0.2, "weight_decay": 0.1},
    ),
    "metabalance-first-order": ("metabalance", {"order": 1, **META, **SGD}),
    "metabalance-second-order": ("metabalance", {"order": 2, **META, **SGD}),
    "meta-weight-net": ("meta-weight-net", {**WEIGHT, **SGD}),
    "meta-weight-net-adamw": ("meta-weight-net", {**WEIGHT, "dropout": 0.1, "weight_decay": 0.1}),
}


@cache
def plain_run(case):
    """Return the case's member, and its scores after training in plain PyTorch."""
    name, settings = AGAINST_PLAIN[case]
    pools = (train_pool(0), train_pool(0, "random-under-once"))[: len(method(name).pools)]
    member = Member(method(name).config(**{**LONG, **settings}), 7, pools, folds()[0].valid)
    model = RUNS[name](member)
    with torch.no_grad():
        return member, torch.sigmoid(model(torch.from_numpy(folds()[0].test.X).double())).numpy()


@pytest.mark.parametrize("case", AGAINST_PLAIN)
def test_a_thousand_steps_equal_a_plain_pytorch_loop(case, engine):
    member, expected = plain_run(case)
    (fitted,) = fit(AGAINST_PLAIN[case][0], [member])
    assert fitted.steps == 1000
    assert expected.std() > 0.01
    np.testing.assert_allclose(fitted.predict(folds()[0].test), expected, rtol=1e-7)


@pytest.mark.parametrize("order", [1, 2])
def test_metabalance_without_inner_step_is_plain_training_on_the_outer_batches(order, engine):
    """With α = λ = 0; the inner pool is drawn from and changes nothing."""
    config = method("metabalance").config(
        **{**SMALL["metabalance"], **SGD, "evaluations": 1, "dtype": "float64"},
        inner_lr=0.0,
        inner_weight=0.0,
        order=order,
    )
    encoded, outer = folds()[0], train_pool(0, "random-under-once")
    members = [
        Member(config, 3, (inner, outer), encoded.valid) for inner in (train_pool(0), train_pool(1, "smote"))
    ]
    one, other = (fitted.predict(encoded.test) for fitted in fit("metabalance", members))
    model = network_of(members[0])
    steps = optimiser_of(model, config)
    for x, y, _ in batches(members[0], outer, "outer ", config.pairs * config.outer_batch):
        steps.zero_grad()
        cross_entropy(model(x), y).backward()
        steps.step()
    with torch.no_grad():
        expected = torch.sigmoid(model(torch.from_numpy(encoded.test.X).double())).numpy()
    np.testing.assert_allclose(one, expected, rtol=1e-10)
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("network", {"batch": 64}), ("metabalance", {"pairs": 4}), ("meta-weight-net", {"batch": 64})],
)
def test_the_method_learns(name, settings):
    """Validation average precision lies well above the share of positives."""
    encoded = folds()[0]
    config = method(name).config(
        hidden=(16,), lr=0.01, weight_decay=0.01, steps=150, evaluations=15, **settings
    )
    pools = (encoded.train,) * len(method(name).pools)
    (fitted,) = fit(name, [Member(config, 0, pools, encoded.valid)])
    y = encoded.valid.labels
    assert average_precision(y, fitted.predict(encoded.valid)) > 1.8 * y.mean()


def test_balanced_weights_raise_the_scores_and_a_seed_changes_them():
    encoded, Config = folds()[0], method("network").config
    common = {**SMALL["network"], "batch": 64, "lr": 0.02, "evaluations": 1}
    made = [(Config(**common), 0), (Config(**common, class_weight="balanced"), 0), (Config(**common), 1)]
    members = [Member(config, seed, (encoded.train,), encoded.valid) for config, seed in made]
    plain, weighted, other = (one.predict(encoded.test) for one in fit("network", members))
    assert weighted.mean() > 1.5 * plain.mean()
    assert not np.allclose(plain, other)


@pytest.mark.parametrize("name", ["balanced", "random-under", "random-over"])
def test_a_rule_raises_the_scores_as_equal_classes_do_and_a_seed_changes_them(name):
    """The mean score is near the share of positives in the batches: theirs, not the table's."""
    encoded, Config = folds()[0], method("network").config
    common = {**SMALL["network"], "batch": 64, "lr": 0.02, "steps": 150, "evaluations": 1}
    members = [
        Member(Config(**common), seed, (encoded.train,), encoded.valid, rules=(rule,))
        for rule, seed in ((None, 0), (BatchRule(name), 0), (BatchRule(name), 1))
    ]
    plain, evened_out, other = (one.predict(encoded.test) for one in fit("network", members))
    assert evened_out.mean() > 1.5 * plain.mean()
    assert not np.allclose(evened_out, other)


def test_by_a_ratio_that_the_rows_have_already_a_rule_trains_on_them_as_they_are():
    members = [
        Member(
            method("network").config(**SMALL["network"]), 0, (train_pool(0),), folds()[0].valid, rules=rules
        )
        for rules in ((), (None,), (BatchRule("random-under", 0.01),))
    ]
    assert len({outcome(fitted, 0) for fitted in fit("network", members)}) == 1


DEEP = {
    "hidden": (16,) * 16,
    "steps": 6,
    "evaluations": 1,
}  # seventeen layers, one more than the kernel knows


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_deeper_than_the_kernel_knows_are_trained_by_torch(name):
    """The gradient is torch's and the optimiser's step is C's; the result is the same."""
    settings = {**SMALL[name], **DEEP, "dtype": "float64"}
    pools = (train_pool(0),) * len(method(name).pools)
    member = Member(method(name).config(**settings), 0, pools, folds()[0].valid)
    scores = []
    for engine in ("c", "torch"):
        with steps_by(engine):
            scores.append(fit(name, [member])[0].predict(folds()[0].test))
    np.testing.assert_allclose(*scores, rtol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_deep_networks_are_bitwise_the_same_in_any_company(name, engine, monkeypatch):
    """What torch does in the kernel's stead needs idle company as ever."""
    rows = {"inner_batch": 24, "outer_batch": 16} if name == "metabalance" else {"batch": 64}
    monkeypatch.setitem(PACKS, "deep", (name, DEEP | rows))
    pairs = members_of("deep")
    together = fit(name, [member for member, _ in pairs])
    for one, (member, fold) in zip(together, pairs, strict=True):
        assert outcome(fit(name, [member])[0], fold) == outcome(one, fold)

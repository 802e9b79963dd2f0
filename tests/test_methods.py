"""The network methods as wholes: the same bits in any company, and what they compute against plain PyTorch."""

from __future__ import annotations

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
SMALL = {"hidden": (7, 5), "steps": 40, "evaluations": 20, "patience": 2}
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
        (Member(Config(**{**SMALL, **static, **each}), 100 + k, (train_pool(k % 2, samplers[k % 4]),), folds()[k % 2].valid), k % 2)
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
    companies = [[0], [3], [last], [5, 1], list(range(last, -1, -1)), [2] * 9 + [4] * 9 + list(range(last + 1))]
    for company in companies:
        fitted = fit(name, [pairs[k][0] for k in company])
        assert [outcome(one, pairs[k][1]) for one, k in zip(fitted, company, strict=True)] == [
            together[k] for k in company
        ]


@pytest.mark.parametrize("pack", PACKS)
def test_two_threads_give_the_same_bits_as_one(pack):
    name = PACKS[pack][0]
    pairs, together = whole_pack(pack)
    fitted = fit(name, [member for member, _ in pairs], threads=2)
    assert [outcome(one, fold) for one, (_, fold) in zip(fitted, pairs, strict=True)] == together


@pytest.mark.parametrize("pack", PACKS)
def test_members_of_one_pack_stop_at_different_steps_and_differ(pack):
    """Without this the tests above would show nothing."""
    _, together = whole_pack(pack)
    assert len({scores for scores, *_ in together}) == len(together)
    assert len({steps for _, steps, *_ in together}) > 1

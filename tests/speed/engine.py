"""The engine as a contender: packs of K members through `method(…).fit`, on synthetic rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bench.contract import Member
from bench.data.encode import Part
from bench.methods import method, methods
from bench.networks import meta_gradient
from bench.networks.batches import CHUNK
from tests.speed.measure import Contender
from tests.speed.nets import (
    BATCH,
    DECAY,
    META,
    MOMENTUM,
    PLAIN_LR,
    WEIGHT_HIDDEN,
    MetaBatch,
    Net,
)
from tests.speed.peers import Batch, Pairs, meta_peers, network

CPU = torch.device("cpu")
VALID_ROWS = 64  # scored once at the end of a run: too few to be felt
WEIGHT_LR, INNER_LR = 1e-3, 0.1


def quiet(step: int, steps: int) -> None:
    """Report progress to nobody."""


def synthetic(net: Net, rows: int, seed: int = 0) -> Part:
    """Return rows of standard normal features, one in six positive; the first two are of both classes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, net.inputs), dtype=np.float32)
    y = (X[:, 0] + rng.standard_normal(rows) > 1.37).astype(np.int8)  # N(0, 2) passes 1.37 one time in six
    y[:2] = (0, 1)
    return Part(np.arange(rows), X, y)


def metabalance(
    net: Net, part: Part, K: int, order: int, *, whole_chunks: bool, device: torch.device = CPU
) -> Contender:
    """Return MetaBalance's updates of K members."""
    rows = META.pairs * max(META.inner, META.outer) if whole_chunks else None
    made = _contender("metabalance", net, part, K, meta_settings(order), rows, device)
    return replace(made, order=order)


def meta_settings(order: int) -> dict[str, Any]:
    """Return the paper's settings of MetaBalance that its `Config` takes."""
    return {
        "lr": META.lr,
        "pairs": META.pairs,
        "inner_batch": META.inner,
        "outer_batch": META.outer,
        "inner_lr": META.inner_lr,
        "inner_weight": META.inner_weight,
        "order": order,
    }


def plain(net: Net, part: Part, K: int, *, whole_chunks: bool) -> Contender:
    """Return a network's plain steps of K members."""
    settings = {"lr": PLAIN_LR, "batch": BATCH}
    return _contender("network", net, part, K, settings, BATCH if whole_chunks else None)


def meta_weight_net(net: Net, part: Part, K: int, *, whole_chunks: bool) -> Contender:
    """Return Meta-Weight-Net's steps of K members."""
    settings = {
        "lr": PLAIN_LR,
        "batch": BATCH,
        "meta_batch": BATCH,
        "inner_lr": INNER_LR,
        "weight_hidden": WEIGHT_HIDDEN,
        "weight_lr": WEIGHT_LR,
    }
    return _contender("meta-weight-net", net, part, K, settings, BATCH if whole_chunks else None)


def has(name: str) -> bool:
    """Say whether there is such a method."""
    return name in methods()


def config(name: str, net: Net, steps: int, settings: dict[str, Any]) -> Any:
    """Return a method's configuration: the paper's SGD, no dropout, scored once, at its end."""
    return method(name).config(
        hidden=net.hidden,
        optimiser="sgd",
        momentum=MOMENTUM,
        weight_decay=DECAY,
        steps=steps,
        evaluations=1,
        patience=1,
        dropout=0.0,
        **settings,
    )


def _contender(
    name: str,
    net: Net,
    part: Part,
    K: int,
    settings: dict[str, Any],
    rows: int | None,
    device: torch.device = CPU,
) -> Contender:
    """Return the contender; `rows` drawn per step tell after how many steps rows are drawn again."""
    valid = Part(part.rows[:VALID_ROWS], part.X[:VALID_ROWS], part.labels[:VALID_ROWS])
    pools = (part,) * len(method(name).pools)

    def run(n: int) -> None:
        chosen = config(name, net, n, settings)
        method(name).fit([Member(chosen, seed, pools, valid) for seed in range(K)], device, quiet)

    period = 1 if rows is None else max(1, CHUNK // (K * rows))
    return Contender(f"bench, K = {K}", run, members=K, period=period, starts=True)


def batches_of(part: Part, rows: int, count: int, dtype: torch.dtype = torch.float32) -> list[Batch]:
    """Return `count` batches of `rows` random rows as tensors, y (rows, 1)."""
    rng = np.random.default_rng(1)
    found: list[Batch] = []
    for _ in range(count):
        chosen = rng.integers(len(part.X), size=rows)
        y = torch.from_numpy(part.labels[chosen]).to(dtype).unsqueeze(1)
        found.append((torch.from_numpy(part.X[chosen]).to(dtype), y))
    return found


def pairs_of(part: Part, batch: MetaBatch = META, dtype: torch.dtype = torch.float32) -> Pairs:
    """Return the pairs of one update as tensors."""
    inner, outer = (batches_of(part, rows, batch.pairs, dtype) for rows in (batch.inner, batch.outer))
    return list(zip(inner, outer, strict=True))


def disagreements(net: Net, part: Part, batch: MetaBatch = META) -> dict[str, float]:
    """Return the relative difference of each peer's MetaBalance gradient and ours, in float64."""
    torch.manual_seed(0)
    module, pairs = network(net.sizes).double(), pairs_of(part, batch, torch.float64)
    found = {}
    for name, (gradient, order) in meta_peers().items():
        module.zero_grad()
        gradient(module, pairs, batch.inner_lr, batch.inner_weight)
        theirs = torch.cat([_grad(p).flatten() for p in module.parameters()])
        ours = torch.cat([p.flatten() for p in _our_gradient(module, pairs, batch, order)])
        found[name] = float((theirs - ours).norm() / theirs.norm())
    return found


def _grad(parameter: torch.Tensor) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _our_gradient(module: torch.nn.Module, pairs: Pairs, batch: MetaBatch, order: int) -> list[torch.Tensor]:
    """Return `meta_gradient` for the module's weights, laid out as the module's parameters are."""
    stacked = [(p.detach().T if p.dim() > 1 else p.detach()).unsqueeze(0) for p in module.parameters()]
    sides = []
    for i in (0, 1):
        x, y = (torch.stack([pair[i][j] for pair in pairs]).unsqueeze(0) for j in (0, 1))
        sides.append((x, y.squeeze(-1)))
    alpha, weight = (stacked[0].new_tensor([value]) for value in (batch.inner_lr, batch.inner_weight))
    found = meta_gradient(stacked, sides[0], sides[1], inner_lr=alpha, inner_weight=weight, order=order)
    return [p.squeeze(0).T if p.dim() > 2 else p.squeeze(0) for p in found]

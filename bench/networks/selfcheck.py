"""The compiled kernel compared with torch, once per process; if they differ, torch is used.

A compiler may be wrong on a processor that nobody tested, and a wrong gradient would still train. Both gradients with
dropout, the optimisers and the streams are compared. Meta-Weight-Net's step, made of the same passes, is not.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from bench.errors import BadKernel
from bench.networks import streams
from bench.networks.compiled.kernel import distrust, kernel
from bench.networks.gradients import loss_gradient, outer_gradient
from bench.networks.mlp import initialise
from bench.networks.optimisers import OPTIMISERS
from bench.networks.tensors import Batch, Parameters, Terms

_SIZES = (7, 9, 17, 1)  # none a multiple of a vector
_K, _PAIRS, _INNER, _OUTER = 3, 5, 9, 7
_CLASSES = (
    torch.tensor([[5, 48], [9, 3], [2, 60]]),
    torch.tensor([[5, 5], [1, 1], [60, 60]]),
)  # rows, and of a turn
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}

log = logging.getLogger(__name__)


def try_kernel(like: Tensor) -> None:
    """Leave tensors like this one to torch if there is a kernel for them and it disagrees.

    Raises BadKernel instead where `BENCH_KERNEL` is on, and BadSetting as `kernel` does.
    """
    if not kernel(like) or (fault := _fault(like.dtype)) is None:
        return
    if os.environ.get("BENCH_KERNEL") == "on":
        raise BadKernel(f"{fault} Set BENCH_KERNEL=off to train with torch alone, or CC to another compiler.")
    log.warning("%s torch alone trains the networks.", fault)
    distrust(like.dtype, fault)


@cache
def _fault(dtype: torch.dtype) -> str | None:
    """Return how the kernel is wrong; None where it is not."""
    fused = _computed(dtype)
    with _torch_alone():
        plain = _computed(dtype)
    for name, expected in plain.items():
        pairs = list(zip(fused[name], expected, strict=True))
        error = max(float((a - b).double().norm() / b.double().norm()) for a, b in pairs)
        if not error <= _TOLERANCE[dtype]:
            return (
                f"The compiled kernel's {name} differs from torch's by {error:.1e}, relative; at most "
                f"{_TOLERANCE[dtype]:.0e} is rounding."
            )
    return None


@contextmanager
def _torch_alone() -> Iterator[None]:
    before = os.environ.get("BENCH_KERNEL")
    os.environ["BENCH_KERNEL"] = "off"
    try:
        yield
    finally:
        os.environ.pop("BENCH_KERNEL")
        if before is not None:
            os.environ["BENCH_KERNEL"] = before


def _computed(dtype: torch.dtype) -> dict[str, Parameters]:
    """Return what each function computes for one small problem, with the engine in use."""
    keys = streams.keys([*range(_K)], "trial")
    parameters = initialise(keys, _SIZES, dtype)
    drawn = streams.uniform(keys[:1, None], torch.arange(50 * (_SIZES[0] + 1))).view(50, -1).to(dtype)
    X, y = 4.0 * drawn[:, 1:].contiguous() - 2.0, (drawn[:, 0] > 0.5).to(dtype)
    rates = torch.linspace(0.1, 0.4, _K, dtype=dtype)

    def keep(rows: int) -> list[Tensor]:
        return [streams.dropout(keys, rates, 2**32 - 5, rows * h).view(_K, rows, h) for h in _SIZES[1:-1]]

    inner, outer = (_batch(X, y, _PAIRS * count) for count in (_INNER, _OUTER))
    by_class = torch.linspace(0.5, 2.0, 2 * _K, dtype=dtype).view(_K, 2)
    scale, gamma = by_class[:, 0].contiguous(), by_class[:, 1].contiguous()
    terms = Terms(by_class, by_class - 1.0, scale, gamma, focusing=True)
    computed = {
        "meta_gradient": outer_gradient(
            parameters,
            inner,
            outer,
            pairs=_PAIRS,
            inner_lr=torch.linspace(0.1, 0.9, _K, dtype=dtype),
            inner_weight=torch.linspace(0.5, 0.0, _K, dtype=dtype),
            order=2,
            inner_keep=keep(_PAIRS * _INNER),
            outer_keep=keep(_PAIRS * _OUTER),
        ),
        "loss_gradient": loss_gradient(parameters, inner, terms, keep(_PAIRS * _INNER)),
        "streams": [
            streams.rows(keys, torch.tensor([5, 48, 50]), 2**31, 200, batch=4).to(dtype) + 1.0,
            streams.class_rows(keys[:, None] + torch.arange(3), *_CLASSES, 2**31, 200).to(dtype) + 1.0,
            *keep(_INNER),
        ],
    }
    for name, optimiser in OPTIMISERS.items():
        moved = [p.clone() for p in parameters]
        stepper = optimiser(lr=rates, weight_decay=rates / 2, momentum=1.0 - rates)
        for _ in range(3):
            stepper.step(moved, computed["loss_gradient"])
        computed[name] = moved
    return computed


def _batch(X: Tensor, y: Tensor, count: int) -> Batch:
    rows = (torch.arange(_K * count) * 7 % len(X)).view(_K, count)
    return Batch(X, y, rows, (_K, count))

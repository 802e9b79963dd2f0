"""A trial of the compiled kernel, once per process: it must compute what torch computes, or it is not used.

A compiler for a processor that nobody tested could be wrong, and a wrong gradient would still train.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from bench.errors import BadKernel
from bench.pack import streams
from bench.pack.batches import Batch
from bench.pack.kernel import kernel
from bench.pack.losses import Terms
from bench.pack.meta import torch_outer_gradient
from bench.pack.network import Parameters, initialise
from bench.pack.plain import torch_loss_gradient

_SIZES = (7, 9, 17, 1)  # none a multiple of a vector
_K, _PAIRS, _INNER, _OUTER = 3, 5, 9, 7
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}


def try_kernel(like: Tensor) -> None:
    """Raise BadKernel where there is a kernel for tensors like this one and it disagrees with torch."""
    if kernel(like):
        _try(like.dtype)


@cache
def _try(dtype: torch.dtype) -> None:
    parameters, pool, labels = _problem(dtype)
    fused = kernel(parameters[0])
    if fused is None:
        return
    inner, outer = (_batch(pool, labels, _PAIRS * count) for count in (_INNER, _OUTER))
    settings: dict[str, Any] = {
        "pairs": _PAIRS,
        "inner_lr": torch.linspace(0.1, 0.9, _K, dtype=dtype),
        "inner_weight": torch.linspace(0.5, 0.0, _K, dtype=dtype),
        "order": 2,
        "inner_keep": None,
        "outer_keep": None,
    }
    two = torch.linspace(0.5, 2.0, 2 * _K, dtype=dtype).view(_K, 2)
    terms = Terms(two, two - 1.0, two[:, 0].contiguous(), two[:, 1].contiguous(), focusing=True)
    for name, mine, theirs in (
        (
            "meta_gradient",
            fused.meta_gradient(parameters, inner, outer, **settings),
            torch_outer_gradient(parameters, inner, outer, **settings),
        ),
        (
            "loss_gradient",
            fused.loss_gradient(parameters, inner, terms, None),
            torch_loss_gradient(parameters, inner, terms),
        ),
    ):
        error = max(float((a - b).norm() / b.norm()) for a, b in zip(mine, theirs, strict=True))
        if not error <= _TOLERANCE[dtype]:
            raise BadKernel(
                f"The compiled kernel's {name} differs from torch's by {error:.1e}, relative; at most "
                f"{_TOLERANCE[dtype]:.0e} is rounding. Set BENCH_KERNEL=off to train with torch alone, or CC to "
                "another compiler."
            )


def _problem(dtype: torch.dtype) -> tuple[Parameters, Tensor, Tensor]:
    rows = 50
    parameters = initialise(streams.keys([*range(_K)], "trial"), _SIZES, dtype)
    drawn = streams.uniform(streams.keys([0], "trial rows")[:, None], torch.arange(rows * (_SIZES[0] + 1)))
    drawn = drawn.view(rows, -1).to(dtype)
    return parameters, 4.0 * drawn[:, 1:].contiguous() - 2.0, (drawn[:, 0] > 0.5).to(dtype)


def _batch(pool: Tensor, labels: Tensor, count: int) -> Batch:
    rows = (torch.arange(_K * count) * 7 % len(pool)).view(_K, count)
    return Batch(pool, labels, rows, (_K, count))

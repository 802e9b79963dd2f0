"""The fused training step in C: compiled once per machine at first use, and optional.

torch needs some sixty operations for a step of K networks, and calling each takes longer than its arithmetic.
`kernel.c` does the whole step in one pass through the first-level cache. Without a C compiler, with
`BENCH_KERNEL=off`, or on a GPU, torch operations make the same step: equal up to rounding, which the tests check in
float64. `bench.networks.compiled.compiler` compiles the library and keeps it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import BadSetting, BadStore
from bench.networks.compiled.compiler import NoCompiler, library
from bench.networks.tensors import Batch, Keep, Terms

MAX_LAYERS = 16  # as in kernel.c
_REAL = {torch.float32: "float", torch.float64: "double"}


def kernel(like: Tensor, n_layers: int = 1) -> Kernel | None:
    """Return the compiled step for tensors like this one; None where torch must do it.

    Raises BadSetting where `BENCH_KERNEL` is neither auto, on nor off, or is on and no library can be made.
    """
    if like.device.type != "cpu" or like.dtype not in _REAL or n_layers > MAX_LAYERS:
        return None
    return _kernel(_REAL[like.dtype], os.environ.get("BENCH_KERNEL", "auto"))


def engine(device: str, n_layers: int = 1, dtype: torch.dtype = torch.float32) -> str:
    """Return what makes the steps of a network of so many layers on this device: "c" or "torch"."""
    return "c" if kernel(torch.empty(0, device=device, dtype=dtype), n_layers) else "torch"


def why_torch() -> str | None:
    """Return why torch makes the steps on the CPU; None where the kernel does."""
    if kernel(torch.empty(0)):
        return None
    return "BENCH_KERNEL=off" if os.environ.get("BENCH_KERNEL") == "off" else str(_loaded("float"))


def distrust(dtype: torch.dtype, reason: str) -> None:
    """Leave this dtype to torch from now on, in this process."""
    _distrusted[_REAL[dtype]] = reason
    for cached in (_kernel, _loaded):
        cached.cache_clear()


_distrusted: dict[str, str] = {}


@cache
def _kernel(real: str, wanted: str) -> Kernel | None:
    if wanted not in ("auto", "on", "off"):
        raise BadSetting(f"BENCH_KERNEL={wanted}: auto (if there is a C compiler), on or off.")
    if wanted == "off":
        return None
    loaded = _loaded(real)
    if isinstance(loaded, Kernel):
        return loaded
    if wanted == "on":
        raise BadSetting(f"BENCH_KERNEL=on, but the kernel cannot be had: {loaded}.")
    return None


@cache
def _loaded(real: str) -> Kernel | str:
    """Return the kernel, or why there is none."""
    if real in _distrusted:
        return _distrusted[real]
    try:
        return Kernel(library(real))
    except (NoCompiler, BadStore, OSError, AttributeError) as error:
        return str(error)


class Kernel:
    """The functions of the compiled library, over contiguous tensors of one dtype."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        for name in ("sgd_step", "adamw_step", "stream_rows", "class_rows", "dropout_factors"):
            getattr(self.library, name).restype = None  # void; the others return 1 where memory is out

    def loss_gradient(
        self, parameters: Sequence[Tensor], batch: Batch, terms: Terms, keep: Keep
    ) -> list[Tensor]:
        """Return `bench.networks.gradients.loss_gradient`."""
        gradient = [torch.empty_like(p) for p in parameters]
        K, B = batch.shape
        self._call(
            "loss_gradient",
            *(K, B, len(parameters) // 2, _sizes(parameters), _pointers(parameters), _pointers(gradient)),
            *_batch(batch, keep),
            *map(_pointer, (terms.weight, terms.margin, terms.scale, terms.gamma)),
            int(terms.focusing),
        )
        return gradient

    def meta_gradient(
        self,
        parameters: Sequence[Tensor],
        inner: Batch,
        outer: Batch,
        *,
        pairs: int,
        inner_lr: Tensor,
        inner_weight: Tensor,
        order: int,
        inner_keep: Keep,
        outer_keep: Keep,
    ) -> list[Tensor]:
        """Return `bench.networks.gradients.outer_gradient`."""
        gradient = [torch.empty_like(p) for p in parameters]
        K, n_in = inner.shape
        self._call(
            "meta_gradient",
            *(K, pairs, n_in // pairs, outer.shape[1] // pairs, len(parameters) // 2, _sizes(parameters)),
            *(_pointers(parameters), _pointers(gradient)),
            *_batch(inner, inner_keep),
            *_batch(outer, outer_keep),
            *(_pointer(inner_lr), _pointer(inner_weight), order),
        )
        return gradient

    def reweighted_gradient(
        self,
        parameters: Sequence[Tensor],
        batch: Batch,
        meta: Batch,
        *,
        keep: Keep,
        meta_keep: Keep,
        inner_lr: Tensor,
        phi: Sequence[Tensor],
        moments: Sequence[Sequence[Tensor]],
        settings: Sequence[Tensor],
    ) -> list[Tensor]:
        """Step the weight nets `phi` in place and return the gradient of the re-weighted loss.

        That is `bench.methods.meta_weight_net`; `moments` are Adam's means and squares, `settings` as in
        `adamw_step`.
        """
        gradient = [torch.empty_like(p) for p in parameters]
        K, B = batch.shape
        self._call(
            "reweighted_gradient",
            *(K, B, meta.shape[1], len(parameters) // 2, _sizes(parameters)),
            *(_pointers(parameters), _pointers(gradient)),
            *_batch(batch, keep),
            *_batch(meta, meta_keep),
            *(_pointer(inner_lr), phi[1].shape[1], _pointers(phi), *map(_pointers, moments)),
            *map(_pointer, settings),
        )
        return gradient

    def sgd_step(self, *tensors: Tensor) -> None:
        """Take one step of `bench.networks.optimisers.SGD` in place.

        `tensors` are parameter, slope, velocity (K, …), then lr, decay, momentum (K,).
        """
        self._call("sgd_step", len(tensors[0]), _long(tensors[0][0].numel()), *map(_pointer, tensors))

    def adamw_step(self, *tensors: Tensor) -> None:
        """Take one step of `bench.networks.optimisers.AdamW` in place.

        `tensors` are parameter, slope, mean, square (K, …), then lr, decay, momentum and the corrections of
        mean and root (K,).
        """
        self._call("adamw_step", len(tensors[0]), _long(tensors[0][0].numel()), *map(_pointer, tensors))

    def stream_rows(
        self, keys: Tensor, sizes: Tensor, offsets: Tensor, start: int, count: int, batch: int
    ) -> Tensor:
        """Return `bench.networks.streams.rows`, int64 (K, count)."""
        rows = torch.empty(len(keys), count, dtype=torch.int64)
        pointers = map(_pointer, (keys, sizes, offsets, rows))
        self._call("stream_rows", len(keys), _long(start), _long(count), _long(batch), *pointers)
        return rows

    def class_rows(
        self, keys: Tensor, sizes: Tensor, turns: Tensor, offsets: Tensor, start: int, count: int
    ) -> Tensor:
        """Return `bench.networks.streams.class_rows`, int64 (K, count)."""
        rows = torch.empty(len(keys), count, dtype=torch.int64)
        pointers = map(_pointer, (keys, sizes, turns, offsets, rows))
        self._call("class_rows", len(keys), _long(start), _long(count), *pointers)
        return rows

    def dropout_factors(self, keys: Tensor, rates: Tensor, start: int, n: int) -> Tensor:
        """Return dropout's factors of counters start … start + n − 1, (K, n)."""
        factors = torch.empty(len(keys), n, dtype=rates.dtype)
        self._call(
            "dropout_factors", len(keys), _long(start), _long(n), *map(_pointer, (keys, rates, factors))
        )
        return factors

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self.library, name)(*arguments) == 1:
            raise MemoryError(f"{name}: no memory for the scratch space")


_long = ctypes.c_long


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _pointers(tensors: Sequence[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*[t.data_ptr() for t in tensors])


def _sizes(parameters: Sequence[Tensor]) -> ctypes.Array[ctypes.c_int]:
    sizes = [parameters[0].shape[1], *(b.shape[1] for b in parameters[1::2])]
    return (ctypes.c_int * len(sizes))(*sizes)


def _batch(batch: Batch, keep: Keep) -> tuple[object, ...]:
    rows = None if batch.rows is None else _pointer(batch.rows)
    return _pointer(batch.X), _pointer(batch.y), rows, None if keep is None else _pointers(keep)

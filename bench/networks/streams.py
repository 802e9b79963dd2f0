"""Random numbers by counting: a hash of member, purpose and position, the same on any device.

With a generator that keeps a state, a member's draws would depend on who drew before it. Here a draw is a function of
(key, counter) alone: a 32-bit mix with full avalanche, in int64 arithmetic that is exact on every device. Rows are
drawn without replacement: position t of a stream over n rows is row π(t mod n) of epoch ⌊t/n⌋. π is a Feistel
permutation of a grid of at least n cells (rounds of modular addition; a cell ≥ n is permuted again until it is below n;
Black & Rogaway 2002), so no order is ever stored.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.names import seed_from
from bench.networks.compiled.kernel import kernel

_MASK = 0xFFFFFFFF
_ROUNDS = 4  # fewer leave pools of a dozen rows visibly uneven (chi-square over 200,000 keys)


def keys(seeds: list[int], purpose: str, device: torch.device | str = "cpu") -> Tensor:
    """Return one 32-bit key per member, int64 (K,), hashed from its seed and the purpose."""
    return torch.tensor(
        [seed_from(seed, purpose) & _MASK for seed in seeds], dtype=torch.int64, device=device
    )


def mix(x: Tensor) -> Tensor:
    """Return a 32-bit hash of each int64 value below 2**32: two multiply–xorshift rounds."""
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _MASK
    x = ((x ^ (x >> 15)) * 0x735A2D97) & _MASK
    return x ^ (x >> 15)


def uniform(key: Tensor, counter: Tensor) -> Tensor:
    """Return float32 numbers in [0, 1), 24 bits each, for every pair of broadcast key and counter (below 2**63)."""
    high = counter >> 32  # beyond 2**32 numbers the key is another
    key = torch.where(high > 0, mix((key + mix(high & _MASK)) & _MASK), key)
    bits = mix((mix((counter + 0x9E3779B9) & _MASK) + key) & _MASK)
    return (bits >> 8).to(torch.float32) * 2.0**-24


def dropout(key: Tensor, rates: Tensor, start: int | Tensor, n: int) -> Tensor:
    """Return n dropout factors per member, (K, n): 0, or 1/(1 − rate), of counters start … start + n − 1.

    `key` is int64 (K,), `rates` floating (K,), which the result is like.
    """
    fused = kernel(rates)
    if fused and isinstance(start, int):
        return fused.dropout_factors(key, rates, start, n)
    drawn = uniform(key[:, None], torch.arange(n, device=key.device) + start)
    return (drawn >= rates[:, None]).to(rates) / (1.0 - rates[:, None])


def rows(
    key: Tensor, sizes: Tensor, start: int, count: int, *, batch: int = 0, offsets: Tensor | None = None
) -> Tensor:
    """Return positions `start … start + count − 1` of each member's stream of rows.

    `key` and `sizes` are int64 (K,), `sizes` the number of rows each member draws from; the result
    is int64 (K, count) with 0 ≤ row < size, plus the member's offset. Every `size` consecutive positions
    that begin at a multiple of `size` are a permutation of its rows.

    With a `batch`, an epoch is a whole number of batches, as a DataLoader's is. Its last one is short there;
    here it is filled up with its own rows, each again as often as any other, give or take one.
    """
    offsets = torch.zeros_like(sizes) if offsets is None else offsets
    if fused := kernel(torch.empty(0, device=key.device)):
        return fused.stream_rows(key, sizes, offsets, start, count, batch)
    position = torch.arange(start, start + count, device=key.device, dtype=torch.float64)
    size = sizes[:, None]
    length = torch.ceil(size / batch) * batch if batch else size
    # Exact below 2**53, and several times faster than integer division.
    epoch = torch.floor(position / length)
    cell = (position - epoch * length).to(torch.int64)
    if batch:
        first = length.to(torch.int64) - batch  # of the last batch
        cell = torch.where(cell < size, cell, first + (cell - first) % (size - first))
    round_key = mix((key[:, None] + mix(epoch.to(torch.int64) & _MASK)) & _MASK)
    return _permute(cell, size.expand_as(cell), round_key) + offsets[:, None]


def _permute(cell: Tensor, size: Tensor, key: Tensor) -> Tensor:
    """Return π_key(cell) < size, permuting again the cells that fall outside; all three of one shape."""
    bits = torch.frexp((size[:, :1] - 1).double()).exponent.long() // 2  # half the bits of size − 1
    bits = bits.expand_as(cell)
    permuted = _feistel(cell, bits, size, key)
    while bool((outside := permuted >= size).any()):
        permuted[outside] = _feistel(permuted[outside], bits[outside], size[outside], key[outside])
    return permuted


def _feistel(cell: Tensor, bits: Tensor, size: Tensor, key: Tensor) -> Tensor:
    """Return a permutation of ⌈size / 2^bits⌉ rows of 2^bits columns: keyed shifts of row and column in turn."""
    last = (1 << bits) - 1
    height = (size + last) >> bits
    column, row = cell & last, cell >> bits
    for i in range(_ROUNDS):
        column = (column + mix((row + key + 2 * i * 0x9E3779B9) & _MASK)) & last
        row = row + ((mix((column + key + (2 * i + 1) * 0x9E3779B9) & _MASK) * height) >> 32)
        row = torch.where(row >= height, row - height, row)
    return (row << bits) | column

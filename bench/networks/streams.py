"""Random numbers by counting: a hash of member, purpose and position, the same on any device.

With a generator that keeps a state, a member's draws would depend on who drew before it. Here a draw is a function of
(key, counter) alone: a 32-bit mix with full avalanche, in int64 arithmetic that is exact on every device. Rows are
drawn without replacement: position t of a stream over n rows is row π(t mod n) of epoch ⌊t/n⌋. π is a Feistel
permutation of a grid of at least n cells (rounds of modular addition; a cell ≥ n is permuted again until it is below n;
Black & Rogaway 2002), so no order is ever stored.

Where batches hold the classes in other shares than the rows (`bench.data.classes.BatchRule`), positions come in turns
of so many rows of either class. A permutation of the turn says of which class a position is; its place among the
positions of that class is its place in the class's own stream.
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
    epoch, cell = _divided(position, length)
    if batch:
        first = length.to(torch.int64) - batch  # of the last batch
        cell = torch.where(cell < size, cell, first + (cell - first) % (size - first))
    return _permute(cell, size, _round_key(key[:, None], epoch)) + offsets[:, None]


def class_rows(
    keys: Tensor, sizes: Tensor, turns: Tensor, start: int, count: int, *, offsets: Tensor | None = None
) -> Tensor:
    """Return positions `start … start + count − 1` of each member's stream of rows of two classes, int64 (K, count).

    `turns` (K, 2) are the rows of either class that come in turn, `sizes` (K, 2) those that there are, the first
    class's numbered first; the member's offset is added. `keys` (K, 3) are of the order within a turn, and of the
    streams of either class. Two rows keep their order: a batch is the same either way. A class that comes as a whole
    in every turn needs no other order than the turn's.
    """
    offsets = torch.zeros_like(sizes[:, 0]) if offsets is None else offsets
    if fused := kernel(torch.empty(0, device=keys.device)):
        keys, sizes, turns = keys.contiguous(), sizes.contiguous(), turns.contiguous()
        return fused.class_rows(keys, sizes, turns, offsets, start, count)
    position = torch.arange(start, start + count, device=keys.device, dtype=torch.float64)
    length, first = turns.sum(1, keepdim=True), turns[:, :1]
    turn, cell = _divided(position, length)
    place = torch.where(length == 2, cell, _permute(cell, length, _round_key(keys[:, :1], turn)))
    second = place >= first

    def of_class(pair: Tensor) -> Tensor:
        return torch.where(second, pair[:, 1:], pair[:, :1])

    size, own = of_class(sizes), of_class(turns)
    place = torch.where(second, place - first, place)
    epoch, cell = _divided((turn * own + place).to(torch.float64), size)
    permuted = _permute(cell, size, _round_key(of_class(keys[:, 1:]), epoch))
    row = torch.where(own == size, place, permuted)
    return row + torch.where(second, sizes[:, :1], 0) + offsets[:, None]


def _divided(position: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Return quotient and rest, int64, of a position float64: exact below 2**53, and faster than integer division."""
    quotient = torch.floor(position / length)
    return quotient.to(torch.int64), (position - quotient * length).to(torch.int64)


def _round_key(key: Tensor, epoch: Tensor) -> Tensor:
    return mix((key + mix(epoch & _MASK)) & _MASK)


def _permute(cell: Tensor, size: Tensor, key: Tensor) -> Tensor:
    """Return π_key(cell) < size, permuting again the cells that fall outside; `size` may be one number per member."""
    bits = torch.frexp((size - 1).double()).exponent.long() // 2  # half the bits of size − 1
    bits, size = bits.expand_as(cell), size.expand_as(cell)
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

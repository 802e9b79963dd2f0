"""Random streams by counting: complete epochs, no memory of how they were drawn, even and independent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.names import seed_from
from bench.networks import streams
from tests.conftest import by_both

CPU = torch.device("cpu")
sizes_of_pools = st.integers(1, 5000)


def chi_square(counts: np.ndarray, expected: float) -> float:
    """Return how many standard deviations the chi-square statistic lies above its mean."""
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


@settings(max_examples=60, deadline=None)
@given(st.lists(sizes_of_pools, min_size=1, max_size=4), st.integers(0, 2**32 - 1), st.integers(0, 10**6))
def test_every_epoch_is_a_permutation_of_the_members_rows(sizes, seed, epoch):
    keys = streams.keys([seed + k for k in range(len(sizes))], "order", CPU)
    for k, n in enumerate(sizes):
        drawn = streams.rows(keys, torch.tensor(sizes), epoch * n, n)[k]
        assert torch.equal(drawn.sort().values, torch.arange(n))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(sizes_of_pools, min_size=1, max_size=3),
    st.integers(0, 10**9),
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
)
def test_rows_are_the_same_however_they_are_cut_into_chunks(sizes, start, counts):
    keys, n = streams.keys(list(range(len(sizes))), "order", CPU), torch.tensor(sizes)
    starts = start + np.cumsum([0, *counts[:-1]])
    chunks = [streams.rows(keys, n, int(a), count) for a, count in zip(starts, counts, strict=True)]
    assert torch.equal(torch.cat(chunks, 1), streams.rows(keys, n, start, sum(counts)))


@settings(max_examples=40, deadline=None)
@given(st.lists(sizes_of_pools, min_size=2, max_size=9), st.randoms(use_true_random=False))
def test_a_members_rows_do_not_depend_on_its_company(sizes, random):
    keys, n = streams.keys(list(range(len(sizes))), "order", CPU), torch.tensor(sizes)
    alone = [streams.rows(keys[k : k + 1], n[k : k + 1], 17, 300)[0] for k in range(len(sizes))]
    order = list(range(len(sizes)))
    random.shuffle(order)
    together = streams.rows(keys[order], n[order], 17, 300)
    assert all(torch.equal(row, alone[k]) for row, k in zip(together, order, strict=True))


@pytest.mark.parametrize("n", [2, 3, 5, 12, 13, 31, 64, 100])
def test_every_row_is_about_equally_often_at_every_position(n):
    """Each row of each position is a cell of a table; 6 standard deviations of chi-square are allowed."""
    n_keys = min(40_000, 800_000 // n)
    drawn = streams.rows(torch.arange(n_keys) * 2654435761 % 2**32, torch.full((n_keys,), n), 0, n).numpy()
    counts = np.zeros((n, n))
    np.add.at(counts, (np.broadcast_to(np.arange(n), drawn.shape), drawn), 1)
    assert abs(chi_square(counts, n_keys / n)) < 6


def test_every_order_of_four_rows_is_about_equally_likely():
    n_keys = 48_000
    drawn = streams.rows(streams.mix(torch.arange(n_keys)), torch.full((n_keys,), 4), 0, 4).numpy()
    counts = np.unique(drawn @ [64, 16, 4, 1], return_counts=True)[1]
    assert counts.size == 24
    assert chi_square(counts, n_keys / 24) < 6


def test_epochs_and_members_have_orders_of_their_own():
    n = 500
    keys = streams.keys([0, 1], "order", CPU)
    first, second = (streams.rows(keys, torch.tensor([n, n]), epoch * n, n).double() for epoch in (0, 1))
    pairs = [(first[0], second[0]), (first[0], first[1]), (first[0], second[1])]
    for a, b in pairs:
        assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 5 / n**0.5


def test_uniform_numbers_have_the_moments_of_the_uniform_distribution():
    n = 200_000
    u = streams.uniform(streams.keys([3, 4], "init", CPU)[:, None], torch.arange(n)).double()
    assert u.dtype == torch.float64
    assert float(u.min()) >= 0
    assert float(u.max()) < 1
    for row in u:
        # The k-th moment of U(0, 1) is 1/(k + 1), its variance 1/(2k + 1) − 1/(k + 1)².
        for power in (1, 2, 3, 4):
            sd = (1 / (2 * power + 1) - 1 / (power + 1) ** 2) ** 0.5 / n**0.5
            assert abs(float((row**power).mean()) - 1 / (power + 1)) < 5 * sd
        counts = np.histogram(row.numpy(), bins=256, range=(0, 1))[0]
        assert abs(chi_square(counts, n / 256)) < 5


def test_uniform_numbers_use_24_bits_exactly():
    u = streams.uniform(torch.tensor([12345]), torch.arange(50_000))
    assert u.dtype == torch.float32
    assert torch.equal(u * 2**24, (u * 2**24).round())
    assert len(torch.unique(u)) > 49_000


@pytest.mark.parametrize("lag", [0, 1, 2, 24, 1000])
def test_uniform_numbers_are_uncorrelated_over_keys_and_counters(lag):
    """Keys that differ in one bit, and the same key at a lag."""
    n = 100_000
    u = streams.uniform(torch.tensor([[77], [76], [77 + 2**31]]), torch.arange(n + lag)).double()
    pairs = [(0, 1), (0, 2), (1, 2)] + ([(0, 0)] if lag else [])
    for i, j in pairs:
        both = torch.stack([u[i, :n], u[j, lag : lag + n]])
        assert abs(float(torch.corrcoef(both)[0, 1])) < 5 / n**0.5


def test_uniform_numbers_depend_on_key_and_counter_alone():
    keys, counter = streams.keys([1, 2, 3], "dropout", CPU), torch.arange(1000)
    together = streams.uniform(keys[:, None], counter)
    assert torch.equal(together[2], streams.uniform(keys[2:], counter))
    assert torch.equal(together[:, 400:417], streams.uniform(keys[:, None], torch.arange(400, 417)))


def test_keys_are_hashed_from_seed_and_purpose():
    purposes = ("init", "order", "dropout", "inner order", "outer order")
    seeds = [*range(200), seed_from("run", "a"), seed_from("run", "b")]
    found = torch.stack([streams.keys(seeds, purpose, CPU) for purpose in purposes])
    assert len(found.unique()) == found.numel()
    assert int(found.min()) >= 0
    assert int(found.max()) < 2**32
    assert torch.equal(streams.keys(seeds[::-1], "init", CPU), found[0].flip(0))
    assert int(found[1, 5]) == seed_from(5, "order") % 2**32


def test_mix_is_a_bijection_that_changes_half_of_the_bits():
    x = torch.arange(2**16) * 65_521
    assert len(streams.mix(x).unique()) == len(x)
    for bit in range(32):
        changed = streams.mix(x) ^ streams.mix(x ^ (1 << bit))
        share = np.mean([np.mean((changed.numpy() >> b) & 1) for b in range(32)])
        assert abs(share - 0.5) < 0.02


def near_powers_of_two(most):
    return st.builds(lambda power, more: max(1, 2**power + more), st.integers(0, most), st.integers(-2, 2))


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(
        st.one_of(st.integers(1, 40), sizes_of_pools, near_powers_of_two(24)), min_size=1, max_size=5
    ),
    start=st.one_of(st.integers(0, 5000), near_powers_of_two(45), st.integers(0, 2**50)),
    count=st.integers(1, 300),
    key=st.integers(0, 2**32 - 1),
    offset=st.integers(0, 2**40),
)
def test_the_engines_draw_the_same_rows(sizes, start, count, key, offset):
    """Over pools of all sizes, epochs past 32 bits, chunks that begin and end anywhere, and offsets."""
    keys = torch.tensor([(key + 977 * k) % 2**32 for k in range(len(sizes))])
    offsets = torch.arange(len(sizes)) * 3 + offset
    fused, plain = by_both(lambda: streams.rows(keys, torch.tensor(sizes), start, count, offsets=offsets))
    assert fused.dtype == plain.dtype == torch.int64
    assert torch.equal(fused, plain)
    assert torch.equal(plain - offsets[:, None], streams.rows(keys, torch.tensor(sizes), start, count))


@settings(max_examples=100, deadline=None)
@given(
    rates=st.lists(st.sampled_from([0.0, 1e-8, 0.1, 1 / 3, 0.5, 0.75, 0.999]), min_size=1, max_size=4),
    start=st.one_of(st.integers(0, 5000), near_powers_of_two(40)),
    n=st.integers(1, 300),
    key=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_engines_drop_the_same_units(rates, start, n, key, dtype):
    """From a start that is a number or, for a captured step, a tensor."""
    keys = torch.tensor([(key + 977 * k) % 2**32 for k in range(len(rates))])
    given_rates = torch.tensor(rates, dtype=dtype)
    fused, plain = by_both(lambda: streams.dropout(keys, given_rates, start, n))
    assert fused.dtype == plain.dtype == dtype
    assert torch.equal(fused, plain)
    assert torch.equal(fused, streams.dropout(keys, given_rates, torch.tensor(start), n))


def test_a_unit_is_dropped_where_its_number_lies_below_the_rate(engine):
    keys, rates = streams.keys([1, 2], "dropout", CPU), torch.tensor([0.3, 0.8])
    drawn = streams.uniform(keys[:, None], torch.arange(1000))
    expected = torch.where(drawn < rates[:, None], 0.0, (1 / (1 - rates))[:, None])
    torch.testing.assert_close(streams.dropout(keys, rates, 0, 1000), expected)


def test_the_smallest_number_drawn_last_drops_its_unit(engine):
    """Key and counter are chosen so that the last 24 bits drawn are 1, which once looked like an error's code."""
    key, counter = torch.tensor([12345]), 2_227_525
    assert float(streams.uniform(key[:, None], torch.tensor([counter]))) == 2.0**-24
    found = streams.dropout(key, torch.tensor([0.5]), counter - 9, 10)
    assert found[0, -1] == 0


@st.composite
def classes_and_turns(draw, most=4):
    """Return sizes and turns of some members, [(K, 2), (K, 2)], such as batch rules have, and others."""
    sizes = draw(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), min_size=1, max_size=most))
    turns = [
        draw(
            st.sampled_from([(1, 1), (a, b), (min(a, b), min(a, b)), (max(a, b), max(a, b)), (7, 2), (0, 3)])
        )
        for a, b in sizes
    ]
    return torch.tensor(sizes), torch.tensor(turns)


def class_keys(seeds):
    return torch.stack([streams.keys(seeds, purpose) for purpose in ("order", "negatives", "positives")], 1)


@settings(max_examples=60, deadline=None)
@given(classes_and_turns(), st.integers(0, 10**6), st.integers(0, 400))
def test_every_turn_holds_its_number_of_either_class(members, seed, turn):
    sizes, turns = members
    keys = class_keys([seed + k for k in range(len(sizes))])
    for k, (size, own) in enumerate(zip(sizes.tolist(), turns.tolist(), strict=True)):
        drawn = streams.class_rows(keys, sizes, turns, turn * sum(own), sum(own))[k]
        assert torch.equal(drawn, drawn.clamp(0, sum(size) - 1))
        assert [int((drawn < size[0]).sum()), int((drawn >= size[0]).sum())] == own


@settings(max_examples=40, deadline=None)
@given(classes_and_turns(most=1), st.integers(0, 10**6), st.integers(1, 60))
def test_after_any_turn_the_rows_of_a_class_have_come_equally_often(members, seed, n_turns):
    """Give or take one."""
    (sizes, turns), keys = members, class_keys([seed])
    (drawn,) = streams.class_rows(keys, sizes, turns, 0, n_turns * int(turns.sum()))
    counts = torch.bincount(drawn, minlength=int(sizes.sum()))
    for of_class in counts.split(sizes[0].tolist()):
        assert int(of_class.max() - of_class.min()) <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 10**6))
def test_in_pairs_a_row_comes_again_when_all_of_its_class_have_come(negatives, positives, seed):
    sizes, turns = torch.tensor([[negatives, positives]]), torch.tensor([[1, 1]])
    (row,) = streams.class_rows(class_keys([seed]), sizes, turns, 0, 4000)
    for n, some in ((negatives, row[row < negatives]), (positives, row[row >= negatives] - negatives)):
        for first in range(0, len(some) - n + 1, n):
            assert torch.equal(some[first : first + n].sort().values, torch.arange(n))


@settings(max_examples=60, deadline=None)
@given(
    classes_and_turns(),
    st.one_of(st.integers(0, 5000), near_powers_of_two(45)),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(0, 2**40),
)
def test_rows_of_two_classes_are_the_same_by_either_engine_in_any_chunks_and_company(
    members, start, first, rest, offset
):
    sizes, turns = members
    keys, offsets = class_keys([*range(len(sizes))]), torch.arange(len(sizes)) * 3 + offset
    fused, plain = by_both(
        lambda: streams.class_rows(keys, sizes, turns, start, first + rest, offsets=offsets)
    )
    assert fused.dtype == plain.dtype == torch.int64
    assert torch.equal(fused, plain)
    cut = [streams.class_rows(keys, sizes, turns, at, n) for at, n in ((start, first), (start + first, rest))]
    assert torch.equal(torch.cat(cut, 1) + offsets[:, None], fused)
    alone = [
        streams.class_rows(keys[k : k + 1], sizes[k : k + 1], turns[k : k + 1], start, first + rest)[0]
        for k in range(len(sizes))
    ]
    assert torch.equal(torch.stack(alone) + offsets[:, None], fused)


@pytest.mark.parametrize(
    ("sizes", "turn"), [((40, 5), (5, 5)), ((40, 5), (40, 40)), ((40, 5), (10, 7)), ((40, 5), (1, 1))]
)
def test_every_row_of_a_class_is_about_equally_often_at_every_position_of_a_turn(sizes, turn, engine):
    """Over keys; the share of a class at a position, and of a row within its class."""
    n_keys = 40_000
    keys = torch.stack([streams.mix(torch.arange(n_keys) + c * n_keys) for c in range(3)], 1)
    drawn = streams.class_rows(
        keys, torch.tensor([sizes] * n_keys), torch.tensor([turn] * n_keys), 3 * sum(turn), min(sum(turn), 12)
    ).numpy()
    for i, position in enumerate(drawn.T):
        counts = np.bincount(position, minlength=sum(sizes))
        of_class = np.eye(2)[i] if turn == (1, 1) else np.array(turn) / sum(turn)  # a pair is in order
        expected = n_keys * np.repeat(of_class / np.array(sizes), sizes)
        assert not counts[expected == 0].any()
        assert abs(chi_square(counts[expected > 0], expected[expected > 0])) < 6


def test_seeds_and_sides_draw_other_rows():
    sizes, turns = torch.tensor([[500, 60]] * 2), torch.tensor([[60, 60]] * 2)
    first, other = streams.class_rows(class_keys([0, 1]), sizes, turns, 0, 120)
    (later,) = streams.class_rows(class_keys([0]), sizes[:1], turns[:1], 120, 120)
    negatives = [set(row[row < 500].tolist()) for row in (first, other, later)]
    assert all(len(rows) == 60 for rows in negatives)
    assert not negatives[0] & negatives[2], "further along the stream of 500 come other rows"
    assert len(negatives[0] & negatives[1]) < 30

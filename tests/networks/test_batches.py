"""Pools, batches and dropout: every row once an epoch, whatever the chunks, the company and the engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.encode import Part
from bench.networks import batches, streams
from bench.networks.batches import Draws, dropout, pool
from bench.networks.config import NetworkConfig
from bench.networks.tensors import Batch
from tests.conftest import by_both

CPU = torch.device("cpu")


def part(n, d=3, seed=0):
    """Return a part whose first feature is the row's number."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(np.float32)
    X[:, 0] = np.arange(n)
    y = (rng.random(n) < 0.4).astype(np.int8)
    y[:2] = 0, 1
    return Part(np.arange(n), X, y)


def drawn(draws, steps):
    """Return the rows of the first steps, (steps, K, count), prepared step by step as the loop does."""
    found = []
    for step in range(steps):
        draws.prepare(step)
        found.append(draws.batch(step).rows.clone())
    return torch.stack(found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pool_holds_each_distinct_part_once(dtype):
    small, large = part(5), part(9, seed=1)
    held = pool([large, small, large, large], CPU, dtype)
    assert held.X.shape == (14, 3)
    assert held.X.dtype == held.y.dtype == dtype
    assert held.size.tolist() == [9, 5, 9, 9]
    for k, member in enumerate((large, small, large, large)):
        rows = slice(int(held.start[k]), int(held.start[k] + held.size[k]))
        assert np.array_equal(held.X[rows].numpy(), member.X)
        assert np.array_equal(held.y[rows].numpy(), member.labels)
        positives = int(member.labels.sum())
        assert held.counts[k] == (len(member.labels) - positives, positives)


def test_a_pool_of_some_members_has_their_rows_in_the_order_given():
    held = pool([part(9), part(5, seed=1), part(7, seed=2)], CPU)
    some = held.of([2, 0, 2])
    assert some.X is held.X
    assert some.y is held.y
    assert some.size.tolist() == [7, 9, 7]
    assert some.start.tolist() == [14, 0, 14]
    assert some.counts == (held.counts[2], held.counts[0], held.counts[2])


def test_a_batch_is_rows_of_its_pool_or_without_numbers_the_pool_itself():
    X, y = torch.randn(6, 4), torch.arange(6.0)
    chosen = Batch(X, y, torch.tensor([[5, 0, 0], [1, 2, 3]]), (2, 3))
    assert torch.equal(chosen.features(), torch.stack([X[[5, 0, 0]], X[[1, 2, 3]]]))
    assert chosen.labels().tolist() == [[5, 0, 0], [1, 2, 3]]
    whole = Batch(X, y, None, (2, 3))
    assert torch.equal(whole.features(), X.view(2, 3, 4))
    assert whole.labels().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_epoch_of_batches_holds_every_row_once_with_its_label(engine):
    parts = [part(12), part(30, seed=1)]
    draws = Draws(pool(parts, CPU), streams.keys([0, 1], "order"), 6)
    draws.prepare(0)
    made = [draws.batch(step) for step in range(10)]
    for k, member in enumerate(parts):
        steps = len(member.X) // 6
        for epoch in range(10 // steps):
            some = made[epoch * steps : (epoch + 1) * steps]
            x = torch.cat([batch.features()[k] for batch in some]).numpy()
            y = torch.cat([batch.labels()[k] for batch in some]).numpy()
            rows = x[:, 0].astype(int)
            assert sorted(rows) == list(range(len(member.X)))
            assert np.array_equal(x, member.X[rows])
            assert np.array_equal(y, member.labels[rows])


def test_batches_do_not_depend_on_chunks_company_or_engine(monkeypatch):
    """A pack of 150 members draws in chunks of 34 steps, a lone member in chunks of thousands or of one."""
    mine = part(37)
    crowd = [part(20 + k, seed=k) for k in range(149)]

    def rows():
        alone = Draws(pool([mine], CPU), streams.keys([5], "order"), 50)
        among = Draws(pool([*crowd, mine], CPU), streams.keys([*range(10, 159), 5], "order"), 50)
        assert among.chunk_steps < 80 < alone.chunk_steps
        # The pool of the crowd holds 149 other parts before it.
        return drawn(alone, 80)[:, 0], drawn(among, 80)[:, -1] - int(among.pool.start[-1])

    found = [each for engine in by_both(rows) for each in engine]
    for chunk in (1, 3 * 50, 7 * 50 + 49):
        monkeypatch.setattr(batches, "CHUNK", chunk)
        draws = Draws(pool([mine], CPU), streams.keys([5], "order"), 50)
        assert draws.chunk_steps == max(1, chunk // 50)
        found.append(drawn(draws, 80)[:, 0])
    assert all(torch.equal(each, found[0]) for each in found)


def test_a_step_in_a_tensor_draws_what_an_integer_draws_across_chunks(monkeypatch, engine):
    """The tensor is on the device; only `prepare`, which the host calls, knows the number."""
    monkeypatch.setattr(batches, "CHUNK", 5 * 2 * 6)
    held, keys = pool([part(12), part(30, seed=1)], CPU), streams.keys([0, 1], "order")
    draws, counter = Draws(held, keys, 6), torch.zeros((), dtype=torch.int64)
    expected = drawn(Draws(held, keys, 6), 23)
    places = draws.rows.data_ptr(), draws.first_on_device.data_ptr()
    for step in range(23):
        draws.prepare(step)
        assert torch.equal(draws.batch(counter).rows, expected[step])
        counter += 1
    assert draws.chunk_steps == 5
    assert places == (draws.rows.data_ptr(), draws.first_on_device.data_ptr())


def test_a_chunk_may_begin_at_any_step(engine):
    """A pack that is made anew begins in the middle; its rows are those of the old one."""
    held, keys = pool([part(12), part(30, seed=1)], CPU), streams.keys([0, 1], "order")
    expected = drawn(Draws(held, keys, 7), 40)
    late = Draws(held.of([1]), keys[1:], 7)
    late.prepare(33)
    assert torch.equal(late.batch(33).rows[0], expected[33, 1])
    assert torch.equal(late.batch(39).rows[0], expected[39, 1])
    assert torch.equal(late.batch(torch.tensor(39)).rows[0], expected[39, 1])


def factors(rates, hidden, seeds, dtype=torch.float32):
    configs = [NetworkConfig(hidden=hidden, dropout=rate) for rate in rates]
    return dropout(configs, streams.keys(seeds, "dropout"), dtype)


def test_dropout_factors_are_zero_or_the_inverse_of_what_is_kept(engine):
    rates = (0.0, 0.25, 0.9)
    made = factors(rates, (8, 5), [0, 1, 2])(3, 4000)
    assert [f.shape for f in made] == [(3, 4000, 8), (3, 4000, 5)]
    for f in made:
        for k, rate in enumerate(rates):
            expected = torch.tensor([0.0, 1 / (1 - rate)] if rate else [1.0])
            torch.testing.assert_close(f[k].unique(), expected)
            sd = (rate / (1 - rate) / f[k].numel()) ** 0.5
            assert float(f[k].mean()) == pytest.approx(1, abs=5 * sd + 1e-6)


def test_dropout_differs_by_step_and_layer_but_not_by_company(engine):
    draw = factors([0.5] * 4, (8, 8), [0, 1, 2, 3])
    first, again, later = draw(0, 50), draw(0, 50), draw(1, 50)
    alone = factors([0.5], (8, 8), [2])(0, 50)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], later[0])
    assert not torch.equal(first[0][0], first[0][1])
    assert all(torch.equal(a[0], b[2]) for a, b in zip(alone, first, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dropout_is_the_same_by_either_engine_and_by_a_step_in_a_tensor(dtype):
    draw = factors([0.0, 0.1, 0.5, 0.99], (7, 5, 1), [0, 1, 2, 3], dtype)
    for step in (0, 1, 2, 63, 10**4, 10**9):
        fused, plain = by_both(lambda step=step: draw(step, 33))
        counted = draw(torch.tensor(step), 33)
        for a, b, c in zip(fused, plain, counted, strict=True):
            assert a.dtype == dtype
            assert torch.equal(a, b)
            assert torch.equal(a, c)


def test_steps_use_no_dropout_counter_twice():
    """Factors of neighbouring steps and layers lie side by side in one stream."""
    whole = streams.dropout(streams.keys([4], "dropout"), torch.tensor([0.5]), 0, 3 * 10 * 13)
    draw = factors([0.5], (8, 5), [4])
    made = [factor.flatten() for step in range(3) for factor in draw(step, 10)]
    assert torch.equal(torch.cat(made), whole[0])


def test_there_are_no_dropout_factors_where_no_member_drops():
    assert factors([0.0, 0.0], (4,), [0, 1])(0, 10) is None

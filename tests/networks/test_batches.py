"""Pools, batches and dropout: every row once an epoch, whatever the chunks, the company and the engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.classes import BatchRule
from bench.data.encode import Part
from bench.methods import metabalance, network
from bench.networks import batches, streams
from bench.networks.batches import Company, Draws, drawn_sides, dropout, pool
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


RULES = {
    "none": None,
    "balanced": BatchRule("balanced"),
    "under": BatchRule("random-under"),
    "under by half": BatchRule("random-under", 0.5),
    "over": BatchRule("random-over"),
    "over by half": BatchRule("random-over", 0.5),
    "as they are": BatchRule("random-over", 0.01),  # a ratio that the rows have already
}


def rare(n=200, seed=3):
    """Return a part of which a tenth is positive, anywhere among the rows."""
    made, rng = part(n, seed=seed), np.random.default_rng(seed)
    y = np.zeros(n, dtype=np.int8)
    y[rng.permutation(n)[: n // 10]] = 1
    return Part(made.rows, made.X, y)


def draws_of(parts, rules, seeds, config, names=("",)):
    """Return the draws of one pool of these members, as a network method makes them."""
    company = Company([config] * len(parts), seeds, [pool(parts, CPU, rules=rules)])
    return drawn_sides(company, names, (config.batch,))[0][0]


@pytest.mark.parametrize("batch", [2, 16, 24, 640])
def test_half_of_every_balanced_batch_is_of_either_class(batch, engine):
    config = network.Config(batch=batch)
    draws = draws_of([rare(), rare(50)], [RULES["balanced"]] * 2, [0, 1], config)
    for step in range(40):
        draws.prepare(step)
        assert (draws.batch(step).labels().sum(1) == batch / 2).all()


def test_a_balanced_batch_of_odd_length_has_one_row_more_of_either_class(engine):
    draws = draws_of([rare()], [RULES["balanced"]], [0], network.Config(batch=15))
    made = torch.stack([draws.batch(step).labels().sum() for step in range(100) if not draws.prepare(step)])
    assert made.unique().tolist() == [7, 8]
    assert float(made.sum()) == 750


def test_half_of_every_batch_of_every_pair_is_of_either_class(engine):
    """Inner and outer rows are drawn apart from one another."""
    config = metabalance.Config(pairs=5, inner_batch=6, outer_batch=4)
    sides = [pool([rare()] * 2, CPU, rules=[rule] * 2) for rule in (RULES["none"], RULES["balanced"])]
    company = Company([config] * 2, [0, 1], sides)
    (inner, outer), _ = drawn_sides(company, ("inner ", "outer "), (6, 4), each=5)
    for step in range(30):
        for draws in (inner, outer):
            draws.prepare(step)
        assert (outer.batch(step).labels().view(2, 5, 4).sum(2) == 2).all()
    assert inner.batch(0).rows.shape == (2, 30)


@pytest.mark.parametrize(
    ("name", "negatives", "positives"),
    [("under", 20, 20), ("under by half", 40, 20), ("over", 180, 180), ("over by half", 180, 90)],
)
def test_an_epoch_holds_all_rows_of_one_class_and_others_of_the_other_each_time(
    name, negatives, positives, engine
):
    rows, config = rare(), network.Config(batch=10)
    held = pool([rows], CPU, rules=[RULES[name]])
    assert (held.size.tolist(), held.counts) == ([negatives + positives], ((negatives, positives),))
    draws, steps = draws_of([rows], [RULES[name]], [4], config), (negatives + positives) // 10
    epochs = drawn(draws, 9 * steps).view(9, -1).numpy()
    seen = np.zeros(200, dtype=int)
    for epoch in epochs:
        labels = rows.labels[epoch]
        assert np.bincount(labels).tolist() == [negatives, positives]
        seen += np.bincount(epoch, minlength=200)
        for label in (0, 1):
            assert np.ptp(seen[rows.labels == label]) <= 1, (
                "no row comes twice more than another of its class"
            )
    whole = 1 if "under" in name else 0
    assert all(
        np.array_equal(np.unique(e[rows.labels[e] == whole]), np.flatnonzero(rows.labels == whole))
        for e in epochs
    )
    if "under" in name:
        assert not np.array_equal(np.sort(epochs[0]), np.sort(epochs[1])), "other rows of the larger class"
    assert not np.array_equal(rows.labels[epochs[0]], rows.labels[epochs[1]]), "in an order of its own"


def test_a_balanced_epoch_is_as_long_as_the_rows_and_half_of_either_class():
    held = pool([rare()], CPU, rules=[RULES["balanced"]])
    assert (held.size.tolist(), held.counts) == ([200], ((100, 100),))


def test_rules_do_not_depend_on_chunks_company_or_engine_and_leave_others_alone(monkeypatch):
    """A member's rows are the same alone, among members of every rule, in a pool of many parts, and when these left."""
    rows, config = rare(), network.Config(batch=50)
    crowd = [rare(60 + k, seed=k) for k in range(len(RULES))]

    def both():
        found = {}
        for i, rule in enumerate(RULES.values()):
            alone = drawn(draws_of([rows], [rule], [5], config), 80)[:, 0]
            parts, rules, seeds = [*crowd, rows], [*RULES.values(), rule], [*range(len(RULES)), 5]
            among = draws_of(parts, rules, seeds, config)
            company = Company([config] * len(parts), seeds, [pool(parts, CPU, rules=rules)]).of(
                [len(parts) - 1, 0]
            )
            left = drawn_sides(company, ("",), (50,))[0][0]
            first = int(among.pool.start[-1])
            found[i] = [alone, drawn(among, 80)[:, -1] - first, drawn(left, 80)[:, 0] - first]
        return found

    fused, plain = by_both(both)
    for i in fused:
        assert all(torch.equal(each, fused[i][0]) for each in (*fused[i], *plain[i]))
    assert torch.equal(fused[0][0], drawn(Draws(pool([rows], CPU), streams.keys([5], "order"), 50), 80)[:, 0])
    assert torch.equal(fused[0][0], fused[len(RULES) - 1][0]), "rows that have the ratio come as they are"
    monkeypatch.setattr(batches, "CHUNK", 7 * 50 + 49)
    for i, rule in enumerate(RULES.values()):
        assert torch.equal(drawn(draws_of([rows], [rule], [5], config), 80)[:, 0], fused[i][0])


@pytest.mark.parametrize("name", ["balanced", "under", "over"])
def test_seeds_and_sides_draw_by_a_rule_apart(name):
    rows, config = rare(), network.Config(batch=50)
    made = draws_of([rows, rows], [RULES[name]] * 2, [0, 1], config)
    other = draws_of([rows], [RULES[name]], [0], config, names=("outer ",))
    first, second, third = *drawn(made, 4).transpose(0, 1), drawn(other, 4)[:, 0]
    assert not torch.equal(first, second)
    assert not torch.equal(first, third)


def test_a_batch_of_a_rule_holds_the_rows_and_labels_of_its_own_part(engine):
    parts, config = [rare(), rare(50, seed=1)], network.Config(batch=10)
    draws = draws_of(parts, [RULES["balanced"], RULES["over"]], [0, 1], config)
    draws.prepare(0)
    batch = draws.batch(0)
    for k, own in enumerate(parts):
        x, y = batch.features()[k].numpy(), batch.labels()[k].numpy()
        rows = x[:, 0].astype(int)
        assert np.array_equal(x, own.X[rows])
        assert np.array_equal(y, own.labels[rows])


def test_rules_draw_on_where_epochs_are_counted():
    """A plain epoch ends in a whole batch, filled up with its own rows; by a rule the next epoch's rows come."""
    rows = rare()
    counted, plain = (
        drawn(draws_of([rows], [RULES["under"]], [0], network.Config(batch=24, **epochs)), 20)
        for epochs in ({"epochs": 3}, {})
    )
    assert torch.equal(counted, plain)


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

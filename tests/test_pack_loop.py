"""The training loop: pools, batches, dropout, early stopping, and what a member is left with."""

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
from bench.pack.loop import PAD, Draws, NetworkConfig, dropout_factors, padded, pool, train
from bench.pack.network import initialise
from bench.splits import PROTOCOLS, split

CPU = torch.device("cpu")


@cache
def encoded():
    table = tables.load(card("loan-sim"), rows=1500)
    return encode(table, split(table, PROTOCOLS["strict"])[0])


def part(n, d=3, seed=0):
    """Return a part whose first feature is the row's number."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(np.float32)
    X[:, 0] = np.arange(n)
    y = (rng.random(n) < 0.4).astype(np.int8)
    y[:2] = 0, 1
    return Part(np.arange(n), X, y)


def quiet(step, steps):
    """Report progress to nobody."""


def test_a_pool_holds_each_distinct_part_once():
    small, large = part(5), part(9, seed=1)
    held = pool([large, small, large, large], CPU)
    assert held.X.shape == (14, 3)
    assert held.size.tolist() == [9, 5, 9, 9]
    for k, member in enumerate((large, small, large, large)):
        rows = slice(int(held.start[k]), int(held.start[k] + held.size[k]))
        assert np.array_equal(held.X[rows].numpy(), member.X)
        assert np.array_equal(held.y[rows].numpy(), member.labels)
        assert float(held.positives()[k]) == member.labels.sum()


def test_an_epoch_of_batches_holds_every_row_once_with_its_label():
    parts = [part(12), part(30, seed=1)]
    draws = Draws(pool(parts, CPU), streams.keys([0, 1], "order"), 6)
    drawn = [draws.batch(step) for step in range(10)]
    for k, member in enumerate(parts):
        steps = len(member.X) // 6
        for epoch in range(10 // steps):
            made = drawn[epoch * steps : (epoch + 1) * steps]
            x, y = (torch.cat([batch[i][k] for batch in made]).numpy() for i in (0, 1))
            rows = x[:, 0].astype(int)
            assert sorted(rows) == list(range(len(member.X)))
            assert np.array_equal(x, member.X[rows])
            assert np.array_equal(y, member.labels[rows])


def test_batches_do_not_depend_on_chunks_or_company():
    """A pack of 150 members draws in chunks of 34 steps, a lone member in chunks of thousands."""
    mine = part(37)
    crowd = [part(20 + k, seed=k) for k in range(149)]
    alone = Draws(pool([mine], CPU), streams.keys([5], "order"), 50)
    among = Draws(pool([*crowd, mine], CPU), streams.keys([*range(10, 159), 5], "order"), 50)
    assert among.chunk_steps < 80 < alone.chunk_steps
    for step in range(80):
        for a, b in zip(alone.batch(step), among.batch(step), strict=True):
            assert torch.equal(a[0], b[-1])


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 17])
def test_padding_appends_copies_of_the_first_up_to_a_multiple(n):
    members = [object() for _ in range(n)]
    found = padded(members)
    assert len(found) % PAD == 0
    assert len(found) - n < PAD
    assert found[:n] == members
    assert all(extra is members[0] for extra in found[n:])


def test_dropout_factors_are_zero_or_the_inverse_of_what_is_kept():
    rates = (0.0, 0.25, 0.9)
    configs = [NetworkConfig(hidden=(8, 5), dropout=rate) for rate in rates]
    draw = dropout_factors(configs, streams.keys([0, 1, 2], "dropout"))
    factors = draw(3, 4000)
    assert [f.shape for f in factors] == [(3, 4000, 8), (3, 4000, 5)]
    for f in factors:
        for k, rate in enumerate(rates):
            expected = torch.tensor([0.0, 1 / (1 - rate)] if rate else [1.0])
            torch.testing.assert_close(f[k].unique(), expected)
            sd = (rate / (1 - rate) / f[k].numel()) ** 0.5
            assert float(f[k].mean()) == pytest.approx(1, abs=5 * sd + 1e-6)


def test_dropout_differs_by_step_and_layer_but_not_by_company():
    configs = [NetworkConfig(hidden=(8, 8), dropout=0.5) for _ in range(4)]
    draw = dropout_factors(configs, streams.keys([0, 1, 2, 3], "dropout"))
    first, again, later = draw(0, 50), draw(0, 50), draw(1, 50)
    alone = dropout_factors(configs[:1], streams.keys([2], "dropout"))(0, 50)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], later[0])
    assert not torch.equal(first[0][0], first[0][1])
    assert all(torch.equal(a[0], b[2]) for a, b in zip(alone, first, strict=True))


def test_there_are_no_dropout_factors_where_no_member_drops():
    configs = [NetworkConfig(hidden=(4,))] * 2
    assert dropout_factors(configs, streams.keys([0, 1], "dropout"))(0, 10) is None


def untouched(parameters, step):
    return [torch.zeros_like(p) for p in parameters]


def test_a_tie_keeps_the_earlier_step_and_patience_ends_training():
    """A gradient of zero without decay scores the same for ever: the first scoring stays the best."""
    config = NetworkConfig(hidden=(4,), steps=100, evaluations=20, patience=3, weight_decay=0.0)
    calls = []
    valid = [part(40)] * 8
    trained = train(
        [config] * 8, range(8), valid, untouched, device=CPU, progress=lambda *step: calls.append(step)
    )
    assert [(t.best_step, t.steps) for t in trained] == [(5, 20)] * 8
    assert calls == [(5, 100), (10, 100), (15, 100), (20, 100)]
    start = initialise(streams.keys(list(range(8)), "init"), (3, 4, 1))
    for k, one in enumerate(trained):
        assert all(torch.equal(mine[0], first[k]) for mine, first in zip(one.layers, start, strict=True))


def test_the_last_step_is_scored_even_between_two_evaluations():
    config = NetworkConfig(hidden=(4,), steps=7, evaluations=2, patience=50)
    steps = []
    train(
        [config] * 8,
        range(8),
        [part(40)] * 8,
        untouched,
        device=CPU,
        progress=lambda step, _: steps.append(step),
    )
    assert steps == [4, 7]


def test_a_member_that_diverges_leaves_the_others_alone():
    """Its logits are no numbers: it is scored −1, and the seven others train as ever."""
    config = NetworkConfig(hidden=(4,), steps=20, evaluations=4, weight_decay=0.0)

    def shrink(parameters, step):
        return [p.clone() for p in parameters]

    def diverge(parameters, step):
        slopes = shrink(parameters, step)
        for slope in slopes:
            slope[3] = torch.nan
        return slopes

    def layers_of(gradient):
        return train([config] * 8, range(8), [part(40)] * 8, gradient, device=CPU, progress=quiet)

    for k, (one, other) in enumerate(zip(layers_of(diverge), layers_of(shrink), strict=True)):
        same = all(torch.equal(a, b) for a, b in zip(one.layers, other.layers, strict=True))
        assert same == (k != 3)


EVERY, SCORINGS = 4, 15


def fit(configs, seeds):
    members = [Member(c, s, (encoded().train,), encoded().valid) for c, s in zip(configs, seeds, strict=True)]
    return method("network").fit(members, CPU, quiet)


@cache
def courses(lrs):
    """Return each member's validation average precision at every scoring, by training just that far."""
    scored = []
    for j in range(1, SCORINGS + 1):
        configs = [config(lr, steps=EVERY * j, evaluations=1) for lr in lrs]
        fitted = fit(configs, range(len(lrs)))
        assert [f.best_step for f in fitted] == [EVERY * j] * len(lrs)
        y = encoded().valid.labels
        scored.append([average_precision(y, f.predict(encoded().valid)) for f in fitted])
    return np.array(scored).T


def config(lr, **budget):
    return method("network").Config(hidden=(7,), lr=lr, weight_decay=0.01, batch=48, **budget)


@pytest.mark.parametrize("patience", [1, 3, 100])
def test_the_best_step_is_that_of_the_highest_validation_average_precision(patience):
    """Each member stops `patience` scorings after its best one, whenever the others stop."""
    lrs = (0.3, 0.1, 0.03, 0.01, 0.003, 0.0003)
    configs = [config(lr, steps=EVERY * SCORINGS, evaluations=SCORINGS, patience=patience) for lr in lrs]
    fitted = fit(configs, range(len(lrs)))
    for course, one in zip(courses(lrs), fitted, strict=True):
        best = stopped = 0
        for j, score in enumerate(course):
            best = j if j == 0 or score > course[best] else best
            stopped = j
            if j - best == patience:
                break
        assert (one.best_step, one.steps) == (EVERY * (best + 1), EVERY * (stopped + 1))
        assert one.best_step == EVERY * (int(np.argmax(course[: stopped + 1])) + 1)
        assert average_precision(encoded().valid.labels, one.predict(encoded().valid)) == course[best]
        assert one.samples_seen == one.steps * 48
    if patience < 100:
        assert len({one.steps for one in fitted}) > 1
    else:
        assert {one.steps for one in fitted} == {EVERY * SCORINGS}


def test_metabalance_counts_the_rows_of_both_batches():
    chosen = method("metabalance").Config(
        hidden=(3,), steps=6, evaluations=2, pairs=3, inner_batch=7, outer_batch=5
    )
    member = Member(chosen, 0, (encoded().train, encoded().train), encoded().valid)
    (fitted,) = method("metabalance").fit([member], CPU, quiet)
    assert fitted.samples_seen == 6 * 3 * (7 + 5)


def test_a_test_parts_labels_are_out_of_reach():
    with pytest.raises(AttributeError, match="only the runner"):
        _ = encoded().test.labels

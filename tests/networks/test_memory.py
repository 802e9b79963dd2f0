"""How many members a device's memory is said to hold."""

from __future__ import annotations

import pytest

from bench.methods import method
from bench.networks.memory import MOST, SHARE, fitting_members, member_bytes

FRAUD = {"hidden": (16, 24, 20, 24)}


def config(name, **settings):
    return method(name).config(**{**FRAUD, **settings})


def test_a_members_bytes_are_those_of_its_weights_and_rows_by_hand():
    """One hidden layer of 3 on 2 inputs: 13 weights, twice (the pair and the network); 4 rows of 6 numbers."""
    meta = method("metabalance").config(hidden=(3,), pairs=1, inner_batch=3, outer_batch=1)
    assert member_bytes(meta, 2) == 4 * (8 * 2 * 13 + 12 * 4 * 6)
    assert member_bytes(meta.model_copy(update={"dtype": "float64"}), 2) == 2 * member_bytes(meta, 2)


@pytest.mark.parametrize("name", ["network", "metabalance", "meta-weight-net"])
def test_wider_layers_and_more_features_take_more(name):
    plain = member_bytes(config(name), 29)
    assert member_bytes(config(name), 30) > plain
    assert member_bytes(config(name, hidden=(16, 24, 20, 25)), 29) > plain


def test_more_pairs_take_more_though_the_rows_are_as_many():
    few, many = (config("metabalance", pairs=n, inner_batch=160 // n, outer_batch=80 // n) for n in (1, 80))
    assert few.rows_per_step == many.rows_per_step
    assert member_bytes(many, 29) > member_bytes(few, 29)


@pytest.mark.parametrize("free", [0, 10**6, 10**9, 80 * 10**9, 10**15])
def test_members_that_fit_are_whole_blocks_within_the_share_and_at_least_one(free):
    chosen = config("metabalance", pairs=81)
    found = fitting_members(chosen, 29, free)
    assert found % 64 == 0
    assert 64 <= found <= MOST
    if found > 64:
        assert found * member_bytes(chosen, 29) <= SHARE * free
    if found < MOST:
        assert (found + 64) * member_bytes(chosen, 29) > SHARE * free

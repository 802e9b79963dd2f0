"""From members to trained networks: a method brings its steps, this module the rest.

A run that may choose its learning rate is several members of the pack; the best on validation is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from bench.contract import Fitted, Member, Progress
from bench.networks import streams
from bench.networks.batches import Company, dropout, pool
from bench.networks.compiled.kernel import engine
from bench.networks.config import NetworkConfig, check_validation, dtype_of
from bench.networks.loop import Steps, Trained, train
from bench.networks.tensors import Keep, Step

Configured = TypeVar("Configured", bound=NetworkConfig)


def fit_pack(
    members: Sequence[Member], make: Callable[[Company], Steps], device: torch.device, progress: Progress
) -> list[Fitted]:
    """Train the members as one pack, with the steps that `make` makes for a company.

    Raises BadSetting where a choice on validation is asked for and there are no rows to make it on.
    """
    if not all(len(member.valid.X) for member in members):
        check_validation(members[0].config, "The arm", "its protocol")
    runs, members = members, [attempt for member in members for attempt in _tries(member)]
    configs = [member.config for member in members]
    sides = zip(*(member.pools for member in members), strict=True)
    rules = zip(*(member.rules or (None,) * len(member.pools) for member in members), strict=True)
    pools = [
        pool(parts, device, dtype_of(configs[0]), of_parts)
        for parts, of_parts in zip(sides, rules, strict=True)
    ]
    everyone = Company(configs, [member.seed for member in members], pools)
    trained = train(
        configs,
        everyone.seeds,
        [member.valid for member in members],
        lambda places: make(everyone.of(places)),
        budgets=everyone.budgets,
        device=device,
        progress=progress,
    )
    per_run = len(members) // len(runs)
    return [
        _chosen(members[first : first + per_run], trained[first : first + per_run], device)
        for first in range(0, len(members), per_run)
    ]


def _tries(member: Member) -> list[Member]:
    """Return the member once for each learning rate that it may choose from."""
    rates = member.config.search_lr or (member.config.lr,)
    return [replace(member, config=member.config.model_copy(update={"lr": rate})) for rate in rates]


def _chosen(tries: Sequence[Member], trained: Sequence[Trained], device: torch.device) -> Fitted:
    """Return the best of one run's tries on validation, the first among equals; all rows seen count."""
    at = int(np.argmax([outcome.score for outcome in trained]))
    member, best = tries[at], trained[at]
    config = member.config
    return Fitted(
        partial(best.predict, keep=_left_on(member)),
        best.steps,
        best.best_step,
        sum(outcome.steps for outcome in trained) * config.rows_per_step,
        {"lr": config.lr} if config.search_lr else {},
        device=device.type,
        engine=engine(device.type, len(config.hidden) + 1, dtype_of(config)),
        threads=1,
        first_step=best.first if config.keep == "best" else None,
        last_step=best.last if config.keep == "best" else None,
    )


def _left_on(member: Member) -> Callable[[Step, int], Keep] | None:
    """Return the dropout that stays on when the member scores rows; None where it is off."""
    if not member.config.test_dropout:
        return None
    key = streams.keys([member.seed], "test dropout")
    return dropout([member.config], key, dtype_of(member.config))


def at_best_step(config: Configured, fitted: Fitted, more: float) -> Configured:
    """Return the configuration that trains as many steps as were best, times `more`, at the rate that was chosen.

    It chooses nothing more, and keeps its last state. As many times the rows in as many times the steps are as many
    passes over them.
    """
    chosen = {"lr": fitted.selected["lr"]} if "lr" in fitted.selected else {}
    steps = max(1, round(fitted.best_step * more))
    return config.model_copy(
        update={"steps": steps, "epochs": None, "keep": "last", "search_lr": (), **chosen}
    )

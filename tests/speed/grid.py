"""What the published grid of MetaBalance costs: the engine on a core and, where there is one, on a GPU.

On the fraud network the paper's code searched sampler pairs and learning rates with runs of 100 epochs of the
outer rows. Here all 121 pairs, five rates and five seeds are counted, and what they would take is projected from a
slice of updates of second order, in wall-clock seconds.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from bench.data.encode import Part
from bench.networks.memory import fitting_members, free_bytes
from tests.speed import engine
from tests.speed.measure import Contender, Effort, Tell, race
from tests.speed.nets import META, NETS
from tests.speed.rows import Row, timed

ONE_CORE = "bench, one core"
CPU_MEMBERS = 64
EPOCHS, RATES, SEEDS = 100, 5, 5
# What each sampler makes of 394 positives in 227,845 training rows, as the outer set: the rows as they are and
# AllKNN's, six that even the classes out by more rows, three by fewer.
OUTER_ROWS = (*(227_845,) * 2, *(2 * 227_451,) * 6, *(2 * 394,) * 3)


def updates_of_the_grid() -> int:
    """Return how many updates the grid's 3,025 runs make."""
    per_inner = sum(EPOCHS * -(-rows // META.outer) // META.pairs for rows in OUTER_ROWS)
    return per_inner * len(OUTER_ROWS) * RATES * SEEDS


def grid(effort: Effort, tell: Tell) -> list[Row]:
    """Time updates on one core and on a GPU with as many members as it holds; project the grid's hours."""
    net, effort = NETS[0], replace(effort, clock="wall")
    part = engine.synthetic(net, 8_000 if effort.quick else net.rows)
    members = max(effort.members) if effort.quick else CPU_MEMBERS
    ours = [replace(engine.metabalance(net, part, members, 2, whole_chunks=False), name=ONE_CORE)]
    if torch.cuda.is_available():
        ours.append(_on_gpu(part))
    rows = []
    timings = race(ours, effort, tell)
    for c, timing in zip(ours, timings, strict=True):
        hours = updates_of_the_grid() * timing.median / 3600
        row = Row("grid", net.title, c.name, engine=True, members=c.members, order=2)
        note = f"{c.members} members; {updates_of_the_grid():,} updates would take {hours:,.1f} h"
        rows.append(timed(replace(row, note=note), timing, {ONE_CORE: timings[0]}))
    if len(ours) == 1:
        rows.append(Row("grid", net.title, "bench, a GPU", note="no CUDA device here"))
    return rows


def _on_gpu(part: Part) -> Contender:
    net, device = NETS[0], torch.device("cuda")
    config = engine.config("metabalance", net, 1, engine.meta_settings(2))
    K = fitting_members(config, net.inputs, free_bytes("cuda"))
    made = engine.metabalance(net, part, K, 2, whole_chunks=False, device=device)

    def run(n: int) -> None:
        made.run(n)
        torch.cuda.synchronize()

    return replace(made, run=run, name=f"bench, {torch.cuda.get_device_name()}")

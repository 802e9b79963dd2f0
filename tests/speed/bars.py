"""The ratios that the engine is held to, and what a run measured of them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.speed.grid import ONE_CORE
from tests.speed.peers import AUTHORS, HIGHER
from tests.speed.published import AUTHORS as AUTHORS_WAY
from tests.speed.rows import Bar, Row
from tests.speed.steps import LOADER, SHU
from tests.speed.workers import ONE

PACK = 64  # the members for which plain training and Meta-Weight-Net are judged


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Return every bar; what the rows do not hold is not measured."""
    return [
        _best("fraud: MetaBalance, second order, best K, × authors' loop", 25, rows, "fraud", AUTHORS),
        _best("fraud: MetaBalance, second order, best K, × higher", 70, rows, "fraud", HIGHER),
        _best("loan: MetaBalance, second order, best K, × authors' loop", 35, rows, "loan", AUTHORS),
        _at("fraud: plain step, K = 64, × DataLoader loop", 27, rows, "fraud", LOADER),
        _at("loan: plain step, K = 64, × DataLoader loop", 60, rows, "loan", LOADER),
        _at("fraud: Meta-Weight-Net step, K = 64, × Shu et al.'s loop", 50, rows, "fraud", SHU),
        _at("loan: Meta-Weight-Net step, K = 64, × Shu et al.'s loop", 50, rows, "loan", SHU),
        _end_to_end(rows),
        _first("fraud: a GPU, MetaBalance, second order, × one core", 100, rows, ONE_CORE),
        _first("two workers × one", 1.8, rows, ONE),
    ]


def _rows_against(rows: Sequence[Row], net: str, peer: str) -> list[Row]:
    return [row for row in rows if row.net.startswith(net) and peer in row.ratios]


def _best(name: str, target: float, rows: Sequence[Row], net: str, peer: str) -> Bar:
    found = {row.members: row.ratios[peer] for row in _rows_against(rows, net, peer) if row.order == 2}
    shown = ", ".join(f"K = {K}: {ratio:.1f}" for K, ratio in found.items())
    return Bar(name, target, max(found.values(), default=None), shown)


def _at(name: str, target: float, rows: Sequence[Row], net: str, peer: str) -> Bar:
    found = {row.members: row.ratios[peer] for row in _rows_against(rows, net, peer)}
    return Bar(name, target, found.get(PACK))


def _end_to_end(rows: Sequence[Row]) -> Bar:
    """Judge the exact second order, which does more than the peer; the first order is told beside it."""
    found = {row.order: row for row in rows if AUTHORS_WAY in row.ratios}
    if not found:
        return Bar("loan: one published run, second order, × authors' way", 45, None)
    detail = f"first order: {found[1].ratios[AUTHORS_WAY]:.1f}; {found[2].name}"
    return Bar(
        "loan: one published run, second order, × authors' way", 45, found[2].ratios[AUTHORS_WAY], detail
    )


def _first(name: str, target: float, rows: Sequence[Row], peer: str) -> Bar:
    found = [row for row in rows if peer in row.ratios and row.name != peer]
    return Bar(name, target, found[0].ratios[peer], found[0].note) if found else Bar(name, target, None)

"""What was measured, as rows and bars, and how they are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from tests.speed.measure import Timing

TITLES = {
    "metabalance": "MetaBalance: an update of 81 pairs, 24 inner and 16 outer rows",
    "plain": "Plain training: a step of 24 rows",
    "meta-weight-net": "Meta-Weight-Net: a step of 24 training and 24 meta rows",
    "end-to-end": "End to end: one published MetaBalance run and its predictions",
    "grid": "The published grid on fraud: 121 pairs × 5 rates × 5 seeds; an update of second order, wall-clock",
    "workers": "Workers: one run of loan-sim, in wall-clock seconds",
}


@dataclass(frozen=True)
class Row:
    """One contender of one section; `seconds` per update and network, None where it could not be timed.

    `low` and `high` are the fastest and slowest round, `whole` includes a run's setting-up, `flop` is what
    one update takes (see `tests.speed.nets`) and `share_of_peak` how near that is to the measured
    matrix-product peak; `ratios` say how many times faster than each peer it is.
    """

    section: str
    net: str
    name: str
    engine: bool = False
    members: int = 1
    order: int | None = None
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    whole: float | None = None
    flop: int | None = None
    share_of_peak: float | None = None
    ratios: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """A ratio that the engine is held to; `measured` is None where this run did not measure it."""

    name: str
    target: float
    measured: float | None
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where it was not measured."""
        return None if self.measured is None else self.measured >= self.target


def timed(row: Row, timing: Timing, peers: Mapping[str, Timing] | None = None) -> Row:
    """Return the row with its timing, and its ratios to the peers."""
    return replace(
        row,
        seconds=timing.median,
        low=min(timing.seconds),
        high=max(timing.seconds),
        whole=median(timing.whole),
        ratios={name: timing.faster_than(peer) for name, peer in (peers or {}).items()},
    )


def as_json(rows: Sequence[Row], bars: Sequence[Bar]) -> dict[str, Any]:
    """Return rows and bars as lists of dictionaries."""
    return {
        "rows": [asdict(row) for row in rows],
        "bars": [{**asdict(bar), "met": bar.met} for bar in bars],
    }


def as_text(rows: Sequence[Row], bars: Sequence[Bar]) -> str:
    """Return one table per section and network, and the bars."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.section, row.net), []).append(row)
    parts = [f"{TITLES[section]}; {net}\n{_table(group)}" for (section, net), group in groups.items()]
    if bars:
        head = ["bar", "target", "measured", "met", ""]
        parts.append(_aligned([head, *(_bar_cells(bar) for bar in bars)]))
    return "\n\n".join(parts)


def _bar_cells(bar: Bar) -> list[str]:
    measured = "not measured" if bar.measured is None else f"{bar.measured:.1f}×"
    met = {None: "", True: "yes", False: "NO"}[bar.met]
    return [bar.name, f"≥ {bar.target:g}×", measured, met, bar.detail]


def _table(rows: Sequence[Row]) -> str:
    peers = list(dict.fromkeys(name for row in rows for name in row.ratios))
    scale, unit = _unit([row.seconds for row in rows if row.seconds])
    head = [
        "",
        "order",
        unit,
        "fastest–slowest",
        "with start",
        "of peak",
        *(f"× {name}" for name in peers),
        "",
    ]
    lines = []
    for row in rows:
        order = str(row.order or "")
        if row.seconds is None:
            lines.append([row.name, order, "", "", "", "", *("" for _ in peers), row.note])
            continue
        share = "" if row.share_of_peak is None else f"{row.share_of_peak:.1%}"
        spread = f"{(row.low or 0) * scale:.4g}–{(row.high or 0) * scale:.4g}"
        whole = f"{(row.whole or 0) * scale:.4g}" if row.engine else ""
        ratios = [f"{row.ratios[name]:.1f}" if name in row.ratios else "" for name in peers]
        lines.append([row.name, order, f"{row.seconds * scale:.4g}", spread, whole, share, *ratios, row.note])
    return _aligned([head, *lines])


def _unit(seconds: Sequence[float]) -> tuple[float, str]:
    for scale, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds and max(seconds) * scale >= 1.0:
            return scale, unit
    return 1e6, "µs"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return the lines with columns of equal width; the first and last to the left, empty ones left out."""
    columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    first, last = columns[0], columns[-1]
    made = []
    for cells in zip(*columns, strict=True):
        words = [
            cell.ljust(width) if column in (first, last) else cell.rjust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        ]
        made.append("  " + "  ".join(words).rstrip())
    return "\n".join(made)

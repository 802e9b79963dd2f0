"""The intervals that are held against each other, and how often each holds the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from bench.stats.bootstrap import Replicates
from bench.stats.corrected import corrected_t
from bench.stats.inference import difference, summarise
from bench.stats.sums import Floats
from tests.coverage.tables import FOLDS, NAMES, Design, draw, replicates

POSITIVES, REPEATS, RATIOS = (20, 50, 100, 200, 500), (1, 5), (0.0, 0.1, 0.25, 0.5, 1.0)
KINDS = ("one arm", "a difference")
OF_ARMS = "t and rows"  # the rule that is not used for differences
PLACES = [*product(*map(range, (len(KINDS), len(NAMES), len(RATIOS))))]
PILOT, BLOCK = (
    300,
    20,
)  # at most so many tables for the size of the noise of rows; tables that a process takes at once
DRAWS = 2000

Interval = tuple[float, float]


def _two_level(reps: Replicates, name: str) -> Interval:
    """Return the bootstrap of runs and rows, the interval of arms until December 2026."""
    nothing = Replicates(
        reps.runs,
        {name: np.zeros_like(reps.points[name])},
        {name: np.zeros_like(reps.values[name])},
        reps.resamples,
    )
    ends, mean = difference(reps, nothing, name, draws=DRAWS), float(np.mean(reps.points[name]))
    return min(ends.lo, mean), max(ends.hi, mean)


def _fold_aware(reps: Replicates, name: str) -> Interval:
    summary = summarise(reps, (name,))[name]
    return summary.lo, summary.hi


def _corrected_t(reps: Replicates, name: str) -> Interval:
    by_fold = {fold: float(point) for (fold, _), point in zip(reps.runs, reps.points[name], strict=True)}
    found = corrected_t(by_fold, 1 / (FOLDS - 1))
    return found.lo, found.hi


RULES: Mapping[str, Callable[[Replicates, str], Interval]] = {
    "bootstrap": _two_level,
    OF_ARMS: _fold_aware,
    "corrected t": _corrected_t,
}


@dataclass(frozen=True)
class Cell:
    """How often the rules hold the truth over so many tables, and how wide they are, in the order of `RULES`."""

    design: Design
    kind: str
    metric: str
    ratio: float
    coverage: tuple[float, ...]
    width: tuple[float, ...]


def cells(tables: int, workers: int, shared: float, tell: Callable[[str], None]) -> Iterator[Cell]:
    """Yield every cell: designs, arms or differences, metrics, ratios of fold noise to row noise."""
    with ProcessPoolExecutor(workers) as pool:
        for repeats, positives in product(REPEATS, POSITIVES):
            tell(f"{repeats} x {FOLDS} folds, {positives} positives")
            yield from _of_design(Design(positives, repeats), tables, shared, pool)


def _of_design(design: Design, tables: int, shared: float, pool: ProcessPoolExecutor) -> Iterator[Cell]:
    pilots = list(pool.map(partial(_points, design), range(-min(PILOT, 3 * tables), 0), chunksize=BLOCK))
    values = np.stack(pilots)  # (table, kind, fold, metric)
    sizes, truth = np.std(values, axis=(0, 2)), np.mean(values, axis=(0, 2))
    truth[1] = 0  # two arms of one kind
    work = partial(_intervals, design, sizes, shared)
    # (table, kind, metric, ratio, rule, 2)
    found = np.stack(list(pool.map(work, range(tables), chunksize=BLOCK)))
    # The tables themselves say most of what the mean over folds is expected to be; their fold noise is 0 on average.
    middle = np.stack(list(pool.map(partial(_points, design), range(tables), chunksize=BLOCK)))
    truth[0] = np.mean(np.concatenate((values, middle))[:, 0], axis=(0, 1))
    for k, m, r in PLACES:
        lo, hi = np.moveaxis(found[:, k, m, r], -1, 0)
        held = np.mean(np.where(np.isnan(lo), np.nan, (lo <= truth[k, m]) & (truth[k, m] <= hi)), axis=0)
        width = np.mean(hi - lo, axis=0)
        yield Cell(design, KINDS[k], NAMES[m], RATIOS[r], tuple(held.tolist()), tuple(width.tolist()))


def _points(design: Design, number: int) -> Floats:
    """Return what a table's first arm, and the difference of both, measure on its folds: (kind, fold, metric)."""
    points = draw(design, number % 10**6, resamples=design.repeats * FOLDS).points
    return np.stack((points[0], points[0] - points[1]))


def _intervals(design: Design, sizes: Floats, shared: float, number: int) -> Floats:
    """Return every rule's interval for a table: (kind, metric, ratio, rule, 2)."""
    drawn = draw(design, number)
    kinds = [(of[0], of[0] - of[1]) for of in (drawn.points, drawn.noise)]
    rng = np.random.default_rng([12, number])
    out = np.full((len(KINDS), len(NAMES), len(RATIOS), len(RULES), 2), np.nan)
    for k, m, r in PLACES:
        points, noise = (by_kind[k][:, m] for by_kind in kinds)
        of_folds = np.sqrt(1 - shared) * rng.normal(size=len(points)) + np.sqrt(shared) * rng.normal()
        reps = replicates(design, points + RATIOS[r] * sizes[k, m] * of_folds, noise, NAMES[m])
        rules = [rule for name, rule in RULES.items() if k == 0 or name != OF_ARMS]
        out[k, m, r, [k == 0 or name != OF_ARMS for name in RULES]] = [rule(reps, NAMES[m]) for rule in rules]
    return out


def tables_of(found: Sequence[Cell]) -> list[tuple[str, list[list[str]]]]:
    """Return what was found as two tables, of coverages and of widths: a title, and rows with a head."""
    head = ["folds", "interval of", "metric", "positives", *(f"ratio {ratio:g}" for ratio in RATIOS)]
    order = dict.fromkeys(
        (cell.design.repeats, cell.kind, cell.metric, cell.design.positives) for cell in found
    )
    numbers = {
        "Coverage in percent": lambda cell: _text(f"{100 * share:.1f}" for share in cell.coverage),
        "Mean width": lambda cell: _text(f"{width:.3f}".lstrip("0") for width in cell.width),
    }
    out = []
    for title, text in numbers.items():
        rows = []
        for place in sorted(order, key=lambda key: (key[0], KINDS.index(key[1]), key[2], key[3])):
            of_row = [c for c in found if (c.design.repeats, c.kind, c.metric, c.design.positives) == place]
            words = [
                f"{place[0]} × {FOLDS}",
                place[1],
                "AP" if place[2] == NAMES[0] else "ROC-AUC",
                str(place[3]),
            ]
            rows.append([*words, *map(text, of_row)])
        out.append((f"{title}: {' / '.join(RULES)}", [head, *rows]))
    return out


def _text(numbers: Iterable[str]) -> str:
    return " / ".join("–" if number == "nan" else number for number in numbers)

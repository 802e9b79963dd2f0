"""What there is, as rows to list: every registry by its kind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.contract import Method

ListRow = dict[str, object]
Listed = Literal[
    "datasets",
    "suites",
    "arms",
    "methods",
    "samplers",
    "losses",
    "metrics",
    "protocols",
    "matrices",
    "engines",
]


def catalogue(kind: str) -> list[ListRow]:
    """Return one dict per entry of the kind, `name` first, in the registry's order."""
    return _ROWS[kind]()


def summary(kind: str) -> list[ListRow]:
    """Return the rows for people to read: all cells of MetaBalance's grid are one."""
    from bench.arms.matrices import ALPHA, ALPHA_CELL, CELL, GRID, MATRICES

    rows = catalogue(kind)
    if kind == "arms":
        (first, *_) = cells = [row for row in rows if row["name"] in GRID]
        about = f"{len(cells)} cells: MetaBalance with none or a sampler for INNER and for OUTER"
        summed_up = dict.fromkeys(first) | {"name": CELL, "method": first["method"], "description": about}
        return [row for row in rows if row not in cells] + [summed_up]
    if kind == "matrices":
        rows = [
            row | {"arms": _as_one(_as_one(arms, GRID, CELL), ALPHA, ALPHA_CELL)}
            for row, arms in zip(rows, MATRICES.values(), strict=True)
        ]
    return rows


def _as_one(names: Sequence[str], cells: Collection[str], entry: str) -> list[str]:
    """Return the names with all cells of a grid as one entry, the last."""
    others = [name for name in names if name not in cells]
    n_cells = len(names) - len(others)
    return [*others, f"{entry} ({n_cells} arms)"] if n_cells else [*names]


def _datasets() -> list[ListRow]:
    from bench.data.cards import card, dataset_names

    cards = [card(name) for name in dataset_names()]
    return [
        {
            "name": c.name,
            "rows": c.expected.rows if c.expected else None,
            "positives": c.expected.positives if c.expected else None,
            "sources": list(dict.fromkeys(s.kind for s in c.sources)) or ["simulator"],
            "licence": c.licence,
            "title": c.title,
        }
        for c in cards
    ]


def _suites() -> list[ListRow]:
    from bench.data.suites import suites

    return [
        {"name": name, "datasets": list(suite.datasets), "title": suite.title}
        for name, suite in suites().items()
    ]


def _arms() -> list[ListRow]:
    from bench.arms.arm import ARMS
    from bench.methods import method

    return [
        {
            "name": arm.name,
            "method": arm.method,
            "sampler": arm.sampler,
            "inner_sampler": arm.inner_sampler,
            "outer_sampler": arm.outer_sampler,
            "description": arm.description + _how_to_have(method(arm.method)),
        }
        for arm in ARMS.values()
    ]


def _methods() -> list[ListRow]:
    from bench.methods import as_json, methods

    return [
        {
            "name": method.name,
            "version": method.version,
            "settings": dict.fromkeys(method.config.model_fields)
            | as_json(method, method.config.model_construct),
            "description": method.description + _how_to_have(method),
        }
        for method in methods().values()
    ]


def _how_to_have(method: Method) -> str:
    """Return what to say behind the description of a method, or arm of it, whose packages are not installed."""
    from bench.methods import how_to_install, missing_packages

    return f" (not installed: {how_to_install(method)})" if missing_packages(method) else ""


def _samplers() -> list[ListRow]:
    from bench.sampling.rules import RULES
    from bench.sampling.samplers import SAMPLERS

    rules: list[ListRow] = [
        {"name": name, "drawn": rule.drawn, "limit_seconds": None, "description": rule.description}
        for name, rule in RULES.items()
    ]
    return rules + [
        {
            "name": name,
            "drawn": "once per split and seed" if sampler.random else "once per split",
            "limit_seconds": sampler.limit_seconds,
            "description": sampler.description,
        }
        for name, sampler in SAMPLERS.items()
    ]


def _losses() -> list[ListRow]:
    from bench.networks.losses import LOSSES

    return [{"name": name, "description": loss.description} for name, loss in LOSSES.items()]


def _metrics() -> list[ListRow]:
    from bench.report.render import printed
    from bench.stats.metrics import metrics

    return [
        {
            "name": name,
            "printed": printed(name),
            "higher_is_better": metric.higher_is_better,
            "description": metric.description
            + (f" (needs {', '.join(metric.needs)})" if metric.needs else ""),
        }
        for name, metric in metrics().items()
    ]


def _protocols() -> list[ListRow]:
    from bench.protocols import protocols

    return [
        {
            "name": p.name,
            "main_metric": p.main_metric,
            "folds": p.folds,
            "seeds": p.seeds,
            "description": p.description,
        }
        for p in protocols().values()
    ]


def _matrices() -> list[ListRow]:
    from bench.arms.matrices import MATRICES

    return [{"name": name, "arms": list(arms)} for name, arms in MATRICES.items()]


def _engines() -> list[ListRow]:
    from bench.runs.engines import engines

    return [{"name": name, "description": engine.description} for name, engine in engines().items()]


_ROWS = {
    "datasets": _datasets,
    "suites": _suites,
    "arms": _arms,
    "methods": _methods,
    "samplers": _samplers,
    "losses": _losses,
    "metrics": _metrics,
    "protocols": _protocols,
    "matrices": _matrices,
    "engines": _engines,
}
LISTED: dict[str, tuple[str, str]] = {  # what one of them is called, and what they are
    "datasets": ("dataset", "tables with a label, fetched or simulated"),
    "suites": ("suite", "lists of data sets that belong together"),
    "arms": ("arm", "rows of a leaderboard: a method with its samplers, loss and settings"),
    "methods": ("method", "learners, with the settings that --set changes"),
    "samplers": ("sampler", "ways to choose the training rows, as in ARM[SAMPLER]"),
    "losses": ("loss", "losses of the networks"),
    "metrics": ("metric", "what is measured on test rows, as tables and files call it"),
    "protocols": ("protocol", "ways to split the rows and judge the arms"),
    "matrices": ("matrix", "lists of arms that run together"),
    "engines": ("engine", "places where runs are done"),
}

"""What there is, as rows to list: every registry by its kind."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bench.contract import Method

Kind = Literal["datasets", "arms", "methods", "samplers", "losses", "metrics", "protocols", "matrices"]


def catalogue(kind: str) -> list[dict[str, Any]]:
    """Return one dict per entry of the kind, `name` first, in the registry's order."""
    found: list[dict[str, Any]] = _ROWS[kind]()
    return found


def summary(kind: str) -> list[dict[str, Any]]:
    """Return the rows for people to read: all cells of MetaBalance's grid are one."""
    from bench.arms.matrices import ALPHA, ALPHA_CELL, CELL, GRID

    rows = catalogue(kind)
    if kind == "arms":
        (first, *_) = cells = [row for row in rows if row["name"] in GRID]
        about = f"{len(cells)} cells: MetaBalance with none or a sampler for INNER and for OUTER"
        one = dict.fromkeys(first) | {"name": CELL, "method": first["method"], "description": about}
        return [row for row in rows if row not in cells] + [one]
    if kind == "matrices":
        for many, one_name in ((GRID, CELL), (ALPHA, ALPHA_CELL)):
            rows = [row | {"arms": _as_one(row["arms"], many, one_name)} for row in rows]
    return rows


def _as_one(names: list[str], many: Collection[str], one: str) -> list[str]:
    others = [name for name in names if name not in many]
    n_cells = len(names) - len(others)
    return [*others, f"{one} ({n_cells} arms)"] if n_cells else others


def _datasets() -> list[dict[str, Any]]:
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


def _arms() -> list[dict[str, Any]]:
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


def _methods() -> list[dict[str, Any]]:
    from bench.methods import methods

    return [
        {
            "name": method.name,
            "version": method.version,
            "settings": dict.fromkeys(method.config.model_fields)
            | method.config.model_construct().model_dump(mode="json"),
            "description": method.description + _how_to_have(method),
        }
        for method in methods().values()
    ]


def _how_to_have(method: Method) -> str:
    """Return what to say behind the description of a method, or arm of it, whose packages are not installed."""
    from bench.methods import how_to_install, missing_packages

    return f" (not installed: {how_to_install(method)})" if missing_packages(method) else ""


def _samplers() -> list[dict[str, Any]]:
    from bench.sampling.samplers import SAMPLERS

    return [
        {"name": name, "limit_seconds": sampler.limit_seconds, "description": sampler.description}
        for name, sampler in SAMPLERS.items()
    ]


def _losses() -> list[dict[str, Any]]:
    from bench.networks.losses import LOSSES

    return [{"name": name, "description": loss.description} for name, loss in LOSSES.items()]


def _metrics() -> list[dict[str, Any]]:
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


def _protocols() -> list[dict[str, Any]]:
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


def _matrices() -> list[dict[str, Any]]:
    from bench.arms.matrices import MATRICES

    return [{"name": name, "arms": list(arms)} for name, arms in MATRICES.items()]


_ROWS = {
    "datasets": _datasets,
    "arms": _arms,
    "methods": _methods,
    "samplers": _samplers,
    "losses": _losses,
    "metrics": _metrics,
    "protocols": _protocols,
    "matrices": _matrices,
}
KINDS: dict[str, tuple[str, str]] = {  # what one of them is called, and what they are
    "datasets": ("dataset", "tables with a label, fetched or simulated"),
    "arms": ("arm", "rows of a leaderboard: a method with its samplers, loss and settings"),
    "methods": ("method", "learners, with the settings that --set changes"),
    "samplers": ("sampler", "ways to change the training rows, as in ARM[SAMPLER]"),
    "losses": ("loss", "losses of the networks"),
    "metrics": ("metric", "what is measured on test rows, as tables and files call it"),
    "protocols": ("protocol", "ways to split the rows and judge the arms"),
    "matrices": ("matrix", "lists of arms that run together"),
}

"""The page of all data sets, `datasets/README.md`, rendered from their cards.

Made anew by: python -m bench.report.datasets > datasets/README.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from bench.data.cards import Dataset, Label, Source, card, dataset_names


def page() -> str:
    """Return the page as Markdown: a table of all sets, then each card."""
    cards = [card(name) for name in dataset_names()]
    lines = [
        "# Data sets",
        "",
        "Rendered from the cards beside it by `python -m bench.report.datasets`; edit those.",
        "",
    ]
    lines += ["| name | title | rows | positives | licence |", "|---|---|---|---|---|"]
    lines += [_row(dataset) for dataset in cards]
    for dataset in cards:
        lines += ["", *_section(dataset)]
    return "\n".join(lines) + "\n"


def _row(dataset: Dataset) -> str:
    expected = dataset.expected
    counts = (
        f"{expected.rows:,} | {expected.positives:,} ({expected.positives / expected.rows:.3%})"
        if expected
        else "? | ?"
    )
    return f"| [{dataset.name}](#{dataset.name}) | {dataset.title} | {counts} | {dataset.licence} |"


def _section(dataset: Dataset) -> list[str]:
    lines = [f"## {dataset.name}", "", " ".join(dataset.description.split()), ""]
    facts = {
        "target": f"`{dataset.target}`"
        + (f", positive = `{dataset.positive}`" if dataset.positive is not None else "")
        + (f", negative = {_listed(dataset.negative)}; other rows are left out" if dataset.negative else ""),
        "no features": _listed(dataset.drop),
        "time": f"`{dataset.time}`, no feature" if dataset.time else "",
        "entity": f"`{dataset.entity}`, no feature" if dataset.entity else "",
        "amount": f"`{dataset.amount}`" if dataset.amount else "",
        "missing": "; ".join(f"{_listed(codes)} in `{name}`" for name, codes in dataset.missing.items()),
        "categorical": _listed(dataset.categorical),
        "numeric": _listed(dataset.numeric),
        "citation": dataset.citation,
    }
    lines += [f"* {name}: {text}" for name, text in facts.items() if text]
    lines += [f"* source {i}: {_source(source)}" for i, source in enumerate(dataset.sources, 1)]
    lines += [f"* known defect: {text}" for text in dataset.known_defects]
    lines += [f"* verdict: {text}" for text in dataset.verdicts]
    return lines


def _listed(values: Iterable[Label]) -> str:
    return ", ".join(f"`{value:g}`" if isinstance(value, float) else f"`{value}`" for value in values)


def _source(source: Source) -> str:
    where = f"<{source.url}>" if source.url else f"`{source.requirement or source.ref}`"
    file = source.member or source.file
    check = source.sha256 or source.md5
    kept = f"sha256 `{source.sha256}`" if source.sha256 else f"md5 `{source.md5}`"
    return f"{source.kind}, {where}, `{file}`, {kept if check else 'hash recorded at first use and held to'}"


if __name__ == "__main__":
    sys.stdout.write(page())

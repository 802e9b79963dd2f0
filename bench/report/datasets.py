"""The page of all data sets, `datasets/README.md`, rendered from their cards.

Made anew by: python -m bench.report.datasets > datasets/README.md
"""

from __future__ import annotations

import sys

from bench.data.cards import Dataset, Source, card, dataset_names


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
    lines += [_row(found) for found in cards]
    for found in cards:
        lines += ["", *_section(found)]
    return "\n".join(lines) + "\n"


def _row(found: Dataset) -> str:
    expected = found.expected
    counts = (
        f"{expected.rows:,} | {expected.positives:,} ({expected.positives / expected.rows:.3%})"
        if expected
        else "? | ?"
    )
    return f"| [{found.name}](#{found.name}) | {found.title} | {counts} | {found.licence} |"


def _section(found: Dataset) -> list[str]:
    lines = [f"## {found.name}", "", " ".join(found.description.split()), ""]
    facts = {
        "target": f"`{found.target}`"
        + (f", positive = `{found.positive}`" if found.positive is not None else ""),
        "no features": ", ".join(f"`{name}`" for name in found.drop),
        "time": f"`{found.time}`, no feature" if found.time else "",
        "amount": f"`{found.amount}`" if found.amount else "",
        "categorical": ", ".join(f"`{name}`" for name in found.categorical),
        "citation": found.citation,
    }
    lines += [f"* {name}: {text}" for name, text in facts.items() if text]
    lines += [f"* source {i}: {_source(source)}" for i, source in enumerate(found.sources, 1)]
    lines += [f"* known defect: {text}" for text in found.known_defects]
    return lines


def _source(source: Source) -> str:
    where = f"<{source.url}>" if source.url else f"`{source.ref}`"
    check = source.sha256 or source.md5
    kept = f"sha256 `{source.sha256}`" if source.sha256 else f"md5 `{source.md5}`"
    return f"{source.kind}, {where}, `{source.file}`, {kept if check else 'hash recorded at first use and held to'}"


if __name__ == "__main__":
    sys.stdout.write(page())

"""What the commands print on stdout: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    from bench.data.describe import Description
    from bench.workflows.doctor import Finding
    from bench.workflows.leaderboard import Outcome
    from bench.workflows.run import Forecast, Plan

PIPE = 200  # columns of a table that goes to a pipe or a file
LINE = 120  # columns of a text, which nobody reads across a wide screen
# A command within a text: its words, then options with their values.
_COMMAND = re.compile(r"\bbench [a-z]+(?: [a-z][\w-]*){0,2}(?: --[a-z][a-z-]*(?: (?:'[^']*'|[^\s'-]\S*))?)+")
_BLANK = "\0"  # stands for a blank at which no line ends


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what a plan comes to: runs and what is done by arm, and the packs."""
    todo = {run.key for run in plan.todo}
    arms: dict[str, list[int]] = {}
    for run in plan.runs:
        counted = arms.setdefault(run.arm, [0, 0])
        counted[0] += 1
        counted[1] += run.key not in todo
    if as_json:
        show_json(
            {
                "dataset": plan.table.name,
                "protocol": plan.request.protocol,
                "fetch": None,
                "runs": len(plan.runs),
                "done": len(plan.runs) - len(plan.todo),
                "packs": [
                    {"arms": sorted({run.arm for run in pack}), "keys": [run.key for run in pack]}
                    for pack in plan.packs
                ],
                "arms": {name: {"runs": n, "done": done} for name, (n, done) in arms.items()},
            }
        )
        return
    show_table(["arm", "runs", "done"], [[name, str(n), str(done)] for name, (n, done) in arms.items()])
    sizes = ", ".join(str(len(pack)) for pack in plan.packs)
    show_text(
        f"{len(plan.runs)} runs, {len(plan.runs) - len(plan.todo)} done; {len(plan.packs)} packs: {sizes or 'none'}"
    )
    if plan.todo:
        show_text(
            "How long they take shows when the first of them run: bench run says it then, as an estimate."
        )


def show_forecast(ahead: Forecast, *, as_json: bool) -> None:
    """Print what a dry run can say of data that are not here: what is fetched from where, and runs by arm."""
    from bench.data.raw.cache import address

    n_runs = sum(ahead.arms.values())
    if as_json:
        return show_json(
            {
                "dataset": ahead.card.name,
                "protocol": ahead.protocol,
                "fetch": {
                    "name": ahead.card.name,
                    "sources": [
                        {
                            "kind": each.kind,
                            "address": address(each),
                            "file": each.file,
                            "bytes": each.size_bytes,
                        }
                        for each in ahead.sources
                    ],
                },
                "runs": n_runs,
                "done": None,
                "packs": None,
                "arms": {name: {"runs": n, "done": None} for name, n in ahead.arms.items()},
            }
        )
    show_text(
        f"{ahead.card.name} is not in the cache. It would be fetched from the first source that has it:"
    )
    for place, each in enumerate(ahead.sources, 1):
        size = f" ({each.size_bytes / 1e6:,.1f}{_BLANK}MB)" if each.size_bytes else ""
        show_item(f"  {place}. ", f"{each.kind} {address(each)}: {each.file}{size}")
    show_text(f"{'; '.join(ahead.notes)}.")
    show_table(["arm", "runs"], [[name, n] for name, n in ahead.arms.items()])
    show_text(
        f"{n_runs:,} runs of {len(ahead.arms)} arms. How many are done already is known once the data are here, and "
        "how long they take once the first of them run."
    )
    return None


def show_outcome(outcome: Outcome, results: Path, *, as_json: bool) -> None:
    """Print the leaderboard, and what it took."""
    board = outcome.leaderboard
    if as_json:
        show_json(
            {
                "leaderboard": str(outcome.path),
                "runs": outcome.n_runs,
                "done_before": outcome.n_done_before,
                "failed": [asdict(result) for result in outcome.failed],
                "budget": outcome.budget,
                "seconds": round(outcome.seconds, 3),
                "shares": outcome.shares,
                "arms": json.loads(board.to_json(orient="records", double_precision=15)),
            }
        )
        return
    from bench.report.render import caption, terminal

    table, left_out = terminal(board, _width())
    _print(table)
    show_text(caption(board))
    _say_left_out(left_out)
    others = len(set(board["arm"]) - set(outcome.arms))
    if others:
        show_text(
            f"{others} of these arms are not of this command: they are from earlier runs, or published."
        )
    show_text(
        f"{outcome.n_runs} runs ({outcome.n_done_before} done before), {len(outcome.failed)} failed, "
        f"{outcome.seconds:.1f} s. Budget: {outcome.budget}."
    )
    shares = [f"{stage} {share:.0%}" for stage, share in outcome.shares.items() if share >= 0.005]
    show_text(f"Time: {', '.join(shares)}.")
    show_path("Leaderboard (and .md)", outcome.path)
    show_path("Records", results / "runs" / board["dataset"].iloc[0])


def _say_left_out(headings: Sequence[str]) -> None:
    if headings:
        show_text(f"Left out for lack of room: {', '.join(headings)}. A wider window or --json shows them.")


def show_fetched(rows: Sequence[dict[str, str]]) -> None:
    """Print what was fetched, each path and hash whole on a line of its own."""
    for row in rows:
        typer.echo(f"{row['name']}, from {row['source']}\nsha256: {row['sha256']}")
        show_path("file", Path(row["path"]))


def show_description(about: Description) -> None:
    """Print what was read of a table: its lines, then a row for each column."""
    from bench.data.describe import first_lines

    for line in first_lines(about):
        show_text(line)
    head = ["column", "kind", "missing", "values", "examples"]
    show_table(
        head,
        [
            [column.name, column.kind, column.n_missing, column.n_values, ", ".join(column.examples)]
            for column in about.columns
        ],
    )


def show_checks(checks: Sequence[Finding]) -> None:
    """Print a line for each check, wrapped on a terminal; a path is never broken."""
    longest = max(len(check.name) for check in checks)
    for check in checks:
        show_item(f"{'ok' if check.ok else 'NO'}  {check.name.ljust(longest)}  ", str(check.found))


def stderr() -> Console:
    """Return the console of progress."""
    from rich.console import Console

    return Console(stderr=True)


def _terminal() -> int | None:
    """Return how many columns the terminal has; None for a pipe or a file, which have room for all."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else None


def _error_terminal() -> int | None:
    """Return how many columns the terminal of stderr has; None for a pipe or a file."""
    return stderr().width if sys.stderr.isatty() else None


def _width() -> int:
    """Return how many columns a table may take."""
    return _terminal() or PIPE


def _print(table: Table) -> None:
    """Print a table; one that is wider than the terminal is left to the terminal to wrap."""
    from rich.console import Console

    width = max(_width(), Console(width=10_000).measure(table).maximum)
    Console(width=width).print(table, crop=False)


def show_text(text: str) -> None:
    """Print paragraphs, wrapped at words: never within a name, a number, a path, a hash or a command."""
    width = min(LINE, _width())
    for paragraph in text.split("\n"):
        typer.echo(_wrapped(paragraph, width))


def show_error(text: str) -> None:
    """Print paragraphs on stderr: on a terminal wrapped as `show_text` does, elsewhere as they are."""
    width = _error_terminal()
    for paragraph in text.split("\n"):
        typer.echo(_wrapped(paragraph, min(LINE, width)) if width else paragraph, err=True)


def _wrapped(paragraph: str, width: int) -> str:
    """Return a paragraph in lines; later ones are indented as the first, and a command keeps to one line."""
    whole = _COMMAND.sub(lambda match: match[0].replace(" ", _BLANK), paragraph)
    words = whole.lstrip(" ")
    indent = " " * (len(whole) - len(words))
    if words.startswith("bench "):  # a line that is a command, to be copied
        return paragraph
    return _filled(words, indent, indent, width)


def _filled(text: str, first: str, indent: str, width: int) -> str:
    """Return the text wrapped at its blanks, its first line after `first`, the later ones after `indent`."""
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(line.replace(_BLANK, " ").rstrip() for line in lines)


def show_item(label: str, text: str) -> None:
    """Print a text after its label: on a terminal wrapped below itself, or from the margin where a word is too long."""
    width = _terminal()
    if width is None:
        typer.echo((label + text).replace(_BLANK, " "))
        return
    words = f"{label[:-1].replace(' ', _BLANK)} {text}"
    hung = [_filled(words, "", " " * size, width) for size in (len(label), 4, 0)]
    fits = (lines for lines in hung if max(map(len, lines.splitlines())) <= width)
    typer.echo(next(fits, hung[-1]))


def show_path(label: str, path: Path) -> None:
    """Print where something is: on one line, or the path alone on the next if both are too long for one."""
    line = f"{label}: {path}"
    typer.echo(line if len(line) <= _width() else f"{label}:\n{path}")


def show_file(path: Path, about: str = "") -> None:
    """Print a path and what there is to say about it: on one line, or on two if both are too long for one."""
    words = f"({about})" if about else ""
    line = f"{path} {words}".rstrip()
    typer.echo(line if len(line) <= _width() or not words else f"{path}\n  {words}")


def show_ladder(board: pd.DataFrame, path: Path, *, as_json: bool) -> None:
    """Print where every arm stands on each rung of a ladder, and what each rung changed."""
    from bench.paper.ladder import caption, terminal_rows

    if as_json:
        return show_json({"ladder": str(path), "rows": plain_rows(board)})
    head, stands, moves = terminal_rows(board)
    show_table(head, stands)
    show_text("ROC-AUC, and rank on the rung.")
    show_table([head[0], *head[2:]], [[row[0], *row[2:]] for row in moves])
    show_text("Change by the rung; *: its interval is clear of 0.")
    show_text(caption(board))
    show_path("Ladder (and .md, with intervals)", path)
    return None


def plain_rows(board: pd.DataFrame) -> list[dict[str, object]]:
    """Return the frame's rows as JSON takes them: None for what is missing."""
    rows = board.astype(object).where(board.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def show_json(value: object) -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    if isinstance(value, dict):
        return ", ".join(
            f"{name}={'none' if setting is None else setting}" for name, setting in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    first: Sequence[str] = (),
    always: Sequence[str] = (),
) -> None:
    """Print rows under a head; lists and counts are written for people.

    Where a terminal has no room for all columns, it shows the name and those of `always`, then as many as go of
    `first` and of the others from left to right, and says which are missing. A pipe gets all of them.
    """
    from bench.report.columns import Column, fitting, needed, table

    ordered = [head[0], *first, *(name for name in head[1:] if name not in first)]
    columns = [
        Column(
            name.replace("_", " "),
            [_text(cell) for cell in cells],
            _kind(i, cells),
            0 if name in always else ordered.index(name),
        )
        for i, (name, *cells) in enumerate(zip(head, *rows, strict=True))
    ]
    width = _terminal() or max(PIPE, needed(columns))
    kept = fitting(columns, width)
    _print(table(kept, width))
    _say_left_out([column.head for column in columns if column not in kept])


def _kind(place: int, cells: Sequence[object]) -> Literal["name", "number", "prose"]:
    """Return what a column holds: names come first, and a text that begins with a digit or a sign is a number."""
    if place == 0:
        return "name"
    texts = [cell for cell in cells if cell is not None]
    counts = all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in texts)
    return "number" if texts and (counts or all(map(_is_number, texts))) else "prose"


def _is_number(cell: object) -> bool:
    return isinstance(cell, str) and re.match(r"([-+−<±]? ?[.\d]|–$)", cell) is not None

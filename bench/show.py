"""What the commands print on stdout: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from bench.suite import Outcome, Plan

WIDE = 130  # columns from which on every number of a leaderboard shows its interval


def show_plan(made: Plan, *, as_json: bool) -> None:
    """Print what a plan comes to: runs and what is done by arm, and the packs."""
    todo = {run.key for run in made.todo}
    arms: dict[str, list[int]] = {}
    for run in made.runs:
        counted = arms.setdefault(run.arm, [0, 0])
        counted[0] += 1
        counted[1] += run.key not in todo
    if as_json:
        show_json(
            {
                "dataset": made.table.name,
                "protocol": made.request.protocol,
                "runs": len(made.runs),
                "done": len(made.runs) - len(made.todo),
                "packs": [
                    {"arms": sorted({r.arm for r in p}), "keys": [r.key for r in p]} for p in made.packs
                ],
                "arms": {name: {"runs": n, "done": done} for name, (n, done) in arms.items()},
            }
        )
        return
    show_table(["arm", "runs", "done"], [[name, str(n), str(done)] for name, (n, done) in arms.items()])
    sizes = ", ".join(str(len(p)) for p in made.packs)
    typer.echo(
        f"{len(made.runs)} runs, {len(made.runs) - len(made.todo)} done; {len(made.packs)} packs: {sizes or 'none'}"
    )


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
    from bench.report.tables import terminal

    console = _stdout()
    console.print(terminal(board, wide=console.width >= WIDE))
    others = len(set(board["arm"]) - set(outcome.arms))
    if others:
        typer.echo(
            f"{others} of these arms are from earlier runs, or from the compact records in the results folder."
        )
    typer.echo(
        f"{outcome.n_runs} runs ({outcome.n_done_before} done before), {len(outcome.failed)} failed, "
        f"{outcome.seconds:.1f} s. Budget: {outcome.budget}.\n"
        f"Time: {', '.join(f'{stage} {share:.0%}' for stage, share in outcome.shares.items() if share >= 0.005)}.\n"
        f"Leaderboard: {outcome.path} (and .md); records: {results / 'runs' / board['dataset'].iloc[0]}"
    )


def stderr() -> Console:
    """Return the console of progress."""
    from rich.console import Console

    return Console(stderr=True)


def _stdout() -> Console:
    """Return the console of the results; a pipe or file has room for every column."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=200)


def show_ladder(board: pd.DataFrame, path: Path, *, as_json: bool) -> None:
    """Print where every arm stands on each rung of a ladder, and what each rung changed."""
    from bench.report.ladder import caption, terminal_rows

    if as_json:
        return show_json({"ladder": str(path), "rows": plain_rows(board)})
    head, stands, moves = terminal_rows(board)
    show_table(head, stands)
    typer.echo("ROC-AUC, and rank on the rung.")
    show_table([head[0], *head[2:]], [[row[0], *row[2:]] for row in moves])
    typer.echo("Change by the rung; *: its interval is clear of 0.")
    typer.echo(f"{caption(board)}\nLadder: {path} (and .md, with intervals)")
    return None


def plain_rows(board: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the frame's rows as JSON takes them: None for what is missing."""
    return board.astype(object).where(board.notna(), None).to_dict("records")


def show_json(value: Any) -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    if isinstance(value, dict):
        return ", ".join(
            f"{name}={'none' if setting is None else setting}" for name, setting in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under a head; lists and counts are written for people."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(head):
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(Text(_text(cell)) for cell in row))
    _stdout().print(table)

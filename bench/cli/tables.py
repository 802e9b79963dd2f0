"""The commands that make tables of what has run: `bench compare`, `bench compact` and `bench tables`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import plugins
from bench.calls import OUTPUT
from bench.cli import completion
from bench.cli.interrupt import interruptible
from bench.cli.options import Json, command
from bench.cli.output import plain_rows, show_error, show_file, show_json, show_table, show_text
from bench.errors import BadStore
from bench.names import ROPE, FormatName, results_option

if TYPE_CHECKING:
    from bench.workflows.tables import Remade


@interruptible()
@command
def compare(
    arm_a: Annotated[
        str, typer.Argument(metavar="ARM", help="An arm that has run.", autocompletion=completion.arms)
    ],
    arm_b: Annotated[
        str, typer.Argument(metavar="ARM", help="The arm to compare it with.", autocompletion=completion.arms)
    ],
    *,
    dataset: str,
    protocol: str,
    method_file: list[Path] | None,
    rope: Annotated[
        float,
        typer.Option(
            metavar="WIDTH",
            help="Differences in AP or ROC-AUC up to this are equal in practice (ROPE).",
            rich_help_panel=OUTPUT,
        ),
    ] = ROPE,
    results: Path,
    as_json: Json = False,
) -> None:
    """Compare two arms, metric by metric, on the test rows and runs that both have in the stored records.

    The difference has the interval and p of the corrected t over folds (Nadeau and Bengio), the smallest difference
    that such folds would show, and beside it the bootstrap's interval conditional on the trained models. Verdict:
    better or worse where both agree, equal where both lie within the ROPE, else undecided.

    Example: bench compare metabalance xgboost --dataset loan --rope 0.01
    """
    from bench.protocols import protocol_if_known
    from bench.report import comparison
    from bench.report.selection import protocol_asked
    from bench.store.folder import Store

    plugins.use(method_file or ())
    store = Store(results, read_only=True)
    name = protocol_asked(store, protocol, dataset)
    if protocol_if_known(name) is None:
        _tell_without_file([name], "compare", "its records are compared by what is known here")
    board = comparison.comparison(store, dataset, name, arm_a, arm_b, rope=rope)
    if as_json:
        show_json({"a": arm_a, "b": arm_b, "rope": rope, "metrics": plain_rows(board)})
    else:
        show_table(comparison.HEADINGS, comparison.cells(board), comparison.FIRST)
        show_text(comparison.caption(board, dataset, name, (arm_a, arm_b), rope))


@interruptible()
@command
def compact(
    *, dataset: str | None, method_file: list[Path] | None, results: Path, as_json: Json = False
) -> None:
    """Write every data set's records into two small files, from which the tables can be made without the scores.

    The tables are the same as from the runs themselves, and bench tables then also writes a page of findings. Where an
    arm still has records under runs/, those are read.

    Example: bench compact --dataset loan
    """
    from bench.workflows.tables import compact_records

    plugins.use(method_file or ())
    paths = compact_records(results, dataset)
    if not paths:
        raise BadStore(_without_records(results, dataset))
    if as_json:
        show_json({"written": [{"path": str(path), "bytes": path.stat().st_size} for path in paths]})
        return
    for path in paths:
        show_file(path, f"{path.stat().st_size / 1e6:.2f} MB")


@interruptible()
@command
def tables(
    *,
    dataset: str | None,
    protocol: str | None,
    method_file: list[Path] | None,
    form: Annotated[
        list[FormatName] | None,
        typer.Option(
            "--format",
            metavar=f"<{'|'.join(FormatName)}>",
            help="A form to write; repeatable. By default md, and those that are there.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; fail if a table is not what the records give.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    results: Path,
    as_json: Json = False,
) -> None:
    """Write every leaderboard and table anew from the stored records.

    Published results beside your own are checked too, and written only where --results names their folder. Of your
    own, what bench tables alone makes may be missing: it is then not made yet, and no fault.

    Example: bench tables --format md --format tex

    Example: bench tables --check
    """
    from bench.workflows.tables import remake

    plugins.use(method_file or ())
    remade = remake(results, dataset, protocol, tuple(form or ()), check=check)
    if not remade.boards:
        raise BadStore(_without_tables(results, dataset, protocol))
    _show_tables(remade, write=not check, as_json=as_json)
    _refuse(remade.stale if check else [], remade.unmade)


def _show_tables(remade: Remade, *, write: bool, as_json: bool) -> None:
    """Write the tables, or do not; print their paths, and on stderr what is to be known of them."""
    boards, stale = remade.boards, remade.stale
    new = {path for path in stale if not path.exists()}
    written = [path for board in boards for path in board.write()] if write else []
    if names := remade.without_file:
        _tell_without_file(names, "tables", "average precision takes the place of its main metric")
    for board in boards:
        if board.n_other_records:
            show_error(
                f"{board.path.stem}: the newest splits only; {board.n_other_records} records stand on others."
            )
    paths = written or [path for board in boards for path in board.files]
    if as_json:
        named = {"tables": paths, "stale": stale, "without_records": remade.unmade}
        show_json({name: [str(path) for path in listed] for name, listed in named.items()})
        return
    for path in paths:
        was = "new" if path in new else "was stale" if path in stale else ""
        show_file(path, was if write else "")


def _tell_without_file(names: Sequence[str], command: str, so: str) -> None:
    """Say on stderr that no file given has these protocols, and what comes of it."""
    show_error(
        f"No file given here has the protocol {' or '.join(names)}: {so}. Give it: --method-file FILE, or "
        f"BENCH_PLUGINS=FILE bench {command} …"
    )


def _without_tables(results: Path, dataset: str | None, protocol: str | None) -> str:
    """Return why there is no table to make, and what makes one."""
    from bench.store.folder import Store

    recorded = Store(results).datasets()
    if protocol and (dataset in recorded if dataset else recorded):
        return f"{results} holds records{f' of {dataset}' if dataset else ''}, but none under {protocol}."
    return _without_records(results, dataset)


def _without_records(results: Path, dataset: str | None) -> str:
    """Return that there are no own records, of any data set or of one, with the command that makes some.

    Where there are published ones beside, also the command that makes their tables again.
    """
    from bench.data.cards import dataset_option
    from bench.store.folder import Store, published_beside

    makes = ["bench", "run", *dataset_option(dataset or "fraud-sim"), *results_option(results)]
    lines = [
        f"{results} holds no records of your own{f' of {dataset}' if dataset else ''}. This makes them:",
        f"  {shlex.join(makes)}",
    ]
    published = published_beside(results)
    if published and (dataset is None or dataset in Store(published).datasets()):
        again = ["bench", "tables", "--results", str(published), *(["--dataset", dataset] if dataset else [])]
        lines.append(f"The published tables are made again by: {shlex.join(again)}")
    return "\n".join(lines)


def _refuse(stale: Sequence[Path], unmade: Sequence[Path]) -> None:
    """Raise BadStore for tables that are not what the records give, or that no record makes."""
    if stale:
        raise BadStore(
            f"{len(stale)} tables are not what the records give: {', '.join(map(str, stale))}. "
            "bench tables makes them anew."
        )
    if unmade:
        raise BadStore(
            f"{len(unmade)} files among the leaderboards are made by no record: {', '.join(map(str, unmade))}. "
            "Remove them, or bring their records back."
        )

"""The command line: parse, call one function, print.

Results go to stdout, progress and errors to stderr. A `BenchError` is printed as a short message and
ends the process with its exit code; anything else is a bug and shows its traceback (exit 1). Heavy
imports stay inside the commands.
"""

from __future__ import annotations

import io
import os
import re
import sys
from importlib import metadata
from typing import Annotated

import typer

from bench.cli.check import check
from bench.cli.data import describe, doctor, fetch, list_
from bench.cli.options import Command, Group
from bench.cli.output import show_error
from bench.cli.run import repair, run, sweep
from bench.cli.study import study
from bench.cli.tables import compact, compare, tables
from bench.errors import USAGE, BenchError, UnknownName
from bench.platforms import check_platform

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Benchmark suite for learning on imbalanced fraud and credit tables. "
    "Start with: bench run --dataset fraud-sim",
)
PIPE_CLOSED = 141  # the exit code of a program that the system ends for it: 128 + SIGPIPE
# What typer raises for a command line that it cannot read. Newer versions carry click within, so that it has no
# import that works in all.
_Unreadable: type[Exception] = typer.BadParameter.__mro__[1]


def main(name: str | None = None) -> None:
    """Run the command line; the console script. `name` is what it is called, if not as the process is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows no Δ gets a question mark, no traceback.
            stream.reconfigure(errors="replace")
    try:
        check_platform()
        code = app(standalone_mode=False, prog_name=name)
        sys.stdout.flush()
    except BenchError as error:
        _stop(str(error), error.exit_code)
    except _Unreadable as error:
        _stop(_said(error), USAGE)
    except typer.Abort:
        _stop("aborted.", 1)
    except BrokenPipeError:
        _end_of_pipe()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # that typer met
            _end_of_pipe()
        raise
    sys.exit(code or 0)


def _end_of_pipe() -> None:
    """End quietly where who reads has seen enough, as in `bench list arms | head`: the rest goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(PIPE_CLOSED)


def _stop(message: str, code: int) -> None:
    if message:
        show_error(f"Error: {message}")
    sys.exit(code)


def _said(error: Exception) -> str:
    """Return in a line what cannot be read; of a choice the nearest and all; nothing where the help was printed."""
    words = " ".join(error.format_message().split())  # type: ignore[attr-defined]  # every `_Unreadable` has it
    message = words.replace("Value error, ", "").rstrip(".")
    option, context = getattr(error, "param", None), getattr(error, "ctx", None)
    choice = re.search(r"'([^']*)' is not one of (.*)$", message)
    if choice and option:
        return str(UnknownName(option.opts[0], choice[1], re.findall(r"'(.*?)'", choice[2])))
    command = context.command_path if context else "bench"
    return f"{message}{'' if message[-1] in '?)' else '.'} Help: {command} --help" if message else ""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(metadata.version("imbalance-bench"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command("list", cls=Command)(list_)
for _command in (fetch, describe, run, repair, sweep, study, compare, compact, tables, doctor, check):
    app.command(cls=Command)(_command)

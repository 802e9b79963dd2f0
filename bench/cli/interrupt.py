"""What Ctrl-C, and a request to terminate, do to a command."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from bench.errors import INTERRUPTED
from bench.names import without_secrets


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C, and a request to terminate, into the command that goes on and exit code 130."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        command = shlex.join(["bench", *map(without_secrets, sys.argv[1:])])
        typer.echo(f"Interrupted. Everything finished is kept; go on with:\n  {command}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)

"""Progress where Python is called: one bar in a notebook, the terminal's where asked for, else nothing.

The bar is tqdm's: a widget where ipywidgets is installed, a line of text elsewhere. It counts runs, and moves within
a pack too. What a user must know (notes, failed runs) is printed above it, and stays.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console

from bench.calls import quiet_tqdm
from bench.cli.progress import Lines, announce, pack_label, reporter, shortened
from bench.contract import PlannedRun, Result
from bench.errors import BadArgument
from bench.names import OK

_RUNS = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} [{elapsed}<{remaining}{postfix}]"
_LABEL_LETTERS = 48
_SECONDS = 1.0  # between two looks of the bar: as text, each is a line where a notebook is printed


def reporter_for(progress: bool | None) -> Lines | Bar:
    """Return who is told of a call's progress; None says a bar in a notebook and nothing elsewhere.

    Raises BadArgument for anything but True, False and None.
    """
    if progress not in (None, True, False):
        raise BadArgument(f"progress={progress!r}: give True, False, or None for a bar in notebooks only.")
    if progress is not False and in_notebook():
        return Bar()
    return reporter(Console(stderr=True)) if progress else Lines(Console(stderr=True, quiet=True))


def in_notebook() -> bool:
    """Tell whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class Bar:
    """One bar for a whole call; it is gone at the end, and what it printed stays."""

    def __init__(self) -> None:
        self.tqdm: Any = quiet_tqdm()
        self.bar: Any = None
        self.total = self.done = 0
        self.planned_at, self.has_announced = time.monotonic(), False
        self.parts: dict[int, tuple[str, int, float]] = {}  # by worker: label, runs, share that is done

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        self.bar = None

    def _open(self, name: str, total: float | None, **form: Any) -> None:
        """Put a new bar in the place of the one before."""
        self._close()
        self.bar = self.tqdm(
            total=total, desc=name, leave=False, file=sys.stdout, mininterval=_SECONDS, miniters=0, **form
        )

    def note(self, text: str) -> None:
        """Print one line above the bar."""
        self.tqdm.write(text, file=sys.stdout)

    def planned(self, n_todo: int, n_done: int, n_packs: int) -> None:
        """Open the bar of all runs."""
        self.total, self.done = n_todo, 0
        self.planned_at, self.has_announced = time.monotonic(), False
        if n_done:
            self.note(f"{n_todo} runs to do in {n_packs} packs, {n_done} done before")
        if n_todo:
            self._open("runs", n_todo, bar_format=_RUNS)

    def expect(self, seconds: float) -> None:
        """Print once how long it will take in all."""
        announce(self, seconds)

    def trials(self, done: float, total: int, *, ended: bool) -> None:  # noqa: ARG002  (the bar always moves)
        """Move the one bar of a study's trials, those of all arms and folds."""
        if self.bar is None or self.bar.desc != "trials":
            self._open("trials", total, bar_format=_RUNS)
        self.bar.update(done - self.bar.n)

    def download(self, name: str, done: int, total: int | None) -> None:
        """Move the bar of a download."""
        if self.bar is None or self.bar.desc != name:
            self._open(name, total, unit="B", unit_scale=True, unit_divisor=1000)
        self.bar.update(done - self.bar.n)
        if done == total:
            self._close()

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        """Say what is trained."""
        self.parts[worker] = pack_label(runs), len(runs), 0.0
        self._move()

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Move the bar by the pack's share."""
        name, n_runs, _ = self.parts[worker]
        self.parts[worker] = name, n_runs, step / max(1, steps)
        self._move()

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        """Count the pack's runs; print what failed."""
        name, _, _ = self.parts.pop(worker)
        self.done += len(results)
        bad = [result for result in results if result.status != OK]
        if bad:
            self.note(
                f"{name}: {len(bad)} of {len(results)} {bad[0].status} in {seconds:.1f} s: {bad[0].error}"
            )
        if not results:
            self.note(f"{name} lost its worker; tried again in smaller packs")
        self._move()

    def _move(self) -> None:
        """Bring the bar to where the runs are."""
        names = [name for name, _, _ in self.parts.values()]
        first = shortened(names[0], _LABEL_LETTERS) if names else ""
        more = f" and {len(names) - 1} more packs" if len(names) > 1 else ""
        self.bar.set_postfix_str(f"{first}{more}", refresh=False)
        here = self.done + sum(n_runs * share for _, n_runs, share in self.parts.values())
        self.bar.update(min(here, self.bar.total) - self.bar.n)

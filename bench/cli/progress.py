"""Progress on stderr: bars on a terminal; elsewhere a line per finished pack, of a study per generation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.contract import PlannedRun, Result
from bench.names import OK

DOWNLOAD_LINE_SECONDS = 5.0
BAR_WIDTH = 44  # columns of a line's bar, numbers and times on a narrow terminal
ANNOUNCED_SECONDS = 30.0  # what takes longer is said in a line of its own
ESTIMATE_SECONDS = 900.0  # the time left is told from the speed in so many; packs and trials may take minutes


def pack_label(runs: Sequence[PlannedRun]) -> str:
    """Return a pack's name: its arms and how many runs it holds."""
    arms = list(dict.fromkeys(run.arm for run in runs))
    named = ", ".join(arms[:3]) + (f" and {len(arms) - 3} more" if len(arms) > 3 else "")
    return f"{named} × {len(runs)}"


def shortened(text: str, width: int) -> str:
    """Return the text, its end left out where it is longer than `width`."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def roughly(seconds: float) -> str:
    """Return a time in words that promise no more than an estimate can."""
    if seconds < 100:
        return f"some {seconds:.0f} s"
    return f"some {seconds / 60:.0f} min" if seconds < 6000 else f"some {seconds / 3600:.0f} h"


class _Announcer(Protocol):
    """Who says once how long runs take: how many they are, since when, and whether it has been said."""

    total: int
    planned_at: float
    has_announced: bool

    def note(self, text: str) -> None:
        """Tell the user one line."""


def announce(reporter: _Announcer, left: float) -> None:
    """Have the reporter say how long runs will take in all, `left` seconds from now; once, and not of a short time."""
    elapsed = time.monotonic() - reporter.planned_at
    if reporter.has_announced or elapsed + left < ANNOUNCED_SECONDS:
        return
    reporter.has_announced = True
    whole = roughly(elapsed + left)
    reporter.note(f"{whole} for {reporter.total} runs in all: an estimate, by their first {elapsed:.0f} s")


class Lines:
    """One line per event that matters; for logs, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.running: dict[int, str] = {}
        self.done = self.total = 0
        self.last_download = self.began = self.planned_at = time.monotonic()
        self.expected: float | None = None  # seconds that are left
        self.has_announced = False

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def note(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def planned(self, n_todo: int, n_done: int, n_packs: int) -> None:
        """Print what there is to do."""
        self.total, self.done, self.planned_at = n_todo, 0, time.monotonic()
        self.expected, self.has_announced = None, False
        already = f", {n_done} done before" if n_done else ""
        self.note(f"{n_todo} runs to do in {n_packs} packs{already}")

    def expect(self, seconds: float) -> None:
        """Print once how long it will take in all."""
        self.expected = seconds
        announce(self, seconds)

    def trials(self, done: float, total: int, *, ended: bool) -> None:
        """Print one line at the end of each generation."""
        if ended:
            self.note(f"[{done:.0f}/{total}] trials, {time.monotonic() - self.began:.1f} s")

    def download(self, name: str, done: int, total: int | None) -> None:
        """Print a download's progress, every few seconds and at its end."""
        if done == total or time.monotonic() - self.last_download >= DOWNLOAD_LINE_SECONDS:
            self.last_download = time.monotonic()
            self.note(f"{name}: {done / 1e6:,.1f}{f' of {total / 1e6:,.1f}' if total else ''} MB")

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        """Remember what the worker holds."""
        self.running[worker] = pack_label(runs)

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Print nothing: a log has no use for steps."""

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        """Print the pack, its time, and the first failure if there is one; no results: it is tried again."""
        if not results:
            self.note(f"{self.running.get(worker, '')} lost its worker; tried again in smaller packs")
            return
        self.done += len(results)
        bad = [result for result in results if result.status != OK]
        failed = f", {len(bad)} {bad[0].status}: {bad[0].error}" if bad else ""
        self.note(
            f"[{self.done}/{self.total}] {self.running.get(worker, '')} in {seconds:.1f} s{self._left()}{failed}"
        )

    def _left(self) -> str:
        """Return in words how long the rest will take: as expected, else at the speed so far; nothing at the end."""
        seconds = self.expected
        if seconds is None:
            seconds = (time.monotonic() - self.planned_at) / self.done * (self.total - self.done)
        return "" if seconds < 1 else f", {roughly(seconds)} left"


class Bars(Lines):
    """Nested bars: all runs, and the pack of each worker."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None if console.width > 100 else 16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            speed_estimate_period=ESTIMATE_SECONDS,
        )
        self.tasks: dict[Any, Any] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def planned(self, n_todo: int, n_done: int, n_packs: int) -> None:
        """Open the bar of all runs."""
        super().planned(n_todo, n_done, n_packs)
        for name in ("trials", "runs"):
            if name in self.tasks:
                self.progress.remove_task(self.tasks.pop(name))
        self.tasks["runs"] = self.progress.add_task("runs", total=n_todo)

    def trials(self, done: float, total: int, *, ended: bool) -> None:  # noqa: ARG002  (the bar always moves)
        """Move the one bar of a study's trials, those of all arms and folds."""
        if "trials" not in self.tasks:
            self.tasks["trials"] = self.progress.add_task("trials", total=total, completed=int(done))
        self.progress.update(self.tasks["trials"], completed=done)

    def download(self, name: str, done: int, total: int | None) -> None:
        """Move the download's bar, in kilobytes."""
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(f"{name} (kB)", total=None)
        self.progress.update(self.tasks[name], completed=done // 1000, total=total // 1000 if total else None)

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        """Open a bar below the runs' for the pack; its length is known at its first report."""
        super().pack_started(worker, runs)
        room = max(12, self.console.width - BAR_WIDTH)  # the bar, its numbers and times stand beside it
        self.tasks[worker] = self.progress.add_task(f"  {shortened(pack_label(runs), room)}", total=None)

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Move the pack's bar."""
        self.progress.update(self.tasks[worker], completed=step, total=steps)

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        """Close the pack's bar, move the runs', and keep a failure on the screen."""
        self.progress.remove_task(self.tasks.pop(worker))
        self.progress.advance(self.tasks["runs"], len(results))
        if not results or any(result.status != OK for result in results):
            super().pack_finished(worker, results, seconds)
        else:
            self.done += len(results)


def reporter(console: Console) -> Lines:
    """Return bars on a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)

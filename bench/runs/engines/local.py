"""The local engine: packs over worker processes, or in this process.

Workers are started from a fork server that has the imports behind it, where the platform has one, and import nothing
from the working folder. Each has the table once and one thread share of the machine. When a worker dies or runs out
of time, a new one takes its place and what is left of its pack is tried again in halves; a run that was alone becomes
a record with a status.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Self, cast

import torch
from threadpoolctl import threadpool_limits

from bench.contract import Bench, PlannedRun, Reporter, Result
from bench.errors import BadWorker, BenchError
from bench.machine import keep_freed_memory
from bench.names import FAILED, TIMEOUT, cores
from bench.networks.compiled.kernel import engine
from bench.platforms import check_package, package_folder, without_working_folder, worker_context
from bench.runs.recording import record_failure
from bench.runs.run import Run
from bench.runs.workbench import Workbench

HEARTBEAT_SECONDS = 0.25  # the shortest interval between two messages of a pack's progress
_READY = "ready"  # the first message of a worker
_NEVER_BEGAN = (
    "A worker process ended with an error, printed above, before it could begin. In a script that asks for workers, "
    'keep what calls bench under `if __name__ == "__main__":`, since each worker imports the script; or run without '
    "workers (workers=0)."
)
_PRELOAD = [
    "bench.runs.evaluate",
    "bench.methods.meta_weight_net",
    "bench.methods.metabalance",
    "bench.methods.network",
    "imblearn.combine",
    "imblearn.ensemble",
    "sklearn.linear_model",
    "xgboost",
]


@dataclass(frozen=True)
class Local:
    """Packs on this machine: a crew of worker processes, or this process."""

    name: str = "local"
    description: str = "this machine: worker processes, or with --workers 0 this process"

    def run(
        self,
        packs: Sequence[Sequence[PlannedRun]],
        bench: Bench,
        reporter: Reporter,
        *,
        workers: int,
        timeout: float | None = None,
    ) -> list[Result]:
        """Run all packs with a crew of their own and return their results (`Crew.run`)."""
        assert isinstance(bench, Workbench)  # noqa: S101  (for mypy: there is no other)
        with Crew(bench, workers) as crew:
            return crew.run(
                cast("Sequence[Sequence[Run]]", packs), reporter, timeout
            )  # nor are there other runs


ENGINE = Local()


def _run_here(bench: Workbench, members: Sequence[Run], reporter: Reporter) -> list[Result]:
    started = time.perf_counter()
    reporter.pack_started(0, members)
    results = bench.run_pack(members, lambda step, steps: reporter.pack_progress(0, step, steps))
    reporter.pack_finished(0, results, time.perf_counter() - started)
    return results


@dataclass
class _Worker:
    """One process, the pack it holds, and since when."""

    process: Any
    pipe: Connection
    pack: Sequence[Run] = ()
    since: float = 0.0
    wall: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: bool = False  # it has said that it is ready for packs


_Ended = tuple[list[Result], list[Sequence[Run]]]


class Crew:
    """Worker processes for one workbench, or with a size of 0 this process; they stay from one run to the next.

    Used as a context: whatever ends it, no worker outlives it and no temporary file stays.
    """

    def __init__(self, bench: Workbench, size: int) -> None:
        self.bench, self.size = bench, size
        self.context = worker_context()
        self.pids: list[int] = []
        self.members: list[_Worker] = []

    def __enter__(self) -> Self:
        """Begin; workers are started when there is work for them."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every worker and remove what a killed one left half written."""
        for worker in self.members:
            worker.process.terminate()
        for worker in self.members:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self.bench.store.sweep(self.pids)

    def run(
        self, packs: Sequence[Sequence[Run]], reporter: Reporter, timeout: float | None = None
    ) -> list[Result]:
        """Run all packs and return their results.

        `timeout` is in seconds per run, so a pack of K runs has K times as much; it needs at least one worker.
        """
        if self.size == 0:
            return [result for members in packs for result in _run_here(self.bench, members, reporter)]
        self._fill(min(self.size, len(packs)))
        return list(_run_in(self, list(packs), reporter, timeout))

    def _fill(self, size: int) -> None:
        """Start workers until there are as many."""
        if not self.members:
            engine(self.bench.device)  # compiles the kernel if need be: once, not once in each worker
            self.context.set_forkserver_preload(_PRELOAD)
            with without_working_folder():
                resource_tracker.ensure_running()  # it lifts the hold on interrupts, so it goes first
                with _interrupts_held():
                    if self.context.get_start_method() == "forkserver":
                        forkserver.ensure_running()
        for worker in [member for member in self.members if not member.process.is_alive()]:
            worker.pipe.close()  # it ended between two runs: no pack is to blame
            self.members.remove(worker)
        while len(self.members) < size:
            self.members.append(self.hire())

    def hire(self) -> _Worker:
        """Start one worker; it waits for packs."""
        threads = max(1, cores() // self.size)
        ours, theirs = self.context.Pipe()
        given = (theirs, package_folder(), self.bench, threads)
        process = self.context.Process(target=_work, args=given, daemon=True)
        try:
            with without_working_folder(), _interrupts_held():
                process.start()
        except BrokenPipeError:  # it ended while it was being told what to do
            raise BadWorker(_NEVER_BEGAN) from None
        theirs.close()
        self.pids.append(process.pid or 0)
        return _Worker(process, ours)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold an interrupt back; processes started meanwhile never get one: it is this process's to answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_in(
    crew: Crew, waiting: list[Sequence[Run]], reporter: Reporter, timeout: float | None
) -> Iterator[Result]:
    while waiting or any(worker.pack for worker in crew.members):
        for place, worker in enumerate(crew.members):
            if waiting and not worker.pack:
                _give(worker, waiting.pop(0))
                reporter.pack_started(place, worker.pack)
        wait([worker.pipe for worker in crew.members if worker.pack], timeout=1.0)
        for place, worker in enumerate(crew.members):
            if worker.pack:
                ended = _listen(crew, place, reporter, timeout)
                if ended is not None:
                    results, again = ended
                    reporter.pack_finished(place, results, time.perf_counter() - worker.since)
                    worker.pack = ()
                    waiting = again + waiting
                    yield from results


def _give(worker: _Worker, pack: Sequence[Run]) -> None:
    worker.pack, worker.since, worker.wall = pack, time.perf_counter(), datetime.now(UTC)
    with contextlib.suppress(BrokenPipeError):  # a worker that has died is noticed when it is listened to
        worker.pipe.send(pack)


def _listen(crew: Crew, place: int, reporter: Reporter, timeout: float | None) -> _Ended | None:
    """Return the results of the worker's pack if it has ended in whatever way, and packs to try again; else None."""
    worker = crew.members[place]
    try:
        while worker.pipe.poll():
            message = worker.pipe.recv()
            if isinstance(message, BenchError):
                raise message
            if isinstance(message, list):
                return message, []
            if message == _READY:
                worker.began = True
            else:
                reporter.pack_progress(place, *message)
    except (EOFError, ConnectionResetError):
        worker.process.join()
        code = worker.process.exitcode
        if code == 1 and not worker.began:
            raise BadWorker(_NEVER_BEGAN) from None
        cause = " (killed: out of memory, or from outside)" if code == -signal.SIGKILL else ""
        return _replace(crew, place, FAILED, f"the worker process ended with code {code}{cause}")
    if timeout is not None and time.perf_counter() - worker.since > timeout * len(worker.pack):
        worker.process.kill()
        worker.process.join()
        return _replace(crew, place, TIMEOUT, f"more than {timeout:g} seconds per run")
    return None


def _replace(crew: Crew, place: int, status: str, reason: str) -> _Ended:
    """Put a new worker in the place of an ended one; return what its pack had done, and halves of what it had not.

    A run that was alone is the one to blame, and becomes a record.
    """
    ended = crew.members[place]
    store = crew.bench.store
    store.sweep([ended.process.pid])
    results: list[Result] = []
    left: list[Run] = []
    for run in ended.pack:
        record = store.read(run.dataset, run.key)
        if record is not None and record.started is not None and record.started >= ended.wall:
            results.append(
                Result(run.key, run.arm, record.status, record.error, not_finite=bool(record.not_finite))
            )
        else:
            left.append(run)
    if len(ended.pack) == 1 and left:
        results.append(record_failure(store, left.pop(), status, reason, ended.wall, crew.bench.table))
    ended.pipe.close()
    crew.members[place] = crew.hire()
    middle = len(left) // 2
    return results, [half for half in (left[:middle], left[middle:]) if half]


def _work(pipe: Connection, package: Path, bench: Workbench, threads: int) -> None:
    """Be a worker: take packs from the pipe until it closes; an interrupt is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    torch.set_num_threads(threads)
    with threadpool_limits(threads), contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            check_package(package)
        except BadWorker as error:
            pipe.send(error)
            return
        pipe.send(_READY)
        while True:
            pack = pipe.recv()
            try:
                pipe.send(bench.run_pack(pack, _Heartbeat(pipe)))
            except BenchError as error:
                pipe.send(error)


class _Heartbeat:
    """Sends progress up the pipe, not more often than the heartbeat."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.last = pipe, 0.0

    def __call__(self, step: int, steps: int) -> None:
        now = time.monotonic()
        if now - self.last >= HEARTBEAT_SECONDS:
            self.last = now
            try:
                self.pipe.send((step, steps))
            except OSError:  # nobody listens any more: end, and leave no record of a failure that is none
                raise SystemExit(1) from None

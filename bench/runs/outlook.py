"""How long the runs of a plan will take, told as soon as the first of them show it.

A machine, a table and an arm make a run last a second or an hour, and no number that was measured elsewhere holds for
all three. So nothing is said before something is measured: the share of a pack that is done, and packs that ended.
What has not begun is taken to last as long per run as its arm did so far or, where its arm was not met, in proportion
to the methods' rough costs (`bench.contract.Method.cost`). It is an estimate, and improves as more arms are met.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.contract import PlannedRun, Result
from bench.methods import method
from bench.runs.prepare import FullReporter
from bench.runs.run import Run

SETTLE_SECONDS = 5.0  # before which a share says too little


@dataclass
class _Pack:
    """A pack under way: since when, whether it prepares runs before it trains them, and what share was done when."""

    runs: Sequence[PlannedRun]
    began: float
    prepares: bool = False
    first: tuple[float, float] | None = None  # share and time
    last: tuple[float, float] | None = None

    def note(self, share: float, now: float) -> None:
        """Take note of a share; none is of a pack that prepares its runs, or begins anew in halves."""
        if share == 0:
            self.prepares, self.first, self.last = True, None, None
        elif self.first is None:
            self.first = (share, now)
        else:
            self.last = (share, now)

    def seconds(self) -> float | None:
        """Return how long all of it takes; None where that does not show yet."""
        if self.first is None:
            return None
        share, then = self.last or self.first
        if not self.prepares:
            return (then - self.began) / share
        first_share, first = self.first
        if share <= first_share:
            return None
        return first - self.began + (1 - first_share) * (then - first) / (share - first_share)


class Outlook:
    """Hands on what an engine reports, and tells the reporter how many seconds all runs will still take."""

    def __init__(
        self,
        reporter: FullReporter,
        packs: Sequence[Sequence[Run]],
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reporter, self.clock = reporter, clock
        self.workers = max(1, min(workers, len(packs)))
        self.costs = {run.arm: method(run.method).cost for pack in packs for run in pack}
        self.waiting = Counter(run.arm for pack in packs for run in pack)
        self.under_way: dict[int, _Pack] = {}
        self.ended: dict[str, list[float]] = {}  # by arm, the seconds of its runs
        self.began = clock()

    def pack_started(self, worker: int, runs: Sequence[PlannedRun]) -> None:
        """Take note that a pack has begun."""
        self.under_way[worker] = _Pack(runs, self.clock())
        self.waiting.subtract(run.arm for run in runs)
        self.reporter.pack_started(worker, runs)

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        """Take note of the share of a pack that is done, and tell what that says of the whole."""
        self.reporter.pack_progress(worker, step, steps)
        if worker in self.under_way:
            self.under_way[worker].note(step / max(1, steps), self.clock())
        if self.clock() - self.began >= SETTLE_SECONDS:
            self._tell()

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        """Take note of how long the pack's runs took, and tell what that says of the others."""
        pack = self.under_way.pop(worker, None)
        ended = {result.key for result in results}
        for run in pack.runs if pack else ():
            if run.key in ended:
                self.ended.setdefault(run.arm, []).append(seconds / len(ended))
            else:
                self.waiting[run.arm] += 1
        self._tell()
        self.reporter.pack_finished(worker, results, seconds)

    def _tell(self) -> None:
        """Tell the reporter the seconds that are left, where they can be estimated."""
        now, per_run = self.clock(), self._seconds_per_run()
        if per_run is None:
            return
        left = [
            max(0.0, (pack.seconds() or sum(per_run[run.arm] for run in pack.runs)) - (now - pack.began))
            for pack in self.under_way.values()
        ]
        waiting = sum(count * per_run[arm] for arm, count in self.waiting.items() if count > 0)
        self.reporter.expect(max([(sum(left) + waiting) / self.workers, *left]))

    def _seconds_per_run(self) -> Mapping[str, float] | None:
        """Return by arm how long a run takes, measured or in proportion to the costs; None where nothing tells it."""
        measured: dict[str, list[float]] = {arm: list(seconds) for arm, seconds in self.ended.items()}
        for pack in self.under_way.values():
            if seconds := pack.seconds():
                for run in pack.runs:
                    measured.setdefault(run.arm, []).append(seconds / len(pack.runs))
        known = {arm: sum(seconds) / len(seconds) for arm, seconds in measured.items()}
        cost = sum(self.costs[arm] for arm in known)
        if not cost and any(cost for arm, cost in self.costs.items() if arm not in known):
            return None
        speed = sum(seconds for arm, seconds in known.items() if self.costs[arm]) / cost if cost else 0.0
        return {arm: known.get(arm, speed * cost) for arm, cost in self.costs.items()}

"""Workers change no result; what dies, hangs or raises costs its own runs, and an interrupt costs nothing."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import plugins
from bench.arms.arm import ARMS
from bench.cli import app as cli
from bench.contract import Arm, Result
from bench.data.cards import card_for_file
from bench.data.encode import Part
from bench.data.table import Table
from bench.errors import SamplerTimeout
from bench.methods import methods
from bench.protocols import protocol_named
from bench.runs import evaluate
from bench.runs.engines.local import ENGINE, Crew
from bench.runs.evaluate import run_pack
from bench.runs.run import Run, packs, plan
from bench.runs.workbench import Workbench, choose_device
from bench.stats.metrics import METRICS
from bench.store.folder import Store
from bench.store.parquet import read_checked
from bench.store.schema import SCORES
from tests.conftest import FAST, console_script, offline

Listed = Callable[..., list[Run]]
ENDLESS = {"steps": 10_000_000, "evaluations": 100_000, "patience": 10_000_000}


def quick(name: str, **settings: Any) -> Arm:
    """Return a registered arm whose network trains for a few steps, if it is one."""
    arm = ARMS[name]
    fast = FAST if "steps" in methods()[arm.method].config.model_fields else {}
    return replace(arm, settings={**arm.settings, **fast, **settings})


@dataclass
class Quiet:
    """A reporter that keeps what it is told, and may act on a pack's progress."""

    on_progress: Callable[[], None] = lambda: None
    finished: list[list[Result]] = field(default_factory=list)

    def pack_started(self, worker: int, runs: Sequence[Run]) -> None:
        pass

    def pack_progress(self, worker: int, step: int, steps: int) -> None:
        self.on_progress()

    def pack_finished(self, worker: int, results: Sequence[Result], seconds: float) -> None:
        self.finished.append(list(results))


def elsewhere(workbench: Workbench, name: str) -> Workbench:
    """Return the workbench with another, empty results folder."""
    return replace(workbench, store=Store(workbench.store.root / name), encoded={})


def scores(workbench: Workbench, run: Run) -> bytes:
    path = workbench.store.scores_path(run.dataset, run.key)
    return b"".join(buffer.to_pybytes() for buffer in column_buffers(path))


def column_buffers(path: Path) -> list[Any]:
    found = read_checked(path, SCORES).combine_chunks()
    return [buffer for column in found.columns for buffer in column.chunk(0).buffers() if buffer]


def test_two_workers_give_the_bits_that_this_process_gives(workbench: Workbench, runs_of: Listed) -> None:
    """Whatever the workers and the packs: scores, thresholds and metrics are the same to the last bit."""
    arms = ("prevalence", "logistic-regression", "none", "smote", "metabalance", "xgboost")
    runs = runs_of(*map(quick, arms))
    here, there = elsewhere(workbench, "here"), elsewhere(workbench, "there")
    alone = ENGINE.run(packs(runs, pack=1, workers=1), here, Quiet(), workers=0)
    crew = ENGINE.run(packs(runs, pack=None, workers=2), there, Quiet(), workers=2)
    assert {r.key: r for r in alone} == {r.key: r for r in crew}
    assert {r.status for r in alone} == {"ok"}
    for run in runs:
        assert scores(here, run) == scores(there, run)
        one, other = (bench.store.read(run.dataset, run.key) for bench in (here, there))
        assert one is not None
        assert other is not None
        assert (one.threshold, one.steps) == (other.threshold, other.steps)
        assert set(one.valid) == set(one.test) == set(METRICS)
        assert (one.valid, one.test) == (other.valid, other.test)
    assert not list(there.store.root.rglob("*.tmp"))


def test_every_pack_is_reported_when_its_records_are_there(workbench: Workbench, runs_of: Listed) -> None:
    runs = runs_of(quick("prevalence"), quick("none"))
    told = Quiet()
    results = ENGINE.run(packs(runs, pack=2, workers=1), workbench, told, workers=0)
    assert [r for pack in told.finished for r in pack] == results
    assert all(len(pack) <= 2 for pack in told.finished)
    assert {r.key for r in results} == set(workbench.store.keys("loan-sim"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SamplerTimeout("too slow"), "timeout"),
        (ValueError("no neighbours"), "failed"),
        (MemoryError(), "oom"),
    ],
)
def test_a_sampler_that_fails_costs_its_own_runs_and_the_pack_trains_without_them(
    workbench: Workbench,
    runs_of: Listed,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: str,
) -> None:
    """One pack of three folds of `none` and of `smote`: the sampler is asked once a fold, and never again."""
    asked = []

    def resample_or_not(part: Part, sampler: str | None, seed: int, *, since: float) -> Part:
        if sampler is None:
            return part
        asked.append(seed)
        raise error

    monkeypatch.setattr(evaluate, "resample", resample_or_not)
    runs = runs_of(quick("none"), quick("smote"))
    results = run_pack(workbench, runs, lambda step, steps: None)
    assert [(r.arm, r.status) for r in results] == [("none", "ok")] * 3 + [("smote", status)] * 3
    assert len(asked) == 3
    for run, result in zip(runs, results, strict=True):
        record = workbench.store.read(run.dataset, run.key)
        assert record is not None
        assert record.status == result.status
        assert record.pack_size == (3 if run.arm == "none" else None)
        assert (type(error).__name__ in (record.error or "")) == (run.arm == "smote")


def test_a_results_seconds_cover_what_a_run_goes_through(workbench: Workbench, runs_of: Listed) -> None:
    (result,) = run_pack(workbench, runs_of(quick("smote"))[:1], lambda step, steps: None)
    stages = {"encoding", "resampling", "training", "scoring", "measuring", "writing"}
    assert set(result.seconds) == stages
    assert all(seconds > 0 for seconds in result.seconds.values())
    record = workbench.store.read("loan-sim", result.key)
    assert record is not None
    assert record.fit_seconds == result.seconds["training"]


def test_a_killed_worker_costs_a_run_that_was_alone_and_the_rest_goes_on(
    workbench: Workbench, runs_of: Listed
) -> None:
    endless, rest = runs_of(quick("none", **ENDLESS))[:1], runs_of(quick("prevalence"))

    def kill() -> None:
        if not told.finished:
            (process,) = multiprocessing.active_children()
            os.kill(process.pid or 0, signal.SIGKILL)

    told = Quiet(kill)
    results = ENGINE.run([endless, rest], workbench, told, workers=1)
    assert {(r.arm, r.status) for r in results} == {("none", "failed"), ("prevalence", "ok")}
    for run in endless:
        record = workbench.store.read(run.dataset, run.key)
        assert record is not None
        assert "code -9 (killed: out of memory, or from outside)" in (record.error or "")
        assert record.data_source == "simulator"
    assert len(results) == 4
    assert not multiprocessing.active_children()


def test_a_crew_stays_from_one_run_to_the_next_and_replaces_who_died_between(
    workbench: Workbench, runs_of: Listed
) -> None:
    """A worker that dies with nothing in hand fails no run."""
    first, second, third = ([run] for run in runs_of(quick("prevalence")))
    pids = []
    with Crew(workbench, 1) as crew:
        for packed in (first, second, third):
            assert [result.status for result in crew.run([packed], Quiet())] == ["ok"]
            (process,) = multiprocessing.active_children()
            pids.append(process.pid)
            if packed is second:
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
    assert pids[0] == pids[1] != pids[2]
    assert not multiprocessing.active_children()


def test_the_pack_of_a_killed_worker_is_tried_again_in_halves(workbench: Workbench, runs_of: Listed) -> None:
    """What killed it may be one run's doing, or nobody's: no other run is to blame."""
    killed = []

    def kill_once() -> None:
        if not killed:
            (process,) = multiprocessing.active_children()
            killed.append(process.pid)
            os.kill(process.pid or 0, signal.SIGKILL)

    told = Quiet(kill_once)
    runs = runs_of(quick("none", steps=2000, patience=100))
    results = ENGINE.run([runs], workbench, told, workers=1)
    assert sorted((r.key, r.status) for r in results) == sorted((run.key, "ok") for run in runs)
    assert [len(done) for done in told.finished] == [0, 1, 2]
    assert killed


def test_a_pack_that_takes_too_long_is_ended_and_the_rest_goes_on(
    workbench: Workbench, runs_of: Listed
) -> None:
    endless, rest = runs_of(quick("none", **ENDLESS)), runs_of(quick("prevalence"))
    results = ENGINE.run([endless[:1], rest], workbench, Quiet(), workers=1, timeout=3.0)
    assert [(r.arm, r.status, r.error) for r in results] == [
        ("none", "timeout", "more than 3 seconds per run"),
        *[("prevalence", "ok", None)] * 3,
    ]
    assert not list(workbench.store.root.rglob("*.tmp"))
    assert not multiprocessing.active_children()


def far_apart() -> Workbench:
    """Return classes that never meet, where ADASYN can make no row."""
    rng = np.random.default_rng(0)
    y = np.array([1] * 30 + [0] * 170, dtype=np.int8)
    X = pd.DataFrame({"a": rng.normal(size=200) + 1000.0 * y})
    table = Table(card_for_file(Path("apart.csv"), target="y"), X, y, "0" * 64, "file")
    splits = protocol_named("strict").splits(table, folds=3)
    return Workbench(table, {part.sha256: part for part in splits}, Store(Path()), "cpu")


def test_a_sampler_that_cannot_work_fails_its_runs_and_none_of_its_company(tmp_path: Path) -> None:
    bench = replace(far_apart(), store=Store(tmp_path / "together"))
    alone = replace(bench, store=Store(tmp_path / "alone"))
    listed = [
        plan(bench.table, protocol_named("strict"), list(bench.splits.values()), [quick(a)], 1)
        for a in ("none", "adasyn")
    ]
    together = [run for pair in zip(*listed, strict=True) for run in pair]
    assert len({run.static for run in together}) == 1
    results = run_pack(bench, together, lambda step, steps: None)
    assert [(r.arm, r.status) for r in results] == [("none", "ok"), ("adasyn", "failed")] * 3
    record = bench.store.read("apart", results[1].key)
    assert record is not None
    assert str(record.error).startswith("RuntimeError: Not any neigbours belong to the majority class")
    assert record.test["average_precision"] is None
    run_pack(alone, listed[0], lambda step, steps: None)
    assert [scores(bench, run) for run in listed[0]] == [scores(alone, run) for run in listed[0]]


def test_a_network_that_diverges_is_a_failed_run(workbench: Workbench, runs_of: Listed) -> None:
    wild = replace(quick("none", lr=1e30, optimiser="sgd"), name="wild")
    runs = [*runs_of(wild), *runs_of(replace(quick("none", optimiser="sgd"), name="tame"))]
    results = run_pack(workbench, runs, lambda step, steps: None)
    assert [(r.arm, r.status) for r in results] == [("wild", "failed")] * 3 + [("tame", "ok")] * 3
    assert "NotFinite" in str(results[0].error)


BROKEN = '''"""A method that trains, and breaks when it is asked to score."""

from bench.contract import Fitted
from bench.methods.prevalence import Config, space

VERSION = 1


def fit(members, device, progress):
    return [Fitted(broken) for _ in members]


def broken(part):
    raise RuntimeError("no\\n  memory left")
'''


def test_a_method_that_breaks_while_scoring_is_a_failed_run(
    workbench: Workbench, runs_of: Listed, tmp_path: Path
) -> None:
    file = tmp_path / "broken.py"
    file.write_text(BROKEN)
    plugins.use([file])
    results = run_pack(workbench, runs_of(Arm("broken", "broken")), lambda step, steps: None)
    assert [(r.status, r.error) for r in results] == [
        ("failed", f"RuntimeError: no memory left ({file}, line 14)")
    ] * 3


def test_a_record_says_what_it_took(workbench: Workbench, runs_of: Listed) -> None:
    (run, *_) = runs = runs_of(quick("smote"))
    run_pack(workbench, runs, lambda step, steps: None)
    record = workbench.store.read(run.dataset, run.key)
    assert record is not None
    part = workbench.splits[run.split_sha256]
    assert (record.n_valid, record.n_test) == (len(part.valid), len(part.test))
    assert record.n_test_positive == workbench.table.y[part.test].sum()
    assert record.n_train == len(part.train)  # whatever a sampler makes of them
    assert (record.steps, record.samples_seen) == (60, 60 * 640)
    assert record.best_step is not None
    assert 0 < record.best_step <= 60
    assert (record.sampler, record.loss, record.device) == ("smote", "cross-entropy", "cpu")
    assert json.loads(record.config) == run.config
    assert {"bench", "torch", "numpy"} <= set(json.loads(record.versions or ""))
    assert record.started is not None
    assert record.started <= record.finished
    assert record.peak_memory_mb is not None
    assert record.peak_memory_mb > 10


def test_a_device_that_is_unknown_or_absent_is_refused() -> None:
    import torch

    from bench.errors import BadSetting, UnknownName

    assert choose_device("cpu") == "cpu"
    with pytest.raises(
        UnknownName, match=r"Unknown device 'gpu'\. Did you mean 'cpu'\? Known: auto, cpu, cuda"
    ):
        choose_device("gpu")
    if torch.cuda.is_available():
        assert choose_device("auto") == choose_device("cuda") == "cuda"
    else:
        assert choose_device("auto") == "cpu"
        with pytest.raises(BadSetting, match="finds no CUDA device here"):
            choose_device("cuda")


WORDS = ("run", "--dataset", "loan-sim", "--rows", "600", "--folds", "3", "--seeds", "1")


def test_a_disk_that_fills_up_ends_a_worker_s_run_with_a_clear_word_and_loses_nothing(
    tmp_path: Path,
) -> None:
    again((*WORDS, "--arm", "prevalence", "--workers", "0"), tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.parquet")}
    full = subprocess.run(
        [console_script(), *WORDS, "--arm", "prevalence", "--arm", "logistic-regression", "--workers", "1"],
        cwd=tmp_path,
        env=offline(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)),
    )
    assert full.returncode == 4, full.stderr
    assert "No space left to write" in full.stderr
    assert "run the same command again" in full.stderr
    assert "Traceback" not in full.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.parquet")} == before
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let children be interrupted also where the tests run in the background, which ignores Ctrl-C for them all."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_loses_nothing_and_the_same_command_does_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interruptible: None
) -> None:
    """A real Ctrl-C, to every process of the terminal's group, while one worker trains."""
    words = (*WORDS, "--arm", "prevalence", "--arm", "none", "--workers", "2")
    words += ("--set", "steps=3000", "--set", "patience=3000")
    with subprocess.Popen(
        [console_script(), *words],
        cwd=tmp_path,
        env=offline(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("[3/6] prevalence"):
                break
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    command = f"bench {' '.join(words)}"
    assert stderr == f"Interrupted. Everything finished is kept; go on with:\n  {command}\n"
    store = Store(tmp_path / "results")
    assert {record.arm for record in store.records("loan-sim")} == {"prevalence"}
    assert len(store.keys("loan-sim")) == 3
    assert not list(tmp_path.rglob("*.tmp"))
    assert gone(process.pid), "a worker outlived the command"
    again(words, tmp_path)
    assert "6 runs (3 done before), 0 failed" in capsys.readouterr().out


def again(words: Sequence[str], folder: Path) -> None:
    """Run the command in this process, whose fork server is up, and expect it to end well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["bench", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code


def gone(group: int) -> bool:
    """Return whether every process of the group has ended, waiting a little for the last."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def wait_for_worker(group: int) -> None:
    """Wait until the command, its resource tracker, its fork server and a worker are there, and at work."""
    for _ in range(600):
        stats = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                stats.append(path.read_text())
        groups = [int(stat.rpartition(")")[2].split()[2]) for stat in stats]
        if groups.count(group) >= 4:
            break
        time.sleep(0.1)
    time.sleep(3)


def test_a_killed_parent_leaves_no_failure_that_is_none(tmp_path: Path) -> None:
    """Its workers find nobody to report to and end; the same command does the rest."""
    endless = [f"{name}={value}" for name, value in ENDLESS.items()]
    words = ["run", "--dataset", "loan-sim", "--rows", "600", "--arm", "none", "--folds", "2", "--seeds", "1"]
    words += ["--workers", "1", "--results", str(tmp_path)] + [w for pair in endless for w in ("--set", pair)]
    command = [console_script(), *words]
    for number in (signal.SIGTERM, signal.SIGKILL):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as parent:
            wait_for_worker(parent.pid)
            parent.send_signal(number)
            _, told = parent.communicate(timeout=60)
        assert parent.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL)
        assert "Traceback" not in told
        time.sleep(3)
        assert Store(tmp_path).records("loan-sim") == []


@pytest.mark.parametrize(("given", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_do_not_spin_unless_they_are_told_to(given: str | None, found: str) -> None:
    """The policy stands before any OpenMP library is loaded, which reads it but once."""
    code = (
        "import sys, bench, os; print(os.environ['OMP_WAIT_POLICY'], {'torch', 'xgboost'} & {*sys.modules})"
    )
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    env |= {"OMP_WAIT_POLICY": given} if given else {}
    told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [found, "set()"]

"""Where bench runs, and what the processes that it starts may import."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import platforms
from bench.errors import BadPlatform, BadWorker
from bench.platforms import check_platform, without_working_folder, worker_context
from bench.runs.engines.local import ENGINE, Crew
from bench.runs.run import Run
from bench.runs.workbench import Workbench
from tests.conftest import Script, offline
from tests.runs.engines.test_local import Quiet, quick

Listed = Callable[..., list[Run]]

SHADOWS = ("numpy", "torch", "random", "queue", "socket", "selectors", "pandas", "xgboost", "bench")
TRAP = (
    "from pathlib import Path\nPath(r'{0}').touch()\nraise RuntimeError('imported from the working folder')\n"
)
RUN = ("run", "--dataset", "loan-sim", "--rows", "600", "--folds", "2", "--seeds", "1", "--arm", "prevalence")


def lay_traps(folder: Path) -> Path:
    """Write files named like modules that ours import; return the marker that each of them leaves if it is imported."""
    marker = folder / "imported"
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(TRAP.format(marker))
    return marker


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=offline(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# The working folder


def test_files_beside_the_data_are_not_imported(bench: Script, tmp_path: Path) -> None:
    """Not by the command, its resource tracker, its fork server or a worker."""
    marker = lay_traps(tmp_path)
    ended = bench(*RUN, "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    assert "2 runs (0 done before), 0 failed" in ended.stdout
    assert not marker.exists()


def test_a_session_whose_path_begins_with_the_working_folder_hands_it_to_no_worker(tmp_path: Path) -> None:
    """In `python -c`, which has its own imports behind it when the files appear."""
    code = f"""
import random, queue, socket, selectors, bench, xgboost, sys
import bench.runs.engines.local, bench.workflows.run, bench.workflows.study, bench.cli.progress
from pathlib import Path
assert sys.path[0] == ""
for name in {SHADOWS}:
    Path(name + ".py").write_text({TRAP.format(tmp_path / "imported")!r})
print(len(bench.run(dataset="loan-sim", rows=600, folds=2, seeds=1, arms=["prevalence"], workers=1)))
assert sys.path[0] == ""
"""
    ended = python(tmp_path, "-c", code)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr
    assert not (tmp_path / "imported").exists()


SCRIPT = """
import bench
import beside

if __name__ == "__main__":
    board = bench.run(dataset="loan-sim", rows=600, folds=2, seeds=1, arms=["prevalence"], workers=1)
    print(len(board), beside.WORD)
"""


@pytest.mark.slow
def test_a_users_script_with_workers_imports_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WORD = 'there'")
    (tmp_path / "script.py").write_text(SCRIPT)
    ended = python(tmp_path, "script.py")
    assert (ended.returncode, ended.stdout) == (0, "1 there\n"), ended.stderr


@pytest.mark.slow
def test_a_users_script_that_every_worker_would_run_again_is_told_so(tmp_path: Path) -> None:
    """Without the guard no worker can begin; no run is recorded as failed for that."""
    (tmp_path / "beside.py").write_text("WORD = 'there'")
    (tmp_path / "script.py").write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    ended = python(tmp_path, "script.py")
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("bench.errors.BadWorker: A worker process ended with an error, printed above")
    assert 'under `if __name__ == "__main__":`' in last
    assert not list((tmp_path / "results").rglob("*.parquet"))


def test_threads_that_start_processes_at_once_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    both_began = threading.Barrier(8)
    errors: list[BaseException] = []

    def start() -> None:
        try:
            both_began.wait(10)
            for _ in range(200):
                with without_working_folder():
                    assert os.environ["PYTHONSAFEPATH"] == "1"
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert "PYTHONSAFEPATH" not in os.environ


def test_the_path_and_the_environment_are_as_they_were_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = (sys.path, sys.path[:], dict(os.environ))
    with without_working_folder():
        assert "" not in sys.path
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert before == (sys.path, sys.path[:], dict(os.environ))
    assert before[0] is sys.path
    monkeypatch.setenv("PYTHONSAFEPATH", "yes")
    with without_working_folder():
        pass
    assert os.environ["PYTHONSAFEPATH"] == "yes"


# The workers


def test_a_worker_with_another_bench_ends_with_a_short_error(
    workbench: Workbench, runs_of: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platforms, "__file__", "/elsewhere/bench/platforms.py")
    with pytest.raises(
        BadWorker, match=r"imports bench from .*/bench, and this process from /elsewhere/bench\."
    ):
        ENGINE.run([runs_of(quick("prevalence"))], workbench, Quiet(), workers=1)
    assert not multiprocessing.active_children()
    assert workbench.store.keys("loan-sim") == []


def test_without_a_fork_server_workers_are_started_one_by_one(
    workbench: Workbench, runs_of: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worker_context().get_start_method() == "forkserver"
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert worker_context().get_start_method() == "spawn"
    with Crew(workbench, 1) as crew:
        results = crew.run([runs_of(quick("prevalence"))], Quiet())
    assert [result.status for result in results] == ["ok"] * 3
    assert not multiprocessing.active_children()


# The platforms

ON_WINDOWS = """
import sys
for name in ("grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
import bench.cli.app, bench.machine
assert "torch" not in sys.modules
sys.platform = "win32"
sys.argv = ["bench", "list", "datasets"]
bench.cli.app.main()
"""


def test_windows_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """What Unix alone has is imported by nothing on the way to that sentence."""
    ended = python(tmp_path, "-c", ON_WINDOWS)
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert ended.stderr.startswith("Error: bench does not run on Windows: run it under WSL 2")
    assert ended.stderr.count("\n") == 1


def test_only_windows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform in ("linux", "darwin"):
        monkeypatch.setattr(sys, "platform", platform)
        check_platform()
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(BadPlatform, match="WSL 2"):
        check_platform()

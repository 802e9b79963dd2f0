"""Where a record was made: the versions' names stay, and only a change of code makes a checkout dirty."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import machine
from bench.machine import checkout, versions
from bench.runs.run import PIPELINE_VERSIONS
from bench.workflows.doctor import diagnose


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)  # noqa: S607


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a git repository laid out like ours, from which the package claims to run."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "repository"
    for name in ("bench/machine.py", "bench/networks/kernel.c", "bench/py.typed", "tests/test_a.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    for name in ("README.md", "datasets/loan.toml", "results/README.md", "pyproject.toml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / "bench" / "_datasets").symlink_to("../datasets")
    (folder / ".gitignore").write_text("__pycache__/\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "Begin")
    monkeypatch.setattr(machine, "__file__", str(folder / "bench" / "machine.py"))
    return folder


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    checkout.cache_clear()
    yield
    checkout.cache_clear()


def dirty() -> bool:
    checkout.cache_clear()
    found = checkout()
    assert len(found["commit"]) == 40
    assert isinstance(found["dirty"], bool)
    return found["dirty"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("README.md", False),
        ("results/README.md", False),
        ("tests/test_a.py", False),
        ("pyproject.toml", False),
        ("datasets/loan.toml", False),  # a card has a hash of its own in the record
        ("datasets/new.toml", False),
        ("new.py", False),
        ("tests/new.py", False),
        ("bench/notes.txt", False),
        ("bench/__pycache__/a.py", False),
        ("bench/machine.py", True),
        ("bench/networks/kernel.c", True),
        ("bench/py.typed", True),
        ("bench/new.py", True),
        ("bench/new/method.py", True),
        ("bench/networks/new.c", True),
        ("bench/neü.py", True),
    ],
)
def test_only_a_change_of_code_makes_a_checkout_dirty(name: str, expected: bool, repository: Path) -> None:
    assert not dirty()
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("changed")
    assert dirty() == expected
    git(repository, "add", "--all")
    assert dirty() == (expected or name == "bench/notes.txt")  # once tracked, whatever lies there is code
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "Change")
    assert not dirty()


def test_a_file_of_code_that_is_gone_or_moved_is_a_change(repository: Path) -> None:
    (repository / "bench" / "py.typed").unlink()
    assert dirty()
    git(repository, "checkout", "--", ".")
    assert not dirty()
    git(repository, "mv", "bench/networks/kernel.c", "kernel.c")
    assert dirty()


def test_another_repository_that_the_environment_names_is_not_asked(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a git hook, which runs with GIT_DIR set."""
    commit = checkout()["commit"]
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    checkout.cache_clear()
    assert checkout() == {"commit": commit, "dirty": False}


def test_the_doctor_says_whether_the_code_differs(repository: Path, tmp_path: Path) -> None:
    def line() -> str:
        checkout.cache_clear()
        (found,) = [check.found for check in diagnose(tmp_path / "results") if check.name == "checkout"]
        return found

    (repository / "README.md").write_text("changed")
    assert "with changes" not in line()
    (repository / "bench" / "machine.py").write_text("changed")
    assert "with changes" in line()


def test_outside_a_checkout_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "bench" / "machine.py"))
    assert checkout() == {"commit": None, "dirty": None}


def test_records_call_the_package_bench_whatever_the_distribution_is_called() -> None:
    found = json.loads(versions(**PIPELINE_VERSIONS))
    assert [*found][:4] == ["python", "pipeline", "encoding", "bench"]
    assert "imbalance-bench" not in found
    assert {"torch", "numpy", "scikit-learn"} <= set(found)

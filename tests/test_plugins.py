"""What authors bring: files that the user names, folders of BENCH_PLUGINS, installed packages."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from bench import plugins
from bench.errors import BadPlugin

PROTOCOL = "PROTOCOL = 'a protocol'\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def names(kind: plugins.Kind) -> list[str]:
    return [plugin.name for plugin in plugins.modules(kind)]


def test_the_packages_own_folder_is_found_by_presence() -> None:
    assert {"metabalance", "bayes-optimal", "xgboost"} <= set(names("methods"))
    assert names("metrics") == []


def test_a_named_file_is_found_under_its_name(tmp_path: Path) -> None:
    file = write(tmp_path / "next_month.py", PROTOCOL)
    assert "next-month" not in names("protocols")
    plugins.use([file])
    (plugin,) = (plugin for plugin in plugins.modules("protocols") if plugin.file == str(file))
    assert (plugin.name, plugin.module.PROTOCOL) == ("next-month", "a protocol")
    assert "next-month" not in names("methods") + names("engines") + names("metrics")


def test_a_file_may_hold_several_kinds(tmp_path: Path) -> None:
    plugins.use([write(tmp_path / "two.py", PROTOCOL + "METRICS = {}\nENGINE = 1\n")])
    assert all("two" in names(kind) for kind in ("protocols", "metrics", "engines"))
    assert "two" not in names("methods")


def test_a_file_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", "METRICS = 1\n")
    plugins.use([file])
    before = plugins.key()
    plugins.use([file])
    assert plugins.key() == before
    plugins.use([write(file, "METRICS = 2\n")])
    assert plugins.key() != before
    assert [plugin.module.METRICS for plugin in plugins.modules("metrics")] == [2]


def test_the_environment_names_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "later.py", PROTOCOL)
    write(folder / "_helper.py", "raise RuntimeError\n")
    card = write(folder / "loans.toml", "")
    file = write(tmp_path / "mine.py", "METRICS = {}\n")
    monkeypatch.setenv("BENCH_PLUGINS", f"{folder}{os.pathsep}{file}")
    assert "later" in names("protocols")
    assert "mine" in names("metrics")
    assert plugins.cards() == {"loans": card}
    assert plugins.files() == [folder / "later.py", file]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\nimport no_such_package\n", ["does not import, line 2", "No module named 'no_such_package'"]),
        ("def f(:\n", ["does not import, line 1", "SyntaxError"]),
        ("def f():\n    return 1 / 0\nf()\n", ["line 2", "ZeroDivisionError"]),
        ("raise SystemExit(3)\n", ["line 1", "SystemExit: 3"]),
        ("VERSION = 1\n", ["holds nothing of bench", "`fit` and `Config`"]),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_fault(tmp_path: Path, text: str, words: list[str]) -> None:
    file = write(tmp_path / "mine.py", text)
    with pytest.raises(BadPlugin) as told:
        plugins.use([file])
    assert all(word in str(told.value) for word in [str(file), *words])
    assert plugins.files() == []


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadPlugin, match=r"--method-file names .*gone\.py, and there is no such file"):
        plugins.use([tmp_path / "gone.py"])
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path / "gone"))
    with pytest.raises(BadPlugin, match=r"BENCH_PLUGINS names .*gone, and there is no such file"):
        plugins.modules("metrics")


def test_two_cards_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "loans.toml", "")
    monkeypatch.setenv("BENCH_PLUGINS", f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}")
    with pytest.raises(BadPlugin, match=r"Two data set cards are called 'loans'"):
        plugins.cards()


def test_another_process_has_the_files_before_what_is_made_of_them(tmp_path: Path) -> None:
    """A worker process gets objects of a plugin's classes, whatever starts it; `Loaded` goes before them."""
    file = write(
        tmp_path / "later.py",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    n: int\nPROTOCOL = P(3)\n",
    )
    plugins.use([file])
    (plugin,) = (plugin for plugin in plugins.modules("protocols") if plugin.name == "later")
    sent = pickle.dumps((plugins.Loaded(), plugin.module.PROTOCOL))
    program = (
        "import pickle, sys; from bench import plugins; loaded, p = pickle.loads(sys.stdin.buffer.read());"
        "print(p.n, plugins.files())"
    )
    done = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True, check=True)
    assert done.stdout.decode().split(maxsplit=1) == ["3", f"[PosixPath('{file}')]\n"]


def test_installed_packages_bring_theirs_by_entry_points(tmp_path: Path) -> None:
    write(tmp_path / "their_module.py", PROTOCOL)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    write(info / "METADATA", "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    write(info / "entry_points.txt", "[bench.protocols]\nnext-week = their_module\nbroken = no_such_module\n")
    program = "from bench import plugins; print([p.name for p in plugins.modules('protocols')])"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert "The entry point broken = no_such_module of bench.protocols does not import" in done.stderr
    write(info / "entry_points.txt", "[bench.protocols]\nnext-week = their_module\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert "'next-week'" in done.stdout

"""What authors bring: files that the user names, folders of BENCH_PLUGINS, installed packages."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import bench as package
from bench import plugins
from bench.errors import BadPlugin, UnknownName
from bench.methods import methods
from tests.conftest import Script
from tests.methods.test_methods_own import MEANS
from tests.protocols.test_protocols_own import LAST_ROWS, PARTS
from tests.runs.engines.test_engines import BACKWARDS

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


def test_files_take_the_place_of_those_named_before(tmp_path: Path) -> None:
    """So a file that was given another name does not clash with itself."""
    first, second = (write(tmp_path / f"{name}.py", PROTOCOL) for name in ("first", "second"))
    plugins.use([first])
    plugins.use([second])
    assert plugins.files() == [second]
    plugins.use([])
    assert plugins.files() == [second]
    with pytest.raises(BadPlugin):
        plugins.use([first, write(tmp_path / "bad.py", "x = 1\n")])
    assert plugins.files() == [second]


def test_the_files_of_a_call_that_fails_are_gone_with_it(tmp_path: Path) -> None:
    """Those of a call that ends well stay, for what it returned."""
    (tmp_path / "other").mkdir()
    good, twin = (write(folder / "means.py", MEANS) for folder in (tmp_path, tmp_path / "other"))
    asked = {"rows": 600, "folds": 2, "seeds": 1, "results": tmp_path / "results"}
    with pytest.raises(BadPlugin, match="Two methods are called 'means'"):
        package.run("loan-sim", arms=["prevalence"], method_file=[good, twin], **asked)
    assert package.run("loan-sim", arms=["prevalence"], **asked)["n_runs"].tolist() == [2]
    with pytest.raises(UnknownName):
        package.run("no-such-set", method_file=good)
    assert "means" not in methods()
    package.run("loan-sim", arms=["means"], method_file=good, **asked)
    assert "means" in methods()
    with pytest.raises(BadPlugin, match="does not import"):
        package.run("loan-sim", method_file=write(tmp_path / "bad.py", "1 / 0\n"), **asked)
    assert set(package.run("loan-sim", arms=["means"], **asked)["arm"]) == {"means", "prevalence"}


def test_a_file_is_known_by_its_whole_path_without_links(tmp_path: Path) -> None:
    file = write(tmp_path / "means.py", MEANS)
    (tmp_path / "link").symlink_to(tmp_path)
    plugins.use([tmp_path / "link" / "means.py"])
    assert methods()["means"].file == str(file.resolve())
    with plugins.taken(file):
        assert plugins.files() == [file]


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


def with_site(site: Path) -> dict[str, str]:
    """Return the environment in which a folder's packages are installed, beside what is there already."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))}


def test_an_entry_point_that_does_not_import_is_named(tmp_path: Path) -> None:
    write(tmp_path / "their_module.py", PROTOCOL)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    write(info / "METADATA", "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    write(info / "entry_points.txt", "[bench.protocols]\nnext-week = their_module\nbroken = no_such_module\n")
    program = "from bench import plugins; print([p.name for p in plugins.modules('protocols')])"
    environment = os.environ | with_site(tmp_path)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert "The entry point broken = no_such_module of bench.protocols does not import" in done.stderr
    write(info / "entry_points.txt", "[bench.protocols]\nnext-week = their_module\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert "'next-week'" in done.stdout


THEIRS = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "theirs"
version = "1.0"

[project.entry-points."bench.methods"]
means = "theirs.by_means"

[project.entry-points."bench.protocols"]
last-rows = "theirs.last_rows"

[project.entry-points."bench.engines"]
backwards = "theirs.backwards"

[tool.setuptools]
packages = ["theirs"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which a package with a method, a protocol and an engine is installed."""
    project, folder = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("site")
    write(project / "pyproject.toml", THEIRS)
    (project / "theirs").mkdir()
    protocol = LAST_ROWS.replace("{parts}", PARTS)
    for name, text in {
        "__init__": "",
        "by_means": MEANS,
        "last_rows": protocol,
        "backwards": BACKWARDS,
    }.items():
        write(project / "theirs" / f"{name}.py", text)
    alone = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    pip = [sys.executable, "-m", "pip", "install", *alone, "--target", str(folder), str(project)]
    subprocess.run(pip, capture_output=True, check=True)
    return folder


def test_an_installed_package_brings_a_method_a_protocol_and_an_engine(
    bench: Script, tmp_path: Path, site: Path
) -> None:
    """The command line runs by all three, also in a worker process; without the package it knows none of them."""
    words = (
        "run",
        "--dataset",
        "loan-sim",
        "--rows",
        "600",
        "--arm",
        "means",
        "--protocol",
        "last-rows",
        "--json",
    )
    ended = bench(*words, "--engine", "backwards", **with_site(site))
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)["arms"]
    assert (row["arm"], row["protocol"], row["n_runs"]) == ("means", "last-rows", 2)
    assert (tmp_path / "trace").read_text() == 2 * "means 1\n"  # its engine did the two runs
    more = json.loads(bench(*words, "--seeds", "3", "--workers", "1", **with_site(site)).stdout)
    assert (more["runs"], more["done_before"], more["failed"]) == (3, 2, [])
    unknown = bench(*words, "--engine", "backwards")
    assert (unknown.returncode, "Unknown engine 'backwards'" in unknown.stderr) == (2, True)


def test_the_fault_of_an_installed_method_is_told_with_its_file(
    bench: Script, tmp_path: Path, site: Path
) -> None:
    words = (
        "study",
        "--dataset",
        "loan-sim",
        "--rows",
        "600",
        "--arm",
        "means",
        "--trials",
        "1",
        "--workers",
        "0",
    )
    file = site / "theirs" / "by_means.py"
    write(file, MEANS.replace("def space(trial):", "def space(trial):\n    1 / 0"))
    try:
        ended = bench(*words, **with_site(site))
    finally:
        write(file, MEANS)
    said = " ".join(ended.stderr.split())
    assert (ended.returncode, "Traceback" in said) == (2, False)
    assert f"`space` in {file} fails, line 26: ZeroDivisionError: division by zero." in said

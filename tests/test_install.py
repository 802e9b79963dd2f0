"""The distribution: its name, what it holds, how it installs, and what it needs that it does not bring."""

from __future__ import annotations

import email
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.metadata import entry_points, metadata, version
from pathlib import Path

import pytest
import yaml

import bench as package
from bench.data.cards import cards_folder
from bench.store.folder import Store
from tests.conftest import Script, offline

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = {path.name for path in (ROOT / "datasets").glob("*.toml")}
CARDS = FILES - {"suites.toml"}
SMALL = ("run", "--dataset", "loan-sim", "--rows", "600", "--folds", "2", "--seeds", "1", "--workers", "0")


def run(*words: str | Path, cwd: Path) -> str:
    """Return what a command prints; it must end well."""
    done = subprocess.run(
        [*map(str, words)], cwd=cwd, env=offline(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# The name


def test_the_distribution_has_a_name_of_its_own_and_two_commands() -> None:
    """On the package index `bench` is a stranger's; import and command keep the short name."""
    assert metadata("imbalance-bench")["Name"] == "imbalance-bench"
    assert package.__version__ == version("imbalance-bench") == PROJECT["version"]
    commands = {point.name: point.value for point in entry_points(group="console_scripts")}
    assert commands["bench"] == commands["imbalance-bench"] == "bench.cli.app:main"


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)  # what the format asks for
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software")
    assert (cited["title"], str(cited["version"])) == (PROJECT["name"], PROJECT["version"])
    assert cited["license"] == PROJECT["license"]
    assert cited["authors"] == [{"name": "The bench authors"}]
    (paper,) = cited["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2106.09643"}]


# What is built


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the distribution is made of, in a folder called `bench`."""
    folder = tmp_path_factory.mktemp("parent") / "bench"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("bench", "datasets"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    return folder


def built(kind: str, source: Path, out: Path) -> Path:
    """Return the sdist or wheel that the build backend makes of the source, without a download."""
    code = f"import sys; from setuptools.build_meta import build_{kind}; build_{kind}(sys.argv[1])"
    run(sys.executable, "-c", code, out, cwd=source)
    (path,) = out.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from an sdist that was built from the copy."""
    sdist = built("sdist", clone, tmp_path_factory.mktemp("sdist"))
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return built("wheel", source, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_cards_the_kernel_and_no_other_top_level_name(wheel: Path) -> None:
    """It is built from the sdist; it is pure Python, and the kernel travels as source."""
    assert wheel.name == f"imbalance_bench-{PROJECT['version']}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (about,) = [name for name in names if name.endswith("/METADATA")]
        described = email.message_from_bytes(archive.read(about))
    cards = [name for name in names if name.startswith("bench/_datasets/")]
    assert sorted(cards) == sorted(f"bench/_datasets/{name}" for name in FILES)
    assert {"bench/networks/compiled/kernel.c", "bench/py.typed"} <= set(names)
    assert {name.partition("/")[0] for name in names} == {"bench", about.partition("/")[0]}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "bench").rglob("*.py")}
    assert modules == {name for name in names if name.endswith(".py")}
    assert described["Name"] == "imbalance-bench"
    assert {re.split("[ <>=;]", need)[0] for need in described.get_all("Requires-Dist")} >= {"torch", "tqdm"}


def test_a_checkout_has_its_cards_from_the_folder_that_people_edit() -> None:
    assert cards_folder() == ROOT / "datasets"
    assert (ROOT / "bench" / "_datasets").is_symlink()


# What is installed


def environment(folder: Path) -> Path:
    """Return the Python of a new environment, which has its libraries from the one that runs the tests."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "zz_libraries.pth").write_text(
        "\n".join(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    )
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """Install into an environment with nothing to download."""
    alone = ("--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--quiet")
    run(sys.executable, "-m", "pip", "--python", python, "install", *alone, *what, cwd=python.parent)


WHERE = "import bench, bench.data.cards; print(bench.__file__, bench.data.cards.dataset_names())"


@pytest.mark.slow
def test_an_editable_install_is_found_from_the_clones_parent_folder(clone: Path, tmp_path: Path) -> None:
    """There a folder `bench` lies, the clone, which is no package and must hide none."""
    python = environment(tmp_path / "env")
    install(python, "-e", clone)
    for folder in (clone.parent, clone, tmp_path):
        expected = f"{clone / 'bench' / '__init__.py'} {sorted(Path(name).stem for name in CARDS)}\n"
        assert run(python, "-c", WHERE, cwd=folder) == expected
    for command in ("bench", "imbalance-bench"):
        assert run(python.with_name(command), "--version", cwd=clone.parent) == f"{PROJECT['version']}\n"


@pytest.mark.slow
def test_the_wheel_works_beside_a_users_folder_called_bench(wheel: Path, tmp_path: Path) -> None:
    """The command and its workers use the installed package, whether the folder is a package or none."""
    python = environment(tmp_path / "env")
    install(python, wheel)
    words = (
        "run",
        "--dataset",
        "loan-sim",
        "--rows",
        "2000",
        "--matrix",
        "quick",
        "--folds",
        "2",
        "--seeds",
        "1",
    )
    for name in ("no-package", "package"):
        project = tmp_path / name
        (project / "bench").mkdir(parents=True)
        (project / "bench" / "cli.py").write_text("raise RuntimeError('not ours')")
        if name == "package":
            (project / "bench" / "__init__.py").write_text("raise RuntimeError('not ours')")
        ended = json.loads(run(python.with_name("bench"), *words, "--workers", "2", "--json", cwd=project))
        assert (ended["runs"], ended["failed"]) == (20, [])
        versions = {record.versions for record in Store(project / "results").records("loan-sim")}
        assert {json.loads(found)["bench"] for found in versions} == {PROJECT["version"]}
    where, _, cards = run(python, "-P", "-c", WHERE, cwd=project).partition(" ")
    assert Path(where).is_relative_to(python.parent.parent)
    assert cards == f"{sorted(Path(name).stem for name in CARDS)}\n"


# What is not needed


def test_without_a_compiler_torch_makes_the_steps(bench: Script, tmp_path: Path) -> None:
    """In an environment whose PATH has no program at all."""
    (tmp_path / "empty").mkdir()
    ended = bench(
        *(*SMALL, "--arm", "none", "--set", "steps=20"),
        PATH=str(tmp_path / "empty"),
        BENCH_CACHE=str(tmp_path / "cache"),
        BENCH_KERNEL="auto",
        CC="",
    )
    assert ended.returncode == 0, ended.stderr
    assert {record.engine for record in Store(tmp_path / "results").records("loan-sim")} == {"torch"}
    assert not list((tmp_path / "cache").rglob("*.so"))


COMMANDS = f"""
import sys, bench
from bench.cli.app import main
for words in (["--help"], ["list", "datasets"], {[*SMALL, "--arm", "prevalence"]}):
    sys.argv = ["bench", *words]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, words
print({{"kaggle", "kagglesdk"}} & {{*sys.modules}})
"""


def test_kaggles_client_is_imported_only_to_fetch_with_credentials(tmp_path: Path) -> None:
    """It signs in while it is imported, and may end the process."""
    printed = run(sys.executable, "-c", COMMANDS, cwd=tmp_path)
    assert printed.endswith("\nset()\n")


def test_every_variable_that_is_read_is_in_the_readmes_table() -> None:
    readers = [
        *(ROOT / "bench").rglob("*.py"),
        *(ROOT / name for name in ("tests/conftest.py", "tox.ini", ".ci/run")),
    ]
    read = {
        name
        for path in readers
        for name in re.findall(
            r"""\bBENCH_[A-Z_]+\b|(?<=environ\.get\(")[A-Z_]+|(?<=environ\.setdefault\(")[A-Z_]+|\bKAGGLE_[A-Z_]+\b""",
            path.read_text(encoding="utf-8"),
        )
    }
    rows = [
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]
    assert read >= {"BENCH_CACHE", "BENCH_KERNEL", "CC", "KAGGLE_KEY", "OMP_WAIT_POLICY"}
    assert {name for name in read if not any(f"`{name}`" in row for row in rows)} == set()

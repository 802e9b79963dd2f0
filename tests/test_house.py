"""The house rules that a machine can hold: import order, sizes, what is where."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "bench").rglob("*.py"))

# A module imports only from rooms above it, or from `bench` itself.
# fmt: off
ORDER = [
    "names", "errors", "platforms",
    "allocator", "cards", "files", "download", "cache", "kaggle_client", "fetch", "simulate",
    "archives", "readers", "labels", "features", "tables", "splits", "encode", "neighbours", "samplers", "resample",
    "sums", "ranking", "metrics", "members", "pack", "methods", "arms", "space", "published", "runs", "store",
    "provenance", "evaluate", "execute", "trials", "request", "tuned", "replicates", "compact", "compare",
    "report", "storage", "search", "study", "suite", "pages", "tuning", "ladder", "catalogue", "progress",
    "doctor", "speed", "show", "options", "reading", "studying", "cli",
]
# fmt: on


def room(path: Path) -> str:
    return path.relative_to(ROOT / "bench").parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "bench":
            inner = node.module.split(".")[1:]
            found |= {inner[0]} if inner else {alias.name for alias in node.names if alias.name in ORDER}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("bench.")}
    return found


def test_every_module_has_a_place_in_the_order() -> None:
    assert {room(path) for path in MODULES} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize(
    "path", [p for p in MODULES if room(p) != "__init__"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_go_one_way(path: Path) -> None:
    place = ORDER.index(room(path))
    wrong = {name for name in imported_rooms(path) if ORDER.index(name) > place}
    assert not wrong, f"{path.name} imports {wrong}, which come after it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    # A typer command is a list of options; its body is what counts.
    long = {
        node.name: size
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and (
            size := (node.end_lineno or 0)
            - (node.lineno if path.name not in ("cli.py", "studying.py") else node.body[0].lineno)
            + 1
        )
        > 50
    }
    assert not long


def test_data_and_results_are_no_packages() -> None:
    """An `__init__.py` in `datasets/` would shadow Hugging Face's `datasets`."""
    assert not list((ROOT / "datasets").rglob("*.py"))
    assert not list((ROOT / "results").rglob("*.py"))


def test_all_packages_are_named_for_the_wheel() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {str(p.parent.relative_to(ROOT)).replace("/", ".") for p in MODULES if p.name == "__init__.py"}
    assert set(named) == found | {"bench._datasets"}


def test_nothing_stored_runs_code() -> None:
    """No pickle, joblib or unchecked torch.load: reading a file must never run one."""
    for path in MODULES:
        names = {getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(ast.parse(path.read_text()))}
        assert not names & {"pickle", "joblib", "read_pickle", "to_pickle"}, path
        assert "weights_only=False" not in path.read_text()


def test_only_one_place_catches_every_exception() -> None:
    """An arbitrary exception becomes a record around a pack, and nowhere else."""
    found = [
        path.name for path in MODULES for line in path.read_text().splitlines() if "except Exception" in line
    ]
    assert found == ["evaluate.py"]

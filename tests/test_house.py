"""The house rules that a machine can hold: import order, sizes, what is where."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "bench").rglob("*.py"))

# A module imports only from its own folder, from folders above it in this list, or from `bench` itself.
# fmt: off
ORDER = [
    "names", "errors", "plugins", "disk", "machine", "platforms", "calls", "stats", "data", "contract", "store",
    "sampling", "networks", "methods", "arms", "protocols", "runs", "tuning", "report", "paper", "workflows",
    "testing", "cli", "__main__",
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


def test_the_runner_does_not_know_the_report() -> None:
    assert not imported_rooms(ROOT / "bench/workflows/run.py") & {"report", "paper"}


def begin(function: ast.FunctionDef, path: Path) -> int:
    """Return the line from which a function's length counts.

    A command is a list of options, and a call from Python documents each of its own: of these the body counts.
    """
    if path.parts[:2] == ("bench", "cli"):
        return function.body[0].lineno
    if path == Path("bench/__init__.py"):
        return function.body[-1 if len(function.body) < 3 else 1].lineno
    return function.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    long = {
        node.name: size
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and (size := (node.end_lineno or 0) - begin(node, path.relative_to(ROOT)) + 1) > 50
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


def test_only_two_places_catch_every_exception() -> None:
    """An arbitrary exception becomes a record around a pack, and a short error around an author's file."""
    caught = {
        (str(path.relative_to(ROOT / "bench")), node.lineno)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and catches_all(node)
    }
    assert sorted(path for path, _ in caught) == ["plugins/guards.py", "runs/evaluate.py"]


def catches_all(handler: ast.ExceptHandler) -> bool:
    named = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else set()
    )
    return handler.type is None or bool(named & {"Exception", "BaseException"})


def mentions_any(function: ast.FunctionDef) -> bool:
    """Return whether the signature of a function has `Any` in the annotation of a parameter or of what it returns."""
    signature = function.args
    parameters = [*signature.posonlyargs, *signature.args, *signature.kwonlyargs]
    parameters += [more for more in (signature.vararg, signature.kwarg) if more is not None]
    annotations = [parameter.annotation for parameter in parameters] + [function.returns]
    return any(
        isinstance(node, ast.Name) and node.id == "Any"
        for annotation in annotations
        if annotation is not None
        for node in ast.walk(annotation)
    )


def test_few_signatures_say_any() -> None:
    """A signature tells what goes in and what comes out; `Any` is left to what a library leaves open."""
    functions = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and mentions_any(node)
    ]
    assert len(functions) < 40, "\n".join(functions)

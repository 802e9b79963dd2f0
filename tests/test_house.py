"""The house rules that a machine can hold: import order, sizes, what is where."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "bench").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
FLOORS = 15  # the most rooms, each of which imports from the next

# A module imports only from its own folder, from folders above it in this list, or from `bench` itself.
# fmt: off
ORDER = [
    "names", "errors", "plugins", "disk", "machine", "platforms", "calls", "stats", "data", "contract", "store",
    "sampling", "networks", "methods", "arms", "protocols", "runs", "tuning", "report", "paper", "workflows",
    "testing", "cli", "__main__",
]
# Why a public name is defined in several rooms; any other is defined in one.
DOUBLE_NAMES = {
    "what a file must call it for bench to find it (bench.contract)": {"ARMS", "VERSION", "check"},
    "a command, or a call from Python, and what it does in the rooms below": {
        "check", "describe", "draw_slices", "engines", "fetch", "load", "main", "protocols", "run", "tune",
    },
    "a page: each has some of these functions, and they are called by its module, `ledger.caption`": {
        "as_csv", "caption", "cells", "headings", "latex", "markdown",
    },
    "a file's content: called by its module, `compact.read`": {"check", "read", "write"},
    "a log, the same in each module": {"log"},
}
# The same of modules, and of the rooms themselves.
DOUBLE_MODULES = {
    "a command, its workflow and what it runs": {"data", "leaderboard", "run", "study", "tables"},
    "of all results, and of the paper's": {"figures"},
    "the loop over steps, and that over trials": {"loop"},
}
# Tests that mirror no module.
APART = {
    "methods/test_trees.py": "the forests and XGBoost, which keep the same promises",
    "networks/test_gpu.py": "all network methods, where there is a CUDA device",
    "cli/test_machine.py": "what the machine of a user may lack, for all commands",
    "test_contracts.py": "every entry of every registry",
    "test_docs.py": "the pages",
    "test_house.py": "the code as text",
    "test_install.py": "the wheel",
    "test_leaks.py": "what reaches a method, through all rooms",
    "test_python.py": "bench/__init__.py",
    "test_results.py": "results/published/",
    "test_searches.py": "tests/speed/searches.py",
    "test_speed.py": "tests/speed/",
    "test_tables.py": "tests/tables/",
}
# fmt: on


def room(path: Path) -> str:
    return path.relative_to(ROOT / "bench").parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {dotted(path) for path in MODULES}


def imported(path: Path) -> set[str]:
    """Return the modules of bench that a file imports anywhere: at its top, in a function, or for types alone."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} says where from by dots, which these tests do not read"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= inner if inner <= NAMES else inner | {str(node.module)}
    return named & NAMES - {dotted(path)}


def imported_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name != "bench"}


def test_every_module_has_a_place_in_the_order() -> None:
    assert {room(path) for path in MODULES} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize(
    "path", [p for p in MODULES if room(p) != "__init__"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_imports_go_one_way(path: Path) -> None:
    place = ORDER.index(room(path))
    wrong = {name for name in imported_rooms(path) if ORDER.index(name) > place}
    assert not wrong, f"{path.name} imports {wrong}, which come after it"


def test_no_modules_import_one_another() -> None:
    """An import put off into a function, or made for types alone, counts: the circle would still be there."""
    arrows = {dotted(path): imported(path) for path in MODULES}
    assert sum(map(len, arrows.values())) > len(MODULES)
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names the circle


def longest_chain(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    chains: dict[str, list[str]] = {}
    for name in TopologicalSorter(arrows).static_order():
        chains[name] = [name, *max((chains[each] for each in arrows[name]), key=len, default=[])]
    return max(chains.values(), key=len)


def test_rooms_stand_on_few_floors() -> None:
    rooms: dict[str, set[str]] = {}
    for path in MODULES:
        rooms.setdefault(room(path), set()).update(imported_rooms(path) - {room(path)})
    chain = longest_chain(rooms)
    assert len(chain) <= FLOORS, " → ".join(chain)


def public_names(path: Path) -> set[str]:
    """Return what a module defines at its top without an underscore: functions, classes, constants, types."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
            }
    return {name for name in names if not name.startswith("_")}


def doubles(names_by_room: Iterable[tuple[str, Iterable[str]]]) -> dict[str, set[str]]:
    """Return the rooms of every name that several have."""
    rooms: dict[str, set[str]] = {}
    for one_room, names in names_by_room:
        for name in names:
            rooms.setdefault(name, set()).add(one_room)
    return {name: having for name, having in rooms.items() if len(having) > 1}


def test_a_public_name_means_one_thing_in_all_rooms() -> None:
    """A name that two rooms define has its reason in `DOUBLE_NAMES`, which lists no other."""
    found = doubles((room(path), public_names(path)) for path in MODULES)
    assert {"load", "VERSION"} <= set(found)
    allowed = set().union(*DOUBLE_NAMES.values())
    assert set(found) == allowed, {name: found.get(name) for name in set(found) ^ allowed}


def test_a_module_s_name_means_one_thing_in_all_rooms() -> None:
    found = doubles((room(path), [dotted(path).rpartition(".")[2]]) for path in MODULES)
    allowed = set().union(*DOUBLE_MODULES.values())
    assert set(found) == allowed, {name: found.get(name) for name in set(found) ^ allowed}


def is_mirrored(test: Path) -> bool:
    """Return whether bench has the test's module at the same place, or the test's folder is the module.

    Of a module with several files of tests, each is called `test_<module>_<what>.py`.
    """
    folder = ROOT / "bench" / test.relative_to(ROOT / "tests").parent
    modules = {path.stem for path in folder.glob("*") if path.suffix == ".py" or path.is_dir()}
    if folder != ROOT / "bench":
        modules.add(folder.name)
    words = test.stem.split("_")[1:]
    return any("_".join(words[:n]) in modules for n in range(1, len(words) + 1))


def test_tests_lie_where_their_modules_lie() -> None:
    assert {str(path.relative_to(ROOT / "tests")) for path in TESTS if not is_mirrored(path)} == set(APART)


def test_the_runner_does_not_know_the_report() -> None:
    assert not imported_rooms(ROOT / "bench/workflows/run.py") & {"report", "paper"}


def test_no_other_file_asks_which_protocol_it_is() -> None:
    """What differs between protocols stands in their files; what is of the paper alone may name its protocol."""
    names = {"strict", "published", "-published"}
    asking: set[str] = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            compared = isinstance(node, ast.Compare) or (
                isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("startswith", "endswith")
            )
            words = (
                {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
                if compared
                else set()
            )
            imported = isinstance(node, ast.ImportFrom) and node.module == "bench.protocols.published"
            if words & names or imported:
                asking.add(str(path.relative_to(ROOT / "bench")))
    assert {path for path in asking if not path.startswith("paper/")} == {"workflows/repair.py"}


def begin(function: ast.FunctionDef, path: Path) -> int:
    """Return the line from which a function's length counts.

    A command's signature is made from `Request`, a call from Python documents each option: of these the body counts.
    """
    parameters = [*function.args.args, *function.args.kwonlyargs]
    kinds = {each.annotation.id for each in parameters if isinstance(each.annotation, ast.Name)}
    if path.parts[:2] == ("bench", "cli") and "Request" in kinds:
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


def named_by(node: ast.AST) -> set[str]:
    """Return the names, attributes and modules that a node speaks of; of `from A import B` A (but joblib) and A.B."""
    if isinstance(node, ast.ImportFrom):
        return {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)} - {"joblib"}
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return {getattr(node, "id", getattr(node, "attr", ""))}


def test_nothing_stored_runs_code() -> None:
    """No pickle, joblib or unchecked torch.load: reading a file must never run one."""
    for path in MODULES:
        names = {name for node in ast.walk(ast.parse(path.read_text())) for name in named_by(node)}
        assert not names & {"pickle", "cloudpickle", "dill", "read_pickle", "to_pickle"}, path
        assert not names & {"joblib", "joblib.load", "joblib.dump"}, (
            path
        )  # its `Parallel` is imported by name
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

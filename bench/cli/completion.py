"""What the shell completes: the names that the options and arguments take.

Names that stand in a module are read from its text, not imported: a shell asks at every press of the tab key, and the
modules bring torch and pandas with them.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from bench.errors import BenchError

_PACKAGE = Path(__file__).parent.parent


def datasets() -> list[str]:
    """Return the names of all data sets."""
    from bench.data.cards import dataset_names

    return dataset_names()


def fetched_datasets() -> list[str]:
    """Return the names of the data sets that are fetched, not simulated."""
    from bench.data.cards import card

    return [name for name in datasets() if card(name).simulator is None]


def published_datasets() -> list[str]:
    """Return the names of the data sets that the paper used."""
    from bench.data.cards import card

    return [name for name in datasets() if card(name).published]


def arms() -> list[str]:
    """Return the names of the arms that the methods' files list, the package's first; no file is run."""
    from bench import plugins
    from bench.arms.matrices import METHODS

    files = {path.stem.replace("_", "-"): path for path in sorted((_PACKAGE / "methods").glob("*.py"))}
    own = [files.pop(name) for name in METHODS]
    try:
        authors = plugins.files()
    except BenchError:  # a path that is not there: the command says so
        authors = []
    return list(dict.fromkeys(name for path in [*own, *files.values(), *authors] for name in _arms_in(path)))


def _arms_in(path: Path) -> list[str]:
    """Return the names that a file gives to arms, in its order."""
    names: list[str] = []
    for node in ast.walk(_module(path)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("Arm", "replace")
        ):
            given = node.args[:1] if node.func.id == "Arm" else []
            given += [keyword.value for keyword in node.keywords if keyword.arg == "name"]
            words = (word.value for word in given if isinstance(word, ast.Constant))
            names += [word for word in words if isinstance(word, str)]
    return names


def matrices() -> list[str]:
    """Return the names of the matrices."""
    from bench.arms.matrices import MATRICES

    return list(MATRICES)


def protocols(incomplete: str) -> list[str]:
    """Return the protocols' names; after a plus, the word so far with each repair that it lacks."""
    *before, _ = incomplete.split("+")
    if not before:
        return sorted(_protocols(), key=lambda name: (name != "strict", name))
    return [
        "+".join([*before, repair])
        for repair in _keys("protocols/published", "REPAIRS")
        if repair not in before
    ]


def _protocols() -> list[str]:
    """Return the first argument of each `PROTOCOL` in the files of `bench/protocols/`."""
    names = []
    for path in (_PACKAGE / "protocols").glob("[!_]*.py"):
        for node in _module(path).body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
                and _assigns(node, "PROTOCOL")
            ):
                names += [str(word.value) for word in node.value.args[:1] if isinstance(word, ast.Constant)]
    return names


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def engines() -> list[str]:
    """Return the engines' names, which are those of their files."""
    return sorted(path.stem for path in (_PACKAGE / "runs" / "engines").glob("[!_]*.py"))


def _keys(module: str, name: str) -> list[str]:
    """Return the text keys of the dict called `name` at the top of a module."""
    for node in _module(_PACKAGE / f"{module}.py").body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            return [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]
    raise LookupError(f"{module}.py has no dict {name}")


@cache
def _module(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):  # an author's file: the command says what is wrong with it
        return ast.Module([], [])

"""What the shell completes: the names that the options and arguments take.

Names that stand in a module are read from its text, not imported: a shell asks at every press of the tab key, and the
modules bring torch and pandas with them.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


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
    """Return the arms' names in the order in which `bench.arms.arm` writes them, those with brackets left out."""
    names: list[str] = []
    for node in ast.walk(_module("arms/arm")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            given = node.args[:1] if node.func.id == "Arm" else []
            given += [keyword.value for keyword in node.keywords if keyword.arg == "name"]
            names += [str(word.value) for word in given if isinstance(word, ast.Constant)]
    return list(dict.fromkeys([*names, *_keys("arms/arm", "_SAMPLED")]))


def matrices() -> list[str]:
    """Return the names of the matrices."""
    return _keys("arms/arm", "MATRICES")


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
    for path in (Path(__file__).parent.parent / "protocols").glob("[!_]*.py"):
        for node in _module(f"protocols/{path.stem}").body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
                and _assigns(node, "PROTOCOL")
            ):
                names += [str(word.value) for word in node.value.args[:1] if isinstance(word, ast.Constant)]
    return names


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _keys(module: str, name: str) -> list[str]:
    """Return the text keys of the dict called `name` at the top of a module."""
    for node in _module(module).body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            return [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]
    raise LookupError(f"{module}.py has no dict {name}")


@cache
def _module(name: str) -> ast.Module:
    return ast.parse((Path(__file__).parent.parent / f"{name}.py").read_text(encoding="utf-8"))

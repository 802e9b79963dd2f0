"""What the shell completes: the names that the options and arguments take.

Names that stand in a module are read from its text, not imported: a shell asks at every press of the tab key, and the
modules bring torch and pandas with them.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import BenchError
from bench.names import DEFAULT_PROTOCOL

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
    from bench.arms.matrices import METHODS

    files = {path.stem.replace("_", "-"): path for path in _own_files("methods")}
    own = [files.pop(name) for name in METHODS]
    paths = [*own, *files.values(), *_files_named()]
    return list(dict.fromkeys(name for path in paths for name in _arms_in(path)))


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
    """Return the protocols' names; after NAME+ of one with variants, what is typed with each word that it lacks."""
    known = _objects("protocols", "PROTOCOL")
    *typed, _ = incomplete.split("+")
    if not typed:
        return sorted(known, key=lambda name: (name != DEFAULT_PROTOCOL, name))
    name, *before = typed
    words = known[name].texts("words") if name in known else []
    lacking = [word for word in words if word not in before]
    return ["+".join([*typed, word]) for word in lacking] if set(before) <= set(words) else []


def engines() -> list[str]:
    """Return the engines' names."""
    return list(_objects("runs/engines", "ENGINE"))


def settings(incomplete: str) -> list[str]:
    """Return `FIELD=` for each setting of a method; nothing where the value has begun."""
    if "=" in incomplete:
        return []
    shared = sorted((_PACKAGE / "methods").glob("_[!_]*.py"))  # what several methods have
    paths = [*_own_files("methods"), *shared, _PACKAGE / "networks" / "config.py", *_files_named()]
    classes = (node for path in paths for node in _module(path).body if isinstance(node, ast.ClassDef))
    fields = (
        entry.target.id
        for node in classes
        if node.name.endswith("Config")
        for entry in node.body
        if isinstance(entry, ast.AnnAssign)
        and isinstance(entry.target, ast.Name)
        and "ClassVar" not in ast.unparse(entry.annotation)
    )
    return sorted({f"{name}=" for name in fields})


@dataclass(frozen=True)
class _Object:
    """A call by which a module makes an object, and the module: what its text says of the object's attributes."""

    call: ast.Call
    module: ast.Module

    def texts(self, name: str, place: int | None = None) -> list[str]:
        """Return the texts given for an attribute: by its name, as the argument at `place`, else in its class."""
        given = [keyword.value for keyword in self.call.keywords if keyword.arg == name]
        given += self.call.args[place : place + 1] if place is not None else []
        made_by = self.call.func.id if isinstance(self.call.func, ast.Name) else ""
        classes = [
            node for node in self.module.body if isinstance(node, ast.ClassDef) and node.name == made_by
        ]
        given += [value for node in classes for value in _values(node.body, name)]
        return next(filter(None, (self._texts_in(value) for value in given)), [])

    def _texts_in(self, value: ast.expr, *, follow: bool = True) -> list[str]:
        """Return the texts of a constant, a sequence, a dict's keys, or of what a name at the top stands for."""
        if isinstance(value, ast.Constant):
            return [value.value] if isinstance(value.value, str) else []
        if isinstance(value, ast.Name):
            parts, follow = _values(self.module.body, value.id) if follow else [], False
        elif isinstance(value, ast.Call):
            parts = value.args
        else:
            parts = getattr(value, "elts", getattr(value, "keys", []))
        return [text for part in parts if part is not None for text in self._texts_in(part, follow=follow)]


def _objects(folder: str, mark: str) -> dict[str, _Object]:
    """Return by name the objects that the files of a folder, and those that the user named, have as `mark`."""
    objects = {}
    for path in [*_own_files(folder), *_files_named()]:
        module = _module(path)
        for call in _values(module.body, mark):
            if isinstance(call, ast.Call):
                made = _Object(call, module)
                objects.update(dict.fromkeys(made.texts("name", 0)[:1], made))
    return objects


def _values(body: list[ast.stmt], name: str) -> list[ast.expr]:
    """Return what a module or class sets a name to, at its top."""
    return [
        node.value
        for node in body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id == name
    ]


def _own_files(folder: str) -> list[Path]:
    return sorted((_PACKAGE / folder).glob("[!_]*.py"))


def _files_named() -> list[Path]:
    """Return the plugin files that the user named; none where a path is not there: the command says so."""
    from bench import plugins

    try:
        return plugins.files()
    except BenchError:
        return []


@cache
def _module(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):  # an author's file: the command says what is wrong with it
        return ast.Module([], [])

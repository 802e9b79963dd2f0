"""Where packs run: one file each, with an object `ENGINE` that has its name, a description and `run`.

A file is found by its presence in this folder. What an engine is given and what it owes is `bench.contract.Engine`.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from bench.contract import Engine
from bench.errors import UnknownName


@cache
def engines() -> dict[str, Engine]:
    """Return all engines by name, in the order of their files."""
    modules = [import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    return {module.ENGINE.name: module.ENGINE for module in modules}


def engine_named(name: str) -> Engine:
    """Return the engine of that name; raise UnknownName where there is none."""
    if name not in engines():
        raise UnknownName("engine", name, engines())
    return engines()[name]

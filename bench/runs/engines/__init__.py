"""Where packs run: one file each with an object `ENGINE`, found by its presence, here or wherever an author keeps it.

What an engine is given and what it owes is `bench.contract.Engine`; `bench.plugins` finds the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from bench import plugins
from bench.contract import Engine
from bench.errors import BadPlugin, UnknownName


def engines() -> Mapping[str, Engine]:
    """Return every engine by name; raise BadPlugin where a file's is none, and for two engines of one name."""
    return _engines(plugins.key())


def engine_named(name: str) -> Engine:
    """Return the engine of that name; raise UnknownName with the nearest names."""
    known = engines()
    if name not in known:
        raise UnknownName("engine", name, known)
    return known[name]


@cache
def _engines(_: plugins.Key) -> dict[str, Engine]:
    by_name: dict[str, Engine] = {}
    files: dict[str, str] = {}
    for plugin in plugins.modules("engines"):
        engine = _checked(plugin)
        if other := files.get(engine.name):
            raise BadPlugin(
                f"Two engines are called {engine.name!r}: {other} and {plugin.file}. Give one of them another name."
            )
        by_name[engine.name], files[engine.name] = engine, plugin.file
    return by_name


def _checked(plugin: plugins.Plugin) -> Engine:
    """Return the file's engine; raise BadPlugin that says what it lacks."""
    engine: Engine = plugin.module.ENGINE
    texts = [name for name in ("name", "description") if not isinstance(getattr(engine, name, None), str)]
    lacking = [*texts, *([] if callable(getattr(engine, "run", None)) else ["run"])]
    if lacking:
        raise BadPlugin(
            f"The engine file {plugin.file}: ENGINE lacks {' and '.join(lacking)}. It needs a name and a description "
            "(texts) and run(packs, bench, reporter, *, workers, timeout=None) (bench.contract.Engine)."
        )
    return engine

"""Where packs run: one file each with an object `ENGINE`, found by its presence, here or wherever an author keeps it.

What an engine is given and what it owes is `bench.contract.Engine`; `bench.plugins` finds the files.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache

from bench import plugins
from bench.contract import Engine
from bench.errors import BadPlugin, UnknownName

_RUN = "run(packs, bench, reporter, *, workers, timeout=None)"


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
    return plugins.by_name("engines", _checked)


def _checked(plugin: plugins.Plugin) -> Engine:
    """Return the file's engine; raise BadPlugin that says what it lacks."""
    engine: Engine = plugin.module.ENGINE
    texts = [name for name in ("name", "description") if not isinstance(getattr(engine, name, None), str)]
    lacking = [*texts, *([] if callable(getattr(engine, "run", None)) else ["run"])]
    if lacking:
        raise BadPlugin(
            f"The engine file {plugin.file}: ENGINE lacks {' and '.join(lacking)}. It needs a name and a description "
            f"(texts) and {_RUN} (bench.contract.Engine)."
        )
    try:
        inspect.signature(engine.run).bind([], None, None, workers=1, timeout=None)
    except (TypeError, ValueError) as error:
        raise BadPlugin(f"The engine file {plugin.file}: ENGINE is called by {_RUN}, and {error}.") from error
    return engine

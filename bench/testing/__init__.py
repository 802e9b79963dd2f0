"""The contract tests of methods, protocols, engines and metrics: for those of bench, and for an author's own.

Each gives an object or file small simulated tables and says in words what holds and what does not. In a test of your
own, `check_method("my_method.py")` raises where something does not hold; `bench check my_method.py` prints it.

Examples
--------
>>> from bench.testing import check_protocol
>>> from bench.protocols import strict
>>> [check.what for check in check_protocol(strict)][0]
'It has a name, a description and a main metric that bench measures'
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from bench import plugins
from bench.contract import Engine, Metric, Protocol
from bench.errors import BadPlugin
from bench.methods import methods
from bench.names import own_path
from bench.protocols import protocols
from bench.runs.engines import engines
from bench.stats.metrics import metrics
from bench.testing.checks import BrokenContract, Check, raise_faults, unregistered
from bench.testing.engine import examine_engine
from bench.testing.method import REGISTERED, examine_method
from bench.testing.metric import examine_metric
from bench.testing.protocol import examine_protocol

__all__ = [
    "BrokenContract",
    "Check",
    "check_engine",
    "check_file",
    "check_method",
    "check_metrics",
    "check_protocol",
]

File = str | os.PathLike[str]


def check_method(
    module_or_file: ModuleType | File, *, settings: Mapping[str, object] | None = None
) -> list[Check]:
    """Check that a method keeps its contract (`bench.contract.Method`).

    Parameters
    ----------
    module_or_file : module, str or path
        The method: a file, or a module that bench has already or that is one file.
    settings : mapping, optional
        Settings of its `Config` in place of the defaults, so that it trains for a shorter time.

    Returns
    -------
    list of Check
        What was looked at; all of it holds.

    Raises
    ------
    BrokenContract
        With all faults, where something does not hold.
    BadPlugin
        If the file is not there, does not import or holds no method.
    """
    return _checked("methods", module_or_file, settings)


def check_protocol(protocol_or_file: Protocol | ModuleType | File) -> list[Check]:
    """Check that a protocol keeps its contract (`bench.contract.Protocol`).

    Parameters
    ----------
    protocol_or_file : Protocol, module, str or path
        The protocol, or the module or file that has it as `PROTOCOL`.

    Returns
    -------
    list of Check
        What was looked at; all of it holds.

    Raises
    ------
    BrokenContract
        With all faults, where something does not hold.
    BadPlugin
        If the file is not there, does not import or has no `PROTOCOL`.
    """
    if isinstance(protocol_or_file, Protocol):
        return raise_faults(examine_protocol(protocol_or_file), protocol_or_file.name)
    return _checked("protocols", protocol_or_file)


def check_engine(engine_or_file: Engine | ModuleType | File) -> list[Check]:
    """Check that an engine keeps its contract (`bench.contract.Engine`): it runs a small benchmark by it.

    Parameters
    ----------
    engine_or_file : Engine, module, str or path
        The engine, or the module or file that has it as `ENGINE`.

    Returns
    -------
    list of Check
        What was looked at; all of it holds.

    Raises
    ------
    BrokenContract
        With all faults, where something does not hold.
    BadPlugin
        If the file is not there, does not import or has no `ENGINE`.
    """
    if not isinstance(engine_or_file, ModuleType | str | os.PathLike):
        return raise_faults(examine_engine(engine_or_file), engine_or_file.name)
    return _checked("engines", engine_or_file)


def check_metrics(metrics_or_file: Mapping[str, Metric] | ModuleType | File) -> list[Check]:
    """Check that metrics keep their contract (`bench.contract.Metric`).

    Parameters
    ----------
    metrics_or_file : mapping, module, str or path
        Metrics by name, or the module or file that has them as `METRICS`.

    Returns
    -------
    list of Check
        What was looked at; all of it holds.

    Raises
    ------
    BrokenContract
        With all faults, where something does not hold.
    BadPlugin
        If the file is not there, does not import or has no `METRICS`.
    """
    if isinstance(metrics_or_file, Mapping):
        checks = [each for name, metric in metrics_or_file.items() for each in examine_metric(name, metric)]
        return raise_faults(checks, "METRICS")
    return _checked("metrics", metrics_or_file)


def check_file(file: File, *, settings: Mapping[str, object] | None = None) -> list[Check]:
    """Return what holds and what does not of everything that a plugin file has; `bench check` prints it.

    Raises BadPlugin if the file is not there, does not import or holds nothing of bench.
    """
    path = _file_of(file)
    with plugins.taken(path):
        return [
            check
            for kind, examine in _KINDS.items()
            if _modules(path, kind)
            for check in examine(path, settings or {})
        ]


def _checked(
    kind: plugins.Kind, module_or_file: ModuleType | File, settings: Mapping[str, object] | None = None
) -> list[Check]:
    """Return the checks of what the file has of the kind; raise BrokenContract where one has a fault."""
    path = _file_of(module_or_file)
    with plugins.taken(path):
        return raise_faults(_KINDS[kind](path, settings or {}), path)


def _of_method(path: Path, settings: Mapping[str, object]) -> list[Check]:
    _module(path, "methods")
    if broken := unregistered(methods, REGISTERED):
        return broken
    (method,) = (method for method in methods().values() if method.file == str(path))
    return examine_method(method, settings)


def _of_protocol(path: Path, settings: Mapping[str, object]) -> list[Check]:
    module = _module(path, "protocols")
    return unregistered(protocols, "Its name is its own") or examine_protocol(module.PROTOCOL)


def _of_engine(path: Path, settings: Mapping[str, object]) -> list[Check]:
    module = _module(path, "engines")
    return unregistered(engines, "It has a name of its own, a description and `run`") or examine_engine(
        module.ENGINE
    )


def _of_metrics(path: Path, settings: Mapping[str, object]) -> list[Check]:
    entries = _module(path, "metrics").METRICS
    return unregistered(metrics, "They are metrics, with names of their own") or [
        check for name, metric in entries.items() for check in examine_metric(name, metric)
    ]


_KINDS: Mapping[plugins.Kind, Callable[[Path, Mapping[str, object]], list[Check]]] = {
    "methods": _of_method,
    "protocols": _of_protocol,
    "engines": _of_engine,
    "metrics": _of_metrics,
}


def _file_of(module_or_file: ModuleType | File) -> Path:
    """Return the whole path of a file, or of a module's file."""
    if isinstance(module_or_file, ModuleType):
        return Path(str(module_or_file.__file__)).resolve()
    return own_path(module_or_file).resolve()


def _modules(path: Path, kind: plugins.Kind) -> Sequence[ModuleType]:
    return [plugin.module for plugin in plugins.modules(kind) if plugin.file == str(path)]


def _module(path: Path, kind: plugins.Kind) -> ModuleType:
    """Return the module that the file is; raise BadPlugin where it holds nothing of the kind."""
    if not (modules := _modules(path, kind)):
        raise BadPlugin(f"{path} holds no {kind.removesuffix('s')}.")
    return modules[0]

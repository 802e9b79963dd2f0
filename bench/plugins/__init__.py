"""What authors bring: methods, protocols, engines, metrics and data set cards, found by their presence.

They come from three places, in this order: the package's own folders (`bench/methods/`, `bench/protocols/`,
`bench/runs/engines/`); installed packages, by the entry points `bench.methods`, `bench.protocols`, `bench.engines`;
and files that the user names, with `--method-file F.py` (`method_file=` in Python) or in the environment variable
BENCH_PLUGINS: files or folders, whose *.py are plugin files and whose *.toml are data set cards.

A plugin file says by its names what it holds: a method has `fit` and `Config`, a protocol `PROTOCOL`, an engine
`ENGINE`, metrics `METRICS`; it may hold several of them. Its code runs only because the user named it, or installed the
package that names it. Paths are whole and without links.
`by_name(kind, read)` is what the registries ask; `key()` says whether their answer still holds. What an author's
code does wrong is told with its file: `bench.plugins.guards`.
"""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module, metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal, NamedTuple, Protocol, TypeVar

from bench.errors import BadPlugin, BenchError
from bench.names import digest, is_slug, own_path
from bench.plugins.guards import guarded

VARIABLE = "BENCH_PLUGINS"  # of the environment: files and folders with what an author brings

Kind = Literal["methods", "protocols", "engines", "metrics"]

# By kind: the names of which a module has one, the package's own folder, and the group of entry points.
_MARKS: dict[Kind, tuple[str, ...]] = {
    "methods": ("fit", "Config"),
    "protocols": ("PROTOCOL",),
    "engines": ("ENGINE",),
    "metrics": ("METRICS",),
}
_FOLDERS: dict[Kind, str] = {
    "methods": "bench.methods",
    "protocols": "bench.protocols",
    "engines": "bench.runs.engines",
}
_GROUPS: dict[Kind, str] = {
    "methods": "bench.methods",
    "protocols": "bench.protocols",
    "engines": "bench.engines",
}


class Plugin(NamedTuple):
    """A module that holds something of a kind, the name it has by its file, and that file."""

    name: str
    module: ModuleType
    file: str


Key = tuple[str | None, tuple[tuple[Path, str], ...]]

_named: dict[Path, str] = {}  # files that the user named in this process, with the hash of their content
_only_named: list[bool] = [False]  # whether the environment was read elsewhere: see `Loaded`


def use(files: Iterable[str | os.PathLike[str]], asked_by: str = "--method-file") -> None:
    """Take these plugin files from now on, in place of those named before; where there are none, those stay.

    One that has changed since it was taken is read anew. Raises BadPlugin, which begins with `asked_by`, where a file
    is missing, and where it does not import, or holds nothing of bench; none is taken then.
    """
    contents: dict[Path, str] = {}
    for file in files:
        path = _existing(file, asked_by)
        if path.suffix != ".py":
            raise BadPlugin(f"{asked_by} {path}: give a Python file, NAME.py.")
        content = _content(path)
        _module(path, content)
        contents[path] = content
    if contents:
        _name(contents)


def _name(contents: dict[Path, str]) -> None:
    _named.clear()
    _named.update(contents)


@contextmanager
def put_back_unless_done() -> Iterator[None]:
    """Keep the files that are taken meanwhile if all goes well; else the next call has those from before."""
    kept = dict(_named)
    try:
        yield
        kept = dict(_named)
    finally:
        _name(kept)


@contextmanager
def taken(file: Path) -> Iterator[None]:
    """Take a plugin file for a while, unless it is there already; raise BadPlugin as `use` does."""
    before = dict(_named)
    if not any(plugin.file == str(file) for kind in _MARKS for plugin in [*_own(kind), *_installed(kind)]):
        use([file], "bench check")
    try:
        yield
    finally:
        _name(before)


def forget() -> None:
    """Forget the files that `use` took."""
    _name({})
    _only_named[0] = False


def key() -> Key:
    """Return what decides which plugin files there are: where it is equal, `modules` gives the same."""
    return None if _only_named[0] else os.environ.get(VARIABLE), tuple(_named.items())


def modules(kind: Kind) -> list[Plugin]:
    """Return the modules that hold something of the kind: the package's, installed ones, the user's files.

    Raises BadPlugin that names the file and its fault.
    """
    return [
        *_own(kind),
        *_installed(kind),
        *(plugin for plugin in _files(key()) if _holds(plugin.module, kind)),
    ]


class _Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str:
        """The name by which users ask for it."""


_N = TypeVar("_N", bound=_Named)


def by_name(kind: Kind, read: Callable[[Plugin], _N]) -> dict[str, _N]:
    """Return what the modules of the kind bring, by name, where `read` gives what a module brings.

    Raises BadPlugin, which names the file, for what cannot be read, a name that is no slug, and two of one name.
    """
    entries: dict[str, _N] = {}
    files: dict[str, str] = {}
    for plugin in modules(kind):
        entry = guarded(partial(read, plugin), f"{plugin.file} cannot be read", plugin.file, BenchError)
        if not is_slug(entry.name):
            raise BadPlugin(
                f"{plugin.file}: the {kind.removesuffix('s')} is called {entry.name!r}; expected lower-case letters, "
                "digits and hyphens."
            )
        if other := files.get(entry.name):
            raise BadPlugin(
                f"Two {kind} are called {entry.name!r}: {other} and {plugin.file}. Give one of them another name."
            )
        entries[entry.name], files[entry.name] = entry, plugin.file
    return entries


def files() -> list[Path]:
    """Return the plugin files that the user named, in the environment and with `use`."""
    from_environment = [path for path in _listed(key()[0]) if path.suffix == ".py"]
    return list(dict.fromkeys([*from_environment, *_named]))


def cards() -> dict[str, Path]:
    """Return the data set cards that BENCH_PLUGINS names, by their names; raise BadPlugin for two of one name."""
    by_name: dict[str, Path] = {}
    for path in _listed(os.environ.get(VARIABLE)):
        if path.suffix == ".toml" and by_name.setdefault(path.stem, path) != path:
            raise BadPlugin(f"Two data set cards are called {path.stem!r}: {by_name[path.stem]} and {path}.")
    return by_name


class Loaded:
    """The plugin files of this process. Where it is unpickled, in a worker process, these files are taken there too.

    What holds objects of a plugin file keeps it as its first field, so that the file is there before they are.
    """

    def __reduce__(self) -> tuple[Callable[[list[Path]], Loaded], tuple[list[Path]]]:
        """Return how another process makes it: by taking the files."""
        return _take_over, (files(),)


def _take_over(paths: list[Path]) -> Loaded:
    """Take the files of another process in place of what this one's environment names."""
    if paths != files():
        forget()
        use(paths)
        _only_named[0] = True
    _files(key())  # imported here and now: what is unpickled next may be of their classes
    return Loaded()


@cache
def _own(kind: Kind) -> list[Plugin]:
    """Return the modules of the kind in the package's own folder."""
    if kind not in _FOLDERS:
        return []
    package = import_module(_FOLDERS[kind])
    names = [f"{package.__name__}.{entry.name}" for entry in pkgutil.iter_modules(package.__path__)]
    own = [import_module(name) for name in names]
    return [_plugin(module, str(module.__file__)) for module in own if _holds(module, kind)]


def _plugin(module: ModuleType, file: str) -> Plugin:
    return Plugin(Path(file).stem.replace("_", "-"), module, str(Path(file).resolve()))


@cache
def _installed(kind: Kind) -> list[Plugin]:
    """Return the modules of the kind that installed packages name by an entry point, by name."""
    if kind not in _GROUPS:
        return []
    points = sorted(metadata.entry_points(group=_GROUPS[kind]), key=lambda point: point.name)
    return [_from_entry(point, kind) for point in points]


def _from_entry(point: metadata.EntryPoint, kind: Kind) -> Plugin:
    what = f"The entry point {point.name} = {point.value} of {point.group}"
    module = guarded(point.load, f"{what} does not import")
    if not isinstance(module, ModuleType) or not _holds(module, kind):
        raise BadPlugin(f"{what} gives no module with {_words(kind)}: name the module that has it.")
    return _plugin(module, str(module.__file__))._replace(name=point.name)


@cache
def _files(named: Key) -> list[Plugin]:
    """Return the modules of all plugin files that the user named."""
    environment, by_hand = named
    contents = {path: _content(path) for path in _listed(environment) if path.suffix == ".py"} | dict(by_hand)
    return [_plugin(_module(path, content), str(path)) for path, content in contents.items()]


def _listed(environment: str | None) -> Iterator[Path]:
    """Yield the files that the environment variable names; of a folder, those whose name has no leading underscore."""
    for name in (environment or "").split(os.pathsep):
        if name.strip():
            path = _existing(name.strip(), VARIABLE)
            if path.is_dir():
                files = (file for ending in ("*.py", "*.toml") for file in path.glob(ending))
                yield from sorted(file for file in files if not file.name.startswith("_"))
            elif path.suffix in (".py", ".toml"):
                yield path
            else:
                raise BadPlugin(f"{VARIABLE} names {path}: give folders, Python files, or cards, NAME.toml.")


def _existing(name: str | os.PathLike[str], asked_by: str) -> Path:
    path = own_path(name).absolute()
    if not path.exists():
        raise BadPlugin(f"{asked_by} names {path}, and there is no such file.")
    return path.resolve()


def _content(path: Path) -> str:
    try:
        return digest(path.read_bytes())
    except OSError as error:
        raise BadPlugin(f"The plugin file {path} could not be read: {error.strerror}.") from error


class _Source(SourceFileLoader):
    """A loader that reads the source every time.

    Python's own cache knows a file by its size and the second of its last change. A file that changed twice within a
    second would be taken from there as it was.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file as it is now."""
        return self.source_to_code(self.get_data(self.path), self.get_filename(fullname))


@cache
def _module(path: Path, content: str) -> ModuleType:
    """Return the module of a plugin file with this content; it is imported under a name that no other module has."""
    name = f"bench_plugin_{path.stem}_{digest([str(path), content])[:12]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Source(name, str(path)))
    if spec is None or spec.loader is None:
        raise BadPlugin(f"The plugin file {path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and other processes look for it
    loader = spec.loader
    try:
        guarded(lambda: loader.exec_module(module), f"The plugin file {path} does not import", path)
        if not any(_holds(module, kind) for kind in _MARKS):
            raise BadPlugin(
                f"The plugin file {path} holds nothing of bench: a method has `fit` and `Config`, "
                "a protocol `PROTOCOL`, an engine `ENGINE`, metrics `METRICS`."
            )
    except BadPlugin:
        del sys.modules[name]
        raise
    return module


def _holds(module: ModuleType, kind: Kind) -> bool:
    """Return whether a module is of the kind: with one of two names alone, unless it is something else."""
    there = [hasattr(module, mark) for mark in _MARKS[kind]]
    others = (mark for other, marks in _MARKS.items() if other != kind for mark in marks)
    return all(there) or (any(there) and not any(hasattr(module, mark) for mark in others))


def _words(kind: Kind) -> str:
    return " and ".join(f"`{mark}`" for mark in _MARKS[kind])

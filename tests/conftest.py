"""What the tests share: a cache of their own, one thread, small tables, both engines, and the console script."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import plugins
from bench.contract import Arm
from bench.data.split import Split
from bench.data.table import Table, load
from bench.protocols import protocol_named
from bench.runs.run import Run, plan
from bench.runs.workbench import Workbench
from bench.stats.scored import Scored
from bench.store.folder import Store

# What a shell or a CI sets must change no test: typer reads some of it when it is imported.
for variable in (
    "BENCH_RESULTS",
    "BENCH_PLUGINS",
    "FORCE_COLOR",
    "PY_COLORS",
    "GITHUB_ACTIONS",
    "TERMINAL_WIDTH",
    "COLUMNS",
):
    os.environ.pop(variable, None)

Script = Callable[..., subprocess.CompletedProcess[str]]
FAST = {"steps": 60, "evaluations": 4}  # of a network, where what it learns does not matter


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point BENCH_CACHE at a folder of this session; no test reads or writes the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _plugins_of_its_own() -> Iterator[None]:
    """Forget the plugin files that a test took."""
    yield
    plugins.forget()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@contextmanager
def steps_by(engine: str) -> Iterator[None]:
    """Let this engine, "c" or "torch", make the networks' steps; skip the test where C has no compiler."""
    from bench.networks.compiled.compiler import NoCompiler, library

    if engine == "c":
        try:
            library("float")
        except NoCompiler as reason:
            pytest.skip(f"no fused kernel: {reason}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_KERNEL", {"c": "on", "torch": "off"}[engine])
        yield


@pytest.fixture(params=["c", "torch"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make the networks' steps in C, then in torch."""
    with steps_by(request.param):
        yield request.param


def by_both(call: Callable[[], Any]) -> tuple[Any, Any]:
    """Return what a call returns in C, and in torch."""
    found = []
    for engine in ("c", "torch"):
        with steps_by(engine):
            found.append(call())
    return found[0], found[1]


def as_scored(y: Any, score: Any, threshold: float | None = None, **columns: Any) -> Scored:
    """Return rows with these labels and scores, numbered from 0."""
    return Scored(np.asarray(y), np.asarray(score), np.arange(len(y)), columns, threshold)


def relative_distance(found: Any, expected: Any) -> float:
    """Return the largest over the members of |found − expected| / |expected|, of stacked tensors (K, …)."""
    import torch

    mine, theirs = (torch.cat([t.flatten(1).double() for t in tensors], 1) for tensors in (found, expected))
    return float(((mine - theirs).norm(dim=1) / theirs.norm(dim=1)).max())


def random_networks(sizes: Any, K: int, seed: int = 0) -> tuple[list[Any], Any]:
    """Return K stacked networks in float64 whose biases are not zero, and the generator that made them."""
    import torch

    g = torch.Generator().manual_seed(seed)
    parameters = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        parameters.append(torch.randn(K, fan_in, fan_out, generator=g, dtype=torch.float64) / fan_in**0.5)
        parameters.append(torch.randn(K, fan_out, generator=g, dtype=torch.float64) * 0.3)
    return parameters, g


def random_masks(sizes: Any, leading: tuple[int, ...], g: Any, rate: float = 0.4) -> list[Any]:
    """Return dropout's factors (*leading, h) of each hidden layer, in float64."""
    import torch

    drawn = [torch.rand(*leading, h, generator=g, dtype=torch.float64) for h in sizes[1:-1]]
    return [(uniform >= rate) / (1 - rate) for uniform in drawn]


def one_network(parameters: Any, x: Any, keep: Any = None) -> Any:
    """Return the logits (B,) of one network, given as [W1, b1, …], in plain PyTorch."""
    import torch

    hidden = x
    for i in range(0, len(parameters) - 2, 2):
        hidden = torch.relu(torch.nn.functional.linear(hidden, parameters[i].T, parameters[i + 1]))
        hidden = hidden if keep is None else hidden * keep[i // 2]
    return torch.nn.functional.linear(hidden, parameters[-2].T, parameters[-1]).squeeze(-1)


@pytest.fixture(scope="session")
def table() -> Table:
    """Return 600 simulated loans: mixed kinds, missing values, a known P(y=1 | x)."""
    from bench.data.cards import card

    return load(card("loan-sim"), rows=600)


@pytest.fixture(scope="session")
def splits(table: Table) -> list[Split]:
    """Return the table's splits into three folds."""
    return protocol_named("strict").splits(table, folds=3)


@pytest.fixture
def workbench(table: Table, splits: list[Split], tmp_path: Path) -> Workbench:
    """Return what a process needs to run the table's runs, on a store of this test's own."""
    return Workbench(table, {part.sha256: part for part in splits}, Store(tmp_path / "results"), "cpu")


@pytest.fixture(scope="session")
def runs_of(table: Table, splits: list[Split]) -> Callable[..., list[Run]]:
    """Return a function from arms to their runs on the table; networks train for a few steps only."""

    def listed(*arms: Arm, seeds: int = 1) -> list[Run]:
        return plan(table, protocol_named("strict"), splits, arms, seeds)

    return listed


@pytest.fixture
def bench(tmp_path: Path) -> Script:
    """Return a function that runs the console script in a folder of the test's own, without network."""

    def run(*words: Any, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [console_script(), *map(str, words)],
            cwd=tmp_path,
            env=offline() | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def console_script() -> str:
    """Return the path of the installed `bench`, beside the interpreter that runs the tests."""
    return str(Path(sys.executable).with_name("bench"))


def offline() -> dict[str, str]:
    """Return the environment with one thread, and proxies at a port on which nothing listens."""
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    plain = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "100", "NO_PROXY": "", "no_proxy": ""}
    return dict(os.environ) | nowhere | plain


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real tables that BENCH_TEST_DATA names; they are never in the repository."""
    folder = os.environ.get("BENCH_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("BENCH_TEST_DATA names no folder of real tables (loan_data.csv and others)")
    return Path(folder)

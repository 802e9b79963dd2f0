"""Engines by name: the package's, and one of an author's own from a single file, through the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import plugins
from bench.errors import BadPlugin, UnknownName
from bench.runs import engines as package
from bench.runs.engines import engine_named, engines
from bench.store.folder import Store
from bench.store.parquet import read_checked
from tests.conftest import Script

RUN = ("run", "--dataset", "loan-sim", "--rows", "600", "--folds", "2", "--seeds", "1", "--set", "steps=40")
ARMS = ("--arm", "prevalence", "--arm", "none", "--arm", "logistic-regression")
BACKWARDS = """
import time
from pathlib import Path

class Backwards:
    name = "backwards"
    description = "this process, the last pack first"

    def run(self, packs, bench, reporter, *, workers, timeout=None):
        results = []
        for pack in reversed(packs):
            began = time.perf_counter()
            reporter.pack_started(0, pack)
            done = bench.run_pack(pack, lambda step, steps: reporter.pack_progress(0, step, steps))
            reporter.pack_finished(0, done, time.perf_counter() - began)
            with Path("trace").open("a") as trace:
                trace.write(f"{pack[0].arm} {len(pack)}\\n")
            results += done
        return results

ENGINE = Backwards()
"""
LAZY = """
class Lazy:
    name, description = "lazy", "does the first pack and no other"

    def run(self, packs, bench, reporter, *, workers, timeout=None):
        reporter.pack_started(0, packs[0])
        done = bench.run_pack(packs[0], lambda step, steps: None)
        reporter.pack_finished(0, done, 0.0)
        return done

ENGINE = Lazy()
"""


def plugin(folder: Path, name: str, text: str) -> dict[str, str]:
    """Write a plugin file; return the environment that names it."""
    path = folder / "mine" / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return {plugins.VARIABLE: str(path)}


def scores(folder: Path) -> dict[str, object]:
    """Return every run's scores, column by column, by key."""
    store = Store(folder)
    paths = {key: store.scores_path("loan-sim", key) for key in store.keys("loan-sim")}
    return {key: read_checked(path).to_pydict() for key, path in paths.items()}


def test_every_file_of_the_folder_has_one_engine_of_its_name() -> None:
    folder = Path(package.__file__).parent
    assert list(engines()) == sorted(path.stem for path in folder.glob("[!_]*.py"))
    with pytest.raises(UnknownName, match=r"Unknown engine 'locale'\. Did you mean 'local'"):
        engine_named("locale")


def test_an_engine_of_one_file_gives_what_the_local_one_gives(bench: Script, tmp_path: Path) -> None:
    """It runs the packs in this process and in reverse: the scores are the same to the last bit."""
    mine = plugin(tmp_path, "backwards", BACKWARDS)
    listed = json.loads(bench("list", "engines", "--json", **mine).stdout)["engines"]
    assert listed == [
        {"name": "local", "description": engines()["local"].description},
        {"name": "backwards", "description": "this process, the last pack first"},
    ]
    words = (*RUN, *ARMS, "--pack", "1", "--workers", "0")
    local = bench(*words, "--results", "a")
    file = mine[plugins.VARIABLE]
    own = bench(*words, "--results", "b", "--engine", "backwards", "--method-file", file)
    assert (local.returncode, own.returncode) == (0, 0), own.stderr
    assert "[6/6]" in own.stderr
    packs = json.loads(bench(*words, "--results", "c", "--dry-run", "--json").stdout)["packs"]
    ran = [line.split()[0] for line in (tmp_path / "trace").read_text().splitlines()]
    assert ran == [pack["arms"][0] for pack in reversed(packs)]
    assert len(scores(tmp_path / "a")) == 6
    assert scores(tmp_path / "a") == scores(tmp_path / "b")
    again = bench(*words, "--results", "b")
    assert "6 runs (6 done before)" in again.stdout  # the engine is no part of a key


def test_an_unknown_engine_is_told_before_anything_is_made(bench: Script, tmp_path: Path) -> None:
    ended = bench(*RUN, "--engine", "ray")
    assert ended.returncode == 2
    assert "Unknown engine 'ray'. Known: local." in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_leaves_runs_out_is_named_and_what_it_did_is_kept(
    bench: Script, tmp_path: Path
) -> None:
    ended = bench(*RUN, *ARMS, "--pack", "1", "--engine", "lazy", **plugin(tmp_path, "lazy", LAZY))
    assert ended.returncode == 2
    assert "The engine 'lazy' ended without a result for 5 of 6 runs; the first" in ended.stderr
    assert ended.stderr.count("Traceback") == 0
    assert len(Store(tmp_path / "results").keys("loan-sim")) == 1


def test_an_engine_whose_results_no_record_bears_out_is_named(bench: Script, tmp_path: Path) -> None:
    text = LAZY.replace("lazy", "liar").replace(
        "return done",
        "from bench.contract import Result; rest = [run for pack in packs[1:] for run in pack]; "
        "return done + [Result(run.key, run.arm, 'ok', None) for run in rest]",
    )
    ended = bench(*RUN, *ARMS, "--pack", "1", "--engine", "liar", **plugin(tmp_path, "liar", text))
    assert ended.returncode == 2
    assert "The engine 'liar' gives" in ended.stderr
    assert "the result 'ok', and there is no record" in ended.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ENGINE = 3", r"mine/bad\.py: ENGINE lacks name and description and run"),
        (BACKWARDS.replace("def run", "def go"), r"mine/bad\.py: ENGINE lacks run\. It needs a name"),
        (
            BACKWARDS.replace('"backwards"', '"local"'),
            r"Two engines are called 'local': .*local\.py and .*bad",
        ),
        (
            BACKWARDS.replace('"backwards"', '"Back Wards"'),
            r"bad\.py: the engine is called 'Back Wards'; expected lower-case letters, digits and hyphens",
        ),
        (
            BACKWARDS.replace("*, workers, timeout=None", "workers"),
            r"bad\.py: ENGINE is called by run\(.*\), and got an unexpected keyword argument 'timeout'",
        ),
        (
            BACKWARDS.replace("packs, bench, reporter, *", "packs, *"),
            r"bad\.py: .* too many positional arguments",
        ),
    ],
)
def test_a_file_whose_engine_is_none_is_named_with_its_fault(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(plugins.VARIABLE, plugin(tmp_path, "bad", text)[plugins.VARIABLE])
    with pytest.raises(BadPlugin, match=message):
        engines()

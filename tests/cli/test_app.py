"""The command line: what it prints where, its exit codes, and an answer to every bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch

from bench.arms.arm import ARMS
from bench.arms.matrices import MATRICES
from bench.cli import app as cli
from bench.cli import catalogue, completion, output
from bench.cli.catalogue import LISTED, Listed, summary
from bench.data.cards import card, dataset_names
from bench.data.raw.cache import address
from bench.methods import methods
from bench.names import PRUNERS, SEARCHES, FormatName
from bench.protocols import protocol_named, protocols
from bench.protocols.published import REPAIRS
from bench.report import leaderboard as boards
from bench.runs.engines import engines
from bench.store.folder import Store
from bench.workflows.doctor import Finding, _kaggle, _kernel
from tests.conftest import Script, offline

SMALL = ("run", "--dataset", "loan-sim", "--rows", "600", "--folds", "3", "--seeds", "1", "--workers", "0")
COMMANDS = {command.name or command.callback.__name__: command for command in cli.app.registered_commands}  # type: ignore[union-attr]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Return a function that runs the console script's `main` here, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> Ended:
        monkeypatch.setattr("sys.argv", ["bench", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small table with a label `y`, columns replaced or added by name."""

    def written(name: str = "mine.csv", rows: int = 120, **columns: Any) -> Path:
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"a": rng.normal(size=rows), "kind": rng.choice(["u", "v"], rows)})
        frame["y"] = (rng.random(rows) < 0.3).astype(int)
        frame = frame.assign(**columns)
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return written


def on_file(file: Path, *words: str) -> tuple[str, ...]:
    fast = ("--folds", "3", "--seeds", "1", "--workers", "0", "--arm", "prevalence")
    return ("run", "--data-file", str(file), "--target", "y", *fast, *words)


def records(folder: Path) -> list[Path]:
    return list((folder / "results" / "runs").rglob("*.parquet"))


# What there is


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_ends_with_an_example(name: str, call: Call) -> None:
    ended = call(name, "--help")
    assert ended.code == 0
    assert f"Example: bench {name} " in ended.out.replace("\n", " ")
    paragraphs = (COMMANDS[name].callback.__doc__ or "").strip().split("\n\n")  # type: ignore[union-attr]
    assert paragraphs[-1].strip().startswith(f"Example: bench {name}")


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_the_short_option_of_help_is_the_long_one(name: str | None, call: Call) -> None:
    words = [name] if name else []
    short = call(*words, "-h")
    assert short == call(*words, "--help")
    assert (short.code, short.err) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_words_for_values_panels_and_whole_paragraphs(
    name: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    shown = call(name, "-h").out
    assert not re.search(r"<(bool|str|int|float|path|list)", shown)
    assert "─ Output ─" in shown
    assert "─ Options ─" not in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for paragraph in (COMMANDS[name].callback.__doc__ or "").strip().split("\n\n"):  # type: ignore[union-attr]
        whole = " ".join(paragraph.split())
        assert any(whole.startswith(line) and len(line) > min(len(whole) - 1, 200) for line in lines)


def test_the_options_of_a_run_stand_in_panels(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = call("run", "-h").out
    places = [shown.index(f"─ {panel} ─") for panel in ("Data", "What to run", "How to run it", "Output")]
    assert places == sorted(places)
    assert re.search(r"--source\s+SOURCE", shown)
    assert "auto, wheel, kaggle, mirror, openml" in re.sub(r"[│\s]+", " ", shown)
    assert "<auto|cpu|cuda>" in shown
    assert re.search(r"--dry-run\s+Only say", shown)
    assert re.search(r"--timeout\s+SECONDS", shown)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_choices_have_one_notation_in_every_help(
    name: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    assert not re.search(r"[\[{]\w+\|\w+", call(name, "-h").out)


def test_the_commands_that_run_nothing_ask_for_records_and_not_for_what_to_run(call: Call) -> None:
    for name in ("compare", "tables", "compact"):
        shown = call(name, "-h").out
        assert "─ Which records ─" in shown
        assert "─ What to run ─" not in shown


def test_the_help_of_a_study_says_where_it_runs(call: Call) -> None:
    shown = " ".join(call("study", "-h").out.split())
    assert "worker processes of this machine; --engine is an option of bench run alone" in shown
    assert "Not for studies." in " ".join(re.sub("[│╭╰─]", " ", call("run", "-h").out).split())


def test_the_help_names_every_pair_of_labels_that_needs_no_positive_value(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.data.labels import _LOGICAL, _UNDERSTOOD

    monkeypatch.setenv("COLUMNS", "240")
    (line,) = (line for line in call("run", "-h").out.splitlines() if "--positive  " in line)
    for negative, positive in [*_UNDERSTOOD, tuple(_LOGICAL)]:
        assert f"{negative} and {positive}" in line


def test_list_without_a_kind_says_what_there_is_to_list(call: Call) -> None:
    shown = call("list")
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert all(any(line.startswith(f"{kind} ") for line in lines) for kind in LISTED)
    told = json.loads(call("list", "--json").out)["kinds"]
    assert [kind["name"] for kind in told] == list(LISTED)


def test_the_words_offered_are_those_that_the_suite_knows() -> None:
    from bench.report.render import FORMATS
    from bench.tuning.shared import SEARCH_SAMPLERS, TRIAL_PRUNERS

    assert get_args(Listed) == tuple(LISTED) == tuple(catalogue._ROWS)
    assert [*FormatName] == [*FORMATS]
    assert set(SEARCHES) == set(SEARCH_SAMPLERS)
    assert set(PRUNERS) == set(TRIAL_PRUNERS)


def test_what_the_shell_completes_is_what_the_registries_hold() -> None:
    assert set(completion.arms()) == {name for name in ARMS if "[" not in name}
    assert completion.matrices() == list(MATRICES)
    assert completion.protocols("s") == list(protocols())
    repaired = completion.protocols("published+stratified+")
    assert repaired == [f"published+stratified+{name}" for name in REPAIRS if name != "stratified"]
    assert completion.engines() == list(engines())
    fields = {field for each in methods().values() for field in each.config.model_fields}
    assert completion.settings("") == sorted(f"{field}=" for field in fields)
    assert completion.settings("keep=") == []
    assert completion.datasets() == dataset_names()
    assert set(completion.published_datasets()) == {"fraud", "loan"}
    assert not {"fraud-sim", "loan-sim"} & set(completion.fetched_datasets())


@pytest.mark.parametrize("typed", ["strict+foo+", "foo+", "published+foo+", "published+stratified+foo+"])
def test_what_has_no_variant_is_not_completed(typed: str) -> None:
    assert completion.protocols(typed) == []


@pytest.mark.parametrize("typed", ["", "published+", "published+second-order+"])
def test_every_protocol_that_is_completed_is_one(typed: str) -> None:
    offered = completion.protocols(typed)
    assert offered
    assert all(protocol_named(name).name.count("+") == name.count("+") for name in offered)


MINE = """
from dataclasses import dataclass
from bench.contract import Protocol

raise RuntimeError("no file is run to complete a word")
WORDS = {"later": "the rows after it", "sooner": "the rows before it"}

@dataclass(frozen=True)
class Windows(Protocol):
    def split(self, table, folds, repeats): ...

@dataclass(frozen=True)
class Cluster:
    name: str = "cluster"

class Config(BaseModel):
    steepness: float = 1.0
    kind: ClassVar[str] = "mine"

PROTOCOL = Windows(description="windows in time", name="windows", words=tuple(WORDS))
ENGINE = Cluster()
"""


def test_what_a_users_own_file_brings_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path))
    assert completion.protocols("") == [*protocols_of_bench(), "windows"]
    assert completion.protocols("windows+") == ["windows+later", "windows+sooner"]
    assert completion.protocols("windows+later+") == ["windows+later+sooner"]
    assert completion.engines() == ["local", "cluster"]
    assert "steepness=" in completion.settings("")
    assert "kind=" not in completion.settings("")
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path / "gone"))
    assert completion.engines() == ["local"]  # the command says what is wrong


def protocols_of_bench() -> list[str]:
    return ["strict", "published"]


@pytest.mark.parametrize(
    ("words", "word", "found"),
    [
        (("run", "--dataset"), "loan", {"loan", "loan-sim"}),
        (("run", "--arm"), "metab", {"metabalance", "metabalance-no-inner"}),
        (("run", "--matrix"), "", {"quick", "core", "full"}),
        (("run", "--source"), "k", {"kaggle"}),
        (("tables", "--protocol"), "", {"strict", "published"}),
        (("tables", "--format"), "t", {"tex"}),
        (("study", "--pruner"), "h", {"halving"}),
        (("list",), "m", {"methods", "metrics", "matrices"}),
        (("run", "--engine"), "l", {"local"}),
        (("run", "--protocol"), "published+st", {"published+stratified"}),
        (("run", "--set"), "inner_", {"inner_lr=", "inner_batch="}),
        (("fetch",), "fr", {"fraud"}),
        (("compare",), "xgb", {"xgboost"}),
        (("do",), "", set()),
    ],
)
def test_the_shell_completes_values_and_imports_nothing_heavy(
    words: tuple[str, ...], word: str, found: set[str], tmp_path: Path
) -> None:
    code = (
        "import sys; sys.argv = ['bench']; from bench.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('HEAVY', *({'torch', 'pandas', 'numpy', 'sklearn', 'optuna'} & set(sys.modules)))"
    )
    asked = {
        "_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["bench", *words, word]),
        "COMP_CWORD": str(len(words) + 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=offline() | asked, capture_output=True, text=True, check=True
    )
    offered, _, heavy = done.stdout.partition("HEAVY")
    assert found <= set(offered.split())
    assert all(name.startswith(word) for name in offered.split())
    assert heavy.split() == []


@pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("study", "--help"), ("list",)])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    code = (
        f"import sys; sys.argv = ['bench', *{words}]; from bench.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'optuna', 'pyarrow'}\n"
        "print('HEAVY', *(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=offline(), capture_output=True, text=True, check=True
    )
    shown, _, heavy = done.stdout.partition("HEAVY")
    assert shown.strip()
    assert heavy.split() == []


def test_completion_can_be_installed(call: Call) -> None:
    shown = call("--help").out
    assert "--install-completion" in shown
    assert "--show-completion" in shown


def test_the_package_runs_as_the_script_does(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bench", "list", "losses", "--json"]
    done = subprocess.run(
        words, cwd=tmp_path, env=offline(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "focal" in done.stdout


def test_without_a_command_the_help_says_what_to_start_with(call: Call) -> None:
    ended = call()
    assert ended.code == 2
    assert "bench run --dataset fraud-sim" in (ended.out + ended.err).replace("\n", " ")


def test_the_version_is_printed(call: Call) -> None:
    import bench

    assert call("--version") == Ended(0, f"{bench.__version__}\n", "")


@pytest.mark.parametrize("kind", LISTED)
def test_every_kind_is_listed_for_people_and_for_programs(kind: str, call: Call) -> None:
    entries = json.loads(call("list", kind, "--json").out)[kind]
    assert len({entry["name"] for entry in entries}) == len(entries) > 0
    shown = call("list", kind)
    assert (shown.code, shown.err) == (0, "")
    assert all(entry["name"] in shown.out for entry in summary(kind))


def test_a_dry_run_says_in_which_wheel_a_table_is(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    shown = call("run", "--dataset", "vub-credit", "--dry-run").out
    assert "1. wheel empulse==0.13.1: vub_credit_scoring.csv.gz (0.8 MB)" in shown.replace("\xa0", " ")
    assert list(tmp_path.iterdir()) == []


def test_suites_are_listed_with_their_data_sets(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = json.loads(call("list", "suites", "--json").out)["suites"]
    assert [row["name"] for row in told] == ["credit", "fraud", "sim"]
    assert "pakdd-2009" in told[0]["datasets"]
    shown = call("list", "suites").out
    assert all(name in shown for row in told for name in row["datasets"])


def test_lists_are_in_the_registries_order(call: Call) -> None:
    assert [entry["name"] for entry in json.loads(call("list", "arms", "--json").out)["arms"]] == list(ARMS)
    matrices = json.loads(call("list", "matrices", "--json").out)["matrices"]
    assert {m["name"]: tuple(m["arms"]) for m in matrices} == dict(MATRICES)


# A benchmark


def test_a_run_prints_its_table_and_writes_it_and_a_second_run_does_nothing(
    call: Call, tmp_path: Path
) -> None:
    words = (*SMALL, "--arm", "prevalence", "--arm", "logistic-regression")
    first = call(*words)
    assert first.code == 0, first.err
    assert "logistic-regression" in first.out
    assert "6 runs (0 done before), 0 failed" in first.out
    assert "600 rows" in first.err
    assert "[6/6]" in first.err
    board = boards.read(tmp_path / "results" / "leaderboards" / "loan-sim-strict.parquet")
    assert board["arm"].tolist() == ["logistic-regression", "prevalence"]
    assert (tmp_path / "results" / "leaderboards" / "loan-sim-strict.md").exists()
    before = {path: path.stat().st_mtime_ns for path in records(tmp_path)}
    second = call(*words)
    assert "6 runs (6 done before), 0 failed" in second.out
    assert "0 runs to do" in second.err
    assert {path: path.stat().st_mtime_ns for path in records(tmp_path)} == before


def test_json_is_one_object_on_stdout(call: Call) -> None:
    ended = call(*SMALL, "--arm", "prevalence", "--json")
    found = json.loads(ended.out)
    assert (found["runs"], found["done_before"], found["failed"]) == (3, 0, [])
    assert [arm["arm"] for arm in found["arms"]] == ["prevalence"]
    assert Path(found["leaderboard"]).exists()


def test_a_dry_run_prints_the_plan_and_writes_no_record(call: Call, tmp_path: Path) -> None:
    call(*SMALL, "--arm", "prevalence")
    before = records(tmp_path)
    words = (*SMALL, "--arm", "prevalence", "--arm", "none", "--dry-run")
    ended = call(*words)
    assert ended.code == 0
    assert "6 runs, 3 done; 1 packs: 3" in ended.out
    found = json.loads(call(*words, "--json").out)
    assert found["arms"] == {"prevalence": {"runs": 3, "done": 3}, "none": {"runs": 3, "done": 0}}
    assert [pack["arms"] for pack in found["packs"]] == [["none"]]
    assert records(tmp_path) == before


def test_a_dry_run_of_data_that_are_not_here_fetches_nothing_and_counts_by_the_card(
    bench: Script, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shown = bench("run", "--dataset", "fraud", "--dry-run", BENCH_CACHE=str(cache))
    assert shown.returncode == 0, shown.stderr
    assert "fraud is not in the cache" in shown.stdout
    places = [
        shown.stdout.index(f"{source.kind} {address(source)}: {source.file}")
        for source in card("fraud").sources
    ]
    assert places == sorted(places)
    assert "MB)" in shown.stdout
    assert "45 runs of 9 arms" in shown.stdout
    assert list(tmp_path.iterdir()) == []
    words = ("run", "--dataset", "loan", "--arm", "none", "--arm", "xgboost", "--folds", "4", "--dry-run")
    told = json.loads(bench(*words, "--json", BENCH_CACHE=str(cache)).stdout)
    assert told["fetch"]["name"] == "loan"
    assert [each["bytes"] for each in told["fetch"]["sources"]] == [
        source.size_bytes for source in card("loan").sources
    ]
    assert (told["runs"], told["done"]) == (24, None)
    assert {arm: counted["runs"] for arm, counted in told["arms"].items()} == {"none": 12, "xgboost": 12}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--arm", "smoot"), "Did you mean 'smote'"),
        (("--source", "openml"), "names no source 'openml'"),
        (("--rows", "10"), "only simulated data can have any number"),
        (("--set", "lr=-1"), "lr: Input should be greater than 0"),
        (("--seeds", "0"), "at least 1 is needed"),
        (("--protocol", "published", "--arm", "none", "--set", "keep=best"), "holds none out"),
        (("--folds", "0"), "at least 2 folds and 1 repeat"),
        (("--folds", "1"), "at least 2 folds and 1 repeat"),
        (("--repeats", "0"), "at least 2 folds and 1 repeat"),
        (("--folds", "3", "--protocol", "published", "--arm", "none"), "has one split"),
        (("--shard", "9/4"), "shards are numbered 1/4 … 4/4"),
        (("--shard", "1/0"), "shards are numbered 1/1"),
        (("--pack", "0"), "at least one member"),
        (("--workers", "-3"), "0 (this process) or more"),
        (("--timeout", "-1"), "positive number of seconds"),
    ],
)
def test_a_dry_run_without_the_data_still_tells_mistakes(
    words: tuple[str, ...], answer: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    ended = call("run", "--dataset", "loan", "--dry-run", *words)
    assert ended.code in (2, 3)
    assert answer in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("--data-file", "there.csv", "--target", "nope"),
        ("--data-file", "absent.csv", "--target", "y"),
        ("--dataset", "loan"),
        ("--dataset", "loan-sim", "--rows", "600", "--folds", "600"),
    ],
    ids=" ".join,
)
def test_a_run_that_cannot_begin_makes_no_folder_and_compiles_nothing(
    words: tuple[str, ...], bench: Script, tmp_path: Path
) -> None:
    (tmp_path / "there.csv").write_text("x,y\n1,0\n2,1\n")
    ended = bench("run", *words, BENCH_CACHE=str(tmp_path / "cache"))
    assert ended.returncode in (2, 3), ended.stderr
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {name for name in left if not name.endswith(".lock")} == {"there.csv"}  # a fetch locks its folder
    assert not (tmp_path / "results").exists()


def test_a_dry_run_of_simulated_data_writes_nothing_and_compiles_nothing(
    bench: Script, tmp_path: Path
) -> None:
    words = (*SMALL, "--arm", "metabalance", "--dry-run", "--json")
    shown = bench(*words, BENCH_CACHE=str(tmp_path / "cache"))
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert (told["fetch"], told["runs"], told["done"]) == (None, 3, 0)
    assert list(tmp_path.iterdir()) == []


def test_failed_runs_end_with_their_number_and_the_first_reason(call: Call, write: Any) -> None:
    """ADASYN makes no rows where the classes never meet."""
    rng = np.random.default_rng(0)
    y = (np.arange(120) % 4 == 0).astype(int)
    file = write(y=y, a=rng.normal(size=120) + 1000.0 * y, kind=1.0 * y + rng.normal(size=120) / 100)
    words = (*on_file(file), "--arm", "adasyn", "--set", "steps=20")
    ended = call(*words)
    assert ended.code == 4
    last = ended.err.strip().splitlines()[-1]
    assert last.startswith("3 of 6 runs failed; the first, adasyn(steps=20)")
    assert "RuntimeError: Not any neigbours" in last
    assert "--retry-failed" in last
    assert "3 failed" in ended.out
    assert call(*words).code == 4
    assert "0 runs to do" in call(*words).err
    assert "3 runs to do" in call(*words, "--retry-failed").err


def test_tables_are_made_anew_and_checked(call: Call, tmp_path: Path) -> None:
    call(*SMALL, "--arm", "prevalence")
    assert call("tables", "--check").code == 0
    page = tmp_path / "results" / "leaderboards" / "loan-sim-strict.md"
    page.write_text("a number made up")
    ended = call("tables", "--check")
    assert ended.code == 2
    assert "loan-sim-strict.md" in ended.err
    assert page.read_text() == "a number made up"
    made = json.loads(call("tables", "--format", "md", "--format", "tex", "--format", "csv", "--json").out)
    assert str(page.relative_to(tmp_path)) in made["stale"]
    assert "prevalence" in page.read_text()
    assert call("tables", "--check", "--format", "tex", "--format", "csv").code == 0
    (page.parent / "loan-strict.md").write_text("# a table of records that are not there")
    ended = call("tables", "--check")
    assert (ended.code, "made by no record" in ended.err) == (2, True)
    assert "none under published" in call("tables", "--protocol", "published").err


def test_records_are_compacted_and_a_set_without_any_is_refused(call: Call, tmp_path: Path) -> None:
    call(*SMALL, "--arm", "prevalence")
    written = json.loads(call("compact", "--json").out)["written"]
    assert [(Path(one["path"]).name, one["bytes"] > 0) for one in written] == [
        ("records.parquet", True),
        ("noise.parquet", True),
    ]
    assert call("tables").code == 0
    assert (tmp_path / "results" / "README.md").read_text().startswith("# What the records here say")
    assert call("tables", "--check").code == 0
    assert call("compact", "--results", "nowhere").code == 2


@pytest.mark.parametrize("command", ["tables", "compact"])
def test_without_records_the_command_that_makes_them_stands_on_a_line_of_its_own(
    command: str, call: Call, tmp_path: Path
) -> None:
    def told(*words: str) -> list[str]:
        ended = call(command, *words)
        assert (ended.code, ended.out) == (2, "")
        return ended.err.splitlines()

    assert told() == [
        "Error: results holds no records of your own. This makes them:",
        "  bench run --dataset fraud-sim",
    ]
    assert told("--dataset", "loan", "--results", "my own")[1:] == [
        "  bench run --dataset loan --results 'my own'"
    ]
    (tmp_path / "results" / "published" / "compact" / "mine").mkdir(parents=True)
    again = "The published tables are made again by: bench tables --results results/published"
    assert told()[1:] == ["  bench run --dataset fraud-sim", again]
    assert told("--dataset", "loan")[1:] == ["  bench run --dataset loan"], "nothing of it is published"
    assert told("--dataset", "mine")[1:] == [
        "  bench run --data-file FILE --target COLUMN",
        f"{again} --dataset mine",
    ]
    (unknown,) = told("--dataset", "mien")
    assert unknown.startswith("Error: Unknown data set 'mien'. Did you mean 'mine'?")
    assert "loan, loan-sim, mine" in unknown


def test_records_of_another_set_are_not_said_to_be_of_another_protocol(call: Call) -> None:
    call(*SMALL, "--arm", "prevalence")
    assert "none under published" in call("tables", "--dataset", "loan-sim", "--protocol", "published").err
    ended = call("tables", "--dataset", "loan", "--protocol", "published")
    assert "no records of your own of loan." in ended.err


def test_tables_that_were_not_there_are_called_new(call: Call, tmp_path: Path) -> None:
    call(*SMALL, "--arm", "prevalence")
    assert "(" not in call("tables").out
    folder = tmp_path / "results" / "leaderboards"
    (folder / "loan-sim-strict.md").write_text("a number made up")
    lines = call("tables", "--format", "md", "--format", "csv").out.splitlines()
    assert "results/leaderboards/loan-sim-strict.md (was stale)" in lines
    assert "results/leaderboards/loan-sim-strict.csv (new)" in lines


def test_the_doctor_says_what_this_machine_has(call: Call, tmp_path: Path) -> None:
    checks = {c["name"]: c for c in json.loads(call("doctor", "--json").out)["checks"]}
    assert {"python", "torch", "cores", "device", "cache", "results", "cards", "kaggle credentials"} <= set(
        checks
    )
    assert all(check["ok"] for check in checks.values())
    (tmp_path / "taken").write_text("")
    ended = call("doctor", "--results", "taken")
    assert ended.code == 2
    assert "cannot be written" in ended.err


def test_the_doctor_makes_nothing(
    bench: Script, tmp_path: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    places = {"BENCH_CACHE": str(tmp_path / "cache" / "deep"), "TMPDIR": str(temporary)}
    shown = bench("doctor", "--results", "none/such", **places)
    assert shown.returncode == 0, shown.stderr
    assert "cache/deep (not made yet" in shown.stdout
    assert "none/such (not made yet" in shown.stdout
    assert [*tmp_path.iterdir(), *temporary.iterdir()] == []
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert bench("doctor", TMPDIR=str(temporary)).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    assert [*tmp_path.iterdir(), *temporary.iterdir()] == []


def test_the_doctor_says_which_folder_cannot_be_written(call: Call, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    checks = {
        c["name"]: c for c in json.loads(call("doctor", "--results", "taken/in", "--json").out)["checks"]
    }
    assert not checks["results"]["ok"]
    assert "taken is a file" in checks["results"]["found"]


@pytest.mark.parametrize(
    ("variable", "folder", "file"),
    [
        (None, "home/.kaggle", "access_token"),
        (None, "home/.kaggle", "kaggle.json"),
        (None, "home/.config/kaggle", "kaggle.json"),
        ("XDG_CONFIG_HOME", "xdg/kaggle", "kaggle.json"),
        ("KAGGLE_CONFIG_DIR", "elsewhere", "kaggle.json"),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Kaggle's client looks there on Linux alone")
def test_the_doctor_finds_kaggle_credentials_where_the_client_does_and_shows_none(
    variable: str | None, folder: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _kaggle().found == "none (only competitions need them)"
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / folder.partition("/")[0]))
    path = tmp_path / folder / file
    path.parent.mkdir(parents=True)
    path.write_text('{"username": "someone", "key": "a secret"}')
    assert _kaggle() == Finding("kaggle credentials", True, str(path))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "another secret")
    assert _kaggle().found == f"KAGGLE_API_TOKEN, {path}"


def test_the_doctor_says_no_factor_of_what_it_did_not_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_KERNEL", "off")
    assert _kernel().found.startswith("torch alone, which is slower: ")


# On a terminal


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that gives the terminal so many columns."""
    return lambda width: monkeypatch.setattr(output, "_terminal", lambda: width)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("kind", LISTED)
def test_a_list_fits_the_terminal_and_cuts_no_name_or_number(
    kind: str, width: int, call: Call, columns: Callable[[int], None]
) -> None:
    columns(width)
    shown = call("list", kind).out
    assert max(map(len, shown.splitlines())) <= width
    lines = [line.split() for line in shown.splitlines() if line and not line.startswith(" ")]  # else wrapped
    entries = summary(kind)
    assert {entry["name"] for entry in entries} <= {line[0] for line in lines}
    for entry in entries if kind == "datasets" and width > 60 else []:
        (line,) = (line for line in lines if line[0] == entry["name"])
        assert entry["rows"] is None or f"{entry['rows']:,}" in line


@pytest.mark.parametrize(
    ("kind", "column"), [("matrices", "arms"), ("metrics", "printed"), ("methods", "settings")]
)
def test_the_narrowest_list_keeps_the_column_that_one_came_for(
    kind: str, column: str, call: Call, columns: Callable[[int], None]
) -> None:
    columns(60)
    shown = call("list", kind).out
    assert max(map(len, shown.splitlines())) <= 60
    assert column in shown.splitlines()[0].split()
    assert {entry["name"] for entry in summary(kind)} <= {
        line.split()[0] for line in shown.splitlines() if line
    }
    if kind == "metrics":
        assert all(entry["printed"] in shown for entry in summary(kind))


@pytest.mark.parametrize("width", [60, 80])
def test_the_doctor_on_a_terminal_tears_no_name_and_no_path(
    width: int, columns: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    short, long = "/" + "a" * (width - 20), "/" + "b" * (width - 2)
    columns(width)
    output.show_checks(
        [
            Finding("cards", True, ", ".join(dataset_names())),
            Finding("kernel", True, f"compiled: {short}/float.so"),
            Finding("cache", True, f"{long} (9 GB free)"),
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert long in lines
    assert any(f"{short}/float.so" in line for line in lines)
    words = [word.strip(",") for line in lines for word in line.split()]
    assert set(dataset_names()) <= set(words)


@pytest.mark.parametrize("width", [60, 80])
def test_a_dry_run_on_a_terminal_tears_no_address(
    width: int, call: Call, columns: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    columns(width)
    for name in ("fraud", "loan", "credit-default"):
        lines = call("run", "--dataset", name, "--dry-run").out.splitlines()
        words = {word for line in lines for word in line.split()}
        addresses = {f"{address(source)}:" for source in card(name).sources}
        assert addresses <= words
        longest = max(map(len, addresses))
        assert max(map(len, lines)) <= max(width, longest)


@pytest.mark.parametrize("width", [60, 80])
def test_paths_of_tables_and_compact_records_stay_whole_on_a_terminal(
    width: int, call: Call, columns: Callable[[int], None], tmp_path: Path
) -> None:
    results = tmp_path / ("a-long-name-" * 6) / "results"
    call(*SMALL, "--arm", "prevalence", "--results", results)
    columns(width)
    lines = call("compact", "--results", results).out.splitlines()
    assert str(results / "compact" / "loan-sim" / "records.parquet") in lines
    assert any(re.fullmatch(r"  \([\d.]+ MB\)", line) for line in lines)
    lines = call("tables", "--results", results, "--format", "csv").out.splitlines()
    assert lines[lines.index(str(results / "leaderboards" / "loan-sim-strict.csv")) + 1] == "  (new)"


@pytest.mark.parametrize("width", [60, 80])
def test_an_error_on_a_terminal_is_wrapped_at_words_and_its_commands_stay_whole(
    width: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_error_terminal", lambda: width)
    command = "bench run --dataset loan --arm none --arm xgboost --results 'a folder' --protocol published"
    arms = [word for name in ("none", "xgboost") for word in ("--arm", name)]
    words = ("compare", "none", "xgboost", "--dataset", "loan", "--protocol", "published")
    lines = call(*words, "--results", "a folder").err.splitlines()
    (last,) = (line for line in lines if line.startswith("  bench run"))
    assert last == f"  bench run --dataset loan --protocol published {' '.join(arms)} --results 'a folder'"
    assert max(len(line) for line in lines if line != last) <= width
    lines = call("run", "--dataset", "loan-sim", "--arm", "smoot").err.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= width
    (line,) = (line for line in output._wrapped(f"Do: {command} 3.", width).splitlines() if command in line)
    assert line.startswith(command)


def test_failed_runs_are_told_on_a_terminal_at_words(
    call: Call, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_error_terminal", lambda: 60)
    y = (np.arange(120) % 4 == 0).astype(int)
    words = on_file(write(y=y, a=1000.0 * y + np.arange(120), kind=1.0 * y), "--arm", "adasyn")
    told = call(*words, "--set", "steps=20").err
    told = told[told.index("3 of 6 runs failed") :]
    assert max(map(len, told.splitlines())) <= 60
    assert "When that is mended, --retry-failed runs them again." in " ".join(told.split())


@pytest.mark.parametrize("width", [60, 80])
def test_a_ladder_on_a_terminal_tears_neither_caption_nor_path(
    width: int,
    columns: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    board = pd.DataFrame(
        [
            {
                "rung": rung,
                "repair": repair,
                "arm": "none",
                "n_runs": 3,
                "failed_runs": 0,
                "n_failed": 0,
                "roc_auc_mean": 0.7,
                "roc_auc_lo": 0.6,
                "roc_auc_hi": 0.8,
                "rank": 1,
                "change_mean": 0.1,
                "change_lo": 0.05,
                "change_hi": 0.2,
                "paired": True,
            }
            for rung, repair in (("published", "published"), ("published+stratified", "stratified"))
        ]
    )
    path = Path("/" + "a" * (width - 2))
    columns(width)
    output.show_ladder(board, path, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert str(path) in lines
    assert max(map(len, lines)) <= width


def test_a_run_on_a_terminal_tears_neither_caption_nor_path(
    call: Call, columns: Callable[[int], None], tmp_path: Path
) -> None:
    results = tmp_path / ("a-long-name-" * 6) / "results"
    columns(64)
    shown = call(*SMALL, "--arm", "none[svm-smote]", "--arm", "prevalence", "--results", results).out
    lines = shown.splitlines()
    assert str(results / "leaderboards" / "loan-sim-strict.parquet") in lines
    assert str(results / "runs" / "loan-sim") in lines
    told = [line for line in lines if str(tmp_path) not in line]
    assert max(map(len, told)) <= 64
    assert "none[svm-smote]" in shown.replace("\n", "")
    (sha256,) = re.findall(r"sha256\s+([0-9a-f]{12}…)", shown)
    assert any(sha256 in line for line in lines)
    assert "ROC-AUC" in re.sub(r"\s+", " ", shown[shown.index("Left out for lack of room:") :])


def test_a_pipe_has_every_column(call: Call) -> None:
    call(*SMALL, "--arm", "prevalence")
    shown = call(*SMALL, "--arm", "prevalence").out
    for heading in ("AP [95 %]", "Δ AP [95 %]", "ROC-AUC [95 %]", "R@1% [95 %]", "runs", "sec"):
        assert heading in shown
    assert "Left out" not in shown


# What cannot be done


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("run",), "Say what to run on"),
        (("run", "--dataset", "loans"), "Unknown data set 'loans'. Did you mean 'loan'"),
        (("run", "--dataset", "loan-sim", "--arm", "smoot"), "Unknown arm 'smoot'. Did you mean 'smote'"),
        (("run", "--dataset", "loan-sim", "--matrix", "quik"), "Did you mean 'quick'"),
        (("run", "--dataset", "loan-sim", "--protocol", "strickt"), "Did you mean 'strict'"),
        (("run", "--dataset", "loan", "--source", "kagle"), "Did you mean 'kaggle'"),
        (
            ("run", "--dataset", "loan-sim", "--engine", "loacl"),
            "Unknown engine 'loacl'. Did you mean 'local'",
        ),
        (("run", "--dataset", "loan", "--engine", "loacl", "--dry-run"), "Did you mean 'local'"),
        (("run", "--dataset", "loan-sim", "--set", "stepps=1"), "Did you mean 'steps'"),
        (("run", "--dataset", "loan-sim", "--set", "steps"), "say it as FIELD=VALUE"),
        (("run", "--dataset", "loan-sim", "--set", "lr=-1"), "lr: Input should be greater than 0"),
        (("run", "--dataset", "loan-sim", "--set", "lr=inf"), "must be a finite number"),
        (("run", "--dataset", "loan-sim", "--arms-file", "none.toml"), "none.toml could not be read"),
        (("run", "--dataset", "loan-sim", "--shard", "3"), "say it as I/N"),
        (("run", "--dataset", "loan-sim", "--rows", "600", "--shard", "3/2"), "shards are numbered 1/2"),
        (("run", "--dataset", "loan-sim", "--folds", "1", "--rows", "600"), "at least 2 folds"),
        (("run", "--dataset", "loan-sim", "--seeds", "0", "--rows", "600"), "at least 1 is needed"),
        (("run", "--dataset", "loan-sim", "--rows", "0"), "rows"),
        (("run", "--dataset", "loan-sim", "--pack", "0"), "at least one member"),
        (("run", "--dataset", "loan-sim", "--workers", "-1"), "0 (this process) or more"),
        (("run", "--dataset", "loan-sim", "--timeout", "5", "--workers", "0"), "--workers 1 or more"),
        (("run", "--dataset", "loan-sim", "--target", "y"), "--target goes with a file of your own"),
        (("run", "--dataset", "loan-sim", "--data-file", "f.csv"), "simulated and reads no file"),
        (("run", "--data-file", "f.csv"), "Say --target COLUMN"),
        (("run", "--dataset", "loan-sim", "--device", "gpu"), "Did you mean 'cpu'? Known: auto, cpu, cuda"),
        (("study", "--dataset", "loan-sim", "--search", "tpee"), "Did you mean 'tpe'"),
        (("study", "--dataset", "loan-sim", "--pruner", "all"), "Known: none, median, halving"),
        (("fetch", "loan", "--source", "web"), "Known: auto, wheel, kaggle, mirror, openml"),
        (("fetch",), "Missing argument 'NAME'. Help: bench fetch --help"),
        (("compare", "none"), "Missing argument 'ARM'. Help: bench compare --help"),
        (("compare", "none", "smote"), "Missing option '--dataset'"),
        (("study", "--dataset", "loan-sim", "--engine", "local"), "No such option: --engine"),
        (("run", "--datset", "loan"), "No such option: --datset"),
        (("rnu",), "No such command 'rnu'. Did you mean 'run'?"),
        (("run", "--rows", "many"), "'--rows'"),
        (("list", "arm"), "Did you mean 'arms'"),
        (("fetch", "loan-sim"), "loan-sim is simulated"),
        (("fetch", "lone"), "Did you mean 'loan'"),
        (("tables", "--dataset", "lone"), "Unknown data set 'lone'. Did you mean 'loan'"),
        (("tables", "--format", "html"), "Unknown --format 'html'"),
    ],
)
def test_a_word_that_is_wrong_is_answered_in_a_line(words: tuple[str, ...], answer: str, call: Call) -> None:
    ended = call(*words)
    assert ended.code == 2
    assert answer in ended.err
    assert ended.err.startswith("Error: ")
    assert ended.err.count("\n") == 1
    assert ended.out == ""


@pytest.mark.parametrize(
    ("columns", "words", "answer"),
    [
        ({"y": [0] * 120}, (), "must have two values; it has 0 (120 rows)"),
        ({"y": [0, 1, 2] * 40}, (), "must have two values; it has 0 (40 rows), 1 (40 rows), 2 (40 rows)"),
        ({"y": [1, 2] * 60}, (), "give --positive 1 or --positive 2"),
        ({"y": [1, 2] * 60}, ("--positive", "3"), "--positive 3: '3' is not one value of the target 'y'"),
        ({"y": [1] * 2 + [0] * 118}, (), "2 distinct positives"),
        ({"empty": [None] * 120, "same": ["x"] * 120}, (), "all missing: 'empty'; constant: 'same'"),
        (
            {"a": [np.inf, -np.inf] + [1.0, 2] * 59},
            (),
            "Infinite values in 'a' (2, the first inf in row 1 of",
        ),
        ({}, ("--target", "label"), "Unknown column 'label'"),
        ({"amount": range(120)}, ("--amount", "amuont"), "Did you mean 'amount'"),
        ({}, ("--drop", "knid"), "Did you mean 'kind'"),
        ({}, ("--rows", "100"), "only simulated data can have any number"),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused_with_the_reason(
    columns: dict[str, Any], words: tuple[str, ...], answer: str, call: Call, write: Any, tmp_path: Path
) -> None:
    ended = call(*on_file(write(**columns), *words))
    assert ended.code == 2
    assert answer in ended.err
    assert records(tmp_path) == []


def test_labels_of_one_and_two_run_once_it_is_said_which_is_positive(call: Call, write: Any) -> None:
    ended = call(*on_file(write(y=[1, 2, 1] * 40), "--positive", "2"))
    assert ended.code == 0, ended.err
    assert "120 rows, 40 positives" in ended.err


def test_too_few_positives_name_a_number_of_folds_that_works(call: Call, write: Any) -> None:
    file = write(y=[1] * 4 + [0] * 116)
    ended = call(*on_file(file, "--folds", "5"))
    assert ended.code == 2
    assert "The largest number that works is 4: --folds 4" in ended.err
    assert call(*on_file(file, "--folds", "4")).code == 0


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("empty.csv", b"", "empty"),
        ("head.csv", b"a,y\n", "no rows"),
        ("text.parquet", b"a,y\n1,0\n2,1\n", "parquet"),
        ("twice.csv", b"a,a,y\n1,2,0\n3,4,1\n", "'a'"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    name: str, content: bytes, answer: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    ended = call(*on_file(tmp_path / name))
    assert ended.code == 2
    assert answer in ended.err
    assert name in ended.err


def test_another_file_never_runs_under_a_data_sets_name(call: Call, write: Any) -> None:
    ended = call("run", "--dataset", "loan", "--data-file", write())
    assert ended.code == 3
    assert "expected loan_data.csv (sha256 91969386" in ended.err
    assert "found sha256 " in ended.err


def test_a_file_that_is_not_there_is_no_data(call: Call, tmp_path: Path) -> None:
    ended = call(*on_file(tmp_path / "none.csv"))
    assert ended.code == 3
    assert "none.csv does not exist" in ended.err


def test_a_results_folder_that_cannot_be_written_is_refused_before_anything_runs(
    call: Call, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file in its place")
    ended = call(*SMALL, "--arm", "prevalence", "--results", "taken")
    assert ended.code == 2
    assert "taken cannot be written" in ended.err
    assert "--results DIR" in ended.err


def test_a_cache_that_cannot_be_written_is_refused_before_anything_runs(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file in its place")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "taken"))
    ended = call(*SMALL, "--arm", "prevalence")
    assert ended.code == 2
    assert "BENCH_CACHE" in ended.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_where_there_is_none_is_refused(call: Call) -> None:
    ended = call(*SMALL, "--device", "cuda")
    assert ended.code == 2
    assert "finds no CUDA device here" in ended.err


# The installed script itself


def test_the_script_answers_with_a_message_and_no_traceback(bench: Script) -> None:
    ended = bench("run", "--dataset", "lone")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: Unknown data set 'lone'. Did you mean 'loan'")
    assert ended.stderr.count("\n") == 1


def test_without_network_every_source_is_named_with_the_ways_out(bench: Script, tmp_path: Path) -> None:
    ended = bench("fetch", "loan", BENCH_CACHE=str(tmp_path / "cache"))
    assert ended.returncode == 3, ended.stderr
    assert "The data set 'loan' could not be had" in ended.stderr
    for source in card("loan").sources:
        assert f"\n  {source.kind} {address(source)}: " in ended.stderr
    assert "--data-file F" in ended.stderr
    assert "--dataset loan-sim" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


# Real tables, where there are any


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loan_data.csv", ("--dataset", "loan")),
        ("UCI_Credit_Card.csv", ("--dataset", "credit-default")),
        ("german.data", ("--dataset", "german-credit")),
        ("ulb_creditcard_casecontrol.parquet", ("--target", "Class")),
    ],
)
def test_the_real_tables_run(name: str, words: tuple[str, ...], data_folder: Path, call: Call) -> None:
    fast = ("--arm", "prevalence", "--folds", "3", "--seeds", "1", "--workers", "0", "--json")
    ended = call("run", "--data-file", data_folder / name, *words, *fast)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["failed"] == []


def test_the_store_of_the_command_line_is_the_store_of_python(call: Call, tmp_path: Path) -> None:
    import bench

    request = {"dataset": "loan-sim", "rows": 600, "arms": ("prevalence",), "folds": 3, "seeds": 1}
    board = bench.run(**request, results=tmp_path / "results")
    ended = call(*SMALL, "--arm", "prevalence")
    assert "3 runs (3 done before)" in ended.out
    assert board["arm"].tolist() == ["prevalence"]
    assert len(Store(tmp_path / "results").keys("loan-sim")) == 3

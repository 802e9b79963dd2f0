"""A protocol of one's own is one file: found by its presence, run through the command line, checked by its splits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

import bench as package
from bench import plugins
from bench.cli.app import app
from bench.errors import BadPlugin
from bench.protocols import protocols
from bench.testing import BrokenContract, check_protocol
from tests.conftest import Script

LAST_ROWS = """
from dataclasses import dataclass

import numpy as np

from bench.contract import Protocol
from bench.data.split import Split


@dataclass(frozen=True)
class LastRows(Protocol):
    def number_of_splits(self, folds=None, repeats=None):
        return 1, 1

    def split(self, table, folds, repeats):
        first, second = int(table.n_rows * 0.6), int(table.n_rows * 0.8)
        rows = np.arange(table.n_rows)
        return [Split(0, 0, {parts})]


PROTOCOL = LastRows("last-rows", "the last rows test", main_metric="roc_auc", seeds=2)
"""
PARTS = "rows[:first], rows[first:second], rows[second:]"
RUN = ("run", "--dataset", "loan-sim", "--rows", "600", "--arm", "prevalence", "--arm", "logistic-regression")


def named(tmp_path: Path, text: str) -> dict[str, str]:
    """Write the file into a folder of plugins and return the variable that names the folder."""
    folder = tmp_path / "plugins"
    folder.mkdir(exist_ok=True)
    (folder / "last_rows.py").write_text(text)
    return {"BENCH_PLUGINS": str(folder)}


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_protocol_in_a_folder_judges_a_run(bench: Script, tmp_path: Path, workers: str) -> None:
    """Its splits, seeds and main metric count, in this process and in a worker; other commands know it too."""
    plugins = named(tmp_path, LAST_ROWS.replace("{parts}", PARTS))
    ran = bench(*RUN, "--protocol", "last-rows", "--workers", workers, **plugins)
    assert ran.returncode == 0, ran.stderr
    assert "4 runs (0 done before), 0 failed" in ran.stdout
    records = [
        pq.read_table(path).to_pylist()[0] for path in tmp_path.glob("results/runs/loan-sim/*.parquet")
    ]
    assert {(r["protocol"], r["n_train"], r["n_valid"], r["n_test"]) for r in records} == {
        ("last-rows", 360, 120, 120)
    }
    scores = pq.read_table(next(tmp_path.glob("results/scores/loan-sim/*.parquet"))).to_pandas()
    assert scores.loc[scores["part"] == "test", "row_id"].tolist() == list(range(480, 600))
    page = (tmp_path / "results/leaderboards/loan-sim-last-rows.md").read_text()
    assert "Δ roc auc" in page  # differences are of the main metric
    listed = bench("list", "protocols", "--json", **plugins)
    assert [entry["name"] for entry in json.loads(listed.stdout)["protocols"]] == [
        "strict",
        "published",
        "last-rows",
    ]
    again = bench("tables", "--check", **plugins)
    assert again.returncode == 0, again.stderr


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a protocol's file, and with the results of arms that ran under it."""
    folder = tmp_path_factory.mktemp("recorded")
    named(folder, LAST_ROWS.replace("{parts}", PARTS))
    file = folder / "plugins" / "last_rows.py"
    asked: dict[str, Any] = {
        "rows": 600,
        "arms": ["prevalence", "logistic-regression"],
        "protocol": "last-rows",
    }
    package.run("loan-sim", method_file=file, results=folder / "results", **asked)
    plugins.forget()
    return folder


@pytest.fixture
def call(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs a command on a copy of the results; it forgets plugin files at its end."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, **variables: str) -> Result:
        ended = CliRunner(env=variables).invoke(app, words)
        plugins.forget()
        return ended

    return run


FILE = "plugins/last_rows.py"
COMPARE = ("compare", "prevalence", "logistic-regression", "--dataset", "loan-sim", "--protocol", "last-rows")
GONE = "No file given here has the protocol last-rows"


@pytest.mark.parametrize("words", [("tables",), ("tables", "--protocol", "last-rows"), COMPARE])
def test_what_is_made_without_the_protocols_file_is_made_and_said(
    call: Callable[..., Result], words: tuple[str, ...]
) -> None:
    """A table ranks by average precision then, and not by the protocol's own metric; with the file nothing is said."""
    without = call(*words)
    assert without.exit_code == 0, without.exception
    told = " ".join(without.stderr.split())
    assert told.count(GONE) == 1
    assert f"--method-file FILE, or BENCH_PLUGINS=FILE bench {words[0]}" in told
    assert ("average precision" in told) is (words[0] == "tables")
    for given in (call(*words, "--method-file", FILE), call(*words, BENCH_PLUGINS=FILE)):
        assert (given.exit_code, given.stderr) == (0, "")


def test_a_check_without_the_protocols_file_says_why_tables_differ(call: Callable[..., Result]) -> None:
    checked = call("tables", "--check")
    assert checked.exit_code != 0
    assert "are not what the records give" in str(checked.exception)
    assert GONE in checked.stderr
    assert call("tables", "--check", "--method-file", FILE).exit_code == 0


def test_compact_takes_the_file_that_the_records_were_made_with(call: Callable[..., Result]) -> None:
    assert call("compact", "--method-file", FILE).exit_code == 0
    assert isinstance(call("compact", "--method-file", "gone.py").exception, BadPlugin)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("tables", "--protocol", "last-row"), "Unknown protocol 'last-row'"),
        ((*COMPARE[:-1], "last-row"), "Unknown protocol 'last-row'"),
        (
            ("compare", "none", *COMPARE[2:]),
            "holds no good run of none on loan-sim under the protocol last-rows",
        ),
    ],
)
def test_a_protocol_without_file_and_records_is_unknown(
    call: Callable[..., Result], words: tuple[str, ...], answer: str
) -> None:
    assert answer in str(call(*words).exception)


def test_words_are_those_that_variant_takes(tmp_path: Path) -> None:
    named(tmp_path, LAST_ROWS.replace("{parts}", PARTS).replace("seeds=2", 'seeds=2, words=("later",)'))
    with pytest.raises(
        BrokenContract, match=r"the words \['later'\]: `variant` knows no protocol last-rows\+WORD"
    ):
        check_protocol(tmp_path / "plugins" / "last_rows.py")


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ("rows[:first], rows[first:second], rows[:first]", "360 rows lie in more than one part"),
        ("rows[:first], rows[first:first], rows[second:]", "its validation part (0 rows) lacks a class"),
        (
            "rows[table.y == 0], rows[first:second], rows[second:]",
            "its training part (520 rows) lacks a class",
        ),
        ("rows[:first], rows[first:second], rows[second:] + 1", "distinct row ids of 0 to 599"),
        ("rows[:first][::-1], rows[first:second], rows[second:]", "its training part must be sorted"),
        ("rows[:first] / 2, rows[first:second], rows[second:]", "its training part is no array of row ids"),
    ],
)
def test_parts_that_overlap_or_lack_a_class_are_refused(
    bench: Script, tmp_path: Path, parts: str, fault: str
) -> None:
    plugins = named(tmp_path, LAST_ROWS.replace("{parts}", parts))
    refused = bench(*RUN, "--protocol", "last-rows", "--workers", "0", **plugins)
    assert refused.returncode == 2
    assert "The protocol last-rows, fold 0.0 of 'loan-sim'" in refused.stderr
    assert fault in refused.stderr
    assert not list(tmp_path.glob("results/runs/*/*"))


def test_two_protocols_of_one_name_are_told_with_their_files(bench: Script, tmp_path: Path) -> None:
    plugins = named(tmp_path, LAST_ROWS.replace("{parts}", PARTS).replace('"last-rows"', '"strict"'))
    refused = bench(*RUN, **plugins)
    assert refused.returncode == 2
    assert refused.stderr.startswith("Error: Two protocols are called 'strict'")
    assert "last_rows.py" in refused.stderr
    assert "strict.py" in refused.stderr


@pytest.mark.parametrize("name", ["Last-Rows", "last_rows", "last+rows", "", " last"])
def test_a_name_is_lower_case_letters_digits_and_hyphens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """A plus joins the words of a variant, and a name is part of files' names."""
    text = LAST_ROWS.replace("{parts}", PARTS).replace('"last-rows"', repr(name))
    monkeypatch.setenv(*named(tmp_path, text).popitem())
    with pytest.raises(BadPlugin) as refused:
        protocols()
    expected = (
        f"last_rows.py: the protocol is called {name!r}; expected lower-case letters, digits and hyphens."
    )
    assert str(refused.value).endswith(expected)


def test_what_is_no_protocol_is_told(bench: Script, tmp_path: Path) -> None:
    refused = bench(*RUN, **named(tmp_path, "PROTOCOL = 'strict'\n"))
    assert refused.returncode == 2
    assert "last_rows.py is a str" in refused.stderr


SHIFTED = """
    def encode(self, table, part):
        encoded = super().encode(table, part)
        return replace(encoded, test=replace(encoded.test, rows=encoded.test.rows - 1))


PROTOCOL"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "[Split(0, 0, {parts})]",
            "2 * [Split(0, 0, {parts})]",
            "gives two splits the repeat and fold (0, 0)",
        ),
        ("Split(0, 0, ", "Split('a', 0, ", "'str' object cannot be interpreted as an integer"),
        (
            "\n\nPROTOCOL",
            SHIFTED,
            "`encode` of the protocol last-rows gives other test rows than the split has",
        ),
    ],
)
def test_splits_and_rows_that_cannot_be_told_apart_are_refused(
    bench: Script, tmp_path: Path, old: str, new: str, fault: str
) -> None:
    text = "from dataclasses import replace\n" + LAST_ROWS.replace(old, new).replace("{parts}", PARTS)
    refused = bench(*RUN, "--protocol", "last-rows", "--workers", "0", **named(tmp_path, text))
    assert refused.returncode in (2, 4), refused.stderr
    assert fault in refused.stderr
    assert "Traceback" not in refused.stderr


def test_numpy_s_whole_numbers_name_a_split(bench: Script, tmp_path: Path) -> None:
    text = LAST_ROWS.replace("Split(0, 0, ", "Split(np.int64(0), np.int64(0), ").replace("{parts}", PARTS)
    ended = bench(*RUN, "--protocol", "last-rows", "--workers", "0", **named(tmp_path, text))
    assert ended.returncode == 0, ended.stderr


def test_a_main_metric_that_there_is_not_is_told_before_anything_trains(
    bench: Script, tmp_path: Path
) -> None:
    text = LAST_ROWS.replace("{parts}", PARTS).replace('"roc_auc"', '"nope"')
    plugins = named(tmp_path, text)
    refused = bench(*RUN, "--protocol", "last-rows", "--workers", "0", **plugins)
    assert refused.returncode == 2
    assert "last_rows.py: Unknown main metric 'nope'" in refused.stderr
    assert not (tmp_path / "results").exists()

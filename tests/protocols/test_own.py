"""A protocol of one's own is one file: found by its presence, run through the command line, checked by its splits."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.errors import BadPlugin
from bench.protocols import protocols
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


def test_tables_are_made_when_the_protocols_file_is_gone(bench: Script, tmp_path: Path) -> None:
    plugins = named(tmp_path, LAST_ROWS.replace("{parts}", PARTS))
    assert bench(*RUN, "--protocol", "last-rows", "--workers", "0", **plugins).returncode == 0
    made = bench("tables")
    assert made.returncode == 0, made.stderr


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

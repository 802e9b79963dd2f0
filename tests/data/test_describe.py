"""What was read is shown: rows, label, kinds of columns, and what to look at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.data.cards import card, card_for_frame
from bench.data.describe import describe, first_lines
from bench.data.table import load
from bench.store.folder import Store
from tests.conftest import Script

RNG = np.random.default_rng(1)
FRAME = pd.DataFrame(
    {
        "who": RNG.permutation(200) % 60,
        "grade": RNG.choice(["A", "B", None], 200),
        "rating": RNG.integers(1, 5, 200),
        "income": RNG.normal(size=200),
        "note": "x",
        "y": [1, 0, 0, 0] * 50,
    }
)


def test_a_description_has_rows_label_columns_and_roles() -> None:
    about = describe(load(card_for_frame("y", drop=("note",), entity="who"), frame=FRAME))
    assert (about.n_rows, about.n_positives, about.prevalence) == (200, 50, 0.25)
    assert (about.entity, about.n_entities, about.dropped) == ("who", 60, ("note",))
    by_name = {column.name: column for column in about.columns}
    assert list(by_name) == ["grade", "rating", "income"]
    assert (by_name["grade"].kind, by_name["grade"].n_values) == ("category", 2)
    assert by_name["grade"].n_missing == FRAME["grade"].isna().sum()
    assert by_name["rating"].kind == "number"
    assert any("--categorical rating" in note for note in about.notes)


def test_the_first_lines_say_how_the_columns_were_read() -> None:
    lines = first_lines(describe(load(card_for_frame("y", drop=("note",), entity="who"), frame=FRAME)))
    assert lines[0] == "frame: 200 rows, 50 positives (25.0000%)"
    assert lines[1] == (
        "read as 2 numbers (rating, income) and 1 categories (grade); missing values in 1 of them; "
        "entity 'who'; left out: note"
    )


@pytest.mark.parametrize(
    ("labels", "fault"),
    [([1, 1, 1, 0], "the positive label is the majority (75.0%"), ([1, 0], "the label is balanced (50.0%")],
)
def test_a_label_that_is_no_rare_one_is_pointed_out(labels: list[int], fault: str) -> None:
    frame = FRAME.assign(y=labels * (200 // len(labels)))
    about = describe(load(card_for_frame("y", drop=("note",)), frame=frame))
    assert any(note.startswith(fault) for note in about.notes)


def test_few_different_rows_are_counted() -> None:
    frame = pd.DataFrame({"a": RNG.integers(0, 3, 500), "b": RNG.integers(0, 3, 500), "y": [0, 1] * 250})
    about = describe(load(card_for_frame("y"), frame=frame))
    assert about.n_distinct == 9
    assert any(note.startswith("500 rows are 9 different ones") for note in about.notes)


def test_codes_among_amounts_are_named_in_tables_of_ones_own() -> None:
    """A bureau's 98 is no number of delays; a card says itself what it knows of its codes."""
    late = np.where(RNG.random(200) < 0.1, 98, RNG.integers(0, 6, 200))
    frame = FRAME.assign(late=late)
    notes = describe(load(card_for_frame("y", drop=("note",)), frame=frame)).notes
    assert any(note.startswith(f"'late': 98 ({(late == 98).sum()} rows) may be codes") for note in notes)
    assert not any("may be codes among" in note for note in describe(load(card("loan-sim"), rows=600)).notes)


def test_the_command_shows_it_and_a_run_begins_with_it(bench: Script, tmp_path: Path) -> None:
    FRAME.drop(columns="note").assign(copy=FRAME["y"]).to_csv(tmp_path / "d.csv", index=False)
    words = ["--data-file", "d.csv", "--target", "y", "--categorical", "rating"]
    about = json.loads(bench("describe", *words, "--json").stdout)
    assert about["n_rows"] == 200
    assert {column["name"]: column["kind"] for column in about["columns"]}["rating"] == "category"
    assert about["warnings"] == ["'copy' is a copy of the label: --drop copy"]
    shown = bench("describe", *words).stdout
    assert "warning: 'copy' is a copy of the label: --drop copy" in shown
    run = bench("run", *words, "--arm", "prevalence", "--folds", 2, "--seeds", 1, "--workers", 0)
    assert "warning: 'copy' is a copy of the label: --drop copy" in run.stderr


def test_a_record_says_how_the_table_was_read(bench: Script, tmp_path: Path) -> None:
    bench(
        *("run", "--dataset", "loan-sim", "--rows", 600, "--arm", "prevalence"),
        *("--folds", 2, "--seeds", 1, "--workers", 0, "--results", "R"),
    )
    (record, *_) = Store(tmp_path / "R").records("loan-sim")
    recipe = json.loads(record.recipe or "{}")
    assert recipe["categories"] == ["housing", "purpose", "region", "product"]
    assert recipe["target"] == card("loan-sim").target

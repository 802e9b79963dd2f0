"""What was read is shown: rows, label, kinds of columns, and what to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import load as load_own
from bench.data.cards import card, card_for_frame
from bench.data.describe import describe, first_lines
from bench.data.table import load
from bench.errors import BenchError
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
    assert lines[1] == "label 'y': 1 (50 rows) against 0 (150)"
    assert lines[2] == (
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
    assert any(note.startswith(f"'late': 98 ({(late == 98).sum()} rows) lies apart") for note in notes)
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


CODED = FRAME.drop(columns="note").assign(
    late=np.where(
        np.arange(200) % 20 == 0, 98, np.where(np.arange(200) % 33 == 0, 96, RNG.integers(0, 9, 200))
    )
)


def test_numbers_that_stand_for_missing_are_named_and_typing_so_makes_them_missing(
    bench: Script, tmp_path: Path
) -> None:
    CODED.to_csv(tmp_path / "d.csv", index=False)
    words = ["--data-file", "d.csv", "--target", "y"]
    notes = json.loads(bench("describe", *words, "--json").stdout)["notes"]
    (typed,) = [note.split("; if missing is meant, give ")[1] for note in notes if note.startswith("'late'")]
    assert typed == "--missing late=98,96"
    about = json.loads(bench("describe", *words, *typed.split(), "--json").stdout)
    n_codes = int(CODED["late"].isin([96, 98]).sum())
    assert {column["name"]: column["n_missing"] for column in about["columns"]}["late"] == n_codes
    assert f"'late': 98 and 96 stand for a missing value in {n_codes} rows, as declared" in about["notes"]
    assert not [note for note in about["notes"] if "lie apart" in note]


@pytest.mark.parametrize("missing", [{"late": [96, 98]}, {"late": (98, 96.0)}])
def test_python_takes_them_as_a_dict_and_a_file_with_text_has_the_same_table(missing: Any) -> None:
    table = load_own(CODED, target="y", missing=missing)
    np.testing.assert_array_equal(table.X["late"].isna(), CODED["late"].isin([96, 98]))
    as_text = load_own(CODED.assign(late=CODED["late"].astype(str)), target="y", missing=missing)
    pd.testing.assert_series_equal(as_text.X["late"], table.X["late"])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"missing": {"late": [97]}}, r"--missing late=97: no row of 'late' holds 97"),
        ({"missing": {"grade": [97]}}, r"--missing grade=97: the column 'grade' holds texts"),
        ({"missing": {"lat": [96]}}, r"Unknown column 'lat'. Did you mean 'late'"),
        ({"missing": {"late": "98"}}, r"give a dict of lists of numbers"),
        ({"missing": {"y": [0]}}, r"The target 'y' is also"),
        (
            {"missing": {"late": [98]}, "drop": ["late"]},
            r"--drop late makes 'late' no feature, and --missing",
        ),
        ({"drop": ["late"], "categorical": ["late"]}, r"--drop late makes .* and --categorical .* leave one"),
        ({"drop": ["late"], "numeric": ["late"]}, r"--drop late makes .* and --numeric .* leave one"),
        ({"time": "late", "numeric": ["late"]}, r"--time late makes .* and --numeric .* leave one"),
        (
            {"entity": "late", "categorical": ["late"]},
            r"--entity late makes .* and --categorical .* leave one",
        ),
        ({"dates": "maybe"}, r"Unknown dates 'maybe'"),
        ({"target": "Y"}, r"Unknown column 'Y'. Did you mean 'y'"),
        ({"negative": 0}, r"negative=0: give a list of labels"),
    ],
)
def test_what_does_not_go_together_is_refused(options: Any, fault: str) -> None:
    with pytest.raises(BenchError, match=fault):
        load_own(CODED, **({"target": "y"} | options))


def test_a_negative_label_may_be_a_number_as_a_positive_one() -> None:
    three = CODED.assign(y=np.arange(200) % 3)
    tables = [load_own(three, target="y", positive=1, negative=negative) for negative in ([0], ["0"], [0.0])]
    assert {table.n_rows for table in tables} == {int((three["y"] < 2).sum())}
    assert len({table.recipe for table in tables}) == 1


def test_an_entity_that_is_different_in_every_row_is_said_to_protect_nothing() -> None:
    about = describe(load_own(CODED.assign(row=np.arange(200)), target="y", entity="row"))
    assert (
        "'row' is different in every row: as --entity it holds no rows together and protects nothing"
        in about.notes
    )


def test_help_shows_the_options_of_a_table_in_panels(bench: Script) -> None:
    shown = bench("run", "--help").stdout
    names = (
        "Data",
        "Your table: the label",
        "Your table: its columns",
        "Your table: its file",
        "What to run",
    )
    places = [shown.index(f"─ {panel} ─") for panel in names]
    assert places == sorted(places)
    for words, fault in (
        (("--dates", "maybe"), "Unknown --dates 'maybe'"),
        (("--missing", "late"), "say it as COLUMN=NUMBERS"),
    ):
        refused = bench("describe", "--data-file", "d.csv", *words)
        assert refused.returncode == 2
        assert fault in refused.stderr


def test_the_label_is_shown_where_its_values_say_which_is_positive_and_in_json() -> None:
    about = describe(
        load_own(FRAME.drop(columns="note").assign(y=["yes", "no", "no", "no"] * 50), target="y")
    )
    assert (about.positive, about.negative) == ("yes", "no")
    assert first_lines(about)[1] == "label 'y': yes (50 rows) against no (150)"


def test_categories_of_very_many_values_are_named_with_how_to_encode_them() -> None:
    city = [f"c{i % 60}" for i in range(200)]
    frame = FRAME.drop(columns="note").assign(city=city)
    about = describe(load_own(frame, target="y"))
    assert any("rarest share one: city; --high-cardinality target" in note for note in about.notes)
    about = describe(load_own(frame, target="y", high_cardinality="target"))
    assert not any("rarest share one" in note for note in about.notes)

"""Tables across protocols and figures come from records alone, and a stale or missing one is noticed."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.arms.arm import arm_named
from bench.arms.matrices import GRID
from bench.data.cards import card
from bench.data.table import Table, load
from bench.errors import BadSetting, BadStore, UnknownName
from bench.paper import ladder as report
from bench.paper import sides
from bench.paper.figures import draw_grid, draw_ladder, grid_of
from bench.protocols import as_judged, protocol_named
from bench.protocols.published import REPAIRS, rungs
from bench.report import figures
from bench.report.selection import measure_tables
from bench.runs.evaluate import run_pack
from bench.runs.request import Request
from bench.runs.run import plan
from bench.runs.workbench import Workbench
from bench.store.folder import Store
from bench.workflows import repair as ladder
from bench.workflows import tables as pages

ARMS = ("none", "metabalance-published", "logistic-regression")
PROTOCOLS = ("published", "published+stratified", "published+stratified+train-scaler", "strict")


def loans() -> Table:
    """Return simulated loans without gaps that go by the name and card of the paper's set."""
    made = load(card("loan-sim"), rows=400)
    X = made.X.select_dtypes("number")
    X = X.fillna(X.median())
    how = card("loan").published
    assert how is not None
    return replace(
        made, card=card("loan").model_copy(update={"published": how.model_copy(update={"drop": ()})}), X=X
    )


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return records of three arms on four rungs, of two seeds each."""
    table, store = loans(), Store(tmp_path_factory.mktemp("results"))
    for name in PROTOCOLS:
        protocol = protocol_named(name)
        splits = protocol.splits(table)
        arms = [as_judged(arm_named(arm), table.card, protocol) for arm in ARMS]
        short = {"epochs": 1} if name != "strict" else {"steps": 20, "evaluations": 2}
        arms = [
            arm if arm.method == "logistic-regression" else replace(arm, settings={**arm.settings, **short})
            for arm in arms
        ]
        bench = Workbench(table, {p.sha256: p for p in splits}, store, "cpu", protocol=protocol)
        for run in plan(table, protocol, splits, arms, 2):
            (result,) = run_pack(bench, [run], lambda step, steps: None)
            assert result.status == "ok", result.error
    return store


# The ladder.


def test_the_ladder_adds_one_repair_at_a_time_and_ends_in_strict() -> None:
    fraud = rungs(card("fraud"))
    assert fraud[0] == "published"
    assert fraud[-1] == "strict"
    assert [rung.rpartition("+")[2] for rung in fraud[1:-1]] == list(REPAIRS)
    assert set(fraud[-2].split("+")[1:]) == set(REPAIRS)


def test_a_repair_of_what_a_set_does_not_have_is_no_rung() -> None:
    repairs = [rung.rpartition("+")[2] for rung in rungs(card("loan"))[1:-1]]
    assert repairs == [name for name in REPAIRS if name != "evaluation-mode"]


def test_a_rung_says_where_every_arm_stands_and_what_it_changed(climbed: Store) -> None:
    board = report.ladder(measure_tables(climbed, "loan"), card("loan"))
    assert list(dict.fromkeys(board["rung"])) == list(PROTOCOLS)
    records = pd.DataFrame([record.row() for record in climbed.records("loan")])
    for _, row in board.iterrows():
        mine = records[(records["protocol"] == row["rung"]) & (records["arm"] == row["arm"])]
        assert row["roc_auc_mean"] == pytest.approx(mine["test_roc_auc"].mean())
        assert row["n_runs"] == len(mine)
        assert row["roc_auc_lo"] <= row["roc_auc_mean"] <= row["roc_auc_hi"]
    for rung, of in board.groupby("rung"):
        order = of.sort_values("rank")["roc_auc_mean"]
        assert order.is_monotonic_decreasing, rung
        assert sorted(of["rank"]) == [1, 2, 3]
    means = board.set_index(["rung", "arm"])["roc_auc_mean"]
    changes = board.set_index(["rung", "arm"])
    for before, now in itertools.pairwise(PROTOCOLS):
        for arm in ARMS:
            assert changes.loc[(now, arm), "change_mean"] == pytest.approx(
                means[now, arm] - means[before, arm]
            )


def test_changes_are_paired_from_the_second_rung_on(climbed: Store) -> None:
    """The first has a test part of its own."""
    board = report.ladder(measure_tables(climbed, "loan"), card("loan"))
    paired = board.groupby("rung", sort=False)["paired"].agg(set).to_dict()
    assert paired[PROTOCOLS[0]] == {None}
    assert paired[PROTOCOLS[1]] == {False}
    assert paired[PROTOCOLS[2]] == paired["strict"] == {True}


def test_the_page_bolds_what_an_interval_keeps_apart_from_nothing_and_nothing_else(climbed: Store) -> None:
    board = report.ladder(measure_tables(climbed, "loan"), card("loan"))
    lines = report.markdown(board, "loan").partition("## Change by the rung")[2].splitlines()
    repairs = list(dict.fromkeys(board["repair"]))[1:]
    told = {}
    for line in lines[4 : 4 + len(ARMS)]:
        arm, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        told |= {(arm, repair): cell for repair, cell in zip(repairs, cells, strict=True)}
    changed = board.dropna(subset=["change_mean"])
    assert len(told) == len(changed) == len(ARMS) * len(repairs)
    for _, row in changed.iterrows():
        sure = row["change_lo"] > 0 or row["change_hi"] < 0
        assert told[row["arm"], row["repair"]].startswith("**") == sure


def test_an_arm_that_failed_on_a_rung_is_counted_there_and_stands_last(
    climbed: Store, tmp_path: Path
) -> None:
    for kind in ("runs", "scores"):
        shutil.copytree(climbed.root / kind, tmp_path / kind)
    store = Store(tmp_path)
    lost = [r for r in store.records("loan") if (r.protocol, r.arm) == (PROTOCOLS[0], "none")]
    for record in lost:
        store.write(replace(record, status="failed", error="it broke"), None)
    tables = measure_tables(store, "loan")
    board = report.ladder(tables, card("loan"))
    row = board[(board["rung"] == PROTOCOLS[0]) & (board["arm"] == "none")].iloc[0]
    assert (row["n_runs"], row["n_failed"], row["rank"]) == (0, len(lost), 3)
    assert pd.isna(row["roc_auc_mean"])
    assert f"failed runs: {len(lost)}" in report.caption(board)
    both = sides.sides(tables).set_index("arm")
    assert both.loc["none", "published_n_failed"] == len(lost)
    assert both.loc["none", "published_roc_auc_rank"] == 3
    assert pd.isna(both.loc["none", "roc_auc_change_mean"])
    (axes,) = draw_ladder(board, "a title").axes
    handles, labels = axes.get_legend_handles_labels()
    drawn = handles[labels.index("none")].lines[0].get_ydata()
    assert np.isnan(drawn).tolist() == [True, *[False] * (len(PROTOCOLS) - 1)]


def test_the_climb_of_another_set_than_the_papers_is_refused_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="used fraud and loan"):
        ladder.climb(Request(dataset="loan-sim", matrix="published", results=tmp_path / "r"), Quiet())
    assert not (tmp_path / "r").exists()


class Quiet:
    """A reporter that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **more: None


# Published beside strict.


def test_both_protocols_stand_side_by_side_with_their_difference(climbed: Store) -> None:
    board = sides.sides(measure_tables(climbed, "loan")).set_index("arm")
    records = pd.DataFrame([record.row() for record in climbed.records("loan")])
    assert set(board.index) == set(ARMS)
    for arm, row in board.iterrows():
        for protocol in ("published", "strict"):
            mine = records[(records["protocol"] == protocol) & (records["arm"] == arm)]
            assert row[f"{protocol}_roc_auc_mean"] == pytest.approx(mine["test_roc_auc"].mean())
            assert row[f"{protocol}_steps"] == mine["steps"].mean()
            assert (row[f"{protocol}_n_runs"], row[f"{protocol}_n_failed"]) == (len(mine), 0)
        change = row["strict_roc_auc_mean"] - row["published_roc_auc_mean"]
        assert row["roc_auc_change_mean"] == pytest.approx(change)
        assert row["roc_auc_change_lo"] < change < row["roc_auc_change_hi"]
    for protocol in ("published", "strict"):
        ranked = board.sort_values(f"{protocol}_roc_auc_rank")[f"{protocol}_roc_auc_mean"]
        assert ranked.is_monotonic_decreasing


def test_the_three_forms_have_the_same_rows_and_cells(climbed: Store) -> None:
    board = sides.sides(measure_tables(climbed, "loan"))
    head, rows = sides.headings(), sides.cells(board)
    assert {len(row) for row in rows} == {len(head)}
    page = [line for line in sides.markdown(board, "loan").splitlines() if line.startswith("| ")]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in page] == [head, *rows]
    assert sides.latex(board, "loan").count(r" \\") == len(rows) + 1
    assert len(sides.as_csv(board, "loan").splitlines()) == len(rows) + 1


def test_one_protocol_alone_has_nothing_beside_it(tmp_path: Path) -> None:
    assert sides.sides(measure_tables(Store(tmp_path), "loan")).empty


# The figures and the pages.


def grid_board(cells: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame({"arm": ["none", *cells], "roc_auc_mean": [0.5, *cells.values()]})


def test_a_grid_has_every_pair_in_its_place() -> None:
    cells = {name: i / 1000 for i, name in enumerate(GRID)}
    grid = grid_of(grid_board(cells), "roc_auc")
    assert grid.shape == (12, 12)
    assert grid.loc["smote", "none"] == cells["metabalance[smote/none]"]
    assert grid.loc["none", "smote"] == cells["metabalance[none/smote]"]
    assert not grid.isna().any().any()


def test_a_grid_that_was_not_run_is_empty_and_one_run_in_part_has_gaps() -> None:
    assert grid_of(grid_board({}), "roc_auc").empty
    grid = grid_of(grid_board({GRID[0]: 0.7, GRID[5]: 0.6}), "roc_auc")
    assert int(grid.notna().sum().sum()) == 2


def test_figures_are_drawn_and_the_same_drawing_is_the_same_file(climbed: Store, tmp_path: Path) -> None:
    board = report.ladder(measure_tables(climbed, "loan"), card("loan"))
    grid = grid_of(grid_board({GRID[0]: 0.7, GRID[5]: 0.6}), "roc_auc")
    for i in (0, 1):
        for name, drawn in (
            ("ladder", draw_ladder(board, "a title")),
            ("grid", draw_grid(grid, "a title", "roc_auc")),
        ):
            svg, png = figures.Drawing("0123", lambda drawn=drawn: drawn).write(tmp_path / str(i) / name)
            assert png.read_bytes().startswith(b"\x89PNG")
            assert "a title" in svg.read_text()
    for name in ("ladder", "grid"):
        first, second = ((tmp_path / str(i) / f"{name}.svg").read_bytes() for i in (0, 1))
        assert first == second
    assert all(arm in (tmp_path / "0" / "ladder.svg").read_text() for arm in ARMS)


def test_every_page_is_written_and_then_is_not_stale(climbed: Store) -> None:
    made = pages.regenerate(climbed.root, formats=("md", "csv"))
    names = {page.path.stem for page in made}
    assert names == {*(f"loan-{protocol}" for protocol in PROTOCOLS), "loan-sides", "loan-ladder"}
    written = [path for page in made for path in page.write()]
    assert all(path.exists() for path in written)
    again = pages.regenerate(climbed.root, read_only=True, formats=("md", "csv"))
    assert [page.stale() for page in again] == [[]] * len(again)
    for path in written:
        whole = path.read_bytes()
        path.unlink()
        assert [p for page in again for p in page.stale()] == [path]
        path.write_bytes(whole)


def test_a_changed_page_is_noticed(climbed: Store) -> None:
    made = pages.regenerate(climbed.root)
    for page in made:
        page.write()
    (found,) = (page for page in made if page.path.stem == "loan-sides")
    text = found.path.with_suffix(".md")
    text.write_text(text.read_text().replace(".", ",", 1))
    assert found.stale() == [text]
    pd.DataFrame({"arm": ["none"]}).to_parquet(found.path)
    assert found.stale() == [found.path, text]
    found.write()


def test_one_protocol_is_asked_for_by_name(climbed: Store) -> None:
    (page,) = pages.regenerate(climbed.root, protocol="published+stratified")
    assert page.path.stem == "loan-published+stratified"
    with pytest.raises(UnknownName, match="Did you mean 'stratified'"):
        pages.regenerate(climbed.root, protocol="published+stratifed")


def test_what_the_authors_code_gave_stands_beside_published_alone(climbed: Store) -> None:
    by_name = {page.path.stem: page for page in pages.regenerate(climbed.root, formats=("md",))}
    for name, there in (
        ("loan-published", True),
        ("loan-strict", False),
        ("loan-published+stratified", False),
    ):
        (text,) = by_name[name].texts.values()
        assert ("authors' code" in text) is there
    (text,) = by_name["loan-published"].texts.values()
    assert ".657 ± .006" in text
    assert np.isfinite(by_name["loan-published"].frame["roc_auc_mean"]).all()


def test_without_a_format_what_is_there_is_made_again_and_both_sides_in_all(
    climbed: Store, tmp_path: Path
) -> None:
    shutil.copytree(climbed.root / "runs", tmp_path / "runs")
    shutil.copytree(climbed.root / "scores", tmp_path / "scores")

    def forms(name: str) -> set[str]:
        (page,) = (page for page in pages.regenerate(tmp_path) if page.path.stem == name)
        return {path.suffix for path in page.texts}

    assert (forms("loan-strict"), forms("loan-sides")) == ({".md"}, {".md", ".tex", ".csv"})
    for page in pages.regenerate(tmp_path, formats=("tex",)):
        page.write()
    assert forms("loan-strict") == {".md", ".tex"}


def test_a_figure_of_other_numbers_or_of_none_is_stale(climbed: Store, tmp_path: Path) -> None:
    board = report.ladder(measure_tables(climbed, "loan"), card("loan"))
    drawing = figures.Drawing(figures.numbers_sha256(board), lambda: draw_ladder(board, "a title"))
    path = tmp_path / "loan-ladder"
    svg, png = drawing.write(path)
    assert drawing.stale(path) == []
    other = board.assign(roc_auc_mean=board["roc_auc_mean"] + 1e-12)
    assert figures.Drawing(figures.numbers_sha256(other), drawing.draw).stale(path) == [svg, png]
    svg.write_bytes(b"")
    png.unlink()
    png.mkdir()
    assert drawing.stale(path) == [svg, png]
    with pytest.raises(BadStore, match=r"loan-ladder.png could not be written"):
        drawing.write(path)


def test_arms_that_ran_on_the_first_and_last_rung_alone_are_no_climbers(climbed: Store) -> None:
    found = dict(measure_tables(climbed, "loan"))
    extra = replace(
        found["strict"],
        records={**found["strict"].records, "xgboost": found["strict"].records["none"]},
        replicates={**found["strict"].replicates, "xgboost": found["strict"].replicates["none"]},
    )
    board = report.ladder(found | {"strict": extra}, card("loan"))
    assert set(board["arm"]) == set(ARMS)
    assert report.ladder({name: found[name] for name in ("published", "strict")}, card("loan")).empty

"""What Python is given and gives: calls, frames, the board and its figure, progress in notebooks, errors."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bench
from bench.cli import notebook
from bench.contract import Result
from bench.data.cards import card, own_name
from bench.errors import BadArgument, BadSetting, BadTable, BenchError, UnknownArgument, UnknownName
from bench.names import FAILED, OK
from bench.report import board
from bench.report.board import MAX_ROWS, Leaderboard
from bench.report.forest import draw_forest
from bench.report.leaderboard import columns, read
from bench.report.render import count
from bench.runs.card import the_card
from bench.runs.request import Request
from bench.tuning.search import Search
from bench.workflows.run import make_plan

ROOT = Path(__file__).parent.parent
QUICK: dict[str, Any] = {"rows": 600, "folds": 2, "seeds": 1, "arms": ["prevalence"]}


def own_frame(n: int = 200) -> pd.DataFrame:
    """Return a frame with an identifier, a number, a category and a label of words."""
    g = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "id": range(n),
            "debt": g.normal(size=n),
            "region": g.choice(["n", "s"], n),
            "y": np.where(np.arange(n) % 4 == 0, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    """Return a board of three arms, one of which failed on both folds, of a frame with a name of its own."""
    return bench.run(
        own_frame(),
        target="y",
        name="<b>Mine</b>",
        drop=["id"],
        arms=["logistic-regression", "prevalence", "none(lr=1e9)"],
        folds=2,
        seeds=1,
        results=tmp_path_factory.mktemp("results"),
    )


@pytest.fixture(scope="module")
def large() -> Leaderboard:
    """Return the published board of `loan`."""
    path = ROOT / "results/published/leaderboards/loan-strict.parquet"
    return Leaderboard(read(path), path)


# The calls


@pytest.mark.parametrize("module", [bench, board], ids=lambda m: m.__name__)
def test_the_examples_are_true(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(module).failed == 0


def test_run_has_the_options_of_a_request_with_their_defaults() -> None:
    parameters = dict(inspect.signature(bench.run).parameters)
    assert parameters.pop("progress").default is None
    assert list(parameters) == [option.name for option in fields(Request)]
    given = {name: parameter.default for name, parameter in parameters.items()}
    assert given.pop("workers") == 0  # in this process: a script's main module need not be guarded
    assert Request(**given) == Request()


def test_tune_has_the_options_of_a_search_and_of_a_request() -> None:
    """But for those that say nothing to a study."""
    parameters = dict(inspect.signature(bench.tune).parameters)
    assert parameters.pop("progress").default is None
    of_search = {option.name: parameters.pop(option.name).default for option in fields(Search)}
    assert Search(**of_search) == Search()
    nothing = {
        "shard",
        "retry_failed",
        "tuned",
        "tuned_anyway",
        "seeds",
        "engine",
    }  # a study's seeds are the search's
    assert list(parameters) == [option.name for option in fields(Request) if option.name not in nothing]
    given = {name: parameter.default for name, parameter in parameters.items()}
    assert given.pop("workers") == 0
    assert Request(**given) == Request()


@pytest.mark.parametrize("call", [bench.load, bench.run, bench.tune], ids=lambda c: c.__name__)
def test_every_parameter_is_typed_named_and_documented(call: Any) -> None:
    first, *others = inspect.signature(call).parameters.values()
    assert (first.name, first.kind) == ("data", first.POSITIONAL_OR_KEYWORD)
    assert {parameter.kind for parameter in others} == {first.KEYWORD_ONLY}
    assert all(parameter.annotation not in (parameter.empty, "Any") for parameter in [first, *others])
    text = inspect.getdoc(call) or ""
    section = text.partition("Parameters\n---")[2].partition("Returns\n---")[0]
    heads = [line.partition(" : ")[0] for line in section.splitlines()[1:] if line[:1].strip()]
    named = [name for head in heads for name in head.split(", ")]
    assert sorted(named) == sorted(parameter.name for parameter in [first, *others])
    assert "Raises\n---" in text


def test_importing_bench_imports_nothing_heavy() -> None:
    heavy = ("torch", "pandas", "numpy", "matplotlib", "sklearn", "optuna", "rich", "tqdm", "pyarrow")
    code = f"import bench, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_board_s_class_is_there_at_first_use() -> None:
    assert bench.Leaderboard is Leaderboard
    with pytest.raises(AttributeError, match="no attribute 'Leaderbord'"):
        bench.Leaderbord  # noqa: B018


@pytest.mark.parametrize("call", [bench.load, bench.run, bench.tune], ids=lambda c: c.__name__)
def test_an_unknown_argument_is_named_with_the_nearest_and_all(call: Any) -> None:
    with pytest.raises(
        UnknownArgument, match=r"Unknown argument 'row'\. Did you mean 'rows'.* Known: data, "
    ) as told:
        call("loan-sim", row=3)
    assert isinstance(told.value, BenchError)
    assert isinstance(told.value, TypeError)
    assert all(name in str(told.value) for name in inspect.signature(call).parameters)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": "none"}, r"arms='none': give a list of names, \['none'\]\."),
        ({"arms": [3]}, r"arms=\[3\]: give a list of names"),
        ({"seeds": "3"}, r"seeds='3': give a whole number\."),
        ({"seeds": 2.5}, r"seeds=2\.5: give a whole number"),
        ({"seeds": True}, r"seeds=True: give a whole number"),
        ({"timeout": "1"}, r"timeout='1': give a number"),
        ({"shard": 3}, r"shard=3: give two whole numbers"),
        ({"shard": "1/4"}, r"shard='1/4': give two whole numbers"),
        ({"results": 3}, r"results=3: give a path"),
        ({"protocol": None}, r"protocol=None: give a text"),
        ({"tuned": "yes"}, r"tuned='yes': give True or False"),
        ({"settings": ["lr=1"]}, r"settings=\['lr=1'\]: give a dict"),
        ({"settings": {"lr": object()}}, r"settings is of type dict: give a dict|settings=\{.*: give a dict"),
        ({"matrix": pd.DataFrame({"a": [1]})}, r"matrix is of type DataFrame: give a text"),
        ({"progress": "yes"}, r"progress='yes': give True, False, or None"),
    ],
)
def test_a_value_of_a_wrong_kind_is_told_with_the_right_one(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadArgument, match=message) as told:
        bench.run("loan-sim", **options)
    assert isinstance(told.value, BadSetting)
    assert isinstance(told.value, TypeError)
    assert len(str(told.value)) < 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dates": "yes"}, r"Unknown dates 'yes'\. Known: refuse, numeric\."),
        ({"high_cardinality": "targt"}, r"Unknown high-cardinality 'targt'\. Did you mean 'target'\?"),
        ({"unlabelled": "x"}, r"Unknown unlabelled 'x'\. Known: refuse, drop\."),
        ({"source": "kagle"}, r"Unknown source 'kagle'\. Did you mean 'kaggle'\?"),
    ],
)
def test_a_value_that_an_option_does_not_have_is_told_with_all_that_it_has(
    options: dict[str, Any], message: str
) -> None:
    for call in (bench.load, bench.run, bench.tune):
        with pytest.raises(UnknownName, match=message):
            call(FRAME, target="y", **options)


FRAME = pd.DataFrame({"a": [f"{i % 17},5" for i in range(60)], "x": range(60), "y": [0, 1, 0] * 20})


@pytest.mark.parametrize(
    "options",
    [
        {"skip_rows": 1},
        {"comment": "#"},
        {"member": "a.csv"},
        {"table": "t"},
        {"format": "libsvm"},
        {"source": "kaggle"},
    ],
)
def test_options_of_files_are_refused_beside_a_frame(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(
        BadSetting, match=rf"{name}=.* says how a file is read, and data is a frame; leave it out\."
    ):
        bench.load(FRAME, target="y", **options)


def test_the_decimal_mark_is_of_a_frame_s_texts_too() -> None:
    assert bench.load(FRAME, target="y", decimal=",").X["a"].tolist() == [i % 17 + 0.5 for i in range(60)]


def test_a_search_s_values_are_checked_too() -> None:
    with pytest.raises(BadArgument, match=r"trials='3': give a whole number"):
        bench.tune("loan-sim", trials="3")  # type: ignore[arg-type]


def test_values_that_say_the_same_are_taken() -> None:
    request = Request(
        dataset="loan-sim",
        seeds=np.int64(3),
        arms=["none"],
        drop={"b", "a"},
        settings={"lr": 0.01, "hidden": [8, 4], "first": True, "keep": "last"},
        results="there",
        timeout=3,
        positive=1.0,
    )
    assert (request.seeds, request.arms, request.drop) == (3, ("none",), ("a", "b"))
    assert request.settings == {"lr": "0.01", "hidden": "[8, 4]", "first": "true", "keep": "last"}
    assert (request.results, request.timeout, request.positive) == (Path("there"), 3.0, "1")
    assert Request(arms=None, settings=None) == Request()  # type: ignore[arg-type]


def test_an_error_reaches_the_caller_without_the_frames_between() -> None:
    with pytest.raises(BadTable) as told:
        bench.load(own_frame().assign(k=7), target="y")
    assert [entry.name for entry in told.traceback][1:] == ["checked"]
    assert told.value.__notes__ == ["In Python --drop is drop=[…]."]


def test_only_the_data_go_without_a_name() -> None:
    with pytest.raises(BadArgument, match=r"takes only data without a name, and 2 values were given"):
        bench.run(own_frame(), "y")  # type: ignore[misc]
    with pytest.raises(BadArgument, match=r"was given data twice"):
        bench.run("loan-sim", data="loan-sim")  # type: ignore[misc]


# What is run on


def test_a_name_may_be_given_in_three_ways(tmp_path: Path) -> None:
    shared = QUICK | {"results": str(tmp_path)}
    boards = [bench.run(**named, **shared) for named in ({"data": "loan-sim"}, {"dataset": "loan-sim"})]
    boards.append(bench.run("loan-sim", **shared))
    assert [found["n_runs"].tolist() for found in boards] == [[2]] * 3
    assert len(list(tmp_path.glob("runs/loan-sim/*.parquet"))) == 2  # the second call found them done


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            r"Which column of the frame is the label\? Give target=\. Its columns: 'id', 'debt', 'region', 'y'\.",
        ),
        ({"target": "label"}, r"Unknown column 'label'.*Known: id, debt, region, y"),
        ({"target": "y", "data_file": "a.csv"}, r"data is a frame, and data_file= is given too"),
        ({"target": "y", "dataset": "loan"}, r"data is a frame, and dataset= is given too.*name is name="),
        ({"target": "y", "rows": 10}, r"10 rows were asked of 'frame'"),
        ({"target": "y", "name": "x" * 101}, r"name= has 101 letters; .* at most 100"),
        ({"target": "y", "drop": ["nowhere"]}, r"Unknown column 'nowhere'"),
    ],
)
def test_what_does_not_go_with_a_frame_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        bench.load(own_frame(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": own_frame()}, r"give a frame as data=, and its label as target="),
        ({"data": "loan-sim", "dataset": "loan"}, r"data is the name 'loan-sim', and dataset= is given too"),
        ({"data": "my.csv", "target": "y"}, r"data='my\.csv': give a file as data_file='my\.csv'"),
        ({"data": Path("my.csv")}, r"data='my\.csv': give a file as data_file="),
        ({"data": "loan-simm"}, r"Unknown data set 'loan-simm'\. Did you mean 'loan-sim'"),
        (
            {"data": "loan-sim", "target": "y"},
            r"--target goes with a file of your own; 'loan-sim' has a card",
        ),
        ({"data": "loan-sim", "name": "mine"}, r"name='mine' goes with a frame or file of your own"),
        ({"data": [1, 2]}, r"data is of type list: give a data set's name, or a table in memory"),
        ({"data": own_frame()["y"], "target": "y"}, r"data is of type Series"),
        ({"data": own_frame().iloc[:0], "target": "y"}, r"'frame' has 4 columns but no rows"),
        ({"data": pd.DataFrame(), "target": "y"}, r"Unknown column 'y'\. Known: none"),
        ({"data": own_frame().set_index("y"), "target": "y"}, r"'y' is the frame's index.*reset_index"),
        ({}, r"Say what to run on: .*data=frame"),
    ],
)
def test_data_that_are_none_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        bench.run(**options)


def test_a_loaded_table_is_not_run_on() -> None:
    """Its content could be another than its hash says."""
    table = bench.load("loan-sim", rows=600)
    with pytest.raises(
        BadArgument, match=r"data is the loaded table 'loan-sim'; give what it was loaded from"
    ):
        bench.run(table)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [(None, "frame"), ("loan", "loan-frame"), ("../My Table!", "my-table"), ("!!", "table")],
)
def test_the_name_of_a_frame_is_a_file_s_and_never_a_data_set_s(name: str | None, expected: str) -> None:
    made = the_card(Request(data=own_frame(), target="y", name=name))
    assert made.name == expected
    assert own_name("loan", "frame") == "loan-frame"
    assert card("loan").name == "loan"


def test_a_file_may_be_given_another_name_and_be_a_path_or_text(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    own_frame().to_csv(path, index=False)
    assert bench.load(data_file=str(path), target="y").name == "data"
    assert bench.load(data_file=path, target="y", name="mine").name == "mine"


def test_a_shard_without_runs_has_no_board(tmp_path: Path) -> None:
    request = Request(dataset="loan-sim", results=tmp_path, **QUICK)
    taken = {int(run.key[:12], 16) % 40 + 1 for run in make_plan(request).runs}
    empty = min({*range(1, 41)} - taken)
    with pytest.raises(BadSetting, match=r"has no run, so there is no leaderboard"):
        bench.run("loan-sim", shard=(empty, 40), results=tmp_path, **QUICK)


def test_python_s_own_process_runs_a_frame_as_the_command_line_runs_a_file(tmp_path: Path) -> None:
    """The same content gives the same numbers."""
    own_frame().to_parquet(tmp_path / "f.parquet")
    shared: dict[str, Any] = {"target": "y", "folds": 2, "seeds": 1, "arms": ["logistic-regression"]}
    of_frame = bench.run(own_frame(), results=tmp_path / "a", **shared)
    of_file = bench.run(data_file=tmp_path / "f.parquet", results=tmp_path / "b", **shared)
    assert of_frame["data_source"].tolist() == ["frame"]
    assert (of_frame["roc_auc_mean"] == of_file["roc_auc_mean"]).all()


# The board


def test_a_board_is_its_frame_to_old_code(small: Leaderboard) -> None:
    assert isinstance(small, Leaderboard)
    assert small["arm"].tolist() == small.full["arm"].tolist()
    assert list(small[["rank", "arm"]]) == ["rank", "arm"]
    assert len(small) == 3
    assert list(small.columns) == list(small) == columns()
    assert small.set_index("arm").loc["prevalence", "n_runs"] == 2
    assert small.path.is_file()
    pd.testing.assert_frame_equal(read(small.path), small.full)
    with pytest.raises(AttributeError, match="A Leaderboard has no attribute 'average'"):
        small.average  # noqa: B018


def test_a_board_names_what_failed(small: Leaderboard) -> None:
    assert [(result.arm, result.status) for result in small.failed] == [("none(lr=1e9)", FAILED)] * 2
    assert "2 failed runs, see .failed" in repr(small)
    assert "0 (2 failed)" in repr(small)


def test_a_board_prints_nine_columns_and_a_caption(small: Leaderboard) -> None:
    head, *rows, caption = repr(small).split("\n")
    names = ["tier", "arm", "AP [95 %]", "Δ AP [95 %]", "verdict", "ROC-AUC", "R@1%", "runs", "sec"]
    assert [word.strip() for word in head.split("  ") if word.strip()] == names
    assert [row.split()[0] for row in rows] == [count(tier) for tier in small["tier"]]
    assert rows[-1].startswith("   –  none(lr=1e9)")
    assert all(row.split()[1] in set(small["arm"]) for row in rows)
    for words in ("b-mine-b (200 rows)", "protocol strict", "prevalence 0.25", "AP to logistic-regression"):
        assert words in caption


def test_the_main_metric_of_the_protocol_stands_first(small: Leaderboard) -> None:
    published = Leaderboard(small.full.assign(protocol="published"), small.path)
    head = repr(published).split("\n")[0]
    names = ["tier", "arm", "ROC-AUC [95 %]", "Δ ROC-AUC [95 %]", "verdict", "AP", "R@1%", "runs", "sec"]
    assert [word.strip() for word in head.split("  ") if word.strip()] == names
    assert published.plot().axes[0].get_xlabel().startswith("ROC-AUC on test rows")


def test_a_long_board_is_cut_short(large: Leaderboard) -> None:
    lines = repr(large).split("\n")
    assert len(large) > MAX_ROWS
    assert len(lines) == MAX_ROWS + 3 <= 30
    assert lines[-2] == f"… and {len(large) - MAX_ROWS} more, in .full"
    assert large._repr_html_().count("<tr>") == MAX_ROWS + 1
    assert lines[-2] in large._repr_html_()


def test_a_long_name_stays_on_its_line(large: Leaderboard) -> None:
    name = f"mine({','.join(f'setting_{i}={i}' for i in range(20))})\n\tend"
    lines = repr(Leaderboard(large.full.head(2).assign(arm=name), large.path)).split("\n")
    assert len(lines) == 4
    assert "mine(setting_0=0" in lines[1]
    assert "…" in lines[1]
    assert max(map(len, lines[:3])) < 140


def test_names_in_html_are_text(large: Leaderboard) -> None:
    name = '<script>alert("x")</script>&'
    html = Leaderboard(
        large.full.head(2).assign(arm=name, dataset=name, reference=name), large.path
    )._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;") == 4
    assert html.count("<th ") == html.count("<td ") / 2 == 9


@pytest.mark.parametrize("n_arms", [1, 25, 53])
def test_a_plot_has_every_arm_and_leaves_pyplot_alone(large: Leaderboard, n_arms: int) -> None:
    figure = draw_forest(large.full.head(n_arms))
    left, right = figure.axes[:2]
    assert [label.get_text() for label in left.get_yticklabels()] == large["arm"].head(n_arms).tolist()
    means = [line.get_xdata()[0] for line in left.lines if len(line.get_xdata()) == 1]
    np.testing.assert_array_equal(means, large["average_precision_mean"].head(n_arms))
    shifts = [line.get_xdata()[0] for line in right.lines if len(line.get_xdata()) == 1]
    np.testing.assert_array_equal(shifts, large["difference_mean"].head(n_arms))
    content, size = figure._repr_png_()
    assert content.startswith(b"\x89PNG")
    assert size["height"] > 15 * n_arms
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_no_two_words_of_a_plot_lie_on_each_other(large: Leaderboard) -> None:
    """With 25 arms of long names, everything is on the page, and each name left of the panels."""
    arms = [
        f"metabalance[borderline-smote/random-under](alpha={i}.123456,order=first,lr=0.00{i})"
        for i in range(25)
    ]
    figure = draw_forest(large.full.head(25).assign(arm=arms))
    figure.draw_without_rendering()
    left, right = figure.axes[:2]
    names = [label.get_window_extent() for label in left.get_yticklabels()]
    assert min(name.x0 for name in names) >= 0
    assert max(name.x1 for name in names) <= left.get_window_extent().x0
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(names))
    assert left.get_window_extent().width > 150
    assert left.get_window_extent().x1 < right.get_window_extent().x0


def test_dollars_in_a_name_are_no_formula(large: Leaderboard) -> None:
    name = r"$\no_formula{$"
    figure = draw_forest(large.full.head(2).assign(arm=name, reference=name))
    assert figure._repr_png_()[0].startswith(b"\x89PNG")


def test_an_arm_without_a_number_is_drawn_as_a_dash(small: Leaderboard) -> None:
    numbers = [label.get_text() for label in small.plot().axes[0].child_axes[0].get_yticklabels()]
    assert numbers[2] == "–"
    assert numbers[0].startswith(".")


# Progress


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process look like a notebook's kernel."""
    ipython = ModuleType("IPython")
    shell = SimpleNamespace(kernel=object(), config={})
    monkeypatch.setattr(ipython, "get_ipython", lambda: shell, raising=False)
    monkeypatch.setattr(ipython, "version_info", (9, 0), raising=False)  # matplotlib asks
    monkeypatch.setitem(sys.modules, "IPython", ipython)


def test_a_script_is_quiet_unless_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bench.run("loan-sim", results=tmp_path / "a", **QUICK)
    assert capfd.readouterr() == ("", "")
    bench.run("loan-sim", results=tmp_path / "b", progress=True, **QUICK)
    out, err = capfd.readouterr()
    assert out == ""
    assert "loan-sim: 600 rows" in err
    assert "2 runs to do" in err


def test_a_notebook_shows_notes_and_one_bar(
    kernel: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {"rows": 600, "folds": 2, "seeds": 1, "arms": ["prevalence", "none(lr=1e9)"]}
    bench.run("loan-sim", results=tmp_path, **asked)
    out, err = capfd.readouterr()
    assert err == ""
    assert "loan-sim: 600 rows" in out
    assert "/4 [" in out
    assert "none(lr=1e9) × 2: 2 of 2 failed in" in out
    assert out.rstrip(" ").endswith("\r")  # the bar is gone
    bench.run("loan-sim", results=tmp_path, **asked)
    assert "0 runs to do in 0 packs, 4 done before" in capfd.readouterr().out
    bench.run("loan-sim", results=tmp_path, progress=False, **asked)
    assert capfd.readouterr() == ("", "")


def test_a_study_in_a_notebook_has_one_bar_for_all_its_trials(
    kernel: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bench.tune(
        "loan-sim", rows=600, folds=2, arms=["logistic-regression"], trials=2, inner_folds=2, results=tmp_path
    )
    out = capfd.readouterr().out
    assert "trials: " in out
    assert "/4 [" in out
    assert "runs: " not in out


@pytest.fixture
def bar() -> Iterator[notebook.Bar]:
    with notebook.Bar() as opened:
        yield opened


def runs(n: int, arm: str = "none") -> Any:
    return [SimpleNamespace(arm=arm)] * n


def test_the_bar_moves_within_packs_and_to_its_end(bar: notebook.Bar) -> None:
    bar.planned(6, 2, 2)
    assert bar.bar.total == 6
    bar.pack_started(0, runs(4))
    bar.pack_started(1, runs(2, "smote"))
    bar.pack_progress(0, 50, 100)
    assert bar.bar.n == 2
    bar.pack_progress(1, 1, 2)
    assert bar.bar.n == 3
    bar.pack_finished(0, [], 1.0)  # it lost its worker: its share is to do again
    assert bar.bar.n == 1
    bar.pack_finished(1, [Result("k", "smote", OK, None)] * 2, 1.0)
    bar.pack_started(0, runs(4))
    bar.pack_finished(0, [Result("k", "none", OK, None)] * 4, 1.0)
    assert bar.bar.n == bar.bar.total == 6


def test_the_bar_of_a_download_gives_way_to_that_of_the_runs(
    bar: notebook.Bar, capfd: pytest.CaptureFixture[str]
) -> None:
    bar.download("loan", 500, None)
    bar.download("loan", 1000, 2000)
    assert (bar.bar.desc, bar.bar.n) == ("loan", 1000)
    bar.planned(3, 0, 1)
    assert (bar.bar.desc, bar.bar.n, bar.bar.total) == ("runs", 0, 3)
    bar.note("a line")
    assert "a line\n" in capfd.readouterr().out
    bar.expect(400)
    bar.expect(600)
    assert capfd.readouterr().out.count("some 7 min for 3 runs in all: an estimate") == 1


def test_a_notebook_without_widgets_gets_text_and_no_warning(tmp_path: Path) -> None:
    """Whoever imports tqdm first: Optuna does too."""
    code = (
        "import sys, types; ipython = types.ModuleType('IPython'); sys.modules['ipywidgets'] = None\n"
        "shell = types.SimpleNamespace(kernel=object(), config={'IPKernelApp': {}})\n"
        "ipython.get_ipython = lambda: shell; sys.modules['IPython'] = ipython\n"
        "import bench; bench.load('loan-sim', rows=600)\n"
        "bench.run('loan-sim', rows=600, folds=2, seeds=1, arms=['prevalence'])\n"
    )
    words = [sys.executable, "-W", "error::UserWarning", "-W", "error:IProgress", "-c", code]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "runs:" in done.stdout


# Types


@pytest.mark.slow
def test_a_user_s_script_is_checked_by_its_types(tmp_path: Path) -> None:
    mypy = pytest.importorskip("mypy.api")
    script = tmp_path / "script.py"
    script.write_text(
        "import bench\nimport pandas as pd\n"
        "board = bench.run(pd.DataFrame(), target='y', positive=1, drop=['id'], results='r')\n"
        "reveal_type(board)\n"
        "reveal_type(bench.load('loan-sim').X)\n"
        "bench.run('loan-sim', seeds='3')\n"
        "bench.run('loan-sim', sedes=3)\n"
        "bench.tune('loan-sim', trials=3, tuned=True)\n"
        "board.plott()\n"
    )
    words = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", f"--cache-dir={tmp_path}"]
    out, _, _ = mypy.run([*words, str(script)])
    found = [line.partition("script.py:")[2] for line in out.splitlines() if "script.py:" in line]
    assert 'Revealed type is "bench.report.board.Leaderboard"' in found[0]
    is_typed = any(each.name == "pandas-stubs" for each in distributions())
    assert ("DataFrame" if is_typed else "Any") in found[1]
    codes = [
        (line.split(":")[0], line.rpartition("[")[2].rstrip("]")) for line in found[2:] if "error" in line
    ]
    assert codes == [("6", "arg-type"), ("7", "call-arg"), ("8", "call-arg"), ("9", "attr-defined")]


def test_one_comment_or_several_leave_lines_out(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    table = "a,y\n" + "".join(f"{i % 7},{int(i % 3 == 0)}\n" for i in range(60))
    path.write_text(f"# by hand\n{table}Total: 5\n")
    assert bench.load(data_file=path, target="y", comment=["#", "Total"]).n_rows == 60
    path.write_text(f"# by hand\n{table}")
    one, same = (bench.load(data_file=path, target="y", comment=comment) for comment in ("#", ("#",)))
    assert one.card.recipe == same.card.recipe
    with pytest.raises(BadSetting, match="--comment ''"):
        bench.load(data_file=path, target="y", comment=["#", ""])

"""The command `bench study`, as its users meet it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console

from bench.cli.app import app
from bench.cli.progress import Bars, Lines
from bench.runs.request import Request
from bench.tuning.loop import tune
from bench.tuning.plan import StudyPlan, plan_studies
from bench.tuning.search import Search
from tests.conftest import Script, console_script, offline

WORDS = ["study", "--dataset", "loan-sim", "--rows", "600", "--folds", "2", "--workers", "0"]
SMALL = [*WORDS, "--inner-folds", "2", "--trials", "3", "--arm", "logistic-regression"]


def test_a_study_prints_its_ledger_and_says_what_it_wrote(bench: Script, tmp_path: Path) -> None:
    done = bench(*SMALL, "--arm", "prevalence")
    assert done.returncode == 0, done.stderr
    for word in (
        "logistic-regression",
        "trials",
        "seconds",
        "rows seen",
        "default",
        "tuned",
        "best parameters",
    ):
        assert word in done.stdout
    assert "nothing to tune: prevalence" in done.stderr
    written = [tmp_path / line for line in done.stdout.partition("Written:\n")[2].split()]
    assert [path.name for path in written] == [
        *("loan-sim.toml", "loan-sim-ledger.parquet", "loan-sim-ledger.md"),
        "loan-sim-curves.svg",
    ]
    assert all(path.exists() for path in written)
    assert "--anew: the space of 2 of 2 studies has not changed" in bench(*SMALL, "--anew").stderr
    again = bench(*SMALL, "--json")
    told = json.loads(again.stdout)
    assert [arm["arm"] for arm in told["arms"]] == ["logistic-regression"]
    assert [study["trials"] for study in told["studies"]] == [3, 3]
    assert all(study["best"]["params"] for study in told["studies"])


@pytest.mark.parametrize(
    ("words", "search"),
    [
        ([], Search()),
        (
            ["--trials", "7", "--inner-folds", "2", "--seeds", "3", "--generation", "5", "--extend"],
            Search(trials=7, inner_folds=2, seeds=3, generation=5, extend=True),
        ),
        (
            [
                "--search",
                "random",
                "--pruner",
                "none",
                "--timeout",
                "2.5",
                "--storage",
                "sqlite:///a",
                "--anew",
            ],
            Search(search="random", pruner="none", seconds=2.5, storage="sqlite:///a", anew=True),
        ),
    ],
)
def test_the_words_of_a_study_say_its_search(words: list[str], search: Search) -> None:
    command = typer.main.get_command(app).commands["study"]  # type: ignore[attr-defined]  # the root is a group
    params = command.make_context("study", words).params
    assert Search(**{field.name: params[field.name] for field in fields(Search)}) == search


def test_show_tunes_nothing_and_draws(bench: Script, tmp_path: Path) -> None:
    empty = bench("study", "--dataset", "loan-sim", "--show")
    assert empty.returncode == 2
    assert "holds no study of any arm on loan-sim" in empty.stderr
    assert bench(*SMALL).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("trials/*/*/*.json")}
    assert len(before) == 2 * (3 + 1)  # of either fold: the trials, and what the study is
    shown = bench("study", "--dataset", "loan-sim", "--arm", "logistic-regression", "--show")
    assert shown.returncode == 0, shown.stderr
    assert "results/studies/slices/loan-sim-logistic-regression.svg" in shown.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("trials/*/*/*.json")} == before
    other = bench("study", "--dataset", "loan-sim", "--arm", "none", "--show")
    assert other.returncode == 2
    assert "no study of none on loan-sim; there are those of logistic-regression" in other.stderr


def test_show_takes_a_matrix_and_says_what_is_of_other_splits(bench: Script, tmp_path: Path) -> None:
    mine = [*WORDS, "--inner-folds", "2", "--trials", "1"]
    assert bench(*mine, "--arm", "logistic-regression").returncode == 0
    assert bench(*mine, "--arm", "easy-ensemble", "--folds", "3").returncode == 0
    show = ["study", "--dataset", "loan-sim", "--show"]
    both = bench(*show)
    assert both.returncode == 0
    assert "not shown, as their studies are of other splits: logistic-regression" in both.stderr
    alone = bench(*show, "--arm", "logistic-regression")
    assert (alone.returncode, alone.stderr) == (0, "")
    core = bench(*show, "--matrix", "core")
    assert core.returncode == 2
    assert "holds no study of logistic-splines or none or" in core.stderr
    assert "prevalence" not in core.stderr
    assert "bayes-optimal" not in core.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "colour=red"], "Unknown setting 'colour'"),
        (["--set", "C"], "say it as FIELD=VALUE"),
        (["--trials", "0"], "--trials 0: at least 1 is needed"),
        (["--storage", "postgresql+psycopg2://me:s3cret@127.0.0.1:1/x"], "cannot be used"),
        (["--storage", "nonsense"], "--storage is no SQLAlchemy URL"),
        (["--search", "grid"], "Unknown --search 'grid'"),
        (["--inner-folds", "1"], "1 inner folds were asked for"),
        (["--anew", "--extend"], "give one"),
        (["--arm", "nobody"], "Unknown arm 'nobody'"),
    ],
)
def test_bad_input_ends_with_a_short_error(
    bench: Script, tmp_path: Path, words: list[str], told: str
) -> None:
    done = bench(*SMALL, *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr + done.stdout
    assert not list(tmp_path.rglob("*.json"))


def test_a_metric_that_is_nan_in_every_trial_is_exit_4_and_says_why(bench: Script) -> None:
    done = bench(*WORDS, "--trials", "2", "--arm", "none", "--set", "lr=1e30")
    assert done.returncode == 4
    assert "all 2 failed, the first: NotFinite: Scores must be finite" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_study_without_a_complete_trial_says_why_and_is_exit_4(bench: Script) -> None:
    done = bench(
        *WORDS, "--inner-folds", "2", "--trials", "2", "--arm", "logistic-regression", "--timeout", "1e-9"
    )
    assert done.returncode == 4
    assert "2 of 2 studies have no complete trial" in done.stderr
    assert "none was run" in done.stderr
    assert "Written" not in done.stdout


def test_interrupted_it_tells_how_to_go_on(tmp_path: Path) -> None:
    words = [console_script(), *WORDS, "--inner-folds", "2", "--arm", "easy-ensemble"]
    with subprocess.Popen(
        [*words, "--trials", "50"],
        cwd=tmp_path,
        env=offline(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs this may ignore it
    ) as child:
        for _ in range(300):
            if list(tmp_path.rglob("studies/runs/*/*.parquet")):
                break
            time.sleep(0.1)
        os.kill(child.pid, signal.SIGINT)
        _, told = child.communicate(timeout=60)
    assert child.returncode == 130, told
    assert "go on with:\n  bench study --dataset loan-sim" in told
    assert "Traceback" not in told
    again = subprocess.run(
        [*words, "--trials", "3"], cwd=tmp_path, env=offline(), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr


def test_a_study_of_ones_own_table(bench: Script, tmp_path: Path) -> None:
    rows = [f"{i % 7},{'abc'[i % 3]},{'yes' if i % 5 == 0 else 'no'}" for i in range(200)]
    (tmp_path / "my.csv").write_text("\n".join(["debts,region,defaulted", *rows]))
    words = ["--data-file", "my.csv", "--target", "defaulted", "--positive", "yes", "--workers", "0"]
    few = ["--arm", "logistic-regression", "--trials", "2", "--inner-folds", "2", "--folds", "2"]
    done = bench("study", *words, *few)
    assert done.returncode == 0, done.stderr
    ran = bench("run", *words, "--arm", "logistic-regression", "--folds", "2", "--seeds", "1", "--tuned")
    assert ran.returncode == 0, ran.stderr
    assert "logistic-regression(tuned)" in ran.stdout


def test_trials_that_failed_are_told_last_and_are_exit_4(bench: Script, tmp_path: Path) -> None:
    """Six positives leave one in an inner training part, where no sampler finds neighbours; others work."""
    y = np.arange(400) % 66 == 0
    x = np.random.default_rng(3).normal(y, 1)
    rows = [f"{x[i]:.3f},{i % 7},{int(y[i])}" for i in range(400)]
    (tmp_path / "few.csv").write_text("\n".join(["a,b,y", *rows]))
    words = [
        "--data-file",
        "few.csv",
        "--target",
        "y",
        "--folds",
        "2",
        "--inner-folds",
        "2",
        "--workers",
        "0",
    ]
    done = bench("study", *words, "--arm", "metabalance(steps=20,evaluations=2)", "--trials", "12")
    assert done.returncode == 4
    last = done.stderr.rstrip().splitlines()[-1]
    assert re.match(
        r"\d+ of 24 trials failed; the first, of metabalance.* on fold 0\.\d: SamplerFailed: ", last
    )
    assert "few.toml" in done.stdout


def test_run_tunes_what_is_not_tuned_and_leaves_nothing_stale(bench: Script) -> None:
    words = ["run", *WORDS[1:], "--seeds", "1", "--arm", "logistic-regression", "--set", "max_iter=20"]
    assert bench(*words).returncode == 0
    first = bench(*words, "--tuned", "--dry-run")
    assert first.returncode == 0, first.stderr
    assert "to tune first: logistic-regression(max_iter=20)" in first.stderr
    ran = bench(*words, "--tuned")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.index("loan-sim-ledger.md") < ran.stdout.index(
        "logistic-regression(max_iter=20)(tuned)"
    )
    checked = bench("tables", "--check")
    assert checked.returncode == 0, checked.stderr
    other = bench(*words, "--folds", "3", "--tuned")
    assert other.returncode == 2
    assert "--tuned-anyway takes what is there" in other.stderr
    taken = bench(*words, "--folds", "3", "--tuned-anyway")
    assert taken.returncode == 0, taken.stderr
    assert "(tuned-anyway)" in taken.stdout


def small_studies(results: Path) -> StudyPlan:
    request = Request(
        dataset="loan-sim",
        rows=600,
        folds=2,
        arms=("logistic-regression", "none"),
        settings={"steps": "20"},
        results=results,
        workers=0,
    )
    return plan_studies(request, Search(trials=5, generation=2, inner_folds=2))


def test_on_a_terminal_a_study_is_one_bar_of_all_its_trials(tmp_path: Path) -> None:
    moved: list[tuple[float, float | None]] = []

    class Watched(Bars):
        def trials(self, done: float, total: int, *, ended: bool) -> None:
            super().trials(done, total, ended=ended)
            assert [task.description for task in self.progress.tasks] == ["trials"]
            moved.append((self.progress.tasks[0].completed, self.progress.tasks[0].total))

    screen = io.StringIO()
    made = small_studies(tmp_path)
    with Watched(Console(file=screen, force_terminal=True, width=80)) as told:
        tune(made, told)
        done = [each for each, _ in moved]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0, 5 * len(made.jobs))
        assert any(0 < each < 1 or each % 1 for each in done)  # trials under way count in part
        assert {total for _, total in moved} == {5 * len(made.jobs)}
        told.planned(3, 0, 1)
        assert [task.description for task in told.progress.tasks] == ["runs"]
    assert "trials" in screen.getvalue()
    again: list[float] = []
    with Bars(Console(file=io.StringIO(), force_terminal=True)) as told:
        told.trials = lambda done, total, *, ended: again.append(done)  # type: ignore[method-assign]
        tune(small_studies(tmp_path), told)
    assert again == []  # nothing was left to do


def test_in_a_log_a_study_is_one_line_per_generation(tmp_path: Path) -> None:
    log = io.StringIO()
    made = small_studies(tmp_path)
    tune(made, Lines(Console(file=log, width=200)))
    lines = log.getvalue().splitlines()
    counts = [re.match(r"\[(\d+)/(\d+)\] trials, [\d.]+ s$", line) for line in lines]
    assert [tuple(map(int, count.groups())) for count in counts if count] == [(8, 20), (16, 20), (20, 20)]
    assert len(lines) == 3


def test_optuna_tells_nothing_where_tables_alone_are_made() -> None:
    code = (
        "import bench.report.ledger, optuna; print(optuna.logging.get_verbosity() == optuna.logging.WARNING)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("True\n", "")

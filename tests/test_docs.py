"""What the README says is run, and what is rendered is current."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.app import app
from bench.report.datasets import page

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  (the root is a group)
LINES = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("bench ")
]
# Small enough for a test; what they ask for is the README's own.
SMALL = ["--rows", "600", "--set", "steps=40", "--workers", "0"]
STUDY = [*SMALL, "--folds", "2", "--inner-folds", "2", "--trials", "2"]
MORE = {"run": SMALL, "study": STUDY}


def bench(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "bench"), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_readme_has_the_options_it_uses(line: str) -> None:
    _, name, *words = shlex.split(line)
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


LOANS = [line for line in LINES if re.match(r"bench run .*--dataset (loan|fraud)( |$)", line)]


@pytest.mark.parametrize("line", LOANS)
def test_the_readmes_runs_of_real_data_can_be_planned_without_the_data(line: str, tmp_path: Path) -> None:
    words = [word for word in shlex.split(line)[1:] if word != "--dry-run"]
    if "--data-file" in words:
        place = words.index("--data-file")
        del words[place : place + 2]
    done = bench(*words, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_readmes_comparison_is_of_published_records() -> None:
    (line,) = (line for line in LINES if line.startswith("bench compare") and "loan" in line.split())
    done = bench(*shlex.split(line)[1:], "--results", str(ROOT / "results"), cwd=ROOT / "tests")
    assert done.returncode == 0, done.stderr
    assert "50 runs paired" in done.stdout


ALONE = [  # the others need what a study left: see below
    line
    for line in LINES
    if re.search("loan-sim|list|doctor", line) and not re.search("--show|--tuned", line)
]


@pytest.mark.parametrize("line", ALONE)
def test_the_readmes_offline_commands_run(line: str, tmp_path: Path) -> None:
    words = shlex.split(line)[1:]
    done = bench(*words, *MORE.get(words[0], []), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_tables_of_the_readme_follow_a_run(tmp_path: Path) -> None:
    assert (
        bench("run", "--dataset", "loan-sim", "--arm", "prevalence", *SMALL[:2], cwd=tmp_path).returncode == 0
    )
    for line in [line for line in LINES if line.startswith("bench tables")]:
        done = bench(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/leaderboards/loan-sim-strict.tex").exists()


def test_the_readmes_tuning_runs_from_study_to_leaderboard(tmp_path: Path) -> None:
    section = README.partition("## Tuning")[2].partition("```sh\n")[2].partition("```")[0]
    study, show, run = (shlex.split(line.split("#")[0])[1:] for line in section.strip().splitlines())
    assert bench(*study, *STUDY[:2], *STUDY[4:], cwd=tmp_path).returncode == 0
    shown = bench(*show, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "best parameters" in shown.stdout
    done = bench(*run, *SMALL[:2], *SMALL[4:], "--folds", "2", "--seeds", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "xgboost(tuned)" in done.stdout
    assert (tmp_path / "results/tuned/loan-sim.toml").exists()


def test_the_readmes_own_table_example_runs(tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{'abc'[i % 3]},{'yes' if i % 5 == 0 else 'no'}" for i in range(200)]
    (tmp_path / "my.csv").write_text("\n".join(["customer_id,debts,region,defaulted", *rows]))
    (line,) = [line for line in LINES if "my.csv" in line]
    done = bench(*shlex.split(line)[1:], "--arm", "logistic-regression", *SMALL[4:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/leaderboards/my-strict.parquet").exists()


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "logistic-regression" in done.stdout


def test_the_readmes_arms_file_is_one(tmp_path: Path) -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "arms.toml").write_text(toml)
    words = ["run", "--dataset", "loan-sim", "--arms-file", "arms.toml", "--dry-run", "--rows", "600"]
    done = bench(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "borderline-focal" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    """Its help ends with an example, every option says what it does, and the README shows it."""
    command = COMMANDS[name]
    assert "Example: bench" in command.help
    assert all(getattr(parameter, "help", None) for parameter in command.params if parameter.name != "help")
    assert f"bench {name}" in README
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


def test_the_layout_of_the_readme_names_every_module() -> None:
    layout = README.partition("## Layout")[2]
    rooms = {p.stem for p in (ROOT / "bench").glob("*.py")} | {
        p.parent.name for p in ROOT.glob("bench/*/__init__.py")
    }
    missing = {room for room in rooms - {"__init__"} if not re.search(rf"[`/]{room}[`/]", layout)}
    assert not missing


def test_the_page_of_data_sets_is_current() -> None:
    assert (ROOT / "datasets" / "README.md").read_text(encoding="utf-8") == page()


def test_no_placeholder_is_left_in_what_people_read() -> None:
    own = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "results" / "LOG.md"]
    pages = [*own, *ROOT.glob("results/published/*.md"), *ROOT.glob("datasets/*")]
    assert [page.name for page in pages if "@@" in page.read_text(encoding="utf-8")] == []

"""What the pages say is run or checked, their links resolve, and what is rendered is current."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from bench.cli.app import app
from bench.data.cards import card, dataset_names, read_card
from bench.report.datasets import page as page_of_data_sets

ROOT = Path(__file__).parent.parent
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  (the root is a group)
SIMULATED = [name for name in dataset_names() if card(name).simulator]
# Small enough for a test; what the examples ask for stays.
SMALL = ["--rows", "600", "--set", "steps=40", "--workers", "0"]
STUDY = [*SMALL, "--folds", "2", "--inner-folds", "2", "--trials", "2"]
MORE = {"run": SMALL, "study": STUDY}


@dataclass(frozen=True)
class Page:
    """One page written by hand: its text, and the examples in it."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        return re.findall(rf"```{language}\n(.*?)```", self.text, re.DOTALL)

    @property
    def lines(self) -> list[str]:
        """The commands of bench."""
        lines = [line.split("#")[0].strip() for block in self.blocks("sh") for line in block.splitlines()]
        return [line for line in lines if re.match(r"([A-Z_]+=\S+ )?bench ", line)]

    @property
    def files(self) -> dict[str, str]:
        """The files that examples are to be saved as: a block that begins with `# NAME`, by name."""
        blocks = [*self.blocks("python"), *self.blocks("toml")]
        named = [(re.match(r"# (\S+\.(?:py|toml))\n", block), block) for block in blocks]
        return {match[1]: block for match, block in named if match}

    def save(self, folder: Path) -> None:
        """Write the page's files into a folder."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


PAGES = [
    Page(path)
    for path in sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "bench").rglob("README.md")])
    if "_datasets" not in path.parts  # rendered, and by a link the same as in datasets/
]
README = next(page for page in PAGES if page.name == "README.md")
MAP = next(page for page in PAGES if page.name == "bench/README.md")
LINES = [(page, line) for page in PAGES for line in page.lines]


def examples(pattern: str, but: str = "$^") -> pytest.MarkDecorator:
    """Parametrise a test by the commands that match a pattern and not another."""
    chosen = [(p, line) for p, line in LINES if re.search(pattern, line) and not re.search(but, line)]
    assert chosen, pattern
    return pytest.mark.parametrize(("page", "line"), chosen, ids=[f"{p.name}: {line}" for p, line in chosen])


def bench(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "bench"), *words]
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def parts(line: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables that a line sets, `NAME=value bench …`, and the words after `bench`."""
    before, _, after = line.partition("bench ")
    return dict(word.split("=", 1) for word in before.split()), shlex.split(after)


@examples("")
def test_every_command_has_the_options_that_a_page_uses(page: Page, line: str) -> None:
    name, *words = parts(line)[1]
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


@examples(r"\bbench run .*--dataset", but="|".join(SIMULATED))
def test_runs_of_real_data_can_be_planned_without_the_data(page: Page, line: str, tmp_path: Path) -> None:
    page.save(tmp_path)
    variables, words = parts(line)
    words = [word for word in words if word != "--dry-run"]
    if "--data-file" in words:
        place = words.index("--data-file")
        del words[place : place + 2]
    done = bench(*words, "--dry-run", cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@examples("^bench compare")
def test_comparisons_are_of_published_records(page: Page, line: str) -> None:
    done = bench(*parts(line)[1], "--results", str(ROOT / "results"), cwd=ROOT / "tests")
    assert done.returncode == 0, done.stderr
    assert "50 runs paired" in done.stdout


# Those with --show and --tuned need what a study left: see below.
@examples(rf"{'|'.join(SIMULATED)}|bench (list|doctor|check)", but="--show|--tuned")
def test_offline_commands_run(page: Page, line: str, tmp_path: Path) -> None:
    page.save(tmp_path)
    variables, words = parts(line)
    done = bench(*words, *MORE.get(words[0], []), cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_tables_and_compact_records_follow_a_run(tmp_path: Path) -> None:
    words = ("run", "--dataset", "loan-sim", "--arm", "prevalence", *SMALL[:2])
    assert bench(*words, cwd=tmp_path).returncode == 0
    lines = {line for _, line in LINES if re.match("bench (tables|compact)", line)}
    assert {parts(line)[1][0] for line in lines} == {"tables", "compact"}
    for line in sorted(lines, key=lambda line: "--check" in line):
        done = bench(*parts(line)[1], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/leaderboards/loan-sim-strict.tex").exists()
    assert (tmp_path / "results/compact/loan-sim/records.parquet").exists()


STUDIES = [(page, block) for page in PAGES for block in page.blocks("sh") if block.startswith("bench study")]


@pytest.mark.parametrize(("page", "block"), STUDIES, ids=[page.name for page, _ in STUDIES])
def test_tuning_runs_from_study_to_leaderboard(page: Page, block: str, tmp_path: Path) -> None:
    study, show, run = (parts(line.split("#")[0])[1] for line in block.strip().splitlines())
    assert bench(*study, *STUDY[:2], *STUDY[4:], cwd=tmp_path).returncode == 0
    shown = bench(*show, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "best parameters" in shown.stdout
    done = bench(*run, *SMALL[:2], *SMALL[4:], "--folds", "2", "--seeds", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "xgboost(tuned)" in done.stdout
    assert (tmp_path / "results/tuned/loan-sim.toml").exists()


@examples(r"my\.csv")
def test_the_example_of_a_users_own_table_runs(page: Page, line: str, tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{'abc'[i % 3]},{'yes' if i % 5 == 0 else 'no'}" for i in range(200)]
    (tmp_path / "my.csv").write_text("\n".join(["customer_id,debts,region,defaulted", *rows]))
    words = parts(line)[1]
    more = ["--arm", "logistic-regression", *SMALL[4:]] if words[0] == "run" else []
    done = bench(*words, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if words[0] == "run":
        assert (tmp_path / "results/leaderboards/my-strict.parquet").exists()
    else:
        assert "my: 200 rows, 40 positives" in done.stdout


SCRIPTS = [
    (page, code) for page in PAGES for code in page.blocks("python") if code not in page.files.values()
]


@pytest.mark.parametrize(("page", "code"), SCRIPTS, ids=[page.name for page, _ in SCRIPTS])
def test_python_runs(page: Page, code: str, tmp_path: Path) -> None:
    page.save(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if page is README:
        assert "logistic-regression" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_a_page_is_used_by_an_example_of_it(page: Page, tmp_path: Path) -> None:
    """A card is no option's file: it is read."""
    page.save(tmp_path)
    used = {
        word for line in page.lines for given in [parts(line)] for word in (*given[0].values(), *given[1])
    }
    for name in page.files:
        if name.startswith("datasets/"):
            assert read_card(tmp_path / name).name == Path(name).stem
        else:
            assert name in used
    assert all(block in page.files.values() for block in page.blocks("toml"))


def test_the_arms_file_of_the_page_of_methods_gives_an_arm(tmp_path: Path) -> None:
    page = next(page for page in PAGES if page.name == "bench/methods/README.md")
    page.save(tmp_path)
    (line,) = (line for line in page.lines if "arms.toml" in line)
    done = bench(*parts(line)[1], "--dry-run", "--rows", "600", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "borderline-focal" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    """Its help ends with an example, every option says what it does, and a page shows it."""
    command = COMMANDS[name]
    assert "Example: bench" in command.help
    assert all(getattr(parameter, "help", None) for parameter in command.params if parameter.name != "help")
    assert any(re.search(rf"bench {name}\b", page.text) for page in PAGES)
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


def test_the_readme_is_short() -> None:
    assert README.text.count("\n") <= 200


def test_the_readmes_result_is_in_the_published_leaderboard() -> None:
    """Row by row, but for the columns that the README leaves out; what its text says of a row is in it too."""
    (path,) = re.findall(r"results/published/leaderboards/\S+-strict\.md", README.text)
    published = {cells[2]: cells for cells in rows_of((ROOT / path).read_text(encoding="utf-8"))}
    columns = ["tier", "rank", "arm", "average precision", "Δ average precision", "verdict", "roc auc"]
    places = [published["arm"].index(column) for column in (*columns, "runs", "seconds")]
    shown = rows_of(README.text.partition("## One result")[2].partition("##")[0])
    assert len(shown) == 10  # the head, the rule below it, eight rows
    assert shown[2:] == [[published[row[2]][place] for place in places] for row in shown[2:]]
    assert f"of the {len(published) - 2} rows" in README.text


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of every table row of a page in Markdown."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_what_the_readme_says_of_its_result_is_in_the_records() -> None:
    records = pd.read_parquet(ROOT / "results/published/compact/credit-default/records.parquet")
    runs = records[(records["arm"] == "metabalance") & (records["protocol"] == "strict")]
    assert (runs["fold"].nunique(), runs["seed"].nunique()) == (5, 10)
    done = bench(
        *("compare", "metabalance", "none", "--dataset", "credit-default"),
        *("--results", str(ROOT / "results"), "--json"),
        cwd=ROOT / "tests",
    )
    assert done.returncode == 0, done.stderr
    said = re.search(r"--dataset credit-default` says (\S+ \[\S+, \S+\])", README.text)
    assert said
    assert said[1] in bench(*_without_json(done.args), cwd=ROOT / "tests").stdout


def _without_json(arguments: list[str]) -> list[str]:
    return [word for word in arguments[1:] if word != "--json"]


MODULES = sorted(
    str(path.relative_to(ROOT / "bench"))
    for path in (ROOT / "bench").rglob("*.py")
    if path.name != "__init__.py"
)


def test_the_map_names_every_room_and_every_module() -> None:
    """A room has a heading of its own, or a row; a module is in backticks in its room's table, or the root's."""
    listed: dict[str, set[str]] = {}
    rooms = MAP.text.partition("## The map")[2].partition("### Outside")[0]
    for section in re.split(r"^### ", rooms, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        room = title.partition("`bench/")[2].partition("`")[0].strip("/") or "."
        listed[room] = {name for row in rows_of(body) for name in re.findall(r"`([a-z_0-9]+)`", row[0])}
    modules: dict[str, set[str]] = {}
    for name in MODULES:
        modules.setdefault(str(Path(name).parent), set()).add(Path(name).stem)
    assert listed == modules


LINKS = [
    (page, link)
    for page in PAGES
    for link in re.findall(r"\]\(([^)\s]+)\)", page.text)
    if not link.startswith("https://")
]


@pytest.mark.parametrize(
    ("page", "link"),
    LINKS,
    ids=[f"{page.name}: {number} {link}" for number, (page, link) in enumerate(LINKS)],
)
def test_links_resolve(page: Page, link: str) -> None:
    path, _, heading = link.partition("#")
    target = (page.path.parent / path).resolve() if path else page.path
    assert target.exists()
    if heading:
        titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_page_names_are_there(page: Page) -> None:
    """In backticks, from the root: `tests/…`, `bench/…`, `datasets/…`; those with a placeholder aside."""
    named = re.findall(
        r"\b((?:tests|bench|datasets)/[\w./-]+)", " ".join(re.findall(r"`([^`\n]+)`", page.text))
    )
    missing = [name for name in named if not (ROOT / name.rstrip("/.")).exists()]
    assert missing == []


def test_paths_that_tox_names_are_there() -> None:
    named = re.findall(r"\btests/\S+", (ROOT / "tox.ini").read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_page_of_data_sets_is_current() -> None:
    assert (ROOT / "datasets" / "README.md").read_text(encoding="utf-8") == page_of_data_sets()


def test_no_placeholder_is_left_in_what_people_read() -> None:
    own = [*(page.path for page in PAGES), ROOT / "CHANGELOG.md", ROOT / "results" / "LOG.md"]
    pages = [*own, *ROOT.glob("results/published/*.md"), *ROOT.glob("datasets/*")]
    assert [page.name for page in pages if "@@" in page.read_text(encoding="utf-8")] == []

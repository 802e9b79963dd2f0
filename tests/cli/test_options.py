"""Options are declared once, as fields: what each command makes of `Request`, `Search`, and of any other list."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from bench.calls import DATA, HOW, OPTION, PANELS, option
from bench.cli import completion
from bench.cli.app import app
from bench.cli.options import command
from bench.cli.run import repair, run
from bench.cli.study import study
from bench.cli.tables import compact, compare, tables
from bench.runs.request import Request
from bench.tuning.search import Search

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  (the root is a group)


def declared(*kinds: Any) -> list[Field[Any]]:
    """Return the fields that are options."""
    return [entry for kind in kinds for entry in fields(kind) if OPTION in entry.metadata]


@pytest.mark.parametrize(("name", "kinds"), [("run", [Request]), ("study", [Request, Search])])
def test_a_command_has_every_option_that_is_declared_for_it(name: str, kinds: list[Any]) -> None:
    wanted = {
        entry.metadata[OPTION].spelling or f"--{entry.name.replace('_', '-')}"
        for entry in declared(*kinds)
        if name in entry.metadata[OPTION].commands
    }
    own = {"run": {"--dry-run"}, "study": {"--show"}}[name] | {"--json"}
    assert {word for parameter in COMMANDS[name].params for word in parameter.opts} == wanted | own


def test_only_what_python_alone_has_is_no_option() -> None:
    assert {entry.name for entry in fields(Request)} - {e.name for e in declared(Request)} == {"data", "name"}
    assert declared(Search) == list(fields(Search))


@pytest.mark.parametrize("entry", declared(Request, Search), ids=lambda entry: entry.name)
def test_a_declaration_names_commands_completions_and_neighbours_that_there_are(entry: Field[Any]) -> None:
    said = entry.metadata[OPTION]
    assert {*said.commands, *said.differs} <= set(COMMANDS)
    for change in (said.__dict__, *said.differs.values()):
        assert change.get("panel", DATA) in PANELS
        assert not change.get("complete") or callable(getattr(completion, change["complete"]))
    assert said.before is None or said.before in {*Request.__dataclass_fields__, *Search.__dataclass_fields__}
    assert said.help.endswith(".")


@pytest.mark.parametrize("call", [run, study, repair, compare, compact, tables], ids=lambda c: c.__name__)
def test_an_option_has_its_field_s_default_unless_the_declaration_says_another(
    call: Callable[..., None],
) -> None:
    known = {entry.name: entry for entry in declared(Request, *([Search] if call is study else []))}
    for name, parameter in inspect.signature(call).parameters.items():
        if name not in known or "default" in known[name].metadata[OPTION].differs.get(call.__name__, {}):
            continue
        default = Path("results") if name == "results" else known[name].default
        assert parameter.default == (None if default in ((), MISSING) else default)


@dataclass(frozen=True)
class Paint:
    """A list of options of a test's own."""

    colour: str = field(default="red", metadata=option("The colour.", HOW, "NAME", commands=("paint",)))
    coats: int | None = field(
        default=None, metadata=option("How many coats.", DATA, "N", commands=("paint",))
    )
    walls: tuple[str, ...] = field(
        default=(), metadata=option("A wall.", DATA, "NAME", spelling="--wall", commands=("paint",))
    )
    dry: bool = field(
        default=False, metadata=option("Let it dry.", DATA, commands=("paint",), before="coats")
    )
    shard: tuple[int, int] | None = field(
        default=None, metadata=option("A part.", HOW, "I/N", commands=("paint",))
    )
    settings: Any = None  # no option: the command line cannot say it
    hidden: int = field(default=3, metadata=option("Of another command.", DATA, commands=("wash",)))


@pytest.fixture
def painted() -> tuple[typer.Typer, list[tuple[Paint, bool]]]:
    """Return an app with a command made from `Paint`, and the list to which it adds what it was called with."""
    taken: list[tuple[Paint, bool]] = []
    small = typer.Typer()

    @small.command()
    @command
    def paint(
        what: Paint, *, loud: Annotated[bool, typer.Option("--loud", rich_help_panel=HOW)] = False
    ) -> None:
        """Paint walls."""
        taken.append((what, loud))

    return small, taken


def test_a_field_is_an_option_with_its_name_type_help_and_place(painted: Any) -> None:
    shown = CliRunner().invoke(painted[0], ["--help"]).output
    # Panel by panel, in the fields' order but for --dry, which asks to stand above --coats.
    options = ["--dry", "--coats", "--wall", "--colour", "--shard", "--loud"]
    assert sorted(options, key=shown.index) == options
    assert "The colour." in shown
    assert "default: red" in shown
    assert "--hidden" not in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Paint()),
        (["--colour", "blue", "--dry"], Paint(colour="blue", dry=True)),
        (["--coats", "2", "--wall", "n", "--wall", "s"], Paint(coats=2, walls=("n", "s"))),
        (["--shard", "1/4"], Paint(shard=(1, 4))),
    ],
)
def test_words_become_the_fields_values(words: list[str], expected: Paint, painted: Any) -> None:
    small, taken = painted
    assert CliRunner().invoke(small, [*words, "--loud"]).exit_code == 0
    assert taken == [(expected, True)]


def test_an_option_that_no_declaration_gives_the_command_is_a_slip() -> None:
    def wash(*, results: Path) -> None:
        """Wash walls."""

    with pytest.raises(AssertionError, match="wash has no option results"):
        command(wash)

"""Whatever an author's code does wrong ends in a short error that names its file, or in failed records."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import bench as package
from bench import plugins
from bench.cli.catalogue import catalogue
from bench.contract import Budget, Protocol, SteppedConfig
from bench.errors import BadPlugin, BadSetting, BadSplit, BenchError
from bench.methods import method, packages_of, xgboost
from bench.networks.memory import fitting_members
from bench.plugins.guards import guard, line_of, output_aside
from bench.protocols.strict import Strict
from bench.store.folder import Store
from tests.conftest import Script
from tests.methods.test_methods_own import MEANS, TORCH
from tests.protocols.test_protocols_own import LAST_ROWS, PARTS
from tests.runs.engines.test_engines import BACKWARDS

OWN_PROTOCOL = LAST_ROWS.replace("{parts}", PARTS)
SMALL = {"rows": 600, "arms": ["prevalence", "logistic-regression"]}


def written(folder: Path, text: str, name: str = "theirs.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def refusal(call: Callable[..., object], **asked: object) -> str:
    """Return what a call of bench says of the author's file."""
    with pytest.raises(BenchError) as refused:
        call("loan-sim", **asked)
    assert str(asked["method_file"]) in str(refused.value)
    return str(refused.value)


# One function


def test_a_function_that_fails_is_named_with_its_file_and_line(tmp_path: Path) -> None:
    plugins.use([file := written(tmp_path, "METRICS = {}\n\n\ndef half(x):\n    return 1 / x\n")])
    (module,) = (plugin.module for plugin in plugins.modules("metrics"))
    half = guard(module.half, int, "a whole number")
    with pytest.raises(BadPlugin) as refused:
        half(0)
    assert str(refused.value) == f"`half` in {file} fails, line 5: ZeroDivisionError: division by zero."
    with pytest.raises(BadPlugin) as refused:
        half(2)
    assert str(refused.value) == f"`half` in {file} returns a float; expected a whole number."
    assert guard(module.half)(2) == 0.5


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_an_interrupt_and_the_errors_of_bench_pass() -> None:
    for error in (KeyboardInterrupt(), BadSetting("not so")):
        with pytest.raises(type(error)) as passed:
            guard(raising(error))()
        assert passed.value is error
    with pytest.raises(BadPlugin, match="SystemExit: 3"):
        guard(raising(SystemExit(3)))()


def test_what_threads_print_goes_to_stderr_and_stdout_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Threads that do not end in the order in which they began leave the stream as it was."""
    first, second = output_aside(), output_aside()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    sys.stdout.write("theirs\n")
    second.__exit__(None, None, None)
    sys.stdout.write("ours\n")
    assert capsys.readouterr() == ("ours\n", "theirs\n")


def test_the_functions_of_bench_are_left_as_they_are() -> None:
    """A bug of bench has its traceback."""
    assert method("xgboost").space is xgboost.space
    assert inspect.unwrap(Strict.split) is Strict.split


def test_a_line_is_found_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file = written(tmp_path / "real", "def fail():\n    raise KeyError('rows')\n")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    spec = importlib.util.spec_from_file_location("theirs", tmp_path / "link" / "theirs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(KeyError) as raised:
        module.fail()
    assert line_of(raised.value, file) == ", line 2"
    assert line_of(raised.value, tmp_path / "link" / "theirs.py") == ", line 2"


# A protocol


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("split(self, table, folds, repeats)", "list"),
        ("number_of_splits(self, folds=None, repeats=None)", "tuple"),
        ("seeds_for(self, card, n_rows)", "int"),
        ("recipe(self, table)", "str"),
        ("adjust(self, arm, card)", "Arm"),
        ("inner(self, table, outer, folds)", "list"),
    ],
)
def test_a_protocol_that_fails_ends_the_call_shortly(tmp_path: Path, signature: str, expected: str) -> None:
    name = signature.partition("(")[0]
    call = package.tune if name == "inner" else package.run
    own = replaced(OWN_PROTOCOL, "\n\nPROTOCOL =", "\n    def {}:\n        {}\n\n\nPROTOCOL =")
    asked = {**SMALL, "protocol": "last-rows", "results": tmp_path / "results"}
    if name == "inner":  # a study is of an arm with something to tune
        asked |= {"arms": ["logistic-regression"], "trials": 1}
    file = written(tmp_path, own.replace("{}", signature, 1).replace("{}", "return {}['rows']", 1))
    asked["method_file"] = file
    assert f"`LastRows.{name}` in {file} fails, line " in refusal(call, **asked)
    assert "KeyError: 'rows'." in refusal(call, **asked)
    written(tmp_path, own.replace("{}", signature, 1).replace("{}", "return None", 1))
    assert refusal(call, **asked).endswith(f"returns a NoneType; expected {expected}.")
    written(tmp_path, own.replace("{}", f"{name}(self)", 1).replace("{}", "return None", 1))
    assert "TypeError: " in refusal(call, **asked)


@pytest.mark.parametrize(("returned", "n"), [("[]", 0), ("[outer]", 1), ("[outer, outer, 3]", 3)])
def test_inner_splits_that_are_not_those_asked_for_are_told(tmp_path: Path, returned: str, n: int) -> None:
    inner = f"\n    def inner(self, table, outer, folds):\n        return {returned}\n\n\nPROTOCOL ="
    file = written(tmp_path, replaced(OWN_PROTOCOL, "\n\nPROTOCOL =", inner))
    asked = {"rows": 600, "arms": ["logistic-regression"], "trials": 1, "inner_folds": 3}
    with pytest.raises(
        BadSplit, match=f"The protocol last-rows gives {n} inner splits of fold 0.0; expected 3"
    ):
        package.tune(
            "loan-sim", protocol="last-rows", method_file=file, results=tmp_path / "results", **asked
        )


def test_what_is_no_split_is_told(tmp_path: Path) -> None:
    asked = {**SMALL, "protocol": "last-rows", "results": tmp_path / "results"}
    rows = replaced(OWN_PROTOCOL, "[Split(", "[(")
    asked["method_file"] = written(tmp_path, rows)
    with pytest.raises(BenchError, match=r"The protocol last-rows gives a tuple among its splits\."):
        package.run("loan-sim", **asked)
    written(tmp_path, replaced(OWN_PROTOCOL, "rows[second:])", "list(rows[second:]))"))
    with pytest.raises(BenchError, match=r"its test part is no array of row ids"):
        package.run("loan-sim", **asked)


def test_a_protocol_whose_encoding_fails_has_failed_records(tmp_path: Path, bench: Script) -> None:
    """In a worker process too the file is named, and the command ends without a traceback."""
    fails = "\n    def encode(self, table, part):\n        1 / 0\n\n\nPROTOCOL ="
    file = written(tmp_path, replaced(OWN_PROTOCOL, "\n\nPROTOCOL =", fails))
    words = ("--rows", "600", "--arm", "prevalence", "--protocol", "last-rows", "--workers", "1")
    ended = bench("run", "--dataset", "loan-sim", *words, "--method-file", file)
    assert (ended.returncode, "Traceback" in ended.stderr) == (4, False), ended.stderr
    errors = [record.error or "" for record in Store(tmp_path / "results").records("loan-sim")]
    named = f"BadPlugin: `LastRows.encode` in {file} fails, line 21: ZeroDivisionError: division by zero."
    assert errors == [named, named]


def test_a_class_of_ones_own_is_guarded_wherever_it_is_defined() -> None:
    class Mine(Protocol):
        def split(self, table, folds, repeats):  # type: ignore[no-untyped-def]
            raise KeyError("rows")

    with pytest.raises(
        BadPlugin, match=r"Mine\.split` in .*test_guards\.py fails, line \d+: KeyError: 'rows'"
    ):
        Mine("mine", "mine").split(None, 1, 1)


# A method


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "def space(trial):",
            "def space(trial):\n    1 / 0",
            "`space` in {} fails, line 26: ZeroDivisionError",
        ),
        (
            "def space(trial):",
            "def space(trial):\n    return 3",
            "`space` in {} returns a int; expected a dict",
        ),
        ("def space(trial):", "def space():", "`space` in {} fails: TypeError: space() takes 0"),
    ],
)
def test_a_space_that_fails_ends_a_study_shortly(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = written(tmp_path, replaced(MEANS, old, new), "means.py")
    asked = {"rows": 600, "arms": ["means"], "folds": 2, "trials": 1, "inner_folds": 2}
    said = refusal(package.tune, **asked, method_file=file, results=tmp_path / "results")
    assert words.replace("{}", str(file)) in said


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        (
            MEANS,
            "def fit(",
            "def check(config):\n    1 / 0\n\n\ndef fit(",
            "`check` in {} fails, line 30: ZeroDiv",
        ),
        (MEANS, '("pluggy",)', "lambda config: 1 / 0", "`<lambda>` in {} fails, line 12: ZeroDivisionError"),
        (
            MEANS,
            '("pluggy",)',
            "lambda config: 'numpy'",
            "`PACKAGES` in {} returns 'numpy'; expected a tuple",
        ),
        (MEANS, '("pluggy",)', "lambda config: [3]", "`PACKAGES` in {} returns [3]; expected a tuple"),
        (
            MEANS,
            "    steepness: float",
            "    @model_validator(mode='before')\n    def _(cls, value): return {}['a']\n    steepness: float",
            "`Config` in {} fails, line ",
        ),
        (
            TORCH,
            "return Budget(",
            "return 1 / 0 or Budget(",
            "`Config.budget` in {} fails, line 21: ZeroDivision",
        ),
        (
            TORCH,
            "return Budget(",
            "return self.steps or Budget(",
            "`Config.budget` in {} returns a int; expected Bud",
        ),
        (
            TORCH,
            "return self.best",
            "return self.worst",
            "`Config.needs_validation` in {} fails, line 25: Attrib",
        ),
    ],
)
def test_a_method_that_fails_before_it_trains_ends_the_call_shortly(
    tmp_path: Path, text: str, old: str, new: str, words: str
) -> None:
    text = replaced(text, old, new).replace("Field\n", "Field, model_validator\n", 1)
    name = "means" if text.startswith('"""The nearer') else "descent"
    file = written(tmp_path, text, f"{name}.py")
    asked = {"rows": 600, "arms": [name, "prevalence"], "folds": 2, "seeds": 1}
    said = refusal(package.run, **asked, method_file=file, results=tmp_path / "results")
    assert words.replace("{}", str(file)) in said


def test_what_a_method_says_of_its_settings_passes_as_it_is(tmp_path: Path) -> None:
    says = (
        "def check(config):\n    from bench.errors import BadSetting\n    raise BadSetting('too steep')\n\n\n"
    )
    file = written(tmp_path, replaced(MEANS, "def fit(", f"{says}def fit("), "means.py")
    with pytest.raises(BadSetting, match=r"^The arm 'means': too steep$"):
        package.run("loan-sim", rows=600, arms=["means"], method_file=file, results=tmp_path / "results")


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("return 1 / 0 or (", "fails, line 28: ZeroDivisionError"),
        ("return 0.5 * (", "returns a float; expected int"),
    ],
)
def test_memory_that_cannot_be_told_is_a_short_error(tmp_path: Path, new: str, words: str) -> None:
    plugins.use([file := written(tmp_path, replaced(TORCH, "return 4 * (", new), "descent.py")])
    config = method("descent").config()
    assert isinstance(config, SteppedConfig)
    with pytest.raises(BadPlugin) as refused:
        fitting_members(config, 10, 10**9)
    assert f"`Config.member_bytes` in {file} {words}" in str(refused.value)


def test_defaults_that_fail_are_told_by_the_list_of_methods(tmp_path: Path) -> None:
    file = written(tmp_path, replaced(MEANS, "default=1.0", "default_factory=lambda: 1 / 0"), "means.py")
    plugins.use([file])
    with pytest.raises(BadPlugin) as refused:
        catalogue("methods")
    assert f"`Config` in {file} fails, line 22: ZeroDivisionError" in str(refused.value)


def test_packages_that_a_list_names_are_a_tuple(tmp_path: Path) -> None:
    plugins.use([written(tmp_path, replaced(MEANS, '("pluggy",)', "lambda config: ['pluggy']"), "means.py")])
    assert packages_of("means", {}) == ("pluggy",)


def test_a_budget_is_still_the_authors_own(tmp_path: Path) -> None:
    plugins.use([written(tmp_path, TORCH, "descent.py")])
    config = method("descent").config()
    assert isinstance(config, SteppedConfig)
    assert (config.budget, config.needs_validation) == (Budget(64, steps=30), False)


def test_what_a_methods_file_says_in_a_wrong_kind_is_told(tmp_path: Path) -> None:
    """Whatever the registry stumbles over names the file."""
    file = written(tmp_path, replaced(MEANS, "COST = 0.1", "STATIC = 3"), "means.py")
    said = refusal(package.run, rows=600, arms=["means"], method_file=file, results=tmp_path / "results")
    assert "TypeError: 'int' object is not iterable" in said


# An engine


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("results = []", "results = [][0]", "`Backwards.run` in {} fails, line 10: IndexError: list index"),
        (
            "return results",
            "return None",
            "`Backwards.run` in {} returns a NoneType; expected a list of bench.contract",
        ),
        ("return results", "return [3]", "The engine 'backwards' ended without a result for 2 of 2 runs"),
    ],
)
def test_an_engine_that_fails_ends_the_call_shortly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)  # where it writes its trace
    file = written(tmp_path, replaced(BACKWARDS, old, new))
    asked = {"rows": 600, "folds": 2, "seeds": 1, "arms": ["prevalence"], "engine": "backwards"}
    with pytest.raises(BadPlugin) as refused:
        package.run("loan-sim", **asked, method_file=file, results=tmp_path / "results")
    assert words.replace("{}", str(file)) in str(refused.value)


def test_modules_are_named_where_there_is_no_file() -> None:
    """As in a notebook."""
    module = ModuleType("a_notebook")
    exec("def fail():\n    raise KeyError('rows')\n", module.__dict__)  # noqa: S102
    sys.modules["a_notebook"] = module
    try:
        with pytest.raises(BadPlugin, match="`fail` in a_notebook fails: KeyError: 'rows'"):
            guard(module.fail)()
    finally:
        del sys.modules["a_notebook"]

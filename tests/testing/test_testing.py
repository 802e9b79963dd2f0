"""The contract tests of authors' own files: a good one passes, and each fault is found and told in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import plugins, testing
from bench.errors import BadPlugin
from bench.methods import xgboost
from bench.protocols import strict
from bench.runs.engines import local
from bench.stats.metrics import METRICS
from bench.testing import (
    BrokenContract,
    check_engine,
    check_file,
    check_method,
    check_metrics,
    check_protocol,
)
from tests.conftest import Script
from tests.methods.test_methods_own import MEANS, TORCH
from tests.protocols.test_protocols_own import LAST_ROWS, PARTS

OWN_PROTOCOL = LAST_ROWS.replace("{parts}", PARTS)
ENGINE = '''
from bench.contract import Result


class InTurn:
    """One pack after the other, in this process."""

    name = "in-turn"
    description = "one pack after the other"

    def run(self, packs, bench, reporter, *, workers, timeout=None):
        results = []
        for pack in packs:
            reporter.pack_started(0, pack)
            done = bench.run_pack(pack, lambda step, steps: reporter.pack_progress(0, step, steps))
            reporter.pack_finished(0, done, 0.0)
            results += done
        return results


ENGINE = InTurn()
'''
LEAKS_ROWS = """    def encode(self, table, part):
        return super().encode(table, Split(0, 0, part.test, part.valid, part.train))

    def split("""
LEAKS_NUMBERS = """    def encode(self, table, part):
        from dataclasses import replace
        first = table.numeric[0]
        ranked = table.X[first].rank()
        return super().encode(replace(table, X=table.X.assign(**{first: ranked})), part)

    def split("""
MORE_AT_TIMES = '''if trial.suggest_float("steepness", 0.1, 10.0, log=True) > 5:
        trial.suggest_categorical("more", (True, False), default=True)
    return {"steepness"'''
METRIC = """
import numpy as np
from bench.contract import Metric


def amount_recall(scored, weight):
    lost = weight * scored.y * scored.columns["amount"]
    return lost[scored.score > 0.5].sum() / lost.sum()


METRICS = {"amount_recall": Metric(amount_recall, description="the amount above a half", needs=("amount",))}
"""


@pytest.fixture(autouse=True)
def none_named() -> Iterator[None]:
    plugins.forget()
    yield
    plugins.forget()


def written(folder: Path, text: str, name: str = "means.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "name", "check"),
    [
        (MEANS, "means.py", check_method),
        (TORCH, "descent.py", check_method),
        (OWN_PROTOCOL, "last_rows.py", check_protocol),
        (ENGINE, "in_turn.py", check_engine),
        (METRIC, "amounts.py", check_metrics),
    ],
)
def test_a_good_file_keeps_its_contract_and_is_not_taken_for_good(
    tmp_path: Path, text: str, name: str, check: object
) -> None:
    file = written(tmp_path, text, name)
    checks = check(file)  # type: ignore[operator]
    assert len(checks) >= 4
    assert [each.fault for each in checks] == [None] * len(checks)
    assert check_file(file) == checks
    assert plugins.files() == []


def test_modules_and_objects_are_taken_too() -> None:
    assert check_method(xgboost, settings={"rounds": 3}) == check_method(
        xgboost.__file__, settings={"rounds": 4}
    )
    assert check_protocol(strict) == check_protocol(strict.PROTOCOL)
    assert check_engine(local.Local()) == check_engine(local)
    assert len(check_metrics({"mcc": METRICS["mcc"]})) == 4


def test_a_file_may_hold_several_kinds(tmp_path: Path) -> None:
    checks = check_file(written(tmp_path, ENGINE + METRIC))
    assert len(checks) == 5 + 4


def test_settings_make_a_method_train_less(tmp_path: Path) -> None:
    first = "config, (rows,) = member.config, member.pools"
    text = TORCH.replace(first, f"{first}\n    assert config.steps < 4, config.steps")
    file = written(tmp_path, text, "descent.py")
    with pytest.raises(BrokenContract, match="AssertionError: 30"):
        check_method(file)
    assert check_method(file, settings={"steps": 3, "no_setting_of_its": 1})


def fault_of(tmp_path: Path, old: str, new: str, *, text: str, name: str) -> str:
    """Return what is said of the file with `new` in place of `old`."""
    assert old in text
    file = written(tmp_path, text.replace(old, new), name)
    with pytest.raises(BrokenContract) as broken:
        {"means.py": check_method, "descent.py": check_method, "last_rows.py": check_protocol}.get(
            name, testing.check_engine if "engine" in name else check_metrics
        )(file)
    assert str(file) in str(broken.value)
    assert isinstance(broken.value, AssertionError)
    assert broken.value.exit_code == 2
    return str(broken.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("VERSION = 3", "", "lacks `VERSION`"),
        ("def space", "def spice", "lacks `space`"),
        ("VERSION = 3", "VERSION = 0", "VERSION is 0; expected a whole number from 1 on"),
        ("frozen=True, ", "", "Config must be frozen"),
        (
            ', extra="forbid"',
            "",
            "refuses settings that it does not have: it takes the setting no_such_setting",
        ),
        (
            "default=1.0, gt=0",
            "gt=0",
            "every setting has a default: ValidationError: 1 validation error for Config",
        ),
        ('"the nearer class mean"', '""', "'means' has no description"),
        ('{"steepness": 4.0}', '{"slope": 4.0}', "'means-steep' has a setting that means cannot take"),
        ("0.1, 10.0, log", "2.0, 10.0, log", "the default steepness = 1.0 lies outside"),
        ('{"steepness": trial', '{"steep": trial', "has a setting that means cannot take: steep"),
        (
            '{"steepness": trial.suggest_float("steepness", 0.1, 10.0, log=True), **trial.sampler()}',
            '{"steepness": 2 * trial.suggest_float("steepness", 0.1, 10.0, log=True)}',
            "the arm has other settings than by itself",
        ),
        (
            'return {"steepness"',
            MORE_AT_TIMES,
            "asked for 'more' in one trial and not in another",
        ),
        ("[_fit(member) for member in members]", "[]", "it returns 0 for 2 members"),
        (
            "[_fit(member) for member in members]",
            "[1, 2]",
            "it returns a int; expected a bench.contract.Fitted",
        ),
        ("[_fit(member) for member in members]", "_fit(members[0])", "it returns a Fitted; expected a list"),
        ("(rows,) = member.pools", "raise KeyError('rows')", "KeyError: 'rows', line 34"),
        ("part.X - mean", "part.X[1:] - mean", "expected (n,)"),
        ("return 1 / (1", "return part.X / (1", "operands could not be broadcast"),
        ("(far - near)))", "(far - near))) * np.nan", "scores are not finite"),
        ("(far - near)))", "(far - near))) + 2", "expected probabilities in [0, 1]"),
        ("steps=1, best_step=1", "steps=1, best_step=2", "step 2 of 1 is the best one"),
        ("part.X - mean", "part.X - part.labels.mean() - mean", "the test part has no labels here"),
        (
            "return 1 / (1",
            "return part.y * 1.0 if part.y is not None else 1 / (1",
            "other scores than with the labels at hand",
        ),
        ("(far - near)))", "(far - near + np.random.rand())))", "and the scores are others"),
        ("(far - near)))", "(far - near + np.random.default_rng().random())))", "and the scores are others"),
        (
            "return [_fit(member) for member in members]",
            "return [_fit(member) for member in sorted(members, key=lambda member: member.seed)]",
            None,
        ),
        ("(rows,) = member.pools", "(rows,) = member.pools; rows.X[0] = 7", "the train rows were changed"),
        ("(far - near)))", "(far - near - member.valid.X[0, 0])))", "IndexError: index 0 is out of bounds"),
        ("part.X - mean", "part.X - mean + 0 * part.X[:, [1]]", "It trains on a single feature: IndexError"),
        (
            "(rows,) = member.pools",
            "(rows,) = member.pools; assert rows.labels.sum() > 5, 'few'",
            "It trains on three positives, with two to validate on: AssertionError: few",
        ),
        (
            "(rows,) = member.pools",
            "(rows,) = member.pools; assert member.config.steepness < 5, 'steep'",
            "Both ends of its space can be trained: AssertionError: steep",
        ),
        (
            '("pluggy",)',
            '("no-such-package",)',
            "no-such-package not installed here: pip install no-such-package",
        ),
    ],
)
def test_a_fault_of_a_method_is_told(tmp_path: Path, old: str, new: str, words: str | None) -> None:
    if words is None:  # the same scores for every seed: the order shows nowhere
        assert check_method(written(tmp_path, MEANS.replace(old, new)))
    else:
        assert words in fault_of(tmp_path, old, new, text=MEANS, name="means.py")


def test_members_out_of_order_and_company_are_found(tmp_path: Path) -> None:
    """A method whose scores hang on the seed shows whose they are."""
    seeded = MEANS.replace("(far - near)))", "(far - near - member.seed)))")
    assert check_method(written(tmp_path, seeded))
    ordered = ("for member in members]", "for member in sorted(members, key=lambda member: member.seed)]")
    assert "members in another order, and" in fault_of(tmp_path, *ordered, text=seeded, name="means.py")
    company = ("return [_fit(member)", "return [_fit(members[0])")
    said = fault_of(tmp_path, *company, text=seeded, name="means.py")
    assert "seed 1 has other scores alone than beside another" in said


def test_a_method_may_say_that_it_needs_validation_rows(tmp_path: Path) -> None:
    old = "(rows,) = member.pools"
    needs = f"{old}\n    if not len(member.valid.X):\n        raise ValueError('it stops early on validation rows')"
    assert check_method(written(tmp_path, MEANS.replace(old, needs)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (PARTS, "rows[:first], rows[first:second], rows[:first]", "360 rows lie in more than one part"),
        (
            PARTS,
            "rows[:first], rows[first:first], rows[second:]",
            "its validation part (0 rows) lacks a class",
        ),
        (
            "rows = np.arange",
            "globals()['calls'] = globals().get('calls', 0) + 1; first += calls; rows = np.arange",
            "the rows are others",
        ),
        ("[Split(0, 0,", "2 * [Split(0, 0,", "repeats and folds are [(0, 0), (0, 0)]"),
        ("return 1, 1", "return 2, 1", "1 splits for 2 folds and 1 repeats; expected 2"),
        ('main_metric="roc_auc"', 'main_metric="auc"', "the main metric 'auc'"),
        ("seeds=2", "seeds=0", "0 seeds; expected 1 or more"),
        ('"last-rows"', '"strict"', "Two protocols are called 'strict'"),
        (
            "    def split(",
            "    def inner(self, table, outer, folds):\n        return [outer, outer]\n\n    def split(",
            "rows that test, or no training rows of the fold",
        ),
        (
            "    def split(",
            LEAKS_ROWS,
            "the train part has other rows than the split",
        ),
        (
            "    def split(",
            LEAKS_NUMBERS,
            "the train part changed with the test rows",
        ),
    ],
)
def test_a_fault_of_a_protocol_is_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in fault_of(tmp_path, old, new, text=OWN_PROTOCOL, name="last_rows.py")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "in-turn"', "", "ENGINE lacks name"),
        ('name = "in-turn"', 'name = "local"', "Two engines are called 'local'"),
        ("in packs:", "in packs[1:]:", "10 results of 10 runs; 12 were asked for"),
        ("results += done", "results += done + done", "24 results of 12 runs; 12 were asked for"),
        ("reporter.pack_started(0, pack)", "", "runs began"),
        ("reporter.pack_finished(0, done, 0.0)", "", "runs ended"),
        (
            "done = bench.run_pack(pack, lambda step, steps: reporter.pack_progress(0, step, steps))",
            "done = [Result(run.key, run.arm, 'ok', None) for run in pack]",
            "has no record",
        ),
        ("return results", "return [r for r in results] or None", "NoneType"),
        ("reporter.pack_started(0, pack)", "raise OSError('no cluster')", "OSError: no cluster"),
    ],
)
def test_a_fault_of_an_engine_is_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in fault_of(tmp_path, old, new, text=ENGINE, name="engine.py")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("/ lost.sum()", "* np.inf", "expected a finite number"),
        ("return lost[", "return 'high' or lost[", "amount_recall is a str; expected a number"),
        ("weight * scored.y", "scored.y", "and {} without these rows; use `weight`"),
        ("lost[scored.score > 0.5].sum()", "lost[:9].sum()", "in another order"),
        (
            "description=",
            "higher_is_better=False, description=",
            "higher_is_better is False, and a perfect scoring",
        ),
        ("description=", "bounds=(0, 0.1), description=", "its bounds are 0 and 0.1"),
        ('"amount_recall": Metric', '"mcc": Metric', "'mcc' is taken"),
        ("lost.sum()\n", "lost.sum() + np.random.rand()\n", "of the same rows"),
    ],
)
def test_a_fault_of_a_metric_is_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    said = fault_of(tmp_path, old, new, text=METRIC, name="amounts.py")
    assert all(part in said for part in words.split("{}"))


def test_a_file_of_another_kind_or_none_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, ENGINE)
    with pytest.raises(BadPlugin, match="holds no method"):
        check_method(file)
    with pytest.raises(BadPlugin, match=r"bench check names .*gone\.py, and there is no such file"):
        check_file(tmp_path / "gone.py")
    with pytest.raises(BadPlugin, match="holds nothing of bench"):
        check_file(written(tmp_path, "x = 1\n"))


def test_the_command_says_in_words_what_holds_and_what_does_not(bench: Script, tmp_path: Path) -> None:
    written(tmp_path, MEANS.replace("steps=1", "steps=print('fitted') or 1"))
    good = bench("check", "means.py")
    assert good.returncode == 0, good.stderr
    lines = good.stdout.splitlines()
    assert len(lines) == 17
    assert all(line.startswith("ok  ") for line in lines)
    written(tmp_path, MEANS.replace("part.X - mean", "part.X[1:] - mean"))
    bad = bench("check", "means.py", "--json")
    assert bad.returncode == 2
    faults = [each["fault"] for each in json.loads(bad.stdout)["checks"] if each["fault"]]
    assert any("expected (n,)" in fault for fault in faults)
    assert f"{len(faults)} of 17 checks of means.py failed." in bad.stderr
    told = bench("check", "means.py")
    assert "NO  It scores each row by a finite number in [0, 1]: scores of shape" in told.stdout
    assert "Traceback" not in told.stdout + told.stderr
    assert not (tmp_path / "results").exists()


def test_the_command_ends_shortly_for_a_file_that_does_not_import(bench: Script, tmp_path: Path) -> None:
    written(tmp_path, "import numpy\nimport no_such_package\n")
    ended = bench("check", "means.py")
    assert ended.returncode == 2
    assert "means.py does not import, line 2: ModuleNotFoundError" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr

"""The contract tests of authors' own files, called from Python and by `bench check`: a good one passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import plugins
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
from tests.testing.broken import ENGINE, METRIC, OWN_PROTOCOL, written


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
    assert len(checks) == 6 + 4


def test_settings_make_a_method_train_less(tmp_path: Path) -> None:
    first = "config, (rows,) = member.config, member.pools"
    text = TORCH.replace(first, f"{first}\n    assert config.steps < 4, config.steps")
    file = written(tmp_path, text, "descent.py")
    with pytest.raises(BrokenContract, match="AssertionError: 30"):
        check_method(file)
    assert check_method(file, settings={"steps": 3, "no_setting_of_its": 1})


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
    assert len(lines) == 19
    assert all(line.startswith("ok  ") for line in lines)
    written(tmp_path, MEANS.replace("part.X - mean", "part.X[1:] - mean"))
    bad = bench("check", "means.py", "--json")
    assert bad.returncode == 2
    faults = [each["fault"] for each in json.loads(bad.stdout)["checks"] if each["fault"]]
    assert any("expected (n,)" in fault for fault in faults)
    assert f"{len(faults)} of 19 checks of means.py failed." in bad.stderr
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

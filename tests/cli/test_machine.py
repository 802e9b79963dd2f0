"""The machine as users have it: no home, a cache that cannot be written, a reader that has seen enough."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.cli.progress import Lines, roughly
from bench.contract import Result
from bench.data.raw.cache import cache_place
from bench.errors import BadStore
from tests.conftest import Script, console_script, offline


def test_without_a_home_the_cache_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_CACHE")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nobody(_: int) -> None:
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", nobody)  # what the system answers for a user that it does not know
    with pytest.raises(BadStore, match=r"HOME is not set.*BENCH_CACHE"):
        cache_place()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("words", [["list", "arms"], ["describe", "--dataset", "loan-sim", "--rows", "600"]])
def test_a_reader_that_has_seen_enough_ends_the_command_quietly(words: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # before a word is written
    ended = subprocess.run(
        [console_script(), *words],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=offline(),
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr.decode()) == (141, "")


def test_a_sampler_that_can_make_no_rows_says_why(bench: Script, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 3)), columns=list("abc")).assign(y=[0, 1] * 195 + [0] * 10)
    frame.to_csv(tmp_path / "d.csv", index=False)
    words = ("--data-file", "d.csv", "--target", "y", "--arm", "adasyn", "--arm", "prevalence")
    ended = bench("run", *words, "--folds", 2, "--seeds", 1, "--workers", 0, "--set", "steps=20")
    assert ended.returncode == 4
    assert "the label is balanced (48.8% positives)" in ended.stderr
    assert "adasyn makes no rows here: the classes are as good as balanced" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_run_says_how_long_it_will_take() -> None:
    lines = io.StringIO()
    reporter = Lines(Console(file=lines, width=200))
    reporter.planned(4, 0, 4)
    reporter.planned_at = time.monotonic() - 1000
    done = Result("0" * 64, "none", "ok", None)
    reporter.pack_finished(0, [done], 1000.0)
    assert lines.getvalue().endswith("[1/4]  in 1000.0 s, some 50 min left\n")
    reporter.pack_finished(0, [done] * 3, 1.0)
    assert lines.getvalue().endswith("[4/4]  in 1.0 s\n")


def test_a_long_run_says_so_once_and_before_its_first_pack_ends() -> None:
    lines = io.StringIO()
    reporter = Lines(Console(file=lines, width=200))
    reporter.planned(120, 0, 9)
    reporter.expect(20)
    assert "estimate" not in lines.getvalue()
    reporter.expect(240)
    reporter.expect(5)
    assert lines.getvalue().splitlines()[1:] == [
        "some 4 min for 120 runs in all: an estimate, by their first 0 s"
    ]
    reporter.pack_finished(0, [Result("0" * 64, "none", "ok", None)], 9.0)
    assert lines.getvalue().endswith("[1/120]  in 9.0 s, some 5 s left\n")


def test_times_are_said_roughly() -> None:
    assert [roughly(seconds) for seconds in (42.4, 150, 5400, 12000)] == [
        "some 42 s",
        "some 2 min",
        "some 90 min",
        "some 3 h",
    ]


def test_a_dry_run_says_that_times_show_later(bench: Script) -> None:
    words = ("--dataset", "loan-sim", "--rows", 600, "--arm", "prevalence", "--dry-run")
    assert "How long they take shows when the first of them run" in bench("run", *words).stdout

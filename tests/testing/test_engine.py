"""Each check of an engine finds an engine that is broken in this way, and no other check does."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.testing import check_engine
from bench.testing.engine import (
    TESTS,
    a_failing_run_fails_alone,
    a_time_limit_is_taken,
    every_run_has_a_record,
    every_run_has_a_result,
    nothing_to_do_is_done,
    who_watches_is_told,
)
from tests.testing.broken import ENGINE, Broken, changed, each, expect_faults, fail_alone, faults_of, written

LOOP = "for pack in packs:"
RUN = "done = bench.run_pack(pack, lambda step, steps: reporter.pack_progress(0, step, steps))"
ENDS = "        return results"
CASES = [
    Broken(
        [every_run_has_a_result], {LOOP: "for pack in packs[1:]:"}, "10 results of 10 runs; 12 were asked for"
    ),
    Broken(
        [every_run_has_a_result],
        {"results += done": "results += done * (2 if timeout and timeout > 1 else 1)"},
        "24 results of 12 runs; 12 were asked for",
    ),
    Broken(
        [every_run_has_a_result],
        {LOOP: "raise OSError('no cluster')\n        for pack in packs:"},
        "OSError: no cluster",
    ),
    Broken(
        [every_run_has_a_record, a_failing_run_fails_alone, a_time_limit_is_taken],
        {RUN: "done = [Result(run.key, run.arm, 'ok', None) for run in pack]"},
        "has no record",
    ),
    Broken(
        [every_run_has_a_record],
        {
            ENDS: "        for run in packs[0] if timeout and timeout > 1 else []:\n"
            "            bench.store.record_path(run.dataset, run.key).unlink()\n"
            "        return results"
        },
        "has no record",
    ),
    Broken(
        [every_run_has_a_record, a_failing_run_fails_alone],
        {ENDS: "        return [Result(r.key, r.arm, 'ok', None) for r in results]"},
        "fails: ok, and its record failed",
    ),
    Broken(
        [a_failing_run_fails_alone],
        {ENDS: "        return [Result(r.key, r.arm, r.status, None) for r in results]"},
        "fails failed, and no reason is given",
    ),
    Broken(
        [every_run_has_a_result],
        {"pack_progress(0, step, steps)": "pack_progress(0, steps + 1, steps)"},
        "a pack stands at step",
    ),
    Broken([who_watches_is_told], {"reporter.pack_started(0, pack)": ""}, "12 of 12 runs began"),
    Broken([who_watches_is_told], {"reporter.pack_finished(0, done, 0.0)": ""}, "12 of 12 runs ended"),
    Broken(
        [every_run_has_a_result],
        {"pack_finished(0, done, 0.0)": "pack_finished(0, done, -1.0)"},
        "a pack took -1.0 seconds",
    ),
    Broken(
        [a_time_limit_is_taken],
        {
            LOOP: "if timeout and timeout < 1: raise TimeoutError('a run takes too long')\n        for pack in packs:"
        },
        "TimeoutError: a run takes too long",
    ),
    Broken(
        [a_time_limit_is_taken],
        {LOOP: "if timeout and timeout < 1: return []\n        for pack in packs:"},
        "0 results of 0 runs; 2 were asked for",
    ),
    Broken(
        [a_time_limit_is_taken],
        {
            LOOP: "if timeout and timeout < 1:\n"
            "            from bench.runs.recording import record_failure\n"
            "            from datetime import UTC, datetime\n"
            "            end = lambda run: record_failure(\n"
            "                bench.store, run, 'failed', 'killed', datetime.now(UTC), bench.table)\n"
            "            return [end(run) for pack in packs for run in pack]\n"
            "        for pack in packs:"
        },
        "failed (killed); expected timeout",
    ),
    Broken([nothing_to_do_is_done], {"return results": "return results or None"}, "NoneType"),
]


@each(CASES)
def test_a_fault_of_an_engine_is_told_by_its_check(case: Broken, tmp_path: Path) -> None:
    expect_faults(case, check_engine, written(tmp_path, changed(ENGINE, case.changes), "engine.py"))


def test_every_check_fails_alone_for_some_engine() -> None:
    assert fail_alone(CASES) == set(TESTS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({'name = "in-turn"': ""}, "ENGINE lacks name"),
        ({'name = "in-turn"': 'name = "local"'}, "Two engines are called 'local'"),
    ],
)
def test_what_is_no_engine_of_its_own_is_told(changes: dict[str, str], words: str, tmp_path: Path) -> None:
    (fault,) = faults_of(check_engine, written(tmp_path, changed(ENGINE, changes), "engine.py")).values()
    assert words in fault


def test_an_engine_that_ends_a_run_in_time_and_says_so_keeps_its_contract(tmp_path: Path) -> None:
    ends = {
        LOOP: "if timeout and timeout < 1:\n"
        "            from bench.runs.recording import record_failure\n"
        "            from datetime import UTC, datetime\n"
        "            end = lambda run: record_failure(\n"
        "                bench.store, run, 'timeout', 'too long', datetime.now(UTC), bench.table)\n"
        "            return [end(run) for pack in packs for run in pack]\n"
        "        for pack in packs:"
    }
    assert len(check_engine(written(tmp_path, changed(ENGINE, ends)))) == len(TESTS)

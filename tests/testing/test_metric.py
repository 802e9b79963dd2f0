"""Each check of a metric finds a metric that is broken in this way, and no other check does."""

from __future__ import annotations

from pathlib import Path

from bench.testing import check_metrics
from bench.testing.metric import (
    TESTS,
    better_is_better,
    it_is_a_number,
    order_does_not_matter,
    weights_count_rows,
)
from tests.testing.broken import METRIC, Broken, changed, each, expect_faults, fail_alone, faults_of, written

RETURNS = "return lost[scored.score > 0.5].sum() / lost.sum()"
FIRST_TIME = "globals()['calls'] = globals().get('calls', 0) + 1\n    return (calls == 1) / 9 + "
CASES = [
    Broken([it_is_a_number], {"/ lost.sum()": "* np.inf"}, "expected a finite number"),
    Broken(
        [it_is_a_number],
        {"return lost[": "return 'high' or lost["},
        "amount_recall is a str; expected a number",
    ),
    Broken([it_is_a_number], {"description=": "bounds=(0, 0.1), description="}, "its bounds are 0 and 0.1"),
    Broken([it_is_a_number], {"return ": FIRST_TIME}, "of the same rows"),
    Broken(
        [order_does_not_matter],
        {RETURNS: f"{RETURNS} * (1 if scored.rows[0] < scored.rows[-1] else 0.9)"},
        "in another order",
    ),
    Broken([weights_count_rows], {"weight * scored.y": "scored.y"}, "without these rows; use `weight`"),
    Broken(
        [better_is_better],
        {"description=": "higher_is_better=False, description="},
        "higher_is_better is False, and a perfect scoring has 1, its reverse 0",
    ),
]


@each(CASES)
def test_a_fault_of_a_metric_is_told_by_its_check(case: Broken, tmp_path: Path) -> None:
    file = written(tmp_path, changed(METRIC, case.changes), "amounts.py")
    expect_faults(case, check_metrics, file, "amount_recall: ")


def test_every_check_fails_alone_for_some_metric() -> None:
    assert fail_alone(CASES) == set(TESTS)


def test_a_metric_of_a_name_that_is_taken_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, changed(METRIC, {'"amount_recall": Metric': '"mcc": Metric'}))
    (fault,) = faults_of(check_metrics, file).values()
    assert "'mcc' is taken" in fault

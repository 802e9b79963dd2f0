"""The simulation of intervals draws what it says, counts what it says, and prints it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.coverage.__main__ import main
from tests.coverage.intervals import POSITIVES, RATIOS, RULES, Cell, tables_of
from tests.coverage.tables import FOLDS, NAMES, RESAMPLES, Design, draw, replicates


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_table_is_the_same_every_time_and_its_resamples_are_of_its_folds(repeats: int) -> None:
    design = Design(20, repeats)
    first, again, short = draw(design, 3), draw(design, 3), draw(design, 3, resamples=repeats * FOLDS)
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(first.noise, again.noise)
    assert np.array_equal(first.points, short.points)
    assert first.points.shape == (2, repeats * FOLDS, len(NAMES))
    assert first.noise.shape == (2, repeats * FOLDS, len(NAMES), RESAMPLES // (repeats * FOLDS))
    assert not np.array_equal(first.points, draw(design, 4).points)
    assert np.std(first.noise) > 0


def test_repeats_deal_the_same_rows_to_other_folds() -> None:
    points = draw(Design(50, 2), 0).points[0, :, 1].reshape(2, FOLDS)
    assert not np.array_equal(points[0], points[1])
    assert abs(points[0].mean() - points[1].mean()) < np.std(points)


def test_every_rule_gives_an_interval_about_the_mean() -> None:
    design = Design(50, 1)
    drawn = draw(design, 1)
    reps = replicates(design, drawn.points[0, :, 0], drawn.noise[0, :, 0], NAMES[0])
    for name, rule in RULES.items():
        lo, hi = rule(reps, NAMES[0])
        assert lo < np.mean(drawn.points[0, :, 0]) < hi, name


def test_a_cell_of_each_ratio_stands_in_its_row() -> None:
    found = [
        Cell(Design(20, 5), "one arm", NAMES[1], ratio, (0.9, 0.95, 1.0), (0.1, 0.25, 0.5))
        for ratio in RATIOS
    ]
    (_, coverage), (_, width) = tables_of(found)
    assert coverage[1] == ["5 × 5", "one arm", "ROC-AUC", "20", *["90.0 / 95.0 / 100.0"] * len(RATIOS)]
    assert width[1][-1] == ".100 / .250 / .500"


@pytest.mark.slow
def test_the_command_prints_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    text = capsys.readouterr().out
    assert text.count("| 5 × 5 | a difference | ROC-AUC |") == 2 * len(POSITIVES)
    assert "Coverage in percent: bootstrap / t and rows / corrected t." in text

"""A metric from outside is a plain function of scored rows and their weights, and can lose no run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from bench import plugins
from bench.contract import Metric, Scored
from bench.errors import BadPlugin
from bench.stats import bootstrap
from bench.stats.bootstrap import RunScores, replicates, row_weights
from bench.stats.inference import difference, summarise
from bench.stats.metrics import METRICS, measure, measure_resampled, metrics, needed_columns
from tests.conftest import as_scored

Plain = Callable[[Scored, Any], Any]


def sample(n: int = 400, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) < n // 8).astype(np.int8)
    score = (1 / (1 + np.exp(2 - 2 * y - rng.normal(size=n)))).round(3)
    return as_scored(y, score, 0.4, amount=rng.gamma(2.0, 50.0, n))


def metric(plain: Plain, **about: Any) -> Metric:
    return Metric(plain, description="a metric of a test", **about)


# What scikit-learn calls by scores and weights, and the metric here that it is.
REFERENCES: dict[str, Plain] = {
    "average_precision": lambda s, w: sk.average_precision_score(s.y, s.score, sample_weight=w),
    "roc_auc": lambda s, w: sk.roc_auc_score(s.y, s.score, sample_weight=w),
    "brier": lambda s, w: sk.brier_score_loss(s.y, s.score, sample_weight=w),
    "log_loss": lambda s, w: sk.log_loss(s.y, s.score, sample_weight=w),
    "f1": lambda s, w: sk.f1_score(s.y, s.score >= s.threshold, sample_weight=w),
    "balanced_accuracy": lambda s, w: sk.balanced_accuracy_score(
        s.y, s.score >= s.threshold, sample_weight=w
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_the_plain_form_of_a_metric_is_its_fast_form_and_scikit_learns(name: str) -> None:
    scored = sample()
    weights = row_weights(scored.y, 9, seed=1)
    fast = measure_resampled(scored, weights, names=[name])[name]
    values, fault = metric(REFERENCES[name]).resampled(scored, weights)
    assert fault is None
    assert values == pytest.approx(fast, abs=1e-9)
    assert METRICS[name].resampled(scored, weights)[0] == pytest.approx(fast, abs=1e-12)


def test_scored_rows_are_of_one_length_and_cannot_be_written_to() -> None:
    scored = sample()
    for values in (scored.y, scored.score, scored.rows, scored.columns["amount"]):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0
    with pytest.raises(ValueError, match=r"rows has the shape \(3,\), the labels \(400,\)"):
        replace(scored, rows=np.arange(3))
    with pytest.raises(ValueError, match=r"amount has the shape \(399,\)"):
        replace(scored, columns={"amount": scored.columns["amount"][1:]})


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"measure": "roc_auc"}, "begins with a function"),
        ({"higher_is_better": 1}, "True or False"),
        ({"description": "two\nlines"}, "one line"),
        ({"description": ""}, "one line"),
        ({"needs": "amount"}, "among amount, time, probability"),
        ({"needs": ("amuont",)}, "found \\('amuont',\\)"),
        ({"bounds": (1, 0)}, "lowest and the highest"),
    ],
)
def test_a_metric_that_is_not_as_it_should_be_is_refused(about: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Metric(**({"measure": lambda s, w: 0.5, "description": "half"} | about))


def spoils_the_scores(scored: Scored, weight: Any) -> float:
    scored.score[:] = 0
    return 0.5


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        (lambda s, w: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda s, w: s.columns["time"].sum(), "KeyError: 'time'"),
        (lambda s, w: sys.exit(3), "SystemExit: 3"),
        (lambda s, w: None, "it returned NoneType, not a number"),
        (lambda s, w: True, "it returned bool, not a number"),
        (lambda s, w: "0.5", "it returned str, not a number"),
        (lambda s, w: np.ones(1), "it returned ndarray, not a number"),
        (lambda s, w: float("nan"), "it returned nan"),
        (lambda s, w: np.float64(1) / np.float64(0), "it returned inf"),
        (lambda s, w: 1.5, "it returned 1.5, and its bounds are 0 and 1"),
        (spoils_the_scores, "ValueError: assignment destination is read-only"),
    ],
)
def test_a_metric_that_gives_no_number_says_why_and_is_missing(plain: Plain, reason: str) -> None:
    scored = sample()
    values, fault = metric(plain, bounds=(0, 1)).resampled(scored, np.ones((3, 400), np.uint8))
    assert fault == reason
    assert np.isnan(values).all()
    assert scored.score.max() > 0


def test_numbers_of_every_kind_count() -> None:
    scored, once = sample(), np.ones((1, 400), np.uint8)
    for value in (1, 0.5, np.float32(0.25), np.int64(1)):
        values, fault = metric(lambda s, w, value=value: value).resampled(scored, once)
        assert (values.tolist(), fault) == ([float(value)], None)


def test_weights_are_whole_numbers_that_may_be_summed() -> None:
    """A byte of a row's weight times its label would be a byte, and overflow."""
    weights = np.full((1, 400), 200, np.uint8)

    def doubled(scored: Scored, weight: Any) -> float:
        assert weight.dtype == np.int64
        return float((2 * weight).max())

    assert metric(doubled).resampled(sample(), weights)[0].tolist() == [400]


def test_what_needs_a_column_that_is_not_there_is_never_called() -> None:
    needy = metric(lambda s, w: pytest.fail("called"), needs=("amount", "time"))
    values, fault = needy.resampled(sample(), np.ones((2, 400), np.uint8))
    assert fault is None
    assert np.isnan(values).all()
    assert needy.lacks({"amount": np.ones(1)}) == ["time"]


_TWICE = "RuntimeError: a row came twice"
METRIC_FILE = """
import numpy as np
from bench.contract import Metric

calls = []


def caught(scored, weight):
    calls.append(len(weight))
    lost = weight * scored.y * scored.columns["amount"]
    return lost[scored.score > 0.5].sum() / lost.sum()


def breaks_on_resamples(scored, weight):
    if weight.max() > 1:
        raise RuntimeError("a row came twice")
    return 2.5


METRICS = {
    "amount_caught": Metric(caught, description="share of the amount", bounds=(0, 1), needs=("amount",)),
    "once_only": Metric(breaks_on_resamples, False, "no resample has it"),
}
"""


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that names a metric file with this text to bench, for the time of the test."""

    def use(text: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text)
        plugins.use([path])
        return path

    yield use
    plugins.forget()


def arm(seeds: int = 2, **columns: Any) -> list[RunScores]:
    runs = []
    for fold in range(2):
        base = sample(150, fold)
        for seed in range(seeds):
            noise = 0.1 * np.random.default_rng([fold, seed]).random(150)
            scored = replace(base, score=np.clip(base.score + noise, 0, 1), columns=base.columns | columns)
            runs.append(RunScores(fold, seed, scored))
    return runs


def test_metrics_of_a_file_come_last_and_are_gone_with_it(given: Callable[[str], Path]) -> None:
    assert list(metrics()) == list(METRICS)
    assert needed_columns() == []
    given(METRIC_FILE)
    assert list(metrics()) == [*METRICS, "amount_caught", "once_only"]
    assert needed_columns() == ["amount"]
    assert measure(sample())["once_only"] == 2.5
    plugins.forget()
    assert list(metrics()) == list(METRICS)


def test_a_metric_of_a_file_has_its_interval_and_difference(given: Callable[[str], Path]) -> None:
    """It is called for the rows themselves and for the first resamples, which all metrics are measured on."""
    given(METRIC_FILE)
    (module,) = [plugin.module for plugin in plugins.modules("metrics")]
    runs = arm()
    reps = replicates(runs, row_replicates=40, rank_replicates=90)
    assert len(module.calls) == len(runs) * (40 + 1)
    assert reps.values["amount_caught"].shape == (4, 40)
    for place, run in enumerate(runs):
        caught = run.scored.y * run.scored.columns["amount"]
        expected = caught[run.scored.score > 0.5].sum() / caught.sum()
        assert reps.points["amount_caught"][place] == pytest.approx(expected)
    summary = summarise(reps)["amount_caught"]
    assert 0 <= summary.lo < summary.mean < summary.hi <= 1
    assert difference(reps, reps, "amount_caught").p_value == 1


def test_a_metric_from_outside_changes_no_other(given: Callable[[str], Path]) -> None:
    runs = arm()
    before = replicates(runs, row_replicates=20, rank_replicates=50)
    given(METRIC_FILE)
    after = replicates(runs, row_replicates=20, rank_replicates=50)
    assert before.resamples == after.resamples
    for name in METRICS:
        assert np.array_equal(before.values[name], after.values[name])


def test_why_a_metric_is_missing_is_said_once(
    given: Callable[[str], Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its value on the rows themselves stands; without a number on a resample it has no interval."""
    monkeypatch.setattr(bootstrap, "_said", set())
    file = given(METRIC_FILE)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            reps = replicates(arm(), row_replicates=20, rank_replicates=20)
    assert [record.getMessage() for record in caplog.records] == [
        f"The metric once_only gave no number on some rows, and is missing there: {_TWICE} ({file})."
    ]
    summary = summarise(reps)["once_only"]
    assert summary.mean == 2.5
    assert np.isnan([summary.lo, summary.hi]).all()


def test_runs_without_the_column_are_without_the_metric(given: Callable[[str], Path]) -> None:
    given(METRIC_FILE)
    lacking = [replace(run, scored=replace(run.scored, columns={})) for run in arm()]
    a, b = (replicates(runs, row_replicates=20, rank_replicates=20) for runs in (arm(), lacking))
    assert np.isnan(summarise(b)["amount_caught"].mean)
    assert np.isnan(difference(a, b, "amount_caught").p_value)
    assert summarise(b)["roc_auc"] == summarise(a)["roc_auc"]


ONE = 'from bench.contract import Metric\nhalf = Metric(lambda s, w: 0.5, description="half")\nMETRICS = '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ONE + "{'roc_auc': half}",
            r"mine\.py: the name 'roc_auc' is taken by bench; give your metric another",
        ),
        (ONE + "{'difference': half}", "'difference' is taken"),
        (ONE + "{'Half of it': half}", "'Half of it' cannot be a metric's name: lower-case words"),
        (ONE + "{5: half}", "5 cannot be a metric's name"),
        (
            ONE + "{'half': lambda s, w: 0.5}",
            r"mine\.py: METRICS\['half'\] is a function; expected a bench\.contract\.Metric",
        ),
        (ONE + "[half]", r"mine\.py: METRICS is a list; expected a dict"),
    ],
)
def test_a_file_whose_metrics_cannot_be_taken_is_named(
    given: Callable[[str], Path], text: str, message: str
) -> None:
    given(text)
    with pytest.raises(BadPlugin, match=message):
        metrics()


def test_a_metric_that_is_wrongly_described_is_told_with_its_line(given: Callable[[str], Path]) -> None:
    with pytest.raises(BadPlugin, match=r"mine\.py does not import, line 2: ValueError: needs is a tuple"):
        given(
            'from bench.contract import Metric\nMETRICS = {"a": Metric(min, description="a", needs=["amount"])}\n'
        )


def test_two_files_cannot_have_a_metric_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ONE + "{'half': half}")
    (tmp_path / "other.py").write_text(ONE + "{'half': half}")
    plugins.use([tmp_path / "mine.py", tmp_path / "other.py"])
    with pytest.raises(BadPlugin, match=r"other\.py: the name 'half' is taken by .*mine\.py"):
        metrics()


def test_a_file_may_use_the_metrics_that_there_are(given: Callable[[str], Path]) -> None:
    given("from bench.stats.metrics import METRICS\n\n\ndef fit(): ...\n")
    assert list(metrics()) == list(METRICS)

"""The simulators: their shapes, and above all that the probability they state is the true one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.data.cards import card
from bench.data.simulate import (
    _KINDS,
    FREEDOM,
    LEAST_ROWS,
    PREVALENCE,
    SHIFT,
    SIMULATORS,
    SPREAD,
    Simulated,
    default_logit,
    fraud_probability,
    joint,
    simulate,
)
from bench.errors import BadSetting, UnknownName

NAMES = list(SIMULATORS)
TARGET = {"fraud-sim": "Class", "loan-sim": "default"}


@pytest.fixture(scope="module")
def default() -> dict[str, Simulated]:
    """Each simulator at its card's rows and seed."""
    found = {}
    for name in NAMES:
        simulator = card(name).simulator
        assert simulator is not None
        found[name] = simulate(name, simulator.rows, simulator.seed)
    return found


def labels(name: str, simulated: Simulated) -> np.ndarray:
    return simulated.frame[TARGET[name]].to_numpy()


@pytest.mark.parametrize("name", NAMES)
def test_default_table_is_what_its_card_expects(name, default):
    expected, frame = card(name).expected, default[name].frame
    assert expected is not None
    assert frame.shape == (expected.rows, expected.columns)
    assert frame[card(name).target].sum() == expected.positives
    assert set(frame[card(name).target]) == {0, 1}


@pytest.mark.parametrize("name", NAMES)
def test_a_card_names_only_columns_that_exist(name, default):
    found = card(name)
    roles = {found.target, found.amount, *found.categorical, *([found.time] if found.time else [])}
    assert roles <= set(default[name].frame.columns)
    assert not found.sources


def test_fraud_has_the_columns_of_the_original_in_order_of_time(default):
    frame = default["fraud-sim"].frame
    assert list(frame) == ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"]
    assert frame["Time"].is_monotonic_increasing
    assert frame["Time"].between(0, 2 * 86_400 - 1).all()
    assert (frame["Amount"] > 0).all()
    assert np.isfinite(frame.to_numpy()).all()


def test_loan_mixes_kinds_and_misses_values_where_it_says(default):
    frame = default["loan-sim"].frame
    assert [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])] == [
        "housing",
        "purpose",
        "region",
    ]
    assert pd.api.types.is_integer_dtype(frame["product"])
    missing = frame.isna().mean()
    assert set(missing[missing > 0].index) == {"bureau_score", "months_employed", "income", "region"}
    assert missing.max() < 0.15
    young = frame["age"] < 25
    assert (
        frame.loc[young, "bureau_score"].isna().mean() > 3 * frame.loc[~young, "bureau_score"].isna().mean()
    )


@pytest.mark.parametrize("name", NAMES)
def test_same_rows_and_seed_give_the_same_table_and_another_seed_another(name):
    first, again, other = (simulate(name, 6_000, seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first.frame, again.frame, check_exact=True)
    np.testing.assert_array_equal(first.probability, again.probability)
    assert not first.frame.equals(other.frame)


@pytest.mark.parametrize("name", NAMES)
def test_the_least_rows_have_both_classes(name):
    """Also for several seeds: a table that cannot be split is refused, not made."""
    for seed in range(5):
        simulated = simulate(name, LEAST_ROWS[name], seed)
        assert len(simulated.frame) == len(simulated.probability) == LEAST_ROWS[name]
        assert set(labels(name, simulated)) == {0, 1}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [-1, 0, 199])
def test_too_few_rows_are_refused_with_the_least_number(name, rows):
    with pytest.raises(BadSetting, match=f"at least {LEAST_ROWS[name]:,}"):
        simulate(name, rows, 0)


def test_a_negative_seed_is_refused():
    with pytest.raises(BadSetting, match="seed -1"):
        simulate("loan-sim", 1_000, -1)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'fraud-sim'"):
        simulate("fraudsim", 10_000, 0)


@pytest.mark.parametrize(("name", "nominal"), [("fraud-sim", PREVALENCE), ("loan-sim", 0.16)])
def test_prevalence_is_the_nominal_one(name, nominal, default):
    y = labels(name, default[name])
    assert abs(y.sum() - nominal * len(y)) < 3 * np.sqrt(len(y) * nominal * (1 - nominal))


@pytest.mark.parametrize("name", NAMES)
def test_probability_agrees_with_the_observed_rate_in_every_bin(name):
    """Twenty bins of equal expected positives: the sum of squared z is chi-square with 20 degrees."""
    simulated = simulate(name, 200_000, 11)
    p, y = simulated.probability, labels(name, simulated)
    order = np.argsort(p)
    bins = np.minimum((np.cumsum(p[order]) / p.sum() * 20).astype(int), 19)
    expected, variance, observed = (
        np.bincount(bins, weights=v[order], minlength=20) for v in (p, p * (1 - p), y)
    )
    z = (observed - expected) / np.sqrt(variance)
    assert stats.chi2.sf((z**2).sum(), 20) > 1e-3
    assert np.abs(z).max() < 4


def test_fraud_probability_is_calibrated_within_the_features():
    """The posterior is that of the row's own columns: within slices of V14 and Amount it stays true."""
    simulated = simulate("fraud-sim", 250_000, 12)
    p, y = simulated.probability, simulated.frame["Class"].to_numpy()
    for column in ("V3", "V14", "V17", "Amount"):
        fifth = pd.qcut(simulated.frame[column], 5, labels=False)
        for part in range(5):
            inside = (fifth == part).to_numpy()
            z = (y[inside].sum() - p[inside].sum()) / np.sqrt((p[inside] * (1 - p[inside])).sum())
            assert abs(z) < 4, (column, part)


def by_hand(row: pd.Series) -> float:
    """P(Class = 1 | V, Amount) by summing SciPy's densities over every period and kind."""
    v = row[[f"V{i}" for i in range(1, 29)]].to_numpy(dtype=float)
    weight = {True: 0.0, False: 0.0}
    for t, a in enumerate(SHIFT):
        for k, kind in enumerate(_KINDS):
            density = stats.lognorm.pdf(row["Amount"], s=kind.amount[1], scale=kind.amount[0])
            for b in range(4):
                spread = SPREAD[7 * b : 7 * b + 7]
                centre = np.array([kind.mean.get(c, 0.0) for c in range(7 * b + 1, 7 * b + 8)])
                if b == 0:
                    centre += a * np.array([kind.drift.get(c, 0.0) for c in range(1, 8)])
                scatter = kind.root[b] @ kind.root[b].T * np.outer(spread, spread)
                density *= stats.multivariate_t.pdf(
                    v[7 * b : 7 * b + 7], loc=spread * centre, shape=scatter, df=FREEDOM[b]
                )
            weight[kind.fraud] += joint()[t, k] * density
    return weight[True] / (weight[True] + weight[False])


def test_fraud_probability_is_bayes_theorem_on_scipys_densities(default):
    frame, p = default["fraud-sim"].frame, default["fraud-sim"].probability
    order = np.argsort(p)
    for row in order[[0, 1_000, 140_000, 284_000, 284_400, 284_500, -500, -300, -1]]:
        assert p[row] == pytest.approx(by_hand(frame.iloc[row]), rel=1e-8)


def test_fraud_probability_needs_neither_time_nor_class_nor_company(default):
    frame = default["fraud-sim"].frame.sample(1_000, random_state=0)
    alone = fraud_probability(frame.drop(columns=["Time", "Class"]), chunk=7)
    np.testing.assert_allclose(alone, default["fraud-sim"].probability[frame.index], rtol=1e-9)


def test_kinds_are_drawn_with_ties_and_scales_as_stated():
    """A kind's correlation is L Lᵀ: positive definite, with the stated scales and ties."""
    assert joint().sum() == pytest.approx(1.0)
    for kind in _KINDS:
        scatter = kind.root @ kind.root.transpose(0, 2, 1)
        scale = np.sqrt(np.array([np.diag(block) for block in scatter]).ravel())
        np.testing.assert_allclose(scale, [kind.scale.get(c, 1.0) for c in range(1, 29)])
        for first, second, rho in kind.ties:
            b, i, j = (first - 1) // 7, (first - 1) % 7, (second - 1) % 7
            assert scatter[b, i, j] / (scale[first - 1] * scale[second - 1]) == pytest.approx(rho)
    for period in (0, 1):
        for fraud in (True, False):
            assert sum(kind.share[period] for kind in _KINDS if kind.fraud == fraud) == pytest.approx(1.0)


def test_loan_probability_is_a_function_of_the_observed_row(default):
    frame, p = default["loan-sim"].frame, default["loan-sim"].probability
    shuffled = frame.drop(columns="default").sample(frac=1.0, random_state=1)
    again = 1 / (1 + np.exp(-default_logit(shuffled)))
    np.testing.assert_allclose(again, p[shuffled.index], rtol=1e-12)
    assert np.isfinite(p).all()


def test_loan_log_odds_of_one_applicant_by_hand():
    applicant = pd.DataFrame(
        {
            "age": [48.0, 63.0],
            "income": [20_000.0, np.nan],
            "loan_amount": [14_000.0, 9_000.0],
            "debt_to_income": [30.0, 20.0],
            "utilisation": [0.9, 0.5],
            "bureau_score": [695.0, np.nan],
            "months_employed": [60.0, np.nan],
            "late_payments": [7.0, 0.0],
            "housing": ["rent", "own"],
            "purpose": ["small business", "education"],
            "region": ["south", np.nan],
            "product": [220, 110],
        }
    )
    first = -0.5 + 0.4 * np.log(2) - 0.2 * np.log(2) + 0.35 * 3 + 0.9 * 0.5 + 0.25 + 0.45 + 0.25 - 0.4 + 0.9
    second = 0.6 - 0.2 + 0.35 + 0.25 - 0.1 + 0.35
    np.testing.assert_allclose(default_logit(applicant), np.array([first, second]) - 2.716, rtol=1e-12)


@pytest.mark.parametrize(("name", "ap", "auc"), [("fraud-sim", 0.85, 0.98), ("loan-sim", 0.37, 0.74)])
def test_the_optimum_is_as_hard_as_intended(name, ap, auc, default):
    y, p = labels(name, default[name]), default[name].probability
    assert average_precision_score(y, p) == pytest.approx(ap, abs=0.04)
    assert roc_auc_score(y, p) == pytest.approx(auc, abs=0.015)


@pytest.mark.parametrize("name", NAMES)
def test_noise_on_the_probability_costs_average_precision(name, default):
    y, p = labels(name, default[name]), default[name].probability
    rng = np.random.default_rng(0)
    noisy = np.log(p / (1 - p)) + rng.normal(0, 1.5, len(p))
    assert average_precision_score(y, p) > average_precision_score(y, noisy) + 0.01
    rooted = average_precision_score(y, np.sqrt(p))  # a monotone distortion changes no ranking
    assert rooted == pytest.approx(average_precision_score(y, p), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_logistic_regression_learns_much_but_not_all(name, default):
    X = default[name].frame.drop(columns=[TARGET[name], "Time"], errors="ignore")
    X = pd.get_dummies(X.fillna(X.median(numeric_only=True)), dtype=float).to_numpy()
    y, p = labels(name, default[name]), default[name].probability
    train, test = np.arange(len(y)) % 5 != 0, np.arange(len(y)) % 5 == 0
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(X[train], y[train])
    linear = average_precision_score(y[test], model.predict_proba(X[test])[:, 1])
    optimum = average_precision_score(y[test], p[test])
    assert y.mean() * 1.5 < linear < optimum - 0.02


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prevalence", [0.005, 0.05, 0.4])
def test_another_prevalence_is_had_and_its_probability_is_still_the_true_one(
    name: str, prevalence: float
) -> None:
    """In tenths of rows by their probability, positives are as many as it says; five standard deviations apart."""
    simulated = simulate(name, 60_000, 3, prevalence)
    y, p = labels(name, simulated), simulated.probability
    assert y.mean() == pytest.approx(prevalence, abs=5 * np.sqrt(prevalence / len(y)))
    for rows in np.array_split(np.argsort(p), 10):
        spread = np.sqrt((p[rows] * (1 - p[rows])).sum())
        assert abs(y[rows].sum() - p[rows].sum()) < 5 * spread + 1


@pytest.mark.parametrize("name", NAMES)
def test_its_own_prevalence_given_is_another_table_of_the_same_law(
    name: str, default: dict[str, Simulated]
) -> None:
    """Without one the table is what it was: the card's counts hold (above)."""
    own = {"fraud-sim": PREVALENCE, "loan-sim": 0.16}[name]
    given = simulate(name, 60_000, 0, own)
    assert given.probability.mean() == pytest.approx(default[name].probability.mean(), rel=0.2)


@pytest.mark.parametrize("prevalence", [0.0, -0.1, 0.6, float("nan"), 1e-6])
def test_a_prevalence_that_cannot_be_is_refused(prevalence: float) -> None:
    with pytest.raises(BadSetting, match="prevalence"):
        simulate("loan-sim", 2000, 0, prevalence)

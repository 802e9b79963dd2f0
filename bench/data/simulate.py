"""Embedded generators of tables whose P(y = 1 | x) is known for every row.

They need no download, and they bound what any method can reach: the arm `bayes-optimal` scores the
exact probability. The same name, rows and seed give the same table under the same numpy (PCG64;
another numpy or CPU may differ in the last bits). A change of a model's numbers changes `VERSION`.

**fraud-sim** has the columns of ULB's `creditcard.csv`. A row is drawn as

    (t, k) ~ JOINT[t, k]                  one of 8 periods of six hours, one of 7 kinds; Σ JOINT = 1
    Class  = 1 if kind k is a fraud
    Time   ~ uniform in period t
    V_b    = S_b ∘ (m_kb + a_t d_kb + L_kb τ_b),   b = 1..4 blocks of 7 columns, V1..V7, V8..V14, …
             τ_b ~ multivariate Student t with ν_b degrees of freedom and unit scale
    Amount = exp(N(log g_k, h_k²))

with S the columns' spreads, and the drift direction d_k nonzero in the first block only. The kinds'
mix, the prevalence and the means (by a_t) move with the period. `Time` is no feature, so the period
is summed out; with q = |L⁻¹(V/S − m − a_t d)|² and all factors that kinds share cancelled,

    P(1 | V, Amount) = Σ_{t, k fraud} w_tk / Σ_{t, k} w_tk,
    log w_tk = log JOINT[t, k] − log h_k − (log Amount − log g_k)² / 2h_k²
               + Σ_b [ −log det L_kb − (ν_b + 7)/2 · log(1 + q_tkb / ν_b) ].

**loan-sim** is a credit table of mixed kinds: applicants x are drawn first, then some values are
withheld (given the age or the housing, because of the value itself, or at random), and last
y ~ Bernoulli(1 / (1 + exp(−`default_logit`(x)))), a function of the *observed* row only. So the
probability given the observed row is exact whatever made the values missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from bench.data.values import Numbers
from bench.errors import BadSetting, UnknownName

VERSION = "1"


@dataclass(frozen=True)
class Simulated:
    """A simulated table and the truth about it.

    Attributes
    ----------
    frame : DataFrame of n rows
        Features, the time column where there is one, and the target as 0 and 1.
    probability : ndarray of float64, shape (n,)
        P(y = 1 | x) of each row, x being all columns but the target and the time column.
    """

    frame: pd.DataFrame
    probability: Numbers


@dataclass(frozen=True)
class _Kind:
    """A kind of transaction in fraud-sim; shifts and scales are in units of a column's spread.

    `share` is its part of its class in the first and in the last period, `amount` the median and the
    standard deviation of the logarithm, `ties` correlations (column, column, ρ) inside a block.
    """

    name: str
    fraud: bool
    share: tuple[float, float]
    amount: tuple[float, float]
    mean: Mapping[int, float] = field(default_factory=dict)
    scale: Mapping[int, float] = field(default_factory=dict)
    ties: tuple[tuple[int, int, float], ...] = ()
    drift: Mapping[int, float] = field(default_factory=dict)

    @property
    def centre(self) -> Numbers:
        """The means m, shape (4, 7)."""
        return _columns(self.mean, 0.0)

    @property
    def slope(self) -> Numbers:
        """The direction d of the drift in the first block, shape (7,)."""
        slope: Numbers = _columns(self.drift, 0.0)[0]
        return slope

    @property
    def root(self) -> Numbers:
        """The lower triangular L of each block, shape (4, 7, 7)."""
        correlation = np.eye(28)
        for first, second, rho in self.ties:
            correlation[first - 1, second - 1] = correlation[second - 1, first - 1] = rho
        scale = _columns(self.scale, 1.0).ravel()
        scatter = correlation * np.outer(scale, scale)
        blocks = [scatter[b : b + 7, b : b + 7] for b in range(0, 28, 7)]
        return np.linalg.cholesky(np.stack(blocks))


def _columns(values: Mapping[int, float], default: float) -> Numbers:
    return np.array([values.get(column, default) for column in range(1, 29)]).reshape(4, 7)


_KINDS = (
    _Kind("card-present", False, (0.70, 0.64), (20.0, 1.3), drift={1: 0.6, 2: -0.4, 5: 0.5}),
    _Kind(
        "online",
        False,
        (0.30, 0.36),
        (45.0, 1.2),
        mean={1: -0.9, 3: -1.0, 4: 0.7, 8: 0.6, 20: 0.8, 27: -0.5},
        ties=((2, 5, 0.5), (17, 18, -0.4), (22, 24, 0.4)),
        drift={1: 0.4, 2: -0.2, 3: -0.3},
    ),
    _Kind(
        "card-testing",
        True,
        (0.43, 0.33),
        (1.5, 0.9),
        mean={1: -2.2, 2: 1.8, 3: -3.8, 4: 3.4, 7: -2.4, 10: -1.8, 12: -1.4, 14: -2.4},
        scale={3: 1.4, 4: 1.2, 7: 1.5, 14: 1.3},
        drift={3: 0.8, 4: -0.6},
    ),
    _Kind(
        "take-over",
        True,
        (0.39, 0.38),
        (220.0, 1.1),
        mean={3: -1.4, 4: 1.6, 9: -1.5, 10: -3.2, 11: 2.8, 12: -3.6, 14: -4.6, 16: -2.2, 17: -2.8},
        scale={10: 1.4, 12: 1.4, 14: 1.5, 17: 1.4},
    ),
    _Kind(
        "collusion",
        True,
        (0.06, 0.11),
        (60.0, 0.6),
        mean={10: -0.5, 14: -0.8},
        scale={17: 3.5, 18: 3.5, 19: 2.0},
        ties=((17, 18, 0.97),),
    ),
    _Kind(
        "bust-out",
        True,
        (0.07, 0.11),
        (400.0, 0.8),
        mean={4: 0.5, 14: -0.8},
        scale={22: 4.0, 24: 3.0, 26: 4.0, 28: 4.0},
        ties=((22, 24, -0.9),),
    ),
    _Kind("friendly", True, (0.05, 0.07), (70.0, 1.2), mean={3: -0.6, 14: -0.9, 20: 0.8}),
)

# Standard deviations of V1..V28 are of this order in ULB's file.
SPREAD = np.linspace(1.5, 0.35, 28)
FREEDOM = np.array([7.0, 9.0, 8.0, 6.0])  # ν of each block
LOAD = np.array([0.06, 0.15, 0.16, 0.13, 0.06, 0.15, 0.16, 0.13])  # part of the rows in each period
RATE = np.array([2.2, 0.8, 0.8, 1.0, 2.4, 0.9, 0.9, 1.2])  # a period's prevalence, relative
PREVALENCE = 492 / 284_807
SHIFT = np.linspace(-1.0, 1.0, 8)  # a_t
PERIOD_SECONDS = 21_600
IS_FRAUD = np.array([kind.fraud for kind in _KINDS])

# loan-sim: what each category adds to the log odds of default.
CATEGORY_EFFECTS: dict[str, dict[str, float] | dict[int, float]] = {
    "housing": {"rent": 0.25, "mortgage": -0.3, "own": -0.1, "with family": 0.1},
    "purpose": {
        "debt consolidation": 0.25,
        "car": -0.35,
        "home improvement": -0.15,
        "medical": 0.3,
        "small business": 0.45,
        "education": 0.0,
        "other": 0.1,
    },
    "region": {"north": 0.0, "east": 0.15, "south": 0.25, "west": -0.1, "centre": -0.2, "islands": 0.35},
    "product": {110: 0.35, 120: -0.3, 210: 0.3, 220: -0.4, 310: 0.15},
}
CATEGORY_SHARES = {
    "housing": (0.38, 0.3, 0.2, 0.12),
    "purpose": (0.4, 0.15, 0.12, 0.08, 0.08, 0.07, 0.1),
    "region": (0.22, 0.2, 0.24, 0.16, 0.14, 0.04),
    "product": (0.3, 0.25, 0.2, 0.15, 0.1),
}
INTERCEPT = -2.716  # makes P(default) 16.0 %: solved on 4,000,000 rows of seed 0


def joint(prevalence: float = PREVALENCE) -> Numbers:
    """Return JOINT, the probability of each period and kind at a prevalence, shape (8, 7); it sums to 1."""
    first, last = np.array([kind.share for kind in _KINDS]).T
    share = first + np.linspace(0.0, 1.0, 8)[:, None] * (last - first)
    positive = prevalence * RATE / (LOAD @ RATE)
    class_share = np.where(IS_FRAUD, positive[:, None], 1.0 - positive[:, None])
    weights: Numbers = LOAD[:, None] * share * class_share
    return weights


def simulate(name: str, rows: int, seed: int, prevalence: float | None = None) -> Simulated:
    """Return the simulated table `name`, at its own prevalence or another.

    Raises UnknownName, or BadSetting for too few rows and for a prevalence that it cannot have.
    """
    if name not in SIMULATORS:
        raise UnknownName("simulator", name, SIMULATORS)
    if rows < LEAST_ROWS[name]:
        raise BadSetting(
            f"The simulator {name!r} was asked for {rows:,} rows; it needs at least "
            f"{LEAST_ROWS[name]:,}, so that both classes occur."
        )
    if rows > MOST_ROWS:
        raise BadSetting(
            f"The simulator {name!r} was asked for {rows:,} rows; it makes at most {MOST_ROWS:,}."
        )
    if seed < 0:
        raise BadSetting(f"The simulator {name!r} was asked for the seed {seed}; a seed is 0 or more.")
    if prevalence is not None and not LEAST_POSITIVES / rows <= prevalence <= MOST_PREVALENT:
        raise BadSetting(
            f"The simulator {name!r} was asked for a prevalence of {prevalence:g}; of {rows:,} rows it makes "
            f"{LEAST_POSITIVES / rows:g} to {MOST_PREVALENT:g} positive."
        )
    return SIMULATORS[name](rows, seed, prevalence)


def simulate_fraud(rows: int, seed: int, prevalence: float | None = None) -> Simulated:
    """Return fraud-sim: Time (seconds), V1..V28, Amount, Class; in the order of time."""
    rng = np.random.Generator(np.random.PCG64(seed))
    of_kinds = joint(PREVALENCE if prevalence is None else prevalence)
    counts = rng.multinomial(rows, of_kinds.ravel())
    period, kind = np.divmod(np.repeat(np.arange(counts.size), counts), len(_KINDS))
    time = PERIOD_SECONDS * (period + rng.random(rows))
    order = np.argsort(time, kind="stable")
    period, kind = period[order], kind[order]
    units, log_amount = _transactions(rng, period, kind)
    frame = pd.DataFrame(units * SPREAD, columns=[f"V{column}" for column in range(1, 29)])
    frame.insert(0, "Time", np.floor(time[order]))
    frame["Amount"] = np.exp(log_amount)
    frame["Class"] = IS_FRAUD[kind].astype(np.int64)
    return Simulated(frame, fraud_probability(frame, of_kinds))


def _transactions(
    rng: np.random.Generator, period: NDArray[np.intp], kind: NDArray[np.intp]
) -> tuple[Numbers, Numbers]:
    """Return V in units of the spreads, (n, 28), and the log amount, (n,)."""
    chi_square = rng.chisquare(FREEDOM, (len(kind), 4))
    units = rng.standard_normal((len(kind), 4, 7)) / np.sqrt(chi_square / FREEDOM)[:, :, None]
    log_amount = rng.standard_normal(len(kind))
    for k, model in enumerate(_KINDS):
        rows = np.flatnonzero(kind == k)
        drawn = np.einsum("bij,nbj->nbi", model.root, units[rows]) + model.centre
        drawn[:, 0] += SHIFT[period[rows], None] * model.slope
        units[rows] = drawn
        median, sigma = model.amount
        log_amount[rows] = np.log(median) + sigma * log_amount[rows]
    return units.reshape(-1, 28), log_amount


def fraud_probability(frame: pd.DataFrame, of_kinds: Numbers | None = None, chunk: int = 8192) -> Numbers:
    """Return the exact P(Class = 1 | V1..V28, Amount) of rows of fraud-sim, shape (n,).

    `of_kinds` is `joint` of another prevalence than the simulator's own.
    """
    log_joint = np.log(joint() if of_kinds is None else of_kinds)
    units = frame[[f"V{column}" for column in range(1, 29)]].to_numpy() / SPREAD
    log_amount = np.log(frame["Amount"].to_numpy())
    chunks = [slice(start, start + chunk) for start in range(0, len(frame), chunk)]
    return np.concatenate(
        [_posterior(units[rows].reshape(-1, 4, 7), log_amount[rows], log_joint) for rows in chunks]
    )


def _posterior(units: Numbers, log_amount: Numbers, log_joint: Numbers) -> Numbers:
    log_weight = np.stack(
        [_log_density(kind, units, log_amount) + log_joint[:, k] for k, kind in enumerate(_KINDS)]
    )  # (kinds, n, periods)
    legitimate = _log_sum(log_weight[~IS_FRAUD])
    fraud = _log_sum(log_weight[IS_FRAUD])
    return _expit(fraud - legitimate)


def _log_density(kind: _Kind, units: Numbers, log_amount: Numbers) -> Numbers:
    """Return log f(V, Amount | kind, period) up to a term that all kinds share, (n, periods)."""
    inverse = np.linalg.inv(kind.root)
    white = np.stack([(units[:, b] - kind.centre[b]) @ inverse[b].T for b in range(4)])
    distance = np.einsum("bni,bni->bn", white, white)  # at a_t = 0, (4, n)
    slope = inverse[0] @ kind.slope
    drifted = distance[0][:, None] - 2 * np.outer(white[0] @ slope, SHIFT) + slope @ slope * SHIFT**2
    power = (FREEDOM + 7) / 2
    median, sigma = kind.amount
    log_density: Numbers = -np.log(sigma) - ((log_amount - np.log(median)) / sigma) ** 2 / 2
    log_density -= np.log(np.diagonal(kind.root, axis1=1, axis2=2)).sum()
    log_density -= power[1:] @ np.log1p(distance[1:] / FREEDOM[1:, None])
    drifting: Numbers = power[0] * np.log1p(drifted / FREEDOM[0])
    return log_density[:, None] - drifting


def _log_sum(log_weight: Numbers) -> Numbers:
    """Return log Σ exp over kinds and periods, (n,)."""
    top = log_weight.max(axis=(0, 2))
    log_sum: Numbers = top + np.log(np.exp(log_weight - top[None, :, None]).sum(axis=(0, 2)))
    return log_sum


def _expit(logit: Numbers) -> Numbers:
    probability: Numbers = 1.0 / (1.0 + np.exp(-np.clip(logit, -700.0, 700.0)))
    return probability


def simulate_loan(rows: int, seed: int, prevalence: float | None = None) -> Simulated:
    """Return loan-sim: eight numeric and four categorical features and `default`.

    Another prevalence moves the intercept of the log odds, so that it is these rows' mean probability.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    frame = _applicants(rng, rows)
    _withhold(rng, frame)
    logit = default_logit(frame)
    if prevalence is not None:
        logit += brentq(lambda shift: _expit(logit + shift).mean() - prevalence, -30, 30)
    probability = _expit(logit)
    frame["default"] = (rng.random(rows) < probability).astype(np.int64)
    return Simulated(frame, probability)


def _applicants(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return complete applicants; a common factor, wealth, ties the numeric columns together."""
    wealth = rng.standard_normal(rows)
    age = np.floor(18 + 57 * rng.beta(1.6, 2.6, rows))
    income = np.round(np.exp(10.3 + 0.45 * wealth + 0.35 * rng.standard_normal(rows)), -2)
    amount = np.round(income * rng.gamma(2.0, 0.2, rows) + 500, -1)
    columns: dict[str, NDArray[Any]] = {
        "age": age,
        "income": income,
        "loan_amount": amount,
        "debt_to_income": np.round(60 * rng.beta(2.0, 4.0, rows) * np.exp(-0.15 * wealth), 2),
        "utilisation": np.round(rng.beta(0.7, 1.1, rows), 4),
        "bureau_score": np.round(620 + 45 * wealth + 60 * rng.standard_normal(rows)),
        "months_employed": np.floor(np.minimum(rng.exponential(3.0 * (age - 17)), 12 * (age - 17))),
        "late_payments": rng.poisson(rng.gamma(0.6, 1.2 * np.exp(-0.3 * wealth))).astype(float),
    }
    for name, shares in CATEGORY_SHARES.items():
        drawn = rng.choice(np.array(list(CATEGORY_EFFECTS[name])), rows, p=shares)
        columns[name] = drawn if name == "product" else drawn.astype(object)
    return pd.DataFrame(columns)


def _withhold(rng: np.random.Generator, frame: pd.DataFrame) -> None:
    """Remove values in place: with the age, with the housing, with the value itself, at random."""
    chance = {
        "bureau_score": np.where(frame["age"] < 25, 0.4, 0.06),
        "months_employed": np.where(frame["housing"] == "with family", 0.3, 0.05),
        "income": np.where(frame["income"] > 50_000, 0.14, 0.02),
        "region": np.full(len(frame), 0.03),
    }
    for column, share in chance.items():
        withheld = rng.random(len(frame)) < share
        frame[column] = frame[column].mask(withheld)


def default_logit(frame: pd.DataFrame) -> Numbers:
    """Return the log odds of default of *observed* rows of loan-sim, shape (n,).

    A missing value enters by its indicator and nowhere else.
    """
    x = {name: frame[name].to_numpy(dtype=np.float64) for name in frame.select_dtypes("number")}
    score = (x["bureau_score"] - 620) / 75
    burden = np.log(x["loan_amount"] / x["income"] / 0.35)
    settled = np.log1p(x["months_employed"] / 60)
    logit: Numbers = (
        INTERCEPT
        + np.where(np.isnan(score), 0.6, -0.5 * score)
        + np.where(np.isnan(burden), -0.2, 0.4 * np.maximum(burden, 0.0))
        + np.where(np.isnan(settled), 0.35, -0.2 * settled)
        + 0.25 * ((x["age"] - 48) / 15) ** 2
        + 0.35 * np.minimum(x["late_payments"], 3.0)
        + 0.9 * (x["utilisation"] - 0.4) * (x["debt_to_income"] - 20) / 10
    )
    return logit + _category_logit(frame)


def _category_logit(frame: pd.DataFrame) -> Numbers:
    logit = np.zeros(len(frame))
    for name, effects in CATEGORY_EFFECTS.items():
        for value, effect in effects.items():
            logit[(frame[name] == value).to_numpy()] += effect
    risky = (frame["purpose"] == "small business") & frame["product"].isin([120, 220])
    logit[risky.to_numpy()] += 0.9
    return logit


SIMULATORS: dict[str, Callable[[int, int, float | None], Simulated]] = {
    "fraud-sim": simulate_fraud,
    "loan-sim": simulate_loan,
}
LEAST_ROWS = {"fraud-sim": 5_000, "loan-sim": 200}
MOST_PREVALENT = 0.4  # of fraud-sim, a period of which has 2.2 times as many
LEAST_POSITIVES = 10
MOST_ROWS = 20_000_000  # some 16 GB while fraud-sim is made

"""The protocol `published` does what the paper's code did, and each repair mends its fault and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from bench import plugins
from bench.arms.arm import ARMS, arm_named, read_arms
from bench.arms.matrices import MATRICES
from bench.arms.settings import adjust, configure, typed
from bench.contract import Fitted, Member
from bench.data.cards import PublishedSettings, card
from bench.data.encode import Encoded
from bench.data.table import Table, load
from bench.errors import BadSetting, BadTable, UnknownName
from bench.methods import ROLES, method
from bench.methods.meta_weight_net_as_coded import _without_meta_rows
from bench.networks import streams
from bench.protocols import as_judged, protocol_named
from bench.protocols.published import RATES, REPAIRS
from bench.runs.evaluate import run_pack
from bench.runs.request import Request
from bench.runs.run import plan
from bench.runs.workbench import Workbench
from bench.sampling.rules import rule_named
from bench.store.folder import Store
from bench.workflows.run import make_plan

CPU = torch.device("cpu")
PUBLISHED = protocol_named("published")
HOW = PublishedSettings(
    drop=("housing", "purpose", "region", "product"),
    standardise=(
        "age",
        "income",
        "loan_amount",
        "debt_to_income",
        "bureau_score",
        "months_employed",
        "late_payments",
    ),
    hidden=(6, 5),
    dropout=0.5,
    dropout_after=(2,),
    seeds=4,
    arms={
        "none": {"lr": 0.05},
        "smote": {"lr": 0.1},
        "class-balanced-published": {"lr": 0.1},
        "meta-weight-net-published": {"lr": 0.01, "meta_share": 0.1},
        "meta-weight-net": {"lr": 0.03, "outer_sampler": "random-under-once"},
        "random-over": {"lr": 0.1, "sampler": "random-over-once"},
        "metabalance-published": {"lr": 0.02, "inner_sampler": "smote", "outer_sampler": "random-under-once"},
    },
)
LOAN, FRAUD = (card(name).published for name in ("loan", "fraud"))


@cache
def loans() -> Table:
    """Return simulated loans without gaps, as a set that the paper used."""
    made = load(card("loan-sim"), rows=600)
    X = made.X.fillna(made.X.select_dtypes("number").median())
    return replace(made, card=made.card.model_copy(update={"published": HOW}), X=X)


def repaired(*repairs: str) -> Any:
    return protocol_named("+".join(["published", *repairs]))


def settings_of(name: str, *repairs: str) -> dict[str, Any]:
    """Return an arm's configuration under the protocol with these repairs."""
    return configure(as_judged(arm_named(name), loans().card, repaired(*repairs)))


def encoded(*repairs: str) -> Encoded:
    (part, *_) = repaired(*repairs).splits(loans())
    return repaired(*repairs).encode(loans(), part)


def fitted(name: str, *repairs: str, seeds: int = 1, **settings: Any) -> list[Fitted]:
    """Return an arm's networks, on rows as they are."""
    found = encoded(*repairs)
    arm = as_judged(arm_named(name), loans().card, repaired(*repairs))
    module = method(arm.method)
    config = module.config.model_validate({**arm.settings, **settings})
    pools = (found.train,) * len(module.pools)
    members = [Member(config, seed, pools, found.valid) for seed in range(seeds)]
    return list(module.fit(members, CPU, lambda step, steps: None))


# The protocol and its split.


def test_the_split_is_the_papers() -> None:
    (found,) = PUBLISHED.splits(loans())
    train, test = train_test_split(np.arange(600), test_size=0.2, random_state=0)
    np.testing.assert_array_equal(found.train, np.sort(train))
    np.testing.assert_array_equal(found.test, np.sort(test))
    assert len(found.valid) == 0


@pytest.mark.parametrize("repair", ["early-stopping", "equal-search"])
def test_a_repair_that_needs_validation_takes_it_from_the_training_rows(repair: str) -> None:
    (plain,), (found,) = PUBLISHED.splits(loans()), repaired(repair).splits(loans())
    np.testing.assert_array_equal(found.test, plain.test)
    np.testing.assert_array_equal(np.sort([*found.train, *found.valid]), plain.train)
    shares = [loans().y[rows].mean() for rows in (found.train, found.valid)]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)


@pytest.mark.parametrize(
    "repair", [r for r in REPAIRS if r not in ("early-stopping", "equal-search", "stratified")]
)
def test_other_repairs_leave_the_split_alone(repair: str) -> None:
    assert repaired(repair).splits(loans())[0].sha256 == PUBLISHED.splits(loans())[0].sha256


def test_the_stratified_repair_takes_the_folds_of_strict() -> None:
    found, strict = (
        repaired("stratified", "train-scaler").splits(loans()),
        protocol_named("strict").splits(loans()),
    )
    assert [part.sha256 for part in found] == [part.sha256 for part in strict]


def test_repairs_have_one_order_and_one_name() -> None:
    assert repaired("row-weights", "stratified").name == "published+stratified+row-weights"
    assert repaired("stratified", "stratified").name == "published+stratified"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("publish", "Did you mean 'published'"),
        ("published+stratify", "Did you mean 'stratified'"),
        ("strict+stratified", "published"),
        ("published+", "repair"),
    ],
)
def test_a_protocol_that_is_none_names_the_nearest(name: str, told: str) -> None:
    with pytest.raises(UnknownName, match=told):
        protocol_named(name)


@pytest.mark.parametrize("asked", [{"folds": 3}, {"repeats": 2}])
def test_one_split_cannot_be_folded(asked: dict[str, int]) -> None:
    with pytest.raises(BadSetting, match=r"published\+stratified or strict"):
        PUBLISHED.splits(loans(), **asked)


# What the networks see.


def test_some_columns_are_scaled_on_all_rows_and_the_others_stay_raw() -> None:
    found, X = encoded(), loans().X
    two = ["debt_to_income", "bureau_score"]
    wanted = pd.DataFrame(StandardScaler().fit_transform(X[two]), columns=two)
    names = list(found.feature_names)
    assert set(names) == set(X.columns) - set(HOW.drop)
    for name in two:
        column = found.test.X[:, names.index(name)]
        np.testing.assert_allclose(column, wanted[name].to_numpy()[found.test.rows], rtol=1e-5, atol=1e-6)
    raw = found.train.X[:, names.index("utilisation")]
    np.testing.assert_array_equal(raw, X["utilisation"].to_numpy(np.float32)[found.train.rows])


def test_the_scaler_can_be_fitted_on_training_rows_alone() -> None:
    found = encoded("train-scaler")
    at = found.feature_names.index("bureau_score")
    assert found.train.X[:, at].astype(float).mean() == pytest.approx(0, abs=1e-6)
    assert encoded().train.X[:, at].astype(float).mean() != pytest.approx(0, abs=1e-6)


def test_categories_and_gaps_are_refused() -> None:
    (part,) = PUBLISHED.splits(loans())
    used = HOW.model_copy(update={"drop": ()})
    whole = replace(loans(), card=loans().card.model_copy(update={"published": used}))
    with pytest.raises(BadTable, match="'housing' of 'loan-sim' is a category or has missing values"):
        PUBLISHED.encode(whole, part)


# The settings.


def test_every_arm_of_the_matrix_has_its_settings_on_both_cards() -> None:
    for published in (LOAN, FRAUD):
        assert published is not None
        assert set(MATRICES["published"]) <= set(published.arms)


@pytest.mark.parametrize(
    ("name", "samplers", "updates"),
    [
        ("none", ("none",), 32_000),
        ("metabalance-published", ("svm-smote", "random-under-once"), 190),
        ("metabalance[none/none]", ("none", "none"), 591),
        ("metabalance[none/smote]", ("none", "smote"), 992),
        ("meta-weight-net", ("none", "random-under-once"), 32_000),
    ],
)
def test_the_updates_on_loans_are_those_of_the_papers_code(
    name: str, samplers: tuple[str, ...], updates: int
) -> None:
    """Counted in its 7,662 training rows of which 1,232 are positive."""
    rows = {"none": 7_662, "smote": 2 * 6_430, "svm-smote": 2 * 6_430, "random-under-once": 2 * 1_232}
    arm = as_judged(arm_named(name), card("loan"), PUBLISHED)
    config = method(arm.method).config.model_validate(dict(arm.settings))
    assert config.updates([rows[sampler] for sampler in samplers]) == updates


def test_metabalance_on_fraud_makes_the_updates_of_the_papers_code() -> None:
    """61 with under-sampled outer rows (394 positives of 227,845 rows)."""
    arm = as_judged(arm_named("metabalance-june-published"), card("fraud"), PUBLISHED)
    config = method(arm.method).config.model_validate(dict(arm.settings))
    assert (arm.inner_sampler, arm.outer_sampler) == (None, "random-under-once")
    assert config.updates([227_845, 2 * 394]) == 61
    assert (config.hidden, config.dropout, config.dropout_after) == ((16, 24, 20, 24), 0.5, (2,))
    assert (config.pairs, config.inner_batch, config.outer_batch, config.order) == (81, 24, 16, 1)


@pytest.mark.parametrize("name", MATRICES["published"])
@pytest.mark.parametrize("dataset", ["loan", "fraud"])
def test_every_sampler_of_the_paper_draws_once(name: str, dataset: str) -> None:
    """For the whole training; its batch rule is what `strict` takes."""
    arm = as_judged(arm_named(name), card(dataset), PUBLISHED)
    assert [getattr(arm, role) for role in ROLES if rule_named(getattr(arm, role))] == []
    assert PUBLISHED.shares_draws
    assert not protocol_named("strict").shares_draws


@pytest.mark.parametrize("name", ["random-under", "random-over"])
def test_random_sampling_draws_once_under_published_unless_the_user_names_the_rule(name: str) -> None:
    judged = {
        typed: as_judged(arm_named(typed), card("loan"), PUBLISHED).sampler
        for typed in (name, f"none[{name}]")
    }
    assert judged == {name: f"{name}-once", f"none[{name}]": name}
    assert as_judged(arm_named(name), card("loan"), protocol_named("strict")).sampler == name


CHANGED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "stratified": {},
    "train-scaler": {},
    "evaluation-mode": {"none": {"test_dropout": False}, "metabalance-published": {"test_dropout": False}},
    "equal-updates": {"none": {"epochs": None}, "metabalance-published": {"epochs": None}},
    "early-stopping": {"none": {"keep": "best"}, "metabalance-published": {"keep": "best"}},
    "equal-search": {"none": {"search_lr": [*RATES]}, "metabalance-published": {"search_lr": [*RATES]}},
    "second-order": {"metabalance-published": {"order": 2}},
    "row-weights": {},
}


@pytest.mark.parametrize("repair", REPAIRS)
@pytest.mark.parametrize("name", ["none", "metabalance-published"])
def test_a_repair_changes_what_it_says_and_nothing_else(repair: str, name: str) -> None:
    before, after = settings_of(name), settings_of(name, repair)
    assert {k: v for k, v in after.items() if v != before[k]} == CHANGED[repair].get(name, {})


def test_the_row_weights_repair_makes_meta_weight_net_use_its_weights() -> None:
    before, after = (
        as_judged(arm_named("meta-weight-net-published"), loans().card, repaired(*repairs))
        for repairs in ((), ("row-weights",))
    )
    assert (before.method, after.method) == ("meta-weight-net-as-coded", "meta-weight-net")
    assert (after.outer_sampler, after.settings["lr"], after.settings["inner_lr"]) == (
        "random-under-once",
        0.01,
        0.01,
    )


def test_what_a_user_sets_goes_before_what_was_judged() -> None:
    arm = replace(arm_named("none"), settings={"lr": 0.5})
    assert as_judged(arm, loans().card, PUBLISHED).settings["lr"] == 0.5


@pytest.mark.parametrize(
    ("setting", "gives_way"),
    [({"lr": 0.001}, "search_lr"), ({"steps": 10}, "epochs"), ({"dropout": 0.1}, None)],
)
def test_what_a_protocol_would_put_in_place_of_a_users_setting_gives_way(
    setting: dict[str, Any], gives_way: str | None
) -> None:
    """A rate that is searched, epochs that are counted: an arm trains as its name says."""
    protocol = repaired("early-stopping", "equal-search")
    plain, mine = (
        as_judged(replace(arm_named("none"), settings=given), loans().card, protocol).settings
        for given in ({}, setting)
    )
    assert {"search_lr", "epochs"} <= set(plain)
    assert set(plain) - set(mine) == {gives_way} - {None}
    assert setting.items() <= mine.items()


def test_an_arm_of_ones_own_is_not_the_papers_by_its_name() -> None:
    mine = replace(arm_named("none"), name="mine-published")
    assert as_judged(mine, card("german-credit"), protocol_named("strict")) == mine


AS_PUBLISHED = (
    "class-balanced-published",
    "meta-weight-net-published",
    "metabalance-published",
    "metabalance-june-published",
)


def test_arms_say_themselves_that_they_are_as_published() -> None:
    assert tuple(sorted(name for name, arm in ARMS.items() if arm.as_published)) == tuple(
        sorted(AS_PUBLISHED)
    )


@pytest.mark.parametrize("name", AS_PUBLISHED)
@pytest.mark.parametrize("settings", ["", "(lr=0.1)"])
def test_an_arm_as_published_is_refused_on_another_set_whatever_is_set(name: str, settings: str) -> None:
    with pytest.raises(BadSetting, match="used fraud and loan; 'german-credit' is another set"):
        as_judged(typed(name + settings), card("german-credit"), protocol_named("strict"))


def test_an_arm_on_samplers_of_the_users_own_takes_none_from_the_card() -> None:
    for name in ("metabalance-published[smote/none]", "class-balanced-published[smote]"):
        arm = arm_named(name)
        for data_set in ("loan", "german-credit"):
            assert as_judged(arm, card(data_set), protocol_named("strict")) == arm


def test_an_arm_of_a_file_is_read_by_its_name_in_no_way(tmp_path: Path) -> None:
    """Not as the variant that its name would spell, nor as the paper's, in an arms file or a method's own."""
    (tmp_path / "arms.toml").write_text(
        "".join(f'["{name}"]\nmethod = "network"\n' for name in ("none(x)", "metabalance-published(x)"))
    )
    (tmp_path / "theirs.py").write_text(
        "from bench.contract import Arm\nfrom bench.methods.prevalence import *\n"
        "from bench.methods.prevalence import Config, fit, space\n"
        'VERSION = 1\nARMS = (Arm("theirs-published", "theirs", "theirs"),)\n'
    )
    plugins.use([tmp_path / "theirs.py"])
    for arm in [*read_arms(tmp_path / "arms.toml"), arm_named("theirs-published")]:
        assert as_judged(arm, card("german-credit"), protocol_named("strict")) == arm
        assert arm.spelling.rows == arm.name
    changed = adjust(read_arms(tmp_path / "arms.toml")[0], {"lr": "0.1"})
    assert (changed.name, changed.spelling.base) == ("none(x)(lr=0.1)", "none(x)")
    assert as_judged(changed, loans().card, PUBLISHED).settings["lr"] == 0.1


def test_only_the_unrepaired_protocol_repeats_what_the_authors_code_gave() -> None:
    assert LOAN is not None
    assert PUBLISHED.authors_code(card("loan")) == LOAN.measured != {}
    assert repaired("stratified").authors_code(card("loan")) == {}
    assert PUBLISHED.authors_code(card("german-credit")) == {}
    assert protocol_named("strict").authors_code(card("loan")) == {}


def test_a_choice_on_validation_rows_that_are_not_there_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.runs.card.load", lambda *_, **__: loans())
    asked = Request(dataset="loan", protocol="published", arms=("none(keep=best)",), results=tmp_path)
    with pytest.raises(
        BadSetting,
        match=r"none\(keep=best\) chooses .* published holds none out: .*run published\+early-stopping\.$",
    ):
        make_plan(asked)


@pytest.mark.parametrize(("name", "protocol"), [("none", "published"), ("metabalance-published", "strict")])
def test_another_set_than_the_papers_is_refused(name: str, protocol: str) -> None:
    with pytest.raises(BadSetting, match="used fraud and loan; 'german-credit' is another set"):
        as_judged(arm_named(name), card("german-credit"), protocol_named(protocol))


def test_strict_leaves_settings_alone_and_takes_the_papers_samplers() -> None:
    arm = as_judged(arm_named("metabalance-published"), card("loan"), protocol_named("strict"))
    assert (arm.inner_sampler, arm.outer_sampler, dict(arm.settings)) == (
        "svm-smote",
        "random-under-once",
        {},
    )


# The training.


def test_epochs_are_whole_and_their_last_batch_is_filled_with_its_own_rows() -> None:
    keys, n, batch = streams.keys([1, 2], "order"), 10, 4
    drawn = streams.rows(keys, torch.tensor([n, n]), 0, 36, batch=batch).view(2, 3, 3, batch)
    for member in drawn:
        for epoch in member:
            first, last = epoch.flatten()[: 2 * batch], epoch[2]
            assert sorted({*first.tolist(), *last.tolist()}) == [*range(n)]
            assert len(set(first.tolist())) == 2 * batch
            assert torch.bincount(last)[torch.unique(last)].tolist() == [2, 2]


def test_the_last_state_counts_and_the_budget_is_in_epochs() -> None:
    """The same as so many steps of the same batches, by hand."""
    (found,) = fitted("none", dropout=0.0, epochs=3)
    batches = -(-480 // 24)
    assert found.steps == found.best_step == 3 * batches
    (longer,) = fitted("none", dropout=0.0, epochs=4)
    assert not np.array_equal(found.predict(encoded().test), longer.predict(encoded().test))


def test_members_with_budgets_of_their_own_train_as_if_alone() -> None:
    found = encoded()
    arm = as_judged(arm_named("none"), loans().card, PUBLISHED)
    config = method("network").config.model_validate({**arm.settings, "epochs": 3})
    half = replace(
        found.train, rows=found.train.rows[:200], X=found.train.X[:200], y=found.train.labels[:200]
    )
    members = [
        Member(config, seed, (pool,), found.valid) for seed, pool in enumerate((found.train, half, half))
    ]
    together = method("network").fit(members, CPU, lambda step, steps: None)
    assert [one.steps for one in together] == [60, 27, 27]
    for member, one in zip(members, together, strict=True):
        (alone,) = method("network").fit([member], CPU, lambda step, steps: None)
        np.testing.assert_array_equal(alone.predict(found.test), one.predict(found.test))


def test_dropout_that_is_left_on_blurs_scores_and_can_be_switched_off() -> None:
    test = encoded().test
    (on,), (off,) = fitted("none", epochs=2), fitted("none", "evaluation-mode", epochs=2)
    np.testing.assert_array_equal(on.predict(test), on.predict(test))
    assert np.abs(on.predict(test) - off.predict(test)).max() > 0.01


def test_the_best_rate_on_validation_is_chosen_and_all_its_rows_count() -> None:
    found, repairs = encoded("equal-search"), ("equal-search", "evaluation-mode")
    (chosen,) = fitted("none", *repairs, epochs=2)
    each = {rate: fitted("none", *repairs, epochs=2, lr=rate, search_lr=())[0] for rate in RATES}
    scores = {
        rate: average_precision(found.valid.labels, one.predict(replace(found.valid, y=None)))
        for rate, one in each.items()
    }
    assert chosen.selected == {"lr": max(scores, key=lambda rate: scores[rate])}
    assert chosen.samples_seen == sum(one.samples_seen for one in each.values())
    np.testing.assert_array_equal(chosen.predict(found.test), each[chosen.selected["lr"]].predict(found.test))


def average_precision(y: Any, score: Any) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y, score))


def test_a_choice_without_validation_rows_is_refused() -> None:
    with pytest.raises(BadSetting, match="its protocol holds none out: set keep"):
        fitted("none", keep="best")


def test_meta_weight_net_as_coded_is_the_plain_network_without_its_meta_rows() -> None:
    """A tenth of the rarer class's rows, of each class."""
    found = encoded()
    arm = as_judged(arm_named("meta-weight-net-published"), loans().card, PUBLISHED)
    module = method(arm.method)
    config = module.config.model_validate({**arm.settings, "epochs": 2})
    member = Member(config, 5, (found.train,), found.valid)
    rest = _without_meta_rows(member)
    count = int(0.1 * found.train.labels.sum())
    assert len(found.train.rows) - len(rest.rows) == 2 * count
    assert found.train.labels.sum() - rest.labels.sum() == count
    plain = method("network").config.model_validate(
        {k: v for k, v in config.model_dump().items() if k != "meta_share"}
    )
    (mine,) = module.fit([member], CPU, lambda step, steps: None)
    (theirs,) = method("network").fit([Member(plain, 5, (rest,), found.valid)], CPU, lambda step, steps: None)
    np.testing.assert_array_equal(mine.predict(found.test), theirs.predict(found.test))


# Whole runs.


def test_runs_without_validation_have_no_threshold_and_no_validation_metrics(tmp_path: Path) -> None:
    arms = [arm_named(name) for name in ("none", "metabalance-published", "logistic-regression", "xgboost")]
    arms = [
        replace(arm, settings={**arm.settings, "epochs": 1} if "epochs" in fields(arm) else {})
        for arm in arms
    ]
    resolved = [as_judged(arm, loans().card, PUBLISHED) for arm in arms]
    splits = PUBLISHED.splits(loans())
    bench = Workbench(loans(), {p.sha256: p for p in splits}, Store(tmp_path), "cpu", protocol=PUBLISHED)
    for run in plan(loans(), PUBLISHED, splits, resolved, 1):
        (result,) = run_pack(bench, [run], lambda step, steps: None)
        assert result.status == "ok", result.error
        record = bench.store.read(run.dataset, run.key)
        assert record is not None
        assert record.threshold is None
        assert record.valid["roc_auc"] is None
        assert (record.n_train, record.n_valid, record.n_test) == (480, 0, 120)
        assert 0 < record.test["roc_auc"] < 1
        scores = bench.store.read_scores(run.dataset, run.key)
        assert scores is not None
        assert set(scores) == {"test"}


def fields(arm: Any) -> Any:
    return method(arm.method).config.model_fields


def test_what_the_card_says_of_features_is_part_of_a_runs_key() -> None:
    splits = PUBLISHED.splits(loans())
    arm = as_judged(arm_named("none"), loans().card, PUBLISHED)
    (run,) = plan(loans(), PUBLISHED, splits, [arm], 1)
    other = HOW.model_copy(update={"standardise": None})
    changed = replace(loans(), card=loans().card.model_copy(update={"published": other}))
    (another,) = plan(changed, PUBLISHED, splits, [arm], 1)
    assert run.key != another.key
    assert run.scope != another.scope


@pytest.mark.slow
def test_real_loans_give_what_the_authors_code_gave(data_folder: Path) -> None:
    """Within .01 of their means, or three standard errors, for arms that do not hang on one draw of a sampler.

    Theirs count as one draw: their seeds hardly differ. At the paper's rates a processor's last bits lead elsewhere:
    ten seeds of class-balanced came to .6596 on one and to .6494 on another (LOG).
    """
    table = load(card("loan"), data_file=data_folder / "loan_data.csv")
    assert LOAN is not None
    (part,) = PUBLISHED.splits(table)
    found = PUBLISHED.encode(table, part)
    for name in ("none", "class-balanced-published", "metabalance[none/none]"):
        arm = as_judged(arm_named(name), table.card, PUBLISHED)
        module = method(arm.method)
        config = module.config.model_validate(dict(arm.settings))
        pools = (found.train,) * len(module.pools)
        members = [Member(config, seed, pools, found.valid) for seed in range(10)]
        scored = [one.predict(found.test) for one in module.fit(members, CPU, lambda step, steps: None)]
        y = table.y[part.test]
        found_auc = [roc_auc(y, score) for score in scored]
        error = np.std(found_auc, ddof=1) * (1 + 1 / len(found_auc)) ** 0.5
        assert np.mean(found_auc) == pytest.approx(LOAN.measured[name][0], abs=max(0.01, 3 * error)), name


def roc_auc(y: Any, score: Any) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, score))

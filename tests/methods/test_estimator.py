"""Any estimator is an arm: named by its path in an arms file, checked before anything trains, fitted as it is."""

from __future__ import annotations

import json
import os
import re
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import bench as package
from bench.arms.arm import read_arms
from bench.arms.settings import check_settings, configure
from bench.contract import Arm, Fitted, Member
from bench.data.encode import Encoded, Part, encode, encoded
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadSetting, BenchError
from bench.methods import method
from bench.protocols import protocol_named
from bench.runs.run import plan
from bench.store.folder import Store
from bench.store.schema import Record
from bench.tuning.configurations import config_hash, read_tuned
from bench.tuning.space import Classes, arm_at, space_of, tunable
from tests.conftest import Script

SMALL = ("--dataset", "loan-sim", "--rows", "600", "--folds", "2")
CPU = torch.device("cpu")
TREES = "sklearn.ensemble.ExtraTreesClassifier"
SVM = "sklearn.svm.LinearSVC"
STEPS = [
    ["smote", "imblearn.over_sampling.SMOTE", {"k_neighbors": 3}],
    ["classifier", "sklearn.linear_model.LogisticRegression"],
]
ARMS = """
[trees]
estimator = "sklearn.ensemble.ExtraTreesClassifier"
parameters = {n_estimators = 20}
sampler = "smote"
scale = false
space = {n_estimators = {low = 10, high = 30, log = true}, max_features = ["sqrt", "log2"]}

[svm]
estimator = "sklearn.svm.LinearSVC"
class_weight = "balanced"

[easy]
estimator = "imblearn.ensemble.EasyEnsembleClassifier"
n_estimators = 3

[pipeline]
steps = [
  ["smote", "imblearn.over_sampling.SMOTE", {k_neighbors = 3}],
  ["classifier", "sklearn.linear_model.LogisticRegression"],
]

[prevalence-again]
method = "prevalence"
"""


@pytest.fixture(scope="module")
def parts(table: Table, splits: list[Split]) -> Encoded:
    return encode(table, splits[0])


def arm_of(tmp_path: Path, text: str, name: str = "mine") -> Arm:
    """Return the one arm of an arms file with this text in its table."""
    file = tmp_path / "arms.toml"
    file.write_text(f"[{name}]\n{text}\n")
    (arm,) = read_arms(file)
    return arm


def fitted(parts: Encoded, valid: Part | None = None, seed: int = 7, **settings: Any) -> Fitted:
    config = method("estimator").config.model_validate(settings)
    member = Member(config, seed, (parts.train,), parts.valid if valid is None else valid, parts.units)
    (result,) = method("estimator").fit([member], CPU, lambda step, steps: None)
    return result


def records(folder: Path, arm: str) -> list[Record]:
    return [record for record in Store(folder / "results").records("loan-sim") if record.arm == arm]


def test_estimators_of_an_arms_file_run_beside_other_arms_in_workers(bench: Script, tmp_path: Path) -> None:
    (tmp_path / "arms.toml").write_text(ARMS)
    ended = bench("run", *SMALL, "--seeds", "1", "--arms-file", "arms.toml", "--workers", "2", "--json")
    assert ended.returncode == 0, ended.stderr
    board = {row["arm"]: row for row in json.loads(ended.stdout)["arms"]}
    assert set(board) == {"trees", "svm", "easy", "pipeline", "prevalence-again"}
    assert all(row["n_failed"] == 0 for row in board.values())
    (first, _) = records(tmp_path, "trees")
    assert (first.method, first.sampler, first.steps) == ("estimator", "smote", 20)
    assert json.loads(first.config) == {
        "estimator": TREES,
        "parameters": {"n_estimators": 20},
        "pipeline": None,
        "scale": False,
    }
    assert json.loads(first.selected or "") == {"scores": "predict_proba"}
    selected = json.loads(records(tmp_path, "svm")[0].selected or "")
    assert selected["scores"] == "decision_function"
    assert selected["sigmoid"]["slope"] > 0


def test_a_study_asks_the_space_of_the_arms_file_and_tuned_arms_run(bench: Script, tmp_path: Path) -> None:
    (tmp_path / "arms.toml").write_text(ARMS)
    words = ("--arms-file", "arms.toml", "--workers", "0", "--json")
    ended = bench("study", *SMALL, *words, "--trials", "2", "--inner-folds", "2")
    assert ended.returncode == 0, ended.stderr
    studies = json.loads(ended.stdout)["studies"]
    assert {study["arm"] for study in studies} == {"trees"}  # the others have no space
    assert all(set(study["best"]["params"]) == {"n_estimators", "max_features"} for study in studies)
    ran = bench("run", *SMALL, "--seeds", "1", *words, "--tuned")
    assert ran.returncode == 0, ran.stderr
    assert "trees(tuned)" in {row["arm"] for row in json.loads(ran.stdout)["arms"]}
    (first, _) = records(tmp_path, "trees(tuned)")
    assert json.loads(first.config)["scale"] is False
    (tuned, _) = read_tuned(tmp_path / "results", "loan-sim")
    (trees, *_) = read_arms(tmp_path / "arms.toml")
    assert tuned.apply(trees).settings["parameters"].keys() >= {"n_estimators"}
    settings = {**(tuned.settings or {}), "estimator": "subprocess.Popen"}
    config = configure(replace(trees, settings=settings))
    forged = replace(tuned, settings=settings, config_sha256=config_hash(config, tuned.samplers))
    with pytest.raises(
        BadSetting, match=r"sets estimator to 'subprocess\.Popen', which the arm sets to 'sklearn"
    ):
        forged.apply(trees)


def test_python_takes_an_arms_file_of_estimators(tmp_path: Path) -> None:
    (tmp_path / "arms.toml").write_text(ARMS)
    asked: dict[str, Any] = {"rows": 600, "folds": 2, "seeds": 1, "workers": 0}
    board = package.run(
        "loan-sim", arms_file=tmp_path / "arms.toml", results=tmp_path / "results", **asked
    ).set_index("arm")
    assert board["n_failed"].sum() == 0
    assert (
        board.loc["pipeline", "average_precision_mean"]
        > board.loc["prevalence-again", "average_precision_mean"]
    )


def test_it_is_the_estimator_itself_with_the_runs_seed(parts: Encoded) -> None:
    result = fitted(parts, estimator=TREES, parameters={"n_estimators": 15})
    direct = ExtraTreesClassifier(15, random_state=7).fit(parts.train.X, parts.train.labels)
    assert np.array_equal(result.predict(parts.test), direct.predict_proba(parts.test.X)[:, 1])
    other = fitted(parts, estimator=TREES, parameters={"n_estimators": 15}, seed=8)
    assert not np.array_equal(result.predict(parts.test), other.predict(parts.test))


def test_it_equals_the_built_in_method_of_the_same_estimator(parts: Encoded) -> None:
    result = fitted(parts, estimator="sklearn.linear_model.LogisticRegression", parameters={"max_iter": 1000})
    built_in = method("logistic-regression")
    member = Member(built_in.config(), 7, (parts.train,), parts.valid)
    (expected,) = built_in.fit([member], CPU, lambda step, steps: None)
    assert np.array_equal(result.predict(parts.test), expected.predict(parts.test))
    assert result.steps == expected.steps


def test_every_step_of_a_pipeline_has_the_runs_seed(parts: Encoded) -> None:
    from imblearn.over_sampling import SMOTE

    result = fitted(parts, pipeline=[[*step, {}][:3] for step in STEPS])
    X, y = SMOTE(k_neighbors=3, random_state=7).fit_resample(
        parts.train.X.astype(np.float64), parts.train.labels
    )
    direct = LogisticRegression(random_state=7).fit(X, y)
    expected = direct.predict_proba(parts.test.X.astype(np.float64))[:, 1]
    assert np.array_equal(result.predict(parts.test), expected)


def test_a_decision_function_is_mapped_by_a_sigmoid_that_keeps_the_ranking(parts: Encoded) -> None:
    result = fitted(parts, estimator=SVM)
    decision = (
        LinearSVC(random_state=7).fit(parts.train.X, parts.train.labels).decision_function(parts.test.X)
    )
    scores = result.predict(parts.test)
    assert np.array_equal(np.argsort(scores, kind="stable"), np.argsort(decision, kind="stable"))
    sigmoid = result.selected["sigmoid"]
    expected = 1 / (1 + np.exp(-(sigmoid["slope"] * decision + sigmoid["intercept"])))
    assert scores == pytest.approx(expected, rel=1e-6)


def test_the_sigmoid_is_platts(parts: Encoded) -> None:
    """At the maximum of the likelihood of Platt's targets its derivatives by intercept and slope are nothing."""
    result = fitted(parts, estimator=SVM)
    labels, scores = parts.valid.labels, result.predict(parts.valid)
    positives = int(labels.sum())
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    decision = np.log(scores / (1 - scores))
    assert (scores - target).sum() == pytest.approx(0, abs=1e-3)
    assert ((scores - target) * decision).sum() == pytest.approx(0, abs=1e-3)


def test_without_validation_rows_a_decision_function_is_no_score_and_a_probability_is(parts: Encoded) -> None:
    empty = Part(parts.valid.rows[:0], parts.valid.X[:0], parts.valid.labels[:0])
    with pytest.raises(ValueError, match=r"sklearn\.svm\.LinearSVC has no predict_proba, and the sigmoid"):
        fitted(parts, empty, estimator=SVM)
    assert len(fitted(parts, empty, estimator=TREES).predict(parts.test)) == len(parts.test.rows)


def test_unscaled_features_are_those_of_the_table(table: Table, splits: list[Split], parts: Encoded) -> None:
    assert parts.units is not None
    restored = parts.units.restore(parts.test.X)
    for name in table.numeric:
        column = table.X[name].to_numpy(dtype=np.float64)
        mine = restored[:, parts.feature_names.index(name)]
        filled = np.where(np.isnan(column), np.nanmedian(column[splits[0].train]), column)[splits[0].test]
        assert mine == pytest.approx(filled, rel=1e-5, abs=1e-5)
    for name in parts.feature_names:  # what is a category or says that a number was missing is 0 or 1
        if name not in table.numeric:
            assert np.isin(restored[:, parts.feature_names.index(name)].round(6), (0, 1)).all()


def test_scale_decides_what_an_estimator_sees(parts: Encoded) -> None:
    """Neighbours differ where a column of large numbers outweighs the others."""
    neighbours = {"estimator": "sklearn.neighbors.KNeighborsClassifier"}
    scaled, unscaled = (
        fitted(parts, scale=scale, **neighbours).predict(parts.test) for scale in (True, False)
    )
    assert not np.array_equal(scaled, unscaled)


def test_columns_that_a_protocol_leaves_as_they_are_keep_their_units(
    table: Table, splits: list[Split]
) -> None:
    whole = [name for name in table.numeric if table.X[name].notna().all()]
    transformer = ColumnTransformer(
        [("scaled", StandardScaler(), whole[:1]), ("raw", "passthrough", whole[1:])]
    )
    mixed = encoded(table, splits[0], transformer.fit(table.X.iloc[splits[0].train]))
    assert mixed.units is not None
    assert mixed.units.center[1:].tolist() == [0.0] * (len(whole) - 1)
    expected = table.X[whole].to_numpy(dtype=np.float64)[splits[0].test]
    assert mixed.units.restore(mixed.test.X) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_key_hangs_on_the_estimator_and_its_parameters_and_not_on_the_space(
    tmp_path: Path, table: Table, splits: list[Split]
) -> None:
    def key(text: str) -> str:
        return plan(table, protocol_named("strict"), splits, [arm_of(tmp_path, text)], 1)[0].key

    plain = key(f'estimator = "{TREES}"\nn_estimators = 5')
    assert key(f'estimator = "{TREES}"\nparameters = {{n_estimators = 5}}') == plain
    assert (
        key(f'estimator = "{TREES}"\nn_estimators = 5\nspace = {{max_features = ["sqrt", "log2"]}}') == plain
    )
    others = [
        f'estimator = "{TREES}"\nn_estimators = 6',
        f'estimator = "{TREES}"\nn_estimators = 5\nscale = false',
        f'estimator = "{TREES}"\nn_estimators = 5\nsampler = "smote"',
        'estimator = "sklearn.ensemble.RandomForestClassifier"\nn_estimators = 5',
    ]
    assert len({plain, *map(key, others)}) == 5


def test_the_packages_of_the_estimator_are_in_the_record_of_its_arm_alone(
    bench: Script, tmp_path: Path
) -> None:
    """What `pip install` leaves of a package is a module and a folder that names it."""
    site = tmp_path / "site"
    info = site / "their_models-2.5.dist-info"
    info.mkdir(parents=True)
    (site / "their_models.py").write_text(
        "from sklearn.linear_model import LogisticRegression\nclass Theirs(LogisticRegression): pass\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 2.5\n")
    (info / "top_level.txt").write_text("their_models\n")
    (tmp_path / "arms.toml").write_text('[theirs]\nestimator = "their_models.Theirs"\n')
    words = ("--arms-file", "arms.toml", "--arm", "prevalence", "--seeds", "1", "--workers", "1")
    ended = bench("run", *SMALL, *words, PYTHONPATH=str(site))
    assert ended.returncode == 0, ended.stderr
    theirs, prevalence = (
        json.loads(records(tmp_path, arm)[0].versions or "") for arm in ("theirs", "prevalence")
    )
    assert theirs == {**prevalence, "their-models": "2.5"}


def test_a_space_starts_from_the_arm_as_it_is(tmp_path: Path) -> None:
    classes = Classes(90, 10)
    arm = arm_of(
        tmp_path,
        f'estimator = "{TREES}"\nmin_samples_leaf = 3\n'
        'space = {min_samples_leaf = {low = 1, high = 9, step = 2}, max_features = ["sqrt", "log2"], '
        "ccp_alpha = {low = 0.0, high = 0.1}}",
    )
    space = space_of(arm, classes)
    assert space.defaults == {"min_samples_leaf": 3, "max_features": "sqrt", "ccp_alpha": 0.0}
    assert configure(arm_at(arm, space.defaults, classes)) == configure(arm)
    moved = arm_at(arm, {"min_samples_leaf": 5, "max_features": "log2", "ccp_alpha": 0.05}, classes)
    assert configure(moved)["parameters"] == {
        "min_samples_leaf": 5,
        "max_features": "log2",
        "ccp_alpha": 0.05,
    }
    assert not tunable(arm_of(tmp_path, f'estimator = "{TREES}"'))


def test_weights_by_class_are_a_table(parts: Encoded) -> None:
    logistic = "sklearn.linear_model.LogisticRegression"
    weighted = fitted(parts, estimator=logistic, parameters={"class_weight": {"0": 1, "1": 5}})
    direct = LogisticRegression(class_weight={0: 1, 1: 5})
    direct.fit(parts.train.X.astype(np.float64), parts.train.labels)
    expected = direct.predict_proba(parts.test.X.astype(np.float64))[:, 1]
    assert np.array_equal(weighted.predict(parts.test), expected)


def test_warnings_are_in_the_record_and_not_on_the_screen(
    parts: Encoded, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as shown:
        result = fitted(
            parts,
            estimator="sklearn.linear_model.LogisticRegression",
            parameters={"max_iter": 1, "verbose": 1},
        )
        result.predict(parts.test)
    assert not shown
    assert [text.partition(":")[0] for text in result.selected["warnings"]] == ["ConvergenceWarning"]
    assert capsys.readouterr().out == ""


REFUSED = [
    (
        'estimator = "sklearn.ensemble.ExtraTreeClassifier"',
        "class in sklearn.ensemble, 'ExtraTreeClassifier'. Did",
    ),
    ('estimator = "sklearn.ensembel.Trees"', "No module named 'sklearn.ensembel'"),
    ('estimator = "no_such_package.Model"', "no_such_package.Model cannot be imported: ModuleNotFoundError"),
    ('estimator = "ExtraTrees"', "'ExtraTrees' is no path of a class"),
    ('estimator = "os.system"', "Unknown class in os, 'system'."),
    ('estimator = "builtins.dict"', "builtins.dict"),
    ('estimator = "pathlib.Path"', "pathlib.Path is no estimator: it has no fit"),
    (f'estimator = "{TREES}"\nn_trees = 4', f"Unknown parameter of {TREES}, 'n_trees'"),
    (f'estimator = "{TREES}"\nn_estimators = -4', "n_estimators' parameter of ExtraTreesClassifier must be"),
    (f'estimator = "{TREES}"\nrandom_state = 1', "leave out random_state, which bench sets to the seed"),
    (f'estimator = "{TREES}"\nn_jobs = 2', "leave out n_jobs, which bench sets to the threads"),
    (
        f'estimator = "{TREES}"\nparameters = {{since = 2020-01-01}}',
        "parameters.since: input was not a valid JSON",
    ),
    (f'estimator = "{TREES}"\nmax_features = nan', "parameters.max_features: Value error, nan is not finite"),
    (f'estimator = "{TREES}"\nmax_features = [1.0, inf]', "inf is not finite"),
    (f'estimator = "{TREES}"\nscale = "no"', "scale: Input should be a valid boolean"),
    (f'estimator = "{TREES}"\nsampler = "smoet"', "Unknown sampler 'smoet'"),
    ('estimator = "sklearn.linear_model.Ridge"', "Ridge gives no scores: it has neither predict_proba nor"),
    ('estimator = "sklearn.ensemble.IsolationForest"', "IsolationForest is no classifier"),
    (f'estimator = "{TREES}"\nspace = {{depth = {{low = 1, high = 2}}}}', "parameter in the space of"),
    (
        f'estimator = "{TREES}"\nspace = {{max_depth = {{low = 1, high = 2}}}}',
        "max_depth is None, which lies outside",
    ),
    (
        f'estimator = "{TREES}"\nspace = {{n_estimators = {{low = 9, high = 2}}}}',
        "low must be less than high",
    ),
    (f'estimator = "{TREES}"\nspace = {{n_estimators = {{low = 9}}}}', "high: Field required"),
    (f'estimator = "{TREES}"\nspace = {{n_jobs = {{low = 1, high = 2}}}}', "leave n_jobs out of the space"),
    (
        'steps = [["svm", "sklearn.svm.LinearSVC"]]\nsvm__D = 1',
        "Invalid parameter 'D' for estimator LinearSVC",
    ),
    (
        'steps = [["smote", "imblearn.over_sampling.SMOTE", {neighbours = 3}], ["svm", "sklearn.svm.LinearSVC"]]',
        "Unknown parameter of imblearn.over_sampling.SMOTE, 'neighbours'. Did you mean 'k_neighbors'",
    ),
    ('steps = [["smote", "imblearn.over_sampling.SMOTE"]]', "imblearn.pipeline.Pipeline gives no scores"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_cannot_be_fitted_is_named_with_its_arm(tmp_path: Path, text: str, words: str) -> None:
    arm = arm_of(tmp_path, text)
    with pytest.raises(BenchError) as refused:
        check_settings(arm)
    assert words in str(refused.value)
    assert refused.value.exit_code == 2
    assert len(str(refused.value)) < 900


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('method = "estimator"', "give `estimator`, the path of a class, or the `steps`"),
        (f'estimator = "{TREES}"\nparameters = 3', "parameters is a table"),
        (f'estimator = "{TREES}"\nC = 1\nparameters = {{C = 2}}', "the parameter C is given twice"),
        ("steps = 100", "steps is a list"),
        ('steps = [["smote"]]', "['smote'] is no step"),
    ],
)
def test_what_an_arms_file_says_wrong_of_an_estimator_is_named_with_the_file(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(BadSetting) as refused:
        arm_of(tmp_path, text)
    assert words in str(refused.value)
    assert "arms.toml, table [mine]" in str(refused.value)


@pytest.mark.parametrize("more", [("--dry-run",), ()])
def test_a_wrong_parameter_ends_the_command_before_anything_trains(
    bench: Script, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "arms.toml").write_text(f'[forest]\nestimator = "{TREES}"\nn_trees = 9\n')
    ended = bench("run", *SMALL, "--arms-file", "arms.toml", "--arm", "prevalence", *more)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "The arm 'forest': Unknown parameter" in " ".join(ended.stderr.split())
    assert not list(tmp_path.glob("results/runs/*/*"))


def test_an_estimator_that_fails_has_failed_records_and_other_arms_go_on(tmp_path: Path) -> None:
    text = '[far]\nestimator = "sklearn.neighbors.KNeighborsClassifier"\nn_neighbors = 5000\n'
    (tmp_path / "arms.toml").write_text(text)
    board = package.run(
        "loan-sim",
        rows=600,
        folds=2,
        seeds=1,
        arms=["prevalence"],
        arms_file=tmp_path / "arms.toml",
        results=tmp_path / "results",
    )
    assert board.set_index("arm").loc["prevalence", "n_failed"] == 0
    assert [(failed.arm, "n_neighbors = 5000" in (failed.error or "")) for failed in board.failed] == [
        ("far", True)
    ] * 2


THEIRS = """
import numpy as np
from sklearn.base import BaseEstimator


class Proba(BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class Flat(Proba):
    def predict_proba(self, X):
        return np.full(len(X), 0.5)


class Texts(Proba):
    def fit(self, X, y):
        self.classes_ = np.array(["good", "bad"])
        return self


class Iterated(Proba):
    n_iter_ = "many"


class Words(Proba):
    def predict_proba(self, X):
        return np.full((len(X), 2), "half")


class Decision(BaseEstimator):
    fit = Proba.fit
    value, shape = np.nan, ()

    def decision_function(self, X):
        return np.full((len(X), *self.shape), self.value)


class Wide(Decision):
    value, shape = 1.0, (3,)
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Flat", r"\.predict_proba gives shape \(\d+,\); expected \(\d+, 2\)"),
        ("Words", r"\.predict_proba gives an array of <U4; expected real numbers"),
        ("Decision", r"\.decision_function gives \d+ numbers that are not finite"),
        ("Wide", r"\.decision_function gives shape \(\d+, 3\); expected \(\d+,\) or"),
        ("Texts", r" has learned the classes \['good', 'bad'\]; expected 0 and 1"),
        ("Iterated", r" has an `n_iter_` that is no number: 'many'"),
    ],
)
def test_what_an_estimator_returns_amiss_names_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Encoded, name: str, words: str
) -> None:
    module = f"theirs_{name.lower()}"
    (tmp_path / f"{module}.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f"{module}.{name}{words}"):
        fitted(parts, estimator=f"{module}.{name}").predict(parts.test)


def test_a_class_that_is_not_there_has_near_names_and_no_list() -> None:
    arm = Arm("theirs", "estimator", settings={"estimator": "sklearn.ensemble.RandomForestClasifier"})
    with pytest.raises(BenchError) as refused:
        check_settings(arm)
    assert "Did you mean 'RandomForestClassifier'" in str(refused.value)
    assert "Known" not in str(refused.value)


def test_a_configuration_is_read_without_importing_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record or a tuned configuration of somebody else names classes too."""
    (tmp_path / "their_models.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    arm = Arm("theirs", "estimator", settings={"estimator": "their_models.Theirs"})
    assert configure(arm)["estimator"] == "their_models.Theirs"
    with pytest.raises(BadSetting, match=r"cannot be imported.*SystemExit: imported"):
        check_settings(arm)


PAGE = (Path(package.__file__).parent / "methods" / "README.md").read_text(encoding="utf-8")
(EXAMPLES,) = (block for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "estimator =" in block)


@pytest.mark.parametrize("name", tomllib.loads(EXAMPLES))
def test_every_example_of_the_page_of_methods_is_an_arm_that_trains(
    tmp_path: Path, parts: Encoded, name: str
) -> None:
    (tmp_path / "arms.toml").write_text(EXAMPLES)
    (arm,) = (arm for arm in read_arms(tmp_path / "arms.toml") if arm.name == name)
    check_settings(arm)
    scores = fitted(parts, **arm.settings).predict(parts.test)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert tunable(arm) == ("space" in tomllib.loads(EXAMPLES)[name])


class Flips(LogisticRegression):
    """An estimator that turns its labels round, in place."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Flips:
        """Fit the other label."""
        y[:] = 1 - y
        X[:] = 0
        return super().fit(X + y[:, None], y, sample_weight)


def test_what_an_estimator_changes_in_its_rows_is_its_own(parts: Encoded) -> None:
    labels, X = parts.train.labels.copy(), parts.train.X.copy()
    fitted(parts, estimator=f"{__name__}.Flips")
    np.testing.assert_array_equal(parts.train.labels, labels)
    np.testing.assert_array_equal(parts.train.X, X)


def test_scores_that_are_not_finite_name_the_column_and_advise_no_retry(
    bench: Script, tmp_path: Path
) -> None:
    """A value of row 7 lies a million deviations from those that the first fold trains on."""
    rng = np.random.default_rng(0)
    rate = rng.normal(0, 1, 400)
    rate[7] = 1e6 * rate.std()
    frame = pd.DataFrame({"age": rng.normal(40, 9, 400), "rate": rate, "y": rng.integers(0, 2, 400)})
    frame.to_csv(tmp_path / "d.csv", index=False)
    classifier = (
        "from sklearn.base import ClassifierMixin\n\n\nclass Judge(ClassifierMixin, Decision):\n    pass\n"
    )
    (tmp_path / "theirs_nan.py").write_text(f"{THEIRS}\n\n{classifier}")
    (tmp_path / "arms.toml").write_text('[odd]\nestimator = "theirs_nan.Judge"\n')
    words = ("--data-file", "d.csv", "--target", "y", "--arms-file", "arms.toml")
    for _ in ("run", "found in the records"):
        ended = bench("run", *words, "--seeds", 1, "--workers", 0, PYTHONPATH=path(tmp_path))
        said = " ".join(ended.stderr.split())
        assert ended.returncode == 4
        assert "decision_function gives" in said
        assert "numbers that are not finite" in said
        assert "--retry-failed" not in said
    failed = Store(tmp_path / "results").records("d")
    assert all(record.not_finite for record in failed)
    far = [record.error for record in failed if "A value of 'rate' lies" in (record.error or "")]
    assert far
    assert all("standard deviations out: mend or drop that column" in str(error) for error in far)


def path(folder: Path) -> str:
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])

"""A method of an author's own is one file: it is run by its name, and no other file is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import bench as package
from bench import plugins
from bench.arms.arm import ARMS
from bench.arms.settings import typed
from bench.cli import completion
from bench.cli.catalogue import catalogue
from bench.contract import Fitted
from bench.errors import BadPlugin, BadSetting, NotInstalled
from bench.methods import check_installed, method, methods
from bench.networks.memory import SHARE, fitting_members
from bench.protocols import protocol_named
from bench.runs.evaluate import configuration
from bench.runs.run import packs
from bench.store.folder import Store
from bench.store.schema import Record
from bench.tuning.trials import COMPLETE, FAIL, TrialStore
from bench.workflows.run import _check_validation
from tests.conftest import Script

SMALL = ("--dataset", "loan-sim", "--rows", "600", "--folds", "2", "--seeds", "1")

MEANS = '''"""The nearer class mean, by a sigmoid of the difference of distances."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.contract import Arm, Fitted

VERSION = 3
COST = 0.1
PACKAGES = ("pluggy",)
ARMS = (
    Arm("means", "means", "the nearer class mean"),
    Arm("means-steep", "means", "the same, steeper", settings={"steepness": 4.0}),
)


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    steepness: float = Field(default=1.0, gt=0)


def space(trial):
    return {"steepness": trial.suggest_float("steepness", 0.1, 10.0, log=True), **trial.sampler()}


def fit(members, device, progress):
    return [_fit(member) for member in members]


def _fit(member):
    (rows,) = member.pools
    means = [rows.X[rows.labels == label].mean(axis=0) for label in (0, 1)]

    def predict(part):
        far, near = (np.linalg.norm(part.X - mean, axis=1) for mean in means)
        return 1 / (1 + np.exp(-member.config.steepness * (far - near)))

    return Fitted(predict, steps=1, best_step=1, samples_seen=len(rows.X), engine="numpy", threads=1)
'''

TORCH = '''"""Logistic regression by gradient descent in torch, one member at a time."""

import torch
from pydantic import Field

from bench.contract import Arm, Budget, Fitted, SteppedConfig

VERSION = 1
STATIC = {"steps", "batch"}
ARMS = (Arm("descent", "descent", "logistic regression in torch"),)


class Config(SteppedConfig):
    steps: int = Field(default=30, gt=0)
    batch: int = Field(default=64, gt=0)
    lr: float = Field(default=0.1, gt=0)
    best: bool = False

    @property
    def budget(self):
        return Budget(self.batch, steps=self.steps)

    @property
    def needs_validation(self):
        return self.best

    def member_bytes(self, n_features):
        return 4 * (3 * (n_features + 1) + self.batch * n_features)


def space(trial):
    return {"lr": trial.suggest_float("lr", 1e-3, 1.0, log=True)}


def fit(members, device, progress):
    return [_fit(member, device) for member in members]


def _fit(member, device):
    config, (rows,) = member.config, member.pools
    X, y = (torch.as_tensor(values, dtype=torch.float32, device=device) for values in (rows.X, rows.labels))
    drawn = torch.Generator().manual_seed(member.seed % 2**63)
    model = torch.nn.Linear(X.shape[1], 1, device=device)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    descent = torch.optim.SGD(model.parameters(), lr=config.lr)
    for _ in range(config.steps):
        batch = torch.randint(len(X), (config.batch,), generator=drawn).to(device)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(X[batch])[:, 0], y[batch])
        descent.zero_grad()
        loss.backward()
        descent.step()

    @torch.no_grad()
    def predict(part):
        return torch.sigmoid(model(torch.as_tensor(part.X, device=device))[:, 0]).double().cpu().numpy()

    used = {"device": model.weight.device.type, "engine": "torch", "threads": torch.get_num_threads()}
    return Fitted(predict, config.steps, config.steps, config.steps * config.batch, **used)
'''


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def records(folder: Path, arm: str) -> list[Record]:
    return [record for record in Store(folder / "results").records("loan-sim") if record.arm == arm]


def test_a_method_that_is_no_network_is_one_file(bench: Script, tmp_path: Path) -> None:
    """Its arms run in worker processes and stand in the table; the record has its packages and what it used."""
    written(tmp_path, "means.py", MEANS)
    words = (
        "--arm",
        "means",
        "--arm",
        "means-steep[smote]",
        "--arm",
        "prevalence",
        "--workers",
        "2",
        "--json",
    )
    ended = bench("run", *SMALL, "--method-file", "means.py", *words)
    assert ended.returncode == 0, ended.stderr
    board = {row["arm"]: row for row in json.loads(ended.stdout)["arms"]}
    assert set(board) == {"means", "means-steep[smote]", "prevalence"}
    assert board["means"]["average_precision_mean"] > board["prevalence"]["average_precision_mean"]
    (first, _) = records(tmp_path, "means")
    assert (first.method, first.version, first.device) == ("means", 3, "cpu")
    assert (first.engine, first.threads) == ("numpy", 1)
    assert "pluggy" in json.loads(first.versions)
    (other, _) = records(tmp_path, "prevalence")
    assert "pluggy" not in json.loads(other.versions)
    again = bench("run", *SMALL, *words)
    assert again.returncode == 2
    assert "Unknown arm 'means'" in again.stderr


def test_a_study_asks_the_space_of_a_method_of_ones_own(bench: Script, tmp_path: Path) -> None:
    file = written(tmp_path, "means.py", MEANS)
    fast = ("--trials", "2", "--inner-folds", "2", "--workers", "1", "--json")
    words = [word for word in SMALL if word not in ("--seeds", "1")]
    ended = bench("study", *words, "--method-file", file, "--arm", "means", *fast)
    assert ended.returncode == 0, ended.stderr
    asked = [set(study["best"]["params"]) for study in json.loads(ended.stdout)["studies"]]
    assert asked == [{"steepness"}, {"steepness"}]
    assert 'method = "means"' in (tmp_path / "results" / "tuned" / "loan-sim.toml").read_text()


def test_a_torch_method_that_is_no_network_of_bench_says_what_it_used(bench: Script, tmp_path: Path) -> None:
    written(tmp_path, "descent.py", TORCH)
    words = ("--arm", "descent", "--workers", "0", "--json", "--device", "cpu")
    ended = bench("run", *SMALL, "--method-file", "descent.py", *words)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["budget"] == "30 steps × 64 rows = 1,920 rows per network"
    (first, _) = records(tmp_path, "descent")
    assert (first.device, first.engine, first.samples_seen) == ("cpu", "torch", 1920)


def test_the_memory_of_a_torch_method_bounds_its_packs(tmp_path: Path, runs_of: Any) -> None:
    plugins.use([written(tmp_path, "descent.py", TORCH)])
    runs = runs_of(ARMS["descent"], seeds=4)
    config = configuration(runs[0])
    each = config.member_bytes(10)
    fits = fitting_members(config, 10, int(5.5 * each / SHARE))
    assert fits == 5
    made = packs(runs, pack=None, workers=1, limit=lambda _: fits)
    assert [len(pack) for pack in made] == [4, 4, 4]


def test_a_choice_on_validation_rows_is_refused_where_there_are_none(tmp_path: Path) -> None:
    plugins.use([written(tmp_path, "descent.py", TORCH)])
    chooses = method("descent").config.model_validate({"best": True})
    _check_validation({"descent": chooses}, protocol_named("strict"))
    with pytest.raises(BadSetting, match="descent chooses its best step"):
        _check_validation({"descent": chooses}, protocol_named("published"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_torch_method_says_that_it_used_the_gpu(tmp_path: Path) -> None:
    board = package.run(
        "loan-sim",
        rows=600,
        folds=2,
        seeds=1,
        device="cuda",
        arms=["descent", "none(steps=4)", "prevalence"],
        method_file=written(tmp_path, "descent.py", TORCH),
        results=tmp_path / "results",
    )
    assert len(board) == 3
    for arm, device in (("descent", "cuda"), ("none(steps=4)", "cuda"), ("prevalence", "cpu")):
        assert {record.device for record in records(tmp_path, arm)} == {device}


def test_python_takes_a_method_file_and_reads_it_anew_when_it_has_changed(tmp_path: Path) -> None:
    file = written(tmp_path, "means.py", MEANS)
    asked: dict[str, Any] = {"rows": 600, "folds": 2, "seeds": 1, "results": tmp_path / "results"}
    package.run("loan-sim", arms=["means"], method_file=file, **asked)
    written(tmp_path, "means.py", MEANS.replace("VERSION = 3", "VERSION = 4"))
    board = package.run("loan-sim", arms=["means"], method_file=[file], **asked)
    assert board["n_runs"].tolist() == [2]
    assert sorted(record.version for record in records(tmp_path, "means")) == [3, 3, 4, 4]


def test_every_command_knows_what_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "means.py", MEANS)
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path))
    listed = [row["name"] for row in catalogue("arms")]
    assert listed.index("bayes-optimal") < listed.index("means") < listed.index("focal[smote]")
    (row,) = (row for row in catalogue("methods") if row["name"] == "means")
    assert row["version"] == 3
    assert row["description"] == "The nearer class mean, by a sigmoid of the difference of distances."
    assert completion.arms()[-2:] == ["means", "means-steep"]
    assert typed("means(steepness=2)").settings == {"steepness": 2}
    monkeypatch.delenv("BENCH_PLUGINS")
    assert "means" not in methods()
    assert "means" not in ARMS


def test_a_card_of_ones_own_is_a_data_set(bench: Script, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    roles = 'target = "y"\nlicence = "mine"\ncitation = "none"\ndomain = "credit"\ndescription = "Mine."\n'
    written(folder, "my-loans.toml", f'name = "my-loans"\ntitle = "My loans"\n{roles}')
    rows = [f"{i % 7},{i % 3},{int(i % 4 == 0)}" for i in range(200)]
    file = written(tmp_path, "loans.csv", "\n".join(["a,b,y", *rows]))
    words = ("--folds", "2", "--seeds", "1", "--workers", "0", "--arm", "prevalence")
    ended = bench("run", "--dataset", "my-loans", "--data-file", file, *words, BENCH_PLUGINS=str(folder))
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "results" / "runs" / "my-loans").iterdir())) == 2
    taken = written(folder, "loan-sim.toml", f'name = "loan-sim"\ntitle = "Mine"\n{roles}')
    ended = bench("list", "datasets", BENCH_PLUGINS=str(folder))
    assert ended.returncode == 2
    assert f"{taken} has the name of a data set of bench" in " ".join(ended.stderr.split())


def test_a_method_whose_packages_are_missing_is_listed_and_says_how_to_install_them(tmp_path: Path) -> None:
    lacking = MEANS.replace('("pluggy",)', '("pluggy", "no-such-package")')
    file = written(tmp_path, "means.py", lacking)
    plugins.use([file])
    (row,) = (row for row in catalogue("arms") if row["name"] == "means")
    assert row["description"] == "the nearer class mean (not installed: pip install pluggy no-such-package)"
    with pytest.raises(NotInstalled, match="'means' needs no-such-package, not installed here: pip install"):
        package.run("loan-sim", rows=600, arms=["means"], results=tmp_path / "results")
    plugins.use([written(tmp_path, "means.py", f'{lacking}\nEXTRA = "strong"\n')])
    with pytest.raises(NotInstalled, match=r'pip install "imbalance-bench\[strong\]"$'):
        check_installed(ARMS["means"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("VERSION = 3", "", "lacks `VERSION`"),
        ("def space", "def spice", "lacks `space`"),
        ("def fit", "def fut", "lacks `fit`"),
        ("class Config(", "class Settings(", "lacks `Config`"),
        ("VERSION = 3", 'VERSION = "3"', "VERSION is '3'; expected a whole number from 1 on"),
        ("VERSION = 3", "VERSION = 3\nPOOLS = ('rows',)", "POOLS is ('rows',); expected some of sampler,"),
        ('("pluggy",)', "'numpy'", "PACKAGES is 'numpy'; expected a tuple of names"),
        ("VERSION = 3", "VERSION = 3\nSTATIC = {'step'}", "STATIC names `step`, no field of Config"),
        ("VERSION = 3", "VERSION = 3\nNAME = 'My Means'", "NAME is 'My Means'; expected lower-case letters"),
        ("frozen=True, ", "", "Config must be frozen"),
        ('Arm("means", "means"', 'Arm("means", "mean"', "its arm 'means' is of the method 'mean'"),
        ('Arm("means",', 'Arm("smote",', "Two arms are called 'smote'"),
        ('Arm("means",', 'Arm("means(a)",', "'means(a)', which is how a variant of 'means' is spelled"),
    ],
)
def test_what_a_method_file_lacks_or_says_wrong_is_named(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in MEANS
    file = written(tmp_path, "means.py", MEANS.replace(old, new))
    plugins.use([file])
    with pytest.raises(BadPlugin) as refused:
        list(ARMS)
    assert str(file) in str(refused.value)
    assert words in str(refused.value)


def test_two_methods_of_one_name_are_refused_with_both_files(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [written(folder, "means.py", MEANS) for folder in (tmp_path, tmp_path / "other")]
    plugins.use(files)
    with pytest.raises(BadPlugin, match="Two methods are called 'means'") as refused:
        methods()
    assert all(str(file) in str(refused.value) for file in files)


def test_a_file_that_does_not_import_ends_the_command_with_a_short_error(
    bench: Script, tmp_path: Path
) -> None:
    file = written(tmp_path, "means.py", "import numpy\nimport no_such_package\n")
    ended = bench("run", *SMALL, "--method-file", "means.py", "--arm", "means")
    said = " ".join(ended.stderr.split())
    assert (ended.returncode, "Traceback" in said) == (2, False)
    assert f"The plugin file {file} does not import, line 2: ModuleNotFoundError" in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("part.X - mean", "part.X[1:] - mean", "Labels of shape"),
        ("(far - near)))", "(far - near))) * np.nan", "Scores must be finite"),
        ("(far - near)))", "(far - near))) + 2", "Scores must be probabilities in [0, 1]"),
        ("steps=1,", "steps=1.5,", "TypeError: 'float' object cannot be interpreted as an integer"),
        (
            "steps=1,",
            "steps=1, device=1,",
            "TypeError: Fitted(device=…) takes a text, such as 'cpu', and was given: int",
        ),
        ('engine="numpy"', "engine=b'c'", "TypeError: Fitted(engine=…) takes a text"),
        (
            "threads=1",
            "threads='two'",
            "TypeError: 'str' object cannot be interpreted as an integer",
        ),
        (
            "return [_fit(member) for member in members]",
            "return []",
            "`fit` returned 0 results for 1 members",
        ),
        (
            "return [_fit(member) for member in members]",
            "return None",
            "`fit` returned a NoneType; expected a list of bench.contract.Fitted",
        ),
        (
            "return [_fit(member) for member in members]",
            "return map(_fit, members)",
            "`fit` returned a map; exp",
        ),
        (
            "steps=1,",
            "steps=-1,",
            "ValueError: Fitted(steps=…) takes 0 to 9223372036854775807, and was given: -1",
        ),
        ("best_step=1,", "best_step=2**70,", "ValueError: Fitted(best_step=…) takes 0 to"),
        ("threads=1", "threads=0", "ValueError: Fitted(threads=…) takes 1 to 2147483647, and was given: 0"),
        (
            "return 1 / (1",
            "return 1j / (1",
            "TypeError: `predict` returned an array of complex",
        ),
        (
            "return 1 / (1",
            "return np.full(len(part.X), '0.5') if 1 else 1 / (1",
            "an array of <U3; expected real",
        ),
        ("(rows,) = member.pools", "raise KeyError('rows')", "KeyError: 'rows'"),
        ("(rows,) = member.pools", "raise SystemExit(0)", "SystemExit: 0"),
        ("return 1 / (1", "raise SystemExit or 1 / (1", "SystemExit: "),
        ("(rows,) = member.pools", "raise type('Own', (BaseException,), {})('mine')", "Own: mine"),
        ("(rows,) = member.pools", r"raise ValueError('half \ud800')", "ValueError: half ?"),
        (
            "(rows,) = member.pools",
            "raise type('Own', (Exception,), {'__str__': lambda self: 1 / 0})",
            "Own: (its text is not known: ZeroDivisionError in `__str__`)",
        ),
        (
            "return [_fit(member) for member in members]",
            "return [print]",
            "returned a builtin_function_or_method",
        ),
        ("(rows,) = member.pools", "raise errors.BadSetting('no')", "BadSetting: no"),
        ("(rows,) = member.pools", "raise errors.BadKernel('no')", "BadKernel: no"),
        ("(rows,) = member.pools", "raise errors.DiskFull('no')", "DiskFull: no"),
        ("return 1 / (1", "raise errors.BadStore('no') or 1 / (1", "BadStore: no"),
        ("(rows,) = member.pools", "samplers.sampler_named('smote:2')", "BadSetting: smote:2"),
        ("return 1 / (1", "return {} or print / (1", "TypeError: unsupported operand"),
    ],
)
def test_a_method_that_fails_has_failed_records_that_name_it_and_other_arms_go_on(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in MEANS
    imports = "from bench import errors\nfrom bench.contract import Arm, Fitted\nfrom bench.sampling import samplers"
    text = MEANS.replace("from bench.contract import Arm, Fitted", imports)
    file = written(tmp_path, "means.py", text.replace(old, new))
    board = package.run(
        "loan-sim",
        rows=600,
        folds=2,
        seeds=1,
        arms=["means", "prevalence"],
        method_file=file,
        results=tmp_path / "results",
    )
    assert board.set_index("arm").loc["prevalence", "n_failed"] == 0
    assert len(board.failed) == 2
    assert all(words in (failed.error or "") and str(file) in (failed.error or "") for failed in board.failed)


@pytest.mark.parametrize("largest", [1e6, 5.0])
def test_scores_that_are_not_finite_name_the_column_that_may_be_why(
    bench: Script, tmp_path: Path, largest: float
) -> None:
    """A value of row 7 lies a million deviations from those that the first fold trains on."""
    rng = np.random.default_rng(0)
    rate = rng.normal(0, 1, 400)
    rate[7] = largest * rate.std()
    frame = pd.DataFrame({"age": rng.normal(40, 9, 400), "rate": rate, "y": rng.integers(0, 2, 400)})
    frame.to_csv(tmp_path / "d.csv", index=False)
    written(tmp_path, "means.py", MEANS.replace("(far - near)))", "(far - near))) * np.nan"))
    words = ("--method-file", "means.py", "--arm", "means", "--folds", "2", "--seeds", "1")
    ended = bench("run", "--data-file", "d.csv", "--target", "y", "--positive", "1", *words)
    said = " ".join(ended.stderr.split())
    assert ended.returncode == 4
    assert "Scores must be finite" in said
    assert "--retry-failed" not in said
    assert ("A value of 'rate' lies" in said and "mend or drop that column" in said) == (largest > 100)


SPOILER = """
import numpy as np
from pydantic import BaseModel, ConfigDict

from bench.contract import Arm, Fitted

VERSION = 1
COST = 1000.0  # it trains before the others
ARMS = (Arm("spoiler", "spoiler", "changes whatever it is given"),)


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def space(trial):
    return {}


def fit(members, device, progress):
    return [_fit(member) for member in members]


def _fit(member):
    for part in (*member.pools, member.valid):
        part.X[:] = 0
        part.y[:] = 1 - part.y
        part.rows[:] = part.rows[::-1].copy()
    return Fitted(_predict)


def _predict(part):
    part.X[:] = 0
    return np.full(len(part.X), 0.25)
"""


def test_what_a_method_changes_in_its_rows_changes_no_other_arm(tmp_path: Path) -> None:
    file = written(tmp_path, "spoiler.py", SPOILER)
    asked: dict[str, Any] = {"rows": 600, "folds": 2, "seeds": 2}
    others = ["logistic-regression", "xgboost(rounds=20)"]
    package.run("loan-sim", arms=others, results=tmp_path / "alone", **asked)
    package.run(
        "loan-sim", arms=["spoiler", *others], method_file=file, results=tmp_path / "results", **asked
    )
    assert len(records(tmp_path, "spoiler")) == 4
    for record in Store(tmp_path / "alone").records("loan-sim"):
        beside = Store(tmp_path / "results").read("loan-sim", record.key)
        assert beside is not None
        assert (beside.test, beside.valid) == (record.test, record.valid)


def test_a_method_file_that_has_changed_is_run_anew_though_its_version_has_not(tmp_path: Path) -> None:
    file = written(tmp_path, "means.py", MEANS)
    asked: dict[str, Any] = {"rows": 600, "folds": 2, "seeds": 1, "results": tmp_path / "results"}
    package.run("loan-sim", arms=["means"], method_file=file, **asked)
    before = {record.key for record in records(tmp_path, "means")}
    package.run("loan-sim", arms=["means"], method_file=file, **asked)
    assert {record.key for record in records(tmp_path, "means")} == before
    written(tmp_path, "means.py", MEANS.replace("a sigmoid", "another sigmoid"))
    package.run("loan-sim", arms=["means"], method_file=file, **asked)
    assert len({record.key for record in records(tmp_path, "means")} - before) == 2


def test_settings_that_a_method_refuses_fail_their_trial_and_the_study_goes_on(
    bench: Script, tmp_path: Path
) -> None:
    raising = MEANS.replace(
        "def space(trial):", "def space(trial):\n    return _space(trial)\n\n\ndef _space(trial):"
    ).replace(
        '"steepness": trial.suggest_float("steepness", 0.1, 10.0, log=True)',
        '"steepness": -trial.suggest_float("steepness", 0.1, 10.0, log=True) % 1 - 0.5',
    )
    file = written(tmp_path, "means.py", raising)
    words = (
        "--arm",
        "means",
        "--arm",
        "logistic-regression",
        "--trials",
        6,
        "--inner-folds",
        2,
        "--workers",
        0,
    )
    ended = bench("study", *SMALL[:-2], "--method-file", file, *words, "--json")
    assert ended.returncode == 4  # some trials failed
    assert "cannot take: steepness: Input should be greater than 0" in ended.stderr
    states = [
        (trial.state, trial.error)
        for studied in TrialStore(tmp_path / "results").studies("loan-sim")
        for trial in studied.trials
        if studied.study.arm == "means"
    ]
    assert {COMPLETE, FAIL} <= {state for state, _ in states}
    assert all("steepness" in (error or "") for state, error in states if state == FAIL)


def test_words_that_a_record_cannot_hold_are_mended() -> None:
    words = Fitted(lambda part: part.X, device="half \ud800", engine="µ", selected={"a": 1})
    assert (words.device, words.engine) == ("half ?", "µ")


def test_a_method_that_prints_and_ends_the_process_in_a_worker_has_failed_records(
    bench: Script, tmp_path: Path
) -> None:
    text = MEANS.replace("(rows,) = member.pools", "print('at work')\n    raise SystemExit(0)")
    written(tmp_path, "means.py", text)
    words = ("--arm", "means", "--arm", "prevalence", "--method-file", "means.py", "--workers", "1", "--json")
    ended = bench("run", *SMALL, *words)
    assert ended.returncode == 4, ended.stderr
    assert json.loads(ended.stdout)
    assert {(record.status, (record.error or "")[:13]) for record in records(tmp_path, "means")} == {
        ("failed", "SystemExit: 0")
    }

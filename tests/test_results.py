"""What is committed under `results/published/`: small, complete, and every table what the committed records give."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from bench.arms.matrices import GRID, MATRICES
from bench.names import TUNED
from bench.report import leaderboard as boards
from bench.tuning.configurations import tuned_path, write_tuned
from bench.tuning.trials import TrialStore
from bench.workflows.tables import regenerate

RESULTS = Path(__file__).parent.parent / "results" / "published"
# Arms, and rows of the grid, that the next results will have.
TO_COME = ("balanced", "logistic-splines", "xgboost-default", "lightgbm", "random-forest")
COMMITTED = ("compact", "leaderboards", "tuned", "alpha/compact", "alpha/leaderboards")


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what is committed, without the records of whoever runs this."""
    copy = tmp_path_factory.mktemp("results")
    for name in COMMITTED:
        shutil.copytree(RESULTS / name, copy / name)
    shutil.copy(RESULTS / "README.md", copy / "README.md")
    return copy


def test_committed_results_are_small(committed: Path) -> None:
    assert sum(path.stat().st_size for path in committed.rglob("*") if path.is_file()) < 10_000_000


def test_committed_tables_are_what_the_committed_records_give(committed: Path) -> None:
    made = regenerate(committed, read_only=True)
    assert {path.name for board in made for path in board.texts} > {
        "README.md",
        "loan-sides.tex",
        "loan-ladder.md",
    }
    assert [str(path.relative_to(committed)) for board in made for path in board.stale()] == []
    known = {path for board in made for path in (board.path, *board.texts)}
    known |= {path.with_suffix(form) for board in made for path in board.figures for form in (".svg", ".png")}
    found = {path for path in committed.rglob("*") if path.parent.name == "leaderboards" and path.is_file()}
    assert found <= known, "a table that no record makes"


@pytest.mark.parametrize("name", ["loan", "credit-default", "german-credit", "loan-sim", "fraud-sim"])
def test_the_core_matrix_is_complete(committed: Path, name: str) -> None:
    board = boards.read(committed / "leaderboards" / f"{name}-strict.parquet").set_index("arm")
    simulated = name.endswith("-sim")
    wanted = [arm for arm in MATRICES["core"] if (simulated or arm != "bayes-optimal") and arm not in TO_COME]
    folds, seeds = 5, 1 if name == "fraud-sim" else 10
    assert (board.loc[wanted, "n_runs"] == folds * seeds).all()
    assert board["n_failed"].sum() == 0


@pytest.mark.parametrize("name", ["german-credit", "loan", "credit-default"])
def test_every_core_arm_was_tuned_alike(committed: Path, name: str) -> None:
    """Each arm that has settings: at least 50 trials on every fold, and runs of what they found."""
    ledger = pd.read_parquet(committed / "tuned" / f"{name}-ledger.parquet").set_index("arm")
    wanted = [arm for arm in MATRICES["core"] if arm not in ("prevalence", "bayes-optimal", *TO_COME)]
    assert (ledger.loc[wanted, "trials_least"] >= 50).all()
    assert (ledger.loc[wanted, "folds"] == 5).all()
    before = tuned_path(committed, name).read_text()
    write_tuned(TrialStore(committed), name)
    # Logistic regression and XGBoost have settings since that these studies did not know: their hashes are others.
    assert _without_hashes(tuned_path(committed, name).read_text()) == _without_hashes(before)
    board = boards.read(committed / "leaderboards" / f"{name}-strict.parquet").set_index("arm")
    assert (board.loc[[arm + TUNED for arm in wanted], "n_runs"] == 50).all()


def test_the_published_comparison_is_complete(committed: Path) -> None:
    board = boards.read(committed / "leaderboards" / "loan-published.parquet").set_index("arm")
    cells = [cell for cell in GRID if TO_COME[0] not in cell]
    assert (board.loc[[*MATRICES["published"], *cells], "n_runs"] == 10).all()


def _without_hashes(tuned: str) -> list[str]:
    return [line for line in tuned.splitlines() if not line.startswith("config_sha256")]

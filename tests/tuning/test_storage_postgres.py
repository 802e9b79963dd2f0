"""Studies on a real PostgreSQL, from the system's packages: `tox -e postgres`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from rich.console import Console

from bench.cli.progress import Lines
from bench.runs.request import Request
from bench.tuning.loop import tune
from bench.tuning.plan import plan_studies
from bench.tuning.search import Search
from bench.tuning.storage import open_storage
from tests.conftest import console_script, offline

pytestmark = pytest.mark.postgres
TRIALS = 12
REQUIRED = "BENCH_POSTGRES_REQUIRED"  # set, a missing server is a failure
USER = "postgres"


def program(name: str) -> str:
    """Return where a program of PostgreSQL lies; Debian keeps them out of the path."""
    found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    path = shutil.which(name) or (str(max(found)) if found else None)
    if path is None and os.environ.get(REQUIRED):
        pytest.fail(
            f"PostgreSQL's {name} is not installed, and {REQUIRED} is set (Debian: apt install postgresql)"
        )
    if path is None:
        pytest.skip(f"PostgreSQL's {name} is not installed (Debian: apt install postgresql)")
    return path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the URL of a database on a server of this module's own, on 127.0.0.1 and a free port."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed: tox -e postgres installs it")
    initdb, postgres = program("initdb"), program("postgres")
    as_user = {"user": USER} if os.getuid() == 0 else {}  # the server refuses root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    if as_user:
        shutil.chown(folder, USER)
    (made := folder / "password").write_text("s3cret")
    made.chmod(0o644)
    flags = [
        "-D",
        str(folder / "data"),
        "-U",
        "bench",
        "--auth=scram-sha-256",
        f"--pwfile={made}",
        "--no-sync",
    ]
    subprocess.run([initdb, *flags], check=True, capture_output=True, cwd=folder, **as_user)  # type: ignore[call-overload]
    settings = [
        "-p",
        str(port),
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        f"unix_socket_directories={folder}",
    ]
    server = subprocess.Popen(  # type: ignore[call-overload]
        [postgres, "-D", str(folder / "data"), *settings, "-F"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_user,
    )
    try:
        yield when_ready(f"postgresql+psycopg2://bench:s3cret@127.0.0.1:{port}/postgres")
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def when_ready(url: str) -> str:
    import sqlalchemy

    for _ in range(100):
        try:
            sqlalchemy.create_engine(url).connect().close()
            return url
        except sqlalchemy.exc.OperationalError:
            time.sleep(0.2)
    raise AssertionError("the server did not start within 20 s")


def words(url: str, folder: Path) -> list[str]:
    asked = ["--dataset", "loan-sim", "--rows", "600", "--folds", "2", "--inner-folds", "2", "--workers", "0"]
    arms = ["--arm", "logistic-regression", "--arm", "none(steps=40,evaluations=2)", "--trials", str(TRIALS)]
    where = ["--generation", "3", "--storage", url, "--results", str(folder)]
    return [console_script(), "study", *asked, *arms, *where]


def test_the_dashboard_opens_the_storage(url: str, tmp_path: Path) -> None:
    """The page's own list of studies, asked as its server would, from PostgreSQL and from a journal."""
    dashboard = pytest.importorskip(
        "optuna_dashboard", reason="no optuna-dashboard: tox -e postgres installs it"
    )
    for address in (url, None):
        folder = tmp_path / ("journal" if address is None else "database")
        request = Request(
            dataset="loan-sim", rows=600, folds=2, arms=("logistic-regression",), results=folder, workers=0
        )
        made = plan_studies(request, Search(trials=2, inner_folds=2, storage=address))
        tune(made, Lines(Console(quiet=True)))
        ask: dict[str, Any] = {"PATH_INFO": "/api/studies"}
        setup_testing_defaults(ask)
        storage = open_storage(address, folder / "studies" / "loan-sim.journal")
        told = json.loads(b"".join(dashboard.wsgi(storage)(ask, lambda *_: None)))
        names = {one["study_name"] for one in told["study_summaries"]}
        assert {job.study.name for job in made.jobs} < names


def test_processes_with_folders_of_their_own_share_the_trials_though_one_is_killed(
    url: str, tmp_path: Path
) -> None:
    """As on two machines: nothing is shared but the database; what the killed one had begun is done by the other."""
    folders = [tmp_path / name for name in "ab"]
    crowd = [
        subprocess.Popen(
            words(url, folder), env=offline(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for folder in folders
    ]
    for _ in range(600):
        if len(list(folders[0].rglob("trials/*/*/*.json"))) > 3:
            break
        time.sleep(0.1)
    assert crowd[0].poll() is None, "it had ended before it could be killed"
    os.kill(crowd[0].pid, signal.SIGKILL)
    crowd[0].communicate()
    out, told = crowd[1].communicate(timeout=300)
    assert crowd[1].returncode == 0, told
    assert "s3cret" not in out + told
    search = Search(trials=TRIALS, inner_folds=2, generation=3, storage=url)
    request = Request(
        dataset="loan-sim",
        rows=600,
        folds=2,
        arms=("logistic-regression", "none(steps=40,evaluations=2)"),
        results=folders[1],
        workers=0,
    )
    made = plan_studies(request, search)
    storage = open_storage(url, tmp_path / "unused")
    for job in made.jobs:
        assert len(made.store.read(job.study)) == TRIALS  # also those that the other process made
        trials = optuna.load_study(study_name=job.study.name, storage=storage).trials
        assert not [trial for trial in trials if trial.state == optuna.trial.TrialState.RUNNING]
    assert not any(
        "s3cret" in path.read_text(errors="ignore") for path in tmp_path.rglob("*") if path.is_file()
    )

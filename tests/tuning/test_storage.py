"""Storages of Optuna: the journal that mends itself, processes that are alive or gone, errors without passwords."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution

from bench.errors import BadStore
from bench.names import without_secrets
from bench.tuning import storage
from bench.tuning.storage import Presence, open_storage

SPACE = {"x": FloatDistribution(0, 1)}


def study_in(path: Path) -> optuna.Study:
    return optuna.create_study(
        storage=open_storage(None, path), study_name="s", load_if_exists=True, direction="maximize"
    )


@pytest.mark.parametrize("torn", [b'{"op_code": 4, "worker', b"worker\n", b"[1]\n"])
def test_a_torn_last_line_is_cut_off_and_the_rest_is_there(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.journal"
    study = study_in(path)
    for value in (1.0, 2.0):
        study.tell(study.ask(SPACE), value)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    again = study_in(path)
    assert path.read_bytes().startswith(whole)
    assert b"worker\n" not in path.read_bytes()
    assert [trial.value for trial in again.trials] == [1.0, 2.0]
    again.tell(again.ask(SPACE), 3.0)
    assert [trial.value for trial in study_in(path).trials] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("torn", [b'{"torn', b"garbage\n", b"\n", b"\0\0"])
def test_a_line_torn_while_others_write_is_cut_off_by_the_next(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.journal"
    study = study_in(path)
    with path.open("ab") as file:
        file.write(torn)
    study.tell(study.ask(SPACE), 1.0)
    assert [trial.value for trial in study_in(path).trials] == [1.0]


def test_a_journal_damaged_within_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    study = study_in(path)
    study.tell(study.ask(SPACE), 1.0)
    whole = path.read_bytes()
    for damaged in (whole.replace(b'"op_code"', b'"op', 1), b"garbage\n" + whole, b"[1]\n" + whole):
        path.write_bytes(damaged)
        with pytest.raises(BadStore, match=r"damaged.*Move it away.*filled again from their records"):
            open_storage(None, path)


def test_threads_of_one_process_share_a_journal(tmp_path: Path) -> None:
    """The sign of life is written beside the trials."""
    study = study_in(tmp_path / "a.journal")

    def tell() -> None:
        for _ in range(10):
            study.tell(study.ask(SPACE), 1.0)

    threads = [threading.Thread(target=tell) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(study_in(tmp_path / "a.journal").trials) == 30


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql+psycopg2://me:s3cret@127.0.0.1:1/x", "postgresql"),
        ("sqlite:////no/such/folder/x.db", "unable to open"),
        ("nonsense", "no SQLAlchemy URL"),
        ("me:s3cret@127.0.0.1/x", "no SQLAlchemy URL"),
        ("postgresql+psycopg2:/me:s3cret@127.0.0.1/x", "no SQLAlchemy URL"),
        ("postgresql+psycopg2://me:s3cret@s3cret@127.0.0.1/x", "write @ as %40"),
        ("postgresql+psycopg2://me:s3cret/x@s3cret@127.0.0.1/x", "write @ as %40"),
        ("postgresql+psycopg2://me@corp:s3cret@127.0.0.1:1/x", "write @ as %40"),
        ("postgresql+psycopg2://me/x:s3cret@127.0.0.1:1/x", "write @ as %40"),
        ("postgresql+psycopg2://me%40corp:s3cret@127.0.0.1:1/x", "cannot be used"),
        ("postgresql+psycopg2:///db?host=127.0.0.1:1&user=u&password=first@s3cret", "cannot be used"),
        ("postgresql+psycopg2://127.0.0.1:1/db?user=u&password=first@s3cret", "write @ as %40"),
        ("postgresql+psycopg2://127.0.0.1:1/db?user=u&password=first s3cret", "cannot be used"),
        ("postgresql+psycopg2:///?dsn=host%3D127.0.0.1%20port%3D1%20password%3Ds3cret", "cannot be used"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Du%3BPWD%3Ds3cret", "cannot be used"),
        ("sqlite+pysqlcipher://:fir st@s3cret@/x.db", "write @ as %40"),
        ("postgresql+psycopg2://me:s3cret 4@127.0.0.1:1/x", "cannot be used"),
        ("postgresql+psycopg2://127.0.0.1:1/x?sslpassword=s3cret", "cannot be used"),
        ("postgresql+psycopg2://127.0.0.1:1/x?user=me&PASSWORD=s3cret", "cannot be used"),
        ("mysql+nodriver://me:s3cret@localhost/x", "nodriver"),
    ],
)
def test_a_storage_that_cannot_be_used_is_told_without_its_password(
    tmp_path: Path, url: str, told: str
) -> None:
    with pytest.raises(BadStore, match=told) as caught:
        open_storage(url, tmp_path / "a.journal")
    assert "s3cret" not in str(caught.value)
    assert "--storage" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:a:b@c@host/x", "postgresql://***"),
        ("postgresql://me/x:a b\n@host/x", "postgresql://***"),
        ("mysql://host/x?SSL_Password=a b", "mysql://***"),
        ("--storage=postgresql:///?dsn=password%3Da", "--storage=postgresql://***"),
        ("cannot reach postgresql://me:a@host/x", "cannot reach postgresql://***"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("none(lr=0.1)", "none(lr=0.1)"),
    ],
)
def test_what_may_be_secret_is_left_out(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


def test_a_process_is_gone_once_it_says_so_or_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = open_storage(None, tmp_path / "a.journal")
    with Presence(shared) as me:
        with Presence(shared) as other:
            assert not me.gone(other.token)
            elsewhere = f"another-machine:1:{other.token[-8:]}"
            assert me.gone(elsewhere)
            shared.set_study_user_attr(me.board, elsewhere, time.time())
            assert not me.gone(elsewhere)
            monkeypatch.setattr(storage, "SILENCE_SECONDS", -1.0)
            assert me.gone(elsewhere)
            assert me.gone(other.token)
            monkeypatch.undo()
        assert me.gone(other.token)
        assert not me.gone(me.token)


def test_a_killed_process_is_gone_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom bench.tuning.storage import *\n"
        f"with Presence(open_storage(None, Path({str(path)!r}))) as me:\n"
        "    print(me.token, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        token = child.stdout.readline().strip()
        with Presence(open_storage(None, path)) as me:
            assert not me.gone(token)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            assert me.gone(token)

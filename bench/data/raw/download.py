"""One file over https, whole or not at all.

A download lands in a temporary file beside its target, is unpacked where it came as a zip, is hashed while it is
written, and takes the target's name only when it is what its source promises. What may pass (429, 5xx, a reset, a
timeout, a body cut short) is tried again, after the pause that the server asks for where it does; what will not pass
(401, 403, 404, a web page in the place of the file, another hash) is not. Nothing here prints an address's query
string, for that is where signatures travel.
"""

from __future__ import annotations

import contextlib
import email.utils
import http
import http.client
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from bench.data.cards import Source
from bench.data.raw.files import (
    CHUNK_BYTES,
    MAX_BYTES,
    Damaged,
    Fingerprint,
    is_zip,
    replacing_in_cache,
    unpack,
    verify,
    write,
)
from bench.errors import Unavailable

ATTEMPTS, QUICK_ATTEMPTS = 4, 2
BACKOFF_SECONDS = 0.5  # doubled with each attempt
LONGEST_WAIT_SECONDS = 60.0  # a server that asks for more is not waited for
TIMEOUT_SECONDS = (5.0, 30.0)  # to connect; between two bytes
PASSING = frozenset({408, 425, 429})  # and every 5xx

DownloadProgress = Callable[[str, int, int | None], None]
Answer = Callable[[], AbstractContextManager[requests.Response]]


class Unreachable(Unavailable):
    """No connection to the host, so that asking it otherwise is of no use."""


class _Again(Exception):
    """A fault that may pass: try again after `seconds` (None: the usual pause), `attempts` in all."""

    def __init__(self, fault: Unavailable, attempts: int = ATTEMPTS, seconds: float | None = None) -> None:
        super().__init__(str(fault))
        self.fault, self.attempts, self.seconds = fault, attempts, seconds


@dataclass(frozen=True)
class Endpoints:
    """Where requests go: the public addresses, https only.

    A test puts a local server in their place: `kaggle` is Kaggle's base address, `others` replaces
    scheme and host of every address a card gives. Only a base given here may be plain http.
    """

    kaggle: str = "https://www.kaggle.com"
    others: str | None = None

    @property
    def plain(self) -> tuple[str, ...]:
        """The bases given as plain http."""
        return tuple(f"{base}/" for base in (self.kaggle, self.others) if base and base.startswith("http:"))

    def allow(self, url: str) -> bool:
        """Say whether a request, or a redirect, may go to `url`."""
        return url.startswith(("https://", *self.plain))

    def address(self, url: str) -> str:
        """Return the address to ask for a card's `url`."""
        return (
            url if self.others is None else self.others + url.removeprefix("https://" + urlsplit(url).netloc)
        )


def without_query(url: str) -> str:
    """Return an address without its query, fragment and credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextlib.contextmanager
def get(url: str, endpoints: Endpoints) -> Iterator[requests.Response]:
    """Ask for `url` without credentials; redirects are followed to allowed addresses only."""
    with requests.Session() as session:
        session.adapters.clear()  # no adapter, no request: a redirect to plain http ends in InvalidSchema
        for base in ("https://", *endpoints.plain):
            session.mount(base, requests.adapters.HTTPAdapter())
        session.auth = lambda request: request  # without it, requests would look for a password in ~/.netrc
        session.headers.update({"User-Agent": "bench", "Accept-Encoding": "identity"})
        with session.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
            yield response


def download(
    source: Source,
    answer: Answer,
    target: Path,
    *,
    endpoints: Endpoints,
    progress: DownloadProgress | None = None,
) -> Fingerprint:
    """Save what `answer` gives as `target`, if it is what `source` promises.

    Parameters
    ----------
    source : Source
        The card's source: the file's name, its size and hashes where they are known.
    answer : callable
        Asks the server; returns a context manager of the response. Called once an attempt.
    target : Path
        Where the file goes; its folder exists. It is replaced at once or not touched.
    endpoints : Endpoints
        The addresses to which redirects may lead.
    progress : callable, optional
        Called with the file's name, bytes done and bytes in all (None where unknown).

    Raises
    ------
    Unavailable
        The source did not give the file; `Unreachable` where there was no connection.
    HashMismatch
        It gave another file.
    BadStore
        The file could not be written.
    """
    for attempt in itertools.count(1):
        try:
            return _attempt(source, answer, target, endpoints=endpoints, progress=progress)
        except _Again as again:
            if attempt >= again.attempts:
                raise type(again.fault)(f"{again} ({attempt} attempts)") from again
            pause = BACKOFF_SECONDS * 2 ** (attempt - 1)
            time.sleep(pause if again.seconds is None else again.seconds)
    raise AssertionError("unreachable: the loop ends by return or raise")


def _attempt(
    source: Source, answer: Answer, target: Path, *, endpoints: Endpoints, progress: DownloadProgress | None
) -> Fingerprint:
    try:
        with answer() as response:
            _check_answer(response, endpoints)
            return _receive(source, response, target, progress)
    except Damaged as fault:
        raise _Again(fault) from fault
    except requests.HTTPError as error:  # Kaggle's client raises where `get` returns
        if error.response is not None:
            with error.response:
                _check_answer(error.response, endpoints)
        raise Unavailable("the request failed") from error
    except requests.RequestException as error:
        raise _fault(error) from error


def _receive(
    source: Source, response: requests.Response, target: Path, progress: DownloadProgress | None
) -> Fingerprint:
    with replacing_in_cache(target) as temporary:
        content = write(_chunks(response, source.file, progress), temporary)
        if is_zip(temporary):
            content = unpack(temporary, source.file, source.size_bytes or MAX_BYTES)
        verify(content, source, temporary)
    return content


def _check_answer(response: requests.Response, endpoints: Endpoints) -> None:
    address, status = without_query(response.url), response.status_code
    if not all(endpoints.allow(step.url) for step in (*response.history, response)):
        raise Unavailable(f"{address} is not https, refused")
    if status == http.HTTPStatus.OK:
        return
    phrase = http.client.responses.get(status, "unknown status")
    fault = Unavailable(f"{address} answered {status} ({phrase})")
    if status < http.HTTPStatus.INTERNAL_SERVER_ERROR and status not in PASSING:
        raise fault
    seconds = _retry_after(response.headers.get("Retry-After"))
    if seconds is not None and seconds > LONGEST_WAIT_SECONDS:
        raise Unavailable(f"{fault} and asks to be left alone for {seconds:.0f} s")
    raise _Again(fault, seconds=seconds)


def _retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header, a number or a date, asks for."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    return None


def _fault(error: requests.RequestException) -> Exception:
    """Return what to raise for a failed request: `_Again` where the fault may pass.

    The error's own text stays out of it, for it would quote the whole address.
    """
    host = urlsplit(getattr(error.request, "url", None) or "").hostname or "the server"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return Unavailable(f"{host} redirects to an address that is not https, refused")
    if isinstance(error, requests.exceptions.SSLError):
        return Unreachable(f"{host} shows no trusted certificate")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unreachable(f"no connection to {host} within {TIMEOUT_SECONDS[0]:.0f} s")
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ProxyError):
        return _Again(Unreachable(f"no connection to {host}"), attempts=QUICK_ATTEMPTS)
    if isinstance(error, requests.Timeout) or isinstance(cause, urllib3.exceptions.ReadTimeoutError):
        return _Again(Unavailable(f"{host} fell silent"), attempts=QUICK_ATTEMPTS)
    if isinstance(error, requests.ConnectionError):
        return _Again(Unavailable(f"the connection to {host} broke"))
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return _Again(Unavailable(f"the body from {host} was cut short"))
    return Unavailable(f"the request to {host} failed ({type(error).__name__})")


def _chunks(response: requests.Response, name: str, progress: DownloadProgress | None) -> Iterator[bytes]:
    """Yield the body; refuse a web page, and a body shorter than announced."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() and "Content-Encoding" not in response.headers else None
    if "text/html" in response.headers.get("Content-Type", ""):
        raise _page(response)
    done = 0
    for chunk in _received(response):
        if done == 0 and chunk.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
            raise _page(response)
        done += len(chunk)
        if progress is not None:
            progress(name, done, total)
        yield chunk
    if done == 0 or (total is not None and done != total):
        sent = f"{done:,} of {total:,} bytes" if total else "an empty body"
        raise Damaged(f"{without_query(response.url)} sent {sent}")


def _received(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(CHUNK_BYTES)
    except requests.RequestException as error:
        raise _fault(error) from error


def _page(response: requests.Response) -> Unavailable:
    address = without_query(response.url)
    return Unavailable(
        f"{address} sent a web page, not the file: a sign-in page or a network's captive portal"
    )

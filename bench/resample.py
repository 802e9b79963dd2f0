"""Samplers: imbalanced-learn's, on a split's training rows only.

`SAMPLERS` maps a name to a factory; a sampler is `fit_resample(X, y)`, whoever wrote it. The
neighbours that the SMOTE family asks for are capped by the rows there are. A resampled set is named
by the hash of what made it (rows, labels, sampler, its settings, imbalanced-learn's version); a slow one is
kept on disk, so that it is made once per split and seed and shared by all arms and processes.
"""

from __future__ import annotations

import contextlib
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.encode import Part
from bench.errors import UnknownName
from bench.fetch import cache_folder
from bench.names import digest

KEEP_SECONDS = 1.0  # a set that took less is made again rather than kept on disk
KEEP_BYTES = 2 * 1024**3  # the oldest sets beyond this are removed
Factory = Callable[[int, int, int], Any]  # (seed, minority rows, rows) -> sampler


def _smote(seed: int, minority: int, rows: int) -> Any:
    """SMOTE: synthetic rows between minority neighbours (Chawla et al. 2002)."""
    from imblearn.over_sampling import SMOTE

    return SMOTE(k_neighbors=_neighbours(5, minority), random_state=seed)


def _borderline_smote(seed: int, minority: int, rows: int) -> Any:
    """Borderline-SMOTE: the same, from minority rows near the border (Han et al. 2005)."""
    from imblearn.over_sampling import BorderlineSMOTE

    return BorderlineSMOTE(
        k_neighbors=_neighbours(5, minority), m_neighbors=_neighbours(10, rows), random_state=seed
    )


def _adasyn(seed: int, minority: int, rows: int) -> Any:
    """ADASYN: more synthetic rows where the majority is near (He et al. 2008)."""
    from imblearn.over_sampling import ADASYN

    return ADASYN(n_neighbors=_neighbours(5, minority), random_state=seed)


def _random_over(seed: int, minority: int, rows: int) -> Any:
    """Minority rows copied at random."""
    from imblearn.over_sampling import RandomOverSampler

    return RandomOverSampler(random_state=seed)


def _random_under(seed: int, minority: int, rows: int) -> Any:
    """Majority rows left out at random."""
    from imblearn.under_sampling import RandomUnderSampler

    return RandomUnderSampler(random_state=seed)


def _neighbours(wanted: int, rows: int) -> int:
    return max(1, min(wanted, rows - 1))


SAMPLERS: Mapping[str, Factory] = {
    "smote": _smote,
    "borderline-smote": _borderline_smote,
    "adasyn": _adasyn,
    "random-over": _random_over,
    "random-under": _random_under,
}


def resample(part: Part, sampler: str | None, seed: int) -> Part:
    """Return `part` resampled by the named sampler; None returns it as it is.

    The rows that a sampler makes up, or copies, carry the row id -1 unless the sampler says which
    rows it took. Raises UnknownName, and lets the sampler's own error pass where it cannot work.
    """
    if sampler is None:
        return part
    if sampler not in SAMPLERS:
        raise UnknownName("sampler", sampler, SAMPLERS)
    chosen = _sampler(part, sampler, seed)
    settings = {key: str(value) for key, value in chosen.get_params().items()}
    rows = [digest(part.X.tobytes()), digest(part.labels.tobytes())]
    name = digest([*rows, sampler, settings, version("imbalanced-learn")])
    kept = cache_folder() / "resampled" / f"{name}.npz"
    try:
        return _read(kept)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # absent, or not whole: it is made again
    started = time.perf_counter()
    made = _fit_resample(part, chosen)
    if time.perf_counter() - started >= KEEP_SECONDS:
        _keep(kept, made)
    return made


def _sampler(part: Part, sampler: str, seed: int) -> Any:
    y = part.labels
    return SAMPLERS[sampler](seed % 2**32, int(min(y.sum(), len(y) - y.sum())), len(y))


def _fit_resample(part: Part, chosen: Any) -> Part:
    X, labels = chosen.fit_resample(part.X, part.labels)
    indices: NDArray[np.int64] | None = getattr(chosen, "sample_indices_", None)
    rows = np.full(len(labels), -1, dtype=np.int64) if indices is None else part.rows[indices]
    return Part(rows, np.ascontiguousarray(X, dtype=np.float32), labels.astype(np.int8))


def _read(path: Path) -> Part:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        return Part(kept["rows"], kept["X"], kept["y"])


def _keep(path: Path, part: Part) -> None:
    """Write atomically; a full disk only costs the copy. The oldest copies make room."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, rows=part.rows, X=part.X, y=part.labels)
        temporary.replace(path)
        others = sorted(path.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True)
        sizes = np.cumsum([p.stat().st_size for p in others])
        for old, total in zip(others, sizes, strict=True):
            if total > KEEP_BYTES and old != path:
                old.unlink(missing_ok=True)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()

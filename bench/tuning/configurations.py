"""Tuned configurations: the best trial of each arm on each fold, and the arm that it turns into.

They are made from the trials (`bench.tuning.trials`) each time they are asked for. `tuned/<dataset>.toml` shows them to
people. What is read from it is what the trials do not say: which of several studies of an arm on the same rows counts,
and the hash of a configuration as its study ran it, by which an edited file and changed defaults are noticed. A
configuration in the file whose trials are not there is taken as it is, so that the file can travel alone.

A configuration belongs to one fold: it was chosen on that fold's training rows, which a hash names. On other rows it is
refused, because some of them may now be test rows. `--tuned-anyway` takes it all the same, and the arm's name says so.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from math import fsum
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.arms.settings import configure
from bench.arms.spelling import marked
from bench.contract import Arm
from bench.data.split import Split
from bench.disk import write_text
from bench.errors import BadSetting, BadStore, BenchError
from bench.methods import ROLES
from bench.names import ANYWAY, TUNED, digest
from bench.runs.prepare import Prepared
from bench.runs.run import identity, plan
from bench.store.folder import published_beside
from bench.tuning.space import changeable, tunable
from bench.tuning.trials import (
    COMPLETE,
    FAIL,
    KEY_LENGTH,
    PRUNED,
    Studied,
    Target,
    TrialStore,
    effort,
    made_of,
)

_BARE = re.compile("[A-Za-z0-9_-]+")  # a key that TOML takes without quotes
_NO_HASH = ""  # fits no configuration: that of one which was edited in the file
HEAD = """# Tuned configurations: made by bench study, used by bench run --tuned.
# One table per arm and fold; `value` is the mean {metric} on the inner folds of that fold's training rows,
# `default` the same of the arm as it is.

"""


@dataclass(frozen=True)
class Tuned:
    """The best configuration of one arm on one fold's training rows, and what finding it took.

    `identity` is the arm's as it was tuned (`bench.runs.run.identity`); `settings` are those that differ from the
    method's defaults, and `config_sha256` is of them all and the samplers (`config_hash`); a sampler that is missing
    is none.
    """

    arm: str
    method: str
    version: int
    protocol: str
    repeat: int
    fold: int
    data_sha256: str
    split_sha256: str
    rows_sha256: str
    identity: str
    study: str
    search: str
    inner_folds: int
    seeds: int
    trials: int
    complete: int
    pruned: int
    failed: int
    seconds: float
    samples: int
    metric: str
    value: float
    config_sha256: str
    default: float | None = None
    sampler: str | None = None
    inner_sampler: str | None = None
    outer_sampler: str | None = None
    settings: Mapping[str, Any] | None = None

    @property
    def target(self) -> Target:
        """What it is for: protocol, arm, repeat, fold, and the hash of the training rows."""
        return self.protocol, self.arm, self.repeat, self.fold, self.rows_sha256

    @property
    def samplers(self) -> dict[str, str | None]:
        """The samplers by role."""
        return {role: getattr(self, role) for role in ROLES}

    @property
    def effort(self) -> str:
        """What every arm of a table should have had alike, in words."""
        return f"{self.trials} trials ({effort(self.search, self.inner_folds, self.seeds)})"

    def apply(self, arm: Arm, mark: str = TUNED) -> Arm:
        """Return the arm with this configuration, and a name that says so.

        Raises BadSetting where it is no longer the configuration that was tuned.
        """
        tuned = marked(_with(arm, self.settings or {}, self.samplers), mark)
        config, own, may = configure(tuned), configure(arm), changeable(arm)
        if other := [name for name in arm.settings if name in own.keys() - may and config[name] != own[name]]:
            raise BadSetting(
                f"The configuration of {self.arm} on fold {self.repeat}.{self.fold} sets {other[0]} to "
                f"{config[other[0]]!r}, which the arm sets to {own[other[0]]!r}: it was edited. bench study "
                "writes it anew."
            )
        if config_hash(config, self.samplers) != self.config_sha256:
            raise BadSetting(
                f"The configuration of {self.arm} on fold {self.repeat}.{self.fold} is not what its study ran: it was "
                "edited, or the method's defaults have changed. bench study writes it anew."
            )
        return tuned


def config_hash(config: Mapping[str, object], roles: Mapping[str, object]) -> str:
    """Return the short hash of all settings and the samplers of an arm; `roles` may hold more than samplers."""
    return digest([dict(config), [roles.get(role) for role in ROLES]])[:KEY_LENGTH]


def efforts(known: Iterable[Tuned], arms: Collection[str], splits: Collection[str]) -> list[str]:
    """Return in words what tuning these arms for these splits, by hash, took: one entry where all had alike."""
    return sorted({tuned.effort for tuned in known if tuned.arm in arms and tuned.split_sha256 in splits})


def tuned_path(results: Path, dataset: str) -> Path:
    """Return where a data set's tuned configurations are written."""
    return results / "tuned" / f"{dataset}.toml"


def has_own(results: Path, dataset: str) -> bool:
    """Return whether this folder, not what is published beside it, has configurations or studies of the data set."""
    return tuned_path(results, dataset).exists() or dataset in TrialStore(results).datasets()


def read_tuned(results: Path, dataset: str, rows: Collection[str] | None = None) -> list[Tuned]:
    """Return the tuned configurations of a data set; published ones where this folder has none.

    With `rows`, hashes of training rows, the published ones are of these alone. Raises BadStore for a file that
    cannot be read.
    """
    own, folder = _read(TrialStore(results), dataset), published_beside(results)
    known = {tuned.target for tuned in own}
    published = _read(TrialStore(folder), dataset) if folder else []
    return own + [
        tuned
        for tuned in published
        if tuned.target not in known and (rows is None or tuned.rows_sha256 in rows)
    ]


def tuned_for(ready: Prepared, *, anyway: bool) -> list[Tuned]:
    """Return the configurations that a request may run with; published ones of other rows only with `anyway`."""
    rows = None if anyway else {part.training_sha256 for part in ready.splits}
    return read_tuned(ready.store.root, ready.table.name, rows)


def write_tuned(store: TrialStore, dataset: str, asked: Collection[str] = ()) -> list[Tuned]:
    """Write the best configuration of every study of a data set, and all trials beside it; return the configurations.

    From now on the studies whose keys are `asked` count for their arms and rows. Raises BadStore where the folder
    cannot be written.
    """
    path = tuned_path(store.root, dataset)
    with _locked(path):
        chosen = _choose(store, dataset, _read_file(path), asked)
        if chosen:
            write_text(path, HEAD.format(metric=chosen[0].metric.replace("_", " ")) + _toml(chosen))
            store.write_compact(dataset)
    return chosen


def _read(store: TrialStore, dataset: str) -> list[Tuned]:
    """Return the configurations of this folder; raise BadStore for a file that cannot be read."""
    in_file = _read_file(tuned_path(store.root, dataset))
    by_target = {entry.target: entry for entry in in_file}
    return [_checked(tuned, by_target.get(tuned.target)) for tuned in _choose(store, dataset, in_file)]


def _checked(tuned: Tuned, in_file: Tuned | None) -> Tuned:
    """Return the configuration; where the file shows another of the same trials, without a hash: then it is refused."""
    if in_file is None or (in_file.study, in_file.trials) != (tuned.study, tuned.trials):
        return tuned
    shown, tried = ((entry.config_sha256, entry.settings or {}, entry.samplers) for entry in (in_file, tuned))
    return tuned if shown == tried else replace(tuned, config_sha256=_NO_HASH)


def _read_file(path: Path) -> list[Tuned]:
    """Return the configurations in the file, none where there is no file; raise BadStore for a bad one."""
    if not path.exists():
        return []
    try:
        return [made_of(Tuned, entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["tuned"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadStore(
            f"{path} cannot be read ({error}). Move it away: bench study makes it anew from its trials."
        ) from error


def _choose(
    store: TrialStore, dataset: str, in_file: Sequence[Tuned], asked: Collection[str] = ()
) -> list[Tuned]:
    """Return the configuration of every arm on the same rows: of the trials, else as it is in the file.

    Of several studies the one counts whose key is `asked`, else the one that the file names, else the one whose last
    trial ended last.
    """
    chosen = {entry.target: entry for entry in in_file}
    named = {entry.target: entry.study for entry in in_file}
    studies = store.studies(dataset)
    for studied in sorted(studies, key=lambda one: (one.study.key in asked, one.finished)):
        study = studied.study
        counts = study.key in asked or named.get(study.target) in (None, study.short_key)
        if counts and (tuned := _tuned(studied)) is not None:
            chosen[study.target] = tuned
    return [chosen[target] for target in sorted(chosen)]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file, so that no two processes write it at once."""
    lock = FileLock(path.parent / f".{path.stem}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise BadStore(f"{path.parent} cannot be written ({error.strerror or error}).") from error
    try:
        yield
    finally:
        lock.release()


def _tuned(studied: Studied) -> Tuned | None:
    """Return the configuration of the study's best trial; None where none is complete, or nothing can run it now."""
    study, best, default = studied.study, studied.best, studied.default
    if best is None or best.value is None:
        return None
    try:
        config = configure(_with(Arm(study.arm, study.method), best.settings, best.samplers))
    except BenchError:
        return None  # its method or sampler is not there, or takes this no more
    states = [trial.state for trial in studied.trials]
    shared: dict[str, Any] = {
        name: getattr(study, name) for name in {field.name for field in fields(Tuned)} & {*vars(study)}
    }
    return Tuned(
        **shared,
        **best.samplers,  # type: ignore[arg-type]  # fields by their names (`ROLES`)
        study=study.short_key,
        search=studied.search,
        trials=len(states),
        complete=states.count(COMPLETE),
        pruned=states.count(PRUNED),
        failed=states.count(FAIL),
        seconds=round(fsum(trial.seconds for trial in studied.trials), 1),
        samples=sum(trial.samples for trial in studied.trials),
        value=round(best.value, 6),
        config_sha256=config_hash(config, best.samplers),
        default=None if default is None or default.value is None else round(default.value, 6),
        settings=dict(best.settings),
    )


def _with(arm: Arm, settings: Mapping[str, object], samplers: Mapping[str, str | None]) -> Arm:
    """Return the arm with these settings alone; a sampler that is missing is none."""
    sampler, inner, outer = (samplers.get(role) for role in ROLES)
    return replace(arm, settings=dict(settings), sampler=sampler, inner_sampler=inner, outer_sampler=outer)


def _toml(entries: Sequence[Tuned]) -> str:
    return "\n".join("[[tuned]]\n" + _table(entry) for entry in entries)


def _table(entry: Tuned) -> str:
    pairs = [(field.name, getattr(entry, field.name)) for field in fields(entry)]
    return "".join(f"{name} = {_value(value)}\n" for name, value in pairs if value is not None)


def _value(value: object) -> str:
    """Return a value as TOML; strings, numbers and true are written as JSON writes them, and so are unusual keys."""
    if isinstance(value, Mapping):
        pairs = ((name if _BARE.fullmatch(name) else json.dumps(name), item) for name, item in value.items())
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def tuned_arms(
    ready: Prepared, known: Sequence[Tuned], *, anyway: bool = False
) -> tuple[dict[tuple[str, str], Arm], list[Arm], list[str]]:
    """Return the tuned arms, by the arm's name and the split's hash; the arms that some fold lacks; what to say.

    An arm that no study can tune is in none of them. Raises BadSetting where the configuration of a fold was chosen on
    other rows than the fold trains on, or for an arm that is another by now. With `anyway` the first is taken: then
    the arm is marked in all its folds, and a note says where each configuration comes from.
    """
    by_split: dict[tuple[str, str], Arm] = {}
    lacking, notes = [], []
    for arm in (arm for arm in ready.arms if tunable(arm)):
        candidates = [tuned for tuned in known if tuned.arm == arm.name]
        pairs = [(part, _chosen(arm, part, ready, candidates, anyway=anyway)) for part in ready.splits]
        present = [(part, tuned) for part, tuned in pairs if tuned is not None]
        elsewhere = [(part, tuned) for part, tuned in present if tuned.rows_sha256 != part.training_sha256]
        is_lacking = len(present) < len(pairs)
        mark = ANYWAY if is_lacking or elsewhere else TUNED
        by_split |= {(arm.name, part.sha256): tuned.apply(arm, mark) for part, tuned in present}
        if is_lacking:
            lacking.append(arm)
        if elsewhere:
            taken = [
                f"fold {part.repeat}.{part.fold} takes that of fold {tuned.repeat}.{tuned.fold} ({tuned.trials} trials)"
                for part, tuned in elsewhere
            ]
            notes.append(f"{arm.name}{ANYWAY}, tuned on other rows: {', '.join(taken)}")
    return by_split, lacking, notes


def _chosen(
    arm: Arm, part: Split, ready: Prepared, candidates: Sequence[Tuned], *, anyway: bool
) -> Tuned | None:
    """Return what is tuned for the split; None where nothing is for a fold of its number."""
    rows, place = (part.training_sha256, ready.table.sha256), (part.repeat, part.fold)
    same_rows = [tuned for tuned in candidates if (tuned.rows_sha256, tuned.data_sha256) == rows]
    pool = same_rows or [tuned for tuned in candidates if anyway or (tuned.repeat, tuned.fold) == place]
    if not pool:
        return None
    run = plan(ready.table, ready.protocol, [part], [arm], 1)[0]
    now = identity(run)  # there may also be configurations of the arm as it was before a change
    best = max(
        pool, key=lambda tuned: (tuned.identity == now, (tuned.repeat, tuned.fold) == place, tuned.trials)
    )
    if best.identity != now:
        raise BadSetting(
            f"{arm.name} is not the arm that was tuned: its own settings or samplers, its method (version "
            f"{best.version} then, {run.version} now), the protocol or what the card makes of the data have changed. "
            "bench study tunes it as it is now."
        )
    if same_rows or anyway:
        return best
    raise BadSetting(
        f"{arm.name} was tuned on other rows ({best.rows_sha256[:12]}) than fold {part.repeat}.{part.fold} trains on "
        f"({part.training_sha256[:12]}); some of them may be test rows here. Tune it on these rows with bench study "
        "and the same data, --folds and --repeats; or --tuned-anyway takes what is there, and marks the arm."
    )

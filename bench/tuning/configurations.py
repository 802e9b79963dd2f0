"""Tuned configurations: `tuned/<dataset>.toml`, made of the studies' trials, and the arms that it turns into.

A configuration belongs to one fold: it was chosen on that fold's training rows, which a hash names. On any other rows
it is refused, because among them may be some that now test; whoever wants it all the same says so, and the arm's
name says it too.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.arms.settings import configure
from bench.arms.spelling import marked
from bench.contract import Arm
from bench.data.split import Split
from bench.disk import write_text
from bench.errors import BadSetting, BadStore, UnknownName
from bench.names import ANYWAY, TUNED, digest
from bench.runs.prepare import Prepared
from bench.runs.run import identity, plan
from bench.store.folder import published_beside
from bench.tuning.space import ROLES, changeable, tunable
from bench.tuning.trials import COMPLETE, FAIL, PRUNED, Studied, TrialStore, effort, made_of

_BARE = re.compile("[A-Za-z0-9_-]+")  # a key that TOML takes without quotes
SHORT = 16  # characters of a hash that only tells whether something changed
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
    def place(self) -> tuple[str, str, int, int]:
        """What it is tuned for: protocol, arm, repeat, fold."""
        return self.protocol, self.arm, self.repeat, self.fold

    @property
    def effort(self) -> str:
        """What every arm of a table should have had alike, in words."""
        return f"{self.trials} trials ({effort(self.search, self.inner_folds, self.seeds)})"

    def of(self, arm: Arm, mark: str = TUNED) -> Arm:
        """Return the arm with this configuration, and a name that says so.

        Raises BadSetting where it is not the configuration any more that was tuned.
        """
        roles = {role: getattr(self, role) for role in ROLES}
        tuned = marked(replace(arm, settings=dict(self.settings or {}), **roles), mark)
        config, own, may = configure(tuned), configure(arm), changeable(arm)
        if other := [name for name in arm.settings if name in own.keys() - may and config[name] != own[name]]:
            raise BadSetting(
                f"The configuration of {self.arm} on fold {self.repeat}.{self.fold} sets {other[0]} to "
                f"{config[other[0]]!r}, which the arm sets to {own[other[0]]!r}: it was edited. bench study "
                "writes it anew."
            )
        if config_hash(config, roles) != self.config_sha256:
            raise BadSetting(
                f"The configuration of {self.arm} on fold {self.repeat}.{self.fold} is not what its study ran: it was "
                "edited, or the method's defaults have changed. bench study writes it anew."
            )
        return tuned


def config_hash(config: Mapping[str, Any], roles: Mapping[str, Any]) -> str:
    """Return the short hash of all settings and the samplers of an arm; `roles` may hold more than samplers."""
    return digest([dict(config), [roles.get(role) for role in ROLES]])[:SHORT]


def efforts(known: Iterable[Tuned], arms: Collection[str], splits: Collection[str]) -> list[str]:
    """Return in words what tuning these arms for these splits, by hash, took: one entry where all had alike."""
    return sorted({one.effort for one in known if one.arm in arms and one.split_sha256 in splits})


def tuned_path(results: Path, dataset: str) -> Path:
    """Return where a data set's tuned configurations lie."""
    return results / "tuned" / f"{dataset}.toml"


def read_tuned(results: Path, dataset: str, rows: Collection[str] | None = None) -> list[Tuned]:
    """Return the tuned configurations of a data set, the published ones for what this folder has none of.

    With `rows`, hashes of training rows, the published ones are of these alone. Raises BadStore for a file that
    cannot be read.
    """
    own, folder = _read_own(results, dataset), published_beside(results)
    known = {(*tuned.place, tuned.rows_sha256) for tuned in own}
    published = _read_own(folder, dataset) if folder else []
    return own + [
        tuned
        for tuned in published
        if (*tuned.place, tuned.rows_sha256) not in known and (rows is None or tuned.rows_sha256 in rows)
    ]


def tuned_for(ready: Prepared, *, anyway: bool) -> list[Tuned]:
    """Return the configurations that a request may run with; published ones of other rows only with `anyway`."""
    rows = None if anyway else {part.training_sha256 for part in ready.splits}
    return read_tuned(ready.store.root, ready.table.name, rows)


def _read_own(results: Path, dataset: str) -> list[Tuned]:
    """Return the configurations in this folder, none where there is no file; raise BadStore for a bad one."""
    path = tuned_path(results, dataset)
    if not path.exists():
        return []
    try:
        return [made_of(Tuned, entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["tuned"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadStore(
            f"{path} cannot be read ({error}). Move it away: bench study makes it anew from its trials."
        ) from error


def write_tuned(store: TrialStore, dataset: str, asked: Collection[str] = ()) -> list[Tuned]:
    """Write the best configuration of every study of a data set, and all trials beside it; return the configurations.

    Of an arm's studies on the same rows that one counts whose key is `asked`, else the one that the file has, else the
    one that went on last. A configuration without trials stays, and that of a study which nothing can run any more.
    Raises BadStore where the folder cannot be written.
    """
    path = tuned_path(store.root, dataset)
    with _locked(path):
        found = {(*one.place, one.rows_sha256): one for one in _read_own(store.root, dataset)}
        kept = {place: one.study for place, one in found.items()}
        studies = store.studies(dataset)
        for studied in sorted(studies, key=lambda one: (one.study.key in asked, one.finished)):
            study = studied.study
            place = (*study.place, study.rows_sha256)
            counts = study.key in asked or kept.get(place) in (None, study.key[:SHORT])
            if counts and (made := _tuned(studied)) is not None:
                found[place] = made
        chosen = [found[place] for place in sorted(found)]
        if chosen:
            write_text(path, HEAD.format(metric=chosen[0].metric.replace("_", " ")) + _toml(chosen))
            store.write_compact(dataset)
    return chosen


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
    study, best, default = studied.study, studied.best, studied.default
    if best is None or best.value is None:
        return None
    # Below, `samplers` are fields by their names (`ROLES`), which mypy cannot tell.
    arm = replace(Arm(study.arm, study.method, settings=best.settings), **best.samplers)  # type: ignore[arg-type]
    try:
        config = configure(arm)
    except (BadSetting, UnknownName):
        return None  # its method or sampler has changed since: nothing can run it any more
    states = [trial.state for trial in studied.trials]
    mine = {field.name for field in fields(Tuned)}
    return Tuned(
        **{name: value for name, value in asdict(study).items() if name in mine},
        **best.samplers,  # type: ignore[arg-type]
        study=study.key[:SHORT],
        search=studied.search,
        trials=len(states),
        complete=states.count(COMPLETE),
        pruned=states.count(PRUNED),
        failed=states.count(FAIL),
        seconds=round(sum(trial.seconds for trial in studied.trials), 1),
        samples=sum(trial.samples for trial in studied.trials),
        value=round(best.value, 6),
        config_sha256=config_hash(config, best.samplers),
        default=None if default is None or default.value is None else round(default.value, 6),
        settings=dict(best.settings),
    )


def _toml(entries: Sequence[Tuned]) -> str:
    return "\n".join("[[tuned]]\n" + _table(entry) for entry in entries)


def _table(entry: Tuned) -> str:
    pairs = [(field.name, getattr(entry, field.name)) for field in fields(entry)]
    return "".join(f"{name} = {_value(value)}\n" for name, value in pairs if value is not None)


def _value(value: Any) -> str:
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
    """Return the tuned arm by the arm's name and the split's hash; the arms that some fold has none of; what to say.

    An arm that no study can tune is in none of them. Raises BadSetting where the configuration of a fold was chosen on
    other rows than the fold trains on, or for an arm that is another by now; the first may be taken `anyway`, and then
    the arm is marked in all its folds, and where each configuration comes from is said.
    """
    found, missing, notes = {}, {}, []
    for arm in ready.arms:
        if not tunable(arm):
            continue
        mine = [one for one in known if one.arm == arm.name]
        chosen = {part.sha256: _chosen(arm, part, ready, mine, anyway=anyway) for part in ready.splits}
        own = all(
            one is not None and one.rows_sha256 == part.training_sha256
            for one, part in zip(chosen.values(), ready.splits, strict=True)
        )
        for sha256, one in chosen.items():
            if one is None:
                missing[arm.name] = arm
            else:
                found[arm.name, sha256] = one.of(arm, TUNED if own else ANYWAY)
        if not own:
            taken = [
                f"fold {part.repeat}.{part.fold} takes that of fold {one.repeat}.{one.fold} ({one.trials} trials)"
                for part in ready.splits
                if (one := chosen[part.sha256]) is not None and one.rows_sha256 != part.training_sha256
            ]
            if taken:
                notes.append(f"{arm.name}{ANYWAY}, tuned on other rows: {', '.join(taken)}")
    return found, [*missing.values()], notes


def _chosen(arm: Arm, part: Split, ready: Prepared, mine: Sequence[Tuned], *, anyway: bool) -> Tuned | None:
    """Return what is tuned for the split; None where nothing is for a fold of its number."""
    rows, place = (part.training_sha256, ready.table.sha256), (part.repeat, part.fold)
    here = [one for one in mine if (one.rows_sha256, one.data_sha256) == rows]
    pool = here or [one for one in mine if anyway or (one.repeat, one.fold) == place]
    if not pool:
        return None
    run = plan(ready.table, ready.protocol, [part], [arm], 1)[0]
    now = identity(run)  # the file may also hold what was tuned before the arm became what it is
    one = max(pool, key=lambda one: (one.identity == now, (one.repeat, one.fold) == place, one.trials))
    if one.identity != now:
        raise BadSetting(
            f"{arm.name} is not the arm that was tuned: its own settings or samplers, its method (version "
            f"{one.version} then, {run.version} now), the protocol or what the card makes of the data have changed. "
            "bench study tunes it as it is now."
        )
    if here or anyway:
        return one
    raise BadSetting(
        f"{arm.name} was tuned on other rows ({one.rows_sha256[:12]}) than fold {part.repeat}.{part.fold} trains on "
        f"({part.training_sha256[:12]}), among them perhaps some that test here. Tune on these with bench study and "
        "the same data, --folds and --repeats; or --tuned-anyway takes what is there, and marks the arm."
    )

"""The data in memory: features of known kinds, a label of zeros and ones, and what the card names besides.

`load` turns a card into a `Table`, from a simulator or from a raw file; `table_from_frame` is its pure part.
A table that cannot be judged is refused here, with all its faults of a kind in one message. Otherwise a fault would
become a warning in a scaler, an error in a sampler, or a wrong number in a leaderboard. Nothing is guessed in silence:
the user says which of two values is positive, unless the values say so themselves.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data import simulate
from bench.data.cards import Dataset, Source
from bench.data.features import features
from bench.data.frames import content_sha256, plain_frame
from bench.data.identifiers import Equality, equality
from bench.data.kinds import TimeColumn, amount_column, number_column, time_column
from bench.data.labels import label
from bench.data.numerals import Marks
from bench.data.raw import fetch
from bench.data.raw.readers import read_frame
from bench.data.roles import check_columns, made_of_dates
from bench.data.values import Numbers, marks_of
from bench.errors import BadSetting, BadTable
from bench.names import canonical, digest

DownloadProgress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, repr=False)
class Table:
    """One data set in memory, n rows and d features.

    Attributes
    ----------
    card : Dataset
        What the table is, with the names that its source uses.
    X : DataFrame, (n, d)
        Features only: float64 columns (NaN is missing) and columns of dtype category over sorted str.
    y : ndarray of int8, (n,)
        The label, 1 where positive.
    sha256 : str
        Of the raw file, of a frame's content, or of what the simulator was asked for.
    source : str
        The kind of the source that gave the file, or ``file``, ``frame`` or ``simulator``.
    time : ndarray of float64, (n,), or None
        The card's time column, no feature; dates as seconds since 1970.
    amount : ndarray of float64, (n,), or None
        The card's amount column, which is also a feature unless dropped.
    probability : ndarray of float64, (n,), or None
        Simulators only: the exact P(y = 1 | x).
    entity : ndarray of int64, (n,), or None
        A number for whom each row is of, by the card's entity column, no feature; a row without one is by itself.
    notes : tuple of str
        What reading did that its owner should know, a line each.
    label_values : tuple of two str or None
        The label's positive and negative value, as the file spells them; several negative ones in a line.
    """

    card: Dataset
    X: pd.DataFrame
    y: NDArray[np.int8]
    sha256: str
    source: str
    time: Numbers | None = None
    amount: Numbers | None = None
    probability: Numbers | None = None
    entity: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    label_values: tuple[str | None, str | None] = (None, None)

    def __repr__(self) -> str:
        percent = 100 * self.prevalence
        return (
            f"Table({self.name!r}, {self.n_rows:,} rows x {self.X.shape[1]} features ({len(self.numeric)} numeric, "
            f"{len(self.categorical)} categorical), {self.n_positives:,} positives "
            f"({f'{percent:.1f}' if percent >= 1 else f'{percent:.2g}'} %), source {self.source})"
        )

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.card.name

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return len(self.y)

    @property
    def n_positives(self) -> int:
        """The number of rows with label 1."""
        return int(self.y.sum())

    @property
    def prevalence(self) -> float:
        """The share of rows with label 1."""
        return self.n_positives / self.n_rows

    @property
    def row_columns(self) -> dict[str, Numbers]:
        """What there is of each row beside features and label, by name: float64, (n,)."""
        columns = {"amount": self.amount, "time": self.time, "probability": self.probability}
        return {name: values for name, values in columns.items() if values is not None}

    @cached_property
    def equality(self) -> Equality:
        """Which rows are equal, and which columns do not count for it."""
        return equality(self.X)

    def __getstate__(self) -> dict[str, object]:
        """Return what another process gets: not `equality`, which none asks for after the splits are made."""
        return {name: value for name, value in vars(self).items() if name != "equality"}

    @cached_property
    def recipe(self) -> str:
        """How the raw table became this one, as JSON: what the card says, how columns were read, the notes."""
        read = {"numbers": self.numeric, "categories": self.categorical, "notes": list(self.notes)}
        return canonical({**self.card.recipe, **read})

    @property
    def numeric(self) -> list[str]:
        """The names of the float64 features, in order."""
        return [str(name) for name in self.X if not isinstance(self.X[name].dtype, pd.CategoricalDtype)]

    @property
    def categorical(self) -> list[str]:
        """The names of the category features, in order."""
        return [str(name) for name in self.X if isinstance(self.X[name].dtype, pd.CategoricalDtype)]


def load(
    card: Dataset,
    *,
    data_file: Path | None = None,
    frame: object = None,
    source: str = "auto",
    rows: int | None = None,
    prevalence: float | None = None,
    progress: DownloadProgress | None = None,
) -> Table:
    """Return the table of a card.

    Parameters
    ----------
    card : Dataset
        The data set; a card with a simulator needs no network.
    data_file, frame : Path, DataFrame, optional
        The raw table: a file, held to the hashes of the card's sources where it has any, or in memory.
    source : str
        Where to fetch from: ``auto``, or one kind of the card's sources.
    rows : int, optional
        How many rows to simulate, if not the card's number.
    prevalence : float, optional
        The share of positives to simulate, if not the simulator's own.
    progress : callable, optional
        Called with a name, the bytes done, and the bytes in all where known.

    Raises
    ------
    BadSetting
        If `rows` or `prevalence` is given for real data, or `data_file` for a simulator.
    BadTable, UnknownName, Unavailable, HashMismatch
        If there is no table, or it is not the card's: see `table_from_frame`, `bench.data.raw.fetch`.
    """
    if card.simulator is not None:
        if data_file is not None:
            raise BadSetting(f"{card.name!r} is simulated and reads no file; leave out the file or the name.")
        return _simulated(card, rows, prevalence)
    _check_real(card, rows, prevalence)
    if frame is not None:
        plain = plain_frame(frame, unread=_unread(card), verbatim=(card.target,))
        return table_from_frame(plain, card, sha256=content_sha256(plain), source="frame")
    raw = (
        fetch.fetch(card, source=source, progress=progress)
        if data_file is None
        else fetch.local_file(data_file, card if card.sources else None)
    )
    card = _as_spelled(card, raw.origin)
    return table_from_frame(_read(raw.path, card), card, sha256=raw.sha256, source=raw.source)


def _read(path: Path, card: Dataset) -> pd.DataFrame:
    """Return a file as a frame, as its card says that it is read."""
    words = {"unread": _unread(card), "verbatim": (card.target,), "coded": _coded(card)}
    return read_frame(path, card.columns, card.reading, **words)


def _check_real(card: Dataset, rows: int | None, prevalence: float | None) -> None:
    """Raise BadSetting where real data are asked for what only simulated ones can have."""
    if rows is not None:
        raise BadSetting(
            f"{rows} rows were asked of {card.name!r}, but only simulated data can have any number."
        )
    if prevalence is not None:
        raise BadSetting(
            f"A prevalence of {prevalence:g} was asked of {card.name!r}, but only simulated data can have any. "
            "bench sweep thins the training rows of any table."
        )


def _unread(card: Dataset) -> list[str]:
    """Return the columns whose values nobody asks for: those dropped that have no other role."""
    return [name for name in card.drop if name not in (card.target, card.time, card.amount, card.entity)]


def _coded(card: Dataset) -> list[str]:
    """Return the columns of codes, of which 007 and 7 are two."""
    return [*card.categorical, *([] if card.entity is None else [card.entity])]


def _simulated(card: Dataset, rows: int | None, prevalence: float | None) -> Table:
    """Return a simulated table; with the card's own number of rows and prevalence, its counts are checked."""
    assert card.simulator is not None  # noqa: S101 - for the type checker
    seed = card.simulator.seed
    n_rows = card.simulator.rows if rows is None else rows
    simulated = simulate.simulate(card.name, n_rows, seed, prevalence)
    request = {"name": card.name, "version": simulate.VERSION, "rows": n_rows, "seed": seed}
    if prevalence is not None:
        request["prevalence"] = prevalence
    if n_rows != card.simulator.rows or prevalence is not None:
        card = card.model_copy(update={"expected": None})
    return table_from_frame(
        simulated.frame, card, sha256=digest(request), source="simulator", probability=simulated.probability
    )


def _as_spelled(card: Dataset, origin: Source | None) -> Dataset:
    """Return the card with the columns, target and positive value as a source spells them."""
    fields = ("columns", "target", "positive")
    spelled = {field: getattr(origin, field, None) for field in fields}
    return card.model_copy(update={field: value for field, value in spelled.items() if value is not None})


def table_from_frame(
    frame: pd.DataFrame,
    card: Dataset,
    *,
    sha256: str,
    source: str = "file",
    probability: Numbers | None = None,
) -> Table:
    """Return the table that a card makes of a raw frame.

    Target, time, entity and dropped columns are no features. A registered card may drop columns that a source lacks.

    Parameters
    ----------
    frame : DataFrame, (n, columns)
        The raw table, target included, as `bench.data.raw.readers.read_frame` returns it.
    card : Dataset
        The columns' roles, and the rows, columns and positives that are expected, if any are.
    sha256, source, probability
        As in `Table`.

    Raises
    ------
    UnknownName, BadTable
        If the card names a column that is not there;
        if rows, features, times or names are not as they must be, or what `label` or `features` refuses.
    """
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
    check_columns(frame, card)
    target = label(frame[card.target], card.positive, card.negative, card.unlabelled)
    _check_expected(frame, target.y, card)
    marks = marks_of(frame.drop(columns=list(card.drop), errors="ignore"), card.reading.decimal)
    frame, codes_left_out = _without_codes(frame.iloc[target.rows], card, marks)
    read = features(frame[_feature_names(frame, card)], card, marks)
    times = _times(frame, card, marks)
    notes = (*frame.attrs.get("notes", ()), *target.notes, *codes_left_out, *read.notes, *times.notes)
    _refuse_idle_format(card, {*read.date_formats, times.date_format})
    return Table(
        card=card,
        X=read.X,
        y=target.y,
        sha256=sha256,
        source=source,
        time=times.values,
        amount=_amounts(frame, card, marks),
        probability=None if probability is None else probability[target.rows],
        entity=_entities(frame, card),
        label_values=(target.positive, target.negative),
        notes=notes,
    )


def _feature_names(frame: pd.DataFrame, card: Dataset) -> list[str]:
    """Return the columns that are features; raise BadTable where there is none."""
    names = [str(name) for name in frame if name not in {card.target, card.time, card.entity, *card.drop}]
    if not names:
        raise BadTable(f"No feature is left beside the target {card.target!r}; drop fewer columns.")
    return names


def _without_codes(frame: pd.DataFrame, card: Dataset, marks: Marks) -> tuple[pd.DataFrame, list[str]]:
    """Return the frame with the numbers that the card calls missing as missing values, and a line for each column.

    Its index says where the rows are in the file, though some have been left out. Raises BadTable where a user's own
    column holds none of a number, or texts.
    """
    notes, changed = [], {}
    for name, codes in card.missing.items():
        shown = [f"{code:.15g}" for code in codes]
        typed = f"--missing {shlex.quote(name + '=' + ','.join(shown))}"
        values = number_column(frame[name], marks)
        if values is None:
            raise BadTable(
                f"{typed}: the column {name!r} holds texts; only numbers can stand for missing there."
            )
        absent = [] if card.sources else [f"{code:.15g}" for code in codes if not (values == code).any()]
        if absent:
            raise BadTable(f"{typed}: no row of {name!r} holds {absent[0]}; leave it out.")
        is_code = np.isin(values, codes)
        changed[name] = np.where(is_code, np.nan, values)
        stand = "stands" if len(codes) == 1 else "stand"
        notes.append(
            f"{name!r}: {' and '.join(shown)} {stand} for a missing value in {is_code.sum():,} rows, as declared"
        )
    return frame.assign(**changed), notes


def _entities(frame: pd.DataFrame, card: Dataset) -> NDArray[np.int64] | None:
    """Return a number for whom each row is of, (n,); a row where that is missing has one of its own."""
    if card.entity is None:
        return None
    codes = pd.factorize(frame[card.entity])[0].astype(np.int64)
    unknown = np.flatnonzero(codes < 0)
    codes[unknown] = codes.max(initial=-1) + 1 + np.arange(len(unknown))
    return codes


def _check_expected(frame: pd.DataFrame, y: NDArray[np.int8], card: Dataset) -> None:
    """Raise BadTable, naming each difference, unless the counts are those that the card expects."""
    if card.expected is None:
        return
    # An index that one source has and another leaves out.
    absent = len(set(card.drop) - set(frame.columns) - made_of_dates(frame, card))
    counts = {"rows": len(y), "columns": len(frame.columns) + absent, "positives": int(y.sum())}
    faults = [
        f"{count:,} {word} where {expected:,} are expected"
        for word, count in counts.items()
        if count != (expected := getattr(card.expected, word))
    ]
    if faults:
        raise BadTable(
            f"The file is not the {card.name!r} of its card: {'; '.join(faults)}. Fetch it again, or give "
            "your own table with --data-file and --target."
        )


def _refuse_idle_format(card: Dataset, read: Collection[str]) -> None:
    """Raise BadSetting where no column has dates of the format that is declared."""
    if card.date_format is not None and card.date_format not in read:
        raise BadSetting(
            f"--date-format {shlex.quote(card.date_format)}: no column is read as dates of this format; leave it "
            "out, or give the format of a column of dates, such as %Y-%m-%d for 2015-12-31 or %d/%m/%Y for 31/12/2015."
        )


def _times(frame: pd.DataFrame, card: Dataset, marks: Marks) -> TimeColumn:
    """Return the card's time column, if it has one; raise BadTable with a row that has no time."""
    if card.time is None:
        return TimeColumn(None)
    times = time_column(frame[card.time], card, marks)
    lacking = np.flatnonzero(~np.isfinite([] if times.values is None else times.values))
    if len(lacking):
        value = frame[card.time].iloc[lacking[0]]
        said = "" if pd.isna(value) else f", such as {str(value)!r}"
        raise BadTable(
            f"The time column {card.time!r} has no finite time in {len(lacking):,} rows{said} (row "
            f"{frame.index[lacking[0]] + 1:,} of the data); mend or remove them."
        )
    return times


def _amounts(frame: pd.DataFrame, card: Dataset, marks: Marks) -> Numbers | None:
    """Return the amount column as float64, NaN where missing, if the card has one."""
    if card.amount is None:
        return None
    return amount_column(frame[card.amount], marks)

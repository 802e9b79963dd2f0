"""Times, clock times and durations, in texts or in types of their own, as seconds.

A column is dates where all its different texts are written in one format of `DATE_FORMATS`. Where days and months could
change places, the values decide; where they do not, the user must. Times that stand for a missing one, such as
9999-12-31, are missing. Years run from 1 to 9999, beyond what nanoseconds reach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.dateformats import DATE_FORMATS, DURATION, ISO_DURATION, MONTHS, clock, offset_of, pattern_of
from bench.data.numerals import is_missing_word

PARTS = ("seconds", "day of week", "month", "hour")  # the numbers that a date becomes
_SENTINELS = ("0000-00-00", "0000-00-00 00:00:00")
_DEFAULTS = ("1753-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01", "1970-01-01", "2099-12-31",
    "2100-01-01", "2100-12-31", "2199-12-31", "2222-02-22")  # fmt: skip
DAY = 86400  # seconds
_FAR = 20 * 365  # days to the next other date
_YEARS = (1678, 2262)  # what nanoseconds reach: years outside stand for a missing date
_SAMPLE = 100  # texts on which formats are tried first
_CLOCK_FORMAT = "clock times"
_DURATION_FORMAT = "durations"


@dataclass(frozen=True)
class Times:
    """Different texts or dates, (n,): `seconds` since 1970 (UTC), of the day, or of the duration; NaN where missing.

    `local` (n,) datetime64 is the time on the clock there, None for clock times and durations. `precise` has the parts
    that the format knows, of ``day of week``, ``month``, ``hour``. `sentinels` are the texts that stand for a missing
    date. `rivals` are the formats, if more than one, in which all can be read with other values. `zones` are time zones
    that no offset is known of: what has some is not to be used.
    """

    seconds: NDArray[np.float64]
    local: NDArray[np.datetime64] | None
    format: str
    precise: tuple[str, ...] = ()
    sentinels: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()

    @property
    def days(self) -> NDArray[np.float64] | None:
        """Durations in days, (n,), where all are whole ones; else None."""
        days = self.seconds / DAY
        is_whole = self.format == _DURATION_FORMAT and not (days[~np.isnan(days)] % 1).any()
        return days if is_whole else None


class NearlyDates(NamedTuple):
    """Texts of which most are dates of one format; the places of the others."""

    format: str
    strays: list[int]


class _Read(NamedTuple):
    seconds: NDArray[np.float64]
    local: NDArray[np.datetime64]
    valid: NDArray[np.bool_]
    zones: tuple[str, ...] = ()


def dates_of_texts(texts: Sequence[str], declared: str | None = None) -> Times | NearlyDates | None:
    """Return different texts, (n,), as dates, clock times or durations; None where they are none.

    `declared` is a format as of `datetime.strptime`; it counts where all texts are written so.
    """
    if not _may_be_dates(texts, declared):
        return None
    words = np.array([_is_missing(text) for text in texts], dtype=bool)
    usual = [text for text, word in zip(texts, words, strict=True) if not word]
    if not any(character.isdigit() for character in usual[0]):
        return _nearly(texts, words)
    durations = _durations(usual)
    if durations is not None:
        return _spread(durations, words, texts)
    if declared is not None:
        as_declared = _read(declared, usual)
        if as_declared is not None and as_declared.valid.all():
            return _spread(_as_dates(declared, as_declared, usual), words, texts)
    for group in DATE_FORMATS:
        likely = [form for form in group if _fits(form, usual[:: 1 + len(usual) // _SAMPLE])]
        readings = {form: dates for form in likely if (dates := _read(form, usual)) is not None}
        fits = {form: readings[form] for form in readings if readings[form].valid.all()}
        if fits:
            form, read = next(iter(fits.items()))
            dated = _as_dates(form, read, usual)
            differ = any(not np.array_equal(read.seconds, other.seconds) for other in fits.values())
            return _spread(replace(dated, rivals=tuple(fits) if differ else ()), words, texts)
    return _nearly(texts, words)


def _is_missing(text: str) -> bool:
    return is_missing_word(text) or text in _SENTINELS


def _may_be_dates(texts: Sequence[str], declared: str | None) -> bool:
    """Tell whether more than half of the first texts are written as dates, so that all have to be looked at."""
    sample = list(islice((text for text in texts if not _is_missing(text)), _SAMPLE))
    patterns = [*_patterns().values(), DURATION, ISO_DURATION, pattern_of(declared or "%Y-%m-%d")]
    return any(2 * sum(map(bool, map(pattern.fullmatch, sample))) > len(sample) for pattern in patterns)


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Return the patterns of all formats, and that of clock times."""
    return {form: pattern_of(form) for group in DATE_FORMATS for form in group} | {_CLOCK_FORMAT: clock()}


def dates_of_type(column: pd.Series[pd.Timestamp]) -> Times:
    """Return a column of a type of dates or durations, (n,)."""
    missing = column.isna().to_numpy()
    if column.dtype.kind == "m":
        return Times(np.where(missing, np.nan, _in_seconds(column.to_numpy())), None, _DURATION_FORMAT)
    has_zone = isinstance(column.dtype, pd.DatetimeTZDtype)
    universal = column.dt.tz_convert("UTC").dt.tz_localize(None) if has_zone else column
    local = (column.dt.tz_localize(None) if has_zone else column).to_numpy()
    seconds = np.where(missing, np.nan, _in_seconds(universal.to_numpy()))
    dates = Times(seconds, local, "%Y-%m-%d", ("day of week", "month", "hour"))
    return _without_sentinels(dates, [str(value)[:10] for value in local], ~missing)


def parts(dates: Times) -> dict[str, NDArray[np.float64]]:
    """Return dates as numbers by name: seconds, and of what varies day of week (0 is Monday), month, hour."""
    columns = {"seconds": dates.seconds}
    if dates.local is not None:
        missing = np.isnan(dates.seconds)
        days = dates.local.astype("datetime64[D]")
        numbers = {
            "day of week": (days.astype(np.int64) - 4) % 7,  # 1970-01-05 was a Monday
            "month": dates.local.astype("datetime64[M]").astype(np.int64) % 12 + 1,
            "hour": (dates.local.astype("datetime64[h]") - days).astype(np.int64),
        }
        for name in dates.precise:
            values = np.where(missing, np.nan, numbers[name].astype(np.float64))
            if len(np.unique(values[~missing])) > 1:
                columns[name] = values
    return columns


def far_off(dates: Times) -> list[str]:
    """Return the days that programs write for an unknown one, where they lie far from all other days."""
    if dates.local is None:
        return []
    days = np.unique(dates.local[~np.isnan(dates.seconds)].astype("datetime64[D]"))
    if len(days) < 3:
        return []
    ends = ((days[0], days[1] - days[0]), (days[-1], days[-1] - days[-2]))
    return [str(day) for day, gap in ends if str(day) in _DEFAULTS and gap > np.timedelta64(_FAR, "D")]


def dates_of_numbers(values: NDArray[np.float64], form: str) -> Times | None:
    """Return whole numbers such as 20150131, (n,), as dates of a format; None where one is no date from 1900 to 2100.

    The format has nothing but parts of a fixed width: a year of four digits, a month, and more.
    """
    codes = form.split("%")
    width = sum(4 if code == "Y" else 2 for code in codes[1:])
    if (
        codes[0]
        or not {"Y", "m"} <= set(codes) <= {"", *"YmdHMS"}
        or (values % 1).any()
        or (values < 0).any()
    ):
        return None
    texts = [str(int(value)).zfill(width) for value in values]
    read = _read(form, texts)
    if read is None or not read.valid.all():
        return None
    years = read.local.astype("datetime64[Y]").astype(np.int64) + 1970
    return _as_dates(form, read, texts) if ((years >= 1900) & (years <= 2100)).all() else None


def format_of_numbers(values: NDArray[np.float64]) -> str | None:
    """Return the format in which whole numbers may be dates, such as 20150131; None where they are none."""
    known = values[np.isfinite(values)]
    if not len(known) or not 190001 <= known[0] <= 21001231:
        return None
    distinct = np.unique(known)
    likely = ("%Y%m%d", "%Y%m") if len(distinct) > 2 else ()
    return next((form for form in likely if dates_of_numbers(distinct, form) is not None), None)


def _as_dates(form: str, read: _Read, texts: Sequence[str]) -> Times:
    """Return what was read in a format, its sentinels missing."""
    known = [("day of week", "%d" in form or "%u" in form), ("month", "%W" not in form), ("hour", True)]
    precise = tuple(name for name, is_known in known if is_known)
    dates = Times(read.seconds, read.local, form, precise, zones=read.zones)
    return dates if "%y" in form or "%Y" not in form else _without_sentinels(dates, texts, read.valid)


def _without_sentinels(dates: Times, texts: Sequence[str], valid: NDArray[np.bool_]) -> Times:
    """Return dates with those missing whose year is out of reach, which are named."""
    assert dates.local is not None  # noqa: S101  (for mypy; clock times have no years)
    years = dates.local.astype("datetime64[Y]").astype(np.int64) + 1970
    beyond = valid & ((years < _YEARS[0]) | (years >= _YEARS[1]))
    named = tuple(dict.fromkeys(texts[place] for place in np.flatnonzero(beyond).tolist()))
    seconds = np.where(beyond, np.nan, dates.seconds)
    return replace(dates, seconds=seconds, sentinels=named)


def _spread(dates: Times, words: NDArray[np.bool_], texts: Sequence[str]) -> Times:
    """Return dates among words of missing, in their places."""
    seconds = np.full(len(words), np.nan)
    seconds[~words] = dates.seconds
    local = None
    if dates.local is not None:
        local = np.full(len(words), np.datetime64("NaT", "us"))
        local[~words] = dates.local
    sentinels = (*dates.sentinels, *(text for text in texts if text in _SENTINELS))
    return replace(dates, seconds=seconds, local=local, sentinels=sentinels)


def _nearly(texts: Sequence[str], words: NDArray[np.bool_]) -> NearlyDates | None:
    """Return the format of most texts, with the places of the others; None where no format fits most."""
    sample = [text for text, word in zip(texts, words, strict=True) if not word][:_SAMPLE]
    counts = {form: sum(map(bool, map(pattern.fullmatch, sample))) for form, pattern in _patterns().items()}
    best = max(counts, key=lambda form: counts[form])
    if counts[best] <= len(sample) / 2:
        return None
    matches = [_patterns()[best].fullmatch(text) for text in texts]
    fits = np.array([match is not None for match in matches])
    if best != _CLOCK_FORMAT:
        fits[fits] = _dates([match for match in matches if match]).valid
    return NearlyDates(best, np.flatnonzero(~(fits | words)).tolist())


def _durations(texts: Sequence[str]) -> Times | None:
    """Return clock times or durations, None where some text is neither."""
    for pattern, name in (
        (clock(), _CLOCK_FORMAT),
        (DURATION, _DURATION_FORMAT),
        (ISO_DURATION, _DURATION_FORMAT),
    ):
        matches = _all_match(pattern, texts)
        if matches is not None:
            fields = _Fields(matches)
            if pattern is DURATION and not any(fields.texts("H")):
                return None  # 36 days: numbers with a unit
            seconds = _of_day(fields)
            zones = _unfit_for_clocks(sorted(set(fields.texts("z"))))
            return None if np.isnan(seconds).any() else Times(seconds, None, name, zones=zones)
    return None


def _unfit_for_clocks(zones: Sequence[str]) -> tuple[str, ...]:
    """Return the zones of clock times, where they are several, or one whose offset hangs on the day."""
    offsets = {offset_of(zone) for zone in zones}
    return tuple(filter(None, zones)) if len(offsets) > 1 or None in offsets else ()


class _Fields:
    """What the named groups of matches, all of one pattern, hold."""

    def __init__(self, matches: Sequence[re.Match[str]]) -> None:
        self.n = len(matches)
        columns = list(zip(*(match.groups("") for match in matches), strict=True))
        self.columns = {name: columns[place - 1] for name, place in matches[0].re.groupindex.items()}

    def texts(self, name: str) -> Sequence[str]:
        """Return what each match holds of a group, nothing where it has none."""
        return self.columns.get(name, ("",) * self.n)

    def numbers(self, name: str, default: int = 0) -> NDArray[np.float64]:
        """Return the group's numbers, the default where there is none."""
        if name not in self.columns:
            return np.full(self.n, float(default))
        return np.array([text or default for text in self.columns[name]], dtype=np.float64)

    def looked_up(self, name: str, values: Mapping[str, int]) -> NDArray[np.float64]:
        """Return the group's words as the numbers that they stand for."""
        return np.array([values[text] for text in self.texts(name)], dtype=np.float64)


def _of_day(fields: _Fields) -> NDArray[np.float64]:
    """Return the seconds of clock times or durations; NaN for an hour or a minute that no clock has."""
    hours, minutes, seconds = (fields.numbers(name) for name in "HMS")
    halves = np.array(
        [f"{p}{p2}"[:1].lower() for p, p2 in zip(fields.texts("p"), fields.texts("p2"), strict=True)]
    )
    has_half = halves != ""
    wrong = has_half & ((hours < 1) | (hours > 12))
    if "P" not in fields.columns:
        wrong |= (minutes > 59) | (seconds > 60)
    hours = np.where(has_half, hours % 12 + np.where(halves == "p", 12, 0), hours)
    fraction = np.array([float(f"0.{text}") if text else 0.0 for text in fields.texts("f")])
    whole = DAY * fields.numbers("D") + 3600 * hours + 60 * minutes + seconds + fraction
    signs = np.array([-1.0 if text else 1.0 for text in fields.texts("n")])
    return np.where(wrong, np.nan, signs * whole)


def _all_match(pattern: re.Pattern[str], texts: Sequence[str]) -> list[re.Match[str]] | None:
    """Return the matches of all texts; None where one does not match."""
    if not all(map(pattern.fullmatch, texts[:_SAMPLE])):
        return None
    matches = [match for text in texts if (match := pattern.fullmatch(text))]
    return matches if len(matches) == len(texts) else None


def _fits(form: str, texts: Sequence[str]) -> bool:
    """Tell whether all texts are dates of a format."""
    read = _read(form, texts)
    return read is not None and bool(read.valid.all())


def _read(form: str, texts: Sequence[str]) -> _Read | None:
    """Return texts as dates; None where one is not written in the format."""
    matches = _all_match(pattern_of(form), texts)
    return None if matches is None else _dates(matches)


def _dates(matches: Sequence[re.Match[str]]) -> _Read:
    """Return matches of a format as dates; not valid where there is no such day or time."""
    fields = _Fields(matches)
    years = fields.numbers("Y", 1970)
    if "y" in fields.columns:
        short = fields.numbers("y")
        years = short + np.where(short >= 69, 1900, 2000)  # as POSIX has it
    months = fields.numbers("m", 1)
    if "b" in fields.columns:
        months = fields.looked_up("b", {name: MONTHS[name.lower()] for name in set(fields.texts("b"))})
    elif "q" in fields.columns:
        months = 3 * fields.numbers("q") - 2
    days = fields.numbers("d", 1)
    in_month = ((years - 1970) * 12 + np.clip(months, 1, 12) - 1).astype(np.int64)
    date = in_month.astype("datetime64[M]").astype("datetime64[D]") + (days - 1).astype(np.int64)
    valid = (
        (months >= 1)
        & (months <= 12)
        & (years >= 1)
        & (date.astype("datetime64[M]").astype(np.int64) == in_month)
    )
    if "W" in fields.columns:
        date = _first_monday(years) + (7 * fields.numbers("W") + fields.numbers("u", 1) - 8).astype(np.int64)
    seconds = _of_day(fields)
    valid &= seconds <= 86400
    seconds = np.where(valid, seconds, 0)
    local = date.astype("datetime64[us]") + (seconds * 1e6).round().astype("timedelta64[us]")
    offsets, zones = _offsets(fields, local)
    valid &= ~np.isnan(offsets)
    whole = date.astype(np.int64) * float(DAY) + seconds - offsets
    local = np.where(valid, local, np.datetime64("NaT", "us"))
    return _Read(np.where(valid, whole, np.nan), local, valid, zones)


def _offsets(fields: _Fields, local: NDArray[np.datetime64]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return seconds before UTC, (n,), NaN where clocks leap over that time; and the zones that are not known.

    Of an hour that comes twice, where summer time ends, it is the first.
    """
    zones = np.array(
        [a or b for a, b in zip(fields.texts("z"), fields.texts("z2"), strict=True)], dtype=object
    )
    offsets, unknown = np.zeros(len(zones)), []
    for zone in sorted(set(zones)):
        rows, offset = zones == zone, offset_of(zone)
        if offset is not None:
            offsets[rows] = offset
            continue
        try:
            known = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # the last for a folder of zones
            unknown.append(zone)
            continue
        there = pd.DatetimeIndex(local[rows])
        universal = there.tz_localize(known, ambiguous=np.ones(len(there), bool), nonexistent="NaT")
        offsets[rows] = (there - universal.tz_convert(None)).total_seconds()
    return offsets, tuple(unknown)


def _first_monday(years: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Return the Monday of each year's first ISO week, in which the 4th of January is."""
    starts = (years - 1970).astype(np.int64).astype("datetime64[Y]").astype("datetime64[D]")
    fourth = starts.astype(np.int64) + 3
    return (fourth - (fourth - 4) % 7).astype("datetime64[D]")


def _in_seconds(values: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return dates since 1970, or durations, in seconds."""
    unit, count = np.datetime_data(values.dtype)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return values.astype(np.int64) * count / per_second

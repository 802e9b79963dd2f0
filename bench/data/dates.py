"""Dates, clock times and durations, in texts or in types of their own, as seconds.

A column is dates where all its different texts are written in one format of `FORMATS`. Where days and months could
change places, the values decide; where they do not, the user must. Dates that stand for a missing one, such as
9999-12-31, are missing. Years run from 1 to 9999, beyond what nanoseconds reach.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.numerals import is_missing_word
from bench.errors import BadSetting

# In order of preference; those of one group are rivals, between which values or the user decide. A time of day and a
# zone may follow each.
FORMATS: tuple[tuple[str, ...], ...] = (
    *((f"%Y{mark}%m{mark}%d",) for mark in "-/."),
    *((f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%Y") for mark in "-/"),
    *((f"%d{mark}%m{mark}%y", f"%m{mark}%d{mark}%y", f"%y{mark}%m{mark}%d") for mark in "-/"),
    ("%d.%m.%Y",),
    ("%d.%m.%y",),
    *(
        (form,)
        for form in ("%d-%b-%Y", "%d/%b/%Y", "%d.%b.%Y", "%d. %b %Y", "%d %b %Y", "%d %b, %Y", "%d%b%Y")
    ),
    *(
        (form,)
        for form in ("%d-%b-%y", "%d/%b/%y", "%d %b %y", "%d%b%y", "%b %d, %Y", "%b %d %Y", "%b-%d-%Y")
    ),
    *((form,) for form in ("%Y-%b-%d", "%Y/%b/%d", "%Y %b %d", "%Y%b%d", "%b %d, %y")),
    *((form,) for form in ("%b-%Y", "%b/%Y", "%b %Y", "%b, %Y", "%b%Y", "%Y-%b", "%Y %b", "%Y%b")),
    *((form,) for form in ("%b-%y", "%b/%y", "%b %y", "%b'%y", "%b%y")),
    *(
        (form,)
        for form in (
            "%Y-%m",
            "%Y/%m",
            "%YM%m",
            "%m/%Y",
            "%m-%Y",
            "%YQ%q",
            "%Y-Q%q",
            "%Y Q%q",
            "Q%q %Y",
            "Q%q-%Y",
        )
    ),
    *((form,) for form in ("Q%q/%Y", "%qQ%Y", "%qQ%y", "Q%q%Y", "%Y-W%W-%u", "%Y-W%W")),
    ("%d-%b", "%y-%b"),
    ("%d %b",),
    ("%Y-%d-%m",),
    ("%Y/%d/%m",),
    ("%m.%d.%Y",),
)
# fmt: off
_NAMES = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
]
# fmt: on
_MONTHS = {spelling: i for i, name in enumerate(_NAMES, 1) for spelling in (name, name[:3])} | {"sept": 9}
_ZONES = {
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "CET": 1,
    "CEST": 2,
}
_FIELDS = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})(?:st|nd|rd|th)?",
    "b": rf"(?P<b>(?i:{'|'.join(sorted(_MONTHS, key=len, reverse=True))}))\.?", "q": r"(?P<q>[1-4])",
    "W": r"(?P<W>\d{2})", "u": r"(?P<u>[1-7])", "H": r"(?P<H>\d{1,2})", "I": r"(?P<H>\d{1,2})", "M": r"(?P<M>\d{2})",
    "S": r"(?P<S>\d{2})", "f": r"(?P<f>\d{1,9})", "p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "z": r"(?P<z>Z|[+-]\d\d:?\d\d)", "Z": rf"(?P<z>UTC|GMT|{'|'.join(_ZONES)})", "%": "%",
}  # fmt: skip
_FIELDS["B"] = _FIELDS["b"]
_CLOCK = (
    r"(?P<H>\d{1,2})(?:[:h](?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?:\s?(?P<p>[AaPp]\.?[Mm]\.?))?"
    r"|\s?(?P<p2>[AaPp]\.?[Mm]\.?))"
)
_ZONE = rf"(?P<z>Z|UTC|GMT|{'|'.join(_ZONES)}|[+-]\d\d(?::?\d\d)?)"
_WEEKDAY = r"(?:(?i:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun)(?i:day|nesday|rsday|urday|sday)?,?\s+)?"
_DURATION = re.compile(r"(?:(?P<D>-?\d+) days?,? )\+?(?P<H>\d+):(?P<M>\d\d):(?P<S>\d\d)(?:\.(?P<f>\d{1,9}))?")
_ISO_DURATION = re.compile(
    r"(?P<n>-?)(?P<P>P)(?=.)(?:(?P<D>\d+)D)?(?:T(?:(?P<H>\d+)H)?(?:(?P<M>\d+)M)?(?:(?P<S>\d+)(?:\.(?P<f>\d{1,9}))?S)?)?"
)
_SENTINELS = ("0000-00-00", "0000-00-00 00:00:00")
_YEARS = (1678, 2262)  # what nanoseconds reach: years outside stand for a missing date
_SAMPLE = 100  # texts on which formats are tried first
_CLOCK_FORMAT = "clock times"
_DURATION_FORMAT = "durations"


@dataclass(frozen=True)
class Dates:
    """Different texts or dates, (n,): `seconds` since 1970 (UTC), of the day, or of the duration; NaN where missing.

    `local` (n,) datetime64 is the time on the clock there, None for clock times and durations. `precise` has the parts
    that the format knows, of ``day of week``, ``month``, ``hour``. `sentinels` are the texts that stand for a missing
    date. `rivals` are the formats, if more than one, in which all can be read with other values.
    """

    seconds: NDArray[np.float64]
    local: NDArray[np.datetime64] | None
    format: str
    precise: tuple[str, ...] = ()
    sentinels: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()


class NearlyDates(NamedTuple):
    """Texts of which most are dates of one format; the places of the others."""

    format: str
    strays: list[int]


class _Read(NamedTuple):
    seconds: NDArray[np.float64]
    local: NDArray[np.datetime64]
    valid: NDArray[np.bool_]


def dates_of_texts(texts: Sequence[str], declared: str | None = None) -> Dates | NearlyDates | None:
    """Return different texts, (n,), as dates, clock times or durations; None where they are none.

    `declared` is a format as of `datetime.strptime`; it counts where all texts are written so.
    """
    words = np.array([is_missing_word(text) or text in _SENTINELS for text in texts], dtype=bool)
    usual = [text for text, word in zip(texts, words, strict=True) if not word]
    if not usual or not any(character.isdigit() for character in usual[0]):
        return _nearly(texts, words) if usual else None
    durations = _durations(usual)
    if durations is not None:
        return _spread(durations, words, texts)
    if declared is not None and _matches(declared, usual).all():
        read = _read(declared, usual)
        if read.valid.all():
            return _spread(_as_dates(declared, read, usual), words, texts)
    for group in FORMATS:
        likely = [form for form in group if _matches(form, usual[:_SAMPLE]).all()]
        readings = {form: _read(form, usual) for form in likely if _matches(form, usual).all()}
        fits = {form: read for form, read in readings.items() if read.valid.all()}
        if fits:
            form, read = next(iter(fits.items()))
            dates = _as_dates(form, read, usual)
            differ = any(not np.array_equal(read.seconds, other.seconds) for other in fits.values())
            return _spread(_with_rivals(dates, tuple(fits) if differ else ()), words, texts)
    return _nearly(texts, words)


def dates_of_type(column: pd.Series[pd.Timestamp]) -> Dates:
    """Return a column of a type of dates or durations, (n,)."""
    values = column
    missing = values.isna().to_numpy()
    if values.dtype.kind == "m":
        seconds = _in_seconds(values.to_numpy())
        return Dates(np.where(missing, np.nan, seconds), None, _DURATION_FORMAT)
    zone = getattr(values.dtype, "tz", None)
    universal = values.dt.tz_convert("UTC").dt.tz_localize(None) if zone is not None else values
    local = (values.dt.tz_localize(None) if zone is not None else values).to_numpy()
    seconds = np.where(missing, np.nan, _in_seconds(universal.to_numpy()))
    texts = [str(value)[:10] for value in local]
    read = _Read(seconds, local, ~missing)
    return _without_sentinels(
        Dates(read.seconds, read.local, "%Y-%m-%d", ("day of week", "month", "hour")), texts, ~missing
    )


def parts(dates: Dates) -> dict[str, NDArray[np.float64]]:
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


def format_of_numbers(values: NDArray[np.float64]) -> str | None:
    """Return the format in which whole numbers may be dates, such as 20150131; None where they are none."""
    distinct = np.unique(values[np.isfinite(values)])
    if len(distinct) < 3 or (distinct % 1).any():
        return None
    for form, least, most in (("%Y%m%d", 19000101, 21001231), ("%Y%m", 190001, 210012)):
        if least <= distinct[0] and distinct[-1] <= most:
            texts = [str(int(value)) for value in distinct]
            if _read(form, texts).valid.all():
                return form
    return None


def _as_dates(form: str, read: _Read, texts: Sequence[str]) -> Dates:
    """Return what was read in a format, its sentinels missing."""
    known = [("day of week", "%d" in form or "%u" in form), ("month", "%W" not in form), ("hour", True)]
    dates = Dates(read.seconds, read.local, form, tuple(name for name, is_known in known if is_known))
    return dates if "%y" in form or "%Y" not in form else _without_sentinels(dates, texts, read.valid)


def _without_sentinels(dates: Dates, texts: Sequence[str], valid: NDArray[np.bool_]) -> Dates:
    """Return dates with those missing whose year is out of reach, which are named."""
    assert dates.local is not None  # noqa: S101  (for mypy; clock times have no years)
    years = dates.local.astype("datetime64[Y]").astype(np.int64) + 1970
    beyond = valid & ((years < _YEARS[0]) | (years >= _YEARS[1]))
    named = tuple(dict.fromkeys(texts[place] for place in np.flatnonzero(beyond).tolist()))
    seconds = np.where(beyond, np.nan, dates.seconds)
    return Dates(seconds, dates.local, dates.format, dates.precise, named)


def _with_rivals(dates: Dates, rivals: tuple[str, ...]) -> Dates:
    return Dates(dates.seconds, dates.local, dates.format, dates.precise, dates.sentinels, rivals)


def _spread(dates: Dates, words: NDArray[np.bool_], texts: Sequence[str]) -> Dates:
    """Return dates among words of missing, in their places."""
    seconds = np.full(len(words), np.nan)
    seconds[~words] = dates.seconds
    local = None
    if dates.local is not None:
        local = np.full(len(words), np.datetime64("NaT", "us"))
        local[~words] = dates.local
    sentinels = (*dates.sentinels, *(text for text in texts if text in _SENTINELS))
    return Dates(seconds, local, dates.format, dates.precise, sentinels, dates.rivals)


def _nearly(texts: Sequence[str], words: NDArray[np.bool_]) -> NearlyDates | None:
    """Return the format of most texts, with the places of the others; None where no format fits most."""
    forms = [form for group in FORMATS for form in group]
    sample = [text for text, word in zip(texts, words, strict=True) if not word][:_SAMPLE]
    counts = {form: int(_matches(form, sample).sum()) for form in forms}
    best = max(counts, key=lambda form: counts[form])
    if counts[best] <= len(sample) / 2:
        return None
    fits = words | _matches(best, texts)
    fits[fits & ~words] = _read(
        best, [text for text, fit in zip(texts, fits & ~words, strict=True) if fit]
    ).valid
    return NearlyDates(best, np.flatnonzero(~fits).tolist())


def _durations(texts: Sequence[str]) -> Dates | None:
    """Return clock times or durations, None where some text is neither."""
    for pattern, name in (
        (_clock(), _CLOCK_FORMAT),
        (_DURATION, _DURATION_FORMAT),
        (_ISO_DURATION, _DURATION_FORMAT),
    ):
        if not all(pattern.fullmatch(text) for text in texts[:_SAMPLE]):
            continue
        matches = [pattern.fullmatch(text) for text in texts]
        if all(matches):
            seconds = np.array([_of_day(match.groupdict()) for match in matches if match])
            return None if np.isnan(seconds).any() else Dates(seconds, None, name)
    return None


def _of_day(part: dict[str, str | None]) -> float:
    """Return the seconds of a clock time or a duration; NaN for an hour or a minute that no clock has."""
    hours, minutes, seconds = (int(part.get(name) or 0) for name in "HMS")
    half = (part.get("p") or part.get("p2") or "").lower()[:1]
    if (half and not 1 <= hours <= 12) or (part.get("P") is None and (minutes > 59 or seconds > 60)):
        return np.nan
    hours = hours % 12 + (12 if half == "p" else 0) if half else hours
    fraction = float(f"0.{part.get('f') or 0}")
    whole = 86400 * int(part.get("D") or 0) + 3600 * hours + 60 * minutes + seconds + fraction
    return -whole if part.get("n") else whole


@cache
def _clock() -> re.Pattern[str]:
    return re.compile(rf"{_CLOCK}(?:\s?{_ZONE})?")


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """Return the pattern of a format, with a time of day behind it unless it has one itself."""
    pieces = re.split(r"%(.)", form)
    unknown = [f"%{code}" for code in pieces[1::2] if code not in _FIELDS]
    named = [code for code in pieces[1::2] if code != "%"]
    if unknown or not named or len(set(named)) < len(named):
        raise BadSetting(
            f"--date-format {form!r}: {unknown[0] if unknown else 'it'} cannot be read; use %d, %m, %b, %Y, %y, %H, "
            "%I, %M, %S, %f, %p and %z, once each, such as %d/%m/%Y."
        )
    literal = [re.escape(piece).replace(r"\ ", r"\s+") for piece in pieces[::2]]
    spelled = "".join(
        text + (_FIELDS[code] if code else "")
        for text, code in zip(literal, [*pieces[1::2], ""], strict=True)
    )
    if not {"H", "I"} & set(named):
        spelled = f"{spelled}(?:(?:T|:|,?\\s+){_CLOCK}(?:\\s?{_ZONE})?)?"
    week = r"(?:/\d{4}-\d\d-\d\d)?" if form == "%Y-%m-%d" else ""  # a period of pandas, by its first day
    return re.compile(f"{_WEEKDAY}{spelled}{week}")


def _matches(form: str, texts: Sequence[str]) -> NDArray[np.bool_]:
    fullmatch = _pattern(form).fullmatch
    return np.fromiter((fullmatch(text) is not None for text in texts), dtype=bool, count=len(texts))


def _read(form: str, texts: Sequence[str]) -> _Read:
    """Return texts, all written in a format, as dates; not valid where there is no such day or time."""
    rows = [match.groupdict() for text in texts if (match := _pattern(form).fullmatch(text))]
    if not rows:
        empty = np.empty(0)
        return _Read(empty, empty.astype("datetime64[us]"), empty.astype(bool))
    years = np.array([_year(row) for row in rows])
    months = np.array([_month(row) for row in rows])
    days = np.array([int(row.get("d") or 1) for row in rows])
    in_month = (years - 1970) * 12 + np.clip(months, 1, 12) - 1
    date = in_month.astype("datetime64[M]").astype("datetime64[D]") + (days - 1)
    valid = (
        (months >= 1)
        & (months <= 12)
        & (years >= 1)
        & (date.astype("datetime64[M]").astype(np.int64) == in_month)
    )
    date = date + np.array([_days_of_week(row) for row in rows])
    seconds = np.array([_of_day(row) for row in rows])
    valid &= seconds <= 86400
    zone = np.array([_offset(row.get("z")) for row in rows])
    whole = np.where(valid, date.astype(np.int64) * 86400.0 + np.nan_to_num(seconds), np.nan)
    local = date.astype("datetime64[us]") + (np.nan_to_num(seconds) * 1e6).round().astype("timedelta64[us]")
    return _Read(whole - zone, np.where(valid, local, np.datetime64("NaT", "us")), valid)


def _year(row: dict[str, str | None]) -> int:
    if short := row.get("y"):
        return int(short) + (1900 if int(short) >= 69 else 2000)  # as POSIX has it
    return int(row.get("Y") or 1970)


def _month(row: dict[str, str | None]) -> int:
    if name := row.get("b"):
        return _MONTHS[name.lower()]
    if quarter := row.get("q"):
        return 3 * int(quarter) - 2
    return int(row.get("m") or 1)


def _days_of_week(row: dict[str, str | None]) -> int:
    """Return the days from the year's begin to that of an ISO week, and to the day in it."""
    if not row.get("W"):
        return 0
    fourth = np.datetime64(f"{row['Y']}-01-04")  # always in the first week
    monday = int((fourth.astype(np.int64) - 4) % 7)
    return 3 - monday + 7 * (int(row["W"] or 1) - 1) + int(row.get("u") or 1) - 1


def _offset(zone: str | None) -> int:
    """Return a zone's seconds before UTC."""
    if zone in (None, "Z", "UTC", "GMT"):
        return 0
    if zone in _ZONES:
        return 3600 * _ZONES[zone]
    digits = str(zone)[1:].replace(":", "").ljust(4, "0")
    return (-1 if str(zone)[0] == "-" else 1) * (3600 * int(digits[:2]) + 60 * int(digits[2:]))


def _in_seconds(values: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return dates since 1970, or durations, in seconds."""
    unit, count = np.datetime_data(values.dtype)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return values.astype(np.int64) * count / per_second

"""Times, clock times and durations, in texts or in types of their own, as seconds.

A column is dates where all its different texts are written in one format of `DATE_FORMATS`. Where days and months could
change places, the values decide; where they do not, the user must. Times that stand for a missing one, such as
9999-12-31, are missing. Years run from 1 to 9999, beyond what nanoseconds reach.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.dateformats import DATE_FORMATS, DURATION, ISO_DURATION, clock, offset_of, pattern_of
from bench.data.datetexts import (
    DAY,
    SAMPLE,
    Fields,
    ReadDates,
    all_fit,
    all_match,
    dates_in,
    read_as,
    seconds_of_day,
    valid_in,
)
from bench.data.numerals import is_missing_word

PARTS = ("seconds", "day of week", "month", "hour")  # the numbers that a date becomes
_ZERO = re.compile(  # as databases write a date that is none
    r"(?:0000([-/.])00?\1 ?00?|00?([-/.]) ?00?\2 ?(?:0000|00)|0{8})(?:[T ]+00?:00(?::00(?:[.,]0+)?)?(?:Z|[+-]00:?00)?)?"
)
_DEFAULTS = ("1753-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01", "1970-01-01", "2099-12-31",
    "2100-01-01", "2100-12-31", "2199-12-31", "2222-02-22")  # fmt: skip
_FAR = 20 * 365  # days to the next other date
_YEARS = (1678, 2262)  # what nanoseconds reach: years outside stand for a missing date
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
    """Texts or numbers of which most are dates: the format of most, the places of the others, which are some.

    `other` is the format of the first of those, where it is a date too. `declared` where the user says the format.
    """

    format: str
    strays: list[int]
    other: str = ""
    declared: bool = False


def dates_of_texts(
    texts: Sequence[str], declared: str | None = None, weights: NDArray[np.intp] | None = None
) -> Times | NearlyDates | None:
    """Return different texts, (n,), as dates, clock times or durations; None where no more than half are some.

    `declared` is a format as of `datetime.strptime`; it counts where most texts are written so. `weights` (n,) is how
    often each text stands in the column.
    """
    weights = np.ones(len(texts), dtype=np.intp) if weights is None else weights
    if not texts or not _may_be_dates(texts, declared, weights):
        return None
    words = np.array([_is_missing(text) for text in texts], dtype=bool)
    usual = [text for text, word in zip(texts, words, strict=True) if not word]
    dates = _durations(usual, declared)
    if dates is None and declared is not None and _are_meant(declared, usual):
        read = read_as(declared, usual)
        if read is None or not read.valid.all():
            fits = words.copy()
            fits[~words] = valid_in(pattern_of(declared), usual)
            return NearlyDates(declared, np.flatnonzero(~fits).tolist(), declared=True)
        dates = _as_dates(declared, read, usual)
    dates = _of_one_format(usual) if dates is None else dates
    return _nearly(texts, words, weights) if dates is None else _spread(dates, words, texts)


def _are_meant(declared: str, texts: Sequence[str]) -> bool:
    """Tell whether more than half of the texts are written in a format, whether there are such days or not."""
    written = map(pattern_of(declared).fullmatch, sample := texts[:: 1 + len(texts) // SAMPLE])
    return 2 * sum(map(bool, written)) > len(sample)


def _of_one_format(texts: Sequence[str]) -> Times | None:
    """Return texts that are all dates of one known format, with its rivals."""
    for group in DATE_FORMATS:
        likely = [form for form in group if all_fit(form, texts[:: 1 + len(texts) // SAMPLE])]
        readings = {form: read for form in likely if (read := read_as(form, texts)) is not None}
        fits = {form: read for form, read in readings.items() if read.valid.all()}
        if fits:
            form, read = next(iter(fits.items()))
            differ = any(not np.array_equal(read.seconds, other.seconds) for other in fits.values())
            return replace(_as_dates(form, read, texts), rivals=tuple(fits) if differ else ())
    return None


def _is_missing(text: str) -> bool:
    return is_missing_word(text) or _is_zero(text)


def _is_zero(text: str) -> bool:
    return text[:1] == "0" and _ZERO.fullmatch(text) is not None


def _may_be_dates(texts: Sequence[str], declared: str | None, weights: NDArray[np.intp]) -> bool:
    """Tell whether more than half of some texts are written as dates, so that all have to be looked at."""
    patterns = [*_patterns().values(), DURATION, ISO_DURATION, pattern_of(declared or "%Y-%m-%d")]
    spread = np.arange(0, len(texts), 1 + len(texts) // SAMPLE)
    frequent = np.argpartition(-weights, min(SAMPLE, len(texts)) - 1)[:SAMPLE]
    for places, each in ((spread, np.ones(len(spread))), (frequent, weights[frequent])):
        sample = [texts[place] for place in places]
        known = np.array([not _is_missing(text) for text in sample], dtype=bool)
        dated = [
            bool(is_known and _is_written(text, patterns))
            for text, is_known in zip(sample, known, strict=True)
        ]
        if 2 * each[np.array(dated, dtype=bool)].sum() > each[known].sum():
            return True
    return False


def _is_written(text: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    """Tell whether a text is written in one of the patterns, all of which have digits."""
    has_digit = any(map(str.isdigit, text))
    return has_digit and any(pattern.fullmatch(text) for pattern in patterns)


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


def dates_of_numbers(values: NDArray[np.float64], form: str) -> Times | NearlyDates | None:
    """Return different whole numbers such as 20150131, (n,), as dates of a format; None where no more than half are.

    The format has nothing but parts of a fixed width: a year, a month, and more. Years are those from
    1900 to 2100. Zero, and years out of reach, stand for a missing date.
    """
    codes = form.split("%")
    has_month = "m" in codes and bool({"Y", "y"} & {*codes})
    if codes[0] or not has_month or not {*codes} <= {"", *"YymdHMS"} or (values % 1).any():
        return None
    texts, usual, beyond = _reach(values, form)
    if 2 * usual.sum() <= np.sum(~beyond & (values != 0)):
        return None
    known = usual | beyond
    if len(others := np.flatnonzero(~known & (values != 0))):
        return NearlyDates(form, others.tolist(), declared=True)
    kept = [text for text, is_known in zip(texts, known, strict=True) if is_known]
    read = dates_in([match for text in kept if (match := pattern_of(form).fullmatch(text))])
    dates = _spread(_as_dates(form, read, kept), ~known, kept)
    return dates if known.all() else replace(dates, sentinels=(*dates.sentinels, "0"))


def _reach(values: NDArray[np.float64], form: str) -> tuple[list[str], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whole numbers as texts of a format, which are dates from 1900 to 2100, and which are too late for any."""
    width = sum(4 if code == "Y" else 2 for code in form.split("%")[1:])
    texts = [f"{value:.0f}".zfill(width) for value in values]
    valid = valid_in(pattern_of(form), texts)
    years = np.zeros(len(texts), dtype=np.int64)
    if valid.any():
        kept = [text for text, fits in zip(texts, valid, strict=True) if fits]
        years[valid] = _years(
            dates_in([match for text in kept if (match := pattern_of(form).fullmatch(text))]).local
        )
    return texts, (years >= 1900) & (years <= 2100), years >= _YEARS[1]


# Of whole numbers; those that do not begin with the year look like other numbers too, of which few are days.
_OF_NUMBERS = ("%Y%m%d", "%Y%m", "%Y%m%d%H%M%S", "%d%m%Y", "%m%d%Y", "%m%Y", "%y%m%d")
_FEW_DAYS = 20


def format_of_numbers(values: NDArray[np.float64]) -> tuple[str, tuple[str, ...]] | None:
    """Return the format in which whole numbers may be dates, such as 20150131; None where they are none.

    With it come the numbers that stand for a missing date: 0, -1, those of nines, and years out of reach.
    """
    known = values[np.isfinite(values)]
    if not len(known) or not 10100 <= np.median(known) <= 2100_12_31_23_59_59 or (known % 1).any():
        return None
    distinct = np.unique(known)
    for form in _OF_NUMBERS if len(distinct) > _FEW_DAYS else _OF_NUMBERS[:2]:
        _, likely, _ = _reach(distinct[:: 1 + len(distinct) // SAMPLE], form)
        if 2 * likely.sum() <= len(likely):
            continue
        texts, usual, beyond = _reach(distinct, form)
        others = [f"{value:.0f}" for value in distinct[~(usual | beyond)]]
        if usual.sum() > 2 and all(other in ("0", "-1") or not other.strip("9") for other in others):
            return form, (
                *others,
                *(text for text, is_beyond in zip(texts, beyond, strict=True) if is_beyond),
            )
    return None


def _as_dates(form: str, read: ReadDates, texts: Sequence[str]) -> Times:
    """Return what was read in a format, its sentinels missing."""
    known = [("day of week", "%d" in form or "%u" in form), ("month", "%W" not in form), ("hour", True)]
    precise = tuple(name for name, is_known in known if is_known)
    dates = Times(read.seconds, read.local, form, precise, zones=read.zones)
    return dates if "%y" in form or "%Y" not in form else _without_sentinels(dates, texts, read.valid)


def _without_sentinels(dates: Times, texts: Sequence[str], valid: NDArray[np.bool_]) -> Times:
    """Return dates with those missing whose year is out of reach, which are named."""
    assert dates.local is not None  # noqa: S101  (for mypy; clock times have no years)
    years = _years(dates.local)
    beyond = valid & ((years < _YEARS[0]) | (years >= _YEARS[1]))
    named = tuple(dict.fromkeys(texts[place] for place in np.flatnonzero(beyond).tolist()))
    seconds = np.where(beyond, np.nan, dates.seconds)
    return replace(dates, seconds=seconds, sentinels=named)


def _years(local: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return local.astype("datetime64[Y]").astype(np.int64) + 1970


def _spread(dates: Times, words: NDArray[np.bool_], texts: Sequence[str]) -> Times:
    """Return dates among words of missing, in their places."""
    seconds = np.full(len(words), np.nan)
    seconds[~words] = dates.seconds
    local = None
    if dates.local is not None:
        local = np.full(len(words), np.datetime64("NaT", "us"))
        local[~words] = dates.local
    sentinels = (*dates.sentinels, *filter(_is_zero, texts))
    return replace(dates, seconds=seconds, local=local, sentinels=sentinels)


def _nearly(texts: Sequence[str], words: NDArray[np.bool_], weights: NDArray[np.intp]) -> NearlyDates | None:
    """Return the format of most dates, with the places of all other texts; None where no more than half are dates."""
    usual = np.flatnonzero(~words).tolist()
    sample = [texts[place] for place in usual[:: 1 + len(usual) // SAMPLE]]
    counts = Counter({form: int(valid_in(pattern, sample).sum()) for form, pattern in _patterns().items()})
    forms = np.full(len(texts), "", dtype=object)
    for form, count in counts.most_common():
        left = np.flatnonzero(~words & (forms == "")).tolist()
        if count and len(left):
            forms[np.array(left)[valid_in(_patterns()[form], [texts[place] for place in left])]] = form
    dated = forms != ""
    if 2 * dated.sum() <= len(usual) and 2 * weights[dated].sum() <= weights[usual].sum():
        return None
    best = Counter(forms[dated]).most_common(1)[0][0]
    strays = np.flatnonzero(~words & (forms != best)).tolist()
    return NearlyDates(best, strays, forms[strays[0]]) if strays else None


def _durations(texts: Sequence[str], declared: str | None) -> Times | None:
    """Return clock times or durations, None where some text is neither."""
    for pattern, name in (
        (clock(), _CLOCK_FORMAT),
        (DURATION, _DURATION_FORMAT),
        (ISO_DURATION, _DURATION_FORMAT),
    ):
        matches = all_match(pattern, texts)
        if matches is not None:
            fields = Fields(matches)
            if pattern is DURATION and not any(fields.texts("H")):
                return None  # 36 days: numbers with a unit
            seconds = seconds_of_day(fields)
            zones = _unfit_for_clocks(sorted(set(fields.texts("z"))))
            if declared is not None and all_match(pattern_of(declared), texts):
                name = declared
            return None if np.isnan(seconds).any() else Times(seconds, None, name, zones=zones)
    return None


def _unfit_for_clocks(zones: Sequence[str]) -> tuple[str, ...]:
    """Return the zones of clock times, where they are several, or one whose offset hangs on the day."""
    offsets = {offset_of(zone) for zone in zones}
    return tuple(filter(None, zones)) if len(offsets) > 1 or None in offsets else ()


def _in_seconds(values: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return dates since 1970, or durations, in seconds."""
    unit, count = np.datetime_data(values.dtype)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return values.astype(np.int64) * count / per_second

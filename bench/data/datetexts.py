"""What texts in one format say: seconds, the time on the clock there, and whether there is such a day.

Years run from 1 to 9999, beyond what nanoseconds reach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.dateformats import MONTHS, offset_of, pattern_of

DAY = 86400  # seconds
SAMPLE = 100  # texts on which formats are tried first


class ReadDates(NamedTuple):
    """Dates, (n,): seconds since 1970 (UTC), times there, which there are, and the zones that are not known."""

    seconds: NDArray[np.float64]
    local: NDArray[np.datetime64]
    valid: NDArray[np.bool_]
    zones: tuple[str, ...] = ()


class Fields:
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


def seconds_of_day(fields: Fields) -> NDArray[np.float64]:
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


def all_match(pattern: re.Pattern[str], texts: Sequence[str]) -> list[re.Match[str]] | None:
    """Return the matches of all texts; None where one does not match."""
    if not all(map(pattern.fullmatch, texts[:SAMPLE])):
        return None
    matches = [match for text in texts if (match := pattern.fullmatch(text))]
    return matches if len(matches) == len(texts) else None


def all_fit(form: str, texts: Sequence[str]) -> bool:
    """Tell whether all texts are dates of a format."""
    read = read_as(form, texts)
    return read is not None and bool(read.valid.all())


def valid_in(pattern: re.Pattern[str], texts: Sequence[str]) -> NDArray[np.bool_]:
    """Return which texts, (n,), are dates or clock times of a pattern."""
    matches = [pattern.fullmatch(text) for text in texts]
    fit = np.array([match is not None for match in matches], dtype=bool)
    if fit.any():
        kept = [match for match in matches if match]
        has_days = {"Y", "y", "m", "b", "d"} & pattern.groupindex.keys()
        fit[fit] = dates_in(kept).valid if has_days else ~np.isnan(seconds_of_day(Fields(kept)))
    return fit


def read_as(form: str, texts: Sequence[str]) -> ReadDates | None:
    """Return texts as dates; None where one is not written in the format."""
    matches = all_match(pattern_of(form), texts)
    return None if matches is None else dates_in(matches)


def dates_in(matches: Sequence[re.Match[str]]) -> ReadDates:
    """Return matches of a format as dates; not valid where there is no such day or time."""
    fields = Fields(matches)
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
    seconds = seconds_of_day(fields)
    valid &= seconds <= 86400
    seconds = np.where(valid, seconds, 0)
    local = date.astype("datetime64[us]") + (seconds * 1e6).round().astype("timedelta64[us]")
    offsets, zones = _offsets(fields, local)
    valid &= ~np.isnan(offsets)
    whole = date.astype(np.int64) * float(DAY) + seconds - offsets
    local = np.where(valid, local, np.datetime64("NaT", "us"))
    return ReadDates(np.where(valid, whole, np.nan), local, valid, zones)


def _offsets(fields: Fields, local: NDArray[np.datetime64]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
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

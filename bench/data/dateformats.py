"""How dates, clock times and durations are written: the formats that are known, and their patterns."""

from __future__ import annotations

import re
import shlex
from functools import cache

from bench.errors import BadSetting

# fmt: off
_ALONE = (
    "%d.%m.%Y", "%d.%m.%y", "%d-%b-%Y", "%d/%b/%Y", "%d.%b.%Y", "%d. %b %Y", "%d %b %Y", "%d %b, %Y", "%d%b%Y",
    "%d de %b de %Y", "%d-%b-%y", "%d/%b/%y", "%d %b %y", "%d%b%y", "%b %d, %Y", "%b %d %Y", "%b-%d-%Y", "%Y-%b-%d",
    "%Y/%b/%d", "%Y %b %d", "%Y%b%d", "%b %d, %y", "%b-%Y", "%b/%Y", "%b %Y", "%b, %Y", "%b%Y", "%Y-%b", "%Y %b",
    "%Y%b", "%b-%y", "%b/%y", "%b %y", "%b'%y", "%b%y", "%Y-%m", "%Y/%m", "%YM%m", "%m/%Y", "%m-%Y", "%YQ%q",
    "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%qQ%Y", "%qQ%y", "Q%q%Y", "%Y-W%W-%u", "%Y-W%W",
    "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%S%z", "%Y%m%dT%H%M", "%Y%m%d %H:%M:%S", "%Y%m%d %H:%M", "%Y%m%d %H%M%S",
    "%b %d %H:%M:%S %Y", "%b %d %H:%M:%S %z %Y", "%b %d %H:%M:%S %Z %Y", "%d %b", "%Y-%d-%m", "%Y/%d/%m", "%m.%d.%Y",
)
# In order of preference; those of one group are rivals, between which values or the user decide. A time of day and a
# zone may follow each that has none.
DATE_FORMATS: tuple[tuple[str, ...], ...] = (
    *((f"%Y{mark}%m{mark}%d",) for mark in "-/."),
    *((f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%Y") for mark in "-/"),
    *((f"%d{mark}%m{mark}%y", f"%m{mark}%d{mark}%y", f"%y{mark}%m{mark}%d") for mark in "-/"),
    ("%d-%b", "%y-%b"),
    *((form,) for form in _ALONE),
)
_MONTHS = (  # English, German, French, Spanish, Italian, Portuguese, and what shortens them
    ("jan", "january", "januar", "jän", "jänner", "janv", "janvier", "ene", "enero", "gen", "gennaio", "janeiro"),
    ("feb", "february", "februar", "fév", "févr", "février", "febrero", "febbraio", "fev", "fevereiro"),
    ("mar", "march", "mär", "märz", "mrz", "mars", "marzo", "março"),
    ("apr", "april", "avr", "avril", "abr", "abril", "aprile"),
    ("may", "mai", "mayo", "mag", "maggio", "maio"),
    ("jun", "june", "juni", "juin", "junio", "giu", "giugno", "junho"),
    ("jul", "july", "juli", "juil", "juillet", "julio", "lug", "luglio", "julho"),
    ("aug", "august", "août", "ago", "agosto"),
    ("sep", "sept", "september", "septembre", "septiembre", "settembre", "setembro"),
    ("oct", "october", "okt", "oktober", "octobre", "octubre", "ott", "ottobre", "out", "outubro"),
    ("nov", "november", "novembre", "noviembre", "novembro"),
    ("dec", "december", "dez", "dezember", "déc", "décembre", "dic", "diciembre", "dicembre", "dezembro"),
)
# fmt: on
MONTHS = {name: month for month, names in enumerate(_MONTHS, 1) for name in names}
# Hours before UTC. Of abbreviations only those that mean one zone, and those that mail has always had (RFC 822).
# fmt: off
_ZONES = {
    "Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2,
    "EEST": 3, "MSK": 3, "HKT": 8, "SGT": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}
# fmt: on
_OFFSET = r"[+-]\d\d(?::?\d\d)?"
_AREA = r"[A-Z][A-Za-z_]+(?:/[A-Z][\w+-]*){1,2}"  # Europe/Berlin
# Behind a time of day any word is a zone, known or not; Java and JavaScript add a name to an offset.
_ZONE = (
    rf"\s?(?P<z>(?:UTC|GMT)?{_OFFSET}|(?:{'|'.join(_ZONES)})(?!\w)|(?<=\s)(?:{_AREA}|(?![AP]M\b)[A-Z]{{2,5}}))"
    rf"(?:\[(?:{_AREA}|[A-Z]+)\]|\s?\([^()]*\))?"
)
_FIELDS = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})(?:st|nd|rd|th)?",
    "b": rf"(?P<b>(?i:{'|'.join(sorted(MONTHS, key=len, reverse=True))}))\.?", "q": r"(?P<q>[1-4])",
    "W": r"(?P<W>\d{2})", "u": r"(?P<u>[1-7])", "H": r"(?P<H>\d{1,2})", "I": r"(?P<H>\d{1,2})", "M": r"(?P<M>\d{2})",
    "S": r"(?P<S>\d{2})", "f": r"(?P<f>\d{1,9})", "p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "z": r"(?P<z>Z|[+-]\d\d:?\d\d)", "Z": rf"(?P<z>{'|'.join(_ZONES)})", "%": "%",
}  # fmt: skip
_FIELDS["B"] = _FIELDS["b"]
_SAME = {"I": "H", "B": "b", "Z": "z"}  # directives that are one field
_CLOCK = (
    r"(?P<H>\d{1,2})(?:[:h](?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?:\s?(?P<p>[AaPp]\.?[Mm]\.?))?"
    r"(?:\s?(?:h|Uhr))?|\s?(?P<p2>[AaPp]\.?[Mm]\.?))"
)
_WEEKDAY = r"(?:(?i:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun)(?i:day|nesday|rsday|urday|sday)?,?\s+)?"
# As pandas, Python and databases write them: 1 days, 1 day 02:03:04, 1 day, 2:03:04, -1 days +23:59:50, 02:03:04.
DURATION = re.compile(
    r"(?=.)(?:(?P<D>-?\d+) days?(?:,? (?=[\d+])|$))?(?:\+?(?P<H>\d+):(?P<M>\d\d):(?P<S>\d\d)(?:\.(?P<f>\d{1,9}))?)?"
)
ISO_DURATION = re.compile(
    r"(?P<n>-?)(?P<P>P)(?=.)(?:(?P<D>\d+)D)?(?:T(?:(?P<H>\d+)H)?(?:(?P<M>\d+)M)?(?:(?P<S>\d+)(?:\.(?P<f>\d{1,9}))?S)?)?"
)


@cache
def clock() -> re.Pattern[str]:
    """Return the pattern of clock times; behind minutes, -11:00 is the end of a range and no zone."""
    return re.compile(rf"{_CLOCK}(?:(?(S)|(?![+-])){_ZONE})?")


@cache
def pattern_of(form: str) -> re.Pattern[str]:
    """Return the pattern of a format, with a time of day behind it unless it has one itself."""
    pieces = re.split(r"%(.)", form)
    unknown = [f"%{code}" for code in pieces[1::2] if code not in _FIELDS]
    named = [_SAME.get(code, code) for code in pieces[1::2] if code != "%"]
    if unknown or not named or len(set(named)) < len(named):
        raise BadSetting(
            f"--date-format {form!r}: {unknown[0] if unknown else 'it'} cannot be read; {_meant(form)}use %d, %m, %b, "
            "%Y, %y, %H, %I, %M, %S, %f, %p and %z, once each, such as %d/%m/%Y."
        )
    literal = [re.escape(piece).replace(r"\ ", r"\s+") for piece in pieces[::2]]
    spelled = "".join(
        text + (_FIELDS[code] if code else "")
        for text, code in zip(literal, [*pieces[1::2], ""], strict=True)
    )
    if not {"H", "z"} & set(named):
        day_zone = r"\s?(?P<z2>Z|UTC|GMT|[+-]\d\d:\d\d)" if form == "%Y-%m-%d" else r"\s(?P<z2>UTC|GMT)"
        spelled = f"{spelled}(?:(?:T|:|,?\\s+){_CLOCK}(?:{_ZONE})?|{day_zone})?"
    week = r"(?:/\d{4}-\d\d-\d\d)?" if form == "%Y-%m-%d" else ""  # a period of pandas, by its first day
    return re.compile(f"{_WEEKDAY}{spelled}{week}")


def _meant(form: str) -> str:
    """Return what to type for a format as spreadsheets and Java write it, such as dd.mm.yyyy; nothing for others."""
    if "%" in form:
        return ""
    spelled, has_hours = "", False
    for piece in re.findall(r"((?:y+|Y+|m+|M+|d+|D+|h+|H+|s+|S+)|.)", form):
        letter, n = piece[0].lower(), len(piece)
        codes = {"y": "%y" if n == 2 else "%Y", "m": "%M" if has_hours else "%b" if n > 2 else "%m"}
        code = {**codes, "d": "%d", "h": "%H", "s": "%S"}.get(letter)
        if code is None and letter.isalpha() and piece != "T":
            return ""
        has_hours = has_hours or letter == "h"
        spelled += code or piece
    return f"give --date-format {shlex.quote(spelled)}, or " if "%" in spelled else ""


def offset_of(zone: str) -> int | None:
    """Return a zone's seconds before UTC; None for a zone whose offset changes, or is not known."""
    if zone in ("", *_ZONES):
        return 3600 * _ZONES.get(zone, 0)
    match = re.fullmatch(rf"(?:UTC|GMT)?({_OFFSET})", zone)
    if match is None:
        return None
    digits = match[1][1:].replace(":", "").ljust(4, "0")
    return (-1 if match[1][0] == "-" else 1) * (3600 * int(digits[:2]) + 60 * int(digits[2:]))

"""How numbers are written as text: words of missing values, currencies, units, and the pattern of a number."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.data.dateformats import MONTHS

# Compared in lower case. In a column of numbers they stand for a missing value; in one of texts they are texts.
# fmt: off
MISSING_WORDS = frozenset([
    "-", "--", "---", "–", "—", ".", "..", "...", "*", "?", "??", "#n/a", "#n/a n/a", "#na", "#null!",
    "#value!", "#div/0!", "#ref!", "#name?", "#num!", "#n/d", "\\n", "(null)", "<null>", "null", "<na>", "na",
    "n/a", "n.a.", "n.a", "n/d", "nat", "nan", "-nan", "+nan", "-1.#ind", "1.#ind", "-1.#qnan", "1.#qnan",
    "none", "(none)", "nil", "missing", "(missing)", "unknown", "(unknown)", "(blank)", "blank", "undefined",
    "not available", "not applicable", "not reported", "k.a.", "s/d",
])
# fmt: on
_SYMBOLS = "US$|CA$|AU$|NZ$|HK$|R$|A$|C$|S$|$|€|£|¥|￥|₹|₽|₩|₺|₫|₪|₦|฿|₴|₱|¢|zł|kr|Kč|Ft|Rs.|Rs|Fr."
_ISO = (
    "USD|EUR|GBP|JPY|CHF|CNY|RMB|INR|BRL|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH|ZAR|MXN|ARS|CLP|COP|"
    "PEN|KRW|TWD|HKD|SGD|THB|IDR|MYR|PHP|VND|ILS|AED|SAR|EGP|NGN|KES|PKR|BDT|LKR|TZS|UGX|GHS|DEM|FRF|BTC"
)
MULTIPLIERS = {
    **dict.fromkeys(("k", "K", "thousand", "Tsd"), 3),
    **dict.fromkeys(("M", "MM", "mn", "mln", "Mio", "million", "Million"), 6),
    **dict.fromkeys(("bn", "Bn", "B", "Mrd", "billion", "Billion"), 9),
    "lakh": 5,
    "crore": 7,
}
# What a currency's sign or word stands for; a sign that several currencies have stands for itself.
# fmt: off
CURRENCIES = {
    "€": "EUR", "£": "GBP", "￥": "¥", "₹": "INR", "₽": "RUB", "₩": "KRW", "₺": "TRY", "₫": "VND", "₪": "ILS",
    "₦": "NGN", "฿": "THB", "₴": "UAH", "₱": "PHP", "zł": "PLN", "Kč": "CZK", "Ft": "HUF", "US$": "USD", "CA$": "CAD",
    "C$": "CAD", "AU$": "AUD", "A$": "AUD", "NZ$": "NZD", "HK$": "HKD", "R$": "BRL", "S$": "SGD", "RMB": "CNY",
    "Rs.": "Rs", "eur": "EUR", "euro": "EUR", "euros": "EUR", "Euro": "EUR", "usd": "USD", "gbp": "GBP", "chf": "CHF",
}
# fmt: on
_UNITS = (
    "kg|g|mg|t|lb|lbs|oz|km|m|cm|mm|mi|ft|yd|ml|l|L|kWh|kW|W|d|h|hr|hrs|min|mins|s|sec|secs|ms|day|days|w|wk|wks|week|"
    "weeks|mo|mos|mth|mths|month|months|y|yr|yrs|year|years|bps|bp|pp|pct|ppm|x|X|Hz|MHz|GHz|KB|MB|GB|TB|px|pts|mmHg|"
    "bpm|rpm|mph|km/h|kmh|mg/dl|mg/dL|mmol/l|mmol/L|m²|m2|m³|m3|sqft|sq ft|sq m|°C|°F|°|%|‰"
)
# Words after a number that make it no number of a unit: clock times, dates, ordinals.
NO_UNITS = {"am", "pm", "st", "nd", "rd", "th", *MONTHS}
SPELT = str.maketrans(
    {
        **dict.fromkeys("\u00a0\u202f\u2009\u2007\u2006\u2002\u2003\t", " "),
        **dict.fromkeys("\u2019\u2018`´\u02bc", "'"),
        **dict.fromkeys("−﹣－", "-"),
        **{chr(first + i): str(i) for first in (0xFF10, 0x0660, 0x06F0) for i in range(10)},
        **dict.fromkeys("，٬", ","),
        **dict.fromkeys("．٫", "."),
        **dict.fromkeys("％٪", "%"),
    }
)
LETTERS = re.compile(r"[^\W\d_]+")
MOST_WORDS = (
    6  # of letters in a number: two currencies, the e of an exponent, a unit of two words, a currency
)
NINES = str.maketrans("12345678", "99999999")  # texts of one shape differ in these digits only


def _any(words: Sequence[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_CURRENCY = _any([*_SYMBOLS.split("|"), *_ISO.split("|")])
NUMBER = re.compile(
    rf"(?P<open>\()?\s?(?P<sign>[+-])?\s?(?:(?P<prefix>%|{_CURRENCY})\s?)?(?P<open2>\()?(?P<sign2>[+-])?\s?"
    r"(?P<body>[.,]?[0-9](?:[0-9.,' ]*[0-9])?\.?(?:[eE][+-]?[0-9]+)?|(?i:inf(?:inity)?))(?P<trail>(?<=[0-9])-)?"
    rf"(?P<close>\))?\s?(?P<suffix>{_CURRENCY})?"
    rf"(?:\s?(?P<unit>{_any([*_UNITS.split('|'), *MULTIPLIERS])})|(?P<glue>\s|(?<=[0-9]))(?P<word>[^\W\d_]{{2,}}))?\.?"
    rf"\s?(?P<suffix2>{_CURRENCY})?\s?(?P<close2>\))?"
)


_SPANS = "y|yr|yrs|year|years|mo|mos|mon|mons|mth|mths|month|months|w|wk|wks|week|weeks|d|day|days|h|hr|hrs|hour|hours"
_SPAN = rf"\d+(?:[.,]\d+)?\s?(?i:{_SPANS}|m|min|mins|minute|minutes|s|sec|secs|second|seconds)\.?"
SPANS = re.compile(rf"{_SPAN}(?:(?:,?\s*(?:and\s+)?){_SPAN})*")
COMPOUND = re.compile(rf"{_SPAN}(?:(?:,?\s*(?:and\s+)?){_SPAN})+")  # 1yrs 11mon, 2h30m


def _body(decimal: str, thousands: str) -> re.Pattern[str]:
    """Return the pattern of a number: its decimal mark, and the other mark, blanks or apostrophes between thousands."""
    indian = r"|[1-9]\d?(?:,\d\d)+,\d{3}" if thousands == "," else ""
    groups = rf"[1-9]\d{{0,2}}(?P<by>[{re.escape(thousands)} '])\d{{3}}(?:(?P=by)\d{{3}})*{indian}"
    trailing = "*" if decimal == "." else "+"
    mark = re.escape(decimal)
    return re.compile(
        rf"(?:(?:\d+|{groups})(?:{mark}\d{trailing})?|{mark}\d+)(?:[eE][+-]?\d+)?|(?i:inf(?:inity)?)"
    )


BODIES = {".": _body(".", ","), ",": _body(",", ".")}

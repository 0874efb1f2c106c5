"""Times as people and tools write them, in the one spelling that the engine reads."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from functools import lru_cache

MONTHS = """
jan january januar janvier janv enero ene janeiro gennaio gen januari
feb february februar fevrier fevr fev febrero fevereiro febbraio februari
mar march marz mrz maerz mars marzo marco maart
apr april avril avr abril abr aprile
may mai mayo maio maggio mag mei
jun june juni juin junio junho giugno giu
jul july juli juillet juil julio julho luglio lug
aug august aout agosto ago augustus
sep sept september septembre septiembre set setembro settembre
oct october oktober okt octobre octubre outubro out ottobre ott
nov november novembre noviembre novembro
dec december dezember dez decembre diciembre dic dezembro dicembre
"""  # a line a month: English, German, French, Spanish, Portuguese, Italian, Dutch, without accents
_MONTH = {
    name: number
    for number, line in enumerate(MONTHS.strip().splitlines(), 1)
    for name in line.split()
}
# Zones in letters, as mail and payment tools write them: CST as in North America, BST as in London;
# IST is left out.
_ZONES = dict(
    EST=-5,
    EDT=-4,
    CST=-6,
    CDT=-5,
    MST=-7,
    MDT=-6,
    PST=-8,
    PDT=-7,
    AKST=-9,
    AKDT=-8,
    HST=-10,
    BST=1,
    WEST=1,
)
_ZONES |= dict(
    CET=1, MEZ=1, CEST=2, MESZ=2, EET=2, EEST=3, MSK=3, SGT=8, HKT=8, JST=9, KST=9, AEST=10, AEDT=11
)
_ZONES |= dict(NZST=12, NZDT=13)
_DAY_FIRST = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th|er|º|\.)?[-/ ]*(?:de |of )?([^\W\d_]{3,})[-.,/ ]+(?:del?"
    r" )?(\d{4}|\d\d)\b(.*)"
)
_MONTH_FIRST = re.compile(
    r"([^\W\d_]{3,})\.?[- ](\d{1,2})(?:st|nd|rd|th)?,?(?:[- ](?=\d{4}\b)|-)(\d{4}|\d\d)\b(.*)"
)


@lru_cache(100_000)
def usual_spelling(text: str) -> str:
    """A time with its month as a number, its half of the day as AM or PM and its zone as an offset.

    >>> usual_spelling("1. März 2025, 10:00 Uhr"), usual_spelling("Mar 1, 2025 at 3:04:05 p.m. PST")
    ('2025-03-01 10:00', '2025-03-01 3:04:05 PM -0800')
    >>> usual_spelling("2025/3/1 下午2:30"), usual_spelling("1740823200")
    ('2025/3/1 2:30 PM', '2025-03-01 10:00:00Z')
    >>> usual_spelling("20250301T101112Z"), usual_spelling("Sat 1st of March 2025")
    ('2025-03-01 10:11:12Z', '2025-03-01')
    """
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if re.fullmatch(r"1\d{9}(\d{3})?", text):  # seconds or thousandths since 1970
        return datetime.fromtimestamp(int(text[:10]), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    text = re.sub(r"^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?", _basic, text)
    text = re.sub(r" ?\[.*\]$| ?\(.*\)$| Uhr$", "", text)
    text = re.sub(r"(上午|下午) ?(\d{1,2}:\d\d(:\d\d)?)", r"\2 \1", text)
    text = re.sub(r"(?i) ?(a\. ?m\.|\bam\b|(?<=\d)am\b|上午)", " AM", text)
    text = re.sub(r"(?i) ?(p\. ?m\.|\bpm\b|(?<=\d)pm\b|下午)", " PM", text)
    text = re.sub(r",? (?:at |um |à |a las )?(\d{1,2}:\d)", r" \1", text)
    text = re.sub(r"(:\d\d)[.,]\d+", r"\1", text)
    text = re.sub(r" ?(?:GMT|UTC) ?([+-]\d)", r" \1", text)
    zone = re.search(r" ?\b([A-Z]{3,4})$", text)
    if zone and zone[1] in _ZONES:
        text = f"{text[: zone.start()]} {_ZONES[zone[1]]:+03d}00"
    # the day of the week
    before_month = r"[^\W\d_]+ \d|\d{1,2}(?:st|nd|rd|th|\.)? (?:of )?[^\W\d_]{3,}"
    text = re.sub(rf"^[^\W\d_]+[.,]+ ?(?=[^\W_])|^[^\W\d_]+ (?={before_month})", "", text)
    return _year_first(text)


def _basic(found: re.Match[str]) -> str:
    """The basic form of ISO 8601 with its marks: "20250301T1005" as "2025-03-01 10:05:00"."""
    year, month, day, hour, minute, second = found.groups("00")
    return f"{year}-{month}-{day} {hour}:{minute}:{second}"


def _year_first(text: str) -> str:
    day_first, month_first = _DAY_FIRST.fullmatch(text), _MONTH_FIRST.fullmatch(text)
    if day_first:
        day, month, year, rest = day_first.groups()
    elif month_first:
        month, day, year, rest = month_first.groups()
    else:
        return text
    number = _MONTH.get(_without_accents(month))
    return (
        f"{int(year) + 2000 * (len(year) == 2)}-{number:02d}-{int(day):02d}{rest}"
        if number
        else text
    )


def _without_accents(word: str) -> str:
    return "".join(
        c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c)
    )

"""Numbers in words: one place for thousands, percent, money and dates."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from helpers import languages

NBSP = "\u00a0"  # keeps a number and its unit on one line
THINGS = {  # what reports count, one and many
    "account": "accounts", "act": "acts", "band": "bands", "basket": "baskets", "bill": "bills", "buyer": "buyers",
    "campaign": "campaigns", "case": "cases", "category": "categories", "change": "changes", "code": "codes",
    "column": "columns", "contact": "contacts", "coupon": "coupons", "customer": "customers", "day": "days",
    "difference": "differences", "file": "files", "finding": "findings", "gap": "gaps", "group": "groups",
    "hour": "hours", "item": "items", "kind": "kinds", "line": "lines", "member": "members", "message": "messages",
    "month": "months", "order": "orders", "pair": "pairs", "part": "parts", "period": "periods", "person": "people",
    "persona": "personas", "piece": "pieces", "place": "places", "point": "points", "product": "products",
    "purchase": "purchases", "quarter": "quarters", "record": "records", "refund": "refunds", "return": "returns",
    "row": "rows", "rule": "rules", "sale": "sales", "segment": "segments", "session": "sessions", "shop": "shops",
    "store": "stores", "table": "tables", "theme": "themes", "tier": "tiers", "time": "times", "topic": "topics",
    "unit": "units", "visit": "visits", "visitor": "visitors", "week": "weeks", "word": "words", "year": "years",
    "back-test": "back-tests", "origin": "origins",
}  # fmt: skip
_ONE = {many: one for one, many in THINGS.items()}
_ACTS = {
    "are": "is",
    "were": "was",
    "have": "has",
    "do": "does",
    "hold": "holds",
    "bring": "brings",
}
_ONE_OF_MANY = re.compile(
    rf"(?<![\w.,:/-])(?P<n>1\s(?:(?:whole|known|active|new|such|other|more|unusual|doubtful|earlier)\s)?)"
    rf"(?P<many>{'|'.join(_ONE)})\b(?:(?P<gap>\s)(?P<act>{'|'.join(_ACTS)})\b)?"
)


def count(n: float) -> str:
    """A whole number with thousands separators.

    >>> count(1469307)
    '1,469,307'
    """
    return languages.fixed("not known") if _unknown(n) else f"{n:,.0f}"


def money(amount: float, currency: str = "") -> str:
    r"""Money, rounded to what matters: 4.58 m, 329 k, 42, 3.21.

    >>> money(4576846.85, "USD"), money(329594), money(-41.8), money(3.211)
    ('4.58\xa0m\xa0USD', '330\xa0k', '-42', '3.21')
    """
    if _unknown(amount):
        return languages.fixed("not known")
    if abs(amount) < 0.005:
        return f"0{NBSP}{currency}".strip(NBSP)
    return f"{_sized(amount)}{NBSP}{currency}".strip(NBSP)


def _sized(amount: float) -> str:
    r"""An amount in the steps of the language: Chinese counts in 10,000 and in 100,000,000.

    >>> _sized(4576846.85), _sized(-41.8)
    ('4.58\xa0m', '-42')
    >>> with languages.speaking("zh"):
    ...     _sized(4576846.85), _sized(31_594), _sized(2.5e8)
    ('457.7万', '3.2万', '2.50亿')
    """
    size = abs(amount)
    for least, step, digits, name in _STEPS[languages.spoken()]:
        if size >= least:
            return f"{amount / step:,.{digits}f}{name}"
    if size >= 1000:
        return f"{round(amount, -1):,.0f}"
    return f"{amount:,.0f}" if size >= 10 else f"{amount:,.2f}"


_STEPS = {  # the least amount that is rounded to a step, the step, its digits and its name
    "en": [(999_500, 1e6, 2, f"{NBSP}m"), (9_995, 1e3, 0, f"{NBSP}k")],
    "zh": [(99_995_000, 1e8, 2, "亿"), (9_995, 1e4, 1, "万")],
}


def percent(share: float, digits: int = 0, signed: bool = False) -> str:
    r"""A share as percent.

    >>> percent(0.166, 1), percent(0.04, signed=True), percent(-0.0001)
    ('16.6\xa0%', '+4\xa0%', '0\xa0%')
    """
    if _unknown(share):
        return languages.fixed("not known")
    rounded = round(share * 100, digits) + 0.0  # plus nothing: never -0
    return f"{rounded:{'+' if signed else ''},.{digits}f}{NBSP}%"


def counted(n: float, thing: str, things: str = "") -> str:
    """How many of a thing; one of it is one.

    >>> counted(1, "order"), counted(2469, "order"), counted(0, "person", "people")
    ('1 order', '2,469 orders', '0 people')
    """
    return f"{count(n)} {thing if n == 1 else things or f'{thing}s'}"


def agree(text: str) -> str:
    """A sentence whose counts of one are followed by the singular.

    >>> agree("1 orders of 1 customers were late; 21 orders were not."), agree("1 whole weeks")
    ('1 order of 1 customer was late; 21 orders were not.', '1 whole week')
    """
    return _ONE_OF_MANY.sub(_in_the_singular, text)


def _in_the_singular(m: re.Match) -> str:
    act = f"{m['gap']}{_ACTS[m['act']]}" if m["act"] else ""
    return f"{m['n']}{_ONE[m['many']]}{act}"


def category(name: str) -> str:
    """A category as it is named in a sentence.

    >>> category("Tea"), category("not known")
    ('Tea', 'goods of no category')
    """
    return languages.fixed("goods of no category") if name == "not known" else name


def sentence(text: str) -> str:
    """Text with a full stop at its end, unless it ends with another mark.

    >>> sentence("Sales rise"), sentence("Why?")
    ('Sales rise.', 'Why?')
    """
    return text if text.endswith(tuple(".?!。？！")) else f"{text}{languages.fixed('.')}"


def day(when: object) -> str:
    """A date as people write it.

    >>> day("2017-12-31")
    '31 December 2017'
    """
    stamp = pd.Timestamp(when)
    if pd.isna(stamp):
        return languages.fixed("not known")
    if languages.spoken() == "zh":
        return f"{stamp.year}年{stamp.month}月{stamp.day}日"
    return f"{stamp.day} {stamp:%B %Y}"


def listing(items: Iterable[object], most: int = 5) -> str:
    """A few things in a sentence.

    >>> listing(["bread", "milk", "eggs"]), listing(range(9), most=2)
    ('bread, milk and eggs', '0, 1 and 7 more')
    """
    items = [str(i) for i in items]
    if len(items) > most:
        items = [*items[:most], languages.fixed("{n} more", n=len(items) - most)]
    comma, join = languages.fixed(", "), languages.fixed(" and ")
    return join.join(filter(None, [comma.join(items[:-1]), *items[-1:]]))


def _unknown(number: float) -> bool:
    """Whether there is no such number: it is missing, or something was divided by nothing."""
    return bool(pd.isna(number) or np.isinf(number))

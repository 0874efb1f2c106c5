"""Numbers in words: one place for thousands, percent, money and dates."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

NBSP = "\u00a0"  # keeps a number and its unit on one line


def count(n: float) -> str:
    """A whole number with thousands separators.

    >>> count(1469307)
    '1,469,307'
    """
    return "not known" if pd.isna(n) else f"{n:,.0f}"


def money(amount: float, currency: str = "") -> str:
    r"""Money, rounded to what matters: 4.58 m, 329 k, 42, 3.21.

    >>> money(4576846.85, "USD"), money(329594), money(-41.8), money(3.211)
    ('4.58\xa0m\xa0USD', '330\xa0k', '-42', '3.21')
    """
    if pd.isna(amount):
        return "not known"
    size = abs(amount)
    if size < 0.005:
        return f"0{NBSP}{currency}".strip(NBSP)
    number = (
        f"{amount / 1e6:,.2f}{NBSP}m"
        if size >= 999_500
        else f"{amount / 1e3:,.0f}{NBSP}k"
        if size >= 9_995
        else f"{round(amount, -1):,.0f}"
        if size >= 1000
        else f"{amount:,.0f}"
        if size >= 10
        else f"{amount:,.2f}"
    )
    return f"{number}{NBSP}{currency}".strip(NBSP)


def percent(share: float, digits: int = 0, signed: bool = False) -> str:
    r"""A share as percent.

    >>> percent(0.166, 1), percent(0.04, signed=True), percent(-0.0001)
    ('16.6\xa0%', '+4\xa0%', '0\xa0%')
    """
    rounded = round(share * 100, digits) + 0.0  # plus nothing: never -0
    return "not known" if pd.isna(share) else f"{rounded:{'+' if signed else ''},.{digits}f}{NBSP}%"


def counted(n: float, thing: str, things: str = "") -> str:
    """How many of a thing, in the singular where it is one.

    >>> counted(1, "order"), counted(2469, "order"), counted(0, "person", "people")
    ('1 order', '2,469 orders', '0 people')
    """
    return f"{count(n)} {thing if n == 1 else things or f'{thing}s'}"


def sentence(text: str) -> str:
    """Text with a full stop at its end, unless it ends with another mark.

    >>> sentence("Sales rise"), sentence("Why?")
    ('Sales rise.', 'Why?')
    """
    return text if text.endswith((".", "?", "!")) else f"{text}."


def day(when: object) -> str:
    """A date as people write it.

    >>> day("2017-12-31")
    '31 December 2017'
    """
    stamp = pd.Timestamp(when)
    return "not known" if pd.isna(stamp) else f"{stamp.day} {stamp:%B %Y}"


def listing(items: Iterable[object], most: int = 5) -> str:
    """A few things in a sentence.

    >>> listing(["bread", "milk", "eggs"]), listing(range(9), most=2)
    ('bread, milk and eggs', '0, 1 and 7 more')
    """
    items = [str(i) for i in items]
    if len(items) > most:
        items = [*items[:most], f"{len(items) - most} more"]
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))

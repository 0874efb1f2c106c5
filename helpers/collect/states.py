"""What states of an order mean: which count, which came to nothing, and which no word is
known for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import pandas as pd
import yaml

MANY = 40  # more states than this are hardly states: the text names the most frequent ones only
_AROUND = "(?:$|[^A-Za-zÀ-ÿ])"


@cache
def words() -> dict[str, list[str]]:
    """The words of order_words.yaml by kind."""
    return yaml.safe_load(
        resources.files("helpers.collect").joinpath("order_words.yaml").read_text(encoding="utf-8")
    )


def pattern(kind: str, before: str = "(?:^|[^A-Za-zÀ-ÿ])", after: str = "") -> str:
    """The words of a kind as a pattern for Python and for the engine; what stands around holds for
    letters only.
    """
    every = words()[kind]
    signs = "|".join(w for w in every if w[0] >= "\u3000")
    letters = f"{before}(?:{'|'.join(w for w in every if w[0] < chr(0x3000))}){after}"
    return f"(?:{letters}|(?:{signs}))" if signs else f"(?:{letters})"


def _found(kind: str, text: str) -> re.Match[str] | None:
    return re.search(pattern(kind, after=_AROUND), text)


def meaning(state: str, way: bool = False) -> str:
    """What a state says of an order's money: "out", "counts", "in part" or "" where no word of it
    is known.

    `way`: the state is that of the goods on their way, where what is pending is paid.

    >>> [meaning(s) for s in ("Cancelled", "Partially refunded", "交易关闭", "Paid", "Contested")]
    ['out', 'in part', 'out', 'counts', '']
    >>> [meaning(s) for s in ("Not paid", "Not cancelled", "Pending shipment", "Order pending", "authorized")]
    ['out', 'counts', 'counts', 'out', 'counts']
    >>> [meaning(s) for s in ("Delivery failed", "Not approved", "Partially paid", "Partially shipped")]
    ['', '', 'in part', 'in part']
    >>> [meaning(s, way=True) for s in ("pending", "Partially shipped")]
    ['counts', 'counts']
    """
    low = re.sub(r"[_\s]+", " ", state.lower()).strip()
    partly = _found("in_part", low)
    if hit := _found("undone", low):
        rest = low.replace(hit[0].strip(), " ", 1)
        if partly:
            return "in part"
        return "counts" if _found("negation", rest) else "" if _found("goods", rest) else "out"
    if hit := _found("not_yet", low):
        rest = low.replace(hit[0].strip(), " ", 1)
        return "counts" if way or _found("negation", rest) or _found("goods", rest) else "out"
    if _found("done", low):
        return "" if _found("negation", low) else "in part" if partly and not way else "counts"
    return ""


def is_back(kind: str) -> bool:
    """Whether a kind of line means that goods came back.

    >>> [is_back(k) for k in ("Refund", "Credit note", "Credit card", "Rückgabe", "Resort")]
    [True, True, False, True, False]
    """
    return re.search(pattern("back"), kind.lower()) is not None


@dataclass
class States:
    """The states in one column: how many lines carry each, by what it means."""

    column: str
    out: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    in_part: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)

    @property
    def known(self) -> list[str]:
        """The states whose meaning is known."""
        return [*self.out, *self.counts]


def read_states(column: str, lines: pd.Series, way: bool = False) -> States:
    """The states of a column by what they mean; `lines` counts the lines of each, the most frequent
    first.
    """
    found = States(column)
    by = {"out": found.out, "counts": found.counts, "in part": found.in_part, "": found.unknown}
    for state, n in lines.items():
        by[meaning(state, way) or ("counts" if way else "")][state] = int(n)
    return found


def listed(states: dict[str, int], unit: str = "line") -> str:
    """States with their lines, as `Paid (12), Shipped (3)`; of very many the most frequent."""
    shown = [f"{s[:40]} ({n:,} {unit}{'s' * (n != 1)})" for s, n in list(states.items())[:MANY]]
    more = len(states) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")

"""Customers by what they are worth: the customer value matrix and ABC classes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.segment.rfm import RULES


def value_lines(people: pd.DataFrame) -> pd.Series:
    """Mean frequency and mean average order value of the customers with an order in the window."""
    return people.loc[people["frequency"] > 0, ["frequency", "aov"]].mean()


def add_value_type(people: pd.DataFrame) -> pd.DataFrame:
    """Add `value_type`: best, frequent, spender or uncertain.

    The customer value matrix crosses purchase frequency with average order value, each split at its
    mean over the customers with an order (Marcus 1998). Without an order, a customer is uncertain.

    >>> add_value_type(pd.DataFrame({"frequency": [9, 1], "aov": [50.0, 10.0]}))["value_type"].tolist()
    ['best', 'uncertain']
    """
    lines = value_lines(people)
    code = pd.Series("", index=people.index).str.cat(
        [(people[c] > lines[c]).map({True: "H", False: "L"}) for c in ("frequency", "aov")]
    )
    return people.assign(
        value_type=code.map({k: v["name"] for k, v in RULES["value_types"].items()})
    )


def actions() -> pd.DataFrame:
    """What each cell of the value matrix asks for: value_type, action; from types.yaml."""
    cells = RULES["value_types"].values()
    return pd.DataFrame(cells).rename(columns={"name": "value_type"})


def add_abc(people: pd.DataFrame, a: float = 0.15, b: float = 0.25) -> pd.DataFrame:
    """Add `abc`: A the first share `a` of the customers with sales, ranked by sales; B the next
    `b`; C the rest.

    Equal sales are never split: they take the lower class, so A and B are never larger than asked
    for.

    >>> add_abc(pd.DataFrame({"monetary": [90.0, 50.0, 50.0, 5.0, 0.0]}), 0.25, 0.25)["abc"].tolist()
    ['A', 'C', 'C', 'C', 'C']
    """
    sales = people["monetary"].where(people["monetary"] > 0)
    place = sales.rank(ascending=False, method="max", pct=True).round(9)
    return people.assign(
        abc=np.select([place <= round(a, 9), place <= round(a + b, 9)], ["A", "B"], "C")
    )

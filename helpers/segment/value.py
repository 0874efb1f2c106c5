"""Customers by what they are worth: the customer value matrix, ABC classes, the Pareto curve."""

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


def tenure_by_abc(people: pd.DataFrame) -> pd.DataFrame:
    """Old and new, long-term and passing customers in each ABC class: one row a class, shares 0 to
    1.

    customers; new, passing and long-term: shares of them; long_term_sales: the part of the class's
    sales that long-term customers bring.
    """
    shares = pd.crosstab(people["abc"], people["standing"], normalize="index")
    shares = shares.reindex(
        index=["A", "B", "C"], columns=["new", "passing", "long-term"], fill_value=0.0
    )
    sales = people["monetary"].groupby(people["abc"]).sum()
    loyal = people.loc[people["standing"] == "long-term", "monetary"].groupby(people["abc"]).sum()
    shares.insert(0, "customers", people["abc"].value_counts())
    long_term = (loyal.reindex(sales.index).fillna(0) / sales.where(sales > 0)).rename(
        "long_term_sales"
    )
    return shares.fillna({"customers": 0}).join(long_term).rename_axis("abc").reset_index()


def pareto(people: pd.DataFrame) -> pd.DataFrame:
    """The share_of_sales (0 to 1) that the best percent_of_customers (0 to 100) with sales
    bring.
    """
    sales = people.loc[people["monetary"] > 0, "monetary"].sort_values(ascending=False)
    if sales.empty:
        return pd.DataFrame({"percent_of_customers": [], "share_of_sales": []})
    percent, best = np.arange(101), np.r_[0.0, sales.cumsum() / sales.sum()]
    return pd.DataFrame(
        {
            "percent_of_customers": percent,
            "share_of_sales": np.interp(percent / 100 * len(sales), np.arange(len(best)), best),
        }
    )

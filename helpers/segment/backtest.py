"""Which sign foretells that an important customer will spend less? A back-test over many earlier
days.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from helpers import stats
from helpers.segment.rfm import add_type, everyone, rfm
from helpers.segment.stage import add_stage, gap_ratios, rhythm
from helpers.segment.value import add_abc, add_value_type

EVERY, MOST = 28, 13  # days between two earlier days, and how many of them at most: about a year
SIGNS = {
    "late by the cut line": lambda people: ~people["r_high"],
    "silent beyond their own rhythm": lambda people: people["stage"].isin(["dormant", "lost"]),
}


class Rules(NamedTuple):
    """What decides the groups: the window in days, the cut lines, the share of gaps that is
    unusual, and the shares of classes A and B.
    """

    window: int
    lines: pd.Series
    unusual: float
    a_share: float = 0.15
    b_share: float = 0.25


def segments_on(orders: ir.Table, customers: pd.DataFrame, day: date, rules: Rules) -> pd.DataFrame:
    """Type, cell of the matrix, class and stage of all customers as they would have been seen on
    `day`.

    From no later order; see `add_type`, `add_value_type`, `add_abc` and `add_stage`.
    """
    people = everyone(rfm(orders, day, rules.window).to_pandas(), customers, day)
    ratios = gap_ratios(orders, day).to_pandas()
    people = add_value_type(add_type(people, rules.lines))
    people = add_abc(people, rules.a_share, rules.b_share)
    return add_stage(people, rhythm(people, ratios, rules.unusual), day)


def past_signs(
    orders: ir.Table, customers: pd.DataFrame, as_of: date, rules: Rules
) -> pd.DataFrame:
    """The important customers on earlier days, the signs they showed, and what they spent
    afterwards.

    One row a day and customer: on, customer_id, one bool column a sign, `since`: sales in the half
    window after that day, and `before`: sales of the window that ended on it, for as many days. The
    days lie four weeks apart; each has a whole window before it and half a window after it.
    """
    half = max(rules.window // 2, 1)
    first = orders.ordered_on.min().to_pandas() + timedelta(days=rules.window - 1)
    days = [as_of - timedelta(days=half + EVERY * k) for k in range(MOST)]
    parts = [
        pd.DataFrame(
            {"on": [], "customer_id": [], "before": [], "since": []} | {sign: [] for sign in SIGNS}
        )
    ]
    for day in (d for d in days if pd.Timestamp(d) >= first):
        then = segments_on(orders, customers, day, rules)
        after = (
            rfm(orders, day + timedelta(days=half), half)
            .to_pandas()
            .set_index("customer_id")["monetary"]
        )
        then = then[then["m_high"]]
        parts.append(
            pd.DataFrame(
                {
                    "on": day,
                    "customer_id": then["customer_id"],
                    "before": then["monetary"] * half / rules.window,
                    "since": then["customer_id"].map(after),
                    **{sign: showed(then) for sign, showed in SIGNS.items()},
                }
            )
        )
    return pd.concat([p for p in parts if len(p)] or parts, ignore_index=True)


def warning_signs(past: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """How well each sign of `past_signs` foretold lower sales, and who shows it in `now`.

    One row a sign. days: on how many days somebody showed it; days_told: on how many of them their
    sales then did worse than those of the other important customers; change and others: of the
    sales of those who showed it and of the others, over all days; extra: the difference, day by
    day, weighted by sales, with the ends low and high of its 90 % interval, by bootstrap over
    customers; customers_now, sales_now; lost_now: how many of these are lost already. Empty where
    nobody showed it.
    """
    rows = []
    for sign, showed in SIGNS.items():
        important = now[now["m_high"] & showed(now)]
        rows.append(
            {
                "sign": sign,
                **_foretold(past, past[sign].astype(bool)),
                "customers_now": len(important),
                "lost_now": (important["stage"] == "lost").sum(),
                "sales_now": important["monetary"].sum(),
            }
        )
    return pd.DataFrame(rows)


def _foretold(past: pd.DataFrame, showed: pd.Series) -> dict[str, float]:
    sums = (
        past.groupby(["on", showed.rename("showed")])[["before", "since"]].sum().unstack("showed")
    )
    sums = sums.reindex(
        columns=pd.MultiIndex.from_product([["before", "since"], [False, True]])
    ).dropna()
    growth = sums["since"] / sums["before"]
    before, since = sums["before"].sum(), sums["since"].sum()
    others, known = growth[False], past[past["on"].isin(sums.index)]
    if not len(known):
        return {"days": 0, "days_told": 0} | dict.fromkeys(
            ["change", "others", "extra", "low", "high"], np.nan
        )
    change, usual = since[True] / before[True], (sums["before", True] * others).sum() / before[True]
    # Each customer's influence on the ratio (Taylor linearisation), all days of one customer
    # together.
    surplus = known["since"] - known["before"] * known["on"].map(others)
    against = -known["on"].map(sums["before", True] / sums["before", False]) * surplus
    own = (
        (surplus - (change - usual) * known["before"])
        .where(showed, against)
        .groupby(known["customer_id"])
        .sum()
    )
    low, high = (
        change - usual + len(own) * end / before[True]
        for end in stats.bootstrap_interval(own.to_numpy())
    )
    return {
        "days": len(sums),
        "days_told": int((growth[True] < others).sum()),
        "change": change - 1,
        "others": usual - 1,
        "extra": change - usual,
        "low": low,
        "high": high,
    }

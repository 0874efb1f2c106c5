"""Frequencies, shares and distributions: what sells, when, where and in what amounts (practices 3.1
and 3.2).
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import stats
from helpers.history import BOUGHT

WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTH_PARTS = {"days 1 to 7": 7, "days 8 to 14": 14, "days 15 to 21": 21, "day 22 to the end": 31}
# edges of basket sizes, any currency
STEPS = [step * 10**power for power in range(6) for step in (1, 2, 5)]
NOT_KNOWN = "not known"


def frequencies(orders: ir.Table, products: ir.Table) -> ir.Table:
    """Lines, orders, customers and revenue by category, the largest revenue first.

    Here and below an order is one that brought goods: what only gives goods back counts with its
    money alone.
    """
    return (
        _with_category(orders, products)
        .group_by("category")
        .agg(
            lines=_.count(where=BOUGHT),
            orders=_.order_id.nunique(where=BOUGHT),
            customers=_.customer_id.nunique(where=BOUGHT),
            revenue=_.revenue.sum().round(2),
        )
        .order_by(ibis.desc("revenue"), "category")
    )


def described(orders: ir.Table, customers: ir.Table) -> ir.Table:
    """Customers and revenue by age band; "not known" holds those whom the client cannot
    describe.
    """
    spent = (
        orders.filter(_.customer_id.notnull()).group_by("customer_id").agg(revenue=_.revenue.sum())
    )
    people = spent.left_join(customers.select("customer_id", "age_band"), "customer_id")
    return (
        people.group_by(age_band=_.age_band.fill_null(NOT_KNOWN))
        .agg(customers=_.count(), revenue=_.revenue.sum().round(2))
        .order_by("age_band")
    )


def by_store(orders: ir.Table) -> ir.Table:
    """Orders and revenue by place of sale, the largest revenue first; orders without a place are
    left out.
    """
    by = orders.filter(_.store_id.notnull()).group_by("store_id")
    sums = by.agg(orders=_.order_id.nunique(where=BOUGHT), revenue=_.revenue.sum().round(2))
    return sums.order_by(ibis.desc("revenue"), "store_id")


def sales_by_day(orders: ir.Table, products: ir.Table) -> ir.Table:
    """Revenue, quantity and orders by day and category, for days and categories with sales."""
    return (
        _with_category(orders, products)
        .group_by("ordered_on", "category")
        .agg(
            revenue=_.revenue.sum().round(2),
            quantity=_.quantity.sum().round(3),
            orders=_.order_id.nunique(where=BOUGHT),
        )
    )


def by_hour(orders: ir.Table) -> ir.Table:
    """Orders by weekday (0 is Monday) and hour of the shop's own clock."""
    at = orders.filter(BOUGHT).group_by("order_id").agg(at=_.ordered_at_local.min())
    return (
        at.group_by(weekday=_.at.day_of_week.index(), hour=_.at.hour())
        .agg(orders=_.count())
        .order_by("weekday", "hour")
    )


def order_values(orders: ir.Table) -> ir.Table:
    """How many orders have which value, in whole units of the currency, and what they add up to.

    The value of an order is what its goods cost when they were bought.
    """
    each = orders.filter(BOUGHT).group_by("order_id").agg(paid=_.revenue.sum().round(2))
    return (
        each.group_by(value=_.paid.floor())
        .agg(orders=_.count(), revenue=_.paid.sum().round(2))
        .order_by("value")
    )


def complete_days(sales: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Every day up to `as_of` with every category, zeros where nothing was sold (table
    `sales_daily`).
    """
    if not len(sales):
        return sales
    days = pd.date_range(sales["ordered_on"].min(), as_of, name="ordered_on")
    grid = pd.MultiIndex.from_product(
        [days, sorted(sales["category"].unique())], names=["ordered_on", "category"]
    )
    known = sales.assign(ordered_on=pd.to_datetime(sales["ordered_on"])).set_index(grid.names)
    return known.reindex(grid, fill_value=0).reset_index()


def daily_total(sales: pd.DataFrame) -> pd.Series:
    """Sales of each day over all categories."""
    return sales.groupby("ordered_on")["revenue"].sum().round(2)


def add_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `share` of revenue and `running_share`, the share of this row and all above it.

    >>> add_shares(pd.DataFrame({"revenue": [6.0, 3.0, 1.0]}))["running_share"].round(1).tolist()
    [0.6, 0.9, 1.0]
    """
    total = frame["revenue"].sum()
    return frame.assign(
        share=frame["revenue"] / total if total else 0.0,
        running_share=frame["revenue"].cumsum() / total if total else 0.0,
    )


def rows_for(shares: pd.DataFrame, part: float) -> int:
    """How many of the largest rows hold this part of revenue.

    >>> rows_for(add_shares(pd.DataFrame({"revenue": [6.0, 3.0, 1.0]})), 0.8)
    2
    """
    return int((shares["running_share"] < part).sum()) + 1 if len(shares) else 0


def full_weeks(daily: pd.Series) -> pd.DataFrame:
    """Sales by week from Monday to Sunday, named by the Monday; weeks that the data hold in part
    are left out.
    """
    weeks = daily.groupby(daily.index.to_period("W-SUN")).agg(["sum", "size"])
    whole = weeks[weeks["size"] == 7]
    return pd.DataFrame({"week": whole.index.start_time, "sales": whole["sum"].to_numpy()})


def by_weekday(daily: pd.Series) -> pd.DataFrame:
    """Mean sales of each weekday with the 90 % interval of the mean; days without sales are left
    out.
    """
    sold = daily[daily > 0]
    return _means(sold, sold.index.day_of_week.map(dict(enumerate(WEEKDAYS))), WEEKDAYS)


def by_month_part(daily: pd.Series) -> pd.DataFrame:
    """Sales by part of the month, relative to what the same weekdays usually sell (1 is usual).

    The interval is that of the mean over months, so a single odd month cannot make it narrow.
    """
    sold = daily[daily > 0]
    usual = sold.groupby(sold.index.day_of_week).transform("mean")
    part = pd.cut(sold.index.day, [0, *MONTH_PARTS.values()], labels=list(MONTH_PARTS)).astype(str)
    months = (sold / usual).groupby([sold.index.to_period("M"), part]).mean()
    return _means(months, months.index.get_level_values(1), list(MONTH_PARTS))


def week_grid(hours: pd.DataFrame, daily: pd.Series) -> pd.DataFrame:
    """Mean orders in each hour of each weekday: weekdays down, hours across."""
    grid = hours.pivot_table("orders", "weekday", "hour", fill_value=0)
    open_at = range(hours["hour"].min(), hours["hour"].max() + 1) if len(hours) else []
    grid = grid.reindex(columns=open_at, fill_value=0)  # an hour without an order is not left off
    days = daily.groupby(daily.index.day_of_week).size()
    return (
        grid.div(days.reindex(grid.index), axis=0)
        .rename(index=dict(enumerate(WEEKDAYS)))
        .rename_axis(None)
    )


def basket_sizes(values: pd.DataFrame) -> pd.DataFrame:
    """Order values in bands on a 1-2-5 scale: share of orders and share of revenue."""
    edges = [-np.inf, *STEPS, np.inf]
    labels = [
        f"below {STEPS[0]:,}",
        *(f"{a:,} to {b:,}" for a, b in pairwise(STEPS)),
        f"from {STEPS[-1]:,}",
    ]
    band = pd.cut(values["value"].astype(float), edges, right=False, labels=labels)
    bands = values.groupby(band, observed=True)[["orders", "revenue"]].sum()
    shares = (
        (bands / bands.sum())
        .add_prefix("share_of_")
        .rename(columns={"share_of_revenue": "share_of_sales"})
    )
    return (
        bands[["orders"]].join(shares).rename_axis("basket").reset_index().astype({"basket": str})
    )


def quantile(values: pd.DataFrame, part: float) -> float:
    """The order value that this part of the orders stays at or below, in whole units of the
    currency.
    """
    reached = values["orders"].cumsum() >= part * values["orders"].sum()
    return float(values.loc[reached, "value"].iloc[0]) if len(values) else float("nan")


def _with_category(orders: ir.Table, products: ir.Table) -> ir.Table:
    joined = orders.left_join(products.select("product_id", "category"), "product_id")
    return joined.mutate(category=joined.category.fill_null(NOT_KNOWN))


def _means(values: pd.Series, groups: pd.Index, order: list[str]) -> pd.DataFrame:
    by = values.groupby(np.asarray(groups)).agg(
        mean="mean", ends=lambda v: stats.bootstrap_interval(v.to_numpy())
    )
    by = by.reindex([name for name in order if name in by.index])
    return pd.DataFrame(
        {
            "part": by.index,
            "mean": by["mean"].to_numpy(),
            "low": [e[0] for e in by["ends"]],
            "high": [e[1] for e in by["ends"]],
        }
    )

"""Cohorts by month of first order, and how many of them come back (practice 3.3)."""

from __future__ import annotations

from datetime import date

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import stats

COLUMNS = ["cohort_on", "period", "customers", "active", "retention", "low", "high", "revenue"]


def cohorts(orders: ir.Table) -> ir.Table:
    """Who of each cohort bought in which month after its first: one row a cohort and month with a
    sale.

    A cohort is everybody with a first order in the same month. `period` counts months since then,
    `active` customers who bought, `customers` the size of the cohort, `revenue` what they paid.
    Lines without a customer are left out, and so are months in which a customer only gave something
    back. One pass brings the rows down to customer and month; joining each customer's first month
    takes half the time of a window.
    """
    monthly = (
        orders.filter(_.customer_id.notnull())
        .group_by("customer_id", month=_.ordered_on.truncate("M"))
        .agg(revenue=_.revenue.sum(), most=_.quantity.max())
        .filter(_.most >= 0)
    )
    first = monthly.join(
        monthly.group_by("customer_id").agg(cohort_on=_.month.min()), "customer_id"
    )
    since = (_.month.year() - _.cohort_on.year()) * 12 + _.month.month() - _.cohort_on.month()
    by = first.group_by("cohort_on", period=since).agg(
        active=_.count(), revenue=_.revenue.sum().round(2)
    )
    return by.mutate(customers=_.active.max().over(group_by="cohort_on")).order_by(
        "cohort_on", "period"
    )


def retention(rows: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Retention of each cohort in each month that is over, with its 90 % interval (table
    `cohorts`).

    Months in which nobody of a cohort bought stand with zero; the month of `as_of` is left out
    while it runs.
    """
    last = (pd.Timestamp(as_of) + pd.Timedelta(days=1)).to_period("M") - 1
    month = pd.PeriodIndex(pd.to_datetime(rows["cohort_on"]), freq="M")
    rows = rows.assign(cohort=month.year * 12 + month.month)
    end = last.year * 12 + last.month
    grid = pd.DataFrame(
        [(c, p) for c in sorted(rows["cohort"].unique()) for p in range(end - c + 1)],
        columns=["cohort", "period"],
    )
    sizes = rows.drop_duplicates("cohort")[["cohort", "cohort_on", "customers"]]
    table = (
        grid.merge(sizes, on="cohort")
        .merge(rows[["cohort", "period", "active", "revenue"]], how="left", on=["cohort", "period"])
        .fillna({"active": 0, "revenue": 0.0})
    )
    table = table.astype({"active": "int64", "customers": "int64"})
    return table.assign(
        retention=table["active"] / table["customers"],
        **stats.share_interval(table["active"], table["customers"]),
    )[COLUMNS]

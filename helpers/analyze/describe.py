"""Sales by day and category, which forecasts, targets and alerts are built on (practice 3.2)."""

from __future__ import annotations

from datetime import date

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers.history import BOUGHT

NOT_KNOWN = "not known"


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


def _with_category(orders: ir.Table, products: ir.Table) -> ir.Table:
    joined = orders.left_join(products.select("product_id", "category"), "product_id")
    return joined.mutate(category=joined.category.fill_null(NOT_KNOWN))

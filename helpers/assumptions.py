"""What steps take for granted, each found in one place: what an order leaves after the goods."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np
from ibis import _

from helpers import history
from helpers.client import Economics

KNOWN = 0.8  # share of sales whose cost must be known, to speak of margin


def with_margin(orders: ir.Table, products: ir.Table, economics: Economics) -> tuple[ir.Table, str]:
    """The order lines with goods, handling and margin (each in currency), and the basis: "margin"
    or "sales".

    goods: by the margin of the settings, else the cost of the line, else of its product; where a
    line's cost is missing, by the mean share. handling: the cost of an order, spread over its
    lines. margin: sales less both. Where the cost of more than a fifth of sales is unknown, the
    basis is sales, and nothing is taken off.
    """
    unit = products.filter(products.unit_cost.notnull()).select("product_id", "unit_cost")
    lines = orders.left_join(unit, "product_id").drop("product_id_right")
    lines = lines.mutate(goods=lines.cost.fill_null(lines.quantity * lines.unit_cost)).drop(
        "unit_cost"
    )
    known = lines.goods.notnull()
    sums = lines.agg(
        sales=lines.revenue.abs().sum(),
        known=lines.revenue.abs().sum(where=known),
        net=lines.revenue.sum(where=known),
        goods=lines.goods.sum(where=known),
    )
    sales, known, net, goods = sums.to_pandas().iloc[0].astype(float).fillna(0.0)
    if economics.margin is not None:
        lines = lines.mutate(goods=_.revenue * (1 - economics.margin))
    elif net > 0 and known >= KNOWN * sales:
        lines = lines.mutate(goods=_.goods.fill_null(_.revenue * (goods / net)))
    else:
        return lines.mutate(goods=0.0, handling=0.0, margin=_.revenue), "sales"
    sold = history.BOUGHT
    parts = (
        sold.sum().over(ibis.window(group_by="order_id"))
        if economics.order_cost
        else ibis.literal(1)
    )
    lines = lines.mutate(handling=sold.ifelse(economics.order_cost / parts.nullif(0), 0.0))
    return lines.mutate(margin=_.revenue - _.goods - _.handling), "margin"


def known_contact_cost(economics: Economics) -> float | None:
    """What one message to one person costs, in currency; None where the settings do not say (0 is
    free, and said).
    """
    return economics.contact_cost if "contact_cost" in economics.model_fields_set else None


def known_margin(orders: ir.Table, products: ir.Table, economics: Economics) -> tuple[float, str]:
    """The share of sales that is left after the goods, and its origin: settings, or data (see
    `with_margin`).

    Where neither knows it, nan and assumed.
    """
    if economics.margin is not None:
        return economics.margin, "settings"
    lines, basis = with_margin(orders, products, economics)
    if basis == "sales":
        return np.nan, "assumed"
    sums = (
        lines.agg(left=(lines.revenue - lines.goods).sum(), sales=lines.revenue.sum())
        .to_pandas()
        .iloc[0]
    )
    share = float(sums["left"] / sums["sales"]) if sums["sales"] > 0 else np.nan
    return (share, "data") if share > 0 else (np.nan, "assumed")

"""The history of customers: what a purchase is, what was known of each customer on a day, what came
after it.

A purchase is a line with a quantity above zero; a return is none, a free article is one. Chapters
that learn from the past make a panel: one row a day of looking and customer. Nothing that happened
after the day may count as known, and only what came after it counts as outcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

BOUGHT = _.quantity > 0


def purchases(orders: ir.Table) -> ir.Table:
    """The lines that a known customer bought."""
    return orders.filter(_.customer_id.notnull(), BOUGHT)


def purchase_days(orders: ir.Table, as_of: date | None = None) -> ir.Table:
    """The days on which each customer bought, up to `as_of`: customer_id and ordered_on, each pair
    once.
    """
    lines = purchases(orders)
    lines = lines if as_of is None else lines.filter(_.ordered_on <= as_of)
    return lines.select("customer_id", "ordered_on").distinct()


def gaps(orders: ir.Table, as_of: date | None = None) -> ir.Table:
    """The days between one purchase day of a customer and the next: customer_id and `gap`."""
    before = _.ordered_on.lag().over(group_by="customer_id", order_by="ordered_on")
    days = purchase_days(orders, as_of).mutate(gap=_.ordered_on.delta(before, unit="day"))
    return days.filter(_.gap.notnull()).select("customer_id", "gap")


def by_day(orders: ir.Table) -> ir.Table:
    """What each customer did on a day in a channel: orders, revenue (returns taken off), goods and
    discount of what was bought, and `back`, the money of returns.
    """
    return (
        orders.filter(_.customer_id.notnull())
        .group_by("customer_id", "ordered_on", "channel")
        .agg(
            orders=_.order_id.nunique(where=BOUGHT),
            revenue=_.revenue.sum(),
            goods=_.revenue.sum(where=BOUGHT).fill_null(0.0),
            discount=_.discount.sum(where=BOUGHT).fill_null(0.0),
            back=(-_.revenue).sum(where=~BOUGHT).fill_null(0.0),
        )
    )


def as_days(days: Iterable[date]) -> ir.Table:
    """The days of a panel as a table with the column `on`."""
    rows = pd.DataFrame({"on": pd.to_datetime(list(days))})
    return ibis.memtable(rows, schema={"on": "timestamp"}).cast({"on": "date"})


def came_after(orders: ir.Table, on: ir.Table, days: int) -> ir.Table:
    """Who bought in the `days` after each day of `on`: `again`, the days with a purchase, and
    `came`, their sales.
    """
    later = by_day(orders).join(on, _.ordered_on > on.on)
    later = later.filter(later.ordered_on.delta(later.on, unit="day") <= days, later.orders > 0)
    return later.group_by("on", "customer_id").agg(
        again=later.ordered_on.nunique(), came=later.revenue.sum()
    )


def messages_before(messages: ir.Table, on: ir.Table, days: int) -> ir.Table:
    """Messages of the `days` up to each day of `on`: `mails` received, `opens`, `clicks`;
    `unsubscribed`: ever left the list.

    Acts count up to the midnight (UTC) before the day, so that none lies after it in any time zone.
    """
    sent = messages.filter(_.customer_id.notnull(), ~_.is_holdout.fill_null(False))
    sent = sent.join(on, sent.sent_at.date() < on.on)
    lately = sent.on.delta(sent.sent_at.date(), unit="day") <= days
    return sent.group_by("on", "customer_id").agg(
        mails=lately.sum(),
        opens=(lately & (sent.opened_at.date() < sent.on)).sum(),
        clicks=(lately & (sent.clicked_at.date() < sent.on)).sum(),
        unsubscribed=(sent.unsubscribed_at.date() < sent.on).any(),
    )

"""Who buys in the next period: what was known of each customer on a day, and what came after it
(practice 3.12).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from importlib import resources
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _

from helpers.history import as_days, by_day, came_after, messages_before, purchases
from helpers.show import words

PURCHASE = yaml.safe_load(
    resources.files(__package__).joinpath("purchase.yaml").read_text(encoding="utf-8")
)
LATELY = 4  # periods that "lately" looks back
MOST_TRAIN, MOST_MIX = 4, 6  # earlier days to learn from; categories whose share is a feature
KEY = ["on", "customer_id"]


class Period(NamedTuple):
    """How far is looked ahead: `days`; gap: the usual gap it was chosen by, nan where it was given,
    0 if unknown.
    """

    days: int
    gap: float

    @property
    def in_words(self) -> str:
        """The choice as a sentence."""
        says = PURCHASE["says"][
            "given" if np.isnan(self.gap) else "period" if self.gap else "no_gap"
        ]
        return says.format(days=self.days, gap=self.gap)


def choose_period(orders: ir.Table, as_of: date, asked: int = 0) -> Period:
    """The number of days `asked`, or with 0 the usual length nearest to the usual gap between days
    with an order.

    The usual gap is the median over customers of their mean gap. A period that the history does not
    hold eight times is not chosen. Lengths stand in purchase.yaml.
    """
    if asked:
        return Period(asked, float("nan"))
    days = purchases(orders).filter(_.ordered_on <= as_of).group_by("customer_id")
    days = days.agg(first=_.ordered_on.min(), last=_.ordered_on.max(), n=_.ordered_on.nunique())
    gaps = days["last"].delta(days["first"], unit="day") / (days.n - 1).nullif(0)
    both = days.agg(gap=gaps.median(), first=days["first"].min()).to_pandas().iloc[0]
    known = not pd.isna(both["first"])
    longest = (pd.Timestamp(as_of) - pd.Timestamp(both["first"])).days / 8 if known else 0
    gap = both["gap"]
    fits = [p for p in PURCHASE["periods"] if p <= longest] or PURCHASE["periods"][:1]
    if pd.isna(gap):
        return Period(fits[-1], 0.0)
    return Period(min(fits, key=lambda p: abs(np.log(p / max(gap, 1)))), float(gap))


def cut_days(orders: ir.Table, as_of: date, period: int) -> list[date]:
    """The days to look from: `as_of`, and back by one period each while two periods of history lie
    before.

    The latest outcome known tests, the one before calibrates, up to four earlier ones teach.
    """
    first = orders.ordered_on.min().to_pandas()
    history = 0 if pd.isna(first) else (pd.Timestamp(as_of) - pd.Timestamp(first)).days
    back = min(history // period - 2, MOST_TRAIN + 2)
    return [as_of - timedelta(days=period * k) for k in range(max(back, 0) + 1)]


def known_on(
    tables: Mapping[str, ir.Table], days: list[date], period: int, as_of: date
) -> pd.DataFrame:
    """What was known of each customer on each of `days`, and what they did in the `period` days
    after it.

    One row a day and customer with an order by then. Nothing that came later counts, but for
    `bought` and `came`, the orders (0 or 1) and sales of the period after the day; both are missing
    where it is not over on `as_of`. Now is the period that ends on the day, lately the last four.
    `tables` holds orders and products; messages and events are used where they hold rows. Features
    are named in purchase.yaml; mix: shares of the largest categories.
    """
    on = as_days(days)
    people = order_history(tables["orders"], on, period).to_pandas()
    largest = (
        largest_categories(tables["orders"], tables["products"], min(days))
        .to_pandas()["category"]
        .tolist()
    )
    parts = [category_mix(tables["orders"], tables["products"], on, period)]
    parts += [signs(tables[n], on, period) for n, signs in SIGNS.items() if n in tables]
    parts += [next_purchases(tables["orders"], on, period)]
    mix = parts.pop(0).to_pandas()
    for rows in [_wide_mix(mix, largest), *(p.to_pandas() for p in parts)]:
        people = people.merge(rows, on=KEY, how="left")
    return _add_measures(people, largest, period, as_of)


def order_history(orders: ir.Table, on: ir.Table, period: int) -> ir.Table:
    """Orders and money of each customer up to each day of `on`; one row a day and customer with an
    order by then.
    """
    both = by_day(orders).join(on, _.ordered_on <= on.on)
    ago, bought = both.on.delta(both.ordered_on, unit="day"), both.orders > 0
    now, before, lately = ago < period, (ago >= period) & (ago < 2 * period), ago < LATELY * period
    found = both.group_by("on", "customer_id").agg(
        first_on=both.ordered_on.min(where=bought),
        last_on=both.ordered_on.max(where=bought),
        order_days=both.ordered_on.nunique(where=bought),
        all_orders=both.orders.sum(),
        all_goods=both.goods.sum(),
        orders_now=both.orders.sum(where=now),
        orders_before=both.orders.sum(where=before),
        orders_lately=both.orders.sum(where=lately),
        sales_now=both.revenue.sum(where=now),
        sales_lately=both.revenue.sum(where=lately),
        goods_lately=both.goods.sum(where=lately),
        given_lately=both.discount.sum(where=lately),
        channels=both.channel.nunique(where=lately & bought),
    )
    return found.filter(_.order_days > 0)


def category_mix(orders: ir.Table, products: ir.Table, on: ir.Table, period: int) -> ir.Table:
    """Sales of the last four periods by day, customer and category."""
    by = purchases(orders).join(products.select("product_id", "category"), "product_id")
    by = by.group_by("customer_id", "ordered_on", "category").agg(sales=_.revenue.sum())
    both = by.join(on, by.ordered_on <= on.on)
    both = both.filter(both.on.delta(both.ordered_on, unit="day") < LATELY * period)
    return both.group_by("on", "customer_id", "category").agg(sales=_.sales.sum())


def largest_categories(orders: ir.Table, products: ir.Table, until: date) -> ir.Table:
    """The categories that had sold most up to a day."""
    by = (
        purchases(orders)
        .filter(_.ordered_on <= until)
        .join(products.select("product_id", "category"), "product_id")
    )
    sums = by.filter(_.category.notnull()).group_by("category").agg(sales=_.revenue.sum())
    return sums.order_by(ibis.desc("sales"), "category").limit(MOST_MIX)


def next_purchases(orders: ir.Table, on: ir.Table, period: int) -> ir.Table:
    """What each customer did in the period after each day of `on`: `bought`, days with an order,
    and `came`, sales.
    """
    return came_after(orders, on, period).rename(bought="again")


def message_signs(messages: ir.Table, on: ir.Table, period: int) -> ir.Table:
    """Messages of the period up to each day: see `messages_before`."""
    return messages_before(messages, on, period).rename(opened="opens", clicked="clicks")


def visit_signs(events: ir.Table, on: ir.Table, period: int) -> ir.Table:
    """Visits and goods put into the cart in the period up to each day, of people who were known by
    then.
    """
    both = events.filter(_.customer_id.notnull()).join(on, _.occurred_at.date() < on.on)
    both = both.filter(both.on.delta(both.occurred_at.date(), unit="day") <= period)
    return both.group_by("on", "customer_id").agg(
        visits=both.session_id.nunique(), carts=(both.event_name == "add_to_cart").sum()
    )


SIGNS = {"messages": message_signs, "events": visit_signs}


def features_of(people: pd.DataFrame) -> list[str]:
    """The features that a frame of `known_on` holds, with the shares of categories."""
    return [c for c in people if c in PURCHASE["features"] or c.startswith("mix: ")]


def say_feature(feature: str) -> str:
    """A feature in words."""
    kind, _colon, category = feature.partition(": ")
    return (
        PURCHASE["mix"].format(category=category)
        if kind == "mix"
        else PURCHASE["features"][feature]
    )


def too_young(tables: Mapping[str, ir.Table], days: list[date], period: int) -> list[str]:
    """Sentences on tables that began after the oldest day that teaches, so that no model can learn
    from them.
    """
    first = {
        "Messages": tables["messages"].sent_at.min().to_pandas(),
        "Visits": tables["events"].occurred_at.min().to_pandas(),
    }
    says = PURCHASE["says"]["young"]
    late = {
        k: v for k, v in first.items() if pd.notna(v) and pd.Timestamp(v) >= pd.Timestamp(days[-1])
    }
    return [says.format(what=k, since=words.day(v), period=period) for k, v in late.items()]


def _wide_mix(mix: pd.DataFrame, largest: list[str]) -> pd.DataFrame:
    mix = mix.assign(sales=mix["sales"].clip(lower=0))
    whole = mix.groupby(KEY).agg(all_sales=("sales", "sum"), categories=("category", "nunique"))
    wide = mix[mix["category"].isin(largest)].pivot_table("sales", KEY, "category", aggfunc="sum")
    wide = wide.reindex(whole.index).reindex(columns=largest).fillna(0.0)
    shares = wide.div(whole["all_sales"].where(whole["all_sales"] > 0), axis=0).add_prefix("mix: ")
    return shares.join(whole["categories"]).reset_index()


def _add_measures(
    people: pd.DataFrame, largest: list[str], period: int, as_of: date
) -> pd.DataFrame:
    counted = [
        "orders_now",
        "orders_before",
        "orders_lately",
        "sales_now",
        "sales_lately",
        "goods_lately",
    ]
    counted += [
        "given_lately",
        "channels",
        "categories",
        "mails",
        "opened",
        "clicked",
        "unsubscribed",
        "visits",
        "carts",
    ]
    counted += [f"mix: {c}" for c in largest]
    p = people.reindex(columns=list(dict.fromkeys([*people.columns, *counted, "bought", "came"])))
    p[counted] = p[counted].astype(float).fillna(0.0).round(6)
    for day in ("on", "first_on", "last_on"):
        p[day] = pd.to_datetime(p[day])
    span, recency = (p["last_on"] - p["first_on"]).dt.days, (p["on"] - p["last_on"]).dt.days
    gap = span / (p["order_days"] - 1).where(p["order_days"] > 1)
    typical = gap.groupby(p["on"]).transform("median").fillna(float(period))
    # with one typical gap added, few orders do not make a rhythm
    usual = (span + typical) / p["order_days"]
    known = p["on"] + pd.Timedelta(days=period) <= pd.Timestamp(as_of)
    goods = p["goods_lately"].where(p["goods_lately"] > 0)
    return p.assign(
        recency=recency.astype(float),
        usual_gap=usual.astype(float),
        overdue=(recency / usual.where(usual > 0)).fillna(0.0).astype(float),
        trend=p["orders_now"] - p["orders_before"],
        average=(p["all_goods"] / p["all_orders"].where(p["all_orders"] > 0))
        .fillna(0.0)
        .astype(float),
        order_days=p["order_days"].astype(float),
        known_days=(p["on"] - p["first_on"]).dt.days.astype(float),
        returned=(1 - p["sales_lately"] / goods).fillna(0.0).clip(0, 1).round(6).astype(float),
        discount=(p["given_lately"] / (p["given_lately"] + goods))
        .fillna(0.0)
        .clip(0, 1)
        .astype(float),
        bought=p["bought"].astype(float).fillna(0.0).clip(upper=1).where(known),
        came=p["came"].astype(float).fillna(0.0).where(known),
    ).sort_values(KEY, ignore_index=True)

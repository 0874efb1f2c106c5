"""Recency, frequency and monetary value (Hughes 1994), and the eight types named in types.yaml."""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _

from helpers import history

RULES = yaml.safe_load(
    resources.files(__package__).joinpath("types.yaml").read_text(encoding="utf-8")
)
VERSION: str = RULES["version"]
LONGEST_WINDOW = 364  # days: 52 whole weeks


def comparable_window(first_on: date, as_of: date, asked: int = 0) -> int:
    """A window in days that fits twice between two days, so that there is a period before to
    compare with.

    The one asked for, cut to fit; with 0 the longest of whole weeks, at most 52 of them.

    >>> year = date(2017, 1, 1), date(2017, 12, 31)
    >>> comparable_window(*year), comparable_window(*year, asked=90), comparable_window(*year, asked=300)
    (182, 90, 182)
    """
    half = max(((as_of - first_on).days + 1) // 2, 1)
    return min(asked, half) if asked > 0 else min(half, LONGEST_WINDOW) // 7 * 7 or half


def rfm(orders: ir.Table, as_of: date, window_days: int) -> ir.Table:
    """One row a customer with an order up to `as_of`: recency, frequency, monetary value and what
    they rest on.

    recency: whole days from the last order to `as_of`, however long ago; frequency and monetary:
    orders, and sales less returns, in the `window_days` days that end on `as_of`; aov: their ratio,
    empty without orders; usual_gap: mean days between the days with an order, empty below two such
    days. A return is no order. Lines without a customer are left out.
    """
    bought, recent = history.BOUGHT, _.ordered_on > as_of - timedelta(days=window_days)
    people = (
        orders.filter(_.customer_id.notnull(), _.ordered_on <= as_of)
        .group_by("customer_id")
        .agg(
            first_on=_.ordered_on.min(where=bought),
            last_on=_.ordered_on.max(where=bought),
            order_days=_.ordered_on.nunique(where=bought),
            frequency=_.order_id.nunique(where=bought & recent),
            monetary=_.revenue.sum(where=recent).fill_null(0.0).round(2),
        )
    )
    return people.mutate(
        recency=ibis.literal(as_of).delta(people.last_on, unit="day"),
        aov=_.monetary / _.frequency.nullif(0),
        usual_gap=_.last_on.delta(_.first_on, unit="day") / (_.order_days - 1).nullif(0),
    )


def everyone(rows: pd.DataFrame, customers: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Add to the rows of `rfm` the customers known by `as_of` who never ordered, with zero orders
    and sales.

    `first_on` becomes the first order or the day the customer was first seen, whichever is earlier.
    """
    seen = pd.to_datetime(customers["first_seen_at"]).dt.normalize()
    known = customers[["customer_id"]].assign(seen=seen)[~(seen > pd.Timestamp(as_of))]
    people = rows.merge(known, on="customer_id", how="outer")
    first, last = pd.to_datetime(people["first_on"]), pd.to_datetime(people["last_on"])
    return people.assign(
        first_on=first.where(~(people["seen"] < first) & first.notna(), people["seen"]),
        last_on=last,
        **{c: people[c].astype(float).fillna(0).astype(int) for c in ("order_days", "frequency")},
        monetary=people["monetary"].astype(float).fillna(0.0),
        aov=people["aov"].astype(float),
        usual_gap=people["usual_gap"].astype(float),
        recency=people["recency"].astype("Int64"),
    ).drop(columns="seen")


def cut_lines(people: pd.DataFrame, cut: str, given: dict[str, float] | None = None) -> pd.Series:
    """Where high begins for recency (days), frequency (orders) and monetary (currency).

    `cut` is "median", "mean", or the share of customers that is low, such as "0.75". Only customers
    with an order in the window count; with none, the lines are empty. ValueError for another `cut`.
    The lines `given` by name (the setting `rfm_cuts`) beat it. Days and orders are whole, so their
    lines are rounded down.
    """
    buyers = people.loc[people["frequency"] > 0, ["recency", "frequency", "monetary"]].astype(float)
    low = 0.5 if cut in ("median", "mean") else float(cut)
    lines = buyers.quantile(low).mask(
        buyers.columns == "recency", buyers["recency"].quantile(1 - low)
    )
    lines = buyers.mean() if cut == "mean" else lines
    lines.update(pd.Series(given or {}, dtype=float))
    return lines.where(lines.index == "monetary", np.floor(lines))


def add_type(people: pd.DataFrame, lines: pd.Series) -> pd.DataFrame:
    """Add r_high, f_high, m_high and the RFM type, `segment`.

    High is a last order at most `lines.recency` days ago, more than `lines.frequency` orders and
    more than `lines.monetary` of sales. Who never ordered is low in all three. Every customer gets
    exactly one type.
    """
    high = {
        "r_high": (people["recency"] <= lines["recency"]).fillna(False).astype(bool),
        "f_high": people["frequency"] > lines["frequency"],
        "m_high": people["monetary"] > lines["monetary"],
    }
    r, f, m = (column.map({True: "H", False: "L"}) for column in high.values())
    name_of = types().set_index("code")["segment"]
    return people.assign(**high, segment=(r + f + m).map(name_of))


def types() -> pd.DataFrame:
    """The eight types in their order: code, segment, recency, frequency and monetary in words,
    action.
    """
    words = {"H": "high", "L": "low"}
    return pd.DataFrame(
        [
            {
                "code": code,
                "segment": t["name"],
                "recency": words[code[0]],
                "frequency": words[code[1]],
                "monetary": words[code[2]],
                "action": t["action"],
            }
            for code, t in RULES["types"].items()
        ]
    )

"""The repeat ladder: the chance of the next order after the first, the second, the third, the wait
(practice 3.18).
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import methods
from helpers.analyze.journeys.survival import at_day, half_time, kaplan_meier
from helpers.history import purchase_days

VERSION = "1"
WATCHED = 10  # customers still asked on the last day, below which the chance is not told
NEWCOMERS = 100  # with fewer, everybody is taken
COLUMNS = [
    "step",
    "customers",
    "again",
    "naive",
    "chance",
    "low",
    "high",
    "wait",
    "wait_low",
    "wait_high",
    "soon",
    "lost",
]


class History(NamedTuple):
    """Order days of customers whose first order is known, and the lengths of time that fit them, in
    days.
    """

    days: ir.Table  # of newcomers, see `newcomers`
    silence: int  # after which a customer counts as stopped
    within: int  # how far the ladder looks
    customers: int  # how many they are
    all_of: int  # how many customers have ordered


def history(orders: ir.Table, customers: ir.Table, as_of: date) -> History:
    """The histories that ladder and retention are made of; see `silence_days`, `newcomers` and
    `ladder_horizon`.
    """
    days = order_days(orders.filter(_.ordered_on <= ibis.literal(as_of, type="date"))).cache()
    first = orders.ordered_on.min().to_pandas()
    first = as_of if pd.isna(first) else pd.Timestamp(first).date()
    silence = silence_days(days, first, as_of)
    new = newcomers(days, customers, first, silence).cache()
    known = (t.customer_id.nunique().to_pandas() for t in (new, days))
    return History(new, silence, ladder_horizon(first, as_of), *map(int, known))


def order_days(orders: ir.Table) -> ir.Table:
    """Days on which each customer bought: customer_id, ordered_on, `n` from 1, `next_on`. Returns
    are no orders.
    """
    bought = purchase_days(orders)
    inside = {"group_by": bought.customer_id, "order_by": bought.ordered_on}
    return bought.mutate(
        n=ibis.row_number().over(**inside) + 1, next_on=bought.ordered_on.lead().over(**inside)
    )


def silence_days(days: ir.Table, first: date, as_of: date) -> int:
    """Days without an order after which a customer counts as stopped: longer than nineteen in
    twenty gaps.

    Each customer weighs alike, however many gaps they have. At least four weeks, and at most a
    quarter of the time that the orders cover.
    """
    span = max((as_of - first).days + 1, 1)
    gaps = days.filter(_.next_on.notnull(), _.next_on <= ibis.literal(as_of, type="date"))
    gaps = gaps.select(
        gap=_.next_on.delta(_.ordered_on, unit="day"),
        weight=1 / _.count().over(group_by="customer_id").cast("float64"),
    )
    counts = gaps.group_by("gap").agg(n=_.weight.sum()).order_by("gap").to_pandas()
    usual = (
        counts.loc[counts["n"].cumsum() >= 0.95 * counts["n"].sum(), "gap"].iloc[0]
        if len(counts)
        else 28
    )
    return int(min(max(usual, 28), max(span // 4, 28)))


def newcomers(days: ir.Table, customers: ir.Table, first: date, silence: int) -> ir.Table:
    """Order days of customers whose first order in the data is likely their first of all.

    They were not seen before the data begin, nor in the first `silence` days. Where there are fewer
    than a hundred of them, everybody's.
    """
    begin = ibis.literal(pd.Timestamp(first).to_pydatetime(), type="timestamp")
    old = (
        customers.filter(_.first_seen_at < begin - ibis.interval(days=1))
        .select("customer_id")
        .distinct()
    )
    new = days.group_by("customer_id").agg(first_on=_.ordered_on.min())
    cut = pd.Timestamp(first) + pd.Timedelta(days=silence)
    new = new.filter(_.first_on >= ibis.literal(cut.date(), type="date")).anti_join(
        old, "customer_id"
    )
    enough = new.count().to_pandas() >= NEWCOMERS
    return days.semi_join(new, "customer_id") if enough else days


def order_waits(days: ir.Table, as_of: date, most: int = 5) -> pd.DataFrame:
    """How long each customer waited, or has waited, after each of their first `most` orders.

    One row a customer and `step`: `days` to the next order, or to `as_of` where none has come
    (`again` False).
    """
    day = ibis.literal(as_of, type="date")
    seen = days.filter(_.n <= most, _.ordered_on <= day)
    came = seen.next_on.notnull() & (seen.next_on <= day)
    rows = seen.select(
        step=seen.n,
        again=came,
        days=came.ifelse(seen.next_on, day).delta(seen.ordered_on, unit="day"),
    )
    return (
        rows.group_by("step", "again", "days")
        .agg(n=_.count())
        .order_by("step", "days", "again")
        .to_pandas()
    )


def repeat_ladder(waits: pd.DataFrame, within: int) -> pd.DataFrame:
    """The chance of the next order `within` so many days, and the time until half have ordered
    again, a row a step.

    `naive` is the share that has done so by now, in which those who came last week count as lost.
    `chance` asks only those who were watched (Kaplan and Meier 1958), with its 90 % interval; it is
    empty where fewer than ten were watched so long without an order. `wait` is the day by which
    half of all have come back, with its interval, `soon` the day by which half of those have who
    come back in time; `lost` = customers x (1 - chance).
    """
    rows = []
    for step, part in waits.groupby("step"):
        each = part.loc[part.index.repeat(part["n"])]
        if len(each) < methods.value("ladder_people"):
            continue
        curve = kaplan_meier(each["days"], each["again"])
        now = at_day(curve, within)
        censored = (~each["again"] & (each["days"] < within)).any()
        watched = (each["days"] >= within).sum() >= WATCHED or not censored
        chance = [1 - now["left"], 1 - now["high"], 1 - now["low"]] if watched else [np.nan] * 3
        half = [half_time(curve, c) for c in ("left", "low", "high")]
        soon = half_time(curve.assign(left=curve["left"] - now["left"] / 2)) if watched else np.nan
        n, again = len(each), int((each["again"] & (each["days"] <= within)).sum())
        rows.append((int(step), n, again, again / n, *chance, *half, soon, n * (1 - chance[0])))
    return pd.DataFrame(rows, columns=COLUMNS)


def ladder_curves(waits: pd.DataFrame, most_days: int, steps: int = 3) -> pd.DataFrame:
    """Share that has ordered again, by weeks since the first, second and third order; one column an
    order.
    """
    weeks = np.arange(0, most_days // 7 + 1)
    wide = pd.DataFrame({"weeks": weeks})
    for step, part in waits[waits["step"] <= steps].groupby("step"):
        each = part.loc[part.index.repeat(part["n"])]
        if len(each) >= methods.value("ladder_people"):
            curve = kaplan_meier(each["days"], each["again"])
            seen = [1 - at_day(curve, 7 * w)["left"] for w in weeks]
            wide[f"after order {step}"] = np.where(7 * weeks <= each["days"].max(), seen, np.nan)
    return wide if len(wide.columns) > 1 else wide.head(0)


def ladder_horizon(first: date, as_of: date) -> int:
    """How far the ladder looks: a quarter of the time that the orders cover, at most half a year,
    in whole weeks.
    """
    return max(min((as_of - first).days // 4, 182) // 7 * 7, 7)


def check_ladder(days: ir.Table, as_of: date, within: int) -> pd.DataFrame:
    """The ladder as it would have stood `within` days ago, beside what then came: a row a step.

    Nobody is told anything that came after that day but the last column. `came` is the share of the
    very same customers who ordered within so many days of the order; all of them have been watched
    so long by now.
    """
    day = (pd.Timestamp(as_of) - pd.Timedelta(days=within)).date()
    said = repeat_ladder(order_waits(days, day), within)
    now = order_waits(days.filter(_.ordered_on <= ibis.literal(day, type="date")), as_of)
    came = now[now["again"] & (now["days"] <= within)].groupby("step")["n"].sum()
    every = now.groupby("step")["n"].sum()
    return said[["step", "customers", "naive", "chance", "low", "high"]].assign(
        came=said["step"].map(came / every)
    )

"""Carts that were filled and left: what became of them, what they were worth, what a reminder
brings (practice 3.4).
"""

from __future__ import annotations

from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from helpers import history, stats
from helpers.analyze.journeys.sessions import JOURNEYS

FATES = JOURNEYS["fates"]


def usual_prices(orders: ir.Table, products: ir.Table, as_of: date) -> ir.Table:
    """What one unit of a product usually brings: sales / units of the last year, else its list
    price.
    """
    lately = orders.filter(
        history.BOUGHT, _.ordered_on > ibis.literal(as_of - timedelta(days=365), type="date")
    )
    paid = lately.group_by("product_id").agg(paid=_.revenue.sum() / _.quantity.sum())
    listed = products.group_by("product_id").agg(listed=_.list_price.max())
    both = paid.outer_join(listed, "product_id")
    return both.select(
        product_id=ibis.coalesce(both.product_id, both.product_id_right),
        price=ibis.coalesce(both.paid, both.listed),
    )


def carts(acts: ir.Table, prices: ir.Table) -> ir.Table:
    """One row a visit in which a cart was filled: person, time of the first and last such act,
    value, how far it came.

    `person` is the customer of the device, where it has shown exactly one, so that a device that
    signed in once is known on all its visits. `value` adds up the usual price of each product put
    in, once: how many units were put in is mostly not told, so it is a lower bound. `bought` marks
    carts bought in the same visit.
    """
    owner = acts.group_by("who").agg(n=_.customer_id.nunique(), owner=_.customer_id.max())
    owner = owner.select("who", customer=(_.n == 1).ifelse(_.owner, ibis.null("string")))
    filled = acts.filter(_.event_name.isin(JOURNEYS["cart"]))
    goods = filled.select("session", "product_id").distinct().join(prices, "product_id")
    worth = goods.group_by("session").agg(value=_.price.sum())
    first = filled.group_by("session", "who").agg(at=_.occurred_at.min())
    then = acts.join(first.select("session", "at"), "session").filter(_.occurred_at >= _.at)
    ends = then.group_by("session").agg(
        last_at=_.occurred_at.max(),
        checkout=_.event_name.isin(JOURNEYS["checkout"]).ifelse(1, 0).max() == 1,
        bought=_.event_name.isin(JOURNEYS["buy"]).ifelse(1, 0).max() == 1,
    )
    rows = first.join(ends, "session").left_join(worth, "session").drop("session_right")
    rows = rows.left_join(owner, "who").drop("who_right")
    return rows.mutate(person=ibis.coalesce(_.customer, _.who), known=_.customer.notnull())


def later_purchases(carts: ir.Table, acts: ir.Table, orders: ir.Table) -> ir.Table:
    """For each cart not bought in its visit, when its person next bought, by acts on the site or by
    any order.

    Orders hold what the site does not track, and what was bought in stores. Columns: session,
    next_at.
    """
    people = carts.select("who", "person").distinct()
    bought = (
        acts.filter(_.event_name.isin(JOURNEYS["buy"]))
        .join(people, "who")
        .select("person", at=_.occurred_at)
    )
    sold = history.purchases(orders).select(person=_.customer_id, at=_.ordered_at)
    both = (
        carts.filter(~_.bought)
        .select("session", "person", since=_.at)
        .join(bought.union(sold), "person")
    )
    return both.filter(both["at"] > both.since).group_by("session").agg(next_at=_["at"].min())


def carts_a_year(
    rows: pd.DataFrame,
    customers: pd.DataFrame,
    experiments: pd.DataFrame,
    rules: object,
    as_of: date,
) -> pd.Series:
    """Carts of a year by the pace of the time seen: `left` in the visit, `lost` in the end, `back`
    by themselves, and their worth (left_value, lost_value). `reachable` counts left carts whose
    owner may be written to and did not buy within a day, each person once a month.

    `rules` are the settings `journeys`, `experiments` what `effects.with_control` gave. `back` is a
    share of left carts without the `reminded`: those that a reminder of the experiment on carts
    reached before their time was over, and later ones of the same people.
    """
    days = (
        max((pd.Timestamp(as_of) + pd.Timedelta(days=1) - pd.to_datetime(rows["at"]).min()).days, 1)
        if len(rows)
        else 1
    )
    judged = rows[rows["fate"] != "open"]
    # the recent ones will fare as the others did
    year = 365 / days * len(rows) / max(len(judged), 1)
    left, lost = judged[judged["fate"] != "visit"], judged[judged["fate"] == "lost"]
    some = left[left["person"].isin(_allowed(customers)) & (left["fate"] != "day")]
    reachable = some.assign(month=pd.to_datetime(some["at"]).dt.to_period("M")).drop_duplicates(
        ["person", "month"]
    )
    sums = {
        "left": len(left),
        "lost": len(lost),
        "left_value": left["value"].sum(),
        "lost_value": lost["value"].sum(),
    }
    found = pd.Series(sums | {"reachable": len(reachable)}, dtype=float) * year
    reminded = pd.to_datetime(left["person"].map(_reminders(experiments, rules.cart_test)))
    told = pd.to_datetime(left["at"]) + pd.Timedelta(days=rules.cart_days) >= reminded
    back = (left.loc[~told, "fate"] != "lost").mean()
    seen = {
        "back": back,
        "reminded": float(told.sum()),
        "carts": float(len(rows)),
        "days": float(days),
    }
    return pd.concat([found, pd.Series(seen)])


def _allowed(customers: pd.DataFrame) -> pd.Series:
    """The customers who may be written to: consent to e-mail is known."""
    return customers.loc[customers["consent_email"].astype("boolean").fillna(False), "customer_id"]


def _tests(experiments: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of experiments whose id holds `name`."""
    has = experiments["experiment_id"].str.contains(name, case=False, regex=False)
    return experiments[has.astype(bool)] if name else experiments[:0]


def _reminders(experiments: pd.DataFrame, name: str) -> dict:
    """When each person was first taken into a treated group of the experiments whose id holds
    `name`.
    """
    ours = _tests(experiments, name)
    treated = ours[ours["variant"] != ours["base"]]
    return (
        treated.assign(at=pd.to_datetime(treated["assigned_at"]))
        .groupby("unit_id")["at"]
        .min()
        .to_dict()
    )


def reminder_effect(experiments: pd.DataFrame, name: str, customers: pd.DataFrame) -> pd.DataFrame:
    """What the client's own experiment on carts brought: one row a variant against the control;
    empty without one.

    `experiments` is what `effects.readable` gave; the experiment is the one whose id holds `name`.
    Only outcomes in money count (JOURNEYS `outcomes`): of others the effect has no price. `effect`
    is the difference of means, `low` and `high` its 90 % interval (Welch 1947), between `treated`
    and `control` people with a known consent to e-mail; all_effect, all_treated and so on are the
    same for everybody in the test. What cannot be told is empty. `enrolled` is how many people with
    consent the test took in, a year.
    """
    parts = ["control", "treated", "effect", "low", "high"]
    columns = [
        "experiment_id",
        "variant",
        "outcome",
        *parts,
        *(f"all_{part}" for part in parts),
        "enrolled",
    ]
    ours, rows = _tests(experiments, name), []
    ours = ours[
        ours["value"].notna()
        & ours["outcome"].str.lower().str.startswith(tuple(JOURNEYS["outcomes"]), na=False)
    ]
    for test, units in ours.groupby("experiment_id"):
        names, base = sorted(units["variant"].unique()), units["base"].iloc[0]
        allowed = units[units["unit_id"].isin(_allowed(customers))]
        taken = pd.to_datetime(units["assigned_at"])
        enrolled = len(allowed) * 365 / max((taken.max() - taken.min()).days + 1, 1)
        for other in (n for n in names if n != base):
            whole = _difference(units, base, other)
            if not np.isnan(whole[2]):
                found = (*_difference(allowed, base, other), *whole)
                rows.append((test, other, units["outcome"].iloc[0], *found, enrolled))
    return pd.DataFrame(rows, columns=columns)


def _difference(units: pd.DataFrame, base: str, other: str) -> tuple[float, ...]:
    """People in `base` and `other`, the difference of their means and its interval; empty with
    fewer than two.
    """
    a, b = (units.loc[units["variant"] == v, "value"].astype(float) for v in (base, other))
    if min(len(a), len(b)) < 2:
        return len(a), len(b), np.nan, np.nan, np.nan
    effect, between = b.mean() - a.mean(), CompareMeans(DescrStatsW(b), DescrStatsW(a))
    ends = (
        between.tconfint_diff(1 - stats.LEVEL, usevar="unequal")
        if a.var() + b.var()
        else (effect, effect)
    )
    return len(a), len(b), effect, *ends

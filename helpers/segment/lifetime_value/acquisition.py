"""What new customers cost to win, and when they have paid it back."""

from __future__ import annotations

from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import history, methods
from helpers.client import Economics

ALL, UNKNOWN = "all", "not known"


def won(people: pd.DataFrame, customers: pd.DataFrame, as_of: date, days: int) -> pd.DataFrame:
    """Add channel, won_on and is_new to the rows of `histories`.

    channel: how the customer came, "not known" where nobody says. won_on: the first order, or the
    day first seen where that is earlier. is_new: won in the last `days` days.
    """
    known = customers[["customer_id", "acquisition_channel", "first_seen_at"]]
    both = people.merge(known, on="customer_id", how="left")
    first = pd.to_datetime(both["first_on"])
    seen = pd.to_datetime(both["first_seen_at"]).dt.normalize()
    both["won_on"] = first.where(~(seen < first), seen)
    both["is_new"] = both["won_on"] > pd.Timestamp(as_of - timedelta(days=days))
    both["channel"] = (
        both["acquisition_channel"]
        .astype("str")
        .where(both["acquisition_channel"].notna(), UNKNOWN)
    )
    return both.drop(columns=["acquisition_channel", "first_seen_at"])


def cost_to_win(
    people: pd.DataFrame, spend: ir.Table, economics: Economics, as_of: date, days: int
) -> pd.DataFrame:
    """What a new customer cost, by channel and for all: channel, new_customers, cost_each, and
    where that comes from.

    `people` is what `won` gives. From the settings; else the advertising of the last `days` days on
    a channel (or campaign) of that name, over the customers that it won then. For all: all
    advertising over all new customers, the unpaid ones too; without any, the mean of the settings.
    Empty where nothing is known.
    """
    new = people.loc[people["is_new"], "channel"].value_counts()
    given = {k.casefold(): v for k, v in economics.acquisition_cost.items()}
    recent = spend.filter(_.spent_on > as_of - timedelta(days=days), _.spent_on <= as_of)
    named = recent.mutate(channel=_.channel.lower(), campaign_id=_.campaign_id.lower())
    ads = named.group_by("channel", "campaign_id").agg(cost=_.cost.sum()).to_pandas()
    rows = []
    for channel in sorted(people["channel"].unique()):
        named = ads[["channel", "campaign_id"]].eq(channel.casefold()).any(axis=1)
        n, cost = int(new.get(channel, 0)), given.get(channel.casefold())
        paid = ads.loc[named, "cost"].sum() / n if n and named.any() else None
        source = "settings" if cost is not None else "advertising" if paid is not None else ""
        rows.append((channel, n, cost if cost is not None else paid, source))
    found = pd.DataFrame(rows, columns=["channel", "new_customers", "cost_each", "source"]).astype(
        {"cost_each": float}
    )
    return pd.concat([_for_all(found, ads["cost"].sum(), given.get(ALL)), found], ignore_index=True)


def cost_by_campaign(
    lines: ir.Table, people: pd.DataFrame, events: ir.Table, spend: ir.Table, as_of: date
) -> pd.DataFrame:
    """What a new customer cost by ad campaign, the dearest last: campaign, days, spend,
    new_customers, cost_each.

    A customer counts for the campaign that brought the visit of the first order (the last click),
    as far as the site's analytics know it. Only the days that both analytics and advertising cover:
    `days`. brought_each: what a new customer has left by the last day of `payback`, of those who
    came through a sales channel that the analytics see.
    """
    seen = events.filter(events.order_id.notnull())
    names = ["campaign", "days", "spend", "new_customers", "cost_each", "brought_each"]
    ends = [_ends(events.occurred_at.date()), _ends(spend.spent_on)]
    first, last = max(e[0] for e in ends), min(e[1] for e in ends)
    if not first <= last:
        return pd.DataFrame(columns=names)
    covered = people[people["won_on"].between(pd.Timestamp(first), pd.Timestamp(last))]
    firsts = (
        history.purchases(lines)
        .group_by("customer_id")
        .agg(order_id=_.order_id.argmin(_.ordered_at), through=_.channel.argmin(_.ordered_at))
        .left_join(seen.group_by("order_id").agg(campaign=_.campaign_id.min()), "order_id")
        .to_pandas()
    )
    came = (
        firsts.loc[firsts["customer_id"].isin(covered["customer_id"]), "campaign"]
        .dropna()
        .map(_bare)
        .value_counts()
    )
    ads = (
        spend.filter(_.spent_on.between(first, last))
        .group_by("campaign_id")
        .agg(spend=_.cost.sum())
        .to_pandas()
    )
    ads = ads.groupby(ads["campaign_id"].map(_bare))["spend"].sum().reset_index(name="spend")
    found = ads.rename(columns={"campaign_id": "campaign"}).assign(
        new_customers=ads["campaign_id"].map(came)
    )
    found["cost_each"], found["days"] = (
        found["spend"] / found["new_customers"],
        (last - first).days + 1,
    )
    online = firsts["through"].isin(firsts.loc[firsts["order_id_right"].notna(), "through"])
    online = payback(
        lines, people[people["customer_id"].isin(firsts.loc[online, "customer_id"])], as_of
    )
    found["brought_each"] = online.loc[online["channel"] == ALL, "money"].tail(1).max()
    return found.dropna(subset="cost_each").sort_values("cost_each", ignore_index=True)[names]


def payback(lines: ir.Table, people: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Mean money that a new customer has left by day since they were won, first order included:
    channel, day, money.

    `people` is what `won` gives. Each day is the mean over those won at least so many days ago, so
    later days rest on fewer of them. One curve a channel and one for all.
    """
    new = people.loc[people["is_new"], ["customer_id", "channel", "won_on"]]
    if new.empty:
        return pd.DataFrame({"channel": [], "day": [], "money": []})
    who = ibis.memtable(
        new.assign(won_on=new["won_on"].dt.date),
        schema={"customer_id": "string", "channel": "string", "won_on": "date"},
    )
    since = (
        lines.select("customer_id", "ordered_on", "margin")
        .filter(_.ordered_on <= as_of)
        .inner_join(who, "customer_id")
    )
    since = since.mutate(day=_.ordered_on.delta(_.won_on, unit="day"))
    since = since.group_by("channel", "day").agg(money=_.margin.sum())
    came, age = since.to_pandas(), (pd.Timestamp(as_of) - new["won_on"]).dt.days
    curves = []
    for channel in [ALL, *sorted(new["channel"].unique())]:
        ages, sums = (
            f if channel == ALL else f[f["channel"] == channel] for f in (new.assign(age=age), came)
        )
        ages = np.sort(ages["age"])
        days = np.arange(ages[-min(methods.value("payback_people"), len(ages))] + 1)
        there = len(ages) - np.searchsorted(ages, days)  # so many were won at least so long ago
        sums = sums.groupby("day")["money"].sum().reindex(days).fillna(0.0).to_numpy()
        curves.append(
            pd.DataFrame({"channel": channel, "day": days, "money": (sums / there).cumsum()})
        )
    return pd.concat(curves, ignore_index=True)


def days_to_pay_back(curve: pd.DataFrame, costs: pd.DataFrame) -> pd.Series:
    """By channel, the first day on which the money of a new customer covers what they cost; empty
    if none does.
    """
    both = curve.merge(costs[["channel", "cost_each"]], on="channel")
    return both[both["money"] >= both["cost_each"]].groupby("channel")["day"].min()


def _for_all(found: pd.DataFrame, paid: float, given: float | None) -> pd.DataFrame:
    known, n = found[found["cost_each"].notna()], found["new_customers"].sum()
    if given is not None:
        cost, source = given, "settings"
    elif paid and n:
        cost, source = paid / n, "all advertising"
    elif known["new_customers"].sum():
        cost = float(np.average(known["cost_each"], weights=known["new_customers"]))
        source = "mean of the channels"
    else:
        cost, source = np.nan, ""
    return pd.DataFrame(
        {"channel": [ALL], "new_customers": [int(n)], "cost_each": [cost], "source": [source]}
    )


def _bare(campaign: str) -> str:
    """The name of a campaign without the names of its parts: "Sale / Sale DE" is "Sale"."""
    return str(campaign).split(" / ")[0].strip()


def _ends(day: ir.DateColumn) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last day; out of order where there is none."""
    first, last = (pd.Timestamp(d.to_pandas()) for d in (day.min(), day.max()))
    return (pd.Timestamp.max, pd.Timestamp.min) if first is pd.NaT else (first, last)

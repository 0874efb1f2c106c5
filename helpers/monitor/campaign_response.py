"""Response to campaigns: who was reached, who came, who used a coupon."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import stats
from helpers.show import words

DAYS_BEFORE = 91  # spend in so many days before a campaign says how good a customer was
# ways to answer a campaign, in words
ANSWERS = {"coupon": "used a coupon", "click": "clicked", "": "answered"}
FIFTHS = ["lowest fifth", "second", "middle", "fourth", "highest fifth"]


def answered_by(messages: ir.Table, redemptions: ir.Table) -> str:
    """How answers are on file: "coupon" where coupons of these campaigns are, else "click", and
    empty where neither.
    """
    if redemptions.semi_join(messages, "campaign_id").count().to_pandas():
        return "coupon"
    return "click" if messages.clicked_at.count().to_pandas() else ""


def reached(
    campaigns: ir.Table, messages: ir.Table, redemptions: ir.Table, how: str = "coupon"
) -> ir.Table:
    """One row a campaign and customer it reached, with `responded`: used a coupon of it, or
    clicked.

    `how` is what `answered_by` gave. Holdouts were not reached and are left out. No rows where
    answers are not on file.
    """
    sent = messages.filter(~_.is_holdout.fill_null(False), ibis.literal(how != ""))
    clicked = sent.filter(_.clicked_at.notnull())
    answers = redemptions if how == "coupon" else clicked
    used = answers.select("campaign_id", "customer_id").distinct().mutate(used=True)
    facts = campaigns.select(
        "campaign_id", "name", "starts_on", "ends_on", audience=_.audience.fill_null("not known")
    )
    return (
        sent.select("campaign_id", "customer_id")
        .distinct()
        .join(facts, "campaign_id")
        .left_join(used, ["campaign_id", "customer_id"])
        .mutate(responded=_.used.fill_null(False))
        .select(
            "campaign_id", "customer_id", "name", "audience", "starts_on", "ends_on", "responded"
        )
    )


def count_responses(people: ir.Table, orders: ir.Table) -> ir.Table:
    """One row a campaign: customers reached, of which shopped while it ran, of which responded."""
    visits = orders.filter(_.customer_id.notnull()).select("customer_id", "ordered_on").distinct()
    during = (
        people.join(visits, "customer_id")
        .filter(_.ordered_on.between(_.starts_on, _.ends_on))
        .select("campaign_id", "customer_id")
        .distinct()
        .mutate(came=True)
    )
    return (
        people.left_join(during, ["campaign_id", "customer_id"])
        .group_by("campaign_id", "name", "audience", "starts_on", "ends_on")
        .agg(reached=_.count(), shopped=_.came.fill_null(False).sum(), responded=_.responded.sum())
        .order_by("starts_on", "campaign_id")
    )


def add_rates(counts: pd.DataFrame, first_on: date, last_on: date) -> pd.DataFrame:
    """Add `rate` with its 90 % interval, and `covered`: the days from first_on to last_on hold the
    whole campaign.
    """
    days = counts[["starts_on", "ends_on"]].apply(pd.to_datetime)
    covered = (days["starts_on"] >= pd.Timestamp(first_on)) & (
        days["ends_on"] <= pd.Timestamp(last_on)
    )
    return with_rate(counts).assign(covered=covered.astype(bool))


def pool_rates(counts: pd.DataFrame, by: str) -> pd.DataFrame:
    """Add up `reached` and `responded` by a column, and take the rate of the sums; highest first.

    >>> two = pd.DataFrame({"audience": ["A", "A"], "reached": [10, 90], "responded": [5, 5]})
    >>> pool_rates(two, "audience")[["reached", "responded", "rate"]].to_numpy().tolist()
    [[100.0, 10.0, 0.1]]
    """
    sums = counts.groupby(by)[["reached", "responded"]].sum().reset_index()
    return with_rate(sums).sort_values("rate", ascending=False, ignore_index=True)


def count_by_earlier_spend(people: ir.Table, orders: ir.Table) -> ir.Table:
    """Customers reached and responding, by audience and `fifth` (0 to 4) of sales before their
    campaign.

    Sales are those a day in the 91 days before the campaign began, or in as many as the orders
    hold.
    """
    daily = orders.group_by("customer_id", "ordered_on").agg(revenue=_.revenue.sum())
    before = (
        people.join(daily, "customer_id")
        .filter(
            _.ordered_on < _.starts_on,
            _.ordered_on >= _.starts_on - ibis.interval(days=DAYS_BEFORE),
        )
        .group_by("campaign_id", "customer_id")
        .agg(spent=_.revenue.sum())
    )
    span = orders.agg(first_on=_.ordered_on.min())
    ranked = people.left_join(before, ["campaign_id", "customer_id"]).cross_join(span)
    days = ibis.least(
        DAYS_BEFORE, ibis.greatest(ranked.starts_on.delta(ranked.first_on, unit="day"), 1)
    )
    ranked = ranked.mutate(a_day=(ranked.spent.fill_null(0.0) / days).round(4))
    order = ibis.window(order_by=["a_day", "customer_id", "campaign_id"])
    return (
        ranked.mutate(fifth=ibis.ntile(5).over(order))
        .group_by("audience", "fifth")
        .agg(reached=_.count(), responded=_.responded.sum())
        .order_by("audience", "fifth")
    )


def with_rate(counts: pd.DataFrame) -> pd.DataFrame:
    """Add `rate` = responded / reached with `low` and `high` of its 90 % Wilson interval."""
    rate = counts["responded"] / counts["reached"].where(counts["reached"] > 0)
    return counts.assign(
        rate=rate.astype(float), **stats.share_interval(counts["responded"], counts["reached"])
    )


def say_types(by_type: pd.DataFrame, wide: pd.DataFrame) -> dict[str, str]:
    """Which type of campaign is answered most, in words: headline, evidence and action of a
    finding.

    `by_type` is what `pool_rates` gave; `wide` holds the rates of types (rows) by fifth of earlier
    sales (columns). Action is empty where the best and the last cannot be told apart.
    """
    best, last = by_type.iloc[0], by_type.iloc[-1]
    name, share = best["audience"], lambda row: words.percent(row["rate"], 1)
    headline = f"{name} is answered by {share(best)} of those it reaches"
    if len(by_type) == 1:
        return {"headline": f"{headline}.", "evidence": "", "action": ""}
    rates = wide.loc[name].dropna() if name in wide.index else pd.Series(dtype=float)
    leads = int((wide[rates.index].idxmax() == name).sum()) if len(rates) else 0
    across = (
        f"It leads in {leads} of {len(rates)} fifths of earlier spending, from "
        f"{words.percent(rates.min(), 1)} to {words.percent(rates.max(), 1)}."
        if len(rates)
        else ""
    )
    return {
        "headline": f"{headline}, {last['audience']} by {share(last)}.",
        "evidence": across,
        "action": f"send a random half of the next audience of {last['audience']} what {name} sends"
        if best["low"] > last["high"]
        else "",
    }

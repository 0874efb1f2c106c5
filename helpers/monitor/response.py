"""Response to campaigns: who was reached, who came, who used a coupon."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import stats

DAYS_BEFORE = 91   # spend in so many days before a campaign says how good a customer was
FIFTHS = {0: "lowest fifth", 1: "second", 2: "middle", 3: "fourth", 4: "highest fifth"}


def reached(campaigns: ir.Table, messages: ir.Table, redemptions: ir.Table) -> ir.Table:
    """One row a campaign and customer it reached, with `responded`: used at least one coupon of it.

    Holdouts were not reached and are left out.
    """
    sent = messages.filter(~_.is_holdout.fill_null(False)).select("campaign_id", "customer_id").distinct()
    used = redemptions.select("campaign_id", "customer_id").distinct().mutate(used=True)
    facts = campaigns.select("campaign_id", "name", "audience", "starts_on", "ends_on")
    return (sent.join(facts, "campaign_id").left_join(used, ["campaign_id", "customer_id"])
            .mutate(responded=_.used.fill_null(False))
            .select("campaign_id", "customer_id", "name", "audience", "starts_on", "ends_on", "responded"))


def count_responses(people: ir.Table, orders: ir.Table) -> ir.Table:
    """One row a campaign: customers reached, of which shopped while it ran, of which responded."""
    visits = orders.filter(_.customer_id.notnull()).select("customer_id", "ordered_on").distinct()
    during = (people.join(visits, "customer_id").filter(_.ordered_on.between(_.starts_on, _.ends_on))
              .select("campaign_id", "customer_id").distinct().mutate(came=True))
    return (people.left_join(during, ["campaign_id", "customer_id"])
            .group_by("campaign_id", "name", "audience", "starts_on", "ends_on")
            .agg(reached=_.count(), shopped=_.came.fill_null(False).sum(), responded=_.responded.sum())
            .order_by("starts_on", "campaign_id"))


def add_rates(counts: pd.DataFrame, first_on: date, last_on: date) -> pd.DataFrame:
    """Add `rate` with its 90 % interval, and `covered`: the days from first_on to last_on hold the whole campaign."""
    days = counts[["starts_on", "ends_on"]].apply(pd.to_datetime)
    covered = (days["starts_on"] >= pd.Timestamp(first_on)) & (days["ends_on"] <= pd.Timestamp(last_on))
    return with_rate(counts).assign(covered=covered.astype(bool))


def pool_rates(counts: pd.DataFrame, by: str) -> pd.DataFrame:
    """Add up `reached` and `responded` by a column, with `campaigns`, and the rate of the sums; highest first.

    >>> two = pd.DataFrame({"audience": ["A", "A"], "reached": [10, 90], "responded": [5, 5]})
    >>> pool_rates(two, "audience")[["campaigns", "reached", "rate"]].to_numpy().tolist()
    [[2.0, 100.0, 0.1]]
    """
    sums = counts.groupby(by).agg(campaigns=("reached", "size"), reached=("reached", "sum"),
                                  responded=("responded", "sum")).reset_index()
    return with_rate(sums).sort_values("rate", ascending=False, ignore_index=True)


def count_by_earlier_spend(people: ir.Table, orders: ir.Table) -> ir.Table:
    """Customers reached and responding by fifth of spend in the 91 days before their campaign (`fifth`, 0 to 4).

    The fifths are cut within each campaign, so that a campaign for good customers does not count as good customers.
    """
    daily = orders.group_by("customer_id", "ordered_on").agg(revenue=_.revenue.sum())
    start = people.starts_on
    before = (people.join(daily, "customer_id")
              .filter(_.ordered_on < _.starts_on, _.ordered_on >= start - ibis.interval(days=DAYS_BEFORE))
              .group_by("campaign_id", "customer_id").agg(spend=_.revenue.sum().round(2)))
    ranked = people.left_join(before, ["campaign_id", "customer_id"]).mutate(spend=_.spend.fill_null(0.0))
    cut = ibis.window(group_by="campaign_id", order_by=["spend", "customer_id"])
    return (ranked.mutate(fifth=ibis.ntile(5).over(cut)).group_by("fifth")
            .agg(reached=_.count(), responded=_.responded.sum(), spend=_.spend.mean().round(2)).order_by("fifth"))


def with_rate(counts: pd.DataFrame) -> pd.DataFrame:
    """Add `rate` = responded / reached with `low` and `high` of its 90 % Wilson interval."""
    rate = counts["responded"] / counts["reached"].where(counts["reached"] > 0)
    return counts.assign(rate=rate.astype(float), **stats.share_interval(counts["responded"], counts["reached"]))

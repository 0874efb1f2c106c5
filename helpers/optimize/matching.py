"""The effect of a campaign without an experiment: like is compared with like, and the method is put
to a test.

Customers that a campaign reached are paired with customers it did not reach who were as likely to
be reached (propensity score, Rosenbaum and Rubin 1983), and the change of the one is set against
that of the other (difference in differences).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from helpers import methods, stats
from helpers.client import PlaybookError
from helpers.history import BOUGHT
from helpers.show import words

COVARIATES = [
    "sales_before",
    "sales_recent",
    "orders_before",
    "orders_recent",
    "recency",
    "discount_share",
    "campaigns_before",
    "campaigns_alongside",
    "redemptions_before",
]
DOUBTS = {
    "before and after": (
        "anything else that changed with the calendar counts as the campaign's work"
    ),
    "reached against all others": (
        "the campaign was sent to good customers, who would have bought more anyway"
    ),
    "matched pairs": (
        "pairs are alike only in what was recorded, and customers without a twin are left out"
    ),
    "matched pairs, period before": (
        "a check: the campaign had not begun, so an honest method finds about nothing"
    ),
}
METHODS = list(DOUBTS)
# a pair differs by at most so many standard deviations of the score's logit (Austin 2011)
CALIPER = 0.2
NEAREST = 50  # so many candidates above and below are looked at for each customer
ALONGSIDE = 28  # another campaign counts as alongside when it began up to so many days before


@dataclass(frozen=True)
class Window:
    """A campaign, the day it began, and how many days of sales to count before and after."""

    campaign_id: str
    starts_on: date
    days: int

    def earlier(self) -> Window:
        """The same length of time just before, when the campaign cannot have had an effect."""
        return replace(self, starts_on=self.starts_on - timedelta(days=self.days))


NO_WINDOW = Window("", date(1900, 1, 1), 1)  # before all data: no customer has a history


def contacts(campaigns: ir.Table, messages: ir.Table) -> ir.Table:
    """One row a campaign and customer it reached, with the campaign's name, audience and
    first day.
    """
    sent = (
        messages.filter(~_.is_holdout.fill_null(False))
        .select("campaign_id", "customer_id")
        .distinct()
    )
    return sent.join(
        campaigns.select("campaign_id", "name", "audience", "starts_on"), "campaign_id"
    ).select("campaign_id", "customer_id", "name", "audience", "starts_on")


def before_after(orders: ir.Table, people: ir.Table, days: int) -> ir.Table:
    """Sales of the reached in the `days` from a campaign's start less those in the `days` before, a
    customer.

    One row a campaign: customers, change, spread (standard deviation), and the days that were
    counted.
    """
    daily = orders.group_by("customer_id", "ordered_on").agg(revenue=_.revenue.sum())
    near = people.join(daily, "customer_id").mutate(day=_.ordered_on.delta(_.starts_on, unit="day"))
    near = near.filter(_.day >= -days, _.day < days)
    signed = near.mutate(signed=ibis.ifelse(_.day < 0, -1.0, 1.0) * _.revenue)
    each = signed.group_by("campaign_id", "customer_id").agg(change=_.signed.sum())
    return (
        people.left_join(each, ["campaign_id", "customer_id"])
        .mutate(change=_.change.fill_null(0.0).round(2))
        .group_by("campaign_id", "name", "audience", "starts_on")
        .agg(customers=_.count(), change=_.change.mean().round(4), spread=_.change.std().round(4))
        .order_by("starts_on", "campaign_id")
    )


def with_room(campaigns: pd.DataFrame, first_on: date, last_on: date, days: int) -> pd.DataFrame:
    """The campaigns with `days` of data after their start and twice as many before it; the largest
    first.

    `campaigns` is what `before_after` gave; `low` and `high` of the 90 % interval of the change are
    added.
    """
    start, span = pd.to_datetime(campaigns["starts_on"]), pd.Timedelta(days=days)
    room = (start - 2 * span >= pd.Timestamp(first_on)) & (
        start + span <= pd.Timestamp(last_on) + pd.Timedelta(days=1)
    )
    half = stats.Z * campaigns["spread"] / np.sqrt(campaigns["customers"])
    known = campaigns.assign(low=campaigns["change"] - half, high=campaigns["change"] + half)[room]
    return known.sort_values(["customers", "starts_on"], ascending=False, ignore_index=True)


def choose_window(roomy: pd.DataFrame, campaign: str, days: int) -> Window:
    """The window of the named campaign, or of the largest one; NO_WINDOW where none is large
    enough.

    `roomy` is what `with_room` gave. Raises PlaybookError for a campaign that is not in it.
    """
    large = roomy[roomy["customers"] >= methods.value("campaign_people")]
    if campaign and campaign not in set(large["campaign_id"]):
        raise PlaybookError(
            f'campaign "{campaign}" cannot be compared over {days} days. '
            f"Choose one of {', '.join(large['campaign_id']) or 'none'}, or set fewer days."
        )
    chosen = large[large["campaign_id"] == campaign] if campaign else large
    if chosen.empty:
        return NO_WINDOW
    return Window(
        chosen["campaign_id"].iloc[0], pd.Timestamp(chosen["starts_on"].iloc[0]).date(), days
    )


def customer_history(
    orders: ir.Table, people: ir.Table, redemptions: ir.Table, window: Window
) -> ir.Table:
    """One row a customer who bought before the window: what was known of them, and `sales_after`.

    `reached` says whether the campaign reached them. Sales and orders `_before` are averages over
    all earlier days, scaled to the length of the window; `_recent` are those of the window's length
    just before.
    """
    start, span = window.starts_on, timedelta(days=window.days)
    known = orders.filter(_.customer_id.notnull())
    past = known.ordered_on < start
    recent = (known.ordered_on < start) & (known.ordered_on >= start - span)
    after = (known.ordered_on >= start) & (known.ordered_on < start + span)
    bought = BOUGHT.resolve(known)
    length = known.filter(past).agg(first_on=_.ordered_on.min())
    each = known.group_by("customer_id").agg(
        sales_all=known.revenue.sum(where=past).round(2),
        sales_recent=known.revenue.sum(where=recent).fill_null(0.0).round(2),
        orders_all=known.order_id.nunique(where=past & bought),
        orders_recent=known.order_id.nunique(where=recent & bought),
        discounted=known.revenue.sum(where=past & (known.discount > 0)).fill_null(0.0).round(2),
        last_on=known.ordered_on.max(where=past),
        sales_after=known.revenue.sum(where=after).fill_null(0.0).round(2),
    )
    each = each.filter(_.last_on.notnull(), _.sales_all > 0).cross_join(length)
    scale = window.days / ibis.literal(start).delta(each.first_on, unit="day")
    each = each.select(
        "customer_id",
        "sales_recent",
        "orders_recent",
        "sales_after",
        sales_before=(each.sales_all * scale).round(2),
        orders_before=(each.orders_all * scale).round(4),
        recency=ibis.literal(start).delta(each.last_on, unit="day"),
        discount_share=(each.discounted / each.sales_all).round(4),
    )
    other = people.filter(_.campaign_id != window.campaign_id)
    near = (other.starts_on >= start - timedelta(days=ALONGSIDE)) & (other.starts_on < start + span)
    counts = other.group_by("customer_id").agg(
        campaigns_before=(other.starts_on < start).sum(), campaigns_alongside=near.sum()
    )
    used = (
        redemptions.filter(_.redeemed_on < start)
        .group_by("customer_id")
        .agg(redemptions_before=_.count())
    )
    ours = people.filter(_.campaign_id == window.campaign_id).select("customer_id", reached=True)
    joined = each.left_join(counts, "customer_id").drop("customer_id_right")
    joined = (
        joined.left_join(used, "customer_id")
        .drop("customer_id_right")
        .left_join(ours, "customer_id")
    )
    zero = {
        c: joined[c].fill_null(0)
        for c in ("campaigns_before", "campaigns_alongside", "redemptions_before")
    }
    return (
        joined.mutate(**zero, reached=_.reached.fill_null(False))
        .select("customer_id", "reached", *COVARIATES, "sales_after")
        .order_by("customer_id")
    )


def share_reached(history: pd.DataFrame) -> pd.DataFrame:
    """Share of customers that the campaign reached, by `tenth` of earlier sales: 1 spent least, 10
    most.
    """
    tenth = np.ceil(history["sales_before"].rank(method="first", pct=True) * 10).astype(int)
    return history.groupby(tenth.rename("tenth"))["reached"].mean().rename("share").reset_index()


def match_pairs(history: pd.DataFrame) -> pd.DataFrame:
    """Pair each reached customer with a like one who was not reached: columns reached, other (row
    labels).

    Each customer is used once, the closest pairs are made first, and those without a twin are left
    out.
    """
    if history["reached"].nunique() < 2:
        return pd.DataFrame(columns=["reached", "other"])
    plain = history[COVARIATES].astype(float)
    known = np.sign(plain) * np.log1p(plain.abs())  # returns make sales negative
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
        known, history["reached"]
    )
    # Rounded, so that the order of additions in the engine or in a library cannot change who is
    # paired with whom.
    logit = pd.Series(model.decision_function(known), history.index).round(6)
    ours, others = (
        logit[history["reached"] == side].sort_values(kind="stable") for side in (True, False)
    )
    place = np.searchsorted(others, ours)[:, None] + np.arange(-NEAREST, NEAREST)
    inside = (place >= 0) & (place < len(others))
    gap = np.abs(ours.to_numpy()[:, None] - others.to_numpy()[place.clip(0, len(others) - 1)])
    mine, at = np.nonzero(inside & (gap <= CALIPER * logit.std()))
    pairs, taken = {}, set()
    for k in np.argsort(gap[mine, at], kind="stable"):
        i, other = int(mine[k]), int(place[mine[k], at[k]])
        if i not in pairs and other not in taken:
            pairs[i] = other
            taken.add(other)
    return pd.DataFrame(
        {"reached": ours.index[list(pairs)], "other": others.index[list(pairs.values())]}
    )


def balance(history: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Standardised mean difference, reached less others, of each covariate before and after
    matching.

    In standard deviations: the root mean of the two groups' variances before matching, in both
    columns.
    """
    ours, others = (
        history.loc[history["reached"] == side, COVARIATES].astype(float) for side in (True, False)
    )
    spread = np.sqrt((ours.var() + others.var()) / 2)
    spread = spread.where(spread > 0)
    left = (
        history.loc[pairs["reached"], COVARIATES].mean()
        - history.loc[pairs["other"], COVARIATES].mean()
    )
    table = pd.DataFrame({"before": (ours.mean() - others.mean()) / spread, "after": left / spread})
    return table.dropna(subset="before").rename_axis("covariate").reset_index()


def pair_differences(history: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """For each pair, how much more the reached customer's sales changed than the other's
    (currency).
    """
    change = (history["sales_after"] - history["sales_before"]).astype(float)
    return change.loc[pairs["reached"]].to_numpy() - change.loc[pairs["other"]].to_numpy()


def estimate_effects(history: pd.DataFrame, placebo: pd.DataFrame) -> pd.DataFrame:
    """Four ways to say what a campaign brought a customer, the naive ones first (table
    `campaign_effects`).

    `history` is that of the campaign's window, `placebo` that of the same length of time just
    before.
    """
    columns = ["method", "customers", "effect", "low", "high", "balance", "doubt"]
    ours, others = history[history["reached"]], history[~history["reached"]]
    if ours.empty or others.empty:
        return pd.DataFrame(columns=columns)
    pairs, false_pairs = match_pairs(history), match_pairs(placebo)
    left = balance(history, pairs)[["before", "after"]].abs().max()
    own = (ours["sales_after"] - ours["sales_recent"]).to_numpy()
    values = {
        "before and after": (own, np.nan),
        "matched pairs": (pair_differences(history, pairs), left["after"]),
        "matched pairs, period before": (
            pair_differences(placebo, false_pairs),
            balance(placebo, false_pairs)["after"].abs().max(),
        ),
    }
    rows = {
        m: (len(v), v.mean() if len(v) else np.nan, *stats.bootstrap_interval(v), worst)
        for m, (v, worst) in values.items()
    }
    raw = CompareMeans(DescrStatsW(ours["sales_after"]), DescrStatsW(others["sales_after"]))
    rows["reached against all others"] = (
        len(ours),
        raw.d1.mean - raw.d2.mean,
        *raw.tconfint_diff(1 - stats.LEVEL, usevar="unequal"),
        left["before"],
    )
    return pd.DataFrame([(m, *rows[m], doubt) for m, doubt in DOUBTS.items()], columns=columns)


def say_effect(effects: pd.DataFrame, currency: str) -> dict[str, str]:
    """What the four estimates say together, in words: headline and evidence of a finding."""
    rows = {r.method: r for r in effects.itertuples()}
    plain, raw, pairs, check = (rows[m] for m in DOUBTS)
    span = f"{words.money(pairs.low)} to {words.money(pairs.high, currency)}"
    clear = pairs.low > 0 or pairs.high < 0
    headline = (
        f"The campaign moved sales by {words.money(pairs.effect, currency)} a customer ({span})."
        if clear
        else f"Whether the campaign brought extra sales cannot be told: {span} a customer."
    )
    passed = check.low <= 0 <= check.high
    alike = pairs.balance < methods.value("balanced")
    trial = (
        "On the time before the campaign, where the truth is zero, it finds"
        f" {words.money(check.low)} to {words.money(check.high)}:"
        f" {'it passes' if passed else 'it fails, so do not trust it'}."
    )
    return {
        "headline": headline,
        "evidence": (
            f"Before and after says {words.money(plain.effect)}, the reached against all others"
            f" {words.money(raw.effect)}; neither is an effect. {pairs.customers:,} of"
            f" {plain.customers:,} reached customers have a twin. {trial} The largest difference"
            f" left within pairs is {pairs.balance:.2f} standard"
            f" deviations{'' if alike else ', more than one would wish'}."
        ),
    }

"""Member tiers: who is in which, what their benefits cost beside what members leave, who could
rise.
"""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources
from itertools import pairwise

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _

from helpers import stats
from helpers.client import Tier
from helpers.segment.profiles import answers, service

RULES = yaml.safe_load(
    resources.files(__package__).joinpath("tiers.yaml").read_text(encoding="utf-8")
)
NONE: str = RULES["none"]
YEAR = 365  # days
# days of orders from which a year is told; fewer count as so many, for a day's pace is no year's
SHORT = 28
NEAR = 0.10  # of the next threshold: who lacks no more is near it


def yearly(lines: ir.Table, first_on: date, as_of: date) -> pd.DataFrame:
    """customer_id, yearly_sales and, where the lines have a margin, yearly_margin: returns taken
    off, in currency.

    Of the 365 days that end on `as_of`. Where the orders begin (`first_on`) later than that, what
    it would be in a whole year at the same pace, four weeks at least taken for the pace.
    """
    days = min(max((as_of - first_on).days + 1, SHORT), YEAR)
    sums = {"yearly_sales": _.revenue.sum().fill_null(0.0)}
    sums |= {"yearly_margin": _.margin.sum().fill_null(0.0)} if "margin" in lines.columns else {}
    year = lines.filter(
        _.customer_id.notnull(), _.ordered_on.between(as_of - timedelta(days=days - 1), as_of)
    )
    found = year.group_by("customer_id").agg(**sums).to_pandas()
    return found.assign(**{c: (found[c].astype(float) * YEAR / days).round(2) for c in sums})


def propose_tiers(yearly: pd.Series) -> list[Tier]:
    """The tiers of tiers.yaml with round thresholds, such as to hold about the shares named there.

    Of the customers with sales only. A tier whose threshold is no higher than the one below is left
    out.

    >>> [(t.name, t.sales) for t in propose_tiers(pd.Series(range(1, 1001)))]
    [('plain', 0.0), ('silver', 600.0), ('gold', 800.0), ('diamond', 1000.0)]
    """
    sales, tiers = yearly[yearly > 0].astype(float), []
    for rule in RULES["proposal"]:
        line = (
            0.0
            if rule["share"] >= 1
            else _round(sales.quantile(1 - rule["share"]))
            if len(sales)
            else 0.0
        )
        if not tiers or line > tiers[-1].sales:
            tiers.append(
                Tier(name=rule["name"], sales=line, benefit=rule["benefit"], perks=rule["perks"])
            )
    return tiers


def add_tier(people: pd.DataFrame, tiers: list[Tier]) -> pd.DataFrame:
    """Add `tier`: the highest whose threshold `yearly_sales` reach. Every customer gets exactly
    one.

    Who has no sales, or more returns than sales, counts with zero; below the lowest threshold
    stands "no tier".
    """
    sales = people["yearly_sales"].astype(float).fillna(0.0)
    place = np.searchsorted([t.sales for t in tiers], sales.clip(lower=0), side="right")
    names = pd.Series([NONE, *(t.name for t in tiers)], dtype="str")
    return people.assign(yearly_sales=sales, tier=names.iloc[place].set_axis(people.index))


def add_year(
    people: pd.DataFrame, sources: dict[str, ir.Table], first_on: date, as_of: date
) -> pd.DataFrame:
    """Add what each customer's year left and took: yearly_margin, contacts, cases, costed,
    case_cost.

    sources: lines (of `with_margin`), messages, redemptions and tickets; see `yearly`, `answers`
    and `service`.
    """
    begin = as_of - timedelta(days=YEAR - 1)
    year = yearly(sources["lines"], first_on, as_of)[["customer_id", "yearly_margin"]]
    asked = answers(sources["messages"], sources["redemptions"], begin, as_of).to_pandas()
    cases = service(sources["tickets"], begin, as_of).to_pandas()
    for more in (
        year,
        asked[["customer_id", "contacts"]],
        cases[["customer_id", "cases", "costed", "case_cost"]],
    ):
        people = people.merge(more, on="customer_id", how="left")
    added = ["yearly_margin", "contacts", "cases", "costed", "case_cost"]
    return people.assign(**{c: people[c].astype(float).fillna(0.0) for c in added})


def ways_up(people: pd.DataFrame, tiers: list[Tier]) -> pd.DataFrame:
    """Who could rise: one row a tier with one above it, the lowest first.

    near: members with an order in the window who lack at most a tenth of the next threshold, or one
    order of their usual size (`aov`); missing: the sales that all of these lack, in currency;
    orders: how many of their usual orders the typical one of them lacks; extra_margin: what the
    missing sales leave at the client's mean margin; extra_benefits: what the higher tier gives them
    beyond the lower in a year; pays: the one exceeds the other. It says what it would take, not
    that a nudge brings it.
    """
    steps = [Tier(name=NONE), *tiers] if tiers and tiers[0].sales > 0 else tiers
    rate, rows = people["yearly_margin"].sum() / (people["yearly_sales"].sum() or np.nan), []
    for low, high in pairwise(steps):
        mine = people[people["tier"] == low.name]
        gap = high.sales - mine["yearly_sales"].clip(lower=0)
        near = mine[(mine["frequency"] > 0) & (gap <= mine["aov"].clip(lower=NEAR * high.sales))]
        sales, gap = near["yearly_sales"].clip(lower=0), gap[near.index]
        costs = high.fixed - low.fixed + high.benefit * high.sales - low.benefit * sales
        orders = np.ceil(np.ceil(gap / near["aov"].where(near["aov"] > 0)).median())
        rows.append(
            (
                low.name,
                high.name,
                len(mine),
                len(near),
                gap.sum(),
                orders,
                rate * gap.sum(),
                costs.sum(),
            )
        )
    names = [
        "tier",
        "next_tier",
        "members",
        "near",
        "missing",
        "orders",
        "extra_margin",
        "extra_benefits",
    ]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(pays=table["extra_margin"] > table["extra_benefits"])


def large_enough(
    then: pd.DataFrame, now: pd.DataFrame, tiers: list[Tier], lift: float = 0.10
) -> pd.DataFrame:
    """Whether each tier holds enough members to see what its benefits do, and whether members stay
    in it.

    then: customer_id, tier and monetary (sales) one window ago; now: customer_id, tier, and pace,
    the sales since at a yearly pace. One row a tier above the lowest, and one for all of these
    together: members; stayed, the share of those in it then whose pace since reached it again;
    needed, the members that show a rise of their sales by the share `lift` in a test as long as the
    window, half of them without the benefits; enough. Two-sided at 5 %, power 80 % (Cohen 1988);
    mean and spread are of those in it then, the spread around what their earlier sales foretell, as
    a test would take them into account (Deng et al. 2013).
    """
    rows, pace = [], now.set_index("customer_id")["pace"]
    groups = [(t.name, [t.name], t.sales) for t in tiers[1:]]
    if len(groups) > 1:
        every = [t.name for t in tiers[1:]]
        groups.append((RULES["all"].format(lowest=tiers[0].name), every, tiers[1].sales))
    for name, held, threshold in groups:
        past = then[then["tier"].isin(held)]
        sales = past["customer_id"].map(pace).astype(float).fillna(0.0)
        alike = (
            sales.corr(past["monetary"])
            if min(sales.nunique(), past["monetary"].nunique()) > 1
            else 0.0
        )
        known, spread = len(sales) > 1 and sales.mean() > 0, sales.std() * np.sqrt(1 - alike**2)
        needed = np.ceil(2 * stats.size_means(lift * sales.mean(), spread)) if known else np.nan
        stayed = (sales >= threshold).mean() if len(sales) else np.nan
        rows.append((name, now["tier"].isin(held).sum(), stayed, needed))
    table = pd.DataFrame(rows, columns=["tier", "members", "stayed", "needed"])
    return table.assign(enough=table["members"] >= table["needed"])


def member_cards(memberships: ir.Table, as_of: date) -> ir.Table:
    """Paid cards and stored value on a day: one row a tier as the loyalty programme records it
    (empty for none).

    members; fees paid in the year before; stored_value: money paid in and not yet spent, which the
    client owes; points not yet spent.
    """
    past = memberships.filter(_.happened_at < as_of + timedelta(days=1))
    year = _.happened_at >= as_of - timedelta(days=YEAR - 1)
    sums = past.group_by("customer_id").agg(
        tier=_.tier.argmax(_.happened_at, where=_.tier.notnull()),
        fees=_.fee.sum(where=year),
        stored_value=_.stored_value.sum(),
        points=_.points.sum(),
    )
    return (
        sums.group_by(tier=_.tier.fill_null(""))
        .agg(
            members=_.count(),
            fees=_.fees.sum(),
            stored_value=_.stored_value.sum(),
            points=_.points.sum(),
        )
        .order_by(ibis.desc("members"), "tier")
    )


def _round(amount: float) -> float:
    """The nearest round amount, by ratio."""
    amount = max(amount, 0.01)
    power = 10.0 ** np.floor(np.log10(amount))
    steps = np.array([*RULES["round"], 10]) * power
    return float(steps[np.abs(np.log(steps / amount)).argmin()])

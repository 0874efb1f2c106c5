"""Whom is it worth contacting: the cut-off chosen on one period and judged on the next (practice 3.12)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import norm

from helpers import stats
from helpers.analyze.purchase import PURCHASE
from helpers.analyze.purchase_models import WAYS, Race
from helpers.client import Economics
from helpers.show import words

DRAWS = 300  # of the bootstrap
RESPONSE = 28  # days in which a message is said to have worked
HELD_OUT = 100  # messages held back, and as many sent, from which their difference says anything
PLANS = [
    "plan",
    "cut",
    "customers",
    "contacted",
    "buyers",
    "profit",
    "low",
    "high",
    "beyond",
    "beyond_low",
    "beyond_high",
]
ALL, NONE, LAST = "everybody", "nobody", "who bought last period"


class Shown(NamedTuple):
    """What messages held back at random show that a message adds, with its 90 % interval.

    added, low and high: as a share of what those held back spend in a period; money: sales a message, in currency, in
    the `days` that followed it.
    """

    added: float
    low: float
    high: float
    money: float
    held: int
    sent: int
    days: int

    def replaces(self, assumed: float) -> bool:
        """Whether it knows better than an assumption that is as uncertain as it is large."""
        return min(self.held, self.sent) >= HELD_OUT and (self.high - self.low) / 2 <= assumed

    def in_words(self, currency: str, replaces: bool) -> str:
        """What was held back and what it shows, as a sentence; or what a test would have to be."""
        shares = {k: words.percent(getattr(self, k), 1) for k in ("added", "low", "high")}
        kind = "shown" if replaces else "shown_unsure" if np.isfinite(self.added) else "not_shown"
        figures = {"held": words.count(self.held), "sent": words.count(self.sent), "days": self.days}
        return PURCHASE["says"][kind].format(money=words.money(self.money, currency), **figures, **shares)


class Terms(NamedTuple):
    """What a contact costs, the share of sales that is left, and the share that a contact adds to what a buyer spends.

    cost_from, margin_from and added_from: settings, data, held (messages held back) or assumed. shown: what messages
    held back show, where there are any.
    """

    cost: float
    margin: float
    added: float
    cost_from: str = "assumed"
    margin_from: str = "assumed"
    added_from: str = "assumed"
    shown: Shown | None = None

    @property
    def added_in_words(self) -> str:
        """What a contact adds: an assumption is no more exact than a percent."""
        return words.percent(self.added, int(self.added_from == "held"))

    def in_words(self, currency: str) -> str:
        """The terms and where they come from, as sentences."""
        says, origin = PURCHASE["says"], PURCHASE["says"]["from"]
        figures = {"cost": words.money(self.cost, currency), "cost_from": origin[self.cost_from]}
        figures |= {"margin": words.percent(self.margin), "margin_from": origin[self.margin_from]}
        figures |= {"added": self.added_in_words, "added_from": origin[self.added_from]}
        shown = self.shown.in_words(currency, self.added_from == "held") if self.shown else says["not_shown"]
        return f"{says['terms'].format(**figures)} {shown}"


def contact_terms(orders: ir.Table, economics: Economics, assumed: Terms, shown: Shown | None = None) -> Terms:
    """The terms that are known: from the settings, else (the margin) from lines that carry a cost, else as assumed.

    A contact cost of 0 that the settings state is 0; one that they leave out is not known. What a contact adds is what
    messages held back show (`message_effect`), where that is surer than the assumption.
    """
    stated = "contact_cost" in economics.model_fields_set  # its default of 0 is no statement that contacts are free
    cost = (economics.contact_cost, "settings") if stated else (assumed.cost, "assumed")
    margin, margin_from = known_margin(orders, economics)
    margin = assumed.margin if margin_from == "assumed" else margin
    measured = shown is not None and shown.replaces(assumed.added)
    added = (shown.added, "held") if measured else (assumed.added, "assumed")
    return Terms(cost[0], margin, added[0], cost[1], margin_from, added[1], shown)


def known_margin(orders: ir.Table, economics: Economics) -> tuple[float, str]:
    """The share of sales that is left after the goods, and its origin: settings, or data (lines that carry a cost).

    Where neither knows it, nan and assumed.
    """
    known = orders.filter(_.cost.notnull(), _.quantity > 0).agg(left=1 - _.cost.sum() / _.revenue.sum().nullif(0))
    seen = float(known.to_pandas()["left"].astype(float).iloc[0])
    margin = (economics.margin, "settings") if economics.margin else (seen, "data")
    return margin if margin[0] > 0 else (np.nan, "assumed")


def message_effect(tables: Mapping[str, ir.Table], as_of: date, period: int) -> Shown | None:
    """What a message adds to what is spent in a `period`, from messages held back at random; None without any.

    Sales of those sent and of those held back, compared within each campaign (a regression with one level a
    campaign), in the `RESPONSE` days from the day of the message on, or the period if that is shorter. Errors of one
    customer go together (Liang and Zeger 1986). Sales of a period are taken to go on as in those days.
    """
    window = min(RESPONSE, period)
    rows = after_messages(tables["messages"], tables["orders"], as_of, window).to_pandas()
    held, sales, campaign = rows["held"].astype(bool), rows["sales"].astype(float), rows["campaign_id"]
    counts = int(held.sum()), int((~held).sum())
    if not counts[0]:
        return None
    base, nothing = sales[held].mean(), Shown(np.nan, np.nan, np.nan, np.nan, *counts, window)
    told, sold = ((v - v.groupby(campaign).transform("mean")) for v in ((~held).astype(float), sales))
    weight = told @ told
    if min(counts) < HELD_OUT or base <= 0 or not weight:
        return nothing
    effect, scale = (told @ sold) / weight, window / period / base
    own = told * (sold - effect * told) / weight - effect / base * held * (sales - base) / counts[0]
    error = np.sqrt((own.groupby(rows["customer_id"]).sum() ** 2).sum())
    ends = effect + norm.ppf(stats.ENDS) * error
    return Shown(*(float(v * scale) for v in (effect, *ends)), float(effect), *counts, window)


def after_messages(messages: ir.Table, orders: ir.Table, as_of: date, window: int) -> ir.Table:
    """One row a message of the campaigns that held some back: held, and the sales of the `window` days from it on."""
    drawn = messages.filter(_.customer_id.notnull(), _.sent_at.date() <= as_of - timedelta(days=window)).select(
        "message_id",
        "customer_id",
        campaign_id=_.campaign_id.fill_null(""),
        held=_.is_holdout.fill_null(False),
        on=_.sent_at.date(),
    )
    told = drawn.semi_join(drawn.filter(_.held).select("campaign_id").distinct(), "campaign_id")
    by = orders.filter(_.customer_id.notnull()).group_by("customer_id", "ordered_on").agg(sales=_.revenue.sum())
    soon = by.ordered_on.delta(told.on, unit="day")
    both = told.left_join(by, [told.customer_id == by.customer_id, soon >= 0, soon < window])
    return both.group_by("message_id", "customer_id", "campaign_id", "held").agg(sales=_.sales.sum().fill_null(0.0))


def contact_plans(run: Race, terms: Terms) -> pd.DataFrame:
    """What each plan would have made on the test day: one row a way with its own best cut-off, and the plain plans.

    The cut-off is the chance above which the profit was largest on the calibration day. profit: what a contact adds to
    the sales of those who bought, times the margin, less the cost of all contacts; beyond: what that is
    more than contacting everybody; each with its 90 % interval by bootstrap over customers. Empty without ways.
    """
    if not run.ways:
        return pd.DataFrame(columns=PLANS)
    test, worth = run.test, _worth(run.test, terms)
    lists = {}
    for name, way in run.ways.items():
        cut = best_cut(way.calibrated, _worth(run.calibrate, terms))
        lists[WAYS[name]["name"]] = (cut, way.chances(test) >= cut)
    lists[LAST] = (np.nan, (test["orders_now"] > 0).to_numpy())
    lists |= {ALL: (0.0, np.ones(len(test), bool)), NONE: (np.nan, np.zeros(len(test), bool))}
    draws = np.random.default_rng(1).multinomial(len(test), np.full(len(test), 1 / len(test)), DRAWS)
    rows = []
    for plan, (cut, on) in lists.items():
        made, saved = on * worth, (on - 1.0) * worth
        ends = [np.quantile(draws @ v, stats.ENDS) for v in (made, saved)]
        counts = [len(test), int(on.sum()), int((on * test["bought"].to_numpy()).sum())]
        rows.append([plan, cut, *counts, made.sum(), *ends[0], saved.sum(), *ends[1]])
    return pd.DataFrame(rows, columns=PLANS).assign(cut=lambda t: t["cut"].where(np.isfinite(t["cut"])))


def plans_to_show(plans: pd.DataFrame, run: Race) -> pd.DataFrame:
    """The plans of the chosen way and of the better plain rule, with their cut-off in words, and the plain plans."""
    if not run.ways:
        return plans
    ways = [WAYS[w]["name"] for w in dict.fromkeys([run.chosen.way, run.plain.way])]
    rows = plans[plans["plan"].isin([*ways, LAST, ALL, NONE])]
    cut = [
        f"{p}, from a chance of {words.percent(c)}" if p in ways and pd.notna(c) else p
        for p, c in zip(rows["plan"], rows["cut"], strict=True)
    ]
    return rows.assign(plan=cut)


def best_cut(chances: np.ndarray, worth: np.ndarray) -> float:
    """The chance from which on contacting makes most; infinite where no contact pays.

    >>> float(best_cut(np.array([0.9, 0.5, 0.1]), np.array([3.0, 1.0, -1.0])))
    0.5
    """
    order = np.argsort(-chances, kind="stable")
    last = np.r_[np.diff(chances[order]) < 0, True]  # a cut falls between chances that differ
    sums = np.where(last, np.cumsum(worth[order]), -np.inf)
    return float(chances[order][np.argmax(sums)]) if sums.max() > 0 else float("inf")


def profit_curve(run: Race, terms: Terms) -> pd.DataFrame:
    """Profit on the test day by the share of customers contacted, the likeliest first, by chosen way and plain rule."""
    if not run.ways:
        return pd.DataFrame()
    worth, shares = _worth(run.test, terms), np.linspace(0, 1, 41)
    found = {"percent contacted": shares * 100}
    for way in (run.chosen, run.plain):
        order = np.argsort(-way.chances(run.test), kind="stable")
        sums = np.r_[0.0, np.cumsum(worth[order])]
        found[WAYS[way.way]["name"]] = sums[np.round(shares * len(worth)).astype(int)]
    return pd.DataFrame(found)


def profit_in_words(plans: pd.DataFrame, run: Race, terms: Terms, currency: str) -> list[dict[str, str]]:
    """What the chosen way's list would make at these terms, and what a contact must add for it to pay; a finding.

    Where messages held back show what a contact adds, also what the list makes at both ends of that interval, and
    whether it surely pays. Contacts that cost nothing and add something need no list, and it says so. Empty without
    plans.
    """
    says, by = PURCHASE["says"], plans.set_index("plan")
    if by.empty:
        return []
    row, sure = by.loc[WAYS[run.chosen.way]["name"]], says["profit_sure"].format(terms=terms.in_words(currency))
    if not terms.cost and terms.added > 0:
        return [{"headline": says["profit_free"], "sure": sure}]
    if not row["contacted"]:
        return [{"headline": says["profit_none"], "sure": sure}]
    more = {n: _more(row["profit"] - by.loc[p, "profit"], currency) for n, p in {"all": ALL, "plain": LAST}.items()}
    spent = row["contacted"] * terms.cost
    brought = row["profit"] + spent
    breakeven = terms.added * spent / brought if brought > 0 else float("nan")
    shares = {"cut": words.percent(row["cut"]), "breakeven": words.percent(breakeven, 1), "added": terms.added_in_words}
    money = {c: words.money(row[c], currency) for c in ("profit", "beyond_low", "beyond_high")}
    counts = {"contacted": row["contacted"], "customers": row["customers"], "bought": row["buyers"]}
    headline = says["profit"].format(**money, **shares)
    if terms.added_from == "held":
        ends = [brought * end / terms.added - spent for end in (terms.shown.low, terms.shown.high)]
        spoken = dict(zip(("at_low", "at_high"), (words.money(v, currency) for v in ends), strict=True))
        headline = says["profit_measured"].format(**money, **shares, **spoken)
        headline += says["profit_unsure"] * bool(ends[0] <= 0)
    counted = {k: words.count(v) for k, v in counts.items()}
    return [
        {
            "headline": headline,
            "evidence": says["profit_evidence"].format(**counted, **money, **shares, **more),
            "sure": sure,
        }
    ]


def _more(amount: float, currency: str) -> str:
    says = PURCHASE["says"]["more_or_less"]["more" if amount >= 0 else "less"]
    return says.format(amount=words.money(abs(amount), currency))


def _worth(people: pd.DataFrame, terms: Terms) -> np.ndarray:
    return (people["came"].clip(lower=0) * terms.margin * terms.added - terms.cost).to_numpy()

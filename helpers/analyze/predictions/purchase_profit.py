"""Whom is it worth contacting: the cut-off chosen on one period and judged on the next (practice
3.12).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers import stats
from helpers.analyze.predictions.purchase import PURCHASE
from helpers.analyze.predictions.purchase_models import WAYS, Race
from helpers.assumptions import USUAL_MARGIN, stated
from helpers.client import Economics
from helpers.effects import Shown
from helpers.show import words

DRAWS = 300  # of the bootstrap
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


class Terms(NamedTuple):
    """What a contact costs, the share of sales that is left, and the share that a contact adds to
    what a buyer spends.

    cost_from, margin_from and added_from: settings, data, held (messages held back) or assumed.
    shown: what messages held back show, where there are any.
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
        shown = (
            say_shown(self.shown, currency, self.added_from == "held")
            if self.shown
            else says["not_shown"]
        )
        return f"{says['terms'].format(**figures)} {shown}"


def say_shown(shown: Shown, currency: str, replaces: bool) -> str:
    """What was held back and what it shows, as a sentence; or what a test would have to be."""
    shares = {k: words.percent(getattr(shown, k), 1) for k in ("added", "low", "high")}
    kind = "shown" if replaces else "shown_unsure" if np.isfinite(shown.added) else "not_shown"
    figures = {"held": words.count(shown.held), "sent": words.count(shown.sent), "days": shown.days}
    return PURCHASE["says"][kind].format(
        money=words.money(shown.money, currency), **figures, **shares
    )


def contact_terms(
    known: tuple[float, str], economics: Economics, added: float, shown: Shown | None = None
) -> Terms:
    """The terms that are known, else as assumed; `known` is what `assumptions.known_margin` gave.

    A contact cost of 0 that the settings state is 0; one that they leave out is assumed. What a
    contact adds is what messages held back show (`message_effect`), where that is surer than the
    assumption `added`.
    """
    cost, cost_from = stated(economics, "contact_cost")
    margin, margin_from = known
    margin = USUAL_MARGIN if margin_from == "assumed" else margin
    measured = shown is not None and shown.replaces(added)
    found = (shown.added, "held") if measured else (added, "assumed")
    return Terms(cost, margin, found[0], cost_from, margin_from, found[1], shown)


def contact_plans(run: Race, terms: Terms) -> pd.DataFrame:
    """What each plan would have made on the test day: one row a way with its own best cut-off, and
    the plain plans.

    The cut-off is the chance above which the profit was largest on the calibration day. profit:
    what a contact adds to the sales of those who bought, times the margin, less the cost of all
    contacts; beyond: what that is more than contacting everybody; each with its 90 % interval by
    bootstrap over customers. Empty without ways.
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
    draws = np.random.default_rng(1).multinomial(
        len(test), np.full(len(test), 1 / len(test)), DRAWS
    )
    rows = []
    for plan, (cut, on) in lists.items():
        made, saved = on * worth, (on - 1.0) * worth
        ends = [np.quantile(draws @ v, stats.ENDS) for v in (made, saved)]
        counts = [len(test), int(on.sum()), int((on * test["bought"].to_numpy()).sum())]
        rows.append([plan, cut, *counts, made.sum(), *ends[0], saved.sum(), *ends[1]])
    return pd.DataFrame(rows, columns=PLANS).assign(
        cut=lambda t: t["cut"].where(np.isfinite(t["cut"]))
    )


def plans_to_show(plans: pd.DataFrame, run: Race) -> pd.DataFrame:
    """The plans of the chosen way and of the better plain rule, with their cut-off in words, and
    the plain plans.
    """
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
    """Profit on the test day by the share of customers contacted, the likeliest first, by chosen
    way and plain rule.
    """
    if not run.ways:
        return pd.DataFrame()
    worth, shares = _worth(run.test, terms), np.linspace(0, 1, 41)
    found = {"percent contacted": shares * 100}
    for way in (run.chosen, run.plain):
        order = np.argsort(-way.chances(run.test), kind="stable")
        sums = np.r_[0.0, np.cumsum(worth[order])]
        found[WAYS[way.way]["name"]] = sums[np.round(shares * len(worth)).astype(int)]
    return pd.DataFrame(found)


def profit_in_words(
    plans: pd.DataFrame, run: Race, terms: Terms, currency: str
) -> list[dict[str, str]]:
    """What the chosen way's list would make at these terms, and what a contact must add for it to
    pay; a finding.

    Where messages held back show what a contact adds, also what the list makes at both ends of that
    interval, and whether it surely pays. Contacts that cost nothing and add something need no list,
    and it says so. Empty without plans.
    """
    says, by = PURCHASE["says"], plans.set_index("plan")
    if by.empty:
        return []
    row = by.loc[WAYS[run.chosen.way]["name"]]
    sure = says["profit_sure"].format(terms=terms.in_words(currency))
    if not terms.cost and terms.added > 0:
        return [{"headline": says["profit_free"], "sure": sure}]
    if not row["contacted"]:
        return [{"headline": says["profit_none"], "sure": sure}]
    more = {
        n: _more(row["profit"] - by.loc[p, "profit"], currency)
        for n, p in {"all": ALL, "plain": LAST}.items()
    }
    spent = row["contacted"] * terms.cost
    brought = row["profit"] + spent
    breakeven = terms.added * spent / brought if brought > 0 else float("nan")
    shares = {
        "cut": words.percent(row["cut"]),
        "breakeven": words.percent(breakeven, 1),
        "added": terms.added_in_words,
    }
    money = {c: words.money(row[c], currency) for c in ("profit", "beyond_low", "beyond_high")}
    counts = {"contacted": row["contacted"], "customers": row["customers"], "bought": row["buyers"]}
    headline = says["profit"].format(**money, **shares)
    if terms.added_from == "held":
        ends = [brought * end / terms.added - spent for end in (terms.shown.low, terms.shown.high)]
        spoken = dict(
            zip(("at_low", "at_high"), (words.money(v, currency) for v in ends), strict=True)
        )
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

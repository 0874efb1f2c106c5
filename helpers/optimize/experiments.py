"""What experiment would settle it, and how large it must be."""

from __future__ import annotations

import math

import pandas as pd
from scipy.stats import norm

from helpers import stats
from helpers.effects import Shown
from helpers.show import words

LIFTS = [0.02, 0.05, 0.10, 0.20]  # relative effects that the plan sizes
PLAIN, ADJUSTED = "sales a customer", "sales a customer, set against earlier sales"
SHOPS = "share of customers who buy"


def plan_experiment(history: pd.DataFrame) -> pd.DataFrame:
    """Customers needed in each of two equal groups, by outcome and smallest effect (table `experiment_plan`).

    Two-sided 5 % test, 80 % power. Setting sales against earlier sales takes the part of the spread that
    they explain out of it, 1 - r squared (Deng et al. 2013), so fewer customers are needed.
    """
    after, before = history["sales_after"].astype(float), history["sales_before"].astype(float)
    mean, share, spread = after.mean(), (after > 0).mean(), after.std()
    explained = after.corr(before) ** 2 if spread > 0 and before.std() > 0 else 0.0
    sizes = {
        PLAIN: (mean, spread, stats.size_means),
        ADJUSTED: (mean, spread * math.sqrt(1 - explained), stats.size_means),
        SHOPS: (share, math.sqrt(share * (1 - share)), lambda effect, _: stats.size_shares(share, share + effect)),
    }
    rows = [
        (outcome, lift * base, lift, base, wide, math.ceil(size(lift * base, wide)))
        for outcome, (base, wide, size) in sizes.items()
        for lift in LIFTS
        if wide > 0 and base > 0 and (outcome != SHOPS or base * (1 + lift) < 1)
    ]
    plan = pd.DataFrame(rows, columns=["outcome", "effect", "lift", "baseline", "spread", "per_group"])
    return plan.assign(enough=2 * plan["per_group"] <= len(history))


def say_plan(plan: pd.DataFrame, customers: int, held_out: bool = False) -> dict[str, str]:
    """What experiment to run with so many customers, in words: headline and action of a finding.

    `held_out` says that campaigns already leave people out by lot.
    """
    enough = plan[(plan["outcome"] == ADJUSTED) & plan["enough"]]
    if enough.empty:
        return {
            "headline": f"{words.count(customers)} customers are too few to find an effect of "
            f"{words.percent(max(LIFTS))} of sales in one test.",
            "action": f"{'hold back more than now' if held_out else 'hold back a random half'} of the audience of the "
            "next campaigns, and add the campaigns up",
        }
    least = enough.nsmallest(1, "lift").iloc[0]
    needed, lift = words.count(2 * least["per_group"]), words.percent(least["lift"])
    return {
        "headline": f"An experiment with {needed} customers would show an effect of {lift} of sales, "
        "four times out of five.",
        "action": f"send the next campaign to a random half of at least {needed} customers, and compare the halves",
    }


def say_held_out(shown: Shown, currency: str) -> dict[str, str]:
    """What all messages held back by lot say together, in words: headline, evidence and action of a finding."""
    span = f"{words.money(shown.money_low)} to {words.money(shown.money_high, currency)}"
    counts = f"{words.count(shown.sent)} messages were sent and {words.count(shown.held)} held back by lot"
    evidence = f"{counts}; they are compared within each campaign, over {shown.days} days."
    if shown.money_low > 0 or shown.money_high < 0:
        verb, money = ("adds", shown.money) if shown.money > 0 else ("costs", -shown.money)
        low, high = sorted(abs(end) for end in (shown.money_low, shown.money_high))
        span = f"{words.money(low)} to {words.money(high, currency)}"
        headline = f"A message {verb} {words.money(money, currency)} of sales in {shown.days} days ({span})."
        action = (
            "go on as now, and go on holding people back" if shown.money > 0 else "write less often, to a random half"
        )
        return {"headline": headline, "evidence": evidence, "action": action}
    headline = f"Whether a message adds sales cannot be told yet: {span} a message in {shown.days} days."
    return {"headline": headline, "evidence": evidence, "action": _say_more(shown)}


def _say_more(shown: Shown) -> str:
    """How many more messages it takes to be sure of the effect that shows so far, with a power of 80 %."""
    error = (shown.money_high - shown.money_low) / (2 * stats.Z)
    times = ((norm.ppf(0.95) + norm.ppf(0.8)) * error / shown.money) ** 2 if shown.money > 0 else math.inf
    plan = "hold people back in every campaign, and look again with all campaigns together"
    return f"{plan}; about {times:.0f} times as many messages would make it sure" if 1 < times < 20 else plan

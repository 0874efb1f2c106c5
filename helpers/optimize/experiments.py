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
    """Customers needed in each of two equal groups, by outcome and smallest effect (table
    `experiment_plan`).

    Two-sided 5 % test, 80 % power. Setting sales against earlier sales takes the part of the spread
    that they explain out of it, 1 - r squared (Deng et al. 2013), so fewer customers are needed.
    """
    after, before = history["sales_after"].astype(float), history["sales_before"].astype(float)
    mean, share, spread = after.mean(), (after > 0).mean(), after.std()
    explained = after.corr(before) ** 2 if spread > 0 and before.std() > 0 else 0.0
    sizes = {
        PLAIN: (mean, spread, stats.size_means),
        ADJUSTED: (mean, spread * math.sqrt(1 - explained), stats.size_means),
        SHOPS: (
            share,
            math.sqrt(share * (1 - share)),
            lambda effect, _: stats.size_shares(share, share + effect),
        ),
    }
    rows = [
        (outcome, lift * base, lift, base, wide, math.ceil(size(lift * base, wide)))
        for outcome, (base, wide, size) in sizes.items()
        for lift in LIFTS
        if wide > 0 and base > 0 and (outcome != SHOPS or base * (1 + lift) < 1)
    ]
    plan = pd.DataFrame(
        rows, columns=["outcome", "effect", "lift", "baseline", "spread", "per_group"]
    )
    return plan.assign(enough=2 * plan["per_group"] <= len(history))


def say_plan(plan: pd.DataFrame, customers: int, held_out: bool = False) -> dict[str, str]:
    """What experiment to run with so many customers, in words: headline and action of a finding.

    `held_out` says that campaigns already leave people out by lot, which is advised where one test
    would be too small.
    """
    enough = plan[(plan["outcome"] == ADJUSTED) & plan["enough"]]
    if enough.empty:
        return {
            "headline": (
                f"{words.count(customers)} customers are too few to find an effect of "
                f"{words.percent(max(LIFTS))} of sales in one test."
            ),
            "action": (
                ""
                if held_out
                else (
                    "hold back a random half of the audience of the next campaigns, and add the"
                    " campaigns up"
                )
            ),
        }
    least = enough.nsmallest(1, "lift").iloc[0]
    needed, lift = words.count(2 * least["per_group"]), words.percent(least["lift"])
    return {
        "headline": (
            f"An experiment with {needed} customers would show an effect of {lift} of sales, "
            "four times out of five."
        ),
        "action": (
            f"send the next campaign to a random half of at least {needed} customers, and compare"
            " the halves"
        ),
    }


def say_held_out(
    shown: Shown, currency: str, margin: float, cost: tuple[float, str]
) -> dict[str, str]:
    """What all messages held back by lot say together, in words: headline, evidence and action of a
    finding.

    `margin` is the share of sales left after the goods, nan where not known; `cost` that of one
    message and its origin (`assumptions.stated`). Where the margin is known the advice follows what
    is left; it says what to find out where something is not known.
    """
    span = f"{words.money(shown.money_low)} to {words.money(shown.money_high, currency)}"
    counts = (
        f"{words.count(shown.sent)} messages were sent and {words.count(shown.held)} held back"
        " by lot"
    )
    evidence = f"{counts}; they are compared within each campaign, over {shown.days} days."
    if shown.money_low <= 0 <= shown.money_high:
        headline = (
            f"Whether a message adds sales cannot be told yet: {span} a message in {shown.days}"
            " days."
        )
        return {"headline": headline, "evidence": evidence, "action": _say_more(shown)}
    verb, money = ("adds", shown.money) if shown.money > 0 else ("costs", -shown.money)
    low, high = sorted(abs(end) for end in (shown.money_low, shown.money_high))
    span = f"{words.money(low)} to {words.money(high, currency)}"
    headline = (
        f"A message {verb} {words.money(money, currency)} of sales in {shown.days} days ({span})."
    )
    if shown.money < 0:
        return {
            "headline": headline,
            "evidence": evidence,
            "action": "write less often to a random half, and compare",
        }
    left, action = _say_left(shown, currency, margin, cost)
    return {"headline": headline, "evidence": f"{evidence} {left}", "action": action}


def _say_left(
    shown: Shown, currency: str, margin: float, cost: tuple[float, str]
) -> tuple[str, str]:
    """What a message leaves after the goods and its own cost, and what to do."""
    price, origin = cost
    said = f"a message is taken to cost {words.money(price, currency)}, for that is not known"
    assumed = origin == "assumed"
    unknown = ["the goods"] * math.isnan(margin) + ["a message"] * assumed
    what = f"what {' and '.join(unknown)} cost{'s' * (unknown == ['a message'])}"
    ask = f"find out {what} (economics in client.yaml)"
    if math.isnan(margin):
        return (f"That is sales, before {what}.", f"{ask}; then it can be said whether it pays")
    low, high = margin * shown.money_low - price, margin * shown.money_high - price
    left = (
        f"After the goods and the cost of a message, {words.money(low)} to"
        f" {words.money(high, currency)} is left{f'; {said}' * assumed}."
    )
    return left, f"{ask}; {_advise(low, high)}" if assumed else _advise(low, high)


def _advise(low: float, high: float) -> str:
    """What to do where a message leaves between `low` and `high`."""
    if low > 0:
        return "go on as now, and go on holding people back"
    if high < 0:
        return "write only to those who bring more than a message costs"
    return "go on holding people back: whether a message pays cannot be told yet"


def _say_more(shown: Shown) -> str:
    """How many more messages it takes to be sure of the effect that shows so far, with a power of
    80 %.
    """
    error = (shown.money_high - shown.money_low) / (2 * stats.Z)
    times = (
        ((norm.ppf(0.95) + norm.ppf(0.8)) * error / shown.money) ** 2
        if shown.money > 0
        else math.inf
    )
    plan = "hold people back in every campaign, and look again with all campaigns together"
    if not 1 < times < 20:
        return plan
    enough = f"{times:.0f} times as many messages show it four times out of five"
    return f"{plan}; if the effect is what it looks like, {enough}"

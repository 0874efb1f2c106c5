"""What experiment would settle it, and how large it must be."""

from __future__ import annotations

import math

import pandas as pd

from helpers import stats
from helpers.show import words

LIFTS = [0.02, 0.05, 0.10, 0.20]   # relative effects that the plan sizes
PLAIN, ADJUSTED = "sales a customer", "sales a customer, set against earlier sales"
SHOPS = "share of customers who buy"


def plan_experiment(history: pd.DataFrame) -> pd.DataFrame:
    """Customers needed in each of two equal groups, by outcome and smallest effect (table `experiment_plan`).

    Two-sided 5 % test, 80 % power. Setting sales against earlier sales takes the part of the spread that
    they explain out of it, 1 - r squared (Deng et al. 2013), so fewer customers are needed.
    """
    after = history["sales_after"].astype(float)
    mean, share = after.mean(), float((after > 0).mean())
    spreads = {PLAIN: after.std(), ADJUSTED: after.std() * math.sqrt(1 - after.corr(history["sales_before"]) ** 2)}
    rows = [(outcome, lift, lift * mean, mean, spread, stats.size_means(lift * mean, spread))
            for outcome, spread in spreads.items() for lift in LIFTS]
    rows += [(SHOPS, lift, lift * share, share, math.sqrt(share * (1 - share)),
              stats.size_shares(share, share * (1 + lift))) for lift in LIFTS if share * (1 + lift) < 1]
    plan = pd.DataFrame(rows, columns=["outcome", "lift", "effect", "baseline", "spread", "per_group"])
    plan = plan[plan["per_group"].apply(math.isfinite)]
    plan["per_group"] = plan["per_group"].apply(math.ceil)
    return plan.assign(enough=2 * plan["per_group"] <= len(history))


def say_plan(plan: pd.DataFrame, customers: int) -> str:
    """What experiment to run with so many customers, in a sentence without its stop: the action of a finding."""
    enough = plan[(plan["outcome"] == ADJUSTED) & plan["enough"]]
    if enough.empty:
        return ("hold back a random half of the audience of the next campaigns and add them up: "
                f"{words.count(customers)} customers are too few for one test")
    least = enough.nsmallest(1, "lift").iloc[0]
    return (f"send the next campaign to a random half of {words.count(2 * least['per_group'])} customers or more: "
            f"that finds an effect of {words.percent(least['lift'])} of sales")

"""Exercises of 07_optimize."""

import math

import pandas as pd

from helpers import stats
from helpers.learn import Answers, exercise
from helpers.optimize import matching
from helpers.store import Store

DAYS = 49  # the notebook's parameter


@exercise
def raw_difference(run: Store) -> Answers:
    """Mean sales after, reached less others."""
    by = _history(run).groupby("reached")[["sales_after", "sales_before"]].mean()
    return by.loc[True, "sales_after"] - by.loc[False, "sales_after"], {
        "That is the difference before the campaign. Take `sales_after`.": by.loc[
            True, "sales_before"
        ]
        - by.loc[False, "sales_before"],
        "That is the mean of the reached alone. Take off the mean of the others.": by.loc[
            True, "sales_after"
        ],
        "Turn it round: the reached less the others.": by.loc[False, "sales_after"]
        - by.loc[True, "sales_after"],
    }


@exercise
def share_without_twin(run: Store) -> Answers:
    """Reached customers without a pair, as a share of the reached."""
    history = _history(run)
    pairs, reached = len(matching.match_pairs(history)), int(history["reached"].sum())
    return 1 - pairs / reached, {
        "That is the share with a twin. Take the other part.": pairs / reached,
        "Divide by the reached customers, not by all.": (reached - pairs) / len(history),
        "That is a number of customers. Divide by all who were reached.": reached - pairs,
    }


@exercise
def smallest_effect(run: Store) -> Answers:
    """The effect for which 1,500 a group are needed: 2.8 standard errors of a difference."""
    right = (1.959964 + 0.841621) * math.sqrt(2 / 1500)
    return right, {
        "Both groups vary: the variance of a difference is that of two means.": right
        / math.sqrt(2),
        "That leaves out the power: it would be found only every other time.": 1.959964
        * math.sqrt(2 / 1500),
    }


@exercise
def size_for_shares(run: Store) -> Answers:
    """Published: 8,158 a group."""
    return math.ceil(stats.size_shares(0.05, 0.06)), {
        "That is both groups together. The question is about each.": 2
        * math.ceil(stats.size_shares(0.05, 0.06)),
        "That is for a rise of a fifth of one percent. From 5 % to 6 % is 0.05 to 0.06.": math.ceil(
            stats.size_shares(0.05, 0.052)
        ),
        "That is for a power of a half. Ask for 80 %.": math.ceil(
            stats.size_shares(0.05, 0.06, power=0.5)
        ),
    }


def _history(run: Store) -> pd.DataFrame:
    orders = run.read("orders")
    people = matching.contacts(run.read("campaigns"), run.read("messages"))
    first_on = orders.ordered_on.min().to_pandas().date()
    naive = matching.with_room(
        matching.before_after(orders, people, DAYS).to_pandas(), first_on, run.as_of, DAYS
    )
    return matching.customer_history(
        orders, people, run.read("redemptions"), matching.choose_window(naive, "", DAYS)
    ).to_pandas()

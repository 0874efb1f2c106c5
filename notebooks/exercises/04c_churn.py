"""Exercises of 04c_churn."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def flagged_twice(run: Store) -> Answers:
    """Customers with two flags or more."""
    votes = run.frame("churn")["votes"]
    return int((votes >= 2).sum()), {
        "That counts those with exactly two flags. Three and four are at least two as well.": int(
            (votes == 2).sum()
        ),
        "That counts everybody with any flag.": int((votes >= 1).sum()),
        "That adds up the flags. Count the customers.": int(votes.sum()),
    }


@exercise
def risk_by_rule(run: Store) -> Answers:
    """Mean risk within one flag."""
    people = run.frame("churn")
    alive = people[people["is_alive"]]
    return alive.loc[alive["by_rule"], "risk"].mean(), {
        "That is the mean risk of all who are alive. Choose the rows with `by_rule` first.": alive[
            "risk"
        ].mean(),
        "That is the share of customers that the rule flags. Take the mean of `risk`.": alive[
            "by_rule"
        ].mean(),
        "That is the risk of those whom the rule does not flag.": alive.loc[
            ~alive["by_rule"], "risk"
        ].mean(),
    }


@exercise
def lift_of_rule(run: Store) -> Answers:
    """Precision over the share of all that left."""
    row = run.frame("churn_backtest").set_index("way").loc["rule"]
    base = row["leavers"] / row["customers"]
    return row["precision"] / base, {
        "That is the precision alone. Chance would have been right now and then, too.": row[
            "precision"
        ],
        "That is a difference. How many times better is a ratio.": row["precision"] - base,
        "That is turned round. Divide what the list held by what chance would hold.": base
        / row["precision"],
        "That is chance alone.": base,
    }

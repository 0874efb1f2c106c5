"""Exercises of 04c_churn."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def gone_already(run: Store) -> Answers:
    """Customers who ordered, and are silent for longer than the horizon."""
    people = run.frame("churn")
    ordered = people["silence"].notna()
    gone = ordered & ~people["is_alive"]
    return int(gone.sum()), {
        "That counts those who are still there.": int(people["is_alive"].sum()),
        "That counts everybody who ever ordered. Who of them is not `is_alive`?": int(
            ordered.sum()
        ),
        "That is a share. Count the customers.": gone.sum() / ordered.sum(),
        "That counts those who are late in their own rhythm. Gone is a matter of `is_alive`.": int(
            people["by_rhythm"].sum()
        ),
    }


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


@exercise
def at_risk_but_left_out(run: Store) -> Answers:
    """Customers at risk who are not on the list."""
    people = run.frame("churn")
    left_out = people["at_risk"] & ~people["on_list"]
    return int(left_out.sum()), {
        "That counts everybody at risk. Who of them is not `on_list`?": int(
            people["at_risk"].sum()
        ),
        "That counts everybody who is not on the list. Who of them is `at_risk`?": int(
            (~people["on_list"]).sum()
        ),
        "That counts those on the list.": int(people["on_list"].sum()),
    }


@exercise
def share_of_first_ten(run: Store) -> Answers:
    """What the first ten by rank stand for, of all customers."""
    people = run.frame("churn")
    lost = people["risk"] * people["stake"]
    first = lost[people["rank"] <= 10]
    return first.sum() / lost.sum(), {
        "That is an amount of money. Divide by that of all customers.": first.sum(),
        "That leaves one out. The tenth belongs to the first ten.": lost[people["rank"] < 10].sum()
        / lost.sum(),
        "That divides by those at risk only. Divide by all in `churn`.": first.sum()
        / lost[people["at_risk"]].sum(),
    }

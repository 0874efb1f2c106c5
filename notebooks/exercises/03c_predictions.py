"""Exercises of 03c_predictions."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def base_rate(run: Store) -> Answers:
    """Buyers over customers of the test day."""
    row = run.frame("purchase_models").iloc[0]
    return row["buyers"] / row["customers"], {
        "That counts people. Divide by the customers who were tested.": int(row["buyers"]),
        "That is the share that did not buy.": 1 - row["buyers"] / row["customers"],
        "That is a lift: how much more often the first tenth bought. What share of all did?": row[
            "lift"
        ],
    }


@exercise
def lines_gain(run: Store) -> Answers:
    """One less the ratio of the two errors."""
    rows = run.frame("line_methods")
    lines = rows[rows["kind"] == "category"]
    best, naive = (
        lines.loc[which, "error"].iloc[0]
        for which in (lines["chosen"], lines["way"] == "seasonal naive")
    )
    return 1 - best / naive, {
        "That is the difference of the errors. Divide it by the naive one.": naive - best,
        "That is what is left of the error. How much of it is gone?": best / naive,
        "That is on sums of four weeks. Use the mean of the three.": (
            1
            - lines.loc[lines["chosen"], "four_weeks"].iloc[0]
            / lines.set_index("way").loc["seasonal naive", "four_weeks"]
        ),
    }


@exercise
def first_hundred(run: Store) -> Answers:
    """Sum of the chances of the first hundred."""
    people = run.frame("purchase_scores").sort_values("rank")
    first = people.head(100)["probability"]
    return first.sum(), {
        "That is their mean chance. How many buyers do a hundred such chances add up to?": (
            first.mean()
        ),
        "That is the sum over all customers. Choose the first hundred by rank.": (
            people["probability"].sum()
        ),
        "That is everybody in the list: not all of them will buy.": len(first),
    }

"""Exercises of 04a_lifetime_value."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def share_of_top_tenth(run: Store) -> Answers:
    """Predicted value of the tenth with the highest, over that of all."""
    value = run.frame("values")["predicted_value"].sort_values(ascending=False)
    tenth = value.head(round(len(value) / 10))
    return tenth.sum() / value.sum(), {
        "That is an amount of money. Divide by the predicted value of everybody.": tenth.sum(),
        "That is the tenth with the lowest. Sort the other way round.": (
            value.tail(len(tenth)).sum() / value.sum()
        ),
        "That is their share of customers, which is a tenth by choice. Add up `predicted_value`.": (
            0.1
        ),
    }


@exercise
def lost_to_discount(run: Store) -> Answers:
    """What discounting takes off, as a share of the undiscounted value."""
    values = run.frame("values")
    values = values[values["average_value"].notna()]
    whole = (values["expected_orders"] * values["average_value"]).sum()
    now = values["predicted_value"].sum()
    return 1 - now / whole, {
        "That is the share that is left. How much is taken away?": now / whole,
        "That is an amount of money. Divide it by the value without discounting.": whole - now,
        "Multiply for each customer first, then add up: a product of two sums is not the sum of products.": (
            1 - now / (values["expected_orders"].sum() * values["average_value"].mean())
        ),
    }


@exercise
def may_bring_nothing(run: Store) -> Answers:
    """Customers whose interval begins at nothing."""
    values = run.frame("values")
    ranged = values["low"].notna()
    return int((values["low"] == 0).sum()), {
        "That counts those who will surely bring something. Where does the interval begin at 0?": (
            int((values["low"] > 0).sum())
        ),
        "That counts everybody with an interval.": int(ranged.sum()),
        "Those are the ones with a predicted value of 0. Look at the lower end of the interval.": int(
            (values["predicted_value"] == 0).sum()
        ),
    }


@exercise
def most_likely_left(run: Store) -> Answers:
    """Customers whose chance of being still there is below a half."""
    alive = run.frame("values")["prob_alive"].dropna()
    left = alive < 0.5
    return int(left.sum()), {
        "That counts those who are most likely still there.": int((~left).sum()),
        "That counts everybody with a chance. Who is below a half?": len(alive),
        "That is a share. Count the customers.": left.mean(),
    }


@exercise
def direct_value_each(run: Store) -> Answers:
    """Direct value over all who have ever ordered."""
    table = run.frame("contribution").set_index("channel")
    everyone = table.loc["all"]
    return everyone["direct_value"] / everyone["customers"], {
        "That is the direct value of all together. Divide by `customers`.": (
            everyone["direct_value"]
        ),
        "That divides by those who bought in the window. Divide by all who have ever ordered.": (
            everyone["revenue_per_user"]
        ),
        "That is what is expected of them. Take `direct_value`.": (
            everyone["predicted_value"] / everyone["customers"]
        ),
    }

"""Exercises of 02_clean."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def share_without_quantity(run: Store) -> Answers:
    """Lines with quantity 0, as a share."""
    orders = run.read("staged_orders")
    share = (orders.quantity == 0).mean().execute()
    return share, {
        "That counts the lines. Divide by all lines, or take the mean of the test.": (
            orders.quantity == 0
        )
        .sum()
        .execute(),
        "That is the share with no revenue. The question is about quantity.": (orders.revenue == 0)
        .mean()
        .execute(),
        "That is the share that has a quantity. Take the other part.": 1 - share,
    }


@exercise
def busiest_step(run: Store) -> Answers:
    """The step on orders that touched the most rows."""
    log = run.frame("clean_log")
    orders = log[log["table"] == "orders"]
    touched = orders[orders["rows_touched"] > 0]
    return orders.loc[orders["rows_touched"].idxmax(), "step"], {
        "That is the first step of the chain. Sort by `rows_touched`.": orders["step"].iloc[0],
        "That step touched the fewest. You want the most.": touched.loc[
            touched["rows_touched"].idxmin(), "step"
        ],
    }


@exercise
def lines_not_loaded(run: Store) -> Answers:
    """Lines less loaded lines."""
    ledger = run.frame("ledger")
    return int((ledger["lines"] - ledger["loaded"]).sum()), {
        "That is what is held. Duplicate and filtered lines are not loaded either.": int(
            ledger["held"].sum()
        ),
        "That is what is loaded. Take the others.": int(ledger["loaded"].sum()),
    }

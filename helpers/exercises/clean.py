"""Exercises of 02_clean."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def share_without_quantity(run: Store) -> Answers:
    """Lines with quantity 0, as a share."""
    orders = run.read("staged_orders")
    share = (orders.quantity == 0).mean().execute()
    return share, {
        "That counts the lines. Divide by all lines, or take the mean of the test.": (orders.quantity == 0)
        .sum()
        .execute(),
        "That is the share with no revenue. The question is about quantity.": (orders.revenue == 0).mean().execute(),
        "That is the share that has a quantity. Take the other part.": 1 - share,
    }


@exercise
def busiest_step(run: Store) -> Answers:
    """The step on orders that touched the most rows."""
    log = run.frame("clean_log")
    orders = log[log["table"] == "orders"]
    money = (orders["revenue_before"] - orders["revenue_after"]).abs()
    return orders.loc[orders["rows_touched"].idxmax(), "step"], {
        "That step moved the most money. The question is about rows.": orders.loc[money.idxmax(), "step"],
        "That step is on another table. Look at `chain`.": log.loc[log["rows_touched"].idxmax(), "step"],
    }


@exercise
def lines_not_loaded(run: Store) -> Answers:
    """Lines less loaded lines."""
    ledger = run.frame("ledger")
    return int((ledger["lines"] - ledger["loaded"]).sum()), {
        "That is what is held. Duplicate and filtered lines are not loaded either.": int(ledger["held"].sum()),
        "That is what is loaded. Take the others.": int(ledger["loaded"].sum()),
    }

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


@exercise
def rule_that_holds_most(run: Store) -> Answers:
    """The rule with the most rows in quarantine."""
    held = run.frame("quarantine")
    rows = held["rule"].value_counts()
    money = held.groupby("rule")["revenue"].sum()
    return rows.index[0], {
        "That rule holds the most money. Count the rows.": money.idxmax(),
        "That rule holds the fewest rows.": rows.index[-1],
    }


@exercise
def share_of_outliers(run: Store) -> Answers:
    """Flagged lines over all lines of the clean orders."""
    orders = run.read("orders")
    far = orders.is_outlier
    counts = orders.agg(
        share=far.mean(),
        lines=far.sum(),
        money=orders.revenue.sum(where=far) / orders.revenue.sum(),
    )
    found = counts.to_pandas().iloc[0]
    return found["share"], {
        "That is how many lines are flagged. Divide by all lines.": found["lines"],
        "That is their share of the money. The question asks for lines.": found["money"],
        "That is the share that is not flagged.": 1 - found["share"],
    }

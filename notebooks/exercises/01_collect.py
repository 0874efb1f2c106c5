"""Exercises of 01_collect."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def days_with_orders(run: Store) -> Answers:
    """Different days with an order."""
    orders = run.read("staged_orders")
    return orders.ordered_on.nunique().execute(), {
        "That counts the days in Greenwich. The shop's own day is `ordered_on`.": (
            orders.ordered_at.date().nunique().execute()
        ),
        "That counts lines, and a day has many lines. Count different days with `nunique`.": (
            orders.count().execute()
        ),
    }


@exercise
def average_order_value(run: Store) -> Answers:
    """Revenue over orders."""
    orders = run.read("staged_orders")
    revenue = orders.revenue.sum().execute()
    return revenue / orders.order_id.nunique().execute(), {
        "That is the average line. Add up the lines of each order first.": (
            orders.revenue.mean().execute()
        ),
        "That is revenue for each customer. Divide by the number of orders.": (
            revenue / orders.customer_id.nunique().execute()
        ),
    }


@exercise
def share_with_age(run: Store) -> Answers:
    """Customers with an age band, as a share."""
    people = run.read("staged_customers")
    known = people.age_band.notnull().mean().execute()
    return known, {
        "That is the share without an age. Take the other part.": 1 - known,
        "That is a number of people. Divide by all customers.": people.age_band.count().execute(),
    }


@exercise
def changed_file(run: Store) -> Answers:
    """The fingerprint."""
    return "sha256", {
        "The number of rows can stay the same while a value inside changes.": "rows",
        "The last day can stay the same while a value inside changes.": "last_on",
    }

"""How well the profiles know people: favourite category and home channel, beside the plain rule.

habits.csv: one row a seed and number of orders: share of customers whose favourite category and home channel are found
as they are in the truth; beside it the rule that gives everybody the most common one, and, for the favourite, the
category of most lines. Customers as the playbook found them, dirt included.
"""

from __future__ import annotations

import pandas as pd
from twins import World

from helpers import store
from helpers.segment import profiles

ORDERS = {"1": (1, 1), "2 to 4": (2, 4), "5 and more": (5, 10_000)}


def score(made: World) -> dict[str, pd.DataFrame]:
    """Favourite and home channel of one twin."""
    orders, truth = made.run.read("orders"), made.people
    begin, end = store.body(store.order_days(orders))
    lines = profiles.with_goods(orders, made.run.read("products"))
    found = (
        profiles.habits(lines, begin, end)
        .to_pandas()
        .merge(truth, on="customer_id", suffixes=("", "_true"))
    )
    sold = lines.filter(lines.quantity >= 0, lines.category.notnull(), lines.customer_id.notnull())
    counts = sold.group_by("customer_id", "category").agg(n=sold.count()).to_pandas()
    most = counts.sort_values(["n", "category"], ascending=[False, True]).drop_duplicates(
        "customer_id"
    )
    found["most_lines"] = found["customer_id"].map(most.set_index("customer_id")["category"])
    common = found[["favourite_true", "home_channel"]].mode().iloc[0]
    rows = []
    for name, (low, high) in ORDERS.items():
        some = found[found["orders"].between(low, high)]
        right = {
            "favourite": some["favourite"] == some["favourite_true"],
            "favourite_most_lines": some["most_lines"] == some["favourite_true"],
            "favourite_plain": some["favourite_true"] == common["favourite_true"],
            "channel": some["channel"] == some["home_channel"],
            "channel_plain": some["home_channel"] == common["home_channel"],
        }
        rows.append(
            {"orders": name, "customers": len(some)} | {k: v.mean() for k, v in right.items()}
        )
    return {"habits": pd.DataFrame(rows)}


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a seed and number of orders."""
    return rows[["seed", *rows.columns.drop("seed")]].round(4)

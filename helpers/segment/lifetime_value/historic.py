"""What customers have been worth so far: sales, less what they cost to win and to serve."""

from __future__ import annotations

import pandas as pd

from helpers.segment.lifetime_value.acquisition import ALL


def add_historic(people: pd.DataFrame, costs: pd.DataFrame, served: pd.DataFrame) -> pd.DataFrame:
    """Add serve, win and historic_value (currency) to the rows of `won`.

    historic_value: yearly sales x years, which is all sales so far, less goods, handling, the cost
    to serve (`serve_costs`) and the cost to win (`cost_to_win`). What advertising cost is known for
    new customers only; win is empty for the others, and nothing is taken off.
    """
    by = costs.set_index("channel")
    channel = people["channel"].where(people["channel"].map(by["cost_each"]).notna(), ALL)
    known = people["is_new"] | channel.map(by["source"]).eq("settings")
    serve = (
        people["customer_id"]
        .map(served.set_index("customer_id")["serve"])
        .astype(float)
        .fillna(0.0)
    )
    win = channel.map(by["cost_each"]).where(known).astype(float)
    return people.assign(
        serve=serve, win=win, historic_value=people["money"] - serve - win.fillna(0.0)
    )

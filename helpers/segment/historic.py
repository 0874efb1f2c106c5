"""What customers have been worth so far: sales, less what they cost to win and to serve."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.segment.acquisition import ALL


def add_historic(people: pd.DataFrame, costs: pd.DataFrame, served: pd.DataFrame) -> pd.DataFrame:
    """Add serve, win and historic_value (currency) to the rows of `won`.

    historic_value: yearly sales x years, which is all sales so far, less goods, handling, the cost to serve
    (`serve_costs`) and the cost to win (`cost_to_win`). What advertising cost is known for new customers only; win is
    empty for the others, and nothing is taken off.
    """
    by = costs.set_index("channel")
    channel = people["channel"].where(people["channel"].map(by["cost_each"]).notna(), ALL)
    known = people["is_new"] | channel.map(by["source"]).eq("settings")
    serve = people["customer_id"].map(served.set_index("customer_id")["serve"]).astype(float).fillna(0.0)
    win = channel.map(by["cost_each"]).where(known).astype(float)
    return people.assign(serve=serve, win=win, historic_value=people["money"] - serve - win.fillna(0.0))


def historic_parts(people: pd.DataFrame) -> pd.DataFrame:
    """From yearly sales to historic value, for all customers and a mean one (`add_historic`): part, customer, total.

    A cost of which nothing is known is empty.
    """
    years = people["T"].mul(7).add(1).div(365).mean()  # the first day counts
    sums = people[["sales", "money", "serve", "win", "historic_value"]].sum()
    costs = {"goods and handling": sums["sales"] - sums["money"], "cost to serve": sums["serve"], "cost to win": sums["win"]}
    rows = {
        "years since the first order": (years, years * len(people)),
        "sales a year": (sums["sales"] / len(people) / years, sums["sales"] / years) if years > 0 else (np.nan, np.nan),
        "sales so far (yearly sales x years)": sums["sales"],
        **{f"less {name}": -cost if cost else np.nan for name, cost in costs.items()},
        "historic value": sums["historic_value"],
        "beside it: sales less the cost to win alone": sums["sales"] - sums["win"],
    }
    pairs = {k: v if isinstance(v, tuple) else (v / max(len(people), 1), v) for k, v in rows.items()}
    return pd.DataFrame([(k, *v) for k, v in pairs.items()], columns=["part", "customer", "total"])

"""What customers have been worth so far: sales, less what they cost to win and to serve."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.segment.lifetime_value.acquisition import ALL
from helpers.segment.member_tiers import SHORT, YEAR
from helpers.show import words


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


def historic_parts(people: pd.DataFrame) -> pd.DataFrame:
    """From sales to historic value, for all customers and a mean one (`add_historic`): part,
    customer, total.

    The first part names yearly sales and years of a mean customer, where four weeks or more are
    known. A cost of which nothing is known is empty; where none is known, the last parts say that
    they are sales.
    """
    years = people["T"].mul(7).add(1).div(YEAR).mean()  # the first day counts
    sums = people[["sales", "money", "serve", "win", "historic_value"]].sum()
    costs = {"goods and handling": sums["sales"] - sums["money"]}
    costs |= {"cost to serve": sums["serve"], "cost to win": sums["win"]}
    long = years >= SHORT / YEAR
    mean = (
        f" ({words.money(sums['sales'] / len(people) / years)} a year x {years:.2f} years)"
        if long
        else ""
    )
    rows = {
        f"sales so far{mean}": sums["sales"],
        **{f"less {name}": -cost if cost else np.nan for name, cost in costs.items()},
    }
    unknown = [name for name, cost in costs.items() if not cost]
    if len(unknown) == len(costs):
        rows["historic value: no cost is known, so these are sales"] = sums["historic_value"]
    else:
        lacks = f" (before {words.listing(unknown)}, not known)" if unknown else ""
        rows[f"historic value{lacks}"] = sums["historic_value"]
    if sums["win"]:
        rows["beside it: sales less the cost to win alone"] = sums["sales"] - sums["win"]
    pairs = [(part, total / max(len(people), 1), total) for part, total in rows.items()]
    return pd.DataFrame(pairs, columns=["part", "customer", "total"])

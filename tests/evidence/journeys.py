"""How right the repeat ladder and the projected retention are, beside the naive share and the plain rules.

repeat_ladder.csv: a row a step and number of days ahead, all seeds together. Each twin is looked at as it stood half a
year or more before its end; what the ladder then said of a step is compared with what all customers of all twins who
were on that step by then did in the days ahead, all of them watched so long by now. `covered` is the part of the seeds
whose 90 % interval holds that share; `naive` is the share that had done so by then.

retention.csv: a row a seed and way; each way is fitted on what was known halfway and judged on the periods after, in
points: percent of customers (see `hold_out_retention`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from twins import World

from helpers import stats
from helpers.analyze.journeys import beta_geometric, repeat_orders

AHEAD = (28, 91, 182)


def score(made: World) -> dict[str, pd.DataFrame]:
    """What was said of one twin, and what then came."""
    run = made.run
    past = repeat_orders.history(run.read("orders"), run.read("customers"), run.as_of)
    rows = []
    for within in AHEAD:
        tried = repeat_orders.check_ladder(past.days, run.as_of, within)
        rows.append(tried.assign(within=within, hits=(tried["came"] * tried["customers"]).round()))
    held = beta_geometric.hold_out_retention(past.days, run.as_of, past.silence)
    told = beta_geometric.score_retention(held, None).assign(customers=past.customers)
    return {"repeat_ladder": pd.concat(rows, ignore_index=True), "retention": told}


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The ladder pooled over seeds, with a line for all; each hold-out as it is."""
    if name == "retention":
        return rows[["seed", "way", "customers", "periods", "error", "bias", "at_the_end"]].round(4)
    rows = rows[rows["chance"].notna()]
    sums = rows.groupby(["within", "step"])[["hits", "customers"]].transform("sum")
    rows = rows.assign(true=sums["hits"] / sums["customers"])
    n, share = rows["customers"], rows["naive"]
    wilson = stats.share_interval(share * n, n)
    rows = rows.assign(
        covered=rows["true"].between(rows["low"], rows["high"]),
        bias=rows["chance"] - rows["true"],
        naive_covered=rows["true"].between(wilson["low"], wilson["high"]),
        naive_bias=rows["naive"] - rows["true"],
        own_error=(rows["chance"] - rows["came"]).abs(),
        own_naive_error=(rows["naive"] - rows["came"]).abs(),
    )
    what = [
        "true",
        "covered",
        "bias",
        "naive_covered",
        "naive_bias",
        "own_error",
        "own_naive_error",
    ]
    by = rows.groupby(["within", "step"], as_index=False).agg(
        intervals=("seed", "size"), **{w: (w, "mean") for w in what}
    )
    every = pd.DataFrame(
        [
            {"within": "all", "step": "all", "intervals": len(rows)}
            | rows[what].astype(float).mean().to_dict()
        ]
    )
    return (
        pd.concat([by.astype({"within": object, "step": object}), every], ignore_index=True)
        .round(4)
        .replace(np.nan, None)
    )

"""Sales and margin at other prices, within the prices that were seen (practice 3.13)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t as student

from helpers import stats
from helpers.analyze.pricing.prices import CELL, PRICES, row_costs

YEAR = 52  # whole weeks, for which amounts a year are told
TINY = 1e-9
COLUMNS = ["category", "change", "price", "units", "sales", "sales_low", "sales_high"]
COLUMNS += ["margin", "margin_low", "margin_high", "gain", "gain_low", "gain_high"]


def prices_seen(panel: pd.DataFrame) -> pd.DataFrame:
    """By category: how far below and above a product's middle price prices were seen (shares
    `lowest`, `highest`).

    Also what the panel holds of it: how many `products`, and the `share` of its sales.
    """
    if panel.empty:
        return pd.DataFrame(columns=["category", "products", "share", "lowest", "highest"])
    middle = panel.groupby(CELL)["price"].transform("median")
    known = panel[panel["sure"]]
    by = (known["price"] / middle[known.index] - 1).groupby(known["category"])
    low, high = (by.quantile(q) for q in PRICES["ladder"]["seen"])
    held = panel.groupby("category").agg(products=("product_id", "nunique"), share=("share", "sum"))
    return held.assign(lowest=low, highest=high).reset_index()


def price_ladder(
    panel: pd.DataFrame, found: pd.DataFrame, costs: pd.Series, steps: list[float]
) -> pd.DataFrame:
    """Units, sales and margin of a year, were each product sold at `steps` from its price (table
    `price_ladder`).

    Parameters
    ----------
    panel : product, place and week (`price_panel`); its last 52 weeks are the year, fewer are
        scaled up to one
    found : elasticity with `low` and `high` by `group`, as `elasticities` gives them
    costs : cost of one unit by product (`row_costs`); without, margin stays empty
    steps : changes of price as shares, such as 0.05

    Steps beyond the prices seen in a category are left out: nobody knows what happens there. `gain`
    is the change in margin. Each product is changed alone; were all changed at once, buyers could
    not switch, and would stay more. Units are those sold, times the share `kept` of the category:
    what came back is taken off.
    """
    last = (
        panel[panel["week_on"] > panel["week_on"].max() - pd.Timedelta(weeks=YEAR)]
        if len(panel)
        else panel
    )
    seen = prices_seen(panel).set_index("category")
    rows = []
    for row in found.itertuples():
        goods = last[last["category"] == row.group]
        units = (goods["units"] * goods["kept"]).to_numpy(float)
        price = goods["price"].to_numpy(float)
        units = units * YEAR / min(max(goods["week_on"].nunique(), 1), YEAR)
        cost = row_costs(goods, costs)
        freedom = max(row.products - 1, 1)
        error = (row.high - row.low) / 2 / student.ppf(stats.ENDS[1], freedom)
        draws = row.elasticity + error * student.rvs(
            freedom, size=PRICES["model"]["draws"], random_state=1
        )
        now = (units * (price - cost)).sum()
        for step in sorted({0.0, *steps}):
            if seen.at[row.group, "lowest"] - TINY <= step <= seen.at[row.group, "highest"] + TINY:
                sales = (units * price).sum() * (1 + step) ** (1 + np.append(row.elasticity, draws))
                margin = (1 + step) ** np.append(row.elasticity, draws) * (
                    units * (price * (1 + step) - cost)
                ).sum()
                ends = [
                    v
                    for x in (sales, margin, margin - now)
                    for v in (x[0], *np.quantile(x[1:], stats.ENDS))
                ]
                sold = units.sum() * (1 + step) ** row.elasticity
                mean = (units * price).sum() / max(units.sum(), 1) * (1 + step)
                rows.append([row.group, step, mean, sold, *ends])
    return pd.DataFrame(rows, columns=COLUMNS)


def ladder_shown(found: pd.DataFrame, best: pd.DataFrame, asked: str) -> str:
    """The category whose ladder is shown: the one asked for, else the one with most to gain, else
    the best known.
    """
    first = [*best["category"], *found.sort_values("own_weight", ascending=False)["group"], ""][0]
    return asked if asked in set(found["group"]) else first


def best_steps(ladder: pd.DataFrame) -> pd.DataFrame:
    """By category the step whose gain in margin is largest at the low end of its interval; only
    where that is above 0.

    The intervals of the gain become those of one category picked among all
    (`stats.chosen_interval`).

    The last step up and the last step down are never taken: with one elasticity for all prices the
    best step is most often the edge of what was seen, where the data say least.
    """
    ends = ladder.groupby("category")["change"].transform
    low, high = stats.chosen_interval(
        ladder["gain"], ladder["gain_low"], ladder["gain_high"], ladder["category"].nunique()
    )
    ladder = ladder.assign(gain_low=low, gain_high=high)
    sure = ladder[
        (ladder["gain_low"] > 0)
        & (ladder["change"] > ends("min"))
        & (ladder["change"] < ends("max"))
    ]
    best = sure.loc[sure.groupby("category")["gain_low"].idxmax()] if len(sure) else sure
    return best.sort_values("gain_low", ascending=False, ignore_index=True)

"""Us and other brands side by side: share, price, rating and voice (practice 3.16)."""

from __future__ import annotations

import numpy as np
import pandas as pd

LAST = 12  # periods that make the present, and as many before them the past
COLUMNS = [
    "brand",
    "is_ours",
    "share",
    "share_change",
    "price_index",
    "price_change",
    "rating",
    "rating_change",
]
COLUMNS += [
    "voice",
    "voice_change",
    "search",
    "search_change",
    "voice_to_share",
    "awareness",
    "reputation",
]


def competitors(market: pd.DataFrame, own: str) -> pd.DataFrame:
    """One row a brand (table `competitors`): the last 12 periods, and the change from the 12
    before, where known.

    `share` of sales; `price_index`, 100 for the average of all brands in the same part of the
    market and period, weighed by sales; `rating`; `voice` and `search`, shares of all mentions and
    of all searching; `voice_to_share`, above 1 for a brand talked about more than it sells. Empty
    without a market table.
    """
    periods = sorted(market["period"].unique())
    now = _side_by_side(market[market["period"].isin(periods[-LAST:])])
    before = _side_by_side(market[market["period"].isin(periods[-2 * LAST : -LAST])])
    if now.empty:
        return pd.DataFrame(columns=COLUMNS)
    for name in ("share", "price_index", "rating", "voice", "search"):
        changed = name.removesuffix("_index") + "_change"
        now[changed] = now[name] - before[name] if len(periods) >= 2 * LAST else np.nan
    now["voice_to_share"] = now["voice"] / now["share"]
    now["is_ours"] = now.index.str.casefold() == own.casefold()
    return now.reset_index().sort_values("share", ascending=False, ignore_index=True)[COLUMNS]


def share_over_time(market: pd.DataFrame, own: str) -> pd.DataFrame:
    """Share of sales by period, a column a brand, ours first; the rest by size."""
    sums = market.pivot_table("sales", "period", "brand", "sum")
    shares = sums.div(sums.sum(axis=1), axis=0)
    order = sorted(
        shares.columns, key=lambda b: (b.casefold() != own.casefold(), -shares[b].mean())
    )
    return shares[order].rename_axis(columns=None).reset_index()


def _side_by_side(rows: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        return pd.DataFrame(columns=["share", "price_index", "rating", "voice", "search"])
    rows = rows.dropna(subset=["brand"])
    there = [rows["segment"], rows["period"]]
    weight = rows["sales"].fillna(0.0)
    level = (
        (rows["price"] * weight).where(rows["price"].notna(), 0.0).groupby(there).transform("sum")
    )
    known = weight.where(rows["price"].notna(), 0.0).groupby(there).transform("sum")
    index = 100 * rows["price"] / (level / known.replace(0, np.nan))
    by = rows["brand"]
    sums = rows.groupby("brand")[["sales", "mentions", "search_index"]].sum(min_count=1)
    shares = sums / sums.sum()
    return pd.DataFrame(
        {
            "share": shares["sales"],
            "price_index": _mean(index, weight, by),
            "rating": _mean(rows["rating"], weight, by),
            "voice": shares["mentions"],
            "search": shares["search_index"],
            "awareness": _mean(rows["awareness"], weight, by),
            "reputation": _mean(rows["reputation"], weight, by),
        }
    )


def _mean(values: pd.Series, weight: pd.Series, by: pd.Series) -> pd.Series:
    known = weight.where(values.notna(), 0.0)
    return (values.fillna(0.0) * known).groupby(by).sum() / known.groupby(by).sum().replace(
        0, np.nan
    )

"""What the back-tested forecast says: by day and category (practice 3.11)."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from helpers import stats

ALL = "all"
RECENT_DAYS = 56  # the shares of categories are those of the last eight weeks


def simulate(daily: pd.Series, as_of: date, tested: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Sales paths to the end of the next quarter by the method that won the back-test.

    Empty where the history is too short for any forecast.
    """
    if len(daily) < stats.FEWEST_DAYS:
        return pd.DataFrame(index=pd.DatetimeIndex([]))
    method, width, _coverage = stats.choose_method(tested)
    days = (stats.next_quarter_end(as_of) - pd.Timestamp(as_of)).days
    return stats.sales_paths(daily, days, method, seed=seed, width=width)


def forecast(paths: pd.DataFrame, sales: pd.DataFrame, tested: pd.DataFrame) -> pd.DataFrame:
    """Expected sales and 90 % interval by future day, for all and by category (table `forecast`).

    A category gets its share of the last eight weeks, so categories add up to all. Its interval
    holds both the doubt about all and the category's own past moves of share, taken as independent.
    """
    method, width, _coverage = stats.choose_method(tested)
    whole = _interval(paths.T).rename_axis("ordered_on").reset_index().assign(category=ALL)
    recent = sales[sales["ordered_on"] > sales["ordered_on"].max() - pd.Timedelta(days=RECENT_DAYS)]
    share = recent.groupby("category")["revenue"].sum().clip(lower=0)
    share = share / (share.sum() or 1.0)
    days = (
        sales.pivot_table("revenue", "ordered_on", "category", sort=False)
        if len(paths)
        else pd.DataFrame()
    )
    parts = [_part(whole, days, category, part) for category, part in share.items() if len(paths)]
    return pd.concat([whole, *parts], ignore_index=True).assign(method=method, width=width)


def _interval(draws: pd.DataFrame) -> pd.DataFrame:
    ends = draws.quantile(list(stats.ENDS))
    return pd.DataFrame({"forecast": draws.mean(), "low": ends.iloc[0], "high": ends.iloc[1]})


def _part(whole: pd.DataFrame, days: pd.DataFrame, category: str, share: float) -> pd.DataFrame:
    off = days[category] / days.sum(axis=1).where(lambda total: total > 0) - share
    own = stats.Z * np.sqrt((off**2).mean())
    half = np.hypot(share * (whole["high"] - whole["low"]) / 2, own * whole["forecast"])
    expected = share * whole["forecast"]
    return whole.assign(
        category=category,
        forecast=expected,
        low=(expected - half).clip(lower=0),
        high=expected + half,
    )

"""What the back-tested forecast says: by day, by category and by month (practice 3.11)."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from helpers import stats
from helpers.analyze import describe
from helpers.show import words

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


def by_month(paths: pd.DataFrame) -> pd.DataFrame:
    """Expected sales and 90 % interval by month ahead, and over all of them in the last row.

    Each path is added up first, so the interval is that of the sum. Empty without paths.
    """
    if paths.empty:
        return pd.DataFrame(columns=["month", "forecast", "low", "high"])
    months = paths.groupby(paths.index.strftime("%B %Y"), sort=False).sum()
    months.loc["together"] = paths.sum()
    return _interval(months.T).rename_axis("month").reset_index()


def by_week(daily: pd.Series, paths: pd.DataFrame) -> pd.DataFrame:
    """The last thirteen whole weeks of sales and the whole weeks ahead, with the 90 % interval of
    their sums.
    """
    past = describe.full_weeks(daily).tail(13)
    weeks = paths.index.to_period("W-SUN").start_time
    whole = paths.groupby(weeks).sum()[paths.groupby(weeks).size() == 7]
    return pd.concat(
        [past, _interval(whole.T).rename_axis("week").reset_index()], ignore_index=True
    )


def year_ago_in_words(daily: pd.Series, paths: pd.DataFrame, method: str, currency: str) -> str:
    """What the days ahead sold a year ago, for a plain method, which knows no time of year; empty
    where not known.
    """
    days, year = len(paths), pd.Timedelta(days=364)
    then = daily.reindex(paths.index - year)
    before = daily.reindex(then.index - pd.Timedelta(days=days))
    if (
        method not in stats.PLAIN
        or not before.sum() > 0
        or then.isna().any()
        or before.isna().any()
    ):
        return ""
    sold = {
        k: words.money(v.sum(), currency) for k, v in (("then", then), ("now", daily.tail(days)))
    }
    return (
        "The rule chosen carries on the last weeks and knows no time of year. A year ago these"
        f" days sold {sold['then']}, {then.sum() / before.sum():.2f} times the {days} days before"
        f" them; the last {days} days sold {sold['now']}. If that season comes again, the figures"
        " above are off by as much; 3c Predictions looks at each product line."
    )


def looking_back(tested: pd.DataFrame) -> pd.DataFrame:
    """The chosen method's weekly forecast from the latest origin with the longest look ahead,
    beside what came.

    `low` and `high` are calibrated, `week` is the first day of the week.
    """
    method, width, _coverage = stats.choose_method(tested)
    weeks = tested[(tested["method"] == method) & (tested["weeks"] == 1)]
    longest = weeks.groupby("origin_on")["horizon"].max()
    one = weeks[weeks["origin_on"] == longest.index[longest == longest.max()].max()]
    ends = {end: one["forecast"] + width * (one[end] - one["forecast"]) for end in ("low", "high")}
    return one.assign(week=pd.to_datetime(one["ordered_on"]), **ends)


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

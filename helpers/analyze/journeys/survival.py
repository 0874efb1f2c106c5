"""Time until something happens, when some have not been watched long enough (Kaplan and Meier
1958).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers import stats


def kaplan_meier(days: pd.Series, ended: pd.Series) -> pd.DataFrame:
    """Share to whom it has not happened yet, by day: columns days, at_risk, ended, left, low, high;
    from day 0 on.

    `days` is how long each was watched, `ended` whether it happened then; the others were only not
    watched longer. Who was last seen on a day on which others ended counts as at risk on that day.
    The 90 % interval is that of Greenwood (1926) on the log-log scale (Kalbfleisch and Prentice
    1980).

    >>> kaplan_meier(pd.Series([1, 2, 2, 3]), pd.Series([True, True, False, True]))["left"].tolist()
    [1.0, 0.75, 0.5, 0.0]
    """
    counts = (
        pd.DataFrame({"days": days, "ended": ended.astype(int), "seen": 1})
        .groupby("days")[["ended", "seen"]]
        .sum()
    )
    at_risk = counts["seen"][::-1].cumsum()[::-1]
    table = counts[["ended"]].assign(at_risk=at_risk).query("ended > 0").reset_index()
    left = (1 - table["ended"] / table["at_risk"]).cumprod()
    # at 0 nothing is left, and the interval closes
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (
            table["ended"] / (table["at_risk"] * (table["at_risk"] - table["ended"]))
        ).cumsum()
        error = stats.Z * np.sqrt(spread) / np.log(left).abs()
        low, high = left ** np.exp(error), left ** np.exp(-error)
    none = left == 0
    table = table.assign(left=left, low=low.mask(none, 0.0), high=high.mask(none, 0.0))
    start = pd.DataFrame(
        {"days": [0], "ended": [0], "at_risk": [len(days)], "left": 1.0, "low": 1.0, "high": 1.0}
    )
    first = start if not len(table) or table["days"].iloc[0] > 0 else start.iloc[:0]
    return pd.concat([first, table], ignore_index=True)[
        ["days", "at_risk", "ended", "left", "low", "high"]
    ]


def at_day(curve: pd.DataFrame, day: float) -> pd.Series:
    """The row of a curve of `kaplan_meier` that holds on a day."""
    return curve[curve["days"] <= day].iloc[-1]


def half_time(curve: pd.DataFrame, column: str = "left") -> float:
    """First day on which half or fewer are left; nan where the curve stays above. On `low` and
    `high` its interval.

    >>> half_time(pd.DataFrame({"days": [0, 4, 9], "left": [1.0, 0.6, 0.5]}))
    9.0
    """
    below = curve.loc[curve[column] <= 0.5, "days"]
    return float(below.iloc[0]) if len(below) else float("nan")

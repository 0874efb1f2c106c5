"""Alerts: one unusual day, or a lasting shift, against a weekday baseline; with the first likely
cause.
"""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import history, methods, stats
from helpers.show import words

WEEKS = 8  # the baseline of a day: the median of the same weekday in so many weeks before
LEARN = 28  # so many days more are watched in silence, to learn how large ordinary noise is
# CUSUM: moves below this (standard deviations a day) are let pass; finds shifts twice as large
SLACK = 0.5
CLIP = 3.0  # one day adds at most this to the CUSUM: a single day is not a shift
STANDS_OUT = 0.2  # a part stands out when its share of the move is so much above its share of sales
MANY_TIMES = 10  # a rise above so many times the usual is told as times, not in per cent
BEFORE, AFTER = 3, 1  # a holiday is felt so many days before and after
NO_ORDER = "no order at all: closed, or the file is not complete"
COLUMNS = ["happened_on", "metric", "kind", "value", "expected", "size", "since", "cause"]


def daily_totals(orders: ir.Table) -> ir.Table:
    """One row a day: `sales` and `orders`."""
    bought = _.order_id.nunique(where=history.BOUGHT)
    return (
        orders.group_by("ordered_on")
        .agg(sales=_.revenue.sum().round(2), orders=bought)
        .order_by("ordered_on")
    )


def daily_parts(orders: ir.Table, products: ir.Table) -> ir.Table:
    """`sales` and `orders` by day for each part: kind (category, store, hour) and its name."""
    lines = orders.left_join(products.select("product_id", "category"), "product_id").select(
        "ordered_on",
        "order_id",
        "quantity",
        "revenue",
        category=_.category,
        store=_.store_id,
        hour=_.ordered_at_local.hour().cast("string") + ":00",
    )
    each = [
        lines.group_by("ordered_on", part=lines[kind].fill_null("not known"))
        .agg(sales=_.revenue.sum().round(2), orders=_.order_id.nunique(where=history.BOUGHT))
        .mutate(kind=ibis.literal(kind))
        for kind in ("category", "store", "hour")
    ]
    return ibis.union(*each).order_by("kind", "part", "ordered_on")


def every_day(daily: pd.DataFrame, last_on: date) -> pd.DataFrame:
    """The daily totals indexed by day, with 0 on days without an order, up to last_on."""
    days = daily.set_index(pd.DatetimeIndex(daily["ordered_on"])).drop(columns="ordered_on")
    return days.reindex(
        pd.date_range(days.index.min() if len(days) else last_on, last_on, name="day"), fill_value=0
    )


def watch(daily: pd.Series) -> pd.DataFrame:
    """Watch a daily figure: value, expected, size, `unusual`, and on the day a shift alarms,
    `shift_since`.

    The expected value is the median of the same weekday in the eight weeks before; size is the
    relative difference in standard deviations of ordinary days. A day is unusual beyond
    `alarm_day`. A shift alarms when the CUSUM (Page 1954) of the sizes passes `alarm_shift` and has
    lasted `alarm_shift_days`; then the baseline moves to the new level. `daily` has one value for
    each day, indexed by day.
    """
    actual, level, n = daily.to_numpy(float), daily.to_numpy(float).copy(), len(daily)
    expected, off, size = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    sides, shift_since = (_Cusum(1), _Cusum(-1)), [pd.NaT] * n
    limit, lasts = methods.value("alarm_shift"), methods.value("alarm_shift_days")
    for t in range(7 * WEEKS, n):
        usual = np.median(level[t - 7 * WEEKS : t : 7])
        if usual <= 0:  # closed on this weekday
            continue
        expected[t], off[t] = usual, actual[t] / usual - 1
        past = np.abs(off[max(t - 91, 0) : t])
        past = past[~np.isnan(past)]
        # from the median absolute deviation
        noise = 1.4826 * np.median(past) if len(past) >= LEARN else 0.0
        if not noise:
            continue
        size[t] = off[t] / noise
        for side in sides:
            side.add(size[t], t)
        start = next((s.start for s in sides if s.total > limit and t - s.start + 1 >= lasts), None)
        if start is not None:
            span = np.arange(start, t + 1)[~np.isnan(expected[start : t + 1])]
            level[:start] *= actual[span].sum() / expected[span].sum()
            shift_since[t], sides = daily.index[start], (_Cusum(1), _Cusum(-1))
    return pd.DataFrame(
        {
            "value": actual,
            "expected": expected,
            "size": size,
            "unusual": np.abs(size) > methods.value("alarm_day"),
            "shift_since": pd.DatetimeIndex(shift_since),
        },
        index=daily.index,
    )


class _Cusum:
    """A one-sided cumulative sum (Page 1954) that remembers when it last left zero."""

    def __init__(self, sign: int) -> None:
        self.sign, self.total, self.start = sign, 0.0, 0

    def add(self, size: float, t: int) -> None:
        self.start = self.start if self.total else t
        self.total = max(0.0, self.total + self.sign * float(np.clip(size, -CLIP, CLIP)) - SLACK)


def find_alerts(
    watched: dict[str, pd.DataFrame], parts: pd.DataFrame, country: str
) -> pd.DataFrame:
    """Every alarm of the watched figures with its first likely cause (table `alerts`); the latest
    first.

    `watched` holds what `watch` gave, by metric; `parts` what `daily_parts` gave; holidays are
    those of `country`. The value of a shift is the mean day since it began.
    """
    parts, rows = parts.assign(day=pd.to_datetime(parts["ordered_on"])), []
    for metric, days in watched.items():
        alarms = [(d, "day", d) for d in days.index[days["unusual"]]]
        alarms += [(d, "shift", since) for d, since in days["shift_since"].dropna().items()]
        for day, kind, since in alarms:
            seen = days.loc[since:day, ["value", "expected", "size"]].mean()
            near = holidays_near(since, day, country) if kind == "day" else []
            moved = what_moved(parts, metric, since, day) if seen["value"] else NO_ORDER
            rows.append(
                {
                    "happened_on": day,
                    "metric": metric,
                    "kind": kind,
                    **seen,
                    "since": since,
                    "cause": "; ".join([f"near {words.listing(near)}"] * bool(near) + [moved]),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(
        ["happened_on", "metric", "kind"], ascending=False, ignore_index=True
    )


def say_alerts(alerts: pd.DataFrame, metric: str) -> dict[str, str]:
    """What the alarms of a figure add up to, in words: headline, evidence and action of a
    finding.
    """
    mine = alerts[alerts["metric"] == metric].sort_values("happened_on", ascending=False)
    shifts, n = mine[mine["kind"] == "shift"], int((mine["kind"] == "day").sum())
    told = [
        f"from {words.day(s.since)} {words.percent(s.value / s.expected - 1, signed=True)} a day"
        f" ({s.cause})"
        for s in shifts.itertuples()
    ]
    down = [words.day(s.since) for s in shifts.itertuples() if s.value < s.expected][:1]
    return {
        "headline": (
            f"{metric.capitalize()} had {n} unusual day{'s' * (n != 1)} and {len(shifts)} lasting "
            f"shift{'s' * (len(shifts) != 1)} in the days watched."
            if n + len(shifts)
            else f"{metric.capitalize()} had no unusual day and no lasting shift in the days watched."
        ),
        "evidence": f"Lasting shifts: {words.listing(told)}." if told else "",
        "action": f"find out what began on {down[0]} and lowered {metric}" if down else "",
    }


def holidays_near(first: pd.Timestamp, last: pd.Timestamp, country: str) -> list[str]:
    """Public holidays that can be felt between two days, where the country's calendar is known.

    >>> holidays_near(pd.Timestamp("2017-11-21"), pd.Timestamp("2017-11-21"), "US")
    ['Thanksgiving Day']
    """
    return stats.public_holidays(
        country, first - pd.Timedelta(days=AFTER), last + pd.Timedelta(days=BEFORE)
    ).tolist()


def what_moved(parts: pd.DataFrame, metric: str, first: pd.Timestamp, last: pd.Timestamp) -> str:
    """The category, store or hour that moved furthest beyond what all moved together, or that none
    did.

    The move is that from the same weekdays in the eight weeks before `first`.
    """
    span = pd.date_range(first, last)
    weeks = -(-len(span) // 7)  # so that the weeks looked back at lie before the span
    back = pd.Series(
        [d - pd.Timedelta(weeks=weeks + w) for d in span for w in range(WEEKS)]
    ).value_counts()
    usual = parts[metric] * parts["day"].map(back).fillna(0) / WEEKS
    moved = parts[metric].where(parts["day"].isin(span), 0) - usual
    by = (
        pd.DataFrame({"usual": usual, "moved": moved}).groupby([parts["kind"], parts["part"]]).sum()
    )
    by = by[by["usual"] > 0]
    # an order has one hour, but several categories
    whole = by.groupby("kind")["moved"].sum().get("hour", 0.0)
    together = by.groupby("kind").transform("sum")
    beyond = (by["moved"] - by["usual"] * together["moved"] / together["usual"]) / (whole or np.nan)
    if not beyond.max() >= STANDS_OUT:
        return "all categories, stores and hours moved alike"
    kind, part = beyond.idxmax()
    change = (by["moved"] / by["usual"])[kind, part]
    if change > MANY_TIMES:  # a per cent of next to nothing tells nobody anything
        return f"{kind} {part} stands out: {words.count(change + 1)} times its usual"
    return f"{kind} {part} stands out: {words.percent(change, signed=True)} on its usual"


def false_alarms(daily: pd.Series, draws: int = 20, seed: int = 1) -> float:
    """Shift alarms in 400 days when nothing lasting happens: each weekday's values in random order,
    watched again.
    """
    rng, n = np.random.default_rng(seed), max(len(daily) - 7 * WEEKS, 1)
    count = 0
    for _draw in range(draws):
        mixed = daily.groupby(daily.index.day_of_week).transform(
            lambda v: rng.permutation(v.to_numpy())
        )
        count += watch(mixed)["shift_since"].notna().sum()
    return float(count / draws / n * 400)

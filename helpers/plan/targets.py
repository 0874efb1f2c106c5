"""A tree of sales targets that adds up: quarter, months, categories, each with what would come by
itself.
"""

from __future__ import annotations

from datetime import date
from itertools import product

import numpy as np
import pandas as pd

from helpers import stats
from helpers.plan.wording import wording
from helpers.show import words

ALL, OTHER = "all", "other"
# a share is not taken to have risen by more since last year, nor to have fallen by more
MOST_MOVED = 2
# last year's shares must have been off by less than this part of what the recent ones were
CLEAR = 0.9
# weeks whose shares count as recent, of a month, and of a year
BASE, MONTH, WEEKS_A_YEAR = 8, 4, 52
WEEKS = 13  # the span of the back-test that is nearest to a quarter
COLUMNS = [
    "metric",
    "unit",
    "grain",
    "scope",
    "scope_value",
    "period",
    "starts_on",
    "ends_on",
    "baseline",
    "low",
    "high",
    "target",
    "gap",
    "chance",
    "difficulty",
]


def group_small(sales: pd.DataFrame, most: int) -> pd.DataFrame:
    """Daily sales (ordered_on, category, revenue) with all but the `most` largest categories joined
    as "other".

    >>> tiny = pd.DataFrame({"ordered_on": ["2017-01-01"] * 3, "category": ["a", "b", "c"], "revenue": [9.0, 1.0, 2.0]})
    >>> group_small(tiny, 1).set_index("category")["revenue"].to_dict()
    {'a': 9.0, 'other': 3.0}
    """
    largest = sales.groupby("category")["revenue"].sum().nlargest(most).index
    named = sales["category"].where(sales["category"].isin(largest), OTHER)
    days = sales.assign(category=named, ordered_on=pd.to_datetime(sales["ordered_on"]))
    return days.groupby(["ordered_on", "category"], as_index=False)["revenue"].sum()


def periods(as_of: date) -> pd.DataFrame:
    """The current and the next quarter: period, known_until (last day its baseline may know),
    starts_on, ends_on.

    The current quarter's baseline knows nothing of that quarter, or pacing against it would be no
    test.

    >>> periods(date(2017, 11, 30)).astype(str).values.tolist()[0]
    ['current', '2017-09-30', '2017-10-01', '2017-12-31']
    """
    now = pd.Period(as_of, "Q")
    day = pd.Timedelta(days=1)
    rows = [("current", now.start_time - day, now), ("next", pd.Timestamp(as_of), now + 1)]
    return pd.DataFrame(
        [(name, known, q.start_time, q.end_time.normalize()) for name, known, q in rows],
        columns=["period", "known_until", "starts_on", "ends_on"],
    )


def target_tree(
    sales: pd.DataFrame,
    tested: pd.DataFrame,
    as_of: date,
    growth: float,
    lines: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The targets of the current and the next quarter: by quarter and month, for all sales and by
    category.

    `sales` holds ordered_on, category, revenue by day up to `as_of`; `tested` is the back-test that
    chooses the method, as far as it was known then. `lines` is the table `line_forecast` made on
    the same day: the next quarter is split as it says, in the months that it reaches; elsewhere by
    the shares seen before. The target is (1 + growth) x baseline in each
    leaf (category and month); every sum above is the sum of its leaves to the cent. `low`, `high`
    (90 %) and `chance` come from simulated paths and do not add up: errors of parts partly cancel.
    A period with too short a history before it has no rows, nor has one in which nothing would be
    sold.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    for p in periods(as_of).itertuples(index=False):
        past = sales[sales["ordered_on"] <= p.known_until]
        if past["ordered_on"].nunique() >= stats.FEWEST_DAYS:
            ahead = lines if p.period == "next" else None
            draws = _simulate(past, _known(tested, p.known_until), p, ahead)
            parts += (
                [_tree(draws, growth).assign(period=p.period)]
                if draws[ALL].to_numpy().any()
                else []
            )
    filled = [part for part in parts if len(part)] or parts
    return pd.concat(filled, ignore_index=True).assign(metric="sales", unit="currency")[COLUMNS]


def difficulty(chance: float) -> str:
    """A chance to reach the target with nothing done, in words.

    >>> difficulty(0.9), difficulty(0.3), difficulty(0.0)
    ('within reach', 'a stretch', 'very hard')
    """
    return next(words for least, words in wording("difficulty").items() if chance >= least)


def largest_difference(tree: pd.DataFrame) -> float:
    """The largest amount by which a baseline, target or gap differs from the sum of its parts, in
    currency.

    Quarters are held against their months, all sales against the categories. 0 means that the tree
    adds up.
    """
    worst = []
    for column, whole, by in (
        ("grain", "quarter", ["period", "scope", "scope_value"]),
        ("scope", ALL, ["period", "grain", "starts_on"]),
    ):
        sums = (
            tree.assign(whole=tree[column] == whole)
            .groupby(["whole", *by])[["baseline", "target", "gap"]]
            .sum()
        )
        worst += [(sums.loc[True] - sums.loc[False]).abs().max(axis=None)] if len(tree) else []
    return round(max(worst, default=0.0), 2)


def by_month(sales: pd.DataFrame, tree: pd.DataFrame) -> pd.DataFrame:
    """Sales of the whole months so far beside baseline, low, high and target of those planned;
    empty where none.
    """
    days = sales.groupby("ordered_on")["revenue"].sum()
    months = days.groupby(days.index.to_period("M")).sum()
    whole = (months.index.start_time >= days.index.min()) & (
        months.index.end_time.normalize() <= days.index.max()
    )
    planned = tree[(tree["grain"] == "month") & (tree["scope"] == ALL)]
    planned = planned.set_index(pd.PeriodIndex(pd.to_datetime(planned["starts_on"]), freq="M"))
    both = (
        months[whole]
        .rename("sales")
        .to_frame()
        .join(planned[["baseline", "low", "high", "target"]], how="outer")
    )
    return both.set_axis(both.index.start_time).rename_axis("month").reset_index()


def checked(sales: pd.DataFrame, tree: pd.DataFrame) -> pd.DataFrame:
    """The monthly leaves of the current quarter whose month is over: baseline, low, high, `actual`
    and `inside`.
    """
    past = (
        (tree["period"] == "current") & (tree["grain"] == "month") & (tree["scope"] == "category")
    )
    over = tree[past & (pd.to_datetime(tree["ends_on"]) <= sales["ordered_on"].max())]
    month = sales["ordered_on"].dt.to_period("M").dt.start_time
    actual = sales.groupby([month, "category"], as_index=False)["revenue"].sum()
    both = over.merge(
        actual,
        how="left",
        left_on=["starts_on", "scope_value"],
        right_on=["ordered_on", "category"],
    )
    both = both.assign(actual=both["revenue"].fillna(0.0))[
        ["scope_value", "starts_on", "baseline", "low", "high", "actual"]
    ]
    return both.assign(inside=both["actual"].between(both["low"], both["high"]))


def last_quarter(sales: pd.DataFrame, tested: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """The range that was right to promise for the last whole quarter, and what came.

    Made as for `target_tree`, from what was known on the day before that quarter began. One row, or
    none where the history is too short: starts_on, ends_on, baseline, low, high (90 %), actual.
    """
    running = pd.Period(as_of, "Q")
    over = running if running.end_time.normalize() == pd.Timestamp(as_of) else running - 1
    period = next(periods(over.end_time.date()).itertuples(index=False))
    days = sales.groupby("ordered_on")["revenue"].sum()
    known = days[: period.known_until]
    if len(known) < stats.FEWEST_DAYS:
        return pd.DataFrame(columns=["starts_on", "ends_on", "baseline", "low", "high", "actual"])
    total = known.reindex(pd.date_range(known.index[0], known.index[-1])).fillna(0.0)
    sums = _all_sales(total, _known(tested, period.known_until), period).sum()
    low, high = sums.quantile(list(stats.ENDS))
    actual = days[period.starts_on : period.ends_on].sum()
    row = [period.starts_on, period.ends_on, sums.mean(), low, high, actual]
    return pd.DataFrame(
        [row], columns=["starts_on", "ends_on", "baseline", "low", "high", "actual"]
    )


def say_last_quarter(last: pd.DataFrame, currency: str) -> str:
    """How the range of the last whole quarter did, as a sentence; empty where none was possible."""
    if last.empty:
        return ""
    row = last.iloc[0]
    side = "above" if row["actual"] > row["high"] else "below"
    held = "inside it" if row["low"] <= row["actual"] <= row["high"] else f"{side} it: it missed"
    return (
        f"The range made before the last whole quarter, up to {words.day(row['ends_on'])}, was"
        f" {words.money(row['low'])} to {words.money(row['high'], currency)};"
        f" {words.money(row['actual'], currency)} came, {held}."
    )


def grid(tree: pd.DataFrame, period: str) -> pd.DataFrame:
    """The targets of a period as a grid that adds up both ways: months and quarter across,
    categories and all down.
    """
    part = tree[tree["period"] == period]
    spans = (
        pd.to_datetime(part["starts_on"])
        .dt.strftime("%B")
        .where(part["grain"] == "month", "quarter")
    )
    wide = (
        part.assign(span=spans)
        .pivot_table("target", ["scope", "scope_value"], "span", sort=False)
        .astype(float)
    )
    across = sorted(wide.columns, key="quarter".__eq__)  # the quarter last, months in their order
    return (
        wide[across]
        .sort_values(across[-1:], ascending=False)
        .reset_index("scope_value")
        .reset_index(drop=True)
    )


def _known(tested: pd.DataFrame, until: pd.Timestamp) -> pd.DataFrame:
    ends = pd.to_datetime(tested["ordered_on"]) + pd.to_timedelta(
        7 * tested["weeks"].astype(int) - 1, unit="D"
    )
    return tested[ends <= until]


def _simulate(
    past: pd.DataFrame, tested: pd.DataFrame, period: tuple, lines: pd.DataFrame | None
) -> dict[str, pd.DataFrame]:
    """Paths of daily sales in the period: of all, and of each category as its share of all."""
    days = pd.date_range(past["ordered_on"].min(), past["ordered_on"].max())
    wide = (
        past.pivot_table("revenue", "ordered_on", "category", aggfunc="sum")
        .reindex(days)
        .fillna(0.0)
    )
    total, ahead = wide.sum(axis=1), (period.ends_on - days[-1]).days
    whole = _all_sales(total, tested, period)
    weekly = _weeks(wide)
    way = _share_way(weekly)
    strays, df = _strays(weekly, way, ahead)
    months = whole.index.to_period("M")
    shares = pd.DataFrame(
        {m: _split(weekly, _weeks_of(m, days[-1]), way, lines) for m in months.unique()}
    )
    draws = {ALL: whole}
    for number, category in enumerate(wide.columns):
        # A category follows all sales; how far its share strays from that is its own, and once
        # astray it stays.
        moved = 1 + strays[category] * np.random.default_rng(number).standard_t(
            df, whole.shape[1] // 2
        )
        moved = np.clip(np.concatenate([moved, 2 - moved]), 0, None)
        drawn, share = whole * moved, shares.loc[category, months].to_numpy()
        level = drawn.mean(axis=1)
        draws[category] = drawn.mul(
            share * whole.mean(axis=1) / level.where(level > 0), axis=0
        ).fillna(0.0)
    return draws


def _missed_quarters(tested: pd.DataFrame, method: str) -> float:
    """Half of the range of a quarter, as a share of its forecast, that past quarters ask for: from
    the root mean square of what the method missed them by in the back-test; 0 without a quarter.
    """
    rows = tested[(tested["method"] == method) & (tested["weeks"] == WEEKS)]
    rows = rows[rows["forecast"] > 0]
    missed = (rows["actual"] / rows["forecast"] - 1) ** 2
    return float(stats.Z * np.sqrt(missed.mean())) if len(rows) else 0.0


def _stretched(paths: pd.DataFrame, least: float) -> pd.DataFrame:
    """Paths whose sum over all days has a range of at least `least` of its mean to each side.

    What is added is a matter of level: each path as a whole moves up or down.
    """
    sums, mean = paths.sum(), paths.mean(axis=1)
    half = np.diff(sums.quantile(list(stats.ENDS)))[0] / 2
    if not 0 < half < least * sums.mean():
        return paths
    off = sums / sums.mean() - 1
    wider = (1 + off * (least * sums.mean() / half)).clip(lower=0)
    drawn = paths * (wider / (1 + off).where(off > -1, 1.0))
    # no day sells less than nothing, which must not raise what is expected of it
    level = drawn.mean(axis=1)
    return drawn.mul((mean / level.where(level > 0)).fillna(0.0), axis=0)


def _all_sales(total: pd.Series, tested: pd.DataFrame, period: tuple) -> pd.DataFrame:
    """Paths of all sales of a period, as uncertain as past quarters turned out to be."""
    method, width, _coverage = stats.choose_method(tested)
    ahead = (period.ends_on - total.index[-1]).days
    paths = stats.sales_paths(total, ahead, method, width=width)[period.starts_on :]
    return _stretched(paths, _missed_quarters(tested, method))


def _weeks(wide: pd.DataFrame) -> pd.DataFrame:
    """Sales of whole weeks that end on the last day: one row a week, one column a category."""
    whole = wide.iloc[len(wide) % 7 :]
    return whole.groupby(np.arange(len(whole)) // 7).sum().clip(lower=0)


def _weeks_of(month: pd.Period, last: pd.Timestamp) -> range:
    """The weeks of a month, counted from the first week after the last day known."""
    first = max((month.start_time - last).days // 7, 0)
    return range(first, max(-(-(month.end_time.normalize() - last).days // 7), first + 1))


def _split(weekly: pd.DataFrame, ahead: range, way: str, lines: pd.DataFrame | None) -> pd.Series:
    """The share of all sales of each category in the weeks `ahead`: as `line_forecast` says where
    it tells all of them apart in these weeks, else by the shares before (`_shares`).
    """
    named = [c for c in weekly if c != OTHER]
    if lines is not None and len(lines):
        ends = [week + 1 for week in ahead]
        one = lines["kind"].eq("category") & lines["weeks"].eq(1) & lines["horizon"].isin(ends)
        parts = lines[one].groupby("part")["forecast"].sum()
        if set(named) <= set(parts.index) and parts.sum() > 0:
            joined = parts.groupby(lambda part: part if part in named else OTHER).sum()
            return joined.reindex(weekly.columns, fill_value=0.0) / joined.sum()
    return _shares(weekly, len(weekly), ahead, way)


def _shares(weekly: pd.DataFrame, origin: int, ahead: range, way: str) -> pd.Series:
    """The share of all sales that each category will have in the weeks `ahead` of week `origin`.

    "recent": its share of the eight weeks before. "season": its share of the same weeks a year ago,
    moved as its recent share has moved since then; a category that was not there yet keeps its
    recent share.
    """
    recent = _share(weekly.iloc[max(origin - BASE, 0) : origin])
    if way == "recent":
        return recent
    base = weekly.iloc[origin - WEEKS_A_YEAR - BASE : origin - WEEKS_A_YEAR]
    # what began in these weeks, or sells seldom, tells no pace
    then = _share(base).where((base > 0).all())
    weeks = [origin - WEEKS_A_YEAR + w % WEEKS_A_YEAR for w in ahead]
    pace = (recent / then).clip(1 / MOST_MOVED, MOST_MOVED)
    moved = (_share(weekly.iloc[weeks]) * pace).fillna(recent)
    return moved / (moved.sum() or 1.0)


def _share(weekly: pd.DataFrame) -> pd.Series:
    sums = weekly.sum()
    return sums / (sums.sum() or 1.0)


def _share_way(weekly: pd.DataFrame) -> str:
    """What foretold the shares of past months better, all categories together: last year's
    "season", or the "recent".

    The recent share stands where the difference is small, and where fewer than three months have a
    year before them.
    """
    first, block = WEEKS_A_YEAR + BASE, MONTH
    origins = range(first, len(weekly) - block + 1, block)
    if len(origins) < 3:
        return "recent"
    off = dict.fromkeys(("recent", "season"), 0.0)
    for origin, way in product(origins, off):
        came = _share(weekly.iloc[origin : origin + block])
        off[way] += (_shares(weekly, origin, range(block), way) - came).abs().sum()
    return "season" if off["season"] < CLEAR * off["recent"] else "recent"


def _strays(weekly: pd.DataFrame, way: str, ahead: int) -> tuple[pd.Series, int]:
    """How far the share of each category in a month lay from what was foretold from some earlier
    week.

    By category the root mean square of all such past errors, as a part of the share foretold, for
    months up to `ahead` days off; and the number of months that do not overlap, as degrees of
    freedom.
    """
    n = len(weekly)
    base = min(BASE, n // 2) if way == "recent" else WEEKS_A_YEAR + BASE
    block, errors = min(MONTH, n - base), []
    for origin in range(base, n - block + 1):
        for first in range(origin, min(n - block, origin + max(ahead // 7 - block, 0)) + 1, block):
            said = _shares(weekly, origin, range(first - origin, first - origin + block), way)
            whole = weekly.iloc[first : first + block]
            if whole.to_numpy().sum() > 0:
                errors.append(_share(whole) / said.where(said > 0) - 1)
    found = pd.DataFrame(errors, columns=weekly.columns, dtype=float)
    return np.sqrt((found**2).mean()).fillna(1.0), max((n - base) // block, 2)


def _tree(draws: dict[str, pd.DataFrame], growth: float) -> pd.DataFrame:
    sums = {name: paths.groupby(paths.index.to_period("M")).sum() for name, paths in draws.items()}
    leaves = pd.DataFrame(
        {name: months.mean(axis=1).round(2) for name, months in sums.items() if name != ALL}
    )
    aims = (leaves * (1 + growth)).round(2)
    rows = []
    for name, months in sums.items():
        parts = leaves.columns if name == ALL else [name]
        spans = [("quarter", months.index)] + [
            ("month", months.index[[i]]) for i in range(len(months))
        ]
        rows += [
            {
                "grain": grain,
                "scope": ALL if name == ALL else "category",
                "scope_value": name,
                "starts_on": span[0].start_time,
                "ends_on": span[-1].end_time.normalize(),
                **_judged(
                    months.loc[span].sum(),
                    leaves.loc[span, parts].to_numpy().sum(),
                    aims.loc[span, parts].to_numpy().sum(),
                ),
            }
            for grain, span in spans
        ]
    return pd.DataFrame(rows)


def _judged(paths: pd.Series, baseline: float, target: float) -> dict:
    low, high = paths.quantile(list(stats.ENDS)).round(2)
    chance = round(float((paths >= target).mean()), 3)
    return {
        "baseline": round(baseline, 2),
        "low": low,
        "high": high,
        "target": round(target, 2),
        "gap": round(target - baseline, 2),
        "chance": chance,
        "difficulty": difficulty(chance),
    }

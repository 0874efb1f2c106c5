"""Target against actual, and where the period is heading."""

from __future__ import annotations

from datetime import date

import pandas as pd

from helpers import methods, stats
from helpers.show import words

OTHER = "other"  # target of all categories that have none of their own
COLUMNS = [
    "metric",
    "grain",
    "scope",
    "scope_value",
    "starts_on",
    "ends_on",
    "elapsed",
    "target",
    "actual",
    "expected",
    "low",
    "high",
    "chance",
    "light",
]


def pace(
    targets: pd.DataFrame, sales: pd.DataFrame, outlook: pd.Series, as_of: date
) -> pd.DataFrame:
    """How each target is going (table `pacing`): sales so far, and with the forecast for the days
    that are left.

    `targets` are those of one period, `sales` holds ordered_on, category, revenue by day, `outlook`
    is what `rest` gave. Interval and chance are those of the days that are left: once the period is
    over, nothing is open.
    """
    days = sales.assign(day=pd.to_datetime(sales["ordered_on"]))
    named, now = set(targets["scope_value"]), pd.Timestamp(as_of)
    rows = [
        _pace(t, in_scope(days, t.scope_value, named), outlook.get(t.scope_value), now)
        for t in targets.itertuples()
    ]
    paced = targets.reset_index(drop=True).drop(columns=["low", "high", "chance"])
    return paced.join(pd.DataFrame(rows)).reindex(columns=COLUMNS)


def say_pace(pacing: pd.DataFrame, currency: str) -> dict[str, str]:
    """How the targets are going, in words: headline, evidence and action of a finding."""
    whole = pacing[pacing["scope"] == "all"].iloc[0]
    off = say_distance(whole["expected"], whole["target"], currency)
    end = words.money(whole["expected"], currency)
    headline = (
        f"Sales of the period just ended were {off}."
        if whole["elapsed"] == 1
        else (
            f"Sales are heading for {end}, {off}; the chance to reach it is"
            f" {words.percent(whole['chance'])}."
        )
    )
    parts = with_parts(pacing).iloc[1:].assign(short=lambda p: p["target"] - p["expected"])
    red = parts[parts["light"] == "red"].nlargest(3, "short")
    behind = words.listing(
        f"{r.scope_value} ({words.money(r.short, currency)} short)" for r in red.itertuples()
    )
    then = "do better in the next period" if whole["elapsed"] == 1 else "close the gap"
    lights = words.listing(
        f"{n} {light}" for light, n in parts["light"].value_counts().sort_index().items()
    )
    return {
        "headline": headline,
        "evidence": (
            f"Of its parts {lights}. Furthest behind: {behind or 'none'}." if len(parts) else ""
        ),
        "action": (
            f"settle how to {then} in {words.listing(red['scope_value'])}" if len(red) else ""
        ),
    }


def say_distance(sales: float, target: float, currency: str) -> str:
    r"""How far sales are from a target: in percent of it, or in money where the target is nothing.

    >>> say_distance(110, 100, "EUR"), say_distance(-30, 0, "EUR"), say_distance(0, 0, "EUR")
    ('10.0\xa0% above the target of 100\xa0EUR', '30\xa0EUR below the target of 0\xa0EUR', 'at the target of 0\xa0EUR')
    """
    aim, gap = f"the target of {words.money(target, currency)}", abs(sales - target)
    if target <= 0 and gap == 0:
        return f"at {aim}"
    far = words.percent(gap / target, 1) if target > 0 else words.money(gap, currency)
    return f"{far} {'above' if sales >= target else 'below'} {aim}"


def with_parts(pacing: pd.DataFrame) -> pd.DataFrame:
    """The target of all sales, then those of its parts; a lone part says the same as all, so it is
    left out.
    """
    whole, parts = pacing[pacing["scope"] == "all"].head(1), pacing[pacing["scope"] != "all"]
    parts = parts.assign(scope_value=parts["scope_value"].map(words.category))
    return pd.concat([whole, parts]) if len(parts) > 1 else whole


def in_scope(rows: pd.DataFrame, scope_value: str, named: set[str]) -> pd.DataFrame:
    """The rows with a `category` that a target counts: all of them, one category, or those without
    a target.

    >>> two = pd.DataFrame({"category": ["a", "b"]})
    >>> [in_scope(two, s, {"all", "a", "other"})["category"].tolist() for s in ("all", "a", "other")]
    [['a', 'b'], ['a'], ['b']]
    """
    if scope_value == "all":
        return rows
    return rows[
        ~rows["category"].isin(named) if scope_value == OTHER else rows["category"] == scope_value
    ]


def rest(
    targets: pd.DataFrame, sales: pd.DataFrame, forecast: pd.DataFrame, tested: pd.DataFrame
) -> pd.Series:
    """Simulated sales of the days that are left of the targets' period: by scope value, one array
    of sums.

    `targets` are those of one period; `forecast` and `tested` are the tables of 3 Analyze. The sums
    spread as the method's own past errors did, around what the forecast expects. Empty where the
    period is over.
    """
    days = sales.assign(day=pd.to_datetime(sales["ordered_on"]))
    ahead = forecast[forecast["category"] != "all"].assign(
        day=lambda f: pd.to_datetime(f["ordered_on"])
    )
    end = pd.to_datetime(targets["ends_on"]).max()
    ahead = ahead[ahead["day"] <= end]
    if ahead.empty or days.empty:
        return pd.Series(dtype=object)
    every = pd.date_range(days["day"].min(), days["day"].max())
    (method, width, _coverage), named, sums = (
        stats.choose_method(tested),
        set(targets["scope_value"]),
        {},
    )
    for scope in targets["scope_value"].unique():
        daily = (
            in_scope(days, scope, named)
            .groupby("day")["revenue"]
            .sum()
            .reindex(every, fill_value=0.0)
        )
        how = method if scope == "all" else "four-week mean"
        paths = stats.sales_paths(daily, (end - every[-1]).days, how, width=width)
        drawn = paths[ahead["day"].min() :].sum()
        expected = in_scope(ahead, scope, named)["forecast"].sum()
        sums[scope] = (drawn * expected / drawn.mean() if drawn.mean() > 0 else drawn).to_numpy()
    return pd.Series(sums)


def _pace(target, sales: pd.DataFrame, drawn, now: pd.Timestamp) -> dict:
    start, end = pd.Timestamp(target.starts_on), pd.Timestamp(target.ends_on)
    actual = round(float(sales.loc[sales["day"].between(start, end), "revenue"].sum()), 2)
    elapsed = min(max(((now - start).days + 1) / ((end - start).days + 1), 0.0), 1.0)
    total = pd.Series([0.0] if drawn is None or elapsed == 1 else drawn) + actual
    low, high = total.quantile(list(stats.ENDS))
    chance = float((total >= target.target).mean())
    return {
        "elapsed": elapsed,
        "actual": actual,
        "expected": round(total.mean(), 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "chance": chance,
        "light": light(chance) if elapsed < 1 else ended(actual, target.target),
    }


def light(chance: float) -> str:
    """The traffic light of a period that is under way.

    >>> light(0.7), light(0.4), light(0.1)
    ('green', 'amber', 'red')
    """
    if chance >= methods.value("pace_likely"):
        return "green"
    return "amber" if chance >= methods.value("pace_possible") else "red"


def ended(actual: float, target: float) -> str:
    """The traffic light of a period that is over.

    >>> ended(100, 100), ended(99, 100), ended(90, 100)
    ('green', 'amber', 'red')
    """
    nearly = (1 - methods.value("pace_nearly")) * target
    if actual >= target:
        return "green"
    return "amber" if actual >= nearly else "red"

"""Key figures by period, how they moved, and whether they move like that all the time."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import history, stats
from helpers.show import words

WEEKS = 4  # a period is four weeks, so that every weekday is in it equally often
UNITS = {
    "sales": "money",
    "orders": "count",
    "active customers": "count",
    "average order value": "money",
    "revenue per active customer": "money",
    "share of sales at a discount": "share",
}
FEW = 8  # fewer earlier changes than this say nothing about what is usual
MORE = "more than usual"
COLUMNS = ["since", "metric", "unit", "before", "now", "change", "usual_low", "usual_high", "sure"]


def count_periods(orders: ir.Table, last_on: date) -> ir.Table:
    """Sums for every period of four weeks, one ending each week: `weeks_ago` 0 ends on last_on.

    An order is in four overlapping periods; one that only brings goods back counts with its money
    alone. Columns: weeks_ago, oldest (days before last_on), sales, orders, customers, known_sales
    (of known customers), discounted (sales on lines with a discount).
    """
    age = ibis.literal(last_on).delta(orders.ordered_on, unit="day")
    lines = orders.mutate(age=age).mutate(week=(_.age / 7).floor().cast("int64"))
    baskets = lines.group_by("order_id", "customer_id", "week").agg(
        age=_.age.max(),
        bought=(history.BOUGHT).cast("int64").max(),
        sales=_.revenue.sum(),
        discounted=(_.revenue * (_.discount > 0).cast("float64")).sum(),
    )
    each = ibis.union(*[baskets.mutate(weeks_ago=_.week - i) for i in range(WEEKS)])
    return (
        each.filter(_.weeks_ago >= 0)
        .group_by("weeks_ago")
        .agg(
            oldest=_.age.max(),
            sales=_.sales.sum().round(2),
            orders=_.order_id.nunique(where=_.bought == 1),
            customers=_.customer_id.nunique(where=_.bought == 1),
            known_sales=_.sales.sum(where=_.customer_id.notnull()).round(2),
            discounted=_.discounted.sum().round(2),
        )
        .order_by("weeks_ago")
    )


def figures(periods: pd.DataFrame) -> pd.DataFrame:
    """The key figures of each whole period, one column a figure, indexed by `weeks_ago`."""
    whole = int((periods["oldest"].max() + 1) // 7) - WEEKS + 1 if len(periods) else 0
    p = periods.set_index("weeks_ago").astype(float).reindex(range(whole))
    # or it divides by 0
    p[["customers", "orders"]] = p[["customers", "orders"]].where(p[["customers", "orders"]] > 0)
    return pd.DataFrame(
        {
            "sales": p["sales"],
            "orders": p["orders"].fillna(0.0),
            "active customers": p["customers"],
            "average order value": p["sales"] / p["orders"],
            "revenue per active customer": p["known_sales"] / p["customers"],
            "share of sales at a discount": p["discounted"] / p["sales"].where(p["sales"] > 0),
        }
    )


def key_figures(by_period: pd.DataFrame, last_on: date) -> pd.DataFrame:
    """The last period beside the one before it (table `kpis`).

    `change` is a share of the period before; that of a share is the difference, told in points.
    """
    now, before = (by_period.reindex([k]).iloc[0] for k in (0, WEEKS))
    first = pd.Timestamp(last_on) - pd.Timedelta(weeks=WEEKS) + pd.Timedelta(days=1)
    period = f"{words.day(first)} to {words.day(last_on)}, against the {WEEKS * 7} days before"
    return pd.DataFrame(
        {
            "metric": list(UNITS),
            "unit": list(UNITS.values()),
            "value": now.to_numpy(),
            "previous": before.to_numpy(),
            "change": _moved(now, before).to_numpy(),
            "period": period,
        }
    )


def changes(
    kpis: pd.DataFrame, by_period: pd.DataFrame, before: pd.DataFrame | None
) -> pd.DataFrame:
    """What moved since the last period and since the last run, and how sure that is (table
    `changes`).

    `before` holds the key figures of the last run, or is None. A change is measured against all
    earlier changes of the same figure from one period to the next, so season and chance are both in
    what is usual; `usual_low` and `usual_high` hold nine in ten of them.
    """
    past = by_period.apply(lambda figure: _moved_alike(figure, figure.shift(-WEEKS))).iloc[WEEKS:]
    rows = [kpis.assign(since="last period", before=kpis["previous"], same=False)]
    if before is not None and len(before):
        old = before.set_index("metric").reindex(kpis["metric"])
        rows.append(
            kpis.assign(
                since="last run",
                before=old["value"].to_numpy(),
                same=(old["period"] == kpis["period"].iloc[0]).to_numpy(),
            )
        )
    both = pd.concat(rows, ignore_index=True).rename(columns={"value": "now"})
    both = both.set_index("metric", drop=False)
    both["change"] = _moved(both["now"], both["before"])
    both = both.reset_index(drop=True)
    both["usual_low"], both["usual_high"] = (
        both["metric"].map(past.quantile(end)) for end in stats.ENDS
    )
    both["earlier"] = both["metric"].map(past.count())
    both["sure"] = [_sure(r) for r in both.itertuples()]
    return both.loc[both["before"].notna(), COLUMNS].reset_index(drop=True)


def say_changes(moved: pd.DataFrame, currency: str) -> dict[str, str]:
    """What the last period brought, in words: headline and evidence of a finding; `moved` is what
    `changes` gave.
    """
    period = moved[moved["since"] == "last period"].set_index("metric")
    if "sales" not in period.index:
        return {"headline": "There is no earlier period to compare the last four weeks with."}
    now, odd = period.loc["sales"], period.index[period["sure"].str.startswith(MORE)]
    return {
        "headline": (
            f"Sales of the last four weeks are {words.money(now['now'], currency)}, "
            f"{words.percent(now['change'], 1, signed=True)} on the four weeks before."
        ),
        "evidence": (
            f"That is {now['sure']}. Figures that moved more than usual:"
            f" {words.listing(odd) or 'none'}."
        ),
    }


def readable(figures: pd.DataFrame, currency: str) -> pd.DataFrame:
    """The figures of a table with metric and unit as people write them: money, counts and shares.

    A change is told in percent, that of a share in points.

    >>> readable(pd.DataFrame({"unit": ["count", "money"], "now": [1234.5, 31.574]}), "")["now"].tolist()
    ['1,234', '31.57']
    >>> readable(pd.DataFrame({"unit": ["share"], "change": [-0.012]}), "")["change"].tolist()
    ['-1.2 points']
    """
    say = {
        "money": lambda v: _price(v, currency),
        "count": words.count,
        "share": lambda v: words.percent(v, 1),
    }
    columns = [c for c in ("value", "previous", "before", "now") if c in figures]
    told = {
        c: [say[unit](v) for unit, v in zip(figures["unit"], figures[c], strict=True)]
        for c in columns
    }
    if "change" in figures:
        moves = zip(figures["change"], figures["unit"], strict=True)
        told["change"] = [_say_move(change, unit) for change, unit in moves]
    return figures.assign(**told)


def _say_move(change: float, unit: str) -> str:
    if unit == "share" and pd.notna(change):
        return f"{round(100 * change, 1) + 0.0:+.1f} points"
    return words.percent(change, 1, signed=True)


def _moved(now: pd.Series, before: pd.Series) -> pd.Series:
    """How figures, indexed by metric, differ from those before: shares by a difference."""
    is_share = now.index.map(UNITS).to_numpy() == "share"
    return (now / before.where(before != 0) - 1).where(~is_share, now - before)


def _moved_alike(now: pd.Series, before: pd.Series) -> pd.Series:
    """The same for many periods of the one figure that the series is named after."""
    return now - before if UNITS[now.name] == "share" else now / before.where(before != 0) - 1


def _sure(row) -> str:
    if row.same:
        return "the same days as in the last run" + (
            ": nothing changed"
            if not round(row.change, 6)
            else ", so the data or the rules changed, not the customers"
        )
    if row.earlier < FEW:
        return f"too little history to tell: {row.earlier} earlier changes"
    verdict = (
        "within the usual ups and downs" if row.usual_low <= row.change <= row.usual_high else MORE
    )
    low, high = (_say_move(end, row.unit) for end in (row.usual_low, row.usual_high))
    return f"{verdict}: nine in ten of {row.earlier} earlier changes lay between {low} and {high}"


def _price(amount: float, currency: str) -> str:
    # An average order moves by cents; sales do not.
    return (
        f"{amount:,.2f}{words.NBSP}{currency}".strip()
        if abs(amount) < 1000
        else words.money(amount, currency)
    )

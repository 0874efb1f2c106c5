"""Would the values have been right? Fit on an earlier part of the data, compare with what customers
then did.
"""

from __future__ import annotations

from datetime import date, timedelta

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import history, stats
from helpers.segment.lifetime_value.lifetime import (
    LEVELS,
    MODELS,
    PLAIN,
    WEEK,
    add_history,
    ends_at,
    fit_models,
    histories,
    period,
    plain_values,
    predict,
    simulations,
)

SCORES = [
    "said_over_came",
    "mean_error",
    "rank_correlation",
    "rank_of_orders",
    "top_tenth_caught",
    "ranges_held",
]
COLUMNS = ["method", "customer_id", "said_orders", "said", "orders", "actual", "needed"]


def backtest(lines: ir.Table, as_of: date, days: int) -> pd.DataFrame:
    """What each method would have said `days` days ago about the time since, and what came.

    One row a method and customer with an order by then: said_orders and said (money), orders and
    actual, and `needed`: the level at which the customer's interval would have held the actual
    money. The plain rule says that all will be as in the `days` before. Nothing is discounted.
    """
    split = as_of - timedelta(days=days)
    people = add_history(histories(lines, split).to_pandas(), split)
    came = people[["customer_id"]].merge(period(lines, as_of, days), how="left")
    actual = came["money"].fillna(0.0).to_numpy(float)
    said = {PLAIN: (plain_values(people, period(lines, split, days), days, 1.0, 0.0), np.nan)}
    for name, model in fit_models(people).items():
        parts = simulations(model, people, days)
        cuts = np.cumsum([0, *(p.shape[1] for p in parts)])
        needed = [
            _needed(p, actual[a:b]) for p, a, b in zip(parts, cuts[:-1], cuts[1:], strict=True)
        ]
        said[name] = predict(model, people, days), np.concatenate(needed)
    rows = [
        values[["customer_id"]].assign(
            method=name, said_orders=values["expected_orders"], said=values["predicted_value"],
            orders=came["orders"].fillna(0.0).astype(float), actual=actual, needed=needed,
        )
        for name, (values, needed) in said.items()
    ]  # fmt: skip
    return pd.concat(rows, ignore_index=True)[COLUMNS]


def score_values(tested: pd.DataFrame) -> pd.DataFrame:
    """One row a method of `backtest`: how close it came.

    said_over_came: all money; mean_error: absolute, of a customer, in currency; rank_correlation
    (Spearman) of said and actual money, rank_of_orders the same of orders; top_tenth_caught: share
    of the money that came from the tenth of the customers whom it ranks first; ranges_held: share
    of customers whose 90 % interval held.
    """
    rows = [_scores(name, own) for name, own in tested.groupby("method", sort=False)]
    return pd.DataFrame(rows, columns=["method", "customers", *SCORES])


def against_rule(tested: pd.DataFrame, name: str) -> pd.DataFrame:
    """How a model did beside the plain rule, in one row, or none where it was not tested.

    total and caught: said_over_came and top_tenth_caught of `score_values`, rule_total, rule_caught
    those of the rule; gain: by how much less it errs for one customer, in currency, with its 90 %
    interval low to high.
    """
    columns = ["total", "rule_total", "caught", "rule_caught", "gain", "low", "high"]
    if name not in set(tested["method"]):
        return pd.DataFrame(columns=columns)
    scores = score_values(tested).set_index("method").loc[[name, PLAIN]]
    errors = {m: (r["said"] - r["actual"]).abs().to_numpy() for m, r in tested.groupby("method")}
    less = errors[PLAIN] - errors[name]
    row = [*scores["said_over_came"], *scores["top_tenth_caught"], less.mean()]
    return pd.DataFrame([[*row, *stats.bootstrap_interval(less)]], columns=columns)


def level_needed(tested: pd.DataFrame, name: str) -> float:
    """The level that an interval must claim so that nine in ten held in the back-test; never below
    90 %.
    """
    needed = tested.loc[tested["method"] == name, "needed"].dropna()
    return (
        float(needed.quantile(stats.LEVEL, interpolation="higher"))
        if len(needed)
        else float(LEVELS[0])
    )


def tracked(lines: ir.Table, as_of: date, days: int) -> pd.DataFrame:
    """Repeat orders of each week, those that came and those that each model, fitted `days` days
    ago, expected.

    One row a week, of the customers with an order by then: week_on (its last day), actual, and a
    column a model.
    """
    split = as_of - timedelta(days=days)
    people = add_history(histories(lines, split).to_pandas(), split)
    models = fit_models(people)
    if not models:
        return pd.DataFrame()
    first = pd.to_datetime(people["first_on"])
    born = first.value_counts().sort_index()
    ends = pd.date_range(as_of, first.min(), freq=f"-{WEEK}D")[::-1]
    known = lines.semi_join(histories(lines, split), "customer_id")
    days = history.purchase_days(known, as_of)
    daily = days.group_by("ordered_on").agg(n=_.count()).to_pandas()
    orders = daily.set_index(pd.to_datetime(daily["ordered_on"]))["n"].sub(born, fill_value=0)
    rows = pd.DataFrame(
        {"week_on": ends, "actual": np.diff([orders[:e].sum() for e in ends], prepend=0)}
    )
    ages = (ends.to_numpy()[:, None] - born.index.to_numpy()) / np.timedelta64(WEEK, "D")
    for name, model in models.items():
        repeats = MODELS[name].expected(model.counts.params, np.maximum(ages, 0)) @ born.to_numpy()
        rows[name] = np.diff(repeats, prepend=0)
    return rows.iloc[1:]


def silent(lines: ir.Table, seen: pd.DataFrame, as_of: date, days: int) -> pd.Series:
    """What became in `days` days of those who had been seen before, but without an order: people,
    orders, money, high.

    `seen` has customer_id and first_seen_at. orders and money are means; high is the end of the
    interval from nothing up that holds nine in ten of them.
    """
    split = as_of - timedelta(days=days)
    known = pd.to_datetime(seen["first_seen_at"]) < pd.Timestamp(split) + pd.Timedelta(days=1)
    bought = histories(lines, split).select("customer_id").to_pandas()["customer_id"]
    people = seen.loc[known & ~seen["customer_id"].isin(bought), ["customer_id"]]
    since = people.merge(period(lines, as_of, days), how="left").fillna(0.0)
    return pd.Series(
        {
            "people": len(since),
            "orders": since["orders"].astype(float).mean(),
            "money": since["money"].astype(float).mean(),
            "high": since["money"].astype(float).quantile(stats.LEVEL),
        }
    ).fillna(0.0)


def _needed(draws: np.ndarray, actual: np.ndarray) -> np.ndarray:
    held = []
    for level in LEVELS:
        low, high = ends_at(draws, level).T
        high = np.maximum(high, draws.mean(axis=0))
        held.append((low <= actual + 1e-9) & (actual <= high + 1e-9))
    return np.where(np.any(held, axis=0), LEVELS[np.argmax(held, axis=0)], 1.0)


def _scores(name: str, rows: pd.DataFrame) -> dict[str, object]:
    top = rows["said"].rank(ascending=False, method="first") <= np.ceil(len(rows) / 10)
    whole = rows["actual"].sum() or np.nan
    return {
        "method": name,
        "customers": len(rows),
        "said_over_came": rows["said"].sum() / whole,
        "mean_error": (rows["said"] - rows["actual"]).abs().mean(),
        "rank_correlation": _rank(rows["said"], rows["actual"]),
        "rank_of_orders": _rank(rows["said_orders"], rows["orders"]),
        "top_tenth_caught": rows.loc[top, "actual"].sum() / whole,
        "ranges_held": (rows["needed"] <= LEVELS[0]).mean()
        if rows["needed"].notna().any()
        else np.nan,
    }


def _rank(said: pd.Series, actual: pd.Series) -> float:
    return (
        said.rank().corr(actual.rank()) if said.nunique() > 1 and actual.nunique() > 1 else np.nan
    )

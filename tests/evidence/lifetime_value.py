"""How right the values of customers are: predicted orders, money, ranges and chance of being there, against the truth.

lifetime_value.csv: a row a seed and method. The year ahead is known of each simulated person, with the expectation that
their own rate and day of leaving give. Only people all of whose orders carry their name: the others' next orders cannot
be seen by any method. lifetime_deciles.csv: tenths of the customers by predicted money, all seeds together.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from twins import World

DAYS = 365
PLAIN = "last year's"
WINDOW_END = 730  # days of the exports, from the first day of the simulation


def score(made: World) -> dict[str, pd.DataFrame]:
    """Each method's forecast of one twin's next year, scored, and its tenths."""
    told = forecasts(made)
    rows, tenths = [], []
    for name, one in told.items():
        rows.append({"method": name, "customers": len(one)} | scores(one))
        place = np.ceil(one["said"].rank(ascending=False, method="first", pct=True) * 10).astype(
            int
        )
        means = one.groupby(place.rename("decile"))[["said", "margin_after"]].agg(["sum", "size"])
        own = {
            "method": name,
            "said": means["said", "sum"],
            "came": means["margin_after", "sum"],
            "n": means["said", "size"],
        }
        tenths.append(pd.DataFrame(own).reset_index())
    return {"lifetime_value": pd.DataFrame(rows), "lifetime_deciles": pd.concat(tenths)}


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a seed and method with their mean; or one row a method and tenth, means a customer over all seeds."""
    if name == "lifetime_deciles":
        sums = rows.groupby(["method", "decile"])[["said", "came", "n"]].sum()
        return sums.div(sums["n"], axis=0)[["said", "came"]].round(2).reset_index()
    means = rows.drop(columns="seed").groupby("method", as_index=False).mean()
    counts = rows.groupby("method")[["customers", "intervals"]].sum().reset_index()
    means = means.drop(columns=["customers", "intervals"]).merge(counts).assign(seed="all")
    return pd.concat([rows, means])[["seed", *rows.columns.drop("seed")]].round(4)


def forecasts(made: World) -> dict[str, pd.DataFrame]:
    """By method: customer_id, said_orders, said (margin), low, high, prob_alive, beside the truth of the year after."""
    from helpers import assumptions
    from helpers.segment import rfm
    from helpers.segment.lifetime_value import holdout, lifetime

    run, economics = made.run, made.run.settings.economics
    lines, _basis = assumptions.with_margin(run.read("orders"), run.read("products"), economics)
    people = lifetime.add_history(lifetime.histories(lines, run.as_of).to_pandas(), run.as_of)
    window = rfm.comparable_window(lines.ordered_on.min().to_pandas().date(), run.as_of)
    tested = holdout.backtest(lines, run.as_of, window)
    models = lifetime.fit_models(people)
    found = {
        PLAIN: lifetime.plain_values(
            people, lifetime.period(lines, run.as_of, DAYS), DAYS, 1.0, 0.0
        )
    }
    for name, model in models.items():
        found[name] = lifetime.value_customers(
            people, model, DAYS, 0.0, holdout.level_needed(tested, name)
        )
    found["chosen by likelihood"] = found[next(iter(models))]
    truth = made.people.drop_duplicates("person", keep=False)
    truth = truth[truth["member"] | (truth["channels"] == "web")]
    left = ((truth["dropout_day"] - WINDOW_END) / DAYS).clip(0, 1)
    truth = truth.assign(due_orders=truth["purchase_rate"] * left)
    renamed = {"expected_orders": "said_orders", "predicted_value": "said"}
    return {k: v.rename(columns=renamed).merge(truth, on="customer_id") for k, v in found.items()}


def scores(one: pd.DataFrame) -> dict[str, float]:
    """The scores of one method: see the columns of lifetime_value.csv."""
    said, came = one["said"], one["margin_after"]
    top = said.rank(ascending=False, method="first") <= np.ceil(len(one) / 10)
    still = one["dropout_day"] > WINDOW_END
    ranged = one["high"].notna()
    held = (one["low"] - 1e-6 <= came) & (came <= one["high"] + 1e-6)
    return {
        "orders_pearson": one["said_orders"].corr(one["orders_after"]),
        "orders_spearman": rank(one["said_orders"], one["orders_after"]),
        "due_orders_pearson": one["said_orders"].corr(one["due_orders"]),
        "margin_pearson": said.corr(came),
        "margin_spearman": rank(said, came),
        "orders_said_over_came": one["said_orders"].sum() / one["orders_after"].sum(),
        "margin_said_over_came": said.sum() / came.sum(),
        "margin_error": (said - came).abs().mean(),
        "caught_by_top_tenth": came[top].sum() / came.sum(),
        "intervals": int(ranged.sum()),
        "covered": held[ranged].mean() if ranged.any() else np.nan,
        "covered_if_probably_there": held[ranged & (one["prob_alive"] > 0.5)].mean()
        if ranged.any()
        else np.nan,
        "alive_auc": auc(one["prob_alive"], still)
        if ranged.any()
        else auc(one["said_orders"], still),
        "alive_said": one["prob_alive"].mean(),
        "alive_true": still.mean(),
    }


def rank(a: pd.Series, b: pd.Series) -> float:
    """Rank correlation."""
    return a.rank().corr(b.rank())


def auc(points: pd.Series, true: pd.Series) -> float:
    """Chance that a true one has more points than a false one."""
    place = points.rank()
    n = true.sum()
    return (place[true].sum() - n * (n + 1) / 2) / (n * (len(true) - n))

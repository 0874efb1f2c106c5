"""The chance that a customer leaves, learned from earlier days; which way of telling caught more
leavers, and when.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import methods, stats
from helpers.segment.churn.leaving import CHURN, Watch
from helpers.segment.lifetime_value import bgnbd

FEATURES = list(CHURN["drivers"])
CURVED = [
    "silence",
    "usual_gap",
    "times_usual_gap",
    "order_days",
    "orders_now",
    "sales_now",
    "orders_before",
]
# twice as much matters as much, whatever the level: logs
CURVED += ["known_days", "mails", "slowest_reply"]
TESTS = 4  # earlier days on which the ways are compared
CHANCE = "chance"
WAYS = [way for way in CHURN["ways"] if way != CHANCE]
WEEK = 7  # days


class Model(NamedTuple):
    """A logistic regression on `features`, and the two numbers that calibrate its log odds."""

    fitted: Pipeline
    features: list[str]
    middle: pd.Series
    level: float
    slope: float


def add_risk(people: pd.DataFrame, watch: Watch) -> pd.DataFrame:
    """Add the chance to leave to the rows of those alive: risk, model_score, worth_score,
    by_model.

    risk: the chance of no order in the next horizon, from what was known on the day: a model
    learned on days at least a horizon and a half earlier, and calibrated on the day one horizon
    earlier. Only `judged_days` have one; the other days have served to learn. Where too few have
    left to learn from, there is no model_score, and the last look's risk is that of BG/NBD
    (`add_alive`), else that of purchases at random at the usual gap, exp(-horizon / gap).
    worth_score: risk times the sales of the window. by_model: the likeliest leavers, as many as the
    model expects.
    """
    found = people.assign(risk=np.nan, model_score=np.nan, worth_score=np.nan, by_model=False)
    for on in judged_days(people):
        day, model = people[people["on"] == on], learn(people, on, watch)
        if model:
            risk = chances(model, day)
            worth = risk * day["monetary"].clip(lower=0)
            found.loc[day.index, ["risk", "model_score", "worth_score"]] = np.column_stack(
                [risk, risk, worth]
            )
            found.loc[day.index, "by_model"] = _likeliest(risk)
        elif on == people["on"].max():
            rough = np.exp(-watch.horizon / day["usual_gap"].clip(lower=1))
            found.loc[day.index, "risk"] = day["alive_score"].fillna(rough)
    return found


def add_alive(people: pd.DataFrame, watch: Watch) -> pd.DataFrame:
    """Add `by_alive` and `alive_score`: the chance of no order in the next horizon by BG/NBD, from
    all who ordered.

    Whoever is alive and buys at random orders nothing with the chance ((alpha + T) / (alpha + T +
    t)) ^ (r + x). Empty where the model does not converge.
    """
    found = people.assign(alive_score=np.nan, by_alive=False)
    for on in judged_days(people):
        day = people[people["on"] == on]
        x, t_x, T = _history(day)
        fit = bgnbd.fit(x, t_x, T) if (x > 0).sum() >= methods.value("leavers") else None
        if fit and fit.converged:
            r, alpha, _a, _b = fit.params
            none = np.exp((r + x) * (np.log(alpha + T) - np.log(alpha + T + watch.horizon / WEEK)))
            score = 1 - bgnbd.alive(fit.params, x, t_x, T) * (1 - none)
            found.loc[day.index, "alive_score"] = score
            alive = day["is_alive"].to_numpy()
            found.loc[day.index[alive], "by_alive"] = _likeliest(score[alive])
    return found


def judged_days(people: pd.DataFrame) -> list[pd.Timestamp]:
    """The last day of the panel, and the last `TESTS` days whose outcome is known."""
    days = people["on"].drop_duplicates().sort_values()
    told = people.loc[people["left"].notna(), "on"]
    return sorted({*days.tail(1), *told.drop_duplicates().sort_values().tail(TESTS)})


def judged(people: pd.DataFrame) -> pd.DataFrame:
    """The rows of the days on which the ways can be judged, with `left` as 0 or 1.

    Their outcome is known; where a model could judge some days, only those days.
    """
    told = people[people["on"].isin(judged_days(people)) & people["left"].notna()]
    by_model = told[told["model_score"].notna()]
    told = by_model if len(by_model) else told
    return told.assign(left=told["left"].astype(float))


def learn(people: pd.DataFrame, on: pd.Timestamp, watch: Watch) -> Model | None:
    """The model that could be had on the day `on`; None where fewer than `leavers` left or stayed
    on
    either side.

    Learned on days whose outcome was known half a horizon before `on`, calibrated on the day
    whose outcome was just known (Platt 1999). Nothing that happened after `on` counts.
    """
    calibrate = people[people["on"] == on - pd.Timedelta(days=watch.horizon)]
    train = people[people["on"] <= on - pd.Timedelta(days=watch.horizon * 3 // 2)]
    if min(_fewer(train), _fewer(calibrate)) < methods.value("leavers"):
        return None
    features = [f for f in FEATURES if train[f].nunique() > 1]
    middle = train[features].astype(float).median()
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000))
    fitted.fit(_matrix(train, features, middle), train["left"].astype(int))
    raw = fitted.decision_function(_matrix(calibrate, features, middle)).reshape(-1, 1)
    turned = LogisticRegression(C=1e6).fit(raw, calibrate["left"].astype(int))
    return Model(fitted, features, middle, float(turned.intercept_[0]), float(turned.coef_[0, 0]))


def chances(model: Model, people: pd.DataFrame) -> np.ndarray:
    """The calibrated chance of no order in the next horizon, 0 to 1."""
    odds = model.fitted.decision_function(_matrix(people, model.features, model.middle))
    return 1 / (1 + np.exp(-(model.level + model.slope * odds)))


def risk_drivers(people: pd.DataFrame, watch: Watch, repeats: int = 20) -> pd.DataFrame:
    """How much worse the model tells leavers apart on the last tested day when one feature is
    shuffled (Breiman 2001).

    One row a feature, the largest first: driver, loss (of the area under the ROC curve), low and
    high (the 90 % range of the shuffles).
    """
    told = judged(people).dropna(subset=["model_score"])
    day = told[told["on"] == told["on"].max()]
    if day["left"].nunique() < 2:
        return pd.DataFrame(columns=["driver", "loss", "low", "high"])
    model = learn(people, day["on"].max(), watch)
    x = _matrix(day, model.features, model.middle)
    found = permutation_importance(
        model.fitted, x, day["left"], scoring="roc_auc", n_repeats=repeats, random_state=1
    )
    low, high = np.quantile(found.importances, [0.05, 0.95], axis=1)
    rows = pd.DataFrame(
        {"driver": [CHURN["drivers"][f] for f in model.features], "loss": found.importances_mean}
    )
    return rows.assign(low=low, high=high).sort_values("loss", ascending=False, ignore_index=True)


def compare_ways(people: pd.DataFrame, share: float, watch: Watch) -> pd.DataFrame:
    """Who caught more leavers with lists of the same length: the first `share` of customers on each
    tested day.

    One row a way and one for chance: days, customers, leavers, listed, caught; precision: the share
    of the list that left, with its 90 % interval; extra: precision beyond that of the longest
    silence first, with its interval; lift: precision over the share of all that left; recall: the
    share of leavers caught; money: their share of the sales of all leavers; lead_days: median days
    from the first warning to the day on which the silence reaches the horizon and everyone sees it.
    Intervals by bootstrap over customers, all days of one customer together. A way that could not
    judge is left out.
    """
    told = judged(people)
    if told.empty:
        return pd.DataFrame(columns=BACKTEST)
    sales = told["monetary"].clip(lower=0)
    told = told.assign(plain_score=told["silence"].astype(float), big_score=sales, stake=sales)
    lists = {way: _listed(told, way, share) for way in WAYS if told[f"{way}_score"].notna().all()}
    lists[CHANCE] = told.groupby("on")["left"].transform(
        lambda day: max(round(share * len(day)), 1) / len(day)
    )
    rows = [
        _caught(told, on_list.astype(float), lists["plain"].astype(float), watch)
        for on_list in lists.values()
    ]
    names = [CHURN["ways"][way]["name"] for way in lists]
    return pd.DataFrame(rows, columns=BACKTEST).assign(way=list(lists), name=names)


BACKTEST = [
    "way",
    "name",
    "days",
    "customers",
    "leavers",
    "listed",
    "caught",
    "precision",
    "low",
    "high",
    "extra",
]
BACKTEST += ["extra_low", "extra_high", "lift", "recall", "money", "lead_days"]


def _listed(told: pd.DataFrame, way: str, share: float) -> pd.Series:
    order = told.sort_values(
        [f"{way}_score", "silence", "customer_id"], ascending=[False, False, True], kind="stable"
    )
    place, size = order.groupby("on").cumcount(), order.groupby("on")["on"].transform("size")
    return (place < (share * size).round().clip(lower=1)).reindex(told.index)


def _caught(
    told: pd.DataFrame, listed: pd.Series, plain: pd.Series, watch: Watch
) -> dict[str, float]:
    hits, lost = listed * told["left"], told["left"] * told["stake"]
    precision, base = hits.sum() / listed.sum(), told["left"].mean()
    low, high = _spread((hits - precision * listed), told, listed.sum())
    extra = (hits - plain * told["left"]).sum() / listed.sum()
    extra_low, extra_high = _spread(
        (hits - plain * told["left"] - extra * listed), told, listed.sum()
    )
    warned = (
        told[(listed == 1) & (told["left"] == 1)].sort_values("on").drop_duplicates("customer_id")
    )
    return {
        "days": told["on"].nunique(),
        "customers": len(told),
        "leavers": int(told["left"].sum()),
        "listed": round(listed.sum()),
        "caught": hits.sum(),
        "precision": precision,
        "low": precision + low,
        "high": precision + high,
        "extra": extra,
        "extra_low": extra + extra_low,
        "extra_high": extra + extra_high,
        "lift": precision / base if base else np.nan,
        "recall": hits.sum() / told["left"].sum() if base else np.nan,
        "money": (listed * lost).sum() / lost.sum() if lost.sum() else np.nan,
        "lead_days": (watch.horizon - warned["silence"]).median(),
    }


def _spread(own: pd.Series, told: pd.DataFrame, size: float) -> tuple[float, float]:
    """Ends of the interval of a ratio around it, from each customer's influence (Taylor
    linearisation).
    """
    sums = own.groupby(told["customer_id"]).sum().to_numpy()
    low, high = stats.bootstrap_interval(sums, draws=1000)
    return low * len(sums) / size, high * len(sums) / size


def _matrix(people: pd.DataFrame, features: list[str], middle: pd.Series) -> np.ndarray:
    x = people[features].astype(float).fillna(middle).fillna(0.0)
    curved = [f for f in features if f in CURVED]
    return x.assign(**np.log1p(x[curved].clip(lower=0))).to_numpy()


def _fewer(rows: pd.DataFrame) -> int:
    left = rows["left"].astype(float)
    return int(min(left.sum(), (1 - left).sum()))


def _likeliest(risk: np.ndarray) -> np.ndarray:
    """The highest, as many as their sum says."""
    n = round(float(np.sum(risk)))
    return np.argsort(np.argsort(-risk, kind="stable"), kind="stable") < n


def _history(day: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeat purchases, weeks from the first to the last, weeks from the first to the day."""
    span, known = (day["last_on"] - day["first_on"]).dt.days, (day["on"] - day["first_on"]).dt.days
    return (
        day["order_days"].to_numpy(float) - 1,
        span.to_numpy(float) / WEEK,
        known.to_numpy(float) / WEEK,
    )

"""What customers will still be worth: their histories, and the value of the time ahead with its
range.
"""

from __future__ import annotations

from datetime import date, timedelta
from types import ModuleType
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import methods
from helpers.history import BOUGHT
from helpers.segment.lifetime_value import bgnbd, gamma_gamma, pareto_nbd
from helpers.segment.lifetime_value.likelihood import Fit
from helpers.stats import LEVEL, Z

MODELS: dict[str, ModuleType] = {"BG/NBD": bgnbd, "Pareto/NBD": pareto_nbd}
PLAIN, SILENT = "last period's", "mean of those without an order"
VALUE_VERSION = "1"
WEEK, YEAR = 7, 365  # days
TIE = 2.0  # of log-likelihood: less is no evidence
SETS, EACH = 20, 15  # sets of parameters, and draws with each
MOST = 200_000  # histories to fit on: more hardly change a parameter
ROWS = 20_000  # customers simulated at a time
# an interval may have to be widened to
LEVELS = np.array([0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995])


class Model(NamedTuple):
    """A fitted model of how often and how much; without `spend` every order has the mean value
    `mean`.
    """

    name: str
    counts: Fit
    spend: Fit | None
    mean: float

    def __str__(self) -> str:
        parts = [self.counts, self.spend] if self.spend else [self.counts]
        return f"{self.name}: " + ", ".join(
            f"{n} {v:.4g}" for f in parts for n, v in zip(f.names, f.params, strict=True)
        )


class Depth(NamedTuple):
    """What histories hold: customers who came back, how many a model needs, the weeks that the data
    reach back, and the usual gap in weeks.
    """

    came_back: int
    needed: int
    weeks: float
    gap: float

    @property
    def few(self) -> bool:
        """Whether too few came back."""
        return self.came_back < self.needed

    @property
    def short(self) -> bool:
        """Whether the data reach back less than two usual gaps."""
        return self.weeks < 2 * self.gap


def histories(lines: ir.Table, until: date) -> ir.Table:
    """One row a customer with an order up to `until`: first_on, last_on, order_days, sales and
    money.

    `lines` carry `margin`, whose sum is the money. Orders of one day count as one. A return is no
    order, but lowers sales and money. Lines without a customer are left out.
    """
    return _sums(lines, until).filter(_.order_days > 0)


def _sums(lines: ir.Table, until: date) -> ir.Table:
    days = (
        lines.filter(_.customer_id.notnull(), _.ordered_on <= until)
        .group_by("customer_id", "ordered_on")
        .agg(sales=_.revenue.sum(), money=_.margin.sum(), bought=BOUGHT.sum() > 0)
    )
    return days.group_by("customer_id").agg(
        first_on=_.ordered_on.min(where=_.bought),
        last_on=_.ordered_on.max(where=_.bought),
        order_days=_.bought.sum(),
        sales=_.sales.sum().round(2),
        money=_.money.sum().round(2),
    )


def add_history(people: pd.DataFrame, until: date) -> pd.DataFrame:
    """Add what the models read: x, t_x, T and value.

    x: repeat orders; t_x: weeks from the first order to the last; T: weeks from the first order to
    the end of `until`; value: money of an order, over all of them. The papers call t_x recency; the
    recency of RFM is T - t_x.
    """
    first, last = pd.to_datetime(people["first_on"]), pd.to_datetime(people["last_on"])
    orders = people["order_days"].astype(float)
    return people.assign(
        x=orders - 1,
        t_x=(last - first).dt.days / WEEK,
        T=(pd.Timestamp(until) - first).dt.days / WEEK,
        value=people["money"].astype(float).clip(lower=0) / orders,
    ).sort_values("customer_id", ignore_index=True)


def period(lines: ir.Table, until: date, days: int) -> pd.DataFrame:
    """Orders, sales and money of each customer in the `days` days up to `until`; a return alone is
    money, no order.
    """
    rows = _sums(lines.filter(_.ordered_on > until - timedelta(days=days)), until).to_pandas()
    return rows.rename(columns={"order_days": "orders"})[
        ["customer_id", "orders", "sales", "money"]
    ]


def depth(people: pd.DataFrame) -> Depth:
    """How much these histories hold for a model to learn from."""
    again = people[people["x"] > 0]
    gap = (again["t_x"] / again["x"]).median()
    return Depth(len(again), methods.value("value_people"), people["T"].max(), gap)


def fit_models(people: pd.DataFrame) -> dict[str, Model]:
    """The models of purchases that the histories carry, the likelier first, each with the model of
    their value.

    BG/NBD comes first only where it is likelier by more than `TIE`: to it, whoever came once is
    still there. Empty where the data are too thin or no model converges. Of more than `MOST`
    different histories a part is drawn. Value is fitted on all orders of those who came back, the
    first one too: nothing says that it differs, and it is all that is known of who came once.
    """
    held = depth(people)
    if held.few or held.short:
        return {}
    same = people.groupby(["x", "t_x", "T"]).size()
    same = same.sample(MOST, random_state=1) if len(same) > MOST else same
    columns = [same.index.get_level_values(c).to_numpy(float) for c in ("x", "t_x", "T")]
    many = people[people["x"] > 0]
    spend = gamma_gamma.fit(many["x"].to_numpy() + 1, many["value"].to_numpy())
    known = spend if spend.converged and np.isfinite(gamma_gamma.mean(spend.params)) else None
    mean = people["money"].sum() / people["order_days"].sum()
    fits = {name: kind.fit(*columns, same.to_numpy(float)) for name, kind in MODELS.items()}
    models = [Model(name, fit, known, mean) for name, fit in fits.items() if fit.converged]
    return {
        m.name: m
        for m in sorted(models, key=lambda m: TIE * (m.name == "BG/NBD") - m.counts.log_likelihood)
    }


def parameters(models: dict[str, Model]) -> pd.DataFrame:
    """One row a model: model, parameters with their standard errors as text, log_likelihood,
    repeats_in_a_year.

    A parameter that the data leave open is called open. repeats_in_a_year: what a new customer is
    expected to order again within a year.
    """
    rows = [
        (
            m.name,
            _with_errors(m.counts),
            m.counts.log_likelihood,
            MODELS[m.name].expected(m.counts.params, YEAR / WEEK),
        )
        for m in models.values()
    ]
    spend = next((m.spend for m in models.values()), None)
    rows += [("gamma-gamma", _with_errors(spend), spend.log_likelihood, np.nan)] if spend else []
    return pd.DataFrame(
        rows, columns=["model", "parameters", "log_likelihood", "repeats_in_a_year"]
    )


def _with_errors(fit: Fit) -> str:
    told = zip(fit.names, fit.params, fit.errors, strict=True)
    return ", ".join(
        f"{n} {_short(v, 3)} ± {_short(e, 2)}" if np.isfinite(e) else f"{n} open"
        for n, v, e in told
    )


def _short(value: float, digits: int) -> str:
    return f"{float(f'{value:.{digits}g}'):,g}"


def predict(model: Model, people: pd.DataFrame, days: int, rate: float = 0.0) -> pd.DataFrame:
    """The next `days` of each customer: prob_alive, expected_orders, average_value,
    predicted_value.

    predicted_value is discounted at `rate` a year to today, each order from its own day.
    """
    kind, theta, weeks = MODELS[model.name], model.counts.params, days / WEEK
    x, t_x, T, value = (people[c].to_numpy(float) for c in ("x", "t_x", "T", "value"))
    stays, soon = kind.alive(theta, x, t_x, T), kind.ahead(theta, weeks, x, T)
    each = (
        gamma_gamma.conditional(model.spend.params, x + 1, value)
        if model.spend
        else np.full(len(x), model.mean)
    )
    # By parts, the discounted stream needs the expectation at a few moments only (Gauss's rule).
    delta, (nodes, weights) = (
        np.log1p(rate) * WEEK / YEAR,
        np.polynomial.legendre.leggauss(3 if rate else 1),
    )
    moments = (nodes + 1) / 2 * weeks
    between = [
        w / 2 * weeks * np.exp(-delta * t) * kind.ahead(theta, t, x, T)
        for t, w in zip(moments, weights, strict=True)
    ]
    discounted = np.exp(-delta * weeks) * soon + delta * sum(between)
    return people[["customer_id"]].assign(
        prob_alive=stays,
        expected_orders=stays * soon,
        average_value=each,
        predicted_value=stays * discounted * each,
    )


def value_customers(
    people: pd.DataFrame, model: Model, days: int, rate: float, level: float = LEVEL
) -> pd.DataFrame:
    """What `predict` gives, and low and high: the ends of an interval of each customer's own value,
    by simulation.

    Each draw takes a set of parameters as likely as the data leave them, says at random who has
    left, how often the others order and for how much. An interval that would begin at nothing, or
    nearly, begins there and holds `level` of the draws; the others leave out as many below as
    above. It always holds the predicted value.
    """
    values = predict(model, people, days, rate)
    ends = [ends_at(d, level) for d in simulations(model, people, days)]
    low, high = np.concatenate(ends).T if ends else np.empty((2, 0))
    whole = values["expected_orders"] * values["average_value"]
    later = (values["predicted_value"] / whole.where(whole > 0)).fillna(1.0)
    low = np.minimum(low * later, values["predicted_value"])
    high = np.maximum(high * later, values["predicted_value"])
    return values.assign(low=low, high=high, method=model.name)


def total_spread(model: Model | None, people: pd.DataFrame, days: int) -> float:
    """How far the simulated money of all may lie from what is expected: the standard deviation of
    its logarithm; 0 without a model.

    Simulated on at most `ROWS` customers drawn by lot: of more, chance cancels, and what is left is
    how sure the parameters are.
    """
    if not model or people.empty:
        return 0.0
    drawn = people.sample(ROWS, random_state=1) if len(people) > ROWS else people
    sums = np.concatenate(simulations(model, drawn, days), axis=1).sum(axis=1)
    return float(sums.std(ddof=1) / sums.mean()) if sums.mean() > 0 else 0.0


def total_range(total: float, spread: float, was: float) -> tuple[float, float]:
    """The 90 % range of a total: `spread` of the simulation (`total_spread`), and the miss of the
    back-test, where it said `was` times what came.

    The total itself stays: one miss of the past is mostly chance, and no reason to correct by it.
    Half of its square counts as chance of that test, the other half as a shop that is not what the
    model takes it for. Without a model or a back-test nothing is known of the range: (nan, nan).

    >>> [round(end) for end in total_range(1000, 0.05, 0.9)]
    [863, 1159]
    """
    if not (spread > 0 or was > 0):
        return np.nan, np.nan
    miss = np.log(was) if was > 0 else 0.0
    reach = Z * np.hypot(spread, miss * np.sqrt(0.5 if spread > 0 else 1.0))
    return total * np.exp(-reach), total * np.exp(reach)


def plain_values(
    people: pd.DataFrame, last: pd.DataFrame, days: int, scale: float, rate: float
) -> pd.DataFrame:
    """As `value_customers` where no model holds: the last period (`period`) times `scale`,
    discounted.
    """
    before = people[["customer_id"]].merge(last, how="left").fillna({"orders": 0.0, "money": 0.0})
    mean = before["money"].sum() / (before["orders"].sum() or 1)
    return people[["customer_id"]].assign(
        prob_alive=np.nan,
        expected_orders=before["orders"] * scale,
        average_value=(before["money"] / before["orders"].where(before["orders"] > 0)).fillna(mean),
        predicted_value=before["money"].clip(lower=0) * scale / (1 + rate) ** (days / YEAR / 2),
        low=np.nan,
        high=np.nan,
        method=PLAIN,
    )


def value_silent(
    values: pd.DataFrame, customers: pd.DataFrame, like: pd.Series, scale: float
) -> pd.DataFrame:
    """Add the customers without an order: each is worth what such customers were before (`silent`),
    times `scale`.

    Where nobody like them was seen before, nothing is expected of them.
    """
    rest = customers.loc[~customers["customer_id"].isin(values["customer_id"]), ["customer_id"]]
    rest = rest.assign(
        expected_orders=like["orders"] * scale,
        average_value=like["money"] / like["orders"] if like["orders"] else np.nan,
        predicted_value=like["money"] * scale,
        low=0.0,
        high=max(like["high"], like["money"]) * scale,
        method=SILENT,
    )
    return pd.concat([values, rest], ignore_index=True) if len(rest) else values


def alive_curves(model: Model | None, people: pd.DataFrame) -> pd.DataFrame:
    """How the chance that a customer is still there falls with silence, for few, some and many
    orders.

    One row a week of silence up to the ninetieth percentile, and a column a number of orders: the
    median, the upper quartile and the top twentieth of those who came back, each known for as long
    as three in four are.
    """
    if not model:
        return pd.DataFrame()
    again = people.loc[people["x"] > 0, "x"]
    known, silence = people["T"].quantile(0.75), (people["T"] - people["t_x"]).quantile(0.9)
    weeks = np.arange(min(silence, known) + 1)
    curves = {"weeks_of_silence": weeks}
    for x in sorted(set(again.quantile([0.5, 0.75, 0.95]).round())):
        history = np.full(len(weeks), x), np.maximum(known - weeks, 0), np.full(len(weeks), known)
        curves[f"{x + 1:.0f} orders"] = MODELS[model.name].alive(model.counts.params, *history)
    return pd.DataFrame(curves)


def simulations(model: Model, people: pd.DataFrame, days: int, seed: int = 1) -> list[np.ndarray]:
    """Simulated money of the next `days`, undiscounted: draws down, customers across, in parts of
    `ROWS` customers.
    """
    return [
        _draws(model, people.iloc[k : k + ROWS], days, seed + k)
        for k in range(0, len(people), ROWS)
    ]


def ends_at(draws: np.ndarray, level: float) -> np.ndarray:
    """Low and high of the interval at `level` of each column of draws: see `value_customers`."""
    low, middle, high = np.quantile(draws, [(1 - level) / 2, level, (1 + level) / 2], axis=0)
    return np.column_stack([np.where(low > 0, low, 0.0), np.where(low > 0, high, middle)])


def _draws(model: Model, people: pd.DataFrame, days: int, seed: int) -> np.ndarray:
    kind, rng = MODELS[model.name], np.random.default_rng(seed)
    x, t_x, T, value = (people[c].to_numpy(float) for c in ("x", "t_x", "T", "value"))
    spends = model.spend.draw(SETS) if model.spend else [None] * SETS
    rows = []
    for theta, spend in zip(model.counts.draw(SETS), spends, strict=True):
        stays = kind.alive(theta, x, t_x, T)
        for _again in range(EACH):
            here = np.flatnonzero(rng.random(len(x)) < stays)
            n, money = kind.draw(theta, days / WEEK, x[here], T[here], rng), np.zeros(len(x))
            some, here = n[n > 0], here[n > 0]
            drawn = (
                some * model.mean
                if spend is None
                else gamma_gamma.draw(spend, some, x[here] + 1, value[here], rng)
            )
            money[here] = drawn
            rows.append(money)
    return np.array(rows)

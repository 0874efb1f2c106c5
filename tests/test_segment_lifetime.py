"""Lifetime value: the published cases, answers known by hand, and the twin's truth."""

import datetime as dt
import importlib.util
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy.special import hyp2f1

from helpers import assumptions, methods, stats, tables
from helpers.client import Economics
from helpers.segment.lifetime_value import (
    acquisition,
    bgnbd,
    complaints,
    contribution,
    gamma_gamma,
    historic,
    holdout,
    lifetime,
    pareto_nbd,
)
from helpers.segment.lifetime_value.lifetime import MODELS, ends_at, simulations
from helpers.segment.lifetime_value.likelihood import maximise

AS_OF = dt.date(2024, 6, 30)
SETS = Path(importlib.util.find_spec("lifetimes").origin).parent / "datasets"  # found, not imported


@pytest.fixture(scope="module")
def cdnow():
    """x, t_x, T in weeks and the mean value of repeat orders, of 2,357 customers."""
    rows = pd.read_csv(SETS / "cdnow_customers_summary_with_transactions.csv")
    return {c: rows[c].to_numpy(float) for c in ("x", "t_x", "T", "zbar")}


@pytest.fixture(scope="module")
def fits(cdnow):
    history = cdnow["x"], cdnow["t_x"], cdnow["T"]
    return {"BG/NBD": bgnbd.fit(*history), "Pareto/NBD": pareto_nbd.fit(*history)}


# --- published results on CDNOW --------------------------------------------------------------


def test_bgnbd_on_cdnow_is_that_of_fader_hardie_and_lee(fits):
    fit = fits["BG/NBD"]
    assert fit.converged
    assert fit.params.round(3).tolist() == [0.243, 4.414, 0.793, 2.426]
    assert fit.log_likelihood == pytest.approx(-9582.4, abs=0.05)
    assert fit.errors == pytest.approx([0.0126, 0.378, 0.186, 0.705], rel=0.01)
    assert bgnbd.expected(fit.params, np.array([1, 3, 32, 78])) == pytest.approx(
        [0.0532, 0.1506, 1.0437, 1.8576], abs=5e-4
    )
    customer = np.array([2.0]), np.array([30.43]), np.array([38.86])
    next_39 = bgnbd.alive(fit.params, *customer) * bgnbd.ahead(
        fit.params, 39, customer[0], customer[2]
    )
    assert next_39[0] == pytest.approx(1.226, abs=5e-4)


def test_pareto_nbd_on_cdnow_is_the_published_one(fits):
    fit = fits["Pareto/NBD"]
    assert fit.converged
    assert fit.params == pytest.approx([0.553, 10.578, 0.606, 11.669], rel=1e-3)
    assert fit.log_likelihood == pytest.approx(-9595.0, abs=0.05)


def test_both_models_foretell_the_same_orders_of_cdnow(fits, cdnow):
    said = []
    for name, fit in fits.items():
        kind, x, t_x, T = MODELS[name], cdnow["x"], cdnow["t_x"], cdnow["T"]
        said.append(kind.alive(fit.params, x, t_x, T) * kind.ahead(fit.params, 39, x, T))
    assert np.corrcoef(*said)[0, 1] > 0.99
    assert said[0].sum() == pytest.approx(said[1].sum(), rel=0.06)


def test_gamma_gamma_on_cdnow_is_that_of_note_025(cdnow):
    fit = gamma_gamma.fit(cdnow["x"], cdnow["zbar"])
    assert fit.converged
    assert fit.params.round(2).tolist() == pytest.approx([6.25, 3.74, 15.44], abs=0.011)
    assert fit.log_likelihood == pytest.approx(-4055.92, abs=0.01)
    assert gamma_gamma.mean(fit.params) == pytest.approx(35.17, abs=0.005)
    first = gamma_gamma.conditional(fit.params, cdnow["x"], cdnow["zbar"])[:10]
    published = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    assert first == pytest.approx(published, abs=0.011)


@pytest.fixture(scope="module")
def cdnow_lines():
    """The orders of the sample as order lines with money: 18 months of 2,357 customers."""
    names = ["whole_id", "customer_id", "day", "quantity", "revenue"]
    rows = pd.read_csv(
        SETS / "CDNOW_sample.txt",
        sep=r"\s+",
        names=names,
        dtype={"customer_id": "str", "day": "str"},
    )
    rows["ordered_on"] = pd.to_datetime(rows["day"])
    rows["margin"] = rows["revenue"]
    return ibis.memtable(rows[["customer_id", "ordered_on", "quantity", "revenue", "margin"]]).cast(
        {"ordered_on": "date"}
    )


CDNOW_SPLIT, CDNOW_END = dt.date(1997, 9, 30), dt.date(1998, 6, 30)


def test_histories_from_orders_are_the_published_summary(cdnow_lines, cdnow):
    people = lifetime.add_history(
        lifetime.histories(cdnow_lines, CDNOW_SPLIT).to_pandas(), CDNOW_SPLIT
    )
    assert len(people) == 2357
    for column in ("x", "t_x", "T"):
        assert np.sort(people[column]).round(2) == pytest.approx(np.sort(cdnow[column]), abs=0.011)


def test_the_forecast_of_weeks_40_to_78_of_cdnow_is_as_good_as_published(cdnow_lines):
    days = (CDNOW_END - CDNOW_SPLIT).days
    tested = holdout.backtest(cdnow_lines, CDNOW_END, days)
    for name, published in (("BG/NBD", 0.626), ("Pareto/NBD", 0.630)):
        one = tested[tested["method"] == name]
        assert len(one) == 2357
        assert one["said_orders"].corr(one["orders"]) == pytest.approx(published, abs=5e-4)
        shuffled = one["said_orders"].sample(frac=1, random_state=1).to_numpy()
        assert (
            abs(np.corrcoef(shuffled, one["orders"])[0, 1]) < 0.1
        )  # a method that knows nobody would fail
    weeks = (
        holdout.tracked(cdnow_lines, CDNOW_END, days).drop(columns="week_on").sum()
    )  # from the first week on
    assert weeks["BG/NBD"] / weeks["actual"] == pytest.approx(0.96, abs=0.005)
    assert weeks["Pareto/NBD"] / weeks["actual"] == pytest.approx(0.98, abs=0.005)


# --- the arithmetic --------------------------------------------------------------------------

SCORES = {"BG/NBD": bgnbd.score, "Pareto/NBD": pareto_nbd.score}
POINTS = [(0.5, 4.0, 0.8, 2.5), (2.0, 0.7, 1.0, 30.0), (0.9, 25.0, 1.0, 9.0)]


@pytest.mark.parametrize("theta", POINTS)
@pytest.mark.parametrize("name", list(SCORES))
def test_gradients_are_those_of_the_likelihood(name, theta, cdnow):
    history = [cdnow[c][:300] for c in ("x", "t_x", "T")]
    weight = np.linspace(0.5, 2, 300)

    def value(p):
        return SCORES[name](np.array(p), *history, weight)[0]

    slope = SCORES[name](np.array(theta), *history, weight)[1]
    for k, one in enumerate(slope):
        step = np.eye(4)[k] * 1e-5 * theta[k]
        assert one == pytest.approx(
            (value(theta + step) - value(theta - step)) / step.sum() / 2, rel=1e-4, abs=1e-3
        )


def test_the_gradient_of_gamma_gamma_is_that_of_its_likelihood():
    x, z, w = np.array([1.0, 2, 7]), np.array([5.0, 40, 30]), np.array([1.0, 2, 1])
    theta = np.array([2.0, 3.0, 20.0])
    slope = gamma_gamma.score(theta, x, z, w)[1]
    for k, one in enumerate(slope):
        step = np.eye(3)[k] * 1e-6
        ends = [gamma_gamma.score(theta + s, x, z, w)[0] for s in (step, -step)]
        assert one == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


@pytest.mark.parametrize(
    "theta", [(0.553, 10.578, 0.606, 11.669), (0.553, 11.7, 0.606, 10.6), (1.4, 5.0, 3.0, 300.0)]
)
def test_the_pareto_nbd_likelihood_is_the_closed_form(theta):
    r, alpha, s, beta = theta
    x, t_x, T = np.array([0.0, 1, 2, 12]), np.array([0.0, 1.71, 30.43, 20.0]), np.array([38.86] * 4)
    high, low, second = (alpha, beta, s + 1) if alpha >= beta else (beta, alpha, r + x)
    part = [
        hyp2f1(r + s + x, second, r + s + x + 1, (high - low) / (high + t))
        / (high + t) ** (r + s + x)
        for t in (t_x, T)
    ]
    inner = 1 / ((alpha + T) ** (r + x) * (beta + T) ** s) + s / (r + s + x) * (part[0] - part[1])
    from scipy.special import gammaln

    closed = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + np.log(inner)
    ours = [
        pareto_nbd.score(np.array(theta), *(v[k : k + 1] for v in (x, t_x, T)), np.ones(1))[0]
        for k in range(4)
    ]
    assert ours == pytest.approx(closed, rel=1e-9)


@pytest.mark.parametrize("name", list(MODELS))
def test_expected_orders_are_the_mean_of_simulated_ones(name):
    kind, theta, rng = MODELS[name], np.array([1.2, 8.0, 0.9, 6.0]), np.random.default_rng(3)
    x, T = np.array([0.0, 3, 20]), np.array([10.0, 40, 52])
    drawn = kind.draw(theta, 30, np.repeat(x, 40_000), np.repeat(T, 40_000), rng).reshape(3, -1)
    half = 4 * drawn.std(axis=1) / 200
    assert (abs(drawn.mean(axis=1) - kind.ahead(theta, 30, x, T)) < half).all()


def test_large_counts_and_long_times_stay_finite():
    x, t_x, T = np.array([900.0, 0, 5]), np.array([520.0, 0, 1]), np.array([521.0, 521, 521])
    for name, kind in MODELS.items():
        theta = np.array([1.4, 1.3, 0.3, 300.0])
        assert np.isfinite(SCORES[name](theta, x, t_x, T, np.ones(3))[0])
        assert ((kind.alive(theta, x, t_x, T) >= 0) & (kind.alive(theta, x, t_x, T) <= 1)).all()
        assert (kind.ahead(theta, 52, x, T) >= 0).all()


def test_models_find_the_parameters_that_made_the_data():
    rng, n, true = np.random.default_rng(5), 4000, np.array([1.2, 12.0, 1.1, 30.0])
    T = rng.uniform(20, 104, n)
    rate = rng.gamma(true[0], 1 / true[1], n)
    stays = rng.exponential(1 / rng.gamma(true[2], 1 / true[3], n))
    times = np.cumsum(rng.exponential(1 / rate[:, None], (n, 400)), axis=1)
    there = times < np.minimum(stays, T)[:, None]
    fit = pareto_nbd.fit(there.sum(axis=1).astype(float), np.where(there, times, 0).max(axis=1), T)
    assert (abs(fit.params - true) < 3 * fit.errors).all()
    assert (abs(fit.draw(4000).mean(axis=0) - fit.params) < fit.errors).all()


def test_a_parameter_that_the_data_leave_open_is_said_to_be_open():
    rng = np.random.default_rng(2)
    x = rng.poisson(3, 500).astype(
        float
    )  # nobody leaves, and all buy alike: r and alpha may be anything in proportion
    fit = bgnbd.fit(x, np.full(500, 10.0) * (x > 0), np.full(500, 10.0))
    assert np.isinf(fit.errors).any()
    flat = maximise(lambda p: (0.0, np.zeros(2)), ("a", "b"), np.ones(2), 10)
    assert np.isinf(flat.errors).all()


# --- histories, money, values ----------------------------------------------------------------


def lines_of(*rows):
    """Order lines (customer, days before AS_OF, revenue, quantity)."""
    frame = pd.DataFrame(rows, columns=["customer_id", "ago", "revenue", "quantity"])
    frame["ordered_on"] = pd.to_datetime([AS_OF - dt.timedelta(days=n) for n in frame.pop("ago")])
    frame["margin"], frame["order_id"] = frame["revenue"] / 2, [f"o{i}" for i in range(len(frame))]
    schema = {
        "customer_id": "string",
        "revenue": "float64",
        "quantity": "float64",
        "ordered_on": "timestamp",
    }
    schema |= {"margin": "float64", "order_id": "string"}
    return ibis.memtable(frame, schema=schema).cast({"ordered_on": "date"})


def test_a_history_counts_days_with_an_order_in_exact_weeks():
    table = lines_of(
        ("a", 30, 10.0, 1), ("a", 30, 5.0, 1), ("a", 20, 8.0, 1), ("a", 10, -3.0, -1), ("b", 3, 7.0, 1),
        ("c", 2, -7.0, -1), (None, 1, 9.0, 1), ("d", -1, 9.0, 1),
    )  # fmt: skip
    people = lifetime.add_history(lifetime.histories(table, AS_OF).to_pandas(), AS_OF).set_index(
        "customer_id"
    )
    assert people.index.tolist() == [
        "a",
        "b",
    ]  # a return alone is no order, and the future is not known
    assert people.loc["a", ["x", "t_x", "T"]].tolist() == [1, 10 / 7, 30 / 7]
    assert people.loc["a", ["sales", "money", "value"]].tolist() == [20.0, 10.0, 5.0]
    assert people.loc["b", ["x", "t_x", "T"]].tolist() == [0, 0, 3 / 7]
    last = lifetime.period(table, AS_OF, 15).set_index("customer_id")
    assert last["orders"].to_dict() == {"a": 0, "b": 1, "c": 0}
    assert last["money"].to_dict() == {"a": -1.5, "b": 3.5, "c": -3.5}


def orders_with_cost(costs, units):
    rows = pd.DataFrame(
        {
            "order_id": ["o1", "o1", "o2", "o3"],
            "product_id": ["p", "q", "p", "q"],
            "quantity": [1.0, 2.0, 1.0, -1.0],
            "revenue": [10.0, 20.0, 10.0, -10.0],
            "cost": costs,
        }
    )
    goods = pd.DataFrame({"product_id": ["p", "q"], "unit_cost": units})
    return ibis.memtable(rows).cast({"cost": "float64"}), ibis.memtable(goods).cast(
        {"unit_cost": "float64"}
    )


@pytest.mark.parametrize(
    ("costs", "units", "given", "basis", "margins"),
    [
        ([4.0, 8.0, 4.0, -4.0], [None, None], {}, "margin", [6, 12, 6, -6]),
        ([None] * 4, [3.0, 5.0], {}, "margin", [7, 10, 7, -5]),
        (
            [None] * 4,
            [None, 5.0],
            {},
            "sales",
            [10, 20, 10, -10],
        ),  # the cost of two fifths of sales is not known
        (
            [4.0, 8.0, None, -4.0],
            [None, None],
            {},
            "margin",
            [6, 12, 6, -6],
        ),  # the mean share stands in for one line
        (
            [None] * 4,
            [3.0, 5.0],
            {"margin": 0.3},
            "margin",
            [3, 6, 3, -3],
        ),  # the settings come first
        (
            [None] * 4,
            [3.0, 5.0],
            {"order_cost": 2.0},
            "margin",
            [6, 9, 5, -5],
        ),  # shared by the lines of an order
    ],
)
def test_margin_comes_from_settings_then_costs_else_it_is_sales(
    costs, units, given, basis, margins
):
    lines, found = assumptions.with_margin(*orders_with_cost(costs, units), Economics(**given))
    rows = lines.to_pandas().sort_values(["order_id", "product_id"])
    assert found == basis
    assert rows["margin"].tolist() == pytest.approx(margins)


@pytest.mark.parametrize(
    ("costs", "units", "given", "expected"),
    [
        ([4.0, 8.0, 4.0, -4.0], [None, None], {}, (0.6, "data")),
        ([None] * 4, [3.0, 5.0], {"order_cost": 2.0}, (19 / 30, "data")),  # of the goods alone
        ([None] * 4, [3.0, 5.0], {"margin": 0.3}, (0.3, "settings")),
        ([None] * 4, [None, 5.0], {}, (np.nan, "assumed")),
        (
            [11.0, 22.0, 11.0, -11.0],
            [None, None],
            {},
            (np.nan, "assumed"),
        ),  # goods that cost more than they bring
    ],
)
def test_the_margin_is_one_for_all_steps(costs, units, given, expected):
    share, origin = assumptions.known_margin(*orders_with_cost(costs, units), Economics(**given))
    assert origin == expected[1]
    assert share == pytest.approx(expected[0], nan_ok=True)


@pytest.fixture(scope="module")
def shop():
    """1,500 customers of known rates over two years, and a year after: lines, and what came of each."""
    rng, n = np.random.default_rng(7), 1500
    rate, leave = rng.gamma(1.2, 3 / 1.2, n) / 365, rng.gamma(1.5, 0.4 / 1.5, n) / 365
    first = rng.integers(0, 600, n)
    stays = first + rng.exponential(1 / leave)
    gaps = rng.exponential(1 / rate[:, None], (n, 120))
    days = np.floor(
        np.concatenate([first[:, None], first[:, None] + np.cumsum(gaps, axis=1)], axis=1)
    )
    who, at = np.nonzero((days < stays[:, None]) & (days < 1095))
    money = rng.gamma(4, rng.gamma(6, 60 / 6 / 4, n)[who])
    rows = pd.DataFrame(
        {"customer_id": [f"c{i:04d}" for i in who], "day": days[who, at], "revenue": money}
    )
    rows["ordered_on"] = pd.Timestamp("2022-01-01") + pd.to_timedelta(rows["day"], unit="D")
    rows = rows.assign(quantity=1.0, margin=rows["revenue"] * 0.4).drop(columns="day")
    return ibis.memtable(rows).cast({"ordered_on": "date"})


SHOP_DAY = dt.date(2023, 12, 31)


@pytest.fixture(scope="module")
def shop_people(shop):
    return lifetime.add_history(lifetime.histories(shop, SHOP_DAY).to_pandas(), SHOP_DAY)


def test_values_add_up_and_rank_as_the_year_that_follows(shop, shop_people):
    models = lifetime.fit_models(shop_people)
    assert (
        next(iter(models)) == "Pareto/NBD"
    )  # people left at any time, so it makes the data likelier
    values = lifetime.value_customers(shop_people, models["Pareto/NBD"], 365, 0.0)
    came = (
        shop_people[["customer_id"]]
        .merge(lifetime.period(shop, dt.date(2024, 12, 30), 365), how="left")
        .fillna(0.0)
    )
    assert values["predicted_value"].sum() / came["money"].sum() == pytest.approx(1, abs=0.1)
    plain = (
        shop_people[["customer_id"]]
        .merge(lifetime.period(shop, SHOP_DAY, 365), how="left")
        .fillna(0.0)
    )
    right = values["predicted_value"].corr(came["money"], method="pearson")
    assert right > plain["money"].corr(came["money"]) + 0.015
    assert (
        right
        > 0.5
        > abs(
            values["predicted_value"]
            .sample(frac=1, random_state=2)
            .reset_index(drop=True)
            .corr(came["money"])
        )
        + 0.4
    )
    held = (values["low"] <= came["money"]) & (came["money"] <= values["high"])
    assert held.mean() == pytest.approx(0.9, abs=0.035)
    assert (values["low"] <= values["predicted_value"]).all()
    assert (values["predicted_value"] <= values["high"]).all()
    assert values["prob_alive"].between(0, 1).all()


def test_discounting_takes_off_what_an_even_stream_would_lose(shop_people):
    model = lifetime.fit_models(shop_people)["Pareto/NBD"]
    plain, less = (
        lifetime.predict(model, shop_people, 365, r)["predicted_value"] for r in (0.0, 0.1)
    )
    assert (less / plain).between(1 / 1.1, 1).all()
    assert less.sum() / plain.sum() == pytest.approx(1.1**-0.5, abs=0.01)


def test_simulated_money_has_the_predicted_mean(shop_people):
    model = lifetime.fit_models(shop_people)["BG/NBD"]
    drawn = simulations(model, shop_people, 365)[0].mean(axis=0)
    said = lifetime.predict(model, shop_people, 365)["predicted_value"]
    assert drawn.sum() == pytest.approx(said.sum(), rel=0.03)
    again = simulations(model, shop_people, 365)[0].mean(axis=0)
    assert (drawn == again).all()


def test_an_interval_that_may_be_nothing_begins_at_nothing():
    draws = np.column_stack(
        [np.r_[np.zeros(10), np.arange(1, 91)], np.arange(1, 101), np.zeros(100)]
    ).astype(float)
    low, high = ends_at(draws, 0.9).T
    assert low.tolist() == pytest.approx([0, 5.95, 0])
    assert high.tolist() == pytest.approx([80.1, 95.05, 0])


def test_without_a_gamma_gamma_every_order_has_the_mean_value(shop_people):
    model = lifetime.fit_models(shop_people)["BG/NBD"]._replace(spend=None, mean=10.0)
    values = lifetime.value_customers(shop_people, model, 365, 0.0)
    assert values["predicted_value"].to_numpy() == pytest.approx(
        10 * values["expected_orders"].to_numpy()
    )
    assert "gamma-gamma" not in lifetime.parameters({"BG/NBD": model})["model"].tolist()


def test_thin_data_get_the_plain_rule_and_a_reason(shop):
    few = shop.filter(shop.customer_id < "c0090")
    people = lifetime.add_history(lifetime.histories(few, SHOP_DAY).to_pandas(), SHOP_DAY)
    held = lifetime.depth(people)
    assert (held.few, held.came_back, held.needed) == (True, (people["x"] > 0).sum(), 100)
    assert lifetime.fit_models(people) == {}
    short = people.iloc[np.arange(2000) % len(people)].assign(x=1.0, t_x=9.0, T=15.0)
    held = lifetime.depth(short)
    assert (held.few, held.short, held.weeks, held.gap) == (False, True, 15, 9)
    assert not lifetime.depth(short.assign(T=18.0)).short
    last = lifetime.period(few, SHOP_DAY, 182)
    values = lifetime.plain_values(people, last, 365, 365 / 182, 0.1)
    assert values["expected_orders"].sum() == pytest.approx(last["orders"].sum() * 365 / 182)
    assert values["predicted_value"].sum() == pytest.approx(
        last["money"].sum() * 365 / 182 / 1.1**0.5
    )
    assert values[["prob_alive", "low", "high"]].isna().all(axis=None)
    tested = holdout.backtest(few, SHOP_DAY, 182)
    assert tested["method"].unique().tolist() == ["last period's"]
    assert holdout.level_needed(tested, "") == 0.9
    assert holdout.tracked(few, SHOP_DAY, 182).empty


def test_the_back_test_hides_what_came_after(shop):
    whole = holdout.backtest(shop, SHOP_DAY, 364)
    known = shop.filter(shop.ordered_on <= SHOP_DAY - dt.timedelta(days=364))
    blind = holdout.backtest(known, SHOP_DAY, 364)
    keep = ["method", "customer_id", "said_orders", "said"]
    pd.testing.assert_frame_equal(whole[keep], blind[keep])
    assert blind["actual"].eq(0).all()
    scores = holdout.score_values(whole).set_index("method")
    assert scores["customers"].nunique() == 1
    beside = holdout.against_rule(whole, "Pareto/NBD").iloc[0]
    rule, own = (scores.loc[m, "mean_error"] for m in ("last period's", "Pareto/NBD"))
    assert beside["gain"] == pytest.approx(rule - own)
    assert 0 < beside["low"] < beside["gain"] < beside["high"]
    totals = scores["said_over_came"]
    assert beside["rule_total"] == totals["last period's"]
    assert beside["total"] == totals["Pareto/NBD"]
    worse = whole.assign(said=whole["said"].where(whole["method"] == "last period's", 1e6))
    lost = holdout.against_rule(worse, "Pareto/NBD").iloc[0]
    assert lost["low"] < lost["gain"] < lost["high"] < 0
    assert holdout.against_rule(whole, "").empty


def test_a_range_that_held_too_seldom_is_widened():
    rows = pd.DataFrame({"method": "BG/NBD", "needed": [0.9] * 84 + [0.96] * 8 + [1.0] * 8})
    assert holdout.level_needed(rows, "BG/NBD") == 0.96
    assert holdout.level_needed(rows.assign(needed=0.9), "BG/NBD") == 0.9


def test_who_never_ordered_is_worth_what_such_people_were():
    lines = lines_of(("a", 400, 10.0, 1), ("b", 100, 30.0, 1), ("b", 20, 30.0, 1))
    seen = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d"],
            "first_seen_at": pd.to_datetime(
                ["2023-01-01", "2023-02-01", "2023-03-01", "2024-05-01"]
            ),
        }
    )
    like = holdout.silent(lines, seen, AS_OF, 182)
    assert like[["people", "orders", "money"]].tolist() == [
        2,
        1.0,
        15.0,
    ]  # b came, c did not; d was not known yet
    values = lifetime.value_silent(
        pd.DataFrame({"customer_id": ["a", "b"], "predicted_value": [1.0, 2.0]}), seen, like, 2.0
    )
    assert values["customer_id"].tolist() == ["a", "b", "c", "d"]
    assert values["predicted_value"].tolist() == [1, 2, 30, 30]
    assert values["method"].notna().sum() == 2


# --- what they cost and bring ----------------------------------------------------------------


def customers_of(**channels):
    return pd.DataFrame(
        {
            "customer_id": pd.Series(list(channels), dtype="str"),
            "acquisition_channel": pd.Series(list(channels.values()), dtype="str"),
            "first_seen_at": pd.Series([pd.NaT] * len(channels), dtype="datetime64[s]"),
        }
    )


def spend_of(*rows):
    frame = pd.DataFrame(rows, columns=["spent_on", "channel", "campaign_id", "cost"])
    schema = {"spent_on": "date", "channel": "string", "campaign_id": "string", "cost": "float64"}
    return ibis.memtable(
        frame.assign(spent_on=pd.to_datetime(frame["spent_on"]).dt.date), schema=schema
    )


LINES = [
    ("a", 500, 50.0, 1),
    ("b", 60, 40.0, 1),
    ("b", 50, 20.0, 1),
    ("c", 40, 30.0, 1),
    ("d", 30, 30.0, 1),
    ("a", 20, 10.0, 1),
]
CHANNELS = customers_of(a="web", b="Ads", c="web", d=None)


@pytest.fixture()
def newcomers():
    people = lifetime.add_history(lifetime.histories(lines_of(*LINES), AS_OF).to_pandas(), AS_OF)
    return acquisition.won(people, CHANNELS, AS_OF, 100)


def test_new_customers_are_those_first_seen_in_the_period(newcomers):
    assert newcomers["is_new"].tolist() == [False, True, True, True]
    assert newcomers["channel"].tolist() == ["web", "Ads", "web", "not known"]
    seen = CHANNELS.assign(first_seen_at=pd.to_datetime(["2022-01-01", "2020-01-01", None, None]))
    older = acquisition.won(
        newcomers.drop(columns=["channel", "won_on", "is_new"]), seen, AS_OF, 100
    )
    assert older["is_new"].tolist() == [False, False, True, True]


def test_cost_to_win_comes_from_settings_then_matching_spend(newcomers):
    spend = spend_of(
        ("2024-06-01", "ads", "Sale", 60.0),
        ("2023-01-01", "ads", "Sale", 999.0),
        ("2024-06-02", "video", "Film", 30.0),
    )
    costs = acquisition.cost_to_win(newcomers, spend, Economics(), AS_OF, 100).set_index("channel")
    assert costs.loc["all", ["new_customers", "cost_each", "source"]].tolist() == [
        3,
        30.0,
        "all advertising",
    ]
    assert costs.loc["Ads", ["cost_each", "source"]].tolist() == [60.0, "advertising"]
    assert np.isnan(costs.loc["web", "cost_each"])
    given = Economics(acquisition_cost={"WEB": 7, "ads": 12})
    costs = acquisition.cost_to_win(newcomers, spend_of(), given, AS_OF, 100).set_index("channel")
    assert costs.loc["web", ["cost_each", "source"]].tolist() == [7.0, "settings"]
    assert costs.loc["all", ["cost_each", "source"]].tolist() == [9.5, "mean of the channels"]
    nothing = acquisition.cost_to_win(newcomers, spend_of(), Economics(), AS_OF, 100)
    assert nothing["cost_each"].isna().all()


def test_payback_cumulates_what_those_old_enough_have_left(newcomers):
    with methods.overruled(payback_people=1):
        curve = acquisition.payback(lines_of(*LINES), newcomers, AS_OF)
    whole = curve[curve["channel"] == "all"].set_index("day")["money"]
    assert whole[0] == pytest.approx((20 + 15 + 15) / 3)
    assert whole[9] == whole[0]
    assert whole[10] == pytest.approx(whole[0] + 10 / 3)
    assert whole.index.max() == 60
    costs = pd.DataFrame({"channel": ["all", "web", "Ads"], "cost_each": [18.0, np.nan, 99.0]})
    paid = contribution.contribution(
        newcomers.assign(sales_period=1.0, money_period=1.0, serve_period=0.0, predicted_value=5.0),
        costs.assign(new_customers=[3, 1, 1], source=""),
        curve,
    ).set_index("channel")
    assert paid.loc["all", "payback_days"] == 10
    assert paid.loc[["web", "Ads"], "payback_days"].isna().all()
    assert paid.loc["all", "benefit_cost"] == pytest.approx((30 + 15 + 15 + 15) / 54)
    assert paid.loc["all", ["customers", "active", "cost_to_win"]].tolist() == [4, 4, 54.0]
    assert acquisition.payback(lines_of(*LINES), newcomers.assign(is_new=False), AS_OF).empty


def test_the_last_click_counts_only_days_that_both_tools_cover():
    lines = lines_of(*LINES, ("e", 35, 100.0, 1))
    channel = (lines.customer_id == "e").ifelse("store", "web")
    timed = lines.mutate(ordered_at=lines.ordered_on.cast("timestamp"), channel=channel)
    seen = pd.DataFrame(
        {
            "occurred_at": pd.to_datetime(["2024-05-01", "2024-05-21", "2024-05-31", "2024-06-30"]),
            "order_id": ["o1", "o3", "o4", None],
            "campaign_id": ["Sale", "Sale", "Film", "Sale"],
        }
    )
    spend = spend_of(
        ("2024-05-10", "ads", "Sale / Sale DE", 60.0),
        ("2024-05-31", "ads", "Film", 30.0),
        ("2024-06-30", "x", "Z", 5.0),
    )
    people = acquisition.won(
        lifetime.add_history(lifetime.histories(lines, AS_OF).to_pandas(), AS_OF),
        CHANNELS,
        AS_OF,
        100,
    )
    rows = acquisition.cost_by_campaign(timed, people, ibis.memtable(seen), spend, AS_OF)
    assert rows["campaign"].tolist() == ["Film", "Sale"]
    assert rows["cost_each"].tolist() == [30.0, 60.0]  # b came before the first day of spend
    assert rows["days"].eq(52).all()  # 10 May to 30 June
    # b, c and d: 30, 15 and 15; a is not new, e came in a store
    # b, c and d left 30, 15 and 15; a is not new, and e came in a store, which analytics do not see
    assert rows["brought_each"].tolist() == pytest.approx([20.0, 20.0])
    assert acquisition.cost_by_campaign(timed, people, ibis.memtable(seen), spend_of(), AS_OF).empty


def test_historic_value_takes_off_what_it_cost_to_win_and_serve(newcomers):
    costs = pd.DataFrame(
        {
            "channel": ["all", "Ads", "web"],
            "cost_each": [9.0, 12.0, np.nan],
            "source": ["all advertising", "advertising", ""],
        }
    )
    served = pd.DataFrame(
        {"customer_id": ["a", "z"], "contacts": [2, 1], "cases": [0, 0], "serve": [1.5, 9.0]}
    )
    people = historic.add_historic(newcomers, costs, served).set_index("customer_id")
    assert people["historic_value"].to_dict() == {
        "a": 30 - 1.5,
        "b": 30 - 12,
        "c": 15 - 9,
        "d": 15 - 9,
    }
    assert np.isnan(people.loc["a", "win"])  # won before the advertising that we know


def test_messages_and_cases_cost_what_the_settings_or_the_help_desk_say():
    sent = ibis.memtable(
        pd.DataFrame(
            {
                "customer_id": ["a", "a", "b", "b"],
                "sent_at": pd.to_datetime(["2024-06-01", "2023-01-01", "2024-06-30", "2024-07-01"]),
                "is_holdout": [False, None, True, False],
            }
        ),
        schema={"customer_id": "string", "sent_at": "timestamp", "is_holdout": "boolean"},
    )
    asked = ibis.memtable(
        pd.DataFrame(
            {
                "customer_id": ["a", "c", None],
                "opened_at": pd.to_datetime(["2024-06-02"] * 3),
                "cost": [None, 4.0, 1.0],
            }
        ),
        schema={"customer_id": "string", "opened_at": "timestamp", "cost": "float64"},
    )
    costs = contribution.serve_costs(
        sent, asked, Economics(contact_cost=0.5, case_cost=3), AS_OF
    ).set_index("customer_id")
    assert costs["serve"].to_dict() == {"a": 4.0, "c": 4.0}
    assert (
        contribution.serve_costs(sent, asked, Economics(contact_cost=0.5), AS_OF, 60)
        .set_index("customer_id")
        .loc["a", "contacts"]
        == 1
    )


def test_referral_value_is_that_of_the_customers_who_were_sent(newcomers):
    rows = newcomers.assign(predicted_value=2.0)
    assert contribution.referral_value(rows, CHANNELS)["customers"] == 0
    sent = contribution.referral_value(
        rows.assign(channel=["Referral", "web", "web", "web"]), CHANNELS
    )
    assert sent[["customers", "money", "predicted_value"]].tolist() == [1, 30, 2]
    assert np.isnan(sent["referrers"])
    by = contribution.referral_value(rows, CHANNELS.assign(referred_by=[None, "a", "a", None]))
    assert by[["customers", "referrers"]].tolist() == [2, 1]


def cases_of(extra_loss, n=400, seed=4):
    rng = np.random.default_rng(seed)
    before, bad = rng.gamma(2, 50, n), rng.random(n) < 0.3
    return pd.DataFrame(
        {
            "is_bad": bad,
            "before": before,
            "after": 0.8 * before - extra_loss * bad + rng.normal(0, 30, n),
        }
    )


def test_a_loss_after_bad_cases_is_found_with_its_range():
    found = complaints.complaint_loss(cases_of(25.0))
    assert found["low"] < 25 < found["high"]
    assert found["low"] > 0
    held = [
        f["low"] <= 25 <= f["high"]
        for f in (complaints.complaint_loss(cases_of(25.0, seed=s)) for s in range(40))
    ]
    assert sum(held) >= 31  # nine in ten, of forty
    nothing = complaints.complaint_loss(cases_of(0.0))
    assert nothing["low"] < 0 < nothing["high"]
    assert np.isnan(complaints.complaint_loss(cases_of(25.0, n=60))["loss"])


def test_a_case_is_bad_by_satisfaction_kind_or_refund():
    lines = lines_of(
        ("a", 90, 10.0, 1),
        ("a", 55, 4.0, 1),
        ("b", 90, 10.0, 1),
        ("c", 90, 6.0, 1),
        ("d", 40, 9.0, 1),
    )
    asked = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "c", "d"],
            "opened_at": pd.to_datetime(AS_OF) - pd.to_timedelta([70, 60, 60, 60, 60], unit="D"),
            "satisfaction": ["good", "Bad", None, None, "bad"],
            "kind": ["question", "question", "Complaint", "question", "question"],
            "refund": [None, None, None, 5.0, None],
        }
    )
    schema = {
        "customer_id": "string",
        "opened_at": "timestamp",
        "satisfaction": "string",
        "kind": "string",
        "refund": "float64",
    }
    cases = complaints.first_cases(ibis.memtable(asked, schema=schema), lines, AS_OF, 50)
    assert cases["customer_id"].tolist() == ["a", "b", "c"]  # d had not ordered before the case
    assert cases["is_bad"].all()
    assert cases[["before", "after"]].to_numpy().tolist() == [[5, 2], [5, 0], [3, 0]]


def test_standing_is_the_net_promoter_score_with_its_range():
    scores = pd.DataFrame({"kind": "nps", "score": [10.0] * 162 + [8.0] * 108 + [3.0] * 54})
    stars = pd.DataFrame({"brand": ["Ours", "ours", "Other"], "rating": [4.0, 2.0, 5.0]})
    rows = contribution.standing(ibis.memtable(scores), ibis.memtable(stars), "OURS").set_index(
        "measure"
    )
    score = rows.loc["net promoter score"]
    assert score["value"] == pytest.approx(100 / 3)
    assert (score["high"] - score["low"]) / 2 / 1.645 == pytest.approx(4.14, abs=0.01)
    assert rows.loc["mean stars of reviews of the own brand", "value"] == 3
    none = contribution.standing(
        ibis.memtable(scores).filter(ibis._.score > 99),
        ibis.memtable(stars).filter(ibis._.rating > 9),
    )
    assert none.empty


# --- empty, elsewhere ------------------------------------------------------------------------


def test_no_orders_give_well_formed_empty_frames():
    lines, nobody = lines_of(), customers_of()
    people = lifetime.add_history(lifetime.histories(lines, AS_OF).to_pandas(), AS_OF)
    assert lifetime.depth(people).few
    assert lifetime.fit_models(people) == {}
    tested = holdout.backtest(lines, AS_OF, 30)
    assert tested.empty
    assert (
        holdout.score_values(tested).empty or holdout.score_values(tested)["customers"].eq(0).all()
    )
    last = lifetime.period(lines, AS_OF, 30)
    values = lifetime.plain_values(people, last, 365, 12.0, 0.1)
    values = lifetime.value_silent(values, nobody, holdout.silent(lines, nobody, AS_OF, 30), 12.0)
    rows = acquisition.won(people, nobody, AS_OF, 30)
    costs = acquisition.cost_to_win(rows, spend_of(), Economics(), AS_OF, 30)
    served = pd.DataFrame({"customer_id": pd.Series(dtype="str"), "serve": pd.Series(dtype=float)})
    rows = contribution.in_period(historic.add_historic(rows, costs, served), values, last, served)
    assert acquisition.payback(lines, rows, AS_OF).empty
    table = contribution.contribution(rows, costs, acquisition.payback(lines, rows, AS_OF))
    assert table["channel"].tolist() == ["all"]
    assert rows["historic_value"].empty


def test_row_work_compiles_for_other_engines(monkeypatch):
    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())
    orders = ibis.table(tables.get("orders").schema, name="orders")
    expression = lifetime.histories(orders.mutate(margin=orders.revenue), AS_OF)
    for dialect in ("pyspark", "bigquery", "snowflake"):
        assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


# --- the simulated client, whose truth is known ----------------------------------------------


def test_on_the_twin_the_model_ranks_and_sums_the_next_year_better_than_last_year_does(tmp_path):
    from simulator import write_twin

    write_twin(tmp_path / "twin", 700, 41)
    true = pd.read_csv(tmp_path / "twin" / "truth" / "orders.csv", low_memory=False)
    true = true[true["status"] != "cancelled"]
    rows = pd.DataFrame(
        {
            "customer_id": true["person"],
            "ordered_on": pd.to_datetime(true["ordered_at"]).dt.normalize(),
            "quantity": true["quantity"].astype(float),
            "revenue": true["revenue"] - true["refunded"].fillna(0),
        }
    )
    lines = ibis.memtable(rows.assign(margin=rows["revenue"])).cast({"ordered_on": "date"})
    as_of = dt.date(2026, 9, 30)
    people = lifetime.add_history(lifetime.histories(lines, as_of).to_pandas(), as_of)
    truth = (
        pd.read_csv(tmp_path / "twin" / "truth" / "people.csv")
        .set_index("person")
        .loc[people["customer_id"]]
    )
    models = lifetime.fit_models(people)
    values = lifetime.value_customers(people, models["Pareto/NBD"], 365, 0.0)
    plain = (
        people[["customer_id"]].merge(lifetime.period(lines, as_of, 365), how="left").fillna(0.0)
    )
    came = truth["value_after"].reset_index(drop=True)
    ours, rule = values["predicted_value"], plain["money"]
    assert ours.rank().corr(came.rank()) > rule.rank().corr(came.rank()) + 0.02
    assert abs(ours - came).mean() < 0.95 * abs(rule - came).mean()
    assert 0.75 < ours.sum() / came.sum() < 1.25
    there = (truth["dropout_day"] > 730).to_numpy()
    assert values.loc[there, "prob_alive"].mean() > values.loc[~there, "prob_alive"].mean() + 0.3
    held = (values["low"] <= came) & (came <= values["high"])
    assert 0.82 < held.mean() < 0.96
    broken = ours.sample(frac=1, random_state=1).reset_index(drop=True)
    assert broken.rank().corr(came.rank()) < 0.1


def test_the_range_of_the_total_is_wider_after_a_miss_and_leaves_the_total_where_it_is():
    low, high = lifetime.total_range(1000.0, 0.05, 1.0)
    assert np.sqrt(low * high) == pytest.approx(1000)
    assert np.log(high / low) == pytest.approx(2 * stats.Z * 0.05)
    for was in (0.8, 1 / 0.8):  # too low and too high count alike
        missed = lifetime.total_range(1000.0, 0.05, was)
        assert np.sqrt(missed[0] * missed[1]) == pytest.approx(1000)
        assert missed[0] < low < high < missed[1]
    assert lifetime.total_range(1000.0, 0.05, 0.0) == (low, high)  # no back-test
    plain = lifetime.total_range(1000.0, 0.0, 0.8)  # no model: the miss alone
    assert np.log(plain[1] / plain[0]) == pytest.approx(2 * stats.Z * -np.log(0.8))
    assert np.isnan(lifetime.total_range(1000.0, 0.0, 0.0)).all()


def test_the_spread_of_a_total_falls_with_the_number_of_customers(fits, cdnow):
    people = pd.DataFrame({c: cdnow[c] for c in ("x", "t_x", "T")}).assign(value=cdnow["zbar"])
    people["customer_id"] = people.index.astype("str")
    model = lifetime.Model("BG/NBD", fits["BG/NBD"], None, 35.0)
    few, many = (
        lifetime.total_spread(model, people.sample(n, random_state=1), 365) for n in (50, 2000)
    )
    assert 0 < many < few < 1
    assert lifetime.total_spread(None, people, 365) == 0

"""Prices and promotions (3.13-3.16): published and hand-made cases, and the simulated truth."""

from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import stats, tables
from helpers.analyze.pricing import (
    assortment,
    competitors,
    elasticity,
    price_ladder,
    price_words,
    prices,
    promotion,
)
from simulator import write_twin

AS_OF = date(2026, 9, 27)
MONDAY = pd.Timestamp("2026-01-05")
TILLS = {"BER1": "Berlin Mitte", "HAM1": "Hamburg Altona", "MUC1": "München Sendling"}


def panel_of(units, price, promotion=None, display=None, mailer=None):
    """A panel of one place from frames of week x product."""
    weeks, products = np.indices(units.shape)
    flat = {
        "units": units,
        "price": price,
        "promotion": promotion,
        "display": display,
        "mailer": mailer,
    }
    rows = pd.DataFrame(
        {k: (np.zeros(units.shape) if v is None else v).ravel(order="F") for k, v in flat.items()}
    )
    rows["product_id"] = [f"p{k:02d}" for k in products.ravel(order="F")]
    rows["week_on"] = MONDAY + pd.to_timedelta(7 * weeks.ravel(order="F"), unit="D")
    rows = rows.assign(
        place="web",
        category="Tea",
        name=rows["product_id"],
        usual=1.0,
        doubt=0.0,
        lines=1,
        sure=True,
    )
    return rows.assign(share=0.0, kept=1.0)


def made_up(weeks=60, products=12, e=-2.0, pull=0.0, seed=3, each=60.0):
    """Weeks with promotions: price cuts and displays, known effects, Poisson units."""
    rng = np.random.default_rng(seed)
    on = rng.random((weeks, products)) < 0.15
    usual = np.exp(rng.normal(0, 0.08, (weeks, products)))
    price = usual * np.where(on, rng.choice([0.75, 0.8, 0.9], on.shape), 1)
    display = (on & (rng.random(on.shape) < 0.6)).astype(float)
    lift = (price / usual) ** e * (1 + 0.4 * display)
    base = (
        each
        * np.exp(rng.normal(0, 0.5, products))
        * np.exp(rng.normal(0, 0.2, weeks))[:, None]
        * usual**e
    )
    mean = base * lift
    mean[1:] *= 1 - pull * (lift[:-1] - 1)
    return panel_of(rng.poisson(mean), price, on.astype(float), display).assign(
        usual=usual.ravel(order="F")
    )


# --- the regression ---------------------------------------------------------------------------


def dummies(rows):
    names = ["product_id", "week_on"]
    return pd.concat(
        [pd.get_dummies(rows[n], drop_first=n == "week_on", dtype=float) for n in names], axis=1
    )


def test_poisson_equals_a_regression_with_dummies_and_clustered_errors():
    rows = made_up(weeks=12, products=8, each=2)
    x = pd.DataFrame({"price": np.log(rows["price"]), "display": rows["display"]})
    codes = [
        rows.groupby("product_id").ngroup().to_numpy(),
        rows.groupby("week_on").ngroup().to_numpy(),
    ]
    ours = elasticity.fit_poisson(
        rows["units"].to_numpy(float), x, codes, rows["product_id"].to_numpy()
    )
    whole = pd.concat([x, dummies(rows).set_axis(range(19), axis=1)], axis=1)
    groups = {"groups": codes[0], "use_correction": False}
    fit = sm.GLM(rows["units"], whole.to_numpy(), family=sm.families.Poisson()).fit(
        cov_type="cluster", cov_kwds=groups, tol=1e-12
    )
    assert (rows["units"] == 0).any()
    assert ours.b == pytest.approx(fit.params[:2].to_numpy(), abs=1e-6)
    assert ours.mean == pytest.approx(
        fit.mu.to_numpy() if hasattr(fit.mu, "to_numpy") else fit.mu, rel=1e-5
    )
    assert ours.cov == pytest.approx(8 / 7 * fit.cov_params().to_numpy()[:2, :2], rel=1e-4)


def test_of_fewer_rows_than_terms_the_first_are_told():
    x = pd.DataFrame(np.random.default_rng(1).normal(size=(4, 6)), columns=list("abcdef"))
    fit = elasticity.fit_poisson(np.array([1, 5, 2, 8]), x, [np.zeros(4, int)], np.arange(4))
    assert [fit.error(n) > 0 for n in "abc"] == [True] * 3
    assert [fit[n] for n in "def"] == [0] * 3


def test_the_jackknife_is_wider_than_the_sandwich_with_few_clusters():
    rows = made_up(products=6)
    fit = elasticity.fit_demand(rows)
    assert 5 <= fit.clusters <= 6
    assert fit.wide[0, 0] > fit.cov[0, 0]


def test_products_whose_price_stands_still_do_not_make_the_interval_narrow():
    rows = made_up(products=8, each=40.0)
    moves = {
        n: rows.assign(
            price=rows["price"].where(rows["product_id"].isin([f"p{k:02d}" for k in range(n)]), 1.0)
        )
        for n in (1, 3)
    }
    assert elasticity.fit_demand(rows).clusters >= 6
    assert elasticity.fit_demand(moves[3]).clusters <= 4
    assert elasticity.fit_demand(moves[1]) is None


def test_three_effects_and_an_offset_give_what_dummies_give():
    rows = made_up(weeks=16, products=6, each=5)
    month = (rows.groupby("week_on").ngroup() // 4).to_numpy() * 2 + (
        rows["product_id"] > "p02"
    ).to_numpy()
    codes = [
        rows.groupby("product_id").ngroup().to_numpy(),
        rows.groupby("week_on").ngroup().to_numpy(),
        month,
    ]
    x, shift = pd.DataFrame({"price": np.log(rows["price"])}), 0.3 * rows["display"].to_numpy()
    ours = elasticity.fit_poisson(rows["units"].to_numpy(float), x, codes, codes[0], shift)
    whole = pd.concat([x, dummies(rows), pd.get_dummies(month, dtype=float)], axis=1).to_numpy()
    alone = (
        np.abs(np.diag(np.linalg.qr(whole, mode="r"))) > 1e-9
    )  # the month repeats some of the weeks
    fit = sm.GLM(rows["units"], whole[:, alone], family=sm.families.Poisson(), offset=shift).fit(
        tol=1e-12
    )
    assert ours["price"] == pytest.approx(float(np.asarray(fit.params)[0]), abs=1e-5)


def test_log_log_gives_the_exact_elasticity_of_hand_made_data():
    rng = np.random.default_rng(1)
    price = np.exp(rng.normal(0, 0.2, (30, 5)))
    units = 100 * np.arange(1, 6) * np.exp(rng.normal(0, 0.3, 30))[:, None] * price**-1.7
    fit = elasticity.fit_log_log(panel_of(units, price))["Tea"]
    assert fit["price"] == pytest.approx(-1.7, abs=1e-9)
    assert elasticity.fit_all(panel_of(units, price))["Tea"]["price"] == pytest.approx(
        -1.7, abs=1e-6
    )


def test_dropping_weeks_without_a_sale_biases_and_leaving_promotion_out_does_too():
    few = pd.concat([made_up(seed=s, each=0.6).assign(product_id=lambda r, s=s: f"{s}-" + r["product_id"])
                     for s in range(12)])  # fmt: skip
    ours, plain = elasticity.fit_all(few)["Tea"], elasticity.fit_log_log(few)["Tea"]
    assert abs(ours["price"] + 2) < 2.5 * ours.error("price")
    assert plain["price"] > -1.2  # a true -2, were zeros not dropped
    many = made_up(weeks=100, products=20, seed=5)
    without = elasticity.fit_log_log(many, promotion=False)["Tea"]
    assert without["price"] < elasticity.fit_log_log(many)["Tea"]["price"] - 0.2


def test_nothing_that_moved_gives_nothing():
    flat = panel_of(np.full((30, 4), 5.0), np.ones((30, 4)))
    assert elasticity.fit_all(flat) == {}
    assert elasticity.fit_all(made_up(weeks=10)) == {}
    none = elasticity.elasticities({})
    assert none.empty
    assert price_ladder.price_ladder(flat, none, pd.Series(dtype=float), [0.1]).empty


def test_pooling_draws_the_unsure_further_and_keeps_single_ones():
    own = pd.Series([-1.0, -2.0, -3.0, -2.2, 4.0], list("abcde"))
    pooled = elasticity.pool(own, pd.Series([0.1, 0.1, 0.1, 0.1, 3.0], list("abcde")))
    assert pooled.loc["e", "weight"] < 0.6 < 0.95 < pooled.loc["a", "weight"]
    assert pooled.loc["e", "pooled"] < 2
    assert (pooled["pooled_error"] > 0).all()
    two = elasticity.pool(own[:2], pd.Series([1.0, 1.0], list("ab")))
    assert two["pooled"].tolist() == [-1.0, -2.0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-4, 1), st.floats(0.05, 2)), min_size=4, max_size=12))
def test_pooled_values_lie_between_their_own_and_the_common_one(found):
    own, error = (pd.Series(v) for v in zip(*found, strict=True))
    pooled, common = elasticity.pool(own, error), elasticity.common_value(own, error)["value"]
    low, high = np.minimum(own, common) - 1e-9, np.maximum(own, common) + 1e-9
    assert pooled["pooled"].between(low, high).all()


# --- promotions -------------------------------------------------------------------------------


def test_net_lift_by_hand():
    """Ten a week; a promotion doubles two weeks, and the week after lacks a quarter of the extra: 20 - 5 = 15."""
    fit = elasticity.Fit(
        ["price", "display", "mailer", *elasticity.LAGS],
        np.array([0, np.log(2), 0, 0.25, 0, 0]), np.zeros((6, 6)), np.zeros((6, 6)), 20, None,
    )  # fmt: skip
    weeks, on = 52, [10, 30]
    display = np.zeros((weeks, 1))
    display[on] = 1
    mean = np.full((weeks, 1), 10.0)
    mean[on], mean[[11, 31]] = 20, 7.5
    rows = panel_of(mean, np.full((weeks, 1), 3.0), display, display).assign(usual=3.0)
    fit.mean = mean.ravel()
    demand = promotion.add_demand(rows, {"Tea": fit})
    got = promotion._effect(
        "Tea",
        demand,
        fit,
        pd.Series({"switching": 0.0, "error": 0.0, "sure": False}),
        pd.Series({"p00": 1.0}),
    )
    year = promotion.YEAR / weeks
    assert got["lift"] == pytest.approx(2)
    assert [got[k] / year for k in ("extra", "pulled", "switched", "net")] == pytest.approx(
        [20, 5, 0, 15]
    )
    assert got["profit"] / year == pytest.approx(15 * 2)
    assert got["pull_share"] == pytest.approx(0.25)


def effect(switching, error):
    """The effect on hand-made sales of two products whose promotions press on one another."""
    rows = made_up(weeks=80, products=10)
    fits = elasticity.fit_all(rows)
    demand = promotion.add_demand(rows, fits)
    found = promotion.pooled_switching(
        pd.DataFrame({"switching": [switching], "error": [error]}, index=["Tea"])
    )
    return promotion._effect("Tea", demand, fits["Tea"], found.loc["Tea"], pd.Series(dtype=float))


def test_switching_counts_only_where_it_is_surely_not_zero():
    sure, chance, unknown = effect(-0.5, 0.1), effect(-0.5, 0.4), effect(-0.5, np.nan)
    assert sure["counted"] == sure["switched"] > 0
    assert sure["net"] == pytest.approx(sure["extra"] - sure["pulled"] - sure["switched"])
    for got in (chance, unknown):
        assert got["counted"] == 0 < got["switched"]
        assert got["net"] == pytest.approx(got["extra"] - got["pulled"])
    assert chance["net_high"] - chance["net_low"] < sure["net_high"] - sure["net_low"]


def test_one_category_is_not_called_the_most_and_an_interval_across_zero_tells_nothing():
    one = {
        "group": "Tea",
        "elasticity": -1.5,
        "low": -2.0,
        "high": -1.0,
        "own_weight": 1.0,
        "own": -1.5,
        "error": 0.3,
    }
    rows = pd.DataFrame([one, one | {"group": "Ale", "elasticity": -1.2}])
    said = [
        price_words.extremes_in_words(x)["headline"]
        for x in (rows, rows.head(1), rows.assign(high=0.4))
    ]
    assert said[0].startswith("Buyers mind the price of a product most in Tea")
    assert all(
        "one product, the others as they are" in s or "on it, the others as they are" in s
        for s in said[:2]
    )
    assert "most" not in said[1]
    assert "1.5" in said[1]
    assert "cannot be told" in said[2]


def test_an_elasticity_is_told_with_how_much_of_the_shop_it_holds_and_what_it_leaves_out():
    one = {
        "group": "Tea",
        "elasticity": -1.5,
        "low": -2.0,
        "high": -1.0,
        "own_weight": 0.9,
        "own": -1.5,
        "error": 0.3,
    }
    rows = pd.DataFrame([one, one | {"group": "Ale", "elasticity": -1.2}])
    for found in (rows, rows.head(1)):
        said = price_words.extremes_in_words(found, 0.05, {"Petrol"})["evidence"]
        assert "make 5\xa0% of all sales" in said
        assert "Of Petrol nothing can be told" in said
        assert "beside it" in said
        assert "common value in" not in said  # no category leans on it
        assert "nothing can be told" not in price_words.extremes_in_words(found, 0.05)["evidence"]
    assert (
        "in 1 of 2 categories"
        in price_words.extremes_in_words(rows.assign(own_weight=[0.9, 0.6]))["evidence"]
    )
    assert (
        "beside it" not in price_words.extremes_in_words(rows.head(1).assign(high=0.4))["evidence"]
    )


def test_of_many_categories_one_must_stand_out_more():
    alone = promotion.pooled_switching(
        pd.DataFrame({"switching": [-0.2], "error": [0.1]}, index=["c0"])
    )
    assert alone["sure"].tolist() == [True]
    three = pd.DataFrame({"switching": [-0.2, 0.0, -0.3], "error": 0.1}, index=["c0", "c1", "c2"])
    assert promotion.pooled_switching(three)["sure"].tolist() == [False, False, True]
    rng = np.random.default_rng(5)
    told = [
        promotion.pooled_switching(pd.DataFrame({"switching": rng.normal(0, 0.1, 8), "error": 0.1}))
        for _ in range(400)
    ]
    assert np.mean([t["sure"].any() for t in told]) < 0.1


def lifts_of(shares, error=0.1):
    """Categories of 100 extra units each, with these shares pulled forward."""
    flat = {
        "extra": 100.0,
        "switched_low": -50.0,
        "switched_high": 50.0,
        "counted": 0.0,
        "own_pull_error": error,
    }
    rows = pd.DataFrame(
        {"category": [f"c{k}" for k in range(len(shares))], "own_pull_share": shares}
    ).assign(**flat)
    rows["pulled"], rows["profit"] = 100 * rows["own_pull_share"], np.nan
    return rows.assign(net=100 - rows["pulled"], profit_low=np.nan, profit_high=np.nan)


def test_the_total_is_as_doubtful_as_the_common_value():
    shares = [0.1, 0.3, 0.2, 0.4, 0.25]
    said, scoped = (price_words.lift_in_words(lifts_of(shares), share)[0] for share in (0.95, 0.4))
    common = elasticity.common_value(pd.Series(shares), pd.Series([0.1] * 5))
    ends = [round(100 - 100 * common[k]) for k in ("high", "low")]
    assert f"about 75 are left in the end: between {ends[0]} and {ends[1]}." in said["headline"]
    assert "(products studied: 40\xa0% of all sales)" in scoped["headline"]
    assert "40\xa0%" not in scoped["evidence"]
    assert "95\xa0% of all sales" in said["evidence"]
    assert "left out" in said["sure"]
    wide = price_words.lift_in_words(lifts_of([-0.3, 0.8, 0.2, 0.4, 0.15]))[0]["headline"]
    assert wide != said["headline"]  # the same mean, and more doubt
    named = price_words.lift_in_words(lifts_of(shares).assign(counted=[9.0, 0, 0, 0, 0]))[0]["sure"]
    assert "(c0)" in named


def test_lags_are_drawn_together_and_unknown_ones_stay():
    def fit(value, error):
        wide = np.diag([0.1, 0.1, 0.1, error, 0, 0]) ** 2
        b = np.array([-2, 0, 0, value, 0.5, 0])
        return elasticity.Fit([*elasticity.OWN, *elasticity.LAGS], b, wide, wide, 9, np.zeros(1))

    values = dict(zip("abcd", (-0.4, 0.2, 0.3, 0.6), strict=True))
    drawn = promotion.pooled_lags({c: fit(v, 0.3) for c, v in values.items()})
    assert -0.4 < drawn["a"][0][0] < 0.175 < drawn["d"][0][0] < 0.6
    assert drawn["a"][0][1:].tolist() == [0.5, 0]
    assert drawn["a"][1][1:].tolist() == [1, 1]


def test_a_cheap_week_that_only_gives_margin_away_costs_money():
    rows = made_up(weeks=100, products=20, e=-1.1)
    fits = elasticity.fit_all(rows)
    lifts = promotion.promotion_effects(
        promotion.add_demand(rows, fits), fits, pd.Series(0.6, rows["product_id"].unique())
    )
    assert lifts["profit_high"].iloc[0] < 0
    loss = price_words.promotion_profit_in_words(lifts, "EUR")[0]
    assert loss["low"] < loss["value"] == -lifts["profit"].iloc[0] < loss["high"]
    assert loss["low"] == pytest.approx(-lifts["profit_high"].iloc[0])  # one of one is not picked
    pays = lifts.assign(category="Ale", profit=9.0, profit_low=5.0, profit_high=12.0)
    both = price_words.promotion_profit_in_words(pd.concat([lifts, pays], ignore_index=True), "EUR")
    assert [said["id"] for said in both] == ["promotion-loss", "promotion-gain"]
    assert both[1]["headline"].startswith("Promotions of Ale surely pay")


def test_the_worst_of_eight_is_seldom_surely_bad_where_none_is():
    """Eight categories whose promotions earn and cost nothing: plain intervals find a loss in a third of the shops."""
    rng, plain, chosen = np.random.default_rng(5), [], []
    for _shop in range(600):
        found = rng.normal(0, 1, 8)
        lifts = pd.DataFrame({"category": list("abcdefgh"), "profit": found})
        lifts = lifts.assign(profit_low=found - stats.Z, profit_high=found + stats.Z)
        plain.append((lifts["profit_high"] < 0).any())
        chosen.append(
            any(
                s["id"] == "promotion-loss"
                for s in price_words.promotion_profit_in_words(lifts, "EUR")
            )
        )
    assert np.mean(plain) > 0.25
    assert np.mean(chosen) < 0.08  # one in twenty is meant on this side


def test_pull_forward_is_found_and_a_shuffled_past_finds_none():
    rows = made_up(weeks=150, products=20, e=-1.5, pull=0.3)
    fits = elasticity.fit_all(rows)
    assert fits["Tea"].pulled == pytest.approx([0.3, 0, 0], abs=0.03)
    got = promotion.promotion_effects(
        promotion.add_demand(rows, fits), fits, pd.Series(dtype=float)
    ).iloc[0]
    assert got["pull_share"] == pytest.approx(0.3, abs=0.05)
    assert got["pull_share_low"] > 0.2
    columns = ["units", "price", "usual", "promotion", "display"]
    mixed = (
        rows[columns]
        .to_numpy()
        .reshape(20, 150, len(columns))[:, np.random.default_rng(1).permutation(150)]
    )
    mixed = rows.assign(**dict(zip(columns, mixed.reshape(-1, len(columns)).T, strict=True)))
    fits = elasticity.fit_all(mixed)
    broken = promotion.promotion_effects(
        promotion.add_demand(mixed, fits), fits, pd.Series(dtype=float)
    ).iloc[0]
    assert broken["pull_share"] < 0.15
    assert np.isnan(got["profit"])


# --- the panel --------------------------------------------------------------------------------


def sales(rows):
    return pd.DataFrame(
        rows, columns=["product_id", "place", "week_on", "units", "lines", "price"]
    ).assign(revenue=1.0)


GOODS = pd.DataFrame({"product_id": ["a"], "name": ["Tea"], "category": ["Tea"], "lines": [9], "revenue": [9.0],
                      "category_revenue": [20.0], "kept": [0.9]})  # fmt: skip
NONE = pd.DataFrame(columns=["product_id", "place", "week_on", "display", "mailer"])


def weeks_of(price, lines, skip=()):
    return sales(
        [
            ("a", "web", MONDAY + k * prices.WEEK, 1.0, lines, p)
            for k, p in enumerate(price)
            if k not in skip
        ]
    )


def test_weeks_without_a_sale_are_there_with_a_price():
    promoted = NONE.copy()
    promoted.loc[0] = ["a", "web", MONDAY + 5 * prices.WEEK, 1.0, 0.0]
    sold = weeks_of([2, 2, 2, 2, 2, 1.5, 2, 2, 2, 2], lines=9, skip=(3, 7))
    panel = prices.price_panel(
        sold, promoted, GOODS, (MONDAY + 9 * prices.WEEK + timedelta(6)).date()
    )
    assert panel["units"].tolist() == [1, 1, 1, 0, 1, 1, 1, 0, 1, 1]
    assert panel["price"].tolist() == pytest.approx([2, 2, 2, 2, 2, 1.5, 2, 2, 2, 2])
    assert panel["usual"].tolist() == pytest.approx([2] * 10)
    assert panel["promotion"].sum() == 1
    seen = price_ladder.prices_seen(panel).iloc[0]
    assert seen["share"] == pytest.approx(8 / 20)  # eight weeks with a revenue of one, of twenty
    assert seen["products"] == 1
    assert panel["kept"].eq(0.9).all()


def test_what_came_back_is_known_by_category():
    day = pd.Timestamp("2026-01-05")
    rows = [
        ("a", 2.0, 60.0),
        ("b", 1.0, 30.0),
        ("c", 1.0, 10.0),
        ("b", -1.0, -20.0),
        ("d", -1.0, -5.0),
    ]
    orders = pd.DataFrame(rows, columns=["product_id", "quantity", "revenue"])
    products = pd.DataFrame({"product_id": list("abcd"), "name": list("abcd"), "category": "Tea"})
    products["subcategory"] = pd.Series([None] * 4, dtype="str")
    totals = prices.product_totals(
        ibis.memtable(orders.assign(ordered_on=day)), ibis.memtable(products)
    ).to_pandas()
    goods = prices.choose_products(totals)
    assert sorted(goods["product_id"]) == ["a", "b", "c"]
    assert goods["category_revenue"].unique().tolist() == [100]
    assert goods["kept"].unique().tolist() == [0.8]


def test_a_price_that_changed_unseen_lies_between_and_one_odd_line_is_not_the_shelf():
    promoted = NONE.copy()
    promoted.loc[0] = ["a", "web", MONDAY, 1.0, 0.0]
    sold = weeks_of([2, 2, 2, 2, 9, 3, 3, 2.7, 3, 3], lines=1, skip=(4,))
    panel = prices.price_panel(sold, promoted, GOODS, (MONDAY + 9 * prices.WEEK).date())
    assert panel["price"].iloc[4] == pytest.approx(np.sqrt(6))
    assert panel["price"].iloc[7] == pytest.approx(3)


def test_without_a_promotions_table_a_cut_is_a_promotion():
    panel = prices.price_panel(
        weeks_of([2] * 6 + [1.5] + [2] * 6, 9), NONE, GOODS, (MONDAY + 12 * prices.WEEK).date()
    )
    assert panel["promotion"].to_numpy().nonzero()[0].tolist() == [6]
    assert panel["usual"].tolist() == pytest.approx([2] * 13)


def test_places_with_other_names_get_the_average_of_the_strange_ones():
    sold = sales(
        [
            ("a", p, MONDAY + k * prices.WEEK, 1.0, 9, 2.0)
            for p in ("Berlin", "web")
            for k in range(10)
        ]
    )
    promoted = pd.DataFrame(
        [
            ("a", "B1", MONDAY, 1.0, 1.0),
            ("a", "H1", MONDAY, 0.0, 1.0),
            ("a", "web", MONDAY, 1.0, 0.0),
        ],
        columns=NONE.columns,
    )
    panel = prices.price_panel(sold, promoted, GOODS, (MONDAY + 9 * prices.WEEK).date()).set_index(
        ["place", "week_on"]
    )
    assert panel.loc[("Berlin", MONDAY), ["display", "mailer"]].tolist() == [0.5, 1.0]
    assert panel.loc[("web", MONDAY), ["display", "mailer"]].tolist() == [1.0, 0.0]


# --- ladder, shelf, searches, rivals ----------------------------------------------------------


def test_the_ladder_speaks_only_within_the_prices_seen_and_multiplies_right():
    price = np.tile([0.9, 1.0, 1.0, 1.0, 1.1], 12)[:, None]
    panel = panel_of(np.full((60, 1), 10.0), price)
    found = pd.DataFrame(
        {"group": ["Tea"], "products": [20], "elasticity": [-2.0], "low": [-2.4], "high": [-1.6]}
    )
    ladder = price_ladder.price_ladder(
        panel, found, pd.Series({"p00": 0.4}), [-0.3, -0.1, 0.1, 0.3]
    ).set_index("change")
    assert ladder.index.tolist() == [-0.1, 0.0, 0.1]
    year = panel[panel["week_on"] > panel["week_on"].max() - pd.Timedelta(weeks=52)]
    assert ladder.loc[0.1, "units"] == pytest.approx(520 * 1.1**-2)
    assert ladder.loc[0.1, "sales"] == pytest.approx(
        (year["units"] * year["price"]).sum() * 1.1**-1
    )
    assert ladder.loc[0.1, "margin"] == pytest.approx(
        1.1**-2 * (10 * (year["price"] * 1.1 - 0.4)).sum()
    )
    assert ladder.loc[0.0, ["gain_low", "gain_high"]].tolist() == [0, 0]
    assert (ladder["sales_low"] <= ladder["sales"]).all()
    assert price_ladder.best_steps(ladder.reset_index()).empty
    less = price_ladder.price_ladder(
        panel.assign(kept=0.9), found, pd.Series({"p00": 0.4}), [0.1]
    ).set_index("change")
    amounts = ["units", "sales", "margin", "gain_low"]
    assert less.loc[0.1, amounts].tolist() == pytest.approx(
        (0.9 * ladder.loc[0.1, amounts]).tolist()
    )
    said = price_words.ladder_in_words(ladder.reset_index().assign(category="Tea"),
                                   price_ladder.prices_seen(panel.assign(share=0.33 / 60)), "Tea")  # fmt: skip
    assert "(products: 1), at the places that sell them often: 33\xa0% of the sales of Tea" in said


def test_half_a_year_is_scaled_to_one_and_a_few_goods_without_cost_are_taken_as_the_others():
    rows = panel_of(np.full((26, 10), 10.0), np.full((26, 10), 2.0))
    found = pd.DataFrame(
        {"group": ["Tea"], "products": [20], "elasticity": [-2.0], "low": [-2.4], "high": [-1.6]}
    )
    all_costs = pd.Series(1.0, sorted(rows["product_id"].unique()))
    ladder = [
        price_ladder.price_ladder(rows, found, all_costs.iloc[k:], [0.0]).iloc[0] for k in (0, 1, 2)
    ]
    assert ladder[0]["units"] == pytest.approx(52 * 100)
    assert ladder[0]["margin"] == ladder[1]["margin"] == pytest.approx(52 * 100)
    assert np.isnan(ladder[2]["margin"])
    assert ladder[2]["sales"] == ladder[0]["sales"]


def test_the_step_advised_is_the_surest_gain_and_never_the_last_one():
    steps = {
        "change": [-0.1, 0, 0.1, 0.2, 0.3],
        "gain": [-9, 0, 40, 50, 90.0],
        "gain_low": [-20, 0, 30, 20, 60.0],
    }
    ladder = pd.DataFrame(steps).assign(category="Tea", gain_high=100.0)
    best = price_ladder.best_steps(ladder)
    assert best["change"].tolist() == [0.1]
    said = price_words.steps_in_words(best, ladder, "EUR")[0]
    assert said["headline"].startswith(
        "Tea may bear higher prices: +10\xa0% on each product by itself"
    )
    assert "best of 4 steps looked at, so it may be smaller" in said["sure"]
    cheaper = price_words.steps_in_words(best.assign(change=-0.1), ladder, "EUR")[0]
    assert "lower prices" in cheaper["headline"]
    assert "less what it takes from the others" in cheaper["headline"]


def test_without_a_step_the_ladder_of_the_best_known_category_is_shown():
    found = pd.DataFrame({"group": ["Ale", "Milk"], "own_weight": [0.2, 0.9]})
    none = pd.DataFrame({"category": []})
    assert price_ladder.ladder_shown(found, none, "") == "Milk"
    assert price_ladder.ladder_shown(found, none, "Ale") == "Ale"


def shelf_sales(**change):
    row = {"product_id": "a", "name": "Tea", "category": "Tea", "units_year": 520.0, "revenue": 1040.0, "lines": 500,
           "units_recent": 130.0, "lines_recent": 130, "units_then": 130.0, "units_after": 160.0, "units_later": 180.0,
           "first_on": pd.Timestamp("2024-01-01"), "last_on": pd.Timestamp(AS_OF)}  # fmt: skip
    return pd.DataFrame([row | change])


def test_cover_by_hand():
    """130 in 13 weeks are 10 a week; a year ago 160 in 8 weeks followed 130 in 13: the season doubles it to 20.

    180 in the 18 weeks after them are 10 a week again, so 560 last 8 weeks for 160 and 40 for the other 400.
    """
    stock = pd.DataFrame({"product_id": ["a", "a"], "on_hand": [60.0, 40.0]})
    got = assortment.assortment(shelf_sales(), pd.Series({"a": 1.0}), stock, AS_OF).iloc[0]
    assert [got["rate"], got["cover"], got["margin"], got["gmroi"]] == pytest.approx(
        [20, 5, 520, 5.2]
    )
    assert got["cover_low"] < 5 < got["cover_high"]
    assert got["list"] == "best seller"
    much = assortment.assortment(
        shelf_sales(), pd.Series(dtype=float), stock.assign(on_hand=280.0), AS_OF
    )
    assert much.loc[0, ["rate", "rate_later", "cover"]].tolist() == pytest.approx([20, 10, 48])
    assert 26 < much.loc[0, "cover_low"] < 48 < much.loc[0, "cover_high"]
    assert (
        "220 units exceed 26 weeks" in price_words.stock_in_words(much, "EUR")[0]["evidence"]
    )  # 560 - 8 * 20 - 18 * 10


def test_a_season_that_ends_before_the_heap_does_not_hide_one():
    """4,000 units last 20 weeks at the 200 a week of the season, but 32 at 200 for 8 weeks and 100 after them."""
    busy = shelf_sales(
        units_recent=1300.0, lines_recent=1300, units_then=1300.0, units_after=1600.0
    )
    stock = pd.DataFrame({"product_id": ["a"], "on_hand": [4000.0]})
    ends = assortment.assortment(
        busy.assign(units_later=1800.0), pd.Series(dtype=float), stock, AS_OF
    )
    lasts = assortment.assortment(
        busy.assign(units_later=3600.0), pd.Series(dtype=float), stock, AS_OF
    )
    assert [ends["list"][0], lasts["list"][0]] == ["sell off", "best seller"]


def test_what_is_soonest_gone_is_named_first_and_how_many_surely():
    sold = pd.concat(
        [shelf_sales(product_id=p, name=p, revenue=r) for p, r in (("Rich", 900.0), ("Poor", 9.0))]
    )
    stock = pd.DataFrame({"product_id": ["Rich", "Poor"], "on_hand": [38.0, 4.0]})
    shelf = assortment.assortment(sold, pd.Series({"Rich": 1.0, "Poor": 1.0}), stock, AS_OF)
    assert shelf["gmroi"].isna().all()
    assert assortment.stock_list(shelf, "reorder")["name"].tolist() == ["Poor", "Rich"]
    assert (
        assortment.stock_list(shelf, "reorder")[["lately", "ahead"]].to_numpy().tolist()
        == [[10, 20]] * 2
    )
    said = price_words.stock_in_words(shelf, "EUR")[0]
    assert said["headline"].endswith(
        "2, of which 1 surely."
    )  # 38 last 1.9 weeks, but from 130 purchases up to 2.2
    assert said["action"].endswith("Poor and Rich")
    assert "10 a week lately, 20 ahead" in price_words.stock_reading(shelf)
    steady = shelf.assign(rate=10.0, rate_later=10.0)
    assert "cannot be told" in price_words.stock_reading(steady)
    assert price_words.stock_reading(steady.assign(list="usual")).startswith("No product is short")


def test_the_range_ends_with_its_slowest():
    kinds = ["best seller"] * 3 + ["no sale lately", "reorder"] + ["slow seller"] * 6
    shelf = pd.DataFrame(
        {"list": kinds, "rank": range(1, 12), "revenue": range(10, -1, -1)}
    )  # the last a free gift
    shelf.loc[0, "list"] = "reorder"
    assert assortment.range_ends(shelf)["rank"].tolist() == [1, 2, 3, 4, 10, 9, 8]


@pytest.mark.parametrize(
    ("change", "on_hand", "name"),
    [
        ({}, 10.0, "reorder"),
        ({}, -3.0, "reorder"),
        ({}, 900.0, "sell off"),
        ({"units_recent": 0.0, "lines_recent": 0}, 5.0, "sell off"),
        ({}, None, "best seller"),
    ],
)
def test_each_product_is_on_one_list(change, on_hand, name):
    stock = (
        pd.DataFrame({"product_id": ["a"], "on_hand": [on_hand]}) if on_hand is not None else NONE
    )
    got = assortment.assortment(shelf_sales(**change), pd.Series(dtype=float), stock, AS_OF)
    assert got["list"].tolist() == [name]


def test_what_never_sold_is_listed_where_it_lies_in_stock():
    never = {"product_id": "b", "name": "Old tea", "first_on": pd.NaT, "last_on": pd.NaT}
    units = [f"units_{k}" for k in ("year", "recent", "then", "after", "later")]
    zeros = dict.fromkeys([*units, "revenue", "lines", "lines_recent"], 0)
    sold = pd.concat(
        [
            shelf_sales(),
            shelf_sales(**never, **zeros),
            shelf_sales(**never | {"product_id": "c"}, **zeros),
        ]
    )
    stock = pd.DataFrame({"product_id": ["a", "b"], "on_hand": [60.0, 500.0]})
    got = assortment.assortment(sold, pd.Series({"b": 5.0}), stock, AS_OF).set_index("product_id")[
        "list"
    ]
    assert got.to_dict() == {"a": "best seller", "b": "sell off"}
    back = assortment.assortment(
        shelf_sales(units_year=-5.0, revenue=-9.0), pd.Series(dtype=float), stock, AS_OF
    )
    assert back["list"].tolist() != ["best seller"]
    assert "came back" in price_words.range_in_words(back)


def test_a_term_is_a_whole_word_of_a_name_but_in_chinese():
    names = pd.DataFrame(
        {"product_id": ["o", "t", "z"], "name": ["Spanish Olives", "Green Teas", "北欧台灯"]}
    )
    terms = pd.DataFrame({"term": ["pan", "tea", "台灯"]})
    assert assortment.name_matches(terms, names).to_numpy().tolist() == [
        ["tea", "t"],
        ["台灯", "z"],
    ]


def test_searches_count_what_was_found_afterwards_in_the_same_visit():
    at = pd.Timestamp("2026-01-01")
    acts = [("s1", 0, "search", None, "Towels"), ("s1", 1, "view_item", "t1", None), ("s1", 2, "purchase", "t1", None),
            ("s2", 3, "view_item", "t1", None), ("s2", 4, "search", None, "towels "), ("s3", 5, "search", None, "desk"),
            ("s3", 6, "purchase", "t1", None)]  # fmt: skip
    rows = pd.DataFrame(
        acts, columns=["session_id", "k", "event_name", "product_id", "search_term"]
    )
    events = ibis.memtable(rows.assign(occurred_at=at + pd.to_timedelta(rows["k"], unit="m")))
    names = pd.DataFrame({"product_id": ["t1", "k1"], "name": ["Bath Towel Soft", None]})
    terms = assortment.search_terms(events).to_pandas()
    matches = assortment.name_matches(terms, names)
    got = assortment.searches_in_vain(
        terms, assortment.searches(events, matches).to_pandas(), matches
    ).set_index("term")
    assert got.index.tolist() == ["desk", "towels"]
    assert got.loc["towels", ["searches", "visits", "view_share", "buy_share"]].tolist() == [
        2,
        2,
        0.5,
        0.5,
    ]
    assert got.loc["desk", ["products", "buy_share"]].tolist() == [0, 0]
    assert price_words.searches_in_words(got.reset_index())[0]["headline"].startswith("1 of 2")


def test_a_term_is_called_seldom_bought_only_beyond_chance_over_all_terms():
    """0 of 360 at 0.8 % happens 5 times in 100, so among 8 terms it says nothing; 0 of 1,500 does."""
    bought, visits = [0, 2, 8, 2, 0, 4, 0, 4, 0], [360, 344, 337, 316, 294, 278, 275, 275, 90]
    terms = pd.DataFrame({"term": list("abcdefghx"), "searches": visits})
    found = pd.DataFrame(
        {"term": terms["term"], "visits": visits, "viewed": bought, "bought": bought}
    )
    matches = pd.DataFrame({"term": list("abcdefgh"), "product_id": "p"})
    got = assortment.searches_in_vain(terms, found, matches)
    assert got["verdict"].value_counts().to_dict() == {
        "in the range": 8,
        "no product is called so": 1,
    }
    assert "name a product: 8" in price_words.seldom_in_words(got)
    found.loc[0, "visits"] = 1500
    got = assortment.searches_in_vain(terms, found, matches).set_index("term")
    assert got.index[got["verdict"] == "in the range, seldom bought"].tolist() == ["a"]
    assert price_words.seldom_in_words(got.reset_index()).startswith("Seldom bought (a)")


def market(rows):
    columns = ["period", "segment", "brand", "sales", "price", "rating", "mentions", "search_index"]
    rows = pd.DataFrame(rows, columns=columns).assign(awareness=np.nan, reputation=np.nan)
    return rows.assign(period=pd.to_datetime(rows["period"]))


def test_competitors_by_hand():
    got = competitors.competitors(
        market([("2026-01-01", "Tea", "Us", 100.0, 8.0, 4.0, 10.0, 50.0),
                ("2026-01-01", "Tea", "Them", 300.0, 12.0, 3.0, 10.0, 150.0)]), "us",
    ).set_index("brand")  # fmt: skip
    assert got.loc["Us", "is_ours"]
    assert got["share"].tolist() == [0.75, 0.25]
    assert got.loc["Us", "price_index"] == pytest.approx(100 * 8 / 11)
    assert got.loc["Us", ["voice", "search", "voice_to_share"]].tolist() == [0.5, 0.25, 2.0]
    assert got["share_change"].isna().all()
    said = price_words.rivals_in_words(got.reset_index())[0]
    assert "number 2 of 2" in said["headline"]
    assert "nan" not in said["headline"]
    assert "talk into sales" in said["action"]
    even = price_words.rivals_in_words(got.assign(voice_to_share=1.05).reset_index())[0]
    silent = price_words.rivals_in_words(
        got.assign(voice_to_share=np.nan, voice=np.nan).reset_index()
    )[0]
    assert "action" not in even
    assert "action" not in silent
    assert "mentions" not in silent["evidence"]
    assert (
        "not among"
        in price_words.rivals_in_words(got.assign(is_ours=False).reset_index())[0]["headline"]
    )


# --- the client without anything, and other engines -------------------------------------------


def empty(name):
    return pd.DataFrame(columns=list(tables.get(name).columns))


def nothing(name):
    return ibis.memtable(empty(name), schema=tables.get(name).schema)


def test_a_client_without_rows_gets_empty_tables():
    orders, products = nothing("orders"), nothing("products")
    totals = prices.product_totals(orders, products).to_pandas()
    goods = prices.choose_products(totals)
    sold = prices.weekly_sales(orders, goods).to_pandas()
    promoted = prices.promoted_weeks(nothing("promotions"), goods).to_pandas()
    panel = prices.price_panel(sold, promoted, goods, AS_OF)
    assert "at least" in price_words.coverage_in_words(prices.coverage(panel, totals, sold), 0)
    fits = elasticity.fit_all(panel)
    found = elasticity.elasticities(fits)
    assert price_words.plain_in_words(found, elasticity.fit_log_log(panel, promotion=False)) == ""
    bought = prices.segment_sales(orders, nothing("segments"), goods, "value_type").to_pandas()
    segments = elasticity.elasticities(elasticity.fit_segments(prices.segment_panel(panel, bought)))
    assert "customer numbers" in price_words.segments_in_words(segments)
    assert elasticity.by_scope(found, segments).empty
    costs = assortment.unit_costs(orders, products).to_pandas().set_index("product_id")["cost"]
    ladder = price_ladder.price_ladder(panel, found, costs, [0.1])
    best = price_ladder.best_steps(ladder)
    category = price_ladder.ladder_shown(found, best, "")
    assert price_words.ladder_in_words(ladder, price_ladder.prices_seen(panel), category)
    assert price_words.steps_in_words(best, ladder, "EUR") == []
    lifts = promotion.promotion_effects(promotion.add_demand(panel, fits), fits, costs)
    assert (
        price_words.lift_in_words(lifts)
        == price_words.promotion_profit_in_words(lifts, "EUR")
        == []
    )
    shelf = assortment.assortment(assortment.product_sales(orders, products, AS_OF).to_pandas(), costs,
                               assortment.stock_now(nothing("stock")).to_pandas(), AS_OF)  # fmt: skip
    assert shelf.empty
    assert price_words.range_in_words(shelf)
    assert price_words.stock_in_words(shelf, "EUR") == []
    events = nothing("events")
    terms = assortment.search_terms(events).to_pandas()
    matches = assortment.name_matches(terms, shelf)
    vain = assortment.searches_in_vain(
        terms, assortment.searches(events, matches).to_pandas(), matches
    )
    assert price_words.searches_in_words(vain) == []
    assert "product: 0" in price_words.seldom_in_words(vain)
    brands = competitors.competitors(empty("market"), "Us")
    assert brands.empty
    assert price_words.rivals_in_words(brands) == []
    assert competitors.share_over_time(nothing("market").to_pandas(), "Us").empty


@pytest.mark.parametrize("dialect", ["duckdb", "pyspark", "bigquery", "snowflake"])
def test_row_work_compiles_for_other_engines(monkeypatch, dialect):
    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())
    t = {n: ibis.table(tables.get(n).schema, name=n)
         for n in ("orders", "products", "promotions", "segments", "stock", "events")}  # fmt: skip
    for expression in (
        prices.product_totals(t["orders"], t["products"]),
        prices.weekly_sales(t["orders"], GOODS),
        prices.promoted_weeks(t["promotions"], GOODS),
        prices.segment_sales(t["orders"], t["segments"], GOODS, "value_type"),
        assortment.unit_costs(t["orders"], t["products"]),
        assortment.product_sales(t["orders"], t["products"], AS_OF),
        assortment.stock_now(t["stock"]),
        assortment.search_terms(t["events"]),
    ):
        assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


# --- the truth of a small twin ----------------------------------------------------------------


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin")
    write_twin(folder, 1200, 8)
    return folder


def clean_sales(folder):
    """Orders as clean would leave them, by the truth, and promotions from their export."""
    o = pd.read_csv(folder / "truth" / "orders.csv").query(
        "status == 'done' and not is_return and currency == 'EUR'"
    )
    at = pd.to_datetime(o["ordered_at"])
    orders = o.assign(line_no=range(len(o)), ordered_on=at.dt.normalize(), customer_id=o["person"],
                      store_id=o["place"].replace(TILLS))  # fmt: skip
    orders = orders[["order_id", "line_no", "customer_id", "product_id", "ordered_on", "quantity", "revenue",
                     "store_id", "channel", "cost"]].astype({"quantity": float})  # fmt: skip
    p = pd.read_csv(folder / "truth" / "products.csv")
    products = p[["product_id", "name", "category"]].assign(subcategory="", unit_cost=p["cost"])
    products["subcategory"] = pd.Series([None] * len(p), dtype="str")
    promos = pd.read_csv(folder / "raw" / "promotions.csv", dtype="str").drop_duplicates()
    promos["week_on"] = pd.to_datetime(promos["week_on"], errors="coerce")
    return (
        ibis.memtable(orders),
        ibis.memtable(products),
        ibis.memtable(promos.dropna(subset=["week_on"])),
    )


def test_elasticities_of_the_twin_are_near_the_truth_and_those_of_shuffled_prices_are_not(twin):
    orders, products, promos = clean_sales(twin)
    goods = prices.choose_products(prices.product_totals(orders, products).to_pandas())
    sold, promoted = (
        x.to_pandas()
        for x in (prices.weekly_sales(orders, goods), prices.promoted_weeks(promos, goods))
    )
    panel = prices.price_panel(sold, promoted, goods, date(2026, 9, 30))
    truth = pd.read_csv(twin / "truth" / "elasticity.csv").set_index("category")["elasticity"]

    def error(rows):
        found = elasticity.elasticities(elasticity.fit_all(rows)).set_index("group")["elasticity"]
        return (found - truth[found.index]).abs().mean()

    assert error(panel) < 0.7
    rng = np.random.default_rng(1)
    order = panel.groupby(["product_id", "place"])["price"].transform(
        lambda p: rng.permutation(p.to_numpy())
    )
    assert error(panel.assign(price=order, usual=np.fmax(order, panel["usual"]))) > 1

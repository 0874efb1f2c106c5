"""What moves sales, forecasts of parts, who buys next: published figures, answers known by hand, no look ahead."""

from datetime import date, timedelta
from types import SimpleNamespace

import ibis
import numpy as np
import pandas as pd
import pytest
from conftest import many_seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from statsmodels.datasets import longley

from helpers import effects, show, stats, tables
from helpers.analyze.predictions import (
    line_forecast,
    purchase,
    purchase_models,
    purchase_profit,
    sales_drivers,
)
from helpers.client import Economics
from helpers.show import charts, words

NO_FEASTS = sales_drivers.feast_days(
    pd.DataFrame(columns=["held_on", "name", "kind"]), "", date(2024, 1, 1), date(2024, 1, 2)
)
START = pd.Timestamp("2024-01-01")  # a Monday


def canonical(name, frame=None):
    """A small canonical table; empty without a frame."""
    schema = tables.get(name).schema
    frame = pd.DataFrame() if frame is None else frame
    frame = frame.reindex(columns=list(schema)).astype(
        {c: object for c in schema if c not in frame}
    )
    return ibis.memtable(frame, schema=schema)


def order_lines(frame):
    """Lines with customer_id, ordered_on and revenue as the table `orders`; one order a line."""
    at = pd.to_datetime(frame["ordered_on"]) + pd.Timedelta(hours=12)
    filled = frame.assign(
        order_id=[f"o{i}" for i in range(len(frame))],
        line_no=1,
        ordered_at=at,
        ordered_at_local=at,
        quantity=np.where(frame["revenue"] < 0, -1.0, 1.0),
        product_id=frame.get("product_id", "bread"),
        channel=frame.get("channel", "web"),
        ordered_on=at.dt.date,
    )
    return canonical("orders", filled)


def shop_tables(frame):
    """Every table that the chapter reads, empty but for orders and two products."""
    goods = pd.DataFrame({"product_id": ["bread", "milk"], "category": ["bakery", "dairy"]})
    found = {n: canonical(n) for n in ("promotions", "messages", "spend", "events")}
    return found | {"orders": order_lines(frame), "products": canonical("products", goods)}


# --- what moves sales ------------------------------------------------------------------------


def test_longley_certified_values_of_nist():
    data = longley.load_pandas()
    fit = sales_drivers.regress(data.endog, data.exog, log=False)
    certified = {  # Statistical Reference Datasets, Longley: estimate, standard deviation
        "const": (-3482258.63459582, 890420.383607373),
        "GNPDEFL": (15.0618722713733, 84.9149257747669),
        "GNP": (-0.358191792925910e-01, 0.334910077722432e-01),
        "UNEMP": (-2.02022980381683, 0.488399681651699),
        "ARMED": (-1.03322686717359, 0.214274163161675),
        "POP": (-0.511041056535807e-01, 0.226073200069370),
        "YEAR": (1829.15146461355, 455.478499142212),
    }
    for name, (estimate, error) in certified.items():
        assert fit.b[name] == pytest.approx(estimate, rel=1e-7)
        assert np.sqrt(fit.covariances[0].loc[name, name]) == pytest.approx(error, rel=1e-7)
    assert fit.critical == pytest.approx(
        1.8331, abs=1e-4
    )  # Student's t with nine degrees of freedom, 90 %


def planted(days=800, seed=1, weekday=None, month=None, price=-1.5, noise=0.1):
    """Daily sales with known factors; the moves that made them."""
    rng, index = np.random.default_rng(seed), pd.date_range(START, periods=days)
    weekday = np.array([1, 1, 1, 1, 1, 2.0, 0.5]) if weekday is None else weekday
    month = np.ones(12) if month is None else month
    moves = pd.DataFrame(
        {"prices paid": np.repeat(rng.normal(0, 0.05, days // 7 + 1), 7)[:days]}, index=index
    )
    level = (
        weekday[index.day_of_week] * month[index.month - 1] * np.exp(price * moves["prices paid"])
    )
    return pd.Series(1000 * level * np.exp(rng.normal(0, noise, days)), index), moves


def test_effects_find_what_was_planted_and_not_where_it_is_shuffled():
    month = np.array([0.8, 0.9, 1, 1, 1.1, 1, 1, 1, 1, 1, 1.2, 1.4])
    sales, moves = planted(month=month)
    found = sales_drivers.driver_effects(
        sales_drivers.explain_sales(sales, moves, NO_FEASTS)
    ).set_index("driver")
    shape = np.array([1, 1, 1, 1, 1, 2.0, 0.5])
    for name, true in zip(sales_drivers.WEEKDAYS, shape, strict=True):
        assert found.loc[name, "effect"] == pytest.approx(
            true / np.exp(np.log(shape).mean()) - 1, abs=0.05
        )
    assert found.loc["December", "effect"] == pytest.approx(
        1.4 / np.exp(np.log(month).mean()) - 1, abs=0.06
    )
    low, high = moves["prices paid"].quantile([0.1, 0.9])
    assert found.loc["prices paid", "effect"] == pytest.approx(
        np.exp(-1.5 * (high - low)) - 1, abs=0.03
    )
    assert found.loc["prices paid", "verdict"] == "goes with less"
    assert found["effect"].between(found["low"], found["high"]).all()
    mixed = moves.sample(frac=1, random_state=1).set_axis(moves.index)
    lost = sales_drivers.driver_effects(
        sales_drivers.explain_sales(sales, mixed, NO_FEASTS)
    ).set_index("driver")
    assert abs(lost.loc["prices paid", "effect"]) < 0.04


def test_a_month_is_told_from_two_years_on_and_only_if_it_was_so_in_each():
    burst = np.ones(12)
    burst[1] = 1.6  # newcomers of one February
    one, moves = planted(400, month=burst)
    assert "month" not in set(
        sales_drivers.driver_effects(sales_drivers.explain_sales(one, moves, NO_FEASTS))["kind"]
    )
    steady, moves = planted(800)
    first, _moves = planted(800, month=burst)
    mixed = pd.concat([first[:365], steady[365:]])
    told = sales_drivers.driver_effects(
        sales_drivers.explain_sales(mixed, moves, NO_FEASTS)
    ).set_index("driver")
    assert told.loc["February", "effect"] > 0.1
    assert told.loc["February", "verdict"] == "may be chance"
    always, moves = planted(800, month=burst)
    known = sales_drivers.driver_effects(
        sales_drivers.explain_sales(always, moves, NO_FEASTS)
    ).set_index("driver")
    assert known.loc["February", "verdict"] == "goes with more"


@many_seeds(30, 100)
def test_intervals_allow_for_errors_that_go_together(seeds):
    """Of drivers that do nothing in shops whose errors last, most intervals hold zero; plain ones do not."""
    held, plain = [], []
    for seed in range(seeds):
        rng, n = np.random.default_rng(seed), 400
        slow = [
            pd.Series(rng.normal(0, 1, n)).ewm(halflife=5).mean().to_numpy() * 3 for _ in range(2)
        ]
        index = pd.date_range(START, periods=n)
        sales = pd.Series(np.exp(5 + 0.2 * slow[0]), index)
        x = pd.DataFrame({"nothing": slow[1]}, index=index)
        for hits, lags in ((held, 40), (plain, 1)):
            fit = sales_drivers.regress(sales, x, lags=lags)
            hits.append(
                abs(fit.b["nothing"])
                <= fit.critical * np.sqrt(fit.covariances[-1].loc["nothing", "nothing"])
            )
    assert np.mean(held) >= 0.80
    assert np.mean(plain) < np.mean(held) - 0.2


def test_holidays_of_every_country_and_of_the_clients_own_calendar_have_their_effect():
    days = pd.date_range("2023-01-01", "2024-12-31")
    own = pd.DataFrame(
        {
            "held_on": pd.date_range("2023-01-14", periods=24, freq="30D").date,
            "name": "x",
            "kind": "sale",
        }
    )
    feasts = sales_drivers.feast_days(own, "DE", days[0], days[-1])
    assert stats.public_holidays("FR", date(2024, 7, 14), date(2024, 7, 14)).tolist() == [
        "National Day"
    ]
    assert stats.public_holidays("nowhere", days[0], days[-1]).empty
    marks = sales_drivers.feast_marks(days, feasts)
    sales = pd.Series(np.exp(0.5 * marks["calendar: sale"] - 0.7 * marks["on a holiday"]), days)
    sales *= np.exp(np.random.default_rng(1).normal(5, 0.05, len(days)))
    found = sales_drivers.driver_effects(
        sales_drivers.explain_sales(sales, pd.DataFrame(index=days), feasts)
    ).set_index("driver")
    assert found.loc["sale", "effect"] == pytest.approx(np.exp(0.5) - 1, abs=0.05)
    assert found.loc["on a holiday", "effect"] == pytest.approx(np.exp(-0.7) - 1, abs=0.05)


def test_closed_weekdays_short_histories_and_dead_tables_are_no_trouble():
    sales, moves = planted(weekday=np.array([1, 1, 1, 1, 1, 2.0, 0.0]), days=500)
    moves["spend: nowhere"], moves["messages of the last seven days"] = np.nan, 0.0
    effects = sales_drivers.driver_effects(
        fit := sales_drivers.explain_sales(sales, moves, NO_FEASTS)
    )
    assert "Sunday" not in set(effects["driver"])
    assert not effects["driver"].str.contains("nowhere|messages").any()
    assert len(sales_drivers.check_regression(fit)) == 5
    short = sales_drivers.explain_sales(sales.head(60), moves, NO_FEASTS)
    assert short is None
    assert sales_drivers.driver_effects(short).empty
    assert sales_drivers.check_regression(short).empty
    said = sales_drivers.drivers_in_words(
        sales_drivers.driver_effects(short), short, sales_drivers.check_regression(short)
    )
    assert "Too little" in said[0]["headline"]


def test_drivers_that_always_move_together_and_odd_days_are_named():
    sales, moves = planted()
    twin = moves.assign(
        **{
            "goods on display or in the mailer": moves["prices paid"]
            + 1e-3 * np.sin(np.arange(800))
        }
    )
    checks = sales_drivers.check_regression(
        sales_drivers.explain_sales(sales, twin, NO_FEASTS)
    ).set_index("check")
    assert not checks.loc["Can the drivers be told apart?", "fine"]
    spoiled = sales.copy()
    spoiled[moves["prices paid"].nlargest(7).index] *= 12
    odd = sales_drivers.check_regression(
        sales_drivers.explain_sales(spoiled, moves, NO_FEASTS)
    ).set_index("check")
    assert not odd.loc["Do a few odd days decide?", "fine"]
    assert (
        sales_drivers.check_regression(sales_drivers.explain_sales(sales, moves, NO_FEASTS))
        .iloc[2:4]["fine"]
        .all()
    )


def test_price_level_weighs_products_alike_in_each_week():
    """Milk costs the same always; that more of it is sold in the second week is no fall of prices."""
    weeks = [
        (7, "bread", 4.0, 10),
        (7, "milk", 1.0, 10),
        (14, "bread", 4.0, 1),
        (14, "milk", 1.0, 90),
    ]
    rows = [
        (START + pd.Timedelta(days=d), p, price, None) for d, p, price, n in weeks for _ in range(n)
    ]
    frame = pd.DataFrame(rows, columns=["ordered_on", "product_id", "revenue", "customer_id"])
    assert sales_drivers.price_level(order_lines(frame)).to_pandas()["value"].abs().max() < 1e-9
    dearer = frame.assign(
        revenue=np.where(frame["ordered_on"] > "2024-01-10", 1.2, 1.0) * frame["revenue"]
    )
    by = (
        sales_drivers.price_level(order_lines(dearer))
        .to_pandas()
        .set_index("week_on")["value"]
        .sort_index()
    )
    assert by.iloc[1] - by.iloc[0] == pytest.approx(np.log(1.2))


# --- forecasts of parts ----------------------------------------------------------------------


def two_lines(days=420, seed=1):
    """Two lines whose seasons run against one another, and a channel."""
    rng, index = np.random.default_rng(seed), pd.date_range(START, periods=days)
    wave = 0.8 * np.sin(2 * np.pi * index.day / index.days_in_month)
    summer = 100 * np.exp(wave) * np.exp(rng.normal(0, 0.1, days))
    winter = 100 * np.exp(-wave) * np.exp(rng.normal(0, 0.1, days))
    rows = [
        pd.DataFrame({"kind": "category", "part": p, "ordered_on": index, "revenue": v})
        for p, v in (("summer", summer), ("winter", winter))
    ]
    rows.append(
        pd.DataFrame(
            {"kind": "channel", "part": "web", "ordered_on": index, "revenue": summer + winter}
        )
    )
    return pd.concat(rows)


@pytest.fixture(scope="module")
def lines():
    parts = line_forecast.part_days(two_lines(), (START + pd.Timedelta(days=419)).date())
    whole = stats.backtest(parts["category"].sum(axis=1), origins=6)
    return parts, whole, line_forecast.backtest_lines(parts, whole, NO_FEASTS)


def test_parts_add_up_to_the_whole_and_a_kind_with_one_part_is_left_out(lines):
    parts, whole, tested = lines
    assert parts.columns.get_level_values(0).unique().tolist() == ["category"]
    weeks = tested[tested["weeks"] == 1]
    method = stats.choose_method(whole)[0]
    total = whole[(whole["method"] == method) & (whole["weeks"] == 1)].set_index(
        ["origin_on", "horizon"]
    )["forecast"]
    for way in line_forecast.ADD_UP:
        sums = weeks[weeks["way"] == way].groupby(["origin_on", "horizon"])["forecast"].sum()
        assert np.allclose(sums, total.reindex(sums.index))
    assert tested.groupby("way")["actual"].sum().nunique() == 1


def test_the_calendar_of_each_part_beats_its_share_where_seasons_differ_and_not_where_days_are_mixed(
    lines,
):
    parts, whole, tested = lines
    errors = line_forecast.score_ways(tested).set_index("way")["one_week"]
    assert errors[line_forecast.SCALED] < 0.6 * errors[line_forecast.SHARE_RULE]
    mixed = parts.sample(frac=1, random_state=1).set_axis(parts.index)
    lost = line_forecast.score_ways(
        line_forecast.backtest_lines(mixed, whole, NO_FEASTS)
    ).set_index("way")
    assert (
        lost.loc[line_forecast.SCALED, "one_week"]
        > 0.9 * lost.loc[line_forecast.SHARE_RULE, "one_week"]
    )


def test_intervals_of_the_parts_hold_on_origins_left_out_and_the_spans_add_up(lines):
    parts, whole, tested = lines
    scores = line_forecast.score_ways(tested)
    assert scores["chosen"].sum() == 1
    assert (scores["origins"] == tested["origin_on"].nunique()).all()
    assert scores["last_on"].eq(tested["origin_on"].max()).all()
    assert scores["covered"].between(0.8, 1).all()
    paths = line_forecast.total_ahead(parts["category"].sum(axis=1), whole)
    ahead = line_forecast.forecast_lines(parts, paths, tested, NO_FEASTS)
    ahead = ahead[ahead["kind"] != "total"]
    sums = ahead[ahead["weeks"] == 1].groupby("part")["forecast"].sum()
    assert np.allclose(sums, ahead[ahead["weeks"] == 13].set_index("part")["forecast"])
    assert ahead["ordered_on"].min() == parts.index[-1].date() + timedelta(days=1)
    assert (ahead["low"] <= ahead["forecast"]).all()
    assert set(scores.loc[scores["chosen"], "way"]) <= set(line_forecast.ADD_UP)
    assert line_forecast.longest_span(ahead, "category")["part"].nunique() == 2
    assert (
        "product line" in line_forecast.lines_in_words(scores, ahead, parts, "EUR")[0]["headline"]
    )


def test_a_back_test_of_parts_knows_nothing_of_what_came_after(lines):
    parts, whole, tested = lines
    origin = pd.Timestamp(tested["origin_on"].min())
    changed = parts.copy()
    changed.loc[parts.index > origin] *= 3
    again = line_forecast.backtest_lines(changed, whole, NO_FEASTS)
    first, again = (t[t["origin_on"] == origin.date()] for t in (tested, again))
    assert np.allclose(again["forecast"], first["forecast"])
    assert np.allclose(again["actual"], 3 * first["actual"])


def test_a_season_that_the_forecast_does_not_know_is_named_and_not_where_there_is_none():
    """Sales that double in the last quarter of each year, seen from the end of the third."""
    days = pd.date_range("2024-10-01", "2026-09-30")
    noise = np.random.default_rng(1).normal(0, 0.05, (len(days), 2))

    def seen(rise):
        sales = 100 * np.exp(noise) * np.where(days.month >= 10, rise, 1.0)[:, None]
        parts = pd.DataFrame(
            sales, days, pd.MultiIndex.from_product([["category"], ["bread", "milk"]])
        )
        daily = parts.sum(axis=1)
        paths = stats.sales_paths(daily, 91, "seasonal naive").rename_axis(columns="seasonal naive")
        rows = line_forecast.backtest_lines(parts, stats.backtest(daily.head(20)), NO_FEASTS)
        ahead = line_forecast.forecast_lines(parts, paths, rows, NO_FEASTS)
        return (
            parts,
            ahead,
            line_forecast.lines_in_words(line_forecast.score_ways(rows), ahead, parts, "EUR"),
        )

    parts, ahead, said = seen(2.0)
    assert "knows no season" in said[-1]["headline"]
    between = said[-1]["headline"].split("between ")[1]
    assert between.startswith(
        words.money(line_forecast.longest_span(ahead, "total")["forecast"].iloc[0], "EUR")
    )
    assert 1.9 < float(said[-1]["headline"].split("sold ")[1].split(" ")[0]) < 2.1
    total = line_forecast.with_total(ahead, "category").iloc[-1]
    assert total["part"] == "all sales"
    parts_ahead = ahead[ahead["kind"] == "category"].groupby(["weeks", "horizon"])["forecast"].sum()
    whole_ahead = ahead[ahead["kind"] == "total"].groupby(["weeks", "horizon"])["forecast"].sum()
    assert np.allclose(parts_ahead, whole_ahead)
    assert total["year_ago"] == pytest.approx(parts["2025-10-02":"2025-12-31"].to_numpy().sum())
    assert ahead["last_years_rise"].isna().all()  # the back-test has no origins here
    ways = line_forecast.forecast_parts(parts, np.full(13, 1400.0), NO_FEASTS)
    rises = line_forecast._rises(parts, 13, pd.DataFrame({"way": [line_forecast.LAST_YEAR]}))
    season = rises[rises["weeks"] == 13].set_index("part")["last_years_rise"]
    assert season[["bread", "milk"]].sum() == pytest.approx(season["all sales"])
    assert season["bread"] == pytest.approx(ways[line_forecast.LAST_YEAR][:, 0].sum(), rel=0.01)
    assert words.money(season["all sales"], "EUR") in said[-1]["headline"]
    assert ways[line_forecast.LAST_YEAR].sum() == pytest.approx(2 * 2 * 91 * 100, rel=0.05)
    assert line_forecast.LAST_YEAR not in line_forecast.forecast_parts(
        parts.tail(400), np.full(13, 1400.0), NO_FEASTS
    )
    assert seen(1.0)[2] == []
    scores = pd.DataFrame(
        {"kind": "category", "way": [line_forecast.SHARE_RULE, line_forecast.SCALED]}
    )
    scores = scores.assign(error=[0.1, 0.2], total_error=0.03, covered=0.9, chosen=[True, False])
    scores = scores.assign(origins=7, first_on=date(2026, 1, 14), last_on=date(2026, 8, 12))
    said = line_forecast.lines_in_words(scores, ahead, parts, "EUR")[0]
    assert said["headline"].endswith("in 13 weeks, before any season.")
    assert (
        f"best way that is no plain rule ({line_forecast.SCALED}) by {words.percent(0.2, 1)}"
        in said["evidence"]
    )
    assert "Judged on 7 origins, 14 January 2026 to 12 August 2026" in said["evidence"]
    assert "no way surely beats a plain rule" in said["headline"]
    modelled = ahead.assign(
        method=ahead["method"].where(ahead["kind"] != "total", "SARIMAX with steady level")
    )
    assert (
        "the shares of a total by SARIMAX"
        in line_forecast.lines_in_words(scores, modelled, parts, "EUR")[0]["headline"]
    )
    own = line_forecast.lines_in_words(scores.assign(chosen=[False, True]), ahead, parts, "EUR")[0]
    assert "of the ways that add up to all sales, own calendar" in own["headline"]
    assert own["headline"].endswith("in 13 weeks, before any season.")
    calm = line_forecast.lines_in_words(scores, seen(1.0)[1], seen(1.0)[0], "EUR")[0]
    assert calm["headline"].endswith("in 13 weeks.")


def test_a_way_that_is_no_plain_rule_must_beat_it_by_more_than_chance():
    ways = pd.Series([line_forecast.OWN, line_forecast.SHARE_RULE])
    index = pd.MultiIndex.from_product([ways, range(4)])
    clear = pd.Series([0.1, 0.11, 0.1, 0.09, 0.2, 0.21, 0.19, 0.2], index)
    hair = pd.Series([0.1, 0.3, 0.1, 0.29, 0.2, 0.21, 0.19, 0.2], index)
    assert line_forecast._surest(ways, clear) == line_forecast.OWN
    assert line_forecast._surest(ways, hair) == line_forecast.SHARE_RULE


def test_ways_are_judged_on_origins_that_all_of_them_could_forecast_from():
    ways = {
        "four-week mean": range(6),
        line_forecast.LAST_YEAR: range(3, 6),
        line_forecast.OWN: range(5, 6),
    }
    rows = pd.DataFrame(
        [(w, o) for w, origins in ways.items() for o in origins], columns=["way", "origin_on"]
    )
    kept = line_forecast._same_origins(rows)
    assert set(kept["way"]) == {"four-week mean", line_forecast.LAST_YEAR}
    assert kept.groupby("way")["origin_on"].apply(list).map(lambda o: o == [3, 4, 5]).all()


def test_an_interval_stays_in_proportion_where_a_way_expected_nothing_and_sales_came():
    came = pd.DataFrame(
        {"part": "bread", "weeks": 1, "horizon": 1, "forecast": 0.0, "actual": [0.0, 40.0] * 5}
    )
    half = line_forecast._half_widths(
        came, pd.DataFrame({"part": ["bread"], "weeks": 1, "horizon": 1, "forecast": 50})
    )
    assert 40 <= half.iloc[0] < 1000


def test_without_a_back_test_parts_keep_their_share_without_intervals():
    parts = line_forecast.part_days(two_lines(30), (START + pd.Timedelta(days=29)).date())
    none = line_forecast.backtest_lines(
        parts, stats.backtest(parts["category"].sum(axis=1)), NO_FEASTS
    )
    paths = stats.sales_paths(parts["category"].sum(axis=1), 28, "four-week mean")
    ahead = line_forecast.forecast_lines(parts, paths, none, NO_FEASTS)
    of_parts = ahead[ahead["kind"] != "total"]
    assert set(of_parts["method"]) == {line_forecast.SHARE_RULE}
    assert of_parts["low"].isna().all()
    assert ahead["year_ago"].isna().all()
    assert line_forecast.score_ways(none).empty


def test_one_product_line_and_one_channel_leave_no_parts_to_forecast():
    days = pd.date_range(START, periods=420)
    rng = np.random.default_rng(1)
    lines = pd.DataFrame(
        {"ordered_on": days, "revenue": rng.uniform(50, 100, 420), "product_id": "bread"}
    )
    shop = shop_tables(lines.assign(customer_id=None))
    sales = line_forecast.line_sales(shop["orders"], shop["products"]).to_pandas()
    assert set(sales["part"]) == {"bakery", "web"}
    parts = line_forecast.part_days(sales, days[-1].date())
    daily = lines.set_index("ordered_on")["revenue"]
    whole = stats.backtest(daily, origins=2)
    assert len(whole)
    tested = line_forecast.backtest_lines(parts, whole, NO_FEASTS)
    scores = line_forecast.score_ways(tested)
    ahead = line_forecast.forecast_lines(
        parts, line_forecast.total_ahead(daily, whole), tested, NO_FEASTS
    )
    assert list(tested) == line_forecast.TESTED
    assert [len(t) for t in (parts.columns, tested, scores, ahead)] == [0, 0, 0, 0]
    assert line_forecast.with_total(ahead, "category").empty
    assert line_forecast.lines_in_words(scores, ahead, parts, "EUR") == []


# --- who buys next ---------------------------------------------------------------------------


def shoppers(n=600, days=400, seed=1):
    """People who buy at random at rates of their own, half of whom leave on a day of their own."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 0.03, n)
    leaves = np.where(rng.random(n) < 0.5, rng.integers(1, days, n), days)
    buys = rng.random((n, days)) < rate[:, None] * (np.arange(days) < leaves[:, None])
    who, on = np.nonzero(buys)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:04d}" for i in who],
            "ordered_on": START + pd.to_timedelta(on, unit="D"),
            "revenue": rng.uniform(5, 50, len(who)).round(2),
            "product_id": rng.choice(["bread", "milk"], len(who)),
        }
    )


AS_OF = (START + pd.Timedelta(days=399)).date()
NOT_KNOWN = (float("nan"), "assumed")  # the margin


@pytest.fixture(scope="module")
def known():
    shop = shop_tables(shoppers())
    days = purchase.cut_days(shop["orders"], AS_OF, 30)
    return shop, days, purchase.known_on(shop, days, 30, AS_OF)


@pytest.fixture(scope="module")
def contest(known):
    return purchase_models.race(known[2], 30)


def test_features_by_hand():
    rows = [
        ("ann", 0, 10.0, "bread"),
        ("ann", 40, 30.0, "milk"),
        ("ann", 45, -30.0, "milk"),
        ("ann", 62, 7.0, "bread"),
        ("bob", 61, 5.0, "bread"),
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "on", "revenue", "product_id"])
    shop = shop_tables(frame.assign(ordered_on=START + pd.to_timedelta(frame["on"], unit="D")))
    day = (START + pd.Timedelta(days=60)).date()
    found = purchase.known_on(shop, [day], 30, (START + pd.Timedelta(days=90)).date())
    assert found["customer_id"].tolist() == ["ann"]  # bob is not known yet
    ann = found.iloc[0]
    assert ann[
        ["recency", "orders_now", "orders_before", "orders_lately", "sales_now"]
    ].tolist() == [20, 1, 0, 2, 0]
    assert ann[["order_days", "known_days", "categories", "average", "trend"]].tolist() == [
        2,
        60,
        2,
        20,
        1,
    ]
    assert ann["returned"] == pytest.approx(0.75)
    assert ann["mix: dairy"] == pytest.approx(0.75)
    assert (ann["bought"], ann["came"]) == (1.0, 7.0)


def test_scrambling_the_future_changes_nothing_that_is_known(known):
    _shop, days, people = known
    cut, rng = pd.Timestamp(days[2]), np.random.default_rng(2)
    frame = shoppers()
    late = (frame["ordered_on"] > cut).to_numpy()
    spoiled = frame.copy()
    spoiled.loc[late, "customer_id"] = rng.permutation(frame.loc[late, "customer_id"].to_numpy())
    spoiled.loc[late, "revenue"] = 999.0
    spoiled.loc[late, "product_id"] = "milk"
    on = pd.Timestamp(cut)
    features = ["customer_id", *purchase.features_of(people)]
    one, other = (
        p.loc[p["on"] == on].reset_index(drop=True)
        for p in (people, purchase.known_on(shop_tables(spoiled), days, 30, AS_OF))
    )
    pd.testing.assert_frame_equal(one[features], other[features])
    assert (one["came"] != other["came"]).any()
    left = people[people["on"] <= on].assign(bought=lambda p: p["bought"].where(p["on"] < on))
    ways = purchase_models.learn_ways(
        left, on, 30, ["table"]
    )  # learns without any outcome after the day
    said = purchase_models.learn_ways(people, on, 30, ["table"])["table"].chances(one)
    assert np.allclose(ways["table"].chances(one), said)


def test_days_to_learn_calibrate_and_test_on_follow_one_another_without_overlap(contest):
    ends = [
        rows["on"].max() + pd.Timedelta(days=30)
        for rows in (contest.train, contest.calibrate, contest.test)
    ]
    assert ends[0] <= contest.calibrate["on"].min()
    assert ends[1] <= contest.test["on"].min()
    assert ends[2] <= pd.Timestamp(AS_OF)


def test_models_tell_buyers_from_others_and_lose_it_when_outcomes_are_shuffled(contest, known):
    models = purchase_models.compare_models(contest).set_index("way")
    assert set(models.index) == set(purchase.PURCHASE["ways"])
    assert models["chosen"].sum() == 1
    assert (
        models.loc[["table", "logistic", "forest", "boosting", "svm", "groups"], "auc"] > 0.65
    ).all()
    assert models.loc["table", "extra"] == 0 or models.loc["bought", "extra"] == 0
    for row in models.itertuples():
        assert row.auc == pytest.approx(
            roc_auc_score(contest.test["bought"], contest.ways[row.Index].chances(contest.test)),
            abs=1e-6,
        )
        assert row.auc_low <= row.auc <= row.auc_high
    mixed = known[2].copy()
    mixed["bought"] = mixed.groupby("on")["bought"].transform(
        lambda b: b.sample(frac=1, random_state=1).to_numpy()
    )
    lost = purchase_models.learn_ways(mixed, contest.test["on"].max(), 30, ["logistic"])["logistic"]
    assert abs(roc_auc_score(contest.test["bought"], lost.chances(contest.test)) - 0.5) < 0.15


def test_chances_come_true_and_scores_cover_everybody(contest, known):
    said = purchase_models.said_and_seen(contest, 4)
    assert said["customers"].sum() == len(contest.test)
    assert (
        (said["low"] - 0.05 <= said["said"]) & (said["said"] <= said["high"] + 0.05)
    ).mean() >= 0.75
    scored = purchase_models.purchase_scores(known[2], 30, contest)
    assert scored["rank"].tolist() == list(range(1, len(scored) + 1))
    assert scored["probability"].is_monotonic_decreasing
    assert scored["probability"].between(0, 1).all()
    assert set(scored["customer_id"]) == set(shoppers()["customer_id"])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.9]), st.booleans()), min_size=4, max_size=40
    )
)
def test_area_and_lift_agree_with_scikit_learn_and_share_out_ties(rows):
    said, y = np.array([s for s, _ in rows]), np.array([float(b) for _, b in rows])
    ones = np.ones((1, len(y)))
    if 0 < y.sum() < len(y):
        assert purchase_models._areas(y, said, ones)[0] == pytest.approx(roc_auc_score(y, said))
        assert purchase_models._lifts(y, np.full(len(y), 0.5), ones)[0] == pytest.approx(1)


def test_chances_that_were_too_high_are_called_so_and_not_where_chance_made_it(contest):
    def verdict(shift):
        said = pd.DataFrame(
            {"said": [0.3, 0.5], "customers": 300, "buyers": [90 - shift, 150 - shift]}
        )
        return purchase_models.calibration_in_words(said, contest)

    assert "too" not in verdict(0)
    assert "too" not in verdict(5)
    assert f"too high by {words.percent(240 / 180 - 1)}" in verdict(30)
    assert f"too low by {words.percent(1 - 240 / 300)}" in verdict(-30)


def test_the_next_number_of_buyers_carries_the_error_of_the_test_day(contest):
    scored = pd.DataFrame({"probability": [0.25, 0.75]})
    said = pd.DataFrame({"said": [0.5], "customers": 200, "buyers": 80})
    spoken = purchase_models.buyers_ahead_in_words(scored, said, 30)
    assert "about 1 of 2 customers" in spoken
    assert f"off by {words.percent(0.25)}: it said 100, and 80 bought" in spoken
    assert "No outcome" in purchase_models.buyers_ahead_in_words(
        scored, purchase_models.said_and_seen(contest._replace(ways={})), 30
    )


def test_sources_name_only_tables_that_the_models_learned_from(contest):
    assert contest.sources == "orders"
    seen = contest.chosen._replace(features=["recency", "opened"], brier=-1.0)
    assert contest._replace(ways={"forest": seen}).sources == "orders, messages"
    assert contest._replace(ways={}).sources == "orders"


def test_first_tenths_that_chance_may_part_are_called_alike_and_others_are_not(contest):
    models = purchase_models.compare_models(contest).assign(chosen=lambda m: m["way"] == "forest")

    def said(forest):
        return purchase_models.models_in_words(
            models, contest._replace(ways=contest.ways | {"forest": forest})
        )[0]["headline"]

    doubt = "in the first tenth the two cannot be told apart"
    assert doubt in said(contest.plain._replace(way="forest", brier=-1.0))
    assert doubt not in said(
        SimpleNamespace(way="forest", brier=-1.0, chances=lambda p: p["bought"].to_numpy())
    )


def test_a_period_without_orders_keeps_what_the_plain_rules_look_at():
    """A shop that was shut for longer than the period: on one day that teaches, nobody had ordered lately."""
    frame = shoppers()
    shut = (frame["ordered_on"] - START).dt.days.between(200, 240)
    shop = shop_tables(frame[~shut])
    people = purchase.known_on(shop, purchase.cut_days(shop["orders"], AS_OF, 28), 28, AS_OF)
    contest = purchase_models.race(people, 28)
    assert (contest.train.groupby("on")["orders_now"].nunique() == 1).any()
    assert set(contest.ways) == set(purchase.PURCHASE["ways"])
    assert {"recency", "orders_now", "orders_lately"} <= set(contest.chosen.features)
    assert "sales_now" not in contest.chosen.features
    assert purchase_models.purchase_scores(people, 28, contest)["probability"].between(0, 1).all()


def test_drivers_are_told_whichever_way_wins(contest):
    for name, way in contest.ways.items():
        wins = contest._replace(ways=contest.ways | {name: way._replace(brier=-1.0)})
        drivers = purchase_models.what_drives(wins, repeats=1)
        assert wins.chosen.way == name
        assert len(drivers) == len(way.features)
        assert drivers["loss"].max() > 0


def test_what_drives_names_silence_and_the_tree_can_be_drawn(contest, monkeypatch):
    drivers = purchase_models.what_drives(contest)
    assert set(drivers["driver"].head(4)) & {
        "days since the last order",
        "usual gap between orders",
        "orders in the last four periods",
        "silence in usual gaps",
    }
    drawn = []
    monkeypatch.setattr(charts, "display", drawn.append)
    show.tree(*purchase_models.teaching_tree(contest), "Who buys?", says="buy")
    assert drawn[0].alt.startswith("Decision tree. Who buys? ")


def test_the_cut_off_is_where_a_contact_pays_and_profit_adds_up(contest):
    terms = purchase_profit.Terms(0.5, 0.5, 0.2, "assumed", "assumed")
    plans = purchase_profit.contact_plans(contest, terms).set_index("plan")
    came, n = contest.test["came"].sum(), len(contest.test)
    assert plans.loc["everybody", "profit"] == pytest.approx(came * 0.1 - n * 0.5)
    assert plans.loc["nobody", "profit"] == 0
    assert plans.loc["everybody", "beyond"] == 0
    dear = purchase_profit.contact_plans(contest, terms._replace(cost=1e6)).set_index("plan")
    assert dear.drop(index=["everybody", "who bought last period"])["contacted"].sum() == 0
    assert (
        "not pay"
        in purchase_profit.profit_in_words(dear.reset_index(), contest, terms, "EUR")[0]["headline"]
    )
    said = purchase_profit.profit_in_words(plans.reset_index(), contest, terms, "EUR")[0]
    assert said["headline"].startswith("If a contact adds 20")
    assert "value" not in said
    assert "Only a test" in said["sure"]
    free = terms._replace(cost=0.0)
    rows = purchase_profit.contact_plans(contest, free)
    assert (
        "no cut-off is needed"
        in purchase_profit.profit_in_words(rows, contest, free, "EUR")[0]["headline"]
    )
    worse = free._replace(added=-0.01)
    rows = purchase_profit.contact_plans(contest, worse)
    assert "not pay" in purchase_profit.profit_in_words(rows, contest, worse, "EUR")[0]["headline"]
    pays = float(said["evidence"].split("pays if a contact adds ")[1].split("\u00a0")[0]) / 100
    way = purchase_models.WAYS[contest.chosen.way]["name"]
    row = plans.loc[way]
    gross = (row["profit"] + row["contacted"] * terms.cost) * pays / terms.added
    assert gross == pytest.approx(
        row["contacted"] * terms.cost, rel=0.02
    )  # at that it neither wins nor loses
    curve = purchase_profit.profit_curve(contest, terms)
    assert curve.iloc[-1, 1:].to_numpy() == pytest.approx(plans.loc["everybody", "profit"])
    assert purchase_profit.best_cut(np.array([0.5, 0.5, 0.2]), np.array([1.0, -2.0, 5.0])) == 0.2


def test_a_measured_plan_says_what_it_makes_at_both_ends_and_whether_it_surely_pays(contest):
    def said(low):
        shown = effects.Shown(0.2, low, 0.3, 2.0, 500, 4500, 28)
        terms = purchase_profit.Terms(0.5, 0.5, 0.2, added_from="held", shown=shown)
        plans = purchase_profit.contact_plans(contest, terms)
        return plans, purchase_profit.profit_in_words(plans, contest, terms, "EUR")[0]

    plans, found = said(0.19)
    assert found["headline"].startswith("A contact adds 20")
    assert "by messages held back at random" in found["headline"]
    assert "not sure" not in found["headline"]
    assert "500 messages were held back" in found["sure"]
    row = plans.set_index("plan").loc[purchase_models.WAYS[contest.chosen.way]["name"]]
    spent = row["contacted"] * 0.5
    assert words.money((row["profit"] + spent) * 0.3 / 0.2 - spent, "EUR") in found["headline"]
    assert "That it pays is not sure" in said(0.0)[1]["headline"]


def mailings(effect, seed=1, n=3000, shares=(0.5, 0.1)):
    """Two campaigns: in the second, which holds fewer back, everybody spends three times as much."""
    rng, parts = np.random.default_rng(seed), []
    for k, (share, level) in enumerate(zip(shares, (10, 30), strict=True)):
        held, day = rng.random(n) < share, START + pd.Timedelta(days=60 * k)
        spent = rng.gamma(1.0, level, n) + effect * ~held
        who = [f"c{i}" for i in range(n)]
        parts.append(
            pd.DataFrame(
                {"customer_id": who, "is_holdout": held, "sent_at": day, "revenue": spent, "k": k}
            )
        )
    rows = pd.concat(parts, ignore_index=True)
    told = rows.assign(
        message_id=[f"m{i}" for i in rows.index], campaign_id="a" + rows["k"].astype(str)
    )
    bought = rows.assign(ordered_on=rows["sent_at"] + pd.Timedelta(days=5))
    return {"messages": canonical("messages", told), "orders": order_lines(bought)}


def test_what_a_message_adds_is_found_within_campaigns_and_lost_when_mixed():
    as_of = (START + pd.Timedelta(days=120)).date()
    shop = mailings(effect=4.0)
    found = effects.message_effect(shop, as_of, 56)
    assert found.money == pytest.approx(4.0, abs=1.0)
    base = mailings(effect=0.0)["orders"].revenue.mean().to_pandas()
    assert found.low < found.added < found.high
    assert found.added == pytest.approx(
        found.money / base / 2, rel=0.5
    )  # of two months of spending, half of it seen
    assert found.held + found.sent == 6000
    told = shop["messages"].to_pandas()
    told["is_holdout"] = told.groupby("campaign_id")["is_holdout"].transform(
        lambda h: h.sample(frac=1, random_state=1).to_numpy()
    )
    lost = effects.message_effect(shop | {"messages": canonical("messages", told)}, as_of, 56)
    assert lost.low < 0 < lost.high
    early = effects.message_effect(shop, (START + pd.Timedelta(days=40)).date(), 56)
    assert early.held + early.sent == 3000  # the second campaign's weeks are not over
    held = [
        effects.message_effect(mailings(0.0, seed, 400, (0.3, 0.3)), as_of, 56)
        for seed in range(60)
    ]
    assert np.mean([h.low <= 0 <= h.high for h in held]) == pytest.approx(0.9, abs=0.08)


def test_a_measurement_replaces_the_assumption_only_where_it_is_surer():
    assumed, orders = 0.1, shop_tables(shoppers(5))["orders"]
    sharp = effects.Shown(0.04, 0.01, 0.07, 1.5, 500, 4500, 28)
    known = purchase_profit.contact_terms(NOT_KNOWN, Economics(), assumed, sharp)
    assert (known.added, known.added_from) == (0.04, "held")
    wide = purchase_profit.contact_terms(
        NOT_KNOWN, Economics(), assumed, sharp._replace(low=-0.3, high=0.4)
    )
    assert (wide.added, wide.added_from) == (0.1, "assumed")
    assert "too unsure to replace" in wide.in_words("EUR")
    few = purchase_profit.contact_terms(NOT_KNOWN, Economics(), assumed, sharp._replace(held=50))
    assert few.added_from == "assumed"
    told = pd.DataFrame(
        {"customer_id": ["c0"], "is_holdout": [True], "sent_at": [START], "message_id": ["m"]}
    )
    shop = {"orders": orders, "messages": canonical("messages", told)}
    nothing = effects.message_effect(shop, AS_OF, 30)
    assert nothing.held == 1
    assert "Only a test" in purchase_profit.contact_terms(
        NOT_KNOWN, Economics(), assumed, nothing
    ).in_words("EUR")
    assert effects.message_effect(shop | {"messages": canonical("messages")}, AS_OF, 30) is None


def test_terms_come_from_the_settings_then_from_the_data_then_from_assumptions():
    assumed = purchase_profit.contact_terms(NOT_KNOWN, Economics(), 0.1)
    assert assumed[:6] == (0.5, 0.25, 0.1, "assumed", "assumed", "assumed")
    known = purchase_profit.contact_terms((0.6, "data"), Economics(contact_cost=0.2), 0.1)
    assert (known.cost, known.cost_from, known.margin_from) == (0.2, "settings", "data")
    assert known.margin == pytest.approx(0.6)
    free = purchase_profit.contact_terms(NOT_KNOWN, Economics(contact_cost=0), 0.1)
    assert (free.cost, free.cost_from) == (0, "settings")


def test_few_customers_get_the_plain_rule_and_none_get_empty_tables():
    few = shop_tables(shoppers(40))
    days = purchase.cut_days(few["orders"], AS_OF, 30)
    people = purchase.known_on(few, days, 30, AS_OF)
    contest = purchase_models.race(people, 30)
    assert contest.ways == {}
    assert "plain rule" in contest.in_words
    scored = purchase_models.purchase_scores(people, 30, contest)
    assert set(scored["way"]) == {"recency and frequency"}
    assert scored["probability"].between(0, 1).all()
    for frame in (shoppers(0), shoppers(40).assign(customer_id=None)):
        nobody = shop_tables(frame)
        period = purchase.choose_period(nobody["orders"], AS_OF)
        people = purchase.known_on(
            nobody, purchase.cut_days(nobody["orders"], AS_OF, period.days), period.days, AS_OF
        )
        none = purchase_models.race(people, period.days)
        terms = purchase_profit.contact_terms(NOT_KNOWN, Economics(), 0.1)
        assert purchase_models.purchase_scores(people, period.days, none).empty
        assert purchase_models.compare_models(none).empty
        assert purchase_profit.contact_plans(none, terms).empty
        assert purchase_models.models_to_show(purchase_models.compare_models(none)).empty
        assert purchase_profit.profit_curve(none, terms).empty
        assert purchase_models.what_drives(none).empty
        assert purchase_models.teaching_tree(none) == (None, [])
        assert "want of orders" in none.in_words


def test_a_table_that_began_after_the_oldest_day_that_teaches_is_named(known):
    shop, days, _people = known
    assert purchase.too_young(shop, days, 30) == []
    late = pd.DataFrame({"customer_id": ["c0001"], "occurred_at": [pd.Timestamp(days[2])]})
    assert (
        "30 days ahead"
        in purchase.too_young(shop | {"events": canonical("events", late)}, days, 30)[0]
    )


def test_the_period_is_the_usual_length_nearest_to_the_usual_gap():
    every = pd.DataFrame(
        {
            "customer_id": "c",
            "ordered_on": pd.date_range(START, periods=40, freq="12D"),
            "revenue": 1.0,
        }
    )
    orders = order_lines(every)
    assert purchase.choose_period(orders, AS_OF).days == 14
    assert purchase.choose_period(orders, AS_OF, 30).days == 30
    assert "as asked for" in purchase.choose_period(orders, AS_OF, 30).in_words
    assert (
        purchase.choose_period(order_lines(every.head(0)), AS_OF).days
        in purchase.PURCHASE["periods"]
    )


# --- the whole -------------------------------------------------------------------------------


def test_the_simulated_shops_season_is_found_and_lost_when_days_are_shuffled():
    """Orders of a small simulated shop against the true factors of weekday and month."""
    from simulator.behave import simulate
    from simulator.constants import DAYS

    world = simulate(800, 5)
    made = world.orders[world.orders["real"] & (world.orders["t"] < DAYS)]
    daily = pd.Series(
        np.bincount(made["day"], minlength=DAYS)[:DAYS].astype(float),
        pd.date_range("2024-10-01", periods=DAYS),
    )
    months = np.array(world.c["months"])

    def covered(series):
        effects = sales_drivers.driver_effects(
            sales_drivers.explain_sales(series, pd.DataFrame(index=series.index), NO_FEASTS)
        )
        found = effects[effects["kind"] == "month"]
        true = months / np.exp(np.log(months).mean()) - 1
        return ((found["low"] <= true) & (true <= found["high"])).mean(), np.corrcoef(
            found["effect"], true
        )[0, 1]

    assert covered(daily)[0] >= 0.6
    assert covered(daily)[1] > 0.8
    assert covered(daily.sample(frac=1, random_state=1).set_axis(daily.index))[1] < 0.7


class SparkOptions(ibis.config.Config):
    """What Ibis asks of Spark when it writes SQL; its own are only there where pyspark is installed."""

    treat_nan_as_null: bool = False


@pytest.mark.parametrize("dialect", ["pyspark", "bigquery", "snowflake"])
def test_expressions_compile_for_other_engines(dialect, monkeypatch):
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    names = ("orders", "products", "promotions", "messages", "events")
    shop = {n: ibis.table(tables.get(n).schema, name=n) for n in names}
    on = ibis.table({"on": "date"}, name="days")
    for expression in (
        sales_drivers.price_level(shop["orders"]),
        sales_drivers.promoted_share(shop["promotions"], shop["orders"]),
        sales_drivers.messages_by_day(shop["messages"]),
        line_forecast.line_sales(shop["orders"], shop["products"]),
        purchase.order_history(shop["orders"], on, 30),
        purchase.category_mix(shop["orders"], shop["products"], on, 30),
        purchase.largest_categories(shop["orders"], shop["products"], AS_OF),
        purchase.next_purchases(shop["orders"], on, 30),
        purchase.message_signs(shop["messages"], on, 30),
        purchase.visit_signs(shop["events"], on, 30),
        effects.after_messages(shop["messages"], shop["orders"], AS_OF, 28),
    ):
        assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))

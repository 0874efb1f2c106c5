"""Step 3: frequencies, distributions and cohorts with answers known by hand; the benchmark's three ways on few rows."""

from datetime import date, datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import stats, tables
from helpers.analyze import cohorts, describe, forecast

PRODUCTS = pd.DataFrame({"product_id": ["bread", "milk"], "category": ["bakery", "dairy"]})


def order_lines(*rows):
    """Lines of (order, customer, day, product, revenue), with the columns of `orders` that the helpers use."""
    frame = pd.DataFrame(
        rows, columns=["order_id", "customer_id", "ordered_on", "product_id", "revenue"]
    )
    at = pd.to_datetime(frame["ordered_on"]) + pd.Timedelta(hours=15)
    frame = frame.assign(
        ordered_at=at,
        ordered_at_local=at,
        line_no=range(1, len(frame) + 1),
        quantity=np.where(frame["revenue"] < 0, -1.0, 1.0),
        store_id="s1",
    )
    return ibis.memtable(
        tables.conform(ibis.memtable(frame), "orders").to_pandas(),
        schema=tables.get("orders").schema,
    )


@pytest.fixture(scope="module")
def lines():
    return order_lines(
        ("o1", "ann", date(2024, 1, 5), "bread", 2.0),
        ("o1", "ann", date(2024, 1, 5), "milk", 1.0),
        ("o2", "ann", date(2024, 2, 9), "bread", 4.0),
        ("o3", "bob", date(2024, 1, 30), "milk", 3.0),
        ("o4", "cyd", date(2024, 2, 1), "bread", 5.0),
        ("o5", "cyd", date(2024, 4, 2), "mystery", 6.0),
        ("o6", None, date(2024, 2, 3), "bread", 7.0),
        ("o7", "bob", date(2024, 3, 3), "milk", -3.0),
    )


@pytest.fixture(scope="module")
def products():
    return ibis.memtable(PRODUCTS)


def none_of(table):
    return ibis.memtable(pd.DataFrame(columns=list(table.columns)), schema=table.schema())


# --- frequencies and distributions -----------------------------------------------------------


def test_frequencies_count_lines_orders_customers_and_money(lines, products):
    found = describe.frequencies(lines, products).to_pandas().set_index("category")
    assert found.loc["bakery"].tolist() == [4, 4, 2, 18.0]
    assert found.loc["dairy"].tolist() == [2, 2, 2, 1.0]  # of three lines one brought milk back
    assert describe.by_store(lines).to_pandas()["orders"].tolist() == [6]
    assert describe.by_hour(lines).to_pandas()["orders"].sum() == 6
    assert found.loc["not known", "revenue"] == 6.0
    assert found["revenue"].is_monotonic_decreasing


def test_daily_sales_add_up_to_all_orders_and_hold_every_day(lines, products):
    sales = describe.complete_days(
        describe.sales_by_day(lines, products).to_pandas(), date(2024, 4, 10)
    )
    daily = describe.daily_total(sales)
    assert sales["revenue"].sum() == lines.revenue.sum().execute() == 25.0
    assert len(sales) == 97 * 3
    assert (daily.index[0], daily.index[-1]) == (
        pd.Timestamp(2024, 1, 5),
        pd.Timestamp(2024, 4, 10),
    )
    assert daily.iloc[-1] == 0


def test_ages_that_nobody_told_are_shown_as_not_known(lines):
    people = ibis.memtable(
        pd.DataFrame({"customer_id": ["ann", "bob"], "age_band": ["35-44", None]})
    )
    found = describe.described(lines, people).to_pandas().set_index("age_band")
    assert found["customers"].to_dict() == {"35-44": 1, "not known": 2}
    assert found["revenue"].to_dict() == {"35-44": 7.0, "not known": 11.0}


def test_weeks_that_the_data_hold_in_part_are_left_out():
    daily = pd.Series(1.0, pd.date_range("2024-01-03", "2024-01-24"))  # a Wednesday to a Wednesday
    weeks = describe.full_weeks(daily)
    assert weeks["week"].dt.day.tolist() == [8, 15]
    assert weeks["sales"].tolist() == [7.0, 7.0]


def test_weekday_and_month_part_find_what_was_planted():
    days = pd.date_range("2024-01-01", "2024-12-31")
    daily = pd.Series(
        np.where(days.day_of_week == 5, 200.0, 100.0) * np.where(days.day <= 7, 1.2, 1.0), days
    )
    daily.iloc[10] = 0.0  # a closed day is no sale of nothing
    weekdays = describe.by_weekday(daily).set_index("part")["mean"]
    parts = describe.by_month_part(daily)
    assert weekdays.idxmax() == "Saturday"
    assert weekdays["Monday"] == pytest.approx(105, abs=1)
    first, rest = parts["mean"].iloc[0], parts["mean"].iloc[1:]
    assert (first / rest).between(1.19, 1.21).all()
    assert parts["low"].iloc[0] > 1 > parts["high"].iloc[1]


def test_hours_are_those_of_the_shops_own_clock_and_of_a_mean_weekday(lines):
    grid = describe.week_grid(
        describe.by_hour(lines).to_pandas(),
        pd.Series(1.0, pd.date_range("2024-01-01", "2024-04-28")),
    )
    assert grid.columns.tolist() == [15]
    assert grid.loc["Friday", 15] == pytest.approx(2 / 17)


def test_baskets_fall_into_bands_and_the_median_is_the_order_in_the_middle(lines):
    values = describe.order_values(lines).to_pandas()
    bands = describe.basket_sizes(values).set_index("basket")
    assert values["orders"].sum() == 6  # what only came back is no order
    assert bands["orders"].to_dict() == {"2 to 5": 3, "5 to 10": 3}
    assert bands["share_of_orders"].sum() == pytest.approx(1)
    assert describe.quantile(values, 0.5) == 4.0
    assert np.isnan(describe.quantile(values.head(0), 0.5))


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=30), st.floats(0.05, 0.99))
def test_running_shares_end_at_one_and_count_the_rows_that_hold_a_part(revenue, part):
    shares = describe.add_shares(pd.DataFrame({"revenue": sorted(revenue, reverse=True)}))
    n = describe.rows_for(shares, part)
    assert shares["running_share"].iloc[-1] == pytest.approx(1)
    assert 1 <= n <= len(shares) or part > shares["running_share"].iloc[-1]
    assert shares["share"].head(n).sum() >= part - 1e-9


# --- cohorts ---------------------------------------------------------------------------------


def test_cohorts_by_hand(lines):
    found = cohorts.cohorts(lines).to_pandas()
    rows = [
        (f"{c:%Y-%m}", p, n, a, r)
        for c, p, n, a, r in found[
            ["cohort_on", "period", "customers", "active", "revenue"]
        ].itertuples(index=False)
    ]
    assert rows == [
        ("2024-01", 0, 2, 2, 6.0),
        ("2024-01", 1, 2, 1, 4.0),
        ("2024-02", 0, 1, 1, 5.0),
        ("2024-02", 2, 1, 1, 6.0),
    ]


def test_months_without_a_sale_stand_with_zero_and_the_running_month_is_left_out(lines):
    rows = cohorts.cohorts(lines).to_pandas()
    table = cohorts.retention(rows, date(2024, 4, 10))
    assert len(table) == 3 + 2
    assert table.set_index(["cohort_on", "period"])["active"].tolist() == [2, 1, 0, 1, 0]
    assert len(cohorts.retention(rows, date(2024, 4, 30))) == 4 + 3
    assert (table["low"] <= table["retention"]).all()
    assert (table["high"] >= table["retention"]).all()


def test_curves_part_the_first_cohort_from_the_later_ones():
    rows = pd.DataFrame(
        {
            "cohort_on": pd.to_datetime(["2024-01-01"] * 3 + ["2024-02-01"] * 2 + ["2024-03-01"]),
            "period": [0, 1, 2, 0, 1, 0],
            "customers": [100] * 3 + [10] * 2 + [30],
            "active": [100, 90, 80, 10, 5, 30],
            "revenue": 1.0,
        }
    )
    curves = cohorts.retention_curves(cohorts.retention(rows, date(2024, 3, 31)))
    assert curves[cohorts.FROM_THE_START].tolist() == [1.0, 0.9, 0.8]
    assert curves[cohorts.LATER].tolist()[:2] == [1.0, 0.5]
    assert curves["customers"].tolist()[:2] == [40, 10]
    assert cohorts.half_life(curves) == 1
    assert cohorts.half_life(curves.head(1)) is None


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcde"),
            st.integers(0, 400),
            st.floats(0.5, 99).map(lambda v: round(v, 2)),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_cohorts_hold_every_customer_month_and_every_cent(rows):
    start = date(2023, 1, 1)
    orders = order_lines(
        *[
            (f"o{i}", who, start + timedelta(days=d), "bread", paid)
            for i, (who, d, paid) in enumerate(rows)
        ]
    )
    found = cohorts.cohorts(orders).to_pandas()
    months = {(who, f"{start + timedelta(days=d):%Y-%m}") for who, d, _ in rows}
    assert found["active"].sum() == len(months)
    assert found["revenue"].sum() == pytest.approx(
        sum(paid for *_, paid in rows), abs=0.02 * len(found)
    )
    born = found[found["period"] == 0]
    assert (born["active"] == born["customers"]).all()
    assert born["customers"].sum() == len({who for who, *_ in rows})
    assert (found["active"] <= found["customers"]).all()


class SparkOptions(ibis.config.Config):
    """What Ibis asks of Spark when it writes SQL; its own are only there where pyspark is installed."""

    treat_nan_as_null: bool = False


@pytest.mark.parametrize("dialect", ["pyspark", "bigquery", "snowflake"])
def test_expressions_compile_for_other_engines(dialect, monkeypatch):
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    orders, products, customers = (
        ibis.table(tables.get(n).schema, name=n) for n in ("orders", "products", "customers")
    )
    for expression in (
        describe.frequencies(orders, products),
        describe.sales_by_day(orders, products),
        describe.described(orders, customers),
        describe.by_store(orders),
        describe.by_hour(orders),
        describe.order_values(orders),
        cohorts.cohorts(orders),
    ):
        assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


# --- what the forecast says ------------------------------------------------------------------


@pytest.fixture(scope="module")
def ahead():
    days = pd.date_range("2024-01-01", "2024-05-15")
    noise = np.random.default_rng(2).normal(0, 5, (len(days), 2))
    parts = pd.DataFrame(
        noise + np.array([75, 25]), index=days, columns=["big", "small"]
    ).rename_axis("ordered_on")
    sales = parts.melt(ignore_index=False, var_name="category", value_name="revenue").reset_index()
    tested = stats.backtest(describe.daily_total(sales), weeks=4, origins=2)
    paths = forecast.simulate(describe.daily_total(sales), date(2024, 5, 15), tested)
    return sales, tested, paths, forecast.forecast(paths, sales, tested)


def test_categories_add_up_to_all_on_each_day(ahead):
    _, _, paths, table = ahead
    whole = table[table["category"] == "all"].set_index("ordered_on")["forecast"]
    parts = table[table["category"] != "all"].groupby("ordered_on")["forecast"].sum()
    assert np.allclose(whole, parts)
    assert np.allclose(whole, paths.mean(axis=1))
    assert whole.index[-1] == pd.Timestamp(2024, 9, 30)
    assert table.groupby("category")["forecast"].mean()["big"] == pytest.approx(75, abs=2)


def test_a_category_is_less_sure_than_the_whole(ahead):
    table = ahead[3].assign(half=lambda t: (t["high"] - t["low"]) / t["forecast"])
    by = table.groupby("category")["half"].mean()
    assert by["small"] > by["all"]
    assert (table["low"] <= table["forecast"]).all()
    assert (table["forecast"] <= table["high"]).all()


def test_months_are_sums_of_paths(ahead):
    _, _, paths, _ = ahead
    months = forecast.by_month(paths)
    assert months["month"].tolist() == [
        "May 2024",
        "June 2024",
        "July 2024",
        "August 2024",
        "September 2024",
        "together",
    ]
    assert months["forecast"].iloc[:-1].sum() == pytest.approx(months["forecast"].iloc[-1])
    assert paths.sum().between(
        months["low"].iloc[-1], months["high"].iloc[-1]
    ).mean() == pytest.approx(0.9, abs=0.01)


def test_a_rule_without_season_is_held_against_the_same_days_a_year_ago():
    days = pd.date_range("2024-01-01", "2025-12-31")
    daily = pd.Series(np.where(days.quarter == 1, 20.0, 10.0), days)
    ahead = pd.DataFrame(index=pd.date_range("2026-01-01", "2026-03-31"))
    said = forecast.year_ago_in_words(daily, ahead, "seasonal naive", "EUR")
    assert "knows no time of year" in said
    assert "1.9" in said  # twice, but for a day of the quarter before: 364 days are 52 weeks
    assert forecast.year_ago_in_words(daily, ahead, "SARIMAX with steady level", "EUR") == ""
    assert (
        forecast.year_ago_in_words(daily.tail(400), ahead, "seasonal naive", "EUR") == ""
    )  # the days before not known
    assert forecast.year_ago_in_words(daily, ahead.head(0), "seasonal naive", "EUR") == ""


def test_weeks_ahead_are_whole_and_follow_the_weeks_before(ahead):
    sales, _, paths, _ = ahead
    weeks = forecast.by_week(describe.daily_total(sales), paths)
    assert weeks["week"].is_monotonic_increasing
    assert (weeks["week"].dt.day_of_week == 0).all()
    assert weeks["sales"].notna().sum() == 13
    assert weeks["forecast"].notna().sum() == 19


def test_looking_back_shows_one_origin_with_calibrated_ends(ahead):
    tested = ahead[1]
    method, width, _ = stats.choose_method(tested)
    one = forecast.looking_back(tested)
    raw = tested[(tested["method"] == method) & (tested["weeks"] == 1)].loc[one.index]
    assert one["origin_on"].nunique() == 1
    assert np.allclose(one["high"] - one["forecast"], width * (raw["high"] - raw["forecast"]))


def test_a_history_of_a_few_days_gives_empty_tables_not_errors(lines, products):
    few = order_lines(("o1", "ann", date(2024, 1, 5), "bread", 2.0))
    sales = describe.complete_days(
        describe.sales_by_day(few, products).to_pandas(), date(2024, 1, 8)
    )
    daily = describe.daily_total(sales)
    tested = stats.backtest(daily)
    paths = forecast.simulate(daily, date(2024, 1, 8), tested)
    table = forecast.forecast(paths, sales, tested)
    assert len(tested) == len(paths) == len(table) == 0
    assert set(tables.get("forecast").columns) <= set(table.columns)
    assert len(forecast.looking_back(tested)) == len(stats.score_methods(tested)) == 0
    kept = cohorts.retention(cohorts.cohorts(few).to_pandas(), date(2024, 1, 8))
    assert len(kept) == len(cohorts.retention_curves(kept)) == cohorts.as_triangle(kept).size == 0


def test_as_of_may_fall_in_the_middle_of_a_month(lines):
    assert (
        cohorts.retention(cohorts.cohorts(lines).to_pandas(), datetime(2024, 2, 29).date())[
            "period"
        ].max()
        == 1
    )

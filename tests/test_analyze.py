"""Step 3: frequencies, distributions and cohorts with answers known by hand; the benchmark's three ways on few rows."""

from datetime import date, datetime, timedelta
from functools import cache

import ibis
import numpy as np
import pandas as pd
import pytest
from conftest import functions_of
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


@cache
def cells():
    """The functions that the notebook defines for itself."""
    found = functions_of("03_analyze")
    found["stats"] = stats  # which they find among the names of the notebook
    return found


# --- frequencies and distributions -----------------------------------------------------------


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
    by = sales.groupby("category")[["orders", "revenue"]].sum()
    assert by.loc["bakery"].tolist() == [4, 18.0]
    assert by.loc["dairy"].tolist() == [2, 1.0]  # of three lines one brought milk back
    assert by.loc["not known", "revenue"] == 6.0


def test_a_week_held_in_part_is_left_out():
    whole_weeks = cells()["whole_weeks"]
    daily = pd.Series(1.0, pd.date_range("2024-01-03", "2024-01-24"))  # a Wednesday to a Wednesday
    weeks = whole_weeks(daily)
    assert weeks.index.day.tolist() == [8, 15]
    assert weeks.tolist() == [7.0, 7.0]
    assert whole_weeks(pd.DataFrame({"path": daily}))["path"].tolist() == [7.0, 7.0]


def test_each_part_has_its_mean_inside_its_interval():
    means = cells()["means_with_interval"]
    values = pd.Series(np.arange(40.0))
    found = means(values, np.where(values < 30, "b", "a"))
    assert found["part"].tolist() == ["a", "b"]
    assert found["mean"].tolist() == [34.5, 14.5]
    assert found["low"].lt(found["mean"]).all()
    assert found["high"].gt(found["mean"]).all()
    assert means(values.head(0), values.head(0)).empty


def test_the_rows_that_hold_a_part_are_the_fewest_that_do():
    rows_for = cells()["rows_for"]
    shares = cells()["add_shares"](pd.DataFrame({"revenue": [6.0, 3.0, 1.0]}))
    assert shares["running_share"].round(9).tolist() == [0.6, 0.9, 1.0]
    assert [rows_for(shares, part) for part in (0.5, 0.8, 0.95)] == [1, 2, 3]
    assert rows_for(shares.head(0), 0.8) == 0


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=30), st.floats(0.05, 0.99))
def test_running_shares_end_at_one_and_count_the_rows_that_hold_a_part(revenue, part):
    shares = cells()["add_shares"](pd.DataFrame({"revenue": sorted(revenue, reverse=True)}))
    n = cells()["rows_for"](shares, part)
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


def test_pooled_cohorts_weigh_people_not_cohorts():
    table = pd.DataFrame({"period": [0, 0, 1], "customers": [10, 30, 10], "active": [10, 30, 5]})
    people = cells()["pooled"](table)
    assert people["customers"].tolist() == [40, 10]
    assert people["share"].tolist() == [1.0, 0.5]


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
    orders, products = (ibis.table(tables.get(n).schema, name=n) for n in ("orders", "products"))
    for expression in (describe.sales_by_day(orders, products), cohorts.cohorts(orders)):
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


def test_the_interval_of_a_sum_is_that_of_summed_paths(ahead):
    paths = ahead[2]
    expected = cells()["expected"]
    days, whole = expected(paths), expected(paths.sum().to_frame("together").T)
    assert whole["forecast"].item() == pytest.approx(days["forecast"].sum())
    held = paths.sum().between(whole["low"].item(), whole["high"].item())
    assert held.mean() == pytest.approx(0.9, abs=0.01)
    assert (whole["high"] - whole["low"]).item() < (days["high"] - days["low"]).sum()


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
    assert len(stats.score_methods(tested)) == len(cells()["expected"](paths)) == 0
    kept = cohorts.retention(cohorts.cohorts(few).to_pandas(), date(2024, 1, 8))
    assert len(kept) == len(cells()["pooled"](kept)) == 0


def test_as_of_may_fall_in_the_middle_of_a_month(lines):
    assert (
        cohorts.retention(cohorts.cohorts(lines).to_pandas(), datetime(2024, 2, 29).date())[
            "period"
        ].max()
        == 1
    )

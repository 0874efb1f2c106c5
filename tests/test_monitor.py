"""Step 6: answers known by hand, alarms that seldom ring for nothing and soon for something."""

import re
from datetime import date
from types import SimpleNamespace

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.config import Config
from statsmodels.tsa.seasonal import STL

from helpers import stats, tables
from helpers.monitor import campaign_response, detection, key_figures, target_pace
from helpers.monitor import detection as alerts
from helpers.monitor import target_pace as pacing

AS_OF = date(2024, 6, 30)
PATTERN = np.array([0.9, 0.85, 0.9, 0.95, 1.05, 1.25, 1.1])


class SparkOptions(Config):
    treat_nan_as_null: bool = False


def memtable(name, rows, columns):
    """A canonical table of a few rows; columns that are not given stay empty."""
    schema = tables.get(name).schema
    frame = pd.DataFrame(rows, columns=columns)
    return tables.conform(ibis.memtable(frame, schema={c: schema[c] for c in columns}), name)


def orders(*rows):
    """Order lines (order, customer, day, revenue, discount); one unit each, at noon."""
    lines = [
        (
            o,
            i,
            c,
            pd.Timestamp(d),
            pd.Timestamp(d) + pd.Timedelta(hours=12),
            pd.Timestamp(d).date(),
            "p",
            1.0,
            off,
            r,
        )
        for i, (o, c, d, r, off) in enumerate(rows)
    ]
    names = [
        "order_id",
        "line_no",
        "customer_id",
        "ordered_at",
        "ordered_at_local",
        "ordered_on",
        "product_id",
    ]
    return memtable("orders", lines, [*names, "quantity", "discount", "revenue"])


def campaign_tables():
    campaigns = memtable(
        "campaigns",
        [
            ("A", "first", date(2024, 3, 1), date(2024, 3, 31), "loud"),
            ("B", "second", date(2024, 6, 1), date(2024, 7, 15), None),
        ],
        ["campaign_id", "name", "starts_on", "ends_on", "audience"],
    )
    contacts = [
        ("A", "x", None),
        ("A", "x", None),
        ("A", "y", False),
        ("A", "z", True),
        ("B", "x", False),
    ]
    messages = memtable(
        "messages",
        [(str(i), c, p, h) for i, (c, p, h) in enumerate(contacts)],
        ["message_id", "campaign_id", "customer_id", "is_holdout"],
    )
    used = [("1", "x", "c", "A", date(2024, 3, 4)), ("2", "x", "d", "A", date(2024, 3, 5))]
    redemptions = memtable(
        "redemptions",
        used,
        ["redemption_id", "customer_id", "coupon_id", "campaign_id", "redeemed_on"],
    )
    return campaigns, messages, redemptions


# --- response ---------------------------------------------------------------------------------


def test_response_counts_people_not_contacts_and_no_holdouts():
    people = campaign_response.reached(*campaign_tables())
    bought = orders(("1", "x", "2024-03-04", 9.0, 0.0), ("2", "y", "2024-04-04", 9.0, 0.0))
    counts = campaign_response.count_responses(people, bought).to_pandas().set_index("campaign_id")
    assert counts.loc["A", ["reached", "shopped", "responded"]].tolist() == [2, 1, 1]
    assert counts.loc["B", ["reached", "shopped", "responded"]].tolist() == [1, 0, 0]
    assert counts.loc["B", "audience"] == "not known"


def test_answers_are_coupons_where_they_are_on_file_else_clicks_else_nothing():
    campaigns, messages, redemptions = campaign_tables()
    clicks = messages.mutate(clicked_at=(messages.customer_id == "y").ifelse(ibis.now(), None))
    assert campaign_response.answered_by(clicks, redemptions) == "coupon"
    assert campaign_response.answered_by(clicks, redemptions.limit(0)) == "click"
    assert campaign_response.answered_by(messages, redemptions.limit(0)) == ""
    by_click = campaign_response.reached(
        campaigns, clicks, redemptions.limit(0), "click"
    ).to_pandas()
    assert by_click.set_index(["campaign_id", "customer_id"])["responded"].to_dict() == {
        ("A", "x"): False, ("A", "y"): True, ("B", "x"): False
    }  # fmt: skip
    assert (
        campaign_response.reached(campaigns, messages, redemptions.limit(0), "").count().to_pandas()
        == 0
    )


def test_rates_have_wilson_intervals_and_partly_covered_campaigns_are_marked():
    counts = campaign_response.count_responses(
        campaign_response.reached(*campaign_tables()), orders()
    ).to_pandas()
    rated = campaign_response.add_rates(counts, date(2024, 1, 1), AS_OF).set_index("campaign_id")
    assert rated.loc["A", ["rate", "covered"]].tolist() == [0.5, True]
    assert not rated.loc["B", "covered"]
    assert not campaign_response.add_rates(counts, date(2024, 3, 2), AS_OF)["covered"].any()


def test_a_change_of_a_share_is_told_in_points():
    share = "share of sales at a discount"
    now = pd.DataFrame(dict.fromkeys(key_figures.UNITS, [100.0] * 12 + [90.0] * 12))
    now[share] = [0.22] * 4 + [0.25] * 20
    kpis = key_figures.key_figures(now, AS_OF)
    told = key_figures.readable(kpis, "").set_index("metric")["change"]
    assert told[share] == "-3.0 points"
    assert told["sales"] == "+0.0\xa0%"
    moved = key_figures.changes(kpis, now, kpis.assign(value=0.2, period="x"))
    shares = moved.set_index(["since", "metric"]).xs(share, level="metric")
    assert shares["change"].tolist() == pytest.approx([-0.03, 0.02])
    assert "points" in shares.loc["last period", "sure"]


def test_wilson_intervals_are_those_that_newcombe_published(monkeypatch):
    monkeypatch.setattr(stats, "LEVEL", 0.95)
    found = stats.share_interval(pd.Series([81, 15, 0]), pd.Series([263, 148, 20]))
    assert found["low"].round(4).tolist() == [0.2553, 0.0624, 0.0]
    assert found["high"].round(4).tolist() == [0.3662, 0.1605, 0.1611]


def test_like_is_compared_with_like():
    # The two types are equal within each fifth of spending, and one was sent to those who spend more.
    rng = np.random.default_rng(1)
    lines, contacts, used = [], [], []
    for i in range(1000):
        good = i % 2
        loud = rng.random() < (0.8 if good else 0.2)
        lines.append(
            (f"o{i}", f"c{i}", "2024-02-20", (100.0 if good else 10.0) + rng.random(), 0.0)
        )
        contacts.append((str(i), "A" if loud else "B", f"c{i}", False))
        used += [(str(i), f"c{i}", "k", contacts[-1][1], date(2024, 3, 4))] * (
            rng.random() < (0.4 if good else 0.1)
        )
    campaigns = memtable(
        "campaigns",
        [(c, c, date(2024, 3, 1), date(2024, 3, 31), c) for c in "AB"],
        ["campaign_id", "name", "starts_on", "ends_on", "audience"],
    )
    messages = memtable(
        "messages", contacts, ["message_id", "campaign_id", "customer_id", "is_holdout"]
    )
    redemptions = memtable(
        "redemptions",
        used,
        ["redemption_id", "customer_id", "coupon_id", "campaign_id", "redeemed_on"],
    )
    people, bought = campaign_response.reached(campaigns, messages, redemptions), orders(*lines)
    raw = campaign_response.pool_rates(
        campaign_response.count_responses(people, bought).to_pandas(), "audience"
    ).set_index("audience")
    assert raw.loc["A", "low"] > raw.loc["B", "high"]
    within = campaign_response.with_rate(
        campaign_response.count_by_earlier_spend(people, bought).to_pandas()
    )
    assert within["reached"].sum() == 1000
    wide = within.pivot(index="fifth", columns="audience")
    pure = wide.loc[[0, 1, 3, 4]]  # the middle fifth holds both kinds of customer
    assert (pure["low"]["A"] < pure["high"]["B"]).all()
    assert (pure["low"]["B"] < pure["high"]["A"]).all()


def test_no_campaigns_give_no_rows_and_no_warning():
    nothing = [
        ibis.memtable([], schema=tables.get(t).schema)
        for t in ("campaigns", "messages", "redemptions")
    ]
    people = campaign_response.reached(*nothing)
    counts = campaign_response.count_responses(
        people, orders(("1", "x", "2024-03-04", 9.0, 0.0))
    ).to_pandas()
    rated = campaign_response.add_rates(counts, date(2024, 1, 1), AS_OF)
    assert rated.empty
    assert {"rate", "low", "high", "covered"} <= set(rated.columns)
    assert campaign_response.pool_rates(rated, "audience").empty
    assert campaign_response.count_by_earlier_spend(people, orders()).to_pandas().empty


def test_the_best_type_is_named_with_what_it_does_among_equals():
    by_type = pd.DataFrame(
        {
            "audience": ["A", "B"],
            "rate": [0.2, 0.1],
            "low": [0.15, 0.05],
            "high": [0.25, 0.12],
            "reached": 100,
        }
    )
    wide = pd.DataFrame({0: [0.1, 0.2], 1: [0.3, 0.1]}, index=["A", "B"])
    said = campaign_response.say_types(by_type, wide)
    assert "1 of 2 fifths" in said["evidence"]
    assert "what A sends" in said["action"]
    assert not campaign_response.say_types(by_type.assign(high=0.5), wide)["action"]
    assert not campaign_response.say_types(by_type.head(1), wide)["action"]


# --- key figures ------------------------------------------------------------------------------


def steady(days, amount=10.0, end=AS_OF):
    span = pd.date_range(end=end, periods=days)
    return [(f"o{i}", f"c{i % 5}", d, amount, float(i % 2)) for i, d in enumerate(span)]


def test_key_figures_compare_two_periods_that_share_no_day():
    lines = [
        (o, c, d, 20.0 if i >= 28 else r, off) for i, (o, c, d, r, off) in enumerate(steady(56))
    ]
    figures = key_figures.figures(key_figures.count_periods(orders(*lines), AS_OF).to_pandas())
    kpis = key_figures.key_figures(figures, AS_OF).set_index("metric")
    assert kpis.loc["sales", ["value", "previous", "change"]].tolist() == [560.0, 280.0, 1.0]
    assert kpis.loc["orders", ["value", "previous"]].tolist() == [28, 28]
    assert kpis.loc["active customers", "value"] == 5
    assert kpis.loc["average order value", "value"] == 20
    assert kpis.loc["revenue per active customer", "value"] == 112
    assert kpis.loc["share of sales at a discount", "value"] == 0.5
    assert kpis["period"].iloc[0].startswith("3 June 2024 to 30 June 2024")


def test_key_figures_of_a_short_history_have_no_earlier_period():
    figures = key_figures.figures(key_figures.count_periods(orders(*steady(40)), AS_OF).to_pandas())
    kpis = key_figures.key_figures(figures, AS_OF)
    assert kpis.set_index("metric").loc["sales", "value"] == 280
    assert kpis["previous"].isna().all()
    assert key_figures.changes(kpis, figures, None).empty
    assert (
        "no earlier period"
        in key_figures.say_changes(key_figures.changes(kpis, figures, None), "EUR")["headline"]
    )
    assert key_figures.figures(
        key_figures.count_periods(orders(*steady(20)), AS_OF).to_pandas()
    ).empty


def test_unknown_buyers_count_in_sales_and_not_as_customers():
    lines = [*steady(28), ("new", None, "2024-06-15", 1000.0, 0.0)]
    kpis = key_figures.key_figures(
        key_figures.figures(key_figures.count_periods(orders(*lines), AS_OF).to_pandas()), AS_OF
    )
    value = kpis.set_index("metric")["value"]
    assert value["sales"] == 1280
    assert value["active customers"] == 5
    assert value["revenue per active customer"] == 56


def test_a_client_without_discounts_has_no_share_of_them():
    known = orders(*steady(28))
    lines = known.mutate(discount=ibis.null("float64"))
    value = key_figures.key_figures(
        key_figures.figures(key_figures.count_periods(lines, AS_OF).to_pandas()), AS_OF
    )["value"]
    assert value.isna().tolist() == [False] * 5 + [True]


def noisy_figures(last):
    rng = np.random.default_rng(3)
    sales = np.r_[last, 1000 + rng.normal(0, 20, 60)]
    return pd.DataFrame({m: sales for m in key_figures.figures(EMPTY_PERIODS).columns})


EMPTY_PERIODS = key_figures.count_periods(orders(), AS_OF).to_pandas()


def test_a_change_is_measured_against_the_changes_that_happen_anyway():
    for last, verdict in ((1400.0, "more than usual"), (1010.0, "within the usual")):
        figures = noisy_figures(last)
        moved = key_figures.changes(key_figures.key_figures(figures, AS_OF), figures, None)
        assert moved["sure"].str.startswith(verdict).all()
        inside = moved["change"].between(moved["usual_low"], moved["usual_high"])
        assert (inside == (verdict != "more than usual")).all()


def test_the_last_run_on_the_same_days_blames_the_data():
    figures = noisy_figures(1010.0)
    kpis = key_figures.key_figures(figures, AS_OF)
    before = kpis.assign(
        value=np.where(kpis["metric"] == "sales", kpis["value"] * 1.1, kpis["value"])
    )
    moved = (
        key_figures.changes(kpis, figures, before).query("since == 'last run'").set_index("metric")
    )
    assert "data or the rules changed" in moved.loc["sales", "sure"]
    assert "nothing changed" in moved.loc["orders", "sure"]
    other_days = key_figures.changes(kpis, figures, before.assign(period="other")).query(
        "since == 'last run'"
    )
    assert not other_days["sure"].str.contains("same days").any()


# --- pacing -----------------------------------------------------------------------------------


def quarter(scopes=("all", "a", "other"), target=1000.0):
    return pd.DataFrame(
        {
            "metric": "sales",
            "grain": "quarter",
            "scope": ["all" if s == "all" else "category" for s in scopes],
            "scope_value": scopes,
            "starts_on": date(2024, 4, 1),
            "ends_on": date(2024, 6, 30),
            "target": target,
            "low": 0.0,
            "high": 0.0,
            "chance": 0.0,
        }
    )


def daily_sales(end, a=10.0, b=5.0):
    days = pd.date_range("2024-01-01", end).date
    return pd.concat(
        [
            pd.DataFrame({"ordered_on": days, "category": c, "revenue": v})
            for c, v in (("a", a), ("b", b))
        ]
    )


def test_a_period_that_is_over_has_nothing_open():
    pace = target_pace.pace(
        quarter(target=1360.0), daily_sales("2024-06-30"), pd.Series(dtype=object), AS_OF
    )
    whole = pace.set_index("scope_value").loc["all"]
    assert whole[["elapsed", "actual", "expected", "low", "high", "chance"]].tolist() == [
        1,
        1365,
        1365,
        1365,
        1365,
        1,
    ]
    assert pace["light"].tolist() == ["green", "red", "red"]
    assert pace["actual"].iloc[1:].sum() == whole["actual"]
    assert "period just ended" in target_pace.say_pace(pace, "EUR")["headline"]
    assert (
        "1,360\xa0EUR above the target of 0"
        in target_pace.say_pace(pace.assign(target=0.0), "EUR")["headline"]
    )


def test_a_period_under_way_adds_the_forecast_for_the_days_left():
    sold, ahead = daily_sales("2024-05-31"), daily_sales("2024-07-31")
    forecast = ahead[ahead["ordered_on"] > date(2024, 5, 31)].rename(
        columns={"revenue": "forecast"}
    )
    tested = pd.DataFrame(
        columns=["method", "weeks", "forecast", "low", "high", "actual", "origin_on"]
    )
    outlook = target_pace.rest(quarter(), sold, forecast, tested)
    pace = target_pace.pace(quarter(), sold, outlook, date(2024, 5, 31)).set_index("scope_value")
    assert pace["expected"].to_dict() == pytest.approx(
        {"all": 1365, "a": 910, "other": 455}, abs=0.01
    )
    assert pace.loc["all", "elapsed"] == pytest.approx(61 / 91)
    assert pace.loc["all", "actual"] == 61 * 15
    assert pace["light"].to_dict() == {"all": "green", "a": "red", "other": "red"}
    assert "heading for" in target_pace.say_pace(pace.reset_index(), "EUR")["headline"]


def test_the_chance_is_the_share_of_simulated_ends_above_the_target():
    outlook = pd.Series({"all": np.arange(100.0)})
    pace = target_pace.pace(
        quarter(("all",), target=61 * 15 + 40.0),
        daily_sales("2024-05-31"),
        outlook,
        date(2024, 5, 31),
    )
    assert pace["chance"].tolist() == [0.6]
    assert pace["light"].tolist() == ["green"]
    assert pacing.light(0.59) == "amber"


def test_no_targets_give_no_pace():
    empty = quarter(()).astype({"starts_on": object})
    assert target_pace.rest(
        empty, daily_sales("2024-05-31"), daily_sales("2024-05-31").assign(forecast=1.0), empty
    ).empty
    assert target_pace.pace(empty, daily_sales("2024-05-31"), pd.Series(dtype=object), AS_OF).empty


# --- alerts -----------------------------------------------------------------------------------


def simulated(seed, days=456, noise=0.08, shift=0.0, at=0):
    """Daily sales with a weekday pattern; from day `at` on lifted by the share `shift`."""
    rng = np.random.default_rng(seed)
    sales = 10_000 * PATTERN[np.arange(days) % 7] * (1 + rng.normal(0, noise, days))
    sales[at:] *= 1 + shift
    return pd.Series(sales, pd.date_range("2023-01-02", periods=days))


def test_the_alarm_seldom_rings_for_nothing_and_less_than_stl():
    ours, stl = 0, 0
    for seed in range(30):
        sales = simulated(seed)  # after eight weeks of learning, 400 days are watched
        watched = detection.watch(sales)
        ours += int(watched["unusual"].sum() + watched["shift_since"].notna().sum())
        rest = STL(sales, period=7).fit().resid
        spread = 1.4826 * (rest - rest.median()).abs().median()
        stl += int(((rest - rest.median()).abs() > 3 * spread).sum())
    assert ours / 30 < 1  # false alarms in 400 days
    assert stl > 3 * ours


@pytest.mark.parametrize(("deviations", "within"), [(1.5, 14), (2.0, 13), (-1.5, 14)])
def test_a_lasting_shift_is_found_soon_and_dated(deviations, within):
    delays, errors = [], []
    for seed in range(20):
        watched = detection.watch(simulated(seed, shift=deviations * 0.08, at=300))
        found = watched["shift_since"].dropna().loc["2023-10-29":]
        delays += [(day - pd.Timestamp("2023-10-29")).days for day in found.index[:1]]
        errors += [abs((since - pd.Timestamp("2023-10-29")).days) for since in found.iloc[:1]]
    assert len(delays) >= 19  # of twenty
    assert np.median(delays) <= within
    assert np.median(errors) <= 3


def test_after_a_shift_the_baseline_moves_and_the_alarm_stops():
    watched = detection.watch(simulated(4, shift=0.3, at=300))
    assert watched["shift_since"].notna().sum() == 1
    assert watched["size"].iloc[-60:].mean() == pytest.approx(0, abs=0.5)


def test_one_wild_day_is_a_day_and_no_shift():
    sales = simulated(2)
    sales.iloc[400] *= 2
    watched = detection.watch(sales)
    assert watched.index[watched["unusual"]].tolist() == [sales.index[400]]
    assert watched["shift_since"].isna().all()


def test_short_histories_closed_weekdays_and_constant_sales_raise_no_alarm():
    sunday_off = simulated(3).where(lambda s: s.index.day_of_week != 6, 0.0)
    for sales in (simulated(1, days=60), simulated(1, days=3), sunday_off, simulated(1, noise=0.0)):
        watched = detection.watch(sales)
        assert not watched["unusual"].any()
        assert watched["shift_since"].isna().all()


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 1e6), st.integers(0, 5))
def test_the_currency_does_not_matter(scale, seed):
    sales = simulated(seed, days=150)
    pd.testing.assert_series_equal(
        detection.watch(sales)["size"], detection.watch(sales * scale)["size"], rtol=1e-6
    )


def test_days_in_random_order_hold_no_shift():
    assert detection.false_alarms(simulated(5, shift=0.15, at=300), draws=5) < 2


def parts_of(sales, share):
    """Sales by category and store: category x holds `share` of a day."""
    frame = sales.rename("sales").rename_axis("ordered_on").reset_index()
    rows = [frame.assign(kind="category", part="x", sales=frame["sales"] * share)]
    rows += [frame.assign(kind="category", part="y", sales=frame["sales"] * (1 - share))]
    rows += [
        frame.assign(kind=k, part=p, sales=frame["sales"] / 2)
        for k in ("store", "hour")
        for p in ("1", "2")
    ]
    return pd.concat(rows, ignore_index=True)


def test_the_first_likely_cause_is_the_part_that_moved_beyond_the_others():
    sales = simulated(6)
    day = sales.index[400]
    share = np.full(len(sales), 0.2)
    sales.iloc[400] *= 2
    share[400] = 0.6
    found = detection.find_alerts({"sales": detection.watch(sales)}, parts_of(sales, share), "")
    assert found[["happened_on", "kind", "since"]].to_numpy().tolist() == [[day, "day", day]]
    assert found["cause"].iloc[0].startswith("category x stands out: +")
    alike = detection.find_alerts({"sales": detection.watch(sales)}, parts_of(sales, 0.2), "")
    assert alike["cause"].iloc[0] == "all categories, stores and hours moved alike"
    sales.iloc[400] *= 10
    found = detection.find_alerts({"sales": detection.watch(sales)}, parts_of(sales, share), "")
    assert re.fullmatch("category x stands out: [0-9]{2} times its usual", found["cause"].iloc[0])


def test_holidays_and_missing_days_are_named_as_causes():
    sales = simulated(7, days=400)
    christmas = pd.Timestamp("2023-12-25")
    sales[christmas] = 0.0
    found = detection.find_alerts({"sales": detection.watch(sales)}, parts_of(sales, 0.2), "US")
    assert found.loc[found["happened_on"] == christmas, "cause"].tolist() == [
        f"near Christmas Day; {alerts.NO_ORDER}"
    ]
    assert "Christmas Day" in alerts.holidays_near(christmas, christmas, "DE")
    assert alerts.holidays_near(christmas, christmas, "") == []


def test_no_alarms_are_an_empty_table_with_its_columns():
    found = detection.find_alerts(
        {"sales": detection.watch(simulated(1, days=30))}, parts_of(simulated(1), 0.2), "US"
    )
    assert found.empty
    assert list(found.columns) == alerts.COLUMNS
    assert "no unusual day and no lasting shift" in detection.say_alerts(found, "sales")["headline"]


def test_daily_figures_fill_days_without_orders_and_split_into_parts():
    lines = orders(
        ("1", "x", "2024-06-27", 5.0, 0.0),
        ("1", "x", "2024-06-27", 7.0, 0.0),
        ("2", "y", "2024-06-29", 1.0, 0.0),
    )
    daily = detection.every_day(detection.daily_totals(lines).to_pandas(), AS_OF)
    assert daily["sales"].tolist() == [12.0, 0.0, 1.0, 0.0]
    assert daily["orders"].tolist() == [1, 0, 1, 0]
    products = memtable("products", [("p", "bread")], ["product_id", "category"])
    parts = detection.daily_parts(lines, products).to_pandas()
    assert parts.groupby("kind")["sales"].sum().to_dict() == {
        "category": 13.0,
        "hour": 13.0,
        "store": 13.0,
    }
    assert set(parts["part"]) == {"bread", "12:00", "not known"}


def test_expressions_compile_for_other_engines(monkeypatch):
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    t = {name: ibis.table(tables.get(name).schema, name=name) for name in tables.CANONICAL}
    people = campaign_response.reached(t["campaigns"], t["messages"], t["redemptions"])
    expressions = SimpleNamespace(
        periods=key_figures.count_periods(t["orders"], AS_OF),
        daily=detection.daily_totals(t["orders"]),
        parts=detection.daily_parts(t["orders"], t["products"]),
        responses=campaign_response.count_responses(people, t["orders"]),
        spend=campaign_response.count_by_earlier_spend(people, t["orders"]),
    )
    for expression in vars(expressions).values():
        for dialect in ("pyspark", "bigquery", "snowflake"):
            assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))

"""Step 4: exhaustive and exclusive groups, answers known by hand, the benchmark's three ways on few rows."""

from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from benchmarks import bench_rfm
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import segment
from helpers.segment.rfm import RULES

AS_OF = date(2024, 6, 30)
NOBODY = pd.DataFrame({"customer_id": pd.Series(dtype="str"), "first_seen_at": pd.Series(dtype="datetime64[s]")})


def orders(*lines):
    """Order lines (customer, days before AS_OF, revenue, quantity); one order a line."""
    frame = pd.DataFrame(lines, columns=["customer_id", "ago", "revenue", "quantity"])
    frame["ordered_on"] = pd.to_datetime([AS_OF - timedelta(days=n) for n in frame.pop("ago")])
    frame["order_id"] = [f"o{i}" for i in range(len(frame))]
    return ibis.memtable(
        frame,
        schema={
            "customer_id": "string",
            "revenue": "float64",
            "quantity": "float64",
            "ordered_on": "timestamp",
            "order_id": "string",
        },
    ).cast({"ordered_on": "date"})


def people_of(*rows):
    """Customers (recency, frequency, monetary), as `everyone` gives them."""
    frame = pd.DataFrame(rows, columns=["recency", "frequency", "monetary"]).astype(
        {"recency": "Int64", "frequency": int, "monetary": float}
    )
    return frame.assign(
        customer_id=[f"c{i}" for i in frame.index],
        aov=frame["monetary"] / frame["frequency"].where(frame["frequency"] > 0),
    )


def test_rfm_counts_whole_days_orders_and_money_in_the_window():
    table = orders(
        ("a", 0, 10.0, 1),
        ("a", 29, 5.0, 2),
        ("a", 30, 7.0, 1),
        ("b", 40, 9.0, 1),
        (None, 1, 99.0, 1),
        ("a", -1, 50.0, 1),
    )
    rows = segment.rfm(table, AS_OF, 30).to_pandas().set_index("customer_id").sort_index()
    assert rows.index.tolist() == ["a", "b"]
    assert rows.loc["a", ["recency", "frequency", "monetary", "aov", "order_days"]].tolist() == [0, 2, 15.0, 7.5, 3]
    assert rows.loc["a", "usual_gap"] == 15
    assert rows.loc["b", ["recency", "frequency", "monetary"]].tolist() == [40, 0, 0.0]
    assert rows.loc["b", ["aov", "usual_gap"]].isna().all()


def test_a_return_lowers_the_money_and_is_no_order():
    rows = segment.rfm(orders(("a", 10, 20.0, 1), ("a", 2, -20.0, -1), ("b", 3, -5.0, -1)), AS_OF, 30).to_pandas()
    rows = rows.set_index("customer_id").sort_index()
    assert rows.loc["a", ["recency", "frequency", "monetary"]].tolist() == [10, 1, 0.0]
    assert rows.loc["b", ["frequency", "monetary"]].tolist() == [0, -5.0]
    assert pd.isna(rows.loc["b", "recency"])


def test_everyone_keeps_who_never_ordered_and_nobody_from_the_future():
    rows = segment.rfm(orders(("a", 3, 10.0, 1)), AS_OF, 30).to_pandas()
    seen = pd.to_datetime(["2023-01-05 10:00", "2024-06-01 00:00", None, "2024-07-02 00:00"])
    listed = pd.DataFrame({"customer_id": ["a", "b", "c", "d"], "first_seen_at": seen})
    people = segment.everyone(rows, listed, AS_OF).set_index("customer_id")
    assert people.index.tolist() == ["a", "b", "c"]
    assert people.loc["a", "first_on"] == pd.Timestamp("2023-01-05")
    assert people["frequency"].tolist() == [1, 0, 0]
    assert people["recency"].isna().tolist() == [False, True, True]


def test_eight_types_have_the_names_of_the_field():
    people = people_of(*[(r, f, m) for m in (90, 10) for f in (9, 1) for r in (1, 60)])
    typed = segment.add_type(people, pd.Series({"recency": 30, "frequency": 5, "monetary": 50}))
    assert typed["segment"].tolist() == [
        "important value",
        "important keep",
        "important develop",
        "important win back",
        "general value",
        "general keep",
        "general develop",
        "general win back",
    ]
    assert typed["r_high"].tolist() == [True, False] * 4  # high recency: bought lately
    assert segment.types()["action"].str.len().gt(0).all()


@pytest.mark.parametrize(("cut", "lines"), [("median", (20, 3, 30)), ("mean", (40, 4, 60)), ("0.75", (15, 4.5, 65))])
def test_cut_lines_are_those_of_the_customers_with_orders(cut, lines):
    people = people_of((10, 1, 20), (20, 3, 30), (90, 8, 130), (400, 0, 0), (None, 0, 0))
    found = segment.cut_lines(people, cut)
    if cut == "0.75":
        assert found.tolist() == [15, 5.5, 80]
    else:
        assert found.tolist() == list(lines)


customer = st.tuples(
    st.none() | st.integers(0, 5) | st.integers(0, 4000),
    st.integers(0, 3) | st.integers(0, 900),
    st.sampled_from([0.0, 5.0, 5.0, -3.0]) | st.floats(-1e4, 1e6, allow_nan=False),
)


@settings(max_examples=150, deadline=None, database=None)
@given(st.lists(customer, max_size=25), st.sampled_from(["median", "mean", "0.8", "0.1"]))
def test_every_score_falls_in_exactly_one_group(scores, cut):
    people = people_of(*scores)
    typed = segment.add_abc(segment.add_value_type(segment.add_type(people, segment.cut_lines(people, cut))))
    names = segment.types()["segment"]
    assert len(typed) == len(scores)
    assert len(set(names)) == 8
    assert typed["segment"].isin(names).all()
    # Exclusive: the three marks name the type, and each type comes from one set of marks only.
    marks = typed[["r_high", "f_high", "m_high"]].agg(tuple, axis=1)
    assert pd.DataFrame({"t": typed["segment"], "m": marks}).drop_duplicates()["t"].is_unique
    assert (typed["segment"].str.startswith("important") == typed["m_high"]).all()
    assert typed["value_type"].isin([t["name"] for t in RULES["value_types"].values()]).all()
    assert typed["abc"].isin(["A", "B", "C"]).all()
    ranked = typed[typed["monetary"] > 0]
    assert (ranked["abc"] == "A").sum() <= 0.15 * len(ranked) + 1e-6
    if set(typed["abc"]) >= {"A", "C"}:
        assert typed.loc[typed["abc"] == "A", "monetary"].min() > typed.loc[typed["abc"] == "C", "monetary"].max()


history = st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(0, 12), st.booleans())


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(history, max_size=20), st.floats(0.01, 0.5))
def test_every_history_falls_in_exactly_one_stage(histories, unusual):
    rows = []
    for first, last, days, ordered in histories:
        first, last = max(first, last), min(first, last)
        days = (max(days, 2) if first > last else 1) if ordered else 0
        rows.append(
            {
                "first_on": pd.Timestamp(AS_OF) - pd.Timedelta(days=first),
                "order_days": days,
                "last_on": pd.Timestamp(AS_OF) - pd.Timedelta(days=last) if days else pd.NaT,
                "usual_gap": (first - last) / (days - 1) if days > 1 else np.nan,
                "recency": last if days else None,
            }
        )
    people = pd.DataFrame(rows, columns=["first_on", "order_days", "last_on", "usual_gap", "recency"]).astype(
        {"first_on": "datetime64[s]", "last_on": "datetime64[s]", "usual_gap": float, "recency": "Int64"}
    )
    ratios = pd.DataFrame({"times_usual_gap": [0.5, 1.0, 3.0, 9.0], "gaps": [40, 40, 15, 5]})
    staged = segment.add_stage(people, segment.rhythm(people, ratios, unusual), AS_OF)
    assert staged["stage"].isin(list(RULES["stages"])).all()
    assert staged["standing"].isin(["new", "passing", "long-term"]).all()
    silence = (pd.Timestamp(AS_OF) - people["last_on"].fillna(people["first_on"])).dt.days
    assert ((staged["stage"] == "lost") == (silence > staged["lost_after"])).all()


def test_value_matrix_splits_at_the_means_as_marcus_does():
    people = people_of((1, 10, 500), (1, 10, 100), (1, 2, 100), (1, 2, 20), (None, 0, 0))
    assert segment.value_lines(people).tolist() == [6, 30]
    assert segment.add_value_type(people)["value_type"].tolist() == [
        "best",
        "frequent",
        "spender",
        "uncertain",
        "uncertain",
    ]


def test_abc_and_pareto_of_twenty_customers():
    people = people_of(*[(1, 1, m) for m in [500, 300, 100] + [10] * 10 + [0] * 7])
    classes = segment.add_abc(people, 0.10, 0.15)["abc"]
    assert classes.tolist() == ["A", "B", "B"] + ["C"] * 17  # 10 % and 15 % of the 13 with sales
    curve = segment.pareto(people).set_index("percent_of_customers")["share_of_sales"]
    assert curve[0] == 0
    assert curve[100] == pytest.approx(1)
    assert curve.is_monotonic_increasing
    assert curve[50] == pytest.approx((900 + 10 * 3.5) / 1000)  # six and a half of thirteen


def weekly(name, weeks, until):
    return [(name, until + 7 * k, 10.0, 1) for k in range(weeks)]


def test_gap_ratios_measure_in_the_customers_own_gap():
    table = orders(*weekly("a", 9, 0), *[("b", 30 * k, 10.0, 1) for k in range(6)], ("b", 0, 3.0, 1), ("c", 5, 1.0, 1))
    ratios = segment.gap_ratios(table, AS_OF).to_pandas()
    assert ratios.to_numpy().tolist() == [[1.0, 13]]  # 8 gaps of a week and 5 of a month: each its usual one
    odd = orders(
        ("a", 0, 1.0, 1), ("a", 10, 1.0, 1), ("a", 12, 1.0, 1), ("a", 14, 1.0, 1), ("a", 16, 1.0, 1), ("a", 20, 1.0, 1)
    )
    assert segment.gap_ratios(odd, AS_OF).to_pandas().to_numpy().tolist() == [[0.5, 3], [1.0, 1], [2.5, 1]]


def test_rhythm_takes_the_clients_own_past_and_else_chance():
    people = pd.DataFrame({"usual_gap": [7.0, 30.0, np.nan, 9.0]})
    ratios = pd.DataFrame({"times_usual_gap": [1.0, 2.0, 4.0, 8.0], "gaps": [900, 60, 36, 4]})
    found = segment.rhythm(people, ratios, 0.05)
    assert found["usual_gap"] == 9
    assert found["dormant"] == 2.0  # 4 % of gaps were longer than twice the usual
    assert found["lost"] == 4.0  # 0.4 % were longer than four times the usual
    few = segment.rhythm(people, ratios.assign(gaps=[9, 1, 0, 0]), 0.05)
    assert few["dormant"] == pytest.approx(2.996, abs=1e-3)  # purchases at random: -ln(0.05)


def test_stages_follow_the_customers_own_rhythm():
    table = orders(
        *weekly("weekly, there", 20, 3),
        *weekly("weekly, silent", 20, 30),
        *weekly("weekly, gone", 20, 80),
        *[("monthly, there", 30 + 30 * k, 10.0, 1) for k in range(8)],
        ("first order", 4, 10.0, 1),
        ("came once", 200, 10.0, 1),
    )
    people = segment.everyone(segment.rfm(table, AS_OF, 90).to_pandas(), NOBODY, AS_OF)
    people = segment.add_stage(people, pd.Series({"usual_gap": 7.0, "dormant": 3.0, "lost": 6.0}), AS_OF)
    assert people.set_index("customer_id")["stage"].to_dict() == {
        "weekly, there": "active",
        "weekly, silent": "dormant",
        "weekly, gone": "lost",
        "monthly, there": "active",
        "first order": "new",
        "came once": "lost",
    }
    standing = people.set_index("customer_id")["standing"]
    assert standing[["first order", "came once", "weekly, gone"]].tolist() == ["new", "passing", "long-term"]


def test_nobody_is_new_where_the_data_have_just_begun():
    rows = segment.rfm(orders(("a", 4, 1.0, 1), ("b", 5, 1.0, 1)), AS_OF, 3).to_pandas()
    people = segment.everyone(rows, NOBODY, AS_OF)
    staged = segment.add_stage(people, pd.Series({"usual_gap": 7.0, "dormant": 3.0, "lost": 6.0}), AS_OF)
    assert staged["stage"].tolist() == ["active", "active"]


def moved():
    then = people_of((1, 3, 100), (1, 3, 100), (1, 1, 10), (1, 1, 10), (90, 0, 0)).assign(
        segment=["important value", "important value", "general develop", "general develop", "general win back"]
    )
    now = people_of((1, 3, 110), (1, 1, 20), (1, 3, 90), (90, 0, 0), (2, 1, 5), (1, 1, 7)).assign(
        segment=[
            "important value",
            "general develop",
            "important value",
            "general win back",
            "general develop",
            "general develop",
        ]
    )
    return segment.moves(then, now)


def test_moves_count_every_customer_once_and_all_the_money():
    found = moved()
    assert found["customers"].sum() == 6
    assert found["revenue_before"].sum() == 220
    assert found["revenue_now"].sum() == 232
    pairs = set(zip(found["from_segment"], found["to_segment"], strict=True))
    assert ("general develop", "no order in the window") in pairs
    assert ("no order in the window", "general develop") in pairs
    assert ("not yet a customer", "general develop") in pairs
    assert segment.migration(found).sum(axis=1).tolist() == pytest.approx([1] * 4)


def test_the_bridge_adds_up_to_the_change_in_sales():
    bridge = segment.bridge(moved()).set_index("move")["change"]
    assert bridge.to_dict() == {
        "important in both": 10,
        "rose to important": 80,
        "fell to general": -80,
        "new or back": 12,
        "ordered no more": -10,
    }


def test_profile_weighs_the_average_order_by_orders():
    people = people_of((1, 9, 90), (1, 1, 110), (1, 0, 0)).assign(segment=["x", "x", "y"])
    rows = segment.profile(people).set_index("segment")
    assert rows.loc["x", "average_order"] == 20
    assert rows["share_of_customers"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert pd.isna(rows.loc["y", "average_order"])


def silent_sign(past):
    """What is known of the sign "silent" where two of ten important customers show it today."""
    now = people_of(*[(1, 5, 100)] * 10).assign(m_high=True, r_high=True, stage=["dormant", "lost"] + ["active"] * 8)
    return segment.warning_signs(past, now).query("sign == 'silent beyond their own rhythm'")


def past_of(after_silent, days=4, people=60, seed=1):
    n = days * people
    silent = np.tile(np.arange(people) < people // 3, days)
    noise = np.random.default_rng(seed).normal(0, 5, n)
    return pd.DataFrame(
        {
            "on": np.repeat(pd.date_range("2024-01-01", periods=days, freq="28D").date, people),
            "customer_id": np.tile([f"c{i}" for i in range(people)], days),
            "before": 100.0,
            "since": np.where(silent, after_silent, 90.0) + noise,
            "late by the cut line": ~silent,
            "silent beyond their own rhythm": silent,
        }
    )


def test_a_sign_that_foretells_is_found_and_valued():
    found = segment.best_sign(silent_sign(past_of(60.0)), 182).iloc[0]
    assert found["extra"] == pytest.approx(-0.30, abs=0.02)
    assert found["low"] < found["extra"] < found["high"] < 0
    assert found[["days", "days_told", "customers_now", "sales_now"]].tolist() == [4, 4, 2, 200]
    assert found["stake"] == pytest.approx(-found["extra"] * 200 * 365 / 182)
    assert found["stake_low"] < found["stake"] < found["stake_high"]


def test_a_sign_that_foretells_nothing_advises_nothing():
    assert segment.best_sign(silent_sign(past_of(90.0)), 182).empty
    assert segment.best_sign(silent_sign(past_of(60.0).head(0)), 182).empty


def test_the_interval_of_a_sign_covers_the_truth_as_often_as_it_says():
    hits = [
        f["low"] <= -0.30 <= f["high"] for seed in range(60) for f in [silent_sign(past_of(60.0, seed=seed)).iloc[0]]
    ]
    assert 48 <= sum(hits) <= 59  # nine in ten, of sixty


def test_the_back_test_looks_at_no_order_after_its_day():
    table = orders(*[(f"c{c}", 7 * k + c % 5, 10.0 + c, 1) for c in range(12) for k in range(26)])
    lines = pd.Series({"recency": 4, "frequency": 1, "monetary": 50.0})
    rules = segment.Rules(56, lines, 0.05)
    whole = segment.past_signs(table, NOBODY, AS_OF, rules)
    assert whole["on"].max() == AS_OF - timedelta(days=28)
    day = min(whole["on"])
    known = table.filter(table.ordered_on <= day)
    assert segment.segments_on(known, NOBODY, day, rules).equals(segment.segments_on(table, NOBODY, day, rules))
    assert (whole["since"] > 0).all()


def test_no_orders_give_well_formed_empty_frames():
    people = segment.everyone(segment.rfm(orders(), AS_OF, 90).to_pandas(), NOBODY, AS_OF)
    lines = segment.cut_lines(people, "median")
    rules = segment.Rules(90, lines, 0.05)
    people = segment.add_abc(segment.add_value_type(segment.segments_on(orders(), NOBODY, AS_OF, rules)))
    assert {"segment", "value_type", "abc", "stage", "standing", "dormant_after"} <= set(people.columns)
    assert segment.bridge(segment.moves(people, people)).empty
    assert segment.pareto(people).empty
    assert segment.profile(people).empty


def test_ibis_pandas_and_sql_agree_on_generated_orders(tmp_path):
    path = tmp_path / "orders.parquet"
    bench_rfm.generate(path, 20_000)
    by_ibis, by_sql, by_pandas = (way(path) for way in bench_rfm.WAYS.values())
    assert len(by_ibis) > 900
    bench_rfm.assert_equal(by_ibis, by_sql)
    bench_rfm.assert_equal(by_ibis, by_pandas)

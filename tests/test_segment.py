"""Step 4: exhaustive and exclusive groups, answers known by hand, the benchmark's three ways on few rows."""

from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from conftest import functions_of, many_seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.client import Tier
from helpers.segment import backtest, member_tiers, moves, rfm, stage, stakes, value
from helpers.segment.rfm import RULES

AS_OF = date(2024, 6, 30)
NOBODY = pd.DataFrame(
    {"customer_id": pd.Series(dtype="str"), "first_seen_at": pd.Series(dtype="datetime64[s]")}
)


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
    rows = rfm.rfm(table, AS_OF, 30).to_pandas().set_index("customer_id").sort_index()
    assert rows.index.tolist() == ["a", "b"]
    assert rows.loc["a", ["recency", "frequency", "monetary", "aov", "order_days"]].tolist() == [
        0,
        2,
        15.0,
        7.5,
        3,
    ]
    assert rows.loc["a", "usual_gap"] == 15
    assert rows.loc["b", ["recency", "frequency", "monetary"]].tolist() == [40, 0, 0.0]
    assert rows.loc["b", ["aov", "usual_gap"]].isna().all()


def test_a_return_lowers_the_money_and_is_no_order():
    rows = rfm.rfm(
        orders(("a", 10, 20.0, 1), ("a", 2, -20.0, -1), ("b", 3, -5.0, -1)), AS_OF, 30
    ).to_pandas()
    rows = rows.set_index("customer_id").sort_index()
    assert rows.loc["a", ["recency", "frequency", "monetary"]].tolist() == [10, 1, 0.0]
    assert rows.loc["b", ["frequency", "monetary"]].tolist() == [0, -5.0]
    assert pd.isna(rows.loc["b", "recency"])


def test_everyone_keeps_who_never_ordered_and_nobody_from_the_future():
    rows = rfm.rfm(orders(("a", 3, 10.0, 1)), AS_OF, 30).to_pandas()
    seen = pd.to_datetime(["2023-01-05 10:00", "2024-06-01 00:00", None, "2024-07-02 00:00"])
    listed = pd.DataFrame({"customer_id": ["a", "b", "c", "d"], "first_seen_at": seen})
    people = rfm.everyone(rows, listed, AS_OF).set_index("customer_id")
    assert people.index.tolist() == ["a", "b", "c"]
    assert people.loc["a", "first_on"] == pd.Timestamp("2023-01-05")
    assert people["frequency"].tolist() == [1, 0, 0]
    assert people["recency"].isna().tolist() == [False, True, True]


def test_eight_types_have_the_names_of_the_field():
    people = people_of(*[(r, f, m) for m in (90, 10) for f in (9, 1) for r in (1, 60)])
    typed = rfm.add_type(people, pd.Series({"recency": 30, "frequency": 5, "monetary": 50}))
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
    assert rfm.types()["action"].str.len().gt(0).all()


@pytest.mark.parametrize(
    ("cut", "lines"), [("median", (20, 3, 30)), ("mean", (40, 4, 60)), ("0.75", (15, 4.5, 65))]
)
def test_cut_lines_are_those_of_the_customers_with_orders(cut, lines):
    people = people_of((10, 1, 20), (20, 3, 30), (90, 8, 130), (400, 0, 0), (None, 0, 0))
    found = rfm.cut_lines(people, cut)
    if cut == "0.75":
        assert found.tolist() == [15, 5, 80]  # more than 5.5 orders is more than 5
    else:
        assert found.tolist() == list(lines)


def test_lines_of_the_settings_beat_the_quantile():
    people = people_of((10, 1, 20), (20, 3, 30), (90, 8, 130))
    lines = rfm.cut_lines(people, "median", {"frequency": 7.0, "recency": 12.0})
    assert lines.to_dict() == {"recency": 12, "frequency": 7, "monetary": 30}
    typed = rfm.add_type(people, lines)
    assert typed["segment"].tolist() == ["general develop", "general win back", "important keep"]


customer = st.tuples(
    st.none() | st.integers(0, 5) | st.integers(0, 4000),
    st.integers(0, 3) | st.integers(0, 900),
    st.sampled_from([0.0, 5.0, 5.0, -3.0]) | st.floats(-1e4, 1e6, allow_nan=False),
)


given_lines = st.dictionaries(
    st.sampled_from(["recency", "frequency", "monetary"]), st.floats(0, 500), max_size=3
)
thresholds = st.none() | st.lists(
    st.sampled_from([0.0, 5.0, 5.01, 100.0, 1e4]), min_size=1, unique=True
).map(sorted)


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.lists(customer, max_size=25),
    st.sampled_from(["median", "mean", "0.8", "0.1"]),
    given_lines,
    thresholds,
)
def test_every_score_falls_in_exactly_one_group(scores, cut, lines, begins):
    people = people_of(*scores).assign(
        yearly_sales=lambda p: p["monetary"].mask(p["frequency"] == 0)
    )
    typed = rfm.add_type(people, rfm.cut_lines(people, cut, lines))
    typed = value.add_abc(value.add_value_type(typed))
    tiers = [Tier(name=f"t{i}", sales=b) for i, b in enumerate(begins or [])]
    tiers = tiers or member_tiers.propose_tiers(people["yearly_sales"])
    typed = member_tiers.add_tier(typed, tiers)
    names = rfm.types()["segment"]
    assert len(typed) == len(scores)
    assert len(set(names)) == 8
    assert typed["segment"].isin(names).all()
    # Exclusive: the three marks name the type, and each type comes from one set of marks only.
    marks = typed[["r_high", "f_high", "m_high"]].agg(tuple, axis=1)
    assert pd.DataFrame({"t": typed["segment"], "m": marks}).drop_duplicates()["t"].is_unique
    assert (typed["segment"].str.startswith("important") == typed["m_high"]).all()
    assert typed["value_type"].isin([t["name"] for t in RULES["value_types"].values()]).all()
    assert typed["abc"].isin(["A", "B", "C"]).all()
    # Each tier holds those between its threshold and the next, its own threshold included.
    bounds = [
        (t.name, t.sales, u.sales)
        for t, u in zip(tiers, [*tiers[1:], Tier(name="above", sales=1e300)], strict=True)
    ]
    sales = typed["yearly_sales"].clip(lower=0)
    assert not typed["yearly_sales"].isna().any()
    for name, low, high in bounds:
        assert ((typed["tier"] == name) == ((sales >= low) & (sales < high))).all()
    assert ((typed["tier"] == "no tier") == (sales < tiers[0].sales)).all()
    ranked = typed[typed["monetary"] > 0]
    assert (ranked["abc"] == "A").sum() <= 0.15 * len(ranked) + 1e-6
    if set(typed["abc"]) >= {"A", "C"}:
        assert (
            typed.loc[typed["abc"] == "A", "monetary"].min()
            > typed.loc[typed["abc"] == "C", "monetary"].max()
        )


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
    people = pd.DataFrame(
        rows, columns=["first_on", "order_days", "last_on", "usual_gap", "recency"]
    ).astype(
        {
            "first_on": "datetime64[s]",
            "last_on": "datetime64[s]",
            "usual_gap": float,
            "recency": "Int64",
        }
    )
    ratios = pd.DataFrame({"times_usual_gap": [0.5, 1.0, 3.0, 9.0], "gaps": [40, 40, 15, 5]})
    staged = stage.add_stage(people, stage.rhythm(people, ratios, unusual), AS_OF)
    assert staged["stage"].isin(list(RULES["stages"])).all()
    assert staged["standing"].isin(["new", "passing", "long-term"]).all()
    silence = (pd.Timestamp(AS_OF) - people["last_on"].fillna(people["first_on"])).dt.days
    never = people["order_days"] == 0
    assert ((staged["stage"] == "no order yet") == never).all()
    assert ((staged["stage"] == "lost") == (~never & (silence > staged["lost_after"]))).all()


@settings(max_examples=40, deadline=None, database=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from([0.0, 10.0, 10.0, 25.5])),
        min_size=1,
        max_size=12,
    )
)
def test_customers_with_one_order_each_fall_in_exactly_one_group_of_every_kind(firsts):
    ago, money = (np.array(x) for x in zip(*firsts, strict=True))
    people = people_of(*[(a, int(a < 182), m * (a < 182)) for a, m in firsts]).assign(
        first_on=pd.Timestamp(AS_OF) - pd.to_timedelta(ago, "D"),
        order_days=1,
        usual_gap=np.nan,
        yearly_sales=money,
    )
    people["last_on"] = people["first_on"]
    people = rfm.add_type(people, rfm.cut_lines(people, "median"))
    none = pd.DataFrame({"times_usual_gap": [], "gaps": []})
    people = stage.add_stage(people, stage.rhythm(people, none, 0.05), AS_OF)
    people = member_tiers.add_tier(people, member_tiers.propose_tiers(people["yearly_sales"]))
    people = value.add_abc(value.add_value_type(people))
    assert len(people) == len(firsts)
    names = {
        "segment": set(rfm.types()["segment"]),
        "stage": set(RULES["stages"]),
        "abc": {"A", "B", "C"},
    }
    names |= {
        "value_type": {"best", "frequent", "spender", "uncertain"},
        "standing": {"new", "passing", "long-term"},
    }
    for column, allowed in names.items():
        assert people[column].isin(allowed).all(), column
    assert people["tier"].notna().all()
    # Equal histories are treated alike.
    same = people.groupby(["recency", "frequency", "monetary", "yearly_sales"])
    assert (same[["segment", "value_type", "abc", "stage", "tier"]].nunique() == 1).all().all()


def test_value_matrix_splits_at_the_means_as_marcus_does():
    people = people_of((1, 10, 500), (1, 10, 100), (1, 2, 100), (1, 2, 20), (None, 0, 0))
    assert value.value_lines(people).tolist() == [6, 30]
    assert value.add_value_type(people)["value_type"].tolist() == [
        "best",
        "frequent",
        "spender",
        "uncertain",
        "uncertain",
    ]


def test_abc_of_twenty_customers():
    people = people_of(*[(1, 1, m) for m in [500, 300, 100] + [10] * 10 + [0] * 7])
    classes = value.add_abc(people, 0.10, 0.15)["abc"]
    assert classes.tolist() == ["A", "B", "B"] + ["C"] * 17  # 10 % and 15 % of the 13 with sales


def weekly(name, weeks, until):
    return [(name, until + 7 * k, 10.0, 1) for k in range(weeks)]


def test_gap_ratios_measure_in_the_customers_own_gap():
    table = orders(
        *weekly("a", 9, 0),
        *[("b", 30 * k, 10.0, 1) for k in range(6)],
        ("b", 0, 3.0, 1),
        ("c", 5, 1.0, 1),
    )
    ratios = stage.gap_ratios(table, AS_OF).to_pandas()
    assert ratios.to_numpy().tolist() == [
        [1.0, 13]
    ]  # 8 gaps of a week and 5 of a month: each its usual one
    odd = orders(
        ("a", 0, 1.0, 1),
        ("a", 10, 1.0, 1),
        ("a", 12, 1.0, 1),
        ("a", 14, 1.0, 1),
        ("a", 16, 1.0, 1),
        ("a", 20, 1.0, 1),
    )
    assert stage.gap_ratios(odd, AS_OF).to_pandas().to_numpy().tolist() == [
        [0.5, 3],
        [1.0, 1],
        [2.5, 1],
    ]


def test_rhythm_takes_the_clients_own_past_and_else_chance():
    people = pd.DataFrame({"usual_gap": [7.0, 30.0, np.nan, 9.0]})
    ratios = pd.DataFrame({"times_usual_gap": [1.0, 2.0, 4.0, 8.0], "gaps": [900, 60, 36, 4]})
    found = stage.rhythm(people, ratios, 0.05)
    assert found["usual_gap"] == 9
    assert found["dormant"] == 2.0  # 4 % of gaps were longer than twice the usual
    assert found["lost"] == 4.0  # 0.4 % were longer than four times the usual
    few = stage.rhythm(people, ratios.assign(gaps=[9, 1, 0, 0]), 0.05)
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
    people = rfm.everyone(rfm.rfm(table, AS_OF, 90).to_pandas(), NOBODY, AS_OF)
    people = stage.add_stage(
        people, pd.Series({"usual_gap": 7.0, "dormant": 3.0, "lost": 6.0}), AS_OF
    )
    assert people.set_index("customer_id")["stage"].to_dict() == {
        "weekly, there": "active",
        "weekly, silent": "dormant",
        "weekly, gone": "lost",
        "monthly, there": "active",
        "first order": "new",
        "came once": "lost",
    }
    listed = pd.DataFrame(
        {"customer_id": ["never"], "first_seen_at": [pd.Timestamp(AS_OF) - pd.Timedelta(days=3)]}
    )
    known = rfm.everyone(rfm.rfm(table, AS_OF, 90).to_pandas(), listed, AS_OF)
    known = stage.add_stage(
        known, pd.Series({"usual_gap": 7.0, "dormant": 3.0, "lost": 6.0}), AS_OF
    )
    assert known.set_index("customer_id").loc["never", "stage"] == "no order yet"
    standing = people.set_index("customer_id")["standing"]
    assert standing[["first order", "came once", "weekly, gone"]].tolist() == [
        "new",
        "passing",
        "long-term",
    ]


def test_nobody_is_new_where_the_data_have_just_begun():
    rows = rfm.rfm(orders(("a", 4, 1.0, 1), ("b", 5, 1.0, 1)), AS_OF, 3).to_pandas()
    people = rfm.everyone(rows, NOBODY, AS_OF)
    staged = stage.add_stage(
        people, pd.Series({"usual_gap": 7.0, "dormant": 3.0, "lost": 6.0}), AS_OF
    )
    assert staged["stage"].tolist() == ["active", "active"]


def moved():
    pairs = [
        ("important value", "important value", 1, 100, 110),
        ("important value", "general develop", 1, 100, 20),
        ("general develop", "important value", 1, 10, 90),
        ("general develop", moves.GONE, 1, 10, 0),
        (moves.GONE, "general develop", 1, 0, 5),
        (moves.UNSEEN, "general develop", 1, 0, 7),
    ]
    names = ["from_segment", "to_segment", "customers", "revenue_before", "revenue_now"]
    return pd.DataFrame(pairs, columns=names)


def test_the_bridge_adds_up_to_the_change_in_sales():
    bridge = moves.bridge(moved()).set_index("move")
    assert bridge["customers"].sum() == 6
    assert (bridge["revenue_now"] - bridge["revenue_before"]).to_dict() == {
        "important in both": 10,
        "rose to important": 80,
        "fell to general": -80,
        "new or back": 12,
        "ordered no more": -10,
    }


def test_profile_weighs_the_average_order_by_orders():
    people = people_of((1, 9, 90), (1, 1, 110), (1, 0, 0)).assign(segment=["x", "x", "y"])
    profile = functions_of("04_segment")["profile"]
    rows = profile(people, "segment").set_index("segment")
    assert rows.loc["x", "average_order"] == 20
    assert rows["share_of_customers"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert pd.isna(rows.loc["y", "average_order"])


def test_changes_since_the_last_run_count_customers_and_money():
    now = people_of((1, 3, 100), (1, 1, 10), (1, 1, 7)).assign(
        segment=["x", "y", "y"], tier="a", rule_version="1"
    )
    then = (
        now.iloc[:2]
        .assign(segment=["x", "x"], monetary=[90.0, 50.0], as_of=AS_OF)
        .drop(columns="tier")
    )
    then = pd.concat([then, then.tail(1).assign(customer_id="gone", monetary=5.0)])
    rows = moves.changed_since(then, now).set_index("what")
    assert rows.loc[
        "another type", ["customers", "share", "sales_before", "sales_now"]
    ].tolist() == [1, 0.5, 50, 10]
    assert rows.loc["not known then", ["customers", "sales_now"]].tolist() == [1, 7]
    assert rows.loc["not known any more", ["customers", "sales_before"]].tolist() == [1, 5]
    assert not rows.index.str.contains("tier").any()  # the earlier run had none
    other = moves.changed_since(then, now.assign(rule_version="2"))["what"]
    assert "another type (other rules)" in set(other)
    before = then.assign(tier="a", rule_version="1, tiers 5")
    tiers = set(moves.changed_since(before, now.assign(rule_version="1, tiers 6"))["what"])
    assert {"another type", "another tier (other rules)"} <= tiers
    assert moves.changed_since(None, now).empty


def windows(*rows):
    """The same customers in two windows: (orders, average) then and now, important from 100 on."""
    then = people_of(*[(1, f, f * v) for (f, v), _ in rows])
    now = people_of(*[(1, f, f * v) for _, (f, v) in rows])
    return tuple(p.assign(m_high=p["monetary"] > 100) for p in (then, now))


def test_movers_rose_fell_or_stayed_and_who_did_not_order_is_none():
    then, now = windows(
        ((10, 20), (4, 20)),
        ((10, 20), (0, 0)),
        ((2, 20), (4, 40)),
        ((10, 20), (10, 20)),
        ((0, 0), (9, 90)),
    )
    moved = moves.movers(then, now)
    assert moved["move"].tolist() == [
        "fell",
        "fell",
        "rose",
        "stayed important",
    ]  # who did not order is no mover


def moved_and_signs(seed, n=600):
    """Important customers of whom those with complaints fall more often; a sign that only follows earlier sales."""
    rng = np.random.default_rng(seed)
    sales, complaints = rng.gamma(2, 200, n) + 100, rng.poisson(0.3, n)
    fell = rng.random(n) < np.clip(0.8 - sales / 1500, 0.05, 1) + 0.15 * complaints
    moved = pd.DataFrame(
        {
            "customer_id": range(n),
            "monetary_then": sales,
            "move": np.where(fell, "fell", "stayed important"),
        }
    )
    signs = {
        "complaints, before": complaints,
        "orders, before": sales // 20 + rng.poisson(3, n),
        "noise, since": rng.random(n),
    }
    return moved, pd.DataFrame({"customer_id": range(n)} | signs)


@many_seeds(6, 20)
def test_drivers_find_what_makes_people_fall_and_not_what_follows_from_sales(seeds):
    found = [moves.drivers(*moved_and_signs(seed)).set_index("move") for seed in range(seeds)]
    difference = {
        sign: [f.loc[f"fell: {sign}", "difference"] for f in found]
        for sign in ("complaints", "orders", "noise")
    }
    assert np.mean(difference["complaints"]) > 0.25
    assert (
        abs(np.mean(difference["orders"])) < 0.15
    )  # a plain comparison gives -0.9: who had less fell more
    assert (
        np.mean([f.loc["fell: orders", "movers"] < f.loc["fell: orders", "stayers"] for f in found])
        == 1
    )
    covered = [f.loc["fell: noise", "low"] <= 0 <= f.loc["fell: noise", "high"] for f in found]
    assert np.mean(covered) >= 0.75  # nine in ten
    assert np.mean([f.loc["fell: complaints", "sure"] for f in found]) > 0.7
    assert np.mean([f.loc["fell: noise", "sure"] for f in found]) < 0.2
    broken = [
        (m.assign(move=m["move"].to_numpy()[::-1]), s)
        for m, s in map(moved_and_signs, range(seeds // 4))
    ]
    assert (
        sum(moves.drivers(*b).set_index("move").loc["fell: complaints", "sure"] for b in broken)
        <= 1
    )


def test_few_movers_or_unknown_signs_give_no_drivers():
    moved, signs = moved_and_signs(1)
    assert moves.drivers(moved.head(30), signs).empty
    assert moves.drivers(moved, signs.assign(**{"complaints, before": np.nan}))[
        "move"
    ].tolist() == ["fell: orders", "fell: noise"]
    assert moves.drivers(moved.head(0), signs.head(0)).empty


def silent_sign(past):
    """What is known of the sign "silent" where two of ten important customers show it today."""
    now = people_of(*[(1, 5, 100)] * 10).assign(
        m_high=True, r_high=True, stage=["dormant", "lost"] + ["active"] * 8
    )
    return backtest.warning_signs(past, now).query("sign == 'silent beyond their own rhythm'")


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


def test_a_sign_that_foretells_is_found():
    found = silent_sign(past_of(60.0)).iloc[0]
    assert found["extra"] == pytest.approx(-0.30, abs=0.02)
    assert found["low"] < found["extra"] < found["high"] < 0
    told = ["days", "days_told", "customers_now", "lost_now", "sales_now"]
    assert found[told].tolist() == [4, 4, 2, 1, 200]


def test_a_sign_that_foretells_nothing_advises_nothing():
    assert silent_sign(past_of(90.0))["high"].iloc[0] > 0
    assert silent_sign(past_of(60.0).head(0))["days"].tolist() == [0]


def followed_shop(after_silent, seed, people=300, known=stakes.BLOCKS):
    """What followed of six days: a third is silent and keeps a part of their usual 10 a block."""
    rng = np.random.default_rng(seed)
    silent = np.arange(people) < people // 3
    stays = np.where(silent, rng.random(people) < after_silent, True)
    parts = []
    for day in pd.date_range("2024-01-01", periods=6, freq="28D"):
        sales = 10 * stays[:, None] * rng.poisson(1, (people, known))
        part = pd.DataFrame(sales.astype(float), columns=range(known)).reindex(
            columns=range(stakes.BLOCKS)
        )
        who = [f"c{i}" for i in range(people)]
        parts.append(part.assign(on=day, customer_id=who, is_silent=silent, usual=10.0))
    return pd.concat(parts, ignore_index=True)


def silent_today(people=90):
    """A third of the important customers of today is late and dormant; each bought for 130."""
    silent = np.arange(people) < people // 3
    return pd.DataFrame(
        {
            "customer_id": [f"n{i}" for i in range(people)],
            "m_high": True,
            "r_high": ~silent,
            "recency": np.where(silent, 90, 3),
            "monetary": 130.0,
            "stage": np.where(silent, "dormant", "active"),
        }
    )


@pytest.mark.parametrize("known", [stakes.BLOCKS, 6])
def test_what_is_at_stake_is_what_the_silent_keep_less_of_their_usual_sales(known):
    now, window = silent_today(), stakes.BLOCK * stakes.BLOCKS
    row = stakes.at_stake(followed_shop(0.4, 1, known=known), now, window).iloc[0]
    usual = 30 * 130 * 365 / window
    assert (row["customers"], row["usual"]) == (30, pytest.approx(usual))
    assert row["others_kept"] - row["kept"] == pytest.approx(0.6, abs=0.1)
    assert row["stake"] == pytest.approx(usual * (row["others_kept"] - row["kept"]))
    assert 0 < row["low"] < row["stake"] < row["high"]


def test_the_range_at_stake_holds_nine_in_ten_sums_to_come():
    now, window, held = silent_today(), stakes.BLOCK * stakes.BLOCKS, []
    for seed in range(60):
        row = stakes.at_stake(followed_shop(0.4, seed), now, window).iloc[0]
        rng = np.random.default_rng(1000 + seed)
        here = np.where(np.arange(90) < 30, rng.random(90) < 0.4, True)
        came = 10 * here * rng.poisson(13, 90)
        missing = 30 / 60 * came[30:].sum() - came[:30].sum()
        held.append(row["low"] <= missing * 365 / window <= row["high"])
    assert 0.82 <= np.mean(held) <= 0.98


def test_too_few_silent_customers_have_nothing_at_stake_and_no_difference_is_not_sure():
    now, window = silent_today(), stakes.BLOCK * stakes.BLOCKS
    assert stakes.at_stake(followed_shop(0.4, 1).head(0), now, window).empty
    few = followed_shop(0.4, 1, people=20)
    assert stakes.at_stake(few, now, window).empty
    assert stakes.at_stake(followed_shop(0.4, 1), now.assign(r_high=True), window).empty
    alike = stakes.at_stake(followed_shop(1.0, 1), now, window)
    assert not stakes.is_sure(alike)
    assert stakes.in_words(alike, "EUR") == ""
    lost = stakes.at_stake(followed_shop(0.0, 1), now, window)
    assert "30 important customers" in stakes.in_words(lost, "EUR")


def test_sales_after_a_look_fall_into_their_blocks_and_unseen_blocks_are_empty():
    day = date(2024, 1, 1)
    after = [0, 1, 28, 29, 60, 80]  # days; the first is the day itself, the last beyond the data
    orders = ibis.memtable(
        pd.DataFrame(
            {
                "customer_id": "a",
                "ordered_on": [day + timedelta(days=d) for d in after],
                "revenue": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
            }
        ),
        schema={"customer_id": "string", "ordered_on": "date", "revenue": "float64"},
    )
    past = pd.DataFrame({"on": [day] * 2, "customer_id": ["a", "b"], "before": [26.0, 13.0]})
    past = past.assign(**{sign: [True, False] for sign in stakes.SIGNS})
    as_of = day + timedelta(days=70)
    found = stakes.followed(orders, past, as_of, 2 * stakes.BLOCK)
    assert found["is_silent"].tolist() == [True, False]
    assert found["usual"].tolist() == [26.0, 13.0]
    assert found[[0, 1]].to_numpy().tolist() == [[6.0, 8.0], [0.0, 0.0]]
    assert found[2].isna().all()


def test_the_interval_of_a_sign_covers_the_truth_as_often_as_it_says():
    hits = [
        f["low"] <= -0.30 <= f["high"]
        for seed in range(60)
        for f in [silent_sign(past_of(60.0, seed=seed)).iloc[0]]
    ]
    assert 48 <= sum(hits) <= 59  # nine in ten, of sixty


def test_the_back_test_looks_at_no_order_after_its_day():
    table = orders(*[(f"c{c}", 7 * k + c % 5, 10.0 + c, 1) for c in range(12) for k in range(26)])
    lines = pd.Series({"recency": 4, "frequency": 1, "monetary": 50.0})
    rules = backtest.Rules(56, lines, 0.05)
    whole = backtest.past_signs(table, NOBODY, AS_OF, rules)
    assert whole["on"].max() == AS_OF - timedelta(days=28)
    day = min(whole["on"])
    known = table.filter(table.ordered_on <= day)
    assert backtest.segments_on(known, NOBODY, day, rules).equals(
        backtest.segments_on(table, NOBODY, day, rules)
    )
    assert (whole["since"] > 0).all()


def test_no_orders_give_well_formed_empty_frames():
    people = rfm.everyone(rfm.rfm(orders(), AS_OF, 90).to_pandas(), NOBODY, AS_OF)
    lines = rfm.cut_lines(people, "median")
    rules = backtest.Rules(90, lines, 0.05)
    people = value.add_abc(
        value.add_value_type(backtest.segments_on(orders(), NOBODY, AS_OF, rules))
    )
    assert {"segment", "value_type", "abc", "stage", "standing", "dormant_after"} <= set(
        people.columns
    )
    assert moves.bridge(moved().head(0)).empty
    profile = functions_of("04_segment")["profile"]
    assert profile(people, "segment").empty

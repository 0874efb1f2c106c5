"""Plan strategy: targets that add up, evidence with its interval, lists that are safe to hand over."""

import csv
import datetime
from types import SimpleNamespace

import ibis
import numpy as np
import pandas as pd
import pytest
from conftest import many_seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.config import Config
from statsmodels.stats.power import TTestIndPower

from helpers import stats, store, tables
from helpers.client import PlaybookError
from helpers.plan import audiences, segment_strategy, targets
from helpers.plan import segment_strategy as strategy
from helpers.plan.wording import wording

AS_OF = datetime.date(2017, 8, 20)


class SparkOptions(Config):
    treat_nan_as_null: bool = False


NO_TEST = pd.DataFrame(
    columns=[
        "method",
        "origin_on",
        "ordered_on",
        "weeks",
        "horizon",
        "forecast",
        "low",
        "high",
        "actual",
    ]
)


def sales(days=200, categories=("a", "b", "c"), seed=1, flat=False):
    on = pd.date_range(end=pd.Timestamp(AS_OF), periods=days)
    rng = np.random.default_rng(seed)
    parts = [
        pd.DataFrame(
            {
                "ordered_on": on,
                "category": c,
                "revenue": 100.0 * (i + 1) * (1 if flat else rng.uniform(0.5, 1.5, days)),
            }
        )
        for i, c in enumerate(categories)
    ]
    return pd.concat(parts, ignore_index=True).round({"revenue": 2})


# --- targets ---------------------------------------------------------------------------------


def test_the_next_quarter_is_split_as_the_parts_were_forecast():
    weeks = pd.DataFrame({"weeks": 1, "horizon": range(1, 14)})
    forecasts = pd.DataFrame({"part": ["a", "b", "c"], "forecast": [60.0, 30.0, 10.0]})
    ahead = forecasts.merge(weeks, how="cross").assign(kind="category")
    as_of = pd.Timestamp("2024-03-31").date()
    daily = sales(flat=True).assign(
        ordered_on=lambda d: d["ordered_on"] + (pd.Timestamp(as_of) - d["ordered_on"].max())
    )
    tree = targets.target_tree(daily, NO_TEST, as_of, 0.0, ahead)
    baseline = tree[tree["grain"] == "quarter"].set_index(["period", "scope_value"])["baseline"]
    assert (baseline["next"] / baseline["next"]["all"]).round(3).to_dict() == {
        "all": 1.0, "a": 0.6, "b": 0.3, "c": 0.1
    }  # fmt: skip
    assert baseline["current"]["c"] > baseline["current"]["a"]  # it may not know that forecast
    small = targets.group_small(daily, 1)
    joined = targets.target_tree(small, NO_TEST, as_of, 0.0, ahead)
    joined = joined[(joined["grain"] == "quarter") & (joined["period"] == "next")]
    share = joined.set_index("scope_value")["baseline"]
    assert share["other"] / share["all"] == pytest.approx(0.9)
    unknown = ahead[ahead["part"] != "c"]
    kept = targets.target_tree(daily, NO_TEST, as_of, 0.0, unknown)
    pd.testing.assert_frame_equal(kept, targets.target_tree(daily, NO_TEST, as_of, 0.0))


@settings(max_examples=8, deadline=None)
@given(growth=st.floats(-0.2, 0.5), seed=st.integers(1, 99), days=st.integers(70, 200))
def test_every_sum_of_the_tree_agrees_to_the_cent(growth, seed, days):
    tree = targets.target_tree(sales(days, seed=seed), NO_TEST, AS_OF, growth)
    cents = tree.assign(
        **{c: (tree[c] * 100).round().astype(int) for c in ("baseline", "target", "gap")}
    )
    money = ["baseline", "target", "gap"]
    months = (
        cents[cents["grain"] == "month"].groupby(["period", "scope", "scope_value"])[money].sum()
    )
    quarter = cents[cents["grain"] == "quarter"].set_index(["period", "scope", "scope_value"])[
        money
    ]
    assert (months - quarter == 0).all(axis=None)
    parts = (
        cents[cents["scope"] == "category"].groupby(["period", "grain", "starts_on"])[money].sum()
    )
    whole = cents[cents["scope"] == "all"].set_index(["period", "grain", "starts_on"])[money]
    assert (parts - whole == 0).all(axis=None)
    assert (cents["target"] - cents["baseline"] == cents["gap"]).all()
    assert targets.largest_difference(tree) == 0
    assert (
        targets.largest_difference(tree.assign(target=tree["target"].where(tree.index > 0, 1.0)))
        > 0
    )


def test_flat_sales_give_a_flat_and_certain_baseline():
    tree = targets.target_tree(sales(flat=True), NO_TEST, AS_OF, 0.03)
    ahead = tree[(tree["period"] == "next") & (tree["grain"] == "quarter")].set_index("scope_value")
    assert ahead["baseline"].to_dict() == {
        "all": 55_200.0,
        "a": 9_200.0,
        "b": 18_400.0,
        "c": 27_600.0,
    }
    assert ahead["low"].round(2).equals(ahead["high"].round(2))
    assert (ahead["chance"] == 0).all()
    assert (targets.target_tree(sales(flat=True), NO_TEST, AS_OF, -0.01)["chance"] == 1).all()


def test_the_current_baseline_knows_nothing_of_its_quarter():
    before, after = sales(), sales()
    after.loc[after["ordered_on"] >= "2017-07-01", "revenue"] *= 3
    node = ["period", "grain", "scope_value", "starts_on"]
    trees = [
        targets.target_tree(s, NO_TEST, AS_OF, 0.03).set_index(node)["baseline"]
        for s in (before, after)
    ]
    assert trees[0]["current"].equals(trees[1]["current"])
    assert (trees[1]["next"] > 2 * trees[0]["next"]).all()


def test_the_back_test_counts_only_as_far_as_it_was_known():
    tested = pd.DataFrame(
        {"ordered_on": ["2017-06-19", "2017-06-24", "2017-06-19"], "weeks": [1, 1, 4]}
    )
    assert targets._known(tested, pd.Timestamp("2017-06-30")).index.tolist() == [0, 1]


def test_the_next_baseline_is_the_forecast_and_a_higher_target_is_harder():
    daily = sales()
    paths = stats.sales_paths(daily.groupby("ordered_on")["revenue"].sum(), 133, "four-week mean")
    trees = [targets.target_tree(daily, NO_TEST, AS_OF, growth) for growth in (0.0, 0.02, 0.1)]
    whole = [
        t[(t["period"] == "next") & (t["grain"] == "quarter") & (t["scope"] == "all")].iloc[0]
        for t in trees
    ]
    assert whole[0]["baseline"] == pytest.approx(
        paths.loc["2017-10-01":].mean(axis=1).sum(), abs=0.1
    )
    assert whole[0]["chance"] == pytest.approx(0.5, abs=0.06)
    assert whole[0]["chance"] > whole[1]["chance"] > whole[2]["chance"]
    assert whole[0]["low"] < whole[0]["baseline"] < whole[0]["high"]


def missed(*off, method="four-week mean"):
    """A back-test of quarters that brought so much more than was forecast, each as a share of it."""
    on = pd.date_range("2016-01-01", periods=len(off), freq="28D")
    return pd.DataFrame(
        {
            "method": method,
            "origin_on": on,
            "ordered_on": on + pd.Timedelta(days=1),
            "weeks": targets.WEEKS,
            "horizon": targets.WEEKS,
            "forecast": 100.0,
            "low": 50.0,
            "high": 150.0,
            "actual": 100 * (1 + np.array(off)),
        }
    )


def test_the_range_of_a_quarter_is_as_wide_as_past_quarters_were_missed():
    assert targets._missed_quarters(NO_TEST, "four-week mean") == 0
    asked = targets._missed_quarters(missed(0.3, -0.3), "four-week mean")
    assert asked == pytest.approx(stats.Z * 0.3)
    daily = sales()
    calm, rough = (targets.target_tree(daily, t, AS_OF, 0.05) for t in (NO_TEST, missed(0.3, -0.3)))
    is_whole = (calm["grain"] == "quarter") & (calm["scope"] == "all") & (calm["period"] == "next")
    calm, rough = calm[is_whole].iloc[0], rough[is_whole].iloc[0]
    assert rough["baseline"] == pytest.approx(calm["baseline"], rel=0.01)
    width = (rough["high"] - rough["low"]) / 2 / rough["baseline"]
    assert width == pytest.approx(asked, rel=0.05)
    assert calm["high"] - calm["low"] < rough["high"] - rough["low"]
    assert calm["chance"] < rough["chance"] < 0.5


def test_paths_that_are_wide_enough_are_left_as_they_are():
    paths = pd.DataFrame(np.random.default_rng(1).uniform(50, 150, (30, 200)))
    assert targets._stretched(paths, 0.0).equals(paths)
    wide = targets._stretched(paths, 0.5)
    assert wide.mean(axis=1).to_numpy() == pytest.approx(paths.mean(axis=1).to_numpy())
    assert (wide >= 0).all(axis=None)
    assert wide.sum().std() > 2 * paths.sum().std()


def until_october():
    daily = sales()
    return daily.assign(ordered_on=daily["ordered_on"] + pd.Timedelta(days=46))


@pytest.mark.parametrize(
    ("times", "said"), [(1.0, "inside it"), (3.0, "above it: it missed"), (0.1, "below it")]
)
def test_the_last_quarter_tells_whether_its_range_held(times, said):
    daily = until_october()
    daily.loc[daily["ordered_on"].between("2017-07-01", "2017-09-30"), "revenue"] *= times
    last = targets.last_quarter(daily, NO_TEST, datetime.date(2017, 10, 5))
    assert last["ends_on"].astype(str).tolist() == ["2017-09-30"]
    assert last["actual"].iloc[0] == pytest.approx(
        daily.loc[daily["ordered_on"].between("2017-07-01", "2017-09-30"), "revenue"].sum()
    )
    assert said in targets.say_last_quarter(last, "EUR")


def test_a_quarter_that_ends_today_is_the_last_one_and_no_history_says_nothing():
    daily = until_october()
    daily = daily[daily["ordered_on"] <= "2017-09-30"]
    last = targets.last_quarter(daily, NO_TEST, datetime.date(2017, 9, 30))
    assert last["ends_on"].astype(str).tolist() == ["2017-09-30"]
    none = targets.last_quarter(sales(10), NO_TEST, AS_OF)
    assert none.empty
    assert targets.say_last_quarter(none, "EUR") == ""


def test_a_short_history_gives_no_targets_and_a_well_formed_table():
    tree = targets.target_tree(sales(10), NO_TEST, AS_OF, 0.03)
    assert len(tree) == 0
    assert set(tables.get("targets").columns) == set(tree.columns)
    assert len(targets.grid(tree, "next")) == 0
    assert targets.by_month(sales(10), tree)["month"].tolist() == []
    assert targets.largest_difference(tree) == 0
    only_next = targets.target_tree(sales(55), NO_TEST, AS_OF, 0.03)
    assert set(only_next["period"]) == {"next"}


def test_months_and_grid_show_the_same_targets():
    daily = targets.group_small(sales(categories=tuple("abcdefghijk")), 4)
    assert sorted(daily["category"].unique()) == ["h", "i", "j", "k", "other"]
    tree = targets.target_tree(daily, NO_TEST, AS_OF, 0.03)
    grid = targets.grid(tree, "next")
    assert list(grid.columns) == ["scope_value", "October", "November", "December", "quarter"]
    assert grid["scope_value"].tolist()[0] == "all"
    months = targets.by_month(daily, tree).set_index("month")
    assert months.loc["2017-10-01", "target"] == grid["October"].iloc[0]
    assert months.index[0] == pd.Timestamp("2017-03-01")  # February began before the data
    assert pd.isna(months.loc["2017-08-01", "sales"])  # August is not over


# --- strategy --------------------------------------------------------------------------------


def order_lines(**columns):
    rows = pd.DataFrame(columns)
    start = {
        "order_id": "1",
        "line_no": range(1, len(rows) + 1),
        "ordered_at": pd.Timestamp("2017-08-19 10:30"),
        "ordered_at_local": pd.Timestamp("2017-08-19 10:30"),
        "ordered_on": datetime.date(2017, 8, 19),
        "quantity": 1.0,
        "unit_price": 1.0,
        "discount": 0.0,
        "coupon_discount": 0.0,
        "channel": "store",
        "store_id": "s1",
        "product_id": "p",
    }
    return ibis.memtable(rows.assign(**{c: v for c, v in start.items() if c not in rows}))


def random_lines(people=300, seed=3):
    rng = np.random.default_rng(seed)
    size = rng.lognormal(3, 1, people)
    taste = rng.beta(2, 6, people)
    segment = np.where(np.arange(people) % 3, "x", "y")
    frame = pd.DataFrame({"customer_id": [f"c{i}" for i in range(people)], "segment": segment})
    both = [
        frame.assign(trait=t, revenue=(size * part).round(2))
        for t, part in (("tea", taste), ("rest", 1 - taste))
    ]
    return pd.concat(both, ignore_index=True)


def test_a_profile_gives_shares_indices_and_buyers():
    lines = ibis.memtable(
        pd.DataFrame(
            {
                "segment": ["x", "x", "y", "y"],
                "customer_id": ["1", "2", "3", "3"],
                "trait": ["tea", "milk", "tea", "milk"],
                "revenue": [30.0, 10.0, 20.0, 40.0],
            }
        )
    )
    rows = segment_strategy.profile(lines, "trait").to_pandas().set_index(["segment", "value"])
    assert rows.loc[("x", "tea"), ["share", "overall", "index"]].tolist() == pytest.approx(
        [0.75, 0.5, 150.0]
    )
    assert rows.loc[("y", "tea"), "buyers"] == 1
    assert rows["share"].groupby("segment").sum().tolist() == pytest.approx([1, 1])
    assert np.isnan(rows.loc[("y", "tea"), "low"])  # one customer has no spread


def test_the_interval_of_a_share_is_that_of_a_bootstrap_over_customers():
    lines = random_lines()
    mine = (
        segment_strategy.profile(ibis.memtable(lines), "trait")
        .to_pandas()
        .query("segment == 'x' and value == 'tea'")
        .iloc[0]
    )
    wide = lines[lines["segment"] == "x"].pivot(
        index="customer_id", columns="trait", values="revenue"
    )
    rng = np.random.default_rng(1)
    again = [wide.iloc[rng.integers(0, len(wide), len(wide))].sum() for _ in range(2000)]
    shares = [s["tea"] / s.sum() for s in again]
    low, high = np.quantile(shares, [0.05, 0.95])
    assert mine["share"] == pytest.approx(wide["tea"].sum() / wide.sum().sum())
    assert mine["high"] - mine["low"] == pytest.approx(high - low, rel=0.1)


def test_traits_are_worked_out_for_each_line():
    orders = order_lines(
        customer_id=["1", "1", "1", "2", "9"],
        revenue=[5.0, 4.0, 3.0, 1.0, 8.0],
        store_id=["s2", "s1", "s1", None, "s1"],
        discount=[0.0, 1.0, 0.0, 0.0, 0.0],
        product_id=["p", "q", "r", "p", "p"],
    )
    goods = pd.DataFrame(
        {"product_id": ["p", "q"], "category": ["DELI", "BAKERY"], "subcategory": ["HAM", None]}
    )
    goods = ibis.memtable(
        goods, schema={"product_id": "string", "category": "string", "subcategory": "string"}
    )
    segments = ibis.memtable(pd.DataFrame({"customer_id": ["1", "2"], "segment": ["x", "y"]}))
    lines = segment_strategy.with_traits(orders, goods, segments).to_pandas()
    lines = lines.sort_values(["customer_id", "revenue"], ascending=False)
    assert lines["store"].tolist() == ["not known", "another store", "main store", "main store"]
    assert lines["product_group"].tolist() == ["HAM (DELI)", "HAM (DELI)", "BAKERY", "not grouped"]
    assert lines["offer"].tolist() == ["full price", "full price", "at a discount", "full price"]
    assert set(lines["weekday"]) == {"Saturday"}
    assert set(lines["part_of_day"]) == {"morning"}
    depth = segment_strategy.discount_depth(
        segment_strategy.with_traits(orders, goods, segments)
    ).to_pandas()
    assert depth.to_numpy().tolist() == [["x", 0.2]]


@given(st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 1))
def test_a_share_has_exactly_one_level(share, half, overall):
    row = pd.Series({"share": share, "low": share - half, "high": share + half, "overall": overall})
    found = strategy.level(row)
    assert found in ("above", "below", "usual")
    if row["low"] <= overall <= row["high"]:
        assert found == "usual"


def test_coupons_count_by_contact_and_by_the_type_before_it():
    day = pd.Timestamp("2025-03-01")
    sent = pd.DataFrame({"customer_id": list("11232"), "campaign_id": ["a", "b", "a", "a", "old"]})
    sent = sent.assign(sent_at=[day] * 4 + [day - pd.Timedelta(days=60)], is_holdout=False)
    held = sent.head(1).assign(customer_id="4", is_holdout=True)
    sent = ibis.memtable(pd.concat([sent, held]))
    used = ibis.memtable(
        pd.DataFrame({"customer_id": list("1122"), "campaign_id": ["a", "a", "z", "old"]})
    )
    before = pd.DataFrame(
        {"customer_id": list("1234"), "segment": list("xxyy"), "as_of": datetime.date(2025, 2, 1)}
    )
    rows = segment_strategy.coupon_response(sent, used, ibis.memtable(before)).set_index("segment")
    assert rows[["people", "reached", "responded"]].to_numpy().tolist() == [[2, 3, 1], [1, 1, 0]]
    assert rows["rate"].tolist() == pytest.approx([1 / 3, 0])
    assert rows["overall"].tolist() == pytest.approx([1 / 4, 1 / 4])
    assert (
        len(segment_strategy.coupon_response(sent.limit(0), used.limit(0), ibis.memtable(before)))
        == 0
    )


def test_contacts_of_one_person_are_worth_less_than_those_of_many():
    rng, drawn = np.random.default_rng(4), []
    for _round in range(60):
        chance = np.repeat(
            rng.beta(0.4, 1.6, 120), 6
        )  # people differ much; the true rate is a fifth
        sent = pd.DataFrame(
            {
                "customer_id": np.repeat(np.arange(120), 6).astype(str),
                "campaign_id": [*"abcdef"] * 120,
            }
        )
        hit = sent[rng.random(len(sent)) < chance]
        sent = sent.assign(sent_at=pd.Timestamp("2025-03-01"), is_holdout=False)
        before = pd.DataFrame({"customer_id": sent["customer_id"].unique(), "segment": "x"})
        before = before.assign(as_of=datetime.date(2025, 2, 1))
        drawn.append(
            segment_strategy.coupon_response(*map(ibis.memtable, (sent, hit, before))).iloc[0]
        )
    found = pd.DataFrame(drawn)
    inside = ((found["low"] < 0.2) & (found["high"] > 0.2)).mean()
    plain = stats.share_interval(found["responded"], found["reached"])
    assert 0.8 < inside < 0.98  # nine in ten are meant
    assert (
        (plain["low"] < 0.2) & (plain["high"] > 0.2)
    ).mean() < 0.78  # as if each contact were another person


def test_each_cell_of_the_strategy_holds_a_choice_and_its_evidence():
    lines = random_lines(seed=5)
    lines["revenue"] *= np.where((lines["segment"] == "y") & (lines["trait"] == "tea"), 3, 1)
    table = ibis.memtable(
        lines.replace({"segment": {"x": "important value", "y": "general keep"}}).assign(
            product_group=lines["trait"],
            offer=lines["trait"].replace({"tea": "at a discount", "rest": "full price"}),
            store="not known",
            channel="store",
            weekday="Monday",
            part_of_day="morning",
            discount=1.0,
        )
    )
    profiles = {
        trait: segment_strategy.profile(table, trait).to_pandas()
        for trait in segment_strategy.TRAITS
    }
    segments = table.select("customer_id", "segment").distinct().to_pandas().assign(monetary=10.0)
    answers = pd.DataFrame(
        [
            {
                "segment": "general keep",
                "people": 40,
                "reached": 40,
                "responded": 4,
                "rate": 0.1,
                "low": 0.05,
                "high": 0.2,
                "overall": 0.3,
            }
        ]
    )
    rows = segment_strategy.strategy_table(
        segments, profiles, segment_strategy.discount_depth(table).to_pandas(), answers, ["rest"]
    ).set_index("segment")
    say = wording("strategy")
    assert rows.loc["general keep", "product"].startswith(say["product"]["above"] + " tea index ")
    # the rest stands out as well, but is never advertised
    assert rows.loc["important value", "product"] == say["product"]["usual"]
    assert rows.loc["general keep", "price"].startswith(say["price"]["above"])
    assert rows.loc["general keep", "promotion"].startswith(say["promotion"]["below"])
    assert rows.loc["important value", "promotion"] == say["promotion"]["unknown"]
    assert rows["place"].tolist() == [say["place"]["unknown"]] * 2
    assert set(tables.get("strategy").columns) == set(rows.reset_index().columns)


def test_nothing_stands_out_where_too_few_bought():
    few = pd.DataFrame(
        {
            "value": ["tea"],
            "buyers": [3],
            "share": [0.5],
            "low": [0.4],
            "high": [0.6],
            "overall": [0.1],
        }
    )
    assert len(strategy.stand_outs(few)) == 0
    assert len(strategy.stand_outs(few.assign(buyers=30))) == 1


def test_words_name_the_types_of_the_segments():
    named = set(wording("actions"))
    assert len(named) == 8
    assert {s for rule in wording("audiences").values() for s in rule["segments"]} <= named


# --- lists -----------------------------------------------------------------------------------


def people(**columns):
    rows = pd.DataFrame(columns)
    start = {
        "segment": "important keep",
        "recency": 30,
        "usual_gap": 5.0,
        "dormant_after": 20.0,
        "aov": 40.0,
        "m_high": True,
        "r_high": False,
    }
    return rows.assign(**{c: v for c, v in start.items() if c not in rows})


def test_lists_hold_the_silent_and_a_reason_from_their_own_numbers():
    known = people(
        customer_id=["late", "on time", "seldom", "once", "other"],
        recency=[41.0, 20, 3, 3, 99],
        usual_gap=[9.0, 9.0, 30.0, None, 9.0],
        segment=["important keep"] * 2 + ["important develop"] * 2 + ["general win back"],
    )
    bought = pd.DataFrame({"customer_id": known["customer_id"], "spent": 310.0, "usual": 155.0})
    rows = audiences.list_audiences(known, bought).set_index("customer_id")
    assert rows["audience"].to_dict() == {
        "late": "keep",
        "seldom": "raise frequency",
        "once": "raise frequency",
    }
    said = "usual gap 9 days, 41 days since the last order, spent 310 in the last 182 days"
    assert rows.loc["late", "reason"] == said
    assert "one day with an order" in rows.loc["once", "reason"]
    assert rows["expected_value"].tolist() == [155.0, 40.0, 40.0]
    assert len(audiences.list_audiences(known.head(0), bought)) == 0


def test_who_refused_is_told_from_who_was_never_asked():
    customers = pd.DataFrame(
        {
            "customer_id": ["1", "2", "3"],
            "consent_email": pd.array([True, False, None], "boolean"),
            "consent_sms": None,
            "consent_ads": None,
        }
    )
    listed = pd.DataFrame({"customer_id": ["1", "2", "3", "4"]})
    by_mail = audiences.add_consent(listed, customers, "email")["consent"].tolist()
    assert by_mail == ["given", "refused", *[wording("consent")["unknown"]] * 2]
    assert set(
        audiences.add_consent(listed, customers.astype({"consent_sms": object}), "sms")["consent"]
    ) == {by_mail[2]}
    assert len(audiences.add_consent(listed.head(0), customers.head(0), "ads")) == 0
    with pytest.raises(PlaybookError, match="email, sms or ads"):
        audiences.add_consent(listed, customers, "post")


@settings(deadline=None)
@given(n=st.integers(0, 60), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_the_holdout_has_its_share_and_does_not_hang_on_the_order_of_rows(n, share, seed):
    listed = pd.DataFrame(
        {"audience": ["a"] * n + ["b"] * 7, "customer_id": [f"c{i}" for i in range(n + 7)]}
    )
    held = audiences.with_holdout(listed, share, seed)
    assert held.groupby("audience")["is_holdout"].sum().to_dict() == {
        **({"a": round(share * n)} if n else {}),
        "b": round(share * 7),
    }
    turned = audiences.with_holdout(listed[::-1], share, seed).sort_index()
    assert turned["is_holdout"].tolist() == held["is_holdout"].tolist()


def test_the_holdout_is_chance_and_a_seed_repeats_it():
    who = [str(i) for i in range(4000)]
    listed = pd.DataFrame({"audience": "a", "customer_id": who, "expected_value": range(4000)})
    first, again, other = (
        audiences.with_holdout(listed, 0.5, seed)["is_holdout"] for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert (first == other).mean() == pytest.approx(0.5, abs=0.03)
    assert listed["expected_value"][first].mean() == pytest.approx(
        listed["expected_value"].mean(), rel=0.03
    )
    fewer = audiences.with_holdout(listed.iloc[:3900], 0.5, 1)["is_holdout"]
    assert (
        fewer == first[:3900]
    ).mean() > 0.97  # mostly the same people, although the list changed


@given(st.text(max_size=20))
def test_no_cell_starts_a_formula(text):
    cell = store.safe_cell(text)
    assert cell.removeprefix("'") == text or cell == text
    assert cell[:1] not in ("=", "+", "@", "\t", "\r") or cell == ""
    assert not cell.startswith("-") or audiences.NUMBER.fullmatch(cell)


def test_files_hold_those_to_be_contacted_and_nobody_else(tmp_path):
    run = SimpleNamespace(client=SimpleNamespace(folder=tmp_path), folder=tmp_path / "runs" / "lab")
    for place in (
        "runs/lab",
        "runs/kept",
        "private/audiences/gone",
        "private/audiences/kept",
        "private/other",
    ):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "private" / "audiences" / "note.txt").touch()
    listed = pd.DataFrame(
        {
            "audience": ["win back"] * 3,
            "customer_id": ["1", '=cmd|"/c calc"!A1', "3"],
            "reason": ['usual gap 1,5 days; "x"', "@SUM(1)", "r"],
            "expected_value": [-1.5, 2.0, 3.0],
            "consent": "given",
            "is_holdout": [False, False, True],
        }
    )
    files = audiences.write_lists(run, listed, " win back,keep ")
    assert [f.relative_to(tmp_path).as_posix() for f in files] == [
        "private/audiences/lab/win_back.csv",
        "private/audiences/lab/keep.csv",
    ]
    with files[0].open(encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [r["customer_id"] for r in rows] == ["1", '\'=cmd|"/c calc"!A1']
    assert rows[0]["reason"] == 'usual gap 1,5 days; "x"'
    assert rows[0]["expected_value"] == "-1.5"
    assert rows[1]["reason"] == "'@SUM(1)"
    assert (
        len(files[1].read_text(encoding="utf-8").splitlines()) == 1
    )  # an empty list has its heading
    assert sorted(p.name for p in (tmp_path / "private" / "audiences").iterdir()) == [
        "kept",
        "lab",
        "note.txt",
    ]
    assert (tmp_path / "private" / "other").is_dir()
    assert audiences.write_lists(run, listed, "") == []
    assert not (tmp_path / "private" / "audiences" / "lab").exists()
    with pytest.raises(PlaybookError, match="Known: keep, win back, raise frequency"):
        audiences.write_lists(run, listed, "../keep")


def test_a_list_is_summed_up_without_naming_anybody():
    listed = pd.DataFrame(
        {
            "audience": "keep",
            "customer_id": list("abcd"),
            "expected_value": [1.0, 2.0, 3.0, 6.0],
            "consent": ["given", wording("consent")["unknown"]] * 2,
            "is_holdout": [True, False, False, True],
        }
    )
    row = audiences.summary(listed).iloc[0]
    assert row.drop("audience").tolist() == [4, 2, 2, 2, 12.0, 3.5, 2.5]
    assert len(audiences.summary(listed.head(0))) == 0


def test_a_look_back_finds_what_the_silent_bought_since():
    then, on, who, money = AS_OF - datetime.timedelta(days=audiences.QUARTER), [], [], []
    # All buy for 10 every 7 days; person 0 stops a month before, person 1 is silent and comes back.
    for person in range(10):
        for back in range(0, 281, 7):
            day = AS_OF - datetime.timedelta(days=back)
            since = (day - then).days
            if (person == 0 and since > -30) or (person == 1 and -30 < since < 20):
                continue
            on.append(day), who.append(str(person)), money.append(10.0)
    orders = order_lines(customer_id=who, ordered_on=on, revenue=money)
    segments = people(
        customer_id=[str(i) for i in range(10)],
        recency=[120, 0] + [0] * 8,
        usual_gap=7.0,
        dormant_after=14.0,
        r_high=[False] + [True] * 9,
    )
    seen = audiences.buying(orders, then).to_pandas().set_index("customer_id")
    assert seen.loc["5", ["recency", "usual_gap", "spent", "usual", "came"]].tolist() == [
        0,
        7,
        260,
        130,
        130,
    ]
    assert seen.loc["0", ["spent", "came"]].tolist() == [210, 0]
    back = audiences.look_back(orders, segments, AS_OF)
    assert back.to_numpy().tolist() == [[105, 0], [105, 110]]
    too_short = orders.filter(orders.ordered_on > AS_OF - datetime.timedelta(days=200))
    assert len(audiences.look_back(too_short, segments, AS_OF)) == 0
    assert len(audiences.look_back(orders.limit(0), segments, AS_OF)) == 0


def test_what_a_list_may_be_worth_follows_from_its_parts():
    stake = pd.DataFrame({"customers": [40], "stake": [1000.0], "low": [500.0], "high": [1600.0]})
    assert audiences.yearly_value(stake, 20, 0.2, 0.4).tolist() == pytest.approx([100, 0, 320])
    assert audiences.yearly_value(stake, 20, 0.2, float("nan"))["high"] == pytest.approx(160)
    assert audiences.yearly_value(stake, 0, 0.2, 0.4)["value"] == 0
    assert audiences.yearly_value(stake, 90, 0.2, 0.4)["value"] == pytest.approx(200)


@pytest.mark.parametrize(("contacted", "held"), [(80, 20), (500, 100), (12, 4)])
def test_the_smallest_effect_is_that_of_a_t_test(contacted, held):
    exact = TTestIndPower().solve_power(
        nobs1=contacted, ratio=held / contacted, alpha=0.05, power=0.8
    )
    assert audiences.smallest_effect(contacted, held, 10.0) == pytest.approx(10 * exact, rel=0.02)
    assert np.isnan(audiences.smallest_effect(contacted, 1, 10.0))


def test_what_touches_orders_compiles_for_other_engines(monkeypatch):
    # Ibis asks the options of a backend that is not installed here.
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    orders, goods = (ibis.table(tables.get(n).schema, name=n) for n in ("orders", "products"))
    segments = ibis.table(tables.get("segments").schema, name="segments")
    lines = segment_strategy.with_traits(orders, goods, segments)
    for expression in (
        segment_strategy.profile(lines, "product_group"),
        segment_strategy.discount_depth(lines),
        audiences.buying(orders, AS_OF),
    ):
        for dialect in ("pyspark", "bigquery", "snowflake"):
            assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


def weekly(**parts):
    return pd.DataFrame(parts, index=range(len(next(iter(parts.values())))))


def test_a_share_strays_as_far_as_it_did_in_the_past():
    steady, months = targets._strays(weekly(a=[25.0] * 40, b=[75.0] * 40), "recent", 91)
    assert steady.tolist() == pytest.approx([0.0, 0.0])
    assert months == 8  # forty weeks less eight hold eight months
    doubled, _months = targets._strays(
        weekly(a=[10.0] * 20 + [20.0] * 20, b=[90.0] * 20 + [80.0] * 20), "recent", 91
    )
    assert doubled["a"] > 0.3
    never, _months = targets._strays(weekly(a=[0.0] * 40, b=[75.0] * 40), "recent", 91)
    assert never["a"] == 1.0  # nothing is known of what never sold
    assert targets._strays(weekly(a=[25.0] * 2, b=[75.0] * 2), "recent", 91)[1] == 2


def test_the_share_of_garden_furniture_knows_the_season_where_a_year_is_known():
    rng, weeks = np.random.default_rng(2), np.arange(104)
    summer = 0.5 - 0.4 * np.cos(2 * np.pi * weeks / 52)  # least in January
    garden = 100 * summer * np.exp(rng.normal(0, 0.1, 104))
    rest = 200 * np.exp(rng.normal(0, 0.1, 104))
    both = weekly(garden=garden, rest=rest)
    assert targets._share_way(both) == "season"
    share = targets._shares(both, 78, range(20, 33), "season")[
        "garden"
    ]  # at midsummer, of the winter to come
    true = targets._share(weekly(garden=100 * summer[98:], rest=[200.0] * 6))["garden"]
    plain = targets._shares(both, 78, range(20, 33), "recent")["garden"]
    assert abs(share - true) < 0.3 * abs(plain - true)
    chance = [
        weekly(garden=np.exp(rng.normal(0, 0.1, 104)), rest=np.exp(rng.normal(0, 0.1, 104)))
        for _ in range(40)
    ]
    assert (
        sum(targets._share_way(w) == "season" for w in chance) <= 6
    )  # nothing but chance moves them
    assert targets._share_way(both.iloc[:70]) == "recent"  # too little is known of a second year


def test_a_category_that_is_new_keeps_its_recent_share():
    for began in (
        60,
        27,
        24,
    ):  # in the year since, and in the weeks that last year's pace would be read from
        new = weekly(new=[0.0] * began + [50.0] * (80 - began), old=[100.0] * 80)
        shares = targets._shares(new, 80, range(13), "season")
        assert shares["new"] == pytest.approx(1 / 3, abs=0.1)
        assert shares.sum() == pytest.approx(1)


@many_seeds(2, 60)
def test_targets_of_departments_follow_the_months_and_their_ranges_hold(seeds):
    inside, share = [], []
    for seed in range(seeds):
        rng, on = np.random.default_rng(seed), pd.date_range("2022-01-01", "2024-09-30")
        wave = np.cos(2 * np.pi * (on.day_of_year - 182) / 365)  # most in July
        drift = np.exp(0.03 * rng.normal(0, 1, (3, len(on))).cumsum(axis=1) / np.sqrt(7))
        level = {
            "garden": np.exp(0.8 * wave),
            "toys": np.exp(-0.4 * wave),
            "rest": np.ones(len(on)),
        }
        rows = [
            pd.DataFrame(
                {
                    "ordered_on": on,
                    "category": c,
                    "revenue": v * d * np.exp(rng.normal(5, 0.2, len(on))),
                }
            )
            for (c, v), d in zip(level.items(), drift, strict=True)
        ]
        every = pd.concat(rows)
        known = every[every["ordered_on"] <= "2024-06-30"]
        daily = known.groupby("ordered_on")["revenue"].sum()
        tree = targets.target_tree(
            known, stats.backtest(daily, origins=4), datetime.date(2024, 6, 30), 0.0
        )
        ahead = tree[
            (tree["period"] == "next") & (tree["grain"] == "month") & (tree["scope"] == "category")
        ]
        came = every[every["ordered_on"] > "2024-06-30"]
        came = came.groupby(["category", came["ordered_on"].dt.to_period("M").dt.start_time])[
            "revenue"
        ].sum()
        actual = came.reindex(
            pd.MultiIndex.from_frame(ahead[["scope_value", "starts_on"]])
        ).to_numpy()
        inside += [((ahead["low"] <= actual) & (actual <= ahead["high"])).mean()]
        garden = (
            ahead[ahead["scope_value"] == "garden"].sort_values("starts_on")["baseline"].to_numpy()
        )
        share.append(garden[0] / garden[-1])
    assert np.mean(share) > 1.3  # July sells more garden furniture than September
    assert np.mean(inside) >= (0.8 if seeds > 10 else 0.6)


def test_ranges_are_checked_only_against_months_that_are_over():
    daily = sales(categories=("a", "b"), flat=True)
    tree = targets.target_tree(daily, NO_TEST, AS_OF, 0.03)
    tested = targets.checked(daily, tree)
    assert tested[["scope_value", "actual"]].to_numpy().tolist() == [
        ["a", 3100.0],
        ["b", 6200.0],
    ]  # July
    assert tested["inside"].all()
    assert not targets.checked(daily.assign(revenue=daily["revenue"] * 2), tree)["inside"].any()
    assert len(targets.checked(daily, tree.head(0))) == 0


def test_what_a_contact_brings_is_measured_where_messages_were_held_back():
    row = {"rescued": 0.01, "low": 0.0, "high": 0.03, "held_out": 500, "measured": True}
    helps = audiences.contact_helps(pd.Series(row), best=0.3)
    assert (helps.share, helps.most) == (0.01, 0.03)
    assert "500" in helps.sure
    helps = audiences.contact_helps(pd.Series(row | {"measured": False}), best=0.3)
    assert (helps.share, helps.most) == (0.01, 0.3)
    assert helps.in_words.startswith("Assumed, not measured")

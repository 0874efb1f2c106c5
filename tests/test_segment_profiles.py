"""Profiles, what foretells, and member tiers: answers known by hand, properties, and the truth of a small twin."""

from datetime import date, datetime, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from conftest import functions_of, many_seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from helpers import tables
from helpers.client import Settings, Tier
from helpers.segment import member_tiers, profiles
from helpers.segment import member_tiers as tiers
from helpers.segment.profiles import OTHERS, UNKNOWN

AS_OF = date(2024, 6, 30)
BEGIN = AS_OF - timedelta(days=99)


def table(name, *rows):
    """Rows as the canonical table `name`, the columns not given empty."""
    schema = tables.get(name).schema
    if not rows:
        return ibis.memtable([], schema=schema)
    frame = pd.DataFrame(list(rows))
    given_columns = {c: schema[c] for c in frame.columns}
    return tables.conform(ibis.memtable(frame, schema=given_columns), name)


def line(customer, order, ago, product="p", revenue=10.0, hour=12, **more):
    at = datetime(2024, 6, 30, hour) - timedelta(days=ago)
    facts = {
        "line_no": 1,
        "quantity": 1.0,
        "product_id": product,
        "revenue": revenue,
        "ordered_on": at.date(),
    }
    facts |= {"ordered_at": at, "ordered_at_local": at, "customer_id": customer, "order_id": order}
    return facts | {"channel": "web", "discount": 0.0} | more


def goods(**category):
    return table(
        "products",
        *[{"product_id": p, "category": c, "brand": f"brand {p}"} for p, c in category.items()],
    )


def sources(*lines, messages=(), redemptions=(), tickets=(), products=None):
    made = {"messages": messages, "redemptions": redemptions, "tickets": tickets}
    frames = {name: table(name, *rows) for name, rows in made.items()}
    return frames | {
        "lines": profiles.with_goods(
            table("orders", *lines), products or goods(p="tea", q="coffee")
        )
    }


def test_a_favourite_is_what_one_buys_beyond_what_everybody_buys():
    lines = [line(c, f"{c}{i}", i, "bread") for c in "abc" for i in range(6)]
    lines += [line("a", f"a{i}", i, "wine") for i in range(4)] + [line("b", "b9", 9, "fish")]
    shop = goods(bread="bread", wine="wine", fish="fish")
    rows = profiles.habits(
        profiles.with_goods(table("orders", *lines), shop), BEGIN, AS_OF
    ).to_pandas()
    assert rows.set_index("customer_id")["favourite"].to_dict() == {
        "a": "wine",
        "b": "fish",
        "c": "bread",
    }
    assert rows.set_index("customer_id")["brand"].to_dict() == {
        "a": "brand wine",
        "b": "brand fish",
        "c": "brand bread",
    }


def test_habits_are_those_of_most_orders():
    lines = [
        line("a", "1", 0, hour=9, channel="store"),
        line("a", "2", 7, hour=10, channel="store"),
    ]  # Sundays
    lines += [
        line("a", "3", 1, hour=20, discount=2.0, revenue=30.0, coupon_discount=1.0),
        line("a", "3", 1, "q", hour=20),
    ]
    lines += [
        line("a", "4", 200),
        line("a", "5", 3, quantity=-1.0, revenue=-10.0),
        line(None, "6", 3),
    ]
    row = profiles.conduct(sources(*lines), BEGIN, AS_OF).set_index("customer_id").loc["a"]
    assert row[["orders", "sales", "average", "categories", "channels"]].tolist() == [
        3,
        60,
        20,
        2,
        2,
    ]
    assert row[["daypart", "weekday", "channel"]].tolist() == ["morning", "Sunday", "store"]
    assert row["discounted"] == 0.5
    assert row["coupons"] == 1  # of the orders of which it is known
    assert pd.isna(row["cases"])  # no help desk: not known, rather than none
    assert pd.isna(row["response"])


def test_answers_and_service_are_counted_in_their_window():
    at = datetime(2024, 6, 1)
    sent = [
        {"message_id": f"m{i}", "campaign_id": "c", "customer_id": c, "sent_at": at}
        for i, c in enumerate("aabcde")
    ]
    sent[0] |= {"clicked_at": at, "opened_at": at}
    sent[2] |= {"opened_at": at}
    sent[4] |= {"is_holdout": True}
    sent[5] |= {"delivered": False}
    for m in sent:
        m.setdefault("clicked_at", None)
        m.setdefault("opened_at", None)
        m.setdefault("is_holdout", False)
        m.setdefault("delivered", True)
    old = sent[0] | {"message_id": "old", "customer_id": "z", "sent_at": datetime(2023, 1, 1)}
    used = {
        "redemption_id": "r",
        "customer_id": "d",
        "coupon_id": "k",
        "campaign_id": "c",
        "redeemed_on": AS_OF,
    }
    cases = [{"ticket_id": k, "customer_id": "b", "opened_at": at, "kind": kind, "cost": cost, "text": ""}
             for k, kind, cost in (("1", "Problem", 4.0), ("2", "question", None))]  # fmt: skip
    given_sources = sources(
        line("e", "1", 1), messages=[*sent, old], redemptions=[used], tickets=cases
    )
    did = profiles.conduct(given_sources, BEGIN, AS_OF).set_index("customer_id")
    assert did["response"].to_dict() == {
        "a": "clicked",
        "b": "only opened",
        "c": "no answer",
        "d": "used a coupon",
        "e": "not contacted",
    }
    assert did.loc["a", ["contacts", "opened", "clicked"]].tolist() == [2, 1, 1]
    assert did.loc["b", ["cases", "complaints", "costed", "case_cost"]].tolist() == [2, 1, 1, 4]
    assert did.loc["e", "cases"] == 0
    assert did.loc["d", ["contacts", "redeemed"]].tolist() == [0, 1]


def test_age_groups_are_worked_out_where_only_the_year_is_known():
    customers = pd.DataFrame(
        {
            "customer_id": list("abc"),
            "age_band": ["25-34", None, None],
            "birth_year": [None, 1980, None],
        }
    )
    did = profiles.conduct(sources(line("d", "1", 1)), BEGIN, AS_OF)
    known = profiles.described(customers, did, AS_OF).set_index("customer_id")
    assert known["age_band"].fillna("").tolist() == ["25-34", "35 to 44", "", ""]
    assert known.loc["d", "channel"] == "web"


answer = st.none() | st.sampled_from(["a", "b", "c", "", " ", "not known"]) | st.text(max_size=2)


@settings(max_examples=150, deadline=None, database=None)
@given(
    st.lists(answer, max_size=60)
    | st.lists(st.none() | st.floats(0, 1) | st.just(0.0), max_size=60),
    st.integers(1, 9),
)
def test_every_customer_is_in_exactly_one_group_of_a_dimension(values, fewest):
    values = pd.Series(values, dtype=float if any(isinstance(v, float) for v in values) else object)
    groups = profiles.grouped(values, fewest)
    assert len(groups) == len(values)
    assert groups.notna().all()
    sizes = groups[~groups.isin([OTHERS, UNKNOWN])].value_counts()
    assert len(sizes) <= profiles.MOST
    assert not len(sizes) or sizes.min() >= fewest or values.dtype == float
    assert (groups[values.isna()] == UNKNOWN).all()
    if values.dtype == float:
        assert (groups[values.notna()] != UNKNOWN).all()


def test_shares_are_cut_into_none_and_thirds():
    shares = pd.Series([0.0] * 3 + [0.1, 0.2, 0.3, 0.4, 0.9, 1.0, None])
    assert profiles.grouped(shares, 2).tolist() == [
        *["none"] * 3,
        *["up to 27 %"] * 2,
        *["27 to 57 %"] * 2,
        *["over 57 %"] * 2,
        UNKNOWN,
    ]
    assert set(profiles.grouped(pd.Series([0.5] * 4), 2)) == {"up to 50 %"}


def test_bands_keep_their_order_and_small_ones_join_their_neighbour():
    incomes = (
        ["Under 15K"] * 9
        + ["15-24K"] * 8
        + ["100-124K"] * 7
        + ["125-149K"] * 2
        + ["250K+"] * 1
        + [None] * 3
    )
    found = profiles.grouped(pd.Series(incomes), 3, ordered=True)
    named = ["Under 15K", "15-24K", "125-149K to 250K+", "100-124K"]
    assert found.value_counts().to_dict() == {
        "Under 15K": 9,
        "15-24K": 8,
        "100-124K": 7,
        named[2]: 3,
        UNKNOWN: 3,
    }
    assert sorted(found.unique(), key=profiles._place) == [
        "Under 15K",
        "15-24K",
        "100-124K",
        named[2],
        UNKNOWN,
    ]
    many = profiles.grouped(
        pd.Series([f"{a} to {a + 9}" for a in range(10, 200, 10)] * 4), 3, ordered=True
    )
    assert many.nunique() == profiles.MOST
    people, by = people_with(
        ["65 and over", "18 to 24", "under 18", UNKNOWN] * 3, [9.0, 5.0, 1.0, 7.0] * 3
    )
    assert profiles.side_by_side(people, by)["age"].tolist() == [
        "under 18",
        "18 to 24",
        "65 and over",
        UNKNOWN,
    ]


def people_with(groups, sales):
    index = pd.Index(range(len(sales)), name="customer_id")
    people = pd.DataFrame(
        {"monetary": sales, "m_high": np.asarray(sales) > 50, "predicted_value": 1.0}, index=index
    )
    return people, pd.Series(groups, index, name="age")


def test_the_index_compares_with_those_whose_answer_is_known():
    people, by = people_with(
        ["a"] * 4 + ["b"] * 4 + [UNKNOWN] * 4, [90.0, 110] * 2 + [40, 60] * 2 + [10, 20] * 2
    )
    rows = profiles.side_by_side(people, by).set_index("age")
    assert rows["index"].to_dict() == {"a": 133, "b": 67, UNKNOWN: 20}
    assert rows.loc["a", ["customers", "sales", "important"]].tolist() == [4, 100, 1]
    assert (rows["low"] < rows["index"]).all()
    alone = profiles.side_by_side(*people_with([UNKNOWN] * 3, [1.0, 2.0, 3.0]))
    assert alone["index"].tolist() == [100]
    assert profiles.side_by_side(*people_with([], [])).empty


@many_seeds(60, 200)
def test_the_interval_of_an_index_covers_the_truth_as_often_as_it_says(seeds):
    rng, hits = np.random.default_rng(1), []
    true = 100 * 1.5 / (0.2 * 1.5 + 0.8)
    for _ in range(seeds):
        by = np.where(rng.random(400) < 0.2, "a", "b")
        people, by = people_with(by, rng.gamma(1.2, np.where(by == "a", 150.0, 100.0)))
        row = profiles.side_by_side(people, by).set_index("age").loc["a"]
        hits.append(row["low"] <= true <= row["high"])
    assert 0.84 <= np.mean(hits) <= 0.96  # nine in ten


def test_explained_equals_leave_one_out_done_the_long_way():
    rng = np.random.default_rng(2)
    by, x = rng.choice(list("abc"), 60), rng.gamma(1, 100, 60)
    x[by == "a"] += 100
    people, by = people_with(by, x)
    x = people["monetary"].to_numpy()
    others = [np.delete(np.arange(60), i) for i in range(60)]
    base = sum((x[i] - x[o].mean()) ** 2 for i, o in enumerate(others))
    missed = sum(
        (x[i] - x[[j for j in o if by[j] == by[i]]].mean()) ** 2 for i, o in enumerate(others)
    )
    row = profiles.telling(pd.DataFrame({"age": by}), people["monetary"]).iloc[0]
    assert row["explained"] == pytest.approx(1 - missed / base)
    means = people["monetary"].groupby(by).mean()
    assert (row["highest"], row["times"]) == ("a", pytest.approx(means.max() / means.min()))


def test_what_tells_is_told_apart_from_what_does_not():
    rng, n = np.random.default_rng(3), 900
    good = rng.choice(list("abc"), n)
    people, by = people_with(
        good, rng.gamma(2, np.select([good == "a", good == "b"], [150.0, 80.0], 30.0))
    )
    asked = (
        rng.random(n) < people["monetary"] / 300
    )  # good customers were asked; their answers tell nothing
    groups = {
        "good": by,
        "broken": pd.Series(rng.permutation(good), by.index),
        "many": pd.Series(rng.integers(0, 90, n).astype("str"), by.index),
    }
    groups["asked"] = pd.Series(np.where(asked, rng.choice(["x", "y"], n), UNKNOWN), by.index)
    rows = profiles.telling(pd.DataFrame(groups), people["monetary"]).set_index("grouping")
    assert rows.index[0] == "good"
    assert rows["tells"].to_dict() == {"good": True, "broken": False, "many": False, "asked": False}
    truth = (
        1
        - people["monetary"].groupby(by).transform(lambda s: (s - s.mean()) ** 2).sum()
        / ((people["monetary"] - people["monetary"].mean()) ** 2).sum()
    )
    assert rows.loc["good", "explained"] == pytest.approx(truth, abs=0.01)
    assert 0 < rows.loc["good", "low"] < truth < rows.loc["good", "high"]
    for nothing in (
        "broken",
        "many",
        "asked",
    ):  # within the groups of "many", in-sample, a tenth would be explained
        assert rows.loc[nothing, "explained"] < 0.01, nothing
        assert rows.loc[nothing, "low"] < 0, nothing
    assert rows.loc["asked", "known"] == pytest.approx(asked.mean())


def test_equal_past_sales_leave_nothing_to_a_grouping_that_only_repeats_them():
    rng, n = np.random.default_rng(4), 2000
    past = rng.gamma(1, 100, n)
    later = pd.Series(past * rng.gamma(4, 0.25, n))
    groups = pd.DataFrame({"past": pd.Series(pd.qcut(past, 10, labels=False)).astype("str")})
    assert profiles.telling(groups, later)["explained"].iloc[0] > 0.3
    notebook = functions_of("04e_profiles_and_tiers")
    notebook["np"] = np
    left_over = notebook["beyond_past"](later, pd.Series(past))
    assert profiles.telling(groups, left_over)["explained"].iloc[0] < 0.01
    assert notebook["beyond_past"](later, pd.Series(dtype=float)).empty


def test_nobody_and_nothing_known_give_empty_frames():
    nobody = profiles.conduct(sources(), BEGIN, AS_OF)
    customers = pd.DataFrame({"customer_id": pd.Series(dtype="str")})
    known = profiles.described(customers, nobody, AS_OF)
    groups = profiles.groupings(known)
    assert nobody.empty
    assert groups.empty
    assert profiles.dimensions(groups, "who")[0] == []
    told = profiles.telling(groups, pd.Series(dtype=float))
    assert told[told["tells"]]["grouping"].tolist() == []
    assert profiles.move_signs(nobody, nobody).empty


# --- member tiers ----------------------------------------------------------------------------

PLAIN, GOLD = Tier(name="plain"), Tier(name="gold", sales=100, benefit=0.1, fixed=5)


def test_a_year_is_a_year_and_less_is_drawn_out_to_one():
    lines = table(
        "orders",
        line("a", "1", 0),
        line("a", "2", 364),
        line("a", "3", 365),
        line("b", "4", 9, revenue=-4.0),
    )
    whole = member_tiers.yearly(lines, AS_OF - timedelta(days=800), AS_OF).set_index("customer_id")[
        "yearly_sales"
    ]
    assert whole.to_dict() == {"a": 20, "b": -4}
    half = member_tiers.yearly(lines, AS_OF - timedelta(days=72), AS_OF).set_index("customer_id")[
        "yearly_sales"
    ]
    assert half.to_dict() == {"a": 50, "b": -20}  # 73 days: a fifth of a year
    margin = member_tiers.yearly(
        lines.mutate(margin=lines.revenue / 2), AS_OF - timedelta(days=800), AS_OF
    )
    assert margin.set_index("customer_id")["yearly_margin"].to_dict() == {"a": 10, "b": -2}


def test_the_proposal_has_round_and_rising_thresholds():
    sales = pd.Series(np.random.default_rng(1).gamma(1, 700, 4000))
    found = {t.name: t.sales for t in member_tiers.propose_tiers(sales)}
    assert list(found) == ["plain", "silver", "gold", "diamond"]
    assert found == {"plain": 0, "silver": 600, "gold": 1500, "diamond": 2500}
    tiered = member_tiers.add_tier(
        pd.DataFrame({"yearly_sales": sales}), member_tiers.propose_tiers(sales)
    )["tier"]
    assert tiered.value_counts(normalize=True)[["gold", "diamond"]].sum() == pytest.approx(
        0.15, abs=0.05
    )
    assert [t.name for t in member_tiers.propose_tiers(pd.Series([10.0, 10.0]))] == [
        "plain",
        "silver",
    ]
    assert [t.name for t in member_tiers.propose_tiers(pd.Series(dtype=float))] == ["plain"]
    assert [tiers._round(x) for x in (0.9, 1.2, 34, 340, 360, 7100, 99999)] == [
        1,
        1,
        30,
        300,
        400,
        8000,
        100000,
    ]


def test_tiers_of_the_settings_must_rise():
    plain = {"schema_version": 1, "title": "x", "currency": "EUR", "timezone": "UTC"}
    assert Settings(**plain, tiers=[{"name": "a"}, {"name": "b", "from": 10}]).tiers[1].sales == 10
    for wrong in (
        [{"name": "a", "from": 9}, {"name": "b"}],
        [{"name": "a"}, {"name": "a", "from": 1}],
    ):
        with pytest.raises(ValidationError, match="lowest tier first"):
            Settings(**plain, tiers=wrong)


def members(*rows):
    """Members (yearly sales, margin, average order, messages, cases), with one order each in the window."""
    frame = pd.DataFrame(
        rows, columns=["yearly_sales", "yearly_margin", "aov", "contacts", "cases"]
    ).astype(float)
    frame = frame.assign(
        customer_id=[f"c{i}" for i in frame.index], frequency=1, costed=0.0, case_cost=0.0
    )
    return member_tiers.add_tier(frame, [PLAIN, GOLD])


def test_who_pays_nothing_into_a_paying_programme_has_no_tier():
    only = [GOLD]
    people = member_tiers.add_tier(pd.DataFrame({"yearly_sales": [100.0, 99.0, np.nan]}), only)
    assert people["tier"].tolist() == ["gold", "no tier", "no tier"]


def test_ways_up_count_what_is_missing_and_what_it_costs():
    people = members(
        (95, 40, 2, 0, 0), (60, 20, 45, 0, 0), (50, 20, 10, 0, 0), (300, 120, 50, 0, 0)
    )
    row = member_tiers.ways_up(people, [PLAIN, GOLD]).iloc[0]
    assert row[["tier", "next_tier", "members", "near", "missing"]].tolist() == [
        "plain",
        "gold",
        3,
        2,
        45,
    ]
    assert row["orders"] == 2  # three orders of 2, or one of 45
    assert row["extra_margin"] == pytest.approx(45 * 200 / 505)
    assert row["extra_benefits"] == 2 * (0.1 * 100 + 5)
    assert not row["pays"]
    assert member_tiers.ways_up(people.head(0), [PLAIN]).empty


def test_large_enough_is_the_sample_size_of_the_textbook():
    rng = np.random.default_rng(1)
    then = pd.DataFrame({"customer_id": range(400), "tier": "gold", "monetary": 1.0})
    pace = rng.normal(0, 1, 400)
    pace = 1000 + 500 * (pace - pace.mean()) / pace.std(ddof=1)
    now = pd.DataFrame({"customer_id": range(400), "tier": "gold", "pace": pace})
    row = member_tiers.large_enough(
        then, now, [PLAIN, Tier(name="gold", sales=1000)], lift=0.25
    ).iloc[0]
    assert row["needed"] == 128  # half a standard deviation: 64 in each group (Cohen 1988)
    assert row[["members", "enough"]].tolist() == [400, True]
    assert row["stayed"] == pytest.approx((pace >= 1000).mean())
    told = member_tiers.large_enough(
        then.assign(monetary=pace + rng.normal(0, 500, 400)), now, [PLAIN, GOLD], lift=0.25
    )
    assert told["needed"].iloc[0] == pytest.approx(
        64, abs=8
    )  # earlier sales tell half of the spread
    three = [PLAIN, Tier(name="silver", sales=500), Tier(name="gold", sales=1000)]
    half = {"tier": np.where(np.arange(400) % 4, "silver", "gold")}
    both = member_tiers.large_enough(
        then.assign(**half), now.assign(**half), three, lift=0.25
    ).set_index("tier")
    assert both.loc["all above plain", ["members", "needed"]].tolist() == [400, 128]
    assert both.loc["gold", "members"] == 100
    assert both["enough"].tolist() == [True, False, True]
    unknown = member_tiers.large_enough(then.head(0), now, [PLAIN, GOLD]).iloc[0]
    assert pd.isna(unknown["needed"])
    assert not unknown["enough"]


def test_cards_hold_the_last_tier_and_what_is_owed():
    at = [datetime(2023, 1, 5), datetime(2024, 2, 1), datetime(2024, 3, 1), datetime(2024, 7, 1)]
    rows = [
        {
            "customer_id": "a",
            "happened_at": at[0],
            "tier": "silver",
            "fee": 10.0,
            "stored_value": 50.0,
            "points": 5.0,
        },
        {
            "customer_id": "a",
            "happened_at": at[1],
            "tier": "gold",
            "fee": 20.0,
            "stored_value": -30.0,
            "points": None,
        },
        {
            "customer_id": "a",
            "happened_at": at[2],
            "tier": None,
            "fee": None,
            "stored_value": None,
            "points": 7.0,
        },
        {
            "customer_id": "a",
            "happened_at": at[3],
            "tier": "none",
            "fee": 99.0,
            "stored_value": 99.0,
            "points": 99.0,
        },
        {
            "customer_id": "b",
            "happened_at": at[1],
            "tier": None,
            "fee": None,
            "stored_value": 5.0,
            "points": None,
        },
    ]
    found = (
        member_tiers.member_cards(table("memberships", *rows), AS_OF).to_pandas().set_index("tier")
    )
    assert found.loc["gold", ["members", "fees", "stored_value", "points"]].tolist() == [
        1,
        20,
        20,
        12,
    ]
    assert found.loc["", ["members", "stored_value"]].tolist() == [1, 5]


def test_row_work_compiles_for_other_engines(monkeypatch):
    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())
    by = {t: ibis.table(tables.get(t).schema, name=t) for t in tables.CANONICAL}
    work = [
        profiles.habits(profiles.with_goods(by["orders"], by["products"]), BEGIN, AS_OF),
        profiles.answers(by["messages"], by["redemptions"], BEGIN, AS_OF),
        profiles.service(by["tickets"], BEGIN, AS_OF),
        member_tiers.member_cards(by["memberships"], AS_OF),
    ]
    for expression in work:
        for dialect in ("pyspark", "bigquery", "snowflake"):
            assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


# --- the truth -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A small twin: what was bought, clean, and who bought it."""
    from simulator import write_twin

    folder = write_twin(tmp_path_factory.mktemp("twin") / "t", 800, 11, events=False)
    bought = pd.read_csv(folder / "truth" / "orders.csv", low_memory=False)
    bought = bought[bought["person"].notna() & ~bought["is_return"]]
    at = pd.to_datetime(bought["ordered_at"])
    orders = bought[
        ["order_id", "product_id", "quantity", "revenue", "channel", "discount"]
    ].assign(
        customer_id=bought["person"],
        ordered_at=at,
        ordered_at_local=at,
        ordered_on=at.dt.normalize(),
        line_no=1,
    )
    schema = {c: tables.get("orders").schema[c] for c in orders.columns} | {
        "ordered_on": "timestamp"
    }
    orders = ibis.memtable(orders, schema=schema).cast({"ordered_on": "date"})
    products = pd.read_csv(folder / "truth" / "products.csv")[
        ["product_id", "category", "brand"]
    ].drop_duplicates("product_id")
    lines = profiles.with_goods(tables.conform(orders, "orders"), ibis.memtable(products))
    days = at.dt.date
    found = profiles.habits(lines, days.min(), days.max()).to_pandas()
    return found.merge(
        pd.read_csv(folder / "truth" / "people.csv"), left_on="customer_id", right_on="person"
    )


def test_the_profile_recovers_the_truth_of_the_twin(twin):
    often = twin[twin["orders"] >= 5]
    assert len(often) > 100
    right = {"favourite_x": (often["favourite_x"] == often["favourite_y"]).mean()}
    plain = (
        often["favourite_y"] == twin["favourite_y"].mode()[0]
    ).mean()  # the most common one for everybody
    broken = (
        often["favourite_x"].to_numpy()
        == often["favourite_y"].sample(frac=1, random_state=1).to_numpy()
    ).mean()
    assert right["favourite_x"] > 0.7
    assert plain < 0.25
    assert broken < 0.3
    home = (often["channel"] == often["home_channel"]).mean()
    assert home > 0.9
    assert home > (often["home_channel"] == twin["home_channel"].mode()[0]).mean() + 0.2


def test_more_orders_recover_more_and_price_shows_in_discounts(twin):
    counts = pd.cut(twin["orders"], [0, 1, 4, 99])
    right = (twin["favourite_x"] == twin["favourite_y"]).groupby(counts, observed=True).mean()
    assert right.is_monotonic_increasing
    bought = twin[twin["orders"] >= 2].groupby("sensitivity")["discounted"].mean()
    assert bought["high"] > bought["low"]

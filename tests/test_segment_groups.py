"""Groups and personas: found where they are, denied where they are not, named and checked from data alone."""

import datetime
import re
from importlib import import_module

import ibis
import numpy as np
import pandas as pd
import pytest
from conftest import functions_of, many_seeds
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from helpers import show, stats, tables
from helpers.analyze.relations import factors
from helpers.segment.groups import clustering, features, personas, survey_needs
from helpers.show.report import safe

DAY = datetime.date
ORDERS, PRODUCTS, MESSAGES, REDEMPTIONS = (
    tables.get(t).schema for t in ("orders", "products", "messages", "redemptions")
)


def frame(points):
    return pd.DataFrame(points, index=[f"c{i:05d}" for i in range(len(points))])


def as_table(rows, schema):
    """Rows of a canonical table with only the columns given; the others are empty."""
    return tables.conform(
        ibis.memtable(pd.DataFrame(rows)),
        next(n for n in tables.CANONICAL if tables.get(n).schema == schema),
    )


def lines(*rows):
    """Order lines from (customer, order, day and hour, product, revenue, discount, channel)."""
    names = ["customer_id", "order_id", "at", "product_id", "revenue", "discount", "channel"]
    found = pd.DataFrame(rows, columns=names)
    at = pd.to_datetime(found.pop("at"))
    found = found.assign(
        line_no=found.groupby("order_id").cumcount() + 1,
        ordered_at=at,
        ordered_at_local=at,
        quantity=1.0,
    )
    return as_table(found.assign(ordered_on=at.dt.date), ORDERS)


def shop(people=120, orders_each=6, seed=1):
    """Two kinds of customers, garden in store at noon and kitchen on the web at night, and what they bought."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(people):
        garden = i % 2 == 0
        for k in range(orders_each):
            day = pd.Timestamp("2024-01-01") + pd.Timedelta(
                days=int(rng.integers(0, 360)), hours=12 if garden else 20
            )
            for _line in range(3):
                kind = (
                    "Garden" if garden == (rng.random() < 0.9) else rng.choice(["Kitchen", "Bath"])
                )
                rows.append(
                    (f"c{i:04d}", f"o{i}-{k}", day, kind, 20.0, 0.0, "store" if garden else "web")
                )
    goods = pd.DataFrame(
        {"product_id": ["Garden", "Kitchen", "Bath"], "category": ["Garden", "Kitchen", "Bath"]}
    )
    return lines(*rows), as_table(goods, PRODUCTS)


# --- features ------------------------------------------------------------------------------------------------


def test_row_work_compiles_for_other_engines(monkeypatch):
    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())
    orders, products = ibis.table(ORDERS, name="orders"), ibis.table(PRODUCTS, name="products")
    messages = ibis.table(MESSAGES, name="messages")
    redemptions = ibis.table(REDEMPTIONS, name="redemptions")
    parts = products.select("product_id", part="category")
    span = DAY(2017, 1, 1), DAY(2017, 12, 31)
    for expression in (
        features.tallies(orders, parts, span[1], span[0]),
        features.order_sizes(orders, span[1]),
        personas.contacts(messages, orders, redemptions, span, 7),
        survey_needs.brand_loyalty(orders, products),
    ):
        for dialect in ("pyspark", "bigquery", "snowflake"):
            assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


def test_tallies_by_hand():
    rows = lines(
        ("a", "1", "2024-06-01 10:00", "x", 10.0, 0.0, "web"),  # a Saturday
        ("a", "1", "2024-06-01 10:00", "y", 5.0, 1.0, "web"),
        ("a", "2", "2024-06-03 18:00", "x", 10.0, 0.0, "store"),
        ("a", "3", "2024-07-01 18:00", "x", 10.0, 0.0, "store"),  # after the last day
        (None, "4", "2024-06-03 18:00", "x", 10.0, 0.0, "store"),
    )
    parts = ibis.memtable(pd.DataFrame({"product_id": ["x", "y"], "part": ["X", "Y"]}))
    found = features.tallies(rows, parts, DAY(2024, 6, 30)).to_pandas()
    found = {(r.facet, r.part): r.n for r in found.itertuples()}
    assert found == {
        ("what", "X"): 2,
        ("what", "Y"): 1,
        ("price", "full"): 2,
        ("price", "reduced"): 1,
        ("where", "web"): 1,
        ("where", "store"): 1,
        ("day", "weekend"): 1,
        ("day", "weekday"): 1,
        ("hour", "before eleven"): 1,
        ("hour", "in the evening"): 1,
        ("month", "6"): 2,
    }
    size = features.order_sizes(rows, DAY(2024, 6, 30)).to_pandas().iloc[0]
    assert (size["orders"], size["sales"]) == (2, 25.0)
    assert size["value_mean"] == pytest.approx((np.log(15) + np.log(10)) / 2)
    assert size["value_ss"] == pytest.approx(np.log(1.5) ** 2 / 2)


def test_a_category_that_holds_most_lines_gives_way_to_its_parts():
    rows = lines(
        *[("a", str(i), "2024-06-01", p, 1.0, 0.0, "web") for i, p in enumerate("aaabbbc")]
    )
    goods = pd.DataFrame(
        {
            "product_id": list("abc"),
            "category": ["food", "food", "toys"],
            "subcategory": ["milk", "bread", "balls"],
        }
    )
    found = features.goods(rows, as_table(goods, PRODUCTS), DAY(2024, 12, 31)).to_pandas()
    assert sorted(found["part"]) == ["balls", "bread", "milk"]


def test_with_one_level_only_a_large_category_stays():
    rows = lines(*[("a", str(i), "2024-06-01", p, 1.0, 0.0, "web") for i, p in enumerate("aaac")])
    goods = as_table(
        pd.DataFrame({"product_id": ["a", "c"], "category": ["food", "toys"]}), PRODUCTS
    )
    assert sorted(features.goods(rows, goods, DAY(2024, 12, 31)).to_pandas()["part"]) == [
        "food",
        "toys",
    ]


def test_dirichlet_is_found_again_and_alike_customers_give_a_strong_pull():
    rng = np.random.default_rng(5)
    true = np.array([1.0, 2.0, 0.5, 1.5])
    drawn = np.array([rng.multinomial(12, p) for p in rng.dirichlet(true, 3000)])
    assert features.dirichlet(drawn) == pytest.approx(true, rel=0.1)
    alike = rng.multinomial(12, [0.2, 0.4, 0.1, 0.3], 3000)
    assert features.dirichlet(alike).sum() > 500


def test_few_orders_are_drawn_to_the_average_and_logs_are_symmetric():
    usual = {"what": pd.Series([4.0, 4.0], ["A", "B"])}

    def feature(a, b):
        counts = pd.DataFrame(
            {"customer_id": "x", "facet": "what", "part": ["A", "B"], "n": [a, b]}
        )
        people = pd.DataFrame({"orders": [a + b]}, index=pd.Index(["x"], name="customer_id"))
        return float(features.habit_features(counts, people, usual)["what", "A"].iloc[0])

    assert 0 < feature(2, 0) < feature(20, 0) < feature(200, 0)
    assert feature(200, 0) == pytest.approx(-feature(0, 200))
    assert feature(500, 250) == pytest.approx(np.log(2) / 2, abs=0.01)


def test_habits_that_last_repeat_and_chance_does_not():
    rng = np.random.default_rng(3)
    own = rng.normal(size=(400, 1))
    columns = pd.MultiIndex.from_tuples([("what", "A"), ("day", "B")])
    early, late = (
        pd.DataFrame(np.hstack([own, rng.normal(size=(400, 1))]), columns=columns) for _ in range(2)
    )
    found = features.habits_kept(early, late).set_index("facet")["repeats"]
    assert found["what"] == pytest.approx(1)
    assert abs(found["day"]) < 0.15


# --- are there groups? ----------------------------------------------------------------------------------------

rng = np.random.default_rng(3)
common = rng.normal(size=(700, 1))
SMOOTH = {
    "a round cloud": rng.normal(size=(700, 8)),
    "a long cloud": common * rng.uniform(0.5, 1, 8) + 0.6 * rng.normal(size=(700, 8)),
    "a skewed cloud": np.exp(
        0.8 * (common * rng.uniform(0.5, 1, 6) + 0.6 * rng.normal(size=(700, 6)))
    ),
    "an even square": rng.uniform(size=(700, 2)),
    "heavy tails": rng.standard_t(3, size=(700, 6)),
}
BLOBS, TRUE = make_blobs(700, 6, centers=4, center_box=(-7, 7), random_state=2)
CLEAR = {
    "four round groups": (BLOBS, TRUE),
    "unequal groups": (
        np.vstack(
            [rng.normal(size=(n, 8)) + 6 * np.eye(8)[i] for i, n in enumerate((300, 200, 100, 60))]
        ),
        np.repeat(range(4), (300, 200, 100, 60)),
    ),
    "two that differ in one feature": (
        np.c_[np.repeat([-5, 5], 350), np.zeros(700)] + rng.normal(size=(700, 2)),
        np.repeat([0, 1], 350),
    ),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_no_groups_are_found_in_a_smooth_cloud(name):
    _k, verdict = clustering.choose_number(clustering.group_numbers(frame(SMOOTH[name]), draws=2))
    assert verdict == "none"


@pytest.mark.parametrize("name", CLEAR)
def test_clear_groups_are_found_by_all_three_ways(name):
    points, true = CLEAR[name]
    k, verdict = clustering.choose_number(clustering.group_numbers(frame(points), draws=2))
    assert (k, verdict) == (len(set(true)), "clear")
    for method in clustering.METHODS:
        found = clustering.assign_groups(
            clustering.make_groups(frame(points), method, k), frame(points)
        )
        assert adjusted_rand_score(true, found) > 0.97, method
        sizes = found.value_counts().sort_index()
        assert sizes.index.tolist() == list(range(1, k + 1))
        assert sizes.is_monotonic_decreasing


def test_a_reference_without_correlations_would_call_a_long_cloud_groups(monkeypatch):
    shuffled = lambda rows, rng: np.column_stack([rng.permutation(c) for c in rows.T])  # noqa: E731
    monkeypatch.setattr(clustering, "smooth", shuffled)
    assert (
        clustering.choose_number(clustering.group_numbers(frame(SMOOTH["a long cloud"]), draws=2))[
            1
        ]
        != "none"
    )


def test_centres_move_to_the_middle_of_their_points():
    move_centres = functions_of("04b_groups_and_personas")["move_centres"]
    points = np.array([[0.0, 0.0], [0.0, 2.0], [9.0, 0.0], [9.0, 4.0]])
    found = move_centres(points, points[[0, 2]])
    assert found.tolist() == [[0.0, 1.0], [9.0, 2.0]]


def test_the_stop_rule_finds_the_number_by_itself():
    points, _true = CLEAR["unequal groups"]
    assert len(clustering.two_step(points).centres) == 4
    assert len(clustering.som(points).centres) == 4


def test_merging_counts_customers_not_units():
    units = np.array([[0.0], [1.0], [10.0], [10.5]])
    assert sorted(clustering.merge(units, np.array([1, 1, 50, 50]), k=2).ravel()) == pytest.approx(
        [0.5, 10.25]
    )
    assert sorted(clustering.merge(units, np.array([1, 3, 1, 0]), k=2).ravel()) == pytest.approx(
        [0.75, 10.0]
    )


def test_a_giant_with_specks_is_no_use():
    points = np.vstack(
        [
            rng.normal(size=(400, 3)) * 0.1,
            rng.normal(size=(5, 3)) + 50,
            rng.normal(size=(5, 3)) - 50,
        ]
    )
    found = clustering.group_numbers(frame(points), draws=2)
    assert not found["usable"].any()
    assert clustering.choose_number(found)[0] == 0


def test_too_few_customers_are_said_to_be_too_few():
    for n in (0, 1, 3, 40):
        assert clustering.choose_number(
            clustering.group_numbers(frame(rng.normal(size=(n, 4))))
        ) == (0, "few")


def test_stability_is_high_for_groups_and_low_for_chance():
    assert clustering.stability(frame(BLOBS), "k-means", 4)["jaccard"].min() > 0.97
    assert (
        clustering.stability(frame(SMOOTH["a round cloud"]), "k-means", 6)["jaccard"].mean() < 0.5
    )


def test_groups_of_two_times_are_paired_by_their_customers():
    now = pd.Series([1, 1, 1, 2, 2, 3], index=list("abcdef"), dtype="Int64")
    before = now.map({1: 3, 2: 1, 3: 2})
    assert clustering.match_groups(before, now).equals(now)


def test_the_map_lays_like_customers_side_by_side():
    found = clustering.assign_groups(
        clustering.make_groups(frame(BLOBS), "k-means", 4), frame(BLOBS)
    )
    drawn = clustering.draw_map(frame(BLOBS), found)
    assert drawn.shape == (6, 8)
    flat = drawn.to_numpy()
    pairs = [
        (flat[i, j], flat[i, j + 1])
        for i in range(6)
        for j in range(7)
        if not np.isnan(flat[i, j : j + 2]).any()
    ]
    assert np.mean([a == b for a, b in pairs]) > 0.7


def test_foresight_by_hand_and_of_chance():
    who = [f"c{i}" for i in range(300)]
    parts = list("ABCDEF")
    kind = np.repeat([0, 1], 150)
    early = pd.DataFrame(0.0, who, parts)
    early.iloc[:150, :3], early.iloc[150:, 3:] = 1.0, 1.0
    late = early * 2
    later = clustering.Later(early, late, pd.Series(np.where(kind, 100.0, 1.0), who))
    told = clustering.foresight(pd.Series(kind, who), later)
    assert (told["hits"], told["better"], told["explained"]) == pytest.approx((1.0, 0.5, 1.0))
    luck = clustering.foresight(pd.Series(np.random.default_rng(1).permutation(kind), who), later)
    assert luck["low"] < 0.06
    assert luck["explained_low"] < 0.02


def test_plain_rules_stand_beside_the_methods():
    points = frame(BLOBS)
    counts = pd.DataFrame(np.eye(4)[TRUE] * 3, points.index, list("ABCD"))
    later = clustering.Later(counts, counts, pd.Series(1.0, points.index))
    table = clustering.compare_methods(
        points, 4, later, {"favourite category": counts.idxmax(axis=1)}
    )
    assert table["method"].tolist() == [*clustering.METHODS, "favourite category"]
    assert table["hits"].between(0.99, 1.01).all()
    assert clustering.choose_method(table) in clustering.METHODS
    assert clustering.choose_method(table.assign(usable=False)) == "k-means"


# --- personas --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    """The chain of the notebook on the shop of two kinds."""
    orders, products = shop()
    early, late, now = features.habit_periods(orders, products, DAY(2024, 8, 31), DAY(2024, 12, 31))
    made = clustering.make_groups(now.shape.loc[now.known], "k-means", 2)
    labels = clustering.assign_groups(made, now.shape)
    people = now.people.index
    segments = pd.DataFrame(
        {
            "customer_id": [*people, "never"],
            "tier": "plain",
            "stage": "active",
            "yearly_sales": 10.0,
            "frequency": 2,
            "monetary": 8.0,
        }
    )
    customers = pd.DataFrame(
        {"customer_id": people, "gender": ["f" if i % 2 == 0 else "m" for i in range(len(people))]}
    )
    drawn = personas.portrait(
        personas.with_traits(now.counts, customers, segments, pd.Series(dtype="str")), labels
    )
    named = personas.name_groups(drawn, labels, now.people["orders"])
    rows = personas.persona_rows(segments, now, labels, named)
    values = pd.DataFrame({"customer_id": people, "predicted_value": 5.0, "basis": "sales"})
    figures = personas.persona_figures(rows, segments, values)
    return early, late, now, labels, drawn, named, rows, figures


def test_customers_without_a_favourite_have_a_card_all_the_same(found):
    _early, _late, now, labels, _drawn, named, rows, _figures = found
    segments = rows[["customer_id"]].assign(tier="plain", stage="active")
    nothing = now._replace(counts=now.counts.head(0))
    none = personas.persona_rows(segments, nothing, labels, named)
    assert len(none) == len(rows)
    assert none["favourite"].isna().all()
    assert none["labels"].str.startswith("plain").all()


def test_names_come_from_what_stands_out(found):
    *_, named, rows, _figures = found
    assert set(named["persona"]) == {"Garden buyers, in store", "Bath and kitchen buyers, online"}
    assert named["persona"].is_unique
    assert rows.set_index("customer_id").loc["c0000", "group"] == "Garden"
    assert rows.set_index("customer_id").loc["c0000", "place"] == "in store"
    assert pd.isna(rows.set_index("customer_id").loc["never", "persona"])


def test_a_habit_that_hardly_repeats_and_goods_never_advertised_are_not_told():
    drawn = pd.DataFrame(
        {"facet": ["what", "what", "hour", "age_band"], "part": ["Tea", "Gift cards", "noon", "30"]}
    )
    kept = pd.DataFrame({"facet": ["what", "hour"], "repeats": [0.5, 0.05]})
    assert personas.to_tell(drawn, kept, ["gift card"])["part"].tolist() == ["Tea", "30"]
    assert len(personas.to_tell(drawn, kept[:0], [])) == 4


def test_equal_groups_still_get_names_of_their_own():
    who = [f"c{i}" for i in range(40)]
    drawn = personas.portrait(
        pd.DataFrame({"customer_id": who, "facet": "what", "part": "A", "n": 1}),
        pd.Series([1, 2] * 20, who),
    )
    named = personas.name_groups(drawn, pd.Series([1, 2] * 20, who), pd.Series(3, who))
    assert named["persona"].tolist() == ["All-round buyers", "All-round buyers 2"]


def test_labels_are_by_tier_group_and_person(found):
    rows = found[6].set_index("customer_id")
    assert re.fullmatch(
        r"plain \| Garden buyers.* \| active \| likes garden \| in store",
        rows.loc["c0000", "labels"],
    )
    assert rows.loc["never", "labels"] == "plain | active"


def test_figures_add_up_to_all_customers(found):
    figures = found[7]
    assert figures["customers"].sum() == 120
    assert figures["share_of_customers"].sum() == pytest.approx(1)
    assert figures["share_of_sales"].sum() == pytest.approx(120 / 121)
    assert (figures["average_order"] == 4).all()


def test_cards_say_only_what_was_counted(found):
    _early, _late, now, labels, drawn, named, _rows, figures = found
    steady = clustering.stability(now.shape.loc[now.known], "k-means", 2)["jaccard"].rename(
        named.set_index("group")["persona"]
    )
    told = personas.persona_told(pd.DataFrame(columns=["group"]), steady, figures, "EUR")
    cards = personas.persona_cards(figures, drawn, told).set_index("group")
    garden = cards.loc["Garden"]
    share = (
        now.counts.query("facet == 'what' and part == 'Garden'")
        .set_index("customer_id")["n"]
        .reindex(labels.index)
        .fillna(0)
    )
    total = (
        now.counts.query("facet == 'what'").groupby("customer_id")["n"].sum().reindex(labels.index)
    )
    mine = labels == named.set_index("label").loc["Garden", "group"]
    assert (
        f"Garden: {show.percent(share[mine].sum() / total[mine].sum())} of what they buy"
        in garden["likes"]
    )
    assert "Open with Garden" in garden["advice"]
    assert "Meet them in store" in garden["advice"]
    assert "Do not lead with" in garden["avoid"]
    assert "More women" in garden["people"]
    assert garden["answers"] == personas.RULES["told"]["unsure"]
    assert "5.00" in garden["lead"]


def test_a_group_like_all_others_gets_no_invented_sentence():
    who = pd.Index([f"c{i}" for i in range(400)], name="customer_id")
    draw = np.random.default_rng(8)
    counts = pd.concat(
        [
            pd.DataFrame(
                {"customer_id": who, "facet": "what", "part": part, "n": draw.poisson(3, 400)}
            )
            for part in "ABC"
        ]
    )
    drawn = personas.portrait(counts, pd.Series(draw.integers(1, 3, 400), who))
    assert not drawn["sure"].any()
    figures = pd.DataFrame({"persona": ["x"], "number": [1]})
    card = personas.persona_cards(figures, drawn, pd.DataFrame({"persona": ["x"]})).iloc[0]
    assert card["likes"] == "A little of everything, as everybody does"
    assert card["avoid"] == "Leave nothing out: there is no part of the range they shun"


def test_cards_are_escaped_and_keep_their_form_in_the_report(monkeypatch):
    shown = []
    monkeypatch.setattr(
        import_module("helpers.show.wall_cards"), "display", lambda html: shown.append(html.data)
    )
    row = {
        "persona": "<script>alert(1)</script>",
        "share": 0.5,
        "likes": "a < b\nc",
        "note": "<img src=x>",
    }
    show.cards(
        pd.DataFrame([row]),
        "persona",
        {"share": "of all"},
        {"likes": "Likes"},
        note="note",
        percent=("share",),
    )
    assert "<script>" not in shown[0]
    page = str(safe(shown[0]))
    assert "<style>" not in page
    assert "grid" not in page
    assert '<span class="w10"></span>' in page
    assert "<li>a &lt; b</li><li>c</li>" in page
    assert "<img" not in page


def test_changes_since_the_last_run_count_who_stayed():
    before = pd.DataFrame({"customer_id": list("abcd"), "persona": ["x", "x", "y", "y"]})
    now = pd.DataFrame({"customer_id": list("abce"), "persona": ["x", "y", "y", "x"]})
    table = personas.persona_changes(before, now).set_index("persona")
    assert table.loc["x"].tolist() == [2, 2, 0.5]
    assert table.loc["y"].tolist() == [2, 2, 0.5]
    assert personas.persona_changes(None, now).empty


# --- answers ----------------------------------------------------------------------------------------------------


def mails(effects, people=400, campaigns=6, held=0.3, seed=1):
    """Contacts of len(effects) groups of customers: who was contacted orders more often, by the group's effect."""
    draw, rows = np.random.default_rng(seed), []
    group = pd.Series(np.arange(people) % len(effects) + 1, [f"c{i}" for i in range(people)])
    for campaign in range(campaigns):
        out = draw.random(people) < held
        chance = 0.10 + np.where(out, 0, np.array(effects)[group - 1])
        rows.append(
            pd.DataFrame(
                {
                    "campaign_id": f"m{campaign}",
                    "customer_id": group.index,
                    "held": out,
                    "ordered": draw.random(people) < chance,
                }
            )
        )
    return pd.concat(rows, ignore_index=True).assign(
        opened=False, clicked=False, redeemed=False
    ), group


def test_contacts_by_hand():
    sent = pd.DataFrame(
        {
            "message_id": ["1", "2", "3", "4"],
            "campaign_id": "m",
            "customer_id": ["a", "b", "a", "a"],
            "sent_at": pd.to_datetime(
                ["2024-06-01 10:00", "2024-06-01 10:00", "2024-05-01 10:00", "2024-06-29 10:00"]
            ),
            "opened_at": pd.to_datetime(["2024-06-01 12:00", None, None, None]),
            "is_holdout": [False, True, False, False],
        }
    )
    used = pd.DataFrame(
        {
            "redemption_id": ["r"],
            "customer_id": ["b"],
            "coupon_id": ["k"],
            "campaign_id": ["m"],
            "redeemed_on": [DAY(2024, 6, 2)],
        }
    )
    rows = lines(
        ("a", "1", "2024-06-01 09:00", "x", 1.0, 0.0, "web"),
        ("b", "2", "2024-06-08 09:00", "x", 1.0, 0.0, "web"),
    )
    found = personas.contacts(
        as_table(sent, MESSAGES),
        rows,
        as_table(used, REDEMPTIONS),
        (DAY(2024, 5, 1), DAY(2024, 6, 30)),
        7,
    )
    found = found.to_pandas().set_index("customer_id")
    assert sorted(found.index) == [
        "a",
        "b",
    ]  # the third was sent before the span, the fourth too late to be answered
    assert found.loc["a", ["held", "opened", "clicked", "redeemed", "ordered"]].tolist() == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert found.loc["b", ["held", "opened", "clicked", "redeemed", "ordered"]].tolist() == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_one_campaign_gives_the_plain_difference():
    rows, group = mails([0.2], campaigns=1)
    table = personas.response(rows, group, "extra").iloc[0]
    rates = rows.groupby("held")["ordered"].mean()
    assert table["difference"] == pytest.approx(rates[False] - rates[True])
    n = rows["held"].value_counts()
    error = np.sqrt(sum(rates[h] * (1 - rates[h]) / n[h] for h in (False, True)))
    assert table["high"] - table["low"] == pytest.approx(2 * 1.645 * error, rel=0.01)


def test_a_persona_that_answers_more_is_found_and_equal_ones_are_not():
    rows, group = mails([0.3, 0.0, 0.0])
    table = personas.response(rows, group, "extra").set_index("group")
    assert table.loc[1, "p_adjusted"] < 0.01
    assert table["p_all"].iloc[0] < 0.001
    assert table.loc[1, "away"] > 0
    shuffled = pd.Series(np.random.default_rng(2).permutation(group), group.index)
    assert personas.response(rows, shuffled, "extra")["p_all"].iloc[0] > 0.05


def test_chances_are_corrected_as_holm_did():
    judged = pd.DataFrame({"difference": [0.5, 0.2, 0.0, -0.1], "contacts": 1})
    found = personas._tested(judged, pd.DataFrame(np.eye(4) * 0.1), extra=False)
    p = np.sort(found["p"].to_numpy())
    by_hand = np.minimum(1, np.maximum.accumulate([p[0] * 4, p[1] * 3, p[2] * 2, p[3]]))
    by_hand = np.maximum(
        by_hand, found["p_all"].iloc[0]
    )  # no group stands out where all together do not
    assert np.sort(found["p_adjusted"].to_numpy()) == pytest.approx(by_hand)


@many_seeds(12, 40)
def test_false_alarms_stay_rare(seeds):
    rates = [0.1, 0.1, 0.1, 0.1]
    chances = [
        personas.response(*mails(rates, 200, 4, seed=s), "extra")["p_all"].iloc[0]
        for s in range(seeds)
    ]
    assert np.mean(np.array(chances) < 0.1) < 0.22


def test_the_measure_is_the_best_the_data_allow():
    rows, _group = mails([0.1])
    assert personas.choose_measure(rows) == "extra"
    sent = rows.assign(held=False)
    assert personas.choose_measure(sent.assign(clicked=True)) == "clicked"
    assert personas.choose_measure(sent) == "ordered"
    assert personas.choose_measure(sent.iloc[:0]) == ""


def test_other_measures_compare_within_campaigns():
    rows, group = mails([0.0, 0.0])
    big = (
        rows["campaign_id"] == "m0"
    )  # everybody answers the first campaign, which only the first group gets
    rows = rows[~big | rows["customer_id"].map(group).eq(1)].assign(held=False)
    rows["clicked"] = np.where(rows["campaign_id"] == "m0", True, rows["ordered"])
    table = personas.response(rows, group, "clicked").set_index("group")
    assert abs(table.loc[1, "difference"]) < 0.05
    assert rows.groupby(rows["customer_id"].map(group))["clicked"].mean().diff().abs().max() > 0.1


# --- needs and brands -------------------------------------------------------------------------------------------


def battery(people=400, yes=1.0, seed=4):
    """Answers to twelve statements that follow three factors; some people agree with everything."""
    draw = np.random.default_rng(seed)
    factor = draw.normal(size=(people, 3))
    belongs = np.repeat(range(3), 4)
    answers = (
        4
        + 1.2 * (0.75 * factor[:, belongs] + 0.66 * draw.normal(size=(people, 12)))
        + yes * draw.normal(size=(people, 1))
    )
    table = pd.DataFrame(
        np.clip(np.round(answers), 1, 7),
        [f"c{i}" for i in range(people)],
        [f"{'ABC'[b]}{i}" for i, b in enumerate(belongs)],
    )
    return table, factor


def test_needs_are_found_behind_the_statements():
    table, factor = battery(yes=0.0)
    found = survey_needs.find_needs(table)
    assert found.statements.groupby("need")["statement"].apply(lambda s: {x[0] for x in s}).map(
        len
    ).tolist() == [1, 1, 1]
    strongest = found.need.str[0].to_numpy()
    assert (strongest == np.array(list("ABC"))[factor.argmax(axis=1)]).mean() > 0.7
    assert len(found.need) == len(table)


def test_who_agrees_with_everything_does_not_need_everything():
    table, factor = battery(yes=1.5)
    scores = survey_needs.find_needs(table).scores
    level = table.mean(axis=1)
    raw = table[[c for c in table.columns if c.startswith("A")]].mean(axis=1)
    need = next(c for c in scores.columns if c.startswith("A"))
    assert abs(scores[need].corr(level)) < 0.35 < raw.corr(level)
    assert scores[need].corr(pd.Series(factor[:, 0] - factor.mean(axis=1), table.index)) > 0.75


def test_random_answers_have_no_needs():
    draw = np.random.default_rng(1)
    noise = pd.DataFrame(
        draw.integers(1, 8, (200, 12)).astype(float), columns=[f"s{i}" for i in range(12)]
    )
    assert survey_needs.find_needs(noise).need.empty
    assert survey_needs.find_needs(noise).statements.empty


def test_the_tie_between_two_divisions():
    left = pd.Series(["x", "y"] * 100)
    assert survey_needs.relation(left, left)["strength"] == pytest.approx(1, abs=0.01)
    luck = survey_needs.relation(left, pd.Series(np.random.default_rng(3).permutation(left)))
    assert luck["strength"] < 0.2
    assert luck["p"] > 0.05
    assert survey_needs.relation(left, left.iloc[:0])["people"] == 0


@pytest.mark.parametrize("loyal", [True, False])
def test_brand_loyalty_is_told_from_a_brand_that_everybody_buys(loyal):
    draw, rows = np.random.default_rng(6), []
    for i in range(150):
        own = draw.choice(["big", "small"], p=[0.8, 0.2])
        for k in range(4):
            for _line in range(draw.integers(1, 4)):
                brand = (
                    own
                    if loyal and draw.random() < 0.8
                    else draw.choice(["big", "small"], p=[0.8, 0.2])
                )
                rows.append((f"c{i}", f"{i}-{k}", "2024-06-01", brand, 1.0, 0.0, "web"))
    goods = as_table(
        pd.DataFrame(
            {"product_id": ["big", "small"], "brand": ["big", "small"], "category": "all"}
        ),
        PRODUCTS,
    )
    brands = survey_needs.brand_loyalty(lines(*rows), goods).to_pandas()
    assert brands["share"].mean() > 0.75
    low, _high = stats.bootstrap_interval((brands["repeats"] - brands["usual"]).to_numpy())
    assert (low > 0) is loyal


# --- thin data, and the truth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("people", "each"), [(0, 1), (1, 2), (3, 6)])
def test_the_chain_stands_on_almost_nothing(people, each):
    orders, products = shop(max(people, 1), each)
    orders = orders if people else orders.mutate(customer_id=ibis.null("string"))
    early, late, now = features.habit_periods(
        orders, products.limit(people), DAY(2024, 8, 31), DAY(2024, 12, 31)
    )
    shape = early.shape.loc[early.known]
    numbers = clustering.group_numbers(shape)
    k, _verdict = clustering.choose_number(numbers)
    plain = clustering.plain_groups(orders, early, DAY(2024, 8, 31), 120)
    compared = clustering.compare_methods(shape, k, clustering.what_follows(early, late), plain)
    method = clustering.choose_method(compared)
    labels = clustering.assign_groups(
        clustering.make_groups(now.shape.loc[now.known], method, k), now.shape
    )
    segments = pd.DataFrame(
        columns=["customer_id", "tier", "stage", "yearly_sales", "frequency", "monetary"]
    )
    customers = pd.DataFrame(columns=["customer_id", "gender"])
    empty = survey_needs.find_needs(
        factors.survey_answers(
            pd.DataFrame(
                columns=[
                    "customer_id",
                    "kind",
                    "score",
                    "question",
                    "question_id",
                    "answered_at",
                    "response_id",
                ]
            )
        )
    )
    drawn = personas.portrait(
        personas.with_traits(now.counts, customers, segments, empty.need), labels
    )
    named = personas.name_groups(drawn, labels, now.people["orders"])
    assert named.empty
    assert personas.standing_out(drawn, named).empty
    assert clustering.draw_map(now.shape.loc[now.known], labels).empty
    rows = personas.persona_rows(segments, now, labels, named)
    figures = personas.persona_figures(
        rows, segments, pd.DataFrame(columns=["customer_id", "predicted_value"])
    )
    then = clustering.match_groups(
        clustering.assign_groups(clustering.make_groups(shape, method, k), early.shape), labels
    )
    sent, _group = mails([0.1], people=1)
    answers = personas.compare_answers(
        sent.iloc[:0], {"persona": then, "RFM type": plain["RFM type"]}
    )
    assert personas.answer_tests(answers).empty
    steady = clustering.stability(now.shape.loc[now.known], method, k)["jaccard"]
    cards = personas.persona_cards(
        figures, drawn, personas.persona_told(answers, steady, figures, "EUR")
    )
    assert cards.empty
    assert features.habits_kept(early.features, late.features.iloc[:0]) is not None
    assert survey_needs.brand_loyalty(orders, products.limit(people)).to_pandas().empty or people
    for name, table in (
        ("personas", rows),
        ("persona_cards", cards),
        ("persona_response", answers),
    ):
        known = set(tables.get(name).columns) - {"as_of", "rule_version", "need"}
        assert known <= set(table.columns), name


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    from simulator import write_twin

    folder = tmp_path_factory.mktemp("twin")
    write_twin(folder, 700, 5)
    orders = pd.read_csv(folder / "truth" / "orders.csv", low_memory=False)
    orders = orders[~orders["is_return"].astype(bool) & (orders["status"] == "done")]
    at = pd.to_datetime(orders["ordered_at"])
    columns = ["order_id", "product_id", "channel", "quantity", "revenue", "discount"]
    rows = orders[columns].assign(
        customer_id=orders["person"], ordered_at=at, ordered_at_local=at, ordered_on=at.dt.date
    )
    rows["line_no"] = rows.groupby("order_id").cumcount() + 1
    goods = orders[["product_id", "category"]].drop_duplicates()
    taste = pd.read_csv(folder / "truth" / "people.csv").set_index("person")["taste"]
    _early, _late, now = features.habit_periods(
        as_table(rows, ORDERS), as_table(goods, PRODUCTS), DAY(2026, 1, 31), DAY(2026, 9, 30)
    )
    return now, taste


def test_taste_groups_come_out_of_thin_baskets_better_than_by_favourite_category(twin):
    now, taste = twin
    shape = now.shape.loc[now.known]
    assert clustering.choose_number(clustering.group_numbers(shape))[1] == "overlapping"
    found = clustering.assign_groups(clustering.make_groups(shape, "k-means", 5), shape)
    ours = adjusted_rand_score(taste[found.index], found)
    favourite = features.wide(now.counts, "what", now.known).idxmax(axis=1)
    plain = adjusted_rand_score(taste[now.known], favourite)
    assert ours > plain + 0.1
    assert ours > 0.3
    broken = shape.apply(
        lambda c: np.random.default_rng(1).permutation(c)
    )  # each feature given to others
    lost = clustering.assign_groups(clustering.make_groups(broken, "k-means", 5), broken)
    assert adjusted_rand_score(taste[lost.index], lost) < 0.1


def test_where_no_campaign_holds_back_and_writes_there_is_no_effect_and_no_failure():
    rows = pd.DataFrame(
        {"campaign_id": ["A", "A", "B"], "customer_id": ["1", "2", "3"], "y": [1.0, 0.0, 1.0]}
    )
    rate, usual, pulls = personas._rates(rows, pd.Series([True, True, False]))
    assert (rate, usual) == (0.0, 0.0)
    assert pulls.fillna(0.0).eq(0.0).all()

"""Visits, funnels, carts, paths, repeat ladder, retention and journey map: by hand, as published, and on a twin."""

from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from conftest import functions_of
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import effects, tables
from helpers.analyze.journeys import (
    beta_geometric,
    conversion,
    left_carts,
    repeat_orders,
    sessions,
    survival,
    touchpoints,
    visit_paths,
)
from helpers.analyze.journeys import conversion as funnel
from helpers.analyze.journeys import repeat_orders as ladder
from helpers.analyze.journeys import visit_paths as paths
from helpers.client import Journeys
from helpers.show import charts, words

AS_OF = date(2026, 3, 31)
STEPS = Journeys().steps


def frame(name, rows):
    """Rows of a canonical table, with its other columns empty."""
    return tables.conform(ibis.memtable(pd.DataFrame(rows)), name)


def none_of(name):
    schema = tables.get(name).schema
    return ibis.memtable(pd.DataFrame(columns=list(schema)), schema=schema)


def acts(*rows, gap=30):
    """Acts with sessions, from (visitor, minute, name, and other columns by name)."""
    start = pd.Timestamp(2026, 3, 1)
    made = [
        {
            "event_id": f"e{i:03}",
            "visitor_id": v,
            "occurred_at": start + pd.Timedelta(minutes=m),
            "event_name": n,
        }
        | (more[0] if more else {})
        for i, (v, m, n, *more) in enumerate(rows)
    ]
    optional = ["customer_id", "session_id", "product_id", "device", "source", "medium", "order_id"]
    blank = pd.DataFrame(made, columns=[*dict.fromkeys([*optional, *(k for r in made for k in r)])])
    types = dict.fromkeys([*optional, "event_id", "visitor_id", "event_name"], "string") | {
        "occurred_at": "timestamp"
    }
    rows = ibis.memtable(
        blank.astype(object).where(blank.notna(), None), schema={c: types[c] for c in blank.columns}
    )
    return sessions.add_sessions(tables.conform(rows, "events"), gap)


def order(customer, day, *, quantity=1.0, revenue=10.0, product="A", number=None):
    at = pd.Timestamp(day)
    return {
        "order_id": number or f"{customer}-{at:%m%d}", "line_no": 1, "customer_id": customer, "ordered_at": at,
        "ordered_at_local": at, "ordered_on": at.date(), "product_id": product, "quantity": quantity,
        "revenue": revenue, "channel": "web", "is_return": quantity < 0,
    }  # fmt: skip


# --- visits ----------------------------------------------------------------------------------


def test_a_visit_ends_after_the_gap_and_not_at_it():
    found = acts(
        ("a", 0, "view_item"), ("a", 30, "view_item"), ("a", 60.02, "search"), ("b", 61, "search")
    ).to_pandas()
    assert found.sort_values(["who", "act_no"])["visit_no"].tolist() == [1, 1, 2, 1]
    assert found["session"].nunique() == 3


def test_the_gap_is_a_setting_and_acts_of_nobody_are_left_out():
    rows = [("a", 0, "view_item"), ("a", 30, "view_item"), (None, 3, "view_item")]
    assert acts(*rows, gap=29).to_pandas()["session"].nunique() == 2
    assert len(acts(*rows).to_pandas()) == 2


def test_ids_of_different_kinds_are_different_people():
    rows = [
        ("7", 0, "view_item"),
        (None, 1, "search", {"customer_id": "7"}),
        (None, 2, "search", {"session_id": "7"}),
    ]
    found = acts(*rows).to_pandas()
    assert sorted(found["who"]) == ["c:7", "s:7", "v:7"]
    assert found["session"].nunique() == 3
    # A purchase of customer 7 in the shop is none of visitor 7, who filled a cart.
    filled = acts(("7", 0, "add_to_cart", {"product_id": "A"}))
    prices = left_carts.usual_prices(none_of("orders"), none_of("products"), AS_OF)
    bought = frame("orders", [order("7", "2026-03-02")])
    assert not len(
        left_carts.later_purchases(left_carts.carts(filled, prices), filled, bought).to_pandas()
    )


def test_visits_take_device_and_channel_from_their_first_act_and_know_what_they_led_to():
    ads = {"device": "mobile", "source": "google", "medium": "cpc"}
    mail = {"device": "mobile", "source": "list", "medium": "email", "customer_id": "C1"}
    rows = acts(
        ("a", 0, "session_start", ads),
        ("a", 1, "view_item", mail),
        ("a", 6, "page_view", mail),
        ("b", 0, "page_view"),
    )
    found = sessions.describe_visits(sessions.visits(rows).to_pandas()).set_index("who")
    assert found.loc["v:a", ["device", "channel", "customer_id", "last_act"]].tolist() == [
        "mobile",
        "google / cpc",
        "C1",
        "looks at goods",
    ]
    assert found.loc["v:a", "minutes"] == 6
    assert found["last_act"].to_dict()["v:b"] == "does nothing"
    assert found[["look", "buy"]].loc["v:a"].tolist() == [True, False]


def test_our_visits_are_compared_with_those_of_the_export():
    one, two, three = ({"session_id": s} for s in ("s1", "s2", "s3"))
    same = sessions.compare_sessions(
        acts(
            ("a", 0, "search", one),
            ("a", 5, "search", two),
            ("b", 0, "search", three),
            ("b", 50, "search", three),
        )
    )
    assert same.to_dict() == {"acts": 4, "ours": 3, "joined": 1, "theirs": 3, "split": 1}


# --- funnel ----------------------------------------------------------------------------------

LISTED = [
    ("a", 0, "view_item"), ("a", 1, "view_item"), ("a", 2, "add_to_cart"), ("a", 3, "begin_checkout"),
    ("a", 4, "purchase"),
    ("b", 0, "view_item"), ("b", 1, "add_to_cart"), ("b", 2, "search"), ("b", 3, "begin_checkout"),
    ("b", 9, "purchase"),
    ("c", 0, "add_to_cart"), ("c", 1, "view_item"),
    ("d", 0, "view_item"), ("d", 5, "page_view"), ("d", 6, "add_to_cart"), ("d", 100, "begin_checkout"),
    ("d", 101, "purchase"),
]  # fmt: skip


def depths(order_of_steps, hours=0.0, rows=LISTED):
    found = conversion.reach(
        conversion.clickstream(acts(*rows)), STEPS, order_of_steps, hours
    ).to_pandas()
    return {
        u.split("/")[0].removeprefix("v:"): n
        for u, n in zip(found["unit"], found.filter(like="at_").notna().sum(axis=1), strict=True)
    }


def test_loose_and_strict_funnels_by_hand():
    # b searches between two steps, c began in the wrong order, d saw a page (which happens by itself) and went on
    # in another visit.
    assert depths("loose") == {"a": 4, "b": 4, "c": 1, "d": 2}
    assert depths("strict") == {"a": 4, "b": 2, "c": 1, "d": 2}
    later = [*LISTED, ("e", 200, "search")]
    assert depths("loose", hours=2, rows=later) == {"a": 4, "b": 4, "c": 1, "d": 4}
    assert depths("loose", hours=1, rows=later) == {"a": 4, "b": 4, "c": 1, "d": 2}


def test_visitors_who_began_too_late_to_be_followed_are_left_out():
    day = 1440
    # Every day four new people look; half of them buy, two days later. Eight days are seen.
    rows = [(f"p{d}-{i}", d * day, "view_item") for d in range(8) for i in range(4)]
    rows += [
        (f"p{d}-{i}", (d + 2) * day + k, s)
        for d in range(6)
        for i in (0, 1)
        for k, s in enumerate(STEPS[1:])
    ]
    for way in ("loose", "strict"):
        found = conversion.reach(conversion.clickstream(acts(*rows)), STEPS, way, 72).to_pandas()
        assert len(found) == 20  # those of the first five days
        assert found["at_4"].notna().mean() == 0.5
    edge = [("a", 0, "view_item"), ("b", 60, "search")]
    assert depths("loose", hours=1, rows=edge) == {"a": 1}
    assert not depths("loose", hours=1.01, rows=edge)
    short, rules = conversion.clickstream(acts(*LISTED)), Journeys()
    visits = sessions.describe_visits(sessions.visits(acts(*LISTED)).to_pandas())
    table = conversion.funnels(short, visits, rules, AS_OF)
    assert table["unit"].unique().tolist() == ["visit"]


def test_steps_are_counted_with_wilson_intervals_and_times():
    reached = conversion.reach(conversion.clickstream(acts(*LISTED)), STEPS).to_pandas()
    table = funnel.count_steps(reached, STEPS)
    assert table["reached"].tolist() == [4, 3, 2, 2]
    assert table["share"].tolist() == [1, 0.75, 0.5, 0.5]
    assert table["lost"].tolist() == [0, 1, 1, 0]
    assert table["minutes"].tolist()[1:] == [2, 1.5, 3.5]
    assert table.loc[2, ["low", "high"]].round(3).tolist() == [0.182, 0.818]  # 2 of 4


def furthest(names, strict):
    """The same by brute force, for one visit: the acts without noise and repeats, the steps that are reached."""
    told = [n for i, n in enumerate(names) if i == 0 or n != names[i - 1]]
    if strict:
        runs = [
            next(
                (k for k in range(len(STEPS)) if told[i : i + k + 1] != STEPS[: k + 1]), len(STEPS)
            )
            for i in range(len(told))
        ]
        return max(runs)
    reached = 0
    for name in told:
        reached += reached < len(STEPS) and name == STEPS[reached]
    return reached


def test_funnels_agree_with_brute_force_on_random_visits():
    rng = np.random.default_rng(3)
    visits = {
        f"p{i}": rng.choice([*STEPS, "search"], rng.integers(1, 12)).tolist() for i in range(300)
    }
    rows = [(v, m, n) for v, names in visits.items() for m, n in enumerate(names)]
    for way in ("loose", "strict"):
        true = {v: furthest(names, way == "strict") for v, names in visits.items()}
        assert depths(way, rows=rows) == {v: n for v, n in true.items() if n}
    later = [*rows, ("last", 60, "search")]
    loose, strict = (
        depths(way, 0.05, later) for way in ("loose", "strict")
    )  # within three minutes
    assert len(loose) > 200
    assert all(strict[v] <= loose[v] for v in loose)


def test_orders_that_the_site_did_not_see_are_counted():
    seen = acts(("a", 0, "purchase", {"order_id": "o1"}), ("a", 3 * 1440, "page_view"))
    orders = frame(
        "orders",
        [
            order("x", "2026-03-01 00:00", number="o1"),
            order("y", "2026-03-02", number="o2"),
            order("z", "2026-03-09"),
        ],
    )
    held = conversion.tracked_share(seen, orders)
    assert held.to_dict() == {"orders": 2, "seen": 1, "share": 0.5, "sales": 1, "strange": 0}
    # o7 was bought on the site and is no order of the shop; o8 came before the orders begin; a refund is no purchase.
    rows = [("a", 0, "purchase", {"order_id": "o1"}), ("a", 60, "purchase", {"order_id": "o7"})]
    rows += [("b", -600, "purchase", {"order_id": "o8"}), ("b", 90, "refund", {"order_id": "o9"})]
    more = conversion.tracked_share(acts(*rows), orders)
    assert more[["sales", "strange"]].tolist() == [2, 1]


# --- paths -----------------------------------------------------------------------------------


def test_transitions_and_paths_by_hand():
    clickstream = conversion.clickstream(acts(*LISTED))
    named = visit_paths.name_transitions(
        visit_paths.transitions(clickstream).to_pandas(), AS_OF
    ).set_index(["source", "target"])
    looked = named.xs("looks at goods")
    assert looked["moves"].to_dict() == {"fills the cart": 3, "leaves": 1}
    assert looked["share"].sum() == pytest.approx(1)
    assert named.loc[("fills the cart", "checks out"), "seconds"] == pytest.approx(60)
    assert np.isnan(named.loc[("buys", "leaves"), "seconds"])
    assert named.xs("comes")["moves"].sum() == 5
    best = visit_paths.top_paths(clickstream).set_index("path")
    assert best.loc[
        "looks at goods > fills the cart > checks out > buys", ["visits", "bought"]
    ].tolist() == [1, 1]
    assert best["visits"].sum() == 5
    walk = visit_paths.step_by_step(clickstream, visits=10)
    assert walk.sum().round(9).eq(1).all()
    assert walk.loc["has left", 1] == 0.5
    order_of_acts = visit_paths.walk_order(named.reset_index())
    assert order_of_acts[0] == paths.COMES
    assert order_of_acts[-1] == paths.LEAVES
    assert (
        order_of_acts.index("looks at goods")
        < order_of_acts.index("checks out")
        < order_of_acts.index("buys")
    )


# --- carts -----------------------------------------------------------------------------------


def cart_rows(days=14):
    known = {"customer_id": "C1", "product_id": "A"}
    rows = acts(
        ("bought", 0, "add_to_cart", {"product_id": "A"}), ("bought", 1, "purchase"),
        ("later", 0, "add_to_cart", known), ("later", 2 * 1440, "page_view", known),
        ("lost", 0, "add_to_cart", {"product_id": "B"}), ("lost", 1, "add_to_cart", {"product_id": "B"}),
        ("open", 29 * 1440, "add_to_cart", {"product_id": "A"}),
    )  # fmt: skip
    orders = frame(
        "orders", [order("C1", "2026-03-06"), order("C9", "2026-02-01", quantity=2.0, revenue=30.0)]
    )
    products = frame(
        "products",
        [{"product_id": "A", "list_price": 99.0}, {"product_id": "B", "list_price": 7.0}],
    )
    prices = left_carts.usual_prices(orders, products, AS_OF)
    carts = left_carts.carts(rows, prices)
    later = left_carts.later_purchases(carts, rows, orders).to_pandas()
    rows = carts.to_pandas().merge(later, how="left", on="session")
    fate = functions_of("03a_journeys")["fates"](rows, AS_OF, days)
    return rows.assign(fate=fate, value=rows["value"].astype(float))


def test_carts_are_followed_into_the_orders_of_the_shop():
    found = cart_rows()
    found = found.set_index(found["who"].str.removeprefix("v:"))
    assert found["fate"].to_dict() == {
        "bought": "visit",
        "later": "later",
        "lost": "lost",
        "open": "open",
    }
    assert cart_rows(days=3).set_index("who")["fate"]["v:later"] == "lost"
    # What A usually brings is sales over units, 40 / 3, and not its list price; B was never sold; each counts once.
    assert found["value"].round(2).to_dict() == {
        "bought": 13.33,
        "later": 13.33,
        "lost": 7.0,
        "open": 13.33,
    }
    assert found.loc["later", "known"]
    assert not found.loc["lost", "known"]


def test_a_year_of_carts_and_who_may_be_written_to():
    people = pd.DataFrame({"customer_id": ["C1"], "consent_email": [True]})
    none, rules = read(none_of("experiments").to_pandas()), Journeys()
    year = left_carts.carts_a_year(cart_rows(), people, none, rules, AS_OF)
    # four carts in 31 days; of the three old enough to judge two were left and one of them is lost
    scale = 365 / 31 * 4 / 3
    assert year[["left", "lost", "reachable"]].tolist() == pytest.approx([2 * scale, scale, scale])
    assert year["back"] == 0.5
    # C1 came back after a reminder, which says nothing of who comes back without one; long before it, it would.
    test = pd.DataFrame(
        {"experiment_id": "X-CART", "unit_id": ["C1", "C7"], "variant": ["mail", "control"], "outcome": "sales",
         "value": 1.0, "assigned_at": pd.Timestamp(2026, 3, 2)}
    )  # fmt: skip
    test = read(test)
    written = left_carts.carts_a_year(cart_rows(), people, test, rules, AS_OF)
    assert written[["back", "reminded"]].tolist() == [0, 1]
    assert written["left"] == year["left"]
    for other in (
        test.assign(assigned_at=pd.Timestamp(2026, 3, 20)),
        test.assign(unit_id=["C7", "C1"]),
    ):
        assert left_carts.carts_a_year(cart_rows(), people, other, rules, AS_OF)["reminded"] == 0


def read(tests):
    """The tests as 03a hands them on: each with its control."""
    return effects.with_control(tests, effects.judge_tests(tests.assign(pre_value=None), {}))


YEAR = pd.Series({"reachable": 100.0, "left_value": 1000.0})


def worth(effect, year, left_over):
    """As the notebook counts what a reminder brings."""
    return functions_of("03a_journeys")["worth"](effect, year, left_over)


def test_only_an_experiment_says_what_a_reminder_wins():
    rng = np.random.default_rng(1)
    tests = pd.DataFrame(
        {"experiment_id": "MY-CART", "unit_id": range(400), "variant": ["control", "mail"] * 200, "outcome": "sales",
         "value": rng.normal(10, 2, 400) + np.tile([0.0, 3.0], 200), "assigned_at": pd.Timestamp(2026, 1, 1)}
    )  # fmt: skip
    people = pd.DataFrame({"customer_id": range(400), "consent_email": True})
    effect = left_carts.reminder_effect(read(tests), "cart", people)
    assert effect["low"].item() < 3 < effect["high"].item()
    won = worth(effect, YEAR, 1.0).iloc[0]
    assert won["sure"]
    assert won["known"]
    assert won["part"] == pytest.approx(100 * effect["effect"].item() / 1000)
    for end, name in (("effect", "worth"), ("low", "worth_low"), ("high", "worth_high")):
        assert won[name] == pytest.approx(100 * effect[end].item())
    assert effect["enrolled"].item() == 400 * 365  # all in one day
    assert not len(
        left_carts.reminder_effect(read(tests).assign(outcome="ordered_again"), "cart", people)
    )  # has no price
    shuffled = tests.assign(variant=rng.permutation(tests["variant"]))
    broken = left_carts.reminder_effect(read(shuffled), "cart", people)
    assert not broken["low"].item() < 3 < broken["high"].item()
    assert not len(left_carts.reminder_effect(read(tests), "basket", people))
    # A margin that is known makes the worth margin; the sales stay.
    half = worth(effect, YEAR, 0.5).iloc[0]
    assert half[["worth", "worth_low"]].tolist() == pytest.approx(
        [won["worth"] / 2, won["worth_low"] / 2]
    )
    assert half["sales"] == won["sales"]


def test_a_reminder_is_judged_by_those_who_may_be_written_to():
    rng = np.random.default_rng(1)
    tests = pd.DataFrame(
        {"experiment_id": "MY-CART", "unit_id": range(800), "variant": ["control", "mail"] * 400, "outcome": "sales",
         "value": rng.normal(10, 2, 800) + np.tile([0.0, 6.0], 400) * (np.arange(800) >= 400),
         "assigned_at": pd.Timestamp(2026, 1, 1)}
    )  # fmt: skip
    people = pd.DataFrame(
        {"customer_id": range(800), "consent_email": [True] * 400 + [False] * 200 + [None] * 200}
    )
    effect = left_carts.reminder_effect(read(tests), "cart", people)
    assert effect[["treated", "control", "all_treated", "all_control"]].iloc[0].tolist() == [
        200,
        200,
        400,
        400,
    ]
    assert effect["low"].item() < 0 < effect["high"].item()
    assert effect["all_low"].item() < 3 < effect["all_high"].item()
    none = worth(effect, YEAR, 1.0).iloc[0]
    assert not none["sure"]
    assert none[["worth", "worth_low", "worth_high", "sales"]].isna().all()
    nobody = left_carts.reminder_effect(read(tests), "cart", people.assign(consent_email=None))
    told = worth(nobody, YEAR, 1.0).iloc[0]
    assert not told["known"]
    assert told[["treated", "control"]].tolist() == [0, 0]
    late = people[400:].assign(consent_email=True)
    others = worth(left_carts.reminder_effect(read(tests), "cart", late), YEAR, 1.0)
    assert others["worth"].item() > 500


# --- time until the next order ---------------------------------------------------------------


def test_kaplan_meier_by_hand_and_with_the_published_leukaemia_data():
    # Remission under 6-MP (Freireich et al. 1963), as every textbook has it: 21 patients, 9 relapses.
    weeks = pd.Series(
        [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    )
    ended = pd.Series([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]) == 1
    curve = survival.kaplan_meier(weeks, ended)
    assert curve["days"].tolist() == [0, 6, 7, 10, 13, 16, 22, 23]
    assert curve["left"].round(4).tolist() == [
        1,
        0.8571,
        0.8067,
        0.7529,
        0.6902,
        0.6275,
        0.5378,
        0.4482,
    ]
    assert survival.half_time(curve) == 23
    # Greenwood's standard error at 10 weeks is .0963; on the log-log scale its 90 % interval is .551 to .874.
    at = survival.at_day(curve, 10)
    assert [round(at["low"], 3), round(at["high"], 3)] == pytest.approx([0.551, 0.874], abs=0.001)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=40))
def test_kaplan_meier_falls_and_is_the_plain_share_without_censoring(rows):
    days, ended = pd.Series([d for d, _ in rows]), pd.Series([e for _, e in rows])
    curve = survival.kaplan_meier(days, ended)
    assert curve["left"].is_monotonic_decreasing
    assert (curve["low"] <= curve["left"] + 1e-12).all()
    assert (curve["left"] <= curve["high"] + 1e-12).all()
    plain = survival.kaplan_meier(days, ended | True)
    assert survival.at_day(plain, 10)["left"] == pytest.approx((days > 10).mean())


def days_of(rows):
    return ladder.order_days(
        frame("orders", [order(c, d, number=f"{c}{i}") for i, (c, d) in enumerate(rows)])
    )


def test_waits_end_with_the_next_order_or_with_the_day_of_the_report():
    days = days_of(
        [("a", "2026-01-01"), ("a", "2026-01-11"), ("b", "2026-03-01"), ("b", "2026-03-01")]
    )
    found = repeat_orders.order_waits(days, AS_OF)
    assert found.to_numpy().tolist() == [[1, True, 10, 1], [1, False, 30, 1], [2, False, 79, 1]]
    earlier = repeat_orders.order_waits(days, date(2026, 1, 5))
    assert earlier.to_numpy().tolist() == [[1, False, 4, 1]]


def test_returns_are_no_orders():
    days = ladder.order_days(
        frame("orders", [order("a", "2026-01-01"), order("a", "2026-01-09", quantity=-1.0)])
    )
    assert days.to_pandas()["n"].tolist() == [1]


def test_the_ladder_knows_what_the_naive_share_does_not():
    # Everybody orders again after 40 days; those who came in the last 40 have not had the time.
    firsts = pd.date_range("2026-01-01", periods=80)
    waited = [
        (1, True, 40)
        if d + timedelta(40) <= pd.Timestamp(AS_OF)
        else (1, False, (pd.Timestamp(AS_OF) - d).days)
        for d in firsts
    ]
    rows = pd.DataFrame(waited, columns=["step", "again", "days"]).assign(n=1)
    found = repeat_orders.repeat_ladder(rows, 40).iloc[0]
    assert found["chance"] == 1
    assert found["naive"] == pytest.approx(50 / 80)
    assert found["wait"] == 40
    assert np.isnan(
        repeat_orders.repeat_ladder(rows.assign(again=False), 200)["chance"].item()
    )  # nobody was watched so long
    assert not len(repeat_orders.repeat_ladder(rows.head(5), 42))


# --- retention -------------------------------------------------------------------------------

HIGH_END = np.array([100, 86.9, 74.3, 65.3, 59.3, 55.1, 51.7, 49.1, 46.8, 44.5, 42.7, 40.9, 39.4])
REGULAR = np.array([100, 63.1, 46.8, 38.2, 32.6, 28.9, 26.2, 24.1, 22.3, 20.7, 19.4, 18.3, 17.3])


@pytest.mark.parametrize(
    ("survivors", "alpha", "beta"), [(HIGH_END, 0.668, 3.806), (REGULAR, 0.704, 1.182)]
)
def test_the_shifted_beta_geometric_fit_is_the_published_one_and_foretells_years_8_to_12(
    survivors, alpha, beta
):
    stopped, watched = -np.diff(survivors[:8]), np.r_[np.zeros(6), survivors[7]]
    fit = beta_geometric.fit_sbg(stopped, watched)
    assert [round(fit.alpha, 3), round(fit.beta, 3)] == [alpha, beta]
    later = np.arange(8, 13)
    error = np.abs(beta_geometric.project(fit, later) * 100 - survivors[8:])
    assert error.max() < 1.7
    plain = beta_geometric.project_plain(1000 * stopped, 1000 * watched, later)
    off = {name: np.abs(p * 100 - survivors[8:]).mean() for name, p in plain.items()}
    assert 5 * error.mean() < off["exponential"]
    # Carrying on the last rate is a good rule where that rate hardly changes any more: in the first group it is closer.
    assert (error.mean() < off["last"]) == (survivors is REGULAR)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.2, 3), st.floats(0.5, 5))
def test_the_model_finds_its_own_parameters_and_its_rates_rise(alpha, beta):
    true = beta_geometric.Fit(alpha, beta)
    left = beta_geometric.project(true, np.arange(0, 13))
    fit = beta_geometric.fit_sbg(-np.diff(left) * 1e5, np.r_[np.zeros(11), left[-1] * 1e5])
    assert beta_geometric.project(fit, np.arange(13)) == pytest.approx(left, abs=1e-4)
    assert (np.diff(left[1:] / left[:-1]) > -1e-12).all()


def test_lifetimes_end_at_the_first_long_silence():
    days = days_of(
        [("one", "2026-01-01"), ("back", "2026-01-01"), ("back", "2026-01-08"), ("back", "2026-03-01"),
         ("stays", "2026-01-01"), ("stays", "2026-01-25"), ("stays", "2026-02-20"), ("stays", "2026-03-15"),
         ("new", "2026-03-20")]
    )  # fmt: skip
    found = beta_geometric.lifetimes(days, AS_OF, 30).set_index("customer_id")
    assert found["days"].to_dict() == {"back": 7, "one": 0, "stays": 59}
    assert found["stopped"].to_dict() == {"back": True, "one": True, "stays": False}
    assert found["returned"].to_dict() == {"back": True, "one": False, "stays": False}


def test_the_life_table_counts_only_periods_that_were_watched_through():
    people = pd.DataFrame(
        {
            "first_on": [date(2026, 1, 1)] * 3 + [date(2026, 2, 20)],
            "days": [3, 30, 59, 5],
            "stopped": [True, True, False, True],
        }
    )
    table = beta_geometric.by_period(people, date(2026, 3, 1), period=28)
    assert table[["period", "at_risk", "stopped"]].to_numpy().tolist() == [[1, 3, 1], [2, 2, 1]]
    assert table["left"].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_fit_of_a_shop_has_intervals_and_goes_beyond_what_was_seen():
    rng = np.random.default_rng(2)
    chance = rng.beta(1.0, 3.0, 600)
    first = pd.Timestamp(2025, 1, 1) + pd.to_timedelta(rng.integers(0, 100, 600), "D")
    life = rng.geometric(chance) * 28 - 14
    watched = (pd.Timestamp(2026, 1, 1) - first).days.to_numpy()
    people = pd.DataFrame(
        {"first_on": first.date, "days": np.minimum(life, watched), "stopped": life <= watched}
    )
    fit, table = beta_geometric.fit_retention(people, date(2026, 1, 1), draws=40)
    assert fit.alpha / (fit.alpha + fit.beta) == pytest.approx(0.25, abs=0.04)
    true = beta_geometric.project(beta_geometric.Fit(1.0, 3.0), table["period"].to_numpy())
    assert (table["projected"] - true).abs().max() < 0.04
    assert (
        table["projected"]
        .between(table["projected_low"] - 1e-9, table["projected_high"] + 1e-9)
        .all()
    )
    assert (table["plain"] - true).abs().iloc[-1] > (table["projected"] - true).abs().iloc[-1]
    assert table["left"].isna().any()
    assert table["left"].dropna().is_monotonic_decreasing


@pytest.fixture
def held_out():
    """Three ways on one period, of which the best was two points too high; and people who stopped."""
    held = pd.DataFrame(
        {
            "period": [9],
            "left": [0.5],
            beta_geometric.SBG: [0.52],
            "last": [0.45],
            "exponential": [0.3],
        }
    )
    path = pd.DataFrame({"period": [13], "projected": [0.4], "plain": [0.35], "exponential": [0.1]})
    tested = beta_geometric.score_retention(held, (beta_geometric.Fit(1, 1), path))
    people = pd.DataFrame({"stopped": [True] * 9, "returned": [True] * 2 + [False] * 7})
    return tested, people


def planned(held_out, *, left=(1, 0.45, np.nan), period=(0, 10, 11), bias=1.0, rows=3):
    """The plan after these shares were left; `bias` turns the errors of the hold-out around."""
    tested, people = held_out
    stay = pd.DataFrame({"period": period, "at_risk": [90, 24, 2], "left": left}).head(rows)
    return beta_geometric.plan(tested.assign(bias=bias * tested["bias"]), people, stay)


def test_the_ways_are_ranked_by_their_errors(held_out):
    assert held_out[0][["error", "year"]].round(2).to_numpy().tolist() == [
        [2, 0.4],
        [5, 0.35],
        [20, 0.1],
    ]


@pytest.mark.parametrize(
    ("given", "ends", "moved", "capped"),
    [
        ({}, (0.36, 0.4), True, False),  # the way was too high, so the plan lies below it
        ({"bias": -1.0, "rows": 1}, (0.4, 0.44), True, False),
        ({"bias": 0.5}, (0.38, 0.42), False, False),  # not in every period
        # What is left cannot rise: the plan ends at what was seen.
        ({"left": (1, 0.3, np.nan)}, (0.28, 0.3), False, True),
        ({"left": (1, 0.39, np.nan)}, (0.36, 0.39), True, True),
        ({"left": (1, 0.39, np.nan), "bias": -1.0}, (0.37, 0.39), False, True),
        # After the year, fewer may be left.
        ({"left": (1, 0.1, np.nan), "period": (0, 14, 15)}, (0.36, 0.4), True, False),
    ],
)
def test_a_plan_is_moved_by_its_bias_and_ends_at_what_was_seen(
    held_out, given, ends, moved, capped
):
    plan = planned(held_out, **given)
    assert [plan["low"], plan["high"]] == pytest.approx(ends)
    assert [bool(plan["moved"]), bool(plan["capped"])] == [moved, capped]


def test_a_plan_knows_the_last_period_seen_and_never_falls_below_nothing(held_out):
    plan = planned(held_out)
    assert plan[["way", "is_model", "model"]].tolist() == [beta_geometric.SBG, True, 0.4]
    assert plan[["last", "at_risk", "seen", "fewer"]].tolist() == [10, 24, 0.45, False]
    assert planned(held_out, left=(1, 0.3, np.nan))["fewer"]
    assert planned(held_out, rows=1)["last"] == 0
    tested, people = held_out
    tiny = beta_geometric.plan(tested.assign(bias=0.5, year=0.01), people, pd.DataFrame())
    assert [tiny["low"], tiny["high"]] == pytest.approx([0, 0.03])


def test_a_plan_from_silence_is_refused_where_many_come_back(held_out):
    tested, people = held_out
    assert not planned(held_out)["pauses"]
    plan = planned((tested, people.assign(returned=[True] * 3 + [False] * 6)))
    assert plan["pauses"]
    assert plan["back"] == pytest.approx(1 / 3)
    assert not plan["moved"] and not plan["capped"]


# --- the journey map -------------------------------------------------------------------------


def test_conversion_and_feedback_stand_side_by_side():
    stages = ["before"] * 10 + ["during"] * 30 + ["after"] * 20
    at = pd.Timestamp(2026, 3, 1)
    tickets = [
        {"ticket_id": f"t{i}", "opened_at": at, "stage": s, "satisfaction": "bad" if i % 4 == 0 else "good",
         "first_reply_minutes": 100.0 if i % 2 else 900.0} for i, s in enumerate(stages)
    ]  # fmt: skip
    reviews = [
        {
            "review_id": f"r{i}",
            "rating": 5.0 if i % 3 else 1.0,
            "text": "The courier was late" if i < 30 else "Lovely vase",
        }
        for i in range(60)
    ]
    orders = [order(f"c{i}", "2026-03-01", quantity=1.0 if i else -1.0) for i in range(50)]
    orders += [order(f"s{i}", "2026-03-01") | {"channel": "store"} for i in range(10)]
    given_tables = {n: none_of(n) for n in ("messages", "redemptions", "products", "surveys")}
    given_tables |= {
        "orders": frame("orders", orders),
        "tickets": frame("tickets", tickets),
        "reviews": frame("reviews", reviews),
    }
    visits = sessions.describe_visits(sessions.visits(acts(*LISTED)).to_pandas())
    table = touchpoints.journey_map(
        given_tables,
        visits,
        repeat_orders.repeat_ladder(pd.DataFrame({"step": []}), 30),
        "Shop",
        AS_OF,
    )
    found = table.set_index("touchpoint")
    assert found["cases"].dropna().to_dict() == {"look": 10, "receive": 30, "use": 20}
    assert found.loc["service", ["reached", "went_on", "answers", "good"]].tolist() == [
        60,
        30,
        60,
        45,
    ]
    assert found.loc["receive", "answers"] == 30
    assert found["reached"][["receive", "use"]].tolist() == [
        49,
        59,
    ]  # nobody waits for what is bought in a store
    assert found["went_on"]["use"] == 58  # the refund on a receipt of its own is of some order
    means = touchpoints.map_table(table).set_index("who")["good_means"]
    assert means["uses the goods"] == "any other review, of 4 stars or more"
    silent = table.assign(answers=0, cases=np.nan, per_hundred=np.nan)
    assert not {"ratings", "good", "good_means", "cases"} & set(touchpoints.map_table(silent))
    assert found.loc["look", ["reached", "went_on"]].tolist() == [4, 4]
    assert np.isnan(found.loc["look", "share"])  # four visits say nothing
    assert found.loc["use", "good_share"] == pytest.approx(2 / 3)
    assert table["touchpoint"].tolist() == sorted(
        table["touchpoint"], key=list(touchpoints.POINTS).index
    )
    assert (
        found.loc["service", "goes_on"] == "had an answer within 8 hours (cases since 1 March 2026)"
    )
    assert touchpoints.sore_point(table) is None  # nothing stands out

    def spoken_of(key, share, low, high, good):
        worse = table.copy()
        worse.loc[worse["touchpoint"] == key, ["good_share", "good_low", "good_high", "good"]] = [
            share,
            low,
            high,
            good,
        ]
        return touchpoints.sore_point(worse)

    sore = spoken_of("receive", 0.1, 0.05, 0.2, 3)
    assert sore[["scale", "about", "rest"]].tolist() == ["reviews", "the wait", ["other things"]]
    assert sore[["answers", "others", "rest_share"]].tolist() == pytest.approx([30, 30, 2 / 3])
    assert sore["do"].startswith("say when the goods will come")
    assert (
        spoken_of("service", 0.1, 0.05, 0.2, 6) is None
    )  # marks of the help desk are another scale
    assert (
        spoken_of("receive", 0.5, 0.4, 0.6, 15) is None
    )  # below the share of the others, but within its interval
    assert touchpoints.sore_point(table[table["touchpoint"] != "use"]) is None


def test_the_map_says_what_the_next_thing_is():
    tables = {
        n: none_of(n)
        for n in ("messages", "redemptions", "products", "tickets", "reviews", "orders")
    }
    asked = [
        {
            "response_id": f"a{i}",
            "question_id": "q",
            "question": "Would you?",
            "kind": "nps",
            "score": float(i % 11),
            "scale_max": 10.0,
        }
        for i in range(44)
    ]
    other = [asked[0] | {"response_id": "b", "score": 5.0, "scale_max": 5.0}]
    waits = pd.DataFrame({"step": 1, "again": [True] * 30 + [False] * 10, "days": 20, "n": 1})
    steps = repeat_orders.repeat_ladder(waits, 14).assign(within_days=14)

    nobody = sessions.describe_visits(
        sessions.visits(sessions.add_sessions(none_of("events"), 30)).to_pandas()
    )

    def goes_on(answers):
        told = touchpoints.journey_map(
            tables | {"surveys": frame("surveys", answers)}, nobody, steps, "Shop", AS_OF
        )
        return told.set_index("touchpoint")["goes_on"].to_dict()

    one = goes_on(asked)
    assert one["again"] == "bought again within 14 days (estimated)"
    assert one["recommend"] == "would recommend (9 or 10 of 10)"
    assert (
        goes_on(asked + other)["recommend"]
        == f"would recommend ({words.percent(0.9)} of the scale or more)"
    )


def mapped(**given):
    """The journey map of these rows by table, by touchpoint; all else is empty."""
    names = ("messages", "redemptions", "products", "orders", "tickets", "surveys", "reviews")
    found = {n: frame(n, given[n]) if n in given else none_of(n) for n in names}
    nobody = sessions.describe_visits(
        sessions.visits(sessions.add_sessions(none_of("events"), 30)).to_pandas()
    )
    steps = repeat_orders.repeat_ladder(pd.DataFrame({"step": []}), 30)
    return touchpoints.journey_map(found, nobody, steps, "Shop", AS_OF).set_index("touchpoint")


def test_reviews_of_other_brands_are_no_feedback_on_us():
    ours = [
        {"review_id": f"r{i}", "rating": 5.0, "text": "Lovely", "brand": ["SHOP", None][i % 2]}
        for i in range(50)
    ]
    theirs = [
        {"review_id": f"x{i}", "rating": 1.0, "text": "Poor", "brand": "Rival"} for i in range(150)
    ]
    assert mapped(reviews=ours + theirs).loc["use", ["answers", "good_share"]].tolist() == [50, 1]
    sold = [theirs[0] | {"review_id": "y", "product_id": "A"}]  # another brand, but we sell it
    products = [{"product_id": "A", "name": "Vase"}]
    assert mapped(reviews=ours + theirs + sold, products=products).loc["use", "answers"] == 51


def test_cases_without_a_reply_are_late_once_they_are_older_than_the_target():
    end = pd.Timestamp(AS_OF) + pd.Timedelta(days=1)
    case = {
        "ticket_id": "t",
        "stage": "after",
        "opened_at": end - pd.Timedelta(days=9),
        "first_reply_minutes": 10.0,
    }
    quick = [case | {"ticket_id": f"q{i}"} for i in range(100)]
    silent = [case | {"ticket_id": f"s{i}", "first_reply_minutes": np.nan} for i in range(100)]
    silent = [s | {"opened_at": end - pd.Timedelta(days=2 * i + 1)} for i, s in enumerate(silent)]
    found = mapped(tickets=quick + silent).loc["service"]
    assert found[["reached", "went_on"]].tolist() == [100 + 100, 100]
    assert f"cases since {words.day(end - pd.Timedelta(days=199))}" in found["goes_on"]
    fresh = [
        s | {"opened_at": end - pd.Timedelta(hours=8 if i else 8.1)} for i, s in enumerate(silent)
    ]
    assert mapped(tickets=quick + fresh).loc["service", ["reached", "went_on"]].tolist() == [
        101,
        100,
    ]
    assert (
        "service" not in mapped(tickets=silent).index
    )  # no reply at all is known: none is called late


def test_answers_without_a_scale_are_left_out():
    for kind, part in (("nps", "share"), ("csat", "good_share")):
        answer = {"question_id": "q", "question": "Well?", "kind": kind, "score": 10.0}
        asked = [
            answer | {"response_id": f"a{i}", "scale_max": [10.0, None, 0.0][i % 3]}
            for i in range(90)
        ]
        found = mapped(surveys=asked).loc["recommend"]
        assert found[part] == 1
        assert found["reached" if kind == "nps" else "answers"] == 30


def test_stages_are_read_from_the_words_of_the_help_desk():
    said = ["Pre-sales"] * 3 + ["After sales team"] * 2 + ["售中", "during", "elsewhere", None]
    at = pd.Timestamp(2026, 3, 1)
    tickets = [{"ticket_id": f"t{i}", "stage": s, "opened_at": at} for i, s in enumerate(said)]
    assert mapped(tickets=tickets)["cases"].to_dict() == {"look": 3, "receive": 2, "use": 2}


# --- little or nothing -----------------------------------------------------------------------


def test_a_client_without_events_without_orders_or_without_ids_gets_empty_tables():
    none = sessions.add_sessions(none_of("events"), 30)
    visits = sessions.describe_visits(sessions.visits(none).to_pandas())
    clickstream = conversion.clickstream(none)
    rules = Journeys()
    funnels = conversion.funnels(clickstream, visits, rules, AS_OF)
    assert not len(funnels)
    assert not len(
        visit_paths.name_transitions(visit_paths.transitions(clickstream).to_pandas(), AS_OF)
    )
    assert not len(visit_paths.top_paths(clickstream)) + len(
        visit_paths.step_by_step(clickstream, 0)
    )
    assert sessions.compare_sessions(none)["acts"] == 0
    nameless = frame("orders", [order(None, "2026-03-01"), order(None, "2026-03-02")])
    few = frame("orders", [order(c, "2026-03-01") for c in "abc"])
    without = none_of("orders")
    carts = left_carts.carts(none, left_carts.usual_prices(without, none_of("products"), AS_OF))
    later = left_carts.later_purchases(carts, none, without).to_pandas()
    rows = carts.to_pandas().merge(later, how="left", on="session")
    rows["fate"] = functions_of("03a_journeys")["fates"](rows, AS_OF, 14)
    rows["value"] = rows["value"].astype(float)
    nobody, untested = none_of("customers").to_pandas(), read(none_of("experiments").to_pandas())
    year = left_carts.carts_a_year(rows, nobody, untested, rules, AS_OF)
    assert year["carts"] == 0
    assert not len(worth(left_carts.reminder_effect(untested, "cart", nobody), year, 1.0))
    assert np.isnan(conversion.tracked_share(none, without)["share"])
    for orders in (none_of("orders"), nameless.cast({"customer_id": "string"}), few):
        past = repeat_orders.history(orders, none_of("customers"), AS_OF)
        steps = repeat_orders.repeat_ladder(
            repeat_orders.order_waits(past.days, AS_OF), past.within
        )
        assert not len(steps) + len(repeat_orders.check_ladder(past.days, AS_OF, 7))
        assert not len(
            repeat_orders.ladder_curves(repeat_orders.order_waits(past.days, AS_OF), past.within)
        )
        people = beta_geometric.lifetimes(past.days, AS_OF, past.silence)
        assert beta_geometric.fit_retention(people, AS_OF - timedelta(days=past.silence)) is None
        curve = survival.kaplan_meier(people["days"], people["stopped"])
        assert np.isnan(survival.half_time(curve)) == (not len(people))
        tested = beta_geometric.score_retention(
            beta_geometric.hold_out_retention(past.days, AS_OF, past.silence), None
        )
        assert not len(tested)
        assert beta_geometric.plan(tested, people, pd.DataFrame({"period": []})) is None
        assert not len(beta_geometric.retention_table(None, past.silence, AS_OF))
        empty = {
            n: none_of(n)
            for n in ("messages", "redemptions", "products", "surveys", "tickets", "reviews")
        }
        table = touchpoints.journey_map(empty | {"orders": orders}, visits, steps, "Shop", AS_OF)
        assert not len(table) + len(touchpoints.map_table(table)) + len(touchpoints.as_map(table))
        assert touchpoints.sore_point(table) is None


def test_row_work_compiles_for_other_engines(monkeypatch):
    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())
    events, orders, products = (
        ibis.table(tables.get(n).schema, name=n) for n in ("events", "orders", "products")
    )
    rows = sessions.add_sessions(events, 30)
    clickstream = conversion.clickstream(rows)
    carts = left_carts.carts(rows, left_carts.usual_prices(orders, products, AS_OF))
    made = [
        rows,
        sessions.visits(rows),
        clickstream,
        visit_paths.transitions(clickstream),
        carts,
        left_carts.later_purchases(carts, rows, orders),
    ]
    made += [
        conversion.reach(clickstream, STEPS, o, h) for o in ("loose", "strict") for h in (0, 24)
    ]
    made += [ladder.order_days(orders)]
    for expression in made:
        for dialect in ("pyspark", "bigquery", "snowflake"):
            assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


# --- a twin whose truth is known -------------------------------------------------------------


@pytest.fixture(scope="module")
def true_orders(tmp_path_factory):
    """All web and store orders of a small twin, clean, as order days."""
    from simulator import write_twin

    folder = tmp_path_factory.mktemp("twin")
    write_twin(folder, 700, 5, events=False)
    lines = pd.read_csv(
        folder / "truth" / "orders.csv",
        usecols=["order_id", "person", "ordered_at", "quantity", "is_return"],
    )
    lines = lines[(lines["quantity"] > 0) & ~lines["is_return"]].drop_duplicates("order_id")
    return pd.DataFrame(
        {"customer": lines["person"], "on": pd.to_datetime(lines["ordered_at"]).dt.date}
    ).drop_duplicates()


def ladder_days(rows):
    made = [order(c, d, number=f"o{i}") for i, (c, d) in enumerate(rows.itertuples(index=False))]
    return ladder.order_days(frame("orders", made)).cache()


def test_the_ladder_said_a_half_year_ago_what_then_came(true_orders):
    days, as_of = ladder_days(true_orders), date(2026, 9, 30)
    tried = repeat_orders.check_ladder(days, as_of, 182)
    off = {way: (tried[way] - tried["came"]).abs().mean() for way in ("chance", "naive")}
    assert off["chance"] < 0.04
    assert off["chance"] < off["naive"]
    # With the days of the orders dealt out at random, the ladder says something else.
    dealt = true_orders.assign(
        customer=np.random.default_rng(1).permutation(true_orders["customer"])
    )
    broken = repeat_orders.check_ladder(ladder_days(dealt), as_of, 182)
    both = broken.merge(tried, on="step", suffixes=("", "_true"))
    assert (both["chance"] - both["came_true"]).abs().mean() > 2 * off["chance"]


# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"steps": ["a"]}, {"steps": ["a", "a"]}, {"session_gap": 0}, {"order": "any"}]
)
def test_settings_of_journeys_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Journeys(**wrong)


# --- the picture -----------------------------------------------------------------------------


def test_the_graph_says_what_it_shows_and_leaves_out_what_is_not_there(monkeypatch):
    shown = []
    monkeypatch.setattr(charts, "display", shown.append)
    moves = visit_paths.name_transitions(
        visit_paths.transitions(conversion.clickstream(acts(*LISTED))).to_pandas(), AS_OF
    )
    charts.theme()
    charts.graph(
        visit_paths.busiest(moves), "Ways", order=visit_paths.walk_order(moves), ends="leaves"
    )
    assert shown[0].alt.startswith("Transition graph. Ways 6 acts; most often ")
    back = pd.concat([moves, moves.tail(1).assign(source="buys", target="looks at goods")])
    charts.graph(back, "Ways back", order=visit_paths.walk_order(moves), ends="leaves")
    assert "Ways back" in shown[1].alt

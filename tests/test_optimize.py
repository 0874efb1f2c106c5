"""Step 7: the fair comparison finds a known effect, the naive ones do not; the log is people's own."""

from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_monitor import SparkOptions, memtable

from helpers import tables
from helpers.client import PlaybookError
from helpers.optimize import decision_log, experiments, matching
from helpers.show.findings import Finding

START = date(2024, 4, 1)


def orders(*rows):
    """Order lines (customer, day, revenue, quantity), one order each."""
    lines = [
        (f"o{i}", 1, c, pd.Timestamp(d), pd.Timestamp(d), pd.Timestamp(d).date(), "p", q, 0.0, r)
        for i, (c, d, r, q) in enumerate(rows)
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


def contacts(*rows):
    """Contacts (campaign, customer, first day)."""
    frame = pd.DataFrame(rows, columns=["campaign_id", "customer_id", "starts_on"])
    schema = {"campaign_id": "string", "customer_id": "string", "starts_on": "date"}
    people = ibis.memtable(frame, schema=schema)
    return people.mutate(name=people.campaign_id, audience=ibis.literal("all"))


NO_COUPONS = memtable(
    "redemptions", [], ["redemption_id", "customer_id", "coupon_id", "campaign_id", "redeemed_on"]
)


def shop(effect, seed=1, people=1500, choosy=True):
    """A history in which better customers are reached more often, and the campaign adds `effect` to each."""
    rng = np.random.default_rng(seed)
    worth = rng.gamma(2.0, 100.0, people)
    chance = 1 / (1 + np.exp(-(worth - 200) / 80)) if choosy else 0.5
    reached = rng.random(people) < chance
    noisy = {
        c: np.clip(worth * rng.normal(1, 0.15, people), 0, None)
        for c in ("sales_before", "sales_recent")
    }
    orders = {"orders_before": worth / 30, "orders_recent": rng.poisson(worth / 30)}
    rest = {"recency": rng.integers(1, 30, people), "discount_share": rng.random(people)}
    zero = dict.fromkeys(("campaigns_before", "campaigns_alongside", "redemptions_before"), 0)
    after = worth * rng.normal(1, 0.15, people) + effect * reached
    return pd.DataFrame(
        {"reached": reached, **noisy, **orders, **rest, **zero, "sales_after": after}
    )


# --- matching ---------------------------------------------------------------------------------


def test_history_knows_only_what_came_before_and_counts_sales_after():
    lines = [
        ("a", "2024-02-01", 100.0, 1.0),
        ("a", "2024-03-25", 30.0, 1.0),
        ("a", "2024-03-26", -10.0, -1.0),
    ]
    lines += [("a", START, 7.0, 1.0), ("a", "2024-04-10", 5.0, 1.0), ("a", "2024-04-11", 9.0, 1.0)]
    lines += [
        ("late", "2024-04-02", 50.0, 1.0),
        (None, "2024-03-01", 99.0, 1.0),
        ("b", "2024-03-31", 8.0, 1.0),
    ]
    people = contacts(
        ("K", "a", START), ("old", "a", date(2024, 3, 1)), ("next", "b", date(2024, 4, 5))
    )
    rows = matching.customer_history(
        orders(*lines), people, NO_COUPONS, matching.Window("K", START, 10)
    ).to_pandas()
    assert rows["customer_id"].tolist() == ["a", "b"]
    a, b = (rows.iloc[i] for i in (0, 1))
    assert a["reached"]
    assert not b["reached"]
    assert a["sales_after"] == 12
    assert a["sales_recent"] == 20
    assert a["orders_recent"] == 1  # bringing goods back is no order
    assert a["sales_before"] == pytest.approx(
        120 * 10 / 60, abs=0.01
    )  # sixty days from the first order of all
    assert a["recency"] == 6
    assert a[["campaigns_before", "campaigns_alongside"]].tolist() == [1, 0]
    assert b[["campaigns_before", "campaigns_alongside"]].tolist() == [0, 1]


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(1)
    lines = [
        (f"c{i % 40}", START - timedelta(days=int(rng.integers(1, 90))), float(rng.random()), 1.0)
        for i in range(900)
    ]
    people = contacts(*[("K", f"c{i}", START) for i in range(0, 40, 2)])
    window = matching.Window("K", START, 20)
    one, other = (
        matching.customer_history(orders(*rows), people, NO_COUPONS, window).to_pandas()
        for rows in (lines, lines[::-1])
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    pd.testing.assert_frame_equal(matching.match_pairs(one), matching.match_pairs(other))


def test_before_after_takes_the_days_on_both_sides():
    lines = [
        ("a", START - timedelta(days=3), 10.0, 1.0),
        ("a", START, 25.0, 1.0),
        ("a", "2024-05-01", 99.0, 1.0),
    ]
    naive = matching.before_after(
        orders(*lines), contacts(("K", "a", START), ("K", "b", START)), 5
    ).to_pandas()
    assert naive[["customers", "change"]].to_numpy().tolist() == [[2, 7.5]]


def test_a_window_needs_days_around_it_and_the_largest_campaign_is_chosen():
    campaigns = pd.DataFrame(
        {
            "campaign_id": ["small", "large", "huge", "early"],
            "starts_on": [START, START, date(2024, 6, 20), date(2024, 1, 20)],
            "customers": [50, 200, 900, 900],
            "change": 1.0,
            "spread": 2.0,
        }
    )
    roomy = matching.with_room(campaigns, date(2024, 1, 1), date(2024, 6, 30), 30)
    assert roomy["campaign_id"].tolist() == ["large", "small"]
    assert matching.choose_window(roomy, "", 30) == matching.Window("large", START, 30)
    assert matching.choose_window(roomy.iloc[1:], "", 30) == matching.NO_WINDOW
    with pytest.raises(PlaybookError, match='campaign "huge" cannot be compared over 30 days'):
        matching.choose_window(roomy, "huge", 30)
    assert matching.Window("K", START, 30).earlier().starts_on == date(2024, 3, 2)


def test_no_window_gives_empty_results_without_a_warning():
    lines = orders(("a", START, 25.0, 1.0))
    history = matching.customer_history(
        lines, contacts(("K", "a", START)), NO_COUPONS, matching.NO_WINDOW
    ).to_pandas()
    assert history.empty
    pairs = matching.match_pairs(history)
    assert pairs.empty
    assert matching.balance(history, pairs).empty
    assert matching.share_reached(history).empty
    assert matching.estimate_effects(history, history).empty
    assert experiments.plan_experiment(history).empty


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(20, 200))
def test_each_customer_is_in_one_pair_and_pairs_are_close(seed, people):
    history = shop(0.0, seed, people)
    pairs = matching.match_pairs(history)
    assert pairs["reached"].is_unique
    assert pairs["other"].is_unique
    assert history.loc[pairs["reached"], "reached"].all()
    assert not history.loc[pairs["other"], "reached"].any()


def test_matching_balances_what_was_recorded():
    history = shop(0.0)
    left = matching.balance(history, matching.match_pairs(history)).set_index("covariate")
    assert left.loc["sales_before", "before"] > 0.8
    assert left["after"].abs().max() < 0.1


@pytest.mark.parametrize("effect", [0.0, 40.0, -40.0])
def test_matched_pairs_find_a_known_effect_where_the_naive_comparison_does_not(effect):
    covered, errors = 0, []
    for seed in range(10):
        found = matching.estimate_effects(
            shop(effect, seed, 800), shop(0.0, seed + 100, 800)
        ).set_index("method")
        covered += found.loc["matched pairs", "low"] <= effect <= found.loc["matched pairs", "high"]
        errors.append(found.loc["matched pairs", "effect"] - effect)
        assert found.loc["reached against all others", "low"] > effect + 50
    assert covered >= 7  # of ten
    assert abs(np.mean(errors)) < 4


def test_in_a_real_experiment_all_comparisons_agree():
    found = matching.estimate_effects(shop(30.0, choosy=False), shop(0.0, choosy=False)).set_index(
        "method"
    )
    assert found.loc["matched pairs", "low"] < 30 < found.loc["matched pairs", "high"]
    assert (
        found.loc["reached against all others", "low"]
        < 30
        < found.loc["reached against all others", "high"]
    )
    assert found.loc["reached against all others", "balance"] < 0.15


def test_a_season_deceives_before_and_after_but_not_the_pairs():
    history = shop(0.0)
    history["sales_after"] += 60
    found = matching.estimate_effects(history, shop(0.0)).set_index("method")
    assert found.loc["before and after", "low"] > 45
    assert found.loc["matched pairs", "low"] < 0 < found.loc["matched pairs", "high"]


def test_words_follow_the_interval_and_the_check():
    effects = matching.estimate_effects(shop(0.0), shop(0.0))
    said = matching.say_effect(effects, "EUR")
    assert "cannot be told" in said["headline"]
    assert "it passes" in said["evidence"]
    clear = matching.say_effect(matching.estimate_effects(shop(80.0), shop(80.0)), "EUR")
    assert "moved sales by" in clear["headline"]
    assert "it fails, so do not trust it" in clear["evidence"]


def test_expressions_compile_for_other_engines(monkeypatch):
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    t = {name: ibis.table(tables.get(name).schema, name=name) for name in tables.CANONICAL}
    people = matching.contacts(t["campaigns"], t["messages"])
    window = matching.Window("K", START, 49)
    for expression in (
        matching.before_after(t["orders"], people, 49),
        matching.customer_history(t["orders"], people, t["redemptions"], window),
    ):
        for dialect in ("pyspark", "bigquery", "snowflake"):
            assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


# --- the experiment ---------------------------------------------------------------------------


def test_the_plan_sizes_each_outcome_and_earlier_sales_save_people():
    history = shop(0.0)
    plan = experiments.plan_experiment(history).set_index(["outcome", "lift"])
    plain = plan.loc["sales a customer"]
    adjusted = plan.loc["sales a customer, set against earlier sales"]
    saved = history["sales_after"].corr(history["sales_before"]) ** 2
    assert (adjusted["per_group"] / plain["per_group"]).loc[0.02] == pytest.approx(
        1 - saved, rel=0.01
    )
    assert plain["per_group"].is_monotonic_decreasing
    assert (plan["enough"] == (2 * plan["per_group"] <= len(history))).all()


def test_the_planned_experiment_finds_its_effect_four_times_in_five():
    history = shop(0.0)
    row = (
        experiments.plan_experiment(history)
        .set_index(["outcome", "lift"])
        .loc[("sales a customer", 0.1)]
    )
    rng, n, found = np.random.default_rng(1), int(row["per_group"]), 0
    for _ in range(400):
        a, b = rng.choice(history["sales_after"], (2, n))
        b = b + row["effect"]
        found += abs(b.mean() - a.mean()) > 1.96 * np.sqrt((a.var() + b.var()) / n)
    assert 0.74 < found / 400 < 0.86


def test_too_few_customers_are_told_to_add_campaigns_up():
    plan = experiments.plan_experiment(shop(0.0))
    assert "would show an effect" in experiments.say_plan(plan, 1500)["headline"]
    assert "add the campaigns up" in experiments.say_plan(plan.assign(enough=False), 30)["action"]


# --- the decision log -------------------------------------------------------------------------


def finding(id="a", action="do it", **more):
    return Finding(
        id=id, kind="finding", headline="headline", action=action, check_on="2024-06-30", **more
    )


def advised(*found, on=START, run="r1"):
    return decision_log.advice(list(found), on, run)


def test_advice_is_what_findings_with_an_action_say():
    rows = advised(
        finding(value=100.0, low=50.0, high=150.0),
        finding("b", action=""),
        Finding(id="c", kind="unseen", headline="x", action="y"),
    )
    assert rows["decision_id"].tolist() == ["a"]
    assert rows.loc[0, ["what", "expected", "status", "check_on"]].tolist() == [
        "do it",
        100,
        "advised",
        date(2024, 6, 30),
    ]


def test_what_people_wrote_survives_every_run_and_nothing_stands_twice(tmp_path):
    path = tmp_path / "decisions.csv"
    log = decision_log.merge_decisions(
        decision_log.read_decisions(path), advised(finding(value=100.0), finding("b"))
    )
    decision_log.write_decisions(log, path)
    edited = decision_log.read_decisions(path)
    edited.loc[edited["decision_id"] == "a", ["status", "actual", "note"]] = [
        "done",
        80.5,
        'Käse, "billig"; gut',
    ]
    edited["cost centre"] = ["17", ""]
    decision_log.write_decisions(edited, path)
    again = advised(finding(value=999.0), finding("c"), on=date(2024, 5, 1), run="r2")
    for _ in range(2):
        decision_log.write_decisions(
            decision_log.merge_decisions(decision_log.read_decisions(path), again), path
        )
    log = decision_log.read_decisions(path).set_index("decision_id")
    assert log.index.tolist() == ["a", "b", "c"]
    assert log.loc["a", ["status", "actual", "note"]].tolist() == [
        "done",
        80.5,
        'Käse, "billig"; gut',
    ]
    assert log.loc["a", ["expected", "run_id", "cost centre"]].tolist() == [100.0, "r1", "17"]
    assert log.loc["c", ["advised_on", "run_id"]].tolist() == [date(2024, 5, 1), "r2"]


def test_advice_not_yet_taken_up_shows_todays_figures():
    kept = decision_log.merge_decisions(
        advised(finding(value=100.0)).iloc[:0], advised(finding(value=100.0))
    )
    log = decision_log.merge_decisions(
        kept, advised(finding(value=120.0), on=date(2024, 5, 1), run="r2")
    )
    assert log[["expected", "run_id", "advised_on"]].to_numpy().tolist() == [[120.0, "r1", START]]
    taken = decision_log.merge_decisions(
        kept.assign(status="accepted"), advised(finding(value=120.0))
    )
    assert taken["expected"].tolist() == [100.0]


def test_the_log_says_what_came_of_each():
    rows = [
        ("advised", None, 10.0),
        ("accepted", 4.0, 10.0),
        ("done", 10.0, 10.0),
        ("done", 30.0, 10.0),
    ]
    rows += [("rejected", None, 10.0), ("done", 3.0, None)]
    log = advised(
        *[
            finding(f"d{i}", value=v, low=v and 5.0, high=v and 20.0)
            for i, (_, _, v) in enumerate(rows)
        ]
    )
    log["status"], log["actual"] = zip(*[r[:2] for r in rows], strict=True)
    log["actual"] = log["actual"].astype(float)
    told = decision_log.outcomes(log, date(2024, 6, 30))["outcome"].tolist()
    assert told == [
        "due: fill in what came of it",
        "less than expected",
        "as expected",
        "more than expected",
        "rejected",
        "looked at; no value was expected",
    ]
    assert decision_log.outcomes(log, date(2024, 6, 29))["outcome"].iloc[0] == "not due yet"
    assert (
        decision_log.outcomes(log.assign(check_on=None), START)["outcome"].iloc[0]
        == "no date to check"
    )
    said = decision_log.say_log(decision_log.outcomes(log, date(2024, 6, 30)))
    assert (
        said
        == "6 pieces of advice stand in the decision log: 4 taken up, 4 with a known result and 1 due for a look."
    )


def test_an_empty_log_is_well_formed(tmp_path):
    log = decision_log.merge_decisions(
        decision_log.read_decisions(tmp_path / "decisions.csv"), advised()
    )
    assert log.empty
    assert "0 pieces of advice" in decision_log.say_log(decision_log.outcomes(log, START))


HEAD = "decision_id,status,actual,check_on\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEAD + "a,advised,,\nb,finished,,\n",
            'line 3, column "status": "finished" is not one of advised, accepted',
        ),
        (
            HEAD + "a,done,12 EUR,\n",
            'line 2, column "actual": "12 EUR" cannot be read. Write a number such as',
        ),
        (
            HEAD + "a,done,12,June\n",
            'line 2, column "check_on": "June" cannot be read. Write a day such as',
        ),
        (HEAD + "a,done,,\na,done,,\n", 'line 3, column "decision_id": "a" stands in line 2 too'),
        (HEAD + ",done,,\n", 'line 2, column "decision_id": empty'),
        (HEAD + "a,done,1,2024-01-01,oh, dear\n", "line 2: more cells than columns"),
        ("decision_id,actual\na,1\n", 'line 1: column "status" is missing'),
        ("", 'line 1: column "decision_id" is missing'),
    ],
)
def test_a_broken_log_names_file_line_and_column(tmp_path, text, message):
    path = tmp_path / "shop" / "decisions.csv"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlaybookError) as e:
        decision_log.read_decisions(path)
    assert str(e.value).startswith("data/shop/decisions.csv, ")
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_a_log_saved_by_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_bytes(
        ("\ufeff" + (HEAD + "a,done,12.5,\n,,,\n").replace(",", ";").replace("\n", "\r\n")).encode()
    )
    log = decision_log.read_decisions(path)
    assert log[["decision_id", "status", "actual", "note"]].to_numpy().tolist() == [
        ["a", "done", 12.5, ""]
    ]
    path.write_bytes((HEAD + "a,done,,\nKäse,done,,\n").encode("latin-1"))
    with pytest.raises(PlaybookError, match="not UTF-8"):
        decision_log.read_decisions(path)

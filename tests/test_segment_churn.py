"""Churn: what is known by hand, what was published, what may not be known yet, and the truth of a small twin."""

from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from conftest import functions_of, many_seeds
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from helpers import stats, tables
from helpers.client import PlaybookError, Settings, Threshold
from helpers.segment import rfm
from helpers.segment.churn import churn_model, leaving, reasons, win_back
from simulator import write_twin

AS_OF = date(2024, 6, 30)


def ago(days, hour=12):
    return pd.Timestamp(AS_OF) - pd.Timedelta(days=days) + pd.Timedelta(hours=hour)


def stored(name, rows):
    """Rows (dictionaries) as the canonical table, with its types and all of its columns."""
    frame = pd.DataFrame(rows, columns=list(dict.fromkeys(k for r in rows for k in r)) or None)
    known = tables.get(name).schema
    if not len(frame):
        return ibis.memtable(pd.DataFrame(columns=list(known)), schema=known)
    return tables.conform(
        ibis.memtable(frame, schema=ibis.schema({c: known[c] for c in frame})), name
    )


def orders(*lines):
    """Order lines (customer, days before AS_OF, revenue, quantity); one order a line."""
    whole = [(*line, 1.0)[:4] for line in lines]
    return stored(
        "orders",
        [
            {
                "order_id": f"o{i}",
                "line_no": 1,
                "customer_id": customer,
                "ordered_at": ago(back),
                "ordered_at_local": ago(back),
                "ordered_on": ago(back, 0),
                "product_id": "p",
                "quantity": float(quantity),
                "revenue": float(revenue),
                "discount": 0.0,
                "channel": "web",
            }
            for i, (customer, back, revenue, quantity) in enumerate(whole)
        ],
    )


RULE = leaving.Watch(horizon=30, step=5, window=90, asked=30, outlasted=0.05)


def look_at(lines, days=(0,), **more):
    return leaving.panel(
        {"orders": orders(*lines)} | more, [AS_OF - timedelta(days=d) for d in days], RULE, AS_OF
    )


# --- what leaving means ----------------------------------------------------------------------


def test_the_horizon_counts_each_customer_the_same():
    daily = [("daily", k, 1) for k in range(200)]
    monthly = [(f"m{c}", 30 * k + c, 1) for c in range(18) for k in range(6)]
    slow = [("slow", 0, 1), ("slow", 100, 1)]
    found = leaving.set_horizon(orders(*daily, *monthly, *slow), AS_OF, 90, 0.05)
    assert (
        found.asked == 30
    )  # of twenty customers one has a longer gap; of 290 gaps, 199 last one day
    assert (found.horizon, found.step) == (30, 5)
    assert found.outlasted == pytest.approx(0.05)


def test_the_horizon_is_cut_to_what_the_history_can_test():
    found = leaving.set_horizon(
        orders(("a", 0, 1), ("a", 90, 1), ("b", 5, 1), ("b", 100, 1)), AS_OF, 90, 0.05
    )
    assert found.asked == 95
    assert (
        found.horizon == 24
    )  # 101 days of history hold 28.9 three and a half times; a multiple of six
    assert found.outlasted == 1
    days = leaving.panel_days(AS_OF, AS_OF - timedelta(days=100), found)
    assert days[0] == AS_OF
    assert (days[-1] - (AS_OF - timedelta(days=100))).days >= 12


# --- what was known on a day -----------------------------------------------------------------


def test_a_look_knows_the_past_and_who_left():
    lines = [
        ("stays", 50, 10),
        ("stays", 20, 30),
        ("stays", 20, 5),
        ("stays", 45, -4, -1),
        ("goes", 60, 8),
        ("new", 3, 9),
    ]
    people = look_at(lines, days=(0, 40)).set_index(["on", "customer_id"])
    then = people.loc[ago(40, 0)]
    assert then.index.tolist() == ["goes", "stays"]
    assert then["silence"].to_dict() == {"goes": 20, "stays": 10}
    assert then["left"].to_dict() == {"goes": True, "stays": False}
    assert then["came"].to_dict() == {"goes": 0, "stays": 35}
    assert then.loc["stays", ["sales_now", "orders_now", "order_days"]].tolist() == [6, 1, 1]
    assert then.loc["stays", "returned"] == pytest.approx(0.4)
    now = people.loc[ago(0, 0)]
    assert now["left"].isna().all()
    assert now["is_alive"].to_dict() == {"goes": False, "new": True, "stays": True}
    assert now.loc[
        "stays", ["silence", "orders_now", "orders_before", "sales_now", "sales_before"]
    ].tolist() == [20, 2, 1, 35, 6]
    assert (
        now.loc["stays", "usual_gap"] == (30 + 30) / 2
    )  # own gap of thirty days, and the typical one, thirty


def signs_of(when):
    """Tickets, messages and survey answers of customer a, `when` days before AS_OF."""
    ticket = {
        "ticket_id": "t",
        "customer_id": "a",
        "opened_at": ago(when),
        "solved_at": ago(when),
        "satisfaction": "Bad",
    }
    mail = {
        "message_id": "m",
        "campaign_id": "c",
        "customer_id": "a",
        "sent_at": ago(when),
        "opened_at": ago(when),
    }
    answer = {
        "response_id": "r",
        "question_id": "q",
        "customer_id": "a",
        "answered_at": ago(when),
        "kind": "nps",
    }
    return {
        "tickets": stored("tickets", [ticket | {"first_reply_minutes": 600.0}]),
        "messages": stored("messages", [mail | {"unsubscribed_at": ago(when)}]),
        "surveys": stored("surveys", [answer | {"score": 3.0, "scale_max": 10.0}]),
    }


SIGNS = ["cases", "slowest_reply", "rated_bad", "mails", "opens", "unsubscribed", "score"]


def test_signs_count_from_the_day_after_they_happened():
    lines = [("a", 90, 10), ("a", 10, 10)]
    for when in (0, -1, -20):  # on the day of the list, or later
        row = look_at(lines, **signs_of(when)).iloc[0]
        assert row[SIGNS].astype(float).fillna(0).eq(0).all(), when
    row = look_at(lines, **signs_of(1)).iloc[0]
    assert row[SIGNS].astype(float).tolist() == [1, 600, 1, 1, 1, 1, 0.3]
    row = look_at(lines, **signs_of(40)).iloc[
        0
    ]  # older than the horizon: only leaving the list stays
    assert row[SIGNS].astype(float).fillna(0).tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_a_reply_or_rating_that_came_later_is_not_known():
    ticket = {
        "ticket_id": "t",
        "customer_id": "a",
        "opened_at": ago(2),
        "solved_at": ago(-3),
        "satisfaction": "bad",
    }
    table = stored("tickets", [ticket | {"first_reply_minutes": 9000.0}])
    row = look_at([("a", 5, 1)], tickets=table).iloc[0]
    assert row["cases"] == 1
    assert row["rated_bad"] == 0
    assert row["slowest_reply"] == 2 * 1440  # so long they had waited by then


def random_shop(people=600, days=360, seed=5):
    """People who come, stay for four months on average and leave, with a ticket 35 days after their last order."""
    rng = np.random.default_rng(seed)
    lines, tickets = [], []
    for c in range(people):
        start, stay, gap = rng.uniform(0, 330), rng.exponential(120), rng.uniform(5, 25)
        at = start + np.append(0, np.cumsum(rng.gamma(4, gap / 4, 80)))
        kept = at[at < min(start + stay, days)]
        lines += [(f"c{c:03}", int(days - t), 10 + c % 7) for t in kept]
        if start + stay < days:
            tickets.append(
                {
                    "ticket_id": f"t{c}",
                    "customer_id": f"c{c:03}",
                    "opened_at": ago(int(days - kept[-1]) - 35),
                }
            )
    return orders(*lines), stored("tickets", tickets)


def risks(shop, tickets=None):
    table = {"orders": shop} | ({"tickets": tickets} if tickets is not None else {})
    days = leaving.panel_days(AS_OF, AS_OF - timedelta(days=360), RULE)
    people = churn_model.add_alive(leaving.panel(table, days, RULE, AS_OF), RULE)
    return churn_model.add_risk(people[people["is_alive"]], RULE)


def skill(people):
    told = people[people["model_score"].notna() & people["left"].notna()]
    return roc_auc_score(told["left"].astype(int), told["model_score"])


def test_a_planted_future_sign_is_never_used(monkeypatch):
    """Each leaver gets a ticket after the horizon has begun: a method that looks ahead would know all of them."""
    shop, planted = random_shop()
    honest, with_it = risks(shop), risks(shop, planted)
    assert abs(skill(with_it) - skill(honest)) < 0.03

    def looks_ahead(tickets, on, _watch):  # the same, but for the day of the look
        both = tickets.cross_join(on)
        return both.group_by("on", "customer_id").agg(cases=both.count())

    monkeypatch.setattr(leaving, "cases", looks_ahead)
    assert skill(risks(shop, planted)) > skill(honest) + 0.15


def test_no_look_changes_when_its_future_does():
    shop, planted = random_shop(people=120)
    day = AS_OF - timedelta(days=100)
    known = leaving.panel({"orders": shop, "tickets": planted}, [day], RULE, AS_OF)
    cut = {
        "orders": shop.filter(shop.ordered_on <= day),
        "tickets": planted.filter(planted.opened_at.date() < day),
    }
    blind = leaving.panel(cut, [day], RULE, AS_OF)
    features = [
        *churn_model.FEATURES,
        "sales_change",
        "orders_change",
        "unopened",
        "monetary",
        "is_alive",
    ]
    pd.testing.assert_frame_equal(known[features], blind[features])


def test_the_risk_of_a_day_hangs_on_no_later_outcome():
    people = risks(random_shop()[0])
    day = churn_model.judged_days(people)[0]
    later = people["on"] > day - pd.Timedelta(days=RULE.horizon)
    turned = people.assign(left=people["left"].where(~later, ~people["left"]))
    before, after = (churn_model.learn(p, day, RULE) for p in (people, turned))
    of_day = people[people["on"] == day]
    assert np.array_equal(churn_model.chances(before, of_day), churn_model.chances(after, of_day))
    earlier = people.assign(left=~people["left"].astype("boolean"))
    assert not np.allclose(
        churn_model.chances(churn_model.learn(earlier, day, RULE), of_day), of_day["risk"]
    )


# --- ways without a model --------------------------------------------------------------------


def people_of(**columns):
    n = len(next(iter(columns.values())))
    base = {
        "on": pd.Timestamp(AS_OF),
        "monetary": 1.0,
        "frequency": 1.0,
        "sales_now": 1.0,
        "sales_before": 1.0,
    }
    frame = pd.DataFrame(base | columns, index=range(n)).assign(
        customer_id=[f"c{i}" for i in range(n)]
    )
    return frame.assign(recency=frame.get("silence", pd.Series(0, frame.index)).astype("Int64"))


def test_the_experience_rule_puts_late_important_customers_first():
    people = people_of(silence=[1, 9, 8, 7, 2], monetary=[90.0, 1.0, 80.0, 2.0, 3.0])
    judged = leaving.by_rule(people, {})
    assert judged["by_rule"].tolist() == [
        False,
        False,
        True,
        False,
        False,
    ]  # later than seven days, above three of sales
    assert judged["rule_score"].rank(ascending=False).tolist() == [5, 2, 1, 3, 4]
    assert leaving.by_rule(people, {"recency": 8.0, "monetary": 0.5})["by_rule"].tolist() == [
        False,
        True,
        False,
        False,
        False,
    ]


def test_deviation_sees_three_things():
    steady = people_of(
        silence=[5] * 40,
        times_usual_gap=[0.5] * 40,
        sales_now=[10.0] * 20 + [9.0, 11.0] * 10,
        sales_before=[10.0] * 40,
    )
    assert not leaving.by_rhythm(steady, 0.05)["by_rhythm"].any()
    own = steady.assign(times_usual_gap=[3.1, 2.9, *[0.5] * 38])
    assert leaving.by_rhythm(own, 0.05)["by_rhythm"].tolist() == [
        True,
        *[False] * 39,
    ]  # one gap in twenty lasts 3.0
    peer = steady.assign(silence=[9, *[5] * 39])
    assert leaving.by_rhythm(peer, 0.05)["by_rhythm"].tolist() == [True, *[False] * 39]
    fell = steady.assign(
        sales_now=[0.0, 0.0, *steady["sales_now"][2:]], times_usual_gap=[1.5, *[0.5] * 39]
    )
    assert leaving.by_rhythm(fell, 0.05)["by_rhythm"].tolist() == [
        True,
        *[False] * 39,
    ]  # not before the person is late


def test_key_indicators_can_be_changed_added_and_switched_off():
    lines = leaving.key_lines(
        {
            "slow reply": Threshold(measure="slowest_reply", above=60, reason="promised"),
            "long silence": Threshold(on=False),
            "cheap": Threshold(measure="discount", above=0.5),
        }
    ).set_index("name")
    assert lines.loc["slow reply", "above"] == 60
    assert "long silence" not in lines.index
    assert lines.index[-1] == "cheap"
    people = people_of(silence=[1, 2]).assign(
        **dict.fromkeys(leaving.CHURN["measures"], 0.0)
        | {"orders_change": [-0.6, 0.0], "score": 1.0},
        left=pd.array([None, None], "boolean"),
    )
    judged = leaving.by_threshold(people, lines.reset_index())
    assert judged["by_threshold"].tolist() == [True, False]
    assert judged["sign"].tolist() == ["orders -60% against the time before", ""]
    assert judged["threshold_score"][0] > 1 > judged["threshold_score"][1]
    beyond = leaving.crossings(judged, lines.reset_index())
    assert beyond.sum().loc[lambda n: n > 0].to_dict() == {"orders fell": 1}
    assert lines.loc["orders fell", "warns"].endswith(": below -0.5")
    assert leaving.crossings(judged, lines.reset_index().iloc[:0]).shape == (2, 0)


def test_wrong_indicators_are_named():
    with pytest.raises(
        PlaybookError, match=r'churn_thresholds\.odd: no measure "mood"\. Known: silence'
    ):
        leaving.key_lines({"odd": Threshold(measure="mood", above=1)})
    plain = {"schema_version": 1, "title": "x", "currency": "EUR", "timezone": "UTC"}
    for wrong in (
        {"measure": "silence"},
        {"measure": "silence", "above": 1, "below": 2},
        {"above": 1},
    ):
        with pytest.raises(ValueError, match="either above or below"):
            Settings.model_validate(plain | {"churn_thresholds": {"odd": wrong}})


# --- agreement and back-test -----------------------------------------------------------------


def test_kappa_of_a_textbook_case():
    kappa = functions_of("04c_churn")["kappa"]
    flags = (
        [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    )  # 35 of 50 agree, half by chance: 0.4
    people = pd.DataFrame(flags, columns=["rule", "model"], dtype=float)
    agreement = people.corr(method=kappa)
    assert agreement.to_numpy() == pytest.approx(np.array([[1, 0.4], [0.4, 1]]))
    assert agreement.loc["rule", "model"] == pytest.approx(cohen_kappa_score(*people.T.to_numpy()))
    nobody = people["rule"] > 1
    assert kappa(nobody, nobody) == 1


def raced(seed=0, days=4, n=200):
    """Looks where rule_score knows who left, threshold_score is noise, and rhythm_score is upside down."""
    rng = np.random.default_rng(seed)
    left = rng.random((days, n)) < 0.2
    frame = pd.DataFrame(
        {
            "on": np.repeat(pd.date_range("2024-01-01", periods=days, freq="5D"), n),
            "customer_id": np.tile([f"c{i:03}" for i in range(n)], days),
            "left": left.ravel(),
            "rule_score": left.ravel().astype(float),
            "rhythm_score": -left.ravel().astype(float),
            "threshold_score": rng.random(days * n),
            "alive_score": np.nan,
            "model_score": np.nan,
            "worth_score": np.nan,
            "silence": rng.integers(0, 31, days * n),
            "monetary": np.where(left.ravel(), 10.0, 50.0),
        }
    )
    return frame.assign(left=frame["left"].astype("boolean"))


def test_lists_of_one_length_are_compared_fairly():
    people = raced()
    found = churn_model.compare_ways(people, 0.1, RULE).set_index("way")
    assert [*found.index] == [
        "rule",
        "rhythm",
        "threshold",
        "big",
        "plain",
        "chance",
    ]  # the others could not judge
    assert (found["listed"] == 80).all()
    base = people["left"].mean()
    assert found.loc["rule", ["precision", "caught"]].tolist() == [1, 80]
    assert found.loc["rule", "lift"] == pytest.approx(1 / base)
    assert (
        found.loc["rule", "recall"]
        == found.loc["rule", "money"]
        == pytest.approx(80 / people["left"].sum())
    )
    assert found.loc["rhythm", "precision"] == 0
    assert found.loc["chance", "precision"] == pytest.approx(base)
    for way in ("threshold", "plain"):
        assert found.loc[way, "low"] < base < found.loc[way, "high"]
    assert found.loc["threshold", "extra_low"] < 0 < found.loc["threshold", "extra_high"]
    assert found.loc["rule", "extra_low"] > 0.5


@many_seeds(20, 60)
def test_the_interval_of_precision_covers_as_often_as_it_says(seeds):
    rows = [
        churn_model.compare_ways(raced(seed), 0.2, RULE).set_index("way").loc["threshold"]
        for seed in range(seeds)
    ]
    assert np.mean([r["low"] <= 0.2 <= r["high"] for r in rows]) >= 0.8  # nine in ten


def test_lead_is_counted_from_the_first_warning():
    people = raced(days=2, n=10).assign(left=False)
    hit = people["customer_id"] == "c004"
    people = people.assign(left=hit.astype("boolean"), rule_score=hit.astype(float))
    people.loc[hit, "silence"] = [7, 12]
    found = churn_model.compare_ways(people, 0.1, RULE).set_index("way")
    assert found.loc["rule", "lead_days"] == 30 - 7


def test_the_model_is_calibrated_and_its_risks_rank():
    people = risks(random_shop(seed=8)[0])
    assert skill(people) > 0.64
    told = churn_model.judged(people)
    quarter = np.ceil(told["risk"].rank(method="first", pct=True) * 4)
    said = told.groupby(quarter)[["risk", "left"]].mean()
    assert len(told) == (people["model_score"].notna() & people["left"].notna()).sum()
    assert said["left"].is_monotonic_increasing
    assert (said["risk"] - said["left"]).abs().max() < 0.15
    flagged = people[people["on"] == people["on"].max()]
    assert flagged["by_model"].sum() == round(flagged["risk"].sum())
    found = churn_model.risk_drivers(people, RULE, repeats=3)
    assert found["loss"].is_monotonic_decreasing
    assert found["driver"][0] in (
        "silence in usual gaps",
        "days since the last order",
        "usual gap between orders",
    )


def test_bgnbd_stands_beside_them_as_a_chance():
    shop = random_shop()[0]
    days = leaving.panel_days(AS_OF, AS_OF - timedelta(days=360), RULE)
    people = churn_model.add_alive(leaving.panel({"orders": shop}, days, RULE, AS_OF), RULE)
    told = people[people["alive_score"].notna() & people["left"].notna() & people["is_alive"]]
    assert told["alive_score"].between(0, 1).all()
    assert roc_auc_score(told["left"].astype(int), told["alive_score"]) > 0.64


# --- why -------------------------------------------------------------------------------------


def rows_of(effect, n=4000, seed=1, confounded=0.0):
    """A panel where a slow reply raises the chance to leave by `effect` among people with a case."""
    rng = np.random.default_rng(seed)
    silence = rng.integers(0, 30, n).astype(float)
    lateness = np.log1p(silence) / np.log(30)
    case = rng.random(n) < 0.5
    slow = case & (rng.random(n) < 0.1 + confounded * lateness**2)
    chance = 0.15 + 0.4 * lateness - 0.1 * case + effect * slow
    rows = pd.DataFrame(
        {"customer_id": [f"c{i}" for i in range(n)], "on": pd.Timestamp(AS_OF), "silence": silence}
    )
    rows = rows.assign(
        usual_gap=10.0,
        frequency=5.0,
        monetary=50.0,
        known_days=100.0,
        orders_now=2.0,
        cases=case * 1.0,
    )
    empty = [
        "rated",
        "rated_bad",
        "answered",
        "score",
        "ordered",
        "returned",
        "priced",
        "price_change",
    ]
    empty += ["discount_change", "channels_before", "channel_lost", "mails", "left_list"]
    return rows.assign(
        left=(rng.random(n) < chance) * 1.0,
        slowest_reply=np.where(slow, 900.0, 10.0),
        **dict.fromkeys(empty, 0.0),
    )


def slow_reply(rows):
    return reasons.sign_effects(rows).set_index("sign").loc["slow reply"]


def test_with_nothing_else_to_hold_equal_the_effect_is_a_difference_of_shares():
    rows = rows_of(0.15).assign(silence=5.0)
    case, slow = rows["cases"] > 0, rows["slowest_reply"] > 480
    plain = rows.loc[slow, "left"].mean() - rows.loc[case & ~slow, "left"].mean()
    found = slow_reply(rows)
    assert found["effect"] == pytest.approx(plain, abs=1e-6)
    assert found["share"] == pytest.approx(plain * slow.sum() / rows["left"].sum(), abs=1e-6)
    assert found["customers"] == slow.sum()


def test_an_effect_is_found_where_the_groups_differ_and_covered_as_often_as_said():
    found = [slow_reply(rows_of(0.10, n=1500, seed=s, confounded=0.4)) for s in range(40)]
    assert np.mean([f["effect"] for f in found]) == pytest.approx(0.10, abs=0.02)
    assert 31 <= sum(f["low"] <= 0.10 <= f["high"] for f in found) <= 40  # nine in ten, of forty
    naive = rows_of(0.10, confounded=0.4)
    case, slow = naive["cases"] > 0, naive["slowest_reply"] > 480
    assert (
        naive.loc[slow, "left"].mean() - naive.loc[case & ~slow, "left"].mean() > 0.13
    )  # what a plain look would say


def test_too_few_give_no_effect_but_are_counted():
    found = reasons.sign_effects(rows_of(0.1).iloc[:40])
    row = found.set_index("sign").loc["slow reply"]
    assert np.isnan(row["effect"])
    assert row["verdict"] == reasons.REASONS["verdicts"]["few"]
    strong = reasons.sign_effects(rows_of(0.3)).set_index("sign")
    assert strong.index[strong["low"] > 0].tolist() == ["slow reply"]
    assert "working day" in strong.loc["slow reply", "action"]


def test_the_panel_compares_what_was_known_before_the_sign():
    lines = [(c, d, 10) for c in ("slow", "quick") for d in (95, 80, 70, 62)] + [
        ("quick", 40, 10),
        ("quick", 20, 10),
    ]
    case = {"opened_at": ago(58), "solved_at": ago(57)}
    found = [
        {"ticket_id": c, "customer_id": c, "first_reply_minutes": m, **case}
        for c, m in (("slow", 900.0), ("quick", 9.0))
    ]
    table = {"orders": orders(*lines), "tickets": stored("tickets", found)}
    people = leaving.panel(
        table, leaving.panel_days(AS_OF, AS_OF - timedelta(days=95), RULE), RULE, AS_OF
    )
    panel = reasons.sign_panel(table, people, RULE, AS_OF)
    row = panel[(panel["on"] == ago(55, 0)) & (panel["customer_id"] == "slow")].iloc[0]
    assert row[["slowest_reply", "cases", "left"]].tolist() == [900, 1, 1]
    assert row["silence"] == 2  # five days earlier, when the step began
    assert panel.loc[panel["slowest_reply"] > 480, "on"].tolist() == [ago(55, 0)]


def test_newcombe_published_interval(monkeypatch):
    monkeypatch.setattr(stats, "LEVEL", 0.95)
    units = (
        [("treat", 1.0)] * 56
        + [("treat", 0.0)] * 14
        + [("control", 1.0)] * 48
        + [("control", 0.0)] * 32
    )
    frame = pd.DataFrame(units, columns=["variant", "value"]).assign(
        experiment_id="E", outcome="ordered_again_90d", base="control"
    )
    found = reasons.experiment_effects(frame).iloc[0]  # Newcombe 1998, method 10, his first example
    assert found[["effect", "low", "high"]].astype(float).round(4).tolist() == [0.2, 0.0524, 0.3339]
    assert reasons.experiment_effects(frame.assign(outcome="revenue_28d")).empty


def test_rivals_are_compared_where_we_sell():
    rows = [
        ("A", "us", 10.0, 100.0, 3.0),
        ("A", "them", 12.0, 300.0, 4.0),
        ("B", "us", 20.0, 300.0, 3.0),
        ("B", "them", 20.0, 100.0, 2.0),
    ]
    market = pd.DataFrame(rows, columns=["segment", "brand", "price", "sales", "rating"]).assign(
        period=AS_OF
    )
    gap = reasons.rivals(market, "US").set_index("brand")
    assert gap.loc["them", ["price", "share", "rating"]].tolist() == pytest.approx(
        [0.2 * 100 / 400, 0.5, 3.5]
    )
    assert reasons.rivals(market, "nobody").empty


# --- whom to win back ------------------------------------------------------------------------


def listed(**change):
    names = ["go", "rich", "calm", "gone", "never", "refused", "mute", "stranger", "poor"]
    last = pd.DataFrame({"customer_id": [n for n in names if n != "never"]}).assign(
        last_on=ago(5), silence=5, is_alive=True, by_rule=True, by_rhythm=False, by_model=True, by_threshold=False,
        rule_score=1.0, rhythm_score=0.0, model_score=0.5, threshold_score=0.0, alive_score=0.5, sign="", risk=0.5,
        stake=100.0, one_order=10.0,
    )  # fmt: skip
    last = last.set_index("customer_id")
    last.loc["gone", ["is_alive", "by_rule", "by_model", "risk"]] = [False, False, False, np.nan]
    last.loc["calm", ["by_model"]] = False
    last.loc["rich", "stake"], last.loc["poor", "stake"] = 400.0, 8.0
    consent = {n: True for n in names if n != "stranger"} | {"refused": False, "mute": None}
    customers = pd.DataFrame(
        {"customer_id": list(consent), "consent_email": pd.array(list(consent.values()), "boolean")}
    )
    terms = win_back.Terms(**({"rescued": 0.1, "cost": 1.0, "channel": "email"} | change))
    return win_back.win_back_list(
        last.reset_index(), customers.assign(consent_sms=pd.array([None] * 8, "boolean")), terms
    )


def test_the_list_leaves_out_each_for_one_reason():
    rows = listed().set_index("customer_id")
    assert rows.loc["go", ["win_back_value", "on_list", "why_not"]].tolist() == [
        0.1 * 0.5 * 100 - 1,
        True,
        "",
    ]
    assert rows.loc["rich", ["rank", "win_back_value"]].tolist() == [1, 19]
    words = leaving.CHURN["why_not"]
    reason = {
        "never": "never",
        "gone": "gone",
        "calm": "calm",
        "stranger": "unknown",
        "refused": "refused",
    }
    reason |= {"mute": "silent", "poor": "worthless"}
    assert {who: rows.loc[who, "why_not"] for who in reason} == {
        who: words[why] for who, why in reason.items()
    }
    assert rows["on_list"].sum() == 2
    assert rows.loc["go", "reason"] == leaving.CHURN["reasons"]["rule"]


def test_where_no_consent_is_kept_at_all_nobody_is_left_out_for_it():
    rows = listed(channel="sms").set_index("customer_id")
    assert rows.loc[["mute", "refused"], "on_list"].all()
    with pytest.raises(PlaybookError, match='no consent for "pigeon"'):
        listed(channel="pigeon")


def test_the_stake_is_what_those_who_stay_bring():
    people = pd.DataFrame(
        {"customer_id": ["a", "b"], "monetary": [90.0, 90.0], "frequency": [3.0, 3.0]}
    )
    values = pd.DataFrame(
        {
            "customer_id": ["a"],
            "prob_alive": [0.25],
            "predicted_value": [50.0],
            "average_value": [20.0],
        }
    )
    found = win_back.add_stakes(people, values, RULE).set_index("customer_id")
    assert found.loc["a", ["stake", "one_order"]].tolist() == [
        200,
        20,
    ]  # BG/NBD: value = chance alive x value if alive
    assert found.loc["b", ["stake", "one_order"]].tolist() == [
        365,
        30,
    ]  # no value known: sales, on the scale of a year


def mailing(effect, people=3000, seed=2):
    """Messages to people silent for twenty days, a third held out; `effect` of those told order who would not have."""
    rng = np.random.default_rng(seed)
    held, own = rng.random(people) < 1 / 3, rng.random(people) < 0.1
    came = own | (~held & (rng.random(people) < effect))
    names = [f"c{i}" for i in range(people)]
    sent = [
        {
            "message_id": n,
            "campaign_id": "x",
            "customer_id": n,
            "sent_at": ago(40),
            "is_holdout": bool(h),
        }
        for n, h in zip(names, held, strict=True)
    ]
    lines = [(n, 60, 10) for n in names] + [
        (n, 35, 10) for n, c in zip(names, came, strict=True) if c
    ]
    return stored("messages", sent), orders(*lines)


def test_what_a_message_does_is_measured_where_a_part_was_held_back():
    found = win_back.message_response(*mailing(0.10), AS_OF, RULE, assumed=0.05)
    assert found.measured
    assert found.low < 0.10 < found.high
    assert found.rescued == pytest.approx(0.10, abs=0.03)
    none = win_back.message_response(*mailing(0.0), AS_OF, RULE, assumed=0.05)
    assert none.rescued < 0.03
    assert none.low == 0
    few = win_back.message_response(*mailing(0.10, people=90), AS_OF, RULE, assumed=0.05)
    assert (few.rescued, few.low, few.high, few.measured) == (0.05, 0, 0.1, False)


def test_changes_tell_who_is_new_back_or_gone():
    before = pd.DataFrame(
        {
            "customer_id": list("abcd"),
            "as_of": AS_OF - timedelta(days=20),
            "at_risk": [True, True, False, True],
        }
    )
    before = before.assign(is_alive=[True, True, False, True])
    now = pd.DataFrame(
        {"customer_id": list("abcde"), "as_of": AS_OF, "silence": [5, 40, 3, 28, 9], "stake": 1.0}
    )
    now = now.assign(
        at_risk=[False, False, False, True, True], is_alive=[True, False, True, True, True]
    )
    found = win_back.churn_changes(before, now).set_index("change")["customers"]
    assert found.to_dict() == {
        "new at risk": 1,
        "still at risk": 1,
        "was at risk, has ordered since": 1,
        "was at risk, is gone now": 1,
        "was gone, came back": 1,
    }
    assert win_back.churn_changes(None, now).empty


# --- small clients, other engines, and the truth ---------------------------------------------


def whole_chain(shop, customers, as_of=AS_OF):
    """Every step of the chapter, as the notebook takes it."""
    first = shop.ordered_on.min().to_pandas()
    first = as_of if pd.isna(first) else pd.Timestamp(first).date()
    rule = leaving.set_horizon(shop, as_of, rfm.comparable_window(first, as_of), 0.05)
    found = {"orders": shop} | {n: stored(n, []) for n in ("messages", "tickets", "surveys")}
    people = leaving.panel(found, leaving.panel_days(as_of, first, rule), rule, as_of)
    people = churn_model.add_alive(leaving.by_rule(people, {}), rule)
    alive = leaving.by_threshold(
        leaving.by_rhythm(people[people["is_alive"]], 0.05), leaving.key_lines({})
    )
    alive = churn_model.add_risk(alive, rule)
    return people, alive, rule, found


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [(None, 5, 10), (None, 90, 10)],
        [("a", 2, 10)],
        [("a", 2, 10), ("b", 50, 9), ("b", 90, 9), ("c", 100, 3)],
    ],
)
def test_a_client_with_few_customers_gets_well_formed_answers(lines):
    shop = orders(*lines)
    people, alive, rule, found = whole_chain(shop, None)
    tested = churn_model.compare_ways(alive, 0.1, rule)
    assert set(tables.get("churn_backtest").columns) <= {*tested.columns, "as_of", "rule_version"}
    assert churn_model.judged(alive)["model_score"].isna().all()
    assert churn_model.risk_drivers(alive, rule).empty
    signs = reasons.sign_effects(reasons.sign_panel(found, people, rule, AS_OF))
    assert signs["effect"].isna().all()
    both = reasons.churn_reasons(
        signs, reasons.experiment_effects(stored("experiments", []).to_pandas().assign(base=None))
    )
    assert set(both["kind"]) == {"association"}
    names = sorted({c for c, *_ in lines if c})
    customers = stored("customers", [{"customer_id": n} for n in [*names, "never"]]).to_pandas()
    values = pd.DataFrame({"customer_id": []}, dtype="str")
    judgements = alive.columns.difference(people.columns)
    last = people[people["on"] == people["on"].max()]
    last = last.merge(
        alive[["on", "customer_id", *judgements]], on=["on", "customer_id"], how="left"
    )
    last = win_back.add_stakes(last, values, rule)
    rows = win_back.win_back_list(last, customers, win_back.Terms(0.05))
    assert rows["customer_id"].tolist() == [*names, "never"]
    spec = tables.get("churn").columns
    assert set(spec) <= {*rows.columns, "as_of", "rule_version"}
    assert set(rows.columns) <= set(spec)
    assert rows.loc[rows["is_alive"], "risk"].between(0, 1).all()


def test_row_work_compiles_for_other_engines(monkeypatch):
    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())
    named = {
        n: ibis.table(tables.get(n).schema, name=n)
        for n in ("orders", "messages", "tickets", "surveys")
    }
    on = ibis.table({"on": "date"}, name="days")
    work = [
        leaving.purchases(named["orders"], on, RULE),
        leaving.cases(named["tickets"], on, RULE.horizon),
    ]
    work += [
        leaving.answers(named["surveys"], on, RULE.horizon),
        leaving.gap_shares(named["orders"], AS_OF),
    ]
    work += [
        reasons.price_changes(named["orders"], on, RULE),
        win_back.sent(named["messages"], named["orders"], RULE),
    ]
    for expression in work:
        for dialect in ("pyspark", "bigquery", "snowflake"):
            assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


@pytest.fixture(scope="module")
def small_twin(tmp_path_factory):
    """The panel at the end of a small twin, its true orders taken as clean ones, beside the truth of each person."""
    folder = tmp_path_factory.mktemp("twin")
    write_twin(folder, 600, 4)
    truth = pd.read_csv(folder / "truth" / "orders.csv", low_memory=False)
    truth = truth[(truth["status"] == "done") & truth["quantity"].notna()]
    at = pd.to_datetime(truth["ordered_at"])
    shop = pd.DataFrame(
        {
            "order_id": truth["order_id"],
            "line_no": np.arange(len(truth)),
            "customer_id": truth["person"],
        }
    )
    shop = shop.assign(
        ordered_at=at,
        ordered_at_local=at,
        ordered_on=at.dt.normalize(),
        product_id=truth["product_id"],
    )
    shop = shop.assign(
        quantity=truth["quantity"].astype(float),
        revenue=truth["revenue"],
        discount=0.0,
        channel="web",
    )
    rows = stored("orders", shop.to_dict("records"))
    people = pd.read_csv(folder / "truth" / "people.csv").set_index("person")
    return whole_chain(rows, None, date(2026, 9, 30)), people


def test_the_ways_find_those_who_truly_left(small_twin):
    (_people, alive, _rule, _tables), truth = small_twin
    now = alive[alive["on"] == alive["on"].max()]
    gone = (truth["dropout_day"].reindex(now["customer_id"]) <= 730).to_numpy()
    silent = (truth["orders_after"].reindex(now["customer_id"]) == 0).to_numpy()
    rng = np.random.default_rng(1)
    shuffled = [roc_auc_score(silent, rng.permutation(now["risk"])) for _ in range(200)]
    best_by_luck = np.quantile(shuffled, 0.99)
    assert roc_auc_score(silent, now["risk"]) > best_by_luck
    assert roc_auc_score(silent, now["alive_score"]) > best_by_luck
    assert roc_auc_score(gone, now["silence"]) > 0.6
    assert roc_auc_score(gone, now["rhythm_score"]) > 0.6
    assert abs(now["risk"].mean() - alive["left"].astype(float).mean()) < 0.15

"""Which variant of a test is the control, and whether chance alone can have split its units."""

import numpy as np
import pandas as pd
import pytest

from helpers import effects
from helpers.client import TestRules
from helpers.optimize import experiments
from helpers.segment.churn import reasons

USUAL = [
    ["control", "mail"], ["Kontrollgruppe", "Gutschein"], ["Baseline", "New page"], ["No E-Mail", "Mens E-Mail"],
    ["ohne Brief", "mit Brief"], ["groupe témoin", "bon"], ["对照组", "短信"], ["Control Group", "variant_1"],
    ["hold-out", "x"], ["no_contact", "call"], ["sin cupón", "cupón"], ["grupo de controle", "oferta"],
]  # fmt: skip
UNKNOWN = [["A", "B"], ["red", "blue"], ["mail", "no hurry"], ["control tower", "harbour"], ["normal", "none of it"],
           ["Serif", "Sans serif"], ["free", "no discount, but free shipping"],
           ["With images", "Without images"]]  # fmt: skip


def units(counts, hits=None, test="T", pre=None):
    """One row a unit: so many of each variant, of which so many ordered again."""
    rows = []
    for variant, n in counts.items():
        yes = (hits or {}).get(variant, 0)
        rows.append(
            pd.DataFrame({"variant": [variant] * n, "value": [1.0] * yes + [0.0] * (n - yes)})
        )
    every = pd.concat(rows, ignore_index=True)
    return every.assign(
        experiment_id=test, unit_id=every.index, outcome="ordered_again_14d", pre_value=pre
    )


def judged(experiments, **rules):
    return effects.judge_tests(experiments, rules).iloc[0]


@pytest.mark.parametrize("variants", USUAL, ids="/".join)
def test_a_control_is_known_by_its_usual_names(variants):
    assert effects.control_of(variants[::-1]) == variants[:1]


@pytest.mark.parametrize("variants", UNKNOWN, ids="/".join)
def test_a_control_is_never_guessed(variants):
    found = judged(units(dict.fromkeys(variants, 500)))
    assert found["control"] == ""
    assert "tests: {T: {control: ...}}" in found["problem"]


def test_hillstrom_is_read_the_right_way_round():
    """Published counts of buyers: 267 of 21,307 with the men's mail, 189 of 21,387 with the women's, 122 of 21,306."""
    counts = {"Womens E-Mail": 21_387, "Mens E-Mail": 21_307, "No E-Mail": 21_306}
    sent = units(counts, {"Womens E-Mail": 189, "Mens E-Mail": 267, "No E-Mail": 122})
    tests = effects.judge_tests(sent, {})
    found = reasons.experiment_effects(effects.readable(sent, tests)).set_index("variant")
    assert found["effect"].round(5).to_dict() == {"Mens E-Mail": 0.00681, "Womens E-Mail": 0.00311}
    assert (found["low"] > 0).all()


def test_client_yaml_says_which_is_the_control():
    mails = units({"A": 900, "B": 900}, {"A": 90, "B": 45})
    rules = {"T": TestRules(control="B")}
    tests = effects.judge_tests(mails, rules)
    assert reasons.experiment_effects(effects.readable(mails, tests))[
        "effect"
    ].item() == pytest.approx(0.05)
    wrong = judged(mails, T=TestRules(control="C"))
    assert "none of its variants (A, B)" in wrong["problem"]
    gone = effects.judge_tests(mails, {"summer": TestRules(control="A")}).set_index(
        "experiment_id"
    )["problem"]
    assert "there is none of that name (T)" in gone["summer"]
    stray = judged(mails, T=TestRules(control="B", shares={"A": 0.5, "B": 0.4, "C": 0.1}))
    assert "not for each of its variants" in stray["problem"]


def test_two_that_may_be_the_control_are_asked_about():
    found = judged(units({"control": 300, "no mail": 300, "mail": 300}))
    assert "control, no mail may each be the control" in found["problem"]


@pytest.mark.parametrize(
    ("counts", "shares", "sound"),
    [
        ((5000, 5000), {}, True),
        ((9003, 997), {}, True),  # nine to one, as is usual with a holdout
        ((3300, 3350, 3350), {}, True),
        ((5400, 4600), {}, False),
        ((5260, 4740), {}, False),
        ((9120, 880), {}, False),
        ((5400, 4600), {"v0": 54, "control": 46}, True),
        ((5000, 5000), {"v0": 0.6, "control": 0.4}, False),
        ((12, 20), {}, True),  # too few to tell
    ],
)
def test_a_broken_split_is_named_and_its_effect_is_not_told(counts, shares, sound):
    names = [*(f"v{i}" for i in range(len(counts) - 1)), "control"]
    mails = units(dict(zip(names, counts, strict=True)), {"v0": 5})
    tests = effects.judge_tests(mails, {"T": TestRules(shares=shares)} if shares else {})
    assert (tests["problem"].item() == "") == sound
    assert (
        len(reasons.experiment_effects(effects.readable(mails, tests))) == (len(counts) - 1) * sound
    )
    assert [f"v0 {counts[0]:,}" in s for s in effects.say_unread(tests)] == [True] * (not sound)


def test_sound_splits_are_hardly_ever_called_broken():
    rng = np.random.default_rng(7)
    draws = rng.multinomial(4000, [0.8, 0.2], size=2000)
    plans = [effects._split("T", pd.Series(d, ["mail", "control"]), {}) for d in draws]
    assert (
        sum(p != "" for p in plans) <= 5
    )  # one of two thousand is meant, and a second plan may fit by chance


def test_groups_that_differed_before_are_not_compared():
    rng = np.random.default_rng(3)
    before = np.concatenate([rng.normal(12, 4, 800), rng.normal(10, 4, 800)])
    assert (
        "differed from the control before"
        in judged(units({"mail": 800, "control": 800}, pre=before))["problem"]
    )
    assert (
        judged(units({"mail": 800, "control": 800}, pre=rng.permutation(before)))["problem"] == ""
    )
    seldom = np.concatenate(
        [np.repeat([10.0, 0.0], [18, 162]), np.zeros(20)]
    )  # one in ten bought before
    assert judged(units({"mail": 180, "control": 20}, pre=seldom))["problem"] == ""


def test_one_group_and_no_test():
    assert "all units are in one group" in judged(units({"control": 40}))["problem"]
    assert effects.judge_tests(units({"control": 0}), {"T": TestRules()}).empty


def mailings(effect, seed, people=1500):
    """Messages of two campaigns, a fifth held back by lot, and what each person bought in the days after."""
    rng = np.random.default_rng(seed)
    told = pd.DataFrame(
        {
            "customer_id": np.tile(np.arange(people), 2).astype(str),
            "campaign_id": np.repeat(["a", "b"], people),
        }
    )
    told["held"] = rng.random(len(told)) < 0.2
    base = np.where(told["campaign_id"] == "a", 10.0, 40.0)  # the second falls into a better season
    told["sales"] = rng.gamma(1, base) + effect * ~told["held"]
    return told.assign(message_id=told.index.astype(str))


def test_what_each_campaign_added_is_told_by_those_it_held_back():
    found = pd.concat([effects.by_campaign(mailings(3.0, seed)) for seed in range(60)])
    assert (
        0.8 < ((found["low"] < 3) & (found["high"] > 3)).mean() < 0.97
    )  # of 120, nine in ten are meant
    assert found["effect"].mean() == pytest.approx(3.0, abs=0.5)
    seldom = mailings(0.0, 2)
    seldom["sales"] *= np.random.default_rng(1).random(len(seldom)) < 0.01
    assert effects.by_campaign(seldom).empty  # a handful of buyers says nothing
    twice = pd.concat([mailings(3.0, 1)] * 4)
    narrow, plain = (effects.by_campaign(t).iloc[0] for t in (twice, mailings(3.0, 1)))
    assert narrow["high"] - narrow["low"] == pytest.approx(
        plain["high"] - plain["low"], rel=0.01
    )  # the same people
    alone = mailings(3.0, 1)
    assert effects.by_campaign(alone[~alone["held"]]).empty


@pytest.mark.parametrize(
    ("money", "low", "high", "said", "advice"),
    [
        (
            2.0,
            1.0,
            3.0,
            "A message adds 2.00 EUR of sales in 28 days (1.00 to 3.00 EUR).",
            "go on as now",
        ),
        (
            0.5,
            0.1,
            0.9,
            "A message adds 0.50 EUR of sales",
            "whether a message pays cannot be told yet",
        ),
        (0.1, 0.05, 0.15, "A message adds 0.10 EUR of sales", "write only to those who bring more"),
        (
            -2.0,
            -3.0,
            -1.0,
            "A message costs 2.00 EUR of sales in 28 days (1.00 to 3.00 EUR).",
            "write less often",
        ),
        (
            1.0,
            -0.6,
            2.6,
            "cannot be told yet: -0.60 to 2.60 EUR",
            "6 times as many messages show it four times out of five",
        ),
        (0.0, -1.0, 1.0, "cannot be told yet", "look again with all campaigns together"),
    ],
)
def test_what_messages_held_back_say_in_words(money, low, high, said, advice):
    shown = effects.Shown(0.1, 0.0, 0.2, money, 500, 4500, 28, low, high)
    told = experiments.say_held_out(shown, "EUR", 0.5, (0.1, "settings"))
    assert said in told["headline"].replace("\N{NO-BREAK SPACE}", " ")
    assert advice in told["action"]
    assert "4,500 messages were sent and 500 held back by lot" in told["evidence"]


def test_what_a_message_leaves_is_told_at_an_assumed_cost_but_not_without_a_margin():
    shown = effects.Shown(0.1, 0.0, 0.2, 2.0, 500, 4500, 28, 1.0, 3.0)
    nan, said, assumed = float("nan"), (0.1, "settings"), (0.5, "assumed")
    for cost, missing in ((said, "the goods cost"), (assumed, "the goods and a message cost")):
        told = experiments.say_held_out(shown, "EUR", nan, cost)
        assert f"before what {missing}." in told["evidence"]
        assert f"find out what {missing} (" in told["action"]
    told = experiments.say_held_out(shown, "EUR", 0.5, assumed)
    assert "0 to 1.00" in told["evidence"].replace("\N{NO-BREAK SPACE}", " ")
    assert "a message is taken to cost 0.50" in told["evidence"]
    assert told["action"].startswith("find out what a message costs (")

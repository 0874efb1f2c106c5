"""What chance decided: the control of a test, whether its split is sound, and what messages held
back show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from importlib import resources
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _
from scipy.stats import chisquare, norm, ttest_ind

from helpers import methods, stats
from helpers.client import TestRules

WORDS = yaml.safe_load(
    resources.files("helpers").joinpath("effects.yaml").read_text(encoding="utf-8")
)
SAYS = WORDS["says"]
NOUN = f"({'|'.join(WORDS['nouns'])})"
USUAL = re.compile("|".join(f"({name})" for name in WORDS["controls"]).replace("NOUN", NOUN))
NORMAL = norm.ppf(stats.ENDS)  # standard errors to the ends of an interval
# a smallest group up to so large: steps of its plan
STEPS = {1.0: (0.1, 0.25, 1 / 3), 0.2: (0.05,), 0.05: (0.01,)}


def control_of(variants: list[str]) -> list[str]:
    """The variants whose name is a usual one for the group that got nothing.

    >>> control_of(["Mens E-Mail", "Womens E-Mail", "No E-Mail"]), control_of(["A", "B"])
    (['No E-Mail'], [])
    """
    return [v for v in variants if USUAL.fullmatch(re.sub(r"[\W_]+", " ", v.lower()).strip())]


def judge_tests(experiments: pd.DataFrame, rules: Mapping[str, TestRules]) -> pd.DataFrame:
    """One row a test: experiment_id, units, control, control_from, and why it cannot be read
    (`problem`, else empty).

    `experiments` has the columns of that table, one row a test and unit; `rules` is `tests` of
    client.yaml. The control is the variant that the rules name, else the only one with a usual
    name; it is never guessed. A test is not read where its split, or what was measured before it,
    is no work of chance. A rule of a test that is not there is a row with a problem.
    """
    tests = experiments.groupby("experiment_id")
    rows = [_judge(test, units, rules.get(test, TestRules())) for test, units in tests]
    known = {row["experiment_id"] for row in rows}
    gone = [test for test in rules if test not in known] if rows else []
    rows += [_nothing(test, SAYS["gone"].format(tests=", ".join(map(str, known)))) for test in gone]
    return pd.DataFrame(
        rows, columns=["experiment_id", "units", "control", "control_from", "problem"]
    )


def with_control(experiments: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """The rows of all tests with `base`, the name of their test's control; empty where it is not
    known.
    """
    known = judged[judged["control_from"] != ""].set_index("experiment_id")["control"]
    return experiments.assign(base=experiments["experiment_id"].map(known).astype("object"))


def readable(experiments: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """The rows of tests in which `judge_tests` found no problem, with `base`, the name of their
    test's control.
    """
    sound = judged.loc[judged["problem"] == "", "experiment_id"]
    return with_control(experiments, judged)[experiments["experiment_id"].isin(sound)]


def say_unread(judged: pd.DataFrame) -> list[str]:
    """A sentence for each test that is not read, with the reason."""
    rows = judged[judged["problem"] != ""]
    return [SAYS["unread"].format(test=r.experiment_id, why=r.problem) for r in rows.itertuples()]


class Shown(NamedTuple):
    """What messages held back at random show that a message adds, with its 90 % interval.

    added, low and high: as a share of what those held back spend in a period; money, money_low and
    money_high: sales a message, in currency, in the `days` that followed it.
    """

    added: float
    low: float
    high: float
    money: float
    held: int
    sent: int
    days: int
    money_low: float = float("nan")
    money_high: float = float("nan")

    def replaces(self, assumed: float) -> bool:
        """Whether it knows better than an assumption that is as uncertain as it is large."""
        enough = min(self.held, self.sent) >= methods.value("messages_held_out")
        return enough and (self.high - self.low) / 2 <= assumed


def message_effect(tables: Mapping[str, ir.Table], as_of: date, period: int) -> Shown | None:
    """What a message adds to what is spent in a `period`, from messages held back at random; None
    without any.

    Sales of those sent and of those held back, compared within each campaign (a regression with one
    level a campaign), in the `message_days` from the day of the message on, or the period if that
    is shorter. Errors of one customer go together (Liang and Zeger 1986). Sales of a period are
    taken to go on as in those days.
    """
    window = min(methods.value("message_days"), period)
    rows = after_messages(tables["messages"], tables["orders"], as_of, window).to_pandas()
    held = rows["held"].astype(bool)
    sales = rows["sales"].astype(float)
    campaign = rows["campaign_id"]
    counts = int(held.sum()), int((~held).sum())
    if not counts[0]:
        return None
    base, nothing = sales[held].mean(), Shown(np.nan, np.nan, np.nan, np.nan, *counts, window)
    effect, own = _difference(sales, ~held, campaign)
    if min(counts) < methods.value("messages_held_out") or base <= 0 or not np.isfinite(effect):
        return nothing
    scale = window / period / base
    of_base = own - effect / base * held * (sales - base) / counts[0]
    money = effect + NORMAL * clustered_error(own, rows["customer_id"])
    share = effect + NORMAL * clustered_error(of_base, rows["customer_id"])
    return Shown(
        *(float(v * scale) for v in (effect, *share)), effect, *counts, window, *map(float, money)
    )


def after_messages(messages: ir.Table, orders: ir.Table, as_of: date, window: int) -> ir.Table:
    """One row a message of the campaigns that held some back: held, and the sales of the `window`
    days from it on.
    """
    drawn = messages.filter(
        _.customer_id.notnull(), _.sent_at.date() <= as_of - timedelta(days=window)
    ).select(
        "message_id",
        "customer_id",
        campaign_id=_.campaign_id.fill_null(""),
        held=_.is_holdout.fill_null(False),
        on=_.sent_at.date(),
    )
    told = drawn.semi_join(drawn.filter(_.held).select("campaign_id").distinct(), "campaign_id")
    by = (
        orders.filter(_.customer_id.notnull())
        .group_by("customer_id", "ordered_on")
        .agg(sales=_.revenue.sum())
    )
    soon = by.ordered_on.delta(told.on, unit="day")
    both = told.left_join(by, [told.customer_id == by.customer_id, soon >= 0, soon < window])
    return both.group_by("message_id", "customer_id", "campaign_id", "held").agg(
        sales=_.sales.sum().fill_null(0.0)
    )


def by_campaign(after: pd.DataFrame) -> pd.DataFrame:
    """What each campaign that held some back added a message: campaign_id, sent, held, effect, low,
    high (currency).

    `after` are the rows of `after_messages`. A difference of means with its 90 % interval, the
    messages to one customer together (see `message_effect`). Campaigns with fewer than
    `test_people` on a side, or fewer than `test_buyers` with sales, are left out: of so few, an
    interval would promise more than it holds.
    """
    rows = []
    for campaign, told in after.groupby("campaign_id"):
        sales, sent = told["sales"].astype(float), ~told["held"].astype(bool)
        sides = (sales[sent], sales[~sent])
        if _enough(sides):
            effect, own = _difference(sales, sent, told["campaign_id"])
            ends = effect + NORMAL * clustered_error(own, told["customer_id"])
            rows.append((campaign, *map(len, sides), effect, *ends))
    kinds = {
        "campaign_id": "str",
        "sent": int,
        "held": int,
        "effect": float,
        "low": float,
        "high": float,
    }
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _enough(sides: tuple[pd.Series, pd.Series]) -> bool:
    """Whether the sales of two groups are those of people and buyers enough to compare."""
    people, buyers = min(map(len, sides)), min((side > 0).sum() for side in sides)
    return people >= methods.value("test_people") and buyers >= methods.value("test_buyers")


def _difference(sales: pd.Series, sent: pd.Series, campaign: pd.Series) -> tuple[float, pd.Series]:
    """Difference of mean sales within campaigns, and the influence of each message on it; nan where
    none differs.
    """
    told, sold = ((v - v.groupby(campaign).transform("mean")) for v in (sent.astype(float), sales))
    weight = (told @ told) or np.nan
    effect = (told @ sold) / weight
    return float(effect), told * (sold - effect * told) / weight


def clustered_error(own: pd.Series, customer: pd.Series) -> float:
    """Standard error from influences, those of one customer together (Liang and Zeger 1986)."""
    return float(np.sqrt((own.groupby(customer).sum() ** 2).sum()))


def _nothing(test: str, problem: str) -> dict:
    return {
        "experiment_id": test,
        "units": 0,
        "control": "",
        "control_from": "",
        "problem": problem,
    }


def _judge(test: str, units: pd.DataFrame, rule: TestRules) -> dict:
    counts = units["variant"].value_counts().sort_index()
    control, source, problem = _control(test, list(counts.index), rule.control)
    checks = (
        []
        if problem
        else [_alone(counts), _split(test, counts, rule.shares), _before(units, control)]
    )
    problem = next(filter(None, [problem, *checks]), "")
    return _nothing(test, problem) | {
        "units": len(units),
        "control": control,
        "control_from": source,
    }


def _control(test: str, variants: list[str], asked: str) -> tuple[str, str, str]:
    """The control, how it is known, and what is wrong with it."""
    names = ", ".join(variants)
    if asked:
        wrong = "" if asked in variants else SAYS["absent"].format(asked=asked, variants=names)
        return asked, SAYS["asked"], wrong
    usual = control_of(variants)
    if len(usual) == 1:
        return usual[0], SAYS["named"], ""
    why = SAYS["several"].format(variants=", ".join(usual), test=test) if usual else ""
    return "", "", why or SAYS["unknown"].format(variants=names, test=test)


def _alone(counts: pd.Series) -> str:
    return SAYS["alone"] if len(counts) < 2 else ""


def _split(test: str, counts: pd.Series, shares: Mapping[str, float]) -> str:
    """What is wrong with the sizes of the groups, against the shares that were meant or the
    likeliest plan.
    """
    if shares and set(shares) != set(counts.index):
        return SAYS["shares"].format(variants=", ".join(counts.index))
    asked = np.array([shares[v] for v in counts.index]) if shares else counts.to_numpy()
    plans = [asked / asked.sum()] if shares else _usual_plans(counts)
    chances = [chisquare(counts, plan * counts.sum()).pvalue for plan in plans]
    if max(chances) >= methods.value("split_chance"):
        return ""
    plan = plans[int(np.argmax(chances))]
    return SAYS["split" if shares else "unplanned"].format(
        test=test,
        counts=", ".join(f"{v} {n:,}" for v, n in counts.items()),
        shares=" to ".join(f"{100 * p:.3g} %" for p in plan),
    )


def _usual_plans(counts: pd.Series) -> list[np.ndarray]:
    """The plans that somebody may have had: equal groups, and round shares near those that came
    out.
    """
    found = counts.to_numpy() / counts.sum()
    plans = [np.full(len(counts), 1 / len(counts))]
    for step in (
        step for largest, steps in STEPS.items() if found.min() <= largest for step in steps
    ):
        round_shares = np.round(found / step) * step
        if round_shares.min() > 0 and np.isclose(round_shares.sum(), 1):
            plans.append(round_shares)
    return plans


def _before(units: pd.DataFrame, control: str) -> str:
    """Whether a group differed from the control before the test, by what was measured then (Welch
    1947).

    Small groups, and those in which hardly a value differs from the others, cannot tell.
    """
    known = units[units["pre_value"].notna()]
    groups = {
        v: rows["pre_value"].astype(float)
        for v, rows in known.groupby("variant")
        if len(rows) >= methods.value("test_people")
    }
    least = methods.value("test_buyers")
    groups = {
        v: values for v, values in groups.items() if (values != values.mode()[0]).sum() >= least
    }
    plain = groups.pop(control, None)
    broken = methods.value("split_chance") / max(len(groups), 1)
    for variant, values in groups.items() if plain is not None else ():
        if ttest_ind(values, plain, equal_var=False).pvalue < broken:
            return SAYS["before"].format(
                variant=variant, high=f"{values.mean():,.2f}", low=f"{plain.mean():,.2f}"
            )
    return ""

"""Lists of people worth acting on: a reason each, consent respected, a random holdout, safe files."""

from __future__ import annotations

import csv
import os
import re
import shutil
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _
from statsmodels.stats.power import TTestIndPower

from helpers import stats
from helpers.client import PlaybookError
from helpers.plan.wording import wording
from helpers.show import words
from helpers.store import Store

QUARTER = 91   # days of the period that `expected_value` looks ahead
FORMULA = re.compile(r"\s*[=+\-@\t\r\n＝＋－＠|%]")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
COLUMNS = ["audience", "customer_id", "reason", "expected_value"]


def is_overdue(people: pd.DataFrame, times: float) -> pd.Series:
    """Whether the last order lies more than `times` the customer's own usual gap back.

    False where no gap is known: with one day of orders nobody has a rhythm yet.
    """
    return people["recency"] > times * people["usual_gap"]


def audiences(segments: pd.DataFrame, times: float, window: int) -> pd.DataFrame:
    """The people on each list of words.yaml: audience, customer_id, reason, expected_value.

    `times` is how many usual gaps somebody must be overdue for the lists that ask for it; `window` is the number
    of days that frequency and monetary were counted over. `expected_value` is what is at stake in the next
    quarter: usual sales, or one more order.
    """
    parts = [segments.head(0).assign(audience="", reason="", expected_value=0.0)]
    for name, rule in wording("audiences").items():
        people = segments[segments["segment"].isin(rule["segments"])]
        people = people[is_overdue(people, times)] if rule["overdue"] else people
        stake = people["monetary"] * QUARTER / window if rule["stake"] == "usual" else people["aov"]
        reasons = [_reason(person, rule["reason"], window) for person in people.itertuples(index=False)]
        parts.append(people.assign(audience=name, reason=reasons, expected_value=stake.round(2)))
    return pd.concat(parts)[COLUMNS].reset_index(drop=True)


def _reason(person: tuple, pattern: str, window: int) -> str:
    say = wording("gap")
    gap = say["unknown"] if pd.isna(person.usual_gap) else say["known"].format(days=words.count(person.usual_gap))
    return pattern.format(gap=gap, recency=person.recency, spent=words.money(person.monetary), window=window,
                          order=words.money(person.aov), orders=person.frequency)


def add_consent(listed: pd.DataFrame, customers: pd.DataFrame, channel: str) -> pd.DataFrame:
    """Add `consent` to a channel (email, sms or ads): given, refused, or not known.

    Raises PlaybookError for another channel.
    """
    column = f"consent_{channel}"
    if column not in ("consent_email", "consent_sms", "consent_ads"):
        raise PlaybookError(f'contact_by: there is no consent for "{channel}". Write email, sms or ads.')
    say = wording("consent")
    known = listed["customer_id"].map(customers.set_index("customer_id")[column].astype("boolean"))
    return listed.assign(consent=known.map({True: say["given"], False: say["refused"]}).fillna(say["unknown"]))


def with_holdout(listed: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Add `is_holdout`: True for a random `share` of each list, rounded to whole people.

    Chance is a hash of seed and customer (salted hashing, as in Kohavi et al. 2020), so that neither the order
    of the rows nor the people around them matter, and mostly the same people are held out from run to run.
    """
    drawn = listed["customer_id"].map(lambda c: blake2b(f"{seed}/{c}".encode(), digest_size=8).hexdigest())
    place = drawn.groupby(listed["audience"]).rank(method="first")
    size = listed.groupby("audience")["customer_id"].transform("size")
    return listed.assign(is_holdout=place <= (share * size + 0.5).astype(int))

"""Lists of people worth acting on: a reason each, consent respected, a random holdout, safe
files.
"""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import t

from helpers import history
from helpers.client import PlaybookError
from helpers.plan.wording import wording
from helpers.show import words
from helpers.store import Store, write_csv

QUARTER, USUAL_DAYS = 91, 182  # days looked ahead; days that usual sales are counted over
COLUMNS = ["audience", "customer_id", "reason", "expected_value"]
EXPORTED = ["customer_id", "reason", "expected_value", "consent"]


def buying(orders: ir.Table, as_of: date) -> ir.Table:
    """Each customer's rhythm and sales as seen on `as_of`, and what came after it.

    recency: days since the last order; usual_gap: mean days between days with an order, empty below
    two; spent: sales in the two quarters up to `as_of`; usual: what that is a quarter; came: sales
    in the quarter after it, for a look back. Money in currency.
    """
    seen, recent = _.ordered_on <= as_of, _.ordered_on > as_of - timedelta(days=USUAL_DAYS)
    bought = seen & (history.BOUGHT)  # a return is no order
    people = orders.filter(_.customer_id.notnull(), _.ordered_on <= as_of + timedelta(days=QUARTER))
    people = (
        people.group_by("customer_id")
        .agg(
            first=_.ordered_on.min(where=bought),
            last=_.ordered_on.max(where=bought),
            visits=_.ordered_on.nunique(where=bought),
            spent=_.revenue.sum(where=seen & recent).fill_null(0.0).round(2),
            came=_.revenue.sum(where=~seen).fill_null(0.0).round(2),
        )
        .filter(_.visits > 0)
    )
    return people.select(
        "customer_id",
        recency=ibis.literal(as_of).delta(people.last, unit="day"),
        usual_gap=_.last.delta(_.first, unit="day") / (_.visits - 1).nullif(0),
        spent=_.spent,
        usual=_.spent * QUARTER / USUAL_DAYS,
        came=_.came,
    ).order_by("customer_id")


def list_audiences(segments: pd.DataFrame, bought: pd.DataFrame) -> pd.DataFrame:
    """The people on each list of words.yaml: audience, customer_id, reason, expected_value.

    `bought` is the frame of `buying`. `expected_value` is in currency: the usual
    sales of a quarter, or one more order of the usual size.
    """
    known = segments.merge(bought[["customer_id", "spent", "usual"]], on="customer_id")
    parts = []
    for name, rule in wording("audiences").items():
        people = known[known["segment"].isin(rule["segments"])]
        people = people[people["recency"] > people["dormant_after"]] if rule["silent"] else people
        reasons = [_reason(person, rule["reason"]) for person in people.itertuples(index=False)]
        parts.append(
            people.assign(
                audience=name,
                reason=pd.Series(reasons, people.index, dtype="str"),
                expected_value=people[rule["worth"]].round(2),
            )
        )
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def add_consent(listed: pd.DataFrame, customers: pd.DataFrame, channel: str) -> pd.DataFrame:
    """Add `consent` to a channel (email, sms or ads): given, refused, or not known.

    Raises PlaybookError for another channel.
    """
    if channel not in ("email", "sms", "ads"):
        raise PlaybookError(
            f'contact_by: there is no consent for "{channel}". Write email, sms or ads.'
        )
    say, consents = wording("consent"), customers.set_index("customer_id")[f"consent_{channel}"]
    known = listed["customer_id"].map(consents.map({True: say["given"], False: say["refused"]}))
    return listed.assign(consent=known.astype("str").where(known.notna(), say["unknown"]))


def with_holdout(listed: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Add `is_holdout`: True for a random `share` of each list, rounded to whole people.

    Chance is a hash of seed and customer, so neither the order of the rows nor the run matters:
    mostly the same people are kept out each time, which keeps their history clean (Kohavi, Tang and
    Xu 2020).
    """
    drawn = listed["customer_id"].map(
        lambda c: blake2b(f"{seed}/{c}".encode(), digest_size=8).hexdigest()
    )
    place = drawn.astype("str").groupby(listed["audience"]).rank(method="first")
    size = listed.groupby("audience")["customer_id"].transform("size")
    return listed.assign(is_holdout=place <= (share * size).round())


def smallest_effect(contacted: int, held_out: int, spread: float) -> float:
    """The smallest difference of means a person that two groups would show, in the unit of
    `spread`.

    Two-sided 5 % t-test with 80 % power (Bloom 1995); not a number where a group has fewer than two
    people.

    >>> round(smallest_effect(64, 64, 1.0), 2)
    0.5
    """
    if min(contacted, held_out) < 2:
        return float("nan")
    reach = t.ppf([0.975, 0.80], contacted + held_out - 2).sum()
    return float(reach * spread * np.sqrt(1 / contacted + 1 / held_out))


def look_back(orders: ir.Table, segments: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """What came of the people whom the rule of the silent lists would have named a quarter ago.

    One row a person: `usual` sales of a quarter, and `came`: sales in the quarter since. The rule
    is today's: as late as today's cut line and as many usual gaps, and among as large a top by
    sales. Empty with too short a history.
    """
    then = as_of - timedelta(days=QUARTER)
    first = orders.ordered_on.min().to_pandas()
    if (
        pd.isna(first)
        or pd.Timestamp(first).date() > then - timedelta(days=USUAL_DAYS)
        or not segments["m_high"].any()
    ):
        return pd.DataFrame({"usual": [], "came": []}, dtype=float)
    people = buying(orders, then).to_pandas()
    times = (segments["dormant_after"] / segments["usual_gap"])[segments["m_high"]].median()
    late = segments.loc[segments["r_high"], "recency"].max()
    important = people[people["spent"] >= people["spent"].quantile(1 - segments["m_high"].mean())]
    silent = (important["recency"] > times * important["usual_gap"]) & (important["recency"] > late)
    return important.loc[silent, ["usual", "came"]]


class Helps(NamedTuple):
    """What a contact is reckoned to bring back: the share, at most, and in words what that rests
    on.
    """

    share: float
    most: float
    in_words: str
    sure: str
    action: str


def contact_helps(found: pd.Series, best: float) -> Helps:
    """The part of the missing sales that a contact brings back; `found` is the row of
    `message_response`, which says whether that is measured or assumed.

    `best` is the largest share that any segment's coupons reached, the most that an assumption may
    promise.
    """
    says, share = wording("helps"), found["rescued"]
    if not found["measured"]:
        said = says["assumed"].format(share=words.percent(share))
        return Helps(share, best, said, says["assumed_sure"], says["assumed_action"])
    ends = {c: words.percent(found[c], 1) for c in ("rescued", "low", "high")}
    sure = says["measured_sure"].format(held=words.count(found["held_out"]))
    said = says["measured"].format(**ends)
    return Helps(share, found["high"], said, sure, says["measured_action"])


def yearly_value(stake: pd.DataFrame, contacted: int, rescued: float, best: float) -> pd.Series:
    """What reaching so many of the silent may bring in the year ahead: value, low, high in
    currency.

    `stake` is the one row of the table `at_stake`. value: their part of it, of which the part
    `rescued` is taken to come back; low: 0, contact may change nothing; high: the upper end of what
    is at stake, of which the part `best` comes back, if that is more.
    """
    row = stake.iloc[0]
    part = min(contacted / row["customers"], 1.0)
    return pd.Series(
        {
            "value": row["stake"] * part * rescued,
            "low": 0.0,
            "high": row["high"] * part * np.fmax(rescued, best),
        }
    )


def summary(listed: pd.DataFrame) -> pd.DataFrame:
    """One row a list: people, consent_not_known, kept_out, contacted, usual_sales (currency), and
    the mean expected value a person of both groups, which chance should make alike.
    """
    rows = listed.assign(
        unknown=listed["consent"] == wording("consent")["unknown"],
        out=listed["expected_value"].where(listed["is_holdout"]),
        told=listed["expected_value"].where(~listed["is_holdout"]),
    )
    return rows.groupby("audience", as_index=False).agg(
        people=("customer_id", "size"),
        consent_not_known=("unknown", "sum"),
        kept_out=("out", "count"),
        contacted=("told", "count"),
        usual_sales=("expected_value", "sum"),
        mean_kept_out=("out", "mean"),
        mean_contacted=("told", "mean"),
    )


def write_lists(run: Store, listed: pd.DataFrame, names: str) -> list[Path]:
    """Write the lists asked for as CSV for a channel to import, without the holdout, and give back
    the files.

    `names` are lists of words.yaml, between commas; PlaybookError for another. The files lie in
    `private/audiences/<run>/`, which only the owner may read. Lists of this run are written anew,
    and those of runs that are no longer kept are deleted.
    """
    wanted = [n for n in (name.strip() for name in names.split(",")) if n]
    known = list(wording("audiences"))
    if not set(wanted) <= set(known):
        raise PlaybookError(
            f'lists: "{names}" names a list that is not there. Known: {", ".join(known)}.'
        )
    home = run.client.folder / "private" / "audiences"
    for old in home.iterdir() if home.is_dir() else []:
        kept = old.name != run.folder.name and (run.client.folder / "runs" / old.name).is_dir()
        if old.is_dir() and not kept:
            shutil.rmtree(old)
    files = [home / run.folder.name / f"{name.replace(' ', '_')}.csv" for name in wanted]
    for file, name in zip(files, wanted, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        people = listed[(listed["audience"] == name) & ~listed["is_holdout"]]
        write_csv(people[EXPORTED], file)
    return files


def _reason(person: tuple, pattern: str) -> str:
    say = wording("gap")
    gap = (
        say["unknown"]
        if np.isnan(person.usual_gap)
        else say["known"].format(days=words.count(person.usual_gap))
    )
    figures = {"recency": person.recency, "spent": person.spent, "order": person.aov}
    return pattern.format(
        gap=gap, days=USUAL_DAYS, **{name: words.count(n) for name, n in figures.items()}
    )

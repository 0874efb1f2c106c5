"""Whom to win back: what a contact may bring, who is left out and why, and what has changed since
the last run.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import history, methods, stats
from helpers.client import PlaybookError
from helpers.effects import clustered_error
from helpers.segment.churn.leaving import CHURN, Watch

JUDGES = ["rule", "rhythm", "model", "threshold"]
VOTES = 2  # ways that must flag a customer whom the model does not
COLUMNS = [
    "customer_id",
    "silence",
    "is_alive",
    *[f"by_{way}" for way in JUDGES],
    *[f"{way}_score" for way in JUDGES],
]
COLUMNS += [
    "alive_score",
    "votes",
    "at_risk",
    "risk",
    "rank",
    "reason",
    "stake",
    "one_order",
    "win_back_value",
]
COLUMNS += ["on_list", "why_not"]


class Terms(NamedTuple):
    """What the list reckons with: the share rescued, the cost of a contact in currency, and the
    channel of consent.
    """

    rescued: float
    cost: float = 0.0
    channel: str = "email"


class Response(NamedTuple):
    """What a contact does: of those who would have stayed silent, the share that orders, with its
    90 % interval.

    seen, with seen_low and seen_high, is what the messages held out alone say; the others weigh in
    the assumption.
    """

    rescued: float
    low: float
    high: float
    held_out: int
    measured: bool
    assumed: float
    seen: float = float("nan")
    seen_low: float = float("nan")
    seen_high: float = float("nan")


def message_response(
    messages: ir.Table, orders: ir.Table, as_of: date, watch: Watch, assumed: float
) -> Response:
    """How many of those who would stay silent a message brings back, from messages held out at
    random.

    Looks at people silent for a step up to the horizon on the day, and at orders in the
    `message_days` from it on. The assumption counts as a measurement as uncertain as it is large; the two are
    weighed by how sure each is. With fewer than `messages_held_out` held out, the assumption
    stands alone, from 0 to twice itself.
    """
    seen = sent(messages, orders, watch).to_pandas()
    told_by = pd.Timestamp(as_of) - pd.Timedelta(days=methods.value("message_days"))
    seen = seen[pd.to_datetime(seen["on"]) <= told_by]
    held = seen["is_holdout"].fillna(False).astype(bool)
    if min(held.sum(), (~held).sum()) < methods.value("messages_held_out"):
        return Response(assumed, 0.0, 2 * assumed, int(held.sum()), False, assumed)
    without = seen.loc[held, "came"].mean()
    own = np.where(
        held,
        (without - seen["came"]) / held.sum(),
        (seen["came"] - seen.loc[~held, "came"].mean()) / (~held).sum(),
    )
    error = clustered_error(pd.Series(own), seen["customer_id"].to_numpy()) / (1 - without)
    effect = (seen.loc[~held, "came"].mean() - without) / (1 - without)
    weights = np.array([1 / max(assumed, 1e-9), 1 / error]) ** 2
    middle, spread = weights @ [assumed, effect] / weights.sum(), weights.sum() ** -0.5
    sides = stats.Z * np.array([0, -1, 1])
    ends = np.clip(middle + sides * spread, 0, None)
    return Response(
        *map(float, ends), int(held.sum()), True, assumed, *map(float, effect + sides * error)
    )


def sent(messages: ir.Table, orders: ir.Table, watch: Watch) -> ir.Table:
    """One row a message to somebody silent for a step up to the horizon: on, is_holdout, and
    whether they `came`.
    """
    bought, within = history.purchase_days(orders), methods.value("message_days")
    told = messages.filter(_.customer_id.notnull(), _.sent_at.notnull())
    told = told.select("message_id", "customer_id", "is_holdout", on=_.sent_at.date())
    both = told.join(bought, "customer_id")
    ago = both.on.delta(both.ordered_on, unit="day")
    rows = both.group_by("message_id", "customer_id", "is_holdout", "on").agg(
        silence=ago.min(where=ago > 0), came=((ago <= 0) & (ago > -within)).any()
    )
    return rows.filter(_.silence > watch.step, _.silence <= watch.horizon).order_by("message_id")


def add_stakes(people: pd.DataFrame, values: pd.DataFrame, watch: Watch) -> pd.DataFrame:
    """Add `stake`, what a customer brings in the next year if they stay, and `one_order`, what one
    order brings.

    From the values: the expected value over the chance to be alive, which leaves what those who are
    alive bring. Where no value is known: the sales of the window, on the scale of a year, and their
    average order.
    """
    known = values.reindex(
        columns=["customer_id", "prob_alive", "predicted_value", "average_value"]
    )
    both = people.merge(known, on="customer_id", how="left")
    alive = both["prob_alive"].astype(float).where(both["prob_alive"].astype(float) > 0.01)
    stay = both["predicted_value"].astype(float) / alive.fillna(1.0)
    sales, orders = both["monetary"].clip(lower=0), both["frequency"].where(both["frequency"] > 0)
    stake = stay.fillna(sales * 365 / watch.window)
    one = both["average_value"].astype(float).fillna(sales / orders).fillna(0.0)
    return both.drop(columns=["prob_alive", "predicted_value", "average_value"]).assign(
        stake=stake.fillna(0.0).round(2), one_order=one.round(2)
    )


def win_back_list(people: pd.DataFrame, customers: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Every customer with flags, risk, worth and place on the win-back list (table `churn`).

    `people` are the last rows of all who ordered, with the columns of the ways for those alive and
    of `add_stakes`. win_back_value: share rescued x risk x stake - cost, in currency. at_risk:
    flagged by the model, or by two of the four ways. rank: 1 has the most risk x stake of those
    alive. why_not is the first that applies, in the order of churn.yaml; a list of customers, or of
    consents, counts only where the client has one. Raises PlaybookError for an unknown channel.
    """
    if terms.channel not in ("email", "sms", "ads"):
        raise PlaybookError(
            f'contact_by: there is no consent for "{terms.channel}". Write email, sms or ads.'
        )
    consent = customers.set_index("customer_id")[f"consent_{terms.channel}"].astype("boolean")
    rows = people.merge(
        customers[["customer_id"]].assign(is_known=True), on="customer_id", how="outer"
    )
    flags = [f"by_{way}" for way in JUDGES]
    marks = ["is_alive", "is_known", *flags]
    rows[marks] = rows[marks].astype("boolean").fillna(False).astype(bool)
    given = rows["customer_id"].map(consent).astype("boolean")
    votes = rows[flags].sum(axis=1)
    expected = (rows["risk"] * rows["stake"]).where(rows["is_alive"])
    value = terms.rescued * expected - terms.cost
    no = {
        "never": rows["last_on"].isna(),
        "gone": ~rows["is_alive"],
        "calm": ~rows["by_model"] & (votes < VOTES),
        "unknown": ~rows["is_known"] & bool(len(customers)),
        "refused": given.eq(False).fillna(False),
        "silent": given.isna() & consent.notna().any(),
        "worthless": ~(value > 0),
    }
    why = np.select(list(no.values()), [CHURN["why_not"][k] for k in no], "")
    sign = rows["sign"].astype("str").where(rows["sign"].notna(), "")
    said = np.select(
        [rows[f] for f in flags[:3]], [CHURN["reasons"][way] for way in JUDGES[:3]], ""
    )
    found = rows.assign(
        votes=votes,
        at_risk=~(no["never"] | no["gone"] | no["calm"]),
        rank=expected.rank(ascending=False, method="first").astype("Int64"),
        reason=sign.where(sign != "", said),
        win_back_value=value.round(2),
        on_list=why == "",
        why_not=why,
    )
    return found[COLUMNS]


def churn_changes(before: pd.DataFrame | None, now: pd.DataFrame) -> pd.DataFrame:
    """What has changed since the table `churn` of the last run: change, customers, stake. Empty
    without one.
    """
    if before is None or not len(before):
        return pd.DataFrame(columns=["change", "customers", "stake"])
    passed = (pd.Timestamp(now["as_of"].max()) - pd.Timestamp(before["as_of"].max())).days
    both = now.merge(before, on="customer_id", how="left", suffixes=("", "_before"))
    was, alive = (
        both[c].astype("boolean").fillna(False).astype(bool)
        for c in ("at_risk_before", "is_alive_before")
    )
    came = both["silence"] < passed
    known = both["as_of_before"].notna()
    kinds = {
        "new at risk": both["at_risk"] & ~was,
        "still at risk": both["at_risk"] & was,
        "was at risk, has ordered since": was & came,
        "was at risk, is gone now": was & ~both["is_alive"],
        "was gone, came back": known & ~alive & both["is_alive"] & came,
    }
    rows = [
        (kind, int(is_so.sum()), both.loc[is_so, "stake"].sum()) for kind, is_so in kinds.items()
    ]
    return pd.DataFrame(rows, columns=["change", "customers", "stake"])

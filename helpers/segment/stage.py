"""Life-cycle stage, from the client's own gaps between purchases."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

KNOWN_FROM = 6   # days with an order from which a customer's own rhythm counts


def gap_ratios(orders: ir.Table, as_of: date) -> ir.Table:
    """How long past gaps were: `times` the customer's own mean gap (to one decimal), and how many `gaps`.

    A gap lies between two days with an order of the same customer. Only customers with a known rhythm count.
    """
    days = orders.filter(_.customer_id.notnull(), _.ordered_on <= as_of, _.quantity >= 0)
    days = days.select("customer_id", "ordered_on").distinct()
    each = ibis.window(group_by="customer_id")
    last = _.ordered_on.lag().over(ibis.window(group_by="customer_id", order_by="ordered_on"))
    span = _.ordered_on.max().over(each).delta(_.ordered_on.min().over(each), unit="day")
    gaps = days.mutate(n=_.count().over(each), gap=_.ordered_on.delta(last, unit="day"), span=span)
    gaps = gaps.filter(_.n >= KNOWN_FROM, _.gap.notnull())
    return gaps.group_by(times=(_.gap * (_.n - 1) / _.span).round(1)).agg(gaps=_.count()).order_by("times")


def share_longer(ratios: pd.DataFrame) -> pd.DataFrame:
    """Add `longer`: the share of past gaps that were longer than `times` the usual gap."""
    return ratios.assign(longer=1 - ratios["gaps"].cumsum() / ratios["gaps"].sum())


def rhythm(people: pd.DataFrame, ratios: pd.DataFrame, dormant_at: float, lost_at: float) -> pd.Series:
    """The client's rhythm: usual_gap in days, and how many times the usual gap make dormant and lost.

    usual_gap is the median customer's mean gap. A customer is dormant (lost) when silent for longer than the
    share `dormant_at` (`lost_at`) of past gaps. Where fewer gaps are known than such a share needs, the lines
    are those of purchases at random, whose gaps are exponential: -ln(1 - share).

    >>> rhythm(pd.DataFrame({"own_gap": [7.0, None]}), pd.DataFrame({"times": [], "gaps": []}), 0.95, 0.99).round(1).tolist()
    [7.0, 3.0, 4.6]
    """
    within = ratios["gaps"].cumsum() / ratios["gaps"].sum()
    lines = [float(ratios["times"][within >= share - 1e-12].iloc[0]) if ratios["gaps"].sum() >= 1 / (1 - share)
             else -np.log(1 - share) for share in (dormant_at, lost_at)]
    return pd.Series({"usual_gap": people["own_gap"].median(), "dormant": lines[0], "lost": lines[1]})


def add_stage(people: pd.DataFrame, rhythm: pd.Series, as_of: date) -> pd.DataFrame:
    """Add usual_gap, dormant_after and lost_after (days of silence), standing and stage.

    usual_gap: the customer's own mean gap from `KNOWN_FROM` days with an order, else the client's.
    Silence: days since the last order; since first seen for who never ordered; without end if that is unknown.
    new_days: what the client's usual customer is lost after, and the time a first order stays new; it is new
    only where the data reach back at least the client's dormant line before it.
    standing: new, passing (old, and all orders within new_days of the first) or long-term.
    stage: lost, dormant, new or active, the first that fits.
    """
    typical = rhythm["usual_gap"] if pd.notna(rhythm["usual_gap"]) else people["recency"].astype(float).max()
    usual = people["own_gap"].where(people["order_days"] >= KNOWN_FROM, typical)
    silence, age = (_days(people[c], as_of) for c in ("last_on", "first_on"))
    silence = silence.fillna(age).fillna(np.inf)
    new_days, watched = rhythm["lost"] * typical, (people["first_on"] - people["first_on"].min()).dt.days
    new = (age <= new_days) & (watched > rhythm["dormant"] * typical)
    span = (people["last_on"] - people["first_on"]).dt.days
    lines = pd.DataFrame({"usual_gap": usual, "dormant_after": usual * rhythm["dormant"],
                          "lost_after": usual * rhythm["lost"]})
    return people.assign(
        **lines, standing=np.select([new, span > new_days], ["new", "long-term"], "passing"),
        stage=np.select([silence > lines["lost_after"], silence > lines["dormant_after"], new],
                        ["lost", "dormant", "new"], "active"))


def _days(day: pd.Series, as_of: date) -> pd.Series:
    return (pd.Timestamp(as_of) - day).dt.days

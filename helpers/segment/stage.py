"""Life-cycle stage, from the client's own gaps between purchases."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import history

KNOWN_FROM = 6  # days with an order from which a customer's own rhythm counts
LOST = 0.1  # lost is ten times as rare as dormant


def gap_ratios(orders: ir.Table, as_of: date) -> ir.Table:
    """How long past gaps were: `times_usual_gap`, the customer's own mean gap (to one decimal), and
    how many `gaps`.

    A gap lies between two days with an order of the same customer. Only customers with a known
    rhythm count.
    """
    each = ibis.window(group_by="customer_id")
    gaps = history.gaps(orders, as_of)
    gaps = gaps.mutate(n=_.count().over(each), span=_.gap.sum().over(each))
    gaps = gaps.filter(_.n >= KNOWN_FROM - 1)
    times = (_.gap * _.n / _.span).round(1)
    return gaps.group_by(times_usual_gap=times).agg(gaps=_.count()).order_by("times_usual_gap")


def share_longer(ratios: pd.DataFrame) -> pd.DataFrame:
    """Add `longer`: the share of past gaps that were longer than so many usual gaps."""
    return ratios.assign(longer=1 - ratios["gaps"].cumsum() / ratios["gaps"].sum())


def rhythm(people: pd.DataFrame, ratios: pd.DataFrame, unusual: float) -> pd.Series:
    """The client's rhythm: usual_gap in days, and how many times the usual gap make dormant and
    lost.

    usual_gap is the median customer's mean gap. Dormant is a silence that at most the share
    `unusual` of past gaps outlasted; lost is one that at most a tenth of that share did. Where
    fewer gaps are known than such a share needs, the line is that of purchases at random, whose
    gaps are exponential: -ln(share).

    >>> none = pd.DataFrame({"times_usual_gap": [], "gaps": []})
    >>> rhythm(pd.DataFrame({"usual_gap": [7.0, None]}), none, unusual=0.1).round(1).tolist()
    [7.0, 2.3, 4.6]
    """
    known, longer = ratios["gaps"].sum(), share_longer(ratios)
    dormant, lost = (
        longer.loc[longer["longer"] <= share + 1e-12, "times_usual_gap"].min()
        if known * share >= 1
        else -np.log(share)
        for share in (unusual, unusual * LOST)
    )
    return pd.Series({"usual_gap": people["usual_gap"].median(), "dormant": dormant, "lost": lost})


def add_stage(people: pd.DataFrame, rhythm: pd.Series, as_of: date) -> pd.DataFrame:
    """Add dormant_after and lost_after (days of silence), standing and stage.

    The lines are multiples of the customer's own usual gap from `KNOWN_FROM` days with an order,
    else of the client's. Silence: days since the last order; where none is known (a return is no
    order) the stage is "no order yet". new_days: what the client's usual customer is lost after,
    and the time a first order stays new; it is new only where the data reach back at least the
    client's dormant line before it. standing: new, passing (old, and all orders within new_days of
    the first) or long-term. stage: no order yet, lost, dormant, new or active, the first that fits.
    """
    typical = (
        rhythm["usual_gap"]
        if pd.notna(rhythm["usual_gap"])
        else people["recency"].astype(float).max()
    )
    usual = people["usual_gap"].where(people["order_days"] >= KNOWN_FROM, typical)
    silence, age = (_days(people[c], as_of) for c in ("last_on", "first_on"))
    new_days = rhythm["lost"] * typical
    watched = (people["first_on"] - people["first_on"].min()).dt.days
    new = (age <= new_days) & (watched > rhythm["dormant"] * typical)
    span = (people["last_on"] - people["first_on"]).dt.days
    lines = {"dormant_after": usual * rhythm["dormant"], "lost_after": usual * rhythm["lost"]}
    rules = [silence.isna(), silence > lines["lost_after"], silence > lines["dormant_after"], new]
    return people.assign(
        **lines,
        standing=np.select([new, span > new_days], ["new", "long-term"], "passing"),
        stage=np.select(rules, ["no order yet", "lost", "dormant", "new"], "active"),
    )


def _days(day: pd.Series, as_of: date) -> pd.Series:
    return (pd.Timestamp(as_of) - day).dt.days

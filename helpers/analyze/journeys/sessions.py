"""Visits made of single acts, and how they differ from the visits that the export brings (practice
3.5).
"""

from __future__ import annotations

from importlib import resources

import ibis
import ibis.expr.types as ir
import pandas as pd
import yaml
from ibis import _

JOURNEYS = yaml.safe_load(
    resources.files(__package__).joinpath("journeys.yaml").read_text(encoding="utf-8")
)
STAGES = ["look", "cart", "checkout", "buy"]  # each a list of acts, and a column of visits
KEPT = ["customer_id", "session_id", "occurred_at", "event_name", "product_id", "order_id"]
KEPT += ["device", "source", "medium"]


def add_sessions(events: ir.Table, gap: float) -> ir.Table:
    """Acts (columns KEPT) with `who` did them, `act_no`, `visit_no` and `session`: person, act and
    visit, from 1.

    A new visit begins where more than `gap` minutes have passed since the act before; an act
    exactly at the gap still belongs to the old one. A person is a device, or where that is not
    known a customer, or the export's own session, and `who` begins with v:, c: or s: to tell them
    apart; acts of nobody are left out.
    """
    kinds = {"v:": events.visitor_id, "c:": events.customer_id, "s:": events.session_id}
    acts = events.mutate(
        who=ibis.coalesce(*(ibis.literal(kind) + name for kind, name in kinds.items()))
    )
    acts = acts.filter(acts.who.notnull())
    # the id only settles ties
    order = {"group_by": acts.who, "order_by": [acts.occurred_at, acts.event_id]}
    before, place = acts.occurred_at.lag().over(**order), ibis.row_number().over(**order) + 1
    acts = acts.select("who", *KEPT, before=before, act_no=place)
    pause = acts.occurred_at > acts.before + ibis.interval(seconds=round(gap * 60))
    new = (acts.before.isnull() | pause).ifelse(1, 0)
    acts = acts.mutate(
        visit_no=new.sum().over(ibis.cumulative_window(group_by="who", order_by="act_no"))
    ).drop("before")
    return acts.mutate(session=_.who + "/" + _.visit_no.cast("string"))


def visits(acts: ir.Table) -> ir.Table:
    """One row a visit of `add_sessions`: who, its number, start and end, device, channel, last act,
    and what it led to.

    `channel` is source / medium. Device and channel are those of the first act that names one;
    `customer_id` is who it was, where known; `last_act` leaves out acts that happen by themselves.
    """
    told, channel = ~acts.event_name.isin(JOURNEYS["noise"]), acts.source + " / " + acts.medium
    return acts.group_by("session", "who", "visit_no").agg(
        customer_id=_.customer_id.max(),
        starts_at=_.occurred_at.min(),
        ends_at=_.occurred_at.max(),
        device=_.device.argmin(_.act_no, where=_.device.notnull()),
        channel=channel.argmin(acts.act_no, where=channel.notnull()),
        last_act=_.event_name.argmax(_.act_no, where=told),
        acts=told.ifelse(1, 0).sum(),
        **{stage: _.event_name.isin(JOURNEYS[stage]).ifelse(1, 0).max() for stage in STAGES},
    )


def describe_visits(visits: pd.DataFrame) -> pd.DataFrame:
    """Visits in pandas with `minutes`, `visitor` (new or returning) and a bool for each of
    STAGES.
    """
    minutes = (visits["ends_at"] - visits["starts_at"]).dt.total_seconds() / 60
    return visits.assign(
        minutes=minutes.astype(float),
        visitor=visits["visit_no"].eq(1).map({True: "new", False: "returning"}),
        device=visits["device"].astype(object).fillna("not known"),
        channel=visits["channel"].astype(object).fillna("not known"),
        last_act=[act_words(a) for a in visits["last_act"]],
        **{stage: visits[stage] == 1 for stage in STAGES},
    )


def compare_sessions(acts: ir.Table) -> pd.Series:
    """Our visits beside the export's own: acts with a session_id, visits of ours and of theirs,
    joined and split.

    `joined` counts visits of ours that hold several of theirs, `split` theirs that lie in several
    of ours.
    """
    both = acts.filter(_.session_id.notnull()).group_by("session", "session_id").agg(acts=_.count())
    ours = both.group_by("session").agg(n=_.count(), acts=_.acts.sum())
    theirs = both.group_by("session_id").agg(n=_.count())
    a = ours.agg(
        acts=_.acts.sum().fill_null(0), ours=_.count(), joined=(_.n > 1).sum().fill_null(0)
    ).to_pandas()
    b = theirs.agg(theirs=_.count(), split=(_.n > 1).sum().fill_null(0)).to_pandas()
    return pd.concat([a, b], axis=1).iloc[0].astype(int)


def act_words(act: object) -> str:
    """What an act is called; those that happen by themselves leave a visit without an act.

    >>> act_words("add_to_cart"), act_words("play_video"), act_words(None)
    ('fills the cart', 'play video', 'does nothing')
    """
    return (
        JOURNEYS["words"].get(act, act.replace("_", " "))
        if isinstance(act, str)
        else "does nothing"
    )

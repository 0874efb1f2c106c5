"""The funnel: how many get from step to step, in which time, and where they leave (practice
3.4).
"""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import stats
from helpers.analyze.journeys.sessions import JOURNEYS, act_words

COLUMNS = ["unit", "order", "split", "part", "position", "step", "reached", "share", "low", "high"]
COLUMNS += ["passed", "passed_low", "passed_high", "lost", "minutes"]


def clickstream(acts: ir.Table) -> ir.Table:
    """What people did, in order: acts that happen by themselves are left out, repeats right after
    each other are one.

    Columns: who, session, visit_no, act_no, occurred_at, event_name, and `n`, the place in the
    visit from 1.
    """
    told = acts.filter(~_.event_name.isin(JOURNEYS["noise"]))
    told = told.select("who", "session", "visit_no", "act_no", "occurred_at", "event_name")
    inside = {"group_by": "session", "order_by": "act_no"}
    changed = told.mutate(before=_.event_name.lag().over(**inside))
    changed = changed.filter(_.before.isnull() | (_.before != _.event_name)).drop("before")
    return changed.mutate(n=ibis.row_number().over(**inside) + 1)


def reach(
    clickstream: ir.Table, steps: list[str], order: str = "loose", hours: float = 0
) -> ir.Table:
    """When each unit reached each step: one row a unit that began, columns at_1, at_2 ... , empty
    where not reached.

    Units are visits; with `hours` they are visitors (`who`), of whom so many hours from their first
    step on count, in as many visits as they like; who began too late to be followed so long, until
    the last of all clickstream, is left out. In loose order other acts may lie between the steps; in
    strict order each step must be the very next act.
    """
    unit = "who" if hours else "session"
    rows = clickstream.select("occurred_at", "act_no", "event_name", unit=clickstream[unit])
    if hours:
        limit = ibis.interval(seconds=round(hours * 3600))
        first = (
            rows.filter(_.event_name == steps[0]).group_by("unit").agg(first=_.occurred_at.min())
        )
        first = (
            first.cross_join(rows.agg(end=_.occurred_at.max()))
            .filter(_.first + limit <= _.end)
            .drop("end")
        )
        rows = rows.join(first, "unit").filter(_.occurred_at >= _.first)
        rows = rows.filter(_.occurred_at <= _.first + limit).drop("first")
    return (_strict if order == "strict" else _loose)(rows, steps)


def _loose(rows: ir.Table, steps: list[str]) -> ir.Table:
    found = rows.filter(rows.event_name == steps[0]).group_by("unit").agg(at_1=_.occurred_at.min())
    for k, step in enumerate(steps[1:], 2):
        then = found.join(rows.filter(rows.event_name == step), "unit")
        then = then.filter(then.occurred_at >= then[f"at_{k - 1}"])
        times = then.group_by("unit").agg(_.occurred_at.min().name(f"at_{k}"))
        found = found.left_join(times, "unit").drop("unit_right")
    return found


def _strict(rows: ir.Table, steps: list[str]) -> ir.Table:
    window = {"group_by": rows.unit, "order_by": rows.act_no}
    name, at = rows.event_name, rows.occurred_at
    follows, columns, depth = name == steps[0], {"at_1": at}, 1
    for k, step in enumerate(steps[1:], 1):
        follows = follows & (name.lead(k).over(**window) == step).fill_null(False)
        columns[f"at_{k + 1}"] = follows.ifelse(at.lead(k).over(**window), ibis.null("timestamp"))
        depth = depth + follows.ifelse(1, 0)
    chains = rows.mutate(**columns, depth=depth).filter(_.event_name == steps[0])
    best = ibis.row_number().over(group_by="unit", order_by=[ibis.desc("depth"), ibis.asc("at_1")])
    return chains.mutate(best=best).filter(_.best == 0).select("unit", *columns)


def count_steps(
    reached: pd.DataFrame, steps: list[str], by: pd.Series | None = None
) -> pd.DataFrame:
    """How many of each part reached each step, with 90 % Wilson intervals; one row a part and step.

    `reached` is that of `reach`; `by` gives the part of each unit by its name (all together without
    it). `share` is of those who began, `passed` of those at the step before; `lost` came no further
    than the step before, `minutes` is the median time from the step before.
    """
    part = reached["unit"].map(by) if by is not None else pd.Series("all", reached.index)
    frames = []
    for name, rows in reached.groupby(part, sort=False):
        times = rows[[f"at_{k}" for k in range(1, len(steps) + 1)]].apply(pd.to_datetime)
        n = times.notna().sum().to_numpy()
        before = np.r_[n[0], n[:-1]]
        frame = pd.DataFrame(
            {"part": name, "position": range(1, len(steps) + 1), "reached": n, "lost": before - n}
        )
        waits = times.diff(axis=1).apply(lambda t: t.dt.total_seconds().median() / 60).to_numpy()
        frame = frame.assign(step=[act_words(s) for s in steps], share=n / n[0], minutes=waits)
        frame["passed"] = frame["reached"] / np.where(before > 0, before, np.nan)
        frame[["low", "high"]] = stats.share_interval(
            frame["reached"], pd.Series(n[0], frame.index)
        )
        frame[["passed_low", "passed_high"]] = stats.share_interval(
            frame["reached"], pd.Series(before)
        )
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS[3:])


def funnels(
    clickstream: ir.Table, visits: pd.DataFrame, rules: object, as_of: date, most: int = 6
) -> pd.DataFrame:
    """Every funnel of a client (table `funnel`): by visit and by visitor, loose and strict, and
    split in three ways.

    `rules` are the settings `journeys`; `visits` come from `describe_visits`. Splits are of visits
    in the client's own order, by device, channel (the `most` largest) and new or returning. Empty
    without a first step.
    """
    steps, frames = rules.steps, []
    for unit, hours in (("visit", 0.0), ("visitor", rules.time_limit_hours)):
        for order in ("loose", "strict"):
            reached = reach(clickstream, steps, order, hours).to_pandas()
            frames.append(count_steps(reached, steps).assign(unit=unit, order=order, split="all"))
            if unit == "visit" and order == rules.order:
                for split in ("device", "channel", "visitor"):
                    top = visits[split].value_counts().index[:most]
                    by = visits.set_index("session")[split].where(
                        lambda p, top=top: p.isin(top), "other"
                    )
                    frames.append(
                        count_steps(reached, steps, by).assign(unit=unit, order=order, split=split)
                    )
    return pd.concat(frames, ignore_index=True)[COLUMNS].assign(as_of=as_of)


def tracked_share(acts: ir.Table, orders: ir.Table) -> pd.Series:
    """Orders of the days that the acts cover, in channels that the acts know, and how many of them
    the acts hold.

    A site without tracking consent sees fewer orders than the till: `share` says how many. The
    other way round, `sales` are the orders that acts of buying name, in the days that the orders
    cover; `strange` are those that the shop lacks.
    """
    span = acts.agg(first=_.occurred_at.min(), last=_.occurred_at.max())
    named = acts.filter(_.order_id.notnull())
    known = named.select("order_id").distinct().mutate(seen=ibis.literal(1))
    placed = (
        orders.group_by("order_id")
        .agg(channel=_.channel.max(), at=_.ordered_at.min())
        .cross_join(span)
    )
    placed = placed.filter(placed.at >= placed["first"], placed.at <= placed["last"]).left_join(
        known, "order_id"
    )
    by = (
        placed.group_by("channel").agg(orders=_.count(), seen=_.seen.sum().fill_null(0)).to_pandas()
    )
    by = by[by["seen"] > 0][["orders", "seen"]].sum()
    sold = (
        named.filter(_.event_name.isin(JOURNEYS["buy"]))
        .group_by("order_id")
        .agg(at=_.occurred_at.min())
    )
    sold = sold.cross_join(orders.agg(first=_.ordered_at.min(), last=_.ordered_at.max()))
    sold = sold.filter(sold["at"] >= sold["first"], sold["at"] <= sold["last"])
    counts = [t.count().to_pandas() for t in (sold, sold.anti_join(orders, "order_id"))]
    found = {"orders": by["orders"], "seen": by["seen"]}
    found |= {"share": by["seen"] / by["orders"] if by["orders"] else np.nan}
    return pd.Series(found | dict(zip(("sales", "strange"), counts, strict=True)))

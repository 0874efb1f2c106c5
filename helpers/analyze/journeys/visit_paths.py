"""The paths of visits: from act to act, step by step, and the most common ones (practice 3.5)."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import stats
from helpers.analyze.journeys.sessions import JOURNEYS, act_words

COMES, LEAVES = JOURNEYS["comes"], JOURNEYS["leaves"]


def transitions(clickstream: ir.Table) -> ir.Table:
    """How often one act followed another in the same visit: one row a pair, with `comes` and
    `leaves` at the ends.

    `seconds` is the typical time between the two: a geometric mean of seconds, which long pauses
    move little.
    """
    inside = {"group_by": clickstream.session, "order_by": clickstream.n}
    moves = clickstream.select(
        "n",
        source=clickstream.event_name,
        target=ibis.coalesce(clickstream.event_name.lead().over(**inside), ibis.literal(LEAVES)),
        took=(
            clickstream.occurred_at.lead().over(**inside).epoch_seconds()
            - clickstream.occurred_at.epoch_seconds()
        ).cast("float64"),
    )
    first = moves.filter(_.n == 1).mutate(
        source=ibis.literal(COMES), target=_.source, took=ibis.null("float64"), n=0
    )
    every = moves.union(first.select(*moves.columns).cast(moves.schema()))
    return every.group_by("source", "target").agg(
        moves=_.count(),
        seconds=((_.took < 1).ifelse(1.0, _.took)).ln().mean().exp(),
        place=_.n.mean(),
    )


def name_transitions(moves: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Transitions with the share of what follows an act, its 90 % interval, and acts in words
    (table `paths`).

    Two acts of the same words become one; the most common pairs come first.
    """
    named = moves.assign(source=moves["source"].map(_name), target=moves["target"].map(_name))
    weighed = named[["seconds", "place"]].astype(float).mul(named["moves"], axis=0)
    named = named.assign(**weighed)
    both = named.groupby(["source", "target"], as_index=False)[["moves", *weighed]].sum(min_count=1)
    both = both.assign(**both[[*weighed]].div(both["moves"], axis=0))
    total = both.groupby("source")["moves"].transform("sum")
    both = both.assign(
        share=both["moves"] / total, **stats.share_interval(both["moves"], total), as_of=as_of
    )
    columns = ["source", "target", "moves", "share", "low", "high", "seconds", "place", "as_of"]
    return both.sort_values(["moves", "source", "target"], ascending=[False, True, True])[
        columns
    ].reset_index(drop=True)


def top_paths(clickstream: ir.Table, most: int = 6) -> pd.DataFrame:
    """The paths of visits by their first `most` acts, the most common first: visits, share, and how
    many bought.

    One row a path; `path` ends with dots where visits go on. The counting stays in the engine.
    """
    places = {f"act_{k}": _.event_name.max(where=_.n == k) for k in range(1, most + 1)}
    bought = _.event_name.isin(JOURNEYS["buy"]).ifelse(1, 0).max()
    each = clickstream.group_by("session").agg(
        **places, goes_on=(_.n.max() > most).ifelse(1, 0), bought=bought
    )
    rows = (
        each.group_by(*places, "goes_on").agg(visits=_.count(), bought=_.bought.sum()).to_pandas()
    )
    acts = rows[[*places]].to_numpy()
    paths = [" > ".join(act_words(a) for a in row if isinstance(a, str)) for row in acts]
    rows = rows.assign(
        path=[p + (" …" if more else "") for p, more in zip(paths, rows["goes_on"], strict=True)]
    )
    rows = rows.groupby("path", as_index=False)[["visits", "bought"]].sum()
    rows = rows.assign(
        share=rows["visits"] / max(rows["visits"].sum(), 1), rate=rows["bought"] / rows["visits"]
    )
    rows = rows.assign(**stats.share_interval(rows["bought"], rows["visits"]))
    return rows.sort_values(["visits", "path"], ascending=[False, True]).reset_index(drop=True)


def step_by_step(clickstream: ir.Table, visits: int, most: int = 6) -> pd.DataFrame:
    """What visits do first, second, third ...: share of all visits, acts down and steps across; the
    rest has left.

    Acts that fewer than one visit in a hundred does at any step stand together in a row of their
    own.
    """
    counts = (
        clickstream.filter(_.n <= most)
        .group_by("n", "event_name")
        .agg(visits=_.count())
        .to_pandas()
    )
    counts["act"] = counts["event_name"].map(act_words)
    wide = counts.pivot_table("visits", "act", "n", aggfunc="sum", fill_value=0)
    wide = wide.loc[wide.sum(axis=1).sort_values(ascending=False).index] / max(visits, 1)
    rare = wide.max(axis=1) < 0.01
    if rare.any():
        wide = pd.concat([wide[~rare], wide[rare].sum().to_frame(JOURNEYS["other"]).T])
    left = (1 - wide.sum()).to_frame(JOURNEYS["left"]).T
    return pd.concat([wide, left]) if len(wide) else wide


def busiest(paths: pd.DataFrame, least: float = 0.03, acts: int = 7) -> pd.DataFrame:
    """The moves worth drawing: between the busiest `acts`, and at least this share of what follows
    their act.

    Acts to which none of these moves leads are left out.
    """
    busy = paths.groupby("source")["moves"].sum().nlargest(acts + 1).index
    kept = paths[
        paths["source"].isin(busy)
        & paths["target"].isin([*busy, LEAVES])
        & (paths["share"] >= least)
    ]
    return kept[kept["source"].isin([COMES, *kept["target"]])].reset_index(drop=True)


def walk_order(paths: pd.DataFrame) -> list[str]:
    """The acts from the start to the end, by their mean place in the visit."""
    acts = paths[paths["source"] != COMES]
    acts = (
        acts.assign(place=acts["place"] * acts["moves"]).groupby("source")[["place", "moves"]].sum()
    )
    places = (acts["place"] / acts["moves"]).sort_values(kind="stable")
    return [COMES, *places.index, LEAVES]


def _name(act: str) -> str:
    return act if act in (COMES, LEAVES) else act_words(act)

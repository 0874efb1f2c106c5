"""Segments side by side: their profile, who moved between two periods, and the money that moved with them."""

from __future__ import annotations

import pandas as pd

from helpers.segment.rfm import types

UNSEEN, GONE = "not yet a customer", "no order in the window"
KINDS = {
    ("important", "important"): "important in both",
    ("general", "important"): "rose to important",
    ("important", "general"): "fell to general",
    ("general", "general"): "general in both",
    ("none", "important"): "new or back",
    ("none", "general"): "new or back",
    ("important", "none"): "ordered no more",
    ("general", "none"): "ordered no more",
    ("none", "none"): "no order in either",
}


def profile(people: pd.DataFrame, by: str = "segment") -> pd.DataFrame:
    """One row a group, most sales first: customers, revenue, their shares (0 to 1), average_order in currency."""
    groups = people.groupby(by).agg(
        customers=("customer_id", "size"), revenue=("monetary", "sum"), orders=("frequency", "sum")
    )
    groups = groups.assign(
        share_of_customers=groups["customers"] / groups["customers"].sum(),
        share_of_sales=groups["revenue"] / (groups["revenue"].sum() or 1),
        average_order=groups["revenue"] / groups["orders"].where(groups["orders"] > 0),
    )
    return groups.drop(columns="orders").sort_values("revenue", ascending=False).reset_index()


def moves(then: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Who moved from which type to which (table `segment_moves`), with their sales in both windows.

    A customer of `now` who is not in `then` comes from "not yet a customer". One without an order in a
    window stands under "no order in the window" there, not under the type.
    """
    both = now.merge(then, on="customer_id", how="left", suffixes=("", "_then"))
    came = both["segment_then"].where(both["frequency_then"] > 0, GONE).where(both["segment_then"].notna(), UNSEEN)
    went = both["segment"].where(both["frequency"] > 0, GONE)
    pairs = both.assign(from_segment=came, to_segment=went).groupby(["from_segment", "to_segment"], as_index=False)
    return pairs.agg(
        customers=("customer_id", "size"), revenue_before=("monetary_then", "sum"), revenue_now=("monetary", "sum")
    ).round(2)


def migration(moved: pd.DataFrame) -> pd.DataFrame:
    """The migration matrix: of each type then (rows), the share that is which type now (columns, 0 to 1)."""
    wide = moved.pivot(index="from_segment", columns="to_segment", values="customers").fillna(0)
    wide = wide.div(wide.sum(axis=1), axis=0)
    order = [*types()["segment"], GONE, UNSEEN]
    return wide.reindex(index=[s for s in order if s in wide.index], columns=[s for s in order if s in wide.columns])


def bridge(moved: pd.DataFrame) -> pd.DataFrame:
    """From the sales of the earlier window to those of this one: customers and money by kind of move.

    The changes add up to the whole change in sales of known customers.
    """
    level = {name: name.split()[0] for name in types()["segment"]}
    ends = [moved[c].map(level).fillna("none") for c in ("from_segment", "to_segment")]
    kind = pd.Series([KINDS[pair] for pair in zip(*ends, strict=True)], index=moved.index, dtype="str")
    sums = moved.groupby(kind)[["customers", "revenue_before", "revenue_now"]].sum()
    sums = sums.reindex([k for k in dict.fromkeys(KINDS.values()) if k in sums.index])
    return sums.assign(change=sums["revenue_now"] - sums["revenue_before"]).rename_axis("move").reset_index()


def sales_change(then: pd.DataFrame, now: pd.DataFrame, by: str) -> pd.DataFrame:
    """What became of the groups of `then`: customers, share that ordered since, sales before and since, change."""
    both = then.merge(now[["customer_id", "frequency", "monetary"]], on="customer_id", suffixes=("", "_since"))
    groups = (
        both.assign(again=both["frequency_since"] > 0)
        .groupby(by, as_index=False)
        .agg(
            customers=("customer_id", "size"),
            ordered_again=("again", "mean"),
            before=("monetary", "sum"),
            since=("monetary_since", "sum"),
        )
    )
    return groups.assign(change=groups["since"] / groups["before"].where(groups["before"] > 0) - 1)

"""Who moved between two windows, and the money that moved with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from helpers import stats
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
GROUPS = {
    "segment": "type",
    "value_type": "cell of the matrix",
    "abc": "class",
    "stage": "stage",
    "tier": "tier",
}
# who moved, and those beside them who did not
MOVED = {"fell": "stayed important", "rose": "stayed general"}
STRATA, FEWEST = 5, 20  # equal parts by earlier sales; movers and stayers needed for a comparison


def bridge(moved: pd.DataFrame) -> pd.DataFrame:
    """From the sales of the earlier window to those of this one: customers, revenue_before and
    revenue_now (currency) by kind of move.

    `moved` is the table `segment_moves`. Each customer is in one kind, so the sums of both windows
    are whole.
    """
    level = {name: name.split()[0] for name in types()["segment"]}
    ends = [moved[c].map(level).fillna("none") for c in ("from_segment", "to_segment")]
    kind = pd.Series(
        [KINDS[pair] for pair in zip(*ends, strict=True)], index=moved.index, dtype="str"
    )
    sums = moved.groupby(kind)[["customers", "revenue_before", "revenue_now"]].sum()
    sums = sums.reindex([k for k in dict.fromkeys(KINDS.values()) if k in sums.index])
    return sums.rename_axis("move").reset_index()


def changed_since(before: pd.DataFrame | None, now: pd.DataFrame) -> pd.DataFrame:
    """How many customers changed group since an earlier run (its table `segments`); empty where
    there is none.

    One row a kind of group, then those who are new and those who are no longer there: what, since
    (the day of the earlier run), customers, share (of those in both), and sales_before and
    sales_now, their sales in the windows of the two runs. Says so where the rules are others.
    """
    names = ["what", "since", "customers", "share", "sales_before", "sales_now"]
    if before is None or before.empty:
        return pd.DataFrame(columns=names)
    both = now.merge(before, on="customer_id", suffixes=("", "_before"))
    rows = {
        f"another {name}{'' if _rules(before, column) == _rules(now, column) else ' (other rules)'}": both[
            both[column] != both[f"{column}_before"]
        ]
        for column, name in GROUPS.items()
        if f"{column}_before" in both
    }
    came, gone = (
        a[~a["customer_id"].isin(b["customer_id"])] for a, b in ((now, before), (before, now))
    )
    rows["not known then"] = came.assign(monetary_before=0.0)
    rows["not known any more"] = gone.rename(columns={"monetary": "monetary_before"}).assign(
        monetary=0.0
    )
    since, known = pd.Timestamp(before["as_of"].max()), max(len(both), 1)
    return pd.DataFrame(
        [
            (what, since, len(w), len(w) / known, w["monetary_before"].sum(), w["monetary"].sum())
            for what, w in rows.items()
        ],
        columns=names,
    )


def _rules(people: pd.DataFrame, column: str) -> set[str]:
    """The rules that a kind of group rests on: the thresholds of tiers, last in the version,
    concern tiers alone.
    """
    return {
        v if column == "tier" else v.split(", tiers")[0] for v in people["rule_version"].unique()
    }


def movers(then: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Who of those with an order in the earlier window rose to an important type, fell from one, or
    stayed.

    customer_id, move ("rose", "stayed general", "fell", "stayed important"), and of both windows
    orders, sales and average order. Who ordered no more and was important fell.
    """
    both = then[then["frequency"] > 0].merge(now, on="customer_id", suffixes=("_then", ""))
    was, is_ = both["m_high_then"].astype(bool), both["m_high"].astype(bool)
    move = np.select([was & is_, was, is_], ["stayed important", "fell", "rose"], "stayed general")
    columns = [f"{c}{w}" for w in ("_then", "") for c in ("frequency", "monetary", "aov")]
    return both[["customer_id", *columns]].assign(move=pd.Series(move, both.index, dtype="str"))


def drivers(moved: pd.DataFrame, signs: pd.DataFrame) -> pd.DataFrame:
    """How those who fell and rose differ from those who stayed, in signs other than their sales.

    moved: of `movers`; signs: of `move_signs`, a numeric column a sign. Those who moved are
    compared with those of equal earlier sales (fifths) who stayed, so that having little or much to
    lose is no sign. One row a move and sign: move (as "fell: service cases"), when (before or
    since), movers and stayers (plain means), difference in standard deviations with the ends low
    and high of its 90 % interval (robust to unequal spread), and sure: it stands out among all
    these comparisons (Holm 1979, at one in ten). Left out: signs that are the same for all, or
    known of fewer than twenty who moved or stayed.
    """
    rows, data = [], moved.merge(signs, on="customer_id", how="left")
    for move, stayed in MOVED.items():
        group = data[data["move"].isin([move, stayed])]
        for sign in signs.columns.drop("customer_id"):
            known = group[group[sign].notna()]
            did = (known["move"] == move).astype(float)
            if min(did.sum(), (1 - did).sum()) >= FEWEST and known[sign].nunique() > 1:
                x, (name, when) = known[sign].astype(float), sign.rsplit(", ", 1)
                row = {
                    "move": f"{move}: {name}",
                    "when": when,
                    "movers": x[did > 0].mean(),
                    "stayers": x[did == 0].mean(),
                }
                rows.append(row | _difference(x, did, known["monetary_then"]))
    columns = ["move", "when", "movers", "stayers", "difference", "low", "high", "p"]
    found = pd.DataFrame(rows, columns=columns).dropna(subset="p")
    sure = multipletests(found["p"], alpha=1 - stats.LEVEL, method="holm")[0] if len(found) else []
    return found.drop(columns="p").assign(sure=np.asarray(sure, dtype=bool))


def _difference(x: pd.Series, did: pd.Series, sales: pd.Series) -> dict[str, float]:
    # Least squares with a constant for each fifth of earlier sales (Frisch and Waugh 1933), White's
    # standard error.
    fifth = np.ceil(sales.rank(pct=True) * STRATA)
    d, y = (v - v.groupby(fifth).transform("mean") for v in (did, x / x.std()))
    # nothing to compare with where each fifth holds movers only, or stayers only
    weight = (d**2).sum() or np.nan
    difference = (d * y).sum() / weight
    error = np.sqrt((d**2 * (y - difference * d) ** 2).sum()) / weight
    off = stats.Z * error
    p = 2 * norm.sf(abs(difference) / (error or np.nan))
    return {"difference": difference, "low": difference - off, "high": difference + off, "p": p}

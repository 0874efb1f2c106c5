"""What is at stake with important customers who have fallen silent: one figure, for every page that
speaks of it.
"""

from __future__ import annotations

from datetime import date, timedelta

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import t as student

from helpers import stats
from helpers.segment.backtest import SIGNS
from helpers.show import words

BLOCK, BLOCKS = 28, 13  # days of a block, and how many of them make the year ahead
SEEN_LAST = 3  # blocks seen last, whose mean stands for those that nobody has lived to see
FEWEST = 10  # silent customers on earlier days from which something can be said
SAYS = (
    "{customers} important customers have fallen silent, with {stake} at stake in the next year"
    " (90 % range {low} to {high})."
)
COLUMNS = ["customers", "usual", "stake", "low", "high", "kept", "others_kept", "seen", "days_seen"]
COLUMNS += ["days_followed"]


def is_silent(people: pd.DataFrame) -> pd.Series:
    """Who has fallen silent: later than the cut line, and silent beyond their own rhythm.

    `people` are rows of the table `segments`, or of `segments_on`.
    """
    shown = [showed(people) for showed in SIGNS.values()]
    return np.logical_and.reduce(shown) & people["recency"].notna()


def followed(orders: ir.Table, past: pd.DataFrame, as_of: date, window: int) -> pd.DataFrame:
    """The rows of `past_signs`, with their sales in each block of four weeks after the day.

    One row a day and customer: on, customer_id, is_silent, usual (sales of a block at the pace of
    the window before), and sales by the number of the block, 0 to 12; empty where a block ends
    after `as_of`. Money in currency.
    """
    parts = []
    for on, seen in past.groupby("on"):
        known = min((as_of - on).days // BLOCK, BLOCKS)
        since = _.ordered_on.delta(on, unit="day") - 1
        after = orders.filter(
            _.customer_id.notnull(),
            _.ordered_on > on,
            _.ordered_on <= on + timedelta(days=BLOCK * known),
        )
        sums = after.group_by("customer_id", block=(since / BLOCK).floor().cast("int64"))
        rows = sums.agg(sales=_.revenue.sum()).to_pandas().astype({"sales": float})
        wide = rows.pivot(index="customer_id", columns="block", values="sales")
        wide = wide.reindex(index=seen["customer_id"], columns=range(known)).fillna(0.0)
        parts.append(wide.reindex(columns=range(BLOCKS)).set_axis(seen.index))
    blocks = pd.concat(parts) if parts else pd.DataFrame(columns=range(BLOCKS), dtype=float)
    half = max(window // 2, 1)
    people = past[["on", "customer_id"]].assign(
        is_silent=past[[*SIGNS]].astype(bool).all(axis=1), usual=past["before"] * BLOCK / half
    )
    return people.join(blocks)


def at_stake(past: pd.DataFrame, now: pd.DataFrame, window: int) -> pd.DataFrame:
    """What the silent of today will bring less in the year ahead than if they kept on as others do.

    `past` is the frame of `followed`, `now` that of `segments`. One row (table `at_stake`), or none
    where too few have fallen silent to say: customers, usual (their sales of a year at the pace of
    the window), stake (what will be missing of it, beyond what is missing with the important
    customers who are not silent) and the range low to high that holds the sum in nine of ten cases;
    kept and others_kept, the shares of usual sales that the silent and the others kept on earlier
    days; seen and days_seen, how many silent customers on how many days; days_followed, how long they
    could be followed. Money in currency.

    The range is one of a sum to come, not of a past mean: it counts how far the mean may be off,
    and how far people like these stray from it. Only the last third of the earlier days counts: the
    longer the history, the fewer are taken for silent who only have no rhythm yet. Blocks that
    no day has lived to see are taken to be like the last ones seen.
    """
    important = now[now["m_high"]]
    silent = is_silent(important)
    usual = important["monetary"] * BLOCK / window
    rows = past[(past["usual"] > 0) & past["on"].isin(_latest(past["on"]))]
    kinds = rows.groupby("on")["is_silent"].transform("nunique")
    rows = rows[kinds == 2]  # on a day with silent customers alone, or none, nothing is compared
    seen = rows.loc[rows["is_silent"], "customer_id"].nunique()
    if seen < FEWEST or not silent.any():
        return pd.DataFrame(columns=COLUMNS)
    kept, others_kept, own, strays = _rates(rows)
    total, spare = usual[silent].sum(), usual[~silent].sum()
    spread = strays[True] * (usual[silent] ** 2).sum()
    if spare > 0:
        spread += strays[False] * (usual[~silent] ** 2).sum() * (total / spare) ** 2
    error = np.sqrt(total**2 * (own**2).sum() + spread)
    year = 365 / BLOCK
    stake = (others_kept - kept) * total * year
    # a few large customers say as much of the error as so many alike
    alike = (own**2).sum() ** 2 / max((own**4).sum(), 1e-300)
    reach = student.ppf(stats.ENDS[1], max(alike - 1, 1)) * error * year / BLOCKS
    found = [silent.sum(), total * year, stake, stake - reach, stake + reach, kept, others_kept]
    followed_for = BLOCK * rows[[*range(BLOCKS)]].notna().any().sum()
    looks = [seen, rows["on"].nunique(), followed_for]
    return pd.DataFrame([[*found, *looks]], columns=COLUMNS)


def is_sure(found: pd.DataFrame) -> bool:
    """Whether anything is at stake for sure: the whole range of `at_stake` is a loss."""
    return bool((found["low"] > 0).any())


def in_words(found: pd.DataFrame, currency: str) -> str:
    """The one sentence on what is at stake, from the table `at_stake`; empty where it is not sure."""
    if not is_sure(found):
        return ""
    row = found.iloc[0]
    return SAYS.format(
        customers=words.count(row["customers"]),
        stake=words.money(row["stake"], currency),
        low=words.money(row["low"]),
        high=words.money(row["high"], currency),
    )


def _latest(days: pd.Series) -> list:
    known = sorted(days.unique())
    return known[-max(len(known) // 3, 1) :]


def _rates(rows: pd.DataFrame) -> tuple[float, float, pd.Series, dict[bool, float]]:
    """Shares kept by the silent and by the others, what each customer adds to the error of their
    difference over all blocks, and the variance of one customer's year per square of usual sales.
    """
    usual, silent, on = rows["usual"], rows["is_silent"], rows["on"]
    kept, others, errors = 0.0, 0.0, pd.Series(0.0, rows.index)
    off, known = pd.Series(0.0, rows.index), pd.Series(0, rows.index)
    ahead = [b for b in range(BLOCKS) if rows[b].notna().any()]
    latest = ahead[-SEEN_LAST:]
    for block in ahead:
        times = 1 + (block in latest) * (BLOCKS - len(ahead)) / len(latest)
        sales = rows[block]
        base = usual.where(sales.notna(), 0.0)
        usual_silent = base.where(silent, 0.0).groupby(on).transform("sum")
        usual_others = base.where(~silent, 0.0).groupby(on).transform("sum")
        whole = base[silent].sum()
        pace = sales.where(~silent, 0.0).groupby(on).transform("sum") / usual_others
        change = (sales - pace * base)[silent].sum() / whole
        surplus = sales - (pace + change.astype(float) * silent) * base
        weight = np.where(silent, 1.0, -usual_silent / usual_others) / whole
        errors += times * (weight * surplus).fillna(0.0)
        off, known = off + surplus.fillna(0.0), known + sales.notna()
        kept += times * sales[silent].sum() / whole / BLOCKS
        others += times * (pace * base)[silent].sum() / whole / BLOCKS
    year = (off * BLOCKS / known) ** 2
    strays = {s: year[silent == s].sum() / (usual[silent == s] ** 2).sum() for s in (True, False)}
    own = errors.groupby(rows["customer_id"]).sum()
    return float(kept), float(others), own, strays

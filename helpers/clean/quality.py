"""A data-quality score in five parts: completeness, uniqueness, validity, consistency, timeliness.

The parts are those of DAMA UK (2013), less accuracy, which data alone cannot show.
"""

from __future__ import annotations

from datetime import date

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import methods, tables
from helpers.clean.chain import Cleaned
from helpers.store import Store

PARTS = ["completeness", "uniqueness", "validity", "consistency", "timeliness"]
REFERENCES = {
    "orders": {"product_id": "products", "customer_id": "customers"},
    "messages": {"campaign_id": "campaigns", "customer_id": "customers"},
    "coupons": {"campaign_id": "campaigns", "product_id": "products"},
    "redemptions": {"campaign_id": "campaigns", "customer_id": "customers", "coupon_id": "coupons"},
    "promotions": {"product_id": "products"},
    "stock": {"product_id": "products"},
}


def quality(run: Store, cleaned: dict[str, Cleaned], as_of: date) -> pd.DataFrame:
    """Score each table that the client brings, as it came (table `quality`): shares, 1 is perfect.

    completeness: filled cells among the columns in use;
    uniqueness and validity: rows that are no repeat, and rows that no rule held;
    consistency: references that exist in the other table, of the tables that the client brings;
    timeliness: days of the last 28 with at least one row, for tables dated by day.
    """
    rows, brought = [], [n for n, c in cleaned.items() if c.summary["n"].sum()]
    for name in brought:
        staged, summary = run.read(f"staged_{name}"), cleaned[name].summary
        parts = {
            "completeness": _completeness(staged, name),
            "uniqueness": _fate(summary, "duplicate"),
            "validity": _fate(summary, "held"),
            "consistency": _consistency(run, staged, name, brought),
            "timeliness": _timeliness(staged, name, as_of),
        }
        rows += [
            {
                "table": name,
                "part": part,
                "score": score,
                "threshold": methods.value(f"quality_{part}"),
                "worst": worst,
            }
            for part, (score, worst) in parts.items()
            if score is not None
        ]
    return pd.DataFrame(rows)


def _completeness(staged: ir.Table, name: str) -> tuple[float, str]:
    columns = [c for c in tables.get(name).columns]
    share = (
        staged.agg(**{c: staged[c].notnull().mean() for c in columns}).to_pandas().fillna(0).iloc[0]
    )
    used = share[share > 0]
    worst = f"{used.idxmin()}, {used.min():.0%} filled" if len(used) and used.min() < 1 else ""
    return float(used.mean()) if len(used) else 0.0, worst


def _fate(summary: pd.DataFrame, fate: str) -> tuple[float, str]:
    bad, total = summary[summary["fate"] == fate].sort_values("n"), summary["n"].sum()
    worst = f"{bad['rule'].iloc[-1]}: {bad['n'].iloc[-1]:,} rows" if len(bad) else ""
    return (1 - bad["n"].sum() / total if total else 0.0), worst


def _consistency(
    run: Store, staged: ir.Table, name: str, brought: list[str]
) -> tuple[float | None, str]:
    scores, references = {}, REFERENCES.get(name, {})
    for column, other in ((c, o) for c, o in references.items() if o in brought):
        rows = staged.filter(_[column].notnull()).group_by(column).agg(n=_.count())
        known = run.read(f"staged_{other}").select(column).distinct().mutate(known=True)
        t = (
            rows.left_join(known, column)
            .agg(all=_.n.sum(), hit=_.n.sum(where=_.known))
            .to_pandas()
            .fillna(0)
            .iloc[0]
        )
        scores[column] = t["hit"] / t["all"] if t["all"] else 1.0
    if not scores:
        return None, ""
    worst = min(scores, key=scores.get)
    return scores[
        worst
    ], f"{worst} found in {REFERENCES[name][worst]}: {scores[worst]:.2%}" if scores[
        worst
    ] < 1 else ""


def _timeliness(rows: ir.Table, name: str, as_of: date) -> tuple[float | None, str]:
    day = tables.get(name).day
    if name not in ("orders", "redemptions") or not day:
        return None, ""
    window = pd.Timestamp(as_of) - pd.Timedelta(days=27)
    days = (
        rows.filter(_[day].between(window.date(), as_of)).select(day).distinct().count().execute()
    )
    return days / 28, f"{28 - days} of the last 28 days without a row"

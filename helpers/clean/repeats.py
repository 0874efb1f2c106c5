"""Rows that share the key of their table."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

from helpers import tables
from helpers.store import Store


def repeats(run: Store, name: str) -> ir.Table:
    """The second and later rows of each key in `staged_<name>`: source_line, the key, and `exact`.

    `exact` is True where the whole row stood before, False where only the key did. Worked out once a run.
    """
    table = f"repeats_{name}"
    if table not in run.con.list_tables():
        spec, rows = tables.get(name), run.read(f"staged_{name}")
        content = [c for c in spec.columns if c in rows.columns]
        crowded = rows.group_by(spec.key).agg(copies=_.count()).filter(_.copies > 1)
        nth = {
            "nth_copy": ibis.row_number().over(group_by=content, order_by="source_line"),
            "nth_key": ibis.row_number().over(group_by=spec.key, order_by="source_line"),
        }
        again = rows.semi_join(crowded, spec.key).mutate(**nth).filter(_.nth_key > 0)
        run.con.create_table(table, again.select("source_line", *spec.key, exact=_.nth_copy > 0), temp=True)
    return run.con.table(table)

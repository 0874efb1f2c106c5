"""Rows that share the key of their table."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

from helpers import tables
from helpers.store import Store

EXACT = "exact repeat"
OLDER = "older export"
OTHER = "same key, other content"
SETTLED = "told by another source"


def repeats(run: Store, name: str) -> ir.Table:
    """The rows of `staged_<name>` that are there already: source_order, the key, and `rule`.

    exact repeat: the very same line of its file, or the same content under the same key; older
    export: the same key in an older file of the same source, with other content; told by another
    source: the same key in a source of lower precedence; same key, other content: within one file.
    Of each key the row with the lowest source_order stays. Worked out once a run.
    """
    table = f"repeats_{name}"
    if table not in run.con.list_tables():
        spec, rows = tables.get(name), run.read(f"staged_{name}")
        content = [c for c in spec.columns if c in rows.columns]
        key = [c for c in spec.key if c in rows.columns]
        once = rows.filter(~_.source_repeat, *(rows[c].notnull() for c in key))
        # stored on its own: in one query the engine would hold all rows until it knows which keys
        # are crowded
        crowded = once.group_by(key).agg(copies=_.count()).filter(_.copies > 1).cache()
        by_key = ibis.window(group_by=key, order_by="source_order")
        marks = {
            "nth_copy": ibis.row_number().over(group_by=content, order_by="source_order"),
            "nth_key": ibis.row_number().over(by_key),
            "first_file": _.source_file.first().over(by_key),
            "first_source": _.source_name.first().over(by_key),
        }
        again = once.semi_join(crowded, key).mutate(**marks).filter(_.nth_key > 0)
        rule = ibis.cases(
            (_.nth_copy > 0, EXACT),
            (_.source_name != _.first_source, SETTLED),
            (_.source_file != _.first_file, OLDER),
            else_=OTHER,
        )
        columns = ["source_order", *key]
        same_line = rows.filter(_.source_repeat).select(*columns, rule=ibis.literal(EXACT))
        run.con.create_table(table, again.select(*columns, rule=rule).union(same_line), temp=True)
    return run.con.table(table)

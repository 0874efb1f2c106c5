"""What is stored, where it came from, and whether its totals agree with the source system."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from helpers import tables
from helpers.client import PlaybookError
from helpers.collect.opened import Opened, sql_name
from helpers.store import Store

PERSONAL = {
    "customer_id",
    "unit_id",
    "visitor_id",
    "respondent_id",
    "age_band",
    "income_band",
    "household_size",
    "city",
}


def mapping_sheet(opened: Opened) -> pd.DataFrame:
    """One row a canonical column and source (table `mapping`): expression, unit, meaning."""
    rows = []
    for name, parts in opened.parts.items():
        known = tables.get(name).columns
        rows += [
            {
                "table": name,
                "column": c,
                "source": p.group,
                "expression": (
                    {"person": "pseudonym of the person", "record": "pseudonym of the record"}.get(
                        e, e
                    )
                ),
                "unit": known[c].unit if c in known else "",
                "about": known[c].about if c in known else "extra column, kept",
            }
            for p in parts
            for c, e in p.columns.items()
        ]
    return pd.DataFrame(rows)


def preset_rules(opened: Opened) -> pd.DataFrame:
    """The rules of cleaning that recognised exports bring with them (table `rules`)."""
    rows = [
        {"table": table, "source": group, **rule}
        for group in opened.groups
        if (preset := opened.of(group)[0].preset)
        for table, mapping in preset.tables.items()
        for rule in mapping.rules
    ]
    return pd.DataFrame(rows, columns=["table", "source", "step", "action", "where", "reason"])


def control_totals(opened: Opened) -> pd.DataFrame:
    """Figures of the source systems beside ours (table `control_totals`).

    Those of client.yaml are compared over the staged tables: read them through the store first, so
    that they have names. Those that a file carries itself are compared over its rows. `agrees`
    allows half a cent.
    """
    rows = []
    for measure, control in opened.client.settings.controls.items():
        try:
            query = f"SELECT CAST({control.value} AS DOUBLE) FROM staged_{control.table}"
            ours = opened.con.con.sql(query).fetchone()[0]
        except duckdb.Error as e:
            raise PlaybookError(
                f"data/{opened.client.name}/client.yaml, controls.{measure}:"
                f" {str(e).strip().splitlines()[0]}"
            ) from None
        rows.append(
            {
                "measure": measure,
                "given_by": "client.yaml",
                "expected": control.expected,
                "ours": ours,
            }
        )
    for group in opened.groups:
        rows += _own_totals(opened, group)
    totals = pd.DataFrame(rows, columns=["measure", "given_by", "expected", "ours"])
    totals = totals.astype({"expected": float, "ours": float})
    totals["difference"] = (totals["ours"] - totals["expected"]).round(2) + 0.0
    totals["agrees"] = np.abs(totals["difference"]) < 0.005
    return totals


def _own_totals(opened: Opened, group: str) -> list[dict]:
    """Totals that a file carries itself (a preset says in which row), beside the sum of its others,
    each once.
    """
    preset = opened.of(group)[0].preset
    measures = {k: v for k, v in (preset.totals if preset else {}).items() if k != "row"}
    if not measures:
        return []
    mark = opened.style(group)["decimal"]
    again = (
        f"(SELECT (source_file, source_line) FROM {sql_name('again ' + group)})"
        if preset.repeats == "once"
        else "((NULL, NULL))"
    )
    sums = ", ".join(
        f"sum(amount_of({mark}, {e})) FILTER (total), sum(amount_of({mark}, {e})) FILTER (NOT"
        " layout)"
        for e in measures.values()
    )
    query = f"""SELECT source_file, {sums} FROM (SELECT *, coalesce(({preset.totals["row"]}), FALSE) AS total,
        coalesce(({preset.layout}), FALSE) OR (source_file, source_line) IN {again} AS layout
        FROM {sql_name("all " + group)}) GROUP BY source_file ORDER BY source_file"""
    found = opened.query(query, f"preset {preset.name}, totals").fetchall()
    return [
        {
            "measure": f"{file}: {measure}",
            "given_by": file,
            "expected": row[2 * i],
            "ours": row[2 * i + 1],
        }
        for file, *row in found
        for i, measure in enumerate(measures)
        if row[2 * i] is not None
    ]


def catalogue(run: Store, opened: Opened, names: list[str]) -> pd.DataFrame:
    """One row a stored table (table `catalogue`): size, sensitivity, lineage, life cycle.

    A table is personal where it holds a customer's id or description, else internal.
    """
    rows = []
    for name in names:
        stored, path = run.read(name), run.folder / "tables" / f"{name}.parquet"
        rows_stored = int(stored.count().execute())
        parts = opened.parts.get(name.removeprefix("staged_"), [])
        rows.append(
            {
                "table": name,
                "rows": rows_stored,
                "columns": len(stored.columns),
                "sensitivity": "personal" if PERSONAL & set(stored.columns) else "internal",
                "from_sources": (
                    ", ".join(dict.fromkeys(p.group for p in parts))
                    or ("matched people" if rows_stored else "not supplied")
                ),
                "bytes": path.stat().st_size,
                "kept_until": f"{run.settings.keep_runs} newer runs exist",
            }
        )
    return pd.DataFrame(rows)

"""What is stored, where it came from, and whether its totals agree with the source system."""

from __future__ import annotations

import duckdb
import ibis
import numpy as np
import pandas as pd

from helpers import tables
from helpers.client import Client, PlaybookError
from helpers.store import Store

PERSONAL = {"customer_id", "age_band", "income_band", "household_size", "region"}


def mapping_sheet(client: Client) -> pd.DataFrame:
    """One row a canonical column (table `mapping`): its source, expression, unit, meaning."""
    rows = []
    for name, spec in client.settings.tables.items():
        known = tables.get(name).columns
        rows += [
            {
                "table": name,
                "column": c,
                "source": spec.source,
                "expression": e,
                "unit": known[c].unit if c in known else "",
                "about": known[c].about if c in known else "extra column, kept",
            }
            for c, e in spec.columns.items()
        ]
    return pd.DataFrame(rows)


def control_totals(con: ibis.BaseBackend, client: Client) -> pd.DataFrame:
    """The source system's figures beside ours, over the staged tables (table `control_totals`).

    `agrees` allows half a cent. Read the staged tables through the store first, so that they have names.
    """
    rows = []
    for measure, control in client.settings.controls.items():
        try:
            ours = (
                con.sql(f"SELECT CAST({control.value} AS DOUBLE) AS ours FROM staged_{control.table}", dialect="duckdb")
                .to_pandas()["ours"]
                .iloc[0]
            )
        except (duckdb.Error, ibis.common.exceptions.IbisError) as e:
            raise PlaybookError(
                f"data/{client.name}/client.yaml, controls.{measure}: {str(e).strip().splitlines()[0]}"
            ) from None
        rows.append({"measure": measure, "expected": control.expected, "ours": ours})
    totals = pd.DataFrame(rows, columns=["measure", "expected", "ours"]).astype({"expected": float, "ours": float})
    totals["difference"] = (totals["ours"] - totals["expected"]).round(6)
    totals["agrees"] = np.abs(totals["difference"]) < 0.005
    return totals


def catalogue(run: Store, names: list[str]) -> pd.DataFrame:
    """One row a stored table (table `catalogue`): size, sensitivity, lineage, life cycle.

    A table is personal where it holds a customer's id or description, else internal.
    """
    rows = []
    for name in names:
        stored, path = run.read(name), run.folder / "tables" / f"{name}.parquet"
        spec = run.settings.tables.get(name.removeprefix("staged_"))
        rows.append(
            {
                "table": name,
                "rows": int(stored.count().execute()),
                "columns": len(stored.columns),
                "sensitivity": "personal" if PERSONAL & set(stored.columns) else "internal",
                "from_sources": spec.source if spec else "not supplied",
                "bytes": path.stat().st_size,
                "kept_until": f"{run.settings.keep_runs} newer runs exist",
            }
        )
    return pd.DataFrame(rows)

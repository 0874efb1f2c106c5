"""Open a client's sources and rename them to the canonical tables."""

from __future__ import annotations

from datetime import date

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd
from ibis.backends.sql.datatypes import DuckDBType

from helpers import tables
from helpers.client import Client, PlaybookError, connect, file_hash


def open_sources(con: ibis.BaseBackend, client: Client) -> dict[str, ir.Table]:
    """Every source as a view named as in client.yaml, with `source_line` counted from 1.

    Nothing is loaded: DuckDB reads the files where they lie. Raises PlaybookError for a file
    that is missing or not readable.
    """
    opened = {}
    for name, spec in client.settings.sources.items():
        path = client.source_path(name)
        try:
            if path.suffix.lower() == ".parquet":
                raw = con.read_parquet(str(path), file_row_number=True)
                opened[name] = raw.mutate(source_line=raw.file_row_number + 1).drop("file_row_number")
            else:
                raw = con.read_csv(str(path), all_varchar=True, parallel=False)
                opened[name] = raw.mutate(source_line=ibis.row_number() + 1)
        except duckdb.Error as e:
            raise PlaybookError(
                f"{spec.file} (source {name}) cannot be read: {_first_line(e)} "
                "Save it as Parquet or as CSV with one header row."
            ) from None
        con.create_view(name, opened[name], overwrite=True)
    return opened


def stage(con: ibis.BaseBackend, client: Client, name: str) -> ir.Table:
    """Canonical table `name` as the settings map it; empty where the client does not bring it.

    Open the sources first. Times become UTC; orders also get the shop's own clock and day.
    A value that is not of its column's type becomes empty and is named in `source_unreadable`,
    so that cleaning can hold the row. Raises PlaybookError for an expression that does not fit.
    """
    spec = client.settings.tables.get(name)
    table = tables.get(f"staged_{name}")
    if spec is None:
        empty = pd.DataFrame(columns=list(table.columns))
        return ibis.memtable(empty, schema=table.schema)
    zone = client.settings.sources[spec.source].timezone
    origin = spec.from_ or spec.source
    as_read = _query(con, client, name, ", ".join(f'{e} AS "{c}"' for c, e in spec.columns.items()), origin).schema()
    cells = {c: _typed(e, as_read[c], table.schema.get(c)) for c, e in spec.columns.items()}
    unreadable = [
        f"CASE WHEN ({e}) IS NOT NULL AND {cells[c]} IS NULL THEN '{c}: ' || ({e}) END"
        for c, e in spec.columns.items()
        if cells[c].startswith("TRY_CAST") and as_read[c].is_string()
    ]
    if name == "orders" and "ordered_at" in cells:
        own_clock = f"timezone('{client.settings.timezone}', timezone('{zone}', {cells['ordered_at']}))"
        cells = {"ordered_at_local": own_clock, "ordered_on": f"CAST({own_clock} AS DATE)"} | cells
    for c in [c for c in cells if c.endswith("_at")]:
        cells[c] = f"timezone('UTC', timezone('{zone}', {cells[c]}))"
    select = ", ".join(f'{e} AS "{c}"' for c, e in cells.items())
    lineage = (
        f"CASE WHEN {spec.source}.source_line IS NOT NULL THEN '{spec.source}' END AS source_name, "
        f"{spec.source}.source_line AS source_line, "
        + (f"concat_ws('; ', {', '.join(unreadable)})" if unreadable else "CAST(NULL AS VARCHAR)")
        + " AS source_unreadable"
    )
    return _query(con, client, name, f"{select}, {lineage}", origin)


def _query(con: ibis.BaseBackend, client: Client, name: str, select: str, origin: str) -> ir.Table:
    try:
        return con.sql(f"SELECT {select} FROM {origin}", dialect="duckdb")
    except (duckdb.Error, ibis.common.exceptions.IbisError) as e:
        raise PlaybookError(f"data/{client.name}/client.yaml, tables.{name}: {_first_line(e)}") from None


def data_span(client: Client) -> tuple[date, date]:
    """First and last day of the client's orders, read from the source."""
    con = connect()
    open_sources(con, client)
    orders = stage(con, client, "orders")
    span = orders.agg(first=orders.ordered_on.min(), last=orders.ordered_on.max()).to_pandas().iloc[0]
    if pd.isna(span["first"]):
        raise PlaybookError(
            f"the orders of {client.name} hold no readable date. Look at tables.orders.columns.ordered_at."
        )
    return pd.Timestamp(span["first"]).date(), pd.Timestamp(span["last"]).date()


def source_cards(opened: dict[str, ir.Table], client: Client, as_of: date) -> pd.DataFrame:
    """One card a source (table `sources`): rows, span, gaps, age, key, owner, fingerprint."""
    return pd.DataFrame([_card(name, opened[name], client, as_of) for name in opened])


def missing_days(days: pd.Series) -> list[pd.Timestamp]:
    """The days between the first and the last that are not there.

    >>> [d.day for d in missing_days(pd.Series(pd.to_datetime(["2017-12-24", "2017-12-26"])))]
    [25]
    """
    known = pd.DatetimeIndex(days.dropna())
    return list(pd.date_range(known.min(), known.max()).difference(known))


def _card(name: str, rows: ir.Table, client: Client, as_of: date) -> dict:
    spec = client.settings.sources[name]
    path = client.source_path(name)
    card = {
        "source": name,
        "origin": spec.origin,
        "owner": spec.owner,
        "file": path.name,
        "sha256": file_hash(path),
        "rows": int(rows.count().execute()),
        "columns": len(rows.columns) - 1,
        "first_on": None,
        "last_on": None,
        "days_missing": None,
        "age_days": None,
        "key": ", ".join(spec.key),
        "note": spec.note,
    }
    if spec.dated:
        days = (
            rows.alias("dated")
            .sql(f"SELECT DISTINCT TRY_CAST(({spec.dated}) AS DATE) AS day FROM dated", dialect="duckdb")
            .to_pandas()["day"]
            .dropna()
        )
        first, last = pd.Timestamp(days.min()), pd.Timestamp(days.max())
        card |= {
            "first_on": first.date(),
            "last_on": last.date(),
            "days_missing": (last - first).days + 1 - len(days),
            "age_days": max((pd.Timestamp(as_of) - last).days, 0),
        }
    return card


def _typed(expression: str, found: dt.DataType, wanted: dt.DataType | None) -> str:
    if wanted is None or found == wanted:
        return f"({expression})"
    if wanted.is_string():
        return f"CAST(({expression}) AS VARCHAR)"
    return f"TRY_CAST(({expression}) AS {DuckDBType.to_string(wanted)})"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") + "."

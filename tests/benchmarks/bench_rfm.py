"""RFM and the eight types of ten million order lines: the helper beside hand-written SQL, plain pandas and lifetimes.

    python tests/benchmarks/bench_rfm.py [--rows N]

Each way runs in a process of its own, so that seconds and memory are its own: seconds from the Parquet file to the
result in pandas, the quickest of three rounds, and the highest memory of the process less what it held before.
The first three must agree. lifetimes' summary_data_from_transaction_data gives repeat purchases, their span and mean
value, and no types; what it gives must agree with the helper, too. It runs once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from helpers.client import connect
from helpers.segment import rfm

AS_OF, WINDOW = date(2024, 12, 31), 182
ROUNDS = 3  # each way in turn, the quickest counts: other programs disturb it least
COLUMNS = ["customer_id", "order_id", "ordered_on", "quantity", "revenue"]

GENERATE = """COPY (
    SELECT CASE WHEN hash(i // 3, 1) % 50 > 0 THEN 'C' || (hash(i // 3, 2) % {people} + 1) END AS customer_id,
           'O' || (i // 3) AS order_id, DATE '2023-01-01' + CAST(hash(i // 3, 3) % 740 AS INTEGER) AS ordered_on,
           CASE WHEN hash(i // 3, 4) % 40 > 0 THEN 1.0 ELSE -1.0 END::DOUBLE AS quantity,
           (hash(i, 5) % 10000)::DOUBLE / 100 * quantity AS revenue
    FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet)"""

NAMES = " ".join(f"WHEN '{t.code}' THEN '{t.segment}'" for t in rfm.types().itertuples())
SQL = f"""
    WITH people AS (SELECT customer_id, min(ordered_on) FILTER (quantity >= 0) AS first_on,
           max(ordered_on) FILTER (quantity >= 0) AS last_on,
           count(DISTINCT ordered_on) FILTER (quantity >= 0) AS order_days,
           count(DISTINCT order_id) FILTER (quantity >= 0 AND ordered_on > $begin) AS frequency,
           round(coalesce(sum(revenue) FILTER (ordered_on > $begin), 0), 2) AS monetary,
           date_diff('day', last_on, $as_of) AS recency, monetary / nullif(frequency, 0) AS aov,
           date_diff('day', first_on, last_on) / nullif(order_days - 1, 0) AS usual_gap
    FROM read_parquet($path) WHERE customer_id IS NOT NULL AND ordered_on <= $as_of GROUP BY customer_id),
    lines AS (SELECT median(recency) AS r, median(frequency) AS f, median(monetary) AS m
    FROM people WHERE frequency > 0),
    marked AS (SELECT people.*, coalesce(recency <= r, false) AS r_high, frequency > f AS f_high, monetary > m AS m_high
    FROM people, lines)
    SELECT *, CASE concat(if(r_high, 'H', 'L'), if(f_high, 'H', 'L'), if(m_high, 'H', 'L')) {NAMES} END AS segment
    FROM marked"""


def plain() -> duckdb.DuckDBPyConnection:
    """DuckDB without Ibis, with the memory that the playbook allows itself."""
    con = duckdb.connect(config={"memory_limit": "2GB"})
    con.execute("SET enable_progress_bar = false")
    return con


def generate(path: Path, rows: int) -> None:
    """Write seeded order lines: three lines an order, a twentieth as many customers as lines, some returns,
    some unknown buyers, some days after the day of the report."""
    plain().execute(GENERATE.format(rows=rows, people=max(rows // 20, 1), path=path))


def with_ibis(path: Path) -> pd.DataFrame:
    """The helpers of the playbook."""
    con = connect()
    con.raw_sql("SET enable_progress_bar = false")
    people = rfm.rfm(con.read_parquet(str(path)), AS_OF, WINDOW).to_pandas()
    return rfm.add_type(people, rfm.cut_lines(people, "median"))


def with_sql(path: Path) -> pd.DataFrame:
    """SQL as a database engineer would write it."""
    begin = pd.Timestamp(AS_OF) - pd.Timedelta(days=WINDOW)
    given = {"begin": begin.date(), "as_of": AS_OF, "path": str(path)}
    return plain().execute(SQL, given).df()


def with_pandas(path: Path) -> pd.DataFrame:
    """Plain pandas."""
    lines = pd.read_parquet(path, columns=COLUMNS)
    lines["ordered_on"] = pd.to_datetime(lines["ordered_on"])
    as_of = pd.Timestamp(AS_OF)
    lines = lines[lines["customer_id"].notna() & (lines["ordered_on"] <= as_of)]
    recent = lines[lines["ordered_on"] > as_of - pd.Timedelta(days=WINDOW)]
    days = (
        lines[lines["quantity"] >= 0]
        .groupby("customer_id")["ordered_on"]
        .agg(["min", "max", "nunique"])
    )
    people = days.set_axis(["first_on", "last_on", "order_days"], axis=1).reindex(
        lines["customer_id"].unique()
    )
    people["order_days"] = people["order_days"].fillna(0)
    orders = recent[recent["quantity"] >= 0].groupby("customer_id")["order_id"].nunique()
    people["frequency"] = orders.reindex(people.index).fillna(0)
    people["monetary"] = (
        recent.groupby("customer_id")["revenue"].sum().reindex(people.index).fillna(0).round(2)
    )
    people["recency"] = (as_of - people["last_on"]).dt.days
    people["aov"] = people["monetary"] / people["frequency"].where(people["frequency"] > 0)
    span = (people["last_on"] - people["first_on"]).dt.days
    people["usual_gap"] = span / (people["order_days"] - 1).where(people["order_days"] > 1)
    buyers = people[people["frequency"] > 0]
    people["r_high"] = people["recency"] <= buyers["recency"].median()
    people["f_high"] = people["frequency"] > buyers["frequency"].median()
    people["m_high"] = people["monetary"] > buyers["monetary"].median()
    code = np.where(people["r_high"], "H", "L").astype(object)
    for mark in ("f_high", "m_high"):
        code = code + np.where(people[mark], "H", "L").astype(object)
    people["segment"] = pd.Series(code, people.index).map(rfm.types().set_index("code")["segment"])
    return people.rename_axis("customer_id").reset_index()


def with_lifetimes(path: Path) -> pd.DataFrame:
    """The summary of the lifetimes package: frequency (days after the first), recency (span), T, monetary_value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lifetimes is no longer kept up, and warns
        from lifetimes.utils import summary_data_from_transaction_data

        lines = pd.read_parquet(path, columns=COLUMNS)
        lines = lines[lines["customer_id"].notna() & (lines["quantity"] >= 0)]
        return summary_data_from_transaction_data(
            lines, "customer_id", "ordered_on", "revenue", observation_period_end=AS_OF
        ).reset_index()


WAYS = {
    "helper": with_ibis,
    "DuckDB SQL": with_sql,
    "plain pandas": with_pandas,
    "lifetimes": with_lifetimes,
}


def assert_equal(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Raise AssertionError unless both hold the same customers with the same values, money to the cent."""
    dates = ["first_on", "last_on"]
    money = ["monetary", "aov"]
    words = ["segment", "r_high", "f_high", "m_high"]
    numbers = [c for c in one.columns if c not in ("customer_id", *dates, *words)]
    types = (
        dict.fromkeys(dates, "datetime64[s]")
        | dict.fromkeys(numbers, "float64")
        | dict.fromkeys(words, "str")
    )
    a, b = (
        f.sort_values("customer_id").set_index("customer_id").astype(types)[list(types)]
        for f in (one, other)
    )
    pd.testing.assert_frame_equal(
        a.drop(columns=money), b.drop(columns=money), check_index_type=False
    )
    pd.testing.assert_frame_equal(a[money], b[money], check_index_type=False, rtol=0, atol=0.011)


def assert_agrees(helper: pd.DataFrame, summary: pd.DataFrame) -> None:
    """Raise AssertionError unless lifetimes counts the same days with an order, and the same span between them."""
    ours = helper[helper["order_days"] > 0].sort_values("customer_id").set_index("customer_id")
    theirs = summary.sort_values("customer_id").set_index("customer_id")
    assert list(ours.index) == list(theirs.index)
    assert (ours["order_days"] - 1 == theirs["frequency"]).all()
    span = (pd.to_datetime(ours["last_on"]) - pd.to_datetime(ours["first_on"])).dt.days
    assert (span == theirs["recency"]).all()


def timed(name: str, path: Path) -> tuple[float, float]:
    """Seconds and memory in GB of one way; its result is left beside the Parquet file."""
    before, started = peak_memory(), time.perf_counter()
    result = WAYS[name](path)
    took = time.perf_counter() - started, peak_memory() - before
    result.to_pickle(path.with_name(f"{name}.pickle"))
    return took


def peak_memory() -> float:
    """The highest memory of this process so far, in GB; not known on Windows."""
    try:
        import resource
    except ImportError:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**30 if sys.platform == "darwin" else 2**20
    )


def alone(job: Callable, *arguments: object) -> Any:
    """Run a job in a process of its own. This process stays small: a new one inherits its highest memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(job, *arguments).result()


def main() -> None:
    """Run the ways, each alone, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.parquet"
        alone(generate, path, rows)
        rounds = [
            {n: alone(timed, n, path) for n in WAYS if i == 0 or n != "lifetimes"}
            for i in range(ROUNDS)
        ]
        results = {name: pd.read_pickle(path.with_name(f"{name}.pickle")) for name in WAYS}
    helper = results["helper"]
    assert_agrees(helper, results.pop("lifetimes"))
    for other in results.values():
        assert_equal(helper, other)
    print(f"{rows:,} lines, {len(helper):,} customers; all results agree")
    best = {name: min(r[name] for r in rounds if name in r) for name in WAYS}
    seconds, memory = best["helper"]
    for name, (s, gb) in best.items():
        print(
            f"{name:13} {s:6.1f} s  {gb:4.1f} GB  {s / seconds:5.2f} x the time and {gb / memory:5.2f} x the memory "
            "of the helper"
        )


if __name__ == "__main__":
    main()

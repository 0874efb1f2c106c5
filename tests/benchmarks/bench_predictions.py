"""What was known of each customer on seven days, from ten million order lines: the helper beside plain pandas.

    python tests/benchmarks/bench_predictions.py [--rows N]

Each way runs in a process of its own: seconds from the Parquet file to the result in pandas, the quicker of two
rounds, and the highest memory of the process less what it held before. Both must agree.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from bench_rfm import alone, generate, peak_memory

from helpers.analyze.predictions import purchase
from helpers.client import connect

AS_OF, PERIOD = date(2024, 12, 31), 60
DAYS = [AS_OF - timedelta(days=PERIOD * k) for k in range(7)]
ROUNDS = 2
KEYS = ["on", "customer_id"]
SUMS = ["orders_now", "orders_before", "orders_lately", "sales_now", "sales_lately", "order_days"]


def with_ibis(path: Path) -> pd.DataFrame:
    """The helper of the playbook."""
    import ibis

    con = connect()
    con.raw_sql("SET enable_progress_bar = false")
    lines = con.read_parquet(str(path)).mutate(
        discount=ibis.literal(0.0), channel=ibis.literal("web")
    )
    on = ibis.memtable(pd.DataFrame({"on": pd.to_datetime(DAYS)}), schema={"on": "timestamp"}).cast(
        {"on": "date"}
    )
    return purchase.order_history(lines, on, PERIOD).to_pandas()[[*KEYS, *SUMS]]


def with_pandas(path: Path) -> pd.DataFrame:
    """Plain pandas, one day after the other."""
    lines = pd.read_parquet(path).dropna(subset=["customer_id"])
    lines["ordered_on"] = pd.to_datetime(lines["ordered_on"])
    lines["bought"] = lines["order_id"].where(lines["quantity"] > 0)
    by = lines.groupby(["customer_id", "ordered_on"]).agg(
        orders=("bought", "nunique"), revenue=("revenue", "sum")
    )
    by, found = by.reset_index(), []
    for day in map(pd.Timestamp, DAYS):
        past = by[by["ordered_on"] <= day]
        ago = (day - past["ordered_on"]).dt.days
        now, before, lately = ago < PERIOD, (ago >= PERIOD) & (ago < 2 * PERIOD), ago < 4 * PERIOD
        columns = {
            "orders_now": past["orders"].where(now),
            "orders_before": past["orders"].where(before),
        }
        columns |= {
            "orders_lately": past["orders"].where(lately),
            "sales_now": past["revenue"].where(now),
        }
        columns |= {
            "sales_lately": past["revenue"].where(lately),
            "order_days": (past["orders"] > 0) * 1,
        }
        sums = pd.DataFrame(columns).groupby(past["customer_id"]).sum()
        found.append(sums[sums["order_days"] > 0].reset_index().assign(on=day))
    return pd.concat(found)[[*KEYS, *SUMS]]


WAYS = {"helper": with_ibis, "plain pandas": with_pandas}


def assert_equal(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Raise AssertionError unless both hold the same customers and days with the same values, money to the cent."""
    a, b = (
        f.assign(on=pd.to_datetime(f["on"])).set_index(KEYS).sort_index().fillna(0.0).astype(float)
        for f in (one, other)
    )
    assert list(a.index) == list(b.index)
    np.testing.assert_allclose(a, b, atol=0.011)


def timed(name: str, path: Path) -> tuple[float, float]:
    """Seconds and memory in GB of one way; its result is left beside the Parquet file."""
    before, started = peak_memory(), time.perf_counter()
    result = WAYS[name](path)
    took = time.perf_counter() - started, peak_memory() - before
    result.to_pickle(path.with_name(f"{name}.pickle"))
    return took


def main() -> None:
    """Run the ways, each alone, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.parquet"
        alone(generate, path, rows)
        rounds = [{name: alone(timed, name, path) for name in WAYS} for _round in range(ROUNDS)]
        one, other = (pd.read_pickle(path.with_name(f"{name}.pickle")) for name in WAYS)
    assert_equal(one, other)
    print(f"{rows:,} lines, {len(one):,} customers and days; both agree")
    for name in WAYS:
        seconds, memory = min(r[name] for r in rounds)
        print(f"{name:13} {seconds:6.1f} s  {memory:4.1f} GB")


if __name__ == "__main__":
    main()

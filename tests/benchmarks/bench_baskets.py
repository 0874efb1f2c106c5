"""Pairs of goods in the baskets of many order lines: the helper beside mlxtend's fpgrowth.

    python tests/benchmarks/bench_baskets.py [--rows N] [--items N] [--both N]

Both count the pairs of the same baskets, from the Parquet file to a frame of pairs, in a run of `--both` lines, and
must agree. The helper also counts by period, buyer and size of basket, which mlxtend does not. Then the helper alone
takes `--rows` lines. Each way runs in a process of its own: seconds, and the highest memory less what it held before.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb
import ibis
import numpy as np
import pandas as pd
from bench_rfm import alone, peak_memory

from helpers.analyze.relations import baskets
from helpers.client import connect

CUT, LEAST = date(2024, 8, 31), 0.001  # share of baskets of an item, to be looked at

# Ten lines a basket on average; popular items are bought about as a supermarket's are.
GENERATE = """COPY (
    SELECT 'C' || (hash(i // 10, 1) % {people}) AS customer_id, 'O' || (i // 10) AS order_id,
           DATE '2024-01-01' + CAST(hash(i // 10, 3) % 365 AS INTEGER) AS ordered_on,
           'P' || CAST(floor(pow({items}, (hash(i, 4) % 1000000) / 1000000.0)) AS INTEGER) AS product_id,
           1.0::DOUBLE AS quantity
    FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet)"""


def generate(path: Path, rows: int, items: int) -> None:
    """Write seeded order lines."""
    duckdb.connect().execute(
        GENERATE.format(rows=rows, items=items, people=max(rows // 400, 1), path=path)
    )


def with_helper(path: Path) -> pd.DataFrame:
    """The helper: pairs of the earlier part."""
    con = connect()
    con.raw_sql("SET enable_progress_bar = false")
    orders = con.read_parquet(str(path))
    products = orders.select("product_id").distinct().mutate(name=ibis.literal(""))
    items = baskets.basket_items(orders, products, "product_id", CUT).cache()
    counts = baskets.count_baskets(items, share=LEAST)
    pairs = counts.pairs
    return pairs.assign(**{c: pairs[c].map(counts.names) for c in ("first", "second")})


def with_mlxtend(path: Path) -> pd.DataFrame:
    """mlxtend on a table of one row a basket and one column an item."""
    from mlxtend.frequent_patterns import fpgrowth

    lines = pd.read_parquet(path, columns=["order_id", "ordered_on", "product_id"])
    lines = lines[pd.to_datetime(lines["ordered_on"]) <= pd.Timestamp(CUT)].drop_duplicates(
        ["order_id", "product_id"]
    )
    baskets, often = lines["order_id"].nunique(), lines["product_id"].value_counts()
    lines = lines[lines["product_id"].isin(often.index[often >= max(20, LEAST * baskets)])]
    row, _orders = pd.factorize(lines["order_id"])
    column, names = pd.factorize(lines["product_id"], sort=True)
    table = np.zeros((row.max() + 1, len(names)), bool)
    table[row, column] = True
    found = fpgrowth(pd.DataFrame(table), 5 / len(table), max_len=2)
    pairs = [
        (sorted(s), x)
        for s, x in zip(found["itemsets"], found["support"], strict=True)
        if len(s) == 2
    ]
    rows = [(names[a], names[b], round(x * len(table))) for (a, b), x in pairs]
    return pd.DataFrame(rows, columns=["first", "second", "baskets"])


WAYS = {"helper": with_helper, "fpgrowth": with_mlxtend}


def timed(name: str, path: Path) -> tuple[float, float]:
    """Seconds and memory in GB of one way; its result is left beside the Parquet file."""
    before, started = peak_memory(), time.perf_counter()
    result = WAYS[name](path)
    took = time.perf_counter() - started, peak_memory() - before
    result.to_pickle(path.with_name(f"{name}.pickle"))
    return took


def assert_agree(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Raise AssertionError unless they count alike. The helper leaves out pairs of fewer than five buyers."""
    one, other = (p.set_index(["first", "second"])["baskets"].sort_index() for p in (ours, theirs))
    assert one.equals(other.reindex(one.index).astype(one.dtype))
    assert len(other) < 1.01 * len(one)


def main() -> None:
    """Run the ways, each alone, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--both", type=int, default=200_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.parquet"
        alone(generate, path, asked.both, asked.items)
        took = {name: alone(timed, name, path) for name in WAYS}
        pairs = [pd.read_pickle(path.with_name(f"{n}.pickle")) for n in WAYS]
        assert_agree(*pairs)
        print(f"{asked.both:,} lines, {len(pairs[0]):,} pairs; both agree")
        for name, (seconds, memory) in took.items():
            print(
                f"{name:10} {seconds:6.1f} s  {memory:4.1f} GB  {seconds / took['helper'][0]:5.1f} x the time"
            )
        alone(generate, path, asked.rows, asked.items)
        seconds, memory = alone(timed, "helper", path)
        print(f"{asked.rows:,} lines: helper {seconds:.1f} s, {memory:.1f} GB")


if __name__ == "__main__":
    main()

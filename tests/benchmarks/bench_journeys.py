"""Visits, funnel and paths of a million site events: the helpers beside plain pandas, in one run.

    python tests/benchmarks/bench_journeys.py [--rows N]

Each way runs in a process of its own, from the Parquet file to the results in pandas: seconds of the quickest of three
rounds, and the highest memory of the process less what it held before. Both must find the same visits, last acts,
funnels (loose and strict, by visit) and moves from act to act.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from bench_rfm import alone, peak_memory, plain

from helpers.analyze.journeys import conversion, sessions, visit_paths
from helpers.client import Journeys, connect

STEPS, GAP, ROUNDS = Journeys().steps, 30, 3
WHERE = ["device", "source", "medium"]
NOISE = ["session_start", "page_view"]
GENERATE = """COPY (
    SELECT 'e' || lpad(i::VARCHAR, 9, '0') AS event_id, 'v' || (hash(i // 6, 1) % {visitors}) AS visitor_id,
           NULL::VARCHAR AS customer_id, 's' || (i // 6) AS session_id,
           TIMESTAMP '2026-01-01' + to_seconds((hash(i // 6, 2) % 23000000)::BIGINT + 40 * (i % 6)) AS occurred_at,
           CASE i % 6 WHEN 0 THEN 'session_start' WHEN 1 THEN 'page_view' WHEN 2 THEN 'view_item'
           ELSE ['view_item', 'search', 'add_to_cart', 'begin_checkout', 'purchase'][(hash(i, 3) % 5)::INT + 1] END
           AS event_name, 'mobile' AS device, 'google' AS source, 'cpc' AS medium, NULL::VARCHAR AS product_id,
           NULL::VARCHAR AS order_id
    FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet)"""


def generate(path: Path, rows: int) -> None:
    """Write seeded events: six an export's session, a visitor for every two of them."""
    con: duckdb.DuckDBPyConnection = plain()
    con.execute(GENERATE.format(rows=rows, visitors=max(rows // 12, 1), path=path))


def with_helpers(path: Path) -> list[pd.Series]:
    """The helpers of the playbook."""
    con = connect()
    con.raw_sql("SET enable_progress_bar = false")
    acts = sessions.add_sessions(con.read_parquet(str(path)), GAP).cache()
    clickstream = conversion.clickstream(acts).cache()
    visits = sessions.describe_visits(sessions.visits(acts).to_pandas())
    funnels = [
        conversion.reach(clickstream, STEPS, order).to_pandas() for order in ("loose", "strict")
    ]
    moves = visit_paths.name_transitions(
        visit_paths.transitions(clickstream).to_pandas(), date(2026, 9, 30)
    )
    depth = [f.filter(like="at_").notna().sum(axis=1).value_counts() for f in funnels]
    said = visits["last_act"].value_counts()
    return [
        visits.set_index("session")["minutes"].sort_index(),
        said,
        *depth,
        moves.set_index(["source", "target"])["moves"],
    ]


def with_pandas(path: Path) -> list[pd.Series]:
    """Plain pandas, without a loop over visits."""
    acts = pd.read_parquet(
        path, columns=["event_id", "visitor_id", "occurred_at", "event_name", *WHERE]
    )
    acts = acts.sort_values(["visitor_id", "occurred_at", "event_id"], ignore_index=True)
    pause = acts.groupby("visitor_id")["occurred_at"].diff()
    new = pause.isna() | (pause > pd.Timedelta(minutes=GAP))
    acts["session"] = (
        "v:" + acts["visitor_id"] + "/" + new.groupby(acts["visitor_id"]).cumsum().astype(str)
    )
    span = acts.groupby("session")["occurred_at"].agg(["min", "max"])
    acts["channel"] = acts["source"] + " / " + acts["medium"]
    span = span.join(acts.groupby("session")[["device", "channel"]].first())
    minutes = ((span["max"] - span["min"]).dt.total_seconds() / 60).rename("minutes").sort_index()
    told = acts[~acts["event_name"].isin(NOISE)]
    told = told[told["event_name"] != told.groupby("session")["event_name"].shift()].reset_index(
        drop=True
    )
    span = span.join(told.groupby("session")["event_name"].last().rename("last_act"))
    loose = (
        told.loc[told["event_name"] == STEPS[0]]
        .groupby("session")["occurred_at"]
        .min()
        .rename("at")
    )
    depth = pd.Series(1, loose.index)
    for step in STEPS[1:]:
        then = told.loc[told["event_name"] == step, ["session", "occurred_at"]].join(
            loose, on="session", how="inner"
        )
        loose = (
            then[then["occurred_at"] >= then["at"]]
            .groupby("session")["occurred_at"]
            .min()
            .rename("at")
        )
        depth[loose.index] += 1
    by, follows = told.groupby("session")["event_name"], told["event_name"] == STEPS[0]
    strict = follows.astype(int)
    for k, step in enumerate(STEPS[1:], 1):
        follows = follows & (by.shift(-k) == step)
        strict = strict + follows
    strict = strict[told["event_name"] == STEPS[0]].groupby(told["session"]).max()
    after = by.shift(-1)
    names = told["event_name"].map(sessions.act_words)
    pairs = pd.DataFrame(
        {"source": names, "target": after.map(sessions.act_words).where(after.notna(), "leaves")}
    )
    first = pd.DataFrame({"source": "comes", "target": names[by.cumcount() == 0]})
    moves = pd.concat([pairs, first]).value_counts().rename("moves")
    said = span["last_act"].map(sessions.act_words).fillna("does nothing").value_counts()
    return [minutes, said, depth.value_counts(), strict.value_counts(), moves]


WAYS = {"helpers": with_helpers, "plain pandas": with_pandas}


def timed(name: str, path: Path) -> tuple[float, float]:
    """Seconds and memory in GB of one way; its results are left beside the Parquet file."""
    before, started = peak_memory(), time.perf_counter()
    results = WAYS[name](path)
    took = time.perf_counter() - started, peak_memory() - before
    pd.to_pickle(results, path.with_name(f"{name}.pickle"))
    return took


def assert_equal(one: list[pd.Series], other: list[pd.Series]) -> None:
    """Raise AssertionError unless both found the same."""
    for a, b in zip(one, other, strict=True):
        a, b = a.sort_index(), b.sort_index()
        assert list(a.index) == list(b.index)
        assert np.allclose(a.to_numpy(float), b.to_numpy(float), atol=1e-6)


def main() -> None:
    """Run the ways, each alone, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        alone(generate, path, rows)
        rounds = [{n: alone(timed, n, path) for n in WAYS} for _ in range(ROUNDS)]
        found = {n: pd.read_pickle(path.with_name(f"{n}.pickle")) for n in WAYS}
    assert_equal(*found.values())
    print(f"{rows:,} events, {len(found['helpers'][0]):,} visits; both agree")
    best = {name: min(r[name] for r in rounds) for name in WAYS}
    for name, (s, gb) in best.items():
        print(
            f"{name:13} {s:6.1f} s  {gb:4.1f} GB  {s / best['helpers'][0]:5.2f} x the time of the helpers"
        )


if __name__ == "__main__":
    main()

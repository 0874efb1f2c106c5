"""Every benchmark on a few rows: its ways find the same, so that its seconds compare like with like."""

import bench_baskets
import bench_cohorts
import bench_collect
import bench_journeys
import bench_lifetime
import bench_predictions
import bench_prices
import bench_rfm
import numpy as np
import pandas as pd
import pytest
from conftest import make_home


def results(bench, path, *size) -> list:
    """What each way of a benchmark finds in made-up rows."""
    bench.generate(path, *size)
    return [way(path) for way in bench.WAYS.values()]


def test_cohorts(tmp_path):
    by_ibis, by_sql, by_pandas = results(bench_cohorts, tmp_path / "orders.parquet", 30_000)
    assert len(by_ibis) > 200
    bench_cohorts.assert_equal(by_ibis, by_sql)
    bench_cohorts.assert_equal(by_ibis, by_pandas)


def test_recency_frequency_and_monetary(tmp_path):
    by_helper, by_sql, by_pandas, by_lifetimes = results(
        bench_rfm, tmp_path / "orders.parquet", 20_000
    )
    assert len(by_helper) > 900
    bench_rfm.assert_equal(by_helper, by_sql)
    bench_rfm.assert_equal(by_helper, by_pandas)
    bench_rfm.assert_agrees(by_helper, by_lifetimes)


def test_order_history_for_predictions(tmp_path):
    one, other = results(bench_predictions, tmp_path / "orders.parquet", 20_000)
    assert len(one) > 500
    bench_predictions.assert_equal(one, other)


def test_visits_funnels_and_paths(tmp_path):
    by_helpers, by_pandas = results(bench_journeys, tmp_path / "events.parquet", 20_000)
    assert len(by_helpers[0]) > 3000
    bench_journeys.assert_equal(by_helpers, by_pandas)


def test_pairs_in_baskets(tmp_path):
    ours, theirs = results(bench_baskets, tmp_path / "orders.parquet", 40_000, 200)
    assert len(ours) > 3000
    bench_baskets.assert_agree(ours, theirs)


def test_lifetime_value(tmp_path):
    path = tmp_path / "histories.parquet"
    bench_lifetime.generate(path, 2000)
    rows = pd.read_parquet(path)
    found = {name: way(rows) for name, way in bench_lifetime.WAYS.items()}
    bench_lifetime.assert_agree(found["helpers"], found["lifetimes"])
    assert len(found["ranges"][1])


def test_price_elasticity():
    rows = bench_prices.panel(8, 2, 52)
    np.testing.assert_allclose(bench_prices.ours(rows), bench_prices.dummies(rows), rtol=1e-3)
    assert (
        bench_prices.log_log(rows)[0] > bench_prices.ours(rows)[0]
    )  # weeks without a sale left out


def test_collect_and_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYBOOK_HOME", str(make_home(tmp_path)))
    folder = tmp_path / "data" / "bench"
    bench_collect.write_till(folder, 2000)
    lines, money, loaded = bench_collect.ours(folder)
    assert (lines, loaded) == bench_collect.pandas(folder)[::2] == (2001, 2000)
    assert money == pytest.approx(bench_collect.pandas(folder)[1])

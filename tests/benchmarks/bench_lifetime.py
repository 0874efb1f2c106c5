"""Lifetime value of a million customers: the playbook's models beside the package lifetimes.

    python tests/benchmarks/bench_lifetime.py [--customers N]

Histories and orders are drawn from the models with known parameters. Each way fits BG/NBD and gamma-gamma and scores
every customer (chance of being there, orders and money of the next year), in a process of its own: seconds, and the
highest memory of the process less what it held before. Both must find the same parameters and values. Pareto/NBD and
the simulated ranges, which lifetimes lacks or does not give, are timed beside them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from bench_rfm import alone, peak_memory

TRUE = {"r": 0.8, "alpha": 12.0, "a": 0.8, "b": 3.5, "p": 5.0, "q": 4.0, "v": 20.0}
WEEKS = 365 / 7


def generate(path: Path, customers: int, seed: int = 1) -> None:
    """Write x, t_x, T (weeks, whole days) and mean value of so many customers who leave after a purchase or stay."""
    rng, n = np.random.default_rng(seed), customers
    T = rng.integers(7, 728, n) / 7
    rate, leaves = rng.gamma(TRUE["r"], 1 / TRUE["alpha"], n), rng.beta(TRUE["a"], TRUE["b"], n)
    x, last, now, here = np.zeros(n), np.zeros(n), np.zeros(n), np.arange(n)
    while len(here):
        now[here] += rng.exponential(1 / rate[here])
        here = here[now[here] < T[here]]
        x[here] += 1
        last[here] = now[here]
        here = here[rng.random(len(here)) > leaves[here]]
    t_x = np.minimum(np.round(last * 7) / 7, T)
    scale = rng.gamma(TRUE["q"], 1 / TRUE["v"], n)
    value = rng.gamma(TRUE["p"] * np.maximum(x, 1)) / scale / np.maximum(x, 1)
    ids = [f"C{i:07d}" for i in range(n)]
    pd.DataFrame(
        {"customer_id": ids, "x": x, "t_x": t_x, "T": T, "value": value * (x > 0)}
    ).to_parquet(path)


def with_helpers(rows: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """The helpers of the playbook."""
    from helpers.segment.lifetime_value import bgnbd, gamma_gamma

    same = rows.groupby(["x", "t_x", "T"], as_index=False).size()
    counts = bgnbd.fit(*(same[c].to_numpy(float) for c in ("x", "t_x", "T", "size")))
    spend = gamma_gamma.fit(rows["x"].to_numpy(), rows["value"].to_numpy())
    x, t_x, T = (rows[c].to_numpy(float) for c in ("x", "t_x", "T"))
    alive = bgnbd.alive(counts.params, x, t_x, T)
    orders = alive * bgnbd.ahead(counts.params, WEEKS, x, T)
    each = gamma_gamma.conditional(spend.params, x, rows["value"].to_numpy())
    return np.r_[counts.params, spend.params], pd.DataFrame(
        {"alive": alive, "orders": orders, "money": orders * each}
    )


def with_lifetimes(rows: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """The package lifetimes."""
    import warnings

    warnings.simplefilter("ignore")  # it is no longer kept up
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    counts = BetaGeoFitter().fit(rows["x"], rows["t_x"], rows["T"])
    many = rows[rows["x"] > 0]
    spend = GammaGammaFitter().fit(many["x"], many["value"])
    alive = counts.conditional_probability_alive(rows["x"], rows["t_x"], rows["T"])
    orders = counts.conditional_expected_number_of_purchases_up_to_time(
        WEEKS, rows["x"], rows["t_x"], rows["T"]
    )
    each = spend.conditional_expected_average_profit(rows["x"], rows["value"])
    found = [counts.params_[k] for k in ("r", "alpha", "a", "b")] + [
        spend.params_[k] for k in ("p", "q", "v")
    ]
    scored = pd.DataFrame({"alive": np.asarray(alive), "orders": np.asarray(orders)})
    return np.array(found), scored.assign(money=scored["orders"] * np.asarray(each))


def with_pareto(rows: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Pareto/NBD by the helpers: fitted, and every customer scored."""
    from helpers.segment.lifetime_value import pareto_nbd

    same = rows.groupby(["x", "t_x", "T"], as_index=False).size()
    counts = pareto_nbd.fit(*(same[c].to_numpy(float) for c in ("x", "t_x", "T", "size")))
    x, t_x, T = (rows[c].to_numpy(float) for c in ("x", "t_x", "T"))
    alive = pareto_nbd.alive(counts.params, x, t_x, T)
    return counts.params, pd.DataFrame(
        {"alive": alive, "orders": alive * pareto_nbd.ahead(counts.params, WEEKS, x, T)}
    )


def with_ranges(rows: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """As the chapter does for its tables: BG/NBD of all customers, values and simulated ranges of a tenth of them."""
    from helpers.segment.lifetime_value import bgnbd, gamma_gamma
    from helpers.segment.lifetime_value.lifetime import Model, value_customers

    some = rows.iloc[:: max(len(rows) // 100_000, 1)].reset_index(drop=True)
    counts = bgnbd.fit(*(some[c].to_numpy(float) for c in ("x", "t_x", "T")))
    model = Model(
        "BG/NBD", counts, gamma_gamma.fit(some["x"].to_numpy(), some["value"].to_numpy()), 1.0
    )
    return counts.params, value_customers(some, model, 365, 0.1)


WAYS = {
    "helpers": with_helpers,
    "lifetimes": with_lifetimes,
    "Pareto/NBD": with_pareto,
    "ranges": with_ranges,
}


def timed(name: str, path: Path) -> tuple[float, float]:
    """Seconds and memory in GB of one way; its result is left beside the Parquet file."""
    rows = pd.read_parquet(path)
    WAYS[name](rows.head(2000))  # imports, and what is compiled on first use
    before, started = peak_memory(), time.perf_counter()
    result = WAYS[name](rows)
    took = time.perf_counter() - started, peak_memory() - before
    pd.to_pickle(result, path.with_name(f"{name.replace('/', ' ')}.pickle"))
    return took


def assert_agree(ours: tuple, theirs: tuple) -> None:
    """Raise AssertionError unless parameters agree to a hundredth and customers' values on average to as much."""
    np.testing.assert_allclose(ours[0], theirs[0], rtol=0.01)
    for column in ours[1]:
        off = (ours[1][column] - theirs[1][column]).abs().mean() / ours[1][column].mean()
        assert off < 0.01, f"{column} differs by {off:.4f}"


def main() -> None:
    """Run the ways, each alone, and print what they took and found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    customers = parser.parse_args().customers
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "histories.parquet"
        alone(generate, path, customers)
        took = {name: alone(timed, name, path) for name in WAYS}
        found = {
            name: pd.read_pickle(path.with_name(f"{name.replace('/', ' ')}.pickle"))
            for name in WAYS
        }
    assert_agree(found["helpers"], found["lifetimes"])
    print(f"{customers:,} customers; the true parameters {list(TRUE.values())}")
    for name in ("helpers", "lifetimes"):
        print(f"{name:10} found {found[name][0].round(3).tolist()}")
    for name, (seconds, gb) in took.items():
        more = f" for {len(found[name][1]):,} customers" if name == "ranges" else ""
        print(f"{name:10} {seconds:6.1f} s  {gb:4.1f} GB{more}")


if __name__ == "__main__":
    main()

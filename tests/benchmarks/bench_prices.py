"""Poisson regression with product-place and week effects: ours beside statsmodels with dummies and plain log-log.

    python tests/benchmarks/bench_prices.py [--products N] [--places N] [--weeks N]

Seconds of one fit each, on the same made-up panel (a true elasticity of -2, small counts), and what each finds. The
first two must agree. Dummies are left out where they would take more than a gigabyte.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import statsmodels.api as sm

from helpers.analyze.pricing import elasticity

LARGEST = 1e9  # bytes of a matrix of dummies


def panel(products: int, places: int, weeks: int) -> pd.DataFrame:
    """Made-up units and prices by product, place and week."""
    rng, shape = np.random.default_rng(1), (products, places, weeks)
    price = np.exp(rng.normal(0, 0.15, (products, 1, weeks)) + np.zeros(shape))
    level = rng.normal(-0.5, 1, (products, places, 1)) + rng.normal(0, 0.2, weeks)
    p, s, w = (x.ravel() for x in np.indices(shape))
    units = rng.poisson(np.exp(level) * price**-2).ravel()
    return pd.DataFrame(
        {"product_id": p, "place": s, "week_on": w, "units": units, "price": price.ravel()}
    )


def ours(rows: pd.DataFrame) -> tuple[float, float]:
    """Elasticity and its clustered error by `fit_poisson`."""
    codes = [rows.groupby(["product_id", "place"]).ngroup().to_numpy(), rows["week_on"].to_numpy()]
    x = pd.DataFrame({"price": np.log(rows["price"])})
    fit = elasticity.fit_poisson(
        rows["units"].to_numpy(float), x, codes, rows["product_id"].to_numpy()
    )
    return fit["price"], float(np.sqrt(fit.cov[0, 0]))


def dummies(rows: pd.DataFrame) -> tuple[float, float]:
    """The same by statsmodels with a column for each effect."""
    sold = rows[rows.groupby(["product_id", "place"])["units"].transform("sum") > 0]
    cell = pd.get_dummies(sold.groupby(["product_id", "place"]).ngroup(), dtype=float)
    week = pd.get_dummies(sold["week_on"], dtype=float, drop_first=True)
    x = np.column_stack([np.log(sold["price"]), cell, week])
    groups = {"groups": sold["product_id"].to_numpy(), "use_correction": False}
    fit = sm.GLM(sold["units"].to_numpy(), x, family=sm.families.Poisson()).fit(
        cov_type="cluster", cov_kwds=groups
    )
    count = sold["product_id"].nunique()
    return fit.params[0], fit.bse[0] * np.sqrt(count / (count - 1))


def log_log(rows: pd.DataFrame) -> tuple[float, float]:
    """Least squares of logarithms, weeks without a sale left out."""
    some = rows[rows["units"] > 0]
    x = pd.DataFrame({"price": np.log(some["price"])})
    fit = elasticity.fit_squares(np.log(some["units"].to_numpy(float)), x, some)
    return fit["price"], float(np.sqrt(fit.cov[0, 0]))


def main() -> None:
    """Run all ways and print a line each."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (("products", 20), ("places", 2), ("weeks", 52)):
        ask.add_argument(f"--{name}", type=int, default=usual)
    asked = ask.parse_args()
    rows = panel(asked.products, asked.places, asked.weeks)
    print(
        f"{len(rows):,} rows, {(rows['units'] == 0).mean():.0%} of them without a sale; true elasticity -2"
    )
    found = {}
    for way in (ours, dummies, log_log):
        if (
            way is dummies
            and 8.0 * len(rows) * (asked.products * asked.places + asked.weeks) > LARGEST
        ):
            continue
        started = time.perf_counter()
        found[way] = way(rows)
        print(
            f"{way.__name__:8} {time.perf_counter() - started:7.2f} s  {found[way][0]:.4f} +- {found[way][1]:.4f}"
        )
    if dummies in found:
        np.testing.assert_allclose(found[ours], found[dummies], rtol=1e-3)


if __name__ == "__main__":
    main()

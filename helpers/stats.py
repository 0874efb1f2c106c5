"""What several steps need: intervals, bootstrap, sample size, forecast."""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.90   # all intervals of the playbook, unless a table says otherwise


def share_interval(hits: pd.Series, of: pd.Series) -> pd.DataFrame:
    """`low` and `high` of the 90 % Wilson interval of a share (Wilson 1927); empty where `of` is 0.

    >>> share_interval(pd.Series([6]), pd.Series([30])).round(3).to_numpy().tolist()
    [[0.108, 0.341]]
    """
    known = of.where(of > 0).astype(float)
    low, high = proportion_confint(hits.astype(float), known, alpha=1 - LEVEL, method="wilson")
    return pd.DataFrame({"low": low, "high": high}, index=hits.index)


def bootstrap_interval(values: np.ndarray, draws: int = 2000, seed: int = 1) -> tuple[float, float]:
    """90 % percentile interval of the mean of `values` by resampling (Efron 1979); (nan, nan) below two values."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = rng.choice(values, (draws, len(values))).mean(axis=1) if len(values) * draws < 5e7 else (
        np.array([rng.choice(values, len(values)).mean() for _ in range(draws)]))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)

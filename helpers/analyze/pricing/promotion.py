"""What promotions bring net: units more in their weeks, less those pulled forward and those of
other goods (3.14).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from helpers import stats, tables
from helpers.analyze.pricing.elasticity import (
    LAGS,
    MODEL,
    OWN,
    Fit,
    demand_terms,
    earlier_lifts,
    fit_poisson,
    left_after,
    pool,
    promotion_lift,
)
from helpers.analyze.pricing.price_ladder import YEAR
from helpers.analyze.pricing.prices import CELL, row_costs

STAMP = ["as_of", "rule_version"]  # added where a table is stored


def add_demand(panel: pd.DataFrame, fits: dict[str, Fit]) -> pd.DataFrame:
    """The rows of fitted categories with `mean` units, promotion `lift`, `after` and `pressure`.

    `after`: the factor that promotions of earlier weeks put on the units. `pressure`: extra units
    that promotions of the other products bring in this place and week, as a share of what the
    category usually sells there.
    """
    parts = []
    for category, fit in fits.items():
        rows = panel[panel["category"] == category].reset_index(drop=True)
        lift = promotion_lift(rows, {n: fit[n] for n in OWN})
        after = left_after(earlier_lifts(rows, lift), fit.pulled)
        rows = rows.assign(mean=fit.mean, lift=lift, after=after)
        usual = (rows["mean"] / lift).groupby([rows[c] for c in CELL]).transform("mean")
        there = [rows["place"], rows["week_on"]]
        extra = usual * (lift - 1)
        others = extra.groupby(there).transform("sum") - extra
        rows["pressure"] = (
            (others / usual.groupby(there).transform("sum").replace(0, np.nan)).fillna(0.0).round(6)
        )
        parts.append(rows)
    return pd.concat(parts, ignore_index=True) if parts else panel.head(0)


def fit_switching(demand: pd.DataFrame, fits: dict[str, Fit]) -> pd.DataFrame:
    """By category: change in log units of a product per unit of `pressure` (below zero: buyers
    switch), with its error.

    What a product's own price and promotions do is taken as known. The week of the whole shop and
    the category's month are held equal; the category's week would swallow the very thing. Clusters:
    the category's months.
    """
    if demand.empty:
        return pd.DataFrame(columns=["switching", "error"])
    own = np.zeros(len(demand))
    for category, fit in fits.items():
        at = (demand["category"] == category).to_numpy()
        own[at] = demand_terms(demand[at]).to_numpy(float) @ fit.b[: len(OWN)] + np.log(
            demand.loc[at, "after"]
        )
    month = demand.groupby(["category", demand["week_on"].dt.to_period("M")]).ngroup().to_numpy()
    effects = [
        demand.groupby(CELL).ngroup().to_numpy(),
        demand.groupby("week_on").ngroup().to_numpy(),
    ]
    x = pd.DataFrame({c: demand["pressure"].where(demand["category"] == c, 0.0) for c in fits})
    fit = fit_poisson(demand["units"].to_numpy(float), x, [*effects, month], month, own)
    if fit is None:
        return pd.DataFrame({"switching": 0.0, "error": np.nan}, index=list(fits))
    return pd.DataFrame(
        {"switching": fit.b, "error": [fit.error(c) for c in fits]}, index=list(fits)
    )


def pooled_switching(found: pd.DataFrame) -> pd.DataFrame:
    """`fit_switching` drawn towards the common value of the categories: one alone says little.

    `sure`: it stands out from chance although so many categories were looked at (Bonferroni).
    """
    known = found[found["error"] > 0]
    drawn = pool(known["switching"], known["error"])
    found = found.assign(
        switching=drawn["pooled"].reindex(found.index).fillna(found["switching"]),
        error=drawn["pooled_error"].reindex(found.index),
    )
    far = norm.ppf(1 - (1 - stats.LEVEL) / 2 / max(len(known), 1))
    return found.assign(sure=found["switching"].abs() > far * found["error"])


def promotion_effects(demand: pd.DataFrame, fits: dict[str, Fit], costs: pd.Series) -> pd.DataFrame:
    """What the promotions of the time studied brought, by category (table `promotion_lift`), units
    and money a year.

    `costs` is the cost of one unit by product (`row_costs`); without, margin stays empty. `extra`
    are units in promotion weeks that would not have been sold in them; `pulled` those missing
    afterwards; `switched` those missing at other products of the category (below zero: the others
    sold more); `counted` is `switched` where that is `sure` (`pooled_switching`), else 0; `net` is
    extra - pulled - counted. Intervals by drawing the estimates from their joint t distribution.
    What is pulled forward and switched is drawn towards the common value of the categories.
    """
    switching, pulled = pooled_switching(fit_switching(demand, fits)), pooled_lags(fits)
    rows = [
        _effect(c, demand[demand["category"] == c], f, switching.loc[c], costs, pulled.get(c))
        for c, f in fits.items()
    ]
    return pd.DataFrame(
        [r for r in rows if r], columns=list(tables.get("promotion_lift").columns)
    ).drop(columns=STAMP)


def pooled_lags(fits: dict[str, Fit]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By category each lag of `Fit.pulled` drawn towards its common value, and the factor that puts
    on its error.
    """
    value = pd.DataFrame({c: fit.pulled for c, fit in fits.items()}, index=LAGS)
    error = pd.DataFrame({c: [fit.error(n) for n in LAGS] for c, fit in fits.items()}, index=LAGS)
    narrow = pd.DataFrame(1.0, value.index, value.columns)
    for n in LAGS:
        known = error.columns[error.loc[n] > 0]
        drawn = pool(value.loc[n, known], error.loc[n, known])
        value.loc[n, known], narrow.loc[n, known] = (
            drawn["pooled"],
            drawn["pooled_error"] / error.loc[n, known],
        )
    return {c: (value[c].to_numpy(), narrow[c].to_numpy()) for c in fits}


def _effect(
    category: str,
    rows: pd.DataFrame,
    fit: Fit,
    switching: pd.Series,
    costs: pd.Series,
    pulled: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict | None:
    on = rows["promotion"].to_numpy() > 0
    if not on.any():
        return None
    draws = _draws(fit)
    per_year = YEAR / rows["week_on"].nunique()
    price, usual, mean = (rows[c].to_numpy(float) for c in ("price", "usual", "mean"))
    cost = row_costs(rows, costs)
    worth = usual - cost
    terms = np.column_stack([np.log(price / usual), rows["display"], rows["mailer"]])[on]
    earlier = earlier_lifts(rows.reset_index(drop=True), rows["lift"].to_numpy())
    later = np.abs(earlier).sum(axis=1) > 0
    # Units = usual x lift x what is left after: so lift counts in its week, and what is missing at
    # the usual level.
    calm = (mean / rows["after"].to_numpy() / rows["lift"].to_numpy())[later]
    error = switching["error"] if np.isfinite(switching["error"]) else 0.0
    sure = bool(switching["sure"])
    rng = np.random.default_rng(2)
    turned = np.concatenate(
        [[switching["switching"]], rng.normal(switching["switching"], error, MODEL["draws"])]
    )
    felt = mean * rows["pressure"].to_numpy()
    lags, narrow = pulled or (fit.pulled, 1.0)
    found = []
    for b, k in zip(draws, turned, strict=True):
        usual_units, own = mean[on] / np.exp(terms @ b[: len(OWN)]), b[len(OWN) :]
        missing = calm * (earlier[later] @ (lags + (own - fit.pulled) * narrow))
        alone = (calm * (earlier[later] @ own)).sum()
        extra, gone, switched = (mean[on] - usual_units).sum(), missing.sum(), -k * felt.sum()
        gain = (mean * (price - cost))[on].sum() - (usual_units * worth[on]).sum()
        profit = gain - (missing * worth[later]).sum() + sure * k * (felt * worth).sum()
        lift = mean[on].sum() / usual_units.sum()
        found.append([lift, extra, gone, switched, extra - gone - sure * switched, profit, alone])
    names = ["lift", "extra", "pulled", "switched", "net", "profit", "alone"]
    all_draws = pd.DataFrame(found, columns=names)
    all_draws[names[1:]] *= per_year
    all_draws["pull_share"] = all_draws["pulled"] / all_draws["extra"]
    all_draws["net_share"] = all_draws["net"] / all_draws["extra"]
    own_share = all_draws.pop("alone") / all_draws["extra"]
    low = all_draws.iloc[1:].quantile(stats.ENDS[0])
    high = all_draws.iloc[1:].quantile(stats.ENDS[1])
    cut = 1 - (price / usual)[on]
    out = {
        "category": category,
        "promoted_weeks": int(on.sum()),
        "products": int(rows.loc[on, "product_id"].nunique()),
    }
    out |= {"discount": float(cut[cut > 0].mean()) if (cut > 0).any() else 0.0}
    out |= {n: np.expm1(fit[n]) for n in ("display", "mailer")}
    for n in all_draws:
        out |= {n: all_draws[n].iloc[0], f"{n}_low": low[n], f"{n}_high": high[n]}
    own_error = np.diff(own_share.iloc[1:].quantile(list(stats.ENDS)))[0] / (2 * stats.Z)
    return out | {
        "counted": out["switched"] if sure else 0.0,
        "own_pull_share": own_share.iloc[0],
        "own_pull_error": own_error,
    }


def _draws(fit: Fit) -> np.ndarray:
    """The estimates, and draws of them from a multivariate t with as many degrees of freedom as
    clusters less one.
    """
    rng, freedom = np.random.default_rng(1), max(fit.clusters - 1, 1)
    spread = rng.multivariate_normal(np.zeros(len(fit.b)), fit.wide, MODEL["draws"], method="eigh")
    return np.vstack(
        [fit.b, fit.b + spread / np.sqrt(rng.chisquare(freedom, MODEL["draws"]) / freedom)[:, None]]
    )

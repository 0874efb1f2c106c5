"""How close elasticities, promotion effects and stock lists come to the truth of the simulated shop.

prices.csv: by category, over all shops: elasticity (pooled, and from the category's own data), the extra sales of
display and mailer (logarithm), the share of a promotion's extra that is pulled forward and the share left in the end,
and what buyers switch (its truth is 0: products of the simulation are bought independently). Bias, root mean squared
error, and how often the 90 % interval holds the truth; for the elasticity, also the plain rule (log units on log
price, weeks with sales only, promotions left out) and the same with promotions in it.

Each seed gives its own cleaned twin and SHOPS further shops of CUSTOMERS on clean data, whose orders are those of the
truth without prices or names that a real shop would not have.
"""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
from scipy.stats import t as student
from twins import World

LAST = date(2026, 9, 30)
SHOPS, CUSTOMERS = 5, 2500
TILLS = {"BER1": "Berlin Mitte", "HAM1": "Hamburg Altona", "MUC1": "München Sendling"}


def score(made: World) -> dict[str, pd.DataFrame]:
    """Estimates with intervals beside the truth: the cleaned twin, and shops on clean data."""
    tables = {n: made.run.read(n) for n in ("orders", "products", "promotions")}
    rows = [measure(tables, made.truth("elasticity"), made.run.as_of).assign(shop="cleaned twin")]
    seed = int(made.folder.name.removeprefix("twin"))
    for k in range(SHOPS):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(
                clean_shop(Path(folder), 1000 * seed + k).assign(shop=f"clean shop of {CUSTOMERS}")
            )
    return {"prices": pd.concat(rows, ignore_index=True)}


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """By shop and measure, over categories and seeds."""
    rows = rows.assign(
        off=rows["estimate"] - rows["truth"], held=rows["truth"].between(rows["low"], rows["high"])
    )
    by = rows.groupby(["shop", "measure"], sort=False)
    return pd.DataFrame(
        {
            "intervals": by.size(),
            "seeds": by["seed"].nunique(),
            "bias": by["off"].mean(),
            "rmse": by["off"].agg(lambda e: np.sqrt((e**2).mean())),
            "covered": by["held"].mean(),
        }
    ).round(4).reset_index()  # fmt: skip


def clean_shop(folder: Path, seed: int) -> pd.DataFrame:
    """One further shop, from the orders of its truth."""
    from simulator import write_twin

    write_twin(folder, CUSTOMERS, seed)
    o = pd.read_csv(folder / "truth" / "orders.csv", low_memory=False)
    o = o[(o["status"] == "done") & ~o["is_return"] & (o["currency"] == "EUR")]
    o["ordered_on"], o["store_id"] = (
        pd.to_datetime(o["ordered_at"]).dt.normalize(),
        o["place"].replace(TILLS),
    )
    o["quantity"] = o["quantity"].astype(float)
    goods = pd.read_csv(folder / "truth" / "products.csv")[["product_id", "name", "category"]]
    goods["subcategory"] = pd.Series([None] * len(goods), dtype="str")
    promotions = pd.read_csv(folder / "raw" / "promotions.csv", dtype="str").drop_duplicates()
    promotions["week_on"] = pd.to_datetime(promotions["week_on"], errors="coerce")
    tables = {
        "orders": o[["product_id", "ordered_on", "quantity", "revenue", "store_id", "channel"]],
        "products": goods,
        "promotions": promotions.dropna(subset=["week_on"]),
    }
    truth = pd.read_csv(folder / "truth" / "elasticity.csv")
    return measure({n: ibis.memtable(t) for n, t in tables.items()}, truth, LAST)


def measure(tables: dict, truth: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Every estimate of one shop beside its truth."""
    from helpers.analyze.pricing import elasticity, prices, promotion

    truth = truth.set_index("category")
    goods = prices.choose_products(
        prices.product_totals(tables["orders"], tables["products"]).to_pandas()
    )
    sold = prices.weekly_sales(tables["orders"], goods).to_pandas()
    promoted = prices.promoted_weeks(tables["promotions"], goods).to_pandas()
    panel = prices.price_panel(sold, promoted, goods, as_of)
    fits = elasticity.fit_all(panel)
    pooled = elasticity.elasticities(fits).set_index("group")
    demand = promotion.add_demand(panel, fits)
    lifts = promotion.promotion_effects(demand, fits, pd.Series(dtype=float)).set_index("category")
    switching = promotion.fit_switching(demand, fits)
    plain = elasticity.fit_log_log(panel, promotion=False)
    with_promotion = elasticity.fit_log_log(panel)
    rows = []
    for c, fit in fits.items():
        e, p, far = truth.loc[c], pooled.loc[c], student.ppf(0.95, fit.clusters - 1)
        rows.append(
            (c, "elasticity, pooled", e["elasticity"], p["elasticity"], p["low"], p["high"])
        )
        rows.append(
            (
                c,
                "elasticity, own data",
                e["elasticity"],
                *_ends(fit["price"], far * fit.error("price")),
            )
        )
        for name, found in (("log-log with promotions", with_promotion), ("plain rule", plain)):
            error = far * found[c].error("price")
            rows.append(
                (c, f"elasticity, {name}", e["elasticity"], *_ends(found[c]["price"], error))
            )
        for n in ("display", "mailer"):
            rows.append((c, n, np.log1p(e[n]), *_ends(fit[n], far * fit.error(n))))
        pull = lifts.loc[c, ["pull_share", "pull_share_low", "pull_share_high"]]
        rows.append((c, "pulled forward", 1 - e["promo_net_share"], *pull))
        net = lifts.loc[c, ["net_share", "net_share_low", "net_share_high"]]
        rows.append((c, "net share", e["promo_net_share"], *net))
        s = switching.loc[c]
        rows.append((c, "switching", 0.0, *_ends(s["switching"], 1.645 * s["error"])))
    return pd.DataFrame(rows, columns=["category", "measure", "truth", "estimate", "low", "high"])


def _ends(value: float, far: float) -> tuple[float, float, float]:
    return value, value - far, value + far

"""Exercises of 03d_prices_and_promotions."""

import pandas as pd

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def surely_elastic(run: Store) -> Answers:
    """Categories whose interval ends below minus one."""
    rows = _categories(run)
    right = int((rows["high"] < -1).sum())
    wrong = {
        "That counts every category whose dot is below minus one. The whole interval must be.": int(
            (rows["elasticity"] < -1).sum()
        ),
        "That counts intervals that begin below minus one. They must also end there.": int(
            (rows["low"] < -1).sum()
        ),
        "That counts the segments too. Take the rows with the scope category.": int(
            (run.frame("elasticities")["high"] < -1).sum()
        ),
    }
    wrong["That counts intervals that end above minus one, the others."] = len(rows) - right
    # two mistakes may give the same number
    once = {n: hint for hint, n in reversed(wrong.items()) if n != right}
    return right, {hint: n for n, hint in once.items()}


@exercise
def ten_percent_more(run: Store) -> Answers:
    """1 - 1.1 to the power of the elasticity."""
    e = _categories(run)["elasticity"].min()
    return 1 - 1.1**e, {
        "That is what is left of the units. How much of them is gone?": 1.1**e,
        "That is the elasticity times ten percent, which is right for small changes only. Use the power.": (
            -0.1 * e
        ),
        "That is for a price ten percent lower.": 0.9**e - 1,
    }


@exercise
def top_ten_share(run: Store) -> Answers:
    """Revenue of ranks 1 to 10 over all revenue."""
    shelf = run.frame("assortment")
    first = shelf[shelf["rank"] <= 10]
    return first["revenue"].sum() / shelf["revenue"].sum(), {
        "That is money. Divide it by the sales of all products.": first["revenue"].sum(),
        "That is the share of the products, not of the sales.": len(first) / len(shelf),
        "That is the share of the units.": first["units_year"].sum() / shelf["units_year"].sum(),
    }


def _categories(run: Store) -> pd.DataFrame:
    rows = run.frame("elasticities")
    return rows[rows["scope"] == "category"]

"""Needs and attitudes from survey batteries, and how true customers are to brands."""

from __future__ import annotations

from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from sklearn.decomposition import FactorAnalysis

from helpers import history, stats

LEAST_STATEMENTS, LEAST_ANSWERS = 4, 60  # a battery that can be read, and people who answered it
LEAST_LOADING = 0.4  # of a statement on the need it belongs to


class Needs(NamedTuple):
    """Needs found in a battery.

    statements: one row a statement: need, statement, loading; scores: one row a person, one column
    a need: how much more they agree with its statements than with the others, in standard
    deviations of an answer; need: the strongest.
    """

    statements: pd.DataFrame
    scores: pd.DataFrame
    need: pd.Series


def find_needs(table: pd.DataFrame, seed: int = 1) -> Needs:
    """Needs behind the statements of `analyze.survey_answers`, by factor analysis with varimax
    rotation (Kaiser 1958).

    As many factors as random answers would not show (parallel analysis: Horn 1965). A statement
    belongs to the need it loads on most. Some people agree with everything, so factors are counted
    on, and scores come from, answers centred within each person (Cunningham et al. 1977). Below 60
    people or 4 statements everything is empty.
    """
    empty = Needs(
        pd.DataFrame(columns=["need", "statement", "loading"]),
        table.iloc[:, :0],
        pd.Series(dtype="str"),
    )
    table = table.loc[:, table.std() > 0]
    if len(table) < LEAST_ANSWERS or table.shape[1] < LEAST_STATEMENTS:
        return empty
    standard = (table - table.mean()) / table.std(ddof=0)
    factors = _factors(standard.to_numpy(), seed)
    if factors < 2:
        return empty
    found = FactorAnalysis(factors, rotation="varimax", random_state=seed).fit(standard)
    loadings = pd.DataFrame(
        found.components_.T * np.sign(found.components_.sum(axis=1)), table.columns
    )
    own = loadings.idxmax(axis=1)
    rows = pd.DataFrame(
        {"factor": own, "statement": table.columns, "loading": loadings.max(axis=1).to_numpy()}
    )
    rows = rows[rows["loading"] >= LEAST_LOADING].sort_values(
        ["factor", "loading"], ascending=[True, False]
    )
    rows = rows.assign(need=rows.groupby("factor")["statement"].transform("first")).reset_index(
        drop=True
    )
    centred = standard.sub(standard.mean(axis=1), axis=0)
    scores = pd.DataFrame(
        {need: centred[list(part["statement"])].mean(axis=1) for need, part in rows.groupby("need")}
    )
    return Needs(
        rows[["need", "statement", "loading"]], scores, scores.idxmax(axis=1).rename("need")
    )


def _factors(standard: np.ndarray, seed: int, draws: int = 50) -> int:
    """One more than the directions of answers within people that are larger than 95 % of those of
    random answers.
    """

    def sizes(rows: np.ndarray) -> np.ndarray:
        return np.linalg.eigvalsh(np.cov(rows - rows.mean(axis=1, keepdims=True), rowvar=False))[
            ::-1
        ]

    rng, own = np.random.default_rng(seed), sizes(standard)
    by_chance = [sizes(rng.standard_normal(standard.shape)) for _ in range(draws)]
    larger = own / own.sum() > np.quantile([s / s.sum() for s in by_chance], 0.95, axis=0)
    return int(np.argmin(larger)) + 1


def relation(left: pd.Series, right: pd.Series) -> dict[str, float]:
    """How two divisions of the same people hang together: people in both, strength (0 to 1) and p.

    strength: Cramér's V, corrected for chance (Bergsma 2013); p: chi-square test of independence.
    """
    counts = pd.crosstab(left.dropna(), right.dropna())
    strength, p = stats.cramers_v(counts)
    return {"people": int(counts.to_numpy().sum()), "strength": strength, "p": p}


def brand_loyalty(orders: ir.Table, products: ir.Table) -> ir.Table:
    """One row a customer who bought in one category more than once: share, lines, repeats, usual.

    share: of the lines, those of the customer's first brand. repeats: of two lines from two of the
    customer's orders and the same category, how many share the brand; usual: how many would, if
    everybody chose brands by their share of the category. Categories are weighted by the customer's
    lines. Repeats beyond the usual are loyalty; a large share alone may only be a brand that
    everybody buys.
    """
    goods = products.filter(_.brand.notnull()).select(
        "product_id", "brand", kind=ibis.coalesce(_.subcategory, _.category, "")
    )
    bought = history.purchases(orders).inner_join(goods, "product_id")
    market = bought.group_by("kind", "brand").agg(m=_.count())
    market = market.mutate(part=_.m / _.m.sum().over(group_by="kind"))
    market = market.group_by("kind").agg(usual=(_.part * _.part).sum())
    cells = bought.group_by("customer_id", "kind", "brand", "order_id").agg(n=_.count())
    own = cells.group_by("customer_id", "kind", "brand").agg(n=_.n.sum(), within=(_.n * _.n).sum())
    same = own.group_by("customer_id", "kind").agg(
        lines=_.n.sum(), same=(_.n * _.n - _.within).sum()
    )
    baskets = cells.group_by("customer_id", "kind", "order_id").agg(n=_.n.sum())
    baskets = baskets.group_by("customer_id", "kind").agg(
        pairs=_.n.sum() * _.n.sum() - (_.n * _.n).sum()
    )
    each = (
        same.inner_join(baskets, ["customer_id", "kind"])
        .filter(_.pairs > 0)
        .inner_join(market, "kind")
    )
    each = each.group_by("customer_id").agg(
        repeats=(_.lines * _.same / _.pairs).sum() / _.lines.sum(),
        usual=(_.lines * _.usual).sum() / _.lines.sum(),
    )
    brands = own.group_by("customer_id", "brand").agg(n=_.n.sum())
    brands = brands.group_by("customer_id").agg(share=_.n.max() / _.n.sum(), lines=_.n.sum())
    return brands.inner_join(each, "customer_id").order_by("customer_id")

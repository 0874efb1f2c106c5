"""Factors: the few attitudes or tastes behind many answers or purchases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import chi2
from sklearn.decomposition import FactorAnalysis
from threadpoolctl import threadpool_limits

from helpers import history

FACTORS_VERSION = "1"
# statements or parts of the range, and people, below which nothing is said
FEWEST_ITEMS, FEWEST_PEOPLE = 4, 60
LEAST_KMO = 0.5  # sampling adequacy below which no factors are given (Kaiser 1974)
LOADS = 0.4  # a loading from here on belongs to the factor
FEWEST_LINES, FEWEST_BOUGHT = 10, 20  # lines of a customer, and of a part of the range
MOST_PARTS, TOO_COARSE = 20, 0.5  # parts of the range; largest share of one category
REST = "the rest"


class Factors(NamedTuple):
    """Factors found.

    loadings: one row a factor and item: factor (number), name, item, loading, own (it belongs
    there), alpha of the factor; scores: one row a person, one column a factor, by name;
    eigenvalues: see `parallel_analysis`; explained: share of the differences in all answers.
    """

    loadings: pd.DataFrame
    scores: pd.DataFrame
    eigenvalues: pd.DataFrame
    explained: float


def survey_answers(surveys: pd.DataFrame) -> pd.DataFrame:
    """Answers to statements on a scale: one row a known customer, one column a statement; the
    latest answer counts.

    Left out are people who answered less than two thirds; the answers still missing are the
    statement's mean.
    """
    rows = surveys[
        (surveys["kind"] == "scale") & surveys["customer_id"].notna() & surveys["score"].notna()
    ]
    # one text above several statements
    twice = rows.loc[rows.duplicated(["response_id", "question"]), "question"]
    rows = rows.assign(
        question=rows["question"].mask(rows["question"].isin(twice)).fillna(rows["question_id"])
    )
    rows = rows.sort_values(["answered_at", "response_id"]).drop_duplicates(
        ["customer_id", "question"], keep="last"
    )
    table = rows.pivot(index="customer_id", columns="question", values="score").astype(float)
    # a battery repeats its question before each statement
    parts = [str(c).rpartition(" - ") for c in table.columns]
    table.columns = (
        [p[2] for p in parts]
        if len({p[0] for p in parts}) == 1
        else [str(c) for c in table.columns]
    )
    table = table[table.notna().mean(axis=1) > 2 / 3]
    return table.fillna(table.mean()).loc[:, lambda t: t.std() > 0]


def line_counts(orders: ir.Table, products: ir.Table) -> ir.Table:
    """customer_id, category, subcategory, n: lines bought, returns left out."""
    lines = history.purchases(orders).inner_join(products, "product_id")
    return lines.group_by("customer_id", "category", "subcategory").agg(n=_.count())


def part_counts(counts: pd.DataFrame) -> pd.DataFrame:
    """Lines by part of the range, from `line_counts`: one row a customer with ten lines or more,
    one column a part.

    Parts are categories; where one holds more than half of all lines, subcategories; the
    `MOST_PARTS` bought most, each with `FEWEST_BOUGHT` lines or more. The last column is all the
    rest, and where nothing is left over, the part bought most.
    """
    sums = {
        c: counts.groupby(c)["n"].sum().sort_values(ascending=False)
        for c in ("category", "subcategory")
    }
    coarse = (
        sums["category"].max() > TOO_COARSE * sums["category"].sum()
        and len(sums["subcategory"]) > 1
    )
    level = "subcategory" if coarse else "category"
    table = counts.pivot_table(
        index="customer_id", columns=level, values="n", aggfunc="sum", fill_value=0
    )
    table = table[table.sum(axis=1) >= FEWEST_LINES]
    bought = table.sum().sort_values(ascending=False, kind="stable")
    often = list(bought.index[bought >= FEWEST_BOUGHT])
    left = bought.sum() > bought[often[:MOST_PARTS]].sum()
    parts = often[:MOST_PARTS] if left else often[1:]
    rest = table.drop(columns=parts).sum(axis=1).rename(REST)
    return table[parts].join(rest).astype(int)


def tastes(parts: pd.DataFrame) -> pd.DataFrame:
    """Tastes from `part_counts`: how many more lines of each part a customer bought than others
    with as many lines.

    In standard deviations of chance (Pearson residuals), so that who buys much does not look fond
    of everything. The rest stands in no column: where one part is bought more, another must be
    bought less.
    """
    expected = np.outer(parts.sum(axis=1), parts.sum()) / max(parts.to_numpy().sum(), 1)
    return ((parts - expected) / np.sqrt(expected.clip(1e-9))).clip(-5, 5).iloc[:, :-1]


def without_tastes(parts: pd.DataFrame, draws: int = 50, seed: int = 1) -> Iterator[pd.DataFrame]:
    """Customers who buy as many lines each, all by the same shares: what `tastes` shows where there
    are none.
    """
    rng, share = np.random.default_rng(seed), parts.sum() / parts.to_numpy().sum()
    for _draw in range(draws):
        yield tastes(
            pd.DataFrame(rng.multinomial(parts.sum(axis=1), share), parts.index, parts.columns)
        )


def shuffled(table: pd.DataFrame, draws: int = 100, seed: int = 1) -> Iterator[pd.DataFrame]:
    """The same answers, each column shuffled by itself, so that nothing hangs together."""
    rng = np.random.default_rng(seed)
    for _draw in range(draws):
        yield pd.DataFrame(rng.permuted(table.to_numpy(), axis=0), columns=table.columns)


def adequacy(table: pd.DataFrame) -> dict[str, float]:
    """Whether there is anything to factor: people, items, kmo and p.

    kmo: Kaiser, Meyer and Olkin's measure of sampling adequacy (Kaiser 1974), 0 to 1; p: Bartlett's
    test (1950) that all items are unrelated.
    """
    n, k = table.shape
    if n < FEWEST_PEOPLE or k < FEWEST_ITEMS:
        return {"people": n, "items": k, "kmo": np.nan, "p": np.nan}
    r = np.corrcoef(table, rowvar=False)
    inverse = np.linalg.pinv(r, hermitian=True)
    partial = inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
    off = ~np.eye(k, dtype=bool)
    kmo = (r[off] ** 2).sum() / ((r[off] ** 2).sum() + (partial[off] ** 2).sum())
    size = -(n - 1 - (2 * k + 5) / 6) * np.linalg.slogdet(r)[1]
    return {"people": n, "items": k, "kmo": float(kmo), "p": float(chi2.sf(size, k * (k - 1) / 2))}


@threadpool_limits.wrap(limits=1)  # the matrices are small: more threads only wait for one another
def parallel_analysis(table: pd.DataFrame, chance: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """How many factors, one row a possible one: factor (its place), own (eigenvalue), chance and
    kept.

    `chance` are tables in which nothing hangs together; 95 % of their eigenvalues are below the
    column of that name (Horn 1965; the 95 %: Glorfeld 1995). kept: it and all before it are above
    chance.
    """
    own, *random = (
        np.linalg.eigvalsh(np.corrcoef(t, rowvar=False))[::-1] for t in [table, *chance]
    )
    above = np.quantile(random, 0.95, axis=0)
    kept = np.logical_and.accumulate(own > above)
    return pd.DataFrame(
        {"factor": np.arange(1, len(own) + 1), "own": own, "chance": above, "kept": kept}
    )


@threadpool_limits.wrap(limits=1)
def find_factors(table: pd.DataFrame) -> Factors:
    """Factors of the answers of `survey_answers`, by maximum likelihood, as many as
    `parallel_analysis` keeps.

    They are turned by varimax (Kaiser 1958), and so that the strongest items load above zero; a
    factor is named by its strongest item, not by us. alpha: how well its own items agree (Cronbach
    1951). Scores are regressions on the items (Thurstone 1935). Empty below 60 people or four
    items, where no factor is beyond chance, and where sampling adequacy is too low.
    """
    table = table.loc[:, table.std() > 0]
    if not adequacy(table)["kmo"] >= LEAST_KMO:
        return _factors(table, None, np.empty((table.shape[1], 0)), 1)
    sizes = parallel_analysis(table, shuffled(table))
    found = FactorAnalysis(
        max(sizes["kept"].sum(), 1), svd_method="lapack", tol=1e-6, max_iter=5000
    )
    loads = found.fit(_standard(table)).components_.T
    return _factors(table, sizes, loads[:, : sizes["kept"].sum()], 1)


@threadpool_limits.wrap(limits=1)
def find_tastes(parts: pd.DataFrame) -> Factors:
    """Factors of purchases, from `part_counts`, as `find_factors` gives them; named by their two
    strongest parts.

    By principal components: where one part is bought more another must be bought less, so the parts
    have no spread of their own, which maximum likelihood asks for. Chance are customers who all buy
    by the same shares.
    """
    table = tastes(parts)
    if len(table) < FEWEST_PEOPLE or table.shape[1] < FEWEST_ITEMS:
        return _factors(table, None, np.empty((table.shape[1], 0)), 2)
    sizes = parallel_analysis(table, without_tastes(parts))
    values, vectors = np.linalg.eigh(np.corrcoef(table, rowvar=False))
    many = int(sizes["kept"].sum())
    return _factors(table, sizes, (vectors * np.sqrt(values.clip(0)))[:, ::-1][:, :many], 2)


def varimax(loads: np.ndarray, rounds: int = 200) -> np.ndarray:
    """Loadings turned so that each is large on few items and small on the others (Kaiser 1958)."""
    turn = np.eye(loads.shape[1])
    for _round in range(rounds):
        now = loads @ turn
        u, _s, v = np.linalg.svd(loads.T @ (now**3 - now * (now**2).mean(axis=0)))
        turn = u @ v
    return loads @ turn


def _standard(table: pd.DataFrame) -> pd.DataFrame:
    return (table - table.mean()) / table.std(ddof=0)


def _factors(
    table: pd.DataFrame, sizes: pd.DataFrame | None, loads: np.ndarray, in_a_name: int
) -> Factors:
    sizes = pd.DataFrame(columns=["factor", "own", "chance", "kept"]) if sizes is None else sizes
    if not loads.shape[1]:
        empty = pd.DataFrame(columns=["factor", "name", "item", "loading", "own", "alpha"])
        return Factors(empty, table.iloc[:, :0], sizes, 0.0)
    turned = varimax(loads)
    turned = turned * np.sign((turned**3).sum(axis=0))
    turned = turned[:, np.argsort(-(turned**2).sum(axis=0), kind="stable")]
    standard = _standard(table)
    each = pd.DataFrame(turned, table.columns, range(1, turned.shape[1] + 1))
    rows = pd.concat(
        [_factor_rows(i, each[i], standard, in_a_name) for i in each], ignore_index=True
    )
    weights = np.linalg.pinv(np.corrcoef(table, rowvar=False), hermitian=True) @ turned
    names = rows.drop_duplicates("factor")["name"].tolist()
    scores = pd.DataFrame(standard.to_numpy() @ weights, table.index, names)
    return Factors(rows, scores, sizes, float((turned**2).sum() / table.shape[1]))


def _factor_rows(number: int, loads: pd.Series, standard: pd.DataFrame, most: int) -> pd.DataFrame:
    """The items of one factor, the strongest first."""
    loads = loads.sort_values(key=np.abs, ascending=False, kind="stable")
    own = loads.abs() >= LOADS
    items = standard[loads.index[own]] * np.sign(loads[own])
    k = items.shape[1]
    alpha = k / (k - 1) * (1 - items.var().sum() / items.sum(axis=1).var()) if k > 1 else np.nan
    rows = (
        loads.rename("loading")
        .rename_axis("item")
        .reset_index()
        .assign(own=own.to_numpy(), alpha=alpha)
    )
    return rows.assign(factor=number, name=name_factor(loads, most))


def name_factor(loads: pd.Series, most: int) -> str:
    """A factor's name: up to `most` of the items it goes with, and of those it goes against.

    >>> name_factor(pd.Series([0.8, 0.6, -0.7, 0.1], ["bread", "milk", "beer", "eggs"]), 2)
    'bread and milk rather than beer'
    """
    strong = loads[loads.abs() >= min(LOADS, loads.abs().max())].sort_values(
        key=np.abs, ascending=False
    )
    sides = (strong.index[strong > 0][:most], strong.index[strong < 0][:most])
    return " rather than ".join(" and ".join(map(str, side)) for side in sides if len(side))


def factor_table(found: Factors) -> pd.DataFrame:
    """One row a factor: factor, items that belong to it (with a minus where they go against it),
    alpha.
    """
    own = found.loadings[found.loadings["own"].astype(bool)]
    items = own["item"].astype("str").where(own["loading"] > 0, "less " + own["item"].astype("str"))
    said = items + " " + own["loading"].abs().map("{:.2f}".format)
    rows = own.assign(items=said).groupby(["factor", "name"], sort=False)
    return rows.agg(items=("items", "; ".join), alpha=("alpha", "first")).reset_index()


def stack_factors(found: list[tuple[Factors, str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of tables `factor_loadings` and `factor_scores`, of factors each with their
    source.
    """
    loads = [
        f.loadings.rename(columns={"factor": "number", "name": "factor"}).assign(source=by)
        for f, by in found
    ]
    scores = [
        f.scores.rename_axis("customer_id")
        .reset_index()
        .melt("customer_id", var_name="factor", value_name="score")
        .assign(source=by)
        for f, by in found
        if f.scores.shape[1]
    ]
    empty = pd.DataFrame({"customer_id": [], "factor": [], "score": [], "source": []})
    loads = pd.concat([rows for rows in loads if len(rows)] or loads[:1], ignore_index=True)
    scores = pd.concat(scores or [empty], ignore_index=True).astype({"score": "float64"})
    return loads.astype({"loading": "float64", "alpha": "float64"}), scores

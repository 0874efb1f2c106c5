"""Groups of customers with like habits: three ways to make them, how many there are, and whether
there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from importlib import resources
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from minisom import MiniSom
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm, rankdata, t
from sklearn.cluster import Birch, KMeans
from sklearn.metrics import adjusted_rand_score, pairwise_distances_argmin, silhouette_score
from threadpoolctl import threadpool_limits

from helpers import stats
from helpers.segment.groups.features import Habits, wide
from helpers.segment.rfm import add_type, cut_lines, rfm

RULES = yaml.safe_load(
    resources.files(__package__).joinpath("groups.yaml").read_text(encoding="utf-8")
)
GROUPS_VERSION: str = RULES["version"]
# customers drawn to judge a number of groups, and to make groups
MOST_ROWS, MOST_FITTED = 1500, 20000
# of the first step; rows and columns of the map; customers shown to it
SUBCLUSTERS, SIDES, STEPS = 120, (6, 8), 5000


# the same sums in the same order everywhere; the matrices are small
one_thread = threadpool_limits.wrap(limits=1)


class Groups(NamedTuple):
    """Groups of customers by their centres, in rows, the largest group first; a customer belongs to
    the nearest.

    `units` are the places of a map, row by row, as points in the space of the features.
    """

    centres: np.ndarray
    units: np.ndarray | None = None


def k_means(rows: np.ndarray, k: int, seed: int = 1) -> Groups:
    """k groups by k-means (MacQueen 1967; k-means++ starts of Arthur and Vassilvitskii 2007)."""
    return _groups(rows, KMeans(k, n_init=3, random_state=seed).fit(rows).cluster_centers_)


def two_step(rows: np.ndarray, k: int = 0, seed: int = 1) -> Groups:
    """Many small groups first (BIRCH: Zhang, Ramakrishnan and Livny 1996), then the nearest merged
    (`merge`).

    With k = 0 the stop rule chooses, as in the two-step method of Chiu et al. (2001).
    """
    shuffled = np.random.default_rng(seed).permutation(rows)
    reach = float(np.sqrt(rows.var(axis=0).sum())) / 2
    units = Birch(threshold=reach, n_clusters=None).fit(shuffled).subcluster_centers_
    # begin again with a wider reach, as BIRCH does when its memory is full
    while len(units) > SUBCLUSTERS:
        reach *= 1.2
        units = Birch(threshold=reach, n_clusters=None).fit(shuffled).subcluster_centers_
    return _groups(rows, merge(units, np.bincount(nearest(rows, units), minlength=len(units)), k))


def som(rows: np.ndarray, k: int = 0, seed: int = 1) -> Groups:
    """A self-organising map (Kohonen 1982), whose units are then merged (Vesanto and Alhoniemi
    2000).
    """
    net = MiniSom(*SIDES, rows.shape[1], sigma=max(SIDES) / 4, random_seed=seed)
    net.pca_weights_init(rows)
    net.train(rows, STEPS, random_order=True)
    units = net.get_weights().reshape(-1, rows.shape[1])
    groups = _groups(rows, merge(units, np.bincount(nearest(rows, units), minlength=len(units)), k))
    return groups._replace(units=units)


METHODS: dict[str, Callable[..., Groups]] = {
    "k-means": k_means,
    "two-step": two_step,
    "self-organising map": som,
}


def merge(units: np.ndarray, hits: np.ndarray, k: int = 0) -> np.ndarray:
    """The centres of the groups when the nearest units are merged, one pair at a time, until k are
    left.

    Near is what raises the spread within groups least (Ward 1963), each unit counting for the
    customers it holds. With k = 0 merging stops where the next merge would cost most against the
    one before, between 2 and 8 groups.
    """
    centres, sizes = units[hits > 0].astype(float), hits[hits > 0].astype(float)
    states, costs = {}, {}
    while len(centres) > 1:
        states[len(centres)] = centres
        apart = ((centres[:, None] - centres[None]) ** 2).sum(axis=2)
        apart *= sizes[:, None] * sizes[None] / (sizes[:, None] + sizes[None])
        np.fill_diagonal(apart, np.inf)
        a, b = np.unravel_index(apart.argmin(), apart.shape)
        costs[len(centres)], both = apart[a, b], sizes[a] + sizes[b]
        merged = (sizes[a] * centres[a] + sizes[b] * centres[b]) / both
        centres = np.vstack([np.delete(centres, [a, b], axis=0), merged])
        sizes = np.append(np.delete(sizes, [a, b]), both)
    jumps = {n: costs[n] / max(costs[n + 1], 1e-12) for n in RULES["numbers"] if n + 1 in costs}
    return states.get(k or max(jumps, key=jumps.get, default=1), centres)


def nearest(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The place of the nearest of `points` for each row."""
    return pairwise_distances_argmin(rows, points)


def assign_groups(groups: Groups, features: pd.DataFrame) -> pd.Series:
    """The number of the group of each customer, from 1, the largest first; empty where there are no
    groups.
    """
    if features.empty or not len(groups.centres):
        return pd.Series(index=features.index, dtype="Int64", name="group")
    return pd.Series(
        nearest(features.to_numpy(), groups.centres) + 1,
        features.index,
        dtype="Int64",
        name="group",
    )


def match_groups(before: pd.Series, now: pd.Series) -> pd.Series:
    """The numbers of `before` in the terms of `now`, paired so that most customers keep their
    number (Kuhn 1955).
    """
    both = pd.crosstab(before, now)
    rows, columns = linear_sum_assignment(-both.to_numpy())
    return before.map(dict(zip(both.index[rows], both.columns[columns], strict=True))).astype(
        "Int64"
    )


def draw_map(features: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """A self-organising map of the customers, rows by columns: the group of most customers at each
    place.

    Empty where no customer is; an empty frame without groups.
    """
    if len(features) < 2 or _flat(features) or groups.isna().all():
        return pd.DataFrame()
    net = som(_some(features.to_numpy(), MOST_FITTED, seed=1), k=2)
    most = (
        groups.reindex(features.index)
        .groupby(nearest(features.to_numpy(), net.units))
        .agg(lambda g: g.mode().iloc[0])
    )
    table = pd.DataFrame(
        most.reindex(range(len(net.units))).to_numpy(float, na_value=np.nan).reshape(SIDES)
    )
    return table.rename(index=lambda i: i + 1, columns=lambda i: i + 1)


def smooth(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Customers who differ as much and in the same ways as `rows`, but smoothly, with no groups.

    Every feature keeps its values, and every pair its rank correlation; beyond that nothing hangs
    together (a normal copula). Shuffling each column alone would also break the correlations, and
    call any of them a group.
    """
    scores = norm.ppf((rankdata(rows, axis=0) - 0.5) / len(rows))
    with np.errstate(invalid="ignore"):  # a feature that does not vary hangs together with none
        alike = np.nan_to_num(np.corrcoef(scores, rowvar=False)) + 1e-6 * np.eye(rows.shape[1])
    order = (
        (rng.standard_normal(rows.shape) @ np.linalg.cholesky(alike).T)
        .argsort(axis=0)
        .argsort(axis=0)
    )
    return np.take_along_axis(np.sort(rows, axis=0), order, axis=0)


@one_thread
def group_numbers(
    features: pd.DataFrame, references: int = 10, draws: int = 8, seed: int = 1
) -> pd.DataFrame:
    """What speaks for each number of groups, by k-means: one row a number.

    gap: how much tighter the groups are than those of as many smooth customers, in the log of the
    spread within groups (Tibshirani, Walther and Hastie 2001, with the reference of `smooth`); low
    and high: a standard error off; sure: larger than chance and than 0.02; silhouette (Rousseeuw
    1987); between: share of customers near the border of two groups; steady: mean Jaccard
    similarity when customers are drawn anew (Hennig 2007); largest and smallest: shares of
    customers; usable: neither a giant nor a speck among them. Of more than 1,500 customers as many
    are drawn.
    """
    rng = np.random.default_rng(seed)
    columns = ["groups", "gap", "low", "high", "sure", "silhouette", "between"]
    columns += ["steady", "largest", "smallest", "usable"]
    ks = [k for k in RULES["numbers"] if len(features) >= k * RULES["usable"]["customers"]]
    if not ks or _flat(features):
        return pd.DataFrame(columns=columns)
    rows = _some(features.to_numpy(), MOST_ROWS, seed)
    models = [smooth(rows, rng) for _ in range(references)]
    bar = t.ppf(1 - RULES["chance"] / len(ks), references - 1)
    found = []
    for k in ks:
        made = k_means(rows, k, seed).centres
        own = nearest(rows, made)
        usual = np.array([_spread(model, k_means(model, k, seed).centres) for model in models])
        gap = usual.mean() - _spread(rows, made)
        error = usual.std(ddof=1) * np.sqrt(1 + 1 / references)
        steady = stability(pd.DataFrame(rows), "k-means", k, draws, seed)["jaccard"].mean()
        sure = gap > max(bar * error, RULES["gap"])
        found.append(
            [
                k,
                gap,
                gap - error,
                gap + error,
                sure,
                silhouette_score(rows, own),
                _between(rows, made, own),
            ]
        )
        found[-1] += [steady, *_shares(own, k)]
    return pd.DataFrame(found, columns=columns)


def choose_number(table: pd.DataFrame) -> tuple[int, str]:
    """How many groups, and a verdict: clear, overlapping, none or few.

    Where customers are tighter than smooth ones, the smallest usable number whose gap is within one
    error of the largest; else the steadiest usable number from four on, as slices; 0 where no
    number is usable.
    """
    fit = table[table["usable"].astype(bool)]
    if not len(fit):
        return 0, "none" if len(table) else "few"
    real, apart = fit[fit["sure"].astype(bool)], fit[fit["silhouette"] >= RULES["separate"]]
    if len(real):
        best = real.loc[real["gap"].idxmax()]
        chosen = real[real["gap"] >= best["low"]].iloc[0]
        return int(chosen["groups"]), (
            "clear" if chosen["between"] <= RULES["few_between"] else "overlapping"
        )
    if len(apart):  # groups that differ in one feature alone, which smooth customers would copy
        return int(apart.loc[apart["silhouette"].idxmax(), "groups"]), "clear"
    many = fit[fit["groups"] >= RULES["slices"]]
    many = many if len(many) else fit
    return int(many.loc[many["steady"].idxmax(), "groups"]), "none"


@one_thread
def stability(
    features: pd.DataFrame, method: str, k: int, draws: int = 10, seed: int = 1
) -> pd.DataFrame:
    """Do the groups of `make_groups` come out again when customers are drawn anew? One row a group:
    jaccard, rand.

    jaccard: how far the group comes back, 1 wholly (mean over bootstrap draws of the best Jaccard
    similarity, Hennig 2007); rand: agreement of the whole division, adjusted for chance (Hubert and
    Arabie 1985), equal in all rows. Of more than 1,500 customers as many are drawn.
    """
    rng, rows = np.random.default_rng(seed), _some(features.to_numpy(), MOST_ROWS, seed)
    if not k:
        return pd.DataFrame({"jaccard": [], "rand": []}).rename_axis("group")
    own = nearest(rows, make_groups(features, method, k, seed).centres) + 1
    alike, agree = [], []
    for draw in range(draws):
        again = METHODS[method](rows[rng.integers(0, len(rows), len(rows))], k, seed + draw + 1)
        new = nearest(rows, again.centres)
        both = pd.crosstab(own, new)
        either = both.sum(axis=1).to_numpy()[:, None] + both.sum().to_numpy()[None] - both
        alike.append((both / either).max(axis=1))
        agree.append(adjusted_rand_score(own, new))
    return pd.DataFrame(
        {"jaccard": pd.concat(alike, axis=1).mean(axis=1), "rand": np.mean(agree)}
    ).rename_axis("group")


@one_thread
def make_groups(features: pd.DataFrame, method: str, k: int, seed: int = 1) -> Groups:
    """k groups of the customers in `features` by one of METHODS; of more than 20,000 customers as
    many are drawn.

    No group where k is 0.
    """
    if not k:
        return Groups(np.empty((0, features.shape[1])))
    return METHODS[method](_some(features.to_numpy(), MOST_FITTED, seed), k, seed)


class Later(NamedTuple):
    """What came after the groups were made: lines by part in the earlier and the later time, and
    later sales.
    """

    early: pd.DataFrame
    late: pd.DataFrame
    sales: pd.Series


def what_follows(early: Habits, late: Habits) -> Later:
    """What the customers with known habits in the earlier time did in the later."""
    before, after = (wide(h.counts, "what", early.known) for h in (early, late))
    return Later(
        before, after.reindex(columns=before.columns, fill_value=0.0), late.people["sales"]
    )


def plain_groups(
    orders: ir.Table, early: Habits, as_of: date, window_days: int
) -> dict[str, pd.Series]:
    """Groups of the same customers by plain rules: their favourite category so far, and their RFM
    type on a day.
    """
    what = wide(early.counts, "what", early.known)
    people = rfm(orders, as_of, window_days).to_pandas()
    types = add_type(people, cut_lines(people, "median")).set_index("customer_id")["segment"]
    favourite = what.idxmax(axis=1) if what.shape[1] else pd.Series(index=early.known, dtype="str")
    return {"favourite category": favourite, "RFM type": types}


def compare_methods(
    features: pd.DataFrame, k: int, later: Later, plain: dict[str, pd.Series]
) -> pd.DataFrame:
    """The three methods with k groups, and plain rules beside them: one row each.

    largest, smallest and usable as in `group_numbers`, jaccard and rand as in `stability`, and what
    was foretold as in `foresight`. `plain` holds groups made by a rule, by its name. The methods
    see `features` alone.
    """
    rows = []
    for name in METHODS if k else []:
        steady = stability(features, name, k)
        groups = assign_groups(make_groups(features, name, k), features)
        rows.append({"method": name, "rule": False, **_judged(groups, later), **steady.mean()})
    for name, groups in plain.items():
        rows.append(
            {"method": name, "rule": True, **_judged(groups.reindex(features.index), later)}
        )
    columns = [
        "method",
        "rule",
        "groups",
        "largest",
        "smallest",
        "usable",
        "jaccard",
        "rand",
        *FORETOLD,
    ]
    return pd.DataFrame(rows, columns=columns)


def choose_method(compared: pd.DataFrame) -> str:
    """The steadiest usable method among those whose foresight is not surely worse than the best;
    k-means if none.
    """
    fit = compared[compared["usable"].astype(bool) & ~compared["rule"].astype(bool)]
    fit = (
        fit[fit["high"].fillna(np.inf) >= fit["better"].max()]
        if fit["better"].notna().any()
        else fit
    )
    return str(fit.loc[fit["jaccard"].idxmax(), "method"]) if len(fit) else "k-means"


FORETOLD = ["hits", "better", "low", "high", "explained", "explained_low", "explained_high"]


def foresight(groups: pd.Series, later: Later, most: int = 3) -> dict[str, float]:
    """How well groups foretell what customers buy next, and how much.

    hits: share of later lines in the three parts that the customer's group bought most before;
    better: less the same with the three best parts of everybody, with its 90 % interval low to high
    (bootstrap over customers). explained: share of the variance of later sales (in logs) between
    groups, epsilon squared (Kelley 1935), with its interval.
    """
    groups = groups[groups.notna()]
    early, late = (t.reindex(groups.index).fillna(0.0) for t in (later.early, later.late))
    found = dict.fromkeys(FORETOLD, np.nan)
    if lines := late.to_numpy().sum():
        best = early.groupby(groups).sum().apply(lambda row: row.nlargest(most).index, axis=1)
        own = sum(
            (late[best[g]].sum(axis=1).where(groups == g, 0.0) for g in best.index), start=0.0
        )
        usual = late[early.sum().nlargest(most).index].sum(axis=1)
        better = (own - usual).sum() / lines
        ends = stats.bootstrap_interval((own - usual - better * late.sum(axis=1)).to_numpy())
        low, high = (better + end * len(late) / lines for end in ends)
        found |= {"hits": own.sum() / lines, "better": better, "low": low, "high": high}
    sales = np.log1p(later.sales.reindex(groups.index).fillna(0.0).clip(lower=0)).to_numpy()
    if groups.nunique() > 1 and sales.std() > 0:
        codes = pd.factorize(groups)[0]
        rng = np.random.default_rng(1)
        draws = [
            _explained(sales[i], codes[i]) for i in rng.integers(0, len(sales), (200, len(sales)))
        ]
        ends = np.quantile(draws, stats.ENDS)
        found |= dict(zip(FORETOLD[4:], (_explained(sales, codes), *ends), strict=True))
    return found


def _explained(values: np.ndarray, codes: np.ndarray) -> float:
    sizes = np.bincount(codes)
    means = np.bincount(codes, values) / np.maximum(sizes, 1)
    within, whole = ((values - means[codes]) ** 2).sum(), ((values - values.mean()) ** 2).sum()
    n, k = len(values), int((sizes > 0).sum())
    return 1 - (within / (n - k)) / (whole / (n - 1)) if whole > 0 and n > k else np.nan


def _judged(groups: pd.Series, later: Later) -> dict[str, float]:
    codes = pd.factorize(groups.dropna())[0]
    if not len(codes):
        return {}
    shares = dict(
        zip(["largest", "smallest", "usable"], _shares(codes, codes.max() + 1), strict=True)
    )
    return {"groups": codes.max() + 1, **shares, **foresight(groups, later)}


def _groups(rows: np.ndarray, centres: np.ndarray) -> Groups:
    return Groups(
        centres[
            np.argsort(-np.bincount(nearest(rows, centres), minlength=len(centres)), kind="stable")
        ]
    )


def _spread(rows: np.ndarray, centres: np.ndarray) -> float:
    return float(np.log(((rows - centres[nearest(rows, centres)]) ** 2).sum() + 1e-12))


def _between(rows: np.ndarray, centres: np.ndarray, own: np.ndarray) -> float:
    """Share of rows in the outer part of the way from their centre to the border with another
    group.
    """
    to = ((rows[:, None] - centres[None]) ** 2).sum(axis=2)
    apart = ((centres[:, None] - centres[None]) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    # 0 at the centre, 1 on the border
    way = (np.take_along_axis(to, own[:, None], axis=1) - to) / apart[own] + 1
    way[np.arange(len(rows)), own] = 0.0
    return float((way.max(axis=1) > RULES["border"]).mean())


def _shares(own: np.ndarray, k: int) -> list[float | bool]:
    sizes = np.bincount(own, minlength=k)
    largest, smallest, limits = sizes.max() / len(own), sizes.min() / len(own), RULES["usable"]
    fits = (
        largest <= limits["largest"]
        and smallest >= limits["smallest"]
        and sizes.min() >= limits["customers"]
    )
    return [largest, smallest, bool(fits)]


def _some(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    return (
        rows
        if len(rows) <= most
        else rows[np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])]
    )


def _flat(features: pd.DataFrame) -> bool:
    return features.shape[1] < 2 or float(features.var().sum()) < 1e-9

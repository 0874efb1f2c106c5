"""Price elasticity: Poisson regression with many fixed effects, clustered errors, and pooling
(practice 3.13).

log E(units) = elasticity x log price + display + mailer + promotions of the weeks before
             + product and place + week (each category by itself)

As the week of the category is held equal, the elasticity is that of one product while the others
keep their prices.

Weeks without a sale are part of the story, so units are modelled as they are: the Poisson
pseudo-likelihood needs no logarithm of zero, and is right whatever the spread of units, as long as
the mean is (Gourieroux, Monfort and Trognon 1984; Santos Silva and Tenreyro 2006). The fixed
effects are swept out inside of Newton's method, as in ppmlhdfe (Correia, Guimaraes and Zylkin
2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from helpers import stats
from helpers.analyze.pricing.prices import CELL, PRICES

MODEL = PRICES["model"]
LAGS = [f"after_{k}" for k in range(1, MODEL["lags"] + 1)]
OWN = ["price", "display", "mailer"]
TINY = 1e-9
LEAST = 0.1  # an earlier promotion never takes all of a week
FAR = 30  # a logarithm that no sales ever reach


@dataclass
class Fit:
    """Estimates `b` by name and their covariance: `cov` by the sandwich, `wide` by the jackknife
    over clusters.

    `clusters` is the effective number of them: a product whose price hardly moves says nothing of
    its effect, so each counts by its share of the squared moves of the first column (1 / sum of
    squared shares).
    """

    names: list[str]
    b: np.ndarray
    cov: np.ndarray
    wide: np.ndarray
    clusters: int
    mean: np.ndarray  # fitted units of every row; 0 in products, places or weeks without any sale

    def __getitem__(self, name: str) -> float:
        return float(self.b[self.names.index(name)])

    @property
    def pulled(self) -> np.ndarray:
        """Shares of a promotion's extra units missing in the weeks after it."""
        return self.b[len(OWN) :]

    def error(self, name: str) -> float:
        """Standard error by the jackknife over clusters."""
        return float(np.sqrt(self.wide[self.names.index(name)][self.names.index(name)]))


@threadpool_limits.wrap(limits=1)
def fit_poisson(
    units: np.ndarray,
    x: pd.DataFrame,
    effects: list[np.ndarray],
    cluster: np.ndarray,
    offset: np.ndarray | None = None,
) -> Fit | None:
    """Poisson regression of `units` on `x` with fixed `effects` (one code a row each), errors
    clustered.

    None where nothing moves. Columns that the effects or other columns already say come out as 0,
    with no error. Newton steps of weighted least squares, the effects swept out in each. The
    jackknife leaves out one cluster at a time by one step (CV3 of MacKinnon, Nielsen and Webb
    2023): with few clusters the sandwich alone is too narrow.
    """
    keep = _with_sales(units, effects)
    names, mean = list(x.columns), np.zeros(len(units))
    if not keep.any():
        return None
    y, z = units[keep].astype(float), x.to_numpy(float)[keep]
    base = np.zeros(len(y)) if offset is None else offset[keep]
    groups = _Effects([pd.factorize(e[keep])[0] for e in effects])
    mu = (y + y.mean()) / 2
    eta, b, last = np.log(mu) - base, np.zeros(z.shape[1]), np.inf
    for _step in range(50):
        work = eta + (y - mu) / mu
        swept = groups.sweep(np.column_stack([work, z]), mu)
        left, free = swept[:, 1:], _free(swept[:, 1:], z, mu)
        b = np.zeros(z.shape[1])
        b[free] = np.linalg.solve(
            (left[:, free] * mu[:, None]).T @ left[:, free], left[:, free].T @ (mu * swept[:, 0])
        )
        eta = work - (swept[:, 0] - left @ b)
        mu = np.exp(np.clip(eta + base, -FAR, FAR))
        deviance = 2 * np.sum(np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mu), 0) - (y - mu))
        if abs(deviance - last) < TINY * (1 + deviance):
            break
        last = deviance
    mean[keep] = mu
    if not free.any():
        return None
    return Fit(
        names, b, *_errors(groups.sweep(z, mu), mu, (y - mu) / mu, free, cluster[keep]), mean
    )


def _with_sales(units: np.ndarray, effects: list[np.ndarray]) -> np.ndarray:
    """Rows in groups that sold anything: where nothing ever sold, the effect runs off to minus
    infinity.
    """
    keep = np.ones(len(units), dtype=bool)
    while True:
        before = keep.sum()
        for codes in effects:
            code = pd.factorize(codes)[0]
            sums = np.bincount(code, np.where(keep, units, 0), code.max() + 1 if len(code) else 0)
            keep &= sums[code] > 0
        if keep.sum() == before:
            return keep


class _Effects:
    """Fixed effects of a fit: `codes[0]` is swept out by its means, the others by one small system
    of equations.
    """

    def __init__(self, codes: list[np.ndarray]) -> None:
        self.cell, rows = codes[0], np.arange(len(codes[0]))
        steps = np.cumsum([0, *(c.max() + 1 for c in codes[1:])])
        at = np.concatenate(
            [c + step for c, step in zip(codes[1:], steps[:-1], strict=True)] or [rows[:0]]
        )
        shape = (len(rows), max(int(steps[-1]), 1))
        self.other = csr_array((np.ones(len(at)), (np.tile(rows, len(codes) - 1), at)), shape=shape)
        self.cells = csr_array((np.ones(len(rows)), (rows, self.cell)))

    def sweep(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Take from each column what the effects explain of it, by weighted least squares."""
        total, weighed = self.cells.T @ weight, x * weight[:, None]
        both = (self.other.T * weight) @ self.cells
        within = (
            (self.other.T * weight) @ self.other - both @ (both.T * (1 / total)[:, None])
        ).toarray()
        # effects repeat one another
        within += np.eye(len(within)) * TINY * (np.trace(within) / len(within) + TINY)
        right = self.other.T @ weighed - both @ ((self.cells.T @ weighed) / total[:, None])
        x = x - self.other @ np.linalg.solve(within, right)
        return x - ((self.cells.T @ (x * weight[:, None])) / total[:, None])[self.cell]


def _free(left: np.ndarray, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Columns that still say something after the sweep, and are no sum of those before them."""
    size = np.sqrt(weight @ x**2) + TINY
    return stats.says_more(left * np.sqrt(weight)[:, None] / size, 1e-6)


def demand_terms(panel: pd.DataFrame) -> pd.DataFrame:
    """What moves the units of a row in its own week: log price, display, mailer."""
    return pd.DataFrame(
        {"price": np.log(panel["price"]), "display": panel["display"], "mailer": panel["mailer"]}
    )


def earlier_lifts(panel: pd.DataFrame, lift: np.ndarray) -> np.ndarray:
    """Extra sales (lift - 1) of the same product and place one, two ... weeks before: a column
    each.
    """
    extra = pd.Series(lift - 1, index=panel.index).groupby([panel[c] for c in CELL])
    return np.column_stack([extra.shift(k).fillna(0.0) for k in range(1, len(LAGS) + 1)])


def left_after(earlier: np.ndarray, pulled: np.ndarray) -> np.ndarray:
    """The factor that earlier promotions leave of a week's units: 1 - the sum of share pulled x
    extra sales.
    """
    return np.maximum(1 - earlier @ pulled, LEAST)


def promotion_lift(panel: pd.DataFrame, b: dict[str, float]) -> np.ndarray:
    """The factor that price cut, display and mailer of a row put on its units."""
    cut = np.log(panel["price"] / panel["usual"])
    return np.exp(
        b["price"] * cut + b["display"] * panel["display"] + b["mailer"] * panel["mailer"]
    ).to_numpy()


def fit_demand(panel: pd.DataFrame, effects: list[np.ndarray] | None = None) -> Fit | None:
    """The demand model of one category (see the module); None where there is too little to tell.

    `after_1` ... are the shares of a promotion's extra units that are missing one, two ... weeks
    later. They depend on its lift, which the model itself gives: so it is fitted again with the
    lift of the pass before, by Gauss-Newton steps. Prices of weeks that sold nothing are moved up a
    little (`_unsold`).
    """
    if len(panel) == 0 or panel["week_on"].nunique() < MODEL["fewest_weeks"]:
        return None
    codes = effects or [
        panel.groupby(CELL).ngroup().to_numpy(),
        panel.groupby("week_on").ngroup().to_numpy(),
    ]
    units, cluster = panel["units"].to_numpy(float), panel["product_id"].to_numpy()

    def fitted(rows: pd.DataFrame, earlier: np.ndarray, pulled: np.ndarray) -> Fit | None:
        left = left_after(earlier, pulled)
        slopes = -earlier / left[:, None] * (left > LEAST)[:, None]
        x = demand_terms(rows).join(pd.DataFrame(slopes, rows.index, LAGS))
        return fit_poisson(units, x, codes, cluster, np.log(left) - slopes @ pulled)

    none = np.zeros(len(LAGS))
    fit, rows = fitted(panel, np.zeros((len(panel), len(LAGS))), none), panel
    for _pass in range(MODEL["passes"]):
        if fit is None or fit.error("price") == 0 or fit.clusters < MODEL["fewest_clusters"]:
            return None
        earlier = earlier_lifts(panel, promotion_lift(panel, {n: fit[n] for n in OWN}))
        pulled = np.clip(fit.pulled, -1, 1)
        rows = panel.assign(price=panel["price"] * np.exp(_unsold(panel, fit)))
        fit = fitted(rows, earlier, pulled)
    if fit is None or not panel["doubt"].any():
        return fit
    as_seen = fitted(panel, earlier, pulled)
    at = fit.names.index("price")
    fit.wide[at, at] += (
        fit["price"] - as_seen["price"]
    ) ** 2 / 4  # what nobody saw is doubtful by half of what it moves
    return fit


def _unsold(panel: pd.DataFrame, fit: Fit) -> pd.Series:
    """By how much the price of a week without any sale was probably higher than the prices around
    it, in logs.

    Nobody saw it. That nobody bought speaks for a high price: with a normal doubt of variance v
    about the logarithm, and m purchases expected over the weeks of the gap, no sale moves its mean
    by v x m x (minus the elasticity); never by more than the doubt itself.
    """
    gone = panel["doubt"] > 0
    first = (gone != gone.groupby([panel[c] for c in CELL]).shift(fill_value=False)).cumsum()
    once = panel["units"].sum() / max(panel["lines"].sum(), 1)
    expected = pd.Series(fit.mean / once, panel.index).where(gone, 0.0)
    by_week = expected.groupby([panel["product_id"], panel["week_on"]]).transform("sum")
    run = by_week.groupby([*(panel[c] for c in CELL), first]).transform("sum")
    shift = np.clip(-fit["price"], 0, MODEL["steepest"]) * panel["doubt"] * run
    return (
        np.minimum(shift, np.sqrt(panel["doubt"])).clip(upper=MODEL["most_shift"]).where(gone, 0.0)
    )


def fit_all(panel: pd.DataFrame) -> dict[str, Fit]:
    """The demand model of every category that has enough to tell."""
    fits = {c: fit_demand(rows.reset_index(drop=True)) for c, rows in panel.groupby("category")}
    return {c: fit for c, fit in fits.items() if fit}


def pool(estimate: pd.Series, error: pd.Series) -> pd.DataFrame:
    """Estimates drawn towards their common value, the less sure the more: `pooled`, `pooled_error`,
    `weight`.

    Random effects by empirical Bayes; the error also holds that the common value and the spread are
    estimates (Morris 1983). The spread is that of Paule and Mandel (1982). Below four estimates
    nothing is pooled.
    """
    y, v, k = estimate.to_numpy(float), error.to_numpy(float) ** 2, len(estimate)
    if k < 4:
        return pd.DataFrame(
            {"pooled": y, "pooled_error": np.sqrt(v), "weight": 1.0}, index=estimate.index
        )
    spread = _spread(y, v)
    w = 1 / (v + spread)
    common = np.sum(w * y) / w.sum()
    shrink = (k - 3) / (k - 1) * v * w
    wide = (
        v * (1 - (k - 1) / k * shrink)
        + 2 / (k - 3) * shrink**2 * (np.average(v, weights=w) + spread) * w * (y - common) ** 2
    )
    return pd.DataFrame(
        {"pooled": y - shrink * (y - common), "pooled_error": np.sqrt(wide), "weight": 1 - shrink},
        index=estimate.index,
    )


def common_value(estimate: pd.Series, error: pd.Series) -> dict[str, float]:
    """The common value of several estimates and its 90 % interval (random effects)."""
    y, v = estimate.to_numpy(float), error.to_numpy(float) ** 2
    w = 1 / (v + _spread(y, v))
    mean = np.sum(w * y) / w.sum()
    far = student.ppf(stats.ENDS[1], max(len(y) - 1, 1)) / np.sqrt(w.sum())
    return {"value": mean, "low": mean - far, "high": mean + far}


def _spread(y: np.ndarray, v: np.ndarray) -> float:
    """Variance between true values: where the weighted squares are what chance alone would leave of
    them.
    """

    def beyond(s: float) -> float:
        w = 1 / (v + s)
        return np.sum(w * (y - np.sum(w * y) / w.sum()) ** 2) - (len(y) - 1)

    if len(y) < 2 or beyond(0) <= 0:
        return 0.0
    low, high = 0.0, np.var(y) * len(y) + v.max()
    for _step in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 0 else (low, middle)
    return (low + high) / 2


def elasticities(fits: dict[str, Fit]) -> pd.DataFrame:
    """One row a category or segment: `own` estimate, its `error`, the pooled `elasticity` with
    `low` and `high`.

    Rows are called `group`. `own_weight` is what the group's own data count beside the common value
    of all groups. `display` and `mailer` are the units more, empty where their 90 % interval holds
    zero.
    """
    names = [
        "group",
        "products",
        "own",
        "error",
        "elasticity",
        "low",
        "high",
        "own_weight",
        "display",
        "mailer",
    ]
    if not fits:
        return pd.DataFrame(columns=names)
    own, error = (
        pd.Series({g: f(fit) for g, fit in fits.items()})
        for f in (lambda x: x["price"], _price_error)
    )
    pooled = pool(own, error)
    far = pooled["pooled_error"] * student.ppf(
        stats.ENDS[1], [max(f.clusters - 1, 1) for f in fits.values()]
    )
    rows = pd.DataFrame(
        {
            "products": [fit.clusters for fit in fits.values()],
            "own": own,
            "error": error,
            "elasticity": pooled["pooled"],
            "low": pooled["pooled"] - far,
            "high": pooled["pooled"] + far,
            "own_weight": pooled["weight"],
            **{n: [_more(fit, n) for fit in fits.values()] for n in OWN[1:]},
        }
    )
    return (
        rows.rename_axis("group").reset_index()[names].sort_values("elasticity", ignore_index=True)
    )


def by_scope(categories: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """Both kinds of elasticity in one table (`elasticities`), each with its `scope`."""
    parts = [
        f.assign(scope=s) for f, s in ((categories, "category"), (segments, "segment")) if len(f)
    ]
    return pd.concat(parts, ignore_index=True) if parts else categories.assign(scope="")


def fit_segments(panel: pd.DataFrame) -> dict[str, Fit]:
    """The demand model of each segment over all categories (`segment_panel`): one elasticity a
    segment.

    Fixed effects: product, and week of the category, each segment by itself.
    """
    fits = {}
    for segment, rows in panel.groupby("place"):
        rows = rows.reset_index(drop=True)
        week = rows.groupby(["category", "week_on"]).ngroup().to_numpy()
        fits[segment] = fit_demand(rows, [rows.groupby("product_id").ngroup().to_numpy(), week])
    return {s: fit for s, fit in fits.items() if fit}


def fit_log_log(panel: pd.DataFrame, promotion: bool = True) -> dict[str, Fit]:
    """For comparison: least squares of log units on log price by category, weeks without a sale
    left out.

    The same fixed effects and clusters; without `promotion`, display and mailer stay out: the plain
    rule.
    """
    fits = {}
    for category, rows in panel[panel["units"] > 0].groupby("category"):
        x = demand_terms(rows)[OWN if promotion else ["price"]]
        fits[category] = fit_squares(np.log(rows["units"].to_numpy(float)), x, rows)
    return {c: fit for c, fit in fits.items() if fit and fit.error("price") > 0}


@threadpool_limits.wrap(limits=1)
def fit_squares(y: np.ndarray, x: pd.DataFrame, rows: pd.DataFrame) -> Fit | None:
    """Least squares of `y` on `x` with product-and-place and week effects, errors clustered by
    product.
    """
    codes = [rows.groupby(CELL).ngroup().to_numpy(), rows.groupby("week_on").ngroup().to_numpy()]
    even = np.ones(len(y))
    swept = _Effects([pd.factorize(c)[0] for c in codes]).sweep(
        np.column_stack([y, x.to_numpy(float)]), even
    )
    free = _free(swept[:, 1:], x.to_numpy(float), even)
    if not free.any():
        return None
    b = np.zeros(x.shape[1])
    b[free] = np.linalg.lstsq(swept[:, 1:][:, free], swept[:, 0], rcond=None)[0]
    left = swept[:, 0] - swept[:, 1:] @ b
    return Fit(
        list(x.columns),
        b,
        *_errors(swept[:, 1:], even, left, free, rows["product_id"].to_numpy()),
        y - left,
    )


def _more(fit: Fit, name: str) -> float:
    if name not in fit.names:
        return np.nan
    far = student.ppf(stats.ENDS[1], max(fit.clusters - 1, 1)) * fit.error(name)
    return float(np.expm1(fit[name])) if abs(fit[name]) > far else np.nan


def _price_error(fit: Fit) -> float:
    return fit.error("price")


def _errors(
    x: np.ndarray, weight: np.ndarray, left: np.ndarray, free: np.ndarray, cluster: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Covariance by the sandwich and by the jackknife over clusters, and the effective number of
    clusters.
    """
    z, who = x[:, free], pd.factorize(cluster)[0]
    count = who.max() + 1
    whole = (z * weight[:, None]).T @ z
    bread, scores = np.linalg.inv(whole), np.zeros((count, free.sum()))
    np.add.at(scores, who, z * (weight * left)[:, None])
    moves = []
    for g in range(count):
        part = z[who == g]
        moves.append(
            np.linalg.lstsq(
                whole - (part * weight[who == g, None]).T @ part, scores[g], rcond=None
            )[0]
        )
    cov, wide = np.zeros((2, len(free), len(free)))
    at = np.ix_(free, free)
    cov[at] = bread @ (scores.T @ scores) @ bread * count / max(count - 1, 1)
    wide[at] = (count - 1) / count * np.array(moves).T @ np.array(moves)
    said = np.bincount(who, weight * z[:, 0] ** 2)
    return cov, wide, round(said.sum() ** 2 / (said**2).sum())

"""What several steps need: intervals, bootstrap, sample size, forecast."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from itertools import product

import holidays
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import chi2_contingency, f, ncf, norm
from statsmodels.stats.proportion import (
    power_proportions_2indep,
    proportion_confint,
    samplesize_proportions_2indep_onetail,
)
from statsmodels.tsa.deterministic import CalendarFourier, DeterministicProcess
from statsmodels.tsa.statespace.sarimax import SARIMAX
from threadpoolctl import threadpool_limits

LEVEL = 0.90  # all intervals of the playbook, unless a table says otherwise
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)  # quantiles at the ends of an interval
Z = float(norm.ppf(ENDS[1]))  # standard errors to the end of an interval


def share_interval(hits: pd.Series, of: pd.Series) -> pd.DataFrame:
    """`low` and `high` of the 90 % Wilson interval of a share (Wilson 1927); empty where `of` is 0.

    >>> share_interval(pd.Series([6]), pd.Series([30])).round(3).to_numpy().tolist()
    [[0.107, 0.343]]
    """
    known = of.where(of > 0).astype(float)
    low, high = proportion_confint(hits.astype(float), known, alpha=1 - LEVEL, method="wilson")
    return pd.DataFrame({"low": low, "high": high}, index=hits.index)


def chosen_interval(
    value: pd.Series, low: pd.Series, high: pd.Series, among: int
) -> tuple[pd.Series, pd.Series]:
    """The ends of a 90 % interval for one that was chosen because it stood out `among` so many.

    Each side is stretched so far that the intervals of all of them would hold together
    (Bonferroni): what is picked for being largest is most often large by luck too.

    >>> [round(float(end), 2) for end in chosen_interval(5.0, 3.0, 7.0, among=8)]
    [1.96, 8.04]
    """
    stretch = norm.ppf(1 - (1 - LEVEL) / 2 / max(among, 1)) / Z
    return value - stretch * (value - low), value + stretch * (high - value)


def bootstrap_interval(values: np.ndarray, draws: int = 2000, seed: int = 1) -> tuple[float, float]:
    """90 % percentile interval of the mean of `values` by resampling (Efron 1979); (nan, nan) below
    two values.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = (
        rng.choice(values, (draws, len(values))).mean(axis=1)
        if len(values) * draws < 5e7
        else (np.array([rng.choice(values, len(values)).mean() for _ in range(draws)]))
    )
    low, high = np.quantile(means, ENDS)
    return float(low), float(high)


def power_shares(per_group: float, share: float, other: float) -> float:
    """Chance that a two-sided 5 % test of two shares finds the difference, with so many units in
    each group.

    Normal approximation with pooled variance under the null, as R's power.prop.test.

    >>> round(power_shares(50, 0.50, 0.75), 3)
    0.74
    """
    return float(power_proportions_2indep(other - share, share, per_group, return_results=False))


def size_shares(share: float, other: float, power: float = 0.80) -> float:
    """Units needed in each group to tell two shares apart (two-sided 5 % test), not yet rounded up.

    The same approximation as `power_shares`; infinite where the shares are equal.

    >>> round(size_shares(0.05, 0.06)), round(size_shares(0.10, 0.12)), round(size_shares(0.50, 0.75, power=0.9), 1)
    (8158, 3841, 76.7)
    """
    return (
        float(samplesize_proportions_2indep_onetail(other - share, share, power))
        if other != share
        else float("inf")
    )


def size_means(effect: float, spread: float, power: float = 0.80) -> float:
    """Units needed in each group to find a difference `effect` of two means (two-sided 5 % t-test),
    not yet rounded.

    `spread` is the standard deviation of one unit; infinite where the effect is 0. As R's
    power.t.test.

    >>> round(size_means(1, 1, power=0.9), 3)
    22.021
    """
    if not effect:
        return float("inf")
    # at five, two units a group are enough; no solution above
    size = min(abs(effect) / spread, 5) if spread else 5
    # with a normal in place of the t: a little too few
    plain = 2 * ((norm.ppf(0.975) + norm.ppf(power)) / size) ** 2

    # the t-test's power by the noncentral F, which stays finite where the t does not
    def missing(n: float) -> float:
        return ncf.sf(f.ppf(0.95, 1, 2 * n - 2), 1, 2 * n - 2, n * size**2 / 2) - power

    return float(brentq(missing, 1.2, plain + 10))


def cramers_v(counts: pd.DataFrame) -> tuple[float, float]:
    """How strongly two divisions of the same things hang together, 0 to 1, and the p of a
    chi-square test of none.

    Cramér's V, corrected for chance (Bergsma 2013); (nan, nan) where a side has fewer than two
    classes.

    >>> [round(v, 3) for v in cramers_v(pd.DataFrame([[30, 10], [10, 30]]))]
    [0.49, 0.0]
    """
    n, (r, c) = int(counts.to_numpy().sum()), counts.shape
    if min(r, c) < 2:
        return float("nan"), float("nan")
    chi, p, *_rest = chi2_contingency(counts, correction=False)
    phi = max(0.0, chi / n - (r - 1) * (c - 1) / (n - 1))
    sides = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(phi / sides)), float(p)


# --- forecast of daily sales -----------------------------------------------------------------

PLAIN = {"seasonal naive": 1, "four-week mean": 4}  # weeks whose same weekdays are averaged
LAST_YEAR = "last year at today's pace"
SARIMAX_ORDERS = {"SARIMAX with steady level": (1, 0, 0), "SARIMAX with moving level": (0, 1, 1)}
SPANS = {1: "one_week", 4: "four_weeks", 13: "thirteen_weeks"}  # what a back-test adds up
# history needed: at all, for SARIMAX, for yearly terms
FEWEST_DAYS, SARIMAX_DAYS, YEARLY_DAYS = 14, 56, 456
YEAR, PACE_DAYS = 364, 56  # the same weekdays a year ago; days whose sales tell the pace
# history needed to look back a year, and to know how far that was off
LAST_YEAR_DAYS = YEAR + 2 * PACE_DAYS
FEWEST_ORIGINS = 4  # on whose quarters last year's pace must have been tested
CLOSED_SHARE = 0.05  # days without sales count as closed where they are rarer than this
# an interval is never narrower than its method's own past, nor stretched without end
WIDTHS = (1.0, 5.0)


def next_quarter_end(as_of: date) -> pd.Timestamp:
    """Last day of the quarter after the one that holds `as_of`: how far a forecast looks.

    >>> next_quarter_end(date(2017, 11, 30))
    Timestamp('2018-03-31 00:00:00')
    """
    return (pd.Period(as_of, "Q") + 1).end_time.normalize()


def public_holidays(country: str, first: date, last: date) -> pd.Series:
    """Names of the public holidays of a country (ISO code) by day; empty where its calendar is not
    known.

    >>> public_holidays("DE", date(2026, 4, 1), date(2026, 4, 30)).tolist()
    ['Good Friday', 'Easter Monday']
    """
    years = range(pd.Timestamp(first).year, pd.Timestamp(last).year + 1)
    known = country in holidays.list_supported_countries()
    found = pd.Series(
        holidays.country_holidays(country, years=years, language="en_US") if known else {},
        dtype="str",
    )
    return found.set_axis(pd.DatetimeIndex(found.index)).sort_index()[
        pd.Timestamp(first) : pd.Timestamp(last)
    ]


@threadpool_limits.wrap(limits=1)  # the matrices are small: more threads only wait for one another
def sales_paths(
    daily: pd.Series, days: int, method: str, paths: int = 500, seed: int = 1, width: float = 1.0
) -> pd.DataFrame:
    """Simulated sales of the `days` after `daily` ends: one row a day, one column a path.

    The mean of the paths is the forecast; quantiles of any sum of them (a week, a quarter) are its
    interval. The errors added are drawn from the method's own past runs of errors, so the sum over
    ninety days is as uncertain as such sums were; `width` stretches them (see `choose_method`).
    `daily` is indexed by day. Raises ValueError below 14 days of history.

    Errors are drawn by a Gaussian multiplier bootstrap (Liu 1988) of whole runs of past errors.
    """
    sales = _open_days(daily)
    forecast = _forecaster(sales, method)
    first = YEAR + PACE_DAYS if method == LAST_YEAR else min(28, len(sales) // 2)
    point, errors = forecast(len(sales), days), _past_errors(sales, days, forecast, first)
    draws = np.random.default_rng(seed).standard_normal((paths // 2, len(errors)))
    moves = np.vstack([draws, -draws]) @ errors * (width * point.mean() / np.sqrt(len(errors)))
    dates = pd.date_range(sales.index[-1], periods=days + 1)[1:]
    shut = dates.strftime("%m-%d").isin(_closed(sales).strftime("%m-%d"))
    drawn = np.clip(point + moves, 0, None)
    # no day sells less than nothing, which must not raise what is expected of it
    mean = drawn.mean(axis=0)
    drawn *= np.clip(point, 0, None) / np.where(mean > 0, mean, 1.0)
    return pd.DataFrame(np.where(shut, 0.0, drawn).T, index=dates)


@threadpool_limits.wrap(limits=1)
def backtest(daily: pd.Series, weeks: int = 13, origins: int = 12, seed: int = 1) -> pd.DataFrame:
    """Forecast past periods from what was known before them (table `backtest`).

    From up to `origins` days in the second half of the history, each method looks up to `weeks`
    ahead; last year's pace only from those that know a year, and a little more. The rows are single
    weeks, and sums of four and of thirteen. `low` and `high` are not yet calibrated. Days that
    turned out closed count on neither side. Empty below eight weeks. Rolling origins as in Hyndman
    and Athanasopoulos (2021, section 5.10).
    """
    names = [
        "method",
        "origin_on",
        "ordered_on",
        "weeks",
        "horizon",
        "forecast",
        "low",
        "high",
        "actual",
    ]
    whole = _open_days(daily) if len(daily) >= FEWEST_DAYS else pd.Series(dtype=float)
    known = len(whole) // 7
    back = range(known - max(known // 2, 4), 3, -1)
    back = back[:: -(-len(back) // origins)] if len(back) else back
    methods = [*PLAIN, *SARIMAX_ORDERS] if known // 2 * 7 >= SARIMAX_DAYS else [*PLAIN]
    rows = []
    for method, left in product([*methods, LAST_YEAR], back):
        past, ahead = whole.iloc[: -7 * left], min(left, weeks)
        if method == LAST_YEAR and len(past) < LAST_YEAR_DAYS:
            continue
        actual = whole.iloc[len(past) : len(past) + 7 * ahead]
        said = (
            sales_paths(past, 7 * ahead, method, seed=seed).to_numpy()
            * actual.notna().to_numpy()[:, None]
        )
        for span in (s for s in SPANS if s <= ahead):
            for first in range(0, ahead - span + 1, span):
                part = slice(7 * first, 7 * (first + span))
                sums = said[part].sum(axis=0)
                rows.append(
                    (
                        method,
                        past.index[-1].date(),
                        actual.index[part.start].date(),
                        span,
                        first + span,
                        sums.mean(),
                        *np.quantile(sums, ENDS),
                        actual.iloc[part].sum(),
                    )
                )
    return pd.DataFrame(rows, columns=names)


def says_more(x: np.ndarray, least: float) -> np.ndarray:
    """Which columns of a matrix are no sum of those before them (True), by what a QR decomposition
    leaves of each.

    Of a matrix with fewer rows than columns, those beyond the number of rows can say nothing new.

    >>> says_more(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]), 1e-9).tolist()
    [True, False]
    >>> says_more(np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 9.0]]), 1e-9).tolist()
    [True, True, False]
    """
    left = np.abs(np.diag(np.linalg.qr(x, mode="r")))
    return np.pad(left, (0, x.shape[1] - len(left))) > least


def score_methods(tested: pd.DataFrame) -> pd.DataFrame:
    """One row a method of a back-test, the best first.

    `one_week`, `four_weeks` and `thirteen_weeks` are mean absolute errors as shares of sales,
    `error` is their mean, all on the origins that every method was tested on; a method with fewer
    than `FEWEST_ORIGINS` is left out. `covered` is the part of actual sums that the raw 90 %
    intervals held; `width` stretches them so that no span is covered less than 90 %;
    `covered_after` is the part held when each origin is judged by the width that the other origins
    give.
    """
    if not len(tested):
        return pd.DataFrame(columns=["method", "error", "covered", "width", "covered_after"])
    tested = _comparable(tested)
    off = (tested["actual"] - tested["forecast"]).abs()
    half = (tested["high"] - tested["low"]).clip(lower=0.01) / 2
    rows = tested.assign(miss=off / half, error=off / tested["actual"].where(tested["actual"] > 0))
    shared = rows.groupby("origin_on")["method"].transform("nunique") == rows["method"].nunique()
    errors = (
        rows[shared]
        .pivot_table("error", "method", "weeks", sort=False, dropna=False)
        .rename(columns=SPANS)
        .rename_axis(columns=None)
    )
    by = rows.groupby("method", sort=False)
    scores = errors.assign(
        error=errors.mean(axis=1),
        covered=by["miss"].agg(lambda m: (m <= 1).mean()),
        width=by.apply(_width),
        covered_after=by.apply(_held_out),
    )
    return scores.sort_values("error", kind="stable").reset_index()


def _comparable(tested: pd.DataFrame) -> pd.DataFrame:
    """The rows without last year's pace where it was tested from too few origins, or on no whole
    quarter.
    """
    own = tested[tested["method"] == LAST_YEAR]
    enough = own.loc[own["weeks"] == max(SPANS), "origin_on"].nunique() >= FEWEST_ORIGINS
    return tested if enough else tested[tested["method"] != LAST_YEAR]


def choose_method(tested: pd.DataFrame) -> tuple[str, float, float]:
    """The method with the smallest error in the back-test, its width, and its coverage after
    calibration.

    Plain rules stand first and win a tie. Where the best one missed the quarter after this time of
    the year, a year ago, by more than last year's pace misses its quarters, last year's pace is
    taken: a season that the back-test has seen only once is told by that one. With no back-test:
    the four-week mean, width 1, coverage unknown.
    """
    if not len(tested):
        return "four-week mean", 1.0, float("nan")
    scores = score_methods(tested).set_index("method")
    best = scores.index[0]
    if (
        LAST_YEAR in scores.index
        and _missed_a_year_ago(tested, best) > scores.at[LAST_YEAR, SPANS[max(SPANS)]]
    ):
        best = LAST_YEAR
    return best, float(scores.at[best, "width"]), float(scores.at[best, "covered_after"])


def _missed_a_year_ago(tested: pd.DataFrame, method: str) -> float:
    """By what share of sales a method missed the quarter from four weeks around this day a year
    ago; 0 if not known.
    """
    last = pd.to_datetime(tested["ordered_on"]) + pd.to_timedelta(
        7 * tested["weeks"].astype(int) - 1, unit="D"
    )
    ago = (last.max() - pd.to_datetime(tested["origin_on"])).dt.days - YEAR
    then = tested[
        (tested["method"] == method) & (tested["weeks"] == max(SPANS)) & (ago.abs() <= 28)
    ]
    came = then["actual"].sum()
    return float((then["forecast"] - then["actual"]).abs().sum() / came) if came > 0 else 0.0


def _width(rows: pd.DataFrame) -> float:
    return float(np.clip(rows.groupby("weeks")["miss"].quantile(LEVEL).max(), *WIDTHS))


def _held_out(rows: pd.DataFrame) -> float:
    if rows["origin_on"].nunique() < 2:
        return float("nan")
    held = [
        own["miss"] <= _width(rows.drop(own.index)) for _origin, own in rows.groupby("origin_on")
    ]
    return float(pd.concat(held).mean())


def _open_days(daily: pd.Series) -> pd.Series:
    """Every day from the first to the last; days without sales are NaN (closed) where rare,
    else 0.
    """
    if len(daily) < FEWEST_DAYS:
        raise ValueError(f"a forecast needs at least {FEWEST_DAYS} days of sales, not {len(daily)}")
    sales = daily.set_axis(pd.DatetimeIndex(daily.index)).astype(float).asfreq("D").fillna(0.0)
    return sales.mask(sales == 0) if (sales == 0).mean() < CLOSED_SHARE else sales


def _closed(sales: pd.Series) -> pd.DatetimeIndex:
    """Single days without sales: feasts, which come again. A longer gap is missing data."""
    off = sales.isna()
    return sales.index[off & ~off.shift(1, fill_value=True) & ~off.shift(-1, fill_value=True)]


def _forecaster(sales: pd.Series, method: str) -> Callable[[int, int], np.ndarray]:
    """A function (origin, days) -> forecast of the `days` after the first `origin` days of
    `sales`.
    """
    if method in PLAIN:
        return partial(_weekday_means, sales, PLAIN[method])
    if method == LAST_YEAR:
        return partial(_last_year, sales)
    order, level = SARIMAX_ORDERS[method], sales.mean() or 1.0
    terms = [CalendarFourier("W", 3), CalendarFourier("ME", 2)]
    terms += [CalendarFourier("YE", 2)] if len(sales) >= YEARLY_DAYS else []
    calendar = DeterministicProcess(
        sales.index, constant=not order[1], order=0, additional_terms=terms, drop=True
    )
    x, y = calendar.in_sample(), sales / level
    known = y.notna()
    start, *_ = np.linalg.lstsq(x[known], y[known] - order[1], rcond=None)
    if np.std(y[known] - x[known] @ start) < 1e-6:  # nothing is left to fit
        return partial(_weekday_means, sales, PLAIN["four-week mean"])
    # From least squares the likelihood is climbed safely; from statsmodels' own start it often is
    # not.
    fit = SARIMAX(y, exog=x, order=order, concentrate_scale=True).fit(
        [*start, -0.8 if order[1] else 0.2], disp=False, cov_type="none", warn_convergence=False
    )

    def sarimax(origin: int, days: int) -> np.ndarray:
        if origin == len(sales):
            return level * fit.forecast(days, exog=calendar.out_of_sample(days)).to_numpy()
        return level * fit.predict(origin, origin + days - 1, dynamic=True).to_numpy()

    return sarimax


def _weekday_means(sales: pd.Series, weeks: int, origin: int, days: int) -> np.ndarray:
    recent = sales.iloc[max(origin - 7 * weeks, 0) : origin].dropna()
    weekday = recent.index.day_of_week
    sums, counts = np.bincount(weekday, recent, 7), np.bincount(weekday, minlength=7)
    means = np.where(counts > 0, sums, recent.sum()) / np.where(
        counts > 0, counts, max(len(recent), 1)
    )
    return means[(sales.index[0].day_of_week + origin + np.arange(days)) % 7]


def _last_year(sales: pd.Series, origin: int, days: int) -> np.ndarray:
    """Sales of the same weekdays a year ago, three weeks averaged, times the pace: how much more
    sells now.
    """
    known = sales.iloc[:origin]
    smooth = (
        pd.concat([known.shift(7), known, known.shift(-7)], axis=1)
        .mean(axis=1)
        .fillna(known.mean())
        .to_numpy()
    )
    now, then = known.iloc[-PACE_DAYS:].mean(), known.iloc[-YEAR - PACE_DAYS : -YEAR].mean()
    return smooth[origin - YEAR + np.arange(days) % YEAR] * (now / then if then > 0 else 1.0)


def _past_errors(
    sales: pd.Series, days: int, forecast: Callable[[int, int], np.ndarray], first: int
) -> np.ndarray:
    """Runs of past errors as shares of the level, each `days` long, from up to forty origins whole
    weeks apart.

    The earliest origin is day `first`, from which on the forecast knows enough.
    """
    n = len(sales)
    shortest, runs = min(days, (n - first) // 2), []
    apart = 7 * max(-(-(n - shortest - first) // 280), 1)
    for origin in range(n - shortest, first - 1, -apart):
        said = forecast(origin, min(days, n - origin))
        off = (sales.to_numpy()[origin : origin + len(said)] - said) / max(
            said.mean(), sales.abs().mean() / 10, 1e-9
        )
        # mirrored at its end
        runs.append(np.pad(np.nan_to_num(off), (0, days - len(said)), mode="symmetric"))
    return np.array(runs)

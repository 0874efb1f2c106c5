"""How long customers stay, and how many will be left later: the shifted beta-geometric model
(practice 3.3).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.optimize import minimize
from scipy.special import betaln

from helpers import stats
from helpers.analyze.journeys.survival import kaplan_meier

VERSION = "1"
PERIOD = 28  # days of a period
PERIODS = 13  # looked ahead
# customers below which nothing is fitted, and below which a period is not shown
FEWEST, FEW = 50, 20
RULES = {
    "last": "last period's retention goes on",
    "exponential": "the same share leaves in each period",
}
PAUSES = 1 / 3  # of those who stopped: where so many came back, a stop is rather a pause
SBG = "shifted beta-geometric"


class Fit(NamedTuple):
    """Parameters of a shifted beta-geometric model: the share that leaves differs between customers
    as a beta.
    """

    alpha: float
    beta: float


def lifetimes(days: ir.Table, as_of: date, silence: int) -> pd.DataFrame:
    """How long each customer of `order_days` stayed: a row a customer.

    A customer stops at the last order before the first silence of more than `silence` days; `days`
    lie between the first order and that one. `stopped` is False for who had not stopped by the cut,
    `silence` days before `as_of`; they are watched to the cut. `returned` marks who stopped and
    came back all the same. First orders after the cut are left out.
    """
    cut = as_of - timedelta(days=silence)
    day, last = ibis.literal(as_of, type="date"), ibis.literal(cut, type="date")
    rows = days.filter(_.ordered_on <= day).mutate(
        known=(_.next_on <= day).ifelse(_.next_on, ibis.null("date"))
    )
    gap = ibis.coalesce(rows.known, day).delta(rows.ordered_on, unit="day")
    stop = (gap > silence) & (rows.ordered_on <= last)
    each = (
        rows.mutate(stop=stop.ifelse(rows.ordered_on, ibis.null("date")))
        .group_by("customer_id")
        .agg(first_on=_.ordered_on.min(), stop_on=_.stop.min(), last_on=_.ordered_on.max())
    )
    each = each.filter(each.first_on <= last).order_by("customer_id")
    return each.select(
        "customer_id",
        "first_on",
        days=ibis.coalesce(each.stop_on, last).delta(each.first_on, unit="day"),
        stopped=each.stop_on.notnull(),
        returned=each.stop_on.notnull() & (each.last_on > each.stop_on),
    ).to_pandas()


def by_period(people: pd.DataFrame, cut: date, period: int = PERIOD) -> pd.DataFrame:
    """Life table: period from 1, customers watched through it (`at_risk`), who `stopped` in it,
    share kept and left.

    Customers count only in the periods that they were watched through, to the `cut`; `left` and its
    90 % interval are those of Kaplan and Meier. `kept` is the retention rate of a period, left /
    left before.
    """
    if not len(people):
        return pd.DataFrame(
            columns=[
                "period",
                "at_risk",
                "stopped",
                "kept",
                "kept_low",
                "kept_high",
                "left",
                "low",
                "high",
            ]
        )
    whole = (pd.Timestamp(cut) - pd.to_datetime(people["first_on"])).dt.days // period
    at = people["days"] // period + 1
    ended = people["stopped"] & (at <= whole)
    curve = kaplan_meier(at.where(ended, whole)[whole > 0], ended[whole > 0])
    periods = np.arange(1, int(whole.max()) + 1)
    seen = at.where(ended, whole)
    n = np.array([int((seen >= k).sum()) for k in periods])
    d = np.array([int((ended & (at == k)).sum()) for k in periods])
    table = pd.DataFrame({"period": periods, "at_risk": n, "stopped": d})
    table = table.assign(kept=1 - table["stopped"] / table["at_risk"])
    table[["kept_low", "kept_high"]] = stats.share_interval(
        table["at_risk"] - table["stopped"], table["at_risk"]
    )
    return table.merge(_steps(curve, periods), on="period")


def _steps(curve: pd.DataFrame, periods: np.ndarray) -> pd.DataFrame:
    rows = (
        curve.set_index("days")[["left", "low", "high"]]
        .reindex(range(int(periods.max(initial=0)) + 1))
        .ffill()
    )
    return rows.iloc[1:].rename_axis("period").reset_index()


def fit_sbg(
    stopped: np.ndarray, watched: np.ndarray, begin: tuple[float, float] = (1.0, 2.0)
) -> Fit:
    """Fit a shifted beta-geometric model by maximum likelihood (Fader and Hardie 2007).

    stopped : customers who stopped in period 1, 2, 3 ...
    watched : customers who had not stopped, by the number of periods they were watched through; as
        long as `stopped`
    begin : alpha and beta at which the search begins

    >>> high_end = np.array([100, 86.9, 74.3, 65.3, 59.3, 55.1, 51.7, 49.1])
    >>> fit = fit_sbg(-np.diff(high_end), np.r_[np.zeros(6), high_end[-1]])
    >>> round(fit.alpha, 3), round(fit.beta, 3)
    (0.668, 3.806)
    """
    t = np.arange(1, len(stopped) + 1)

    def loss(logs: np.ndarray) -> float:
        a, b = np.exp(logs)
        ended, alive = betaln(a + 1, b + t - 1) - betaln(a, b), betaln(a, b + t) - betaln(a, b)
        return -float(stopped @ ended + watched @ alive)

    # Steps of its own: from a logarithm of nothing the default ones are too small to get anywhere.
    start = np.log(begin) + np.array([[0, 0], [0.5, 0], [0, 0.5]])
    found = minimize(
        loss,
        start[0],
        method="Nelder-Mead",
        bounds=[(-7, 9)] * 2,
        options={"xatol": 1e-6, "fatol": 1e-8, "initial_simplex": start},
    )
    return Fit(*np.exp(found.x).tolist())


def project(fit: Fit, periods: np.ndarray) -> np.ndarray:
    """Share that is left after each number of periods, S(t) = B(alpha, beta + t) / B(alpha, beta).

    >>> project(Fit(0.668, 3.806), np.array([0, 1, 12])).round(3).tolist()
    [1.0, 0.851, 0.378]
    """
    return np.exp(betaln(fit.alpha, fit.beta + periods) - betaln(fit.alpha, fit.beta))


def project_plain(
    stopped: np.ndarray, watched: np.ndarray, periods: np.ndarray
) -> dict[str, np.ndarray]:
    """Two rules that cost nothing, by the names of RULES: share left after each number of
    `periods`.

    `last` follows the life table as long as it rests on enough customers and then keeps its last
    retention rate; `exponential` loses the same share in each period, the one that makes the data
    likeliest.
    """
    at_risk = (stopped + watched)[::-1].cumsum()[::-1]
    most = max(int((at_risk >= FEWEST).sum()), 1)  # a rate of a few people is no rule
    kept = (1 - stopped / np.maximum(at_risk, 1))[:most]
    table = np.r_[1.0, kept.cumprod()]
    on = kept[-1] ** np.maximum(periods - most, 0)
    last = np.where(periods < len(table), table[np.minimum(periods, most)], table[-1] * on)
    exponential = (1 - stopped.sum() / max(at_risk.sum(), 1)) ** periods
    return {"last": last, "exponential": exponential}


def counts_by_period(
    people: pd.DataFrame, cut: date, period: int = PERIOD
) -> tuple[np.ndarray, np.ndarray]:
    """`stopped` and `watched` for `fit_sbg`, from `lifetimes`."""
    whole = (pd.Timestamp(cut) - pd.to_datetime(people["first_on"])).dt.days // period
    at = people["days"] // period + 1
    ended = people["stopped"] & (at <= whole)
    most = int(whole.max()) if len(people) else 0
    stopped = np.bincount(at[ended], minlength=most + 1)[1 : most + 1].astype(float)
    watched = np.bincount(whole[~ended], minlength=most + 1)[1 : most + 1].astype(float)
    return stopped, watched


def fit_retention(
    people: pd.DataFrame, cut: date, seed: int = 1, draws: int = 100
) -> tuple[Fit, pd.DataFrame] | None:
    """The fit to a client's own customers and its projection (table `retention_fit`); None where
    there are too few.

    One row a period, as far as watched and PERIODS on: what was seen of twenty people or more
    (left, low, high); `projected` with the 90 % interval of a bootstrap of the customers (Efron
    1979); its rate of each period, `kept`; and `plain`, what the last well-watched period's
    retention gives when it goes on, and `exponential`, what one rate for all periods gives.
    """
    stopped, watched = counts_by_period(people, cut)
    if stopped.sum() + watched.sum() < FEWEST or len(stopped) < 3 or not stopped.sum():
        return None
    fit = fit_sbg(stopped, watched)
    periods = np.arange(0, len(stopped) + PERIODS + 1)
    both = np.r_[stopped, watched]
    rng, n = np.random.default_rng(seed), int(both.sum())
    again = [rng.multinomial(n, both / n).astype(float) for _draw in range(draws)]
    paths = np.array(
        [project(fit_sbg(a[: len(stopped)], a[len(stopped) :], fit), periods) for a in again]
    )
    ends = np.quantile(paths, stats.ENDS, axis=0)
    left = project(fit, periods)
    table = pd.DataFrame(
        {"period": periods, "projected": left, "projected_low": ends[0], "projected_high": ends[1]}
    )
    rules = project_plain(stopped, watched, periods)
    table = table.assign(
        kept=np.r_[np.nan, left[1:] / left[:-1]],
        plain=rules["last"],
        exponential=rules["exponential"],
    )
    seen = by_period(people, cut)[["period", "at_risk", "left", "low", "high"]]
    seen[["left", "low", "high"]] = seen[["left", "low", "high"]].where(seen["at_risk"] >= FEW)
    first = pd.DataFrame(
        {"period": [0], "at_risk": [n], "left": [1.0], "low": [1.0], "high": [1.0]}
    )
    return fit, table.merge(pd.concat([first, seen], ignore_index=True), how="left", on="period")


def retention_table(
    found: tuple[Fit, pd.DataFrame] | None, silence: int, as_of: date
) -> pd.DataFrame:
    """Table `retention_fit`; empty without a fit."""
    if found is None:
        return pd.DataFrame({"period": pd.Series(dtype="int64"), "as_of": pd.Series(dtype=object)})
    fit, table = found
    return table.drop(columns="exponential").assign(
        alpha=fit.alpha,
        beta=fit.beta,
        period_days=PERIOD,
        silence_days=silence,
        as_of=as_of,
        rule_version=VERSION,
    )


def hold_out_retention(days: ir.Table, as_of: date, silence: int) -> pd.DataFrame:
    """The model against the plain rules on periods that they have not seen; empty where there is
    too little.

    All are fitted on what was known half of the watched time ago. One row a later period: `left`,
    what the life table of the same customers shows today, and what each way said; see
    `score_retention`.
    """
    first = days.ordered_on.min().to_pandas()
    columns = ["period", "left", SBG, *RULES]
    if pd.isna(first):
        return pd.DataFrame(columns=columns)
    first, cut = pd.Timestamp(first).date(), as_of - timedelta(days=silence)
    then = as_of - timedelta(days=(cut - first).days // 2) if cut > first else as_of
    known = lifetimes(days, then, silence)
    stopped, watched = (
        counts_by_period(known, then - timedelta(days=silence))
        if len(known)
        else (np.zeros(0),) * 2
    )
    if stopped.sum() + watched.sum() < FEWEST or len(stopped) < 3 or not stopped.sum():
        return pd.DataFrame(columns=columns)
    now = lifetimes(days, as_of, silence)
    came = by_period(now[now["customer_id"].isin(known["customer_id"])], cut)
    came = came[(came["period"] > len(stopped)) & (came["at_risk"] >= FEW)]
    periods = came["period"].to_numpy()
    said = {SBG: project(fit_sbg(stopped, watched), periods)} | project_plain(
        stopped, watched, periods
    )
    return came[["period", "left"]].assign(**said).reset_index(drop=True)


def score_retention(held: pd.DataFrame, found: tuple[Fit, pd.DataFrame] | None) -> pd.DataFrame:
    """How far each way was off on the periods held out, in points (percent of customers), the best
    first.

    `year` is the share of newcomers that each way says are left after a year, by `found` of
    `fit_retention`.
    """
    names, columns = {SBG: SBG} | RULES, {SBG: "projected", "last": "plain"}
    at = found[1].set_index("period").loc[PERIODS] if found else pd.Series(dtype=float)
    off = {way: 100 * (held[way] - held["left"]) for way in names if len(held)}
    rows = [
        (
            names[way],
            len(held),
            o.abs().mean(),
            o.mean(),
            o.iloc[-1],
            at.get(columns.get(way, way), np.nan),
        )
        for way, o in off.items()
    ]
    table = pd.DataFrame(rows, columns=["way", "periods", "error", "bias", "at_the_end", "year"])
    return table.sort_values("error", ignore_index=True)


def plan(tested: pd.DataFrame, people: pd.DataFrame, stay: pd.DataFrame) -> pd.Series | None:
    """The share of newcomers to plan with for the end of a year, from `low` to `high`; None without
    a hold-out.

    tested : from `score_retention`; the first row is the best way
    people : from `lifetimes`
    stay : table `retention_fit`

    The range is as wide as the mean error to either side. A way that was too low, or too high, in
    every period held out (`one_sided`) is moved by its bias, as far as what was seen allows
    (`moved`). What was left in the last period seen within the year is the `most`: that share
    cannot rise. `pauses` says that so many came back that no plan should rest on silence. Shares
    are of newcomers; `error`, `bias` and `worst` are in points.
    """
    if not len(tested):
        return None
    best, model = tested.iloc[0], tested.set_index("way").loc[SBG, "year"]
    back = people["returned"].sum() / max(people["stopped"].sum(), 1)
    pauses = back >= PAUSES
    seen = stay.reindex(columns=["period", "at_risk", "left"])
    seen = seen[(seen["period"] > 0) & seen["left"].notna()]
    within = seen[seen["period"] <= PERIODS].tail(1)
    most = within["left"].iloc[0] if len(within) else 1.0

    # all errors have one sign
    one_sided = best["error"] > 0 and np.isclose(abs(best["bias"]), best["error"])
    mended = best["year"] - one_sided * best["bias"] / 100
    year, error = min(mended, most), best["error"] / 100
    found = {
        "low": max(year - error, 0),
        "high": min(year + error, most),
        "one_sided": one_sided,
        "moved": one_sided and mended <= most and not pauses,
        "capped": most < mended + error and not pauses,
        "most": most,
        "capped_in": within["period"].max(),
        "pauses": pauses,
        "back": back,
        "model": model,
        "is_model": best["way"] == SBG,
        "year_period": PERIODS,
        "worst": tested["error"].iloc[-1],
    }
    found |= best[["way", "periods", "error", "bias", "year"]].to_dict()
    last = seen.tail(1).max()
    found |= {"last": last["period"] if len(seen) else 0, "at_risk": last["at_risk"]}
    found |= {"seen": last["left"], "fewer": last["period"] <= PERIODS and most < best["year"]}
    return pd.Series(found, dtype=object)

"""What moves sales: a regression of daily sales on calendar, prices, promotions, advertising and
messages (3.10).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib import resources
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import statsmodels.api as sm
import yaml
from ibis import _
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from helpers import stats
from helpers.history import BOUGHT
from helpers.show import words

WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DRIVERS = yaml.safe_load(
    resources.files(__package__).joinpath("sales_drivers.yaml").read_text(encoding="utf-8")
)
# days needed at all, and days that a mark such as a holiday must stand on
FEWEST, FEWEST_MARKED = 112, 5
# days from which the season is a wave, and from which each month has its own effect
ONE_YEAR, TWO_YEARS = 350, 700
LASTS = 1 / 3  # so much of a month's effect must show in each year
MONTHS = [f"{pd.Timestamp(2024, m, 1):%B}" for m in range(1, 13)]
HOLDOUT_WEEKS = 13
PUBLIC = "public holiday"
COLUMNS = ["driver", "kind", "per", "effect", "low", "high", "days", "inflation", "verdict"]


class Regression(NamedTuple):
    """A fit: `sales` and the columns `x` it used, coefficients `b`, their `covariances`, and the
    `fitted` values.

    critical: by how many standard errors a 90 % interval reaches out.
    """

    sales: pd.Series
    x: pd.DataFrame
    b: pd.Series
    covariances: list[pd.DataFrame]
    fitted: pd.Series
    critical: float

    def error(self, weights: pd.Series) -> float:
        """Standard error of a weighted sum of coefficients: the largest that any of the covariances
        gives.
        """
        return float(np.sqrt(max(weights @ v @ weights for v in self.covariances)))


def known_moves(tables: Mapping[str, ir.Table], days: pd.DatetimeIndex) -> pd.DataFrame:
    """What the client did, day by day: prices paid, goods promoted, messages and advertising of the
    last seven days.

    One column a driver; those of advertising are called "spend: <channel>". Missing where a table
    does not reach.
    """
    days = pd.DatetimeIndex(days)
    weeks = pd.Series(days.to_period("W-SUN").start_time, days)
    found = {}
    for name, rows in {
        "prices paid": price_level(tables["orders"]),
        "goods on display or in the mailer": promoted_share(tables["promotions"], tables["orders"]),
    }.items():
        by = _daily(rows.to_pandas(), "week_on")
        found[name] = weeks.map(by["value"]) if len(by) else np.nan
    sent = _daily(messages_by_day(tables["messages"]).to_pandas(), "sent_on")["value"]
    found["messages of the last seven days"] = sent.reindex(days).fillna(0).rolling(7, 1).sum()
    spend = tables["spend"].group_by("spent_on", "channel").agg(value=_.cost.sum()).to_pandas()
    for channel, rows in spend.groupby("channel"):
        cost = _daily(rows, "spent_on")["value"]
        known = (days >= spend["spent_on"].astype("datetime64[ns]").min()) & (
            days <= spend["spent_on"].astype("datetime64[ns]").max()
        )
        week = cost.reindex(days).fillna(0).rolling(7, 1).mean()
        found[f"spend: {channel}"] = week.where(known)
    return pd.DataFrame(found, index=days)


def price_level(orders: ir.Table) -> ir.Table:
    """By week, how far prices paid lie from the usual: the mean log ratio over products, weighed by
    their sales.

    Products weigh the same in each week (Laspeyres), so that a shift to cheaper goods is no fall of
    prices.
    """
    sold = orders.filter(BOUGHT, _.revenue > 0)
    weekly = sold.group_by("product_id", week_on=_.ordered_on.truncate("W")).agg(
        price=_.revenue.sum() / _.quantity.sum(), sales=_.revenue.sum()
    )
    usual = weekly.group_by("product_id").agg(
        usual=_.price.ln().mean(), weight=_.sales.sum(), weeks=_.count()
    )
    both = weekly.join(usual, "product_id")
    return both.group_by("week_on").agg(
        value=((_.price.ln() - _.usual) * _.weight).sum() / _.weight.sum()
    )


def promoted_share(promotions: ir.Table, orders: ir.Table) -> ir.Table:
    """By week, the share of the range on display or in the mailer, each product weighed by its
    sales.
    """
    weights = orders.group_by("product_id").agg(weight=_.revenue.sum())
    shown = (_.display.fill_null("0") != "0") | (_.mailer.fill_null("0") != "0")
    by = promotions.filter(shown).group_by("week_on", "product_id").agg(stores=_.count())
    sums = by.join(weights, "product_id").group_by("week_on").agg(shown=(_.weight * _.stores).sum())
    whole = weights.agg(whole=_.weight.sum()).cross_join(
        promotions.agg(stores=_.store_id.nunique())
    )
    return sums.cross_join(whole).select("week_on", value=_.shown / _.whole / _.stores)


def messages_by_day(messages: ir.Table) -> ir.Table:
    """Messages sent a day; those held back on purpose do not count."""
    sent = messages.filter(~_.is_holdout.fill_null(False), _.sent_at.notnull())
    return sent.group_by(sent_on=_.sent_at.date()).agg(value=_.count())


def feast_days(special: pd.DataFrame, country: str, first: date, last: date) -> pd.DataFrame:
    """Days out of the ordinary: held_on and kind; the public holidays of the country, and the
    client's own calendar.
    """
    public = stats.public_holidays(country, last if pd.isna(first) else first, last)
    own = (
        special.assign(kind=special["kind"].astype("str").fillna("special day"))
        if len(special)
        else special
    )
    rows = [pd.DataFrame({"held_on": public.index, "kind": PUBLIC}), own[["held_on", "kind"]]]
    return pd.concat([r for r in rows if len(r)] or rows[:1]).astype({"held_on": "datetime64[ns]"})


@threadpool_limits.wrap(limits=1)
def explain_sales(sales: pd.Series, moves: pd.DataFrame, feasts: pd.DataFrame) -> Regression | None:
    """Regress daily sales on the calendar and on what the client did (`known_moves`), on a log
    scale.

    Poisson pseudo-likelihood (Santos Silva and Tenreyro 2006): effects multiply, and days without
    sales are allowed. `feasts` as from `feast_days`. None below `FEWEST` days.
    """
    y = _open(sales) if len(sales) else sales
    if len(y) < FEWEST:
        return None
    x = design(y.index, moves.reindex(y.index), feasts)
    known = x.notna().all(axis=1)
    # Lazarus et al. 2018
    return regress(y[known], _useful(x[known]), lags=round(1.3 * np.sqrt(known.sum())))


@threadpool_limits.wrap(limits=1)
def regress(y: pd.Series, x: pd.DataFrame, log: bool = True, lags: int = 0) -> Regression:
    """Least squares, or with `log` a Poisson regression with log link, whose errors may go together
    over `lags` days.

    A constant is added. Two covariances: the plain one (of the Poisson, stretched by its
    dispersion) and, with lags, that of Newey and West (1987). The larger counts (Angrist and
    Pischke 2009, section 8.1), because robust ones fall short where a driver, such as a month,
    stands in few blocks. Intervals by fixed-b critical values (Kiefer and Vogelsang 2005, Bartlett
    kernel); without lags by Student's t.
    """
    center, scale = (x.mean(), x.std(ddof=0)) if log else (0 * x.mean(), 1 + 0 * x.mean())
    z = sm.add_constant((x - center) / scale, has_constant="add").astype(float)
    model = (
        sm.GLM(y / y.mean(), z, family=sm.families.Poisson()) if log else sm.OLS(y.astype(float), z)
    )
    fits = [model.fit(scale="X2") if log else model.fit()]
    fits += (
        [model.fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True})]
        if lags
        else []
    )
    # back to the units of x
    turn = pd.DataFrame(np.diag([1.0, *(1 / scale)]), z.columns, z.columns)
    turn.iloc[0, 1:] = (-center / scale).to_numpy()
    b = turn @ fits[0].params
    b["const"] += np.log(y.mean()) if log else 0.0
    said = b["const"] + x @ b.drop("const")
    share = lags / len(y)
    wide = 1.6449 + 2.1859 * share + 0.3142 * share**2 - 0.3427 * share**3
    critical = wide if lags else float(student.ppf(stats.ENDS[1], len(y) - z.shape[1]))
    return Regression(
        y,
        x,
        b,
        [turn @ f.cov_params() @ turn.T for f in fits],
        np.exp(said) if log else said,
        critical,
    )


def design(days: pd.DatetimeIndex, moves: pd.DataFrame, feasts: pd.DataFrame) -> pd.DataFrame:
    """The columns of the regression, one row a day: weekdays, season, feasts, trend, and the moves.

    With two years each month has its own column; with one, two waves a year take up what may be
    season.
    """
    x = {d: (days.day_of_week == k).astype(float) for k, d in enumerate(WEEKDAYS) if k}
    history = (days[-1] - days[0]).days + 1
    if history >= TWO_YEARS:
        x |= {m: (days.month == k + 1).astype(float) for k, m in enumerate(MONTHS) if k}
    elif history >= ONE_YEAR:
        turn = 2 * np.pi * days.day_of_year / 365.25
        x |= {f"season {f.__name__} {k}": f(k * turn) for k in (1, 2) for f in (np.sin, np.cos)}
    x |= feast_marks(days, feasts)
    x["a year later"] = (days - days[0]).days / 365.25
    return pd.DataFrame(x, index=days).join(
        moves.dropna(axis="columns", thresh=int(0.7 * len(days)))
    )


def feast_marks(days: pd.DatetimeIndex, feasts: pd.DataFrame) -> dict[str, np.ndarray]:
    """Marks of public holidays, of the three days before one and of the day after, of which a day
    has one at most; and one of each other kind of day.
    """
    kinds = {kind: pd.DatetimeIndex(rows["held_on"]) for kind, rows in feasts.groupby("kind")}
    on = kinds.pop(PUBLIC, pd.DatetimeIndex([]))
    found, taken = {}, np.zeros(len(days), bool)
    for name, shifts in {
        "on a holiday": [0],
        "day after a holiday": [1],
        "up to three days before a holiday": [-1, -2, -3],
    }.items():
        near = np.any([days.isin(on + pd.Timedelta(days=s)) for s in shifts], axis=0) & ~taken
        found[name], taken = near.astype(float), taken | near
    return found | {
        f"calendar: {kind}": days.isin(held).astype(float) for kind, held in kinds.items()
    }


@threadpool_limits.wrap(limits=1)
def driver_effects(fit: Regression | None) -> pd.DataFrame:
    """Each driver's effect on sales as a share (0.1 sells a tenth more), all others equal, with its
    90 % interval.

    Weekdays and months stand against the mean weekday and month. Months are told from two years on,
    since in one a month cannot be told from what else happened in it; and one is sure only if it
    was so in each year. Amounts go from a low to a high day (the tenth and the ninetieth percentile
    of days), named in `per`. inflation: variance inflation of a single column. The calendar stands
    first; empty without a fit.
    """
    if fit is None:
        return pd.DataFrame(columns=COLUMNS)
    inflation = _inflation(fit.x)
    rows = [
        _row(fit, k, d, DRIVERS["mean_day"], w) for k, d, w in _groups(fit, WEEKDAYS, "weekday")
    ]
    rows += [_row(fit, k, d, DRIVERS["mean_month"], w) for k, d, w in _groups(fit, MONTHS, "month")]
    plain = [
        c for c in fit.x if c not in WEEKDAYS and c not in MONTHS and not c.startswith("season ")
    ]
    for column in plain:
        kind, name, per, size = _named(column, fit.x[column])
        w = pd.Series(0.0, fit.b.index)
        w[column] = size
        rows.append(_row(fit, kind, name, per, w) | {"inflation": inflation[column]})
        rows[-1]["days"] = int((fit.x[column] != 0).sum())
    found = pd.DataFrame(rows).reindex(columns=COLUMNS)
    order = {kind: k for k, kind in enumerate(DRIVERS["kinds"])}
    return found.sort_values("kind", key=lambda k: k.map(order), kind="stable", ignore_index=True)


@threadpool_limits.wrap(limits=1)
def check_regression(fit: Regression | None) -> pd.DataFrame:
    """Whether to trust it, in words: check, answer, fine; on autocorrelation, collinearity,
    influence and holdout.
    """
    if fit is None:
        return pd.DataFrame(columns=["check", "answer", "fine"])
    off = (fit.sales - fit.fitted) / np.sqrt(fit.fitted.clip(lower=1e-9))
    found = [("neighbours", abs(r := off.autocorr(1)) < 0.2, {"value": r})]
    found.append(("week", abs(r := off.autocorr(7)) < 0.2, {"value": r}))
    inflation = _inflation(fit.x).drop([*WEEKDAYS, *MONTHS], errors="ignore")
    worst = inflation[[c for c in inflation.index if not c.startswith("season ")]]
    found.append(
        ("apart", worst.max() < 5, {"value": worst.max(), "driver": _label(worst.idxmax())})
    )
    found.append(_influence(fit))
    if len(fit.sales) >= FEWEST + 7 * HOLDOUT_WEEKS:
        own, plain = _holdout(fit)
        spoken = {"value": words.percent(own, 1), "plain": words.percent(plain, 1)}
        found.append(("holdout", own < plain, spoken))
    rows = [
        (c["name"], c["fine" if ok else "watch"].format(**says), ok)
        for k, ok, says in found
        for c in [DRIVERS["checks"][k]]
    ]
    return pd.DataFrame(rows, columns=["check", "answer", "fine"])


def drivers_in_words(
    effects: pd.DataFrame, fit: Regression | None, checks: pd.DataFrame
) -> list[dict[str, str]]:
    """The calendar, and the surest driver beside it, as headlines with evidence and how sure; each
    a finding.

    `checks` are those of `check_regression`: where the holdout failed, how sure says so.
    """
    says = DRIVERS["says"]
    if effects.empty:
        return [{"headline": says["none"].format(fewest=FEWEST)}]
    days = words.count(len(fit.sales))
    found, surely = [], effects[effects["verdict"] != DRIVERS["verdicts"]["unsure"]]
    calendar = surely[surely["kind"].isin(["weekday", "month"])].sort_values("effect")
    if len(calendar):
        low, top = calendar.iloc[0], calendar.iloc[-1]
        ends = {"top_effect": words.percent(top["effect"], signed=True)}
        ends |= {"bottom_effect": words.percent(low["effect"], signed=True)}
        found = [
            {"headline": says["calendar"].format(top=top["driver"], bottom=low["driver"], **ends)}
        ]
    failed = (
        checks.loc[checks["check"] == DRIVERS["checks"]["holdout"]["name"], "fine"].eq(False).any()
    )
    doubt = says["sure"] + says["failed"] * bool(failed)
    own = ["spend", "messages", "promotion", "price", "special"]
    sure = surely[surely["kind"].isin(own)]
    if sure.empty:
        return [*found, {"headline": says["none_sure"], "sure": doubt}]
    best = sure.loc[(sure["effect"].abs() / (sure["high"] - sure["low"])).idxmax()]
    spoken = {c: words.percent(best[c], 1, signed=True) for c in ("effect", "low", "high")}
    headline = says["headline"].format(
        driver=best["driver"], effect=spoken["effect"], per=best["per"]
    )
    tried = words.count(effects["kind"].isin(own).sum())
    evidence = says["evidence"].format(days=days, tried=tried, **spoken)
    return [*found, {"headline": headline, "evidence": evidence, "sure": doubt}]


def _open(sales: pd.Series) -> pd.Series:
    """The days on which the shop was open: single closed days and weekdays that are always shut are
    left out.
    """
    sales = (
        sales.set_axis(pd.DatetimeIndex(sales.index))
        .astype(float)
        .asfreq("D")
        .fillna(0.0)
        .clip(lower=0)
    )
    shut = (sales == 0).groupby(sales.index.day_of_week).transform("mean") > 1 - stats.CLOSED_SHARE
    sales = sales[~shut]
    return sales[sales > 0] if (sales == 0).mean() < stats.CLOSED_SHARE else sales


def _useful(x: pd.DataFrame) -> pd.DataFrame:
    """Columns that vary, stand on enough days, and are no sum of those before them."""
    marked = (x != x.mode().iloc[0]).sum() >= FEWEST_MARKED
    x = x.loc[:, marked & (x.nunique() > 1)]
    z = np.column_stack([np.ones(len(x)), (x - x.mean()) / x.std()])
    return x.loc[:, stats.says_more(z, 1e-6 * np.sqrt(len(x)))[1:]]


def _groups(fit: Regression, names: list[str], kind: str) -> list[tuple[str, str, pd.Series]]:
    """Effects against their mean, of columns of which the first stands for none."""
    used = [n for n in names if n in fit.x]
    if not used:
        return []
    first = next(n for n in names if n not in fit.x and _seen(fit, n))
    found = []
    for name in [n for n in names if n in (first, *used)]:
        w = pd.Series(0.0, fit.b.index)
        w[used] = -1 / (len(used) + 1)
        if name in used:
            w[name] += 1
        found.append((kind, name, w))
    return found


def _seen(fit: Regression, name: str) -> bool:
    days = fit.x.index
    return bool((days.day_name() == name).any() or (days.month_name() == name).any())


def _every_year(fit: Regression, month: str, effect: float) -> bool:
    """Whether a month shows a third of its effect, or more, in each year: one odd year makes no
    season.
    """
    days = fit.sales.index
    on = days.month_name() == month
    sold, said = (v[on].groupby(days[on].year).sum() for v in (fit.sales, fit.fitted))
    each = np.log((sold / said).clip(lower=1e-9)) + effect
    return bool((each / effect > LASTS).all())


def _row(fit: Regression, kind: str, name: str, per: str, w: pd.Series) -> dict[str, object]:
    size, error = float(w @ fit.b), fit.error(w)
    low, high = size - fit.critical * error, size + fit.critical * error
    sure = (low > 0 or high < 0) and (kind != "month" or _every_year(fit, name, size))
    verdict = DRIVERS["verdicts"]["unsure" if not sure else "more" if low > 0 else "less"]
    day = fit.x.index.day_name() if kind == "weekday" else fit.x.index.month_name()
    shares = {c: float(np.expm1(v)) for c, v in {"effect": size, "low": low, "high": high}.items()}
    return {
        "driver": name,
        "kind": kind,
        "per": per,
        **shares,
        "days": int((day == name).sum()),
        "verdict": verdict,
    }


def _named(column: str, values: pd.Series) -> tuple[str, str, str, float]:
    """Kind, name, range in words, and the difference that the effect is given for."""
    low, high = values.quantile([0.1, 0.9])
    counted = {"low": words.count(low), "high": words.count(high)}
    if column.startswith("spend: "):
        return "spend", _label(column), DRIVERS["spend_per"].format(**counted), high - low
    if column.startswith("calendar: "):
        return "special", _label(column), DRIVERS["names"]["on a holiday"]["per"], 1.0
    known = DRIVERS["names"][column]
    amount = known["kind"] in ("messages", "promotion", "price")
    signed = known["kind"] == "price"
    spoken = {c: words.percent(v, 1, signed=signed) for c, v in (("low", low), ("high", high))}
    per = known["per"].format(**(counted if known["kind"] == "messages" else spoken))
    return known["kind"], column, per, high - low if amount else 1.0


def _label(column: str) -> str:
    kind, _colon, rest = column.partition(": ")
    return DRIVERS["spend"].format(channel=rest) if kind == "spend" else rest or column


def _inflation(x: pd.DataFrame) -> pd.Series:
    """Variance inflation of each column: the diagonal of the inverse of their correlations."""
    return pd.Series(np.diag(np.linalg.pinv(x.corr().to_numpy())), x.columns)


def _influence(fit: Regression) -> tuple[str, bool, dict[str, object]]:
    """Fit again without the hundredth of the days with the largest Cook's distance (one step, at
    fitted weights).
    """
    z = (
        sm.add_constant(fit.x, has_constant="add").to_numpy(float)
        * np.sqrt(fit.fitted.to_numpy())[:, None]
    )
    q, _r = np.linalg.qr(z)
    lever = (q**2).sum(axis=1)
    off = ((fit.sales - fit.fitted) / np.sqrt(fit.fitted)).to_numpy()
    cook = off**2 * lever / np.clip(1 - lever, 1e-6, None) ** 2
    few = max(len(off) // 100, 1)
    keep = np.sort(np.argsort(cook)[:-few])
    again = regress(fit.sales.iloc[keep], fit.x.iloc[keep], lags=0)
    moved = (again.b - fit.b).abs() / (again.critical * np.sqrt(np.diag(again.covariances[0])))
    moved = moved[[c for c in fit.x if not c.startswith("season ")]]
    return "influence", bool(moved.max() < 1), {"days": few, "driver": _label(moved.idxmax())}


def _holdout(fit: Regression) -> tuple[float, float]:
    """Mean weekly error, as a share of sales, of the last thirteen weeks: fitted before them, and
    four-week mean.
    """
    cut = fit.sales.index[-1] - pd.Timedelta(weeks=HOLDOUT_WEEKS)
    past, ahead = fit.sales[:cut], fit.sales[cut:].iloc[1:]
    waves = [c for c in fit.x if c.startswith("season ") and (cut - past.index[0]).days < ONE_YEAR]
    early = regress(past, _useful(fit.x[:cut].drop(columns=waves)), lags=0)
    said = np.exp(
        sm.add_constant(fit.x.loc[ahead.index, early.x.columns], has_constant="add") @ early.b
    )
    recent = past[cut - pd.Timedelta(days=27) :]
    usual = recent.groupby(recent.index.day_of_week).mean()
    plain = pd.Series(ahead.index.day_of_week, ahead.index).map(usual).fillna(recent.mean())
    weeks = (ahead.index - ahead.index[0]).days // 7
    actual = ahead.groupby(weeks).sum()
    return tuple(
        float((s.groupby(weeks).sum() - actual).abs().sum() / actual.sum()) for s in (said, plain)
    )


def _daily(rows: pd.DataFrame, day: str) -> pd.DataFrame:
    rows = rows.set_index(pd.DatetimeIndex(pd.to_datetime(rows[day]))).sort_index()
    return rows.assign(value=rows["value"].astype(float))

"""What each product line and each channel will sell: ways to forecast the parts, tested on the past
(practice 3.11).
"""

from __future__ import annotations

from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from sklearn.linear_model import PoissonRegressor
from threadpoolctl import threadpool_limits

from helpers import stats
from helpers.analyze.describe import NOT_KNOWN
from helpers.analyze.predictions.sales_drivers import feast_marks
from helpers.show import words

# parts told apart, and the share of sales that makes one
OTHERS, MOST_PARTS, LEAST_SHARE = "all others", 10, 0.01
KINDS = {"category": "product line", "channel": "channel"}
RECENT = 28  # days whose level goes on
WEEKS = 13  # looked ahead
YEAR = 364  # days back to the same weekday a year ago
LAST_YEAR, SHARE_RULE = "last year's rise", "share of the total"
OWN, SCALED = "own calendar", "own calendar, fitted to the total"
RISE_SCALED = "last year's rise, fitted to the total"
PLAIN = [*stats.PLAIN, LAST_YEAR, SHARE_RULE, RISE_SCALED]
WAYS = [*PLAIN, OWN, SCALED]  # plain rules first: they win ties
ADD_UP = [SHARE_RULE, RISE_SCALED, SCALED]  # to the forecast of all sales: one of these is chosen
TOTAL, ALL_SALES = "total", "all sales"
# ridge on the calendar's effects, so that a holiday seen twice is not believed in full
SHRINK = 0.003
SURELY = 1.64  # standard errors that a gain over a plain rule must exceed
TESTED = ["kind", "part", "way", "origin_on", "weeks", "horizon", "forecast", "actual"]
AHEAD = [
    "kind",
    "part",
    "ordered_on",
    "weeks",
    "horizon",
    "forecast",
    "low",
    "high",
    "year_ago",
    "last_years_rise",
]
AHEAD += ["method"]
SCORES = [
    "kind",
    "way",
    *stats.SPANS.values(),
    "error",
    "total_error",
    "covered",
    "origins",
    "first_on",
    "last_on",
]
SCORES += ["chosen"]


def line_sales(orders: ir.Table, products: ir.Table) -> ir.Table:
    """Sales by day and part: of kind "category" and of kind "channel"; parts that nobody named are
    "not known".
    """
    lines = orders.left_join(products.select("product_id", "category"), "product_id")
    each = [
        lines.group_by("ordered_on", part=lines[kind].fill_null(NOT_KNOWN))
        .agg(revenue=_.revenue.sum())
        .mutate(kind=ibis.literal(kind))
        .select("kind", "part", "ordered_on", "revenue")
        for kind in ("category", "channel")
    ]
    return ibis.union(*each)


def part_days(sales: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Days down, parts across, by (kind, part); small parts together, and no kind that has one part
    only.

    The ten largest parts with at least a hundredth of sales stand alone, so the parts of a kind add
    up to all sales.
    """
    if not len(sales):
        return pd.DataFrame(index=pd.DatetimeIndex([]))
    days = pd.date_range(sales["ordered_on"].min(), as_of)
    found = {}
    for kind, rows in sales.groupby("kind"):
        sums = rows.groupby("part")["revenue"].sum().sort_values(ascending=False)
        large = sums.index[sums >= LEAST_SHARE * sums.sum()][:MOST_PARTS]
        named = rows["part"].where(rows["part"].isin(large), OTHERS)
        wide = rows.pivot_table("revenue", "ordered_on", named, aggfunc="sum")
        if wide.shape[1] > 1:
            order = [*large, *([OTHERS] if OTHERS in wide else [])]
            whole = wide.set_axis(pd.DatetimeIndex(wide.index)).reindex(days)[order].fillna(0.0)
            found |= {(kind, str(part)): whole[part] for part in whole}
    return pd.DataFrame(found, index=days)


@threadpool_limits.wrap(limits=1)
def backtest_lines(parts: pd.DataFrame, tested: pd.DataFrame, feasts: pd.DataFrame) -> pd.DataFrame:
    """Forecast the parts from the origins of the back-test of the total, by each way, beside what
    came.

    `tested` is the table `backtest`: its best method gives the total by week, known on each origin.
    Rows are single weeks and sums of four and of thirteen. Empty without parts, and where the total
    could not be tested.
    """
    if parts.empty:
        return pd.DataFrame(columns=TESTED)
    method, _width, _coverage = stats.choose_method(tested)
    weeks = tested[(tested["weeks"] == 1) & (tested["method"] == method)].sort_values("horizon")
    found = []
    for origin, rows in weeks.groupby("origin_on"):
        past = parts[: pd.Timestamp(origin)]
        said = forecast_parts(past, rows["forecast"].to_numpy(), feasts)
        ahead = parts[pd.Timestamp(origin) :].iloc[1 : 7 * len(rows) + 1]
        came = ahead.to_numpy().reshape(len(rows), 7, -1).sum(axis=1)
        found += [
            _spans(way, frame, came, parts.columns).assign(origin_on=origin)
            for way, frame in said.items()
        ]
    return pd.concat(found, ignore_index=True)[TESTED] if found else pd.DataFrame(columns=TESTED)


def forecast_parts(
    past: pd.DataFrame, total: np.ndarray, feasts: pd.DataFrame
) -> dict[str, np.ndarray]:
    """By way, the sales of the weeks after `past` ends: one row a week, one column a part.

    `total` is the forecast of all sales in these weeks. own calendar: weekday, time of the month,
    season and feasts of the part (a Poisson regression with a ridge), at the level of its last four
    weeks. last year's rise: the same week a year ago, times how the last thirteen weeks did against
    theirs; only with a year and a quarter of history. What is fitted to the total is scaled week by
    week, so that the parts of each kind add up to it.
    """
    weeks, recent = len(total), past.tail(RECENT)
    ones = np.ones((weeks, 1))
    four = recent.sum().clip(lower=0).to_numpy() * 7 / max(len(recent), 1)
    eight = past.tail(2 * RECENT).sum().clip(lower=0)
    share = (eight / eight.groupby(level=0).transform("sum").where(lambda s: s > 0, 1.0)).to_numpy()
    own = np.column_stack([_own_calendar(past[c], weeks, feasts) for c in past])
    plain = {}
    if len(past) >= stats.YEARLY_DAYS:
        rise = _last_years_rise(past, weeks)
        plain = {LAST_YEAR: rise, RISE_SCALED: _fitted(rise, past.columns, total)}
    return {
        "seasonal naive": ones * past.tail(7).sum().clip(lower=0).to_numpy(),
        "four-week mean": ones * four,
        **plain,
        SHARE_RULE: total[:, None] * share,
        OWN: own,
        SCALED: _fitted(own, past.columns, total),
    }


def _fitted(said: np.ndarray, columns: pd.MultiIndex, total: np.ndarray) -> np.ndarray:
    """Forecasts (weeks down, parts across), scaled so that the parts of each kind add up to the
    total of each week; a week in which no part would sell stays as it is.
    """
    kinds = columns.get_level_values(0).to_numpy()
    sums = pd.DataFrame(said.T).groupby(kinds).transform("sum").T.to_numpy()
    return said * np.divide(total[:, None], sums, out=np.ones_like(sums), where=sums > 0)


def score_ways(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a kind and way of a back-test (`backtest_lines`), the best of each kind first (table
    `line_methods`).

    Errors are sums of absolute errors over sums of sales (so large lines weigh more), by span;
    error is their mean; total_error that of the parts added up. Chosen is one of the ways whose
    parts add up to the forecast of all sales (`ADD_UP`), the one with the smallest mean of the two;
    one that is no plain rule must beat the best that is by more than chance over the origins. All
    are judged on the same origins: so many, the first on first_on and the last on last_on. covered:
    what calibrated 90 % intervals held on origins left out.
    """
    if not len(rows):
        return pd.DataFrame(columns=SCORES).astype({"chosen": bool})
    fair = _same_origins(rows)
    scores = _errors(fair, ["kind", "way"])
    scores["covered"] = rows.groupby(["kind", "way"])[TESTED].apply(_held_out)
    scores = scores.reset_index().rename_axis(columns=None)
    place = scores["way"].map({way: k for k, way in enumerate(WAYS)})
    both = (scores["error"] + scores["total_error"]).round(6)
    scores = scores.assign(both=both, place=place).sort_values(["both", "place"], kind="stable")
    each = _errors(fair, ["kind", "way", "origin_on"])
    won = {
        kind: _surest(mine["way"], (each["error"] + each["total_error"])[kind])
        for kind, mine in scores[scores["way"].isin(ADD_UP)].groupby("kind")
    }
    judged = {"origins": fair["origin_on"].nunique(), "first_on": fair["origin_on"].min()}
    scores = scores.assign(
        chosen=scores["way"] == scores["kind"].map(won), **judged, last_on=fair["origin_on"].max()
    )
    scores = scores.sort_values(
        ["kind", "chosen"], ascending=[True, False], kind="stable", ignore_index=True
    )
    return scores.reindex(columns=SCORES)


def total_ahead(daily: pd.Series, tested: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Paths of all sales of the next thirteen weeks, by the method that won the back-test of the
    total (their name).

    Empty where the history is too short for any forecast.
    """
    if len(daily) < stats.FEWEST_DAYS:
        return pd.DataFrame(index=pd.DatetimeIndex([]))
    method, width, _coverage = stats.choose_method(tested)
    return stats.sales_paths(daily, 7 * WEEKS, method, seed=seed, width=width).rename_axis(
        columns=method
    )


def forecast_lines(
    parts: pd.DataFrame, total: pd.DataFrame, rows: pd.DataFrame, feasts: pd.DataFrame
) -> pd.DataFrame:
    """The sales of each part in the weeks ahead by the way that won its kind (table
    `line_forecast`), with intervals.

    `total` holds paths of daily sales (`total_ahead`), whose mean is the total; it stands last, as
    kind "total", and is the sum of the parts of each kind. `rows`: the back-test. Without one the
    parts keep their share of the total, without interval. year_ago:
    what the same weeks sold a year ago; last_years_rise: the forecast by that way, where it was
    tested; of the total, by its own rise.
    """
    weeks = min(len(total) // 7, WEEKS)
    if not weeks or parts.empty:
        return pd.DataFrame(columns=AHEAD)
    scores = score_ways(rows)
    won = scores[scores["chosen"]].set_index("kind")["way"]
    paths = total.to_numpy()[: 7 * weeks].reshape(weeks, 7, -1).sum(axis=1)
    said, last = forecast_parts(parts, paths.mean(axis=1), feasts), _year_ago(parts, weeks)
    found = []
    for kind in parts.columns.get_level_values(0).unique():
        way = won.get(kind, SHARE_RULE)
        mine = _spans(way, said[way], last, parts.columns).query("kind == @kind")
        half = _half_widths(rows[(rows["kind"] == kind) & (rows["way"] == way)], mine)
        found.append(
            mine.assign(low=(mine["forecast"] - half).clip(lower=0), high=mine["forecast"] + half)
        )
    first_kind = parts.columns.get_level_values(0) == parts.columns[0][0]
    table = pd.concat(
        [*found, _total_rows(paths, last[:, first_kind].sum(axis=1), total.columns.name)]
    )
    table = table.merge(
        _rises(parts, weeks, scores), on=["kind", "part", "weeks", "horizon"], how="left"
    )
    first = [parts.index[-1].date() + timedelta(days=int(d)) for d in _starts(table)]
    return table.assign(ordered_on=first).rename(columns={"way": "method", "actual": "year_ago"})[
        AHEAD
    ]


def longest_span(ahead: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of the longest span ahead that begins tomorrow, the largest part first."""
    rows = ahead[(ahead["kind"] == kind) & (ahead["weeks"] == ahead["weeks"].max())]
    return rows[rows["horizon"] == rows["weeks"]].sort_values("forecast", ascending=False)


def with_total(ahead: pd.DataFrame, kind: str) -> pd.DataFrame:
    """What is shown of a kind's parts over the longest span (`longest_span`): all sales last; empty
    without parts.
    """
    parts = longest_span(ahead, kind)
    return pd.concat([parts, longest_span(ahead, TOTAL)]) if len(parts) else parts


def lines_in_words(
    scores: pd.DataFrame, ahead: pd.DataFrame, parts: pd.DataFrame, currency: str
) -> list[dict[str, str]]:
    """For each kind, which way won, how far it and its rivals were off, and what is expected of the
    largest part; then, where last year's season would lead out of the interval of the total, what
    it would give. Each is a finding; where such a season looms, those of ways that leave it out say
    so.
    """
    found, season = [], _season_in_words(ahead, parts, currency)
    for kind, mine in scores.groupby("kind"):
        best, top = mine[mine["chosen"]].iloc[0], longest_span(ahead, kind).iloc[0]
        money = {c: words.money(top[c], currency) for c in ("forecast", "low", "high")}
        spoken = f"of the ways that add up to all sales, {best['way']} is best"
        if best["way"] in PLAIN:
            spoken = f"no way surely beats {_rule_in_words(best['way'], ahead)} ({best['way']})"
        found.append(
            {
                "headline": (
                    f"By {KINDS[kind]}, {spoken}; {top['part']} is expected to sell"
                    f" {money['forecast']} in {top['weeks']} weeks"
                    + (f", {_season_left_out(best['way'], ahead)}." if season else ".")
                ),
                "evidence": (
                    f"90 % interval {money['low']} to {money['high']}. Judged on {best['origins']}"
                    " origins, "
                    f"{words.day(best['first_on'])} to {words.day(best['last_on'])}. Its parts"
                    " erred by "
                    f"{_errors_in_words(best)}{_rivals_in_words(mine, ahead)}{_held_in_words(best)}."
                ),
            }
        )
    return found + season


def _held_in_words(row: pd.Series) -> str:
    """What its intervals held, where there were origins to leave out."""
    if pd.isna(row["covered"]):
        return ""
    return f"; on origins left out its intervals held {words.percent(row['covered'])}"


def _rule_in_words(way: str, ahead: pd.DataFrame) -> str:
    """What a way of `PLAIN` is called: shares of a total that a model gave are simple, but no plain
    rule.
    """
    models = [m for m in longest_span(ahead, TOTAL)["method"] if m not in stats.PLAIN]
    return (
        f"the shares of a total by {models[0]}"
        if way in (SHARE_RULE, RISE_SCALED) and models
        else "a plain rule"
    )


def _errors_in_words(row: pd.Series) -> str:
    return f"{words.percent(row['error'], 1)}, their sum by {words.percent(row['total_error'], 1)}"


def _rivals_in_words(scores: pd.DataFrame, ahead: pd.DataFrame) -> str:
    """The best plain rule and the best other way, the chosen one aside, by the sum that the choice
    goes by.
    """
    plain = (
        scores["way"]
        .map(lambda w: w in PLAIN and _rule_in_words(w, ahead) == "a plain rule")
        .astype(bool)
    )
    rows = scores.assign(both=scores["error"] + scores["total_error"], plain=plain)
    found, best = "", rows.loc[rows["chosen"], "plain"].iloc[0]
    for kind, named in ((True, "plain rule"), (False, "way that is no plain rule")):
        for _at, row in (
            rows[~rows["chosen"] & (rows["plain"] == kind)].nsmallest(1, "both").iterrows()
        ):
            found += (
                f"; those of the best {'other ' * bool(best == kind)}{named} ({row['way']}) by"
                f" {_errors_in_words(row)}"
            )
    return found


def _season_left_out(way: str, ahead: pd.DataFrame) -> str:
    """What a forecast of a part lacks that carries on the last weeks, or follows a total
    that does.
    """
    plain = {way, longest_span(ahead, TOTAL)["method"].iloc[0]} & set(stats.PLAIN)
    return "before any season" if plain else "with less of the season than a year ago"


def _season_in_words(
    ahead: pd.DataFrame, parts: pd.DataFrame, currency: str
) -> list[dict[str, str]]:
    """What last year's rise would give for the total, where that lies outside its interval."""
    top = longest_span(ahead, TOTAL)
    if top.empty or len(parts) < stats.YEARLY_DAYS:
        return []
    top, sales = top.iloc[0], parts[parts.columns[0][0]].sum(axis=1).to_numpy()
    days = 7 * int(top["weeks"])
    ago = len(sales) - YEAR
    before = sales[ago - days : ago].sum()
    if (
        before <= 0
        or top["low"] <= (value := sales[-days:].sum() * top["year_ago"] / before) <= top["high"]
    ):
        return []
    money = {c: words.money(top[c], currency) for c in ("forecast", "low", "high", "year_ago")}
    spoken = {
        k: words.money(v, currency)
        for k, v in {"before": before, "now": sales[-days:].sum()}.items()
    }
    knows = "knows no season" if top["method"] in stats.PLAIN else "expects less of the season"
    ends = [words.money(v, currency) for v in sorted([top["forecast"], value])]
    return [
        {
            "headline": (
                f"A year ago these {top['weeks']} weeks sold {top['year_ago'] / before:.2f} times"
                f" the weeks before; the forecast chosen for all sales {knows}, and the intervals"
                f" do not hold this one: plan stock between {ends[0]} and {ends[1]}."
            ),
            "evidence": (
                f"The forecast of all sales is {money['forecast']} ({money['low']} to"
                f" {money['high']}); the same weeks a year ago sold {money['year_ago']}, the"
                f" {top['weeks']} weeks before them {spoken['before']}, the last {top['weeks']}"
                f" weeks {spoken['now']}."
            ),
            "sure": "one year shows one season; a second one would tell a season from chance",
        }
    ]


def _year_ago(past: pd.DataFrame, weeks: int) -> np.ndarray:
    """The sales of the same weeks a year before those ahead, one row a week; not known without a
    year of history.
    """
    if len(past) < YEAR:
        return np.full((weeks, past.shape[1]), np.nan)
    start = len(past) - YEAR
    return past.to_numpy()[start : start + 7 * weeks].reshape(weeks, 7, -1).sum(axis=1)


def _last_years_rise(past: pd.DataFrame, weeks: int) -> np.ndarray:
    days = 7 * WEEKS
    now, then = (
        rows.sum().clip(lower=0).to_numpy()
        for rows in (past.tail(days), past.iloc[:-YEAR].tail(days))
    )
    ratio = np.divide(now, then, out=np.zeros_like(now), where=then > 0)
    return np.where(then > 0, _year_ago(past, weeks).clip(min=0) * ratio, now / WEEKS)


def _rises(parts: pd.DataFrame, weeks: int, scores: pd.DataFrame) -> pd.DataFrame:
    """The forecasts by last year's rise of all sales, and of the parts fitted to it, by span; not
    known where it was not tested.
    """
    whole = pd.DataFrame({(TOTAL, ALL_SALES): parts[parts.columns[0][0]].sum(axis=1)})
    columns = parts.columns.append(whole.columns)
    said = np.full((weeks, len(columns)), np.nan)
    if (scores["way"] == LAST_YEAR).any():
        total = _last_years_rise(whole, weeks)
        each = _fitted(_last_years_rise(parts, weeks), parts.columns, total[:, 0])
        said = np.hstack([each, total])
    rows = _spans(LAST_YEAR, said, None, columns).rename(columns={"forecast": "last_years_rise"})
    return rows.drop(columns=["way", "actual"])


def _total_rows(paths: np.ndarray, last: np.ndarray, method: str | None) -> pd.DataFrame:
    """The total by span from its paths (one row a week, one column a path), beside a year ago."""
    each = _spans(method, paths, None, pd.MultiIndex.from_product([[TOTAL], range(paths.shape[1])]))
    by = each.groupby(["weeks", "horizon"])["forecast"]
    rows = _spans(
        method, last[:, None], last[:, None], pd.MultiIndex.from_tuples([(TOTAL, ALL_SALES)])
    )
    ends = pd.DataFrame(
        {
            "forecast": by.mean(),
            "low": by.quantile(stats.ENDS[0]),
            "high": by.quantile(stats.ENDS[1]),
        }
    )
    return rows.drop(columns="forecast").merge(ends.reset_index(), on=["weeks", "horizon"])


def _same_origins(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of origins that every way could forecast; a way that could do so from less than half of
    them is left out.
    """
    rows = rows[
        rows.groupby("way")["origin_on"].transform("nunique") * 2 >= rows["origin_on"].nunique()
    ]
    ways = rows.groupby("origin_on")["way"].transform("nunique")
    return rows[ways == ways.max()]


def _errors(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """By span, their mean (error), and the mean of all parts added up (total_error)."""
    keys = list(dict.fromkeys([*by, "weeks", "origin_on", "horizon"]))
    whole = rows.groupby(keys)[["forecast", "actual"]].sum().reset_index()
    spans = _shares_off(rows, [*by, "weeks"]).unstack("weeks")
    found = spans.rename(columns=stats.SPANS).assign(error=spans.mean(axis=1))
    return found.assign(
        total_error=_shares_off(whole, [*by, "weeks"]).unstack("weeks").mean(axis=1)
    )


def _surest(ways: pd.Series, errors: pd.Series) -> str:
    """The first of `ways` (the best first), or the best plain rule where its gain over the origins
    may be chance.
    """
    best, plain = ways.iloc[0], ways[ways.isin(PLAIN)].iloc[0]
    gain = errors[plain] - errors[best]
    unsure = len(gain) < 2 or gain.mean() <= SURELY * gain.std() / np.sqrt(len(gain))
    return plain if unsure else best


def _own_calendar(sales: pd.Series, weeks: int, feasts: pd.DataFrame) -> np.ndarray:
    n, days = len(sales), pd.date_range(sales.index[0], periods=len(sales) + 7 * weeks)
    x, y = _calendar(days, n, feasts), sales.clip(lower=0).to_numpy()
    if y.sum() <= 0:
        return np.zeros(weeks)
    trend = np.arange(n)[:, None] / 365.25
    fit = PoissonRegressor(alpha=SHRINK, solver="newton-cholesky").fit(
        np.hstack([x[:n], trend]), y / y.mean()
    )
    factor = np.exp(x @ fit.coef_[:-1])
    level = y[-RECENT:].sum() / factor[max(n - RECENT, 0) : n].sum()
    return level * factor[n:].reshape(weeks, 7).sum(axis=1)


def _calendar(days: pd.DatetimeIndex, known: int, feasts: pd.DataFrame) -> np.ndarray:
    """Columns for weekday, time of the month, holidays, and the season where `known` days show more
    than a year.
    """
    weekday = [(days.day_of_week == k) * 1.0 for k in range(6)]
    turns = [2 * np.pi * k * days.day / days.days_in_month for k in (1, 2)]
    if known >= stats.YEARLY_DAYS:
        turns += [2 * np.pi * k * days.day_of_year / 365.25 for k in (1, 2, 3)]
    waves = [f(t) for t in turns for f in (np.sin, np.cos)]
    return np.column_stack([*weekday, *waves, *feast_marks(days, feasts).values()])


def _spans(
    way: str, said: np.ndarray, came: np.ndarray | None, columns: pd.MultiIndex
) -> pd.DataFrame:
    """Single weeks and sums of four and of thirteen, with the week in which they end (horizon)."""
    found = []
    for span in (s for s in stats.SPANS if s <= len(said)):
        for first in range(0, len(said) - span + 1, span):
            part = slice(first, first + span)
            sums = {
                "forecast": said[part].sum(axis=0),
                "actual": np.nan if came is None else came[part].sum(axis=0),
            }
            found.append(
                columns.to_frame(index=False, name=["kind", "part"]).assign(
                    way=way, weeks=span, horizon=first + span, **sums
                )
            )
    return pd.concat(found, ignore_index=True)


def _starts(rows: pd.DataFrame) -> pd.Series:
    return 7 * (rows["horizon"] - rows["weeks"]) + 1


def _shares_off(rows: pd.DataFrame, by: list[str]) -> pd.Series:
    sums = (
        rows.assign(off=(rows["actual"] - rows["forecast"]).abs())
        .groupby(by)[["off", "actual"]]
        .sum()
    )
    return sums["off"] / sums["actual"].where(sums["actual"] > 0)


def _half_widths(past: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Half of the 90 % interval of each of `rows`: what nine tenths of the past errors of such sums
    stayed within.

    Each part has its own size of errors, that of its single weeks; how much larger or smaller
    errors of other spans are is learned from all parts together (split conformal prediction on
    scaled errors; Lei et al. 2018).
    """
    if not len(past):
        return pd.Series(np.nan, rows.index)
    means = past.groupby(["part", "weeks"])[["forecast", "actual"]].mean()
    # a forecast of next to nothing is unsure as well, all the more where sales came
    usual = means.max(axis=1) / 4
    off = ((past["actual"] - past["forecast"]) / _size(past, usual)).abs()
    own = off[past["weeks"] == 1].groupby(past["part"]).mean()
    scaled = off / past["part"].map(own).clip(lower=1e-6)
    near = _distance(past)
    level = scaled.groupby(near).apply(
        lambda s: s.quantile(min(stats.LEVEL * (1 + 1 / len(s)), 1.0))
    )
    return (
        _distance(rows).map(level).fillna(level.max()) * rows["part"].map(own) * _size(rows, usual)
    )


def _size(rows: pd.DataFrame, least: pd.Series) -> pd.Series:
    keys = pd.MultiIndex.from_frame(rows[["part", "weeks"]])
    return rows["forecast"].clip(
        lower=pd.Series(least.reindex(keys).to_numpy(), rows.index).clip(lower=1e-9)
    )


def _distance(rows: pd.DataFrame) -> pd.Series:
    """Kinds of sums whose errors are alike: by span, and whether they end in the first four
    weeks.
    """
    return rows["weeks"] + 0.5 * (rows["horizon"] > 4)


def _held_out(rows: pd.DataFrame) -> float:
    """Part of the sums that the 90 % intervals held, each origin judged by what the other origins
    teach.
    """
    if rows["origin_on"].nunique() < 2:
        return float("nan")
    held = []
    for _origin, own in rows.groupby("origin_on"):
        half = _half_widths(rows.drop(own.index), own)
        held.append((own["actual"] - own["forecast"]).abs() <= half)
    return float(pd.concat(held).mean())

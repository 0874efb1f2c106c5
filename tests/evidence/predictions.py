"""Season, forecasts of parts and purchase models against the truth of simulated shops.

season.csv: effects of months and weekdays on the daily orders of clean shops (5,000 customers, two a seed), by channel,
beside the true factors of demand, in logs. Orders that mailings and tests caused are left out, since they are no
season; spend by channel is held equal. The base of customers moves too, and not in a straight line: a season wins
customers who order later. That is part of the bias. largest_bias: of a single month or weekday, over all shops.
lines_ahead.csv: forecasts of product lines and channels of the same shops for the last thirteen weeks, from what was
known before them (after its two years the simulation wins no more customers), beside what was sold: mean error of the
chosen way and of the plain rules as a share of sales, bias, and how often the calibrated 90 % interval held.
purchase.csv: the ways to tell who buys next, on the test day of the same shops; said_over_seen: buyers that the chosen
way promised over those there were; auc_year_after: the area under the ROC curve of its chances on the last day, for
ordering in the year that follows.
contacts.csv: what a message adds by those held back (`message_effect`), as a share of what is spent in a quarter, on
the cleaned twins, a row a seed, beside the sales that the simulation let messages cause.
"""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import ibis
import numpy as np
import pandas as pd
from churn import clean_shop
from sklearn.metrics import roc_auc_score
from twins import World

FIRST, LAST = date(2024, 10, 1), date(2026, 9, 30)
SHOPS, CUSTOMERS = 2, 5000  # clean shops a seed, and how large
AHEAD, QUARTER = 13, 91  # weeks; days
CHANNELS = {"web": 0, "store": 1}


def score(made: World) -> dict[str, pd.DataFrame]:
    """Every table for the clean shops of one seed."""
    seed = int(made.folder.name.removeprefix("twin"))
    shops = [clean_shop(CUSTOMERS, 1000 * seed + k) for k in range(SHOPS)]
    return {
        "season": pd.concat([season(w) for _tables, w in shops]),
        "lines_ahead": pd.concat([lines_ahead(w) for _tables, w in shops]),
        "purchase": pd.concat([purchase(tables, w) for tables, w in shops]),
        "contacts": contacts(made),
    }


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, shops and intervals, and how many there were."""
    if name == "season":
        rows = rows.assign(
            bias=rows["effect"] - rows["truth"],
            covered=rows["truth"].between(rows["low"], rows["high"]),
        )
        return pd.concat(
            [
                _pooled(rows, ["channel", "kind"]),
                _pooled(rows.assign(channel="both"), ["channel", "kind"]),
            ]
        )
    if name == "lines_ahead":
        return _lines(rows)
    if name == "contacts":
        return rows.set_index("seed").round(4).reset_index()
    rows = rows.assign(beat_the_plain_rule=rows["extra_low"] > 0, lost_to_it=rows["extra_high"] < 0)
    by = rows.groupby("way", sort=False)
    columns = [
        "auc",
        "average_precision",
        "brier",
        "lift",
        "extra",
        "beat_the_plain_rule",
        "lost_to_it",
        "chosen",
    ]
    means = by[[*columns, "said_over_seen", "auc_year_after"]].mean()
    return means.assign(shops=by.size()).round(4).reset_index()


def contacts(made: World) -> pd.DataFrame:
    """What messages held back say of one twin, beside the truth at the same scale."""
    from helpers import effects

    run, told = made.run, made.truth("messages")
    shown = effects.message_effect(
        {t: run.read(t) for t in ("messages", "orders")}, run.as_of, QUARTER
    )
    true = told["caused_revenue"].sum() / told["sent"].sum() * shown.added / shown.money
    seen = {
        "sent": shown.sent,
        "held": shown.held,
        "added": shown.added,
        "low": shown.low,
        "high": shown.high,
    }
    return pd.DataFrame([seen | {"truth": true, "covered": shown.low <= true <= shown.high}])


def season(w: SimpleNamespace) -> pd.DataFrame:
    """Logs of the effects of one clean shop beside the logs of the true factors, each against their mean."""
    from helpers.analyze.predictions import sales_drivers
    from simulator.constants import DAYS

    days = pd.date_range(FIRST, LAST)
    feasts = _feasts()
    spend = w.ads[w.ads["day"] < DAYS].pivot_table("spend", "day", "channel").set_axis(days)
    moves = spend.rolling(7, 1).mean().add_prefix("spend: ")
    o, found = w.orders[w.orders["real"] & (w.orders["t"] < DAYS) & (w.orders["cause"] < 100)], []
    for channel, kind in CHANNELS.items():
        counts = np.bincount(o.loc[o["kind"] == kind, "day"], minlength=DAYS)[:DAYS]
        fit = sales_drivers.explain_sales(pd.Series(counts.astype(float), days), moves, feasts)
        effects = sales_drivers.driver_effects(fit)
        for part, factors in {"month": w.c["months"], "weekday": w.c["weekdays"][channel]}.items():
            rows, true = effects[effects["kind"] == part], np.log([f for f in factors if f])
            logs = np.log1p(rows[["effect", "low", "high"]]).assign(factor=rows["driver"])
            found.append(logs.assign(channel=channel, kind=part, truth=true - true.mean()))
    return pd.concat(found)


def lines_ahead(w: SimpleNamespace) -> pd.DataFrame:
    """What was said thirteen weeks before the end about the parts of one clean shop, beside what came."""
    from helpers import stats
    from helpers.analyze.predictions import line_forecast
    from simulator.constants import DAYS

    lines = w.lines.join(w.orders[["kind", "t", "real", "cancelled"]], on="order")
    lines = lines[lines["real"] & ~lines["cancelled"] & (lines["t"] < DAYS)]
    on = pd.Timestamp(FIRST) + pd.to_timedelta(lines["t"].astype(int), unit="D")
    category = w.products["category"].to_numpy()[lines["product"].to_numpy()]
    channel = np.where(lines["kind"] == 0, "web", "store")
    each = [
        pd.DataFrame({"kind": kind, "part": part, "ordered_on": on, "revenue": lines["revenue"]})
        for kind, part in {"category": category, "channel": channel}.items()
    ]
    sales, last = pd.concat(each), pd.Timestamp(LAST) - pd.Timedelta(weeks=AHEAD)
    parts = line_forecast.part_days(sales[sales["ordered_on"] <= last], last.date())
    daily = parts["category"].sum(axis=1)
    whole = stats.backtest(daily)
    tested = line_forecast.backtest_lines(parts, whole, _feasts())
    paths = line_forecast.total_ahead(daily, whole)
    said = line_forecast.forecast_lines(parts, paths, tested, _feasts())
    later = sales[sales["ordered_on"] > last]
    weeks = (later["ordered_on"] - last).dt.days.sub(1) // 7 + 1
    came = later.groupby([later["kind"], later["part"].astype(str), weeks])["revenue"].sum()
    total = paths.mean(axis=1).to_numpy()[: 7 * AHEAD].reshape(AHEAD, 7).sum(axis=1)
    ways = line_forecast.forecast_parts(parts, total, _feasts())
    plain = {
        f"plain {k}": ways[w]
        for k, w in enumerate(["seasonal naive", "four-week mean", line_forecast.SHARE_RULE])
    }
    for name, frame in plain.items():
        spans = line_forecast._spans(name, frame, None, parts.columns)
        said = said.merge(
            spans.rename(columns={"forecast": name})[["kind", "part", "weeks", "horizon", name]],
            on=["kind", "part", "weeks", "horizon"],
        )
    spans = [range(h - s + 1, h + 1) for h, s in zip(said["horizon"], said["weeks"], strict=True)]
    actual = [
        sum(came.get((k, p, week), 0.0) for week in span)
        for k, p, span in zip(said["kind"], said["part"], spans, strict=True)
    ]
    return said.drop(columns="ordered_on").assign(actual=actual)


def purchase(shop: dict, w: SimpleNamespace) -> pd.DataFrame:
    """The comparison in one clean shop."""
    from helpers import tables
    from helpers.analyze.predictions import purchase, purchase_models
    from simulator.constants import DAYS

    goods = pd.DataFrame(
        {
            "product_id": w.products.index.astype("str"),
            "category": w.products["category"].to_numpy(),
        }
    )
    known = {"orders": shop["orders"], "products": tables.conform(ibis.memtable(goods), "products")}
    period = purchase.choose_period(known["orders"], LAST).days
    people = purchase.known_on(
        known, purchase.cut_days(known["orders"], LAST, period), period, LAST
    )
    contest = purchase_models.race(people, period)
    models, said = purchase_models.compare_models(contest), purchase_models.said_and_seen(contest)
    scored = purchase_models.purchase_scores(people, period, contest)
    later = set(w.orders.loc[w.orders["real"] & (w.orders["t"] >= DAYS), "person"].astype("str"))
    after = roc_auc_score(scored["customer_id"].isin(later), scored["probability"])
    both = {
        "said_over_seen": (said["said"] * said["customers"]).sum() / said["buyers"].sum(),
        "auc_year_after": after,
    }
    return models.assign(**{k: np.where(models["chosen"], v, np.nan) for k, v in both.items()})


def _feasts() -> pd.DataFrame:
    from helpers.analyze.predictions import sales_drivers

    none = pd.DataFrame(columns=["held_on", "name", "kind"])
    return sales_drivers.feast_days(
        none, "DE", FIRST, pd.Timestamp(LAST) + pd.Timedelta(weeks=AHEAD)
    )


def _pooled(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    groups = rows.groupby(by, sort=False)
    found = groups.agg(
        intervals=("covered", "size"),
        seeds=("seed", "nunique"),
        covered=("covered", "mean"),
        bias=("bias", "mean"),
        mean_absolute_error=("bias", lambda b: b.abs().mean()),
    )
    each = rows.groupby([*by, "factor"])["bias"].mean().abs().groupby(by).max()
    return found.assign(largest_bias=each).round(4).reset_index()


def _lines(rows: pd.DataFrame) -> pd.DataFrame:
    held = rows["actual"].between(rows["low"], rows["high"])
    rows = rows.assign(covered=held, off=rows["actual"] - rows["forecast"])
    found = []
    for (kind, weeks), part in [*rows.groupby(["kind", "weeks"]), *((("all", "all"), rows),)]:
        sales = part["actual"].sum()
        plain = {
            name: (part["actual"] - part[f"plain {k}"]).abs().sum() / sales
            for k, name in enumerate(["seasonal_naive", "four_week_mean", "share_of_the_total"])
        }
        found.append(
            {
                "kind": kind,
                "weeks": weeks,
                "intervals": len(part),
                "seeds": part["seed"].nunique(),
                "covered": part["covered"].mean(),
                "bias": -part["off"].sum() / sales,
                "error": part["off"].abs().sum() / sales,
            }
            | plain
        )
    return pd.DataFrame(found).round(4)

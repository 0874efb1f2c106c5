"""Who is leaving a shop without contracts: what leaving means, what was known of each customer on a
day, and the ways to tell that need no model. Names and lines stand in churn.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from importlib import resources
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _
from scipy.stats import norm

from helpers import history
from helpers.client import PlaybookError, Threshold
from helpers.segment.rfm import add_type, cut_lines

CHURN = yaml.safe_load(
    resources.files(__package__).joinpath("churn.yaml").read_text(encoding="utf-8")
)
STEPS = 6  # days of the panel a horizon
SPANS = 3.5  # horizons that the history must hold: to look back, to learn, to calibrate, to test
MOST = 24  # days of the panel at most
SIGNS = [
    "mails",
    "opens",
    "unsubscribed",
    "cases",
    "slowest_reply",
    "rated",
    "rated_bad",
    "score",
    "again",
    "came",
]


def ways() -> pd.DataFrame:
    """The ways to tell leavers, by their column: name, and what each does."""
    return pd.DataFrame.from_dict(CHURN["ways"], orient="index").rename_axis("way")


class Watch(NamedTuple):
    """What leaving means for a client: no order for more than `horizon` days.

    step: days between two days of the panel, a sixth of the horizon; window: days that frequency and sales are
    counted over; asked: the horizon that the gaps alone would give; outlasted: the share of past
    gaps that were longer than `horizon`, each customer weighing the same.
    """

    horizon: int
    step: int
    window: int
    asked: int
    outlasted: float


def set_horizon(orders: ir.Table, as_of: date, window: int, unusual: float) -> Watch:
    """Set the horizon at the gap between order days that only the share `unusual` of past gaps
    outlasted.

    Each customer weighs the same, so that those who come daily do not decide for all. It is cut to
    what the history can test, and to a multiple of six days.
    """
    curve, first = gap_curve(orders, as_of), orders.ordered_on.min().to_pandas()
    known_days = 0 if pd.isna(first) else (pd.Timestamp(as_of) - pd.Timestamp(first)).days + 1
    rare, longest = curve.loc[curve["longer"] <= unusual + 1e-12, "gap"], int(known_days / SPANS)
    asked = int(rare.min()) if len(rare) else longest
    step = max(min(asked, longest) // STEPS, 1)
    shorter = curve.loc[curve["gap"] <= step * STEPS, "longer"]
    outlasted = shorter.min() if len(shorter) else float(len(curve) > 0)
    return Watch(step * STEPS, step, window, asked, float(outlasted))


def gap_curve(orders: ir.Table, as_of: date) -> pd.DataFrame:
    """The share of past gaps between order days that were `longer` than `gap` days, each customer
    weighing the same.
    """
    gaps = gap_shares(orders, as_of).to_pandas()
    return gaps.assign(longer=(1 - gaps["weight"].cumsum() / gaps["weight"].sum()).clip(lower=0))


def gap_shares(orders: ir.Table, as_of: date) -> ir.Table:
    """Days between two days with an order of the same customer: `gap`, and its `weight`; a
    customer's add up to 1.
    """
    gaps = history.gaps(orders, as_of)
    gaps = gaps.mutate(weight=1.0 / _.count().over(group_by="customer_id"))
    return gaps.group_by("gap").agg(weight=_.weight.sum()).order_by("gap")


def panel_days(as_of: date, first_on: date, watch: Watch) -> list[date]:
    """The days to look at: `as_of` and every step back, while half a horizon of history lies before
    it.
    """
    back = max((as_of - first_on).days - watch.horizon // 2, 0) // watch.step
    return [as_of - timedelta(days=watch.step * k) for k in range(min(back, MOST) + 1)]


def panel(
    tables: Mapping[str, ir.Table], days: list[date], watch: Watch, as_of: date
) -> pd.DataFrame:
    """What was known of each customer on each of `days`, and whether they left in the horizon after
    it.

    One row a day and customer with an order by then; nothing that happened later counts, but for
    `left` (no order in the horizon that follows; empty where it ends after `as_of`) and `came`, the
    sales in it. is_alive: silent for no longer than the horizon. now is the horizon that ends on
    the day, before the one before it. usual_gap: mean days between order days, with one typical gap
    of the client's added, so that few orders do not make a rhythm. `tables` must hold orders;
    messages, tickets and surveys are used where they hold rows.
    """
    on, key = history.as_days(days), ["on", "customer_id"]
    orders = tables["orders"]
    people = purchases(orders, on, watch).to_pandas()
    signs = {"messages": history.messages_before, "tickets": cases, "surveys": answers}
    parts = [known(tables[n], on, watch.horizon) for n, known in signs.items() if n in tables]
    parts.append(history.came_after(orders, on, watch.horizon))
    for part in parts:
        people = people.merge(part.to_pandas(), on=key, how="left")
    return _add_measures(people, watch, as_of).sort_values(["on", "customer_id"], ignore_index=True)


def purchases(orders: ir.Table, on: ir.Table, watch: Watch) -> ir.Table:
    """Orders and money of each customer up to each day of `on`, one row a day and customer with an
    order by then.
    """
    both = history.by_day(orders).join(on, _.ordered_on <= on.on)
    ago, bought, h = both.on.delta(both.ordered_on, unit="day"), both.orders > 0, watch.horizon
    now, before, year = ago < h, (ago >= h) & (ago < 2 * h), ago < watch.window
    found = both.group_by("on", "customer_id").agg(
        first_on=both.ordered_on.min(where=bought),
        last_on=both.ordered_on.max(where=bought),
        order_days=both.ordered_on.nunique(where=bought),
        frequency=both.orders.sum(where=year),
        monetary=both.revenue.sum(where=year),
        orders_now=both.orders.sum(where=now),
        orders_before=both.orders.sum(where=before),
        sales_now=both.revenue.sum(where=now),
        sales_before=both.revenue.sum(where=before),
        goods_now=both.goods.sum(where=now),
        given_now=both.discount.sum(where=now),
        back_now=both.back.sum(where=now),
        channels_now=both.channel.nunique(where=now & bought),
        channels_before=both.channel.nunique(where=before & bought),
    )
    return found.filter(_.order_days > 0)


def cases(tickets: ir.Table, on: ir.Table, days: int) -> ir.Table:
    """Service cases of the `days` up to each day: `cases`, `slowest_reply` in minutes, `rated` and
    `rated_bad`.

    A rating counts once the case is solved, a reply once it came.
    """
    both = tickets.filter(_.customer_id.notnull()).join(on, _.opened_at.date() < on.on)
    both = both.filter(both.on.delta(both.opened_at.date(), unit="day") <= days)
    waited = both.on.delta(both.opened_at.date(), unit="day") * 1440
    solved = both.solved_at.date() < both.on
    return both.group_by("on", "customer_id").agg(
        cases=both.count(),
        slowest_reply=ibis.least(both.first_reply_minutes, waited).max(),
        rated=(both.satisfaction.notnull() & solved).any(),
        rated_bad=(both.satisfaction.lower().isin(CHURN["rated_bad"]) & solved).any(),
    )


def answers(surveys: ir.Table, on: ir.Table, days: int) -> ir.Table:
    """Survey answers of the `days` up to each day: `score`, the mean share of the points that were
    possible.
    """
    both = surveys.filter(
        _.customer_id.notnull(), _.kind.isin(CHURN["score_kinds"]), _.score.notnull()
    )
    both = both.join(on, both.answered_at.date() < on.on)
    both = both.filter(both.on.delta(both.answered_at.date(), unit="day") <= days)
    return both.group_by("on", "customer_id").agg(score=(both.score / both.scale_max).mean())


def by_rule(people: pd.DataFrame, cuts: Mapping[str, float]) -> pd.DataFrame:
    """Add `by_rule` and `rule_score`: the experience rule on RFM.

    Late is a last order longer ago than the cut line for high recency, the median unless `cuts`
    sets it; who is late and important (high monetary value) is flagged. The score puts them first,
    then others who are late; within each, the longest silence.
    """

    def judge(day: pd.DataFrame) -> pd.DataFrame:
        lines = cut_lines(day, "median")
        typed = add_type(day, pd.Series(cuts, dtype=float).reindex(lines.index).fillna(lines))
        late, rank = ~typed["r_high"], typed["silence"] / (typed["silence"].max() + 1)
        score = late * (1.0 + typed["m_high"]) + rank
        return day.assign(by_rule=late & typed["m_high"], rule_score=score)

    return _each_day(people, judge)


def by_rhythm(people: pd.DataFrame, unusual: float) -> pd.DataFrame:
    """Add `by_rhythm` and `rhythm_score`: four kinds of deviation by three measures, the largest
    counts.

    times_usual_gap: change from the person's own rhythm. peer_silence: the share of customers who
    come as often (an eighth of all) with a shorter silence; unusual for the group, and the
    exception to the rule that such people have come by now. sales_surprise: sales below what the
    person's own sales before and the change of their group (half by sales) predicted, in robust
    standard deviations; it counts once the person is late at all. Each is measured in units of its
    line, the value that only the share `unusual` exceeds by chance (gaps at random, ranks, the
    normal curve), so a score above 1 is flagged.
    """

    def judge(day: pd.DataFrame) -> pd.DataFrame:
        eighth = np.ceil(day["frequency"].rank(pct=True) * 8)
        peers = day["silence"].groupby(eighth).rank(pct=True, method="min") - 0.5 / max(len(day), 1)
        change = np.log1p(day["sales_now"].clip(lower=0)) - np.log1p(
            day["sales_before"].clip(lower=0)
        )
        change = change.where(day["sales_before"] > 0)
        half = day["monetary"] > day["monetary"].median()
        off = change - change.groupby(half).transform("median")
        spread = off.abs().groupby(half).transform("median") * 1.4826
        surprise = -(off / spread.where(spread > 0)).where(day["times_usual_gap"] > 1)
        parts = [day["times_usual_gap"] / -np.log(unusual), np.log(1 - peers) / np.log(unusual)]
        score = np.fmax(np.fmax(*parts), surprise / -norm.ppf(unusual)).fillna(0.0)
        return day.assign(
            peer_silence=peers, sales_surprise=surprise, by_rhythm=score > 1, rhythm_score=score
        )

    return _each_day(people, judge)


def key_lines(changes: Mapping[str, Threshold]) -> pd.DataFrame:
    """The key indicators, those of churn.yaml as the client changes them.

    One row each: name, measure, above, below, reason, and `warns`, what is measured and from
    where on it warns. Raises PlaybookError for a measure that is not known.
    """
    standard = {name: Threshold(**line) for name, line in CHURN["thresholds"].items()}
    used = {name: line for name, line in {**standard, **changes}.items() if line.on}
    for name, line in used.items():
        if line.measure not in CHURN["measures"]:
            known = ", ".join(CHURN["measures"])
            raise PlaybookError(
                f'churn_thresholds.{name}: no measure "{line.measure}". Known: {known}.'
            )
    rows = [{"name": name, **line.model_dump(exclude={"on"})} for name, line in used.items()]
    lines = pd.DataFrame(rows, columns=["name", "measure", "above", "below", "reason"])
    lines = lines.astype({"above": float, "below": float})
    return lines.assign(warns=[_warns(line) for line in lines.itertuples()])


def _warns(line) -> str:
    about = CHURN["measures"][line.measure]["about"]
    limit = f"above {line.above:g}" if pd.notna(line.above) else f"below {line.below:g}"
    return f"{about}: {limit}"


def crossings(people: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Whether each row of the panel is beyond each key indicator: a column of yes or no for each of
    `lines`.
    """
    crossed = {line.name: _crossed(people, line) for line in lines.itertuples()}
    return pd.DataFrame(crossed, index=people.index)


def _crossed(people: pd.DataFrame, line) -> pd.Series:
    value = people[line.measure].astype(float)
    return value > line.above if pd.notna(line.above) else value < line.below


def by_threshold(people: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Add `by_threshold`, `threshold_score` and `sign`: key indicators beyond their lines
    (`key_lines`).

    The score is how many were crossed, and then how far up the customer stands on them among all;
    `sign` is the sentence of the first that was crossed, in the order of `lines`.
    """
    count, rank = pd.Series(0.0, people.index), pd.Series(0.0, people.index)
    sign = pd.Series("", people.index, dtype="str")
    for line in lines.iloc[::-1].itertuples():
        value, crossed = people[line.measure].astype(float), _crossed(people, line)
        rank += (
            (value if pd.notna(line.above) else -value)
            .groupby(people["on"])
            .rank(pct=True)
            .fillna(0.0)
        )
        count += crossed
        sign[crossed] = [CHURN["measures"][line.measure]["says"].format(v) for v in value[crossed]]
    return people.assign(
        sign=sign, by_threshold=count > 0, threshold_score=count + rank / (len(lines) + 1)
    )


def _each_day(people: pd.DataFrame, judge) -> pd.DataFrame:
    days = [judge(day) for _on, day in people.groupby("on", sort=False)]
    return pd.concat(days) if days else judge(people)


def _add_measures(people: pd.DataFrame, watch: Watch, as_of: date) -> pd.DataFrame:
    p = people.reindex(columns=list(dict.fromkeys([*people.columns, *SIGNS])))
    for day in ("on", "first_on", "last_on"):
        p[day] = pd.to_datetime(p[day])
    money = ["monetary", "sales_now", "sales_before", "goods_now", "given_now", "back_now"]
    p[money] = p[money].astype(float).fillna(0.0).round(6)
    counts = ["frequency", "orders_now", "orders_before", "mails", "opens", "cases", "again"]
    p[counts] = p[counts].astype(float).fillna(0.0)
    for mark in ("unsubscribed", "rated", "rated_bad"):
        p[mark] = p[mark].astype("boolean").fillna(False).astype(float)
    p["came"] = p["came"].astype(float)
    silence, span = (p["on"] - p["last_on"]).dt.days, (p["last_on"] - p["first_on"]).dt.days
    gap = span / (p["order_days"] - 1).where(p["order_days"] > 1)
    typical = gap.groupby(p["on"]).transform("median").fillna(float(watch.horizon))
    usual = (span + typical) / p["order_days"]
    known = p["on"] + pd.Timedelta(days=watch.horizon) <= pd.Timestamp(as_of)
    # whether openings are recorded at all
    tracked = p["opens"].groupby(p["on"]).transform("sum") > 0
    return p.assign(
        silence=silence,
        recency=silence.astype("Int64"),
        is_alive=silence <= watch.horizon,
        usual_gap=usual,
        times_usual_gap=silence / usual.where(usual > 0),
        known_days=(p["on"] - p["first_on"]).dt.days,
        sales_change=p["sales_now"] / p["sales_before"].where(p["sales_before"] > 0) - 1,
        orders_change=p["orders_now"] / p["orders_before"].where(p["orders_before"] > 0) - 1,
        discount=(
            p["given_now"] / (p["given_now"] + p["goods_now"]).where(p["goods_now"] > 0)
        ).fillna(0.0),
        returned=(p["back_now"] / p["goods_now"].where(p["goods_now"] > 0)).fillna(0.0).clip(0, 1),
        opened=(p["opens"] / p["mails"].where(p["mails"] > 0)).where(tracked),
        unopened=p["mails"].where((p["opens"] == 0) & tracked, 0.0),
        answered=p["score"].notna().astype(float),
        left=(p["again"] == 0).where(known).astype("boolean"),
        came=p["came"].where(known).fillna(0.0),
    )

"""Customers described by who they are, where they live and how they buy, and which of these tells
most.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from importlib import resources
from itertools import pairwise

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _

from helpers import history, stats

WORDS = yaml.safe_load(
    resources.files(__package__).joinpath("profiles.yaml").read_text(encoding="utf-8")
)
DIMENSIONS: dict[str, list[str]] = WORDS["dimensions"]
# customers that make a group of its own, groups shown beside "others" and "not known"
FEWEST, MOST = 30, 8
OTHERS, UNKNOWN = "others", "not known"


def with_goods(orders: ir.Table, products: ir.Table) -> ir.Table:
    """The order lines with `category` and `brand` of the product; empty where it is not known."""
    return orders.left_join(products.select("product_id", "category", "brand"), "product_id").drop(
        "product_id_right"
    )


def habits(lines: ir.Table, begin: date, until: date) -> ir.Table:
    """One row a customer who bought from `begin` to `until`: how they buy (of the lines of
    `with_goods`).

    favourite and brand: of which the customer bought most lines beyond what the average customer
    with as many lines would, so that what everybody buys is nobody's favourite. daypart, weekday (0
    is Monday) and channel: those of most orders. orders, sales, average; categories and channels:
    how many; discounted: share of sales on lines with a discount; coupons: share of orders with
    one. Empty where the data do not say. Returns are left out.
    """
    lines = history.purchases(lines).filter(_.ordered_on.between(begin, until))
    used = lines.coupon_discount > 0
    used = ibis.coalesce(used, lines.coupon_id.notnull()) if "coupon_id" in lines.columns else used
    lines = lines.mutate(
        used=used.cast("float64"),
        hour=_.ordered_at_local.hour(),
        day=_.ordered_on.day_of_week.index(),
    )
    parts = [((_.hour >= a) & (_.hour < b), name) for name, (a, b) in WORDS["dayparts"].items()]
    lines = lines.mutate(part=ibis.cases(*parts, else_="night"))
    people = lines.group_by("customer_id").agg(
        orders=_.order_id.nunique(),
        sales=_.revenue.sum(),
        average=_.revenue.sum() / _.order_id.nunique(),
        categories=_.category.nunique(),
        channels=_.channel.nunique(),
        discounted=_.revenue.sum(where=_.discount > 0).fill_null(0.0)
        / _.revenue.sum(where=_.discount.notnull()).nullif(0),
        coupons=_.order_id.nunique(where=_.used > 0)
        / _.order_id.nunique(where=_.used.notnull()).nullif(0),
    )
    modes = [_beyond(lines, "category", "favourite"), _beyond(lines, "brand", "brand")]
    modes += [
        _usual(lines, c, n)
        for c, n in (("part", "daypart"), ("day", "weekday"), ("channel", "channel"))
    ]
    for mode in modes:
        people = people.left_join(mode, "customer_id").drop("customer_id_right")
    return people


def answers(messages: ir.Table, redemptions: ir.Table, begin: date, until: date) -> ir.Table:
    """One row a customer contacted from `begin` to `until`, or who used a coupon then: how many of
    each.

    contacts: messages that arrived, holdouts left out; opened, clicked: of these; redeemed: coupons
    used.
    """
    end = until + timedelta(days=1)
    sent = messages.filter(
        _.sent_at >= begin,
        _.sent_at < end,
        ~_.is_holdout.fill_null(False),
        _.delivered.fill_null(True),
    )
    sent = sent.select("customer_id", contacts=1, opened=_.opened_at.notnull().cast("int64"),
                       clicked=_.clicked_at.notnull().cast("int64"), redeemed=0)  # fmt: skip
    used = redemptions.filter(_.redeemed_on.between(begin, until))
    used = used.select("customer_id", contacts=0, opened=0, clicked=0, redeemed=1)
    counts = ["contacts", "opened", "clicked", "redeemed"]
    both = ibis.union(*(t.cast(dict.fromkeys(counts, "int64")) for t in (sent, used)))
    return both.group_by("customer_id").agg(**{c: both[c].sum() for c in counts})


def service(tickets: ir.Table, begin: date, until: date) -> ir.Table:
    """One row a customer with a service case opened from `begin` to `until`: cases, complaints, and
    what they cost.

    case_cost is the cost of the `costed` cases that carry one.
    """
    end = until + timedelta(days=1)
    cases = tickets.filter(_.customer_id.notnull(), _.opened_at >= begin, _.opened_at < end)
    return cases.group_by("customer_id").agg(
        cases=_.count(),
        complaints=_.kind.lower().isin(WORDS["complaints"]).sum().fill_null(0),
        costed=_.cost.count(),
        case_cost=_.cost.sum().fill_null(0.0),
    )


def conduct(sources: dict[str, ir.Table], begin: date, until: date) -> pd.DataFrame:
    """What each customer did from `begin` to `until`: `habits`, `answers` and `service` in one row.

    `sources` holds lines, messages, redemptions and tickets. What no source tells is empty; what a
    source tells of others only is zero. response is the answer to campaigns in words.
    """
    frame = habits(sources["lines"], begin, until).to_pandas()
    frame["weekday"] = frame["weekday"].map(dict(enumerate(WORDS["weekdays"])))
    asked, used, cases = sources["messages"], sources["redemptions"], sources["tickets"]
    found = [
        answers(asked, used, begin, until).to_pandas(),
        service(cases, begin, until).to_pandas(),
    ]
    for more, known in zip(found, (len(found[0]) > 0, _any(cases)), strict=True):
        counts = [c for c in more.columns if c != "customer_id"]
        frame = frame.merge(more, on="customer_id", how="outer")
        frame[counts] = frame[counts].astype(float).fillna(0 if known else np.nan)
    words = WORDS["answers"]
    label = np.select(
        [frame[c] > 0 for c in words if c != "never"],
        [n for c, n in words.items() if c != "never"],
        words["never"],
    )
    return frame.assign(
        response=pd.Series(label, frame.index, dtype="str").where(frame["contacts"].notna())
    )


def move_signs(before: pd.DataFrame, since: pd.DataFrame) -> pd.DataFrame:
    """The signs of profiles.yaml by customer_id, from `conduct` in the earlier window and in this
    one.

    Who has no row did nothing: counts are zero, shares are unknown.
    """
    ids = pd.Index(
        pd.concat([before["customer_id"], since["customer_id"]]).unique(), name="customer_id"
    )
    windows = {"before": before.set_index("customer_id"), "since": since.set_index("customer_id")}
    made = {}
    for column, (name, *when) in WORDS["signs"].items():
        for window in when:
            values = windows[window][column].astype(float)
            empty = np.nan if column in ("discounted", "coupons") or values.isna().all() else 0.0
            made[f"{name}, {window}"] = values.reindex(ids, fill_value=empty)
    return pd.DataFrame(made, index=ids).reset_index()


def described(customers: pd.DataFrame, did: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row a customer: customer_id and every dimension of profiles.yaml; empty where it is not
    known.

    Where no age group is known it is worked out from the year of birth.
    """
    people = customers.merge(did, on="customer_id", how="outer")
    known = people.reindex(columns=["customer_id", *DIMENSIONS]).astype(
        {c: object for c in DIMENSIONS}
    )
    born = people.get("birth_year", pd.Series(np.nan, people.index)).astype(float)
    begins = WORDS["ages"]
    names = [
        f"under {begins[0]}",
        *(f"{a} to {b - 1}" for a, b in pairwise(begins)),
        f"{begins[-1]} and over",
    ]
    ages = pd.cut(as_of.year - born, [-np.inf, *begins, np.inf], right=False, labels=names).astype(
        object
    )
    known["age_band"] = known["age_band"].where(known["age_band"].notna(), ages)
    return known.assign(**{c: known[c].astype(float) for c in ("discounted", "coupons")})


def grouped(values: pd.Series, fewest: int = FEWEST, ordered: bool = False) -> pd.Series:
    """The group of each customer by one dimension: every customer is in exactly one.

    Shares are cut into none and thirds of the others. Groups of fewer than `fewest` customers, and
    those beyond the eight largest, are pooled as "others"; missing answers are "not known". Bands
    in a natural order (`ordered`) are pooled with their smaller neighbour instead.
    """
    named = (
        _bands(values.astype(float), fewest)
        if pd.api.types.is_numeric_dtype(values)
        else values.astype(object)
    )
    named = named.map(lambda v: UNKNOWN if pd.isna(v) or not str(v).strip() else str(v)).astype(
        "str"
    )
    named = _with_neighbours(named, fewest) if ordered else named
    sizes = named[named != UNKNOWN].value_counts()
    own = (
        sizes[sizes >= fewest].sort_index().sort_values(ascending=False, kind="stable").index[:MOST]
    )
    return named.where(named.isin([*own, UNKNOWN]), OTHERS)


def groupings(
    people: pd.DataFrame, kinds: tuple[str, ...] = ("who", "where", "how"), fewest: int = FEWEST
) -> pd.DataFrame:
    """`grouped` for each dimension of these kinds that tells customers apart, under its name,
    indexed by customer_id.

    A dimension counts where at least two groups are left besides "others" and "not known".
    """
    people = people.set_index("customer_id")
    made = {
        n: grouped(people[c], fewest, n in WORDS["ordered"]) for c, (n, _kind) in DIMENSIONS.items()
    }
    return pd.DataFrame(
        {n: g for n, g in made.items() if len(set(g) - {OTHERS, UNKNOWN}) > 1}, index=people.index
    )


def dimensions(groups: pd.DataFrame, *kinds: str) -> tuple[list[str], list[str]]:
    """The names of the dimensions of these kinds: those that `groups` holds, and those missing.

    Kinds: who, where and how; "sales": the groups by sales of `past_groupings`.
    """
    names = [
        n
        for n, kind in [*DIMENSIONS.values(), *((n, "sales") for n in WORDS["by_sales"].values())]
        if kind in kinds
    ]
    return [n for n in names if n in groups], [n for n in names if n not in groups]


def past_groupings(then: pd.DataFrame, known: pd.DataFrame, fewest: int = FEWEST) -> pd.DataFrame:
    """The groupings of those who ordered in an earlier window, as they stood then, with the groups
    by sales.

    then: segment, value_type, abc, stage, tier and frequency; known: of `described`. Indexed by
    customer_id.
    """
    then = then[then["frequency"] > 0].set_index("customer_id")
    groups = groupings(known[known["customer_id"].isin(then.index)], fewest=fewest).reindex(
        then.index
    )
    by_sales = {name: grouped(then[c], fewest) for c, name in WORDS["by_sales"].items()}
    return groups.assign(**{n: g for n, g in by_sales.items() if g.nunique() > 1})


def side_by_side(people: pd.DataFrame, by: pd.Series) -> pd.DataFrame:
    """The groups beside their sales, type and value; one row a group, the highest index first,
    bands in their order.

    people: indexed as `by`, with monetary, m_high and predicted_value. Columns: the group, under
    the name of `by`; customers, sales of one customer, index with its 90 % interval low to high,
    important (share of important types) and next_year (mean predicted value). The average customer
    whose answer is known has the index 100, so that an answer does not look good only because good
    customers were asked.
    """
    table = people.groupby(by).agg(
        customers=("monetary", "size"),
        sales=("monetary", "mean"),
        own=("monetary", "var"),
        important=("m_high", "mean"),
        next_year=("predicted_value", "mean"),
    )
    base = people.loc[by != UNKNOWN, "monetary"] if (by != UNKNOWN).any() else people["monetary"]
    mean, spread, n = base.mean() or np.nan, base.var(), len(base)
    ratio, mine = table["sales"] / mean, table["customers"].astype(float)
    # A ratio of two means (Taylor linearisation); a group that is part of the average moves with
    # it.
    together = 2 * ratio * (table.index != UNKNOWN)
    error = (
        np.sqrt((table["own"] * (1 / mine - together / n) + ratio**2 * spread / n).clip(lower=0))
        / mean
    )
    ends = {
        "index": ratio,
        "low": (ratio - stats.Z * error).clip(lower=0),
        "high": ratio + stats.Z * error,
    }
    table = table.assign(**{c: (100 * v).round() for c, v in ends.items()})
    order = ["customers", "sales", "index", "low", "high", "important", "next_year"]
    table = table[order].sort_values("index", ascending=False)
    table = table.loc[sorted(table.index, key=_place)] if by.name in WORDS["ordered"] else table
    return table.rename_axis(by.name).reset_index()


def telling(groups: pd.DataFrame, outcome: pd.Series) -> pd.DataFrame:
    """How much each grouping tells about an outcome, such as the sales of the next period; the most
    telling first.

    One row a column of `groups`, for the customers in its index; who has no outcome has 0. known:
    share of customers with an answer; explained, with the ends low and high of its 90 % interval;
    highest and lowest: names of groups ("others" among them); times: how many times as high the
    highest group's mean is; tells: the low end reaches the least share of profiles.yaml, so that
    more than next to nothing is explained.

    explained: by how much the group's mean misses customers less, in squares, than the mean of all;
    each customer's own outcome is left out of the means (leave-one-out cross-validation), so that
    many small groups gain nothing, and a grouping that tells nothing is near or below zero. Whether
    an answer is known at all counts for nothing, and customers without one count as not told apart.
    Empty where all have the same outcome.
    """
    rows, x = [], outcome.reindex(groups.index).astype(float).fillna(0.0)
    total = _missed(x, pd.Series("", x.index))
    for name, by in groups.items():
        known = by != UNKNOWN
        gain = (_missed(x, known.astype("str")) - _missed(x, by)).fillna(0)
        share = gain.sum() / (total.sum() or np.nan)
        ends = stats.bootstrap_interval(
            ((gain - share * total) / (total.mean() or np.nan)).to_numpy(), draws=500
        )
        means = x.groupby(by).mean().drop(UNKNOWN, errors="ignore").sort_values()
        rows.append(
            {
                "grouping": name,
                "known": known.mean(),
                "explained": share,
                "low": share + ends[0],
                "high": share + ends[1],
                "highest": means.index[-1] if len(means) else "",
                "lowest": means.index[0] if len(means) else "",
                "times": means.iloc[-1] / means.iloc[0]
                if len(means) and means.iloc[0] > 0
                else np.nan,
                "tells": share + ends[0] >= WORDS["least"],
            }
        )
    names = ["grouping", "known", "explained", "low", "high", "highest", "lowest", "times", "tells"]
    found = pd.DataFrame(rows, columns=names).dropna(subset="explained").astype({"tells": bool})
    return found.sort_values("explained", ascending=False, ignore_index=True)


def _missed(x: pd.Series, by: pd.Series) -> pd.Series:
    """Squared distance of each customer from the mean of the others in the group; 0 where alone."""
    n, mean = (x.groupby(by).transform(how) for how in ("size", "mean"))
    return ((x - mean) * n / (n - 1).where(n > 1)).pow(2).fillna(0)


def _place(band: str) -> tuple[bool, float, int]:
    """Where a band such as "under 15K", "15-24K" or "65 and over" stands; pooled and unknown ones
    last.
    """
    number, text = re.search(r"\d+(\.\d+)?", band), band.lower()
    side = (
        -1
        if re.match("under|up to|less|<", text)
        else 1
        if re.search("over|more|above|[+>]", text)
        else 0
    )
    return band in (OTHERS, UNKNOWN), float(number[0]) if number else -1.0, side


def _with_neighbours(named: pd.Series, fewest: int) -> pd.Series:
    sizes = named[named != UNKNOWN].value_counts()
    parts = [([band], sizes[band]) for band in sorted(sizes.index, key=_place)]
    while len(parts) > 1 and (len(parts) > MOST or min(n for _held, n in parts) < fewest):
        small = min(range(len(parts)), key=lambda i: parts[i][1])
        beside = min(
            (i for i in (small - 1, small + 1) if 0 <= i < len(parts)), key=lambda i: parts[i][1]
        )
        a, b = sorted((small, beside))
        parts[a : b + 1] = [(parts[a][0] + parts[b][0], parts[a][1] + parts[b][1])]
    names = {
        band: bands[0] if len(bands) == 1 else f"{bands[0]} to {bands[-1]}"
        for bands, _n in parts
        for band in bands
    }
    return named.map(names | {UNKNOWN: UNKNOWN}).astype("str")


def _bands(shares: pd.Series, fewest: int) -> pd.Series:
    shares = shares.clip(0, 1)
    none = (shares <= 0) & ((shares <= 0).sum() >= fewest)
    some = shares[~none].dropna()
    edges = sorted({0.0, *some.quantile([1 / 3, 2 / 3]).dropna(), 1.0})
    names = [f"{a * 100:.0f} to {b * 100:.0f} %" for a, b in pairwise(edges)]
    names = [f"up to {edges[1] * 100:.0f} %", *names[1:-1], f"over {edges[-2] * 100:.0f} %"][
        : len(names)
    ]
    bands = pd.cut(shares, edges, labels=names, include_lowest=True, ordered=False)
    return bands.astype(object).mask(none, "none")


def _beyond(lines: ir.Table, column: str, name: str) -> ir.Table:
    each = lines.filter(_[column].notnull()).group_by("customer_id", group=column).agg(n=_.count())
    own, alike = ibis.window(group_by="customer_id"), ibis.window(group_by="group")
    share = _.n.sum().over(alike) / _.n.sum().over(ibis.window())
    each = each.mutate(beyond=_.n - _.n.sum().over(own) * share)
    return _first(each, [_.beyond.desc(), _.n.desc(), _.group], name)


def _usual(lines: ir.Table, column: str, name: str) -> ir.Table:
    each = lines.filter(_[column].notnull()).group_by("customer_id", group=column)
    each = each.agg(n=_.order_id.nunique(), sales=_.revenue.sum())
    return _first(each, [_.n.desc(), _.sales.desc(), _.group], name)


def _first(rows: ir.Table, order: list, name: str) -> ir.Table:
    place = ibis.row_number().over(ibis.window(group_by="customer_id", order_by=order))
    return rows.mutate(place=place).filter(_.place == 0).select("customer_id", **{name: _.group})


def _any(rows: ir.Table) -> bool:
    return bool(len(rows.limit(1).to_pandas()))

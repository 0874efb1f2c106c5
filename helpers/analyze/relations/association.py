"""Which measures of a customer hang together, whatever their type, beyond what so many comparisons
bring by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib import resources
from itertools import combinations

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _
from scipy.stats import false_discovery_control, kruskal, spearmanr

from helpers import history, methods, stats
from helpers.show import words

TOLD = yaml.safe_load(
    resources.files(__package__).joinpath("association.yaml").read_text(encoding="utf-8")
)
ASSOCIATION_VERSION = TOLD["version"]
# people in a relation, people of a level, levels; the rest is `other`
FEWEST_LEVEL, MOST_LEVELS = 20, 12
FEWEST_LINES = 10  # of a customer for shares of them: a share of few lines is mostly none or all
OTHER = "other"


def customer_measures(tables: Mapping[str, ir.Table], as_of: date) -> pd.DataFrame:
    """One row a customer with an order, one column a measure of association.yaml that differs
    between customers.

    `tables` are orders, products, customers, surveys, tickets and messages. Counting is done in the
    engine. Numbers stay numbers; of categories the levels with few people are `other`, and what is
    not known is missing.
    """
    people = (
        order_measures(tables["orders"], tables["products"], as_of)
        .to_pandas()
        .set_index("customer_id")
    )
    people["favourite"] = _most(
        tables["orders"].inner_join(tables["products"], "product_id"), "category"
    )
    people["channel"] = _most(tables["orders"], "channel")
    told = (
        tables["tickets"]
        .filter(_.customer_id.notnull())
        .group_by("customer_id")
        .agg(cases=_.count())
        .to_pandas()
    )
    people["cases"] = told.set_index("customer_id")["cases"]
    people["cases"] = people["cases"].fillna(0.0) / people["orders"] if len(told) else np.nan
    people["opened"] = (
        mail_opened(tables["messages"]).to_pandas().set_index("customer_id")["opened"]
    )
    said = tables["surveys"].filter(
        _.customer_id.notnull(), _.kind.isin(["nps", "csat"]), _.score.notnull()
    )
    said = said.group_by("customer_id", "kind").agg(score=_.score.mean()).to_pandas()
    people = people.join(said.pivot(index="customer_id", columns="kind", values="score"))
    given = [m for m in TOLD["measures"] if m in tables["customers"].columns and m not in people]
    people = people.join(
        tables["customers"].select("customer_id", *given).to_pandas().set_index("customer_id")
    )
    people = people[[m for m in TOLD["measures"] if m in people]]
    people = people.apply(
        lambda c: pd.to_numeric(c).astype(float) if pd.api.types.is_numeric_dtype(c) else _levels(c)
    )
    enough = people.notna().sum() >= methods.value("relation_people")
    return people.loc[:, (people.nunique() > 1) & enough]


def order_measures(orders: ir.Table, products: ir.Table, as_of: date) -> ir.Table:
    """One row a customer: what the orders up to `as_of` say of them; the columns are explained in
    association.yaml.

    What came back is counted in money and over all receipts: a store writes a refund on a receipt
    of its own, and a shop may share one out over all lines of the order.
    """
    lines = orders.filter(_.customer_id.notnull(), _.ordered_on <= as_of)
    lines = lines.left_join(products.select("product_id", "category"), "product_id")
    bought = history.BOUGHT
    less = (_.discount.fill_null(0) > 0) | (_.coupon_discount.fill_null(0) > 0)
    each = lines.group_by("customer_id", "order_id").agg(
        on=_.ordered_on.min(), lines=bought.cast("int64").sum(),
        reduced=(bought & less).cast("int64").sum(),
        weekend=(_.ordered_on.day_of_week.index() >= 5).cast("float64").max()
    )  # fmt: skip
    by = each.filter(_.lines > 0).group_by("customer_id").agg(
        orders=_.count(), lines=_.lines.sum(), reduced=_.reduced.sum(),
        weekend=_.weekend.mean(), first_on=_.on.min(), last_on=_.on.max()
    )  # fmt: skip
    paid = ibis.ifelse(bought, _.revenue, 0.0)
    sent_back = ibis.ifelse(_.quantity < 0, -_.revenue, 0.0)
    whole = lines.group_by("customer_id").agg(
        parts=_.category.nunique(), sales=_.revenue.sum(), paid=paid.sum(), back=sent_back.sum()
    )
    day, known = ibis.literal(as_of), _.lines >= FEWEST_LINES
    return by.inner_join(whole, "customer_id").select(
        "customer_id", "orders", "sales", "parts", average_order=_.sales / _.orders, items=_.lines / _.orders,
        known_days=day.delta(by.first_on, unit="day"), silence=day.delta(by.last_on, unit="day"),
        reduced=ibis.ifelse(known, _.reduced / _.lines, ibis.null("float64")),
        weekend=ibis.ifelse(known, _.weekend, ibis.null("float64")),
        returned=ibis.ifelse(known, (_.back / _.paid.nullif(0)).clip(upper=1), ibis.null("float64"))
    )  # fmt: skip


def mail_opened(messages: ir.Table, fewest: int = 3) -> ir.Table:
    """customer_id and opened: share of the messages sent that were opened, of who got `fewest` or
    more.
    """
    sent = messages.filter(_.customer_id.notnull(), ~_.is_holdout.fill_null(False))
    each = sent.group_by("customer_id").agg(
        n=_.count(), opened=_.opened_at.notnull().cast("float64").mean()
    )
    return each.filter(_.n >= fewest).select("customer_id", "opened")


def _most(rows: ir.Table, column: str) -> pd.Series:
    """What each customer bought or used most, by customer; of equals the first by name."""
    kept = rows.filter(_.customer_id.notnull(), rows[column].notnull())
    counts = kept.group_by("customer_id", kind=column).agg(n=_.count()).to_pandas()
    counts = counts.sort_values(["customer_id", "n", "kind"], ascending=[True, False, True])
    return counts.drop_duplicates("customer_id").set_index("customer_id")["kind"]


def _levels(values: pd.Series) -> pd.Series:
    """Text with unknown as missing, and rare levels as `other`."""
    text = values.astype("str").where(values.notna())
    text = text.mask(text.str.strip().str.casefold().isin(TOLD["unknown"]))
    counts = text.value_counts()
    keep = counts.index[counts >= FEWEST_LEVEL][:MOST_LEVELS]
    text = text.where(text.isin(keep) | text.isna(), OTHER)
    return text.mask(text == OTHER) if (text == OTHER).sum() < FEWEST_LEVEL else text


def associations(people: pd.DataFrame) -> pd.DataFrame:
    """Every pair of the columns of `people`, the strongest first (table `associations`).

    left, right, kind; people: with both; strength: 0 to 1, for two numbers -1 to 1 with the
    direction; p; adjusted for the number of pairs (Benjamini and Hochberg 1995); sure: adjusted is
    at most `false_discoveries`; tied: of one family.

    Two numbers: Spearman's rank correlation. A number and a category: Kruskal and Wallis (1952),
    strength the square root of eta squared, (H - k + 1) / (n - k) (Tomczak and Tomczak 2014). Two
    categories: Cramér's V corrected for chance (Bergsma 2013). The last two are near 0 where there
    is nothing; they need no direction.
    """
    rows = [[a, b, *_relation(people[a], people[b])] for a, b in combinations(people.columns, 2)]
    found = pd.DataFrame(rows, columns=["left", "right", "kind", "people", "strength", "p"]).dropna(
        subset=["p"]
    )
    found["adjusted"] = false_discovery_control(found["p"]) if len(found) else found["p"]
    family = {m: v["family"] for m, v in TOLD["measures"].items()}
    tied = [
        family.get(a, a) == family.get(b, b)
        for a, b in zip(found["left"], found["right"], strict=True)
    ]
    found = found.assign(
        sure=found["adjusted"] <= methods.value("false_discoveries"),
        tied=np.array(tied, bool),
        size=found["strength"].abs(),
    )
    return (
        found.sort_values(["size", "left"], ascending=[False, True])
        .drop(columns="size")
        .reset_index(drop=True)
    )


def _relation(left: pd.Series, right: pd.Series) -> tuple[str, int, float, float]:
    """kind, people, strength, p."""
    both = pd.DataFrame({"a": left, "b": right}).dropna()
    numbers = [pd.api.types.is_numeric_dtype(c) for c in (left, right)]
    n, nothing = len(both), ("table", len(both), np.nan, np.nan)
    if n < methods.value("relation_people") or (both.nunique() < 2).any():
        return nothing
    if all(numbers):
        rho, p = spearmanr(both["a"], both["b"])
        return "rank", n, float(rho), float(p)
    if not any(numbers):
        return "table", n, *stats.cramers_v(pd.crosstab(both["a"], both["b"]))
    number, level = ("a", "b") if numbers[0] else ("b", "a")
    groups = [g.to_numpy() for _name, g in both.groupby(level)[number] if len(g) > 1]
    if len(groups) < 2:
        return nothing
    h, p = kruskal(*groups)
    many, k = sum(map(len, groups)), len(groups)
    return "levels", many, float(np.sqrt(max((h - k + 1) / (many - k), 0))), float(p)


def association_grid(found: pd.DataFrame, measures: pd.Index) -> pd.DataFrame:
    """Strengths of the sure relations, without direction, below the diagonal; columns are numbers
    of the rows.
    """
    place = {m: i for i, m in enumerate(measures)}
    grid = np.full((len(place), len(place)), np.nan)
    sure = found[found["sure"]]
    at = np.sort(
        np.column_stack([sure["left"].map(place), sure["right"].map(place)]), axis=1
    ).astype(int)
    grid[at[:, 1], at[:, 0]] = sure["strength"].abs()
    rows = [f"{i + 1} {says(m)}" for m, i in place.items()]
    return (
        pd.DataFrame(grid, rows, [str(i + 1) for i in place.values()]).iloc[:, :-1]
        if place
        else pd.DataFrame()
    )


def says(measure: str) -> str:
    """A measure in words."""
    return TOLD["measures"].get(measure, {}).get("says", measure.replace("_", " "))


def tell_relations(
    found: pd.DataFrame, people: pd.DataFrame, currency: str = "", most: int = 8
) -> pd.DataFrame:
    """The strongest sure relations between families, one row each: measures, how, strength, people,
    said.

    Of a family that `as_one` names, only the measure with the strongest relation is told; of
    `exposure` none is.
    """
    plain = found[["left", "right"]].isin(TOLD["exposure"]).any(axis=1)
    strong = found["strength"].abs() >= TOLD["strengths"][-1][0]
    news = found[found["sure"] & ~found["tied"] & ~plain & strong]
    news = news[~news[["left", "right"]].map(_one).apply(frozenset, axis=1).duplicated()].head(most)
    lines = [
        (
            f"{says(r.left)} and {says(r.right)}",
            _word(r.strength),
            r.strength,
            r.people,
            _say(r, people, currency),
        )
        for r in news.itertuples()
    ]
    return pd.DataFrame(lines, columns=["measures", "how", "strength", "people", "said"])


def _one(measure: str) -> str:
    family = TOLD["measures"].get(measure, {}).get("family", measure)
    return family if family in TOLD["as_one"] else measure


def _word(strength: float) -> str:
    return next(word for least, word in TOLD["strengths"] if abs(strength) >= least)


def _say(relation: object, people: pd.DataFrame, currency: str) -> str:
    """What is seen, in a few words."""
    a, b = relation.left, relation.right
    both = people[[a, b]].dropna()
    if relation.kind == "rank":
        return (
            f"the higher the {says(a)}, the {'higher' if relation.strength > 0 else 'lower'} the"
            f" {says(b)}"
        )
    both = both[(both != OTHER).all(axis=1)]
    if relation.kind == "levels":
        number, level = (a, b) if pd.api.types.is_numeric_dtype(both[a]) else (b, a)
        means, n = both.groupby(level)[number].mean(), both[level].value_counts()
        most, least = means.idxmax(), means.idxmin()
        return (
            f"{says(number)} is highest where {says(level)} is {most}"
            f" ({_figure(means[most], number, currency)} on average, n = {words.count(n[most])}),"
            f" lowest where it is {least} ({_figure(means[least], number, currency)}, n ="
            f" {words.count(n[least])})"
        )
    counts = pd.crosstab(both[a], both[b])
    expected = np.outer(counts.sum(axis=1), counts.sum()) / counts.to_numpy().sum()
    row, column = ((counts - expected) / np.sqrt(expected)).stack().idxmax()
    share = counts.loc[row, column] / counts.loc[row].sum()
    usual = counts[column].sum() / counts.to_numpy().sum()
    return (
        f"where {says(a)} is {row} (n = {words.count(counts.loc[row].sum())}), {says(b)} is"
        f" {column} for {words.percent(share)}, of all for {words.percent(usual)}"
    )


def _figure(value: float, measure: str, currency: str) -> str:
    unit = TOLD["measures"].get(measure, {}).get("unit")
    return (
        words.percent(value)
        if unit == "share"
        else words.money(value, currency if unit == "money" else "")
    )

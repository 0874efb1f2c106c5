"""Which products sell, which lie, how long stock lasts, and what people look for in vain (practice
3.15).
"""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _
from scipy.stats import gamma, hypergeom

from helpers import history, stats

LISTS = yaml.safe_load(
    resources.files(__package__).joinpath("assortment.yaml").read_text(encoding="utf-8")
)
RECENT, AHEAD, LONG, YEAR = LISTS["recent_weeks"], LISTS["ahead_weeks"], LISTS["heap"], 52


def unit_costs(orders: ir.Table, products: ir.Table) -> ir.Table:
    """Cost of one unit by product: that of the product list, else what its lines cost on
    average.
    """
    known = orders.filter(_.cost.notnull(), history.BOUGHT, _.product_id.notnull())
    paid = known.group_by("product_id").agg(line_cost=_.cost.sum() / _.quantity.sum())
    both = products.select("product_id", "unit_cost").outer_join(paid, "product_id")
    name = ibis.coalesce(both.product_id, both.product_id_right)
    return both.select(product_id=name, cost=ibis.coalesce(both.unit_cost, both.line_cost)).filter(
        _.cost.notnull()
    )


def product_sales(orders: ir.Table, products: ir.Table, as_of: date) -> ir.Table:
    """Units, revenue and last day of sale of each product: a year back, lately, and in the same
    weeks a year ago.

    Products of the list that never sold have zeros and no days. Returns are taken off.
    `units_then`, `units_after` and `units_later` are the recent weeks a year ago, the weeks that
    came next, and those after them: their ratios are the season of what is to come.
    """
    day = _.ordered_on
    weeks = {
        k: as_of - timedelta(weeks=k)
        for k in (RECENT, YEAR, YEAR + RECENT, YEAR - AHEAD, YEAR - LONG)
    }
    sums = (
        orders.filter(_.product_id.notnull(), day <= as_of)
        .group_by("product_id")
        .agg(
            units_year=_.quantity.sum(where=day > weeks[YEAR]).fill_null(0.0),
            revenue=_.revenue.sum(where=day > weeks[YEAR]).fill_null(0.0).round(2),
            lines=_.count(where=day > weeks[YEAR]),
            units_recent=_.quantity.sum(where=day > weeks[RECENT]).fill_null(0.0),
            lines_recent=_.count(where=(day > weeks[RECENT]) & (history.BOUGHT)),
            units_then=_.quantity.sum(
                where=(day > weeks[YEAR + RECENT]) & (day <= weeks[YEAR])
            ).fill_null(0.0),
            units_after=_.quantity.sum(
                where=(day > weeks[YEAR]) & (day <= weeks[YEAR - AHEAD])
            ).fill_null(0.0),
            units_later=_.quantity.sum(
                where=(day > weeks[YEAR - AHEAD]) & (day <= weeks[YEAR - LONG])
            ).fill_null(0.0),
            first_on=day.min(),
            last_on=day.max(where=history.BOUGHT),
        )
    )
    about = products.select("product_id", "name", "category")
    both = sums.outer_join(about, "product_id")
    both = both.mutate(product_id=ibis.coalesce(both.product_id, both.product_id_right)).drop(
        "product_id_right"
    )
    return both.mutate(
        **{
            c: both[c].fill_null(0)
            for c in sums.columns
            if c not in ("product_id", "first_on", "last_on")
        }
    )


def assortment(
    sales: pd.DataFrame, costs: pd.Series, stock: pd.DataFrame, as_of: date
) -> pd.DataFrame:
    """One row a product that sold or is in stock: how it sells, what it earns, how long its stock
    lasts, and which list it is on (table).

    `rate` is units a week in the weeks ahead: the rate of the recent weeks, times what followed
    them in its category a year ago, where orders reach back so far. `rate_later` is that of the
    weeks after them, up to those of a heap: a season does not last. `cover` is the weeks until the
    stock is sold at these rates; its interval takes purchases as Poisson (Garwood 1936). GMROI is
    the year's gross margin over the cost of the stock now on hand; empty for what is to reorder,
    where one almost divides by nothing.
    """
    stocked = stock.loc[stock["on_hand"] > 0, "product_id"] if len(stock) else []
    sales = sales[sales["first_on"].notna() | sales["product_id"].isin(stocked)].reset_index(
        drop=True
    )
    table = sales.assign(
        category=sales["category"].fillna("not known"),
        name=sales["name"].fillna(sales["product_id"]),
    )
    whole = table["first_on"].min() if len(table) else pd.NaT
    known = len(table) > 0 and pd.Timestamp(whole) <= pd.Timestamp(as_of) - pd.Timedelta(
        weeks=YEAR + RECENT - 1
    )
    sums = (
        table.groupby("category")[["units_then", "units_after", "units_later"]]
        .transform("sum")
        .clip(lower=0)
    )
    then = (sums["units_then"] / RECENT).replace(0, np.nan)
    recent = table["units_recent"].clip(lower=0) / RECENT
    spans = {
        "season": sums["units_after"] / AHEAD,
        "season_later": sums["units_later"] / (LONG - AHEAD),
    }
    for name, units in spans.items():
        table[name] = (units / then).clip(*LISTS["season"]).fillna(1.0) if known else 1.0
    table["rate"], table["rate_later"] = recent * table["season"], recent * table["season_later"]
    table["unit_cost"] = table["product_id"].map(costs).astype(float)
    table["margin"] = table["revenue"] - table["units_year"] * table["unit_cost"]
    on_hand = stock.groupby("product_id")["on_hand"].sum() if len(stock) else pd.Series(dtype=float)
    table["on_hand"] = table["product_id"].map(on_hand).astype(float)
    lying = table["on_hand"].clip(lower=0)
    table["gmroi"] = table["margin"] / (lying * table["unit_cost"]).replace(0, np.nan)
    lines = table["lines_recent"].to_numpy(float)
    least = gamma.ppf(stats.ENDS[0], np.maximum(lines, 1e-9))
    most = gamma.ppf(stats.ENDS[1], lines + 1)
    lying = lying.where(table["on_hand"].notna())
    for name, times in {
        "cover": 1,
        "cover_low": most / lines.clip(1),
        "cover_high": least / lines.clip(1),
    }.items():
        table[name] = _weeks(lying, table["rate"] * times, table["rate_later"] * times)
    table.loc[lines == 0, ["cover_low", "cover_high"]] = np.nan
    table["rank"] = table["revenue"].rank(ascending=False, method="first").astype(int)
    table["list"] = _which_list(table, as_of)
    table["gmroi"] = table["gmroi"].mask(table["list"] == "reorder")
    return table.sort_values("rank", ignore_index=True)


def _weeks(stock: pd.Series, rate: pd.Series, later: pd.Series) -> pd.Series:
    """Weeks that a stock lasts which sells at one rate in the weeks ahead and at another after
    them.
    """
    near = stock / rate.replace(0, np.nan)
    return near.where(near <= AHEAD, AHEAD + (stock - AHEAD * rate) / later.replace(0, np.nan))


def _which_list(table: pd.DataFrame, as_of: date) -> np.ndarray:
    new = pd.to_datetime(table["first_on"]) > pd.Timestamp(as_of) - pd.Timedelta(weeks=RECENT)
    best = (table["rank"] <= max(len(table) * LISTS["best"], 1)) & (table["revenue"] > 0)
    still = (table["units_recent"] <= 0) & ~new
    short = (table["cover"] < LISTS["short"]) & (table["units_recent"] > 0)
    heap = (table["cover_low"] > LONG) | (still & (table["on_hand"] > 0))
    last = (table["revenue"].rank(pct=True) <= LISTS["slow"]) & ~new
    choices = {
        "reorder": short,
        "sell off": heap,
        "best seller": best,
        "no sale lately": still,
        "slow seller": last,
    }
    return np.select(list(choices.values()), list(choices), "usual")


def stock_list(products: pd.DataFrame, name: str) -> pd.DataFrame:
    """The products to `reorder`, soonest gone first, or to `sell off`, longest lying first (from
    `assortment`).

    `lately` and `ahead` are units a week: in the recent weeks, and expected in the weeks that the
    list looks at.
    """
    rows = products[products["list"] == name]
    rows = rows.assign(lately=rows["units_recent"] / RECENT, ahead=rows["rate"])
    if name == "reorder":
        return rows.sort_values(["cover", "revenue"], ascending=[True, False], ignore_index=True)
    rows["ahead"] = (rows["rate"] * AHEAD + rows["rate_later"] * (LONG - AHEAD)) / LONG
    return rows.sort_values("cover", ascending=False, ignore_index=True, na_position="first")


def range_ends(products: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """The best sellers, what sold most in the year of what had no sale lately, and the slowest that
    earned money.
    """
    rows = products.assign(
        list=products["list"].mask(products["rank"] <= most, "best seller")
    ).sort_values("rank")
    ends = {
        "best seller": rows,
        "no sale lately": rows,
        "slow seller": rows[rows["revenue"] >= 1][::-1],  # a free sample is no slow seller,
    }
    return pd.concat(
        [r[r["list"] == name].head(most) for name, r in ends.items()], ignore_index=True
    )


def stock_now(stock: ir.Table) -> ir.Table:
    """The last count of each product and place."""
    last = stock.group_by("product_id", "store_id").agg(stocked_on=_.stocked_on.max())
    at = last.mutate(place=_.store_id.fill_null("")).drop("store_id")
    counts = stock.mutate(place=_.store_id.fill_null(""))
    keep = counts.semi_join(at, ["product_id", "place", "stocked_on"])
    return keep.select("product_id", "store_id", "stocked_on", "on_hand")


def search_terms(events: ir.Table) -> ir.Table:
    """What was searched for, and how often; small and large letters are the same."""
    return _asked(events).group_by("term").agg(searches=_.count())


def name_matches(terms: pd.DataFrame, names: pd.DataFrame) -> pd.DataFrame:
    """Pairs of `term` and `product_id` where a name holds the term in whole words; "towels" finds
    "Bath Towel".

    Chinese is written without spaces, so a term without Latin letters may stand anywhere in a name.
    """
    known = names.dropna(subset=["name"])
    stems = [f" {_stems(n)} " for n in known["name"]]
    asked = [(t, f" {_stems(t)} " if t.isascii() else _stems(t)) for t in terms["term"]]
    pairs = [
        (t, p) for t, s in asked for p, n in zip(known["product_id"], stems, strict=True) if s in n
    ]
    return pd.DataFrame(pairs, columns=["term", "product_id"]).astype("str")


def searches(events: ir.Table, matches: pd.DataFrame) -> ir.Table:
    """Visits with each search term, and those that later in the visit viewed, or bought, a product
    called so.
    """
    asked = _asked(events).group_by("term", "session_id").agg(at=_.occurred_at.min())
    acts = events.filter(_.session_id.notnull(), _.event_name.isin(["view_item", "purchase"]))
    pairs = ibis.memtable(matches, schema=ibis.schema(dict.fromkeys(matches.columns, "string")))
    acts = acts.inner_join(pairs, "product_id").select(
        "term", "session_id", "event_name", "occurred_at"
    )
    same = [
        asked.term == acts.term,
        asked.session_id == acts.session_id,
        acts.occurred_at >= asked.at,
    ]
    then = asked.left_join(acts, same)
    visit = then.group_by("term", "session_id").agg(
        viewed=(_.event_name == "view_item").ifelse(1, 0).max(),
        bought=(_.event_name == "purchase").ifelse(1, 0).max(),
    )
    return visit.group_by("term").agg(
        visits=_.count(), viewed=_.viewed.fill_null(0).sum(), bought=_.bought.fill_null(0).sum()
    )


def searches_in_vain(
    terms: pd.DataFrame, found: pd.DataFrame, matches: pd.DataFrame
) -> pd.DataFrame:
    """Terms, those in vain and the most searched first: products called so, shares of visits that
    viewed or bought.

    `usual` is the share that bought over all terms that name a product; `verdict` says what to make
    of the term. Seldom bought is a term that so few would buy after less than once in twenty such
    tables, were it like the others: an exact test (Fisher 1935), with the number of terms looked at
    (Bonferroni).
    """
    columns = [
        "term",
        "searches",
        "products",
        "visits",
        "view_share",
        "buy_share",
        "usual",
        "verdict",
    ]
    if terms.empty:
        return pd.DataFrame(columns=columns)
    rows = terms.merge(found, on="term").sort_values(
        ["searches", "term"], ascending=[False, True], ignore_index=True
    )
    rows["products"] = rows["term"].map(matches.groupby("term").size()).fillna(0).astype(int)
    rows["view_share"], rows["buy_share"] = (
        rows["viewed"] / rows["visits"],
        rows["bought"] / rows["visits"],
    )
    there = rows["products"] > 0
    bought, visits = rows.loc[there, ["bought", "visits"]].sum()
    rows["usual"], says = bought / max(visits, 1), LISTS["verdicts"]
    chance = hypergeom.cdf(rows["bought"], max(visits, 1), bought, rows["visits"].where(there, 0))
    seldom = chance * there.sum() < stats.ENDS[0]
    rows["verdict"] = np.select([~there, seldom], [says["missing"], says["weak"]], says["usual"])
    first = rows["verdict"].map(list(says.values()).index)
    return rows.assign(first=first).sort_values("first", kind="stable", ignore_index=True)[columns]


def _asked(events: ir.Table) -> ir.Table:
    asked = events.filter(_.search_term.notnull(), _.session_id.notnull())
    return asked.mutate(term=_.search_term.lower().strip()).filter(_.term != "")


def _stems(text: str) -> str:
    return " ".join(map(_stem, text.casefold().split()))


def _stem(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word

"""Baskets: what is bought together more than chance would have it, and whether that held later."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from datetime import date
from importlib import resources
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _
from scipy.stats import binom, false_discovery_control, gamma

from helpers import history, methods, stats, tables
from helpers.advertised import worth_telling

# as it is imported, mlxtend turns on the deprecations of every library
with warnings.catch_warnings():
    from mlxtend.frequent_patterns import fpgrowth

ADVICE = yaml.safe_load(
    resources.files(__package__).joinpath("baskets.yaml").read_text(encoding="utf-8")
)
BASKETS_VERSION = ADVICE["version"]
# different items in a basket; each number begins a class of sizes
SIZES = [2, 3, 4, 5, 6, 8, 11, 16, 21, 31, 51]
# baskets of an item in the earlier part, and share of them, to be looked at
FEWEST, FEWEST_SHARE = 20, 0.001
LEAST = 5  # baskets of a pair in the earlier part
SET_SHARE, SET_ITEMS = 0.005, 20  # sets of three: least share of baskets, items looked at


class Counts(NamedTuple):
    """What the engine counted, earlier (`late` 0) and later (1).

    names: the items looked at, by number; items: item, late, kind (class of basket size), baskets;
    pairs: first, second (numbers), baskets, baskets_later, buyers; sizes: late, kind, baskets, and
    apart: by how much more seldom two different items meet than two draws would (of a basket of
    two, the second is always another than the first).
    """

    names: pd.Series
    items: pd.DataFrame
    pairs: pd.DataFrame
    sizes: pd.DataFrame


def basket_items(orders: ir.Table, products: ir.Table, level: str, cut: date) -> ir.Table:
    """One row a basket and item: order_id, item, late (1 after `cut`), buyer, size (different
    items), kind.

    `level` is product_id, or a column of `products`: name, subcategory or category; buyer is the
    customer, and where none is known, the basket itself; kind is the class of size (`SIZES`).
    Returns do not count.
    """
    lines = _goods(orders, products, level).mutate(buyer=ibis.coalesce(_.customer_id, _.order_id))
    items = lines.select(
        "order_id", "buyer", "item", late=(_.ordered_on > cut).cast("int8")
    ).distinct()
    sizes = items.group_by("order_id").agg(size=_.count())
    kind = ibis.cases(*((sizes["size"] < end, i) for i, end in enumerate(SIZES)), else_=len(SIZES))
    sized = items.inner_join(sizes.mutate(kind=kind), "order_id")
    return sized.select("order_id", "buyer", "item", "late", "size", "kind")


def _goods(orders: ir.Table, products: ir.Table, level: str) -> ir.Table:
    """The lines bought of products that have a `level`, with it as item."""
    goods = products.select("product_id", item=products[level]).filter(_.item.notnull())
    return orders.filter(history.BOUGHT).inner_join(goods, "product_id")


def range_level(products: ir.Table) -> str:
    """The finest grouping of the range that the client has: subcategory, else category."""
    return "subcategory" if products.subcategory.nunique().to_pandas() > 1 else "category"


def pair_counts(items: ir.Table, least: int = LEAST) -> ir.Table:
    """Baskets that hold both: first, second, baskets, baskets_later, buyers; first comes before
    second.

    A self-join on the basket. Pairs in fewer than `least` baskets of the earlier part, or of fewer
    buyers in all, are left out.
    """
    left = items.select("order_id", "late", "buyer", first=_.item)
    right = items.select("order_id", second=_.item)
    both = left.inner_join(right, [left.order_id == right.order_id, left.first < right.second])
    each = both.group_by("first", "second").agg(
        whole=_.count(), baskets_later=_.late.sum(), buyers=_.buyer.nunique()
    )
    each = each.mutate(baskets=_.whole - _.baskets_later).filter(
        _.baskets >= least, _.buyers >= least
    )
    return each.select("first", "second", "baskets", "baskets_later", "buyers")


def count_baskets(items: ir.Table, fewest: int = FEWEST, share: float = FEWEST_SHARE) -> Counts:
    """Count items and pairs of the rows of `basket_items`.

    Items in fewer baskets of the earlier part than `fewest`, or than `share` of them, are left out:
    they can be in no pair that would be seen (Agrawal and Srikant 1994). Sizes of baskets count
    them.
    """
    each = items.group_by("order_id", "late", "kind").agg(size=_.count())
    sizes = each.group_by("late", "kind").agg(
        baskets=_.count(), one=_["size"].sum(), two=(_["size"] * (_["size"] - 1)).sum()
    )
    sizes = sizes.order_by("late", "kind").to_pandas()
    sizes["apart"] = sizes["two"] * sizes["baskets"] / sizes["one"] ** 2
    early = sizes.loc[sizes["late"] == 0, "baskets"].sum()
    often = (
        items.filter(_.late == 0)
        .group_by("item")
        .agg(n=_.count())
        .filter(_.n >= max(fewest, share * early))
    )
    often = often.select("item", code=ibis.row_number().over(order_by="item")).cache()
    who = (
        items.select("buyer")
        .distinct()
        .select("buyer", number=ibis.row_number().over(order_by="buyer"))
        .cache()
    )
    coded = items.inner_join(often, "item").inner_join(who, "buyer")
    # numbers join faster
    coded = coded.select("order_id", "late", "kind", item=_.code, buyer=_.number).cache()
    counted = coded.group_by("item", "late", "kind").agg(baskets=_.count()).to_pandas()
    pairs = pair_counts(coded).order_by("first", "second").to_pandas()
    names = often.order_by("code").to_pandas().set_index("code")["item"]
    return Counts(names, counted, pairs, sizes[["late", "kind", "baskets", "apart"]])


def pair_rules(counts: Counts) -> pd.DataFrame:
    """Rules found in the earlier part and judged in the later, the surest first; one row a pair
    that beats chance.

    first (the rarer) and second; buyers of both; baskets with both, first_baskets, second_baskets;
    support (share of baskets), confidence (of baskets with the first, those with the second), back
    (the other way), lift (times as often as if items fell into baskets independently); alike: times
    as often as in baskets filled by chance, each of its own size; at_least, at_most: its 90 %
    interval (Garwood 1936); extra: baskets beyond those; p, and adjusted for all pairs that could
    have been seen (Benjamini and Hochberg 1995). Columns ending in _later: the same in the later
    part, where nothing was chosen; holds: the pair beats chance there too.

    Large baskets hold many pairs, and lift takes that for a bond; `alike` does not: it compares
    with baskets of the same size, stratum by stratum (Mantel and Haenszel 1959). p is the upper
    tail of a Poisson, which is cautious. Baskets of one buyer are alike, so in p and intervals a
    pair counts once for a buyer.
    """
    rows, n = counts.pairs.copy(), len(counts.names)
    for late, end in ((0, ""), (1, "_later")):
        _judge(rows, counts, late, end)
    # pairs too rare to count could have been seen, too
    p = np.r_[rows["p"], np.ones(n * (n - 1) // 2 - len(rows))]
    rows["adjusted"] = false_discovery_control(p)[: len(rows)] if len(p) else p
    rows = rows[rows["adjusted"] <= methods.value("false_discoveries")].sort_values(
        ["at_least", "first", "second"], ascending=[False, True, True]
    )
    rows = rows.reset_index(drop=True).assign(holds=False)
    if len(rows):
        level = methods.value("false_discoveries")
        rows["holds"] = false_discovery_control(rows["p_later"]) <= level
    rows[["first", "second"]] = (
        rows[["first", "second"]].apply(lambda c: c.map(counts.names)).astype("str")
    )
    return rows


def _judge(rows: pd.DataFrame, counts: Counts, late: int, end: str) -> None:
    """Add the columns of one part, with `end` after their names."""
    sizes = counts.sizes[counts.sizes["late"] == late]
    part = counts.items[counts.items["late"] == late]
    table = np.zeros((len(counts.names), len(SIZES) + 1))
    table[part["item"], part["kind"]] = part["baskets"]
    weight = np.zeros(len(SIZES) + 1)
    weight[sizes["kind"]] = sizes["apart"] / sizes["baskets"]
    if not late:  # the rarer comes first: its buyers are the ones to whom the other says something
        swap = table.sum(axis=1)[rows["first"]] > table.sum(axis=1)[rows["second"]]
        rows.loc[swap, ["first", "second"]] = rows.loc[swap, ["second", "first"]].to_numpy()
    one, two = (table[rows[c]].sum(axis=1) for c in ("first", "second"))
    expected = np.einsum("nk,nk,k->n", table[rows["first"]], table[rows["second"]], weight).clip(
        1e-9
    )
    n, baskets = rows[f"baskets{end}"].to_numpy(), max(sizes["baskets"].sum(), 1)
    rows[f"first_baskets{end}"], rows[f"second_baskets{end}"] = one.astype(int), two.astype(int)
    rows[f"support{end}"], rows[f"confidence{end}"], rows[f"back{end}"] = (
        n / baskets,
        n / one.clip(1),
        n / two.clip(1),
    )
    rows[f"lift{end}"] = n * baskets / (one * two).clip(1)
    rows[f"alike{end}"], rows[f"extra{end}"] = n / expected, n - expected
    once = (rows["buyers"] / (rows["baskets"] + rows["baskets_later"])).to_numpy()
    n, expected = (n * once).clip(1e-9), expected * once  # who buys the pair again counts once
    # the upper tail of a Poisson, for numbers between counts, too
    rows[f"p{end}"] = gamma.cdf(expected, n)
    rows[f"at_least{end}"] = gamma.ppf(stats.ENDS[0], n) / expected
    rows[f"at_most{end}"] = gamma.ppf(stats.ENDS[1], n + 1) / expected


def advise(
    rules: pd.DataFrame, products: pd.DataFrame, never: Collection[str] = ()
) -> pd.DataFrame:
    """Add pair (in words), first_name, second_name, told (common enough), and advice and do of
    baskets.yaml.

    Ids of products get their names; a pair of one name (sizes or flavours of one thing) is left
    out, and one with a word of `never` in a name is not told.
    """
    named = products.set_index("product_id")["name"]
    names = {
        f"{c}_name": rules[c].map(named).fillna(rules[c]).astype("str") for c in ("first", "second")
    }
    rules = rules.assign(**names)
    rules = rules[
        rules["first_name"].str.casefold() != rules["second_name"].str.casefold()
    ].reset_index(drop=True)
    reached = [
        np.all([rules[c] >= v for c, v in line["least"].items()], axis=0)
        for line in ADVICE["advice"][:-1]
    ]
    lines = np.select(reached, range(len(reached)), len(reached)) if len(rules) else []
    told = {
        to: [ADVICE["advice"][i][of] for i in lines]
        for to, of in (("advice", "name"), ("do", "do"))
    }
    pair = rules["first_name"] + " + " + rules["second_name"]
    common = rules["support"] >= ADVICE["least_support"]
    common &= rules["baskets"] + rules["baskets_later"] >= ADVICE["fewest"]
    common &= worth_telling(pair, never)
    return rules.assign(
        pair=pair, told=common, **{c: pd.Series(v, dtype="str") for c, v in told.items()}
    )


def stack_rules(rules: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of table `basket_rules`, of rules by level."""
    known = list(tables.get("basket_rules").columns)
    rows = pd.concat([r.assign(level=level) for level, r in rules.items()], ignore_index=True)
    return rows[[c for c in known if c in rows]]


def surest_rule(
    rules: pd.DataFrame, orders: ir.Table, products: ir.Table, level: str
) -> pd.Series | None:
    """The surest rule of `advise` that held later and is not too rare; None where there is none.

    What acting on it would bring is not known. To the row come `missed`, the baskets of the whole
    time that held the first without the second, `sales`, what one in a hundred of these would bring
    if it held the second, in currency, and `tell_sales`: whether that is more than small change.
    """
    kept = rules[rules["holds"] & rules["told"]]
    if not len(kept):
        return None
    rule = kept.iloc[0]
    second = _goods(orders, products, level).filter(_.item == rule["second"])
    paid = second.group_by("order_id").agg(n=_.revenue.sum())
    with_first = rule["first_baskets"] + rule["first_baskets_later"]
    missed = with_first - rule["baskets"] - rule["baskets_later"]
    sales = missed / 100 * float(paid.n.mean().to_pandas())
    told = {"missed": missed, "sales": sales, "tell_sales": sales >= ADVICE["least_sales"]}
    return pd.concat([rule, pd.Series(told)])


def larger_sets(items: ir.Table, never: Collection[str] = ()) -> pd.DataFrame:
    """Sets of three in which two items say more of the third than the better one of them alone.

    By fpgrowth (Han, Pei and Yin 2000). One row a set, the largest gain first: given (two items),
    then (the third), baskets with the two, support (share of baskets with all three), confidence
    (of baskets with the two, those with the third), best_pair: the same of baskets with the better
    one of the two, at equal sizes of basket; gain: the difference (improvement: Bayardo, Agrawal
    and Gunopulos 2000), above zero beyond chance, corrected for the number of rules looked at, with
    the baskets of a buyer counted once; _later: the same in the later part. The `SET_ITEMS` items
    of most baskets are looked at; sets in fewer than `fewest` baskets of baskets.yaml, and those
    with a word of `never` in a name, are left out.
    """
    often = (
        items.filter(_.late == 0).group_by("item").agg(n=_.count()).order_by(ibis.desc("n"), "item")
    )
    kept = items.semi_join(often.limit(SET_ITEMS), "item").order_by("order_id", "item").to_pandas()
    baskets = items.group_by("late").agg(n=_.order_id.nunique()).to_pandas().set_index("late")["n"]
    names = sorted(set(kept["item"]))
    (early, sizes), (late, sizes_later) = (
        _matrix(kept[kept["late"] == part], names) for part in (0, 1)
    )
    # baskets with none of the items are not in it
    share = min(SET_SHARE * baskets.get(0, 0) / max(len(early), 1), 1)
    sets = fpgrowth(pd.DataFrame(early), share, max_len=3)["itemsets"] if len(early) else []
    rules = [(*sorted(set(s) - {then}), then) for s in sets if len(s) == 3 for then in sorted(s)]
    found = pd.DataFrame(rules, columns=["one", "other", "then"], dtype=int)
    found = found.assign(**_gains(early, sizes, found))
    found = found.assign(**{f"{c}_later": v for c, v in _gains(late, sizes_later, found).items()})
    if not len(found):
        return found.assign(given="", support=np.nan)
    once = found["buyers"] / found["baskets"].clip(1)  # who buys the same again counts once
    p = binom.sf(
        np.floor(found["all"] * once) - 1, np.ceil(found["baskets"] * once), found["best_pair"]
    )
    sure = false_discovery_control(p) <= methods.value("false_discoveries")
    found = found[sure & (found["all"] >= ADVICE["fewest"])]
    found = found.sort_values(["gain", "one", "other"], ascending=[False, True, True])
    whole = found[["one", "other", "then"]].apply(frozenset, axis=1) if len(found) else found["one"]
    found = found[~whole.duplicated()]
    given = [
        f"{names[a]} and {names[b]}" for a, b in zip(found["one"], found["other"], strict=True)
    ]
    found = found.assign(
        given=pd.Series(given, found.index, dtype="str"), support=found["all"] / baskets[0]
    )
    found = found.assign(then=found["then"].map(dict(enumerate(names))).astype("str"))
    told = worth_telling(found["given"] + " " + found["then"], never)
    return found[told].reset_index(drop=True)


def _matrix(rows: pd.DataFrame, names: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """One row a basket, one column an item, true where the basket holds it; and size and class of
    each basket.
    """
    each = rows.drop_duplicates("order_id")
    table = np.zeros((len(each), len(names)), bool)
    table[pd.factorize(rows["order_id"])[0], np.searchsorted(names, rows["item"])] = True
    return table, each[["size", "kind", "buyer"]].reset_index(drop=True)


def _gains(table: np.ndarray, sizes: pd.DataFrame, rules: pd.DataFrame) -> dict[str, np.ndarray]:
    a, b, c = (rules[x].to_numpy(int) for x in ("one", "other", "then"))
    whole = np.array(
        [(table[:, i] & table[:, j] & table[:, k]).sum() for i, j, k in zip(a, b, c, strict=True)],
        int,
    )
    both, alone = np.zeros(len(rules)), np.zeros((2, len(rules)))
    for _kind, part in sizes.groupby("kind"):
        some = table[part.index].astype(float)
        pairs, left = (
            some.T @ some,
            1 - 1 / max(part["size"].mean() - 1, 1),
        )  # one place of the basket is taken by the other
        both += pairs[a, b]
        alone += [pairs[a, b] * pairs[x, c] / np.diag(pairs)[x].clip(1) * left for x in (a, b)]
    confidence, best = whole / both.clip(1), alone.max(axis=0) / both.clip(1)
    buyer = pd.factorize(sizes["buyer"])[0]
    return {
        "buyers": np.array(
            [len(np.unique(buyer[table[:, i] & table[:, j]])) for i, j in zip(a, b, strict=True)],
            int,
        ),
        "baskets": both.astype(int),
        "all": whole,
        "confidence": confidence,
        "best_pair": best,
        "gain": confidence - best,
    }

"""What each segment buys, at what price, where and when, and what it answers to."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import methods, stats
from helpers.advertised import worth_telling
from helpers.plan.wording import wording
from helpers.show import words

TRAITS = ["product_group", "offer", "store", "channel", "weekday", "part_of_day"]
MOST = 3  # groups named in a cell


def with_traits(orders: ir.Table, products: ir.Table, segments: ir.Table) -> ir.Table:
    """Order lines of the customers in a segment: segment, customer_id, revenue, discount, and
    traits of the line.

    The traits are `category`, `channel`, `product_group` (the fine group with its category),
    `offer` (at a discount or full price), `store` (the customer's main store or another), `weekday`
    and `part_of_day`.
    """
    goods = products.select("product_id", "category", fine=_.subcategory)
    lines = (
        orders.inner_join(segments.select("customer_id", "segment"), "customer_id")
        .left_join(goods, "product_id")
        .drop("product_id_right")
    )
    spent = lines.group_by("customer_id", "store_id").agg(spent=_.revenue.sum().round(2))
    place = ibis.row_number().over(
        group_by="customer_id", order_by=[ibis.desc("spent"), "store_id"]
    )
    main = (
        spent.mutate(place=place).filter(_.place == 0).select("customer_id", main_store=_.store_id)
    )
    parts = [
        (_.ordered_at_local.hour() < until, name) for name, until in wording("part_of_day").items()
    ]
    return lines.inner_join(main, "customer_id").select(
        "segment",
        "customer_id",
        "revenue",
        "discount",
        category=_.category.fill_null("not grouped"),
        channel=_.channel.fill_null("not known"),
        product_group=ibis.coalesce(
            _.fine + " (" + _.category + ")", _.fine, _.category, ibis.literal("not grouped")
        ),
        offer=ibis.cases((_.discount > 0, "at a discount"), else_="full price"),
        store=ibis.cases(
            (_.store_id.isnull(), "not known"),
            (_.store_id == _.main_store, "main store"),
            else_="another store",
        ),
        weekday=_.ordered_on.day_of_week.full_name(),
        part_of_day=ibis.cases(*parts),
    )


def profile(lines: ir.Table, trait: str) -> ir.Table:
    """How each segment's sales are spread over the values of a trait, beside all customers.

    One row a segment and value: `buyers`, `revenue`, `share` of the segment's sales with its 90 %
    interval `low` to `high`, `overall` (the share among all) and `index` (share / overall x 100).
    The interval is that of a ratio of two sums over customers (Cochran 1977, section 6.4), so a few
    heavy buyers make it wide.
    """
    each = lines.group_by("segment", "customer_id").agg(total=_.revenue.sum().round(2))
    size = each.group_by("segment").agg(n=_.count(), x=_.total.sum(), xx=(_.total * _.total).sum())
    part = lines.group_by("segment", "customer_id", value=_[trait]).agg(
        part=_.revenue.sum().round(2)
    )
    cell = (
        part.inner_join(each, ["segment", "customer_id"])
        .group_by("segment", "value")
        .agg(
            buyers=_.count(),
            revenue=_.part.sum().round(2),
            yy=(_.part * _.part).sum(),
            xy=(_.part * _.total).sum(),
        )
    )
    overall = (
        part.group_by("value")
        .agg(all_revenue=_.part.sum())
        .mutate(overall=_.all_revenue / _.all_revenue.sum())
    )
    shares = (
        cell.inner_join(size, "segment")
        .inner_join(overall, "value")
        .mutate(share=_.revenue / _.x.nullif(0))
    )
    squares = ibis.greatest(_.yy - 2 * _.share * _.xy + _.share * _.share * _.xx, 0.0)
    error = stats.Z * (squares * _.n / (_.n - 1).nullif(0)).sqrt() / _.x.nullif(0)
    return (
        shares.mutate(error=error)
        .select(
            "segment",
            "value",
            "buyers",
            "revenue",
            "share",
            low=_.share - _.error,
            high=_.share + _.error,
            overall=_.overall,
            index=100 * _.share / _.overall.nullif(0),
        )
        .order_by("segment", ibis.desc("revenue"), "value")
    )


def discount_depth(lines: ir.Table) -> ir.Table:
    """`depth` of discounts by segment: what was given away over the shelf value, among lines at a
    discount.
    """
    reduced = (
        lines.filter(_.discount > 0)
        .group_by("segment")
        .agg(off=_.discount.sum(), paid=_.revenue.sum())
    )
    return reduced.select("segment", depth=_.off / (_.off + _.paid).nullif(0)).order_by("segment")


def coupon_response(messages: ir.Table, redemptions: ir.Table, before: ir.Table) -> pd.DataFrame:
    """How often a campaign that was sent to people of each segment was answered with a coupon of
    it.

    `before` holds the segments of an earlier day (table `segments_before`): a type must be known
    before the contact, and only campaigns sent after that day count. Returns segment, people,
    reached (contacts: a person and a campaign), responded, rate, low, high and overall (the rate of
    all contacts). The 90 % interval is Wilson's, on as many contacts as people with several of them
    are worth (Kish 1965, ratio of cluster totals).
    """
    pair = ["customer_id", "campaign_id"]
    sent = messages.filter(~_.is_holdout.fill_null(False)).select(*pair, "sent_at")
    recent = sent.join(before.select("customer_id", "segment", "as_of"), "customer_id")
    contacts = (
        recent.filter(recent.sent_at.date() > recent.as_of).select(*pair, "segment").distinct()
    )
    used = redemptions.select(*pair).distinct().mutate(used=1)
    each = (
        contacts.left_join(used, pair)
        .group_by("segment", "customer_id")
        .agg(n=_.count(), k=_.used.count())
    )
    sums = each.group_by("segment").agg(
        people=_.count(),
        reached=_.n.sum(),
        responded=_.k.sum(),
        nn=(_.n * _.n).sum(),
        nk=(_.n * _.k).sum(),
        kk=(_.k * _.k).sum(),
    )
    by = sums.order_by("segment").to_pandas()
    by["rate"] = by["responded"] / by["reached"]
    by = by.join(stats.share_interval(by["rate"] * _worth(by), _worth(by)))
    by["overall"] = by["responded"].sum() / max(by["reached"].sum(), 1)
    return by.drop(columns=["nn", "nk", "kk"])


def _worth(by: pd.DataFrame) -> pd.Series:
    """How many independent contacts the contacts of each segment are worth; never more than there
    are.
    """
    rate, people = by["rate"], by["people"]
    squares = (by["kk"] - 2 * rate * by["nk"] + rate * rate * by["nn"]).clip(lower=0)
    variance = squares * people / (people - 1).where(people > 1) / by["reached"] ** 2
    worth = rate * (1 - rate) / variance.where(variance > 0)
    return worth.fillna(people).clip(upper=by["reached"])


def level(row: pd.Series) -> str:
    """Whether a share lies `above` or `below` that of all customers, or is as `usual`.

    It must differ by a twentieth at least, and its interval must leave the share of all customers
    out.

    >>> level(pd.Series({"share": 0.30, "low": 0.27, "high": 0.33, "overall": 0.20}))
    'above'
    """
    share, overall = 100 * row["share"], row["overall"]
    index = methods.value("segment_index")
    if row["low"] > overall and share >= index * overall:
        return "above"
    below = row["high"] < overall and share <= (200 - index) * overall
    return "below" if below else "usual"


def stand_outs(shares: pd.DataFrame) -> pd.DataFrame:
    """The values of a trait that a segment buys more of than others do, the surest first, with
    `low` as index too.

    Values with too few buyers or too small a share are left out; `share`, `low` and `high` are as
    in `profile`.
    """
    enough = shares["buyers"] >= methods.value("segment_people")
    base = shares[enough & (shares["share"] >= methods.value("segment_share"))]
    above = base[
        pd.Series([level(row) == "above" for _, row in base.iterrows()], base.index, dtype=bool)
    ]
    return (
        above.assign(sure=above["low"] / above["overall"])
        .sort_values("sure", ascending=False)
        .head(MOST)
    )


def strategy_table(
    segments: pd.DataFrame,
    profiles: dict[str, pd.DataFrame],
    depth: pd.DataFrame,
    response: pd.DataFrame,
    never: list[str],
) -> pd.DataFrame:
    """One row a segment: product, price, place and promotion, each a choice and its evidence, and
    an action.

    `profiles` holds a frame of `profile` by trait; goods with a word of `never` in their name are
    not led with. The choice follows from the evidence by `level`;
    the words stand in words.yaml.
    """
    sizes = segments.groupby("segment").agg(
        customers=("customer_id", "size"), revenue=("monetary", "sum")
    )
    rows = []
    for name, size in sizes.sort_values("revenue", ascending=False).iterrows():
        own = {trait: shares[shares["segment"] == name] for trait, shares in profiles.items()}
        off = depth.loc[depth["segment"] == name, "depth"]
        rows.append(
            {
                "segment": name,
                "customers": int(size["customers"]),
                "revenue": round(size["revenue"], 2),
                "product": _product(own["product_group"], never),
                "price": _price(own["offer"], off),
                "place": _place(own),
                "promotion": _promotion(response[response["segment"] == name]),
                "action": wording("actions")[name],
            }
        )
    return pd.DataFrame(
        rows,
        columns=[
            "segment",
            "customers",
            "revenue",
            "product",
            "price",
            "place",
            "promotion",
            "action",
        ],
    )


def said_once(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Columns of a strategy beside the segment, and what need not stand in every row.

    Segments of which all columns say the same share a row. A column that says the same of all
    segments becomes a sentence.

    >>> rows = pd.DataFrame({"segment": ["a", "b"], "price": ["Hold.", "Hold."], "place": ["x", "y"]})
    >>> said_once(rows)[1], said_once(rows)[0].columns.tolist()
    (['Of all segments, price: Hold.'], ['segment', 'place'])
    >>> said_once(rows[["segment", "price"]].assign(n=[1, 2]).drop(columns="n"))[0]["segment"].tolist()
    ['a and b']
    """
    told = [c for c in rows if c not in ("segment", "customers")]
    alike = [c for c in told if len(rows) > 1 and rows[c].nunique() == 1]
    if len(alike) == len(told):
        alike = []
    kept = [c for c in told if c not in alike]
    named = {"segment": words.listing, "customers": "sum"}
    merged = rows.groupby(kept, sort=False, as_index=False).agg(
        {c: how for c, how in named.items() if c in rows}
    )
    columns = [c for c in rows if c in merged]
    return merged[columns], [f"Of all segments, {c}: {rows[c].iloc[0]}" for c in alike]


def _product(shares: pd.DataFrame, never: list[str]) -> str:
    told = shares[worth_telling(shares["value"], never)]
    say, found = wording("strategy")["product"], stand_outs(told)
    if found.empty:
        return say["usual"]
    return f"{say['above']} {_indices(found, say['evidence'])}."


def _price(shares: pd.DataFrame, depth: pd.Series) -> str:
    say, reduced = wording("strategy")["price"], shares[shares["value"] == "at a discount"]
    if reduced.empty:
        return say["usual"] + " " + say["none"]
    row = reduced.iloc[0]
    return f"{say[level(row)]} " + say["evidence"].format(
        **_shares(row), depth=words.percent(depth.iloc[0])
    )


def _place(own: dict[str, pd.DataFrame]) -> str:
    say, main = wording("strategy")["place"], own["store"][own["store"]["value"] == "main store"]
    times = stand_outs(pd.concat([own["channel"], own["weekday"], own["part_of_day"]]))
    when = [_indices(times, say["times"])] if len(times) else []
    if main.empty:
        return " ".join([say["unknown"], *when])
    row = main.iloc[0]
    return f"{say[level(row)]} {'; '.join([say['evidence'].format(**_shares(row)), *when])}."


def _promotion(response: pd.DataFrame) -> str:
    say = wording("strategy")["promotion"]
    if response.empty or response["people"].iloc[0] < methods.value("segment_people"):
        return say["unknown"]
    row = response.iloc[0].rename({"rate": "share"})
    return f"{say[level(row)]} " + say["evidence"].format(
        **_shares(row), rate=words.percent(row["share"]), reached=words.count(row["reached"])
    )


def _indices(found: pd.DataFrame, pattern: str) -> str:
    each = [
        pattern.format(
            name=_plain(row.value),
            index=row.index,
            low=100 * row.low / row.overall,
            high=100 * row.high / row.overall,
            buyers=words.count(row.buyers),
        )
        for row in found.itertuples(index=False)
    ]
    return "; ".join(each)


def _shares(row: pd.Series) -> dict[str, str]:
    return {part: words.percent(row[part]) for part in ("share", "low", "high", "overall")}


def _plain(name: str) -> str:
    return name.lower() if name.isupper() else name

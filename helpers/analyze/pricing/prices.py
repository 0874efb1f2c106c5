"""Units, price and promotion by product, place and week, read from order lines (practice 3.13).

The price is what was paid for one, before tax. It is seen only where something was sold, so weeks
without a sale get theirs from other places, from the weeks around, or, on promotion, from how deep
promotions of the product are. Leaving such weeks out would drop just the zeros.
"""

from __future__ import annotations

from datetime import date
from importlib import resources

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _

from helpers import history

PRICES = yaml.safe_load(
    resources.files(__package__).joinpath("prices.yaml").read_text(encoding="utf-8")
)
RULES = PRICES["panel"]
PANEL = [
    "product_id",
    "place",
    "week_on",
    "units",
    "lines",
    "price",
    "display",
    "mailer",
    "name",
    "category",
]
PANEL += ["share", "kept", "promotion", "sure", "doubt", "usual"]
CELL, GOODS = ["product_id", "place"], ["product_id", "name", "category"]
WHOLE = ["category_revenue", "kept"]
LONGEST = 8  # weeks between known prices beyond which the doubt grows no more
WEEK = pd.Timedelta(days=7)


def product_totals(orders: ir.Table, products: ir.Table) -> ir.Table:
    """Lines, revenue, name and both groups of each product sold, the one bought most often first.

    `net` is revenue less what came back.
    """
    sums = (
        _sold(orders).group_by("product_id").agg(lines=_.count(), revenue=_.revenue.sum().round(2))
    )
    back = (
        orders.filter(_.quantity < 0, _.product_id.notnull())
        .group_by("product_id")
        .agg(back=_.revenue.sum())
    )
    sums = sums.left_join(back, "product_id").drop("product_id_right")
    sums = sums.mutate(net=_.revenue + _.back.fill_null(0.0)).drop("back")
    about = products.select("product_id", "name", "category", "subcategory")
    return (
        sums.left_join(about, "product_id")
        .drop("product_id_right")
        .order_by(ibis.desc("lines"), "product_id")
    )


def choose_products(totals: pd.DataFrame) -> pd.DataFrame:
    """The products that prices are studied on: `product_id`, `name`, `category`, `lines`,
    `revenue`.

    Of the whole category, `category_revenue` and the share of it that did not come back, `kept`.

    The category is the finer group where it is known for most of the sales. The largest categories
    by sales, and in each the products bought most often, for few sales say little of a price.
    """
    worth = totals["revenue"].sum()
    fine = totals.loc[totals["subcategory"].notna(), "revenue"].sum() > worth / 2
    group = (
        totals["subcategory" if fine else "category"]
        .astype("str")
        .where(lambda g: g.notna(), "not known")
    )
    known = totals.assign(
        category=group.to_numpy(), name=totals["name"].fillna(totals["product_id"])
    )
    known = known.sort_values(["lines", "product_id"], ascending=[False, True])
    sizes = known.groupby("category").agg(
        category_revenue=("revenue", "sum"), net=("net", "sum"), products=("product_id", "size")
    )
    sizes["kept"] = (sizes["net"] / sizes["category_revenue"]).clip(0, 1)
    large = sizes[sizes["products"] >= RULES["fewest_products"]].nlargest(
        RULES["categories"], "category_revenue"
    )
    some = known[known["category"].isin(large.index)].groupby("category").head(RULES["products"])
    some = some.join(large[WHOLE], on="category")
    return some[[*GOODS, "lines", "revenue", *WHOLE]].reset_index(drop=True)


def weekly_sales(orders: ir.Table, goods: pd.DataFrame) -> ir.Table:
    """Units, lines, revenue and price of `goods` by product, place and week (named by its Monday).

    The price of a week is the middle one of its lines, the higher of two: a personal discount on
    one line is not the price on the shelf.
    """
    lines = _sold(orders).filter(_.product_id.isin(list(goods["product_id"])))
    lines = lines.mutate(
        place=_place(lines), week_on=_.ordered_on.truncate("W"), price=_.revenue / _.quantity
    )
    by = ["product_id", "place", "week_on"]
    dearer = ibis.window(group_by=by, order_by="price")
    lines = lines.mutate(
        nth=ibis.row_number().over(dearer), n=_.count().over(ibis.window(group_by=by))
    )
    return lines.group_by(by).agg(
        units=_.quantity.sum(),
        lines=_.count(),
        revenue=_.revenue.sum().round(2),
        price=_.price.max(where=_.nth == (_.n / 2).floor()),
    )


def promoted_weeks(promotions: ir.Table, goods: pd.DataFrame) -> ir.Table:
    """The promotions of `goods`: product, place, week, and whether on display or in the mailer (1
    or 0).
    """
    some = promotions.filter(_.product_id.isin(list(goods["product_id"])))

    def shown(column: ir.Column) -> ir.Column:
        return column.fill_null("0").notin(["0", "", "false", "no"]).ifelse(1.0, 0.0)

    some = some.mutate(
        place=_.store_id.fill_null("all"),
        on_display=shown(some.display),
        in_mailer=shown(some.mailer),
    )
    return some.group_by("product_id", "place", week_on=_.week_on.truncate("W")).agg(
        display=_.on_display.max(), mailer=_.in_mailer.max()
    )


def price_panel(
    sold: pd.DataFrame, promoted: pd.DataFrame, goods: pd.DataFrame, as_of: date
) -> pd.DataFrame:
    """Every product, place and week on offer: units (0 where nothing was sold), price, usual price and
    promotion.

    Parameters
    ----------
    sold : weekly sales (`weekly_sales`)
    promoted : promotions (`promoted_weeks`); empty: a price well below the usual one counts as a
        promotion
    goods : the products, with their category

    Columns beside product, place, week and category: `units`, `price`, `usual`, `promotion` (1 or
    0), `display` and `mailer` (share of the place), `sure` (the price was seen in this place and
    week), `share` (of all the sales of its category, over all time) and `kept` (as in
    `choose_products`).
    """
    sold = sold.assign(week_on=pd.to_datetime(sold["week_on"]))
    promoted = promoted.assign(week_on=pd.to_datetime(promoted["week_on"]))
    promoted = _at_places(promoted, sold)
    panel = _on_offer(sold, promoted, as_of)
    if panel.empty:
        return pd.DataFrame(columns=PANEL)
    key = [*CELL, "week_on"]
    panel = panel.merge(sold[[*key, "units", "lines", "price", "revenue"]], on=key, how="left")
    panel = panel.merge(promoted, on=key, how="left").merge(
        goods[[*GOODS, *WHOLE]], on="product_id"
    )
    panel["share"] = panel.pop("revenue").fillna(0.0) / panel.pop("category_revenue")
    panel["promotion"] = panel["display"].notna().astype(float)
    panel = panel.fillna({"units": 0.0, "lines": 0, "display": 0.0, "mailer": 0.0})
    panel = panel.sort_values(key, ignore_index=True)
    return _fill_prices(panel, known=len(promoted) > 0).reset_index(drop=True)


def segment_sales(orders: ir.Table, segments: ir.Table, goods: pd.DataFrame, by: str) -> ir.Table:
    """Units and lines of `goods` by product, week and segment (column `by` of `segments`; as
    `place`).
    """
    lines = _sold(orders).filter(_.product_id.isin(list(goods["product_id"])))
    who = segments.select("customer_id", place=segments[by].cast("string")).filter(
        _.place.notnull()
    )
    lines = lines.inner_join(who, "customer_id").mutate(week_on=_.ordered_on.truncate("W"))
    return lines.group_by("product_id", "place", "week_on").agg(
        units=_.quantity.sum(), lines=_.count()
    )


def segment_panel(panel: pd.DataFrame, sold: pd.DataFrame) -> pd.DataFrame:
    """As `price_panel`, with segments in the column `place`; prices and promotions are the mean
    over places.
    """
    if sold.empty or panel.empty:
        return panel.head(0)
    by = ["product_id", "category", "week_on"]
    known = ["price", "usual", "display", "mailer", "promotion", "doubt"]
    grid = (
        panel.groupby(by)[known]
        .mean()
        .reset_index()
        .merge(pd.DataFrame({"place": sold["place"].unique()}), "cross")
    )
    sold = sold.assign(week_on=pd.to_datetime(sold["week_on"]))
    rows = grid.merge(sold, on=[*CELL, "week_on"], how="left").fillna({"units": 0.0, "lines": 0})
    return rows.sort_values([*CELL, "week_on"], ignore_index=True)


def coverage(panel: pd.DataFrame, totals: pd.DataFrame, sold: pd.DataFrame) -> dict[str, float]:
    """What of the shop the panel holds: share of all sales, products, places, and of weeks the
    share without a sale.
    """
    rows = sold.merge(panel[CELL].drop_duplicates(), on=CELL)
    return {
        "sales": rows["revenue"].sum() / totals["revenue"].sum() if len(totals) else np.nan,
        "products": panel["product_id"].nunique(),
        "places": panel["place"].nunique(),
        "weeks": panel["week_on"].nunique(),
        "zeros": (panel["units"] == 0).mean(),
        "sure": panel["sure"].mean() if "sure" in panel else np.nan,
    }


def _sold(orders: ir.Table) -> ir.Table:
    return orders.filter(history.BOUGHT, _.revenue > 0, _.product_id.notnull())


def _place(orders: ir.Table) -> ir.Column:
    return ibis.coalesce(orders.store_id, orders.channel, "all")


def row_costs(rows: pd.DataFrame, costs: pd.Series) -> np.ndarray:
    """Cost of one unit of each row of one category's panel, in money.

    Products without a cost are taken to cost the same share of their price as the others. All are
    empty where less than nine tenths of sales have a cost.
    """
    cost, price = rows["product_id"].map(costs).to_numpy(float), rows["price"].to_numpy(float)
    units, told = rows["units"].to_numpy(float), np.isfinite(cost)
    known, sales = (units * price)[told].sum(), (units * price).sum()
    if not known or known < PRICES["ladder"]["costed"] * sales:
        return np.full(len(rows), np.nan)
    return np.where(told, cost, price * (units * cost)[told].sum() / known)


def _at_places(promoted: pd.DataFrame, sold: pd.DataFrame) -> pd.DataFrame:
    """Promotions at the places of sale, as shares; places without any promotion on record are left
    as they are.

    Where promotions name places that no sale names, other places of sale get their average: the
    names differ, and nobody said which is which; or one name stands for all.
    """
    if promoted.empty:
        return promoted
    ours, theirs = set(sold["place"]), set(promoted["place"])
    strange, silent = theirs - ours, ours - theirs
    if not strange or (theirs & ours and len(silent) > 2 * len(strange)):
        return promoted[promoted["place"].isin(ours)]
    by = ["product_id", "week_on"]
    mean = promoted[promoted["place"].isin(strange)].groupby(by)[["display", "mailer"]].sum() / len(
        strange
    )
    each = pd.DataFrame({"place": sorted(silent)}).merge(mean.reset_index(), how="cross")
    return pd.concat([promoted[promoted["place"].isin(ours)], each], ignore_index=True)


def _on_offer(sold: pd.DataFrame, promoted: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Product, place and week from the first to the last week known of a product, at places that
    sold it often.
    """
    places = promoted["place"].unique() if len(promoted) else sold["place"].unique()
    cells = sold[sold["place"].isin(places)].groupby(CELL).size().rename("weeks").reset_index()
    cells = cells[cells["weeks"] >= RULES["weeks_sold"]].nlargest(RULES["cells"], "weeks")[CELL]
    first, last = sold["week_on"].min(), pd.Timestamp(as_of).to_period("W-SUN").start_time
    known = sold.groupby("product_id")["week_on"].agg(["min", "max"])
    still = RULES["still"] * WEEK
    known["from"] = known["min"].where(known["min"] > first + still, first)
    known["to"] = known["max"].where(known["max"] < last - still, last)
    weeks = (
        pd.DataFrame({"week_on": pd.date_range(first, last, freq="7D")})
        if len(cells)
        else pd.DataFrame()
    )
    grid = cells.merge(known[["from", "to"]].reset_index(), on="product_id").merge(
        weeks, how="cross"
    )
    return (
        grid[grid["week_on"].between(grid["from"], grid["to"])].drop(columns=["from", "to"])
        if len(grid)
        else cells
    )


def _fill_prices(panel: pd.DataFrame, known: bool) -> pd.DataFrame:
    """Price and usual price of every row; see the module's words on weeks without a sale."""
    same = ["product_id", "week_on", "promotion"]
    panel = panel.merge(
        _upper_median(panel.dropna(subset=["price"]), same).rename("there"), on=same, how="left"
    )
    ratio = (
        (panel["price"] / panel["there"])
        .groupby([panel[c] for c in CELL])
        .transform("median")
        .fillna(1.0)
    )
    panel["sure"] = panel["price"].notna()
    price = panel["price"].where(panel["lines"] >= RULES["sure_lines"], panel["there"] * ratio)
    cell = panel.groupby(CELL).ngroup()
    if known:
        seen = panel.groupby(same)["lines"].transform("sum")
        middle = _median_of_three(
            price.where(panel["promotion"] == 0), cell
        )  # a dip of one week, and one or two lines: somebody's own discount
        price = price.where((seen >= RULES["sure_lines"]) | middle.isna(), middle)
        calm = price.where(panel["promotion"] == 0)
        usual = _between(calm, cell).fillna(price.groupby(cell).transform("max"))
        panel["doubt"] = _doubt(calm, cell).where(
            panel["there"].isna() & (panel["promotion"] == 0), 0.0
        )
    else:
        price = price.groupby(cell).ffill().fillna(price.groupby(cell).bfill())
        around = price.groupby(cell).rolling(RULES["around"], center=True, min_periods=1).median()
        usual = around.droplevel(0).reindex(panel.index)
        panel["doubt"] = 0.0
        panel["promotion"] = (price < (1 - RULES["cut"]) * usual).astype(float)
        usual = usual.where(panel["promotion"] == 1, price)
    usual = np.fmax(usual, price)
    depth = np.log(price / usual).where(panel["promotion"] == 1)
    # one place, or the whole chain?
    reach = (4 * panel.groupby(same[:2])["promotion"].transform("mean")).round()
    unseen = (panel["promotion"] == 1) & panel["there"].isna()
    if known:
        panel["doubt"] = panel["doubt"].where(
            ~unseen, depth.groupby(reach).transform("var").fillna(0.0)
        )
    for by in ([panel["category"], reach], [reach], [panel["promotion"]]):
        depth = depth.fillna(depth.groupby(by).transform("mean"))
    price = price.fillna(usual * np.exp(depth.fillna(0) * panel["promotion"]))
    panel["price"], panel["usual"] = price, np.fmax(usual, price)
    return panel.dropna(subset=["price"]).drop(columns="there").reset_index(drop=True)


def _upper_median(rows: pd.DataFrame, by: list[str]) -> pd.Series:
    """The price that half the lines do not go beyond, by groups; the higher one where two meet."""
    rows = rows.sort_values([*by, "price"])
    lines = rows.groupby(by)["lines"]
    reached = lines.cumsum() > lines.transform("sum") / 2
    return rows[reached].groupby(by)["price"].first()


def _between(values: pd.Series, cell: pd.Series) -> pd.Series:
    """Unknown values on the line between the known ones of the cell, in logs; at the ends the
    nearest.

    A price that changed once, nobody knows when, is expected there; a guess of the day would bias
    what follows.
    """
    lines = (
        np.log(values)
        .groupby(cell)
        .apply(lambda v: v.interpolate(limit_direction="both"))
        .droplevel(0)
    )
    return np.exp(lines.reindex(values.index))


def _doubt(values: pd.Series, cell: pd.Series) -> pd.Series:
    """Variance of the logarithm of values put between known ones, learned from hiding known ones by
    turns.
    """
    at = pd.Series(np.arange(len(values)), values.index)
    known = pd.DataFrame({"v": np.log(values), "at": at, "cell": cell}).dropna()
    before, after = (known.groupby("cell")[["v", "at"]].shift(k) for k in (1, -1))
    span = after["at"] - before["at"]
    guess = before["v"] + (after["v"] - before["v"]) * (known["at"] - before["at"]) / span
    missed = ((known["v"] - guess) ** 2).groupby(span.clip(upper=LONGEST)).mean()
    gap = (
        at.where(values.notna()).groupby(cell).bfill()
        - at.where(values.notna()).groupby(cell).ffill()
    ).fillna(99)
    if missed.empty:
        return pd.Series(0.0, values.index)
    missed = missed.reindex(range(2, LONGEST + 1)).ffill().bfill().cummax()
    return gap.clip(2, LONGEST).map(missed)


def _median_of_three(values: pd.Series, cell: pd.Series) -> pd.Series:
    """The middle of each known value and its known neighbours in the cell; as it is at the ends
    (Tukey 1977).
    """
    known = values.dropna()
    by = known.groupby(cell[known.index])
    three = pd.concat([by.shift(1).fillna(known), known, by.shift(-1).fillna(known)], axis=1)
    return three.median(axis=1).reindex(values.index)

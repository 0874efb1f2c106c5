"""What each customer is used to: shares and sizes as logs, drawn towards the average where orders
are few.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from helpers import history

# categories told apart; a category's share of lines: least, most
MOST_PARTS, LEAST_SHARE, TOO_COARSE = 20, 0.01, 0.5
# each ends at this hour
HOURS = {"before eleven": 11, "around noon": 14, "in the afternoon": 17, "in the evening": 24}
# what groups are made of; place, month and value only describe them
SHAPE = ["what", "price", "day", "hour", "size"]
SHARES, SIZES = ["what", "where", "day", "hour", "price"], ["value", "lines"]
FEWEST = 3  # orders from which a customer's habits count as known
MOST_LEARNT = 5000  # customers from whom it is learnt how customers differ
OUTLYING = 4.0  # robust standard deviations beyond which a value is pulled in


class Habits(NamedTuple):
    """What is known of the customers' habits in a period.

    counts: the frame of `tallies`; people: that of `order_sizes`, by customer; usual: how customers
    differ (`usual_habits`); features: one row a customer (`habit_features`).
    """

    counts: pd.DataFrame
    people: pd.DataFrame
    usual: dict[str, pd.Series]
    features: pd.DataFrame

    @property
    def known(self) -> pd.Index:
        """The customers with enough orders to know their habits."""
        return self.people.index[self.people["orders"] >= FEWEST]

    @property
    def shape(self) -> pd.DataFrame:
        """The features that groups are made of, of all customers."""
        return self.features[[c for c in self.features.columns if c[0] in SHAPE]]


def read_habits(
    orders: ir.Table,
    parts: ir.Table,
    until: date,
    since: date = date.min,
    usual: dict[str, pd.Series] | None = None,
) -> Habits:
    """The habits of all customers with an order after `since` and up to `until`; `parts` as from
    `goods`.

    With `usual` from an earlier period, nothing is learnt anew, so that the features can be
    compared with it.
    """
    counts = tallies(orders, parts, until, since).to_pandas()
    people = order_sizes(orders, until, since).to_pandas().set_index("customer_id")
    usual = usual_habits(counts, people) if usual is None else usual
    return Habits(counts, people, usual, habit_features(counts, people, usual))


def habit_periods(
    orders: ir.Table, products: ir.Table, cut: date, until: date
) -> tuple[Habits, Habits, Habits]:
    """The habits up to `cut`, those after it and up to `until`, and those of the whole time.

    Which parts of the range are told apart is decided by the first period; the second is measured
    by what was usual in the first, so that the two can be compared.
    """
    parts = goods(orders, products, cut)
    early, now = (read_habits(orders, parts, day) for day in (cut, until))
    return early, read_habits(orders, parts, until, since=cut, usual=early.usual), now


def goods(orders: ir.Table, products: ir.Table, until: date) -> ir.Table:
    """product_id and `part` of the range: the category of a product; products of small ones (under
    1 % of lines) lack.

    Where one category holds more than half of all lines it says little, and subcategories are used
    instead.
    """
    lines = _bought(orders, until, date.min).left_join(products, "product_id")
    level, shares = "category", _part_shares(lines, "category")
    if (shares > TOO_COARSE).any() and len(finer := _part_shares(lines, "subcategory")) > 1:
        level, shares = "subcategory", finer
    large = [str(part) for part in shares.index[shares >= LEAST_SHARE][:MOST_PARTS]]
    return products.filter(products[level].isin(large)).select("product_id", part=level)


def _part_shares(lines: ir.Table, level: str) -> pd.Series:
    counts = (
        lines.filter(lines[level].notnull())
        .group_by(part=level)
        .agg(n=_.count())
        .order_by("part")
        .to_pandas()
    )
    return (
        counts.set_index("part")["n"].sort_values(ascending=False, kind="stable")
        / counts["n"].sum()
    )


def tallies(orders: ir.Table, parts: ir.Table, until: date, since: date = date.min) -> ir.Table:
    """How often each customer did what, after `since` and up to `until`: customer_id, facet, part,
    n.

    what: lines by part of the range (`goods`); price: lines at full and at reduced price; where,
    day, hour, month: orders by channel, weekday or weekend, time of day and calendar month on the
    shop's clock. Returns do not count.
    """
    bought = _bought(orders, until, since)
    hour = bought.ordered_at_local.hour()
    each = bought.group_by("customer_id", "order_id").agg(
        where=_.channel.min(),
        day=ibis.ifelse(bought.ordered_on.day_of_week.index().min() >= 5, "weekend", "weekday"),
        hour=ibis.cases(*((hour.min() < end, ibis.literal(name)) for name, end in HOURS.items())),
        month=bought.ordered_on.month().min().cast("string"),
    )
    reduced = (bought.discount.fill_null(0) > 0) | (bought.coupon_discount.fill_null(0) > 0)
    lines = bought.mutate(price=ibis.ifelse(reduced, "reduced", "full")).left_join(
        parts, "product_id"
    )
    counts = [
        rows.filter(rows[facet].notnull())
        .group_by("customer_id", part=facet)
        .agg(n=_.count())
        .select("customer_id", "part", "n", facet=ibis.literal(name))
        for rows, facet, name in [(lines, "part", "what"), (lines, "price", "price")]
        + [(each, facet, facet) for facet in ("where", "day", "hour", "month")]
    ]
    return ibis.union(*counts)


def order_sizes(orders: ir.Table, until: date, since: date = date.min) -> ir.Table:
    """One row a customer: orders, sales, first_on, last_on, and mean and spread of the size of an
    order.

    value_mean and lines_mean: of the log of its sales and of its lines; value_ss and lines_ss: the
    sums of squares around them. Returns do not count; orders without sales have no value.
    """
    each = _bought(orders, until, since).group_by("customer_id", "order_id")
    each = each.agg(sales=_.revenue.sum(), lines=_.count(), on=_.ordered_on.min())
    each = each.mutate(
        value=ibis.ifelse(each.sales > 0, each.sales, None).ln(), lines=each.lines.ln()
    )
    people = each.group_by("customer_id").agg(
        orders=_.count(),
        sales=_.sales.sum(),
        first_on=_.on.min(),
        last_on=_.on.max(),
        **{f"{x}_mean": _[x].mean() for x in SIZES},
        **{f"{x}_ss": _[x].var(how="pop") * _[x].count() for x in SIZES},
    )
    return people.order_by("customer_id")


def wide(counts: pd.DataFrame, facet: str, who: pd.Index) -> pd.DataFrame:
    """One facet of `tallies`: customers down, parts across in alphabetical order, 0 where nothing
    was counted.
    """
    rows = counts[(counts["facet"] == facet) & counts["customer_id"].isin(who)]
    return rows.pivot(index="customer_id", columns="part", values="n").reindex(who).fillna(0.0)


def usual_habits(counts: pd.DataFrame, people: pd.DataFrame) -> dict[str, pd.Series]:
    """How customers differ, by facet, learnt from those with at least three orders.

    Of shares: the parameters of the Dirichlet distribution they are drawn from, by part
    (`dirichlet`). Of sizes: mean, within and between: the variance of one order around its
    customer's mean, and of customers around theirs. `people` is the frame of `order_sizes`, indexed
    by customer. A facet with one part only is left out. Of more than 5,000 customers as many are
    drawn.
    """
    known = people[people["orders"] >= FEWEST]
    known = (
        known.sample(MOST_LEARNT, random_state=1).sort_index()
        if len(known) > MOST_LEARNT
        else known
    )
    found, counted = {}, list(counts["facet"].unique())
    for facet in (f for f in SHARES if f in counted):
        own = wide(counts, facet, known.index)
        own = own.loc[:, own.sum() > 0]
        if own.shape[1] > 1:
            found[facet] = pd.Series(dirichlet(own.to_numpy()), own.columns)
    for size in SIZES if len(known) > 1 else []:
        mean, n = known[f"{size}_mean"], known["orders"]
        within = known[f"{size}_ss"].sum() / (n - 1).sum()
        between = max(mean.var() - within * (1 / n).mean(), 0.0)
        found[size] = pd.Series({"mean": mean.mean(), "within": within, "between": between})
    return found


def habit_features(
    counts: pd.DataFrame, people: pd.DataFrame, learnt: dict[str, pd.Series]
) -> pd.DataFrame:
    """One row a customer of `people`, columns (facet, part): what they are used to, in logs.

    Shares and sizes are drawn towards the average by as much as the customer's few orders leave
    open (empirical Bayes: Robbins 1956, Efron and Morris 1975), so that chance makes no groups: we
    take the log of a share that is to be expected after what was seen. Logs of shares then become
    centred log-ratios (Aitchison 1986), each part weighted by its usual share so that rare parts do
    not rule the distances (Greenacre and Lewi 2009). All are logs, so a step of 0.7 is a factor of
    two everywhere, and nothing is scaled up: a habit in which customers hardly differ hardly
    counts. Values far out are pulled in (4 robust deviations).
    """
    columns = {}
    for facet, prior in learnt.items():
        if facet in SIZES:
            trust = prior["between"] / (
                prior["between"] + prior["within"] / people["orders"] + 1e-12
            )
            own = people[f"{facet}_mean"].fillna(prior["mean"])
            columns["size", facet] = trust * (own - prior["mean"])
            continue
        logs = digamma(
            wide(counts, facet, people.index).reindex(columns=prior.index, fill_value=0.0) + prior
        )
        usual = prior / prior.sum()
        centred = logs.sub(logs @ usual, axis=0) * np.sqrt(usual * len(usual))
        columns |= {(facet, part): centred[part] for part in prior.index}
    if not columns:
        return pd.DataFrame(index=people.index, columns=pd.MultiIndex.from_arrays([[], []]))
    table = pd.DataFrame(columns, index=people.index)
    middle = table.median()
    reach = OUTLYING * 1.4826 * (table - middle).abs().median()
    reach = reach.where(reach > 0, np.inf)
    return table.clip(middle - reach, middle + reach, axis=1)


def dirichlet(counts: np.ndarray) -> np.ndarray:
    """Parameters of the Dirichlet distribution behind rows of counts, by maximum likelihood (Minka
    2000).

    Their sum tells how alike customers are: with 5, a customer's own five purchases weigh as much
    as all the others' habits; with thousands, customers do not differ.
    """
    total = counts.sum(axis=1, keepdims=True)
    usual = (counts.sum(axis=0) + 0.5) / (counts.sum() + 0.5 * counts.shape[1])

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        a = np.exp(logs)
        fit = (gammaln(a.sum()) - gammaln(a.sum() + total)).sum() + (
            gammaln(counts + a) - gammaln(a)
        ).sum()
        slope = (digamma(a.sum()) - digamma(a.sum() + total)).sum() + (
            digamma(counts + a) - digamma(a)
        ).sum(axis=0)
        return -fit, -slope * a

    # Where customers are alike, the likelihood only creeps upwards: sixty steps are near enough.
    bounds, steps = [(-7.0, 9.0)] * len(usual), {"maxiter": 60}
    found = minimize(
        loss, np.log(10 * usual), jac=True, method="L-BFGS-B", bounds=bounds, options=steps
    )
    return np.exp(found.x)


def habits_kept(early: pd.DataFrame, late: pd.DataFrame) -> pd.DataFrame:
    """Do habits last? One row a facet: how far customers differ (in logs), and how the two periods
    agree.

    Both frames are those of `habit_features`, for customers known in both periods. repeats: the
    correlation of a customer's earlier with their later values, over parts weighted by their
    variance (0 chance, 1 always the same).
    """
    rows = []
    for facet in dict.fromkeys(early.columns.get_level_values(0)):
        a, b = early[facet] - early[facet].mean(), late[facet] - late[facet].mean()
        both = np.sqrt((a**2).to_numpy().sum() * (b**2).to_numpy().sum())
        spread = float(np.sqrt((a**2).to_numpy().sum() / max(len(a), 1)))
        rows.append(
            {
                "facet": facet,
                "spread": spread,
                "repeats": (a * b).to_numpy().sum() / both if both else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=["facet", "spread", "repeats"])


def _bought(orders: ir.Table, until: date, since: date) -> ir.Table:
    return history.purchases(orders).filter(_.ordered_on > since, _.ordered_on <= until)

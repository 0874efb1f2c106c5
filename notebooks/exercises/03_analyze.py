"""Exercises of 03_analyze."""

from ibis import _

from helpers import stats
from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def three_largest(run: Store) -> Answers:
    """Sales of the three largest categories over all sales."""
    orders, products = run.read("orders"), run.read("products")
    lines = orders.left_join(products.select("product_id", "category"), "product_id")
    by = lines.group_by("category").agg(
        orders=_.order_id.nunique(where=_.quantity > 0), revenue=_.revenue.sum()
    )
    sold = by.to_pandas().sort_values("revenue", ascending=False)
    revenue = sold["revenue"]
    share = revenue.head(3).sum() / revenue.sum()
    return share, {
        "That is the largest alone. Take three.": revenue.iloc[0] / revenue.sum(),
        "That is the share of the third alone. Add up, or look at the running share.": (
            revenue.iloc[2] / revenue.sum()
        ),
        "That is an amount of money. Divide by the sales of all.": revenue.head(3).sum(),
        "That is their share of orders. The question asks for sales.": (
            sold["orders"].head(3).sum() / sold["orders"].sum()
        ),
    }


@exercise
def best_over_weakest(run: Store) -> Answers:
    """The best weekday's mean over the weakest one's, less one; open days only."""
    daily = run.frame("sales_daily").groupby("ordered_on")["revenue"].sum().round(2)
    sold = daily[daily > 0]
    by = sold.groupby(sold.index.day_of_week)
    means = by.mean()
    best, weakest = means.max(), means.min()
    return best / weakest - 1, {
        "That is the ratio. How much is it above one?": best / weakest,
        "That is an amount of money. Divide by the weakest.": best - weakest,
        "That is how far the weakest lies below the best. Divide by the weakest.": (
            1 - weakest / best
        ),
    }


@exercise
def median_order(run: Store) -> Answers:
    """Median of the sums of the lines of each order."""
    orders = run.read("orders")
    paid = (
        orders.group_by("order_id")
        .agg(paid=_.revenue.sum().round(2))
        .order_by("order_id")
        .to_pandas()["paid"]
    )
    return paid.median(), {
        "That is the mean. The largest orders pull it up.": paid.mean(),
        "That is the median line. Add up the lines of each order first.": (
            orders.revenue.median().execute()
        ),
    }


@exercise
def first_month_retention(run: Store) -> Answers:
    """Active over customers one month on, over all cohorts but the first."""
    table = run.frame("cohorts")
    month = table[table["period"] == 1]
    one = month[month["cohort_on"] > table["cohort_on"].min()]
    return one["active"].sum() / one["customers"].sum(), {
        "That is the mean of the cohorts' shares, in which a cohort of ten counts as much as one"
        " of a hundred. Add up people first.": one["retention"].mean(),
        "That still holds the first cohort.": month["active"].sum() / month["customers"].sum(),
        "That is the part that did not buy.": 1 - one["active"].sum() / one["customers"].sum(),
        "That counts people. Divide by the customers of these cohorts.": one["active"].sum(),
    }


@exercise
def better_than_naive(run: Store) -> Answers:
    """One less the ratio of the two errors on four weeks."""
    scores = stats.score_methods(run.frame("backtest")).set_index("method")
    errors = scores["four_weeks"]
    best, naive, mean = errors.iloc[0], errors["seasonal naive"], errors["four-week mean"]
    return 1 - best / naive, {
        "That is the difference of the errors. Divide it by the naive one.": naive - best,
        "That is what is left of the error. How much of it is gone?": best / naive,
        "That is against the mean of four weeks. The question asks for the seasonal naive rule.": (
            1 - best / mean
        ),
    }


@exercise
def largest_category_ahead(run: Store) -> Answers:
    """Expected sales of the largest category over those of all."""
    by = run.frame("forecast").groupby("category")["forecast"].sum()
    whole, parts = by["all"], by.drop("all")
    return parts.max() / whole, {
        "That counts the whole twice, as one more category. Divide by the rows `all` only.": (
            parts.max() / by.sum()
        ),
        "That is an amount of money. Divide by the sales of all.": parts.max(),
        "That is the smallest category.": parts.min() / whole,
        "That is one: the whole over the whole. Leave out the rows `all` first.": 1.0,
    }

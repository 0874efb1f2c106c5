"""Exercises of 03_analyze."""

from ibis import _

from helpers import stats
from helpers.learn import Answers, exercise
from helpers.store import Store


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
        "That is rounded down to whole units. The question asks for cents.": float(
            int(paid.median())
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

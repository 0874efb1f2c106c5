"""Exercises of 05_plan."""

import pandas as pd

from helpers.learn import Answers, exercise
from helpers.plan import segment_strategy
from helpers.store import Store


def _all_sales(run: Store) -> pd.DataFrame:
    tree = run.frame("targets")
    return tree[(tree["period"] == "next") & (tree["scope"] == "all")].sort_values("starts_on")


@exercise
def share_of_first_month(run: Store) -> Answers:
    """Target of the first month over that of the quarter."""
    sales = _all_sales(run)
    months = sales.loc[sales["grain"] == "month", "target"]
    quarter = sales.loc[sales["grain"] == "quarter", "target"].iloc[0]
    return months.iloc[0] / quarter, {
        "That is money. Divide it by the target of the quarter.": months.iloc[0],
        "The quarter counts itself too in that sum. Divide by the row with the grain quarter.": (
            months.iloc[0] / (2 * quarter)
        ),
    }


@exercise
def target_with_more_growth(run: Store) -> Answers:
    """Baseline times 1.1."""
    quarter = _all_sales(run).query("grain == 'quarter'").iloc[0]
    return quarter["baseline"] * 1.1, {
        "That adds ten percent to a target that already asks for growth. Start from the baseline.": (
            quarter["target"] * 1.1
        ),
        "That is the gap. The target is the baseline and the gap together.": (
            quarter["baseline"] * 0.1
        ),
    }


@exercise
def keenest_on_discounts(run: Store) -> Answers:
    """The segment with the largest share at a discount."""
    lines = segment_strategy.with_traits(
        run.read("orders"), run.read("products"), run.read("segments")
    )
    offers = (
        segment_strategy.profile(lines, "offer")
        .to_pandas()
        .query("value == 'at a discount'")
        .set_index("segment")
    )
    share, money = offers["share"], offers["revenue"]
    mistakes = {
        "That segment buys least of its sales at a discount. Look for the largest share.": (
            share.idxmin()
        ),
        "That segment buys most at a discount in money. The question is about the share.": (
            money.idxmax()
        ),
    }
    return share.idxmax(), {
        hint: wrong for hint, wrong in mistakes.items() if wrong != share.idxmax()
    }


@exercise
def at_stake_with_contacted(run: Store) -> Answers:
    """Expected value of those who are not in the holdout."""
    people = run.frame("audiences")
    value = people.groupby("is_holdout")["expected_value"].sum()
    return value.get(False, 0.0), {
        "That counts the holdout too, and they will not be contacted.": (
            people["expected_value"].sum()
        ),
        "That is the holdout. The others will be contacted.": value.get(True, 0.0),
    }

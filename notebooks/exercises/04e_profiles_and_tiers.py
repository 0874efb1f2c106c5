"""Exercises of 04e_profiles_and_tiers."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def highest_over_average(run: Store) -> Answers:
    """Sales per member of the highest tier over sales per customer."""
    tiers = run.frame("tiers").sort_values("threshold")
    highest, average = tiers["per_member"].iloc[-1], tiers["sales"].sum() / tiers["members"].sum()
    return highest / average, {
        "That is an amount of money. Divide by what the average customer buys.": highest,
        "You compared with the lowest tier. Compare with the average of all customers.": (
            highest / tiers["per_member"].iloc[0]
        ),
        "That averages over tiers, large and small alike. Divide all sales by all members.": (
            highest / tiers["per_member"].mean()
        ),
    }


@exercise
def busiest_day(run: Store) -> Answers:
    """The most frequent usual weekday."""
    days = run.frame("profiles")["weekday"].value_counts()
    return days.index[0], {
        "That is the day with the fewest. Take the first of `value_counts`.": days.index[-1],
        "That is the number of customers. Give the name of the day.": int(days.iloc[0]),
    }


@exercise
def fall_out(run: Store) -> Answers:
    """Customers between the threshold of the second tier and a tenth more."""
    tiers = run.frame("tiers").sort_values("threshold")
    sales = run.frame("segments")["yearly_sales"]
    line = tiers["threshold"].iloc[1]
    return int(((sales >= line) & (sales < 1.1 * line)).sum()), {
        "That counts all below the new line. Who is below the old one is not in the tier anyway.": (
            int((sales < 1.1 * line).sum())
        ),
        "That counts those who stay. Who reaches the old line, but not the new one?": int(
            (sales >= 1.1 * line).sum()
        ),
        "You lowered the line. Multiply by 1.1.": int(
            ((sales < line) & (sales >= 0.9 * line)).sum()
        ),
    }

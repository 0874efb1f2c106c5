"""Exercises of 04e_profiles_and_tiers."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def busiest_day(run: Store) -> Answers:
    """The most frequent usual weekday."""
    days = run.frame("profiles")["weekday"].value_counts()
    return days.index[0], {
        "That is the day with the fewest. Take the first of `value_counts`.": days.index[-1],
        "That is the number of customers. Give the name of the day.": int(days.iloc[0]),
    }


@exercise
def mostly_at_a_discount(run: Store) -> Answers:
    """Of the customers with an order, the share that bought mostly at a discount."""
    discounted = run.frame("profiles")["discounted"].dropna()
    mostly = discounted > 0.5
    return mostly.mean(), {
        "That is a number of customers. Divide by all with an order in the window.": int(
            mostly.sum()
        ),
        "That is the mean share of sales. Ask first of each customer: above a half, yes or no?": (
            discounted.mean()
        ),
        "That is the share that bought less than half at a discount.": (discounted < 0.5).mean(),
        "That counts everybody who bought anything at a discount. Ask for more than a half.": (
            (discounted > 0).mean()
        ),
    }


@exercise
def later_sales_of_class_a(run: Store) -> Answers:
    """Mean later sales of those who were class A, over those of class C."""
    then, now = run.frame("segments_before"), run.frame("segments")
    both = then.merge(now[["customer_id", "monetary"]], on="customer_id", suffixes=("_then", ""))
    since = both.groupby("abc")["monetary"].mean()
    earlier = both.groupby("abc")["monetary_then"].mean()
    sums = both.groupby("abc")["monetary"].sum()
    today = now.groupby("abc")["monetary"].mean()
    return since["A"] / since["C"], {
        "Those are the sales that made the classes. Take what they bought since.": (
            earlier["A"] / earlier["C"]
        ),
        "Those are the classes of today. Take the classes of one window ago.": (
            today["A"] / today["C"]
        ),
        "Those are sums, and class C has more people. Take the mean of each class.": (
            sums["A"] / sums["C"]
        ),
        "That is an amount of money. Divide by the mean of class C.": since["A"],
        "The wrong way round: divide A by C.": since["C"] / since["A"],
    }


@exercise
def fell_of_the_important(run: Store) -> Answers:
    """Of those who were important one window ago, the share that is not any more."""
    then, now = run.frame("segments_before"), run.frame("segments")
    then = then[then["frequency"] > 0]
    both = then.merge(now[["customer_id", "m_high"]], on="customer_id", suffixes=("_then", ""))
    was, is_now = both["m_high_then"].astype(bool), both["m_high"].astype(bool)
    fell = was & ~is_now
    return fell.sum() / was.sum(), {
        "That is a number of customers. Divide by all who were important.": int(fell.sum()),
        "That divides by everybody. Divide by those who fell or stayed important.": fell.mean(),
        "That is the share that stayed.": 1 - fell.sum() / was.sum(),
        "That divides by those who stayed. Divide by both together.": (
            fell.sum() / (was & is_now).sum()
        ),
    }


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

"""Exercises of 06_monitor."""

from helpers.learn import Answers, exercise
from helpers.monitor import detection
from helpers.store import Store


@exercise
def order_value_last_week(run: Store) -> Answers:
    """Sales over orders of the last seven days."""
    daily = detection.every_day(detection.daily_totals(run.read("orders")).to_pandas(), run.as_of)
    week = daily.tail(7)
    each = (daily["sales"] / daily["orders"].where(daily["orders"] > 0)).tail(7)
    return week["sales"].sum() / week["orders"].sum(), {
        "That is sales for each day. Divide by the orders.": week["sales"].sum() / 7,
        "That adds up the values of seven days. Divide the sum of sales by the sum of orders.": (
            each.sum()
        ),
    }


@exercise
def days_beyond_two(run: Store) -> Answers:
    """Days whose size is beyond two, up or down."""
    daily = detection.every_day(detection.daily_totals(run.read("orders")).to_pandas(), run.as_of)
    watched = detection.watch(daily["sales"])
    return int((watched["size"].abs() > 2).sum()), {
        "Those are the high days only. Low days count too: take the absolute size.": int(
            (watched["size"] > 2).sum()
        ),
        "Those are the days that alarm. Here the line is at two.": int(watched["unusual"].sum()),
    }


@exercise
def share_responding(run: Store) -> Answers:
    """Responses over contacts of the covered campaigns."""
    response = run.frame("campaign_response")
    whole = response[response["covered"]]
    share = whole["responded"].sum() / whole["reached"].sum()
    return share, {
        "That is the mean of the rates: a tiny campaign counts as much as a large one. Add up first.": (
            whole["rate"].mean()
        ),
        "That is the share that did not respond. Take the other part.": 1 - share,
        "That is the number who responded. Divide by all who were reached.": int(
            whole["responded"].sum()
        ),
    }


@exercise
def money_short(run: Store) -> Answers:
    """Target less expected, over the categories that fall short."""
    pacing = run.frame("pacing")
    gap = (pacing["target"] - pacing["expected"])[pacing["scope"] != "all"]
    return float(gap[gap > 0].sum()), {
        "That sets the categories that end above their target against the others. Leave those out.": float(
            gap.sum()
        ),
        "That is the number of categories. The question is about money.": int((gap > 0).sum()),
    }

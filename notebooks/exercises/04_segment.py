"""Exercises of 04_segment."""

from helpers.learn import Answers, exercise
from helpers.segment import stakes
from helpers.store import Store


@exercise
def ordered_once(run: Store) -> Answers:
    """Customers with exactly one order in the window."""
    orders = run.frame("segments")["frequency"]
    return int((orders == 1).sum()), {
        "That counts everybody with an order. Ask for exactly one: `== 1`.": int(
            (orders > 0).sum()
        ),
        "That counts those without an order, too. Ask for exactly one: `== 1`.": int(
            (orders <= 1).sum()
        ),
        "That counts those without any order in the window.": int((orders == 0).sum()),
        "That is a share. Count the customers.": (orders == 1).mean(),
    }


@exercise
def share_of_spenders(run: Store) -> Answers:
    """Sales of the spenders over all sales."""
    people = run.frame("segments")
    spenders = people["value_type"] == "spender"
    sales = people.loc[spenders, "monetary"].sum()
    return sales / people["monetary"].sum(), {
        "That is their share of customers. Add up `monetary`.": spenders.mean(),
        "That is an amount of money. Divide by the sales of everybody.": sales,
        "That is the share of the best. Choose the rows of the spenders.": people.loc[
            people["value_type"] == "best", "monetary"
        ].sum()
        / people["monetary"].sum(),
    }


@exercise
def silent_in_class_a(run: Store) -> Answers:
    """Customers of class A whose stage is dormant or lost."""
    people = run.frame("segments")
    top, silent = people["abc"] == "A", people["stage"].isin(["dormant", "lost"])
    return int((top & silent).sum()), {
        "That counts the silent customers of all classes.": int(silent.sum()),
        "That counts all of class A. Which of them are silent?": int(top.sum()),
        "That is where both are false, or only one is true. Join the two tests with `&`.": int(
            (top | silent).sum()
        ),
    }


@exercise
def risen_to_important_value(run: Store) -> Answers:
    """Customers who came to the type from another."""
    moves = run.frame("segment_moves")
    to, was = moves["to_segment"] == "important value", moves["from_segment"] == "important value"
    return int(moves.loc[to & ~was, "customers"].sum()), {
        "That counts those who stayed, too. Leave out the row that begins with the same type.": int(
            moves.loc[to, "customers"].sum()
        ),
        "That counts those who left the type. Look at `to_segment`.": int(
            moves.loc[was & ~to, "customers"].sum()
        ),
        "That counts the rows of the table. Add up `customers`.": int((to & ~was).sum()),
    }


@exercise
def stayed_important_value(run: Store) -> Answers:
    """Of those who were important value, the share that still is."""
    moves = run.frame("segment_moves")
    to, was = moves["to_segment"] == "important value", moves["from_segment"] == "important value"
    stayed = moves.loc[to & was, "customers"].sum()
    return stayed / moves.loc[was, "customers"].sum(), {
        "That is how many stayed. Divide by all who were it one window ago.": int(stayed),
        "That divides by who is it now. Divide by who was it one window ago.": stayed
        / moves.loc[to, "customers"].sum(),
        "That divides by everybody. Divide by who was it one window ago.": stayed
        / moves["customers"].sum(),
        "That is the share that left.": 1 - stayed / moves.loc[was, "customers"].sum(),
    }


@exercise
def lost_who_came_back(run: Store) -> Answers:
    """Of those who were lost one window ago, the share that has ordered since."""
    then, now = run.frame("segments_before"), run.frame("segments")
    lost = then.loc[then["stage"] == "lost", "customer_id"]
    ordered = now.loc[now["frequency"] > 0, "customer_id"]
    back = lost.isin(ordered)
    return back.mean(), {
        "That is how many came back. Divide by how many were lost.": int(back.sum()),
        "That is the share that did not come back.": 1 - back.mean(),
        "That is their part of all who ordered. Divide by how many were lost.": back.sum()
        / len(ordered),
    }


@exercise
def silent_of_all(run: Store) -> Answers:
    """Customers later than the cut line and silent beyond their own rhythm."""
    people = run.frame("segments")
    silent = stakes.is_silent(people)
    return int(silent.sum()), {
        "That counts the important ones only.": int((silent & people["m_high"]).sum()),
        "That is one sign of the two: not high in recency.": int((~people["r_high"]).sum()),
        "That is a share. Count the customers.": silent.mean(),
    }

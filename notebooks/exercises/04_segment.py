"""Exercises of 04_segment."""

from helpers.learn import Answers, exercise
from helpers.store import Store


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

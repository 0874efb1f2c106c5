"""Exercises of 04b_groups_and_personas."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def share_known(run: Store) -> Answers:
    """Customers with a persona whose habits are known, over all customers with a persona."""
    people = run.frame("personas")
    mine = people[people["persona"].notna()]
    return mine["known"].mean(), {
        "That is a number of people. Divide by the number of people with a persona.": int(
            mine["known"].sum()
        ),
        "That is the share whose persona is a first guess.": (~mine["known"]).mean(),
        "That is the number of personas.": mine["persona"].nunique(),
    }


@exercise
def sales_per_head(run: Store) -> Answers:
    """Sales of all personas over all their customers."""
    cards = run.frame("persona_cards")
    return cards["sales"].sum() / cards["customers"].sum(), {
        "That is the mean over personas, where a small persona weighs as much as a large one. "
        "Divide all sales by all customers.": cards["per_head"].mean(),
        "That is all sales. Divide by the number of customers.": cards["sales"].sum(),
        "That is the average order. Take `sales` and `customers`.": cards["average_order"].mean(),
    }


@exercise
def other_favourite(run: Store) -> Answers:
    """Customers whose favourite is not named in their group, over those with a favourite and a
    group.
    """
    people = run.frame("personas").dropna(subset=["group", "favourite"])
    named = [
        f.lower() in g.lower() for f, g in zip(people["favourite"], people["group"], strict=True)
    ]
    share = 1 - sum(named) / max(len(named), 1)
    return share, {
        "That is the share whose favourite is in the name. The question asks for the others.": 1
        - share,
        "That is a number of people. Divide by those who have a favourite and a group.": len(named)
        - sum(named),
        "Mind the capitals: compare both in small letters.": 1
        - sum(f in g for f, g in zip(people["favourite"], people["group"], strict=True))
        / max(len(named), 1),
    }

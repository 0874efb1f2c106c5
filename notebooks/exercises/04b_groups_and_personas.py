"""Exercises of 04b_groups_and_personas."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def habits_not_known(run: Store) -> Answers:
    """Customers with an order, but fewer than three."""
    people = run.frame("personas")
    ordered = people["orders"] > 0
    few = ordered & (people["orders"] < 3)
    return int(few.sum()), {
        "That counts those whose habits are known. How many have fewer than three orders?": int(
            (people["orders"] >= 3).sum()
        ),
        "That counts those with three orders, too. Ask for fewer than three: `< 3`.": int(
            (ordered & (people["orders"] <= 3)).sum()
        ),
        "That is a share. Count the customers.": few.sum() / ordered.sum(),
    }


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
def spread_of_rates(run: Store) -> Answers:
    """The highest answer rate of a persona less the lowest."""
    answers = run.frame("persona_response")
    rates = answers.loc[answers["division"] == "persona", "rate"]
    return rates.max() - rates.min(), {
        "That is the highest rate. Take the lowest off.": rates.max(),
        "That is a ratio. By how much is a difference.": rates.max() / rates.min(),
        "That is against the mean of the personas. Take the lowest off.": rates.max()
        - rates.mean(),
        "That compares the column `difference`. Take `rate`.": answers.loc[
            answers["division"] == "persona", "difference"
        ].max(),
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

"""Exercises of 03a_journeys."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def censored_share(run: Store) -> Answers:
    """Chance less naive share after the first order."""
    first = run.frame("repeat_ladder").set_index("step").loc[1]
    return first["chance"] - first["naive"], {
        "That is the share less the chance. It was asked the other way round.": (
            first["naive"] - first["chance"]
        ),
        "That is the chance itself. Take the naive share off.": first["chance"],
        "That is a ratio. The question asks for the difference.": first["chance"] / first["naive"],
    }


@exercise
def up_the_ladder(run: Store) -> Answers:
    """A hundred times the product of the first three chances."""
    chance = run.frame("repeat_ladder").set_index("step")["chance"]
    three = chance[1] * chance[2] * chance[3]
    return 100 * three, {
        "That is the chance of the last step alone. To get there, the steps before must be climbed, too.": (
            100 * chance[3]
        ),
        "That has a step too few: the fourth order is three steps from the first.": (
            100 * chance[1] * chance[2]
        ),
        "That is the mean of the chances. Chances of one after the other are multiplied.": (
            100 * chance[:3].mean()
        ),
    }


@exercise
def twelfth_period(run: Store) -> Answers:
    """S(12) / S(11) of the model: (beta + 11) / (alpha + beta + 11)."""
    alpha, beta = 0.668, 3.806
    right = (beta + 11) / (alpha + beta + 11)
    return right, {
        "That is the retention of the first period. Later it is higher: who leaves easily has gone.": (
            beta / (alpha + beta)
        ),
        "That is the part that leaves. How many stay?": 1 - right,
        "That is of all who began. The question asks of those left after eleven.": 0.3899,
    }

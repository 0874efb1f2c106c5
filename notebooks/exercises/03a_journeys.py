"""Exercises of 03a_journeys."""

import pandas as pd

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def visits_of_six_minutes(run: Store) -> Answers:
    """Visits of the five acts by hand, if a pause of more than six minutes ends one."""
    minutes = pd.Series([8, 5, 8 * 60 + 57, 20])
    long = int((minutes > 6).sum())
    return long + 1, {
        "That is how many long pauses there are. The first visit begins without one.": long,
        "That is the answer for half an hour. Which pauses are longer than six minutes?": 2,
        "That is how many acts there are.": len(minutes) + 1,
    }


@exercise
def strict_share(run: Store) -> Answers:
    """Of the four visits by hand, those that fill the cart right after they look at goods."""
    return 2 / 4, {
        "That is in loose order: one visit searched in between.": 3 / 4,
        "That is how many visits do. Divide by the four that looked at goods.": 2,
        "That is the share that buys. Which act comes before?": 1 / 4,
        "That counts every visit that filled the cart, even before it looked.": 1,
    }


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


@exercise
def model_and_plain_rule(run: Store) -> Answers:
    """A hundred times the model's share left after a year less that of the plain rule."""
    year = run.frame("retention_fit").set_index("period").loc[13]
    model, plain = 100 * year["projected"], 100 * year["plain"]
    return model - plain, {
        "That is the plain rule less the model. It was asked the other way round.": plain - model,
        "That is a share. The question asks of a hundred newcomers.": (model - plain) / 100,
        "That is what the model expects. Take off what the plain rule expects.": model,
        "That is what the plain rule expects. Take it off what the model expects.": plain,
        "That is a ratio. The question asks for the difference.": model / plain,
    }


@exercise
def narrowest_touchpoint(run: Store) -> Answers:
    """The name of the touchpoint with the lowest share that did the next thing."""
    points = run.frame("journey_map").dropna(subset="share").sort_values("share")
    lowest, highest = points.iloc[0], points.iloc[-1]
    return lowest["name"], {
        "That is its short name. Take the column `name`.": lowest["touchpoint"],
        "That is where the share is highest.": highest["name"],
    }

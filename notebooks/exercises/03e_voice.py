"""Exercises of 03e_voice."""

import numpy as np

from helpers.analyze.voice import coders, mood, writing
from helpers.analyze.voice.writing import TEXTS
from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def kappa_by_hand(run: Store) -> Answers:
    """Agreement of two coders beyond chance."""
    share = np.array(TEXTS["lesson_codes"]) / np.sum(TEXTS["lesson_codes"])
    seen, chance = np.trace(share), share.sum(axis=1) @ share.sum(axis=0)
    return coders.cohen_kappa(TEXTS["lesson_codes"]), {
        "That is how often they agree. Take away what chance alone would give.": seen,
        "That is how often chance alone would make them agree.": chance,
        "That is the agreement beyond chance. Divide it by the most that there could be, one less chance.": (
            seen - chance
        ),
        "That counts only the passages in which both saw it.": share[0, 0],
    }


@exercise
def mood_right(run: Store) -> Answers:
    """Share of sentences whose mood says the same as the mark."""
    rows = mood.add_mood(writing.lesson())
    said, marked = rows["mood"] < -0.05, rows["unhappy"].astype(bool)
    return (said == marked).mean(), {
        "That is the share of unhappy sentences that mood found. Count the happy ones, too.": (
            said[marked].mean()
        ),
        "That is the share that mood calls unhappy. Compare it with the marks, line by line.": (
            said.mean()
        ),
        "That is the share of unhappy marks.": marked.mean(),
        "That is a number of sentences. Divide it by all of them.": int((said == marked).sum()),
    }


@exercise
def nine_in_ten(run: Store) -> Answers:
    """90 % quantile of a few waiting times."""
    minutes = np.array(TEXTS["lesson_replies"], float)
    return float(np.quantile(minutes, 0.9)), {
        "That is the mean, which one very late reply pulls up.": minutes.mean(),
        "That is the median: half of the replies came within it.": float(np.median(minutes)),
        "That is the slowest of all.": minutes.max(),
        "That is the lowest tenth. Nine in ten came within the quantile of nine tenths.": float(
            np.quantile(minutes, 0.1)
        ),
    }

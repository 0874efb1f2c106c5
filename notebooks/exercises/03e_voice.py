"""Exercises of 03e_voice. All stand on made-up sentences and numbers, for every client alike."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from statsmodels.stats.inter_rater import cohens_kappa

from helpers.analyze.voice import mood, topic_model, writing
from helpers.analyze.voice.writing import TEXTS
from helpers.learn import Answers, exercise
from helpers.store import Store

SENTENCE = "the parcel came late because the courier was late"


@exercise
def points_of_delivery(run: Store) -> Answers:
    """Two for each sure word, one for each hint, each word once."""
    (sure_weight, sure), (hint_weight, hint) = topic_model.PATTERNS["delivery"][:2]
    words, hints = set(sure.findall(SENTENCE)), set(hint.findall(SENTENCE))
    every = len(sure.findall(SENTENCE)), len(hint.findall(SENTENCE))
    return sure_weight * len(words) + hint_weight * len(hints), {
        "That counts the words. A sure sign counts two.": len(words) + len(hints),
        "Each word counts once, however often it stands there.": (
            sure_weight * every[0] + hint_weight * every[1]
        ),
        "That leaves out the hint.": sure_weight * len(words) if hints else 0,
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
def pairs_in_english(run: Store) -> Answers:
    """Of pairs of an unhappy and a happy English sentence, the share with the darker unhappy one."""
    every = mood.add_mood(writing.lesson())
    rows = every[every["language"] == "en"]
    unhappy = rows["unhappy"].astype(bool)
    right = roc_auc_score(unhappy, -rows["mood"])
    pairs = int(unhappy.sum() * (~unhappy).sum())
    return right, {
        "That is the share with the Chinese sentences. Leave them out first.": roc_auc_score(
            every["unhappy"].astype(bool), -every["mood"]
        ),
        "That is the share of pairs in which the happy one is darker.": 1 - right,
        "That is how many pairs there are.": pairs,
        "That is how many pairs are right. Divide by all pairs.": right * pairs,
    }


@exercise
def within_sources(run: Store) -> Answers:
    """Mantel and Haenszel's difference where nobody differs in the cases, and two more in reviews."""
    rows = pd.DataFrame(
        {"n1": [40, 10], "n0": [10, 40], "a": [20, 3], "c": [5, 4]}, index=["cases", "reviews"]
    )
    within = rows["a"] / rows["n1"] - rows["c"] / rows["n0"]
    weight = rows["n1"] * rows["n0"] / (rows["n1"] + rows["n0"])
    whole = rows.sum()
    return (within * weight).sum() / weight.sum(), {
        "That compares all with all, so the mixture of sources counts, too.": (
            whole["a"] / whole["n1"] - whole["c"] / whole["n0"]
        ),
        "That is the difference within the reviews. Bring in the cases, with their weight.": (
            within["reviews"]
        ),
        "That is the difference with one unhappy review, as it was.": 0.0,
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


@exercise
def kappa_by_hand(run: Store) -> Answers:
    """Agreement of two coders beyond chance."""
    counts = np.array(TEXTS["lesson_codes"])
    share = counts / counts.sum()
    seen, chance = np.trace(share), share.sum(axis=1) @ share.sum(axis=0)
    return float(cohens_kappa(counts).kappa), {
        "That is how often they agree. Take away what chance alone would give.": seen,
        "That is how often chance alone would make them agree.": chance,
        "That is the agreement beyond chance. Divide it by the most that there could be, one less chance.": (
            seen - chance
        ),
        "That counts only the passages in which both saw it.": share[0, 0],
    }

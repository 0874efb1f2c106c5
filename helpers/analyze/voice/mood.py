"""Mood of texts: VADER with words of shops for English, a lexicon with negation for Chinese, held
against marks.
"""

from __future__ import annotations

import re
from functools import cache
from math import sqrt

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from helpers import stats
from helpers.analyze.voice.writing import TEXTS, facts

MOOD = facts("mood")
ENGLISH, CHINESE = MOOD["english"], MOOD["chinese"]
# what a negation makes of a word, and the constant that keeps scores within one: as VADER
NEGATED = -0.74
ALPHA = 15
NEAR = 3  # letters between a negation or a degree and its word, at most
USEFUL = 0.65  # pairs told apart, from which mood is of use
FEWEST = 10  # happy and unhappy texts each, below which no check is told
DRAWS = 500


def add_mood(texts: pd.DataFrame) -> pd.DataFrame:
    """Add `mood`, -1 (dark) to 1 (bright): VADER's compound score for English; empty for a language
    not read.
    """
    pairs = texts[["text", "language"]].drop_duplicates()
    once = {(t, k): score_mood(t, k) for t, k in pairs.itertuples(index=False)}
    mood = [once[pair] for pair in texts[["text", "language"]].itertuples(index=False, name=None)]
    return texts.assign(mood=pd.Series(mood, texts.index, dtype=float))


def score_mood(text: str, language: str) -> float:
    """Mood of one text.

    English by VADER (Hutto and Gilbert 2014) with the words of mood.yaml. Chinese by our own
    lexicon: valences of the words, turned round by a negation and strengthened by a degree within
    three letters before them, added up and brought between -1 and 1 as VADER does.

    >>> score_mood("Fell apart after two weeks.", "en") < 0 < score_mood("Well packed and fast.", "en")
    True
    >>> score_mood("质量不好", "zh") < 0 < score_mood("质量很好", "zh")
    True
    """
    if language == "en":
        joined = (
            PHRASE.sub(lambda m: re.sub(r"\W+", "_", m[0]), text.lower())
            if PHRASE.search(text.lower())
            else text
        )
        return _vader().polarity_scores(joined)["compound"]
    return _chinese(text) if language == "zh" else float("nan")


PHRASE = re.compile(
    r"\b(?:" + "|".join(map(re.escape, sorted(ENGLISH["phrases"], key=len, reverse=True))) + r")\b",
    re.IGNORECASE,
)


@cache
def _vader() -> SentimentIntensityAnalyzer:
    vader = SentimentIntensityAnalyzer()
    vader.lexicon.update(ENGLISH["words"])
    vader.lexicon.update({re.sub(r"\W+", "_", p): v for p, v in ENGLISH["phrases"].items()})
    return vader


KNOWN = {w: ("word", v) for w, v in CHINESE["words"].items()}
KNOWN |= {w: ("degree", v) for w, v in CHINESE["degrees"].items()} | {
    w: ("not", 0) for w in CHINESE["negators"]
}
CUT = re.compile(
    "|".join(map(re.escape, sorted(KNOWN, key=len, reverse=True))) + r"|[，。！？；,.!?;\n]"
)


def _chinese(text: str) -> float:
    total, turn, degree, end = 0.0, 1.0, 1.0, -99
    for m in CUT.finditer(text):
        kind, value = KNOWN.get(m[0], ("stop", 0))
        if kind == "stop" or m.start() - end > NEAR:
            turn, degree = 1.0, 1.0
        if kind == "not":
            turn, end = turn * NEGATED, m.end()
        elif kind == "degree":
            degree, end = degree * value, m.end()
        elif kind == "word":
            total += value * turn * degree
            turn, degree = 1.0, 1.0
    return round(total / sqrt(total * total + ALPHA), 4)


def check_mood(texts: pd.DataFrame) -> pd.DataFrame:
    """Mood held against the marks that the same customers gave, by source and language, and by
    source.

    source, language, texts (with a mark), unhappy (share), right (mood below the cut says unhappy),
    commonest_mark (right by always saying it), auc: of pairs of an unhappy and a happy text, the
    share in which the unhappy one has the darker mood; low, high: its 90 % interval (bootstrap).
    Empty below ten unhappy or happy texts.
    """
    marked = texts[texts["unhappy"].notna() & texts["mood"].notna()]
    rows = []
    for source, whole in marked.groupby("source"):
        parts = (
            [("all", whole), *whole.groupby("language")]
            if whole["language"].nunique() > 1
            else [(whole["language"].iloc[0], whole)]
        )
        for language, part in parts:
            bad = part["unhappy"].to_numpy(bool)
            if min(bad.sum(), (~bad).sum()) >= FEWEST:
                said = part["mood"].to_numpy() < MOOD["unhappy_below"]
                auc, low, high = _auc(bad, -part["mood"].to_numpy())
                plain = max(bad.mean(), 1 - bad.mean())
                rows.append(
                    [
                        source,
                        language,
                        len(bad),
                        bad.mean(),
                        (said == bad).mean(),
                        plain,
                        auc,
                        low,
                        high,
                    ]
                )
    names = [
        "source",
        "language",
        "texts",
        "unhappy",
        "right",
        "commonest_mark",
        "auc",
        "low",
        "high",
    ]
    found = pd.DataFrame(rows, columns=names)
    spoken = TEXTS["own_names"] | {"all": "all"}
    return found.assign(
        source=found["source"].map(TEXTS["sources"]), language=found["language"].map(spoken)
    )


def _auc(bad: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    rng, drawn = np.random.default_rng(1), []
    one, other = np.flatnonzero(bad), np.flatnonzero(~bad)
    wins = (
        (score[one][:, None] > score[other]) + 0.5 * (score[one][:, None] == score[other])
        if len(bad) < 4000
        else None
    )
    for _draw in range(DRAWS if wins is not None else 0):
        a, b = rng.integers(0, len(one), len(one)), rng.integers(0, len(other), len(other))
        drawn.append(
            (np.bincount(a, minlength=len(one)) @ wins @ np.bincount(b, minlength=len(other)))
            / (len(a) * len(b))
        )
    auc = float(roc_auc_score(bad, score))
    if wins is None:  # many texts: Hanley and McNeil (1982)
        q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
        n1, n0 = len(one), len(other)
        error = np.sqrt(
            (auc * (1 - auc) + (n1 - 1) * (q1 - auc**2) + (n0 - 1) * (q2 - auc**2)) / (n1 * n0)
        )
        return auc, auc - stats.Z * error, auc + stats.Z * error
    return auc, *(float(e) for e in np.quantile(drawn, stats.ENDS))


def mood_tells(checked: pd.DataFrame, source: str) -> bool:
    """Whether the mood of texts of a source (ticket, review or survey) surely tells the unhappy
    from the happy.
    """
    own = checked[checked["source"] == TEXTS["sources"][source]]
    return bool(len(own) and own["low"].iloc[0] > 0.5)

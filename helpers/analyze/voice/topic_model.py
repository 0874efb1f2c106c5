"""Topics of texts: known ones by their words, new ones by factorising the words; share, trend,
quotes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.decomposition import NMF
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from helpers.analyze.voice.writing import TEXTS, facts, pattern, words_of

TOPICS = facts("topics")
OTHER = TOPICS["other"]
LEAST_TEXTS, LEAST_WORDS = 60, 8  # of one language, below which no topics are searched for
SOUND = 0.5  # agreement of two halves (adjusted Rand index) from which found topics are told
NEW_TEXTS, NEW_WORDINGS = 20, 5  # that make a new topic
LONGEST = 160  # letters of a quote
MOST_FITTED = 3_000  # texts from which the number of topics is chosen


class Found(NamedTuple):
    """Topics that were searched for in one language.

    topic: of each text (index as the texts), numbered from 0; words: one row a topic: topic, words,
    texts; tried: one row a number of topics: topics, agreement, error (its standard error);
    agreement: of the number chosen.
    """

    topic: pd.Series
    words: pd.DataFrame
    tried: pd.DataFrame
    agreement: float


def add_topics(texts: pd.DataFrame) -> pd.DataFrame:
    """Add `topic` to the texts of `read_texts`: the known topic whose words say most, or other.

    Sure words of topics.yaml count two, hints one; each word counts once a text. English and
    Chinese words lead to the same topics. Texts in another language are not read: their topic is
    empty.
    """
    once = {p: seed_topic(p) for p in texts["plain"].unique()}
    return texts.assign(
        topic=texts["plain"].map(once).where(texts["language"] != "other").astype("str")
    )


def seed_topic(plain: str) -> str:
    """The known topic of a plain text.

    >>> seed_topic("where is my parcel"), seed_topic("质量差"), seed_topic("hello there")
    ('delivery', 'quality', 'other')
    """
    points = {
        topic: sum(weight * len(set(p.findall(plain))) for weight, p in patterns)
        for topic, patterns in PATTERNS.items()
    }
    best = max(points, key=points.get)  # the first of equals
    return best if points[best] else OTHER


PATTERNS = {
    topic: [
        (weight, pattern(own[language][kind]))
        for language in ("en", "zh")
        for kind, weight in (("sure", 2), ("hints", 1))
    ]
    for topic, own in TOPICS["topics"].items()
}


def find_topics(texts: pd.DataFrame, most: int = 16, seed: int = 1) -> Found:
    """Topics in the texts of one language, without knowing any: NMF of TF-IDF weights (Lee and
    Seung 1999).

    Their number, 2 to `most`, is chosen by stability: two models of random halves sort all texts,
    and their agreement is the adjusted Rand index (Lange et al. 2004). The most topics within one
    standard error of the best agreement are taken. A text's topic is the one with the largest
    weight. Nothing is found below 60 texts.
    """
    empty = Found(
        pd.Series(dtype="Int64"),
        pd.DataFrame(columns=["topic", "words", "texts"]),
        pd.DataFrame(columns=["topics", "agreement", "error"]),
        float("nan"),
    )
    said = texts[texts["plain"].str.len() > 0]
    if len(said) < LEAST_TEXTS:
        return empty
    weigher = TfidfVectorizer(
        analyzer=words_of, min_df=max(2, len(said) // 200), max_df=0.5, max_features=1500
    )
    try:
        weights = weigher.fit_transform(said["plain"])
    except ValueError:  # no word is common enough
        return empty
    told = np.asarray(weights.sum(axis=1)).ravel() > 0
    said, weights = said[told], weights[told]
    if weights.shape[1] < LEAST_WORDS or len(said) < LEAST_TEXTS:
        return empty
    with threadpool_limits(1):
        tried = _stability(weights, min(most, weights.shape[1] // 3), seed)
        best = tried.loc[tried["agreement"].idxmax()]
        near = tried[tried["agreement"] >= best["agreement"] - best["error"]]
        chosen = near.iloc[-1]
        model = _model(int(chosen["topics"]), seed).fit(weights)
        own = _strongest(model, weights)
    names = np.array(weigher.get_feature_names_out())
    topic = pd.Series(own, index=said.index, dtype="Int64")
    top = [", ".join(names[row.argsort()[::-1][:5]]) for row in model.components_]
    listed = pd.DataFrame({"topic": range(len(top)), "words": top})
    listed["texts"] = listed["topic"].map(topic.value_counts()).fillna(0).astype(int)
    return Found(topic, listed, tried, float(chosen["agreement"]))


def _stability(weights: np.ndarray, most: int, seed: int, splits: int = 4) -> pd.DataFrame:
    rng, n, rows = np.random.default_rng(seed), weights.shape[0], []
    halves = []
    for _split in range(splits):
        order = rng.permutation(n)[:MOST_FITTED]
        halves.append((order[::2], order[1::2], order))
    for k in range(2, most + 1):
        scores = []
        for left, right, whole in halves:
            both = [
                _strongest(_model(k, seed).fit(weights[half]), weights[whole])
                for half in (left, right)
            ]
            scores.append(adjusted_rand_score(*both))
        rows.append([k, np.mean(scores), np.std(scores, ddof=1) / np.sqrt(splits)])
    return pd.DataFrame(rows, columns=["topics", "agreement", "error"])


def _strongest(model: NMF, weights: np.ndarray) -> np.ndarray:
    # The scale of a topic is arbitrary: its part of a text is its weight times the size of its
    # words.
    return (model.transform(weights) * np.linalg.norm(model.components_, axis=1)).argmax(axis=1)


def _model(k: int, seed: int) -> NMF:
    return NMF(k, init="nndsvda", random_state=seed, max_iter=150, tol=2e-3)


def compare_found(texts: pd.DataFrame, found: Found) -> pd.DataFrame:
    """One row a found topic: words, texts, known (the known topic most of its texts have), share
    that has it.
    """
    if found.topic.empty:
        return pd.DataFrame(columns=["words", "texts", "known", "share"])
    known = texts.loc[found.topic.index, "topic"]
    counts = pd.crosstab(found.topic, known)
    rows = found.words.set_index("topic")[["words", "texts"]]
    rows = rows.assign(known=counts.idxmax(axis=1), share=counts.max(axis=1) / counts.sum(axis=1))
    return rows[rows["texts"] > 0].sort_values("texts", ascending=False, ignore_index=True)


def search_topics(texts: pd.DataFrame) -> pd.DataFrame:
    """What a search without known topics finds (`find_topics`), held against the known ones: one
    row a found topic.

    language, words, texts, known, share (columns of `compare_found`), agreement (of two halves of
    the language).
    """
    rows = [pd.DataFrame(columns=["language", "words", "texts", "known", "share", "agreement"])]
    for language, own in texts[texts["topic"].notna()].groupby("language"):
        found = find_topics(own)
        name = TEXTS["own_names"][language]
        rows.append(compare_found(own, found).assign(language=name, agreement=found.agreement))
    whole = pd.concat([r for r in rows if len(r)] or rows, ignore_index=True)
    return whole[rows[0].columns].sort_values("texts", ascending=False, ignore_index=True)


def add_new_topics(texts: pd.DataFrame) -> pd.DataFrame:
    """Search the texts of no known topic for new ones, language by language, and name those after
    their top words.

    New Chinese topics are numbered, as charts have no Chinese letters; their words stand in
    `topic_shares`. A new topic needs two halves of the texts that agree by `SOUND`, and twenty
    texts with one of its words in five different wordings, so that no single sentence becomes one.
    """
    topic = texts["topic"].copy()
    for language, own in texts[texts["topic"] == OTHER].groupby("language"):
        found = find_topics(own)
        if not found.agreement >= SOUND:
            continue
        for row in found.words.itertuples():
            top = row.words.split(", ")[:3]
            mine = own.loc[found.topic.index[found.topic == row.topic], "plain"]
            mine = mine[[bool(set(words_of(p)) & set(top)) for p in mine]]
            if len(mine) >= NEW_TEXTS and mine.nunique() >= NEW_WORDINGS:
                topic[mine.index] = (
                    " / ".join(top) if language == "en" else f"new in Chinese, {row.topic + 1}"
                )
    return texts.assign(topic=topic)


def typical_quotes(texts: pd.DataFrame, topics: list[str]) -> pd.DataFrame:
    """Two texts a topic, nearest to its middle and not alike: topic, language, quote.

    One a language where there are two. Near is the cosine to the mean of the TF-IDF weights. Texts
    longer than `LONGEST` letters are passed over.
    """
    rows = []
    for topic in topics:
        own = texts[(texts["topic"] == topic) & (texts["text"].str.len() <= LONGEST)]
        ranked = [_by_nearness(part) for _language, part in own.groupby("language")]
        for place in range(2):
            for part in ranked:
                rows += part.iloc[place : place + 1].assign(place=place).to_dict("records")
    found = pd.DataFrame(rows, columns=["topic", "language", "text", "place"]).sort_values(
        "place", kind="stable"
    )
    found = found.groupby("topic", sort=False).head(2)
    order = {t: i for i, t in enumerate(topics)}
    found = found.sort_values("topic", key=lambda t: t.map(order), kind="stable", ignore_index=True)
    return found.assign(
        language=found["language"].map(TEXTS["own_names"]),
        text=found["text"].str.split().str.join(" "),
    )[["topic", "language", "text"]].rename(columns={"text": "quote"})


def _by_nearness(own: pd.DataFrame) -> pd.DataFrame:
    try:
        weights = TfidfVectorizer(analyzer=words_of).fit_transform(own["plain"])
    except ValueError:  # no words at all
        return own.drop_duplicates("plain")
    near = weights @ np.asarray(weights.mean(axis=0)).ravel()
    order = np.lexsort((own["text_id"].to_numpy(), -near.round(9)))
    return own.iloc[order].drop_duplicates("plain")

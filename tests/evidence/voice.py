"""Voice: topics, their shares, mood, slow weeks and styles, against the truth of the twin."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from twins import World
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from helpers import stats
from helpers.analyze.voice import emotion, mood, service, topic_links, topic_model
from helpers.analyze.voice import topic_model as topics
from helpers.analyze.voice import writing as reading

FILES = {"zendesk_tickets.csv": "ticket:", "reviews.csv": "review:"}
TARGET = 480  # minutes, as world.yaml has it for a reply that makes bad experiences likely


def score(world: World) -> dict[str, pd.DataFrame]:
    """One row a text with a true topic, and one row an interval whose true value is known."""
    tables, as_of = {n: t.rows for n, t in world.cleaned.items()}, world.run.as_of
    texts = reading.read_texts(reading.gather_texts(tables, "Twin", as_of), tables["products"])
    texts = mood.add_mood(topic_model.add_topics(texts))
    truth = world.truth("topics")
    truth["text_id"] = truth["file"].map(FILES) + truth["id"].astype(str)
    true = truth.drop_duplicates("text_id").set_index("text_id")
    told = texts[texts["text_id"].isin(true.index)].copy()
    told["true"], told["bad"] = (true.loc[told["text_id"], c].to_numpy() for c in ("topic", "bad"))
    told["searched"] = searched_topic(texts).reindex(told.index)
    vader = SentimentIntensityAnalyzer()
    told["plain"] = [vader.polarity_scores(t)["compound"] for t in told["text"]]
    columns = ["source", "language", "topic", "searched", "true", "bad", "mood", "plain"]
    return {"voice_texts": told[columns], "voice_intervals": intervals(world, texts, told)}


def searched_topic(texts: pd.DataFrame) -> pd.Series:
    """The known topic that most texts of the found topic have, for each text: the search with the lists as names."""
    parts = []
    for _language, own in texts[texts["topic"].notna()].groupby("language"):
        found = topics.find_topics(own).topic
        if len(found):
            names = own.loc[found.index, "topic"].groupby(found).agg(lambda t: t.mode().iloc[0])
            parts.append(found.map(names))
    return pd.concat(parts) if parts else pd.Series(dtype="str")


def intervals(world: World, texts: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """Intervals with their true values: shares by quarter, trends (none is planted), late replies."""
    rows, as_of, cleaned = [], world.run.as_of, world.cleaned
    for source, own in told.groupby("source"):
        weights = true_shares(source)
        for of, part in {
            "all texts": own,
            "those a topic claims": own[own["topic"] != "other"],
        }.items():
            for q in topic_links.topics_by_quarter(part).itertuples():
                if q.topic in weights:
                    name = f"share of a topic in a quarter, {source}, of {of}"
                    rows.append([name, q.share, q.low, q.high, weights[q.topic]])
    for t in topic_links.topic_trends(told).itertuples():
        rows.append(["change of a share a year", t.change, t.low, t.high, 0.0])
    styles = emotion.campaign_styles(cleaned["campaigns"].rows.to_pandas())
    outcomes = emotion.style_outcomes(styles, cleaned["messages"].rows, cleaned["orders"].rows)
    known = {
        "unsubscribed": 0.0,
        "ordered": 0.0,
    }  # styles change what is opened and clicked, nothing else
    for c in emotion.compare_styles(styles, outcomes).itertuples():
        if c.outcome in known:
            rows.append(
                [
                    f"emotional less rational mails, {c.outcome}",
                    c.difference,
                    c.low,
                    c.high,
                    known[c.outcome],
                ]
            )
        else:
            rows.append(
                [
                    f"emotional mails found better, {c.outcome}",
                    float(c.verdict == "emotional more"),
                    np.nan,
                    np.nan,
                    1.0,
                ]
            )
    cases = service.service_cases(cleaned["tickets"].rows, cleaned["orders"].rows, texts, as_of)
    weeks = service.reply_weeks(cases, TARGET)
    for c in service.slow_cost(cases, weeks, TARGET).itertuples():
        if c.compared == "late replies":
            rows.append(["bad marks after a late reply", c.difference, c.low, c.high, 0.70 - 0.18])
    for u in topic_links.unhappy_by_topic(texts[texts["source"] == "ticket"]).itertuples():
        rows.append(["unhappy by topic of the case", u.difference, u.low, u.high, 0.0])
    panel = topic_links.leaving_panel(texts, cleaned["orders"].rows, as_of)
    for t in topic_links.leaving_by_topic(panel).itertuples():
        rows.append(["leaving by topic of the case", t.difference, t.low, t.high, 0.0])
    slow = weeks.loc[weeks["is_slow"], "week"]
    start = pd.Timestamp("2024-10-01")
    days = {d for w in slow for d in range((w - start).days, (w - start).days + 7)}
    planted = set(range(420, 481))
    rows.append(["slow days found, share", len(days & planted) / len(planted), np.nan, np.nan, 1.0])
    rows.append(
        [
            "days called slow that were not, share",
            len(days - planted) / max(len(days), 1),
            np.nan,
            np.nan,
            0.0,
        ]
    )
    return pd.DataFrame(rows, columns=["what", "value", "low", "high", "true"])


def true_shares(source: str) -> dict[str, float]:
    """The chance of each topic, as the simulation draws it."""
    if source == "review":
        weights = {"quality": 4, "price": 2, "delivery": 2.5, "service": 1.5}
    else:
        weights = {
            "delivery": 30,
            "damage": 18,
            "returns": 18,
            "invoice": 12,
            "product": 14,
            "account": 8,
        }
    return {t: w / sum(weights.values()) for t, w in weights.items()}


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by source and language beside the plain rules; coverage and bias of the intervals."""
    if name == "voice_intervals":
        return _coverage(rows)
    found = []
    for (source, language), own in rows[rows["language"] != "other"].groupby(
        ["source", "language"]
    ):
        by = own.groupby("seed")
        commonest = by["true"].agg(lambda t: t.value_counts(normalize=True).iloc[0])
        right, search = own["topic"] == own["true"], own["searched"] == own["true"]
        auc = [_auc(o["bad"], o["mood"]) for _seed, o in by] if source == "review" else [np.nan]
        plain = [_auc(o["bad"], o["plain"]) for _seed, o in by] if source == "review" else [np.nan]
        found.append(
            {
                "source": source,
                "language": language,
                "seeds": own["seed"].nunique(),
                "texts": len(own),
                "right_by_lists": right.mean(),
                "right_by_search": search.mean(),
                "right_by_commonest": commonest.mean(),
                "claimed_by_lists": (own["topic"] != "other").mean(),
                "right_where_claimed": right[own["topic"] != "other"].mean(),
                "auc_mood": np.mean(auc),
                "auc_vader_alone": np.mean(plain),
            }
        )
    return pd.DataFrame(found).round(3)


def _auc(bad: pd.Series, mood: pd.Series) -> float:
    return roc_auc_score(bad.astype(bool), -mood) if bad.nunique() > 1 else np.nan


def _coverage(rows: pd.DataFrame) -> pd.DataFrame:
    covered = (rows["low"] <= rows["true"]) & (rows["true"] <= rows["high"])
    rows = rows.assign(
        covered=covered.astype(float).where(rows["low"].notna()), bias=rows["value"] - rows["true"]
    )
    by = rows.groupby("what")
    found = by.agg(
        seeds=("seed", "nunique"),
        intervals=("value", "size"),
        covered=("covered", "mean"),
        bias=("bias", "mean"),
    )
    ends = stats.share_interval(by["covered"].sum(), by["covered"].count())
    return found.join(ends).reset_index().round(4)

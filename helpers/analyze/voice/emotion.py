"""Emotions in texts and in the brand's messages, and whether emotional messages do better than
rational ones.
"""

from __future__ import annotations

import re

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import norm
from scipy.stats import t as student

from helpers import history, stats
from helpers.analyze.voice.topic_links import holm
from helpers.analyze.voice.writing import HAN, TEXTS, facts

EMOTION = facts("emotion")
EMOTIONS = list(EMOTION["emotions"])
FEWEST = 4  # campaigns of a style, below which styles are not compared
AFTER = 7  # days after a message in which an order counts
DRAWS = 2000
POWER = 0.80


def _any_of(listed: list[str]) -> re.Pattern:
    parts = [
        re.escape(w).replace(r"\*", r"\w*").replace(r"\ ", r"\s+")
        for w in sorted(listed, key=len, reverse=True)
    ]
    worded = [
        rf"\b{p}\b" if w[0].isalpha() and not HAN.search(w) else p
        for p, w in zip(parts, sorted(listed, key=len, reverse=True), strict=True)
    ]
    return re.compile("|".join(worded))


FEELS = {e: _any_of([*own["en"], *own["zh"]]) for e, own in EMOTION["emotions"].items()}
LEANS = {
    side: _any_of([*EMOTION[side]["en"], *EMOTION[side]["zh"]])
    for side in ("emotional", "rational", "offer")
}
NEGATED = re.compile(
    r"(?:\bnot|\bno|\bnever|n't|\bwithout|\bhardly)\s+(?:\w+\s+)?$|[不没无未](?:有|是|太|很|怎么)?$"
)


def emotion_words(text: str) -> dict[str, int]:
    """How many different words of each emotion a text has; a negated one does not count.

    >>> emotion_words("I love it, what a surprise!"), emotion_words("I am not happy")
    ({'joy': 1, 'surprise': 1}, {})
    """
    low, found = text.lower(), {}
    for emotion, own in FEELS.items():
        hits = {
            m[0]
            for m in own.finditer(low)
            if not NEGATED.search(low[max(0, m.start() - 20) : m.start()])
        }
        if hits:
            found[emotion] = len(hits)
    return found


def add_emotion(texts: pd.DataFrame) -> pd.DataFrame:
    """Add `emotion`, the one with most words (the first of Plutchik's list among equals); empty
    where none is shown.
    """
    once = {t: emotion_words(t) for t in texts["text"].unique()}
    first = {t: max(found, key=found.get) if found else None for t, found in once.items()}
    return texts.assign(
        emotion=texts["text"].map(first).where(texts["language"] != "other").astype("str")
    )


def emotion_shares(texts: pd.DataFrame, campaigns: pd.DataFrame) -> pd.DataFrame:
    """Share of texts that show each emotion, one row a source (the brand's messages too), and the
    share with none.

    A text may show several. `campaigns` are those of `campaign_styles`.
    """
    read = texts[texts["language"] != "other"]
    parts = {TEXTS["sources"][s]: own["text"] for s, own in read.groupby("source")}
    parts |= {"our messages": campaigns["words"]} if len(campaigns) else {}
    rows = []
    for name, said in parts.items():
        shown = [emotion_words(t) for t in said]
        shares = {e: np.mean([e in s for s in shown]) for e in EMOTIONS}
        rows.append({"source": name, **shares, "none": np.mean([not s for s in shown])})
    return pd.DataFrame(rows, columns=["source", *EMOTIONS, "none"]).set_index("source")


def campaign_styles(campaigns: pd.DataFrame) -> pd.DataFrame:
    """Campaigns with words (the subject, else the name), style and alike (channel, and whether
    something is offered).

    style: emotional or rational, by which has more words of emotion.yaml; neither where they are
    equal.
    """
    subject = (
        campaigns["subject"]
        if "subject" in campaigns
        else pd.Series(None, campaigns.index, dtype="object")
    )
    rows = campaigns.assign(words=subject.fillna(campaigns["name"])).dropna(subset=["words"])
    low = rows["words"].astype("str").str.lower()
    count = {
        side: low.map(lambda t, p=p: len(set(p.findall(t))))
        for side, p in LEANS.items()
        if side != "offer"
    }
    feeling = count["emotional"] + low.map(lambda t: sum(emotion_words(t).values()))
    style = np.select(
        [feeling > count["rational"], feeling < count["rational"]],
        ["emotional", "rational"],
        "neither",
    )
    named = (rows["words"] + " " + rows["name"].fillna("")).str.lower()
    offered = rows["offer"].notna() | named.astype("str").str.contains(LEANS["offer"])
    alike = rows["channel"].fillna("").astype("str") + np.where(
        offered, " with an offer", " without an offer"
    )
    return rows[["campaign_id"]].assign(words=rows["words"].astype("str"), style=style, alike=alike)


def style_outcomes(styles: pd.DataFrame, messages: ir.Table, orders: ir.Table) -> pd.DataFrame:
    """The rows of `campaign_outcomes` for the campaigns of `campaign_styles` that lean to a
    side.
    """
    leaning = styles.loc[styles["style"] != "neither", "campaign_id"].tolist()
    if not leaning:
        return pd.DataFrame(columns=["campaign_id", "sent", *EMOTION["outcomes"]])
    return campaign_outcomes(messages.filter(_.campaign_id.isin(leaning)), orders).to_pandas()


def campaign_outcomes(messages: ir.Table, orders: ir.Table) -> ir.Table:
    """One row a campaign: sent, and the shares of the people reached who opened, clicked,
    unsubscribed and ordered.

    ordered: in the week after the message, less in the week before it, so that a season counts on
    both sides. Messages held back or not delivered are left out.
    """
    sent = messages.filter(
        _.sent_at.notnull(), ~_.is_holdout.fill_null(False), _.delivered.fill_null(True)
    )
    sent = sent.mutate(sent_on=_.sent_at.date())
    bought = history.purchase_days(orders)
    both = sent.select("message_id", "customer_id", "sent_on").inner_join(bought, "customer_id")
    both = both.mutate(day=_.ordered_on.delta(_.sent_on, unit="day")).filter(
        _.day.between(-AFTER, AFTER)
    )
    after = both.group_by("message_id").agg(after=(_.day > 0).any(), before=(_.day < 0).any())
    rows = sent.left_join(after, "message_id").drop("message_id_right")
    shares = {
        c: _[f"{c}_at"].notnull().cast("float64").mean()
        for c in ("opened", "clicked", "unsubscribed")
    }
    ordered = (
        (_.after.fill_null(False).cast("int64") - _.before.fill_null(False).cast("int64"))
        .cast("float64")
        .mean()
    )
    return (
        rows.group_by("campaign_id")
        .agg(sent=_.count(), **shares, ordered=ordered)
        .order_by("campaign_id")
    )


def compare_styles(styles: pd.DataFrame, outcomes: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Emotional minus rational campaigns, one row an outcome: emotional and rational (campaigns),
    difference of the mean shares with its 90 % interval, p, seen, verdict.

    Campaigns are the units, and are compared within `alike`. p is that of a permutation of the
    styles within `alike` (Fisher), corrected for four outcomes (Holm 1979); the interval is
    Student's. seen: the difference that would be found four times in five. Empty with fewer than
    four campaigns of either style that have others alike.
    """
    both = styles[styles["style"] != "neither"].merge(outcomes, on="campaign_id")
    both = both[both.groupby("alike")["style"].transform("nunique") == 2]
    feels = (both["style"] == "emotional").to_numpy()
    columns = [
        "outcome",
        "emotional",
        "rational",
        "difference",
        "low",
        "high",
        "p",
        "seen",
        "verdict",
    ]
    if min(feels.sum(), (~feels).sum()) < FEWEST:
        return pd.DataFrame(columns=columns)
    strata = [np.flatnonzero(both["alike"] == a) for a in both["alike"].unique()]
    rng, rows = np.random.default_rng(seed), []
    drawn = np.tile(feels, (DRAWS, 1))
    for s in strata:
        drawn[:, s] = rng.permuted(drawn[:, s], axis=1)
    level, n = (1 - stats.LEVEL) / len(EMOTION["outcomes"]), len(both)
    for outcome in EMOTION["outcomes"]:
        y = both[outcome].to_numpy(float)
        size, error = _difference(y, feels[None, :], strata)
        by_chance, _errors = _difference(y, drawn, strata)
        p = (1 + (np.abs(by_chance) >= abs(size[0]) - 1e-12).sum()) / (1 + DRAWS)
        half = student.ppf(stats.ENDS[1], max(n - 2 * len(strata), 1)) * error[0]
        seen = (norm.ppf(1 - level / 2) + norm.ppf(POWER)) * error[0]
        rows.append(
            [outcome, feels.sum(), (~feels).sum(), size[0], size[0] - half, size[0] + half, p, seen]
        )
    found = pd.DataFrame(rows, columns=columns[:-1])
    found["p"] = holm(found["p"].to_numpy())
    sign = np.sign(found["difference"]).where(found["p"] < 1 - stats.LEVEL, 0).astype(int)
    return found.assign(
        verdict=sign.map({1: "emotional more", -1: "rational more", 0: "cannot be told"})
    )


def _difference(
    y: np.ndarray, feels: np.ndarray, strata: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean over strata of the differences of means, and its standard error, a row of
    `feels` each.
    """
    top, weight, within, df = 0.0, 0.0, 0.0, 0
    for s in strata:
        own, one = y[s], feels[:, s].astype(float)
        n1 = one.sum(axis=1)
        n0 = len(s) - n1
        m1, m0 = one @ own / n1, (1 - one) @ own / n0
        w = n1 * n0 / len(s)
        top, weight = top + w * (m1 - m0), weight + w
        within = within + (own**2).sum() - n1 * m1**2 - n0 * m0**2
        df += len(s) - 2
    return top / weight, np.sqrt(np.maximum(within, 0) / max(df, 1) / weight)

"""What goes with a topic: how its share moves, how satisfied its writers are, who of them
leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.stats import norm

from helpers import history, methods, stats
from helpers.analyze.voice.topic_model import OTHER, TOPICS
from helpers.analyze.voice.writing import words_of

FEWEST_SIDES = 5  # of them, with and without the outcome
FEWEST_OF_A_WORD = 3  # texts; a rarer word may be a name
LEAST_DAYS = 180  # from the first text to the last, to speak of a trend
MONTHS = 24  # of the panel in which leaving is looked at
# upper ends (days), and lower ends (orders a year)
BANDS = {"recency": [30, 90, 180, 366], "frequency": [2, 3, 6]}


def topics_by_quarter(texts: pd.DataFrame, last: int = 8) -> pd.DataFrame:
    """One row a quarter and topic: quarter, topic, texts, of (all texts of the quarter), share,
    low, high.

    Shares are standardised by source (indirectly: texts over those expected from the shares of each
    source over all `last` quarters, times the overall share), so that a new source is no trend. The
    interval is scaled alike. Texts without a date are left out.
    """
    read = texts[texts["topic"].notna() & texts["said_at"].notna()]
    if read.empty:
        return pd.DataFrame(columns=["quarter", "topic", "texts", "of", "share", "low", "high"])
    read = read.assign(quarter=read["said_at"].dt.to_period("Q"))
    read = read[read["quarter"].isin(sorted(read["quarter"].unique())[-last:])]
    counts = pd.crosstab(read["quarter"], read["topic"])
    by_source = pd.crosstab(read["source"], read["topic"], normalize="index")
    expected = pd.crosstab(read["quarter"], read["source"], normalize="index") @ by_source
    long = (
        counts.rename_axis(index="quarter", columns="topic").stack().rename("texts").reset_index()
    )
    long = long.assign(
        of=long["quarter"].map(counts.sum(axis=1)), quarter=long["quarter"].astype(str)
    )
    scale = (counts.sum() / len(read) / expected).stack().to_numpy()
    long["share"] = long["texts"] / long["of"]
    long[["low", "high"]] = stats.share_interval(long["texts"], long["of"])
    return long.assign(**long[["share", "low", "high"]].mul(scale, axis=0).clip(upper=1))


def topic_trends(texts: pd.DataFrame) -> pd.DataFrame:
    """How the share of each topic moves: topic, texts, quarters, change (a year), low, high, p,
    verdict.

    The slope of a linear regression of having the topic on time, within sources (so that a survey
    that asks about one thing is no trend), with errors clustered by customer; p is corrected for
    all topics together (Holm 1979). Texts without a date are left out. Empty where there are less
    than 20 texts of a topic or half a year.
    """
    read = texts[texts["topic"].notna() & texts["said_at"].notna()]
    years = (read["said_at"] - read["said_at"].min()).dt.total_seconds() / (365.25 * 86_400)
    x = years - years.groupby(read["source"]).transform("mean")
    who = _writers(read)
    long_enough = len(read) and years.max() * 365.25 >= LEAST_DAYS and (x**2).sum() > 0
    rows = []
    for topic, n in read["topic"].value_counts().sort_index().items():
        if n < methods.value("topic_texts") or not long_enough or topic == OTHER:
            continue
        y = (read["topic"] == topic).astype(float)
        y = y - y.groupby(read["source"]).transform("mean")
        slope = (x * y).sum() / (x**2).sum()
        error = _clustered(x, y - slope * x, who)
        ends = slope - stats.Z * error, slope + stats.Z * error
        rows.append([topic, n, slope, *ends, slope / error if error else np.nan])
    found = pd.DataFrame(rows, columns=["topic", "texts", "change", "low", "high", "z"])
    found["quarters"] = read["said_at"].dt.to_period("Q").nunique()
    return _corrected(found, {1: "rising", -1: "falling", 0: "cannot be told"})


def unhappy_by_topic(texts: pd.DataFrame) -> pd.DataFrame:
    """Who is unhappy, by topic: marked (texts with a mark), share, difference, low, high, p,
    verdict.

    The difference to other topics is Mantel and Haenszel's, within sources, with errors clustered
    by customer, as one mark may stand beside several texts. Left out are topics with less than 20
    marked writers, or 5 on either side.
    """
    marked = texts[texts["topic"].notna() & texts["unhappy"].notna()]
    rows, who = [], _writers(marked)
    for topic in sorted(set(marked["topic"]) - {OTHER}):
        own, bad = marked["topic"] == topic, marked["unhappy"].astype(bool)
        if enough(bad[own & ~who.where(own).duplicated()]):
            rows.append(
                [
                    topic,
                    own.sum(),
                    bad[own].mean(),
                    *alike_difference(own, bad, marked["source"], who),
                ]
            )
    found = pd.DataFrame(
        rows, columns=["topic", "marked", "share", "difference", "low", "high", "z"]
    )
    found = found.sort_values("difference", ascending=False, kind="stable")
    return _corrected(found, {1: "less satisfied", -1: "more satisfied", 0: "cannot be told"})


def leaving_panel(
    texts: pd.DataFrame, orders: ir.Table, as_of: date, days: int = 180
) -> pd.DataFrame:
    """Customers at the start of each month: month, customer_id, alike (the stratum), topic, left.

    Only who had ordered within a year, and months whose next `days` days are known. topic: of the
    case in that month, empty for none. left: no order in the `days` days after the month. alike:
    quarter, days since the last order, and orders in the year before, in bands.
    """
    columns = ["month", "customer_id", "alike", "topic", "left"]
    told = texts[["customer_id", "topic", "said_at"]].notna().all(axis=1)
    cases = texts[(texts["source"] == "ticket") & told]
    last = pd.Period(as_of - timedelta(days=days), "M")
    last = last if last.end_time.date() <= as_of - timedelta(days=days) else last - 1
    if cases.empty or pd.Period(cases["said_at"].min(), "M") > last:
        return pd.DataFrame(columns=columns)
    months = pd.period_range(
        max(pd.Period(cases["said_at"].min(), "M"), last - MONTHS + 1), last, freq="M"
    )
    span = pd.DataFrame({"starts": months.start_time, "ends": months.end_time.normalize()})
    known = dict.fromkeys(span, "timestamp")
    panel = _panel(
        orders, ibis.memtable(span, schema=known).cast(dict.fromkeys(span, "date")), days
    ).to_pandas()
    starts = pd.to_datetime(panel["starts"])
    recency = np.searchsorted(BANDS["recency"], panel["recency"], side="left")
    frequency = np.searchsorted(BANDS["frequency"], panel["frequency"], side="right")
    alike = starts.dt.to_period("Q").astype(str) + " {}"
    panel = panel.assign(
        month=starts.dt.to_period("M"),
        alike=[a.format(f"{r}/{f}") for a, r, f in zip(alike, recency, frequency, strict=True)],
        left=panel["after"] == 0,
    )
    first = cases.assign(month=cases["said_at"].dt.to_period("M")).drop_duplicates(
        ["month", "customer_id"]
    )
    return panel.merge(
        first[["month", "customer_id", "topic"]], on=["month", "customer_id"], how="left"
    )[columns]


def leaving_by_topic(panel: pd.DataFrame) -> pd.DataFrame:
    """Who orders no more after a case on each topic: customers, left, share, difference, low, high,
    p, verdict.

    Compared are customers with a case about something else in the same stratum of `leaving_panel`,
    because asking for help is a sign of life. Each customer counts once, with the first case in the
    panel: the days after several cases of one customer overlap, so that they would pass for more
    proof than they are. Differences of Mantel and Haenszel; p corrected for all topics together
    (Holm 1979).
    """
    asked = (
        panel[panel["topic"].notna()]
        .sort_values("month", kind="stable")
        .drop_duplicates("customer_id")
    )
    rows = []
    for topic in sorted(set(asked["topic"]) - {OTHER}):
        own = asked["topic"] == topic
        if enough(asked.loc[own, "left"]):
            difference = alike_difference(own, asked["left"], asked["alike"])
            rows.append(
                [
                    topic,
                    own.sum(),
                    asked.loc[own, "left"].sum(),
                    asked.loc[own, "left"].mean(),
                    *difference,
                ]
            )
    found = pd.DataFrame(
        rows, columns=["topic", "customers", "left", "share", "difference", "low", "high", "z"]
    )
    return _corrected(found, {1: "leave more often", -1: "leave less often", 0: "cannot be told"})


def alike_difference(
    exposed: pd.Series, outcome: pd.Series, alike: pd.Series, who: pd.Series | None = None
) -> tuple[float, float, float, float]:
    """Difference of the chance of an outcome between exposed and not, within strata: difference,
    low, high, z.

    Mantel and Haenszel's risk difference with Sato's variance (1989), which holds for many small
    strata but takes rows as independent. With `who`, errors are clustered by it instead (Liang and
    Zeger 1986), for few large strata: the difference is the slope of a linear regression within
    strata. The interval is 90 %. NaN where no stratum has both.

    >>> shown, left = pd.Series([True] * 50 + [False] * 50), pd.Series(([1] * 20 + [0] * 30) + ([1] * 10 + [0] * 40))
    >>> size, *_ = alike_difference(shown, left, pd.Series("all", shown.index))
    >>> round(size, 3)
    0.2
    """
    exposed, outcome = exposed.astype(bool), outcome.astype(bool)
    rows = pd.DataFrame(
        {"n1": exposed, "n0": ~exposed, "a": exposed & outcome, "c": ~exposed & outcome}
    ).astype(float)
    k = rows.groupby(alike.to_numpy()).sum()
    k = k[(k["n1"] > 0) & (k["n0"] > 0)]
    n, weight = k["n1"] + k["n0"], k["n1"] * k["n0"] / (k["n1"] + k["n0"])
    if not weight.sum():
        return (float("nan"),) * 4
    size = ((k["a"] * k["n0"] - k["c"] * k["n1"]) / n).sum() / weight.sum()
    p = (
        k["n1"] ** 2 * k["c"] - k["n0"] ** 2 * k["a"] + k["n1"] * k["n0"] * (k["n0"] - k["n1"]) / 2
    ) / n**2
    q = (k["a"] * (k["n0"] - k["c"]) + k["c"] * (k["n1"] - k["a"])) / (2 * n)
    error = np.sqrt(max(size * p.sum() + q.sum(), 0.0)) / weight.sum()
    if who is not None:
        own = rows[["n1", "a", "c"]].groupby(alike.to_numpy()).transform("mean")
        x, y = rows["n1"] - own["n1"], rows["a"] + rows["c"] - own["a"] - own["c"]
        error = _clustered(x, y - size * x, who)
    return (
        float(size),
        *(float(size + z * error) for z in (-stats.Z, stats.Z)),
        float(size / error) if error else 0.0,
    )


def holm(p: np.ndarray) -> np.ndarray:
    """Chances corrected for looking at all of them together (Holm 1979).

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(
        np.asarray(p)[order] * (len(p) - np.arange(len(p)))
    ).clip(max=1)
    return corrected


def topic_table(*frames: pd.DataFrame) -> pd.DataFrame:
    """The table `topics`: shares, trends, satisfaction and leaving (frames of this module) in one
    row a topic.
    """
    shares, trends, unhappy, leaving = frames
    rows = shares.merge(_named(trends, "change", "trend"), on="topic", how="left")
    rows = rows.merge(_named(unhappy, "unhappy", "satisfaction"), on="topic", how="left")
    return rows.merge(_named(leaving, "left", "staying"), on="topic", how="left")


def _panel(orders: ir.Table, months: ir.Table, days: int) -> ir.Table:
    """One row a month and customer with an order in the year before: starts, recency, frequency,
    after.
    """
    both = (
        history.purchase_days(orders)
        .cross_join(months)
        .mutate(
            ago=_.starts.delta(_.ordered_on, unit="day"),
            later=_.ordered_on.delta(_.ends, unit="day"),
        )
    )
    both = both.filter((both.ago > 0) & (both.ago <= 365) | (both.later > 0) & (both.later <= days))
    seen = both.group_by("starts", "customer_id").agg(
        recency=_.ago.min(where=_.ago > 0),
        frequency=(_.ago > 0).sum(),
        after=((_.later > 0) & (_.later <= days)).sum(),
    )
    return seen.filter(_.frequency > 0).order_by("starts", "customer_id")


def _clustered(x: pd.Series, left: pd.Series, who: pd.Series) -> float:
    """Standard error of the slope on `x` (Liang and Zeger 1986): `left` over by it, rows of one
    `who` together.
    """
    return float(np.sqrt(((x * left).groupby(who.to_numpy()).sum() ** 2).sum()) / (x**2).sum())


def _writers(texts: pd.DataFrame) -> pd.Series:
    """Who wrote each text: the customer, else the questionnaire or the text itself."""
    own = texts["text_id"].astype("str").str.replace(r"^(survey:.*):[^:]*$", r"\1", regex=True)
    return texts["customer_id"].astype("object").fillna(own).astype("str")


def enough(outcome: pd.Series) -> bool:
    """Whether an outcome (true or false, one a person) may be compared: `topic_texts` people, of
    whom five have it and five have not.
    """
    yes = int(outcome.astype(bool).sum())
    no = len(outcome) - yes
    return len(outcome) >= methods.value("topic_texts") and min(yes, no) >= FEWEST_SIDES


def action(topic: str) -> str:
    """What topics.yaml advises where the writers of a topic are unhappy; empty for a new topic."""
    return TOPICS["topics"].get(topic, {}).get("action", "")


def _corrected(found: pd.DataFrame, verdicts: Mapping[int, str]) -> pd.DataFrame:
    """Add p, corrected by Holm, and the verdict; the level is 10 %, as the intervals are 90 %."""
    found = found[found["z"].notna()].reset_index(drop=True)
    p = 2 * norm.sf(found["z"].abs().astype(float))
    found["p"] = holm(p)
    sign = np.sign(found["z"].astype(float)).where(found["p"] < 1 - stats.LEVEL, 0)
    return found.assign(verdict=sign.astype(int).map(verdicts).astype("str")).drop(columns="z")


def _named(frame: pd.DataFrame, size: str, verdict: str) -> pd.DataFrame:
    value = "change" if "change" in frame else "difference"
    names = {value: size, "low": f"{size}_low", "high": f"{size}_high", "verdict": verdict}
    return frame[["topic", *names]].rename(columns=names)


def telling_words(read: pd.DataFrame, most: int = 3) -> dict[str, str]:
    """The words that many texts of a topic have and few others, in each language: texts squared
    over all its texts.
    """
    long = read[["topic", "language"]].assign(
        word=read["plain"].map(lambda p: sorted(set(words_of(p))))
    )
    counts = (
        long.explode("word")
        .dropna()
        .groupby(["topic", "language", "word"])
        .size()
        .rename("n")
        .reset_index()
    )
    counts["score"] = counts["n"] ** 2 / counts.groupby("word")["n"].transform("sum")
    counts = counts[counts["n"] >= FEWEST_OF_A_WORD]
    best = counts.sort_values(
        ["topic", "language", "score", "word"], ascending=[True, True, False, True]
    )
    return (
        best.groupby(["topic", "language"])
        .head(most)
        .groupby("topic")["word"]
        .agg(", ".join)
        .to_dict()
    )

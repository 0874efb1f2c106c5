"""The journey map: at each touchpoint who goes on, what people say of it, and how many ask for help
(practice 3.20).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import history, stats
from helpers.analyze.journeys.sessions import JOURNEYS
from helpers.analyze.voice.service import named_stage
from helpers.analyze.voice.writing import our_reviews
from helpers.show import words

POINTS = JOURNEYS["touchpoints"]
SITE = ["visit", "look", "cart", "checkout"]  # touchpoints that the funnel shows
STEPS = {"again": 1, "loyal": 3}  # touchpoints that are steps of the repeat ladder
COLUMNS = [
    "position",
    "touchpoint",
    "name",
    "reached",
    "went_on",
    "goes_on",
    "share",
    "low",
    "high",
]
COLUMNS += [
    "answers",
    "good",
    "good_share",
    "good_low",
    "good_high",
    "cases",
    "per_hundred",
    "as_of",
]


def journey_map(
    tables: Mapping[str, ir.Table], visits: pd.DataFrame, steps: pd.DataFrame, own: str, as_of: date
) -> pd.DataFrame:
    """Conversion and feedback side by side, one row a touchpoint that the client's data know (table
    `journey_map`).

    tables : messages, redemptions, orders, products, tickets, surveys, reviews; any may be empty
    visits : from `describe_visits`
    steps : table `repeat_ladder`
    own : our brand; reviews of others are left out unless they are about one of our products

    `reached` came to the touchpoint and `went_on` did what `goes_on` says; `answers` of it are told
    of, `good` of them were good; `cases` are service cases of that stage, `per_hundred` orders (of
    those sent out, for the wait). A case still without a reply counts as late once it is older than
    the target, where any reply is known. Shares have 90 % Wilson intervals, and are empty below
    twenty.
    """
    moves = (
        _messages(tables)
        | _visits(visits)
        | _orders(tables["orders"])
        | _steps(steps)
        | _asked(tables["surveys"])
    )
    voices, cases = _voices(tables, own), _cases(tables["tickets"], as_of)
    meant = _meant(tables, steps, cases.pop("since"))
    if "service" in cases:
        moves["service"] = cases.pop("service")
    voices |= {
        k: (voices.get(k, (0, 0))[0] + n, voices.get(k, (0, 0))[1] + g)
        for k, (n, g) in cases.pop("rated").items()
    }
    rows = [
        (
            key,
            p["name"],
            *moves.get(key, (np.nan, np.nan)),
            p.get("goes_on", "").format(**meant),
            *voices.get(key, (0, 0)),
            cases.get(key),
        )
        for key, p in POINTS.items()
        if key in voices or key in cases or not np.isnan(moves.get(key, (0, np.nan))[1])
    ]
    names = ["touchpoint", "name", "reached", "went_on", "goes_on", "answers", "good", "cases"]
    table = pd.DataFrame(rows, columns=names)
    table[["reached", "went_on", "answers", "good", "cases"]] = table[
        ["reached", "went_on", "answers", "good", "cases"]
    ].astype(float)
    for prefix, of, hits in (("", "reached", "went_on"), ("good_", "answers", "good")):
        enough = table[of].where(table[of] >= JOURNEYS["fewest"])
        table[f"{prefix}share"] = table[hits] / enough
        table[[f"{prefix}low", f"{prefix}high"]] = stats.share_interval(
            table[hits].fillna(0), enough.where(table[hits].notna()).fillna(0)
        )
    for key, step in STEPS.items():  # their intervals know who has not been watched long enough
        known = steps[(steps["step"] == step) & steps["chance"].notna()]
        table.loc[(table["touchpoint"] == key) & bool(len(known)), ["low", "high"]] = known[
            ["low", "high"]
        ].to_numpy()
    orders = table["reached"].where(
        table["touchpoint"] == "receive", moves.get("use", (np.nan,))[0]
    )
    table = table.assign(
        per_hundred=100 * table["cases"] / orders, position=range(1, len(table) + 1), as_of=as_of
    )
    return table[COLUMNS]


def _messages(tables: Mapping[str, ir.Table]) -> dict[str, tuple]:
    sent = tables["messages"]
    sent = sent.filter(~_.is_holdout.fill_null(False), _.delivered.fill_null(True))
    n = sent.agg(n=_.count(), clicked=_.clicked_at.count()).to_pandas().iloc[0]
    found = {"message": (n["n"], n["clicked"])} if n["clicked"] else {}
    pairs = sent.select("campaign_id", "customer_id").distinct()
    used = tables["redemptions"].select("campaign_id", "customer_id").distinct()
    if used.limit(1).count().to_pandas() and n["n"]:
        both = pairs.semi_join(used, ["campaign_id", "customer_id"]).count().to_pandas()
        found["campaign"] = (pairs.count().to_pandas(), both)
    return found


def _visits(visits: pd.DataFrame) -> dict[str, tuple]:
    stages = {
        "visit": slice(None),
        "look": visits["look"],
        "cart": visits["cart"],
        "checkout": visits["checkout"],
    }
    then = {"visit": "look", "look": "cart", "cart": "checkout", "checkout": "buy"}
    rows = {k: visits.loc[some, then[k]] for k, some in stages.items()} if len(visits) else {}
    return {k: (len(r), int(r.sum())) for k, r in rows.items()}


def _orders(orders: ir.Table) -> dict[str, tuple]:
    """Orders that are sent out, and all orders: a sale in a store makes nobody wait.

    A refund is a part of its order, or a receipt of its own, as a till writes it; such a receipt
    stands for one order.
    """
    whole = orders.group_by("order_id").agg(
        sent=_.channel.fill_null("").lower().isin(JOURNEYS["in_person"]).ifelse(0, 1).max(),
        back=(_.is_return.fill_null(False) | (_.quantity < 0)).ifelse(1, 0).max(),
        sold=(history.BOUGHT).ifelse(1, 0).max(),
    )
    n = whole.agg(orders=_.sold.sum(), sent=(_.sold * _.sent).sum(), back=_.back.sum())
    n = n.to_pandas().fillna(0).iloc[0]
    kept = max(n["orders"] - n["back"], 0)
    waits = {"receive": (n["sent"], np.nan)} if n["sent"] else {}
    return waits | ({"use": (n["orders"], kept if n["back"] else np.nan)} if n["orders"] else {})


def _steps(steps: pd.DataFrame) -> dict[str, tuple]:
    known = steps[steps["chance"].notna()].set_index("step")
    of = {k: known.loc[s, ["customers", "chance"]] for k, s in STEPS.items() if s in known.index}
    return {k: (row["customers"], row["customers"] * row["chance"]) for k, row in of.items()}


def _asked(surveys: ir.Table) -> dict[str, tuple]:
    part = _answers(surveys, "nps").select(part=_.score / _.scale_max).to_pandas()["part"]
    return (
        {"recommend": (len(part), int((part >= JOURNEYS["promoter"]).sum()))} if len(part) else {}
    )


def _answers(surveys: ir.Table, kind: str) -> ir.Table:
    """Answers of this kind with a score whose scale is known."""
    return surveys.filter(_.score.notnull(), _.kind == kind, _.scale_max > 0)


def _meant(
    tables: Mapping[str, ir.Table], steps: pd.DataFrame, since: pd.Timestamp
) -> dict[str, str]:
    """What the words in braces of `goes_on` stand for; empty where the data do not say."""
    asked = _answers(tables["surveys"], "nps").select("scale_max").distinct()
    tops, cut = asked.to_pandas()["scale_max"], JOURNEYS["promoter"]
    return {
        "within": f"{steps['within_days'].iloc[0]:.0f}" if len(steps) else "",
        "hours": f"{JOURNEYS['reply_minutes'] / 60:g}",
        "since": words.day(since),
        "marks": _marks(cut, tops.iloc[0])
        if len(tops) == 1
        else f"{words.percent(cut)} of the scale or more",
    }


def _marks(cut: float, top: float) -> str:
    """Whole marks from a part of the scale on.

    >>> _marks(0.9, 10), _marks(0.9, 5), _marks(0.9, 100)
    ('9 or 10 of 10', '5 of 5', '90 to 100 of 100')
    """
    first = int(np.ceil(round(cut * top, 6)))
    many = {0: "", 1: f"{first} or "}.get(int(top) - first, f"{first} to ")
    return f"{many}{top:.0f} of {top:.0f}"


def _voices(tables: Mapping[str, ir.Table], own: str) -> dict[str, tuple]:
    stars = our_reviews(tables["reviews"], tables["products"], own).filter(_.rating.notnull())
    stars = stars.select("rating", "text").to_pandas()
    text = stars["text"].astype(object).fillna("").astype(str).str.lower()
    rest = next(k for k, p in POINTS.items() if p.get("rest"))
    about = pd.Series(rest, stars.index, dtype=object)
    for key, point in reversed(POINTS.items()):
        if "words" in point:
            about = about.mask(text.str.contains("|".join(map(re.escape, point["words"]))), key)
    good = (stars["rating"] >= JOURNEYS["rating"]).groupby(about).agg(["size", "sum"])
    voices = {k: (n, g) for k, n, g in good.itertuples()}
    part = (_.score / _.scale_max).name("part")
    csat = _answers(tables["surveys"], "csat").select(part).to_pandas()["part"]
    voices |= {"recommend": (len(csat), int((csat >= JOURNEYS["csat"]).sum()))} if len(csat) else {}
    return voices


def _cases(tickets: ir.Table, as_of: date) -> dict:
    """Cases by touchpoint, `rated` ones, `service`: those that can be called answered in time or
    late, and in time.

    `since` is the day of the first of these.
    """
    rows = tickets.select("stage", "satisfaction", "first_reply_minutes", "opened_at").to_pandas()
    stages = {p["stage"]: k for k, p in POINTS.items() if "stage" in p}
    at = named_stage(rows["stage"]).map(stages)
    said = rows["satisfaction"].astype(object).fillna("").astype(str).str.lower()
    good, bad = (said.isin(JOURNEYS["satisfied"][k]) for k in ("good", "bad"))
    rated = {"service": (int((good | bad).sum()), int(good.sum()))} if (good | bad).any() else {}
    target, reply = JOURNEYS["reply_minutes"], rows["first_reply_minutes"].astype(float)
    waiting = pd.Timestamp(as_of + timedelta(days=1)) - pd.to_datetime(rows["opened_at"])
    told = reply.notna() | ((waiting > pd.Timedelta(minutes=target)) & reply.notna().any())
    found = at.value_counts().to_dict() | {
        "rated": rated,
        "since": rows.loc[told, "opened_at"].min(),
    }
    return found | (
        {"service": (int(told.sum()), int((reply <= target).sum()))} if told.any() else {}
    )


def as_map(table: pd.DataFrame) -> pd.DataFrame:
    """The map as a picture: touchpoints down, the share that did the next thing and that of good
    feedback across.
    """
    names = [JOURNEYS["columns"][c] for c in ("share", "good_share")]
    wide = table.set_index("name")[["share", "good_share"]].set_axis(names, axis=1)
    return wide.dropna(how="all").dropna(how="all", axis=1)


def map_table(table: pd.DataFrame) -> pd.DataFrame:
    """The map in words, without the touchpoints of the site of which nobody speaks (the funnel
    shows them), and without the columns of which nothing is known.
    """
    spoken = (table["answers"] > 0) | table["cases"].notna() | ~table["touchpoint"].isin(SITE)
    rows = table[spoken]

    def share(part: str) -> list[str]:
        return ["" if pd.isna(v) else words.percent(v) for v in rows[part]]

    cases = [
        "" if pd.isna(n) else words.count(n) if pd.isna(per) else f"{words.count(n)} ({per:.1f})"
        for n, per in zip(rows["cases"], rows["per_hundred"], strict=True)
    ]
    columns = {
        "who": rows["name"],
        "how_many": rows["reached"],
        "did_what": rows["goes_on"],
        "of_which": share("share"),
    }
    means = [
        POINTS[k].get("feedback", "").format(**JOURNEYS) if n else ""
        for k, n in rows[["touchpoint", "answers"]].to_numpy()
    ]
    if rows["answers"].any():
        columns |= {"ratings": rows["answers"], "good": share("good_share"), "good_means": means}
    return pd.DataFrame(columns | ({"cases": cases} if any(cases) else {}))


def sore_point(table: pd.DataFrame) -> pd.Series | None:
    """The touchpoint of which people speak worst, against the others that are rated on the same
    scale.

    Only touchpoints with a `scale` are compared, and those only within it. The interval of the
    worst must lie below that of the others together; None where none stands out. To the row of the
    table come its `scale`, what its feedback is `about`, the same of the `rest`, how many `others`
    answered about that, their `rest_share` of good ones, and what to `do`.
    """
    told = table[table["good_share"].notna()]
    for scale, rows in told.groupby(
        told["touchpoint"].map({k: p.get("scale") for k, p in POINTS.items()})
    ):
        worst = rows.loc[rows["good_share"].idxmin()]
        rest = rows.drop(worst.name)
        good, answers = rest[["good", "answers"]].sum()
        if (
            not answers
            or worst["good_high"]
            >= stats.share_interval(pd.Series([good]), pd.Series([answers]))["low"][0]
        ):
            continue
        about = [POINTS[k]["about"] for k in (worst["touchpoint"], *rest["touchpoint"])]
        told = {"scale": scale, "about": about[0], "rest": about[1:], "others": answers}
        told |= {"rest_share": good / answers, "do": POINTS[worst["touchpoint"]]["do"]}
        return pd.concat([worst, pd.Series(told)])
    return None

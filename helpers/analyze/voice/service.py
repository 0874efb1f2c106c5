"""Service before, during and after the sale: load, time to reply, slow weeks, and what to answer
first.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from scipy.special import xlogy
from statsmodels.stats.proportion import confint_proportions_2indep

from helpers import history, methods, stats
from helpers.analyze.voice.topic_model import TOPICS
from helpers.analyze.voice.writing import facts, pattern

SERVICE = facts("service")
STAGES = list(SERVICE["stages"])
# that a run of weeks is called slow by chance, and series drawn to know it
CHANCE, DRAWS = 0.05, 199
MOST_RUNS, LEAST_WEEKS = 3, 12  # slow periods looked for, and weeks without which none is
YEAR = 365
A_YEAR = pd.Timedelta(weeks=52)  # the same weeks of another year
ALARM = pattern([*SERVICE["alarm"]["en"], *SERVICE["alarm"]["zh"]])


def service_cases(
    tickets: ir.Table, orders: ir.Table, texts: pd.DataFrame, as_of: date
) -> pd.DataFrame:
    """One row a case until `as_of`, with stage (before, during, after), said_by (who says so),
    topic, mood, unhappy.

    Also ticket_id, customer_id, opened_at, solved_at, reply (minutes to the first), unanswered
    (minutes an open case has been without one; empty where the table holds no reply at all),
    is_open, cost, alarm (words of danger or law), sales (of the customer, in the year before the
    day of the report). The stage is the help desk's; else it is read from its tags; else from the
    topic and the days since the customer's last order.
    """
    extra = ["tags"] if "tags" in tickets.columns else []
    names = [
        "ticket_id",
        "customer_id",
        "opened_at",
        "solved_at",
        "first_reply_minutes",
        "status",
        "stage",
        "cost",
        "text",
    ]
    cases = tickets.filter(_.opened_at.date() <= as_of).select(*names, *extra)
    own = orders.filter(_.customer_id.notnull(), _.ordered_on <= as_of)
    bought = history.purchase_days(own)
    both = cases.inner_join(bought, "customer_id").filter(_.ordered_on <= _.opened_at.date())
    last = both.group_by("ticket_id").agg(last_on=_.ordered_on.max())
    value = (
        own.filter(_.ordered_on > as_of - timedelta(days=YEAR))
        .group_by("customer_id")
        .agg(sales=_.revenue.sum())
    )
    found = (
        cases.left_join(last, "ticket_id").drop("ticket_id_right").left_join(value, "customer_id")
    )
    found = found.drop("customer_id_right").order_by("opened_at", "ticket_id").to_pandas()
    told = texts[texts["source"] == "ticket"].assign(
        ticket_id=lambda t: t["text_id"].str.removeprefix("ticket:")
    )
    found = found.merge(told[["ticket_id", "topic", "mood", "unhappy"]], on="ticket_id", how="left")
    found["sales"] = found["sales"].fillna(
        found["customer_id"].notna().map({True: 0.0, False: np.nan})
    )
    found["reply"] = found["first_reply_minutes"].astype(float)
    end = pd.Timestamp(as_of) + pd.Timedelta(days=1)
    found["is_open"] = _is_open(found, end)
    waits = found["is_open"] & found["reply"].isna() & found["reply"].notna().any()
    found["unanswered"] = ((end - found["opened_at"]).dt.total_seconds() / 60).where(waits)
    found["alarm"] = [isinstance(t, str) and bool(ALARM.search(t.lower())) for t in found["text"]]
    found["stage"], found["said_by"] = _stage(found)
    return found.drop(columns=["first_reply_minutes", "text", "status", "last_on", *extra])


def _is_open(cases: pd.DataFrame, end: pd.Timestamp) -> pd.Series:
    solved = pd.to_datetime(cases["solved_at"])
    status = cases["status"].astype("str").str.lower()
    known = cases["status"].notna()
    unsolved = np.where(known, ~status.isin(SERVICE["closed"]), solved.notna().any())
    return pd.Series(np.where(solved.notna(), solved >= end, unsolved), cases.index).astype(bool)


def _stage(cases: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    by_desk = named_stage(cases["stage"])
    by_tags = (
        named_stage(cases["tags"])
        if "tags" in cases
        else pd.Series(None, cases.index, dtype="object")
    )
    opened = pd.to_datetime(cases["opened_at"]).dt.normalize()
    since = (opened - pd.to_datetime(cases["last_on"])).dt.days.fillna(np.inf)
    by_topic = cases["topic"].map({t: own["stage"] for t, own in TOPICS["topics"].items()})
    fresh = pd.Series(np.where(since <= SERVICE["under_way_days"], "during", "after"), cases.index)
    fresh = fresh.mask(since > SERVICE["still_buying_days"], "before")
    derived = by_topic.fillna(fresh)  # what it is about tells more than when it was written
    said_by = np.where(by_desk.notna(), "desk", np.where(by_tags.notna(), "tags", "orders"))
    return by_desk.fillna(by_tags).fillna(derived).astype("str"), pd.Series(said_by, cases.index)


def named_stage(said: pd.Series) -> pd.Series:
    """Stage of each case (before, during, after) by the words that a help desk has for it, such as
    "Pre-sales".
    """
    parts = {
        stage: pattern(map(str, known)).pattern.replace(r"\b", "")
        for stage, known in SERVICE["stages"].items()
    }
    text, found = said.astype("str").str.lower(), pd.Series(None, said.index, dtype="object")
    for stage, part in parts.items():
        found = found.mask(said.notna() & text.str.contains(part, regex=True) & found.isna(), stage)
    return found


def service_load(
    cases: pd.DataFrame, as_of: date, target: float, case_cost: float = 0.0
) -> pd.DataFrame:
    """The last year of cases by stage, and all: one row a stage that has any.

    cases, share, a_week, median and p90 (minutes to the first reply, where there is one), in_target
    (share answered within `target` minutes, of the cases of `_judged`) with low and high, open,
    oldest_days (the longest open), repeats (share followed by another case of the same customer
    within 30 days), unhappy (share of the marks, empty below ten of them), marks, cost: of the
    column cost, else `case_cost` each, and empty where neither is known.
    """
    parts = [(stage, _last_year(cases, as_of).query("stage == @stage")) for stage in STAGES]
    return _load([*parts, ("all", _last_year(cases, as_of))], "stage", as_of, target, case_cost)


def load_by_topic(
    cases: pd.DataFrame, as_of: date, target: float, case_cost: float = 0.0
) -> pd.DataFrame:
    """As `service_load`, one row a topic, the one with most cases first; stage: that of most of its
    cases.
    """
    parts = list(_last_year(cases, as_of).groupby("topic"))
    stages = {topic: part["stage"].mode().iloc[0] for topic, part in parts}
    found = _load(parts, "topic", as_of, target, case_cost).sort_values(
        "cases", ascending=False, ignore_index=True
    )
    return found.assign(stage=found["topic"].map(stages))


def _last_year(cases: pd.DataFrame, as_of: date) -> pd.DataFrame:
    end = pd.Timestamp(as_of)
    return _with_repeats(cases, end)[lambda c: c["opened_at"] > end - pd.Timedelta(days=YEAR - 1)]


def _with_repeats(cases: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    """Add `repeated`: another case of the same customer followed within 30 days; empty where that
    is not known yet.
    """
    rows = cases.sort_values(["opened_at", "ticket_id"])
    gap = (rows.groupby("customer_id")["opened_at"].shift(-1) - rows["opened_at"]).dt.days
    known = rows["customer_id"].notna() & (
        rows["opened_at"] <= end - pd.Timedelta(days=SERVICE["repeat_days"])
    )
    return rows.assign(repeated=(gap <= SERVICE["repeat_days"]).astype(float).where(known))


def _load(parts: list, name: str, as_of: date, target: float, case_cost: float) -> pd.DataFrame:
    rows, whole = [], sum(len(p) for k, p in parts if k != "all")
    for key, part in parts:
        if not len(part):
            continue
        reply, late = part["reply"].dropna(), _judged(part, target)["late"]
        waits = (
            pd.Timestamp(as_of) + pd.Timedelta(days=1) - part.loc[part["is_open"], "opened_at"]
        ).dt.days
        rows.append(
            {
                name: key,
                "cases": len(part),
                "share": len(part) / max(whole, 1),
                "a_week": len(part) / YEAR * 7,
                "median": reply.median(),
                "p90": reply.quantile(0.9),
                "judged": len(late),
                "timely": int((~late).sum()),
                "open": int(part["is_open"].sum()),
                "oldest_days": waits.max(),
                "repeats": part["repeated"].mean(),
                "unhappy": part["unhappy"].astype("Float64").mean(),
                "marks": int(part["unhappy"].notna().sum()),
                "cost": part["cost"].sum()
                if part["cost"].notna().any()
                else len(part) * case_cost or np.nan,
            }
        )
    names = [
        name,
        "cases",
        "share",
        "a_week",
        "median",
        "p90",
        "judged",
        "timely",
        "open",
        "oldest_days",
        "repeats",
    ]
    found = pd.DataFrame(rows, columns=[*names, "unhappy", "marks", "cost"])
    found[["low", "high"]] = stats.share_interval(found["timely"], found["judged"])
    found["in_target"] = (found["timely"] / found["judged"].where(found["judged"] > 0)).astype(
        float
    )
    told = found["unhappy"].where(found["marks"] >= methods.value("service_marks"))
    found["unhappy"] = pd.to_numeric(told.fillna(np.nan), errors="coerce").astype(float)
    found[["median", "p90", "a_week"]] = (
        found[["median", "p90", "a_week"]].astype(float).round({"median": 0, "p90": 0, "a_week": 1})
    )
    front = [
        name,
        "cases",
        "share",
        "a_week",
        "median",
        "p90",
        "in_target",
        "low",
        "high",
        "repeats",
        "unhappy",
    ]
    return found[[*front, "marks", "open", "oldest_days", "cost"]]


def _judged(cases: pd.DataFrame, target: float) -> pd.DataFrame:
    """The cases of which it is known whether a reply came within `target` minutes, with `late`.

    Those with a reply, and the open ones that have been without one for longer (where any reply is
    known at all).
    """
    over = cases["unanswered"] > target
    return cases.assign(late=(cases["reply"] > target) | over)[cases["reply"].notna() | over]


def reply_weeks(cases: pd.DataFrame, target: float, seed: int = 1) -> pd.DataFrame:
    """One row a week (its Monday): cases (of `_judged`), late_cases, median (hours, of replies),
    late (share), is_slow.

    Slow weeks are a run of weeks with more late replies than the others (scan statistic: Kulldorff
    1997); it counts where fewer than one in twenty series by chance hold such a run, and where ten
    in a hundred more replies were late. Up to three runs are found, one after another.
    """
    known = _judged(cases, target)
    by = known.groupby(_monday(known).rename("week"))
    weeks = by.agg(
        cases=("late", "size"), late_cases=("late", "sum"), median=("reply", "median")
    ).reset_index()
    weeks["median"], weeks["late"] = weeks["median"] / 60, weeks["late_cases"] / weeks["cases"]
    slow, rng = np.zeros(len(weeks), bool), np.random.default_rng(seed)
    for _run in range(MOST_RUNS):
        left = np.flatnonzero(~slow)
        n, late = weeks["cases"].to_numpy()[left], weeks["late_cases"].to_numpy()[left]
        if len(left) < LEAST_WEEKS or not 0 < late.sum() < n.sum():
            break
        best, first, last = _scan(late[None, :], n)
        by_chance = _scan(rng.binomial(n, late.sum() / n.sum(), (DRAWS, len(n))), n)[0]
        if (1 + (by_chance >= best[0]).sum()) / (1 + DRAWS) >= CHANCE:
            break
        run = np.arange(len(left))[first[0] : last[0] + 1]
        rest = np.delete(np.arange(len(left)), run)
        usual = late[rest].sum() / n[rest].sum()
        if late[run].sum() / n[run].sum() < usual + methods.value("service_slower"):
            break
        slow[left[run]] = True
    return weeks.assign(is_slow=slow)


def _monday(cases: pd.DataFrame) -> pd.Series:
    return cases["opened_at"].dt.normalize() - pd.to_timedelta(
        cases["opened_at"].dt.day_of_week, unit="D"
    )


def _scan(late: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The run of weeks, up to half of all, most likely to differ upward: its log-likelihood ratio,
    first and last week.

    `late` has one row a series.
    """
    weeks, (total, cases) = len(n), (late.sum(axis=1), n.sum())
    sums, sizes = np.cumsum(np.pad(late, ((0, 0), (1, 0))), axis=1), np.cumsum(np.r_[0, n])
    best = np.full(len(late), -1.0)
    first, last = np.zeros(len(late), int), np.zeros(len(late), int)
    for length in range(1, weeks // 2 + 1):
        a, m = sums[:, length:] - sums[:, :-length], sizes[length:] - sizes[:-length]
        b, k = total[:, None] - a, cases - m
        ratio = _likelihood(a, m) + _likelihood(b, k) - _likelihood(total, cases)[:, None]
        # only runs with more late replies than the rest
        ratio = np.where(a * k > b * m, ratio, 0.0)
        at = ratio.argmax(axis=1)
        top = ratio[np.arange(len(late)), at]
        better = top > best
        best = np.where(better, top, best)
        first = np.where(better, at, first)
        last = np.where(better, at + length - 1, last)
    return best, first, last


def _likelihood(yes: np.ndarray, of: np.ndarray) -> np.ndarray:
    return xlogy(yes, yes / of) + xlogy(of - yes, 1 - yes / of)


def slow_cost(cases: pd.DataFrame, weeks: pd.DataFrame, target: float) -> pd.DataFrame:
    """What slow replies go with: two rows, slow weeks against the others, and late replies against
    those in time.

    compared, cases (slow or late), marks, bad (share of the marks), other (share of the others'
    marks), difference with its 90 % interval (Newcombe 1998), extra: bad experiences beyond the
    usual among `cases`. Only the cases of `_judged` count. Empty below ten marks on either side.
    """
    known = _judged(cases, target)
    sides = {
        "slow weeks": _monday(known).isin(weeks.loc[weeks["is_slow"], "week"]),
        "late replies": known["late"],
    }
    rows = []
    for name, slow in sides.items():
        marked = known["unhappy"].notna()
        n, m = int((slow & marked).sum()), int((~slow & marked).sum())
        if min(n, m) < methods.value("service_marks"):
            continue
        bad = known["unhappy"].fillna(False).astype(bool)
        yes, other = int((bad & slow & marked).sum()), int((bad & ~slow & marked).sum())
        low, high = confint_proportions_2indep(
            yes, n, other, m, method="newcomb", compare="diff", alpha=1 - stats.LEVEL
        )
        size = yes / n - other / m
        rows.append(
            [name, int(slow.sum()), n, yes / n, other / m, size, low, high, size * slow.sum()]
        )
    names = ["compared", "cases", "marks", "bad", "other", "difference", "low", "high", "extra"]
    return pd.DataFrame(rows, columns=names)


def cases_to_answer(
    cases: pd.DataFrame, as_of: date, target: float, trust_mood: bool
) -> pd.DataFrame:
    """The cases that are open, or got a bad mark in the last 30 days, the most urgent first.

    ticket_id, customer_id, kind ("open, unanswered", "open, answered", "open" where no case holds
    a reply, or "call back"), stage, topic, waiting_hours, sales, score (0 to 1), place, reason (the
    part that counts most). The score is the weighted mean of the parts in service.yaml: waiting
    counts until the first reply, unsolved after it, and mood only where
    `trust_mood`. Where the table holds no reply at all, an open case counts as waiting.
    """
    end = pd.Timestamp(as_of) + pd.Timedelta(days=1)
    fresh = cases["opened_at"] >= end - pd.Timedelta(days=SERVICE["call_back_days"])
    unhappy = cases["unhappy"].astype("boolean").fillna(False).astype(bool)
    rows = cases[cases["is_open"] | (fresh & unhappy)]
    answered, known = rows["reply"].notna(), cases["reply"].notna().any()
    waiting = (end - rows["opened_at"]).dt.total_seconds() / 3600
    urgency = {t: own["urgency"] for t, own in TOPICS["topics"].items()}
    parts = pd.DataFrame(
        {
            "waiting": (waiting / (target / 60) / 3)
            .clip(upper=1)
            .where(rows["is_open"] & ~answered, 0.0),
            "unsolved": (waiting / 24 / SERVICE["unsolved_days"])
            .clip(upper=1)
            .where(rows["is_open"] & answered, 0.0),
            "alarm": rows["alarm"].astype(float),
            "unhappy": unhappy[rows.index].astype(float),
            "topic": rows["topic"].map(urgency).astype(float),
            "mood": (-rows["mood"].astype(float)).clip(lower=0) * float(trust_mood),
            "value": cases["sales"].rank(pct=True)[rows.index].astype(float),
        }
    ).fillna(0.0)
    weights = pd.Series(SERVICE["priority"], dtype=float)
    points = parts * weights
    score = points.sum(axis=1) / weights.sum()
    reason = (
        points.idxmax(axis=1).map(SERVICE["priority_names"])
        if len(points)
        else pd.Series(dtype="str")
    )
    kind = np.where(answered, "open, answered", "open, unanswered" if known else "open")
    found = rows[["ticket_id", "customer_id", "stage", "topic", "sales", "opened_at"]].assign(
        kind=np.where(rows["is_open"], kind, "call back"),
        waiting_hours=waiting,
        score=score,
        reason=reason,
    )
    found = found.sort_values(
        ["score", "opened_at", "ticket_id"], ascending=[False, True, True], ignore_index=True
    )
    front = [
        "place",
        "kind",
        "stage",
        "topic",
        "waiting_hours",
        "reason",
        "sales",
        "score",
        "ticket_id",
        "customer_id",
    ]
    return found.assign(place=found.index + 1)[front]


class Slow(NamedTuple):
    """A slow period: its ends (days), late (share of its replies), usual (that of other weeks).

    weeks and cases of all slow weeks; kind: "season" where the same weeks of another year were slow
    too, "once" where they were not, "unknown" without such a year; side: whether that year is the
    one before or after; year_apart: its share of late replies.
    """

    first: pd.Timestamp
    last: pd.Timestamp
    late: float
    usual: float
    weeks: int
    cases: int
    kind: str
    side: str
    year_apart: float


def slow_period(weeks: pd.DataFrame) -> Slow | None:
    """The longest run of slow weeks in the frame of `reply_weeks`; None where no week was slow.

    `late`, `weeks` and `cases` are those of all slow weeks together.
    """
    slow, rest = weeks[weeks["is_slow"]], weeks[~weeks["is_slow"]]
    if slow.empty:
        return None
    first, last = _longest_run(weeks)
    usual = rest["late_cases"].sum() / max(rest["cases"].sum(), 1)
    late = slow["late_cases"].sum() / slow["cases"].sum()
    end = last + pd.Timedelta(days=6)
    counts = len(slow), int(slow["cases"].sum())
    return Slow(first, end, late, usual, *counts, *_other_year(weeks, first, last, usual))


def _other_year(
    weeks: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp, usual: float
) -> tuple[str, str, float]:
    """Whether the same weeks of another year were slow: kind, side and year_apart of `Slow`."""
    seen = {}
    for side, apart in {"before": -A_YEAR, "after": A_YEAR}.items():
        late = _late_between(weeks, (first, last), (first + apart, last + apart))
        if late is not None:
            seen[side] = late
    clearly = usual + methods.value("service_slower")
    slow = {side: late for side, late in seen.items() if late >= clearly}
    if slow:
        return "season", *next(iter(slow.items()))
    if seen:
        return "once", *next(iter(seen.items()))
    return "unknown", "", 0.0


def _late_between(weeks: pd.DataFrame, slow: tuple, ends: tuple) -> float | None:
    """The share of late replies between two weeks; None where too few of them are known."""
    whole = weeks["week"].min() <= ends[0] and ends[1] <= weeks["week"].max()
    rows = weeks[weeks["week"].between(*ends) & ~weeks["week"].between(*slow)]
    if not whole or rows["cases"].sum() < methods.value("service_marks"):
        return None
    return rows["late_cases"].sum() / rows["cases"].sum()


def check_slow(first: pd.Timestamp, as_of: date) -> date:
    """When to look again at weeks that were slow from `first` on: in time to plan people before
    they come again, and at the latest in `check_days`.
    """
    now, days = pd.Timestamp(as_of), SERVICE["check_days"]
    again = first + A_YEAR * ((now - first) // A_YEAR + 1)
    due = min(
        again - pd.Timedelta(days=SERVICE["plan_days"]), now + pd.Timedelta(days=days["slow"])
    )
    return max(due, now + pd.Timedelta(days=1)).date()


def _longest_run(weeks: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    slow = weeks[weeks["is_slow"]]
    run = (~weeks["is_slow"]).cumsum()[slow.index]
    parts = slow.groupby(run)["week"].agg(["min", "max", "size"]).sort_values("size", kind="stable")
    return parts["min"].iloc[-1], parts["max"].iloc[-1]

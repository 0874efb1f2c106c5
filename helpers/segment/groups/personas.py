"""Personas: what a group does against all others, its name, its card, a customer's labels, and the
check of it all.
"""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources
from textwrap import fill

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _
from scipy.stats import chi2, norm

from helpers import history, methods, stats
from helpers.advertised import worth_telling
from helpers.segment.groups.clustering import RULES as GROUP_RULES
from helpers.segment.groups.features import Habits, wide
from helpers.show import words

RULES = yaml.safe_load(
    resources.files(__package__).joinpath("personas.yaml").read_text(encoding="utf-8")
)
PERSONAS_VERSION: str = RULES["version"]
MEASURES: dict[str, str] = RULES["measures"]
CARD: dict[str, dict[str, str]] = RULES["card"]
LEAST_EVENTS = 5  # answers on either side that a group needs to be judged


# --- what a group does against the others ---------------------------------------------------------


def portrait(counts: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """What each group does against all others: one row a group, facet and part of the `tallies`.

    share: of the group's lines or orders; others: the same of everybody else; more: their
    difference; times: their ratio; sure: whether the difference is beyond chance (three standard
    errors, each customer one unit).
    """
    groups, rows = groups.dropna(), []
    for facet in sorted(counts["facet"].unique()):
        own = wide(counts, facet, groups.index)
        total = own.sum(axis=1)
        for group in sorted(groups.unique()):
            inside = groups == group
            (share, error), (others, other) = (_share(own[m], total[m]) for m in (inside, ~inside))
            part = {
                "group": group,
                "facet": facet,
                "part": own.columns,
                "share": share,
                "others": others,
            }
            part |= {"more": share - others}
            part |= {
                "times": np.where(share > 0, share / np.where(others > 0, others, 1e-9), others * 0)
            }
            part |= {"sure": np.abs(share - others) > RULES["sure"] * np.hypot(error, other)}
            rows.append(pd.DataFrame(part))
    columns = ["group", "facet", "part", "share", "others", "more", "times", "sure"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def to_tell(drawn: pd.DataFrame, kept: pd.DataFrame, never: list[str]) -> pd.DataFrame:
    """The rows of a `portrait` that may be told of a group: no goods with a word of `never` in their
    name, and no habit that hardly repeats (`lasting` of personas.yaml; `kept` is `habits_kept`).

    A habit that could not be compared between the two parts of the data stays.
    """
    fleeting = kept.loc[kept["repeats"] < RULES["lasting"], "facet"]
    goods = (drawn["facet"] != "what") | worth_telling(drawn["part"], never)
    return drawn[goods & ~drawn["facet"].isin(fleeting)].reset_index(drop=True)


def _share(own: pd.DataFrame, total: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Share of each part in all that is counted, and its standard error (linearised, by
    customer).
    """
    whole = max(float(total.sum()), 1.0)
    share = own.sum().to_numpy() / whole
    left = own.to_numpy() - np.outer(total, share)
    return share, np.sqrt((left**2).sum(axis=0)) / whole


def name_groups(drawn: pd.DataFrame, groups: pd.Series, orders: pd.Series) -> pd.DataFrame:
    """One row a group: `label`, the parts of the range that stand out, and `persona`, with rhythm
    and place.

    `drawn` is a `portrait`, `orders` those of each customer. The words stand in personas.yaml; no
    two names are alike.
    """
    rule, rows, typical = RULES["name"], [], orders.reindex(groups.dropna().index).mean()
    for group in sorted(groups.dropna().unique()):
        own = drawn[(drawn["group"] == group) & drawn["sure"].astype(bool)]
        lead = own[(own["facet"] == "what") & (own["times"] >= rule["over"])]
        lead = (
            lead[lead["more"] >= rule["second"] * lead["more"].max()]
            .nlargest(2, "more")["part"]
            .map(plain)
            .tolist()
        )
        label = (
            words.listing([*lead[:1], *(name[0].lower() + name[1:] for name in lead[1:])])
            or rule["plain"]
        )
        pace = orders.reindex(groups.index[groups == group]).mean() / typical
        pace = (
            "high"
            if pace >= rule["rhythm"]["high"]
            else "low"
            if pace <= rule["rhythm"]["low"]
            else "same"
        )
        tails = pd.concat(
            [
                own[(own["facet"] == f) & (own["times"] >= least)]
                for f, least in rule["tails"].items()
            ]
        )
        tails = tails.nlargest(1, "more")
        tail = [in_words(r.facet, r.part) for r in tails.itertuples()]
        rows.append((group, label, ", ".join([f"{label} {rule['buyers'][pace]}", *tail])))
    named = pd.DataFrame(rows, columns=["group", "label", "persona"])
    for column in ("label", "persona"):
        again = named.groupby(column).cumcount()
        named[column] = named[column].where(
            again == 0, named[column] + " " + (again + 1).astype(str)
        )
    return named


def standing_out(drawn: pd.DataFrame, named: pd.DataFrame, most: int = 8) -> pd.DataFrame:
    """Share of each part of the range in what each persona buys, for the parts that tell the
    personas apart most.
    """
    rows = drawn[drawn["facet"] == "what"].merge(named[["group", "persona"]], on="group")
    table = rows.assign(part=rows["part"].map(plain)).pivot_table(
        "share", "persona", "part", sort=False
    )
    apart = (table.max() - table.min()).nlargest(most).index
    table = table[[c for c in table.columns if c in apart]]
    return table.rename(index=lambda name: fill(name, 24, break_long_words=False), columns=_stacked)


def _stacked(name: str) -> str:
    # a word is never cut: a long one makes its column wider
    return fill(name, 10, break_long_words=False, break_on_hyphens=False)


def plain(part: object) -> str:
    """A part of the range as people write it.

    >>> plain("BAKED BREAD/BUNS/ROLLS"), plain("Garden"), plain("CANDY - PACKAGED")
    ('Baked bread', 'Garden', 'Candy (packaged)')
    """
    first, *rest = str(part).split("/")[0].strip().split(" - ", 1)
    text = f"{first} ({rest[0].lower()})" if rest else first
    return text[0] + text[1:].lower() if first.isupper() and len(first) > 2 else text


def in_words(facet: str, part: str) -> str:
    """The words for a part of a facet, such as "in store" for the channel store."""
    return RULES["words"].get(facet, {}).get(part, plain(part))


# --- the card and the labels ----------------------------------------------------------------------


def persona_rows(
    segments: pd.DataFrame, habits: Habits, groups: pd.Series, named: pd.DataFrame
) -> pd.DataFrame:
    """One row a customer of `segments`: customer_id, number, group, persona, orders, known,
    favourite, place, labels.

    known: enough orders to know the habits; with fewer the persona is a first guess, without any it
    is empty. favourite: the part of the range bought most beyond what everybody buys; place: the
    channel of most orders. labels: by tier, by group and by person, with | between.
    """
    names = named.set_index("group")
    people = segments.reindex(columns=["customer_id", "tier", "stage"]).set_index("customer_id")
    group = groups.reindex(people.index)
    bought = wide(habits.counts, "what", people.index)
    beyond = bought - np.outer(bought.sum(axis=1), bought.sum() / max(bought.to_numpy().sum(), 1.0))
    where = wide(habits.counts, "where", people.index)
    orders = habits.people["orders"].reindex(people.index).fillna(0).astype(int)
    people = people.assign(
        number=group,
        group=group.map(names["label"]).astype("str"),
        persona=group.map(names["persona"]).astype("str"),
        orders=orders,
        known=people.index.isin(habits.known),
        favourite=_largest(beyond.where(bought >= 2)).map(plain, na_action="ignore"),
        place=_largest(where.where(where > 0) if where.shape[1] > 1 else where.iloc[:, :0]).map(
            lambda p: in_words("where", p), na_action="ignore"
        ),
    )
    guess = people["persona"].where(people["known"], people["persona"] + " (first guess)")
    likes = "likes " + people["favourite"].astype("str").str.lower()
    parts = [people["tier"], guess, people["stage"], likes, people["place"]]
    labels = [
        " | ".join(part for part in row if part == part and part)
        for row in zip(*parts, strict=True)
    ]
    return people.assign(labels=labels).drop(columns=["tier", "stage"]).reset_index()


def _largest(table: pd.DataFrame) -> pd.Series:
    known = table.dropna(how="all") if table.shape[1] else table.iloc[:0]
    return (
        (known.idxmax(axis=1) if len(known) else pd.Series(dtype="str"))
        .reindex(table.index)
        .astype("str")
    )


def persona_figures(
    rows: pd.DataFrame, segments: pd.DataFrame, values: pd.DataFrame
) -> pd.DataFrame:
    """One row a persona, most sales first: number, customers, known, active, sales, orders,
    average_order, worth.

    known and active are shares. Of `segments` the sales of the last year, and orders and sales of
    its window; worth: mean of the predicted value of the next year, in sales or margin (basis),
    where `values` has it.
    """
    people = rows[rows["persona"].notna()].merge(
        segments.drop(columns="segment", errors="ignore"), on="customer_id"
    )
    people = people.merge(
        values.reindex(columns=["customer_id", "predicted_value", "basis"]),
        on="customer_id",
        how="left",
    )
    found = people.groupby("persona").agg(
        number=("number", "first"),
        group=("group", "first"),
        customers=("customer_id", "size"),
        known=("known", "mean"),
        sales=("yearly_sales", "sum"),
        orders=("frequency", "sum"),
        money=("monetary", "sum"),
        active=("stage", lambda s: s.isin(["new", "active"]).mean()),
        worth=("predicted_value", "mean"),
        basis=("basis", "first"),
    )
    whole = max(float(segments["yearly_sales"].sum()), 1e-9)
    found = found.assign(
        share_of_customers=found["customers"] / max(len(people), 1),
        share_of_sales=found["sales"] / whole,
        per_head=found["sales"] / found["customers"],
        average_order=found["money"] / found["orders"].where(found["orders"] > 0),
    )
    return (
        found.drop(columns="money")
        .sort_values("sales", ascending=False, kind="stable")
        .reset_index()
    )


def persona_cards(figures: pd.DataFrame, drawn: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """One row a persona: the figures, and the sentences of its card, one a line: likes, buys,
    advice, avoid.

    `told` has, by persona, further columns of the card, such as answers and firm; empty where not
    known. Where it says `loose`, that sentence takes the place of advice, and nothing is advised
    against.
    """
    rows = []
    for card in figures.itertuples():
        own = drawn[drawn["group"] == card.number]
        said = {
            field: "\n".join(_statements(own, rules))
            for field, rules in RULES["statements"].items()
        }
        rows.append({"persona": card.persona, **said})
    said = pd.DataFrame(rows, columns=["persona", *RULES["statements"]])
    cards = figures.merge(said, on="persona").merge(told, on="persona", how="left")
    loose = cards.pop("loose").fillna("") if "loose" in cards else pd.Series("", cards.index)
    return cards.assign(
        advice=cards["advice"].mask(loose != "", loose), avoid=cards["avoid"].mask(loose != "", "")
    )


def _statements(own: pd.DataFrame, rules: list[dict]) -> list[str]:
    """The sentences of one field of the card that the portrait of one group bears out."""
    said = []
    for rule in rules:
        # a facet with one part says nothing
        rows = own[(own["facet"] == rule["facet"]) & (own["others"] < 1)]
        rows = rows[rows["part"] == rule["part"]] if "part" in rule else rows
        if rule.get("always"):
            rows = rows.nlargest(1, "share")
        elif "over" in rule:
            rows = rows[rows["sure"].astype(bool) & (rows["times"] >= rule["over"])].nlargest(
                len(rows), "more"
            )
        else:
            rows = rows[rows["sure"].astype(bool) & (rows["times"] <= rule["under"])].sort_values(
                "more"
            )
        rows = rows.head(rule.get("most", 1))
        parts = [in_words(r.facet, r.part) for r in rows.itertuples()]
        if rule.get("join") and parts:
            rows, parts = rows.head(1), [words.listing(parts)]
        for part, row in zip(parts, rows.itertuples(), strict=True):
            filled = {
                "part": part,
                "share": words.percent(row.share),
                "others": words.percent(row.others),
            }
            times = "over 20" if row.times > 20 else f"{row.times:.1f}"
            said.append(
                rule["say"].format(**filled, times=times, rest=words.percent(1 - row.share))
            )
        said += [rule["otherwise"]] if not parts and "otherwise" in rule else []
    return [s[0].upper() + s[1:] for s in said]


def with_traits(
    counts: pd.DataFrame, people: pd.DataFrame, segments: pd.DataFrame, need: pd.Series
) -> pd.DataFrame:
    """The `tallies` with what is known of each person once: traits of the customer, stage of life,
    strongest need.
    """
    known = [people[["customer_id", *(c for c in RULES["traits"] if c in people.columns)]]]
    known += [
        segments[["customer_id", "stage"]],
        need.rename("need").rename_axis("customer_id").reset_index(),
    ]
    rows = pd.concat(
        [frame.melt("customer_id", var_name="facet", value_name="part") for frame in known]
    )
    rows = rows.dropna(subset="part").astype({"part": "str"})
    return pd.concat(
        [counts, rows[~rows["part"].isin(["", "not known"])].assign(n=1)], ignore_index=True
    )


def persona_told(
    answers: pd.DataFrame, steady: pd.Series, figures: pd.DataFrame, currency: str
) -> pd.DataFrame:
    """More columns of the card, by persona: `lead`, `answers` (of the frame of `response`), `firm`
    and `loose`.

    `steady` is the mean Jaccard similarity of each persona, by its name; of one below "doubtful"
    nothing is advised.
    """
    said = RULES["told"]
    rows = []
    for card in figures.itertuples():
        score = steady.get(card.persona, np.nan)
        level = (
            "high"
            if score >= GROUP_RULES["steady"]
            else "middle"
            if score >= GROUP_RULES["doubtful"]
            else "low"
        )
        firm = {
            "steady": said["steady"][level],
            "jaccard": words.percent(score),
            "known": words.percent(card.known),
        }
        answer = [
            _answer(row) for row in answers[answers["group"] == card.persona].to_dict("records")
        ]
        lead = said["lead" if pd.isna(card.worth) else "worth"]
        lead = lead.format(
            customers=words.count(card.customers),
            worth=words.money(card.worth, currency),
            basis=card.basis,
        )
        loose = said["loose"] if level == "low" else ""
        rows.append(
            (
                card.persona,
                lead,
                answer[0] if answer else said["unsure"],
                said["firm"].format(**firm),
                loose,
            )
        )
    return pd.DataFrame(rows, columns=["persona", "lead", "answers", "firm", "loose"])


def _answer(row: dict) -> str:
    said = RULES["told"]
    if pd.isna(row["low"]):
        return said["unsure"]
    extra, differs = row["measure"] == "extra", bool(row["p_adjusted"] < 1 - stats.LEVEL)
    away = row["away"] if differs else 0
    how = "better" if away > 0 else "worse" if away < 0 else "same"
    points = {c: f"{row[c] * 100 + 0.0:+.1f}" for c in ("difference", "low", "high")}
    rates = {c: words.percent(row[c], 1) for c in ("rate", "usual")}
    return said["extra" if extra else "other"][how].format(
        **points, **rates, what=MEASURES[row["measure"]]
    )


def persona_changes(before: pd.DataFrame | None, now: pd.DataFrame) -> pd.DataFrame:
    """One row a persona of this run or the last: customers before and now, and `kept`: still in it,
    of those before.

    Empty without an earlier run.
    """
    columns = ["persona", "before", "now", "kept"]
    if before is None or not len(before):
        return pd.DataFrame(columns=columns)
    both = before[["customer_id", "persona"]].merge(
        now[["customer_id", "persona"]], on="customer_id", how="outer", suffixes=("_before", "_now")
    )
    stayed = both[both["persona_before"] == both["persona_now"]]
    counts = [
        frame.groupby(c).size() for frame, c in ((both, "persona_before"), (both, "persona_now"))
    ]
    counts.append(stayed.groupby("persona_now").size())
    table = pd.concat(counts, axis=1, keys=["before", "now", "kept"]).fillna(0).astype(int)
    table["kept"] = table["kept"] / table["before"].where(table["before"] > 0)
    return table.rename_axis("persona").sort_values("now", ascending=False).reset_index()[columns]


# --- the check: do personas answer differently? ---------------------------------------------------


def contacts(
    messages: ir.Table, orders: ir.Table, redemptions: ir.Table, span: tuple[date, date], days: int
) -> ir.Table:
    """One row a message sent in `span` (after the first day, and `days` before the last): what came
    of it.

    campaign_id, customer_id, held (kept out at random), opened, clicked, redeemed (a coupon of the
    campaign was used) and ordered (within `days` days after).
    """
    sent = messages.filter(
        _.sent_at.date() > span[0], _.sent_at.date() <= span[1] - timedelta(days=days)
    )
    sent = sent.select(
        "message_id",
        "campaign_id",
        "customer_id",
        "sent_at",
        held=_.is_holdout.fill_null(False),
        opened=_.opened_at.notnull(),
        clicked=_.clicked_at.notnull(),
    )
    bought = history.purchases(orders).select("customer_id", "ordered_at").distinct()
    after = sent.join(bought, "customer_id").filter(_.ordered_at > _.sent_at)
    after = (
        after.filter(_.ordered_at <= _.sent_at + ibis.interval(days=days))
        .select("message_id")
        .distinct()
    )
    used = (
        redemptions.select("campaign_id", "customer_id")
        .distinct()
        .mutate(redeemed=ibis.literal(True))
    )
    told = sent.left_join(after.mutate(ordered=ibis.literal(True)), "message_id").drop(
        "message_id_right"
    )
    told = told.left_join(used, ["campaign_id", "customer_id"])
    return told.select(
        "campaign_id",
        "customer_id",
        "held",
        "opened",
        "clicked",
        redeemed=_.redeemed.fill_null(False),
        ordered=_.ordered.fill_null(False),
    )


def choose_measure(rows: pd.DataFrame) -> str:
    """The best measure of an answer that the `contacts` allow: one of MEASURES, or "" without
    contacts.
    """
    held = rows["held"].astype(bool)
    if held.sum() >= methods.value("persona_held_out"):
        return "extra"
    return next((m for m in list(MEASURES)[1:] if rows.loc[~held, m].any()), "")


def compare_answers(rows: pd.DataFrame, divisions: dict[str, pd.Series]) -> pd.DataFrame:
    """The `response` by two divisions of the customers, and by the first within the groups of the
    second.

    By the best measure that the `contacts` allow (`choose_measure`).
    """
    measure = choose_measure(rows)
    tables = [
        response(rows, groups, measure).assign(division=name) for name, groups in divisions.items()
    ]
    (name, groups), (other, strata) = list(divisions.items())[:2]
    within = rows.assign(
        campaign_id=rows["campaign_id"] + " " + rows["customer_id"].map(strata).fillna("")
    )
    tables.append(
        response(within, groups, measure).assign(division=f"{name} within the same {other}")
    )
    return pd.concat(tables, ignore_index=True)


def answer_tests(answers: pd.DataFrame) -> pd.DataFrame:
    """One row a division of `compare_answers` with two groups to compare: groups, p, and off: those
    off the others.
    """
    judged = answers.dropna(subset=["p_all"])
    off = judged["p_adjusted"] < 1 - stats.LEVEL
    return (
        judged.assign(off=off)
        .groupby("division", sort=False)
        .agg(groups=("group", "size"), p=("p_all", "first"), off=("off", "sum"))
        .reset_index()
    )


def response(rows: pd.DataFrame, groups: pd.Series, measure: str) -> pd.DataFrame:
    """How each group answered, against whom, and whether that differs from the other groups: one
    row a group.

    With "extra", rate is the share of the contacted who ordered, usual that of the group's own
    held-out customers, and difference what the message added. With other measures usual is the rate
    of the other groups in the same campaigns. Campaigns are compared one by one and weighted by
    their size (Mantel and Haenszel; Greenland and Robins 1985). low and high: 90 % interval,
    customers as units; empty where answers are few. away: distance from all groups together; p:
    chance of one as large if all answered alike; p_all: for all groups at once (Wald); p_adjusted:
    p for the number of groups asked (Holm 1979), and never below p_all.
    """
    rows = rows.assign(group=rows["customer_id"].map(groups)).dropna(subset="group")
    extra, held = measure == "extra", rows["held"].astype(bool)
    rows = rows.assign(y=rows["ordered" if extra else measure].astype(float) if measure else 0.0)[
        extra | ~held
    ]
    found, pulls = [], {}
    for group in sorted(rows["group"].unique()) if measure else []:
        part = rows[rows["group"] == group] if extra else rows
        treated = ~part["held"].astype(bool) if extra else part["group"] == group
        rate, usual, pull = _rates(part, treated)
        own, events = part[treated], part.groupby(treated)["y"].sum()
        found.append(
            [group, measure, len(own), own["customer_id"].nunique(), rate, usual, rate - usual]
        )
        if len(events) == 2 and events.min() >= LEAST_EVENTS:
            pulls[group] = pull
    columns = ["group", "measure", "contacts", "customers", "rate", "usual", "difference"]
    table = pd.DataFrame(found, columns=columns)
    judged = table[table["group"].isin(list(pulls))]
    return table.join(_tested(judged, pd.DataFrame(pulls).fillna(0.0), extra))


def _rates(rows: pd.DataFrame, treated: pd.Series) -> tuple[float, float, pd.Series]:
    """Mantel-Haenszel rates of the treated and the others, and the pull of each customer on their
    difference.
    """
    cells = rows.groupby([rows["campaign_id"], treated])["y"].agg(["size", "mean"]).unstack()
    cells = cells.reindex(
        columns=pd.MultiIndex.from_product([["size", "mean"], [False, True]])
    ).dropna()
    n, rate = cells["size"], cells["mean"]
    weight = n[True] * n[False] / (n[True] + n[False])
    weight = weight / weight.sum()
    pulls = 0.0
    for side, sign in ((True, 1), (False, -1)):
        own = rows[treated == side]
        campaign = own["campaign_id"]
        # of no campaign with both sides pandas makes text
        left = own["y"] - campaign.map(rate[side]).astype(float)
        # empty where a campaign has one side only
        pull = sign * left * campaign.map(weight / n[side]).astype(float)
        pulls = pull.groupby(own["customer_id"]).sum().add(pulls, fill_value=0.0)
    return float((weight * rate[True]).sum()), float((weight * rate[False]).sum()), pulls


def _tested(judged: pd.DataFrame, pulls: pd.DataFrame, extra: bool) -> pd.DataFrame:
    """Interval and chances of the differences of the groups, from the pulls of the customers on
    them.
    """
    k, z = len(judged), stats.Z
    d, spread = judged["difference"].to_numpy(), pulls.to_numpy().T @ pulls.to_numpy()
    error = np.sqrt(np.diag(spread)) if k else d
    found = pd.DataFrame({"low": d - z * error, "high": d + z * error}, judged.index)
    if k < 2:
        return found.assign(away=np.nan, p=np.nan, p_adjusted=np.nan, p_all=np.nan)
    # Against the mean of all groups for "extra"; the other measures are differences from the others
    # already.
    share = judged["contacts"].to_numpy() / judged["contacts"].sum()
    contrast = np.eye(k) - np.outer(np.ones(k), share) if extra else np.eye(k)
    away, around = contrast @ d, contrast @ spread @ contrast.T
    p = 2 * norm.sf(np.abs(away) / np.sqrt(np.diag(around)))
    wald = float(away[1:] @ np.linalg.pinv(around[1:, 1:], hermitian=True) @ away[1:])
    order = np.argsort(p)
    holm = np.minimum(np.maximum.accumulate(p[order] * np.arange(k, 0, -1)), 1.0)[np.argsort(order)]
    together = float(chi2.sf(wald, k - 1))
    return found.assign(away=away, p=p, p_adjusted=np.maximum(holm, together), p_all=together)

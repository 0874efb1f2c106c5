"""Business accounts: what is known of each, as points; what was checked and when; whom to visit,
whom to trust.
"""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _

from helpers.client import AccountIndicator, AccountRules, PlaybookError
from helpers.segment.business.weighting import WAYS
from helpers.show import words

FACTS = yaml.safe_load(
    resources.files(__package__).joinpath("accounts.yaml").read_text(encoding="utf-8")
)
ACCOUNT_VERSION: str = FACTS["version"]
AREAS = list(FACTS["areas"])
VALUES = ["won_amount", "open_amount", "win_rate", "sales"]  # worked out, never checked
LIGHTS = ["red", "amber", "green", "in part", "not checked"]
PRIOR = 2  # closed deals' worth of the mean win rate that each account's own is drawn towards


def account_system(own: AccountRules, weights: str = "") -> AccountRules:
    """The client's indicators and pairs, or the standard set of accounts.yaml; `weights` overrules
    how to weigh.

    Raises PlaybookError for a way to weigh that is none.
    """
    if weights and weights not in WAYS:
        raise PlaybookError(
            f'"{weights}" is no way to weigh accounts: use one of {", ".join(WAYS)}.'
        )
    standard = AccountRules.model_validate(FACTS["standard"])
    pairs = own.pairs or ({} if own.indicators else standard.pairs)
    rules = {
        "weights": weights or own.weights,
        "indicators": own.indicators or standard.indicators,
        "pairs": pairs,
    }
    return AccountRules.model_validate(rules)


def account_ids(accounts: ir.Table, deals: ir.Table, customers: ir.Table) -> ir.Table:
    """The business accounts: who has indicators, deals, or the account type business. One column,
    customer_id.
    """
    named = customers.filter(_.account_type.lower() == "business")
    parts = [
        t.filter(_.customer_id.notnull()).select("customer_id") for t in (accounts, deals, named)
    ]
    return ibis.union(*parts, distinct=True)


def account_values(ids: ir.Table, deals: ir.Table, orders: ir.Table, as_of: date) -> ir.Table:
    """One row an account: deals won, lost and open (counts), won_amount, open_amount and sales
    (currency).

    A deal that ended after `as_of` was open then. Sales are those of the 365 days up to `as_of`.
    """
    stage, later = deals.stage.fill_null("").lower(), (deals.closed_on > as_of).fill_null(False)
    lost = ~later & stage.re_search(FACTS["stages"]["lost"])
    won = ~later & ~lost & stage.re_search(FACTS["stages"]["won"])
    told = deals.mutate(lost=lost, won=won, open=later | (~lost & ~won & deals.closed_on.isnull()))
    told = told.filter(_.customer_id.notnull(), (_.opened_on <= as_of).fill_null(True)).group_by(
        "customer_id"
    )
    sums = told.agg(
        won=_.won.sum(),
        lost=_.lost.sum(),
        open=_.open.sum(),
        won_amount=_.amount.sum(where=_.won).round(2),
        open_amount=_.amount.sum(where=_.open).round(2),
    )
    recent = orders.filter(_.ordered_on > as_of - timedelta(days=365), _.ordered_on <= as_of)
    sold = (
        recent.filter(_.customer_id.notnull())
        .group_by("customer_id")
        .agg(sales=_.revenue.sum().round(2))
    )
    both = (
        ids.left_join(sums, "customer_id").drop("customer_id_right").left_join(sold, "customer_id")
    )
    names = ["won", "lost", "open", "won_amount", "open_amount", "sales"]
    return both.select("customer_id", **{c: both[c].fill_null(0) for c in names})


def add_win_rate(values: pd.DataFrame) -> pd.DataFrame:
    """Add `win_rate`: closed deals won, drawn to the mean of all as if two deals more had gone the
    usual way.

    Empty for an account without a closed deal.

    >>> add_win_rate(pd.DataFrame({"won": [1, 3, 0], "lost": [0, 4, 0]}))["win_rate"].tolist()
    [0.6666666666666666, 0.4444444444444444, nan]
    """
    closed = (values["won"] + values["lost"]).astype(float)
    usual = values["won"].sum() / closed.sum() if closed.sum() else np.nan
    return values.assign(
        win_rate=(values["won"] + PRIOR * usual) / (closed + PRIOR).where(closed > 0)
    )


def account_checks(
    facts: pd.DataFrame,
    values: pd.DataFrame,
    system: AccountRules,
    as_of: date,
    old_days: int = 365,
) -> pd.DataFrame:
    """One row an account and indicator of the system, also where nothing is known.

    `facts` is the table accounts, of which the last word up to `as_of` counts. value: as written;
    number: what it counts as, empty where nothing is known or understood; light: red, amber, good,
    not checked, or empty for what is no check; old: last looked at more than `old_days` ago, or on
    a day not known.
    """
    day = pd.Timestamp(as_of)
    said = facts.assign(
        indicator=facts["indicator"]
        .astype("str")
        .str.strip()
        .str.lower()
        .str.replace(r"[\s-]+", "_", regex=True),
        value=facts["value"].astype("str").str.strip().replace("", None),
        checked_on=pd.to_datetime(facts["checked_on"]).astype("datetime64[s]"),
    )
    said = said[said["value"].notna() & ~(said["checked_on"] > day)]
    said = said.sort_values("checked_on", na_position="first", kind="stable")
    said = said.drop_duplicates(["customer_id", "indicator"], keep="last").set_index(
        ["customer_id", "indicator"]
    )
    grid = pd.MultiIndex.from_product(
        [sorted(values["customer_id"]), list(system.indicators)], names=["customer_id", "indicator"]
    )
    asked = said[["value", "checked_on"]].reindex(grid).reset_index()
    parts = [
        _judge(asked[asked["indicator"] == name], name, spec, values)
        for name, spec in system.indicators.items()
    ]
    checks = pd.concat(parts, ignore_index=True)
    known = checks["number"].notna() & ~checks["indicator"].isin(VALUES)
    checks["old"] = known & ~(checks["checked_on"] >= day - pd.Timedelta(days=old_days))
    return checks[
        ["customer_id", "group", "indicator", "value", "number", "checked_on", "light", "old"]
    ]


def point_scale(checks: pd.DataFrame, system: AccountRules) -> pd.DataFrame:
    """One row an indicator that tells accounts apart: `known` (share), what earns `zero` and
    `hundred` points, `usual`.

    The range that holds nine accounts in ten is spread over 0 to 100, so that a few extreme
    accounts do not press all others together (winsorised min-max); where nine in ten are alike, the
    whole range. Indicators that are the same for all, or known of none, are left out. `usual` is
    the median account's.
    """
    wide = checks.pivot(index="customer_id", columns="indicator", values="number").reindex(
        columns=system.indicators
    )
    wide = wide.astype(float).loc[:, wide.nunique() > 1]
    low, high = wide.quantile(0.05), wide.quantile(0.95)
    alike = low == high
    low, high = low.where(~alike, wide.min()), high.where(~alike, wide.max())
    more = pd.Series(
        [system.indicators[i].better == "high" for i in wide], wide.columns, dtype=bool
    )
    scale = {
        "group": pd.Series([system.indicators[i].group for i in wide], wide.columns, dtype="str"),
        "known": wide.notna().mean(),
        "zero": low.where(more, high),
        "usual": wide.median(),
        "hundred": high.where(more, low),
    }
    return pd.DataFrame(scale).rename_axis("indicator").reset_index()


def account_points(checks: pd.DataFrame, scale: pd.DataFrame) -> pd.DataFrame:
    """Points of each account (row) for each indicator of the scale (column): 0-100, more is better,
    or empty.
    """
    wide = checks.pivot(index="customer_id", columns="indicator", values="number").reindex(
        columns=scale["indicator"]
    )
    zero, hundred = (scale.set_index("indicator")[c] for c in ("zero", "hundred"))
    return (
        (((wide - zero) / (hundred - zero)).clip(0, 1) * 100)
        .astype(float)
        .rename_axis(columns=None)
    )


def foretell(
    points: pd.DataFrame, weights: pd.DataFrame, values: pd.DataFrame, draws: int = 300
) -> pd.DataFrame:
    """How often a ranking by checks alone puts the account of a won deal above that of a lost one
    (`right`).

    One row a way of weighing, and one for the best single indicator by given weight, the plain
    rule. 0.5 is a toss; `low` and `high` hold 90 % of draws of whole accounts (bootstrap).
    Indicators of the group value are left out: they are made of the very deals. Empty without won
    and lost deals.
    """
    checks = weights[weights["group"] != "value"].set_index("indicator")
    deals = values.set_index("customer_id").reindex(points.index)[["won", "lost"]].to_numpy(float)
    if checks.empty or not deals.sum(axis=0).all():
        return pd.DataFrame(columns=["ranking", "right", "low", "high"])
    filled = points[checks.index].fillna(points.median())
    plain = checks["given"].idxmax()
    rankings = {way: filled.to_numpy() @ checks[way].to_numpy() for way in checks.columns[3:]}
    rankings[f"{plain.replace('_', ' ')} alone"] = filled[plain].to_numpy()
    rng, n = np.random.default_rng(1), len(points)
    picks = [rng.integers(0, n, n) for _ in range(int(np.clip(2_000_000 // n, 30, draws)))]
    rows = []
    for name, score in rankings.items():
        drawn = [_concordance(score[p], deals[p]) for p in picks]
        rows.append((name, _concordance(score, deals), *np.nanquantile(drawn, [0.05, 0.95])))
    return pd.DataFrame(rows, columns=["ranking", "right", "low", "high"])


def foretold_in_words(right: float, low: float, high: float) -> str:
    """Whether a ranking tells won deals from lost ones better than a toss (`foretell`).

    >>> foretold_in_words(0.58, 0.47, 0.66)
    'Whether a ranking by checks puts won deals before lost ones cannot be told: it may be a toss.'
    """
    if low <= 0.5 <= high:
        return (
            "Whether a ranking by checks puts won deals before lost ones cannot be told: it may be"
            " a toss."
        )
    if high < 0.5:
        return "A ranking by checks puts lost deals before won ones: it misleads."
    return f"A ranking by checks puts the won deal first in {words.percent(right)} of pairs."


def scale_in_words(scale: pd.DataFrame, system: AccountRules) -> pd.DataFrame:
    """The scale as people read it: answers as words, shares as percent, other figures rounded to
    what matters.
    """

    def said(indicator: str, value: float) -> str:
        answers = {v: word for word, v in reversed(system.indicators[indicator].values.items())}
        if answers and indicator != "win_rate":  # a percentile may lie between two answers
            return answers[min(answers, key=lambda v: abs(v - value))]
        rounded = f"{value:,.0f}" if value % 1 == 0 or abs(value) >= 10 else f"{value:.1f}"
        return words.percent(value) if indicator == "win_rate" else rounded

    named = scale.assign(indicator=scale["indicator"].str.replace("_", " "))
    for end in ("zero", "usual", "hundred"):
        named[end] = [said(*cell) for cell in zip(scale["indicator"], scale[end], strict=True)]
    return named[["indicator", "group", "zero", "usual", "hundred", "known"]]


# --- the risk card ----------------------------------------------------------------------------


def risk_card(checks: pd.DataFrame) -> pd.DataFrame:
    """One row an account: a light for each area, and what was found, not checked, and old, in
    words.

    red or amber: at least one such finding, however old; green: every check of the area was made
    lately and found nothing; in part: nothing found, but not all was checked lately; not checked:
    nothing is known.
    """
    made = checks[checks["light"] != ""]
    light, index = made["light"], [made["customer_id"], made["group"]]
    signs = pd.DataFrame({name: light == name for name in ("red", "amber", "good")})
    signs["stale"] = (light != "good") | made["old"]
    has = signs.groupby(index).any()
    lights = np.select(
        [has["red"], has["amber"], ~has["stale"], has["good"]],
        ["red", "amber", "green", "in part"],
        "",
    )
    who = pd.Index(sorted(checks["customer_id"].unique()), name="customer_id")
    card = pd.Series(lights, has.index, dtype="str").replace("", "not checked").unstack("group")
    card = (
        card.reindex(index=who, columns=AREAS, fill_value="not checked")
        .astype("str")
        .rename_axis(columns=None)
    )
    card = card.fillna("not checked")
    card["found"] = _listed(made[light.isin(["red", "amber"])])
    card["not_checked"] = _listed(made[made["number"].isna()])
    card["old"] = _listed(made[made["old"]])
    return card.astype("str").fillna("").reset_index()


def account_card(checks: pd.DataFrame, customer_id: str) -> pd.DataFrame:
    """The card of one account, a row an area: light, what stands in the file, when last looked at,
    what is missing.
    """
    mine = checks[(checks["customer_id"] == customer_id) & (checks["light"] != "")]
    light = risk_card(mine)[AREAS].iloc[0]
    known = mine[mine["number"].notna()]
    said = (
        known["indicator"].str.replace("_", " ")
        + ": "
        + known["value"]
        + known["old"].map({True: " (old)", False: ""})
    )
    rows = {
        "light": light,
        "on_file": said.groupby(known["group"]).agg(", ".join),
        "last_looked_at": known.groupby("group")["checked_on"].max(),
        "not_checked": _names(mine[mine["number"].isna()]),
    }
    return (
        pd.DataFrame(rows, index=AREAS)
        .fillna({"on_file": "nothing", "not_checked": ""})
        .reset_index(names="area")
    )


def cards_to_read(advised: pd.DataFrame) -> list[tuple[str, str]]:
    """A caption and the account for each card of accounts.yaml that this client can show: the best,
    and the worst.
    """
    best = advised[advised["rank"].notna()].head(1)
    found = (
        advised[advised["found"] != ""]
        .sort_values(["open_amount", "score"], ascending=[False, True])
        .head(1)
    )
    shown = zip(FACTS["cards"].values(), (best, found), strict=True)
    return [
        (f"The card of {of}, code {who.code}: {who.advice}", who.customer_id)
        for of, rows in shown
        for who in rows.itertuples()
    ]


def light_counts(card: pd.DataFrame) -> pd.DataFrame:
    """How many accounts have each light, by area."""
    rows = [card[area].value_counts().reindex(LIGHTS, fill_value=0).rename(area) for area in AREAS]
    return pd.DataFrame(rows).reset_index(names="area")


def checks_made(checks: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """One row a check: accounts checked and what came of it, and those with open deals for which it
    is missing or old.

    The check that leaves most open money unchecked first; `missing_amount` in currency.
    """
    made = checks[checks["light"] != ""].merge(
        values[["customer_id", "open", "open_amount"]], on="customer_id"
    )
    lacks = (made["number"].isna() | made["old"]) & (made["open"] > 0)
    signs = pd.DataFrame(
        {
            "checked": made["number"].notna(),
            "old": made["old"],
            "red": made["light"] == "red",
            "amber": made["light"] == "amber",
            "missing_open": lacks,
            "missing_amount": made["open_amount"].where(lacks, 0.0),
        }
    )
    table = signs.groupby([made["group"], made["indicator"]], sort=False).sum().reset_index()
    table = table.rename(columns={"group": "area", "indicator": "check"})
    table["check"] = table["check"].str.replace("_", " ")
    return table.sort_values("missing_amount", ascending=False, kind="stable", ignore_index=True)


# --- what to do -------------------------------------------------------------------------------


def advise_accounts(scored: pd.DataFrame, card: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """One row an account: score, ranks, lights, deals, and `advice`, the first of accounts.yaml
    that holds.

    `scored` carries `in_top`: an account is among the best where most random weights keep it there.
    """
    known = [c for c in values.columns if c not in card.columns or c == "customer_id"]
    table = scored.merge(card, on="customer_id").merge(values[known], on="customer_id")
    red = {area: table[area] == "red" for area in AREAS}
    better_half = (table["rank"] <= table["rank"].max() / 2).fillna(False)
    holds = [
        red["credit"] | red["risk"],
        red["compliance"] | red["verification"],
        (table["credit"] == "not checked") | table["rank"].isna(),
        (table["in_top"] >= 0.5) | (better_half & (table["open"] > 0)),
    ]
    *names, rest = (advice["what"] for advice in FACTS["advice"].values())
    return table.assign(advice=pd.Series(np.select(holds, names, rest), table.index, dtype="str"))


def advice_groups(advised: pd.DataFrame) -> pd.DataFrame:
    """One row an advice of accounts.yaml, by its key: when it holds, accounts, mean score, deals
    and money in them.
    """
    sums = advised.groupby("advice").agg(
        accounts=("customer_id", "size"),
        mean_score=("score", lambda s: s.mean().round()),
        won_amount=("won_amount", "sum"),
        open_deals=("open", "sum"),
        open_amount=("open_amount", "sum"),
    )
    rules = pd.DataFrame(FACTS["advice"]).T.rename(columns={"what": "advice"})
    counts = [c for c in sums if c != "mean_score"]
    return rules.join(sums, on="advice").fillna(dict.fromkeys(counts, 0)).astype({"accounts": int})


def account_changes(advised: pd.DataFrame, before: pd.DataFrame | None, top: int) -> pd.DataFrame:
    """One row: since when, and how many accounts entered the `top`, left it, got a new red light,
    or are new.

    Empty without an earlier run, and where its rules were others.
    """
    columns = ["as_of", "entered", "left", "new_red", "new"]
    if (
        before is None
        or before.empty
        or set(before["rule_version"]) != set(advised["rule_version"])
    ):
        return pd.DataFrame(columns=columns)
    both = advised.merge(
        before, on="customer_id", suffixes=("", "_before"), how="left", indicator=True
    )
    now, then = ((both[c] <= top).fillna(False) for c in ("rank", "rank_before"))
    redder = pd.concat(
        [
            (both[a] == "red") & both[f"{a}_before"].notna() & (both[f"{a}_before"] != "red")
            for a in AREAS
        ],
        axis=1,
    )
    counts = (
        (now & ~then).sum(),
        (then & ~now).sum(),
        redder.any(axis=1).sum(),
        (both["_merge"] == "left_only").sum(),
    )
    return pd.DataFrame([(before["as_of"].iloc[0], *counts)], columns=columns)


# --- parts ------------------------------------------------------------------------------------


def _judge(
    rows: pd.DataFrame, name: str, spec: AccountIndicator, values: pd.DataFrame
) -> pd.DataFrame:
    """Add group, number and light of one indicator."""
    if name in VALUES:
        number = rows["customer_id"].map(values.set_index("customer_id")[name])
    elif spec.values:
        number = (
            rows["value"]
            .str.casefold()
            .map({word.casefold(): v for word, v in spec.values.items()})
        )
    else:
        number = pd.to_numeric(rows["value"], errors="coerce")
    number = number.astype(float)
    sign = -1 if spec.better == "high" else 1
    bad = [
        sign * number >= sign * (np.nan if limit is None else limit)
        for limit in (spec.red, spec.amber)
    ]
    light = np.select([number.isna(), *bad], ["not checked", "red", "amber"], "good")
    is_check = name not in VALUES and (spec.red is not None or spec.amber is not None)
    return rows.assign(group=spec.group, number=number, light=light if is_check else "")


def _listed(rows: pd.DataFrame) -> pd.Series:
    """By account what was looked at, what it said, and when."""
    name = rows["indicator"].str.replace("_", " ")
    day = rows["checked_on"].map(words.day).astype("str").replace("not known", "day not known")
    told = name + ": " + rows["value"] + " (" + day + ")"
    unclear = (name + ": answer not understood").where(rows["value"].notna(), name)
    told = told.where(rows["number"].notna(), unclear)
    return told.groupby(rows["customer_id"]).agg("; ".join)


def _names(rows: pd.DataFrame) -> pd.Series:
    return rows["indicator"].str.replace("_", " ").groupby(rows["group"]).agg(", ".join)


def _concordance(score: np.ndarray, deals: np.ndarray) -> float:
    """Chance that a won deal's account scores above a lost deal's; ties count half (Mann and
    Whitney 1947).
    """
    levels, at = np.unique(score.round(9), return_inverse=True)
    won, lost = (np.bincount(at, deals[:, side], len(levels)) for side in (0, 1))
    pairs = won.sum() * lost.sum()
    return float(won @ (lost.cumsum() - lost / 2) / pairs) if pairs else np.nan

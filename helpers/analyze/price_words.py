"""What is said of prices, promotions, stock and rivals: sentences of the YAML files, filled from the data."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pandas as pd
import yaml

from helpers import show
from helpers.analyze.assortment import LISTS
from helpers.analyze.elasticity import MODEL, Fit, common_value
from helpers.analyze.prices import PRICES

SURE = 0.5  # weight of its own data from which a category is named
SAYS, LISTED = PRICES["says"], LISTS["says"]
MARKET = yaml.safe_load(resources.files("helpers.analyze").joinpath("competitors.yaml").read_text(encoding="utf-8"))[
    "says"
]


def coverage_in_words(seen: dict[str, float], categories: int) -> str:
    """How much of the shop the price study holds (`coverage`)."""
    if not seen["products"]:
        return SAYS["none"].format(weeks=MODEL["fewest_weeks"])
    shares = {k: show.percent(seen[k]) for k in ("sales", "zeros")}
    return SAYS["covered"].format(**(seen | shares), categories=categories)


def extremes_in_words(found: pd.DataFrame) -> dict[str, str]:
    """The most and the least sensitive category among those whose own data count, as a finding."""
    sure = found[found["own_weight"] >= SURE]
    named = sure if len(sure) > 1 else found
    most, least = named.iloc[0], named.iloc[-1]
    ends = {f"{n}_{k}": _one(r[k]) for n, r in (("most", most), ("least", least)) for k in ("low", "high")}
    values = {"most": most["group"], "least": least["group"], "most_value": _lost(most), "least_value": _lost(least)}
    common = {k: _one(v) for k, v in common_value(found["own"], found["error"]).items()}
    thin = SAYS["thin"].format(thin=int((found["own_weight"] < 0.8).sum()), groups=len(found))
    return {
        "headline": SAYS["extremes"].format(**values),
        "sure": SAYS["extremes_sure"].format(**ends),
        "evidence": f"{SAYS['common'].format(**common)} {thin}",
    }


def plain_in_words(found: pd.DataFrame, plain: dict[str, Fit]) -> str:
    """What the plain rule would have said."""
    both = [c for c in found["group"] if c in plain]
    if not both:
        return ""
    ours, theirs = found.set_index("group").loc[both, "own"].mean(), np.mean([plain[c]["price"] for c in both])
    return SAYS["plain"].format(plain=_one(theirs), ours=_one(ours))


def segments_in_words(found: pd.DataFrame) -> str:
    """Whether segments differ in how they mind the price."""
    if len(found) < 2:
        return SAYS["no_segments"]
    most, least = found.iloc[0], found.iloc[-1]
    said = SAYS["segments"].format(
        most=most["group"], least=least["group"], most_value=_lost(most), least_value=_lost(least)
    )
    return f"{said} {SAYS['unlike' if most['high'] < least['low'] else 'alike']}"


def steps_in_words(best: pd.DataFrame, ladder: pd.DataFrame, currency: str) -> list[dict]:
    """The price step worth most, as a finding; empty where none is sure."""
    if best.empty:
        return []
    row = best.iloc[0]
    words = {"change": show.percent(row["change"], signed=True), "category": row["category"]}
    return [
        {
            "headline": SAYS["step"].format(**words, gain=show.money(row["gain"], currency)),
            "action": SAYS["step_do"].format(**words),
            "sure": SAYS["step_sure"].format(
                low=show.money(row["gain_low"]), high=show.money(row["gain_high"], currency)
            ),
            "value": row["gain"],
            "low": row["gain_low"],
            "high": row["gain_high"],
        }
    ]


def ladder_in_words(ladder: pd.DataFrame, seen: pd.DataFrame, category: str) -> str:
    """Where the ladder of a category ends, and whether margins are known."""
    if ladder.empty:
        return SAYS["none"].format(weeks=MODEL["fewest_weeks"])
    row = seen.set_index("category").loc[category]
    ends = {k: show.percent(row[c], signed=True) for k, c in (("low", "lowest"), ("high", "highest"))}
    said = SAYS["range"].format(category=category, **ends)
    if ladder["margin"].isna().all():
        return f"{said} {SAYS['no_cost']}"
    return said if (ladder["gain_low"] > 0).any() else f"{said} {SAYS['no_step']}"


def lift_in_words(lifts: pd.DataFrame) -> list[dict]:
    """What promotions leave net over all categories, as a finding; empty without promotions."""
    if lifts.empty or lifts["extra"].sum() <= 0:
        return []
    sums = lifts[["extra", "pulled", "switched", "net"]].sum()
    # Categories are estimated one by one, so their errors add up by squares.
    halves = {k: np.sqrt((((lifts[f"{k}_high"] - lifts[f"{k}_low"]) / 2) ** 2).sum()) for k in ("net", "switched")}
    net, half = 100 * sums["net"] / sums["extra"], 100 * halves["net"] / sums["extra"]
    amounts = {k: show.count(abs(sums[k])) for k in ("extra", "pulled", "switched")}
    for k, way in (("after", "pulled"), ("beside", "switched")):
        amounts[k] = SAYS["missing" if sums[way] >= 0 else "more"]
    amounts["doubt"] = SAYS["chance"] if abs(sums["switched"]) < halves["switched"] else ""
    return [
        {
            "headline": SAYS["lift"].format(hundred=100, net=show.count(net)),
            "evidence": SAYS["lift_evidence"].format(**amounts),
            "sure": SAYS["lift_sure"].format(low=show.count(net - half), high=show.count(net + half)),
        }
    ]


def promotion_profit_in_words(lifts: pd.DataFrame, currency: str) -> list[dict]:
    """The promotions that surely cost or surely earn most margin, as a finding; empty where none is sure."""
    sure = lifts[(lifts["profit_high"] < 0) | (lifts["profit_low"] > 0)] if len(lifts) else lifts
    if sure.empty:
        return []
    row = sure.loc[sure["profit"].abs().idxmax()]
    kind, size = ("loss", -row["profit"]) if row["profit"] < 0 else ("gain", row["profit"])
    said = {"headline": SAYS[kind].format(category=row["category"], profit=show.money(size, currency))}
    said |= {"action": SAYS[f"{kind}_do"].format(category=row["category"])}
    ends = sorted(abs(row[k]) for k in ("profit_low", "profit_high"))
    return [said | ({"value": size, "low": ends[0], "high": ends[1]} if kind == "loss" else {})]


def range_in_words(products: pd.DataFrame) -> str:
    """How few products make most of the sales."""
    best = products[products["rank"] <= max(len(products) * LISTS["best"], 1)]
    still = int((products["units_recent"] <= 0).sum())
    share = show.percent(best["revenue"].sum() / max(products["revenue"].sum(), 1e-9))
    return LISTED["best"].format(
        n=len(best), all=show.count(len(products)), share=share, still=show.count(still), weeks=LISTS["recent_weeks"]
    )


def stock_in_words(products: pd.DataFrame, currency: str) -> list[dict]:
    """Findings on what to reorder and what to sell off; empty where stock is not known."""
    found = []
    short = products[products["list"] == "reorder"]
    if len(short):
        evidence = LISTED["reorder_evidence"].format(revenue=show.money(short["revenue"].sum(), currency))
        said = {"n": len(short), "weeks": LISTS["short"], "names": show.listing(short["name"], 3)}
        found.append({"id": "reorder", "evidence": evidence} | _headline("reorder", said))
    heap = products[products["list"] == "sell off"].sort_values("cover", ascending=False)
    if len(heap):
        bound = (heap["on_hand"] * heap["unit_cost"]).sum(min_count=1)
        evidence = LISTED["no_cost_bound"].format(units=show.count(heap["on_hand"].sum()))
        if np.isfinite(bound):
            evidence = LISTED["heap_evidence"].format(bound=show.money(bound, currency))
        said = {"n": len(heap), "weeks": LISTS["heap"], "names": show.listing(heap["name"], 3)}
        found.append({"id": "sell-off", "evidence": evidence} | _headline("heap", said))
    return found


def searches_in_words(terms: pd.DataFrame) -> list[dict]:
    """The terms that name nothing in the range, as a finding; empty where there is none."""
    vain = terms[terms["verdict"] == LISTS["verdicts"]["missing"]] if len(terms) else terms
    if vain.empty:
        return []
    first = vain.iloc[0]
    share = show.percent(vain["searches"].sum() / terms["searches"].sum())
    said = {"n": len(vain), "terms": len(terms), "share": share, "names": show.listing(vain["term"], 3)}
    evidence = LISTED["vain_evidence"].format(first=first["term"], count=show.count(first["searches"]))
    return [{"evidence": evidence} | _headline("vain", said)]


def rivals_in_words(brands: pd.DataFrame) -> list[dict]:
    """Where our brand stands, as a finding; empty where it is not in the market table."""
    if brands.empty or not brands["is_ours"].any():
        return []
    us, them = brands[brands["is_ours"]].iloc[0], brands[~brands["is_ours"]]
    place = MARKET["place"].format(
        rank=int((brands["share"] > us["share"]).sum()) + 1,
        brands=len(brands),
        share=show.percent(us["share"], 1),
        change=f"{100 * us['share_change']:+.1f}",
        price=show.percent(us["price_index"] / 100),
    )
    evidence = MARKET["evidence"].format(
        cheaper=int((them["price_index"] < us["price_index"]).sum()),
        rivals=len(them),
        better=int((them["rating"] > us["rating"]).sum()),
        voice=show.percent(us["voice"], 1),
    )
    return [
        {
            "headline": place,
            "evidence": evidence,
            "action": MARKET["loud_do" if us["voice_to_share"] > 1 else "quiet_do"],
        }
    ]


def _headline(name: str, said: dict) -> dict[str, str]:
    return {"headline": LISTED[name].format(**said), "action": LISTED[f"{name}_do"].format(**said)}


def _lost(row: pd.Series) -> str:
    return show.percent(-row["elasticity"] / 100, 1)


def _one(value: float) -> str:
    return f"{value:.2f}"

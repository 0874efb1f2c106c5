"""What is said of prices, promotions, stock and rivals: sentences of the YAML files, filled from
the data.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import resources

import numpy as np
import pandas as pd
import yaml

from helpers import show, stats
from helpers.analyze.pricing.assortment import LISTS, stock_list
from helpers.analyze.pricing.competitors import LAST
from helpers.analyze.pricing.elasticity import MODEL, Fit, common_value
from helpers.analyze.pricing.prices import PRICES

SURE = MODEL["sure_weight"]
SAYS, LISTED = PRICES["says"], LISTS["says"]
RIVALS = yaml.safe_load(
    resources.files(__package__).joinpath("competitors.yaml").read_text(encoding="utf-8")
)
MARKET = RIVALS["says"]


def coverage_in_words(seen: dict[str, float], categories: int) -> str:
    """How much of the shop the price study holds (`coverage`)."""
    if not seen["products"]:
        return SAYS["none"].format(weeks=MODEL["fewest_weeks"])
    shares = {k: show.percent(seen[k]) for k in ("sales", "zeros")}
    return SAYS["covered"].format(**(seen | shares), categories=categories)


def extremes_in_words(
    found: pd.DataFrame, sales: float = np.nan, without: Collection[str] = ()
) -> dict[str, str]:
    """The most and the least sensitive category among those whose own data count, as a finding; or
    the only one.

    `sales` is the share of all sales that the products studied make; `without` are the categories
    without a model.
    """
    told = [SAYS["modelled"].format(sales=show.percent(sales))] if np.isfinite(sales) else []
    if without:
        few = {"weeks": MODEL["fewest_weeks"], "products": MODEL["fewest_clusters"]}
        told += [SAYS["without"].format(names=show.listing(sorted(without)), **few)]
    if len(found) == 1 or (found["high"] >= 0).all():
        row = found.iloc[0]
        said = {
            "group": row["group"],
            "value": _lost(row),
            "low": _one(row["low"]),
            "high": _one(row["high"]),
        }
        words = {
            k: v.format(**said) for k, v in SAYS["alone" if row["high"] < 0 else "untold"].items()
        }
        beside = [SAYS["beside"]] if row["high"] < 0 else []
        return words | {"evidence": " ".join([words["evidence"], *beside, *told])}
    sure = found[found["own_weight"] >= SURE]
    named = sure if len(sure) > 1 else found
    most, least = named.iloc[0], named.iloc[-1]
    ends = {
        f"{n}_{k}": _one(r[k])
        for n, r in (("most", most), ("least", least))
        for k in ("low", "high")
    }
    values = {
        "most": most["group"],
        "least": least["group"],
        "most_value": _lost(most),
        "least_value": _lost(least),
    }
    common = {k: _one(v) for k, v in common_value(found["own"], found["error"]).items()}
    leaning = int((found["own_weight"] < 0.8).sum())
    thin = SAYS["thin"].format(thin=leaning, groups=len(found)) if leaning else ""
    few = found.loc[found["own_weight"] < SURE, "group"]
    left_out = SAYS["left_out"].format(names=show.listing(few)) if len(few) else ""
    return {
        "headline": SAYS["extremes"]["headline"].format(**values),
        "action": SAYS["extremes"]["action"],
        "sure": SAYS["extremes_sure"].format(**ends),
        "evidence": " ".join(
            filter(None, [SAYS["beside"], SAYS["common"].format(**common), thin, left_out, *told])
        ),
    }


def plain_in_words(found: pd.DataFrame, plain: dict[str, Fit]) -> str:
    """What the plain rule would have said of the categories whose own data count."""
    both = [c for c in found.loc[found["own_weight"] >= SURE, "group"] if c in plain]
    if not both:
        return ""
    ours = found.set_index("group").loc[both, "own"].mean()
    theirs = np.mean([plain[c]["price"] for c in both])
    return SAYS["plain"].format(plain=_one(theirs), ours=_one(ours), n=len(both))


def segments_in_words(found: pd.DataFrame) -> str:
    """Whether segments differ in how they mind the price."""
    if len(found) < 2:
        return SAYS["no_segments"]
    most, least = found.iloc[0], found.iloc[-1]
    moved = {r["group"]: show.percent(r["elasticity"] / 100, 1, signed=True) for r in (most, least)}
    (more, much), (less, little) = moved.items()
    said = SAYS["segments"].format(most=more, least=less, most_value=much, least_value=little)
    return f"{said} {SAYS['unlike' if most['high'] < least['low'] else 'alike']}"


def steps_in_words(best: pd.DataFrame, ladder: pd.DataFrame, currency: str) -> list[dict]:
    """The price step worth most, as a finding; empty where none is sure."""
    if best.empty:
        return []
    row = best.iloc[0]
    words = {"change": show.percent(row["change"], signed=True), "category": row["category"]}
    way = "step_up" if row["change"] > 0 else "step_down"
    return [
        {
            "headline": SAYS[way].format(**words, gain=show.money(row["gain"], currency)),
            "action": SAYS["step_do"].format(**words),
            "sure": SAYS["step_sure"].format(
                low=show.money(row["gain_low"]),
                high=show.money(row["gain_high"], currency),
                n=int((ladder["change"] != 0).sum()),
            ),
            "value": row["gain"],
            "low": row["gain_low"],
            "high": row["gain_high"],
        }
    ]


def ladder_in_words(ladder: pd.DataFrame, seen: pd.DataFrame, category: str) -> str:
    """What of a category its ladder holds, where it ends (`prices_seen`), and whether margins are
    known.
    """
    if ladder.empty:
        return SAYS["none"].format(weeks=MODEL["fewest_weeks"])
    row = seen.set_index("category").loc[category]
    ends = {
        k: show.percent(row[c], signed=True) for k, c in (("low", "lowest"), ("high", "highest"))
    }
    held = SAYS["held"].format(
        category=category, products=int(row["products"]), share=show.percent(row["share"])
    )
    said = f"{held} {SAYS['range'].format(category=category, **ends)}"
    if ladder["margin"].isna().all():
        return f"{said} {SAYS['no_cost'].format(costed=show.percent(PRICES['ladder']['costed']))}"
    return said if (ladder["gain_low"] > 0).any() else f"{said} {SAYS['no_step']}"


def lift_in_words(lifts: pd.DataFrame, sales: float = np.nan) -> list[dict]:
    """What promotions leave net over all categories, as a finding; empty without promotions.

    `sales` is the share of all sales that the products studied make.
    """
    if lifts.empty or lifts["extra"].sum() <= 0:
        return []
    sums = lifts[["extra", "pulled", "counted", "net"]].sum()
    net, half = 100 * sums["net"] / sums["extra"], 100 * _net_doubt(lifts)
    top, sure = lifts.loc[lifts["extra"].idxmax()], lifts[lifts["counted"] != 0]
    part = show.percent(sales) if np.isfinite(sales) else ""
    scope = SAYS["lift_scope"].format(sales=part) if sales < PRICES["panel"]["whole"] else ""
    ways = {k: SAYS["missing" if sums[k] >= 0 else "more"] for k in ("pulled", "counted")}
    switched = SAYS["switched"].format(
        units=show.count(abs(sums["counted"])), beside=ways["counted"]
    )
    evidence = SAYS["lift_evidence"].format(
        extra=show.count(sums["extra"]),
        pulled=show.count(abs(sums["pulled"])),
        after=ways["pulled"],
        switched=switched if len(sure) else "",
        sales=SAYS["scope"].format(sales=part) if part and not scope else "",
        top=top["category"],
        share=show.percent(top["extra"] / sums["extra"]),
    )
    earned = lifts.dropna(subset=["profit"])
    unsure = len(earned) and not ((earned["profit_high"] < 0) | (earned["profit_low"] > 0)).any()
    ends = {"low": show.count(net - half), "high": show.count(net + half)}
    return [
        {
            "headline": SAYS["lift"].format(hundred=100, net=show.count(net), scope=scope, **ends),
            "evidence": f"{evidence} {SAYS['unsure']}" if unsure else evidence,
            "sure": SAYS["lift_sure" if len(sure) else "lift_sure_none"].format(
                names=show.listing(sure["category"], 3)
            ),
        }
    ]


def _net_doubt(lifts: pd.DataFrame) -> float:
    """Half the interval of the net share of all categories.

    The shares pulled forward of all categories are off together, so theirs is that of their common
    value; of what is switched, errors add up by squares. Below four categories, so do those of net.
    """
    if len(lifts) < 4:
        return (
            np.sqrt((((lifts["net_high"] - lifts["net_low"]) / 2) ** 2).sum())
            / lifts["extra"].sum()
        )
    known = lifts[lifts["own_pull_error"] > 0]
    pulled = common_value(known["own_pull_share"], known["own_pull_error"])
    counted = ((lifts["switched_high"] - lifts["switched_low"]) / 2)[lifts["counted"] != 0]
    return float(
        np.hypot(
            (pulled["high"] - pulled["low"]) / 2, np.sqrt((counted**2).sum()) / lifts["extra"].sum()
        )
    )


def promotion_profit_in_words(lifts: pd.DataFrame, currency: str) -> list[dict]:
    """The promotions that surely cost most margin, and those that surely earn most, as findings;
    none where unsure.

    Both are picked among all categories, and their intervals know it (`stats.chosen_interval`).
    """
    known, found = int(lifts["profit"].notna().sum()), []
    low, high = stats.chosen_interval(
        lifts["profit"], lifts["profit_low"], lifts["profit_high"], known
    )
    chosen = pd.DataFrame({"low": low, "high": high}).astype(float)
    for kind, sign in (("loss", -1), ("gain", 1)):
        ends = np.sort(sign * chosen.to_numpy(), axis=1)
        sure = pd.DataFrame(ends, lifts.index, ["low", "high"]).query("low > 0")
        if sure.empty:
            continue
        at = sure["low"].idxmax()  # most, even at the near end
        size, low, high = sign * lifts.loc[at, "profit"], *sure.loc[at]
        said = {
            "category": lifts.loc[at, "category"],
            "profit": show.money(size, currency),
            "n": known,
        }
        said |= {"low": show.money(low), "high": show.money(high, currency)}
        row = {"headline": SAYS[kind].format(**said), "action": SAYS[f"{kind}_do"].format(**said)}
        row |= {"id": f"promotion-{kind}", "sure": SAYS["profit_sure"].format(**said)}
        found.append(row | ({"value": size, "low": low, "high": high} if kind == "loss" else {}))
    return found


def range_in_words(products: pd.DataFrame) -> str:
    """How few products make most of the sales."""
    best = products[products["rank"] <= max(len(products) * LISTS["best"], 1)]
    still = int((products["units_recent"] <= 0).sum())
    if products["revenue"].sum() <= 0:
        return LISTED["nothing"]
    share = show.percent(best["revenue"].sum() / products["revenue"].sum())
    return LISTED["best"].format(
        n=show.count(len(best)),
        all=show.count(len(products)),
        share=share,
        still=show.count(still),
        weeks=LISTS["recent_weeks"],
    )


def stock_in_words(products: pd.DataFrame, currency: str, counted_on: object = None) -> list[dict]:
    """Findings on what to reorder and what to sell off; empty where stock is not known."""
    found = []
    day = LISTED["counted"].format(day=show.day(counted_on)) if pd.notna(counted_on) else ""
    short = stock_list(products, "reorder")
    if len(short):
        evidence = LISTED["reorder_evidence"].format(
            revenue=show.money(short["revenue"].sum(), currency), day=day
        )
        said = {"n": len(short), "weeks": LISTS["short"], "names": show.listing(short["name"], 3)}
        said["sure"] = int((short["cover_high"] < LISTS["short"]).sum())
        found.append({"id": "reorder", "evidence": evidence} | _headline("reorder", said))
    heap = stock_list(products, "sell off")
    if len(heap):
        said = {"n": len(heap), "weeks": LISTS["heap"], "names": show.listing(heap["name"], 3)}
        over = (heap["on_hand"] - heap["ahead"] * LISTS["heap"]).clip(lower=0)
        bound = (over * heap["unit_cost"]).sum(min_count=1)
        evidence = LISTED["no_cost_bound"].format(
            units=show.count(over.sum()), weeks=LISTS["heap"], day=day
        )
        if np.isfinite(bound):
            evidence = LISTED["heap_evidence"].format(
                bound=show.money(bound, currency), weeks=LISTS["heap"], day=day
            )
        found.append({"id": "sell-off", "evidence": evidence} | _headline("heap", said))
    return found


def stock_reading(products: pd.DataFrame) -> str:
    """How to read the lists of what to reorder and to sell off, and GMROI where a cost is known."""
    earned = f" {LISTED['gmroi']}" if products["gmroi"].notna().any() else ""
    rows = pd.concat(
        [stock_list(products, name) for name in ("reorder", "sell off")], ignore_index=True
    )
    if rows.empty:
        return f"{LISTED['no_list']}{earned}"
    said = {"recent": LISTS["recent_weeks"], "ahead": LISTS["ahead_weeks"], "long": LISTS["heap"]}
    if np.allclose(rows["lately"].clip(lower=0), rows["ahead"]):
        return f"{LISTED['read_plain'].format(**said)}{earned}"
    most = rows.loc[(rows["ahead"] - rows["lately"]).abs().idxmax()]
    named = {
        "name": most["name"],
        "lately": show.count(most["lately"]),
        "next": show.count(most["ahead"]),
    }
    return f"{LISTED['read'].format(**said, **named)}{earned}"


def seldom_in_words(terms: pd.DataFrame) -> str:
    """Which terms that name a product are surely bought less often than the other terms."""
    weak = terms.loc[terms["verdict"] == LISTS["verdicts"]["weak"], "term"]
    n = int((terms["products"] > 0).sum())
    return LISTED["seldom" if len(weak) else "none_seldom"].format(names=show.listing(weak), n=n)


def searches_in_words(terms: pd.DataFrame) -> list[dict]:
    """The terms that name nothing in the range, as a finding; empty where there is none."""
    vain = terms[terms["verdict"] == LISTS["verdicts"]["missing"]] if len(terms) else terms
    if vain.empty:
        return []
    first = vain.iloc[0]
    share = show.percent(vain["searches"].sum() / terms["searches"].sum())
    said = {
        "n": len(vain),
        "terms": len(terms),
        "share": share,
        "names": show.listing(vain["term"], 3),
    }
    evidence = LISTED["vain_evidence"].format(
        first=first["term"], count=show.count(first["searches"])
    )
    return [{"evidence": evidence} | _headline("vain", said)]


def rivals_in_words(brands: pd.DataFrame) -> list[dict]:
    """Where our brand stands, as a finding; empty without a market table."""
    if brands.empty:
        return []
    if not brands["is_ours"].any():
        return [{"headline": MARKET["alone"]}]
    us, them = brands[brands["is_ours"]].iloc[0], brands[~brands["is_ours"]]
    change = MARKET["change"].format(change=f"{100 * us['share_change']:+.1f}", periods=LAST)
    place = MARKET["place"].format(
        rank=int((brands["share"] > us["share"]).sum()) + 1,
        brands=len(brands),
        share=show.percent(us["share"], 1),
        periods=LAST,
        change=change if np.isfinite(us["share_change"]) else "",
        price=show.count(us["price_index"]),
    )
    heard = np.isfinite(us["voice_to_share"])
    evidence = MARKET["evidence"].format(
        cheaper=int((them["price_index"] < us["price_index"]).sum()),
        rivals=len(them),
        better=int((them["rating"] > us["rating"]).sum()),
        voice=MARKET["voice"].format(voice=show.percent(us["voice"], 1)) if heard else "",
    )
    quiet, loud = RIVALS["close"]
    action = (
        "quiet_do"
        if us["voice_to_share"] < quiet
        else "loud_do"
        if us["voice_to_share"] > loud
        else ""
    )
    return [
        {"headline": place, "evidence": evidence} | ({"action": MARKET[action]} if action else {})
    ]


def _headline(name: str, said: dict) -> dict[str, str]:
    return {"headline": LISTED[name].format(**said), "action": LISTED[f"{name}_do"].format(**said)}


def _lost(row: pd.Series) -> str:
    return show.percent(-row["elasticity"] / 100, 1)


def _one(value: float) -> str:
    return f"{value:.2f}"

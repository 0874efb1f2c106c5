"""The truth tables: what a method must not read, and what its results are scored against."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from simulator.behave import respond
from simulator.constants import DATES, DAYS, HORIZON, fill, show, table, text

README = """# Truth

The secrets of the simulation: who is who, what is wrong in the raw files, what caused what.
Methods and notebooks may not read this folder; only tests that score them may.
`docs/twin.md` of the playbook says what each file holds.
"""


def tables(w: SimpleNamespace, written: list[SimpleNamespace]) -> dict[str, pd.DataFrame | str]:
    """Every file of truth/ by name."""
    # the last, for -1, is nobody
    w.tag = np.array([*(f"P{i + 1:06d}" for i in range(w.n)), ""], dtype=object)
    d = pd.DataFrame(
        [(s.file, *x) for s in written for x in s.defects],
        columns=["file", "line", "column", "kind", "expect"],
    )
    seen = [table(file=s.file, line=s.people[0], person=w.tag[s.people[1]]) for s in written]
    orders = _orders(w, written, d)
    out = {
        "defects": d,
        "records": pd.concat(seen, ignore_index=True),
        "orders": orders,
        "people": _people(w),
    }
    out |= _prices(w) | _demand(w) | _mail(w) | _tests(w) | _answers(w)
    kinds = [*w.c["variation"]["records"], "moved", "changed_name"]
    varied = [(source, k, int(v[k].sum()), len(v)) for source, v in w.seen.items() for k in kinds]
    out["variation"] = pd.DataFrame(varied, columns=["source", "variation", "records", "of"])
    totals = table(file=[s.file for s in written], rows=[s.rows for s in written]).set_index("file")
    totals["defects"] = d.groupby("file").size()
    sums = orders.assign(lines=1)[["file", "lines"]].join(
        w.true[["revenue"]].where(~w.true.cancelled)
    )
    totals = (
        totals.join(sums.groupby("file")[["lines", "revenue"]].sum())
        .fillna({"defects": 0})
        .astype({"defects": int})
    )
    out["totals"] = totals.round(2).reset_index()
    return {
        "README.md": README,
        "world.yaml": text("world.yaml"),
        "dirt.yaml": text("dirt.yaml"),
    } | {f"{k}.csv": v for k, v in out.items()}


def _orders(
    w: SimpleNamespace, written: list[SimpleNamespace], defects: pd.DataFrame
) -> pd.DataFrame:
    """True order lines with the file and line where each stands (the copy that counts)."""
    d = w.true
    at = pd.concat([table(file=s.file, line=s.orders[0], row=s.orders[1]) for s in written])
    copies = pd.MultiIndex.from_frame(defects.loc[defects.expect == "duplicate", ["file", "line"]])
    at = (
        at[~pd.MultiIndex.from_frame(at[["file", "line"]]).isin(copies)]
        .drop_duplicates("row")
        .set_index("row")
        .reindex(d.index)
    )
    causes = np.array(
        [
            *w.c["ads"],
            *[""] * (100 - len(w.c["ads"])),
            *w.mails.campaign_id,
            *[""] * (100 - len(w.mails)),
            *w.c["experiments"],
            "",
        ],
        dtype=object,
    )
    c = table(
        person=w.tag[d.person],
        channel=np.where(d.kind == 0, "web", "store"),
        cause=causes[w.orders.cause[d["order"]]],
    )
    c["status"] = np.where(d.cancelled, "cancelled", "done")
    # in stores, returns are lines of their own
    c["refunded"] = d.revenue.where(d.back & (d.kind == 0), 0).to_numpy()
    return pd.DataFrame(fill("true_orders", d=d, g=w.products.iloc[d["product"]], c=c, at=at))


def _people(w: SimpleNamespace) -> pd.DataFrame:
    """One row a person: all that drives behaviour, and what came of it within the window and in the
    year after.
    """
    p, o, g = w.people, w.orders[w.orders.real & ~w.orders.cancelled], w.products
    popular = g.popularity / g.groupby("category").popularity.transform("sum")
    worth = (
        (popular * g.price * (1 + g.more) / (1 + w.c["vat"]["DE"]))
        .to_numpy()
        .reshape(-1, 20)
        .sum(axis=1)
    )  # of a line
    share = w.c["people"]["favourite"]
    weights = np.array([w.c["people"]["tastes"][t]["weights"] for t in p.taste]) / 100
    # some baskets stay empty
    filled, (web, store) = 1 - np.exp(-p.lines), w.demand[:, :DAYS].mean(axis=1)
    c = table(
        person=w.tag[:-1],
        won=w.won,
        rate=365 * p.rate * filled * (p.share_web * web + (1 - p.share_web) * store),
    )
    c["spend"] = p.lines / filled * ((1 - share) * weights @ worth + share * worth[p.favourite])
    c["favourite"] = np.array(list(w.c["categories"]), dtype=object)[p.favourite]
    c["partner"], c["homonym"] = w.tag[p.partner], w.tag[p.homonym_of]
    for name, x in (("window", o[o.t < DAYS]), ("after", o[o.t >= DAYS])):
        for column, values in (("orders", None), ("value", x.value), ("margin", x.margin)):
            c[f"{column}_{name}"] = np.bincount(x.person, values, w.n)
    return pd.DataFrame(fill("true_people", p=p, c=c))


def _prices(w: SimpleNamespace) -> dict[str, pd.DataFrame]:
    """Products, what sells together, prices by week, elasticities and what promotions do, by
    category.
    """
    g, n, last = w.products, len(w.products), DAYS // 7 + 1
    week, product = (x.ravel() for x in np.indices((last, n)))
    prices = table(
        product_id=g.product_id.to_numpy()[product],
        week=week,
        list_price=w.list[week, product],
        price=w.shelf[week, product],
    )
    prices["mailer"] = w.mailer[week, product].astype(int)
    for k, place in enumerate(w.c["places"]):
        prices[f"display_{place}"] = w.display[k, week, product].astype(int)
    names = ["elasticity", "display", "mailer", "pull_forward"]
    e = pd.DataFrame(w.c["categories"]).T[names].astype(float).rename_axis("category").reset_index()
    for name, x in (
        ("extra", w.promo - 1),
        ("missing", 1 - np.maximum(w.pull, 0.1)),
    ):  # in units of a week's base sales
        e[f"promo_{name}"] = (
            (x[:, : last - 1].mean(axis=(0, 2)) * g.popularity.to_numpy())
            .sum(axis=0)
            .reshape(-1, 20)
            .sum(axis=1)
        )
    e["promo_net_share"] = 1 - e.promo_missing / e.promo_extra
    groups = (
        pd.DataFrame(w.c["people"]["sensitivity"])
        .T[["factor", "share"]]
        .rename_axis("group")
        .reset_index()
    )
    pairs = pd.DataFrame(w.c["pairs"], columns=["first", "second", "chance"])
    return {
        "products": g.drop(columns=[*names, "more"]),
        "pairs": pairs,
        "prices": prices,
        "elasticity": e,
        "sensitivity": groups,
    }


def _demand(w: SimpleNamespace) -> dict[str, pd.DataFrame]:
    """Season, and what each paid channel added: by day, and in all with the return of the last
    euro.
    """
    season = [("month", k + 1, v) for k, v in enumerate(w.c["months"])]
    season += [
        (f"weekday {kind}", k + 1, v)
        for kind, x in w.c["weekdays"].items()
        for k, v in enumerate(x)
    ]
    o = w.orders[w.orders.real & (w.orders.t < DAYS) & (w.orders.cause < 100)]
    base = np.bincount(o.day, o.value, HORIZON)[:DAYS] / (1 + w.response[:, :DAYS].sum(axis=0))
    rows = []
    for (name, a), response in zip(w.c["ads"].items(), w.response[:, :DAYS], strict=True):
        spend = w.ads.spend[w.ads.channel == name].to_numpy()
        more = respond(spend * 1.01, a, w.n)["response"][:DAYS] - response
        added, spent = (base * response).sum(), spend[:DAYS].sum()
        rows.append((name, spent, added, added / spent, (base * more).sum() / (0.01 * spent)))
    channels = pd.DataFrame(
        rows, columns=["channel", "spend", "incremental_revenue", "return", "marginal_return"]
    )
    curves = pd.DataFrame(w.c["ads"]).T[
        ["platform", "carry_over", "half", "slope", "ceiling", "claim"]
    ]
    days = w.channels.assign(spent_on=show(DATES[w.channels.day], 10)).drop(columns="day")
    return {
        "seasonality": pd.DataFrame(season, columns=["kind", "value", "factor"]),
        "channel_days": days,
        "channels": channels.join(curves, on="channel"),
    }


def _mail(w: SimpleNamespace) -> dict[str, pd.DataFrame]:
    """What each campaign does by price group: chance of an extra order, effect in its list, what it
    made.
    """
    m, o = w.messages, w.orders[(w.orders.cause >= 100) & (w.orders.cause < 200)]
    d = m.assign(group=w.people.sensitivity.to_numpy()[m.person], sent=~m.holdout)
    d["effect_orders"] = np.bincount(o.source, minlength=len(m)) * 1.0
    d["caused_revenue"] = np.bincount(o.source, np.where(o.real & ~o.cancelled, o.value, 0), len(m))
    s = d.groupby(["mail", "group"], as_index=False).agg(
        contacts=("person", "size"),
        sent=("sent", "sum"),
        effect_orders=("effect_orders", "mean"),
        caused_revenue=("caused_revenue", "sum"),
    )
    s = (
        w.mails[["campaign_id", "kind"]]
        .join(s.set_index("mail"), how="right")
        .reset_index(drop=True)
    )
    s["chance"] = [w.c["mail"]["uplift"][k][g] for k, g in zip(s.kind, s.group, strict=True)]
    factors = pd.DataFrame(w.c["mail"]["style"]).T.add_suffix("_factor")
    return {
        "styles": w.mails[["campaign_id", "kind", "style"]].join(factors, on="style"),
        "messages": s,
    }


def _tests(w: SimpleNamespace) -> dict[str, pd.DataFrame]:
    """Effect of each variant in the very units of its test (both outcomes are known), by price
    group; levers.
    """
    rows, d = [], w.outcomes.assign(group=w.people.sensitivity.to_numpy()[w.outcomes.person])
    for (name, outcome), x in d.groupby(["experiment_id", "outcome"]):
        spec = w.c["experiments"][name]
        for v in spec["variants"][1:]:
            for group, y in [("all", x), *x.groupby("group")]:
                effect = (y.y1 - y.y0) * spec.get("factors", {}).get(v, 1.0)
                rows.append(
                    (name, v, group, outcome, len(y), y.y0.mean(), effect.mean(), effect.std())
                )
    effects = pd.DataFrame(
        rows,
        columns=[
            "experiment_id",
            "variant",
            "group",
            "outcome",
            "units",
            "without",
            "effect",
            "effect_sd",
        ],
    )
    levers = []
    for e, ends in w.both.items():
        name, d = list(w.c["experiments"])[e], w.tests[w.tests.test == e]
        inside = d[d.arm >= 0]
        stays = [(end[inside.person] > inside.t + 180).mean() for end in ends]
        levers.append(
            (
                name,
                w.c["experiments"][name]["hazard"],
                *stays,
                stays[1] - stays[0],
                (d.arm < 0).sum(),
            )
        )
    bad = w.cases.person[w.cases.bad].nunique()
    levers.append(("bad service", w.c["service"]["hazard"], np.nan, np.nan, np.nan, bad))
    names = [
        "act",
        "hazard_factor",
        "stays_180d_without",
        "stays_180d_with",
        "effect",
        "people_unasked",
    ]
    return {"effects": effects, "levers": pd.DataFrame(levers, columns=names)}


def _answers(w: SimpleNamespace) -> dict[str, pd.DataFrame]:
    """Part-worths, loadings, factor scores, topics, stock, interviews, and the hidden quality of
    business accounts.
    """
    c = w.c["conjoint"]
    worth = [(a, level, v) for a, levels in c["attributes"].items() for level, v in levels.items()]
    topics = pd.concat(w.topics, ignore_index=True)
    return {
        "partworths": pd.DataFrame(
            [*worth, ("price", "per euro", c["price"])],
            columns=["attribute", "level", "part_worth"],
        ),
        "loadings": pd.DataFrame(w.words["battery"], columns=["factor", "loading", "statement"]),
        "factor_scores": w.factors.assign(person=w.tag[w.factors.person]),
        "topics": topics.assign(person=w.tag[topics.person]),
        "stock": w.stock,
        "interviews": w.passages.assign(person=w.tag[w.passages.person]),
        "agreement": w.agreement,
        "accounts": w.accounts.rename(columns={"id": "customer_id"}),
    }

"""The shop's stock as it lies on the last day, and its calendar of special days."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from simulator.constants import DAYS, START, fill, show, stream, table
from simulator.sheets import Sheet


def inventory(w: SimpleNamespace) -> Sheet:
    """Shopify's inventory export on the last day: some slow sellers lie in heaps, some best sellers
    run out.
    """
    rng, s, g, places = stream(w.seed, "stock"), w.c["stock"], w.products, w.c["places"]
    t, shape = w.true[~w.true.is_return & ~w.true.cancelled], (len(places), len(g))

    def units(lines: pd.DataFrame) -> np.ndarray:
        at = pd.Categorical(lines.place, places).codes.astype(int) * len(g) + lines["product"]
        return np.bincount(at, lines.quantity, shape[0] * shape[1]).reshape(shape)

    weekly = units(t[t.t >= DAYS - 7 * s["weeks"]]) / s["weeks"]
    rank, luck = weekly.sum(axis=0).argsort(kind="stable").argsort() / len(g), rng.random(len(g))
    heaps = (rank < s["slow"]) & (luck < s["overstocked"])
    short = (rank >= 1 - s["best"]) & (luck < s["short"])
    cover = rng.lognormal(np.log(s["cover"]["usual"]), s["cover"]["spread"], shape)
    for name, rows in (("overstocked", heaps), ("short", short)):
        cover = np.where(rows, rng.uniform(*s["cover"][name], shape), cover)
    on_hand = np.round(cover * np.maximum(weekly, 0.5 / s["weeks"])).astype(int)
    order = short & (rng.random(len(g)) < s["reordered"])
    incoming = np.where(order, np.ceil(weekly * s["cover"]["usual"] / 2), 0).astype(int)
    waiting = units(t[(t.kind == 0) & (t.t > DAYS - 1.1)]).astype(int)  # ordered, not sent yet
    product, place = (x.ravel() for x in np.indices(shape[::-1]))
    d = table(
        product_id=g.product_id.to_numpy()[product], place=np.array(places, dtype=object)[place]
    )
    d["store"] = d.place.map(lambda p: w.c["store_names"].get(p, p))
    d["plan"] = np.array(["usual", "overstocked", "short"], dtype=object)[
        (heaps + 2 * short)[product]
    ]
    for name, values in (("weekly_units", weekly), ("planned_weeks", cover), ("on_hand", on_hand)):
        d[name] = values[place, product]
    d["incoming"], d["committed"] = incoming[place, product], waiting[place, product]
    w.stock = d.drop(columns=["committed", "incoming"])
    goods = g.iloc[product].reset_index(drop=True)
    c = table(
        handle=goods.name.str.lower().str.replace(" ", "-"), available=d.on_hand - d.committed
    )
    last = show(pd.DatetimeIndex([START + pd.Timedelta(days=DAYS - 1)]), 10)[0]
    return Sheet(f"inventory_export_{last}.csv", fill("inventory", d=d, c=c, g=goods)).plant(
        "inventory_export", rng
    )


def calendar(w: SimpleNamespace) -> Sheet:
    """Special days of the shop: those of words.yaml, some of them ahead, and the days of mailings
    with an offer.
    """
    d = pd.DataFrame(w.words["calendar"], columns=["held_on", "name", "kind", "region"]).astype(
        {"held_on": "str"}
    )
    offers = w.mails[w.mails.kind == "offer"]
    day = show(pd.DatetimeIndex(START + pd.to_timedelta(np.floor(offers.t), unit="D")), 10)
    theme = offers.name.str[8:].str.removesuffix(" (offer)")
    sales = table(held_on=day, name="Offer: " + theme, kind="sale", region="")
    d = pd.concat([d, sales]).sort_values("held_on", kind="stable", ignore_index=True)
    return Sheet("calendar.csv", fill("calendar", d=d))

"""The shop's own systems as raw exports: Shopify, Loyverse, Google Ads, Meta Ads, Klaviyo, GA4."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

from simulator.constants import DATES, DAYS, HORIZON, fill, local, pick, show, stream, table, utc
from simulator.names import view
from simulator.sheets import Sheet

# first and last day of each web export; the third begins before the second ends, and a week came
# late
WEB_FILES = {"2024-10_2025-03": (0, 181), "2025-04_2025-09": (182, 364), "2025-09_2026-03": (344, 546),
             "2026-04_2026-09": (547, 729), "late_2026-10-05": (244, 250)}  # fmt: skip
OVERLAP, LATE = (344, 364), (244, 250)
SITE = "https://shop.example.com/"


def true_lines(w: SimpleNamespace) -> pd.DataFrame:
    """The lines that happened within the window, and the returns to stores as lines of
    their own.
    """
    o = w.orders.iloc[w.lines["order"]].reset_index(drop=True)
    t = w.lines.join(o[["id", "person", "kind", "place", "t", "back_t", "currency", "cancelled"]])
    t = t[t.id != ""].assign(is_return=False)
    back = t[t.back & (t.kind == 1)].copy()
    back["is_return"], back["t"] = True, back.back_t
    back["id"] = [f"{i[0]}-9{int(i[2:]):06d}" for i in back.id]
    amounts = ["quantity", "gross", "line_discount", "discount", "paid", "revenue", "cost"]
    back[amounts] = -back[amounts]
    return pd.concat([t, back], ignore_index=True)


def contacts(w: SimpleNamespace, part: str, rows: np.ndarray | None = None) -> pd.DataFrame:
    """How one source knows these people; half of the records were made after a change of name or
    address.
    """
    p = w.people if rows is None else w.people.iloc[rows].reset_index(drop=True)
    rng = stream(w.seed, f"contacts {part}")
    w.seen[part] = view(p, rng, rng.random(len(p)) < 0.5)
    return w.seen[part]


def shopify(w: SimpleNamespace) -> list[Sheet]:
    """Web orders, newest first: one row a line, order fields on its first row only."""
    rng, lines, sheets = stream(w.seed, "shopify"), w.true[w.true.kind == 0], []
    for part, after in (("shopify early", False), ("shopify later", True)):
        w.seen[part] = view(w.people, stream(w.seed, part), np.full(w.n, after))
    both = pd.concat([w.seen["shopify early"], w.seen["shopify later"]], ignore_index=True)
    # the day from which people write themselves in their later way
    turn = rng.integers(200, 600, w.n)
    notes = pick(
        rng,
        {"": 95, "Please ring twice": 2, "Leave at the door,\nthank you": 2, "Gift": 1},
        len(w.orders),
    )
    stale: set[int] = set()
    for number, (name, (a, b)) in enumerate(WEB_FILES.items(), start=1):
        inside = lines.t.between(a, b + 1, inclusive="left")
        if number == 2:
            inside &= ~lines.t.between(LATE[0], LATE[1] + 1, inclusive="left")
        d = lines[inside].sort_values(["order", "product"], ascending=[False, True], kind="stable")
        overlap = d.t.between(OVERLAP[0], OVERLAP[1] + 1, inclusive="left") & (d.currency == "EUR")
        # refunds that came after this file was made
        old = overlap & (d.back_t >= OVERLAP[1] + 1) & (number == 2)
        x = w.orders.loc[d["order"]].reset_index(drop=True)
        v = both.iloc[x.person + w.n * (x.day > turn[x.person])].reset_index(drop=True)
        c, back = _order_fields(w, d, x, d.back & ~old), d.groupby("order").back.transform("any")
        c["note"], c["zip"] = notes[d["order"]], "'" + v.zip
        cells = fill("shopify", d=d, x=x, v=v, c=c, g=w.products.iloc[d["product"]])
        first = ~d["order"].duplicated().to_numpy()
        for column in cells:
            if not column.startswith(("Name", "Lineitem", "Vendor")):
                cells[column][~first] = ""
        who, single = np.where(first, d.person, -1), (x["lines"] == 1).to_numpy()
        rows = {"person": who, "order": d.index, "whole": single, "safe": single | ~first}
        sheet = Sheet(f"shopify_orders_{name}.csv", cells, **rows)
        sheet.note(x.currency == "CHF", "foreign currency", "held", "Currency")
        if number == 2:
            sheet.note(old & back, "stale copy", "duplicate", "Refunded Amount")
            stale = set(d["order"][old & back])
        if number == 3:
            sheet.note(overlap & ~d["order"].isin(stale), "overlap row", "duplicate")
        sheet.hidden["locked"] |= overlap.to_numpy()
        sheets.append(sheet.plant("shopify", rng, number))
    return sheets


def _order_fields(
    w: SimpleNamespace, d: pd.DataFrame, x: pd.DataFrame, back: pd.Series
) -> pd.DataFrame:
    """What an order's first row says, repeated on each of its lines: sums, tax, times with offset,
    status.
    """

    def whole(values: pd.Series) -> np.ndarray:
        return values.groupby(d["order"]).transform("sum").round(2).to_numpy()

    def when(t: pd.Series, known: np.ndarray) -> np.ndarray:
        hours = (local(t) - utc(t)).total_seconds() / 3600
        return np.where(
            known, show(local(t)) + np.array([f" +0{int(h)}00" for h in hours], dtype=object), ""
        )

    gone, swiss = x.cancelled.to_numpy(), (x.country == "CH").to_numpy()
    goods, refunded = whole(d.paid), whole(d.paid.where(back, 0))
    c = table(
        goods=goods,
        refunded=refunded,
        shipping=np.where(goods >= 50, 0, 4.95),
        cut=whole(d.line_discount) + x.discount,
    )
    vat = np.where(swiss, w.c["vat"]["CH"], w.c["vat"]["DE"])
    c["total"] = c.goods + c.shipping
    c["tax"], c["tax_name"] = c.total * vat / (1 + vat), np.where(swiss, "MwSt CH 8.1%", "MwSt 19%")
    part = np.where(refunded >= goods - 0.005, "refunded", "partially_refunded")
    c["status"] = np.where(gone, "voided", np.where(refunded > 0, part, "paid"))
    c["created_at"], c["paid_at"] = when(x.t, np.ones(len(x), bool)), when(x.t + 60 / 86400, ~gone)
    c["sent_at"], c["cancelled_at"] = when(x.t + 1.1, ~gone), when(x.t + 0.1, gone)
    c["sent"], c["accepts"] = (
        np.where(gone, "unfulfilled", "fulfilled"),
        np.where(w.people.consent[x.person] == "yes", "yes", "no"),
    )
    c["compare"] = d.list.where(d.shelf < d.list).to_numpy()
    c["method"] = np.where(d["order"] % 5 < 3, "PayPal", "Shopify Payments")
    c["reference"], c["number"] = (
        [f"c{k}" for k in d["order"]],
        [str(5_500_000_000_000 + k) for k in d["order"]],
    )
    return c


def loyverse(w: SimpleNamespace) -> list[Sheet]:
    """Store receipts by item, on the shop's clock; the first year in German style, the second in
    English.
    """
    rng, v, sheets, vat = stream(w.seed, "loyverse"), contacts(w, "loyverse"), [], w.c["vat"]["DE"]
    lines = w.true[w.true.kind == 1].sort_values(["t", "id", "product"], kind="stable")
    contact = np.where((v.phone != "") & (rng.random(w.n) < 0.65), v.phone, v.email)
    for number, (a, b) in enumerate(((0, 365), (365, DAYS)), start=1):
        d = lines[lines.t.between(a, b, inclusive="left")]
        member, gross = w.people.member.to_numpy()[d.person], np.round(d.quantity * d.list, 2)
        date = show(local(d.t), 16)
        c = table(
            date=date,
            gross=gross,
            cut=gross - d.paid,
            profit=d.paid - d.cost,
            tax=d.paid * vat / (1 + vat),
        )
        c["type"], c["status"] = (
            np.where(d.is_return, "Refund", "Sale"),
            np.where(d.cancelled, "Cancelled", "Closed"),
        )
        c["pos"], c["store"] = (
            ("POS " + d.id.str[0]).to_numpy(),
            d.place.map(w.c["store_names"]).to_numpy(),
        )
        c["cashier"] = np.where(d["order"] % 2, *w.words["cashiers"])
        c["name"], c["contact"] = (
            np.where(member, x[d.person], "") for x in (v.name.to_numpy(), contact)
        )
        if number == 1:
            c["date"] = [f"{x[8:10]}.{x[5:7]}.{x[:4]}{x[10:]}" for x in date]
        cells = fill("loyverse", d=d, c=c, g=w.products.iloc[d["product"]])
        if number == 1:
            for column in (
                "Quantity",
                "Gross sales",
                "Discounts",
                "Net sales",
                "Cost of goods",
                "Gross profit",
                "Taxes",
            ):
                cells[column] = np.array([x.replace(".", ",") for x in cells[column]], dtype=object)
        file = f"loyverse_receipts_by_item_{('2024-10_2025-09', '2025-10_2026-09')[number - 1]}.csv"
        sheet = Sheet(
            file,
            cells,
            sep=";" if number == 1 else ",",
            person=np.where(member, d.person, -1),
            order=d.index,
        )
        sheets.append(sheet.plant("loyverse", rng, number))
    return sheets


def channel_truth(w: SimpleNamespace) -> pd.DataFrame:
    """Each channel and day of the window: spend, carried-over spend, response, and what it truly
    added.
    """
    o = w.orders[w.orders.real & (w.orders.t < DAYS) & (w.orders.cause < 100)]
    days = w.ads[w.ads.day < DAYS].copy()
    share = (w.response / (1 + w.response.sum(axis=0)))[:, :DAYS]
    for name, values in (("orders", ~o.cancelled), ("revenue", o.value)):
        days[f"incremental_{name}"] = (share * np.bincount(o.day, values, HORIZON)[:DAYS]).ravel()
    own = o[(o.cause >= 0) & ~o.cancelled]
    days["caused_orders"] = np.bincount(own.cause * DAYS + own.day, minlength=len(days))
    return days


def ads(w: SimpleNamespace) -> list[Sheet]:
    """Google Ads by day in two files (titles above, totals below) and Meta Ads in one (a nameless
    sum on top).
    """
    rng = stream(w.seed, "ads")
    d = w.channels[w.channels.spend > 0].sort_values(["day", "channel"])
    sheets = []
    a = pd.DataFrame(w.c["ads"]).T.loc[d.channel]
    d = d.assign(
        day_on=show(DATES[d.day], 10),
        type=a.type.to_numpy(),
        state="Enabled",
        campaign=d.channel.map(w.c["meta_ids"]),
    )
    d["clicks"] = rng.poisson(d.spend / a.cpc.to_numpy(float) + 0.5)
    d["shown"] = d.clicks + rng.poisson(np.maximum(d.clicks, 1) / a.ctr.to_numpy(float))
    # more than they caused
    d["orders"] = rng.poisson(d.incremental_orders * a.claim.to_numpy(float))
    worth = d.incremental_revenue.sum() / max(d.incremental_orders.sum(), 1)
    d["worth"] = d.orders * worth * rng.uniform(0.85, 1.15, len(d))
    google = (a.platform == "google").to_numpy()
    sums = ["clicks", "shown", "spend", "orders", "worth"]
    for number, (low, high) in enumerate(((0, 365), (365, DAYS)), start=1):
        x = d[google & d.day.between(low, high - 1).to_numpy()]
        total = pd.DataFrame([x[sums].sum()] * 2).assign(
            day_on=["Total: Campaigns", "Total: Account"], channel=" --", state=" --", type=" --"
        )
        cells = fill("google_ads", x=_ratios(pd.concat([x, total], ignore_index=True)))
        below = [[c[k] for c in cells.values()] for k in (-2, -1)]
        title = " - ".join(
            f"{DATES[k]:%B} {DATES[k].day}, {DATES[k].year}" for k in (low, high - 1)
        )
        style = {} if number == 1 else {"encoding": "utf-16", "sep": "\t"}
        top = {"above": [["Campaign performance"], [title]], "below": below, "titles": 2}
        sheet = Sheet(
            f"google_ads_{number}.csv", {k: c[:-2] for k, c in cells.items()}, **top, **style
        )
        sheets.append(sheet.plant("google_ads", rng, number))
    x = d[~google].assign(state="active", set=d.channel[~google] + " DE")
    top = pd.DataFrame([x[sums].sum()]).assign(channel="", set="", state="", campaign="", day_on="")
    meta = Sheet(
        "meta_ads.csv", fill("meta_ads", x=_ratios(pd.concat([top, x], ignore_index=True)))
    )
    meta.note(meta.at == 0, "summary row", "layout")
    return [*sheets, meta.plant("meta_ads", rng)]


def _ratios(x: pd.DataFrame) -> pd.DataFrame:
    clicks = x.clicks.clip(lower=1)
    shown = x.shown.clip(lower=1)
    some = x.orders.where(x.orders > 0)
    more = {
        "ctr": x.clicks / shown,
        "cpc": x.spend / clicks,
        "cpm": 1000 * x.spend / shown,
        "rate": x.orders / clicks,
    }
    more |= {
        "per_order": x.spend / some,
        "results": some,
        "reach": x.shown * 0.7,
        "roas": x.worth / x.spend,
    }
    return x.assign(
        **more,
        shown=x.shown.astype(int),
        clicks=x.clicks.astype(int),
        worth=x.worth.where(x.orders > 0, 0),
    )


def klaviyo(w: SimpleNamespace) -> list[Sheet]:
    """E-mail campaigns with the orders that the tool claims, and one profile an address."""
    rng, p, m = stream(w.seed, "klaviyo"), w.people, w.messages
    o = w.orders[w.orders.id != ""].sort_values(["person", "t"])
    key, start = (o.person * 10_000 + o.t).to_numpy(), (m.person * 10_000 + m.opened_at).to_numpy()
    nearest = np.minimum(np.searchsorted(key, start), len(key) - 1)
    # any order within five days of opening
    claim = (key[nearest] >= start) & (key[nearest] < start + 5)
    m = m.assign(
        sent=~m.holdout,
        opened=m.opened_at.notna(),
        clicked=m.clicked_at.notna(),
        left=m.left_at.notna(),
        claim=claim,
    )
    m["worth"] = np.where(claim, o.value.to_numpy()[nearest], 0)
    s = m.groupby("mail")[
        ["sent", "bounced", "opened", "clicked", "left", "complained", "claim", "worth"]
    ].sum()
    s = s.reindex(range(len(w.mails)), fill_value=0)
    s["got"], s["opens"], s["clicks"] = s.sent - s.bounced, s.opened * 1.6, s.clicked * 1.3
    r = s.div(s.got.clip(lower=1), axis=0).assign(bounced=s.bounced / s.sent.clip(lower=1))
    mails = w.mails.assign(weekday=local(w.mails.t).day_name())
    campaigns = Sheet("klaviyo_campaigns.csv", fill("klaviyo_campaigns", m=mails, s=s, r=r))
    rows = np.flatnonzero(p.profile & (p.acquired < DAYS))
    # known by both addresses
    again = rows[(rng.random(len(rows)) < 0.4) & (p.email2.to_numpy()[rows] != "")]
    second = contacts(w, "klaviyo again", again).assign(email=p.email2.to_numpy()[again])
    v = pd.concat([contacts(w, "klaviyo", rows), second], ignore_index=True)
    rows = np.concatenate([rows, again])
    v, rows = v.iloc[(mix := rng.permutation(len(rows)))].reset_index(drop=True), rows[mix]
    q, n, one = p.iloc[rows].reset_index(drop=True), len(rows), mix < len(rows) - len(again)
    c = m.groupby("person")[["opened_at", "clicked_at"]].max().reindex(rows).reset_index(drop=True)
    said = q.consent.map(
        {"yes": "SUBSCRIBED", "refused": "UNSUBSCRIBED", "never": "NEVER_SUBSCRIBED"}
    )
    c["consent"], c["id"] = (
        np.where(w.left[rows] < DAYS, "UNSUBSCRIBED", said),
        [f"01K{k:010d}" for k in mix],
    )
    sms = rng.random(n) < w.c["people"]["consent"]["sms"]
    c["sms"], c["street"] = (
        np.where(sms, "SUBSCRIBED", "NEVER_SUBSCRIBED"),
        np.where(rng.random(n) < 0.6, v.street, ""),
    )
    birth = [f"{y}-{x:%m-%d}" for y, x in zip(q.born, DATES[rng.integers(0, 365, n)], strict=True)]
    c["birthday"], c["gender"] = (
        np.where(rng.random(n) < 0.6, birth, ""),
        np.where(rng.random(n) < 0.8, q.gender, ""),
    )
    c["won"], c["number"] = w.won[rows], np.where(one, q.number, "")
    profiles = Sheet("klaviyo_profiles.csv", fill("klaviyo_profiles", v=v, p=q, c=c), person=rows)
    return [campaigns.plant("klaviyo_campaigns", rng), profiles.plant("klaviyo_profiles", rng)]


def _visits(w: SimpleNamespace, rng: np.random.Generator) -> pd.DataFrame:
    """Visits to the site: those that ended in an order, those before one, those of people and of
    strangers without.

    kind 1 looks, 2 fills a cart, 3 buys.
    """
    e, o, p, since = w.c["events"], w.orders, w.people, w.c["events"]["from"]
    bought = o[(o.id != "") & (o.kind == 0) & (o.t >= since)]
    bought = bought[rng.random(len(bought)) < e["tracked"]]
    buy = table(
        person=bought.person, t=bought.t - 0.006, order=bought.index, kind=3, cause=bought.cause
    )
    before = buy.loc[buy.index.repeat(rng.poisson(e["before"], len(buy)))].assign(order=-1, kind=1)
    before["t"] -= 14 * rng.random(len(before)) ** 2 + 0.02
    start = np.maximum(p.acquired, since).to_numpy()
    span = (np.minimum(p.end, DAYS) - start).clip(lower=0).to_numpy() * (p.channels != "store")
    who = np.repeat(np.arange(w.n), rng.poisson(e["browse"] * span * p.rate))
    browse = table(person=who, t=start[who] + rng.random(len(who)) * span[who], kind=1)
    n = int(e["anonymous"] * w.n)
    strangers = table(person=-1 - np.arange(n), t=since + rng.random(n) * (DAYS - since), kind=1)
    carts = w.tests[
        (w.tests.test == list(w.c["experiments"]).index("EXP-CART")) & (w.tests.t > since)
    ]
    carts = table(person=carts.person, t=carts.t - 0.05, kind=2)
    v = pd.concat([buy, before, browse, strangers, carts], ignore_index=True)
    v[["order", "cause"]] = v[["order", "cause"]].fillna(-1).astype(int)
    v["kind"] = np.where((v.kind == 1) & (rng.random(len(v)) < e["cart"]), 2, v.kind)
    v = v[v.t.between(since, DAYS - 0.03)].sort_values(
        ["t", "person"], kind="stable", ignore_index=True
    )
    buying, other = (pick(rng, {k: x[i] for k, x in e["sources"].items()}, len(v)) for i in (3, 4))
    cause = np.array([*w.c["ads"], "email"], dtype=object)[np.minimum(v.cause, len(w.c["ads"]))]
    # what caused the order is often, not always, the last click
    own = (v.cause >= 0) & (rng.random(len(v)) < 0.7)
    v["source"] = np.where(own, cause, np.where(v.kind == 3, buying, other))
    v["signed"] = (v.person >= 0) & (
        rng.random(len(v)) < np.where(v.kind == 3, (1 + e["signed_in"]) / 2, e["signed_in"])
    )
    v["device"] = pick(rng, {"mobile": 60, "desktop": 34, "tablet": 6}, len(v))
    v["favourite"] = np.where(
        v.person >= 0, p.favourite.to_numpy()[v.person.clip(lower=0)], rng.integers(0, 8, len(v))
    )
    return v


def ga4(w: SimpleNamespace) -> Sheet:
    """Site events as the warehouse exports them, one JSON object a line, whole numbers as text;
    nine months.
    """
    rng = stream(w.seed, "ga4")
    v, p, since = _visits(w, rng), w.people, w.c["events"]["from"]
    d = w.lines[w.lines["order"].isin(v.order)]
    bought: dict[int, list] = {}
    for order, item in zip(d["order"], _items(w, d["product"], d.shelf, d.quantity), strict=True):
        bought.setdefault(order, []).append(item)
    shelf = _items(
        w, np.arange(len(w.products)), w.products.price, np.ones(len(w.products), dtype=int)
    )
    paid = d.groupby("order").paid.sum().round(2).to_dict()
    done = [
        w.tests[(w.tests.test == e) & (w.tests.arm != 0)].set_index("person").t.to_dict()
        for e in (0, 1)
    ]
    acts_of = (
        (p.acquired.to_dict(), "sign_up"),
        (done[0], "tutorial_complete"),
        (done[1], "unlock_achievement"),
    )
    stamps, midnight = (utc(t).as_unit("us").asi8 for t in (v.t, np.floor(v.t) + 1))
    days = [[x.replace("-", "") for x in show(local(t), 10)] for t in (v.t, v.t + 1)]
    known, city = utc(p.acquired).as_unit("us").asi8, p.city.to_numpy()
    luck = rng.random((len(v), 4))
    seen = rng.integers(0, 20, (len(v), 4))
    many = rng.poisson(0.8, len(v)).clip(max=3)
    terms, told, out = list(w.words["searches"].values()), set(), []
    for i, x in enumerate(v.itertuples()):
        stamp, (u0, u1, u2, u3), person = int(stamps[i]), luck[i].tolist(), max(x.person, 0)
        basket = bought.get(x.order) or [shelf[20 * x.favourite + seen[i][0]]]
        cart = f',"items":[{",".join(basket)}]'
        acts = [
            ("session_start", "", "", ""),
            ("page_view", "", _param("engagement_time_msec", int(1000 + 60000 * u0)), ""),
        ]
        if u1 < 0.12:
            term = w.words["unmet"][int(u2 * 5)] if u3 < 0.2 else terms[x.favourite]
            acts.append(
                ("search", f"search?q={term.replace(' ', '+')}", _param("search_term", term), "")
            )
        looked = [*basket[:4], *(shelf[20 * x.favourite + k] for k in seen[i][1 : 1 + many[i]])]
        acts += [
            ("view_item", f"products/{item[12:19]}", "", f',"items":[{item}]') for item in looked
        ]
        acts += [("add_to_wishlist", "wishlist", "", f',"items":[{basket[0]}]')] * (u2 < 0.04)
        acts += [("add_to_cart", "cart", "", cart)] * (x.kind >= 2)
        acts += [("begin_checkout", "checkout", "", cart)] * (
            x.kind == 3 or (x.kind == 2 and u3 < 0.4)
        )
        if x.kind == 3:
            name = w.orders.id[x.order]
            sale = (
                f',"ecommerce":{{"purchase_revenue":{paid[x.order]:.2f},"transaction_id":"{name}"}}'
            )
            acts.append(("purchase", "thanks", _param("transaction_id", name), sale + cart))
        if x.signed and person not in told:
            told.add(person)
            acts += [
                (act, "account", "", "")
                for at, act in acts_of
                if since <= at.get(person, -1) <= x.t
            ]
        session = _param("ga_session_id", stamp // 1_000_000)[1:]
        tail = _visitor(w, x, int(known[person]), stamp, city[person])
        for act, page, params, rest in acts:
            stamp += 7_000_000 + (stamp // 1000) % 23_000_000
            out.append(
                f'{{"event_date":"{days[int(stamp >= midnight[i])][i]}","event_timestamp":"{stamp}","event_name":'
                f'"{act}","event_params":[{session}{_param("page_location", SITE + page)}{params}],{tail}{rest}}}'
            )
    return Sheet("ga4_events.jsonl", {"json": np.array(out, dtype=object)}, header=None).plant(
        "ga4", rng
    )


def _items(
    w: SimpleNamespace, product: np.ndarray, price: np.ndarray, quantity: np.ndarray
) -> list[str]:
    g = w.products.iloc[product]
    texts = (f'{{"item_id":"{a}","item_name":"{b}","item_brand":"{c}","item_category":"{d}"'
             for a, b, c, d in zip(g.product_id, g.name, g.brand, g.category, strict=True))  # fmt: skip
    return [
        f'{t},"price":{a:.2f},"quantity":"{b}"}}'
        for t, a, b in zip(texts, price, quantity, strict=True)
    ]


def _param(key: str, value: int | str) -> str:
    kind, text = ("string", json.dumps(value)) if isinstance(value, str) else ("int", f'"{value}"')
    return f',{{"key":"{key}","value":{{"{kind}_value":{text}}}}}'


def _visitor(w: SimpleNamespace, x: tuple, known: int, stamp: int, city: str) -> str:
    """The part of each event that is the same for the whole visit."""
    source, medium, campaign = w.c["events"]["sources"][x.source][:3]
    system, browser = w.c["events"]["devices"][x.device]
    number = 10**9 + x.person if x.person >= 0 else 2 * 10**9 - x.person
    user = f'"user_id":"{w.people.number[x.person]}",' if x.signed else ""
    return (
        f'{user}"user_pseudo_id":"{number}.{1 + (x.device == "mobile")}",'
        f'"user_first_touch_timestamp":"{known if x.person >= 0 else stamp}",'
        f'"device":{{"category":"{x.device}","operating_system":"{system}","language":"de-de",'
        f'"web_info":{{"browser":"{browser}"}}}},'
        f'"geo":{{"continent":"Europe","country":"Germany","city":"{city}"}},'
        f'"traffic_source":{{"name":"{campaign}","medium":"{medium}","source":"{source}"}},'
        f'"session_traffic_source_last_click":{{"manual_campaign":{{"campaign_name":"{campaign}","source":"{source}","medium":"{medium}"}}}},'
        '"stream_id":"4000000001","platform":"WEB"'
    )


def acquired_by(w: SimpleNamespace) -> np.ndarray:
    """What brought each person: an ad channel (true cause of the first order), else organic, store
    or a friend.
    """
    first = (
        w.orders[w.orders.forced & (w.orders.cause < 100)]
        .set_index("person")
        .cause.reindex(range(w.n), fill_value=-1)
    )
    referred = stream(w.seed, "won").random(w.n) < 0.15
    plain = np.where(w.people.home == "store", "Store", np.where(referred, "Referral", "Organic"))
    return np.where(first >= 0, np.array([*w.c["ads"], ""], dtype=object)[first], plain)

"""What the simulated people do: demand, advertising, leaving, orders, baskets. docs/twin.md gives
the equations.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from simulator.constants import DATES, DAYS, HORIZON, START, WEEKS, load, pick, stream, table
from simulator.names import identities

KINDS = ["web", "store"]


def simulate(customers: int, seed: int) -> SimpleNamespace:
    """The whole world: people, products, ads, tests, mail, cases, orders and their lines."""
    w = SimpleNamespace(n=customers, seed=seed, c=load("world"), words=load("words"))
    w.products = _products(w)
    w.ads = _ads(w)
    w.demand = _demand(w)
    w.cumulated = np.concatenate([np.zeros((2, 1)), np.cumsum(w.demand, axis=1)], axis=1)
    w.people = _people(w)
    w.cases = _cases(w)
    w.tests = _tests(w)
    w.people["end"] = _dropout(w)
    w.people["consent"] = _consent(w)
    w.mails, w.messages = _mail(w)
    w.orders = _orders(w)
    w.lines = _lines(w)
    _after_sale(w)
    return w


def _products(w: SimpleNamespace) -> pd.DataFrame:
    """160 products: name, category, base price, unit cost, popularity; prices and promotions by
    week beside them.
    """
    rng, rows = stream(0, "products"), []  # the same range for every seed
    for category, c in w.c["categories"].items():
        for k in range(20):
            adjective = w.c["adjectives"][(k * 7 + 3 * (k // 10) + len(rows) // 20) % 12]
            low, high = np.log(c["price"])
            price = round(np.exp(rng.uniform(low, high))) - 0.05
            name = f"{c['nouns'][k % 10]} {adjective}"
            cost = round(price * c["cost"] * rng.uniform(0.9, 1.1) / 1.19, 2)
            rows.append(
                (
                    f"{c['code']}-{k + 1:03d}",
                    name,
                    category,
                    w.c["vendors"][k % 4],
                    price,
                    cost,
                    rng.pareto(3.0) + 0.5,
                )
            )
    p = pd.DataFrame(
        rows, columns=["product_id", "name", "category", "brand", "price", "cost", "popularity"]
    )
    for key in ("elasticity", "display", "mailer", "pull_forward", "more"):
        p[key] = [w.c["categories"][c][key] for c in p.category]
    rng, j = stream(w.seed, "prices"), len(p)
    # list prices hold for seven weeks on average
    change = np.cumsum(rng.random((WEEKS, j)) < 1 / 7, axis=0)
    level = np.exp(rng.normal(0, w.c["list_change"], (WEEKS + 1, j)))
    w.list = np.round(
        np.round(p.price.to_numpy() * np.take_along_axis(level, change, axis=0), 1) - 0.05, 2
    )
    promoted = rng.random((WEEKS, j)) < w.c["promoted"]
    depth = np.where(promoted, rng.choice(w.c["depths"], (WEEKS, j)), 0)
    w.shelf = np.round(w.list * (1 - depth), 2)
    w.mailer = promoted & (rng.random((WEEKS, j)) < w.c["mailer"])
    w.display = (promoted & (rng.random((4, WEEKS, j)) < w.c["display"])) | (
        rng.random((4, WEEKS, j)) < w.c["extra_display"]
    )
    return p


def _ads(w: SimpleNamespace) -> pd.DataFrame:
    """Spend, carried-over spend and response (share of base demand) of each channel and day."""
    parts = []
    for name, a in w.c["ads"].items():
        rng = stream(w.seed, f"ads {name}")
        weekly = np.exp(rng.normal(0, 0.45, WEEKS))
        # some months without this campaign
        on = np.repeat(rng.random(WEEKS // 4 + 1) > 0.15, 4)[:WEEKS]
        spend = (
            a["spend"]
            * w.n
            / 5000
            * np.repeat(weekly * on, 7)[1 : HORIZON + 1]
            * rng.uniform(0.85, 1.15, HORIZON)
        )
        spend = np.round(spend, 2)
        parts.append(
            pd.DataFrame(
                {"channel": name, "day": range(HORIZON), "spend": spend} | respond(spend, a, w.n)
            )
        )
    return pd.concat(parts, ignore_index=True)


def respond(spend: np.ndarray, a: dict, n: int) -> dict[str, np.ndarray]:
    """Geometric carry-over, then Hill saturation: `carried` spend (1 is its planned mean) and
    `response`.
    """
    carried = np.empty(len(spend))
    level = 1.0
    for t, x in enumerate(spend / (a["spend"] * n / 5000)):
        level = a["carry_over"] * level + (1 - a["carry_over"]) * x
        carried[t] = level
    powered = carried ** a["slope"]
    return {
        "carried": carried,
        "response": a["ceiling"] * powered / (powered + a["half"] ** a["slope"]),
    }


def _demand(w: SimpleNamespace) -> np.ndarray:
    """Demand factor by kind of place and day: season x weekday x growth x (1 + what advertising
    adds).
    """
    month = np.array(w.c["months"])[DATES.month - 1]
    growth = 1 + w.c["growth"] * (np.arange(HORIZON) - DAYS / 2) / 365
    w.response = w.ads.response.to_numpy().reshape(-1, HORIZON)
    shut = (DATES.day == 1) & (DATES.month == 1) | (DATES.month == 12) & DATES.day.isin([25, 26])
    base = np.array([np.array(w.c["weekdays"][k])[DATES.day_of_week] for k in KINDS])
    base[1, shut] = 0
    return base * month * growth * (1 + w.response.sum(axis=0))


def _people(w: SimpleNamespace) -> pd.DataFrame:
    """Traits that drive behaviour, beside the identities; times are days since the first day, rates
    are by day.
    """
    rng, c = stream(w.seed, "people"), w.c["people"]
    p, n = identities(w.n, w.seed), w.n
    p["number"] = [f"C-{i + 1:06d}" for i in rng.permutation(n)]
    p["channels"] = pick(rng, c["channels"], n)
    home = np.where(
        p.channels == "both", np.where(rng.random(n) < 0.55, "web", "store"), p.channels
    )
    p["home"] = np.where(p.country == "CH", "web", home).astype(object)
    p.loc[p.country == "CH", "channels"] = "web"
    p["taste"] = pick(rng, c["tastes"], n)
    p["sensitivity"] = pick(rng, c["sensitivity"], n)
    weights = np.array([c["tastes"][t]["weights"] for t in p.taste], float)
    p["favourite"] = (np.cumsum(weights, axis=1) / 100 < rng.random((n, 1))).sum(axis=1)
    p["engagement"] = rng.normal(size=n)
    z = p.engagement.to_numpy()
    rate = rng.gamma(c["purchase"]["shape"], c["purchase"]["mean"] / c["purchase"]["shape"], n)
    p["rate"] = rate / 365 * np.exp(c["engagement"]["purchase"] * z)
    old = rng.random(n) < c["known_before"]
    hazard, age = _survivors(rng, c, z, old)
    p["hazard"] = hazard
    level = w.cumulated[(p.home == "store").astype(int)]
    top = level[:, DAYS - 1]
    # inverse of the cumulated demand
    drawn = (level < (rng.random(n) * top)[:, None]).sum(axis=1) - 1
    p["acquired"] = np.where(old, -age, drawn + rng.uniform(0.4, 0.75, n))
    p["clock"] = rng.exponential(size=n)  # the person's own luck in staying
    p["lines"] = c["lines"]["mean"] * np.exp(rng.normal(0, c["lines"]["spread"], n))
    p["member"] = (p.channels != "web") & (rng.random(n) < c["member"])
    chance = np.where(p.channels == "store", c["profile"]["store"] * p.member, c["profile"]["web"])
    p["profile"] = rng.random(n) < chance
    p["share_web"] = np.where(p.home == "web", c["home_share"], 1 - c["home_share"])
    p.loc[p.channels != "both", "share_web"] = (p.channels == "web").astype(float)
    return p


def _survivors(
    rng: np.random.Generator, c: dict, z: np.ndarray, old: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Chance of leaving by day, and the age of those known before, who are the ones that had not
    left yet.
    """
    shape, mean = c["dropout"]["shape"], c["dropout"]["mean"] / 365
    hazard = rng.gamma(shape, mean / shape, len(z)) * np.exp(c["engagement"]["dropout"] * z)
    age = rng.uniform(1, 1000, len(z))
    while (gone := old & (rng.random(len(z)) > np.exp(-hazard * age))).any():
        hazard[gone] = rng.gamma(shape, mean / shape, gone.sum()) * np.exp(
            c["engagement"]["dropout"] * z[gone]
        )
        age[gone] = rng.uniform(1, 1000, gone.sum())
        old = gone
    return hazard, age


def _cases(w: SimpleNamespace) -> pd.DataFrame:
    """Service cases while people are with the shop: when, topic, minutes to the first reply, bad or
    not.
    """
    rng, s, p = stream(w.seed, "cases"), w.c["service"], w.people
    start = np.maximum(p.acquired.to_numpy(), 0)
    count = rng.poisson(s["cases"] / 365 * np.maximum(HORIZON - start, 0))
    k = pd.DataFrame({"person": np.repeat(np.arange(w.n), count)})
    k["t"] = start[k.person] + rng.random(len(k)) * (HORIZON - start[k.person])
    slow = k.t.between(s["slow_from"], s["slow_to"])
    k["reply"] = (
        np.round(
            rng.lognormal(
                np.log(np.where(slow, s["reply_minutes"]["slow"], s["reply_minutes"]["normal"])),
                0.9,
            )
        )
        + 1
    )
    late = k.reply > s["bad_after"]
    k["bad"] = rng.random(len(k)) < np.where(late, s["bad"]["slow"], s["bad"]["quick"])
    topics = w.words["tickets"]
    k["topic"] = pick(rng, {t: v["weight"] for t, v in topics.items()}, len(k))
    return k.sort_values("t", kind="stable", ignore_index=True)


def _tests(w: SimpleNamespace) -> pd.DataFrame:
    """Who was in which test or did the act unasked: person, arm (-1 outside the test), when, luck
    and extra chance.
    """
    p, parts = w.people, []
    for e, (name, x) in enumerate(w.c["experiments"].items()):
        rng = stream(w.seed, name)
        if name == "EXP-ONBOARD":
            t = p.acquired.to_numpy() + 0.02
            inside = (t > x["from"]) & (t < x["to"])
            outside = ~inside & (t > 0)
        else:
            t = x["from"] + (x["to"] - x["from"]) * rng.random(w.n)
            inside = (
                (p.acquired < t)
                & ((p.channels != "store") | (name == "EXP-REWARD"))
                & (rng.random(w.n) < 0.7)
            )
            outside = ~inside & (p.acquired < t)
        arms = len(x["variants"])
        arm = (
            (rng.random(w.n) < x["split"]).astype(int)
            if "split" in x
            else rng.integers(0, arms, w.n)
        )
        logit = np.log(x["everyone"] / (1 - x["everyone"])) if x.get("everyone") else -99
        keen = rng.random(w.n) < 1 / (
            1 + np.exp(-logit - w.c["people"]["engagement"]["onboarding"] * p.engagement)
        )
        extra = p.sensitivity.map(x.get("extra", {"low": 0, "middle": 0, "high": 0})).astype(float)
        rows = np.flatnonzero(inside | (outside & keen))
        part = pd.DataFrame(
            {"test": e, "person": rows, "t": t[rows], "arm": np.where(inside, arm, -1)[rows]}
        )
        part["chance"], part["luck"], part["delay"] = (
            extra.to_numpy()[rows],
            rng.random(len(rows)),
            rng.random(len(rows)),
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _dropout(w: SimpleNamespace, test: int = -1, treated: bool = True) -> np.ndarray:
    """Day on which each person leaves; with `test`, as it would be were everybody in that test
    (not) treated.

    The chance of leaving is constant between events; each act or bad experience multiplies it from
    then on.
    """
    p, n = w.people, w.n
    names = list(w.c["experiments"])
    times, factors = [], []
    for e, name in enumerate(names):
        hazard = w.c["experiments"][name].get("hazard")
        if hazard is None:
            continue
        rows = w.tests[w.tests.test == e]
        did = (rows.arm != 0) if e != test else (rows.arm < 0) | treated
        at = np.full(n, np.inf)
        at[rows.person[did]] = rows.t[did]
        times.append(at)
        factors.append(np.full(n, hazard))
    bad = w.cases[w.cases.bad].drop_duplicates("person")  # the first bad experience
    at = np.full(n, np.inf)
    at[bad.person] = bad.t
    times = np.array([*times, at])
    factors = np.array([*factors, np.full(n, w.c["service"]["hazard"])])
    order = np.argsort(times, axis=0, kind="stable")
    end = np.maximum(p.acquired, 0).to_numpy() + p.clock.to_numpy() / p.hazard.to_numpy()
    for row in order:
        t, f = times[row, np.arange(n)], factors[row, np.arange(n)]
        hit = end > t
        end[hit] = t[hit] + (end[hit] - t[hit]) / f[hit]
    return end


def _consent(w: SimpleNamespace) -> np.ndarray:
    c = w.c["people"]["consent"]
    drawn = pick(
        stream(w.seed, "consent"),
        {"yes": c["email"], "refused": c["refused"], "never": 1 - c["email"] - c["refused"]},
        w.n,
    )
    return np.where(w.people.profile, drawn, "none").astype(object)


def _mail(w: SimpleNamespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """E-mail campaigns and every contact: holdout, opened, clicked, left the list, and the extra
    order it may cause.
    """
    rng, m, p = stream(w.seed, "mail"), w.c["mail"], w.people
    days = np.linspace(14, DAYS - 12, m["campaigns"]).astype(int)
    mails = pd.DataFrame(
        {"campaign_id": [f"01J{k:04d}MAIL" for k in range(len(days))], "t": days + 10 / 24}
    )
    mails["kind"] = np.where(np.arange(len(days)) % 3 == 1, "offer", "newsletter")
    themes = w.words["mail_themes"]
    mails["name"] = [
        f"{DATES[d]:%Y-%m} {themes[k % len(themes)]} ({x})"
        for k, (d, x) in enumerate(zip(days, mails.kind, strict=True))
    ]
    mails["style"], mails["subject"] = _styles(w, mails)
    left, parts = np.full(w.n, np.inf), []
    for k, (t, kind) in enumerate(zip(mails.t, mails.kind, strict=True)):
        rows = np.flatnonzero((p.consent == "yes") & (p.acquired < t) & (left > t))
        u, here = rng.random((9, len(rows))), (p.end.to_numpy()[rows] > t)
        d = pd.DataFrame({"mail": k, "person": rows, "t": t, "holdout": u[0] < m["holdout"]})
        d["variant"] = np.where(u[1] < 0.5, "A", "B")
        d["bounced"] = ~d.holdout & (u[2] < m["bounce"])
        sent = ~d.holdout & ~d.bounced
        chance = p.sensitivity.iloc[rows].map(m["uplift"][kind]).to_numpy(float)
        d["extra"] = here & (u[3] < chance)
        style = m["style"][mails["style"][k]]
        keen = np.clip(m["open"] * np.exp(0.4 * p.engagement.to_numpy()[rows]), 0, 0.9)
        opened = sent & ((u[4] < style["open"] * np.where(here, keen, m["open_gone"])) | d.extra)
        factor = style["click"] * np.where((d.variant == "B") & (k % 2 == 0), m["variant_b"], 1)
        clicked = opened & ((u[5] < m["click"] * factor) | d.extra)
        d["opened_at"] = np.where(opened, t + 0.003 + 1.5 * u[6] ** 3, np.nan)
        d["clicked_at"] = np.where(clicked, d.opened_at + 0.001, np.nan)
        d["left_at"] = np.where(sent & (u[7] < m["unsubscribe"]), t + 0.5, np.nan)
        d["complained"] = sent & (u[8] < m["complain"])
        d["delay"] = rng.random(len(rows))
        left[rows] = np.fmin(left[rows], d.left_at.fillna(np.inf))
        parts.append(d)
    w.left = left
    return mails, pd.concat(parts, ignore_index=True)


def _styles(w: SimpleNamespace, mails: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Style and subject of each mail: half of the mails of a kind speak to feelings, the others
    tell facts.
    """
    rng, styles = stream(w.seed, "styles"), np.array(list(w.c["mail"]["style"]), dtype=object)
    style, subject = np.empty(len(mails), dtype=object), np.empty(len(mails), dtype=object)
    for kind in ("newsletter", "offer"):
        rows = rng.permutation(np.flatnonzero(mails.kind == kind))
        style[rows] = styles[np.arange(len(rows)) % 2]
        for name in styles:
            mine = rows[style[rows] == name]
            texts = rng.permutation(w.words["subjects"][name][kind])
            theme = mails.name[mine].str[8:].str.split(" (", regex=False).str[0]
            subject[mine] = [texts[i % len(texts)].format(theme=x) for i, x in enumerate(theme)]
    return style, subject


def _orders(w: SimpleNamespace) -> pd.DataFrame:
    """Every order, and every order that would have been: person, place, day, cause, and whether it
    happened (`real`).

    Base orders come from a Poisson process in demand time up to the latest day on which the person
    could have left; `real` keeps those before the day on which they did. So each test knows both of
    its outcomes.
    """
    rng, p = stream(w.seed, "orders"), w.people
    w.both = {}
    ends = [p.end.to_numpy()]
    for e, x in enumerate(w.c["experiments"].values()):
        if "hazard" in x:
            w.both[e] = [_dropout(w, e, treated) for treated in (False, True)]
            ends += w.both[e]
    last = np.minimum(np.max(ends, axis=0), HORIZON)
    first = np.clip(p.acquired.to_numpy(), 0, HORIZON)
    parts = []
    for kind, share in enumerate((p.share_web, 1 - p.share_web)):
        a, b = (np.interp(x, np.arange(HORIZON + 1), w.cumulated[kind]) for x in (first, last))
        count = rng.poisson(p.rate * share * (b - a))
        who = np.repeat(np.arange(w.n), count)
        at = a[who] + rng.random(len(who)) * (b - a)[who]
        day = np.clip(np.searchsorted(w.cumulated[kind], at, side="right") - 1, 0, HORIZON - 1)
        parts.append(table(person=who, kind=kind, day=day, forced=False, cause=-1))
    new = np.flatnonzero(p.acquired > 0)
    kind = (p.home[new] == "store").astype(int)
    parts.append(table(person=new, kind=kind, day=first[new].astype(int), forced=True, cause=-1))
    base = pd.concat(parts, ignore_index=True)
    shares = np.cumsum(w.response / (1 + w.response.sum(axis=0)), axis=0)
    drawn = (shares[:, base.day] < rng.random(len(base))).sum(axis=0)
    base["cause"] = np.where(drawn < len(shares), drawn, -1)
    base["real"], base["source"] = True, -1
    o = pd.concat([base, *_extras(w)], ignore_index=True)
    clock = [np.array(w.c["hours"][k], float) for k in KINDS]
    hour = np.empty(len(o))
    for kind in (0, 1):
        rows = np.flatnonzero(o.kind == kind)
        hour[rows] = rng.choice(24, len(rows), p=clock[kind] / clock[kind].sum()) + rng.random(
            len(rows)
        )
    o["t"] = np.round((o.day + hour / 24) * 86400) / 86400
    opening = p.acquired.to_numpy()[o.person]
    o.loc[o.forced & (o.cause < 100), "t"] = opening[o.forced & (o.cause < 100)]
    o = o[(o.t >= opening) & (o.t < HORIZON)]
    o["meant"] = o.real  # but for the day of leaving
    o["real"] &= o.t < p.end.to_numpy()[o.person]
    o["place"] = np.where(o.kind == 0, "web", p.store.to_numpy()[o.person]).astype(object)
    return o.sort_values(["t", "person"], kind="stable", ignore_index=True)


def _extras(w: SimpleNamespace) -> list[pd.DataFrame]:
    """Orders that mail and tests cause, also those that the held-out half would have made (`real`
    False).
    """
    m, p = w.messages[w.messages.extra], w.people
    sent = ~m.holdout & ~m.bounced
    out = [
        table(
            person=m.person,
            day=np.floor(m.t + 0.5 + 6 * m.delay),
            cause=100 + m.mail,
            real=sent,
            source=m.index,
        )
    ]
    for e, x in enumerate(w.c["experiments"].values()):
        if "extra" not in x:
            continue
        d = w.tests[(w.tests.test == e) & (w.tests.arm >= 0)]
        d = d[(d.luck < d.chance) & (p.end.to_numpy()[d.person] > d.t)]
        works = (
            np.array([0.0, *[x.get("factors", {}).get(v, 1.0) for v in x["variants"][1:]]])[d.arm]
            > 0
        )
        day = np.floor(d.t + 1 + (x["days"] - 2) * d.delay)
        out.append(table(person=d.person, day=day, cause=200 + e, real=works, source=d.index))
    for part in out:
        part["forced"] = True
        # people of the stores alone come by in their store; shops are shut on Sundays
        part["kind"] = (p.channels.to_numpy()[part.person] == "store").astype(int)
        shut = (part.kind == 1) & (
            DATES.day_of_week[part.day.clip(upper=HORIZON - 1).astype(int)] == 6
        )
        part["day"] = (part.day + shut).astype(int)
    return out


def _lines(w: SimpleNamespace) -> pd.DataFrame:
    """What is in each basket. Products are bought as independent Poisson counts, so price
    elasticities hold exactly.

    Count of product j in an order = lines x weight j at this place, week, taste and price
    sensitivity; weights add up to 1 at base prices. Forced orders (first orders, extra orders) hold
    one line at least; other empty ones vanish.
    """
    rng, p, o, g = stream(w.seed, "lines"), w.people, w.orders, w.products
    tastes, levels, j = list(w.c["people"]["tastes"]), w.c["people"]["sensitivity"], len(g)
    weights, starts = _weights(w), np.arange(0, j + 1, 20)
    cum = np.cumsum(weights, axis=-1)
    total = cum[..., -1].reshape(-1)
    who = o.person.to_numpy()
    week = (o.day.to_numpy() + 1) // 7
    taste, level = (
        pd.Categorical(p[k], list(v)).codes.astype(int)[who]
        for k, v in (("taste", tastes), ("sensitivity", levels))
    )
    cell = pd.Categorical(o.place, w.c["places"]).codes.astype(int) * WEEKS + week
    cell = (cell * len(tastes) + taste) * len(levels) + level
    flat, fav = cum.reshape(-1, j), p.favourite.to_numpy()[who]
    # one sorted list for all cells
    scaled = (flat / flat[:, -1:] + np.arange(len(flat))[:, None]).reshape(-1)
    padded = np.concatenate([np.zeros((len(flat), 1)), flat], axis=1)
    low, high = padded[cell, starts[fav]], padded[cell, starts[fav + 1]]
    normal = _category_shares(w)[taste, fav]
    share, mean = w.c["people"]["favourite"], p.lines.to_numpy()[who]
    plain = rng.poisson(mean * (1 - share) * total[cell])
    liked = rng.poisson(mean * share * (high - low) / normal)
    plain += (plain + liked == 0) & o.forced.to_numpy()
    keys = []
    for count, a, b in ((plain, np.zeros(len(o)), total[cell]), (liked, low, high)):
        row = np.repeat(np.arange(len(o)), count)
        u = a[row] + rng.random(len(row)) * (b - a)[row]
        product = np.searchsorted(scaled, u / total[cell[row]] + cell[row]) - cell[row] * j
        keys.append(row * j + np.clip(product, 0, j - 1))
    keys = _add_pairs(w, np.concatenate(keys), rng)
    keys, count = np.unique(keys, return_counts=True)  # one line a product and order
    d = pd.DataFrame({"order": keys // j, "product": keys % j})
    d["quantity"] = count + rng.poisson(count * g.more.to_numpy()[d["product"]])
    return _prices(w, d, week, rng)


def _category_shares(w: SimpleNamespace) -> np.ndarray:
    weights = np.array([t["weights"] for t in w.c["people"]["tastes"].values()], float)
    return weights / weights.sum(axis=1, keepdims=True)


def _weights(w: SimpleNamespace) -> np.ndarray:
    """Demand weight by place, week, taste, price sensitivity and product; sums to 1 at base prices
    and mean season.
    """
    g, levels = w.products, w.c["people"]["sensitivity"]
    e = np.outer([x["factor"] for x in levels.values()], g.elasticity)[None]  # 1, levels, products
    listed = (w.list / g.price.to_numpy())[:, None] ** e
    # place, week, product
    lift = (1 + g.display.to_numpy() * w.display) * (1 + g.mailer.to_numpy() * w.mailer)
    promo = (w.shelf / w.list)[None, :, None] ** e[None] * lift[:, :, None]
    pull = np.ones_like(promo)
    for k, part in enumerate(w.c["pull_weeks"], start=1):
        pull[:, k:] -= g.pull_forward.to_numpy() * part * (promo[:, :-k] - 1)
    month = (START + pd.to_timedelta(7 * np.arange(WEEKS) + 2, unit="D")).month.to_numpy()
    tilt = [
        1 + c["tilt"] * np.cos(2 * np.pi * (month - c["peak"]) / 12)
        for c in w.c["categories"].values()
    ]
    tilt = np.repeat(np.array(tilt).T, 20, axis=1)  # week, product
    popular = g.popularity / g.groupby("category").popularity.transform("sum")
    taste = np.repeat(_category_shares(w), 20, axis=1) * popular.to_numpy()
    w.pull, w.promo = pull, promo
    # place, week, level, product
    common = listed[None] * promo * np.maximum(pull, 0.1) * tilt[None, :, None]
    return common[:, :, None] * taste[None, None, :, None]


def _add_pairs(w: SimpleNamespace, keys: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Products that are bought because of another one in the basket."""
    noun, j = w.products.name.str.rsplit(" ", n=1).str[0], len(w.products)
    more = []
    for first, second, chance in w.c["pairs"]:
        rows = np.unique(keys[np.isin(keys % j, np.flatnonzero(noun == first))])
        rows = rows[rng.random(len(rows)) < chance]
        more.append(rows // j * j + rng.choice(np.flatnonzero(noun == second), len(rows)))
    return np.concatenate([keys, *more])


def _prices(
    w: SimpleNamespace, d: pd.DataFrame, week: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Prices, discounts and revenue of each line. Prices hold tax; `revenue` is before tax, in
    euro.
    """
    o, p = w.orders, w.people
    row, product = d["order"].to_numpy(), d["product"].to_numpy()
    kind, who = o.kind.to_numpy(), o.person.to_numpy()
    d["list"], d["shelf"] = w.list[week[row], product], w.shelf[week[row], product]
    swiss = (p.country == "CH").to_numpy()[who]
    rate = np.where(swiss, 1 / w.c["chf_in_eur"], 1)[row]
    d["list"], d["shelf"] = np.round(d.list * rate, 2), np.round(d.shelf * rate, 2)
    d["gross"] = np.round(d.quantity * d.shelf, 2)
    deal = (kind[row] == 0) & (rng.random(len(d)) < w.c["deal"])
    d["line_discount"] = np.round(np.where(deal, 0.05 * d.gross, 0), 2)
    chance = p.sensitivity.map(
        {k: v["code"] for k, v in w.c["people"]["sensitivity"].items()}
    ).to_numpy(float)[who]
    mailed = (o.cause >= 100) & (o.cause < 200)
    code = (kind == 0) & (mailed | (rng.random(len(o)) < chance))
    o["code"] = np.where(
        code,
        np.where(
            mailed, "MAIL" + (o.cause - 99).astype(str), np.where(o.forced, "WELCOME10", "SAVE10")
        ),
        "",
    )
    after = np.bincount(row, d.gross - d.line_discount, len(o))
    o["discount"] = np.round(np.where(code, 0.10 * after, 0), 2)
    card = (kind == 1) & p.member.to_numpy()[who] & (rng.random(len(o)) < w.c["member_discount"])
    d["line_discount"] = np.where(card[row], np.round(0.05 * d.gross, 2), d.line_discount)
    share = (d.gross - d.line_discount) / np.where(after > 0, after, 1)[row]
    d["discount"] = d.line_discount + share * o.discount.to_numpy()[row]
    d["paid"] = d.gross - d.discount
    o["currency"], o["country"] = (
        np.where(swiss, "CHF", "EUR").astype(object),
        np.where(swiss, "CH", "DE").astype(object),
    )
    vat = np.where(swiss, w.c["vat"]["CH"], w.c["vat"]["DE"])[row]
    d["revenue"] = d.paid / (1 + vat) / rate
    d["cost"] = np.round(w.products.cost.to_numpy()[product] * d.quantity, 2)
    o["lines"] = np.bincount(row, minlength=len(o))
    return d


def _after_sale(w: SimpleNamespace) -> None:
    """Cancelled orders, refunds and returns; then keep what happened, and number it."""
    rng, o, d = stream(w.seed, "after sale"), w.orders, w.lines
    o["cancelled"] = rng.random(len(o)) < np.where(o.kind == 0, w.c["cancelled"], w.c["voided"])
    row = d["order"].to_numpy()
    web = o.kind.to_numpy()[row] == 0
    chance = np.where(web, w.c["refunded"], w.c["returned"])
    d["back"] = ~o.cancelled.to_numpy()[row] & (rng.random(len(d)) < chance)
    o["back_t"] = o.t + rng.uniform(3, 30, len(o))  # when anything of the order came back
    late = (o.kind == 1) & (DATES.day_of_week[np.clip(o.back_t, 0, HORIZON - 1).astype(int)] == 6)
    o["back_t"] = np.floor(o.back_t + late) + rng.uniform(0.45, 0.75, len(o))
    o["real"] &= o["lines"] > 0
    # the exports end with the window
    d["back"] &= ~((o.t < DAYS) & (o.back_t >= DAYS)).to_numpy()[row]
    kept = ~o.cancelled.to_numpy()[row] & ~d.back
    o["value"] = np.bincount(row, np.where(kept, d.revenue, 0), len(o))
    o["margin"] = np.bincount(row, np.where(kept, d.revenue - d.cost, 0), len(o))
    real = o.real & (o.t < DAYS)
    o["id"] = ""
    numbers = np.flatnonzero(real & (o.kind == 0))
    o.loc[numbers, "id"] = [f"#{1001 + k}" for k in range(len(numbers))]
    for s, place in enumerate(w.c["places"][1:], start=1):
        rows = np.flatnonzero(real & (o.place == place))
        o.loc[rows, "id"] = [f"{s}-{1001 + k}" for k in range(len(rows))]

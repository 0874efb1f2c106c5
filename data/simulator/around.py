"""Everything around the orders: tickets, surveys, business accounts, mail log, tests, choices,
reviews, market.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from simulator.constants import (
    DATES,
    DAYS,
    START,
    fill,
    load,
    local,
    pick,
    show,
    stream,
    table,
    utc,
    write,
)
from simulator.exports import contacts
from simulator.sheets import Sheet


def _any(rng: np.random.Generator, values: list, n: int) -> np.ndarray:
    return np.array(values, dtype=object)[rng.integers(0, len(values), n)]


def _say(rng: np.random.Generator, texts: list[str], **words: str) -> str:
    return texts[int(rng.integers(0, len(texts)))].format(**words)


def _addresses(rng: np.random.Generator, n: int) -> np.ndarray:
    """Internet addresses that are kept for documents (RFC 5737)."""
    return _any(
        rng,
        [f"{net}{k}" for net in ("192.0.2.", "198.51.100.", "203.0.113.") for k in range(1, 255)],
        n,
    )


def zendesk(w: SimpleNamespace) -> Sheet:
    """Service cases, on the shop's clock; some subjects hold a name, a number or an address."""
    rng, k, topics = stream(w.seed, "zendesk"), w.cases, w.words["tickets"]
    k = k[(k.t < DAYS - 0.1) & (k.t < w.people.end.to_numpy()[k.person] + 30)].reset_index(
        drop=True
    )
    v = contacts(w, "zendesk", k.person.to_numpy())
    p = w.people.iloc[k.person].reset_index(drop=True)
    n = len(k)
    o = w.orders[w.orders.id != ""].sort_values(["person", "t"])
    last = (
        np.searchsorted((o.person * 10_000 + o.t).to_numpy(), (k.person * 10_000 + k.t).to_numpy())
        - 1
    )
    order = np.where(
        (last >= 0) & (o.person.to_numpy()[last] == k.person), o.id.to_numpy()[last], "#0000"
    )
    language = np.where((p.locale == "cn") & (rng.random(n) < 0.8), "zh", "en")
    subject = [
        _say(rng, topics[t][z], order=r, name=a, phone=b, email=m, item=i)
        for t, z, r, a, b, m, i in zip(
            k.topic,
            language,
            order,
            v.name,
            p.phone,
            v.email,
            _any(rng, w.products.name, n),
            strict=True,
        )
    ]
    hours = rng.lognormal(np.log(k.reply / 60 + 8), 0.6)
    done = (k.t + hours / 24 < DAYS).to_numpy()
    c = table(
        id=[str(10_001 + i) for i in range(n)],
        requester=370_000_000_000 + k.person,
        subject=subject,
        domain=v.email.str.split("@").str[1],
    )
    c["solved"], c["hours"], c["minutes"] = (
        np.where(done, x, np.nan) for x in (k.t + hours / 24, hours, 60 * hours)
    )
    c["status"], c["number"] = (
        np.where(done, "Closed", "Open"),
        np.where(rng.random(n) < 0.6, p.number, ""),
    )
    silent = np.where(rng.random(n) < 0.5, "Offered", "Not Offered")
    c["score"] = np.where(
        rng.random(n) < w.c["service"]["rated"], np.where(k.bad, "Bad", "Good"), silent
    )
    c["type"] = np.where(k.topic.isin(["delivery", "damage"]), "Problem", "Question")
    c["tags"], c["agent"] = (
        [f"{topics[t]['stage']}_sale" for t in k.topic],
        _any(rng, w.words["agents"], n),
    )
    c["priority"], c["via"] = (
        pick(rng, {"Low": 2, "Normal": 6, "High": 2}, n),
        pick(rng, {"Mail": 6, "Web": 3, "Chat": 2}, n),
    )
    w.topics = [
        table(file="zendesk_tickets.csv", id=c.id, topic=k.topic, bad=k.bad, person=k.person)
    ]
    return Sheet("zendesk_tickets.csv", fill("zendesk", k=k, c=c, v=v), person=k.person).plant(
        "zendesk", rng
    )


def _mood(
    w: SimpleNamespace, rows: np.ndarray, t: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """How satisfied people are at time t, about 0 to 10: bad experiences lower it, good service
    raises it.
    """
    s, total = w.c["survey"], np.full(len(rows), w.c["survey"]["base"])
    for bad, size in ((True, s["bad"]), (False, s["good"])):
        first = (
            w.cases[w.cases.bad == bad]
            .groupby("person")
            .t.min()
            .reindex(range(w.n))
            .fillna(np.inf)
            .to_numpy()
        )
        total += size * (first[rows] < t)
    return (
        total
        + s["engagement"] * w.people.engagement.to_numpy()[rows]
        + rng.normal(0, s["noise"], len(rows))
    )


def _scores(mood: np.ndarray) -> dict[str, np.ndarray]:
    """Recommend 0 to 10 and satisfied 1 to 5."""
    return {
        "nps": write(np.clip(np.round(mood), 0, 10), "whole"),
        "csat": write(np.clip(np.round(mood / 2), 1, 5), "whole"),
    }


def surveymonkey(w: SimpleNamespace) -> Sheet:
    """A satisfaction survey with two header rows: recommend 0-10, satisfied 1-5, twelve statements
    1-7, a comment.
    """
    rng, p, words, battery = stream(w.seed, "surveymonkey"), w.people, w.words, w.words["battery"]
    asked = (
        p.profile
        & (p.acquired < 600)
        & (p.locale != "cn")
        & (rng.random(w.n) < w.c["survey"]["share"])
    )
    rows = np.flatnonzero(asked)
    n, t = len(rows), 600 + 125 * rng.random(len(rows))
    v, mood = contacts(w, "surveymonkey", rows), _mood(w, rows, t, rng)
    factors = list(dict.fromkeys(f for f, _, _ in battery))
    f = np.array([words["factor_means"][x] for x in p.taste.iloc[rows]]).reshape(n, 3) + rng.normal(
        size=(n, 3)
    )
    loads, of = np.array([x for _, x, _ in battery]), [factors.index(x) for x, _, _ in battery]
    answers = np.round(
        4.2 + 1.3 * (loads * f[:, of] + np.sqrt(1 - loads**2) * rng.normal(size=(n, len(battery))))
    )
    answers = np.where(rng.random(answers.shape) < 0.02, np.nan, np.clip(answers, 1, 7))
    form = "%m/%d/%Y %I:%M:%S %p"
    c = table(
        id=[str(118_000_000_000 + i) for i in range(n)],
        start=local(t).strftime(form),
        end=local(t + 0.003).strftime(form),
        ip=_addresses(rng, n),
    )
    named = rng.random(n) < 0.8
    c["first"], c["last"] = np.where(named, v["first"], ""), np.where(named, v["last"], "")
    fixed = fill("surveymonkey", c=c, v=v)
    comment = [
        _say(rng, words["comments"]["bad" if m < 6 else "good"]) if u < 0.4 else ""
        for m, u in zip(mood, rng.random(n), strict=True)
    ]
    columns = (
        fixed
        | _scores(mood)
        | {f"item {k}": write(answers[:, k], "whole") for k in range(len(battery))}
        | {"comment": comment}
    )
    first = [*fixed, *words["questions"][:3], *[""] * (len(battery) - 1), words["questions"][3]]
    second = [
        *[""] * len(fixed),
        "Response",
        "Response",
        *[s for _, _, s in battery],
        "Open-Ended Response",
    ]
    w.factors = table(person=rows, mood=mood, **{x: f[:, k] for k, x in enumerate(factors)})
    return Sheet("surveymonkey.csv", columns, header=second, above=[first], person=rows).plant(
        "surveymonkey", rng
    )


def wenjuanxing(w: SimpleNamespace) -> Sheet:
    """The survey in Chinese: tab-separated text in gbk called .xls, on China's clock, people by
    phone number.
    """
    rng, p, words = stream(w.seed, "wenjuanxing"), w.people, w.words["chinese_survey"]
    rows = np.flatnonzero(
        (p.locale == "cn")
        & (p.acquired < 600)
        & (p.country == "DE")
        & (rng.random(w.n) < w.c["survey"]["chinese"])
    )
    n, t = len(rows), 600 + 125 * rng.random(len(rows))
    mood, v = _mood(w, rows, t, rng), contacts(w, "wenjuanxing", rows)
    at = [x.replace("-", "/") for x in show(utc(t) + pd.Timedelta(hours=8))]
    c = table(
        id=1 + np.arange(n),
        at=np.array(at, dtype=object),
        ip=_addresses(rng, n),
        source=_any(rng, words["sources"], n),
    )
    c["seconds"] = [f"{s}秒" for s in rng.integers(40, 400, n)]
    reasons = [
        "┋".join(x for x, u in zip(words["reasons"], row, strict=True) if u < 0.4)
        for row in rng.random((n, 5))
    ]
    comments = [_say(rng, words["comments"]["bad" if m < 6 else "good"]) for m in mood]
    columns = (
        fill("wenjuanxing", c=c)
        | {"phone": v.phone}
        | _scores(mood)
        | {"reasons": reasons, "comment": comments}
    )
    header = [*load("columns")["wenjuanxing"], *words["questions"]]
    who = np.where(v.phone != "", rows, -1)
    return Sheet(
        "wenjuanxing.xls", columns, header=header, encoding="gbk", sep="\t", person=who
    ).plant("wenjuanxing", rng)


def hubspot(w: SimpleNamespace) -> list[Sheet]:
    """Business accounts: companies, their people (customers in their own right), deals, and what is
    known of each.
    """
    rng, b, words = stream(w.seed, "hubspot"), w.c["business"], w.words["business"]
    n = max(int(w.n * b["accounts"]), 6)
    names = [
        f"{x} {y} {k + 1}"
        for k, x, y in zip(
            range(n), _any(rng, words["stems"], n), _any(rng, words["tails"], n), strict=True
        )
    ]
    f = table(
        id=[str(9_000_000_001 + 7 * k) for k in range(n)],
        name=names,
        site=[f"company{k + 1}.example.com" for k in range(n)],
    )
    f["made"], f["owner"], f["quality"] = (
        np.sort(rng.uniform(0, DAYS - 60, n)),
        _any(rng, words["owners"], n),
        rng.normal(size=n),
    )
    people = rng.permutation(w.n)[: int(n * b["contacts"])]
    firm = np.concatenate([np.arange(n), rng.integers(0, n, len(people))])[: len(people)]
    m, v = len(people), contacts(w, "hubspot", people)
    c = table(id=[str(7_000_000_001 + 3 * k) for k in range(m)], job=_any(rng, words["jobs"], m))
    c["lead"], c["stage"] = (
        _any(rng, ["Open", "In Progress", "Connected"], m),
        _any(rng, ["lead", "opportunity", "customer"], m),
    )
    c["source"] = _any(rng, ["Organic search", "Direct traffic", "Offline sources"], m)
    f["contacts"] = c.id.groupby(firm).agg(";".join).reindex(range(n), fill_value="")
    deal = np.concatenate([np.arange(n), rng.integers(0, n, int(n * (b["deals"] - 1)))])
    g, k, stages = f.iloc[deal].reset_index(drop=True), len(deal), words["stages"]
    opened = g.made + rng.random(k) * (DAYS - g.made)
    closed = opened + rng.gamma(2, 20, k)
    won = rng.random(k) < 1 / (1 + np.exp(-0.3 - 0.8 * g.quality))  # good accounts buy
    stage = np.where(closed >= DAYS, _any(rng, stages[:3], k), np.where(won, stages[3], stages[4]))
    d = table(
        id=[str(5_000_000_001 + 11 * i) for i in range(k)],
        stage=stage,
        amount=rng.lognormal(7.2 + 0.3 * g.quality, 0.6),
        opened=opened,
    )
    d["closed"], d["name"] = (
        closed.where(closed < DAYS),
        [f"{x} - order {i + 1}" for i, x in enumerate(g.name)],
    )
    q = f.quality.to_numpy()
    known = table(
        customer_id=f.id,
        industry=_any(rng, words["industries"], n),
        employees=np.exp(rng.normal(2.5, 1, n)).astype(int) + 1,
    )
    known["years_trading"], known["days_late"] = (
        rng.integers(1, 60, n),
        rng.poisson(np.exp(2 - 0.6 * q)),
    )
    known["credit_score"] = np.clip(70 + 10 * q + rng.normal(0, 6, n), 10, 99).astype(int)
    known["lawsuits"] = rng.poisson(0.15 * np.exp(-0.5 * q))
    for name, (good, bad, share) in words["checks"].items():
        known[name] = np.where(rng.random(n) < share, bad, good)
    rows = known.astype(object).melt("customer_id", var_name="indicator")
    rows = rows[rng.random(len(rows)) > 0.05]  # not everything was checked
    rows["checked_on"] = show(DATES[rng.integers(600, DAYS, len(rows))], 10)
    number, w.accounts = np.array([isinstance(x, int) for x in rows.value]), f[["id", "quality"]]
    sheets = [
        Sheet("hubspot_deals.csv", fill("hubspot_deals", c=d, f=g)).plant("hubspot", rng),
        Sheet("hubspot_companies.csv", fill("hubspot_companies", f=f)).plant("hubspot", rng, 2),
        Sheet(
            "hubspot_contacts.csv",
            fill("hubspot_contacts", c=c, v=v, f=f.iloc[firm]),
            person=people,
        ).plant("hubspot", rng, 2),
    ]
    return [*sheets, Sheet("accounts.csv", _texts(rows), whole=number).plant("accounts", rng)]


def _texts(frame: pd.DataFrame) -> dict:
    return {c: write(frame[c]) for c in frame.columns}


def messages(w: SimpleNamespace) -> Sheet:
    """The log of sends, held-out contacts beside them, times in UTC."""
    m, mails = w.messages, w.mails.iloc[w.messages.mail]
    c = table(
        id=[f"M{k:07d}" for k in range(len(m))],
        campaign=mails.campaign_id,
        kind=mails.kind,
        number=w.people.number.to_numpy()[m.person],
    )
    c["delivered"], c["complained_at"] = (
        (~m.holdout & ~m.bounced).to_numpy(),
        (m.t + 0.6).where(m.complained).to_numpy(),
    )
    return Sheet("messages.csv", fill("messages", m=m, c=c)).plant(
        "messages", stream(w.seed, "messages")
    )


def experiments(w: SimpleNamespace) -> Sheet:
    """Every unit of every test with its outcome and its value in the 90 days before.

    `y0` and `y1` are the outcomes without and with the treatment; both are known here, and kept for
    the truth.
    """
    o, p, parts = w.orders[(w.orders["lines"] > 0) & ~w.orders.cancelled], w.people, []
    for e, (name, x) in enumerate(w.c["experiments"].items()):
        d = w.tests[
            (w.tests.test == e) & (w.tests.arm >= 0) & (w.tests.t + x["days"] < DAYS)
        ].reset_index(drop=True)
        could = o.loc[o.meant | (o.cause == 200 + e), ["person", "t", "cause", "value"]]
        j = d.reset_index()[["index", "person", "t"]].merge(
            could, on="person", suffixes=("", "_order")
        )
        after = j[(j.t_order > j.t + 0.01) & (j.t_order <= j.t + x["days"])]
        before = j[
            (j.t_order <= j.t) & (j.t_order > j.t - 90) & (j.t_order < p.end.to_numpy()[j.person])
        ]
        for treated, end in enumerate(w.both.get(e, [p.end.to_numpy()] * 2)):
            seen = after[
                (after.t_order < end[after.person]) & ((after.cause != 200 + e) | (treated == 1))
            ]
            y = np.bincount(seen["index"], seen.value, len(d))
            d[f"y{treated}"] = (
                (np.bincount(seen["index"], minlength=len(d)) > 0) * 1.0
                if "again" in x["outcome"]
                else y
            )
        works = np.array([0.0, *[x.get("factors", {}).get(v, 1.0) for v in x["variants"][1:]]])[
            d.arm
        ]
        d["value"], d["pre_value"] = (
            d.y0 + works * (d.y1 - d.y0),
            np.bincount(before["index"], before.value, len(d)),
        )
        parts.append(
            d.assign(
                variant=np.array(x["variants"], dtype=object)[d.arm],
                experiment_id=name,
                outcome=x["outcome"],
            )
        )
    d = w.outcomes = pd.concat(parts, ignore_index=True)
    cells = fill("experiments", d=d, c=table(number=p.number.to_numpy()[d.person]))
    return Sheet("experiments.csv", cells).plant("experiments", stream(w.seed, "experiments"))


def choices(w: SimpleNamespace) -> Sheet:
    """Conjoint: each respondent picks one of three coat racks, eight times; part-worths plus Gumbel
    noise.
    """
    rng, c = stream(w.seed, "choices"), w.c["conjoint"]
    who = np.sort(rng.permutation(w.n)[: max(int(w.n * c["share"]), 10)])
    shape, columns = (len(who), c["tasks"], c["alternatives"]), {}
    utility = rng.gumbel(size=shape)
    for name, levels in c["attributes"].items():
        mean, drawn = np.array(list(levels.values())), rng.integers(0, len(levels), shape)
        own = mean + rng.normal(0, c["spread"], (len(who), len(levels))) * (mean > 0)
        utility += np.take_along_axis(own, drawn.reshape(len(who), -1), axis=1).reshape(shape)
        columns[name] = np.array(list(levels), dtype=object)[drawn.ravel()]
    columns["price"] = _any(rng, c["prices"], utility.size)
    factor = w.people.sensitivity.map(
        {k: v["factor"] for k, v in w.c["people"]["sensitivity"].items()}
    ).to_numpy(float)[who]
    utility += c["price"] * factor[:, None, None] * columns["price"].reshape(shape).astype(float)
    i, task, alternative = np.unravel_index(np.arange(utility.size), shape)
    chosen = (utility == utility.max(axis=2, keepdims=True)).ravel().astype(int)
    frame = table(
        respondent_id=w.people.number.to_numpy()[who[i]],
        task=task + 1,
        alternative=alternative + 1,
        chosen=chosen,
        **columns,
    )
    return Sheet("choices.csv", _texts(frame)).plant("choices", rng)


def reviews(w: SimpleNamespace) -> Sheet:
    """Public reviews of bought products in English and Chinese; their topic and mood are known."""
    rng, words, t = stream(w.seed, "reviews"), w.words["reviews"], w.true[~w.true.is_return]
    d = t.iloc[
        np.sort(rng.permutation(len(t))[: min(int(w.n * w.c["reviews"]), len(t))])
    ].sort_values("t", kind="stable")
    n, g = len(d), w.products.iloc[d["product"]]
    good = (
        _mood(w, d.person.to_numpy(), d.t.to_numpy(), rng)
        - 1.2 * d.back.to_numpy()
        + rng.normal(0, 1, n)
        > 6
    )
    tone, chinese = np.where(good, "good", "bad"), w.people.locale.to_numpy()[d.person] == "cn"
    topic = pick(rng, {"quality": 4, "price": 2, "delivery": 2.5, "service": 1.5}, n)
    rival = rng.random(n) < 0.05
    body = [
        _say(rng, words[k][s]["zh" if zh else "en"], item=name.lower())
        + (f"\n{w.words['competitor'][s]}" if r else "")
        for k, s, zh, name, r in zip(topic, tone, chinese, g.name, rival, strict=True)
    ]
    rating = np.clip(
        np.round(np.where(good, rng.normal(4.5, 0.6, n), rng.normal(2.0, 0.8, n))), 1, 5
    ).astype(int)
    c = table(
        id=[f"R{k + 1:05d}" for k in range(n)],
        rating=rating,
        text=body,
        posted=np.minimum(d.t + rng.gamma(2, 6, n), DAYS - 0.01),
    )
    c["brand"], c["source"] = (
        np.where(rival, "Hausgold", "Twin"),
        pick(rng, {"shop": 6, "marketplace": 3, "social": 1}, n),
    )
    c["likes"], c["shares"] = rng.poisson(1.5, n), rng.poisson(0.2, n)
    w.topics.append(table(file="reviews.csv", id=c.id, topic=topic, bad=~good, person=d.person))
    return Sheet("reviews.csv", fill("reviews", c=c, g=g)).plant("reviews", rng)


def market(w: SimpleNamespace) -> Sheet:
    """Months by category and brand; our own sales are the true ones, those of the others follow
    their share.
    """
    rng, brands, t = stream(w.seed, "market"), w.c["market"]["brands"], w.true[~w.true.cancelled]
    month = DATES[t.t.astype(int)].strftime("%Y-%m-01")
    own = t.groupby([month, w.products.category.to_numpy()[t["product"]]])[
        ["revenue", "quantity"]
    ].sum()
    months = list(dict.fromkeys(DATES[:DAYS].strftime("%Y-%m-01")))
    d = pd.MultiIndex.from_product(
        [months, w.c["categories"], brands], names=["period", "segment", "brand"]
    ).to_frame(index=False)
    ours = own.reindex(
        pd.MultiIndex.from_frame(d[["period", "segment"]]), fill_value=0
    ).reset_index(drop=True)
    mean = own.groupby(level=1).mean().reindex(d.segment).reset_index(drop=True)
    share, level = (d.brand.map({k: v[i] for k, v in brands.items()}).astype(float) for i in (0, 1))
    season, n = np.array(w.c["months"])[pd.DatetimeIndex(d.period).month - 1], len(d)
    ratio = share / brands["Twin"][0] * season * rng.lognormal(0, 0.08, n)
    for name, column in (("sales", "revenue"), ("units", "quantity")):
        d[name] = np.where(d.brand == "Twin", ours[column], mean[column] * ratio)
    d["price"] = level * mean.revenue / mean.quantity * rng.uniform(0.97, 1.03, n)
    d["rating"], d["search"] = (
        np.clip(3.7 + 0.8 * (level - 1) + rng.normal(0, 0.1, n), 1, 5),
        290 * share * season,
    )
    d["mentions"], d["awareness"] = rng.poisson(120 * share), (0.2 + 1.6 * share).clip(upper=0.95)
    d["reputation"] = 3.2 + level / 3 + rng.normal(0, 0.05, n)
    return Sheet("market.csv", fill("market", d=d)).plant("market", rng)


def promotions(w: SimpleNamespace) -> Sheet:
    """Product, place and week with a lower price, a display or a mailer."""
    last = DAYS // 7 + 1
    place, week, product = np.nonzero(w.display[:, :last] | (w.shelf < w.list)[None, :last])
    monday = START - pd.Timedelta(days=1) + pd.to_timedelta(7 * week, unit="D")
    c = table(
        place=np.array(w.c["places"], dtype=object)[place],
        week_on=show(pd.DatetimeIndex(monday), 10),
    )
    c["display"], c["mailer"] = (
        w.display[place, week, product].astype(int),
        w.mailer[week, product].astype(int),
    )
    cells = fill("promotions", c=c, g=w.products.iloc[product])
    return Sheet("promotions.csv", cells).plant("promotions", stream(w.seed, "promotions"))


MAKERS = [
    zendesk,
    surveymonkey,
    wenjuanxing,
    hubspot,
    messages,
    experiments,
    choices,
    reviews,
    market,
    promotions,
]

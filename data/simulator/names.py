"""Who the simulated people are, and how each source writes them down."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import pandas as pd
from faker import Faker

from simulator.constants import load, pick, stream

LOCALES = {"de": "de_DE", "gb": "en_GB", "fr": "fr_FR"}
# how people write +49 30 23125001: by country code, the rest, and a cut after the third digit
PHONE_FORMS = [
    lambda c, r: f"+{c}{r}",
    lambda c, r: f"+{c} {r[:3]} {r[3:]}",
    lambda c, r: f"00{c}{r}",
    lambda c, r: f"0{r[:3]}/{r[3:]}",
    lambda c, r: f"0{r[:3]} {r[3:6]} {r[6:]}",
]


@cache
def _pools(locale: str) -> dict[str, list[str]]:
    """Names and streets of one language, drawn once from Faker, the same for every seed."""
    words = load("words")
    if locale == "cn":
        people = {s: [f"{py}|{zh}" for zh, py in words["given"][s].items()] for s in "fm"}
        return people | {"last": [f"{py}|{zh}" for zh, py in words["surnames"].items()]}
    fake = Faker(LOCALES[locale])
    fake.seed_instance(7)

    def draw(method, n: int) -> list[str]:
        drawn = dict.fromkeys(
            method().strip() for _ in range(n)
        )  # those with a short form are common, so they come first
        return sorted(drawn, key=lambda name: name not in words["nicknames"])

    return {
        "f": draw(fake.first_name_female, 500),
        "m": draw(fake.first_name_male, 500),
        "last": [n for n in draw(fake.last_name, 1500) if " " not in n],
        "street": draw(fake.street_name, 600),
    }


def _ascii(name: str) -> str:
    """A name as the local part of an address.

    >>> _ascii("Müßig")
    'muessig'
    """
    for umlaut, letters in {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}.items():
        name = name.lower().replace(umlaut, letters)
    return re.sub(
        "[^a-z]", "", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    )


def _draw(rng: np.random.Generator, pool: list, n: int) -> np.ndarray:
    """`n` draws in which early entries are more common, as names are."""
    return np.array(pool, dtype=object)[(len(pool) * rng.random(n) ** 1.6).astype(int)]


def _phones(rng: np.random.Generator, locale: np.ndarray) -> np.ndarray:
    """A number each, all different, from ranges that reach nobody."""
    ranges = load("words")["phones"]
    german = [f.format(i) for f in ranges["de"] for i in range(1000)]
    german += [ranges["de_small"][k].format(i) for k in (0, 1) for i in range(100)]
    pools = {
        "de": german,
        "fr": [ranges["fr"][0].format(i) for i in range(100_000)],
        "gb": [f.format(i) for f in ranges["gb"] for i in range(1000)],
    }
    where = np.where(np.isin(locale, ["fr", "gb"]), locale, "de")
    out, used = np.empty(len(locale), dtype=object), 0
    for key, pool in pools.items():
        rows = np.flatnonzero(where == key)
        pool = [pool[i] for i in rng.permutation(len(pool))[: len(rows)]]
        missing = len(rows) - len(pool)
        out[rows] = pool + [ranges["more"].format(used + i) for i in range(missing)]
        used += missing
    return out


def identities(n: int, seed: int) -> pd.DataFrame:
    """The people as they really are: one row each, with names, contacts, and later names and
    addresses.
    """
    rng, words = stream(seed, "names"), load("words")
    shares, world = load("world")["variation"]["people"], load("world")["people"]
    p = pd.DataFrame(
        {"locale": pick(rng, world["locales"], n), "gender": rng.choice(["f", "m"], n)}
    ).astype(object)
    for column, key in (("first", "gender"), ("last", ""), ("last2", "")):
        p[column] = ""
        for loc in world["locales"]:
            for s in "fm":
                rows = np.flatnonzero((p.locale == loc) & (p.gender == s))
                p.loc[rows, column] = _draw(rng, _pools(loc)[s if key else "last"], len(rows))
    p["born"] = np.clip(rng.normal(1979, 14, n), 1938, 2007).astype(int)
    for k in ("", "2"):
        place = [words["cities"][i] for i in rng.choice(len(words["cities"]), n)]
        if not k:
            swiss = rng.random(n) < world["swiss"]
            abroad = [words["swiss_cities"][i] for i in rng.integers(0, 3, n)]
            place = [[*a, "BER1"] if s else c for s, a, c in zip(swiss, abroad, place, strict=True)]
            p["country"] = np.where(swiss, "CH", "DE").astype(object)
            p["region"], p["store"] = [c[2] for c in place], [c[3] for c in place]
        streets = _draw(rng, _pools("de")["street"], n)
        p[f"street{k}"] = [
            f"{s} {h}" for s, h in zip(streets, rng.integers(1, 150, n), strict=True)
        ]
        p[f"zip{k}"] = [
            c[1] + f"{z:02d}" for c, z in zip(place, rng.integers(0, 100, n), strict=True)
        ]
        p[f"city{k}"] = [c[0] for c in place]
    p["partner"], p["homonym_of"] = -1, -1
    _pair(p, rng, shares)
    p["changed"] = (rng.random(n) < shares["changed_name"]) & (p.locale != "cn")
    p["moved"] = (rng.random(n) < shares["moved"]) & (p.country == "DE") & (p.partner < 0)
    local = [
        _ascii(f.split("|")[0]) + "." + _ascii(x.split("|")[0])
        for f, x in zip(p["first"], p["last"], strict=True)
    ]
    p["dotted"] = rng.random(n) < shares["dotted_mail"]
    domain = np.where(p.dotted, words["dotted_domain"], _draw(rng, words["domains"], n))
    form = rng.choice(4, n, p=[0.45, 0.25, 0.15, 0.15])
    box = [_mailbox(x, f, b) for x, f, b in zip(local, form, p.born, strict=True)]
    p["email"], p["email2"] = _unique(box, domain), ""
    rows = np.flatnonzero(rng.random(n) < shares["second_email"])
    p.loc[rows, "email2"] = [
        f"{local[i].replace('.', '_')}{i}@{words['domains'][i % 3]}" for i in rows
    ]
    p["phone"] = _phones(rng, p.locale.to_numpy())
    shared = rng.random(n)
    for i in np.flatnonzero(p.partner >= 0):
        if shared[i] < shares["shared_email"] / shares["couple"]:
            p.loc[i, ["email", "dotted"]] = p.loc[p.partner[i], ["email", "dotted"]].to_numpy()
        elif shared[i] < (shares["shared_email"] + shares["shared_phone"]) / shares["couple"]:
            p.loc[i, "phone"] = p.phone[p.partner[i]]
    return p


def _pair(p: pd.DataFrame, rng: np.random.Generator, shares: dict) -> None:
    """Couples take one name and address; homonyms take another person's whole name and nothing
    else.
    """
    n = len(p)
    couples, twins = int(n * shares["couple"]), int(n * shares["homonym"])
    chosen = rng.permutation(n)[: 2 * (couples + twins)]
    a, b = chosen[: 2 * couples : 2], chosen[1 : 2 * couples : 2]
    same = ["last", "street", "zip", "city", "country", "region", "store", "locale"]
    p.loc[b, same] = p.loc[a, same].to_numpy()
    p.loc[b, "gender"] = np.where(p.gender[a] == "f", "m", "f")
    for i, loc, s in zip(b, p.locale[b], p.gender[b], strict=True):
        p.loc[i, "first"] = _draw(rng, _pools(loc)[s], 1)[0]
    p.loc[b, "partner"] = a
    a, b = chosen[2 * couples :: 2], chosen[2 * couples + 1 :: 2]
    same = ["first", "last", "locale", "gender"]
    p.loc[b, same], p.loc[b, "homonym_of"] = p.loc[a, same].to_numpy(), a


def _mailbox(local: str, form: int, born: int) -> str:
    first, last = local.split(".")
    return [local, f"{first[:1]}.{last}", f"{first}{last}", f"{first}.{last}{born % 100:02d}"][form]


def _unique(box: list[str], domain: np.ndarray) -> list[str]:
    """Addresses, with a number added from the second of a kind on; dots do not make a
    difference.
    """
    frame = pd.DataFrame({"key": [b.replace(".", "") for b in box], "domain": domain})
    nth = frame.groupby(["key", "domain"]).cumcount()
    return [f"{b}{f'.x{k}' if k else ''}@{d}" for b, d, k in zip(box, domain, nth, strict=True)]


def _typo(word: str, u: float) -> str:
    """Two neighbouring letters changed over, or one lost."""
    if len(word) < 4:
        return word
    i = 1 + int(u * (len(word) - 2))
    return (
        word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        if int(u * 1000) % 2 and i + 1 < len(word)
        else word[:i] + word[i + 1 :]
    )


def view(p: pd.DataFrame, rng: np.random.Generator, later: np.ndarray) -> pd.DataFrame:
    """How one source writes these people down: first, last, name, email, phone, street, zip, city,
    and what varies.

    `later` says which records were made after a change of name or address. The boolean columns
    named as in world.yaml, variation, say what was done to each record.
    """
    rates, n, words = load("world")["variation"]["records"], len(p), load("words")
    did = {k: rng.random(n) < r for k, r in rates.items()}
    u, form = rng.random((3, n)), rng.integers(0, len(PHONE_FORMS), n)
    moved, changed = p.moved.to_numpy() & later, p.changed.to_numpy() & later
    nick = np.array([words["nicknames"].get(f, "") for f in p["first"]], dtype=object)
    did["nickname"] &= nick != ""
    did["characters"] &= (p.locale == "cn").to_numpy()
    did["second_email"] &= (p.email2 != "").to_numpy()
    did["dots"] &= p.dotted.to_numpy() & ~did["second_email"]
    did["typo_name"] &= ~did["characters"]
    did["last_first"] &= ~did["characters"]
    first = np.where(did["nickname"], nick, p["first"])
    last = np.where(changed, p["last2"], p["last"])
    side = did["characters"].astype(int)
    first, last = (
        [x.split("|")[s % (x.count("|") + 1)] for x, s in zip(v, side, strict=True)]
        for v in (first, last)
    )
    for names, k in ((first, 0), (last, 1)):
        for i in np.flatnonzero(did["typo_name"] & ((u[0] < 0.5) == bool(k))):
            names[i] = _typo(names[i], u[1][i])
        for i in np.flatnonzero(did["upper_name"]):
            names[i] = names[i].upper()
    mail = np.where(did["second_email"], p.email2, p.email)
    mail = [
        _write_mail(*row)
        for row in zip(mail, did["dots"], did["plus_tag"], did["email_case"], u[2], strict=True)
    ]
    street = np.where(moved, p.street2, p.street)
    street = [
        _typo(s, v) if t else s for s, t, v in zip(street, did["typo_street"], u[0], strict=True)
    ]
    phone = [_write_phone(x, f) for x, f in zip(p.phone, form, strict=True)]
    phone = np.where(did["no_phone"] | (p.country == "CH"), "", np.array(phone, dtype=object))
    name = [
        f"{x}{f}" if zh else f"{x}, {f}" if lf else f"{f} {x}"
        for f, x, lf, zh in zip(first, last, did["last_first"], did["characters"], strict=True)
    ]
    zips, city = np.where(moved, p.zip2, p.zip), np.where(moved, p.city2, p.city)
    out = {
        "first": first,
        "last": last,
        "name": name,
        "email": mail,
        "phone": phone,
        "street": street,
    }
    out |= {
        "zip": zips,
        "city": city,
        "country": p.country.to_numpy(),
        "region": p.region.to_numpy(),
    }
    did |= {"moved": moved, "changed_name": changed}
    return pd.DataFrame({k: np.array(v, dtype=object) for k, v in out.items()} | did, index=p.index)


def _write_mail(mail: str, dots: bool, tag: bool, case: bool, u: float) -> str:
    local, at, domain = mail.partition("@")
    if dots:
        i = 1 + int(u * (len(local.replace(".", "")) - 1))
        local = local.replace(".", "")
        local = f"{local[:i]}.{local[i:]}"
    local += "+shop" if tag else ""
    return (
        f"{local}{at}{domain}".upper()
        if case and u < 0.3
        else f"{local.title()}{at}{domain}"
        if case
        else f"{local}@{domain}"
    )


def _write_phone(number: str, form: int) -> str:
    country = number[1:3]
    if country != "49" and form > 2:  # a foreign number needs its country code
        form = 0
    return PHONE_FORMS[form](country, number[3:])

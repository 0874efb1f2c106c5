"""One customer: people with known truth and stated dirt, matched again; guards, golden records, pseudonyms."""

import numpy as np
import pandas as pd

from helpers.collect import identity
from helpers.collect.identity import MatchSettings, match

# By language: share, first names with their short forms, last names; people of one language share names more often.
FIRSTS = {
    "de": "Thomas=Tom Michael=Michi Andreas=Andi Stefan=Steff Christian=Chris Peter=Pit Wolfgang=Wolf Klaus Jürgen "
    "Matthias=Matze Maximilian=Max Alexander=Alex Tobias=Tobi Johannes=Hannes Florian=Flo Jan Paul Uwe Ralf Frank Sven "
    "Markus Holger Bernd=Bernd Sabine=Bine Susanne=Susi Katharina=Kathi Elisabeth=Lisa Stefanie=Steffi Anna=Anni Petra "
    "Monika=Moni Ursula=Uschi Gabriele=Gabi Andrea Julia=Jule Franziska=Franzi Magdalena=Lena Ulrike=Uli Christina=Tina "
    "Jana Paula Birgit Heike Silke Nadine Sandra Melanie=Mel Claudia Karin Renate Heidi Anja",
    "en": "Robert=Bob William=Will James=Jim Edward=Ted Margaret=Meg Jennifer=Jen Catherine=Cathy George Oliver Susan=Sue",
    "fr": "Nicolas=Nico François Étienne Luc Françoise Chloé Hélène Thierry Philippe Amélie Sylvie Benoît",
    "zh": "Wei Xiaoming Fang Li-Na Jun Yan Lei Jing Min Hao",
}
LASTS = {
    "de": "Müller Schmidt Schneider Fischer Weber Meyer Weiß Schröder Groß Krüger Köhler",
    "en": "Smith Jones O'Brien Taylor Brown Clarke Wright Hughes Green Hall Wood Walker",
    "fr": "Martin Bernard Lefèvre Moreau Dupont Girard Bonnet Fournier Mercier Blanc Guérin Faure",
    "zh": "Wang Li Zhang Liu Chen Yang Zhao Huang Zhou Wu Xu Sun",
}
HEADS = (
    "Stein Wald Berg Hof Bach Feld Roth Acker Linden Gold Hart Klee Kirch Neu Ober Rosen Schön Stock Tal Winkel Birn "
)
HEADS += "Dorn Eber Falk Gries Hirsch Immen Jung Kron Lerch Mühl Nuss Osten Pfeil Quell Reit Sand Tann Ulm Weid Zell"
TAILS = "mann er bauer hauser berger hoff meier auer inger stätter wald bach ling brecht hardt rich ung eck lein hut"
LASTS["de"] += "".join(f" {h}{t}" for h in HEADS.split() for t in TAILS.split())
LASTS["en"] += "".join(
    f" {h}{t}" for h in "Ash Brad Chester Dun Elm Ford Had Lang".split() for t in ("ton", "ley", "by")
)
SHORT = {n.split("=")[0]: n.split("=")[-1] for names in FIRSTS.values() for n in names.split()}
CITIES = [("Köln", "50"), ("München", "80"), ("Berlin", "10"), ("Dresden", "01"), ("Lübeck", "23"), ("Zürich", "79")]
ROADS = [
    "Hauptstraße",
    "Bahnhofstr.",
    "Gartenstraße",
    "Am Markt",
    "Lindenweg",
    "Schulstraße",
    "Rue de la Paix",
    "Mill Road",
]
DOMAINS = ["example.com", "example.org", "mail.example.net", "gmail.com", "post.example.org"]
SOURCES = {"shopify": 0.6, "till": 0.45, "klaviyo": 0.55, "zendesk": 0.25, "survey": 0.15, "wjx": 0.05, "hubspot": 0.08}
DIRT = {  # share of people (second mailbox, changed name, moved) or of records
    "couple": 0.12,  # two people at one address; of these half share a mailbox and half a phone
    "homonym": 0.02,  # has the name of another person, who lives elsewhere
    "second_email": 0.08,
    "changed_name": 0.03,
    "moved": 0.06,
    "case": 0.2,
    "plus_tag": 0.05,
    "dots": 0.3,  # of gmail addresses
    "typo_name": 0.03,
    "typo_street": 0.05,
    "nickname": 0.06,
    "missing": 0.1,
}


def typo(rng, text):
    """One slip of the fingers, not on the first letter."""
    if len(text) < 4:
        return text
    i = rng.integers(1, len(text) - 1)
    return [text[:i] + text[i + 1 :], text[:i] + text[i + 1] + text[i] + text[i + 2 :], text[:i] + text[i] + text[i:]][
        rng.integers(3)
    ]


def simulate(count, seed):
    """Records of `count` people in seven sources, and the person of each record."""
    rng = np.random.default_rng(seed)
    hit = lambda what: rng.random() < DIRT[what]  # noqa: E731
    firsts = {k: [n.split("=")[0] for n in v.split()] for k, v in FIRSTS.items()}
    lasts = {k: v.split() for k, v in LASTS.items()}

    def draw(names, power):
        weight = 1 / np.arange(5, len(names) + 5) ** power
        return str(rng.choice(names, p=weight / weight.sum()))

    people, taken = [], set()
    for n in range(count):
        tongue = str(rng.choice(["de", "en", "fr", "zh"], p=[0.78, 0.08, 0.06, 0.08]))
        city, area = CITIES[rng.integers(len(CITIES))]
        one = {
            "first": draw(firsts[tongue], 0.5), "last": draw(lasts[tongue], 0.8),
            "phone": f"{rng.integers(151, 180)}{rng.integers(10**7):07d}", "city": city,
            "zip": f"{area}{rng.integers(1000):03d}", "street": f"{rng.choice(ROADS)} {rng.integers(1, 99)}",
            "number": f"C-{n:06d}", "shares": False,
        }  # fmt: skip
        mate = people[-1] if people else None
        if mate and hit("couple") and not mate["shares"]:
            one |= {k: mate[k] for k in ("city", "zip", "street")} | {"shares": True}
            one["last"] = mate["last"] if rng.random() < 0.7 else one["last"]
            while one["first"] == mate["first"]:
                one["first"] = draw(firsts[tongue], 0.5)
        elif people and hit("homonym"):
            other = people[rng.integers(len(people))]
            one |= {"first": other["first"], "last": other["last"]}
        local = f"{one['first']}.{one['last']}".lower().replace(" ", "").replace("'", "").translate(
            str.maketrans("üöäßéèôçâ", "uoaseeoca"))  # fmt: skip
        local = [local, local.replace(".", "") + str(rng.integers(1950, 2005)), f"{local[0]}.{n}"][rng.integers(3)]
        email = f"{local}@{DOMAINS[rng.integers(5)]}"
        one["emails"] = [email if email not in taken and rng.random() < 0.7 else email.replace("@", f"{n}@")]
        taken.add(email)
        if hit("second_email"):
            one["emails"].append(
                [f"{local}{n}@work.example.com", f"x{rng.integers(10**6)}@example.org"][rng.integers(2)]
            )
        if one["shares"] and rng.random() < 0.5:
            one["emails"] = mate["emails"]
        if one["shares"] and rng.random() < 0.5:
            one["phone"] = mate["phone"]
        one["last_2"] = draw(lasts["de"], 0.8) if hit("changed_name") else one["last"]
        one["home_2"] = (f"{rng.choice(ROADS)} {rng.integers(1, 99)}", f"{area}{rng.integers(1000):03d}")
        one["moved"] = hit("moved")
        people.append(one)
    rows, seen = [], set()
    for n, one in enumerate(people):
        held = [s for s, share in SOURCES.items() if rng.random() < share] or ["till"]
        for source in held:
            first = SHORT[one["first"]] if hit("nickname") else one["first"]
            last = one["last_2"] if rng.random() < 0.5 else one["last"]
            first, last = (typo(rng, t) if hit("typo_name") else t for t in (first, last))
            email = one["emails"][0 if rng.random() < 0.6 else -1]
            if "gmail" in email and hit("dots"):
                email = email[:2] + "." + email[2:].replace("gmail", "googlemail")
            email = email.replace("@", "+shop@") if hit("plus_tag") else email
            email = email.title() if hit("case") else email
            p = one["phone"]
            phone = ["0" + p, f"+49 {p[:3]} {p[3:]}", f"0049{p}", f"0{p[:3]}/{p[3:6]} {p[6:]}", f"+49 (0){p}"][
                rng.integers(5)
            ]
            street, code = one["home_2"] if one["moved"] and rng.random() < 0.5 else (one["street"], one["zip"])
            street = typo(rng, street) if hit("typo_street") else street
            street = street.replace("straße", "str.") if rng.random() < 0.3 else street
            split = {"first_name": first, "last_name": last, "email": email}
            place = {"city": one["city"], "zip": f"'{code}" if source == "shopify" else code}
            row = {
                "shopify": split | place | {"street": street, "phone": None if hit("missing") else phone},
                "till": {
                    "name": [f"{first} {last}", f"{last}, {first}", f"{last} {first}"][rng.choice(3, p=[0.7, 0.2, 0.1])],
                    **({"phone": phone} if rng.random() < 0.6 else {"email": email}),
                },
                "klaviyo": split | place | {"phone": None if rng.random() < 0.4 else phone}
                | {"ids": one["number"] if rng.random() < 0.7 else None},
                "zendesk": {"name": f"{first} {last}", "email": email, "ids": one["number"] if rng.random() < 0.4 else None},
                "survey": {"email": email} if hit("missing") else split,
                "wjx": {"phone": phone},
                "hubspot": split | {"phone": None if hit("missing") else phone, "account_type": "business"},
            }[source]  # fmt: skip
            record = f"{source}|{row.get('email') or row.get('phone')}|{row.get('name', '')}"
            if record not in seen:
                seen.add(record)
                rows.append(row | {"record": record, "source": source, "truth": n})
    frame = pd.DataFrame(rows).sample(frac=1, random_state=seed).reset_index(drop=True)
    return frame.drop(columns="truth"), frame.set_index("record")["truth"]


def same_pairs(groups):
    sizes = groups.value_counts()
    return int((sizes * (sizes - 1) // 2).sum())


def precision_recall(person, truth):
    """Over pairs of records; both Series by record."""
    both = pd.DataFrame({"person": person, "truth": truth})
    hits = same_pairs(both.groupby(["person", "truth"]).ngroup())
    return hits / max(1, same_pairs(both["person"])), hits / same_pairs(both["truth"])

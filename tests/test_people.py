"""One customer: people with known truth and stated dirt, matched again; guards, golden records, pseudonyms."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from helpers.collect import golden as golden_records
from helpers.collect import scores
from helpers.collect.golden import golden, pseudonyms
from helpers.collect.identity import Matching, match
from helpers.collect.people import COLUMNS, NameRules, normalise
from helpers.collect.scores import name_lift

# By language: share, first names with their short forms, last names; people of one language share names more often.
FIRSTS = {
    "de": "Thomas=Tom Michael=Michi Andreas=Andi Stefan=Steff Christian=Chris Peter=Pit Wolfgang=Wolf Klaus Jürgen "
    "Matthias=Matze Maximilian=Max Alexander=Alex Tobias=Tobi Johannes=Hannes Florian=Flo Jan Paul Uwe Ralf Frank Sven "
    "Markus Holger Bernd=Bernd Sabine=Bine Susanne=Susi Katharina=Kathi Elisabeth=Lisa Stefanie=Steffi Anna=Anni Petra "
    "Monika=Moni Ursula=Uschi Gabriele=Gabi Andrea Julia=Jule Franziska=Franzi Magdalena=Lena Ulrike=Uli "
    "Christina=Tina Jana Paula Birgit Heike Silke Nadine Sandra Melanie=Mel Claudia Karin Renate Heidi Anja",
    "en": "Robert=Bob William=Will James=Jim Edward=Ted Margaret=Meg Jennifer=Jen Catherine=Cathy George Oliver "
    "Susan=Sue",
    "fr": "Nicolas=Nico François Étienne Luc Françoise Chloé Hélène Thierry Philippe Amélie Sylvie Benoît",
    "zh": "Wei Xiaoming Fang Li-Na Jun Yan Lei Jing Min Hao",
}
LASTS = {
    "de": "Müller Schmidt Schneider Fischer Weber Meyer Weiß Schröder Groß Krüger Köhler",
    "en": "Smith Jones O'Brien Taylor Brown Clarke Wright Hughes Green Hall Wood Walker",
    "fr": "Martin Bernard Lefèvre Moreau Dupont Girard Bonnet Fournier Mercier Blanc Guérin Faure",
    "zh": "Wang Li Zhang Liu Chen Yang Zhao Huang Zhou Wu Xu Sun",
}
HEADS = "Stein Wald Berg Hof Bach Feld Roth Acker Linden Gold Hart Klee Kirch Neu Ober Rosen Schön Stock Tal "
HEADS += "Winkel Birn Dorn Eber Falk Gries Hirsch Immen Jung Kron Lerch Mühl Nuss Osten Pfeil Quell Reit Sand Tann Ulm "
HEADS += "Weid Zell"
TAILS = "mann er bauer hauser berger hoff meier auer inger stätter wald bach ling brecht hardt rich ung eck lein hut"
LASTS["de"] += "".join(f" {h}{t}" for h in HEADS.split() for t in TAILS.split())
LASTS["en"] += "".join(
    f" {h}{t}" for h in ("Ash", "Brad", "Dun", "Elm", "Ford", "Lang") for t in ("ton", "ley", "by")
)
SHORT = {n.split("=")[0]: n.split("=")[-1] for names in FIRSTS.values() for n in names.split()}
CITIES = [
    ("Köln", "50"),
    ("München", "80"),
    ("Berlin", "10"),
    ("Dresden", "01"),
    ("Lübeck", "23"),
    ("Zürich", "79"),
]
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
SOURCES = {
    "shopify": 0.6,
    "till": 0.45,
    "klaviyo": 0.55,
    "zendesk": 0.25,
    "survey": 0.15,
    "wjx": 0.05,
    "hubspot": 0.08,
}
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
    return [
        text[:i] + text[i + 1 :],
        text[:i] + text[i + 1] + text[i] + text[i + 2 :],
        text[:i] + text[i] + text[i:],
    ][rng.integers(3)]


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
        local = [local, local.replace(".", "") + str(rng.integers(1950, 2005)), f"{local[0]}.{n}"][
            rng.integers(3)
        ]
        email = f"{local}@{DOMAINS[rng.integers(5)]}"
        one["emails"] = [
            email if email not in taken and rng.random() < 0.7 else email.replace("@", f"{n}@")
        ]
        taken.add(email)
        if hit("second_email"):
            one["emails"].append(
                [f"{local}{n}@work.example.com", f"x{rng.integers(10**6)}@example.org"][
                    rng.integers(2)
                ]
            )
        if one["shares"] and rng.random() < 0.5:
            one["emails"] = mate["emails"]
        if one["shares"] and rng.random() < 0.5:
            one["phone"] = mate["phone"]
        one["last_2"] = draw(lasts["de"], 0.8) if hit("changed_name") else one["last"]
        one["home_2"] = (
            f"{rng.choice(ROADS)} {rng.integers(1, 99)}",
            f"{area}{rng.integers(1000):03d}",
        )
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
            phone = [
                "0" + p,
                f"+49 {p[:3]} {p[3:]}",
                f"0049{p}",
                f"0{p[:3]}/{p[3:6]} {p[6:]}",
                f"+49 (0){p}",
            ][rng.integers(5)]
            street, code = (
                one["home_2"]
                if one["moved"] and rng.random() < 0.5
                else (one["street"], one["zip"])
            )
            street = typo(rng, street) if hit("typo_street") else street
            street = street.replace("straße", "str.") if rng.random() < 0.3 else street
            split = {"first_name": first, "last_name": last, "email": email}
            place = {"city": one["city"], "zip": f"'{code}" if source == "shopify" else code}
            written = [f"{first} {last}", f"{last}, {first}", f"{last} {first}"][
                rng.choice(3, p=[0.7, 0.2, 0.1])
            ]
            number = one["number"] if rng.random() < 0.4 else None
            row = {
                "shopify": split | place | {"street": street, "phone": None if hit("missing") else phone},
                "till": {
                    "name": written,
                    **({"phone": phone} if rng.random() < 0.6 else {"email": email}),
                },
                "klaviyo": split | place | {"phone": None if rng.random() < 0.4 else phone}
                | {"ids": one["number"] if rng.random() < 0.7 else None},
                "zendesk": {"name": f"{first} {last}", "email": email, "ids": number},
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


def people(*rows, source="crm"):
    """Records from dictionaries; a record is named a, b, c ... where it has no name."""
    frame = pd.DataFrame(
        [{"record": chr(97 + i), "source": source} | row for i, row in enumerate(rows)]
    )
    return frame.reindex(columns=list(dict.fromkeys([*COLUMNS, *frame.columns])))


def groups(*rows, **settings):
    """Who is who, as a text such as "ab c"."""
    found = match(people(*rows), Matching(**settings), "DE").people
    return " ".join("".join(sorted(g)) for _, g in found.groupby("person")["record"])


# --- one form a field ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "clean", "key"),
    [
        (" Anna.Meier+Shop@GoogleMail.com ", "annameier@gmail.com", "annameier@gmail.com"),
        ("Anna.Meier+shop@Example.org", "anna.meier+shop@example.org", "annameier@example.org"),
        ("Anna <anna@example.org>;", "anna@example.org", "anna@example.org"),
        ("keine", None, None),
    ],
)
def test_emails(raw, clean, key):
    row = normalise(people({"email": raw})).iloc[0]
    assert [None if pd.isna(v) else v for v in (row["email"], row["email_key"])] == [clean, key]


@pytest.mark.parametrize(
    ("raw", "country", "clean"),
    [
        ("0151/39200123", "DE", "+4915139200123"),
        ("0049 151 39200-123", "DE", "+4915139200123"),
        ("+49 (0)151 39200123", "", "+4915139200123"),
        ("4915139200123", "DE", "+4915139200123"),
        ("4915139200123.0", "DE", "+4915139200123"),
        ("'+44 7700 900123", "DE", "+447700900123"),
        ("138 0013 8000", "CN", "+8613800138000"),
        ("0151 39200123", "", "015139200123"),
        ("4.91514E+12", "DE", None),
        ("000000000", "DE", None),
        ("-", "DE", None),
    ],
)
def test_phones(raw, country, clean):
    phone = normalise(people({"phone": raw}), country)["phone"].iloc[0]
    assert (None if pd.isna(phone) else phone) == clean


@pytest.mark.parametrize(
    ("row", "first", "last"),
    [
        ({"name": "Dr. Anna-Lena von der Heide"}, "anna lena", "heide"),
        ({"name": "Müller, Hans"}, "hans", "muller"),
        ({"name": "DUPONT Léa"}, "lea", "dupont"),
        ({"first_name": "Frau Anna", "last_name": "GROSS"}, "anna", "gross"),
        ({"first_name": "Anna", "last_name": "Groß"}, "anna", "gross"),
        ({"last_name": "Mueller, Jürgen"}, "jurgen", "muller"),
        ({"name": "王小明"}, "小明", "王"),
        ({"name": "欧阳娜娜女士"}, "娜娜", "欧阳"),
        ({"name": "Wang Di"}, "wang", "di"),
        ({"name": "Möbel Schmidt GmbH"}, None, "mobel schmidt gmbh"),
        ({"name": "anna@example.org"}, None, None),
    ],
)
def test_names(row, first, last):
    found = normalise(people(row)).iloc[0]
    assert [None if pd.isna(v) else v for v in (found["first"], found["last"])] == [first, last]


def test_which_word_is_the_first_name_follows_what_others_say():
    known = [{"first_name": "Florian", "last_name": "Jung"}] * 12
    found = normalise(
        people(*known, {"name": "Jung Florian"}, {"name": "Florian"}, {"name": "Jung"})
    )
    assert found[["first", "last"]].fillna("").iloc[12:].values.tolist() == [
        ["florian", "jung"],
        ["florian", ""],
        ["", "jung"],
    ]


def test_addresses():
    one = {"street": "Haupt Straße 5 A", "zip": "'01067", "city": "KÖLN (Ehrenfeld)"}
    two = {"street": "Hauptstr. 5a", "zip": "1067", "city": "Koeln"}
    found = normalise(people(one, two), "DE")[["street", "zip", "city"]]
    assert found.values.tolist() == [["hauptstr 5a", "01067", "koln"]] * 2


@pytest.mark.parametrize(
    ("a", "b", "fits"),
    [
        ("liz", "elisabeth", True), ("bob", "robert", True), ("mike", "michi", True), ("hans peter", "peter", True),
        ("a", "anna", True), ("anan", "anna", True), ("xiao ming", "xiaoming", True), ("alex", "alexander", True),
        ("b", "anna", False), ("anna", "bernd", False), ("andrea", "andreas", False), ("paul", "paula", False),
        ("mario", "maria", False), ("franz", "franziska", False), ("nina", "tina", False), ("anne", "marie", False),
        ("", "anna", None), ("wei", "伟", None), ("伟", "芳", False),
    ],
)  # fmt: skip
def test_first_names_that_may_be_one_persons(a, b, fits):
    rules = NameRules()
    assert rules.first(a, b) is fits
    assert rules.first(b, a) is fits


def test_two_common_names_a_letter_apart_are_two_names():
    assert NameRules().first("marco", "marko")
    assert not NameRules({"marco": 30, "marko": 20}).first("marco", "marko")
    assert NameRules({"marco": 300, "marko": 3}).first("marco", "marko")  # the rare one is a slip
    assert NameRules({"florian": 50}).first("floran", "fllorian")  # two slips of one common name


# --- who is joined, who is not ---------------------------------------------------------------------------------

ANNA = {"first_name": "Anna", "last_name": "Meier"}
BERND = {"first_name": "Bernd", "last_name": "Meier"}
MAIL, PHONE = {"email": "meier@example.org"}, {"phone": "0151 39200123"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([ANNA | MAIL, ANNA | {"email": " MEIER@Example.org"}], "ab"),
        ([ANNA | MAIL, BERND | MAIL], "a b"),  # a household's mailbox
        ([ANNA | PHONE, BERND | {"phone": "+49 151 39200123"}], "a b"),
        ([ANNA | PHONE, {"name": "Meier, Anni", "phone": "0049-151/39200123"}], "ab"),
        ([ANNA | MAIL, {"first_name": "Anna", "last_name": "Schulz"} | MAIL], "ab"),  # married
        ([ANNA | MAIL, {"name": "A. Meier"} | MAIL], "ab"),
        ([ANNA | MAIL, BERND | MAIL, {"name": "B. Meier"} | MAIL], "a bc"),
        ([ANNA | MAIL, BERND | MAIL, MAIL], "a b c"),  # no name: whose is it?
        ([ANNA | MAIL, MAIL], "ab"),
        ([ANNA | {"email": "a.meier+x@example.org"}, ANNA | {"email": "ameier@example.org"}], "ab"),
        ([{"email": "a.meier+x@example.org"}, BERND | {"email": "ameier@example.org"}, ANNA | MAIL], "a b c"),
        ([ANNA | {"ids": "C-1"}, {"name": "Renate Kuhn", "ids": "7 c-1"}], "ab"),  # a number outweighs a name
        ([ANNA | MAIL | {"ids": "C-1"}, ANNA | MAIL | {"ids": "C-2"}], "a b"),
        ([ANNA | MAIL | {"ids": "C-1"}, ANNA | MAIL | {"ids": "Z9"}], "ab"),  # numbers of two systems
        ([ANNA | MAIL, ANNA | {"email": "other@example.com"}], "a b"),  # the name alone says too little
        ([ANNA | MAIL | {"ids": "C-1"}, MAIL | PHONE | {"first_name": "Anna"}, ANNA | PHONE | {"ids": "C-2"}], "ab c"),
        ([{"name": "王伟"} | MAIL, {"name": "Wei Wang"} | MAIL], "ab"),
        ([{"name": "王伟"} | MAIL, {"name": "王芳"} | MAIL], "a b"),
    ],
)  # fmt: skip
def test_who_is_joined(rows, expected):
    assert groups(*rows) == expected


def test_a_mailbox_of_many_is_nobodys():
    rows = [
        {"name": f"Anna {chr(65 + i)}{chr(97 + i)}mann", "email": "office@example.org"}
        for i in range(8)
    ]
    assert (
        groups(
            *rows, ANNA | {"email": "office@example.org"}, {"email": "office@example.org"}, crowd=5
        ).count(" ")
        == 9
    )


def test_numbers_that_differ_keep_apart_whom_others_would_chain():
    chain = [ANNA | MAIL | {"ids": "C-1"}, ANNA | MAIL | PHONE, ANNA | PHONE | {"ids": "C-2"}]
    found = match(people(*chain), Matching(), "DE").people
    assert found.groupby("person").size().tolist() == [2, 1]


def test_a_torn_record_is_listed_not_joined():
    rows = people(
        ANNA | PHONE | {"email": "a@example.org"}, BERND | PHONE | {"email": "b@example.org"}, PHONE
    )
    found = match(rows, Matching(doubtful=0.01), "DE")
    assert found.people["how"].tolist() == ["alone"] * 3
    pairs = set(zip(found.doubtful["record_a"], found.doubtful["record_b"], strict=True))
    assert pairs == {("a", "c"), ("b", "c")}
    assert found.doubtful["why"].eq("same phone, fits two people").all()
    assert found.doubtful["score"].le(0.5).all()
    kept = found.summary.set_index("stage").at["share a contact, kept apart", "pairs"]
    assert kept == 1


def test_few_or_no_records_and_empty_columns():
    for rows in ([], [{}], [{}, {}], [{"email": "x@example.org"}]):
        found = match(people(*rows) if rows else people({}).iloc[:0], Matching())
        assert len(found.people) == len(rows)
        assert found.people["how"].eq("alone").all()
        assert found.doubtful.columns.tolist() == ["record_a", "record_b", "score", "why"]
        assert found.summary["people"].eq(len(rows)).all()
    with pytest.raises(ValueError, match="twice"):
        match(people({"record": "x"}, {"record": "x"}), Matching())


# --- how well -------------------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=[1, 2, *(pytest.param(s, marks=pytest.mark.evidence) for s in (3, 4, 5))]
)
def matched(request):
    records, truth = simulate(700, request.param)
    return records, truth, match(records, Matching(), "DE")


def test_precision_and_recall(matched):
    records, truth, found = matched
    precision, recall = precision_recall(found.people.set_index("record")["person"], truth)
    assert precision >= 0.98
    assert recall >= 0.93
    exact = records.set_index("record")["email"].str.lower()
    plain = precision_recall(exact.fillna(pd.Series(exact.index, exact.index)), truth)
    assert recall > plain[1] + 0.3
    assert precision > plain[0]


def test_the_summary_adds_up_and_its_trust_is_honest(matched):
    records, truth, found = matched
    by = found.summary.set_index("stage")
    assert by.at["records", "people"] == len(records) == len(found.people)
    assert by.at["all stages", "people"] == found.people["person"].nunique()
    assert by.loc["same number":"scored", "joined"].sum() == by.at["all stages", "joined"]
    assert by.at["doubtful, not joined", "pairs"] == len(found.doubtful)
    assert (
        found.people.groupby("person")["record"]
        .min()
        .eq(found.people.groupby("person")["person"].first())
        .all()
    )
    names = found.people["record"].map(truth)
    wrong = names.ne(names.groupby(found.people["person"]).transform(lambda s: s.mode()[0])).mean()
    assert wrong <= by.at["all stages", "wrong"] + 0.01
    assert found.doubtful["score"].between(0.5, 1).all()
    one, other = (found.doubtful[c].map(truth).to_numpy() for c in ("record_a", "record_b"))
    assert 0.2 < (one == other).mean() < 0.95  # worth a look: neither all right nor all wrong


def test_the_same_comes_out_in_any_order_and_quietly(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    records, _ = simulate(150, 6)
    one = match(records, Matching(), "DE")
    two = match(records.iloc[::-1].reset_index(drop=True), Matching(), "DE")
    for name in ("people", "doubtful", "summary"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_few_records_use_the_fixed_weights():
    found = []
    for seed in (7, 8, 9):
        records, truth = simulate(60, seed)
        assert len(records) < Matching().learn_from
        person = match(records, Matching(), "DE").people.set_index("record")["person"]
        found.append(precision_recall(person, truth))
    precision, recall = np.mean(found, axis=0)
    assert precision >= 0.97
    assert recall >= 0.9


CONTACTS = {"e-mail": ["email"], "phone": ["phone"], "name": ["first_name", "last_name"]}


def in_two_shops(persons, *fields, twice=0):
    """One record a person with these contacts; the first `twice` persons have a second record in another shop."""
    frame = pd.DataFrame(
        {"number": [*range(persons), *range(twice)], "source": ["web"] * persons + ["till"] * twice}
    )
    frame["record"] = frame["source"] + frame["number"].astype("str")
    letters = frame["number"].map(lambda n: "".join(chr(97 + int(d)) for d in f"{n:04d}"))
    made = {
        "email": "shopper" + frame["number"].astype("str") + "@example.org",
        "phone": "0151" + (10_000_000 + 7 * frame["number"]).astype("str"),
        "first_name": "Ka" + letters,
        "last_name": "Lo" + letters.str[::-1],
        "zip": (10_000 + frame["number"]).astype("str"),
    }
    return frame.assign(**{f: made[f] for f in fields}).reindex(columns=COLUMNS)


@pytest.mark.parametrize(
    "known", [[], ["e-mail"], ["phone"], ["name"], ["e-mail", "phone", "name"]], ids=str
)
def test_people_who_share_nothing_stay_apart_however_many_they_are(known):
    fields = [f for contact in known for f in CONTACTS[contact]]
    found = match(in_two_shops(Matching().learn_from, *fields), Matching(), "DE")
    assert found.people["how"].eq("alone").all()
    assert found.summary.set_index("stage").at["scored", "weights"].startswith("fixed")


@pytest.mark.parametrize(
    ("known", "learned"),
    [
        ("e-mail", "first name, last name, e-mail, address; fixed for phone"),
        ("phone", "first name, last name, phone, address; fixed for e-mail"),
        ("name", "address; fixed for first name, last name, e-mail, phone"),
    ],
)
def test_what_joins_somebody_is_learned_and_the_rest_keeps_its_fixed_weights(known, learned):
    rows = in_two_shops(200, *CONTACTS["name"], *CONTACTS[known], "zip", twice=60)
    found = match(rows, Matching(), "DE")
    assert (
        found.summary.set_index("stage").at["scored", "weights"]
        == f"learned from these records for {learned}"
    )
    assert found.people["person"].nunique() == 200


def test_what_is_known_of_too_few_keeps_its_fixed_weights():
    rows = in_two_shops(200, *CONTACTS["name"], *CONTACTS["e-mail"], *CONTACTS["phone"], twice=60)
    rows["phone"] = rows["phone"].where(rows["record"].isin([f"web{n}" for n in range(10)]))
    people = normalise(rows, "DE")
    one_each = pd.Series(range(len(people)))
    model, learned = scores._trained(scores._frame(people), one_each, scores._model(0.001))
    by = {c["output_column_name"]: c["comparison_levels"] for c in model["comparisons"]}
    written = [(level["m_probability"], level["u_probability"]) for level in by["phone"][1:]]
    assert learned == ["given", "family", "email"]
    assert written == [(m, u) for _, _, m, u in scores.FIXED["phone"]]


def test_splink_is_loaded_only_when_it_is_needed():
    code = "import sys, helpers.collect.identity, helpers.collect.golden; sys.exit('splink' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_of_one_language_go_together():
    names = [(f"g{i}", f"f{j}") for i in range(30) for j in range(30)]
    names += [
        (f"wei{i}", f"wang{j}") for i in range(10) for j in range(10)
    ]  # a tenth of all people
    frame = pd.DataFrame(names, columns=["given", "family"]).assign(unique_id=range(len(names)))
    most, few = name_lift(frame, pd.Series(range(len(names))), pd.Series([0, 950]))
    assert most == pytest.approx(1.1, abs=0.1)
    assert few == pytest.approx(10, abs=1)


# --- golden records and pseudonyms -----------------------------------------------------------------------------


def one_person(rows):
    return pd.DataFrame({"record": rows["record"], "person": "a"})


def test_a_golden_record_takes_each_field_from_the_first_source_that_knows_it():
    rows = people(
        {"source": "till", "name": "Anna Meier", "phone": "0151 39200123", "ids": "9"},
        {
            "source": "mail",
            "email": "A.Meier@example.org",
            "zip": "50667",
            "city": "Köln",
            "ids": "C-1 9",
        },
        {
            "source": "shop",
            "email": "anna@example.org",
            "street": "Am Markt 1",
            "city": "Berlin",
            "phone": "",
        },
    )
    row = golden(rows, one_person(rows), ["shop", "mail"])[0].iloc[0]
    assert row["email"] == "anna@example.org"
    assert row["phone"] == "0151 39200123"
    assert (row["street"], row["city"]) == ("Am Markt 1", "Berlin")
    assert pd.isna(row["zip"])  # the mail tool's postcode belongs to another address
    assert (row["ids"], row["sources"], row["records"]) == ("9 C-1", "mail shop till", 3)
    assert (
        golden(rows, one_person(rows), ["mail", "shop"])[0]["email"].iloc[0]
        == "A.Meier@example.org"
    )


def test_a_refusal_wins_and_silence_is_no_answer():
    rows = people({}, {}, {}, {}).assign(
        consent_email=pd.array([True, False, True, None], "boolean"),
        consent_sms=pd.array([None, None, None, None], "boolean"),
        consent_ads=pd.array([True, None, None, True], "boolean"),
        consent_at=pd.to_datetime(["2024-01-01", "2023-01-01", None, None]),
    )
    row = golden(rows, one_person(rows), [])[0].iloc[0]
    assert not row["consent_email"]
    assert pd.isna(row["consent_sms"])
    assert bool(row["consent_ads"])
    assert row["consent_at"] == pd.Timestamp("2024-01-01")


def test_contradictions_count_content_not_spelling():
    rows = people(
        {
            "source": "shop",
            "record": "a",
            "email": "Anna@example.org",
            "city": "Köln",
            "phone": "0151 39200123",
        },
        {
            "source": "till",
            "record": "b",
            "email": "anna+x@example.org",
            "city": "Berlin",
            "phone": "+49 151 39200123",
        },
        {"source": "shop", "record": "c", "city": "Bonn"},
        {"source": "till", "record": "d", "city": "BONN"},
    )
    persons = pd.DataFrame({"record": list("abcd"), "person": list("aacc")})
    differ = golden(rows, persons, ["till"])[1].set_index("field")
    assert differ.loc["city", ["source_a", "source_b", "people", "differ"]].tolist() == [
        "till",
        "shop",
        2,
        1,
    ]
    assert differ.loc[["email", "phone"], "differ"].tolist() == [0, 0]


def test_pseudonyms_are_stable_and_nobody_shares_one():
    now = pd.DataFrame({"record": list("abcdef"), "person": list("aaadee")})
    ids = pseudonyms(now, b"key")
    assert ids.index.tolist() == ["a", "d", "e"]
    assert ids.is_unique
    assert ids.str.fullmatch("P[A-Z2-7]{12}").all()
    assert pseudonyms(now.iloc[::-1], b"key").equals(ids)
    assert not pseudonyms(now, b"other").isin(ids).any()
    earlier = now.assign(customer_id=now["person"].map(ids))[["record", "customer_id"]]
    joined = now.assign(
        person=["a", "a", "a", "a", "e", "e"]
    )  # d turns out to be a: the id of more records stays
    assert pseudonyms(joined, b"key", earlier).to_dict() == {"a": ids["a"], "e": ids["e"]}
    parted = now.assign(
        person=["a", "b", "b", "d", "e", "e"]
    )  # a is two people: the larger part keeps the id
    after = pseudonyms(parted, b"key", earlier)
    assert after["b"] == ids["a"]
    assert after["a"] not in set(ids)
    assert after.is_unique
    gone = pseudonyms(pd.DataFrame({"record": ["z"], "person": ["a"]}), b"key", earlier)
    assert gone["a"] not in set(ids)  # somebody else's old id is not given again
    assert pseudonyms(now.assign(person=list("xyzdee")), b"key", earlier).is_unique


def test_pseudonyms_that_collide_are_told_apart(monkeypatch):
    monkeypatch.setattr(golden_records, "_pseudonym", lambda person, key, turn: f"P{turn}")
    now = pd.DataFrame({"record": list("abc"), "person": list("abc")})
    assert pseudonyms(now, b"key").tolist() == ["P0", "P1", "P2"]

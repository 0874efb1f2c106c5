"""Personal data: found in every column, masked in texts, nowhere but in raw/ and private/."""

import json

import duckdb
import pandas as pd
import pytest
from shop import PEOPLE, opened_shop, write_run, write_shop

from helpers.client import Client
from helpers.collect import who
from helpers.collect.contacts import find_contacts
from helpers.collect.masks import full_names, mask
from helpers.collect.privacy import heading_kind, laws, scan, unseen
from helpers.collect.sources import stage

NAMES = {
    "Anna Schmidt",
    "Dr. Hans-Peter Müller",
    "Léa Dupont",
    "王小明",
    "Jürgen von der Heide",
    "Sean O'Brien",
    "欧阳娜娜",
}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Anna Schmidt, 0151 23456789", "[name], [phone]"),
        ("SCHMIDT, Anna <anna.schmidt@example.com>", "[name] <[e-mail]>"),
        ("write to a.b+c@mail.example.org.", "write to [e-mail]."),
        ("anna (at) example.com", "[e-mail]"),
        (
            "https://x.example/konto?mail=a.b%40example.com&x=1",
            "https://x.example/konto?mail=[e-mail]&x=1",
        ),
        ("/account/anna-schmidt/orders", "/account/[name]/orders"),
        ("Tel. Nr. 030/1234567 oder 0049 30 901820", "Tel. Nr. [phone] oder [phone]"),
        ("call +1 (212) 555-0100 or 212-555-0199", "call [phone] or [phone]"),
        ("06 12 34 56 78 ou 01.23.45.67.89", "[phone] ou [phone]"),
        (
            "我是王小明，电话13812345678，邮箱wang@qq.com请回复",
            "我是[name]，电话[phone]，邮箱[e-mail]请回复",
        ),
        ("欧阳娜娜的订单", "[name]的订单"),
        ("card 4111 1111 1111 1111, exp 12/26", "card [card], exp 12/26"),
        ("from 192.168.10.5 and 2001:db8::1", "from [IP] and [IP]"),
        ("IBAN DE89 3704 0044 0532 0130 00 bitte", "IBAN [bank account] bitte"),
        ("身份证11010519491231002X", "身份证[identity card]"),
        ("Jürgen von der Heides Bestellung, Hans Müller", "[name] Bestellung, [name]"),
        ("O'Brien, Sean / LÉA DUPONT", "[name] / [name]"),
    ],
)
def test_personal_data_in_a_text_are_masked(text, masked):
    assert mask(pd.Series([text]), NAMES).item() == masked


@pytest.mark.parametrize(
    "text",
    [
        "Order #100234 of 12.05.2024 for 19,99 EUR, 1.299,00 € and $1,299.00",
        "order 4915112345678, Bestellung 5012345678901 vom 3.4.2024, 订单号20240512123456",
        "My parcel 00340434161094042557 came 2024-05-12 10:30:22 +0200 at 12:30:45",
        "2 x Kerze 12 cm, Decke 140x200, Gr. 38 40 42 44 46 48, 1 234 567 890 Stück",
        "SKU 0012345678901, EAN 4006381333931, Version 1.2.3.4",
        "4003600000000015",  # sixteen digits that fail the check of a card
        "Rose Wood candle, Schmidt knives, Anna Karenina by Tolstoi, 小明同学",
        "",
    ],
)
def test_order_numbers_prices_dates_and_products_stay(text):
    assert mask(pd.Series([text]), NAMES).item() == text


def test_the_writers_own_first_or_last_name_is_masked_alone():
    texts = pd.Series(
        ["Anna's lamp broke", "viele grüße anna", "Frau Schmidt hier", "王女士来电", "小明", None],
        index=range(3, 9),
    )
    own = pd.Series(["Anna Schmidt"] * 3 + ["王小明"] * 3, index=range(3, 9))
    found = mask(texts, set(), own)
    assert found.tolist()[:5] == [
        "[name] lamp broke",
        "viele grüße [name]",
        "Frau [name] hier",
        "[name]来电",
        "[name]",
    ]
    assert found.index.tolist() == texts.index.tolist()
    assert pd.isna(found.iloc[5])
    assert mask(texts, set())[3] == "Anna's lamp broke"  # without `own` one name says nothing


def test_a_number_without_prefix_is_read_in_the_clients_country():
    assert find_contacts("ring 612 345 678", "ES") == [(5, 16, "phone")]
    assert find_contacts("ring me tomorrow, 612 345 678 pieces", "") == []


@pytest.mark.parametrize(
    ("heading", "kind"),
    (
        {
            "Requester email": "e-mail",
            "Adresse e-mail": "e-mail",
            "Telefonnummer": "phone",
            "billing_phone": "phone",
            "1、您的手机号码是？": "phone",
            "PLZ": "address",
            "Lieferadresse": "address",
            "IP Address": "IP",
            "来自IP": "IP",
            "Vorname": "name",
            "收货人": "name",
            "customerId": "customer id",
            "Kundennr.": "customer id",
            "Geburtsdatum": "date of birth",
        }
        | dict.fromkeys(
            [
                "Lineitem name",
                "Campaign name",
                "Name",
                "Hotel",
                "Subtotal",
                "Zipper",
                "Email opt-in",
            ],
            "",
        )
    ).items(),
)
def test_headings_of_personal_columns_are_known(heading, kind):
    assert heading_kind(heading) == kind


def test_every_column_of_every_file_is_looked_at_and_explained(home):
    opened = opened_shop(home, "scan")
    found = scan(opened, who.identify(opened).known_names).set_index(["source", "column"])
    assert set(found.index) == {(f.group, c) for f in opened.landed for c in f.facts["columns"]}
    assert set(found["done"]) == {"dropped", "kept", "masked", "replaced by a pseudonym"}
    assert (found["reason"].str.len() > 10).all()
    expected = {
        ("shopify_orders", "Email"): ("e-mail", "replaced by a pseudonym"),
        ("shopify_orders", "Billing Name"): ("name", "replaced by a pseudonym"),
        ("shopify_orders", "Billing Phone"): ("phone", "replaced by a pseudonym"),
        ("shopify_orders", "Notes"): ("phone", "dropped"),
        ("shopify_orders", "Name"): ("", "kept"),
        ("shopify_orders", "Lineitem price"): ("", "kept"),
        ("klaviyo_profiles", "Zip Code"): ("address", "replaced by a pseudonym"),
        ("klaviyo_profiles", "Email Marketing Consent"): ("", "kept"),
        ("zendesk_tickets", "Assignee"): ("name", "dropped"),
        ("zendesk_tickets", "Subject"): ("e-mail, name", "masked"),
        ("visits", "client_ip"): ("IP", "dropped"),
        ("visits", "note"): ("card", "dropped"),
        ("visits", "order_ref"): ("", "dropped"),
    }
    assert {k: tuple(found.loc[k, ["holds", "done"]]) for k in expected} == expected
    assert (
        found.loc[("shopify_orders", "Email"), "cells"]
        == found.loc[("shopify_orders", "Email"), "looked_at"]
        == 6
    )


def test_a_personal_column_that_a_mapping_stores_is_named(home):
    mapping = """
sources: {club: {file: club.csv}}
tables: {deals: {source: club, columns: {deal_id: nr, stage: contact}}}
"""
    opened = opened_shop(
        home, "stored", {"club.csv": "nr,contact\n1,anna@example.com\n2,tom@example.com\n"}, mapping
    )
    found = (
        scan(opened, who.identify(opened).known_names)
        .set_index(["source", "column"])
        .loc[("club", "contact")]
    )
    assert (found["holds"], found["done"]) == ("e-mail", "masked")
    assert "map it under person" in found["reason"]
    assert (
        stage(opened, "deals", who.identify(opened)).to_pandas()["stage"].tolist()
        == ["[e-mail]"] * 2
    )


@pytest.mark.parametrize("expression", ["shopper", "upper(shopper)"])
def test_a_number_without_contacts_is_said_to_stay_as_it_is(home, expression):
    mapping = f"""
sources: {{till: {{file: till.csv}}}}
tables: {{redemptions: {{source: till, columns: {{redemption_id: nr, customer_id: {expression}, coupon_id: nr}}}}}}
"""
    name = f"plain-{len(expression)}"
    opened = opened_shop(home, name, {"till.csv": "nr,shopper\n1,S-17\n2,S-18\n"}, mapping)
    found = (
        scan(opened, who.identify(opened).known_names)
        .set_index(["source", "column"])
        .loc[("till", "shopper")]
    )
    assert found["done"] == "kept"
    assert "stored as redemptions.customer_id" in found["reason"]
    assert "not as a pseudonym" in found["reason"]
    assert "person" in found["reason"]


def needles():
    """The client's names, e-mails and phones, in the forms in which they might show."""
    for p in PEOPLE:
        yield from (
            p["email"],
            p["last"],
            p["phone"],
            p["phone"].replace(" ", ""),
            p["phone"].replace(" ", "").lstrip("0"),
        )


def held(folder, skip=()):
    """Which of the needles stand in which files under a folder, Parquet read as text."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file() and not set(path.relative_to(folder).parts) & set(skip):
            text = path.read_bytes().decode("utf-8", "replace")
            if path.suffix == ".parquet":
                text = json.dumps(
                    duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall(),
                    default=str,
                    ensure_ascii=False,
                )
            found |= {(path.name, n) for n in needles() if n.lower() in text.lower()}
    return found


def test_contacts_and_names_stand_in_raw_and_private_only(home):
    write_shop(home, "leak")
    folder = write_run(Client("leak")).parents[1]
    assert held(folder, skip=("raw", "private")) == set()
    assert {n for _, n in held(folder)} >= {
        "anna@example.com",
        "Schmidt",
    }  # the search finds what is there


def test_texts_of_tickets_are_masked_when_staged(home):
    opened = opened_shop(home, "tickets")
    texts = (
        stage(opened, "tickets", who.identify(opened)).to_pandas().set_index("ticket_id")["text"]
    )
    assert texts["1"] == "[name] here: write to [e-mail]"
    assert texts["2"] == "Order #1002 late, since 12.05.2025"
    assert "Anna Schmidt" in full_names(who.identify(opened).records)


def test_laws_name_their_articles():
    rows = laws()
    assert {"practice", "subject", "gdpr", "gdpr_article", "pipl", "pipl_article", "here"} == set(
        rows
    )
    assert rows[["gdpr_article", "pipl_article"]].map(lambda a: "Art. " in a).all(axis=None)
    assert not rows.isna().any(axis=None)
    assert {"1.5", "3.12", "5.5"} <= set(rows["practice"])


def test_unseen_counts_each_channel():
    customers = pd.DataFrame(
        {
            "consent_email": [True, True, False, None],
            "consent_sms": [None] * 4,
            "consent_ads": [False] * 4,
        }
    )
    assert unseen(customers) == {
        "email": {"given": 2, "refused": 1, "not known": 1},
        "sms": {"given": 0, "refused": 0, "not known": 4},
        "ads": {"given": 0, "refused": 4, "not known": 0},
    }

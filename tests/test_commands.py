"""The commands around a client: new, check and its suggestions, lists, forget, clean-up, demo twin."""

import csv
import hashlib
import json
import os
import re
import shutil
import time

import duckdb
import pandas as pd
import pytest
import yaml
from shop import PEOPLE, text, write_run, write_shop

from helpers import keep
from helpers.client import Client, PlaybookError, Settings, connect
from helpers.collect import who
from helpers.collect.landing import Landed
from helpers.collect.sources import days_of_orders, open_sources, stage
from helpers.collect.suggest import as_yaml, suggest
from helpers.practices import readiness

OLD = 40 * 86_400


@pytest.fixture(scope="module")
def whole_shop(home):
    """The small shop with one run."""
    folder = write_shop(home, "shop")
    write_run(Client("shop"))
    return folder


@pytest.fixture()
def shop(whole_shop, request):
    """A fresh copy of the small shop."""
    name = f"shop-{request.node.name[5:40].rstrip('_-')}"
    shutil.copytree(whole_shop, whole_shop.with_name(name))
    yield Client(name)
    shutil.rmtree(whole_shop.with_name(name))


# --- new --------------------------------------------------------------------------------------


def test_new_writes_settings_that_work_at_once(command, home):
    code, out, _err = command(
        "new",
        "acme",
        "--title",
        'Acme & "Söhne": 1',
        "--timezone",
        "Europe/Berlin",
        "--country",
        "DE",
    )
    assert code == 0
    assert "playbook check acme" in out
    client = Client("acme")
    assert (client.settings.title, client.settings.country) == ('Acme & "Söhne": 1', "DE")
    assert os.listdir(client.folder / "raw") == []
    before = client.file.read_bytes()
    code, _out, err = command("new", "acme")
    assert code == 2
    assert "there already" in err
    assert client.file.read_bytes() == before
    code, out, _err = command("check", "acme")
    assert code == 0
    assert "no files yet. Put your exports into data/acme/raw/" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"zone": "Mars/Base"}, "no time zone"),
        ({"currency": "Euro"}, "three capitals"),
        ({"country": "Germany"}, "two"),
    ],
)
def test_new_writes_nothing_for_values_that_cannot_be(home, options, says):
    with pytest.raises(PlaybookError, match=says):
        keep.new("never", **options)
    assert not (home / "data" / "never").exists()


def test_new_names_every_setting_and_each_works_when_uncommented(home):
    text = keep.new("whole", "Whole", "EUR", "Europe/Berlin").read_text(encoding="utf-8")
    uncommented = re.sub(r"(?m)^#(?=\S|  )", "", text)
    found = Settings.model_validate(yaml.safe_load(uncommented.replace("{on:", '{"on":')))
    assert set(Settings.model_fields) <= set(found.model_fields_set)
    assert found.sources["till"].model_fields_set >= set(
        type(found.sources["till"]).model_fields
    ) - {"package", "database", "query"}
    assert found.matching.model_fields_set == set(type(found.matching).model_fields)


# --- check ------------------------------------------------------------------------------------


def test_check_says_what_each_file_is_and_needs_no_matching(shop):
    found = readiness(shop)
    files = {f[0]: f for f in found.files}
    assert files["orders.csv"][1:5] == (
        "Shopify orders",
        "6",
        "csv, utf-8, comma, decimal ., day first",
        "orders, products",
    )
    assert files["profiles.csv"][1] == "Klaviyo profiles"
    assert files["visits.csv"][1:5:3] == ("not known", "not used")
    rows = dict(found.rows)
    assert (rows["orders"], rows["products"], rows["tickets"], rows["messages"]) == (
        "6",
        "1",
        "2",
        "not supplied",
    )
    assert rows["customers"].startswith("12 ")  # records: 5 buyers, 5 profiles, 2 requesters
    assert (str(found.first), str(found.last)) == ("2025-01-10", "2025-06-10")
    assert found.next_step == f"playbook run {shop.name}"


def test_check_does_not_match_people(home, monkeypatch):
    write_shop(home, "quick")
    monkeypatch.setattr(who, "identify", lambda opened: pytest.fail("matched"))
    assert readiness(Client("quick")).first


def test_check_names_what_a_header_lacks_and_what_comes_next(home, command):
    head = "Name,Email,Financial Status,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price\n"
    folder = home / "data" / "cut"
    (folder / "raw").mkdir(parents=True)
    (folder / "client.yaml").write_text(
        "schema_version: 1\ntitle: Cut\ncurrency: EUR\ntimezone: UTC\n", encoding="utf-8"
    )
    (folder / "raw" / "cut.csv").write_text(
        head + "#1,a@example.com,paid,5,2025-01-01,1,x,5\n", encoding="utf-8"
    )
    found = readiness(Client("cut"))
    assert found.first is None
    assert "Shopify orders without Currency" in found.files[0][5]
    assert found.next_step.startswith("no orders yet. Look over data/cut/suggestions.yaml")
    code, out, _err = command("check", "cut")
    assert code == 0
    guessed = "cut.csv: nearly Shopify orders without Currency; the columns that fit are taken from there: orders"
    assert guessed in out
    suggested = (folder / "suggestions.yaml").read_text(encoding="utf-8")
    assert "# cut.csv is nearly Shopify orders without Currency" in suggested.split("\nsources:")[0]
    orders = yaml.safe_load(suggested)["tables"]["orders"][0]
    assert (
        orders["columns"]["order_id"] == '"Name"'
    )  # Shopify's order number, which a plain guess takes for a person
    assert orders["columns"]["ordered_at"] == '"Created at"'
    assert set(orders["person"]) == {"record", "email"}
    short, following, *_ = out.strip().splitlines()
    total = len(found.practices)
    able = sum(p[3] == "yes" for p in found.practices)
    assert (
        short
        == f"In short: of 1 file 0 are known and 1 is not; {able} of {total} practices can run."
    )
    assert following.startswith("Next: no orders yet")


# --- suggestions ------------------------------------------------------------------------------

ORDERS = (
    "Bestellnummer;Bestelldatum;Kundennummer;Artikelnummer;Artikelbezeichnung;"
    "Warengruppe;Menge;Einzelpreis;Umsatz (EUR)\n"
    "B1;03.02.2025 09:15;K1;A1;Kerze groß;Deko;2;10,50;21,00\n"
    "B1;03.02.2025 09:15;K1;A2;Vase;Deko;1;1.099,00;1.099,00\n"
    "B2;28.02.2025 18:40;K2;A1;Kerze groß;Deko;1;10,50;9,45\n"
)
CUSTOMERS = (
    "Kundennr.;Vorname;Nachname;E-Mail-Adresse;Telefon;Straße;PLZ;Ort;Kunde seit;Newsletter;Umsatz gesamt\n"
    "K1;Anna;Schmidt;anna@example.com;0151 23456789;Weg 1;50667;Köln;05.01.2024;ja;1120,00\n"
    "K2;Jürgen;Müller;j.mueller@example.com;0151 23456780;Weg 2;50667;Köln;17.03.2024;nein;9,45\n"
)


def test_pasted_suggestions_make_a_file_usable(home, command):
    folder = home / "data" / "german"
    (folder / "raw").mkdir(parents=True)
    settings = "schema_version: 1\ntitle: G\ncurrency: EUR\ntimezone: Europe/Berlin\ncountry: DE\n"
    (folder / "client.yaml").write_text(settings, encoding="utf-8")
    (folder / "raw" / "bestellungen.csv").write_text(ORDERS, encoding="cp1252")
    (folder / "raw" / "kunden.csv").write_text(CUSTOMERS, encoding="utf-8")
    (folder / "raw" / "notes.csv").write_text("foo,bar\n1,2\n", encoding="utf-8")
    code, out, _err = command("check", "german")
    assert code == 0
    assert "bestellungen.csv: orders" in out
    assert "kunden.csv: records" in out
    suggested = (folder / "suggestions.yaml").read_text(encoding="utf-8")
    assert "# notes.csv: not like any of our tables" in suggested
    assert not re.search(
        "Anna|Müller|Kerze|example.com", suggested
    )  # headings only, nothing of the cells
    (folder / "client.yaml").write_text(settings + suggested, encoding="utf-8")
    opened = open_sources(connect(), Client("german"))
    orders = stage(opened, "orders", who.identify(opened)).order_by("source_line").to_pandas()
    assert (orders["source_unreadable"] == "").all()
    assert orders[
        ["order_id", "line_no", "product_id", "quantity", "unit_price", "revenue"]
    ].values.tolist() == [
        ["B1", 1, "A1", 2.0, 10.5, 21.0],
        ["B1", 2, "A2", 1.0, 1099.0, 1099.0],
        ["B2", 1, "A1", 1.0, 10.5, 9.45],
    ]
    assert orders["ordered_at"].astype("str").tolist() == ["2025-02-03 08:15:00"] * 2 + [
        "2025-02-28 17:40:00"
    ]
    customers = stage(opened, "customers", who.identify(opened)).to_pandas()
    assert set(orders["customer_id"]) == set(customers["customer_id"])
    assert len(customers) == 2
    records = stage(opened, "records", who.identify(opened)).order_by("source_line").to_pandas()
    assert records["consent_email"].tolist() == [True, False]
    products = stage(opened, "products", who.identify(opened)).to_pandas().set_index("product_id")
    assert products["name"].to_dict() == {"A1": "Kerze groß", "A2": "Vase"}
    days = days_of_orders(opened)["ordered_on"]
    assert [str(d)[:10] for d in (days.min(), days.max())] == ["2025-02-03", "2025-02-28"]
    (folder / "raw" / "notes.csv").unlink()
    assert readiness(Client("german")).suggestions is None
    assert not (folder / "suggestions.yaml").exists()


def guess(head, *rows):
    frame = pd.DataFrame(rows, columns=head, dtype="str")
    return suggest(
        Landed("f", "f.csv", None, None, facts={"columns": head}), frame, "Asia/Shanghai"
    )


def test_french_and_chinese_headings_are_understood():
    french = guess(
        [
            "N° de commande",
            "Date d'achat",
            "Adresse e-mail",
            "Référence",
            "Quantité",
            "Prix unitaire",
            "Remise",
        ],
        ["C1", "2025-03-01", "lea@example.com", "R1", "2", "10,00", "1,00"],
    )
    assert french.table == "orders"
    assert french.columns["order_id"] == '"N° de commande"'
    assert (
        french.columns["revenue"]
        == 'amount("Prix unitaire") * amount("Quantité") - coalesce(amount("Remise"), 0)'
    )
    assert french.person == {"record": 'lower("Adresse e-mail")', "email": '"Adresse e-mail"'}
    chinese = guess(
        ["订单编号", "下单时间", "手机号", "商品名称", "数量", "实付金额", "门店"],
        ["1", "2025-03-01 12:00:00", "13800138000", "灯", "1", "88.00", "上海"],
    )
    assert (chinese.table, chinese.columns["product_id"], chinese.timezone) == (
        "orders",
        '"商品名称"',
        "Asia/Shanghai",
    )
    assert chinese.person["phone"] == '"手机号"'


def test_content_decides_where_a_heading_does_not():
    found = guess(
        ["Beleg", "am", "wer", "Betrag", "Artikel"],
        ["1", "03.02.2025", "a@example.com", "9,50", "x"],
        ["2", "04.02.2025", "b@example.com", "1,50", "y"],
    )
    assert found.columns["ordered_at"] == '"am"'
    assert found.person["email"] == '"wer"'
    assert found.columns["quantity"] == "1"
    assert "one a line" in found.notes["quantity"]
    tax = guess(["Order", "Date", "Total tax", "Price"], ["1", "2025-02-03", "1.90", "10.00"])
    assert tax.columns["unit_price"] == '"Price"'
    doubt = tax.columns.pop("doubt")
    assert "Price may hold Total tax or not" in doubt
    assert "Total tax" not in str(tax.columns)


@pytest.mark.parametrize(
    "cells",
    [["K1003", "K1004", "K1003"], ["CUST-0007", "CUST-0011", "CUST-2"], ["1003", "1004", "7"]],
)
@pytest.mark.parametrize("heading", ["Kunde", "Client", "Kundenname", "客户"])
def test_a_column_of_codes_is_a_number_and_never_a_name(heading, cells):
    rows = [[f"B{i}", "2025-02-03", who, "9,50", "Vase"] for i, who in enumerate(cells)]
    found = guess(["Beleg", "Datum", heading, "Betrag", "Artikel"], *rows)
    assert found.person == {"record": f'"{heading}"', "ids": f'"{heading}"'}
    named = guess(
        ["Beleg", "Datum", heading, "Betrag", "Artikel"],
        *([*r[:2], "Anna Schmidt", *r[3:]] for r in rows),
    )
    assert named.person["name"] == f'"{heading}"'


def test_a_number_of_its_own_leaves_a_code_like_name_alone():
    found = guess(
        ["Beleg", "Datum", "Kundennr", "Kunde", "Betrag"], ["1", "2025-02-03", "7", "K1003", "9,50"]
    )
    assert found.person == {"record": '"Kundennr"', "ids": '"Kundennr"'}


def test_a_file_like_no_table_is_said_to_be_so():
    found = guess(["Kampagne", "Ort"], ["x", "y"])
    assert found.table == ""
    assert "skip: true" in as_yaml([found], "c")


# --- lists ------------------------------------------------------------------------------------


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_lists_hold_only_people_who_gave_consent(shop, command):
    code, out, _err = command("lists", shop.name, "--for", "email")
    assert code == 0
    assert "5 on the list, 3 written" in out
    assert "1 consent not known" in out
    assert "1 consent refused" in out
    (file,) = (shop.folder / "private" / "lists").rglob("*.csv")
    with file.open(encoding="utf-8-sig", newline="") as f:
        rows = {r["Email"]: r for r in csv.DictReader(f)}
    assert set(rows) == {"anna@example.com", "eva@example.com", "max@example.com"}
    assert rows["max@example.com"] == {
        "Email": "max@example.com",
        "First Name": "'=Max",
        "Last Name": "Großkopf",
    }
    assert file.stat().st_mode & 0o077 == 0 or os.name == "nt"


def test_people_kept_out_to_measure_are_on_no_list(shop):
    path = shop.latest / "tables" / "audiences.parquet"
    listed = pd.read_parquet(path)
    people = pd.read_parquet(shop.folder / "private" / "people" / "people.parquet")
    eva = people.loc[people["email"] == "eva@example.com", "customer_id"].item()
    listed.assign(is_holdout=listed["customer_id"] == eva).to_parquet(path)
    (done,) = keep.lists(shop, "sms")
    assert (done.on_list, done.written) == (5, 2)
    assert done.left_out["kept out to measure the effect"] == 1
    text = done.files[0].read_text(encoding="utf-8-sig")
    assert text.splitlines()[0] == "Phone Number,Country,First Name,Last Name"
    assert "'+4915123456789,DE,Anna,Schmidt" in text
    assert "Eva" not in text


def test_lists_for_ads_hold_hashes_in_each_platforms_form(shop):
    people = shop.folder / "private" / "people" / "people.parquet"
    rows = pd.read_parquet(people)
    rows["consent_ads"] = (rows["email"] == "anna@example.com").astype("boolean")
    rows.loc[rows["email"] == "anna@example.com", "email"] = "Anna.Schmidt+x@Gmail.com"
    rows.to_parquet(people)
    (done,) = keep.lists(shop, "ads")
    meta, google = (pd.read_csv(f).to_dict("records") for f in done.files)
    assert meta == [{"em": sha("anna.schmidt+x@gmail.com"), "ph": sha("4915123456789")}]
    assert google == [{"Email": sha("annaschmidt@gmail.com"), "Phone": sha("+4915123456789")}]


def test_a_list_of_nobody_is_no_file_and_takes_an_older_one_away(shop, command):
    command("lists", shop.name, "--for", "email")
    (older,) = (shop.folder / "private" / "lists").rglob("*.csv")
    people = shop.folder / "private" / "people" / "people.parquet"
    rows = pd.read_parquet(people)
    rows.assign(consent_email=False).to_parquet(people)
    code, out, _err = command("lists", shop.name, "--for", "email")
    assert code == 0
    (line,) = out.strip().splitlines()
    assert line.endswith(
        "5 on the list, nobody to write to by email, so no file; left out: 5 consent refused"
    )
    assert not older.exists()
    assert not list((shop.folder / "private" / "lists").rglob("*.csv"))


def test_lists_say_why_there_are_none(command, home, shop):
    code, _out, err = command("lists", shop.name, "--for", "pigeon")
    assert (code, "email, sms or ads" in err) == (2, True)
    (shop.folder / "private" / "people" / "people.parquet").unlink()
    code, _out, err = command("lists", shop.name, "--for", "email")
    assert (code, "no contact data" in err) == (2, True)
    (shop.folder / "latest").unlink()
    code, _out, err = command("lists", shop.name, "--for", "email")
    assert (code, f"Run playbook run {shop.name} first" in err) == (2, True)


# --- forget -----------------------------------------------------------------------------------


def everything(folder):
    """All that stands under a folder, as text by path; Parquet read as rows."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        text = path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            text = json.dumps(
                duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall(),
                default=str,
                ensure_ascii=False,
            )
        yield path.relative_to(folder).as_posix(), text.lower()


def test_a_forgotten_person_is_nowhere_but_in_raw(shop, command):
    people = pd.read_parquet(shop.folder / "private" / "people" / "people.parquet").set_index(
        "email"
    )
    anna = people.loc["anna@example.com", "customer_id"]
    tom = people.loc["tom@example.com", "customer_id"]
    older = write_run(shop, "2025-05-01-20250502T000000000", notebook=json.dumps({"cells": [anna]}))
    (shop.latest / "notebooks" / "01_collect.ipynb").write_text(
        f'"{tom} {anna}x"', encoding="utf-8"
    )
    quarantine = shop.private("quarantine") / "r.csv"
    lines = [
        ["file", "line", "original"],
        ["orders.csv", "2", "x"],
        ["orders.csv", "5", "x"],
        ["a.csv", "1", "Anna@example.com"],
    ]
    quarantine.write_text("\n".join(map(",".join, lines)), encoding="utf-8")
    held = pd.DataFrame(
        {"source_file": ["orders.csv"] * 2, "source_line": [2, 5], "original": ["anna's", "lea's"]}
    )
    held.to_parquet(older / "tables" / "quarantine.parquet")
    events = pd.DataFrame(
        {
            "visitor_id": ["v1", "v1", "v2", "v2"],
            "customer_id": [anna, None, anna, tom],
            "n": [1, 2, 3, 4],
        }
    )
    events.to_parquet(older / "tables" / "events.parquet")
    lineage = (older / "tables" / "orders.json").read_bytes()
    command("lists", shop.name, "--for", "email")
    opened = open_sources(connect(), shop)
    revenue = stage(opened, "orders", who.identify(opened)).revenue.sum().execute()

    code, out, _err = command("forget", shop.name, "--email", " Anna@Example.com")
    assert code == 0
    assert "Forgotten: 1 person" in out
    assert "Erase yourself: raw/orders.csv, line 2, 3\n" in out
    assert "Erase yourself: raw/profiles.csv, line 2\n" in out
    assert "Erase yourself: raw/tickets.csv, line 2\n" in out
    needles = [anna.lower(), "anna@example.com", "schmidt", "15123456789"]
    for path, content in everything(shop.folder):
        if (
            not path.startswith("raw/")
            and path != f"runs/{shop.latest.name}/notebooks/01_collect.ipynb"
        ):
            assert not [n for n in needles if re.search(rf"{n}(?!x)", content)], path
    assert not (older / "notebooks" / "05_plan.ipynb").exists()
    assert (older / "tables" / "orders.json").read_bytes() == lineage
    assert pd.read_parquet(older / "tables" / "quarantine.parquet")["source_line"].tolist() == [5]
    assert pd.read_parquet(older / "tables" / "events.parquet")["n"].tolist() == [4]
    assert "orders.csv,5,x" in quarantine.read_text(encoding="utf-8-sig")
    kept = pd.read_parquet(older / "tables" / "orders.parquet")  # sales of nobody, for the books
    assert (len(kept), kept["customer_id"].isna().sum(), kept["revenue"].sum()) == (6, 2, revenue)
    assert tom in set(kept["customer_id"])

    # The raw lines are still there: the next collect must not bring her back.
    opened = open_sources(connect(), Client(shop.name))
    assert len(who.identify(opened).people) == 4
    assert (
        stage(opened, "orders", who.identify(opened))
        .filter(lambda t: t.customer_id.isnull())
        .count()
        .execute()
        == 2
    )
    assert (
        who.identify(opened).people.set_index("email")["customer_id"].to_dict()["tom@example.com"]
        == tom
    )
    tickets = stage(opened, "tickets", who.identify(opened)).order_by("source_line").to_pandas()
    assert tickets["source_forgotten"].tolist() == [True, False]  # cleaning leaves that line out
    assert tickets["text"].isna().tolist() == [True, False]
    assert not stage(opened, "orders", who.identify(opened)).source_forgotten.any().execute()
    code, _out, err = command("forget", shop.name, "--email", "anna@example.com")
    assert (code, "knows nobody" in err) == (2, True)


def test_a_forgotten_person_stays_out_when_another_file_names_them(shop):
    keep.forget(shop, phone="+49 (0)151 234 567 89")
    anna = {"Requester": "A. Schmidt", "Requester id": "999", "Requester email": "ANNA@example.com"}
    case = {
        "Id": "9",
        "Subject": "hi",
        "Status": "New",
        "Created at": "2025-06-12 09:00:00",
        "Solved at": "",
    }
    again = [case | anna]
    (shop.folder / "raw" / "tickets2.csv").write_text(text(again), encoding="utf-8")
    records = who.identify(open_sources(connect(), Client(shop.name))).records
    assert not records["email"].str.lower().eq("anna@example.com").any()
    assert len(records) == 9  # 4 buyers, 4 profiles, 1 requester


def test_two_people_with_one_contact_are_not_forgotten_together(shop):
    profiles = shop.folder / "raw" / "profiles.csv"
    couple = profiles.read_text(encoding="utf-8").replace("LEA@EXAMPLE.COM", "TOM@EXAMPLE.COM")
    profiles.write_text(couple, encoding="utf-8")
    before = (shop.folder / "private" / "people" / "people.parquet").read_bytes()
    client = Client(shop.name)
    people = who.identify(open_sources(connect(), client)).records
    both = people[people["email"].str.lower() == "tom@example.com"]
    assert both["customer_id"].nunique() == 2
    with pytest.raises(PlaybookError, match="2 people share that"):
        keep.forget(client, email="tom@example.com")
    done = keep.forget(client, email="tom@example.com", phone="0151 23456780")
    assert done.people == 1
    left = who.identify(open_sources(connect(), Client(shop.name))).people
    assert "Léa" in set(
        left["first_name"]
    )  # the shared e-mail is not marked, so the other one stays
    assert "Tom" not in set(left["first_name"])
    assert before != (shop.folder / "private" / "people" / "people.parquet").read_bytes()


NOTED = """
sources:
  till: {file: till.csv}
  posts: {file: posts.csv}
  plans: {file: plans.csv}
tables:
  orders:
    source: till
    columns: {order_id: nr, line_no: "'1'", customer_id: person, ordered_at: day, product_id: "'P1'", quantity: "'1'",
      revenue: paid, gift_note: note, ship_to: place, coupon_code: code}
    person: {record: nr, email: mail, name: who, street: place}
  reviews: {source: posts, columns: {review_id: nr, text: words}}
  campaigns: {source: plans, columns: {campaign_id: nr, name: called, starts_on: day, ends_on: day, offer: code}}
  calendar: {source: plans, columns: {held_on: day, name: called}}
  coupons: {source: plans, columns: {coupon_id: code, product_id: "'P1'", campaign_id: nr}}
"""
NOTED_FILES = {
    "till.csv": "nr,mail,who,day,paid,note,place,code\n"
    "1,ana@example.com,Ana Canario,2025-01-01,5,come after six,Kerkstraat 12,ANA10\n"
    "2,bo@example.com,Bo Nielsson,2025-01-02,6,for Ana Canario,Hohe Gasse 4,SUN5\n",
    "posts.csv": "nr,words\n"
    "1,Ana Canario sold me this\n2,good lamp\n3,write to ana%40example.com\n4,write to joana@example.com\n"
    "5,ＣＡＮＡＲＩＯ\u00a0Ana rang\n",
    "plans.csv": "nr,called,day,code\nC1,Birthday of Ana Canario,2025-02-01,ANA10\nC2,Sun week,2025-03-01,SUN5\n",
}


def test_what_is_forgotten_stays_hidden_in_the_words_of_others(home):
    write_shop(home, "noted", NOTED_FILES, NOTED)
    client = Client("noted")
    texts = ("orders", "reviews", "campaigns", "calendar", "coupons")

    def staged():
        opened = open_sources(connect(), Client("noted"))
        return {
            name: stage(opened, name, who.identify(opened)).order_by("source_line").to_pandas()
            for name in texts
        }

    before = staged()
    needles = re.compile("canario|ana10|kerkstraat|after six", re.I)
    assert not any(
        rows["name"].str.contains("Canario").any()
        for rows in (before["campaigns"], before["calendar"])
    )
    folder = client.folder / "runs" / "2025-02-02-20250203T000000000" / "tables"
    folder.mkdir(parents=True)
    for name, rows in before.items():
        rows.to_parquet(folder / f"{name}.parquet")
    pd.DataFrame({"name": ["Canario, Ana came", "Sun week"]}).to_parquet(
        folder / "findings.parquet"
    )  # an older mask

    done = keep.forget(client, email="ana@example.com")
    assert done.raw["till.csv"] == [2, 3]
    assert done.raw["posts.csv"] == [2, 4, 6]  # not joana's
    assert done.raw["plans.csv"] == [2]
    stored = {path: text for path, text in everything(client.folder) if not path.startswith("raw/")}
    assert {
        path: needles.findall(text) for path, text in stored.items() if needles.search(text)
    } == {}
    assert pd.read_parquet(folder / "findings.parquet")["name"].tolist() == [
        "[name] came",
        "Sun week",
    ]

    after = staged()  # the lines still stand in raw/
    assert not needles.findall(" ".join(rows.to_csv() for rows in after.values()))
    reviews = after["reviews"]["text"].tolist()
    assert reviews == before["reviews"]["text"].tolist()
    assert (reviews[0], reviews[4]) == ("[name] sold me this", "[name] rang")
    orders = after["orders"][after["orders"]["source_file"] == "till.csv"]
    assert orders["revenue"].tolist() == [5, 6]
    assert orders[["customer_id", "gift_note", "ship_to", "coupon_code"]].isna().all(
        axis=1
    ).tolist() == [True, False]
    assert orders["gift_note"].tolist()[1] == "for [name]"
    coupons = after["coupons"]["coupon_id"].tolist()
    assert coupons[0].startswith("[code] ")
    assert coupons[1] == "SUN5"
    marks = (client.folder / "private" / "forgotten.json").read_text(encoding="utf-8")
    assert all(re.fullmatch("[0-9a-f]{24}", mark) for mark in json.loads(marks))


def test_a_forgotten_street_and_a_code_by_lot_stay_hidden(home):
    files = NOTED_FILES | {
        "till.csv": "nr,mail,who,day,paid,note,place,code\n"
        '1,ana@example.com,Ana Canario,2025-01-01,5,,"Sonnenhof 3 B, 2. OG",X7K-93QF\n'
        "2,bo@example.com,Bo Nielsson,2025-01-02,6,leave it at Sonnenhof 3b please,Hohe Gasse 4,SUN5\n"
        "3,bo@example.com,Bo Nielsson,2025-01-03,6,x7k-93qf did not work; 3 sonnenhof mugs,Hohe Gasse 4,SUN5\n"
    }
    write_shop(home, "hidden", files, NOTED)
    client = Client("hidden")

    def notes():
        opened = open_sources(connect(), Client("hidden"))
        rows = stage(opened, "orders", who.identify(opened)).order_by("source_line").to_pandas()
        return rows.loc[
            rows["source_file"] == "till.csv", ["gift_note", "coupon_code"]
        ].reset_index(drop=True)

    folder = client.folder / "runs" / "2025-02-02-20250203T000000000" / "tables"
    folder.mkdir(parents=True)
    notes().to_parquet(folder / "findings.parquet")
    assert "Sonnenhof" in notes()["gift_note"][1], "no word shows that this is a street"
    done = keep.forget(client, email="ana@example.com")
    assert done.raw["till.csv"] == [2, 3, 4]
    hidden = ["leave it at [address] please", "[code] did not work; 3 sonnenhof mugs"]
    assert pd.read_parquet(folder / "findings.parquet")["gift_note"].tolist()[1:] == hidden
    after = notes()
    assert after["gift_note"].tolist()[1:] == hidden
    assert after["coupon_code"].isna().tolist() == [True, False, False]


def test_the_own_lines_of_a_namesake_are_not_named(home):
    more = NOTED_FILES["till.csv"] + "3,other@example.org,Ana Canario,2025-01-03,7,,Weg 9,\n"
    write_shop(home, "namesake", NOTED_FILES | {"till.csv": more}, NOTED)
    done = keep.forget(Client("namesake"), email="ana@example.com")
    assert done.raw["till.csv"] == [2, 3]
    assert done.raw["posts.csv"] == [2, 4, 6]
    assert "1 more with the same name" in done.notes[0]


def test_another_key_does_not_bring_the_forgotten_back(shop, monkeypatch):
    keep.forget(shop, phone="+49 (0)151 234 567 89")
    monkeypatch.setenv("PLAYBOOK_KEY", "quite another key, long enough")
    with pytest.raises(PlaybookError, match="made with another key"):
        _ = who.identify(open_sources(connect(), shop))


def test_a_client_without_contacts_forgets_a_number(home):
    folder = home / "data" / "bare-till"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "till.csv").write_text(
        "nr,who,day,paid\n1,SHOPPER-7,2025-01-01,5\n2,SHOPPER-8,2025-01-02,6\n", encoding="utf-8"
    )
    columns = (
        "{order_id: nr, line_no: '1', customer_id: who, ordered_at: day,"
        " product_id: nr, quantity: '1', revenue: paid}"
    )
    settings = "schema_version: 1\ntitle: B\ncurrency: EUR\ntimezone: UTC\nsources: {till: {file: till.csv}}\n"
    (folder / "client.yaml").write_text(
        f"{settings}tables: {{orders: {{source: till, columns: {columns}}}}}\n", encoding="utf-8"
    )
    tables = folder / "runs" / "r" / "tables"
    tables.mkdir(parents=True)
    pd.DataFrame({"customer_id": ["SHOPPER-7", "SHOPPER-8"]}).to_parquet(
        tables / "segments.parquet"
    )
    done = keep.forget(Client("bare-till"), number="SHOPPER-7")
    assert pd.read_parquet(tables / "segments.parquet")["customer_id"].tolist() == ["SHOPPER-8"]
    assert done.raw == {"till.csv": [2]}
    opened = open_sources(
        connect(), Client("bare-till")
    )  # the line is still there: its number stays out
    assert stage(opened, "orders", who.identify(opened)).order_by(
        "source_line"
    ).customer_id.to_list() == [None, "SHOPPER-8"]
    with pytest.raises(PlaybookError, match="say --number"):
        keep.forget(Client("bare-till"), email="a@example.com")


# --- clean-up ---------------------------------------------------------------------------------


def age(path, seconds=OLD):
    os.utime(path, (time.time() - seconds,) * 2)


def test_clean_up_removes_what_is_due_and_nothing_else(shop, command):
    ids = (
        pd.read_parquet(shop.folder / "private" / "people" / "people.parquet")
        .set_index("email")["customer_id"]
        .to_dict()
    )
    keep.lists(shop, "email")
    shop.file.write_text(shop.file.read_text(encoding="utf-8") + "keep_runs: 1\n", encoding="utf-8")
    for i, name in enumerate(["2024-01-01-a", "2024-01-02-b"]):
        folder = write_run(Client(shop.name), name)
        age(folder, OLD - i)
    write_run(Client(shop.name), "2025-07-01-c")
    shop = Client(shop.name)
    lab = shop.folder / "runs" / "lab" / "tables"
    lab.mkdir(parents=True)
    (lab / "x.csv").write_bytes(b"1")
    part = shop.latest / "tables" / "y.part"
    part.write_bytes(b"22")
    spilled = shop.latest / "spill-999999999-1-1"  # of a process that is no more
    spilled.mkdir()
    (spilled / "duckdb_temp_storage-0.tmp").write_bytes(b"4444")
    raw = shop.folder / "raw" / "export.part"  # nothing is ever touched there
    raw.write_bytes(b"333")
    age(raw)
    fresh = shop.private("lists", "today") / "z.csv"
    fresh.write_text("x", encoding="utf-8")
    for path in [*shop.private().rglob("*"), lab / "x.csv", lab, lab.parent, part]:
        if path != fresh:
            age(path)

    before = dict(everything(shop.folder))
    code, out, _err = command("clean-up", shop.name, "--dry-run")
    assert (code, "would be removed" in out) == (0, True)
    assert dict(everything(shop.folder)) == before
    code, out, _err = command("clean-up", shop.name)
    assert code == 0
    for why in (
        "older than 30 days",
        "half-written",
        "the lab",
        "1 newer runs exist",
        "a run that was killed",
    ):
        assert why in out
    left = {p for p, _ in everything(shop.folder)}
    assert "raw/export.part" in left
    assert {p for p in left if p.startswith("private/")} == {
        "private/key",
        "private/people/ids.parquet",
        "private/lists/today/z.csv",
    }
    assert {p for p in left if "2024-01-01-a" in p} == {
        "runs/2024-01-01-a/run.json",
        "runs/2024-01-01-a/tables/audiences.parquet",
    }
    assert "runs/2025-07-01-c/tables/orders.parquet" in left
    assert not [p for p in left if "spill-" in p]
    assert [p for p in left if p.startswith("runs/lab") or p.endswith(".part")] == [
        "raw/export.part"
    ]
    assert {p for p in left if p.startswith("raw/")} == {p for p in before if p.startswith("raw/")}
    code, out, _err = command("clean-up", shop.name)
    assert "nothing is due" in out

    # The contact data are gone, yet people keep their pseudonyms, whatever the records are called today.
    again = who.identify(open_sources(connect(), Client(shop.name))).people
    assert again.set_index("email")["customer_id"].to_dict() == ids
    assert not re.search(
        "example|schmidt",
        json.dumps(pd.read_parquet(shop.folder / "private/people/ids.parquet").values.tolist()),
    )


def test_what_belongs_together_expires_together(shop):
    landing, people = shop.private("landing"), shop.private("people")
    one = next(landing.glob("*.parquet"))
    for path in (one, people / "summary.parquet"):
        age(path)
    keep.clean_up(shop)
    assert not one.exists()
    assert not one.with_suffix(".json").exists()
    assert os.listdir(people) == ["ids.parquet"]
    assert len(list(landing.glob("*.parquet"))) == 3
    assert len(who.identify(open_sources(connect(), Client(shop.name))).people) == 5


def test_clean_up_without_a_name_looks_at_every_client(shop, command):
    code, out, _err = command("clean-up", "--dry-run")
    assert code == 0
    assert f"{shop.name}: nothing is due" in out
    assert "grocer: " in out


# --- demo twin --------------------------------------------------------------------------------


def test_demo_twin_writes_files_and_says_what_comes_next(home, command, tmp_path):
    code, out, _err = command(
        "demo", "twin", "--customers", "30", "--seed", "2", "--out", str(tmp_path / "t")
    )
    assert code == 0
    assert len(list((tmp_path / "t" / "raw").iterdir())) > 10
    assert "Copy it to data/<client>/" in out
    assert len(PEOPLE) == 5

"""A small client of hand-made exports, for the tests of privacy and of the commands."""

import csv
import io
import json

from helpers import tables
from helpers.client import Client, connect
from helpers.collect import who
from helpers.collect.sources import open_sources, stage

SETTINGS = "schema_version: 1\ntitle: Shop\ncurrency: EUR\ntimezone: Europe/Berlin\ncountry: DE\n"
PEOPLE = [
    {
        "first": "Anna",
        "last": "Schmidt",
        "email": "anna@example.com",
        "phone": "0151 23456789",
        "consent": "SUBSCRIBED",
    },
    {
        "first": "Tom",
        "last": "Weißgerber",
        "email": "tom@example.com",
        "phone": "0151 23456780",
        "consent": "UNSUBSCRIBED",
    },
    {
        "first": "Léa",
        "last": "Dupontel",
        "email": "lea@example.com",
        "phone": "0151 23456781",
        "consent": "NEVER_SUBSCRIBED",
    },
    {
        "first": "Eva",
        "last": "Braunfels",
        "email": "eva@example.com",
        "phone": "0151 23456782",
        "consent": "SUBSCRIBED",
    },
    {
        "first": "=Max",
        "last": "Großkopf",
        "email": "max@example.com",
        "phone": "0151 23456783",
        "consent": "SUBSCRIBED",
    },
]


def text(rows):
    out = io.StringIO()
    csv.writer(out).writerows([list(rows[0]), *(r.values() for r in rows)])
    return out.getvalue()


def orders():
    """Six orders: two of Anna's, one of each of the others."""
    for i, p in enumerate([PEOPLE[0], *PEOPLE]):
        yield {
            "Name": f"#{1001 + i}", "Email": p["email"], "Financial Status": "paid", "Accepts Marketing": "",
            "Currency": "EUR", "Subtotal": "20.00", "Shipping": "0", "Taxes": "0", "Total": "20.00",
            "Created at": f"2025-0{i + 1}-10 10:00:00 +0100", "Lineitem quantity": "2", "Lineitem name": "Candle",
            "Lineitem price": "10.00", "Lineitem sku": "C1", "Billing Name": f"{p['first']} {p['last']}",
            "Billing Address1": f"Weg {i}", "Billing Zip": "50667", "Billing City": "Köln", "Billing Country": "DE",
            "Billing Phone": p["phone"], "Notes": "please ring 0151 99999990 before you come to us",
        }  # fmt: skip


def profiles():
    for i, p in enumerate(PEOPLE):
        yield {
            "Email": p["email"].upper(), "Klaviyo ID": f"01K{i}", "First Name": p["first"], "Last Name": p["last"],
            "Phone Number": "+49" + p["phone"].replace(" ", "")[1:], "Zip Code": "50667", "City": "Köln",
            "Email Marketing Consent": p["consent"], "SMS Marketing Consent": p["consent"],
            "Profile Created On": "2024-01-05 10:00:00",
        }  # fmt: skip


def tickets():
    says = ["Anna Schmidt here: write to anna@example.com", "Order #1002 late, since 12.05.2025"]
    for i, subject in enumerate(says):
        p = PEOPLE[i]
        yield {
            "Id": str(i + 1), "Requester": f"{p['first']} {p['last']}", "Requester id": f"90{i}",
            "Requester email": p["email"], "Assignee": "Ida Klee", "Subject": subject, "Status": "Solved",
            "Created at": "2025-05-12 09:00:00", "Solved at": "2025-05-13 09:00:00",
        }  # fmt: skip


def visits():
    for i in range(20):
        note = (
            "paid with 4111 1111 1111 1111 at the desk today"
            if i == 1
            else "came back to look at the blue lamp"
        )
        yield {
            "client_ip": f"84.17.3.{i}",
            "note": note,
            "order_ref": str(4003600000000014 + 7 * i),
        }


def write_shop(home, name, more=None, settings=""):
    """Write the client's settings and raw files; `more` are further files by name."""
    folder = home / "data" / name
    (folder / "raw").mkdir(parents=True)
    (folder / "client.yaml").write_text(SETTINGS + settings, encoding="utf-8")
    files = {
        "orders.csv": orders,
        "profiles.csv": profiles,
        "tickets.csv": tickets,
        "visits.csv": visits,
    }
    for file, make in files.items():
        (folder / "raw" / file).write_text(text(list(make())), encoding="utf-8")
    for file, content in (more or {}).items():
        (folder / "raw" / file).write_text(content, encoding="utf-8")
    return folder


def opened_shop(home, name, more=None, settings=""):
    write_shop(home, name, more, settings)
    return open_sources(connect(), Client(name))


def write_run(client, run_id="2025-06-10-20250611T000000000", notebook=""):
    """A run of the client as the first step leaves it, with lists of everybody and one executed notebook."""
    folder = client.folder / "runs" / run_id
    for part in ("tables", "notebooks"):
        (folder / part).mkdir(parents=True)
    opened = open_sources(connect(), client)
    everybody = who.identify(opened)
    for name in ("orders", "customers", "records", "tickets"):
        rows = tables.conform(stage(opened, name, everybody), name).to_pandas()
        rows.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
        (folder / "tables" / f"{name}.json").write_text(
            json.dumps({"table": name, "rows": len(rows)}), encoding="utf-8"
        )
    people = everybody.people["customer_id"].sort_values()
    listed = people.to_frame().assign(
        audience="best", reason="buys often", consent="given", is_holdout=False
    )
    listed.to_parquet(folder / "tables" / "audiences.parquet", index=False)
    (folder / "notebooks" / "05_plan.ipynb").write_text(notebook, encoding="utf-8")
    (folder / "run.json").write_text("{}", encoding="utf-8")
    (client.folder / "latest").write_text(run_id + "\n", encoding="utf-8")
    return folder

"""Well-known exports: hand-made samples with the traps of each system, and the canonical rows that must come out."""

import csv
import json
import re
from datetime import date

import pandas as pd
import pytest

from helpers import tables
from helpers.client import Client, connect
from helpers.collect import identity, who
from helpers.collect.catalogue import control_totals
from helpers.collect.presets import presets, recognise
from helpers.collect.sources import open_sources, source_cards, stage

SECRETS = [
    "anna",
    "bolt",
    "carla",
    "diaz",
    "@example",
    "0151 234",
    "1512345",
    "hauptstr",
    "138 0013",
    "13800138000",
]


def same_number(records, settings, country):
    """Match people by their numbers alone: how well people are matched is another test's business."""
    first = records["record"].groupby(records["ids"].fillna(records["record"])).transform("min")
    people = pd.DataFrame(
        {"record": records["record"], "person": first, "how": "alone", "score": 1.0}
    )
    doubtful = pd.DataFrame(columns=["record_a", "record_b", "score", "why"], dtype="str")
    return identity.Matched(
        people, doubtful, pd.DataFrame({"stage": ["records"], "people": [len(people)]})
    )


@pytest.fixture
def bring(home, request, monkeypatch):
    """Make a client of these files and open its sources."""
    monkeypatch.setattr(identity, "match", same_number)
    monkeypatch.setenv("PLAYBOOK_KEY", "a key for the tests alone")

    def make(files, currency="EUR", zone="Europe/Berlin", country="DE", more=""):
        folder = (
            home
            / "data"
            / f"preset-{abs(hash(request.node.name))}-{len(list((home / 'data').iterdir()))}"
        )
        (folder / "raw").mkdir(parents=True)
        settings = f"schema_version: 1\ntitle: T\ncurrency: {currency}\ntimezone: {zone}\ncountry: {country}\n{more}"
        (folder / "client.yaml").write_text(settings, encoding="utf-8")
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode("utf-8")
            (folder / "raw" / name).write_bytes(data)
        return open_sources(connect(), Client(folder.name))

    return make


def table(opened, name):
    """The staged rows in the order of their lines; nobody's name, e-mail or phone is among them."""
    rows = stage(opened, name, who.identify(opened)).to_pandas()
    by = [
        c for c in ("source_order", "line_no") if c in rows
    ]  # a line of the file may hold several lines of an order
    rows = rows.sort_values(by, kind="stable").reset_index(drop=True)
    said = rows.drop(columns=["source_unreadable", "source_name", "source_file"]).to_csv().lower()
    assert [s for s in SECRETS if s in said] == []
    return rows


def cells(rows, columns):
    """Some columns as a list of tuples, times as text, empty cells as None."""

    def plain(value):
        if pd.isna(value):
            return None
        if isinstance(value, pd.Timestamp):
            return str(value).removesuffix(" 00:00:00")
        return round(value, 4) if isinstance(value, float) else value

    return [tuple(plain(v) for v in row) for row in rows[columns.split()].itertuples(index=False)]


def persons(opened, columns):
    """What is known of each person, in the order of their records."""
    records = who.identify(opened).records.sort_values("record").reset_index(drop=True)
    return cells(records, columns)


LOYVERSE = """\
Date,Receipt number,Receipt type,Category,SKU,Item,Variant,Modifiers applied,Quantity,Gross sales,Discounts,Net sales,\
Cost of goods,Gross profit,Taxes,POS,Store,Cashier name,Customer name,Customer contacts,Comment,Status
2026-07-01 23:30,1-1001,Sale,Kitchen,K-1,Mug,Blue,,2.000,23.80,0.00,23.80,8.00,15.80,3.80,POS 1,Köln,Eva,Anna Bolt,anna@example.com,,Closed
2026-07-01 23:30,1-1001,Sale,Kitchen,,Towel,,,1.000,11.90,1.19,10.71,4.00,6.71,1.71,POS 1,Köln,Eva,Anna Bolt,anna@example.com,,Closed
2026-07-02 10:00,1-1002,Refund,Kitchen,K-1,Mug,Blue,,1.000,11.90,0.00,11.90,4.00,7.90,1.90,POS 1,Köln,Eva,Anna Bolt,anna@example.com,,Closed
2026-07-02 11:00,1-1003,Sale,Kitchen,K-1,Mug,Blue,,1.000,11.90,0.00,11.90,4.00,7.90,1.90,POS 1,Köln,Eva,,,,Cancelled
2026-07-02 12:00,1-1004,Sale,Kitchen,K-1,Mug,Blue,,one,11.90,0.00,11.90,4.00,7.90,1.90,POS 1,Köln,Eva,,0151 2345678,,Closed
2026-07-02 12:00,1-1005,Sale,Kitchen,K-1,Mug
"""  # noqa: E501


def test_loyverse(bring):
    opened = bring({"till.csv": LOYVERSE})
    rows = table(opened, "orders")
    assert cells(
        rows,
        "order_id line_no ordered_at ordered_on product_id quantity unit_price discount revenue",
    ) == [
        ("1-1001", 1, "2026-07-01 21:30:00", "2026-07-01", "K-1", 2.0, 10.0, 0.0, 20.0),
        ("1-1001", 2, "2026-07-01 21:30:00", "2026-07-01", "Towel", 1.0, 10.0, 1.0, 9.0),
        ("1-1002", 1001, "2026-07-02 08:00:00", "2026-07-02", "K-1", -1.0, 10.0, 0.0, -10.0),
        ("1-1003", 1, "2026-07-02 09:00:00", "2026-07-02", "K-1", 1.0, 10.0, 0.0, 10.0),
        ("1-1004", 1, "2026-07-02 10:00:00", "2026-07-02", "K-1", None, None, 0.0, 10.0),
        ("1-1005", 1, "2026-07-02 10:00:00", "2026-07-02", "K-1", None, None, None, None),
    ]
    assert cells(rows, "cost channel store_id is_return")[2] == (-4.0, "store", "Köln", True)


def test_loyverse_people_and_products(bring):
    opened = bring({"till.csv": LOYVERSE})
    rows = table(opened, "orders").set_index("order_id")
    assert rows["customer_id"].isna().to_dict() == {
        "1-1001": False,
        "1-1002": False,
        "1-1003": True,
        "1-1004": False,
        "1-1005": True,
    }
    assert persons(opened, "record email phone name") == [
        ("loyverse_receipts|0151 2345678", None, "0151 2345678", None),
        ("loyverse_receipts|anna@example.com|anna bolt", "anna@example.com", None, "Anna Bolt"),
    ]
    products = stage(opened, "products", who.identify(opened)).to_pandas().sort_values("product_id")
    assert cells(products, "product_id name category unit_cost list_price") == [
        ("K-1", "Mug / Blue", "Kitchen", 4.0, 11.9),
        ("Towel", "Towel", "Kitchen", 4.0, 11.9),
    ]


def test_loyverse_where_tax_comes_on_top(bring):
    text = LOYVERSE.replace("2026-07-01 23:30", "7/13/26 11:30 PM")
    rows = table(
        bring({"till.csv": text}, currency="USD", zone="America/New_York", country="US"), "orders"
    )
    assert cells(rows[:1], "ordered_at ordered_on unit_price revenue") == [
        ("2026-07-14 03:30:00", "2026-07-13", 11.9, 23.8)
    ]


def act(second, name, visitor="11.22", /, items=None, user=None, **params):
    """One event as BigQuery writes it, so many seconds after 22:00 UTC on 1 July 2026."""
    kinds = {str: "string_value", int: "int_value", float: "double_value"}
    said = [
        {"key": k, "value": {kinds[type(v)]: str(v) if isinstance(v, int) else v}}
        for k, v in params.items()
    ]
    event = {
        "event_date": "20260701",
        "event_timestamp": str(1782943200000000 + second * 1_000_000),
        "event_name": name,
    }
    event |= {"event_params": said, "user_pseudo_id": visitor, "device": {"category": "mobile"}}
    return (
        event
        | ({"items": [{"item_id": i} for i in items]} if items else {})
        | ({"user_id": user} if user else {})
    )


CLICK = {"manual_campaign": {"source": "google", "medium": "cpc", "campaign_name": "Mugs"}}
GA4 = [
    act(0, "session_start", ga_session_id=77, ga_session_number=1)
    | {"traffic_source": {"source": "newsletter", "medium": "email", "name": "July"}},
    act(
        1,
        "view_item",
        items=["K-1", "K-2"],
        ga_session_id=77,
        page_location="https://shop.example/mug?m=anna@example.com#a",
    )
    | {"session_traffic_source_last_click": CLICK},
    act(1, "view_item", items=["(not set)"], ga_session_id=77),
    act(2, "purchase", user="C-100", transaction_id="#1001", currency="USD", value=20.0)
    | {"user_first_touch_timestamp": "1782860000000000"},
    act(100, "purchase", transaction_id="#1001"),
    act(3, "page_view", "33.44", user="C-100"),
    act(4, "page_view", "33.44", user="C-200"),
    act(5, "search", "33.44", search_term="mug", traffic_type="internal"),
    act(6, "page_view", None) | {"event_timestamp": "soon"},
]


def json_lines(things):
    return "".join(json.dumps(t) + "\n" for t in things)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_ga4_events(bring, kind, tmp_path):
    if kind == "jsonl":
        files = {"events.jsonl": json_lines(GA4) + '{"event_date": "20260701", "broken'}
    else:
        lines, place = tmp_path / "e.jsonl", tmp_path / "e.parquet"
        lines.write_text(json_lines(GA4), encoding="utf-8")
        connect().con.sql(f"SELECT * FROM read_json('{lines}')").write_parquet(str(place))
        files = {"e.parquet": place.read_bytes()}
    opened = bring(files, more="exchange_rates: {USD: 0.5}")
    rows = table(opened, "events")
    assert cells(
        rows[:9], "occurred_at event_name product_id page source medium campaign_id order_id value"
    ) == [
        (
            "2026-07-01 22:00:00",
            "session_start",
            None,
            None,
            "newsletter",
            "email",
            "July",
            None,
            None,
        ),
        (
            "2026-07-01 22:00:01",
            "view_item",
            "K-1",
            "https://shop.example/mug",
            "google",
            "cpc",
            "Mugs",
            None,
            None,
        ),
        ("2026-07-01 22:00:01", "view_item", None, None, None, None, None, None, None),
        ("2026-07-01 22:00:02", "purchase", None, None, None, None, None, "#1001", 10.0),
        ("2026-07-01 22:01:40", "purchase", None, None, None, None, None, "#1001", None),
        ("2026-07-01 22:00:03", "page_view", None, None, None, None, None, None, None),
        ("2026-07-01 22:00:04", "page_view", None, None, None, None, None, None, None),
        ("2026-07-01 22:00:05", "search", None, None, None, None, None, None, None),
        (None, "page_view", None, None, None, None, None, None, None),
    ]
    assert rows["purchase_again"].tolist() == [i == 4 for i in range(len(rows))]
    assert rows["is_internal"].tolist() == [i == 7 for i in range(len(rows))]
    assert rows["search_term"].tolist()[7] == "mug" and rows["device"].tolist()[:2] == [
        "mobile",
        "mobile",
    ]
    assert rows["event_id"].is_unique and rows["event_id"].notna().all()
    assert (
        rows["visitor_id"].nunique() == 2
        and not rows["visitor_id"].str.contains("11.22", regex=False).any()
    )
    assert rows["session_id"][0] == rows["visitor_id"][0] + "-77"
    first, second = rows["customer_id"][0], rows["customer_id"][6]
    assert (
        rows["customer_id"][:8].fillna("").tolist() == [first] * 5 + [first, second, ""]
        and first != second
    )
    assert persons(opened, "record ids since_at") == [
        ("ga4_events|C-100", "C-100", "2026-06-30 22:53:20"),
        ("ga4_events|C-200", "C-200", None),
    ]
    assert len(hit(opened, "ga4_events", "purchase counted twice")) == 1
    assert len(hit(opened, "ga4_events", "visits of the own staff")) == 1
    if kind == "jsonl":
        assert len(rows) == 10 and rows["source_unreadable"][9].startswith("not readable as JSON")


def test_long_json_loses_no_record(bring):
    opened = bring({"events.jsonl": json_lines(GA4[:1] * 500)})
    assert opened.landed[0].facts["lines"] == 500


GOOGLE = """\
Campaign report
"July 1, 2026 - July 2, 2026"
Campaign state,Campaign,Campaign type,Day,Currency code,Cost,Impr.,Clicks,CTR,Conversions,Conv. value
Enabled,Mugs,Search,2026-07-01,USD,"1,010.00","12,000",300,2.50%,10.50,"2,100.00"
Paused,Towels,Search,2026-07-02,USD,20.50, --,10,1.00%, --, --
Enabled,Mugs,Search,2026-07-02,USD,n/a,100,3,3.00%,0.00,0.00
Enabled,Mugs,Search
Total: Campaigns, --, --, --,USD,"1,030.50","12,100",313,2.50%,10.50,"2,100.00"
Total: Account, --, --, --,USD,"1,130.50","13,100",323,2.50%,12.50,"2,100.00"
"""


def test_google_ads(bring):
    opened = bring({"ads.csv": GOOGLE}, more="exchange_rates: {USD: 0.5}")
    rows = table(opened, "spend")
    measures = (
        "spent_on channel campaign_id cost impressions clicks conversions conversion_value days"
    )
    assert cells(rows, measures) == [
        ("2026-07-01", "google ads", "Mugs", 505.0, 12000.0, 300.0, 10.5, 1050.0, 1),
        ("2026-07-02", "google ads", "Towels", 10.25, None, 10.0, None, None, 1),
        ("2026-07-02", "google ads", "Mugs", None, 100.0, 3.0, 0.0, 0.0, 1),
        ("2026-07-01", "google ads", "Mugs", None, None, None, None, None, 1),
    ]
    assert rows["source_unreadable"].tolist()[1:3] == ["", "cost: n/a"]
    assert rows["source_unreadable"][3] == "3 cells where the header has 11"
    facts = opened.landed[0].facts
    assert (facts["layout"], facts["preset_layout"], facts["lines"]) == (3, 2, 6)
    totals = control_totals(opened).set_index("measure")
    assert cells(totals, "expected ours agrees") == [
        (1030.5, 1030.5, True),
        (313.0, 313.0, True),
        (12100.0, 12100.0, True),
        (10.5, 10.5, True),
    ]


def test_google_ads_without_days(bring):
    """The figures of a whole period are spread over its days; German headings, decimal commas, UTF-16, tabs."""
    text = (
        "Kampagnenbericht\n1. Juli 2026 – 4. Juli 2026\n"
        "Kampagnenstatus\tKampagne\tWährungscode\tKlicks\tImpr.\tKosten\n"
        "Aktiviert\tTassen\tEUR\t8\t1.000\t1.010,50\nGesamt: Kampagnen\t --\tEUR\t8\t1.000\t1.010,50\n"
    )
    opened = bring({"bericht.csv": text.encode("utf-16")})
    rows = table(opened, "spend")
    assert cells(rows, "spent_on campaign_id cost clicks days") == [
        (f"2026-07-0{day}", "Tassen", 252.625, 2.0, 4) for day in (1, 2, 3, 4)
    ]
    assert set(rows["source_line"]) == {4} and rows["source_unreadable"].eq("").all()
    assert control_totals(opened).set_index("measure")["ours"].tolist()[0] == 1010.5


META = """\
Reporting starts,Reporting ends,Day,Campaign name,Campaign ID,Ad set name,Results,Result indicator,Reach,Amount spent (USD),Impressions,\
Link clicks,Purchases,Purchases conversion value
2026-07-01,2026-07-02,,,,,,,900,30.50,3000,30,3,90.00
2026-07-01,2026-07-01,2026-07-01,Summer,1.20253E+17,Women,2,purchase,500,10.25,1000,10,2,60.00
2026-07-02,2026-07-02,2026-07-02,Summer,1.20253E+17,Women,1,purchase,500,20.25,2000,20,1,30.00
2026-07-02,2026-07-02,2026-07-02,Summer,1.20253E+17,Men,,purchase,100,much,,,,
"""  # noqa: E501


def test_meta_ads(bring):
    opened = bring({"meta.csv": META}, more="exchange_rates: {USD: 0.5}")
    rows = table(opened, "spend")
    measures = (
        "spent_on channel campaign_id cost impressions reach clicks conversions conversion_value"
    )
    assert cells(rows, measures) == [
        ("2026-07-01", "meta ads", "Summer / Women", 5.125, 1000.0, 500.0, 10.0, 2.0, 30.0),
        ("2026-07-02", "meta ads", "Summer / Women", 10.125, 2000.0, 500.0, 20.0, 1.0, 15.0),
        ("2026-07-02", "meta ads", "Summer / Men", None, None, 100.0, None, None, None),
    ]
    assert rows["currency"].tolist() == ["USD"] * 3 and rows["source_unreadable"].tolist() == [
        "",
        "",
        "cost: much",
    ]
    assert opened.landed[0].facts["preset_layout"] == 1
    totals = control_totals(opened)
    assert cells(totals, "expected ours agrees") == [
        (30.5, 30.5, True),
        (3000.0, 3000.0, True),
        (30.0, 30.0, True),
    ]


def test_meta_ads_over_several_days(bring):
    text = (
        "Berichtsstart;Berichtsende;Kampagnenname;Ausgegebener Betrag (EUR);Impressionen;Reichweite\n"
        "01.07.2026;02.07.2026;;9,00;90;50\n01.07.2026;02.07.2026;Sommer;9,00;90;50\n"
    )
    rows = table(bring({"meta.csv": text}), "spend")
    assert cells(rows, "spent_on campaign_id cost impressions currency days") == [
        ("2026-07-01", "Sommer", 4.5, 45.0, "EUR", 2),
        ("2026-07-02", "Sommer", 4.5, 45.0, "EUR", 2),
    ]


KLAVIYO_CAMPAIGNS = """\
Campaign Name,Tags,Subject,List,Send Time,Send Weekday,Total Recipients,Unique Placed Order,Placed Order Rate,Revenue,Unique Opens,\
Open Rate,Total Opens,Unique Clicks,Click Rate,Total Clicks,Unsubscribes,Spam Complaints,Spam Complaints Rate,Successful Deliveries,\
Bounces,Bounce Rate,Campaign ID,Campaign Channel
July news,,Summer is here,Newsletter,2026-07-01 00:30:00,Wednesday,"1,000",12,1.2%,"1,234.50",400,40%,500,50,5%,60,3,1,0.1%,990,10,1%,01HX,Email
July text,,,VIP,2026-07-02 18:00:00,Thursday,100,1,1%,20.00,,,,5,5%,5,0,0,0%,100,0,0%,01HY,SMS
No day,,,VIP,,Thursday,100,1,1%,20.00,,,,5,5%,5,0,0,0%,100,0,0%,01HZ,SMS
"""  # noqa: E501


def test_klaviyo_campaigns(bring):
    rows = table(bring({"mails.csv": KLAVIYO_CAMPAIGNS}), "campaigns")
    columns = "campaign_id name channel starts_on ends_on audience sent_at sends opens clicks claimed_revenue"
    assert cells(rows, columns) == [
        (
            "01HX",
            "July news",
            "email",
            "2026-07-01",
            "2026-07-01",
            "Newsletter",
            "2026-06-30 22:30:00",
            1000.0,
            400.0,
            50.0,
            1234.5,
        ),
        (
            "01HY",
            "July text",
            "sms",
            "2026-07-02",
            "2026-07-02",
            "VIP",
            "2026-07-02 16:00:00",
            100.0,
            None,
            5.0,
            20.0,
        ),
        ("01HZ", "No day", "sms", None, None, "VIP", None, 100.0, None, 5.0, 20.0),
    ]


KLAVIYO_PROFILES = """\
Email,Klaviyo ID,First Name,Last Name,Organization,Title,Phone Number,Address,Address 2,City,State / Region,Country,Zip Code,\
Latitude,Longitude,Source,Email Marketing Consent,First Active,Last Active,Profile Created On,Date Added,Customer Number
Anna@Example.com,01A,Anna,Bolt,,,'+491512345678,Hauptstr. 1,,Köln,NRW,Germany,'01067,,,,SUBSCRIBED,,,2026-01-01 10:00:00,,C-100
carla@example.com,01B,Carla,Diaz,,,,,,,,,,,,,NEVER_SUBSCRIBED,,,2026-01-02 10:00:00,,
d@example.com,01C,,,,,,,,,,,,,,,UNSUBSCRIBED,,,2026-01-03 10:00:00,,
e@example.com,01D,,,,,,,,,,,,,,,maybe,,,2026-01-04 10:00:00,,
"""  # noqa: E501


def test_klaviyo_profiles(bring):
    opened = bring({"people.csv": KLAVIYO_PROFILES})
    rows = table(opened, "records")
    assert cells(rows, "since_at consent_email source_unreadable") == [
        ("2026-01-01 09:00:00", True, ""),
        ("2026-01-02 09:00:00", None, ""),
        ("2026-01-03 09:00:00", False, ""),
        ("2026-01-04 09:00:00", None, "consent_email: maybe"),
    ]
    assert (
        rows["record_id"].is_unique
        and rows["customer_id"].is_unique
        and rows["customer_id"].notna().all()
    )
    known = persons(
        opened, "record email phone first_name last_name street zip city ids consent_email"
    )
    assert known[0] == (
        "klaviyo_profiles|01A",
        "anna@example.com",
        "+491512345678",
        "Anna",
        "Bolt",
        "Hauptstr. 1",
        "01067",
        "Köln",
        "C-100",
        True,
    )
    assert sorted(
        stage(opened, "customers", who.identify(opened)).to_pandas()["consent_email"].dropna()
    ) == [False, True]


SURVEYMONKEY = """\
Respondent ID,Collector ID,Start Date,End Date,IP Address,Email Address,First Name,Last Name,Custom Data 1,\
How likely is it that you would recommend us?,How satisfied are you with the delivery?,What did you buy?,,Anything else?,Your phone number
,,,,,,,,,Response,Response,Mugs,Towels,Open-Ended Response,Open-Ended Response
9001,1,07/13/2026 09:00:00 AM,07/13/2026 09:05:00 PM,10.0.0.1,anna@example.com,Anna,Bolt,C-100,10 - Extremely likely,Very satisfied,Mugs,Towels,Lovely,0151 2345678
9002,1,07/14/2026 09:00:00 AM,07/14/2026 09:05:00 AM,10.0.0.2,,,,,0,Dissatisfied,,Towels,,
9003,1,07/15/2026 09:00:00 AM,07/15/2026 09:05:00 AM,10.0.0.3,,,,,,,,,,
9004,1,07/15/2026 09:00:00 AM
"""  # noqa: E501


def test_surveymonkey(bring):
    opened = bring({"survey.csv": SURVEYMONKEY})
    rows = table(opened, "surveys")
    assert set(rows["source_line"]) == {3, 4, 5, 6}
    rows = rows.sort_values(["source_line", "question_id"])
    satisfied = "How satisfied are you with the delivery?"
    recommend = "How likely is it that you would recommend us?"
    columns = "response_id question_id question kind scale_max score choice comment"
    assert cells(rows[rows["source_line"] < 5], columns) == [
        ("9001", "Anything else?", "Anything else?", "text", None, None, None, "Lovely"),
        ("9001", recommend, recommend, "nps", 10.0, 10.0, None, None),
        ("9001", satisfied, satisfied, "csat", 5.0, 5.0, None, None),
        (
            "9001",
            "What did you buy? - Mugs",
            "What did you buy?",
            "choice",
            None,
            None,
            "Mugs",
            None,
        ),
        (
            "9001",
            "What did you buy? - Towels",
            "What did you buy?",
            "choice",
            None,
            None,
            "Towels",
            None,
        ),
        ("9002", recommend, recommend, "nps", 10.0, 0.0, None, None),
        ("9002", satisfied, satisfied, "csat", 5.0, 2.0, None, None),
        (
            "9002",
            "What did you buy? - Towels",
            "What did you buy?",
            "choice",
            None,
            None,
            "Towels",
            None,
        ),
    ]
    assert cells(
        rows[rows["source_line"] > 4], "response_id question_id is_empty source_unreadable"
    ) == [
        ("9003", "(no answer)", True, ""),
        ("9004", "(no answer)", True, "3 cells where the header has 15"),
    ]
    assert str(rows["answered_at"].iloc[0]) == "2026-07-13 19:05:00"
    assert rows.loc[rows["response_id"] == "9001", "customer_id"].nunique() == 1
    assert rows.loc[rows["response_id"] != "9001", "customer_id"].isna().all()
    assert persons(opened, "email phone name ids") == [
        ("anna@example.com", "0151 2345678", "Anna Bolt", "C-100")
    ]


WENJUANXING = """\
序号,提交答卷时间,所用时间,来源,来源详情,来自IP,1、您有多大可能向朋友推荐我们？,2、您对配送满意吗？,3、您买了什么？,4、您的建议,5、您的手机号码
1,2026/09/03 12:00:00,85秒,微信,N/A,1.2.3.4(上海-上海),9,非常满意,杯子┋其他〖毛巾〗,希望更快,138 0013 8000
2,2026/09/04 01:00:00,60秒,微信,N/A,1.2.3.4(上海-上海),7,(跳过),杯子,(空),(空)
"""


def test_wenjuanxing(bring):
    opened = bring({"答卷.csv": WENJUANXING.encode("gbk")})
    assert opened.landed[0].facts["encoding"].lower().startswith("gb")
    rows = table(opened, "surveys").sort_values(["source_line", "question_id"])
    columns = "response_id answered_at question_id question kind score choice comment"
    first = ("1-20260903120000", "2026-09-03 04:00:00")
    second = ("2-20260904010000", "2026-09-03 17:00:00")
    assert cells(rows, columns) == [
        (
            *first,
            "1、您有多大可能向朋友推荐我们？",
            "您有多大可能向朋友推荐我们？",
            "nps",
            9.0,
            None,
            None,
        ),
        (*first, "2、您对配送满意吗？", "您对配送满意吗？", "csat", 5.0, None, None),
        (*first, "3、您买了什么？ - 其他", "您买了什么？", "choice", None, "其他", "毛巾"),
        (*first, "3、您买了什么？ - 杯子", "您买了什么？", "choice", None, "杯子", None),
        (*first, "4、您的建议", "您的建议", "text", None, None, "希望更快"),
        (
            *second,
            "1、您有多大可能向朋友推荐我们？",
            "您有多大可能向朋友推荐我们？",
            "nps",
            7.0,
            None,
            None,
        ),
        (*second, "3、您买了什么？ - 杯子", "您买了什么？", "choice", None, "杯子", None),
    ]
    assert persons(opened, "phone") == [("138 0013 8000",)]
    assert rows["customer_id"].notna().tolist() == [True] * 5 + [False] * 2


TYPEFORM = (
    "#,How satisfied are you?,Mugs,Why?,First name,Your email,Start Date (UTC),Submit Date (UTC),Network ID\n"
    "ab1,4,Mugs,Nice,Anna,Anna@example.com,2026-07-01 10:00:00,2026-07-01 10:05:00,n1\n"
    "ab2,5,,,,,2026-07-01 11:00:00,2026-07-01 11:05:00,n2\n"
)


def test_typeform(bring):
    opened = bring({"responses.csv": TYPEFORM})
    rows = table(opened, "surveys").sort_values(["source_line", "question_id"])
    assert cells(rows, "response_id answered_at question_id kind score choice comment") == [
        ("ab1", "2026-07-01 10:05:00", "How satisfied are you?", "csat", 4.0, None, None),
        ("ab1", "2026-07-01 10:05:00", "Mugs", "choice", None, "Mugs", None),
        ("ab1", "2026-07-01 10:05:00", "Why?", "text", None, None, "Nice"),
        ("ab2", "2026-07-01 11:05:00", "How satisfied are you?", "csat", 5.0, None, None),
    ]
    assert persons(opened, "email name") == [("anna@example.com", "Anna")]


QUALTRICS = (
    "StartDate,EndDate,Status,IPAddress,Progress,Finished,RecordedDate,ResponseId,RecipientEmail,ExternalReference,Q1,Q2\n"
    "Start Date,End Date,Response Type,IP Address,Progress,Finished,Recorded Date,Response ID,"
    "Recipient Email,External Data Reference,"
    "How likely would you recommend us?,Why?\n"
    '"{""ImportId"":""startDate"",""timeZone"":""America/Denver""}",'
    + ",".join('"{""ImportId"":""x""}"' for _ in range(11))
    + "\n2026-07-01 10:00:00,2026-07-01 10:05:00,IP Address,1.2.3.4,100,True,"
    "2026-07-01 10:05:01,R_1,anna@example.com,C-100,9,Nice\n"
    "2026-07-01 11:00:00,2026-07-01 11:05:00,Survey Preview,1.2.3.4,100,True,2026-07-01 11:05:01,R_2,,,2,\n"
)


def test_qualtrics(bring):
    opened = bring({"q.csv": QUALTRICS})
    rows = table(opened, "surveys").sort_values(["source_line", "question_id"])
    assert cells(
        rows, "response_id answered_at question_id question kind score comment status"
    ) == [
        (
            "R_1",
            "2026-07-01 16:05:01",
            "Q1",
            "How likely would you recommend us?",
            "nps",
            9.0,
            None,
            "IP Address",
        ),
        ("R_1", "2026-07-01 16:05:01", "Q2", "Why?", "text", None, "Nice", "IP Address"),
        (
            "R_2",
            "2026-07-01 17:05:01",
            "Q1",
            "How likely would you recommend us?",
            "nps",
            2.0,
            None,
            "Survey Preview",
        ),
    ]
    assert persons(opened, "email ids") == [("anna@example.com", "C-100")]


ZENDESK = """\
Id,Requester,Requester id,Requester external id,Requester email,Subject,Tags,Status,Priority,Via,Ticket type,Created at,Solved at,\
Satisfaction Score,Reopens,Replies,First reply time in minutes
55,Anna Bolt,7001,C-100,anna@example.com,"Mug broken, what now?",mug broken,Solved,High,Mail,Problem,2026-07-01 22:30:00,2026-07-02 08:00:00,Good,0,2,15
56,carla@example.com,7002,carla@example.com,carla@example.com,Where is it?,,Open,-,Web,Question,2026-07-03T10:00:00Z,-,Offered,0,-,-
57,carla@example.com,7002,,carla@example.com,Buy pills,,Deleted,-,Web,-,2026-07-04 10:00:00,-,-,0,-,-
"""  # noqa: E501


def test_zendesk(bring):
    opened = bring({"tickets.csv": ZENDESK})
    columns = "ticket_id opened_at solved_at first_reply_minutes kind priority status text replies satisfaction"
    rows = table(opened, "tickets")
    assert cells(rows, columns) == [
        (
            "55",
            "2026-07-01 22:30:00",
            "2026-07-02 08:00:00",
            15.0,
            "problem",
            "high",
            "solved",
            "Mug broken, what now?",
            2.0,
            "good",
        ),
        (
            "56",
            "2026-07-03 10:00:00",
            None,
            None,
            "question",
            None,
            "open",
            "Where is it?",
            None,
            None,
        ),
        ("57", "2026-07-04 10:00:00", None, None, None, None, "deleted", "Buy pills", None, None),
    ]
    assert rows["customer_id"].notna().all() and rows["source_unreadable"].eq("").all()
    assert persons(opened, "name email ids") == [
        ("Anna Bolt", "anna@example.com", "C-100"),
        (None, "carla@example.com", None),
    ]


@pytest.mark.parametrize(
    ("tags", "stage_of_sale"),
    [
        ("before_sale", "before"),
        ("vip pre-sales hamburg", "before"),
        ("mug,During_Sale", "during"),
        ("aftersales broken", "after"),
        ("post_purchase", "after"),
        ("售后 退款", "after"),
        ("pre_sale after_sale", None),  # more than one stage
        ("wholesale aftershave before", None),
        ("", None),
    ],
)
def test_stage_of_the_sale_from_tags(bring, tags, stage_of_sale):
    opened = bring({"tickets.csv": ZENDESK.replace("mug broken,Solved", f'"{tags}",Solved')})
    assert cells(table(opened, "tickets").head(1), "ticket_id stage") == [("55", stage_of_sale)]


def survey(question, answers, below=None):
    """A SurveyMonkey export with one question and these answers."""
    head = "Respondent ID,Collector ID,Start Date,End Date,IP Address"
    rows = [
        f"{9000 + i},1,07/13/2026 09:00:00 AM,07/13/2026 09:05:00 PM,10.0.0.1,{a}"
        for i, a in enumerate(answers)
    ]
    return "\n".join([f'{head},"{question}"', f",,,,,{below or 'Response'}", *rows]) + "\n"


REPEATED = [
    "too dear",
    "late parcel",
    "nothing",
    "more colours",
] * 10  # few and short, as options are
OPEN = [
    (
        "What should we do better?",
        REPEATED,
        "Open-Ended Response",
        "text",
    ),  # the second heading says so
    ("Was sollen wir besser machen?", REPEATED, "Offene Antwort", "text"),
    ("Any other comments?", REPEATED, None, "text"),  # the question asks for words of one's own
    ("您的建议", ["很好", "太慢"] * 20, None, "text"),
    (
        "Why did you come?",
        [f"because of reason {i}" for i in range(40)],
        None,
        "text",
    ),  # many different answers
    (
        "Why did you come?",
        ["I saw the lamp in a magazine at my doctor's and wanted it at once"] * 40,
        None,
        "text",
    ),
    ("What should we do better?", REPEATED, None, "choice"),
    ("Which of these suggestions is best?", REPEATED, None, "choice"),
    ("您最喜欢哪个建议？", ["颜色", "价格"] * 20, None, "choice"),
    ("Comments on our prices (1-5)", [1, 2, 5, 4] * 10, None, "scale"),
]


@pytest.mark.parametrize(("question", "answers", "below", "kind"), OPEN)
def test_open_questions_are_texts_and_choices_stay(bring, question, answers, below, kind):
    rows = table(bring({"survey.csv": survey(question, answers, below)}), "surveys")
    assert (
        rows["kind"].eq(kind).all()
        and len(rows) == len(answers)
        and rows["question"].eq(question).all()
    )
    said = {"text": "comment", "choice": "choice", "scale": "score"}[kind]
    assert rows[said].notna().all() and rows[
        [c for c in ("comment", "choice", "score") if c != said]
    ].isna().all(axis=None)


@pytest.mark.parametrize("name", ["typeform", "qualtrics"])
def test_open_questions_of_other_tools(bring, name):
    """The same comment from many people is still a comment, and who wrote a number in it is not shown."""
    fields = {
        "typeform": ("ab{},5,,{},,,2026-07-01 10:00:00,2026-07-01 10:05:00,n", "Why?", TYPEFORM)
    }
    fields["qualtrics"] = (
        "2026-07-01 10:00:00,2026-07-01 10:05:00,IP Address,1.2.3.4,100,True,2026-07-01 10:05:01,R_{},,,9,{}",
        "Why?",
        QUALTRICS,
    )
    row, asked, sample = fields[name]
    head = "".join(sample.splitlines(keepends=True)[: 3 if name == "qualtrics" else 1]).replace(
        asked, "Suggestions?"
    )
    said = ["ring me on 0151 2345678", "nothing"] * 20
    rows = table(
        bring({"a.csv": head + "".join(row.format(100 + i, a) + "\n" for i, a in enumerate(said))}),
        "surveys",
    )
    open_ones = rows[rows["question"] == "Suggestions?"]
    assert open_ones["kind"].eq("text").all() and len(open_ones) == 40
    assert set(open_ones["comment"]) == {"ring me on [phone]", "nothing"}


INVENTORY = """\
Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Option3 Name,Option3 Value,SKU,HS Code,COO,Location,Bin name,\
Incoming (not editable),Unavailable (not editable),Committed (not editable),Available (not editable),On hand (current),On hand (new)
mug,Mug,Title,Default Title,,,,,K-1,,,Köln,,12,0,1,39,40,
mug,Mug,Title,Default Title,,,,,K-1,,,Online,,0,0,3,-2,1,
towel,Towel,Title,Default Title,,,,,K-2,,,Köln,,0,0,0,not stocked,not stocked,
towel,Towel,Title,Default Title,,,,,K-2,,,Online,,0,0,0,?,?,
mug,Mug,Title,Default Title,,,,,K-1,,,Bonn,,0,0,0,-4,-4,
"""  # noqa: E501


def test_shopify_inventory(bring):
    opened = bring({"inventory_export_2026-06-30.csv": INVENTORY, "orders.csv": SHOPIFY})
    assert opened.landed[0].preset.name == "shopify_inventory"
    rows = table(opened, "stock")
    assert cells(
        rows, "stocked_on product_id store_id on_hand available incoming is_not_stocked"
    ) == [
        ("2026-06-30", "K-1", "Köln", 40.0, 39.0, 12.0, False),
        ("2026-06-30", "K-1", "web", 1.0, -2.0, 0.0, False),
        ("2026-06-30", "K-2", "Köln", 0.0, None, 0.0, True),
        ("2026-06-30", "K-2", "web", None, None, 0.0, False),
        ("2026-06-30", "K-1", "Bonn", -4.0, -4.0, 0.0, False),
    ]
    assert rows["source_unreadable"].tolist() == ["", "", "", "on_hand: ?", ""]
    assert len(hit(opened, "shopify_inventory", "never stocked there")) == 1


def test_inventory_without_a_date_counts_for_the_last_day_of_the_orders(bring):
    older = INVENTORY.replace(" (not editable)", "").replace(
        "On hand (current),On hand (new)", "On hand,x"
    )
    opened = bring({"inventory_export_1.csv": older, "orders.csv": SHOPIFY})
    assert set(cells(table(opened, "stock"), "stocked_on")) == {("2026-07-02",)}
    assert (
        table(bring({"inventory_export_1.csv": INVENTORY}), "stock")["stocked_on"].isna().all()
    )  # no order at all


def test_interviews_in_our_own_words(bring):
    text = "passage_id,respondent_id,question,text,coder,code\n"
    text += '1,C-100,Why?,"Call Anna Bolt, anna@example.com, 0151 2345678",A,price\n1,C-100,Why?,Too dear,B,price\n'
    rows = table(bring({"coded.csv": text, "survey.csv": SURVEYMONKEY}), "interviews")
    assert cells(rows, "passage_id coder code text") == [
        ("1", "A", "price", "Call [name], [e-mail], [phone]"),
        ("1", "B", "price", "Too dear"),
    ]
    assert rows["respondent_id"].nunique() == 1 and "C-100" not in set(rows["respondent_id"])


def test_calendar_may_lie_ahead(bring):
    text = "held_on,name,kind,region\n2026-11-27,Black Friday,sale,\n2031-01-02,Stocktaking,closed,Köln\n"
    rows = table(bring({"days.csv": text}), "calendar")
    assert cells(rows, "held_on name kind region source_unreadable") == [
        ("2026-11-27", "Black Friday", "sale", None, ""),
        ("2031-01-02", "Stocktaking", "closed", "Köln", ""),
    ]


HUBSPOT_CONTACTS = (
    "Record ID,First Name,Last Name,Email,Phone Number,Create Date,Customer Number,Unsubscribed from all email\n"
    "101,Anna,Bolt,anna@example.com,0151 2345678,2026-01-05 10:00,C-100,true\n"
    "102,Carla,Diaz,carla@example.com,,2026-01-06 10:00,,false\n"
)
HUBSPOT_COMPANIES = (
    "Record ID,Company name,Website URL,Company owner,Create Date,Industry,Number of Employees\n"
    "201,Bolt GmbH,bolt.example,Eva,2026-01-05 10:00,Hotels,12\n202,Diaz AG,,Eva,2026-01-05 10:00,,\n"
)
HUBSPOT_DEALS = (
    "Record ID,Deal Name,Deal Stage,Amount,Deal owner,Create Date,Close Date,"
    "Associated Company IDs,Associated Contact IDs\n"
    '301,Bolt mugs,Closed Won,"1,500.00",Eva,2026-02-01 09:00,2026-03-01 09:00,201;202,101\n'
    "302,Diaz towels,Qualified,many,Eva,2026-02-01 09:00,2026-04-01 09:00,202,\n"
    "303,One person,Qualified,5,Eva,2026-02-01 09:00,,,102\n"
)


def test_hubspot(bring):
    opened = bring(
        {
            "contacts.csv": HUBSPOT_CONTACTS,
            "companies.csv": HUBSPOT_COMPANIES,
            "deals.csv": HUBSPOT_DEALS,
        }
    )
    assert {f.file: f.preset.name for f in opened.landed} == {
        "contacts.csv": "hubspot_contacts",
        "companies.csv": "hubspot_companies",
        "deals.csv": "hubspot_deals",
    }
    rows = table(opened, "deals")
    assert cells(rows, "deal_id stage amount opened_on closed_on companies source_unreadable") == [
        ("301", "closed won", 1500.0, "2026-02-01", "2026-03-01", 2, ""),
        ("302", "qualified", None, "2026-02-01", None, 1, "amount: many"),
        ("303", "qualified", 5.0, "2026-02-01", None, None, ""),
    ]
    assert rows["owner"].nunique() == 1 and not rows["owner"].str.contains("Eva").any()
    accounts = table(opened, "accounts").sort_values(["customer_id", "indicator"])
    named = dict(zip(rows["customer_id"].tolist()[:2], ["Bolt", "Diaz"], strict=True))
    facts = cells(
        accounts.assign(who=accounts["customer_id"].map(named)), "who indicator value checked_on"
    )
    assert sorted(f for f in facts if f[2]) == [
        ("Bolt", "employees", "12", "2026-01-05"),
        ("Bolt", "industry", "Hotels", "2026-01-05"),
        ("Bolt", "website", "yes", "2026-01-05"),
        ("Diaz", "website", "no", "2026-01-05"),
    ]
    assert pd.isna(rows["customer_id"][2])
    records = table(opened, "records")
    assert records.loc[records["source_name"] == "hubspot_contacts", "consent_email"].tolist() == [
        False,
        None,
    ]
    assert records["source_name"].value_counts().to_dict() == {
        "hubspot_contacts": 2,
        "hubspot_companies": 2,
    }


WOO = """\
Date,Order #,N. Revenue (formatted),Status,Customer,Customer type,Product(s),Items sold,Coupon(s),Net Sales,Attribution
2026-07-01 10:00:00,11,€30.00,completed,Anna Bolt,new,3× Mug,3,,30.00,Organic: Google
2026-07-02 10:00:00,12,€60.00,completed,Carla Diaz,new,"2× Mug, 1× Towel, large",3,JULY,60.00,Direct
2026-07-03 10:00:00,12,-€20.00,refunded,Carla Diaz,new,1× Mug,-1,,-20.00,Direct
2026-07-04 10:00:00,12,-€5.00,refunded,Carla Diaz,new,,0,,-5.00,Direct
2026-07-05 10:00:00,13,€10.00,cancelled,,,1× Mug,1,,ten,
"""


def test_woocommerce(bring):
    opened = bring({"orders.csv": WOO})
    rows = table(opened, "orders")
    assert cells(
        rows, "order_id line_no ordered_on product_id quantity revenue is_return coupon_id"
    ) == [
        ("11", 1, "2026-07-01", "Mug", 3.0, 30.0, False, None),
        ("12", 1, "2026-07-02", "Mug", 2.0, 30.0, False, "JULY"),
        ("12", 2, "2026-07-02", "Towel, large", 1.0, 30.0, False, "JULY"),
        ("12", 1001, "2026-07-03", "Mug", -1.0, -20.0, True, None),
        ("12", 2001, "2026-07-04", "refund without goods", 0.0, -5.0, True, None),
        ("13", 1, "2026-07-05", "Mug", 1.0, None, False, None),
    ]
    assert rows["source_unreadable"].tolist()[-1] == "revenue: ten" and rows[
        "money_shared_out"
    ].tolist() == [False, True, True, False, False, False]


SQUARE = """\
Date,Time,Time Zone,Category,Item,Qty,Price Point Name,SKU,Modifiers Applied,Gross Sales,Discounts,Net Sales,Tax,Transaction ID,\
Payment ID,Device Name,Notes,Details,Event Type,Location,Dining Option,Customer ID,Customer Name,Customer Reference ID
07/13/2026,22:30:00,Eastern Time (US & Canada),Drinks,Coffee,2.0,Large,S-1,,$7.00,-$1.00,$6.00,$0.50,T1,P1,,,,Payment,Main St,,Q1,Anna Bolt,C-100
07/14/2026,09:00:00,Pacific Time (US & Canada),Drinks,Coffee,-1.0,Large,S-1,,-$3.50,$0.50,-$3.00,-$0.25,T1,P2,,,,Refund,Main St,,Q1,Anna Bolt,C-100
07/14/2026,09:00:00,Moon,Food,Cake,1.0,,,,"$1,000.00",$0.00,"$1,000.00",$0.00,T2,P3,,,,Payment,Main St,,,,
"""  # noqa: E501


def test_square(bring):
    opened = bring({"items.csv": SQUARE}, currency="USD", zone="America/New_York", country="US")
    rows = table(opened, "orders")
    columns = (
        "order_id line_no ordered_at ordered_on product_id quantity unit_price discount revenue"
    )
    assert cells(rows, columns) == [
        ("T1", 1, "2026-07-14 02:30:00", "2026-07-13", "S-1", 2.0, 3.5, 1.0, 6.0),
        ("T1", 1001, "2026-07-14 16:00:00", "2026-07-14", "S-1", -1.0, 3.5, -0.5, -3.0),
        ("T2", 1, None, None, "Cake", 1.0, 1000.0, 0.0, 1000.0),
    ]
    assert rows["source_unreadable"].tolist() == ["", "", "ordered_at: 07/14/2026 09:00:00 in Moon"]
    assert persons(opened, "record name ids") == [("square_items|Q1", "Anna Bolt", "C-100")]
    products = stage(opened, "products", who.identify(opened)).to_pandas().sort_values("product_id")
    assert cells(products, "product_id name category list_price") == [
        ("Cake", "Cake", "Food", 1000.0),
        ("S-1", "Coffee / Large", "Drinks", 3.5),
    ]


STRIPE = """\
id,Description,Seller Message,Created (UTC),Amount,Amount Refunded,Currency,Fee,Mode,Status,Customer ID,Customer Description,Customer Email,Captured
ch_1,Order 1,Payment complete.,2026-07-01 22:30:00,100.00,25.00,usd,3.00,Live,Paid,cus_1,,anna@example.com,true
ch_2,Order 2,Declined.,2026-07-02 10:00:00,50.00,0.00,usd,0.00,Live,Failed,,,carla@example.com,false
"""  # noqa: E501


def test_stripe(bring):
    opened = bring({"payments.csv": STRIPE}, more="exchange_rates: {USD: 0.5}")
    rows = table(opened, "orders")
    columns = "order_id line_no ordered_at ordered_on quantity unit_price revenue payment_status is_return"
    assert cells(rows.sort_values("line_no"), columns) == [
        ("ch_1", 1, "2026-07-01 22:30:00", "2026-07-02", 1.0, 50.0, 50.0, "paid", False),
        ("ch_2", 1, "2026-07-02 10:00:00", "2026-07-02", 1.0, 25.0, 25.0, "failed", False),
        ("ch_1", 1001, "2026-07-01 22:30:00", "2026-07-02", -0.25, 50.0, -12.5, "paid", True),
    ]
    assert persons(opened, "record email") == [
        ("stripe_payments|carla@example.com", "carla@example.com"),
        ("stripe_payments|cus_1", "anna@example.com"),
    ]


GA4_SCREEN = """\
# ----------------------------------------
# Traffic acquisition
# Start date: 20260701
# End date: 20260731
# ----------------------------------------
Session primary channel group (Default Channel Group),Sessions,Engaged sessions,Engagement rate,Average engagement time per session,\
Events per session,Event count,Key events,Session key event rate,Total revenue
Direct,1000,500,0.5,30,5,5000,10,0.01,1000.25
Organic Search,500,400,0.8,30,5,2500,5,0.01,500.25
Grand total,1500,900,0.6,30,5,7500,15,0.01,1500.50

# Start date: 20260701
# End date: 20260731
Nth day,Sessions
0,40
"""  # noqa: E501


def test_ga4_traffic(bring):
    opened = bring({"traffic.csv": GA4_SCREEN})
    assert cells(
        table(opened, "traffic"),
        "starts_on ends_on channel sessions engagement_rate key_events revenue",
    ) == [
        ("2026-07-01", "2026-07-31", "Direct", 1000.0, 0.5, 10.0, 1000.25),
        ("2026-07-01", "2026-07-31", "Organic Search", 500.0, 0.8, 5.0, 500.25),
    ]
    assert cells(control_totals(opened), "expected ours agrees") == [
        (1500.0, 1500.0, True),
        (1500.5, 1500.5, True),
    ]
    facts = opened.landed[0].facts
    assert (
        facts["preset_layout"] == 1 and facts["layout_kinds"]["another table in the same file"] == 2
    )


TONGJI = (
    "来源分析(2026/07/01-2026/07/07)\n来源类型,浏览量(PV),访问次数,访客数(UV),新访客数,IP数,跳出率,平均访问时长,转化次数\n"
    '合计,"1,500",300,200,90,150,45.2%,00:01:10,3\n直接访问,"1,000",200,120,50,90,40.5%,00:01:00,3\n搜索引擎,500,100,80,40,60,--,--,--\n'
)


def test_baidu_tongji(bring):
    opened = bring(
        {"tongji.csv": TONGJI.encode("gb18030")}, zone="Asia/Shanghai", country="CN", currency="CNY"
    )
    assert cells(
        table(opened, "traffic"),
        "starts_on ends_on channel sessions visitors pageviews bounce_rate",
    ) == [
        ("2026-07-01", "2026-07-07", "直接访问", 200.0, 120.0, 1000.0, 0.405),
        ("2026-07-01", "2026-07-07", "搜索引擎", 100.0, 80.0, 500.0, None),
    ]
    assert cells(control_totals(opened), "expected ours agrees") == [
        (1500.0, 1500.0, True),
        (300.0, 300.0, True),
    ]


MAILCHIMP = """\
Email Address,First Name,Last Name,Address,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS
anna@example.com,Anna,Bolt,"Hauptstr. 1  Köln    50667  DE",3,2025-01-01 10:00:00,1.2.3.4,2025-01-01 10:05:00,1.2.3.4,de,nw,2026-01-01 10:00:00,1,e1,,
carla@example.com,Carla,Diaz,,2,,,,,de,nw,2026-01-01 10:00:00,2,e2,,
"""  # noqa: E501
MAILCHIMP_LEFT = """\
Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,CONFIRM_TIME,UNSUB_TIME,UNSUB_REASON,LAST_CHANGED,LEID,EUID
d@example.com,,,2,2025-01-01 10:00:00,2025-01-01 10:00:00,2026-02-01 09:00:00,none,2026-02-01 09:00:00,3,e3
"""


def test_mailchimp(bring):
    opened = bring(
        {
            "subscribed_members_export.csv": MAILCHIMP,
            "unsubscribed_members_export.csv": MAILCHIMP_LEFT,
        }
    )
    rows = table(opened, "records").sort_values(["source_file", "source_line"])
    assert cells(rows, "since_at consent_email source_unreadable") == [
        ("2025-01-01 10:00:00", True, ""),
        ("2026-01-01 10:00:00", None, ""),
        ("2025-01-01 10:00:00", False, ""),
    ]
    assert persons(opened, "record email last_name street city zip country consent_at")[0] == (
        "mailchimp_audience|e1",
        "anna@example.com",
        "Bolt",
        "Hauptstr. 1",
        "Köln",
        "50667",
        "de",
        "2025-01-01 10:05:00",
    )


AMAZON = """\
amazon-order-id,merchant-order-id,purchase-date,last-updated-date,order-status,fulfillment-channel,sales-channel,sku,asin,product-name,\
item-status,quantity,currency,item-price,item-tax,shipping-price,shipping-tax,item-promotion-discount,ship-promotion-discount,promotion-ids
1-1,,2026-07-01T22:30:00+00:00,2026-07-02T10:00:00+00:00,Shipped,Amazon,Amazon.de,K-1,B01,Mug,Shipped,2,EUR,23.80,3.80,5.95,0.95,2.38,,P
1-1,,2026-07-01T22:30:00+00:00,2026-07-02T10:00:00+00:00,Shipped,Amazon,Amazon.de,K-2,B02,Towel,Shipped,1,EUR,10.00,,1.00,,,,
1-2,,2026-07-02T10:00:00+00:00,2026-07-02T10:00:00+00:00,Cancelled,Amazon,Amazon.de,K-1,B01,Mug,Cancelled,0,EUR,,,,,,,
1-3,,2026-07-02T11:00:00+00:00,2026-07-02T10:00:00+00:00,Pending,Amazon,Amazon.de,K-1,B01,Mug,Unshipped,1,EUR,,,,,,,
S01,,2026-07-02T12:00:00+00:00,2026-07-02T10:00:00+00:00,Shipped,Amazon,Non-Amazon,K-1,B01,Mug,Shipped,1,CAD,50.00,,,,,,
1-4,,2026-07-03T10:00:00+00:00,2026-07-03T10:00:00+00:00,Shipped,Amazon,Amazon.de,K-1,B01,Mug,Shipped,one,EUR,cheap,,,,,,
1-5,,2026-07-03T11:00:00+00:00,2026-07-03T10:00:00+00:00,Shipped,Amazon,Amazon.de,K-1,B01,Mug,Shipped,1,EUR,11.90,1.90,,,,,
"""


def test_amazon(bring):
    """Prices in the EU hold their tax and are those of the whole line; promotions come off."""
    opened = bring({"orders.txt": AMAZON.replace(",", "\t")})
    rows = table(opened, "orders")
    columns = "order_id line_no ordered_on product_id quantity unit_price discount revenue shipping_cost currency"
    assert cells(rows, columns) == [
        ("1-1", 1, "2026-07-02", "K-1", 2.0, 10.0, 2.0, 18.0, 6.0, "EUR"),
        ("1-1", 2, "2026-07-02", "K-2", 1.0, 10.0, 0.0, 10.0, None, "EUR"),
        ("1-2", 1, "2026-07-02", "K-1", 0.0, None, 0.0, 0.0, 0.0, "EUR"),
        ("1-3", 1, "2026-07-02", "K-1", 1.0, None, 0.0, 0.0, 0.0, "EUR"),
        ("S01", 1, "2026-07-02", "K-1", 1.0, 50.0, 0.0, 50.0, 0.0, None),
        ("1-4", 1, "2026-07-03", "K-1", None, None, 0.0, None, 0.0, "EUR"),
        ("1-5", 1, "2026-07-03", "K-1", 1.0, 10.0, 0.0, 10.0, 0.0, "EUR"),
    ]
    assert rows["source_unreadable"][5] == "quantity: one; revenue: cheap"


def test_amazon_where_tax_comes_on_top(bring):
    """The report of a US shop: a line of two units, one cancelled, one pending, one sold elsewhere."""
    row = "111-{},,2026-07-0{}T09:00:00+00:00,,{},Amazon,{},{},B0,Mug,,{},USD,{},{},,,{},,"
    lines = [
        row.format(1, 1, "Shipped", "Amazon.com", "K-1", 2, "76.00", "6.08", "4.00"),
        row.format(2, 2, "Cancelled", "Amazon.com", "K-1", 0, "", "", ""),
        row.format(3, 3, "Pending", "Amazon.com", "K-2", 1, "", "", ""),
        row.format(4, 4, "Shipped", "Amazon.com", "K-2", 1, "20.00", "1.60", ""),
        row.format(4, 4, "Shipped", "Amazon.com", "K-1", 1, "38.00", "3.04", ""),
        row.format(5, 5, "Shipped", "Non-Amazon", "K-1", 1, "50.00", "0", ""),
    ]
    text = "\n".join([AMAZON.splitlines()[0], *lines]) + "\n"
    opened = bring({"orders.csv": text}, currency="USD", zone="America/New_York", country="US")
    assert counts(opened, "amazon_orders") == [("111-1", 72.0), ("111-4", 20.0), ("111-4", 38.0)]


ETSY = """\
Sale Date,Item Name,Buyer,Quantity,Price,Coupon Code,Coupon Details,Discount Amount,Shipping Discount,Order Shipping,Order Sales Tax,\
Item Total,Currency,Transaction ID,Listing ID,Date Paid,Date Shipped,Ship Name,Ship Address1,Ship City,Ship State,Ship Zipcode,Ship Country,\
Order ID,Variations,Order Type,Listings Type,Payment Type,InPerson Discount,InPerson Location,VAT Paid by Buyer,SKU
07/01/26,Mug,bolt7,2,10.00,JULY,10% off,5.00,,4.00,0.60,20.00,EUR,T1,L1,07/01/26,,Anna Bolt,Hauptstr. 1,Köln,,50667,Germany,3001,,online,listing,online_cc,,,,K-1
07/01/26,Towel,bolt7,1,30.00,JULY,10% off,5.00,,4.00,0.60,30.00,EUR,T2,L2,07/01/26,,Anna Bolt,Hauptstr. 1,Köln,,50667,Germany,3001,,online,listing,online_cc,,,,
07/02/26,Mug,diaz,1,10.00,JULY,10% off,1.00,,4.00,0,10.00,EUR,T3,L1,07/02/26,,Carla Diaz,,Bonn,,,Germany,3002,,online,listing,online_cc,,,,K-1
07/02/26,Towel,diaz,1,30.00,JULY,10% off,3.00,,0.00,0,30.00,EUR,T4,L2,07/02/26,,Carla Diaz,,Bonn,,,Germany,3002,,online,listing,online_cc,,,,
07/03/26,Mug,,one,10.00,,,,,,,ten,EUR,T5,L1,07/03/26,,,,,,,,3003,,in person,listing,cash,,Fair,,K-1
07/03/26,Mug,,1,10.00,,,,,,,10.00,EUR,T6,L1,07/03/26,,,,,,,,3004,,in person,listing,cash,1.00,Fair,,K-1
"""  # noqa: E501


def test_etsy(bring):
    """A discount on each line is the order's where it cannot be the lines' own."""
    opened = bring({"items.csv": ETSY})
    rows = table(opened, "orders")
    columns = "order_id line_no ordered_on product_id quantity unit_price discount revenue shipping_cost channel"
    columns += " coupon_id"
    assert cells(rows, columns) == [
        ("3001", 1, "2026-07-01", "K-1", 2.0, 10.0, 2.0, 18.0, 4.0, "marketplace", "JULY"),
        ("3001", 2, "2026-07-01", "L2", 1.0, 30.0, 3.0, 27.0, None, "marketplace", "JULY"),
        ("3002", 1, "2026-07-02", "K-1", 1.0, 10.0, 1.0, 9.0, 4.0, "marketplace", "JULY"),
        ("3002", 2, "2026-07-02", "L2", 1.0, 30.0, 3.0, 27.0, None, "marketplace", "JULY"),
        ("3003", 1, "2026-07-03", "K-1", None, 10.0, 0.0, None, 0.0, "store", None),
        ("3004", 1, "2026-07-03", "K-1", 1.0, 10.0, 1.0, 9.0, 0.0, "store", None),
    ]
    assert persons(opened, "record name city") == [
        ("etsy_items|bolt7", "Anna Bolt", "Köln"),
        ("etsy_items|diaz", "Carla Diaz", "Bonn"),
    ]


@pytest.mark.parametrize("off", ["2.00", "1.00"])
def test_etsy_lines_that_cost_the_same(bring, off):
    """The per cent of the coupon says whether the discount on each line is the order's or its own."""
    line = (
        ETSY.splitlines()[1].replace(",2,10.00,", ",1,10.00,").replace(",20.00,EUR,", ",10.00,EUR,")
    )
    line = line.replace(",5.00,", f",{off},")
    text = "\n".join([ETSY.splitlines()[0], line, line.replace(",T1,", ",T2,")]) + "\n"
    assert table(bring({"items.csv": text}), "orders")["revenue"].tolist() == [9.0, 9.0]


EBAY = """\
,,,,,,,,,,,,,,,,
Sales Record Number,Order Number,Buyer Username,Buyer Name,Buyer Email,Ship To City,Item Number,Item Title,Custom Label,Quantity,Sold For,\
Shipping And Handling,Seller Collected Tax,eBay Collected Tax,Total Price,Sale Date,Paid On Date
,,,,,,,,,,,,,,,,
11,21-1,bolt7,Anna Bolt,anna@example.com,Köln,9001,Mug,K-1,2,€10.00,€5.00,€0.00,€0.00,€25.00,Jul-01-26,Jul-01-26
12,21-2,diaz,Carla Diaz,carla@example.com,Bonn,,,,2,€40.00,€5.00,€0.00,€0.00,€45.00,Jul-02-26,Jul-02-26
12,21-2,diaz,Carla Diaz,carla@example.com,Bonn,9001,Mug,K-1,1,€10.00,€5.00,€0.00,€0.00,,Jul-02-26,
12,21-2,diaz,Carla Diaz,carla@example.com,Bonn,9002,Towel,,1,€30.00,€0.00,€0.00,€0.00,,Jul-02-26,
13,21-3,bolt7,Anna Bolt,anna@example.com,Köln,9001,Mug,K-1,1,€10.00,€5.00,€0.00,€0.00,€15.00,Jul-03-26,
14,21-4,bolt7,Anna Bolt,anna@example.com,Köln,9001,Mug,K-1,one,much,€5.00,€0.00,€0.00,€15.00,Jul-03-26,Jul-03-26

4,record(s) downloaded,
Seller ID : shop
"""  # noqa: E501


def test_ebay(bring):
    """Sold for is the price of one; the row with the sum of several items says that it is paid; the foot is no data."""
    opened = bring({"ebay.csv": EBAY})
    rows = table(opened, "orders")
    columns = (
        "order_id line_no ordered_on product_id quantity unit_price revenue shipping_cost not_paid"
    )
    assert cells(rows[~rows["is_sum"]], columns) == [
        ("21-1", 1, "2026-07-01", "K-1", 2.0, 10.0, 20.0, 5.0, False),
        ("21-2", 1, "2026-07-02", "K-1", 1.0, 10.0, 10.0, 5.0, False),
        ("21-2", 2, "2026-07-02", "9002", 1.0, 30.0, 30.0, None, False),
        ("21-3", 1, "2026-07-03", "K-1", 1.0, 10.0, 10.0, 5.0, True),
        ("21-4", 1, "2026-07-03", "K-1", None, None, None, 5.0, False),
    ]
    assert hit(opened, "ebay_orders", "auction not paid") == [("21-3",)]
    assert cells(rows[rows["is_sum"]], "order_id revenue") == [("21-2", 0.0)]
    assert persons(opened, "record email") == [
        ("ebay_orders|bolt7", "anna@example.com"),
        ("ebay_orders|diaz", "carla@example.com"),
    ]


def test_ebay_where_sold_for_is_the_lines(bring):
    text = EBAY.replace("2,€10.00,€5.00,€0.00,€0.00,€25.00", "2,€20.00,€5.00,€0.00,€0.00,€25.00")
    assert cells(table(bring({"ebay.csv": text}), "orders")[:1], "quantity unit_price revenue") == [
        (2.0, 10.0, 20.0)
    ]


def test_ebay_in_german(bring):
    """German headings and months; the price holds the tax whose rate the report says."""
    text = (
        "Verkaufsprotokollnummer;Bestellnummer;Nutzername des Käufers;Artikelnummer;Angebotstitel;Bestandseinheit;"
        "Anzahl;Verkauft für;Verpackung und Versand;Inklusive MwSt.-Satz;Gesamtbetrag;Verkauft am;Zahlungsdatum\n"
        "1;21-1;bolt7;9001;Tasse;K-1;2;11,90 €;4,76 €;19%;28,56 €;10-Dez-25;10-Dez-25\n"
    )
    rows = table(bring({"bericht.csv": text}), "orders")
    assert cells(rows, "ordered_on quantity unit_price revenue shipping_cost") == [
        ("2025-12-10", 2.0, 10.0, 20.0, 4.0)
    ]


PAYPAL = """\
Date,Time,TimeZone,Name,Type,Status,Currency,Gross,Fee,Net,From Email Address,To Email Address,Transaction ID,\
Shipping and Handling Amount,Sales Tax,Reference Txn ID,Balance Impact
07/13/2026,22:30:00,PDT,Anna Bolt,Express Checkout Payment,Completed,EUR,25.00,-1.00,24.00,anna@example.com,shop@example.org,P1,4.00,1.00,,Credit
07/14/2026,09:00:00,PDT,Anna Bolt,Payment Refund,Completed,EUR,-12.50,0.50,-12.00,shop@example.org,anna@example.com,P2,0.00,0.00,P1,Debit
07/14/2026,10:00:00,PDT,Carla Diaz,Website Payment,Pending,EUR,9.00,0.00,9.00,carla@example.com,shop@example.org,P3,,,,Credit
07/14/2026,11:00:00,PDT,Paper Ltd,PreApproved Payment Bill User Payment,Completed,EUR,-8.00,0.00,-8.00,shop@example.org,p@example.net,P4,,,,Debit
07/14/2026,12:00:00,PDT,,General Withdrawal,Completed,EUR,-50.00,0.00,-50.00,,,P5,,,,Debit
07/14/2026,13:00:00,PDT,,General Currency Conversion,Completed,EUR,7.00,0.00,7.00,,,P6,,,,Credit
07/14/2026,14:00:00,PDT,Carla Diaz,General Payment,Completed,EUR,many,0.00,1.00,carla@example.com,shop@example.org,P8,,,,Credit
07/15/2026,10:00:00,Europe/Berlin,Carla Diaz,Mobile Payment,Completed,EUR,6.00,-0.20,5.80,carla@example.com,shop@example.org,P7,,,,Credit
"""  # noqa: E501


def test_paypal(bring):
    """Payments received and what was paid back of them; what only moves about is no trade."""
    opened = bring({"activity.csv": PAYPAL})
    rows = table(opened, "orders")
    columns = "order_id ordered_at quantity unit_price revenue shipping_cost is_return"
    assert cells(rows[rows["is_trade"]].sort_values("ordered_at"), columns) == [
        ("P1", "2026-07-14 05:30:00", 1.0, 20.0, 20.0, 4.0, False),
        ("P1", "2026-07-14 16:00:00", -0.5, 20.0, -10.0, None, True),
        ("P3", "2026-07-14 17:00:00", 1.0, 9.0, 9.0, None, False),
        ("P8", "2026-07-14 21:00:00", 1.0, None, None, None, False),
        ("P7", "2026-07-15 08:00:00", 1.0, 6.0, 6.0, None, False),
    ]
    assert hit(opened, "paypal_activity", "no payment for goods") == [("P4",), ("P5",), ("P6",)]
    assert hit(opened, "paypal_activity", "payment not completed") == [("P3",)]
    assert rows.loc[rows["order_id"] == "P1", "customer_id"].nunique() == 1
    assert persons(opened, "record email name") == [
        ("paypal_activity|anna@example.com", "anna@example.com", "Anna Bolt"),
        ("paypal_activity|carla@example.com", "carla@example.com", "Carla Diaz"),
    ]


def test_paypal_beside_a_shop_and_beside_another_payment_service(bring):
    step = "payment of a shop's order"
    assert ("P1",) in hit(
        bring({"activity.csv": PAYPAL, "orders.csv": SHOPIFY}), "paypal_activity", step
    )
    two_services = bring(
        {"activity.csv": PAYPAL, "payments.csv": STRIPE}, more="exchange_rates: {USD: 0.5}"
    )
    assert (
        hit(two_services, "paypal_activity", step)
        == hit(two_services, "stripe_payments", step)
        == []
    )


MAGENTO = """\
ID,Purchase Point,Purchase Date,Bill-to Name,Ship-to Name,Grand Total (Base),Grand Total (Purchased),Status,Subtotal,Shipping and Handling,\
Customer Email,Customer Name,Payment Method,Total Refunded
000000001,Main Website,"Jul 1, 2026 10:30:00 PM",Anna Bolt,Anna Bolt,28.80,28.80,Complete,20.00,5.00,anna@example.com,Anna Bolt,checkmo,14.40
000000002,Main Website,"Jul 2, 2026 9:00:00 AM",Carla Diaz,Carla Diaz,23.00,23.00,Processing,20.00,5.00,carla@example.com,Carla Diaz,checkmo,
000000003,Main Website,"Jul 2, 2026 9:00:00 AM",Carla Diaz,Carla Diaz,15.00,15.00,Canceled,10.00,5.00,carla@example.com,Carla Diaz,checkmo,
000000004,Main Website,"Jul 3, 2026 9:00:00 AM",Carla Diaz,Carla Diaz,much,much,Complete,10.00,5.00,carla@example.com,Carla Diaz,checkmo,
"""  # noqa: E501


def test_magento(bring):
    """Goods without tax and shipping, the discount off; half of the first order was refunded."""
    opened = bring({"export.csv": MAGENTO})
    columns = "order_id line_no ordered_at quantity unit_price discount revenue shipping_cost"
    assert cells(table(opened, "orders"), columns) == [
        ("000000001", 1, "2026-07-01 20:30:00", 1.0, 20.0, 0.0, 20.0, 5.0),
        ("000000001", 1001, "2026-07-01 20:30:00", -0.5, 20.0, 0.0, -10.0, None),
        ("000000002", 1, "2026-07-02 07:00:00", 1.0, 20.0, 2.0, 18.0, 5.0),
        ("000000003", 1, "2026-07-02 07:00:00", 1.0, 10.0, 0.0, 10.0, 5.0),
        ("000000004", 1, "2026-07-03 07:00:00", 1.0, 10.0, None, None, 5.0),
    ]
    assert hit(opened, "magento_orders", "order not carried out") == [("000000003",)]


PRESTASHOP = """\
ID,Reference,New client,Delivery,Customer,Total,Payment,Status,Date
1,ABCDEFGHI,1,Germany,A. Bolt,€61.80,Payments by check,Payment accepted,2026-07-01 22:30:00
2,JKLMNOPQR,1,Germany,C. Diaz,€20.00,Payments by check,Canceled,2026-07-02 10:00:00
3,STUVWXYZA,0,Germany,C. Diaz,"€1,020.00",Bank transfer,Refunded,2026-07-02 11:00:00
4,BCDEFGHIJ,0,Germany,C. Diaz,€30.00,Bank transfer,Awaiting bank wire payment,2026-07-02 12:00:00
5,KLMNOPQRS,0,Germany,C. Diaz,much,Bank transfer,Shipped,2026-07-03 12:00:00
"""


def test_prestashop(bring):
    opened = bring({"order_2026.csv": PRESTASHOP})
    assert cells(
        table(opened, "orders"), "order_id line_no ordered_at quantity revenue order_status"
    ) == [
        ("1", 1, "2026-07-01 20:30:00", 1.0, 61.8, "Payment accepted"),
        ("2", 1, "2026-07-02 08:00:00", 1.0, 20.0, "Canceled"),
        ("3", 1, "2026-07-02 09:00:00", 1.0, 1020.0, "Refunded"),
        ("3", 1001, "2026-07-02 09:00:00", -1.0, -1020.0, "Refunded"),
        ("4", 1, "2026-07-02 10:00:00", 1.0, 30.0, "Awaiting bank wire payment"),
        ("5", 1, "2026-07-03 10:00:00", 1.0, None, "Shipped"),
    ]
    assert hit(opened, "prestashop_orders", "order not carried out") == [("2",), ("4",)]


YOUZAN = """\
订单号,订单状态,商品名称,商品数量,商品单价,实付金额,下单时间,买家姓名,买家手机号,退款金额
E1,交易完成,杯子,2,49.00,98.00,2026-07-01 22:30:00,甲一,13800138000,0.00
E1,交易完成,盘子,1,24.50,98.00,2026-07-01 22:30:00,甲一,13800138000,0.00
E2,交易关闭,盘子,1,20.00,20.00,2026-07-02 11:20:30,乙二,13900000002,20.00
E3,交易完成,盘子,2,20.00,40.00,2026-07-03 11:20:30,乙二,13900000002,10.00
E4,交易完成,盘子,一,20.00,无,2026-07-04 11:20:30,乙二,13900000002,0.00
"""
CHINA = {"zone": "Asia/Shanghai", "country": "CN", "currency": "CNY"}


def test_youzan(bring):
    """What was paid is the order's and stands on each line; a closed order is none, and one came back in part."""
    opened = bring({"订单.csv": YOUZAN}, **CHINA)
    columns = "order_id line_no ordered_on product_id quantity unit_price discount revenue"
    assert cells(table(opened, "orders")[:3], columns) == [
        ("E1", 1, "2026-07-01", "杯子", 2.0, 49.0, 19.6, 78.4),
        ("E1", 2, "2026-07-01", "盘子", 1.0, 24.5, 4.9, 19.6),
        ("E2", 1, "2026-07-02", "盘子", 1.0, 20.0, 0.0, 20.0),
    ]
    assert counts(opened, "youzan_orders") == [
        ("E1", 78.4),
        ("E1", 19.6),
        ("E3", 40.0),
        ("E3", -10.0),
        ("E4", None),
    ]


@pytest.mark.parametrize(("paid", "lines"), [("40.00", 2), ("20.00", 1)])
def test_youzan_keeps_equal_lines_that_the_order_counts(bring, paid, lines):
    line = f"E9,交易完成,盘子,1,20.00,{paid},2026-07-03 11:20:30,乙二,13900000002,0.00\n"
    rows = table(
        bring({"订单.csv": YOUZAN.splitlines(keepends=True)[0] + line + line}, **CHINA), "orders"
    )
    kept = rows[~rows["source_repeat"]]
    assert (len(kept), kept["revenue"].sum()) == (lines, float(paid))


YOUZAN_ITEMS = """\
订单号,订单状态,商品名称,商品规格,规格编码,商品单价,商品优惠后价格,商品数量,商品金额小计,店铺优惠（分摊）,商品实际成交金额,收货人/提货人,\
收货人手机号/提货人手机号,商品退款状态,商品已退款金额,订单创建时间,买家付款时间
E1,交易完成,杯子,蓝,K-1,49.00,45.00,2,90.00,10.00,80.00,甲一,13800138000,,0.00,2026-07-01 22:30:00,2026-07-01 22:31:00
E1,交易完成,盘子,,,20.00,20.00,1,20.00,0.00,20.00,甲一,13800138000,退款成功,5.00,2026-07-01 22:30:00,2026-07-01 22:31:00
E2,交易关闭,盘子,,,20.00,20.00,1,20.00,0.00,20.00,乙二,13900000002,,0.00,2026-07-02 11:20:30,
E3,交易完成,盘子,,,20.00,20.00,一,20.00,0.00,无,乙二,13900000002,,0.00,2026-07-03 11:20:30,2026-07-03 11:20:30
"""


def test_youzan_items(bring):
    opened = bring({"订单.csv": YOUZAN_ITEMS}, **CHINA)
    assert cells(
        table(opened, "orders")[:3],
        "order_id line_no product_id quantity unit_price discount revenue",
    ) == [
        ("E1", 1, "K-1", 2.0, 49.0, 18.0, 80.0),
        ("E1", 2, "盘子", 1.0, 20.0, 0.0, 20.0),
        ("E1", 1002, "盘子", -0.25, 20.0, 0.0, -5.0),
    ]
    assert counts(opened, "youzan_items") == [
        ("E1", 80.0),
        ("E1", 20.0),
        ("E1", -5.0),
        ("E3", None),
    ]


TAOBAO = """\
订单编号,买家会员名,买家应付货款,买家应付邮费,总金额,买家实际支付金额,订单状态,收货人姓名,联系手机,订单创建时间,订单付款时间,宝贝标题,宝贝总数量,店铺名称,退款金额
="1001",小甲,90.00,10.00,110.00,100.00,交易成功,甲一,'13800138000,2026-07-01 22:30:00,2026-07-01 22:31:00,杯子,2,小店,0.00
="1002",小乙,20.00,0.00,20.00,0.00,交易关闭,乙二,'13900000002,2026-07-02 10:00:00,null,盘子,1,小店,0.00
="1003",小乙,40.00,0.00,40.00,40.00,交易成功,乙二,'13900000002,2026-07-03 10:00:00,2026-07-03 10:01:00,盘子,2,小店,10.00
="1004",小乙,40.00,0.00,40.00,无,交易成功,乙二,'13900000002,2026-07-04 10:00:00,2026-07-04 10:01:00,盘子,2,小店,0.00
"""  # noqa: E501


def test_taobao(bring):
    opened = bring({"ExportOrderList.csv": TAOBAO.encode("gb18030")}, **CHINA)
    columns = (
        "order_id line_no ordered_on product_id quantity unit_price discount revenue shipping_cost"
    )
    assert cells(table(opened, "orders"), columns) == [
        ("1001", 1, "2026-07-01", "杯子", 2.0, 50.0, 10.0, 90.0, 10.0),
        ("1002", 1, "2026-07-02", "盘子", 1.0, 20.0, 20.0, 0.0, 0.0),
        ("1003", 1, "2026-07-03", "盘子", 2.0, 20.0, 0.0, 40.0, 0.0),
        ("1003", 1001, "2026-07-03", "盘子", -0.5, 20.0, 0.0, -10.0, None),
        ("1004", 1, "2026-07-04", "盘子", 2.0, 20.0, None, None, 0.0),
    ]
    assert counts(opened, "taobao_orders") == [
        ("1001", 90.0),
        ("1003", 40.0),
        ("1003", -10.0),
        ("1004", None),
    ]
    assert persons(opened, "record phone")[0] == ("taobao_orders|小乙", "13900000002")


JD = """\
订单号,商品ID,商品名称,订购数量,支付方式,下单时间,京东价,订单金额,结算金额,余额支付,应付金额,订单状态,订单类型,下单帐号,客户姓名,客户地址,联系电话,运费金额
2001,5001,杯子,2,在线支付,2026-07-01 22:30:00,40.00,100.00,90.00,0.00,96.00,完成,SOP,jd_a,甲一,,13800138000,6.00
2001,5002,盘子,1,在线支付,2026-07-01 22:30:00,20.00,100.00,90.00,0.00,96.00,完成,SOP,jd_a,甲一,,13800138000,6.00
2002,5002,盘子,1,在线支付,2026-07-02 10:00:00,20.00,20.00,20.00,0.00,20.00,(删除)等待出库,SOP,jd_b,乙二,,13900000002,0.00
2003,5002,盘子,一,在线支付,2026-07-03 10:00:00,20.00,二十,,0.00,20.00,完成,SOP,jd_b,乙二,,13900000002,0.00
"""  # noqa: E501


def test_jd(bring):
    """What is settled for an order stands on each of its lines and is shared out by price."""
    opened = bring({"订单.csv": JD}, **CHINA)
    columns = (
        "order_id line_no ordered_on product_id quantity unit_price discount revenue shipping_cost"
    )
    assert cells(table(opened, "orders")[:2], columns) == [
        ("2001", 1, "2026-07-01", "5001", 2.0, 40.0, 8.0, 72.0, 6.0),
        ("2001", 2, "2026-07-01", "5002", 1.0, 20.0, 2.0, 18.0, None),
    ]
    assert counts(opened, "jd_orders") == [("2001", 72.0), ("2001", 18.0), ("2003", None)]


SEARCH_CONSOLE = """\
Date,Clicks,Impressions,CTR,Position
2026-07-01,35,1100,3.18%,8.5
2026-07-02,25,1200,2.08%,9
2026-07-03,few,10,0%,20
"""


def test_search_console(bring):
    rows = table(bring({"Dates.csv": SEARCH_CONSOLE}), "traffic")
    assert cells(rows, "starts_on ends_on channel sessions impressions position") == [
        ("2026-07-01", "2026-07-01", "google search", 35.0, 1100.0, 8.5),
        ("2026-07-02", "2026-07-02", "google search", 25.0, 1200.0, 9.0),
        ("2026-07-03", "2026-07-03", "google search", None, 10.0, 20.0),
    ]


TENCENT = (
    '"编号","开始答题时间","结束答题时间","答题时长","地理位置国家和地区","地理位置省","地理位置市","自定义字段",'
    '"1.您对服务满意吗？","2.您的手机","3.您的建议","昵称"\n'
    '"1","2026-07-01 10:00:00","2026-07-01 10:05:00","300","中国","广东","深圳","","5","13800138000","很好","小甲"\n'
    '"2","2026-07-01 11:00:00","2026-07-01 11:05:00","300","中国","广东","深圳","","4","","联系 13800138000","小乙"\n'
    '"3","2026-07-01 12:00:00","2026-07-01 12:05:00","300","中国","广东","深圳","","","","","小乙"\n'
)


def test_tencent_survey(bring):
    opened = bring({"问卷.csv": TENCENT}, **CHINA)
    rows = table(opened, "surveys").sort_values(["source_order", "question_id"], kind="stable")
    assert cells(rows[:4], "question kind score comment") == [
        ("您对服务满意吗？", "csat", 5.0, None),
        ("您的建议", "text", None, "很好"),
        ("您对服务满意吗？", "csat", 4.0, None),
        ("您的建议", "text", None, "联系 [phone]"),
    ]
    assert hit(opened, "tencent_survey", "empty questionnaire") == [("3-20260701120500",)]
    assert persons(opened, "phone") == [("13800138000",)]


# --- what holds for every preset --------------------------------------------------------------

OURS = {name: p for name, p in presets().items() if not name.startswith("playbook_")}


@pytest.mark.parametrize("name", OURS)
def test_header_is_known_in_any_spelling(name):
    """In any order and case, with a BOM, with more columns, and in every other language that the preset knows."""
    preset = OURS[name]
    assert recognise([*reversed(preset.header), "Something else"])[0] is preset
    assert (
        recognise(["\ufeff" + preset.header[0], *(c.upper() for c in preset.header[1:])])[0]
        is preset
    )
    assert recognise(preset.header + preset.optional)[0] is preset
    for nth in range(max(map(len, preset.aliases.values()), default=0)):
        spelled = [
            s[min(nth, len(s) - 1)] for s in (preset.aliases.get(c, [c]) for c in preset.header)
        ]
        assert recognise(spelled)[0] is preset


@pytest.mark.parametrize("name", OURS)
def test_missing_column_is_named(name):
    preset = OURS[name]
    for gone in preset.header:
        found, near = recognise([c for c in preset.header + preset.optional if c != gone])
        assert found is not preset
        assert found or f"{preset.title} without {gone}" in near


@pytest.mark.parametrize("name", OURS)
def test_preset_is_well_formed(name):
    """One table counts the lines; its columns and rules exist; every column that the SQL names is declared."""
    preset = OURS[name]
    assert (
        [t for t, m in preset.tables.items() if not m.derived][1:] == []
        and preset.see
        and preset.note
    )
    spellings = [s.lower() for c, more in preset.aliases.items() for s in [c, *more]]
    assert len(spellings) == len(set(spellings)) and set(preset.aliases) <= set(
        preset.header + preset.optional
    )
    said = preset.layout + preset.dated + " ".join(preset.totals.values())
    for t, m in preset.tables.items():
        said += " ".join([m.rows, *m.columns.values(), *m.person.values()])
        required = {c.name for c in tables.get(t).columns.values() if c.required} - {
            "ordered_at_local",
            "ordered_on",
        }
        assert required <= set(m.columns)
        assert all(rule.keys() == {"step", "action", "where", "reason"} for rule in m.rules)
    named = set(re.findall(r'"([^"]+)"', re.sub("'(?:[^']|'')*'", "", said)))
    assert named <= set(preset.header + preset.optional)


SHOPIFY = """\
Name,Email,Financial Status,Currency,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku
#1001,anna@example.com,paid,EUR,35.00,2026-07-01 22:30:00 +0200,2,Mug,10.00,K-1
#1001,,,,,,1,Towel,15.00,K-2
#1002,carla@example.com,paid,EUR,10.00,2026-07-02 22:30:00 +0200,1,Mug,10.00,K-1
"""
SAMPLES = {
    "amazon_orders": AMAZON,
    "baidu_tongji": TONGJI,
    "ebay_orders": EBAY,
    "etsy_items": ETSY,
    "ga4_events": json_lines(GA4),
    "ga4_traffic": GA4_SCREEN.split("\n\n")[0] + "\n",
    "google_ads": GOOGLE,
    "hubspot_companies": HUBSPOT_COMPANIES,
    "hubspot_contacts": HUBSPOT_CONTACTS,
    "hubspot_deals": HUBSPOT_DEALS,
    "jd_orders": JD,
    "klaviyo_campaigns": KLAVIYO_CAMPAIGNS,
    "klaviyo_profiles": KLAVIYO_PROFILES,
    "loyverse_receipts": LOYVERSE,
    "magento_orders": MAGENTO,
    "mailchimp_audience": MAILCHIMP,
    "meta_ads": META,
    "paypal_activity": PAYPAL,
    "prestashop_orders": PRESTASHOP,
    "qualtrics": QUALTRICS,
    "search_console": SEARCH_CONSOLE,
    "shopify_inventory": INVENTORY,
    "shopify_orders": SHOPIFY,
    "square_items": SQUARE,
    "stripe_payments": STRIPE,
    "surveymonkey": SURVEYMONKEY,
    "taobao_orders": TAOBAO,
    "tencent_survey": TENCENT,
    "typeform": TYPEFORM,
    "wenjuanxing": WENJUANXING,
    "woocommerce_orders": WOO,
    "youzan_items": YOUZAN_ITEMS,
    "youzan_orders": YOUZAN,
    "zendesk_tickets": ZENDESK,
}


@pytest.mark.parametrize("name", OURS)
def test_lines_stay_and_overlaps_count_once(bring, name):
    """A broken line and a repeated line stay in the staged table, and an older export of the same adds no row."""
    text, (ending, broken) = (
        SAMPLES[name],
        ("jsonl", '{"event_date": "2026') if name == "ga4_events" else ("csv", "x,y"),
    )
    lines = text.splitlines(keepends=True)
    width = max(len(row) for row in csv.reader(lines))
    whole = [
        line
        for line, row in zip(lines, csv.reader(lines), strict=True)
        if ending == "jsonl" or len(row) == width
    ]
    again = next(line for line in reversed(whole) if not line.startswith(("Total", "Grand")))
    newer, older = (
        f"{x} 2026-07-01.{ending}" for x in "ba"
    )  # some files say their day in their name alone
    opened = bring({newer: text + again + broken, older: "".join(lines[:-1])})
    assert {f.preset.name for f in opened.landed} == {name}
    cards = source_cards(opened, date(2026, 12, 31))
    assert (
        cards["table"].eq(opened.counted_in(name)).all()
        and cards["first_on"].notna().all()
        and cards["columns_used"].gt(2).all()
    )
    rows = table(opened, opened.counted_in(name))
    new = rows[rows["source_file"] == newer]
    facts = next(f.facts for f in opened.landed if f.file == newer)
    assert new["source_line"].nunique() == facts["lines"] - facts["preset_layout"]
    last = new["source_line"].max()
    at_end = rows["source_line"] == last
    assert (
        rows.loc[at_end, "source_unreadable"]
        .str.contains("cells where the header has|not readable")
        .all()
    )
    assert (
        rows.loc[rows["source_line"] == last - 1, "source_repeat"]
        == (presets()[name].repeats == "once")
    ).all()
    key = tables.get(opened.counted_in(name)).key
    kept = rows[~rows["source_repeat"] & ~at_end].sort_values("source_order").drop_duplicates(key)
    assert kept["source_file"].eq(newer).all() and len(rows) > len(new) >= len(
        kept
    )  # of the newer file alone


RULES = [
    ("loyverse_receipts", "cancelled receipt", [("1-1003",)]),
    ("woocommerce_orders", "order not carried out", [("13",)]),
    ("stripe_payments", "failed payment", [("ch_2",)]),
    ("qualtrics", "trial answer", [("R_2",)]),
    ("surveymonkey", "empty questionnaire", [("9003",), ("9004",)]),
    ("zendesk_tickets", "deleted ticket", [("57",)]),
    ("stripe_payments", "payment of a shop's order", []),
]


@pytest.mark.parametrize(("name", "step", "expected"), RULES)
def test_rules(bring, name, step, expected):
    assert hit(bring({"a.csv": SAMPLES[name]}), name, step) == expected


def counts(opened, name):
    """The orders and the money that are left of a preset's rows once its rules have filtered them."""
    rows = table(opened, opened.counted_in(name))
    gone = [hit(opened, name, rule["step"]) for rule in presets()[name].tables["orders"].rules]
    return cells(
        rows[~rows["order_id"].isin([order for found in gone for (order,) in found])],
        "order_id revenue",
    )


def hit(opened, name, step):
    """The ids of the rows that a rule of a preset concerns."""
    counted = opened.counted_in(name)
    where = next(r["where"] for r in presets()[name].tables[counted].rules if r["step"] == step)
    if f"stage {counted}" not in opened.con.list_tables():
        stage(opened, counted, who.identify(opened))
    own = f"source_name = '{name}'"
    marked = f'SELECT *, {own} AND ({where}) AS hit FROM "stage {counted}"'
    query = f"SELECT DISTINCT {tables.get(counted).key[0]} FROM ({marked}) WHERE hit ORDER BY 1"
    return opened.con.con.sql(query).fetchall()


def test_payments_of_a_shop_are_not_counted_again(bring):
    opened = bring({"payments.csv": STRIPE, "orders.csv": SHOPIFY})
    assert hit(opened, "stripe_payments", "payment of a shop's order") == [("ch_1",), ("ch_2",)]


@pytest.mark.parametrize(
    ("order", "text", "expected"),
    [
        ("month first", "7/13/26 11:30 PM", "2026-07-13 23:30:00"),
        ("day first", "05/06/26", "2026-06-05 00:00:00"),
        ("day first", "31.12.25 09:00", "2025-12-31 09:00:00"),
        ("month first", "31/12/25", None),
        ("day first", "2026-07-13T11:30:00", "2026-07-13 11:30:00"),
        ("month first", "12/31/24 11:59:59 PM", "2024-12-31 23:59:59"),
        ("month first", "1/2/25 12:05:00 AM", "2025-01-02 00:05:00"),
        ("month first", "3/14/2025, 10:02:11\u202fAM", "2025-03-14 10:02:11"),
        ("day first", "31/12/2024 11:59 PM", "2024-12-31 23:59:00"),
        ("day first", "1. März 2025, 10:00 Uhr", "2025-03-01 10:00:00"),
        ("day first", "28 févr. 2025", "2025-02-28 00:00:00"),
        ("day first", "12 de marzo de 2025", "2025-03-12 00:00:00"),
        ("day first", "01-MAR-25", "2025-03-01 00:00:00"),
        ("day first", "Sep-30-26 23:45:00", "2026-09-30 23:45:00"),
        ("day first", "March 1st, 2025", "2025-03-01 00:00:00"),
        ("day first", "Do, 06.03.2025 10:00", "2025-03-06 10:00:00"),
        ("day first", "2025年3月1日 下午2:30", "2025-03-01 14:30:00"),
        ("day first", "45717.5", "2025-03-01 12:00:00"),
        ("day first", "20250301", "2025-03-01 00:00:00"),
        ("day first", "20:15", None),
        ("day first", "hello", None),
    ],
)
def test_forms_of_dates(bring, order, text, expected):
    con = bring({"a.csv": WOO}).con.con
    found = con.execute("SELECT CAST(local_moment(?, ?) AS VARCHAR)", [order, text]).fetchone()
    assert found == (expected,)


@pytest.mark.parametrize(
    ("zone", "text", "moment", "day"),
    [
        ("UTC", "2025-03-01 23:30:00", "2025-03-01 23:30:00", "2025-03-02"),
        (
            "UTC",
            "2025-03-01",
            "2025-02-28 23:00:00",
            "2025-03-01",
        ),  # a bare date is that day at the shop
        ("UTC", "Mar 1, 2025 10:00:00 AM PST", "2025-03-01 18:00:00", "2025-03-01"),
        ("UTC", "Sat, 1 Mar 2025 23:30:00 -0500", "2025-03-02 04:30:00", "2025-03-02"),
        ("UTC", "1740823200", "2025-03-01 10:00:00", "2025-03-01"),
        ("America/New_York", "2025-03-01 10:00:00", "2025-03-01 15:00:00", "2025-03-01"),
    ],
)
def test_a_moment_in_its_zone_and_its_day_at_the_shop(bring, zone, text, moment, day):
    con = bring({"a.csv": WOO}, zone="Europe/Berlin").con.con
    at = f"moment_of('day first', '{zone}', '{text}')"
    local = f"CAST(timezone('Europe/Berlin', timezone('UTC', {at})) AS DATE)"
    found = con.execute(f"SELECT CAST({at} AS VARCHAR), CAST({local} AS VARCHAR)").fetchone()
    assert found == (moment, day)


@pytest.mark.parametrize(
    ("mark", "text", "expected"),
    [
        (".", "1,23,456.78", 123456.78),  # as in India
        (".", "99,999.00", 99999.0),
        (".", "1,23", None),
        (".", "１，２３４．５６", 1234.56),
        (".", "(3.00)", -3.0),
        (".", "3.00-", -3.0),
        (".", "-€3.00", -3.0),
        (".", "3.00 EUR", 3.0),
        (".", "12 %", 0.12),
        (",", "1.250", 1250.0),
        (",", "12.34.567,80", 1234567.8),
    ],
)
def test_forms_of_numbers(bring, mark, text, expected):
    con = bring({"a.csv": WOO}).con.con
    assert con.execute("SELECT amount_of(?, ?)", [mark, text]).fetchone() == (expected,)


def test_one_client_may_bring_them_all(bring):
    """Columns of one name have one type in all presets, rules hold where other sources stand beside, persons meet."""
    files = {
        f"{name}.{'jsonl' if name == 'ga4_events' else 'csv'}": text
        for name, text in SAMPLES.items()
    }
    opened = bring(files)
    assert sorted(f.preset.name for f in opened.landed) == sorted(OURS)
    for name in {t for p in OURS.values() for t in p.tables}:
        assert len(stage(opened, name, who.identify(opened)).to_pandas())
    for name, preset in OURS.items():
        for rule in preset.tables[opened.counted_in(name)].rules:
            hit(opened, name, rule["step"])
    records = who.identify(opened).records
    same = records[records["ids"] == "C-100"]
    assert same["source"].nunique() == 7 and same["customer_id"].nunique() == 1

"""The simulated client: same bytes, honest truth, defects where it says, behaviour as stated."""

import csv
import hashlib
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import yaml
from conftest import CHECKOUT

from helpers.client import PlaybookError
from simulator import interviews, write_twin
from simulator.behave import simulate
from simulator.constants import load, text
from simulator.sheets import Sheet

SHOPIFY, LOYVERSE = "shopify_orders_", "loyverse_receipts_"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_twin(tmp_path_factory.mktemp("small é"), customers=400, seed=3)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_twin(tmp_path_factory.mktemp("large"), customers=3000, seed=5, events=False)


def truth(out, name, **options):
    return pd.read_csv(
        out / "truth" / f"{name}.csv", keep_default_na=False, na_values=[""], **options
    )


def raw_text(path):
    encoding = {"google_ads_2.csv": "utf-16", "wenjuanxing.xls": "gbk"}.get(path.name, "utf-8")
    return path.read_bytes().decode(encoding, errors="replace")


def parsed(path):
    """Each record of a raw file by the line where it starts: a list of cells, or the line itself for JSON."""
    lines = raw_text(path).split("\n")
    if path.suffix == ".jsonl":
        return dict(enumerate(lines, start=1))
    sep = (
        "\t"
        if path.name in ("google_ads_2.csv", "wenjuanxing.xls")
        else ";"
        if "2024-10_2025-09" in path.name and "loy" in path.name
        else ","
    )
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=sep)
    records, before = {}, 0
    for cells in reader:
        records[before + 1] = cells
        before = reader.line_num
    return records


def header(path, records):
    start = {"google_ads_1.csv": 3, "google_ads_2.csv": 3, "surveymonkey.csv": 2}.get(path.name, 1)
    return records[start]


@pytest.fixture(scope="module")
def records(small):
    return {p.name: parsed(p) for p in (small / "raw").iterdir()}


def digest(out):
    files = sorted(p for p in out.rglob("*") if p.is_file())
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_seed_same_bytes_and_another_seed_differs(tmp_path):
    a, b, c = (
        digest(write_twin(tmp_path / x, 120, seed)) for x, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a == b
    same = {name for name in a if a[name] == c[name]}
    fixed = [
        "sensitivity.csv",
        "seasonality.csv",
        "pairs.csv",
        "partworths.csv",
        "loadings.csv",
        "products.csv",
    ]
    fixed += ["README.md", "files.txt", "world.yaml", "dirt.yaml"]
    assert same == {"client.yaml", "raw/calendar.csv", *(f"truth/{n}" for n in fixed)}


def test_it_writes_again_over_its_own_files_only(tmp_path):
    write_twin(tmp_path, 60, events=True)
    (tmp_path / "client.yaml").write_text("mine", encoding="utf-8")
    write_twin(tmp_path, 60, events=False)
    assert not (tmp_path / "raw" / "ga4_events.jsonl").exists()
    assert (tmp_path / "client.yaml").read_text(encoding="utf-8") == "mine"
    (tmp_path / "raw" / "theirs.csv").write_text("a", encoding="utf-8")
    before = digest(tmp_path)
    with pytest.raises(PlaybookError, match=r"raw/theirs\.csv"):
        write_twin(tmp_path, 60)
    assert digest(tmp_path) == before


def test_settings_are_the_committed_ones(small):
    committed = (CHECKOUT / "data" / "twin" / "client.yaml").read_text(encoding="utf-8")
    assert committed == text("settings.yaml") == (small / "client.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(committed)
    assert settings["badges"] == ["simulated"]
    assert (
        "tables" not in settings
    )  # the files are known by their headers; sources say time zones alone
    assert {k for spec in settings["sources"].values() for k in spec} <= {
        "file",
        "timezone",
        "owner",
    }


HEADERS = {  # as public documents show them; the first and the last names of long ones, and their number
    "shopify_orders_2024-10_2025-03.csv": (73, "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,"
        "Accepts Marketing,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,"
        "Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem compare at price,Lineitem sku"),
    "loyverse_receipts_by_item_2025-10_2026-09.csv": (22, "Date,Receipt number,Receipt type,Category,SKU,Item,Variant,"
        "Modifiers applied,Quantity,Gross sales,Discounts,Net sales,Cost of goods,Gross profit,Taxes,POS,Store,"
        "Cashier name,Customer name,Customer contacts,Comment,Status"),
    "google_ads_1.csv": (17, "Day,Campaign,Campaign state,Campaign type,Clicks,Impr.,CTR,Currency code,Avg. CPC,Cost"),
    "meta_ads.csv": (22, "Reporting starts,Reporting ends,Day,Campaign name,Ad set name,Ad set delivery,Results"),
    "klaviyo_campaigns.csv": (24, "Campaign Name,Tags,Subject,List,Send Time,Send Weekday,Total Recipients"),
    "klaviyo_profiles.csv": (28, "Email,Klaviyo ID,First Name,Last Name,Organization,Title,Phone Number,Address"),
    "zendesk_tickets.csv": (31, "Id,Requester,Requester id,Requester external id,Requester email,Requester domain"),
    "hubspot_companies.csv": (5, "Record ID,Company name,Website URL,Company owner,Create Date"),
    "hubspot_contacts.csv": (13, "Record ID,First Name,Last Name,Email,Phone Number,Lead Status,Create Date"),
    "hubspot_deals.csv": (9, "Record ID,Deal Name,Deal Stage,Amount,Deal owner,Associated Company IDs"),
    "wenjuanxing.xls": (11, "序号,提交答卷时间,所用时间,来源,来源详情,来自IP"),
    "experiments.csv": (7, "experiment_id,unit_id,variant,assigned_at,outcome,value,pre_value"),
    "inventory_export_2026-09-30.csv": (19, "Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
        "Option3 Name,Option3 Value,SKU,HS Code,COO,Location,Bin name,Incoming (not editable)"),
    "calendar.csv": (4, "held_on,name,kind,region"),
    "interviews.csv": (6, "passage_id,respondent_id,question,text,coder,code"),
    "promotions.csv": (5, "product_id,store_id,week_on,display,mailer"),
}  # fmt: skip


def test_headers_are_those_of_the_tools(small, records):
    for name, (count, start) in HEADERS.items():
        found = header(small / "raw" / name, records[name])
        assert len(found) == count, name
        assert ",".join(found).startswith(start), name
    first, second = records["surveymonkey.csv"][1], records["surveymonkey.csv"][2]
    assert (
        first[:2] == ["Respondent ID", "Collector ID"]
        and second[0] == ""
        and len(first) == len(second) == 24
    )
    assert records["klaviyo_profiles.csv"][1][-1] == "Customer Number"
    top = records["meta_ads.csv"][2]
    assert top[3] == "" and float(top[11]) > 100  # the nameless sum


def test_every_defect_stands_on_its_line(small, records):
    rules = {(k, r["kind"]): r for k, rs in load("dirt").items() for r in rs}
    defects = truth(small, "defects")
    assert not defects.duplicated(["file", "line"]).any()
    for file, line, column, kind, _ in defects.fillna("").itertuples(index=False):
        rows, path = records[file], small / "raw" / file
        row = rows[line]
        source = next((k for k in load("dirt") if file.startswith(k)), None)
        rule = rules.get((source, kind), {})
        if file.endswith("jsonl"):
            check_event(kind, row, rows)
            continue
        head = header(path, rows)
        place = {"nps": -4 if file == "wenjuanxing.xls" else 9, "csat": 10}.get(column)
        cell = (
            ""
            if not column
            else row[head.index(column) if place is None else place]
            if len(row) > 9 or place is None
            else ""
        )
        if rule.get("do") == "set":
            assert cell in [str(v) for v in rule["values"]], (file, line)
        elif kind in ("exact duplicate", "overlap row"):
            assert twins(row, records, file) >= 2, (file, line)
        elif kind == "test order":
            assert cell == "test@example.com"
        elif kind == "same key with different content":
            assert cell == str(rule["values"][column])
        elif kind == "too few cells" or kind == "truncated last line":
            assert len(row) < len(head)
        elif kind == "too many cells":
            assert len(row) > len(head)
        elif kind == "undecodable bytes":
            assert "�" in cell
        elif kind.startswith("negative"):
            assert cell.startswith("-")
        elif kind == "stray whitespace or case":
            assert cell != cell.strip()
        elif kind == "swapped day and month":
            paid = row[head.index("Paid at")]
            assert cell[:10] != paid[:10] and (cell[5:7], cell[8:10]) == (paid[8:10], paid[5:7])
        elif kind == "id in scientific notation":
            assert re.fullmatch(r"1\.\d{5}E\+17", cell)
        elif kind == "foreign currency":
            assert cell in ("CHF", "")
        elif kind == "price 100 times too high":
            assert float(cell.replace(",", ".")) > 400
        elif kind == "stale copy":
            newer = [
                r for r in records["shopify_orders_2025-09_2026-03.csv"].values() if r[0] == row[0]
            ]
            assert len(newer) and float(newer[0][head.index(column)]) > 0
        else:
            assert kind in ("title row", "total row", "summary row"), kind
            assert row[0].startswith(("Campaign performance", "October", "Total:", "2024-10-01")), (
                row
            )


def check_event(kind, row, rows):
    if kind == "exact duplicate":
        assert list(rows.values()).count(row) == 2
    elif kind == "truncated line":
        with pytest.raises(json.JSONDecodeError):
            json.loads(row)
    elif kind == "undecodable bytes":
        assert "�" in row
    else:
        event = json.loads(row)
        wrong = {
            "missing required value": "event_name" not in event,
            "text in number": event["event_timestamp"] == "later",
            "impossible date": event["event_date"] == "20620503",
        }
        assert wrong[kind]


def twins(row, records, file):
    names = [n for n in records if n.startswith(SHOPIFY)] if file.startswith(SHOPIFY) else [file]
    return sum(list(records[n].values()).count(row) for n in names)


def test_good_lines_give_back_the_true_revenue(small, records):
    orders, defects = truth(small, "orders"), truth(small, "defects")
    bad = set(zip(defects.file, defects.line, strict=True))
    assert orders.line.notna().all()
    good = np.array([(f, n) not in bad for f, n in zip(orders.file, orders.line, strict=True)])
    assert np.mean(good) > 0.9
    store = orders[good & (orders.channel == "store")]
    for o in store.itertuples():
        row = dict(
            zip(
                header(small / "raw" / o.file, records[o.file]),
                records[o.file][o.line],
                strict=True,
            )
        )
        number = {
            k: float(row[k].replace(",", "."))
            for k in ("Quantity", "Net sales", "Cost of goods", "Gross sales", "Discounts")
        }
        assert (row["Receipt number"], row["SKU"]) == (o.order_id, o.product_id)
        assert number["Quantity"] == o.quantity
        assert number["Net sales"] / 1.19 == pytest.approx(o.revenue, abs=0.01)
        assert number["Gross sales"] - number["Discounts"] == pytest.approx(
            number["Net sales"], abs=0.011
        )
        assert (row["Receipt type"] == "Refund") == o.is_return
        local = pd.to_datetime(
            row["Date"], format="%d.%m.%Y %H:%M" if "." in row["Date"] else "%Y-%m-%d %H:%M"
        )
        utc = local.tz_localize("Europe/Berlin").tz_convert("UTC").tz_localize(None)
        assert pd.Timedelta(0) <= pd.Timestamp(o.ordered_at) - utc < pd.Timedelta(minutes=1)
        assert (row["Status"] == "Cancelled") == (o.status == "cancelled")
    web = orders[orders.channel == "web"]
    whole = web.assign(good=good[web.index]).groupby("order_id").good.transform("all")
    seen = 0
    for (name, file), lines in web[whole & (web.currency == "EUR")].groupby(["order_id", "file"]):
        rows = [
            dict(zip(header(small / "raw" / file, records[file]), records[file][n], strict=True))
            for n in lines.line
        ]
        first = next(r for r in rows if r["Total"])
        assert {r["Name"] for r in rows} == {name}
        goods = sum(float(r["Lineitem price"]) * int(r["Lineitem quantity"]) for r in rows)
        assert goods - float(first["Discount Amount"]) == pytest.approx(
            float(first["Subtotal"]), abs=0.011 * len(rows)
        )
        assert float(first["Subtotal"]) / 1.19 == pytest.approx(lines.revenue.sum(), abs=0.011)
        assert float(first["Refunded Amount"]) / 1.19 == pytest.approx(
            lines.refunded.sum(), abs=0.011
        )
        created = pd.to_datetime(first["Created at"]).tz_convert("UTC").tz_localize(None)
        assert (pd.to_datetime(lines.ordered_at) == created).all()
        assert (first["Cancelled at"] != "") == (lines.status == "cancelled").all()
        seen += 1
    assert seen > 200


def test_records_lead_to_people_and_not_every_contact_is_one_person(small, records):
    found, people = truth(small, "records"), truth(small, "people").set_index("person")
    assert found.person.isin(people.index).all()
    mail = []
    for file, line, person in found.itertuples(index=False):
        if file.startswith("klaviyo_profiles"):
            row = records[file][line]
            mail.append((row[0].strip().lower(), person, row[-1] if len(row) == 28 else ""))
    d = pd.DataFrame(mail, columns=["mail", "person", "number"])
    d = d[d.mail.str.contains("@") & d.number.str.startswith("C-")]
    assert (people.customer_number[d.person].to_numpy() == d.number).all()
    addresses = {
        a.rpartition("@")[2]
        for r in records["klaviyo_profiles.csv"].values()
        for a in r[:1]
        if "@" in a
    }
    reserved = re.compile(r"(.*\.)?example(\.com|\.org|\.net)?", re.IGNORECASE)
    assert all(reserved.fullmatch(a) for a in addresses)


def test_events_belong_to_the_orders_and_people_they_name(small, records):
    orders = truth(small, "orders").drop_duplicates("order_id").set_index("order_id")
    number, seen = truth(small, "people").set_index("person").customer_number, 0
    for row in records["ga4_events.jsonl"].values():
        if '"event_name":"purchase"' not in row or '"20620503"' in row or not row.endswith("}"):
            continue
        event = json.loads(row)
        order = orders.loc[event["ecommerce"]["transaction_id"]]
        assert event.get("user_id", number[order.person]) == number[order.person]
        if event["event_timestamp"] != "later":
            at = pd.to_datetime(int(event["event_timestamp"]), unit="us")
            assert abs(at - pd.Timestamp(order.ordered_at)) < pd.Timedelta(minutes=30)
        seen += 1
    web = (orders.channel == "web") & (orders.ordered_at >= "2026-01-01")
    assert seen == pytest.approx(load("world")["events"]["tracked"] * web.sum(), rel=0.12)


def test_answers_follow_their_factors_and_part_worths(large):
    rows = pd.read_csv(
        large / "raw" / "surveymonkey.csv", header=None, skiprows=2, dtype=str
    ).drop_duplicates()
    scores = truth(large, "factor_scores")
    rows = rows[rows[0].duplicated(keep=False).eq(False)].sort_values(0).reset_index(drop=True)
    assert len(rows) == len(scores)
    for k, (factor, loading, statement) in enumerate(load("words")["battery"]):
        item = pd.to_numeric(rows[11 + k])
        found = {f: item.corr(scores[f]) for f in ("style", "thrift", "ease")}
        assert max(found, key=found.get) == factor, statement
        assert found[factor] == pytest.approx(loading, abs=0.2)
    c = pd.read_csv(large / "raw" / "choices.csv", dtype={"price": str})
    share = c[c.price.str.isdigit()].groupby(c.price.str.zfill(3)).chosen.mean()
    assert share.is_monotonic_decreasing
    assert c.groupby(["respondent_id", "task"]).chosen.sum().eq(1).all()


def test_dirt_comes_at_the_stated_rates(large):
    defects, rows = truth(large, "defects"), truth(large, "totals").set_index("file")["rows"]
    for source, rules in load("dirt").items():
        files = [f for f in rows.index if f.startswith(source)]
        for rule in rules:
            if rule["rate"] * rows[files].sum() < 8:
                continue
            found = (defects.file.isin(files) & (defects.kind == rule["kind"])).sum()
            mean = rule["rate"] * rows[files].sum()
            assert abs(found - mean) < 4.5 * np.sqrt(mean), (source, rule["kind"], found, mean)
    planted = ~defects.kind.isin(
        ["overlap row", "stale copy", "foreign currency", "title row", "total row", "summary row"]
    )
    assert 0.008 < planted.sum() / rows.sum() < 0.02
    seen = truth(large, "variation").groupby("variation")[["records", "of"]].sum()
    stated = load("world")["variation"]["records"]
    for kind in ("email_case", "plus_tag", "typo_street", "no_phone", "upper_name"):
        assert seen.records[kind] / seen.of[kind] == pytest.approx(stated[kind], rel=0.25)


def test_elasticity_can_be_found_again_by_plain_regression(large):
    """Units by product and week on log price, display, mailer, earlier price cuts, month and product."""
    o = truth(large, "orders", parse_dates=["ordered_at"])
    o = o[~o.is_return & (o.currency == "EUR")]
    day = o.ordered_at.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    week = ((day - pd.Timestamp("2024-09-30")).dt.days // 7).rename("week")
    prices, products = truth(large, "prices"), truth(large, "products")
    cut = np.log(prices.list_price / prices.price)
    lags = {
        f"lag{k}": cut.groupby(prices.product_id).shift(k) for k in (1, 2, 3)
    }  # what earlier promotions took away
    d = prices.assign(**lags, display=prices.filter(like="display_").mean(axis=1))
    units = o.groupby([o.product_id, week]).quantity.sum().rename("units")
    d = d.merge(units.reset_index(), how="left", on=["product_id", "week"]).fillna({"units": 0})
    # products that are also sold by another one's price stay out
    second = products.name.str.rsplit(" ", n=1).str[0].isin(truth(large, "pairs")["second"])
    d = d[d.week.between(3, 103)].merge(
        products[~second][["product_id", "category"]], on="product_id"
    )
    d["month"] = (pd.Timestamp("2024-10-02") + pd.to_timedelta(7 * d.week, unit="D")).dt.month
    true, errors = truth(large, "elasticity").set_index("category"), []
    for category, x in d.groupby("category"):
        dummies = pd.get_dummies(
            x[["product_id", "month"]].astype(str), drop_first=True, dtype=float
        )
        design = pd.concat(
            [np.log(x.price).rename("log_price"), x[["display", "mailer", *lags]], dummies], axis=1
        )
        fit = sm.GLM(
            x.units.to_numpy(),
            sm.add_constant(design.to_numpy(float)),
            family=sm.families.Poisson(),
        ).fit()
        errors.append(fit.params[1] - true.elasticity[category])
    assert abs(np.mean(errors)) < 0.25  # eight categories whose own errors are about 0.25 each
    assert np.abs(errors).max() < 0.9


def test_tests_and_channels_add_up(large):
    orders = truth(large, "orders", parse_dates=["ordered_at"])
    people = truth(large, "people").set_index("person")
    kept = orders[(orders.status == "done") & ~((orders.channel == "store") & orders.is_return)]
    days, channels = truth(large, "channel_days"), truth(large, "channels").set_index("channel")
    added = days.groupby("channel")[["incremental_revenue", "spend"]].sum()
    assert np.allclose(added.incremental_revenue[channels.index], channels.incremental_revenue)
    assert np.allclose(
        added.spend[channels.index] * channels["return"], channels.incremental_revenue
    )
    assert (channels.marginal_return < channels["return"]).all()
    caused = kept.drop_duplicates("order_id").cause.value_counts()
    for name in channels.index:
        mean = days.incremental_orders[days.channel == name].sum()
        assert abs(caused.get(name, 0) - mean) < 5 * np.sqrt(mean + 1)
    assert people.value_window.sum() == pytest.approx(
        (orders.revenue - orders.refunded)[orders.status == "done"].sum(), rel=1e-6
    )
    claimed = sum(
        float(r[15 - 3])
        for r in parsed(large / "raw" / "google_ads_1.csv").values()
        if r[1:2] == ["Search Brand"] and r[9] != "#REF!"
    )
    true_brand = days[
        (days.channel == "Search Brand") & (days.spent_on < "2025-10-01")
    ].incremental_orders.sum()
    assert abs(claimed - 6 * true_brand) < 4 * np.sqrt(claimed)


def test_outcomes_of_the_tests_are_those_of_the_orders(large):
    d = pd.read_csv(large / "raw" / "experiments.csv", dtype=str).drop_duplicates()
    d = d[~d.duplicated(["experiment_id", "unit_id"], keep=False)]
    people = truth(large, "people").set_index("customer_number").person
    o = truth(large, "orders", parse_dates=["ordered_at"])
    o = o[(o.status == "done")].assign(net=lambda x: x.revenue - x.refunded)
    ship = d[d.experiment_id == "EXP-SHIP"].assign(
        person=lambda x: people[x.unit_id].to_numpy(), at=lambda x: pd.to_datetime(x.assigned_at)
    )
    o["t0"] = o.groupby("order_id").ordered_at.transform("min")
    j = ship.merge(o[o.channel == "web"], on="person")
    inside = (j.t0 > j["at"]) & (j.t0 <= j["at"] + pd.Timedelta(days=28))
    sums = j[inside].groupby("unit_id").net.sum().reindex(ship.unit_id, fill_value=0).to_numpy()
    only_web = ship.person.isin(truth(large, "people").query("channels == 'web'").person).to_numpy()
    assert np.allclose(sums[only_web], ship.value.astype(float)[only_web], atol=0.02)
    effects = truth(large, "effects")
    for row in effects[effects.group == "all"].itertuples():
        x = d[d.experiment_id == row.experiment_id]
        x = x.assign(value=x.value.astype(float))
        arm, base = (
            x[x.variant == v].value
            for v in (row.variant, load("world")["experiments"][row.experiment_id]["variants"][0])
        )
        se = np.sqrt(arm.var() / len(arm) + base.var() / len(base))
        assert abs(arm.mean() - base.mean() - row.effect) < 4 * se, row
    split = d[d.experiment_id == "EXP-BADGE"].variant.value_counts()
    assert split["badge"] / split.sum() > 0.52  # the planted fault of the split
    stays = truth(large, "levers").set_index("act")
    assert (stays.effect.dropna() > 0).all()


def test_people_behave_as_their_traits_say(large):
    p = truth(large, "people")
    now = p[p.acquired_day < 0]
    exposed = (now.dropout_day.clip(upper=730)).sum() / 365
    expected = (now.purchase_rate * now.dropout_day.clip(upper=730) / 365).sum()
    assert now.orders_window.sum() == pytest.approx(expected, rel=0.15)
    assert exposed > 0
    active = p[p.orders_window > 0]
    assert active.value_window.sum() == pytest.approx(
        (active.orders_window * active.spend_mean).sum(), rel=0.12
    )
    assert (p[p.dropout_day < 730].orders_after == 0).all()
    assert p.orders_after.sum() > 0
    assert np.corrcoef(now.purchase_rate * (now.dropout_day > 730), now.orders_after)[0, 1] > 0.5


def test_stock_is_as_planned_and_slow_sellers_lie_longer(large):
    s, rule = truth(large, "stock"), load("world")["stock"]["cover"]
    raw = pd.read_csv(large / "raw" / "inventory_export_2026-09-30.csv").drop_duplicates(
        ["SKU", "Location"]
    )
    both = s.merge(raw, left_on=["product_id", "store"], right_on=["SKU", "Location"])
    assert (both.on_hand.astype(str) == both["On hand (current)"]).mean() > 0.98
    o = truth(large, "orders", parse_dates=["ordered_at"])
    late = o[
        ~o.is_return & (o.status == "done") & (o.ordered_at >= "2026-07-01 22:00")
    ]  # 13 weeks, UTC
    sold = late.groupby(["product_id", "place"]).quantity.sum() / 13
    found = sold.reindex(pd.MultiIndex.from_frame(s[["product_id", "place"]]), fill_value=0)
    assert np.allclose(found, s.weekly_units)
    busy = s[s.weekly_units > 1].assign(cover=lambda x: x.on_hand / x.weekly_units)
    for plan, (low, high) in {"overstocked": rule["overstocked"], "short": rule["short"]}.items():
        x = s[s.plan == plan]
        assert x.planned_weeks.between(low, high).all() and x.product_id.nunique() > 3
    assert np.allclose(busy.cover, busy.planned_weeks, atol=0.51)
    units = s.groupby("plan").weekly_units.mean()
    assert units["overstocked"] < units["usual"] < units["short"]


def test_coders_agree_as_often_as_their_rates_say(monkeypatch):
    """Kappa by hand from the clean file is that of the truth, and the expected one is that of many coded passages."""
    monkeypatch.setattr(Sheet, "plant", lambda sheet, *_: sheet)
    w = simulate(60, 2)
    raw, a = pd.DataFrame(interviews.interviews(w).cells), w.agreement.set_index("theme")
    assert (
        not raw.duplicated(["passage_id", "coder", "code"]).any()
        and raw.respondent_id.nunique() == 24
    )
    for theme, row in a.iterrows():
        by = raw[raw.code == theme].groupby("coder").passage_id.agg(set)
        x, y = (w.passages.passage_id.isin(by[c]) for c in "AB")
        seen, chance = np.mean(x == y), x.mean() * y.mean() + (1 - x.mean()) * (1 - y.mean())
        assert (seen - chance) / (1 - chance) == pytest.approx(row.found)
    s, rng = load("world")["interviews"], np.random.default_rng(1)
    true = rng.choice(len(a), 100_000, p=list(s["share"].values()))
    many = interviews._agreement(np.stack([interviews._code(rng, true, s) for _ in range(2)]), s)
    assert np.allclose(many.found, many.kappa, atol=0.02) and a.kappa.between(0.4, 0.85).all()


def test_emotional_subjects_are_opened_more_and_sell_no_more(large):
    styles = truth(large, "styles").set_index("campaign_id")
    m = pd.read_csv(large / "raw" / "messages.csv", dtype=str)
    m = m[(m.delivered == "true")].drop_duplicates("message_id").join(styles, on="campaign_id")
    opened = m.opened_at.notna().groupby(m["style"]).mean()
    clicked = (
        m[m.opened_at.notna()]
        .assign(hit=lambda x: x.clicked_at.notna())
        .groupby("style")
        .hit.mean()
    )
    stated = load("world")["mail"]["style"]["emotional"]
    assert opened["emotional"] / opened["rational"] == pytest.approx(stated["open"], abs=0.05)
    assert clicked["emotional"] / clicked["rational"] == pytest.approx(stated["click"], abs=0.15)
    assert (
        styles.groupby("kind")["style"].value_counts().unstack().nunique(axis=1).eq(1).all()
    )  # half of each kind
    chance = truth(large, "messages").groupby(["kind", "group"]).chance.nunique()
    assert chance.eq(1).all()  # the style moves no order
    subjects = pd.read_csv(large / "raw" / "klaviyo_campaigns.csv").drop_duplicates("Campaign ID")
    known = {s: "|".join(re.escape(t).replace(r"\{theme\}", ".*") for k in x.values() for t in k)
             for s, x in load("words")["subjects"].items()}  # fmt: skip
    for row in subjects.itertuples():
        assert re.fullmatch(known[styles["style"][row._23]], row.Subject), row.Subject


def test_the_page_states_the_dirt_table():
    page = (CHECKOUT / "docs" / "twin.md").read_text(encoding="utf-8")
    for source, rules in load("dirt").items():
        for r in rules:
            row = (source, r["kind"], r.get("column", ""), f"{100 * r['rate']:.4g} %", r["expect"])
            assert f"| {' | '.join(row)} |" in page, row

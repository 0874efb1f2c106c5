"""Collect and clean on a till file with planted defects: each is found, each line is accounted for."""

import json
import shutil
from datetime import date
from importlib import resources
from types import SimpleNamespace

import ibis
import pandas as pd
import pytest

from helpers import store, tables
from helpers.clean import chain, quality, suspicions
from helpers.client import Client, PlaybookError
from helpers.collect import catalogue, sources, who
from simulator import write_twin

SETTINGS = """\
schema_version: 1
title: Tiny
currency: EUR
timezone: Europe/Berlin
sources:
  till: {file: till.csv, timezone: UTC, dated: moment}
  goods: {file: goods.csv}
tables:
  orders:
    source: till
    columns: {order_id: receipt, line_no: line, customer_id: who, ordered_at: moment, product_id: article,
              quantity: pieces, unit_price: price, discount: off, revenue: paid}
  products: {source: goods, columns: {product_id: article, name: label, category: aisle, subcategory: shelf}}
controls:
  money: {table: orders, value: "round(sum(revenue), 2)", expected: 100}
clean:
  - {step: grams to kilos, table: orders, action: correct, where: "product_name = 'flour' AND quantity >= 100",
     set: {quantity: quantity / 1000}, reason: the scale writes grams}
  - {step: price in cents, table: orders, action: correct, where: order_id = 'R5', set: {revenue: revenue / 100},
     reason: the old till wrote cents}
  - {step: gift cards, table: orders, action: filter, where: product_name = 'gift card', reason: not goods}
  - {step: goods without a shelf, table: products, action: fill, where: subcategory IS NULL,
     set: {subcategory: "'none'"}, reason: a group of its own}
settled:
  unknown product:
    "*": {decision: kept, reason: old articles}
"""
GOODS = (
    "article,label,aisle,shelf\n"
    "1,flour,BAKING,FLOURS\n2,gift card,OTHER,\n3,milk,DAIRY,MILK\n4,rolls,BAKING,FLOUR\n"
)
TILL = """receipt,line,who,moment,article,pieces,price,off,paid
R1,1,A,2024-03-30 22:30:00,1,500,0.002,0,1.00
R1,2,A,2024-03-30 22:30:00,3,2,1.00,0,2.00
R1,2,A,2024-03-30 22:30:00,3,2,1.00,0,2.00
R2,1,B,2024-03-30 23:30:00,2,1,50.00,0,50.00
R3,1,B,2024-03-31 10:00:00,3,2,1.00,0,2.00
R3,1,B,2024-03-31 10:00:00,3,9,1.00,0,9.00
R4,1,C,2024-03-31 11:00:00,3,two,1.00,0,2.00
R4,2,C,2024-03-31 11:00:00,,1,1.00,0,1.00
R5,1,C,2024-04-01 12:00:00,3,1,1.00,0,100.00
R6,1,D,2024-04-03 12:00:00,99,0,1.00,0,0.00
"""


@pytest.fixture()
def tiny(home, tmp_path, request):
    """Stage the tiny client and give back a store for 01_collect and one for 02_clean."""
    name = "tiny-" + "".join(c for c in request.node.name if c.isalnum())[:50]

    def make(till=TILL, goods=GOODS, settings=SETTINGS):
        folder = home / "data" / name
        (folder / "raw").mkdir(parents=True)
        (folder / "client.yaml").write_text(settings, encoding="utf-8")
        (folder / "raw" / "till.csv").write_text(till, encoding="utf-8")
        (folder / "raw" / "goods.csv").write_text(goods, encoding="utf-8")
        client = Client(name)
        first = store.Store("01_collect", client, tmp_path, "2024-04-02")
        first.opened = sources.open_sources(first.con, client)
        first.write("sources", sources.source_cards(first.opened, first.as_of))
        first.write("rules", catalogue.preset_rules(first.opened))
        everybody = who.identify(first.opened)
        for table in tables.CANONICAL:
            first.write(f"staged_{table}", sources.stage(first.opened, table, everybody))
        return first, store.Store("02_clean", client, tmp_path, "2024-04-02")

    return make


def cleaned_tables(run):
    cleaned = {"products": chain.clean_table(run, "products", run.as_of)}
    return cleaned | {
        "orders": chain.clean_table(run, "orders", run.as_of, cleaned["products"].rows)
    }


def test_times_become_utc_and_the_shops_own_clock_across_summer_time(tiny):
    first, _ = tiny()
    orders = first.frame("staged_orders").set_index("source_line")
    assert str(orders.loc[5, "ordered_at"]) == "2024-03-30 23:30:00"
    assert (
        str(orders.loc[5, "ordered_at_local"]) == "2024-03-31 00:30:00"
    )  # winter time, one hour ahead
    assert (
        str(orders.loc[6, "ordered_at_local"]) == "2024-03-31 12:00:00"
    )  # summer time, two hours ahead
    assert str(orders.loc[5, "ordered_on"])[:10] == "2024-03-31"


def test_an_unreadable_value_is_named_and_never_guessed(tiny):
    first, _ = tiny()
    bad = first.frame("staged_orders").set_index("source_line").loc[8]
    assert bad["source_unreadable"] == "quantity: two"
    assert pd.isna(bad["quantity"])


def test_source_cards_and_control_totals(tiny):
    first, _ = tiny()
    card = first.frame("sources").set_index("source").loc["till"]
    assert (card["rows"], card["columns"], card["days_missing"], card["age_days"]) == (10, 9, 1, 0)
    first.read("staged_orders")
    total = catalogue.control_totals(first.opened).iloc[0]
    assert (total["ours"], total["difference"], total["agrees"]) == (169.0, 69.0, False)


def test_a_control_that_is_no_sql_is_named(tiny):
    first, _ = tiny(settings=SETTINGS.replace("round(sum(revenue), 2)", "sum(revenew)"))
    first.read("staged_orders")
    with pytest.raises(PlaybookError, match=r"controls\.money"):
        catalogue.control_totals(first.opened)


def test_the_mapping_sheet_names_units(tiny):
    first, _ = tiny()
    sheet = catalogue.mapping_sheet(first.opened).set_index(["table", "column"])
    assert sheet.loc[("orders", "revenue"), "expression"] == "paid"
    assert sheet.loc[("orders", "revenue"), "unit"] == "currency"


def test_every_line_has_one_fate_and_the_money_adds_up(tiny):
    _, run = tiny()
    cleaned = cleaned_tables(run)
    fates = (
        cleaned["orders"]
        .marked.select("source_line", "fate", "rule")
        .to_pandas()
        .set_index("source_line")
    )
    assert fates["rule"].dropna().to_dict() == {
        4: "exact repeat",
        5: "gift cards",
        7: "same key, other content",
        8: "unreadable value",
        9: "required value missing",
        11: "after the last day",
    }
    row = chain.ledgers(run, cleaned, run.frame("sources")).set_index("table").loc["orders"]
    assert row[["lines", "layout", "loaded", "duplicate", "filtered", "held"]].tolist() == [
        11,
        1,
        4,
        1,
        2,
        3,
    ]
    assert row["balances"]
    assert row["money"] == 169.0
    assert row["money"] == pytest.approx(row["money_loaded"] + row["money_left_out"])
    assert row["money_corrected"] == -99.0
    assert (
        run.write("orders", cleaned["orders"].rows).revenue.sum().execute()
        == row["money_loaded"] + row["money_corrected"]
    )


def test_the_log_is_a_chain_in_rows_and_money(tiny):
    _, run = tiny()
    log = chain.chain_log(list(cleaned_tables(run).values()))
    orders = log[log["table"] == "orders"]
    assert (
        orders["rows_before"].iloc[1:].to_numpy() == orders["rows_after"].iloc[:-1].to_numpy()
    ).all()
    assert orders["revenue_before"].iloc[1:].tolist() == orders["revenue_after"].iloc[:-1].tolist()
    assert (orders["rows_after"].iloc[-1], orders["revenue_after"].iloc[-1]) == (4, 6.0)


def test_corrections_and_fills_change_values_and_say_so(tiny):
    _, run = tiny()
    cleaned = cleaned_tables(run)
    orders = cleaned["orders"].rows.to_pandas().set_index(["order_id", "line_no"])
    assert orders.loc[("R1", 1), "quantity"] == 0.5
    assert orders.loc[("R5", 1), "revenue"] == 1.0
    assert "product_name" not in orders.columns
    goods = cleaned["products"].rows.to_pandas().set_index("product_id")
    assert (goods.loc["2", "subcategory"], goods.loc["2", "filled"], goods.loc["1", "filled"]) == (
        "none",
        "subcategory",
        "",
    )
    shares = chain.filled_shares(cleaned)
    assert shares[["rows", "share"]].to_numpy().tolist() == [[1.0, 0.25]]


def test_quarantine_keeps_file_line_rule_and_the_row_as_it_came(tiny):
    _, run = tiny()
    held = (
        chain.quarantined(list(cleaned_tables(run).values())).to_pandas().set_index("source_line")
    )
    assert held.loc[7, "rule"] == "same key, other content"
    assert held.loc[7, "source_name"] == "till"
    assert json.loads(held.loc[7, "original"])["quantity"] == "9.0"
    assert "two" in json.loads(held.loc[8, "original"])["source_unreadable"]
    assert chain.by_rule(chain.quarantined(list(cleaned_tables(run).values())))["rows"].sum() == 3


def test_mending_the_file_empties_the_quarantine(tiny):
    good = (
        TILL.replace("two", "2")
        .replace("11:00:00,,1", "11:00:00,3,1")
        .replace("R3,1,B,2024-03-31 10:00:00,3,9", "R3,2,B,2024-03-31 10:00:00,3,9")
    )
    _, run = tiny(till=good)
    assert chain.quarantined(list(cleaned_tables(run).values())).count().execute() == 0


def test_lines_lost_by_a_join_stop_the_run(tiny):
    lossy = SETTINGS.replace(
        "  orders:\n    source: till\n",
        "  orders:\n    source: till\n    from: till JOIN goods USING (article)\n",
    )
    _, run = tiny(settings=lossy)
    with pytest.raises(
        PlaybookError, match=r"tables\.orders\.from: 2 of 10 lines of till\.csv are lost"
    ):
        chain.ledgers(run, cleaned_tables(run), run.frame("sources"))


def test_a_step_that_is_no_sql_is_named(tiny):
    _, run = tiny(settings=SETTINGS.replace("order_id = 'R5'", "ordr_id = 'R5'"))
    with pytest.raises(PlaybookError, match='step "price in cents"'):
        cleaned_tables(run)


def test_suspicions_are_raised_without_knowing_the_client(tiny):
    _, run = tiny()
    found = suspicions.suspicions(run).set_index("rule")
    assert {
        "exact repeat",
        "same key, other content",
        "zero quantity",
        "unknown product",
        "names alike",
        "missing day",
    } <= set(found.index)
    assert found.loc["names alike", "subject"] == "products.subcategory, FLOUR = FLOURS"
    assert found.loc["unknown product", ["status", "decision"]].tolist() == ["settled", "kept"]
    assert found.loc["zero quantity", "status"] == "open"
    assert found.loc[["missing day"], "status"].tolist() == ["reported"]


def test_a_refund_that_is_spread_over_an_order_is_named_with_its_money(tiny):
    till = (
        "receipt,line,who,moment,article,pieces,price,off,paid,back\nR1,1,A,2024-03-30 11:00:00,3,2,1.00,0,2.00,no\n"
        "R1,1001,A,2024-03-30 11:00:00,3,-0.5,1.00,0,-0.50,yes\nR2,1,B,2024-03-31 11:00:00,3,1,1.00,0,1.00,no\n"
        "R2,1001,B,2024-03-31 11:00:00,3,-1,1.00,0,-1.00,yes\n"
    )
    _, run = tiny(
        till=till, settings=SETTINGS.replace("revenue: paid", "revenue: paid, is_return: back")
    )
    found = suspicions.suspicions(run).set_index("rule").loc["refund not told by item"]
    assert found[["rows", "revenue", "status"]].tolist() == [1, -0.5, "open"]


def test_clean_data_raise_nothing(tiny):
    days = pd.date_range("2024-01-01", periods=91)  # whole weeks, Monday to Sunday
    till = "receipt,line,who,moment,article,pieces,price,off,paid\n" + "".join(
        f"R{i},1,C{i % 9},{d:%Y-%m-%d} 11:00:00,3,1,2.00,0.50,1.50\n" for i, d in enumerate(days)
    )
    _, run = tiny(till=till, goods="article,label,aisle,shelf\n3,milk,DAIRY,MILK\n")
    found = suspicions.suspicions(run)
    assert found.empty or set(found["rule"]) <= {"first seen at the start"}, found


def test_quality_scores_are_shares_that_can_be_checked_by_hand(tiny):
    _, run = tiny()
    score = quality.quality(run, cleaned_tables(run), run.as_of).set_index(["table", "part"])
    assert score.loc[("orders", "uniqueness"), "score"] == pytest.approx(0.9)
    assert score.loc[("orders", "validity"), "score"] == pytest.approx(0.7)
    assert score.loc[("orders", "consistency"), "worst"].startswith("product_id found in products")
    assert score.loc[("orders", "consistency"), "score"] > 0.5  # no customers are brought
    assert score.loc[("products", "completeness"), "score"] == pytest.approx(15 / 16)


def test_outliers_are_flagged_and_kept(tiny):
    till = "receipt,line,who,moment,article,pieces,price,off,paid\n" + "".join(
        f"R{i},1,C,2024-03-{i % 28 + 1:02} 11:00:00,3,1,2.00,0,{p:.2f}\n"
        for i, p in enumerate([1 + (i % 7) / 10 for i in range(60)] + [400])
    )
    _, run = tiny(till=till)
    orders = run.write("orders", chain.with_outliers(cleaned_tables(run)["orders"]))
    assert orders.filter(orders.is_outlier).revenue.to_pandas().tolist() == [400.0]
    assert orders.count().execute() == 61


def test_the_last_full_day_drops_a_day_that_stopped_early(tiny):
    lines = [(d, "09:00") for d in range(1, 11)] + [(d, "18:00") for d in range(1, 10)]
    till = "receipt,line,who,moment,article,pieces,price,off,paid\n" + "".join(
        f"R{i},1,C,2024-03-{d:02} {t}:00,3,1,2.00,0,2.00\n" for i, (d, t) in enumerate(lines)
    )
    first, _ = tiny(till=till)
    assert store.last_full_day(store.order_days(first.read("staged_orders"))) == date(2024, 3, 9)


def test_cleaning_twice_gives_the_same_table(tiny):
    _, run = tiny()
    once, twice = (
        run.write("orders", cleaned_tables(run)["orders"].rows).to_pandas() for _ in range(2)
    )
    pd.testing.assert_frame_equal(once, twice, check_exact=True)


def test_a_few_late_dates_after_a_silence_are_slips(tiny):
    days = [*pd.date_range("2024-01-01", "2024-03-20"), pd.Timestamp("2024-03-26")]
    lines = [(d, n) for d in days for n in range(1 if d.day == 26 and d.month == 3 else 3)]
    till = "receipt,line,who,moment,article,pieces,price,off,paid\n" + "".join(
        f"R{i},1,C,{d:%Y-%m-%d} 11:00:00,3,1,2.00,0,2.00\n" for i, (d, _) in enumerate(lines)
    )
    first, _ = tiny(till=till)
    assert store.last_full_day(store.order_days(first.read("staged_orders"))) == date(2024, 3, 20)
    orders = first.read("staged_orders")
    few = orders.filter(orders.ordered_on > date(2024, 3, 18))  # too few to tell
    assert store.last_full_day(store.order_days(few)) == date(2024, 3, 26)


def test_full_days_after_a_closed_week_are_no_slips(tiny):
    days = [*pd.date_range("2024-01-01", "2024-12-20"), *pd.date_range("2024-12-28", "2024-12-31")]
    till = "receipt,line,who,moment,article,pieces,price,off,paid\n" + "".join(
        f"R{i}-{n},1,C,{d:%Y-%m-%d} 11:00:00,3,1,2.00,0,2.00\n"
        for i, d in enumerate(days)
        for n in range(3)
    )
    first, _ = tiny(till=till)
    assert store.body(store.order_days(first.read("staged_orders"))) == (
        date(2024, 1, 1),
        date(2024, 12, 31),
    )


def test_contacts_in_a_wrong_cell_do_not_reach_the_tables(tiny):
    till = TILL.replace(
        "R4,1,C,2024-03-31 11:00:00,3,two", "R4,1,C,anna@example.com,3,call 0151 23456789"
    )
    _, run = tiny(till=till)
    held = chain.quarantined(list(cleaned_tables(run).values())).to_pandas().to_json()
    assert "[e-mail]" in held
    assert "anna@example.com" not in held
    assert "23456789" not in held


def test_timeliness_is_a_share(tiny):
    _, run = tiny()
    score = quality.quality(run, cleaned_tables(run), date(2024, 4, 1))
    assert score["score"].between(0, 1).all()


def test_planted_defects_of_stock_and_interviews_are_met(home, tmp_path):
    """What is wrong in these files of the simulated client is held or counted once, and every other line is used."""
    made = write_twin(tmp_path / "twin", 60, 4, events=False)
    for file in (made / "raw").iterdir():
        if not file.name.startswith(
            ("inventory_", "interviews", "calendar", "shopify_orders_late")
        ):
            file.unlink()
    folder = shutil.copytree(made, home / "data" / "talks")
    settings = "schema_version: 1\ntitle: T\ncurrency: EUR\ntimezone: Europe/Berlin\ncountry: DE\n"
    (folder / "client.yaml").write_text(settings, encoding="utf-8")
    client = Client("talks")
    first = store.Store("01_collect", client, tmp_path, "2026-09-30")
    opened = sources.open_sources(first.con, client)
    first.write("rules", catalogue.preset_rules(opened))
    names = ("stock", "interviews", "calendar")
    for name in names:
        first.write(f"staged_{name}", sources.stage(opened, name, who.identify(opened)))
    run = store.Store("02_clean", client, tmp_path, "2026-09-30")
    cleaned = {name: chain.clean_table(run, name, run.as_of) for name in names}
    defects = pd.read_csv(made / "truth" / "defects.csv")
    lines = {name: c.marked.to_pandas() for name, c in cleaned.items()}
    for name, file in (
        ("stock", "inventory_export_2026-09-30.csv"),
        ("interviews", "interviews.csv"),
    ):
        rows, planted = lines[name], defects[defects["file"] == file].set_index("line")["expect"]
        fate = rows.set_index("source_line")["fate"]
        assert set(planted.index[planted == "held"]) <= set(fate.index[fate == "held"]), file
        assert set(planted.index[planted == "duplicate"]) <= set(fate.index[fate == "duplicate"]), (
            file
        )
        assert set(fate.index[fate.notna()]) <= set(planted.index), file
    stock = cleaned["stock"].rows.to_pandas()
    assert set(stock["store_id"]) == {"web", "Berlin Mitte", "Hamburg Altona", "München Sendling"}
    assert stock["stocked_on"].astype("str").eq("2026-09-30").all()
    assert not cleaned["interviews"].rows.to_pandas()["text"].str.contains(r"@|\d{6}").any()
    ahead = pd.to_datetime(cleaned["calendar"].rows.to_pandas()["held_on"]) > "2026-09-30"
    assert 0 < ahead.sum() < len(ahead)  # days to come stay


@pytest.mark.parametrize(
    ("staged", "repeats", "one"),
    [([1, 2, 3], [], True), ([1, 2, 2, 3], [3], True), ([1, 2, 2], [2], False), ([2, 2], [2, 2], False)],
)  # fmt: skip
def test_a_repeat_is_known_by_its_line_where_that_became_one_row(staged, repeats, one):
    lines = {n: ibis.memtable(pd.DataFrame({"source_order": pd.Series(v, dtype="int64")})) for n, v in
             {"staged": staged, "again": repeats}.items()}  # fmt: skip
    run = SimpleNamespace(read=lambda name: lines["staged"])
    assert chain._one_row_each(run, lines["again"], tables.get("orders")) == one


def test_the_step_of_likely_misprints_is_one_of_the_rules():
    rules = resources.files("helpers.clean").joinpath("rules.yaml").read_text(encoding="utf-8")
    assert f"step: {chain.MISPRINTS}\n" in rules

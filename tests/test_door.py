"""Exports as shops and tills write them: what would be counted with no edit, held against what a careful analyst gets.

The right values are worked out by hand from the rows. All people are invented.
"""

import json

import pytest

from helpers.client import Client, PlaybookError, connect
from helpers.collect import open_sources, stage
from helpers.counted import counted


@pytest.fixture
def count(tmp_path, monkeypatch):
    """What would be counted of these files, for a client of this currency and zone."""

    def make(files, currency="USD", zone="UTC"):
        folder = tmp_path / "data" / "door"
        (folder / "raw").mkdir(parents=True)
        settings = f"schema_version: 1\ntitle: Door\ncurrency: {currency}\ntimezone: {zone}\n"
        (folder / "client.yaml").write_text(settings, encoding="utf-8")
        for name, text in files.items():
            (folder / "raw" / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        monkeypatch.setenv("PLAYBOOK_HOME", str(tmp_path))
        return counted(Client("door"))

    return make


@pytest.fixture(autouse=True)
def notebooks(tmp_path, home):
    """The notebooks say which tables they read and write."""
    (tmp_path / "notebooks").symlink_to(home / "notebooks")


SHOPIFY_HEAD = (
    "Name,Email,Financial Status,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Created at,"
    "Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Refunded Amount,Cancelled at\n"
)
SHOPIFY = {
    "a discount on the shipping alone": (
        "#1,a@example.com,paid,USD,93,15,0,93,FREESHIP,15,2025-03-01 10:00:00 -0500,1,Pants,93,P,0,\n",
        93.0,
    ),
    "a discount on goods": (
        "#1,a@example.com,paid,USD,80,5,0,85,TEN,20,2025-03-01 10:00:00 -0500,1,Pants,100,P,0,\n",
        80.0,
    ),
    "a tip as a line": (
        "#1,a@example.com,paid,USD,50,0,0,52.5,,0,2025-03-01 10:00:00 -0500,1,Tip,2.5,,0,\n"
        "#1,a@example.com,,,,,,,,,2025-03-01 10:00:00 -0500,1,Hat,50,H,,\n",
        50.0,
    ),
    "two equal lines": (
        "#1,a@example.com,paid,USD,40,0,0,40,,0,2025-03-01 10:00:00 -0500,1,Mug,20,M,0,\n"
        + 2 * "#1,a@example.com,,,,,,,,,2025-03-01 10:00:00 -0500,1,Plate,10,P,,\n",
        40.0,
    ),
    "a line that is there twice though the order counts it once": (
        "#1,a@example.com,paid,USD,30,0,0,30,,0,2025-03-01 10:00:00 -0500,1,Mug,20,M,0,\n"
        + 2 * "#1,a@example.com,,,,,,,,,2025-03-01 10:00:00 -0500,1,Plate,10,P,,\n",
        30.0,
    ),
    "only the shipping was refunded": (
        "#1,a@example.com,partially_refunded,USD,100,10,8,118,,0,2025-03-01 10:00:00 -0500,2,Mug,50,M,10,\n",
        100.0,
    ),
    "all was refunded": (
        "#1,a@example.com,refunded,USD,100,10,8,118,,0,2025-03-01 10:00:00 -0500,2,Mug,50,M,118,\n"
        "#2,b@example.com,paid,USD,20,0,0,20,,0,2025-03-02 10:00:00 -0500,1,Mug,20,M,0,\n",
        20.0,
    ),
    "a gift card is paid in advance": (
        "#1,a@example.com,paid,USD,50,0,0,50,,0,2025-03-01 10:00:00 -0500,1,Gift Card - $50.00,50,,0,\n"
        "#2,b@example.com,paid,USD,20,0,0,20,,0,2025-03-02 10:00:00 -0500,1,Gift card holder,20,H,0,\n",
        20.0,
    ),
    "prices hold their tax, and a tip lies in the total": (
        "#1,a@example.com,paid,USD,119,5.95,19.95,124.95,,0,2025-03-01 10:00:00 -0500,1,Pants,119,P,0,\n"
        "#2,b@example.com,paid,USD,119,5.95,19,119,FREESHIP,5.95,2025-03-02 10:00:00 -0500,1,Pants,119,P,0,\n"
        "#3,c@example.com,paid,USD,119,0,19,124,,0,2025-03-03 10:00:00 -0500,1,Pants,119,P,0,\n",
        300.0,
    ),
}


def test_an_order_of_shopify_says_how_its_lines_are_read(count):
    files = {}
    for i, (rows, _) in enumerate(SHOPIFY.values()):
        files[f"orders-{i}.csv"] = SHOPIFY_HEAD + rows.replace("#", f"#{i}-")
    assert count(files, zone="America/New_York")["revenue"] == sum(right for _, right in SHOPIFY.values())
    opened = open_sources(connect(), Client("door"))
    orders = stage(opened, "orders").to_pandas()
    goods = orders[~(orders["is_tip"] | orders["is_gift_card"] | orders["source_repeat"])]
    found = goods.groupby(goods["order_id"].str.extract(r"#(\d+)-", expand=False))["revenue"].sum().round(2)
    assert {case: found[str(i)] for i, case in enumerate(SHOPIFY)} == {
        case: right for case, (_, right) in SHOPIFY.items()
    }


def test_a_free_order_is_an_order(count):
    rows = (
        "#1,a@example.com,paid,USD,0,0,0,0,ALL,35,2025-03-01 10:00:00 -0500,1,Crew,35,C,0,\n"
        "#2,b@example.com,paid,USD,20,0,0,20,,0,2025-03-02 10:00:00 -0500,1,Mug,20,M,0,\n"
    )
    found = count({"orders.csv": SHOPIFY_HEAD + rows})
    assert (found["orders"], found["revenue"], found["held"]) == (2, 20.0, [])


SQUARE = """\
Date,Time,Time Zone,Category,Item,Qty,Price Point Name,SKU,Gross Sales,Discounts,Net Sales,Tax,Transaction ID,Event Type
03/14/25,10:02:11,Eastern Time (US & Canada),Prints,Print,1.0,Regular,,"$1,200.00",$0.00,"$1,200.00",$0.96,SQA1,Payment
03/14/25,10:02:11,Eastern Time (US & Canada),Prints,Print,1.0,Regular,,"$1,200.00",$0.00,"$1,200.00",$0.96,SQA1,Payment
03/20/25,09:00:00,Eastern Time (US & Canada),Ceramics,Mug,-1.0,Regular,M,-$18.00,$3.00,-$15.00,-$1.20,SQA1,Refund
03/22/25,23:30:00,Eastern Time (US & Canada),,Gift Card,1.0,,,$50.00,$0.00,$50.00,$0.00,SQC1,Payment
"""


def test_equal_lines_of_a_till_are_two_and_short_years_are_of_this_century(count):
    found = count({"items.csv": SQUARE}, zone="America/New_York")
    assert (found["revenue"], found["first_on"], found["last_on"]) == (2385.0, "2025-03-14", "2025-03-20")


# Files that no preset knows: text, currency, orders, money.
UNKNOWN = {
    "the order's total on each of its lines": (
        "order_id,created_at,customer_email,product,quantity,total\n"
        "A1,2025-03-01T10:00:00Z,ana@example.com,Mug,2,60.00\nA1,2025-03-01T10:00:00Z,ana@example.com,Hat,1,60.00\n"
        "A2,2025-03-02T10:00:00Z,bo@example.com,Mug,1,20.00\n",
        "USD",
        (2, 80.0),
    ),
    "paid less than the lines say, one order closed, in Chinese": (
        "订单号,订单状态,商品名称,商品数量,商品单价,实付金额,下单时间,买家姓名,买家手机号\n"
        "E1,交易完成,杯子,2,49.00,98.00,2025-03-01 10:20:30,甲一,13900000001\n"
        "E1,交易完成,盘子,1,20.00,98.00,2025-03-01 10:20:30,甲一,13900000001\n"
        "E2,交易关闭,盘子,1,20.00,20.00,2025-03-02 11:20:30,乙二,13900000002\n",
        "CNY",
        (1, 98.0),
    ),
    "a price that is the line's own": (
        "Order No,Date,Item,Qty,Price,Order Total\n"
        "1,2025-03-01,Mug,2,40.00,60.00\n1,2025-03-01,Hat,1,20.00,60.00\n2,2025-03-02,Mug,3,60.00,60.00\n",
        "USD",
        (2, 120.0),
    ),
    "totals with tax and shipping": (
        "Order No,Date,Item,Qty,Unit Price,Shipping,Tax,Order Total\n"
        "1,2025-03-01,Mug,2,20.00,5.00,4.00,49.00\n2,2025-03-02,Mug,1,20.00,5.00,2.00,27.00\n",
        "USD",
        (2, 60.0),
    ),
    "prices with tax inside": (
        "Order No;Datum;Artikel;Menge;Einzelpreis;MwSt;Gesamtsumme\n"
        "1;01.03.2025;Becher;2;11,90;3,80;23,80\n2;02.03.2025;Becher;1;11,90;1,90;11,90\n",
        "EUR",
        (2, 30.0),
    ),
    "a discount of the order": (
        "Order No,Date,Item,Qty,Unit Price,Discount,Order Total\n"
        "1,2025-03-01,Mug,2,20.00,10.00,50.00\n1,2025-03-01,Hat,1,20.00,10.00,50.00\n2,2025-03-02,Mug,1,20.00,0.00,20.00\n",
        "USD",
        (2, 70.0),
    ),
    "freight on each line": (
        "Order No,Date,Item,Qty,Unit Price,Freight,Order Total\n"
        "1,2025-03-01,Mug,1,30.00,5.00,60.00\n1,2025-03-01,Hat,1,20.00,5.00,60.00\n2,2025-03-02,Mug,1,30.00,5.00,35.00\n",
        "USD",
        (2, 80.0),
    ),
    "states of an order": (
        "Order ID,Order Date,Status,Customer Email,Product,Quantity,Line Total\n"
        "1,2025-03-01,Completed,a@example.com,Mug,1,20.00\n2,2025-03-02,Cancelled,b@example.com,Mug,1,20.00\n"
        "3,2025-03-03,Partially refunded,c@example.com,Mug,1,20.00\n4,2025-03-04,Draft,d@example.com,Mug,1,20.00\n",
        "USD",
        (2, 40.0),
    ),
    "returns by their kind": (
        "Receipt,Date,Type,SKU,Qty,Net sales\n"
        "1,2025-03-01,Sale,M,2,40.00\n2,2025-03-02,Refund,M,1,20.00\n3,2025-03-03,Sale,M,1,20.00\n",
        "USD",
        (2, 40.0),
    ),
    "returns by a credit number, stock moved, postage and a bad debt": (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
        "536365,85123A,HEART HOLDER,6,12/1/2010 8:26,2.55,17850\nC536383,71053,LANTERN,-1,12/14/2010 9:49,3.39,17850\n"
        "536414,22139,,56,12/14/2010 11:52,0.00,\n536544,21773,BOTTLE,1,12/14/2010 14:32,2.51,\n"
        "536544,21773,BOTTLE,1,12/14/2010 14:32,2.51,\nA563185,B,Adjust bad debt,1,12/15/2010 14:50,11062.06,\n"
        "536370,POST,POSTAGE,3,12/15/2010 8:45,18.00,12583\n",
        "GBP",
        (2, 16.93),
    ),
    "marks between thousands as in India": (
        'Order ID,Date,Customer,Item,Qty,Amount\n1,2025-03-01,C1,A,1,"1,23,456.78"\n2,2025-03-02,C2,A,1,"99,999.00"\n',
        "INR",
        (2, 223455.78),
    ),
    "days with two digits and halves": (
        "Receipt,Date,SKU,Qty,Net sales\nR1,12/31/24 11:59:59 AM,A,1,10.00\nR2,1/2/25 12:05:00 PM,A,1,20.00\n",
        "USD",
        (2, 30.0),
    ),
    "a row an order": (
        "Order ID,Created,Email,Subtotal,Discount,Shipping,Tax,Total\n"
        "1,2025-03-01 10:00,a@example.com,100.00,10.00,5.00,7.20,102.20\n"
        "2,2025-03-02 10:00,b@example.com,50.00,0.00,5.00,4.00,59.00\n",
        "USD",
        (2, 140.0),
    ),
    "a till's total with the tax on top": (
        "Invoice ID,Branch,Product line,Unit price,Quantity,Tax 5%,Total,Date,Time,Payment\n"
        "750,A,Health,74.69,7,26.1415,548.9715,1/13/2019,13:08,Cash\n226,C,Home,15.28,5,3.82,80.22,3/8/2019,10:29,Cash\n",
        "USD",
        (2, 599.23),
    ),
    "a discount that is a rate": (
        "Order ID,Order Date,Ship Date,Customer ID,State,Product ID,Product Name,Sales,Quantity,Discount\n"
        "1,11/8/2016,11/11/2016,C1,Kentucky,B1,Bookcase,261.96,2,0\n2,6/12/2016,6/16/2016,C2,Ohio,L1,Labels,14.62,2,0.2\n",
        "USD",
        (2, 276.58),
    ),
    "in Spanish": (
        "Nº pedido;Fecha del pedido;Estado;Correo electrónico;Artículo;Cantidad;Precio unitario;Importe\n"
        "1;1 de marzo de 2025;Completado;a@example.com;Taza;2;10,00;20,00\n"
        "2;2 de marzo de 2025;Cancelado;b@example.com;Taza;1;10,00;10,00\n",
        "EUR",
        (1, 20.0),
    ),
    "in Portuguese": (
        "Número do pedido;Data do pedido;Situação;E-mail;Produto;Quantidade;Preço unitário;Total do item\n"
        "1;01/03/2025;Pago;a@example.com;Caneca;2;10,00;20,00\n2;15/03/2025;Cancelado;b@example.com;Caneca;1;10,00;10,00\n",
        "BRL",
        (1, 20.0),
    ),
    "in Japanese": (
        "注文番号,注文日時,ステータス,メールアドレス,商品名,個数,単価,小計\n"
        '1,2025/03/01 10:00:00,発送済み,a@example.com,カップ,2,"1,000","2,000"\n'
        '2,2025/03/02 10:00:00,キャンセル,b@example.com,カップ,1,"1,000","1,000"\n',
        "JPY",
        (1, 2000.0),
    ),
    "in traditional Chinese": (
        "訂單編號,訂單日期,訂單狀態,買家姓名,商品名稱,數量,單價,小計\n"
        "1,2025/03/01,已完成,甲一,杯子,2,100,200\n2,2025/03/02,已取消,乙二,杯子,1,100,100\n",
        "TWD",
        (1, 200.0),
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_stranger_s_file_needs_no_edit(count, case):
    text, currency, right = UNKNOWN[case]
    found = count({"export.csv": text}, currency)
    assert (found["orders"], found["revenue"]) == right
    assert {f["state"] for f in found["files"]} <= {"suggested", "known"}


def test_tables_of_one_export_are_joined_and_the_day_is_that_of_the_purchase(count):
    orders = (
        "order_id,customer_id,order_purchase_timestamp,order_delivered_date,order_status\n"
        "A1,C1,2025-03-01 10:00:00,2025-03-05 10:00:00,delivered\n"
        "A2,C2,2025-03-02 10:00:00,2025-03-06 10:00:00,canceled\n"
    )
    items = (
        "order_id,order_item_id,product_id,price,freight_value\n"
        "A1,1,P1,30.00,5.00\nA1,2,P2,20.00,5.00\nA2,1,P1,30.00,5.00\n"
    )
    customers = "customer_id,customer_unique_id,city\nC1,U1,X\nC2,U1,Y\n"
    products = "product_id,product_name,category\nP1,Mug,kitchen\nP2,Hat,wear\n"
    files = {"orders.csv": orders, "items.csv": items, "customers.csv": customers, "products.csv": products}
    found = count(files)
    assert (found["orders"], found["revenue"], found["last_on"]) == (1, 50.0, "2025-03-01")
    assert found["staged"]["customers"] == 1
    states = {f["file"]: f["state"] for f in found["files"]}
    assert states == {
        "orders.csv": "joined",
        "items.csv": "suggested",
        "customers.csv": "joined",
        "products.csv": "suggested",
    }
    assert sum(f["held"] for f in found["files"]) == 0


def test_orders_that_two_files_tell_count_once(count):
    orders = "order_id,date,total\n1,2025-03-01,60.00\n2,2025-03-02,30.00\n"
    items = "order_id,date,sku,price\n1,2025-03-01,M,40.00\n1,2025-03-01,H,20.00\n2,2025-03-02,M,30.00\n"
    found = count({"Orders.csv": orders, "items.csv": items})
    assert (found["orders"], found["revenue"]) == (2, 90.0)
    assert {f["file"]: f["state"] for f in found["files"]} == {"Orders.csv": "not used", "items.csv": "suggested"}


def test_money_that_contradicts_itself_is_not_guessed_at(count):
    rows = "".join(f"{i},2025-03-0{i},Mug,1,20.00,{20 + 7 * (-1) ** i}.00\n" for i in range(1, 6))
    found = count({"export.csv": "Order No,Date,Item,Qty,Unit Price,Order Total\n" + rows})
    assert (found["orders"], found["files"][0]["state"]) == (0, "not used")


def test_a_price_is_held_only_where_enough_lines_show_what_is_usual(count):
    few = "Receipt,Date,SKU,Qty,Price\n1,2025-03-01,A,1,1.00\n2,2025-03-02,A,1,1.00\n3,2025-03-03,A,1,900.00\n"
    assert count({"till.csv": few})["revenue"] == 902.0


def test_days_without_a_time_are_whole_and_not_at_night(count, tmp_path):
    rows = "".join(f"{i},2025-03-{i:02d},A,1,1.00\n" for i in range(1, 30))
    found = count({"till.csv": "Receipt,Date,SKU,Qty,Price\n" + rows}, zone="America/New_York")
    assert (found["first_on"], found["last_on"], found["orders"]) == ("2025-03-01", "2025-03-29", 29)


def test_the_command_prints_it_and_stores_nothing(count, command, tmp_path):
    text, _currency, right = UNKNOWN["states of an order"]
    found = count({"export.csv": text})
    code, out, _err = command("check", "door", "--json")
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps(found))
    assert (json.loads(out)["orders"], json.loads(out)["revenue"]) == right
    folder = tmp_path / "data" / "door"
    assert sorted(p.name for p in folder.iterdir()) == ["client.yaml", "private", "raw"]
    assert not list(folder.rglob("staged_*"))


def test_what_is_suggested_counts_the_same_once_it_is_pasted(count, command, tmp_path):
    text, _currency, right = UNKNOWN["returns by a credit number, stock moved, postage and a bad debt"]
    count({"export.csv": text})
    assert command("check", "door")[0] == 0
    folder = tmp_path / "data" / "door"
    pasted = (folder / "client.yaml").read_text(encoding="utf-8") + (folder / "suggestions.yaml").read_text(
        encoding="utf-8"
    )
    (folder / "client.yaml").write_text(pasted, encoding="utf-8")
    found = counted(Client("door"))
    assert (found["orders"], found["revenue"]) == right
    assert [f["state"] for f in found["files"]] == ["mapped"]


def test_what_cannot_be_read_is_said_in_json_too(count, command):
    with pytest.raises(PlaybookError):
        count({"export.csv": UNKNOWN["states of an order"][0], "broken.xlsx": b"no workbook"})
    code, out, err = command("check", "door", "--json")
    assert code == 2
    assert "broken.xlsx" in json.loads(out)["error"]
    assert "broken.xlsx" in err


HARMLESS = {
    "letters of tills are no credit numbers": (
        "Receipt,Date,SKU,Qty,Net sales\n"
        "A100,2025-03-01,M,1,10.00\nB101,2025-03-02,M,1,10.00\nC102,2025-03-03,M,1,10.00\n",
        30.0,
    ),
    "a credit card is no return": (
        "Receipt,Date,Type,SKU,Qty,Net sales\n1,2025-03-01,Cash,M,1,10.00\n2,2025-03-02,Credit card,M,1,10.00\n",
        20.0,
    ),
    "two lines of one price are no order's total": (
        "Order No,Date,Item,Qty,Unit Price,Amount\n1,2025-03-01,Mug,1,10.00,10.00\n1,2025-03-01,Hat,1,10.00,10.00\n"
        "2,2025-03-02,Mug,1,10.00,10.00\n",
        30.0,
    ),
    "a deposit paid is not all that was sold": (
        "Order No,Date,Item,Qty,Unit Price,Amount Paid,Balance Due\n1,2025-03-01,Sofa,1,1000.00,200.00,800.00\n"
        "2,2025-03-02,Lamp,1,50.00,50.00,0.00\n3,2025-03-03,Lamp,2,50.00,100.00,0.00\n",
        1150.0,
    ),
    "a return beside prices with tax": (
        "Bestellnummer;Datum;Artikel;Menge;Einzelpreis;MwSt;Gesamtsumme\n1001;01.03.2025;Becher;2;11,90;3,80;23,80\n"
        "1002;02.03.2025;Becher;1;11,90;1,90;11,90\n1003;03.03.2025;Becher;-1;11,90;-1,90;-11,90\n",
        20.0,
    ),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_looks_like_a_trap_and_is_none(count, case):
    text, right = HARMLESS[case]
    assert count({"export.csv": text})["revenue"] == right


def test_a_header_without_rows_is_said_to_be_so(count):
    found = count({"export.csv": "Order No,Date,Item,Qty,Unit Price,Order Total\n"})
    assert (found["orders"], found["files"][0]["rows"]) == (0, 0)

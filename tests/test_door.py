"""Exports as shops and tills write them: what would be counted with no edit, held against what a careful analyst gets.

The right values are worked out by hand from the rows. All people are invented.
"""

import json
from datetime import date

import pandas as pd
import pytest

from helpers.clean import chain, suspicions
from helpers.client import Client, PlaybookError, connect
from helpers.collect import joins, who
from helpers.collect.sources import open_sources, stage
from helpers.counted import counted, with_suggestions
from helpers.practices import suggestions
from helpers.store import Store


@pytest.fixture
def door(tmp_path, monkeypatch):
    """A client of this currency and zone that has these files."""

    def make(files, currency="USD", zone="UTC"):
        folder = tmp_path / "data" / "door"
        (folder / "raw").mkdir(parents=True)
        settings = f"schema_version: 1\ntitle: Door\ncurrency: {currency}\ntimezone: {zone}\n"
        (folder / "client.yaml").write_text(settings, encoding="utf-8")
        for name, text in files.items():
            (folder / "raw" / name).write_bytes(
                text if isinstance(text, bytes) else text.encode("utf-8")
            )
        monkeypatch.setenv("PLAYBOOK_HOME", str(tmp_path))
        return Client("door")

    return make


@pytest.fixture
def count(door):
    """What would be counted of these files."""
    return lambda *given, **settings: counted(door(*given, **settings))


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
    "what is pending or authorized counts, as in the sums of the shop itself": (
        "#1,a@example.com,pending,USD,50,0,0,50,,0,2025-03-01 10:00:00 -0500,1,Mug,50,M,0,\n"
        "#2,b@example.com,authorized,USD,20,0,0,20,,0,2025-03-02 10:00:00 -0500,1,Mug,20,M,0,\n",
        70.0,
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
    for i, (rows, _right) in enumerate(SHOPIFY.values()):
        files[f"orders-{i}.csv"] = SHOPIFY_HEAD + rows.replace("#", f"#{i}-")
    assert count(files, zone="America/New_York")["revenue"] == sum(
        right for _, right in SHOPIFY.values()
    )
    opened = open_sources(connect(), Client("door"))
    orders = stage(opened, "orders", who.identify(opened)).to_pandas()
    goods = orders[~(orders["is_tip"] | orders["is_gift_card"] | orders["source_repeat"])]
    assert orders.loc[orders["doubt"].notna(), "order_status"].tolist() == ["pending"]
    found = (
        goods.groupby(goods["order_id"].str.extract(r"#(\d+)-", expand=False))["revenue"]
        .sum()
        .round(2)
    )
    assert {case: found[str(i)] for i, case in enumerate(SHOPIFY)} == {
        case: right for case, (_, right) in SHOPIFY.items()
    }


def test_money_that_its_own_price_and_quantity_contradict_is_told(count):
    rows = "1,2025-03-01,K1,A,2,10.00,23.80\n2,2025-03-02,K2,B,1,10.00,10.70\n3,2025-03-03,K3,A,1,10.00,11.90\n"
    found = count({"x.csv": "Beleg,Datum,Kunde,Artikel,Menge,Einzelpreis,Betrag\n" + rows})
    assert found["revenue"] == 46.4
    assert [(o["rows"], "not price times quantity" in o["finding"]) for o in found["open"]] == [
        (3, True)
    ]


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
    assert (found["revenue"], found["first_on"], found["last_on"]) == (
        2385.0,
        "2025-03-14",
        "2025-03-20",
    )


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
    "in Italian, with tax on top of a net amount": (
        "Numero ordine;Data ordine;Stato;Cliente;Prodotto;Quantità;Prezzo unitario;Sconto;Imponibile;IVA;Totale\n"
        "A1;03/06/2025;Completato;Ana Q;Tazza;2;10,00;1,00;19,00;4,18;23,18\n"
        "A2;04/06/2025;Annullato;Bo R;Tazza;1;10,00;0,00;10,00;2,20;12,20\n"
        "A3;15/06/2025;In lavorazione;Cy S;Piatto;1;1.250,00;0,00;1.250,00;275,00;1.525,00\n",
        "EUR",
        (2, 1269.0),
    ),
    "in Dutch": (
        "Bestelnummer;Besteldatum;Status;Klantnaam;Product;Aantal;Prijs per stuk;Verzendkosten;Totaal\n"
        "1;1-3-2025 10:00;Afgerond;Ana Q;Mok;2;10,00;4,95;24,95\n"
        "2;2-3-2025 10:00;Geannuleerd;Bo R;Mok;1;10,00;4,95;14,95\n"
        "3;14-3-2025 10:00;Verzonden;Cy S;Bord;1;8,00;0,00;8,00\n",
        "EUR",
        (2, 28.0),
    ),
    "the sign of a currency in letters": (
        "Número do pedido;Data do pedido;Produto;Quantidade;Valor unitário;Valor do frete;Desconto;Valor total\n"
        "1;01/03/2025 10:00;Caneca;2;R$ 10,00;R$ 5,00;R$ 2,00;R$ 23,00\n"
        "3;13/03/2025 10:00;Prato;1;R$ 1.008,00;R$ 0,00;R$ 0,00;R$ 1.008,00\n",
        "BRL",
        (2, 1026.0),
    ),
    "money without cents beside a sign, and a currency in small letters": (
        "Booking No,Created,Item,Qty,Price,Currency\n1,20250301T101112Z,Mug,2,Rs. 20,inr\n"
        '2,Fri 14th of March 2025,Hat,1,"Rs. 1,200",inr\n',
        "INR",
        (2, 1240.0),
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_stranger_s_file_needs_no_edit(count, case):
    text, currency, right = UNKNOWN[case]
    found = count({"export.csv": text}, currency)
    assert (found["orders"], found["revenue"]) == right
    assert {f["state"] for f in found["files"]} <= {"suggested", "known"}


# As before, and what is told of what is not certain: text (§ is the file's own), orders and money, findings.
UNCERTAIN = {
    "several columns of states, one of which nobody knows": (
        "order_id,created_at,status,payment_status,fulfillment_status,email,sku,qty,line_total\n"
        "§1,2025-03-01,complete,paid,shipped,a@example.com,M§,1,20.00\n"
        "§2,2025-03-02,complete,authorized,unshipped,b@example.com,M§,1,21.00\n"
        "§3,2025-03-03,complete,pending,unshipped,c@example.com,M§,1,22.00\n"
        "§4,2025-03-04,holded,paid,pending,d@example.com,M§,1,23.00\n"
        "§5,2025-03-05,complete,partially_refunded,shipped,e@example.com,M§,1,24.00\n",
        (4, 88.0),
        {
            "status says holded, which is not known: counted": 23.0,
            "payment_status says partially_refunded: how much is not told, all of it is counted": 24.0,
        },
    ),
    "more states than can be listed": (
        "order_id,created_at,status,sku,line_total\n§1,2025-03-01,Cancelled,M§,20.00\n"
        + "".join(f"§{i},2025-03-02,way {i},M§,1.00\n" for i in range(2, 60)),
        (58, 58.0),
        {f"status says way {i}, which is not known: counted": 1.0 for i in range(2, 60)},
    ),
    "a yes in a column that says void": (
        "Check #,Opened,Closed,Item,Qty,Price,Discount,Tax,Tip,Total,Void?\n"
        "§10,03/01/2025 18:00,03/01/2025 19:00,Burger,2,12.00,0.00,1.92,5.00,30.92,FALSE\n"
        "§11,03/01/2025 18:30,03/01/2025 19:10,Wine,1,9.00,1.00,0.64,0.00,8.64,FALSE\n"
        "§12,03/14/2025 18:30,03/14/2025 19:10,Wine,1,9.00,0.00,0.72,0.00,9.72,TRUE\n",
        (2, 32.0),
        {},
    ),
    "a void among lines of a till, a discount on a line of its own, a refund": (
        "Receipt,Date,Type,SKU,Item,Qty,Amount\n§1,2025-03-01 10:00,Sale,M§,Mug,2,40.00\n"
        "§2,2025-03-01 11:00,Void,M§,Mug,1,20.00\n§3,2025-03-02 10:00,Sale,H,Hat,1,30.00\n"
        "§3,2025-03-02 10:00,Sale,D,Discount 10%,1,-3.00\n§4,2025-03-03 10:00,Refund,H,Hat,1,-30.00\n",
        (2, 37.0),
        {},
    ),
    "negative money beside a positive quantity": (
        "Order,Date,Item,Qty,Total\n§1,2025-03-01,Mug,1,20.00\n§2,2025-03-02,Mug,1,-20.00\n§3,2025-03-03,Mug,1,20.00\n",
        (2, 20.0),
        {},
    ),
    "a commission, a number of items and a payout are no money of goods": (
        "Order ID,Order Date,Status,Buyer,SKU,Total Items,Item Price,Commission Amount,Payout,Shipping Fee,Total Paid\n"
        "M§1,2025-05-01,Delivered,Ana,S1,2,20.00,6.00,39.00,5.00,45.00\n"
        "M§2,2025-05-02,Canceled,Bo,S1,1,20.00,3.00,22.00,5.00,25.00\n"
        "M§3,2025-05-03,Delivered,Cy,S2,1,30.00,4.50,30.50,5.00,35.00\n",
        (2, 70.0),
        {},
    ),
    "an amount that was paid back": (
        "Order ID,Order Date,Buyer Email,Total Items,Commission Amount,Refunded Amount,Amount Collected\n"
        "M§1,2025-05-01,a@example.com,2,6.00,0,45.00\nM§2,2025-05-02,b@example.com,1,3.00,10.00,25.00\n",
        (2, 60.0),
        {},
    ),
    "a discount in per cent and a rate of tax, the sums with tax": (
        "Belegnr.;Belegdatum;Kundennr.;Artikelnr.;Menge;Einzelpreis;Rabatt %;MwSt %;Bruttobetrag\n"
        "§100;02.01.2025;K1;A1;2;100,00;10;19;214,20\n§101;03.01.2025;K2;A2;1;10,00;0;7;10,70\n"
        "§102;14.01.2025;K2;A1;1;100,00;0;19;119,00\n",
        (3, 290.0),
        {},
    ),
    "a discount with its sign, and nothing else that says the sum": (
        "Order No,Date,SKU,Qty,Unit Price,Discount\n§1,2025-03-01,M§,2,50.00,10%\n§2,2025-03-02,M§,1,50.00,0%\n",
        (2, 140.0),
        {},
    ),
    "public prices hold the tax, of which only the rate is told": (
        "Ticket;Fecha;Código;Artículo;Uds;PVP;Dto %;Importe;IVA %\n"
        "T§1;01/02/2025;C1;Camisa;2;12,10;0;24,20;21\nT§1;01/02/2025;C2;Pan;1;1,04;0;1,04;4\n"
        "T§2;02/02/2025;C1;Camisa;1;12,10;50;6,05;21\nT§3;14/02/2025;C1;Camisa;-1;12,10;0;-12,10;21\n",
        (2, 16.0),
        {},
    ),
    "taxes of three kinds": (
        "Invoice No,Invoice Date,Customer Name,Item,Qty,Rate,CGST,SGST,IGST,Invoice Value\n"
        "I§1,01-04-2025,Ana,Mug,2,100.00,18.00,18.00,0.00,236.00\nI§2,15-04-2025,Bo,Mug,1,100.00,0.00,0.00,18.00,118.00\n",
        (2, 300.0),
        {},
    ),
    "a tax beside its parts": (
        "Order No,Date,SKU,Qty,Unit Price,Tax,State Tax,City Tax,Order Total\n"
        "§1,2025-03-01,M§,2,50.00,8.00,6.00,2.00,108.00\n§2,2025-03-02,M§,1,50.00,4.00,3.00,1.00,54.00\n",
        (2, 150.0),
        {},
    ),
    "two discounts of a line": (
        "Order ID,Order Date,Email,Item,Qty,Unit Price,Seller Discount,Voucher Discount\n"
        "§1,2025-03-01,a@example.com,Mug,2,20.00,2.00,3.00\n"
        "§2,2025-03-02,b@example.com,Hat,1,10.00,0.00,1.00\n"
        "§3,2025-03-13,b@example.com,Hat,1,10.00,0.00,0.00\n",
        (3, 54.0),
        {},
    ),
    "one discount, said twice": (
        "Order ID,Order Date,Email,Item,Qty,Unit Price,Discount,Total Discount,Order Total\n"
        "§1,2025-03-01,a@example.com,Mug,2,20.00,2.00,2.00,38.00\n"
        "§2,2025-03-02,b@example.com,Hat,1,10.00,1.00,1.00,9.00\n",
        (2, 47.0),
        {},
    ),
    "a voucher of the marketplace takes nothing off the goods": (
        "Order ID,Order Date,Email,Item,Qty,Deal Price,Seller Voucher,Shopee Voucher,Grand Total\n"
        "§1,2025-03-01,a@example.com,Mug,2,20.00,2.00,3.00,35.00\n"
        "§2,2025-03-02,b@example.com,Hat,1,10.00,1.00,0.00,9.00\n",
        (2, 47.0),
        {
            "Grand Total says less than the lines of its order: taken not off the goods: a deposit or"
            " a gift card": 38.0
        },
    ),
    "points pay, a fee is no goods": (
        "注文番号,注文日時,注文ステータス,商品名,単価,個数,送料合計,送料,代引料,ポイント利用額,請求金額\n"
        "J§1,2025-03-01 10:00,発送済,カップ,1000,2,500,500,0,300,2200\n"
        "J§2,2025-03-02 10:00,キャンセル,カップ,1000,1,500,500,0,0,1500\n"
        "J§3,2025-03-03 10:00,発送済,皿,700,1,500,500,330,0,1530\n",
        (2, 2700.0),
        {},
    ),
    "credit notes by their number": (
        "Document No,Posting Date,Customer No,Item No,Quantity,Unit Price,Amount\n"
        "INV-§1,2025-01-05,C1,I1,100,0.50,50.00\nINV-§2,2025-01-06,C2,I2,200,0.25,50.00\n"
        "INV-§4,2025-01-06,C2,I2,200,0.25,50.00\nCN-§3,2025-01-07,C1,I1,10,0.50,5.00\n",
        (3, 145.0),
        {},
    ),
    "headings in two languages": (
        "订单号 Order No,下单时间 Order Date,客户 Customer,商品 Product,数量 Qty,单价 Unit Price,金额 Amount,"
        "状态 Status\n"
        "§1,2025-03-01,Ana,Mug,2,10.00,20.00,已完成\n§2,2025-03-02,Bo,Hat,1,30.00,30.00,已取消\n",
        (1, 20.0),
        {},
    ),
    "what is told on the first line of an order only": (
        "Order Number,Order Date,Customer Email,Payment Status,Order Total,SKU,Quantity,Unit Price\n"
        "A§1,2025-03-01 10:00,a@example.com,Paid,50.00,M§,2,20.00\nA§1,,,,,H,1,10.00\n"
        "A§2,2025-03-02 10:00,b@example.com,Voided,40.00,M§,1,20.00\nA§2,,,,,M§,1,20.00\n",
        (1, 50.0),
        {},
    ),
    "no number of an order": (
        "Date,Item,Qty,Amount\n2025-03-01,Mug,1,20.00\n2025-03-02,Mug,2,40.00\n",
        (2, 60.0),
        {"no column looks like an order's number: each line counts as one": 60.0},
    ),
    "an order that says more than its lines": (
        "Order No,Date,Item,Qty,Unit Price,Order Total\n"
        "§1,2025-03-01,Mug,2,20.00,40.00\n§2,2025-03-02,Mug,1,20.00,20.00\n§3,2025-03-03,Mug,1,20.00,27.00\n",
        (3, 80.0),
        {
            "Order Total says more than the lines of its order: shipping, tax, fees or a line lost?": 20.0
        },
    ),
}


def test_what_is_not_certain_is_told_with_its_money(door, tmp_path):
    names = {f"{i}.csv": case for i, case in enumerate(UNCERTAIN)}
    client = door(
        {
            file: UNCERTAIN[case][0].replace("§", f"{100 + i}0")
            for i, (file, case) in enumerate(names.items())
        }
    )
    client = with_suggestions(client, suggestions(open_sources(connect(), client)))
    run = Store("01_collect", client, tmp_path)
    opened = open_sources(run.con, client)
    everybody = who.identify(opened)
    for name in ("products", "orders"):
        run.write(f"staged_{name}", stage(opened, name, everybody))
    cleaned = chain.clean_table(run, "orders", date(2025, 12, 31)).marked.to_pandas()
    told = pd.DataFrame(suspicions.told_doubts(run)).set_index("subject")
    assert not (cleaned["fate"] == "held").any()
    for file, case in names.items():
        right = UNCERTAIN[case][1:]
        mine = cleaned[(cleaned["source_file"] == file) & cleaned["fate"].isna()]
        sold = mine[~mine["is_return"].fillna(False).astype("bool")]
        figures = sold["order_id"].nunique(), round(mine["revenue"].sum(), 2)
        doubts = told[told.index == f"orders, {file}"].set_index("finding")["revenue"].to_dict()
        assert (case, figures, doubts) == (case, *right)


LATE = "Order ID,Order Date,Email,Item,Qty,Unit Price,Type,Status,Void\n"
LATE += "".join(
    f"{n},2025-03-0{n},{n}@example.com,{name},1,10.00,{kind},{status},{void}\n"
    for n, (name, kind, status, void) in enumerate(
        [("Mug", "Sale", "Shipped", "no")] * 3
        + [
            ("Mug", "Sale", "Cancelled", "no"),
            ("Mug", "Sale", "Put by", "no"),
            ("Mug", "Refund", "Shipped", "no"),
            ("Mug", "Sale", "Shipped", "yes"),
            ("Gift card", "Sale", "Shipped", "no"),
            ("Postage", "Sale", "Shipped", "no"),
        ],
        1,
    )
)


def test_what_only_later_lines_say_is_known_too(count, monkeypatch):
    monkeypatch.setattr(joins, "SAMPLE", 3)
    found = count({"export.csv": LATE})
    assert (found["orders"], found["revenue"]) == (4, 30.0)
    assert {s["step"]: s["rows_touched"] for s in found["steps"]} == {
        "order not carried out": 1,
        "void": 1,
        "gift card sold": 1,
        "no goods": 1,
    }
    said = [(d["finding"], d["rows"], d["revenue"]) for d in found["open"]]
    assert said == [("Status says Put by, which is not known: counted", 1, 10.0)]


def test_a_state_that_a_preset_does_not_know_is_told(count):
    rows = SHOPIFY["a discount on goods"][0].replace(",paid,", ",frozen,")
    told = count({"orders_export_1.csv": SHOPIFY_HEAD + rows})["open"]
    said = "Financial Status says frozen, which is not known: counted"
    assert [(d["finding"], d["rows"], d["revenue"]) for d in told] == [(said, 1, 80.0)]


def test_a_few_known_headings_are_enough_among_many(count):
    more = [f"Extra {i}" for i in range(60)]
    head = ",".join(["Order ID,Order Date,Email,Item,Qty,Unit Price", *more])
    row = ",".join(["1,2025-03-01,a@example.com,Mug,2,10.00", *more])
    assert count({"export.csv": f"{head}\n{row}\n"})["revenue"] == 20.0


def test_a_state_that_comes_with_a_later_file_is_told(count, command, tmp_path):
    head, *rows = LATE.splitlines(keepends=True)
    count({"export.csv": "".join([head, *rows[:3]])})
    folder = tmp_path / "data" / "door"
    command("check", "door")
    with (folder / "client.yaml").open("a", encoding="utf-8") as settings:
        settings.write((folder / "suggestions.yaml").read_text(encoding="utf-8"))
    (folder / "raw" / "export.csv").write_text("".join([head, *rows[:5]]), encoding="utf-8")
    said = {d["finding"]: d["revenue"] for d in counted(Client("door"))["open"]}
    assert said == {
        "Status says Cancelled, which is not known: counted": 10.0,
        "Status says Put by, which is not known: counted": 10.0,
    }


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
    files = {
        "orders.csv": orders,
        "items.csv": items,
        "customers.csv": customers,
        "products.csv": products,
    }
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
    assert {f["file"]: f["state"] for f in found["files"]} == {
        "Orders.csv": "not used",
        "items.csv": "suggested",
    }


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
    assert (found["first_on"], found["last_on"], found["orders"]) == (
        "2025-03-01",
        "2025-03-29",
        29,
    )


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
    text, _currency, right = UNKNOWN[
        "returns by a credit number, stock moved, postage and a bad debt"
    ]
    count({"export.csv": text})
    assert command("check", "door")[0] == 0
    folder = tmp_path / "data" / "door"
    pasted = (folder / "client.yaml").read_text(encoding="utf-8") + (
        folder / "suggestions.yaml"
    ).read_text(encoding="utf-8")
    (folder / "client.yaml").write_text(pasted, encoding="utf-8")
    found = counted(Client("door"))
    assert (found["orders"], found["revenue"]) == right
    assert [f["state"] for f in found["files"]] == ["mapped"]


def test_two_suggestions_may_be_pasted_one_after_the_other(door, command, tmp_path):
    client = door({"one.csv": UNKNOWN["states of an order"][0]})
    folder = tmp_path / "data" / "door"
    second = (
        UNKNOWN["returns by their kind"][0]
        .replace("\n1,", "\n11,")
        .replace("\n2,", "\n12,")
        .replace("\n3,", "\n13,")
    )
    for text in ("", second):
        (folder / "raw" / "two.csv").write_text(text, encoding="utf-8") if text else None
        assert command("check", "door")[0] == 0
        with (folder / "client.yaml").open("a", encoding="utf-8") as settings:
            settings.write((folder / "suggestions.yaml").read_text(encoding="utf-8"))
    found = counted(Client(client.name))
    assert (found["orders"], found["revenue"]) == (4, 80.0)
    assert [f["state"] for f in found["files"]] == ["mapped", "mapped"]


def test_a_source_that_is_pasted_twice_is_named(door, command, tmp_path):
    door({"one.csv": UNKNOWN["states of an order"][0]})
    path = tmp_path / "data" / "door" / "client.yaml"
    path.write_text(
        path.read_text(encoding="utf-8") + 2 * "sources: {one: {file: one.csv}}\n", encoding="utf-8"
    )
    code, _out, err = command("check", "door")
    assert (code, "is given twice. Keep one of the two." in err) == (2, True)


def test_the_share_of_a_join_that_fails_is_told(door):
    orders = "order_id,date,status\n1,2025-03-01,Paid\n2,2025-03-02,Paid\n"
    items = "order_id,sku,qty,price\n1,M,1,20.00\n3,M,1,20.00\n4,M,1,20.00\n2,M,1,20.00\n"
    client = door({"orders.csv": orders, "items.csv": items})
    lacks = {g.file: g.lacks for g in suggestions(open_sources(connect(), client))}
    assert (
        "50% of its lines find theirs in orders.csv by order_id, and a join asks for 90%"
        in lacks["items.csv"]
    )


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

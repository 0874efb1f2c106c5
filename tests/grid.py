"""Tiny and lopsided clients, as they come to a new tool: a few people, one day, one product, only refunds.

A client of the grid is named by its people, its span and its shape, such as `10-month-refunds`.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from bs4 import BeautifulSoup

PEOPLE = [1, 2, 10, 50, 300]
SPANS = {"day": 1, "month": 30, "year": 365}  # days
SHAPES = ["plain", "one_product", "no_products", "no_ids", "refunds", "one_order", "new_quarter"]
LAST = pd.Timestamp("2025-12-31")
PRODUCTS = 12

SETTINGS = """\
schema_version: 1
title: Grid
currency: EUR
timezone: Europe/Berlin
sources:
  orders: {file: orders.csv, timezone: Europe/Berlin, dated: ordered_at}
  products: {file: products.csv}
tables:
  orders:
    source: orders
    columns: {order_id: order_id, line_no: line_no, customer_id: customer_id, ordered_at: ordered_at,
              product_id: product_id, quantity: quantity, unit_price: unit_price, revenue: revenue}
  products: {source: products, columns: {product_id: product_id, name: name, category: category}}
"""


def names() -> list[str]:
    """All clients of the grid."""
    return [f"{people}-{span}-{shape}" for people in PEOPLE for span in SPANS for shape in SHAPES]


def write_client(home: Path, name: str) -> Path:
    """Write a client of the grid into a home; give back its folder."""
    people, span, shape = name.split("-")
    folder = home / "data" / name
    (folder / "raw").mkdir(parents=True)
    orders = make_orders(int(people), SPANS[span], shape)
    settings = SETTINGS
    if shape == "no_products":
        settings = "".join(
            x for x in SETTINGS.splitlines(keepends=True) if not x.startswith("  products:")
        )
    else:
        make_products(orders).to_csv(folder / "raw" / "products.csv", index=False)
    if shape == "no_ids":
        settings = settings.replace("customer_id: customer_id, ", "")
        orders = orders.drop(columns="customer_id")
    orders.to_csv(folder / "raw" / "orders.csv", index=False)
    (folder / "client.yaml").write_text(settings, encoding="utf-8")
    return folder


def make_orders(people: int, days: int, shape: str) -> pd.DataFrame:
    """One row a line: everybody orders once, or three times on average, one to three lines an order."""
    rng = np.random.default_rng(people * days)
    each = np.ones(people, int) if shape == "one_order" else 1 + rng.poisson(2, people)
    customer = np.repeat(np.arange(people), each)
    begin = rng.integers(0, max(days - 90, 1) if shape != "new_quarter" else 1, people)
    if shape == "new_quarter":
        begin = max(days - 90, 0) + rng.integers(0, min(days, 90), people)
    day = begin[customer] + (rng.random(len(customer)) * (days - begin[customer])).astype(int)
    when = LAST - pd.Timedelta(days=days - 1) + pd.to_timedelta(day, unit="D")
    when += pd.to_timedelta(rng.integers(8 * 60, 22 * 60, len(customer)), unit="min")
    orders = pd.DataFrame({"customer": customer, "ordered_at": when}).sort_values(
        "ordered_at", ignore_index=True
    )
    orders["order_id"] = [f"R{i}" for i in range(len(orders))]
    lines = orders.loc[np.repeat(orders.index, rng.integers(1, 4, len(orders)))]
    lines["line_no"] = lines.groupby("order_id").cumcount() + 1
    goods = 1 if shape == "one_product" else PRODUCTS
    product = (rng.integers(0, goods, len(lines)) + lines["line_no"]) % goods
    sign = -1 if shape == "refunds" else 1
    lines["customer_id"] = "C" + lines["customer"].astype(str)
    lines["product_id"] = "P" + product.astype(str)
    lines["quantity"] = sign * rng.integers(1, 4, len(lines))
    lines["unit_price"] = 5.0 + product * 2.5
    lines["revenue"] = lines["quantity"] * lines["unit_price"]
    return lines.drop(columns="customer")


def make_products(orders: pd.DataFrame) -> pd.DataFrame:
    """The products that were ordered, in three categories."""
    number = orders["product_id"].drop_duplicates().str[1:].astype(int).sort_values()
    return pd.DataFrame(
        {
            "product_id": "P" + number.astype(str),
            "name": "Tea " + number.astype(str),
            "category": "Kind " + (number % 3).astype(str),
        }
    )


# --- what no page may say ---------------------------------------------------------------------------------------

THINGS = "accounts bands baskets buyers campaigns cases categories codes contacts customers days departments files"
THINGS += " findings goods groups hours kinds lines members messages months orders pairs people periods personas"
THINGS += " pieces points products purchases quarters records refunds returns rows sales segments shops stores"
THINGS += " themes tiers times units visits weeks words years"
ODD = {
    "no number": re.compile(r"(?<![\w-])-?(nan|NaN|NaT|<NA>|inf|infinity|None(?! of))(?![\w-])"),
    "no sentence": re.compile(r"(?<!is )(?<!are )(?<!says )(?<!consent )\bnot known\b"),
    "one of many": re.compile(rf"(?<![\d.,:/-])\b1\s({'|'.join(THINGS.split())})\b"),
}
NUMBER = re.compile(r"(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(\xa0[km]\b)?")
TIMES = {"": 1, "\xa0k": 1e3, "\xa0m": 1e6}
FAR = 100  # times all the client's money, or all its lines: no sum and no count of a report comes near


def oddities(text: str, largest: float) -> list[str]:
    """What reads like a fault in the text of a page: the kind, and the words around it.

    `largest` is the largest figure that the client's data hold; a number far above it is a fault.
    """
    found = [(kind, m) for kind, pattern in ODD.items() for m in pattern.finditer(text)]
    for m in NUMBER.finditer(text):
        size = float(m[1].replace(",", "") + (m[2] or "")) * TIMES[m[3] or ""]
        if size > FAR * max(largest, 100):
            found.append(("out of all proportion", m))
    return [f"{kind}: {_around(text, m)}" for kind, m in found]


def _around(text: str, m: re.Match) -> str:
    return " ".join(text[max(m.start() - 60, 0) : m.end() + 60].split())


def report_oddities(folder: Path, report: Path) -> list[str]:
    """The oddities of all pages of a client's report, without the source lines of its tables and its footer."""
    orders = pd.read_csv(folder / "raw" / "orders.csv")
    largest = max(len(orders), orders["revenue"].abs().sum())
    found = []
    for page in sorted(report.glob("*.html")):
        found += [
            f"{page.stem}: {odd}"
            for odd in oddities(page_text(page.read_text(encoding="utf-8")), largest)
        ]
    return found


def page_text(html: str) -> str:
    """What is read on a page, alternative texts of charts among it; its footer holds fingerprints."""
    soup = BeautifulSoup(html, "html.parser")
    for part in soup.select("style, footer"):
        part.decompose()
    for cell in soup.find_all(["td", "b"], string="not known"):
        cell.decompose()  # a cell may say so, a sentence may not
    alternative = [image["alt"] for image in soup.find_all("img")]
    return "\n".join([soup.get_text("\n"), *alternative])

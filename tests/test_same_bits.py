"""The same files give the same tables to the bit: whatever the zone, the language and the number of threads."""

import os
import subprocess
import sys

import pandas as pd
from shop import PEOPLE, SETTINGS, text

COLLECT_AND_CLEAN = """\
import sys
from pathlib import Path
from helpers import tables
from helpers.clean.chain import clean_table
from helpers.collect import catalogue, sources, who
from helpers.client import Client
from helpers.store import Store

client, folder = Client("bits"), Path(sys.argv[1])
run = Store("01_collect", client, folder)
run.con.raw_sql(f"SET threads = {sys.argv[2]}")
opened = sources.open_sources(run.con, client)
everybody = who.identify(opened)
for name in tables.CANONICAL:
    run.write(f"staged_{name}", sources.stage(opened, name, everybody))
run.write("rules", catalogue.preset_rules(opened))
run = Store("02_clean", client, folder)
run.con.raw_sql(f"SET threads = {sys.argv[2]}")
cleaned = {n: clean_table(run, n, run.as_of) for n in tables.CANONICAL}
for name, rows in cleaned.items():
    run.write(name, rows.rows)
"""


def orders():
    """1,500 Shopify orders of 1 to 17 lines, with discounts that do not divide evenly."""
    for i in range(1500):
        p, lines = PEOPLE[i % len(PEOPLE)], 1 + 7 * i % 17
        prices = [round(0.1 * (1 + (i * 31 + n * 7) % 97), 2) for n in range(lines)]
        for n, price in enumerate(prices):
            whole = (
                {"Subtotal": f"{sum(prices) * 0.9:.2f}", "Total": f"{sum(prices) * 0.9:.2f}"}
                if not n
                else {}
            )
            yield {
                "Name": f"#{1001 + i}", "Email": p["email"], "Financial Status": "paid" if not n else "",
                "Accepts Marketing": "", "Currency": "EUR", "Subtotal": "", "Shipping": "0" if not n else "",
                "Taxes": "0" if not n else "", "Total": "",
                "Created at": f"2025-0{1 + i % 6}-10 23:{i % 60:02}:00 +0100", "Lineitem quantity": "1",
                "Lineitem name": f"Candle {n}", "Lineitem price": f"{price}", "Lineitem sku": f"C{n}",
                "Lineitem discount": f"{(i + n) % 7 / 100:.2f}",
                "Discount Amount": f"{sum(prices) * 0.1:.2f}" if not n else "",
                "Billing Name": f"{p['first']} {p['last']}",
            } | whole  # fmt: skip


def test_zone_language_and_threads_change_no_bit_and_no_order(tmp_path):
    folder = tmp_path / "data" / "bits"
    (folder / "raw").mkdir(parents=True)
    (folder / "client.yaml").write_text(SETTINGS, encoding="utf-8")
    (folder / "raw" / "orders.csv").write_text(text(list(orders())), encoding="utf-8")
    (tmp_path / "notebooks").symlink_to(os.path.join(os.environ["PLAYBOOK_HOME"], "notebooks"))
    each = {"Asia/Tokyo": ("C", "1"), "America/Los_Angeles": ("de_DE.UTF-8", "8")}
    stored = {}
    for zone, (language, threads) in each.items():
        env = os.environ | {
            "PLAYBOOK_HOME": str(tmp_path),
            "TZ": zone,
            "LC_ALL": language,
            "LANG": language,
        }
        out = folder / "runs" / f"in-{threads}"
        subprocess.run(
            [sys.executable, "-c", COLLECT_AND_CLEAN, str(out), threads], env=env, check=True
        )
        stored[zone] = {p.stem: pd.read_parquet(p) for p in sorted(out.glob("tables/*.parquet"))}
    one, *others = stored.values()
    assert len(one["orders"]) == len(one["staged_orders"]) > 10_000
    assert one["orders"]["discount"].gt(0).any()
    for other in others:
        assert one.keys() == other.keys()
        for name, rows in one.items():
            pd.testing.assert_frame_equal(rows, other[name], check_exact=True, obj=name)

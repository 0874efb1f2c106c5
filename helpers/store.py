"""The tables of a run: what a notebook reads and writes, by name, as Parquet with lineage."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow.parquet as pq
from ibis.expr.operations import InMemoryTable

from helpers import languages, tables
from helpers.client import Client, PlaybookError, connect, home, parse_day

SCHEMA_VERSION = 1
FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@|%＝＋－＠]")  # what a spreadsheet would run
DIGITS = 8  # after the point, of stored numbers
NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Store:
    """The tables of one run as one notebook may see them.

    Parameters
    ----------
    notebook : name of the notebook, such as "03_analyze"; its metadata names what it reads and
        writes
    client : the client
    folder : folder of the run; `lab` in JupyterLab and under nbval
    as_of : last day included, as text; empty for the last full day
    """

    def __init__(self, notebook: str, client: Client, folder: Path, as_of: str = "") -> None:
        self.notebook, self.client, self.settings, self.folder = (
            notebook,
            client,
            client.settings,
            folder,
        )
        self.reads, self.writes = declared(notebook)
        (folder / "tables").mkdir(parents=True, exist_ok=True)
        self.con = connect(folder)
        self._as_of = as_of

    @property
    def is_lab(self) -> bool:
        """True in JupyterLab and under nbval, False in a run."""
        return self.folder.name == "lab"

    @property
    def findings_file(self) -> Path:
        """Where the findings of this notebook are kept."""
        return self.folder / "findings" / f"{self.notebook}.json"

    @property
    def assumptions_file(self) -> Path:
        """Where it is kept what this notebook takes for granted."""
        return self.folder / "assumptions" / f"{self.notebook}.json"

    @cached_property
    def as_of(self) -> date:
        """Last day included: the one asked for, or the last full day of the orders."""
        if self._as_of:
            return parse_day(self._as_of)
        path = self._path("orders") or self._path("staged_orders")
        if path is None:
            raise PlaybookError(f"{self.notebook} needs the orders. Run 01_collect first.")
        days = order_days(self.con.read_parquet(str(path)))
        if days.empty:
            raise PlaybookError(
                f"the orders of {self.client.name} hold no readable date. Look at column"
                " ordered_at."
            )
        return last_full_day(days)

    def read(self, name: str) -> ir.Table:
        """A stored table, as an Ibis expression; PlaybookError if it is not declared or not there
        yet.
        """
        return self.con.read_parquet(str(self._stored(name)), table_name=name)

    def count(self, name: str) -> int:
        """Rows of a stored table, told by its file."""
        return pq.read_metadata(self._stored(name)).num_rows

    def comes_later(self, name: str) -> bool:
        """Whether a table is not there yet because a later notebook makes it, as in the lab at the
        first reading.
        """
        return self._path(name) is None and maker(name) > self.notebook

    def frame(self, name: str) -> pd.DataFrame:
        """A stored table as pandas, for small ones."""
        return self.read(name).to_pandas()

    def write(self, name: str, rows: ir.Table | pd.DataFrame) -> ir.Table:
        """Store a table in the order of its key, checked against tables.yaml, and give it back."""
        if name not in self.writes:
            raise PlaybookError(
                f"{self.notebook} does not declare that it writes {name}. Add it to the notebook's"
                " metadata."
            )
        spec, started = tables.get(name), time.perf_counter()
        empty = not len(rows) if isinstance(rows, pd.DataFrame) else _holds_nothing(rows)
        if isinstance(rows, pd.DataFrame):
            # the last digits of a sum depend on the number of threads
            floats = rows.select_dtypes("float64").columns
            rows = rows.assign(**rows[floats].round(DIGITS))
            rows = ibis.memtable(rows, schema=_schema(rows, spec))
        rows = _settled(tables.conform(rows, name))
        path, part = self._file(name), self._file(name).with_suffix(".part")
        if empty:
            pq.write_table(rows.schema().to_pyarrow().empty_table(), part, compression="zstd")
        else:
            in_order = (
                rows if spec.name.endswith("promotions") else rows.order_by(_order(rows, spec))
            )
            # the second version of the format: a third of the size, and quicker to write and read
            self.con.to_parquet(in_order, str(part), compression="zstd", parquet_version="v2")
        os.replace(part, path)
        lineage = {
            "table": name,
            "schema_version": SCHEMA_VERSION,
            "written_by": self.notebook,
            "reads": self.reads,
            "rows": pq.read_metadata(path).num_rows,
            "columns": len(rows.columns),
            "seconds": round(time.perf_counter() - started, 2),
        }
        path.with_suffix(".json").write_text(json.dumps(lineage, indent=1), encoding="utf-8")
        return self.con.read_parquet(str(path), table_name=name)

    def previous(self, name: str) -> pd.DataFrame | None:
        """A table of the last whole run of this client, or None: what has changed since?"""
        latest = self.client.latest
        path = latest / "tables" / f"{name}.parquet" if latest and latest != self.folder else None
        return pd.read_parquet(path) if path and path.is_file() else None

    def _stored(self, name: str) -> Path:
        if name not in self.reads + self.writes:
            raise PlaybookError(
                f"{self.notebook} does not declare that it reads {name}. Add it to the notebook's"
                " metadata."
            )
        path = self._path(name)
        if path is None:
            raise PlaybookError(f"there is no table {name} yet. Run {maker(name)} first.")
        return path

    def _file(self, name: str) -> Path:
        return self.folder / "tables" / f"{name}.parquet"

    def _path(self, name: str) -> Path | None:
        folders = [self.folder] + (
            [self.client.latest] if self.is_lab and self.client.latest else []
        )
        return next((p for f in folders if (p := f / "tables" / f"{name}.parquet").is_file()), None)


def notebook_file(name: str) -> Path:
    """The notebook of this name; PlaybookError where there is none."""
    path = home() / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise PlaybookError(f"there is no notebooks/{name}.ipynb.")
    return path


def words_file(notebook: str, language: str = languages.ENGLISH) -> Path:
    """Where the words of a notebook stand in a language; the file need not be there."""
    ending = "" if language == languages.ENGLISH else f".{language}"
    return home() / "notebooks" / "words" / f"{notebook}{ending}.yaml"


def declared(notebook: str) -> tuple[list[str], list[str]]:
    """The tables that a notebook reads and writes, from its metadata."""
    # Plain JSON: importing nbformat would cost every notebook a second.
    whole = json.loads(notebook_file(notebook).read_text(encoding="utf-8"))
    meta = whole["metadata"].get("playbook", {})
    return list(meta.get("reads", [])), list(meta.get("writes", []))


def notebooks() -> list[str]:
    """The names of all notebooks, in the order of the steps."""
    return sorted(p.stem for p in (home() / "notebooks").glob("[0-9]*.ipynb"))


def maker(table: str) -> str:
    """The notebook that writes a table."""
    return next((n for n in notebooks() if table in declared(n)[1]), "the notebook that makes it")


def order_days(orders: ir.Table) -> pd.DataFrame:
    """Lines of each day and the time of its last one: ordered_on, n, closes; in order, one pass
    over the orders.
    """
    dated = orders.filter(orders.ordered_on.notnull())
    days = dated.group_by("ordered_on").agg(n=dated.count(), closes=dated.ordered_at_local.max())
    days = days.order_by("ordered_on").to_pandas()
    return days.assign(ordered_on=pd.to_datetime(days["ordered_on"]))


def body(days: pd.DataFrame) -> tuple[date, date]:
    """First and last day of the orders, less a few dates that stand apart; `days` as `order_days`
    gives them.

    Days with hardly a line (a quarter of the usual, a hundredth of all together) before or after a
    silence that is long for this shop are slips, such as day and month swapped. After a silence of
    more than a year the hundredth is enough.
    """
    on, lines = days["ordered_on"], days["n"]
    gaps = on.diff().dt.days
    n, whole, few = lines.cumsum(), lines.sum(), max(lines.median() / 4, 1)
    first, last = 0, len(on) - 1
    for i in gaps.index[gaps > max(3, 3 * gaps.quantile(0.95))]:
        most = whole if gaps[i] > 365 else few
        if n[i - 1] < 0.01 * whole and lines[:i].max() <= most:
            first = i
        elif whole - n[i - 1] < 0.01 * whole and lines[i:].max() <= most:
            last = i - 1
            break
    return on[first].date(), on[last].date()


def last_full_day(days: pd.DataFrame) -> date:
    """The last day that looks complete; dates that stand apart from the others do not count (see
    `body`).

    The last day counts when its last order is no earlier than the earliest closing order of the 28
    days before; otherwise the export stopped in the middle of the day. Fewer than a week of days do
    not tell when a shop closes.
    """
    last = body(days)[1]
    closes = days.loc[days["ordered_on"] <= pd.Timestamp(last), "closes"].tail(29)
    hours = pd.to_datetime(closes).dt.hour
    full = len(closes) <= 7 or hours.iloc[-1] >= hours.iloc[:-1].min()
    return last if full else last - timedelta(days=1)


def safe_cell(value: object) -> object:
    """A cell that no spreadsheet runs as a formula: an apostrophe goes before it, numbers stay
    (OWASP, CSV injection).

    >>> safe_cell("=1+1"), safe_cell("-12.5"), safe_cell("usual gap 9 days"), safe_cell(" @SUM(A1)"), safe_cell(-3)
    ("'=1+1", '-12.5', 'usual gap 9 days', "' @SUM(A1)", -3)
    """
    dangerous = isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value)
    return f"'{value}" if dangerous else value


def write_csv(rows: pd.DataFrame, path: Path) -> None:
    """Write a CSV that a spreadsheet opens (UTF-8 with its mark) and in which no cell or heading
    runs as a formula.

    A half-written file is never left behind.
    """
    part = path.with_suffix(".part")
    part.touch(0o600 if "private" in path.parts else 0o666)  # contacts are the owner's alone
    safe = rows.apply(_safe_column).rename(columns=safe_cell)
    safe.to_csv(part, index=False, encoding="utf-8-sig", lineterminator="\n")
    os.replace(part, path)


def _safe_column(column: pd.Series) -> pd.Series:
    """A column with every cell made safe; each different text is looked at once."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    cells = column.astype(object)
    texts = {cell for cell in cells if isinstance(cell, str)}
    changed = {text: safe_cell(text) for text in texts if safe_cell(text) != text}
    if not changed:
        return cells
    return cells.map(lambda cell: changed.get(cell, cell) if isinstance(cell, str) else cell)


def today(zone: str) -> date:
    """The day that it is on a shop's own clock, wherever this computer stands."""
    return datetime.now(ZoneInfo(zone)).date()


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def _settled(rows: ir.Table) -> ir.Table:
    """The rows with numbers rounded: the last digits of a sum depend on the order in which threads
    bring its parts.
    """
    floats = [c for c, kind in rows.schema().items() if kind.is_floating()]
    return rows.mutate(**{c: rows[c].round(DIGITS) for c in floats}) if floats else rows


def _order(rows: ir.Table, spec: tables.Table) -> list[str]:
    """Columns that put the rows in one order, whatever the number of threads: line by line as
    staged, else by key.

    Of tables that notebooks make, rows of one key are told apart by the other columns. Promotions,
    by far the most rows, stay as their files have them.
    """
    if "source_order" in rows.columns:
        return ["source_order", *spec.key]
    simple = [c for c, kind in rows.schema().items() if not kind.is_nested()]
    return (
        spec.key
        if spec.name in tables.CANONICAL and spec.key
        else list(dict.fromkeys([*spec.key, *simple]))
    )


def _holds_nothing(rows: ir.Table) -> bool:
    """Whether rows are known to be none without asking the engine: those of a table that a client
    does not bring.
    """
    held = rows.op()
    return isinstance(held, InMemoryTable) and held.data.to_frame().empty


def _schema(rows: pd.DataFrame, spec: tables.Table) -> ibis.Schema | None:
    """Name the types of columns that pandas leaves untyped (an empty frame, a column of None)."""
    known = spec.schema
    odd = [c for c in rows.columns if rows[c].dtype == object or not len(rows)]
    if not odd:
        return None
    plain = (
        dict(ibis.memtable(rows.drop(columns=odd)).schema().items())
        if len(odd) < len(rows.columns)
        else {}
    )
    return ibis.schema({c: plain.get(c) or known.get(c, "string") for c in rows.columns})

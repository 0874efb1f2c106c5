"""The canonical tables: columns, types, units, meaning, keys. The facts stand in tables.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import yaml

CANONICAL = [
    "orders",
    "customers",
    "records",
    "products",
    "campaigns",
    "messages",
    "coupons",
    "redemptions",
    "promotions",
]
CANONICAL += [
    "events",
    "spend",
    "surveys",
    "tickets",
    "reviews",
    "market",
    "accounts",
    "deals",
    "experiments",
    "choices",
]
CANONICAL += ["traffic", "memberships", "stock", "calendar", "interviews"]
TYPES = {
    "text": dt.string,
    "int": dt.int64,
    "float": dt.float64,
    "bool": dt.boolean,
    "date": dt.date,
    "timestamp": dt.timestamp,
}


@dataclass(frozen=True)
class Column:
    """One column: its type, unit, meaning, and whether it may be empty."""

    name: str
    type: str
    unit: str
    about: str
    required: bool


@dataclass(frozen=True)
class Table:
    """One table: what a row is, who supplies or makes it, its key and its columns."""

    name: str
    row: str
    by: str
    key: list[str]
    columns: dict[str, Column]
    day: str = ""  # the column that dates a row

    @property
    def schema(self) -> ibis.Schema:
        """The Ibis schema of the named columns."""
        return ibis.schema({c.name: TYPES[c.type] for c in self.columns.values()})


def _column(name: str, text: str) -> Column:
    kind, unit, about = (part.strip() for part in text.split("|"))
    return Column(name, kind.rstrip("!"), unit, about, kind.endswith("!"))


@cache
def all_tables() -> dict[str, Table]:
    """Every table of the playbook by name."""
    raw = yaml.safe_load(
        resources.files("helpers").joinpath("tables.yaml").read_text(encoding="utf-8")
    )
    return {
        name: Table(
            name,
            t["row"],
            t["by"],
            t["key"],
            {c: _column(c, s) for c, s in t["columns"].items()},
            t.get("day", ""),
        )
        for name, t in raw.items()
    }


def get(name: str) -> Table:
    """The table of this name; `staged_orders` is `orders` with the line of its file.

    >>> get("orders").key
    ['order_id', 'line_no']
    >>> list(get("staged_coupons").columns)[-3:]
    ['source_order', 'source_unreadable', 'source_repeat']
    """
    known = all_tables()
    base = name.removeprefix("staged_")
    if base not in known:
        raise KeyError(f"no table called {name!r} in tables.yaml")
    if base == name:
        return known[name]
    table = known[base]
    return Table(
        name, table.row, "01_collect", table.key, table.columns | known["staged"].columns, table.day
    )


def conform(rows: ir.Table, name: str) -> ir.Table:
    """Cast the columns of `rows` to the types of table `name`, add missing optional ones as empty.

    Columns that the table does not know stay, after the known ones.
    Raises ValueError that names the missing required columns.
    """
    table = get(name)
    missing = [c.name for c in table.columns.values() if c.required and c.name not in rows.columns]
    if missing:
        raise ValueError(f"table {name} lacks {', '.join(missing)}")
    have = rows.schema()
    known = {
        c: ibis.null(t) if c not in have else rows[c] if have[c] == t else rows[c].cast(t)
        for c, t in table.schema.items()
    }
    return rows.select(**known, **{c: rows[c] for c in rows.columns if c not in known})


def dictionary() -> str:
    """The data dictionary as markdown: one section a table, one line a column."""
    head = (
        "# Data dictionary\n\nEvery table of the playbook, written from `helpers/tables.yaml` by"
        " `python -c 'import helpers.tables as t; print(t.dictionary(), end=\"\")' >"
        f" data/README.md`.\nA client brings the first {len(CANONICAL)}; only `orders` is required."
        " Notebooks make the rest.\nTypes in bold may not be empty. Money is in the client's one"
        " currency, rates are shares between 0 and 1.\n"
    )
    parts = [head]
    for t in all_tables().values():
        rows = "\n".join(
            f"| `{c.name}` | {f'**{c.type}**' if c.required else c.type} | {c.unit} | {c.about} |"
            for c in t.columns.values()
        )
        key = f" Key: {', '.join(f'`{k}`' for k in t.key)}." if t.key else ""
        parts.append(
            f"\n## {t.name}\n\nOne row is {t.row}. From: {t.by}.{key}\n\n"
            f"| column | type | unit | meaning |\n| --- | --- | --- | --- |\n{rows}\n"
        )
    return "".join(parts)

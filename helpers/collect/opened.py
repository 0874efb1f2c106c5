"""What stands open of a client's sources: the files taken in, and what fills each canonical table."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import duckdb
import ibis
import ibis.expr.datatypes as dt
import pandas as pd
from ibis.backends.sql.datatypes import DuckDBType

from helpers.client import Client, PlaybookError
from helpers.collect.landing import Landed

# not inside quoted names and texts
_CALL = re.compile(r"""("(?:[^"]|"")*"|'(?:[^']|'')*')|\b((?:amount|moment)\()""")
# where a client's own number of a person may stand
OWN_NUMBERS = ("customer_id", "unit_id", "respondent_id")
UNREADABLE = "source_unreadable"


@dataclass
class Part:
    """One mapping of one group of files to a canonical table."""

    table: str
    group: str
    columns: dict[str, str]
    rows: str  # what stands after FROM
    person: dict[str, str] = field(default_factory=dict)
    derived: bool = False
    shown: str = ""  # where a mistake in it is to be mended
    kinds: dict[str, str] = field(default_factory=dict)  # the engine's type of each expression
    further: list[str] = field(default_factory=list)  # columns that no table knows, kept
    numbers: set[str] = field(default_factory=set)  # those of them that hold numbers

    def sql(self, expression: str, style: dict[str, str]) -> str:
        """An expression of a mapping as plain SQL."""
        return plain_sql(expression, style)


def plain_sql(expression: str, style: dict[str, str]) -> str:
    """An expression as plain SQL: `amount(x)` and `moment(x)` know how the file is written."""
    begins = {
        "amount(": f"amount_of({style['decimal']}, ",
        "moment(": f"moment_of({style['dates']}, {style['zone']}, ",
    }
    return _CALL.sub(lambda m: m[1] or begins[m[2]], expression)


@dataclass
class Opened:
    """A client's sources, open in an engine: the files taken in, and what fills each canonical
    table.
    """

    con: ibis.BaseBackend
    client: Client
    landed: list[Landed]
    parts: dict[str, list[Part]] = field(default_factory=dict)
    # of each group and file, once looked up
    days: dict[str, dict[str, pd.DatetimeIndex]] = field(default_factory=dict)
    # file that cannot be read -> why; only where asked for
    refused: dict[str, str] = field(default_factory=dict)

    def of(self, group: str) -> list[Landed]:
        """The files that are read under one name, the newest first."""
        return [f for f in self.landed if f.group == group]

    @property
    def groups(self) -> list[str]:
        """The names under which files are read."""
        return list(dict.fromkeys(f.group for f in self.landed))

    def counted_in(self, group: str) -> str:
        """The canonical table in whose ledger a group's lines are counted; empty for files that
        nothing uses.
        """
        mine = [p for parts in self.parts.values() for p in parts if p.group == group]
        return next((p.table for p in mine if not p.derived), "")

    @property
    def has_people(self) -> bool:
        """Whether any file names a person."""
        return any(p.person for parts in self.parts.values() for p in parts)

    def style(self, group: str) -> dict[str, str]:
        """SQL for the decimal mark, order of dates, zone and currency of a group's rows."""
        files = self.of(group)
        return {
            k: (
                sql_text(files[0].style[k])
                if len({f.style[k] for f in files}) == 1
                else f"{sql_name(group)}.source_{k}"
            )
            for k in ("decimal", "dates", "zone", "currency")
        }

    def query(self, sql: str, shown: str = "") -> duckdb.DuckDBPyRelation:
        """Run SQL in the engine; a mistake in it becomes a PlaybookError that names `shown`."""
        try:
            return self.con.con.sql(sql)
        except duckdb.Error as e:
            raise PlaybookError(f"{shown}: {first_line(e)}") from None


def kinds_of(opened: Opened, part: Part) -> dict[str, str]:
    """The engine's type of each expression of a mapping; PlaybookError for one that does not fit
    the file.
    """
    if not part.kinds:
        style = opened.style(part.group)
        said = {
            c: part.sql(e, style) for c, e in part.columns.items() if e not in ("person", "record")
        }
        said |= {f"person.{c}": part.sql(e, style) for c, e in part.person.items()}
        cells = ", ".join(f"({e}) AS column_{i}_" for i, e in enumerate(said.values()))
        try:
            rows = opened.con.con.sql(
                f"DESCRIBE SELECT {cells} FROM {part.sql(part.rows, style)}"
            ).fetchall()
        except duckdb.Error as e:
            have = [c for f in opened.of(part.group) for c in f.facts["columns"]]
            raise PlaybookError(
                f"{part.shown}: {first_line(e)} {part.group} has the columns"
                f" {', '.join(dict.fromkeys(have))[:400]}."
            ) from None
        part.kinds = dict(zip(said, (row[1] for row in rows), strict=True))
    return part.kinds


def typed(expression: str, found: str, wanted: dt.DataType | None, style: dict[str, str]) -> str:
    """An expression as a value of its column's type; text is read as the file writes it."""
    if wanted is None:
        return f"({expression})"
    own, zone, sql_type = f"'{style['own']}'", style["zone"], DuckDBType.to_string(wanted)
    if found != "VARCHAR":
        if found == "TIMESTAMP WITH TIME ZONE":
            return (
                f"CAST(timezone({own}, {expression}) AS DATE)"
                if wanted.is_date()
                else f"timezone('UTC', {expression})"
            )
        if wanted.is_timestamp():
            # a bare date is that day on the shop's own clock
            zone = own if found == "DATE" else zone
            if zone == "'UTC'":  # there and back again is slow
                return f"TRY_CAST(({expression}) AS TIMESTAMP)"
            return f"timezone('UTC', timezone({zone}, TRY_CAST(({expression}) AS TIMESTAMP)))"
        return f"({expression})" if sql_type == found else f"TRY_CAST(({expression}) AS {sql_type})"
    if wanted.is_timestamp():
        return f"moment_of({style['dates']}, {zone}, {expression})"
    if wanted.is_date():
        return f"day_of({style['dates']}, {own}, {expression})"
    if wanted.is_numeric():
        number = f"amount_of({style['decimal']}, {expression})"
        return f"TRY_CAST({number} AS {sql_type})" if wanted.is_integer() else number
    return f"truth_of({expression})" if wanted.is_boolean() else f"({expression})"


def sql_name(name: str) -> str:
    """A name as SQL writes it: quoted."""
    return '"' + name.replace('"', '""') + '"'


def sql_text(value: str) -> str:
    """A text as SQL writes it: quoted."""
    return "'" + value.replace("'", "''") + "'"


def first_line(error: Exception) -> str:
    """The first line of what an engine says, as a sentence."""
    return str(error).strip().splitlines()[0].rstrip(".") + "."

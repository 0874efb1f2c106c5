"""Open a client's sources, know what each file is, and rename it to the canonical tables."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from datetime import date
from importlib import resources
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from helpers import tables
from helpers.client import Client, PlaybookError, utf8
from helpers.collect.files import UNSEEN
from helpers.collect.keys import pseudonym_macro
from helpers.collect.landing import Landed, land
from helpers.collect.masks import mask_table
from helpers.collect.moments import usual_spelling
from helpers.collect.opened import (
    OWN_NUMBERS,
    UNREADABLE,
    Opened,
    Part,
    kinds_of,
    plain_sql,
    sql_name,
    sql_text,
    typed,
)
from helpers.collect.presets import Preset
from helpers.collect.privacy import heading_kind
from helpers.collect.tombstones import forgotten, forgotten_numbers
from helpers.collect.who import MAP, Identity
from helpers.store import body, order_days, today

LINEAGE = [
    "source_name",
    "source_file",
    "source_line",
    "source_order",
    "source_unreadable",
    "source_repeat",
]
_SIGNS = {
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥|円",
    "CNY": "¥|元",
    "INR": r"₹|Rs\.?",
    "KRW": "₩|원",
    "PLN": "zł",
}
# of other currencies: $
_SIGNS |= {"BRL": "R[$]", "TRY": "₺", "RUB": r"₽|руб\.?", "CHF": r"S?Fr\.?"}
_SIGNS |= dict.fromkeys(("SEK", "NOK", "DKK"), r"kr\.?")
KEPT = 500_000  # lines of all files together up to which what is staged is kept in the engine
FILE_ROOM = 10**10  # lines that a file may have in `source_order`


def open_sources(con: ibis.BaseBackend, client: Client, describe: bool = False) -> Opened:
    """Take in every source of a client and make it readable under its name.

    Each group of files is a view with its columns as text (Parquet keeps its types), `source_file`,
    `source_line`, `source_problem`, `source_repeat`; how the file is written: `source_decimal`,
    `source_dates`, `source_zone`, `source_currency`; what stands above its rows: `source_head`; its
    open questions, one a line: `source_open`; and the client's `source_country`. Raises
    PlaybookError for a file that is missing or not readable. To `describe`, such a file is left out
    and named in `refused`, unless client.yaml maps it or is at fault itself.
    """
    prepare(con.con, client.settings.currency, client.settings.timezone)
    mapped = _mapped(client)
    landed, refused = [], {}
    for name, group, spec in client.sources():
        try:
            landed.append(_named(land(client, name, spec), group, mapped))
        except PlaybookError as e:
            if (
                not describe
                or group in mapped
                or str(e).startswith(f"data/{client.name}/client.yaml")
            ):
                raise
            refused[utf8(spec.file)] = str(e)
    if any(f.preset for f in landed):
        con.con.execute(pseudonym_macro(client))
    opened = Opened(con, client, landed, refused=refused)
    for group in opened.groups:
        _view(opened, group)
    opened.parts = _parts(opened)
    for part in (p for parts in opened.parts.values() for p in parts):
        kinds_of(opened, part)
    snapshots = [
        p
        for p in opened.parts.get("stock", [])
        if "last_order_day()" in p.columns.get("stocked_on", "")
    ]
    if snapshots and "orders" in opened.parts:
        days = order_days(order_times(opened))
        if len(days):
            con.con.execute(f"CREATE OR REPLACE MACRO last_order_day() AS DATE '{body(days)[1]}'")
    return opened


def prepare(engine: duckdb.DuckDBPyConnection, currency: str, zone: str) -> None:
    """Teach an engine how text becomes values: numbers in a currency, times on a shop's own
    clock.
    """
    signs = f"(?:{currency}|{_SIGNS.get(currency, '[$]')})"
    engine.execute(f"CREATE OR REPLACE TEMP MACRO own_currency() AS {sql_text(signs)}")
    engine.execute(f"CREATE OR REPLACE TEMP MACRO own_zone() AS {sql_text(zone)}")
    with contextlib.suppress(duckdb.NotImplementedException):  # it is there already
        engine.create_function("usual_spelling", usual_spelling, ["VARCHAR"], "VARCHAR")
    engine.execute(
        resources.files("helpers.collect").joinpath("engine.sql").read_text(encoding="utf-8")
    )


def _named(file: Landed, group: str, mapped: set[str]) -> Landed:
    """A source that client.yaml maps is read under its own name; the others under that of their
    preset.
    """
    if group in mapped:
        file.preset = file.preset if file.spec.preset else None
    if not file.preset or group in mapped:
        file.alone = group
    return file


def _mapped(client: Client) -> set[str]:
    """Sources that a mapping of client.yaml reads."""
    every = [m for given in client.settings.tables.values() for m in given]
    words = {w for m in every for w in re.findall(r"\w+", m.from_)}
    return {m.source for m in every} | (words & set(client.settings.sources))


def _view(opened: Opened, group: str) -> None:
    """The view of a group: the rows of its files, without layout, with lineage."""
    files, con = opened.of(group), opened.con.con
    preset = files[0].preset
    wanted = {c: None for f in files for c in f.facts["columns"]} | dict.fromkeys(
        preset.header + preset.optional if preset else []
    )
    mixed = _mixed(opened, files)
    selects = [_select(opened, f, list(wanted), preset, mixed) for f in files]
    union = "\nUNION ALL BY NAME\n".join(selects)
    con.execute(f"CREATE OR REPLACE TEMP VIEW {sql_name('all ' + group)} AS {union}")
    shown = f"preset {preset.name}" if preset else group
    layout = f"coalesce(({preset.layout}), FALSE)" if preset and preset.layout else "FALSE"
    # files of one kind overlap: the one that reaches furthest is the newest, and comes first
    if len(files) > 1:
        last = {
            f.file: days[-1] if len(days := _days(opened, f)) else pd.Timestamp.min for f in files
        }
        files.sort(key=lambda f: (last[f.file], f.file), reverse=True)
        others = [f for f in opened.landed if f.group != group]
        opened.landed[:] = others + files
    rank = " ".join(f"WHEN {sql_text(f.file)} THEN {i}" for i, f in enumerate(files))
    again = "(SELECT NULL AS source_file, NULL AS source_line WHERE FALSE)"
    if preset and preset.repeats == "once":
        cells = ", ".join(sql_name(c) for c in wanted)
        again = f"""(SELECT source_file, source_line FROM (SELECT source_file, source_line, row_number() OVER
            (PARTITION BY source_file, hash({cells}) ORDER BY source_line) AS n,
            {_adds_up(opened, group, preset)} AS whole FROM {sql_name("all " + group)} WHERE source_problem IS NULL)
            WHERE n > 1 AND NOT whole)"""
        con.execute(f"CREATE OR REPLACE TEMP TABLE {sql_name('again ' + group)} AS {again}")
        again = sql_name("again " + group)
    lines = "source_file, source_line"
    opened.query(
        (
            f"""CREATE OR REPLACE TEMP VIEW {sql_name(group)} AS
        SELECT rows.*, again.source_line IS NOT NULL AS source_repeat,
        CASE rows.source_file {rank} END AS source_rank FROM {sql_name("all " + group)} AS rows
        LEFT JOIN {again} AS again USING ({lines}) WHERE NOT {layout}"""
            if len(files) > 1 or preset
            else f"""CREATE OR REPLACE TEMP VIEW {sql_name(group)} AS SELECT *, FALSE AS source_repeat, 0 AS source_rank
        FROM {sql_name("all " + group)}"""
        ),
        shown,
    )
    for f in files:
        f.facts["preset_layout"] = 0
    if layout != "FALSE":
        query = f"SELECT source_file, count(*) FROM {sql_name('all ' + group)} WHERE {layout} GROUP BY 1"
        counts = dict(opened.query(query, shown).fetchall())
        for f in files:
            f.facts["preset_layout"] = counts.get(f.file, 0)


def _adds_up(opened: Opened, group: str, preset: Preset) -> str:
    """Whether all lines of an order, equal ones included, come to what the order itself says: then
    none is a repeat.
    """
    if preset.whole is None:
        return "FALSE"
    style, whole = opened.style(group), preset.whole
    order = f"(PARTITION BY source_file, {whole.order})"
    lines = f"sum({plain_sql(whole.line, style)}) OVER {order}"
    off = [f"abs({lines} - max({plain_sql(said, style)}) OVER {order})" for said in whole.said]
    return f"coalesce(least({', '.join(off)}) < 0.02, FALSE)"


def _types(opened: Opened, f: Landed) -> dict[str, str]:
    """The engine's type of each column of a Parquet file; the columns of other files are text."""
    if f.facts["kind"] != "parquet":
        return dict.fromkeys(f.facts["columns"], "VARCHAR")
    schema = opened.con.con.sql(
        f"DESCRIBE SELECT * FROM read_parquet({sql_text(str(f.parquet))})"
    ).fetchall()
    return {c: kind for c, kind, *_ in schema}


def _mixed(opened: Opened, files: list[Landed]) -> set[str]:
    """Columns (in small letters) that are not of one type in all files of a group: they are read as
    text.
    """
    found: dict[str, set[str]] = {}
    for f in files if len(files) > 1 and any(f.facts["kind"] == "parquet" for f in files) else ():
        for c, kind in _types(opened, f).items():
            is_number = re.match(r"U?(TINY|SMALL|BIG|HUGE)?INT|DOUBLE|FLOAT|DECIMAL", kind)
            found.setdefault(c.lower(), set()).add("number" if is_number else kind)
    return {c for c, kinds in found.items() if len(kinds) > 1}


def _select(
    opened: Opened, f: Landed, wanted: list[str], preset: Preset | None, mixed: set[str]
) -> str:
    have = {c.lower(): c for c in f.facts["columns"]}
    marks = ["", *f.spec.missing, *(preset.missing if preset else [])]
    from_parquet = f.facts["kind"] == "parquet"
    types = _types(opened, f)

    def cell(c: str) -> str:
        kind = types.get(c, "VARCHAR")
        if "STRUCT" in kind or "[]" in kind or "MAP" in kind:
            return f"CAST(to_json({sql_name(c)}) AS VARCHAR)"
        if kind == "BLOB":  # some writers do not say that their bytes are text
            return f"coalesce(TRY(decode({sql_name(c)})), CAST({sql_name(c)} AS VARCHAR))"
        if kind != "VARCHAR" and c.lower() in mixed:
            return rf"regexp_replace(CAST({sql_name(c)} AS VARCHAR), '^(-?\d+)\.0$', '\1')"
        if kind != "VARCHAR" or f.spec.package:  # what a package brings is clean
            return sql_name(c)
        text = f"trim({sql_name(c)})"
        if from_parquet:  # read where it is: other files have lost these when they were taken in
            text = rf"CASE WHEN strlen({sql_name(c)}) = length({sql_name(c)}) THEN {text} ELSE {_seen(sql_name(c))} END"
        for mark in marks:
            text = f"nullif({text}, {sql_text(mark)})"
        return text

    cells = [f"{cell(have[c.lower()])} AS {sql_name(c)}" for c in wanted if c.lower() in have]
    cells += (
        ["file_row_number + 1 AS source_line", "NULL::VARCHAR AS source_problem"]
        if from_parquet
        else []
    )
    cells += [] if from_parquet else ["source_line", "source_problem"]
    rows = f"read_parquet({sql_text(str(f.parquet))}{', file_row_number = TRUE' if from_parquet else ''})"
    cells += [f"CAST(NULL AS VARCHAR) AS {sql_name(c)}" for c in wanted if c.lower() not in have]
    zone = (
        f.spec.timezone
        or (preset and (preset.timezone or opened.client.settings.timezone))
        or "UTC"
    )
    dates = (
        f.spec.dates
        or (preset.dates if preset else "")
        or f.facts["dates"]
        or _usual(opened.client)
    )
    f.style = {
        "decimal": f.facts["decimal"],
        "dates": dates,
        "zone": zone,
        "currency": f.facts["currency"],
    }
    more = {"file": f.file, "country": opened.client.settings.country}
    more |= {k: f.facts.get(k, "") for k in ("head", "open")}
    cells += [f"{sql_text(v)} AS source_{k}" for k, v in (more | f.style).items()]
    return f"SELECT {', '.join(cells)} FROM {rows}"


def _seen(text: str) -> str:
    """SQL for a text without the characters that cannot be seen."""
    return rf"trim(regexp_replace({text}, {sql_text(UNSEEN)}, '\1', 'g'))"


def _usual(client: Client) -> str:
    """Which of day and month comes first where a file does not show it."""
    return "month first" if client.settings.country == "US" else "day first"


def _parts(opened: Opened) -> dict[str, list[Part]]:
    """What fills each canonical table: the mappings of client.yaml and those of the presets."""
    parts: dict[str, list[Part]] = {}
    settings = opened.client.settings
    counted: dict[
        str, str
    ] = {}  # the table in which the lines of a source are counted: the first, orders before others
    for table, given in sorted(settings.tables.items(), key=lambda item: item[0] != "orders"):
        for m in given:
            where = f"data/{opened.client.name}/client.yaml, tables.{table}"
            again = counted.setdefault(m.source, table) != table
            part = Part(
                table, m.source, m.columns, m.from_ or sql_name(m.source), m.person, again, where
            )
            parts.setdefault(table, []).append(part)
    for group in opened.groups:
        preset = opened.of(group)[0].preset
        for table, m in (preset.tables if preset else {}).items():
            further, numbers = _further(opened, group, preset)
            columns = m.columns | further
            rows = (
                f"({m.rows.replace('{rows}', sql_name(group))}) AS {sql_name(group)}"
                if m.rows
                else sql_name(group)
            )
            shown = f"preset {preset.name}, {table}"
            part = Part(
                table,
                group,
                columns,
                rows,
                m.person,
                m.derived,
                shown,
                further=list(further),
                numbers=numbers,
            )
            parts.setdefault(table, []).append(part)
    order = [*settings.precedence, *opened.groups]
    for mine in parts.values():
        mine.sort(key=lambda p: order.index(p.group) if p.group in order else len(order))
    return parts


def _further(opened: Opened, group: str, preset: Preset) -> tuple[dict[str, str], set[str]]:
    """Columns of a file in the playbook's own words that no table knows, kept; and those that hold
    numbers.

    One whose heading says that it holds personal data, such as customer_email, is dropped.
    """
    if not preset.name.startswith("playbook_"):
        return {}, set()
    known = {c.lower() for c in preset.header + preset.optional}
    more = {
        c: sql_name(c)
        for f in opened.of(group)
        for c in f.facts["columns"]
        if c.lower() not in known and not heading_kind(c)
    }
    if not more:
        return {}, set()
    cells = ", ".join(f"CAST({c} AS VARCHAR) AS {c}" for c in more.values())
    rows = f"SELECT {cells}, {opened.style(group)['decimal']} AS source_mark FROM {sql_name(group)}"
    # One row a cell: the engine works hundreds of expressions out much more slowly than one over
    # many rows.
    query = f"""SELECT name, count(cell), count(amount_of(source_mark, cell)) FROM
        (UNPIVOT ({rows}) ON COLUMNS(* EXCLUDE source_mark) INTO NAME name VALUE cell) GROUP BY name"""
    return more, {
        c for c, filled, read in opened.query(query, group).fetchall() if read > 0.8 * filled
    }


def stage(opened: Opened, name: str, people: Identity) -> ir.Table:
    """Canonical table `name` from all its sources; empty where the client does not bring it.

    Times become UTC; orders also get the shop's own clock and day; money becomes the client's
    currency; persons become pseudonyms. A value that is not of its column's type becomes empty and
    is named in `source_unreadable`, so that cleaning can hold the row. Raises PlaybookError for an
    expression that does not fit.

    `people` is who is who, as `who.identify` gives it.
    """
    table, parts = tables.get(f"staged_{name}"), opened.parts.get(name, [])
    writers = people.names if opened.has_people else None
    if name == "customers" and not parts and opened.has_people:
        _staged(opened, name, [people.customers_sql()])
        return mask_table(opened, name, {"customer_id"}, people.known_names, writers)
    if not parts:
        empty = pd.DataFrame(columns=list(table.columns))
        return ibis.memtable(empty, schema=table.schema)
    own = [_part_sql(opened, p, table, i) for i, p in enumerate(parts) if not p.derived]
    derived = [_part_sql(opened, p, table, i) for i, p in enumerate(parts) if p.derived]
    _staged(opened, name, own + ([_merged(opened, name, derived)] if derived else []))
    return mask_table(opened, name, _pseudonyms(parts), people.known_names, writers)


def _pseudonyms(parts: list[Part]) -> set[str]:
    """The columns that hold nothing but keyed pseudonyms."""
    plain = {
        c
        for p in parts
        for c, e in p.columns.items()
        if e not in ("person", "record") and "pseudonym(" not in e
    }
    return {c for p in parts for c in p.columns} - plain


def _merged(opened: Opened, name: str, selects: list[str]) -> str:
    """Rows worked out from other rows, one a key: of each column the first value in the order of
    precedence.
    """
    union = "\nUNION ALL BY NAME\n".join(selects)
    columns = [row[0] for row in opened.query(f"DESCRIBE {union}", name).fetchall()]
    key = [c for c in tables.get(name).key if c in columns]
    values = [
        f"min_by({sql_name(c)}, source_order) FILTER ({sql_name(c)} IS NOT NULL) AS {sql_name(c)}"
        for c in columns
        if c not in [*key, *LINEAGE]
    ]
    lineage = [
        "min_by(source_name, source_order) AS source_name",
        "min(source_order) AS source_order",
    ]
    lineage += [
        "NULL::VARCHAR AS source_file",
        "NULL::BIGINT AS source_line",
        "'' AS source_unreadable",
        "FALSE AS source_repeat",
    ]
    keys = ", ".join(sql_name(k) for k in key)
    given = " AND ".join(f"{sql_name(k)} IS NOT NULL" for k in key)
    cells = ", ".join([keys, *values, *lineage])
    return f"SELECT {cells} FROM ({union}) WHERE {given} AND NOT source_repeat GROUP BY {keys}"


def _staged(opened: Opened, name: str, selects: list[str]) -> ir.Table:
    """The union of queries as a table of the engine, worked out at once; of large clients as a
    view.
    """
    shown = f"data/{opened.client.name}/client.yaml, tables.{name}"
    union = "\nUNION ALL BY NAME\n".join(selects)
    if sum(f.facts["lines"] for f in opened.landed) <= KEPT:
        query = f"TABLE {sql_name('stage ' + name)} AS {union}"
    else:
        query = f"VIEW {sql_name('stage ' + name)} AS {_few_words(opened, union, shown)}"
    opened.query(f"CREATE OR REPLACE TEMP {query}", shown)
    return opened.con.table("stage " + name)


def _few_words(opened: Opened, rows: str, shown: str) -> str:
    """Rows whose lineage the engine writes by number: looking up the same words in each row costs
    a quarter of the time of a large table.
    """
    every = {"source_name": opened.groups, "source_file": [f.file for f in opened.landed]}
    have = {c for c, *_ in opened.query(f"DESCRIBE {rows}", shown).fetchall()}
    kinds = {
        c: f"ENUM({', '.join(sql_text(w) for w in dict.fromkeys(words))})"
        for c, words in every.items()
        if c in have
    }
    if not kinds:
        return rows
    cells = ", ".join(f"CAST({c} AS {kind}) AS {c}" for c, kind in kinds.items())
    return f"SELECT * REPLACE ({cells}) FROM ({rows})"


def _part_sql(opened: Opened, part: Part, table: tables.Table, number: int) -> str:
    group, own, style = (
        sql_name(part.group),
        opened.client.settings.timezone,
        opened.style(part.group),
    )
    origin = part.sql(part.rows, style)
    plain = {
        c: part.sql(e, style) for c, e in part.columns.items() if e not in ("person", "record")
    }
    found = kinds_of(opened, part)
    cells, doubts = {}, [f"{group}.source_problem"]
    clean = all(f.spec.package for f in opened.of(part.group))  # what a package brings
    for c, e in plain.items():
        wanted = dt.float64 if c in part.numbers else table.schema.get(c)
        cells[c] = typed(e, found[c], wanted, style | {"own": own})
        if found[c] == "VARCHAR" and not clean:
            doubts += _doubts(c, e, cells[c], wanted)
    money = [
        c for c in cells if c in table.columns and table.columns[c].unit.startswith("currency")
    ]
    if "currency" in cells and money and opened.client.settings.exchange_rates:
        rates = "".join(
            f" WHEN {sql_text(k)} THEN {v}"
            for k, v in opened.client.settings.exchange_rates.items()
        )
        for c in money:
            cells[c] = f"({cells[c]}) * CASE {cells['currency']}{rates} ELSE 1 END"
    if table.name in ("orders", "staged_orders") and "ordered_at" in cells:
        own_clock = f"timezone('{own}', timezone('UTC', {cells['ordered_at']}))"
        cells = {"ordered_at_local": own_clock, "ordered_on": f"CAST({own_clock} AS DATE)"} | cells
    if part.table == "records" and "email" in part.person:
        e = part.sql(part.person["email"], style)
        doubts.append(
            f"CASE WHEN NOT regexp_matches({e}, '^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$') THEN 'e-mail: not"
            " an address' END"
        )
    order = (
        f"{number * 1000}::BIGINT * {FILE_ROOM} + {group}.source_rank * {FILE_ROOM}::BIGINT +"
        f" {group}.source_line"
    )
    line = f"{group}.source_line IS NOT NULL"
    cells |= {
        "source_name": f"CASE WHEN {line} THEN {sql_text(part.group)} END",
        "source_file": f"CASE WHEN {line} THEN {group}.source_file END",
        "source_line": f"{group}.source_line",
        "source_order": order,
        "source_unreadable": f"concat_ws('; ', {', '.join(doubts)})",
        "source_repeat": f"coalesce({group}.source_repeat, FALSE)",
    }
    source = origin
    has_forgotten = bool(forgotten(opened.client))
    gone = ""  # whether a line is of somebody who asked to be forgotten
    if part.person:
        record = part.sql(part.person["record"], style)
        cells |= {c: "who.who_customer" for c, e in part.columns.items() if e == "person"}
        cells |= {c: "who.who_record" for c, e in part.columns.items() if e == "record"}
        source += f" LEFT JOIN {sql_name(MAP)} AS who ON who.who_key = {sql_text(part.group + '|')} || ({record})"
        if has_forgotten:
            gone = (
                f"(({record}) IS NOT NULL AND who.who_key IS NULL AND {group}.source_problem IS"
                " NULL)"
            )
    elif has_forgotten:
        gone = _gone_by_number(opened, part, plain, origin)
    if gone:
        cells = _without_words(cells, gone, table)
    return f"SELECT {', '.join(f'{e} AS {sql_name(c)}' for c, e in cells.items())} FROM {source}"


def _gone_by_number(opened: Opened, part: Part, plain: dict[str, str], origin: str) -> str:
    """SQL for the lines whose own number, stored as it stands, is of somebody who asked to be
    forgotten; or nothing.
    """
    found = []
    for c in OWN_NUMBERS:
        if c in plain:
            number = f"CAST(({plain[c]}) AS VARCHAR)"
            every = opened.query(
                f"SELECT DISTINCT {number} FROM {origin} WHERE {number} IS NOT NULL", part.shown
            )
            theirs = forgotten_numbers(opened.client, [n for (n,) in every.fetchall()])
            found += (
                [f"coalesce({number} IN ({', '.join(map(sql_text, theirs))}), FALSE)"]
                if theirs
                else []
            )
    return f"({' OR '.join(found)})" if found else ""


def _without_words(cells: dict[str, str], gone: str, table: tables.Table) -> dict[str, str]:
    """The lines of people who asked to be forgotten stay countable, without a word of theirs.

    Orders stay as sales of nobody, in the columns that every shop has: notes, addresses and codes
    of theirs go.
    """
    is_orders = table.name in ("orders", "staged_orders")
    words = [c for c in cells if c not in table.columns or table.columns[c].unit == "free text"]
    words += [c for c in OWN_NUMBERS if c in cells and c not in words]
    empty = {c: f"CASE WHEN NOT {gone} THEN {cells[c]} END" for c in words}
    unread = f"CASE WHEN {gone} THEN '' ELSE {cells[UNREADABLE]} END"
    return cells | empty | {UNREADABLE: unread, "source_forgotten": "FALSE" if is_orders else gone}


def _doubts(column: str, text: str, cell: str, wanted: dt.DataType | None) -> list[str]:
    """What may be wrong with a text cell, as SQL that is empty where nothing is."""
    said = f"{sql_text(column + ': ')} || left({text}, 80)"
    if wanted is not None and not wanted.is_string():
        return [f"CASE WHEN ({text}) IS NOT NULL AND {cell} IS NULL THEN {said} END"]
    doubts = [f"CASE WHEN spoilt({text}) THEN {said} END"]
    if column.endswith("_id"):
        doubts.append(
            f"CASE WHEN rounded_id({text}) THEN {said} || ' (a number rounded by a"
            " spreadsheet)' END"
        )
    return doubts


def days_of_orders(opened: Opened) -> pd.DataFrame:
    """The days of the client's orders as the sources have them, as `store.order_days` gives them.

    Raises PlaybookError where no date can be read.
    """
    days = order_days(order_times(opened))
    if days.empty:
        raise PlaybookError(
            f"the orders of {opened.client.name} hold no readable date. Run playbook check"
            f" {opened.client.name} and look at the column ordered_at."
        )
    return days


def order_times(opened: Opened) -> ir.Table:
    """The times of all orders with a possible date, without asking who is who: ordered_at_local and
    ordered_on.
    """
    table, selects = tables.get("staged_orders"), []
    for i, p in enumerate(opened.parts.get("orders", [])):
        only = {c: e for c, e in p.columns.items() if c == "ordered_at"}
        selects.append(_part_sql(opened, replace(p, columns=only, person={}), table, i))
    if not selects:
        raise PlaybookError(
            f"{opened.client.name} brings no orders: no file in data/{opened.client.name}/raw/ was"
            f" recognised as a shop's or a till's export. Run playbook check {opened.client.name}"
            " for suggestions."
        )
    orders = _staged(opened, "order times", selects)
    # kept, since the engine would turn each time from zone to zone once a condition
    times = orders.select("ordered_at_local", "ordered_on").cache()
    return times.filter(
        times.ordered_on.between(date(1990, 1, 1), today(opened.client.settings.timezone))
    )


# --- cards ------------------------------------------------------------------------------------


def source_cards(opened: Opened, as_of: date) -> pd.DataFrame:
    """One card a file (table `sources`): what it is, how it is written, rows, span, gaps, age,
    fingerprint.
    """
    return pd.DataFrame([_card(opened, f, as_of) for f in opened.landed])


def _days(opened: Opened, f: Landed) -> pd.DatetimeIndex:
    """The distinct days of a file's rows that can be, in order; empty for files without dates."""
    return opened.days.setdefault(f.group, _days_of(opened, opened.of(f.group))).get(
        f.file, pd.DatetimeIndex([])
    )


def _days_of(opened: Opened, files: list[Landed]) -> dict[str, pd.DatetimeIndex]:
    said = files[0].spec.dated or (files[0].preset.dated if files[0].preset else "")
    if not said:
        return {}
    style, own = opened.style(files[0].group), sql_text(opened.client.settings.timezone)
    dates = style["dates"] if style["dates"].startswith("'") else "source_dates"
    group = files[0].group
    query = f"""SELECT DISTINCT source_file, day_of({dates}, {own}, CAST(said AS VARCHAR)) AS day FROM
        (SELECT DISTINCT source_file, source_dates, ({said}) AS said FROM {sql_name("all " + group)})"""
    days = opened.query(query, files[0].file).df().dropna()
    possible = days[
        days["day"].between(
            pd.Timestamp(1990, 1, 1), pd.Timestamp(today(opened.client.settings.timezone))
        )
    ]
    return {
        file: pd.DatetimeIndex(sorted(rows["day"]))
        for file, rows in possible.groupby("source_file")
    }


def _card(opened: Opened, f: Landed, as_of: date) -> dict[str, Any]:
    facts, preset = f.facts, f.preset
    layout = facts["layout"] + facts["preset_layout"]
    table = opened.counted_in(f.group)
    card = {
        "source": f.group,
        "file": f.file,
        "kind": facts["kind"],
        "preset": preset.title if preset else "",
        "table": table,
        "origin": f.spec.origin or (preset.origin if preset else "offline"),
        "owner": f.spec.owner,
        "encoding": facts["encoding"],
        "delimiter": facts["delimiter"],
        "decimal": facts["decimal"] if facts["kind"] == "csv" else "",
        "dates": f"{facts['dates']}, {facts['dates_why']}" if facts["dates_why"] else "",
        "header_line": facts["header_line"],
        "sha256": facts["sha256"],
        "lines": facts["lines"] + facts["layout"],
        "layout": layout,
        "rows": facts["lines"] - facts["preset_layout"],
        "columns": len(facts["columns"]),
        "columns_used": len(used_columns(opened, f)),
        "first_on": None,
        "last_on": None,
        "days_missing": None,
        "age_days": None,
        "key": ", ".join(f.spec.key or (preset.key if preset else [])),
        "note": f.spec.note or (preset.note if preset else ""),
    }
    if n := facts["layout_kinds"].get("another table in the same file"):
        card["note"] += (
            f"{'; ' if card['note'] else ''}{n:,} lines belong to another table in the same file"
            " and are not read"
        )
    if facts.get("unread"):
        card["note"] += (
            f" {'; not read: ' if card['note'] else 'not read: '}{', '.join(map(str, facts['unread']))}"
        )
    if not table:
        near = f" It is nearly {facts['near'][0]}." if facts["near"] else ""
        card["note"] = f"not used: nothing knows this file.{near}"
    if found := file_notes(f):
        card["note"] += f"{'; ' if card['note'] else ''}{found}"
    days = _days(opened, f)
    if len(days):
        first, last = days[0], days[-1]
        card |= {
            "first_on": first.date(),
            "last_on": last.date(),
            "days_missing": (last - first).days + 1 - len(days),
            "age_days": max((pd.Timestamp(as_of) - last).days, 0),
        }
    return card


def file_notes(f: Landed) -> str:
    """What was done to a file's cells, and what has to be said about them in client.yaml."""
    said, facts = [], f.facts
    if facts.get("headless"):
        said.append(
            "it has no header: its columns are called column 1, column 2 ... (if it has one, say"
            " header_line: 1)"
        )
    if n := facts.get("unseen"):
        said.append(
            "characters that cannot be seen were taken out of"
            f" {'1 cell' if n == 1 else f'{n:,} cells'}"
        )
    if facts.get("two_ways"):
        said.append(
            f"numbers that can be read two ways: {', '.join(facts['two_ways'])}; say which mark is"
            " the decimal one, as decimal: '.' or decimal: ',' for this file in client.yaml"
        )
    return "; ".join(said)


def used_columns(opened: Opened, f: Landed) -> set[str]:
    """The columns of a file that a table or the matching of people uses."""
    said = [
        e
        for ps in opened.parts.values()
        for p in ps
        if p.group == f.group or f.group in p.rows
        for e in [*p.columns.values(), *p.person.values(), p.rows]
    ]
    text = " ".join([*said, f.spec.dated, f.preset.layout if f.preset else ""])
    words = set(re.findall(r"\w+", text))
    return {c for c in f.facts["columns"] if f'"{c}"' in text or c in words}

"""What a run would count: a client's orders, customers and money, by the helpers of 01 and 02, with
nothing stored.
"""

from __future__ import annotations

import shutil
from typing import Any

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import tables
from helpers.clean import chain, suspicions
from helpers.client import Client, Mapping, Source, spill_name
from helpers.collect import catalogue, sources, who
from helpers.collect.landing import Landed
from helpers.collect.opened import Opened
from helpers.collect.suggest import Suggestion
from helpers.practices import is_used, suggestions
from helpers.store import Store

# what cleaning looks at even where a client brings none
NEEDED = ("orders", "products", "customers")
NOTHING = {"orders": 0, "customers": 0, "revenue": 0.0, "first_on": None, "last_on": None}


def counted(client: Client) -> dict[str, Any]:
    """What would be counted after cleaning, before it (`staged`), and what became of each file.

    A file that nothing knows is read as its suggestion says, unless another file fills that table
    already; its state is then "suggested". Keys: `client`, `currency`, `as_of`, `orders` (order
    numbers with a sale among their lines), `customers`, `revenue` (the client's currency),
    `first_on`, `last_on`, `staged` with the same five, `files` (file, preset, table, state, rows,
    loaded, duplicate, filtered, held), `steps` (the steps of cleaning that touched a row, with
    their reasons), `held` (rule, reason, rows, revenue), `open` (what a mapping is not certain of:
    subject, finding, rows, revenue).

    Raises PlaybookError where the settings or a file are at fault.
    """
    place = client.private() / spill_name()  # what a kill leaves there goes with the next command
    try:
        collecting = Store("01_collect", client, place)
        opened = sources.open_sources(collecting.con, client)
        guesses = [
            g for g in suggestions(opened) if g.table and not set(g.tables) & set(opened.parts)
        ]
        if guesses:
            collecting = Store("01_collect", with_suggestions(client, guesses), place)
            opened = sources.open_sources(collecting.con, collecting.client)
        return _counted(collecting, opened, {g.name for g in guesses})
    finally:
        shutil.rmtree(place, ignore_errors=True)


def with_suggestions(client: Client, guesses: list[Suggestion]) -> Client:
    """The client as if the suggestions stood in its client.yaml."""
    sources = dict(client.settings.sources)
    mappings = dict(client.settings.tables)
    steps = list(client.settings.clean)
    for g in guesses:
        sources |= {one.name: Source.model_validate(one.source()) for one in (g, *g.beside)}
        steps += g.steps()
        for one in (g, *g.more):
            mappings[one.table] = [
                *mappings.get(one.table, []),
                Mapping.model_validate(one.mapping()),
            ]
    found = Client(client.name)
    found.settings = client.settings.model_copy(
        update={"sources": sources, "tables": mappings, "clean": steps}
    )
    return found


def _counted(collecting: Store, opened: Opened, guessed: set[str]) -> dict[str, Any]:
    client, folder = collecting.client, collecting.folder
    said = {
        "client": client.name,
        "currency": client.settings.currency,
        "as_of": None,
        **NOTHING,
        "staged": NOTHING,
    }
    if "orders" not in opened.parts:
        files = [_file(opened, f, guessed, {}) for f in opened.landed]
        return said | {"files": files, "steps": [], "held": [], "open": []}
    brought = [n for n in tables.CANONICAL if n in opened.parts or n in NEEDED]
    people = who.identify(opened)
    for name in brought:
        collecting.write(f"staged_{name}", sources.stage(opened, name, people))
    collecting.write("sources", sources.source_cards(opened, collecting.as_of))
    collecting.write("rules", catalogue.preset_rules(opened))
    cleaning = Store("02_clean", client, folder)
    cleaned = {"products": chain.clean_table(cleaning, "products", cleaning.as_of)}
    for name in (n for n in brought if n != "products"):
        cleaned[name] = chain.clean_table(cleaning, name, cleaning.as_of, cleaned["products"].rows)
    held = chain.by_rule(chain.quarantined(list(cleaned.values())))
    log = chain.chain_log(list(cleaned.values()))
    worked = log.loc[log["rows_touched"] > 0, ["table", "step", "action", "rows_touched", "reason"]]
    fates = (
        chain.ledgers(cleaning, cleaned, cleaning.frame("sources"))
        .set_index("file")
        .to_dict("index")
    )
    staged = cleaning.read("staged_orders")
    return (
        said
        | {"as_of": str(cleaning.as_of)}
        | figures(cleaned["orders"].rows)
        | {"staged": figures(staged.filter(~_.source_repeat))}
        | {"files": [_file(opened, f, guessed, fates.get(f.file, {})) for f in opened.landed]}
        | {"steps": worked.to_dict("records")}
        | {
            "open": [
                {k: d[k] for k in ("subject", "finding", "rows", "revenue")}
                for d in suspicions.told_doubts(cleaning)
            ]
        }
        | {"held": held.astype({"revenue": "float64"}).fillna({"revenue": 0.0}).to_dict("records")}
    )


def figures(orders: ir.Table) -> dict[str, Any]:
    """Orders with a sale among their lines, customers, money in the client's currency, first and
    last day.
    """
    sold = _.quantity.fill_null(1) > 0
    if "is_return" in orders.columns:
        sold &= ~_.is_return.fill_null(False)
    found = orders.agg(
        orders=_.order_id.nunique(where=sold),
        customers=_.customer_id.nunique(),
        revenue=_.revenue.sum().cast("float64").round(2),
        first_on=_.ordered_on.min(),
        last_on=_.ordered_on.max(),
    ).to_pandas()
    row = found.iloc[0]
    days = {c: None if pd.isna(row[c]) else str(row[c])[:10] for c in ("first_on", "last_on")}
    money = 0.0 if pd.isna(row["revenue"]) else float(row["revenue"])
    return {
        "orders": int(row["orders"]),
        "customers": int(row["customers"]),
        "revenue": money,
        **days,
    }


def _file(opened: Opened, f: Landed, guessed: set[str], fate: dict[str, Any]) -> dict[str, Any]:
    table = opened.counted_in(f.group)
    if f.name in guessed:
        state = "suggested"
    elif table:
        state = "known" if f.preset else "mapped"
    else:
        state = "joined" if is_used(opened, f) else "not used"
    counts = {c: int(fate.get(c, 0)) for c in ("loaded", "duplicate", "filtered", "held")}
    rows = f.facts["lines"] - f.facts.get("preset_layout", 0)
    preset = f.preset.name if f.preset else ""
    return {
        "file": f.file,
        "preset": preset,
        "table": table,
        "state": state,
        "rows": rows,
        **counts,
    }

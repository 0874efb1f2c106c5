"""Which practices a client's data can carry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib import resources

import yaml

from helpers import tables
from helpers.client import Client, connect
from helpers.collect import open_sources, stage


@dataclass(frozen=True)
class Readiness:
    """What `playbook check` says: the span of the orders, rows by table, and each practice with what it lacks."""

    title: str
    first: date
    last: date
    rows: list[tuple[str, str]]
    practices: list[tuple[str, str, str, str]]


def readiness(client: Client) -> Readiness:
    """Read the client's settings and sources and hold them against what each practice needs."""
    con = connect()
    open_sources(con, client)
    staged = {n: stage(con, client, n) for n in tables.CANONICAL}
    rows = {n: int(t.count().execute()) for n, t in staged.items()}
    span = staged["orders"].agg(first=staged["orders"].ordered_on.min(), last=staged["orders"].ordered_on.max())
    first, last = (d.date() for d in span.to_pandas().iloc[0])
    listed = [(p["number"], p["what"], p["notebook"], _verdict(p["needs"], rows)) for p in practices()]
    shown = [(n, f"{r:,}" if n in client.settings.tables else "not supplied") for n, r in rows.items()]
    return Readiness(client.settings.title, first, last, shown, listed)


def practices() -> list[dict]:
    """The practices as listed in practices.yaml."""
    return yaml.safe_load(resources.files("helpers").joinpath("practices.yaml").read_text(encoding="utf-8"))


def _verdict(needs: list[str], rows: dict[str, int]) -> str:
    missing = [n for n in needs if not rows[n]]
    return f"no: needs {' and '.join(missing)}" if missing else "yes"

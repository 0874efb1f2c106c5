"""Presets: what well-known exports look like. Each is a YAML file in presets/; a file is recognised
by its header.
"""

from __future__ import annotations

import re
from functools import cache, cached_property
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from helpers import tables
from helpers.client import PlaybookError

_UNIT = re.compile(r"^(.*\S)\s*\(([A-Z]{3})\)$")


class TableMapping(BaseModel):
    """How a preset fills one canonical table: SQL over its rows."""

    model_config = ConfigDict(extra="forbid")
    columns: dict[str, str]
    # SELECT over {rows} that makes the rows, each with its source_line; empty: the rows as they are
    rows: str = ""
    person: dict[str, str] = {}  # who the row is about; see people in sources.py
    rules: list[
        dict[Literal["step", "action", "where", "reason"], str]
    ] = []  # steps of cleaning that this export needs
    derived: bool = False  # worked out from the rows, not counted in the ledger


class Whole(BaseModel):
    """How an order of a file says its own sum, as SQL over its rows."""

    model_config = ConfigDict(extra="forbid")
    order: str  # what names an order
    line: str  # the money of one line
    said: list[str]  # the order's own sum, which may be written in several ways


class Preset(BaseModel):
    """One export: how to know it, what its lines mean, which canonical tables it fills."""

    model_config = ConfigDict(extra="forbid")
    name: str
    title: str
    see: str = ""
    origin: Literal["online", "offline", "outside"] = "online"
    header: list[str]  # columns that every such file has
    optional: list[str] = []  # columns used where they are there
    aliases: dict[str, list[str]] = {}  # the same headings in other languages or older versions
    header_rows: int = 1
    timezone: str = ""  # of times without an offset; empty: the client's own
    dates: Literal["", "day first", "month first"] = ""
    missing: list[str] = []  # marks of a missing value beside the empty cell
    dated: str = ""  # the day of a row
    key: list[str] = []
    layout: str = ""  # rows that hold no data, such as totals
    # row: condition of the file's own total; then a name and an SQL sum to compare
    totals: dict[str, str] = {}
    repeats: Literal["once", "keep"] = "once"  # a row that stands twice in one file
    # where it adds up with the equal lines of an order, they are no repeats
    whole: Whole | None = None
    tables: dict[str, TableMapping]
    note: str = ""

    @cached_property
    def spellings(self) -> dict[str, str]:
        """Every spelling of a column, in lower case, to the preset's own."""
        own = {c.lower(): c for c in self.header + self.optional}
        return own | {s.lower(): c for c, more in self.aliases.items() for s in more}

    def known(self, cell: str) -> tuple[str, str]:
        """The preset's name of a heading and the currency it holds, empty where there is none."""
        cell = cell.strip().lstrip("\ufeff")
        if cell.lower() in self.spellings:
            return self.spellings[cell.lower()], ""
        with_unit = _UNIT.match(cell)
        if with_unit and with_unit[1].lower() in self.spellings:
            return self.spellings[with_unit[1].lower()], with_unit[2]
        return "", ""


@cache
def presets() -> dict[str, Preset]:
    """Every preset by name: those in presets/, then one for each canonical table in the playbook's
    own words.
    """
    folder = resources.files("helpers.collect").joinpath("presets")
    found = {}
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            name = file.name.removesuffix(".yaml")
            found[name] = Preset(name=name, **yaml.safe_load(file.read_text(encoding="utf-8")))
    return found | {f"playbook_{t}": _canonical(t) for t in tables.CANONICAL}


def recognise(cells: list[str], only: str = "") -> tuple[Preset | None, list[str]]:
    """The preset whose header these cells are; else the near misses, each with what is missing.

    Of several that fit, the one that asks for most. Raises PlaybookError for an unknown name in
    `only`.
    """
    every = presets()
    if only and only not in every:
        raise PlaybookError(f'there is no preset "{only}". Known: {", ".join(every)}.')
    best, near = None, []
    for preset in [every[only]] if only else every.values():
        have = {preset.known(c)[0] for c in cells}
        missing = [c for c in preset.header if c not in have]
        if not missing:
            best = max(best or preset, preset, key=lambda p: len(p.header))
        elif len(missing) <= 0.4 * len(preset.header) and len(preset.header) > 3:
            near.append((len(missing) / len(preset.header), preset, missing))
    return best, [
        f"{p.title} without {', '.join(m)}" for _, p, m in sorted(near, key=lambda n: n[0])[:3]
    ]


_WORKED_OUT = {"ordered_at_local", "ordered_on"}
_WHO = {"customer_id", "unit_id", "respondent_id"}
_ORIGIN = {"market": "outside", "reviews": "outside"} | dict.fromkeys(
    ("events", "spend", "messages", "surveys", "experiments", "choices", "traffic"), "online"
)


def _canonical(table: str) -> Preset:
    """A file that has the playbook's own column names already."""
    spec = tables.get(table)
    required = [c.name for c in spec.columns.values() if c.required and c.name not in _WORKED_OUT]
    header = list(dict.fromkeys(required + list(spec.columns)[: max(3, len(required))]))
    header = [c for c in header if c not in _WORKED_OUT]
    optional = [c for c in spec.columns if c not in header and c not in _WORKED_OUT]
    who = next((c for c in spec.columns if c in _WHO), "")
    number = f"'company:' || \"{who}\"" if table in ("accounts", "deals") else f'"{who}"'
    return Preset(
        name=f"playbook_{table}",
        title=f"{table} (own columns)",
        origin=_ORIGIN.get(table, "offline"),
        header=header,
        optional=optional,
        timezone="UTC",
        key=spec.key,
        dated=f'"{spec.day}"' if spec.day and spec.day not in _WORKED_OUT else "",
        repeats="once" if spec.key else "keep",
        tables={
            table: TableMapping(
                columns={c: f'"{c}"' for c in header + optional if c != who}
                | ({who: "person"} if who else {}),
                person={"record": f'"{who}"', "ids": number} if who else {},
            )
        },
    )

"""What a client's files are, and which practices they can carry."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from itertools import combinations
from pathlib import Path

import yaml

from helpers import tables
from helpers.client import Client, connect, home
from helpers.collect import sources
from helpers.collect.joins import guess_from, joined, nearly_joined
from helpers.collect.landing import Landed
from helpers.collect.opened import Opened, kinds_of, sql_name
from helpers.collect.suggest import Suggestion, as_yaml
from helpers.store import body, last_full_day

UNREAD = "cannot be read"


@dataclass(frozen=True)
class Readiness:
    """What `playbook check` says.

    `files`: file, what it is, rows, how it is written, table, what is missing. `rows`: table, rows.
    `practices`: number, what, notebook, and whether it can run or what it lacks. `first` and `last`
    are the days of the report, None without orders; `next_step` then says what to do. `suggestions`
    is the file of suggested mappings, or None.
    """

    title: str
    first: date | None
    last: date | None
    next_step: str
    files: list[tuple[str, ...]]
    rows: list[tuple[str, str]]
    practices: list[tuple[str, str, str, str]]
    suggestions: Path | None = None
    guessed: list[str] = field(default_factory=list)


def readiness(client: Client) -> Readiness:
    """Take a client's files in and hold them against what each practice needs; people are not
    matched.

    Writes suggestions.yaml beside client.yaml where a file is not known, and removes it where all
    are.
    """
    opened = sources.open_sources(connect(client.private()), client, describe=True)
    rows = count_rows(opened)
    first = last = None
    if "orders" in opened.parts:
        days = sources.days_of_orders(opened)
        first, last = body(days)[0], last_full_day(days)
    listed = [
        (p["number"], p["what"], p["notebook"], _verdict(p["needs"], rows)) for p in practices()
    ]
    shown = [(n, f"{r:,}" if n in opened.parts or r else "not supplied") for n, r in rows.items()]
    if opened.has_people and "customers" not in opened.parts:
        shown = [
            (n, f"{r} (records that name a person, not yet matched)" if n == "customers" else r)
            for n, r in shown
        ]
    path, guessed = _suggest(opened)
    step = next(iter(opened.refused.values()), "") or _next_step(opened, path)
    files = [_file(opened, f) for f in opened.landed]
    files += [(file, UNREAD, "", "", "not used", why) for file, why in opened.refused.items()]
    return Readiness(client.settings.title, first, last, step, files, shown, listed, path, guessed)


def in_short(found: Readiness) -> str:
    """How many files are known and how many practices can run, in a sentence."""
    files, unknown = len(found.files), sum(f[1] in ("not known", UNREAD) for f in found.files)
    able = sum(p[3] == "yes" for p in found.practices)
    known = f"{files - unknown} {'is' if files - unknown == 1 else 'are'} known"
    return (
        f"In short: of {files} file{'s' * (files != 1)} {known} and {unknown}"
        f" {'is' if unknown == 1 else 'are'} not; {able} of {len(found.practices)} practices can"
        " run."
    )


def count_rows(opened: Opened) -> dict[str, int]:
    """Rows of each canonical table before cleaning; customers are counted as the records that name
    a person.

    Raises PlaybookError for an expression that does not fit its source.
    """
    rows = dict.fromkeys(tables.CANONICAL, 0)
    for name, parts in opened.parts.items():
        for p in parts:
            kinds_of(opened, p)
            style = opened.style(p.group)
            what, key = "*", [p.columns[k] for k in tables.get(name).key if k in p.columns]
            # one row a key is left of them
            if p.derived and key and not {"person", "record"} & set(key):
                what = "DISTINCT (" + ", ".join(p.sql(e, style) for e in key) + ")"
            query = f"SELECT count({what}) FROM {p.sql(p.rows, style)}"
            rows[name] += opened.query(query, p.shown).fetchone()[0]
    if not rows["customers"]:
        for p in {
            (p.group, p.person["record"]): p for ps in opened.parts.values() for p in ps if p.person
        }.values():
            style = opened.style(p.group)
            query = (
                f"SELECT count(DISTINCT {p.sql(p.person['record'], style)}) FROM"
                f" {p.sql(p.rows, style)}"
            )
            rows["customers"] += opened.query(query, f"{p.shown}.person").fetchone()[0]
    return rows


def practices() -> list[dict]:
    """The practices as listed in practices.yaml."""
    return yaml.safe_load(
        resources.files("helpers").joinpath("practices.yaml").read_text(encoding="utf-8")
    )


def _verdict(needs: list[str], rows: dict[str, int]) -> str:
    missing = [n for n in needs if not rows[n]]
    return f"no: needs {' and '.join(missing)}" if missing else "yes"


def is_used(opened: Opened, f: Landed) -> bool:
    """Whether a table is filled from a file, or joined with it."""
    return any(
        p.group == f.group or f.group in re.findall(r"\w+", p.rows)
        for ps in opened.parts.values()
        for p in ps
    )


def _file(opened: Opened, f: Landed) -> tuple[str, ...]:
    """File, what it is, rows, how it is written, the table it feeds, and what it lacks."""
    facts = f.facts
    mine = [p.table for ps in opened.parts.values() for p in ps if p.group == f.group]
    what = (
        f.preset.title
        if f.preset
        else "mapped in client.yaml"
        if mine or is_used(opened, f)
        else "not known"
    )
    delimiter = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar"}.get(
        facts["delimiter"], facts["delimiter"]
    )
    written = [facts["kind"], facts["encoding"], delimiter]
    if facts["kind"] == "csv":
        written += [f"decimal {facts['decimal']}", f.style.get("dates", ""), facts["dates_why"]]
    table = ", ".join(dict.fromkeys(mine)) or (
        "joined to another" if is_used(opened, f) else "not used"
    )
    near = f"nearly {facts['near'][0]}" if facts["near"] and not f.preset and not mine else ""
    sheets = f"sheets not read: {', '.join(facts['unread'])}" if facts["unread"] else ""
    lacks = "; ".join(said for said in (near, sheets, sources.file_notes(f)) if said)
    rows = facts["lines"] - facts.get("preset_layout", 0)
    return f.file, what, f"{rows:,}", ", ".join(w for w in written if w), table, lacks


def suggestions(opened: Opened) -> list[Suggestion]:
    """What each file that nothing knows may be; tables of one export are joined into the lines of
    orders.
    """
    zone = opened.client.settings.timezone
    unknown = [f for f in opened.landed if not is_used(opened, f)]
    lines, others = joined(opened, unknown, zone)
    guesses = [lines] if lines else []
    gone = {f.name for f in others} | {g.name for g in guesses}
    for f in (f for f in unknown if f.name not in gone):
        guess = guess_from(opened, f, f.facts["columns"], sql_name("all " + f.group), zone)
        if not guess.table and (said := nearly_joined(opened, f, unknown)):
            guess.lacks += f"; {said}"
        guesses.append(guess)
    _tell_once(opened, guesses)
    return guesses


def _tell_once(opened: Opened, guesses: list[Suggestion]) -> None:
    """Where two files of different columns tell the same orders, only the one with more lines
    counts.
    """
    lines = {f.name: f.facts["lines"] for f in opened.landed}
    columns = {f.name: set(f.facts["columns"]) for f in opened.landed}
    told = sorted(
        (g for g in guesses if g.table == "orders" and not g.rows), key=lambda g: lines[g.name]
    )
    for coarse, fine in combinations(told, 2):
        if coarse.table and columns[coarse.name] != columns[fine.name]:
            known = f"SELECT {fine.columns['order_id']} FROM {sql_name(fine.name)}"
            is_known = f"CASE WHEN {coarse.columns['order_id']} IN ({known}) THEN 1 ELSE 0 END"
            query = f"SELECT avg({is_known}) FROM {sql_name(coarse.name)}"
            share = opened.query(query, coarse.file).fetchone()[0] or 0
            if share > 0.5:
                coarse.table, coarse.more, coarse.clean = "", [], []
                coarse.lacks = (
                    f"{share:.0%} of its orders are those of {fine.file}, whose lines are counted"
                )


def _suggest(opened: Opened) -> tuple[Path | None, list[str]]:
    place, guesses = opened.client.folder / "suggestions.yaml", suggestions(opened)
    if not guesses:
        place.unlink(missing_ok=True)
        return None, []
    place.write_text(as_yaml(guesses, opened.client.name), encoding="utf-8")
    return place, [f"{g.file}: {_near(g)}{g.table or g.lacks}" for g in guesses]


def _near(g: Suggestion) -> str:
    taken = "; the columns that fit are taken from there: " if g.table else "; "
    return f"nearly {g.near}{taken}" if g.near else ""


def _next_step(opened: Opened, suggestions: Path | None) -> str:
    name = opened.client.name
    if not opened.landed:
        return (
            f"no files yet. Put your exports into data/{name}/raw/ and run playbook check {name}"
            " again."
        )
    if "orders" in opened.parts:
        return f"playbook run {name}"
    if suggestions:
        shown = suggestions.relative_to(home()).as_posix()
        return (
            f"no orders yet. Look over {shown}, paste what fits into data/{name}/client.yaml, and"
            f" check again. What it would count: playbook check {name} --json"
        )
    return f"no orders yet. Put a shop's or a till's export into data/{name}/raw/ and check again."

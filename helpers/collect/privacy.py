"""Personal data: where they stand in a client's files, and what was done with them."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from importlib import resources

import pandas as pd
import sqlglot
import yaml
from sqlglot import exp

from helpers import tables
from helpers.collect import people
from helpers.collect.masks import KnownNames, find_all
from helpers.collect.opened import OWN_NUMBERS, Opened, Part, sql_name

ROWS, TEXTS = 2_000, 20_000  # rows looked at, and of columns with free text
SHOWN = {"person.region", "person.city", "person.gender", "person.birth_year", "person.account_type", "person.since",
         "person.acquisition_channel", "person.consent_email", "person.consent_sms", "person.consent_ads",
         "person.consent_at"}  # fmt: skip
# headings of what no mask may find in a cell
UNSEEN = ("name", "address", "customer id", "date of birth", "place")
AS_IT_IS = " as it is"  # marks a place that holds the very cells of a column
COLUMNS = ["source", "column", "holds", "cells", "looked_at", "done", "reason"]


@cache
def _facts() -> dict:
    return yaml.safe_load(
        resources.files("helpers.collect").joinpath("privacy.yaml").read_text(encoding="utf-8")
    )


def laws() -> pd.DataFrame:
    """What GDPR and PIPL ask of each practice, with the articles, and what is done here. No legal
    advice.
    """
    return pd.DataFrame(_facts()["laws"])


def unseen(customers: pd.DataFrame) -> dict[str, dict[str, int]]:
    """For each channel how many people may be contacted, may not, and are not known to have said.

    >>> unseen(pd.DataFrame({"consent_email": [True, False, None], "consent_sms": None, "consent_ads": None}))["email"]
    {'given': 1, 'refused': 1, 'not known': 1}
    """
    said = {c: customers[f"consent_{c}"].astype("boolean") for c in ("email", "sms", "ads")}
    return {
        c: {
            "given": int(s.eq(True).sum()),
            "refused": int(s.eq(False).sum()),
            "not known": int(s.isna().sum()),
        }
        for c, s in said.items()
    }


# --- what the files hold ----------------------------------------------------------------------


@cache
def heading_kind(heading: str) -> str:
    """The kind of personal data that a heading names, or nothing.

    >>> [heading_kind(h) for h in ("Billing Zip", "E-Mail-Adresse", "Lineitem name", "手机号")]
    ['address', 'e-mail', '', 'phone']
    """
    text = re.sub(r"\d+$", "", people.fold(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading))).strip()
    for kind, terms in _facts()["headings"].items():
        if any(_heads(text, t) for t in terms):
            return "" if any(_heads(text, t) for t in _facts()["not"].get(kind, ())) else kind
    return ""


def _heads(text: str, term: str) -> bool:
    word, word_starts = _folded(term)
    if term[0] == "=":
        return text == word
    if "\u4e00" <= term[0] <= "\u9fff":
        return word in text if term.endswith("*") else text.endswith(word)
    return word in text and word_starts.search(text) is not None


@cache
def _folded(term: str) -> tuple[str, re.Pattern]:
    word = people.fold(term)
    return word, re.compile(rf"\b{re.escape(word)}{'' if term.endswith('*') else chr(92) + 'b'}")


def scan(opened: Opened, known: KnownNames) -> pd.DataFrame:
    """One row a column of every source (table `privacy`): what personal data it holds, and what was
    done with it.

    `known` are the names of people that the sources know: `who.identify(opened).known_names`. Looks
    at about 2,000 rows spread over the source, and at 20,000 of columns with free text.
    """
    country = opened.client.settings.country
    rows = []
    for group in opened.groups:
        columns = list(dict.fromkeys(c for f in opened.of(group) for c in f.facts["columns"]))
        uses, sample = column_uses(opened, group), _sample(opened, group, columns, ROWS)
        for c in columns:
            cells = sample[c].dropna()
            if _is_free_text(cells):
                cells = _sample(opened, group, [c], TEXTS)[c].dropna()
            holds, count = _look(c, cells, known, country)
            done, reason = _done(uses.get(c.lower(), set()), holds, heading_kind(c))
            rows.append((group, c, ", ".join(holds), count, len(cells), done, reason))
    return pd.DataFrame(rows, columns=COLUMNS)


def _sample(opened: Opened, group: str, columns: list[str], rows: int) -> pd.DataFrame:
    lines = sum(f.facts["lines"] for f in opened.of(group))
    cells = ", ".join(f"CAST({sql_name(c)} AS VARCHAR) AS {sql_name(c)}" for c in columns)
    # spread over the file, the same rows each time
    some = f"hash(source_line) % {max(lines // rows, 1)} = 0"
    return opened.query(f"SELECT {cells} FROM {sql_name('all ' + group)} WHERE {some}", group).df()


def _is_free_text(cells: pd.Series) -> bool:
    some = cells.drop_duplicates().head(200)
    if some.empty:
        return False
    words = some.str.count(r"[^\W\d_]{2,}") + some.str.count(r"[\u4e00-\u9fff]") / 2
    return words.mean() >= 5


def _look(column: str, cells: pd.Series, known: KnownNames, country: str) -> tuple[list[str], int]:
    """The kinds of personal data in a column and the number of cells that hold some."""
    counts, total, heading = cells.value_counts(), len(cells), heading_kind(column)
    if heading == "customer id" and len(counts) < min(20, total / 10):
        heading = ""  # a few values for many rows: a type, not a number
    if heading == "name" and counts.index.str.fullmatch(r"[\d\W]*").all():
        heading = ""
    kinds, hit, free = Counter(), 0, _is_free_text(cells)
    for text, n in counts.items():
        here = {kind for _, _, kind in find_all(text, known, country=country)}
        hit += n * bool(here)
        kinds.update(dict.fromkeys(here, n))
    # In a column of short cells a few hits are chance: one number in ten passes for a card.
    least = {"e-mail": 0, "IP": 0.02, "card": 0.5}
    found = {k for k, n in kinds.items() if free or n >= least.get(k, 0.2) * total}
    if heading and heading not in found and total:
        return sorted({heading} | found), total
    return sorted(found), hit if found else 0


def _done(uses: set[str], holds: list[str], heading: str) -> tuple[str, str]:
    """What was done with a column, and why, in words."""
    plain = {u.removesuffix(AS_IT_IS) for u in uses if u.endswith(AS_IT_IS)}
    uses = {u.removesuffix(AS_IT_IS) for u in uses}
    stored = sorted(u for u in uses if not u.startswith(("rows.", "person.")))
    shown = ", ".join(stored[:3]) + (" ..." if len(stored) > 3 else "")
    tells_who = any(u.startswith("person.") and u not in SHOWN for u in uses)
    if not uses:
        return "dropped", "no table uses it"
    if set(holds) <= {"customer id"} and any(u.partition(".")[2] in OWN_NUMBERS for u in stored):
        why = (
            "the client's own number as it stands, not as a pseudonym, because the mapping names no"
            " `person`"
        )
        return "kept", f"stored as {shown}: {why}"
    if holds == ["customer id"] and plain - {u for u in plain if u.startswith("person.")}:
        return "kept", f"stored as {shown}; the client's own number, with no contact data beside it"
    if any(_is_free(u) for u in plain or uses) and not (heading and tells_who):
        return (
            "masked",
            f"stored as {shown}; contacts and known names in it become marks such as [name]",
        )
    if tells_who:
        return "replaced by a pseudonym", "used to know who is who; tables hold the pseudonym alone"
    if any(u.endswith(".pseudonym") for u in uses):
        return "replaced by a pseudonym", "tables hold a keyed pseudonym in its place"
    if not stored and uses & SHOWN:
        return "kept", "describes the person in customers; names nobody alone"
    if not stored:
        return "dropped", "read to sort or find rows only"
    if holds and heading not in UNSEEN and all(_sees(u, holds) for u in stored):
        why = (
            "contacts and known names in it become marks such as [name]; map it under person if it"
            " tells who"
        )
        return "masked", f"stored as {shown}; {why}"
    if holds:
        return (
            "kept",
            f"stored as {shown} although it may be personal: map it under person, or leave it out",
        )
    return "kept", f"stored as {shown}; not personal"


def _is_free(place: str) -> bool:
    table, _, column = place.partition(".")
    known = tables.get(table).columns if table in tables.CANONICAL else {}
    return column in known and known[column].unit == "free text"


def _sees(place: str, holds: list[str]) -> bool:
    """Whether masks find in a place what it holds: all in texts, names and e-mails in keys, nothing
    elsewhere.
    """
    table, _, column = place.partition(".")
    known = tables.get(table).columns if table in tables.CANONICAL else {}
    is_text = column not in known or known[column].type == "text"
    return is_text and (not column.endswith("_id") or set(holds) <= {"name", "e-mail"})


def column_uses(opened: Opened, group: str) -> dict[str, set[str]]:
    """For each column of a source (in lower case) where it goes: table.column, person.field, or
    rows.table.

    What a SELECT of a preset works out is followed back to the columns of the file.
    """
    uses: dict[str, set[str]] = {}
    style = opened.style(group)
    columns = {c.lower() for f in opened.of(group) for c in f.facts["columns"]}
    for parts in opened.parts.values():
        for p in parts:
            if p.group != group and group not in re.findall(r"\w+", p.rows):
                continue
            made = _made_of(p, style)
            turned = re.search(r"(?i)\bUNPIVOT\b[^(]*\(\s*(\w+)\s+FOR\b", p.rows)
            if turned:  # each answer stands in a row of its own
                named = _words(p.rows.replace("'", '"'))
                made.setdefault(turned[1].lower(), set()).update(
                    c for c in columns if c not in named
                )
            for c, e in p.columns.items():
                place = f"{p.table}.{c}"
                for name in _origins(e, made):
                    alone = (
                        AS_IT_IS
                        if e == sql_name(name) or e.lower() in (sql_name(name), name)
                        else ""
                    )
                    uses.setdefault(name, set()).add(
                        f"{place}.pseudonym" if "pseudonym(" in e else place + alone
                    )
            for field, e in p.person.items():
                for name in _origins(e, made):
                    uses.setdefault(name, set()).add(f"person.{field}")
            for name in _words(p.rows):
                uses.setdefault(name, set()).add(f"rows.{p.table}")
    preset = opened.of(group)[0].preset
    for sql in [preset.layout, preset.dated, *preset.totals.values()] if preset else []:
        for name in _words(sql):
            uses.setdefault(name, set()).add("rows.layout")
    return uses


def _words(sql: str) -> set[str]:
    """The names in an expression, in lower case."""
    plain = re.sub(r"'(?:[^']|'')*'", " ", sql)
    return {
        (quoted or bare).lower()
        for quoted, bare in re.findall(r'"((?:[^"]|"")+)"|(\b[^\W\d]\w*)', plain)
    }


def _made_of(part: Part, style: dict[str, str]) -> dict[str, set[str]]:
    """For each name that the rows of a part define, the names that it is made of."""
    if not part.rows.lstrip().startswith("("):
        return {}
    made: dict[str, set[str]] = {}
    try:
        tree = sqlglot.parse_one(f"SELECT * FROM {part.sql(part.rows, style)}", read="duckdb")
    except sqlglot.errors.SqlglotError:
        return {}
    for alias in tree.find_all(exp.Alias):
        made.setdefault(alias.alias.lower(), set()).update(
            c.name.lower() for c in alias.this.find_all(exp.Column)
        )
    return made


def _origins(expression: str, made: dict[str, set[str]]) -> set[str]:
    found, to_see = set(), set(_words(expression))
    while to_see:
        name = to_see.pop()
        if name not in found:
            found.add(name)
            to_see |= made.get(name, set())
    return found

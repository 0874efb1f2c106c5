"""Several tables of one export, joined into the lines of orders: which column leads from one file
to the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from helpers.collect.landing import Landed
from helpers.collect.opened import Opened, sql_name
from helpers.collect.suggest import Counts, Suggestion, known_as, plain, suggest

MATCHES = 0.9  # share of a file's rows that must find their row in the other
SAMPLE = 20_000  # rows from which a file is guessed; what few lines say is looked up in all of them


@dataclass
class Step:
    """One file joined to the lines: whose rows, by which columns, and the share of lines that find
    one.
    """

    other: Landed
    mine: str
    theirs: str
    share: float


def joined(
    opened: Opened, files: list[Landed], zone: str
) -> tuple[Suggestion | None, list[Landed]]:
    """The lines of one file with what other files say of their order and their buyer, and the files
    joined to it.

    A file is joined by a column of the same meaning that names each of its rows once; every line
    stays. None where no file holds lines without a day, or no other file tells it.
    """
    for lines in sorted(files, key=lambda f: -f.facts["lines"]):
        if not _holds_lines(lines) or _tells_day(lines):
            continue
        columns = {c: f"i.{sql_name(c)}" for c in lines.facts["columns"]}
        steps: list[Step] = []
        guess = None
        while step := _next(
            opened, lines, columns, steps, [f for f in files if guess is None or _unique(f)]
        ):
            steps.append(step)
            alias = f"j{len(steps)}"
            taken = {plain(c) for c in columns}
            for c in step.other.facts["columns"]:
                name = f"{c} of {step.other.name}" if plain(c) in taken else c
                columns[name] = f"{alias}.{sql_name(c)}"
            tried = _guess(opened, lines, columns, steps, zone)
            guess = tried if tried.table == "orders" else guess
        if guess is not None:
            return guess, [s.other for s in steps if known_as("products", s.theirs) != "product_id"]
    return None, []


def nearly_joined(opened: Opened, lines: Landed, files: list[Landed]) -> str:
    """What to say of lines without a day that hardly any other file tells more of: the best share,
    by which columns.
    """
    if not _holds_lines(lines) or _tells_day(lines):
        return ""
    tried = []
    for other in (f for f in files if f.name != lines.name):
        for theirs in filter(_is_key, other.facts["columns"]):
            for mine in (c for c in lines.facts["columns"] if plain(c) == plain(theirs)):
                share = _share(opened, lines, {}, [], f"i.{sql_name(mine)}", other, theirs)
                tried.append(
                    (share, f"{share:.0%} of its lines find theirs in {other.file} by {theirs}")
                )
    if not tried:
        return ""
    share, said = max(tried)
    if share == 0:
        return "no line finds its row in another file, or the row is there several times"
    return f"{said}, and a join asks for {MATCHES:.0%}"


def _first_rows(opened: Opened, columns: list[str], rows: str, file: str) -> pd.DataFrame:
    """The first rows of what stands after FROM, all columns as text."""
    cells = (
        ", ".join(f"CAST({sql_name(c)} AS VARCHAR) AS {sql_name(c)}" for c in columns)
        or "NULL AS nothing"
    )
    return opened.query(f"SELECT {cells} FROM {rows} LIMIT {SAMPLE}", file).df().astype("str")


def guess_from(
    opened: Opened, file: Landed, columns: list[str], rows: str, zone: str
) -> Suggestion:
    """The suggestion for a file from the first of its rows; `rows` is what stands after FROM."""
    some = _first_rows(opened, columns, rows, file.file)
    return suggest(file, some, zone, _counts(opened, rows, file) if len(some) == SAMPLE else None)


def _counts(opened: Opened, rows: str, file: Landed) -> Counts:
    def counts(column: str, instead: str) -> pd.Series:
        cell = f"CAST({sql_name(column)} AS VARCHAR)"
        query = (
            f"SELECT {cell} AS cell, count(*) AS n FROM {instead or rows} WHERE {cell} IS NOT NULL"
        )
        found = opened.query(f"{query} GROUP BY ALL ORDER BY n DESC, cell", file.file).df()
        return found.astype({"cell": "str"}).set_index("cell")["n"]

    return counts


def _holds_lines(f: Landed) -> bool:
    """Whether a file looks like lines of orders: a number of the order, and a product, a quantity
    or a price.
    """
    told = {known_as("orders", c) for c in f.facts["columns"]}
    return "order_id" in told and bool({"product_id", "quantity", "unit_price"} & told)


def _tells_day(f: Landed) -> bool:
    return any(known_as("orders", c) == "ordered_at" for c in f.facts["columns"])


def _unique(f: Landed) -> bool:
    """Whether a file tells one number of a person whose orders carry a new one each time."""
    return any(plain(c).endswith(plain("unique id")) for c in f.facts["columns"])


def _next(
    opened: Opened, lines: Landed, columns: dict[str, str], steps: list[Step], files: list[Landed]
) -> Step | None:
    used = {lines.name, *(s.other.name for s in steps)}
    for other in (f for f in files if f.name not in used):
        for theirs in other.facts["columns"]:
            for mine, sql in columns.items():
                if plain(mine) == plain(theirs) and _is_key(theirs):
                    share = _share(opened, lines, columns, steps, sql, other, theirs)
                    if share >= MATCHES:
                        return Step(other, mine, theirs, share)
    return None


def _is_key(heading: str) -> bool:
    words = plain(heading)
    return known_as("orders", heading) in ("order_id", "person.ids") or words.endswith(
        (" id", " no", " number", "nr")
    )


def _from(lines: Landed, steps: list[Step], columns: dict[str, str]) -> str:
    """The lines with what is joined to them, as SQL after FROM."""
    numbered = enumerate(steps, 1)
    joins = [
        f"LEFT JOIN {sql_name(s.other.name)} AS j{i} ON {columns[s.mine]} = j{i}.{sql_name(s.theirs)}"
        for i, s in numbered
    ]
    return " ".join([f"{sql_name(lines.name)} AS i", *joins])


def _share(
    opened: Opened,
    lines: Landed,
    columns: dict[str, str],
    steps: list[Step],
    sql: str,
    other: Landed,
    theirs: str,
) -> float:
    """The share of lines that find a row of the other file; 0 where its key names several rows."""
    rows, distinct = opened.query(
        f"SELECT count({sql_name(theirs)}), count(DISTINCT {sql_name(theirs)}) FROM {sql_name(other.group)}",
        other.file,
    ).fetchone()
    if not rows or rows != distinct:
        return 0.0
    found = f"{sql} IN (SELECT {sql_name(theirs)} FROM {sql_name(other.group)})"
    query = f"SELECT avg(CASE WHEN {found} THEN 1.0 ELSE 0 END) FROM {_from(lines, steps, columns)}"
    return float(opened.query(query, lines.file).fetchone()[0] or 0)


def _guess(
    opened: Opened, lines: Landed, columns: dict[str, str], steps: list[Step], zone: str
) -> Suggestion:
    own = [c for c in columns if columns[c].startswith("i.")]
    further = [f"{columns[c]} AS {sql_name(c)}" for c in columns if c not in own]
    rows = (
        f"(SELECT {', '.join(['i.*', *further])} FROM {_from(lines, steps, columns)}) AS"
        f" {sql_name(lines.name)}"
    )
    seen = replace(
        lines, facts=lines.facts | {"columns": list(columns), "near": [], "joined": True}
    )
    guess = guess_from(opened, seen, list(columns), rows, zone)
    guess.rows = rows
    if guess.dated.strip('"') not in own:
        guess.dated = ""
    for further_table in guess.more:
        further_table.rows = rows
    said = (f"{s.other.file} by {s.theirs}: {s.share:.0%} of lines find theirs" for s in steps)
    guess.notes["order_id"] = "joined: " + "; ".join(said)
    guess.beside = [Suggestion(s.other.name, s.other.file) for s in steps]
    return guess

"""The decision log: what was advised, what people decided, and what came of it.

`decisions.csv` in the client's folder is edited by people. Its columns status, actual and note are
theirs: they are read and never overwritten. Advice that comes again is the same decision, known by
its id.
"""

from __future__ import annotations

import csv
import re
from datetime import date
from pathlib import Path

import pandas as pd

from helpers import tables
from helpers.client import PlaybookError
from helpers.show import words
from helpers.show.findings import Finding
from helpers.store import write_csv

STATUSES = ["advised", "accepted", "rejected", "done"]
NUMBERS, DAYS = ["expected", "low", "high", "actual"], ["advised_on", "check_on"]
NEEDED = ["decision_id", "status"]


def advice(found: list[Finding], advised_on: date, run_id: str) -> pd.DataFrame:
    """The findings that advise something, as new rows of the log (table `decisions`)."""
    rows = [
        {
            "decision_id": f.id,
            "advised_on": advised_on,
            "run_id": run_id,
            "practice": f.practice,
            "what": f.action,
            "who": f.who,
            "metric": f.metric,
            "expected": f.value,
            "low": f.low,
            "high": f.high,
            "check_on": date.fromisoformat(f.check_on) if f.check_on else None,
            "status": "advised",
        }
        for f in found
        if f.kind == "finding" and f.action
    ]
    return _typed(pd.DataFrame(rows, columns=_columns())).drop_duplicates(
        "decision_id", ignore_index=True
    )


def read_decisions(path: Path) -> pd.DataFrame:
    """The log as people left it; empty where there is no file.

    Comma or semicolon may part the columns. Raises PlaybookError that names file, line and column
    of what is wrong.
    """
    if not path.is_file():
        return _typed(pd.DataFrame(columns=_columns()))
    shown = f"data/{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise PlaybookError(f"{shown}: not UTF-8. Save it as CSV UTF-8.") from None
    heading = text.partition("\n")[0]
    parted_by = ";" if heading.count(";") > heading.count(",") else ","
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=parted_by)
    lacking = [c for c in NEEDED if c not in (reader.fieldnames or [])]
    if lacking:
        raise PlaybookError(
            f'{shown}, line 1: column "{lacking[0]}" is missing. Put the heading back.'
        )
    rows, ids = [], {}
    for row in reader:
        where = f"{shown}, line {reader.line_num}, column"
        if not any(row.values()):
            continue
        if None in row:
            raise PlaybookError(
                f"{shown}, line {reader.line_num}: more cells than columns. Put text that holds a"
                " comma in quotes."
            )
        rows.append(
            _checked(
                {c: re.sub(r"^'(?=\s*[=+\-@])", "", (v or "").strip()) for c, v in row.items()},
                where,
            )
        )
        name = rows[-1]["decision_id"]
        if name in ids:
            raise PlaybookError(
                f'{where} "decision_id": "{name}" stands in line {ids[name]} too. Keep one line.'
            )
        ids[name] = reader.line_num
    return _typed(pd.DataFrame(rows, columns=_columns(reader.fieldnames)))


def merge_decisions(kept: pd.DataFrame, advised: pd.DataFrame) -> pd.DataFrame:
    """The log with today's advice in it: each id once, what people wrote untouched.

    Advice that nobody has taken up yet shows today's figures, with its first check date; once it is
    accepted, rejected or done, the figures it was decided on stay. Decisions that are no longer
    advised stay in the log.
    """
    new = advised[~advised["decision_id"].isin(kept["decision_id"])]
    log = pd.concat([kept, new], ignore_index=True) if len(kept) else new.reset_index(drop=True)
    today = advised.set_index("decision_id")
    open_ = (log["status"] == "advised") & log["decision_id"].isin(today.index)
    for column in ("practice", "what", "who", "metric", "expected", "low", "high"):
        fresh = log["decision_id"].map(today[column])
        log[column] = log[column].where(~open_, fresh)
    return _typed(log)


def write_decisions(log: pd.DataFrame, path: Path) -> None:
    """Write the log for people to edit; a spreadsheet opens it, and a half-written file is never
    left behind.
    """
    write_csv(log, path)


def outcomes(log: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Add `outcome` to the log: what came of each decision, or whether it is time to look, in
    words.
    """
    return log.assign(
        outcome=pd.Series([_outcome(r, as_of) for r in log.itertuples()], log.index, dtype="str")
    )


def _outcome(row, as_of: date) -> str:
    if row.status == "rejected":
        return "rejected"
    if pd.notna(row.actual):
        if pd.isna(row.expected):
            return "looked at; no value was expected"
        low, high = (row.expected if pd.isna(end) else end for end in (row.low, row.high))
        return (
            "less than expected"
            if row.actual < low
            else "more than expected"
            if row.actual > high
            else "as expected"
        )
    if pd.isna(row.check_on):
        return "no date to check"
    return "due: fill in what came of it" if row.check_on <= as_of else "not due yet"


def _columns(more: list[str] | None = None) -> list[str]:
    known = [c for c in tables.get("decisions").columns if c != "outcome"]
    return known + [c for c in more or [] if c and c not in known]


def _checked(row: dict[str, str], where: str) -> dict:
    """One line of the file with its numbers and days read; raises PlaybookError for what cannot be
    read.
    """
    if not row["decision_id"]:
        raise PlaybookError(
            f'{where} "decision_id": empty. Give the line its id back, or delete the line.'
        )
    if row["status"] not in STATUSES:
        raise PlaybookError(
            f'{where} "status": "{row["status"]}" is not one of {", ".join(STATUSES)}.'
        )
    return row | {
        c: _read(row.get(c, ""), kind, f'{where} "{c}"')
        for columns, kind in ((NUMBERS, float), (DAYS, date.fromisoformat))
        for c in columns
    }


def _read(text: str, kind, where: str):
    try:
        return kind(text) if text else None
    except ValueError:
        example = "a number such as 1250.50" if kind is float else "a day such as 2017-12-31"
        raise PlaybookError(
            f'{where}: "{text}" cannot be read. Write {example}, or leave it empty.'
        ) from None


def _typed(log: pd.DataFrame) -> pd.DataFrame:
    text = [c for c in log.columns if c not in NUMBERS + DAYS]
    return log.assign(
        **{c: log[c].astype(float) for c in NUMBERS},
        **{c: log[c].astype(object).where(log[c].notna(), None) for c in DAYS},
        **{c: log[c].astype(object).where(log[c].notna(), "").astype(str) for c in text},
    )


def say_log(log: pd.DataFrame) -> str:
    """What stands in the log, in a sentence; `log` is what `outcomes` gave."""
    due = int(log["outcome"].str.startswith("due").sum())
    taken = int(log["status"].isin(["accepted", "done"]).sum())
    known = int(log["actual"].notna().sum())
    said = [f"{words.count(taken) if taken else 'none'} taken up"]
    said += [f"{words.count(known)} with a known result"] if known else []
    said += [f"{words.count(due)} due for a look"] if due else []
    advice = words.counted(len(log), "piece of advice stands", "pieces of advice stand")
    return f"{advice} in the decision log: {words.listing(said)}."

"""What a run came to, in plain text for the terminal: the answer, what to look at first, what is
still open.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from helpers.show.findings import Finding, all_findings
from helpers.show.report import rank, stored_frame, year_of_sales
from helpers.show.words import count, money, sentence

FINDINGS, OPEN, WIDTH = 5, 3, 100


def in_words(folder: Path, currency: str) -> str:
    """The summary of the run in `folder`; money in `currency`."""
    found = all_findings(folder)
    answer = [f.headline for f in found if f.place == "lead"]
    first = rank(found, year_of_sales(stored_frame(folder, "sales_daily")))
    ranked = [f for f in first if f.place != "lead"]
    unseen = [
        f"{sentence(f.headline)} It would take: {f.action}" for f in found if f.kind == "unseen"
    ]
    parts = [
        _lines("In short", answer),
        _lines("What to look at first", [_with_worth(f, currency) for f in ranked[:FINDINGS]]),
        _lines("Open: to settle in client.yaml", _suspicions(folder)),
        _lines(
            f"Open: not in the data ({count(len(unseen))}, all in the report), such as",
            unseen[:OPEN],
        ),
    ]
    return "\n\n".join(p for p in parts if p)


def _suspicions(folder: Path) -> list[str]:
    found = stored_frame(folder, "suspicions")
    if found.empty:
        return []
    rules = found.loc[found["status"] == "open", "rule"].value_counts()
    return [f"{rule} ({count(n)}; page 02 of the report)" for rule, n in rules.head(OPEN).items()]


def _with_worth(found: Finding, currency: str) -> str:
    page = f"(page {found.notebook.split('_')[0]})"
    if not found.value:
        return f"{sentence(found.headline)} {page}"
    known = found.low is not None and found.high is not None
    span = f", {money(found.low)} to {money(found.high)}" if known else ""
    return f"{sentence(found.headline)} Worth {money(found.value, currency)} a year{span}. {page}"


def _lines(title: str, sentences: list[str]) -> str:
    wrapped = [
        fill(s, WIDTH, initial_indent="  - ", subsequent_indent="    ")
        for s in map(_ended, sentences)
    ]
    return "\n".join([f"{title}:", *wrapped]) if wrapped else ""


def _ended(text: str) -> str:
    return text if text.endswith(")") else sentence(text)
